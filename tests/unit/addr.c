/* unit test of sys/addr.h: what is an address and what isn't, one form for each, the IPv4 addresses inside IPv6 ones */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

#include "../../sys/addr.h"

enum { ROUNDS = 20000 };

/* Input that ends where memory does. */
static struct slice flush(const char *text)
{
    return (struct slice){unit_flush(text, strlen(text)), strlen(text)};
}

static bool parses(const char *text)
{
    struct ip_addr out;

    return ip_addr_parse(flush(text), &out) == 0;
}

static struct ip_addr addr(const char *text)
{
    struct ip_addr out = {0, 0, 0};

    EXPECT(ip_addr_parse(flush(text), &out) == 0);
    return out;
}

static bool is(struct ip_addr a, uint8_t version, uint64_t hi, uint64_t lo)
{
    return a.version == version && a.hi == hi && a.lo == lo;
}

static bool same(struct ip_addr a, struct ip_addr b)
{
    return is(a, b.version, b.hi, b.lo);
}

static bool formats(struct ip_addr a, const char *text)
{
    char to[IP_TEXT_MAX];

    return ip_addr_format(to, sizeof to, a) == strlen(text) && strcmp(to, text) == 0;
}

static void test_v4_text(void)
{
    static const char *const wrong[] = {
        "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.256", "1.2.3.-4", "+1.2.3.4", "01.2.3.4",
        "1.2.3.04", "1.2.3.00", "0x1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.a", "1,2,3,4", "16909060", "1.2.3.4.",
        "1.2.3.4/8", "1.2.3.999", "1.2.3.4294967297", "1.2.3.18446744073709551617", "*",
    };

    EXPECT(is(addr("1.2.3.4"), 4, 0, 0x01020304));
    EXPECT(is(addr("0.0.0.0"), 4, 0, 0));
    EXPECT(is(addr("255.255.255.255"), 4, 0, 0xffffffff));
    EXPECT(is(addr("10.0.200.9"), 4, 0, 0x0a00c809));
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        unit_expect(!parses(wrong[i]), wrong[i], __FILE__, __LINE__);
    EXPECT(ip_addr_parse((struct slice){"1.2.3.4\0", 8}, &(struct ip_addr){0}) == -EINVAL);
    EXPECT(ip_addr_parse((struct slice){NULL, 0}, &(struct ip_addr){0}) == -EINVAL);
}

static void test_v6_text(void)
{
    static const char *const wrong[] = {
        ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7", "1::2::3", "::1::",
        "12345::", "g::", "::1%lo", "fe80::1%eth0", "[::1]", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8", "::1.2.3", "::1.2.3.4.5", "::01.2.3.4", "1.2.3.4::", "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6::1.2.3.4:", "::-1", "::ffff:1.2.3.256", "1:2:3:4:5:6:1.2.3.4:8", ":: ",
        "::1/64", "1:2:3:4:5:6:7::1.2.3.4", "::+1", ":1", "1:", "::00001", "0x1::", "1:2:3:4:5:1.2.3.4",
    };

    EXPECT(is(addr("::"), 6, 0, 0));
    EXPECT(is(addr("::1"), 6, 0, 1));
    EXPECT(is(addr("1::"), 6, 0x0001000000000000, 0));
    EXPECT(is(addr("1:2:3:4:5:6:7:8"), 6, 0x0001000200030004, 0x0005000600070008));
    EXPECT(is(addr("1:2:3:4:5:6:7::"), 6, 0x0001000200030004, 0x0005000600070000));
    EXPECT(is(addr("::2:3:4:5:6:7:8"), 6, 0x0000000200030004, 0x0005000600070008));
    EXPECT(is(addr("1:2:3::5:6:7:8"), 6, 0x0001000200030000, 0x0005000600070008));
    EXPECT(is(addr("2001:DB8::ABCD"), 6, 0x20010db800000000, 0xabcd));
    EXPECT(is(addr("2001:0db8:0000::00ab"), 6, 0x20010db800000000, 0xab));
    EXPECT(is(addr("::1.2.3.4"), 6, 0, 0x01020304));
    EXPECT(is(addr("::ffff:1.2.3.4"), 6, 0, 0xffff01020304));
    EXPECT(is(addr("1:2:3:4:5:6:1.2.3.4"), 6, 0x0001000200030004, 0x0005000601020304));
    EXPECT(is(addr("1:2:3:4:5::1.2.3.4"), 6, 0x0001000200030004, 0x0005000001020304));
    EXPECT(is(addr("64:ff9b::192.0.2.1"), 6, 0x0064ff9b00000000, 0xc0000201));
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        unit_expect(!parses(wrong[i]), wrong[i], __FILE__, __LINE__);
}

static void test_prefix_text(void)
{
    static const char *const wrong[] = {
        "10.0.0.0/33", "fc00::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8", "/8",
        "10.0.0.0/ 8", "10.0.0/8", "::/1 ", "10.0.0.0/0x8", "example.com", "example.com/8", "::/18446744073709551624",
        "10.0.0.0/255.0.0.0", "10.0.0.0:80", "",
    };
    struct ip_prefix out;

    EXPECT(ip_prefix_parse(flush("10.1.2.3/8"), &out) == 0 && out.len == 8 && is(out.addr, 4, 0, 0x0a010203));
    EXPECT(ip_prefix_parse(flush("1.2.3.4"), &out) == 0 && out.len == 32);
    EXPECT(ip_prefix_parse(flush("0.0.0.0/0"), &out) == 0 && out.len == 0);
    EXPECT(ip_prefix_parse(flush("fc00::/7"), &out) == 0 && out.len == 7);
    EXPECT(ip_prefix_parse(flush("::1"), &out) == 0 && out.len == 128);
    EXPECT(ip_prefix_parse(flush("::1.2.3.4/128"), &out) == 0 && out.len == 128);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        out.len = 77;
        unit_expect(ip_prefix_parse(flush(wrong[i]), &out) == -EINVAL && out.len == 77, wrong[i], __FILE__, __LINE__);
    }
}

static struct ip_prefix canonical(const char *text)
{
    struct ip_prefix out = {{0, 0, 0}, 0};

    EXPECT(ip_prefix_parse(flush(text), &out) == 0);
    return ip_prefix_canonical(out);
}

static void test_canonical(void)
{
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.1.2.3/0", "0.0.0.0/0"},
        {"10.1.2.3/31", "10.1.2.2/31"},
        {"10.1.2.3/32", "10.1.2.3/32"},
        {"255.255.255.255/1", "128.0.0.0/1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/0", "::/0"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1", "8000::/1"},
        {"2001:db8::1:2:3:4/63", "2001:db8::/63"},
        {"2001:db8::1:2:3:4/64", "2001:db8::/64"},
        {"2001:db8::f000:2:3:4/65", "2001:db8::8000:0:0:0/65"},
        {"2001:db8::1:2:3:5/127", "2001:db8::1:2:3:4/127"},
        {"2001:db8::1:2:3:5/128", "2001:db8::1:2:3:5/128"},
        {"::ffff:10.1.2.3/104", "10.0.0.0/8"},
        {"::ffff:10.1.2.3/96", "0.0.0.0/0"},
        {"::ffff:10.1.2.3/128", "10.1.2.3/32"},
        {"::ffff:10.1.2.3", "10.1.2.3/32"},
        {"::ffff:10.1.2.3/95", "::fffe:0:0/95"}, /* shorter than the mapped addresses: IPv6, and not all of IPv4 */
        {"::fffe:10.1.2.3/96", "::fffe:0:0/96"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_prefix got = canonical(rows[i].text), want;

        EXPECT(ip_prefix_parse(flush(rows[i].canonical), &want) == 0);
        unit_expect(got.len == want.len && same(got.addr, want.addr), rows[i].text, __FILE__, __LINE__);
    }
    EXPECT(is(ip_addr_canonical(addr("::ffff:127.0.0.1")), 4, 0, 0x7f000001));
    EXPECT(is(ip_addr_canonical(addr("::ffff:0:127.0.0.1")), 6, 0, 0xffff00007f000001));
    EXPECT(is(ip_addr_canonical(addr("1::ffff:127.0.0.1")), 6, 0x0001000000000000, 0xffff7f000001));
    EXPECT(is(ip_addr_canonical(addr("::127.0.0.1")), 6, 0, 0x7f000001));
    EXPECT(is(ip_addr_canonical(addr("127.0.0.1")), 4, 0, 0x7f000001));
}

/* RFC 5952, 4 and 5. */
static void test_format(void)
{
    EXPECT(formats(addr("0.0.0.0"), "0.0.0.0"));
    EXPECT(formats(addr("255.255.255.255"), "255.255.255.255"));
    EXPECT(formats(addr("::"), "::"));
    EXPECT(formats(addr("::1"), "::1"));
    EXPECT(formats(addr("1::"), "1::"));
    EXPECT(formats(addr("2001:0DB8::0001"), "2001:db8::1"));
    EXPECT(formats(addr("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1"));
    EXPECT(formats(addr("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1"));
    EXPECT(formats(addr("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1"));
    EXPECT(formats(addr("0:0:1:0:0:0:0:0"), "0:0:1::"));
    EXPECT(formats(addr("0:1:2:3:4:5:6:7"), "0:1:2:3:4:5:6:7"));
    EXPECT(formats(addr("1:2:3:4:5:6:0:0"), "1:2:3:4:5:6::"));
    EXPECT(formats(addr("::ffff:10.0.0.1"), "::ffff:10.0.0.1"));
    EXPECT(formats(addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

static void test_endpoint(void)
{
    char to[IP_ENDPOINT_MAX], small[8];

    EXPECT(ip_endpoint_format(to, sizeof to, addr("10.0.0.1"), 443) == 12 && strcmp(to, "10.0.0.1:443") == 0);
    ip_endpoint_format(to, sizeof to, addr("2001:db8::1"), 443);
    EXPECT(strcmp(to, "[2001:db8::1]:443") == 0);
    ip_endpoint_format(to, sizeof to, addr("2001:db8::1"), 0);
    EXPECT(strcmp(to, "2001:db8::1") == 0);
    ip_endpoint_format(to, sizeof to, addr("10.0.0.1"), 0);
    EXPECT(strcmp(to, "10.0.0.1") == 0);
    ip_endpoint_format(to, sizeof to, addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 65535);
    EXPECT(strcmp(to, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535") == 0);
    EXPECT(ip_endpoint_format(small, sizeof small, addr("10.0.0.1"), 443) == 7 && strcmp(small, "10.0.0.") == 0);
    EXPECT(ip_addr_format(small, 1, addr("10.0.0.1")) == 0 && small[0] == 0);
}

/* Text and back is the same address, and libc's reading of the text too. */
static void test_round_trip(void)
{
    uint64_t state = 0x9e3779b97f4a7c15;
    unsigned wrong = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ip_addr a = {0, 0, i % 2 ? 4 : 6}, back;
        uint64_t words[2] = {0, 0};
        char text[IP_TEXT_MAX];
        uint8_t libc[16];

        for (unsigned group = 0; group < 8; group++) { /* half of them zero */
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            words[group / 4] = words[group / 4] << 16 | (state & 1 ? 0 : state >> 20 & (state & 2 ? 0xffff : 0xf));
        }
        a.hi = a.version == 6 ? words[0] : 0;
        a.lo = a.version == 6 ? words[1] : words[1] & UINT32_MAX;
        ip_addr_format(text, sizeof text, a);
        struct in6_addr v6 = ip_addr_to_v6(a);
        wrong += ip_addr_parse(slice_of(text), &back) < 0 || !same(a, back);
        wrong += inet_pton(a.version == 4 ? AF_INET : AF_INET6, text, libc) != 1;
        wrong += memcmp(libc, a.version == 4 ? v6.s6_addr + 12 : v6.s6_addr, a.version == 4 ? 4 : 16) != 0;
    }
    EXPECT(wrong == 0);
}

/* Does an IPv6 address hold exactly these IPv4 addresses, in this order? NULL ends them. */
static bool holds(const char *text, const char *const *v4)
{
    struct ip_addr found;
    unsigned which = 0;

    for (; *v4 != NULL; v4++, which++)
        if (!ip_addr_embedded(addr(text), which, &found) || !same(found, addr(*v4)))
            return false;
    return !ip_addr_embedded(addr(text), which, &found);
}

#define HOLDS(text, ...) EXPECT(holds(text, (const char *const[]){__VA_ARGS__}))

static void test_embedded(void)
{
    HOLDS("64:ff9b::10.0.0.1", "10.0.0.1", NULL);
    HOLDS("64:ff9b::1:10.0.0.1", NULL); /* not in the /96 */
    HOLDS("2002:a00:1::", "10.0.0.1", NULL);
    HOLDS("2002:a00:1:2:3:4:5:6", "10.0.0.1", NULL);
    HOLDS("2001:0:a00:1:0:0:f5ff:fffe", "10.0.0.1", "10.0.0.1", NULL);
    HOLDS("2001:0:4136:e378:8000:63bf:3fff:fdd2", "65.54.227.120", "192.0.2.45", NULL); /* RFC 4380's own */
    HOLDS("::10.0.0.1", "10.0.0.1", NULL);
    HOLDS("::2", "0.0.0.2", NULL);
    HOLDS("::", NULL);
    HOLDS("::1", NULL);
    HOLDS("::ffff:0:10.0.0.1", "10.0.0.1", NULL);
    HOLDS("2001:db8::5efe:10.0.0.1", "10.0.0.1", NULL);
    HOLDS("fe80::200:5efe:10.0.0.1", "10.0.0.1", NULL);
    HOLDS("fe80::300:5efe:10.0.0.1", NULL);
    HOLDS("2001:db8::10.0.0.1", NULL);
    HOLDS("2001:1::10.0.0.1", NULL);
    HOLDS("2003:a00:1::", NULL);
    HOLDS("10.0.0.1", NULL);
    /* RFC 6052, 2.4's table, in the prefix that RFC 8215 sets aside: of its lengths one can be meant, each is tried. */
    HOLDS("64:ff9b:1:c000:2:2100::", "192.0.2.33", "0.2.33.0", "2.33.0.0", "0.0.0.0", NULL);
    HOLDS("64:ff9b:1:c0:0:221::", "0.192.0.2", "192.0.2.33", "0.2.33.0", "0.0.0.0", NULL);
    HOLDS("64:ff9b:1:0:c0:2:2100::", "0.0.192.0", "0.192.0.2", "192.0.2.33", "33.0.0.0", NULL);
    HOLDS("64:ff9b:1::192.0.2.33", "0.0.0.0", "0.0.0.0", "0.0.0.192", "192.0.2.33", NULL);
    HOLDS("64:ff9b:2::192.0.2.33", NULL);
}

static void test_kinds(void)
{
    EXPECT(ip_addr_is_unspecified(addr("0.0.0.0")) && ip_addr_is_unspecified(addr("::")));
    EXPECT(!ip_addr_is_unspecified(addr("0.0.0.1")) && !ip_addr_is_unspecified(addr("1::")));
    EXPECT(ip_addr_is_loopback(addr("127.0.0.1")) && ip_addr_is_loopback(addr("127.255.255.255")));
    EXPECT(ip_addr_is_loopback(addr("::1")) && !ip_addr_is_loopback(addr("::2")));
    EXPECT(!ip_addr_is_loopback(addr("126.255.255.255")) && !ip_addr_is_loopback(addr("128.0.0.0")));
    EXPECT(!ip_addr_is_loopback(addr("1::1")) && !ip_addr_is_loopback(addr("0.0.0.1")));
    EXPECT(ip_addr_is_link_local(addr("ff01::1")) && ip_addr_is_link_local(addr("ff12::1")));
    EXPECT(!ip_addr_is_link_local(addr("ff05::1")) && !ip_addr_is_link_local(addr("169.254.0.1"))); /* has no zones */
    EXPECT(ip_addr_is_link_local(addr("fe80::1")) && ip_addr_is_link_local(addr("febf:ffff::")));
    EXPECT(!ip_addr_is_link_local(addr("fe7f:ffff::")) && !ip_addr_is_link_local(addr("fec0::")));
}

static void test_covers(void)
{
    EXPECT(ip_prefix_holds(canonical("10.0.0.0/8"), ip_prefix_of(addr("10.255.255.255"))));
    EXPECT(!ip_prefix_holds(canonical("10.0.0.0/8"), ip_prefix_of(addr("11.0.0.0"))));
    EXPECT(ip_prefix_holds(canonical("0.0.0.0/0"), ip_prefix_of(addr("8.8.8.8"))));
    EXPECT(!ip_prefix_holds(canonical("0.0.0.0/0"), ip_prefix_of(addr("::1"))));
    EXPECT(!ip_prefix_holds(canonical("::/0"), ip_prefix_of(addr("8.8.8.8"))));
    /* a prefix longer than an IPv4 address */
    EXPECT(!ip_prefix_holds(canonical("2001:db8::/64"), ip_prefix_of(addr("8.8.8.8"))));
    EXPECT(ip_prefix_holds(canonical("fc00::/7"), ip_prefix_of(addr("fdff::1"))));
    EXPECT(!ip_prefix_holds(canonical("fc00::/7"), ip_prefix_of(addr("fe00::"))));
    EXPECT(ip_prefix_holds(canonical("1.2.3.4"), ip_prefix_of(addr("1.2.3.4"))));
    EXPECT(!ip_prefix_holds(canonical("1.2.3.4"), ip_prefix_of(addr("1.2.3.5"))));
}

static void test_sockaddr(void)
{
    struct sockaddr_storage storage;
    struct ip_addr back;
    uint16_t port = 0;

    EXPECT(ip_addr_to_sockaddr(addr("10.0.0.1"), 443, AF_INET, &storage) == sizeof(struct sockaddr_in));
    EXPECT(((struct sockaddr_in *)&storage)->sin_addr.s_addr == htonl(0x0a000001));
    EXPECT(ip_addr_from_sockaddr(&storage, &back, &port) == 0 && is(back, 4, 0, 0x0a000001) && port == 443);

    EXPECT(ip_addr_to_sockaddr(addr("10.0.0.1"), 443, AF_INET6, &storage) == sizeof(struct sockaddr_in6));
    struct in6_addr mapped = ((struct sockaddr_in6 *)&storage)->sin6_addr;
    EXPECT(memcmp(&mapped, "\0\0\0\0\0\0\0\0\0\0\377\377\12\0\0\1", 16) == 0);
    EXPECT(ip_addr_from_sockaddr(&storage, &back, &port) == 0 && is(back, 4, 0, 0x0a000001) && port == 443);

    EXPECT(ip_addr_to_sockaddr(addr("2001:db8::1"), 65535, AF_INET6, &storage) == sizeof(struct sockaddr_in6));
    EXPECT(ip_addr_from_sockaddr(&storage, &back, &port) == 0 && same(back, addr("2001:db8::1")) && port == 65535);

    storage.ss_family = AF_UNIX;
    EXPECT(ip_addr_from_sockaddr(&storage, &back, &port) == -EAFNOSUPPORT);
}

int main(void)
{
    test_v4_text();
    test_v6_text();
    test_prefix_text();
    test_canonical();
    test_format();
    test_endpoint();
    test_round_trip();
    test_embedded();
    test_kinds();
    test_covers();
    test_sockaddr();
    return unit_done();
}

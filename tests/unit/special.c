/* unit test of sys/special.h: each row of IANA's special-purpose registries, and its neighbours on both sides */
#include "unit.h"

#include "../../sys/special.h"
#include "../../sys/ipset.h"

/* The registries as of 2025-10-09: block, and whether it is globally reachable ("N/A", as of what has ended: no). */
static const struct {
    const char *block;
    bool global;
} registries[] = {
    {"0.0.0.0/8", false},       {"0.0.0.0/32", false},      {"10.0.0.0/8", false},      {"100.64.0.0/10", false},
    {"127.0.0.0/8", false},     {"169.254.0.0/16", false},  {"172.16.0.0/12", false},   {"192.0.0.0/24", false},
    {"192.0.0.0/29", false},    {"192.0.0.8/32", false},    {"192.0.0.9/32", true},     {"192.0.0.10/32", true},
    {"192.0.0.170/32", false},  {"192.0.0.171/32", false},  {"192.0.2.0/24", false},    {"192.31.196.0/24", true},
    {"192.52.193.0/24", true},  {"192.88.99.0/24", false},  {"192.88.99.2/32", false},  {"192.168.0.0/16", false},
    {"192.175.48.0/24", true},  {"198.18.0.0/15", false},   {"198.51.100.0/24", false}, {"203.0.113.0/24", false},
    {"240.0.0.0/4", false},     {"255.255.255.255/32", false},

    {"::1/128", false},         {"::/128", false},          {"64:ff9b::/96", true},     {"64:ff9b:1::/48", false},
    {"100::/64", false},        {"100:0:0:1::/64", false},  {"2001::/23", false},       {"2001::/32", false},
    {"2001:1::1/128", true},    {"2001:1::2/128", true},    {"2001:1::3/128", true},    {"2001:2::/48", false},
    {"2001:3::/32", true},      {"2001:4:112::/48", true},  {"2001:10::/28", false},    {"2001:20::/28", true},
    {"2001:30::/28", true},     {"2001:db8::/32", false},   {"2002::/16", false},       {"2620:4f:8000::/48", true},
    {"3fff::/20", false},       {"5f00::/16", false},       {"fc00::/7", false},        {"fe80::/10", false},

    /* From other registries: multicast, site-local, the old forms that carry IPv4. */
    {"224.0.0.0/4", false},     {"ff00::/8", false},        {"fec0::/10", false},       {"::/96", false},
    {"::ffff:0:0/96", false},   {"::ffff:0:0:0/96", false},
    /* And a cloud's metadata, at an address that is public otherwise. */
    {"168.63.129.16/32", false},
};

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix parsed;

    if (ip_prefix_parse(slice_of(text), &parsed) < 0)
        abort();
    return parsed;
}

static struct ip_addr addr(const char *text)
{
    return prefix(text).addr;
}

/* ---- the sets that rules are made of ---- */

static struct ipset_entry entries[2][4096];
static size_t n_entries[2];
static struct ipset sets[SPECIAL_WORDS][2];

static void add(struct ip_prefix part, void *argument)
{
    unsigned six = part.addr.version == 6;

    (void)argument;
    if (n_entries[six] == 4096)
        abort();
    entries[six][n_entries[six]++] = (struct ipset_entry){part, {0, UINT16_MAX}, 1};
}

static void build(void)
{
    for (unsigned word = 0; word < SPECIAL_WORDS; word++) {
        n_entries[0] = n_entries[1] = 0;
        special_expand((enum special_word)word, prefix("0.0.0.0/0"), add, NULL);
        special_expand((enum special_word)word, prefix("::/0"), add, NULL);
        for (unsigned v = 0; v < 2; v++)
            if (ipset_build(&sets[word][v], entries[v], n_entries[v]) < 0)
                abort();
        if (word == WORD_PUBLIC)
            EXPECT(n_entries[0] > 0 && n_entries[0] < 500 && n_entries[1] > 0 && n_entries[1] < 1500);
    }
}

/* Is an address in the set? It has to say the same as a look at the ranges. */
static bool in(enum special_word word, struct ip_addr address)
{
    bool found = ipset_covers(&sets[word][address.version == 6], address);

    EXPECT(found == special_is(word, address));
    return found;
}

/* ---- rows and neighbours ---- */

/* The registries' own answer, by their longest block; inside 64:ff9b::/96, that for the IPv4 address. */
static bool expected(struct ip_addr address)
{
    bool global = true;
    int len = -1;

    if (ip_prefix_holds(prefix("64:ff9b::/96"), ip_prefix_of(address)))
        return expected((struct ip_addr){0, address.lo & UINT32_MAX, 4});
    for (size_t i = 0; i < ARRAY_LEN(registries); i++) {
        struct ip_prefix block = prefix(registries[i].block);

        if (block.len > len && ip_prefix_holds(block, ip_prefix_of(address))) {
            len = block.len;
            global = registries[i].global;
        }
    }
    return global;
}

static void test_address(struct ip_addr address, const char *block, const char *which)
{
    if (in(WORD_PUBLIC, address) != expected(address)) {
        printf("the %s address of %s is %spublic:\n", which, block, expected(address) ? "not " : "");
        unit_expect(false, block, __FILE__, __LINE__);
    }
}

/* The address `by` (1 or -1) further. */
static struct ip_addr beside(struct ip_addr address, int by)
{
    unsigned __int128 place = (unsigned __int128)address.hi << 64 | address.lo;

    place += (unsigned __int128)by;
    if (address.version == 4)
        return (struct ip_addr){0, (uint32_t)place, 4};
    return (struct ip_addr){(uint64_t)(place >> 64), (uint64_t)place, 6};
}

static struct ip_addr last_of(struct ip_prefix block)
{
    unsigned bits = (block.addr.version == 4 ? 32u : 128u) - block.len;
    unsigned __int128 place = (unsigned __int128)block.addr.hi << 64 | block.addr.lo;

    place |= bits == 128 ? ~(unsigned __int128)0 : ((unsigned __int128)1 << bits) - 1;
    return (struct ip_addr){block.addr.version == 4 ? 0 : (uint64_t)(place >> 64), (uint64_t)place, block.addr.version};
}

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(registries); i++) {
        struct ip_prefix block = prefix(registries[i].block);
        struct ip_addr last = last_of(block);

        test_address(block.addr, registries[i].block, "first");
        test_address(last, registries[i].block, "last");
        test_address(beside(block.addr, -1), registries[i].block, "preceding");
        test_address(beside(last, 1), registries[i].block, "following");
    }
    /* the list isn't all there is */
    EXPECT(in(WORD_PUBLIC, addr("9.255.255.255")) && in(WORD_PUBLIC, addr("11.0.0.0")));
    EXPECT(in(WORD_PUBLIC, addr("2001:200::")) && in(WORD_PUBLIC, addr("2003::")) && in(WORD_PUBLIC, addr("fbff::")));
    EXPECT(!in(WORD_PUBLIC, addr("192.0.0.11")) && in(WORD_PUBLIC, addr("192.0.1.0")));
}

/* Each row of the table is one of the registries', with a name and a source; none is missing. */
static void test_table(void)
{
    size_t known = 0, lines = 0;

    for (size_t i = 0; i < SPECIAL_RANGES; i++) {
        const struct special_range *range = &special_ranges()[i];
        struct ip_prefix block;

        EXPECT(ip_prefix_parse(range->prefix, &block) == 0 && range->name.len > 0 && range->source.len > 0);
        EXPECT(block.addr.version == 6 || block.addr.lo == ip_prefix_canonical(block).addr.lo);
        for (size_t k = 0; k < ARRAY_LEN(registries); k++)
            known += slice_is(range->prefix, registries[k].block) &&
                     registries[k].global == (range->kind == SPECIAL_GLOBAL);
        EXPECT(special_find(block.addr) == range || block.len < 128);
    }
    for (const char *c = special_text; *c != 0; c++)
        lines += *c == '\n';
    EXPECT(lines == SPECIAL_RANGES);
    EXPECT(known == ARRAY_LEN(registries));
}

/* ---- what carries an IPv4 address ---- */

static void test_embedded(void)
{
    for (size_t i = 0; i < ARRAY_LEN(registries); i++) {
        struct ip_prefix block = prefix(registries[i].block);
        uint64_t v4 = block.addr.lo;

        if (block.addr.version != 4)
            continue;
        for (int by = -1; by <= 1; by++) {
            struct ip_addr inner = by == 0 ? block.addr : beside(by < 0 ? block.addr : last_of(block), by);
            uint64_t low = inner.lo;

            EXPECT(in(WORD_PUBLIC, (struct ip_addr){0x64ff9bULL << 32, low, 6}) == expected(inner)); /* NAT64 */
            EXPECT(!in(WORD_PUBLIC, (struct ip_addr){0x64ff9b0001ULL << 16, low, 6}));
        }
        EXPECT(!in(WORD_PUBLIC, (struct ip_addr){0x2002ULL << 48 | v4 << 16, 1, 6}));         /* 6to4 */
        EXPECT(!in(WORD_PUBLIC, (struct ip_addr){0x20010000ULL << 32 | v4, v4 ^ 0xffffffff, 6})); /* Teredo */
        EXPECT(!in(WORD_PUBLIC, (struct ip_addr){0, v4, 6}));                                  /* compatible */
        EXPECT(!in(WORD_PUBLIC, (struct ip_addr){0, 0xffffULL << 32 | v4, 6}));                /* mapped, if it came */
        EXPECT(!in(WORD_PUBLIC, (struct ip_addr){0, 0xffffULL << 48 | v4, 6}));                /* translated */
    }
}

/* ---- the other words ---- */

static void test_private(void)
{
    static const char *const private[] = {
        "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "100.64.0.0",
        "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "0.0.0.0", "0.255.255.255",
        "::", "::1", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "febf::", "fec0::", "feff::",
        "fd00:ec2::254", "100.100.100.200",
    };
    static const char *const others[] = {
        "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "100.63.255.255",
        "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "1.0.0.0", "::2", "fbff::",
        "fe00::", "ff00::", "224.0.0.1", "168.63.129.16", "8.8.8.8", "192.0.2.1", "2001:db8::1", "64:ff9b::a00:1",
    };

    for (size_t i = 0; i < ARRAY_LEN(private); i++)
        unit_expect(in(WORD_PRIVATE, addr(private[i])) && !in(WORD_PUBLIC, addr(private[i])), private[i], __FILE__,
                    __LINE__);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        unit_expect(!in(WORD_PRIVATE, addr(others[i])), others[i], __FILE__, __LINE__);
}

static void test_metadata(void)
{
    static const char *const services[] = {
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
        "168.63.129.16", "192.0.0.192", "100.100.100.200", "169.254.0.23", "169.254.42.42", "fd00:42::42",
    };

    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        struct ip_addr address = addr(services[i]);

        unit_expect(in(WORD_METADATA, address) && !in(WORD_PUBLIC, address), services[i], __FILE__, __LINE__);
        EXPECT(!in(WORD_METADATA, beside(address, 1)) && !in(WORD_METADATA, beside(address, -1)));
    }
}

static void test_words(void)
{
    EXPECT(special_word_of(slice_of("public")) == WORD_PUBLIC && special_word_of(slice_of("private")) == WORD_PRIVATE);
    EXPECT(special_word_of(slice_of("metadata")) == WORD_METADATA);
    EXPECT(special_word_of(slice_of("public.")) == SPECIAL_WORDS && special_word_of(slice_of("")) == SPECIAL_WORDS);
}

static void test_names(void)
{
    EXPECT(slice_is(special_find(addr("10.1.2.3"))->name, "Private-Use"));
    EXPECT(slice_is(special_find(addr("192.0.0.9"))->name, "Port Control Protocol Anycast"));
    EXPECT(slice_is(special_find(addr("64:ff9b::a00:1"))->name, "Private-Use"));
    EXPECT(slice_is(special_find(addr("64:ff9b::808:808"))->prefix, "64:ff9b::/96"));
    EXPECT(special_find(addr("8.8.8.8")) == NULL && special_find(addr("2606:4700::1111")) == NULL);
}

int main(void)
{
    build();
    test_rows();
    test_table();
    test_embedded();
    test_private();
    test_metadata();
    test_words();
    test_names();
    return unit_done();
}

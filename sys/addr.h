/* addr.h - IP addresses and prefixes: text (RFC 4291, 5952), canonical form, embedded IPv4, sockaddrs (ip(7)) */
#ifndef ADDR_H
#define ADDR_H

#include "base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    IP_TEXT_MAX = 46,     /* an address as text, with its NUL */
    IP_ENDPOINT_MAX = 54, /* [address]:port, with its NUL */
    ADDRESS_MAX = 128,    /* sizeof(struct sockaddr_storage): the kernel's own limit */
};

/* An address in host byte order. IPv4: version 4, the low 32 bits of lo. IPv6: version 6, the halves. */
struct ip_addr {
    uint64_t hi, lo;
    uint8_t version;
};

struct ip_prefix {
    struct ip_addr addr;
    uint8_t len; /* 0..32 or 0..128 */
};

/* A sockaddr of any family, as large as the kernel takes one. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
    uint8_t bytes[ADDRESS_MAX];
};

/* Both ends belong to it. */
struct port_range {
    uint16_t first, last;
};

/* Four decimal octets without leading zeros. 0 or -EINVAL. Lists of rules are long: one pass. */
static int ip_parse_v4(struct slice text, uint32_t *out)
{
    uint32_t bits = 0, octet = 0;
    unsigned octets = 0, digits = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];

        if (c == '.' && digits > 0 && octets < 3) {
            bits = bits << 8 | octet;
            octets++;
            octet = digits = 0;
        } else if (c >= '0' && c <= '9' && (digits == 0 || octet > 0)) {
            octet = octet * 10 + (uint32_t)(c - '0');
            digits++;
            if (octet > 255)
                return -EINVAL;
        } else {
            return -EINVAL;
        }
    }
    if (octets != 3 || digits == 0)
        return -EINVAL;
    *out = bits << 8 | octet;
    return 0;
}

/* One to four hexadecimal digits. 0 or -EINVAL. */
static int ip_parse_group(struct slice text, uint16_t *out)
{
    unsigned value = 0;

    if (text.len == 0 || text.len > 4)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return -EINVAL;
        value = value << 4 | digit;
    }
    *out = (uint16_t)value;
    return 0;
}

/* Colon-separated groups, the last of which may be a dotted IPv4 address when `dotted`. Returns how many groups were
 * written, at most `room`, or -EINVAL. No text is no groups. */
static int ip_parse_groups(struct slice text, bool dotted, uint16_t *groups, int room)
{
    int n = 0;

    if (text.len == 0)
        return 0;
    while (text.p != NULL) {
        struct slice group = slice_split(&text, ':');
        uint32_t v4;

        if (dotted && text.p == NULL && n + 2 <= room && ip_parse_v4(group, &v4) == 0) {
            groups[n++] = (uint16_t)(v4 >> 16);
            groups[n++] = (uint16_t)v4;
            return n;
        }
        if (n == room || ip_parse_group(group, &groups[n]) < 0)
            return -EINVAL;
        n++;
    }
    return n;
}

/* RFC 4291, 2.2: eight groups, or fewer with one "::" for at least one group of zeros. No zone. 0 or -EINVAL. */
static int ip_parse_v6(struct slice text, struct ip_addr *out)
{
    uint16_t groups[8] = {0}, behind[8];
    const char *gap = text.len >= 2 ? memmem(text.p, text.len, "::", 2) : NULL;

    if (gap == NULL) {
        if (ip_parse_groups(text, true, groups, 8) != 8)
            return -EINVAL;
    } else {
        struct slice head = {text.p, (size_t)(gap - text.p)};
        struct slice tail = {gap + 2, text.len - head.len - 2};
        int n = ip_parse_groups(head, false, groups, 7);

        if (n < 0)
            return -EINVAL;
        int m = ip_parse_groups(tail, true, behind, 7 - n);
        if (m < 0)
            return -EINVAL;
        memcpy(groups + 8 - m, behind, (size_t)m * sizeof *groups);
    }
    *out = (struct ip_addr){0, 0, 6};
    for (int i = 0; i < 4; i++) {
        out->hi = out->hi << 16 | groups[i];
        out->lo = out->lo << 16 | groups[i + 4];
    }
    return 0;
}

/* An address as people write it: four decimal octets without leading zeros, or RFC 4291's IPv6 text. ::ffff:1.2.3.4
 * stays IPv6 here. 0, or -EINVAL; *out is untouched then. */
static int ip_addr_parse(struct slice text, struct ip_addr *out)
{
    uint32_t v4;

    if (text.len > 0 && memchr(text.p, ':', text.len) != NULL)
        return ip_parse_v6(text, out);
    if (ip_parse_v4(text, &v4) < 0)
        return -EINVAL;
    *out = (struct ip_addr){0, v4, 4};
    return 0;
}

/* An address, or address/length. Host bits are kept. 0, or -EINVAL; *out is untouched then. */
static int ip_prefix_parse(struct slice text, struct ip_prefix *out)
{
    struct slice rest = text, head = slice_split(&rest, '/');
    struct ip_addr addr;

    if (ip_addr_parse(head, &addr) < 0)
        return -EINVAL;
    uint64_t len = addr.version == 4 ? 32 : 128;
    if (rest.p != NULL && ((rest.len > 1 && rest.p[0] == '0') || parse_uint(rest, len, &len) < 0))
        return -EINVAL;
    *out = (struct ip_prefix){addr, (uint8_t)len};
    return 0;
}

/* The high `len` bits of a 64-bit word, 0..64. */
static uint64_t ip_mask(unsigned len)
{
    return len == 0 ? 0 : UINT64_MAX << (64 - len);
}

/* ::ffff:a.b.c.d, which sockets treat as a.b.c.d, becomes IPv4; everything else stays. */
static struct ip_addr ip_addr_canonical(struct ip_addr addr)
{
    if (addr.version == 6 && addr.hi == 0 && addr.lo >> 32 == 0xffff)
        return (struct ip_addr){0, addr.lo & UINT32_MAX, 4};
    return addr;
}

/* Host bits cleared; a prefix inside ::ffff:0:0/96 becomes IPv4, a shorter one stays IPv6. */
static struct ip_prefix ip_prefix_canonical(struct ip_prefix prefix)
{
    struct ip_addr addr = prefix.addr;

    if (addr.version == 6 && prefix.len >= 96 && ip_addr_canonical(addr).version == 4)
        prefix = (struct ip_prefix){ip_addr_canonical(addr), (uint8_t)(prefix.len - 96)};
    if (prefix.addr.version == 4) {
        prefix.addr.lo &= ip_mask(32u + prefix.len); /* the high half is zero */
        return prefix;
    }
    prefix.addr.hi &= ip_mask(prefix.len < 64 ? prefix.len : 64);
    prefix.addr.lo &= ip_mask(prefix.len < 64 ? 0 : prefix.len - 64u);
    return prefix;
}

static bool ip_addr_equal(struct ip_addr a, struct ip_addr b)
{
    return a.hi == b.hi && a.lo == b.lo && a.version == b.version;
}

static bool ip_addr_is_unspecified(struct ip_addr addr)
{
    return addr.hi == 0 && addr.lo == 0;
}

/* The prefix that is an address alone. */
static struct ip_prefix ip_prefix_of(struct ip_addr addr)
{
    return (struct ip_prefix){addr, addr.version == 4 ? 32 : 128};
}

/* Does one prefix hold all of another? The host bits of neither count. */
static bool ip_prefix_holds(struct ip_prefix outer, struct ip_prefix inner)
{
    unsigned len = outer.addr.version == 4 ? outer.len + 96u : outer.len;
    uint64_t hi = ip_mask(len < 64 ? len : 64), lo = ip_mask(len < 64 ? 0 : len - 64);

    return outer.addr.version == inner.addr.version && outer.len <= inner.len &&
           ((outer.addr.hi ^ inner.addr.hi) & hi) == 0 && ((outer.addr.lo ^ inner.addr.lo) & lo) == 0;
}

/* 127.0.0.1 or ::1. */
static struct ip_addr ip_addr_loopback(uint8_t version)
{
    return version == 4 ? (struct ip_addr){0, INADDR_LOOPBACK, 4} : (struct ip_addr){0, 1, 6};
}

/* 127.0.0.0/8 or ::1. */
static bool ip_addr_is_loopback(struct ip_addr addr)
{
    return addr.version == 4 ? addr.lo >> 24 == 127 : addr.hi == 0 && addr.lo == 1;
}

/* Does an address need a zone to be reached (RFC 4007): fe80::/10, and multicast of interface or link scope? */
static bool ip_addr_is_link_local(struct ip_addr addr)
{
    unsigned scope = (unsigned)(addr.hi >> 48) & 0xf;

    return addr.version == 6 && (addr.hi >> 54 == 0xfe80 >> 6 || (addr.hi >> 56 == 0xff && (scope == 1 || scope == 2)));
}

/* The IPv4 addresses that a network may make of an IPv6 address, one a call: which = 0, 1, ... until false. Translators
 * and tunnels deliver such packets to the IPv4 host. :: and ::1 hold none. */
static bool ip_addr_embedded(struct ip_addr addr, unsigned which, struct ip_addr *v4)
{
    static const struct {
        uint64_t hi, lo, lo_mask;
        uint8_t len;   /* how much of hi is compared; of lo, what lo_mask says */
        uint8_t octet; /* where the address begins. Octet 8 is skipped: RFC 6052 says so, and no other form meets it */
        bool inverted;
    } forms[] = {
        {0, 0, ~0ULL << 32, 64, 12, false},                        /* ::a.b.c.d: RFC 4291, 2.5.5.1 */
        {0, 0xffffULL << 48, ~0ULL << 32, 64, 12, false},          /* ::ffff:0:a.b.c.d: RFC 2765 */
        {0x64ff9bULL << 32, 0, ~0ULL << 32, 64, 12, false},        /* 64:ff9b::/96: NAT64, RFC 6052 */
        {0x64ff9b0001ULL << 16, 0, 0, 48, 6, false},               /* 64:ff9b:1::/48: RFC 8215, in each length */
        {0x64ff9b0001ULL << 16, 0, 0, 48, 7, false},               /* that RFC 6052 leaves it */
        {0x64ff9b0001ULL << 16, 0, 0, 48, 9, false},
        {0x64ff9b0001ULL << 16, 0, 0, 48, 12, false},
        {0x2002ULL << 48, 0, 0, 16, 2, false},                     /* 6to4: RFC 3056 */
        {0x20010000ULL << 32, 0, 0, 32, 4, false},                 /* Teredo's server: RFC 4380 */
        {0x20010000ULL << 32, 0, 0, 32, 12, true},                 /* and its client */
        {0, 0x5efeULL << 32, 0xfdffffffULL << 32, 0, 12, false},   /* ISATAP under any prefix: RFC 5214 */
    };

    if (addr.version != 6 || (addr.hi == 0 && addr.lo <= 1))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        uint64_t bits = 0;

        if ((addr.hi & ip_mask(forms[i].len)) != forms[i].hi || (addr.lo & forms[i].lo_mask) != forms[i].lo)
            continue;
        if (which-- > 0)
            continue;
        for (unsigned at = forms[i].octet, n = 0; n < 4; at++) {
            if (at == 8)
                continue;
            bits = bits << 8 | ((at < 8 ? addr.hi >> (56 - 8 * at) : addr.lo >> (120 - 8 * at)) & 255);
            n++;
        }
        *v4 = (struct ip_addr){0, forms[i].inverted ? bits ^ UINT32_MAX : bits, 4};
        return true;
    }
    return false;
}

/* The text of an IPv6 address, RFC 5952: the longest run of zero groups, the first of equals, becomes "::". */
static void ip_format_v6(char to[IP_TEXT_MAX], struct ip_addr addr)
{
    unsigned groups[8], gap = 8, gap_len = 1; /* a single zero group is written out */
    size_t used = 0;

    for (unsigned i = 0; i < 8; i++)
        groups[i] = (uint16_t)((i < 4 ? addr.hi : addr.lo) >> (48 - 16 * (i % 4)));
    for (unsigned i = 0, n = 0; i < 8; i++) {
        n = groups[i] == 0 ? n + 1 : 0;
        if (n > gap_len) {
            gap_len = n;
            gap = i + 1 - n;
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == gap) {
            used += (size_t)snprintf(to + used, IP_TEXT_MAX - used, "::");
            i += gap_len - 1;
            continue;
        }
        const char *colon = i == 0 || i == gap + gap_len ? "" : ":";
        used += (size_t)snprintf(to + used, IP_TEXT_MAX - used, "%s%x", colon, groups[i]);
    }
}

/* Write an address as text, RFC 5952 (an IPv4-mapped one as ::ffff:a.b.c.d), NUL-terminated, cut to `room`, which is at
 * least 1; IP_TEXT_MAX always suffices. Returns the length without the NUL. */
static size_t ip_addr_format(char *to, size_t room, struct ip_addr addr)
{
    char text[IP_TEXT_MAX];
    struct ip_addr plain = ip_addr_canonical(addr);
    unsigned v4 = (unsigned)plain.lo;

    if (plain.version == 4)
        snprintf(text, sizeof text, "%s%u.%u.%u.%u", addr.version == 6 ? "::ffff:" : "", v4 >> 24, v4 >> 16 & 255,
                 v4 >> 8 & 255, v4 & 255);
    else
        ip_format_v6(text, addr);
    size_t len = (size_t)snprintf(to, room, "%s", text);
    return len < room ? len : room - 1;
}

/* As ip_addr_format, with a port: 10.0.0.1:443, [2001:db8::1]:443; port 0 is the address alone. IP_ENDPOINT_MAX always
 * suffices. */
static size_t ip_endpoint_format(char *to, size_t room, struct ip_addr addr, uint16_t port)
{
    char text[IP_TEXT_MAX];

    if (port == 0)
        return ip_addr_format(to, room, addr);
    ip_addr_format(text, sizeof text, addr);
    size_t len = (size_t)snprintf(to, room, addr.version == 6 ? "[%s]:%u" : "%s:%u", text, port);
    return len < room ? len : room - 1;
}

static struct ip_addr ip_addr_from_v4(struct in_addr addr)
{
    return (struct ip_addr){0, ntohl(addr.s_addr), 4};
}

/* Canonical: an IPv4-mapped address becomes IPv4. */
static struct ip_addr ip_addr_from_v6(const struct in6_addr *addr)
{
    struct ip_addr out = {0, 0, 6};

    for (unsigned i = 0; i < 8; i++) {
        out.hi = out.hi << 8 | addr->s6_addr[i];
        out.lo = out.lo << 8 | addr->s6_addr[i + 8];
    }
    return ip_addr_canonical(out);
}

/* The IPv6 form: an IPv4 address becomes ::ffff:a.b.c.d. */
static struct in6_addr ip_addr_to_v6(struct ip_addr addr)
{
    struct in6_addr out;
    uint64_t hi = addr.hi, lo = addr.version == 4 ? addr.lo | 0xffff00000000 : addr.lo;

    for (unsigned i = 0; i < 8; i++) {
        out.s6_addr[i] = (uint8_t)(hi >> (56 - 8 * i));
        out.s6_addr[i + 8] = (uint8_t)(lo >> (56 - 8 * i));
    }
    return out;
}

/* The canonical address and the port of a whole sockaddr_in or sockaddr_in6, of any alignment. 0, or -EAFNOSUPPORT. */
static int ip_addr_from_sockaddr(const void *sockaddr, struct ip_addr *addr, uint16_t *port)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    sa_family_t family;

    memcpy(&family, sockaddr, sizeof family);
    if (family == AF_INET) {
        memcpy(&v4, sockaddr, sizeof v4);
        *addr = ip_addr_from_v4(v4.sin_addr);
        *port = ntohs(v4.sin_port);
        return 0;
    }
    if (family == AF_INET6) {
        memcpy(&v6, sockaddr, sizeof v6);
        *addr = ip_addr_from_v6(&v6.sin6_addr);
        *port = ntohs(v6.sin6_port);
        return 0;
    }
    return -EAFNOSUPPORT;
}

/* Fill in a sockaddr of `family`, AF_INET (the address is IPv4) or AF_INET6 (an IPv4 address is mapped); returns its
 * length. */
static socklen_t ip_addr_to_sockaddr(struct ip_addr addr, uint16_t port, sa_family_t family,
                                     struct sockaddr_storage *to)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl((uint32_t)addr.lo)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = ip_addr_to_v6(addr)};

    memset(to, 0, sizeof *to);
    if (family == AF_INET) {
        memcpy(to, &v4, sizeof v4);
        return sizeof v4;
    }
    memcpy(to, &v6, sizeof v6);
    return sizeof v6;
}

/* The canonical address and the port that an IP socket is bound to (getsockname(2)). 0, or -errno, with both as they
 * were. */
static int ip_addr_of_socket(int fd, struct ip_addr *addr, uint16_t *port)
{
    union address name;
    socklen_t len = sizeof name;

    return getsockname(fd, &name.any, &len) < 0 ? -errno : ip_addr_from_sockaddr(&name, addr, port);
}

/* The same of its peer (getpeername(2)). */
static int ip_addr_of_peer(int fd, struct ip_addr *addr, uint16_t *port)
{
    union address name;
    socklen_t len = sizeof name;

    return getpeername(fd, &name.any, &len) < 0 ? -errno : ip_addr_from_sockaddr(&name, addr, port);
}

#endif

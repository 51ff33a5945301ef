/* special.h - address ranges with a purpose of their own: IANA's special-purpose registries (RFC 6890), multicast,
 * clouds' metadata services; and what is left: public addresses */
#ifndef SPECIAL_H
#define SPECIAL_H

#include "addr.h"
#include "base.h"

/* What a range is, as far as one of the words below asks. */
enum special_kind {
    SPECIAL_GLOBAL,   /* globally reachable, so public all the same */
    SPECIAL_CLOSED,   /* not, or "N/A" in the registry */
    SPECIAL_PRIVATE,  /* not, and belonging to a network or a machine of one's own */
    SPECIAL_METADATA, /* where a cloud tells its machines their secrets */
};

enum special_word { WORD_PUBLIC, WORD_PRIVATE, WORD_METADATA, SPECIAL_WORDS };

static const char *const special_words[SPECIAL_WORDS] = {"public", "private", "metadata"};

struct special_range {
    struct ip_prefix block;
    struct slice prefix, name, source; /* prefix: the block as it is written */
    enum special_kind kind;
};

/* The IANA IPv4 and IPv6 Special-Purpose Address Registries, both as of 2025-10-09, with their names, and behind each
 * what they leave to other registries: IANA's IPv4 Multicast and IPv6 Address Space (2025), and providers'
 * documentation. The longest prefix speaks for an address. "PREFIX;NAME;SOURCE;KIND", the kind by its first letter: one
 * string costs half of what a table does. */
static const char special_text[] =
    "0.0.0.0/8;This network;RFC 791;p\n"
    "0.0.0.0/32;This host on this network;RFC 1122;p\n"
    "10.0.0.0/8;Private-Use;RFC 1918;p\n"
    "100.64.0.0/10;Shared Address Space;RFC 6598;p\n"
    "127.0.0.0/8;Loopback;RFC 1122;p\n"
    "169.254.0.0/16;Link Local;RFC 3927;p\n"
    "172.16.0.0/12;Private-Use;RFC 1918;p\n"
    "192.0.0.0/24;IETF Protocol Assignments;RFC 6890;c\n"
    "192.0.0.0/29;IPv4 Service Continuity Prefix;RFC 7335;c\n"
    "192.0.0.8/32;IPv4 dummy address;RFC 7600;c\n"
    "192.0.0.9/32;Port Control Protocol Anycast;RFC 7723;g\n"
    "192.0.0.10/32;Traversal Using Relays around NAT Anycast;RFC 8155;g\n"
    "192.0.0.170/32;NAT64/DNS64 Discovery;RFC 8880;c\n"
    "192.0.0.171/32;NAT64/DNS64 Discovery;RFC 8880;c\n"
    "192.0.2.0/24;Documentation (TEST-NET-1);RFC 5737;c\n"
    "192.31.196.0/24;AS112-v4;RFC 7535;g\n"
    "192.52.193.0/24;AMT;RFC 7450;g\n"
    "192.88.99.0/24;Deprecated (6to4 Relay Anycast);RFC 7526;c\n"
    "192.88.99.2/32;6a44-relay anycast address;RFC 6751;c\n"
    "192.168.0.0/16;Private-Use;RFC 1918;p\n"
    "192.175.48.0/24;Direct Delegation AS112 Service;RFC 7534;g\n"
    "198.18.0.0/15;Benchmarking;RFC 2544;c\n"
    "198.51.100.0/24;Documentation (TEST-NET-2);RFC 5737;c\n"
    "203.0.113.0/24;Documentation (TEST-NET-3);RFC 5737;c\n"
    "240.0.0.0/4;Reserved;RFC 1112;c\n"
    "255.255.255.255/32;Limited Broadcast;RFC 919;c\n"
    "224.0.0.0/4;Multicast;RFC 5771;c\n"

    "::1/128;Loopback Address;RFC 4291;p\n"
    "::/128;Unspecified Address;RFC 4291;p\n"
    "::ffff:0:0/96;IPv4-mapped Address;RFC 4291;c\n" /* addr.h makes them IPv4 before this */
    "64:ff9b::/96;IPv4-IPv6 Translat.;RFC 6052;g\n" /* where the IPv4 address inside is */
    "64:ff9b:1::/48;IPv4-IPv6 Translat.;RFC 8215;c\n"
    "100::/64;Discard-Only Address Block;RFC 6666;c\n"
    "100:0:0:1::/64;Dummy IPv6 Prefix;RFC 9780;c\n"
    "2001::/23;IETF Protocol Assignments;RFC 2928;c\n"
    "2001::/32;TEREDO;RFC 4380;c\n"
    "2001:1::1/128;Port Control Protocol Anycast;RFC 7723;g\n"
    "2001:1::2/128;Traversal Using Relays around NAT Anycast;RFC 8155;g\n"
    "2001:1::3/128;DNS-SD Service Registration Protocol Anycast;RFC 9665;g\n"
    "2001:2::/48;Benchmarking;RFC 5180;c\n"
    "2001:3::/32;AMT;RFC 7450;g\n"
    "2001:4:112::/48;AS112-v6;RFC 7535;g\n"
    "2001:10::/28;Deprecated (previously ORCHID);RFC 4843;c\n"
    "2001:20::/28;ORCHIDv2;RFC 7343;g\n"
    "2001:30::/28;Drone Remote ID Protocol Entity Tags (DETs) Prefix;RFC 9374;g\n"
    "2001:db8::/32;Documentation;RFC 3849;c\n"
    "2002::/16;6to4;RFC 3056;c\n"
    "2620:4f:8000::/48;Direct Delegation AS112 Service;RFC 7534;g\n"
    "3fff::/20;Documentation;RFC 9637;c\n"
    "5f00::/16;Segment Routing (SRv6) SIDs;RFC 9602;c\n"
    "fc00::/7;Unique-Local;RFC 4193;p\n"
    "fe80::/10;Link-Local Unicast;RFC 4291;p\n"
    "::/96;Deprecated (IPv4-compatible);RFC 4291;c\n"
    "::ffff:0:0:0/96;Deprecated (IPv4-translated);RFC 2765;c\n"
    "fec0::/10;Deprecated (Site-Local);RFC 3879;p\n"
    "ff00::/8;Multicast;RFC 4291;c\n"

    "169.254.169.254/32;Metadata;AWS, Azure, Google, Oracle and others;m\n"
    "169.254.170.2/32;Metadata;AWS ECS: task credentials;m\n"
    "169.254.170.23/32;Metadata;AWS EKS: pod identity;m\n"
    "fd00:ec2::23/128;Metadata;AWS EKS: pod identity;m\n"
    "fd00:ec2::254/128;Metadata;AWS;m\n"
    "fd20:ce::254/128;Metadata;Google;m\n"
    "168.63.129.16/32;Metadata;Azure: WireServer;m\n"
    "192.0.0.192/32;Metadata;Oracle Cloud Classic;m\n"
    "100.100.100.200/32;Metadata;Alibaba;m\n"
    "169.254.0.23/32;Metadata;Tencent;m\n"
    "169.254.42.42/32;Metadata;Scaleway;m\n"
    "fd00:42::42/128;Metadata;Scaleway;m\n";

enum { SPECIAL_RANGES = 68 };

/* The ranges, read once. */
static const struct special_range *special_ranges(void)
{
    static const char kinds[] = "gcpm"; /* enum special_kind's first letters */
    static struct special_range ranges[SPECIAL_RANGES];
    struct slice rest = {special_text, sizeof special_text - 1};

    for (size_t i = 0; i < SPECIAL_RANGES && ranges[SPECIAL_RANGES - 1].name.len == 0; i++) {
        struct slice line = slice_split(&rest, '\n');
        struct special_range range = {.prefix = slice_split(&line, ';')};

        ip_prefix_parse(range.prefix, &range.block);
        range.name = slice_split(&line, ';');
        range.source = slice_split(&line, ';');
        range.kind = (enum special_kind)(strchr(kinds, line.p[0]) - kinds);
        ranges[i] = range;
    }
    return ranges;
}

/* The longest range that holds all of a prefix; NULL: none does. */
static const struct special_range *special_of(struct ip_prefix prefix)
{
    const struct special_range *ranges = special_ranges(), *found = NULL;

    for (size_t i = 0; i < SPECIAL_RANGES; i++)
        if (ip_prefix_holds(ranges[i].block, prefix) && (found == NULL || ranges[i].block.len > found->block.len))
            found = &ranges[i];
    return found;
}

/* The part of 64:ff9b::/96 that a prefix is, as the IPv4 prefix that it translates to (RFC 6052, 3.1: what isn't global
 * there isn't here); any other prefix is itself. */
static struct ip_prefix special_translated(struct ip_prefix prefix)
{
    static const struct ip_prefix translators = {{0x64ff9bULL << 32, 0, 6}, 96};

    if (ip_prefix_holds(translators, prefix))
        return (struct ip_prefix){{0, prefix.addr.lo, 4}, (uint8_t)(prefix.len - 96)};
    return prefix;
}

/* The longest range that holds an address, which is canonical, for who wants to know what it is; of a translated one
 * what the IPv4 address is, where that is special. NULL: none. */
static const struct special_range *special_find(struct ip_addr addr)
{
    const struct special_range *inner = special_of(special_translated(ip_prefix_of(addr)));

    return inner != NULL ? inner : special_of(ip_prefix_of(addr));
}

/* Does a range begin or end within a prefix? */
static bool special_divides(struct ip_prefix prefix)
{
    const struct special_range *ranges = special_ranges();

    for (size_t i = 0; i < SPECIAL_RANGES; i++)
        if (ranges[i].block.len > prefix.len && ip_prefix_holds(prefix, ranges[i].block))
            return true;
    return false;
}

/* Does the word mean all of this prefix, which no range divides? Teredo and 6to4 addresses are never public, whatever
 * they carry. */
static bool special_means(enum special_word word, struct ip_prefix prefix)
{
    const struct special_range *ranges = special_ranges(), *range = special_of(prefix);

    if (word == WORD_PUBLIC)
        return range == NULL || range->kind == SPECIAL_GLOBAL;
    for (size_t i = 0; i < SPECIAL_RANGES; i++)
        if (ranges[i].kind == (word == WORD_PRIVATE ? SPECIAL_PRIVATE : SPECIAL_METADATA) &&
            ip_prefix_holds(ranges[i].block, prefix))
            return true;
    return false;
}

/* Call `each` with the prefixes that together are what the word means within a prefix. */
static void special_expand(enum special_word word, struct ip_prefix within,
                           void (*each)(struct ip_prefix prefix, void *argument), void *argument)
{
    struct ip_prefix judged = word == WORD_PUBLIC ? special_translated(within) : within, half = within;

    if (!special_divides(judged)) {
        if (special_means(word, judged))
            each(within, argument);
        return;
    }
    unsigned bit = within.addr.version == 4 ? 96u + half.len++ : half.len++; /* the one that tells the halves apart */
    special_expand(word, half, each, argument);
    if (bit < 64)
        half.addr.hi |= 1ULL << (63 - bit);
    else
        half.addr.lo |= 1ULL << (127 - bit);
    special_expand(word, half, each, argument);
}

/* Is this address, which is canonical, what the word means? */
static bool special_is(enum special_word word, struct ip_addr addr)
{
    struct ip_prefix whole = ip_prefix_of(addr);

    return special_means(word, word == WORD_PUBLIC ? special_translated(whole) : whole);
}

/* The word that this text is; SPECIAL_WORDS: none. */
static enum special_word special_word_of(struct slice text)
{
    unsigned word = 0;

    while (word < SPECIAL_WORDS && !slice_is(text, special_words[word]))
        word++;
    return (enum special_word)word;
}

#endif

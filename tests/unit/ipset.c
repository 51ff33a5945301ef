/* unit test of sys/ipset.h: a set answers as a scan of its rules would, whatever their shape, and stays small */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

#include "../../sys/ipset.h"

enum { ROUNDS = 3000, ROUND_ENTRIES = 24, LARGE = 100000 };

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix out;

    if (ip_prefix_parse(slice_of(text), &out) < 0)
        abort();
    return ip_prefix_canonical(out);
}

static struct ip_addr addr(const char *text)
{
    return prefix(text).addr;
}

static bool covers(const struct ipset_entry *entry, struct ip_addr at, uint16_t port)
{
    struct ip_prefix there = ip_prefix_canonical((struct ip_prefix){at, entry->prefix.len});

    return there.addr.hi == entry->prefix.addr.hi && there.addr.lo == entry->prefix.addr.lo &&
           entry->ports.first <= port && port <= entry->ports.last;
}

/* Is the set's answer one that a scan could give? Tags are indices here. */
static bool agrees(const struct ipset *set, const struct ipset_entry *entries, size_t n, struct ip_addr at,
                   uint16_t port)
{
    int64_t tag = ipset_find(set, at, port);

    if (tag >= 0)
        return (size_t)tag < n && covers(&entries[tag], at, port);
    for (size_t i = 0; i < n; i++)
        if (covers(&entries[i], at, port))
            return false;
    return true;
}

static size_t bytes(const struct ipset *set)
{
    return set->n_pieces * ((set->starts4 ? sizeof *set->starts4 : sizeof *set->starts6) + sizeof *set->pieces) +
           set->n_nodes * sizeof *set->nodes + set->n_ports * sizeof *set->ports;
}

static void test_empty(void)
{
    struct ipset set;

    EXPECT(ipset_build(&set, NULL, 0) == 0);
    EXPECT(ipset_find(&set, addr("10.0.0.1"), 443) == -1);
    EXPECT(bytes(&set) == 0 && set.starts4 == NULL && set.nodes == NULL && set.ports == NULL);
    ipset_free(&set);
}

static void test_one_rule(void)
{
    struct ipset_entry entry = {prefix("10.1.0.0/16"), {80, 90}, 7};
    struct ipset set;

    EXPECT(ipset_build(&set, &entry, 1) == 0);
    EXPECT(ipset_find(&set, addr("10.1.0.0"), 80) == 7);
    EXPECT(ipset_find(&set, addr("10.1.255.255"), 90) == 7);
    EXPECT(ipset_find(&set, addr("10.0.255.255"), 80) == -1);
    EXPECT(ipset_find(&set, addr("10.2.0.0"), 80) == -1);
    EXPECT(ipset_find(&set, addr("10.1.0.1"), 79) == -1);
    EXPECT(ipset_find(&set, addr("10.1.0.1"), 91) == -1);
    EXPECT(ipset_find(&set, addr("0.0.0.0"), 80) == -1);
    EXPECT(ipset_find(&set, addr("255.255.255.255"), 80) == -1);
    EXPECT(ipset_covers(&set, addr("10.1.0.0")) && ipset_covers(&set, addr("10.1.255.255"))); /* whatever the port */
    EXPECT(!ipset_covers(&set, addr("10.0.255.255")) && !ipset_covers(&set, addr("10.2.0.0")));
    ipset_free(&set);
    EXPECT(ipset_find(&set, addr("10.1.0.1"), 80) == -1);
}

static void test_ends_of_the_line(void)
{
    struct ipset_entry entries[] = {
        {prefix("0.0.0.0/32"), {0, 0}, 0},
        {prefix("255.255.255.255"), {65535, 65535}, 1},
        {prefix("128.0.0.0/1"), {0, 65535}, 2},
    };
    struct ipset set;

    EXPECT(ipset_build(&set, entries, 1) == 0);
    EXPECT(ipset_find(&set, addr("0.0.0.0"), 0) == 0);
    EXPECT(ipset_find(&set, addr("0.0.0.0"), 1) == -1);
    EXPECT(ipset_find(&set, addr("0.0.0.1"), 0) == -1);
    ipset_free(&set);
    EXPECT(ipset_build(&set, entries + 1, 1) == 0);
    EXPECT(ipset_find(&set, addr("255.255.255.255"), 65535) == 1);
    EXPECT(ipset_find(&set, addr("255.255.255.255"), 65534) == -1);
    EXPECT(ipset_find(&set, addr("255.255.255.254"), 65535) == -1);
    ipset_free(&set);
    EXPECT(ipset_build(&set, entries, 3) == 0);
    EXPECT(ipset_find(&set, addr("255.255.255.255"), 1) == 2);
    EXPECT(ipset_find(&set, addr("127.255.255.255"), 1) == -1);
    ipset_free(&set);
}

/* Not longest prefix: a narrow rule takes nothing from a wide one. */
static void test_any_covering_rule(void)
{
    struct ipset_entry entries[] = {
        {prefix("::/0"), {443, 443}, 0},
        {prefix("2001:db8::/32"), {80, 80}, 1},
        {prefix("2001:db8::1"), {22, 22}, 2},
        {prefix("2001:db8::2"), {25, 25}, 3},
    };
    struct ipset set;

    EXPECT(ipset_build(&set, entries, ARRAY_LEN(entries)) == 0);
    EXPECT(ipset_find(&set, addr("2001:db8::1"), 443) == 0);
    EXPECT(ipset_find(&set, addr("2001:db8::1"), 80) == 1);
    EXPECT(ipset_find(&set, addr("2001:db8::1"), 22) == 2);
    EXPECT(ipset_find(&set, addr("2001:db8::1"), 25) == -1);
    EXPECT(ipset_find(&set, addr("2001:db8::2"), 25) == 3);
    EXPECT(ipset_find(&set, addr("2001:db8::2"), 80) == 1);
    EXPECT(ipset_find(&set, addr("ffff::"), 443) == 0);
    EXPECT(ipset_find(&set, addr("ffff::"), 80) == -1);
    ipset_free(&set);
}

/* Random rules in a universe of few addresses and ports, where nearly everything nests, touches and overlaps. */
static void test_as_a_scan(uint8_t version)
{
    static const uint64_t corners[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    unsigned wrong = 0, hits = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct ipset_entry entries[ROUND_ENTRIES];
        struct ipset set;
        size_t n = 1 + unit_below(ROUND_ENTRIES);
        uint32_t base = (uint32_t)corners[unit_below(ARRAY_LEN(corners))], spread = 1 + unit_below(16);

        for (size_t i = 0; i < n; i++) {
            struct ip_addr at = {0, base + unit_below(spread), version};
            uint32_t bits = version == 4 ? 32 : 128, first = unit_below(16) * (unit_below(2) ? 1 : 4369);

            if (version == 6)
                at = (struct ip_addr){unit_below(2) ? at.lo : 0, unit_below(2) ? at.lo << 32 : UINT64_MAX - at.lo, 6};
            uint8_t len = (uint8_t)(unit_below(3) ? bits - unit_below(5) : unit_below(bits + 1));
            uint16_t last = (uint16_t)(unit_below(4) == 0 || first + unit_below(4) > 65535 ? 65535
                                                                                           : first + unit_below(4));
            if (last < first)
                last = (uint16_t)first;
            entries[i] = (struct ipset_entry){
                ip_prefix_canonical((struct ip_prefix){at, len}), {(uint16_t)first, last}, (uint32_t)i};
        }
        if (ipset_build(&set, entries, n) < 0)
            abort();
        for (unsigned probe = 0; probe < 200; probe++) {
            struct ip_addr at = entries[unit_below((uint32_t)n)].prefix.addr;
            uint16_t port = (uint16_t)(unit_below(20) * (unit_below(2) ? 1 : 4369));

            at.lo += unit_below(5);
            at.lo -= unit_below(3);
            if (version == 4)
                at.lo &= UINT32_MAX;
            wrong += !agrees(&set, entries, n, at, port);
            hits += ipset_find(&set, at, port) >= 0;
        }
        ipset_free(&set);
    }
    EXPECT(wrong == 0);
    EXPECT(hits > ROUNDS * 20 && hits < ROUNDS * 190); /* both answers were tried */
}

/* Probe a large set at its own rules, and beside them, against a scan. */
static void check_large(const struct ipset_entry *entries, size_t n)
{
    struct ipset set;
    unsigned wrong = 0;

    EXPECT(ipset_build(&set, entries, n) == 0);
    EXPECT(bytes(&set) <= 16 << 20);
    for (unsigned probe = 0; probe < 300; probe++) {
        const struct ipset_entry *entry = &entries[unit_below((uint32_t)n)];

        wrong += ipset_find(&set, entry->prefix.addr, entry->ports.last) < 0;
        wrong += !agrees(&set, entries, n, entry->prefix.addr, (uint16_t)unit_below(65536));
        wrong += !agrees(&set, entries, n, entries[unit_below((uint32_t)n)].prefix.addr, entry->ports.first);
    }
    EXPECT(wrong == 0);
    ipset_free(&set);
}

/* Shapes for which precomputed merging would need n * n / 2 pieces. */
static void test_large(void)
{
    struct ipset_entry *entries = calloc(LARGE, sizeof *entries);

    for (uint32_t i = 0; i < LARGE; i++) /* prefixes of each length around one address, each with ports of its own */
        entries[i] = (struct ipset_entry){ip_prefix_canonical((struct ip_prefix){{0x20010db8ULL << 32, 1, 6},
                                                                                 (uint8_t)(i % 129)}),
                                          {(uint16_t)unit_below(65536), 0}, i};
    for (uint32_t i = 0; i < LARGE; i++)
        entries[i].ports.last = entries[i].ports.first;
    check_large(entries, LARGE);
    for (uint32_t i = 0; i < LARGE; i++) { /* one address, overlapping port ranges */
        uint16_t first = (uint16_t)unit_below(65536);

        uint16_t last = (uint16_t)(first + unit_below(65536u - first));
        entries[i] = (struct ipset_entry){prefix("10.0.0.1"), {first, last}, i};
    }
    check_large(entries, LARGE);
    for (uint32_t i = 0; i < LARGE; i++) /* all addresses with many ports, and many addresses with one */
        entries[i] = i % 2 ? (struct ipset_entry){{{0, 0, 4}, 0}, {(uint16_t)(i / 2), (uint16_t)(i / 2)}, i}
                           : (struct ipset_entry){{{0, i * 40503u, 4}, 32}, {65535, 65535}, i};
    check_large(entries, LARGE);
    for (uint32_t i = 0; i < LARGE; i++) /* a full binary tree, each node with a port of its own */
        entries[i] = (struct ipset_entry){
            ip_prefix_canonical((struct ip_prefix){{0, (uint64_t)i << 15, 4}, (uint8_t)(32 - unit_below(17))}),
            {(uint16_t)i, (uint16_t)i}, i};
    check_large(entries, LARGE);
    free(entries);
}

int main(void)
{
    test_empty();
    test_one_rule();
    test_ends_of_the_line();
    test_any_covering_rule();
    test_as_a_scan(4);
    test_as_a_scan(6);
    test_large();
    return unit_done();
}

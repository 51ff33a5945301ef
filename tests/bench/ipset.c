/* bench of sys/addr.h and sys/ipset.h: time to read rules and build a set, its size, time of a lookup; one row for
 * each shape and number of rules */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "measure.h"

#include "../../sys/ipset.h"

enum { QUERIES = 1 << 18, ROUNDS = 4, ADDRESS_TEXT = 64, RUNS = 3 };

static uint64_t state;

/* xorshift64*: the same numbers in every run. */
static uint64_t any(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

/* The shapes. Each makes rule i of n. */
static struct ipset_entry v4_address(uint32_t i, uint32_t n)
{
    (void)n;
    return (struct ipset_entry){{{0, any() >> 32, 4}, 32}, {0, 65535}, i};
}

static struct ipset_entry v4_prefix_port(uint32_t i, uint32_t n)
{
    uint16_t first = (uint16_t)(any() % 60000), ports = (uint16_t)(any() % 4 ? 0 : any() % 1000);

    (void)n;
    return (struct ipset_entry){{{0, any() >> 32, 4}, (uint8_t)(12 + any() % 21)},
                                {first, (uint16_t)(first + ports)}, i};
}

static struct ipset_entry v6_address(uint32_t i, uint32_t n)
{
    (void)n;
    return (struct ipset_entry){{{0x2000ULL << 48 | any() >> 3, any(), 6}, 128}, {0, 65535}, i};
}

static struct ipset_entry v6_prefix_port(uint32_t i, uint32_t n)
{
    struct ipset_entry entry = v4_prefix_port(i, n);

    entry.prefix = (struct ip_prefix){{0x2000ULL << 48 | any() >> 3, any(), 6}, (uint8_t)(24 + any() % 105)};
    return entry;
}

/* Every length around one address, with ports of its own. */
static struct ipset_entry v6_nested(uint32_t i, uint32_t n)
{
    uint16_t port = (uint16_t)any();

    (void)n;
    return (struct ipset_entry){{{0x20010db8ULL << 32, 1, 6}, (uint8_t)(i % 129)}, {port, port}, i};
}

static struct ipset_entry v4_ports(uint32_t i, uint32_t n)
{
    uint16_t first = (uint16_t)any();

    (void)n;
    return (struct ipset_entry){{{0, 0x0a000001, 4}, 32}, {first, (uint16_t)(first | (any() & 15))}, i};
}

/* All addresses with many ports, and many addresses with one. */
static struct ipset_entry v4_wide_and_narrow(uint32_t i, uint32_t n)
{
    uint16_t port = (uint16_t)(i / 2);

    if (i % 2 || n == 1)
        return (struct ipset_entry){{{0, 0, 4}, 0}, {port, port}, i};
    return (struct ipset_entry){{{0, any() >> 32, 4}, 32}, {65535, 65535}, i};
}

/* A full binary tree of prefixes: the most chains on the way up. */
static struct ipset_entry v4_tree(uint32_t i, uint32_t n)
{
    unsigned len = 31 - (unsigned)__builtin_clz(i + 1);

    (void)n;
    return (struct ipset_entry){{{0, len ? (uint64_t)(i + 1) << (32 - len) & UINT32_MAX : 0, 4}, (uint8_t)len},
                                {(uint16_t)i, (uint16_t)i}, i};
}

static const struct shape {
    const char *name;
    struct ipset_entry (*make)(uint32_t i, uint32_t n);
} shapes[] = {
    {"IPv4 addresses", v4_address},
    {"IPv4 prefixes, ports", v4_prefix_port},
    {"IPv6 addresses", v6_address},
    {"IPv6 prefixes, ports", v6_prefix_port},
    {"129 nested prefixes", v6_nested},
    {"ports of one address", v4_ports},
    {"wide and narrow", v4_wide_and_narrow},
    {"binary tree", v4_tree},
};

/* ns of one lookup; each waits for the one before, as calls do. */
static double time_lookups(const struct ipset *set, const struct ip_addr *addrs, const uint16_t *ports, double *hits)
{
    uint64_t found = 0, nothing = 0;
    double start = measure_now();

    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < QUERIES; i++) {
            struct ip_addr at = addrs[i];

            at.lo += nothing;
            int64_t tag = ipset_find(set, at, ports[i]);
            found += tag >= 0;
            nothing = (uint64_t)(tag + 1) >> 62;
        }
    *hits = (double)found / ROUNDS / QUERIES;
    return (measure_now() - start) / ROUNDS / QUERIES;
}

static size_t set_bytes(const struct ipset *set)
{
    return set->n_pieces * ((set->starts4 ? sizeof *set->starts4 : sizeof *set->starts6) + sizeof *set->pieces) +
           set->n_nodes * sizeof *set->nodes + set->n_ports * sizeof *set->ports;
}

static double load(struct ipset *set, struct ipset_entry *entries, char (*texts)[ADDRESS_TEXT], uint32_t n)
{
    double start = measure_now();

    for (uint32_t i = 0; i < n; i++) {
        NEED(ip_prefix_parse(slice_of(texts[i]), &entries[i].prefix) == 0, texts[i]);
        entries[i].prefix = ip_prefix_canonical(entries[i].prefix);
    }
    NEED(ipset_build(set, entries, n) == 0, "ipset_build");
    return (measure_now() - start) / 1e6;
}

static void row(const struct shape *shape, uint32_t n)
{
    struct ipset_entry *entries = calloc(n, sizeof *entries);
    char(*texts)[ADDRESS_TEXT] = calloc(n, sizeof *texts);
    struct ip_addr *addrs = calloc(QUERIES, sizeof *addrs);
    uint16_t *ports = calloc(QUERIES, sizeof *ports);
    struct ipset set = {0};
    double best = 1e9, hits, misses;

    NEED(entries != NULL && texts != NULL && addrs != NULL && ports != NULL, "calloc");
    state = 0x9e3779b97f4a7c15;
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = shape->make(i, n);
        size_t used = ip_addr_format(texts[i], ADDRESS_TEXT, entries[i].prefix.addr);
        snprintf(texts[i] + used, ADDRESS_TEXT - used, "/%u", entries[i].prefix.len);
    }
    for (unsigned run = 0; run < RUNS; run++) {
        ipset_free(&set);
        double took = load(&set, entries, texts, n);
        best = took < best ? took : best;
    }
    for (unsigned i = 0; i < QUERIES; i++) {
        const struct ipset_entry *entry = &entries[any() % n];

        addrs[i] = entry->prefix.addr;
        ports[i] = entry->ports.last;
    }
    double hit_ns = time_lookups(&set, addrs, ports, &hits);
    for (unsigned i = 0; i < QUERIES; i++)
        ports[i] = (uint16_t)any();
    double random_ns = time_lookups(&set, addrs, ports, &misses);
    printf("%-22s %8u %10.2f %10.1f %12.0f %12.0f %8.0f%%\n", shape->name, n, best, (double)set_bytes(&set) / 1024,
           hit_ns, random_ns, misses * 100);
    ipset_free(&set);
    free(entries);
    free(texts);
    free(addrs);
    free(ports);
}

int main(void)
{
    static const uint32_t numbers[] = {1, 1000, 100000, 1000000};

    printf("%-22s %8s %10s %10s %12s %12s %9s\n", "shape", "rules", "load ms", "KiB", "ns, a rule's", "ns, any port",
           "covered");
    for (size_t s = 0; s < ARRAY_LEN(shapes); s++)
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
            row(&shapes[s], numbers[i]);
    return 0;
}

/* ipset.h - a set of (prefix, port range) rules of one IP version: which of them covers an address and a port */
#ifndef IPSET_H
#define IPSET_H

#include "addr.h"

/* Prefixes nest or are disjoint, so they form a tree, and those that hold one address are a path from a node to the
 * root. The address line is cut where prefixes begin and end; each piece knows the smallest prefix that holds it. The
 * tree is cut into chains (heavy-path decomposition): each node's chain goes on to the child with the most rules below
 * it. A chain has one sorted table of disjoint port ranges, each with the length of the shortest prefix that opens it,
 * as that opens it for every node further down. A lookup is one binary search for the address, and one in the table of
 * each chain up to the root. With each step to another chain the number of rules below at least doubles: there are at
 * most log2(n) steps, usually one or two. The size is linear in the number of rules, whatever they are. */

enum {
    IPSET_DEPTH = 129,    /* prefixes around one address: lengths 0..128 */
    IPSET_MAX = 1 << 30,  /* entries */
};

#define IPSET_NONE UINT32_MAX

/* One rule. The prefix is canonical: see ip_prefix_canonical. */
struct ipset_entry {
    struct ip_prefix prefix;
    struct port_range ports;
    uint32_t tag; /* what ipset_find answers */
};

struct ipset_ports {
    uint16_t first, last;
    uint8_t len; /* of the shortest prefix in the chain that opens them */
    uint32_t tag;
};

struct ipset_node {
    uint32_t ports, n_ports; /* its chain's table in ipset.ports */
    uint32_t up;             /* the node above its chain's top, or IPSET_NONE */
    uint8_t len;
};

/* Owns its arrays. Everything zero: the empty set. */
struct ipset {
    uint32_t *starts4;          /* where each piece begins, sorted: one of the two, */
    unsigned __int128 *starts6; /* by the IP version */
    uint32_t *pieces;           /* the node of the smallest prefix that holds the piece, or IPSET_NONE */
    struct ipset_node *nodes;
    struct ipset_ports *ports;
    uint32_t n_pieces, n_nodes, n_ports;
};

/* What is sorted, by major, then minor. First the entries: place, prefix length, index. Then each chain's: first port,
 * last port and prefix length, tag. */
struct ipset_key {
    unsigned __int128 major;
    uint32_t minor, value;
};

/* What exists only while a set is built. Nodes are in the order of the sorted prefixes: each before those inside it. */
struct ipset_builder {
    const struct ipset_entry *entries;
    size_t n;
    struct ipset_key *keys; /* n, and n more for the sort */
    uint32_t *node_of;      /* of each key; n + 1 of this and the following */
    uint32_t *parents;      /* of each node */
    uint32_t *weights;      /* entries at or below each node */
    uint32_t *heavy;        /* the child with the most entries: its chain goes on there; or IPSET_NONE */
    uint32_t *chains;       /* the top node of each node's chain */
};

/* An address as a place on the line: its first bit is the highest, for either version. */
static unsigned __int128 ipset_place(struct ip_addr addr)
{
    return addr.version == 4 ? (unsigned __int128)addr.lo << 96 : (unsigned __int128)addr.hi << 64 | addr.lo;
}

static bool ipset_key_before(const struct ipset_key *a, const struct ipset_key *b)
{
    return a->major < b->major || (a->major == b->major && a->minor < b->minor);
}

/* A stable merge sort of keys[0..n), with room for n more: qsort(3) takes five times as long here. */
static void ipset_sort(struct ipset_key *keys, struct ipset_key *room, size_t n)
{
    struct ipset_key *from = keys, *to = room;

    for (size_t width = 1; width < n; width *= 2) {
        for (size_t at = 0; at < n; at += 2 * width) {
            size_t left = at, middle = at + width < n ? at + width : n;
            size_t right = middle, end = middle + width < n ? middle + width : n;

            for (size_t i = at; i < end; i++)
                to[i] = right == end || (left < middle && !ipset_key_before(&from[right], &from[left]))
                            ? from[left++]
                            : from[right++];
        }
        struct ipset_key *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != keys)
        memcpy(keys, from, n * sizeof *keys);
}

/* From `place` on the pieces belong to `node`. */
static void ipset_add_piece(struct ipset *set, unsigned __int128 place, uint32_t node)
{
    uint32_t at = set->n_pieces;
    uint32_t place4 = (uint32_t)(place >> 96);

    if (at > 0 && (set->starts4 ? set->starts4[at - 1] == place4 : set->starts6[at - 1] == place))
        at--;
    if (set->starts4)
        set->starts4[at] = place4;
    else
        set->starts6[at] = place;
    set->pieces[at] = node;
    set->n_pieces = at + 1;
}

/* Make the tree's nodes and the pieces of the address line from the sorted entries. */
static void ipset_build_tree(struct ipset *set, struct ipset_builder *b)
{
    struct {
        uint32_t node;
        unsigned __int128 last;
    } open[IPSET_DEPTH + 1] = {{IPSET_NONE, ~(unsigned __int128)0}}; /* the prefixes around the current place */
    size_t depth = 0;

    for (size_t i = 0; i <= b->n; i++) {
        const struct ipset_key *key = &b->keys[i];

        if (i > 0 && i < b->n && key->major == key[-1].major && key->minor == key[-1].minor) {
            b->node_of[i] = open[depth].node;
            b->weights[open[depth].node]++;
            continue;
        }
        while (depth > 0 && (i == b->n || open[depth].last < key->major)) {
            unsigned __int128 next = open[depth--].last + 1;

            if (next != 0)
                ipset_add_piece(set, next, open[depth].node);
        }
        if (i == b->n)
            return;
        uint32_t node = set->n_nodes++;
        unsigned len = key->minor;
        set->nodes[node].len = (uint8_t)len;
        b->node_of[i] = node;
        b->parents[node] = open[depth].node;
        b->weights[node] = 1;
        b->heavy[node] = IPSET_NONE;
        ipset_add_piece(set, key->major, node);
        depth++;
        open[depth].node = node;
        open[depth].last = len == 128 ? key->major : key->major | ~(unsigned __int128)0 >> len;
    }
}

/* Cut the tree into chains. */
static void ipset_build_chains(struct ipset *set, struct ipset_builder *b)
{
    for (uint32_t node = set->n_nodes; node-- > 0;) {
        uint32_t parent = b->parents[node];

        if (parent == IPSET_NONE)
            continue;
        b->weights[parent] += b->weights[node];
        if (b->heavy[parent] == IPSET_NONE || b->weights[b->heavy[parent]] < b->weights[node])
            b->heavy[parent] = node;
    }
    for (uint32_t node = 0; node < set->n_nodes; node++) {
        uint32_t parent = b->parents[node];
        bool continues = parent != IPSET_NONE && b->heavy[parent] == node;

        b->chains[node] = continues ? b->chains[parent] : node;
        set->nodes[node].up = continues ? set->nodes[parent].up : parent;
    }
}

static void ipset_append(struct ipset *set, uint32_t begin, struct ipset_ports ports)
{
    struct ipset_ports *end = set->ports + set->n_ports;

    if (set->n_ports > begin && end[-1].last + 1 == ports.first && end[-1].len == ports.len && end[-1].tag == ports.tag)
        end[-1].last = ports.last;
    else
        set->ports[set->n_ports++] = ports;
}

/* Append one chain's table, from its keys[0..n), n > 0. */
static void ipset_build_table(struct ipset *set, const struct ipset_key *keys, size_t n)
{
    struct {
        uint32_t end; /* the first port behind the range; of several of one length the one that reaches furthest */
        uint32_t tag;
    } open[IPSET_DEPTH];
    uint32_t begin = set->n_ports, port = 0;
    unsigned shortest = IPSET_DEPTH, longest = 0;
    size_t i = 0;

    for (size_t k = 0; k < n; k++) {
        unsigned len = keys[k].minor & 255;

        shortest = len < shortest ? len : shortest;
        longest = len > longest ? len : longest;
    }
    for (unsigned len = shortest; len <= longest; len++)
        open[len].end = 0;
    for (;;) {
        for (; i < n && keys[i].major <= port; i++) {
            unsigned len = keys[i].minor & 255;
            uint32_t end = (keys[i].minor >> 8) + 1;

            if (end > open[len].end) {
                open[len].end = end;
                open[len].tag = keys[i].value;
            }
        }
        unsigned len = shortest;
        while (len <= longest && open[len].end <= port)
            len++;
        uint32_t next = i < n ? (uint32_t)keys[i].major : UINT16_MAX + 1u;
        if (len > longest && i == n)
            return;
        if (len <= longest) {
            next = open[len].end < next ? open[len].end : next;
            ipset_append(set, begin,
                         (struct ipset_ports){(uint16_t)port, (uint16_t)(next - 1), (uint8_t)len, open[len].tag});
        }
        port = next;
    }
}

/* Make the chains' tables and point the nodes at them. The keys are grouped by chain, then each group is sorted. */
static void ipset_build_tables(struct ipset *set, struct ipset_builder *b)
{
    struct ipset_key *grouped = b->keys + b->n;
    uint32_t *begins = b->weights; /* of each top node's group; a node that is no top has none */

    memset(begins, 0, (set->n_nodes + 1) * sizeof *begins);
    for (size_t i = 0; i < b->n; i++)
        begins[b->chains[b->node_of[i]]]++;
    for (uint32_t node = 1; node <= set->n_nodes; node++)
        begins[node] += begins[node - 1];
    for (size_t i = b->n; i-- > 0;) {
        const struct ipset_entry *entry = &b->entries[b->keys[i].value];

        grouped[--begins[b->chains[b->node_of[i]]]] = (struct ipset_key){
            entry->ports.first, (uint32_t)entry->ports.last << 8 | entry->prefix.len, entry->tag};
    }
    for (uint32_t node = 0; node < set->n_nodes; node++) {
        uint32_t begin = begins[node], n = begins[node + 1] - begin;
        const struct ipset_node *top = &set->nodes[b->chains[node]];

        if (n > 0) {
            ipset_sort(grouped + begin, b->keys, n);
            set->nodes[node].ports = set->n_ports;
            ipset_build_table(set, grouped + begin, n);
            set->nodes[node].n_ports = set->n_ports - set->nodes[node].ports;
        } else {
            set->nodes[node].ports = top->ports; /* the top comes first */
            set->nodes[node].n_ports = top->n_ports;
        }
    }
}

/* Free what a set owns; it is empty then. */
static void ipset_free(struct ipset *set)
{
    free(set->starts4);
    free(set->starts6);
    free(set->pieces);
    free(set->nodes);
    free(set->ports);
    memset(set, 0, sizeof *set);
}

/* Give back what n elements don't need. */
static void *ipset_shrink(void *array, size_t n, size_t size)
{
    void *shrunk = array != NULL && n > 0 ? realloc(array, n * size) : NULL;

    return shrunk != NULL ? shrunk : array;
}

static bool ipset_allocate(struct ipset *set, struct ipset_builder *b, bool v4)
{
    uint32_t *numbers = calloc(b->n + 1, 5 * sizeof *numbers);

    b->node_of = numbers;
    b->keys = calloc(b->n, 2 * sizeof *b->keys);
    if (v4)
        set->starts4 = calloc(2 * b->n, sizeof *set->starts4);
    else
        set->starts6 = calloc(2 * b->n, sizeof *set->starts6);
    set->pieces = calloc(2 * b->n, sizeof *set->pieces);
    set->nodes = calloc(b->n, sizeof *set->nodes);
    set->ports = calloc(2 * b->n, sizeof *set->ports);
    if (numbers == NULL || b->keys == NULL || (set->starts4 == NULL && set->starts6 == NULL) || set->pieces == NULL ||
        set->nodes == NULL || set->ports == NULL)
        return false;
    b->parents = numbers + (b->n + 1);
    b->weights = numbers + 2 * (b->n + 1);
    b->heavy = numbers + 3 * (b->n + 1);
    b->chains = numbers + 4 * (b->n + 1);
    return true;
}

/* Build a set from n entries of one IP version; n = 0 gives the empty set, which owns nothing. The entries stay the
 * caller's and aren't kept. 0, or -ENOMEM with the set empty. */
static int ipset_build(struct ipset *set, const struct ipset_entry *entries, size_t n)
{
    struct ipset_builder b = {.entries = entries, .n = n};

    memset(set, 0, sizeof *set);
    if (n == 0)
        return 0;
    bool fits = n <= IPSET_MAX && ipset_allocate(set, &b, entries[0].prefix.addr.version == 4);
    if (fits) {
        for (size_t i = 0; i < n; i++)
            b.keys[i] = (struct ipset_key){ipset_place(entries[i].prefix.addr), entries[i].prefix.len, (uint32_t)i};
        ipset_sort(b.keys, b.keys + n, n);
        ipset_build_tree(set, &b);
        ipset_build_chains(set, &b);
        ipset_build_tables(set, &b);
        set->starts4 = ipset_shrink(set->starts4, set->n_pieces, sizeof *set->starts4);
        set->starts6 = ipset_shrink(set->starts6, set->n_pieces, sizeof *set->starts6);
        set->pieces = ipset_shrink(set->pieces, set->n_pieces, sizeof *set->pieces);
        set->nodes = ipset_shrink(set->nodes, set->n_nodes, sizeof *set->nodes);
        set->ports = ipset_shrink(set->ports, set->n_ports, sizeof *set->ports);
    } else {
        ipset_free(set);
    }
    free(b.node_of);
    free(b.keys);
    return fits ? 0 : -ENOMEM;
}

/* How many of the n sorted starts are not beyond an address. The halving has no branch that could be mispredicted. */
static uint32_t ipset_count4(const uint32_t *starts, uint32_t n, uint32_t place)
{
    const uint32_t *base = starts;

    for (; n > 1; n -= n / 2)
        base += base[n / 2 - 1] <= place ? n / 2 : 0;
    return (uint32_t)(base - starts) + (*base <= place);
}

static uint32_t ipset_count6(const unsigned __int128 *starts, uint32_t n, unsigned __int128 place)
{
    const unsigned __int128 *base = starts;

    for (; n > 1; n -= n / 2)
        base += base[n / 2 - 1] <= place ? n / 2 : 0;
    return (uint32_t)(base - starts) + (*base <= place);
}

/* The range of a chain's table that holds a port, or NULL. */
static const struct ipset_ports *ipset_find_port(const struct ipset_ports *base, uint32_t n, uint16_t port)
{
    for (; n > 1; n -= n / 2)
        base += base[n / 2].first <= port ? n / 2 : 0;
    return n == 1 && base->first <= port && port <= base->last ? base : NULL;
}

/* The node of the smallest prefix that holds an address, or IPSET_NONE. */
static uint32_t ipset_node_of(const struct ipset *set, struct ip_addr addr)
{
    unsigned __int128 place = ipset_place(addr);

    if (set->n_pieces == 0)
        return IPSET_NONE;
    uint32_t before = set->starts4 ? ipset_count4(set->starts4, set->n_pieces, (uint32_t)(place >> 96))
                                   : ipset_count6(set->starts6, set->n_pieces, place);
    return before > 0 ? set->pieces[before - 1] : IPSET_NONE;
}

/* Does any entry, whatever its ports, hold this address? */
static bool ipset_covers(const struct ipset *set, struct ip_addr addr)
{
    return ipset_node_of(set, addr) != IPSET_NONE;
}

/* The tag of an entry that covers the address, which is of the set's version, and the port; any of them when there are
 * several. -1: none does. */
static int64_t ipset_find(const struct ipset *set, struct ip_addr addr, uint16_t port)
{
    uint32_t node = ipset_node_of(set, addr);

    while (node != IPSET_NONE) {
        const struct ipset_node *at = &set->nodes[node];
        const struct ipset_ports *ports = ipset_find_port(set->ports + at->ports, at->n_ports, port);

        if (ports != NULL && ports->len <= at->len)
            return ports->tag;
        node = at->up;
    }
    return -1;
}

#endif

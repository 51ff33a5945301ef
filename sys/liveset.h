/* liveset.h - prefixes and port ranges that come and go: the newest one that covers an address and a port */
#ifndef LIVESET_H
#define LIVESET_H

#include "addr.h"

/* A hash table by (owner, kind, prefix, port), where a range of more than one port has the same place as all others of
 * its prefix. A lookup tries each prefix length that is in use: adding, removing and looking up cost the same however
 * many there are, but for ranges beneath one prefix. Fixed in size, so that no number of changes makes it larger. */
enum {
    LIVESET_MAX = 65536,
    LIVESET_BUCKETS = 65536,
    LIVESET_LENGTHS = 129,   /* of prefixes: 0..128 */
    LIVESET_RANGE = 0x10000, /* stands for a port in the hash of a range */
};

/* Owner, kind and tag are the holder's: to tell sets apart, protocols, and what this is. The prefix is canonical. */
struct liveset_rule {
    struct ip_prefix prefix;
    uint64_t order; /* the newer, the higher; 0: a free place */
    uint32_t owner, tag;
    struct port_range ports;
    uint8_t kind;
    bool any_port;  /* it also speaks of the address as such, whatever the port */
};

/* Everything zero: empty. Places are numbers below `used`; links are a place + 1, 0 ends a list. */
struct liveset {
    struct liveset_rule rules[LIVESET_MAX];
    uint32_t next[LIVESET_MAX];
    uint32_t buckets[LIVESET_BUCKETS];
    uint32_t lengths[2][LIVESET_LENGTHS]; /* how many rules have it; [IPv4, IPv6] */
    uint32_t free, used, n;
};

static uint32_t liveset_bucket(uint32_t owner, uint8_t kind, struct ip_prefix prefix, uint32_t port)
{
    uint64_t hash = prefix.addr.hi * 0x9e3779b97f4a7c15 ^ (uint64_t)owner << 32 ^ prefix.addr.lo;

    hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9 + ((uint64_t)port << 24 | (uint64_t)prefix.len << 8 | kind);
    hash = (hash ^ hash >> 32) * 0x94d049bb133111eb;
    return (uint32_t)(hash >> 32) % LIVESET_BUCKETS;
}

static uint32_t *liveset_bucket_of(struct liveset *set, const struct liveset_rule *rule)
{
    bool range = rule->ports.first != rule->ports.last;

    return &set->buckets[liveset_bucket(rule->owner, rule->kind, rule->prefix,
                                        range ? LIVESET_RANGE : rule->ports.first)];
}

static bool liveset_same_prefix(struct ip_prefix a, struct ip_prefix b)
{
    return a.len == b.len && ip_addr_equal(a.addr, b.addr);
}

/* Add a rule. Its place, or -ENOBUFS. */
static int64_t liveset_add(struct liveset *set, const struct liveset_rule *rule)
{
    if (set->free == 0 && set->used == LIVESET_MAX)
        return -ENOBUFS;
    uint32_t place = set->free ? set->free - 1 : set->used++;
    if (set->free)
        set->free = set->next[place];
    uint32_t *bucket = liveset_bucket_of(set, rule);
    set->rules[place] = *rule;
    set->next[place] = *bucket;
    *bucket = place + 1;
    set->lengths[rule->prefix.addr.version == 6][rule->prefix.len]++;
    set->n++;
    return place;
}

static void liveset_remove(struct liveset *set, uint32_t place)
{
    struct liveset_rule *rule = &set->rules[place];
    uint32_t *link = liveset_bucket_of(set, rule);

    while (*link != place + 1)
        link = &set->next[*link - 1];
    *link = set->next[place];
    set->lengths[rule->prefix.addr.version == 6][rule->prefix.len]--;
    set->n--;
    rule->order = 0;
    set->next[place] = set->free;
    set->free = place + 1;
}

/* The next rule like this one in all but order and tag: behind `place`, or the first where that is -1. -1: none. */
static int64_t liveset_like(struct liveset *set, const struct liveset_rule *rule, int64_t place)
{
    uint32_t link = place < 0 ? *liveset_bucket_of(set, rule) : set->next[place];

    for (; link != 0; link = set->next[link - 1]) {
        const struct liveset_rule *other = &set->rules[link - 1];

        if (other->owner == rule->owner && other->kind == rule->kind && other->ports.first == rule->ports.first &&
            other->ports.last == rule->ports.last && liveset_same_prefix(other->prefix, rule->prefix))
            return link - 1;
    }
    return -1;
}

/* Of the rules in one bucket the newest that has this prefix and all of these ports; `best` if that is newer. */
static int64_t liveset_newer(const struct liveset *set, uint32_t owner, uint8_t kind, struct ip_prefix prefix,
                             struct port_range ports, uint32_t hashed, int64_t best)
{
    uint32_t link = set->buckets[liveset_bucket(owner, kind, prefix, hashed)];

    for (; link != 0; link = set->next[link - 1]) {
        const struct liveset_rule *rule = &set->rules[link - 1];

        if (rule->owner == owner && rule->kind == kind && rule->ports.first <= ports.first &&
            rule->ports.last >= ports.last && liveset_same_prefix(rule->prefix, prefix) &&
            (best < 0 || rule->order > set->rules[best].order))
            best = link - 1;
    }
    return best;
}

/* The place of the newest rule that covers all of a prefix and of a range of ports; -1: none does. */
static int64_t liveset_find(const struct liveset *set, uint32_t owner, uint8_t kind, struct ip_prefix prefix,
                            struct port_range ports)
{
    int64_t best = -1;

    for (unsigned len = 0; set->n > 0 && len <= prefix.len; len++) {
        struct ip_prefix around = ip_prefix_canonical((struct ip_prefix){prefix.addr, (uint8_t)len});

        if (set->lengths[prefix.addr.version == 6][len] == 0)
            continue;
        if (ports.first == ports.last)
            best = liveset_newer(set, owner, kind, around, ports, ports.first, best);
        best = liveset_newer(set, owner, kind, around, ports, LIVESET_RANGE, best);
    }
    return best;
}

/* The place of the newest rule that speaks of an address whatever the port; -1: none. Looks at all of them. */
static int64_t liveset_find_any_port(const struct liveset *set, uint32_t owner, uint8_t kind, struct ip_addr addr)
{
    int64_t best = -1;

    for (uint32_t place = 0; place < set->used; place++) {
        const struct liveset_rule *rule = &set->rules[place];

        if (rule->order > 0 && rule->owner == owner && rule->kind == kind && rule->any_port &&
            ip_prefix_holds(rule->prefix, ip_prefix_of(addr)) && (best < 0 || rule->order > set->rules[best].order))
            best = place;
    }
    return best;
}

#endif

/* unit test of sys/liveset.h and sys/ipbox.h: a set that changes answers as a scan of its rules would, and what boxes
 * have in common, or without each other, is that address by address and port by port */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

#include "../../sys/ipbox.h"
#include "../../sys/liveset.h"

enum { CHANGES = 20000, KEPT = 200, ROUNDS = 3000 };

/* Few addresses and ports, so that much covers much: prefixes around 10.0.0.0 and 2001:db8::, also short ones. */
static struct ip_addr any_addr(bool v6)
{
    return v6 ? (struct ip_addr){0x20010db800000000, unit_below(4) ? unit_below(16) : (uint64_t)unit_below(16) << 60, 6}
              : (struct ip_addr){0, 0x0a000000u + unit_below(32), 4};
}

static struct ip_prefix any_prefix(bool v6)
{
    uint8_t full = v6 ? 128 : 32, len = (uint8_t)(unit_below(8) ? full - unit_below(6) : unit_below(full + 1u));

    return ip_prefix_canonical((struct ip_prefix){any_addr(v6), len});
}

static struct port_range any_ports(void)
{
    uint16_t first = (uint16_t)unit_below(12);

    switch (unit_below(4)) {
    case 0:
        return (struct port_range){0, UINT16_MAX};
    case 1:
        return (struct port_range){first, (uint16_t)(first + unit_below(6))};
    }
    return (struct port_range){first, first};
}

static struct liveset set;

/* The order of the newest rule that holds all of this, by a look at each; 0: none. */
static uint64_t newest(uint32_t owner, uint8_t kind, struct ip_prefix prefix, struct port_range ports)
{
    uint64_t order = 0;

    for (uint32_t i = 0; i < set.used; i++) {
        const struct liveset_rule *rule = &set.rules[i];

        if (rule->order > order && rule->owner == owner && rule->kind == kind &&
            ip_prefix_holds(rule->prefix, prefix) && rule->ports.first <= ports.first && rule->ports.last >= ports.last)
            order = rule->order;
    }
    return order;
}

static void test_set(void)
{
    uint32_t places[KEPT], n = 0, wrong = 0;

    for (uint64_t order = 1; order <= CHANGES; order++) {
        bool v6 = unit_below(2);
        struct liveset_rule rule = {.prefix = any_prefix(v6), .order = order,
                                    .owner = unit_below(3), .tag = unit_below(9),
                                    .ports = any_ports(), .kind = (uint8_t)unit_below(2), .any_port = unit_below(2)};

        if (n == KEPT || (n > 0 && unit_below(3) == 0)) {
            uint32_t i = unit_below(n);

            liveset_remove(&set, places[i]);
            places[i] = places[--n];
        }
        places[n++] = (uint32_t)liveset_add(&set, &rule);
        int64_t like = liveset_like(&set, &rule, -1);
        wrong += like < 0 || set.n != n;
        struct ip_prefix about = unit_below(2) ? any_prefix(v6) : ip_prefix_of(any_addr(v6));
        struct port_range ports = any_ports();
        int64_t found = liveset_find(&set, rule.owner, rule.kind, about, ports);
        wrong += (found < 0 ? 0 : set.rules[found].order) != newest(rule.owner, rule.kind, about, ports);
    }
    EXPECT(wrong == 0);
    EXPECT(set.used <= KEPT);
    while (n > 0)
        liveset_remove(&set, places[--n]);
    EXPECT(set.n == 0 && liveset_find(&set, 0, 0, any_prefix(false), any_ports()) < 0);
    for (unsigned len = 0; len < LIVESET_LENGTHS; len++)
        wrong += set.lengths[0][len] + set.lengths[1][len];
    EXPECT(wrong == 0);
}

static void test_full(void)
{
    struct liveset_rule rule = {.prefix = {{0, 1, 4}, 32}, .order = 1, .ports = {1, 1}};
    int64_t place = 0;

    for (uint32_t i = 0; i < LIVESET_MAX; i++) {
        rule.ports.first = rule.ports.last = (uint16_t)i;
        place = liveset_add(&set, &rule);
    }
    EXPECT(place == LIVESET_MAX - 1);
    EXPECT(liveset_add(&set, &rule) == -ENOBUFS);
    place = liveset_find(&set, 0, 0, rule.prefix, (struct port_range){77, 77});
    EXPECT(place >= 0);
    liveset_remove(&set, (uint32_t)place);
    EXPECT(liveset_find(&set, 0, 0, rule.prefix, (struct port_range){77, 77}) < 0);
    EXPECT(liveset_add(&set, &rule) == place);
}

static bool holds(const struct ip_box *box, struct ip_addr addr, uint16_t port)
{
    return ip_prefix_holds(box->prefix, ip_prefix_of(addr)) && box->ports.first <= port && port <= box->ports.last;
}

static void test_boxes(void)
{
    unsigned wrong = 0, met = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        bool v6 = unit_below(2);
        struct ip_box a = {any_prefix(v6), any_ports(), 0, true, 1}, b = {any_prefix(v6), any_ports(), 0, true, 2};
        struct ip_box common, pieces[IPBOX_PIECES];
        bool meets = ip_box_common(&a, &b, &common);
        size_t n = ip_box_without(&a, &b, pieces);

        met += meets;
        for (unsigned i = 0; i < 40; i++) {
            struct ip_addr addr = any_addr(v6);
            uint16_t port = (uint16_t)unit_below(20);
            bool in_a = holds(&a, addr, port), in_b = holds(&b, addr, port);
            size_t in_pieces = 0;

            for (size_t p = 0; p < n; p++)
                in_pieces += holds(&pieces[p], addr, port);
            wrong += (meets && holds(&common, addr, port)) != (in_a && in_b);
            wrong += in_pieces != (size_t)(in_a && !in_b);
        }
        if (meets && common.whole)
            wrong += !ip_box_is_within(&common, common.tag == 1 ? &a : &b) ||
                     !ip_box_is_within(common.tag == 1 ? &a : &b, &common);
    }
    EXPECT(wrong == 0);
    EXPECT(met > ROUNDS / 10);
}

int main(void)
{
    test_set();
    test_full();
    test_boxes();
    return unit_done();
}

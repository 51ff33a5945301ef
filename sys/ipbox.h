/* ipbox.h - sets of prefixes with ranges of ports: what two have in common, what is left of one without the other */
#ifndef IPBOX_H
#define IPBOX_H

#include "addr.h"

enum { IPBOX_PIECES = 130 }; /* of one without another: a prefix for each of 128 bits, and ports on both sides */

/* Kind and tag are the holder's: boxes of two kinds have nothing in common; the tag says where it comes from. */
struct ip_box {
    struct ip_prefix prefix; /* canonical */
    struct port_range ports;
    uint8_t kind;
    bool whole; /* it is as it came from there */
    uint32_t tag;
};

/* Everything zero: the empty set. Owns p. */
struct ip_boxes {
    struct ip_box *p;
    size_t n, room;
    bool failed; /* memory ran out: some are missing */
};

static bool ip_box_is_within(const struct ip_box *inner, const struct ip_box *outer)
{
    return inner->kind == outer->kind && ip_prefix_holds(outer->prefix, inner->prefix) &&
           inner->ports.first >= outer->ports.first && inner->ports.last <= outer->ports.last;
}

/* Have they anything in common? Then *common is that: one of the two, where it lies within the other, else a piece of
 * a. */
static bool ip_box_common(const struct ip_box *a, const struct ip_box *b, struct ip_box *common)
{
    *common = ip_box_is_within(b, a) && !ip_box_is_within(a, b) ? *b : *a;
    if (a->kind != b->kind || (!ip_prefix_holds(a->prefix, b->prefix) && !ip_prefix_holds(b->prefix, a->prefix)))
        return false;
    common->prefix = a->prefix.len > b->prefix.len ? a->prefix : b->prefix;
    common->ports.first = a->ports.first > b->ports.first ? a->ports.first : b->ports.first;
    common->ports.last = a->ports.last < b->ports.last ? a->ports.last : b->ports.last;
    common->whole = common->whole && (ip_box_is_within(a, b) || ip_box_is_within(b, a));
    return common->ports.first <= common->ports.last;
}

/* The half of a prefix, one bit longer, that doesn't hold `addr`. */
static struct ip_prefix ip_prefix_other_half(struct ip_prefix prefix, struct ip_addr addr)
{
    unsigned bit = prefix.len + (addr.version == 4 ? 96u : 0u); /* counted from the highest of 128 */
    struct ip_prefix half = {addr, (uint8_t)(prefix.len + 1)};

    if (bit < 64)
        half.addr.hi ^= 1ull << (63 - bit);
    else
        half.addr.lo ^= 1ull << (127 - bit);
    return ip_prefix_canonical(half);
}

/* `box` without `taken`, in pieces that have nothing in common. How many; box itself where nothing is taken. */
static size_t ip_box_without(const struct ip_box *box, const struct ip_box *taken, struct ip_box pieces[IPBOX_PIECES])
{
    struct ip_box common, piece = *box;
    size_t n = 0;

    if (!ip_box_common(box, taken, &common)) {
        pieces[0] = *box;
        return 1;
    }
    piece.whole = false;
    for (struct ip_prefix around = box->prefix; around.len < common.prefix.len;) {
        piece.prefix = ip_prefix_other_half(around, common.prefix.addr);
        if (piece.prefix.addr.version == box->prefix.addr.version) /* no address of IPv6 is within ::ffff:0:0/96 */
            pieces[n++] = piece;
        around = ip_prefix_canonical((struct ip_prefix){common.prefix.addr, (uint8_t)(around.len + 1)});
    }
    piece.prefix = common.prefix;
    if (box->ports.first < common.ports.first) {
        piece.ports = (struct port_range){box->ports.first, (uint16_t)(common.ports.first - 1)};
        pieces[n++] = piece;
    }
    if (box->ports.last > common.ports.last) {
        piece.ports = (struct port_range){(uint16_t)(common.ports.last + 1), box->ports.last};
        pieces[n++] = piece;
    }
    return n;
}

static void ip_boxes_add(struct ip_boxes *set, const struct ip_box *box)
{
    if (set->n == set->room) {
        size_t room = set->room ? 2 * set->room : 64;
        struct ip_box *p = reallocarray(set->p, room, sizeof *p);

        set->failed = set->failed || p == NULL;
        if (p == NULL)
            return;
        set->p = p;
        set->room = room;
    }
    set->p[set->n++] = *box;
}

/* Take out of a set all that another one holds. */
static void ip_boxes_take_out(struct ip_boxes *set, const struct ip_boxes *taken)
{
    struct ip_box pieces[IPBOX_PIECES];

    for (size_t t = 0; t < taken->n; t++) {
        struct ip_boxes left = {.failed = set->failed};

        for (size_t i = 0; i < set->n; i++)
            for (size_t n = ip_box_without(&set->p[i], &taken->p[t], pieces), piece = 0; piece < n; piece++)
                ip_boxes_add(&left, &pieces[piece]);
        free(set->p);
        *set = left;
    }
}

/* Keep of a set what another one holds, too. */
static void ip_boxes_keep(struct ip_boxes *set, const struct ip_boxes *kept)
{
    struct ip_boxes left = {.failed = set->failed};
    struct ip_box common;

    for (size_t i = 0; i < set->n; i++)
        for (size_t k = 0; k < kept->n; k++) {
            bool known = !ip_box_common(&set->p[i], &kept->p[k], &common);

            for (size_t l = 0; !known && l < left.n; l++)
                known = ip_box_is_within(&common, &left.p[l]);
            if (!known)
                ip_boxes_add(&left, &common);
        }
    free(set->p);
    *set = left;
}

#endif

/* cookieset.h - sockets, by the cookies that nothing else has until the next boot (socket(7), SO_COOKIE) */
#ifndef COOKIESET_H
#define COOKIESET_H

#include "base.h"

enum { COOKIESET_SLOTS = 8192, COOKIESET_MAX = COOKIESET_SLOTS / 4 * 3 };

/* Open addressing; 0 is a free slot. Everything zero: the empty set. */
struct cookieset {
    uint64_t slots[COOKIESET_SLOTS];
    uint64_t marks[COOKIESET_SLOTS / 64]; /* a bit for each slot */
    size_t n;
};

static size_t cookieset_place(const struct cookieset *set, uint64_t cookie)
{
    size_t at = cookie * 0x9e3779b97f4a7c15 >> 32 & (COOKIESET_SLOTS - 1);

    while (set->slots[at] != 0 && set->slots[at] != cookie)
        at = (at + 1) & (COOKIESET_SLOTS - 1);
    return at;
}

static bool cookieset_has(const struct cookieset *set, uint64_t cookie)
{
    return set->slots[cookieset_place(set, cookie)] == cookie;
}

/* 0, or -ENOBUFS when it is full. */
static int cookieset_add(struct cookieset *set, uint64_t cookie)
{
    size_t at = cookieset_place(set, cookie);

    if (set->slots[at] == cookie)
        return 0;
    if (set->n == COOKIESET_MAX)
        return -ENOBUFS;
    set->slots[at] = cookie;
    set->n++;
    return 0;
}

/* Mark a cookie, if it is in the set; cookieset_keep_marked drops all others. */
static void cookieset_mark(struct cookieset *set, uint64_t cookie)
{
    size_t at = cookieset_place(set, cookie);

    if (set->slots[at] == cookie)
        set->marks[at / 64] |= 1ull << at % 64;
}

static void cookieset_keep_marked(struct cookieset *set)
{
    static uint64_t kept[COOKIESET_SLOTS];
    size_t n = 0;

    for (size_t i = 0; i < COOKIESET_SLOTS; i++)
        if (set->marks[i / 64] >> i % 64 & 1)
            kept[n++] = set->slots[i];
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < n; i++)
        cookieset_add(set, kept[i]);
}

#endif

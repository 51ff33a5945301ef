/* origins.h - where sockets were meant to connect that were led elsewhere, by their cookies (socket(7), SO_COOKIE) */
#ifndef ORIGINS_H
#define ORIGINS_H

#include "addr.h"
#include "limits.h"

enum { ORIGINS_NEAR = 16 };

/* A cookie's entry is among ORIGINS_NEAR places; where all are taken the oldest is forgotten. All zero: empty. */
struct origins {
    struct origin {
        uint64_t cookie, order;
        struct ip_addr addr;
        uint16_t port;
    } entries[ORIGINS_MAX + ORIGINS_NEAR];
    uint64_t n; /* noted so far */
};

static struct origin *origins_near(struct origins *origins, uint64_t cookie)
{
    return &origins->entries[cookie * 0x9e3779b97f4a7c15 >> 32 & (ORIGINS_MAX - 1)];
}

/* NULL: it isn't known. */
static const struct origin *origins_find(struct origins *origins, uint64_t cookie)
{
    const struct origin *near = origins_near(origins, cookie);

    for (size_t i = 0; i < ORIGINS_NEAR; i++)
        if (near[i].cookie == cookie && near[i].order != 0)
            return &near[i];
    return NULL;
}

static void origins_note(struct origins *origins, uint64_t cookie, struct ip_addr addr, uint16_t port)
{
    struct origin *near = origins_near(origins, cookie), *oldest = near;

    for (size_t i = 0; i < ORIGINS_NEAR; i++) {
        if (near[i].cookie == cookie) {
            oldest = &near[i];
            break;
        }
        if (near[i].order < oldest->order)
            oldest = &near[i];
    }
    *oldest = (struct origin){cookie, ++origins->n, addr, port};
}

#endif

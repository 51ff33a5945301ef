/* clock.h - the time since some moment in the past, which nobody sets (clock_gettime(2), CLOCK_MONOTONIC) */
#ifndef CLOCK_H
#define CLOCK_H

#include "base.h"

#include <time.h>

/* In microseconds. */
static uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* What takes long and isn't to hold others up has a quarter of our time: when it may be done again, if it was begun at
 * `start` and has just ended. 0: at once. */
static uint64_t clock_rest(uint64_t start)
{
    enum { CHEAP_US = 1000 };
    uint64_t taken = clock_us() - start;

    return taken < CHEAP_US ? 0 : start + 4 * taken;
}

/* In milliseconds. */
static uint64_t clock_ms(void)
{
    return clock_us() / 1000;
}

#endif

/* unit.h - what every C unit test shares: EXPECT, input flush against an unreadable page, numbers, the closing line */
#ifndef UNIT_H
#define UNIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned unit_passed, unit_failed;

/* One promise. Shows the expression and where it stands when it does not hold. */
#define EXPECT(condition) unit_expect((condition), #condition, __FILE__, __LINE__)

__attribute__((unused)) static void unit_expect(int holds, const char *text, const char *file, int line)
{
    if (holds) {
        unit_passed++;
        return;
    }
    unit_failed++;
    printf("FAILED: %s:%d: %s\n", file, line, text);
}

/* A copy of `len` bytes whose end meets a page that can't be read: one byte too far is a fault. Never freed. */
__attribute__((unused)) static void *unit_flush(const void *bytes, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (len + page - 1) / page * page + page;
    char *map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED || mprotect(map + room, page, PROT_NONE) < 0)
        abort();
    return len ? memcpy(map + room - len, bytes, len) : map + room;
}

/* xorshift64*: the same numbers in every run. */
__attribute__((unused)) static uint64_t unit_any(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;

    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

/* One below that. */
__attribute__((unused)) static uint32_t unit_below(uint32_t below)
{
    return (uint32_t)(unit_any() >> 32) % below;
}

/* The last line of a unit test, and main's result. */
__attribute__((unused)) static int unit_done(void)
{
    printf("%u passed, %u failed\n", unit_passed, unit_failed);
    return unit_failed > 0;
}

#endif

/* slow.h - calls that take the kernel long though each is only one, told apart by protocol and port: to one that ten
 * thousand sockets share, or from an address that has no port left (getrusage(2)) */
#ifndef SLOW_H
#define SLOW_H

#include "clock.h"
#include "pin.h"

#include <netinet/in.h>
#include <sys/resource.h>

enum { SLOW_US = 1000, SLOW_EACH_US = 100, SLOW_SHIFT = 20 /* from microseconds to about seconds */ };

/* Those that take long have a quarter of our time, all together, and who isn't known yet another one at most. Times are
 * clock_us's. */
static struct {
    uint64_t free_at;        /* when those that are known may go on */
    uint64_t looks_until;    /* until then calls are looked at closely */
    uint64_t known_until;    /* until then one more port that is found has all others wait, too, */
    uint64_t all_until;      /* for so long */
    uint64_t all_free_at;    /* when one of these may go on: what is known takes nothing of their time */
    uint32_t until[3][1 << 16]; /* how long a port is known, in seconds: of a socket, TCP's, UDP's and all others' */
    uint64_t start;          /* of the call that is under way */
    bool close;              /* it is looked at closely: */
    uint64_t cpu;            /* the processor time that we had used by then, */
    long lost;               /* and how often we had lost the processor */
} slow;

/* protocol: 0 for a socket, whose descriptor is in the port's place; its cookie stands for it. */
static uint32_t *slow_port(int protocol, int port)
{
    if (protocol == 0)
        return &slow.until[0][(uint16_t)pin_cookie(port)];
    return &slow.until[protocol == IPPROTO_TCP ? 1 : 2][port];
}

/* The processor time that we have used. */
static uint64_t slow_cpu_us(long *lost)
{
    static struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    *lost = usage.ru_nivcsw;
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Is it not the time for a call on this port? */
static bool slow_waits(int protocol, int port)
{
    uint64_t now = slow.free_at == 0 ? 0 : clock_us();

    if (now == 0 || now >> SLOW_SHIFT < *slow_port(protocol, port))
        return now < slow.free_at;
    return protocol != 0 && now < slow.all_until && now < slow.all_free_at;
}

static void slow_begin(void)
{
    slow.start = clock_us();
    slow.close = slow.start < slow.looks_until;
    if (slow.close)
        slow.cpu = slow_cpu_us(&slow.lost);
}

/* The call has ended; by it went `count` messages, which may take SLOW_EACH_US each. One that took long may only have
 * waited for a processor: so the next are looked at closely, and those count that took long by processor time, or never
 * lost it (of what interrupts do the kernel may not tell). */
static void slow_end(int protocol, int port, int64_t count)
{
    uint64_t now = clock_us(), second = now >> SLOW_SHIFT;
    long lost = 0;

    if (now - slow.start < SLOW_US || (int64_t)(now - slow.start) < count * SLOW_EACH_US)
        return;
    slow.looks_until = now + (1 << SLOW_SHIFT);
    if (!slow.close || (slow_cpu_us(&lost) - slow.cpu < SLOW_US && lost != slow.lost))
        return;
    uint32_t *until = slow_port(protocol, port);
    if (second >= *until && protocol != 0) {
        slow.all_until = now < slow.known_until ? slow.looks_until : slow.all_until;
        slow.all_free_at = clock_rest(slow.start);
        slow.known_until = slow.looks_until;
    }
    *until = (uint32_t)second + 2;
    slow.free_at = clock_rest(slow.start);
}

#endif

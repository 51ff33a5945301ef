/* slow - calls that take long have a quarter of the time, and what is known takes nothing from what isn't */
#include "unit.h"
#include "../../sys/slow.h"

enum { CALL_US = 2 * SLOW_US };

/* A call that takes so much of the processor, on this port, or socket. */
static void make_call(int protocol, int port)
{
    long lost;
    uint64_t until = slow_cpu_us(&lost) + CALL_US;

    slow_begin();
    while (slow_cpu_us(&lost) < until)
        ;
    slow_end(protocol, port, 1);
}

/* All that is to rest has rested. */
static void rest(void)
{
    while (clock_us() < slow.free_at || clock_us() < slow.all_free_at)
        usleep(1000);
}

int main(void)
{
    int ends[2];

    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    make_call(IPPROTO_UDP, 1);
    EXPECT(!slow_waits(IPPROTO_UDP, 1)); /* once may be by chance */
    make_call(IPPROTO_UDP, 1);
    EXPECT(slow_waits(IPPROTO_UDP, 1));
    EXPECT(!slow_waits(IPPROTO_UDP, 2));
    EXPECT(!slow_waits(IPPROTO_TCP, 1));
    rest();
    make_call(IPPROTO_UDP, 2);
    EXPECT(slow_waits(IPPROTO_UDP, 2));
    EXPECT(slow_waits(IPPROTO_TCP, 3)); /* it may be the next one */
    EXPECT(!slow_waits(0, ends[1]));
    rest();
    make_call(IPPROTO_UDP, 1);
    EXPECT(slow_waits(IPPROTO_UDP, 1));
    EXPECT(!slow_waits(IPPROTO_TCP, 3));
    rest();
    make_call(0, ends[0]);
    EXPECT(slow_waits(0, ends[0]));
    EXPECT(!slow_waits(0, ends[1]));
    EXPECT(!slow_waits(IPPROTO_TCP, 3));
    return unit_done();
}

/* signals_steps.h - what the rows of signals.c are made of: a listener that is full, signals, streams */
#ifndef SIGNALS_STEPS_H
#define SIGNALS_STEPS_H

#include "native_base.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

enum { ROW_SECONDS = 120, SIGNAL_EVERY_MS = 150, SETTLE_MS = 100, EMULATED_SLOWER = 6 };

/* An emulated machine takes longer for what is to have happened by then. */
static long slower(long ms)
{
    return getenv("EMULATED") ? ms * EMULATED_SLOWER : ms;
}

/* A listener whose queue is full, and a blocking socket to connect to it. */
struct hole {
    int listener, fd;
    struct sockaddr_in to;
};

static void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&left, &left) < 0)
        continue;
}

/* Where sandlock makes the sockets a signal can end this call, too, before it was seen (README, limits). */
static int open_stream(void)
{
    int fd;

    do {
        fd = socket(AF_INET, SOCK_STREAM, 0);
    } while (fd < 0 && errno == EINTR);
    return (int)MUST(fd);
}

static struct hole hole_make(void)
{
    struct hole hole = {.listener = open_stream(), .fd = open_stream()};
    struct sockaddr_in *to = &hole.to;
    socklen_t len = sizeof *to;
    int first = open_stream();

    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    MUST(bind(hole.listener, (struct sockaddr *)to, sizeof *to));
    MUST(getsockname(hole.listener, (struct sockaddr *)to, &len));
    MUST(listen(hole.listener, 0));
    MUST(connect(first, (struct sockaddr *)to, sizeof *to));
    return hole;
}

/* Wait until somebody's connect on it waits. */
static void hole_waits(const struct hole *hole)
{
    struct tcp_info info;

    do {
        socklen_t len = sizeof info;

        sleep_ms(slower(SETTLE_MS));
        MUST(getsockopt(hole->fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    } while (info.tcpi_state != TCP_SYN_SENT);
}

/* Make room in the queue: the connect that waits is answered when its next SYN comes. */
static void hole_open(const struct hole *hole)
{
    MUST(listen(hole->listener, 8));
    MUST(accept(hole->listener, NULL, NULL));
}

static long hole_connect(const struct hole *hole)
{
    return RAW(SYS_connect, hole->fd, &hole->to, sizeof hole->to);
}

/* What a connect says that may not wait. */
static void step_look(const struct hole *hole)
{
    MUST(fcntl(hole->fd, F_SETFL, O_NONBLOCK));
    out_result(hole_connect(hole));
}

/* A connected pair of TCP sockets. */
static void stream_pair(int ends[2])
{
    struct hole hole = hole_make();

    MUST(close(MUST(accept(hole.listener, NULL, NULL)) >= 0 ? hole.fd : -1));
    MUST(listen(hole.listener, 8));
    ends[0] = open_stream();
    MUST(connect(ends[0], (struct sockaddr *)&hole.to, sizeof hole.to));
    ends[1] = (int)MUST(accept(hole.listener, NULL, NULL));
}

static volatile sig_atomic_t handled;
static struct hole interrupted; /* what the handlers act on */

static void on_signal(int sig)
{
    (void)sig;
    handled++;
}

static void handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    MUST(sigaction(sig, &action, NULL));
}

/* SIGALRM again and again: the first may come before the call that it is to interrupt. */
static void tick(long ms)
{
    struct itimerval every = {{ms / 1000, ms % 1000 * 1000}, {ms / 1000, ms % 1000 * 1000}};

    MUST(setitimer(ITIMER_REAL, &every, NULL));
}

static void set_send_timeout(int fd, long ms)
{
    struct timeval timeout = {ms / 1000, ms % 1000 * 1000};

    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
}

#endif

/* signals_send.h - rows of signals.c: sends that wait, and signals, stops, faults and ends meanwhile */
#ifndef SIGNALS_SEND_H
#define SIGNALS_SEND_H

#include "signals_connect.h"

#include <sys/mman.h>

enum { MEBIBYTE = 1 << 20 };

static char *map_bytes(size_t n)
{
    return map_pages(n / PAGE, PROT_READ | PROT_WRITE);
}

static long send_all(int fd, const char *bytes, size_t n, int flags)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    return RAW(SYS_sendmsg, fd, &message, flags);
}

/* How much, in a word: what exactly fits differs by a few pages. */
static void out_amount(long sent, long n)
{
    if (sent < 0)
        out_result(sent);
    else
        out(" %s", sent == n ? "all" : sent == 0 ? "nothing" : "a part");
}

/* Nobody reads: a signal ends the send with what was taken, and one that took nothing with EINTR. A signal may come
 * before anything was taken; before Linux 5.19 what was taken is told when the send is repeated. */
static void send_interrupted(int ends[2], int flags)
{
    size_t n = 64 * MEBIBYTE;
    const char *bytes = map_bytes(n);
    long sent;

    handle(SIGALRM, on_signal, flags);
    tick(slower(3 * SIGNAL_EVERY_MS));
    do {
        sent = send_all(ends[0], bytes, n, 0);
    } while (sent == -EINTR);
    out_amount(sent, (long)n);
    while (sent > 0 || sent == -EINTR)
        sent = send_all(ends[0], bytes, n, MSG_DONTWAIT);
    if (!(flags & SA_RESTART))
        out_amount(send_all(ends[0], bytes, n, 0), (long)n);
    tick(0);
}

static void unix_pair(int type, int ends[2])
{
    MUST(socketpair(AF_UNIX, type, 0, ends));
}

static void send_interrupted_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_interrupted(ends, 0);
}

static void send_interrupted_tcp_restart(void)
{
    int ends[2];

    stream_pair(ends);
    send_interrupted(ends, SA_RESTART);
}

static void send_interrupted_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_interrupted(ends, 0);
}

struct reader {
    int fd;
    long sum;
};

static void *reader_run(void *argument)
{
    struct reader *r = argument;
    static char piece[256 * 1024];
    ssize_t n;

    while ((n = recv(r->fd, piece, sizeof piece, 0)) > 0)
        for (ssize_t i = 0; i < n; i += 4096)
            r->sum += piece[i] == (char)0x5a ? 4096 : 0;
    return NULL;
}

/* 100 MiB in one call to a reader in another thread, under signals that restart. */
static void send_100m(int ends[2])
{
    size_t n = 100 * (size_t)MEBIBYTE;
    char *bytes = map_bytes(n);
    struct reader reader = {.fd = ends[1]};

    memset(bytes, 0x5a, n);
    pthread_t thread = start(reader_run, &reader);
    out_result(send_all(ends[0], bytes, n, 0));
    MUST(close(ends[0]));
    end_of(thread);
}

static void send_100m_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_100m(ends);
}

static void send_100m_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_100m(ends);
}

static void *send_mebibyte(void *ends)
{
    static char bytes[MEBIBYTE];

    long sent = send_all(((int *)ends)[0], bytes, sizeof bytes, 0);
    MUST(close(((int *)ends)[0]));
    return (void *)sent;
}

static void send_many(void)
{
    int ends[MANY][2], whole = 0;
    pthread_t threads[MANY];

    for (size_t i = 0; i < MANY; i++) {
        unix_pair(SOCK_STREAM, ends[i]);
        threads[i] = start(send_mebibyte, ends[i]);
    }
    sleep_ms(slower(SETTLE_MS));
    for (size_t i = 0; i < MANY; i++) {
        struct reader reader = {.fd = ends[i][1]};

        reader_run(&reader);
        whole += end_of(threads[i]) == MEBIBYTE;
    }
    out(" %d", whole);
}

static void *drain_late(void *argument)
{
    sleep_ms(slower(2 * SETTLE_MS));
    return reader_run(argument);
}

/* Stopped while it waits for room, a send goes on afterwards. */
static void send_stopped(void)
{
    int ends[2], status;
    size_t n = 16 * MEBIBYTE;

    stream_pair(ends);
    pid_t pid = (pid_t)MUST(fork());
    if (pid == 0) {
        alarm(ROW_SECONDS);
        close(ends[1]);
        _exit(send_all(ends[0], map_bytes(n), n, 0) == (long)n ? 0 : 1);
    }
    MUST(close(ends[0]));
    wait_for(ends[1], POLLIN, ROW_SECONDS * 1000); /* it has begun */
    sleep_ms(slower(SETTLE_MS));
    MUST(kill(pid, SIGSTOP));
    MUST(waitpid(pid, &status, WUNTRACED));
    out(" %s", WIFSTOPPED(status) ? "stopped" : "not stopped");
    MUST(kill(pid, SIGCONT));
    drain_late(&(struct reader){.fd = ends[1]});
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
}

/* A page in the middle that can't be read: what was before it has gone out, or part of that. */
static void send_fault(int ends[2])
{
    size_t n = 4 * MEBIBYTE;
    char *bytes = map_bytes(n);
    struct reader reader = {.fd = ends[1]};

    MUST(mprotect(bytes + 2 * MEBIBYTE, 4096, PROT_NONE));
    pthread_t thread = start(reader_run, &reader);
    long sent = send_all(ends[0], bytes, n, 0);
    out_amount(sent, (long)n);
    out(" %s", sent <= 2 * MEBIBYTE ? "before the fault" : "beyond it");
    out_amount(send_all(ends[0], bytes + 2 * MEBIBYTE, 4096, 0), 4096);
    MUST(close(ends[0]));
    end_of(thread);
}

static void send_fault_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_fault(ends);
}

static void send_fault_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_fault(ends);
}

static void *close_late(void *fd)
{
    wait_for((int)(intptr_t)fd, POLLIN, ROW_SECONDS * 1000);
    sleep_ms(slower(2 * SETTLE_MS));
    close((int)(intptr_t)fd);
    return NULL;
}

/* How many signals there were. Before Linux 5.19 the supervisor sends SIGPIPE after its answer, which a guest shows. */
static void out_signals(void)
{
    if (getenv("EMULATED"))
        sleep_ms(SETTLE_MS);
    out(" signals=%d", (int)handled);
}

/* The peer goes away while a send waits: part of it was taken; then EPIPE and its signal. */
static void send_abandoned(int ends[2], int flags)
{
    size_t n = 64 * MEBIBYTE;
    const char *bytes = map_bytes(n);

    handle(SIGPIPE, on_signal, 0);
    pthread_t thread = start(close_late, (void *)(intptr_t)ends[1]);
    out_amount(send_all(ends[0], bytes, n, flags), (long)n);
    end_of(thread);
    out_signals();
    for (int i = 0; i < 2; i++)
        out_result(send_all(ends[0], bytes, 1, flags));
    out_signals();
}

static void send_abandoned_tcp(void)
{
    int ends[2];

    stream_pair(ends);
    send_abandoned(ends, 0);
}

static void send_abandoned_unix(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_abandoned(ends, 0);
}

static void send_abandoned_quiet(void)
{
    int ends[2];

    unix_pair(SOCK_STREAM, ends);
    send_abandoned(ends, MSG_NOSIGNAL);
}

/* Which kinds of sockets signal, and which thread it is that gets it: the one that sent. */
static pthread_t sender_thread;
static volatile bool signal_elsewhere;

static void on_pipe(int sig)
{
    (void)sig;
    handled++;
    signal_elsewhere = !pthread_equal(pthread_self(), sender_thread);
}

static void pipe_signal(int ends[2])
{
    handled = 0;
    MUST(close(ends[1]));
    out_result(send_all(ends[0], "x", 1, 0));
    out_signals();
    if (signal_elsewhere)
        out(" elsewhere");
    out_result(send_all(ends[0], "x", 1, MSG_NOSIGNAL));
    out_signals();
}

static void *pipe_signals_run(void *unused)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    int ends[2];

    sender_thread = pthread_self();
    for (size_t i = 0; i < COUNT(types); i++) {
        unix_pair(types[i], ends);
        pipe_signal(ends);
    }
    stream_pair(ends);
    MUST(shutdown(ends[0], SHUT_WR));
    pipe_signal(ends);
    return unused;
}

static void pipe_signals(void)
{
    handle(SIGPIPE, on_pipe, 0);
    pipe_signals_run(NULL);
}

static void pipe_signals_thread(void)
{
    handle(SIGPIPE, on_pipe, 0);
    end_of(start(pipe_signals_run, NULL));
}

/* A unix datagram socket whose peer doesn't read waits until there is room again, or a signal comes. */
static void *read_late(void *fd)
{
    char byte;

    sleep_ms(slower(2 * SETTLE_MS));
    while (recv((int)(intptr_t)fd, &byte, 1, MSG_DONTWAIT) == 1)
        continue;
    return NULL;
}

static void fill(int fd)
{
    while (send_all(fd, "x", 1, MSG_DONTWAIT) == 1)
        continue;
}

static void datagram_waits(void)
{
    int ends[2];

    unix_pair(SOCK_DGRAM, ends);
    fill(ends[0]);
    pthread_t thread = start(read_late, (void *)(intptr_t)ends[1]);
    out_result(send_all(ends[0], "y", 1, 0));
    end_of(thread);
    fill(ends[0]);
    handle(SIGALRM, on_signal, 0);
    tick(slower(SIGNAL_EVERY_MS));
    out_result(send_all(ends[0], "z", 1, 0));
    tick(0);
}

#endif

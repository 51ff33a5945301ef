/* native_stream.h - rows of streams: urgent data, much data, time limits, SIGPIPE */
#ifndef NATIVE_STREAM_H
#define NATIVE_STREAM_H

#include "native_steps.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

/* ---- streams ---- */

static void stream_urgent(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);
    int at_mark = -1;

    step_send(f.fd, "abc", 3, 0);
    step_send(f.fd, "!", 1, MSG_OOB);
    step_send(f.fd, "def", 3, 0);
    wait_for(f.peer, POLLPRI, WAIT_MS);
    step_recv(f.peer, MSG_OOB);
    step_recv(f.peer, 0);
    MUST(ioctl(f.peer, SIOCATMARK, &at_mark));
    out(" mark=%d", at_mark);
    step_recv(f.peer, 0);
}

static void stream_more(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);

    step_send(f.fd, "abc", 3, MSG_MORE);
    step_send(f.fd, "def", 3, 0);
    step_recv(f.peer, 0);
}

/* What is closed right after a call on it is closed: its peer needn't wait for the end. */
static void ends_at_once(const struct kind *kind)
{
    unsigned late = 0;

    for (int i = 0; i < 20; i++) {
        struct fixture f = fixture_make(kind, CONNECTED, false);
        struct iovec iov = {"x", 1};
        struct header header = {.iov = &iov, .iovlen = 1};
        char got[2];

        MUST(RAW(SYS_sendmsg, f.fd, &header, 0));
        MUST(close(f.fd));
        MUST(RAW(SYS_recvfrom, f.peer, got, sizeof got, 0, NULL, NULL));
        late += RAW(SYS_recvfrom, f.peer, got, sizeof got, MSG_DONTWAIT, NULL, NULL) != 0;
        MUST(close(f.peer));
    }
    out(" late %u", late);
}

static void stream_ends_at_once_tcp(void)
{
    ends_at_once(&tcp4);
}

static void stream_ends_at_once_unix(void)
{
    ends_at_once(&unix_stream);
}

/* 3 MiB to a reader that counts: one call, all of it. */
static void send_much(const struct kind *kind, bool by_sendmsg)
{
    struct fixture f = fixture_make(kind, CONNECTED, false);
    size_t n = 3 << 20;
    char *bytes = map_pages(n / PAGE, PROT_READ | PROT_WRITE);
    struct iovec iov[] = {{bytes, n / 2}, {bytes + n / 2, n - n / 2}};
    struct header header = {.iov = iov, .iovlen = 2};
    int status;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 7);
    pid_t pid = (pid_t)MUST(fork());
    if (pid == 0) {
        static char piece[65536];
        size_t at = 0;
        ssize_t got;
        close(f.fd);
        while ((got = recv(f.peer, piece, sizeof piece, 0)) > 0)
            for (ssize_t i = 0; i < got; i++, at++)
                if (piece[i] != (char)(at * 7))
                    _exit(2);
        _exit(at == n ? 0 : 1);
    }
    if (by_sendmsg)
        out_result(RAW(SYS_sendmsg, f.fd, &header, 0));
    else
        step_send(f.fd, bytes, n, 0);
    MUST(close(f.fd));
    MUST(waitpid(pid, &status, 0));
    out(" reader=%x", (unsigned)status);
}

static void stream_much_tcp(void)
{
    send_much(&tcp4, false);
}

static void stream_much_tcp_sendmsg(void)
{
    send_much(&tcp6, true);
}

static void stream_much_unix(void)
{
    send_much(&unix_stream, false);
}

static void stream_much_unix_sendmsg(void)
{
    send_much(&unix_stream, true);
}

/* A full buffer: a send that may wait 60 ms answers EAGAIN, or how much it found room for meanwhile. */
static void send_times_out(const struct kind *kind)
{
    struct fixture f = fixture_make(kind, FULL, false);
    size_t n = 16 << 20;
    char *bytes = map_pages(n / PAGE, PROT_READ | PROT_WRITE);

    MUST(fcntl(f.fd, F_SETFL, 0));
    set_timeout(f.fd, 60);
    if (kind->type != SOCK_STREAM)
        n = 1;
    long sent = RAW(SYS_sendto, f.fd, bytes, n, 0, NULL, 0);
    out(" %s", sent == -EAGAIN || (kind->type == SOCK_STREAM && sent > 0 && sent < (long)n) ? "times out" : "doesn't");
    if (kind->family == AF_UNIX)
        out_result(sent);
}

static void stream_times_out_tcp(void)
{
    send_times_out(&tcp4);
}

static void stream_times_out_unix(void)
{
    send_times_out(&unix_stream);
}

static void dgram_times_out_unix(void)
{
    send_times_out(&unix_dgram);
}

static void stream_partial(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);
    size_t n = 64 << 20;
    char *bytes = map_pages(n / PAGE, PROT_READ | PROT_WRITE);

    set_timeout(f.fd, 60);
    long sent = RAW(SYS_sendto, f.fd, bytes, n, 0, NULL, 0);
    out(" %s", sent > 0 && sent < (long)n ? "a part" : "not a part");
}

static void stream_zerocopy_flag(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);

    step_send(f.fd, payload, PAYLOAD_LEN, 0x4000000); /* MSG_ZEROCOPY without SO_ZEROCOPY: an ordinary send */
    step_recv(f.peer, 0);
}

/* ---- SIGPIPE ---- */

static volatile sig_atomic_t signal_code;
static volatile pid_t signal_pid;

static void on_sigpipe_details(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    signal_code = info->si_code;
    signal_pid = info->si_pid;
}

static void stream_signal_details(void)
{
    struct fixture f = fixture_make(&tcp4, SHUT_WRITE, false);
    struct sigaction action = {.sa_sigaction = on_sigpipe_details, .sa_flags = SA_SIGINFO};

    MUST(sigaction(SIGPIPE, &action, NULL));
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
    out(" code=%d pid=%s", (int)signal_code, signal_pid == getpid() ? "own" : "other");
}

/* Blocked, it stays pending; ignored, there is none. */
static void stream_signal_blocked(void)
{
    struct fixture f = fixture_make(&tcp4, SHUT_WRITE, false);
    sigset_t set, pending;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    step_sendto(f.fd, payload, PAYLOAD_LEN, 0, f.to);
    sigpending(&pending);
    out(" pending=%d", sigismember(&pending, SIGPIPE));
    struct timespec none = {0, 0};
    out(" taken=%d", sigtimedwait(&set, NULL, &none) == SIGPIPE);
    signal(SIGPIPE, SIG_IGN);
    step_sendto(f.fd, payload, PAYLOAD_LEN, 0, f.to);
    sigpending(&pending);
    out(" pending=%d", sigismember(&pending, SIGPIPE));
}

static void stream_signal_kills(void)
{
    struct fixture f = fixture_make(&tcp4, SHUT_WRITE, false);
    int status;

    signal(SIGPIPE, SIG_DFL);
    pid_t pid = (pid_t)MUST(fork());
    if (pid == 0) {
        send(f.fd, payload, PAYLOAD_LEN, 0);
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
}

#endif

/* closer.h - closing what may wait when it is closed (socket(7) SO_LINGER, FUSE), by a helper (clone(2) CLONE_FILES) */
#ifndef CLOSER_H
#define CLOSER_H

#include "clock.h"
#include "kernel.h"
#include "limits.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

/* The helper shares our descriptor table, and nothing else but a pipe that tells it which ones to close, and one that
 * tells us that it has done so. */
struct closer {
    bool lingers;       /* can a TCP socket wait for the network (closer_lingers), or have many wait for it? */
    int requests, pipe; /* the first one's read and write end, owned; < 0: there is none yet */
    int closed, done;   /* the second one's, a byte for each */
    unsigned waiting;   /* for how many there was none yet */
    pid_t pid;          /* 0: not started */
    unsigned groups;    /* that were joined: a close looks for each of its socket's among all of the interface's */
    uint64_t free_at;   /* when we may wait for it again */
};

/* A signal has ended what the helper waited for. */
static void closer_hurry(int sig)
{
    (void)sig;
}

/* Close what nobody else has open any more, without the network's answer: SO_LINGER is for a program that waits, and
 * the kernel sends the rest all the same. */
static void closer_close_soon(int fd)
{
    static const struct itimerval soon = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};

    setitimer(ITIMER_REAL, &soon, NULL);
    close(fd);
    setitimer(ITIMER_REAL, &never, NULL);
}

/* The helper's life. */
static void closer_run(int requests, int done, pid_t parent)
{
    sigset_t alarms;
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, closer_hurry);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    while (getppid() == parent && read(requests, &fd, sizeof fd) == sizeof fd) {
        closer_close_soon(fd);
        if (write(done, "", 1) < 0)
            continue; /* nobody counts that many */
    }
    _exit(0);
}

/* Have it run: start it, or again if it was killed, which nothing tells us. Then what it left in the pipe, whose both
 * ends are ours as well, is the new one's. 0 or -errno. */
static int closer_start(struct closer *closer)
{
    int ends[2], left = 0;
    pid_t parent = getpid();

    if (closer->pid > 0 && waitpid(closer->pid, NULL, __WALL | WNOHANG) != closer->pid)
        return 0;
    closer->pid = 0;
    if (closer->pipe < 0) {
        if (pipe2(ends, O_CLOEXEC) < 0)
            return -errno;
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        closer->requests = ends[0];
        closer->pipe = ends[1];
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
            ends[0] = ends[1] = -1; /* nobody waits, then */
        closer->closed = ends[0];
        closer->done = ends[1];
    }
    if (ioctl(closer->pipe, FIONREAD, &left) == 0)
        closer->waiting = (unsigned)left / sizeof left;
    pid_t pid = sys_fork(CLONE_FILES);
    if (pid == 0)
        closer_run(closer->requests, closer->done, parent);
    if (pid < 0)
        return pid;
    closer->pid = pid;
    return 0;
}

/* Take the helper's word for what it has closed. */
static void closer_count(struct closer *closer)
{
    char done[CLOSER_WAITING_MAX];
    ssize_t n = read(closer->closed, done, sizeof done);

    if (n > 0)
        closer->waiting -= (unsigned)n < closer->waiting ? (unsigned)n : closer->waiting;
}

/* Close a descriptor without waiting for it. Where the helper isn't there, or has more than enough to wait for, a
 * socket is: the kernel sends the rest without anybody waiting. */
static void closer_close(struct closer *closer, int fd)
{
    static const struct linger off = {0, 0};

    if (closer_start(closer) == 0) {
        closer_count(closer);
        if (write(closer->pipe, &fd, sizeof fd) == sizeof fd) {
            closer->waiting++;
            return;
        }
    }
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    close(fd);
}

/* Does closing this socket wait for the network, where ours is the last reference (socket(7), SO_LINGER)? The kernel
 * takes what is negative for a very long time. */
static bool closer_lingers(int fd)
{
    struct linger linger = {0, 0};
    socklen_t len = sizeof linger;

    return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff && linger.l_linger != 0;
}

/* Close a socket, without waiting. local: it is a unix socket, whose queue, if it has one, may hold whatever closes
 * slowly; a listener's is ended connection by connection. Nearly none of them waits: it is closed when this returns, as
 * the caller may close it, too, and want its name for another. */
static void closer_release(struct closer *closer, int fd, bool local)
{
    struct pollfd queue = {.fd = fd, .events = POLLIN};
    bool asks = !local && closer->lingers, lingers = asks && closer_lingers(fd);
    bool queues = local || (asks && sys_socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN) > 0);

    if (queues)
        poll(&queue, 1, 0);
    if (!lingers && !(queue.revents & POLLIN)) {
        close(fd);
        return;
    }
    uint64_t start = clock_us();
    closer_close(closer, fd);
    if (local && closer->waiting == 1 && start >= closer->free_at) {
        struct pollfd closed = {.fd = closer->closed, .events = POLLIN};

        poll(&closed, 1, CLOSER_PATIENCE_MS);
        closer_count(closer);
        closer->free_at = clock_rest(start);
    }
}

/* Is there something that is closed, or will be, only when what lingers has ended? */
static bool closer_is_busy(struct closer *closer)
{
    if (closer->waiting > 0)
        closer_count(closer);
    return closer->waiting > 0;
}

/* End the helper; what it still has to close is closed with us. */
static void closer_end(struct closer *closer)
{
    if (closer->pid == 0)
        return;
    kill(closer->pid, SIGKILL);
    waitpid(closer->pid, NULL, __WALL);
    closer->pid = 0;
}

#endif

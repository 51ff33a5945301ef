/* closer.h - closing what may wait when it is closed (socket(7) SO_LINGER, FUSE), by a helper (clone(2) CLONE_FILES) */
#ifndef CLOSER_H
#define CLOSER_H

#include "kernel.h"
#include "limits.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* The helper shares our descriptor table, and nothing else but a pipe that tells it which ones to close. */
struct closer {
    int requests, pipe; /* its read and its write end, owned; < 0: there is none yet */
    pid_t pid;          /* 0: not started */
};

/* A signal has ended what the helper waited for. */
static void closer_hurry(int sig)
{
    (void)sig;
}

/* The helper's life. */
static void closer_run(int requests, pid_t parent)
{
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGURG, closer_hurry);
    while (getppid() == parent && read(requests, &fd, sizeof fd) == sizeof fd)
        close(fd);
    _exit(0);
}

/* Have it run: start it, or again if it was killed, which nothing tells us. Then what it left in the pipe, whose both
 * ends are ours as well, is the new one's. 0 or -errno. */
static int closer_start(struct closer *closer)
{
    int ends[2];
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
    }
    /* As fork(2), but for the shared table; no exit signal: it is nobody's child to wait for by accident. */
    long pid = syscall(__NR_clone, CLONE_FILES, 0, 0, 0, 0);
    if (pid == 0)
        closer_run(closer->requests, parent);
    if (pid < 0)
        return -errno;
    closer->pid = (pid_t)pid;
    return 0;
}

/* Close a descriptor without waiting for it. Where the helper has more than enough to wait for, it is told not to: the
 * kernel sends the rest without anybody waiting. */
static void closer_close(struct closer *closer, int fd)
{
    int waiting = 0;

    if (closer_start(closer) == 0) {
        if (ioctl(closer->pipe, FIONREAD, &waiting) == 0 && waiting >= CLOSER_WAITING_MAX * (int)sizeof fd)
            kill(closer->pid, SIGURG);
        if (write(closer->pipe, &fd, sizeof fd) == sizeof fd)
            return;
    }
    close(fd);
}

/* Could closing this socket wait, if ours is the last reference: for the network (socket(7), SO_LINGER), or since a
 * unix socket's queue holds descriptors of such? */
static bool closer_would_wait(int fd, bool local)
{
    struct linger linger = {0, 0};
    socklen_t len = sizeof linger;
    struct pollfd queue = {.fd = fd, .events = POLLIN};

    if (local)
        return poll(&queue, 1, 0) == 1 && (queue.revents & POLLIN);
    return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff && linger.l_linger > 0;
}

/* Close a socket, without waiting. local: it is a unix socket. */
static void closer_release(struct closer *closer, int fd, bool local)
{
    if (closer_would_wait(fd, local))
        closer_close(closer, fd);
    else
        close(fd);
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

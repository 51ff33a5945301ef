/* closer.h - closing what may wait when it is closed (socket(7) SO_LINGER, FUSE), by a helper (clone(2) CLONE_FILES) */
#ifndef CLOSER_H
#define CLOSER_H

#include "kernel.h"
#include "limits.h"

#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* The helper shares our descriptor table, and nothing else but a pipe that tells it which ones to close. */
struct closer {
    int requests, pipe; /* its read and its write end, owned; < 0: there is none yet */
    pid_t pid;          /* 0: not started */
};

/* The helper's life. */
static void closer_run(int requests, pid_t parent)
{
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
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

/* Close a descriptor without waiting for it. Where no helper can be had, or it has more than enough to wait for, the
 * socket is told not to linger: the kernel sends the rest without anybody waiting. */
static void closer_close(struct closer *closer, int fd)
{
    static const struct linger off = {0, 0};
    int waiting = 0;

    if (closer_start(closer) == 0)
        if (ioctl(closer->pipe, FIONREAD, &waiting) == 0 && waiting < CLOSER_WAITING_MAX * (int)sizeof fd &&
            write(closer->pipe, &fd, sizeof fd) == sizeof fd)
            return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
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

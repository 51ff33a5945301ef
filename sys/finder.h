/* finder.h - who has a socket open, looked for by a helper while others go on (clone(2) CLONE_FILES, proc(5)) */
#ifndef FINDER_H
#define FINDER_H

#include "holder.h"
#include "kernel.h"
#include "limits.h"

#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

enum { FINDER_ANSWERS = 64 };

/* One is looked for at a time. Everything zero: nobody is. */
static struct finder {
    pid_t pid;                             /* the helper's; 0: there is none */
    pid_t beside;                          /* of another one that shares our descriptors (pintable.h); 0: none */
    int ends[2];                           /* of a pipe, owned; 0: there is none yet */
    uint64_t inode;                        /* that is looked for */
    struct holder answers[FINDER_ANSWERS]; /* by inode, until they are asked for */
} finder;

/* The helper's life. It shares our descriptors, as `other` does, and nothing else. */
static void finder_run(int answer, pid_t self, pid_t other, uint64_t inode)
{
    struct holder holder = {inode, 0, -1};

    if (holder_help(self))
        holder_each(self, other, holder_is, &holder);
    _exit(write(answer, &holder, sizeof holder) != sizeof holder);
}

/* Take the helper's answer, if it comes within so many milliseconds. */
static void finder_take(int patience)
{
    struct pollfd answered = {.fd = finder.ends[0], .events = POLLIN};
    struct holder holder = {finder.inode, 0, -1};

    if (finder.pid == 0)
        return;
    if (poll(&answered, 1, patience) == 1) {
        if (read(finder.ends[0], &holder, sizeof holder) != sizeof holder)
            holder.pid = 0;
        waitpid(finder.pid, NULL, __WALL);
    } else if (waitpid(finder.pid, NULL, __WALL | WNOHANG) != finder.pid) {
        return;
    } /* else it was killed */
    finder.answers[finder.inode % FINDER_ANSWERS] = holder;
    finder.pid = 0;
}

/* Its pipe, if it isn't there yet. 0 or -errno. */
static int finder_open(void)
{
    return finder.ends[1] == 0 ? sys_result(pipe2(finder.ends, O_CLOEXEC | O_NONBLOCK)) : 0;
}

/* Start the helper. 0 or -errno. */
static int finder_start(pid_t other, uint64_t inode)
{
    pid_t self = getpid();
    int result = finder_open();

    if (result < 0)
        return result;
    pid_t pid = sys_fork(CLONE_FILES);
    if (pid == 0)
        finder_run(finder.ends[1], self, other, inode);
    if (pid < 0)
        return pid;
    finder.pid = pid;
    finder.inode = inode;
    return 0;
}

/* Who has this socket open, of our descendants but `other`, which shares our descriptors? 0 with *pid and *fd; -ENOENT:
 * nobody has it, or there is no /proc; -EAGAIN: it takes long to find out, or somebody else looks, so it is to be asked
 * again. Where there can be no helper it takes as long as it takes. */
static int finder_ask(uint64_t inode, pid_t other, pid_t *pid, int *fd)
{
    struct holder *answer = &finder.answers[inode % FINDER_ANSWERS];

    finder_take(0);
    if (answer->inode != inode && finder.pid == 0 && finder.beside == 0) {
        if (finder_start(other, inode) < 0) {
            *answer = (struct holder){inode, 0, -1};
            holder_each(getpid(), other, holder_is, answer);
        }
        finder_take(FINDER_PATIENCE_MS);
    }
    if (answer->inode != inode)
        return -EAGAIN;
    answer->inode = 0;
    if (answer->pid == 0)
        return -ENOENT;
    *pid = answer->pid;
    *fd = answer->fd;
    return 0;
}

#endif

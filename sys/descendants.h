/* descendants.h - signals to every descendant of ours, and their end (proc(5), prctl(2) PR_SET_CHILD_SUBREAPER) */
#ifndef DESCENDANTS_H
#define DESCENDANTS_H

#include "kernel.h"
#include "process.h"
#include "procfs.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

enum {
    DESCENDANTS_NUMBERS = 4194304, /* that processes can have (PID_MAX_LIMIT) */
    DESCENDANTS_REAP_MAX = 65536,  /* exits that are taken in one go */
    DESCENDANTS_ROUNDS_MAX = 1000,
    DESCENDANTS_BLIND_MAX = 100,   /* rounds without /proc */
    DESCENDANTS_RECENT = 8192,     /* numbers around the last one, which a fork has soon */
};

/* The number of the process whose exit was taken last; 0: none was. */
static pid_t descendants_ended_last;

/* Take the exits there are, without waiting, and a bounded number: a storm may bring new ones for ever. How many;
 * -ECHILD when no child is left. */
static int descendants_reap(void)
{
    int taken = 0;

    while (taken < DESCENDANTS_REAP_MAX) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid <= 0)
            return pid < 0 && taken == 0 ? -errno : taken;
        descendants_ended_last = pid;
        taken++;
    }
    return taken;
}

/* When each descendant of ours that was found started: its number alone may be a stranger's by now. 0: none. */
static uint64_t descendants_found[DESCENDANTS_NUMBERS];

/* Is this process, whose parent and start were read, a descendant of `self`? Known ones need no look at their
 * ancestors. */
static bool descendants_has(pid_t pid, pid_t parent, pid_t self)
{
    uint64_t started;

    if (parent == self)
        return true;
    if (parent <= 0 || parent >= DESCENDANTS_NUMBERS)
        return false;
    if (descendants_found[parent] != 0 && process_parent(parent, &started) > 0 && started == descendants_found[parent])
        return true;
    return process_descends(pid, self);
}

/* Send a signal to every descendant of ours. How many there were; -errno without /proc. The kernel lists processes
 * by their numbers, and gives new ones higher numbers: while one is forked, the pass is behind it still. */
static int descendants_signal(int sig)
{
    DIR *all = opendir(procfs);
    pid_t self = getpid();
    int n = 0;

    if (all == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        uint64_t pid, started = 0;

        if (parse_uint(slice_of(entry->d_name), DESCENDANTS_NUMBERS - 1, &pid) < 0 || (pid_t)pid == self)
            continue;
        pid_t parent = process_parent((pid_t)pid, &started);
        if (!descendants_has((pid_t)pid, parent, self))
            continue;
        descendants_found[pid] = started;
        kill((pid_t)pid, sig);
        n++;
    }
    closedir(all);
    return n;
}

/* Send a signal to our own children, which orphans become, the newest first: fast enough for a storm of short lives.
 * Does nothing where the kernel has no list of them (CONFIG_PROC_CHILDREN). */
static void descendants_signal_children(int sig)
{
    static char text[512 * 1024];
    char path[48];
    size_t len = 0;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    int fd CLOSE_FD = sys_open(path, O_RDONLY);
    for (ssize_t n = fd < 0 ? 0 : 1; n > 0 && len < sizeof text - 1; len += (size_t)n) {
        n = read(fd, text + len, sizeof text - 1 - len);
        n = n < 0 ? 0 : n;
    }
    while (len > 0 && text[len - 1] != ' ') /* cut short */
        len--;
    while (len > 0) {
        text[--len] = 0; /* the space behind a number */
        while (len > 0 && text[len - 1] != ' ')
            len--;
        kill((pid_t)strtol(text + len, NULL, 10), sig); /* ours still, if it ended: we haven't waited for it */
    }
}

/* Stop all descendants, until nothing ends any more and a look at /proc finds no more of them than the one before:
 * none then outruns its killing by forking. */
static void descendants_stop(void)
{
    for (int reaped = 1, rounds = 0; reaped > 0 && rounds < DESCENDANTS_ROUNDS_MAX; rounds++) {
        descendants_reap(); /* what ended makes the list long */
        descendants_signal_children(SIGSTOP);
        reaped = descendants_reap();
    }
    for (int before = -1, now = 0, rounds = 0; now != before && rounds < DESCENDANTS_ROUNDS_MAX; rounds++) {
        before = now;
        now = descendants_signal(SIGSTOP);
    }
}

/* Kill those of our children, which orphans become, that have one of these numbers: a child is whom we may wait for.
 * Needs no /proc. How many there were. */
static int descendants_kill_numbers(pid_t from, pid_t to)
{
    int n = 0;

    for (pid_t pid = from; pid <= to; pid++)
        if (waitpid(pid, NULL, WNOHANG) == 0) {
            kill(pid, SIGKILL);
            n++;
        }
    return n;
}

/* Kill all our children without /proc. Who forks faster than all 4194304 numbers are tried, which takes a second or
 * twenty, has a number near those that ended last: they are tried first, and again when another has ended. */
static void descendants_kill_children(pid_t near)
{
    for (pid_t at = 2, tried = 0; at < DESCENDANTS_NUMBERS && descendants_reap() >= 0; at += 2 * DESCENDANTS_RECENT) {
        if (descendants_ended_last != 0)
            near = descendants_ended_last;
        pid_t from = near > DESCENDANTS_RECENT ? near - DESCENDANTS_RECENT : 2;
        if (near != tried && descendants_kill_numbers(from, from + 2 * DESCENDANTS_RECENT) > 0)
            return;
        tried = near;
        descendants_kill_numbers(at, at + 2 * DESCENDANTS_RECENT - 1);
    }
}

/* End what is left of our descendants; we are their subreaper, so orphans come to us. Returns when no child is left.
 * As PID 1 everything else is ended. command: the first of them, which ended. 0; without /proc -EAGAIN when they fork
 * faster than they are found. */
static int descendants_end(pid_t command)
{
    for (int rounds = 0; descendants_reap() >= 0; rounds++) {
        if (getpid() == 1) {
            kill(-1, SIGKILL);
        } else {
            descendants_stop();
            if (descendants_signal(SIGKILL) < 0) {
                if (rounds == DESCENDANTS_BLIND_MAX)
                    return -EAGAIN;
                descendants_kill_children(command);
                usleep(1000u * (unsigned)rounds); /* what ends slowly has 5 s in all */
            }
        }
        usleep(1000);
    }
    return 0;
}

#endif

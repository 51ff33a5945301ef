/* process.h - what /proc says of a thread, and ending every descendant (proc(5), prctl(2) PR_SET_CHILD_SUBREAPER) */
#ifndef PROCESS_H
#define PROCESS_H

#include "kernel.h"
#include "procfs.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

enum { PROCESS_NAME_MAX = 16, PROCESS_SCAN_MAX = 32768, PROCESS_LOOKS = 64, PROCESS_STATUS_MAX = 8192,
       PROCESS_NUMBERS = 4194304, PROCESS_REAP_MAX = 65536, PROCESS_ROUNDS_MAX = 1000,
       PROCESS_BLIND_ROUNDS_MAX = 100, PROCESS_RECENT = 8192, PROCESS_DEPTH_MAX = 1024 };

/* What /proc/TID/status says. Signal sets have signal n at bit n - 1. */
struct process_status {
    pid_t leader;
    unsigned threads;
    char state; /* R, S, D, T (stopped), t (traced), Z ... */
    uint64_t pending, shared_pending, blocked;
    uint64_t capabilities; /* effective */
    uid_t uid, gid;        /* effective ones, as calls are judged by: the file system's */
    mode_t umask;
};

/* The number after "NAME:\t" in a status file; 0 when there is none. column: which of several on the line. */
static uint64_t process_field(const char *text, const char *name, int base, unsigned column)
{
    const char *at = strstr(text, name);

    if (at == NULL)
        return 0;
    at += strlen(name);
    for (; column > 0 && *at != 0 && *at != '\n'; column--)
        at += strcspn(at + 1, "\t\n") + 1;
    return strtoull(at, NULL, base);
}

/* Read a small file of /proc whole, terminated. Bytes read or -errno. */
static ssize_t process_read(const char *path, char *to, size_t room)
{
    int fd CLOSE_FD = sys_open(path, O_RDONLY);

    if (fd < 0)
        return fd;
    ssize_t n = read(fd, to, room - 1);
    if (n < 0)
        return -errno;
    to[n] = 0;
    return n;
}

/* Take a status file apart. */
static void process_status_parse(const char *text, struct process_status *status)
{
    const char *state = strstr(text, "\nState:\t");

    *status = (struct process_status){
        .leader = (pid_t)process_field(text, "\nTgid:\t", 10, 0),
        .threads = (unsigned)process_field(text, "\nThreads:\t", 10, 0),
        .state = state == NULL ? '?' : state[strlen("\nState:\t")],
        .pending = process_field(text, "\nSigPnd:\t", 16, 0),
        .shared_pending = process_field(text, "\nShdPnd:\t", 16, 0),
        .blocked = process_field(text, "\nSigBlk:\t", 16, 0),
        .capabilities = process_field(text, "\nCapEff:\t", 16, 0),
        .uid = (uid_t)process_field(text, "\nUid:\t", 10, 3),
        .gid = (gid_t)process_field(text, "\nGid:\t", 10, 3),
        .umask = (mode_t)process_field(text, "\nUmask:\t", 8, 0),
    };
}

/* 0, or -errno: -ENOENT when the thread is gone or there is no /proc. */
static int process_status_read(pid_t tid, struct process_status *status)
{
    char path[40], text[PROCESS_STATUS_MAX];

    snprintf(path, sizeof path, "%s/%d/status", procfs, tid);
    ssize_t n = process_read(path, text, sizeof text);
    if (n < 0)
        return (int)n;
    process_status_parse(text, status);
    return 0;
}

/* The thread's command name, at most 15 bytes of whatever it likes; "?" when it can't be had. */
static void process_name(pid_t tid, char name[PROCESS_NAME_MAX])
{
    char path[40], text[64];

    snprintf(path, sizeof path, "%s/%d/comm", procfs, tid);
    ssize_t n = process_read(path, text, sizeof text);
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = 0;
    snprintf(name, PROCESS_NAME_MAX, "%.15s", n > 0 ? text : "?");
}

/* Has this process been stopped, as its threads but `except` show? A thread that waits in a killable sleep (D) neither
 * stops nor says anything; the first other one tells. At most PROCESS_LOOKS are looked at. false without /proc. */
static bool process_is_stopped(pid_t leader, pid_t except)
{
    char path[40], state = 'D';

    snprintf(path, sizeof path, "%s/%d/task", procfs, leader);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return false;
    for (int looks = 0; state == 'D' && looks < PROCESS_LOOKS; looks++) {
        struct dirent *entry = readdir(tasks);
        struct process_status status;
        uint64_t tid;

        if (entry == NULL)
            break;
        if (parse_uint(slice_of(entry->d_name), INT32_MAX, &tid) == 0 && (pid_t)tid != except &&
            process_status_read((pid_t)tid, &status) == 0)
            state = status.state;
    }
    closedir(tasks);
    return state == 'T';
}

/* Do all threads of this process but `except` block these signals? Then a signal to the process is that one's. false
 * where that isn't known: more than PROCESS_LOOKS threads, no /proc. */
static bool process_others_block(pid_t leader, pid_t except, uint64_t signals)
{
    char path[40];
    bool all = true;

    snprintf(path, sizeof path, "%s/%d/task", procfs, leader);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return false;
    for (int looks = 0; all; looks++) {
        struct dirent *entry = readdir(tasks);
        struct process_status status;
        uint64_t tid;

        if (entry == NULL)
            break;
        if (parse_uint(slice_of(entry->d_name), INT32_MAX, &tid) == 0 && (pid_t)tid != except)
            all = looks < PROCESS_LOOKS && process_status_read((pid_t)tid, &status) == 0 &&
                  !(signals & ~status.blocked);
    }
    closedir(tasks);
    return all;
}

/* The parent of a process, and when it started, in ticks since boot; 0 when that can't be read. Its first thread's stat
 * says so, too: for the process's own the kernel would add up what all of its threads, which may be thousands, did. */
static pid_t process_parent(pid_t pid, uint64_t *started)
{
    char path[48], text[512];
    enum { STARTED_FIELDS = 18 }; /* from the parent's to the start's */

    snprintf(path, sizeof path, "%s/%d/task/%d/stat", procfs, pid, pid);
    if (process_read(path, text, sizeof text) < 0)
        return 0;
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    if (at == NULL || strlen(at) < 5)
        return 0;
    pid_t parent = (pid_t)strtol(at += 4, NULL, 10);
    for (int i = 0; i < STARTED_FIELDS && at != NULL; i++)
        at = strchr(at + 1, ' ');
    *started = at == NULL ? 0 : strtoull(at, NULL, 10);
    return parent;
}

/* Is `pid` a descendant of `ancestor`? false without /proc, and for more than PROCESS_DEPTH_MAX generations. */
static bool process_descends(pid_t pid, pid_t ancestor)
{
    uint64_t started;

    for (int depth = 0; pid > 1 && depth < PROCESS_DEPTH_MAX; depth++) {
        pid = process_parent(pid, &started);
        if (pid == ancestor)
            return true;
    }
    return false;
}

/* All processes there are and their parents, in the order of their numbers, which is the one in which the kernel lists
 * them. Who descends from whom is asked for many at once here, so that a long line of processes is walked up once. */
struct process_list {
    struct process_entry {
        pid_t pid, parent;
        bool known, ours; /* does it descend from who asked? */
    } entries[PROCESS_SCAN_MAX];
    size_t n;
};

/* The entry of a process; NULL: none. */
static struct process_entry *process_list_find(struct process_list *list, pid_t pid)
{
    size_t low = 0, high = list->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (list->entries[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->n && list->entries[low].pid == pid ? &list->entries[low] : NULL;
}

/* Note all processes. `self` counts as its own descendant. 0; -errno without /proc; -ENOBUFS: too many. */
static int process_list_read(struct process_list *list, pid_t self)
{
    DIR *all = opendir(procfs);
    int result = 0;

    list->n = 0;
    if (all == NULL)
        return -errno;
    for (struct dirent *entry; result == 0 && (entry = readdir(all)) != NULL;) {
        uint64_t pid, started;

        if (parse_uint(slice_of(entry->d_name), INT32_MAX, &pid) < 0)
            continue;
        if (list->n == PROCESS_SCAN_MAX)
            result = -ENOBUFS;
        else
            list->entries[list->n++] = (struct process_entry){
                (pid_t)pid, process_parent((pid_t)pid, &started), (pid_t)pid == self, (pid_t)pid == self};
    }
    closedir(all);
    return result;
}

/* Does this entry's process descend from `self`? The answer is kept for all on the way up. */
static bool process_list_descends(struct process_list *list, struct process_entry *entry, pid_t self)
{
    struct process_entry *top = entry, *above;

    for (size_t depth = 0; depth < list->n && !top->known; depth++) {
        above = process_list_find(list, top->parent);
        if (above == NULL) { /* the first of all, or one whose parent has ended meanwhile */
            top->known = true;
            top->ours = process_descends(top->pid, self);
        } else {
            top = above;
        }
    }
    bool ours = top->known && top->ours;
    for (above = entry; above != NULL && !above->known; above = process_list_find(list, above->parent)) {
        above->known = true;
        above->ours = ours;
    }
    return ours;
}

/* The number of the process whose exit was taken last; 0: none was. */
static pid_t process_ended_last;

/* Take the exits there are, without waiting, and a bounded number: a storm may bring new ones for ever. How many;
 * -ECHILD when no child is left. */
static int process_reap(void)
{
    int taken = 0;

    while (taken < PROCESS_REAP_MAX) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid <= 0)
            return pid < 0 && taken == 0 ? -errno : taken;
        process_ended_last = pid;
        taken++;
    }
    return taken;
}

/* When each descendant of ours that was found started: its number alone may be a stranger's by now. 0: none. */
static uint64_t process_found[PROCESS_NUMBERS];

/* Is this process, whose parent and start were read, a descendant of `self`? Known ones need no look at their
 * ancestors. */
static bool process_is_ours(pid_t pid, pid_t parent, pid_t self)
{
    uint64_t started;

    if (parent == self)
        return true;
    if (parent <= 0 || parent >= PROCESS_NUMBERS)
        return false;
    if (process_found[parent] != 0 && process_parent(parent, &started) > 0 && started == process_found[parent])
        return true;
    return process_descends(pid, self);
}

/* Send a signal to every descendant of ours. How many there were; -errno without /proc. The kernel lists processes
 * by their numbers, and gives new ones higher numbers: while one is forked, the pass is behind it still. */
static int process_signal_descendants(int sig)
{
    DIR *all = opendir(procfs);
    pid_t self = getpid();
    int n = 0;

    if (all == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        uint64_t pid, started = 0;

        if (parse_uint(slice_of(entry->d_name), PROCESS_NUMBERS - 1, &pid) < 0 || (pid_t)pid == self)
            continue;
        pid_t parent = process_parent((pid_t)pid, &started);
        if (!process_is_ours((pid_t)pid, parent, self))
            continue;
        process_found[pid] = started;
        kill((pid_t)pid, sig);
        n++;
    }
    closedir(all);
    return n;
}

/* Send a signal to our own children, which orphans become, the newest first: fast enough for a storm of short lives.
 * Does nothing where the kernel has no list of them (CONFIG_PROC_CHILDREN). */
static void process_signal_children(int sig)
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
static void process_stop_descendants(void)
{
    for (int reaped = 1, rounds = 0; reaped > 0 && rounds < PROCESS_ROUNDS_MAX; rounds++) {
        process_reap(); /* what ended makes the list long */
        process_signal_children(SIGSTOP);
        reaped = process_reap();
    }
    for (int before = -1, now = 0, rounds = 0; now != before && rounds < PROCESS_ROUNDS_MAX; rounds++) {
        before = now;
        now = process_signal_descendants(SIGSTOP);
    }
}

/* Kill those of our children, which orphans become, that have one of these numbers: a child is whom we may wait for.
 * Needs no /proc. How many there were. */
static int process_kill_numbers(pid_t from, pid_t to)
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
static void process_kill_children(pid_t near)
{
    for (pid_t at = 2, tried = 0; at < PROCESS_NUMBERS && process_reap() >= 0; at += 2 * PROCESS_RECENT) {
        if (process_ended_last != 0)
            near = process_ended_last;
        pid_t from = near > PROCESS_RECENT ? near - PROCESS_RECENT : 2;
        if (near != tried && process_kill_numbers(from, from + 2 * PROCESS_RECENT) > 0)
            return;
        tried = near;
        process_kill_numbers(at, at + 2 * PROCESS_RECENT - 1);
    }
}

/* End what is left of our descendants; we are their subreaper, so orphans come to us. Returns when no child is left.
 * As PID 1 everything else is ended. command: the first of them, which ended. 0; without /proc -EAGAIN when they fork
 * faster than they are found. */
static int process_end_descendants(pid_t command)
{
    for (int rounds = 0; process_reap() >= 0; rounds++) {
        if (getpid() == 1) {
            kill(-1, SIGKILL);
        } else {
            process_stop_descendants();
            if (process_signal_descendants(SIGKILL) < 0) {
                if (rounds == PROCESS_BLIND_ROUNDS_MAX)
                    return -EAGAIN;
                process_kill_children(command);
                usleep(1000u * (unsigned)rounds); /* what ends slowly has 5 s in all */
            }
        }
        usleep(1000);
    }
    return 0;
}

#endif

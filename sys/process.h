/* process.h - what /proc says of threads and processes (proc(5)) */
#ifndef PROCESS_H
#define PROCESS_H

#include "kernel.h"
#include "procfs.h"

#include <dirent.h>

enum {
    PROCESS_NAME_MAX = 16,
    PROCESS_STATUS_MAX = 8192,
    PROCESS_LOOKS = 64,       /* at the threads of one process */
    PROCESS_SCAN_MAX = 32768, /* processes that are looked through */
    PROCESS_DEPTH_MAX = 1024, /* generations between a process and its ancestor */
};

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

#endif

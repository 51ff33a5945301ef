/* pin.h - our own reference to a child's descriptor (pidfd_open(2), pidfd_getfd(2)) */
#ifndef PIN_H
#define PIN_H

#include "kernel.h"

/* Caching by descriptor number would never be safe (dup2); caching pidfds is: one whose thread is gone answers ESRCH,
 * also when its number has been given to another. */
enum { PIN_SLOTS = 64 };

struct pin_slot {
    pid_t id;  /* 0: empty */
    int pidfd; /* owned */
};

struct pin_cache {
    bool by_thread; /* PIDFD_THREAD exists: the thread's own descriptor table is read */
    struct pin_slot slots[PIN_SLOTS];
};

/* Does this kernel have PIDFD_THREAD (6.9)? */
static bool pin_kernel_has_threads(void)
{
    int pidfd CLOSE_FD = sys_pidfd_open(getpid(), KERNEL_PIDFD_THREAD);

    return pidfd >= 0;
}

/* The process a thread belongs to, from /proc/TID/status; 0 when that can't be read. */
static pid_t pin_process_of(pid_t tid)
{
    char path[32], text[512];
    uint64_t id;

    snprintf(path, sizeof path, "/proc/%d/status", tid);
    int fd CLOSE_FD = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return 0;
    text[n] = 0;
    const char *line = strstr(text, "\nTgid:\t");
    if (line == NULL)
        return 0;
    struct slice rest = slice_of(line + strlen("\nTgid:\t"));
    if (parse_uint(slice_split(&rest, '\n'), INT32_MAX, &id) < 0)
        return 0;
    return (pid_t)id;
}

/* A pidfd for a thread, kept in the cache; -errno. */
static int pin_pidfd(struct pin_cache *cache, pid_t tid, bool fresh)
{
    /* Without PIDFD_THREAD only leaders have pidfds, and the filter holds every thread to its leader's table. A thread's
     * leader is asked for each time: thread numbers are reused too soon to remember it. */
    pid_t id = cache->by_thread ? tid : pin_process_of(tid);
    id = id ? id : tid;
    struct pin_slot *slot = &cache->slots[(unsigned)id % PIN_SLOTS];

    if (slot->id == id && !fresh)
        return slot->pidfd;
    if (slot->id != 0)
        close(slot->pidfd);
    slot->id = 0;
    int pidfd = sys_pidfd_open(id, cache->by_thread ? KERNEL_PIDFD_THREAD : 0);
    if (pidfd >= 0)
        *slot = (struct pin_slot){id, pidfd};
    return pidfd;
}

/* Pin a thread's descriptor: our own, close-on-exec, to be closed by the caller. -EBADF when it isn't open there; -ESRCH
 * when the thread is gone; other -errno. */
static int pin_take(struct pin_cache *cache, pid_t tid, int fd)
{
    for (int fresh = 0;; fresh++) {
        int pidfd = pin_pidfd(cache, tid, fresh);

        if (pidfd < 0)
            return pidfd;
        int pin = sys_pidfd_getfd(pidfd, fd);
        if (pin != -ESRCH || fresh)
            return pin;
    }
}

#endif

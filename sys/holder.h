/* holder.h - which sockets the descendants of ours have open, by inode, and as which descriptors (proc(5)) */
#ifndef HOLDER_H
#define HOLDER_H

#include "process.h"
#include "procfs.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* The inode of the socket that /proc calls "socket:[N]"; 0: it is none; -errno: -ENOENT when it isn't open. */
static int64_t holder_inode_at(int directory, const char *name)
{
    char link[64];
    uint64_t inode;
    ssize_t n = readlinkat(directory, name, link, sizeof link - 1);

    if (n < 0)
        return -errno;
    link[n] = 0;
    if (strncmp(link, "socket:[", 8) != 0 || link[n - 1] != ']')
        return 0;
    return parse_uint((struct slice){link + 8, (size_t)n - 9}, INT64_MAX, &inode) < 0 ? 0 : (int64_t)inode;
}

/* The same of a thread's descriptor. */
static int64_t holder_inode(pid_t tid, int fd)
{
    char name[40];

    snprintf(name, sizeof name, "%s/%d/fd/%d", procfs, tid, fd);
    return holder_inode_at(AT_FDCWD, name);
}

static bool holder_look(pid_t pid, bool (*found)(pid_t pid, int fd, uint64_t inode, void *context), void *context)
{
    char path[40];
    bool done = false;

    snprintf(path, sizeof path, "%s/%d/fd", procfs, pid);
    DIR *descriptors = opendir(path);
    if (descriptors == NULL)
        return false;
    for (struct dirent *entry; !done && (entry = readdir(descriptors)) != NULL;) {
        int64_t inode = holder_inode_at(dirfd(descriptors), entry->d_name);
        uint64_t fd;

        done = inode > 0 && parse_uint(slice_of(entry->d_name), INT32_MAX, &fd) == 0 &&
               found(pid, (int)fd, (uint64_t)inode, context);
    }
    closedir(descriptors);
    return done;
}

/* In a helper that looks: it ends with `parent`, and may open the few descriptors that its parent leaves of the hard
 * limit (HOLDER_DESCRIPTORS; setrlimit(2)). Is the parent there? */
static bool holder_help(pid_t parent)
{
    struct rlimit limit;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return getppid() == parent;
}

/* Tell `found` of the sockets of all descendants of `self` but `except` (0: none) and the caller, which share our own
 * descriptors, until it is true: takes as long as there are processes and descriptors. 0, or -errno: without /proc, too
 * many processes. */
static int holder_each(pid_t self, pid_t except, bool (*found)(pid_t pid, int fd, uint64_t inode, void *context),
                       void *context)
{
    static struct process_list all;
    int result = process_list_read(&all, self);
    bool done = result < 0;

    for (struct process_entry *entry = all.entries; !done && entry < all.entries + all.n; entry++)
        done = entry->pid != except && entry->pid != self && entry->pid != getpid() &&
               process_list_descends(&all, entry, self) && holder_look(entry->pid, found, context);
    return result;
}

/* Who is looked for. */
struct holder {
    uint64_t inode;
    pid_t pid; /* 0: nobody has it */
    int fd;
};

static bool holder_is(pid_t pid, int fd, uint64_t inode, void *context)
{
    struct holder *holder = context;

    if (inode != holder->inode)
        return false;
    holder->pid = pid;
    holder->fd = fd;
    return true;
}

#endif

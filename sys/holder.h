/* holder.h - which descendant of ours has a socket open, and as which descriptor (proc(5)) */
#ifndef HOLDER_H
#define HOLDER_H

#include "pintable.h"
#include "process.h"

/* The descriptor of a process that is the socket of this inode; -ENOENT: none is. */
static int holder_look(pid_t pid, uint64_t inode)
{
    char path[40];
    int found = -ENOENT;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *descriptors = opendir(path);
    if (descriptors == NULL)
        return -ENOENT;
    for (struct dirent *entry; found < 0 && (entry = readdir(descriptors)) != NULL;) {
        uint64_t fd;

        if (parse_uint(slice_of(entry->d_name), INT32_MAX, &fd) == 0 &&
            pintable_inode_at(dirfd(descriptors), entry->d_name) == (int64_t)inode)
            found = (int)fd;
    }
    closedir(descriptors);
    return found;
}

/* Look through all descendants but `except` (0: none), which shares our own descriptors: takes as long as there are
 * processes and descriptors. 0 with *pid and *fd; -ENOENT: nobody has it, or there is no /proc. */
static int holder_find(uint64_t inode, pid_t except, pid_t *pid, int *fd)
{
    DIR *all = opendir("/proc");
    int found = -ENOENT;

    if (all == NULL)
        return -ENOENT;
    for (struct dirent *entry; found < 0 && (entry = readdir(all)) != NULL;) {
        uint64_t number;

        if (parse_uint(slice_of(entry->d_name), INT32_MAX, &number) < 0 || (pid_t)number == except ||
            !process_descends((pid_t)number, getpid()))
            continue;
        found = holder_look((pid_t)number, inode);
        *pid = (pid_t)number;
    }
    closedir(all);
    if (found < 0)
        return -ENOENT;
    *fd = found;
    return 0;
}

#endif

/* pintable.h - sockets that we made and handed in, by inode, for where pidfd_getfd(2) is refused (proc(5)) */
#ifndef PINTABLE_H
#define PINTABLE_H

#include "kernel.h"
#include "process.h"
#include "procfs.h"

#include <dirent.h>
#include <sys/stat.h>

enum { PINTABLE_MAX = 4096 };

struct pintable {
    struct pintable_entry {
        uint64_t inode;
        int fd; /* owned */
        bool seen;
    } entries[PINTABLE_MAX];
    size_t n;
};

/* The inode of the socket that /proc calls "socket:[N]"; 0: it is none; -errno: -ENOENT when it isn't open. */
static int64_t pintable_inode_at(int directory, const char *name)
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

static struct pintable_entry *pintable_find(struct pintable *table, uint64_t inode)
{
    for (size_t i = 0; i < table->n; i++)
        if (table->entries[i].inode == inode)
            return &table->entries[i];
    return NULL;
}

/* Keep a socket, which is ours from now on. 0, or -errno with it closed: -ENOBUFS when there are too many. */
static int pintable_add(struct pintable *table, int fd)
{
    struct stat status;

    if (table->n == PINTABLE_MAX || fstat(fd, &status) < 0) {
        close(fd);
        return -ENOBUFS;
    }
    table->entries[table->n++] = (struct pintable_entry){status.st_ino, fd, true};
    return 0;
}

static void pintable_remove(struct pintable *table, struct pintable_entry *entry)
{
    close(entry->fd);
    *entry = table->entries[--table->n];
}

/* Stop holding the socket that `pin` is a descriptor of: the child has it alone from now on. */
static void pintable_drop(struct pintable *table, int pin)
{
    struct stat status;
    struct pintable_entry *entry = fstat(pin, &status) < 0 ? NULL : pintable_find(table, status.st_ino);

    if (entry != NULL)
        pintable_remove(table, entry);
}

/* Pin a thread's descriptor, if it is a socket of the table: our own, to be closed. -EBADF, -ENOTSOCK; -EACCES: a
 * socket that came another way; other -errno. */
static int pintable_take(struct pintable *table, pid_t tid, int fd)
{
    char name[40];

    snprintf(name, sizeof name, "%s/%d/fd/%d", procfs, tid, fd);
    int64_t inode = pintable_inode_at(AT_FDCWD, name);
    if (inode <= 0)
        return inode == -ENOENT ? -EBADF : inode == 0 ? -ENOTSOCK : (int)inode;
    struct pintable_entry *entry = pintable_find(table, (uint64_t)inode);
    return entry == NULL ? -EACCES : sys_result(fcntl(entry->fd, F_DUPFD_CLOEXEC, 0));
}

/* Note which sockets of the table a process still has open. */
static void pintable_look(struct pintable *table, pid_t pid)
{
    char path[40];

    snprintf(path, sizeof path, "%s/%d/fd", procfs, pid);
    DIR *descriptors = opendir(path);
    if (descriptors == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
        int64_t inode = pintable_inode_at(dirfd(descriptors), entry->d_name);
        struct pintable_entry *found = inode > 0 ? pintable_find(table, (uint64_t)inode) : NULL;

        if (found != NULL)
            found->seen = true;
    }
    closedir(descriptors);
}

/* Let go of the sockets that no descendant of ours has open any more, so that no port stays taken; `except` (0: none)
 * shares our own descriptors. What is on its way from one process to another is let go, too. */
static void pintable_sweep(struct pintable *table, pid_t except)
{
    DIR *all = opendir(procfs);

    if (all == NULL)
        return;
    for (size_t i = 0; i < table->n; i++)
        table->entries[i].seen = false;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        uint64_t pid;

        if (parse_uint(slice_of(entry->d_name), INT32_MAX, &pid) == 0 && (pid_t)pid != except &&
            process_descends((pid_t)pid, getpid()))
            pintable_look(table, (pid_t)pid);
    }
    closedir(all);
    for (size_t i = table->n; i-- > 0;)
        if (!table->entries[i].seen)
            pintable_remove(table, &table->entries[i]);
}

#endif

/* pintable.h - sockets that we made and handed in, by inode, for where pidfd_getfd(2) is refused (proc(5)) */
#ifndef PINTABLE_H
#define PINTABLE_H

#include "clock.h"
#include "closer.h"
#include "holder.h"
#include "kernel.h"
#include "limits.h"
#include "procfs.h"

#include <sys/stat.h>
#include <sys/un.h>

struct pintable {
    struct pintable_entry {
        uint64_t inode;
        int fd; /* owned */
        bool seen;
    } entries[PINTABLE_MAX];
    size_t n;
    uint64_t swept_at, free_at; /* when it was swept last, and when it may be again */
    uint64_t begun[PINTABLE_BEGUN_MAX]; /* inodes of connections whose connect(2) hasn't said yet that they are there */
    size_t begun_turn;
};

static struct pintable_entry *pintable_find(struct pintable *table, uint64_t inode)
{
    for (size_t i = 0; i < table->n; i++)
        if (table->entries[i].inode == inode)
            return &table->entries[i];
    return NULL;
}

/* The entry of the socket that `pin` is a descriptor of; NULL: none. */
static struct pintable_entry *pintable_of(struct pintable *table, int pin)
{
    struct stat status;

    return fstat(pin, &status) < 0 ? NULL : pintable_find(table, status.st_ino);
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

/* Stop holding a socket: the child has it alone from now on. */
static void pintable_remove(struct pintable *table, struct closer *closer, struct pintable_entry *entry)
{
    closer_release(closer, entry->fd, sys_socket_option(entry->fd, SOL_SOCKET, SO_DOMAIN) == AF_UNIX);
    *entry = table->entries[--table->n];
}

/* The connection of this socket is there, and its next connect(2) is to say so: 0, and EISCONN only then. */
static void pintable_note_begun(struct pintable *table, uint64_t inode)
{
    table->begun[table->begun_turn++ % PINTABLE_BEGUN_MAX] = inode;
}

/* Was it? Once. */
static bool pintable_take_begun(struct pintable *table, uint64_t inode)
{
    for (size_t i = 0; i < PINTABLE_BEGUN_MAX; i++)
        if (table->begun[i] == inode) {
            table->begun[i] = 0;
            return true;
        }
    return false;
}

/* Was this descriptor opened with O_PATH, which makes it none to most calls (open(2))? */
static bool pintable_is_path(pid_t tid, int fd)
{
    char path[48], text[256];

    snprintf(path, sizeof path, "%s/%d/fdinfo/%d", procfs, tid, fd);
    return process_read(path, text, sizeof text) > 0 && process_field(text, "\nflags:\t", 8, 0) & O_PATH;
}

/* Pin a thread's descriptor, if it is a socket of the table: our own, to be closed. -EBADF, -ENOTSOCK; -EACCES: a
 * socket that came another way; other -errno. */
static int pintable_take(struct pintable *table, pid_t tid, int fd)
{
    int64_t inode = holder_inode(tid, fd);

    if (inode < 0)
        return inode == -ENOENT ? -EBADF : (int)inode;
    if (inode == 0)
        return pintable_is_path(tid, fd) ? -EBADF : -ENOTSOCK;
    struct pintable_entry *entry = pintable_find(table, (uint64_t)inode);
    return entry == NULL ? -EACCES : sys_result(fcntl(entry->fd, F_DUPFD_CLOEXEC, 0));
}

static bool pintable_mark(pid_t pid, int fd, uint64_t inode, void *table)
{
    struct pintable_entry *found = pintable_find(table, inode);

    (void)pid;
    (void)fd;
    if (found != NULL)
        found->seen = true;
    return false;
}

/* Let go of the sockets that no descendant of ours has open any more, so that no port stays taken; the closer shares
 * our descriptors. What is on its way from one process to another is let go, too. Was it done? It may take a quarter of
 * our time. */
static bool pintable_sweep(struct pintable *table, struct closer *closer)
{
    uint64_t start = clock_us();

    if (table->n == 0 || start < table->free_at)
        return false;
    for (size_t i = 0; i < table->n; i++)
        table->entries[i].seen = false;
    bool looked = holder_each(getpid(), closer->pid, pintable_mark, table) == 0;
    for (size_t i = table->n; looked && i-- > 0;)
        if (!table->entries[i].seen)
            pintable_remove(table, closer, &table->entries[i]);
    table->swept_at = start;
    table->free_at = clock_rest(start);
    return true;
}

/* Has one of the sockets this name (unix(7))? */
static bool pintable_has_name(const struct pintable *table, const struct sockaddr_un *name, socklen_t len)
{
    for (size_t i = 0; i < table->n; i++) {
        struct sockaddr_un bound;
        socklen_t bound_len = sizeof bound;

        if (getsockname(table->entries[i].fd, (struct sockaddr *)&bound, &bound_len) == 0 && bound_len == len &&
            memcmp(&bound, name, len) == 0)
            return true;
    }
    return false;
}

#endif

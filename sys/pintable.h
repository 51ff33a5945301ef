/* pintable.h - sockets that we made and handed in, by inode, for where pidfd_getfd(2) is refused (proc(5)) */
#ifndef PINTABLE_H
#define PINTABLE_H

#include "clock.h"
#include "closer.h"
#include "finder.h"
#include "holder.h"
#include "kernel.h"
#include "limits.h"
#include "procfs.h"

#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

struct pintable {
    struct pintable_entry {
        uint64_t inode;
        int fd; /* owned */
        bool seen;
    } entries[PINTABLE_MAX];
    size_t n;
    int told[2]; /* of a pipe, owned, by which a helper tells what nobody has open */
    uint64_t begun_at, swept_at, free_at; /* when a sweep was begun, the last whole one was, and the next may be */
    uint64_t begun[PINTABLE_BEGUN_MAX]; /* inodes of connections whose connect(2) hasn't said yet that they are there */
    size_t begun_turn;
};

/* What looking takes, while there are descriptors. 0 or -errno. */
static int pintable_open(struct pintable *table)
{
    if (pipe2(table->told, O_CLOEXEC) < 0)
        return -errno;
    fcntl(table->told[0], F_SETFL, O_NONBLOCK);
    return finder_open();
}

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

/* Which of the sockets do our descendants have open? The helper's life: it tells of the others at once, with 0 at the
 * end. It shares our descriptors, as `other` does. */
static void pintable_look(struct pintable *table, pid_t self, pid_t other)
{
    static uint64_t closed[PINTABLE_MAX + 1];
    size_t n = 0;

    if (!holder_help(self) || holder_each(self, other, pintable_mark, table) < 0)
        _exit(1);
    for (size_t i = 0; i < table->n; i++)
        if (!table->entries[i].seen)
            closed[n++] = table->entries[i].inode;
    closed[n++] = 0;
    _exit(write(table->told[1], closed, n * sizeof *closed) != (ssize_t)(n * sizeof *closed));
}

/* Begin to look: by a helper, or where there can be none by ourselves, for as long as it takes. */
static void pintable_begin_sweep(struct pintable *table, struct closer *closer)
{
    pid_t self = getpid();

    for (size_t i = 0; i < table->n; i++)
        table->entries[i].seen = false;
    table->begun_at = clock_us();
    pid_t pid = sys_fork(CLONE_FILES);
    if (pid == 0)
        pintable_look(table, self, closer->pid);
    if (pid > 0) {
        finder.beside = pid;
        return;
    }
    bool looked = holder_each(self, closer->pid, pintable_mark, table) == 0;
    for (size_t i = table->n; looked && i-- > 0;)
        if (!table->entries[i].seen)
            pintable_remove(table, closer, &table->entries[i]);
}

/* Let go of what the helper tells of, for a while. Has it told all? */
static bool pintable_take_told(struct pintable *table, struct closer *closer)
{
    uint64_t start = clock_us(), inode = 1;
    pid_t helper = finder.beside;

    while (inode != 0 && clock_us() - start < PINTABLE_PATIENCE_US) {
        if (read(table->told[0], &inode, sizeof inode) != sizeof inode) {
            if (waitpid(helper, NULL, __WALL | WNOHANG) != helper)
                return false;
            finder.beside = 0; /* it was killed, or there is no /proc */
            return true;
        }
        struct pintable_entry *entry = pintable_find(table, inode);
        if (inode != 0 && entry != NULL)
            pintable_remove(table, closer, entry);
    }
    if (inode != 0)
        return false;
    waitpid(helper, NULL, __WALL);
    finder.beside = 0;
    return true;
}

/* Let go of the sockets that no descendant of ours has open any more, so that no port stays taken; the closer shares
 * our descriptors. What is on its way from one process to another is let go, too. Was it done? A helper looks for them,
 * a quarter of the time at most: who is told no asks again. */
static bool pintable_sweep(struct pintable *table, struct closer *closer)
{
    finder_take(0);
    if (finder.beside == 0) {
        if (table->n == 0 || finder.pid != 0 || clock_us() < table->free_at)
            return false;
        pintable_begin_sweep(table, closer);
        struct pollfd told = {.fd = table->told[0], .events = POLLIN};
        if (finder.beside != 0)
            poll(&told, 1, FINDER_PATIENCE_MS);
    }
    if (finder.beside != 0 && !pintable_take_told(table, closer))
        return false;
    table->swept_at = table->begun_at;
    table->free_at = clock_rest(table->begun_at);
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

/* Has one of the sockets this port, in network order, at whatever IP address? */
static bool pintable_has_port(const struct pintable *table, uint16_t port)
{
    for (size_t i = 0; i < table->n; i++) {
        struct sockaddr_in6 bound; /* sin_port is where sin6_port is */
        socklen_t bound_len = sizeof bound;

        if (getsockname(table->entries[i].fd, (struct sockaddr *)&bound, &bound_len) == 0 &&
            (bound.sin6_family == AF_INET || bound.sin6_family == AF_INET6) && bound.sin6_port == port)
            return true;
    }
    return false;
}

#endif

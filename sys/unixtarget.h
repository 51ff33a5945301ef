/* unixtarget.h - which socket a unix address of another process leads to, and who bound that (unix(7), sock_diag(7)) */
#ifndef UNIXTARGET_H
#define UNIXTARGET_H

#include "addr.h"
#include "childpath.h"
#include "clock.h"
#include "closer.h"
#include "cookieset.h"
#include "creds.h"
#include "finder.h"
#include "path.h"
#include "pin.h"
#include "process.h"
#include "unixdiag.h"

enum { UNIX_HOLDERS = 64 };

/* Where a socket was last seen: descriptor fd of process pid. */
struct unix_holder {
    uint64_t cookie; /* 0: none */
    pid_t pid;
    int fd;
};

/* The sockets that processes of ours bound, and when an address may be followed again: a path may lead through many
 * links, and the kernel takes long to tell of others' sockets where there are many, so it has a quarter of our time.
 * All zero at first, then pins and closer are set. */
struct unix_own {
    struct cookieset sockets;
    uint64_t free_at; /* of clock_us; 0: now */
    uint64_t sweep_at; /* when those that are closed may be looked for again */
    struct unix_holder holders[UNIX_HOLDERS]; /* by cookie */
    struct pin_cache *pins;
    struct closer *closer; /* of descriptors whose close could wait */
};

/* Where a unix address leads. */
struct unix_target {
    struct creds caller;      /* whose rights it was found by, and is used with */
    char name[PATH_MAX + 1];  /* its path as we see it, or @ and the abstract name, for rules and people */
    size_t name_len;          /* an abstract name may hold NULs */
    char bound[PATH_MAX + 1]; /* the path that its holder bound it by; empty: unknown, or a relative one */
    char leads[PATH_MAX + 1]; /* the same without the symbolic links that there are now */
    int file;                 /* O_PATH of the socket's file, owned; < 0: an abstract name */
    int held;                 /* the socket of ours that has an abstract name, owned; < 0: none */
    dev_t device;
    ino_t inode;
    enum { HELD_OUTSIDE, HELD_INSIDE, HELD_BY_NOBODY } holder; /* who bound it; unknown is outside */
};

static void unix_own_mark(const struct unixdiag_socket *found, void *own)
{
    cookieset_mark(own, found->cookie);
}

/* A socket is about to be bound by a process of ours, or may be by the kernel itself: its cookie. One that is bound
 * already, by whomever, stays what it is: 0. */
static uint64_t unix_own_add(struct unix_own *own, int pin)
{
    union address bound;
    socklen_t len = sizeof bound;
    uint64_t cookie = pin_cookie(pin);

    if (getsockname(pin, &bound.any, &len) < 0 || len > sizeof bound.any.sa_family || cookie == 0)
        return 0;
    uint64_t start = own->sockets.n == COOKIESET_MAX ? clock_us() : 0;
    if (start > own->sweep_at) { /* forget those that are closed */
        if (unixdiag_each(NULL, unix_own_mark, &own->sockets) == 0)
            cookieset_keep_marked(&own->sockets);
        own->sweep_at = clock_rest(start);
    }
    cookieset_add(&own->sockets, cookie); /* where it is full, a stranger's */
    return cookie;
}

/* What was found of the target's address: who holds it. Abstract names are told apart by type, and what a stream server
 * accepted carries its address, too. A stranger's counts more than one of ours: the kernel tells inodes in 32 bits. */
struct unix_search {
    const struct unix_own *own;
    int type; /* 0: any */
    bool seen, stranger;
    struct unix_target *target; /* whose bound and leads are filled in */
    uint64_t cookie;            /* what was seen of ours */
    uint32_t inode;
};

static void unix_search_found(const struct unixdiag_socket *found, void *context)
{
    struct unix_search *search = context;
    struct unix_target *target = search->target;

    if ((search->type != 0 && found->type != search->type) || (found->type != SOCK_DGRAM && !found->listens))
        return;
    if (cookieset_has(&search->own->sockets, found->cookie)) {
        search->seen = true;
        search->cookie = found->cookie;
        search->inode = found->inode;
        return;
    }
    search->stranger = true;
    if (found->name_len > 0 && found->name_len <= UNIXDIAG_NAME_MAX && found->name[0] == '/') {
        snprintf(target->bound, sizeof target->bound, "%.*s", (int)found->name_len, found->name);
        char *canonical = path_canonical(target->bound);
        snprintf(target->leads, sizeof target->leads, "%s", canonical ? canonical : target->bound);
        free(canonical);
    }
}

/* Hold the socket of ours that has an abstract name: until unix_target_let_go the name is nobody else's. Where it can't
 * be had it is about to be closed, or on its way in a message: then nobody is there. 0; -EAGAIN: not now. */
static int unix_target_hold(struct unix_target *target, struct unix_own *own, const struct unix_search *search)
{
    struct unix_holder *holder = &own->holders[search->cookie % UNIX_HOLDERS];

    if (holder->cookie == search->cookie)
        target->held = pin_take_same(own->pins, own->closer, holder->pid, holder->fd, holder->cookie);
    if (target->held < 0) {
        *holder = (struct unix_holder){.cookie = search->cookie};
        int found = finder_ask(search->inode, own->closer->pid, &holder->pid, &holder->fd);
        if (found == 0)
            target->held = pin_take_same(own->pins, own->closer, holder->pid, holder->fd, holder->cookie);
        if (found == -EAGAIN)
            return found;
    }
    if (target->held < 0)
        target->holder = HELD_BY_NOBODY;
    return 0;
}

/* What is held of a target is given up. It is asked for its queue only where sockets may be slow to close. */
static void unix_target_let_go(struct unix_target *target, struct unix_own *own)
{
    if (target->held >= 0 && own->closer->lingers)
        closer_release(own->closer, target->held, true);
    else if (target->held >= 0)
        close(target->held);
    target->held = -1;
}

/* Who bound what the key tells? 0; -EAGAIN: not now. */
static int unix_target_ask(struct unix_target *target, struct unix_own *own, const struct unixdiag_key *key, int type)
{
    struct unix_search search = {.own = own, .type = type, .target = target};
    int result = unixdiag_each(key, unix_search_found, &search);

    if (result < 0 || search.stranger)
        target->holder = HELD_OUTSIDE;
    else
        target->holder = search.seen ? HELD_INSIDE : HELD_BY_NOBODY;
    return target->holder == HELD_INSIDE && key->len > 0 ? unix_target_hold(target, own, &search) : 0;
}

/* Who bound what has this inode? Overlays and the like tell another device than the mount's. */
static void unix_target_ask_inode(struct unix_target *target, struct unix_own *own, const struct stat *status)
{
    struct unixdiag_key key = {.inode = (uint32_t)status->st_ino, .device = unixdiag_device(status->st_dev)};

    target->holder = HELD_BY_NOBODY;
    if (!S_ISSOCK(status->st_mode))
        return;
    unix_target_ask(target, own, &key, 0);
    if (target->holder == HELD_BY_NOBODY) {
        uint32_t device = unixdiag_mount_device(target->file);
        if (device == key.device)
            return;
        key.device = device;
        unix_target_ask(target, own, &key, 0);
        if (device == 0)
            target->holder = HELD_OUTSIDE;
    }
    if (status->st_ino > UINT32_MAX)
        target->holder = HELD_OUTSIDE;
}

/* Look a path up as the caller would, with its rights. The inode is pinned, so that it can't be swapped any more. 0,
 * or -errno: the kernel's own, or -EACCES where we can't stand in the caller's place. */
static int unix_target_find_path(struct unix_target *target, struct unix_own *own, pid_t tid, const char *path)
{
    static struct childpath walk;
    static struct creds ours;
    char proc[40];
    struct stat status_of;
    struct process_status status;

    if (process_status_read(tid, &status) < 0 || creds_read(getpid(), &ours) < 0)
        return -EACCES;
    int begun = childpath_begin(&walk, tid, status.leader, AT_FDCWD, path);
    int start CLOSE_FD = walk.start;
    if (begun < 0 || creds_take(&ours, &target->caller) < 0)
        return -EACCES;
    target->file = sys_openat2(start, walk.path, &walk.how);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", target->file);
    int writable = target->file < 0 ? 0 : sys_result(faccessat(AT_FDCWD, proc, W_OK, AT_EACCESS));
    creds_restore(&ours, &target->caller);
    if (target->file < 0)
        return target->file == -ELOOP ? -EACCES : target->file;
    if (childpath_readlink(proc, target->name) < 0 || writable < 0 || fstat(target->file, &status_of) < 0)
        return -EACCES;
    target->name_len = strlen(target->name);
    target->device = status_of.st_dev;
    target->inode = status_of.st_ino;
    unix_target_ask_inode(target, own, &status_of);
    return 0;
}

/* Find who has an abstract name, of `len` bytes with the NUL in front. 0; -EAGAIN: not now. */
static int unix_target_find_name(struct unix_target *target, struct unix_own *own, int type, const char *name,
                                 size_t len)
{
    struct unixdiag_key key = {.len = len};

    memcpy(key.name, name, len);
    target->name[0] = '@';
    memcpy(target->name + 1, name + 1, len - 1);
    target->name[len] = 0;
    target->name_len = len;
    return unix_target_ask(target, own, &key, type);
}

/* Find where thread tid's address for a socket of `type` leads. What *target had is given up; its file and held are -1
 * at first. The address becomes one that leads there from where we are. 0 or -errno; -EAGAIN: not now. */
static int unix_target_find(struct unix_target *target, struct unix_own *own, pid_t tid, int type,
                            union address *address, socklen_t *len)
{
    size_t room = *len - offsetof(struct sockaddr_un, sun_path);
    char path[sizeof address->local.sun_path + 1];
    uint64_t start = clock_us();

    if (start < own->free_at)
        return -EAGAIN;
    unix_target_let_go(target, own);
    if (target->file >= 0)
        close(target->file);
    target->file = -1;
    target->holder = HELD_OUTSIDE;
    target->bound[0] = target->leads[0] = 0;
    if (creds_read(tid, &target->caller) < 0)
        return -EACCES;
    memcpy(path, address->local.sun_path, room);
    path[room] = 0;
    bool named = path[0] == 0;
    int result = named ? unix_target_find_name(target, own, type, path, room)
                       : unix_target_find_path(target, own, tid, path);
    own->free_at = clock_rest(start);
    if (result < 0 || named)
        return result;
    memset(&address->local.sun_path, 0, sizeof address->local.sun_path);
    int n = snprintf(address->local.sun_path, sizeof address->local.sun_path, "/proc/self/fd/%d", target->file);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
    return 0;
}

#endif

/* pin.h - our own reference to a child's descriptor (pidfd_open(2), pidfd_getfd(2); or pintable.h) */
#ifndef PIN_H
#define PIN_H

#include "closer.h"
#include "kernel.h"
#include "limits.h"
#include "pintable.h"
#include "process.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

/* Caching by descriptor number would never be safe (dup2); caching pidfds is: one whose thread is gone answers ESRCH,
 * also when its number has been given to another. */
struct pin_slot {
    pid_t id;  /* 0: empty */
    int pidfd; /* owned */
};

struct pin_cache {
    bool by_thread; /* PIDFD_THREAD exists: the thread's own descriptor table is read */
    struct pintable *table; /* not NULL: sockets are found there, since the kernel refuses pidfd_getfd */
    struct pin_slot slots[PIN_SLOTS];
};

/* Does this kernel have PIDFD_THREAD (6.9)? */
static bool pin_kernel_has_threads(void)
{
    int pidfd CLOSE_FD = sys_pidfd_open(getpid(), KERNEL_PIDFD_THREAD);

    return pidfd >= 0;
}

/* A pidfd for a thread (its leader's, before Linux 6.9), kept in the cache; fresh: opened anew. Or -errno. */
static int pin_pidfd(struct pin_cache *cache, pid_t tid, bool fresh)
{
    /* Without PIDFD_THREAD only leaders have pidfds, and the filter holds every thread to its leader's table. A
     * thread's leader is asked for each time: thread numbers are reused too soon to remember it. */
    struct process_status status;
    pid_t id = cache->by_thread || process_status_read(tid, &status) < 0 ? tid : status.leader;
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

/* Close the cached pidfds, where descriptors are short. Whether there were any. */
static bool pin_forget(struct pin_cache *cache)
{
    bool any = false;

    for (size_t i = 0; i < PIN_SLOTS; i++)
        if (cache->slots[i].id != 0) {
            close(cache->slots[i].pidfd);
            cache->slots[i].id = 0;
            any = true;
        }
    return any;
}

/* Pin a thread's descriptor: our own, close-on-exec, to be closed by the caller. -EBADF when it isn't open there;
 * -ESRCH when the thread is gone; other -errno. */
static int pin_take(struct pin_cache *cache, pid_t tid, int fd)
{
    if (cache->table != NULL)
        return pintable_take(cache->table, tid, fd);
    for (int again = 0;; again = 1) {
        int pidfd = pin_pidfd(cache, tid, again);
        int pin = pidfd < 0 ? pidfd : sys_pidfd_getfd(pidfd, fd);
        bool short_of = pin == -EMFILE || pin == -ENFILE;

        if (again || !(short_of ? pin_forget(cache) : pidfd >= 0 && pin == -ESRCH))
            return pin;
    }
}

/* What a pinned socket is. IP: the protocol says it all (raw sockets don't exist inside). Others: the type does. */
struct socket_kind {
    int domain;   /* AF_* */
    int protocol; /* IPPROTO_* of an IP socket, else 0 */
    int type;     /* SOCK_* of any other, else 0 */
};

static bool socket_is_ip(struct socket_kind kind)
{
    return kind.domain == AF_INET || kind.domain == AF_INET6;
}

static bool socket_is(struct socket_kind kind, int protocol)
{
    return socket_is_ip(kind) && kind.protocol == protocol;
}

/* Ask the pin what it is (socket(7): SO_DOMAIN, SO_PROTOCOL, SO_TYPE). 0; -ENOTSOCK; -EBADF for O_PATH; other
 * -errno. */
static int pin_kind(int pin, struct socket_kind *kind)
{
    *kind = (struct socket_kind){.domain = sys_socket_option(pin, SOL_SOCKET, SO_DOMAIN)};
    if (kind->domain < 0)
        return kind->domain;
    int *detail = socket_is_ip(*kind) ? &kind->protocol : &kind->type;
    *detail = sys_socket_option(pin, SOL_SOCKET, socket_is_ip(*kind) ? SO_PROTOCOL : SO_TYPE);
    return *detail < 0 ? *detail : 0;
}

/* Is the descriptor in blocking mode (fcntl(2), F_GETFL)? The mode is the open file's: the child's is the same. */
static bool pin_blocks(int pin)
{
    return (fcntl(pin, F_GETFL) & O_NONBLOCK) == 0;
}

/* Set that mode (ioctl(2), FIONBIO). */
static void pin_set_blocking(int pin, bool blocks)
{
    int nonblocking = !blocks;

    ioctl(pin, FIONBIO, &nonblocking);
}

/* Set an int option of SOL_SOCKET, where that can't fail or doesn't matter (socket(7)). */
static void pin_set_option(int pin, int option, int value)
{
    setsockopt(pin, SOL_SOCKET, option, &value, sizeof value);
}

/* Send what a UDP socket holds back, for MSG_MORE or UDP_CORK (udp(7)); that option stays as it is. */
static void pin_uncork(int pin)
{
    int corks = sys_socket_option(pin, IPPROTO_UDP, KERNEL_UDP_CORK), off = 0;

    setsockopt(pin, IPPROTO_UDP, KERNEL_UDP_CORK, &off, sizeof off);
    if (corks > 0)
        setsockopt(pin, IPPROTO_UDP, KERNEL_UDP_CORK, &corks, sizeof corks);
}

/* SO_SNDTIMEO in milliseconds, rounded up; 0: none. */
static uint64_t pin_send_timeout(int pin)
{
    struct timeval timeout = {0, 0};
    socklen_t len = sizeof timeout;

    if (getsockopt(pin, SOL_SOCKET, SO_SNDTIMEO, &timeout, &len) < 0 || timeout.tv_sec < 0)
        return 0;
    return (uint64_t)timeout.tv_sec * 1000 + ((uint64_t)timeout.tv_usec + 999) / 1000;
}

/* Is there an error to be taken (poll(2), POLLERR)? It stays. */
static bool pin_has_error(int pin)
{
    struct pollfd poll_for = {.fd = pin};

    return poll(&poll_for, 1, 0) == 1 && (poll_for.revents & POLLERR);
}

/* The state of a TCP socket: TCP_ESTABLISHED ... (tcp(7), TCP_INFO, whose first byte it is); -errno of any other. */
static int pin_tcp_state(int pin)
{
    uint8_t state = 0;
    socklen_t len = sizeof state;

    return getsockopt(pin, IPPROTO_TCP, TCP_INFO, &state, &len) < 0 ? -errno : state;
}

/* A socket's cookie, which no other socket has until the next boot (socket(7), SO_COOKIE); 0: none. */
static uint64_t pin_cookie(int pin)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;

    getsockopt(pin, SOL_SOCKET, KERNEL_SO_COOKIE, &cookie, &len);
    return cookie;
}

/* How many bytes a socket's groups and filters take (socket(7), SO_MEMINFO). */
static uint32_t pin_option_bytes(int pin)
{
    uint32_t bytes[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof bytes;

    getsockopt(pin, SOL_SOCKET, SO_MEMINFO, bytes, &len);
    return bytes[SK_MEMINFO_OPTMEM];
}

/* Close our descriptor of a child's file; of a kind that is all zero it is asked first. If it is the last reference the
 * close may block (SO_LINGER, FUSE), or take long: then the closer does it. */
static void pin_release(struct closer *closer, int fd, struct socket_kind kind)
{
    bool known = kind.domain > 0 || pin_kind(fd, &kind) == 0;

    if (!known)
        closer_close(closer, fd);
    else if (socket_is(kind, IPPROTO_TCP) || kind.domain == AF_UNIX)
        closer_release(closer, fd, kind.domain == AF_UNIX);
    else if (closer->groups > CLOSER_GROUPS_MAX && pin_option_bytes(fd) > 0)
        closer_close(closer, fd);
    else
        close(fd);
}

/* Pin a socket by where it was last seen, descriptor fd of process pid: -EBADF when something else has that number by
 * now. Otherwise as pin_take. */
static int pin_take_same(struct pin_cache *cache, struct closer *closer, pid_t pid, int fd, uint64_t cookie)
{
    int pin = pin_take(cache, pid, fd);

    if (pin < 0 || pin_cookie(pin) == cookie)
        return pin;
    pin_release(closer, pin, (struct socket_kind){0, 0, 0});
    return -EBADF;
}

#endif

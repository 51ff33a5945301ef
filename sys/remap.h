/* remap.h - sockets of processes of ours that have another port than was asked for: found by either number, and held
 * while something is on its way to them (bind(2), sock_diag(7)) */
#ifndef REMAP_H
#define REMAP_H

#include "addr.h"
#include "clock.h"
#include "closer.h"
#include "finder.h"
#include "inetdiag.h"
#include "limits.h"
#include "pin.h"

/* A socket that was bound, whether or not to the port that was asked for. */
struct remap_port {
    uint64_t cookie, inode;
    struct ip_addr addr;
    int protocol;        /* IPPROTO_TCP or IPPROTO_UDP; 0: this place is free */
    uint16_t asked, real;
    bool dual;           /* [::], and IPv4 with it */
    bool gone;           /* nobody has it open: it is kept for the names of connections that it accepted */
    pid_t pid;           /* where it was open when it was last seen */
    int fd;
};

/* A socket that something is on its way to: it is held, so that nobody else can get its port meanwhile. */
struct remap_kept {
    int fd;      /* owned */
    bool used;   /* something is on its way to it still */
    bool shares; /* SO_REUSEADDR as its program has set it; it is off, so that nobody binds its port beside it */
    struct remap_port port;
};

/* All zero at first, then pins and closer are set. */
struct remap {
    struct pin_cache *pins;
    struct closer *closer; /* of descriptors whose close could wait */
    struct remap_port ports[REMAP_MAX];
    size_t n;              /* how many of these places were ever used */
    size_t next;           /* where one is looked for whose entry can go */
    size_t n_moved;        /* how many ports have another number */
    struct remap_kept kept[REMAP_KEPT_MAX];
    size_t n_kept;
    uint64_t free_at;      /* of clock_us: when processes may be looked through again: that has a quarter of our time */
};

/* ---- the table ---- */

static bool remap_is_moved(const struct remap_port *port)
{
    return port->protocol != 0 && port->asked != port->real;
}

static void remap_forget(struct remap *remap, struct remap_port *port)
{
    remap->n_moved -= remap_is_moved(port);
    port->protocol = 0;
}

/* The entry of the socket with this cookie, NULL: none. */
static struct remap_port *remap_of(struct remap *remap, uint64_t cookie)
{
    for (size_t i = 0; i < remap->n; i++)
        if (remap->ports[i].protocol != 0 && remap->ports[i].cookie == cookie)
            return &remap->ports[i];
    return NULL;
}

/* A place for another entry: a free one, or that of a socket that is gone or has the port that was asked for, on which
 * less depends. NULL: there is none. */
static struct remap_port *remap_place(struct remap *remap)
{
    for (size_t i = 0; i < remap->n; i++)
        if (remap->ports[i].protocol == 0)
            return &remap->ports[i];
    if (remap->n < REMAP_MAX)
        return &remap->ports[remap->n++];
    for (unsigned gone = 2; gone-- > 0;)
        for (size_t i = 0; i < REMAP_MAX; i++) {
            size_t at = (remap->next + i) % REMAP_MAX;

            if (gone ? remap->ports[at].gone : !remap_is_moved(&remap->ports[at])) {
                remap->next = (at + 1) % REMAP_MAX;
                remap_forget(remap, &remap->ports[at]);
                return &remap->ports[at];
            }
        }
    return NULL;
}

/* Is an address one that sockets bound to `wild` have, too? */
static bool remap_is_within(struct ip_addr wild, bool dual, struct ip_addr addr)
{
    return ip_addr_is_unspecified(wild) && (wild.version == addr.version || (dual && wild.version == 6));
}

/* Would the kernel compare the two, were they bound to one port? */
static bool remap_overlaps(const struct remap_port *port, struct ip_addr addr, bool dual)
{
    return ip_addr_equal(port->addr, addr) || remap_is_within(port->addr, port->dual, addr) ||
           remap_is_within(addr, dual, port->addr);
}

/* The kernel gave this address and port to another socket than those known by it: those are closed. */
static void remap_supersede(struct remap *remap, const struct remap_port *by)
{
    for (size_t i = 0; i < remap->n && remap->n_moved > 0; i++) {
        struct remap_port *port = &remap->ports[i];

        if (remap_is_moved(port) && port->protocol == by->protocol && port->real == by->real &&
            port->asked != by->asked && port->cookie != by->cookie && remap_overlaps(port, by->addr, by->dual))
            remap_forget(remap, port);
    }
}

/* Note a socket that was bound. 0, or -ENOBUFS when there are too many. */
static int remap_add(struct remap *remap, const struct remap_port *port)
{
    struct remap_port *place = remap_of(remap, port->cookie);

    place = place != NULL ? place : remap_place(remap);
    if (place == NULL)
        return -ENOBUFS;
    remap_supersede(remap, port);
    remap_forget(remap, place);
    *place = *port;
    remap->n_moved += remap_is_moved(place);
    return 0;
}

/* The port that was asked for by the socket, of whomever, that is bound to addr:real; the same where none is known. */
static uint16_t remap_asked(const struct remap *remap, int protocol, struct ip_addr addr, uint16_t real)
{
    for (size_t i = 0; i < remap->n && remap->n_moved > 0; i++) {
        const struct remap_port *port = &remap->ports[i];

        if (remap_is_moved(port) && port->protocol == protocol && port->real == real &&
            remap_overlaps(port, addr, false))
            return port->asked;
    }
    return real;
}

/* ---- the sockets ---- */

/* Close a held descriptor. */
static void remap_release(struct remap *remap, int fd)
{
    closer_release(remap->closer, fd, false);
}

/* Does the kernel still know the socket? It isn't asked about all of them, which takes long where there are many: one
 * that is neither at its address for all nor where it was last seen counts as closed. */
static bool remap_is_there(const struct remap_port *port)
{
    struct ip_addr to = port->addr;
    struct inetdiag_socket found;

    if (ip_addr_is_unspecified(to))
        to = ip_addr_loopback(to.version);
    return inetdiag_find(port->protocol, to, port->real, (struct ip_addr){0, 0, to.version}, 0, &found) == 0 &&
           found.cookie == port->cookie;
}

/* Our own descriptor of the socket, as long as a process of ours has it open; or -errno: -EBADF when none has, -EAGAIN
 * when that takes long to find out and isn't to be now. */
static int remap_hold(struct remap *remap, struct remap_port *port)
{
    int pin = port->gone ? -EBADF : pin_take_same(remap->pins, remap->closer, port->pid, port->fd, port->cookie);

    if (pin >= 0 || port->gone)
        return pin;
    port->gone = !remap_is_there(port);
    if (port->gone)
        return -EBADF;
    uint64_t start = clock_us();
    if (start < remap->free_at)
        return -EAGAIN;
    int found = finder_ask(port->inode, remap->closer->pid, &port->pid, &port->fd);
    remap->free_at = clock_rest(start);
    if (found == -EAGAIN)
        return found;
    port->gone = found < 0;
    return port->gone ? -EBADF : pin_take_same(remap->pins, remap->closer, port->pid, port->fd, port->cookie);
}

/* Is this an address of our machine's? Broadcasts can't be connected to, and multicast can be bound. */
static bool remap_is_local(struct ip_addr addr)
{
    bool multicast = addr.version == 4 ? addr.lo >> 28 == 14 : addr.hi >> 56 == 0xff;
    union address any, there;
    sa_family_t family = addr.version == 4 ? AF_INET : AF_INET6;

    if (ip_addr_is_loopback(addr) || multicast)
        return !multicast;
    socklen_t len = ip_addr_to_sockaddr(addr, 0, family, &any.storage);
    ip_addr_to_sockaddr(addr, 9, family, &there.storage);
    int fd CLOSE_FD = sys_result(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return fd >= 0 && bind(fd, &any.any, len) == 0 && connect(fd, &there.any, len) == 0;
}

/* May what our socket `pin` sends to addr:real go there: would nobody get it, or one of the sockets that are known? 0,
 * or -ECONNREFUSED. */
static int remap_check(struct remap *remap, int protocol, int pin, struct ip_addr addr, uint16_t real)
{
    struct ip_addr from = {0, 0, addr.version};
    struct inetdiag_socket found;
    uint16_t port = 0;

    if (protocol == IPPROTO_UDP) /* the other may be connected to us */
        ip_addr_of_socket(pin, &from, &port);
    if (from.version != addr.version || ip_addr_is_unspecified(from))
        from = addr.version == 4 && ip_addr_is_loopback(addr) ? ip_addr_loopback(4) : addr;
    int result = inetdiag_find(protocol, addr, real, from, port, &found);
    return result == -ENOENT || (result == 0 && remap_of(remap, found.cookie) != NULL) ? 0 : -ECONNREFUSED;
}

/* Where a connection or datagram from our socket `pin` to addr:port really goes, when a socket of ours has asked for
 * that port: the other one, 0 where there is no other; or -errno: -ECONNREFUSED where the other isn't ours alone,
 * -EAGAIN: not now. *held is then our own descriptor of that socket, or -1; until it is closed, nobody else can get the
 * port. */
static int remap_find(struct remap *remap, int protocol, int pin, struct ip_addr addr, uint16_t port, int *held)
{
    const struct remap_port *best = NULL;

    *held = -1;
    for (unsigned wild = 0; wild < 2 && best == NULL && remap->n_moved > 0; wild++)
        for (size_t i = 0; i < remap->n && best == NULL; i++) {
            struct remap_port *p = &remap->ports[i];

            if (p->protocol != protocol || p->asked != port || p->gone || ip_addr_is_unspecified(p->addr) != wild ||
                !remap_overlaps(p, addr, false) || (wild && !remap_is_local(addr)))
                continue;
            *held = remap_hold(remap, p);
            if (*held == -EAGAIN)
                return -EAGAIN;
            if (*held >= 0)
                best = p;
        }
    if (best == NULL)
        return 0;
    if (best->real == port) {
        remap_release(remap, *held);
        *held = -1;
        return 0;
    }
    int result = remap_check(remap, protocol, pin, addr, best->real);
    return result < 0 ? result : best->real;
}

/* The port of a socket of ours that stands in the way of a bind to addr:asked; 0: none does. */
static uint16_t remap_own(struct remap *remap, int protocol, struct ip_addr addr, bool dual, uint16_t asked)
{
    for (size_t i = 0; i < remap->n; i++) {
        struct remap_port *port = &remap->ports[i];

        if (port->protocol != protocol || port->asked != asked || !remap_overlaps(port, addr, dual))
            continue;
        int pin = remap_hold(remap, port);
        if (pin >= 0) {
            remap_release(remap, pin);
            return port->real;
        }
    }
    return 0;
}

/* The next after `at`, which is NULL at first, whose port has another number and that is open; of those that share one,
 * the first. NULL: none. */
static const struct remap_port *remap_next(struct remap *remap, const struct remap_port *at)
{
    for (size_t i = at == NULL ? 0 : (size_t)(at - remap->ports) + 1; i < remap->n; i++) {
        struct remap_port *port = &remap->ports[i], *same = remap->ports;
        int pin = remap_is_moved(port) ? remap_hold(remap, port) : -EBADF;

        if (pin == -EBADF)
            continue;
        if (pin >= 0)
            remap_release(remap, pin);
        while (same < port && (same->gone || same->protocol != port->protocol || same->real != port->real ||
                               same->asked != port->asked || !remap_overlaps(same, port->addr, port->dual)))
            same++;
        if (same == port)
            return port;
    }
    return NULL;
}

/* ---- names ---- */

/* The port that a socket of ours asked for, or the one that accepted it (TCP), from its name. */
static uint16_t remap_name(struct remap *remap, int protocol, int pin, const union address *name)
{
    struct ip_addr addr;
    uint16_t real;

    if (ip_addr_from_sockaddr(name, &addr, &real) < 0 || remap->n_moved == 0)
        return ntohs(name->v4.sin_port);
    const struct remap_port *own = remap_of(remap, pin_cookie(pin));
    if (own != NULL && own->real == real)
        return own->asked;
    return protocol == IPPROTO_TCP ? remap_asked(remap, protocol, addr, real) : real;
}

/* The port that the other end of a connection between ours asked for, from its name. */
static uint16_t remap_peer_name(struct remap *remap, int protocol, int pin, const union address *name)
{
    struct ip_addr addr, own;
    uint16_t real, port;

    if (ip_addr_from_sockaddr(name, &addr, &real) < 0 || remap->n_moved == 0)
        return ntohs(name->v4.sin_port);
    if (!ip_addr_is_loopback(addr) && /* what this machine sends to an address of its own comes from there */
        (ip_addr_of_socket(pin, &own, &port) < 0 || !ip_addr_equal(own, addr)))
        return real;
    return remap_asked(remap, protocol, addr, real);
}

/* Is our socket connected to one whose port has another number? */
static bool remap_is_connected(struct remap *remap, int pin)
{
    union address peer;
    socklen_t len = sizeof peer;

    return remap->n_moved > 0 && getpeername(pin, &peer.any, &len) == 0 &&
           remap_peer_name(remap, IPPROTO_UDP, pin, &peer) != ntohs(peer.v4.sin_port);
}

/* The kernel may have picked a port for our socket, when it was connected: then nobody else has that any more. */
static void remap_autobound(struct remap *remap, int protocol, int pin)
{
    struct remap_port port = {.protocol = protocol, .asked = 0};

    if (remap->n_moved == 0 || ip_addr_of_socket(pin, &port.addr, &port.real) < 0 ||
        remap_asked(remap, protocol, port.addr, port.real) == port.real || remap_of(remap, pin_cookie(pin)) != NULL)
        return;
    remap_supersede(remap, &port);
}

/* ---- what is kept ---- */

static void remap_mark_used(const struct inetdiag_socket *found, void *context)
{
    struct remap *remap = context;

    for (size_t i = 0; i < remap->n_kept; i++)
        if (found->peer_port == remap->kept[i].port.real)
            remap->kept[i].used = true;
}

/* Nobody has it open but us: it stays only so that its port isn't another's. Datagrams for it are lost. */
static void remap_retire(const struct remap_kept *kept)
{
    pin_set_option(kept->fd, SO_REUSEPORT, 0);
    if (kept->port.protocol == IPPROTO_TCP) /* it doesn't listen any more */
        sys_disconnect(kept->fd);
}

/* Close what nothing is on its way to any more: no TCP socket connects to its port, no UDP socket is connected to it.
 * To be called now and then. */
static void remap_sweep(struct remap *remap)
{
    bool told = true;

    for (size_t i = 0; i < remap->n_kept; i++)
        remap->kept[i].used = false;
    if (remap->n_kept > 0)
        told = inetdiag_each(IPPROTO_TCP, INETDIAG_CONNECTING, 0, 0, remap_mark_used, remap) == 0 &&
               inetdiag_each(IPPROTO_UDP, ~0u, 0, 0, remap_mark_used, remap) == 0;
    for (size_t i = remap->n_kept; i-- > 0;) {
        struct remap_kept *kept = &remap->kept[i];

        if (told && !kept->used) {
            pin_set_option(kept->fd, SO_REUSEADDR, kept->shares);
            remap_release(remap, kept->fd);
            *kept = remap->kept[--remap->n_kept];
            continue;
        }
        if (kept->port.gone)
            continue;
        int pin = remap_hold(remap, &kept->port);
        if (pin >= 0)
            remap_release(remap, pin);
        if (kept->port.gone)
            remap_retire(kept);
    }
}

/* Is there room to keep another? */
static bool remap_has_room(struct remap *remap)
{
    if (remap->n_kept == REMAP_KEPT_MAX)
        remap_sweep(remap);
    return remap->n_kept < REMAP_KEPT_MAX;
}

/* Our descriptor's socket, if it is kept; else NULL. */
static struct remap_kept *remap_kept_of(struct remap *remap, int fd)
{
    uint64_t cookie = remap->n_kept > 0 ? pin_cookie(fd) : 0;

    for (size_t i = 0; i < remap->n_kept; i++)
        if (remap->kept[i].port.cookie == cookie)
            return &remap->kept[i];
    return NULL;
}

/* While a socket of ours is bound beside the kept ones with this port, SO_REUSEADDR is what their programs have set. */
static void remap_let_share(const struct remap *remap, int protocol, uint16_t real, bool share)
{
    for (size_t i = 0; i < remap->n_kept; i++)
        if (remap->kept[i].port.protocol == protocol && remap->kept[i].port.real == real)
            pin_set_option(remap->kept[i].fd, SO_REUSEADDR, share && remap->kept[i].shares);
}

/* Keep a held socket, for which there is room, until nothing is on its way to it. It is ours from now on. */
static void remap_keep(struct remap *remap, int fd)
{
    const struct remap_port *port = remap_kept_of(remap, fd) != NULL ? NULL : remap_of(remap, pin_cookie(fd));

    if (port == NULL) {
        remap_release(remap, fd);
        return;
    }
    bool shares = sys_socket_option(fd, SOL_SOCKET, SO_REUSEADDR) > 0;
    pin_set_option(fd, SO_REUSEADDR, 0);
    remap->kept[remap->n_kept++] = (struct remap_kept){.fd = fd, .shares = shares, .port = *port};
}

#endif

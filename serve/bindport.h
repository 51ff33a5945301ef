/* bindport.h - a bind with the rights of its caller; under --port-remap at another port where the one is taken */
#ifndef SERVE_BINDPORT_H
#define SERVE_BINDPORT_H

#include "share.h"
#include "../policy/call.h"
#include "../policy/portremap.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/inetdiag.h"
#include "../sys/kernel.h"
#include "../sys/pin.h"
#include "../sys/remap.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIND_TRIES = 8 }; /* at ports that the kernel picked */

/* Where a port takes a capability, the caller's own count; ours don't, which may be in force (own_confine). */
static int bind_as_caller(const struct request *r)
{
    int result = -EACCES;

    if (geteuid() != 0 || !settings.unprivileged)
        result = sys_result(bind(r->pin, &r->address.any, r->address_len));
    if (result == -EACCES && caller_enter(r) == 0) {
        result = sys_result(bind(r->pin, &r->address.any, r->address_len));
        caller_leave();
    }
    return result;
}

/* The same. shares: a UDP socket shares the port, if its program wants that. */
static int bind_once(struct request *r, bool shares)
{
    unsigned set = socket_is(r->kind, IPPROTO_UDP) ? share_set_on(r->pin, true) : 0;

    if (set != 0 && share_has_port(r->pin)) /* it can't get another */
        set = 0;
    if (shares)
        share_put(r->pin, set, true);
    int result = bind_as_caller(r);
    bool has_port = set != 0 && share_has_port(r->pin);
    share_put(r->pin, set, has_port);
    if (result < 0 && has_port) /* another thread's send got it one just now, which may be shared */
        sys_disconnect(r->pin);
    return result;
}

/* 0 or -errno; -EAGAIN, which no bind says: it is to be tried later. */
static int execute_bind(struct request *r, bool shares)
{
    int result = bind_once(r, shares);

    if (result != -EADDRINUSE ||
        (socket_is_ip(r->kind) && !pintable_has_port(&made_sockets, r->address.v4.sin_port)))
        return result;
    int room = made_make_room(r);
    return room < 0 ? room : room > 0 ? bind_once(r, shares) : result;
}

/* Bind on behalf, to this port of the address that was asked for. */
static int bind_port(struct request *r, uint16_t port, bool shares)
{
    r->address.v4.sin_port = htons(port); /* sin6_port is there, too */
    return execute_bind(r, shares);
}

/* The same where nobody else is: what SO_REUSEADDR and SO_REUSEPORT would share with others outside isn't free. */
static int bind_alone(struct request *r, uint16_t at)
{
    unsigned set = share_set_on(r->pin, false);

    share_put(r->pin, set, false);
    int result = bind_port(r, at, false);
    share_put(r->pin, set, true);
    return result;
}

/* The same at a port that the kernel picks. To the socket it is one that was asked for, which it keeps however it is
 * connected and disconnected: so another socket is bound to port 0 first, and tells which. */
static int bind_elsewhere(struct request *r)
{
    bool tcp = r->kind.protocol == IPPROTO_TCP;
    int result = -EADDRINUSE, v6only = r->to.addr.version == 6 && !r->to.dual; /* IPv4 in IPv6 takes neither */

    for (unsigned tries = 0; tries < BIND_TRIES && result == -EADDRINUSE; tries++) {
        int scout = sys_result(socket(r->kind.domain, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
        union address picked = r->address;
        socklen_t len = sizeof picked;

        if (r->kind.domain == AF_INET6)
            setsockopt(scout, SOL_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
        picked.v4.sin_port = 0;
        bool told = bind(scout, &picked.any, r->address_len) == 0 && getsockname(scout, &picked.any, &len) == 0;
        if (scout >= 0)
            close(scout);
        if (!told)
            return result;
        result = bind_alone(r, ntohs(picked.v4.sin_port)); /* which somebody may have taken meanwhile */
    }
    return result;
}

/* A socket that listens or is bound stands in a bind's way. */
struct bind_rivals {
    const struct destination *to;
    bool own, stranger;
};

static void bind_found(const struct inetdiag_socket *found, void *context)
{
    struct bind_rivals *rivals = context;
    struct remap_port port = {.addr = found->local, .dual = true};

    if (!remap_overlaps(&port, rivals->to->addr, rivals->to->dual))
        return;
    if (remap_of(&remap, found->cookie) != NULL)
        rivals->own = true;
    else
        rivals->stranger = true;
}

/* A bind under --port-remap. Among the sandbox's own sockets all is as ever, whatever number their port has; where one
 * outside has the port, the kernel picks another. */
static int bind_remapped(struct request *r)
{
    struct bind_rivals rivals = {.to = &r->to};
    uint16_t asked = r->to.port;
    uint16_t own = remap_own(&remap, r->kind.protocol, r->to.addr, r->to.dual, asked);

    if (asked == 0)
        return bind_port(r, 0, false);
    if (own != 0) {
        remap_let_share(&remap, r->kind.protocol, own, true);
        int shared = bind_port(r, own, true);
        remap_let_share(&remap, r->kind.protocol, own, false);
        return shared;
    }
    int result = bind_alone(r, asked);
    if (result != -EADDRINUSE)
        return result;
    bool tcp = r->kind.protocol == IPPROTO_TCP;
    inetdiag_each(r->kind.protocol, tcp ? INETDIAG_LISTENING | INETDIAG_BOUND : ~0u, asked, 0, bind_found, &rivals);
    if (!rivals.stranger || rivals.own)
        result = bind_port(r, asked, true); /* beside our own, or what has remained of connections */
    if (result == -EADDRINUSE && !rivals.own && remap_place(&remap) != NULL)
        result = bind_elsewhere(r);
    return result;
}

#endif

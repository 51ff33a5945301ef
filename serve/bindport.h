/* bindport.h - a bind with the rights of its caller; under --port-remap at another port where the one is taken */
#ifndef SERVE_BINDPORT_H
#define SERVE_BINDPORT_H

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

/* 0 or -errno; -EAGAIN, which no bind says: it is to be tried later. */
static int execute_bind(struct request *r)
{
    int result = bind_as_caller(r);

    if (result != -EADDRINUSE ||
        (socket_is_ip(r->kind) && !pintable_has_port(&made_sockets, r->address.v4.sin_port)))
        return result;
    int room = made_make_room(r);
    return room < 0 ? room : room > 0 ? bind_as_caller(r) : result;
}

/* Bind on behalf, to this port of the address that was asked for. */
static int bind_port(struct request *r, uint16_t port)
{
    r->address.v4.sin_port = htons(port); /* sin6_port is there, too */
    return execute_bind(r);
}

/* The same where nobody else is: what SO_REUSEADDR and SO_REUSEPORT would share with others outside isn't free. */
static int bind_alone(struct request *r, uint16_t at)
{
    int address = sys_socket_option(r->pin, SOL_SOCKET, SO_REUSEADDR);
    int port = sys_socket_option(r->pin, SOL_SOCKET, SO_REUSEPORT);

    if (address > 0)
        pin_set_option(r->pin, SO_REUSEADDR, 0);
    if (port > 0)
        pin_set_option(r->pin, SO_REUSEPORT, 0);
    int result = bind_port(r, at);
    if (address > 0)
        pin_set_option(r->pin, SO_REUSEADDR, 1);
    if (port > 0)
        pin_set_option(r->pin, SO_REUSEPORT, 1);
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
        return bind_port(r, 0);
    if (own != 0) {
        remap_let_share(&remap, r->kind.protocol, own, true);
        int shared = bind_port(r, own);
        remap_let_share(&remap, r->kind.protocol, own, false);
        return shared;
    }
    int result = bind_alone(r, asked);
    if (result != -EADDRINUSE)
        return result;
    bool tcp = r->kind.protocol == IPPROTO_TCP;
    inetdiag_each(r->kind.protocol, tcp ? INETDIAG_LISTENING | INETDIAG_BOUND : ~0u, asked, 0, bind_found, &rivals);
    if (!rivals.stranger || rivals.own)
        result = bind_port(r, asked); /* beside our own, or what has remained of connections */
    if (result == -EADDRINUSE && !rivals.own && remap_place(&remap) != NULL)
        result = bind_elsewhere(r);
    return result;
}

#endif

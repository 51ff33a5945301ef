/* parse.h - a trapped call's arguments, copied once: the only reader of the child's memory and descriptors
 * (ip(7), ipv6(7), unix(7)) */
#ifndef SERVE_PARSE_H
#define SERVE_PARSE_H

#include "../policy/call.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/kernel.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/unixtarget.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum {
    /* Results of our own, beside -errno: a caller never sees them. */
    LATER = -KERNEL_ERESTARTSYS, /* it can't be decided yet: try again on the tick */
    HELD = LATER - 1,            /* it waits for an answer to a question (--ask) */
};

/* Pin the descriptor in argument 0. 0 or -errno: -ENOBUFS when we ourselves are out of descriptors. */
static int parse_pin(struct request *r)
{
    if (r->pin >= 0) /* from an earlier try of the same call */
        return 0;
    r->pin = sys_result_for_other(pin_take(&here.pins, r->tid, (int)r->args[0]));
    if (r->pin == -ENOBUFS && made_make_room(r) > 0)
        r->pin = sys_result_for_other(pin_take(&here.pins, r->tid, (int)r->args[0]));
    return r->pin < 0 ? r->pin : 0;
}

/* Pin argument 0, and find out what kind of socket it is. 0; -ENOTSOCK; other -errno. */
static int parse_socket(struct request *r)
{
    int result = parse_pin(r);

    return result < 0 ? result : pin_kind(r->pin, &r->kind);
}

/* To connect or send to 0.0.0.0 means: to this socket's own address, or to `source`, which its PKTINFO names (version
 * 0: none), or else to loopback. :: means loopback. The address is rewritten: the kernel gets what was judged. */
static void parse_unspecified(const struct request *r, union address *address, struct ip_addr source,
                              struct destination *to)
{
    struct ip_addr own = {0, 0, 6};
    uint16_t port;

    ip_addr_of_socket(r->pin, &own, &port);
    if (to->addr.version == 6)
        to->addr = ip_addr_loopback(own.version);
    else if (source.version == 4 && !ip_addr_is_unspecified(source))
        to->addr = source;
    else
        to->addr = own.version == 4 && !ip_addr_is_unspecified(own) ? own : ip_addr_loopback(4);
    ip_addr_to_sockaddr(to->addr, ntohs(address->v4.sin_port), address->any.sa_family, &address->storage);
}

/* Find the destination that this address means on this socket, by ip(7), ipv6(7), unix(7) and what the kernel makes of
 * AF_UNSPEC. The address is rewritten to the form that is judged. 0; -errno of a unix path that can't be looked up. */
static int parse_destination(const struct request *r, union address *address, socklen_t *len, struct ip_addr source,
                             struct destination *to)
{
    sa_family_t family = address->any.sa_family;
    bool datagram = !socket_is(r->kind, IPPROTO_TCP);

    *to = (struct destination){.kind = DESTINATION_NONE};
    if (*len < sizeof family)
        return 0;
    if (r->kind.domain == AF_UNIX) { /* stream and seqpacket sockets send to their peer, whatever the address */
        bool named = family == AF_UNIX && *len > sizeof family && *len <= sizeof address->local &&
                     !(is_send(r->call) && r->kind.type != SOCK_DGRAM);
        to->kind = named ? DESTINATION_UNIX : DESTINATION_NONE;
        if (!named || r->call == CALL_BIND)
            return 0;
        int found = unix_target_find(&unix_target, &unix_own, r->tid, r->kind.type, address, len);
        return found == -EAGAIN ? LATER : found;
    }
    if (!socket_is_ip(r->kind) || kind_protocol(r->kind) == PROTOCOLS) {
        to->kind = r->kind.domain == AF_NETLINK ? DESTINATION_NONE : DESTINATION_OTHER;
        return 0;
    }
    if (!datagram && is_send(r->call)) { /* a TCP send has no destination of its own */
        *len = 0;
        return 0;
    }
    /* A send on a datagram socket of IPv4 takes AF_UNSPEC for AF_INET; so does bind. To connect it means disconnect,
     * and to a send of IPv6 no address at all. */
    if (family == AF_UNSPEC && r->call != CALL_CONNECT && r->kind.domain == AF_INET)
        family = AF_INET;
    else if (family == AF_UNSPEC && is_send(r->call))
        *len = 0;
    bool v4 = family == AF_INET && *len >= sizeof address->v4;
    bool v6 = family == AF_INET6 && *len >= 24 && r->kind.domain == AF_INET6; /* an IPv4 socket stays one */
    if (!v4 && !v6)
        return 0;
    if (family == AF_INET6 && *len < sizeof address->v6)
        address->v6.sin6_scope_id = 0; /* RFC 2133's shorter sockaddr_in6 has none */
    sa_family_t given = address->any.sa_family;
    address->any.sa_family = family;
    to->kind = DESTINATION_IP;
    to->protocol = kind_protocol(r->kind);
    ip_addr_from_sockaddr(address, &to->addr, &to->port);
    to->dual = r->kind.domain == AF_INET6 && to->addr.version == 6 && ip_addr_is_unspecified(to->addr) &&
               r->call == CALL_BIND && sys_socket_option(r->pin, SOL_IPV6, IPV6_V6ONLY) == 0;
    if (r->call == CALL_BIND) /* it takes AF_UNSPEC only with 0.0.0.0: the kernel is to say so */
        address->any.sa_family = given;
    if (family == AF_INET6 && ip_addr_is_link_local(to->addr))
        to->steered = address->v6.sin6_scope_id != 0;
    if (to->protocol == PROTOCOL_ICMP)
        to->port = 0;
    if (ip_addr_is_unspecified(to->addr) && r->call != CALL_BIND)
        parse_unspecified(r, address, source, to);
    return 0;
}

/* The arguments of connect and bind: a descriptor and an address. 0 or -errno, in the kernel's order of checks: bind
 * says that something is no socket before it looks at the address; connect says only that it is no descriptor (nor is
 * one opened with O_PATH). -EACCES: a socket that we can't pin; the address was read. */
static int parse_address(struct request *r)
{
    int64_t len = (int32_t)r->args[2];
    int kind = parse_socket(r);

    if (kind == -EBADF || (kind == -ENOTSOCK && r->call == CALL_BIND))
        return kind;
    if (len < 0 || len > ADDRESS_MAX)
        return -EINVAL;
    memset(&r->address, 0, sizeof r->address);
    r->address_len = (socklen_t)len;
    int result = child_read(r->tid, r->args[1], &r->address, (size_t)len);
    if (result < 0 || kind < 0)
        return result < 0 ? result : kind;
    return parse_destination(r, &r->address, &r->address_len, (struct ip_addr){0, 0, 0}, &r->to);
}

#endif

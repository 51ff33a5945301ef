/* names.h - the names of sockets, as the program expects them: getsockname(2), getpeername(2) */
#ifndef SERVE_NAMES_H
#define SERVE_NAMES_H

#include "dial.h"
#include "parse.h"
#include "../policy/call.h"
#include "../policy/portremap.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/holder.h"
#include "../sys/inetdiag.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/remap.h"
#include "../sys/stranger.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Answer a call with a name, as getsockname(2) and getpeername(2) do, or with an option: its first argument is where it
 * goes, the next where its length is. 0 or -errno. */
static int reply_value(const struct request *r, const uint64_t *arguments, void *value, socklen_t value_len)
{
    int32_t room, len = (int32_t)value_len;
    int result = child_read(r->tid, arguments[1], &room, sizeof room);

    if (result < 0 || room < 0)
        return result < 0 ? result : -EINVAL;
    if (r->call == CALL_GETSOCKOPT && room < len)
        len = room;
    struct iovec local[2] = {{&len, sizeof len}, {value, (size_t)(room < len ? room : len)}};
    const struct iovec remote[2] = {{(void *)(uintptr_t)arguments[1], sizeof len},
                                    {(void *)(uintptr_t)arguments[0], local[1].iov_len}};
    size_t n = local[1].iov_len > 0 ? 2 : 1;
    ssize_t written = child_writev(r->tid, local, n, remote, n);
    return written == (ssize_t)(local[1].iov_len + sizeof len) ? 0 : -EFAULT;
}

/* getpeername of a connection that we don't hold: by what the kernel tells of its inode. */
static struct outcome call_peer_of_stranger(struct request *r)
{
    struct inetdiag_socket told = {0};
    union address name;
    socklen_t len = sizeof name;

    enum stranger found = stranger_find(holder_inode(r->tid, (int)r->args[0]), &told);
    r->later = found == STRANGER_LATER;
    if (r->later)
        return (struct outcome){PEND, 0};
    if (found != STRANGER_CONNECTED)
        return (struct outcome){CONTINUE, 0};
    ip_addr_to_sockaddr(told.peer, told.peer_port, told.family, &name.storage);
    if (!name_original(told.cookie, told.family, &name, &len))
        return (struct outcome){CONTINUE, 0};
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    return outcome_reply(reply_value(r, &r->args[1], &name, len));
}

/* getsockname, getpeername: the names that the program expects (--port-remap, the proxy). All other names, and all
 * errors, are the kernel's to answer: these calls reach nobody. */
static struct outcome call_name(struct request *r)
{
    bool peer = r->call == CALL_GETPEERNAME;
    union address name;
    socklen_t len = sizeof name;

    int result = parse_socket(r);
    if (settings.no_getfd && result == -EACCES && peer)
        return call_peer_of_stranger(r);
    if (result < 0 ||
        (!socket_is(r->kind, IPPROTO_TCP) && !socket_is(r->kind, IPPROTO_UDP)) ||
        (peer ? getpeername(r->pin, &name.any, &len) : getsockname(r->pin, &name.any, &len)) < 0)
        return (struct outcome){CONTINUE, 0};
    uint16_t asked = peer ? remap_peer_name(&remap, r->kind.protocol, r->pin, &name)
                          : remap_name(&remap, r->kind.protocol, r->pin, &name);
    bool moved = asked != ntohs(name.v4.sin_port);
    name.v4.sin_port = htons(asked);
    if (!moved && !(peer && name_original(pin_cookie(r->pin), (sa_family_t)r->kind.domain, &name, &len)))
        return (struct outcome){CONTINUE, 0};
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    return outcome_reply(reply_value(r, &r->args[1], &name, len));
}

#endif

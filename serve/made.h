/* made.h - sockets that we made and hold, where pidfd_getfd(2) is refused: when they are let go */
#ifndef SERVE_MADE_H
#define SERVE_MADE_H

#include "../policy/call.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/kernel.h"
#include "../sys/pin.h"
#include "../sys/pintable.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* The command has this socket alone from now on. */
static void made_drop(struct pintable_entry *entry)
{
    unwatch(entry->fd); /* the command's own descriptor would keep it in epoll */
    pintable_remove(&made_sockets, &here.closer, entry);
}

/* Does this socket listen from now on, and is it to be the command's alone? The kernel carries a listen out only after
 * the answer, on a unix socket, where it succeeds if that has a name. */
static bool made_listens(const struct request *r, struct outcome outcome)
{
    union address name;
    socklen_t len = sizeof name;

    name.local.sun_path[0] = 0;
    getsockname(r->pin, &name.any, &len);
    if (r->kind.domain == AF_UNIX && name.local.sun_path[0] == 0)
        return false;
    return outcome.what == CONTINUE || sys_socket_option(r->pin, SOL_SOCKET, SO_ACCEPTCONN) > 0;
}

/* A connect or listen is answered. Held by us, a connection would end only when we close it, too, and a listener's port
 * would stay taken as long: so the socket is the command's alone from here on. A connection under way is watched
 * until it is there. Unix sockets stay held where sends are trapped, listeners at abstract names anywhere, since who
 * connects to one is held to it (unix_target_hold), and all do while learning. */
static void made_let_go(const struct request *r, struct outcome outcome)
{
    bool connects = r->call == CALL_CONNECT, listens = r->call == CALL_LISTEN && !settings.port_remap;
    bool local = r->kind.domain == AF_UNIX && !policy.traps_sends;
    union address peer;
    socklen_t len = sizeof peer;

    if (policy.undecided == UNDECIDED_LEARNED || !(connects || listens) || r->pin < 0 ||
        !(local || socket_is(r->kind, IPPROTO_TCP)))
        return;
    struct pintable_entry *entry = pintable_of(&made_sockets, r->pin);
    if (entry == NULL)
        return;
    if (listens ? made_listens(r, outcome) : getpeername(r->pin, &peer.any, &len) == 0) {
        if (connects && !local && (outcome.what != REPLY || (outcome.value != 0 && outcome.value != -EISCONN)))
            pintable_note_begun(&made_sockets, entry->inode);
        made_drop(entry);
    } else if (connects && pin_tcp_state(r->pin) == TCP_SYN_SENT) {
        uint64_t tag = EVENT_MADE + (uint64_t)entry->fd;
        if (watch(EPOLL_CTL_ADD, entry->fd, EPOLLOUT | EPOLLONESHOT, tag) == -EEXIST)
            watch(EPOLL_CTL_MOD, entry->fd, EPOLLOUT | EPOLLONESHOT, tag);
    }
}

/* A connection that was under way is there, or has failed: then it is a socket as it was before. */
static void made_event(int fd)
{
    union address peer;
    socklen_t len = sizeof peer;
    struct pintable_entry *entry = pin_tcp_state(fd) < 0 ? NULL : pintable_of(&made_sockets, fd);

    if (entry == NULL || getpeername(fd, &peer.any, &len) < 0)
        return;
    pintable_note_begun(&made_sockets, entry->inode);
    made_drop(entry);
}

#endif

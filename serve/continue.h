/* continue.h - which calls the kernel may carry out itself (seccomp_unotify(2), CONTINUE), and calls on sockets that we
 * have no reference to */
#ifndef SERVE_CONTINUE_H
#define SERVE_CONTINUE_H

#include "../policy/call.h"
#include "../policy/traps.h"
#include "../sys/holder.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/pintable.h"
#include "../sys/process.h"
#include "../sys/stranger.h"

#include <sys/socket.h>
#include <unistd.h>

/* Is the caller the only thread of its process? Then nobody can change its descriptors while it waits for us. */
static bool caller_is_alone(const struct request *r)
{
    struct process_status status;

    return process_status_read(r->tid, &status) == 0 && status.threads == 1;
}

/* May the kernel carry this call out itself? Only if it can't touch an IP socket nor read a destination, whatever the
 * child does meanwhile: on a pinned socket of another kind, of a process whose only thread waits for us. */
static bool call_continues(const struct request *r)
{
    if (r->kind.domain == AF_UNIX && (r->call == CALL_CONNECT || r->kind.type == SOCK_DGRAM))
        return false;
    if ((r->kind.domain != AF_UNIX && r->kind.domain != AF_NETLINK) || !caller_is_alone(r))
        return false;
    /* A thread that has ended since the socket was pinned may have put another socket in its place: look again. */
    int again = pin_take_same(&here.pins, &here.closer, r->tid, (int)r->args[0], pin_cookie(r->pin));
    if (again >= 0)
        close(again); /* not the last one: the pin is another */
    return again >= 0;
}

/* A call on a socket that isn't in our table. It is refused, but for what the kernel would answer anyway, and for what
 * the kernel can carry out: what reaches the socket's peer and no other, where nothing can change beneath it. */
static struct outcome call_on_stranger(struct request *r)
{
    bool alone = caller_is_alone(r); /* asked first: what is found then stays */
    int64_t inode = holder_inode(r->tid, (int)r->args[0]);
    struct inetdiag_socket told = {0};
    enum stranger found = stranger_find(inode, &told);
    bool listens = found == STRANGER_LISTENING, used = listens || found == STRANGER_CONNECTED;
    bool disconnects = r->call == CALL_CONNECT && r->address.any.sa_family == AF_UNSPEC;

    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (r->call == CALL_SENDTO && r->args[4] == 0) /* no address, and that in a register */
        return (struct outcome){CONTINUE, 0};
    r->later = found == STRANGER_LATER;
    if (r->later)
        return (struct outcome){PEND, 0};
    if (found != STRANGER_UNKNOWN && alone && (is_send(r->call) || (listens && r->call == CALL_LISTEN)))
        return (struct outcome){CONTINUE, 0};
    if (used && r->call == CALL_CONNECT && r->address_len < sizeof r->address.any.sa_family)
        return outcome_reply(-EINVAL);
    if (used && r->call == CALL_CONNECT && !disconnects)
        return outcome_reply(pintable_take_begun(&made_sockets, (uint64_t)inode) ? 0 : -EISCONN);
    if (listens && r->call == CALL_LISTEN)
        return outcome_reply(0); /* it goes on, with the backlog that it has */
    if (used && (r->call == CALL_BIND || r->call == CALL_LISTEN))
        return outcome_reply(-EINVAL);
    return outcome_reply(-EACCES);
}

#endif

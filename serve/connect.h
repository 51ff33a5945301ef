/* connect.h - connect(2), on our own copy of the address and our own reference to the socket */
#ifndef SERVE_CONNECT_H
#define SERVE_CONNECT_H

#include "continue.h"
#include "decide.h"
#include "dial.h"
#include "parse.h"
#include "share.h"
#include "standin.h"
#include "../policy/call.h"
#include "../policy/live.h"
#include "../policy/portremap.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/kernel.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/remap.h"
#include "../sys/slow.h"
#include "../sys/unixtarget.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* Try to connect a stream socket, without waiting. 0; -EINPROGRESS: begun now; -EALREADY: begun before; other -errno.
 * The result of a connection that is under way is taken by a second connect(2): SO_ERROR would return it, but leave the
 * socket in a state in which the caller's next connect(2) answers wrongly. On loopback it is there at once. */
static int connect_stream(struct request *r)
{
    bool blocks = pin_blocks(r->pin);

    if (blocks)
        pin_set_blocking(r->pin, false);
    int result = connect_pin(r);
    if (result == -EINPROGRESS && r->was_pending) { /* the first one was reset meanwhile: this is a new connection */
        sys_disconnect(r->pin);
        result = -ECONNRESET;
    } else if (result == -EINPROGRESS && blocks) {
        result = connect_pin(r);
        if (result == -ECONNRESET || result == -EPIPE)
            result = 0; /* it was established and is lost already: a native connect(2) would have returned 0 */
    } else if (result == -EALREADY && !r->was_pending) {
        r->joined = true;
    } else if (result == -EISCONN && (r->joined || r->was_pending)) {
        result = 0;
    }
    if (blocks)
        pin_set_blocking(r->pin, true);
    return result;
}

/* Connect a unix socket with the caller's credentials, which the server sees. It waits where the backlog is full. */
static struct outcome connect_unix(struct request *r)
{
    bool blocks = pin_blocks(r->pin);

    unix_own_add(&unix_own, r->pin); /* the kernel may autobind it now (SO_PASSCRED) */
    if (r->to.kind != DESTINATION_UNIX)
        return outcome_reply(connect_pin(r));
    if (caller_take(&unix_target.caller) < 0)
        return outcome_reply(-EACCES);
    if (blocks)
        pin_set_blocking(r->pin, false);
    int result = connect_pin(r);
    if (blocks)
        pin_set_blocking(r->pin, true);
    caller_leave();
    return result == -EAGAIN && blocks ? (struct outcome){PEND, 0} : outcome_reply(result);
}

/* Disconnect, by which a UDP socket may lose its port. */
static int connect_nowhere(struct request *r)
{
    unsigned set = socket_is(r->kind, IPPROTO_UDP) ? share_set_on(r->pin, false) : 0;

    share_put(r->pin, set, false);
    int result = connect_pin(r);
    share_put(r->pin, set, set != 0 && share_has_port(r->pin));
    return result;
}

static struct outcome execute_connect_of(struct request *r)
{
    if (r->to.kind == DESTINATION_NONE && r->address.any.sa_family == AF_UNSPEC)
        return outcome_reply(connect_nowhere(r));
    if (r->kind.domain == AF_UNIX)
        return connect_unix(r);
    if (!socket_is(r->kind, IPPROTO_TCP))
        return outcome_reply(connect_pin(r));
    int result = connect_stream(r);
    if (result == -EALREADY && (r->was_pending || pin_blocks(r->pin)))
        return (struct outcome){PEND, 0};
    return outcome_reply(result);
}

static struct outcome execute_connect(struct request *r)
{
    slow_begin();
    struct outcome outcome = execute_connect_of(r);
    if (r->to.kind == DESTINATION_IP) {
        slow_end(r->kind.protocol, r->to.port, 1);
        return outcome;
    }
    uint64_t free_at = clock_rest(slow.start); /* its server may be one that thousands are told of */
    unix_own.free_at = free_at > unix_own.free_at ? free_at : unix_own.free_at;
    return outcome;
}

/* --port-remap: a permitted destination may be a socket of the sandbox's own that has another port outside. Put that
 * port into the address. 0, -errno or LATER. *held: that socket's descriptor, kept until the call is done; or -1. */
static int remap_destination(const struct request *r, const struct destination *to, union address *address, int *held)
{
    *held = -1;
    if (to->kind != DESTINATION_IP || to->protocol == PROTOCOL_ICMP)
        return 0;
    int real = remap_find(&remap, r->kind.protocol, r->pin, to->addr, to->port, held);
    if (real > 0)
        address->v4.sin_port = htons((uint16_t)real);
    return real == -EAGAIN ? LATER : real < 0 ? real : 0;
}

/* Carry out a permitted connect: to a remapped port of the sandbox's own, through the proxy, or as it was asked for. */
static struct outcome connect_permitted(struct request *r, enum verdict verdict)
{
    bool udp = socket_is(r->kind, IPPROTO_UDP), moved = udp && remap_is_connected(&remap, r->pin);
    int held, result = remap_destination(r, &r->to, &r->address, &held);

    r->later = result == LATER;
    if (r->later)
        return (struct outcome){PEND, 0};
    if (result == 0 && held >= 0 && !remap_has_room(&remap))
        result = -ENOBUFS;
    r->was_pending = false; /* it may have waited for its verdict, but this connection begins now */
    struct outcome outcome = outcome_reply(result);
    if (result == 0)
        outcome = verdict == VERDICT_REDIRECT && held < 0 ? redirect(r) : execute_connect(r);
    r->was_pending = outcome.what == PEND;
    if (moved)
        pin_uncork(r->pin); /* data held back for the old destination goes now: its port may be another's later */
    bool under_way = outcome.what == PEND || outcome.value == -EINPROGRESS || outcome.value == -EALREADY ||
                     (udp && outcome.value == 0);
    if (held >= 0 && under_way)
        remap_keep(&remap, held);
    else
        release(held, r->kind);
    if (outcome.what == REPLY && socket_is_ip(r->kind))
        remap_autobound(&remap, r->kind.protocol, r->pin);
    return outcome;
}

/* Go on with a connect that waits. If the policy has changed and doesn't permit it now, what is under way is ended;
 * where somebody is to be asked it begins anew then. An answer that was given to a question stands. */
static struct outcome connect_again(struct request *r)
{
    if (r->judged == live.order)
        return execute_connect(r);
    struct decision decision = decide(&r->to);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    r->judged = live.order;
    if (decision.verdict == VERDICT_DENY)
        decision = settle(r, &r->to, decision);
    if (decision.verdict == VERDICT_ALLOW || decision.verdict == VERDICT_REDIRECT)
        return execute_connect(r);
    if (!r->joined)
        sys_disconnect(r->pin);
    if (decision.verdict == VERDICT_ASK) {
        r->was_pending = r->joined = false;
        return (struct outcome){HOLD, 0};
    }
    tell_destination(r, &r->to, decision);
    return outcome_reply(-decision.error);
}

static struct outcome call_connect(struct request *r)
{
    bool fixed = r->kind.domain != AF_UNIX; /* an IP address stays what it was; a path may lead elsewhere by now */
    bool again = r->was_pending && !r->later && fixed;
    int result = again || (fixed && r->asks > 0) ? 0 : parse_address(r);

    if (again)
        return connect_again(r);
    if (result == LATER)
        return (struct outcome){PEND, 0};
    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (is_stand_in(r))
        return connect_stand_in(r);
    if (call_continues(r))
        return (struct outcome){CONTINUE, 0};
    r->later = r->to.kind == DESTINATION_IP && slow_waits(r->kind.protocol, r->to.port);
    if (r->later)
        return (struct outcome){PEND, 0};
    struct decision decision = decide(&r->to);
    if (decision.verdict == VERDICT_DENY && socket_is(r->kind, IPPROTO_UDP) && is_probed_address(r))
        return outcome_reply(0); /* musl's probe; the socket stays unconnected */
    decision = judge(r, decision);
    switch (decision.verdict) {
    case VERDICT_ALLOW:
    case VERDICT_REDIRECT:
        return connect_permitted(r, decision.verdict);
    case VERDICT_ASK:
        return (struct outcome){HOLD, 0};
    case VERDICT_DENY:
        break;
    }
    return outcome_reply(-decision.error);
}

#endif

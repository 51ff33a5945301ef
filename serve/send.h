/* send.h - sendto(2), sendmsg(2), sendmmsg(2): parse, decide, execute, a batch at a time */
#ifndef SERVE_SEND_H
#define SERVE_SEND_H

#include "cmsg.h"
#include "connect.h"
#include "continue.h"
#include "decide.h"
#include "look.h"
#include "parse.h"
#include "share.h"
#include "../policy/call.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/clock.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"
#include "../sys/message.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/slow.h"
#include "../sys/unixtarget.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Close our descriptors of what the batch passed on (SCM_RIGHTS), or held. */
static void batch_release(void)
{
    while (batch.n_rights > 0)
        release(batch.rights[--batch.n_rights], (struct socket_kind){0, 0, 0});
}

static int send_flags(const struct request *r)
{
    return (int)r->args[r->call == CALL_SENDMSG ? 2 : 3];
}

static bool is_stream(struct socket_kind kind)
{
    return socket_is(kind, IPPROTO_TCP) || (kind.domain == AF_UNIX && kind.type == SOCK_STREAM);
}

/* Which messages of the call are read next. */
static struct message_source send_source(const struct request *r)
{
    return (struct message_source){
        .call = r->call == CALL_SENDTO ? MESSAGE_SENDTO : r->call == CALL_SENDMSG ? MESSAGE_SENDMSG : MESSAGE_SENDMMSG,
        .tid = r->tid,
        .args = r->args,
        .ip = socket_is_ip(r->kind),
        .stream = is_stream(r->kind),
        .messages = r->sent_messages,
        .bytes = r->sent_bytes,
    };
}

/* The end of a send that can't go on: it returns how much was sent so far, or the error if that is nothing. */
static struct outcome send_end(const struct request *r, int64_t error)
{
    size_t messages = r->sent_messages;

    if (r->call != CALL_SENDMMSG)
        return outcome_reply(r->sent_bytes > 0 ? (int64_t)r->sent_bytes : error);
    if (r->sent_bytes > 0) { /* a stream's message was taken in part: it counts */
        struct message_source source = send_source(r);

        batch.messages[0].sent = (uint32_t)r->sent_bytes;
        messages += message_tell_lengths(&batch, &source, 1);
    }
    return outcome_reply(messages > 0 ? (int64_t)messages : error);
}

/* Report a control message that is refused. */
static void tell_control(const struct request *r, const struct cmsghdr *c)
{
    char subject[64];

    snprintf(subject, sizeof subject, "control message, level %d, type %d", c->cmsg_level, c->cmsg_type);
    tell_refused(r, subject, "");
}

/* --port-remap: a permitted message to a port of the sandbox's own goes to the port that it has outside. 0, -errno or
 * LATER. A datagram that is put together in pieces (MSG_MORE) is refused: its last piece would go to whoever has the
 * port by then. */
static int remap_message(const struct request *r, size_t i)
{
    int held, result = remap_destination(r, &batch_to[i], &batch.names[i], &held);

    if (held < 0)
        return result;
    batch.rights[batch.n_rights++] = held; /* it is closed when the batch is sent */
    if (result == 0 && (send_flags(r) & MSG_MORE || sys_socket_option(r->pin, IPPROTO_UDP, KERNEL_UDP_CORK) > 0))
        return -EOPNOTSUPP;
    return result;
}

/* Judge the batch: how many messages, from the first on, may be sent; if none, -errno. */
static int64_t decide_batch(struct request *r)
{
    size_t n = 0;
    int error = 0;

    for (; n < batch.n && error == 0; n++) {
        struct kernel_msghdr *header = &batch.messages[n].header;
        socklen_t len = (socklen_t)header->namelen;
        struct ip_addr source = {0, 0, 0};
        const struct cmsghdr *refused = NULL;

        error = r->sent_bytes > 0 ? 0 : parse_control(r, n, &source, &refused);
        int led = parse_destination(r, &batch.names[n], &len, source, &batch_to[n]);
        error = error < 0 ? error : led;
        header->namelen = (int32_t)len;
        if (refused != NULL && n == 0)
            tell_control(r, refused);
        if (error < 0)
            break;
        struct decision decision = settle(r, &batch_to[n], decide(&batch_to[n]));
        if (decision.verdict != VERDICT_ALLOW)
            error = decision.verdict == VERDICT_ASK ? HELD : -decision.error;
        if (error == 0 || (n == 0 && error != HELD))
            tell_destination(r, &batch_to[n], decision);
        if (error == 0)
            error = remap_message(r, n);
        if (error < 0)
            break;
        if (policy.undecided != UNDECIDED_REFUSED)
            look_at_send(r, &batch_to[n], batch.parts[n][0].iov_base, batch.parts[n][0].iov_len);
    }
    return n > 0 ? (int64_t)n : error;
}

/* Would the kernel block here? Not where it found no port for the socket. */
static bool send_may_wait(const struct request *r)
{
    return !(send_flags(r) & MSG_DONTWAIT) && pin_blocks(r->pin) &&
           !(socket_is(r->kind, IPPROTO_UDP) && !share_has_port(r->pin));
}

/* Count what was sent of n messages. Returns the reply if that was all; PEND: there is more. */
static struct outcome send_advance(struct request *r, const struct message_source *source, size_t n, int64_t taken)
{
    if (source->stream) {
        r->sent_bytes += (size_t)taken;
        if (r->sent_bytes < batch.lengths[0])
            return (struct outcome){PEND, 0};
        taken = (int64_t)r->sent_bytes;
    }
    if (r->call != CALL_SENDMMSG)
        return outcome_reply(taken);
    if (n == 1) {
        batch.messages[0].sent = (uint32_t)taken;
        taken = 1;
    }
    size_t told = message_tell_lengths(&batch, source, (size_t)taken);
    r->sent_messages += told;
    r->sent_bytes = 0;
    if (told < (size_t)taken || (taken > 0 && batch.messages[taken - 1].sent < batch.lengths[taken - 1]))
        return send_end(r, -EFAULT);
    return (struct outcome){PEND, 0};
}

/* What tells sends apart that take the kernel long: the protocol and the port that the next datagram names, 0: it goes
 * to the socket's peer; otherwise the socket, whose peer may be one that thousands are told of (epoll(7)). */
static int send_port(const struct request *r, int *protocol)
{
    bool datagram = socket_is_ip(r->kind) && !is_stream(r->kind);

    *protocol = datagram ? r->kind.protocol : 0;
    if (!datagram)
        return r->pin;
    return batch.messages[0].header.namelen > 0 ? ntohs(batch.names[0].v4.sin_port) : 0;
}

/* Send n messages of the batch, with the caller's credentials where a peer sees them. How many were sent (of a stream:
 * bytes), or -errno; batch.error is what stopped them. */
static int64_t execute_batch(const struct request *r, const struct message_source *source, size_t n)
{
    int flags = (send_flags(r) & (int)~(KERNEL_MSG_ZEROCOPY | KERNEL_MSG_CMSG_COMPAT)) | MSG_DONTWAIT | MSG_NOSIGNAL;
    size_t piece = batch.parts[0][0].iov_len + batch.parts[0][1].iov_len;
    bool counts = caller_counts(r);
    int protocol;

    if (source->stream && r->sent_bytes + piece < batch.lengths[0]) /* not the last piece */
        flags = (flags & ~(MSG_OOB | MSG_EOR)) | MSG_MORE;
    if (r->kind.domain == AF_UNIX)
        unix_own_add(&unix_own, r->pin); /* the kernel may autobind it now (SO_PASSCRED) */
    batch.error = counts ? caller_enter(r) : 0;
    if (batch.error < 0)
        return batch.error;
    slow_begin();
    int64_t taken = message_send(&batch, source, r->pin, n, flags, slow.start + SLOW_US);
    int port = send_port(r, &protocol);
    slow_end(protocol, port, n > 1 ? taken : 1);
    if (counts)
        caller_leave();
    if (batch.n_rights > 0 && socket_is_ip(r->kind))
        pin_uncork(r->pin);
    return taken;
}

/* Is the netlink request at hand large, or many in one? The kernel carries it out within the send (netlink(7)), which
 * would hold others up. */
static bool request_takes_long(void)
{
    struct nlmsghdr first = {.nlmsg_len = 0};

    if (batch.parts[0][0].iov_len >= sizeof first)
        memcpy(&first, batch.parts[0][0].iov_base, sizeof first);
    return batch.lengths[0] > NETLINK_REQUEST_MAX ||
           (first.nlmsg_len >= sizeof first && NLMSG_ALIGN((size_t)first.nlmsg_len) < batch.lengths[0]);
}

/* One batch: parse, decide, execute. PEND: there is more to do; *waits: once the socket is ready. */
static struct outcome send_batch(struct request *r, bool *waits)
{
    static uint64_t netlink_free_at; /* requests have a quarter of our time */
    struct message_source source = send_source(r);
    bool netlink = r->kind.domain == AF_NETLINK;
    int protocol = 0;
    uint64_t start = netlink ? clock_us() : 0;

    r->later = netlink && start < netlink_free_at;
    *waits = r->later;
    if (*waits)
        return (struct outcome){PEND, 0};
    int64_t n = message_read(&batch, &source, !source.ip);

    int port = n > 0 ? send_port(r, &protocol) : 0;
    r->later = n > 0 && slow_waits(protocol, port);
    *waits = r->later;
    if (*waits)
        return (struct outcome){PEND, 0};
    if (n > 0 && netlink && request_takes_long())
        n = -EMSGSIZE;
    if (n <= 0)
        return send_end(r, n);
    n = decide_batch(r);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    *waits = n == LATER;
    if (n == HELD)
        return (struct outcome){HOLD, 0};
    if (n < 0)
        return n == LATER ? (struct outcome){PEND, 0} : send_end(r, n);
    if (r->call == CALL_SENDMMSG) { /* the first whose length can't be told is the last that is sent */
        size_t telling = message_tell_lengths(&batch, &source, (size_t)n);
        n = telling < (size_t)n ? (int64_t)telling + 1 : n;
    }
    int64_t taken = execute_batch(r, &source, (size_t)n);
    if (netlink)
        netlink_free_at = clock_rest(start);
    struct outcome outcome = taken >= 0 ? send_advance(r, &source, (size_t)n, taken) : (struct outcome){PEND, 0};
    *waits = outcome.what == PEND && batch.error == -EAGAIN && send_may_wait(r);
    if (*waits || batch.error == 0 || outcome.what != PEND)
        return outcome;
    r->broken_pipe = taken == -EPIPE && source.stream && r->sent_bytes == 0 && !(send_flags(r) & MSG_NOSIGNAL);
    return send_end(r, batch.error);
}

static struct outcome execute_send(struct request *r)
{
    struct outcome outcome = {PEND, 0};
    bool waits = false;

    if (r->was_pending && r->sent_bytes > 0 && pin_has_error(r->pin))
        return send_end(r, 0); /* the next send(2) gets the error */
    r->yields = false;
    for (unsigned round = 0; outcome.what == PEND && !waits && !r->yields; round++) {
        outcome = send_batch(r, &waits);
        batch_release();
        r->yields = outcome.what == PEND && !waits && round == ROUNDS_MAX; /* others have their turn */
    }
    return outcome;
}

static struct outcome call_send(struct request *r)
{
    if (r->call != CALL_SENDTO && send_flags(r) & (int)KERNEL_MSG_CMSG_COMPAT)
        return outcome_reply(-EINVAL);
    if (!r->was_pending) {
        int result = parse_socket(r);

        if (result < 0)
            return outcome_reply(result);
        if (!socket_is_ip(r->kind) && call_continues(r))
            return (struct outcome){notify_valid(here.listener, r->id) ? CONTINUE : VANISHED, 0};
    }
    return execute_send(r);
}

#endif

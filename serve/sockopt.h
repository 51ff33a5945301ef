/* sockopt.h - setsockopt(2): joining multicast groups, SO_LINGER, SO_REUSEADDR and SO_REUSEPORT, which getsockopt(2)
 * shows as they were set; all else that is trapped is refused */
#ifndef SERVE_SOCKOPT_H
#define SERVE_SOCKOPT_H

#include "decide.h"
#include "names.h"
#include "parse.h"
#include "share.h"
#include "../policy/call.h"
#include "../policy/portremap.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/clock.h"
#include "../sys/closer.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"
#include "../sys/membership.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/remap.h"
#include "../sys/slow.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Read the value of the option that is set, of `least` bytes at least, as far as there is room for it. Its length as it
 * is read, or -errno. */
static int64_t parse_option(struct request *r, size_t least, void *value, size_t room)
{
    int64_t len = (int32_t)r->args[4];
    int result = parse_socket(r);

    if (result == 0 && len < (int64_t)least)
        result = -EINVAL;
    len = len < (int64_t)room ? len : (int64_t)room;
    if (result == 0)
        result = child_read(r->tid, r->args[3], value, (size_t)len);
    return result < 0 ? result : len;
}

/* Carry out a join. When the next one may be: where an interface has many groups of IPv6, each is looked for among them
 * all, and joins have a quarter of our time. */
static uint64_t execute_join(const struct request *r, const void *value, socklen_t len, int *result)
{
    uint64_t start = clock_us();

    *result = pin_option_bytes(r->pin) > JOINS_BYTES_MAX
                  ? -ENOMEM : sys_result(setsockopt(r->pin, (int)r->args[1], (int)r->args[2], value, len));
    here.closer.groups++;
    uint64_t taken = clock_us() - start;
    return taken < SLOW_EACH_US ? 0 : start + 4 * taken;
}

/* Join a multicast group on behalf: it is decided as a send to the group, whatever the port. */
static struct outcome call_join(struct request *r)
{
    static uint64_t free_at; /* of clock_us */
    uint8_t value[512] = {0};
    int level = (int)r->args[1], option = (int)r->args[2], result;
    int64_t len = parse_option(r, 0, value, sizeof value);

    if (len < 0)
        return outcome_reply(len);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    r->later = clock_us() < free_at;
    if (r->later)
        return (struct outcome){PEND, 0};
    r->to = (struct destination){.kind = DESTINATION_IP, .protocol = PROTOCOL_UDP, .any_port = true};
    if (socket_is(r->kind, IPPROTO_ICMP) || socket_is(r->kind, IPPROTO_ICMPV6))
        r->to.protocol = PROTOCOL_ICMP;
    if (socket_is_ip(r->kind) &&
        membership_group(level, option, value, (size_t)len, &r->to.addr) == 0) {
        struct decision decision = judge(r, decide_group(&r->to));

        if (decision.verdict == VERDICT_ASK)
            return (struct outcome){HOLD, 0};
        if (decision.verdict == VERDICT_DENY)
            return outcome_reply(-decision.error);
    } else if (r->kind.domain != AF_UNIX && r->kind.domain != AF_NETLINK) {
        return outcome_reply(socket_is_ip(r->kind) ? -EINVAL : -EACCES);
    }
    free_at = execute_join(r, value, (socklen_t)len, &result);
    return outcome_reply(result);
}

/* SO_REUSEADDR and SO_REUSEPORT. Under --port-remap the first stays off while something is on its way to the socket. A
 * socket that we don't hold has its port, by which nothing is shared any more. */
static struct outcome call_reuse(struct request *r)
{
    int value = 0, option = (int)r->args[2];
    int64_t len = parse_option(r, sizeof value, &value, sizeof value);

    if (len < 0)
        return outcome_reply(r->pin == -EACCES ? 0 : len);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    struct remap_kept *kept = option == SO_REUSEADDR ? remap_kept_of(&remap, r->pin) : NULL;
    bool udp = socket_is(r->kind, IPPROTO_UDP);
    if (udp)
        pin_set_option(r->pin, share_kept(option), value);
    if (kept != NULL)
        kept->shares = value != 0;
    if (kept != NULL || (udp && value != 0 && !share_has_port(r->pin)))
        return outcome_reply(0);
    return outcome_reply(sys_result(setsockopt(r->pin, SOL_SOCKET, option, &value, sizeof value)));
}

/* getsockopt of the two: on UDP the program has set more than is in force. */
static struct outcome call_getsockopt(struct request *r)
{
    int value = 1;

    if (parse_socket(r) < 0 || !socket_is(r->kind, IPPROTO_UDP) ||
        sys_socket_option(r->pin, SOL_SOCKET, share_kept((int)r->args[2])) <= 0)
        return (struct outcome){CONTINUE, 0};
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    return outcome_reply(reply_value(r, &r->args[3], &value, sizeof value));
}

/* SO_LINGER, on behalf, so that no other thread sets it between our look at a socket and our close of it. Where nobody
 * could close it for us it stays off: close doesn't wait then. A socket that we don't hold is the kernel's to set. */
static struct outcome call_linger(struct request *r)
{
    struct linger value = {0, 0};
    size_t room = (int32_t)r->args[4] < (int32_t)sizeof value ? sizeof(int) : sizeof value; /* as the kernel reads it */
    int64_t len = parse_option(r, sizeof(int), &value, room);

    if (settings.no_getfd && r->pin == -EACCES) {
        here.closer.lingers = true;
        return (struct outcome){CONTINUE, 0};
    }
    if (len < 0)
        return outcome_reply(len);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    bool waits = len == sizeof value && value.l_onoff && value.l_linger != 0;
    here.closer.lingers = here.closer.lingers || waits;
    if (waits && closer_start(&here.closer) < 0)
        return outcome_reply(0);
    return outcome_reply(sys_result(setsockopt(r->pin, SOL_SOCKET, SO_LINGER, &value, (socklen_t)len)));
}

/* An option that is refused, unless it isn't one of that socket's, which the kernel says itself, or takes back what it
 * once chose: no interface, no address, no foreign source are zeros, and as harmless as the option never set. */
static struct outcome call_refused_option(struct request *r, const struct trap *trap)
{
    static const uint8_t nothing[sizeof(struct in6_pktinfo)];
    uint8_t value[sizeof nothing];
    int level = (int)r->args[1], option = (int)r->args[2];
    int64_t len = (int32_t)r->args[4];
    int result = parse_socket(r);
    bool steers = trap != NULL && trap->when == WHEN_UNSTEERED && level != SOL_SOCKET; /* that takes privileges */
    bool back = result == 0 && steers &&
                (len < 0 || (len <= (int64_t)sizeof value && child_read(r->tid, r->args[3], value, (size_t)len) == 0 &&
                             memcmp(value, nothing, (size_t)len) == 0));
    int domain = result == 0 ? r->kind.domain : AF_UNSPEC;
    bool unknown = level != SOL_SOCKET && (domain == AF_UNIX || domain == AF_NETLINK ||
                                           (domain == AF_INET && level == SOL_IPV6));

    if (result == -EBADF || result == -ENOTSOCK)
        return outcome_reply(result);
    if ((back || unknown) && !notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (back || unknown)
        return outcome_reply(sys_result(setsockopt(r->pin, level, option, nothing, back ? (socklen_t)len : 0)));
    if (trap != NULL)
        tell_refused(r, trap->name, trap->when == WHEN_UNSTEERED ? "--allow-steering" : "");
    return outcome_reply(-EPERM);
}

static struct outcome call_setsockopt(struct request *r)
{
    const struct trap *trap = trap_of(r->number, r->args);
    int option = (int)r->args[1] == SOL_SOCKET ? (int)r->args[2] : 0;

    if (option == SO_LINGER)
        return call_linger(r);
    if (option == SO_REUSEADDR || option == SO_REUSEPORT)
        return call_reuse(r);
    if (trap != NULL && trap->name == NULL)
        return call_join(r);
    return call_refused_option(r, trap);
}

#endif

/* standin.h - harmless sockets for programs that make one of UDP only to learn which IP versions there are */
#ifndef SERVE_STANDIN_H
#define SERVE_STANDIN_H

#include "../policy/call.h"
#include "../policy/tell.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/limits.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/pintable.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* The cookies of sockets that stand in for UDP sockets, which may not exist. */
static uint64_t stand_ins[STAND_INS_MAX];
static size_t stand_in_turn;

static bool is_stand_in(const struct request *r)
{
    uint64_t cookie = 0;

    if (r->kind.domain == AF_UNIX && r->kind.type == SOCK_STREAM && stand_in_turn > 0)
        cookie = pin_cookie(r->pin);
    for (size_t i = 0; cookie != 0 && i < STAND_INS_MAX; i++)
        if (stand_ins[i] == cookie)
            return true;
    return false;
}

/* Is this a socket that is made only to learn whether an IP version works? musl's getaddrinfo (AI_ADDRCONFIG) and curl
 * do that, and give up when it is refused. They get a unix socket, which leads nowhere. */
static bool call_makes_probe(int domain, int type, int protocol)
{
    bool musl = (domain == AF_INET || domain == AF_INET6) && type == (SOCK_DGRAM | SOCK_CLOEXEC) &&
                protocol == IPPROTO_UDP;
    bool curl = domain == AF_INET6 && type == SOCK_DGRAM && protocol == 0;

    return !policy.open[PROTOCOL_UDP] && (musl || curl);
}

/* ping makes a UDP socket first, to learn its own address. Where only ICMP is open it gets an ICMP socket instead, if
 * its user may have one. */
static bool call_makes_ping(int domain, int type, int protocol)
{
    return !policy.open[PROTOCOL_UDP] && policy.open[PROTOCOL_ICMP] && (domain == AF_INET || domain == AF_INET6) &&
           type == SOCK_DGRAM && protocol == 0;
}

static struct outcome socket_stand_in(struct request *r, bool ping)
{
    int domain = (int)r->args[0];

    if (!ping) {
        r->pin = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    } else if (caller_enter(r) == 0) {
        r->pin = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
        caller_leave();
    }
    if (r->pin < 0)
        return outcome_reply(-EACCES);
    if (!ping)
        stand_ins[stand_in_turn++ % STAND_INS_MAX] = pin_cookie(r->pin);
    if (settings.no_getfd)
        pintable_add(&made_sockets, fcntl(r->pin, F_DUPFD_CLOEXEC, 0));
    return outcome_reply(notify_add_fd(here.listener, r->id, r->pin, (uint32_t)r->args[1] & O_CLOEXEC));
}

/* Does this connect go where musl's probe goes? */
static bool is_probed_address(const struct request *r)
{
    enum { PROBE_PORT = 65535 };
    struct ip_addr addr;
    uint16_t port;

    return r->address_len >= sizeof r->address.v4 && ip_addr_from_sockaddr(&r->address, &addr, &port) == 0 &&
           port == PROBE_PORT && ip_addr_is_loopback(addr);
}

/* A stand-in is connected: 0 for the probe, else what a UDP socket gets that no rule opens. */
static struct outcome connect_stand_in(const struct request *r)
{
    struct destination to = {.kind = DESTINATION_IP, .protocol = PROTOCOL_UDP};

    if (is_probed_address(r))
        return outcome_reply(0);
    if (r->address_len < sizeof r->address.v4 || ip_addr_from_sockaddr(&r->address, &to.addr, &to.port) < 0)
        return outcome_reply(-EINVAL);
    tell_destination(r, &to, (struct decision){VERDICT_DENY, EACCES, -1});
    return outcome_reply(-EACCES);
}

#endif

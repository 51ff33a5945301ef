/* socket.h - socket(2), socketpair(2): made by us where we have to, or refused as the kernel would */
#ifndef SERVE_SOCKET_H
#define SERVE_SOCKET_H

#include "standin.h"
#include "../policy/call.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"
#include "../sys/notify.h"
#include "../sys/pintable.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Give the caller a socket of ours, with its flags, and go on holding it. The descriptor's number there, or -errno. */
static int socket_hand_in(const struct request *r, int fd)
{
    int number = notify_add_fd(here.listener, r->id, fd, (int)r->args[1] & SOCK_CLOEXEC ? O_CLOEXEC : 0);

    if (number < 0)
        close(fd);
    else
        pintable_add(&made_sockets, fd);
    return number;
}

/* Make a socket, or pair of them, with the caller's rights. 0, or -errno: -ENOBUFS where we can't hold any more. */
static int socket_open(const struct request *r, bool pair, int ends[2])
{
    int domain = (int)r->args[0], type = (int)r->args[1] | SOCK_CLOEXEC, protocol = (int)r->args[2];
    bool root = geteuid() == 0;
    int result = made_sockets.n + pair >= PINTABLE_MAX ? -ENOBUFS : root ? caller_enter(r) : 0;

    if (result < 0)
        return result;
    result = sys_result(pair ? socketpair(domain, type, protocol, ends) : (ends[0] = socket(domain, type, protocol)));
    if (root)
        caller_leave();
    return sys_result_for_other(result);
}

/* Make a permitted socket, or pair of them, for the caller. The numbers of a pair go where argument 3 says, as far as
 * the caller has room for them. */
static struct outcome socket_make(struct request *r, bool pair)
{
    int ends[2] = {-1, -1}, numbers[2] = {-1, -1};
    struct iovec local = {numbers, sizeof numbers}, remote = {(void *)(uintptr_t)r->args[3], sizeof numbers};

    ssize_t written = pair ? child_writev(r->tid, &local, 1, &remote, 1) : (ssize_t)sizeof numbers;
    if (written != sizeof numbers)
        return outcome_reply(written == -ENOBUFS ? -ENOBUFS : -EFAULT);
    int made = socket_open(r, pair, ends), room = made == -ENOBUFS ? made_make_room(r) : 0;
    r->later = room < 0;
    if (r->later)
        return (struct outcome){PEND, 0};
    if (room > 0)
        made = socket_open(r, pair, ends);
    if (made == -ENOBUFS)
        tell_refused(r, "one socket too many", "");
    if (made < 0)
        return outcome_reply(made);
    numbers[0] = socket_hand_in(r, ends[0]);
    if (!pair)
        return outcome_reply(numbers[0]);
    numbers[1] = numbers[0] < 0 ? numbers[0] : socket_hand_in(r, ends[1]);
    if (numbers[0] < 0)
        close(ends[1]);
    if (numbers[1] < 0)
        return outcome_reply(numbers[1]);
    return outcome_reply(child_writev(r->tid, &local, 1, &remote, 1) == sizeof numbers ? 0 : -EFAULT);
}

/* What the kernel answers where a kind of socket doesn't exist, or CAP_NET_RAW is missing. */
static int socket_error(int domain, int type, int protocol)
{
    bool local = domain == AF_UNIX && (protocol == 0 || protocol == AF_UNIX);

    if (domain == AF_PACKET || (domain == AF_INET && type == SOCK_PACKET))
        return -EPERM;
    if (domain == AF_NETLINK || domain == AF_UNIX)
        return local || (domain == AF_NETLINK && type != SOCK_DGRAM && type != SOCK_RAW) ? -ESOCKTNOSUPPORT
                                                                                         : -EPROTONOSUPPORT;
    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if (protocol < 0 || protocol > KERNEL_IPPROTO_MPTCP) /* the last one */
        return -EINVAL;
    if (type == SOCK_RAW)
        return protocol == 0 ? -EPROTONOSUPPORT : -EPERM;
    return type == SOCK_STREAM || type == SOCK_DGRAM ? -EPROTONOSUPPORT : -ESOCKTNOSUPPORT;
}

/* A socket or pair that the filter doesn't permit: refused with the kernel's errno, and reported with what would permit
 * it. */
static struct outcome call_socket(struct request *r)
{
    enum { SOCKET_TYPE_MASK = 15 }; /* the kernel's SOCK_TYPE_MASK */
    int domain = (int)r->args[0], type = (int)r->args[1] & ~(SOCK_CLOEXEC | SOCK_NONBLOCK), protocol = (int)r->args[2];
    bool ip = domain == AF_INET || domain == AF_INET6, pair = r->number == number_on(NR_socketpair, MACHINE_OURS);
    bool ordinary = (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
                    (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP));
    char subject[64];
    const struct trap *trap = trap_of(r->number, r->args);

    if (trap != NULL && trap_makes_socket(trap))
        return socket_make(r, pair);
    bool ping = !pair && call_makes_ping(domain, (int)r->args[1], protocol);
    if (ping || (!pair && call_makes_probe(domain, (int)r->args[1], protocol)))
        return socket_stand_in(r, ping);
    if (type < 0 || type > SOCKET_TYPE_MASK || (type > SOCK_PACKET && domain >= 0 && domain < KERNEL_AF_MAX))
        return outcome_reply(-EINVAL);
    if (pair && ip && ordinary)
        return outcome_reply(-EOPNOTSUPP);
    if (ip && type == SOCK_DGRAM && ordinary) {
        tell_refused(r, "udp", "--net-allow udp://HOST:PORT");
        return outcome_reply(-EACCES);
    }
    if (ip && type == SOCK_DGRAM && protocol == (domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
        tell_refused(r, "icmp", "--net-allow icmp://HOST");
        return outcome_reply(-EACCES);
    }
    if (domain == AF_UNIX && (type == SOCK_DGRAM || type == SOCK_RAW) && !policy.traps_sends) {
        tell_refused(r, "unix datagram", "a unix:// or udp:// rule, with which sends are watched");
        return outcome_reply(-EACCES);
    }
    snprintf(subject, sizeof subject, "family %d, type %d, protocol %d", domain, type, protocol);
    tell_refused(r, subject, "");
    return outcome_reply(socket_error(domain, type, protocol));
}

#endif

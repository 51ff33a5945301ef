/* hold.h - a connect that is held: it waits in SYN_SENT until its other end is made, or can't be (tcp(7))
 *
 * A hold is a listening socket whose queue is full: SYNs to it are dropped, so who connects hears nothing. Later the
 * other end is a socket of ours with the hold's own address that connects to the waiting one: a simultaneous open (RFC
 * 9293, 3.5), which has both established at once. Nobody gets through a hold but by a connection that we make. */
#ifndef HOLD_H
#define HOLD_H

#include "addr.h"
#include "kernel.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

struct hold {
    int full;     /* listens, and accepts nobody; owned, < 0: there is none */
    int filling;  /* the one connection in its queue; owned */
    int refusing; /* bound, but doesn't listen: who connects is refused; owned */
    struct ip_addr addr;
    uint16_t port, refusing_port;
};

/* A socket bound to a port of a loopback address; port 0: the kernel's choice. A descriptor or -errno. */
static int hold_bind(struct ip_addr addr, uint16_t *port, bool shared)
{
    sa_family_t family = addr.version == 4 ? AF_INET : AF_INET6;
    struct sockaddr_storage at;
    socklen_t len = ip_addr_to_sockaddr(addr, *port, family, &at);
    int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if ((shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) ||
        bind(fd, (struct sockaddr *)&at, len) < 0 ||
        (*port == 0 && getsockname(fd, (struct sockaddr *)&at, &len) < 0)) {
        int error = errno;
        close(fd);
        return -error;
    }
    ip_addr_from_sockaddr(&at, &addr, port);
    return fd;
}

/* Make one on a loopback address. 0 or -errno. */
static int hold_open(struct hold *hold, struct ip_addr loopback)
{
    struct sockaddr_storage at;
    sa_family_t family = loopback.version == 4 ? AF_INET : AF_INET6;

    *hold = (struct hold){.full = -1, .addr = loopback};
    hold->refusing = hold_bind(loopback, &hold->refusing_port, false);
    hold->full = hold_bind(loopback, &hold->port, true);
    if (hold->full < 0)
        return hold->full;
    socklen_t len = ip_addr_to_sockaddr(loopback, hold->port, family, &at);
    hold->filling = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listen(hold->full, 0) < 0 || connect(hold->filling, (struct sockaddr *)&at, len) < 0)
        return -errno;
    return 0;
}

/* Is this socket's peer a hold? */
static bool hold_has(const struct hold *hold, struct ip_addr peer, uint16_t port)
{
    return hold->full >= 0 && hold->port == port && ip_addr_equal(hold->addr, peer);
}

/* Send as the simplest congestion control does, which every kernel has: between two sockets of one machine there is
 * nothing to be found out about a path, and the system's own choice may pace (tcp(7): TCP_CONGESTION). */
static void hold_hurry(int fd)
{
    static const char simplest[] = "reno";
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, simplest, sizeof simplest - 1);
}

/* The other end for a socket that waits at the hold, connected to it; its peer need not have noticed yet. A descriptor,
 * non-blocking; -errno: that socket doesn't wait (any more). */
static int hold_meet(const struct hold *hold, int waiting)
{
    struct sockaddr_storage at;
    struct ip_addr addr;
    uint16_t port = hold->port, waiting_port;

    if (ip_addr_of_socket(waiting, &addr, &waiting_port) < 0)
        return -ENOTCONN;
    int fd = hold_bind(hold->addr, &port, true);
    if (fd < 0)
        return fd;
    socklen_t len = ip_addr_to_sockaddr(addr, waiting_port, addr.version == 4 ? AF_INET : AF_INET6, &at);
    hold_hurry(fd);
    int result = sys_result(connect(fd, (struct sockaddr *)&at, len));
    if (result == -EINPROGRESS)
        result = sys_result(connect(fd, (struct sockaddr *)&at, len)); /* on loopback it is there already */
    if (result == 0 || result == -EALREADY)
        return fd;
    close(fd);
    return result;
}

/* Take a socket that waits away from the hold, as if it had never connected. */
static void hold_cancel(int waiting)
{
    sys_disconnect(waiting);
    sys_socket_option(waiting, SOL_SOCKET, SO_ERROR); /* which is left behind else */
}

/* End the wait of a non-blocking socket with ECONNREFUSED. `family` is its own. */
static void hold_refuse(const struct hold *hold, int waiting, sa_family_t family)
{
    struct sockaddr_storage at;
    socklen_t len = ip_addr_to_sockaddr(hold->addr, hold->refusing_port, family, &at);

    hold_cancel(waiting);
    connect(waiting, (struct sockaddr *)&at, len);
}

#endif

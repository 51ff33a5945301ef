/* inetdiag.h - which socket of this network namespace gets what comes for an address, who has a port (sock_diag(7)) */
#ifndef INETDIAG_H
#define INETDIAG_H

#include "addr.h"
#include "sockdiag.h"

#include <linux/inet_diag.h>

enum {
    INETDIAG_LOOPBACK = 1, /* the loopback interface's number, in every namespace */
    /* States (include/net/tcp_states.h), as bits for inetdiag_each. UDP sockets are connected or closed. */
    INETDIAG_CONNECTING = 1 << 2,
    INETDIAG_CLOSED = 1 << 7,     /* what is bound and nothing more is told as that, too */
    INETDIAG_LISTENING = 1 << 10,
    INETDIAG_BOUND = 1 << 13, /* to a port, and nothing more; Linux 6.8 */
};

struct inetdiag_socket {
    uint64_t cookie;
    uint32_t inode; /* as /proc/PID/fd has it; 0: nobody's descriptor any more, or none yet */
    uint8_t state;
    sa_family_t family; /* of IPv6 may have addresses of IPv4 */
    struct ip_addr local, peer;
    uint16_t local_port, peer_port;
};

/* Addresses are in the order of local and peer for TCP, and in a look-up (not a dump) of UDP the other way round: "for
 * historical reasons" (net/ipv4/udp_diag.c). */
struct inetdiag_request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 request;
};

static struct inetdiag_request inetdiag_request(int protocol, int family, uint32_t states, uint16_t flags)
{
    return (struct inetdiag_request){
        {sizeof(struct inetdiag_request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | flags, 1, 0},
        {.sdiag_family = (uint8_t)family, .sdiag_protocol = (uint8_t)protocol, .idiag_states = states,
         .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
    };
}

/* An address as it is told: four bytes, or sixteen. */
static struct ip_addr inetdiag_addr(int family, const __be32 bytes[4])
{
    struct in_addr v4 = {bytes[0]};
    struct in6_addr v6;

    memcpy(&v6, bytes, sizeof v6);
    return family == AF_INET ? ip_addr_from_v4(v4) : ip_addr_from_v6(&v6);
}

static struct inetdiag_socket inetdiag_describe(const struct nlmsghdr *message)
{
    const struct inet_diag_msg *told = NLMSG_DATA(message);

    return (struct inetdiag_socket){
        .cookie = (uint64_t)told->id.idiag_cookie[1] << 32 | told->id.idiag_cookie[0],
        .inode = told->idiag_inode,
        .state = told->idiag_state,
        .family = told->idiag_family,
        .local = inetdiag_addr(told->idiag_family, told->id.idiag_src),
        .peer = inetdiag_addr(told->idiag_family, told->id.idiag_dst),
        .local_port = ntohs(told->id.idiag_sport),
        .peer_port = ntohs(told->id.idiag_dport),
    };
}

static void inetdiag_take_one(const struct nlmsghdr *message, void *context)
{
    *(struct inetdiag_socket *)context = inetdiag_describe(message);
}

/* Find the socket that gets a connection or datagram that comes for to:port by the loopback interface, as all does that
 * this machine sends to itself, from `from`, of the same version: the kernel's own look-up. 0, or -errno (-ENOENT:
 * nobody would get it). */
static int inetdiag_find(int protocol, struct ip_addr to, uint16_t port, struct ip_addr from, uint16_t from_port,
                         struct inetdiag_socket *found)
{
    struct inetdiag_request r = inetdiag_request(protocol, to.version == 4 ? AF_INET : AF_INET6, ~0u, 0);
    struct inet_diag_sockid *id = &r.request.id;
    struct in6_addr ends[2] = {ip_addr_to_v6(protocol == IPPROTO_TCP ? to : from),
                               ip_addr_to_v6(protocol == IPPROTO_TCP ? from : to)};
    size_t skip = to.version == 4 ? 12 : 0; /* an IPv4 address is the mapped form's end */

    memcpy(id->idiag_src, &ends[0].s6_addr[skip], sizeof ends[0] - skip);
    memcpy(id->idiag_dst, &ends[1].s6_addr[skip], sizeof ends[1] - skip);
    id->idiag_sport = htons(protocol == IPPROTO_TCP ? port : from_port);
    id->idiag_dport = htons(protocol == IPPROTO_TCP ? from_port : port);
    id->idiag_if = INETDIAG_LOOPBACK;
    *found = (struct inetdiag_socket){.cookie = 0};
    int result = sockdiag_each(&r.header, sizeof(struct inet_diag_msg), inetdiag_take_one, found);
    return result == 0 && found->cookie == 0 ? -ENOENT : result;
}

/* What is looked for, and who is told. */
struct inetdiag_search {
    uint16_t local_port, peer_port;
    void (*found)(const struct inetdiag_socket *found, void *context);
    void *context;
};

static void inetdiag_take(const struct nlmsghdr *message, void *context)
{
    const struct inetdiag_search *search = context;
    struct inetdiag_socket found = inetdiag_describe(message);

    if ((search->local_port == 0 || found.local_port == search->local_port) && /* the kernel doesn't for all states */
        (search->peer_port == 0 || found.peer_port == search->peer_port))
        search->found(&found, search->context);
}

/* Call `found` with each socket in one of these states with these ports (0: any), and with the context. 0, or -errno
 * when the kernel can't say (-ENOENT: it has no tcp_diag or udp_diag). */
static int inetdiag_each(int protocol, uint32_t states, uint16_t local_port, uint16_t peer_port,
                         void (*found)(const struct inetdiag_socket *found, void *context), void *context)
{
    struct inetdiag_search search = {local_port, peer_port, found, context};
    int result = 0;

    for (int version = 4; version <= 6 && result == 0; version += 2) {
        struct inetdiag_request r = inetdiag_request(protocol, version == 4 ? AF_INET : AF_INET6, states, NLM_F_DUMP);

        r.request.id.idiag_sport = htons(local_port);
        r.request.id.idiag_dport = htons(peer_port);
        result = sockdiag_each(&r.header, sizeof(struct inet_diag_msg), inetdiag_take, &search);
    }
    return result;
}

static void inetdiag_ignore(const struct inetdiag_socket *found, void *context)
{
    (void)found;
    (void)context;
}

/* Does the kernel tell of sockets of this protocol at all? 0 or -errno, as above. */
static int inetdiag_check(int protocol)
{
    return inetdiag_each(protocol, 0, 0, 0, inetdiag_ignore, NULL);
}

#endif

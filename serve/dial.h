/* dial.h - HTTP: connects that wait for the proxy, and its connections to servers */
#ifndef SERVE_DIAL_H
#define SERVE_DIAL_H

#include "../policy/call.h"
#include "../policy/httpjudge.h"
#include "../policy/httprules.h"
#include "../policy/live.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/helper.h"
#include "../sys/hold.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"
#include "../sys/lineage.h"
#include "../sys/lookups.h"
#include "../sys/notify.h"
#include "../sys/origins.h"
#include "../sys/pin.h"
#include "../sys/proxychannel.h"
#include "../sys/proxyconn.h"
#include "../sys/resolve.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where sockets that were led to the proxy were meant to go. */
static struct origins origins;

/* A connection to a server that is under way: of a program that connects, or of a request that was permitted. */
struct dial {
    enum { DIAL_FREE, DIAL_LOOKUP, DIAL_CONNECT, DIAL_HANDOVER } state;
    uint32_t age;    /* tells a late answer from one for this dial */
    int server;      /* owned; -1: none */
    int waiting;     /* the program's socket, at the hold, ours too; -1: it is a request's, with serial */
    int client;      /* its other end, once it is there; owned */
    uint64_t cookie; /* of the waiting socket */
    sa_family_t family;
    struct hold *hold;
    struct destination to;
    struct ip_addr local; /* that the program bound; version 0: none */
    struct lineage_id process; /* whose it is */
    uint64_t serial;
    enum proxy_protocol protocol;
    struct ip_addr addrs[LOOKUP_ADDRS]; /* to be tried, in this order */
    size_t n, next;
};

static struct dial dials[DIALS_MAX];
static size_t n_dials_used;    /* behind them all are free */
static size_t n_dials_waiting; /* for room in the channel */

static struct dial *dial_new(void)
{
    size_t i = 0;

    while (i < n_dials_used && dials[i].state != DIAL_FREE)
        i++;
    if (i == DIALS_MAX)
        return NULL;
    n_dials_used += i == n_dials_used;
    dials[i] = (struct dial){.age = dials[i].age + 1, .server = -1, .waiting = -1, .client = -1};
    return &dials[i];
}

static void dial_end(struct dial *dial)
{
    if (dial->server >= 0)
        close(dial->server);
    if (dial->client >= 0)
        close(dial->client);
    if (dial->waiting >= 0)
        release(dial->waiting, (struct socket_kind){dial->family, IPPROTO_TCP, 0});
    n_dials_waiting -= dial->state == DIAL_HANDOVER;
    dial->state = DIAL_FREE;
    while (n_dials_used > 0 && dials[n_dials_used - 1].state == DIAL_FREE)
        n_dials_used--;
}

/* Begin to connect to dial->to. 0; -EINPROGRESS; -errno. The result of one under way is asked for in the same way. */
static int dial_connect(struct dial *dial)
{
    sa_family_t family = dial->to.addr.version == 4 ? AF_INET : AF_INET6;
    struct sockaddr_storage to, local;
    socklen_t len = ip_addr_to_sockaddr(dial->to.addr, dial->to.port, family, &to);
    int on = 1;

    if (dial->server < 0) {
        dial->server = sys_result(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (dial->server < 0)
            return sys_result_for_other(dial->server);
        setsockopt(dial->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        socklen_t local_len = ip_addr_to_sockaddr(dial->local, 0, family, &local);
        if (dial->local.version == dial->to.addr.version &&
            bind(dial->server, (struct sockaddr *)&local, local_len) < 0)
            return -errno;
        int result = sys_result(connect(dial->server, (struct sockaddr *)&to, len));
        if (result != -EINPROGRESS)
            return result;
    }
    int result = sys_result(connect(dial->server, (struct sockaddr *)&to, len)); /* on loopback it is there already */
    return result == -EALREADY ? -EINPROGRESS : result == -EISCONN ? 0 : result;
}

/* Tell the proxy what it has. 0; -EAGAIN; -errno. */
static int dial_hand_over(struct dial *dial)
{
    struct proxy_message message = {.kind = dial->waiting >= 0 ? PROXY_CONNECTION : PROXY_DIALLED,
                                    .serial = dial->serial, .protocol = dial->protocol, .addr = dial->to.addr,
                                    .port = dial->to.port, .process = dial->process};
    int fds[2], n = 0;

    if (dial->client >= 0)
        fds[n++] = dial->client;
    if (dial->server >= 0)
        fds[n++] = dial->server;
    return proxy_send(here.proxy.channel, &message, fds, (size_t)n, MSG_DONTWAIT);
}

/* Watch the channel to the proxy; `waiting`: for room in it, too. */
static void proxy_watch_channel(bool waiting, int operation)
{
    watch(operation, here.proxy.channel, waiting ? EPOLLIN | EPOLLOUT : EPOLLIN, EVENT_PROXY);
}

/* Is something on its way to the proxy that it hasn't taken yet (unix(7), SIOCOUTQ)? */
static bool proxy_is_behind(void)
{
    int bytes = 0;

    return ioctl(here.proxy.channel, TIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* The server is there (or comes later, by its name): establish the program's connection, and hand both over. */
static int dial_complete(struct dial *dial)
{
    if (dial->waiting >= 0 && dial->client < 0) {
        dial->client = hold_meet(dial->hold, dial->waiting);
        if (dial->client < 0)
            return dial->client; /* the program has let it go */
    }
    int result = dial_hand_over(dial);
    if (result == -EAGAIN || (result == -ETOOMANYREFS && proxy_is_behind())) { /* else they are others' references */
        n_dials_waiting += dial->state != DIAL_HANDOVER;
        dial->state = DIAL_HANDOVER;
        proxy_watch_channel(true, EPOLL_CTL_MOD);
        return 0;
    }
    dial_end(dial);
    return 0;
}

static void dial_watch(struct dial *dial, int operation)
{
    watch(operation, dial->server, EPOLLOUT | EPOLLONESHOT, EVENT_DIAL + (uint64_t)(dial - dials));
}

/* Keep an address to be tried: the original destination first. */
static void dial_add(struct dial *dial, struct ip_addr addr)
{
    if (dial->n == LOOKUP_ADDRS)
        return;
    dial->addrs[dial->n++] = addr;
    if (ip_addr_equal(addr, dial->to.addr)) {
        dial->addrs[dial->n - 1] = dial->addrs[0];
        dial->addrs[0] = addr;
    }
}

/* Is this a destination that a rule names otherwise than by a wildcard? Then it is dialled before the program's
 * connect has its result; behind a wildcard it is the request that says where to. */
static bool redirect_dials_first(const struct destination *to)
{
    bool has = !policy.http_any_host;

    for (size_t i = 0; i < policy.n_names && !has; i++)
        has = resolve_has(&policy.names[i], to->addr);
    for (size_t i = 0; i < policy.n_http_rules && !has; i++)
        has = policy.http_rules[i].kind == HOST_ADDRESS && ip_addr_equal(policy.http_rules[i].addr, to->addr);
    return has;
}

/* Begin a dial for a socket that waits at a hold. 0: it is connected; -EINPROGRESS; -errno. */
static int redirect_dial(const struct request *r, struct lineage_id process, struct hold *hold, struct ip_addr local,
                         uint64_t cookie)
{
    struct dial *dial = dial_new();

    if (dial == NULL)
        return -ENOBUFS;
    dial->state = DIAL_CONNECT;
    dial->waiting = fcntl(r->pin, F_DUPFD_CLOEXEC, 0);
    dial->cookie = cookie;
    dial->family = (sa_family_t)r->kind.domain;
    dial->hold = hold;
    dial->to = r->to;
    dial->local = local;
    dial->process = process;
    http_governs(r->to.port, &dial->protocol);
    int result = dial->waiting < 0 ? -ENOBUFS : redirect_dials_first(&r->to) ? dial_connect(dial) : 0;
    if (result == -EINPROGRESS)
        dial_watch(dial, EPOLL_CTL_ADD);
    if (result == 0)
        result = dial_complete(dial);
    if (result < 0 && result != -EINPROGRESS)
        dial_end(dial);
    return result;
}

/* The socket connects anew: what was under way for it isn't any more. */
static void redirect_forget(uint64_t cookie)
{
    for (size_t i = 0; i < n_dials_used; i++)
        if (dials[i].state != DIAL_FREE && dials[i].waiting >= 0 && dials[i].cookie == cookie)
            dial_end(&dials[i]);
}

/* A permitted connect that the HTTP rules govern: the socket waits at a hold, until the proxy has the other end. */
static struct outcome redirect(struct request *r)
{
    struct hold *hold = &here.holds[r->to.addr.version == 6 && here.holds[1].full >= 0];
    bool blocks = pin_blocks(r->pin);
    struct ip_addr local;
    uint16_t port;
    struct lineage_id process = lineage_of_thread(&live.lineage, r->tid);

    if (process.pid == 0)
        process = (struct lineage_id){r->tid, 0};
    if (here.proxy.channel < 0)
        return outcome_reply(-ECONNREFUSED);
    if (!notify_valid(here.listener, r->id)) /* the number could have been another process's */
        return (struct outcome){VANISHED, 0};
    if (ip_addr_of_socket(r->pin, &local, &port) < 0 || ip_addr_is_unspecified(local))
        local = (struct ip_addr){0, 0, 0};
    r->address_len = ip_addr_to_sockaddr(hold->addr, hold->port, (sa_family_t)r->kind.domain, &r->address.storage);
    if (blocks)
        pin_set_blocking(r->pin, false);
    int result = connect_pin(r);
    if (result == -EINPROGRESS) {
        uint64_t cookie = pin_cookie(r->pin);
        redirect_forget(cookie);
        origins_note(&origins, cookie, r->to.addr, r->to.port);
        result = redirect_dial(r, process, hold, local, cookie);
        bool refused = result == -ECONNREFUSED && !blocks; /* is told when it is waited for, as by a closed port */
        if (refused)
            hold_refuse(hold, r->pin, (sa_family_t)r->kind.domain);
        else if (result < 0 && result != -EINPROGRESS)
            hold_cancel(r->pin);
        if (result == 0 || refused)
            result = blocks ? connect_pin(r) : -EINPROGRESS;
    } else {
        r->joined = result == -EALREADY;
    }
    if (blocks)
        pin_set_blocking(r->pin, true);
    if (blocks && (result == -EINPROGRESS || result == -EALREADY))
        return (struct outcome){PEND, 0};
    return outcome_reply(result);
}

/* Is the peer of this name the proxy? Then the name becomes that of what was asked for. */
static bool name_original(uint64_t cookie, sa_family_t domain, union address *name, socklen_t *len)
{
    const struct origin *origin = NULL;
    struct ip_addr addr;
    uint16_t port;

    if (ip_addr_from_sockaddr(name, &addr, &port) == 0 &&
        (hold_has(&here.holds[0], addr, port) || hold_has(&here.holds[1], addr, port)))
        origin = origins_find(&origins, cookie);
    if (origin != NULL)
        *len = ip_addr_to_sockaddr(origin->addr, origin->port, domain, &name->storage);
    return origin != NULL;
}

/* Where there are HTTP rules: the proxy, the place where connects wait for it, and who looks up its names. */
static void http_prepare(void)
{
    if (!policy_has_http())
        return;
    int result = hold_open(&here.holds[0], ip_addr_loopback(4));
    hold_open(&here.holds[1], ip_addr_loopback(6)); /* without IPv6 its sockets wait at the other */
    if (result == 0)
        result = helper_start(&here.proxy, http_proxy_run);
    if (result < 0)
        die("cannot start the proxy for HTTP rules: %s", strerror(-result));
}

#endif

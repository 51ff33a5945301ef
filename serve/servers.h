/* servers.h - HTTP: connections to servers that come to an end, and those for requests */
#ifndef SERVE_SERVERS_H
#define SERVE_SERVERS_H

#include "decide.h"
#include "dial.h"
#include "pending.h"
#include "../policy/build.h"
#include "../policy/call.h"
#include "../policy/httpjudge.h"
#include "../policy/httprules.h"
#include "../policy/live.h"
#include "../policy/seen.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/clock.h"
#include "../sys/helper.h"
#include "../sys/hold.h"
#include "../sys/log.h"
#include "../sys/lookups.h"
#include "../sys/proxychannel.h"
#include "../sys/resolve.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LEARN_WAIT_MS = 15000 }; /* at the end of learning, for names that are being looked up */

/* A server can't be reached. A call that waits gets the errno; a non-blocking socket is refused, or runs into its own
 * timeout. */
static void dial_fail(struct dial *dial, int error)
{
    struct proxy_message message = {.kind = PROXY_DIALLED, .serial = dial->serial, .result = -error};
    bool blocks = false;

    if (dial->waiting < 0) {
        proxy_send(here.proxy.channel, &message, NULL, 0, MSG_DONTWAIT);
        dial_end(dial);
        return;
    }
    for (size_t i = 0; i < n_pending; i++)
        blocks = blocks || pending[pending_order[i]].cookie == dial->cookie;
    if (blocks) {
        hold_cancel(dial->waiting);
        pending_end_joined(dial->cookie, -error);
    } else if (error != ETIMEDOUT) {
        hold_refuse(dial->hold, dial->waiting, dial->family);
    }
    dial_end(dial);
}

/* Try the addresses of a name, from the next one on; those that the policy denies are passed over. */
static void dial_next(struct dial *dial, int error)
{
    while (dial->next < dial->n) {
        if (dial->server >= 0)
            close(dial->server);
        dial->server = -1;
        dial->to.addr = dial->addrs[dial->next++];
        live_find_scopes(dial->process);
        int result = decide(&dial->to).verdict == VERDICT_DENY ? -EACCES : dial_connect(dial);
        if (result == -EINPROGRESS) {
            dial->state = DIAL_CONNECT;
            dial_watch(dial, EPOLL_CTL_ADD);
            return;
        }
        if (result == 0) {
            dial_complete(dial);
            return;
        }
        error = -result;
    }
    dial_fail(dial, error);
}

/* The connection of a dial is there, or has failed. */
static void dial_event(struct dial *dial)
{
    if (dial->state != DIAL_CONNECT)
        return;
    int result = dial_connect(dial);
    if (result == -EINPROGRESS) {
        dial_watch(dial, EPOLL_CTL_MOD);
        return;
    }
    unwatch(dial->server);
    live_find_scopes(dial->process);
    struct decision decision = decide(&dial->to); /* the policy may have changed meanwhile */
    if (result == 0 && decision.verdict == VERDICT_DENY)
        result = -decision.error;
    if (result < 0) {
        dial_next(dial, -result);
        return;
    }
    result = dial_complete(dial);
    if (result < 0)
        dial_end(dial);
}

/* The proxy asks for the server of a permitted request: connect to the original destination, if that is an address of
 * the host, or else to an address that we look up for it. That a rule covers the host is checked here once more, since
 * the proxy reads hostile bytes. */
static void dial_request(const struct proxy_message *m)
{
    struct slice host = {m->host, strnlen(m->host, sizeof m->host - 1)};
    struct lookup lookup = {.n = 0};
    struct dial *dial = dial_new();
    enum http_way way = http_may_reach(host, m->addr);
    const struct ip_addr *addr;

    if (dial == NULL) /* too many at once: this request waits until its client gives up */
        return;
    dial->state = DIAL_LOOKUP;
    dial->process = m->process;
    dial->serial = m->serial;
    dial->to = (struct destination){.kind = DESTINATION_IP, .protocol = PROTOCOL_TCP, .addr = m->addr, .port = m->port};
    const struct resolve_name *name = http_name_find(host);
    if (way == WAY_NONE || !http_governs(m->port, &dial->protocol)) {
        dial_fail(dial, EACCES);
        return;
    }
    if (way == WAY_ORIGINAL)
        dial_add(dial, m->addr);
    for (size_t i = 0; way == WAY_NAME && name != NULL && (addr = resolve_address(name, i)) != NULL; i++)
        dial_add(dial, *addr);
    if (dial->n > 0) {
        dial_next(dial, EACCES);
        return;
    }
    lookup.tag = (uint64_t)dial->age << 32 | (uint64_t)(dial - dials);
    http_copy(lookup.name, sizeof lookup.name, host);
    if (send(here.lookups.channel, &lookup, sizeof lookup, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        dial_fail(dial, errno == EAGAIN ? EAGAIN : EHOSTUNREACH);
}

/* The addresses of a name that was looked up for a request. */
static void dial_take_lookup(const struct lookup *lookup)
{
    size_t at = (uint32_t)lookup->tag;
    struct dial *dial = at < n_dials_used ? &dials[at] : NULL;

    if (dial == NULL || dial->state != DIAL_LOOKUP || dial->age != lookup->tag >> 32)
        return;
    for (size_t i = 0; i < lookup->n && i < LOOKUP_ADDRS; i++)
        if (!(policy.no_private && !lookup->from_hosts && addr_is_private(lookup->addrs[i])))
            dial_add(dial, lookup->addrs[i]);
    dial_next(dial, EHOSTUNREACH);
}

/* The helper that looks names up has ended. */
static void lookups_fail(void)
{
    log_say("the process that looks up names has ended: those that weren't known by then can't be found");
    unwatch(here.lookups.channel);
    helper_end(&here.lookups);
    for (size_t i = 0; i < n_dials_used; i++)
        if (dials[i].state == DIAL_LOOKUP)
            dial_next(&dials[i], EHOSTUNREACH);
}

/* A name was looked up: for a request, or because the command asked for it (learn, --ask). */
static void serve_lookup(void)
{
    struct lookup lookup;
    ssize_t n = recv(here.lookups.channel, &lookup, sizeof lookup, MSG_DONTWAIT);

    if (n == sizeof lookup && (uint32_t)lookup.tag == UINT32_MAX)
        seen_take(&lookup);
    else if (n == sizeof lookup)
        dial_take_lookup(&lookup);
    else if (n == 0 || errno != EAGAIN)
        lookups_fail();
    seen_send();
}

/* The end of learning: wait for the names that are being looked up. */
static void learn_wait(void)
{
    uint64_t now = clock_ms(), end = now + LEARN_WAIT_MS;
    struct pollfd channel = {.fd = here.lookups.channel, .events = POLLIN};

    while (policy.undecided == UNDECIDED_LEARNED && seen_waits() && now < end &&
           poll(&channel, 1, (int)(end - now)) == 1) {
        serve_lookup();
        now = clock_ms();
    }
}

/* The channel to the proxy has a message for us, or room for ours. */
static void proxy_serve(uint32_t events)
{
    struct proxy_message message;
    int fds[2];

    for (size_t i = 0; i < n_dials_used && n_dials_waiting > 0 && events & EPOLLOUT; i++)
        if (dials[i].state == DIAL_HANDOVER)
            dial_complete(&dials[i]);
    if (events & EPOLLOUT && n_dials_waiting == 0)
        proxy_watch_channel(false, EPOLL_CTL_MOD);
    int result = proxy_receive(here.proxy.channel, &message, fds);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (result == -EAGAIN)
        return;
    if (result <= 0) {
        log_say("the proxy has ended: what goes through it is refused from now on");
        unwatch(here.proxy.channel);
        helper_end(&here.proxy);
        for (size_t i = 0; i < n_dials_used; i++)
            if (dials[i].state != DIAL_FREE)
                dial_fail(&dials[i], ECONNREFUSED);
        return;
    }
    message.method[sizeof message.method - 1] = message.host[sizeof message.host - 1] = 0;
    message.path[sizeof message.path - 1] = 0;
    if (message.kind == PROXY_REPORT)
        proxy_report(&message);
    else if (message.kind == PROXY_DIAL)
        dial_request(&message);
}

#endif

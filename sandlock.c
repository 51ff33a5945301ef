/* sandlock - run a command that reaches only the network addresses it was given.
 *
 * Read downward one call's way: parse, decide, execute, reply; then the calls that wait, serve (the loop), confine (the
 * child's side) and main. policy/ holds what is decided by and told, in the order in which it is included here (the
 * README's table says what is where). sys/ holds the mechanism and knows nothing of rules. */
#define INIT_POLICY "/etc/sandlock.policy" /* of a first process without arguments */

#include "policy/types.h"
#include "policy/rules.h"
#include "policy/ruleset.h"
#include "policy/httprules.h"
#include "policy/build.h"
#include "policy/setters.h"
#include "policy/options.h"
#include "policy/traps.h"
#include "policy/events.h"
#include "policy/files.h"
#include "policy/call.h"
#include "policy/match.h"
#include "policy/live.h"
#include "policy/change.h"
#include "policy/own.h"
#include "policy/httpjudge.h"
#include "policy/dial.h"
#include "policy/seen.h"
#include "policy/learn.h"
#include "policy/tell.h"
#include "policy/ask.h"
#include "policy/bind.h"
#include "policy/hostsfile.h"
#include "policy/answers.h"
#include "policy/control.h"
#include "policy/learnfile.h"
#include "policy/offers.h"
#include "policy/client.h"
#include "policy/inspect.h"
#include "sys/addr.h"
#include "sys/asker.h"
#include "sys/base.h"
#include "sys/bpf.h"
#include "sys/caps.h"
#include "sys/childpath.h"
#include "sys/clock.h"
#include "sys/closer.h"
#include "sys/coprocess.h"
#include "sys/dns.h"
#include "sys/features.h"
#include "sys/helper.h"
#include "sys/hold.h"
#include "sys/init.h"
#include "sys/ipset.h"
#include "sys/kernel.h"
#include "sys/landlock.h"
#include "sys/limits.h"
#include "sys/lineage.h"
#include "sys/log.h"
#include "sys/lookups.h"
#include "sys/lostreply.h"
#include "sys/membership.h"
#include "sys/message.h"
#include "sys/mounts.h"
#include "sys/notify.h"
#include "sys/pin.h"
#include "sys/pintable.h"
#include "sys/process.h"
#include "sys/proxychannel.h"
#include "sys/proxyconn.h"
#include "sys/remap.h"
#include "sys/resolve.h"
#include "sys/special.h"
#include "sys/stranger.h"
#include "sys/unixtarget.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum {
    LATER = -KERNEL_ERESTARTSYS, /* a result of ours alone: no errno of a caller's. It can't be decided yet; */
    HELD = LATER - 1,            /* somebody is asked about it */
    SEEN_SENDS_MAX = 512,        /* bytes of a write that are looked at: a query over UDP is no longer */
    LEARN_WAIT_MS = 15000,       /* at the end of learning, for names that are being looked up */
    KILL_AFTER_SECONDS = 2,      /* from --timeout's SIGTERM to SIGKILL */
    CHILD_STACK = 65536,         /* bytes, of the command's process before it is executed */
};

/* ---- parse: the only reader of the child's memory and descriptors ---- */

/* Pin argument 0. 0 or -errno. Our own shortage of descriptors is the caller's shortage of buffers. */
static int parse_pin(struct request *r)
{
    if (r->pin >= 0) /* it was held */
        return 0;
    r->pin = pin_take(&here.pins, r->tid, (int)r->args[0]);
    if (r->pin == -EMFILE || r->pin == -ENFILE)
        return -ENOBUFS;
    return r->pin < 0 ? r->pin : 0;
}

/* Pin argument 0, and ask which kind of socket it is. 0; -ENOTSOCK; other -errno. */
static int parse_socket(struct request *r)
{
    int result = parse_pin(r);

    return result < 0 ? result : pin_kind(r->pin, &r->kind);
}

/* 0.0.0.0 means this socket's own address (source: the one its PKTINFO names, version 0: none), or else loopback; ::
 * means loopback. The address is rewritten, so that what is judged is what is passed on. */
static void parse_unspecified(const struct request *r, union address *address, struct ip_addr source,
                              struct destination *to)
{
    struct ip_addr own = {0, 0, 6};
    uint16_t port;

    ip_addr_of_socket(r->pin, &own, &port);
    if (to->addr.version == 6)
        to->addr = ip_addr_loopback(own.version);
    else if (source.version == 4 && !ip_addr_is_unspecified(source))
        to->addr = source;
    else
        to->addr = own.version == 4 && !ip_addr_is_unspecified(own) ? own : ip_addr_loopback(4);
    ip_addr_to_sockaddr(to->addr, ntohs(address->v4.sin_port), address->any.sa_family, &address->storage);
}

/* Where this address leads on this socket, by the rules of ip(7), ipv6(7), unix(7) and what the kernel makes of
 * AF_UNSPEC. The address is brought to the form that is judged. 0, or -errno of a path that leads nowhere. */
static int parse_destination(const struct request *r, union address *address, socklen_t *len, struct ip_addr source,
                             struct destination *to)
{
    sa_family_t family = address->any.sa_family;
    bool datagram = !socket_is(r->kind, IPPROTO_TCP);

    *to = (struct destination){.kind = DESTINATION_NONE};
    if (*len < sizeof family)
        return 0;
    if (r->kind.domain == AF_UNIX) { /* a send of a stream or seqpacket socket goes to its peer, or nowhere */
        bool named = family == AF_UNIX && *len > sizeof family && *len <= sizeof address->local &&
                     !(is_send(r->call) && r->kind.type != SOCK_DGRAM);
        to->kind = named ? DESTINATION_UNIX : DESTINATION_NONE;
        if (!named || r->call == CALL_BIND)
            return 0;
        int found = unix_target_find(&unix_target, &unix_own, r->tid, r->kind.type, address, len);
        return found == -EAGAIN ? LATER : found;
    }
    if (!socket_is_ip(r->kind) || kind_protocol(r->kind) == PROTOCOLS) {
        to->kind = r->kind.domain == AF_NETLINK ? DESTINATION_NONE : DESTINATION_OTHER;
        return 0;
    }
    if (!datagram && is_send(r->call)) { /* a TCP send has no destination of its own */
        *len = 0;
        return 0;
    }
    /* A send on a datagram socket of IPv4 takes AF_UNSPEC for AF_INET; so does bind. To connect it means disconnect,
     * and to a send of IPv6 no address at all. */
    if (family == AF_UNSPEC && r->call != CALL_CONNECT && r->kind.domain == AF_INET)
        family = AF_INET;
    else if (family == AF_UNSPEC && is_send(r->call))
        *len = 0;
    bool v4 = family == AF_INET && *len >= sizeof address->v4;
    bool v6 = family == AF_INET6 && *len >= 24 && r->kind.domain == AF_INET6; /* a socket of IPv4 never becomes one */
    if (!v4 && !v6)
        return 0;
    if (family == AF_INET6 && *len < sizeof address->v6)
        address->v6.sin6_scope_id = 0; /* RFC 2133's shorter form has none */
    sa_family_t given = address->any.sa_family;
    address->any.sa_family = family;
    to->kind = DESTINATION_IP;
    to->protocol = kind_protocol(r->kind);
    ip_addr_from_sockaddr(address, &to->addr, &to->port);
    to->dual = r->kind.domain == AF_INET6 && to->addr.version == 6 && ip_addr_is_unspecified(to->addr) &&
               r->call == CALL_BIND && sys_socket_option(r->pin, SOL_IPV6, IPV6_V6ONLY) == 0;
    if (r->call == CALL_BIND) /* which takes AF_UNSPEC with 0.0.0.0 only, as it shall say itself */
        address->any.sa_family = given;
    if (family == AF_INET6 && ip_addr_is_link_local(to->addr))
        to->steered = address->v6.sin6_scope_id != 0;
    if (to->protocol == PROTOCOL_ICMP)
        to->port = 0;
    if (ip_addr_is_unspecified(to->addr) && r->call != CALL_BIND)
        parse_unspecified(r, address, source, to);
    return 0;
}

/* connect, bind: a descriptor and an address. 0 or -errno, in the kernel's order of checks: to bind, what is no socket
 * comes before a bad address; to connect, only what is no descriptor (which is what O_PATH makes of it) does. */
static int parse_address(struct request *r)
{
    int64_t len = (int32_t)r->args[2];
    int result = parse_pin(r);

    if (result < 0)
        return result;
    int kind = pin_kind(r->pin, &r->kind);
    if (kind < 0 && (kind == -EBADF || r->call == CALL_BIND))
        return kind;
    if (len < 0 || len > ADDRESS_MAX)
        return -EINVAL;
    memset(&r->address, 0, sizeof r->address);
    result = child_read(r->tid, r->args[1], &r->address, (size_t)len);
    if (result < 0 || kind < 0)
        return result < 0 ? result : kind;
    r->address_len = (socklen_t)len;
    return parse_destination(r, &r->address, &r->address_len, (struct ip_addr){0, 0, 0}, &r->to);
}

/* ---- decide: the verdict ---- */

/* A unix socket: what the sandbox bound is inside; anything else takes a rule. What controls a sandbox never counts. */
static struct decision decide_unix(const struct unix_target *target)
{
    struct decision decision = {VERDICT_DENY, EACCES, -1};

    if (unix_target_controls(target)) {
        decision.rule = RULE_CONTROL;
        return decision;
    }
    for (size_t i = 0; i < policy.n_unix_rules; i++)
        if (policy.unix_rules[i].list == LIST_DENY && unix_rule_denies(&policy.unix_rules[i], target)) {
            decision.rule = policy.unix_rules[i].tag;
            return decision;
        }
    switch (live_says(&(struct live_question){.target = target}, &decision.rule)) {
    case SAYS_ALLOW:
        decision.verdict = VERDICT_ALLOW;
        return decision;
    case SAYS_DENY:
        if (decision.rule == RULE_RESTRICTION && target->holder == HELD_BY_NOBODY)
            decision.error = ECONNREFUSED;
        if (decision.rule != RULE_RESTRICTION || target->holder != HELD_INSIDE)
            return decision;
        decision.rule = -1; /* a restriction is about what is outside */
        break;
    case SAYS_NOTHING:
        break;
    }
    if (target->holder == HELD_INSIDE)
        decision.verdict = VERDICT_ALLOW;
    for (size_t i = 0; i < policy.n_unix_rules && decision.verdict == VERDICT_DENY; i++)
        if (policy.unix_rules[i].list == LIST_ALLOW && unix_rule_allows(&policy.unix_rules[i], target)) {
            decision.verdict = VERDICT_ALLOW;
            decision.rule = policy.unix_rules[i].tag;
        }
    if (decision.verdict == VERDICT_DENY && files_grant_unix(target))
        decision.verdict = VERDICT_ALLOW;
    if (decision.verdict == VERDICT_DENY && target->holder == HELD_BY_NOBODY)
        decision.error = ECONNREFUSED; /* as anybody would be */
    return decision;
}

/* A connection or a datagram to `to`. */
static struct decision decide(const struct destination *to)
{
    struct decision decision = {VERDICT_DENY, policy.deny_errno ? policy.deny_errno : ECONNREFUSED, -1};

    switch (to->kind) {
    case DESTINATION_NONE:
        return (struct decision){VERDICT_ALLOW, 0, -1};
    case DESTINATION_UNIX:
        return decide_unix(&unix_target);
    case DESTINATION_OTHER:
        decision.error = EACCES;
        return decision;
    case DESTINATION_IP:
        break;
    }
    if (to->steered && !settings.allow_steering) {
        decision.error = EPERM;
        return decision;
    }
    decision.rule = policy_find_denied(to->protocol, to->addr, to->port);
    if (decision.rule >= 0)
        return decision;
    struct live_question q = {.protocol = to->protocol, .addr = to->addr, .port = to->port, .any_port = to->any_port};
    enum says says = live_says(&q, &decision.rule);
    if (says == SAYS_DENY)
        return decision;
    if (says == SAYS_NOTHING && policy.any[LIST_ALLOW])
        decision.rule = policy_find(LIST_ALLOW, to->protocol, to->addr, to->port);
    enum proxy_protocol protocol;
    if (decision.rule >= 0 || (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY]))
        decision.verdict = to->protocol == PROTOCOL_TCP && http_governs(to->port, &protocol) ? VERDICT_REDIRECT
                                                                                            : VERDICT_ALLOW;
    return decision;
}

/* Joining a multicast group: a rule for any of its ports will do. */
static struct decision decide_group(const struct destination *to)
{
    struct destination group = *to;

    group.any_port = true;
    struct decision decision = decide(&group);
    bool denied = policy_find_denied(to->protocol, to->addr, 0) >= 0 || decision.rule >= RULE_LIVE;
    if (decision.verdict == VERDICT_DENY && !denied && to->protocol < PROTOCOLS &&
        ipset_covers(&policy.sets[LIST_ALLOW][to->protocol][to->addr.version == 6], to->addr))
        decision.verdict = VERDICT_ALLOW;
    decision.error = decision.verdict == VERDICT_ALLOW ? 0 : EPERM;
    return decision;
}

/* Taking a local port: by bind, or by listen, which takes one of the kernel's choice where none is bound. */
static struct decision decide_bind(const struct destination *to, bool listens)
{
    struct decision decision = {VERDICT_DENY, EACCES, -1};

    if (to->kind == DESTINATION_NONE)
        return (struct decision){VERDICT_ALLOW, 0, -1};
    if (to->kind != DESTINATION_IP)
        return decision;
    if (to->steered && !settings.allow_steering)
        return decision;
    decision.rule = policy_find(LIST_BIND_DENY, to->protocol, to->addr, to->port);
    if (decision.rule >= 0)
        return decision;
    decision.rule = policy_find(LIST_BIND, to->protocol, to->addr, to->port);
    if (decision.rule >= 0 && to->dual && policy_find(LIST_BIND, to->protocol, (struct ip_addr){0, 0, 4}, to->port) < 0)
        decision.rule = -1; /* :: takes IPv4's, too */
    if (decision.rule >= 0 || (to->port == 0 && !listens))
        decision.verdict = VERDICT_ALLOW;
    return decision;
}

/* Was it refused only since no rule names it? Where there is nobody to be reached, and where another option is what
 * would permit it, there is nothing to ask about. */
static bool is_undecided(const struct destination *to, struct decision decision)
{
    if (decision.verdict != VERDICT_DENY || decision.rule != RULE_NONE)
        return false;
    if (to->kind == DESTINATION_UNIX) /* and the name can be shown whole */
        return unix_target.holder != HELD_BY_NOBODY && unix_target.name_len <= EVENT_NAME &&
               strlen(unix_target.name) == unix_target.name_len;
    return to->kind == DESTINATION_IP && to->protocol < PROTOCOLS && !(to->steered && !settings.allow_steering);
}

/* What becomes of what no rule decides. VERDICT_ASK: it has to be asked about, and r says what. */
static struct decision settle(struct request *r, const struct destination *to, struct decision decision)
{
    if (policy.undecided == UNDECIDED_REFUSED || !is_undecided(to, decision))
        return decision;
    if (policy.undecided == UNDECIDED_LEARNED) {
        learn_destination(r, to, is_send(r->call));
        return (struct decision){VERDICT_ALLOW, 0, RULE_LEARNED};
    }
    struct subject subject = subject_of(to, r->call == CALL_BIND || r->call == CALL_LISTEN);
    const struct remembered *known = remembered_find(&subject);
    enum answer answer = r->answer != ANSWER_NONE && subject_same(&r->asked, &subject) ? r->answer : ANSWER_NONE;
    if (known->subject.kind != 0)
        answer = known->allowed ? ANSWER_ALLOW : ANSWER_DENY;
    decision.rule = RULE_ASKED;
    decision.verdict = answer == ANSWER_NONE ? VERDICT_ASK : answer == ANSWER_ALLOW ? VERDICT_ALLOW : VERDICT_DENY;
    if (decision.verdict == VERDICT_ASK) {
        r->asked = subject;
        r->answer = ANSWER_NONE;
        r->to = *to;
        r->refusal = decision.error;
    }
    return decision;
}

/* The verdict on r's destination, as the rules decide or who was asked; it is told. */
static struct decision judge(struct request *r, struct decision decision)
{
    decision = settle(r, &r->to, decision);
    r->judged = live.order;
    if (decision.verdict != VERDICT_ASK)
        tell_destination(r, &r->to, decision);
    return decision;
}

/* ---- execute: on our own copy and our own pin ---- */

/* One try to connect a stream socket, which never waits. 0, -EINPROGRESS (begun now), -EALREADY (begun before),
 * -errno. The result of a connection that was begun before is taken by connecting again: SO_ERROR would leave the
 * socket's state behind. On loopback that is at once. */
static int connect_stream(struct request *r)
{
    bool blocks = pin_blocks(r->pin);

    if (blocks)
        pin_set_blocking(r->pin, false);
    int result = connect_pin(r);
    if (result == -EINPROGRESS && r->was_pending) { /* someone reset the socket meanwhile: this is a new connection */
        sys_disconnect(r->pin);
        result = -ECONNRESET;
    } else if (result == -EINPROGRESS && blocks) {
        result = connect_pin(r);
        if (result == -ECONNRESET || result == -EPIPE)
            result = 0; /* it was there, and is lost already: connect(2) would have been faster */
    } else if (result == -EALREADY && !r->was_pending) {
        r->joined = true;
    } else if (result == -EISCONN && (r->joined || r->was_pending)) {
        result = 0;
    }
    if (blocks)
        pin_set_blocking(r->pin, true);
    return result;
}

/* A unix connect, with the caller's rights: the server sees whose they are. It waits where the backlog is full. */
static struct outcome connect_unix(struct request *r)
{
    bool blocks = pin_blocks(r->pin);

    unix_own_add(&unix_own, r->pin); /* the kernel may bind it now (SO_PASSCRED) */
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

static struct outcome execute_connect(struct request *r)
{
    if (r->to.kind == DESTINATION_NONE && r->address.any.sa_family == AF_UNSPEC)
        return outcome_reply(connect_pin(r));
    if (r->kind.domain == AF_UNIX)
        return connect_unix(r);
    if (!socket_is(r->kind, IPPROTO_TCP))
        return outcome_reply(connect_pin(r));
    int result = connect_stream(r);
    if (result == -EALREADY && (r->was_pending || pin_blocks(r->pin)))
        return (struct outcome){PEND, 0};
    return outcome_reply(result);
}

/* A permitted destination may be a socket of the sandbox's own whose port has another number: that goes into the
 * address. 0, -errno or LATER. *held is a descriptor to be kept until the call is done, or -1. */
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

/* Connect to what is permitted: to a port of the sandbox's own by its other number, by the proxy, or as it says. */
static struct outcome connect_permitted(struct request *r, enum verdict verdict)
{
    bool udp = socket_is(r->kind, IPPROTO_UDP), moved = udp && remap_is_connected(&remap, r->pin);
    int held, result = remap_destination(r, &r->to, &r->address, &held);

    r->later = result == LATER;
    if (r->later)
        return (struct outcome){PEND, 0};
    if (result == 0 && held >= 0 && !remap_has_room(&remap))
        result = -ENOBUFS;
    r->was_pending = false; /* not this connection: to be judged, perhaps */
    struct outcome outcome = outcome_reply(result);
    if (result == 0)
        outcome = verdict == VERDICT_REDIRECT && held < 0 ? redirect(r) : execute_connect(r);
    r->was_pending = outcome.what == PEND;
    if (moved)
        pin_uncork(r->pin); /* what it held back for the old one goes there now: later it may be another's */
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

/* ---- calls with an address: connect, bind, listen, and names ---- */

/* Is the caller the only thread of its process? Then nobody changes its descriptors while it waits here. */
static bool caller_is_alone(const struct request *r)
{
    struct process_status status;

    return process_status_read(r->tid, &status) == 0 && status.threads == 1;
}

/* May the kernel carry this call out itself? Only where it can't touch an IP socket, nor follow a destination, whatever
 * the child does meanwhile: on a pinned socket of another kind, by a process whose only thread waits here. */
static bool call_continues(const struct request *r)
{
    if (r->kind.domain == AF_UNIX && r->call == CALL_BIND)
        return true; /* never done on behalf: the path is the child's own */
    if (r->kind.domain == AF_UNIX && (r->call == CALL_CONNECT || r->kind.type == SOCK_DGRAM))
        return false;
    if ((r->kind.domain != AF_UNIX && r->kind.domain != AF_NETLINK) || !caller_is_alone(r))
        return false;
    /* A thread that has ended since the socket was pinned may have put another in its place. */
    int again = pin_take_same(&here.pins, &here.closer, r->tid, (int)r->args[0], pin_cookie(r->pin));
    if (again >= 0)
        close(again); /* not the last one: the pin is another */
    return again >= 0;
}

/* connect on a TCP socket that is connected or listens: what the kernel says to any address; but a disconnect can't be
 * done. */
static struct outcome connect_stranger(const struct request *r)
{
    sa_family_t family = AF_UNSPEC;

    if ((int32_t)r->args[2] >= (int32_t)sizeof family && child_read(r->tid, r->args[1], &family, sizeof family) < 0)
        return outcome_reply(-EFAULT);
    return outcome_reply(family == AF_UNSPEC ? -EACCES : -EISCONN);
}

/* A call on a socket that isn't in our table. It is refused, but for what the kernel would answer anyway, and for what
 * the kernel can carry out: what reaches the socket's peer and no other, where nothing can change beneath it. */
static struct outcome call_on_stranger(const struct request *r)
{
    bool alone = caller_is_alone(r); /* asked first: what is found then stays */
    enum stranger found = stranger_find(r->tid, (int)r->args[0]);
    bool listens = found == STRANGER_LISTENING, used = listens || found == STRANGER_CONNECTED;

    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (r->call == CALL_SENDTO && r->args[4] == 0) /* no address, and that in a register */
        return (struct outcome){CONTINUE, 0};
    if (found != STRANGER_UNKNOWN && alone && (is_send(r->call) || (listens && r->call == CALL_LISTEN)))
        return (struct outcome){CONTINUE, 0};
    if (used && r->call == CALL_CONNECT)
        return connect_stranger(r);
    if (listens && r->call == CALL_LISTEN)
        return outcome_reply(0); /* it goes on, with the backlog that it has */
    if (used && (r->call == CALL_BIND || r->call == CALL_LISTEN))
        return outcome_reply(-EINVAL);
    return outcome_reply(-EACCES);
}

/* Sockets that stand in for UDP sockets that may not be, by cookie. */
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

/* What is made only to learn which families work, and to fail for good when it is refused: by musl's getaddrinfo
 * (AI_ADDRCONFIG), and by curl for IPv6. It gets a unix socket, which leads nowhere. */
static bool call_makes_probe(int domain, int type, int protocol)
{
    bool musl = (domain == AF_INET || domain == AF_INET6) && type == (SOCK_DGRAM | SOCK_CLOEXEC) &&
                protocol == IPPROTO_UDP;
    bool curl = domain == AF_INET6 && type == SOCK_DGRAM && protocol == 0;

    return !policy.open[PROTOCOL_UDP] && (musl || curl);
}

/* ping asks a datagram socket for its own address first. Where only ICMP is open it gets one of ICMP, if it may have
 * it. */
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

/* A connect that waits. Where the policy has changed meanwhile and refuses it, what is under way ends; what somebody
 * was asked about stays as it was answered. */
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
    if (decision.verdict != VERDICT_DENY)
        return execute_connect(r);
    if (!r->joined)
        sys_disconnect(r->pin);
    tell_destination(r, &r->to, decision);
    return outcome_reply(-decision.error);
}

static struct outcome call_connect(struct request *r)
{
    bool fixed = r->kind.domain != AF_UNIX; /* a path may lead elsewhere by now */
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

/* Another thread may have cleared IPV6_V6ONLY between the verdict on [::] and the bind, which took IPv4 then as well.
 * That can't be undone: where no rule permits it, nothing arrives at that socket any more (SO_LOCK_FILTER). 0 or
 * -EACCES. */
static int bind_check_taken(struct request *r)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog filter = {1, &nothing};

    if (r->to.kind != DESTINATION_IP || r->to.addr.version != 6 || !ip_addr_is_unspecified(r->to.addr) || r->to.dual ||
        sys_socket_option(r->pin, SOL_IPV6, IPV6_V6ONLY) != 0)
        return 0;
    r->to.dual = true;
    struct decision decision = decide_bind(&r->to, false);
    if (decision.verdict == VERDICT_ALLOW)
        return 0;
    setsockopt(r->pin, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    pin_set_option(r->pin, SO_LOCK_FILTER, 1);
    while (recv(r->pin, NULL, 0, MSG_DONTWAIT) >= 0) /* what has come meanwhile */
        ;
    tell_destination(r, &r->to, decision);
    return -decision.error;
}

static struct outcome call_bind(struct request *r)
{
    int result = r->asks > 0 ? 0 : parse_address(r);

    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (r->kind.domain == AF_UNIX)
        unix_own_add(&unix_own, r->pin);
    if (call_continues(r))
        return (struct outcome){CONTINUE, 0};
    struct decision decision = judge(r, decide_bind(&r->to, false));
    if (decision.verdict == VERDICT_ASK)
        return (struct outcome){HOLD, 0};
    if (decision.verdict == VERDICT_DENY)
        return outcome_reply(-decision.error);
    bool remaps = settings.port_remap && r->to.kind == DESTINATION_IP && r->to.protocol != PROTOCOL_ICMP;
    result = remaps ? bind_remapped(r) : execute_bind(r);
    if (result == 0)
        result = bind_check_taken(r);
    if (remaps && result == 0)
        remap_note(r, r->to.port);
    if (result == 0)
        learn_bound(r);
    return outcome_reply(result);
}

/* listen: what is bound is what is judged; without a bind the kernel picks a port, as for port 0. */
static struct outcome call_listen(struct request *r)
{
    int result = parse_socket(r);

    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (call_continues(r))
        return (struct outcome){CONTINUE, 0};
    if (socket_is(r->kind, IPPROTO_TCP)) {
        socklen_t len = sizeof r->address;

        if (getsockname(r->pin, &r->address.any, &len) < 0)
            return outcome_reply(-errno);
        r->to = (struct destination){.kind = DESTINATION_IP, .protocol = PROTOCOL_TCP};
        ip_addr_from_sockaddr(&r->address, &r->to.addr, &r->to.port);
        r->to.dual = r->to.addr.version == 6 && ip_addr_is_unspecified(r->to.addr) &&
                     sys_socket_option(r->pin, SOL_IPV6, IPV6_V6ONLY) == 0;
        r->to.port = remap_name(&remap, IPPROTO_TCP, r->pin, &r->address);
        r->to.any_port = r->to.port == 0 || cookieset_has(&learned_ephemeral, pin_cookie(r->pin));
        struct decision decision = judge(r, decide_bind(&r->to, true));
        if (decision.verdict == VERDICT_ASK)
            return (struct outcome){HOLD, 0};
        if (decision.verdict == VERDICT_DENY)
            return outcome_reply(-decision.error);
    } else if (r->kind.domain != AF_UNIX && !(socket_is_ip(r->kind) && kind_protocol(r->kind) != PROTOCOLS)) {
        return outcome_reply(r->kind.domain == AF_NETLINK ? -EOPNOTSUPP : -EACCES);
    }
    bool counts = caller_counts(r);
    if (counts && caller_enter(r) < 0)
        return outcome_reply(-EACCES);
    result = sys_result(listen(r->pin, (int)r->args[1]));
    if (counts)
        caller_leave();
    if (settings.port_remap && result == 0 && socket_is(r->kind, IPPROTO_TCP))
        remap_note(r, r->to.port);
    if (result == 0)
        learn_bound(r);
    return outcome_reply(result);
}

/* Answer a call with a name, as getsockname(2) and getpeername(2) do: argument 1 is where it goes, 2 where its length
 * is. 0 or -errno. */
static int reply_name(const struct request *r, union address *name, socklen_t name_len)
{
    int32_t room, len = (int32_t)name_len;
    int result = child_read(r->tid, r->args[2], &room, sizeof room);

    if (result < 0 || room < 0)
        return result < 0 ? result : -EINVAL;
    struct iovec local[2] = {{&len, sizeof len}, {name, (size_t)(room < len ? room : len)}};
    const struct iovec remote[2] = {{(void *)(uintptr_t)r->args[2], sizeof len},
                                    {(void *)(uintptr_t)r->args[1], local[1].iov_len}};
    size_t n = local[1].iov_len > 0 ? 2 : 1;
    ssize_t written = child_writev(r->tid, local, n, remote, n);
    return written == (ssize_t)(local[1].iov_len + sizeof len) ? 0 : -EFAULT;
}

/* getsockname, getpeername: names as the program knows them. All others are the kernel's to answer, and so is what is
 * wrong with a call: these lead nowhere. */
static struct outcome call_name(struct request *r)
{
    bool peer = r->call == CALL_GETPEERNAME;
    union address name;
    socklen_t len = sizeof name;

    if (parse_socket(r) < 0 ||
        (!socket_is(r->kind, IPPROTO_TCP) && !socket_is(r->kind, IPPROTO_UDP)) ||
        (peer ? getpeername(r->pin, &name.any, &len) : getsockname(r->pin, &name.any, &len)) < 0)
        return (struct outcome){CONTINUE, 0};
    uint16_t asked = peer ? remap_peer_name(&remap, r->kind.protocol, r->pin, &name)
                          : remap_name(&remap, r->kind.protocol, r->pin, &name);
    bool moved = asked != ntohs(name.v4.sin_port);
    name.v4.sin_port = htons(asked);
    if (!moved && !(peer && name_original(r, &name, &len)))
        return (struct outcome){CONTINUE, 0};
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    return outcome_reply(reply_name(r, &name, len));
}

/* ---- a send: parse, decide, execute, batch after batch ---- */

/* What a send has before it now. There is one batch: a send that has to wait is read again, and judged again. */
static struct message_batch batch;
static struct destination batch_to[MESSAGES_AT_ONCE];

/* What a control message may be. */
enum control { CONTROL_PASSES, CONTROL_REFUSED, CONTROL_UNKNOWN };

/* Does this control message leave the destination as it was judged (threats.md, row 14)? Refused are those that change
 * it, or would use privileges of ours. */
static enum control parse_control_type(const struct cmsghdr *c, struct socket_kind kind)
{
    switch (c->cmsg_level) {
    case SOL_SOCKET:
        if (c->cmsg_type == SO_MARK)
            return CONTROL_REFUSED;
        if (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS)
            return CONTROL_PASSES; /* which only unix sockets look at */
        return kind.domain != AF_UNIX && (c->cmsg_type == SO_TIMESTAMPING || c->cmsg_type == KERNEL_SO_TXTIME)
                   ? CONTROL_PASSES : CONTROL_UNKNOWN;
    case SOL_IP:
        if (c->cmsg_type == IP_RETOPTS)
            return CONTROL_REFUSED;
        return c->cmsg_type == IP_TTL || c->cmsg_type == IP_TOS || c->cmsg_type == IP_PKTINFO ? CONTROL_PASSES
                                                                                             : CONTROL_UNKNOWN;
    case SOL_IPV6:
        switch (c->cmsg_type) {
        case IPV6_PKTINFO:
        case IPV6_HOPLIMIT:
        case IPV6_TCLASS:
        case IPV6_DONTFRAG:
            return CONTROL_PASSES;
        case IPV6_HOPOPTS:
        case IPV6_DSTOPTS:
        case IPV6_RTHDR:
        case IPV6_RTHDRDSTOPTS:
        case KERNEL_IPV6_2292PKTINFO:
        case KERNEL_IPV6_2292HOPOPTS:
        case KERNEL_IPV6_2292DSTOPTS:
        case KERNEL_IPV6_2292RTHDR:
        case KERNEL_IPV6_FLOWINFO:
            return CONTROL_REFUSED;
        }
        return CONTROL_UNKNOWN;
    case KERNEL_SOL_UDP:
        return c->cmsg_type == KERNEL_UDP_SEGMENT ? CONTROL_PASSES : CONTROL_UNKNOWN;
    case KERNEL_SOL_TLS:
        return c->cmsg_type == KERNEL_TLS_SET_RECORD_TYPE ? CONTROL_PASSES : CONTROL_UNKNOWN;
    }
    return CONTROL_UNKNOWN;
}

/* The interface that a PKTINFO names is taken out, but where the user permits steering. source: the source address
 * that it names, if it does. */
static void parse_packet_info(struct cmsghdr *c, struct ip_addr *source)
{
    if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

        info->ipi_ifindex = settings.allow_steering ? info->ipi_ifindex : 0;
        *source = ip_addr_from_v4(info->ipi_spec_dst);
    }
    if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
        c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

        info->ipi6_ifindex = settings.allow_steering ? info->ipi6_ifindex : 0;
        *source = ip_addr_from_v6(&info->ipi6_addr);
    }
}

/* Put our own descriptors in the place of the child's. 0 or -errno. */
static int parse_rights(const struct request *r, struct cmsghdr *c)
{
    size_t n = (c->cmsg_len - sizeof *c) / sizeof(int);
    int *fds = (int *)CMSG_DATA(c);

    if (n + batch.n_rights > MESSAGE_RIGHTS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        int fd = pin_take(&here.pins, r->tid, fds[i]);

        if (fd < 0)
            return fd == -EMFILE || fd == -ENFILE ? -ETOOMANYREFS : fd;
        batch.rights[batch.n_rights++] = fds[i] = fd;
    }
    return 0;
}

/* The caller's own credentials only, as for anyone without privileges; ours would permit more. 0 or -EPERM. */
static int parse_credentials(const struct request *r, struct cmsghdr *c)
{
    struct process_status status;
    struct ucred said;

    if (c->cmsg_len != CMSG_LEN(sizeof said))
        return -EINVAL;
    memcpy(&said, CMSG_DATA(c), sizeof said);
    if (process_status_read(r->tid, &status) < 0)
        return -EPERM;
    if (said.pid != status.leader || said.uid != status.uid || said.gid != status.gid)
        return -EPERM;
    said.pid = getpid(); /* no privilege of ours is used to say anything else */
    memcpy(CMSG_DATA(c), &said, sizeof said);
    return 0;
}

/* Control messages of message i: only what the allowlist knows. 0; -EPERM with *refused set; other -errno. */
static int parse_control(const struct request *r, size_t i, struct ip_addr *source, const struct cmsghdr **refused)
{
    struct kernel_msghdr *header = &batch.messages[i].header;
    uint8_t *at = (uint8_t *)(uintptr_t)header->control;
    size_t left = header->controllen;

    while (left >= sizeof(struct cmsghdr)) {
        struct cmsghdr *c = (struct cmsghdr *)(void *)at;
        int result = 0;

        if (c->cmsg_len < sizeof *c || c->cmsg_len > left) { /* the kernel says so too, when it gets there */
            memset(at + sizeof *c, 0, left - sizeof *c);
            return 0;
        }
        switch (parse_control_type(c, r->kind)) {
        case CONTROL_PASSES:
            parse_packet_info(c, source);
            break;
        case CONTROL_REFUSED:
            *refused = c;
            return -EPERM;
        case CONTROL_UNKNOWN: /* to this program, so it shall be to the kernel */
            c->cmsg_type = INT_MAX;
            break;
        }
        if (r->kind.domain == AF_UNIX && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            result = parse_rights(r, c);
        else if (r->kind.domain == AF_UNIX && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            result = parse_credentials(r, c);
        if (result < 0)
            return result;
        size_t step = (c->cmsg_len + 7) & ~(size_t)7;
        step = step < left ? step : left;
        at += step;
        left -= step;
    }
    return 0;
}

/* Something is sent on an IP socket: the first bytes of it. to: where, or nowhere that it would say: to its peer. */
static void look_at_send(const struct request *r, const struct destination *to, const uint8_t *bytes, size_t len)
{
    struct destination peer = *to;
    struct dns_question question;
    char name[DNS_NAME_MAX + 1];
    bool learns = policy.undecided == UNDECIDED_LEARNED;

    if (learns && r->kind.domain == AF_UNIX && r->kind.type == SOCK_DGRAM)
        learned_datagrams = true;
    if (!socket_is_ip(r->kind) || kind_protocol(r->kind) == PROTOCOLS)
        return;
    if (to->kind != DESTINATION_IP) {
        peer = (struct destination){.kind = DESTINATION_IP, .protocol = kind_protocol(r->kind)};
        if (ip_addr_of_peer(r->pin, &peer.addr, &peer.port) < 0)
            return;
        if (learns && peer.protocol != PROTOCOL_TCP && is_undecided(&peer, decide(&peer)))
            learn_destination(r, &peer, true);
    }
    if (peer.port != DNS_PORT || peer.protocol == PROTOCOL_ICMP)
        return;
    if (peer.protocol == PROTOCOL_TCP && len > 2 && (size_t)(bytes[0] << 8 | bytes[1]) == len - 2) {
        bytes += 2;
        len -= 2;
    }
    if (dns_read_query(bytes, len, &question) < 0)
        return;
    bool addresses = (question.type == DNS_A || question.type == DNS_AAAA) && dns_name_text(&question.name, name);
    size_t seen = addresses ? seen_add(name, learns ? learned_command_of(r->tid) : 0) : SEEN_NAMES_MAX;
    if (learns && is_undecided(&peer, decide(&peer)))
        learn_question(r, &peer, question.type, seen);
}

/* Take out what passing descriptors on has left here. */
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

/* Which messages of it come next. */
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

/* How a send ends when nothing more can be done: with what was taken so far, else with the error, as any other call. */
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

/* A control message that isn't on the list. */
static void tell_control(const struct request *r, const struct cmsghdr *c)
{
    char subject[64];

    snprintf(subject, sizeof subject, "control message, level %d, type %d", c->cmsg_level, c->cmsg_type);
    tell_refused(r, subject, "");
}

/* A permitted message to a port of the sandbox's own goes to its other number. 0, -errno or LATER. A datagram that is
 * put together piece by piece would go there whoever has it by then. */
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

/* Judge the batch. How many leading messages may go; where that is none, -errno. */
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

/* Would the kernel wait here? */
static bool send_may_wait(const struct request *r)
{
    return !(send_flags(r) & MSG_DONTWAIT) && pin_blocks(r->pin);
}

/* Note what was taken of n messages. The reply when that was the end; PEND: go on. */
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

/* Send n messages of the batch, with the caller's own rights where they count. How many were taken (of a stream:
 * bytes), or -errno. */
static int64_t execute_batch(const struct request *r, const struct message_source *source, size_t n)
{
    int flags = (send_flags(r) & (int)~(KERNEL_MSG_ZEROCOPY | KERNEL_MSG_CMSG_COMPAT)) | MSG_DONTWAIT | MSG_NOSIGNAL;
    size_t piece = batch.parts[0][0].iov_len + batch.parts[0][1].iov_len;
    bool counts = caller_counts(r);

    if (source->stream && r->sent_bytes + piece < batch.lengths[0]) /* not its last */
        flags = (flags & ~(MSG_OOB | MSG_EOR)) | MSG_MORE;
    if (r->kind.domain == AF_UNIX)
        unix_own_add(&unix_own, r->pin); /* the kernel may bind it now (SO_PASSCRED) */
    if (counts && caller_enter(r) < 0)
        return -EACCES;
    int64_t taken = message_send(&batch, source, r->pin, n, flags);
    if (counts)
        caller_leave();
    if (batch.n_rights > 0 && socket_is_ip(r->kind))
        pin_uncork(r->pin);
    return taken;
}

/* One batch, from parse to execute. PEND: go on; *waits: when the socket is ready. */
static struct outcome send_batch(struct request *r, bool *waits)
{
    struct message_source source = send_source(r);
    int64_t n = message_read(&batch, &source, r->kind.domain == AF_UNIX);

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
    *waits = taken == -EAGAIN && send_may_wait(r);
    if (*waits)
        return (struct outcome){PEND, 0};
    if (taken >= 0)
        return send_advance(r, &source, (size_t)n, taken);
    r->broken_pipe = taken == -EPIPE && source.stream && r->sent_bytes == 0 && !(send_flags(r) & MSG_NOSIGNAL);
    return send_end(r, taken);
}

static struct outcome execute_send(struct request *r)
{
    struct outcome outcome = {PEND, 0};
    bool waits = false;

    if (r->was_pending && r->sent_bytes > 0 && pin_has_error(r->pin))
        return send_end(r, 0); /* the error is the next send's */
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

/* write, writev, while learning: looked at where they are a send on an IP socket. The kernel carries them out: they go
 * to the socket's peer, whatever the caller does meanwhile. */
static struct outcome call_write(struct request *r)
{
    static const struct destination to_peer = {.kind = DESTINATION_NONE};
    struct iovec vector[16];
    size_t n = r->args[2] < ARRAY_LEN(vector) ? (size_t)r->args[2] : ARRAY_LEN(vector);
    uint8_t bytes[SEEN_SENDS_MAX];
    char path[40], link[PATH_MAX];

    snprintf(path, sizeof path, "%s/%d/fd/%d", procfs, r->tid, (int)r->args[0]);
    if (childpath_readlink(path, link) < 0 || strncmp(link, "socket:", 7) != 0 || parse_socket(r) < 0)
        return (struct outcome){CONTINUE, 0};
    if (r->number == number_on(NR_write, MACHINE_OURS)) {
        vector[0] = (struct iovec){(void *)(uintptr_t)r->args[1], r->args[2]};
        n = 1;
    } else if (child_read(r->tid, r->args[1], vector, n * sizeof *vector) < 0) {
        n = 0;
    }
    ssize_t got = child_gather(r->tid, vector, n, 0, bytes, sizeof bytes);
    look_at_send(r, &to_peer, bytes, got < 0 ? 0 : (size_t)got);
    return (struct outcome){CONTINUE, 0};
}

/* ---- the other calls ---- */

/* Hand a socket of ours in, with the caller's flags, and keep it pinned. Its number there, or -errno. */
static int socket_hand_in(const struct request *r, int fd)
{
    int number = notify_add_fd(here.listener, r->id, fd, (int)r->args[1] & SOCK_CLOEXEC ? O_CLOEXEC : 0);

    if (number < 0)
        close(fd);
    else if (pintable_add(&made_sockets, fd) < 0)
        tell_refused(r, "one socket too many: it will be refused", "");
    return number;
}

/* Make a permitted socket, or pair of them, for the caller, with its own rights. The numbers of a pair go where
 * argument 3 says, as far as the caller has room for them. */
static struct outcome socket_make(struct request *r, bool pair)
{
    int domain = (int)r->args[0], type = (int)r->args[1] | SOCK_CLOEXEC, protocol = (int)r->args[2];
    int ends[2] = {-1, -1}, numbers[2] = {-1, -1};
    struct iovec local = {numbers, sizeof numbers}, remote = {(void *)(uintptr_t)r->args[3], sizeof numbers};
    bool root = geteuid() == 0;

    if (pair && child_writev(r->tid, &local, 1, &remote, 1) != sizeof numbers)
        return outcome_reply(-EFAULT);
    if (root && caller_enter(r) < 0)
        return outcome_reply(-EACCES);
    int made = sys_result(pair ? socketpair(domain, type, protocol, ends) : (ends[0] = socket(domain, type, protocol)));
    if (root)
        caller_leave();
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

/* What the kernel answers where there is no such kind of socket, or CAP_NET_RAW is missing. */
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

/* A socket or pair that the filter doesn't let be: the kernel's own errno, and what would permit it. */
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

/* Join a multicast group on behalf: it is decided as a send to the group, whatever the port. */
static struct outcome call_join(struct request *r)
{
    uint8_t value[512] = {0};
    int level = (int)r->args[1], option = (int)r->args[2];
    int64_t len = (int32_t)r->args[4];
    int result = parse_socket(r);

    if (result == 0 && len < 0)
        result = -EINVAL;
    len = len < (int64_t)sizeof value ? len : (int64_t)sizeof value;
    if (result == 0)
        result = child_read(r->tid, r->args[3], value, (size_t)len);
    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    r->to = (struct destination){.kind = DESTINATION_IP, .protocol = PROTOCOL_UDP}; /* TCP sockets can join, too */
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
    return outcome_reply(sys_result(setsockopt(r->pin, level, option, value, (socklen_t)len)));
}

/* SO_REUSEADDR under --port-remap: it stays off while something is on its way to the socket. */
static struct outcome call_reuse(struct request *r)
{
    int value = 0, result = parse_socket(r);

    if (result == 0)
        result = (int32_t)r->args[4] < (int32_t)sizeof value ? -EINVAL
                                                            : child_read(r->tid, r->args[3], &value, sizeof value);
    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    struct remap_kept *kept = remap_kept_of(&remap, r->pin);
    if (kept != NULL) {
        kept->shares = value != 0;
        return outcome_reply(0);
    }
    return outcome_reply(sys_result(setsockopt(r->pin, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value)));
}

static struct outcome call_setsockopt(struct request *r)
{
    const struct trap *trap = trap_of(r->number, r->args);

    if (trap != NULL && trap->when == WHEN_REMAPPED)
        return call_reuse(r);
    if (trap != NULL && trap->name == NULL)
        return call_join(r);
    if (trap != NULL)
        tell_refused(r, trap->name, trap->when == WHEN_UNSTEERED ? "--allow-steering" : "");
    return outcome_reply(-EPERM);
}

/* Does this path lead to the real /etc/hosts, from where the caller stands? What isn't in the kernel's cache isn't it:
 * its own entries are, since we hold it open, and a look-up on a slow file system would hold everybody up. */
static bool open_is_hosts(const struct request *r, int directory, const char *path)
{
    static struct childpath walk;
    struct stat found, real;
    int begun = childpath_begin(&walk, r->tid, r->tid, directory, path);
    int start CLOSE_FD = walk.start;

    walk.how.resolve |= KERNEL_RESOLVE_CACHED;
    int file CLOSE_FD = begun < 0 ? -1 : sys_openat2(start, walk.path, &walk.how);
    return file >= 0 && fstat(file, &found) == 0 && fstat(here.real_hosts, &real) == 0 && found.st_dev == real.st_dev &&
           found.st_ino == real.st_ino;
}

/* open, openat, openat2: /etc/hosts is answered with a fresh description of ours, anything else by the kernel. That the
 * path may change after we read it does no harm: an open reaches no socket, and neither file is a secret.
 *
 * Where a root command can't write in /proc, the file that pam_loginuid(8) writes isn't there, as on a kernel without
 * auditing: it goes on without it then, but lets nobody log in when it can't write it. */
static struct outcome call_open(struct request *r)
{
    char path[PATH_MAX], proc[32];
    bool at = r->number != number_on(NR_open, MACHINE_OURS), how = r->number == number_on(NR_openat2, MACHINE_OURS);
    uint64_t flags = r->args[at ? 2 : 1];
    ssize_t len = child_read_text(r->tid, r->args[at ? 1 : 0], path, sizeof path);

    if (settings.closes_knobs && len > 0 && strcmp(path, "/proc/self/loginuid") == 0 && (flags & O_ACCMODE) == O_RDWR)
        return outcome_reply(-ENOENT);
    if (len < 5 || memcmp(path + len - 5, "hosts", 5) != 0 || (len > 5 && path[len - 6] != '/') ||
        (how && child_read(r->tid, r->args[2], &flags, sizeof flags) < 0) ||
        !open_is_hosts(r, at ? (int)r->args[0] : AT_FDCWD, path) ||
        (flags & (O_ACCMODE | O_CREAT | O_DIRECTORY | O_PATH)) != O_RDONLY)
        return (struct outcome){CONTINUE, 0};
    if (policy.undecided == UNDECIDED_LEARNED)
        learned_process_of(r->tid)->reads_hosts = true;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", here.hosts);
    r->pin = open(proc, O_RDONLY | O_CLOEXEC); /* a description of its own, with its own offset */
    if (r->pin < 0)
        return (struct outcome){CONTINUE, 0};
    r->kind.domain = AF_UNIX; /* our own file: its close can't wait */
    return outcome_reply(notify_add_fd(here.listener, r->id, r->pin, flags & O_CLOEXEC));
}

/* Is this process one of the command's? Others of our descendants are our own: helpers, and what they start. */
static bool is_inside(pid_t pid)
{
    const pid_t own[] = {here.closer.pid, here.proxy.pid, here.lookups.pid, ask_helper.pid};

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (own[i] > 0 && (pid == own[i] || process_descends(pid, own[i])))
            return false;
    return process_descends(pid, getpid());
}

/* Calls on other processes: their limits never, how they are scheduled and signalled within the sandbox only. All that
 * counts is in registers: the kernel sees what we see. A process group may hold strangers. */
static struct outcome call_on_others(struct request *r)
{
    bool priority = r->number == number_on(NR_setpriority, MACHINE_OURS);
    bool by_kind = priority || r->number == number_on(NR_ioprio_set, MACHINE_OURS);
    int one = priority ? PRIO_PROCESS : IOPRIO_PROCESS, kind = by_kind ? (int)r->args[0] : one;
    pid_t pid = (pid_t)r->args[by_kind ? 1 : 0];
    struct process_status status = {.leader = r->tid};

    process_status_read(r->tid, &status);
    bool self = pid == r->tid || pid == status.leader || (by_kind && pid == 0);
    bool inside = self || (r->call != CALL_PRLIMIT && pid > 0 && is_inside(pid));
    pid_t led = pid == 0 ? getpgid(status.leader) : -pid; /* a group that a process of ours leads holds no stranger */
    bool group = r->call == CALL_SIGNAL && pid != -1 && pid <= 0 && led > 0 && is_inside(led);
    bool nobody = kind < one || kind > one + 2 || (r->call != CALL_SIGNAL && kind == one && pid < 0);
    if ((inside && kind == one) || group || nobody) /* nobody's the kernel refuses itself */
        return (struct outcome){CONTINUE, 0};
    if (kind == one && pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
        return outcome_reply(-ESRCH);
    tell_refused(r, "another process", "");
    return outcome_reply(-EPERM);
}

/* A process becomes the parent of descendants that lose theirs. */
static struct outcome call_reaper(const struct request *r)
{
    struct lineage_id process = lineage_of_thread(&live.lineage, r->tid);

    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    lineage_add_reaper(&live.lineage, process);
    return (struct outcome){CONTINUE, 0};
}

static struct outcome call_dispatch(struct request *r)
{
    switch (r->call) {
    case CALL_CONNECT:
        return call_connect(r);
    case CALL_BIND:
        return call_bind(r);
    case CALL_LISTEN:
        return call_listen(r);
    case CALL_SENDTO:
    case CALL_SENDMSG:
    case CALL_SENDMMSG:
        return call_send(r);
    case CALL_SOCKET:
        return call_socket(r);
    case CALL_SETSOCKOPT:
        return call_setsockopt(r);
    case CALL_GETSOCKNAME:
    case CALL_GETPEERNAME:
        return call_name(r);
    case CALL_OPEN:
        return call_open(r);
    case CALL_WRITE:
        return call_write(r);
    case CALL_PRLIMIT:
    case CALL_SCHEDULE:
    case CALL_SIGNAL:
        return call_on_others(r);
    case CALL_REAPER:
        return call_reaper(r);
    case CALL_NONE:
        break;
    }
    return outcome_reply(-ENOSYS);
}

/* Run a call. Nothing that it led to is held any more when it is answered. */
static struct outcome call_run(struct request *r)
{
    if (live.order > 0)
        live_find_scopes_of(r->tid);
    struct outcome outcome = call_dispatch(r);
    if (settings.no_getfd && r->pin == -EACCES && outcome.what == REPLY)
        outcome = call_on_stranger(r);
    unix_target_let_go(&unix_target, &unix_own);
    return outcome;
}

/* ---- reply: the only sender of answers ---- */

static struct lost_replies lost_replies;

/* How many arguments tell a kept call: what is in the registers after its own is left over. */
static size_t lost_arguments(enum call call)
{
    switch (call) {
    case CALL_LISTEN:
    case CALL_REAPER:
        return 2;
    case CALL_CONNECT:
    case CALL_BIND:
    case CALL_SENDMSG:
    case CALL_SOCKET:
    case CALL_SCHEDULE:
    case CALL_SIGNAL:
    case CALL_GETSOCKNAME:
    case CALL_GETPEERNAME:
    case CALL_WRITE:
        return 3;
    case CALL_SENDMMSG:
    case CALL_OPEN:
    case CALL_PRLIMIT:
        return 4;
    case CALL_SETSOCKOPT:
        return 5;
    case CALL_SENDTO:
    case CALL_NONE:
        break;
    }
    return 6;
}

/* Send a signal to exactly the thread that made this call. */
static void signal_thread(const struct request *r, int sig)
{
    int pidfd = here.pins.by_thread ? pin_pidfd(&here.pins, r->tid, false) : -1;

    if (pidfd >= 0)
        sys_pidfd_send_signal(pidfd, sig);
    else
        sys_tkill(r->tid, sig);
}

static void reply(struct request *r, struct outcome outcome)
{
    int result = 0;

    if (settings.no_getfd && outcome.what == REPLY && outcome.value == 0 && socket_is(r->kind, IPPROTO_TCP) &&
        (r->call == CALL_CONNECT || (r->call == CALL_LISTEN && !settings.port_remap)) &&
        r->address.any.sa_family != AF_UNSPEC)
        pintable_drop(&made_sockets, &here.closer, r->pin); /* a pin would delay its FIN, and keep its port */
    release(r->pin, r->kind); /* before the answer: what the caller closes next shall be closed */
    r->pin = -1;
    if (r->broken_pipe && here.killable)
        signal_thread(r, SIGPIPE);
    switch (outcome.what) {
    case REPLY:
        result = notify_return(here.listener, r->id, outcome.value);
        break;
    case CONTINUE:
        result = notify_continue(here.listener, r->id);
        break;
    case PEND:
    case HOLD:
    case VANISHED:
        break;
    }
    if (result == -ENOENT && !here.killable && outcome.what == REPLY)
        lost_reply_keep(&lost_replies, r->tid, r->number, r->args, outcome.value);
    if (outcome.what == VANISHED && !here.killable && (r->sent_bytes > 0 || r->sent_messages > 0))
        lost_reply_keep(&lost_replies, r->tid, r->number, r->args, send_end(r, 0).value);
    if (r->broken_pipe && !here.killable)
        signal_thread(r, SIGPIPE);
}

/* ---- pending: calls that wait, without anybody waiting ---- */

static struct pending {
    struct request request;
    uint64_t cookie;  /* of a connecting socket: who else waits for it */
    uint16_t order;   /* its place in pending_order */
    bool by_tick;     /* the socket's readiness says nothing: try again on the tick, ever more rarely */
    uint64_t again;   /* when, by clock_ms() */
    uint64_t patience; /* until the next, in milliseconds */
} pending[PENDING_MAX];

static uint16_t pending_order[PENDING_MAX]; /* places in pending: those in use first */
static size_t n_pending, n_pending_used; /* now, and at most so far */
static size_t n_yielding;                /* how many wait for their turn only */
static size_t n_joined;                  /* how many of them wait for another's connection */
static size_t pending_turn;              /* where the next tick goes on */

static void pending_watch(struct pending *p, uint32_t events, int operation)
{
    if (watch(operation, p->request.pin, events, EVENT_PENDING + (uint64_t)(p - pending)) < 0)
        p->by_tick = true;
}

/* Does the readiness of its socket say nothing about a call? */
static bool pending_is_deaf(const struct request *r)
{
    return r->later || (r->kind.domain == AF_UNIX && (r->kind.type == SOCK_DGRAM || r->call == CALL_CONNECT));
}

/* The place that pending_keep takes next; there is one. */
static struct pending *pending_free(void)
{
    if (n_pending == n_pending_used)
        pending_order[n_pending] = (uint16_t)n_pending_used++;
    return &pending[pending_order[n_pending]];
}

/* The request and its pin move in here. */
static struct pending *pending_keep(const struct request *r)
{
    struct pending *p = pending_free();

    *p = (struct pending){.request = *r, .order = (uint16_t)n_pending++};
    n_joined += r->joined;
    n_yielding += r->yields;
    return p;
}

/* Keep a call whose first try has to wait. */
static void pending_add(struct request *r)
{
    if (n_pending == PENDING_MAX) {
        reply(r, outcome_reply(-ENOBUFS));
        return;
    }
    struct pending *p = pending_keep(r);
    uint64_t timeout = pin_send_timeout(r->pin);
    p->request.was_pending = true;
    p->request.deadline = timeout ? clock_ms() + timeout : 0;
    p->cookie = r->call == CALL_CONNECT && r->kind.domain != AF_UNIX ? pin_cookie(r->pin) : 0;
    p->by_tick = pending_is_deaf(r);
    if (!p->by_tick)
        pending_watch(p, r->yields ? 0 : EPOLLOUT | EPOLLONESHOT, EPOLL_CTL_ADD);
}

static void pending_remove(struct pending *p)
{
    uint16_t last = pending_order[--n_pending];

    n_joined -= p->request.joined;
    n_yielding -= p->request.yields;
    pending_order[p->order] = last;
    pending_order[n_pending] = (uint16_t)(p - pending);
    pending[last].order = p->order;
    p->order = (uint16_t)n_pending;
}

/* Take a call out. The pin leaves epoll first: the child's own descriptor keeps the file alive after our close. */
static void pending_take(struct pending *p)
{
    struct asker_question *q = asker_find(&asker, p->request.question);

    if (q != NULL)
        asker_leave(&asker, q);
    unwatch(p->request.pin);
    pending_remove(p);
}

/* Its answer is known. */
static void pending_end(struct pending *p, struct outcome outcome)
{
    pending_take(p);
    reply(&p->request, outcome);
}

/* The connection that these waited for has come, or failed, or was given up: the kernel wakes all of them. */
static void pending_end_joined(uint64_t cookie, int result)
{
    for (size_t i = n_pending; i-- > 0;) {
        struct pending *p = &pending[pending_order[i]];

        if (p->cookie == cookie)
            pending_end(p, outcome_reply(result));
    }
}

/* Hold a call until the question about it is answered. false: the answer is there already, or nobody will give one. */
static bool pending_hold(struct request *r)
{
    struct pending *place = n_pending < PENDING_MAX ? pending_free() : NULL;
    bool answered = false;
    struct asker_question *q = place ? ask_about(r, (uint32_t)(place - pending) + 1, &answered) : NULL;

    if (q != NULL && !answered) {
        r->question = q->id;
        pending_keep(r);
        return true;
    }
    r->answer = q != NULL ? (enum answer)q->answer : ANSWER_DENY;
    if (q != NULL)
        asker_close(&asker, q);
    return false;
}

/* Run a call, for the first time or since it was answered; then reply, or keep it. */
static void pending_run(struct request *r)
{
    struct outcome outcome = call_run(r);

    for (unsigned tries = 0; outcome.what == HOLD; tries++) {
        if (tries == ASKS_MAX) /* it leads elsewhere each time it is looked at */
            outcome = send_end(r, -r->refusal);
        else if (pending_hold(r))
            return;
        else
            outcome = call_run(r);
    }
    if (outcome.what == PEND) {
        pending_add(r);
        return;
    }
    if (r->call == CALL_CONNECT && n_pending > 0 && r->address.any.sa_family == AF_UNSPEC && outcome.what == REPLY &&
        outcome.value == 0 && socket_is_ip(r->kind))
        pending_end_joined(pin_cookie(r->pin), -EPIPE);
    reply(r, outcome);
}

/* The question about a held call is answered. */
static void pending_answer(struct pending *p, enum answer answer)
{
    struct asker_question *q = asker_find(&asker, p->request.question);
    struct request r;

    if (q != NULL)
        asker_close(&asker, q);
    p->request.question = 0;
    pending_take(p);
    r = p->request;
    r.answer = answer;
    pending_run(&r);
}

/* Answer all held calls, or those about one subject. */
static void pending_answer_all(const struct subject *subject, enum answer answer)
{
    for (size_t i = n_pending; i-- > 0;) {
        struct pending *p = i < n_pending ? &pending[pending_order[i]] : NULL;

        if (p != NULL && p->request.question != 0 &&
            (subject == NULL || subject_same(&p->request.asked, subject)))
            pending_answer(p, answer);
    }
}

/* Try a call again; `told`: since epoll says that its socket is ready. Where that changes nothing (a socket that was
 * shut down before it connects is always "ready"), the tick tries it from then on. */
static void pending_retry(struct pending *p, bool told)
{
    struct request *r = &p->request;
    size_t before = r->sent_bytes + r->sent_messages;
    uint64_t cookie = p->cookie;

    n_yielding -= r->yields;
    r->yields = false;
    struct outcome outcome = call_run(r);
    n_yielding += r->yields;
    if (outcome.what == PEND && r->yields)
        return;
    if (outcome.what == HOLD) { /* its next message has another destination */
        pending_take(p);
        struct request held = p->request;
        pending_run(&held);
        return;
    }
    if (outcome.what == PEND) {
        bool moved = r->sent_bytes + r->sent_messages != before;
        if (moved)
            p->again = p->patience = 0;
        p->by_tick = pending_is_deaf(r) || (!moved && (p->by_tick || told));
        if (!p->by_tick)
            pending_watch(p, EPOLLOUT | EPOLLONESHOT, EPOLL_CTL_MOD);
        return;
    }
    pending_end(p, outcome);
    if (cookie != 0 && n_joined > 0 && outcome.what == REPLY)
        pending_end_joined(cookie, outcome.value == 0 ? 0 : -ECONNABORTED);
}

/* What a signal that came meanwhile makes of a waiting call (signal(7)): 0 nothing, else the errno to end it with. The
 * kernel turns ERESTARTSYS into EINTR or a restart, but only for the thread that it chose for the signal; any other
 * thread would see the number itself. */
static int pending_interruption(const struct pending *p)
{
    const struct request *r = &p->request;
    int restart = r->deadline ? EINTR : KERNEL_ERESTARTSYS;
    struct process_status thread, leader;

    if (process_status_read(r->tid, &thread) < 0)
        return 0;
    if (thread.pending & ~thread.blocked)
        return restart;
    uint64_t shared = thread.shared_pending & ~thread.blocked;
    if (shared != 0) {
        if (r->tid == thread.leader)
            return restart;
        if (process_status_read(thread.leader, &leader) == 0 && (shared & ~leader.blocked) != 0 && leader.state != 'Z')
            return 0; /* the leader's */
        return process_others_block(thread.leader, r->tid, shared) ? restart : EINTR; /* in doubt, what is no secret */
    }
    if (thread.threads > 1 && process_is_stopped(thread.leader, r->tid))
        return restart;
    return 0;
}

/* The policy has changed while a call was held: what a change decides needs no answer any more. */
static void pending_judge_held(struct pending *p)
{
    struct request *r = &p->request;

    r->judged = live.order;
    if (r->to.kind != DESTINATION_IP || r->call == CALL_BIND || r->call == CALL_LISTEN)
        return;
    live_find_scopes_of(r->tid);
    if (is_undecided(&r->to, decide(&r->to)))
        return;
    pending_take(p);
    struct request held = *r;
    held.question = 0;
    pending_run(&held);
}

/* Look after one waiting call: drop it when its caller is gone, end it when a signal came or its time is up. */
static void pending_tick(struct pending *p, uint64_t now)
{
    struct request *r = &p->request;

    if (!notify_valid(here.listener, r->id)) {
        pending_end(p, (struct outcome){VANISHED, 0});
        return;
    }
    int interruption = here.proc && here.killable ? pending_interruption(p) : 0; /* else the kernel ends it */
    if (interruption != 0) {
        pending_end(p, send_end(r, -interruption));
        return;
    }
    struct asker_question *q = asker_find(&asker, r->question);
    if (q != NULL) {
        if (now >= q->deadline)
            pending_answer(p, ANSWER_DENY);
        else if (r->judged != live.order)
            pending_judge_held(p);
        return;
    }
    if (r->judged != live.order && p->cookie != 0) {
        pending_retry(p, false);
        return;
    }
    if (r->deadline != 0 && now >= r->deadline) {
        bool local = r->kind.domain == AF_UNIX;
        int64_t error = r->call != CALL_CONNECT || local ? -EAGAIN : r->joined ? -EALREADY : -EINPROGRESS;

        pending_end(p, send_end(r, error));
        return;
    }
    if (p->by_tick && now >= p->again) {
        p->patience = p->patience < PATIENCE_MAX ? 2 * p->patience + TICK_MS : PATIENCE_MAX;
        p->again = now + p->patience;
        pending_retry(p, false);
    }
}

static void pending_tick_some(void)
{
    uint64_t now = clock_ms();
    size_t looks = n_pending < TICK_ENTRIES ? n_pending : TICK_ENTRIES;

    while (looks-- > 0 && n_pending > 0 && clock_ms() <= now + TICK_BUDGET_MS) {
        pending_turn = pending_turn == 0 || pending_turn > n_pending ? n_pending : pending_turn;
        pending_tick(&pending[pending_order[--pending_turn]], now);
    }
}

/* A thread makes one call at a time: a new one means that nobody waits for its last one any more. */
static void pending_end_of(pid_t tid)
{
    for (size_t i = n_pending; i-- > 0;)
        if (pending[pending_order[i]].request.tid == tid) {
            pending_end(&pending[pending_order[i]], (struct outcome){VANISHED, 0});
            return;
        }
}

/* ---- HTTP: connections to servers that come to an end, and those for requests ---- */

/* The server can't be had. A call that waits gets the errno; a non-blocking socket is refused, or times out by
 * itself. */
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

/* Try a name's addresses, from the next on, as far as the policy permits them. */
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

/* Something has become of it. */
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
    struct decision decision = decide(&dial->to); /* it may have been changed meanwhile */
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

/* A request was permitted whose server isn't there: connect to the original destination, if the host has it, or to an
 * address of the host that we look up. That a rule covers the host is seen here once more. */
static void dial_request(const struct proxy_message *m)
{
    struct slice host = {m->host, strnlen(m->host, sizeof m->host - 1)};
    struct lookup lookup = {.n = 0};
    struct dial *dial = dial_new();
    enum http_way way = http_may_reach(host, m->addr);
    const struct ip_addr *addr;

    if (dial == NULL) /* the request waits until its client gives up */
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

/* A name was looked up for a request. */
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

/* Nobody looks names up any more. */
static void lookups_fail(void)
{
    say("the process that looks up names has ended: those that weren't known by then can't be found");
    unwatch(here.lookups.channel);
    helper_end(&here.lookups);
    for (size_t i = 0; i < n_dials_used; i++)
        if (dials[i].state == DIAL_LOOKUP)
            dial_next(&dials[i], EHOSTUNREACH);
}

/* A name was looked up: for a request, or since the command did so. */
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
    uint64_t end = clock_ms() + LEARN_WAIT_MS;
    struct pollfd channel = {.fd = here.lookups.channel, .events = POLLIN};

    while (policy.undecided == UNDECIDED_LEARNED && seen_waits() && clock_ms() < end &&
           poll(&channel, 1, (int)(end - clock_ms())) == 1)
        serve_lookup();
}

/* The channel to the proxy has something for us, or room. */
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
        say("the proxy has ended: what goes through it is refused from now on");
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

/* ---- serve: the loop ---- */

static void serve_notification(void)
{
    static union notify_buffer buffer;
    struct request r = {.pin = -1};
    int64_t value;

    if (notify_receive(here.listener, &buffer) < 0)
        return; /* its caller is gone */
    const struct seccomp_notif *notification = &buffer.request;
    r.id = notification->id;
    r.tid = (pid_t)notification->pid;
    r.number = notification->data.nr;
    r.call = r.number >= 0 && r.number < CALLS_MAX ? (enum call)call_of_number[r.number] : CALL_NONE;
    memcpy(r.args, notification->data.args, sizeof r.args);
    if (!here.killable)
        pending_end_of(r.tid);
    if (!here.killable &&
        lost_reply_take(&lost_replies, r.tid, r.number, r.args, lost_arguments(r.call), &value)) {
        reply(&r, outcome_reply(value));
        return;
    }
    pending_run(&r);
}

/* Nobody answers any more. */
static void ask_fail(void)
{
    static struct log_file to = {.fd = STDERR_FILENO};
    struct text line = {.len = 0};

    ask_watch(0, EPOLL_CTL_DEL);
    close(asker.socket);
    asker.socket = ask_helper.socket = -1;
    text_add(&line, "sandlock: nobody answers for --ask any more: what no rule decides is refused\n");
    log_write(&to, &line);
    pending_answer_all(NULL, ANSWER_DENY);
}

/* Put the questions that wait, as far as the other side takes them. */
static void ask_send(void)
{
    struct asker_question *q;
    int result = asker.socket < 0 ? 0 : asker_flush(&asker);

    while (result == 1 && (q = asker_next(&asker)) != NULL && !ask_waits(q)) {
        struct text more = {.len = 0};
        const struct destination *to = q->holder ? &pending[q->holder - 1].request.to : NULL;
        struct slice name = to && to->kind == DESTINATION_IP ? name_of(to->addr) : (struct slice){NULL, 0};

        if (name.len > 0)
            text_add(&more, ",\"name\":\"%.*s\"", (int)name.len, name.p);
        text_add(&more, "}");
        more.bytes[more.len] = 0;
        asker_send(&asker, q, more.bytes);
        result = asker_flush(&asker);
        if (result == 0)
            ask_watch(EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    if (result < 0)
        ask_fail();
}

/* Act on an answer. A word that is none refuses. */
static void ask_take(struct asker_question *q, struct slice word)
{
    unsigned answer = ANSWER_ALLOW;

    while (answer < ANSWERS && !slice_is(word, answer_words[answer]))
        answer++;
    bool allow = answer == ANSWER_ALLOW || answer == ANSWER_ALWAYS;
    bool lasts = answer == ANSWER_ALWAYS || answer == ANSWER_NEVER;
    struct asking about;
    memcpy(&about, q->about, sizeof about);
    lasts = lasts && remember(&about.subject, allow);
    if (q->holder != 0)
        pending_answer(&pending[q->holder - 1], allow ? ANSWER_ALLOW : ANSWER_DENY);
    else
        q->answer = allow ? ANSWER_ALLOW : ANSWER_DENY;
    if (lasts)
        pending_answer_all(&about.subject, allow ? ANSWER_ALLOW : ANSWER_DENY);
}

static void serve_asker(uint32_t events)
{
    struct asker_question *q;
    struct slice word;

    if (events & EPOLLOUT) {
        ask_watch(EPOLLIN, EPOLL_CTL_MOD);
        ask_send();
    }
    int result = asker.socket < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ? -EAGAIN : asker_receive(&asker);
    while ((q = asker_answer(&asker, &word)) != NULL)
        ask_take(q, word);
    if (result < 0 && result != -EAGAIN && asker.socket >= 0)
        ask_fail();
}

/* Signal the command; once it has ended (--wait-all), what it left behind. */
static void signal_command(int sig)
{
    if (here.command > 0)
        kill(here.command, sig);
    else
        process_signal_descendants(sig);
}

/* A signal for the command: what a process sent us is passed on. What the kernel sent (the terminal's Ctrl-C, say)
 * went to the whole process group already, and what comes from inside isn't for us. */
static void serve_signal(const struct signalfd_siginfo *info)
{
    struct process_status status;

    if (info->ssi_signo == SIGHUP && info->ssi_code > 0 && getsid(0) == getpid()) {
        signal_command(SIGHUP); /* the terminal is gone: the kernel tells the session's leader alone */
        signal_command(SIGCONT);
        return;
    }
    if (info->ssi_code > 0 || process_descends((pid_t)info->ssi_pid, getpid()))
        return;
    if (info->ssi_signo == SIGCONT && process_status_read(here.command, &status) == 0 && status.state != 'T')
        return; /* sent to the group */
    signal_command((int)info->ssi_signo);
}

/* The command was stopped, by Ctrl-Z or by itself. On a terminal our shell waits for us to stop as well (but a time
 * limit goes on counting); when it lets us go on in the foreground, a command with a process group of its own (a
 * shell) has the terminal again. false: we didn't stop. */
static bool serve_stop(void)
{
    static const struct timespec no_wait;
    sigset_t resumed;
    int terminal = STDIN_FILENO;

    while (terminal <= STDERR_FILENO && tcgetpgrp(terminal) < 0)
        terminal++;
    if (terminal > STDERR_FILENO || getsid(here.command) != getsid(0) || settings.timeout > 0)
        return false;
    pid_t group = getpgid(here.command);
    bool had_terminal = tcgetpgrp(terminal) == group;
    raise(SIGSTOP);
    if (had_terminal && tcgetpgrp(terminal) == getpgrp())
        tcsetpgrp(terminal, group);
    sigemptyset(&resumed);
    sigaddset(&resumed, SIGCONT);
    sigtimedwait(&resumed, NULL, &no_wait); /* what let us go on is not for the command as well */
    return true;
}

/* Take exits and stops, a bounded number: a storm of them isn't to hold up the calls. Notes the command's exit in
 * *status. What is left: children, and perhaps more to take. */
static enum children { CHILDREN_NONE, CHILDREN_LEFT, CHILDREN_MORE } serve_children(int *status)
{
    bool still_stopped = false; /* we were let go on, and the command was not */

    for (int taken = 0; taken < CHILDREN_AT_ONCE; taken++) {
        int how;
        pid_t pid = waitpid(-1, &how, WNOHANG | WUNTRACED | WCONTINUED);

        if (pid <= 0) {
            if (still_stopped)
                signal_command(SIGCONT);
            return pid == 0 || errno != ECHILD ? CHILDREN_LEFT : CHILDREN_NONE;
        }
        if (pid != here.command)
            continue;
        still_stopped = WIFSTOPPED(how) && serve_stop();
        if (WIFSTOPPED(how) || WIFCONTINUED(how))
            continue;
        *status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
        here.command = 0; /* its number may be another's by now */
    }
    return CHILDREN_MORE;
}

/* --timeout: TERM, then KILL. How many milliseconds until the next step; -1: none. */
static int serve_time(uint64_t *deadline, bool *expired)
{
    if (*deadline == 0)
        return -1;
    uint64_t now = clock_ms();
    if (now >= *deadline) {
        signal_command(*expired ? SIGKILL : SIGTERM);
        signal_command(SIGCONT);
        *deadline = *expired ? 0 : now + KILL_AFTER_SECONDS * 1000;
        *expired = true;
    }
    return *deadline == 0 ? -1 : (int)(*deadline - now);
}

static void serve_event(const struct epoll_event *event)
{
    struct signalfd_siginfo info;
    uint64_t tag = event->data.u64;

    if (tag < EVENT_CLIENT) {
        if (pending[tag].order < n_pending)
            pending_retry(&pending[tag], true);
    } else if (tag < EVENT_DIAL) {
        client_event(&server.clients[tag - EVENT_CLIENT]);
    } else if (tag < EVENT_LISTENER) {
        dial_event(&dials[tag - EVENT_DIAL]);
    } else if (tag == EVENT_LISTENER) {
        if (event->events & EPOLLIN)
            serve_notification();
        else
            unwatch(here.listener); /* nobody is left behind the filter */
    } else if (tag == EVENT_CONTROL) {
        clients_accept();
    } else if (tag == EVENT_SIGNALS) {
        while (read(here.signals, &info, sizeof info) == sizeof info)
            if (info.ssi_signo != SIGCHLD)
                serve_signal(&info);
    } else if (tag == EVENT_ASKER) {
        serve_asker(event->events);
    } else if (tag == EVENT_PROXY) {
        proxy_serve(event->events);
    } else if (tag == EVENT_LOOKUPS) {
        serve_lookup();
    }
}

/* What controls us has its turn. How long the loop may wait then, of `wait` milliseconds; -1: for ever. */
static int serve_control(int wait)
{
    clients_turn();
    if (server.kills) {
        server.kills = settings.wait_all = false;
        signal_command(SIGKILL);
    }
    int end = live_expire();
    if (live.names_changed)
        hosts_show_live();
    wait = end >= 0 && (wait < 0 || end < wait) ? end : wait;
    return server.n_waiting > 0 ? 0 : wait;
}

/* Serve until the command has ended (--wait-all: until all have). Its exit status, or 124. */
static int serve(void)
{
    uint64_t deadline = settings.timeout ? clock_ms() + settings.timeout * 1000ull : 0, next_tick = 0, next_sweep = 0;
    bool expired = false;
    int status = -1;
    enum children children = CHILDREN_LEFT;

    while (status < 0 || (settings.wait_all && children != CHILDREN_NONE)) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int wait = serve_time(&deadline, &expired);

        if (children == CHILDREN_MORE || n_yielding > 0)
            wait = 0;
        else if (n_pending > 0 && (wait < 0 || wait > TICK_MS))
            wait = TICK_MS;
        else if (made_sockets.n + remap.n_kept > 0 && (wait < 0 || wait > SWEEP_MS))
            wait = SWEEP_MS;
        if (settings.name != NULL)
            wait = serve_control(wait);
        int n = epoll_wait(here.epoll, events, EVENTS_AT_ONCE, wait);
        bool ended = children == CHILDREN_MORE;
        for (int i = 0; i < n; i++) {
            ended = ended || events[i].data.u64 == EVENT_SIGNALS;
            serve_event(&events[i]);
        }
        for (size_t i = n_pending; i-- > 0 && n_yielding > 0;)
            if (i < n_pending && pending[pending_order[i]].request.yields)
                pending_retry(&pending[pending_order[i]], false);
        if (ended)
            children = serve_children(&status);
        if (children == CHILDREN_NONE && status < 0)
            status = EXIT_OURS; /* can't be: the command is our child */
        ask_send();
        if (made_sockets.n + remap.n_kept > 0 && clock_ms() >= next_sweep) {
            pintable_sweep(&made_sockets, &here.closer);
            remap_sweep(&remap);
            next_sweep = clock_ms() + SWEEP_MS;
        }
        if (n_pending > 0 && clock_ms() >= next_tick) {
            pending_tick_some();
            next_tick = clock_ms() + TICK_MS;
        }
    }
    while (n_pending > 0)
        pending_end(&pending[pending_order[0]], (struct outcome){VANISHED, 0});
    learn_wait();
    closer_end(&here.closer);
    helper_end(&here.proxy);
    helper_end(&here.lookups);
    coprocess_end(&ask_helper, ASK_PATIENCE_MS);
    pin_forget(&here.pins); /* looking at /proc takes descriptors */
    if (process_end_descendants(here.command) < 0)
        say("there is no /proc: what the command left behind forks faster than it is found, and isn't all ended");
    return expired ? EXIT_TIMEOUT : status;
}

/* ---- confine: the child's side ---- */

/* The child shares our memory and descriptors until it executes the command; we wait for that. So the listener that it
 * installs is ours at once, and what goes wrong is told here. */
struct confinement {
    char **argv;
    struct bpf_program *filter;
    unsigned long filter_flags;
    int ruleset;     /* Landlock's; < 0: none */
    int hosts_mount; /* what is to be seen as /etc/hosts; < 0: none */
    sigset_t mask;
    void (*children)(int); /* what SIGCHLD did */
    pid_t parent;
    int listener;
    const char *failed; /* what, with error; NULL: nothing */
    const char *text;   /* of the option that it was done for */
    int error;
};

static int confine_step(struct confinement *c, const char *what, int result)
{
    if (result < 0) {
        c->failed = what;
        c->error = -result;
    }
    return result;
}

static int confine(void *argument)
{
    struct confinement *c = argument;
    struct sock_fprog program = {(unsigned short)c->filter->len, c->filter->code};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != c->parent)
        _exit(EXIT_OURS);
    if (c->hosts_mount >= 0 &&
        (confine_step(c, "leave for an own mount namespace", mounts_leave()) < 0 ||
         confine_step(c, "mount over /etc/hosts", mounts_cover(c->hosts_mount, settings.chroot, "/etc/hosts")) < 0))
        _exit(EXIT_OURS);
    c->text = settings.chroot;
    if (settings.chroot != NULL &&
        confine_step(c, "change the root to --chroot", sys_result(chroot(settings.chroot) < 0 ? -1 : chdir("/"))) < 0)
        _exit(EXIT_OURS);
    c->text = settings.cwd;
    if (settings.cwd != NULL && confine_step(c, "change to --cwd", sys_result(chdir(settings.cwd))) < 0)
        _exit(EXIT_OURS);
    /* With CAP_SYS_CHROOT another chroot would lead out of ours. */
    uint64_t kept = (DEFAULT_CAPS & ~(settings.chroot ? CAPS_BIT(CAP_SYS_CHROOT) : 0)) | settings.kept_caps;
    c->text = NULL;
    if (confine_step(c, "give up capabilities", caps_keep(kept)) < 0)
        _exit(EXIT_OURS);
    if (confine_step(c, "set no_new_privs", sys_result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))) < 0 ||
        (c->ruleset >= 0 && confine_step(c, "enter a Landlock domain", landlock_enter(c->ruleset)) < 0))
        _exit(EXIT_OURS);
    c->listener = sys_seccomp(SECCOMP_SET_MODE_FILTER, c->filter_flags, &program);
    if (confine_step(c, "install the filter", c->listener) < 0)
        _exit(EXIT_OURS);
    signal(SIGCHLD, c->children);
    sigprocmask(SIG_SETMASK, &c->mask, NULL);
    execvp(c->argv[0], c->argv);
    c->failed = "";
    c->error = errno;
    _exit(errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Start the command. Its pid; what fails is said, and the exit status for it is returned as a negative number. */
static pid_t confine_start(struct confinement *c)
{
    static char stack[CHILD_STACK] __attribute__((aligned(16)));
    int status = EXIT_OURS << 8;
    pid_t pid = clone(confine, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, c);

    if (pid < 0)
        die("cannot start a process: %s", strerror(errno));
    if (c->failed == NULL)
        return pid;
    waitpid(pid, &status, 0);
    if (c->failed[0] == 0)
        say("cannot run '%s': %s", c->argv[0], strerror(c->error));
    else if (c->error == EBUSY)
        say("cannot %s: this is inside a sandbox already, whose supervisor has the notifications (another sandlock?); "
            "the kernel gives them to one only", c->failed);
    else
        say("cannot %s%s%s: %s", c->failed, c->text ? " " : "", c->text ? c->text : "", strerror(c->error));
    return -WEXITSTATUS(status);
}

/* ---- main ---- */

/* What is wrong with this as stdin, stdout or stderr; NULL: nothing. */
static const char *stdio_reaches(int fd)
{
    struct socket_kind kind;
    union address peer;
    socklen_t len = sizeof peer;
    struct stat status;
    char path[40], link[PATH_MAX];

    if (fstat(fd, &status) < 0)
        return NULL;
    if (settings.chroot != NULL && S_ISDIR(status.st_mode))
        return "a directory, which leads out of --chroot";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if ((status.st_mode & S_IFMT) == 0 && /* a file without a type: the kernel's own; unknown may be a ring */
        (childpath_readlink(path, link) < 0 || strcmp(link, "anon_inode:[io_uring]") == 0))
        return "an io_uring, whose operations are no system calls";
    if (pin_kind(fd, &kind) < 0 || socket_is(kind, IPPROTO_TCP) ||
        (kind.domain == AF_UNIX && kind.type != SOCK_DGRAM && getpeername(fd, &peer.any, &len) == 0))
        return NULL;
    return "a socket that can reach other addresses by itself";
}

/* What reaches anywhere by itself is no stdin, stdout or stderr to hand down. */
static void main_check_stdio(void)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};

    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        const char *reaches = stdio_reaches(fd);
        bool kept = false;

        for (size_t i = 0; i < settings.n_keep_fds; i++)
            kept = kept || settings.keep_fds[i] == fd;
        if (reaches != NULL && !kept)
            die("%s is %s; --keep-fd %d hands it down all the same", names[fd], reaches, fd);
    }
}

/* From now on every descriptor above 2 closes when the command is executed, but for the kept ones. */
static void main_close_on_exec(void)
{
    if (sys_close_range(3, ~0u, KERNEL_CLOSE_RANGE_CLOEXEC) < 0) { /* before 5.11 */
        struct rlimit limit;

        getrlimit(RLIMIT_NOFILE, &limit);
        for (int fd = 3; fd < (int)(limit.rlim_max < 1 << 20 ? limit.rlim_max : 1 << 20); fd++)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    for (size_t i = 0; i < settings.n_keep_fds; i++) {
        struct socket_kind kind;
        int fd = settings.keep_fds[i];

        fcntl(fd, F_SETFD, 0);
        if (pin_kind(fd, &kind) == 0 && !settings.quiet)
            say("descriptor %d is a socket: what it reaches is open to the command, by your --keep-fd", fd);
    }
}

/* --env and --clean-env: our own environment becomes the command's. */
static void main_prepare_environment(void)
{
    const char *kept[ENV_MAX];

    for (size_t i = 0; i < settings.n_env; i++)
        kept[i] = strchr(settings.env[i], '=') ? NULL : getenv(settings.env[i]);
    if (settings.clean_env && clearenv() != 0)
        die("--clean-env: out of memory");
    for (size_t i = 0; i < settings.n_env; i++) {
        const char *equals = strchr(settings.env[i], '=');
        char *name = strndup(settings.env[i], strcspn(settings.env[i], "="));
        const char *value = equals ? equals + 1 : kept[i];

        if (name == NULL || (value != NULL && setenv(name, value, 1) < 0))
            die("--env '%s': out of memory", settings.env[i]);
        free(name);
    }
}

static void main_prepare_loop(const sigset_t *signals)
{
    unix_target.file = unix_target.held = -1;
    unix_own.pins = &here.pins;
    unix_own.closer = &here.closer;
    if (policy.traps_sends)
        closer_start(&here.closer); /* when it is needed the command may have taken all processes */
    here.epoll = epoll_create1(EPOLL_CLOEXEC);
    here.signals = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (here.epoll < 0 || here.signals < 0 || message_init(&batch) < 0 ||
        watch(EPOLL_CTL_ADD, here.listener, EPOLLIN, EVENT_LISTENER) < 0 ||
        watch(EPOLL_CTL_ADD, here.signals, EPOLLIN, EVENT_SIGNALS) < 0)
        die("cannot prepare to serve: %s", strerror(errno));
    if (here.proxy.channel >= 0)
        proxy_watch_channel(false, EPOLL_CTL_ADD);
    if (here.lookups.channel >= 0)
        watch(EPOLL_CTL_ADD, here.lookups.channel, EPOLLIN, EVENT_LOOKUPS);
    if (asker.socket >= 0)
        ask_watch(EPOLLIN, EPOLL_CTL_ADD);
    if (settings.name != NULL)
        server_watch();
    notify_stay_near(here.listener);
    own_raise_limit();
    own_stay_small();
    signal(SIGPIPE, SIG_IGN);
}

/* Rules that only deny leave the rest open: one without a scheme leaves UDP, which is easily overlooked. Said once. */
static void main_warn_of_udp(void)
{
    if (policy.any[LIST_ALLOW] || settings.quiet || policy.sets[LIST_DENY][PROTOCOL_UDP][0].n_nodes > 0 ||
        policy.sets[LIST_DENY][PROTOCOL_UDP][1].n_nodes > 0)
        return;
    for (size_t i = 0; i < policy.n_texts; i++) {
        struct slice text = policy.texts[i].text;

        if (policy.texts[i].list == LIST_DENY && memmem(text.p, text.len, "://", 3) == NULL) {
            say("--net-deny '%.*s' denies TCP alone, UDP stays open: any://%.*s would deny both", (int)text.len, text.p,
                (int)text.len, text.p);
            return;
        }
    }
}

static int run_command(char **argv)
{
    static const int caught[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH,
                                 SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD};
    static struct bpf_program filter;
    struct features features = features_ask(settings.strict);
    struct confinement c = {.argv = argv, .filter = &filter, .ruleset = -1, .parent = getpid()};
    sigset_t signals;

    if (settings.chroot != NULL && geteuid() != 0)
        die("--chroot '%s': only root can change the root directory; without it would be right", settings.chroot);
    if (argv[0] == NULL)
        die("run: no command; sandlock run [OPTION...] -- CMD [ARG...] would be right");
    features_demand(&features);
    main_warn_of_udp();
    main_check_stdio();
    main_close_on_exec();
    server_start(argv);
    calls_init();
    here.killable = features.killable;
    here.proc = features.proc;
    here.pins.by_thread = features.threads;
    settings.no_getfd = settings.no_getfd || !features.getfd;
    here.pins.table = settings.no_getfd ? &made_sockets : NULL;
    if (settings.port_remap)
        remap_prepare();
    c.ruleset = files_prepare(features.landlock);
    c.hosts_mount = hosts_prepare();
    main_prepare_environment();
    settings.unscoped = features.landlock < LANDLOCK_ABI_SCOPE;
    settings.unprivileged = !caps_has(CAP_SYS_PTRACE);
    http_prepare();
    lookups_prepare();
    if (traps_assemble(&filter, MACHINE_OURS, !features.threads || settings.no_getfd) < 0)
        die("cannot assemble the filter: it is too long");
    c.filter_flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
                     (features.killable ? KERNEL_WAIT_KILLABLE_RECV : 0);
    sigemptyset(&signals);
    for (size_t i = 0; i < ARRAY_LEN(caught); i++)
        sigaddset(&signals, caught[i]);
    sigprocmask(SIG_BLOCK, &signals, &c.mask);
    c.children = signal(SIGCHLD, SIG_DFL); /* we wait for ours, also where we were started with it ignored */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0); /* our memory is nobody's, also where Landlock doesn't say so */
    ask_prepare(&c.mask);
    int output = learn_open();
    here.command = confine_start(&c);
    if (here.command < 0)
        return -here.command;
    here.listener = c.listener;
    live.lineage.root = lineage_now(here.command);
    main_prepare_loop(&signals);
    own_confine();
    int status = serve();
    events_summarize();
    return output >= 0 && learn_write(output) != 0 ? EXIT_OURS : status;
}

/* The verdict on one destination, as `run` would give it. Returns whether it is allowed. */
static bool explain_one(const struct rule *rule, enum protocol protocol)
{
    struct destination to = {.kind = DESTINATION_IP, .protocol = protocol, .addr = rule->prefix.addr,
                             .port = rule->n_ports ? rule->ports[0].first : 0};
    struct decision decision = decide(&to);
    struct event event = {.operation = "explain"};

    const struct special_range *range = policy.names_ranges ? special_find(to.addr) : NULL;

    event_of_destination(&event, &to, decision, false);
    bool asked = policy.undecided == UNDECIDED_ASKED && is_undecided(&to, decision);
    printf("%s %s", asked ? "asked" : decision.verdict == VERDICT_DENY ? "denied" : "allowed", event.subject);
    if (range != NULL)
        printf(" (%s, %s; %s)", range->name, range->prefix, range->source);
    printf(" by %s%s%s%s\n", event.rule[0] ? event.rule : "no rule", event.allow[0] ? ": allow it with " : "",
           event.allow, decision.verdict == VERDICT_REDIRECT ? ": each request is looked at" : "");
    return decision.verdict != VERDICT_DENY;
}

static int explain_command(char **destinations)
{
    static struct rule rule;
    bool all = true;

    if (destinations[0] == NULL)
        die("explain: no destination; sandlock explain [OPTION...] -- 10.0.0.1:443 would be right");
    for (; *destinations != NULL; destinations++) {
        rule_error error = rule_parse(slice_of(*destinations), LIST_ALLOW, &rule);

        if (error != NULL)
            die("explain '%s': %s", *destinations, error);
        unsigned full = rule.prefix.addr.version == 6 ? 128 : 32;
        if (rule.target != TARGET_PREFIX || rule.prefix.len != full || rule.n_ports > 1)
            die("explain '%s': not one destination; 10.0.0.1:443 or udp://[2001:db8::1]:53 would be right",
                *destinations);
        if (rule.n_ports == 0 && rule.protocols != 1 << PROTOCOL_ICMP)
            die("explain '%s': no port; 10.0.0.1:443 or icmp://10.0.0.1 would be right", *destinations);
        for (unsigned p = 0; p < PROTOCOLS; p++)
            if (rule.protocols & 1u << p)
                all = explain_one(&rule, (enum protocol)p) && all;
    }
    return all ? 0 : 1;
}

/* ---- which command it is ---- */

static const struct {
    const char *name;
    int (*run)(char **operands);
} client_commands[] = {
    {"ps", ps_command},           {"allow", allow_command}, {"deny", deny_command}, {"restrict", restrict_command},
    {"inspect", inspect_command}, {"log", log_command},     {"kill", kill_command},
};

/* What is closed of stdin, stdout and stderr must not become a descriptor of ours. */
static void main_open_stdio(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
            open("/", O_PATH | O_CLOEXEC);
}

/* As the first process our arguments are run's; where there are none at all a policy file has them. */
static int main_options_of_init(int argc, char **argv)
{
    const char *path = getenv("SANDLOCK_POLICY");

    if (path != NULL || argc <= 1)
        set_policy(path != NULL ? path : INIT_POLICY);
    return options_parse(argc, argv, 1);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    main_open_stdio();
    here.powers_off = init_of_machine();
    if (here.powers_off)
        atexit(init_power_off);
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
        usage(STDOUT_FILENO);
        return 0;
    }
    if (strcmp(command, "--version") == 0) {
        printf("sandlock %s\n", SANDLOCK_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(client_commands); i++)
        if (strcmp(command, client_commands[i].name) == 0)
            return client_commands[i].run(client_options(argv + 2));
    bool run = strcmp(command, "run") == 0, explain = strcmp(command, "explain") == 0;
    bool check = strcmp(command, "check") == 0, learns = strcmp(command, "learn") == 0;
    bool init = getpid() == 1 && !run && !explain && !check && !learns;
    if (argc <= 1 && !init) {
        usage(STDERR_FILENO);
        return EXIT_OURS;
    }
    if (!run && !explain && !check && !learns && !init)
        die("'%s': unknown command; sandlock --help lists those that are known", command);
    policy.undecided = learns ? UNDECIDED_LEARNED : UNDECIDED_REFUSED;
    int rest = init ? main_options_of_init(argc, argv) : options_parse(argc, argv, 2);
    if (learns != (settings.output != NULL))
        die(learns ? "learn: no file; -o FILE would be right" : "-o '%s': for learn only", settings.output);
    policy_open_http();
    if (!check)
        policy_resolve();
    policy_finish();
    if (run || learns || init)
        return run_command(argv[rest] != NULL ? argv + rest : settings.command);
    if (explain)
        return explain_command(argv + rest);
    if (argv[rest] != NULL)
        die("check '%s': takes no argument; sandlock check alone would be right", argv[rest]);
    return check_command();
}

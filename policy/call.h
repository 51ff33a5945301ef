/* call.h - one trapped call, from its notification to its reply, and what serves it */
#ifndef POLICY_CALL_H
#define POLICY_CALL_H

#include "types.h"
#include "traps.h"
#include "../sys/addr.h"
#include "../sys/closer.h"
#include "../sys/creds.h"
#include "../sys/growing.h"
#include "../sys/helper.h"
#include "../sys/hold.h"
#include "../sys/limits.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/pintable.h"
#include "../sys/proxyconn.h"
#include "../sys/unixdiag.h"
#include "../sys/unixtarget.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>

/* What epoll tells of, as its tag: ranges that follow one another. */
enum event_tag {
    EVENT_PENDING = 0,                           /* and the following: a place in pending */
    EVENT_CLIENT = EVENT_PENDING + PENDING_MAX,  /* and the following: a place in server.clients */
    EVENT_DIAL = EVENT_CLIENT + CLIENTS_MAX,     /* and the following: a place in dials */
    EVENT_LISTENER = EVENT_DIAL + DIALS_MAX,
    EVENT_SIGNALS,
    EVENT_ASKER,
    EVENT_PROXY,
    EVENT_LOOKUPS,
    EVENT_CONTROL,
    EVENT_MADE,                                  /* and the following: a descriptor of made_sockets */
};

/* Where an address leads. */
struct destination {
    enum destination_kind {
        DESTINATION_NONE, /* nowhere: a disconnect, or something that the kernel refuses by itself */
        DESTINATION_IP,
        DESTINATION_UNIX,
        DESTINATION_OTHER, /* a socket of a kind that doesn't exist inside */
    } kind;
    enum protocol protocol;
    struct ip_addr addr;
    uint16_t port;
    bool steered; /* it names the interface, too */
    bool dual;    /* a bind of :: that takes IPv4 as well */
    bool any_port; /* the port doesn't matter */
};

/* What somebody is asked about, to know it again: bytes that say nothing are zero. */
struct subject {
    uint64_t hi, lo;       /* of an IP address */
    uint64_t device, inode; /* of a unix socket's file */
    uint32_t kind, protocol, version, port;
    uint32_t binds;
    char name[UNIXDIAG_NAME_MAX + 1]; /* a unix socket's, as far as it goes */
};

enum answer { ANSWER_NONE, ANSWER_ALLOW, ANSWER_DENY, ANSWER_ALWAYS, ANSWER_NEVER, ANSWERS };

/* A trapped call, from its notification to its reply. */
struct request {
    uint64_t id;
    uint64_t args[6];
    pid_t tid;
    int number;
    enum call call;
    int pin; /* owned; -1: none */
    struct socket_kind kind;
    union address address; /* connect's and bind's */
    socklen_t address_len;
    struct destination to;
    bool was_pending;   /* this is not its first try */
    bool yields;        /* it doesn't wait, but has taken long enough for one turn */
    bool broken_pipe;   /* the caller is to get SIGPIPE */
    bool joined;        /* a connect that waits for another's */
    bool later;         /* it couldn't be judged yet: it is tried on the tick, and judged then */
    uint64_t tried_at;  /* when a bind found its port taken, by clock_us; 0: it hasn't */
    size_t sent_messages, sent_bytes; /* how far a send has come */
    uint64_t deadline;  /* SO_SNDTIMEO, on the clock of clock_ms; 0: none */
    uint64_t judged;    /* live.order when the policy was asked last */
    uint64_t question;  /* that is open for it; 0: none */
    unsigned asks;      /* how often it was asked about */
    int refusal;        /* the errno where that isn't answered */
    struct subject asked;
    enum answer answer; /* to that: none, to allow or to deny */
};

/* What becomes of a request. */
struct outcome {
    enum { REPLY, CONTINUE, PEND, HOLD, VANISHED } what; /* HOLD: until the question about it is answered */
    int64_t value; /* of REPLY: >= 0, or -errno */
};

static struct supervisor {
    int listener, epoll, signals;
    pid_t command;
    bool killable;  /* WAIT_KILLABLE_RECV: signals don't repeat a call that was received */
    bool proc;      /* is there a /proc? */
    bool powers_off; /* our end is the machine's */
    struct pin_cache pins;
    struct closer closer;
    int hosts;      /* a sealed memfd: what /etc/hosts is inside; -1: the real one */
    int real_hosts; /* O_PATH, of the command's root; keeps its directory entries cached */
    struct helper proxy, lookups;
    struct hold holds[2]; /* where connects wait that go to the proxy: IPv4's, IPv6's */
    int hosts_mounted; /* or a mounted file's descriptor, to write in it; -1: it isn't */
    struct growing hosts_base; /* what it says without live rules */
} here = {.listener = -1, .epoll = -1, .signals = -1, .hosts = -1, .real_hosts = -1, .hosts_mounted = -1,
          .closer = {.pipe = -1}, .proxy = {.channel = -1}, .lookups = {.channel = -1},
          .holds = {{.full = -1}, {.full = -1}}};

static struct pintable made_sockets; /* the sockets that we made, where we have to */

/* Have epoll tell of a descriptor, with a tag: epoll_ctl(2)'s operations. 0 or -errno. */
static int watch(int operation, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = {.events = events, .data.u64 = tag};

    return sys_result(epoll_ctl(here.epoll, operation, fd, &event));
}

static void unwatch(int fd)
{
    epoll_ctl(here.epoll, EPOLL_CTL_DEL, fd, NULL);
}

static struct outcome outcome_reply(int64_t value)
{
    return (struct outcome){REPLY, value};
}

/* Close a descriptor of the child's that we hold. Ours may be the last reference: what could wait then is not for
 * us. */
static void release(int fd, struct socket_kind kind)
{
    if (fd < 0)
        return;
    bool known = kind.domain > 0 || pin_kind(fd, &kind) == 0;
    if (!known)
        closer_close(&here.closer, fd);
    else if (socket_is(kind, IPPROTO_TCP) || kind.domain == AF_UNIX)
        closer_release(&here.closer, fd, kind.domain == AF_UNIX);
    else
        close(fd);
}

/* What names a unix socket is handled alone: one at a time. (That it has no file is said when we begin to serve: a
 * first value would put all of it into the program's file.) */
static struct unix_target unix_target;

/* The sockets that the sandbox bound. A bind is always trapped. */
static struct unix_own unix_own;

static bool is_send(enum call call)
{
    return call == CALL_SENDTO || call == CALL_SENDMSG || call == CALL_SENDMMSG;
}

static enum protocol kind_protocol(struct socket_kind kind)
{
    switch (kind.protocol) {
    case IPPROTO_TCP:
        return PROTOCOL_TCP;
    case IPPROTO_UDP:
        return PROTOCOL_UDP;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return PROTOCOL_ICMP;
    }
    return PROTOCOLS;
}

/* One connect(2): our copy of the address, our own reference to the socket. 0 or -errno. */
static int connect_pin(const struct request *r)
{
    return sys_result(connect(r->pin, &r->address.any, r->address_len));
}

/* Are the caller's own user and groups to be seen, and its capabilities to count? Where we are root, on sockets that
 * carry credentials. */
static bool caller_counts(const struct request *r)
{
    return !socket_is_ip(r->kind) && geteuid() == 0;
}

/* Whose rights we have taken, while we have. */
static struct {
    struct creds ours, caller;
    const struct creds *theirs;
} lent;

/* Take these, until caller_leave. 0 or -errno. */
static int caller_take(const struct creds *theirs)
{
    lent.theirs = theirs;
    return creds_read(getpid(), &lent.ours) < 0 ? -EACCES : creds_take(&lent.ours, theirs);
}

/* Take the caller's. 0 or -errno. */
static int caller_enter(const struct request *r)
{
    if (creds_read(r->tid, &lent.caller) < 0 || !notify_valid(here.listener, r->id))
        return -EACCES;
    return caller_take(&lent.caller);
}

static void caller_leave(void)
{
    creds_restore(&lent.ours, lent.theirs);
}

#endif

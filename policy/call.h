/* call.h - one trapped call, from its notification to its reply, and what serves it */
#ifndef POLICY_CALL_H
#define POLICY_CALL_H

#include "types.h"
#include "traps.h"
#include "../sys/addr.h"
#include "../sys/clock.h"
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

/* How epoll's events are told apart (data.u64): ranges, one after the other. */
enum event_tag {
    EVENT_PENDING = 0,                           /* and the following: an index of pending */
    EVENT_CLIENT = EVENT_PENDING + PENDING_MAX,  /* and the following: an index of server.clients */
    EVENT_DIAL = EVENT_CLIENT + CLIENTS_MAX,     /* and the following: an index of dials */
    EVENT_LISTENER = EVENT_DIAL + DIALS_MAX,
    EVENT_SIGNALS,
    EVENT_ASKER,
    EVENT_PROXY,
    EVENT_LOOKUPS,
    EVENT_CONTROL,
    EVENT_MADE,                                  /* and the following: a descriptor of made_sockets */
};

/* The destination that an address means. */
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
    bool steered; /* the address names an interface, too (an IPv6 scope id) */
    bool dual;    /* a bind of :: that takes IPv4 as well */
    bool any_port; /* a rule for any port will do */
};

/* What a question is about, to recognise it when it comes again. It is compared as bytes: unused ones are zero. */
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
    bool was_pending;   /* it has been tried before */
    bool yields;        /* it could go on, but others have their turn first */
    bool broken_pipe;   /* the caller is to get SIGPIPE */
    bool joined;        /* a connect that waits for a connection which another call began */
    bool later;         /* it couldn't be judged yet: it is tried again, and judged, on the tick */
    uint64_t tried_at;  /* when it found no room first (made_make_room), by clock_us; 0: it hasn't */
    size_t sent_messages, sent_bytes; /* how far a send has come */
    uint64_t deadline;  /* SO_SNDTIMEO, on the clock of clock_ms; 0: none */
    uint64_t judged;    /* live.order when it was judged last: another value means that the policy has changed */
    uint64_t question;  /* the id of the question that it waits for; 0: none */
    unsigned asks;      /* how often it was asked about */
    int refusal;        /* its errno where nobody answers */
    struct subject asked;
    enum answer answer; /* to the question about `asked`: none, allow or deny */
};

/* What is to be done with a request next. */
struct outcome {
    enum {
        REPLY,    /* answer it with `value` */
        CONTINUE, /* let the kernel carry it out */
        PEND,     /* keep it, and try again when its socket is ready or on the tick */
        HOLD,     /* keep it until the question about it is answered */
        VANISHED, /* nothing: its caller is gone */
    } what;
    int64_t value; /* >= 0, or -errno */
};

static struct supervisor {
    int listener, epoll, signals;
    int spare;      /* a descriptor that is kept from waiting calls, for a look at /proc that can't be left out */
    int home;       /* the directory that we were started in, where sends are judged */
    pid_t command;
    bool killable;  /* WAIT_KILLABLE_RECV: signals don't repeat a call that was received */
    bool proc;      /* is there a /proc? */
    bool powers_off; /* we are a machine's first process: it is switched off at the end */
    struct pin_cache pins;
    struct closer closer;
    int hosts;      /* a sealed memfd that is shown as /etc/hosts; -1: the real file is */
    int real_hosts; /* O_PATH, of the real file under the command's root; keeps its directory entries cached */
    struct helper proxy, lookups;
    struct hold holds[2]; /* where connects to the proxy wait: IPv4, IPv6 */
    int hosts_mounted; /* the descriptor of the file that is mounted over /etc/hosts, to write to; -1: none is */
    struct growing hosts_base; /* the text of /etc/hosts inside without live rules' names */
} here = {.listener = -1, .epoll = -1, .signals = -1, .spare = -1, .home = -1, .hosts = -1, .real_hosts = -1,
          .hosts_mounted = -1, .closer = {.pipe = -1}, .proxy = {.channel = -1}, .lookups = {.channel = -1},
          .holds = {{.full = -1}, {.full = -1}}};

static struct pintable made_sockets; /* the sockets that we made and handed in, where there is no pidfd_getfd(2) */

/* What a call wants isn't there, since we hold sockets that were closed perhaps: a port, a name, room for one more. 1:
 * such are let go now; 0: they were since the call was tried first; -EAGAIN: it isn't the time to look for them. */
static int made_make_room(struct request *r)
{
    if (made_sockets.n == 0 || (r->tried_at != 0 && r->tried_at <= made_sockets.swept_at))
        return 0;
    r->tried_at = r->tried_at != 0 ? r->tried_at : clock_us();
    bool swept = pintable_sweep(&made_sockets, &here.closer) && r->tried_at <= made_sockets.swept_at;
    return swept ? 1 : -EAGAIN;
}

/* Watch a descriptor (epoll_ctl(2)): its events come with this tag. 0 or -errno. */
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

/* Close our descriptor of a child's file, if there is one. */
static void release(int fd, struct socket_kind kind)
{
    if (fd >= 0)
        pin_release(&here.closer, fd, kind);
}

/* The unix socket that the call at hand names: there is one at a time. (Its descriptors are set to -1 when we begin to
 * serve: an initialiser here would put all of it into the program's file.) */
static struct unix_target unix_target;

/* The sockets that the sandbox bound. A bind is always trapped. */
static struct unix_own unix_own;

static bool is_send(enum call call)
{
    return call == CALL_SENDTO || call == CALL_SENDMSG || call == CALL_SENDMMSG;
}

static bool takes_port(enum call call)
{
    return call == CALL_BIND || call == CALL_LISTEN;
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

/* Must a call be made with the caller's user, groups and capabilities? Where we are root, on sockets whose peers see
 * credentials (unix, netlink). */
static bool caller_counts(const struct request *r)
{
    return !socket_is_ip(r->kind) && geteuid() == 0;
}

/* The credentials that we have borrowed from a caller at the moment, and our own. */
static struct {
    struct creds ours, caller;
    const struct creds *theirs;
} lent;

/* Act with these credentials until caller_leave. 0, or -errno: -ENOBUFS where we are short of descriptors. */
static int caller_take(const struct creds *theirs)
{
    int result = sys_result_for_other(creds_read(getpid(), &lent.ours));

    lent.theirs = theirs;
    return result == -ENOBUFS ? result : result < 0 ? -EACCES : creds_take(&lent.ours, theirs);
}

/* Act with the caller's. 0 or -errno, as above. */
static int caller_enter(const struct request *r)
{
    int result = sys_result_for_other(creds_read(r->tid, &lent.caller));

    if (result < 0 || !notify_valid(here.listener, r->id))
        return result == -ENOBUFS ? result : -EACCES;
    return caller_take(&lent.caller);
}

static void caller_leave(void)
{
    creds_restore(&lent.ours, lent.theirs);
}

#endif

/* bind.h - bind(2), listen(2) */
#ifndef SERVE_BIND_H
#define SERVE_BIND_H

#include "bindport.h"
#include "continue.h"
#include "decide.h"
#include "parse.h"
#include "../policy/call.h"
#include "../policy/files.h"
#include "../policy/learn.h"
#include "../policy/portremap.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/childpath.h"
#include "../sys/clock.h"
#include "../sys/closer.h"
#include "../sys/cookieset.h"
#include "../sys/kernel.h"
#include "../sys/landlock.h"
#include "../sys/limits.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/pintable.h"
#include "../sys/process.h"
#include "../sys/procfs.h"
#include "../sys/remap.h"
#include "../sys/slow.h"
#include "../sys/unixtarget.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Another thread may have cleared IPV6_V6ONLY between the verdict on [::] and the bind, so that the socket has the IPv4
 * port, too. A bind can't be undone: if no rule permits it, a filter drops whatever arrives there from now on
 * (SO_LOCK_FILTER). 0 or -EACCES. */
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
    while (recv(r->pin, NULL, 0, MSG_DONTWAIT) >= 0) /* throw away what has arrived meanwhile */
        ;
    tell_destination(r, &r->to, decision);
    return -decision.error;
}

/* May an abstract name be that of a socket which the command has closed, and which we or our closer still hold? Then it
 * will be free soon: when we have looked who has it, or when the closer is done, which is waited for at most
 * PATIENCE_MAX. */
static bool bind_name_waits(struct request *r)
{
    uint64_t now = clock_us();

    if (r->address_len <= sizeof r->address.local.sun_family || r->address.local.sun_path[0] != 0)
        return false;
    r->tried_at = r->tried_at != 0 ? r->tried_at : now;
    return (pintable_has_name(&made_sockets, &r->address.local, r->address_len) && made_make_room(r) == -EAGAIN) ||
           (now - r->tried_at <= 1000 * PATIENCE_MAX && closer_is_busy(&here.closer));
}

/* Make a call in a process of its own, which then ends. 0 or -errno; -EAGAIN: there can't be one now. */
static int call_apart(const struct request *r, int (*call)(const struct request *r))
{
    int how = 0;
    pid_t pid = sys_fork(CLONE_FILES);

    if (pid == 0)
        _exit(-call(r));
    if (pid < 0 || waitpid(pid, &how, __WALL) != pid)
        return pid < 0 ? pid : -errno;
    return WIFEXITED(how) ? -WEXITSTATUS(how) : -EAGAIN;
}

/* In a Landlock domain, which holds nothing but that processes outside of it can't be looked into by /proc: links
 * there, such as /proc/PID/root, would lead us where the caller can't go. Kernels without Landlock have none. */
static int bind_in_domain(const struct request *r)
{
    int domain CLOSE_FD = landlock_create(1, (struct landlock_domain){.fs = LANDLOCK_EXECUTE});

    bool none = domain == -ENOSYS || domain == -EOPNOTSUPP; /* not: no descriptor left for one */
    if (!none && (domain < 0 || landlock_enter(domain) < 0))
        return -EACCES;
    return sys_result(bind(r->pin, &r->address.any, r->address_len));
}

/* The caller's own /proc/self/cwd, fd/N and the like we open for it, as a descriptor of ours in its name's place: *own,
 * to be closed. 0; -EACCES where the name is too long then. */
static int bind_from_own(struct request *r, pid_t leader, const char *path, int *own)
{
    static struct childpath walk;

    if (!childpath_rename(&walk, r->tid, leader, path))
        return 0;
    const char *rest = childpath_cut(walk.path);
    if (rest == NULL)
        return 0;
    *own = sys_open(walk.path, O_PATH | O_DIRECTORY);
    int n = snprintf(r->address.local.sun_path, sizeof r->address.local.sun_path, "/proc/self/fd/%d/%s", *own,
                     rest);
    r->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
    return *own < 0 ? *own : (size_t)n >= sizeof r->address.local.sun_path ? -EACCES : 0;
}

/* Bind a path: it is the caller's own, and so are its directory, umask and rights, which are ours for that long
 * (path_resolution(7), umask(2)). 0 or -errno; -EAGAIN: not now. */
static int bind_path(const struct request *r)
{
    struct request named = *r;
    struct process_status status;
    char path[sizeof r->address.local.sun_path + 1], link[40];
    size_t room = r->address_len - offsetof(struct sockaddr_un, sun_path);
    int own CLOSE_FD = -1;

    snprintf(link, sizeof link, "%s/%d/cwd", procfs, r->tid);
    int directory CLOSE_FD = sys_open(link, O_PATH | O_DIRECTORY);
    if (directory < 0 || !childpath_has_our_root(r->tid) || process_status_read(r->tid, &status) < 0)
        return -EACCES;
    snprintf(path, sizeof path, "%.*s", (int)room, r->address.local.sun_path);
    int result = bind_from_own(&named, status.leader, path, &own);
    bool enters = geteuid() == 0;
    if (result < 0 || (enters && caller_enter(r) < 0))
        return result < 0 ? result : -EACCES;
    mode_t ours = umask(status.umask);
    result = fchdir(directory) < 0 ? -errno : call_apart(&named, bind_in_domain);
    umask(ours);
    if (enters)
        caller_leave();
    (void)sys_result(fchdir(here.home)); /* nothing of ours is found by where we are, if we may not go back */
    return result;
}

/* A bind on a unix socket is carried out by the kernel, but where another thread could put a UDP socket in its place,
 * which would have a port past the rules. Where the user says which files are open only the kernel knows whether the
 * caller may make this one, and under --chroot only it finds the place. */
static struct outcome bind_unix(struct request *r)
{
    uint64_t start = clock_us();
    bool path = r->address_len > sizeof r->address.local.sun_family && r->address.any.sa_family == AF_UNIX &&
                r->address.local.sun_path[0] != 0;
    bool elsewhere = files_are_chosen() || settings.chroot != NULL;
    bool continues = !policy.open[PROTOCOL_UDP] || elsewhere || caller_is_alone(r);

    uint64_t cookie = unix_own_add(&unix_own, r->pin);
    unix_own.holders[cookie % UNIX_HOLDERS] = (struct unix_holder){cookie, r->tid, (int)r->args[0]};
    r->later = bind_name_waits(r) || (!continues && start < unix_own.free_at);
    if (r->later || continues)
        return (struct outcome){r->later ? PEND : CONTINUE, 0};
    int result = path ? bind_path(r) : sys_result(bind(r->pin, &r->address.any, r->address_len));
    unix_own.free_at = clock_rest(start);
    r->later = result == -EAGAIN;
    return (struct outcome){r->later ? PEND : REPLY, result};
}

static struct outcome call_bind(struct request *r)
{
    bool again = r->was_pending && r->judged == live.order; /* it was permitted, and waited for its port to be free */
    int result = again || r->asks > 0 ? 0 : parse_address(r);

    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (r->kind.domain == AF_UNIX)
        return bind_unix(r);
    if (call_continues(r))
        return (struct outcome){CONTINUE, 0};
    struct decision decision = {VERDICT_ALLOW, 0, RULE_NONE};
    if (!again)
        decision = judge(r, decide_bind(&r->to, false));
    if (decision.verdict == VERDICT_ASK)
        return (struct outcome){HOLD, 0};
    if (decision.verdict == VERDICT_DENY)
        return outcome_reply(-decision.error);
    bool remaps = settings.port_remap && r->to.kind == DESTINATION_IP && r->to.protocol != PROTOCOL_ICMP;
    slow_begin();
    result = slow_waits(r->kind.protocol, r->to.port) ? -EAGAIN
             : remaps                                 ? bind_remapped(r)
                                                      : execute_bind(r, r->to.port != 0);
    slow_end(r->kind.protocol, r->to.port, 1);
    r->later = result == -EAGAIN;
    if (r->later)
        return (struct outcome){PEND, 0};
    if (result == 0)
        result = bind_check_taken(r);
    if (remaps && result == 0)
        remap_note(r, r->to.port);
    if (result == 0)
        learn_bound(r);
    return outcome_reply(result);
}

static int listen_here(const struct request *r)
{
    return sys_result(listen(r->pin, (int)r->args[1]));
}

/* Who connects to a unix socket sees who listens there (SO_PEERCRED). That is nobody then, and not us, by whose number
 * clients of control sockets know us. 0 or -errno; -EAGAIN, which no listen says: it is to be tried later. */
static int listen_unix(const struct request *r)
{
    uint64_t start = clock_us();
    int result = start < unix_own.free_at ? -EAGAIN : call_apart(r, listen_here);

    unix_own.free_at = result == -EAGAIN ? unix_own.free_at : clock_rest(start);
    return result;
}

/* listen: the port that the socket is bound to is judged; without a bind the kernel picks one, as for port 0. */
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
        r->later = slow_waits(r->kind.protocol, r->to.port);
        if (r->later)
            return (struct outcome){PEND, 0};
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
    result = counts ? caller_enter(r) : 0;
    if (result < 0)
        return outcome_reply(result);
    slow_begin();
    result = r->kind.domain == AF_UNIX ? listen_unix(r) : listen_here(r);
    slow_end(r->kind.protocol, r->to.port, 1);
    if (counts)
        caller_leave();
    r->later = result == -EAGAIN;
    if (r->later)
        return (struct outcome){PEND, 0};
    here.closer.lingers = here.closer.lingers || socket_is(r->kind, IPPROTO_TCP);
    if (settings.port_remap && result == 0 && socket_is(r->kind, IPPROTO_TCP))
        remap_note(r, r->to.port);
    if (result == 0)
        learn_bound(r);
    return outcome_reply(result);
}

#endif

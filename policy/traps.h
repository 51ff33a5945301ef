/* traps.h - what is trapped, and when: one table, from which the filter is assembled (seccomp(2)) */
#ifndef POLICY_TRAPS_H
#define POLICY_TRAPS_H

#include "types.h"
#include "setters.h"
#include "../sys/base.h"
#include "../sys/bpf.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* The kinds of trapped calls; the rows below say which system calls are of a kind. CALL_NONE: the filter decides. */
enum __attribute__((packed)) call {
    CALL_NONE,
    CALL_CONNECT,
    CALL_BIND,
    CALL_LISTEN,
    CALL_SENDTO,
    CALL_SENDMSG,
    CALL_SENDMMSG,
    CALL_SOCKET,
    CALL_SETSOCKOPT,
    CALL_GETSOCKOPT,
    CALL_OPEN,
    CALL_PRLIMIT,
    CALL_SCHEDULE,
    CALL_SIGNAL,
    CALL_GETSOCKNAME,
    CALL_GETPEERNAME,
    CALL_REAPER,
    CALL_WRITE,
    CALL_RULESET,
};

static const char *const call_names[] = {
    "",           "connect", "bind",    "listen",   "sendto", "sendmsg", "sendmmsg", "socket",
    "setsockopt", "getsockopt", "open", "prlimit", "schedule", "signal", "getsockname", "getpeername", "prctl", "write",
    "landlock_create_ruleset",
};

/* When a row is part of the filter. */
enum __attribute__((packed)) when {
    ALWAYS,
    WHEN_UDP,
    WHEN_ICMP,
    WHEN_SENDS,         /* sends have to be judged (policy.traps_sends) */
    WHEN_LEARNING,      /* every send is looked at, and every write, which may be one */
    WHEN_HOSTS,         /* opens of /etc/hosts get ours */
    WHEN_HTTP,          /* connections may go to the proxy */
    WHEN_KNOBS,         /* a root command can't write in /proc */
    WHEN_UNSTEERED,
    WHEN_REMAPPED,      /* ports may have other numbers outside (--port-remap) */
    WHEN_UNSCOPED,      /* Landlock has no scope for signals */
    WHEN_UNOWNED,       /* nor one that holds those of descriptors */
    WHEN_UNPRIVILEGED,  /* we have no CAP_SYS_PTRACE */
    WHEN_LEADERS_TABLE, /* only the descriptors of a process's first thread can be pinned (no PIDFD_THREAD) */
    WHEN_NAMED,         /* processes may get policies of their own */
    WHEN_LANDLOCKED,    /* Landlock has rules for what we do on behalf */
};

#define FAILS(e) (SECCOMP_RET_ERRNO | (e))
#define IS(arg, value) {BPF_EQUAL, arg, UINT32_MAX, value}
#define IS_IP(arg) {BPF_EQUAL, arg, ~8u, AF_INET} /* AF_INET or AF_INET6: they differ in that bit */
#define IS_TYPE(arg, value) {BPF_EQUAL, arg, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), value}
#define IS_DGRAM_OR_RAW(arg) {BPF_EQUAL, arg, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK | 1), SOCK_DGRAM}
#define IS_ZERO_OR_ONE(arg) {BPF_EQUAL, arg, ~1u, 0}
#define HAS_BIT(arg, bit) {BPF_ANY_BIT, arg, bit, 0}
#define IS_GIVEN(arg) {BPF_NONZERO, arg, 0, 0}
#define REFUSED_OPTION(when, level, option, name) \
    {NR_setsockopt, CALL_SETSOCKOPT, when, ASKED, {IS(1, level), IS(2, option)}, name, GROUP_NONE}
#define READS_A_FILE(arg) {BPF_EQUAL, arg, O_ACCMODE | O_CREAT | O_DIRECTORY | O_PATH, O_RDONLY}
#define WRITES_NO_LINK(arg) {BPF_EQUAL, arg, O_ACCMODE | O_CREAT | O_NOFOLLOW, O_RDWR | O_NOFOLLOW}
#define TRAP(number, call, when, result, ...) {number, call, when, result, {__VA_ARGS__}, NULL, GROUP_NONE}
#define IS_NOT(arg, value) {BPF_UNLIKE, arg, UINT32_MAX, value}
#define REFUSED(number, group) {number, CALL_NONE, ALWAYS, FAILS(EPERM), {{0}}, NULL, group}
#define REFUSED_IOCTL(request, group) {NR_ioctl, CALL_NONE, ALWAYS, FAILS(EPERM), {IS(1, request)}, NULL, group}
#define PERMITTED_IOCTL(request) {NR_ioctl, CALL_NONE, ALWAYS, SECCOMP_RET_ALLOW, {IS(1, request)}, NULL, GROUP_NONE}
#define ALLOWED SECCOMP_RET_ALLOW
#define ASKED SECCOMP_RET_USER_NOTIF

enum {
    TCP_REPAIR_OPTION = 19,
    TCP_FASTOPEN_CONNECT_OPTION = 30,
    SPLIT_TABLE = CLONE_FILES | CLONE_THREAD,
    CLOSE_RANGE_SPLIT = 2,         /* CLOSE_RANGE_UNSHARE */
    NEW_NAMESPACES = 0x7E020000,   /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
    NEW_TIME = 0x80,               /* CLONE_NEWTIME, which only unshare knows */
    IOPRIO_PROCESS = 1,            /* IOPRIO_WHO_PROCESS */
    PERSONALITY_HARMLESS = 0x60008, /* ADDR_NO_RANDOMIZE, UNAME26, PER_LINUX32 */
};

/* The filter: for each system call the first row that matches decides. */
static const struct trap {
    enum syscall_number number;
    enum call call;
    enum when when;
    uint32_t result;
    struct bpf_condition conditions[BPF_CONDITIONS];
    const char *name; /* of what is refused, for the log */
    enum group group; /* not part of the filter when this is allowed */
} traps[] = {
    TRAP(NR_connect, CALL_CONNECT, ALWAYS, ASKED, {0}),
    TRAP(NR_bind, CALL_BIND, ALWAYS, ASKED, {0}),
    TRAP(NR_listen, CALL_LISTEN, ALWAYS, ASKED, {0}),
    TRAP(NR_getsockname, CALL_GETSOCKNAME, WHEN_REMAPPED, ASKED, {0}),
    TRAP(NR_getpeername, CALL_GETPEERNAME, WHEN_REMAPPED, ASKED, {0}),

    TRAP(NR_sendto, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), HAS_BIT(3, KERNEL_MSG_FASTOPEN)),
    TRAP(NR_sendto, CALL_SENDTO, WHEN_SENDS, ASKED, IS_GIVEN(4)),
    TRAP(NR_sendmsg, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), HAS_BIT(2, KERNEL_MSG_FASTOPEN)),
    TRAP(NR_sendmsg, CALL_SENDMSG, WHEN_SENDS, ASKED, {0}),
    TRAP(NR_sendmmsg, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), HAS_BIT(3, KERNEL_MSG_FASTOPEN)),
    TRAP(NR_sendmmsg, CALL_SENDMMSG, WHEN_SENDS, ASKED, {0}),
    TRAP(NR_sendto, CALL_SENDTO, WHEN_LEARNING, ASKED, {0}),
    TRAP(NR_write, CALL_WRITE, WHEN_LEARNING, ASKED, {0}),
    TRAP(NR_writev, CALL_WRITE, WHEN_LEARNING, ASKED, {0}),

    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_STREAM), IS(2, 0)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_STREAM), IS(2, IPPROTO_TCP)),
    TRAP(NR_socket, CALL_NONE, WHEN_UDP, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_DGRAM), IS(2, 0)),
    TRAP(NR_socket, CALL_NONE, WHEN_UDP, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_UDP)),
    TRAP(NR_socket, CALL_NONE, WHEN_ICMP, ALLOWED, IS(0, AF_INET), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_ICMP)),
    TRAP(NR_socket, CALL_NONE, WHEN_ICMP, ALLOWED, IS(0, AF_INET6), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_ICMPV6)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_STREAM), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_SEQPACKET), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socket, CALL_NONE, WHEN_SENDS, ALLOWED, IS(0, AF_UNIX), IS_DGRAM_OR_RAW(1), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 0 /* ROUTE */)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 4 /* SOCK_DIAG */)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 15 /* KOBJECT_UEVENT */)),
    TRAP(NR_socket, CALL_SOCKET, ALWAYS, ASKED, {0}),

    TRAP(NR_socketpair, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_STREAM), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socketpair, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_SEQPACKET), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socketpair, CALL_NONE, WHEN_SENDS, ALLOWED, IS(0, AF_UNIX), IS_DGRAM_OR_RAW(1), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socketpair, CALL_SOCKET, ALWAYS, ASKED, {0}),

    /* What makes a packet go elsewhere than its checked destination, or lets a send connect. */
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_RTHDR, "IPV6_RTHDR"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, KERNEL_IPV6_2292RTHDR, "IPV6_2292RTHDR"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, KERNEL_IPV6_2292PKTOPTIONS, "IPV6_2292PKTOPTIONS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, KERNEL_IPV6_2292HOPOPTS, "IPV6_2292HOPOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, KERNEL_IPV6_2292DSTOPTS, "IPV6_2292DSTOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_RTHDRDSTOPTS, "IPV6_RTHDRDSTOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_HOPOPTS, "IPV6_HOPOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_DSTOPTS, "IPV6_DSTOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, 32, "IPV6_FLOWLABEL_MGR"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_XFRM_POLICY, "IPV6_XFRM_POLICY"),
    REFUSED_OPTION(ALWAYS, SOL_IP, IP_OPTIONS, "IP_OPTIONS"),
    REFUSED_OPTION(ALWAYS, SOL_IP, IP_XFRM_POLICY, "IP_XFRM_POLICY"),
    REFUSED_OPTION(ALWAYS, IPPROTO_TCP, TCP_REPAIR_OPTION, "TCP_REPAIR"),
    REFUSED_OPTION(ALWAYS, SOL_SOCKET, SO_MARK, "SO_MARK"),
    /* What has a close wait, which may be ours. */
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_SOCKET), IS(2, SO_LINGER)),
    /* What lets others bind a port, which may be one that something is on its way to, or that others have. */
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, WHEN_REMAPPED, ASKED, IS(1, SOL_SOCKET), IS(2, SO_REUSEADDR)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, WHEN_UDP, ASKED, IS(1, SOL_SOCKET), IS(2, SO_REUSEADDR)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, WHEN_UDP, ASKED, IS(1, SOL_SOCKET), IS(2, SO_REUSEPORT)),
    TRAP(NR_getsockopt, CALL_GETSOCKOPT, WHEN_UDP, ASKED, IS(1, SOL_SOCKET), IS(2, SO_REUSEADDR)),
    TRAP(NR_getsockopt, CALL_GETSOCKOPT, WHEN_UDP, ASKED, IS(1, SOL_SOCKET), IS(2, SO_REUSEPORT)),
    /* Joining a multicast group sends a report: done on behalf, as a send to that group. */
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, IP_ADD_MEMBERSHIP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, IP_ADD_SOURCE_MEMBERSHIP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, MCAST_JOIN_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, MCAST_JOIN_SOURCE_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IPV6), IS(2, IPV6_JOIN_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IPV6), IS(2, MCAST_JOIN_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IPV6), IS(2, MCAST_JOIN_SOURCE_GROUP)),
    REFUSED_OPTION(ALWAYS, SOL_IP, IP_MSFILTER, "IP_MSFILTER"),
    REFUSED_OPTION(ALWAYS, SOL_IP, MCAST_MSFILTER, "MCAST_MSFILTER"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, MCAST_MSFILTER, "MCAST_MSFILTER"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_JOIN_ANYCAST, "IPV6_JOIN_ANYCAST"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_SOCKET, SO_BINDTODEVICE, "SO_BINDTODEVICE"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_SOCKET, 62, "SO_BINDTOIFINDEX"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IP, 50, "IP_UNICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IP, IP_MULTICAST_IF, "IP_MULTICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IPV6, 76, "IPV6_UNICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IPV6, IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IPV6, IPV6_PKTINFO, "IPV6_PKTINFO"),
    /* A source that isn't ours, which IPv6 sends from: the answer goes to whom it names. */
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IP, IP_FREEBIND, "IP_FREEBIND"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IPV6, 78, "IPV6_FREEBIND"),
    TRAP(NR_setsockopt, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), IS(1, IPPROTO_TCP), IS(2, TCP_FASTOPEN_CONNECT_OPTION)),
    TRAP(NR_setsockopt, CALL_NONE, WHEN_SENDS, FAILS(EOPNOTSUPP), IS(1, SOL_SOCKET), IS(2, KERNEL_SO_ZEROCOPY)),

    TRAP(NR_getpeername, CALL_GETPEERNAME, WHEN_HTTP, ASKED, {0}),

    /* What could read /etc/hosts: no writing, creating, directory or O_PATH. */
    TRAP(NR_open, CALL_OPEN, WHEN_HOSTS, ASKED, READS_A_FILE(1)),
    TRAP(NR_openat, CALL_OPEN, WHEN_HOSTS, ASKED, READS_A_FILE(2)),
    TRAP(NR_openat2, CALL_OPEN, WHEN_HOSTS, ASKED, {0}),
    /* As pam_loginuid opens what it writes. */
    TRAP(NR_open, CALL_OPEN, WHEN_KNOBS, ASKED, WRITES_NO_LINK(1)),
    TRAP(NR_openat, CALL_OPEN, WHEN_KNOBS, ASKED, WRITES_NO_LINK(2)),

    /* Ways around the filter, or around whose descriptors and memory we read. */
    TRAP(NR_io_uring_setup, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_io_uring_enter, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_io_uring_register, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_clone3, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_clone, CALL_NONE, ALWAYS, FAILS(EPERM), {BPF_EQUAL, 0, SPLIT_TABLE, CLONE_FILES}),
    TRAP(NR_clone, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), {BPF_EQUAL, 0, SPLIT_TABLE, CLONE_THREAD}),
    TRAP(NR_unshare, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), HAS_BIT(0, CLONE_FILES)),
    TRAP(NR_close_range, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), HAS_BIT(2, CLOSE_RANGE_SPLIT)),

    /* What would hide whose descendant a process is (lineage.h). */
    TRAP(NR_clone, CALL_NONE, WHEN_NAMED, FAILS(EPERM), {BPF_EQUAL, 0, CLONE_PARENT | CLONE_THREAD, CLONE_PARENT}),
    TRAP(NR_prctl, CALL_REAPER, WHEN_NAMED, ASKED, IS(0, PR_SET_CHILD_SUBREAPER), IS_GIVEN(1)),

    /* A Landlock domain of the command's own doesn't hold what we do on behalf. */
    TRAP(NR_landlock_create_ruleset, CALL_RULESET, WHEN_LANDLOCKED, ASKED, {0}),

    /* Without CAP_SYS_PTRACE we couldn't look into it any more: the call does nothing, and returns 0. */
    TRAP(NR_prctl, CALL_NONE, WHEN_UNPRIVILEGED, FAILS(0), IS(0, PR_SET_DUMPABLE), IS(1, 0)),

    /* The kernel tells a process's groups with all else that it tells of it: tens of thousands take milliseconds. */
    TRAP(NR_setgroups, CALL_NONE, ALWAYS, FAILS(EINVAL), HAS_BIT(0, ~(uint32_t)(CREDS_GROUPS_MAX - 1))),

    /* What reaches into other processes, or lets others act. */
    REFUSED(NR_ptrace, GROUP_TRACE),
    REFUSED(NR_process_vm_readv, GROUP_TRACE),
    REFUSED(NR_process_vm_writev, GROUP_TRACE),
    REFUSED(NR_process_madvise, GROUP_TRACE),
    REFUSED(NR_pidfd_getfd, GROUP_TRACE),
    REFUSED(NR_kcmp, GROUP_TRACE),
    REFUSED(NR_perf_event_open, GROUP_PERF),
    REFUSED(NR_bpf, GROUP_BPF),
    REFUSED(NR_keyctl, GROUP_KEYS),
    REFUSED(NR_add_key, GROUP_KEYS),
    REFUSED(NR_request_key, GROUP_KEYS),
    REFUSED(NR_move_pages, GROUP_TRACE),
    REFUSED(NR_migrate_pages, GROUP_TRACE),
    TRAP(NR_prlimit64, CALL_PRLIMIT, ALWAYS, ASKED, IS_NOT(0, 0), IS_GIVEN(2)),
    TRAP(NR_sched_setaffinity, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_sched_setscheduler, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_sched_setparam, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_sched_setattr, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_setpriority, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, PRIO_PROCESS)),
    TRAP(NR_setpriority, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(1, 0)),
    TRAP(NR_ioprio_set, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, IOPRIO_PROCESS)),
    TRAP(NR_ioprio_set, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(1, 0)),
    TRAP(NR_kill, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_tkill, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_tgkill, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_rt_sigqueueinfo, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_rt_tgsigqueueinfo, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_pidfd_send_signal, CALL_NONE, WHEN_UNSCOPED, FAILS(EPERM), {0}),
    TRAP(NR_fcntl, CALL_NONE, WHEN_UNOWNED, FAILS(EPERM), IS(1, F_SETOWN)),
    TRAP(NR_fcntl, CALL_NONE, WHEN_UNOWNED, FAILS(EPERM), IS(1, F_SETOWN_EX)),
    /* A terminal that nobody owns gives its signals to its foreground group, of which we are one. */
    TRAP(NR_fcntl, CALL_NONE, WHEN_UNOWNED, FAILS(EPERM), IS(1, F_SETFL), HAS_BIT(2, O_ASYNC)),
    TRAP(NR_ioctl, CALL_NONE, WHEN_UNOWNED, FAILS(EPERM), IS(1, 0x5452 /* FIOASYNC */)),
    TRAP(NR_ioctl, CALL_NONE, WHEN_UNOWNED, FAILS(EPERM), IS(1, 0x8901 /* FIOSETOWN */)),
    TRAP(NR_ioctl, CALL_NONE, WHEN_UNOWNED, FAILS(EPERM), IS(1, 0x8902 /* SIOCSPGRP */)),

    /* Other views of files and networks. */
    REFUSED(NR_mount, GROUP_MOUNT),
    REFUSED(NR_umount2, GROUP_MOUNT),
    REFUSED(NR_pivot_root, GROUP_MOUNT),
    REFUSED(NR_move_mount, GROUP_MOUNT),
    REFUSED(NR_open_tree, GROUP_MOUNT),
    REFUSED(NR_open_tree_attr, GROUP_MOUNT),
    REFUSED(NR_fsopen, GROUP_MOUNT),
    REFUSED(NR_fsconfig, GROUP_MOUNT),
    REFUSED(NR_fsmount, GROUP_MOUNT),
    REFUSED(NR_fspick, GROUP_MOUNT),
    REFUSED(NR_mount_setattr, GROUP_MOUNT),
    REFUSED(NR_setns, GROUP_NAMESPACES),
    {NR_unshare, CALL_NONE, ALWAYS, FAILS(EPERM), {HAS_BIT(0, NEW_NAMESPACES | NEW_TIME)}, NULL, GROUP_NAMESPACES},
    {NR_clone, CALL_NONE, ALWAYS, FAILS(EPERM), {HAS_BIT(0, NEW_NAMESPACES)}, NULL, GROUP_NAMESPACES},
    REFUSED(NR_open_by_handle_at, GROUP_HANDLES),
    REFUSED(NR_fanotify_init, GROUP_FANOTIFY),

    /* The machine itself. */
    REFUSED(NR_init_module, GROUP_MODULES),
    REFUSED(NR_finit_module, GROUP_MODULES),
    REFUSED(NR_delete_module, GROUP_MODULES),
    REFUSED(NR_kexec_load, GROUP_MACHINE),
    REFUSED(NR_kexec_file_load, GROUP_MACHINE),
    REFUSED(NR_swapon, GROUP_MACHINE),
    REFUSED(NR_swapoff, GROUP_MACHINE),
    REFUSED(NR_reboot, GROUP_MACHINE),
    REFUSED(NR_quotactl, GROUP_MACHINE),
    REFUSED(NR_quotactl_fd, GROUP_MACHINE),
    REFUSED(NR_acct, GROUP_MACHINE),
    REFUSED(NR_iopl, GROUP_MACHINE),
    REFUSED(NR_ioperm, GROUP_MACHINE),
    {NR_mknod, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 1, S_IFMT, S_IFCHR}}, NULL, GROUP_MACHINE},
    {NR_mknod, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 1, S_IFMT, S_IFBLK}}, NULL, GROUP_MACHINE},
    {NR_mknodat, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 2, S_IFMT, S_IFCHR}}, NULL, GROUP_MACHINE},
    {NR_mknodat, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 2, S_IFMT, S_IFBLK}}, NULL, GROUP_MACHINE},
    TRAP(NR_personality, CALL_NONE, ALWAYS, ALLOWED, IS(0, UINT32_MAX)), /* only asks which it is */
    {NR_personality, CALL_NONE, ALWAYS, FAILS(EPERM), {HAS_BIT(0, ~(uint32_t)PERSONALITY_HARMLESS)}, NULL,
     GROUP_PERSONALITY},

    /* ioctl: what types into terminals, makes packets, or changes interfaces and routes. Of the socket ioctls only
     * those that read are let through. */
    REFUSED_IOCTL(0x5412 /* TIOCSTI */, GROUP_TTY),
    REFUSED_IOCTL(0x541C /* TIOCLINUX */, GROUP_TTY),
    REFUSED_IOCTL(0x5501 /* UI_DEV_CREATE: a keyboard */, GROUP_TTY),
    REFUSED_IOCTL(0xAA00 /* USERFAULTFD_IOC_NEW */, GROUP_USERFAULTFD),
    REFUSED(NR_userfaultfd, GROUP_USERFAULTFD),
    REFUSED_IOCTL(0x400454CA /* TUNSETIFF */, GROUP_INTERFACES),
    {NR_ioctl, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 1, 0xFF00, 0xAF00}}, NULL, GROUP_INTERFACES}, /* VHOST_* */
    TRAP(NR_ioctl, CALL_NONE, ALWAYS, ALLOWED, {BPF_UNLIKE, 1, 0xFFFFFF00, 0x8900}),
    TRAP(NR_ioctl, CALL_NONE, ALWAYS, ALLOWED, {BPF_EQUAL, 1, 0xFFFFFFF0, 0x8900}), /* FIOSETOWN .. */
    PERMITTED_IOCTL(0x8910 /* SIOCGIFNAME */),
    PERMITTED_IOCTL(0x8912 /* SIOCGIFCONF */),
    PERMITTED_IOCTL(0x8913 /* SIOCGIFFLAGS */),
    PERMITTED_IOCTL(0x8915 /* SIOCGIFADDR */),
    PERMITTED_IOCTL(0x8917 /* SIOCGIFDSTADDR */),
    PERMITTED_IOCTL(0x8919 /* SIOCGIFBRDADDR */),
    PERMITTED_IOCTL(0x891B /* SIOCGIFNETMASK */),
    PERMITTED_IOCTL(0x891D /* SIOCGIFMETRIC */),
    PERMITTED_IOCTL(0x8921 /* SIOCGIFMTU */),
    PERMITTED_IOCTL(0x8927 /* SIOCGIFHWADDR */),
    PERMITTED_IOCTL(0x8929 /* SIOCGIFSLAVE */),
    PERMITTED_IOCTL(0x8933 /* SIOCGIFINDEX */),
    PERMITTED_IOCTL(0x8938 /* SIOCGIFCOUNT */),
    PERMITTED_IOCTL(0x8942 /* SIOCGIFTXQLEN */),
    PERMITTED_IOCTL(0x894B /* SIOCOUTQNSD */),
    PERMITTED_IOCTL(0x8946 /* SIOCETHTOOL: its changes take CAP_NET_ADMIN */),
    PERMITTED_IOCTL(0x8954 /* SIOCGARP */),
    PERMITTED_IOCTL(0x8970 /* SIOCGIFMAP */),
    {NR_ioctl, CALL_NONE, ALWAYS, FAILS(EPERM), {{0}}, NULL, GROUP_INTERFACES},
};

/* Is this row part of the filter? */
static bool trap_applies(const struct trap *trap, bool leaders_table)
{
    if (settings.allowed_groups & 1u << trap->group)
        return false;
    switch (trap->when) {
    case ALWAYS:
        return true;
    case WHEN_UDP:
        return policy.open[PROTOCOL_UDP];
    case WHEN_ICMP:
        return policy.open[PROTOCOL_ICMP];
    case WHEN_SENDS:
        return policy.traps_sends;
    case WHEN_HTTP:
        return policy_has_http();
    case WHEN_LEARNING:
        return policy.undecided == UNDECIDED_LEARNED;
    case WHEN_HOSTS:
        return ((policy.n_names > 0 || settings.live) && !settings.no_hosts) ||
               policy.undecided == UNDECIDED_LEARNED;
    case WHEN_KNOBS:
        return settings.closes_knobs;
    case WHEN_UNSTEERED:
        return !settings.allow_steering;
    case WHEN_REMAPPED:
        return settings.port_remap;
    case WHEN_UNSCOPED:
        return settings.unscoped;
    case WHEN_UNOWNED:
        return settings.unowned;
    case WHEN_LANDLOCKED:
        return settings.landlocked;
    case WHEN_UNPRIVILEGED:
        return settings.unprivileged;
    case WHEN_LEADERS_TABLE:
        return leaders_table;
    case WHEN_NAMED:
        return settings.name != NULL;
    }
    return true;
}

/* Without pidfd_getfd(2): does this row permit sockets that we have to make ourselves, so as to hold them? Of pairs
 * only those whose ends can send to any address: held by us, the others would close later than the command closes
 * them. */
static bool trap_makes_socket(const struct trap *trap)
{
    return settings.no_getfd && trap->result == ALLOWED &&
           (trap->number == NR_socket || (trap->number == NR_socketpair && trap->when == WHEN_SENDS));
}

/* The filter of this policy. leaders_table: the kernel can only read a leader's descriptors (no PIDFD_THREAD). */
static int traps_assemble(struct bpf_program *program, enum machine machine, bool leaders_table)
{
    struct bpf_row rows[ARRAY_LEN(traps) + DENIED_CALLS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < settings.n_denied_calls; i++) /* first: they go before every row of ours */
        rows[n++] = (struct bpf_row){.number = number_on(settings.denied_calls[i], machine), .result = FAILS(EPERM)};

    for (size_t i = 0; i < ARRAY_LEN(traps); i++) {
        if (!trap_applies(&traps[i], leaders_table))
            continue;
        rows[n].number = number_on(traps[i].number, machine);
        rows[n].result = trap_makes_socket(&traps[i]) ? ASKED : traps[i].result;
        memcpy(rows[n].conditions, traps[i].conditions, sizeof rows[n].conditions);
        n++;
    }
    return bpf_assemble(program, machine, rows, n, SECCOMP_RET_ALLOW);
}

/* The row that trapped this call; NULL: none. */
static const struct trap *trap_of(int number, const uint64_t args[6])
{
    for (size_t i = 0; i < ARRAY_LEN(traps); i++)
        if (number_on(traps[i].number, MACHINE_OURS) == number && trap_applies(&traps[i], false) &&
            bpf_matches(traps[i].conditions, args))
            return &traps[i];
    return NULL;
}

enum { CALLS_MAX = 512 }; /* above every trapped call's number */

/* The kind of each system call of this machine, as enum call. */
static uint8_t call_of_number[CALLS_MAX];

static void calls_init(void)
{
    for (size_t i = 0; i < ARRAY_LEN(traps); i++) {
        int number = number_on(traps[i].number, MACHINE_OURS);

        if (traps[i].call != CALL_NONE && number >= 0)
            call_of_number[number] = (uint8_t)traps[i].call;
    }
}

#endif

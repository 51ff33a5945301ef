/* kernel.h - the kernel's interface where libc has none: constants, both machines' numbers, wrappers (syscalls(2)) */
#ifndef KERNEL_H
#define KERNEL_H

#include "base.h"

#include <linux/audit.h>
#include <linux/ioctl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* Newer than the oldest headers we build with. */
enum {
    KERNEL_PIDFD_THREAD = 0200,   /* pidfd_open(2), Linux 6.9: O_EXCL */
    KERNEL_SO_COOKIE = 57,        /* socket(7) */
    KERNEL_SO_ZEROCOPY = 60,      /* socket(7) */
    KERNEL_SO_TXTIME = 61,        /* SCM_TXTIME too */
    KERNEL_SO_PEERPIDFD = 77,     /* 6.5 */
    KERNEL_IPV6_2292PKTINFO = 2,  /* RFC 2292's and others that libc doesn't name: include/uapi/linux/in6.h */
    KERNEL_IPV6_2292HOPOPTS = 3,
    KERNEL_IPV6_2292DSTOPTS = 4,
    KERNEL_IPV6_2292RTHDR = 5,
    KERNEL_IPV6_2292PKTOPTIONS = 6,
    KERNEL_IPV6_FLOWINFO = 11,
    KERNEL_SOL_UDP = 17,
    KERNEL_SOL_TLS = 282,
    KERNEL_UDP_CORK = 1,          /* udp(7) */
    KERNEL_UDP_SEGMENT = 103,
    KERNEL_TLS_SET_RECORD_TYPE = 1, /* Documentation/networking/tls.rst */
    KERNEL_CLOSE_RANGE_CLOEXEC = 4, /* close_range(2), Linux 5.11 */
    KERNEL_AF_MAX = 46,           /* include/linux/socket.h */
    KERNEL_IPPROTO_MPTCP = 262,   /* include/uapi/linux/in.h */
    KERNEL_MSG_ZEROCOPY = 0x4000000,
    KERNEL_MSG_FASTOPEN = 0x20000000,
    KERNEL_RESOLVE_CACHED = 0x20,    /* openat2(2), Linux 5.12 */
    KERNEL_RWF_NOWAIT = 8,           /* pwritev2(2) */
    KERNEL_ERESTARTSYS = 512,        /* include/linux/errno.h: never seen by a program whose thread has a signal */
};

#define KERNEL_MSG_CMSG_COMPAT 0x80000000U                         /* include/linux/socket.h */
#define KERNEL_WAIT_KILLABLE_RECV (1UL << 5)                       /* seccomp(2), Linux 5.19 */
#define KERNEL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)            /* seccomp_unotify(2), Linux 6.6 */
#define KERNEL_NOTIF_SYNC_WAKE_UP 1UL                              /* its one flag */

/* Syscall numbers of both machines in one value, so that one machine can build and test the other's filter. -1: the
 * machine has no such call. asm/unistd_64.h and asm-generic/unistd.h; the unit test holds them against the headers. */
#define SYSCALL_NUMBERS(x86_64, aarch64) ((x86_64) * 0x10000 + ((aarch64) & 0xffff))

enum syscall_number {
    NR_read = SYSCALL_NUMBERS(0, 63),
    NR_write = SYSCALL_NUMBERS(1, 64),
    NR_open = SYSCALL_NUMBERS(2, -1),
    NR_close = SYSCALL_NUMBERS(3, 57),
    NR_stat = SYSCALL_NUMBERS(4, -1),
    NR_fstat = SYSCALL_NUMBERS(5, 80),
    NR_poll = SYSCALL_NUMBERS(7, -1),
    NR_lseek = SYSCALL_NUMBERS(8, 62),
    NR_mmap = SYSCALL_NUMBERS(9, 222),
    NR_mprotect = SYSCALL_NUMBERS(10, 226),
    NR_munmap = SYSCALL_NUMBERS(11, 215),
    NR_brk = SYSCALL_NUMBERS(12, 214),
    NR_rt_sigaction = SYSCALL_NUMBERS(13, 134),
    NR_rt_sigprocmask = SYSCALL_NUMBERS(14, 135),
    NR_rt_sigreturn = SYSCALL_NUMBERS(15, 139),
    NR_ioctl = SYSCALL_NUMBERS(16, 29),
    NR_pread64 = SYSCALL_NUMBERS(17, 67),
    NR_pwrite64 = SYSCALL_NUMBERS(18, 68),
    NR_readv = SYSCALL_NUMBERS(19, 65),
    NR_writev = SYSCALL_NUMBERS(20, 66),
    NR_access = SYSCALL_NUMBERS(21, -1),
    NR_mremap = SYSCALL_NUMBERS(25, 216),
    NR_madvise = SYSCALL_NUMBERS(28, 233),
    NR_nanosleep = SYSCALL_NUMBERS(35, 101),
    NR_setitimer = SYSCALL_NUMBERS(38, 103),
    NR_getpid = SYSCALL_NUMBERS(39, 172),
    NR_socket = SYSCALL_NUMBERS(41, 198),
    NR_connect = SYSCALL_NUMBERS(42, 203),
    NR_sendto = SYSCALL_NUMBERS(44, 206),
    NR_recvfrom = SYSCALL_NUMBERS(45, 207),
    NR_sendmsg = SYSCALL_NUMBERS(46, 211),
    NR_recvmsg = SYSCALL_NUMBERS(47, 212),
    NR_shutdown = SYSCALL_NUMBERS(48, 210),
    NR_bind = SYSCALL_NUMBERS(49, 200),
    NR_listen = SYSCALL_NUMBERS(50, 201),
    NR_getsockname = SYSCALL_NUMBERS(51, 204),
    NR_getpeername = SYSCALL_NUMBERS(52, 205),
    NR_socketpair = SYSCALL_NUMBERS(53, 199),
    NR_setsockopt = SYSCALL_NUMBERS(54, 208),
    NR_getsockopt = SYSCALL_NUMBERS(55, 209),
    NR_clone = SYSCALL_NUMBERS(56, 220),
    NR_exit = SYSCALL_NUMBERS(60, 93),
    NR_wait4 = SYSCALL_NUMBERS(61, 260),
    NR_kill = SYSCALL_NUMBERS(62, 129),
    NR_fcntl = SYSCALL_NUMBERS(72, 25),
    NR_ftruncate = SYSCALL_NUMBERS(77, 46),
    NR_readlink = SYSCALL_NUMBERS(89, -1),
    NR_getrusage = SYSCALL_NUMBERS(98, 165),
    NR_ptrace = SYSCALL_NUMBERS(101, 117),
    NR_getuid = SYSCALL_NUMBERS(102, 174),
    NR_getgid = SYSCALL_NUMBERS(104, 176),
    NR_geteuid = SYSCALL_NUMBERS(107, 175),
    NR_getegid = SYSCALL_NUMBERS(108, 177),
    NR_getppid = SYSCALL_NUMBERS(110, 173),
    NR_fchdir = SYSCALL_NUMBERS(81, 50),
    NR_umask = SYSCALL_NUMBERS(95, 166),
    NR_setgroups = SYSCALL_NUMBERS(116, 159),
    NR_setresuid = SYSCALL_NUMBERS(117, 147),
    NR_setresgid = SYSCALL_NUMBERS(119, 149),
    NR_getpgid = SYSCALL_NUMBERS(121, 155),
    NR_getsid = SYSCALL_NUMBERS(124, 156),
    NR_capget = SYSCALL_NUMBERS(125, 90),
    NR_capset = SYSCALL_NUMBERS(126, 91),
    NR_rt_sigtimedwait = SYSCALL_NUMBERS(128, 137),
    NR_rt_sigqueueinfo = SYSCALL_NUMBERS(129, 138),
    NR_mknod = SYSCALL_NUMBERS(133, -1),
    NR_personality = SYSCALL_NUMBERS(135, 92),
    NR_fstatfs = SYSCALL_NUMBERS(138, 44),
    NR_setpriority = SYSCALL_NUMBERS(141, 140),
    NR_sched_setparam = SYSCALL_NUMBERS(142, 118),
    NR_sched_setscheduler = SYSCALL_NUMBERS(144, 119),
    NR_pivot_root = SYSCALL_NUMBERS(155, 41),
    NR_prctl = SYSCALL_NUMBERS(157, 167),
    NR_sync = SYSCALL_NUMBERS(162, 81),
    NR_acct = SYSCALL_NUMBERS(163, 89),
    NR_mount = SYSCALL_NUMBERS(165, 40),
    NR_umount2 = SYSCALL_NUMBERS(166, 39),
    NR_swapon = SYSCALL_NUMBERS(167, 224),
    NR_swapoff = SYSCALL_NUMBERS(168, 225),
    NR_reboot = SYSCALL_NUMBERS(169, 142),
    NR_iopl = SYSCALL_NUMBERS(172, -1),
    NR_ioperm = SYSCALL_NUMBERS(173, -1),
    NR_init_module = SYSCALL_NUMBERS(175, 105),
    NR_delete_module = SYSCALL_NUMBERS(176, 106),
    NR_quotactl = SYSCALL_NUMBERS(179, 60),
    NR_gettid = SYSCALL_NUMBERS(186, 178),
    NR_tkill = SYSCALL_NUMBERS(200, 130),
    NR_futex = SYSCALL_NUMBERS(202, 98),
    NR_sched_setaffinity = SYSCALL_NUMBERS(203, 122),
    NR_getdents64 = SYSCALL_NUMBERS(217, 61),
    NR_restart_syscall = SYSCALL_NUMBERS(219, 128),
    NR_clock_gettime = SYSCALL_NUMBERS(228, 113),
    NR_clock_nanosleep = SYSCALL_NUMBERS(230, 115),
    NR_exit_group = SYSCALL_NUMBERS(231, 94),
    NR_epoll_wait = SYSCALL_NUMBERS(232, -1),
    NR_epoll_ctl = SYSCALL_NUMBERS(233, 21),
    NR_tgkill = SYSCALL_NUMBERS(234, 131),
    NR_kexec_load = SYSCALL_NUMBERS(246, 104),
    NR_add_key = SYSCALL_NUMBERS(248, 217),
    NR_request_key = SYSCALL_NUMBERS(249, 218),
    NR_keyctl = SYSCALL_NUMBERS(250, 219),
    NR_ioprio_set = SYSCALL_NUMBERS(251, 30),
    NR_migrate_pages = SYSCALL_NUMBERS(256, 238),
    NR_openat = SYSCALL_NUMBERS(257, 56),
    NR_mknodat = SYSCALL_NUMBERS(259, 33),
    NR_newfstatat = SYSCALL_NUMBERS(262, 79),
    NR_unlinkat = SYSCALL_NUMBERS(263, 35),
    NR_readlinkat = SYSCALL_NUMBERS(267, 78),
    NR_faccessat = SYSCALL_NUMBERS(269, 48),
    NR_ppoll = SYSCALL_NUMBERS(271, 73),
    NR_unshare = SYSCALL_NUMBERS(272, 97),
    NR_splice = SYSCALL_NUMBERS(275, 76),
    NR_move_pages = SYSCALL_NUMBERS(279, 239),
    NR_epoll_pwait = SYSCALL_NUMBERS(281, 22),
    NR_accept4 = SYSCALL_NUMBERS(288, 242),
    NR_pipe2 = SYSCALL_NUMBERS(293, 59),
    NR_rt_tgsigqueueinfo = SYSCALL_NUMBERS(297, 240),
    NR_perf_event_open = SYSCALL_NUMBERS(298, 241),
    NR_fanotify_init = SYSCALL_NUMBERS(300, 262),
    NR_prlimit64 = SYSCALL_NUMBERS(302, 261),
    NR_open_by_handle_at = SYSCALL_NUMBERS(304, 265),
    NR_sendmmsg = SYSCALL_NUMBERS(307, 269),
    NR_setns = SYSCALL_NUMBERS(308, 268),
    NR_process_vm_readv = SYSCALL_NUMBERS(310, 270),
    NR_process_vm_writev = SYSCALL_NUMBERS(311, 271),
    NR_kcmp = SYSCALL_NUMBERS(312, 272),
    NR_finit_module = SYSCALL_NUMBERS(313, 273),
    NR_sched_setattr = SYSCALL_NUMBERS(314, 274),
    NR_getrandom = SYSCALL_NUMBERS(318, 278),
    NR_kexec_file_load = SYSCALL_NUMBERS(320, 294),
    NR_memfd_create = SYSCALL_NUMBERS(319, 279),
    NR_bpf = SYSCALL_NUMBERS(321, 280),
    NR_userfaultfd = SYSCALL_NUMBERS(323, 282),
    NR_pwritev2 = SYSCALL_NUMBERS(328, 287),
    NR_pidfd_send_signal = SYSCALL_NUMBERS(424, 424),
    NR_io_uring_setup = SYSCALL_NUMBERS(425, 425),
    NR_io_uring_enter = SYSCALL_NUMBERS(426, 426),
    NR_io_uring_register = SYSCALL_NUMBERS(427, 427),
    NR_open_tree = SYSCALL_NUMBERS(428, 428),
    NR_move_mount = SYSCALL_NUMBERS(429, 429),
    NR_fsopen = SYSCALL_NUMBERS(430, 430),
    NR_fsconfig = SYSCALL_NUMBERS(431, 431),
    NR_fsmount = SYSCALL_NUMBERS(432, 432),
    NR_fspick = SYSCALL_NUMBERS(433, 433),
    NR_pidfd_open = SYSCALL_NUMBERS(434, 434),
    NR_clone3 = SYSCALL_NUMBERS(435, 435),
    NR_close_range = SYSCALL_NUMBERS(436, 436),
    NR_openat2 = SYSCALL_NUMBERS(437, 437),
    NR_pidfd_getfd = SYSCALL_NUMBERS(438, 438),
    NR_faccessat2 = SYSCALL_NUMBERS(439, 439),
    NR_process_madvise = SYSCALL_NUMBERS(440, 440),
    NR_mount_setattr = SYSCALL_NUMBERS(442, 442),
    NR_quotactl_fd = SYSCALL_NUMBERS(443, 443),
    NR_landlock_create_ruleset = SYSCALL_NUMBERS(444, 444),
    NR_landlock_restrict_self = SYSCALL_NUMBERS(446, 446),
    NR_open_tree_attr = SYSCALL_NUMBERS(467, 467),
};

/* A machine: what its filter compares with, and the half of an enum syscall_number that is its own. */
enum machine { MACHINE_X86_64, MACHINE_AARCH64 };

#if defined(__x86_64__)
#define MACHINE_OURS MACHINE_X86_64
#elif defined(__aarch64__)
#define MACHINE_OURS MACHINE_AARCH64
#else
#error "sandlock runs on x86_64 and aarch64"
#endif

/* The number on one machine; negative: it has none. */
static int number_on(enum syscall_number number, enum machine machine)
{
    switch (machine) {
    case MACHINE_X86_64:
        return (int16_t)((uint32_t)number >> 16);
    case MACHINE_AARCH64:
        return (int16_t)number;
    }
    return -1;
}

/* struct user_msghdr (include/linux/socket.h): what the kernel reads. libc's differs in the widths of two lengths. */
struct kernel_msghdr {
    uint64_t name;
    int32_t namelen;
    uint32_t pad;
    uint64_t iov;
    uint64_t iovlen;
    uint64_t control;
    uint64_t controllen;
    uint32_t flags;
    uint32_t pad2;
};

/* struct mmsghdr: one of sendmmsg(2)'s vector. */
struct kernel_mmsghdr {
    struct kernel_msghdr header;
    uint32_t sent;
    uint32_t pad;
};

static int sys_result(long result)
{
    return result < 0 ? -errno : (int)result;
}

/* A result for somebody else, to whom our own shortage of descriptors is one of buffers. */
static int sys_result_for_other(int result)
{
    return result == -EMFILE || result == -ENFILE ? -ENOBUFS : result;
}

/* ioctl(2) past libc: its request is an int in one libc and a long in another. >= 0 or -errno. */
static int sys_ioctl(int fd, uint32_t request, uintptr_t argument)
{
    return sys_result(syscall(__NR_ioctl, fd, (unsigned long)request, argument));
}

/* seccomp(2): >= 0, or -errno. With SECCOMP_FILTER_FLAG_NEW_LISTENER the result is the listener, close-on-exec. */
static int sys_seccomp(unsigned operation, unsigned long flags, void *args)
{
    return sys_result(syscall(__NR_seccomp, operation, flags, args));
}

/* clone(2) as fork(2), but that the new process shares what these flags name, and ends with the signal in them; without
 * one it is nobody's child to wait for by accident. Its pid, 0 in it, or -errno. */
static pid_t sys_fork(unsigned long flags)
{
    return sys_result(syscall(__NR_clone, flags, 0, 0, 0, 0));
}

/* openat(2), close-on-exec: a descriptor or -errno. libc's open() makes a second call for that flag. */
static int sys_open(const char *path, int flags)
{
    return sys_result(openat(AT_FDCWD, path, flags | O_CLOEXEC));
}

/* pidfd_open(2): a descriptor or -errno; -ESRCH when there is no such process. */
static int sys_pidfd_open(pid_t pid, unsigned flags)
{
    return sys_result(syscall(__NR_pidfd_open, pid, flags));
}

/* pidfd_getfd(2): our own descriptor of the same file, close-on-exec, or -errno (-EBADF: not open there; -ESRCH:
 * gone). */
static int sys_pidfd_getfd(int pidfd, int fd)
{
    return sys_result(syscall(__NR_pidfd_getfd, pidfd, fd, 0));
}

/* pidfd_send_signal(2): 0 or -errno. To one thread where the pidfd was opened with PIDFD_THREAD. */
static int sys_pidfd_send_signal(int pidfd, int sig)
{
    return sys_result(syscall(__NR_pidfd_send_signal, pidfd, sig, NULL, 0));
}

/* tkill(2): 0 or -errno. */
static int sys_tkill(pid_t tid, int sig)
{
    return sys_result(syscall(__NR_tkill, tid, sig));
}

/* close_range(2): close first..last in the caller's table, or what flags say. 0 or -errno. */
static int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
    return sys_result(syscall(__NR_close_range, first, last, flags));
}

/* process_vm_readv(2): bytes read (fewer when the rest can't be read) or -errno. Its flags are a long, on x86_64 on the
 * stack, where compilers leave what they like above an int. */
static ssize_t sys_process_vm_readv(pid_t pid, const struct iovec *local, size_t locals, const struct iovec *remote,
                                    size_t remotes)
{
    ssize_t n = syscall(__NR_process_vm_readv, pid, local, locals, remote, remotes, 0UL);

    return n < 0 ? -errno : n;
}

/* process_vm_writev(2): bytes written (fewer when the rest can't be) or -errno. */
static ssize_t sys_process_vm_writev(pid_t pid, const struct iovec *local, size_t locals, const struct iovec *remote,
                                     size_t remotes)
{
    ssize_t n = syscall(__NR_process_vm_writev, pid, local, locals, remote, remotes, 0UL);

    return n < 0 ? -errno : n;
}

/* sendmsg(2) past libc, whose wrapper limits the control part: bytes sent or -errno. */
static ssize_t sys_sendmsg(int fd, const struct kernel_msghdr *message, int flags)
{
    ssize_t n = syscall(__NR_sendmsg, fd, message, flags);

    return n < 0 ? -errno : n;
}

/* pwritev2(2) of one piece at the file's own position: bytes written or -errno. */
static ssize_t sys_write_flags(int fd, const struct iovec *piece, int flags)
{
    ssize_t n = syscall(__NR_pwritev2, fd, piece, 1, -1L, -1L, flags);

    return n < 0 ? -errno : n;
}

/* openat2(2): a descriptor or -errno. KERNEL_RESOLVE_CACHED is left out where the kernel doesn't know it. */
static int sys_openat2(int directory, const char *path, const struct open_how *how)
{
    struct open_how old = *how;
    int result = sys_result(syscall(__NR_openat2, directory, path, how, sizeof *how));

    old.resolve &= ~(uint64_t)KERNEL_RESOLVE_CACHED;
    if (result == -EINVAL && old.resolve != how->resolve)
        result = sys_result(syscall(__NR_openat2, directory, path, &old, sizeof old));
    return result;
}

/* sendmmsg(2): messages sent or -errno. */
static int sys_sendmmsg(int fd, struct kernel_mmsghdr *messages, unsigned n, int flags)
{
    return sys_result(syscall(__NR_sendmmsg, fd, messages, n, flags));
}

/* An int socket option (socket(7)): its value, or -errno; options whose values can be negative are not for this. */
static int sys_socket_option(int fd, int level, int option)
{
    int value = 0;
    socklen_t len = sizeof value;

    if (getsockopt(fd, level, option, &value, &len) < 0)
        return -errno;
    return value;
}

/* End what a TCP socket has begun, or its connection (connect(2), AF_UNSPEC). 0 or -errno. */
static int sys_disconnect(int fd)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    return sys_result(connect(fd, &nowhere, sizeof nowhere));
}

/* sched_setscheduler(2) past libc, which has none: when this process wakes, the one that runs goes on (SCHED_BATCH,
 * sched(7)). 0 or -errno; where it has another policy than the usual one, that stays. */
static int sys_schedule_as_batch(void)
{
    const struct sched_param priority = {0};

    if (syscall(__NR_sched_getscheduler, 0) != SCHED_OTHER)
        return 0;
    return sys_result(syscall(__NR_sched_setscheduler, 0, SCHED_BATCH, &priority));
}

#endif

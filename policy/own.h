/* own.h - our own limits: the descriptors, calls and capabilities that serving takes */
#ifndef POLICY_OWN_H
#define POLICY_OWN_H

#include "types.h"
#include "call.h"
#include "../sys/base.h"
#include "../sys/bpf.h"
#include "../sys/caps.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"

#include <sys/prctl.h>
#include <sys/resource.h>

/* All that the supervisor calls once it serves; anything else is EPERM, so that nobody who got hold of it can execute a
 * program, mount, trace or load anything. */
#define OWN_CALLS(X)                                                                                                   \
    X(accept4) X(access) X(bind) X(brk) X(capget) X(capset) X(clock_gettime) X(clock_nanosleep) X(clone) X(close)      \
    X(connect) X(epoll_ctl) X(epoll_pwait) X(epoll_wait) X(exit) X(exit_group) X(faccessat) X(faccessat2) X(fchdir)    \
    X(fcntl) X(fstat) X(fstatfs) X(ftruncate) X(futex) X(getdents64) X(getegid) X(geteuid) X(getgid) X(getpeername)    \
    X(getpgid) X(getpid) X(getppid) X(getrandom) X(getrusage) X(getsid) X(getsockname) X(getsockopt) X(gettid)         \
    X(getuid) X(ioctl) X(kill) X(landlock_create_ruleset) X(landlock_restrict_self) X(listen) X(lseek) X(madvise)      \
    X(memfd_create) X(mmap) X(mprotect) X(mremap) X(munmap) X(nanosleep) X(newfstatat) X(open) X(openat) X(openat2)    \
    X(pidfd_getfd) X(pidfd_open) X(pidfd_send_signal) X(pipe2) X(poll) X(ppoll) X(prctl) X(pread64) X(prlimit64)       \
    X(process_vm_readv) X(process_vm_writev) X(pwrite64) X(pwritev2) X(read) X(readlink) X(readlinkat) X(readv)        \
    X(reboot) X(recvfrom) X(recvmsg) X(restart_syscall) X(rt_sigaction) X(rt_sigprocmask) X(rt_sigreturn)              \
    X(rt_sigtimedwait) X(sendmmsg) X(sendmsg) X(sendto) X(setgroups) X(setitimer) X(setresgid) X(setresuid)            \
    X(setsockopt) X(socket) X(socketpair) X(stat) X(sync) X(tgkill) X(tkill) X(umask) X(unlinkat) X(wait4) X(write)    \
    X(writev)

#define OWN_NUMBER(name) NR_##name,
#define OWN_NAME(name) " " #name

static const enum syscall_number own_calls[] = {OWN_CALLS(OWN_NUMBER)};

/* Descriptors for ten thousand waiting calls, where the hard limit has them; the command's own limit stays. */
static void own_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    if (settings.no_getfd && limit.rlim_cur == limit.rlim_max && limit.rlim_max > HOLDER_DESCRIPTORS)
        limit.rlim_cur -= HOLDER_DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A touched byte of ours takes a page, not two megabytes, also where the kernel gives huge ones to all (prctl(2)). */
static void own_stay_small(void)
{
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

/* From here on we hold only the capabilities and calls that serving takes. */
static void own_confine(void)
{
    uint64_t caps = OUR_CAPS | (here.powers_off ? CAPS_BIT(CAP_SYS_BOOT) : 0);
    uint64_t theirs = DEFAULT_CAPS | settings.kept_caps;

    if (settings.no_getfd)
        caps |= CAPS_BIT(CAP_DAC_READ_SEARCH); /* /proc/PID/fd is its owner's, who may be another user than we */
    if (settings.unprivileged)
        caps |= theirs; /* PTRACE_MODE_FSCREDS: /proc/PID/fd and cwd are for who has all of the process's in force */
    int result = caps_limit(theirs | caps, caps);

    if (result < 0)
        die("cannot give up capabilities: %s", strerror(-result));
    result = bpf_permit_only(own_calls, ARRAY_LEN(own_calls));
    if (result < 0)
        die("cannot install our own filter: %s", strerror(-result));
}

#endif

/* features.h - what this kernel, and the container around us, let us do (uname(2), seccomp(2), landlock(7)) */
#ifndef FEATURES_H
#define FEATURES_H

#include "landlock.h"
#include "notify.h"
#include "pin.h"
#include "process.h"
#include "procfs.h"
#include "unixdiag.h"

#include <linux/filter.h>
#include <sys/utsname.h>

/* What tests have left out of what the kernel offers, to be as on older ones: 1 WAIT_KILLABLE_RECV, 2 PIDFD_THREAD,
 * 4 Landlock. */
#ifndef SANDLOCK_LEAVES_OUT
#define SANDLOCK_LEAVES_OUT 0
#endif

struct features {
    bool nested, notify, vm_read, getfd, threads, killable, near, proc, unix_diag;
    int landlock, yama, major, minor, patch;
};

/* A flag that the kernel knows fails for its missing program, an unknown one for itself. */
static bool filter_flag_known(unsigned long flags)
{
    return sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, NULL) == -EFAULT;
}

/* Has another supervisor the notifications already? The kernel says EBUSY to a second one. Tried by a child of its
 * own, as a filter stays. */
static bool features_nested(void)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        _exit(sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) == -EBUSY);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* Ask the kernel. Who has bound a unix socket is told only where each socket of the machine is looked at: `wholly` asks
 * that, too; without, it counts as told. */
static struct features features_ask(bool wholly)
{
    struct features f = {.landlock = SANDLOCK_LEAVES_OUT & 4 ? -EOPNOTSUPP : landlock_abi(), .yama = -1};
    struct utsname name;
    char byte = 1, copy = 0, text[16];
    int self CLOSE_FD = sys_pidfd_open(getpid(), 0);
    int copied CLOSE_FD = sys_pidfd_getfd(self, self);

    if (uname(&name) == 0) {
        char *rest = name.release;
        f.major = (int)strtol(rest, &rest, 10);
        f.minor = *rest == '.' ? (int)strtol(rest + 1, &rest, 10) : 0;
        f.patch = *rest == '.' ? (int)strtol(rest + 1, NULL, 10) : 0;
    }
    f.notify = notify_check_sizes() == 0;
    f.vm_read = child_read(getpid(), (uintptr_t)&byte, &copy, 1) == 0;
    f.getfd = !(SANDLOCK_LEAVES_OUT & 8) && copied >= 0;
    f.nested = (!f.vm_read || !f.getfd) && features_nested();
    f.threads = !(SANDLOCK_LEAVES_OUT & 2) && pin_kernel_has_threads();
    f.killable = !(SANDLOCK_LEAVES_OUT & 1) &&
                 filter_flag_known(SECCOMP_FILTER_FLAG_NEW_LISTENER | KERNEL_WAIT_KILLABLE_RECV);
    f.near = f.major > 6 || (f.major == 6 && f.minor >= 6);
    f.proc = procfs_find();
    f.unix_diag = !wholly || unixdiag_is_there();
    if (process_read("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text) > 0)
        f.yama = text[0] - '0';
    return f;
}

#endif

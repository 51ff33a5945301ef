/* helper.h - processes of our own that nobody waits for by accident (clone(2) without a signal), behind a channel */
#ifndef HELPER_H
#define HELPER_H

#include "bpf.h"
#include "caps.h"
#include "kernel.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct helper {
    int channel; /* SOCK_SEQPACKET, owned; < 0: there is none */
    pid_t pid;
};

/* In the helper, where stdin, stdout and stderr are the same; it has no other descriptor. */
enum { HELPER_CHANNEL = 3 };

/* In the new process: nothing but the channel is left to it; terminals and signals don't concern it. 0 or -errno. */
static int helper_begin(int channel)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    setsid();
    prctl(PR_SET_DUMPABLE, 0);
    for (int fd = 0; fd <= HELPER_CHANNEL; fd++)
        if (fd != channel && dup2(channel, fd) < 0)
            return -errno;
    fcntl(HELPER_CHANNEL, F_SETFD, FD_CLOEXEC);
    return sys_close_range(HELPER_CHANNEL + 1, ~0u, 0);
}

/* Give up all capabilities, and all calls but these; anything else fails with EPERM. 0 or -errno. */
static int helper_confine(const enum syscall_number *calls, size_t n)
{
    int result = caps_limit(0, 0);

    return result < 0 ? result : bpf_permit_only(calls, n);
}

/* Start one, which runs `run` and ends with it. 0 or -errno. */
static int helper_start(struct helper *helper, void (*run)(void))
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pid_t pid = sys_fork(0);
    if (pid == 0) {
        if (helper_begin(ends[1]) == 0)
            run();
        _exit(1);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -EAGAIN;
    }
    *helper = (struct helper){ends[0], pid};
    return 0;
}

/* End it. */
static void helper_end(struct helper *helper)
{
    if (helper->channel < 0)
        return;
    close(helper->channel);
    kill(helper->pid, SIGKILL);
    waitpid(helper->pid, NULL, __WALL);
    helper->channel = -1;
}

#endif

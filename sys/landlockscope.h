/* landlockscope.h - does Landlock's scope hold the signals of descriptors, too (landlock(7), F_SETOWN in fcntl(2))? */
#ifndef LANDLOCKSCOPE_H
#define LANDLOCKSCOPE_H

#include "kernel.h"
#include "landlock.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LANDLOCK_SCOPE_STACK = 8192 }; /* bytes, of one who tries it */

/* What those who try it share with us; a clone with our memory is done sooner than one with a copy of it. */
struct landlock_scope_trial {
    int abi;
    bool holds;
    _Alignas(16) char stacks[2][LANDLOCK_SCOPE_STACK];
};

/* Inside a domain with that scope: have SIGUSR1 sent to the whole process group by a descriptor. 0: it was. */
static int landlock_scope_leave(void *context)
{
    const struct landlock_scope_trial *trial = context;
    struct landlock_domain domain = {.scopes = LANDLOCK_SCOPE_SIGNAL};
    int ends[2], ruleset = landlock_create(trial->abi, domain);

    return ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_enter(ruleset) < 0 ||
           socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || fcntl(ends[0], F_SETOWN, -getpgrp()) < 0 ||
           fcntl(ends[0], F_SETSIG, SIGUSR1) < 0 || fcntl(ends[0], F_SETFL, O_ASYNC) < 0 ||
           write(ends[1], "", 1) != 1;
}

/* In a process group of its own: does nothing come out of the domain? */
static int landlock_scope_watch(void *context)
{
    struct landlock_scope_trial *trial = context;
    const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    sigset_t signals;
    int status = 1;

    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    if (setpgid(0, 0) < 0 || sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return 1;
    pid_t inside = clone(landlock_scope_leave, trial->stacks[1] + LANDLOCK_SCOPE_STACK, flags, trial);
    if (inside < 0 || waitpid(inside, &status, __WALL) != inside || status != 0 || sigpending(&signals) < 0)
        return 1;
    trial->holds = !sigismember(&signals, SIGUSR1);
    return 0;
}

/* Is this version of Linux one that was seen to hold them, or a later one of that series? The trial is spared there. */
static bool landlock_scope_is_mended(int major, int minor, int patch)
{
    return major > 7 || (major == 7 && minor >= 3) || (major == 6 && minor == 18 && patch >= 44);
}

/* Does the scope hold them? Kernels from 6.15 on, and 6.12.23, took a group for the caller's own process when he was
 * its newest, and didn't; it was mended without a mark of it, so it is tried. false in doubt. */
static bool landlock_scope_holds(int abi)
{
    static struct landlock_scope_trial trial;
    const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    pid_t watch = -1;

    trial.abi = abi;
    if (abi >= LANDLOCK_ABI_SCOPE)
        watch = clone(landlock_scope_watch, trial.stacks[0] + LANDLOCK_SCOPE_STACK, flags, &trial);
    return watch > 0 && waitpid(watch, NULL, __WALL) == watch && trial.holds;
}

#endif

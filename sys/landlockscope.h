/* landlockscope.h - whether Landlock's scope holds the signals of descriptors, too (landlock(7), F_SETOWN in fcntl(2)) */
#ifndef LANDLOCKSCOPE_H
#define LANDLOCKSCOPE_H

#include "kernel.h"
#include "landlock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Inside a domain with that scope: have SIGUSR1 sent to the whole process group by a descriptor. Never returns. */
__attribute__((noreturn)) static void landlock_scope_leave(int abi)
{
    struct landlock_domain domain = {.scopes = LANDLOCK_SCOPE_SIGNAL};
    int ends[2], ruleset = landlock_create(abi, domain);

    if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_enter(ruleset) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || fcntl(ends[0], F_SETOWN, -getpgrp()) < 0 ||
        fcntl(ends[0], F_SETSIG, SIGUSR1) < 0 || fcntl(ends[0], F_SETFL, O_ASYNC) < 0)
        _exit(1);
    _exit(write(ends[1], "", 1) != 1);
}

/* In a process group of its own. 0: nothing came out of the domain; else 1. Never returns. */
__attribute__((noreturn)) static void landlock_scope_watch(int abi)
{
    sigset_t signals;
    int status = 1;

    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    if (setpgid(0, 0) < 0 || sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        _exit(1);
    pid_t inside = sys_fork(0);
    if (inside == 0)
        landlock_scope_leave(abi);
    if (inside < 0 || waitpid(inside, &status, __WALL) != inside || sigpending(&signals) < 0)
        _exit(1);
    _exit(status != 0 || sigismember(&signals, SIGUSR1));
}

/* Does the scope hold them? Kernels from 6.15 on, and 6.12.23, took a group for the caller's own process when he was its
 * newest, and didn't; it was mended without a mark of it, so it is tried. false in doubt. */
static bool landlock_scope_holds(int abi)
{
    int status = 1;
    pid_t watch = abi < LANDLOCK_ABI_SCOPE ? -1 : sys_fork(0);

    if (watch == 0)
        landlock_scope_watch(abi);
    return watch > 0 && waitpid(watch, &status, __WALL) == watch && status == 0;
}

#endif

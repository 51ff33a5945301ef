/* check.h - what this kernel offers: the command `check`, and what a run demands of it */
#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

#include "types.h"
#include "own.h"
#include "../sys/base.h"
#include "../sys/features.h"

#include <stdio.h>
#include <unistd.h>

/* One line of `check`. */
struct protection {
    const char *name;
    enum { ACTIVE, NEWER, DEGRADED, MISSING } state; /* NEWER: a second wall that later kernels have */
    const char *lost; /* when it isn't active */
};

enum { PROTECTIONS = 17 };

static void protections_of(const struct features *f, struct protection list[PROTECTIONS])
{
    bool old = f->major < 5 || (f->major == 5 && f->minor < 10), may_trace = caps_has(CAP_SYS_PTRACE);

    const struct protection all[PROTECTIONS] = {
        {"Linux 5.10 or later", old ? MISSING : ACTIVE, "older kernels lack calls that sandlock needs"},
        {"no supervisor around this one", f->nested ? MISSING : ACTIVE,
         "this is inside a sandbox already whose supervisor has the notifications (another sandlock?); the kernel "
         "gives them to one only"},
        {"seccomp notifications", f->notify ? ACTIVE : MISSING,
         "nothing can be decided; CONFIG_SECCOMP_FILTER, or a seccomp profile that permits seccomp(2)"},
        {"reading the command's memory", f->vm_read ? ACTIVE : f->proc ? DEGRADED : MISSING,
         "addresses are read by /proc/PID/mem; a profile that permits process_vm_readv(2), or CAP_SYS_PTRACE"},
        {"pinning sockets", f->getfd && !settings.no_getfd ? ACTIVE : f->proc ? DEGRADED : MISSING,
         "sandlock makes the sockets and hands them in; a profile that permits pidfd_getfd(2), or CAP_SYS_PTRACE"},
        {"Yama's ptrace_scope", f->yama == 3 || (f->yama == 2 && !may_trace) ? MISSING : ACTIVE,
         "processes may not be looked into; kernel.yama.ptrace_scope of 0 or 1, or CAP_SYS_PTRACE where it is 2"},
        {"Landlock domain (ABI 2)", f->landlock >= 2 ? ACTIVE : DEGRADED,
         "the command can read and write the memory of the user's other processes by /proc, and so act as they may; "
         "root can write in /proc, /sys and /dev"},
        {"Landlock for truncate (ABI 3)", f->landlock >= 3 ? ACTIVE : DEGRADED,
         "files outside -w, and as root those in /proc and /sys, can be truncated"},
        {"Landlock for TCP (ABI 4)", f->landlock >= 4 ? ACTIVE : DEGRADED, "no second wall behind connect and bind"},
        {"Landlock scopes (ABI 6)", f->landlock >= 6 ? ACTIVE : DEGRADED,
         "signals and abstract sockets are held by the filter alone, or not at all"},
        {"Landlock for unix paths (ABI 9)", f->landlock >= 9 ? ACTIVE : NEWER, "no second wall behind unix sockets"},
        {"Landlock for UDP (ABI 10)", f->landlock >= 10 ? ACTIVE : NEWER, "no second wall behind UDP"},
        {"replies that can't be lost (5.19)", f->killable ? ACTIVE : DEGRADED,
         "a signal can repeat a call; what was done is kept for the repetition"},
        {"each thread's own descriptors (6.9)", f->threads ? ACTIVE : DEGRADED,
         "threads may not split their descriptor table: unshare(CLONE_FILES) is refused"},
        {"wake-ups on the same core (6.6)", f->near ? ACTIVE : DEGRADED, "each call on behalf takes longer"},
        {"who has bound a unix socket (unix_diag)", f->unix_diag ? ACTIVE : DEGRADED,
         "the command's own count as those outside, which only a rule opens; CONFIG_UNIX_DIAG, often a module"},
        {"/proc, of this pid namespace", f->proc ? ACTIVE : DEGRADED,
         "signals are seen when a call ends; what is left behind is found by trying all numbers"},
    };
    memcpy(list, all, sizeof all);
}

/* 0 all active, 1 degraded, 125 can't run. */
static int check_command(void)
{
    static const char *const states[] = {"active", "newer", "degraded", "missing"};
    struct features features = features_ask(true);
    struct protection list[PROTECTIONS];
    int worst = ACTIVE;

    protections_of(&features, list);
    for (size_t i = 0; i < PROTECTIONS; i++) {
        printf("%-9s %s%s%s\n", states[list[i].state], list[i].name, list[i].state == ACTIVE ? "" : ": ",
               list[i].state == ACTIVE ? "" : list[i].lost);
        worst = (int)list[i].state > worst ? (int)list[i].state : worst;
    }
    if (settings.verbose)
        printf("once it serves, sandlock itself may call only:%s\n", OWN_CALLS(OWN_NAME));
    if (worst == MISSING || (worst == DEGRADED && settings.strict))
        return EXIT_OURS;
    return worst == DEGRADED ? 1 : 0;
}

/* Refuse to run where it can't be done, or not as --strict wants it. */
static void features_demand(const struct features *f)
{
    struct protection list[PROTECTIONS];

    protections_of(f, list);
    for (size_t i = 0; i < PROTECTIONS; i++)
        if (list[i].state == MISSING || (settings.strict && list[i].state == DEGRADED))
            die("%s%s: %s: %s", settings.strict ? "--strict: " : "",
                list[i].state == MISSING ? "missing" : "degraded", list[i].name, list[i].lost);
}

#endif

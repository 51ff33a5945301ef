/* process.h - calls on other processes: limits, scheduling, signals; becoming a subreaper (prctl(2)); and Landlock
 * rulesets of the command's own (landlock_create_ruleset(2)) */
#ifndef SERVE_PROCESS_H
#define SERVE_PROCESS_H

#include "../policy/call.h"
#include "../policy/inside.h"
#include "../policy/live.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../sys/base.h"
#include "../sys/kernel.h"
#include "../sys/landlock.h"
#include "../sys/lineage.h"
#include "../sys/notify.h"
#include "../sys/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* Calls on other processes: their limits never, how they are scheduled and signalled within the sandbox only. All that
 * counts is in registers: the kernel sees what we see. A process group may hold strangers. */
static struct outcome judge_on_others(struct request *r)
{
    bool priority = r->number == number_on(NR_setpriority, MACHINE_OURS);
    bool by_kind = priority || r->number == number_on(NR_ioprio_set, MACHINE_OURS);
    int one = priority ? PRIO_PROCESS : IOPRIO_PROCESS, kind = by_kind ? (int)r->args[0] : one;
    pid_t pid = (pid_t)r->args[by_kind ? 1 : 0];
    struct process_status status = {.leader = r->tid};

    process_status_read(r->tid, &status);
    bool self = pid == r->tid || pid == status.leader || (by_kind && pid == 0);
    bool inside = self || (r->call != CALL_PRLIMIT && pid > 0 && is_inside(pid, ANCESTORS_MAX));
    pid_t led = pid == 0 ? getpgid(status.leader) : -pid; /* a group that a process of ours leads holds no stranger */
    bool group = r->call == CALL_SIGNAL && pid != -1 && pid <= 0 && led > 0 && is_inside(led, ANCESTORS_MAX);
    bool nobody = kind < one || kind > one + 2 || (r->call != CALL_SIGNAL && kind == one && pid < 0);
    if ((inside && kind == one) || group || nobody) /* nobody's the kernel refuses itself */
        return (struct outcome){CONTINUE, 0};
    if (kind == one && pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
        return outcome_reply(-ESRCH);
    tell_refused(r, "another process", "");
    return outcome_reply(-EPERM);
}

static struct outcome call_on_others(struct request *r)
{
    close(here.spare);
    struct outcome outcome = judge_on_others(r);
    here.spare = fcntl(here.epoll, F_DUPFD_CLOEXEC, 0);
    return outcome;
}

/* A process becomes the parent of descendants that lose theirs. */
static struct outcome call_reaper(const struct request *r)
{
    struct lineage_id process = lineage_of_thread(&live.lineage, r->tid);

    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    lineage_add_reaper(&live.lineage, process);
    return (struct outcome){CONTINUE, 0};
}

/* A ruleset for a domain of the command's own. It would hold no connect, bind or send that we make, so that there is
 * none for these: it learns that from the version, of the last ABI without them, and is refused as by a kernel of that
 * time, sooner than to rely on what isn't so. A thread that changes the attributes meanwhile betrays only itself. */
static struct outcome call_ruleset(const struct request *r)
{
    uint64_t handled[16] = {0}; /* accesses to files, to the network; scopes; what later ABIs have */
    uint64_t size = r->args[1];
    bool beyond = size > sizeof handled;

    if ((uint32_t)r->args[2] == LANDLOCK_VERSION_FLAG && r->args[0] == 0 && size == 0)
        return outcome_reply(LANDLOCK_ABI_TRUNCATE);
    if ((uint32_t)r->args[2] != 0 || size < sizeof handled[0])
        return (struct outcome){CONTINUE, 0};
    if (child_read(r->tid, r->args[0], handled, beyond ? sizeof handled : size) < 0)
        return outcome_reply(-EFAULT);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    handled[2] &= ~(uint64_t)LANDLOCK_SCOPE_SIGNAL; /* that holds */
    for (size_t i = 1; i < ARRAY_LEN(handled); i++)
        beyond = beyond || handled[i] != 0;
    if (beyond)
        return outcome_reply(-E2BIG);
    if (handled[0] >= LANDLOCK_RESOLVE_UNIX)
        return outcome_reply(-EINVAL);
    return (struct outcome){CONTINUE, 0};
}

#endif

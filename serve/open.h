/* open.h - open(2), openat(2), openat2(2): /etc/hosts as the policy has it */
#ifndef SERVE_OPEN_H
#define SERVE_OPEN_H

#include "../policy/call.h"
#include "../policy/learn.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/base.h"
#include "../sys/childpath.h"
#include "../sys/clock.h"
#include "../sys/kernel.h"
#include "../sys/notify.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Does this path lead to the real /etc/hosts, from where the caller stands? -EAGAIN: it isn't the time to follow its
 * links, which may be so many that it takes long, and has a quarter of our time. What isn't in the kernel's cache isn't
 * it: its own entries are, since we hold it open, and a look-up on a slow file system would hold everybody up. */
static int open_is_hosts(const struct request *r, int directory, const char *path)
{
    static struct childpath walk;
    static uint64_t free_at; /* of clock_us */
    struct stat found, real;
    int begun = childpath_begin(&walk, r->tid, r->tid, directory, path);
    int start CLOSE_FD = walk.start;

    walk.how.resolve |= KERNEL_RESOLVE_CACHED | RESOLVE_NO_SYMLINKS;
    int file CLOSE_FD = begun < 0 ? -1 : sys_openat2(start, walk.path, &walk.how);
    if (file == -ELOOP) {
        uint64_t now = clock_us();

        if (now < free_at)
            return -EAGAIN;
        walk.how.resolve &= ~(uint64_t)RESOLVE_NO_SYMLINKS;
        file = sys_openat2(start, walk.path, &walk.how);
        free_at = clock_rest(now);
    }
    return file >= 0 && fstat(file, &found) == 0 && fstat(here.real_hosts, &real) == 0 && found.st_dev == real.st_dev &&
           found.st_ino == real.st_ino;
}

/* open, openat, openat2: /etc/hosts is answered with a fresh description of ours, anything else by the kernel. That the
 * path may change after we read it does no harm: an open reaches no socket, and neither file is a secret.
 *
 * Where a root command can't write in /proc, the file that pam_loginuid(8) writes isn't there, as on a kernel without
 * auditing: it goes on without it then, but lets nobody log in when it can't write it. */
static struct outcome call_open(struct request *r)
{
    char path[PATH_MAX], proc[32];
    bool at = r->number != number_on(NR_open, MACHINE_OURS), how = r->number == number_on(NR_openat2, MACHINE_OURS);
    uint64_t flags = r->args[at ? 2 : 1];
    ssize_t len = child_read_text(r->tid, r->args[at ? 1 : 0], path, sizeof path);

    if (settings.closes_knobs && len > 0 && strcmp(path, "/proc/self/loginuid") == 0 && (flags & O_ACCMODE) == O_RDWR)
        return outcome_reply(-ENOENT);
    if (len < 5 || memcmp(path + len - 5, "hosts", 5) != 0 || (len > 5 && path[len - 6] != '/') ||
        (how && child_read(r->tid, r->args[2], &flags, sizeof flags) < 0) ||
        (flags & (O_ACCMODE | O_CREAT | O_DIRECTORY | O_PATH)) != O_RDONLY)
        return (struct outcome){CONTINUE, 0};
    int hosts = open_is_hosts(r, at ? (int)r->args[0] : AT_FDCWD, path);
    r->later = hosts < 0;
    if (hosts <= 0)
        return (struct outcome){r->later ? PEND : CONTINUE, 0};
    if (policy.undecided == UNDECIDED_LEARNED)
        learned_process_of(r->tid)->reads_hosts = true;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", here.hosts);
    r->pin = open(proc, O_RDONLY | O_CLOEXEC); /* a description of its own, with its own offset */
    if (r->pin < 0)
        return (struct outcome){CONTINUE, 0};
    r->kind.domain = AF_UNIX; /* our own file: its close can't wait */
    return outcome_reply(notify_add_fd(here.listener, r->id, r->pin, flags & O_CLOEXEC));
}

#endif

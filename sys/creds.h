/* creds.h - acting for a while with another process's user, groups and capabilities (credentials(7)) */
#ifndef CREDS_H
#define CREDS_H

#include "kernel.h"
#include "limits.h"
#include "process.h"
#include "procfs.h"

#include <linux/capability.h>
#include <sys/stat.h>

/* Effective ones: those that files and sockets are judged by. */
struct creds {
    uint32_t uid, gid;
    uint64_t capabilities;
    uint32_t groups[CREDS_GROUPS_MAX];
    size_t n_groups;
};

/* Does a thread live in our user namespace? */
static bool creds_same_namespace(pid_t tid)
{
    char link[40];
    struct stat theirs, ours;

    snprintf(link, sizeof link, "%s/%d/ns/user", procfs, tid);
    if (stat(link, &theirs) < 0)
        return access("/proc/self/ns/user", F_OK) < 0; /* the kernel has none */
    return stat("/proc/self/ns/user", &ours) == 0 && theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* Read a thread's. 0; -E2BIG with more groups than that; -EACCES where the file system's differ from the effective
 * ones, which can't be taken together; other -errno. */
static int creds_read(pid_t tid, struct creds *creds)
{
    struct process_status status;
    char path[40], text[PROCESS_STATUS_MAX];

    snprintf(path, sizeof path, "%s/%d/status", procfs, tid);
    ssize_t n = process_read(path, text, sizeof text);
    if (n < 0)
        return (int)n;
    process_status_parse(text, &status);
    *creds = (struct creds){.uid = status.uid, .gid = status.gid, .capabilities = status.capabilities};
    if (process_field(text, "\nUid:\t", 10, 1) != status.uid || process_field(text, "\nGid:\t", 10, 1) != status.gid)
        return -EACCES;
    if (!creds_same_namespace(tid))
        creds->capabilities = 0; /* they count in its own user namespace only */
    const char *at = strstr(text, "\nGroups:\t");
    if (at == NULL)
        return -EINVAL;
    at += strlen("\nGroups:\t");
    for (at += strspn(at, " "); *at >= '0' && *at <= '9'; at += strspn(at, " ")) {
        char *end;

        if (creds->n_groups == CREDS_GROUPS_MAX)
            return -E2BIG;
        creds->groups[creds->n_groups++] = (uint32_t)strtoul(at, &end, 10);
        at = end;
    }
    return *at == '\n' ? 0 : -E2BIG; /* cut short */
}

/* Make exactly these capabilities effective, of those permitted. 0 or -errno. */
static int creds_set_capabilities(uint64_t effective)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(__NR_capget, &header, data) < 0)
        return -errno;
    for (unsigned half = 0; half < 2; half++)
        data[half].effective = data[half].permitted & (uint32_t)(effective >> 32 * half);
    return sys_result(syscall(__NR_capset, &header, data));
}

static int creds_set_groups(const struct creds *creds)
{
    return sys_result(syscall(__NR_setgroups, creds->n_groups, creds->groups));
}

static bool creds_same_groups(const struct creds *a, const struct creds *b)
{
    return a->n_groups == b->n_groups && memcmp(a->groups, b->groups, a->n_groups * sizeof *a->groups) == 0;
}

/* Back to our own: they are our real and saved ones, so only memory can be missing. Then we end rather than go on as
 * somebody else. */
static void creds_restore(const struct creds *ours, const struct creds *theirs)
{
    int result = 0;

    if (theirs->uid != ours->uid)
        result = sys_result(syscall(__NR_setresuid, ours->uid, ours->uid, -1));
    if (result == 0)
        result = creds_set_capabilities(ours->capabilities);
    if (result == 0 && theirs->gid != ours->gid)
        result = sys_result(syscall(__NR_setresgid, ours->gid, ours->gid, -1));
    if (result == 0 && !creds_same_groups(ours, theirs))
        result = creds_set_groups(ours);
    if (result < 0)
        _exit(EXIT_OURS);
}

/* Act with theirs: the calling thread's effective ones, past libc, until creds_restore; of their capabilities those
 * that are permitted to us. 0, or -errno with ours kept. */
static int creds_take(const struct creds *ours, const struct creds *theirs)
{
    int result = creds_same_groups(ours, theirs) ? 0 : creds_set_groups(theirs);

    if (result < 0)
        return result;
    if (theirs->gid != ours->gid)
        result = sys_result(syscall(__NR_setresgid, theirs->gid, theirs->gid, -1));
    if (result == 0 && theirs->uid != ours->uid)
        result = sys_result(syscall(__NR_setresuid, theirs->uid, theirs->uid, -1));
    if (result == 0)
        result = creds_set_capabilities(theirs->capabilities);
    if (result < 0)
        creds_restore(ours, theirs);
    return result;
}

#endif

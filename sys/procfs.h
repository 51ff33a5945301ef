/* procfs.h - where /proc has the processes of our own pid namespace by their numbers (proc(5), pid_namespaces(7)) */
#ifndef PROCFS_H
#define PROCFS_H

#include "base.h"

/* Names of other processes are made from this. A /proc that was mounted for another pid namespace has other processes
 * under the same numbers, so it is as good as none: nothing is found there then. */
static const char *procfs = "/proc";

/* Is there a /proc, and is it ours? */
static bool procfs_find(void)
{
    char self[16];
    ssize_t n = readlink("/proc/self", self, sizeof self);
    uint64_t pid;

    if (n < 0 || parse_uint((struct slice){self, (size_t)n}, INT32_MAX, &pid) < 0 || (pid_t)pid != getpid())
        procfs = "/proc/self/none";
    return access(procfs, R_OK) == 0;
}

#endif

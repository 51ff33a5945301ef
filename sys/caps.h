/* caps.h - giving up capabilities (capabilities(7), capget(2), prctl(2)) */
#ifndef CAPS_H
#define CAPS_H

#include "kernel.h"

#include <linux/capability.h>
#include <strings.h>
#include <sys/prctl.h>

/* In the order of their numbers; "CAP_" before each is understood. */
static const char *const caps_names[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
};

#define CAPS_BIT(cap) (1ull << (cap))

/* A capability's number by its name, with or without CAP_, in any case; -EINVAL: there is none. */
static int caps_find(struct slice name)
{
    if (name.len > 4 && strncasecmp(name.p, "CAP_", 4) == 0)
        name = (struct slice){name.p + 4, name.len - 4};
    for (size_t i = 0; i < ARRAY_LEN(caps_names); i++)
        if (strlen(caps_names[i]) == name.len && strncasecmp(name.p, caps_names[i], name.len) == 0)
            return (int)i;
    return -EINVAL;
}

/* Is this capability in force for the calling thread? */
static bool caps_has(unsigned cap)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};

    return syscall(__NR_capget, &header, data) == 0 && data[cap / 32].effective >> cap % 32 & 1;
}

/* Of the calling thread's capabilities keep `permitted` (bits by number) at most, and `effective` of those in force.
 * 0 or -errno. */
static int caps_limit(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(__NR_capget, &header, data) < 0)
        return -errno;
    for (unsigned half = 0; half < 2; half++) {
        data[half].permitted &= (uint32_t)(permitted >> 32 * half);
        data[half].effective &= data[half].permitted & (uint32_t)(effective >> 32 * half);
        data[half].inheritable &= data[half].permitted; /* the ambient set follows */
    }
    return sys_result(syscall(__NR_capset, &header, data));
}

/* Keep, of the calling thread's capabilities in every set, only those in `kept` (bits by number). What isn't there
 * can't be dropped: that is no error. CAP_NET_RAW stays in the bounding set: without it the kernel refuses to
 * execute ping and the like, which have it as a file capability, and with no_new_privs nothing is gained by that. 0
 * or -errno. */
static int caps_keep(uint64_t kept)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(__NR_capget, &header, data) < 0)
        return -errno;
    if (data[0].effective & CAPS_BIT(CAP_SETPCAP))
        for (unsigned cap = 0; cap < 64; cap++)
            if (!(kept & CAPS_BIT(cap)) && cap != CAP_NET_RAW && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
                break; /* the kernel has no more of them */
    return caps_limit(kept, kept);
}

#endif

/* landlock.h - Landlock rulesets: what a domain may do with files, TCP and its neighbours (landlock(7)) */
#ifndef LANDLOCK_H
#define LANDLOCK_H

#include "kernel.h"

#include <sys/prctl.h>

enum {
    LANDLOCK_ABI_REFER = 2,
    LANDLOCK_ABI_TRUNCATE = 3,
    LANDLOCK_ABI_NET = 4,
    LANDLOCK_ABI_IOCTL = 5,
    LANDLOCK_ABI_SCOPE = 6,
    LANDLOCK_ABI_UNIX = 9,
    LANDLOCK_ABI_UDP = 10,
    LANDLOCK_VERSION_FLAG = 1,
    LANDLOCK_PATH_BENEATH = 1, /* LANDLOCK_RULE_PATH_BENEATH */
    LANDLOCK_NET_PORT = 2,     /* LANDLOCK_RULE_NET_PORT */
};

/* LANDLOCK_ACCESS_FS_*, LANDLOCK_ACCESS_NET_*, LANDLOCK_SCOPE_*. */
enum {
    LANDLOCK_EXECUTE = 1 << 0,
    LANDLOCK_WRITE_FILE = 1 << 1,
    LANDLOCK_READ_FILE = 1 << 2,
    LANDLOCK_READ_DIR = 1 << 3,
    LANDLOCK_CHANGE_TREE = 0x1ff << 4, /* remove and make entries of all kinds */
    LANDLOCK_REFER = 1 << 13,
    LANDLOCK_TRUNCATE = 1 << 14,
    LANDLOCK_IOCTL_DEV = 1 << 15,
    LANDLOCK_RESOLVE_UNIX = 1 << 16, /* connect or send to a unix socket that was bound outside the domain */
    LANDLOCK_READS = LANDLOCK_EXECUTE | LANDLOCK_READ_FILE | LANDLOCK_READ_DIR,
    LANDLOCK_OF_FILES = LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE | LANDLOCK_TRUNCATE |
                        LANDLOCK_IOCTL_DEV | LANDLOCK_RESOLVE_UNIX,
    LANDLOCK_BIND_TCP = 1 << 0,
    LANDLOCK_CONNECT_TCP = 1 << 1,
    LANDLOCK_BIND_UDP = 1 << 2,
    LANDLOCK_CONNECT_SEND_UDP = 1 << 3,
    LANDLOCK_OF_TCP = LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP,
    LANDLOCK_OF_UDP = LANDLOCK_BIND_UDP | LANDLOCK_CONNECT_SEND_UDP,
    LANDLOCK_SCOPE_ABSTRACT = 1 << 0,
    LANDLOCK_SCOPE_SIGNAL = 1 << 1,
};

/* struct landlock_ruleset_attr of ABI 6; older kernels take a shorter one. What is handled is refused without a
 * rule. */
struct landlock_domain {
    uint64_t fs, net, scopes;
};

struct landlock_beneath {
    uint64_t access;
    int32_t parent;
} __attribute__((packed));

struct landlock_port {
    uint64_t access, port;
};

/* The ABI this kernel offers: >= 1, or -errno (-ENOSYS, -EOPNOTSUPP: none). */
static int landlock_abi(void)
{
    return sys_result(syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG));
}

/* All rights on files that an ABI knows. */
static uint64_t landlock_fs_rights(int abi)
{
    uint64_t rights = LANDLOCK_READS | LANDLOCK_WRITE_FILE | LANDLOCK_CHANGE_TREE;

    rights |= abi >= LANDLOCK_ABI_REFER ? LANDLOCK_REFER : 0;
    rights |= abi >= LANDLOCK_ABI_TRUNCATE ? LANDLOCK_TRUNCATE : 0;
    rights |= abi >= LANDLOCK_ABI_IOCTL ? LANDLOCK_IOCTL_DEV : 0;
    return rights | (abi >= LANDLOCK_ABI_UNIX ? LANDLOCK_RESOLVE_UNIX : 0);
}

/* A ruleset that handles what this ABI knows of `domain`: a descriptor or -errno. -ENOMSG: that is nothing. */
static int landlock_create(int abi, struct landlock_domain domain)
{
    size_t size = abi >= LANDLOCK_ABI_SCOPE ? sizeof domain
                  : abi >= LANDLOCK_ABI_NET ? offsetof(struct landlock_domain, scopes)
                                            : offsetof(struct landlock_domain, net);

    domain.fs &= landlock_fs_rights(abi);
    domain.net &= (abi >= LANDLOCK_ABI_NET ? LANDLOCK_OF_TCP : 0) | (abi >= LANDLOCK_ABI_UDP ? LANDLOCK_OF_UDP : 0);
    domain.scopes = abi >= LANDLOCK_ABI_SCOPE ? domain.scopes : 0;
    if ((domain.fs | domain.net | domain.scopes) == 0)
        return -ENOMSG;
    return sys_result(syscall(__NR_landlock_create_ruleset, &domain, size, 0));
}

/* Permit `rights` beneath what `fd` (O_PATH will do) is open on; of a file that is no directory only those that such
 * have. 0 or -errno. */
static int landlock_permit(int ruleset, int fd, bool directory, uint64_t rights)
{
    struct landlock_beneath beneath = {directory ? rights : rights & LANDLOCK_OF_FILES, fd};

    if (beneath.access == 0)
        return 0;
    return sys_result(syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &beneath, 0));
}

/* Permit `rights` on a port. 0 or -errno. */
static int landlock_permit_port(int ruleset, uint16_t port, uint64_t rights)
{
    struct landlock_port rule = {rights, port};

    return sys_result(syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_NET_PORT, &rule, 0));
}

/* Put the calling thread, and what it starts, into a domain of this ruleset. PR_SET_NO_NEW_PRIVS comes first. 0 or
 * -errno. */
static int landlock_enter(int ruleset)
{
    return sys_result(syscall(__NR_landlock_restrict_self, ruleset, 0));
}

#endif

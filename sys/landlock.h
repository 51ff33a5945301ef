/* landlock.h - a Landlock domain that may not connect TCP sockets (landlock(7)) */
#ifndef LANDLOCK_H
#define LANDLOCK_H

#include "kernel.h"

#include <sys/prctl.h>

enum {
    LANDLOCK_ABI_REFER = 2,
    LANDLOCK_ABI_NET = 4,
    LANDLOCK_ABI_SCOPE = 6,
    LANDLOCK_VERSION_FLAG = 1,
    LANDLOCK_PATH_BENEATH = 1,   /* LANDLOCK_RULE_PATH_BENEATH */
    LANDLOCK_REFER = 1 << 13,    /* LANDLOCK_ACCESS_FS_REFER */
    LANDLOCK_CONNECT_TCP = 1 << 1, /* LANDLOCK_ACCESS_NET_CONNECT_TCP */
    LANDLOCK_SCOPES = 3,         /* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL */
};

/* struct landlock_ruleset_attr of ABI 6; older kernels take a shorter one. */
struct landlock_domain {
    uint64_t fs, net, scopes;
};

struct landlock_beneath {
    uint64_t access;
    int32_t parent;
} __attribute__((packed));

/* The ABI this kernel offers: >= 1, or -errno (-ENOSYS, -EOPNOTSUPP: none). */
static int landlock_abi(void)
{
    return sys_result(syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG));
}

/* Put the calling thread, and what it starts, into a domain of its own: no TCP connect (ABI 4), no signals or abstract
 * sockets to the outside (ABI 6), and from ABI 2 on no ptrace of the outside. ABI 1 would break renames: it does nothing
 * there. PR_SET_NO_NEW_PRIVS comes first. Async-signal-safe. 0 or -errno. */
static int landlock_enter(int abi)
{
    struct landlock_domain domain = {0, 0, 0};
    size_t size = sizeof domain;

    if (abi < LANDLOCK_ABI_REFER)
        return 0;
    if (abi >= LANDLOCK_ABI_NET)
        domain.net = LANDLOCK_CONNECT_TCP;
    else
        domain.fs = LANDLOCK_REFER;
    if (abi >= LANDLOCK_ABI_SCOPE)
        domain.scopes = LANDLOCK_SCOPES;
    else
        size = abi >= LANDLOCK_ABI_NET ? offsetof(struct landlock_domain, scopes) : offsetof(struct landlock_domain, net);
    int ruleset CLOSE_FD = sys_result(syscall(__NR_landlock_create_ruleset, &domain, size, 0));
    if (ruleset < 0)
        return ruleset;
    if (domain.fs) {
        int root CLOSE_FD = sys_result(open("/", O_PATH | O_CLOEXEC));
        struct landlock_beneath beneath = {LANDLOCK_REFER, root};

        if (root < 0)
            return root;
        if (syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &beneath, 0) < 0)
            return -errno;
    }
    return sys_result(syscall(__NR_landlock_restrict_self, ruleset, 0));
}

#endif

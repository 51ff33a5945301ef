/* unixdiag.h - which socket is bound to a path's inode or to an abstract name (unix(7), sock_diag(7)) */
#ifndef UNIXDIAG_H
#define UNIXDIAG_H

#include "kernel.h"
#include "process.h"
#include "sockdiag.h"

#include <sys/sysmacros.h>
#include <sys/types.h>
#include <linux/unix_diag.h>

enum { UNIXDIAG_ROOM = 32768, UNIXDIAG_NAME_MAX = 108, UNIXDIAG_LISTEN = 10 /* TCP_LISTEN */ };

/* What a socket is looked for by: an abstract name, or where len is 0 an inode. */
struct unixdiag_key {
    uint32_t device, inode;        /* as the kernel tells them: 32 bits of each */
    char name[UNIXDIAG_NAME_MAX];  /* with the NUL in front */
    size_t len;
};

/* A socket that was found. */
struct unixdiag_socket {
    uint64_t cookie;
    uint32_t inode;    /* its own, as /proc/PID/fd has it */
    int type;        /* SOCK_* */
    bool listens;
    const char *name; /* what it was bound by, not terminated; NULL: none */
    size_t name_len;
};

/* The value of an attribute of one message; NULL when it has none. */
static const struct nlattr *unixdiag_attribute(const struct nlmsghdr *message, int type)
{
    size_t at = NLMSG_LENGTH(sizeof(struct unix_diag_msg));

    while (at + sizeof(struct nlattr) <= message->nlmsg_len) {
        const struct nlattr *attribute = (const void *)((const char *)message + at);

        if (attribute->nla_len < sizeof *attribute || attribute->nla_len > message->nlmsg_len - at)
            return NULL;
        if (attribute->nla_type == type)
            return attribute;
        at += (size_t)NLA_ALIGN(attribute->nla_len);
    }
    return NULL;
}

static bool unixdiag_matches(const struct nlmsghdr *message, const struct unixdiag_key *key)
{
    const struct nlattr *value = unixdiag_attribute(message, key->len ? UNIX_DIAG_NAME : UNIX_DIAG_VFS);
    size_t len = value ? value->nla_len - sizeof *value : 0;

    if (value == NULL)
        return false;
    if (key->len > 0)
        return len == key->len && memcmp(value + 1, key->name, len) == 0;
    if (len < sizeof(struct unix_diag_vfs))
        return false;
    const struct unix_diag_vfs *vfs = (const void *)(value + 1);
    return vfs->udiag_vfs_dev == key->device && vfs->udiag_vfs_ino == key->inode;
}

/* A device's number as the kernel has it inside, from stat(2)'s. */
static uint32_t unixdiag_device(dev_t device)
{
    return (uint32_t)(major(device) << 20 | minor(device));
}

/* The device of the mount that an open file is on, from /proc: overlays answer stat(2) with another. 0: unknown. */
static uint32_t unixdiag_mount_device(int fd)
{
    static char text[UNIXDIAG_ROOM];
    char path[40];

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    if (process_read(path, text, sizeof text) < 0)
        return 0;
    uint64_t mount = process_field(text, "\nmnt_id:\t", 10, 0);
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    uint32_t device = 0;
    while (mounts != NULL && device == 0 && fgets(text, sizeof text, mounts) != NULL) {
        char *at;
        if (strtoull(text, &at, 10) != mount)
            continue;
        strtoull(at, &at, 10); /* the parent mount */
        unsigned long first = strtoul(at, &at, 10);
        device = (uint32_t)(first << 20 | (*at == ':' ? strtoul(at + 1, NULL, 10) : 0));
    }
    if (mounts != NULL)
        fclose(mounts);
    return device;
}

static struct unixdiag_socket unixdiag_describe(const struct nlmsghdr *message)
{
    const struct unix_diag_msg *told = NLMSG_DATA(message);
    const struct nlattr *name = unixdiag_attribute(message, UNIX_DIAG_NAME);

    return (struct unixdiag_socket){
        .cookie = (uint64_t)told->udiag_cookie[1] << 32 | told->udiag_cookie[0],
        .inode = told->udiag_ino,
        .type = told->udiag_type,
        .listens = told->udiag_state == UNIXDIAG_LISTEN,
        .name = name ? (const char *)(name + 1) : NULL,
        .name_len = name ? name->nla_len - sizeof *name : 0,
    };
}

/* What is looked for, and who is told. */
struct unixdiag_search {
    const struct unixdiag_key *key;
    void (*found)(const struct unixdiag_socket *socket_of, void *context);
    void *context;
};

static void unixdiag_take(const struct nlmsghdr *message, void *context)
{
    const struct unixdiag_search *search = context;
    struct unixdiag_socket socket_of = unixdiag_describe(message);

    if (search->key == NULL || unixdiag_matches(message, search->key))
        search->found(&socket_of, search->context);
}

/* Ask about the sockets in these states (a bit for each). 0, or -errno when the kernel can't say (-ENOENT: it has no
 * unix_diag). */
static int unixdiag_ask(uint32_t states, struct unixdiag_search *search)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } dump = {
        {sizeof dump, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
        {.sdiag_family = AF_UNIX, .udiag_states = states, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS},
    };

    return sockdiag_each(&dump.header, sizeof(struct unix_diag_msg), unixdiag_take, search);
}

/* Call `found` with each socket of this network namespace that the key fits (NULL: with each socket) and with the
 * context. 0 or -errno, as above. */
static int unixdiag_each(const struct unixdiag_key *key, void (*found)(const struct unixdiag_socket *, void *),
                         void *context)
{
    struct unixdiag_search search = {key, found, context};

    return unixdiag_ask(~0u, &search);
}

static void unixdiag_take_type(const struct nlmsghdr *message, void *type)
{
    const struct unix_diag_msg *told = NLMSG_DATA(message);

    *(int *)type = told->udiag_state == UNIXDIAG_LISTEN ? UNIXDIAG_LISTEN : told->udiag_type;
}

/* The type (SOCK_*) of the unix socket that has this inode in /proc/PID/fd; of one that listens UNIXDIAG_LISTEN.
 * -ENOENT: there is none; other -errno. */
static int unixdiag_type(uint32_t inode)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } look_up = {
        {sizeof look_up, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0},
        {.sdiag_family = AF_UNIX, .udiag_ino = inode, .udiag_cookie = {~0u, ~0u}},
    };
    int type = -ENOENT;
    int result = sockdiag_each(&look_up.header, sizeof(struct unix_diag_msg), unixdiag_take_type, &type);

    return result < 0 ? result : type;
}

/* Does the kernel tell of unix sockets at all? */
static bool unixdiag_is_there(void)
{
    return unixdiag_ask(0, NULL) == 0;
}

#endif

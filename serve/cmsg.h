/* cmsg.h - the messages that a send has before it, and which control messages they may have (cmsg(3)) */
#ifndef SERVE_CMSG_H
#define SERVE_CMSG_H

#include "../policy/call.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"
#include "../sys/message.h"
#include "../sys/pin.h"
#include "../sys/process.h"

#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* The messages of the send at hand. There is one batch for all: a send that has to wait is read and judged again. */
static struct message_batch batch;
static struct destination batch_to[MESSAGES_AT_ONCE];

/* What is done with a control message. */
enum control { CONTROL_PASSES, CONTROL_REFUSED, CONTROL_UNKNOWN };

/* Does this control message leave the destination as it was judged? Refused are those that change it, or that would use
 * our privileges. */
static enum control parse_control_type(const struct cmsghdr *c, struct socket_kind kind)
{
    switch (c->cmsg_level) {
    case SOL_SOCKET:
        if (c->cmsg_type == SO_MARK)
            return CONTROL_REFUSED;
        if (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS)
            return CONTROL_PASSES; /* which only unix sockets look at */
        return kind.domain != AF_UNIX && (c->cmsg_type == SO_TIMESTAMPING || c->cmsg_type == KERNEL_SO_TXTIME)
                   ? CONTROL_PASSES : CONTROL_UNKNOWN;
    case SOL_IP:
        if (c->cmsg_type == IP_RETOPTS)
            return CONTROL_REFUSED;
        return c->cmsg_type == IP_TTL || c->cmsg_type == IP_TOS || c->cmsg_type == IP_PKTINFO ? CONTROL_PASSES
                                                                                             : CONTROL_UNKNOWN;
    case SOL_IPV6:
        switch (c->cmsg_type) {
        case IPV6_PKTINFO:
        case IPV6_HOPLIMIT:
        case IPV6_TCLASS:
        case IPV6_DONTFRAG:
            return CONTROL_PASSES;
        case IPV6_HOPOPTS:
        case IPV6_DSTOPTS:
        case IPV6_RTHDR:
        case IPV6_RTHDRDSTOPTS:
        case KERNEL_IPV6_2292PKTINFO:
        case KERNEL_IPV6_2292HOPOPTS:
        case KERNEL_IPV6_2292DSTOPTS:
        case KERNEL_IPV6_2292RTHDR:
        case KERNEL_IPV6_FLOWINFO:
            return CONTROL_REFUSED;
        }
        return CONTROL_UNKNOWN;
    case KERNEL_SOL_UDP:
        return c->cmsg_type == KERNEL_UDP_SEGMENT ? CONTROL_PASSES : CONTROL_UNKNOWN;
    case KERNEL_SOL_TLS:
        return c->cmsg_type == KERNEL_TLS_SET_RECORD_TYPE ? CONTROL_PASSES : CONTROL_UNKNOWN;
    }
    return CONTROL_UNKNOWN;
}

/* Clear the interface that a PKTINFO names, unless --allow-steering is given. *source: the source address that it
 * names, if any. */
static void parse_packet_info(struct cmsghdr *c, struct ip_addr *source)
{
    if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

        info->ipi_ifindex = settings.allow_steering ? info->ipi_ifindex : 0;
        *source = ip_addr_from_v4(info->ipi_spec_dst);
    }
    if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
        c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

        info->ipi6_ifindex = settings.allow_steering ? info->ipi6_ifindex : 0;
        *source = ip_addr_from_v6(&info->ipi6_addr);
    }
}

/* SCM_RIGHTS: replace the child's descriptors by our own of the same files. 0 or -errno. */
static int parse_rights(const struct request *r, struct cmsghdr *c)
{
    size_t n = (c->cmsg_len - sizeof *c) / sizeof(int);
    int *fds = (int *)CMSG_DATA(c);

    if (n + batch.n_rights > MESSAGE_RIGHTS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        int fd = pin_take(&here.pins, r->tid, fds[i]);

        if (fd == -EMFILE || fd == -ENFILE)
            return -ETOOMANYREFS;
        if (settings.no_getfd && (fd == -ENOTSOCK || fd == -EACCES)) /* it is there, and we can't have it */
            return -EPERM;
        if (fd < 0)
            return fd;
        batch.rights[batch.n_rights++] = fds[i] = fd;
    }
    return 0;
}

/* SCM_CREDENTIALS: only the caller's own, as for any process without privileges. 0 or -EPERM. */
static int parse_credentials(const struct request *r, struct cmsghdr *c)
{
    struct process_status status;
    struct ucred said;

    if (c->cmsg_len != CMSG_LEN(sizeof said))
        return -EINVAL;
    memcpy(&said, CMSG_DATA(c), sizeof said);
    if (process_status_read(r->tid, &status) < 0)
        return -EPERM;
    if (said.pid != status.leader || said.uid != status.uid || said.gid != status.gid)
        return -EPERM;
    said.pid = getpid(); /* another pid would take CAP_SYS_ADMIN */
    memcpy(CMSG_DATA(c), &said, sizeof said);
    return 0;
}

/* The control messages of message i: only those on the allowlist pass. 0; -EPERM with *refused set; other -errno. */
static int parse_control(const struct request *r, size_t i, struct ip_addr *source, const struct cmsghdr **refused)
{
    struct kernel_msghdr *header = &batch.messages[i].header;
    uint8_t *at = (uint8_t *)(uintptr_t)header->control;
    size_t left = header->controllen;

    while (left >= sizeof(struct cmsghdr)) {
        struct cmsghdr *c = (struct cmsghdr *)(void *)at;
        int result = 0;

        if (c->cmsg_len < sizeof *c || c->cmsg_len > left) { /* the kernel says so too, when it gets there */
            memset(at + sizeof *c, 0, left - sizeof *c);
            return 0;
        }
        switch (parse_control_type(c, r->kind)) {
        case CONTROL_PASSES:
            parse_packet_info(c, source);
            break;
        case CONTROL_REFUSED:
            *refused = c;
            return -EPERM;
        case CONTROL_UNKNOWN: /* make it unknown to the kernel, too: it answers as for any unknown one */
            c->cmsg_type = INT_MAX;
            break;
        }
        if (r->kind.domain == AF_UNIX && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            result = parse_rights(r, c);
        else if (r->kind.domain == AF_UNIX && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            result = parse_credentials(r, c);
        if (result < 0)
            return result;
        size_t step = (c->cmsg_len + 7) & ~(size_t)7;
        step = step < left ? step : left;
        at += step;
        left -= step;
    }
    return 0;
}

#endif

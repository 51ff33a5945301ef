/* sockdiag.h - asks the kernel for sockets, and walks its answers (sock_diag(7), netlink(7)) */
#ifndef SOCKDIAG_H
#define SOCKDIAG_H

#include "kernel.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>

enum { SOCKDIAG_ROOM = 32768 };

/* Send a request, for one socket or (NLM_F_DUMP) for many, and call `found` with each one's message, which has `least`
 * bytes of content at least, and with the context. 0, or -errno: -ENOENT when there is no such socket; to a dump, when
 * the kernel doesn't tell of this kind. */
static int sockdiag_each(const struct nlmsghdr *request, size_t least,
                         void (*found)(const struct nlmsghdr *message, void *context), void *context)
{
    static _Alignas(struct nlmsghdr) char room[SOCKDIAG_ROOM];
    int fd CLOSE_FD = sys_result(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));

    if (fd < 0)
        return fd;
    if (send(fd, request, request->nlmsg_len, 0) < 0)
        return -errno;
    for (;;) {
        ssize_t n = recv(fd, room, sizeof room, 0);
        if (n < 0)
            return -errno;
        for (size_t at = 0, end = (size_t)n; at < end && end - at >= sizeof(struct nlmsghdr);) {
            const struct nlmsghdr *m = (const void *)(room + at);

            if (m->nlmsg_len < sizeof *m || m->nlmsg_len > end - at)
                break;
            at += NLMSG_ALIGN((size_t)m->nlmsg_len);
            if (m->nlmsg_type == NLMSG_DONE)
                return 0;
            if (m->nlmsg_type == NLMSG_ERROR)
                return m->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))
                           ? -EPROTO : ((const struct nlmsgerr *)NLMSG_DATA(m))->error;
            if (m->nlmsg_type != SOCK_DIAG_BY_FAMILY || m->nlmsg_len < NLMSG_LENGTH(least))
                continue;
            found(m, context);
            if (!(request->nlmsg_flags & NLM_F_ROOT))
                return 0;
        }
    }
}

#endif

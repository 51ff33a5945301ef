/* proxychannel.h - messages between the proxy and whoever makes connections for it (unix(7), SOCK_SEQPACKET) */
#ifndef PROXYCHANNEL_H
#define PROXYCHANNEL_H

#include "addr.h"
#include "http.h"
#include "kernel.h"
#include "lineage.h"

#include <sys/socket.h>

enum { PROXY_PATH_MAX = 192 }; /* of a path, for people to read */

enum proxy_protocol { PROXY_HTTP, PROXY_TLS };

/* What goes over the channel. */
struct proxy_message {
    enum {
        PROXY_CONNECTION, /* to the proxy, with one descriptor or two */
        PROXY_DIAL,       /* from it: connect to host for connection `serial` */
        PROXY_DIALLED,    /* to it: the descriptor, or result */
        PROXY_REPORT,     /* from it: a request was judged; only its caller reads what follows */
    } kind;
    uint64_t serial;
    int32_t result; /* -errno; of a report its own */
    enum proxy_protocol protocol;
    struct ip_addr addr; /* the original destination */
    uint16_t port;
    struct lineage_id process; /* that connected; where there is no /proc the thread, of no start */
    bool denied;
    int64_t rule;
    char method[HTTP_METHOD_MAX + 1], host[HTTP_HOST_MAX + 1], path[PROXY_PATH_MAX];
};

/* Send a message, with n descriptors, which stay the caller's. 0 or -errno; -EAGAIN: not now. */
static int proxy_send(int channel, const struct proxy_message *message, const int *fds, size_t n, int flags)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec part = {(void *)(uintptr_t)message, sizeof *message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (n > 0) {
        header.msg_control = control;
        header.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    int result = sys_result(sendmsg(channel, &header, flags | MSG_NOSIGNAL));
    return result < 0 ? result : 0;
}

/* Take a message and its descriptors, which are the caller's then; fds is filled up with -1. 1; 0: the other side is
 * gone; -EAGAIN; other -errno. */
static int proxy_receive(int channel, struct proxy_message *message, int fds[2])
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec part = {message, sizeof *message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                            .msg_controllen = sizeof control};
    ssize_t n = recvmsg(channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    fds[0] = fds[1] = -1;
    if (n < 0)
        return -errno;
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    if (n > 0 && c != NULL && c->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return n == 0 ? 0 : n == sizeof *message ? 1 : -EPROTO;
}

#endif

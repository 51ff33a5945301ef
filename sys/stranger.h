/* stranger.h - a socket that we have no reference to: what the kernel tells of it by its inode (sock_diag(7)) */
#ifndef STRANGER_H
#define STRANGER_H

#include "holder.h"
#include "inetdiag.h"
#include "procfs.h"
#include "unixdiag.h"

/* What it is, as far as one can know without asking the socket itself. */
enum stranger {
    STRANGER_UNKNOWN,   /* none of those below, or the kernel doesn't tell */
    STRANGER_UNIX,      /* a unix stream or seqpacket socket: it sends to its peer alone, as TCP does */
    STRANGER_TCP,       /* neither connected nor listening, or no longer */
    STRANGER_CONNECTED, /* TCP */
    STRANGER_LISTENING, /* TCP */
};

struct stranger_search {
    int64_t inode;
    enum stranger found;
};

static void stranger_take(const struct inetdiag_socket *found, void *context)
{
    struct stranger_search *search = context;

    if (found->inode != search->inode)
        return;
    search->found = found->state == INETDIAG_LISTEN        ? STRANGER_LISTENING
                    : found->state == INETDIAG_ESTABLISHED ? STRANGER_CONNECTED
                                                           : STRANGER_TCP;
}

/* What a thread's descriptor is now. TCP takes as long as there are such sockets in this network namespace. */
static enum stranger stranger_find(pid_t tid, int fd)
{
    char name[40];

    snprintf(name, sizeof name, "%s/%d/fd/%d", procfs, tid, fd);
    struct stranger_search search = {holder_inode_at(AT_FDCWD, name), STRANGER_UNKNOWN};
    if (search.inode <= 0 || search.inode > UINT32_MAX) /* they are told in 32 bits */
        return STRANGER_UNKNOWN;
    int type = unixdiag_type((uint32_t)search.inode);
    if (type == SOCK_STREAM || type == SOCK_SEQPACKET)
        return STRANGER_UNIX;
    if (type < 0)
        inetdiag_each(IPPROTO_TCP, ~0u, 0, 0, stranger_take, &search);
    return search.found;
}

#endif

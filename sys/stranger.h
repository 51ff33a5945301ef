/* stranger.h - a socket that we have no reference to: what the kernel tells of it by its inode (sock_diag(7)) */
#ifndef STRANGER_H
#define STRANGER_H

#include "clock.h"
#include "holder.h"
#include "inetdiag.h"
#include "unixdiag.h"

/* What it is, as far as one can know without asking the socket itself. */
enum stranger {
    STRANGER_UNKNOWN,   /* none of those below, or the kernel doesn't tell */
    STRANGER_UNIX,      /* a unix stream or seqpacket socket: it sends to its peer alone, as TCP does */
    STRANGER_TCP,       /* bound, or connecting */
    STRANGER_CONNECTED, /* TCP, also where one end is closed already */
    STRANGER_LISTENING, /* TCP or unix */
    STRANGER_LATER,     /* not now: that takes long to find out, and has a quarter of our time */
};

struct stranger_search {
    int64_t inode;
    enum stranger found;
    struct inetdiag_socket *told;
};

static void stranger_take(const struct inetdiag_socket *found, void *context)
{
    struct stranger_search *search = context;
    uint32_t state = 1u << found->state;

    if (found->inode != search->inode)
        return;
    *search->told = *found;
    search->found = state & INETDIAG_LISTENING                       ? STRANGER_LISTENING
                    : state & (INETDIAG_CONNECTING | INETDIAG_CLOSED) ? STRANGER_TCP
                                                                      : STRANGER_CONNECTED;
}

/* What the socket with this inode (holder_inode) is now; *told: what the kernel tells of TCP, which takes as long as
 * there are such sockets in this network namespace. */
static enum stranger stranger_find(int64_t inode, struct inetdiag_socket *told)
{
    static uint64_t free_at;
    struct stranger_search search = {inode, STRANGER_UNKNOWN, told};
    uint64_t start = clock_us();

    if (inode <= 0 || inode > UINT32_MAX) /* they are told in 32 bits */
        return STRANGER_UNKNOWN;
    if (start < free_at)
        return STRANGER_LATER;
    int type = unixdiag_type((uint32_t)inode);
    if (type < 0)
        inetdiag_each(IPPROTO_TCP, ~0u, 0, 0, stranger_take, &search);
    else if (type != SOCK_DGRAM)
        search.found = type == UNIXDIAG_LISTEN ? STRANGER_LISTENING : STRANGER_UNIX;
    free_at = clock_rest(start);
    return search.found;
}

#endif

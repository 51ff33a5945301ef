/* What a socket that we have no reference to is, by its inode. */
#include "../../sys/stranger.h"
#include "unit.h"

static enum stranger found(int fd)
{
    struct inetdiag_socket told;
    enum stranger stranger;

    do /* where it took long, the next look has to wait */
        stranger = stranger_find(holder_inode(getpid(), fd), &told);
    while (stranger == STRANGER_LATER);
    return stranger;
}

int main(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), ends[2];
    int fresh = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    int netlink = socket(AF_NETLINK, SOCK_RAW, 0);

    EXPECT(bind(listener, (struct sockaddr *)&to, sizeof to) == 0 && listen(listener, 1) == 0);
    EXPECT(getsockname(listener, (struct sockaddr *)&to, &len) == 0);
    EXPECT(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    int accepted = accept(listener, NULL, NULL);
    if (inetdiag_each(IPPROTO_TCP, 0, 0, 0, NULL, NULL) == 0) {
        EXPECT(found(listener) == STRANGER_LISTENING);
        EXPECT(found(fd) == STRANGER_CONNECTED);
        EXPECT(found(accepted) == STRANGER_CONNECTED);
        shutdown(accepted, SHUT_WR);
        EXPECT(found(fd) == STRANGER_CONNECTED);
    }
    EXPECT(found(fresh) == STRANGER_UNKNOWN); /* the kernel lists none that has no port */

    /* What sends to any address is never known. */
    EXPECT(connect(udp, (struct sockaddr *)&to, sizeof to) == 0 && found(udp) == STRANGER_UNKNOWN);
    EXPECT(found(netlink) == STRANGER_UNKNOWN);
    EXPECT(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && found(ends[0]) == STRANGER_UNKNOWN);
    if (unixdiag_is_there()) {
        EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && found(ends[0]) == STRANGER_UNIX);
        EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 && found(ends[1]) == STRANGER_UNIX);
    }
    EXPECT(found(0) == STRANGER_UNKNOWN || found(0) == STRANGER_UNIX);
    EXPECT(found(999) == STRANGER_UNKNOWN);
    return unit_done();
}

/* native_fixture.h - descriptors in the states a call can meet them in: every kind, every stage of its life */
#ifndef NATIVE_FIXTURE_H
#define NATIVE_FIXTURE_H

#include "native_address.h"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

static void set_int(int fd, int level, int option, int value)
{
    MUST(setsockopt(fd, level, option, &value, sizeof value));
}

enum where { LOOP4, LOOP6, MAPPED, PATH, ABSTRACT, KERNEL };

/* A kind of socket, and where its peer is. */
struct kind {
    const char *name;
    int family, type, protocol;
    enum where where;
    bool v6only;
};

enum state {
    FRESH,        /* `to` is a peer that listens or is bound */
    REFUSED,      /* `to` is a port that is taken but answers nobody */
    BOUND,        /* to a port of the kernel's choice, or a name */
    LISTENING,
    CONNECTED,
    PEER_CLOSED,
    PEER_RESET,   /* with the error still to be fetched */
    SHUT_WRITE,
    SHUT_READ,
    SHUT_BOTH,
    FAILED,       /* one connect was refused */
    DISCONNECTED, /* connected, then undone by AF_UNSPEC */
    CONNECTING,   /* the listener's queue is full: no answer ever comes */
    FULL,         /* nobody reads */
    PAIR,         /* of socketpair(2) */
    PAIR_CLOSED,  /* and the other end is gone */
};

struct fixture {
    const struct kind *kind;
    int fd;
    int peer; /* gets what fd sends, or -1 */
    struct address to;
    bool named_sends; /* a send needs the address */
    bool no_answer;   /* a wait for the connection's end would last */
};

static bool kind_is_datagram(const struct kind *kind)
{
    return kind->type == SOCK_DGRAM || kind->type == SOCK_RAW;
}

static int kind_open(const struct kind *kind)
{
    int fd = (int)MUST(socket(kind->family, kind->type, kind->protocol));

    if (kind->v6only)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return fd;
}

/* Where a peer of this kind binds itself. */
static struct address kind_local(const struct kind *kind, const char *name)
{
    char abstract[16];

    switch (kind->where) {
    case LOOP4:
    case MAPPED:
        return address_in("127.0.0.1", 0);
    case LOOP6:
        return address_in6("::1", 0);
    case PATH:
        unlink(name);
        return address_un(name);
    case ABSTRACT:
        snprintf(abstract, sizeof abstract, "@%s", name);
        return address_un(abstract);
    case KERNEL:
        break;
    }
    return address_netlink(0, 0);
}

/* Whether nobody has the port, in the family that `taken` is not of: a row may bind it there. */
static bool port_is_free(const struct kind *kind, const struct address *taken)
{
    bool other_is_in = taken->storage.ss_family == AF_INET6;
    int fd = (int)MUST(socket(other_is_in ? AF_INET : AF_INET6, kind->type, 0));
    uint16_t port = address_port(taken);
    struct address any = other_is_in ? address_in("0.0.0.0", port) : address_in6("::", port);

    if (!other_is_in)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    bool free = bind(fd, address_of(&any), any.len) == 0;
    close(fd);
    return free;
}

/* A peer, bound; *to is the address that reaches it. Listening is the caller's. */
static int kind_peer(const struct kind *kind, struct address *to)
{
    struct kind peer_kind = *kind;

    if (kind->where == KERNEL) {
        *to = address_netlink(0, 0);
        return -1;
    }
    if (kind->where == MAPPED)
        peer_kind.family = AF_INET;
    for (;;) {
        int fd = kind_open(&peer_kind);
        struct address local = kind_local(kind, "peer");
        MUST(bind(fd, address_of(&local), local.len));
        *to = name_of_socket(fd);
        if (kind->family != AF_UNIX && !port_is_free(kind, to)) {
            close(fd);
            continue;
        }
        if (kind->where == MAPPED)
            *to = address_in6("::ffff:127.0.0.1", address_port(to));
        return fd;
    }
}

static void fixture_connect(struct fixture *f)
{
    int listener = f->peer;

    if (kind_is_datagram(f->kind)) {
        MUST(connect(f->fd, address_of(&f->to), f->to.len));
        f->named_sends = false;
        return;
    }
    MUST(connect(f->fd, address_of(&f->to), f->to.len));
    f->peer = (int)MUST(accept(listener, NULL, NULL));
}

/* The port is taken by a socket that answers nobody: a stream socket that doesn't listen, or a datagram socket that
 * takes from itself only. A unix name without a socket behind it. */
static void fixture_refuse(struct fixture *f)
{
    if (f->kind->family == AF_UNIX && f->kind->where == PATH) {
        MUST(close(f->peer));
    } else if (f->kind->family == AF_UNIX) {
        f->to = address_un("@nobody");
    } else if (kind_is_datagram(f->kind)) {
        struct address own = name_of_socket(f->peer);
        MUST(connect(f->peer, address_of(&own), own.len));
    }
    f->peer = -1;
}

static void set_nonblocking(int fd)
{
    MUST(fcntl(fd, F_SETFL, MUST(fcntl(fd, F_GETFL)) | O_NONBLOCK));
}

static void fixture_fill_queue(struct fixture *f)
{
    int first = kind_open(f->kind);

    MUST(listen(f->peer, 0));
    MUST(connect(first, address_of(&f->to), f->to.len));
    set_nonblocking(f->fd);
    if (connect(f->fd, address_of(&f->to), f->to.len) == 0 || errno != EINPROGRESS)
        MUST(-1);
    f->no_answer = true;
}

/* Send until nothing more is taken; whether anything was. */
static bool fixture_fill(const struct fixture *f)
{
    char piece[PAGE] = {0};
    bool any = false;

    for (size_t n = sizeof piece; n > 0; n /= 8) /* the last page a stream holds may have room for a few bytes */
        while (send(f->fd, piece, n, MSG_NOSIGNAL) > 0)
            any = true;
    return any;
}

/* Is something of a TCP stream sent and not acknowledged yet (tcp(7), SIOCOUTQ)? What it takes becomes free then. */
static bool fixture_under_way(const struct fixture *f)
{
    int queued = 0, unsent = 0;

    return f->kind->family != AF_UNIX && ioctl(f->fd, SIOCOUTQ, &queued) == 0 &&
           ioctl(f->fd, SIOCOUTQNSD, &unsent) == 0 && queued != unsent;
}

static void fixture_fill_buffer(struct fixture *f)
{
    set_nonblocking(f->fd);
    set_int(f->fd, SOL_SOCKET, SO_SNDBUF, PAGE);
    while (fixture_fill(f))
        for (int ms = 0; ms < 500 && fixture_under_way(f); ms++)
            usleep(1000);
    f->peer = -1;
}

static void fixture_reset(struct fixture *f)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    if (kind_is_datagram(f->kind)) {
        fixture_refuse(f);
        MUST(send(f->fd, "x", 1, 0));
    } else {
        MUST(setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &none, sizeof none));
        MUST(close(f->peer));
        f->peer = -1;
    }
    wait_for(f->fd, POLLERR, WAIT_MS);
}

static void fixture_close_peer(struct fixture *f)
{
    MUST(close(f->peer));
    f->peer = -1;
    wait_for(f->fd, POLLRDHUP, kind_is_datagram(f->kind) ? 0 : WAIT_MS);
}

static struct fixture fixture_pair(const struct kind *kind)
{
    int ends[2];

    MUST(socketpair(kind->family, kind->type, kind->protocol, ends));
    return (struct fixture){.kind = kind, .fd = ends[0], .peer = ends[1], .to = address_un("nobody")};
}

/* Bring the socket from FRESH to `state`. */
static void fixture_advance(struct fixture *f, enum state state)
{
    struct address address;

    switch (state) {
    case FRESH:
    case PAIR:
        return;
    case REFUSED:
        fixture_refuse(f);
        return;
    case BOUND:
    case LISTENING:
        address = kind_local(f->kind, "own");
        MUST(bind(f->fd, address_of(&address), address.len));
        if (state == LISTENING)
            MUST(listen(f->fd, 4));
        return;
    case CONNECTED:
        fixture_connect(f);
        return;
    case PEER_CLOSED:
        fixture_connect(f);
        fixture_close_peer(f);
        return;
    case PAIR_CLOSED:
        fixture_close_peer(f);
        return;
    case PEER_RESET:
        fixture_connect(f);
        fixture_reset(f);
        return;
    case SHUT_WRITE:
    case SHUT_READ:
    case SHUT_BOTH:
        fixture_connect(f);
        MUST(shutdown(f->fd, state == SHUT_WRITE ? SHUT_WR : state == SHUT_READ ? SHUT_RD : SHUT_RDWR));
        return;
    case FAILED:
        address = f->to;
        fixture_refuse(f);
        if (connect(f->fd, address_of(&address), address.len) == 0)
            MUST(-1);
        return;
    case DISCONNECTED:
        fixture_connect(f);
        address = address_unspec();
        MUST(connect(f->fd, address_of(&address), address.len));
        f->named_sends = true;
        return;
    case CONNECTING:
        fixture_fill_queue(f);
        return;
    case FULL:
        fixture_connect(f);
        fixture_fill_buffer(f);
        return;
    }
}

static struct fixture fixture_make(const struct kind *kind, enum state state, bool nonblocking)
{
    struct fixture f;

    if (state == PAIR || state == PAIR_CLOSED) {
        f = fixture_pair(kind);
    } else {
        f = (struct fixture){.kind = kind, .named_sends = kind_is_datagram(kind)};
        f.peer = kind_peer(kind, &f.to);
        bool listens = !kind_is_datagram(kind) && state != REFUSED && state != FAILED && state != CONNECTING;
        if (state == FULL && !kind_is_datagram(kind))
            set_int(f.peer, SOL_SOCKET, SO_RCVBUF, PAGE); /* now it doesn't grow by itself: tcp(7) */
        if (listens && f.peer >= 0)
            MUST(listen(f.peer, 4));
        f.fd = kind_open(kind);
    }
    fixture_advance(&f, state);
    if (nonblocking)
        set_nonblocking(f.fd);
    return f;
}

/* ---- descriptors that are no sockets ---- */

static int not_minus_one(void)
{
    return -1;
}

static int not_open(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static int not_possible(void)
{
    return 1 << 30;
}

static int not_pipe_reader(void)
{
    int ends[2];

    MUST(pipe(ends));
    return ends[0];
}

static int not_pipe_writer(void)
{
    int ends[2];

    MUST(pipe(ends));
    return ends[1];
}

static int not_file(void)
{
    return (int)MUST(open("file", O_RDWR | O_CREAT, 0600));
}

static int not_directory(void)
{
    return (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
}

static int not_path(void)
{
    return (int)MUST(open(".", O_PATH));
}

/* An O_PATH descriptor of a bound socket's name is no socket. */
static int not_socket_path(void)
{
    struct address name = address_un("peer");
    int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

    unlink("peer");
    MUST(bind(fd, address_of(&name), name.len));
    return (int)MUST(open("peer", O_PATH));
}

static int not_epoll(void)
{
    return (int)MUST(epoll_create1(0));
}

static int not_eventfd(void)
{
    return (int)MUST(eventfd(0, 0));
}

static int not_null_device(void)
{
    return (int)MUST(open("/dev/null", O_RDWR));
}

/* ---- the tables ---- */

static const struct kind tcp4 = {"tcp4", AF_INET, SOCK_STREAM, 0, LOOP4, false};
static const struct kind tcp6 = {"tcp6", AF_INET6, SOCK_STREAM, 0, LOOP6, false};
static const struct kind tcp6_mapped = {"tcp6-mapped", AF_INET6, SOCK_STREAM, 0, MAPPED, false};
static const struct kind tcp6_only = {"tcp6-only", AF_INET6, SOCK_STREAM, 0, LOOP6, true};
static const struct kind udp4 = {"udp4", AF_INET, SOCK_DGRAM, 0, LOOP4, false};
static const struct kind udp6 = {"udp6", AF_INET6, SOCK_DGRAM, 0, LOOP6, false};
static const struct kind udp6_mapped = {"udp6-mapped", AF_INET6, SOCK_DGRAM, 0, MAPPED, false};
static const struct kind udp6_only = {"udp6-only", AF_INET6, SOCK_DGRAM, 0, LOOP6, true};
static const struct kind unix_stream = {"unix-stream", AF_UNIX, SOCK_STREAM, 0, PATH, false};
static const struct kind unix_dgram = {"unix-dgram", AF_UNIX, SOCK_DGRAM, 0, PATH, false};
static const struct kind unix_seqpacket = {"unix-seqpacket", AF_UNIX, SOCK_SEQPACKET, 0, PATH, false};
static const struct kind abstract_stream = {"abstract-stream", AF_UNIX, SOCK_STREAM, 0, ABSTRACT, false};
static const struct kind abstract_dgram = {"abstract-dgram", AF_UNIX, SOCK_DGRAM, 0, ABSTRACT, false};
static const struct kind netlink = {"netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, KERNEL, false};

/* A row of the matrix. `wide`: meets every shape of address, payload and header, not only the first of each. */
static const struct stage {
    const char *name;
    const struct kind *kind;
    enum state state;
    bool nonblocking, wide;
} stages[] = {
    {"tcp4", &tcp4, FRESH, false, true},
    {"tcp4-nonblocking", &tcp4, FRESH, true, false},
    {"tcp4-refused", &tcp4, REFUSED, false, false},
    {"tcp4-refused-nonblocking", &tcp4, REFUSED, true, false},
    {"tcp4-bound", &tcp4, BOUND, false, false},
    {"tcp4-listening", &tcp4, LISTENING, false, false},
    {"tcp4-connected", &tcp4, CONNECTED, false, true},
    {"tcp4-connected-nonblocking", &tcp4, CONNECTED, true, false},
    {"tcp4-peer-closed", &tcp4, PEER_CLOSED, false, false},
    {"tcp4-peer-reset", &tcp4, PEER_RESET, false, false},
    {"tcp4-shut-write", &tcp4, SHUT_WRITE, false, false},
    {"tcp4-shut-read", &tcp4, SHUT_READ, false, false},
    {"tcp4-shut-both", &tcp4, SHUT_BOTH, false, false},
    {"tcp4-failed", &tcp4, FAILED, false, false},
    {"tcp4-disconnected", &tcp4, DISCONNECTED, false, false},
    {"tcp4-connecting", &tcp4, CONNECTING, true, false},
    {"tcp4-full", &tcp4, FULL, true, false},
    {"tcp6", &tcp6, FRESH, false, true},
    {"tcp6-refused", &tcp6, REFUSED, false, false},
    {"tcp6-connected", &tcp6, CONNECTED, false, false},
    {"tcp6-connecting", &tcp6, CONNECTING, true, false},
    {"tcp6-mapped", &tcp6_mapped, FRESH, false, false},
    {"tcp6-mapped-connected", &tcp6_mapped, CONNECTED, false, false},
    {"tcp6-only", &tcp6_only, FRESH, false, false},
    {"udp4", &udp4, FRESH, false, true},
    {"udp4-nonblocking", &udp4, FRESH, true, false},
    {"udp4-refused", &udp4, REFUSED, false, false},
    {"udp4-bound", &udp4, BOUND, false, false},
    {"udp4-connected", &udp4, CONNECTED, false, true},
    {"udp4-connected-refused", &udp4, PEER_RESET, false, false},
    {"udp4-shut-write", &udp4, SHUT_WRITE, false, false},
    {"udp4-shut-read", &udp4, SHUT_READ, false, false},
    {"udp4-disconnected", &udp4, DISCONNECTED, false, false},
    {"udp6", &udp6, FRESH, false, true},
    {"udp6-connected", &udp6, CONNECTED, false, false},
    {"udp6-connected-refused", &udp6, PEER_RESET, false, false},
    {"udp6-mapped", &udp6_mapped, FRESH, false, false},
    {"udp6-mapped-connected", &udp6_mapped, CONNECTED, false, false},
    {"udp6-only", &udp6_only, FRESH, false, false},
    {"unix-stream", &unix_stream, FRESH, false, true},
    {"unix-stream-refused", &unix_stream, REFUSED, false, false},
    {"unix-stream-bound", &unix_stream, BOUND, false, false},
    {"unix-stream-listening", &unix_stream, LISTENING, false, false},
    {"unix-stream-connected", &unix_stream, CONNECTED, false, false},
    {"unix-stream-shut-write", &unix_stream, SHUT_WRITE, false, false},
    {"unix-stream-full", &unix_stream, FULL, true, false},
    {"unix-stream-pair", &unix_stream, PAIR, false, true},
    {"unix-stream-pair-closed", &unix_stream, PAIR_CLOSED, false, false},
    {"unix-dgram", &unix_dgram, FRESH, false, true},
    {"unix-dgram-refused", &unix_dgram, REFUSED, false, false},
    {"unix-dgram-bound", &unix_dgram, BOUND, false, false},
    {"unix-dgram-connected", &unix_dgram, CONNECTED, false, false},
    {"unix-dgram-peer-closed", &unix_dgram, PEER_CLOSED, false, false},
    {"unix-dgram-disconnected", &unix_dgram, DISCONNECTED, false, false},
    {"unix-dgram-full", &unix_dgram, FULL, true, false},
    {"unix-dgram-pair", &unix_dgram, PAIR, false, true},
    {"unix-dgram-pair-closed", &unix_dgram, PAIR_CLOSED, false, false},
    {"unix-seqpacket", &unix_seqpacket, FRESH, false, false},
    {"unix-seqpacket-connected", &unix_seqpacket, CONNECTED, false, false},
    {"unix-seqpacket-pair", &unix_seqpacket, PAIR, false, true},
    {"unix-seqpacket-pair-closed", &unix_seqpacket, PAIR_CLOSED, false, false},
    {"abstract-stream", &abstract_stream, FRESH, false, false},
    {"abstract-stream-refused", &abstract_stream, REFUSED, false, false},
    {"abstract-dgram", &abstract_dgram, FRESH, false, false},
    {"abstract-dgram-connected", &abstract_dgram, CONNECTED, false, false},
    {"netlink", &netlink, FRESH, false, false},
    {"netlink-bound", &netlink, BOUND, false, false},
};

static const struct not_socket {
    const char *name;
    int (*open)(void);
} not_sockets[] = {
    {"fd-minus-one", not_minus_one},
    {"fd-not-open", not_open},
    {"fd-impossible", not_possible},
    {"pipe-reader", not_pipe_reader},
    {"pipe-writer", not_pipe_writer},
    {"file", not_file},
    {"directory", not_directory},
    {"path", not_path},
    {"socket-path", not_socket_path},
    {"epoll", not_epoll},
    {"eventfd", not_eventfd},
    {"null-device", not_null_device},
};

#endif

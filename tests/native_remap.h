/* native_remap.h - rows of sockets that ask for one port, which native.test takes for a run inside (--port-remap) */
#ifndef NATIVE_REMAP_H
#define NATIVE_REMAP_H

#include "native_steps.h"

#include <sys/wait.h>

static uint16_t asked_port; /* 0: these rows are left out */

/* A socket of the kind, with these options of SO_REUSE*. */
enum reuse { ALONE, BY_ADDRESS, BY_PORT, REUSES };

static int reusing(const struct kind *kind, enum reuse reuse)
{
    int fd = kind_open(kind);

    if (reuse != ALONE)
        set_int(fd, SOL_SOCKET, reuse == BY_ADDRESS ? SO_REUSEADDR : SO_REUSEPORT, 1);
    return fd;
}

static struct address asked_at(const char *ip)
{
    return strchr(ip, ':') ? address_in6(ip, asked_port) : address_in(ip, asked_port);
}

/* Which port a name has: the one that was asked for, or another. */
static void out_asked(const char *label, long nr, int fd)
{
    struct address name = {.len = sizeof name.storage};
    long result = RAW(nr, fd, &name.storage, &name.len);

    out(" %s", label);
    if (result < 0)
        out_result(result);
    else
        out("=%s/%u", address_port(&name) == asked_port ? "asked" : address_port(&name) ? "other" : "0", name.len);
}

/* A client that leaves nothing behind: no connection in TIME_WAIT keeps the next row from the port. */
static int client_of(const struct kind *kind)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    int fd = kind_open(kind);

    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none));
    return fd;
}

/* A server of the kind at an address, bound and (TCP) listening. */
static int server_at(const struct kind *kind, const char *ip, enum reuse reuse)
{
    int fd = reusing(kind, reuse);

    step_bind(fd, asked_at(ip));
    if (kind->type == SOCK_STREAM)
        out_result(RAW(SYS_listen, fd, 5));
    out_asked("server", SYS_getsockname, fd);
    return fd;
}

/* Each shape that getsockname's and getpeername's arguments can have. */
static void out_shapes(long nr, int fd)
{
    static const socklen_t lengths[] = {0, 1, 3, 4, 15, 16, 17, 28, 128, 129, 0x7fffffff, 0x80000000, 0xffffffff};
    unsigned char room[256];

    for (size_t i = 0; i < COUNT(lengths); i++) {
        socklen_t *len = fenced(&lengths[i], sizeof *len);
        memset(room, 0x55, sizeof room);
        long result = RAW(nr, fd, room, len);
        size_t written = 0;
        while (written < sizeof room && room[written] != 0x55)
            written++;
        out(" %x:", lengths[i]);
        out_result(result);
        out(" len=%u written=%zu port=%s", *len, written,
            written < 4 ? "none" : (room[2] << 8 | room[3]) == asked_port ? "asked" : "other");
    }
    socklen_t *len = fenced(&(socklen_t){16}, sizeof *len);
    out(" flush:");
    out_result(RAW(nr, fd, fenced(NULL, 16), len));
    out(" short:");
    out_result(RAW(nr, fd, fenced(NULL, 15), fenced(&(socklen_t){16}, sizeof *len)));
    out(" bad:");
    out_result(RAW(nr, fd, BAD_POINTER, fenced(&(socklen_t){16}, sizeof *len)));
    out(" null:");
    out_result(RAW(nr, fd, NULL, fenced(&(socklen_t){16}, sizeof *len)));
    out(" no-length:");
    out_result(RAW(nr, fd, room, NULL));
    out(" unreadable-length:");
    out_result(RAW(nr, fd, room, BAD_POINTER));
    out(" high-half:");
    out_result(RAW(nr, fd | 0x7700000000L, room, fenced(&(socklen_t){16}, sizeof *len)));
}

static void remap_shapes(void)
{
    int server = server_at(&tcp4, "127.0.0.1", ALONE), client = client_of(&tcp4);

    out_shapes(SYS_getsockname, server);
    step_connect(client, asked_at("127.0.0.1"));
    out_shapes(SYS_getpeername, client);
    out_shapes(SYS_getsockname, (int)MUST(accept(server, NULL, NULL)));
}

/* A server at one address, its client by another. */
static void serve(const struct kind *kind, const char *at, const struct kind *client_kind, const char *by)
{
    int server = server_at(kind, at, ALONE), client = client_of(client_kind), accepted = server;

    step_connect(client, asked_at(by));
    out_asked("peer", SYS_getpeername, client);
    out_asked("own", SYS_getsockname, client);
    if (kind->type == SOCK_STREAM) {
        accepted = (int)MUST(accept(server, NULL, NULL));
        out_asked("accepted", SYS_getsockname, accepted);
        out_asked("from", SYS_getpeername, accepted);
    }
    step_send(client, payload, PAYLOAD_LEN, 0);
    step_recv(accepted, 0);
    close(server);
    out_asked("later", SYS_getpeername, client);
    if (kind->type == SOCK_STREAM)
        out_asked("later", SYS_getsockname, accepted);
}

static void remap_tcp4(void)
{
    serve(&tcp4, "127.0.0.1", &tcp4, "127.0.0.1");
}

static void remap_tcp4_unspecified(void)
{
    serve(&tcp4, "127.0.0.1", &tcp4, "0.0.0.0");
}

static void remap_tcp4_wild(void)
{
    serve(&tcp4, "0.0.0.0", &tcp4, "127.0.0.3");
}

static void remap_tcp4_mapped_client(void)
{
    serve(&tcp4, "127.0.0.1", &tcp6, "::ffff:127.0.0.1");
}

static void remap_tcp6(void)
{
    serve(&tcp6, "::1", &tcp6, "::");
}

static void remap_tcp6_dual(void)
{
    serve(&tcp6, "::", &tcp4, "127.0.0.1");
}

static void remap_tcp6_dual_by_six(void)
{
    serve(&tcp6, "::", &tcp6, "::1");
}

static void remap_tcp6_mapped(void)
{
    serve(&tcp6_mapped, "::ffff:127.0.0.1", &tcp4, "127.0.0.1");
}

static void remap_udp4(void)
{
    serve(&udp4, "127.0.0.1", &udp4, "127.0.0.1");
}

static void remap_udp4_wild(void)
{
    serve(&udp4, "0.0.0.0", &udp4, "0.0.0.0");
}

static void remap_udp6(void)
{
    serve(&udp6, "::1", &udp6, "::1");
}

static void remap_udp6_dual(void)
{
    serve(&udp6, "::", &udp6, "::ffff:127.0.0.1");
}

/* Datagrams by each call that has an address, to two servers. */
static void remap_sends(void)
{
    int four = server_at(&udp4, "127.0.0.1", ALONE), six = server_at(&udp6_only, "::1", ALONE);
    struct address to[] = {asked_at("127.0.0.1"), asked_at("::ffff:127.0.0.1"), asked_at("::1"), asked_at("::")};
    struct iovec iov = {payload, PAYLOAD_LEN};
    struct vector_entry entries[COUNT(to)] = {0};
    int fd = kind_open(&udp6);

    for (size_t i = 1; i < COUNT(to); i++) {
        step_sendto(fd, payload, PAYLOAD_LEN, 0, to[i]);
        struct header header = {.name = &to[i].storage, .namelen = (int32_t)to[i].len, .iov = &iov, .iovlen = 1};
        out_result(RAW(SYS_sendmsg, fd, &header, 0));
        entries[i - 1].header = header;
    }
    out_result(RAW(SYS_sendmmsg, fd, entries, COUNT(to) - 1, 0));
    step_sendto(kind_open(&udp4), payload, PAYLOAD_LEN, 0, to[0]);
    for (int i = 0; i < 5; i++)
        step_recv(four, 0);
    for (int i = 0; i < 7; i++)
        step_recv(six, 0);
}

/* Two connected to each other; a third's datagram doesn't arrive. */
static void remap_udp_each_other(void)
{
    int server = server_at(&udp4, "127.0.0.1", ALONE), client = client_of(&udp4), third = kind_open(&udp4);

    step_bind(client, address_in("127.0.0.1", 0));
    step_connect(server, name_of_socket(client));
    step_connect(client, asked_at("127.0.0.1"));
    step_send(client, "client", 6, 0);
    step_send(server, "server", 6, 0);
    step_recv(server, 0);
    step_recv(client, 0);
    step_connect(third, asked_at("127.0.0.1"));
    step_send(third, "third", 5, 0);
    wait_for(third, POLLERR, WAIT_MS);
    step_error(third);
    step_recv(server, 0);
}

/* Each pair of two sockets' options; both listen. */
static void bind_pairs(const struct kind *kind, const char *first_at, const char *second_at, bool listens)
{
    for (int first = ALONE; first < REUSES; first++)
        for (int second = ALONE; second < REUSES; second++) {
            int a = reusing(kind, (enum reuse)first), b = reusing(kind, (enum reuse)second);

            out(" %d%d:", first, second);
            step_bind(a, asked_at(first_at));
            if (listens)
                out_result(RAW(SYS_listen, a, 5));
            step_bind(b, asked_at(second_at));
            out_result(RAW(SYS_listen, b, 5));
            out_result(RAW(SYS_listen, a, 5));
            out_ports_equal(a, b);
            out_asked("", SYS_getsockname, b);
            close(a);
            close(b);
        }
}

static void remap_pairs_tcp(void)
{
    bind_pairs(&tcp4, "127.0.0.1", "127.0.0.1", false);
}

static void remap_pairs_tcp_listening(void)
{
    bind_pairs(&tcp4, "127.0.0.1", "127.0.0.1", true);
}

static void remap_pairs_tcp_wild(void)
{
    bind_pairs(&tcp4, "0.0.0.0", "127.0.0.1", true);
}

static void remap_pairs_tcp_other(void)
{
    bind_pairs(&tcp4, "127.0.0.1", "127.0.0.3", true);
}

static void remap_pairs_tcp_dual(void)
{
    bind_pairs(&tcp6, "::", "::ffff:127.0.0.1", true);
}

static void remap_pairs_udp(void)
{
    bind_pairs(&udp4, "127.0.0.1", "127.0.0.1", false);
}

static void remap_pairs_udp_wild(void)
{
    bind_pairs(&udp6, "::1", "::", false);
}

/* Both families, apart and together. */
static void remap_families(void)
{
    int six = kind_open(&tcp6_only), four = kind_open(&tcp4), both = kind_open(&tcp6);

    step_bind(six, asked_at("::"));
    step_bind(four, asked_at("0.0.0.0"));
    step_bind(both, asked_at("::"));
    close(six);
    step_bind(kind_open(&tcp6), asked_at("::"));
    step_bind(kind_open(&tcp6_only), asked_at("::1"));
}

/* TCP's ports and UDP's are two things. */
static void remap_protocols(void)
{
    int tcp = server_at(&tcp4, "127.0.0.1", ALONE), udp = server_at(&udp4, "127.0.0.1", ALONE);

    out_asked("tcp", SYS_getsockname, tcp);
    out_asked("udp", SYS_getsockname, udp);
    close(tcp);
    step_connect(client_of(&tcp4), asked_at("127.0.0.1"));
}

/* Bound, not listening: nobody answers. Then another listens in its place. */
static void remap_restart(void)
{
    int first = kind_open(&tcp4);

    step_bind(first, asked_at("127.0.0.1"));
    step_connect(client_of(&tcp4), asked_at("127.0.0.1"));
    out_result(RAW(SYS_listen, first, 5));
    step_connect(client_of(&tcp4), asked_at("127.0.0.1"));
    close(first);
    int second = server_at(&tcp4, "127.0.0.1", BY_ADDRESS);
    step_connect(client_of(&tcp4), asked_at("127.0.0.1"));
    MUST(accept(second, NULL, NULL));
    step_bind(second, asked_at("127.0.0.1"));
}

/* A server that is closed answers nobody: not one that has the descriptor of an earlier one either, many times over. */
static void remap_closed(void)
{
    unsigned answered = 0;

    for (unsigned i = 0; i < 600; i++) {
        int fd = kind_open(&tcp4);
        struct address at = asked_at("127.0.0.1");

        MUST(bind(fd, (struct sockaddr *)&at.storage, at.len));
        MUST(listen(fd, 5));
        close(fd);
        if (i % 2 == 0)
            continue;
        fd = client_of(&tcp4);
        answered += connect(fd, (struct sockaddr *)&at.storage, at.len) == 0;
        close(fd);
    }
    out(" %u", answered);
}

/* The server's process is another than the one that bound the port, which has ended. */
static void remap_inherited(void)
{
    int server = server_at(&tcp4, "127.0.0.1", ALONE), moved = fcntl(server, F_DUPFD, 500);
    pid_t pid = (pid_t)MUST(fork());

    close(server);
    if (pid == 0) {
        int accepted = accept(moved, NULL, NULL);
        _exit(accepted < 0 || send(accepted, payload, PAYLOAD_LEN, 0) != PAYLOAD_LEN);
    }
    close(moved);
    int client = client_of(&tcp4);
    step_connect(client, asked_at("127.0.0.1"));
    step_recv(client, 0);
    out_asked("peer", SYS_getpeername, client);
    MUST(waitpid(pid, NULL, 0)); /* it would have the port still */
}

/* A client that asks for the port, too. */
static void remap_client(void)
{
    struct fixture f = fresh(&tcp4);
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    int accepted;

    MUST(setsockopt(f.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none));
    step_bind(f.fd, asked_at("127.0.0.1"));
    step_connect(f.fd, f.to);
    accepted = (int)MUST(accept(f.peer, NULL, NULL));
    out_asked("own", SYS_getsockname, f.fd);
    out_asked("from", SYS_getpeername, accepted);
}

static const struct remap_row {
    const char *name;
    void (*run)(void);
    bool datagram;
} remap_rows[] = {
    {"shapes", remap_shapes, false},
    {"tcp4", remap_tcp4, false},
    {"tcp4-unspecified", remap_tcp4_unspecified, false},
    {"tcp4-wild", remap_tcp4_wild, false},
    {"tcp4-mapped-client", remap_tcp4_mapped_client, false},
    {"tcp6", remap_tcp6, false},
    {"tcp6-dual", remap_tcp6_dual, false},
    {"tcp6-dual-by-six", remap_tcp6_dual_by_six, false},
    {"tcp6-mapped", remap_tcp6_mapped, false},
    {"udp4", remap_udp4, true},
    {"udp4-wild", remap_udp4_wild, true},
    {"udp6", remap_udp6, true},
    {"udp6-dual", remap_udp6_dual, true},
    {"sends", remap_sends, true},
    {"udp-each-other", remap_udp_each_other, true},
    {"pairs-tcp", remap_pairs_tcp, false},
    {"pairs-tcp-listening", remap_pairs_tcp_listening, false},
    {"pairs-tcp-wild", remap_pairs_tcp_wild, false},
    {"pairs-tcp-other", remap_pairs_tcp_other, false},
    {"pairs-tcp-dual", remap_pairs_tcp_dual, false},
    {"pairs-udp", remap_pairs_udp, true},
    {"pairs-udp-wild", remap_pairs_udp_wild, true},
    {"families", remap_families, false},
    {"protocols", remap_protocols, true},
    {"restart", remap_restart, false},
    {"closed", remap_closed, false},
    {"inherited", remap_inherited, false},
    {"client", remap_client, false},
};

#endif

/* native_rows.h - rows with a story of their own: several calls on one socket, and what the other end sees of them */
#ifndef NATIVE_ROWS_H
#define NATIVE_ROWS_H

#include "native_control.h"

#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* ---- steps ---- */

static long step_connect(int fd, struct address to)
{
    long result = RAW(SYS_connect, fd, &to.storage, to.len);

    out_result(result);
    return result;
}

static long step_bind(int fd, struct address to)
{
    long result = RAW(SYS_bind, fd, &to.storage, to.len);

    out_result(result);
    return result;
}

static void step_send(int fd, const void *p, size_t n, int flags)
{
    out_result(RAW(SYS_sendto, fd, p, n, flags, NULL, 0));
}

static void step_sendto(int fd, const void *p, size_t n, int flags, struct address to)
{
    out_result(RAW(SYS_sendto, fd, p, n, flags, &to.storage, to.len));
}

/* SO_ERROR's name, which takes it. */
static void step_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
    out(" error=%s", error == 0 ? "0" : errno_name(error));
}

static void step_poll(int fd)
{
    short events = wait_for(fd, POLLIN | POLLOUT | POLLRDHUP, WAIT_MS);

    out(" poll=%x", (unsigned)events);
}

/* The length and the text of the next message, up to what a line bears. */
static void step_recv(int fd, int flags)
{
    char buffer[256];

    wait_for(fd, POLLIN, WAIT_MS);
    long n = RAW(SYS_recvfrom, fd, buffer, sizeof buffer, flags | MSG_DONTWAIT, NULL, NULL);
    out_result(n);
    if (n > 0)
        out("'%.*s'", n > 32 ? 32 : (int)n, buffer);
}

static void step_recv_length(int fd)
{
    static char buffer[131072];

    wait_for(fd, POLLIN, WAIT_MS);
    out(" got");
    out_result(RAW(SYS_recvfrom, fd, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL));
}

static void out_own_name(int fd)
{
    struct address name = name_of_socket(fd);

    out(" ");
    out_address(&name);
}

static uint16_t port_of(int fd)
{
    struct address name = name_of_socket(fd);

    return address_port(&name);
}

static void out_ports_equal(int a, int b)
{
    out(" ports %s", port_of(a) == port_of(b) ? "equal" : "differ");
}

static struct fixture fresh(const struct kind *kind)
{
    return fixture_make(kind, FRESH, false);
}

/* A port that answers nobody, of the kind. */
static struct address refusing(const struct kind *kind)
{
    return fixture_make(kind, REFUSED, false).to;
}

/* ---- connects ---- */

static void connect_refused_then_other(void)
{
    struct fixture f = fresh(&tcp4);

    step_connect(f.fd, refusing(&tcp4));
    step_connect(f.fd, f.to);
    step_connect(f.fd, f.to);
    step_error(f.fd);
}

static void connect_refused_many(void)
{
    struct fixture f = fresh(&tcp4);

    for (int i = 0; i < 5; i++)
        step_connect(f.fd, refusing(&tcp4));
    step_connect(f.fd, f.to);
}

static void connect_nonblocking(void)
{
    struct fixture f = fixture_make(&tcp4, FRESH, true);

    step_connect(f.fd, f.to);
    step_poll(f.fd);
    step_connect(f.fd, f.to);
    step_connect(f.fd, f.to);
    step_error(f.fd);
}

static void connect_nonblocking_error_first(void)
{
    struct fixture f = fixture_make(&tcp4, FRESH, true);

    step_connect(f.fd, f.to);
    step_poll(f.fd);
    step_error(f.fd);
    step_connect(f.fd, f.to);
}

static void connect_nonblocking_refused(void)
{
    struct fixture f = fixture_make(&tcp4, FRESH, true);
    struct address dead = refusing(&tcp4);

    step_connect(f.fd, dead);
    step_poll(f.fd);
    step_connect(f.fd, dead);
    step_connect(f.fd, f.to);
    step_poll(f.fd);
    step_connect(f.fd, f.to);
}

static void connect_nonblocking_refused_error_first(void)
{
    struct fixture f = fixture_make(&tcp4, FRESH, true);
    struct address dead = refusing(&tcp4);

    step_connect(f.fd, dead);
    step_poll(f.fd);
    step_error(f.fd);
    step_connect(f.fd, dead);
    step_connect(f.fd, f.to);
}

/* A connect under way, awaited by a blocking connect. */
static void connect_made_blocking(void)
{
    struct fixture f = fixture_make(&tcp4, FRESH, true);
    struct address dead = refusing(&tcp4);

    step_connect(f.fd, f.to);
    MUST(fcntl(f.fd, F_SETFL, 0));
    step_connect(f.fd, f.to);
    step_connect(f.fd, f.to);
    int other = kind_open(&tcp4);
    set_nonblocking(other);
    step_connect(other, dead);
    MUST(fcntl(other, F_SETFL, 0));
    step_connect(other, dead);
}

static void set_timeout(int fd, int ms)
{
    struct timeval timeout = {ms / 1000, ms % 1000 * 1000};

    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
}

/* socket(7): a connect that takes too long is EINPROGRESS, one that joins it EALREADY. */
static void connect_times_out(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTING, false);
    int fd = kind_open(&tcp4);

    set_timeout(fd, 60);
    step_connect(fd, f.to);
    step_connect(fd, f.to);
    set_nonblocking(fd);
    step_connect(fd, f.to);
    step_error(fd);
}

static void connect_shut_while_connecting(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTING, false);

    out_result(RAW(SYS_shutdown, f.fd, SHUT_RDWR));
    step_error(f.fd);
    step_connect(f.fd, f.to);
}

static void connect_undone_while_connecting(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTING, false);
    struct fixture live = fresh(&tcp4);

    step_connect(f.fd, address_unspec());
    MUST(fcntl(f.fd, F_SETFL, 0));
    step_connect(f.fd, live.to);
}

static void connect_to_itself(void)
{
    int fd = kind_open(&tcp4);

    step_bind(fd, address_in("127.0.0.1", 0));
    step_connect(fd, name_of_socket(fd));
    step_send(fd, payload, PAYLOAD_LEN, 0);
    step_recv(fd, 0);
}

static void connect_on_duplicate(void)
{
    struct fixture f = fresh(&tcp4);
    int other = (int)MUST(fcntl(f.fd, F_DUPFD, 700));

    step_connect(other, f.to);
    step_connect(f.fd, f.to);
    close(f.fd);
    step_send(other, payload, PAYLOAD_LEN, 0);
}

static void connect_in_child(void)
{
    struct fixture f = fresh(&tcp4);
    int status;
    pid_t pid = (pid_t)MUST(fork());

    if (pid == 0)
        _exit(connect(f.fd, address_of(&f.to), f.to.len) == 0 ? 0 : 1);
    MUST(waitpid(pid, &status, 0));
    out(" child=%d", status);
    step_connect(f.fd, f.to);
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
}

static void connect_in_vfork_child(void)
{
    struct fixture f = fresh(&tcp4);
    pid_t pid = vfork();

    if (pid == 0)
        _exit(connect(f.fd, address_of(&f.to), f.to.len) == 0 ? 0 : 1);
    int status;
    MUST(waitpid(pid, &status, 0));
    out(" child=%d", status);
    step_connect(f.fd, f.to);
}

static void connect_ports(void)
{
    struct fixture f = fresh(&tcp4);
    int first = kind_open(&tcp4), second = kind_open(&tcp4), accepted;
    struct address peer = {.len = sizeof peer.storage};

    step_connect(first, f.to);
    step_connect(second, f.to);
    out_ports_equal(first, second);
    accepted = (int)MUST(accept(f.peer, address_of(&peer), &peer.len));
    struct address own = name_of_socket(first);
    out(" peer sees %s", memcmp(&own.storage, &peer.storage, 8) == 0 ? "it" : "another");
    out_ports_equal(accepted, f.peer);
}

static void connect_bound_keeps_port(void)
{
    struct fixture f = fresh(&tcp4);

    step_bind(f.fd, address_in("127.0.0.9", 0));
    struct address before = name_of_socket(f.fd);
    step_connect(f.fd, f.to);
    struct address after = name_of_socket(f.fd);
    out(" %s", memcmp(&before.storage, &after.storage, 8) == 0 ? "kept" : "changed");
}

static void connect_late_port(void)
{
    struct fixture f = fresh(&tcp4);

    set_int(f.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    step_bind(f.fd, address_in("127.0.0.9", 0));
    out_own_name(f.fd);
    step_connect(f.fd, f.to);
    out_own_name(f.fd);
}

static void connect_scope(void)
{
    struct fixture f = fresh(&tcp6);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&f.to.storage;

    in6->sin6_scope_id = 999;
    step_connect(f.fd, f.to);
}

static void connect_flow_information(void)
{
    struct fixture f = fresh(&tcp6);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&f.to.storage;

    in6->sin6_flowinfo = htonl(0x12345); /* not looked at without IPV6_FLOWINFO_SEND: ipv6(7) */
    step_connect(f.fd, f.to);
}

static void connect_zero_padding(void)
{
    struct fixture f = fresh(&tcp4);

    memset((char *)&f.to.storage + 8, 0xff, 8);
    step_connect(f.fd, f.to);
}

static void connect_address_form(void)
{
    struct fixture f = fixture_make(&tcp6_mapped, CONNECTED, false);
    int family = AF_INET;

    out_result(RAW(SYS_setsockopt, f.fd, IPPROTO_IPV6, 1, &family, sizeof family)); /* IPV6_ADDRFORM */
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
    step_connect(f.fd, address_in("127.0.0.1", address_port(&f.to)));
    out_own_name(f.fd);
}

/* The result of each length from `first` to `last`, equal neighbours together; every length has a socket of its own. */
static void sweep(const struct kind *kind, long (*call)(struct fixture *f, struct raw_address a), int first, int last)
{
    struct fixture f = fresh(kind);
    unsigned char room[256] = {0};
    long previous = 0;

    if (kind->type == SOCK_STREAM)
        MUST(listen(f.peer, 256)); /* nobody accepts, and the queue mustn't be full */
    memcpy(room, &f.to.storage, sizeof f.to.storage);
    for (int len = first; len <= last; len++) {
        struct fixture one = f;
        one.fd = kind_open(kind);
        long result = call(&one, (struct raw_address){room, len});
        close(one.fd);
        if (len == first || result != previous) {
            out(" %d", len);
            out_result(result);
        }
        previous = result;
    }
}

#define SWEEP(name, kind, call) \
    static void name(void) \
    { \
        sweep(&kind, call, -5, 200); \
    }

SWEEP(sweep_connect_tcp4, tcp4, call_connect)
SWEEP(sweep_connect_tcp6, tcp6, call_connect)
SWEEP(sweep_connect_mapped, tcp6_mapped, call_connect)
SWEEP(sweep_connect_unix, abstract_stream, call_connect)
SWEEP(sweep_bind_tcp4, tcp4, call_bind)
SWEEP(sweep_bind_tcp6, tcp6, call_bind)
SWEEP(sweep_connect_udp4, udp4, call_connect)
SWEEP(sweep_connect_udp6, udp6, call_connect)
SWEEP(sweep_sendto_udp4, udp4, call_sendto)
SWEEP(sweep_sendto_udp6, udp6, call_sendto)
SWEEP(sweep_sendmsg_udp4, udp4, call_sendmsg)
SWEEP(sweep_sendmsg_udp6, udp6, call_sendmsg)
SWEEP(sweep_sendto_unix, abstract_dgram, call_sendto)
SWEEP(sweep_sendto_tcp, tcp4, call_sendto)

/* ---- bind and listen ---- */

static void bind_port_81(void)
{
    step_bind(kind_open(&tcp4), address_in("127.77.0.1", 81)); /* EACCES but for who may: ip(7) */
}

static void bind_twice(void)
{
    int fd = kind_open(&tcp4);

    step_bind(fd, address_in("127.0.0.1", 0));
    step_bind(fd, address_in("127.0.0.1", 0));
}

static void bind_not_local(void)
{
    step_bind(kind_open(&tcp4), address_in("192.0.2.1", 0));
    step_bind(kind_open(&tcp6), address_in6("2001:db8::1", 0));
    step_bind(kind_open(&tcp6), address_in6("::ffff:192.0.2.1", 0));
}

static void bind_taken(bool reuse_address, bool reuse_port, bool listens)
{
    int first = kind_open(&tcp4), second = kind_open(&tcp4);

    set_int(first, SOL_SOCKET, SO_REUSEADDR, reuse_address);
    set_int(second, SOL_SOCKET, SO_REUSEADDR, reuse_address);
    set_int(first, SOL_SOCKET, SO_REUSEPORT, reuse_port);
    set_int(second, SOL_SOCKET, SO_REUSEPORT, reuse_port);
    step_bind(first, address_in("127.0.0.1", 0));
    if (listens)
        out_result(RAW(SYS_listen, first, 5));
    step_bind(second, name_of_socket(first));
    out_result(RAW(SYS_listen, second, 5));
}

static void bind_taken_plain(void)
{
    bind_taken(false, false, false);
}

static void bind_taken_reuse_address(void)
{
    bind_taken(true, false, false);
}

static void bind_taken_listening(void)
{
    bind_taken(true, false, true);
}

static void bind_taken_reuse_port(void)
{
    bind_taken(false, true, true);
}

static void bind_both_families(void)
{
    int six = kind_open(&tcp6_only), four = kind_open(&tcp4), both = kind_open(&tcp6);

    step_bind(six, address_in6("::", 0));
    step_bind(four, address_in("127.77.0.2", port_of(six)));
    step_bind(both, address_in6("::", port_of(six)));
}

static void bind_pointer_after_listen(void)
{
    int fd = kind_open(&tcp4);

    out_result(RAW(SYS_listen, fd, 5));
    out_own_name(fd);
    step_bind(fd, address_in("127.0.0.1", 0));
    out_result(RAW(SYS_listen, fd, 7));
}

static void listen_and_accept(void)
{
    int fd = kind_open(&tcp4), client = kind_open(&tcp4);
    char text[PAYLOAD_LEN];

    out_result(RAW(SYS_listen, fd, 5));
    step_connect(client, address_in("127.0.0.1", port_of(fd)));
    int accepted = (int)MUST(accept(fd, NULL, NULL));
    step_send(client, payload, PAYLOAD_LEN, 0);
    out_result(RAW(SYS_recvfrom, accepted, text, sizeof text, MSG_WAITALL, NULL, NULL));
    step_send(accepted, payload, PAYLOAD_LEN, 0);
    step_recv(client, 0);
}

static void bind_unix_mode(void)
{
    struct stat status;

    umask(027);
    step_bind(kind_open(&unix_stream), address_un("peer"));
    MUST(stat("peer", &status));
    out(" mode=%o owner=%s", status.st_mode, status.st_uid == geteuid() ? "own" : "other");
}

static void bind_unix_relative(void)
{
    MUST(mkdir("below", 0700));
    MUST(chdir("below"));
    step_bind(kind_open(&unix_stream), address_un("peer"));
    out(" there=%d", access("peer", F_OK));
    unlink("peer");
    MUST(chdir(".."));
    MUST(rmdir("below"));
}

/* ---- streams ---- */

static void stream_urgent(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);
    int at_mark = -1;

    step_send(f.fd, "abc", 3, 0);
    step_send(f.fd, "!", 1, MSG_OOB);
    step_send(f.fd, "def", 3, 0);
    wait_for(f.peer, POLLPRI, WAIT_MS);
    step_recv(f.peer, MSG_OOB);
    step_recv(f.peer, 0);
    MUST(ioctl(f.peer, SIOCATMARK, &at_mark));
    out(" mark=%d", at_mark);
    step_recv(f.peer, 0);
}

static void stream_more(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);

    step_send(f.fd, "abc", 3, MSG_MORE);
    step_send(f.fd, "def", 3, 0);
    step_recv(f.peer, 0);
}

/* 3 MiB to a reader that counts: one call, all of it. */
static void send_much(const struct kind *kind, bool by_sendmsg)
{
    struct fixture f = fixture_make(kind, CONNECTED, false);
    size_t n = 3 << 20;
    char *bytes = map_pages(n / PAGE, PROT_READ | PROT_WRITE);
    struct iovec iov[] = {{bytes, n / 2}, {bytes + n / 2, n - n / 2}};
    struct header header = {.iov = iov, .iovlen = 2};
    int status;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 7);
    pid_t pid = (pid_t)MUST(fork());
    if (pid == 0) {
        static char piece[65536];
        size_t at = 0;
        ssize_t got;
        close(f.fd);
        while ((got = recv(f.peer, piece, sizeof piece, 0)) > 0)
            for (ssize_t i = 0; i < got; i++, at++)
                if (piece[i] != (char)(at * 7))
                    _exit(2);
        _exit(at == n ? 0 : 1);
    }
    if (by_sendmsg)
        out_result(RAW(SYS_sendmsg, f.fd, &header, 0));
    else
        step_send(f.fd, bytes, n, 0);
    MUST(close(f.fd));
    MUST(waitpid(pid, &status, 0));
    out(" reader=%x", (unsigned)status);
}

static void stream_much_tcp(void)
{
    send_much(&tcp4, false);
}

static void stream_much_tcp_sendmsg(void)
{
    send_much(&tcp6, true);
}

static void stream_much_unix(void)
{
    send_much(&unix_stream, false);
}

static void stream_much_unix_sendmsg(void)
{
    send_much(&unix_stream, true);
}

/* A full buffer: a send that may wait 60 ms answers EAGAIN, or how much it found room for meanwhile. */
static void send_times_out(const struct kind *kind)
{
    struct fixture f = fixture_make(kind, FULL, false);
    size_t n = 16 << 20;
    char *bytes = map_pages(n / PAGE, PROT_READ | PROT_WRITE);

    MUST(fcntl(f.fd, F_SETFL, 0));
    set_timeout(f.fd, 60);
    if (kind->type != SOCK_STREAM)
        n = 1;
    long sent = RAW(SYS_sendto, f.fd, bytes, n, 0, NULL, 0);
    out(" %s", sent == -EAGAIN || (kind->type == SOCK_STREAM && sent > 0 && sent < (long)n) ? "times out" : "doesn't");
    if (kind->family == AF_UNIX)
        out_result(sent);
}

static void stream_times_out_tcp(void)
{
    send_times_out(&tcp4);
}

static void stream_times_out_unix(void)
{
    send_times_out(&unix_stream);
}

static void dgram_times_out_unix(void)
{
    send_times_out(&unix_dgram);
}

static void stream_partial(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);
    size_t n = 64 << 20;
    char *bytes = map_pages(n / PAGE, PROT_READ | PROT_WRITE);

    set_timeout(f.fd, 60);
    long sent = RAW(SYS_sendto, f.fd, bytes, n, 0, NULL, 0);
    out(" %s", sent > 0 && sent < (long)n ? "a part" : "not a part");
}

static void stream_zerocopy_flag(void)
{
    struct fixture f = fixture_make(&tcp4, CONNECTED, false);

    step_send(f.fd, payload, PAYLOAD_LEN, 0x4000000); /* MSG_ZEROCOPY without SO_ZEROCOPY: an ordinary send */
    step_recv(f.peer, 0);
}

/* ---- datagrams ---- */

static void dgram_sizes(const struct kind *kind, const int *sizes, size_t n)
{
    struct fixture f = fresh(kind);
    char *bytes = map_pages(20, PROT_READ | PROT_WRITE);

    for (size_t i = 0; i < n; i++) {
        long sent = RAW(SYS_sendto, f.fd, bytes, sizes[i], 0, &f.to.storage, f.to.len);
        out(" %d:", sizes[i]);
        out_result(sent);
        if (sent >= 0)
            step_recv_length(f.peer);
    }
}

static void dgram_sizes_udp4(void)
{
    dgram_sizes(&udp4, (const int[]){0, 1, 65506, 65507, 65508, 65535, 65536, 70000}, 8);
}

static void dgram_sizes_udp6(void)
{
    dgram_sizes(&udp6, (const int[]){0, 1, 65507, 65508, 65526, 65527, 65528, 65535, 65536}, 9);
}

static void dgram_oversized_unix(void)
{
    struct fixture f = fixture_make(&unix_dgram, CONNECTED, false);
    char *bytes = map_pages(4096, PROT_READ | PROT_WRITE);

    set_int(f.fd, SOL_SOCKET, SO_SNDBUF, 65536);
    step_send(f.fd, bytes, 100000, 0);
    step_send(f.fd, bytes, 200000, 0);
    step_send(f.fd, bytes, 16 << 20, 0);
    step_recv_length(f.peer);
}

static void dgram_large_unix(void)
{
    struct fixture f = fixture_make(&unix_dgram, CONNECTED, false);
    char *bytes = map_pages(64, PROT_READ | PROT_WRITE);

    step_send(f.fd, bytes, 100000, 0);
    step_recv_length(f.peer);
}

static void dgram_more(void)
{
    struct fixture f = fixture_make(&udp4, CONNECTED, false);

    step_send(f.fd, "abc", 3, MSG_MORE);
    step_send(f.fd, "def", 3, MSG_MORE);
    step_send(f.fd, "ghi", 3, 0);
    step_recv(f.peer, 0);
}

static void dgram_more_address(void)
{
    struct fixture f = fresh(&udp4), other = fresh(&udp4);

    step_sendto(f.fd, "abc", 3, MSG_MORE, f.to);
    step_sendto(f.fd, "def", 3, 0, other.to); /* the first one's address stands: udp(7) */
    step_recv(f.peer, 0);
}

static void dgram_cork(void)
{
    struct fixture f = fixture_make(&udp6, CONNECTED, false);

    set_int(f.fd, IPPROTO_UDP, UDP_CORK, 1);
    step_send(f.fd, "abc", 3, 0);
    step_send(f.fd, "def", 3, 0);
    step_connect(f.fd, address_unspec());
    set_int(f.fd, IPPROTO_UDP, UDP_CORK, 0);
    step_recv(f.peer, 0);
}

static void dgram_segment_option(void)
{
    struct fixture f = fixture_make(&udp4, CONNECTED, false);

    set_int(f.fd, IPPROTO_UDP, UDP_SEGMENT, 3);
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
    for (int i = 0; i < 3; i++)
        step_recv(f.peer, 0);
}

static void dgram_refused_then_sent(void)
{
    struct fixture f = fixture_make(&udp4, CONNECTED, false);
    struct address live = f.to;

    step_connect(f.fd, refusing(&udp4));
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
    wait_for(f.fd, POLLERR, WAIT_MS);
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
    step_connect(f.fd, live);
    step_sendto(f.fd, payload, PAYLOAD_LEN, 0, live);
    step_recv(f.peer, 0);
}

/* Datagrams to one that is connected elsewhere, and to each other. */
static void dgram_connected_sends_elsewhere(void)
{
    struct fixture f = fixture_make(&udp4, CONNECTED, false), other = fresh(&udp4);

    step_sendto(f.fd, payload, PAYLOAD_LEN, 0, other.to);
    step_recv(other.peer, 0);
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
    step_recv(f.peer, 0);
}

static void dgram_disconnect_keeps_bound(void)
{
    int fd = kind_open(&udp4);
    struct fixture f = fresh(&udp4);

    step_bind(fd, address_in("127.0.0.1", 0));
    step_connect(fd, f.to);
    step_connect(fd, address_unspec());
    out_own_name(fd);
}

static void dgram_same_port(void)
{
    struct fixture f = fresh(&udp4);

    step_sendto(f.fd, "a", 1, 0, f.to);
    uint16_t before = port_of(f.fd);
    step_sendto(f.fd, "b", 1, 0, f.to);
    out(" port %s", before == port_of(f.fd) ? "kept" : "changed");
}

static void dgram_broadcast_option(void)
{
    struct fixture f = fresh(&udp4);
    struct address broadcast = address_in("127.255.255.255", address_port(&f.to));

    step_sendto(f.fd, "a", 1, 0, broadcast);
    set_int(f.fd, SOL_SOCKET, SO_BROADCAST, 1);
    step_connect(f.fd, broadcast);
}

/* What the receiver sees of TTL, TOS and the destination address that a control message asked for. */
static void out_ip_controls(int fd)
{
    unsigned char control[256];
    char buffer[64];
    struct iovec iov = {buffer, sizeof buffer};
    struct header header = {.iov = &iov, .iovlen = 1, .control = control, .controllen = sizeof control};

    wait_for(fd, POLLIN, WAIT_MS);
    long n = RAW(SYS_recvmsg, fd, &header, MSG_DONTWAIT);
    out_result(n);
    for (size_t at = 0; n >= 0 && at + sizeof(struct control_head) <= header.controllen;) {
        struct control_head head;
        memcpy(&head, control + at, sizeof head);
        out(" %d/%d=%d", head.level, head.type, control[at + sizeof head]);
        at += (head.len + 7) / 8 * 8;
    }
}

static void dgram_ttl_seen(void)
{
    struct fixture f = fresh(&udp4);

    set_int(f.peer, IPPROTO_IP, IP_RECVTTL, 1);
    set_int(f.peer, IPPROTO_IP, IP_RECVTOS, 1);
    out_result(control_ttl(&f));
    out_ip_controls(f.peer);
    out_result(control_tos(&f));
    out_ip_controls(f.peer);
}

static void dgram_hoplimit_seen(void)
{
    struct fixture f = fresh(&udp6);

    set_int(f.peer, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    set_int(f.peer, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    out_result(control_hoplimit(&f));
    out_ip_controls(f.peer);
    out_result(control_tclass(&f));
    out_ip_controls(f.peer);
}

static void dgram_icmp(int family, int protocol, uint8_t type)
{
    int fd = socket(family, SOCK_DGRAM, protocol);
    struct icmphdr echo = {.type = type, .un.echo.sequence = htons(7)}, answer = {0};
    struct address to = family == AF_INET ? address_in("127.0.0.1", 0) : address_in6("::1", 0);

    if (fd < 0) {
        out(" absent"); /* net.ipv4.ping_group_range: icmp(7) */
        return;
    }
    step_sendto(fd, &echo, sizeof echo, 0, to);
    wait_for(fd, POLLIN, WAIT_MS);
    out_result(RAW(SYS_recvfrom, fd, &answer, sizeof answer, MSG_DONTWAIT, NULL, NULL));
    out(" type=%d sequence=%d", answer.type, ntohs(answer.un.echo.sequence));
    step_connect(fd, to);
    step_send(fd, &echo, 4, 0);
    step_send(fd, &echo, sizeof echo, MSG_OOB);
}

static void dgram_icmp4(void)
{
    dgram_icmp(AF_INET, IPPROTO_ICMP, ICMP_ECHO);
}

static void dgram_icmp6(void)
{
    dgram_icmp(AF_INET6, IPPROTO_ICMPV6, 128);
}

/* ---- unix sockets: descriptors, credentials ---- */

enum { RIGHTS_ROOM = 300 };

/* Receive once; how many descriptors came, whether the first is `same`, and whose credentials. */
static void out_rights(int fd, int same)
{
    static unsigned char control[4096];
    char buffer[64];
    struct iovec iov = {buffer, sizeof buffer};
    struct header header = {.iov = &iov, .iovlen = 1, .control = control, .controllen = sizeof control};
    struct stat sent, got;

    wait_for(fd, POLLIN, 20); /* after a refused send nothing comes */
    long n = RAW(SYS_recvmsg, fd, &header, MSG_DONTWAIT);
    out_result(n);
    if (n < 0)
        return;
    out(" flags=%x", header.flags);
    for (size_t at = 0; at + sizeof(struct control_head) <= header.controllen;) {
        struct control_head head;
        memcpy(&head, control + at, sizeof head);
        const unsigned char *data = control + at + sizeof head;
        if (head.type == SCM_RIGHTS) {
            int first;
            memcpy(&first, data, sizeof first);
            MUST(fstat(first, &got));
            MUST(fstat(same, &sent));
            out(" rights=%zu %s", (head.len - sizeof head) / sizeof first, got.st_ino == sent.st_ino ? "same" : "other");
        } else if (head.type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, data, sizeof who);
            out(" pid=%s uid=%s gid=%s", who.pid == getpid() ? "own" : "other", who.uid == getuid() ? "own" : "other",
                who.gid == getgid() ? "own" : "other");
        }
        at += (head.len + 7) / 8 * 8;
    }
}

/* Send n descriptors of `fd` along with one byte. */
static void send_rights(const struct fixture *f, int fd, size_t n)
{
    static unsigned char control[sizeof(struct control_head) + RIGHTS_ROOM * sizeof(int)];
    int fds[RIGHTS_ROOM];
    struct iovec iov = {payload, 1};

    for (size_t i = 0; i < n; i++)
        fds[i] = fd;
    put_control(control, SOL_SOCKET, SCM_RIGHTS, fds, n * sizeof *fds, sizeof(struct control_head) + n * sizeof *fds);
    struct header header = {.iov = &iov, .iovlen = 1, .control = control,
                            .controllen = sizeof(struct control_head) + n * sizeof *fds};
    if (f->named_sends) {
        header.name = (void *)(uintptr_t)&f->to.storage;
        header.namelen = (int32_t)f->to.len;
    }
    out_result(RAW(SYS_sendmsg, f->fd, &header, 0));
}

static void rights_by_count(struct fixture f)
{
    static const size_t counts[] = {0, 1, 2, 253, 254, 299};
    int file = not_file();

    for (size_t i = 0; i < COUNT(counts); i++) {
        out(" %zu:", counts[i]);
        send_rights(&f, file, counts[i]);
        out_rights(f.peer, file);
    }
}

static void rights_stream(void)
{
    rights_by_count(fixture_make(&unix_stream, PAIR, false));
}

static void rights_seqpacket(void)
{
    rights_by_count(fixture_make(&unix_seqpacket, PAIR, false));
}

static void rights_dgram(void)
{
    rights_by_count(fixture_make(&unix_dgram, PAIR, false));
}

static void rights_dgram_named(void)
{
    rights_by_count(fresh(&unix_dgram));
}

static void rights_of_what(struct fixture f)
{
    int tcp = kind_open(&tcp4);

    send_rights(&f, -1, 1);
    send_rights(&f, 1 << 20, 1);
    send_rights(&f, tcp, 1);
    out_rights(f.peer, tcp);
    send_rights(&f, f.fd, 1);
    out_rights(f.peer, f.fd);
    send_rights(&f, not_path(), 1);
    out_rights(f.peer, tcp);
}

static void rights_kinds_stream(void)
{
    rights_of_what(fixture_make(&unix_stream, PAIR, false));
}

static void rights_kinds_dgram(void)
{
    rights_of_what(fixture_make(&unix_dgram, PAIR, false));
}

static void send_credentials(const struct fixture *f, struct ucred who)
{
    unsigned char control[64];
    unsigned char *end = put_control(control, SOL_SOCKET, SCM_CREDENTIALS, &who, sizeof who,
                                     sizeof(struct control_head) + sizeof who);
    struct iovec iov = {payload, 1};
    struct header header = {.iov = &iov, .iovlen = 1, .control = control, .controllen = (size_t)(end - control)};

    if (f->named_sends) {
        header.name = (void *)(uintptr_t)&f->to.storage;
        header.namelen = (int32_t)f->to.len;
    }
    out_result(RAW(SYS_sendmsg, f->fd, &header, 0));
}

static void credentials(struct fixture f)
{
    set_int(f.peer, SOL_SOCKET, SO_PASSCRED, 1);
    if (f.named_sends)
        step_sendto(f.fd, "x", 1, 0, f.to);
    else
        step_send(f.fd, "x", 1, 0);
    out_rights(f.peer, 0);
    send_credentials(&f, (struct ucred){getpid(), getuid(), getgid()});
    out_rights(f.peer, 0);
}

static void credentials_stream(void)
{
    credentials(fixture_make(&unix_stream, PAIR, false));
}

static void credentials_seqpacket(void)
{
    credentials(fixture_make(&unix_seqpacket, PAIR, false));
}

static void credentials_dgram(void)
{
    credentials(fixture_make(&unix_dgram, PAIR, false));
}

static void credentials_dgram_named(void)
{
    credentials(fresh(&unix_dgram));
}

static void credentials_connected(void)
{
    credentials(fixture_make(&unix_stream, CONNECTED, false));
}

static void credentials_lied(struct fixture f)
{
    set_int(f.peer, SOL_SOCKET, SO_PASSCRED, 1);
    send_credentials(&f, (struct ucred){1, getuid(), getgid()});
    send_credentials(&f, (struct ucred){getpid(), getuid() + 1, getgid()});
    send_credentials(&f, (struct ucred){getpid(), getuid(), getgid() + 1});
}

static void credentials_lied_stream(void)
{
    credentials_lied(fixture_make(&unix_stream, PAIR, false));
}

static void credentials_lied_dgram(void)
{
    credentials_lied(fixture_make(&unix_dgram, PAIR, false));
}

static void out_peer_credentials(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;

    MUST(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len));
    out(" pid=%s uid=%s gid=%s", who.pid == getpid() ? "own" : "other", who.uid == getuid() ? "own" : "other",
        who.gid == getgid() ? "own" : "other");
}

static void credentials_of_peer(void)
{
    struct fixture f = fixture_make(&unix_stream, CONNECTED, false);

    out_peer_credentials(f.fd);
    out_peer_credentials(f.peer);
    struct fixture abstract = fixture_make(&abstract_stream, CONNECTED, false);
    out_peer_credentials(abstract.fd);
    out_peer_credentials(abstract.peer);
}

/* With SO_PASSCRED a socket without a name gets one when it connects: unix(7). */
static void credentials_name(void)
{
    struct fixture f = fresh(&unix_stream);

    set_int(f.fd, SOL_SOCKET, SO_PASSCRED, 1);
    step_connect(f.fd, f.to);
    out_own_name(f.fd);
}

static void unix_sender_name(void)
{
    struct fixture f = fresh(&unix_dgram);
    char buffer[8];
    struct address from = {.len = sizeof from.storage};

    step_bind(f.fd, address_un("own"));
    step_sendto(f.fd, "x", 1, 0, f.to);
    out_result(RAW(SYS_recvfrom, f.peer, buffer, sizeof buffer, MSG_DONTWAIT, &from.storage, &from.len));
    out(" ");
    out_address(&from);
}

static void unix_record_end(void)
{
    struct fixture f = fixture_make(&unix_seqpacket, PAIR, false);

    step_send(f.fd, "abc", 3, MSG_EOR);
    step_send(f.fd, "def", 3, 0);
    out_rights(f.peer, 0);
    out_rights(f.peer, 0);
}

static void unix_wrong_type(void)
{
    struct fixture stream = fresh(&unix_stream);

    step_connect(kind_open(&unix_seqpacket), stream.to); /* EPROTOTYPE: unix(7) */
}

static void unix_wrong_type_dgram(void)
{
    struct fixture dgram = fresh(&unix_dgram);

    step_connect(kind_open(&unix_stream), dgram.to);
}

static void unix_backlog(void)
{
    struct fixture f = fixture_make(&unix_stream, BOUND, false);
    struct address own = name_of_socket(f.fd);

    MUST(listen(f.fd, 1));
    for (int i = 0; i < 4; i++) {
        int fd = kind_open(&unix_stream);
        set_nonblocking(fd);
        step_connect(fd, own);
    }
    int fd = kind_open(&unix_stream);
    set_timeout(fd, 60);
    step_connect(fd, own);
}

static void unix_no_permission(void)
{
    struct fixture f = fresh(&unix_stream);

    MUST(chmod("peer", 0));
    step_connect(f.fd, f.to); /* EACCES but for root */
}

static void unix_symbolic_link(void)
{
    struct fixture f = fresh(&unix_stream);

    MUST(symlink("peer", "own"));
    step_connect(f.fd, address_un("own"));
    struct address peer = {.len = sizeof peer.storage};
    MUST(getpeername(f.fd, address_of(&peer), &peer.len));
    out(" ");
    out_address(&peer);
}

static void unix_changed_directory(void)
{
    struct fixture f = fresh(&unix_stream);

    MUST(mkdir("below", 0700));
    MUST(chdir("below"));
    step_connect(f.fd, address_un("peer"));
    step_connect(f.fd, address_un("../peer"));
    MUST(chdir(".."));
    MUST(rmdir("below"));
}

/* ---- netlink ---- */

/* Dump the interfaces; whose port the answers carry. */
static void netlink_dump(int fd, uint32_t groups)
{
    struct {
        struct nlmsghdr head;
        unsigned char family, padding[15];
    } request = {.head = {.nlmsg_len = sizeof request, .nlmsg_type = 18, /* RTM_GETLINK */
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 7}};
    static char buffer[65536];
    struct address to = address_netlink(0, groups);

    step_sendto(fd, &request, sizeof request, 0, to);
    struct address own = name_of_socket(fd);
    wait_for(fd, POLLIN, WAIT_MS);
    long n = RAW(SYS_recvfrom, fd, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL);
    const struct nlmsghdr *answer = (const struct nlmsghdr *)(void *)buffer;
    uint32_t port = ((const struct sockaddr_nl *)&own.storage)->nl_pid;
    if (n > 0)
        out(" type=%d port=%s bound=%s", answer->nlmsg_type, answer->nlmsg_pid == port ? "own" : "other",
            port == (uint32_t)getpid() ? "pid" : "else");
    else
        out_result(n);
}

static void netlink_dump_unbound(void)
{
    netlink_dump(kind_open(&netlink), 0);
}

static void netlink_dump_bound(void)
{
    int fd = kind_open(&netlink);

    step_bind(fd, address_netlink(0, 0));
    netlink_dump(fd, 0);
}

static void netlink_second(void)
{
    int first = kind_open(&netlink), second = kind_open(&netlink);

    step_bind(first, address_netlink((uint32_t)getpid(), 0));
    step_bind(second, address_netlink((uint32_t)getpid(), 0));
    netlink_dump(second, 0);
}

static void netlink_connected(void)
{
    int fd = kind_open(&netlink);

    step_connect(fd, address_netlink(0, 0));
    step_connect(fd, address_unspec());
    step_connect(fd, address_netlink(4321, 0));
    netlink_dump(fd, 0);
}

/* ---- SIGPIPE ---- */

static volatile sig_atomic_t signal_code;
static volatile pid_t signal_pid;

static void on_sigpipe_details(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    signal_code = info->si_code;
    signal_pid = info->si_pid;
}

static void stream_signal_details(void)
{
    struct fixture f = fixture_make(&tcp4, SHUT_WRITE, false);
    struct sigaction action = {.sa_sigaction = on_sigpipe_details, .sa_flags = SA_SIGINFO};

    MUST(sigaction(SIGPIPE, &action, NULL));
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
    out(" code=%d pid=%s", (int)signal_code, signal_pid == getpid() ? "own" : "other");
}

/* Blocked, it stays pending; ignored, there is none. */
static void stream_signal_blocked(void)
{
    struct fixture f = fixture_make(&tcp4, SHUT_WRITE, false);
    sigset_t set, pending;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    step_sendto(f.fd, payload, PAYLOAD_LEN, 0, f.to);
    sigpending(&pending);
    out(" pending=%d", sigismember(&pending, SIGPIPE));
    struct timespec none = {0, 0};
    out(" taken=%d", sigtimedwait(&set, NULL, &none) == SIGPIPE);
    signal(SIGPIPE, SIG_IGN);
    step_sendto(f.fd, payload, PAYLOAD_LEN, 0, f.to);
    sigpending(&pending);
    out(" pending=%d", sigismember(&pending, SIGPIPE));
}

static void stream_signal_kills(void)
{
    struct fixture f = fixture_make(&tcp4, SHUT_WRITE, false);
    int status;

    signal(SIGPIPE, SIG_DFL);
    pid_t pid = (pid_t)MUST(fork());
    if (pid == 0) {
        send(f.fd, payload, PAYLOAD_LEN, 0);
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0));
    out(" status=%x", (unsigned)status);
}

/* ---- what is refused on purpose, so that the list of limits names it ---- */

static void option_zerocopy(void)
{
    int one = 1;

    out_result(RAW(SYS_setsockopt, kind_open(&tcp4), SOL_SOCKET, 60, &one, sizeof one));
}

static void flag_fastopen(void)
{
    struct fixture f = fresh(&tcp4);

    step_sendto(f.fd, payload, PAYLOAD_LEN, 0x20000000, f.to);
}

/* The rows. `datagram`: left out where only TCP sockets exist. */
static const struct single_row {
    const char *group, *name;
    void (*run)(void);
    bool datagram;
} single_rows[] = {
    {"connect", "refused-then-other", connect_refused_then_other, false},
    {"connect", "refused-many", connect_refused_many, false},
    {"connect", "nonblocking", connect_nonblocking, false},
    {"connect", "nonblocking-error-first", connect_nonblocking_error_first, false},
    {"connect", "nonblocking-refused", connect_nonblocking_refused, false},
    {"connect", "nonblocking-refused-error-first", connect_nonblocking_refused_error_first, false},
    {"connect", "made-blocking", connect_made_blocking, false},
    {"connect", "times-out", connect_times_out, false},
    {"connect", "shut-while-connecting", connect_shut_while_connecting, false},
    {"connect", "undone-while-connecting", connect_undone_while_connecting, false},
    {"connect", "to-itself", connect_to_itself, false},
    {"connect", "on-duplicate", connect_on_duplicate, false},
    {"connect", "in-child", connect_in_child, false},
    {"connect", "in-vfork-child", connect_in_vfork_child, false},
    {"connect", "ports", connect_ports, false},
    {"connect", "bound-keeps-port", connect_bound_keeps_port, false},
    {"connect", "late-port", connect_late_port, false},
    {"connect", "scope", connect_scope, false},
    {"connect", "flow-information", connect_flow_information, false},
    {"connect", "padding", connect_zero_padding, false},
    {"connect", "address-form", connect_address_form, false},
    {"lengths", "connect-tcp4", sweep_connect_tcp4, false},
    {"lengths", "connect-tcp6", sweep_connect_tcp6, false},
    {"lengths", "connect-mapped", sweep_connect_mapped, false},
    {"lengths", "connect-unix", sweep_connect_unix, false},
    {"lengths", "bind-tcp4", sweep_bind_tcp4, false},
    {"lengths", "bind-tcp6", sweep_bind_tcp6, false},
    {"lengths", "connect-udp4", sweep_connect_udp4, true},
    {"lengths", "connect-udp6", sweep_connect_udp6, true},
    {"lengths", "sendto-udp4", sweep_sendto_udp4, true},
    {"lengths", "sendto-udp6", sweep_sendto_udp6, true},
    {"lengths", "sendmsg-udp4", sweep_sendmsg_udp4, true},
    {"lengths", "sendmsg-udp6", sweep_sendmsg_udp6, true},
    {"lengths", "sendto-unix", sweep_sendto_unix, true},
    {"lengths", "sendto-tcp", sweep_sendto_tcp, false},
    {"bind", "port-81", bind_port_81, false},
    {"bind", "twice", bind_twice, false},
    {"bind", "not-local", bind_not_local, false},
    {"bind", "taken", bind_taken_plain, false},
    {"bind", "taken-reuse-address", bind_taken_reuse_address, false},
    {"bind", "taken-listening", bind_taken_listening, false},
    {"bind", "taken-reuse-port", bind_taken_reuse_port, false},
    {"bind", "both-families", bind_both_families, false},
    {"bind", "after-listen", bind_pointer_after_listen, false},
    {"bind", "unix-mode", bind_unix_mode, false},
    {"bind", "unix-relative", bind_unix_relative, false},
    {"listen", "accept", listen_and_accept, false},
    {"stream", "urgent", stream_urgent, false},
    {"stream", "more", stream_more, false},
    {"stream", "much-tcp", stream_much_tcp, false},
    {"stream", "much-tcp-sendmsg", stream_much_tcp_sendmsg, false},
    {"stream", "much-unix", stream_much_unix, false},
    {"stream", "much-unix-sendmsg", stream_much_unix_sendmsg, false},
    {"stream", "times-out-tcp", stream_times_out_tcp, false},
    {"stream", "times-out-unix", stream_times_out_unix, false},
    {"stream", "partial", stream_partial, false},
    {"stream", "zerocopy-flag", stream_zerocopy_flag, false},
    {"sigpipe", "details", stream_signal_details, false},
    {"sigpipe", "blocked", stream_signal_blocked, false},
    {"sigpipe", "kills", stream_signal_kills, false},
    {"dgram", "times-out-unix", dgram_times_out_unix, true},
    {"dgram", "sizes-udp4", dgram_sizes_udp4, true},
    {"dgram", "sizes-udp6", dgram_sizes_udp6, true},
    {"dgram", "oversized-unix", dgram_oversized_unix, true},
    {"dgram", "large-unix", dgram_large_unix, true},
    {"dgram", "more", dgram_more, true},
    {"dgram", "more-address", dgram_more_address, true},
    {"dgram", "cork", dgram_cork, true},
    {"dgram", "segment-option", dgram_segment_option, true},
    {"dgram", "refused-then-sent", dgram_refused_then_sent, true},
    {"dgram", "connected-sends-elsewhere", dgram_connected_sends_elsewhere, true},
    {"dgram", "disconnect-keeps-bound", dgram_disconnect_keeps_bound, true},
    {"dgram", "same-port", dgram_same_port, true},
    {"dgram", "broadcast-option", dgram_broadcast_option, true},
    {"dgram", "ttl-seen", dgram_ttl_seen, true},
    {"dgram", "hoplimit-seen", dgram_hoplimit_seen, true},
    {"dgram", "icmp4", dgram_icmp4, true},
    {"dgram", "icmp6", dgram_icmp6, true},
    {"rights", "stream", rights_stream, false},
    {"rights", "seqpacket", rights_seqpacket, false},
    {"rights", "dgram", rights_dgram, true},
    {"rights", "dgram-named", rights_dgram_named, true},
    {"rights", "kinds-stream", rights_kinds_stream, false},
    {"rights", "kinds-dgram", rights_kinds_dgram, true},
    {"credentials", "stream", credentials_stream, false},
    {"credentials", "seqpacket", credentials_seqpacket, false},
    {"credentials", "dgram", credentials_dgram, true},
    {"credentials", "dgram-named", credentials_dgram_named, true},
    {"credentials", "connected", credentials_connected, false},
    {"credentials", "lied-stream", credentials_lied_stream, false},
    {"credentials", "lied-dgram", credentials_lied_dgram, true},
    {"credentials", "of-peer", credentials_of_peer, false},
    {"credentials", "name", credentials_name, false},
    {"unix", "sender-name", unix_sender_name, true},
    {"unix", "record-end", unix_record_end, false},
    {"unix", "wrong-type", unix_wrong_type, false},
    {"unix", "wrong-type-dgram", unix_wrong_type_dgram, true},
    {"unix", "backlog", unix_backlog, false},
    {"unix", "no-permission", unix_no_permission, false},
    {"unix", "symbolic-link", unix_symbolic_link, false},
    {"unix", "changed-directory", unix_changed_directory, false},
    {"netlink", "dump-unbound", netlink_dump_unbound, false},
    {"netlink", "dump-bound", netlink_dump_bound, false},
    {"netlink", "second", netlink_second, false},
    {"netlink", "connected", netlink_connected, false},
    {"limits", "zerocopy-option", option_zerocopy, false},
    {"limits", "fastopen-flag", flag_fastopen, false},
};

#endif

/* native_connect.h - rows of connect, bind and listen: several calls on one socket */
#ifndef NATIVE_CONNECT_H
#define NATIVE_CONNECT_H

#include "native_steps.h"

#include <sys/stat.h>
#include <sys/wait.h>

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

#endif

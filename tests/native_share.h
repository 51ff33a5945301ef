/* native_share.h - rows of SO_REUSEADDR and SO_REUSEPORT, on UDP above all */
#ifndef NATIVE_SHARE_H
#define NATIVE_SHARE_H

#include "native_steps.h"

enum { OPT_IP_LOCAL_PORT_RANGE = 51 };

static void out_option(int fd, int option, socklen_t room)
{
    int value[2] = {0x55555555, 0x55555555};

    long result = RAW(SYS_getsockopt, fd, SOL_SOCKET, option, value, &room);
    out(" %x/%d", (unsigned)value[0], (int)room);
    if (result < 0)
        out_result(result);
}

static void out_both(int fd)
{
    out_option(fd, SO_REUSEADDR, sizeof(int));
    out_option(fd, SO_REUSEPORT, sizeof(int));
}

static void share_options_of(const struct kind *kind)
{
    static const socklen_t rooms[] = {0, 1, 3, 8, (socklen_t)-1};
    static const int options[] = {SO_REUSEADDR, SO_REUSEPORT}, on = 7;
    int fd = kind_open(kind);
    socklen_t len = sizeof on;

    out_both(fd);
    for (size_t i = 0; i < COUNT(options); i++) {
        out_result(RAW(SYS_setsockopt, fd, SOL_SOCKET, options[i], &on, 3));
        out_result(RAW(SYS_setsockopt, fd, SOL_SOCKET, options[i], &on, -1));
        out_result(RAW(SYS_setsockopt, fd, SOL_SOCKET, options[i], BAD_POINTER, 4));
        out_result(RAW(SYS_setsockopt, fd, SOL_SOCKET, options[i], &on, 9));
        out_both(fd);
        for (size_t j = 0; j < COUNT(rooms); j++)
            out_option(fd, options[i], rooms[j]);
        out_result(RAW(SYS_getsockopt, fd, SOL_SOCKET, options[i], BAD_POINTER, &len));
        out_result(RAW(SYS_getsockopt, fd, SOL_SOCKET, options[i], &len, BAD_POINTER));
    }
    out_result(RAW(SYS_setsockopt, -1, SOL_SOCKET, SO_REUSEADDR, &on, 4));
    out_result(RAW(SYS_getsockopt, -1, SOL_SOCKET, SO_REUSEADDR, &len, &len));
    out_result(RAW(SYS_getsockopt, open("/dev/null", O_RDWR), SOL_SOCKET, SO_REUSEADDR, &len, &len));
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    out_both(fd);
}

static void share_options_udp4(void)
{
    share_options_of(&udp4);
}

static void share_options_udp6(void)
{
    share_options_of(&udp6);
}

static void share_options_tcp4(void)
{
    share_options_of(&tcp4);
}

static void share_options_unix(void)
{
    share_options_of(&unix_stream);
}

/* What is set stays, whatever becomes of the socket. */
static void share_options_stay(void)
{
    struct address none = {.storage.ss_family = AF_UNSPEC, .len = sizeof(struct sockaddr_in)};
    struct fixture f = fresh(&udp4);
    int bound = kind_open(&udp4), connected = kind_open(&udp4);

    set_int(bound, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(bound, SOL_SOCKET, SO_REUSEPORT, 1);
    set_int(connected, SOL_SOCKET, SO_REUSEADDR, 1);
    step_bind(bound, address_in("127.0.0.1", 0));
    out_both(bound);
    step_bind(bound, address_in("127.0.0.1", 0));
    step_connect(connected, f.to);
    out_both(connected);
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? bound : connected;

        step_connect(fd, none);
        out(" port=%d", port_of(fd) != 0);
        out_both(fd);
        step_sendto(fd, "abc", 3, 0, f.to);
        out(" port=%d", port_of(fd) != 0);
        out_both(fd);
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 0);
        out_both(fd);
    }
    step_recv(f.peer, 0);
}

/* What has come by loopback, which is there at once. */
static void step_take(int fd)
{
    char buffer[8];

    out_result(RAW(SYS_recvfrom, fd, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL));
}

/* Several sockets at one port: who may, and who gets what comes. */
static void share_port(int first, int second, int third)
{
    int fds[3] = {kind_open(&udp4), kind_open(&udp4), kind_open(&udp4)}, options[3] = {first, second, third};
    struct fixture f = fresh(&udp4);
    struct address at = address_in("127.0.0.1", 0);

    for (int i = 0; i < 3; i++) {
        if (options[i] != 0)
            set_int(fds[i], SOL_SOCKET, options[i], 1);
        step_bind(fds[i], at);
        at = i == 0 ? name_of_socket(fds[0]) : at;
        out_both(fds[i]);
        step_sendto(f.fd, "abc", 3, 0, at);
        for (int j = 0; j <= i; j++)
            if (options[j] != SO_REUSEPORT) /* one of those is picked by a hash */
                step_take(fds[j]);
    }
    close(fds[0]);
    step_bind(fds[2], at);
}

static void share_port_by_address(void)
{
    share_port(SO_REUSEADDR, SO_REUSEADDR, SO_REUSEADDR);
}

static void share_port_by_port(void)
{
    share_port(SO_REUSEPORT, SO_REUSEPORT, SO_REUSEPORT);
}

static void share_port_by_one(void)
{
    share_port(SO_REUSEADDR, 0, SO_REUSEADDR);
}

static void share_port_by_both(void)
{
    share_port(SO_REUSEADDR, SO_REUSEPORT, 0);
}

/* The kernel has no port to pick. */
static void share_no_port(void)
{
    struct fixture f = fresh(&udp4);
    int fd = kind_open(&udp4), other = kind_open(&udp4);
    uint32_t port = port_of(f.peer), only = port << 16 | port;

    if (setsockopt(fd, IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE, &only, sizeof only) < 0)
        return; /* before Linux 6.3 */
    MUST(setsockopt(other, IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE, &only, sizeof only));
    step_sendto(fd, "abc", 3, 0, f.to);
    step_connect(fd, f.to);
    step_bind(fd, address_in("0.0.0.0", 0));
    out_result(RAW(SYS_write, other, "abc", 3));
}

#endif

/* native_dgram.h - rows of UDP, ICMP and unix datagrams: sizes, corking, errors, what the receiver sees */
#ifndef NATIVE_DGRAM_H
#define NATIVE_DGRAM_H

#include "native_steps.h"

#include <netinet/ip_icmp.h>

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

/* The first of three datagrams is refused, which the second one is told of: sendmmsg ends there. */
static void dgram_refused_between(void)
{
    struct fixture f = fresh(&udp4);
    struct iovec iov = {payload, 1};
    struct vector_entry entries[3];

    step_connect(f.fd, refusing(&udp4));
    for (int i = 0; i < 3; i++)
        entries[i] = (struct vector_entry){.header = {.iov = &iov, .iovlen = 1}, .len = 12345};
    out_result(RAW(SYS_sendmmsg, f.fd, entries, 3, 0));
    out(" len=%u,%u,%u", entries[0].len, entries[1].len, entries[2].len);
    step_send(f.fd, payload, PAYLOAD_LEN, 0);
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

#endif

/* native_control.h - shapes of control messages: cmsg(3), ip(7), ipv6(7), unix(7) */
#ifndef NATIVE_CONTROL_H
#define NATIVE_CONTROL_H

#include "native_matrix.h"

#include <netinet/udp.h>

/* Append one; the header's own length says `len` bytes of data whatever there is. Returns where the next one goes. */
static unsigned char *put_control(unsigned char *at, int level, int type, const void *data, size_t n, size_t len)
{
    struct control_head head = {.len = len, .level = level, .type = type};

    memcpy(at, &head, sizeof head);
    if (n > 0)
        memcpy(at + sizeof head, data, n);
    return at + sizeof head + (n + 7) / 8 * 8;
}

static long send_control_of(struct fixture *f, void *control, size_t len)
{
    struct iovec iov = {payload, PAYLOAD_LEN};

    return send_header(f, &(struct header){.iov = &iov, .iovlen = 1, .control = control, .controllen = len});
}

static long send_one_control(struct fixture *f, int level, int type, const void *data, size_t n)
{
    unsigned char control[512];
    unsigned char *end = put_control(control, level, type, data, n, sizeof(struct control_head) + n);

    return send_control_of(f, fenced(control, (size_t)(end - control)), (size_t)(end - control));
}

static long send_int_control(struct fixture *f, int level, int type, int value)
{
    return send_one_control(f, level, type, &value, sizeof value);
}

#define INT_CONTROL(name, level, type, value) \
    static long name(struct fixture *f) \
    { \
        return send_int_control(f, level, type, value); \
    }

INT_CONTROL(control_ttl, IPPROTO_IP, IP_TTL, 5)
INT_CONTROL(control_ttl_0, IPPROTO_IP, IP_TTL, 0)
INT_CONTROL(control_ttl_256, IPPROTO_IP, IP_TTL, 256)
INT_CONTROL(control_ttl_negative, IPPROTO_IP, IP_TTL, -1)
INT_CONTROL(control_tos, IPPROTO_IP, IP_TOS, 16)
INT_CONTROL(control_tos_256, IPPROTO_IP, IP_TOS, 256)
INT_CONTROL(control_hoplimit, IPPROTO_IPV6, IPV6_HOPLIMIT, 5)
INT_CONTROL(control_hoplimit_negative, IPPROTO_IPV6, IPV6_HOPLIMIT, -1)
INT_CONTROL(control_hoplimit_256, IPPROTO_IPV6, IPV6_HOPLIMIT, 256)
INT_CONTROL(control_tclass, IPPROTO_IPV6, IPV6_TCLASS, 5)
INT_CONTROL(control_tclass_256, IPPROTO_IPV6, IPV6_TCLASS, 256)
INT_CONTROL(control_stamping, SOL_SOCKET, SO_TIMESTAMPING, 0)
INT_CONTROL(control_tcp, IPPROTO_TCP, 1, 1)
INT_CONTROL(control_level_255, 255, 1, 1)

static long control_tos_byte(struct fixture *f)
{
    return send_one_control(f, IPPROTO_IP, IP_TOS, "\x10", 1);
}

static long control_ttl_byte(struct fixture *f)
{
    return send_one_control(f, IPPROTO_IP, IP_TTL, "\x10", 1);
}

static long control_hoplimit_byte(struct fixture *f)
{
    return send_one_control(f, IPPROTO_IPV6, IPV6_HOPLIMIT, "\x10", 1);
}

static long control_segment(struct fixture *f)
{
    return send_one_control(f, IPPROTO_UDP, UDP_SEGMENT, &(uint16_t){4}, sizeof(uint16_t));
}

static long control_segment_long(struct fixture *f)
{
    return send_int_control(f, IPPROTO_UDP, UDP_SEGMENT, 4);
}

static long control_txtime(struct fixture *f)
{
    return send_one_control(f, SOL_SOCKET, 61, &(uint64_t){1}, sizeof(uint64_t)); /* SCM_TXTIME without SO_TXTIME */
}

static long send_pktinfo(struct fixture *f, int interface, const char *source)
{
    struct in_pktinfo info = {.ipi_ifindex = interface};

    inet_pton(AF_INET, source, &info.ipi_spec_dst);
    return send_one_control(f, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

static long control_pktinfo(struct fixture *f)
{
    return send_pktinfo(f, 0, "127.0.0.1");
}

static long control_pktinfo_other(struct fixture *f)
{
    return send_pktinfo(f, 0, "127.0.0.2");
}

static long control_pktinfo_foreign(struct fixture *f)
{
    return send_pktinfo(f, 0, "192.0.2.1");
}

static long control_pktinfo_short(struct fixture *f)
{
    return send_int_control(f, IPPROTO_IP, IP_PKTINFO, 0);
}

static long send_pktinfo6(struct fixture *f, unsigned interface, const char *source)
{
    struct in6_pktinfo info = {.ipi6_ifindex = interface};

    inet_pton(AF_INET6, source, &info.ipi6_addr);
    return send_one_control(f, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

static long control_pktinfo6(struct fixture *f)
{
    return send_pktinfo6(f, 0, "::1");
}

static long control_pktinfo6_any(struct fixture *f)
{
    return send_pktinfo6(f, 0, "::");
}

static long control_pktinfo6_foreign(struct fixture *f)
{
    return send_pktinfo6(f, 0, "2001:db8::1");
}

static long control_pktinfo6_mapped(struct fixture *f)
{
    return send_pktinfo6(f, 0, "::ffff:127.0.0.1");
}

static long control_pktinfo6_short(struct fixture *f)
{
    return send_int_control(f, IPPROTO_IPV6, IPV6_PKTINFO, 0);
}

static long control_rights(struct fixture *f)
{
    return send_int_control(f, SOL_SOCKET, SCM_RIGHTS, f->fd);
}

static long control_rights_bad(struct fixture *f)
{
    return send_int_control(f, SOL_SOCKET, SCM_RIGHTS, 1 << 20);
}

static long control_credentials(struct fixture *f)
{
    struct ucred own = {getpid(), getuid(), getgid()};

    return send_one_control(f, SOL_SOCKET, SCM_CREDENTIALS, &own, sizeof own);
}

static long control_socket_unknown(struct fixture *f)
{
    return send_int_control(f, SOL_SOCKET, 99, 1);
}

/* ---- malformed ones ---- */

/* A header that claims `len`, with 4 bytes of data behind it, in a part that is `room` long. */
static long send_claimed(struct fixture *f, size_t len, size_t room)
{
    unsigned char control[64] = {0};

    put_control(control, SOL_SOCKET, SCM_RIGHTS, &(int){0}, sizeof(int), len);
    return send_control_of(f, control, room);
}

static long control_len_0(struct fixture *f)
{
    return send_claimed(f, 0, 24);
}

static long control_len_15(struct fixture *f)
{
    return send_claimed(f, 15, 24);
}

static long control_len_16(struct fixture *f)
{
    return send_claimed(f, 16, 24);
}

static long control_len_17(struct fixture *f)
{
    return send_claimed(f, 17, 24);
}

static long control_len_beyond(struct fixture *f)
{
    return send_claimed(f, 25, 24);
}

static long control_len_negative(struct fixture *f)
{
    return send_claimed(f, SIZE_MAX, 24);
}

static long control_room_8(struct fixture *f)
{
    return send_claimed(f, 20, 8);
}

static long control_room_15(struct fixture *f)
{
    return send_claimed(f, 20, 15);
}

static long control_room_20(struct fixture *f)
{
    return send_claimed(f, 20, 20);
}

static long control_second_malformed(struct fixture *f)
{
    unsigned char control[64] = {0};
    unsigned char *next = put_control(control, 255, 1, payload, 4, 20);

    put_control(next, SOL_SOCKET, SCM_RIGHTS, NULL, 0, 7);
    return send_control_of(f, control, 48);
}

static long control_rest_too_short(struct fixture *f)
{
    unsigned char control[64] = {0};

    put_control(control, 255, 1, payload, 4, 20);
    return send_control_of(f, control, 24 + 15);
}

static long control_bad_pointer(struct fixture *f)
{
    return send_control_of(f, BAD_POINTER, 24);
}

static long control_bad_pointer_empty(struct fixture *f)
{
    return send_control_of(f, BAD_POINTER, 0);
}

static long control_null(struct fixture *f)
{
    return send_control_of(f, NULL, 24);
}

static long control_past_fence(struct fixture *f)
{
    return send_control_of(f, fenced(NULL, 23), 24);
}

static long control_negative(struct fixture *f)
{
    return send_control_of(f, BAD_POINTER, SIZE_MAX);
}

static long control_int_max(struct fixture *f)
{
    return send_control_of(f, BAD_POINTER, INT_MAX);
}

/* Far more than net.core.optmem_max has ever been. */
static long control_16m(struct fixture *f)
{
    size_t n = 16 << 20;

    return send_control_of(f, map_pages(n / PAGE, PROT_READ | PROT_WRITE), n);
}

static long control_after_bad_payload(struct fixture *f)
{
    struct iovec iov = {BAD_POINTER, PAYLOAD_LEN};

    return send_header(f, &(struct header){.iov = &iov, .iovlen = 1, .control = BAD_POINTER, .controllen = SIZE_MAX});
}

static const struct plain_act control_acts[] = {
    {"ttl", control_ttl, true},
    {"ttl-0", control_ttl_0, true},
    {"ttl-256", control_ttl_256, true},
    {"ttl-negative", control_ttl_negative, true},
    {"ttl-byte", control_ttl_byte, true},
    {"tos", control_tos, true},
    {"tos-256", control_tos_256, true},
    {"tos-byte", control_tos_byte, true},
    {"hoplimit", control_hoplimit, true},
    {"hoplimit-negative", control_hoplimit_negative, true},
    {"hoplimit-256", control_hoplimit_256, true},
    {"hoplimit-byte", control_hoplimit_byte, true},
    {"tclass", control_tclass, true},
    {"tclass-256", control_tclass_256, true},
    {"timestamping", control_stamping, true},
    {"tcp", control_tcp, true},
    {"level-255", control_level_255, true},
    {"segment", control_segment, true},
    {"segment-long", control_segment_long, true},
    {"txtime", control_txtime, true},
    {"pktinfo", control_pktinfo, false},
    {"pktinfo-other", control_pktinfo_other, true},
    {"pktinfo-foreign", control_pktinfo_foreign, true},
    {"pktinfo-short", control_pktinfo_short, true},
    {"pktinfo6", control_pktinfo6, false},
    {"pktinfo6-any", control_pktinfo6_any, true},
    {"pktinfo6-foreign", control_pktinfo6_foreign, true},
    {"pktinfo6-mapped", control_pktinfo6_mapped, true},
    {"pktinfo6-short", control_pktinfo6_short, true},
    {"rights", control_rights, false},
    {"rights-bad", control_rights_bad, true},
    {"credentials", control_credentials, true},
    {"socket-unknown", control_socket_unknown, true},
    {"len-0", control_len_0, false},
    {"len-15", control_len_15, true},
    {"len-16", control_len_16, true},
    {"len-17", control_len_17, true},
    {"len-beyond", control_len_beyond, true},
    {"len-negative", control_len_negative, true},
    {"room-8", control_room_8, true},
    {"room-15", control_room_15, true},
    {"room-20", control_room_20, true},
    {"second-malformed", control_second_malformed, true},
    {"rest-too-short", control_rest_too_short, true},
    {"bad-pointer", control_bad_pointer, false},
    {"bad-pointer-empty", control_bad_pointer_empty, true},
    {"null", control_null, true},
    {"past-fence", control_past_fence, true},
    {"negative", control_negative, true},
    {"int-max", control_int_max, true},
    {"16m", control_16m, true},
    {"after-bad-payload", control_after_bad_payload, true},
};

#endif

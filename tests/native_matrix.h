/* native_matrix.h - every stage of a socket's life meets every shape of argument, through every call that takes it */
#ifndef NATIVE_MATRIX_H
#define NATIVE_MATRIX_H

#include "native_shapes.h"

static long call_connect(struct fixture *f, struct raw_address a)
{
    return RAW(SYS_connect, f->fd, a.p, a.len);
}

static long call_bind(struct fixture *f, struct raw_address a)
{
    return RAW(SYS_bind, f->fd, a.p, a.len);
}

static long call_sendto(struct fixture *f, struct raw_address a)
{
    return RAW(SYS_sendto, f->fd, payload, PAYLOAD_LEN, 0, a.p, a.len);
}

static long call_sendmsg(struct fixture *f, struct raw_address a)
{
    struct iovec iov = {payload, PAYLOAD_LEN};
    struct header header = {.name = a.p, .namelen = (int32_t)a.len, .iov = &iov, .iovlen = 1};

    return RAW(SYS_sendmsg, f->fd, &header, 0);
}

static long call_sendmmsg(struct fixture *f, struct raw_address a)
{
    struct iovec iov = {payload, PAYLOAD_LEN};
    struct vector_entry entry = {
        .header = {.name = a.p, .namelen = (int32_t)a.len, .iov = &iov, .iovlen = 1}, .len = 12345};
    long sent = RAW(SYS_sendmmsg, f->fd, &entry, 1, 0);

    out(" len=%u", entry.len);
    return sent;
}

static const struct address_call {
    const char *name;
    long (*call)(struct fixture *f, struct raw_address a);
} address_calls[] = {
    {"connect", call_connect}, {"bind", call_bind},         {"sendto", call_sendto},
    {"sendmsg", call_sendmsg}, {"sendmmsg", call_sendmmsg},
};

/* The address an ordinary send on this stage is given. */
static struct raw_address usual_address(struct fixture *f)
{
    return f->named_sends ? (struct raw_address){&f->to.storage, f->to.len} : (struct raw_address){NULL, 0};
}

static long send_by_sendto(struct fixture *f, struct raw_payload bytes, unsigned flags)
{
    struct raw_address to = usual_address(f);

    return RAW(SYS_sendto, f->fd, bytes.p, bytes.len, flags, to.p, to.len);
}

static long send_by_sendmsg(struct fixture *f, struct raw_payload bytes, unsigned flags)
{
    struct raw_address to = usual_address(f);
    struct iovec iov = {bytes.p, bytes.len};
    struct header header = {.name = to.p, .namelen = (int32_t)to.len, .iov = &iov, .iovlen = 1};

    return RAW(SYS_sendmsg, f->fd, &header, flags);
}

/* The bytes as the last of three pieces. */
static long send_by_pieces(struct fixture *f, struct raw_payload bytes, unsigned flags)
{
    struct raw_address to = usual_address(f);
    struct iovec iov[] = {{payload, 3}, {NULL, 0}, {bytes.p, bytes.len}};
    struct header header = {.name = to.p, .namelen = (int32_t)to.len, .iov = iov, .iovlen = COUNT(iov)};

    return RAW(SYS_sendmsg, f->fd, &header, flags);
}

/* The bytes as the second of two messages. */
static long send_by_sendmmsg(struct fixture *f, struct raw_payload bytes, unsigned flags)
{
    struct raw_address to = usual_address(f);
    struct iovec iov[] = {{payload, 3}, {bytes.p, bytes.len}};
    struct vector_entry entries[2];

    for (int i = 0; i < 2; i++)
        entries[i] = (struct vector_entry){
            .header = {.name = to.p, .namelen = (int32_t)to.len, .iov = &iov[i], .iovlen = 1}, .len = 12345};
    long sent = RAW(SYS_sendmmsg, f->fd, entries, 2, flags);
    out(" len=%u,%u", entries[0].len, entries[1].len);
    return sent;
}

static const struct payload_call {
    const char *name;
    long (*call)(struct fixture *f, struct raw_payload bytes, unsigned flags);
    bool wide;
} payload_calls[] = {
    {"sendto", send_by_sendto, false},
    {"sendmsg", send_by_sendmsg, false},
    {"pieces", send_by_pieces, true},
    {"sendmmsg", send_by_sendmmsg, false},
};

/* ---- calls with shapes of their own ---- */

static long listen_on(struct fixture *f, int backlog)
{
    return RAW(SYS_listen, f->fd, backlog);
}

static long act_listen_5(struct fixture *f)
{
    return listen_on(f, 5);
}

static long act_listen_0(struct fixture *f)
{
    return listen_on(f, 0);
}

static long act_listen_negative(struct fixture *f)
{
    return listen_on(f, -1);
}

static long act_listen_high_half(struct fixture *f)
{
    return RAW(SYS_listen, f->fd | 0x100000000L, 0x500000005L);
}

static long act_connect_high_half(struct fixture *f)
{
    return RAW(SYS_connect, f->fd | 0x7700000000L, &f->to.storage, f->to.len);
}

static long act_connect_twice(struct fixture *f)
{
    out_result(RAW(SYS_connect, f->fd, &f->to.storage, f->to.len));
    return RAW(SYS_connect, f->fd, &f->to.storage, f->to.len);
}

static long act_connect_disconnect_connect(struct fixture *f)
{
    struct address none = address_unspec();

    out_result(RAW(SYS_connect, f->fd, &f->to.storage, f->to.len));
    out_result(RAW(SYS_connect, f->fd, &none.storage, none.len));
    return RAW(SYS_connect, f->fd, &f->to.storage, f->to.len);
}

static long act_connect_then_send(struct fixture *f)
{
    out_result(RAW(SYS_connect, f->fd, &f->to.storage, f->to.len));
    return RAW(SYS_sendto, f->fd, payload, PAYLOAD_LEN, 0, NULL, 0);
}

static long act_bind_then_connect(struct fixture *f)
{
    struct address own = kind_local(f->kind, "own");

    out_result(RAW(SYS_bind, f->fd, &own.storage, own.len));
    return RAW(SYS_connect, f->fd, &f->to.storage, f->to.len);
}

static long act_send_three(struct fixture *f)
{
    for (int i = 0; i < 2; i++)
        out_result(send_by_sendto(f, bytes_good(), 0));
    return send_by_sendto(f, bytes_good(), 0);
}

static long act_send_high_half(struct fixture *f)
{
    struct raw_address to = usual_address(f);

    return RAW(SYS_sendto, f->fd | 0x100000000L, payload, PAYLOAD_LEN, 0x4000L << 32 | MSG_DONTWAIT, to.p,
               to.len | (long)(0xffUL << 32));
}

static long name_call(long nr, struct fixture *f, void *name, long len)
{
    socklen_t *length = fenced(&(socklen_t){(socklen_t)len}, sizeof *length);
    long result = RAW(nr, f->fd, name, length);

    out(" len=%u", *length);
    return result;
}

/* A length too small for the address: as much of it as fits, and its whole length. */
static long act_getsockname_short(struct fixture *f)
{
    unsigned char name[8] = {0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
    long result = name_call(SYS_getsockname, f, name, 3);

    out(" %02x%02x%02x", name[0], name[1], name[3]);
    return result;
}

static long act_getsockname_null(struct fixture *f)
{
    return name_call(SYS_getsockname, f, NULL, 128);
}

static long act_getsockname_empty(struct fixture *f)
{
    return name_call(SYS_getsockname, f, BAD_POINTER, 0);
}

static long act_getsockname_negative(struct fixture *f)
{
    return name_call(SYS_getsockname, f, fenced(NULL, 128), -1);
}

static long act_getsockname_no_length(struct fixture *f)
{
    return RAW(SYS_getsockname, f->fd, fenced(NULL, 128), NULL);
}

static long act_getpeername_short(struct fixture *f)
{
    unsigned char name[8] = {0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
    long result = name_call(SYS_getpeername, f, name, 3);

    out(" %02x%02x%02x", name[0], name[1], name[3]);
    return result;
}

static long act_getpeername_null(struct fixture *f)
{
    return name_call(SYS_getpeername, f, NULL, 128);
}

static long act_getpeername_negative(struct fixture *f)
{
    return name_call(SYS_getpeername, f, fenced(NULL, 128), -1);
}

static long act_recv(struct fixture *f)
{
    char buffer[64];

    return RAW(SYS_recvfrom, f->fd, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL);
}

static long act_recv_oob(struct fixture *f)
{
    char buffer[64];

    return RAW(SYS_recvfrom, f->fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_OOB, NULL, NULL);
}

static long act_recvmsg_bad(struct fixture *f)
{
    return RAW(SYS_recvmsg, f->fd, BAD_POINTER, MSG_DONTWAIT);
}

static long act_peek_error(struct fixture *f)
{
    int error = 0;
    socklen_t len = sizeof error;
    long result = RAW(SYS_getsockopt, f->fd, SOL_SOCKET, SO_ERROR, &error, &len);

    out(" %s", errno_name(error));
    return result;
}

static const struct plain_act {
    const char *name;
    long (*act)(struct fixture *f);
    bool wide;
} plain_acts[] = {
    {"listen/5", act_listen_5, false},
    {"listen/0", act_listen_0, true},
    {"listen/negative", act_listen_negative, true},
    {"listen/high-half", act_listen_high_half, true},
    {"connect/fd-high-half", act_connect_high_half, true},
    {"connect/twice", act_connect_twice, false},
    {"connect/disconnect", act_connect_disconnect_connect, false},
    {"connect/send", act_connect_then_send, false},
    {"connect/bound", act_bind_then_connect, false},
    {"sendto/three", act_send_three, false},
    {"sendto/ints-high-half", act_send_high_half, false},
    {"getsockname/short", act_getsockname_short, true},
    {"getsockname/null", act_getsockname_null, true},
    {"getsockname/empty", act_getsockname_empty, true},
    {"getsockname/negative", act_getsockname_negative, true},
    {"getsockname/no-length", act_getsockname_no_length, true},
    {"getpeername/short", act_getpeername_short, true},
    {"getpeername/null", act_getpeername_null, true},
    {"getpeername/negative", act_getpeername_negative, true},
    {"recv/nothing", act_recv, false},
    {"recv/oob", act_recv_oob, true},
    {"recvmsg/bad-pointer", act_recvmsg_bad, true},
    {"error", act_peek_error, false},
};

/* ---- headers ---- */

/* What a header shape changes: everything begins as an ordinary send of one piece. */
static long send_header(struct fixture *f, struct header *header)
{
    struct raw_address to = usual_address(f);

    header->name = to.p;
    header->namelen = (int32_t)to.len;
    return RAW(SYS_sendmsg, f->fd, fenced(header, sizeof *header), 0);
}

static long head_null(struct fixture *f)
{
    return RAW(SYS_sendmsg, f->fd, NULL, 0);
}

static long head_bad(struct fixture *f)
{
    return RAW(SYS_sendmsg, f->fd, BAD_POINTER, 0);
}

static long head_past_fence(struct fixture *f)
{
    return RAW(SYS_sendmsg, f->fd, fenced(NULL, sizeof(struct header) - 8), 0);
}

static long head_zero(struct fixture *f)
{
    return send_header(f, &(struct header){0});
}

static long head_iov_null(struct fixture *f)
{
    return send_header(f, &(struct header){.iovlen = 1});
}

static long head_iov_bad_empty(struct fixture *f)
{
    return send_header(f, &(struct header){.iov = BAD_POINTER, .iovlen = 0});
}

static long head_iov_bad(struct fixture *f)
{
    return send_header(f, &(struct header){.iov = BAD_POINTER, .iovlen = 2});
}

/* n pieces of which `readable` can be read, one byte each (TCP and a datagram alike take them whole). */
static long head_pieces(struct fixture *f, size_t n, size_t readable)
{
    struct iovec *iov = fenced(NULL, readable * sizeof *iov);

    for (size_t i = 0; i < readable; i++)
        iov[i] = (struct iovec){payload, 1};
    return send_header(f, &(struct header){.iov = iov, .iovlen = n});
}

static long head_iov_past_fence(struct fixture *f)
{
    return head_pieces(f, 3, 2);
}

static long head_iov_1024(struct fixture *f)
{
    return head_pieces(f, 1024, 1024);
}

static long head_iov_1025(struct fixture *f)
{
    return head_pieces(f, 1025, 1025);
}

static long head_iov_1025_unreadable(struct fixture *f)
{
    return send_header(f, &(struct header){.iov = BAD_POINTER, .iovlen = 1025});
}

static long head_iov_negative(struct fixture *f)
{
    return head_pieces(f, SIZE_MAX, 1);
}

static long head_iov_high_half(struct fixture *f)
{
    return head_pieces(f, 0x100000001, 1);
}

static long two_pieces(struct fixture *f, struct iovec first, struct iovec second)
{
    struct iovec iov[] = {first, second};

    return send_header(f, &(struct header){.iov = iov, .iovlen = 2});
}

static long head_piece_negative(struct fixture *f)
{
    return two_pieces(f, (struct iovec){payload, 1}, (struct iovec){payload, SIZE_MAX});
}

static long head_pieces_overflow(struct fixture *f)
{
    return two_pieces(f, (struct iovec){payload, SSIZE_MAX}, (struct iovec){payload, SSIZE_MAX});
}

static long head_piece_bad_empty(struct fixture *f)
{
    return two_pieces(f, (struct iovec){BAD_POINTER, 0}, (struct iovec){payload, 4});
}

static long head_piece_kernel_empty(struct fixture *f)
{
    return two_pieces(f, (struct iovec){(void *)(LONG_MIN + (1L << 47)), 0}, (struct iovec){payload, 4});
}

static long head_second_bad(struct fixture *f)
{
    return two_pieces(f, (struct iovec){payload, 4}, (struct iovec){BAD_POINTER, 4});
}

static long head_flags(struct fixture *f)
{
    struct iovec iov = {payload, PAYLOAD_LEN};

    return send_header(f, &(struct header){.iov = &iov, .iovlen = 1, .flags = ~0U}); /* never looked at: sendmsg(2) */
}

static long head_null_name(struct fixture *f)
{
    struct iovec iov = {payload, PAYLOAD_LEN};
    struct header header = {.namelen = 16, .iov = &iov, .iovlen = 1};

    return RAW(SYS_sendmsg, f->fd, &header, 0);
}

static long head_null_name_negative(struct fixture *f)
{
    struct iovec iov = {payload, PAYLOAD_LEN};
    struct header header = {.namelen = -1, .iov = &iov, .iovlen = 1};

    return RAW(SYS_sendmsg, f->fd, &header, 0);
}

static long head_name_and_bad_iov(struct fixture *f)
{
    struct header header = {.name = BAD_POINTER, .namelen = -1, .iov = BAD_POINTER, .iovlen = 1025};

    return RAW(SYS_sendmsg, f->fd, &header, 0);
}

static const struct plain_act header_acts[] = {
    {"null", head_null, false},
    {"bad-pointer", head_bad, true},
    {"past-fence", head_past_fence, true},
    {"zero", head_zero, false},
    {"iov-null", head_iov_null, true},
    {"iov-bad-empty", head_iov_bad_empty, true},
    {"iov-bad", head_iov_bad, false},
    {"iov-past-fence", head_iov_past_fence, true},
    {"iov-1024", head_iov_1024, true},
    {"iov-1025", head_iov_1025, false},
    {"iov-1025-unreadable", head_iov_1025_unreadable, true},
    {"iov-negative", head_iov_negative, true},
    {"iov-high-half", head_iov_high_half, true},
    {"piece-negative", head_piece_negative, true},
    {"pieces-overflow", head_pieces_overflow, true},
    {"piece-bad-empty", head_piece_bad_empty, true},
    {"piece-kernel-empty", head_piece_kernel_empty, true},
    {"second-bad", head_second_bad, false},
    {"flags", head_flags, true},
    {"null-name", head_null_name, true},
    {"null-name-negative", head_null_name_negative, true},
    {"name-and-iov-bad", head_name_and_bad_iov, true},
};

#endif

/* native_vector.h - shapes of sendmmsg's vector: sendmmsg(2) */
#ifndef NATIVE_VECTOR_H
#define NATIVE_VECTOR_H

#include "native_matrix.h"

enum { VECTOR_ROOM = 1025 };

/* n good messages of one byte each, in `entries`. */
static void vector_fill(struct fixture *f, struct vector_entry *entries, struct iovec *iov, int n)
{
    struct raw_address to = usual_address(f);

    for (int i = 0; i < n; i++) {
        iov[i] = (struct iovec){payload, 1};
        entries[i] = (struct vector_entry){
            .header = {.name = to.p, .namelen = (int32_t)to.len, .iov = &iov[i], .iovlen = 1}, .len = 12345};
    }
}

static void out_lengths(const struct vector_entry *entries, int n)
{
    int written = 0;

    for (int i = 0; i < n; i++)
        written += entries[i].len != 12345;
    out(" written=%d", written);
}

static long send_vector(struct fixture *f, unsigned n, unsigned flags)
{
    static struct vector_entry entries[VECTOR_ROOM];
    static struct iovec iov[VECTOR_ROOM];

    vector_fill(f, entries, iov, VECTOR_ROOM);
    long sent = RAW(SYS_sendmmsg, f->fd, entries, n, flags);
    out_lengths(entries, VECTOR_ROOM);
    return sent;
}

static long vector_0(struct fixture *f)
{
    return send_vector(f, 0, 0);
}

static long vector_3(struct fixture *f)
{
    return send_vector(f, 3, 0);
}

static long vector_64(struct fixture *f)
{
    return send_vector(f, 64, MSG_DONTWAIT);
}

static long vector_1024(struct fixture *f)
{
    return send_vector(f, 1024, MSG_DONTWAIT);
}

static long vector_1025(struct fixture *f)
{
    return send_vector(f, 1025, MSG_DONTWAIT);
}

static long vector_negative(struct fixture *f)
{
    return send_vector(f, UINT_MAX, MSG_DONTWAIT);
}

static long vector_compat(struct fixture *f)
{
    return send_vector(f, 1, 0x80000000U);
}

static long vector_null(struct fixture *f)
{
    return RAW(SYS_sendmmsg, f->fd, NULL, 1, 0);
}

static long vector_bad_empty(struct fixture *f)
{
    return RAW(SYS_sendmmsg, f->fd, BAD_POINTER, 0, 0);
}

/* Three messages of which the one at `bad` has `broken` as its piece. */
static long vector_with(struct fixture *f, int bad, struct iovec broken)
{
    struct vector_entry entries[3];
    struct iovec iov[3];

    vector_fill(f, entries, iov, 3);
    iov[bad] = broken;
    long sent = RAW(SYS_sendmmsg, f->fd, entries, 3, 0);
    out(" len=%u,%u,%u", entries[0].len, entries[1].len, entries[2].len);
    return sent;
}

static long vector_first_bad(struct fixture *f)
{
    return vector_with(f, 0, (struct iovec){BAD_POINTER, 4});
}

static long vector_last_bad(struct fixture *f)
{
    return vector_with(f, 2, (struct iovec){BAD_POINTER, 4});
}

static long vector_middle_oversized(struct fixture *f)
{
    return vector_with(f, 1, (struct iovec){payload, SIZE_MAX});
}

static long vector_middle_bad_name(struct fixture *f)
{
    struct vector_entry entries[3];
    struct iovec iov[3];

    vector_fill(f, entries, iov, 3);
    entries[1].header.name = BAD_POINTER;
    entries[1].header.namelen = 16;
    long sent = RAW(SYS_sendmmsg, f->fd, entries, 3, 0);
    out_lengths(entries, 3);
    return sent;
}

static long vector_past_fence(struct fixture *f)
{
    struct vector_entry entries[2];
    struct iovec iov[2];

    vector_fill(f, entries, iov, 2);
    return RAW(SYS_sendmmsg, f->fd, fenced(entries, sizeof entries), 3, 0);
}

/* A message was sent when its length can't be written: the count is without it (EFAULT when it is the first). */
static long vector_unwritable(struct fixture *f)
{
    struct vector_entry *entries = map_pages(1, PROT_READ | PROT_WRITE);
    struct iovec iov[3];

    vector_fill(f, entries, iov, 3);
    MUST(mprotect(entries, PAGE, PROT_READ));
    return RAW(SYS_sendmmsg, f->fd, entries, 3, 0);
}

static long vector_second_unwritable(struct fixture *f)
{
    unsigned char *pages = map_pages(2, PROT_READ | PROT_WRITE);
    struct vector_entry *entries = (struct vector_entry *)(void *)(pages + PAGE) - 1;
    struct iovec iov[3];

    vector_fill(f, entries, iov, 3);
    MUST(mprotect(pages + PAGE, PAGE, PROT_READ));
    long sent = RAW(SYS_sendmmsg, f->fd, entries, 3, 0);
    out(" len=%u,%u,%u", entries[0].len, entries[1].len, entries[2].len);
    return sent;
}

static const struct plain_act vector_acts[] = {
    {"0", vector_0, false},
    {"3", vector_3, false},
    {"64", vector_64, true},
    {"1024", vector_1024, true},
    {"1025", vector_1025, true},
    {"negative", vector_negative, true},
    {"compat", vector_compat, true},
    {"null", vector_null, true},
    {"bad-empty", vector_bad_empty, false},
    {"first-bad", vector_first_bad, true},
    {"last-bad", vector_last_bad, false},
    {"middle-oversized", vector_middle_oversized, true},
    {"middle-bad-name", vector_middle_bad_name, true},
    {"past-fence", vector_past_fence, true},
    {"unwritable", vector_unwritable, true},
    {"second-unwritable", vector_second_unwritable, true},
};

#endif

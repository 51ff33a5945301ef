/* message.h - the messages of another's sendto, sendmsg or sendmmsg, read into memory of ours (send(2), sendmmsg(2)) */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "addr.h"
#include "clock.h"
#include "kernel.h"
#include "limits.h"
#include "notify.h"

#include <poll.h>
#include <sys/mman.h>

/* Which call is read, and how far it has come. */
struct message_source {
    enum { MESSAGE_SENDTO, MESSAGE_SENDMSG, MESSAGE_SENDMMSG } call;
    pid_t tid;
    const uint64_t *args;
    bool ip;                 /* the socket is one of IPv4 or IPv6 */
    bool stream;             /* the payload goes piece by piece */
    size_t messages, bytes;  /* what was sent already: whole messages, and of a stream's next one */
};

#define MESSAGE_HOLE_AT (1UL << 32)

/* Messages that are handled together: one, or several of a sendmmsg. */
struct message_batch {
    size_t n;
    struct kernel_mmsghdr messages[MESSAGES_AT_ONCE]; /* as the child has them; then, with our pointers, as sent */
    union address names[MESSAGES_AT_ONCE];
    size_t lengths[MESSAGES_AT_ONCE];                 /* of the payloads, whole */
    struct iovec parts[MESSAGES_AT_ONCE][2];          /* what is sent: the payload, and its unreadable rest */
    struct iovec vectors[MESSAGE_VECTOR_MAX];         /* the child's, of all messages */
    size_t vector_at[MESSAGES_AT_ONCE + 1];
    int rights[MESSAGE_RIGHTS_MAX];                   /* descriptors that are passed on, ours */
    size_t n_rights;
    bool payload_read;                                /* with the rest, in one go */
    int error;                                        /* -errno of the message that wasn't sent; 0: none */
    void *hole;                                       /* MESSAGE_PAYLOAD_MAX bytes that nobody can read */
    _Alignas(struct cmsghdr) uint8_t control[MESSAGE_CONTROL_MAX];
    uint8_t payload[MESSAGE_PAYLOAD_MAX];
};

/* Make the hole. 0 or -errno. It is low: what is said to follow it, up to MESSAGE_LENGTH_MAX, must be where memory of a
 * process could be, or the kernel says EFAULT before EMSGSIZE. */
static int message_init(struct message_batch *b)
{
    b->hole = mmap((void *)MESSAGE_HOLE_AT, MESSAGE_PAYLOAD_MAX, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return b->hole == MAP_FAILED ? -errno : 0;
}

/* Pieces of the child's memory to be read in one go. */
struct message_gathering {
    struct iovec local[3 * MESSAGES_AT_ONCE + 1], remote[3 * MESSAGES_AT_ONCE + 1];
    size_t n, total;
};

static void message_gather(struct message_gathering *g, void *to, uint64_t from, size_t len)
{
    if (len == 0)
        return;
    g->local[g->n] = (struct iovec){to, len};
    g->remote[g->n++] = (struct iovec){(void *)(uintptr_t)from, len};
    g->total += len;
}

/* The headers of the next messages. How many, or -errno. */
static int64_t message_headers(struct message_batch *b, const struct message_source *s)
{
    struct kernel_mmsghdr *first = b->messages;
    size_t want = 0;

    switch (s->call) {
    case MESSAGE_SENDTO:
        first->header = (struct kernel_msghdr){.name = s->args[4], .namelen = (int32_t)s->args[5], .iovlen = 1};
        if (first->header.name != 0 && first->header.namelen == 0 && s->ip)
            first->header.namelen = 1; /* an empty address is one that is too short; to sendmsg it would be none */
        return first->header.name != 0 && first->header.namelen > ADDRESS_MAX ? -EINVAL : 1;
    case MESSAGE_SENDMSG:
        return child_read(s->tid, s->args[1], first, sizeof first->header) == 0 ? 1 : -EFAULT;
    case MESSAGE_SENDMMSG:
        want = (uint32_t)s->args[2] < MESSAGE_VECTOR_MAX ? (uint32_t)s->args[2] : MESSAGE_VECTOR_MAX;
        want = want - s->messages < MESSAGES_AT_ONCE ? want - s->messages : MESSAGES_AT_ONCE;
        break;
    }
    struct iovec vector = {(void *)(uintptr_t)s->args[1], MESSAGE_VECTOR_MAX * sizeof *first};
    ssize_t n = child_gather(s->tid, &vector, 1, s->messages * sizeof *first, first, want * sizeof *first);
    size_t got = n < 0 ? 0 : (size_t)n / sizeof *first;
    return got == 0 && want > 0 ? -EFAULT : (int64_t)got;
}

/* Bring a header's lengths into bounds as the kernel does, before anything is read by them. 0 or -errno. */
static int message_header(struct kernel_msghdr *header)
{
    if (header->name == 0)
        header->namelen = 0;
    if (header->namelen < 0)
        return -EINVAL;
    if (header->namelen > ADDRESS_MAX)
        header->namelen = ADDRESS_MAX;
    if (header->iovlen > MESSAGE_VECTOR_MAX)
        return -EMSGSIZE;
    if (header->controllen > INT32_MAX)
        return -ENOBUFS;
    return header->controllen > MESSAGE_CONTROL_MAX ? -ENOBUFS : 0;
}

/* Read names, vectors and control parts of up to n messages; fewer fit when they are large, and one that is wrong waits
 * until it is the first. 0 or -errno; b->n is how many. */
static int message_parts(struct message_batch *b, const struct message_source *s, size_t n)
{
    struct message_gathering g = {.n = 0};
    size_t vectors = 0, control = 0;

    b->payload_read = false;
    for (b->n = 0; b->n < n; b->n++) {
        struct kernel_msghdr *header = &b->messages[b->n].header;
        int result = message_header(header);

        if (result < 0 && b->n == 0)
            return result;
        if (result < 0 || vectors + header->iovlen > MESSAGE_VECTOR_MAX ||
            control + header->controllen > MESSAGE_CONTROL_MAX)
            break;
        memset(&b->names[b->n], 0, sizeof b->names[0]);
        message_gather(&g, &b->names[b->n], header->name, (size_t)header->namelen);
        b->vector_at[b->n] = vectors;
        if (s->call == MESSAGE_SENDTO)
            b->vectors[0] = (struct iovec){(void *)(uintptr_t)s->args[1], s->args[2]};
        else
            message_gather(&g, &b->vectors[vectors], header->iov, header->iovlen * sizeof(struct iovec));
        message_gather(&g, b->control + control, header->control, header->controllen);
        header->control = (uintptr_t)(b->control + control);
        vectors += header->iovlen;
        control += (header->controllen + 7) & ~(uint64_t)7;
    }
    b->vector_at[b->n] = vectors;
    size_t needed = g.total;
    if (s->call == MESSAGE_SENDTO && s->bytes == 0 && s->args[2] <= MESSAGE_EAGER_MAX)
        message_gather(&g, b->payload, s->args[1], s->args[2]);
    ssize_t got = g.n == 0 ? 0 : child_readv(s->tid, g.local, g.n, g.remote, g.n);
    if (got == (ssize_t)g.total)
        b->payload_read = s->call == MESSAGE_SENDTO && s->bytes == 0 && s->args[2] <= MESSAGE_EAGER_MAX;
    else if (got < (ssize_t)needed && needed > 0)
        return n == 1 || b->n == 1 ? -EFAULT : -EAGAIN;
    return 0;
}

/* Could this be memory of a process at all? The kernel asks that before anything else (access_ok), and where such
 * memory ends depends on machine, page tables and kernel. sendto(2) looks at it before it looks at the descriptor. */
static bool message_vector_is_ours(const struct iovec *vector)
{
    static uintptr_t known; /* what ends here, or before, could be */
    uintptr_t start = (uintptr_t)vector->iov_base, end = start + vector->iov_len, tag = start >> 56;
    size_t last = vector->iov_len < MESSAGE_LENGTH_MAX ? vector->iov_len : MESSAGE_LENGTH_MAX; /* no more is read */

    if (tag > 0 && tag < 0x80) /* it counts for a process that asked for that (PR_SET_TAGGED_ADDR_CTRL): a read tells */
        return true;
    if (end < start)
        return false;
    if (end > known) {
        if (sys_result(syscall(__NR_sendto, -1, end - last, last, 0, NULL, 0)) == -EFAULT)
            return false;
        known = end;
    }
    return true;
}

/* The length of message i's payload, clamped as the kernel does; -EINVAL or -EFAULT. */
static int64_t message_length(struct message_batch *b, const struct message_source *s, size_t i)
{
    struct iovec *vectors = &b->vectors[b->vector_at[i]];
    size_t n = b->vector_at[i + 1] - b->vector_at[i], length = 0;

    for (size_t v = 0; v < n && s->call != MESSAGE_SENDTO; v++)
        if ((ssize_t)vectors[v].iov_len < 0)
            return -EINVAL;
    for (size_t v = 0; v < n; v++) {
        bool ours = n == 1 || message_vector_is_ours(&vectors[v]); /* a single one is cut before it is looked at */

        if (vectors[v].iov_len > MESSAGE_LENGTH_MAX - length)
            vectors[v].iov_len = MESSAGE_LENGTH_MAX - length;
        if (!ours || !message_vector_is_ours(&vectors[v]))
            return -EFAULT;
        length += vectors[v].iov_len;
    }
    return (int64_t)length;
}

/* The lengths of the payloads. 0 or -errno of the first; another that is wrong waits until it is the first. */
static int message_lengths(struct message_batch *b, const struct message_source *s)
{
    for (size_t i = 0; i < b->n; i++) {
        int64_t length = message_length(b, s, i);

        if (length < 0 && i == 0)
            return (int)length;
        if (length < 0) {
            b->n = i;
            return 0;
        }
        b->lengths[i] = (size_t)length;
    }
    return 0;
}

/* The payloads of several messages in as few reads as there are: the usual case, when they fit and can be read. */
static void message_payloads_at_once(struct message_batch *b, const struct message_source *s)
{
    size_t total = 0;

    for (size_t i = 0; i < b->n && total <= MESSAGE_PAYLOAD_MAX; i++)
        total += b->lengths[i];
    if (total > 0 && total <= MESSAGE_PAYLOAD_MAX)
        b->payload_read = child_gather(s->tid, b->vectors, b->vector_at[b->n], 0, b->payload, total) ==
                          (ssize_t)total;
}

/* Read the payloads: all of a datagram, the next piece of a stream. What can't be read, or is more than any datagram
 * takes, becomes a part that nobody can read: the kernel then answers as it would have. */
static void message_payloads(struct message_batch *b, const struct message_source *s)
{
    size_t used = 0;

    if (b->n > 1 && !s->stream && !b->payload_read)
        message_payloads_at_once(b, s);
    for (size_t i = 0; i < b->n; i++) {
        size_t skip = i == 0 ? s->bytes : 0, length = b->lengths[i] - skip;
        size_t room = s->stream ? MESSAGE_PIECE_MAX : MESSAGE_PAYLOAD_MAX - used;
        size_t want = length < room ? length : room;

        if (!s->stream && length > room) {
            if (i > 0) {
                b->n = i;
                return;
            }
            want = 0;
        }
        ssize_t got = (ssize_t)want;
        if (!b->payload_read && want > 0)
            got = child_gather(s->tid, &b->vectors[b->vector_at[i]], b->vector_at[i + 1] - b->vector_at[i],
                               skip, b->payload + used, want);
        size_t readable = got < 0 ? 0 : (size_t)got;
        size_t rest = s->stream ? want - readable : length - readable;
        b->parts[i][0] = (struct iovec){b->payload + used, readable};
        b->parts[i][1] = (struct iovec){b->hole, rest};
        used += readable;
    }
}

/* Read the next messages; a stream's and, if so asked, any other's one at a time. How many b holds then; 0: none is
 * left; -errno: of the first. */
static int64_t message_read(struct message_batch *b, const struct message_source *s, bool alone)
{
    int64_t n = message_headers(b, s);

    if (n <= 0)
        return n;
    int result = message_parts(b, s, alone || s->stream ? 1 : (size_t)n);
    if (result == -EAGAIN) /* the headers point to our memory by now */
        result = message_headers(b, s) > 0 ? message_parts(b, s, 1) : -EFAULT;
    if (result == 0)
        result = message_lengths(b, s);
    if (result < 0)
        return result;
    message_payloads(b, s);
    return (int64_t)b->n;
}

/* Send messages 0..n on our `fd`, ever more at a time, and none that would begin after `until` (of clock_us). How many
 * were taken (of one alone: bytes), or -errno of the first; b->error is what stopped them, or 0: of those behind the
 * first the kernel doesn't say what, which is -EAGAIN if there is no room and else counts as -EIO. -EMSGSIZE for a
 * datagram that larger buffers than the default ones would take, and we don't. */
static int64_t message_send(struct message_batch *b, const struct message_source *s, int fd, size_t n, int flags,
                            uint64_t until)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    size_t done = 0;
    int64_t result = 0;

    for (size_t i = 0; i < n; i++) {
        struct kernel_msghdr *header = &b->messages[i].header;

        header->name = header->namelen > 0 ? (uintptr_t)&b->names[i] : 0;
        header->iov = (uintptr_t)b->parts[i];
        header->iovlen = b->parts[i][1].iov_len > 0 ? 2 : 1;
        if (s->bytes > 0 || header->controllen == 0)
            header->control = header->controllen = 0;
    }
    b->error = 0;
    if (n == 1) {
        result = sys_sendmsg(fd, &b->messages[0].header, flags);
        if (result == -EFAULT && !s->stream && b->lengths[0] > MESSAGE_PAYLOAD_MAX)
            result = -EMSGSIZE;
        b->error = result < 0 ? (int)result : 0;
        return result;
    }
    for (size_t part = 1; done < n && b->error == 0 && (done == 0 || clock_us() < until); part *= 2) {
        part = part < n - done ? part : n - done;
        result = sys_sendmmsg(fd, b->messages + done, (unsigned)part, flags);
        if (result < (int64_t)part)
            b->error = result < 0 ? (int)result : poll(&room, 1, 0) == 1 ? -EIO : -EAGAIN;
        done += result > 0 ? (size_t)result : 0;
    }
    return done > 0 ? (int64_t)done : result;
}

/* Tell a sendmmsg how long its next n messages were; before they are sent, what is there already: only to learn how
 * many can be told, which is returned. */
static size_t message_tell_lengths(struct message_batch *b, const struct message_source *s, size_t n)
{
    struct iovec local[MESSAGES_AT_ONCE], remote[MESSAGES_AT_ONCE];

    for (size_t i = 0; i < n; i++) {
        uint64_t at = s->args[1] + (s->messages + i) * sizeof(struct kernel_mmsghdr) +
                      offsetof(struct kernel_mmsghdr, sent);

        local[i] = (struct iovec){&b->messages[i].sent, sizeof(uint32_t)};
        remote[i] = (struct iovec){(void *)(uintptr_t)at, sizeof(uint32_t)};
    }
    ssize_t told = n == 0 ? 0 : child_writev(s->tid, local, n, remote, n);
    return told < 0 ? 0 : (size_t)told / sizeof(uint32_t);
}

#endif

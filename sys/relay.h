/* relay.h - bytes of one stream socket for another: by splice(2), which copies none, or from a buffer */
#ifndef RELAY_H
#define RELAY_H

#include "kernel.h"

#include <fcntl.h>
#include <sys/socket.h>

enum {
    RELAY_BUFFER = 20480,
    RELAY_PIPE = 256 * 1024,
    RELAY_KEPT = 16,  /* buffers and pipes that nobody needs, each */
    RELAY_ROUNDS = 8, /* of one turn */
};

#define RELAY_ALL UINT64_MAX

struct relay_buffer {
    struct relay_buffer *next; /* of those that are kept */
    size_t start, end;         /* what is in it */
    char bytes[RELAY_BUFFER];
};

/* An end of a connection, whose readiness epoll(7) tells by edges: true until the kernel says EAGAIN. */
struct relay_end {
    int fd; /* non-blocking, owned; < 0: none */
    bool readable, writable;
    bool fills; /* it was not writable once: that it is again is watched for, too */
    bool ended; /* the peer sends no more: reading goes on to the end */
};

/* One direction. Buffer and pipe are there only while bytes are on their way. */
struct relay {
    uint64_t passes;             /* how many bytes may go on, those in the buffer first; RELAY_ALL: all that come */
    struct relay_buffer *buffer; /* owned; NULL: none */
    int pipe[2];                 /* owned; 0: none */
    size_t piped;                /* bytes in it */
    bool eof;                    /* the source has no more */
};

static struct relay_buffer *relay_buffers;
static size_t relay_n_buffers;
static int relay_pipes[RELAY_KEPT][2];
static size_t relay_n_pipes;

/* ---- buffers and pipes ---- */

static bool relay_get_buffer(struct relay *relay)
{
    if (relay->buffer != NULL)
        return true;
    relay->buffer = relay_buffers != NULL ? relay_buffers : malloc(sizeof *relay->buffer);
    if (relay->buffer == NULL)
        return false;
    if (relay_buffers != NULL) {
        relay_buffers = relay_buffers->next;
        relay_n_buffers--;
    }
    relay->buffer->start = relay->buffer->end = 0;
    return true;
}

static void relay_put_buffer(struct relay *relay)
{
    struct relay_buffer *buffer = relay->buffer;

    relay->buffer = NULL;
    if (buffer == NULL)
        return;
    if (relay_n_buffers == RELAY_KEPT) {
        free(buffer);
        return;
    }
    buffer->next = relay_buffers;
    relay_buffers = buffer;
    relay_n_buffers++;
}

static bool relay_get_pipe(struct relay *relay)
{
    if (relay->pipe[1] != 0)
        return true;
    if (relay_n_pipes > 0) {
        memcpy(relay->pipe, relay_pipes[--relay_n_pipes], sizeof relay->pipe);
        return true;
    }
    if (pipe2(relay->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        relay->pipe[0] = relay->pipe[1] = 0;
        return false;
    }
    fcntl(relay->pipe[1], F_SETPIPE_SZ, RELAY_PIPE); /* or what it has */
    return true;
}

static void relay_put_pipe(struct relay *relay)
{
    if (relay->pipe[1] == 0)
        return;
    if (relay->piped == 0 && relay_n_pipes < RELAY_KEPT) {
        memcpy(relay_pipes[relay_n_pipes++], relay->pipe, sizeof relay->pipe);
    } else {
        close(relay->pipe[0]);
        close(relay->pipe[1]);
    }
    relay->pipe[0] = relay->pipe[1] = 0;
    relay->piped = 0;
}

/* What is on its way is lost. */
static void relay_drop(struct relay *relay)
{
    relay_put_buffer(relay);
    relay_put_pipe(relay);
}

/* What the buffer holds. */
static struct slice relay_held(const struct relay *relay)
{
    const struct relay_buffer *buffer = relay->buffer;

    if (buffer == NULL)
        return (struct slice){"", 0};
    return (struct slice){buffer->bytes + buffer->start, buffer->end - buffer->start};
}

static void relay_take(struct relay *relay, size_t n)
{
    relay->buffer->start += n;
    if (relay->buffer->start == relay->buffer->end)
        relay_put_buffer(relay);
}

/* ---- moving ---- */

/* Read more into the buffer. Bytes; 0: the end; -EAGAIN: not now; -ENOBUFS: it is full, or there is none; -errno. */
static ssize_t relay_fill(struct relay *relay, struct relay_end *from)
{
    if (relay->eof)
        return 0;
    if (!from->readable)
        return -EAGAIN;
    if (!relay_get_buffer(relay))
        return -ENOBUFS;
    struct relay_buffer *buffer = relay->buffer;
    if (buffer->start > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->end - buffer->start);
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    size_t room = sizeof buffer->bytes - buffer->end;
    ssize_t n = room == 0 ? -ENOBUFS : recv(from->fd, buffer->bytes + buffer->end, room, 0);
    if (n < 0 && room > 0)
        n = -errno;
    if (n == -EAGAIN || (n > 0 && (size_t)n < room && !from->ended))
        from->readable = false;
    relay->eof = n == 0;
    if (n > 0)
        buffer->end += (size_t)n;
    else if (buffer->end == 0)
        relay_put_buffer(relay);
    return n;
}

/* n bytes went on their way to the other side. */
static void relay_count(struct relay *relay, size_t n)
{
    if (relay->passes != RELAY_ALL)
        relay->passes -= n;
}

/* Send what the buffer holds, as far as it may pass. 1; 0: nothing may; -EAGAIN; -errno. */
static int relay_flush(struct relay *relay, struct relay_end *to)
{
    struct slice held = relay_held(relay);
    size_t n = held.len < relay->passes ? held.len : (size_t)relay->passes;

    if (n == 0)
        return 0;
    ssize_t sent = to->writable ? sys_result(send(to->fd, held.p, n, MSG_NOSIGNAL)) : -EAGAIN;
    if (sent < 0) {
        to->writable = to->writable && sent != -EAGAIN;
        return (int)sent;
    }
    relay_count(relay, (size_t)sent);
    relay_take(relay, (size_t)sent);
    return 1;
}

/* Take what may pass into the pipe, which is empty. 1; 0: the end; -EAGAIN; -errno. */
static int relay_suck(struct relay *relay, struct relay_end *from)
{
    size_t want = relay->passes < RELAY_PIPE ? (size_t)relay->passes : RELAY_PIPE;

    if (relay->eof)
        return 0;
    if (!from->readable)
        return -EAGAIN;
    if (!relay_get_pipe(relay)) {
        ssize_t n = relay_fill(relay, from);
        return n > 0 ? 1 : (int)n;
    }
    ssize_t n = splice(from->fd, NULL, relay->pipe[1], NULL, want, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0) {
        from->readable = errno != EAGAIN;
        return -errno;
    }
    relay->eof = n == 0;
    relay->piped = (size_t)n;
    relay_count(relay, (size_t)n);
    return n > 0;
}

/* Empty the pipe. 1; 0: it is empty; -EAGAIN; -errno. */
static int relay_blow(struct relay *relay, struct relay_end *to)
{
    if (relay->piped == 0)
        return 0;
    ssize_t n = -EAGAIN;
    if (to->writable)
        n = splice(relay->pipe[0], NULL, to->fd, NULL, relay->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0) {
        int error = to->writable ? -errno : -EAGAIN;
        to->writable = to->writable && error != -EAGAIN;
        return error;
    }
    relay->piped -= (size_t)n;
    return 1;
}

/* What a turn of relay_move came to. */
enum relay_state {
    RELAY_PASSED, /* what may pass has gone */
    RELAY_ENDED,  /* the source has ended, and what came has gone */
    RELAY_WAITS,  /* for one of the two sockets */
    RELAY_GOES_ON, /* its turn is over */
};

/* Move what may pass from one end to the other, for a turn. enum relay_state or -errno. */
static int relay_move(struct relay *relay, struct relay_end *from, struct relay_end *to)
{
    for (int round = 0; round < RELAY_ROUNDS; round++) {
        int result = relay_blow(relay, to);

        if (result == 0)
            result = relay_flush(relay, to);
        if (result == 0 && relay->passes == 0) {
            relay_put_pipe(relay);
            return RELAY_PASSED;
        }
        if (result == 0)
            result = relay_suck(relay, from);
        if (result == 0 || (result == -EAGAIN && relay->piped == 0))
            relay_put_pipe(relay); /* others may use it meanwhile */
        if (result <= 0)
            return result == 0 ? RELAY_ENDED : result == -EAGAIN ? RELAY_WAITS : result;
    }
    return RELAY_GOES_ON;
}

#endif

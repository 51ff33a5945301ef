/* relay.h - moves the bytes of one stream socket to another: through a pipe by splice(2), or through a buffer */
#ifndef RELAY_H
#define RELAY_H

#include "kernel.h"

#include <fcntl.h>
#include <sys/socket.h>

enum {
    RELAY_BUFFER = 20480,
    RELAY_PIPE = 256 * 1024,
    RELAY_KEPT = 16,  /* unused buffers, and unused pipes, that are kept for the next connection */
    RELAY_ROUNDS = 8, /* reads and writes of one connection before others have their turn */
};

#define RELAY_ALL UINT64_MAX

struct relay_buffer {
    struct relay_buffer *next; /* of those that are kept */
    size_t start, end;         /* what is in it */
    char bytes[RELAY_BUFFER];
};

/* One end of a connection. epoll(7) reports readiness by edges: it stays true until a call answers EAGAIN. */
struct relay_end {
    int fd; /* non-blocking, owned; < 0: none */
    bool readable, writable;
    bool fills; /* it was full once, so EPOLLOUT is watched for as well */
    bool ended; /* the peer has sent its FIN: reading goes on until EOF */
};

/* One direction. It has a buffer or a pipe only while they hold bytes. */
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

/* Throw away what was read and not yet written. */
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

/* Read more into the buffer. How many bytes; 0: end of file; -EAGAIN; -ENOBUFS: it is full, or memory is; -errno. */
static ssize_t relay_fill_buffer(struct relay *relay, struct relay_end *from)
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

/* n of the bytes that may pass were moved. */
static void relay_count(struct relay *relay, size_t n)
{
    if (relay->passes != RELAY_ALL)
        relay->passes -= n;
}

/* Write out the buffer, as far as it may pass. 1: something was written; 0: nothing may; -EAGAIN; -errno. */
static int relay_drain_buffer(struct relay *relay, struct relay_end *to)
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

/* Splice what may pass into the pipe, which is empty. 1: something came; 0: end of file; -EAGAIN; -errno. */
static int relay_fill_pipe(struct relay *relay, struct relay_end *from)
{
    size_t want = relay->passes < RELAY_PIPE ? (size_t)relay->passes : RELAY_PIPE;

    if (relay->eof)
        return 0;
    if (!from->readable)
        return -EAGAIN;
    if (!relay_get_pipe(relay)) {
        ssize_t n = relay_fill_buffer(relay, from);
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

/* Splice the pipe out. 1: something was written; 0: it was empty; -EAGAIN; -errno. */
static int relay_drain_pipe(struct relay *relay, struct relay_end *to)
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

/* How a turn of relay_move ended. */
enum relay_state {
    RELAY_PASSED, /* all that may pass was moved */
    RELAY_ENDED,  /* end of file, and all that came was moved */
    RELAY_WAITS,  /* for one of the two sockets */
    RELAY_GOES_ON, /* its turn is over */
};

/* Move what may pass from one end to the other, for a turn. enum relay_state or -errno. */
static int relay_move(struct relay *relay, struct relay_end *from, struct relay_end *to)
{
    for (int round = 0; round < RELAY_ROUNDS; round++) {
        int result = relay_drain_pipe(relay, to);

        if (result == 0)
            result = relay_drain_buffer(relay, to);
        if (result == 0 && relay->passes == 0) {
            relay_put_pipe(relay);
            return RELAY_PASSED;
        }
        if (result == 0)
            result = relay_fill_pipe(relay, from);
        if (result == 0 || (result == -EAGAIN && relay->piped == 0))
            relay_put_pipe(relay); /* for other connections to use meanwhile */
        if (result <= 0)
            return result == 0 ? RELAY_ENDED : result == -EAGAIN ? RELAY_WAITS : result;
    }
    return RELAY_GOES_ON;
}

#endif

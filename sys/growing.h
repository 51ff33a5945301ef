/* growing.h - text that grows as pieces are added (realloc(3)) */
#ifndef GROWING_H
#define GROWING_H

#include "base.h"

/* Everything zero: no text. The holder frees p. */
struct growing {
    char *p;
    size_t len, room;
    bool failed; /* memory ran out: what was added since is lost */
};

/* Room for n more bytes. */
static bool growing_reserve(struct growing *text, size_t n)
{
    size_t room = text->room ? text->room : 4096;

    while (room - text->len < n)
        room *= 2;
    if (room != text->room) {
        char *p = realloc(text->p, room);
        if (p == NULL) {
            text->failed = true;
            return false;
        }
        text->p = p;
        text->room = room;
    }
    return true;
}

static void growing_append(struct growing *text, struct slice piece)
{
    if (piece.len == 0 || text->failed || !growing_reserve(text, piece.len))
        return;
    memcpy(text->p + text->len, piece.p, piece.len);
    text->len += piece.len;
}

__attribute__((format(printf, 2, 3))) static void growing_add(struct growing *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || text->failed || !growing_reserve(text, (size_t)n + 1)) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(text->p + text->len, (size_t)n + 1, format, args);
    va_end(args);
    text->len += (size_t)n;
}

/* Add all that a descriptor still has to be read, `most` bytes in all at most. 0, or -errno: -ENOMEM; -EFBIG. */
static int growing_read(struct growing *text, int fd, size_t most)
{
    for (;;) {
        if (!growing_reserve(text, 1))
            return -ENOMEM;
        ssize_t n = read(fd, text->p + text->len, text->room - text->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        text->len += (size_t)n;
        if (text->len > most)
            return -EFBIG;
    }
}

/* `text` as a slice, for as long as nothing is added to it. */
static struct slice growing_slice(const struct growing *text)
{
    return (struct slice){text->p, text->len};
}

#endif

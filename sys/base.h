/* base.h - what every other part leans on: fatal errors, text slices, numbers, a cursor over untrusted bytes */
#ifndef BASE_H
#define BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CLOSE_FD __attribute__((cleanup(fd_cleanup))) /* a descriptor that closes with its scope; starts at -1 */

enum { EXIT_OURS = 125, MESSAGE_MAX = 1024, PLACE_MAX = 256 };

/* A piece of somebody else's text. Not terminated; p is never NULL when len > 0. */
struct slice {
    const char *p;
    size_t len;
};

/* Untrusted bytes. The first read past the end sets bad; every later read then gives zeros. Check bad once, at the
 * end. */
struct cursor {
    const uint8_t *p;
    size_t len, pos;
    bool bad;
};

static void fd_cleanup(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Where in a file of the user's we are, for messages: "FILE:12: ". No file: in none. */
static struct place {
    const char *file; /* the caller's, which lives as long as it is used */
    unsigned line;
} say_where;

static void say_place(const char *file, unsigned line)
{
    say_where = (struct place){file, line};
}

/* Write "sandlock: MESSAGE\n" to stderr in one write. Control bytes become '?', so nobody's text can forge a line or
 * drive a terminal. */
__attribute__((format(printf, 1, 0))) static void vsay(const char *format, va_list args)
{
    char line[MESSAGE_MAX];
    size_t used = (size_t)snprintf(line, sizeof line, "sandlock: ");

    if (say_where.file != NULL)
        used += (size_t)snprintf(line + used, sizeof line / 2, "%.*s:%u: ", PLACE_MAX, say_where.file, say_where.line);
    int n = vsnprintf(line + used, sizeof line - used - 1, format, args);

    if (n < 0)
        n = 0;
    size_t end = used + (size_t)n < sizeof line - 2 ? used + (size_t)n : sizeof line - 2;
    for (size_t i = used; i < end; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[end] = '\n';
    if (write(STDERR_FILENO, line, end + 1) < 0)
        return; /* nobody is left to tell */
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsay(format, args);
    va_end(args);
}

/* Setup's errors: one line that says what to do about it, exit 125. */
__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsay(format, args);
    va_end(args);
    exit(EXIT_OURS);
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static bool slice_is(struct slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && (*s.p == ' ' || *s.p == '\t'))
        s = (struct slice){s.p + 1, s.len - 1};
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t' || s.p[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* Take what stands before the first `separator` off the front of *rest and return it; without one, all of it.
 * *rest is left with p == NULL when nothing follows, so "a," yields "a", then "". */
static struct slice slice_split(struct slice *rest, char separator)
{
    const char *at = rest->len ? memchr(rest->p, separator, rest->len) : NULL;
    struct slice head = *rest;

    if (at == NULL) {
        *rest = (struct slice){NULL, 0};
        return head;
    }
    head.len = (size_t)(at - head.p);
    *rest = (struct slice){at + 1, rest->len - head.len - 1};
    return head;
}

/* Decimal digits only, at most max. 0, or -EINVAL (not a number) or -ERANGE (too large); *out is untouched then. */
static int parse_uint(struct slice text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        if (value > (max - digit) / 10 || digit > max)
            return -ERANGE;
        value = value * 10 + digit;
    }
    *out = value;
    return 0;
}

/* n bytes at the cursor, which moves on; NULL (and bad) when there are not that many left. */
static const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    if (c->bad || n > c->len - c->pos) {
        c->bad = true;
        return NULL;
    }
    c->pos += n;
    return c->p + c->pos - n;
}

/* A number of two bytes in network order. */
static uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 2);

    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

#endif

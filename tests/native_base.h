/* native_base.h - what every row of the differential tests leans on: its line, raw calls, waiting */
#ifndef NATIVE_BASE_H
#define NATIVE_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "native_names.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { ROW_LINE_MAX = 16384, PAGE = 4096, WAIT_MS = 2000 };

/* ---- the line ---- */

/* What a row prints: shared with the parent, who prints it even when the row's process died on the way. */
static struct row_line {
    size_t len;
    char text[ROW_LINE_MAX];
} *line;

__attribute__((format(printf, 1, 2))) static void out(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line->text + line->len, sizeof line->text - line->len, format, args);
    va_end(args);
    if (n > 0)
        line->len += (size_t)n;
    if (line->len >= sizeof line->text)
        abort();
}

/* A raw call's answer: a number, or the errno's name. */
static void out_result(long result)
{
    if (result < 0)
        out(" %s", errno_name((int)-result));
    else
        out(" %ld", result);
}

/* A step of the row's own making that must work: setting up is not what is compared. */
static long must(long result, const char *step)
{
    if (result >= 0)
        return result;
    out(" cannot %s: %s", step, errno_name(errno));
    _exit(0);
}

#define MUST(call) must((call), #call)

/* ---- raw calls: >= 0 or -errno, and every argument goes in as it is (libc's wrappers look at some) ---- */

#define RAW(...) RAW_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RAW_PICK(nr, a, b, c, d, e, f, ...) \
    raw(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
    long result = syscall(nr, a, b, c, d, e, f);

    return result < 0 ? -errno : result;
}

/* struct user_msghdr and struct cmsghdr as the kernel has them; libc's differ in the widths of the lengths. */
struct header {
    void *name;
    int32_t namelen;
    struct iovec *iov;
    size_t iovlen;
    void *control;
    size_t controllen;
    uint32_t flags;
};

struct vector_entry {
    struct header header;
    uint32_t len;
};

struct control_head {
    size_t len;
    int32_t level, type;
};

/* ---- memory ---- */

static void *map_pages(size_t pages, int protection)
{
    void *p = mmap(NULL, pages * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        MUST(-1);
    return p;
}

/* ---- waiting ---- */

/* Wait until one of the events is there; what is there then, or 0 after `ms`. */
static short wait_for(int fd, short events, int ms)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

#endif

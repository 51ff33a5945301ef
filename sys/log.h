/* log.h - lines for people and programs, written without waiting for the reader (pwritev2(2) RWF_NOWAIT, RFC 8259) */
#ifndef LOG_H
#define LOG_H

#include "kernel.h"

#include <sys/stat.h>
#include <time.h>

enum { LOG_LINE_MAX = 2560, LOG_END = 512 /* of it, for what closes a line: no string takes that */ };

/* Text that is being put together. What doesn't fit is left out; full is sticky. */
struct text {
    char bytes[LOG_LINE_MAX];
    size_t len;
    bool full;
};

struct log_file {
    int fd;         /* < 0: none */
    uint64_t lost;  /* lines that the reader was too slow for */
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text->bytes + text->len, sizeof text->bytes - text->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text->bytes - text->len)
        text->full = true;
    else
        text->len += (size_t)n;
}

/* Is there room for n more bytes of a string, and for what closes the line then? */
static bool text_has_room(const struct text *text, size_t n)
{
    return text->len + n <= sizeof text->bytes - LOG_END;
}

/* A JSON string of any bytes: control characters and those that are no ASCII are escaped, byte by byte. What doesn't
 * fit is cut off, so that a line is JSON whatever it has to say. */
static void text_add_json(struct text *text, const char *string)
{
    text_add(text, "\"");
    for (const unsigned char *c = (const unsigned char *)string; *c != 0; c++)
        if (!text_has_room(text, sizeof "\\u0000"))
            text->full = true;
        else if (*c < 0x20 || *c >= 0x7f || *c == '"' || *c == '\\')
            text_add(text, "\\u%04x", *c);
        else
            text_add(text, "%c", *c);
    text_add(text, "\"");
}

/* The beginning of a line of JSON: when. The object stays open. */
static void log_begin(struct text *line)
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    text_add(line, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\"", utc.tm_year + 1900, utc.tm_mon + 1,
             utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
}

/* A terminal would make us wait in the middle of a line: it is opened anew, in a mode that is ours alone. Bytes
 * written; < 0: none. */
static ssize_t log_write_terminal(int fd, const struct text *text)
{
    char path[40];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own CLOSE_FD = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own < 0 ? -1 : write(own, text->bytes, text->len);
}

/* Write the line whole, or not at all when the descriptor would make us wait. Regular files are taken not to. */
static void log_write(struct log_file *file, struct text *text)
{
    struct iovec line = {text->bytes, text->len};
    struct pollfd poll_for = {.fd = file->fd, .events = POLLOUT};

    if (file->fd < 0 || text->len == 0)
        return;
    ssize_t n = sys_write_flags(file->fd, &line, KERNEL_RWF_NOWAIT);
    if (n == -EAGAIN) {
        struct stat status;
        if (fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode))
            n = write(file->fd, text->bytes, text->len);
    } else if (n < 0 && n != -EPIPE && isatty(file->fd)) {
        n = log_write_terminal(file->fd, text);
    } else if (n < 0 && n != -EPIPE && poll(&poll_for, 1, 0) == 1) { /* a kernel without the flag */
        n = write(file->fd, text->bytes, text->len);
    }
    if (n != (ssize_t)text->len)
        file->lost++;
}

/* As say() in base.h, but where stderr's reader would make us wait it isn't said. */
__attribute__((format(printf, 1, 2))) static void log_say(const char *format, ...)
{
    static struct log_file to = {.fd = STDERR_FILENO};
    struct text line = {.len = 0};
    char message[LOG_LINE_MAX - 16];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    text_add(&line, "sandlock: %s", message);
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.bytes[i] < 0x20 || line.bytes[i] == 0x7f)
            line.bytes[i] = '?';
    text_add(&line, "\n");
    log_write(&to, &line);
}

#endif

/* native_base.h - what every row of the differential test leans on: its line, raw calls, fenced memory, addresses */
#ifndef NATIVE_BASE_H
#define NATIVE_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "native_names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
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
#include <sys/un.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BAD_POINTER ((void *)8)

enum { ROW_LINE_MAX = 16384, PAGE = 4096, WAIT_MS = 2000, NAME_OFFSET = offsetof(struct sockaddr_un, sun_path) };

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

/* n bytes copied from `from` (zeros when NULL) that end where a page nobody can read begins. */
static void *fenced(const void *from, size_t n)
{
    size_t pages = (n + PAGE - 1) / PAGE;
    unsigned char *start = map_pages(pages + 1, PROT_READ | PROT_WRITE);
    unsigned char *end = start + pages * PAGE;

    MUST(mprotect(end, PAGE, PROT_NONE));
    if (from != NULL)
        memcpy(end - n, from, n);
    return end - n;
}

/* ---- addresses ---- */

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* Names of the abstract sockets begin with this; of one length in every run, and never printed. */
static char abstract_prefix[16];

static struct address address_in(const char *ip, uint16_t port)
{
    struct address address = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;

    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    inet_pton(AF_INET, ip, &in->sin_addr);
    return address;
}

static struct address address_in6(const char *ip, uint16_t port)
{
    struct address address = {.len = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.storage;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    inet_pton(AF_INET6, ip, &in6->sin6_addr);
    return address;
}

/* A path in the row's directory, or with '@' an abstract name. */
static struct address address_un(const char *name)
{
    struct address address = {.len = 0};
    struct sockaddr_un *un = (struct sockaddr_un *)&address.storage;
    int n;

    un->sun_family = AF_UNIX;
    if (name[0] == '@')
        n = 1 + snprintf(un->sun_path + 1, sizeof un->sun_path - 1, "%s%s", abstract_prefix, name + 1);
    else
        n = 1 + snprintf(un->sun_path, sizeof un->sun_path, "%s", name);
    address.len = (socklen_t)(NAME_OFFSET + n);
    return address;
}

static struct address address_netlink(uint32_t port, uint32_t groups)
{
    struct address address = {.len = sizeof(struct sockaddr_nl)};
    struct sockaddr_nl *nl = (struct sockaddr_nl *)&address.storage;

    nl->nl_family = AF_NETLINK;
    nl->nl_pid = port;
    nl->nl_groups = groups;
    return address;
}

static struct address address_unspec(void)
{
    return (struct address){.storage = {.ss_family = AF_UNSPEC}, .len = sizeof(struct sockaddr_in)};
}

static struct sockaddr *address_of(struct address *address)
{
    return (struct sockaddr *)&address->storage;
}

/* In host order; sin6_port stands where sin_port does. */
static uint16_t address_port(const struct address *address)
{
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

static struct address name_of_socket(int fd)
{
    struct address address = {.len = sizeof address.storage};

    MUST(getsockname(fd, address_of(&address), &address.len));
    return address;
}

static void out_unix_name(const struct sockaddr_un *un, socklen_t len)
{
    if (len <= NAME_OFFSET)
        out("unnamed");
    else if (un->sun_path[0] != '\0')
        out("%.*s", (int)(len - NAME_OFFSET), un->sun_path);
    else if (len == NAME_OFFSET + 6)
        out("@auto"); /* five digits of the kernel's choice: unix(7) */
    else
        out("@%.*s", (int)(len - NAME_OFFSET - 1 - strlen(abstract_prefix)),
            un->sun_path + 1 + strlen(abstract_prefix));
}

/* An address without what differs from run to run: a port is 0 or P, a netlink port id 0 or P. */
static void out_address(const struct address *address)
{
    char ip[INET6_ADDRSTRLEN];
    const struct sockaddr_storage *s = &address->storage;

    if (address->len == 0)
        out("none");
    else if (s->ss_family == AF_INET)
        out("%s:%s", inet_ntop(AF_INET, &((const struct sockaddr_in *)s)->sin_addr, ip, sizeof ip),
            address_port(address) ? "P" : "0");
    else if (s->ss_family == AF_INET6)
        out("[%s]:%s", inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)s)->sin6_addr, ip, sizeof ip),
            address_port(address) ? "P" : "0");
    else if (s->ss_family == AF_UNIX)
        out_unix_name((const struct sockaddr_un *)s, address->len);
    else if (s->ss_family == AF_NETLINK)
        out("netlink:%s", ((const struct sockaddr_nl *)s)->nl_pid ? "P" : "0");
    else
        out("family %d", s->ss_family);
    out("/%u", address->len);
}

/* ---- waiting ---- */

/* Wait until one of the events is there; what is there then, or 0 after `ms`. */
static short wait_for(int fd, short events, int ms)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

static void set_int(int fd, int level, int option, int value)
{
    MUST(setsockopt(fd, level, option, &value, sizeof value));
}

#endif

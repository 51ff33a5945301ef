/* hosts.h - a hosts file (hosts(5)): loaded, read, and composed anew for a sandbox */
#ifndef HOSTS_H
#define HOSTS_H

#include "addr.h"
#include "base.h"
#include "growing.h"
#include "kernel.h"

#include <strings.h>
#include <sys/stat.h>

enum { HOSTS_FILE_MAX = 16 * 1024 * 1024 }; /* block lists come as hosts files */

/* A line's address and the names behind it, which hosts_word takes apart. */
struct hosts_line {
    struct ip_addr addr;
    struct slice names;
};

/* ---- loading ---- */

/* Open `path` as a process whose root is `root` would: no symlink leads out of it, and only a regular file will do,
 * as an image may hold anything under that name. A descriptor or -errno. */
static int hosts_open_in(const char *root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    struct stat status;

    int dir CLOSE_FD = sys_open(root, O_PATH | O_DIRECTORY);
    if (dir < 0)
        return dir;
    int fd = sys_openat2(dir, path, &how);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    return fd;
}

/* Add a file to `text`. root is NULL, or the directory that is its root. 0 or -errno: -EFBIG above HOSTS_FILE_MAX. */
static int hosts_load(struct growing *text, const char *root, const char *path)
{
    int fd CLOSE_FD = root ? hosts_open_in(root, path) : sys_open(path, O_RDONLY);

    return fd < 0 ? fd : growing_read(text, fd, HOSTS_FILE_MAX);
}

/* ---- reading ---- */

static bool hosts_is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Take the next word off the front of *rest; len 0 when there is none. */
static struct slice hosts_word(struct slice *rest)
{
    size_t start = 0, end;

    while (start < rest->len && hosts_is_space(rest->p[start]))
        start++;
    for (end = start; end < rest->len && !hosts_is_space(rest->p[end]);)
        end++;
    struct slice word = {rest->p + start, end - start};
    *rest = (struct slice){rest->p + end, rest->len - end};
    return word;
}

/* Take lines off *rest until one begins with an address; false when there is none. A # begins a comment anywhere. */
static bool hosts_next(struct slice *rest, struct hosts_line *line)
{
    while (rest->len > 0) {
        struct slice text = slice_split(rest, '\n');

        line->names = slice_split(&text, '#');
        struct slice addr = hosts_word(&line->names);
        if (ip_addr_parse(addr, &line->addr) == 0)
            return true;
    }
    return false;
}

/* Host names are compared without case (RFC 4343), and the root's dot doesn't count. */
static bool hosts_name_equal(struct slice a, struct slice b)
{
    if (a.len > 0 && a.p[a.len - 1] == '.')
        a.len--;
    if (b.len > 0 && b.p[b.len - 1] == '.')
        b.len--;
    return a.len == b.len && a.len > 0 && strncasecmp(a.p, b.p, a.len) == 0;
}

static bool hosts_line_has(struct hosts_line line, struct slice name)
{
    struct slice word;

    while ((word = hosts_word(&line.names)).len > 0)
        if (hosts_name_equal(word, name))
            return true;
    return false;
}

/* Does the file give `name` the loopback address of that version, 127.0.0.1 or ::1? */
static bool hosts_has_loopback(struct slice file, struct slice name, uint8_t version)
{
    struct hosts_line line;

    while (hosts_next(&file, &line))
        if (ip_addr_equal(line.addr, ip_addr_loopback(version)) && hosts_line_has(line, name))
            return true;
    return false;
}

/* ---- composing: the base first, then the machine's own name, then an entry for each address ---- */

/* An image's own file as it stands (empty: there is none), and localhost in the families that it leaves out. */
static void hosts_compose_base(struct growing *out, struct slice image)
{
    growing_append(out, image);
    if (image.len > 0 && image.p[image.len - 1] != '\n')
        growing_append(out, slice_of("\n"));
    if (!hosts_has_loopback(image, slice_of("localhost"), 4))
        growing_append(out, slice_of("127.0.0.1 localhost\n"));
    if (!hosts_has_loopback(image, slice_of("localhost"), 6))
        growing_append(out, slice_of("::1 localhost\n"));
}

static void hosts_append_addr(struct growing *out, struct ip_addr addr)
{
    char text[IP_TEXT_MAX];

    ip_addr_format(text, sizeof text, addr);
    growing_append(out, slice_of(text));
}

/* A line's next name. */
static void hosts_append_name(struct growing *out, struct slice name)
{
    growing_append(out, slice_of(" "));
    growing_append(out, name);
}

/* The lines of the machine's real file that name the machine itself, without its localhost:
 * gethostbyname(gethostname()) then works as before, and the first name of the line stays the canonical one. */
static void hosts_compose_machine(struct growing *out, struct slice real, struct slice machine)
{
    struct slice word, localhost = slice_of("localhost");
    struct hosts_line line;

    while (hosts_next(&real, &line)) {
        if (hosts_name_equal(machine, localhost) || !hosts_line_has(line, machine))
            continue;
        hosts_append_addr(out, line.addr);
        while ((word = hosts_word(&line.names)).len > 0)
            if (!hosts_name_equal(word, localhost))
                hosts_append_name(out, word);
        growing_append(out, slice_of("\n"));
    }
}

/* `addr name`, a line. The root's dot is left out: a look-up would not find the name with it. */
static void hosts_compose_entry(struct growing *out, struct ip_addr addr, struct slice name)
{
    if (name.len > 0 && name.p[name.len - 1] == '.')
        name.len--;
    hosts_append_addr(out, addr);
    hosts_append_name(out, name);
    growing_append(out, slice_of("\n"));
}

#endif

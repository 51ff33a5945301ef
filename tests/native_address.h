/* native_address.h - addresses of every family without what differs from run to run, and memory that ends at a fence */
#ifndef NATIVE_ADDRESS_H
#define NATIVE_ADDRESS_H

#include "native_base.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <sys/un.h>

#define BAD_POINTER ((void *)8)

enum { NAME_OFFSET = offsetof(struct sockaddr_un, sun_path) };

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

#endif

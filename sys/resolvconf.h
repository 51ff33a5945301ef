/* resolvconf.h - how names are looked up: nameservers, their options, the search list (resolv.conf(5)) */
#ifndef RESOLVCONF_H
#define RESOLVCONF_H

#include "addr.h"
#include "base.h"
#include "dns.h"
#include "hosts.h"

#include <net/if.h>

enum {
    RESOLVCONF_SERVERS_MAX = 8,
    RESOLVCONF_SEARCH_MAX = 8,
    RESOLVCONF_NDOTS_MAX = 15, /* these three: the limits of resolv.conf(5) */
    RESOLVCONF_TIMEOUT_MAX = 30,
    RESOLVCONF_ATTEMPTS_MAX = 5,
};

struct resolvconf_server {
    struct ip_addr addr; /* canonical */
    uint16_t port;
    uint32_t scope; /* an interface's index, for link-local IPv6; else 0 */
};

struct resolvconf {
    struct resolvconf_server servers[RESOLVCONF_SERVERS_MAX];
    struct dns_name search[RESOLVCONF_SEARCH_MAX];
    size_t n_servers, n_search;
    unsigned ndots;      /* a name with fewer dots is first tried with each search domain */
    unsigned timeout_ms; /* for one answer of one server */
    unsigned attempts;   /* rounds through all servers */
    bool rotate;         /* names begin with different servers */
    bool edns0;          /* larger answers over UDP */
};

/* resolv.conf(5)'s defaults, and no server. */
static void resolvconf_init(struct resolvconf *config)
{
    *config = (struct resolvconf){.ndots = 1, .timeout_ms = 5000, .attempts = 2};
}

/* An address with an interface behind a % where it is link-local. 0 or -EINVAL. */
static int resolvconf_parse_addr(struct slice text, struct resolvconf_server *server)
{
    struct slice zone = text, addr = slice_split(&zone, '%');
    char name[IF_NAMESIZE] = "";
    uint64_t scope = 0;

    if (ip_addr_parse(addr, &server->addr) < 0)
        return -EINVAL;
    server->addr = ip_addr_canonical(server->addr);
    if (zone.p != NULL && parse_uint(zone, UINT32_MAX, &scope) < 0) {
        if (zone.len == 0 || zone.len >= sizeof name)
            return -EINVAL;
        memcpy(name, zone.p, zone.len);
        scope = if_nametoindex(name);
        if (scope == 0)
            return -EINVAL;
    }
    server->scope = (uint32_t)scope;
    return 0;
}

/* Add a server: IP, IPv4:port or [IPv6]:port. 0, -EINVAL, or -ENOSPC when there are RESOLVCONF_SERVERS_MAX already. */
static int resolvconf_add_server(struct resolvconf *config, struct slice text)
{
    struct resolvconf_server server = {.port = DNS_PORT};
    struct slice addr = text, port = {NULL, 0};
    uint64_t number = DNS_PORT;

    if (config->n_servers == RESOLVCONF_SERVERS_MAX)
        return -ENOSPC;
    if (text.len > 0 && text.p[0] == '[') {
        port = (struct slice){text.p + 1, text.len - 1};
        addr = slice_split(&port, ']');
        if (port.p == NULL || (port.len > 0 && port.p[0] != ':'))
            return -EINVAL;
        port = port.len > 0 ? (struct slice){port.p + 1, port.len - 1} : (struct slice){NULL, 0};
    } else if (text.len > 0 && memchr(text.p, ':', text.len) == memrchr(text.p, ':', text.len)) {
        port = text;
        addr = slice_split(&port, ':');
    }
    if (resolvconf_parse_addr(addr, &server) < 0 ||
        (port.p != NULL && (parse_uint(port, UINT16_MAX, &number) < 0 || number == 0)))
        return -EINVAL;
    server.port = (uint16_t)number;
    config->servers[config->n_servers++] = server;
    return 0;
}

/* The number behind `name:` in an option, cut to least..most; false when it is another option. */
static bool resolvconf_option(struct slice option, const char *name, uint64_t least, uint64_t most, unsigned *value)
{
    struct slice text = option;
    uint64_t number;

    if (!slice_is(slice_split(&text, ':'), name) || text.p == NULL)
        return false;
    int status = parse_uint(text, most, &number);
    if (status == -EINVAL)
        return false;
    number = status < 0 ? most : number;
    *value = (unsigned)(number < least ? least : number);
    return true;
}

static void resolvconf_options(struct resolvconf *config, struct slice words)
{
    struct slice word;
    unsigned seconds;

    while ((word = hosts_word(&words)).len > 0) {
        if (slice_is(word, "rotate"))
            config->rotate = true;
        else if (slice_is(word, "edns0"))
            config->edns0 = true;
        else if (resolvconf_option(word, "timeout", 1, RESOLVCONF_TIMEOUT_MAX, &seconds))
            config->timeout_ms = seconds * 1000;
        else if (!resolvconf_option(word, "ndots", 0, RESOLVCONF_NDOTS_MAX, &config->ndots))
            resolvconf_option(word, "attempts", 1, RESOLVCONF_ATTEMPTS_MAX, &config->attempts);
    }
}

/* The text of a resolv.conf. What it can't mean is passed over, as every resolver does; the last of domain and search
 * counts. */
static void resolvconf_parse(struct resolvconf *config, struct slice text)
{
    while (text.len > 0) {
        struct slice line = slice_split(&text, '\n'), word = hosts_word(&line);

        if (slice_is(word, "nameserver")) {
            struct resolvconf_server server = {.port = DNS_PORT};
            if (config->n_servers < RESOLVCONF_SERVERS_MAX && resolvconf_parse_addr(hosts_word(&line), &server) == 0)
                config->servers[config->n_servers++] = server;
        } else if (slice_is(word, "options")) {
            resolvconf_options(config, line);
        } else if (slice_is(word, "domain") || slice_is(word, "search")) {
            config->n_search = 0;
            while (config->n_search < RESOLVCONF_SEARCH_MAX && (word = hosts_word(&line)).len > 0)
                if (dns_name_parse(word, &config->search[config->n_search]) == 0)
                    config->n_search++;
        }
    }
}

/* Read a resolv.conf into *config, which has been initialised. 0 or -errno. */
static int resolvconf_read(struct resolvconf *config, const char *path)
{
    struct growing text = {0};
    int status = hosts_load(&text, NULL, path);

    if (status == 0)
        resolvconf_parse(config, growing_slice(&text));
    free(text.p);
    return status;
}

#endif

/* resolve.h - host names to addresses: the hosts file, localhost, the search list, then DNS (resolver(3), RFC 6761) */
#ifndef RESOLVE_H
#define RESOLVE_H

#include "addr.h"
#include "base.h"
#include "dns.h"
#include "hosts.h"
#include "log.h"
#include "query.h"
#include "resolvconf.h"

enum { RESOLVE_ERROR_MAX = 512 }; /* resolve_error_format's buffer */

/* The order of those that a query can have is enum query_status's. */
enum resolve_status {
    RESOLVE_OPEN = QUERY_OPEN,
    RESOLVE_FOUND = QUERY_FOUND, /* at least one family has addresses */
    RESOLVE_NXDOMAIN = QUERY_NXDOMAIN,
    RESOLVE_FAILED = QUERY_FAILED,
    RESOLVE_NO_ADDRESS = QUERY_NO_ADDRESS,
    RESOLVE_NO_SERVER, /* there is none to ask */
    RESOLVE_NOT_A_NAME,
};

enum { RESOLVE_V4, RESOLVE_V6, RESOLVE_FAMILIES };

/* The caller sets name, whose text must stay, and zeroes the rest. */
struct resolve_name {
    struct slice name;
    enum resolve_status status;
    bool from_hosts;  /* or from the rule for localhost: no server was asked */
    bool exists;      /* with one search domain or another, if without addresses */
    size_t candidate; /* the search list's next */
    struct query families[RESOLVE_FAMILIES]; /* n and addrs are what was found */
};

/* Address i of a name, those of IPv4 first; NULL: it has no more. */
static const struct ip_addr *resolve_address(const struct resolve_name *name, size_t i)
{
    const struct query *v4 = &name->families[RESOLVE_V4], *v6 = &name->families[RESOLVE_V6];

    if (i < v4->n)
        return &v4->addrs[i];
    return i - v4->n < v6->n ? &v6->addrs[i - v4->n] : NULL;
}

/* Is an address among a name's? */
static bool resolve_has(const struct resolve_name *name, struct ip_addr addr)
{
    const struct ip_addr *own;

    for (size_t i = 0; (own = resolve_address(name, i)) != NULL; i++)
        if (ip_addr_equal(*own, addr))
            return true;
    return false;
}

/* ---- without a server: the hosts file, localhost ---- */

static void resolve_add_local(struct resolve_name *name, struct ip_addr addr)
{
    addr = ip_addr_canonical(addr);
    query_add_addr(&name->families[addr.version == 4 ? RESOLVE_V4 : RESOLVE_V6], addr);
    name->status = RESOLVE_FOUND;
    name->from_hosts = true;
}

/* One pass over the file for all names. */
static void resolve_from_hosts(struct slice hosts, struct resolve_name *names, size_t n)
{
    struct hosts_line line;
    struct slice word;

    while (hosts_next(&hosts, &line))
        while ((word = hosts_word(&line.names)).len > 0)
            for (size_t i = 0; i < n; i++)
                if (hosts_name_equal(word, names[i].name))
                    resolve_add_local(&names[i], line.addr);
}

/* localhost and all names below it are this machine, and nobody is asked (RFC 6761, 6.3). */
static bool resolve_is_localhost(const struct dns_name *name)
{
    static const struct dns_name localhost = {11, "\011localhost"};
    struct dns_name end = {.len = localhost.len};
    size_t at = 0;

    while (name->len - at > localhost.len)
        at += 1u + name->wire[at];
    if (name->len - at != localhost.len)
        return false;
    memcpy(end.wire, name->wire + at, end.len);
    return dns_name_equal(&end, &localhost);
}

/* ---- with a server ---- */

/* What is asked for as number `which`: the name itself, or with a search domain. -ENOENT past the last; -ENAMETOOLONG
 * when it can't be asked. */
static int resolve_candidate(const struct resolvconf *config, struct slice text, size_t which, struct dns_name *out)
{
    size_t dots = 0, itself;

    if (dns_name_parse(text, out) < 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++)
        dots += text.p[i] == '.';
    itself = dots >= config->ndots ? 0 : config->n_search;
    if (text.p[text.len - 1] == '.') /* it is complete */
        return which == 0 ? 0 : -ENOENT;
    if (which > config->n_search)
        return -ENOENT;
    if (which == itself)
        return 0;
    const struct dns_name *domain = &config->search[which > itself ? which - 1 : which];
    if (out->len - 1u + domain->len > DNS_NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(out->wire + out->len - 1, domain->wire, domain->len);
    out->len = (uint8_t)(out->len - 1u + domain->len);
    return 0;
}

/* What a name gets without a server. */
static void resolve_begin(const struct resolvconf *config, struct resolve_name *name)
{
    struct dns_name parsed;

    if (name->from_hosts)
        return;
    if (dns_name_parse(name->name, &parsed) < 0) {
        name->status = RESOLVE_NOT_A_NAME;
    } else if (resolve_is_localhost(&parsed)) {
        resolve_add_local(name, ip_addr_loopback(4));
        resolve_add_local(name, ip_addr_loopback(6));
    } else if (config->n_servers == 0) {
        name->status = RESOLVE_NO_SERVER;
    }
}

/* Put the queries for a name's next candidate on the list; without one the name keeps what the last gave it. */
static void resolve_ask(const struct resolvconf *config, struct resolve_name *name, struct query **list)
{
    struct dns_name asked;
    int status;

    do
        status = resolve_candidate(config, name->name, name->candidate++, &asked);
    while (status == -ENAMETOOLONG);
    if (status < 0) {
        name->status = name->exists ? RESOLVE_NO_ADDRESS : RESOLVE_NXDOMAIN;
        return;
    }
    for (size_t i = 0; i < RESOLVE_FAMILIES; i++) {
        name->families[i] = (struct query){.next = *list, .name = asked, .type = i == RESOLVE_V4 ? DNS_A : DNS_AAAA};
        *list = &name->families[i];
    }
}

/* Both families have been asked: keep what they say, unless another candidate may say better. */
static void resolve_decide(struct resolve_name *name)
{
    enum query_status v4 = name->families[RESOLVE_V4].status, v6 = name->families[RESOLVE_V6].status;
    enum query_status status = v4 < v6 ? v4 : v6;

    name->exists = name->exists || status == QUERY_NO_ADDRESS;
    if (status == QUERY_FOUND || status == QUERY_FAILED)
        name->status = (enum resolve_status)status;
}

/* Look up all names at once, in `hosts` (the text of a hosts file) first. Each gets its own result; a round of
 * queries, and there is one for each candidate of the search list, takes as long as its slowest answer. 0, or -errno
 * of poll(2). */
static int resolve_all(const struct resolvconf *config, struct slice hosts, struct resolve_name *names, size_t n)
{
    resolve_from_hosts(hosts, names, n);
    for (size_t i = 0; i < n; i++)
        resolve_begin(config, &names[i]);
    for (;;) {
        struct query *list = NULL;

        for (size_t i = n; i-- > 0;)
            if (names[i].status == RESOLVE_OPEN)
                resolve_ask(config, &names[i], &list);
        if (list == NULL)
            return 0;
        int status = query_all(config, list);
        if (status < 0)
            return status;
        for (size_t i = 0; i < n; i++)
            if (names[i].status == RESOLVE_OPEN)
                resolve_decide(&names[i]);
    }
}

/* ---- saying why not ---- */

static void resolve_print_server(struct text *text, const struct resolvconf_server *server)
{
    char endpoint[IP_ENDPOINT_MAX];

    ip_endpoint_format(endpoint, sizeof endpoint, server->addr, server->port == DNS_PORT ? 0 : server->port);
    text_add(text, "%s", endpoint);
}

/* Each thing that went wrong, with the servers where it did. */
static void resolve_print_outcomes(struct text *text, const struct resolvconf *config,
                                   const struct query *query)
{
    static const char *const what[OUTCOMES] = {
        [OUTCOME_SILENT] = "no answer",
        [OUTCOME_SERVFAIL] = "SERVFAIL",
        [OUTCOME_REFUSED] = "REFUSED",
        [OUTCOME_ERROR] = "an error",
        [OUTCOME_MALFORMED] = "a malformed answer",
        [OUTCOME_LAME] = "no recursion",
        [OUTCOME_LOOP] = "a CNAME loop",
    };
    bool said[RESOLVCONF_SERVERS_MAX] = {false};
    unsigned ms = query->waited_ms;

    for (size_t i = 0; i < config->n_servers; i++) {
        int outcome = query->outcomes[i];
        if (outcome == OUTCOME_NONE || said[i])
            continue;
        text_add(text, "%s%s from ", text->len ? "; " : "", outcome < 0 ? strerror(-outcome) : what[outcome]);
        for (size_t j = i; j < config->n_servers; j++) {
            if (query->outcomes[j] != outcome)
                continue;
            said[j] = true;
            text_add(text, "%s", j > i ? ", " : "");
            resolve_print_server(text, &config->servers[j]);
        }
        if (outcome == OUTCOME_SILENT)
            text_add(text, " within %u %s", ms < 1000 ? ms : (ms + 500) / 1000, ms < 1000 ? "ms" : "s");
    }
}

/* Why a name was not found, as it follows "cannot resolve 'NAME': ": "NXDOMAIN from 10.0.0.1". Terminated, cut to
 * fit. */
static void resolve_error_format(const struct resolvconf *config, const struct resolve_name *name,
                                 char to[RESOLVE_ERROR_MAX])
{
    struct text text = {.len = 0};
    const struct query *v4 = &name->families[RESOLVE_V4], *v6 = &name->families[RESOLVE_V6];

    switch (name->status) {
    case RESOLVE_OPEN:
    case RESOLVE_FOUND:
        break;
    case RESOLVE_NXDOMAIN:
    case RESOLVE_NO_ADDRESS:
        text_add(&text, name->status == RESOLVE_NXDOMAIN ? "NXDOMAIN from " : "no address from ");
        resolve_print_server(&text, &config->servers[v4->status == QUERY_NXDOMAIN ? v4->server : v6->server]);
        break;
    case RESOLVE_FAILED:
        resolve_print_outcomes(&text, config, v4->status == QUERY_FAILED ? v4 : v6);
        break;
    case RESOLVE_NO_SERVER:
        text_add(&text, "no nameserver is known");
        break;
    case RESOLVE_NOT_A_NAME:
        text_add(&text, "it is not a host name");
        break;
    }
    snprintf(to, RESOLVE_ERROR_MAX, "%.*s", RESOLVE_ERROR_MAX - 1, text.bytes);
}

#endif

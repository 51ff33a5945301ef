/* rules.h - rules, as they are written (README, Rules) */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include "types.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/dns.h"
#include "../sys/http.h"
#include "../sys/log.h"
#include "../sys/path.h"
#include "../sys/special.h"
#include "../sys/urlpath.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/stat.h>

/* One rule as it is written: [scheme://]target[:ports]. */
struct rule {
    unsigned protocols; /* bits 1 << enum protocol */
    enum rule_target { TARGET_ANY, TARGET_PREFIX, TARGET_WORD, TARGET_NAME } target;
    struct ip_prefix prefix;
    enum special_word word;
    struct slice name;
    struct port_range ports[PORT_RANGES_MAX];
    size_t n_ports; /* 0: all */
};

/* What is wrong with a rule, as a format for its text; NULL: nothing. */
typedef const char *rule_error;

static rule_error rule_parse_scheme(struct slice *text, struct rule *rule)
{
    static const struct {
        const char *scheme;
        unsigned protocols;
    } schemes[] = {
        {"tcp", 1 << PROTOCOL_TCP},
        {"udp", 1 << PROTOCOL_UDP},
        {"icmp", 1 << PROTOCOL_ICMP},
        {"any", 1 << PROTOCOL_TCP | 1 << PROTOCOL_UDP | 1 << PROTOCOL_ICMP},
    };
    rule->protocols = 1 << PROTOCOL_TCP;
    const char *mark = text->len >= 3 ? memmem(text->p, text->len, "://", 3) : NULL;
    if (mark == NULL)
        return NULL;
    struct slice scheme = {text->p, (size_t)(mark - text->p)};
    *text = (struct slice){mark + 3, text->len - scheme.len - 3};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (slice_is(scheme, schemes[i].scheme)) {
            rule->protocols = schemes[i].protocols;
            return NULL;
        }
    return "unknown scheme; one of tcp://, udp://, icmp://, any:// and unix:// would be right";
}

static rule_error rule_parse_port(struct slice text, bool binds, struct port_range *range)
{
    uint64_t first, last;
    struct slice rest = slice_trim(text);
    struct slice head = slice_trim(slice_split(&rest, '-'));

    if (parse_uint(head, UINT16_MAX, &first) < 0)
        return "invalid port; a number from 1 to 65535, a range like 8000-8010, or * would be right";
    last = first;
    if (rest.p != NULL && parse_uint(slice_trim(rest), UINT16_MAX, &last) < 0)
        return "invalid port range; two numbers from 1 to 65535 like 8000-8010 would be right";
    if (!binds && (first == 0 || last == 0))
        return "port 0 can't be connected to; a number from 1 to 65535, or * for all, would be right";
    if (last < first)
        return "invalid port range: it ends before it begins; the lower port comes first";
    *range = (struct port_range){(uint16_t)first, (uint16_t)last};
    return NULL;
}

static rule_error rule_parse_ports(struct slice text, bool binds, struct rule *rule)
{
    bool all = false;

    while (text.p != NULL) {
        struct slice port = slice_trim(slice_split(&text, ','));

        if (slice_is(port, "*")) {
            all = true;
            continue;
        }
        if (rule->n_ports == PORT_RANGES_MAX)
            return "invalid port list: more than 256 entries; several rules would be right";
        rule_error error = rule_parse_port(port, binds, &rule->ports[rule->n_ports]);
        if (error != NULL)
            return error;
        rule->n_ports++;
    }
    if (all && rule->n_ports > 0)
        return "cannot mix * with ports; either * or a list of ports would be right";
    return NULL;
}

/* Cut "target:ports" at the right colon; ports->p stays NULL when there is none. */
static rule_error rule_split(struct slice text, struct slice *target, struct slice *ports, bool *bracketed)
{
    struct ip_prefix whole;

    *target = text;
    *ports = (struct slice){NULL, 0};
    *bracketed = text.len > 0 && text.p[0] == '[';
    if (*bracketed) {
        const char *close = memchr(text.p, ']', text.len);

        if (close == NULL)
            return "a bracket is left open; [2001:db8::1]:443 would be right";
        size_t used = (size_t)(close + 1 - text.p);
        *target = (struct slice){text.p + 1, used - 2};
        if (used == text.len)
            return NULL;
        if (text.p[used] != ':')
            return "only :port may follow the bracket; [2001:db8::1]:443 would be right";
        *ports = (struct slice){text.p + used + 1, text.len - used - 1};
        return NULL;
    }
    if (ip_prefix_parse(text, &whole) == 0) /* a bare IPv6 address is full of colons */
        return NULL;
    const char *colon = memrchr(text.p, ':', text.len);
    if (colon == NULL)
        return NULL;
    *target = (struct slice){text.p, (size_t)(colon - text.p)};
    *ports = (struct slice){colon + 1, text.len - target->len - 1};
    return NULL;
}

/* A host name: the last label is not a number, so that a mistyped address is no name. */
static bool rule_is_name(struct slice text)
{
    struct slice rest = text, label = {NULL, 0};
    uint64_t number;

    while (rest.len > 0)
        label = slice_split(&rest, '.');
    return dns_name_valid(text) && parse_uint(label, UINT64_MAX, &number) != 0;
}

static rule_error rule_parse_target(struct slice target, bool bracketed, enum rule_list list, struct rule *rule)
{
    if (ip_prefix_parse(target, &rule->prefix) == 0) {
        if (bracketed && rule->prefix.addr.version != 6)
            return "only IPv6 addresses take brackets; the address without them would be right";
        rule->target = TARGET_PREFIX;
        rule->prefix = ip_prefix_canonical(rule->prefix);
        return NULL;
    }
    if (bracketed)
        return "no IPv6 address between the brackets; [2001:db8::1]:443 would be right";
    if (target.len == 0 || slice_is(target, "*")) {
        rule->target = TARGET_ANY;
        return NULL;
    }
    rule->word = special_word_of(target);
    if (rule->word < SPECIAL_WORDS && (list == LIST_ALLOW || list == LIST_DENY)) {
        rule->target = TARGET_WORD;
        return NULL;
    }
    if (list == LIST_DENY)
        return "not an IP address or CIDR, and host names can't be denied; 10.0.0.0/8:443 would be right";
    if (list != LIST_ALLOW)
        return "not an IP address or CIDR; 8080 or 127.0.0.1:8080 would be right";
    if (!rule_is_name(target))
        return "neither a valid IP address, CIDR nor host name; 10.0.0.1:443 or [2001:db8::1]:443 would be right";
    rule->target = TARGET_NAME;
    rule->name = target;
    return NULL;
}

/* Parse one rule of one list. NULL, or what is wrong with it. */
static rule_error rule_parse(struct slice text, enum rule_list list, struct rule *rule)
{
    struct slice target, ports;
    bool bracketed;

    rule->n_ports = 0;
    text = slice_trim(text);
    if (text.len == 0)
        return "an empty rule; 10.0.0.1:443 or *:443 would be right";
    rule_error error = rule_parse_scheme(&text, rule);
    if (error != NULL)
        return error;
    bool icmp = rule->protocols == 1 << PROTOCOL_ICMP;
    if (text.len == 0)
        return icmp ? "icmp needs a host/IP or `*`; icmp://10.0.0.1 would be right"
                    : "needs a host/IP or `*` after the scheme; udp://10.0.0.1:53 would be right";
    error = rule_split(text, &target, &ports, &bracketed);
    if (error != NULL)
        return error;
    if (icmp && ports.p != NULL)
        return "icmp rule takes no port; icmp://10.0.0.1 would be right";
    error = rule_parse_target(target, bracketed, list, rule);
    if (error != NULL)
        return error;
    if (ports.p == NULL)
        return NULL;
    error = rule_parse_ports(ports, false, rule);
    if (rule->n_ports > 0)
        rule->protocols &= ~(1u << PROTOCOL_ICMP); /* any:// with a port is TCP and UDP */
    return error;
}

/* A rule of --net-allow-bind and --net-deny-bind: [tcp://|udp://][ADDRESS:]PORTS. */
static rule_error rule_parse_bind(struct slice text, struct rule *rule)
{
    struct slice target = {NULL, 0}, ports = slice_trim(text);
    bool bracketed = false;

    rule->n_ports = 0;
    rule->target = TARGET_ANY;
    rule_error error = rule_parse_scheme(&ports, rule);
    if (error == NULL && rule->protocols & 1u << PROTOCOL_ICMP)
        error = "only tcp:// and udp:// have ports to bind; udp://5353 would be right";
    if (error != NULL)
        return error;
    if (ports.len == 0)
        return "no port; 8080, 8000-8010, 127.0.0.1:8080 or * would be right";
    if (memchr(ports.p, ':', ports.len) != NULL || memchr(ports.p, '.', ports.len) != NULL) {
        error = rule_split(ports, &target, &ports, &bracketed);
        if (error == NULL)
            error = rule_parse_target(target, bracketed, LIST_BIND, rule);
    }
    return error != NULL || ports.p == NULL ? error : rule_parse_ports(ports, true, rule);
}

/* What a rule comes to: a prefix and a range of ports, in one protocol. */
struct rule_box {
    struct ip_prefix prefix;
    enum protocol protocol;
    struct port_range ports;
};

/* Call `each` with every box that a rule has with this prefix. */
static void rule_each_box_of(const struct rule *rule, struct ip_prefix prefix,
                             void (*each)(const struct rule_box *, void *), void *argument)
{
    static const struct port_range all = {0, UINT16_MAX};
    const struct port_range *ports = rule->n_ports ? rule->ports : &all;

    for (unsigned p = 0; p < PROTOCOLS; p++)
        for (size_t i = 0; rule->protocols & 1u << p && i < (rule->n_ports ? rule->n_ports : 1); i++)
            each(&(struct rule_box){prefix, (enum protocol)p, ports[i]}, argument);
}

/* What rule_each_prefix hands on. */
struct rule_each {
    const struct rule *rule;
    void (*each)(const struct rule_box *, void *);
    void *argument;
};

static void rule_each_prefix(struct ip_prefix prefix, void *argument)
{
    const struct rule_each *of = argument;

    rule_each_box_of(of->rule, prefix, of->each, of->argument);
}

/* Call `each` with every box that a rule comes to; a name's addresses aren't known here. */
static void rule_each_box(const struct rule *rule, void (*each)(const struct rule_box *, void *), void *argument)
{
    static const struct ip_prefix all4 = {{0, 0, 4}, 0}, all6 = {{0, 0, 6}, 0};
    struct rule_each of = {rule, each, argument};

    switch (rule->target) {
    case TARGET_PREFIX:
        rule_each_prefix(rule->prefix, &of);
        break;
    case TARGET_WORD: /* public, private, metadata: the ranges that make it up */
        special_expand(rule->word, all4, rule_each_prefix, &of);
        special_expand(rule->word, all6, rule_each_prefix, &of);
        break;
    case TARGET_ANY:
        rule_each_prefix(all4, &of);
        rule_each_prefix(all6, &of);
        break;
    case TARGET_NAME:
        break;
    }
}

/* Is this unix://TARGET? Then the target is what is left. */
static bool rule_cut_unix(struct slice *text)
{
    static const char scheme[] = "unix://";
    size_t len = sizeof scheme - 1;

    if (text->len < len || memcmp(text->p, scheme, len) != 0)
        return false;
    *text = (struct slice){text->p + len, text->len - len};
    return true;
}

/* The target of unix://TARGET, as it is written. NULL, or what is wrong with it, with no text. */
static rule_error unix_rule_parse(struct slice target, struct unix_rule *rule)
{
    size_t skip = 0, cut = 0;

    rule->text = rule->written = NULL;
    rule->kind = UNIX_ANY;
    if (slice_is(target, "*"))
        return NULL;
    if (target.len > 0 && memchr(target.p, 0, target.len) != NULL)
        return "a NUL byte; unix:///run/x.sock or unix://@name would be right";
    if (target.len > 1 && target.p[0] == '@') {
        rule->kind = UNIX_ABSTRACT;
        skip = 1;
    } else if (target.len > 0 && target.p[0] == '/') {
        rule->kind = target.p[target.len - 1] == '/' ? UNIX_BELOW : UNIX_PATH;
        cut = rule->kind == UNIX_BELOW && target.len > 1;
    } else {
        return "no unix socket; unix:///run/x.sock, unix:///run/dir/, unix://@name or unix://* would be right";
    }
    rule->text = strndup(target.p + skip, target.len - skip - cut);
    return rule->text == NULL ? "out of memory" : NULL;
}

/* A path's symbolic links become what they lead to now, and its file is noted. NULL, or what is wrong. */
static rule_error unix_rule_find(struct unix_rule *rule)
{
    struct stat status;

    if (rule->kind != UNIX_PATH && rule->kind != UNIX_BELOW)
        return NULL;
    rule->written = rule->text;
    rule->text = path_canonical(rule->written);
    if (rule->text == NULL)
        return "out of memory";
    if (rule->kind == UNIX_PATH && stat(rule->text, &status) == 0) {
        rule->device = status.st_dev;
        rule->inode = status.st_ino;
    }
    return NULL;
}

/* Is all that `inner` names named by `outer`, too? */
static bool unix_rule_is_within(const struct unix_rule *inner, const struct unix_rule *outer)
{
    if (outer->kind == UNIX_ANY || inner->kind == UNIX_ANY)
        return outer->kind == UNIX_ANY;
    if (outer->kind == UNIX_BELOW && inner->kind != UNIX_ABSTRACT)
        return path_is_beneath(inner->text, outer->text) &&
               (inner->kind == UNIX_BELOW || strcmp(inner->text, outer->text) != 0);
    return inner->kind == outer->kind && strcmp(inner->text, outer->text) == 0;
}

/* HOST of an HTTP rule. NULL, or what is wrong with it. */
static rule_error http_parse_host(struct slice host, struct http_rule *rule)
{
    bool bracketed = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';

    if (host.len > 1 && host.p[host.len - 1] == '.')
        host.len--;
    rule->host = bracketed ? (struct slice){host.p + 1, host.len - 2} : host;
    rule->kind = HOST_NAME;
    if (slice_is(host, "*")) {
        rule->kind = HOST_ANY;
    } else if (ip_addr_parse(rule->host, &rule->addr) == 0) {
        rule->kind = HOST_ADDRESS;
        rule->addr = ip_addr_canonical(rule->addr);
    } else if (host.len > 2 && memcmp(host.p, "*.", 2) == 0) {
        rule->kind = HOST_BELOW;
        rule->host = (struct slice){host.p + 2, host.len - 2};
    } else if (memchr(host.p, ':', host.len) != NULL) {
        return "a host takes no port here; --http-port and --tls-port for all HTTP rules would be right";
    }
    if ((rule->kind == HOST_BELOW || rule->kind == HOST_NAME) && !rule_is_name(rule->host))
        return "not a host; a name, an IP address, * or *.example.com would be right";
    return NULL;
}

/* One HTTP rule. NULL, or what is wrong with it. */
static rule_error http_parse_rule(struct slice text, struct http_rule *rule)
{
    size_t end = 0;

    text = slice_trim(text);
    while (end < text.len && text.p[end] != ' ' && text.p[end] != '\t')
        end++;
    rule->method = (struct slice){text.p, end};
    struct slice where = slice_trim((struct slice){text.p + end, text.len - end});
    if (where.len == 0)
        return "a method and a host are needed; 'GET example.com/path' or '* *.example.com' would be right";
    if (!http_is_token(rule->method) || rule->method.len > HTTP_METHOD_MAX)
        return "not a method; GET, or * for all, would be right";
    const char *slash = memchr(where.p, '/', where.len);
    size_t host_len = slash != NULL ? (size_t)(slash - where.p) : where.len;
    rule_error error = http_parse_host((struct slice){where.p, host_len}, rule);
    if (error != NULL || slash == NULL)
        return error;
    struct slice path = {slash, where.len - host_len};
    for (size_t i = 0; i < path.len; i++)
        if (path.p[i] == '?' || path.p[i] == '#' || path.p[i] == ' ' || path.p[i] == '\t')
            return "a path ends before the query, and has no spaces; /a/* would be right";
    size_t room = 3 * path.len + 4;
    char *normal = malloc(2 * room);
    if (normal == NULL)
        return "out of memory";
    char *loose = normal + room;
    int64_t len = urlpath_normalize(path, normal, room);
    if (len < 0)
        return "not a path: a bad escape, a NUL, or dots behind an escaped slash; /a/* would be right";
    rule->path = (struct slice){normal, (size_t)len};
    rule->loose_path = (struct slice){loose, urlpath_loosen(rule->path, true, loose)};
    if (slice_is(rule->path, "/*"))
        rule->path.len = 0;
    return NULL;
}

#endif

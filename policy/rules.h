/* rules.h - rules, as they are written (README, Rules), and the policy that they make */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include "types.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/dns.h"
#include "../sys/hosts.h"
#include "../sys/http.h"
#include "../sys/ipset.h"
#include "../sys/log.h"
#include "../sys/path.h"
#include "../sys/query.h"
#include "../sys/resolve.h"
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

static void *grow(void *old, size_t *room, size_t size)
{
    *room = *room ? *room * 2 : 16;
    void *grown = reallocarray(old, *room, size);
    if (grown == NULL)
        die("cannot hold the rules: out of memory");
    return grown;
}

static void entry_add(struct entry_list *to, const struct ipset_entry *entry)
{
    if (to->n == to->room)
        to->entries = grow(to->entries, &to->room, sizeof *to->entries);
    to->entries[to->n++] = *entry;
}

static void policy_add_prefix(enum rule_list list, const struct rule *rule, struct ip_prefix prefix, uint32_t tag)
{
    static const struct port_range all = {0, UINT16_MAX};

    for (unsigned p = 0; p < PROTOCOLS; p++) {
        struct entry_list *to = &policy.building[list][p][prefix.addr.version == 6];
        const struct port_range *ports = rule->n_ports ? rule->ports : &all;

        if (!(rule->protocols & 1u << p))
            continue;
        for (size_t i = 0; i < (rule->n_ports ? rule->n_ports : 1); i++)
            entry_add(to, &(struct ipset_entry){prefix, ports[i], tag});
    }
}

/* Call `each` with every prefix that a rule's target comes to; a name's addresses aren't known here. */
static void rule_each_prefix(const struct rule *rule, void (*each)(struct ip_prefix, void *), void *argument)
{
    static const struct ip_prefix all4 = {{0, 0, 4}, 0}, all6 = {{0, 0, 6}, 0};

    switch (rule->target) {
    case TARGET_PREFIX:
        each(rule->prefix, argument);
        break;
    case TARGET_WORD: /* public, private, metadata: the ranges that make it up */
        special_expand(rule->word, all4, each, argument);
        special_expand(rule->word, all6, each, argument);
        break;
    case TARGET_ANY:
        each(all4, argument);
        each(all6, argument);
        break;
    case TARGET_NAME:
        break;
    }
}

/* What policy_add_each hands on. */
struct tagged_rule {
    enum rule_list list;
    const struct rule *rule;
    uint32_t tag;
};

static void policy_add_each(struct ip_prefix prefix, void *argument)
{
    const struct tagged_rule *of = argument;

    policy_add_prefix(of->list, of->rule, prefix, of->tag);
}

static void policy_add_name(struct slice name, uint32_t tag)
{
    uint32_t at = 0;

    while (at < policy.n_names && !hosts_name_equal(policy.names[at].name, name))
        at++;
    if (at == policy.n_names) {
        if (policy.n_names == policy.name_room)
            policy.names = grow(policy.names, &policy.name_room, sizeof *policy.names);
        policy.names[policy.n_names++] = (struct resolve_name){.name = name};
    }
    if (policy.n_named == policy.named_room)
        policy.named = grow(policy.named, &policy.named_room, sizeof *policy.named);
    policy.named[policy.n_named++] = (struct named_rule){tag, at, say_where};
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

/* unix://TARGET. NULL, or what is wrong with it. */
static rule_error policy_add_unix(enum rule_list list, struct slice target, uint32_t tag)
{
    struct unix_rule rule = {.list = list, .tag = tag};
    rule_error error = unix_rule_parse(target, &rule);

    if (error == NULL)
        error = unix_rule_find(&rule);
    if (error != NULL)
        return error;
    if (policy.n_unix_rules == policy.unix_room)
        policy.unix_rules = grow(policy.unix_rules, &policy.unix_room, sizeof *policy.unix_rules);
    policy.unix_rules[policy.n_unix_rules++] = rule;
    return NULL;
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
    char *normal = malloc(room);
    if (normal == NULL)
        return "out of memory";
    int64_t len = urlpath_normalize(path, normal, room);
    if (len < 0)
        return "not a path: a bad escape, a NUL, or dots behind an escaped slash; /a/* would be right";
    rule->path = slice_is((struct slice){normal, (size_t)len}, "/*") ? (struct slice){NULL, 0}
                                                                     : (struct slice){normal, (size_t)len};
    return NULL;
}

static void policy_add_http(enum rule_list list, struct slice text)
{
    struct http_rule rule = {.list = list, .tag = (uint32_t)policy.n_texts};
    rule_error error = http_parse_rule(text, &rule);

    if (error != NULL)
        die("%s '%.*s': %s", list_options[list], (int)text.len, text.p, error);
    if (policy.n_texts == policy.text_room)
        policy.texts = grow(policy.texts, &policy.text_room, sizeof *policy.texts);
    policy.texts[policy.n_texts++] = (struct rule_text){text, list};
    if (policy.n_http_rules == policy.http_room)
        policy.http_rules = grow(policy.http_rules, &policy.http_room, sizeof *policy.http_rules);
    policy.http_rules[policy.n_http_rules++] = rule;
    policy.any[list] = true;
    if (list == LIST_HTTP && rule.kind == HOST_NAME)
        policy_add_name(rule.host, rule.tag);
}

static void policy_add(enum rule_list list, struct slice text)
{
    static struct rule rule; /* too large for a stack, and used by one caller at a time */
    bool binds = list == LIST_BIND || list == LIST_BIND_DENY;
    struct slice target = text;
    bool local = !binds && rule_cut_unix(&target);
    rule_error error;

    if (list == LIST_HTTP || list == LIST_HTTP_DENY) {
        policy_add_http(list, text);
        return;
    }
    if (local)
        error = policy_add_unix(list, target, (uint32_t)policy.n_texts);
    else
        error = binds ? rule_parse_bind(text, &rule) : rule_parse(text, list, &rule);
    if (error != NULL)
        die("%s '%.*s': %s", list_options[list], (int)text.len, text.p, error);
    if (policy.n_texts == policy.text_room)
        policy.texts = grow(policy.texts, &policy.text_room, sizeof *policy.texts);
    uint32_t tag = (uint32_t)policy.n_texts;
    policy.texts[policy.n_texts++] = (struct rule_text){text, list};
    if (local) { /* says nothing of IP */
        policy.any[list] = policy.any[list] || list == LIST_ALLOW;
        return;
    }
    policy.any[list] = true;
    policy.names_ranges = policy.names_ranges || rule.target == TARGET_WORD;
    struct tagged_rule of = {list, &rule, tag};
    rule_each_prefix(&rule, policy_add_each, &of);
    if (rule.target == TARGET_NAME)
        policy_add_name(rule.name, tag);
}

/* The text of a file of options or rules, with a NUL behind it; it lives to exit, since options point into it. */
static struct slice read_whole(const char *option, const char *mark, const char *path)
{
    int fd CLOSE_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t used = 0, room = 0;
    char *text = NULL;

    if (fd < 0)
        die("%s '%s%s': cannot open: %s; a readable file would be right", option, mark, path, strerror(errno));
    for (ssize_t n = 1; n > 0; used += (size_t)n) {
        if (used + 1 >= room) {
            room = room ? room * 2 : 65536;
            text = realloc(text, room);
            if (text == NULL)
                die("%s '%s%s': too large: out of memory", option, mark, path);
        }
        n = read(fd, text + used, room - used - 1);
        if (n < 0)
            die("%s '%s%s': cannot read: %s; a readable file would be right", option, mark, path, strerror(errno));
    }
    text[used] = 0;
    return (struct slice){text, used};
}

/* @FILE: one rule a line, # begins a comment. */
static void policy_add_file(enum rule_list list, const char *path)
{
    struct slice rest = read_whole(list_options[list], "@", path);

    for (unsigned number = 1; rest.p != NULL; number++) {
        struct slice line = slice_split(&rest, '\n');

        say_place(path, number);
        line = slice_trim(slice_split(&line, '#'));
        if (line.len > 0)
            policy_add(list, line);
    }
    say_place(NULL, 0);
    policy.any[list] = true; /* an empty allow file allows nothing; it doesn't lift the restriction */
}

/* Is this, or an address that it carries, one that --no-private drops? */
static bool addr_is_private(struct ip_addr addr)
{
    struct ip_addr inner;

    if (special_is(WORD_PRIVATE, addr))
        return true;
    for (unsigned i = 0; ip_addr_embedded(addr, i, &inner); i++)
        if (special_is(WORD_PRIVATE, inner))
            return true;
    return false;
}

/* Drop a name's private addresses, where DNS gave them. Whether any address is left. */
static bool name_drop_private(struct resolve_name *name)
{
    size_t left = 0;

    for (size_t f = 0; f < RESOLVE_FAMILIES; f++) {
        struct query *family = &name->families[f];
        size_t kept = 0;

        for (size_t i = 0; i < family->n; i++)
            if (name->from_hosts || !addr_is_private(family->addrs[i]))
                family->addrs[kept++] = family->addrs[i];
        family->n = kept;
        left += kept;
    }
    return left > 0;
}

/* Tell which addresses a name got, people and programs. */
static void name_tell(const struct resolve_name *name)
{
    struct text line = {.len = 0}, json = {.len = 0};
    char text[DNS_NAME_MAX + 1], addr[IP_TEXT_MAX];

    snprintf(text, sizeof text, "%.*s", (int)name->name.len, name->name.p);
    log_begin(&json);
    text_add(&json, ",\"operation\":\"resolve\",\"name\":");
    text_add_json(&json, text);
    for (size_t f = 0, n = 0; f < RESOLVE_FAMILIES; f++)
        for (size_t i = 0; i < name->families[f].n; i++) {
            ip_addr_format(addr, sizeof addr, name->families[f].addrs[i]);
            text_add(&line, " %s", addr);
            text_add(&json, "%s\"%s\"", n++ == 0 ? ",\"addresses\":[" : ",", addr);
        }
    text_add(&json, "],\"from\":\"%s\"}\n", name->from_hosts ? "hosts" : "dns");
    log_write(&log_to, &json);
    if (settings.verbose)
        say("%s is%s%s", text, line.bytes, name->from_hosts ? " (not from DNS)" : "");
}

/* One of policy.names has no address that could be used: where the first rule with it stands, and why. */
static void name_say_error(size_t which, const char *error)
{
    const struct named_rule *named = policy.named;

    while (named->name != which)
        named++;
    say_place(named->place.file, named->place.line);
    say("cannot resolve '%.*s': %s", (int)policy.names[which].name.len, policy.names[which].name.p, error);
    say_place(NULL, 0);
}

#endif

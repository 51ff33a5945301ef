/* sandlock - run a command that reaches only the network addresses it was given.
 *
 * Read downward: types and limits, rules, options, traps, then one call's way: parse, decide, execute, reply; then serve
 * (the loop), confine (the child's side) and main. sys/ holds the mechanism and knows nothing of rules. */
#include "sys/addr.h"
#include "sys/base.h"
#include "sys/bpf.h"
#include "sys/ipset.h"
#include "sys/kernel.h"
#include "sys/landlock.h"
#include "sys/notify.h"
#include "sys/pin.h"
#include "sys/process.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

/* ---- types and limits ---- */

enum {
    EXIT_TIMEOUT = 124,
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
    PORT_RANGES_MAX = 256,     /* in one rule */
    KEEP_FDS_MAX = 64,
    KILL_AFTER_SECONDS = 2,    /* from --timeout's SIGTERM to SIGKILL */
    ADDRESS_MAX = 128,         /* sizeof(struct sockaddr_storage): the kernel's own limit */
    VECTOR_MAX = 1024,         /* UIO_MAXIOV, for iovec and sendmmsg's vector alike */
    RIGHTS_MAX = 253,          /* SCM_MAX_FD */
    UDP_PAYLOAD_MAX = 65535,
    PAYLOAD_MAX = 512 * 1024,  /* a unix datagram; the default buffers take less */
    STREAM_PIECE = 256 * 1024, /* of a stream's payload, held at one time */
    PENDING_MAX = 16384,
    TICK_MS = 20,
    TICK_ENTRIES = 64,
};

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOLS };

static const char *const protocol_names[PROTOCOLS] = {"tcp", "udp", "icmp"};

enum rule_list { LIST_ALLOW, LIST_DENY, LISTS };

static const char *const list_options[LISTS] = {"--net-allow", "--net-deny"};

enum verdict { VERDICT_ALLOW, VERDICT_DENY };

struct decision {
    enum verdict verdict;
    int64_t rule; /* its index in policy.texts; -1: no rule spoke */
};

/* Entries of one set while rules are read; handed to ipset_build at the end. */
struct entry_list {
    struct ipset_entry *entries;
    size_t n, room;
};

struct rule_text {
    struct slice text; /* points into argv or a rule file, which live to exit */
    enum rule_list list;
};

struct policy {
    struct entry_list building[LISTS][PROTOCOLS][2];
    struct ipset sets[LISTS][PROTOCOLS][2]; /* [..][IPv4, IPv6] */
    struct rule_text *texts;
    size_t n_texts, text_room;
    bool any[LISTS];            /* was a rule of this list given? */
    bool open[PROTOCOLS];       /* may sockets of this protocol exist? */
    bool traps_sends;
    int deny_errno;
};

static struct policy policy = {.deny_errno = ECONNREFUSED};

/* ---- rules ---- */

/* One rule as it is written: [scheme://]target[:ports]. */
struct rule {
    unsigned protocols; /* bits 1 << enum protocol */
    enum rule_target { TARGET_ANY, TARGET_PREFIX, TARGET_NAME } target;
    struct ip_prefix prefix;
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
    return "unknown scheme; one of tcp://, udp://, icmp:// and any:// would be right";
}

static rule_error rule_parse_port(struct slice text, struct port_range *range)
{
    uint64_t first, last;
    struct slice rest = slice_trim(text);
    struct slice head = slice_trim(slice_split(&rest, '-'));

    if (parse_uint(head, UINT16_MAX, &first) < 0)
        return "invalid port; a number from 1 to 65535, a range like 8000-8010, or * would be right";
    last = first;
    if (rest.p != NULL && parse_uint(slice_trim(rest), UINT16_MAX, &last) < 0)
        return "invalid port range; two numbers from 1 to 65535 like 8000-8010 would be right";
    if (first == 0 || last == 0)
        return "port 0 can't be connected to; a number from 1 to 65535, or * for all, would be right";
    if (last < first)
        return "invalid port range: it ends before it begins; the lower port comes first";
    *range = (struct port_range){(uint16_t)first, (uint16_t)last};
    return NULL;
}

static rule_error rule_parse_ports(struct slice text, struct rule *rule)
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
        rule_error error = rule_parse_port(port, &rule->ports[rule->n_ports]);
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

/* A host name as DNS and RFC 1123 have it: labels of letters, digits, - and _, each 1 to 63, together at most 253; the
 * last is not a number, so that a mistyped address is no name. */
static bool rule_is_name(struct slice text)
{
    bool numeric = true;

    if (text.len > 0 && text.p[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > 253)
        return false;
    while (text.p != NULL) {
        struct slice label = slice_split(&text, '.');

        if (label.len == 0 || label.len > 63 || label.p[0] == '-' || label.p[label.len - 1] == '-')
            return false;
        numeric = true;
        for (size_t i = 0; i < label.len; i++) {
            char c = label.p[i];
            bool digit = c >= '0' && c <= '9';

            if (!digit && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-' && c != '_')
                return false;
            numeric = numeric && digit;
        }
    }
    return !numeric;
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
    if (list == LIST_DENY)
        return "not an IP address or CIDR, and host names can't be denied; 10.0.0.0/8:443 would be right";
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
    error = rule_parse_ports(ports, rule);
    if (rule->n_ports > 0)
        rule->protocols &= ~(1u << PROTOCOL_ICMP); /* any:// with a port is TCP and UDP */
    return error;
}

static void *grow(void *old, size_t *room, size_t size)
{
    *room = *room ? *room * 2 : 16;
    void *grown = reallocarray(old, *room, size);
    if (grown == NULL)
        die("cannot hold the rules: out of memory");
    return grown;
}

static void policy_add_prefix(enum rule_list list, const struct rule *rule, struct ip_prefix prefix, uint32_t tag)
{
    static const struct port_range all = {0, UINT16_MAX};

    for (unsigned p = 0; p < PROTOCOLS; p++) {
        struct entry_list *to = &policy.building[list][p][prefix.addr.version == 6];
        const struct port_range *ports = rule->n_ports ? rule->ports : &all;

        if (!(rule->protocols & 1u << p))
            continue;
        for (size_t i = 0; i < (rule->n_ports ? rule->n_ports : 1); i++) {
            if (to->n == to->room)
                to->entries = grow(to->entries, &to->room, sizeof *to->entries);
            to->entries[to->n++] = (struct ipset_entry){prefix, ports[i], tag};
        }
    }
}

static void policy_add(enum rule_list list, struct slice text)
{
    static struct rule rule; /* too large for a stack, and used by one caller at a time */
    const char *option = list_options[list];
    rule_error error = rule_parse(text, list, &rule);

    if (error != NULL)
        die("%s '%.*s': %s", option, (int)text.len, text.p, error);
    if (rule.target == TARGET_NAME)
        die("%s '%.*s': host names can't be resolved yet; its IP address would be right", option, (int)text.len, text.p);
    if (policy.n_texts == policy.text_room)
        policy.texts = grow(policy.texts, &policy.text_room, sizeof *policy.texts);
    uint32_t tag = (uint32_t)policy.n_texts;
    policy.texts[policy.n_texts++] = (struct rule_text){text, list};
    policy.any[list] = true;
    if (rule.target == TARGET_PREFIX) {
        policy_add_prefix(list, &rule, rule.prefix, tag);
        return;
    }
    policy_add_prefix(list, &rule, (struct ip_prefix){{0, 0, 4}, 0}, tag);
    policy_add_prefix(list, &rule, (struct ip_prefix){{0, 0, 6}, 0}, tag);
}

/* @FILE: one rule a line, # begins a comment. The text stays, rules point into it. */
static void policy_add_file(enum rule_list list, const char *path)
{
    int fd CLOSE_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t used = 0, room = 0;
    char *text = NULL;

    if (fd < 0)
        die("%s '@%s': cannot open: %s; a readable file of rules would be right", list_options[list], path, strerror(errno));
    for (ssize_t n = 1; n > 0; used += (size_t)n) {
        if (used == room) {
            room = room ? room * 2 : 65536;
            text = realloc(text, room);
            if (text == NULL)
                die("%s '@%s': too large: out of memory", list_options[list], path);
        }
        n = read(fd, text + used, room - used);
        if (n < 0)
            die("%s '@%s': cannot read: %s", list_options[list], path, strerror(errno));
    }
    struct slice rest = {text, used};
    while (rest.p != NULL) {
        struct slice line = slice_split(&rest, '\n');
        line = slice_trim(slice_split(&line, '#'));
        if (line.len > 0)
            policy_add(list, line);
    }
    policy.any[list] = true; /* an empty allow file allows nothing; it doesn't lift the restriction */
}

/* After the last rule: build the sets, and what may exist under them. */
static void policy_finish(void)
{
    for (unsigned list = 0; list < LISTS; list++)
        for (unsigned p = 0; p < PROTOCOLS; p++)
            for (unsigned v = 0; v < 2; v++) {
                struct entry_list *from = &policy.building[list][p][v];

                if (list == LIST_ALLOW && from->n > 0)
                    policy.open[p] = true;
                if (ipset_build(&policy.sets[list][p][v], from->entries, from->n) < 0)
                    die("cannot hold the rules: out of memory");
                free(from->entries);
                *from = (struct entry_list){NULL, 0, 0};
            }
    if (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY])
        for (unsigned p = 0; p < PROTOCOLS; p++)
            policy.open[p] = true;
    policy.traps_sends = policy.open[PROTOCOL_UDP] || policy.open[PROTOCOL_ICMP];
}

/* ---- options ---- */

struct settings {
    unsigned timeout; /* seconds; 0: none */
    bool wait_all, strict, verbose;
    int keep_fds[KEEP_FDS_MAX];
    size_t n_keep_fds;
};

static struct settings settings;

static void set_rule(enum rule_list list, const char *value)
{
    if (value[0] == '@')
        policy_add_file(list, value + 1);
    else
        policy_add(list, slice_of(value));
}

static void set_allow(const char *value)
{
    set_rule(LIST_ALLOW, value);
}

static void set_deny(const char *value)
{
    set_rule(LIST_DENY, value);
}

static void set_deny_errno(const char *value)
{
    static const struct {
        const char *name;
        int number;
    } names[] = {
        {"ECONNREFUSED", ECONNREFUSED}, {"EACCES", EACCES},           {"EPERM", EPERM},
        {"ENETUNREACH", ENETUNREACH},   {"EHOSTUNREACH", EHOSTUNREACH}, {"ETIMEDOUT", ETIMEDOUT},
        {"ENETDOWN", ENETDOWN},         {"EADDRNOTAVAIL", EADDRNOTAVAIL}, {"ECONNRESET", ECONNRESET},
        {"ECONNABORTED", ECONNABORTED}, {"EHOSTDOWN", EHOSTDOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(value, names[i].name) == 0) {
            policy.deny_errno = names[i].number;
            return;
        }
    die("--deny-errno '%s': unknown error; ECONNREFUSED, EACCES, EPERM, ENETUNREACH, EHOSTUNREACH, ETIMEDOUT, ENETDOWN, "
        "EADDRNOTAVAIL, ECONNRESET, ECONNABORTED or EHOSTDOWN would be right", value);
}

static void set_timeout(const char *value)
{
    struct slice number = slice_of(value);
    uint64_t seconds, unit = 1;

    if (number.len > 1)
        switch (number.p[number.len - 1]) {
        case 'h':
            unit *= 60;
            /* fall through */
        case 'm':
            unit *= 60;
            /* fall through */
        case 's':
            number.len--;
        }
    if (parse_uint(number, INT32_MAX / 1000 / unit, &seconds) < 0 || seconds == 0)
        die("--timeout '%s': not a duration; 10s, 5m, 2h or a number of seconds (at most 596h) would be right", value);
    settings.timeout = (unsigned)(seconds * unit);
}

static void set_keep_fd(const char *value)
{
    uint64_t fd;

    if (parse_uint(slice_of(value), INT32_MAX, &fd) < 0)
        die("--keep-fd '%s': not a descriptor; the number of an open one, like 3, would be right", value);
    if (fcntl((int)fd, F_GETFD) < 0)
        die("--keep-fd '%s': not open; the number of an open descriptor would be right", value);
    if (settings.n_keep_fds == KEEP_FDS_MAX)
        die("--keep-fd '%s': one too many; at most %d would be right", value, KEEP_FDS_MAX);
    settings.keep_fds[settings.n_keep_fds++] = (int)fd;
}

static void set_wait_all(const char *value)
{
    (void)value;
    settings.wait_all = true;
}

static void set_strict(const char *value)
{
    (void)value;
    settings.strict = true;
}

static void set_verbose(const char *value)
{
    (void)value;
    settings.verbose = true;
}

static const struct option {
    const char *name;
    const char *argument; /* NULL: takes none */
    void (*set)(const char *value);
    const char *help;
} options[] = {
    {"--net-allow", "RULE", set_allow, "permit a destination: [tcp://|udp://|icmp://|any://]TARGET[:PORTS], or @FILE"},
    {"--net-deny", "RULE", set_deny, "refuse a destination; wins over --net-allow. Alone: all others are permitted"},
    {"--deny-errno", "NAME", set_deny_errno, "what a refused destination answers (ECONNREFUSED)"},
    {"--timeout", "TIME", set_timeout, "end the command after 10s, 5m, 2h: TERM, 2 s later KILL; exit 124"},
    {"--wait-all", NULL, set_wait_all, "wait for what the command leaves behind instead of killing it"},
    {"--keep-fd", "N", set_keep_fd, "hand descriptor N down; all others above 2 are closed"},
    {"--strict", NULL, set_strict, "refuse to run where the kernel lacks a protection (see check)"},
    {"-v", NULL, set_verbose, "write each denial to stderr, with the rule that would allow it"},
};

static void usage(int to)
{
    dprintf(to, "usage: sandlock run [OPTION...] [--] CMD [ARG...]     run CMD; it reaches only what the rules name\n"
                "       sandlock explain [OPTION...] -- DEST...       what the rules say of each destination\n"
                "       sandlock check                                what this kernel offers, what is lost without\n"
                "       sandlock --help | --version\n\n"
                "TARGET is an IPv4 or [IPv6] address, a CIDR prefix, or * (or nothing) for all. PORTS are 443, 80,443,\n"
                "8000-8010 or *; without them, all. No scheme means tcp://. No rule at all means no network.\n\noptions:\n");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char name[32];

        snprintf(name, sizeof name, "%s %s", options[i].name, options[i].argument ? options[i].argument : "");
        dprintf(to, "  %-18s %s\n", name, options[i].help);
    }
    dprintf(to, "\nexit: the command's status, 128+n when signal n ended it, 124 timeout, 125 sandlock's own error,\n"
                "126 not executable, 127 not found. explain: 1 if any is denied.\n\n"
                "  sandlock run -v --net-allow 10.0.0.1:443 -- curl https://10.0.0.1/\n");
}

/* Options up to the first other word or "--". Returns the index of what follows. */
static int options_parse(int argc, char **argv, int at)
{
    for (; at < argc && argv[at][0] == '-' && argv[at][1] != 0; at++) {
        const struct option *option = NULL;
        const char *equals = strchr(argv[at], '=');
        size_t len = equals ? (size_t)(equals - argv[at]) : strlen(argv[at]);

        if (strcmp(argv[at], "--") == 0)
            return at + 1;
        for (size_t i = 0; i < ARRAY_LEN(options) && option == NULL; i++)
            if (slice_is((struct slice){argv[at], len}, options[i].name))
                option = &options[i];
        if (option == NULL)
            die("%s: unknown option; sandlock --help lists them", argv[at]);
        if (option->argument == NULL && equals != NULL)
            die("%s: takes no value; %s alone would be right", argv[at], option->name);
        if (option->argument == NULL)
            option->set(NULL);
        else if (equals != NULL)
            option->set(equals + 1);
        else if (at + 1 < argc)
            option->set(argv[++at]);
        else
            die("%s: needs a value; %s %s would be right", option->name, option->name, option->argument);
    }
    return at;
}

/* ---- traps ---- */

/* What a trapped call is; its row below says which numbers mean it. CALL_NONE: decided in the filter. */
enum call { CALL_NONE, CALL_CONNECT, CALL_SENDTO, CALL_SENDMSG, CALL_SENDMMSG, CALL_SOCKET, CALL_SETSOCKOPT };

static const char *const call_names[] = {"", "connect", "sendto", "sendmsg", "sendmmsg", "socket", "setsockopt"};

/* When a row is part of the filter. */
enum when { ALWAYS, WHEN_UDP, WHEN_ICMP, WHEN_SENDS, WHEN_LEADERS_TABLE };

#define FAILS(e) (SECCOMP_RET_ERRNO | (e))
#define IS(arg, value) {BPF_EQUAL, arg, UINT32_MAX, value}
#define IS_IP(arg) {BPF_EQUAL, arg, ~8u, AF_INET} /* AF_INET or AF_INET6: they differ in that bit */
#define IS_TYPE(arg, value) {BPF_EQUAL, arg, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), value}
#define IS_DGRAM_OR_RAW(arg) {BPF_EQUAL, arg, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK | 1), SOCK_DGRAM}
#define IS_ZERO_OR_ONE(arg) {BPF_EQUAL, arg, ~1u, 0}
#define HAS_BIT(arg, bit) {BPF_ANY_BIT, arg, bit, 0}
#define IS_GIVEN(arg) {BPF_NONZERO, arg, 0, 0}
#define ALLOWED SECCOMP_RET_ALLOW
#define ASKED SECCOMP_RET_USER_NOTIF

enum { TCP_REPAIR_OPTION = 19, USERFAULTFD_NEW = 0xAA00, SPLIT_TABLE = 0x10400, CLOSE_RANGE_SPLIT = 2 };

/* The filter, its traps and their meaning. For each call the first row that matches decides. */
static const struct trap {
    struct syscall_number number;
    enum call call;
    enum when when;
    uint32_t result;
    struct bpf_condition conditions[BPF_CONDITIONS];
} traps[] = {
    {NR_connect, CALL_CONNECT, ALWAYS, ASKED, {{0}}},

    {NR_sendto, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), {HAS_BIT(3, KERNEL_MSG_FASTOPEN)}},
    {NR_sendto, CALL_SENDTO, WHEN_SENDS, ASKED, {IS_GIVEN(4)}},
    {NR_sendmsg, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), {HAS_BIT(2, KERNEL_MSG_FASTOPEN)}},
    {NR_sendmsg, CALL_SENDMSG, WHEN_SENDS, ASKED, {{0}}},
    {NR_sendmmsg, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), {HAS_BIT(3, KERNEL_MSG_FASTOPEN)}},
    {NR_sendmmsg, CALL_SENDMMSG, WHEN_SENDS, ASKED, {{0}}},

    {NR_socket, CALL_NONE, ALWAYS, ALLOWED, {IS_IP(0), IS_TYPE(1, SOCK_STREAM), IS(2, 0)}},
    {NR_socket, CALL_NONE, ALWAYS, ALLOWED, {IS_IP(0), IS_TYPE(1, SOCK_STREAM), IS(2, IPPROTO_TCP)}},
    {NR_socket, CALL_NONE, WHEN_UDP, ALLOWED, {IS_IP(0), IS_TYPE(1, SOCK_DGRAM), IS(2, 0)}},
    {NR_socket, CALL_NONE, WHEN_UDP, ALLOWED, {IS_IP(0), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_UDP)}},
    {NR_socket, CALL_NONE, WHEN_ICMP, ALLOWED, {IS(0, AF_INET), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_ICMP)}},
    {NR_socket, CALL_NONE, WHEN_ICMP, ALLOWED, {IS(0, AF_INET6), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_ICMPV6)}},
    {NR_socket, CALL_NONE, ALWAYS, ALLOWED, {IS(0, AF_UNIX), IS_TYPE(1, SOCK_STREAM), IS_ZERO_OR_ONE(2)}},
    {NR_socket, CALL_NONE, ALWAYS, ALLOWED, {IS(0, AF_UNIX), IS_TYPE(1, SOCK_SEQPACKET), IS_ZERO_OR_ONE(2)}},
    {NR_socket, CALL_NONE, WHEN_SENDS, ALLOWED, {IS(0, AF_UNIX), IS_DGRAM_OR_RAW(1), IS_ZERO_OR_ONE(2)}},
    {NR_socket, CALL_NONE, ALWAYS, ALLOWED, {IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 0 /* ROUTE */)}},
    {NR_socket, CALL_NONE, ALWAYS, ALLOWED, {IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 4 /* SOCK_DIAG */)}},
    {NR_socket, CALL_NONE, ALWAYS, ALLOWED, {IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 15 /* KOBJECT_UEVENT */)}},
    {NR_socket, CALL_SOCKET, ALWAYS, ASKED, {{0}}},

    {NR_socketpair, CALL_NONE, ALWAYS, ALLOWED, {IS(0, AF_UNIX), IS_TYPE(1, SOCK_STREAM), IS_ZERO_OR_ONE(2)}},
    {NR_socketpair, CALL_NONE, ALWAYS, ALLOWED, {IS(0, AF_UNIX), IS_TYPE(1, SOCK_SEQPACKET), IS_ZERO_OR_ONE(2)}},
    {NR_socketpair, CALL_NONE, WHEN_SENDS, ALLOWED, {IS(0, AF_UNIX), IS_DGRAM_OR_RAW(1), IS_ZERO_OR_ONE(2)}},
    {NR_socketpair, CALL_SOCKET, ALWAYS, ASKED, {{0}}},

    /* What makes a packet go elsewhere than its checked destination, or lets a send connect. */
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, IPV6_RTHDR)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, 5 /* IPV6_2292RTHDR */)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, 6 /* IPV6_2292PKTOPTIONS */)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, 3 /* IPV6_2292HOPOPTS */)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, 4 /* IPV6_2292DSTOPTS */)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, IPV6_RTHDRDSTOPTS)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, IPV6_HOPOPTS)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, IPV6_DSTOPTS)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, 32 /* IPV6_FLOWLABEL_MGR */)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IPV6), IS(2, IPV6_XFRM_POLICY)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IP), IS(2, IP_OPTIONS)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_IP), IS(2, IP_XFRM_POLICY)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, IPPROTO_TCP), IS(2, TCP_REPAIR_OPTION)}},
    {NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, {IS(1, SOL_SOCKET), IS(2, SO_LINGER)}},
    {NR_setsockopt, CALL_SETSOCKOPT, WHEN_SENDS, ASKED, {IS(1, SOL_SOCKET), IS(2, KERNEL_SO_ZEROCOPY)}},

    /* Ways around the filter, or around whose descriptors and memory we read. */
    {NR_io_uring_setup, CALL_NONE, ALWAYS, FAILS(ENOSYS), {{0}}},
    {NR_io_uring_enter, CALL_NONE, ALWAYS, FAILS(ENOSYS), {{0}}},
    {NR_io_uring_register, CALL_NONE, ALWAYS, FAILS(ENOSYS), {{0}}},
    {NR_userfaultfd, CALL_NONE, ALWAYS, FAILS(EPERM), {{0}}},
    {NR_ioctl, CALL_NONE, ALWAYS, FAILS(EPERM), {IS(1, USERFAULTFD_NEW)}},
    {NR_clone3, CALL_NONE, ALWAYS, FAILS(ENOSYS), {{0}}},
    {NR_clone, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 0, SPLIT_TABLE, CLONE_FILES}}},
    {NR_clone, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), {{BPF_EQUAL, 0, SPLIT_TABLE, CLONE_THREAD}}},
    {NR_unshare, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), {HAS_BIT(0, CLONE_FILES)}},
    {NR_close_range, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), {HAS_BIT(2, CLOSE_RANGE_SPLIT)}},
};

static int number_on(struct syscall_number number, enum machine machine)
{
    switch (machine) {
    case MACHINE_X86_64:
        return number.x86_64;
    case MACHINE_AARCH64:
        return number.aarch64;
    }
    return -1;
}

static bool trap_applies(enum when when, bool leaders_table)
{
    switch (when) {
    case ALWAYS:
        return true;
    case WHEN_UDP:
        return policy.open[PROTOCOL_UDP];
    case WHEN_ICMP:
        return policy.open[PROTOCOL_ICMP];
    case WHEN_SENDS:
        return policy.traps_sends;
    case WHEN_LEADERS_TABLE:
        return leaders_table;
    }
    return true;
}

/* The filter of this policy. leaders_table: the kernel can only read a leader's descriptors (no PIDFD_THREAD). */
static int traps_assemble(struct bpf_program *program, enum machine machine, bool leaders_table)
{
    struct bpf_row rows[ARRAY_LEN(traps)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(traps); i++) {
        if (!trap_applies(traps[i].when, leaders_table))
            continue;
        rows[n].number = number_on(traps[i].number, machine);
        rows[n].result = traps[i].result;
        memcpy(rows[n].conditions, traps[i].conditions, sizeof rows[n].conditions);
        n++;
    }
    return bpf_assemble(program, machine, rows, n);
}

static enum call trap_call(int number)
{
    for (size_t i = 0; i < ARRAY_LEN(traps); i++)
        if (traps[i].call != CALL_NONE && number_on(traps[i].number, MACHINE_OURS) == number)
            return traps[i].call;
    return CALL_NONE;
}


/* sandlock - run a command that reaches only the network addresses it was given.
 *
 * Read downward: types and limits, rules, options, traps, then one call's way: parse, decide, execute, reply; then
 * serve (the loop), confine (the child's side) and main. sys/ holds the mechanism and knows nothing of rules. */
#define SANDLOCK_VERSION "0.1"
#define INIT_POLICY "/etc/sandlock.policy" /* of a first process without arguments */


#include "sys/addr.h"
#include "sys/asker.h"
#include "sys/base.h"
#include "sys/bpf.h"
#include "sys/caps.h"
#include "sys/childpath.h"
#include "sys/clock.h"
#include "sys/closer.h"
#include "sys/control.h"
#include "sys/controlsock.h"
#include "sys/coprocess.h"
#include "sys/creds.h"
#include "sys/features.h"
#include "sys/filerules.h"
#include "sys/helper.h"
#include "sys/hold.h"
#include "sys/init.h"
#include "sys/ipbox.h"
#include "sys/ipset.h"
#include "sys/kernel.h"
#include "sys/landlock.h"
#include "sys/lineage.h"
#include "sys/liveset.h"
#include "sys/log.h"
#include "sys/lookups.h"
#include "sys/lostreply.h"
#include "sys/membership.h"
#include "sys/message.h"
#include "sys/mounts.h"
#include "sys/notify.h"
#include "sys/origins.h"
#include "sys/path.h"
#include "sys/pin.h"
#include "sys/process.h"
#include "sys/proxy.h"
#include "sys/remap.h"
#include "sys/resolve.h"
#include "sys/special.h"
#include "sys/syscalls.h"
#include "sys/tally.h"
#include "sys/unixtarget.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <limits.h>
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
    DENIED_CALLS_MAX = 64,
    ENV_MAX = 256,
    COMMAND_WORDS_MAX = 256,   /* in a policy file */
    HARMLESS_MAX = 16,
    KNOB_RIGHTS = LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE,
    STAND_INS_MAX = 64,
    LATER = -KERNEL_ERESTARTSYS, /* ours alone: no errno of a caller's */
    HELD = LATER - 1,          /* nor this */
    ASK_WORDS_MAX = 64,
    ASK_SECONDS = 60,
    ASKS_MAX = 16,             /* about one call, which may lead elsewhere each time it is looked at */
    ASK_PATIENCE_MS = 1000,    /* for the helper to end by itself */
    REMEMBERED_MAX = 4096,     /* answers for the rest of the run */
    SEEN_NAMES_MAX = 1024,     /* that the command looks up */
    SEEN_ADDRS_MAX = 8192,
    SEEN_WAIT_MS = 1000,       /* of a question, for the name of an address */
    SEEN_SENDS_MAX = 512,      /* bytes of a write that are looked at: a query over UDP is no longer */
    LEARNED_MAX = 16384,
    LEARNED_COMMANDS = 256,
    LEARNED_PROCESSES = 256,
    LEARN_WAIT_MS = 15000,     /* at the end, for names that are being looked up */
    LEARN_COLUMN = 56,         /* where comments begin */
    DNS_PORT = 53,
    DNS_TYPE_PTR = 12,         /* what /etc/hosts answers as well; the others are only hints */
    DNS_TYPE_SVCB = 64,
    DNS_TYPE_HTTPS = 65,
    KILL_AFTER_SECONDS = 2,    /* from --timeout's SIGTERM to SIGKILL */
    BIND_TRIES = 8,            /* at ports that the kernel picked */
    ROUNDS_MAX = 4,            /* of one send, before others have their turn */
    CALLS_MAX = 512,           /* above every trapped call's number */
    EVENTS_AT_ONCE = 16,
    CHILDREN_AT_ONCE = 4096,
    OUR_DESCRIPTORS = 20000,   /* PENDING_MAX and some */
    CHILD_STACK = 65536,
    PENDING_MAX = 16384,
    EVENT_LISTENER = PENDING_MAX, /* epoll tags; lower ones are places in pending */
    EVENT_SIGNALS,
    EVENT_ASKER,
    EVENT_PROXY,
    EVENT_LOOKUPS,
    EVENT_CONTROL,
    CLIENTS_MAX = 32,
    EVENT_CLIENT, /* and the following: one for each */
    EVENT_DIAL = EVENT_CLIENT + CLIENTS_MAX, /* and the following: a place in dials */
    DIALS_MAX = 4096,
    HTTP_PORTS_MAX = 32,
    TICK_MS = 20,
    SWEEP_MS = 1000,     /* of sockets that we hold and nobody else does */
    TICK_ENTRIES = 64,
    TICK_BUDGET_MS = 2,  /* of one tick, before calls have their turn */
    PATIENCE_MAX = 1000,
};

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOLS };

static const char *const protocol_names[PROTOCOLS] = {"tcp", "udp", "icmp"};

enum rule_list { LIST_ALLOW, LIST_DENY, LIST_BIND, LIST_BIND_DENY, LIST_HTTP, LIST_HTTP_DENY, LISTS };

static const char *list_options[LISTS] = {"--net-allow",     "--net-deny",   "--net-allow-bind",
                                                "--net-deny-bind", "--http-allow", "--http-deny"};

enum verdict { VERDICT_ALLOW, VERDICT_DENY, VERDICT_REDIRECT /* allowed, to the proxy */, VERDICT_ASK };

enum { RULE_NONE = -1, RULE_ASKED = -2, RULE_LEARNED = -3 };

struct decision {
    enum verdict verdict;
    int error;    /* what a refused call answers */
    int64_t rule; /* its index in policy.texts; RULE_NONE: no rule spoke; RULE_ASKED: who was asked did;
                   * RULE_LEARNED: it is to become one */
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

/* A rule for a host name: its addresses join the policy when they are known. */
struct named_rule {
    uint32_t tag;  /* of the rule */
    uint32_t name; /* which of policy.names */
    struct place place;
};

/* A unix socket outside, or several. */
struct unix_rule {
    enum rule_list list;
    uint32_t tag;
    enum { UNIX_ANY, UNIX_ABSTRACT, UNIX_PATH, UNIX_BELOW } kind;
    char *text;    /* the name, or the path without symbolic links as they were at start; lives to exit */
    char *written; /* the path as it is written; lives to exit */
    dev_t device;  /* of UNIX_PATH's file at start; */
    ino_t inode;   /* 0: there was none */
};

/* METHOD HOST[/PATH] */
struct http_rule {
    enum rule_list list;
    uint32_t tag;
    struct slice method; /* "*": any */
    enum { HOST_ANY, HOST_BELOW, HOST_NAME, HOST_ADDRESS } kind;
    struct slice host;   /* of HOST_BELOW: without the "*." */
    struct ip_addr addr; /* of HOST_ADDRESS */
    struct slice path;   /* a pattern in normal form, which lives to exit; empty: any */
};

/* The ports that HTTP rules are about. */
struct http_ports {
    struct port_range ranges[HTTP_PORTS_MAX];
    size_t n;
    bool given; /* by an option */
};

struct policy {
    struct entry_list building[LISTS][PROTOCOLS][2];
    struct ipset sets[LISTS][PROTOCOLS][2]; /* [..][IPv4, IPv6] */
    struct rule_text *texts;
    size_t n_texts, text_room;
    struct named_rule *named;
    size_t n_named, named_room;
    struct unix_rule *unix_rules;
    size_t n_unix_rules, unix_room;
    struct http_rule *http_rules;
    size_t n_http_rules, http_room;
    struct http_ports http_ports[2]; /* by enum proxy_protocol */
    bool http_host_only;             /* on TLS ports a rule's host counts, whatever else it says */
    bool http_any_host;              /* a rule has a wildcard for a host */
    struct resolve_name *names; /* each once, however many rules use it */
    size_t n_names, name_room;
    struct resolvconf resolvconf;
    const char *hosts;          /* --hosts; NULL: /etc/hosts */
    bool no_private;
    bool any[LISTS];            /* was a rule of this list given? */
    bool names_ranges;          /* does one say public, private or metadata? */
    bool open[PROTOCOLS];       /* may sockets of this protocol exist? */
    bool traps_sends;
    enum { UNDECIDED_REFUSED, UNDECIDED_ASKED, UNDECIDED_LEARNED } undecided; /* what becomes of what no rule decides */
    int deny_errno; /* 0: ECONNREFUSED */
};

static struct policy policy;

/* What we keep of our own: looking into processes of other users, signalling them, acting with their rights. Beyond
 * that the command's own are there to be taken when a call on its behalf needs them, never in force otherwise. */
#define OUR_CAPS (CAPS_BIT(CAP_SYS_PTRACE) | CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_SETUID) | CAPS_BIT(CAP_SETGID))

/* What programs that run as root ordinarily need. */
#define DEFAULT_CAPS                                                                                                   \
    (CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_FOWNER) | CAPS_BIT(CAP_FSETID) |                  \
     CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_SETUID) | CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETPCAP) |                        \
     CAPS_BIT(CAP_SETFCAP) |                                                                                           \
     CAPS_BIT(CAP_NET_BIND_SERVICE) | CAPS_BIT(CAP_AUDIT_WRITE) | CAPS_BIT(CAP_SYS_CHROOT))

struct settings {
    unsigned timeout; /* seconds; 0: none */
    uint32_t allowed_groups; /* 1 << enum group */
    enum syscall_number denied_calls[DENIED_CALLS_MAX];
    size_t n_denied_calls;
    uint64_t kept_caps; /* beyond DEFAULT_CAPS */
    struct file_rules file_rules;
    bool no_getfd;        /* sockets are made by us and handed in (pintable.h) */
    bool unprivileged;    /* we have no CAP_SYS_PTRACE */
    bool unscoped;        /* Landlock doesn't hold signals back: we do */
    bool restricts_files; /* -r or -w was given: nothing else is reached */
    bool closes_knobs;    /* a root command can't write in /proc, /sys and /dev */
    const char *env[ENV_MAX]; /* NAME=VALUE to set, NAME to keep with --clean-env */
    size_t n_env;
    bool clean_env;
    bool no_hosts, wait_all, strict, verbose, quiet, log_allowed, allow_steering, port_remap;
    const char *cwd, *chroot;
    bool hosts_mount;
    char *command[COMMAND_WORDS_MAX + 1]; /* a policy file's; words live to exit */
    const char *ask;      /* --ask; NULL: nobody */
    unsigned ask_timeout; /* seconds; 0: ASK_SECONDS */
    struct given_option *given; /* all options, in order */
    size_t n_given, given_room;
    const char *name, *control; /* --name (NULL: none), --control (NULL: where it is by default) */
    bool live;
    const char *output;   /* learn's -o; NULL: none */
    bool resolver_given;
    int keep_fds[KEEP_FDS_MAX];
    size_t n_keep_fds;
};

static struct log_file log_to = {.fd = -1};

static struct settings settings;

/* ---- rules ---- */

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

/* ---- HTTP rules: the destinations that they open ---- */

/* Does this rule speak of TLS connections, of which only the name can be known? */
static bool http_rule_covers_tls(const struct http_rule *rule)
{
    return rule->path.len == 0 || policy.http_host_only;
}

/* The ports that the HTTP rule with this tag opens, as an ordinary rule has them. */
static void http_rule_opens(uint32_t tag, struct rule *opens)
{
    const struct http_rule *rule = policy.http_rules;

    while (rule->tag != tag)
        rule++;
    opens->protocols = 1 << PROTOCOL_TCP;
    opens->n_ports = 0;
    for (unsigned p = PROXY_HTTP; p <= (http_rule_covers_tls(rule) ? PROXY_TLS : PROXY_HTTP); p++)
        for (size_t i = 0; i < policy.http_ports[p].n; i++)
            opens->ports[opens->n_ports++] = policy.http_ports[p].ranges[i];
}

/* Does a request on this port have to pass the HTTP rules? Then *protocol is how they are read. */
static bool http_governs(uint16_t port, enum proxy_protocol *protocol)
{
    for (unsigned p = PROXY_HTTP; p <= PROXY_TLS; p++)
        for (size_t i = 0; i < policy.http_ports[p].n; i++)
            if (port >= policy.http_ports[p].ranges[i].first && port <= policy.http_ports[p].ranges[i].last) {
                *protocol = (enum proxy_protocol)p;
                return policy.n_http_rules > 0 || policy.any[LIST_HTTP];
            }
    return false;
}

/* A rule that says more than TLS shows is an error, unless the user has said what is to become of it there. */
static void http_check_tls(const struct http_rule *rule)
{
    const struct rule_text *text = &policy.texts[rule->tag];
    unsigned port = policy.http_ports[PROXY_TLS].ranges[0].first;

    if (rule->path.len > 0 && !policy.http_host_only &&
        (policy.http_ports[PROXY_TLS].given || !policy.http_ports[PROXY_HTTP].given))
        die("%s '%.*s': on TLS ports (%u) no path can be known; the host alone, --http-tls-host-only to have the host "
            "alone decide there, or --http-port without --tls-port to have this rule for HTTP alone would be right",
            list_options[rule->list], (int)text->text.len, text->text.p, port);
    if (!slice_is(rule->method, "*") && http_rule_covers_tls(rule) && !settings.quiet)
        say("%s '%.*s': on TLS ports (%u) no method can be known: the host alone decides there",
            list_options[rule->list], (int)text->text.len, text->text.p, port);
}

/* After the last option: what HTTP rules open by themselves. Names are opened when they are resolved. */
static void policy_open_http(void)
{
    static const uint16_t usual[] = {[PROXY_HTTP] = 80, [PROXY_TLS] = 443};
    static struct rule opens;
    enum proxy_protocol protocol;

    for (unsigned p = PROXY_HTTP; p <= PROXY_TLS; p++)
        if (!policy.http_ports[p].given)
            policy.http_ports[p] = (struct http_ports){.ranges = {{usual[p], usual[p]}}, .n = 1};
    for (size_t i = 0; i < policy.http_ports[PROXY_TLS].n && policy.n_http_rules > 0; i++)
        for (unsigned port = policy.http_ports[PROXY_TLS].ranges[i].first;
             port <= policy.http_ports[PROXY_TLS].ranges[i].last; port++)
            if (http_governs((uint16_t)port, &protocol) && protocol == PROXY_HTTP)
                die("--tls-port %u: --http-port has it, too; different ports would be right", port);
    for (size_t i = 0; i < policy.n_http_rules; i++) {
        const struct http_rule *rule = &policy.http_rules[i];

        http_check_tls(rule);
        if (rule->list == LIST_HTTP_DENY)
            continue;
        http_rule_opens(rule->tag, &opens);
        if (rule->kind == HOST_ADDRESS)
            policy_add_prefix(LIST_ALLOW, &opens, ip_prefix_of(rule->addr), rule->tag);
        if (rule->kind == HOST_ANY || rule->kind == HOST_BELOW) {
            policy.http_any_host = true;
            policy_add_prefix(LIST_ALLOW, &opens, (struct ip_prefix){{0, 0, 4}, 0}, rule->tag);
            policy_add_prefix(LIST_ALLOW, &opens, (struct ip_prefix){{0, 0, 6}, 0}, rule->tag);
        }
    }
    policy.any[LIST_ALLOW] = policy.any[LIST_ALLOW] || policy.any[LIST_HTTP];
    /* Where rules only deny, any other host is as if a rule named it. */
    policy.http_any_host = policy.http_any_host || (policy.any[LIST_HTTP_DENY] && !policy.any[LIST_HTTP]);
}

static struct growing hosts_known; /* the hosts file that names are looked up in first; lives to exit */

/* Look up all names that rules use, at once, and give the rules their addresses. All that fail are said before we
 * end. */
static void policy_resolve(void)
{
    static struct rule rule;
    bool failed = false;

    if (policy.n_names == 0 && !policy.http_any_host && policy.undecided == UNDECIDED_REFUSED)
        return;
    if (policy.resolvconf.n_servers == 0) {
        resolvconf_init(&policy.resolvconf);
        resolvconf_read(&policy.resolvconf, "/etc/resolv.conf");
    }
    int result = hosts_load(&hosts_known, NULL, policy.hosts ? policy.hosts : "/etc/hosts");
    if (result < 0 && policy.hosts != NULL)
        die("--hosts '%s': cannot read: %s; a readable hosts file would be right", policy.hosts, strerror(-result));
    result = resolve_all(&policy.resolvconf, growing_slice(&hosts_known), policy.names, policy.n_names);
    if (result < 0)
        die("cannot look up names: %s", strerror(-result));
    for (size_t i = 0; i < policy.n_names; i++) {
        struct resolve_name *name = &policy.names[i];
        char error[RESOLVE_ERROR_MAX] = "it has private addresses only, and --no-private is given";

        if (name->status != RESOLVE_FOUND)
            resolve_error_format(&policy.resolvconf, name, error);
        if (name->status != RESOLVE_FOUND || (policy.no_private && !name_drop_private(name))) {
            name_say_error(i, error);
            failed = true;
        } else {
            name_tell(name);
        }
    }
    if (failed)
        exit(EXIT_OURS);
    for (size_t i = 0; i < policy.n_named; i++) {
        const struct rule_text *text = &policy.texts[policy.named[i].tag];
        const struct resolve_name *name = &policy.names[policy.named[i].name];

        if (text->list == LIST_HTTP)
            http_rule_opens(policy.named[i].tag, &rule);
        else
            rule_parse(text->text, text->list, &rule);
        for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
            for (size_t a = 0; a < name->families[f].n; a++) {
                struct ip_addr addr = name->families[f].addrs[a];

                policy_add_prefix(LIST_ALLOW, &rule, ip_prefix_of(addr), policy.named[i].tag);
            }
    }
}

/* What may not be bound may not be taken by the address that means all, either: 0.0.0.0 for IPv4, :: for both. */
static void policy_deny_wildcards(enum protocol protocol)
{
    struct entry_list *v4 = &policy.building[LIST_BIND_DENY][protocol][0];
    struct entry_list *v6 = &policy.building[LIST_BIND_DENY][protocol][1];

    for (size_t i = 0, n4 = v4->n, n6 = v6->n; i < n4 + n6; i++) {
        struct ipset_entry entry = i < n4 ? v4->entries[i] : v6->entries[i - n4];

        entry.prefix = (struct ip_prefix){{0, 0, 6}, 128};
        entry_add(v6, &entry);
        entry.prefix = (struct ip_prefix){{0, 0, 4}, 32};
        if (i < n4)
            entry_add(v4, &entry);
    }
}

/* After the last rule: build the sets, and what may exist under them. */
static void policy_finish(void)
{
    policy_deny_wildcards(PROTOCOL_TCP);
    policy_deny_wildcards(PROTOCOL_UDP);
    for (unsigned list = 0; list < LISTS; list++)
        for (unsigned p = 0; p < PROTOCOLS; p++)
            for (unsigned v = 0; v < 2; v++) {
                struct entry_list *from = &policy.building[list][p][v];

                if ((list == LIST_ALLOW || list == LIST_BIND) && from->n > 0)
                    policy.open[p] = true;
                if (ipset_build(&policy.sets[list][p][v], from->entries, from->n) < 0)
                    die("cannot hold the rules: out of memory");
                free(from->entries);
                *from = (struct entry_list){NULL, 0, 0};
            }
    if (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY])
        for (unsigned p = 0; p < PROTOCOLS; p++)
            policy.open[p] = true;
    if (policy.undecided != UNDECIDED_REFUSED) {
        policy.any[LIST_ALLOW] = true; /* what none of them names is not permitted, not yet */
        for (unsigned p = 0; p < PROTOCOLS; p++)
            policy.open[p] = true;
    }
    for (unsigned p = 0; p < PROTOCOLS; p++)
        policy.open[p] = policy.open[p] || settings.live; /* what a rule may open later must exist now */
    policy.traps_sends = policy.open[PROTOCOL_UDP] || policy.open[PROTOCOL_ICMP] || policy.n_unix_rules > 0;
}

/* ---- options ---- */

/* What --allow-syscall lets be. */
enum __attribute__((packed)) group {
    GROUP_NONE,
    GROUP_TRACE,
    GROUP_PERF,
    GROUP_BPF,
    GROUP_KEYS,
    GROUP_MOUNT,
    GROUP_NAMESPACES,
    GROUP_MODULES,
    GROUP_MACHINE,
    GROUP_HANDLES,
    GROUP_FANOTIFY,
    GROUP_PERSONALITY,
    GROUP_USERFAULTFD,
    GROUP_TTY,
    GROUP_INTERFACES,
    GROUPS,
};

static const char *const group_names[GROUPS] = {
    "none", "trace", "perf", "bpf", "keys", "mount", "namespaces", "modules", "machine", "handles", "fanotify",
    "personality", "userfaultfd", "tty", "interfaces",
};

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

static void set_allow_bind(const char *value)
{
    set_rule(LIST_BIND, value);
}

static void set_deny_bind(const char *value)
{
    set_rule(LIST_BIND_DENY, value);
}

static void set_http_allow(const char *value)
{
    set_rule(LIST_HTTP, value);
}

static void set_http_deny(const char *value)
{
    set_rule(LIST_HTTP_DENY, value);
}

static void set_http_ports(const char *option, enum proxy_protocol protocol, const char *value)
{
    static struct rule rule;
    struct http_ports *ports = &policy.http_ports[protocol];

    rule.n_ports = 0;
    rule_error error = rule_parse_ports(slice_of(value), false, &rule);
    if (error == NULL && rule.n_ports == 0)
        error = "all ports can't be meant; 80,8080 or 8000-8010 would be right";
    if (error == NULL && ports->n + rule.n_ports > HTTP_PORTS_MAX)
        error = "one too many; at most 32 would be right";
    if (error != NULL)
        die("%s '%s': %s", option, value, error);
    ports->given = true;
    memcpy(ports->ranges + ports->n, rule.ports, rule.n_ports * sizeof *rule.ports);
    ports->n += rule.n_ports;
}

static void set_http_port(const char *value)
{
    set_http_ports("--http-port", PROXY_HTTP, value);
}

static void set_tls_port(const char *value)
{
    set_http_ports("--tls-port", PROXY_TLS, value);
}

static void set_resolver(const char *value)
{
    int result;

    settings.resolver_given = true;
    if (policy.resolvconf.n_servers == 0)
        resolvconf_init(&policy.resolvconf);
    result = resolvconf_add_server(&policy.resolvconf, slice_of(value));
    if (result == -ENOSPC)
        die("--resolver '%s': one too many; at most %d would be right", value, RESOLVCONF_SERVERS_MAX);
    if (result < 0)
        die("--resolver '%s': not a nameserver's address; 10.0.0.1, 10.0.0.1:5353 or [2001:db8::1]:53 would be right",
            value);
}

static void set_hosts(const char *value)
{
    if (access(value, R_OK) < 0)
        die("--hosts '%s': cannot read: %s; a readable hosts file would be right", value, strerror(errno));
    policy.hosts = value;
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
    die("--deny-errno '%s': unknown error; ECONNREFUSED, EACCES, EPERM, ENETUNREACH, EHOSTUNREACH, ETIMEDOUT, "
        "ENETDOWN, "
        "EADDRNOTAVAIL, ECONNRESET, ECONNABORTED or EHOSTDOWN would be right", value);
}

/* A duration in seconds, `max` at most: a number, or one with s, m or h. */
static unsigned parse_duration(const char *option, const char *value, unsigned max)
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
    if (parse_uint(number, max / unit, &seconds) < 0 || seconds == 0)
        die("%s '%s': not a duration; 10s, 5m, 2h or a number of seconds (at most %uh) would be right", option, value,
            max / 3600);
    return (unsigned)(seconds * unit);
}

static void set_timeout(const char *value)
{
    settings.timeout = parse_duration("--timeout", value, INT32_MAX / 1000);
}

static void set_ask(const char *value)
{
    uint64_t fd;

    if (strncmp(value, "fd:", 3) == 0 &&
        (parse_uint(slice_of(value + 3), INT32_MAX, &fd) < 0 || fd <= STDERR_FILENO ||
         sys_socket_option((int)fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM))
        die("--ask '%s': not an open stream socket above 2; one end of a socketpair(2), like fd:3, would be right", value);
    if (value[strspn(value, " ")] == 0)
        die("--ask '%s': no command; one that reads questions and writes answers, or fd:N, would be right", value);
    settings.ask = value;
    if (policy.undecided == UNDECIDED_LEARNED)
        die("--ask '%s': learn asks nobody; run would be right", value);
    policy.undecided = UNDECIDED_ASKED;
}

static void set_output(const char *value)
{
    settings.output = value;
}

static void set_ask_timeout(const char *value)
{
    settings.ask_timeout = parse_duration("--ask-timeout", value, INT32_MAX / 1000);
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

static void set_allow_syscall(const char *value)
{
    for (unsigned group = 1; group < GROUPS; group++)
        if (strcmp(value, group_names[group]) == 0) {
            settings.allowed_groups |= 1u << group;
            return;
        }
    die("--allow-syscall '%s': unknown group; trace, perf, bpf, keys, mount, namespaces, modules, machine, handles, "
        "fanotify, personality, userfaultfd, tty or interfaces would be right", value);
}

static void set_deny_syscall(const char *value)
{
    int64_t number = syscalls_find(slice_of(value));

    if (number == -ENOENT)
        die("--deny-syscall '%s': unknown system call; a name like ptrace would be right", value);
    if (settings.n_denied_calls == DENIED_CALLS_MAX)
        die("--deny-syscall '%s': one too many; at most %d would be right", value, DENIED_CALLS_MAX);
    settings.denied_calls[settings.n_denied_calls++] = (enum syscall_number)number;
}

static void set_keep_cap(const char *value)
{
    int cap = caps_find(slice_of(value));

    if (cap < 0)
        die("--keep-cap '%s': unknown capability; a name like NET_RAW would be right", value);
    settings.kept_caps |= CAPS_BIT(cap);
}

static void add_file_rule(const char *option, const char *value, uint64_t gives, uint64_t takes)
{
    char path[PATH_MAX];

    if (realpath(value, path) == NULL)
        die("%s '%s': %s; a path that exists would be right", option, value, strerror(errno));
    if (settings.file_rules.n == FILE_RULES_MAX / 2)
        die("%s '%s': one too many; at most %d would be right", option, value, FILE_RULES_MAX / 2);
    char *copy = strdup(path);
    if (copy == NULL)
        die("%s '%s': out of memory", option, value);
    settings.file_rules.rules[settings.file_rules.n++] = (struct file_rule){copy, gives, takes};
}

static void set_read(const char *value)
{
    add_file_rule("-r", value, LANDLOCK_READS | LANDLOCK_IOCTL_DEV, 0);
    settings.restricts_files = true;
}

static void set_write(const char *value)
{
    add_file_rule("-w", value, UINT64_MAX, 0);
    settings.restricts_files = true;
}

static void set_fs_deny(const char *value)
{
    add_file_rule("--fs-deny", value, 0, UINT64_MAX);
}

static void set_log(const char *value)
{
    uint64_t fd;

    if (strcmp(value, "-") == 0) {
        log_to.fd = STDERR_FILENO;
    } else if (strncmp(value, "fd:", 3) == 0) {
        if (parse_uint(slice_of(value + 3), INT32_MAX, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)
            die("--log '%s': not an open descriptor; fd:3 with a descriptor 3 that is open would be right", value);
        log_to.fd = (int)fd;
    } else {
        log_to.fd = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
        if (log_to.fd < 0)
            die("--log '%s': cannot open: %s; a file that can be written, - or fd:N would be right", value,
                errno == ENXIO ? "nobody reads it" : strerror(errno));
    }
}

static void set_cwd(const char *value)
{
    settings.cwd = value;
}

static void set_chroot(const char *value)
{
    struct stat status;

    errno = 0;
    if (stat(value, &status) < 0 || !S_ISDIR(status.st_mode))
        die("--chroot '%s': %s; a directory with a root file system would be right", value,
            errno ? strerror(errno) : "not a directory");
    settings.chroot = value;
}

static void set_env(const char *value)
{
    if (value[0] == 0 || value[0] == '=')
        die("--env '%s': no name; NAME=VALUE, or NAME to keep it with --clean-env, would be right", value);
    if (settings.n_env == ENV_MAX)
        die("--env '%s': one too many; at most %d would be right", value, ENV_MAX);
    settings.env[settings.n_env++] = value;
}

static void set_name(const char *value)
{
    if (!controlsock_name_valid(value))
        die("--name '%s': not a name; up to %d letters, digits, dots, dashes and underscores would be right", value,
            CONTROLSOCK_NAME_MAX);
    settings.name = value;
}

static void set_control(const char *value)
{
    settings.control = value;
}

static void set_policy(const char *path);

static const struct option {
    const char *name;
    const char *argument; /* NULL: takes none */
    void (*set)(const char *value);
    bool *flag; /* or what it switches on */
    const char *help;
} options[] = {
    {"--net-allow", "RULE", set_allow, NULL,
     "permit a destination: [tcp://|udp://|icmp://|any://]TARGET[:PORTS], or @FILE"},
    {"--net-deny", "RULE", set_deny, NULL,
     "refuse a destination; wins over --net-allow. Alone: all others are permitted"},
    {"--net-allow-bind", "PORTS", set_allow_bind, NULL, "permit to listen: [tcp://|udp://][ADDRESS:]PORTS, or @FILE"},
    {"--net-deny-bind", "PORTS", set_deny_bind, NULL, "refuse it; wins over --net-allow-bind"},
    {"--http-allow", "RULE", set_http_allow, NULL,
     "permit requests and their destination: 'METHOD HOST[/PATH]', where * stands for any, or @FILE"},
    {"--http-deny", "RULE", set_http_deny, NULL, "refuse requests; wins over --http-allow"},
    {"--http-port", "PORTS", set_http_port, NULL, "the ports where HTTP rules see requests (80)"},
    {"--tls-port", "PORTS", set_tls_port, NULL, "the ports where they see names of TLS connections (443)"},
    {"--http-tls-host-only", NULL, NULL, &policy.http_host_only, "on TLS ports the host of a rule decides alone"},
    {"--port-remap", NULL, NULL, &settings.port_remap,
     "give the command another port where one that it asks for is taken; inside it has that number"},
    {"--resolver", "SERVER", set_resolver, NULL, "ask this nameserver, IP[:port], not those of /etc/resolv.conf"},
    {"--hosts", "FILE", set_hosts, NULL, "look names up here first, not in /etc/hosts"},
    {"--no-private", NULL, NULL, &policy.no_private, "drop private addresses that DNS gives for a name"},
    {"--no-hosts", NULL, NULL, &settings.no_hosts, "don't show the names' addresses in /etc/hosts inside"},
    {"--deny-errno", "NAME", set_deny_errno, NULL, "what a refused destination answers (ECONNREFUSED)"},
    {"--allow-steering", NULL, NULL, &settings.allow_steering,
     "permit options that choose the interface (SO_BINDTODEVICE ...)"},
    {"--allow-syscall", "GROUP", set_allow_syscall, NULL,
     "permit calls that are refused otherwise: trace, mount, namespaces ..."},
    {"--deny-syscall", "NAME", set_deny_syscall, NULL, "refuse a system call (EPERM)"},
    {"--keep-cap", "NAME", set_keep_cap, NULL, "keep a capability that root has beyond the ordinary ones"},
    {"-r", "PATH", set_read, NULL, "let files be read and executed beneath PATH, and nowhere else (Landlock)"},
    {"-w", "PATH", set_write, NULL, "let files be read, written and made beneath PATH"},
    {"--fs-deny", "PATH", set_fs_deny, NULL, "no access beneath PATH"},
    {"--policy", "FILE", set_policy, NULL, "options from a file: one a line, without the dashes; # begins a comment"},
    {"--ask", "CMD", set_ask, NULL, "ask this command, or fd:N, what becomes of a destination that no rule decides"},
    {"--ask-timeout", "TIME", set_ask_timeout, NULL, "refuse what isn't answered by then (60s)"},
    {"-o", "FILE", set_output, NULL, "where learn writes the policy"},
    {"--log", "FILE", set_log, NULL, "write each denial as a line of JSON to a file, to - (stderr) or to fd:N"},
    {"--log-allowed", NULL, NULL, &settings.log_allowed, "write what is permitted there, too"},
    {"--chroot", "DIR", set_chroot, NULL, "make this the command's root directory (root only)"},
    {"--hosts-mount", NULL, NULL, &settings.hosts_mount,
     "show names by a mount of the command's own (root only; no cost on opens)"},
    {"--cwd", "DIR", set_cwd, NULL, "run the command in this directory"},
    {"--env", "NAME[=VALUE]", set_env, NULL, "set a variable for the command, or keep it with --clean-env"},
    {"--clean-env", NULL, NULL, &settings.clean_env, "no variables but those of --env"},
    {"--name", "NAME", set_name, NULL, "the running command's name for allow, deny, restrict, inspect, log and kill"},
    {"--live", NULL, NULL, &settings.live, "let live rules open all kinds of destinations; each send costs more then"},
    {"--control", "DIR", set_control, NULL, "where control sockets are (/run/sandlock or $XDG_RUNTIME_DIR/sandlock)"},
    {"--timeout", "TIME", set_timeout, NULL, "end the command after 10s, 5m, 2h: TERM, 2 s later KILL; exit 124"},
    {"--wait-all", NULL, NULL, &settings.wait_all, "wait for what the command leaves behind instead of killing it"},
    {"--keep-fd", "N", set_keep_fd, NULL, "hand descriptor N down; all others above 2 are closed"},
    {"--no-getfd", NULL, NULL, &settings.no_getfd, "do without pidfd_getfd(2), as where a container refuses it"},
    {"--strict", NULL, NULL, &settings.strict, "refuse to run where the kernel lacks a protection (see check)"},
    {"-q", NULL, NULL, &settings.quiet, "no summary, no warnings"},
    {"-v", NULL, NULL, &settings.verbose, "write each denial to stderr, with the rule that would allow it"},
};

static void usage(int to)
{
    dprintf(to, "usage: sandlock run [OPTION...] [--] CMD [ARG...]     run CMD; it reaches only what the rules name\n"
                "       sandlock explain [OPTION...] -- DEST...       what the rules say of each destination\n"
                "       sandlock learn -o FILE [OPTION...] -- CMD...  run CMD, permit all, write the policy it needs\n"
                "       sandlock check                                what this kernel offers, what is lost without\n"
                "       sandlock ps [--json]                          the running sandboxes that have names\n"
                "       sandlock allow NAME RULE...                   let one reach more; takes back what deny said\n"
                "       sandlock deny NAME RULE...                    let it reach less\n"
                "       sandlock restrict NAME [RULE...]              let it reach these at most; without one, nothing\n"
                "           --pid PID: one of its processes and its descendants; --for 10m: so long, then as before.\n"
                "           The next call sees all of a change. Connections, and connected UDP sockets, that are there\n"
                "           are not cut.\n"
                "       sandlock inspect NAME [--pid PID]             its policy as it is now, for --policy\n"
                "       sandlock log NAME [-f]                        its last denials and changes; -f: those to come\n"
                "       sandlock kill NAME                            end it\n"
                "       sandlock --help | --version\n\n"
                "TARGET is a host name, an IPv4 or [IPv6] address, a CIDR prefix, * (or nothing) for all, or one of\n"
                "public, private and metadata. PORTS are 443, 80,443, 8000-8010 or *; without them, all.\n"
                "No scheme means tcp://. No rule at all means no network.\n"
                "\noptions:\n");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char name[40];

        snprintf(name, sizeof name, "%s %s", options[i].name, options[i].argument ? options[i].argument : "");
        dprintf(to, "  %-24s%s\n", name, options[i].help);
    }
    dprintf(to, "\nexit: the command's status, 128+n when signal n ended it, 124 timeout, 125 sandlock's own error,\n"
                "126 not executable, 127 not found. explain: 1 if any is denied.\n\n"
                "  sandlock run -v --net-allow 10.0.0.1:443 -- curl https://10.0.0.1/\n");
}

/* The option of that name, NULL: none. */
static const struct option *option_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (slice_is(name, options[i].name))
            return &options[i];
    return NULL;
}

/* An option with its value. */
struct given_option {
    const struct option *option;
    const char *value; /* NULL: it takes none */
};

static void option_apply(const struct option *option, const char *value)
{
    if (settings.n_given == settings.given_room)
        settings.given = grow(settings.given, &settings.given_room, sizeof *settings.given);
    settings.given[settings.n_given++] = (struct given_option){option, value};
    if (option->flag != NULL)
        *option->flag = true;
    else
        option->set(value);
}

/* Options up to the first other word or "--". Returns the index of what follows. */
static int options_parse(int argc, char **argv, int at)
{
    for (; at < argc && argv[at][0] == '-' && argv[at][1] != 0; at++) {
        const char *equals = strchr(argv[at], '=');
        struct slice name = {argv[at], equals ? (size_t)(equals - argv[at]) : strlen(argv[at])};

        if (strcmp(argv[at], "--") == 0)
            return at + 1;
        const struct option *option = option_find(name);
        if (option == NULL)
            die("%.*s: unknown option; sandlock --help lists them", (int)name.len, name.p);
        if (option->argument == NULL && equals != NULL)
            die("%s: takes no value; %s alone would be right", argv[at], option->name);
        if (option->argument == NULL)
            option_apply(option, NULL);
        else if (equals != NULL)
            option_apply(option, equals + 1);
        else if (at + 1 < argc)
            option_apply(option, argv[++at]);
        else
            die("%s: needs a value; %s %s would be right", option->name, option->name, option->argument);
    }
    return at;
}

/* A policy file's command: words between blanks, as nothing is quoted there. They are terminated in place. */
static void set_command(char *words)
{
    size_t n = 0;

    for (char *word = strtok(words, " \t"); word != NULL; word = strtok(NULL, " \t")) {
        if (n == COMMAND_WORDS_MAX)
            die("command: too many words; at most %d would be right", COMMAND_WORDS_MAX);
        settings.command[n++] = word;
    }
    settings.command[n] = NULL;
    if (n == 0)
        die("command: needs words behind it; command /bin/server --port 8080 would be right");
}

/* One line of a policy file: NAME, NAME VALUE, or command WORD... It is terminated in place. */
static void options_set_line(char *line)
{
    char name[64];
    struct slice word = {line, strcspn(line, " \t")};
    struct slice value = slice_trim(slice_of(line + word.len));

    if (slice_is(word, "command")) {
        set_command(line + word.len);
        return;
    }
    snprintf(name, sizeof name, "%s%.*s", word.len == 1 ? "-" : "--", (int)word.len, word.p);
    const struct option *option = option_find(slice_of(name));
    if (option == NULL || option->set == set_policy)
        die("'%.*s': no option for a policy file; a line like net-allow 10.0.0.1:443 would be right", (int)word.len,
            word.p);
    if ((option->argument == NULL) != (value.len == 0))
        die("%.*s: %s", (int)word.len, word.p, option->argument ? "needs a value behind it" : "takes no value");
    option_apply(option, value.len ? value.p : NULL);
}

/* --policy FILE. The lines are cut out of the file's text, which lives to exit. */
static void set_policy(const char *path)
{
    struct slice rest = read_whole("--policy", "", path);

    for (unsigned number = 1; rest.p != NULL; number++) {
        struct slice line = slice_split(&rest, '\n');
        size_t end = 0;

        while (end < line.len &&
               !(line.p[end] == '#' && (end == 0 || line.p[end - 1] == ' ' || line.p[end - 1] == '\t')))
            end++;
        line = slice_trim((struct slice){line.p, end});
        say_place(path, number);
        if (line.len == 0)
            continue;
        char *text = strndup(line.p, line.len); /* lives to exit */
        if (text == NULL)
            die("out of memory");
        options_set_line(text);
    }
    say_place(NULL, 0);
}

/* ---- traps ---- */

/* What a trapped call is; its row below says which numbers mean it. CALL_NONE: decided in the filter. */
enum __attribute__((packed)) call {
    CALL_NONE,
    CALL_CONNECT,
    CALL_BIND,
    CALL_LISTEN,
    CALL_SENDTO,
    CALL_SENDMSG,
    CALL_SENDMMSG,
    CALL_SOCKET,
    CALL_SETSOCKOPT,
    CALL_OPEN,
    CALL_PRLIMIT,
    CALL_SCHEDULE,
    CALL_SIGNAL,
    CALL_GETSOCKNAME,
    CALL_GETPEERNAME,
    CALL_REAPER,
    CALL_WRITE,
};

static const char *const call_names[] = {
    "",           "connect", "bind",    "listen",   "sendto", "sendmsg", "sendmmsg", "socket",
    "setsockopt", "open",    "prlimit", "schedule", "signal", "getsockname", "getpeername", "prctl",
    "write",
};

/* When a row is part of the filter. */
enum __attribute__((packed)) when {
    ALWAYS,
    WHEN_UDP,
    WHEN_ICMP,
    WHEN_SENDS,         /* sends are looked at */
    WHEN_LEARNING,      /* all of them, and what a write may send */
    WHEN_HOSTS,         /* opens are */
    WHEN_HTTP,          /* connections go to the proxy */
    WHEN_KNOBS,         /* what root may write in /proc is closed */
    WHEN_UNSTEERED,
    WHEN_REMAPPED,      /* ports may have other numbers */
    WHEN_UNSCOPED,      /* Landlock doesn't hold signals back */
    WHEN_UNPRIVILEGED,  /* we have no CAP_SYS_PTRACE */
    WHEN_LEADERS_TABLE, /* only a leader's descriptors can be read */
    WHEN_NAMED,         /* processes may get policies of their own */
};

#define FAILS(e) (SECCOMP_RET_ERRNO | (e))
#define IS(arg, value) {BPF_EQUAL, arg, UINT32_MAX, value}
#define IS_IP(arg) {BPF_EQUAL, arg, ~8u, AF_INET} /* AF_INET or AF_INET6: they differ in that bit */
#define IS_TYPE(arg, value) {BPF_EQUAL, arg, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), value}
#define IS_DGRAM_OR_RAW(arg) {BPF_EQUAL, arg, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK | 1), SOCK_DGRAM}
#define IS_ZERO_OR_ONE(arg) {BPF_EQUAL, arg, ~1u, 0}
#define HAS_BIT(arg, bit) {BPF_ANY_BIT, arg, bit, 0}
#define IS_GIVEN(arg) {BPF_NONZERO, arg, 0, 0}
#define REFUSED_OPTION(when, level, option, name) \
    {NR_setsockopt, CALL_SETSOCKOPT, when, ASKED, {IS(1, level), IS(2, option)}, name, GROUP_NONE}
#define READS_A_FILE(arg) {BPF_EQUAL, arg, O_ACCMODE | O_CREAT | O_DIRECTORY | O_PATH, O_RDONLY}
#define WRITES_NO_LINK(arg) {BPF_EQUAL, arg, O_ACCMODE | O_CREAT | O_NOFOLLOW, O_RDWR | O_NOFOLLOW}
#define TRAP(number, call, when, result, ...) {number, call, when, result, {__VA_ARGS__}, NULL, GROUP_NONE}
#define IS_NOT(arg, value) {BPF_UNLIKE, arg, UINT32_MAX, value}
#define REFUSED(number, group) {number, CALL_NONE, ALWAYS, FAILS(EPERM), {{0}}, NULL, group}
#define REFUSED_IOCTL(request, group) {NR_ioctl, CALL_NONE, ALWAYS, FAILS(EPERM), {IS(1, request)}, NULL, group}
#define PERMITTED_IOCTL(request) {NR_ioctl, CALL_NONE, ALWAYS, SECCOMP_RET_ALLOW, {IS(1, request)}, NULL, GROUP_NONE}
#define ALLOWED SECCOMP_RET_ALLOW
#define ASKED SECCOMP_RET_USER_NOTIF

enum {
    TCP_REPAIR_OPTION = 19,
    TCP_FASTOPEN_CONNECT_OPTION = 30,
    SPLIT_TABLE = CLONE_FILES | CLONE_THREAD,
    CLOSE_RANGE_SPLIT = 2,         /* CLOSE_RANGE_UNSHARE */
    NEW_NAMESPACES = 0x7E020000,   /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
    NEW_TIME = 0x80,               /* CLONE_NEWTIME, which only unshare knows */
    IOPRIO_PROCESS = 1,            /* IOPRIO_WHO_PROCESS */
    PERSONALITY_HARMLESS = 0x60008, /* ADDR_NO_RANDOMIZE, UNAME26, PER_LINUX32 */
};

/* The filter, its traps and their meaning. For each call the first row that matches decides. */
static const struct trap {
    enum syscall_number number;
    enum call call;
    enum when when;
    uint32_t result;
    struct bpf_condition conditions[BPF_CONDITIONS];
    const char *name; /* of what is refused, for the log */
    enum group group; /* not part of the filter when this is allowed */
} traps[] = {
    TRAP(NR_connect, CALL_CONNECT, ALWAYS, ASKED, {0}),
    TRAP(NR_bind, CALL_BIND, ALWAYS, ASKED, {0}),
    TRAP(NR_listen, CALL_LISTEN, ALWAYS, ASKED, {0}),
    TRAP(NR_getsockname, CALL_GETSOCKNAME, WHEN_REMAPPED, ASKED, {0}),
    TRAP(NR_getpeername, CALL_GETPEERNAME, WHEN_REMAPPED, ASKED, {0}),

    TRAP(NR_sendto, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), HAS_BIT(3, KERNEL_MSG_FASTOPEN)),
    TRAP(NR_sendto, CALL_SENDTO, WHEN_SENDS, ASKED, IS_GIVEN(4)),
    TRAP(NR_sendmsg, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), HAS_BIT(2, KERNEL_MSG_FASTOPEN)),
    TRAP(NR_sendmsg, CALL_SENDMSG, WHEN_SENDS, ASKED, {0}),
    TRAP(NR_sendmmsg, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), HAS_BIT(3, KERNEL_MSG_FASTOPEN)),
    TRAP(NR_sendmmsg, CALL_SENDMMSG, WHEN_SENDS, ASKED, {0}),
    TRAP(NR_sendto, CALL_SENDTO, WHEN_LEARNING, ASKED, {0}),
    TRAP(NR_write, CALL_WRITE, WHEN_LEARNING, ASKED, {0}),
    TRAP(NR_writev, CALL_WRITE, WHEN_LEARNING, ASKED, {0}),

    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_STREAM), IS(2, 0)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_STREAM), IS(2, IPPROTO_TCP)),
    TRAP(NR_socket, CALL_NONE, WHEN_UDP, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_DGRAM), IS(2, 0)),
    TRAP(NR_socket, CALL_NONE, WHEN_UDP, ALLOWED, IS_IP(0), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_UDP)),
    TRAP(NR_socket, CALL_NONE, WHEN_ICMP, ALLOWED, IS(0, AF_INET), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_ICMP)),
    TRAP(NR_socket, CALL_NONE, WHEN_ICMP, ALLOWED, IS(0, AF_INET6), IS_TYPE(1, SOCK_DGRAM), IS(2, IPPROTO_ICMPV6)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_STREAM), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_SEQPACKET), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socket, CALL_NONE, WHEN_SENDS, ALLOWED, IS(0, AF_UNIX), IS_DGRAM_OR_RAW(1), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 0 /* ROUTE */)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 4 /* SOCK_DIAG */)),
    TRAP(NR_socket, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_NETLINK), IS_DGRAM_OR_RAW(1), IS(2, 15 /* KOBJECT_UEVENT */)),
    TRAP(NR_socket, CALL_SOCKET, ALWAYS, ASKED, {0}),

    TRAP(NR_socketpair, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_STREAM), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socketpair, CALL_NONE, ALWAYS, ALLOWED, IS(0, AF_UNIX), IS_TYPE(1, SOCK_SEQPACKET), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socketpair, CALL_NONE, WHEN_SENDS, ALLOWED, IS(0, AF_UNIX), IS_DGRAM_OR_RAW(1), IS_ZERO_OR_ONE(2)),
    TRAP(NR_socketpair, CALL_SOCKET, ALWAYS, ASKED, {0}),

    /* What makes a packet go elsewhere than its checked destination, or lets a send connect. */
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_RTHDR, "IPV6_RTHDR"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, 5, "IPV6_2292RTHDR"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, 6, "IPV6_2292PKTOPTIONS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, 3, "IPV6_2292HOPOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, 4, "IPV6_2292DSTOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_RTHDRDSTOPTS, "IPV6_RTHDRDSTOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_HOPOPTS, "IPV6_HOPOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_DSTOPTS, "IPV6_DSTOPTS"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, 32, "IPV6_FLOWLABEL_MGR"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_XFRM_POLICY, "IPV6_XFRM_POLICY"),
    REFUSED_OPTION(ALWAYS, SOL_IP, IP_OPTIONS, "IP_OPTIONS"),
    REFUSED_OPTION(ALWAYS, SOL_IP, IP_XFRM_POLICY, "IP_XFRM_POLICY"),
    REFUSED_OPTION(ALWAYS, IPPROTO_TCP, TCP_REPAIR_OPTION, "TCP_REPAIR"),
    REFUSED_OPTION(ALWAYS, SOL_SOCKET, SO_MARK, "SO_MARK"),
    /* What lets others bind a port, which may be one that something is on its way to. */
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, WHEN_REMAPPED, ASKED, IS(1, SOL_SOCKET), IS(2, SO_REUSEADDR)),
    /* Joining a multicast group sends a report: done on behalf, as a send to that group. */
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, IP_ADD_MEMBERSHIP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, IP_ADD_SOURCE_MEMBERSHIP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, MCAST_JOIN_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IP), IS(2, MCAST_JOIN_SOURCE_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IPV6), IS(2, IPV6_JOIN_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IPV6), IS(2, MCAST_JOIN_GROUP)),
    TRAP(NR_setsockopt, CALL_SETSOCKOPT, ALWAYS, ASKED, IS(1, SOL_IPV6), IS(2, MCAST_JOIN_SOURCE_GROUP)),
    REFUSED_OPTION(ALWAYS, SOL_IP, IP_MSFILTER, "IP_MSFILTER"),
    REFUSED_OPTION(ALWAYS, SOL_IP, MCAST_MSFILTER, "MCAST_MSFILTER"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, MCAST_MSFILTER, "MCAST_MSFILTER"),
    REFUSED_OPTION(ALWAYS, SOL_IPV6, IPV6_JOIN_ANYCAST, "IPV6_JOIN_ANYCAST"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_SOCKET, SO_BINDTODEVICE, "SO_BINDTODEVICE"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_SOCKET, 62, "SO_BINDTOIFINDEX"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IP, 50, "IP_UNICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IP, IP_MULTICAST_IF, "IP_MULTICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IPV6, 76, "IPV6_UNICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IPV6, IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF"),
    REFUSED_OPTION(WHEN_UNSTEERED, SOL_IPV6, IPV6_PKTINFO, "IPV6_PKTINFO"),
    TRAP(NR_setsockopt, CALL_NONE, ALWAYS, FAILS(EOPNOTSUPP), IS(1, IPPROTO_TCP), IS(2, TCP_FASTOPEN_CONNECT_OPTION)),
    TRAP(NR_setsockopt, CALL_NONE, WHEN_SENDS, FAILS(EOPNOTSUPP), IS(1, SOL_SOCKET), IS(2, KERNEL_SO_ZEROCOPY)),

    TRAP(NR_getpeername, CALL_GETPEERNAME, WHEN_HTTP, ASKED, {0}),

    /* What could read /etc/hosts: no writing, creating, directory or O_PATH. */
    TRAP(NR_open, CALL_OPEN, WHEN_HOSTS, ASKED, READS_A_FILE(1)),
    TRAP(NR_openat, CALL_OPEN, WHEN_HOSTS, ASKED, READS_A_FILE(2)),
    TRAP(NR_openat2, CALL_OPEN, WHEN_HOSTS, ASKED, {0}),
    /* As pam_loginuid opens what it writes. */
    TRAP(NR_open, CALL_OPEN, WHEN_KNOBS, ASKED, WRITES_NO_LINK(1)),
    TRAP(NR_openat, CALL_OPEN, WHEN_KNOBS, ASKED, WRITES_NO_LINK(2)),

    /* Ways around the filter, or around whose descriptors and memory we read. */
    TRAP(NR_io_uring_setup, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_io_uring_enter, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_io_uring_register, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_clone3, CALL_NONE, ALWAYS, FAILS(ENOSYS), {0}),
    TRAP(NR_clone, CALL_NONE, ALWAYS, FAILS(EPERM), {BPF_EQUAL, 0, SPLIT_TABLE, CLONE_FILES}),
    TRAP(NR_clone, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), {BPF_EQUAL, 0, SPLIT_TABLE, CLONE_THREAD}),
    TRAP(NR_unshare, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), HAS_BIT(0, CLONE_FILES)),
    TRAP(NR_close_range, CALL_NONE, WHEN_LEADERS_TABLE, FAILS(EPERM), HAS_BIT(2, CLOSE_RANGE_SPLIT)),

    /* What would hide whose descendant a process is (lineage.h). */
    TRAP(NR_clone, CALL_NONE, WHEN_NAMED, FAILS(EPERM), {BPF_EQUAL, 0, CLONE_PARENT | CLONE_THREAD, CLONE_PARENT}),
    TRAP(NR_prctl, CALL_REAPER, WHEN_NAMED, ASKED, IS(0, PR_SET_CHILD_SUBREAPER), IS_GIVEN(1)),

    /* Without CAP_SYS_PTRACE we couldn't look into it any more: it is told that it was done. */
    TRAP(NR_prctl, CALL_NONE, WHEN_UNPRIVILEGED, FAILS(0), IS(0, PR_SET_DUMPABLE), IS(1, 0)),

    /* What reaches into other processes, or lets others act. */
    REFUSED(NR_ptrace, GROUP_TRACE),
    REFUSED(NR_process_vm_readv, GROUP_TRACE),
    REFUSED(NR_process_vm_writev, GROUP_TRACE),
    REFUSED(NR_process_madvise, GROUP_TRACE),
    REFUSED(NR_pidfd_getfd, GROUP_TRACE),
    REFUSED(NR_kcmp, GROUP_TRACE),
    REFUSED(NR_perf_event_open, GROUP_PERF),
    REFUSED(NR_bpf, GROUP_BPF),
    REFUSED(NR_keyctl, GROUP_KEYS),
    REFUSED(NR_add_key, GROUP_KEYS),
    REFUSED(NR_request_key, GROUP_KEYS),
    REFUSED(NR_move_pages, GROUP_TRACE),
    REFUSED(NR_migrate_pages, GROUP_TRACE),
    TRAP(NR_prlimit64, CALL_PRLIMIT, ALWAYS, ASKED, IS_NOT(0, 0), IS_GIVEN(2)),
    TRAP(NR_sched_setaffinity, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_sched_setscheduler, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_sched_setparam, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_sched_setattr, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, 0)),
    TRAP(NR_setpriority, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, PRIO_PROCESS)),
    TRAP(NR_setpriority, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(1, 0)),
    TRAP(NR_ioprio_set, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(0, IOPRIO_PROCESS)),
    TRAP(NR_ioprio_set, CALL_SCHEDULE, ALWAYS, ASKED, IS_NOT(1, 0)),
    TRAP(NR_kill, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_tkill, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_tgkill, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_rt_sigqueueinfo, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_rt_tgsigqueueinfo, CALL_SIGNAL, WHEN_UNSCOPED, ASKED, {0}),
    TRAP(NR_pidfd_send_signal, CALL_NONE, WHEN_UNSCOPED, FAILS(EPERM), {0}),
    TRAP(NR_fcntl, CALL_NONE, WHEN_UNSCOPED, FAILS(EPERM), IS(1, F_SETOWN)),
    TRAP(NR_fcntl, CALL_NONE, WHEN_UNSCOPED, FAILS(EPERM), IS(1, F_SETOWN_EX)),
    TRAP(NR_ioctl, CALL_NONE, WHEN_UNSCOPED, FAILS(EPERM), IS(1, 0x8901 /* FIOSETOWN */)),
    TRAP(NR_ioctl, CALL_NONE, WHEN_UNSCOPED, FAILS(EPERM), IS(1, 0x8902 /* SIOCSPGRP */)),

    /* Other views of files and networks. */
    REFUSED(NR_mount, GROUP_MOUNT),
    REFUSED(NR_umount2, GROUP_MOUNT),
    REFUSED(NR_pivot_root, GROUP_MOUNT),
    REFUSED(NR_move_mount, GROUP_MOUNT),
    REFUSED(NR_open_tree, GROUP_MOUNT),
    REFUSED(NR_open_tree_attr, GROUP_MOUNT),
    REFUSED(NR_fsopen, GROUP_MOUNT),
    REFUSED(NR_fsconfig, GROUP_MOUNT),
    REFUSED(NR_fsmount, GROUP_MOUNT),
    REFUSED(NR_fspick, GROUP_MOUNT),
    REFUSED(NR_mount_setattr, GROUP_MOUNT),
    REFUSED(NR_setns, GROUP_NAMESPACES),
    {NR_unshare, CALL_NONE, ALWAYS, FAILS(EPERM), {HAS_BIT(0, NEW_NAMESPACES | NEW_TIME)}, NULL, GROUP_NAMESPACES},
    {NR_clone, CALL_NONE, ALWAYS, FAILS(EPERM), {HAS_BIT(0, NEW_NAMESPACES)}, NULL, GROUP_NAMESPACES},
    REFUSED(NR_open_by_handle_at, GROUP_HANDLES),
    REFUSED(NR_fanotify_init, GROUP_FANOTIFY),

    /* The machine itself. */
    REFUSED(NR_init_module, GROUP_MODULES),
    REFUSED(NR_finit_module, GROUP_MODULES),
    REFUSED(NR_delete_module, GROUP_MODULES),
    REFUSED(NR_kexec_load, GROUP_MACHINE),
    REFUSED(NR_kexec_file_load, GROUP_MACHINE),
    REFUSED(NR_swapon, GROUP_MACHINE),
    REFUSED(NR_swapoff, GROUP_MACHINE),
    REFUSED(NR_reboot, GROUP_MACHINE),
    REFUSED(NR_quotactl, GROUP_MACHINE),
    REFUSED(NR_quotactl_fd, GROUP_MACHINE),
    REFUSED(NR_acct, GROUP_MACHINE),
    REFUSED(NR_iopl, GROUP_MACHINE),
    REFUSED(NR_ioperm, GROUP_MACHINE),
    {NR_mknod, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 1, S_IFMT, S_IFCHR}}, NULL, GROUP_MACHINE},
    {NR_mknod, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 1, S_IFMT, S_IFBLK}}, NULL, GROUP_MACHINE},
    {NR_mknodat, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 2, S_IFMT, S_IFCHR}}, NULL, GROUP_MACHINE},
    {NR_mknodat, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 2, S_IFMT, S_IFBLK}}, NULL, GROUP_MACHINE},
    TRAP(NR_personality, CALL_NONE, ALWAYS, ALLOWED, IS(0, UINT32_MAX)), /* asks */
    {NR_personality, CALL_NONE, ALWAYS, FAILS(EPERM), {HAS_BIT(0, ~(uint32_t)PERSONALITY_HARMLESS)}, NULL,
     GROUP_PERSONALITY},

    /* ioctl: what types into terminals, makes packets, or changes interfaces and routes. Of the socket ioctls only
     * those that read are let through. */
    REFUSED_IOCTL(0x5412 /* TIOCSTI */, GROUP_TTY),
    REFUSED_IOCTL(0x541C /* TIOCLINUX */, GROUP_TTY),
    REFUSED_IOCTL(0x5501 /* UI_DEV_CREATE: a keyboard */, GROUP_TTY),
    REFUSED_IOCTL(0xAA00 /* USERFAULTFD_IOC_NEW */, GROUP_USERFAULTFD),
    REFUSED(NR_userfaultfd, GROUP_USERFAULTFD),
    REFUSED_IOCTL(0x400454CA /* TUNSETIFF */, GROUP_INTERFACES),
    {NR_ioctl, CALL_NONE, ALWAYS, FAILS(EPERM), {{BPF_EQUAL, 1, 0xFF00, 0xAF00}}, NULL, GROUP_INTERFACES}, /* VHOST_* */
    TRAP(NR_ioctl, CALL_NONE, ALWAYS, ALLOWED, {BPF_UNLIKE, 1, 0xFFFFFF00, 0x8900}),
    TRAP(NR_ioctl, CALL_NONE, ALWAYS, ALLOWED, {BPF_EQUAL, 1, 0xFFFFFFF0, 0x8900}), /* FIOSETOWN .. */
    PERMITTED_IOCTL(0x8910 /* SIOCGIFNAME */),
    PERMITTED_IOCTL(0x8912 /* SIOCGIFCONF */),
    PERMITTED_IOCTL(0x8913 /* SIOCGIFFLAGS */),
    PERMITTED_IOCTL(0x8915 /* SIOCGIFADDR */),
    PERMITTED_IOCTL(0x8917 /* SIOCGIFDSTADDR */),
    PERMITTED_IOCTL(0x8919 /* SIOCGIFBRDADDR */),
    PERMITTED_IOCTL(0x891B /* SIOCGIFNETMASK */),
    PERMITTED_IOCTL(0x891D /* SIOCGIFMETRIC */),
    PERMITTED_IOCTL(0x8921 /* SIOCGIFMTU */),
    PERMITTED_IOCTL(0x8927 /* SIOCGIFHWADDR */),
    PERMITTED_IOCTL(0x8929 /* SIOCGIFSLAVE */),
    PERMITTED_IOCTL(0x8933 /* SIOCGIFINDEX */),
    PERMITTED_IOCTL(0x8938 /* SIOCGIFCOUNT */),
    PERMITTED_IOCTL(0x8942 /* SIOCGIFTXQLEN */),
    PERMITTED_IOCTL(0x894B /* SIOCOUTQNSD */),
    PERMITTED_IOCTL(0x8946 /* SIOCETHTOOL: its changes take CAP_NET_ADMIN */),
    PERMITTED_IOCTL(0x8954 /* SIOCGARP */),
    PERMITTED_IOCTL(0x8970 /* SIOCGIFMAP */),
    {NR_ioctl, CALL_NONE, ALWAYS, FAILS(EPERM), {{0}}, NULL, GROUP_INTERFACES},
};

/* Is this row part of the filter? */
static bool trap_applies(const struct trap *trap, bool leaders_table)
{
    if (settings.allowed_groups & 1u << trap->group)
        return false;
    switch (trap->when) {
    case ALWAYS:
        return true;
    case WHEN_UDP:
        return policy.open[PROTOCOL_UDP];
    case WHEN_ICMP:
        return policy.open[PROTOCOL_ICMP];
    case WHEN_SENDS:
        return policy.traps_sends;
    case WHEN_HTTP:
        return policy.n_http_rules > 0 || policy.any[LIST_HTTP];
    case WHEN_LEARNING:
        return policy.undecided == UNDECIDED_LEARNED;
    case WHEN_HOSTS:
        return ((policy.n_names > 0 || settings.live) && !settings.no_hosts) ||
               policy.undecided == UNDECIDED_LEARNED;
    case WHEN_KNOBS:
        return settings.closes_knobs;
    case WHEN_UNSTEERED:
        return !settings.allow_steering;
    case WHEN_REMAPPED:
        return settings.port_remap;
    case WHEN_UNSCOPED:
        return settings.unscoped;
    case WHEN_UNPRIVILEGED:
        return settings.unprivileged;
    case WHEN_LEADERS_TABLE:
        return leaders_table;
    case WHEN_NAMED:
        return settings.name != NULL;
    }
    return true;
}

/* Does this row permit sockets that we have to make ourselves, to have them pinned? */
static bool trap_makes_socket(const struct trap *trap)
{
    return settings.no_getfd && trap->number == NR_socket && trap->result == ALLOWED &&
           !(trap->conditions[0].mask == UINT32_MAX && trap->conditions[0].value == AF_NETLINK);
}

/* The filter of this policy. leaders_table: the kernel can only read a leader's descriptors (no PIDFD_THREAD). */
static int traps_assemble(struct bpf_program *program, enum machine machine, bool leaders_table)
{
    struct bpf_row rows[ARRAY_LEN(traps) + DENIED_CALLS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < settings.n_denied_calls; i++) /* first: they go before every row of ours */
        rows[n++] = (struct bpf_row){.number = number_on(settings.denied_calls[i], machine), .result = FAILS(EPERM)};

    for (size_t i = 0; i < ARRAY_LEN(traps); i++) {
        if (!trap_applies(&traps[i], leaders_table))
            continue;
        rows[n].number = number_on(traps[i].number, machine);
        rows[n].result = trap_makes_socket(&traps[i]) ? ASKED : traps[i].result;
        memcpy(rows[n].conditions, traps[i].conditions, sizeof rows[n].conditions);
        n++;
    }
    return bpf_assemble(program, machine, rows, n, SECCOMP_RET_ALLOW);
}

/* The row that trapped this call; NULL: none. */
static const struct trap *trap_of(int number, const uint64_t args[6])
{
    for (size_t i = 0; i < ARRAY_LEN(traps); i++)
        if (number_on(traps[i].number, MACHINE_OURS) == number && trap_applies(&traps[i], false) &&
            bpf_matches(traps[i].conditions, args))
            return &traps[i];
    return NULL;
}

/* What each of our machine's calls means here. */
static uint8_t calls[CALLS_MAX];

static void calls_init(void)
{
    for (size_t i = 0; i < ARRAY_LEN(traps); i++)
        if (traps[i].call != CALL_NONE)
            calls[number_on(traps[i].number, MACHINE_OURS)] = (uint8_t)traps[i].call;
}

/* ---- seeing: what was denied, for people and for programs ---- */

enum { EVENT_TEXT = TALLY_TEXT, EVENT_NAME = 160, SUMMARY_MAX = 20 };

/* One decision, as it is told. Strings are empty where there is nothing to say. */
struct event {
    const char *operation;        /* connect, sendto, socket ... */
    char subject[EVENT_TEXT];     /* tcp 10.0.0.1:443 */
    char protocol[64], address[EVENT_TEXT];
    unsigned port;
    char method[HTTP_METHOD_MAX + 1], host[HTTP_HOST_MAX + 1], path[PROXY_PATH_MAX]; /* of a request */
    enum verdict verdict;
    char rule[EVENT_TEXT];        /* the one that decided, as an option */
    char allow[EVENT_TEXT];       /* what would permit it, as an option */
};

/* What was denied and what was permitted, told apart. */
static struct tally seen_denied, seen_allowed;

/* The last lines of the log, for who asks a running sandbox for them, and who gets all that are to come. */
enum { LOG_KEPT = 64 };

static struct text kept_lines[LOG_KEPT];
static size_t n_kept_lines; /* in all */
static struct log_file followers[CLIENTS_MAX];
static size_t n_followers;

/* Write a line to the log, and to all who follow it. */
static void log_tell(struct text *line)
{
    struct text *kept = &kept_lines[n_kept_lines % LOG_KEPT];

    log_write(&log_to, line);
    if (settings.name == NULL)
        return;
    *kept = (struct text){.len = 0};
    text_add(kept, "event %.*s", (int)line->len, line->bytes);
    n_kept_lines += !kept->full;
    for (size_t i = 0; i < n_followers && !kept->full; i++)
        log_write(&followers[i], kept);
}

static void follower_remove(int fd)
{
    for (size_t i = n_followers; i-- > 0;)
        if (followers[i].fd == fd)
            followers[i] = followers[--n_followers];
}

static void event_tell_json(const struct event *event, pid_t pid, const char *name, uint64_t count)
{
    struct text line = {.len = 0};

    log_begin(&line);
    text_add(&line, ",\"pid\":%d,\"command\":", pid);
    text_add_json(&line, name);
    text_add(&line, ",\"operation\":\"%s\",\"protocol\":\"%s\"", event->operation, event->protocol);
    if (event->address[0] != 0) {
        text_add(&line, ",\"address\":");
        text_add_json(&line, event->address);
        text_add(&line, ",\"port\":%u", event->port);
    }
    const struct {
        const char *name, *value;
    } of_request[] = {{"method", event->method}, {"host", event->host}, {"path", event->path}};
    for (size_t i = 0; i < ARRAY_LEN(of_request); i++)
        if (of_request[i].value[0] != 0) {
            text_add(&line, ",\"%s\":", of_request[i].name);
            text_add_json(&line, of_request[i].value);
        }
    text_add(&line, ",\"verdict\":\"%s\",\"rule\":", event->verdict == VERDICT_DENY ? "denied" : "allowed");
    if (event->rule[0] != 0)
        text_add_json(&line, event->rule);
    else
        text_add(&line, "null");
    if (event->verdict == VERDICT_DENY && event->allow[0] != 0) {
        text_add(&line, ",\"allow\":");
        text_add_json(&line, event->allow);
    }
    text_add(&line, ",\"count\":%llu", (unsigned long long)count);
    if (log_to.lost > 0)
        text_add(&line, ",\"lost\":%llu", (unsigned long long)log_to.lost);
    text_add(&line, "}\n");
    log_tell(&line);
}

static void event_tell_text(const struct event *event, pid_t pid, const char *name, uint64_t count)
{
    static struct log_file to = {.fd = STDERR_FILENO};
    struct text line = {.len = 0};

    text_add(&line, "sandlock: denied %s %s by %s[%d]", event->operation, event->subject, name, pid);
    if (count > 1)
        text_add(&line, ", %llu times by now", (unsigned long long)count);
    if (event->allow[0] != 0)
        text_add(&line, ": allow it with %s", event->allow);
    else if (event->rule[0] != 0)
        text_add(&line, ": refused by %s", event->rule);
    else
        text_add(&line, ": no rule allows it");
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.bytes[i] < 0x20 || line.bytes[i] == 0x7f)
            line.bytes[i] = '?'; /* the name is the child's */
    text_add(&line, "\n");
    log_write(&to, &line);
}

static void event_tell(const struct event *event, pid_t tid)
{
    struct process_status status = {.leader = tid};
    char name[PROCESS_NAME_MAX];
    bool refused = event->verdict == VERDICT_DENY;

    if (!refused && !settings.log_allowed)
        return;
    struct tally *seen = refused ? &seen_denied : &seen_allowed;
    uint64_t count = tally_count(seen, event->operation, event->subject, event->allow);
    if (!tally_is_told(count) || (!(refused && settings.verbose) && log_to.fd < 0 && settings.name == NULL))
        return;
    process_name(tid, name);
    process_status_read(tid, &status);
    event_tell_json(event, status.leader, name, count);
    if (refused && settings.verbose)
        event_tell_text(event, status.leader, name, count);
}

/* What was denied, most of it once: at the end, for who sits at a terminal or asked by -v. */
static void events_summarize(void)
{
    if (settings.quiet)
        return;
    if (log_to.lost > 0)
        say("the log lost %llu lines: its reader was too slow", (unsigned long long)log_to.lost);
    if (!settings.verbose && !isatty(STDERR_FILENO))
        return;
    for (size_t i = 0; i < seen_denied.n && i < SUMMARY_MAX; i++) {
        const struct tally_entry *entry = &seen_denied.entries[i];

        if (i == 0)
            say("denied in all:");
        say("  %s, %llu time%s%s%s", entry->subject, (unsigned long long)entry->count, entry->count == 1 ? "" : "s",
            entry->advice[0] ? ": " : "", entry->advice);
    }
    if (seen_denied.n > SUMMARY_MAX)
        say("  and %llu more", (unsigned long long)(seen_denied.n - SUMMARY_MAX + seen_denied.left_out));
}

/* ---- one call: its types ---- */

/* Where an address leads. */
struct destination {
    enum destination_kind {
        DESTINATION_NONE, /* nowhere: a disconnect, or something that the kernel refuses by itself */
        DESTINATION_IP,
        DESTINATION_UNIX,
        DESTINATION_OTHER, /* a socket of a kind that doesn't exist inside */
    } kind;
    enum protocol protocol;
    struct ip_addr addr;
    uint16_t port;
    bool steered; /* it names the interface, too */
    bool dual;    /* a bind of :: that takes IPv4 as well */
    bool any_port; /* the port doesn't matter */
};

/* What somebody is asked about, to know it again: bytes that say nothing are zero. */
struct subject {
    uint64_t hi, lo;       /* of an IP address */
    uint64_t device, inode; /* of a unix socket's file */
    uint32_t kind, protocol, version, port;
    uint32_t binds;
    char name[UNIXDIAG_NAME_MAX + 1]; /* a unix socket's, as far as it goes */
};

/* Whose question it is: an answer that comes while a signal is handled is the repetition's. */
struct asking {
    uint64_t tid;
    struct subject subject;
};

enum answer { ANSWER_NONE, ANSWER_ALLOW, ANSWER_DENY, ANSWER_ALWAYS, ANSWER_NEVER, ANSWERS };

/* A trapped call, from its notification to its reply. */
struct request {
    uint64_t id;
    uint64_t args[6];
    pid_t tid;
    int number;
    enum call call;
    int pin; /* owned; -1: none */
    struct socket_kind kind;
    union address address; /* connect's and bind's */
    socklen_t address_len;
    struct destination to;
    bool was_pending;   /* this is not its first try */
    bool yields;        /* it doesn't wait, but has taken long enough for one turn */
    bool broken_pipe;   /* the caller is to get SIGPIPE */
    bool joined;        /* a connect that waits for another's */
    bool later;         /* it couldn't be judged yet: it is tried on the tick, and judged then */
    size_t sent_messages, sent_bytes; /* how far a send has come */
    uint64_t deadline;  /* SO_SNDTIMEO, on the clock of clock_ms; 0: none */
    uint64_t question;  /* that is open for it; 0: none */
    unsigned asks;      /* how often it was asked about */
    int refusal;        /* the errno where that isn't answered */
    struct subject asked;
    enum answer answer; /* to that: none, to allow or to deny */
};

/* What becomes of a request. */
struct outcome {
    enum { REPLY, CONTINUE, PEND, HOLD, VANISHED } what; /* HOLD: until the question about it is answered */
    int64_t value; /* of REPLY: >= 0, or -errno */
};

static struct supervisor {
    int listener, epoll, signals;
    pid_t command;
    bool killable;  /* WAIT_KILLABLE_RECV: signals don't repeat a call that was received */
    bool proc;      /* is there a /proc? */
    bool powers_off; /* our end is the machine's */
    struct pin_cache pins;
    struct closer closer;
    int hosts;      /* a sealed memfd: what /etc/hosts is inside; -1: the real one */
    int real_hosts; /* O_PATH, of the command's root; keeps its directory entries cached */
    struct helper proxy, lookups;
    struct hold holds[2]; /* where connects wait that go to the proxy: IPv4's, IPv6's */
    int hosts_mounted; /* or a mounted file's descriptor, to write in it; -1: it isn't */
    struct growing hosts_base; /* what it says without live rules */
} here = {.listener = -1, .epoll = -1, .signals = -1, .hosts = -1, .real_hosts = -1, .hosts_mounted = -1,
          .closer = {.pipe = -1}, .proxy = {.channel = -1}, .lookups = {.channel = -1},
          .holds = {{.full = -1}, {.full = -1}}};

static struct pintable made_sockets; /* the sockets that we made, where we have to */

static struct outcome outcome_reply(int64_t value)
{
    return (struct outcome){REPLY, value};
}

/* Close a descriptor of the child's that we hold. Ours may be the last reference: what could wait then is not for
 * us. */
static void release(int fd, struct socket_kind kind)
{
    if (fd < 0)
        return;
    if (kind.domain <= 0 ? pin_kind(fd, &kind) < 0 : socket_is(kind, IPPROTO_TCP) && pin_lingers(fd))
        closer_close(&here.closer, fd);
    else
        close(fd);
}

/* ---- parse: the only reader of the child's memory and descriptors ---- */

/* Pin argument 0. 0 or -errno. Our own shortage of descriptors is the caller's shortage of buffers. */
static int parse_pin(struct request *r)
{
    if (r->pin >= 0) /* it was held */
        return 0;
    r->pin = pin_take(&here.pins, r->tid, (int)r->args[0]);
    if (r->pin == -EMFILE || r->pin == -ENFILE)
        return -ENOBUFS;
    return r->pin < 0 ? r->pin : 0;
}

static enum protocol kind_protocol(struct socket_kind kind)
{
    switch (kind.protocol) {
    case IPPROTO_TCP:
        return PROTOCOL_TCP;
    case IPPROTO_UDP:
        return PROTOCOL_UDP;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return PROTOCOL_ICMP;
    }
    return PROTOCOLS;
}

/* 0.0.0.0 means this socket's own address (source: the one its PKTINFO names, version 0: none), or else loopback; ::
 * means loopback. The address is rewritten, so that what is judged is what is passed on. */
static void parse_unspecified(const struct request *r, union address *address, struct ip_addr source,
                              struct destination *to)
{
    static const struct ip_addr loopback4 = {0, INADDR_LOOPBACK, 4}, loopback6 = {0, 1, 6};
    union address bound;
    socklen_t len = sizeof bound;
    struct ip_addr own = {0, 0, 6};
    uint16_t port;

    if (getsockname(r->pin, &bound.any, &len) == 0)
        ip_addr_from_sockaddr(&bound, &own, &port);
    if (to->addr.version == 6)
        to->addr = own.version == 4 ? loopback4 : loopback6;
    else if (source.version == 4 && !ip_addr_is_unspecified(source))
        to->addr = source;
    else
        to->addr = own.version == 4 && !ip_addr_is_unspecified(own) ? own : loopback4;
    ip_addr_to_sockaddr(to->addr, ntohs(address->v4.sin_port), address->any.sa_family, &address->storage);
}

/* What names a unix socket is handled alone: one at a time. (That it has no file is said when we begin to serve: a first
 * value would put all of it into the program's file.) */
static struct unix_target unix_target;

/* The sockets that the sandbox bound. A bind is always trapped. */
static struct unix_own unix_own;

static bool is_send(enum call call)
{
    return call == CALL_SENDTO || call == CALL_SENDMSG || call == CALL_SENDMMSG;
}

/* Where this address leads on this socket, by the rules of ip(7), ipv6(7), unix(7) and what the kernel makes of
 * AF_UNSPEC. The address is brought to the form that is judged. 0, or -errno of a path that leads nowhere. */
static int parse_destination(const struct request *r, union address *address, socklen_t *len, struct ip_addr source,
                             struct destination *to)
{
    sa_family_t family = address->any.sa_family;
    bool datagram = !socket_is(r->kind, IPPROTO_TCP);

    *to = (struct destination){.kind = DESTINATION_NONE};
    if (*len < sizeof family)
        return 0;
    if (r->kind.domain == AF_UNIX) { /* a send of a stream or seqpacket socket goes to its peer, or nowhere */
        bool named = family == AF_UNIX && *len > sizeof family && *len <= sizeof address->local &&
                     !(is_send(r->call) && r->kind.type != SOCK_DGRAM);
        to->kind = named ? DESTINATION_UNIX : DESTINATION_NONE;
        if (!named || r->call == CALL_BIND)
            return 0;
        int found = unix_target_find(&unix_target, &unix_own, r->tid, r->kind.type, address, len);
        return found == -EAGAIN ? LATER : found;
    }
    if (!socket_is_ip(r->kind) || kind_protocol(r->kind) == PROTOCOLS) {
        to->kind = r->kind.domain == AF_NETLINK ? DESTINATION_NONE : DESTINATION_OTHER;
        return 0;
    }
    if (!datagram && is_send(r->call)) { /* a TCP send has no destination of its own */
        *len = 0;
        return 0;
    }
    /* A send on a datagram socket of IPv4 takes AF_UNSPEC for AF_INET; so does bind. To connect it means disconnect,
     * and to a send of IPv6 no address at all. */
    if (family == AF_UNSPEC && r->call != CALL_CONNECT && r->kind.domain == AF_INET)
        family = AF_INET;
    else if (family == AF_UNSPEC && is_send(r->call))
        *len = 0;
    if (!(family == AF_INET && *len >= sizeof address->v4) && !(family == AF_INET6 && *len >= 24))
        return 0;
    if (family == AF_INET6 && *len < sizeof address->v6)
        address->v6.sin6_scope_id = 0; /* RFC 2133's shorter form has none */
    sa_family_t given = address->any.sa_family;
    address->any.sa_family = family;
    to->kind = DESTINATION_IP;
    to->protocol = kind_protocol(r->kind);
    ip_addr_from_sockaddr(address, &to->addr, &to->port);
    to->dual = r->kind.domain == AF_INET6 && to->addr.version == 6 && ip_addr_is_unspecified(to->addr) &&
               r->call == CALL_BIND && sys_socket_option(r->pin, SOL_IPV6, IPV6_V6ONLY) == 0;
    if (r->call == CALL_BIND) /* which takes AF_UNSPEC with 0.0.0.0 only, as it shall say itself */
        address->any.sa_family = given;
    if (family == AF_INET6 && ip_addr_is_link_local(to->addr))
        to->steered = address->v6.sin6_scope_id != 0;
    if (to->protocol == PROTOCOL_ICMP)
        to->port = 0;
    if (ip_addr_is_unspecified(to->addr) && r->call != CALL_BIND)
        parse_unspecified(r, address, source, to);
    return 0;
}

/* connect, bind: a descriptor and an address. 0 or -errno, in the kernel's order of checks: to bind, what is no socket
 * comes before a bad address; to connect, only what is no descriptor (which is what O_PATH makes of it) does. */
static int parse_address(struct request *r)
{
    int64_t len = (int32_t)r->args[2];
    int result = parse_pin(r);

    if (result < 0)
        return result;
    int kind = pin_kind(r->pin, &r->kind);
    if (kind < 0 && (kind == -EBADF || r->call == CALL_BIND))
        return kind;
    if (len < 0 || len > ADDRESS_MAX)
        return -EINVAL;
    memset(&r->address, 0, sizeof r->address);
    result = child_read(r->tid, r->args[1], &r->address, (size_t)len);
    if (result < 0 || kind < 0)
        return result < 0 ? result : kind;
    r->address_len = (socklen_t)len;
    return parse_destination(r, &r->address, &r->address_len, (struct ip_addr){0, 0, 0}, &r->to);
}

/* What a send has before it now. There is one batch: a send that has to wait is read again, and judged again. */
static struct message_batch batch;
static struct destination batch_to[MESSAGES_AT_ONCE];

/* What a control message may be. */
enum control { CONTROL_PASSES, CONTROL_REFUSED, CONTROL_UNKNOWN };

/* Does this control message leave the destination as it was judged (threats.md, row 14)? Refused are those that change
 * it, or would use privileges of ours. */
static enum control parse_control_type(const struct cmsghdr *c, struct socket_kind kind)
{
    switch (c->cmsg_level) {
    case SOL_SOCKET:
        if (c->cmsg_type == SO_MARK)
            return CONTROL_REFUSED;
        if (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS)
            return CONTROL_PASSES; /* which only unix sockets look at */
        return kind.domain != AF_UNIX && (c->cmsg_type == SO_TIMESTAMPING || c->cmsg_type == KERNEL_SO_TXTIME)
                   ? CONTROL_PASSES : CONTROL_UNKNOWN;
    case SOL_IP:
        if (c->cmsg_type == IP_RETOPTS)
            return CONTROL_REFUSED;
        return c->cmsg_type == IP_TTL || c->cmsg_type == IP_TOS || c->cmsg_type == IP_PKTINFO ? CONTROL_PASSES
                                                                                             : CONTROL_UNKNOWN;
    case SOL_IPV6:
        switch (c->cmsg_type) {
        case IPV6_PKTINFO:
        case IPV6_HOPLIMIT:
        case IPV6_TCLASS:
        case IPV6_DONTFRAG:
            return CONTROL_PASSES;
        case IPV6_HOPOPTS:
        case IPV6_DSTOPTS:
        case IPV6_RTHDR:
        case IPV6_RTHDRDSTOPTS:
        case KERNEL_IPV6_2292PKTINFO:
        case KERNEL_IPV6_2292HOPOPTS:
        case KERNEL_IPV6_2292DSTOPTS:
        case KERNEL_IPV6_2292RTHDR:
        case KERNEL_IPV6_FLOWINFO:
            return CONTROL_REFUSED;
        }
        return CONTROL_UNKNOWN;
    case KERNEL_SOL_UDP:
        return c->cmsg_type == KERNEL_UDP_SEGMENT ? CONTROL_PASSES : CONTROL_UNKNOWN;
    case KERNEL_SOL_TLS:
        return c->cmsg_type == KERNEL_TLS_SET_RECORD_TYPE ? CONTROL_PASSES : CONTROL_UNKNOWN;
    }
    return CONTROL_UNKNOWN;
}

/* The interface that a PKTINFO names is taken out, but where the user permits steering. source: the source address
 * that it names, if it does. */
static void parse_packet_info(struct cmsghdr *c, struct ip_addr *source)
{
    if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

        info->ipi_ifindex = settings.allow_steering ? info->ipi_ifindex : 0;
        *source = ip_addr_from_v4(info->ipi_spec_dst);
    }
    if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
        c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

        info->ipi6_ifindex = settings.allow_steering ? info->ipi6_ifindex : 0;
        *source = ip_addr_from_v6(&info->ipi6_addr);
    }
}

/* Put our own descriptors in the place of the child's. 0 or -errno. */
static int parse_rights(const struct request *r, struct cmsghdr *c)
{
    size_t n = (c->cmsg_len - sizeof *c) / sizeof(int);
    int *fds = (int *)CMSG_DATA(c);

    if (n + batch.n_rights > MESSAGE_RIGHTS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        int fd = pin_take(&here.pins, r->tid, fds[i]);

        if (fd < 0)
            return fd == -EMFILE || fd == -ENFILE ? -ETOOMANYREFS : fd;
        batch.rights[batch.n_rights++] = fds[i] = fd;
    }
    return 0;
}

/* The caller's own credentials only, as for anyone without privileges; ours would permit more. 0 or -EPERM. */
static int parse_credentials(const struct request *r, struct cmsghdr *c)
{
    struct process_status status;
    struct ucred said;

    if (c->cmsg_len != CMSG_LEN(sizeof said))
        return -EINVAL;
    memcpy(&said, CMSG_DATA(c), sizeof said);
    if (process_status_read(r->tid, &status) < 0)
        return -EPERM;
    if (said.pid != status.leader || said.uid != status.uid || said.gid != status.gid)
        return -EPERM;
    said.pid = getpid(); /* no privilege of ours is used to say anything else */
    memcpy(CMSG_DATA(c), &said, sizeof said);
    return 0;
}

/* Control messages of message i: only what the allowlist knows. 0; -EPERM with *refused set; other -errno. */
static int parse_control(const struct request *r, size_t i, struct ip_addr *source, const struct cmsghdr **refused)
{
    struct kernel_msghdr *header = &batch.messages[i].header;
    uint8_t *at = (uint8_t *)(uintptr_t)header->control;
    size_t left = header->controllen;

    while (left >= sizeof(struct cmsghdr)) {
        struct cmsghdr *c = (struct cmsghdr *)(void *)at;
        int result = 0;

        if (c->cmsg_len < sizeof *c || c->cmsg_len > left) { /* the kernel says so too, when it gets there */
            memset(at + sizeof *c, 0, left - sizeof *c);
            return 0;
        }
        switch (parse_control_type(c, r->kind)) {
        case CONTROL_PASSES:
            parse_packet_info(c, source);
            break;
        case CONTROL_REFUSED:
            *refused = c;
            return -EPERM;
        case CONTROL_UNKNOWN: /* to this program, so it shall be to the kernel */
            c->cmsg_type = INT_MAX;
            break;
        }
        if (r->kind.domain == AF_UNIX && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            result = parse_rights(r, c);
        else if (r->kind.domain == AF_UNIX && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            result = parse_credentials(r, c);
        if (result < 0)
            return result;
        size_t step = (c->cmsg_len + 7) & ~(size_t)7;
        step = step < left ? step : left;
        at += step;
        left -= step;
    }
    return 0;
}

/* ---- decide: pure ---- */

static int64_t policy_find(enum rule_list list, enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    return ipset_find(&policy.sets[list][protocol][addr.version == 6], addr, port);
}

/* The deny rule that covers a destination, also by an IPv4 address that its IPv6 address embeds; -1: none. */
static int64_t policy_find_denied(enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    int64_t rule = policy_find(LIST_DENY, protocol, addr, port);
    struct ip_addr inner;

    for (unsigned i = 0; rule < 0 && policy.any[LIST_DENY] && ip_addr_embedded(addr, i, &inner); i++)
        rule = policy_find(LIST_DENY, protocol, inner, port);
    return rule;
}

/* Does a rule cover a name, if `text` is the rule's own? */
static bool unix_rule_covers_as(const struct unix_rule *rule, const char *text, const char *name, size_t name_len)
{
    if (text == NULL)
        return rule->kind == UNIX_ANY;
    size_t len = strlen(text);

    switch (rule->kind) {
    case UNIX_ANY:
        return true;
    case UNIX_ABSTRACT:
        return name[0] == '@' && name_len == len + 1 && memcmp(name + 1, text, len) == 0;
    case UNIX_PATH:
        return strcmp(name, text) == 0;
    case UNIX_BELOW:
        len = strcmp(text, "/") == 0 ? 0 : len;
        return strncmp(name, text, len) == 0 && name[len] == '/';
    }
    return false;
}

static bool unix_rule_covers(const struct unix_rule *rule, const struct unix_target *target)
{
    return unix_rule_covers_as(rule, rule->text, target->name, target->name_len);
}

/* Does a rule cover the path that its holder bound the target by, letter by letter? Symbolic links say nothing: they
 * may be the command's own by now. */
static bool unix_rule_covers_bound(const struct unix_rule *rule, const struct unix_target *target)
{
    const char *bound = target->bound;

    return bound[0] != 0 && path_is_plain(bound) &&
           (unix_rule_covers_as(rule, rule->text, bound, strlen(bound)) ||
            unix_rule_covers_as(rule, rule->written, bound, strlen(bound)));
}

/* Is this the very file that the rule's path was at start? */
static bool unix_rule_has_file(const struct unix_rule *rule, const struct unix_target *target)
{
    return rule->kind == UNIX_PATH && rule->inode != 0 && rule->inode == target->inode &&
           rule->device == target->device;
}

/* Does an allow rule cover the target: by the name that it has now, and by the path that it was bound by, since
 * whoever may write the directory can link or rename it; or by the very file that the rule's path was at start. */
static bool unix_rule_allows(const struct unix_rule *rule, const struct unix_target *target)
{
    bool by_path = rule->kind == UNIX_PATH || rule->kind == UNIX_BELOW;

    return unix_rule_covers(rule, target) &&
           (!by_path || unix_rule_has_file(rule, target) || unix_rule_covers_bound(rule, target));
}

static bool unix_rule_denies(const struct unix_rule *rule, const struct unix_target *target)
{
    return unix_rule_covers(rule, target) || unix_rule_has_file(rule, target) || unix_rule_covers_bound(rule, target) ||
           unix_rule_covers_as(rule, rule->text, target->leads, strlen(target->leads));
}

/* ---- live policy: what is changed while the command runs ---- */

enum {
    LIVE_SPECS_MAX = 8192,       /* of one change */
    LIVE_BOXES_MAX = 16384,      /* prefixes with ports that they come to */
    LIVE_UNIX_MAX = 256,
    LIVE_SCOPES_MAX = 256,       /* the sandbox's and those of processes */
    LIVE_RESTRICTIONS_MAX = 16,  /* of one scope that narrow it differently */
    LIVE_RULES_MAX = LIVESET_MAX + LIVE_UNIX_MAX, /* each has a place of its own at least */
    LIVE_TIME_MAX = 400 * 86400, /* seconds */
};

/* A decision's rule: a live one, or a restriction that leaves the destination out. */
#define RULE_LIVE ((int64_t)1 << 32)
#define RULE_RESTRICTION (RULE_LIVE + LIVE_RULES_MAX)
#define RULE_CONTROL (RULE_RESTRICTION + 1) /* no rule reaches a sandbox's control socket */

enum live_verb { LIVE_ALLOW, LIVE_DENY, LIVE_RESTRICT, LIVE_VERBS };

static const char *const live_verbs[LIVE_VERBS] = {"allow", "deny", "restrict"};

/* One SPEC of a change. It ends when nothing of it is left: newer changes take the place of what they repeat. */
struct live_rule {
    char *text;        /* as it was said; behind its NUL the addresses that its name had, or its socket; owned */
    uint64_t order;    /* of the change: later ones go before earlier ones */
    uint64_t ends;     /* on the clock of clock_ms; 0: never */
    uint32_t owner;    /* a scope's, or a restriction's */
    uint32_t places;   /* how many it has in live.set and live.unix_rules; 0: a free rule */
    enum live_verb verb;
};

/* A restriction's rules have an owner of their own. */
struct live_restriction {
    uint64_t order; /* 0: a free place */
    uint64_t ends;
};

/* Whose changes: the first is the sandbox's, and of no process; others are a process's and its descendants'. */
struct live_scope {
    struct lineage_id process; /* pid 0: a free place */
    struct live_restriction restrictions[LIVE_RESTRICTIONS_MAX];
    size_t n; /* rules, its restrictions' too, and restrictions */
};

static struct live {
    struct liveset set;
    struct live_rule rules[LIVE_RULES_MAX];
    struct {
        struct unix_rule rule; /* tag: of live.rules; text is owned */
        uint32_t owner;
    } unix_rules[LIVE_UNIX_MAX];
    size_t n_unix;
    struct live_scope scopes[LIVE_SCOPES_MAX];
    size_t n_processes;     /* scopes in use but the first */
    uint32_t free_rule, n_rules; /* the first free one of the list + 1, by owner; how many were ever used */
    uint64_t order;         /* of the last change; 0: there was none */
    uint64_t next_end;      /* the first of all ends; 0: none */
    bool names_changed;     /* what /etc/hosts shows inside is to be composed anew */
    struct lineage lineage;
} live;

/* Whose changes count for the call that is looked at: scopes, the nearest first; the sandbox's is the last. */
static struct {
    uint16_t scopes[LIVE_SCOPES_MAX];
    size_t n;
    bool lost; /* where the process comes from isn't known */
} asking;

static uint32_t live_owner(size_t scope)
{
    return (uint32_t)(scope * (LIVE_RESTRICTIONS_MAX + 1));
}

static uint32_t live_restriction_owner(size_t scope, size_t restriction)
{
    return (uint32_t)(live_owner(scope) + 1 + restriction);
}

static size_t live_scope_of(uint32_t owner)
{
    return owner / (LIVE_RESTRICTIONS_MAX + 1);
}

/* ---- live policy: what it says of a call ---- */

/* Find out whose changes count for this thread. */
static void live_ask(pid_t tid)
{
    static struct lineage_id line[LINEAGE_DEPTH];
    bool whole = true;

    asking.n = 0;
    size_t n = live.n_processes > 0 ? lineage_read(&live.lineage, tid, line, &whole) : 0;
    for (size_t i = 0; i < n; i++)
        for (size_t s = 1; s < LIVE_SCOPES_MAX; s++)
            if (lineage_same(live.scopes[s].process, line[i]))
                asking.scopes[asking.n++] = (uint16_t)s;
    asking.scopes[asking.n++] = 0;
    asking.lost = !whole;
}

/* What a rule or a change may say of a destination. */
enum says { SAYS_NOTHING, SAYS_ALLOW, SAYS_DENY };

/* Where a call leads, as the live policy is asked. */
struct live_question {
    enum protocol protocol;
    struct ip_addr addr;
    uint16_t port;
    bool any_port;                    /* a rule for any of its ports will do */
    const struct unix_target *target; /* not NULL: a unix socket instead */
};

/* The newest rule of an owner that speaks of it; -1: none. */
static int64_t live_find(uint32_t owner, const struct live_question *q)
{
    int64_t best = -1;

    if (q->target == NULL) {
        struct port_range port = {q->port, q->port};
        int64_t place = q->any_port ? liveset_find_any_port(&live.set, owner, (uint8_t)q->protocol, q->addr)
                                    : liveset_find(&live.set, owner, (uint8_t)q->protocol, ip_prefix_of(q->addr), port);

        return place < 0 ? place : (int64_t)live.set.rules[place].tag;
    }
    for (size_t i = 0; i < live.n_unix; i++) {
        const struct unix_rule *rule = &live.unix_rules[i].rule;
        bool denies = live.rules[rule->tag].verb == LIVE_DENY;

        if (live.unix_rules[i].owner == owner && (best < 0 || live.rules[rule->tag].order > live.rules[best].order) &&
            (denies ? unix_rule_denies(rule, q->target) : unix_rule_allows(rule, q->target)))
            best = rule->tag;
    }
    return best;
}

/* What a scope's newest change that speaks of it says; *rule: which it was. A restriction speaks of all that its rules
 * don't name. */
static enum says live_scope_says(size_t scope, const struct live_question *q, int64_t *rule)
{
    int64_t newest = live_find(live_owner(scope), q);
    uint64_t order = newest < 0 ? 0 : live.rules[newest].order;

    for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++)
        if (live.scopes[scope].restrictions[i].order > order && live_find(live_restriction_owner(scope, i), q) < 0) {
            *rule = RULE_RESTRICTION;
            return SAYS_DENY;
        }
    if (newest < 0)
        return SAYS_NOTHING;
    *rule = RULE_LIVE + newest;
    return live.rules[newest].verb == LIVE_DENY ? SAYS_DENY : SAYS_ALLOW;
}

/* The same, where a denied IPv4 address is also denied within an IPv6 address that embeds it. */
static enum says live_scope_says_of_all(size_t scope, const struct live_question *q, int64_t *rule)
{
    struct live_question inner = *q;
    enum says says = live_scope_says(scope, q, rule);

    for (unsigned i = 0; q->target == NULL && says != SAYS_DENY && ip_addr_embedded(q->addr, i, &inner.addr); i++) {
        int64_t within = live_find(live_owner(scope), &inner);

        if (within >= 0 && live.rules[within].verb == LIVE_DENY) {
            *rule = RULE_LIVE + within;
            return SAYS_DENY;
        }
    }
    return says;
}

/* What the live policy says; *rule: by which rule, where it says something. A process whose ancestors aren't known falls
 * under all that any process is denied. */
static enum says live_says(const struct live_question *q, int64_t *rule)
{
    enum says says = SAYS_NOTHING;
    int64_t by = -1;

    if (live.order == 0) /* nobody has been asked for */
        return says;
    for (size_t s = 1; asking.lost && s < LIVE_SCOPES_MAX && says != SAYS_DENY; s++)
        says = live.scopes[s].process.pid > 0 ? live_scope_says_of_all(s, q, &by) : SAYS_NOTHING;
    if (says != SAYS_DENY)
        says = SAYS_NOTHING;
    for (size_t i = 0; i < asking.n && says == SAYS_NOTHING; i++)
        says = live_scope_says_of_all(asking.scopes[i], q, &by);
    if (says != SAYS_NOTHING)
        *rule = by;
    return says;
}

/* ---- live policy: changing it ---- */

/* A change while it is read: nothing of it counts before all of it is understood. */
static struct live_change {
    enum live_verb verb;
    pid_t pid;         /* 0: the sandbox */
    uint64_t duration; /* in milliseconds; 0: for ever */
    char *texts[LIVE_SPECS_MAX]; /* of its rules, as live_rule has them; owned until they are a rule's */
    size_t n_specs;
    struct liveset_rule boxes[LIVE_BOXES_MAX]; /* tag: of specs */
    struct unix_rule unix_rules[LIVE_UNIX_MAX];
    size_t n_boxes, n_unix;
    const char *shut; /* what would have to be open, and isn't */
} change;

static void change_add_box(struct ip_prefix prefix, enum protocol protocol, struct port_range ports)
{
    bool whole = ports.first == 0 && ports.last == UINT16_MAX;

    if (change.n_boxes < LIVE_BOXES_MAX)
        change.boxes[change.n_boxes] = (struct liveset_rule){
            .prefix = prefix, .ports = ports, .kind = (uint8_t)protocol, .tag = (uint32_t)change.n_specs,
            .any_port = whole || change.verb != LIVE_DENY};
    change.n_boxes++; /* past the end: too many, which is said later */
}

/* One prefix of a rule, with all of its ports. */
static void change_add_prefix(struct ip_prefix prefix, void *argument)
{
    static const struct port_range all = {0, UINT16_MAX};
    const struct rule *rule = argument;

    for (unsigned p = 0; p < PROTOCOLS; p++)
        for (size_t i = 0; rule->protocols & 1u << p && i < (rule->n_ports ? rule->n_ports : 1); i++)
            change_add_box(prefix, (enum protocol)p, rule->n_ports ? rule->ports[i] : all);
}

/* The addresses of a rule's name, with spaces between. */
static rule_error change_add_addresses(struct slice at, struct rule *rule)
{
    if (at.len == 0)
        return "a host name without its addresses";
    while (at.p != NULL) {
        struct ip_addr addr;

        if (ip_addr_parse(slice_split(&at, ' '), &addr) < 0)
            return "a host name with something that is no address";
        change_add_prefix(ip_prefix_of(ip_addr_canonical(addr)), rule);
    }
    return NULL;
}

static void unix_rule_free(struct unix_rule *rule)
{
    free(rule->text);
    free(rule->written);
}

/* A unix socket: "DEVICE INODE PATH" says what its path was for whoever asks. */
static rule_error change_add_unix(struct slice target, struct slice at)
{
    struct unix_rule rule = {.tag = (uint32_t)change.n_specs};
    uint64_t device = 0, inode = 0;
    rule_error error = unix_rule_parse(target, &rule);

    if (error == NULL && change.n_unix == LIVE_UNIX_MAX)
        error = "too many unix sockets in one change";
    if (error == NULL && at.len > 0) {
        if (parse_uint(slice_split(&at, ' '), UINT64_MAX, &device) < 0 ||
            parse_uint(slice_split(&at, ' '), UINT64_MAX, &inode) < 0 || at.len == 0)
            error = "a socket that isn't described by its device, inode and path";
        rule.written = rule.text;
        rule.text = strndup(at.p, at.len);
        rule.device = (dev_t)device;
        rule.inode = (ino_t)inode;
    }
    if (error == NULL && rule.text == NULL && rule.kind != UNIX_ANY)
        error = "out of memory";
    if (error != NULL)
        unix_rule_free(&rule);
    else
        change.unix_rules[change.n_unix++] = rule;
    return error;
}

/* What an allowing rule needs of the filter, which can't be changed any more. */
static void change_need(const struct rule *rule)
{
    if (change.verb != LIVE_ALLOW)
        return;
    if (rule->protocols & 1u << PROTOCOL_UDP && !policy.open[PROTOCOL_UDP])
        change.shut = "UDP sockets";
    else if (rule->protocols & 1u << PROTOCOL_ICMP && !policy.open[PROTOCOL_ICMP])
        change.shut = "ICMP sockets";
}

/* One SPEC; at: the addresses of its name, or its socket's device, inode and path. NULL, or what is wrong with it. */
static rule_error change_add_spec(struct slice spec, struct slice at)
{
    static struct rule rule;
    struct slice target = spec;
    bool local = rule_cut_unix(&target);
    rule_error error;

    if (change.n_specs == LIVE_SPECS_MAX)
        return "one too many in one change";
    char *text = calloc(1, spec.len + at.len + 2);
    if (text == NULL)
        return "out of memory";
    memcpy(text, spec.p, spec.len);
    if (at.len > 0)
        memcpy(text + spec.len + 1, at.p, at.len);
    if (local)
        error = change_add_unix(target, at);
    else
        error = rule_parse(spec, change.verb == LIVE_DENY ? LIST_DENY : LIST_ALLOW, &rule);
    if (error == NULL && !local) {
        change_need(&rule);
        rule_each_prefix(&rule, change_add_prefix, &rule);
        if (rule.target == TARGET_NAME)
            error = change_add_addresses(at, &rule);
    }
    change.texts[change.n_specs++] = text;
    return error == NULL && change.n_boxes > LIVE_BOXES_MAX ? "too many addresses and ports in one change" : error;
}

/* Forget what was read. */
static void change_drop(void)
{
    while (change.n_unix > 0)
        unix_rule_free(&change.unix_rules[--change.n_unix]);
    while (change.n_specs > 0)
        free(change.texts[--change.n_specs]);
    change.n_boxes = 0;
}

/* What was said of a rule beside its text. */
static const char *live_rule_at(const struct live_rule *rule)
{
    return rule->text + strlen(rule->text) + 1;
}

static bool live_rule_is_named(const struct live_rule *rule)
{
    return live_rule_at(rule)[0] != 0 && strncmp(rule->text, "unix://", 7) != 0;
}

/* One of a scope's rules or restrictions is gone. A process without any is one as all others. */
static void live_scope_lost_one(size_t scope)
{
    if (--live.scopes[scope].n == 0 && live.scopes[scope].process.pid > 0) {
        live.scopes[scope].process.pid = 0;
        live.n_processes--;
    }
}

/* Take a rule's place away; with its last one it ends. */
static void live_leave(uint32_t tag)
{
    struct live_rule *rule = &live.rules[tag];

    if (--rule->places > 0)
        return;
    live.names_changed = live.names_changed || live_rule_is_named(rule);
    free(rule->text);
    live_scope_lost_one(live_scope_of(rule->owner));
    rule->owner = live.free_rule;
    live.free_rule = tag + 1;
}

static void live_remove_box(uint32_t place)
{
    uint32_t tag = live.set.rules[place].tag;

    liveset_remove(&live.set, place);
    live_leave(tag);
}

static void live_remove_unix(size_t i)
{
    uint32_t tag = live.unix_rules[i].rule.tag;

    unix_rule_free(&live.unix_rules[i].rule);
    live.unix_rules[i] = live.unix_rules[--live.n_unix];
    live_leave(tag);
}

/* Remove all rules of an owner, or (owner UINT32_MAX) all that have ended by `now`. */
static void live_remove_all(uint32_t owner, uint64_t now)
{
    for (uint32_t place = 0; place < live.set.used; place++) {
        const struct liveset_rule *box = &live.set.rules[place];

        if (box->order > 0 && (owner == UINT32_MAX ? live.rules[box->tag].ends != 0 && live.rules[box->tag].ends <= now
                                                   : box->owner == owner))
            live_remove_box(place);
    }
    for (size_t i = live.n_unix; i-- > 0;) {
        const struct live_rule *rule = &live.rules[live.unix_rules[i].rule.tag];

        if (owner == UINT32_MAX ? rule->ends != 0 && rule->ends <= now : live.unix_rules[i].owner == owner)
            live_remove_unix(i);
    }
}

/* Does `ends` come before a change that never does, or later, has ended? Then that takes its place for good. */
static bool live_outlasts(uint64_t newer, uint64_t ends)
{
    return newer == 0 || (ends != 0 && ends <= newer);
}

/* Is a box of the change within what a restriction names, or what was permitted since for good? */
static bool live_box_is_within(size_t scope, size_t restriction, const struct liveset_rule *box)
{
    int64_t place = liveset_find(&live.set, live_restriction_owner(scope, restriction), box->kind, box->prefix,
                                 box->ports);

    if (place >= 0)
        return true;
    place = liveset_find(&live.set, live_owner(scope), box->kind, box->prefix, box->ports);
    const struct live_rule *rule = place < 0 ? NULL : &live.rules[live.set.rules[place].tag];
    return rule != NULL && rule->verb == LIVE_ALLOW && rule->ends == 0 &&
           rule->order > live.scopes[scope].restrictions[restriction].order;
}

static bool live_unix_is_within(uint32_t owner, const struct unix_rule *inner)
{
    for (size_t i = 0; i < live.n_unix; i++)
        if (live.unix_rules[i].owner == owner && unix_rule_is_within(inner, &live.unix_rules[i].rule))
            return true;
    return false;
}

/* Does the change, a restriction, narrow more than an older one does? Then that one is of no use any more. */
static bool live_restricts_more(size_t scope, size_t restriction, uint64_t ends)
{
    const struct live_restriction *older = &live.scopes[scope].restrictions[restriction];
    bool within = older->order > 0 && live_outlasts(ends, older->ends);

    for (size_t i = 0; within && i < change.n_boxes; i++)
        within = live_box_is_within(scope, restriction, &change.boxes[i]);
    for (size_t i = 0; within && i < change.n_unix; i++)
        within = live_unix_is_within(live_restriction_owner(scope, restriction), &change.unix_rules[i]);
    return within;
}

static void live_remove_restriction(size_t scope, size_t restriction)
{
    live.scopes[scope].restrictions[restriction].order = 0;
    live_remove_all(live_restriction_owner(scope, restriction), 0);
    live_scope_lost_one(scope);
}

/* Put the change, a restriction, among its scope's others; those that it narrows further are of no use any more. Whose
 * its rules are, or -ENOSPC. */
static int64_t live_add_restriction(size_t scope, uint64_t ends)
{
    struct live_restriction *restrictions = live.scopes[scope].restrictions;
    size_t place = LIVE_RESTRICTIONS_MAX;

    for (size_t i = LIVE_RESTRICTIONS_MAX; i-- > 0;)
        if (restrictions[i].order == 0 || live_restricts_more(scope, i, ends))
            place = i;
    if (place == LIVE_RESTRICTIONS_MAX)
        return -ENOSPC;
    live.scopes[scope].n++;
    for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++)
        if (live_restricts_more(scope, i, ends))
            live_remove_restriction(scope, i);
    if (change.n_specs == 0 && ends == 0)
        live_remove_all(live_owner(scope), 0); /* nothing that was said before counts */
    restrictions[place] = (struct live_restriction){live.order, ends};
    return live_restriction_owner(scope, place);
}

/* Does a scope deny nothing, and is its process gone? Then nobody misses it; else it counts for descendants that are
 * lost, for ever. */
static bool live_scope_is_over(size_t scope)
{
    struct lineage_id process = live.scopes[scope].process;
    bool over = !lineage_same(lineage_now(process.pid), process);

    for (size_t i = 0; over && i < LIVE_RESTRICTIONS_MAX; i++)
        over = live.scopes[scope].restrictions[i].order == 0;
    for (size_t i = 0; over && i < live.n_rules; i++)
        over = live.rules[i].places == 0 || live.rules[i].owner != live_owner(scope) ||
               live.rules[i].verb == LIVE_ALLOW;
    return over;
}

/* Is it a process of the sandbox? */
static bool live_is_ours(pid_t pid)
{
    return pid > 0 && pid != here.closer.pid && process_descends(pid, getpid());
}

/* The scope of the change's process, which is made where it has none. -ESRCH: it is no process of the sandbox;
 * -ENOSPC: too many have one. */
static int live_scope(void)
{
    int place = -ENOSPC;

    if (change.pid == 0)
        return 0;
    struct lineage_id id = lineage_of_thread(&live.lineage, change.pid);
    if (id.pid == 0 || !live_is_ours(id.pid))
        return -ESRCH;
    for (int s = LIVE_SCOPES_MAX - 1; s > 0; s--) {
        if (lineage_same(live.scopes[s].process, id))
            return s;
        if (live.scopes[s].process.pid == 0)
            place = s;
    }
    for (int s = 1; place < 0 && s < LIVE_SCOPES_MAX; s++)
        if (live_scope_is_over((size_t)s)) {
            live_remove_all(live_owner((size_t)s), 0);
            place = s;
        }
    if (place > 0) {
        live.scopes[place].process = id;
        live.n_processes++;
    }
    return place;
}

/* A place for a rule that has been said; there is one for each box and each unix socket. */
static uint32_t live_add_rule(char *text, uint32_t owner, uint64_t ends)
{
    uint32_t tag = live.free_rule > 0 ? live.free_rule - 1 : live.n_rules++;

    if (live.free_rule > 0)
        live.free_rule = live.rules[tag].owner;
    live.rules[tag] = (struct live_rule){
        .text = text, .order = live.order, .ends = ends, .owner = owner, .verb = change.verb};
    live.scopes[live_scope_of(owner)].n++;
    live.names_changed = live.names_changed || live_rule_is_named(&live.rules[tag]);
    return tag;
}

/* Add a box; what it says again, older ones needn't say any more. */
static void live_add_box(const struct liveset_rule *box, uint64_t ends)
{
    for (int64_t place = liveset_like(&live.set, box, -1), next; place >= 0; place = next) {
        next = liveset_like(&live.set, box, place);
        if (live_outlasts(ends, live.rules[live.set.rules[place].tag].ends))
            live_remove_box((uint32_t)place);
    }
    live.rules[box->tag].places++;
    liveset_add(&live.set, box);
}

static void live_add_unix(const struct unix_rule *rule, uint32_t owner, uint64_t ends)
{
    for (size_t i = live.n_unix; i-- > 0;)
        if (live.unix_rules[i].owner == owner && unix_rule_is_within(&live.unix_rules[i].rule, rule) &&
            live_outlasts(ends, live.rules[live.unix_rules[i].rule.tag].ends))
            live_remove_unix(i);
    live.rules[rule->tag].places++;
    live.unix_rules[live.n_unix].rule = *rule;
    live.unix_rules[live.n_unix++].owner = owner;
}

/* Carry out the change that was read: all of it, or nothing. NULL, or why it can't be. */
static const char *change_apply(void)
{
    uint64_t ends = change.duration ? clock_ms() + change.duration : 0;

    if (change.pid > 0 && (!here.proc || settings.allowed_groups & 1u << GROUP_NAMESPACES))
        return "processes can't be told apart there: it has no /proc, or may make namespaces";
    if (live.set.n + change.n_boxes > LIVESET_MAX || live.n_unix + change.n_unix > LIVE_UNIX_MAX)
        return "there are too many live rules already; `restrict` to what is needed would be right";
    int scope = live_scope();
    if (scope == -ESRCH)
        return "no process of that sandbox has this number; that of `sandlock ps` or one below it has";
    if (scope < 0)
        return "too many processes have a policy of their own already; --for 10m would let them end";
    live.order++;
    int64_t owner = change.verb == LIVE_RESTRICT ? live_add_restriction((size_t)scope, ends)
                                                 : live_owner((size_t)scope);
    if (owner < 0)
        return "restricted too often, each time to something else; to nothing, and then `allow`, would be right";
    for (size_t i = 0, box = 0, local = 0; i < change.n_specs; i++) {
        uint32_t tag = live_add_rule(change.texts[i], (uint32_t)owner, ends);

        change.texts[i] = NULL;

        for (; box < change.n_boxes && change.boxes[box].tag == i; box++) {
            struct liveset_rule at = change.boxes[box];

            at.tag = tag;
            at.owner = (uint32_t)owner;
            at.order = live.order;
            live_add_box(&at, ends);
        }
        for (; local < change.n_unix && change.unix_rules[local].tag == i; local++) {
            change.unix_rules[local].tag = tag;
            live_add_unix(&change.unix_rules[local], (uint32_t)owner, ends);
        }
    }
    change.n_unix = 0; /* their texts are live.unix_rules' now */
    if (ends != 0 && (live.next_end == 0 || ends < live.next_end))
        live.next_end = ends;
    return NULL;
}

/* When the first of what is left ends. */
static uint64_t live_first_end(void)
{
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < live.n_rules; i++)
        if (live.rules[i].places > 0 && live.rules[i].ends != 0 && live.rules[i].ends < first)
            first = live.rules[i].ends;
    for (size_t s = 0; s < LIVE_SCOPES_MAX; s++)
        for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++) {
            const struct live_restriction *restriction = &live.scopes[s].restrictions[i];

            if (restriction->order > 0 && restriction->ends != 0 && restriction->ends < first)
                first = restriction->ends;
        }
    return first == UINT64_MAX ? 0 : first;
}

/* End what has ended. How many milliseconds until the next does; -1: nothing will. */
static int live_expire(void)
{
    uint64_t now = live.next_end == 0 ? 0 : clock_ms();

    if (live.next_end != 0 && live.next_end <= now) {
        for (size_t s = 0; s < LIVE_SCOPES_MAX; s++)
            for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++) {
                const struct live_restriction *restriction = &live.scopes[s].restrictions[i];

                if (restriction->order > 0 && restriction->ends != 0 && restriction->ends <= now)
                    live_remove_restriction(s, i);
            }
        live_remove_all(UINT32_MAX, now);
        live.next_end = live_first_end();
    }
    uint64_t left = live.next_end > now ? live.next_end - now : 0;
    return live.next_end == 0 ? -1 : left < INT32_MAX ? (int)left : INT32_MAX;
}

/* ---- decide: the verdict ---- */

/* Our own control socket, and the directories where such sockets are, without symbolic links; NULL: there is none. */
static struct {
    dev_t device;
    ino_t inode; /* 0: there is none */
    char *directories[2];
} control_place;

/* Is this a sandbox's control socket, ours above all? By any name that it has. */
static bool unix_target_controls(const struct unix_target *target)
{
    bool controls = control_place.inode != 0 && target->file >= 0 && target->inode == control_place.inode &&
                    target->device == control_place.device;

    for (size_t i = 0; i < ARRAY_LEN(control_place.directories); i++)
        if (control_place.directories[i] != NULL)
            controls = controls || path_is_beneath(target->name, control_place.directories[i]) ||
                       path_is_beneath(target->bound, control_place.directories[i]) ||
                       path_is_beneath(target->leads, control_place.directories[i]);
    return controls;
}

/* A unix socket: what the sandbox bound is inside; anything else takes a rule. What controls a sandbox never counts. */
static struct decision decide_unix(const struct unix_target *target)
{
    struct decision decision = {VERDICT_DENY, EACCES, -1};

    if (unix_target_controls(target)) {
        decision.rule = RULE_CONTROL;
        return decision;
    }
    for (size_t i = 0; i < policy.n_unix_rules; i++)
        if (policy.unix_rules[i].list == LIST_DENY && unix_rule_denies(&policy.unix_rules[i], target)) {
            decision.rule = policy.unix_rules[i].tag;
            return decision;
        }
    switch (live_says(&(struct live_question){.target = target}, &decision.rule)) {
    case SAYS_ALLOW:
        decision.verdict = VERDICT_ALLOW;
        return decision;
    case SAYS_DENY:
        if (decision.rule == RULE_RESTRICTION && target->holder == HELD_BY_NOBODY)
            decision.error = ECONNREFUSED;
        if (decision.rule != RULE_RESTRICTION || target->holder != HELD_INSIDE)
            return decision;
        decision.rule = -1; /* a restriction is about what is outside */
        break;
    case SAYS_NOTHING:
        break;
    }
    if (target->holder == HELD_INSIDE)
        decision.verdict = VERDICT_ALLOW;
    for (size_t i = 0; i < policy.n_unix_rules && decision.verdict == VERDICT_DENY; i++)
        if (policy.unix_rules[i].list == LIST_ALLOW && unix_rule_allows(&policy.unix_rules[i], target)) {
            decision.verdict = VERDICT_ALLOW;
            decision.rule = policy.unix_rules[i].tag;
        }
    if (decision.verdict == VERDICT_DENY && target->holder == HELD_BY_NOBODY)
        decision.error = ECONNREFUSED; /* as anybody would be */
    return decision;
}

/* A connection or a datagram to `to`. */
static struct decision decide(const struct destination *to)
{
    struct decision decision = {VERDICT_DENY, policy.deny_errno ? policy.deny_errno : ECONNREFUSED, -1};

    switch (to->kind) {
    case DESTINATION_NONE:
        return (struct decision){VERDICT_ALLOW, 0, -1};
    case DESTINATION_UNIX:
        return decide_unix(&unix_target);
    case DESTINATION_OTHER:
        decision.error = EACCES;
        return decision;
    case DESTINATION_IP:
        break;
    }
    if (to->steered && !settings.allow_steering) {
        decision.error = EPERM;
        return decision;
    }
    decision.rule = policy_find_denied(to->protocol, to->addr, to->port);
    if (decision.rule >= 0)
        return decision;
    struct live_question q = {.protocol = to->protocol, .addr = to->addr, .port = to->port, .any_port = to->any_port};
    enum says says = live_says(&q, &decision.rule);
    if (says == SAYS_DENY)
        return decision;
    if (says == SAYS_NOTHING && policy.any[LIST_ALLOW])
        decision.rule = policy_find(LIST_ALLOW, to->protocol, to->addr, to->port);
    enum proxy_protocol protocol;
    if (decision.rule >= 0 || (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY]))
        decision.verdict = to->protocol == PROTOCOL_TCP && http_governs(to->port, &protocol) ? VERDICT_REDIRECT
                                                                                            : VERDICT_ALLOW;
    return decision;
}

/* Joining a multicast group: a rule for any of its ports will do. */
static struct decision decide_group(const struct destination *to)
{
    struct destination group = *to;

    group.any_port = true;
    struct decision decision = decide(&group);
    bool denied = policy_find_denied(to->protocol, to->addr, 0) >= 0 || decision.rule >= RULE_LIVE;
    if (decision.verdict == VERDICT_DENY && !denied && to->protocol < PROTOCOLS &&
        ipset_covers(&policy.sets[LIST_ALLOW][to->protocol][to->addr.version == 6], to->addr))
        decision.verdict = VERDICT_ALLOW;
    decision.error = decision.verdict == VERDICT_ALLOW ? 0 : EPERM;
    return decision;
}

/* Taking a local port: by bind, or by listen, which takes one of the kernel's choice where none is bound. */
static struct decision decide_bind(const struct destination *to, bool listens)
{
    struct decision decision = {VERDICT_DENY, EACCES, -1};

    if (to->kind == DESTINATION_NONE)
        return (struct decision){VERDICT_ALLOW, 0, -1};
    if (to->kind != DESTINATION_IP)
        return decision;
    if (to->steered && !settings.allow_steering)
        return decision;
    decision.rule = policy_find(LIST_BIND_DENY, to->protocol, to->addr, to->port);
    if (decision.rule >= 0)
        return decision;
    decision.rule = policy_find(LIST_BIND, to->protocol, to->addr, to->port);
    if (decision.rule >= 0 && to->dual && policy_find(LIST_BIND, to->protocol, (struct ip_addr){0, 0, 4}, to->port) < 0)
        decision.rule = -1; /* :: takes IPv4's, too */
    if (decision.rule >= 0 || (to->port == 0 && !listens))
        decision.verdict = VERDICT_ALLOW;
    return decision;
}

/* Was it refused only since no rule names it? Where there is nobody to be reached, and where another option is what
 * would permit it, there is nothing to ask about. */
static bool is_undecided(const struct destination *to, struct decision decision)
{
    if (decision.verdict != VERDICT_DENY || decision.rule != RULE_NONE)
        return false;
    if (to->kind == DESTINATION_UNIX) /* and the name can be shown whole */
        return unix_target.holder != HELD_BY_NOBODY && unix_target.name_len <= EVENT_NAME &&
               strlen(unix_target.name) == unix_target.name_len;
    return to->kind == DESTINATION_IP && to->protocol < PROTOCOLS && !(to->steered && !settings.allow_steering);
}

/* ---- telling what was decided ---- */

static const char *scheme_of(enum protocol protocol)
{
    static const char *const schemes[PROTOCOLS] = {"", "udp://", "icmp://"};

    return schemes[protocol];
}

static void event_name_rule(struct event *event, int64_t rule)
{
    if (rule == RULE_ASKED)
        snprintf(event->rule, sizeof event->rule, "--ask");
    if (rule < 0)
        return;
    if (rule == RULE_CONTROL) {
        snprintf(event->rule, sizeof event->rule, "a sandbox is controlled from outside only");
        return;
    }
    if (rule >= RULE_LIVE) {
        const struct live_rule *said = rule == RULE_RESTRICTION ? NULL : &live.rules[rule - RULE_LIVE];

        snprintf(event->rule, sizeof event->rule, "live %s %s", live_verbs[said ? said->verb : LIVE_RESTRICT],
                 said ? said->text : "");
        return;
    }
    const struct rule_text *text = &policy.texts[rule];
    const char *quote = text->list == LIST_HTTP || text->list == LIST_HTTP_DENY ? "'" : "";
    snprintf(event->rule, sizeof event->rule, "%s %s%.*s%s", list_options[text->list], quote, (int)text->text.len,
             text->text.p, quote);
}

/* What there is to say of a destination, a bind or a listen. */
static void event_of_destination(struct event *event, const struct destination *to, struct decision decision,
                                 bool binds)
{
    char endpoint[IP_ENDPOINT_MAX];

    event->verdict = decision.verdict;
    event_name_rule(event, decision.rule);
    if (to->kind == DESTINATION_UNIX) {
        snprintf(event->protocol, sizeof event->protocol, "unix");
        snprintf(event->address, sizeof event->address, "%.*s", EVENT_NAME, unix_target.name);
        snprintf(event->subject, sizeof event->subject, "unix %.*s", EVENT_NAME, unix_target.name);
        if (decision.verdict == VERDICT_DENY && decision.rule < 0)
            snprintf(event->allow, sizeof event->allow, "--net-allow unix://%.*s", EVENT_NAME, unix_target.name);
        return;
    }
    if (to->kind != DESTINATION_IP) {
        snprintf(event->protocol, sizeof event->protocol, "other");
        snprintf(event->subject, sizeof event->subject, "a socket of another kind");
        return;
    }
    const char *name = to->protocol < PROTOCOLS ? protocol_names[to->protocol] : "other";
    snprintf(event->protocol, sizeof event->protocol, "%s", name);
    ip_addr_format(event->address, sizeof event->address, to->addr);
    event->port = to->port;
    ip_endpoint_format(endpoint, sizeof endpoint, to->addr, to->port);
    snprintf(event->subject, sizeof event->subject, "%s %s", event->protocol, endpoint);
    if (to->steered && !settings.allow_steering)
        snprintf(event->allow, sizeof event->allow, "--allow-steering");
    else if (decision.verdict == VERDICT_DENY && decision.rule < 0 && to->protocol < PROTOCOLS && binds)
        snprintf(event->allow, sizeof event->allow, "--net-allow-bind %s%u", scheme_of(to->protocol), to->port);
    else if (decision.verdict == VERDICT_DENY && decision.rule < 0 && to->protocol < PROTOCOLS)
        snprintf(event->allow, sizeof event->allow, "--net-allow %s%s", scheme_of(to->protocol), endpoint);
}

/* ---- names that the command looks up: --ask tells them, learn writes them down ---- */

static struct seen_name {
    char text[DNS_NAME_MAX + 1];
    uint16_t command; /* whose it was, an index of learned_commands */
} seen_names[SEEN_NAMES_MAX];

/* The addresses that the names have, by a look-up of our own. */
static struct seen_addr {
    struct ip_addr addr;
    size_t name;
} seen_addrs[SEEN_ADDRS_MAX];

static size_t n_seen, n_seen_sent, n_seen_answered, n_seen_addrs;

/* Have the names that are new looked up; what the helper doesn't take now waits. */
static void seen_send(void)
{
    while (here.lookups.channel >= 0 && n_seen_sent < n_seen) {
        struct lookup lookup = {.tag = (uint64_t)n_seen_sent << 32 | UINT32_MAX};

        snprintf(lookup.name, sizeof lookup.name, "%.*s.", DNS_NAME_MAX - 1, seen_names[n_seen_sent].text);
        if (send(here.lookups.channel, &lookup, sizeof lookup, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return;
        n_seen_sent++;
    }
}

/* The index of a name; SEEN_NAMES_MAX: there is no room for it. */
static size_t seen_add(const char *text, uint16_t command)
{
    size_t at = 0;

    while (at < n_seen && strcmp(seen_names[at].text, text) != 0)
        at++;
    if (at == n_seen && n_seen < SEEN_NAMES_MAX) {
        snprintf(seen_names[n_seen].text, sizeof seen_names[0].text, "%s", text);
        seen_names[n_seen++].command = command;
        seen_send();
    }
    return at;
}

/* A name's addresses have come. */
static void seen_take(const struct lookup *lookup)
{
    n_seen_answered++;
    for (size_t i = 0; i < lookup->n && i < LOOKUP_ADDRS && n_seen_addrs < SEEN_ADDRS_MAX; i++)
        seen_addrs[n_seen_addrs++] = (struct seen_addr){lookup->addrs[i], lookup->tag >> 32};
}

/* The next name from *at on that has this address; SEEN_NAMES_MAX: there is none. */
static size_t seen_find(struct ip_addr addr, size_t *at)
{
    while (*at < n_seen_addrs)
        if (ip_addr_equal(seen_addrs[(*at)++].addr, addr))
            return seen_addrs[*at - 1].name;
    return SEEN_NAMES_MAX;
}

/* The hosts file's name for an address that isn't this machine's own; empty: none. */
static struct slice hosts_name_of(struct ip_addr addr)
{
    struct slice file = growing_slice(&hosts_known), name;
    struct hosts_line line;

    while (!ip_addr_is_loopback(addr) && hosts_next(&file, &line))
        if (ip_addr_equal(ip_addr_canonical(line.addr), addr) && (name = hosts_word(&line.names)).len > 0 &&
            dns_name_valid(name))
            return name;
    return (struct slice){NULL, 0};
}

/* A name by which an address is known here: the policy's, one that was looked up, the hosts file's. Empty: none. */
static struct slice name_of(struct ip_addr addr)
{
    size_t at = 0;

    for (size_t i = 0; i < policy.n_names; i++)
        for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
            for (size_t a = 0; a < policy.names[i].families[f].n; a++)
                if (ip_addr_equal(policy.names[i].families[f].addrs[a], addr))
                    return policy.names[i].name;
    size_t seen = seen_find(addr, &at);
    return seen < SEEN_NAMES_MAX ? slice_of(seen_names[seen].text) : hosts_name_of(addr);
}

/* ---- learning: what no rule decides is permitted, and noted ---- */

/* What the command did. */
static struct learned {
    enum learned_kind { LEARNED_REACH, LEARNED_BIND, LEARNED_UNIX, LEARNED_REFUSED } kind;
    enum protocol protocol;
    struct ip_addr addr;
    uint16_t port;
    bool any_port;          /* it is another one each time */
    bool sent;              /* of UDP: not connected only */
    bool asks, asks_beyond; /* a nameserver: it was asked; also for what /etc/hosts can't tell, or by who doesn't read it */
    char *text;             /* a unix socket's name, what was refused; owned, lives to exit */
    const char *allow;      /* the option that would permit it */
    uint64_t commands[LEARNED_COMMANDS / 64];
    size_t hint;            /* the name that its process looked up last, + 1; 0: none */
} learned[LEARNED_MAX];

static uint16_t learned_index[2 * LEARNED_MAX]; /* by hash: 1 + the place in learned; 0: free */
static size_t n_learned, learned_lost;
static char learned_commands[LEARNED_COMMANDS][PROCESS_NAME_MAX]; /* the last one stands for all others */
static size_t n_learned_commands;
static bool learned_datagrams;              /* unix datagram sockets are used */
static bool learned_ports[PROTOCOLS][65536]; /* that the kernel chose for the command's own sockets */
static struct cookieset learned_ephemeral, learned_servers; /* sockets with such a port, and with one of their own choice */

/* What is known of a process, by its number modulo their count. */
static struct learned_process {
    pid_t leader;
    bool reads_hosts;
    size_t name; /* the last one that it looked up, + 1; 0: none */
} learned_processes[LEARNED_PROCESSES];

static struct learned_process *learned_process_of(pid_t tid)
{
    struct process_status status = {.leader = tid};

    process_status_read(tid, &status);
    struct learned_process *process = &learned_processes[(unsigned)status.leader % LEARNED_PROCESSES];
    if (process->leader != status.leader)
        *process = (struct learned_process){.leader = status.leader};
    return process;
}

static uint16_t learned_command_of(pid_t tid)
{
    char name[PROCESS_NAME_MAX];
    size_t at = 0;

    process_name(tid, name);
    while (at < n_learned_commands && strcmp(learned_commands[at], name) != 0)
        at++;
    if (at < n_learned_commands)
        return (uint16_t)at;
    snprintf(learned_commands[at], sizeof learned_commands[at], "%s", at == LEARNED_COMMANDS - 1 ? "others" : name);
    n_learned_commands += n_learned_commands < LEARNED_COMMANDS - 1;
    return (uint16_t)at;
}

static bool learned_same(const struct learned *a, const struct learned *b)
{
    return a->kind == b->kind && a->protocol == b->protocol && ip_addr_equal(a->addr, b->addr) && a->port == b->port &&
           a->any_port == b->any_port && strcmp(a->text ? a->text : "", b->text ? b->text : "") == 0;
}

/* Note what thread tid did, if it is new; the note. NULL: there is no room. */
static struct learned *learn(pid_t tid, const struct learned *what)
{
    uint16_t command = learned_command_of(tid);
    uint64_t hash = what->addr.hi ^ what->addr.lo << 20 ^ (uint64_t)what->port << 8 ^ what->kind << 4 ^ what->protocol;
    size_t at = (tally_hash(hash * 0x9e3779b97f4a7c15, what->text ? what->text : "") >> 32) % ARRAY_LEN(learned_index);

    while (learned_index[at] != 0 && !learned_same(&learned[learned_index[at] - 1], what))
        at = (at + 1) % ARRAY_LEN(learned_index);
    if (learned_index[at] == 0 && n_learned == LEARNED_MAX) {
        learned_lost++;
        return NULL;
    }
    struct learned *note = &learned[learned_index[at] == 0 ? n_learned : learned_index[at] - 1u];
    if (learned_index[at] == 0) {
        *note = *what;
        note->text = what->text ? strdup(what->text) : NULL;
        learned_index[at] = (uint16_t)++n_learned;
    }
    note->commands[command / 64] |= 1ull << command % 64;
    return note;
}

/* A destination, a port or a unix socket that no rule decides. sent: more than a connection was made. */
static void learn_destination(const struct request *r, const struct destination *to, bool sent)
{
    bool binds = r->call == CALL_BIND || r->call == CALL_LISTEN;
    struct learned what = {.kind = binds ? LEARNED_BIND : LEARNED_REACH, .protocol = to->protocol, .addr = to->addr,
                           .port = to->port, .text = unix_target.name};

    if (to->kind == DESTINATION_UNIX) {
        learn(r->tid, &(struct learned){.kind = LEARNED_UNIX, .text = unix_target.name});
        return;
    }
    what.text = NULL;
    if (binds)
        what.any_port = to->port == 0 || cookieset_has(&learned_ephemeral, pin_cookie(r->pin));
    else
        what.any_port = r->call == CALL_SETSOCKOPT || /* joining a group */
                        (ip_addr_is_loopback(to->addr) && learned_ports[to->protocol][to->port]) ||
                        (to->protocol == PROTOCOL_UDP && to->port >= 1024 &&
                         cookieset_has(&learned_servers, pin_cookie(r->pin))); /* a client's */
    what.port = what.any_port ? 0 : to->port;
    if (what.port == 0 && !what.any_port && to->protocol != PROTOCOL_ICMP)
        return; /* which leads nowhere */
    struct learned *note = learn(r->tid, &what);
    if (note != NULL && note->hint == 0)
        note->hint = learned_process_of(r->tid)->name;
    if (note != NULL && sent)
        note->sent = true;
}

/* A bind or listen was done: what the kernel chose will be another port next time. */
static void learn_bound(const struct request *r)
{
    bool ephemeral = r->to.port == 0;
    union address bound;
    socklen_t len = sizeof bound;
    struct ip_addr addr;
    uint16_t port;

    if (policy.undecided != UNDECIDED_LEARNED || r->to.kind != DESTINATION_IP || r->to.protocol >= PROTOCOLS ||
        getsockname(r->pin, &bound.any, &len) < 0 || ip_addr_from_sockaddr(&bound, &addr, &port) < 0)
        return;
    cookieset_add(ephemeral ? &learned_ephemeral : &learned_servers, pin_cookie(r->pin));
    if (ephemeral)
        learned_ports[r->to.protocol][port] = true;
}

static void learn_refused(const struct request *r, const char *subject, const char *allow)
{
    char text[EVENT_TEXT + 32];

    snprintf(text, sizeof text, "%s %s", call_names[r->call], subject);
    struct learned *note = learn(r->tid, &(struct learned){.kind = LEARNED_REFUSED, .text = text});
    if (note != NULL && note->allow == NULL && allow[0] != 0)
        note->allow = strdup(allow);
}

/* A question to a nameserver. */
static void learn_question(const struct request *r, const struct destination *to, uint16_t type, size_t name)
{
    struct learned_process *process = learned_process_of(r->tid);
    bool beyond = type != DNS_A && type != DNS_AAAA && type != DNS_TYPE_PTR && type != DNS_TYPE_SVCB &&
                  type != DNS_TYPE_HTTPS;

    if (name < SEEN_NAMES_MAX)
        process->name = name + 1;
    struct learned *note = learn(r->tid, &(struct learned){.kind = LEARNED_REACH, .protocol = to->protocol,
                                                           .addr = to->addr, .port = to->port});
    if (note == NULL)
        return;
    note->sent = note->asks = true;
    note->asks_beyond = note->asks_beyond || beyond || !process->reads_hosts;
}

/* Something is sent on an IP socket: the first bytes of it. to: where, or nowhere that it would say: to its peer. */
static void look_at_send(const struct request *r, const struct destination *to, const uint8_t *bytes, size_t len)
{
    struct destination peer = *to;
    union address address;
    socklen_t address_len = sizeof address;
    struct dns_question question;
    char name[DNS_NAME_MAX + 1];
    bool learns = policy.undecided == UNDECIDED_LEARNED;

    if (learns && r->kind.domain == AF_UNIX && r->kind.type == SOCK_DGRAM)
        learned_datagrams = true;
    if (!socket_is_ip(r->kind) || kind_protocol(r->kind) == PROTOCOLS)
        return;
    if (to->kind != DESTINATION_IP) {
        peer = (struct destination){.kind = DESTINATION_IP, .protocol = kind_protocol(r->kind)};
        if (getpeername(r->pin, &address.any, &address_len) < 0 ||
            ip_addr_from_sockaddr(&address, &peer.addr, &peer.port) < 0)
            return;
        if (learns && peer.protocol != PROTOCOL_TCP && is_undecided(&peer, decide(&peer)))
            learn_destination(r, &peer, true);
    }
    if (peer.port != DNS_PORT || peer.protocol == PROTOCOL_ICMP)
        return;
    if (peer.protocol == PROTOCOL_TCP && len > 2 && (size_t)(bytes[0] << 8 | bytes[1]) == len - 2) {
        bytes += 2;
        len -= 2;
    }
    if (dns_read_query(bytes, len, &question) < 0)
        return;
    bool addresses = (question.type == DNS_A || question.type == DNS_AAAA) && dns_name_text(&question.name, name);
    size_t seen = addresses ? seen_add(name, learns ? learned_command_of(r->tid) : 0) : SEEN_NAMES_MAX;
    if (learns && is_undecided(&peer, decide(&peer)))
        learn_question(r, &peer, question.type, seen);
}

/* How many destinations, binds and listens were permitted and refused, and what else was refused. */
static uint64_t n_permitted, n_denied;

static void tell_destination(const struct request *r, const struct destination *to, struct decision decision)
{
    bool binds = r->call == CALL_BIND || r->call == CALL_LISTEN;
    struct event event = {.operation = call_names[r->call]};

    if (to->kind == DESTINATION_NONE || (to->kind == DESTINATION_UNIX && decision.error == ECONNREFUSED))
        return; /* there is nobody to be refused */
    *(decision.verdict == VERDICT_ALLOW ? &n_permitted : &n_denied) += 1;
    if (decision.verdict == VERDICT_ALLOW && !settings.log_allowed)
        return;
    event_of_destination(&event, to, decision, binds);
    event_tell(&event, r->tid);
    if (policy.undecided == UNDECIDED_LEARNED && decision.verdict == VERDICT_DENY && decision.rule == RULE_NONE)
        learn_refused(r, event.subject, event.allow);
}

/* Something that isn't a destination was refused. */
static void tell_refused(const struct request *r, const char *subject, const char *allow)
{
    struct event event = {.operation = call_names[r->call], .verdict = VERDICT_DENY};

    n_denied++;
    snprintf(event.protocol, sizeof event.protocol, "%s", subject);
    snprintf(event.subject, sizeof event.subject, "%s", subject);
    snprintf(event.allow, sizeof event.allow, "%s", allow);
    event_tell(&event, r->tid);
    if (policy.undecided == UNDECIDED_LEARNED)
        learn_refused(r, subject, allow);
}

/* ---- HTTP: what a request may do (in the proxy) ---- */

/* Where a request's host leads, on a connection to a given destination. */
enum http_way {
    WAY_NONE,     /* it isn't that destination's name, nor one that a wildcard could cover */
    WAY_ORIGINAL, /* to the destination: it is its address or a name that has it */
    WAY_NAME,     /* to an address of the host, if a wildcard covers it */
};

/* Why a request was refused: what a report's result says. */
enum http_reason { REASON_RULES, REASON_FOREIGN, REASON_MALFORMED, REASON_NAMELESS };

/* What the policy's names have: is this one of them? Then `has`, whether the address is among its own. */
static const struct resolve_name *http_name_find(struct slice host, struct ip_addr addr, bool *has)
{
    *has = false;
    for (size_t i = 0; i < policy.n_names; i++) {
        const struct resolve_name *name = &policy.names[i];

        if (!hosts_name_equal(name->name, host))
            continue;
        for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
            for (size_t a = 0; a < name->families[f].n; a++)
                *has = *has || ip_addr_equal(name->families[f].addrs[a], addr);
        return name;
    }
    return NULL;
}

static enum http_way http_way(struct slice host, const struct ip_addr *literal, struct ip_addr addr)
{
    bool has;

    if (literal != NULL)
        return ip_addr_equal(*literal, addr) ? WAY_ORIGINAL : WAY_NONE;
    http_name_find(host, addr, &has);
    return has ? WAY_ORIGINAL : policy.http_any_host ? WAY_NAME : WAY_NONE;
}

static bool http_rule_has_host(const struct http_rule *rule, struct slice host, const struct ip_addr *literal)
{
    size_t dot = host.len - rule->host.len - 1;

    switch (rule->kind) {
    case HOST_ANY:
        return true;
    case HOST_ADDRESS:
        return literal != NULL && ip_addr_equal(rule->addr, *literal);
    case HOST_NAME:
        return literal == NULL && hosts_name_equal(rule->host, host);
    case HOST_BELOW:
        return literal == NULL && host.len > rule->host.len + 1 && host.p[dot] == '.' &&
               hosts_name_equal((struct slice){host.p + dot + 1, rule->host.len}, rule->host);
    }
    return false;
}

/* Methods are told apart by case, but what is denied is so in any. */
static bool http_rule_has_request(const struct http_rule *rule, struct slice method, struct slice path)
{
    bool any = slice_is(rule->method, "*"), denies = rule->list == LIST_HTTP_DENY;
    bool same = rule->method.len == method.len && (denies ? strncasecmp(rule->method.p, method.p, method.len)
                                                          : memcmp(rule->method.p, method.p, method.len)) == 0;

    return (any || same) && (rule->path.len == 0 || urlpath_matches(rule->path, path));
}

/* What the HTTP rules say of a request, or (tls) of a connection of which only the host is known. */
static struct decision http_decide(struct slice method, struct slice host, struct slice path, bool tls,
                                   struct ip_addr addr, enum http_way *way)
{
    struct decision decision = {VERDICT_DENY, 0, -1};
    struct ip_addr parsed;
    const struct ip_addr *literal = NULL;

    if (ip_addr_parse(host, &parsed) == 0) {
        parsed = ip_addr_canonical(parsed);
        literal = &parsed;
    }
    *way = http_way(host, literal, addr);
    for (size_t i = 0; i < policy.n_http_rules; i++) {
        const struct http_rule *rule = &policy.http_rules[i];
        bool denies = rule->list == LIST_HTTP_DENY, exact = rule->kind == HOST_NAME || rule->kind == HOST_ADDRESS;

        if (!http_rule_has_host(rule, host, literal) || !(tls || http_rule_has_request(rule, method, path)))
            continue;
        if (denies)
            return (struct decision){VERDICT_DENY, 0, rule->tag};
        if (decision.rule < 0 && !(tls && !http_rule_covers_tls(rule)) &&
            (*way == WAY_ORIGINAL || (*way == WAY_NAME && !exact)))
            decision = (struct decision){VERDICT_ALLOW, 0, rule->tag};
    }
    if (!policy.any[LIST_HTTP] && *way != WAY_NONE)
        decision.verdict = VERDICT_ALLOW;
    return decision;
}

static void http_copy(char *to, size_t room, struct slice text)
{
    size_t n = text.len < room ? text.len : room - 1;

    if (n > 0)
        memcpy(to, text.p, n);
    to[n] = 0;
}

/* The rule that would allow a request, as an option. */
static void http_format_rule(char *to, size_t room, const struct proxy_message *m)
{
    if (m->protocol == PROXY_TLS)
        snprintf(to, room, "--http-allow '* %s'", m->host);
    else
        snprintf(to, room, "--http-allow '%s %s%s'", m->method, m->host, m->path);
}

/* A line for who is refused. */
static void http_format_refusal(char *to, size_t room, const struct proxy_message *m)
{
    char rule[PROXY_TEXT_MAX / 2], at[IP_ENDPOINT_MAX];

    http_format_rule(rule, sizeof rule, m);
    ip_endpoint_format(at, sizeof at, m->addr, m->port);
    switch ((enum http_reason)m->result) {
    case REASON_MALFORMED:
    case REASON_NAMELESS:
        snprintf(to, room, "sandlock: malformed request");
        return;
    case REASON_FOREIGN:
        snprintf(to, room, "sandlock: denied: %s is no name of %s here; %s", m->host, at, rule);
        return;
    case REASON_RULES:
        break;
    }
    if (m->rule >= 0)
        snprintf(to, room, "sandlock: denied by %s '%.*s'", list_options[policy.texts[m->rule].list],
                 (int)policy.texts[m->rule].text.len, policy.texts[m->rule].text.p);
    else
        snprintf(to, room, "sandlock: denied: allow it with %s", rule);
}

/* Where a host leads that some rule permits requests to; WAY_NONE: none does. */
static enum http_way http_may_reach(struct slice host, struct ip_addr addr)
{
    struct ip_addr parsed;
    const struct ip_addr *literal = NULL;

    if (ip_addr_parse(host, &parsed) == 0) {
        parsed = ip_addr_canonical(parsed);
        literal = &parsed;
    }
    enum http_way way = http_way(host, literal, addr);
    if (!policy.any[LIST_HTTP])
        return way;
    for (size_t i = 0; i < policy.n_http_rules; i++)
        if (policy.http_rules[i].list == LIST_HTTP && http_rule_has_host(&policy.http_rules[i], host, literal) &&
            (way == WAY_ORIGINAL || policy.http_rules[i].kind == HOST_ANY || policy.http_rules[i].kind == HOST_BELOW))
            return way;
    return WAY_NONE;
}

/* The proxy's question: may this go? */
static void http_judge(const struct proxy_conn *c, const struct proxy_question *q, struct proxy_answer *answer)
{
    struct proxy_message report = {.kind = PROXY_REPORT, .protocol = c->protocol, .addr = c->addr, .port = c->port,
                                   .tid = c->tid, .rule = -1, .denied = true};
    bool known = q->kind == PROXY_REQUEST || q->kind == PROXY_HELLO;
    enum http_way way = WAY_NONE;

    http_copy(report.method, sizeof report.method, q->method);
    http_copy(report.host, sizeof report.host, q->host);
    http_copy(report.path, sizeof report.path, q->path);
    if (known) {
        struct decision decision = http_decide(q->method, q->host, q->path, q->kind == PROXY_HELLO, c->addr, &way);

        report.rule = decision.rule;
        report.denied = decision.verdict == VERDICT_DENY || (q->port != 0 && q->port != c->port);
    }
    report.result = q->kind == PROXY_MALFORMED ? REASON_MALFORMED : q->kind == PROXY_NAMELESS ? REASON_NAMELESS
                    : way == WAY_NONE && report.rule < 0 ? REASON_FOREIGN : REASON_RULES;
    answer->what = report.denied ? PROXY_REFUSED : way == WAY_ORIGINAL ? PROXY_PASSES : PROXY_LOOKS_UP;
    answer->alert = report.result == REASON_RULES ? TLS_ACCESS_DENIED : TLS_UNRECOGNIZED_NAME;
    http_format_refusal(answer->text, sizeof answer->text, &report);
    if (report.denied || settings.log_allowed)
        proxy_send(proxy.channel, &report, NULL, 0, 0);
}

/* ---- HTTP: the proxy's own side ---- */

/* All that the proxy calls: it opens nothing, connects nowhere, and sees no process. */
static const enum syscall_number proxy_calls[] = {
    NR_brk, NR_clock_gettime, NR_close, NR_epoll_ctl, NR_epoll_pwait, NR_epoll_wait, NR_exit_group, NR_fcntl,
    NR_madvise, NR_mmap, NR_mremap, NR_munmap, NR_pipe2, NR_recvfrom, NR_recvmsg, NR_restart_syscall, NR_sendmsg,
    NR_sendto, NR_shutdown, NR_splice,
};

/* Descriptors for ten thousand waiting calls, where the hard limit has them; the command's own limit stays. */
static void own_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max < OUR_DESCRIPTORS ? limit.rlim_max : OUR_DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void http_proxy_run(void)
{
    struct epoll_event event = {.events = EPOLLIN};

    own_raise_limit();
    proxy.channel = HELPER_CHANNEL;
    proxy.judge = http_judge;
    proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (proxy.epoll < 0 || epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, proxy.channel, &event) < 0 ||
        helper_confine(proxy_calls, ARRAY_LEN(proxy_calls)) < 0)
        return;
    proxy_run();
}

/* ---- what no rule decides: it is asked about, where there is somebody to be asked ---- */

static const char *const answer_words[ANSWERS] = {"", "allow", "deny", "always", "never"};

static struct asker asker;
static struct coprocess ask_helper = {-1, 0};

/* Answers for the rest of the run, by hash; kind 0 is a free place. */
static struct remembered {
    struct subject subject;
    bool allowed;
} remembered[2 * REMEMBERED_MAX];
static size_t n_remembered;

static struct subject subject_of(const struct destination *to, bool binds)
{
    struct subject subject;

    memset(&subject, 0, sizeof subject); /* padding, too: it is compared whole */
    subject.kind = to->kind;
    subject.binds = binds;
    if (to->kind == DESTINATION_UNIX) {
        subject.device = unix_target.file < 0 ? 0 : unix_target.device;
        subject.inode = unix_target.file < 0 ? 0 : unix_target.inode;
        snprintf(subject.name, sizeof subject.name, "%.*s", UNIXDIAG_NAME_MAX, unix_target.name);
    } else {
        subject.protocol = to->protocol;
        subject.hi = to->addr.hi;
        subject.lo = to->addr.lo;
        subject.version = to->addr.version;
        subject.port = to->port;
    }
    return subject;
}

static bool subject_same(const struct subject *a, const struct subject *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The place of what is remembered of a subject, or of what would be. */
static struct remembered *remembered_find(const struct subject *subject)
{
    const uint8_t *bytes = (const void *)subject;
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

    for (size_t i = 0; i < sizeof *subject; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    for (size_t at = hash % ARRAY_LEN(remembered);; at = (at + 1) % ARRAY_LEN(remembered))
        if (remembered[at].subject.kind == 0 || subject_same(&remembered[at].subject, subject))
            return &remembered[at];
}

/* false: there is no room left. */
static bool remember(const struct subject *subject, bool allowed)
{
    struct remembered *place = remembered_find(subject);

    if (place->subject.kind == 0 && n_remembered == REMEMBERED_MAX)
        return false;
    n_remembered += place->subject.kind == 0;
    *place = (struct remembered){*subject, allowed};
    return true;
}

/* What becomes of what no rule decides. VERDICT_ASK: it has to be asked about, and r says what. */
static struct decision settle(struct request *r, const struct destination *to, struct decision decision)
{
    if (policy.undecided == UNDECIDED_REFUSED || !is_undecided(to, decision))
        return decision;
    if (policy.undecided == UNDECIDED_LEARNED) {
        learn_destination(r, to, is_send(r->call));
        return (struct decision){VERDICT_ALLOW, 0, RULE_LEARNED};
    }
    struct subject subject = subject_of(to, r->call == CALL_BIND || r->call == CALL_LISTEN);
    const struct remembered *known = remembered_find(&subject);
    enum answer answer = r->answer != ANSWER_NONE && subject_same(&r->asked, &subject) ? r->answer : ANSWER_NONE;
    if (known->subject.kind != 0)
        answer = known->allowed ? ANSWER_ALLOW : ANSWER_DENY;
    decision.rule = RULE_ASKED;
    decision.verdict = answer == ANSWER_NONE ? VERDICT_ASK : answer == ANSWER_ALLOW ? VERDICT_ALLOW : VERDICT_DENY;
    if (decision.verdict == VERDICT_ASK) {
        r->asked = subject;
        r->answer = ANSWER_NONE;
        r->to = *to;
        r->refusal = decision.error;
    }
    return decision;
}

/* The verdict on r's destination, as the rules decide or who was asked; it is told. */
static struct decision judge(struct request *r, struct decision decision)
{
    decision = settle(r, &r->to, decision);
    if (decision.verdict != VERDICT_ASK)
        tell_destination(r, &r->to, decision);
    return decision;
}

/* The question about a held call, as a line of JSON that is still open. Empty: there would be too much to say. */
static void ask_compose(struct asker_question *q, const struct request *r)
{
    struct text line = {.len = 0};
    struct event event = {.operation = call_names[r->call]};
    struct process_status status = {.leader = r->tid};
    char name[PROCESS_NAME_MAX];

    process_name(r->tid, name);
    process_status_read(r->tid, &status);
    event_of_destination(&event, &r->to, (struct decision){VERDICT_DENY, 0, RULE_NONE},
                         r->call == CALL_BIND || r->call == CALL_LISTEN);
    text_add(&line, "{\"id\":%llu,\"operation\":\"%s\",\"protocol\":\"%s\",\"address\":", (unsigned long long)q->id,
             event.operation, event.protocol);
    text_add_json(&line, event.address);
    if (r->to.kind == DESTINATION_IP)
        text_add(&line, ",\"port\":%u", event.port);
    text_add(&line, ",\"pid\":%d,\"command\":", status.leader);
    text_add_json(&line, name);
    text_add(&line, ",\"allow\":");
    text_add_json(&line, event.allow);
    q->len = line.full ? 0 : line.len;
    memcpy(q->line, line.bytes, q->len);
}

/* How long an answer may take, in milliseconds. */
static uint64_t ask_patience(void)
{
    return 1000ull * (settings.ask_timeout ? settings.ask_timeout : ASK_SECONDS);
}

/* Ask about a held call, whom `holder` stands for. NULL: there is nobody to be asked, or it was asked too often. *now:
 * it has been answered already, while a signal was handled. */
static struct asker_question *ask_about(struct request *r, uint32_t holder, bool *now)
{
    struct asking about = {(uint64_t)r->tid, r->asked};
    uint8_t bytes[ASKER_ABOUT_MAX] = {0};
    uint64_t time = clock_ms();

    _Static_assert(sizeof about <= sizeof bytes, "what is asked about fits");
    memcpy(bytes, &about, sizeof about);
    struct asker_question *q = r->asks++ < ASKS_MAX ? asker_take_up(&asker, bytes, holder, time) : NULL;
    *now = q != NULL && q->answer != 0;
    if (q != NULL || r->asks > ASKS_MAX)
        return q;
    q = asker_open(&asker, bytes, holder, time, time + ask_patience());
    if (q != NULL)
        ask_compose(q, r);
    if (q != NULL && q->len == 0) {
        asker_close(&asker, q);
        q = NULL;
    }
    return q;
}

/* ---- execute: on our own copy and our own pin ---- */

/* Send a signal to exactly the thread that made this call. */
static void signal_thread(const struct request *r, int sig)
{
    int pidfd = here.pins.by_thread ? pin_pidfd(&here.pins, r->tid, false) : -1;

    if (pidfd >= 0)
        sys_pidfd_send_signal(pidfd, sig);
    else
        sys_tkill(r->tid, sig);
}

/* One try to connect a stream socket, which never waits. 0, -EINPROGRESS (begun now), -EALREADY (begun before),
 * -errno. The result of a connection that was begun before is taken by connecting again: SO_ERROR would leave the
 * socket's state behind. On loopback that is at once. */
static int connect_stream(struct request *r)
{
    bool blocks = pin_blocks(r->pin);

    if (blocks)
        pin_set_blocking(r->pin, false);
    int result = sys_result(connect(r->pin, &r->address.any, r->address_len));
    if (result == -EINPROGRESS && r->was_pending) { /* someone reset the socket meanwhile: this is a new connection */
        struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

        connect(r->pin, &nowhere, sizeof nowhere);
        result = -ECONNRESET;
    } else if (result == -EINPROGRESS && blocks) {
        result = sys_result(connect(r->pin, &r->address.any, r->address_len));
        if (result == -ECONNRESET || result == -EPIPE)
            result = 0; /* it was there, and is lost already: connect(2) would have been faster */
    } else if (result == -EALREADY && !r->was_pending) {
        r->joined = true;
    } else if (result == -EISCONN && (r->joined || r->was_pending)) {
        result = 0;
    }
    if (blocks)
        pin_set_blocking(r->pin, true);
    return result;
}

/* A unix connect, with the caller's rights: the server sees whose they are. It waits where the backlog is full. */
static struct outcome connect_unix(struct request *r)
{
    static struct creds ours;
    bool blocks = pin_blocks(r->pin);

    unix_own_add(&unix_own, r->pin); /* the kernel may bind it now (SO_PASSCRED) */
    if (r->to.kind != DESTINATION_UNIX)
        return outcome_reply(sys_result(connect(r->pin, &r->address.any, r->address_len)));
    if (creds_read(getpid(), &ours) < 0 || creds_take(&ours, &unix_target.caller) < 0)
        return outcome_reply(-EACCES);
    if (blocks)
        pin_set_blocking(r->pin, false);
    int result = sys_result(connect(r->pin, &r->address.any, r->address_len));
    if (blocks)
        pin_set_blocking(r->pin, true);
    creds_restore(&ours, &unix_target.caller);
    return result == -EAGAIN && blocks ? (struct outcome){PEND, 0} : outcome_reply(result);
}

static struct outcome execute_connect(struct request *r)
{
    if (r->to.kind == DESTINATION_NONE && r->address.any.sa_family == AF_UNSPEC)
        return outcome_reply(sys_result(connect(r->pin, &r->address.any, r->address_len)));
    if (r->kind.domain == AF_UNIX)
        return connect_unix(r);
    if (!socket_is(r->kind, IPPROTO_TCP))
        return outcome_reply(sys_result(connect(r->pin, &r->address.any, r->address_len)));
    int result = connect_stream(r);
    if (result == -EALREADY && (r->was_pending || pin_blocks(r->pin)))
        return (struct outcome){PEND, 0};
    return outcome_reply(result);
}

/* Do what follows with the caller's own user, groups and capabilities, where ours would be seen or count: root's, on
 * sockets that carry credentials. 0, or -EACCES; *ours is to be given to caller_leave then. */
static bool caller_counts(const struct request *r)
{
    return !socket_is_ip(r->kind) && geteuid() == 0;
}

static int caller_enter(const struct request *r, struct creds *ours, struct creds *theirs)
{
    if (creds_read(getpid(), ours) < 0 || creds_read(r->tid, theirs) < 0 || !notify_valid(here.listener, r->id))
        return -EACCES;
    return creds_take(ours, theirs);
}

/* We hold no capability ourselves; where a port takes one, the caller's own count. */
static int execute_bind(const struct request *r)
{
    static struct creds ours, theirs;
    int result = sys_result(bind(r->pin, &r->address.any, r->address_len));

    if (result == -EACCES && caller_enter(r, &ours, &theirs) == 0) {
        result = sys_result(bind(r->pin, &r->address.any, r->address_len));
        creds_restore(&ours, &theirs);
    }
    return result;
}

/* ---- --port-remap: a port that is taken outside has another number ---- */

static struct remap remap;

/* Tell that a port has another number outside. */
static void remap_tell(const struct request *r, uint16_t real)
{
    char endpoint[IP_ENDPOINT_MAX], name[PROCESS_NAME_MAX];
    struct text line = {.len = 0};

    ip_endpoint_format(endpoint, sizeof endpoint, r->to.addr, r->to.port);
    if (settings.verbose)
        say("%s %s is taken: outside it is port %u", protocol_names[r->to.protocol], endpoint, real);
    process_name(r->tid, name);
    log_begin(&line);
    text_add(&line, ",\"pid\":%d,\"command\":", r->tid);
    text_add_json(&line, name);
    ip_addr_format(endpoint, sizeof endpoint, r->to.addr);
    text_add(&line, ",\"operation\":\"remap\",\"protocol\":\"%s\",\"address\":\"%s\",\"port\":%u,\"real\":%u}\n",
             protocol_names[r->to.protocol], endpoint, r->to.port, real);
    log_write(&log_to, &line);
}

/* Remember a socket that has a port from now on; asked: 0 where the kernel was to pick one. */
static void remap_note(const struct request *r, uint16_t asked)
{
    struct process_status status = {.leader = r->tid};
    struct remap_port port = {.protocol = r->kind.protocol, .fd = (int)r->args[0], .dual = r->to.dual};
    union address bound;
    socklen_t len = sizeof bound;
    struct stat file;

    if (getsockname(r->pin, &bound.any, &len) < 0 || ip_addr_from_sockaddr(&bound, &port.addr, &port.real) < 0 ||
        fstat(r->pin, &file) < 0)
        return;
    process_status_read(r->tid, &status); /* a thread may end before its process does */
    port.cookie = pin_cookie(r->pin);
    port.inode = file.st_ino;
    port.pid = status.leader;
    port.asked = asked ? asked : port.real;
    remap_add(&remap, &port);
    if (port.asked != port.real && r->call == CALL_BIND)
        remap_tell(r, port.real);
}

/* Bind on behalf, to this port of the address that was asked for. */
static int bind_port(struct request *r, uint16_t port)
{
    r->address.v4.sin_port = htons(port); /* sin6_port is there, too */
    return execute_bind(r);
}

/* The same where nobody else is: what SO_REUSEADDR and SO_REUSEPORT would share with others outside isn't free. */
static int bind_alone(struct request *r, uint16_t at)
{
    int address = sys_socket_option(r->pin, SOL_SOCKET, SO_REUSEADDR);
    int port = sys_socket_option(r->pin, SOL_SOCKET, SO_REUSEPORT);

    if (address > 0)
        pin_set_option(r->pin, SO_REUSEADDR, 0);
    if (port > 0)
        pin_set_option(r->pin, SO_REUSEPORT, 0);
    int result = bind_port(r, at);
    if (address > 0)
        pin_set_option(r->pin, SO_REUSEADDR, 1);
    if (port > 0)
        pin_set_option(r->pin, SO_REUSEPORT, 1);
    return result;
}

/* The same at a port that the kernel picks. To the socket it is one that was asked for, which it keeps however it is
 * connected and disconnected: so another socket is bound to port 0 first, and tells which. */
static int bind_elsewhere(struct request *r)
{
    bool tcp = r->kind.protocol == IPPROTO_TCP;
    int result = -EADDRINUSE, v6only = r->kind.domain == AF_INET6 && !r->to.dual;

    for (unsigned tries = 0; tries < BIND_TRIES && result == -EADDRINUSE; tries++) {
        int scout = sys_result(socket(r->kind.domain, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
        union address picked = r->address;
        socklen_t len = sizeof picked;

        if (r->kind.domain == AF_INET6)
            setsockopt(scout, SOL_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
        picked.v4.sin_port = 0;
        bool told = bind(scout, &picked.any, r->address_len) == 0 && getsockname(scout, &picked.any, &len) == 0;
        if (scout >= 0)
            close(scout);
        if (!told)
            return result;
        result = bind_alone(r, ntohs(picked.v4.sin_port)); /* which somebody may have taken meanwhile */
    }
    return result;
}

/* A socket that listens or is bound stands in a bind's way. */
struct bind_rivals {
    const struct destination *to;
    bool own, stranger;
};

static void bind_found(const struct inetdiag_socket *found, void *context)
{
    struct bind_rivals *rivals = context;
    struct remap_port port = {.addr = found->local, .dual = true};

    if (!remap_overlaps(&port, rivals->to->addr, rivals->to->dual))
        return;
    if (remap_of(&remap, found->cookie) != NULL)
        rivals->own = true;
    else
        rivals->stranger = true;
}

/* A bind under --port-remap. Among the sandbox's own sockets all is as ever, whatever number their port has; where one
 * outside has the port, the kernel picks another. */
static int bind_remapped(struct request *r)
{
    struct bind_rivals rivals = {.to = &r->to};
    uint16_t asked = r->to.port;
    uint16_t own = remap_own(&remap, r->kind.protocol, r->to.addr, r->to.dual, asked);

    if (asked == 0)
        return bind_port(r, 0);
    if (own != 0) {
        remap_let_share(&remap, r->kind.protocol, own, true);
        int shared = bind_port(r, own);
        remap_let_share(&remap, r->kind.protocol, own, false);
        return shared;
    }
    int result = bind_alone(r, asked);
    if (result != -EADDRINUSE)
        return result;
    bool tcp = r->kind.protocol == IPPROTO_TCP;
    inetdiag_each(r->kind.protocol, tcp ? INETDIAG_LISTENING | INETDIAG_BOUND : ~0u, asked, 0, bind_found, &rivals);
    if (!rivals.stranger || rivals.own)
        result = bind_port(r, asked); /* beside our own, or what has remained of connections */
    if (result == -EADDRINUSE && !rivals.own && remap_place(&remap) != NULL)
        result = bind_elsewhere(r);
    return result;
}

/* A permitted destination may be a socket of the sandbox's own whose port has another number: that goes into the
 * address. 0, -errno or LATER. *held is a descriptor to be kept until the call is done, or -1. */
static int remap_destination(const struct request *r, const struct destination *to, union address *address, int *held)
{
    *held = -1;
    if (to->kind != DESTINATION_IP || to->protocol == PROTOCOL_ICMP)
        return 0;
    int real = remap_find(&remap, r->kind.protocol, r->pin, to->addr, to->port, held);
    if (real > 0)
        address->v4.sin_port = htons((uint16_t)real);
    return real == -EAGAIN ? LATER : real < 0 ? real : 0;
}

/* Take out what passing descriptors on has left here. */
static void batch_release(void)
{
    while (batch.n_rights > 0)
        release(batch.rights[--batch.n_rights], (struct socket_kind){0, 0, 0});
}

static int send_flags(const struct request *r)
{
    switch (r->call) {
    case CALL_SENDTO:
    case CALL_SENDMMSG:
        return (int)r->args[3];
    default:
        return (int)r->args[2];
    }
}

/* ---- a send: batch after batch ---- */

static bool is_stream(struct socket_kind kind)
{
    return socket_is(kind, IPPROTO_TCP) || (kind.domain == AF_UNIX && kind.type == SOCK_STREAM);
}

/* Which messages of it come next. */
static struct message_source send_source(const struct request *r)
{
    return (struct message_source){
        .call = r->call == CALL_SENDTO ? MESSAGE_SENDTO : r->call == CALL_SENDMSG ? MESSAGE_SENDMSG : MESSAGE_SENDMMSG,
        .tid = r->tid,
        .args = r->args,
        .ip = socket_is_ip(r->kind),
        .stream = is_stream(r->kind),
        .messages = r->sent_messages,
        .bytes = r->sent_bytes,
    };
}

/* How a send ends when nothing more can be done: with what was taken so far, else with the error. */
static struct outcome send_end(const struct request *r, int64_t error)
{
    size_t messages = r->sent_messages;

    if (r->call != CALL_SENDMMSG)
        return outcome_reply(r->sent_bytes > 0 ? (int64_t)r->sent_bytes : error);
    if (r->sent_bytes > 0) { /* a stream's message was taken in part: it counts */
        struct message_source source = send_source(r);

        batch.messages[0].sent = (uint32_t)r->sent_bytes;
        messages += message_tell_lengths(&batch, &source, 1);
    }
    return outcome_reply(messages > 0 ? (int64_t)messages : error);
}

/* A control message that isn't on the list. */
static void tell_control(const struct request *r, const struct cmsghdr *c)
{
    char subject[64];

    snprintf(subject, sizeof subject, "control message, level %d, type %d", c->cmsg_level, c->cmsg_type);
    tell_refused(r, subject, "");
}

/* A permitted message to a port of the sandbox's own goes to its other number. 0, -errno or LATER. A datagram that is
 * put together piece by piece would go there whoever has it by then. */
static int remap_message(const struct request *r, size_t i)
{
    int held, result = remap_destination(r, &batch_to[i], &batch.names[i], &held);

    if (held < 0)
        return result;
    batch.rights[batch.n_rights++] = held; /* it is closed when the batch is sent */
    if (result == 0 && (send_flags(r) & MSG_MORE || sys_socket_option(r->pin, IPPROTO_UDP, KERNEL_UDP_CORK) > 0))
        return -EOPNOTSUPP;
    return result;
}

/* Judge the batch. How many leading messages may go; where that is none, -errno. */
static int64_t decide_batch(struct request *r)
{
    size_t n = 0;
    int error = 0;

    for (; n < batch.n && error == 0; n++) {
        struct kernel_msghdr *header = &batch.messages[n].header;
        socklen_t len = (socklen_t)header->namelen;
        struct ip_addr source = {0, 0, 0};
        const struct cmsghdr *refused = NULL;

        error = r->sent_bytes > 0 ? 0 : parse_control(r, n, &source, &refused);
        int led = parse_destination(r, &batch.names[n], &len, source, &batch_to[n]);
        error = error < 0 ? error : led;
        header->namelen = (int32_t)len;
        if (refused != NULL && n == 0)
            tell_control(r, refused);
        if (error < 0)
            break;
        struct decision decision = settle(r, &batch_to[n], decide(&batch_to[n]));
        if (decision.verdict != VERDICT_ALLOW)
            error = decision.verdict == VERDICT_ASK ? HELD : -decision.error;
        if (error == 0 || (n == 0 && error != HELD))
            tell_destination(r, &batch_to[n], decision);
        if (error == 0)
            error = remap_message(r, n);
        if (error < 0)
            break;
        if (policy.undecided != UNDECIDED_REFUSED)
            look_at_send(r, &batch_to[n], batch.parts[n][0].iov_base, batch.parts[n][0].iov_len);
    }
    return n > 0 ? (int64_t)n : error;
}

/* Would the kernel wait here? */
static bool send_may_wait(const struct request *r)
{
    return !(send_flags(r) & MSG_DONTWAIT) && pin_blocks(r->pin);
}

/* Note what was taken of n messages. The reply when that was the end; PEND: go on. */
static struct outcome send_advance(struct request *r, const struct message_source *source, size_t n, int64_t taken)
{
    if (source->stream) {
        r->sent_bytes += (size_t)taken;
        if (r->sent_bytes < batch.lengths[0])
            return (struct outcome){PEND, 0};
        taken = (int64_t)r->sent_bytes;
    }
    if (r->call != CALL_SENDMMSG)
        return outcome_reply(taken);
    if (n == 1) {
        batch.messages[0].sent = (uint32_t)taken;
        taken = 1;
    }
    size_t told = message_tell_lengths(&batch, source, (size_t)taken);
    r->sent_messages += told;
    r->sent_bytes = 0;
    if (told < (size_t)taken || (taken > 0 && batch.messages[taken - 1].sent < batch.lengths[taken - 1]))
        return send_end(r, -EFAULT);
    return (struct outcome){PEND, 0};
}

/* Send n messages of the batch, with the caller's own rights where they count. How many were taken (of a stream:
 * bytes), or -errno. */
static int64_t execute_batch(const struct request *r, const struct message_source *source, size_t n)
{
    static struct creds ours, theirs;
    int flags = (send_flags(r) & (int)~(KERNEL_MSG_ZEROCOPY | KERNEL_MSG_CMSG_COMPAT)) | MSG_DONTWAIT | MSG_NOSIGNAL;
    size_t piece = batch.parts[0][0].iov_len + batch.parts[0][1].iov_len;
    bool counts = caller_counts(r);

    if (source->stream && r->sent_bytes + piece < batch.lengths[0]) /* not its last */
        flags = (flags & ~(MSG_OOB | MSG_EOR)) | MSG_MORE;
    if (r->kind.domain == AF_UNIX)
        unix_own_add(&unix_own, r->pin); /* the kernel may bind it now (SO_PASSCRED) */
    if (counts && caller_enter(r, &ours, &theirs) < 0)
        return -EACCES;
    int64_t taken = message_send(&batch, source, r->pin, n, flags);
    if (counts)
        creds_restore(&ours, &theirs);
    if (batch.n_rights > 0 && socket_is_ip(r->kind))
        pin_uncork(r->pin);
    return taken;
}

/* One batch, from parse to execute. PEND: go on; *waits: when the socket is ready. */
static struct outcome send_batch(struct request *r, bool *waits)
{
    struct message_source source = send_source(r);
    int64_t n = message_read(&batch, &source, r->kind.domain == AF_UNIX);

    if (n <= 0)
        return send_end(r, n);
    n = decide_batch(r);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    *waits = n == LATER;
    if (n == HELD)
        return (struct outcome){HOLD, 0};
    if (n < 0)
        return n == LATER ? (struct outcome){PEND, 0} : send_end(r, n);
    if (r->call == CALL_SENDMMSG) { /* the first whose length can't be told is the last that is sent */
        size_t telling = message_tell_lengths(&batch, &source, (size_t)n);
        n = telling < (size_t)n ? (int64_t)telling + 1 : n;
    }
    int64_t taken = execute_batch(r, &source, (size_t)n);
    *waits = taken == -EAGAIN && send_may_wait(r);
    if (*waits)
        return (struct outcome){PEND, 0};
    if (taken >= 0)
        return send_advance(r, &source, (size_t)n, taken);
    r->broken_pipe = taken == -EPIPE && source.stream && r->sent_bytes == 0 && !(send_flags(r) & MSG_NOSIGNAL);
    return send_end(r, taken);
}

static struct outcome execute_send(struct request *r)
{
    struct outcome outcome = {PEND, 0};
    bool waits = false;

    if (r->was_pending && r->sent_bytes > 0 && pin_has_error(r->pin))
        return send_end(r, 0); /* the error is the next send's */
    r->yields = false;
    for (unsigned round = 0; outcome.what == PEND && !waits && !r->yields; round++) {
        outcome = send_batch(r, &waits);
        batch_release();
        r->yields = outcome.what == PEND && !waits && round == ROUNDS_MAX; /* others have their turn */
    }
    return outcome;
}

/* ---- HTTP: connections to the proxy ---- */

/* Where sockets that were led to the proxy were meant to go. */
static struct origins origins;

/* A connection to a server that is under way: of a program that connects, or of a request that was permitted. */
struct dial {
    enum { DIAL_FREE, DIAL_LOOKUP, DIAL_CONNECT, DIAL_HANDOVER } state;
    uint32_t age;    /* tells a late answer from one for this dial */
    int server;      /* owned; -1: none */
    int waiting;     /* the program's socket, at the hold, ours too; -1: it is a request's, with serial */
    int client;      /* its other end, once it is there; owned */
    uint64_t cookie; /* of the waiting socket */
    sa_family_t family;
    struct hold *hold;
    struct destination to;
    struct ip_addr local; /* that the program bound; version 0: none */
    pid_t tid;
    uint64_t serial;
    enum proxy_protocol protocol;
    struct ip_addr addrs[LOOKUP_ADDRS]; /* to be tried, in this order */
    size_t n, next;
};

static struct dial dials[DIALS_MAX];
static size_t n_dials_used;    /* at most so far */
static size_t n_dials_waiting; /* for room in the channel */

static struct dial *dial_new(void)
{
    size_t i = 0;

    while (i < n_dials_used && dials[i].state != DIAL_FREE)
        i++;
    if (i == DIALS_MAX)
        return NULL;
    n_dials_used += i == n_dials_used;
    dials[i] = (struct dial){.age = dials[i].age + 1, .server = -1, .waiting = -1, .client = -1};
    return &dials[i];
}

static void dial_end(struct dial *dial)
{
    if (dial->server >= 0)
        close(dial->server);
    if (dial->client >= 0)
        close(dial->client);
    if (dial->waiting >= 0)
        release(dial->waiting, (struct socket_kind){dial->family, IPPROTO_TCP, 0});
    n_dials_waiting -= dial->state == DIAL_HANDOVER;
    dial->state = DIAL_FREE;
}

/* Begin to connect to dial->to. 0; -EINPROGRESS; -errno. The result of one under way is asked for in the same way. */
static int dial_connect(struct dial *dial)
{
    sa_family_t family = dial->to.addr.version == 4 ? AF_INET : AF_INET6;
    struct sockaddr_storage at;
    int on = 1;

    if (dial->server < 0) {
        dial->server = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(dial->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        socklen_t len = ip_addr_to_sockaddr(dial->local, 0, family, &at);
        if (dial->local.version == dial->to.addr.version && bind(dial->server, (struct sockaddr *)&at, len) < 0)
            return -errno;
        len = ip_addr_to_sockaddr(dial->to.addr, dial->to.port, family, &at);
        int result = sys_result(connect(dial->server, (struct sockaddr *)&at, len));
        if (result != -EINPROGRESS)
            return result;
    }
    socklen_t len = ip_addr_to_sockaddr(dial->to.addr, dial->to.port, family, &at);
    int result = sys_result(connect(dial->server, (struct sockaddr *)&at, len)); /* on loopback it is there already */
    return result == -EALREADY ? -EINPROGRESS : result == -EISCONN ? 0 : result;
}

/* Tell the proxy what it has. 0; -EAGAIN; -errno. */
static int dial_hand_over(struct dial *dial)
{
    struct proxy_message message = {.kind = dial->waiting >= 0 ? PROXY_CONNECTION : PROXY_DIALLED,
                                    .serial = dial->serial, .protocol = dial->protocol, .addr = dial->to.addr,
                                    .port = dial->to.port, .tid = dial->tid};
    int fds[2], n = 0;

    if (dial->client >= 0)
        fds[n++] = dial->client;
    if (dial->server >= 0)
        fds[n++] = dial->server;
    return proxy_send(here.proxy.channel, &message, fds, (size_t)n, MSG_DONTWAIT);
}

/* Watch the channel to the proxy; `waiting`: for room in it, too. */
static void proxy_watch_channel(bool waiting, int operation)
{
    struct epoll_event event = {.events = waiting ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.u64 = EVENT_PROXY};

    epoll_ctl(here.epoll, operation, here.proxy.channel, &event);
}

/* The server is there (or comes later, by its name): establish the program's connection, and hand both over. */
static int dial_complete(struct dial *dial)
{
    if (dial->waiting >= 0 && dial->client < 0) {
        dial->client = hold_meet(dial->hold, dial->waiting);
        if (dial->client < 0)
            return dial->client; /* the program has let it go */
    }
    int result = dial_hand_over(dial);
    if (result == -EAGAIN || result == -ETOOMANYREFS) {
        n_dials_waiting += dial->state != DIAL_HANDOVER;
        dial->state = DIAL_HANDOVER;
        proxy_watch_channel(true, EPOLL_CTL_MOD);
        return 0;
    }
    dial_end(dial);
    return 0;
}

static void dial_watch(struct dial *dial, int operation)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT, .data.u64 = EVENT_DIAL + (uint64_t)(dial - dials)};

    epoll_ctl(here.epoll, operation, dial->server, &event);
}

/* Is this a destination that a rule names otherwise than by a wildcard? Then it is dialled before the program's
 * connect has its result; behind a wildcard it is the request that says where to. */
static bool redirect_dials_first(const struct destination *to)
{
    bool has = !policy.http_any_host;

    for (size_t i = 0; i < policy.n_names && !has; i++)
        http_name_find(policy.names[i].name, to->addr, &has);
    for (size_t i = 0; i < policy.n_http_rules && !has; i++)
        has = policy.http_rules[i].kind == HOST_ADDRESS && ip_addr_equal(policy.http_rules[i].addr, to->addr);
    return has;
}

/* Begin a dial for a socket that waits at a hold. 0: it is connected; -EINPROGRESS; -errno. */
static int redirect_dial(const struct request *r, struct hold *hold, struct ip_addr local, uint64_t cookie)
{
    struct dial *dial = dial_new();

    if (dial == NULL)
        return -ENOBUFS;
    dial->state = DIAL_CONNECT;
    dial->waiting = fcntl(r->pin, F_DUPFD_CLOEXEC, 0);
    dial->cookie = cookie;
    dial->family = (sa_family_t)r->kind.domain;
    dial->hold = hold;
    dial->to = r->to;
    dial->local = local;
    dial->tid = r->tid;
    http_governs(r->to.port, &dial->protocol);
    int result = dial->waiting < 0 ? -ENOBUFS : redirect_dials_first(&r->to) ? dial_connect(dial) : 0;
    if (result == -EINPROGRESS)
        dial_watch(dial, EPOLL_CTL_ADD);
    if (result == 0)
        result = dial_complete(dial);
    if (result < 0 && result != -EINPROGRESS)
        dial_end(dial);
    return result;
}

/* The socket connects anew: what was under way for it isn't any more. */
static void redirect_forget(uint64_t cookie)
{
    for (size_t i = 0; i < n_dials_used; i++)
        if (dials[i].state != DIAL_FREE && dials[i].waiting >= 0 && dials[i].cookie == cookie)
            dial_end(&dials[i]);
}

/* A permitted connect that the HTTP rules govern: the socket waits at a hold, until the proxy has the other end. */
static struct outcome redirect(struct request *r)
{
    struct hold *hold = &here.holds[r->to.addr.version == 6 && here.holds[1].full >= 0];
    bool blocks = pin_blocks(r->pin);
    union address bound;
    struct ip_addr local;
    socklen_t len = sizeof bound;
    uint16_t port;

    if (here.proxy.channel < 0)
        return outcome_reply(-ECONNREFUSED);
    if (getsockname(r->pin, &bound.any, &len) < 0 || ip_addr_from_sockaddr(&bound, &local, &port) < 0 ||
        ip_addr_is_unspecified(local))
        local = (struct ip_addr){0, 0, 0};
    r->address_len = ip_addr_to_sockaddr(hold->addr, hold->port, (sa_family_t)r->kind.domain, &r->address.storage);
    if (blocks)
        pin_set_blocking(r->pin, false);
    int result = sys_result(connect(r->pin, &r->address.any, r->address_len));
    if (result == -EINPROGRESS) {
        uint64_t cookie = pin_cookie(r->pin);
        redirect_forget(cookie);
        origins_note(&origins, cookie, r->to.addr, r->to.port);
        result = redirect_dial(r, hold, local, cookie);
        if (result < 0 && result != -EINPROGRESS)
            hold_cancel(r->pin);
        else if (result == 0)
            result = blocks ? sys_result(connect(r->pin, &r->address.any, r->address_len)) : -EINPROGRESS;
    } else {
        r->joined = result == -EALREADY;
    }
    if (blocks)
        pin_set_blocking(r->pin, true);
    if (blocks && (result == -EINPROGRESS || result == -EALREADY))
        return (struct outcome){PEND, 0};
    return outcome_reply(result);
}

/* Connect to what is permitted: to a port of the sandbox's own by its other number, by the proxy, or as it says. */
static struct outcome connect_permitted(struct request *r, enum verdict verdict)
{
    bool udp = socket_is(r->kind, IPPROTO_UDP), moved = udp && remap_is_connected(&remap, r->pin);
    int held, result = remap_destination(r, &r->to, &r->address, &held);

    r->later = result == LATER;
    if (r->later)
        return (struct outcome){PEND, 0};
    if (result == 0 && held >= 0 && !remap_has_room(&remap))
        result = -ENOBUFS;
    r->was_pending = false; /* not this connection: to be judged, perhaps */
    struct outcome outcome = outcome_reply(result);
    if (result == 0)
        outcome = verdict == VERDICT_REDIRECT && held < 0 ? redirect(r) : execute_connect(r);
    r->was_pending = outcome.what == PEND;
    if (moved)
        pin_uncork(r->pin); /* what it held back for the old one goes there now: later it may be another's */
    bool under_way = outcome.what == PEND || outcome.value == -EINPROGRESS || outcome.value == -EALREADY ||
                     (udp && outcome.value == 0);
    if (held >= 0 && under_way)
        remap_keep(&remap, held);
    else
        release(held, r->kind);
    if (outcome.what == REPLY && socket_is_ip(r->kind))
        remap_autobound(&remap, r->kind.protocol, r->pin);
    return outcome;
}

/* Answer a call with a name, as getsockname(2) and getpeername(2) do: argument 1 is where it goes, 2 where its length
 * is. 0 or -errno. */
static int reply_name(const struct request *r, union address *name, socklen_t name_len)
{
    int32_t room, len = (int32_t)name_len;
    int result = child_read(r->tid, r->args[2], &room, sizeof room);

    if (result < 0 || room < 0)
        return result < 0 ? result : -EINVAL;
    struct iovec local[2] = {{&len, sizeof len}, {name, (size_t)(room < len ? room : len)}};
    const struct iovec remote[2] = {{(void *)(uintptr_t)r->args[2], sizeof len},
                                    {(void *)(uintptr_t)r->args[1], local[1].iov_len}};
    size_t n = local[1].iov_len > 0 ? 2 : 1;
    ssize_t written = child_writev(r->tid, local, n, remote, n);
    return written == (ssize_t)(local[1].iov_len + sizeof len) ? 0 : -EFAULT;
}

/* Is the peer of this name the proxy? Then the name becomes that of what was asked for. */
static bool name_original(const struct request *r, union address *name, socklen_t *len)
{
    const struct origin *origin = NULL;
    struct ip_addr addr;
    uint16_t port;

    if (socket_is(r->kind, IPPROTO_TCP) && ip_addr_from_sockaddr(name, &addr, &port) == 0 &&
        (hold_has(&here.holds[0], addr, port) || hold_has(&here.holds[1], addr, port)))
        origin = origins_find(&origins, pin_cookie(r->pin));
    if (origin != NULL)
        *len = ip_addr_to_sockaddr(origin->addr, origin->port, (sa_family_t)r->kind.domain, &name->storage);
    return origin != NULL;
}

/* getsockname, getpeername: names as the program knows them. All others are the kernel's to answer, and so is what is
 * wrong with a call: these lead nowhere. */
static struct outcome call_name(struct request *r)
{
    bool peer = r->call == CALL_GETPEERNAME;
    union address name;
    socklen_t len = sizeof name;

    if (parse_pin(r) < 0 || pin_kind(r->pin, &r->kind) < 0 ||
        (!socket_is(r->kind, IPPROTO_TCP) && !socket_is(r->kind, IPPROTO_UDP)) ||
        (peer ? getpeername(r->pin, &name.any, &len) : getsockname(r->pin, &name.any, &len)) < 0)
        return (struct outcome){CONTINUE, 0};
    uint16_t asked = peer ? remap_peer_name(&remap, r->kind.protocol, r->pin, &name)
                          : remap_name(&remap, r->kind.protocol, r->pin, &name);
    bool moved = asked != ntohs(name.v4.sin_port);
    name.v4.sin_port = htons(asked);
    if (!moved && !(peer && name_original(r, &name, &len)))
        return (struct outcome){CONTINUE, 0};
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    return outcome_reply(reply_name(r, &name, len));
}

/* ---- the calls ---- */

/* May the kernel carry this call out itself? Only where it can't touch an IP socket, nor follow a destination, whatever
 * the child does meanwhile: on a pinned socket of another kind, by a process whose only thread waits here. */
static bool call_continues(const struct request *r)
{
    struct process_status status;

    if (r->kind.domain == AF_UNIX && r->call == CALL_BIND)
        return true; /* never done on behalf: the path is the child's own */
    if (r->kind.domain == AF_UNIX && (r->call == CALL_CONNECT || r->kind.type == SOCK_DGRAM))
        return false;
    if (r->kind.domain != AF_UNIX && r->kind.domain != AF_NETLINK)
        return false;
    return process_status_read(r->tid, &status) == 0 && status.threads == 1;
}

/* Sockets that stand in for UDP sockets that may not be, by cookie. */
static uint64_t stand_ins[STAND_INS_MAX];
static size_t stand_in_turn;

static bool is_stand_in(const struct request *r)
{
    uint64_t cookie = 0;

    if (r->kind.domain == AF_UNIX && r->kind.type == SOCK_STREAM && stand_in_turn > 0)
        cookie = pin_cookie(r->pin);
    for (size_t i = 0; cookie != 0 && i < STAND_INS_MAX; i++)
        if (stand_ins[i] == cookie)
            return true;
    return false;
}

/* What is made only to learn which families work, and to fail for good when it is refused: by musl's getaddrinfo
 * (AI_ADDRCONFIG), and by curl for IPv6. It gets a unix socket, which leads nowhere. */
static bool call_makes_probe(int domain, int type, int protocol)
{
    bool musl = (domain == AF_INET || domain == AF_INET6) && type == (SOCK_DGRAM | SOCK_CLOEXEC) &&
                protocol == IPPROTO_UDP;
    bool curl = domain == AF_INET6 && type == SOCK_DGRAM && protocol == 0;

    return !policy.open[PROTOCOL_UDP] && (musl || curl);
}

/* ping asks a datagram socket for its own address first. Where only ICMP is open it gets one of ICMP, if it may have
 * it. */
static bool call_makes_ping(int domain, int type, int protocol)
{
    return !policy.open[PROTOCOL_UDP] && policy.open[PROTOCOL_ICMP] && (domain == AF_INET || domain == AF_INET6) &&
           type == SOCK_DGRAM && protocol == 0;
}

static struct outcome socket_stand_in(struct request *r, bool ping)
{
    static struct creds ours, theirs;
    int domain = (int)r->args[0];

    if (!ping) {
        r->pin = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    } else if (caller_enter(r, &ours, &theirs) == 0) {
        r->pin = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
        creds_restore(&ours, &theirs);
    }
    if (r->pin < 0)
        return outcome_reply(-EACCES);
    if (!ping)
        stand_ins[stand_in_turn++ % STAND_INS_MAX] = pin_cookie(r->pin);
    if (settings.no_getfd)
        pintable_add(&made_sockets, fcntl(r->pin, F_DUPFD_CLOEXEC, 0));
    return outcome_reply(notify_add_fd(here.listener, r->id, r->pin, (uint32_t)r->args[1] & O_CLOEXEC));
}

/* Does this connect go where musl's probe goes? */
static bool is_probed_address(const struct request *r)
{
    enum { PROBE_PORT = 65535 };
    struct ip_addr addr;
    uint16_t port;

    return r->address_len >= sizeof r->address.v4 && ip_addr_from_sockaddr(&r->address, &addr, &port) == 0 &&
           port == PROBE_PORT && ip_addr_is_loopback(addr);
}

/* A stand-in is connected: 0 for the probe, else what a UDP socket gets that no rule opens. */
static struct outcome connect_stand_in(const struct request *r)
{
    struct destination to = {.kind = DESTINATION_IP, .protocol = PROTOCOL_UDP};

    if (is_probed_address(r))
        return outcome_reply(0);
    if (r->address_len < sizeof r->address.v4 || ip_addr_from_sockaddr(&r->address, &to.addr, &to.port) < 0)
        return outcome_reply(-EINVAL);
    tell_destination(r, &to, (struct decision){VERDICT_DENY, EACCES, -1});
    return outcome_reply(-EACCES);
}

static struct outcome call_connect(struct request *r)
{
    bool fixed = r->kind.domain != AF_UNIX; /* a path may lead elsewhere by now */
    bool again = r->was_pending && !r->later && fixed;
    int result = again || (fixed && r->asks > 0) ? 0 : parse_address(r);

    if (again)
        return execute_connect(r);
    if (result == LATER)
        return (struct outcome){PEND, 0};
    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (is_stand_in(r))
        return connect_stand_in(r);
    if (call_continues(r))
        return (struct outcome){CONTINUE, 0};
    struct decision decision = decide(&r->to);
    if (decision.verdict == VERDICT_DENY && socket_is(r->kind, IPPROTO_UDP) && is_probed_address(r))
        return outcome_reply(0); /* musl's probe; the socket stays unconnected */
    decision = judge(r, decision);
    switch (decision.verdict) {
    case VERDICT_ALLOW:
    case VERDICT_REDIRECT:
        return connect_permitted(r, decision.verdict);
    case VERDICT_ASK:
        return (struct outcome){HOLD, 0};
    case VERDICT_DENY:
        break;
    }
    return outcome_reply(-decision.error);
}

static struct outcome call_bind(struct request *r)
{
    int result = r->asks > 0 ? 0 : parse_address(r);

    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (r->kind.domain == AF_UNIX)
        unix_own_add(&unix_own, r->pin);
    if (call_continues(r))
        return (struct outcome){CONTINUE, 0};
    struct decision decision = judge(r, decide_bind(&r->to, false));
    if (decision.verdict == VERDICT_ASK)
        return (struct outcome){HOLD, 0};
    if (decision.verdict == VERDICT_DENY)
        return outcome_reply(-decision.error);
    bool remaps = settings.port_remap && r->to.kind == DESTINATION_IP && r->to.protocol != PROTOCOL_ICMP;
    result = remaps ? bind_remapped(r) : execute_bind(r);
    if (remaps && result == 0)
        remap_note(r, r->to.port);
    if (result == 0)
        learn_bound(r);
    return outcome_reply(result);
}

/* listen: what is bound is what is judged; without a bind the kernel picks a port, as for port 0. */
static struct outcome call_listen(struct request *r)
{
    int result = parse_pin(r);

    if (result == 0)
        result = pin_kind(r->pin, &r->kind);
    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    if (call_continues(r))
        return (struct outcome){CONTINUE, 0};
    if (socket_is(r->kind, IPPROTO_TCP)) {
        socklen_t len = sizeof r->address;

        if (getsockname(r->pin, &r->address.any, &len) < 0)
            return outcome_reply(-errno);
        r->to = (struct destination){.kind = DESTINATION_IP, .protocol = PROTOCOL_TCP};
        ip_addr_from_sockaddr(&r->address, &r->to.addr, &r->to.port);
        r->to.dual = r->to.addr.version == 6 && ip_addr_is_unspecified(r->to.addr) &&
                     sys_socket_option(r->pin, SOL_IPV6, IPV6_V6ONLY) == 0;
        r->to.port = remap_name(&remap, IPPROTO_TCP, r->pin, &r->address);
        struct decision decision = judge(r, decide_bind(&r->to, true));
        if (decision.verdict == VERDICT_ASK)
            return (struct outcome){HOLD, 0};
        if (decision.verdict == VERDICT_DENY)
            return outcome_reply(-decision.error);
    } else if (r->kind.domain != AF_UNIX && !(socket_is_ip(r->kind) && kind_protocol(r->kind) != PROTOCOLS)) {
        return outcome_reply(r->kind.domain == AF_NETLINK ? -EOPNOTSUPP : -EACCES);
    }
    static struct creds ours, theirs;
    bool counts = caller_counts(r);
    if (counts && caller_enter(r, &ours, &theirs) < 0)
        return outcome_reply(-EACCES);
    result = sys_result(listen(r->pin, (int)r->args[1]));
    if (counts)
        creds_restore(&ours, &theirs);
    if (settings.port_remap && result == 0 && socket_is(r->kind, IPPROTO_TCP))
        remap_note(r, r->to.port);
    if (result == 0)
        learn_bound(r);
    return outcome_reply(result);
}

/* write, writev, while learning: looked at where they are a send on an IP socket. The kernel carries them out: they go
 * to the socket's peer, whatever the caller does meanwhile. */
static struct outcome call_write(struct request *r)
{
    static const struct destination to_peer = {.kind = DESTINATION_NONE};
    struct iovec vector[16];
    size_t n = r->args[2] < ARRAY_LEN(vector) ? (size_t)r->args[2] : ARRAY_LEN(vector);
    uint8_t bytes[SEEN_SENDS_MAX];
    char path[40], link[PATH_MAX];

    snprintf(path, sizeof path, "/proc/%d/fd/%d", r->tid, (int)r->args[0]);
    if (childpath_readlink(path, link) < 0 || strncmp(link, "socket:", 7) != 0 || parse_pin(r) < 0 ||
        pin_kind(r->pin, &r->kind) < 0)
        return (struct outcome){CONTINUE, 0};
    if (r->number == number_on(NR_write, MACHINE_OURS)) {
        vector[0] = (struct iovec){(void *)(uintptr_t)r->args[1], r->args[2]};
        n = 1;
    } else if (child_read(r->tid, r->args[1], vector, n * sizeof *vector) < 0) {
        n = 0;
    }
    ssize_t got = child_gather(r->tid, vector, n, 0, bytes, sizeof bytes);
    look_at_send(r, &to_peer, bytes, got < 0 ? 0 : (size_t)got);
    return (struct outcome){CONTINUE, 0};
}

static struct outcome call_send(struct request *r)
{
    if (r->call != CALL_SENDTO && send_flags(r) & (int)KERNEL_MSG_CMSG_COMPAT)
        return outcome_reply(-EINVAL);
    if (!r->was_pending) {
        int result = parse_pin(r);

        if (result == 0)
            result = pin_kind(r->pin, &r->kind);
        if (result < 0)
            return outcome_reply(result);
        if (!socket_is_ip(r->kind) && call_continues(r))
            return (struct outcome){notify_valid(here.listener, r->id) ? CONTINUE : VANISHED, 0};
    }
    return execute_send(r);
}

/* Make a permitted socket for the caller, with its own rights, and keep it pinned. */
static struct outcome socket_make(struct request *r)
{
    static struct creds ours, theirs;
    int flags = (int)r->args[1] & SOCK_CLOEXEC;
    bool root = geteuid() == 0;

    if (root && caller_enter(r, &ours, &theirs) < 0)
        return outcome_reply(-EACCES);
    int fd = sys_result(socket((int)r->args[0], (int)r->args[1] | SOCK_CLOEXEC, (int)r->args[2]));
    if (root)
        creds_restore(&ours, &theirs);
    if (fd < 0)
        return outcome_reply(fd);
    int number = notify_add_fd(here.listener, r->id, fd, flags ? O_CLOEXEC : 0);
    if (number < 0)
        close(fd);
    else if (pintable_add(&made_sockets, fd) < 0)
        tell_refused(r, "one socket too many: it will be refused", "");
    return outcome_reply(number);
}

/* A socket or pair that the filter doesn't let be: the kernel's own errno, and what would permit it. */
static struct outcome call_socket(struct request *r)
{
    int domain = (int)r->args[0], type = (int)r->args[1] & ~(SOCK_CLOEXEC | SOCK_NONBLOCK), protocol = (int)r->args[2];
    bool ip = domain == AF_INET || domain == AF_INET6, pair = r->number == number_on(NR_socketpair, MACHINE_OURS);
    char subject[64];
    const struct trap *trap = trap_of(r->number, r->args);

    if (trap != NULL && trap_makes_socket(trap))
        return socket_make(r);
    bool ping = !pair && call_makes_ping(domain, (int)r->args[1], protocol);
    if (ping || (!pair && call_makes_probe(domain, (int)r->args[1], protocol)))
        return socket_stand_in(r, ping);
    if (type < 0 || type > SOCK_PACKET)
        return outcome_reply(-EINVAL);
    if (pair && ip)
        return outcome_reply(-EOPNOTSUPP);
    if (ip && type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)) {
        tell_refused(r, "udp", "--net-allow udp://HOST:PORT");
        return outcome_reply(-EACCES);
    }
    if (ip && type == SOCK_DGRAM && (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)) {
        tell_refused(r, "icmp", "--net-allow icmp://HOST");
        return outcome_reply(-EACCES);
    }
    if (domain == AF_UNIX && (type == SOCK_DGRAM || type == SOCK_RAW)) {
        tell_refused(r, "unix datagram", "a unix:// or udp:// rule, with which sends are watched");
        return outcome_reply(-EACCES);
    }
    snprintf(subject, sizeof subject, "family %d, type %d, protocol %d", domain, type, protocol);
    tell_refused(r, subject, "");
    if (ip && (type == SOCK_RAW || type == SOCK_PACKET) && protocol != 0)
        return outcome_reply(-EPERM);
    if (domain == AF_PACKET)
        return outcome_reply(-EPERM);
    if (ip && type == SOCK_SEQPACKET && protocol == 0)
        return outcome_reply(-ESOCKTNOSUPPORT);
    return outcome_reply(ip || domain == AF_NETLINK || domain == AF_UNIX ? -EPROTONOSUPPORT : -EAFNOSUPPORT);
}

/* Join a multicast group on behalf: it is decided as a send to the group, whatever the port. */
static struct outcome call_join(struct request *r)
{
    uint8_t value[512] = {0};
    int level = (int)r->args[1], option = (int)r->args[2];
    int64_t len = (int32_t)r->args[4];
    int result = parse_pin(r);

    if (result == 0)
        result = pin_kind(r->pin, &r->kind);
    if (result == 0 && len < 0)
        result = -EINVAL;
    len = len < (int64_t)sizeof value ? len : (int64_t)sizeof value;
    if (result == 0)
        result = child_read(r->tid, r->args[3], value, (size_t)len);
    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    r->to = (struct destination){.kind = DESTINATION_IP, .protocol = PROTOCOL_UDP}; /* TCP sockets can join, too */
    if (socket_is(r->kind, IPPROTO_ICMP) || socket_is(r->kind, IPPROTO_ICMPV6))
        r->to.protocol = PROTOCOL_ICMP;
    if (socket_is_ip(r->kind) &&
        membership_group(level, option, value, (size_t)len, &r->to.addr) == 0) {
        struct decision decision = judge(r, decide_group(&r->to));

        if (decision.verdict == VERDICT_ASK)
            return (struct outcome){HOLD, 0};
        if (decision.verdict == VERDICT_DENY)
            return outcome_reply(-decision.error);
    } else if (r->kind.domain != AF_UNIX && r->kind.domain != AF_NETLINK) {
        return outcome_reply(socket_is_ip(r->kind) ? -EINVAL : -EACCES);
    }
    return outcome_reply(sys_result(setsockopt(r->pin, level, option, value, (socklen_t)len)));
}

/* SO_REUSEADDR under --port-remap: it stays off while something is on its way to the socket. */
static struct outcome call_reuse(struct request *r)
{
    int value, result = parse_pin(r);

    if (result == 0)
        result = pin_kind(r->pin, &r->kind);
    if (result == 0)
        result = (int32_t)r->args[4] < (int32_t)sizeof value ? -EINVAL
                                                            : child_read(r->tid, r->args[3], &value, sizeof value);
    if (result < 0)
        return outcome_reply(result);
    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    struct remap_kept *kept = remap_kept_of(&remap, r->pin);
    if (kept != NULL) {
        kept->shares = value != 0;
        return outcome_reply(0);
    }
    return outcome_reply(sys_result(setsockopt(r->pin, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value)));
}

static struct outcome call_setsockopt(struct request *r)
{
    const struct trap *trap = trap_of(r->number, r->args);

    if (trap != NULL && trap->when == WHEN_REMAPPED)
        return call_reuse(r);

    if (trap != NULL && trap->name == NULL)
        return call_join(r);
    if (trap != NULL)
        tell_refused(r, trap->name, trap->when == WHEN_UNSTEERED ? "--allow-steering" : "");
    return outcome_reply(-EPERM);
}

/* Does this path lead to the real /etc/hosts, from where the caller stands? What isn't in the kernel's cache isn't it:
 * its own entries are, since we hold it open, and a look-up on a slow file system would hold everybody up. */
static bool open_is_hosts(const struct request *r, int directory, const char *path)
{
    static struct childpath walk;
    struct stat found, real;
    int begun = childpath_begin(&walk, r->tid, r->tid, directory, path);
    int start CLOSE_FD = walk.start;

    walk.how.resolve |= KERNEL_RESOLVE_CACHED;
    int file CLOSE_FD = begun < 0 ? -1 : sys_openat2(start, walk.path, &walk.how);
    return file >= 0 && fstat(file, &found) == 0 && fstat(here.real_hosts, &real) == 0 && found.st_dev == real.st_dev &&
           found.st_ino == real.st_ino;
}

/* open, openat, openat2: /etc/hosts is answered with a fresh description of ours, anything else by the kernel. That the
 * path may change after we read it does no harm: an open reaches no socket, and neither file is a secret.
 *
 * Where a root command can't write in /proc, the file that pam_loginuid(8) writes isn't there, as on a kernel without
 * auditing: it goes on without it then, but lets nobody log in when it can't write it. */
static struct outcome call_open(struct request *r)
{
    char path[PATH_MAX], proc[32];
    bool at = r->number != number_on(NR_open, MACHINE_OURS), how = r->number == number_on(NR_openat2, MACHINE_OURS);
    uint64_t flags = r->args[at ? 2 : 1];
    ssize_t len = child_read_text(r->tid, r->args[at ? 1 : 0], path, sizeof path);

    if (settings.closes_knobs && len > 0 && strcmp(path, "/proc/self/loginuid") == 0 && (flags & O_ACCMODE) == O_RDWR)
        return outcome_reply(-ENOENT);
    if (len < 5 || memcmp(path + len - 5, "hosts", 5) != 0 || (len > 5 && path[len - 6] != '/') ||
        (how && child_read(r->tid, r->args[2], &flags, sizeof flags) < 0) ||
        !open_is_hosts(r, at ? (int)r->args[0] : AT_FDCWD, path) ||
        (flags & (O_ACCMODE | O_CREAT | O_DIRECTORY | O_PATH)) != O_RDONLY)
        return (struct outcome){CONTINUE, 0};
    if (policy.undecided == UNDECIDED_LEARNED)
        learned_process_of(r->tid)->reads_hosts = true;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", here.hosts);
    r->pin = open(proc, O_RDONLY | O_CLOEXEC); /* a description of its own, with its own offset */
    if (r->pin < 0)
        return (struct outcome){CONTINUE, 0};
    r->kind.domain = AF_UNIX; /* our own file: its close can't wait */
    return outcome_reply(notify_add_fd(here.listener, r->id, r->pin, flags & O_CLOEXEC));
}

/* Is this process one of the command's? Others of our descendants are our own: helpers, and what they start. */
static bool is_inside(pid_t pid)
{
    const pid_t own[] = {here.closer.pid, here.proxy.pid, here.lookups.pid, ask_helper.pid};

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (own[i] > 0 && (pid == own[i] || process_descends(pid, own[i])))
            return false;
    return process_descends(pid, getpid());
}

/* Calls on other processes: their limits never, how they are scheduled and signalled within the sandbox only. All that
 * counts is in registers: the kernel sees what we see. A process group may hold strangers. */
static struct outcome call_on_others(struct request *r)
{
    bool priority = r->number == number_on(NR_setpriority, MACHINE_OURS);
    bool by_kind = priority || r->number == number_on(NR_ioprio_set, MACHINE_OURS);
    int one = priority ? PRIO_PROCESS : IOPRIO_PROCESS;
    pid_t pid = (pid_t)r->args[by_kind ? 1 : 0];
    struct process_status status = {.leader = r->tid};

    process_status_read(r->tid, &status);
    bool self = pid == r->tid || pid == status.leader || (by_kind && pid == 0);
    bool inside = self || (r->call != CALL_PRLIMIT && pid > 0 && is_inside(pid));
    pid_t led = pid == 0 ? getpgid(status.leader) : -pid; /* a group that a process of ours leads holds no stranger */
    bool group = r->call == CALL_SIGNAL && pid != -1 && pid <= 0 && led > 0 && is_inside(led);
    if ((inside && !(by_kind && (int)r->args[0] != one)) || group)
        return (struct outcome){CONTINUE, 0};
    tell_refused(r, "another process", "");
    return outcome_reply(-EPERM);
}

/* A process becomes the parent of descendants that lose theirs. */
static struct outcome call_reaper(const struct request *r)
{
    struct lineage_id process = lineage_of_thread(&live.lineage, r->tid);

    if (!notify_valid(here.listener, r->id))
        return (struct outcome){VANISHED, 0};
    lineage_add_reaper(&live.lineage, process);
    return (struct outcome){CONTINUE, 0};
}

static struct outcome call_run(struct request *r)
{
    if (live.order > 0)
        live_ask(r->tid);
    switch (r->call) {
    case CALL_CONNECT:
        return call_connect(r);
    case CALL_BIND:
        return call_bind(r);
    case CALL_LISTEN:
        return call_listen(r);
    case CALL_SENDTO:
    case CALL_SENDMSG:
    case CALL_SENDMMSG:
        return call_send(r);
    case CALL_SOCKET:
        return call_socket(r);
    case CALL_SETSOCKOPT:
        return call_setsockopt(r);
    case CALL_GETSOCKNAME:
    case CALL_GETPEERNAME:
        return call_name(r);
    case CALL_OPEN:
        return call_open(r);
    case CALL_WRITE:
        return call_write(r);
    case CALL_PRLIMIT:
    case CALL_SCHEDULE:
    case CALL_SIGNAL:
        return call_on_others(r);
    case CALL_REAPER:
        return call_reaper(r);
    case CALL_NONE:
        break;
    }
    return outcome_reply(-ENOSYS);
}

/* ---- reply: the only sender of answers ---- */

static struct lost_replies lost_replies;

/* How many arguments tell a kept call: what is in the registers after its own is left over. */
static size_t lost_arguments(enum call call)
{
    switch (call) {
    case CALL_LISTEN:
    case CALL_REAPER:
        return 2;
    case CALL_CONNECT:
    case CALL_BIND:
    case CALL_SENDMSG:
    case CALL_SOCKET:
    case CALL_SCHEDULE:
    case CALL_SIGNAL:
    case CALL_GETSOCKNAME:
    case CALL_GETPEERNAME:
    case CALL_WRITE:
        return 3;
    case CALL_SENDMMSG:
    case CALL_OPEN:
    case CALL_PRLIMIT:
        return 4;
    case CALL_SETSOCKOPT:
        return 5;
    case CALL_SENDTO:
    case CALL_NONE:
        break;
    }
    return 6;
}

static void reply(struct request *r, struct outcome outcome)
{
    int result = 0;

    if (settings.no_getfd && outcome.what == REPLY && outcome.value == 0 && socket_is(r->kind, IPPROTO_TCP) &&
        (r->call == CALL_CONNECT || (r->call == CALL_LISTEN && !settings.port_remap)) &&
        r->address.any.sa_family != AF_UNSPEC)
        pintable_drop(&made_sockets, r->pin); /* a pin would delay its FIN, and keep its port */
    release(r->pin, r->kind); /* before the answer: what the caller closes next shall be closed */
    r->pin = -1;
    if (r->broken_pipe && here.killable)
        signal_thread(r, SIGPIPE);
    switch (outcome.what) {
    case REPLY:
        result = notify_return(here.listener, r->id, outcome.value);
        break;
    case CONTINUE:
        result = notify_continue(here.listener, r->id);
        break;
    case PEND:
    case HOLD:
    case VANISHED:
        break;
    }
    if (result == -ENOENT && !here.killable && outcome.what == REPLY)
        lost_reply_keep(&lost_replies, r->tid, r->number, r->args, outcome.value);
    if (outcome.what == VANISHED && !here.killable && (r->sent_bytes > 0 || r->sent_messages > 0))
        lost_reply_keep(&lost_replies, r->tid, r->number, r->args, send_end(r, 0).value);
    if (r->broken_pipe && !here.killable)
        signal_thread(r, SIGPIPE);
}

/* ---- pending: calls that wait, without anybody waiting ---- */

static struct pending {
    struct request request;
    uint64_t cookie;  /* of a connecting socket: who else waits for it */
    uint16_t order;   /* its place in pending_order */
    bool by_tick;     /* the socket's readiness says nothing: try again on the tick, ever more rarely */
    uint64_t again;   /* when */
    unsigned patience; /* until the next, in milliseconds */
} pending[PENDING_MAX];

static uint16_t pending_order[PENDING_MAX]; /* places in pending: those in use first */
static size_t n_pending, n_pending_used; /* now, and at most so far */
static size_t n_yielding;                /* how many wait for their turn only */
static size_t n_joined;                  /* how many of them wait for another's connection */
static size_t pending_turn;              /* where the next tick goes on */

static void pending_watch(struct pending *p, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)(p - pending)};

    if (epoll_ctl(here.epoll, operation, p->request.pin, &event) < 0)
        p->by_tick = true;
}

/* The place that pending_keep takes next; there is one. */
static struct pending *pending_free(void)
{
    if (n_pending == n_pending_used)
        pending_order[n_pending] = (uint16_t)n_pending_used++;
    return &pending[pending_order[n_pending]];
}

/* The request and its pin move in here. */
static struct pending *pending_keep(const struct request *r)
{
    struct pending *p = pending_free();

    *p = (struct pending){.request = *r, .order = (uint16_t)n_pending++};
    n_joined += r->joined;
    n_yielding += r->yields;
    return p;
}

/* Keep a call whose first try has to wait. */
static void pending_add(struct request *r)
{
    if (n_pending == PENDING_MAX) {
        reply(r, outcome_reply(-ENOBUFS));
        return;
    }
    struct pending *p = pending_keep(r);
    uint64_t timeout = pin_send_timeout(r->pin);
    p->request.was_pending = true;
    p->request.deadline = timeout ? clock_ms() + timeout : 0;
    p->cookie = r->call == CALL_CONNECT && r->kind.domain != AF_UNIX ? pin_cookie(r->pin) : 0;
    p->by_tick = r->later ||
                 (r->kind.domain == AF_UNIX && (r->kind.type == SOCK_DGRAM || r->call == CALL_CONNECT));
    if (!p->by_tick)
        pending_watch(p, r->yields ? 0 : EPOLLOUT | EPOLLONESHOT, EPOLL_CTL_ADD);
}

static void pending_remove(struct pending *p)
{
    uint16_t last = pending_order[--n_pending];

    n_joined -= p->request.joined;
    n_yielding -= p->request.yields;
    pending_order[p->order] = last;
    pending_order[n_pending] = (uint16_t)(p - pending);
    pending[last].order = p->order;
    p->order = (uint16_t)n_pending;
}

/* Take a call out. The pin leaves epoll first: the child's own descriptor keeps the file alive after our close. */
static void pending_take(struct pending *p)
{
    struct asker_question *q = asker_find(&asker, p->request.question);

    if (q != NULL)
        asker_leave(&asker, q);
    epoll_ctl(here.epoll, EPOLL_CTL_DEL, p->request.pin, NULL);
    pending_remove(p);
}

/* Its answer is known. */
static void pending_end(struct pending *p, struct outcome outcome)
{
    pending_take(p);
    reply(&p->request, outcome);
}

/* The connection that these waited for has come, or failed, or was given up: the kernel wakes all of them. */
static void pending_end_joined(uint64_t cookie, int result)
{
    for (size_t i = n_pending; i-- > 0;) {
        struct pending *p = &pending[pending_order[i]];

        if (p->cookie == cookie)
            pending_end(p, outcome_reply(result));
    }
}

/* Hold a call until the question about it is answered. false: the answer is there already, or nobody will give one. */
static bool pending_hold(struct request *r)
{
    struct pending *place = n_pending < PENDING_MAX ? pending_free() : NULL;
    bool answered = false;
    struct asker_question *q = place ? ask_about(r, (uint32_t)(place - pending) + 1, &answered) : NULL;

    if (q != NULL && !answered) {
        r->question = q->id;
        pending_keep(r);
        return true;
    }
    r->answer = q != NULL ? (enum answer)q->answer : ANSWER_DENY;
    if (q != NULL)
        asker_close(&asker, q);
    return false;
}

/* Run a call, for the first time or since it was answered; then reply, or keep it. */
static void pending_run(struct request *r)
{
    struct outcome outcome = call_run(r);

    for (unsigned tries = 0; outcome.what == HOLD; tries++) {
        if (tries == ASKS_MAX) /* it leads elsewhere each time it is looked at */
            outcome = send_end(r, -r->refusal);
        else if (pending_hold(r))
            return;
        else
            outcome = call_run(r);
    }
    if (outcome.what == PEND) {
        pending_add(r);
        return;
    }
    if (r->call == CALL_CONNECT && n_pending > 0 && r->address.any.sa_family == AF_UNSPEC && outcome.what == REPLY &&
        outcome.value == 0 && socket_is_ip(r->kind))
        pending_end_joined(pin_cookie(r->pin), -EPIPE);
    reply(r, outcome);
}

/* The question about a held call is answered. */
static void pending_answer(struct pending *p, enum answer answer)
{
    struct asker_question *q = asker_find(&asker, p->request.question);
    struct request r;

    if (q != NULL)
        asker_close(&asker, q);
    p->request.question = 0;
    pending_take(p);
    r = p->request;
    r.answer = answer;
    pending_run(&r);
}

/* Answer all held calls, or those about one subject. */
static void pending_answer_all(const struct subject *subject, enum answer answer)
{
    for (size_t i = n_pending; i-- > 0;) {
        struct pending *p = i < n_pending ? &pending[pending_order[i]] : NULL;

        if (p != NULL && p->request.question != 0 &&
            (subject == NULL || subject_same(&p->request.asked, subject)))
            pending_answer(p, answer);
    }
}

static void pending_retry(struct pending *p)
{
    struct request *r = &p->request;
    size_t before = r->sent_bytes + r->sent_messages;
    uint64_t cookie = p->cookie;

    n_yielding -= r->yields;
    r->yields = false;
    struct outcome outcome = call_run(r);
    n_yielding += r->yields;
    if (outcome.what == PEND && r->yields)
        return;
    if (outcome.what == HOLD) { /* its next message has another destination */
        pending_take(p);
        struct request held = p->request;
        pending_run(&held);
        return;
    }
    if (outcome.what == PEND) {
        p->by_tick = p->by_tick || (r->call != CALL_CONNECT && r->sent_bytes + r->sent_messages == before);
        if (!p->by_tick)
            pending_watch(p, EPOLLOUT | EPOLLONESHOT, EPOLL_CTL_MOD);
        return;
    }
    pending_end(p, outcome);
    if (cookie != 0 && n_joined > 0 && outcome.what == REPLY)
        pending_end_joined(cookie, outcome.value == 0 ? 0 : -ECONNABORTED);
}

/* What a signal that came meanwhile makes of a waiting call (signal(7)): 0 nothing, else the errno to end it with. The
 * kernel turns ERESTARTSYS into EINTR or a restart, but only for the thread that it chose for the signal; any other
 * thread would see the number itself. */
static int pending_interruption(const struct pending *p)
{
    const struct request *r = &p->request;
    int restart = r->deadline ? EINTR : KERNEL_ERESTARTSYS;
    struct process_status thread, leader;

    if (process_status_read(r->tid, &thread) < 0)
        return 0;
    if (thread.pending & ~thread.blocked)
        return restart;
    uint64_t shared = thread.shared_pending & ~thread.blocked;
    if (shared != 0) {
        if (r->tid == thread.leader)
            return restart;
        if (process_status_read(thread.leader, &leader) == 0 && (shared & ~leader.blocked) != 0 && leader.state != 'Z')
            return 0; /* the leader's */
        return process_others_block(thread.leader, r->tid, shared) ? restart : EINTR; /* in doubt, what is no secret */
    }
    if (thread.threads > 1 && process_is_stopped(thread.leader, r->tid))
        return restart;
    return 0;
}

/* Look after one waiting call: drop it when its caller is gone, end it when a signal came or its time is up. */
static void pending_tick(struct pending *p, uint64_t now)
{
    struct request *r = &p->request;

    if (!notify_valid(here.listener, r->id)) {
        pending_end(p, (struct outcome){VANISHED, 0});
        return;
    }
    int interruption = here.proc && here.killable ? pending_interruption(p) : 0; /* else the kernel ends it */
    if (interruption != 0) {
        pending_end(p, r->call == CALL_CONNECT ? outcome_reply(-interruption) : send_end(r, -interruption));
        return;
    }
    struct asker_question *q = asker_find(&asker, r->question);
    if (q != NULL) {
        if (now >= q->deadline)
            pending_answer(p, ANSWER_DENY);
        return;
    }
    if (r->deadline != 0 && now >= r->deadline) {
        bool local = r->kind.domain == AF_UNIX;
        int64_t error = r->call != CALL_CONNECT || local ? -EAGAIN : r->joined ? -EALREADY : -EINPROGRESS;

        pending_end(p, r->call == CALL_CONNECT ? outcome_reply(error) : send_end(r, error));
        return;
    }
    if (p->by_tick && now >= p->again) {
        p->patience = p->patience < PATIENCE_MAX ? 2 * p->patience + TICK_MS : PATIENCE_MAX;
        p->again = now + p->patience;
        pending_retry(p);
    }
}

static void pending_tick_some(void)
{
    uint64_t now = clock_ms();
    size_t looks = n_pending < TICK_ENTRIES ? n_pending : TICK_ENTRIES;

    while (looks-- > 0 && n_pending > 0 && clock_ms() <= now + TICK_BUDGET_MS) {
        pending_turn = pending_turn == 0 || pending_turn > n_pending ? n_pending : pending_turn;
        pending_tick(&pending[pending_order[--pending_turn]], now);
    }
}

/* A thread makes one call at a time: a new one means that nobody waits for its last one any more. */
static void pending_end_of(pid_t tid)
{
    for (size_t i = n_pending; i-- > 0;)
        if (pending[pending_order[i]].request.tid == tid) {
            pending_end(&pending[pending_order[i]], (struct outcome){VANISHED, 0});
            return;
        }
}

/* ---- HTTP: dials that come to an end, and those for requests ---- */

/* The server can't be had. A call that waits gets the errno; a non-blocking socket is refused, or times out by
 * itself. */
static void dial_fail(struct dial *dial, int error)
{
    struct proxy_message message = {.kind = PROXY_DIALLED, .serial = dial->serial, .result = -error};
    bool blocks = false;

    if (dial->waiting < 0) {
        proxy_send(here.proxy.channel, &message, NULL, 0, MSG_DONTWAIT);
        dial_end(dial);
        return;
    }
    for (size_t i = 0; i < n_pending; i++)
        blocks = blocks || pending[pending_order[i]].cookie == dial->cookie;
    if (blocks) {
        hold_cancel(dial->waiting);
        pending_end_joined(dial->cookie, -error);
    } else if (error != ETIMEDOUT) {
        hold_refuse(dial->hold, dial->waiting, dial->family);
    }
    dial_end(dial);
}

/* Try a name's addresses, from the next on, as far as the policy permits them. */
static void dial_next(struct dial *dial, int error)
{
    while (dial->next < dial->n) {
        if (dial->server >= 0)
            close(dial->server);
        dial->server = -1;
        dial->to.addr = dial->addrs[dial->next++];
        live_ask(dial->tid);
        int result = decide(&dial->to).verdict == VERDICT_DENY ? -EACCES : dial_connect(dial);
        if (result == -EINPROGRESS) {
            dial->state = DIAL_CONNECT;
            dial_watch(dial, EPOLL_CTL_ADD);
            return;
        }
        if (result == 0) {
            dial_complete(dial);
            return;
        }
        error = -result;
    }
    dial_fail(dial, error);
}

/* Something has become of it. */
static void dial_event(struct dial *dial)
{
    if (dial->state != DIAL_CONNECT)
        return;
    int result = dial_connect(dial);
    if (result == -EINPROGRESS) {
        dial_watch(dial, EPOLL_CTL_MOD);
        return;
    }
    epoll_ctl(here.epoll, EPOLL_CTL_DEL, dial->server, NULL);
    if (result < 0) {
        dial_next(dial, -result);
        return;
    }
    result = dial_complete(dial);
    if (result < 0)
        dial_end(dial);
}

/* Keep an address to be tried: the original destination first. */
static void dial_add(struct dial *dial, struct ip_addr addr)
{
    if (dial->n == LOOKUP_ADDRS)
        return;
    dial->addrs[dial->n++] = addr;
    if (ip_addr_equal(addr, dial->to.addr)) {
        dial->addrs[dial->n - 1] = dial->addrs[0];
        dial->addrs[0] = addr;
    }
}

/* A request was permitted whose server isn't there: connect to the original destination, if the host has it, or to an
 * address of the host that we look up. That a rule covers the host is seen here once more. */
static void dial_request(const struct proxy_message *m)
{
    struct slice host = {m->host, strnlen(m->host, sizeof m->host - 1)};
    struct lookup lookup = {.n = 0};
    struct dial *dial = dial_new();
    enum http_way way = http_may_reach(host, m->addr);
    bool has;

    if (dial == NULL) /* the request waits until its client gives up */
        return;
    dial->state = DIAL_LOOKUP;
    dial->tid = m->tid;
    dial->serial = m->serial;
    dial->to = (struct destination){.kind = DESTINATION_IP, .protocol = PROTOCOL_TCP, .addr = m->addr, .port = m->port};
    const struct resolve_name *name = http_name_find(host, m->addr, &has);
    if (way == WAY_NONE || !http_governs(m->port, &dial->protocol)) {
        dial_fail(dial, EACCES);
        return;
    }
    if (way == WAY_ORIGINAL)
        dial_add(dial, m->addr);
    for (size_t f = 0; way == WAY_NAME && name != NULL && f < RESOLVE_FAMILIES; f++)
        for (size_t i = 0; i < name->families[f].n; i++)
            dial_add(dial, name->families[f].addrs[i]);
    if (dial->n > 0) {
        dial_next(dial, EACCES);
        return;
    }
    lookup.tag = (uint64_t)dial->age << 32 | (uint64_t)(dial - dials);
    http_copy(lookup.name, sizeof lookup.name, host);
    if (send(here.lookups.channel, &lookup, sizeof lookup, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        dial_fail(dial, EAGAIN);
}

/* A name was looked up for a request. */
static void dial_take_lookup(const struct lookup *lookup)
{
    size_t at = (uint32_t)lookup->tag;
    struct dial *dial = at < n_dials_used ? &dials[at] : NULL;

    if (dial == NULL || dial->state != DIAL_LOOKUP || dial->age != lookup->tag >> 32)
        return;
    for (size_t i = 0; i < lookup->n && i < LOOKUP_ADDRS; i++)
        if (!(policy.no_private && !lookup->from_hosts && addr_is_private(lookup->addrs[i])))
            dial_add(dial, lookup->addrs[i]);
    dial_next(dial, EHOSTUNREACH);
}

/* A name was looked up: for a request, or since the command did so. */
static void serve_lookup(void)
{
    struct lookup lookup;

    if (recv(here.lookups.channel, &lookup, sizeof lookup, MSG_DONTWAIT) != sizeof lookup)
        return;
    if ((uint32_t)lookup.tag == UINT32_MAX)
        seen_take(&lookup);
    else
        dial_take_lookup(&lookup);
    seen_send();
}

/* The end of learning: wait for the names that are being looked up. */
static void learn_wait(void)
{
    uint64_t end = clock_ms() + LEARN_WAIT_MS;
    struct pollfd channel = {.fd = here.lookups.channel, .events = POLLIN};

    while (policy.undecided == UNDECIDED_LEARNED && n_seen_answered < n_seen && clock_ms() < end &&
           poll(&channel, 1, (int)(end - clock_ms())) == 1 && !(channel.revents & (POLLHUP | POLLERR)))
        serve_lookup();
}

/* What the proxy refused, or let pass. */
static void proxy_report(const struct proxy_message *m)
{
    struct event event = {.operation = m->protocol == PROXY_TLS ? "tls" : "http", .port = m->port,
                          .verdict = m->denied ? VERDICT_DENY : VERDICT_ALLOW};
    char at[IP_ENDPOINT_MAX];

    ip_endpoint_format(at, sizeof at, m->addr, m->port);
    ip_addr_format(event.address, sizeof event.address, m->addr);
    snprintf(event.protocol, sizeof event.protocol, "%s", event.operation);
    memcpy(event.method, m->method, sizeof event.method);
    memcpy(event.host, m->host, sizeof event.host);
    memcpy(event.path, m->path, sizeof event.path);
    if (m->rule >= 0 && (uint64_t)m->rule < policy.n_texts)
        event_name_rule(&event, m->rule);
    switch ((enum http_reason)m->result) {
    case REASON_MALFORMED:
        snprintf(event.subject, sizeof event.subject, "to %s, which is malformed", at);
        break;
    case REASON_NAMELESS:
        snprintf(event.subject, sizeof event.subject, "to %s, which names no server", at);
        break;
    case REASON_FOREIGN:
        snprintf(event.subject, sizeof event.subject, "%s%s%.50s%.40s, which isn't %s", m->method,
                 m->method[0] ? " " : "", m->host, m->path, at);
        break;
    case REASON_RULES:
        snprintf(event.subject, sizeof event.subject, "%s%s%.70s%.80s", m->method, m->method[0] ? " " : "", m->host,
                 m->path);
        if (m->denied && m->rule < 0)
            http_format_rule(event.allow, sizeof event.allow, m);
        break;
    }
    event_tell(&event, m->tid);
}

/* The channel to the proxy has something for us, or room. */
static void proxy_serve(uint32_t events)
{
    struct proxy_message message;
    int fds[2];

    for (size_t i = 0; i < n_dials_used && n_dials_waiting > 0 && events & EPOLLOUT; i++)
        if (dials[i].state == DIAL_HANDOVER)
            dial_complete(&dials[i]);
    if (events & EPOLLOUT && n_dials_waiting == 0)
        proxy_watch_channel(false, EPOLL_CTL_MOD);
    int result = proxy_receive(here.proxy.channel, &message, fds);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (result == -EAGAIN)
        return;
    if (result <= 0) {
        say("the proxy has ended: what goes through it is refused from now on");
        epoll_ctl(here.epoll, EPOLL_CTL_DEL, here.proxy.channel, NULL);
        helper_end(&here.proxy);
        return;
    }
    message.method[sizeof message.method - 1] = message.host[sizeof message.host - 1] = 0;
    message.path[sizeof message.path - 1] = 0;
    if (message.kind == PROXY_REPORT)
        proxy_report(&message);
    else if (message.kind == PROXY_DIAL)
        dial_request(&message);
}

/* ---- hosts: what /etc/hosts shows inside ---- */

/* An image's own file, or loopback; this machine's name; the names of the rules. */
static void hosts_compose(struct growing *file)
{
    struct growing real = {.p = NULL}, image = {.p = NULL};
    char machine[HOST_NAME_MAX + 1] = "";

    if (settings.chroot != NULL)
        hosts_load(&image, settings.chroot, "/etc/hosts");
    else
        hosts_load(&real, NULL, "/etc/hosts");
    gethostname(machine, sizeof machine - 1);
    hosts_compose_base(file, growing_slice(&image));
    hosts_compose_machine(file, growing_slice(&real), slice_of(machine));
    for (size_t i = 0; i < policy.n_names; i++)
        for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
            for (size_t a = 0; a < policy.names[i].families[f].n; a++)
                hosts_compose_entry(file, policy.names[i].families[f].addrs[a], policy.names[i].name);
    if (file->failed)
        die("cannot compose the hosts file: out of memory");
    free(real.p);
    free(image.p);
}

/* A new file of this text that nobody can change. A descriptor or -errno. */
static int hosts_seal(struct slice text)
{
    int fd = sys_result(memfd_create("hosts", MFD_CLOEXEC | MFD_ALLOW_SEALING));

    if (fd < 0 || (write(fd, text.p, text.len) == (ssize_t)text.len &&
                   fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0))
        return fd;
    close(fd);
    return -EIO;
}

/* The names of live rules, each with the addresses that it had. */
static void hosts_add_live(struct growing *file)
{
    static struct rule rule;

    for (size_t i = 0; i < live.n_rules; i++) {
        if (live.rules[i].places == 0 || !live_rule_is_named(&live.rules[i]) ||
            rule_parse(slice_of(live.rules[i].text), LIST_ALLOW, &rule) != NULL)
            continue;
        for (struct slice at = slice_of(live_rule_at(&live.rules[i])); at.p != NULL;) {
            struct ip_addr addr;

            if (ip_addr_parse(slice_split(&at, ' '), &addr) == 0)
                hosts_compose_entry(file, addr, rule.name);
        }
    }
}

/* Live rules have named other hosts than before: show them. false: it can't be done. */
static bool hosts_show_live(void)
{
    struct growing file = {.p = NULL};
    bool shown = false;

    live.names_changed = false;
    if (here.hosts < 0 && here.hosts_mounted < 0)
        return false;
    growing_append(&file, growing_slice(&here.hosts_base));
    hosts_add_live(&file);
    if (here.hosts_mounted >= 0) {
        shown = !file.failed && pwrite(here.hosts_mounted, file.p, file.len, 0) == (ssize_t)file.len &&
                ftruncate(here.hosts_mounted, (off_t)file.len) == 0;
    } else {
        int fd = file.failed ? -ENOMEM : hosts_seal(growing_slice(&file));

        shown = fd >= 0;
        if (shown)
            close(here.hosts);
        here.hosts = shown ? fd : here.hosts;
    }
    free(file.p);
    return shown;
}

/* ---- control: requests to a running sandbox (sys/control.h) ----
 *
 * request    its fields                             answer's fields
 * status     -                                      name, pid (ours), command-pid, started (seconds of the epoch),
 *                                                   permitted, denied, argument (several), port (several: PROTOCOL,
 *                                                   the number inside, the real one)
 * resolver   -                                      resolver (several), hosts, no-private: how it looks names up
 * policy     pid                                    as status; asks (several: whose changes count, a pid or 0); lost;
 *                                                   open: all that isn't denied is permitted; option (several: a
 *                                                   line of a policy file, at: the addresses of its name); live
 *                                                   (several: ORDER VERB PID LEFT SPEC, as asks; milliseconds, 0: for
 *                                                   ever; - no SPEC)
 * allow,     pid, for (milliseconds), rule          note (several): what else there is to know
 * deny,      (several), each may have an `at` next
 * restrict
 * log        follow                                 event (several: lines of JSON); follow: no end
 * kill       -                                      the connection closes when the sandbox has ended */

enum { LIST_AT_ONCE = 65536 };

struct client {
    int fd; /* owned; < 0: a free place */
    struct growing in, out;
    size_t scanned;   /* of `in`, without finding a message's end */
    size_t sent;      /* of `out` */
    uint64_t active;  /* when it last said something, on the clock of clock_ms */
    bool waits;       /* its next request, if it is there, for its turn */
    bool writes;      /* it is watched for room to send, not for requests */
    bool ended;       /* it won't say any more */
    bool closes;      /* once `out` is sent */
    bool lists;       /* a policy, of which the rest is to come: */
    size_t next_text, next_name;
    bool follows;     /* the log: */
    size_t next_line;
};

static struct {
    int listener, directory;
    dev_t device;
    ino_t inode;
    time_t started;
    char **arguments;
    struct client clients[CLIENTS_MAX];
    size_t n_waiting;
    bool kills; /* all is to end */
} server; /* there is one where settings.name is */

static void client_watch(struct client *c, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u64 = EVENT_CLIENT + (uint64_t)(c - server.clients)};

    epoll_ctl(here.epoll, operation, c->fd, &event);
}

static void client_set_waiting(struct client *c, bool waits)
{
    server.n_waiting += (size_t)waits - (size_t)c->waits;
    c->waits = waits;
}

static void client_close(struct client *c)
{
    follower_remove(c->fd);
    client_set_waiting(c, false);
    close(c->fd);
    free(c->in.p);
    free(c->out.p);
    *c = (struct client){.fd = -1};
}

/* Take connections. Where there are too many, the one that has been silent for longest makes room. */
static void clients_accept(void)
{
    int fd = controlsock_accept(server.listener, geteuid());
    struct client *c = &server.clients[0];

    if (fd < 0)
        return;
    for (size_t i = 0; i < CLIENTS_MAX && c->fd >= 0; i++)
        if (server.clients[i].fd < 0 || server.clients[i].active < c->active)
            c = &server.clients[i];
    if (c->fd >= 0)
        client_close(c);
    *c = (struct client){.fd = fd, .active = clock_ms()};
    client_watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

/* A field whose value may hold anything: what no message can hold becomes another character. */
static void client_add_text(struct client *c, const char *field, struct slice text)
{
    size_t start = c->out.len;

    growing_add(&c->out, "%s %.*s\n", field, (int)text.len, text.p);
    for (size_t i = start; i + 1 < c->out.len; i++)
        if ((unsigned char)c->out.p[i] < 0x20 || c->out.p[i] == 0x7f)
            c->out.p[i] = c->out.p[i] == '\t' ? ' ' : '?';
}

/* Answers: NULL, or what is wrong, where whatever they added is taken back. */
static const char *answer_status(struct client *c, struct slice fields)
{
    (void)fields;
    client_add_text(c, "name", slice_of(settings.name));
    growing_add(&c->out, "pid %d\ncommand-pid %d\nstarted %lld\npermitted %llu\ndenied %llu\n", getpid(), here.command,
                (long long)server.started, (unsigned long long)n_permitted, (unsigned long long)n_denied);
    for (char **argument = server.arguments; *argument != NULL; argument++)
        if (**argument != 0)
            client_add_text(c, "argument", slice_of(*argument));
    for (const struct remap_port *port = NULL; (port = remap_next(&remap, port)) != NULL;)
        growing_add(&c->out, "port %s %u %u\n", port->protocol == IPPROTO_TCP ? "tcp" : "udp", port->asked, port->real);
    return NULL;
}

static const char *answer_resolver(struct client *c, struct slice fields)
{
    (void)fields;
    for (size_t i = 0; i < settings.n_given; i++)
        if (settings.given[i].option->set == set_resolver)
            client_add_text(c, "resolver", slice_of(settings.given[i].value));
    if (policy.hosts != NULL)
        client_add_text(c, "hosts", slice_of(policy.hosts));
    if (policy.no_private)
        growing_add(&c->out, "no-private\n");
    return NULL;
}

/* Options that say how it runs, not what it may do; and those whose rules are listed each by itself. */
static bool option_is_policy(const struct option *option)
{
    static const char *const others[] = {
        "--net-allow", "--net-deny", "--net-allow-bind", "--net-deny-bind", "--policy", "--log", "--log-allowed",
        "--cwd", "--env", "--clean-env", "--timeout", "--wait-all", "--keep-fd", "--name", "--live", "--control", "-q",
        "-v",
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(option->name, others[i]) == 0)
            return false;
    return true;
}

/* A rule from the start, and the addresses of its name. Names' rules are in the order of the rules. */
static void list_text(struct client *c)
{
    const struct rule_text *text = &policy.texts[c->next_text];
    char option[40], line[IP_TEXT_MAX];

    snprintf(option, sizeof option, "option %s", list_options[text->list] + 2);
    client_add_text(c, option, text->text);
    if (c->next_name < policy.n_named && policy.named[c->next_name].tag == c->next_text) {
        const struct resolve_name *name = &policy.names[policy.named[c->next_name++].name];

        growing_append(&c->out, slice_of("at"));
        for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
            for (size_t a = 0; a < name->families[f].n; a++) {
                ip_addr_format(line, sizeof line, name->families[f].addrs[a]);
                growing_add(&c->out, " %s", line);
            }
        growing_append(&c->out, slice_of("\n"));
    }
    c->next_text++;
}

static void list_live(struct client *c, uint64_t order, enum live_verb verb, size_t scope, uint64_t ends,
                      const char *text)
{
    uint64_t now = ends == 0 ? 0 : clock_ms();

    growing_add(&c->out, "live %llu %s %d %llu %s\n", (unsigned long long)order, live_verbs[verb],
                live.scopes[scope].process.pid, (unsigned long long)(ends > now ? ends - now : ends != 0), text);
}

/* The next part of a policy: the rules from the start are as they were, so that it doesn't matter when each is listed;
 * what has changed since is listed at once. */
static void list_more(struct client *c)
{
    while (c->next_text < policy.n_texts && c->out.len < LIST_AT_ONCE)
        list_text(c);
    c->lists = c->next_text < policy.n_texts;
    if (c->lists)
        return;
    for (size_t i = 0; i < live.n_rules; i++)
        if (live.rules[i].places > 0) {
            list_live(c, live.rules[i].order, live.rules[i].verb, live_scope_of(live.rules[i].owner),
                      live.rules[i].ends, live.rules[i].text);
            if (live_rule_at(&live.rules[i])[0] != 0)
                growing_add(&c->out, "at %s\n", live_rule_at(&live.rules[i]));
        }
    for (size_t s = 0; s < LIVE_SCOPES_MAX; s++)
        for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++)
            if (live.scopes[s].restrictions[i].order > 0)
                list_live(c, live.scopes[s].restrictions[i].order, LIVE_RESTRICT, s,
                          live.scopes[s].restrictions[i].ends, "-");
    growing_append(&c->out, slice_of("\n"));
}

/* Whose changes count for a process, the sandbox's first. */
static const char *list_asks(struct client *c, struct slice fields)
{
    struct control_field field;
    uint64_t pid;

    if (!control_next(&fields, &field)) {
        growing_append(&c->out, slice_of("asks 0\n"));
        return NULL;
    }
    if (!slice_is(field.name, "pid") || parse_uint(field.value, INT32_MAX, &pid) < 0 || !live_is_ours((pid_t)pid))
        return "no process of that sandbox has this number";
    live_ask((pid_t)pid);
    for (size_t i = asking.n; i-- > 0;)
        growing_add(&c->out, "asks %d\n", live.scopes[asking.scopes[i]].process.pid);
    if (asking.lost)
        growing_append(&c->out, slice_of("lost\n"));
    return NULL;
}

static const char *answer_policy(struct client *c, struct slice fields)
{
    const char *error = list_asks(c, fields);

    if (error != NULL)
        return error;
    answer_status(c, fields);
    if (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY])
        growing_append(&c->out, slice_of("open\n"));
    for (size_t i = 0; i < settings.n_given; i++)
        if (option_is_policy(settings.given[i].option)) {
            char name[40];

            snprintf(name, sizeof name, "option %s",
                     settings.given[i].option->name + strspn(settings.given[i].option->name, "-"));
            client_add_text(c, name, slice_of(settings.given[i].value ? settings.given[i].value : ""));
        }
    c->lists = true;
    c->next_text = c->next_name = 0;
    return NULL;
}

/* A change that was made is told where denials are. */
static void change_tell(const char *first)
{
    struct text line = {.len = 0};
    char spec[EVENT_TEXT];

    log_begin(&line);
    text_add(&line, ",\"operation\":\"%s\",\"process\":", live_verbs[change.verb]);
    if (change.pid > 0)
        text_add(&line, "%d", change.pid);
    else
        text_add(&line, "null");
    text_add(&line, ",\"rules\":%zu,\"first\":", change.n_specs);
    snprintf(spec, sizeof spec, "%s", first);
    text_add_json(&line, spec);
    text_add(&line, ",\"seconds\":%llu}\n", (unsigned long long)(change.duration / 1000));
    log_tell(&line);
}

/* Read a change's fields. NULL, or what is wrong with *what. */
static const char *change_read(struct slice fields, struct slice *what)
{
    struct control_field field, next;
    const char *error = NULL;
    uint64_t number;

    change.pid = 0;
    change.duration = 0;
    change.shut = NULL;
    while (error == NULL && control_next(&fields, &field)) {
        struct slice rest = fields, at = {NULL, 0};

        *what = field.value;
        if (slice_is(field.name, "rule")) {
            if (control_next(&rest, &next) && slice_is(next.name, "at")) {
                at = next.value;
                fields = rest;
            }
            error = change_add_spec(field.value, at);
        } else if (slice_is(field.name, "pid")) {
            error = parse_uint(field.value, INT32_MAX, &number) < 0 || number == 0 ? "no process" : NULL;
            change.pid = error ? 0 : (pid_t)number;
        } else if (slice_is(field.name, "for")) {
            error = parse_uint(field.value, LIVE_TIME_MAX * 1000ull, &change.duration) < 0 ? "no duration" : NULL;
        } else {
            *what = field.name;
            error = "no field of a change";
        }
    }
    if (error == NULL && change.n_specs == 0 && change.verb != LIVE_RESTRICT) {
        *what = slice_of(live_verbs[change.verb]);
        error = "needs a rule";
    }
    return error;
}

static const char *answer_change(struct client *c, struct slice fields, enum live_verb verb)
{
    static char message[MESSAGE_MAX];
    struct slice what = {NULL, 0};
    char first[EVENT_TEXT] = "";

    change.verb = verb;
    const char *error = change_read(fields, &what);
    bool local = change.n_unix > 0;
    if (change.n_specs > 0)
        snprintf(first, sizeof first, "%s", change.texts[0]);
    if (error != NULL)
        snprintf(message, sizeof message, "'%.*s': %s", (int)what.len, what.p ? what.p : "", error);
    else if (change.shut != NULL)
        snprintf(message, sizeof message, "%s don't exist in that sandbox: run --live, or with a rule for them, has "
                 "them", change.shut);
    if (error == NULL && change.shut == NULL)
        error = change_apply();
    else
        error = message;
    if (error == NULL) {
        change_tell(first);
        if (live.names_changed && !hosts_show_live())
            growing_add(&c->out, "note names aren't shown in its /etc/hosts: run --live shows those of live rules\n");
        if (verb == LIVE_ALLOW && local && !policy.traps_sends)
            growing_add(&c->out, "note unix datagram sockets don't exist in it: run --live has them\n");
    }
    change_drop();
    return error;
}

static const char *answer_allow(struct client *c, struct slice fields)
{
    return answer_change(c, fields, LIVE_ALLOW);
}

static const char *answer_deny(struct client *c, struct slice fields)
{
    return answer_change(c, fields, LIVE_DENY);
}

static const char *answer_restrict(struct client *c, struct slice fields)
{
    return answer_change(c, fields, LIVE_RESTRICT);
}

/* The lines that are kept and weren't sent yet. */
static void list_lines(struct client *c)
{
    if (n_kept_lines > LOG_KEPT && c->next_line < n_kept_lines - LOG_KEPT)
        c->next_line = n_kept_lines - LOG_KEPT;
    for (; c->next_line < n_kept_lines; c->next_line++) {
        const struct text *line = &kept_lines[c->next_line % LOG_KEPT];

        growing_append(&c->out, (struct slice){line->bytes, line->len});
    }
}

static const char *answer_log(struct client *c, struct slice fields)
{
    struct control_field field;

    c->next_line = 0;
    c->follows = control_next(&fields, &field) && slice_is(field.name, "follow");
    list_lines(c);
    return NULL;
}

static const char *answer_kill(struct client *c, struct slice fields)
{
    (void)c;
    (void)fields;
    server.kills = true;
    return NULL;
}

static const struct {
    const char *verb;
    const char *(*answer)(struct client *c, struct slice fields);
} answers[] = {
    {"status", answer_status}, {"resolver", answer_resolver}, {"policy", answer_policy},     {"allow", answer_allow},
    {"deny", answer_deny},     {"restrict", answer_restrict}, {"log", answer_log},           {"kill", answer_kill},
};

/* Answer a whole message. */
static void client_answer(struct client *c, struct slice bytes)
{
    struct control_message message;
    size_t before = c->out.len;
    int result = control_parse(bytes, &message);
    const char *error = result == -EPROTONOSUPPORT ? "another version of the protocol" : "no message of the protocol";

    c->closes = c->closes || result < 0;
    growing_add(&c->out, "sandlock %d ok\n", CONTROL_VERSION);
    if (result == 0)
        error = "no request that is known";
    for (size_t i = 0; result == 0 && i < ARRAY_LEN(answers); i++)
        if (slice_is(message.verb, answers[i].verb)) {
            error = answers[i].answer(c, message.fields);
            break;
        }
    if (error != NULL) {
        c->out.len = before;
        growing_add(&c->out, "sandlock %d error %s\n", CONTROL_VERSION, error);
    }
    if (!c->lists && !c->follows)
        growing_append(&c->out, slice_of("\n"));
}

/* Send what there is to send, as far as it goes without waiting; then requests are read again. */
static void client_send(struct client *c)
{
    if (c->out.len == 0 && c->lists)
        list_more(c);
    if (c->out.len == 0 && c->follows)
        list_lines(c);
    ssize_t n = c->out.failed ? -1 : send(c->fd, c->out.p + c->sent, c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (c->out.failed || errno != EAGAIN)) {
        client_close(c);
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == c->out.len) {
        free(c->out.p);
        c->out = (struct growing){.p = NULL};
        c->sent = 0;
    }
    bool more = c->out.len > 0 || c->lists || (c->follows && c->next_line < n_kept_lines);
    if (!more && c->closes) {
        client_close(c);
        return;
    }
    if (!more && c->follows)
        followers[n_followers++] = (struct log_file){.fd = c->fd};
    if (more != c->writes)
        client_watch(c, more ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    c->writes = more;
}

/* A request's turn: one of each client, so that calls have theirs as well. */
static void client_take_turn(struct client *c)
{
    size_t len = control_length(growing_slice(&c->in), c->scanned);

    client_set_waiting(c, false);
    c->scanned = c->in.len;
    if (len > 0) {
        client_answer(c, (struct slice){c->in.p, len});
        memmove(c->in.p, c->in.p + len, c->in.len - len);
        c->in.len -= len;
        c->scanned = 0;
        client_set_waiting(c, c->in.len > 0 && !c->follows);
    } else if (c->in.len > CONTROL_REQUEST_MAX) {
        growing_add(&c->out, "sandlock %d error a message of more than %d bytes\n\n", CONTROL_VERSION,
                    CONTROL_REQUEST_MAX);
        c->closes = true;
    } else {
        c->closes = c->closes || c->ended;
    }
    if (c->out.len > 0 || c->closes || c->lists || c->follows)
        client_send(c);
}

/* Something happened to a connection. */
static void client_event(struct client *c)
{
    if (c->writes) {
        client_send(c);
        return;
    }
    if (c->follows || !growing_reserve(&c->in, 4096)) { /* who follows has nothing to say but that it is gone */
        client_close(c);
        return;
    }
    ssize_t n = recv(c->fd, c->in.p + c->in.len, c->in.room - c->in.len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        client_close(c);
        return;
    }
    c->in.len += (size_t)n;
    c->ended = n == 0;
    c->active = clock_ms();
    client_set_waiting(c, true);
}

/* One request of each client that has one. */
static void clients_turn(void)
{
    for (size_t i = 0; i < CLIENTS_MAX && server.n_waiting > 0; i++)
        if (server.clients[i].fd >= 0 && server.clients[i].waits && !server.clients[i].writes)
            client_take_turn(&server.clients[i]);
}

/* ---- serve: the loop ---- */

static void serve_notification(void)
{
    static union notify_buffer buffer;
    struct request r = {.pin = -1};
    int64_t value;

    if (notify_receive(here.listener, &buffer) < 0)
        return; /* its caller is gone */
    const struct seccomp_notif *notification = &buffer.request;
    r.id = notification->id;
    r.tid = (pid_t)notification->pid;
    r.number = notification->data.nr;
    r.call = r.number >= 0 && r.number < CALLS_MAX ? (enum call)calls[r.number] : CALL_NONE;
    memcpy(r.args, notification->data.args, sizeof r.args);
    if (!here.killable)
        pending_end_of(r.tid);
    if (!here.killable &&
        lost_reply_take(&lost_replies, r.tid, r.number, r.args, lost_arguments(r.call), &value)) {
        reply(&r, outcome_reply(value));
        return;
    }
    pending_run(&r);
}

/* Have epoll tell what there is to do for the questions. */
static void ask_watch(uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u64 = EVENT_ASKER};

    epoll_ctl(here.epoll, operation, asker.socket, &event);
}

/* Nobody answers any more. */
static void ask_fail(void)
{
    static struct log_file to = {.fd = STDERR_FILENO};
    struct text line = {.len = 0};

    ask_watch(0, EPOLL_CTL_DEL);
    close(asker.socket);
    asker.socket = ask_helper.socket = -1;
    text_add(&line, "sandlock: nobody answers for --ask any more: what no rule decides is refused\n");
    log_write(&to, &line);
    pending_answer_all(NULL, ANSWER_DENY);
}

/* Is the name of what is asked about perhaps being looked up still? */
static bool ask_waits(const struct asker_question *q)
{
    return n_seen_answered < n_seen && clock_ms() + ask_patience() < q->deadline + SEEN_WAIT_MS;
}

/* Put the questions that wait, as far as the other side takes them. */
static void ask_send(void)
{
    struct asker_question *q;
    int result = asker.socket < 0 ? 0 : asker_flush(&asker);

    while (result == 1 && (q = asker_next(&asker)) != NULL && !ask_waits(q)) {
        struct text more = {.len = 0};
        const struct destination *to = q->holder ? &pending[q->holder - 1].request.to : NULL;
        struct slice name = to && to->kind == DESTINATION_IP ? name_of(to->addr) : (struct slice){NULL, 0};

        if (name.len > 0)
            text_add(&more, ",\"name\":\"%.*s\"", (int)name.len, name.p);
        text_add(&more, "}");
        more.bytes[more.len] = 0;
        asker_send(&asker, q, more.bytes);
        result = asker_flush(&asker);
        if (result == 0)
            ask_watch(EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    if (result < 0)
        ask_fail();
}

/* Act on an answer. A word that is none refuses. */
static void ask_take(struct asker_question *q, struct slice word)
{
    unsigned answer = ANSWER_ALLOW;

    while (answer < ANSWERS && !slice_is(word, answer_words[answer]))
        answer++;
    bool allow = answer == ANSWER_ALLOW || answer == ANSWER_ALWAYS;
    bool lasts = answer == ANSWER_ALWAYS || answer == ANSWER_NEVER;
    struct asking about;
    memcpy(&about, q->about, sizeof about);
    lasts = lasts && remember(&about.subject, allow);
    if (q->holder != 0)
        pending_answer(&pending[q->holder - 1], allow ? ANSWER_ALLOW : ANSWER_DENY);
    else
        q->answer = allow ? ANSWER_ALLOW : ANSWER_DENY;
    if (lasts)
        pending_answer_all(&about.subject, allow ? ANSWER_ALLOW : ANSWER_DENY);
}

static void serve_asker(uint32_t events)
{
    struct asker_question *q;
    struct slice word;

    if (events & EPOLLOUT) {
        ask_watch(EPOLLIN, EPOLL_CTL_MOD);
        ask_send();
    }
    int result = asker.socket < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ? -EAGAIN : asker_receive(&asker);
    while ((q = asker_answer(&asker, &word)) != NULL)
        ask_take(q, word);
    if (result < 0 && result != -EAGAIN && asker.socket >= 0)
        ask_fail();
}

/* Signal the command; once it has ended (--wait-all), what it left behind. */
static void signal_command(int sig)
{
    if (here.command > 0)
        kill(here.command, sig);
    else
        process_signal_descendants(sig);
}

/* A signal for the command: what a process sent us is passed on. What the kernel sent (the terminal's Ctrl-C, say)
 * went to the whole process group already, and what comes from inside isn't for us. */
static void serve_signal(const struct signalfd_siginfo *info)
{
    struct process_status status;

    if (info->ssi_signo == SIGHUP && info->ssi_code > 0 && getsid(0) == getpid()) {
        signal_command(SIGHUP); /* the terminal is gone: the kernel tells the session's leader alone */
        signal_command(SIGCONT);
        return;
    }
    if (info->ssi_code > 0 || process_descends((pid_t)info->ssi_pid, getpid()))
        return;
    if (info->ssi_signo == SIGCONT && process_status_read(here.command, &status) == 0 && status.state != 'T')
        return; /* sent to the group */
    signal_command((int)info->ssi_signo);
}

/* The command was stopped, by Ctrl-Z or by itself. On a terminal our shell waits for us to stop as well (but a time
 * limit goes on counting); when it lets us go on in the foreground, a command with a process group of its own (a
 * shell) has the terminal again. false: we didn't stop. */
static bool serve_stop(void)
{
    static const struct timespec no_wait;
    sigset_t resumed;
    int terminal = STDIN_FILENO;

    while (terminal <= STDERR_FILENO && tcgetpgrp(terminal) < 0)
        terminal++;
    if (terminal > STDERR_FILENO || getsid(here.command) != getsid(0) || settings.timeout > 0)
        return false;
    pid_t group = getpgid(here.command);
    bool had_terminal = tcgetpgrp(terminal) == group;
    raise(SIGSTOP);
    if (had_terminal && tcgetpgrp(terminal) == getpgrp())
        tcsetpgrp(terminal, group);
    sigemptyset(&resumed);
    sigaddset(&resumed, SIGCONT);
    sigtimedwait(&resumed, NULL, &no_wait); /* what let us go on is not for the command as well */
    return true;
}

/* Take exits and stops, a bounded number: a storm of them isn't to hold up the calls. Notes the command's exit in
 * *status. What is left: children, and perhaps more to take. */
static enum children { CHILDREN_NONE, CHILDREN_LEFT, CHILDREN_MORE } serve_children(int *status)
{
    bool still_stopped = false; /* we were let go on, and the command was not */

    for (int taken = 0; taken < CHILDREN_AT_ONCE; taken++) {
        int how;
        pid_t pid = waitpid(-1, &how, WNOHANG | WUNTRACED | WCONTINUED);

        if (pid <= 0) {
            if (still_stopped)
                signal_command(SIGCONT);
            return pid == 0 || errno != ECHILD ? CHILDREN_LEFT : CHILDREN_NONE;
        }
        if (pid != here.command)
            continue;
        still_stopped = WIFSTOPPED(how) && serve_stop();
        if (WIFSTOPPED(how) || WIFCONTINUED(how))
            continue;
        *status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
        here.command = 0; /* its number may be another's by now */
    }
    return CHILDREN_MORE;
}

/* --timeout: TERM, then KILL. How many milliseconds until the next step; -1: none. */
static int serve_time(uint64_t *deadline, bool *expired)
{
    if (*deadline == 0)
        return -1;
    uint64_t now = clock_ms();
    if (now >= *deadline) {
        signal_command(*expired ? SIGKILL : SIGTERM);
        signal_command(SIGCONT);
        *deadline = *expired ? 0 : now + KILL_AFTER_SECONDS * 1000;
        *expired = true;
    }
    return *deadline == 0 ? -1 : (int)(*deadline - now);
}

static void serve_event(const struct epoll_event *event)
{
    struct signalfd_siginfo info;

    if (event->data.u64 == EVENT_LISTENER) {
        if (event->events & EPOLLIN)
            serve_notification();
        else
            epoll_ctl(here.epoll, EPOLL_CTL_DEL, here.listener, NULL); /* nobody is left behind the filter */
    } else if (event->data.u64 == EVENT_CONTROL) {
        clients_accept();
    } else if (event->data.u64 == EVENT_SIGNALS) {
        while (read(here.signals, &info, sizeof info) == sizeof info)
            if (info.ssi_signo != SIGCHLD)
                serve_signal(&info);
    } else if (event->data.u64 == EVENT_ASKER) {
        serve_asker(event->events);
    } else if (event->data.u64 == EVENT_PROXY) {
        proxy_serve(event->events);
    } else if (event->data.u64 == EVENT_LOOKUPS) {
        serve_lookup();
    } else if (event->data.u64 >= EVENT_DIAL) {
        dial_event(&dials[event->data.u64 - EVENT_DIAL]);
    } else if (event->data.u64 >= EVENT_CLIENT) {
        client_event(&server.clients[event->data.u64 - EVENT_CLIENT]);
    } else if (pending[event->data.u64].order < n_pending) {
        pending_retry(&pending[event->data.u64]);
    }
}

/* What controls us has its turn. How long the loop may wait then, of `wait` milliseconds; -1: for ever. */
static int serve_control(int wait)
{
    clients_turn();
    if (server.kills) {
        server.kills = settings.wait_all = false;
        signal_command(SIGKILL);
    }
    int end = live_expire();
    if (live.names_changed)
        hosts_show_live();
    wait = end >= 0 && (wait < 0 || end < wait) ? end : wait;
    return server.n_waiting > 0 ? 0 : wait;
}

/* Serve until the command has ended (--wait-all: until all have). Its exit status, or 124. */
static int serve(void)
{
    uint64_t deadline = settings.timeout ? clock_ms() + settings.timeout * 1000ull : 0, next_tick = 0, next_sweep = 0;
    bool expired = false;
    int status = -1;
    enum children children = CHILDREN_LEFT;

    while (status < 0 || (settings.wait_all && children != CHILDREN_NONE)) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int wait = serve_time(&deadline, &expired);

        if (children == CHILDREN_MORE || n_yielding > 0)
            wait = 0;
        else if (n_pending > 0 && (wait < 0 || wait > TICK_MS))
            wait = TICK_MS;
        else if (made_sockets.n + remap.n_kept > 0 && (wait < 0 || wait > SWEEP_MS))
            wait = SWEEP_MS;
        if (settings.name != NULL)
            wait = serve_control(wait);
        int n = epoll_wait(here.epoll, events, EVENTS_AT_ONCE, wait);
        bool ended = children == CHILDREN_MORE;
        for (int i = 0; i < n; i++) {
            ended = ended || events[i].data.u64 == EVENT_SIGNALS;
            serve_event(&events[i]);
        }
        for (size_t i = n_pending; i-- > 0 && n_yielding > 0;)
            if (i < n_pending && pending[pending_order[i]].request.yields)
                pending_retry(&pending[pending_order[i]]);
        if (ended)
            children = serve_children(&status);
        if (children == CHILDREN_NONE && status < 0)
            status = EXIT_OURS; /* can't be: the command is our child */
        ask_send();
        if (made_sockets.n + remap.n_kept > 0 && clock_ms() >= next_sweep) {
            pintable_sweep(&made_sockets);
            remap_sweep(&remap);
            next_sweep = clock_ms() + SWEEP_MS;
        }
        if (n_pending > 0 && clock_ms() >= next_tick) {
            pending_tick_some();
            next_tick = clock_ms() + TICK_MS;
        }
    }
    while (n_pending > 0)
        pending_end(&pending[pending_order[0]], (struct outcome){VANISHED, 0});
    learn_wait();
    closer_end(&here.closer);
    helper_end(&here.proxy);
    helper_end(&here.lookups);
    coprocess_end(&ask_helper, ASK_PATIENCE_MS);
    pin_forget(&here.pins); /* looking at /proc takes descriptors */
    if (process_end_descendants() < 0)
        say("there is no /proc: what the command left behind forks faster than it is found, and isn't all ended");
    return expired ? EXIT_TIMEOUT : status;
}

/* ---- learning: the policy that would have sufficed, as a file for --policy ---- */

/* One rule's target with one range of ports; lines are made of those that are alike. */
struct learned_piece {
    enum { PIECE_NAME, PIECE_ADDRESS, PIECE_UNIX, PIECE_BIND } kind;
    enum protocol protocol;
    char *target; /* owned; empty: every address */
    uint32_t first, last; /* ports; all of them where it begins with 0 */
    uint64_t commands[LEARNED_COMMANDS / 64];
};

static struct learned_piece *pieces;
static size_t n_pieces, piece_room;

static void piece_add(int kind, const struct learned *note, const char *target)
{
    if (n_pieces == piece_room)
        pieces = grow(pieces, &piece_room, sizeof *pieces);
    struct learned_piece *piece = &pieces[n_pieces++];
    *piece = (struct learned_piece){.kind = kind, .protocol = note->protocol, .target = strdup(target),
                                    .first = note->any_port ? 0 : note->port,
                                    .last = note->any_port ? UINT16_MAX : note->port};
    if (piece->target == NULL)
        die("cannot write the policy: out of memory");
    memcpy(piece->commands, note->commands, sizeof piece->commands);
}

/* A name's text as a rule has it: the words of ranges are other names' only with the root's dot. */
static void piece_add_name(const struct learned *note, const char *name)
{
    char text[DNS_NAME_MAX + 2];

    snprintf(text, sizeof text, "%.*s%s", DNS_NAME_MAX, name,
             special_word_of(slice_of(name)) < SPECIAL_WORDS ? "." : "");
    piece_add(PIECE_NAME, note, text);
}

/* The search list may have made this name of a shorter one, which then is what the command looks up again. */
static void piece_add_short(const struct learned *note, const char *name)
{
    char domain[DNS_NAME_MAX + 1], text[DNS_NAME_MAX + 1];
    size_t len = strlen(name);

    for (size_t i = 0; i < policy.resolvconf.n_search; i++) {
        size_t end = dns_name_text(&policy.resolvconf.search[i], domain) ? strlen(domain) : 0;

        if (end == 0 || len <= end + 1 || name[len - end - 1] != '.' || strcmp(name + len - end, domain) != 0)
            continue;
        snprintf(text, sizeof text, "%.*s", (int)(len - end - 1), name);
        if (rule_is_name(slice_of(text)))
            piece_add_name(note, text);
    }
}

/* Has any of a name's addresses been reached? */
static bool seen_reached[SEEN_NAMES_MAX];

static void seen_mark_reached(void)
{
    for (size_t i = 0; i < n_seen_addrs; i++)
        for (size_t k = 0; k < n_learned; k++)
            if (learned[k].kind == LEARNED_REACH && ip_addr_equal(learned[k].addr, seen_addrs[i].addr))
                seen_reached[seen_addrs[i].name] = true;
}

/* A destination, by the names that it has and that were looked up, or by its address. */
static void pieces_of_destination(const struct learned *note)
{
    char addr[IP_TEXT_MAX];
    size_t at = 0, name;
    bool named = false;

    while ((name = seen_find(note->addr, &at)) < SEEN_NAMES_MAX) {
        piece_add_name(note, seen_names[name].text);
        piece_add_short(note, seen_names[name].text);
        named = true;
    }
    struct slice known = named ? (struct slice){NULL, 0} : hosts_name_of(note->addr);
    if (known.len > 0) {
        char text[DNS_NAME_MAX + 1];

        snprintf(text, sizeof text, "%.*s", (int)known.len, known.p);
        piece_add_name(note, text);
        named = true;
    }
    if (named)
        return;
    ip_addr_format(addr, sizeof addr, note->addr);
    piece_add(PIECE_ADDRESS, note, addr);
    if (note->hint > 0 && !seen_reached[note->hint - 1]) /* its servers gave another address than ours */
        piece_add_name(note, seen_names[note->hint - 1].text);
}

/* Was something else done at this address, or has it a name that was looked up? Then a UDP connect without a send is
 * how libc learns by which of its own addresses it is reached. */
static bool learned_elsewhere(const struct learned *note)
{
    size_t at = 0;

    for (size_t i = 0; i < n_learned; i++)
        if (&learned[i] != note && learned[i].kind == LEARNED_REACH && ip_addr_equal(learned[i].addr, note->addr) &&
            (learned[i].protocol != PROTOCOL_UDP || learned[i].sent))
            return true;
    return seen_find(note->addr, &at) < SEEN_NAMES_MAX || hosts_name_of(note->addr).len > 0;
}

/* Can a policy file have this value: no line breaks, no comment, nothing that would be cut off? */
static bool line_can_have(const char *value)
{
    size_t len = strlen(value);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f || (value[i] == '#' && i > 0 && value[i - 1] == ' '))
            return false;
    return len > 0 && value[len - 1] != ' ';
}

static bool learned_is_rule(const struct learned *note)
{
    switch (note->kind) {
    case LEARNED_REACH:
        return !(note->asks && !note->asks_beyond) &&
               (note->protocol != PROTOCOL_UDP || note->sent || !learned_elsewhere(note));
    case LEARNED_BIND:
        return true;
    case LEARNED_UNIX:
        return line_can_have(note->text);
    case LEARNED_REFUSED:
        break;
    }
    return false;
}

static void pieces_of(const struct learned *note)
{
    char text[IP_TEXT_MAX] = "";

    switch (note->kind) {
    case LEARNED_REACH:
        pieces_of_destination(note);
        break;
    case LEARNED_BIND:
        if (!ip_addr_is_unspecified(note->addr))
            ip_addr_format(text, sizeof text, note->addr);
        piece_add(PIECE_BIND, note, text);
        break;
    case LEARNED_UNIX:
        piece_add(PIECE_UNIX, note, note->text);
        break;
    case LEARNED_REFUSED:
        break;
    }
}

static int piece_order(const void *a, const void *b)
{
    const struct learned_piece *x = a, *y = b;
    int order = (int)x->kind - (int)y->kind;

    order = order ? order : (int)x->protocol - (int)y->protocol;
    order = order ? order : strcmp(x->target, y->target);
    return order ? order : (int)x->first - (int)y->first;
}

static bool piece_alike(const struct learned_piece *a, const struct learned_piece *b)
{
    return a->kind == b->kind && a->protocol == b->protocol && strcmp(a->target, b->target) == 0;
}

__attribute__((format(printf, 2, 3))) static void append(struct growing *to, const char *format, ...)
{
    static char text[2 * PATH_MAX];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (int i = 0; i < n && i < (int)sizeof text; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\n') || text[i] == 0x7f)
            text[i] = '?'; /* what names have of it */
    growing_append(to, (struct slice){text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1});
}

static int name_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* " (curl, git)", or behind a line's end as its comment. */
static void append_commands(struct growing *to, const uint64_t commands[LEARNED_COMMANDS / 64], const char *before,
                            const char *after)
{
    static char names[LEARNED_COMMANDS][PROCESS_NAME_MAX];
    size_t n = 0;

    for (size_t i = 0; i < LEARNED_COMMANDS; i++)
        if (commands[i / 64] & 1ull << i % 64) {
            memcpy(names[n], learned_commands[i], sizeof names[n]);
            for (char *c = names[n++]; *c != 0; c++)
                *c = *c == '\n' ? '?' : *c;
        }
    qsort(names, n, sizeof names[0], name_order);
    for (size_t i = 0; i < n; i++)
        append(to, "%s%s", i == 0 ? before : ", ", names[i]);
    append(to, "%s", after);
}

/* The ports of pieces that are alike and sorted, as a rule has them; their number of ranges. Where they would be too
 * many for one, and where one is all, the text is empty. */
static size_t piece_ports(const struct learned_piece *piece, size_t n, char *to, size_t room)
{
    size_t len = 0, ranges = 0;

    to[0] = 0;
    for (size_t i = 0; i < n;) {
        uint32_t first = piece[i].first, last = piece[i].last;

        if (first == 0 || ranges == PORT_RANGES_MAX) {
            to[0] = 0;
            return 0;
        }
        while (++i < n && piece[i].first <= last + 1)
            last = piece[i].last > last ? piece[i].last : last;
        len += (size_t)snprintf(to + len, room - len, first == last ? "%s%u" : "%s%u-%u", ranges++ ? "," : "", first, last);
    }
    return ranges;
}

/* The line of pieces that are alike. */
static void append_rule(struct growing *to, const struct learned_piece *piece, size_t n)
{
    static char ports[PORT_RANGES_MAX * sizeof "65535-65535,"];
    uint64_t commands[LEARNED_COMMANDS / 64] = {0};
    bool six = strchr(piece->target, ':') != NULL, binds = piece->kind == PIECE_BIND;
    size_t begin = to->len, ranges = piece_ports(piece, n, ports, sizeof ports);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_LEN(commands); k++)
            commands[k] |= piece[i].commands[k];
    if (binds && ranges == 0)
        strcpy(ports, "*");
    if (piece->kind == PIECE_UNIX)
        append(to, "net-allow unix://%s", piece->target);
    else
        append(to, "net-allow%s %s%s%s%s%s%s", binds ? "-bind" : "", scheme_of(piece->protocol),
               six && ports[0] ? "[" : "", piece->target, six && ports[0] ? "]" : "",
               ports[0] && piece->target[0] ? ":" : "", piece->protocol == PROTOCOL_ICMP ? "" : ports);
    while (to->len - begin < LEARN_COLUMN && !to->failed)
        append(to, " ");
    append_commands(to, commands, " # ", "\n");
}

/* What a nameserver was asked, though /etc/hosts will tell it. */
static void append_questions(struct growing *to)
{
    char endpoint[IP_ENDPOINT_MAX];

    for (size_t i = 0; i < n_learned; i++)
        if (learned[i].kind == LEARNED_REACH && learned[i].asks && !learned[i].asks_beyond) {
            ip_endpoint_format(endpoint, sizeof endpoint, learned[i].addr, learned[i].port);
            append(to, "# not needed, since /etc/hosts shows the names above: net-allow %s%s",
                   scheme_of(learned[i].protocol), endpoint);
            append_commands(to, learned[i].commands, " (", ")\n");
        }
    for (size_t i = 0; i < n_seen; i++)
        if (!seen_reached[i])
            append(to, "# looked up, but not contacted: %s (%s)\n", seen_names[i].text,
                   learned_commands[seen_names[i].command]);
}

/* What no policy permits, or no line can say. */
static void append_refused(struct growing *to)
{
    for (size_t i = 0; i < n_learned; i++) {
        const struct learned *note = &learned[i];

        if (note->kind == LEARNED_UNIX && !learned_is_rule(note)) {
            append(to, "# a unix socket whose name no line can have: ");
            for (const char *c = note->text; *c != 0; c++)
                append(to, "%c", *c == '\n' ? '?' : *c);
            append_commands(to, note->commands, " (", ")\n");
        } else if (note->kind == LEARNED_REFUSED) {
            append(to, "# refused: %s%s%s", note->text, note->allow ? ", which would take " : "",
                   note->allow ? note->allow : "");
            append_commands(to, note->commands, " (", ")\n");
        }
    }
    if (learned_lost > 0)
        append(to, "# %zu things more were done than could be noted\n", learned_lost);
}

/* How names were looked up, where that was said. */
static void append_resolver(struct growing *to)
{
    char endpoint[IP_ENDPOINT_MAX];

    for (size_t i = 0; settings.resolver_given && i < policy.resolvconf.n_servers; i++) {
        const struct resolvconf_server *asked = &policy.resolvconf.servers[i];

        ip_endpoint_format(endpoint, sizeof endpoint, asked->addr, asked->port == DNS_PORT ? 0 : asked->port);
        append(to, "resolver %s\n", endpoint);
    }
    if (policy.hosts != NULL && line_can_have(policy.hosts))
        append(to, "hosts %s\n", policy.hosts);
}

/* The whole file. */
static void learn_compose(struct growing *to)
{
    bool opens = false;
    size_t n;

    seen_mark_reached();
    for (size_t i = 0; i < n_learned; i++)
        if (learned_is_rule(&learned[i])) {
            opens = opens || learned[i].kind == LEARNED_UNIX || learned[i].protocol != PROTOCOL_TCP;
            pieces_of(&learned[i]);
        }
    if (n_pieces > 0)
        qsort(pieces, n_pieces, sizeof *pieces, piece_order);
    append_resolver(to);
    for (size_t i = 0; i < n_pieces; i += n) {
        for (n = 1; i + n < n_pieces && piece_alike(&pieces[i], &pieces[i + n]); n++)
            continue;
        append_rule(to, &pieces[i], n);
    }
    if (learned_datagrams && !opens)
        append(to, "net-allow unix://@datagrams # unix datagram sockets, which exist under such a rule\n");
    append_questions(to);
    append_refused(to);
}

/* learn's end: write the file. Its descriptor is open since the start. 0, or our own error's status. */
static int learn_write(int fd)
{
    struct growing text = {.p = NULL};
    size_t rules = 0, done = 0;
    ssize_t n = 0;

    append(&text, "# Learned by sandlock " SANDLOCK_VERSION ": sandlock run --policy THIS_FILE -- CMD permits what it did then.\n");
    learn_compose(&text);
    for (size_t i = 0; i < text.len; i++)
        rules += text.p[i] == '\n' && i + 1 < text.len && text.p[i + 1] != '#';
    ftruncate(fd, 0); /* what can't be cut is no file */
    for (; done < text.len && n >= 0 && !text.failed; done += n > 0 ? (size_t)n : 0)
        n = write(fd, text.p + done, text.len - done);
    if (n < 0 || text.failed) {
        say("-o '%s': cannot write: %s", settings.output, text.failed ? "out of memory" : strerror(errno));
        return EXIT_OURS;
    }
    if (!settings.quiet)
        say("%zu rule%s in %s: run --policy %s permits what the command did", rules, rules == 1 ? "" : "s",
            settings.output, settings.output);
    return 0;
}

/* ---- files: the Landlock domain ---- */

static void files_permit(int ruleset, const char *path, uint64_t rights, size_t length)
{
    int result = file_rules_permit(&settings.file_rules, ruleset, path, rights, length);

    if (result < 0)
        die("cannot permit '%s': %s", path, strerror(-result));
}

/* No writing beneath this, unless it is beneath such a path already. */
static void files_close(struct slice path)
{
    struct file_rules *rules = &settings.file_rules;
    char *copy = strndup(path.p, path.len); /* lives to exit */

    if (copy == NULL)
        die("out of memory");
    for (size_t i = 0; i < rules->n; i++)
        if (rules->rules[i].takes == KNOB_RIGHTS && path_is_beneath(copy, rules->rules[i].path))
            return;
    if (rules->n == FILE_RULES_MAX - HARMLESS_MAX)
        die("too many mounts of the kernel's own to close: at most %d", FILE_RULES_MAX);
    rules->rules[rules->n++] = (struct file_rule){copy, 0, KNOB_RIGHTS};
}

/* What the kernel gives its owner to change, whatever his capabilities: a root command finds it closed, but for
 * devices that do no harm. What -w names is the user's wish. */
static void files_close_knobs(void)
{
    static const char *const kinds[] = {"proc",    "sysfs",    "devtmpfs",   "cgroup", "cgroup2",  "debugfs",
                                        "tracefs", "configfs", "securityfs", "bpf",    "efivarfs", "pstore"};
    struct slice rest = {NULL, 0};

    files_close(slice_of("/proc"));
    files_close(slice_of("/sys"));
    files_close(slice_of("/dev"));
    if (access("/proc/self/mounts", R_OK) == 0)
        rest = read_whole("--allow-syscall machine would do without", "", "/proc/self/mounts");
    while (rest.len > 0) {
        struct slice line = slice_split(&rest, '\n');

        slice_split(&line, ' ');
        struct slice directory = slice_split(&line, ' '), kind = slice_split(&line, ' ');
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
            if (slice_is(kind, kinds[i]))
                files_close((struct slice){directory.p, path_unescape((char *)(uintptr_t)directory.p, directory.len)});
    }
}

/* Devices that do no harm stay, in /dev closed or under -r and -w, unless --fs-deny covers them; with -r and -w not those
 * in which files are made or others are to be found. */
static void files_spare_devices(void)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full",   "/dev/random", "/dev/urandom",
                                          "/dev/tty",  "/dev/ptmx", "/dev/pts",    "/dev/shm",    "/dev/mqueue",
                                          "/dev/console"};
    enum { OWN = 6 }; /* the first, which lead to nobody else */
    struct file_rules *rules = &settings.file_rules;
    size_t n = settings.restricts_files ? OWN : ARRAY_LEN(devices);

    for (size_t i = 0; i < n; i++)
        if (file_rules_taken(rules, devices[i], false, 0) != UINT64_MAX)
            rules->rules[rules->n++] = (struct file_rule){devices[i], LANDLOCK_READ_FILE | KNOB_RIGHTS |
                                                                      LANDLOCK_IOCTL_DEV, 0};
}

/* The command's Landlock domain: TCP, UDP, unix sockets and its neighbours as a second wall, files where the user says
 * so or the command may be root. A descriptor; -1: this kernel has nothing of it. */
static int files_prepare(int abi)
{
    struct landlock_domain domain = {LANDLOCK_RESOLVE_UNIX, LANDLOCK_OF_TCP | LANDLOCK_OF_UDP,
                                     LANDLOCK_SCOPE_ABSTRACT | LANDLOCK_SCOPE_SIGNAL};
    bool chosen = settings.file_rules.n > 0;

    settings.closes_knobs =
        geteuid() == 0 && !(settings.allowed_groups & 1u << GROUP_MACHINE) && abi >= LANDLOCK_ABI_REFER;
    if (chosen && abi < 1)
        die("-r, -w and --fs-deny need Landlock, which this kernel doesn't have (5.13, CONFIG_SECURITY_LANDLOCK)");
    if (chosen)
        domain.fs = UINT64_MAX;
    else if (settings.closes_knobs)
        domain.fs |= KNOB_RIGHTS | LANDLOCK_REFER;
    else if (abi == LANDLOCK_ABI_REFER || abi == LANDLOCK_ABI_TRUNCATE || abi >= LANDLOCK_ABI_UNIX)
        domain.fs |= LANDLOCK_REFER; /* a domain needs something to handle, and files without REFER break renames */
    domain.fs &= landlock_fs_rights(abi);
    int ruleset = landlock_create(abi, domain);
    if (ruleset == -ENOMSG || ruleset == -ENOSYS || ruleset == -EOPNOTSUPP)
        return -1;
    if (ruleset < 0)
        die("cannot make a Landlock ruleset: %s", strerror(-ruleset));
    if (settings.closes_knobs)
        files_close_knobs();
    if (settings.closes_knobs || settings.restricts_files)
        files_spare_devices();
    if (!settings.restricts_files && domain.fs != 0)
        files_permit(ruleset, "/", domain.fs & ~(uint64_t)LANDLOCK_RESOLVE_UNIX, 0);
    for (size_t i = 0; i < settings.file_rules.n; i++) {
        const struct file_rule *rule = &settings.file_rules.rules[i];

        files_permit(ruleset, rule->path, rule->gives & domain.fs, strlen(rule->path));
    }
    return ruleset;
}

/* ---- confine: the child's side ---- */

/* The child shares our memory and descriptors until it executes the command; we wait for that. So the listener that it
 * installs is ours at once, and what goes wrong is told here. */
struct confinement {
    char **argv;
    struct bpf_program *filter;
    unsigned long filter_flags;
    int ruleset;     /* Landlock's; < 0: none */
    int hosts_mount; /* what is to be seen as /etc/hosts; < 0: none */
    sigset_t mask;
    void (*children)(int); /* what SIGCHLD did */
    pid_t parent;
    int listener;
    const char *failed; /* what, with error; NULL: nothing */
    const char *text;   /* of the option that it was done for */
    int error;
};

static int confine_step(struct confinement *c, const char *what, int result)
{
    if (result < 0) {
        c->failed = what;
        c->error = -result;
    }
    return result;
}

static int confine(void *argument)
{
    struct confinement *c = argument;
    struct sock_fprog program = {(unsigned short)c->filter->len, c->filter->code};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != c->parent)
        _exit(EXIT_OURS);
    if (c->hosts_mount >= 0 &&
        (confine_step(c, "leave for an own mount namespace", mounts_leave()) < 0 ||
         confine_step(c, "mount over /etc/hosts", mounts_cover(c->hosts_mount, settings.chroot, "/etc/hosts")) < 0))
        _exit(EXIT_OURS);
    c->text = settings.chroot;
    if (settings.chroot != NULL &&
        confine_step(c, "change the root to --chroot", sys_result(chroot(settings.chroot) < 0 ? -1 : chdir("/"))) < 0)
        _exit(EXIT_OURS);
    c->text = settings.cwd;
    if (settings.cwd != NULL && confine_step(c, "change to --cwd", sys_result(chdir(settings.cwd))) < 0)
        _exit(EXIT_OURS);
    /* With CAP_SYS_CHROOT another chroot would lead out of ours. */
    uint64_t kept = (DEFAULT_CAPS & ~(settings.chroot ? CAPS_BIT(CAP_SYS_CHROOT) : 0)) | settings.kept_caps;
    c->text = NULL;
    if (confine_step(c, "give up capabilities", caps_keep(kept)) < 0)
        _exit(EXIT_OURS);
    if (confine_step(c, "set no_new_privs", sys_result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))) < 0 ||
        (c->ruleset >= 0 && confine_step(c, "enter a Landlock domain", landlock_enter(c->ruleset)) < 0))
        _exit(EXIT_OURS);
    c->listener = sys_seccomp(SECCOMP_SET_MODE_FILTER, c->filter_flags, &program);
    if (confine_step(c, "install the filter", c->listener) < 0)
        _exit(EXIT_OURS);
    signal(SIGCHLD, c->children);
    sigprocmask(SIG_SETMASK, &c->mask, NULL);
    execvp(c->argv[0], c->argv);
    c->failed = "";
    c->error = errno;
    _exit(errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Start the command. Its pid; what fails is said, and the exit status for it is returned as a negative number. */
static pid_t confine_start(struct confinement *c)
{
    static char stack[CHILD_STACK] __attribute__((aligned(16)));
    int status = EXIT_OURS << 8;
    pid_t pid = clone(confine, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, c);

    if (pid < 0)
        die("cannot start a process: %s", strerror(errno));
    if (c->failed == NULL)
        return pid;
    waitpid(pid, &status, 0);
    if (c->failed[0] == 0)
        say("cannot run '%s': %s", c->argv[0], strerror(c->error));
    else if (c->error == EBUSY)
        say("cannot %s: this is inside a sandbox already, whose supervisor has the notifications (another sandlock?); "
            "the kernel gives them to one only", c->failed);
    else
        say("cannot %s%s%s: %s", c->failed, c->text ? " " : "", c->text ? c->text : "", strerror(c->error));
    return -WEXITSTATUS(status);
}

/* ---- confine: our own side ---- */

/* All that the supervisor calls once it serves; anything else is EPERM, so that nobody who got hold of it can execute a
 * program, mount, trace or load anything. */
#define OWN_CALLS(X)                                                                                                   \
    X(accept4) X(access) X(bind) X(brk) X(capget) X(capset) X(clock_gettime) X(clock_nanosleep) X(clone) X(close)      \
    X(connect) X(epoll_ctl) X(epoll_pwait) X(epoll_wait) X(exit) X(exit_group) X(faccessat) X(faccessat2) X(fcntl)     \
    X(fstat) X(fstatfs) X(ftruncate) X(futex) X(getdents64) X(getegid) X(geteuid) X(getgid) X(getpeername)             \
    X(getpgid) X(getpid) X(getppid) X(getrandom) X(getsid) X(getsockname) X(getsockopt) X(gettid) X(getuid) X(ioctl)   \
    X(kill) X(listen) X(lseek) X(madvise) X(memfd_create) X(mmap) X(mprotect) X(mremap) X(munmap) X(nanosleep)         \
    X(newfstatat) X(open) X(openat) X(openat2) X(pidfd_getfd) X(pidfd_open) X(pidfd_send_signal) X(pipe2) X(poll)      \
    X(ppoll) X(prctl) X(pread64) X(process_vm_readv) X(process_vm_writev) X(pwrite64) X(pwritev2) X(read)              \
    X(readlink) X(readlinkat) X(readv) X(reboot) X(recvfrom) X(recvmsg) X(restart_syscall) X(rt_sigaction)             \
    X(rt_sigprocmask) X(rt_sigreturn) X(rt_sigtimedwait) X(sendmmsg) X(sendmsg) X(sendto) X(setgroups) X(setresgid)    \
    X(setresuid) X(setsockopt) X(socket) X(stat) X(sync) X(tgkill) X(tkill) X(unlinkat) X(wait4) X(write) X(writev)

#define OWN_NUMBER(name) NR_##name,
#define OWN_NAME(name) " " #name

static const enum syscall_number own_calls[] = {OWN_CALLS(OWN_NUMBER)};

static int own_assemble(struct bpf_program *program, enum machine machine)
{
    struct bpf_row rows[ARRAY_LEN(own_calls)];

    for (size_t i = 0; i < ARRAY_LEN(own_calls); i++)
        rows[i] = (struct bpf_row){number_on(own_calls[i], machine), SECCOMP_RET_ALLOW, {{0}}};
    return bpf_assemble(program, machine, rows, ARRAY_LEN(own_calls), FAILS(EPERM));
}

/* From here on we hold only the capabilities and calls that serving takes. */
static void own_confine(void)
{
    static struct bpf_program filter;
    uint64_t caps = OUR_CAPS | (here.powers_off ? CAPS_BIT(CAP_SYS_BOOT) : 0);

    if (caps_limit(DEFAULT_CAPS | settings.kept_caps | caps, caps) < 0)
        die("cannot give up capabilities: %s", strerror(errno));
    if (own_assemble(&filter, MACHINE_OURS) < 0)
        die("cannot assemble our own filter: it is too long");
    struct sock_fprog program = {(unsigned short)filter.len, filter.code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int result = sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
    if (result < 0)
        die("cannot install our own filter: %s", strerror(-result));
}

/* ---- the kernel's offers ---- */

/* One line of check. */
struct offer {
    const char *name;
    enum { ACTIVE, NEWER, DEGRADED, MISSING } state; /* NEWER: a second wall that later kernels have */
    const char *lost; /* when it isn't active */
};

enum { OFFERS = 16 };

static void offers_of(const struct features *f, struct offer offers[OFFERS])
{
    bool old = f->major < 5 || (f->major == 5 && f->minor < 10), root = geteuid() == 0;

    const struct offer all[OFFERS] = {
        {"Linux 5.10 or later", old ? MISSING : ACTIVE, "older kernels lack calls that sandlock needs"},
        {"no supervisor around this one", f->nested ? MISSING : ACTIVE,
         "this is inside a sandbox already whose supervisor has the notifications (another sandlock?); the kernel "
         "gives them to one only"},
        {"seccomp notifications", f->notify ? ACTIVE : MISSING,
         "nothing can be decided; CONFIG_SECCOMP_FILTER, or a seccomp profile that permits seccomp(2)"},
        {"reading the command's memory", f->vm_read ? ACTIVE : f->proc ? DEGRADED : MISSING,
         "addresses are read by /proc/PID/mem; a profile that permits process_vm_readv(2), or CAP_SYS_PTRACE"},
        {"pinning sockets", f->getfd ? ACTIVE : f->proc ? DEGRADED : MISSING,
         "sandlock makes the sockets and hands them in; a profile that permits pidfd_getfd(2), or CAP_SYS_PTRACE"},
        {"Yama's ptrace_scope", f->yama == 3 || (f->yama == 2 && !root) ? MISSING : ACTIVE,
         "processes may not be looked into; kernel.yama.ptrace_scope of 0 or 1"},
        {"Landlock domain (ABI 2)", f->landlock >= 2 ? ACTIVE : DEGRADED,
         "the command can read and write the memory of the user's other processes by /proc, and so act as they may; "
         "root can write in /proc, /sys and /dev"},
        {"Landlock for TCP (ABI 4)", f->landlock >= 4 ? ACTIVE : DEGRADED, "no second wall behind connect and bind"},
        {"Landlock scopes (ABI 6)", f->landlock >= 6 ? ACTIVE : DEGRADED,
         "signals and abstract sockets are held by the filter alone, or not at all"},
        {"Landlock for unix paths (ABI 9)", f->landlock >= 9 ? ACTIVE : NEWER, "no second wall behind unix sockets"},
        {"Landlock for UDP (ABI 10)", f->landlock >= 10 ? ACTIVE : NEWER, "no second wall behind UDP"},
        {"replies that can't be lost (5.19)", f->killable ? ACTIVE : DEGRADED,
         "a signal can repeat a call; what was done is kept for the repetition"},
        {"each thread's own descriptors (6.9)", f->threads ? ACTIVE : DEGRADED,
         "threads may not split their descriptor table: unshare(CLONE_FILES) is refused"},
        {"wake-ups on the same core (6.6)", f->near ? ACTIVE : DEGRADED, "each call on behalf takes longer"},
        {"who has bound a unix socket (unix_diag)", f->unix_diag ? ACTIVE : DEGRADED,
         "the command's own count as those outside, which only a rule opens; CONFIG_UNIX_DIAG, often a module"},
        {"/proc, of this pid namespace", f->proc ? ACTIVE : DEGRADED,
         "signals are seen when a call ends; what is left behind is found by trying all numbers"},
    };
    memcpy(offers, all, sizeof all);
}

/* 0 all active, 1 degraded, 125 can't run. */
static int check_command(void)
{
    static const char *const states[] = {"active", "newer", "degraded", "missing"};
    struct features features = features_ask();
    struct offer offers[OFFERS];
    int worst = ACTIVE;

    offers_of(&features, offers);
    for (size_t i = 0; i < OFFERS; i++) {
        printf("%-9s %s%s%s\n", states[offers[i].state], offers[i].name, offers[i].state == ACTIVE ? "" : ": ",
               offers[i].state == ACTIVE ? "" : offers[i].lost);
        worst = (int)offers[i].state > worst ? (int)offers[i].state : worst;
    }
    if (settings.verbose)
        printf("once it serves, sandlock itself may call only:%s\n", OWN_CALLS(OWN_NAME));
    if (worst == MISSING || (worst == DEGRADED && settings.strict))
        return EXIT_OURS;
    return worst == DEGRADED ? 1 : 0;
}

/* Refuse to run where it can't be done, or not as --strict wants it. */
static void features_demand(const struct features *f)
{
    struct offer offers[OFFERS];

    offers_of(f, offers);
    for (size_t i = 0; i < OFFERS; i++)
        if (offers[i].state == MISSING || (settings.strict && offers[i].state == DEGRADED))
            die("%s%s: %s: %s", settings.strict ? "--strict: " : "",
                offers[i].state == MISSING ? "missing" : "degraded", offers[i].name, offers[i].lost);
}

/* ---- main ---- */

/* What is wrong with this as stdin, stdout or stderr; NULL: nothing. */
static const char *stdio_reaches(int fd)
{
    struct socket_kind kind;
    union address peer;
    socklen_t len = sizeof peer;
    struct stat status;
    char path[40], link[PATH_MAX];

    if (settings.chroot != NULL && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        return "a directory, which leads out of --chroot";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (childpath_readlink(path, link) == 0 && strcmp(link, "anon_inode:[io_uring]") == 0)
        return "an io_uring, whose operations are no system calls";
    if (pin_kind(fd, &kind) < 0 || socket_is(kind, IPPROTO_TCP) ||
        (kind.domain == AF_UNIX && kind.type != SOCK_DGRAM && getpeername(fd, &peer.any, &len) == 0))
        return NULL;
    return "a socket that can reach other addresses by itself";
}

/* What reaches anywhere by itself is no stdin, stdout or stderr to hand down. */
static void main_check_stdio(void)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};

    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        const char *reaches = stdio_reaches(fd);
        bool kept = false;

        for (size_t i = 0; i < settings.n_keep_fds; i++)
            kept = kept || settings.keep_fds[i] == fd;
        if (reaches != NULL && !kept)
            die("%s is %s; --keep-fd %d hands it down all the same", names[fd], reaches, fd);
    }
}

/* From now on every descriptor above 2 closes when the command is executed, but for the kept ones. */
static void main_close_on_exec(void)
{
    if (sys_close_range(3, ~0u, KERNEL_CLOSE_RANGE_CLOEXEC) < 0) { /* before 5.11 */
        struct rlimit limit;

        getrlimit(RLIMIT_NOFILE, &limit);
        for (int fd = 3; fd < (int)(limit.rlim_max < 1 << 20 ? limit.rlim_max : 1 << 20); fd++)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    for (size_t i = 0; i < settings.n_keep_fds; i++) {
        struct socket_kind kind;
        int fd = settings.keep_fds[i];

        fcntl(fd, F_SETFD, 0);
        if (pin_kind(fd, &kind) == 0 && !settings.quiet)
            say("descriptor %d is a socket: what it reaches is open to the command, by your --keep-fd", fd);
    }
}

/* --env and --clean-env: our own environment becomes the command's. */
static void main_prepare_environment(void)
{
    const char *kept[ENV_MAX];

    for (size_t i = 0; i < settings.n_env; i++)
        kept[i] = strchr(settings.env[i], '=') ? NULL : getenv(settings.env[i]);
    if (settings.clean_env && clearenv() != 0)
        die("--clean-env: out of memory");
    for (size_t i = 0; i < settings.n_env; i++) {
        const char *equals = strchr(settings.env[i], '=');
        char *name = strndup(settings.env[i], strcspn(settings.env[i], "="));
        const char *value = equals ? equals + 1 : kept[i];

        if (name == NULL || (value != NULL && setenv(name, value, 1) < 0))
            die("--env '%s': out of memory", settings.env[i]);
        free(name);
    }
}

/* Show the hosts file inside, where rules have names or may get some: by a mount (asked for, or under --chroot where
 * that can be done), else by answering opens. The mount to be made; -1: none. */
static int main_prepare_hosts(void)
{
    struct growing *file = &here.hosts_base;

    bool shows = (policy.n_names > 0 || settings.live) && !settings.no_hosts;
    if (!shows && policy.undecided != UNDECIDED_LEARNED)
        return -1;
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = settings.chroot ? RESOLVE_IN_ROOT : 0};
    int root CLOSE_FD = open(settings.chroot ? settings.chroot : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    here.real_hosts = sys_openat2(root, "/etc/hosts", &how);
    if (!shows)
        return -1; /* only who reads it is of interest */
    hosts_compose(file);
    bool mounts = here.real_hosts >= 0 && (settings.hosts_mount || settings.chroot);
    int mounted = mounts ? mounts_make_file(file->p, file->len, &here.hosts_mounted) : -1;
    if (mounted < 0 && settings.hosts_mount)
        die("--hosts-mount: %s; %s", here.real_hosts < 0 ? "there is no /etc/hosts to cover" : strerror(-mounted),
            "root with CAP_SYS_ADMIN and Linux 5.2 would be right, or no --hosts-mount");
    if (mounted < 0 && here.real_hosts >= 0 && here.proc) {
        here.hosts = hosts_seal(growing_slice(file));
        if (here.hosts < 0)
            die("cannot compose the hosts file: %s", strerror(-here.hosts));
    }
    settings.no_hosts = here.hosts < 0; /* opens needn't be looked at */
    if (mounted < 0 && here.hosts < 0 && policy.n_names > 0)
        say("names are not shown inside: there is no %s", here.real_hosts < 0 ? "/etc/hosts" : "/proc");
    return mounted < 0 ? -1 : mounted;
}

/* learn's file; what can't be written is told before anything runs. -1: there is none. */
static int main_open_output(void)
{
    if (settings.output == NULL)
        return -1;
    int fd = open(settings.output, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        die("-o '%s': cannot open: %s; a file that can be written would be right", settings.output, strerror(errno));
    return fd;
}

/* --ask: start who is to be asked, or take the descriptor. */
static void main_prepare_asker(const sigset_t *mask)
{
    char *words[ASK_WORDS_MAX + 1] = {NULL}, *copy, *rest;
    uint64_t fd = 0;

    asker.socket = -1;
    if (settings.ask == NULL)
        return;
    if (strncmp(settings.ask, "fd:", 3) == 0) {
        parse_uint(slice_of(settings.ask + 3), INT32_MAX, &fd);
        asker.socket = (int)fd;
        for (size_t i = 0; i < settings.n_keep_fds; i++)
            if (settings.keep_fds[i] == asker.socket)
                die("--ask '%s': kept for the command, too, which could then answer; another one would be right",
                    settings.ask);
        return;
    }
    copy = rest = strdup(settings.ask);
    for (size_t n = 0; rest != NULL && n < ASK_WORDS_MAX;) {
        char *word = strsep(&rest, " ");

        if (word[0] != 0)
            words[n++] = word;
    }
    if (rest != NULL || copy == NULL)
        die("--ask '%s': more than %d words; a script would be right", settings.ask, ASK_WORDS_MAX);
    int result = coprocess_start(&ask_helper, words, mask);
    if (result < 0)
        die("--ask '%s': cannot be started: %s; a command that reads questions and writes answers would be right",
            settings.ask, strerror(-result));
    free(copy);
    asker.socket = ask_helper.socket;
}

/* Where control sockets are. NULL: there is no such place. */
static const char *control_directory(void)
{
    static char path[PATH_MAX];
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (settings.control != NULL)
        return settings.control;
    if (geteuid() == 0)
        return "/run/sandlock";
    if (runtime == NULL || runtime[0] != '/')
        return NULL;
    snprintf(path, sizeof path, "%s/sandlock", runtime);
    return path;
}

/* Nobody finds us any more. */
static void server_end(void)
{
    controlsock_remove(server.directory, settings.name, control_place.device, control_place.inode);
}

/* --name and --live: be there for those who want to control what is run. */
static void server_start(char **argv)
{
    static char number[16];
    const char *option = settings.name ? "--name" : "--live", *path = control_directory();
    struct stat status;

    control_place.directories[0] = path ? realpath(path, NULL) : NULL;
    control_place.directories[1] = realpath("/run/sandlock", NULL);
    if (settings.name == NULL && !settings.live)
        return;
    snprintf(number, sizeof number, "%d", getpid());
    settings.name = settings.name ? settings.name : number;
    if (path == NULL)
        die("%s: XDG_RUNTIME_DIR isn't set; --control DIR would be right", option);
    server.directory = controlsock_open_directory(path, true);
    if (server.directory < 0)
        die("%s: %s: %s; a directory of your own with mode 0700 would be right, by --control DIR", option, path,
            server.directory == -EPERM ? "others can look or write there" : strerror(-server.directory));
    server.listener = controlsock_listen(server.directory, path, settings.name);
    if (server.listener == -EADDRINUSE)
        die("%s '%s': a sandbox of this name runs; another name would be right", option, settings.name);
    if (server.listener < 0 || fstatat(server.directory, settings.name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        die("%s '%s': cannot listen in %s: %s", option, settings.name, path,
            strerror(server.listener < 0 ? -server.listener : errno));
    control_place.device = status.st_dev;
    control_place.inode = status.st_ino;
    control_place.directories[0] = realpath(path, NULL);
    atexit(server_end);
    server.arguments = argv;
    server.started = time(NULL);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        server.clients[i].fd = -1;
    prctl(PR_SET_NAME, "sandlock"); /* for clients, who look whether it is one of its own command's that answers */
}

static void server_watch(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = EVENT_CONTROL};

    if (epoll_ctl(here.epoll, EPOLL_CTL_ADD, server.listener, &event) < 0)
        die("cannot prepare to be controlled: %s", strerror(errno));
}

static void main_prepare_loop(const sigset_t *signals)
{
    struct epoll_event listener = {.events = EPOLLIN, .data.u64 = EVENT_LISTENER};
    struct epoll_event signal_event = {.events = EPOLLIN, .data.u64 = EVENT_SIGNALS};

    unix_target.file = -1;
    here.epoll = epoll_create1(EPOLL_CLOEXEC);
    here.signals = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (here.epoll < 0 || here.signals < 0 || message_init(&batch) < 0 ||
        epoll_ctl(here.epoll, EPOLL_CTL_ADD, here.listener, &listener) < 0 ||
        epoll_ctl(here.epoll, EPOLL_CTL_ADD, here.signals, &signal_event) < 0)
        die("cannot prepare to serve: %s", strerror(errno));
    if (here.proxy.channel >= 0)
        proxy_watch_channel(false, EPOLL_CTL_ADD);
    if (here.lookups.channel >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = EVENT_LOOKUPS};

        epoll_ctl(here.epoll, EPOLL_CTL_ADD, here.lookups.channel, &event);
    }
    if (asker.socket >= 0)
        ask_watch(EPOLLIN, EPOLL_CTL_ADD);
    if (settings.name != NULL)
        server_watch();
    notify_stay_near(here.listener);
    own_raise_limit();
    signal(SIGPIPE, SIG_IGN);
}

/* All that a look-up takes. */
static const enum syscall_number lookups_calls[] = {
    NR_brk, NR_clock_gettime, NR_clone, NR_close, NR_connect, NR_exit_group, NR_getrandom, NR_madvise, NR_mmap,
    NR_mremap, NR_munmap, NR_poll, NR_ppoll, NR_recvfrom, NR_recvmsg, NR_restart_syscall, NR_rt_sigprocmask,
    NR_sendto, NR_setsockopt, NR_socket,
};

static void lookups_run(void)
{
    if (helper_confine(lookups_calls, ARRAY_LEN(lookups_calls)) == 0)
        lookups_serve(HELPER_CHANNEL, &policy.resolvconf, growing_slice(&hosts_known));
}

/* Where there are HTTP rules: the proxy, the place where connects wait for it, and who looks up its names. */
static void main_prepare_http(void)
{
    static const struct ip_addr loopbacks[2] = {{0, INADDR_LOOPBACK, 4}, {0, 1, 6}};

    if (policy.n_http_rules == 0 && !policy.any[LIST_HTTP])
        return;
    int result = hold_open(&here.holds[0], loopbacks[0]);
    hold_open(&here.holds[1], loopbacks[1]); /* without IPv6 its sockets wait at the other */
    if (result == 0)
        result = helper_start(&here.proxy, http_proxy_run);
    if (result < 0)
        die("cannot start the proxy for HTTP rules: %s", strerror(-result));
}

/* Where names are looked up while the command runs: the proxy's, or its own. */
static void main_prepare_lookups(void)
{
    if (!policy.http_any_host && policy.undecided == UNDECIDED_REFUSED)
        return;
    int result = helper_start(&here.lookups, lookups_run);
    if (result < 0)
        die("cannot start a process that looks up names: %s", strerror(-result));
}

/* --port-remap: the kernel has to say whose a port is. */
static void main_prepare_remap(void)
{
    int tcp = inetdiag_each(IPPROTO_TCP, 0, 0, 0, NULL, NULL);
    int udp = policy.open[PROTOCOL_UDP] ? inetdiag_each(IPPROTO_UDP, 0, 0, 0, NULL, NULL) : 0;

    if (tcp < 0 || udp < 0)
        die("--port-remap: this kernel doesn't tell whose a port is: %s; CONFIG_INET_%s_DIAG (module %s_diag) would be "
            "right", strerror(tcp < 0 ? -tcp : -udp), tcp < 0 ? "TCP" : "UDP", tcp < 0 ? "tcp" : "udp");
    remap.pins = &here.pins;
    remap.closer = &here.closer;
}

static int run_command(char **argv)
{
    static const int caught[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH,
                                 SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD};
    static struct bpf_program filter;
    struct features features = features_ask();
    struct confinement c = {.argv = argv, .filter = &filter, .ruleset = -1, .parent = getpid()};
    sigset_t signals;

    if (settings.chroot != NULL && geteuid() != 0)
        die("--chroot '%s': only root can change the root directory; without it would be right", settings.chroot);
    if (argv[0] == NULL)
        die("run: no command; sandlock run [OPTION...] -- CMD [ARG...] would be right");
    features_demand(&features);
    main_check_stdio();
    main_close_on_exec();
    server_start(argv);
    calls_init();
    here.killable = features.killable;
    here.proc = features.proc;
    here.pins.by_thread = features.threads;
    settings.no_getfd = settings.no_getfd || !features.getfd;
    here.pins.table = settings.no_getfd ? &made_sockets : NULL;
    if (settings.port_remap)
        main_prepare_remap();
    c.ruleset = files_prepare(features.landlock);
    c.hosts_mount = main_prepare_hosts();
    main_prepare_environment();
    settings.unscoped = features.landlock < LANDLOCK_ABI_SCOPE;
    settings.unprivileged = !caps_has(CAP_SYS_PTRACE);
    main_prepare_http();
    main_prepare_lookups();
    if (traps_assemble(&filter, MACHINE_OURS, !features.threads || settings.no_getfd) < 0)
        die("cannot assemble the filter: it is too long");
    c.filter_flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
                     (features.killable ? KERNEL_WAIT_KILLABLE_RECV : 0);
    sigemptyset(&signals);
    for (size_t i = 0; i < ARRAY_LEN(caught); i++)
        sigaddset(&signals, caught[i]);
    sigprocmask(SIG_BLOCK, &signals, &c.mask);
    c.children = signal(SIGCHLD, SIG_DFL); /* we wait for ours, also where we were started with it ignored */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0); /* our memory is nobody's, also where Landlock doesn't say so */
    main_prepare_asker(&c.mask);
    int output = main_open_output();
    here.command = confine_start(&c);
    if (here.command < 0)
        return -here.command;
    here.listener = c.listener;
    live.lineage.root = lineage_now(here.command);
    main_prepare_loop(&signals);
    own_confine();
    int status = serve();
    events_summarize();
    return output >= 0 && learn_write(output) != 0 ? EXIT_OURS : status;
}

/* The verdict on one destination, as `run` would give it. Returns whether it is allowed. */
static bool explain_one(const struct rule *rule, enum protocol protocol)
{
    struct destination to = {.kind = DESTINATION_IP, .protocol = protocol, .addr = rule->prefix.addr,
                             .port = rule->n_ports ? rule->ports[0].first : 0};
    struct decision decision = decide(&to);
    struct event event = {.operation = "explain"};

    const struct special_range *range = policy.names_ranges ? special_find(to.addr) : NULL;

    event_of_destination(&event, &to, decision, false);
    bool asked = policy.undecided == UNDECIDED_ASKED && is_undecided(&to, decision);
    printf("%s %s", asked ? "asked" : decision.verdict == VERDICT_DENY ? "denied" : "allowed", event.subject);
    if (range != NULL)
        printf(" (%s, %s; %s)", range->name, range->prefix, range->source);
    printf(" by %s%s%s%s\n", event.rule[0] ? event.rule : "no rule", event.allow[0] ? ": allow it with " : "",
           event.allow, decision.verdict == VERDICT_REDIRECT ? ": each request is looked at" : "");
    return decision.verdict != VERDICT_DENY;
}

static int explain_command(char **destinations)
{
    static struct rule rule;
    bool all = true;

    if (destinations[0] == NULL)
        die("explain: no destination; sandlock explain [OPTION...] -- 10.0.0.1:443 would be right");
    for (; *destinations != NULL; destinations++) {
        rule_error error = rule_parse(slice_of(*destinations), LIST_ALLOW, &rule);

        if (error != NULL)
            die("explain '%s': %s", *destinations, error);
        unsigned full = rule.prefix.addr.version == 6 ? 128 : 32;
        if (rule.target != TARGET_PREFIX || rule.prefix.len != full || rule.n_ports > 1)
            die("explain '%s': not one destination; 10.0.0.1:443 or udp://[2001:db8::1]:53 would be right",
                *destinations);
        if (rule.n_ports == 0 && rule.protocols != 1 << PROTOCOL_ICMP)
            die("explain '%s': no port; 10.0.0.1:443 or icmp://10.0.0.1 would be right", *destinations);
        for (unsigned p = 0; p < PROTOCOLS; p++)
            if (rule.protocols & 1u << p)
                all = explain_one(&rule, (enum protocol)p) && all;
    }
    return all ? 0 : 1;
}

/* ---- commands for running sandboxes ---- */

/* Their options. */
static struct {
    const char *pid, *duration; /* as they were given; NULL: not */
    bool json, follow;
} asked;

/* Take the options out of argv, wherever they stand. What is left, its operands. */
static char **client_options(char **argv)
{
    int n = 0;

    for (int i = 0; argv[i] != NULL; i++) {
        const char *equals = strchr(argv[i], '=');
        struct slice name = {argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i])};
        const char **value = slice_is(name, "--pid") ? &asked.pid : slice_is(name, "--for") ? &asked.duration
                             : slice_is(name, "--control") ? &settings.control : NULL;

        if (strcmp(argv[i], "--") == 0) {
            while (argv[++i] != NULL)
                argv[n++] = argv[i];
            break;
        } else if (value != NULL) {
            *value = equals ? equals + 1 : argv[i + 1];
            i += equals == NULL;
            if (*value == NULL)
                die("%.*s: needs a value", (int)name.len, name.p);
        } else if (strcmp(argv[i], "--json") == 0) {
            asked.json = true;
        } else if (strcmp(argv[i], "-f") == 0) {
            asked.follow = true;
        } else if (argv[i][0] == '-' && argv[i][1] != 0) {
            die("%s: no option of this command; sandlock --help says more", argv[i]);
        } else {
            argv[n++] = argv[i];
        }
    }
    argv[n] = NULL;
    return argv;
}

/* Where control sockets are. */
static const char *client_directory(void)
{
    const char *path = control_directory();

    if (path == NULL)
        die("XDG_RUNTIME_DIR isn't set; --control DIR, as the sandbox has it, would be right");
    return path;
}

/* Is it a process inside of a sandbox that listens there, in the place of a supervisor? It can't hide that one of its
 * ancestors is called so. */
static bool client_is_deceived(pid_t holder)
{
    uint64_t started;
    char name[PROCESS_NAME_MAX] = "";

    for (int depth = 0; holder > 1 && depth < PROCESS_SCAN_MAX && strcmp(name, "sandlock") != 0; depth++) {
        holder = process_parent(holder, &started);
        if (holder > 0)
            process_name(holder, name);
    }
    return strcmp(name, "sandlock") == 0;
}

/* Connect to a sandbox. A descriptor, or -errno. */
static int client_try(const char *name)
{
    static const struct timeval patience = {.tv_sec = 10};
    int fd = controlsock_connect(client_directory(), name);

    if (fd < 0)
        return fd;
    pid_t holder = controlsock_holder(fd, geteuid());
    if (holder < 0 || client_is_deceived(holder)) {
        close(fd);
        return holder < 0 ? holder : -EBADMSG;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static int client_connect(const char *name)
{
    int fd = controlsock_name_valid(name) ? client_try(name) : -ENOENT;

    if (fd == -ENOENT || fd == -ECONNREFUSED)
        die("no sandbox '%s' runs; sandlock ps lists those that do, in %s", name, client_directory());
    if (fd == -EBADMSG)
        die("'%s': a process inside of a sandbox took its name; killing that sandbox would be right", name);
    if (fd < 0)
        die("cannot ask '%s' in %s: %s", name, client_directory(), strerror(-fd));
    return fd;
}

static void client_request(int fd, const struct growing *request)
{
    for (size_t sent = 0; sent < request->len;) {
        ssize_t n = send(fd, request->p + sent, request->len - sent, MSG_NOSIGNAL);

        if (n < 0)
            die("cannot ask: %s", errno == EAGAIN ? "it doesn't answer" : strerror(errno));
        sent += (size_t)n;
    }
}

/* Read an answer whole. 0; -EAGAIN: none came; other -errno. The bytes are *room's. */
static int client_read_answer(int fd, struct growing *room, struct control_message *answer)
{
    size_t len = 0, scanned = 0;

    while (len == 0) {
        if (!growing_reserve(room, 65536))
            return -ENOMEM;
        ssize_t n = recv(fd, room->p + room->len, room->room - room->len, 0);
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        room->len += (size_t)n;
        len = control_length(growing_slice(room), scanned);
        scanned = room->len;
    }
    return control_parse((struct slice){room->p, len}, answer);
}

/* Ask one thing, and die where the answer is an error. The fields of the answer, which live to exit. */
static struct slice client_ask(int fd, const char *name, const struct growing *request)
{
    struct growing room = {.p = NULL};
    struct control_message answer;

    client_request(fd, request);
    int result = client_read_answer(fd, &room, &answer);
    if (result < 0)
        die("'%s' doesn't answer: %s", name, strerror(-result));
    if (!slice_is(answer.verb, "ok"))
        die("%.*s", (int)answer.text.len, answer.text.p);
    return answer.fields;
}

static struct growing client_verb(const char *verb)
{
    struct growing request = {.p = NULL};

    growing_add(&request, "sandlock %d %s\n", CONTROL_VERSION, verb);
    return request;
}

/* Look names up as the sandbox does. */
static void client_take_resolver(int fd, const char *name)
{
    struct growing request = client_verb("resolver");
    struct control_field field;

    growing_append(&request, slice_of("\n"));
    for (struct slice fields = client_ask(fd, name, &request); control_next(&fields, &field);) {
        char *value = strndup(field.value.p ? field.value.p : "", field.value.len); /* lives to exit */

        if (value == NULL)
            die("out of memory");
        if (slice_is(field.name, "resolver"))
            set_resolver(value);
        else if (slice_is(field.name, "hosts"))
            set_hosts(value);
        else if (slice_is(field.name, "no-private"))
            policy.no_private = true;
    }
}

/* The addresses of a rule's name, or what a unix rule's path is now; next_*: where the rule's are. */
static void client_add_at(struct growing *request, size_t rule, size_t *next_named, size_t *next_unix)
{
    char addr[IP_TEXT_MAX];

    if (*next_unix < policy.n_unix_rules && policy.unix_rules[*next_unix].tag == rule) {
        const struct unix_rule *found = &policy.unix_rules[(*next_unix)++];

        if (found->kind == UNIX_PATH || found->kind == UNIX_BELOW)
            growing_add(request, "at %llu %llu %s\n", (unsigned long long)found->device,
                        (unsigned long long)found->inode, found->text);
    }
    if (*next_named < policy.n_named && policy.named[*next_named].tag == rule) {
        const struct resolve_name *found = &policy.names[policy.named[(*next_named)++].name];

        growing_append(request, slice_of("at"));
        for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
            for (size_t a = 0; a < found->families[f].n; a++) {
                ip_addr_format(addr, sizeof addr, found->families[f].addrs[a]);
                growing_add(request, " %s", addr);
            }
        growing_append(request, slice_of("\n"));
    }
}

/* allow, deny, restrict NAME SPEC...: names are looked up here, so that the sandbox never waits. */
static int change_command(enum live_verb verb, char **operands)
{
    struct growing request = client_verb(live_verbs[verb]);
    enum rule_list list = verb == LIVE_DENY ? LIST_DENY : LIST_ALLOW;
    struct control_field field;
    unsigned seconds = asked.duration ? parse_duration("--for", asked.duration, LIVE_TIME_MAX) : 0;
    uint64_t pid;

    if (operands[0] == NULL || (operands[1] == NULL && verb != LIVE_RESTRICT))
        die("%s: needs a sandbox's name and a rule; sandlock %s NAME 10.0.0.1:443 would be right", live_verbs[verb],
            live_verbs[verb]);
    list_options[list] = live_verbs[verb]; /* what errors begin with */
    for (char **spec = operands + 1; *spec != NULL; spec++)
        set_rule(list, *spec);
    if (asked.pid != NULL && (parse_uint(slice_of(asked.pid), INT32_MAX, &pid) < 0 || pid == 0))
        die("--pid '%s': not a process; a number that ps shows would be right", asked.pid);
    int fd = client_connect(operands[0]);
    if (policy.n_names > 0)
        client_take_resolver(fd, operands[0]);
    policy_resolve();
    if (asked.pid != NULL)
        growing_add(&request, "pid %llu\n", (unsigned long long)pid);
    if (seconds > 0)
        growing_add(&request, "for %llu\n", seconds * 1000ull);
    for (size_t i = 0, named = 0, local = 0; i < policy.n_texts; i++) {
        size_t start = request.len;

        growing_add(&request, "rule %.*s\n", (int)policy.texts[i].text.len, policy.texts[i].text.p);
        for (size_t at = start; at + 1 < request.len; at++)
            request.p[at] = request.p[at] == '\t' ? ' ' : request.p[at];
        client_add_at(&request, i, &named, &local);
    }
    growing_append(&request, slice_of("\n"));
    if (request.failed || request.len > CONTROL_REQUEST_MAX)
        die("%s: too many rules at once", live_verbs[verb]);
    for (struct slice notes = client_ask(fd, operands[0], &request); control_next(&notes, &field);)
        say("%.*s", (int)field.value.len, field.value.p ? field.value.p : "");
    return 0;
}

static int allow_command(char **operands)
{
    return change_command(LIVE_ALLOW, operands);
}

static int deny_command(char **operands)
{
    return change_command(LIVE_DENY, operands);
}

static int restrict_command(char **operands)
{
    return change_command(LIVE_RESTRICT, operands);
}

/* kill NAME: returns when it has ended. */
static int kill_command(char **operands)
{
    static const struct timeval forever;
    struct growing request = client_verb("kill");
    char rest[64];

    if (operands[0] == NULL || operands[1] != NULL)
        die("kill: needs a sandbox's name; sandlock kill NAME would be right");
    growing_append(&request, slice_of("\n"));
    int fd = client_connect(operands[0]);
    client_ask(fd, operands[0], &request);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    while (recv(fd, rest, sizeof rest, 0) > 0)
        ;
    return 0;
}

/* log NAME: its last lines; with -f those to come as well, until it ends. */
static int log_command(char **operands)
{
    static const struct timeval forever;
    struct growing request = client_verb("log");
    struct growing room = {.p = NULL};

    if (operands[0] == NULL || operands[1] != NULL)
        die("log: needs a sandbox's name; sandlock log NAME -f would be right");
    growing_append(&request, slice_of(asked.follow ? "follow\n\n" : "\n"));
    int fd = client_connect(operands[0]);
    client_request(fd, &request);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    for (;;) {
        struct slice rest = growing_slice(&room);
        const char *end = rest.len > 0 ? memrchr(rest.p, '\n', rest.len) : NULL;
        size_t whole = end ? (size_t)(end + 1 - rest.p) : 0;

        for (rest.len = whole; rest.len > 0;) {
            struct slice line = slice_split(&rest, '\n');
            struct slice word = slice_split(&line, ' ');

            if (slice_is(word, "event") && (printf("%.*s\n", (int)line.len, line.p) < 0 || fflush(stdout) != 0))
                return EXIT_OURS;
            if (word.len == 0 && rest.p != NULL)
                return 0;
        }
        memmove(room.p, room.p + whole, room.len - whole);
        room.len -= whole;
        ssize_t n = growing_reserve(&room, 65536) ? recv(fd, room.p + room.len, room.room - room.len, 0) : -1;
        if (n <= 0)
            return 0;
        room.len += (size_t)n;
    }
}

/* What a sandbox says of itself. */
struct status {
    struct slice name, pid, command_pid, permitted, denied;
    uint64_t started;
    struct growing command; /* its arguments, with spaces between */
    struct slice fields;
};

static void status_read(struct slice fields, struct status *status)
{
    struct control_field field;

    *status = (struct status){.fields = fields};
    while (control_next(&fields, &field)) {
        struct slice *const to = slice_is(field.name, "name") ? &status->name
                                 : slice_is(field.name, "pid") ? &status->pid
                                 : slice_is(field.name, "command-pid") ? &status->command_pid
                                 : slice_is(field.name, "permitted") ? &status->permitted
                                 : slice_is(field.name, "denied") ? &status->denied : NULL;

        if (to != NULL)
            *to = field.value;
        else if (slice_is(field.name, "started"))
            parse_uint(field.value, UINT32_MAX, &status->started);
        else if (slice_is(field.name, "argument"))
            growing_add(&status->command, "%s%.*s", status->command.len ? " " : "", (int)field.value.len,
                        field.value.p);
    }
}

/* Ports that have another number inside. */
static void ps_print_ports(const struct status *status)
{
    struct control_field field;
    bool first = true;

    for (struct slice fields = status->fields; control_next(&fields, &field);) {
        if (!slice_is(field.name, "port"))
            continue;
        struct slice protocol = slice_split(&field.value, ' '), asked_port = slice_split(&field.value, ' ');
        const char *format = asked.json ? "%s{\"protocol\":\"%.*s\",\"port\":%.*s,\"real\":%.*s}"
                                        : "%s    port %.*s %.*s is %.*s outside\n";
        printf(format, !asked.json ? "" : first ? "" : ",", (int)protocol.len, protocol.p, (int)asked_port.len,
               asked_port.p, (int)field.value.len, field.value.p);
        first = false;
    }
}

static void ps_print_json(const struct status *status, bool first)
{
    struct text line = {.len = 0};
    char text[LOG_LINE_MAX / 8];

    snprintf(text, sizeof text, "%.*s", (int)status->name.len, status->name.p);
    text_add(&line, "%s{\"name\":", first ? "" : ",\n");
    text_add_json(&line, text);
    text_add(&line,
             ",\"supervisor\":%.*s,\"pid\":%.*s,\"started\":%llu,\"permitted\":%.*s,\"denied\":%.*s,\"command\":",
             (int)status->pid.len, status->pid.p, (int)status->command_pid.len, status->command_pid.p,
             (unsigned long long)status->started, (int)status->permitted.len, status->permitted.p,
             (int)status->denied.len, status->denied.p);
    snprintf(text, sizeof text, "%.*s", (int)status->command.len, status->command.p ? status->command.p : "");
    text_add_json(&line, text);
    printf("%s,\"ports\":[", line.bytes);
    ps_print_ports(status);
    printf("]}");
}

static void ps_print(const struct status *status)
{
    uint64_t now = (uint64_t)time(NULL), seconds = now > status->started ? now - status->started : 0;
    char age[32];

    snprintf(age, sizeof age, "%llu:%02llu:%02llu", (unsigned long long)seconds / 3600,
             (unsigned long long)seconds / 60 % 60, (unsigned long long)seconds % 60);
    printf("%-16.*s %7.*s %9s %9.*s %9.*s  %.*s\n", (int)status->name.len, status->name.p,
           (int)status->command_pid.len, status->command_pid.p, age, (int)status->permitted.len, status->permitted.p,
           (int)status->denied.len, status->denied.p, (int)status->command.len,
           status->command.p ? status->command.p : "");
    ps_print_ports(status);
}

/* One sandbox's line, where it answers. Whether it did. */
static bool ps_one(int directory, const char *name, bool first)
{
    struct growing request = client_verb("status"), room = {.p = NULL};
    struct control_message answer;
    struct status status;
    int fd CLOSE_FD = client_try(name);

    if (fd == -ECONNREFUSED)
        controlsock_remove_stale(directory, client_directory(), name);
    growing_append(&request, slice_of("\n"));
    if (fd >= 0)
        client_request(fd, &request);
    bool answers_us = fd >= 0 && client_read_answer(fd, &room, &answer) == 0 && slice_is(answer.verb, "ok");
    if (answers_us) {
        status_read(answer.fields, &status);
        if (asked.json)
            ps_print_json(&status, first);
        else
            ps_print(&status);
    }
    free(request.p);
    free(room.p);
    return answers_us;
}

/* ps [--json]: the sandboxes that run, by name. */
static int ps_command(char **operands)
{
    struct dirent **entries;
    int directory CLOSE_FD = controlsock_open_directory(client_directory(), false);
    bool first = true;

    if (operands[0] != NULL)
        die("ps '%s': takes no name; sandlock ps alone would be right", operands[0]);
    if (directory < 0 && directory != -ENOENT)
        die("cannot look into %s: %s", client_directory(), strerror(-directory));
    int n = directory < 0 ? 0 : scandir(client_directory(), &entries, NULL, alphasort);
    printf(asked.json ? "[" : "NAME                 PID      TIME PERMITTED    DENIED  COMMAND\n");
    for (int i = 0; i < n; i++)
        if (controlsock_name_valid(entries[i]->d_name))
            first = !ps_one(directory, entries[i]->d_name, first) && first;
    printf(asked.json ? "]\n" : "");
    return 0;
}

/* ---- inspect: a sandbox's policy as it is now, as a policy file ---- */

/* A rule as it was said, at the start or by a change. */
struct inspected_rule {
    struct slice text, at; /* at: the addresses of its name, or its socket */
    size_t n_boxes;        /* that it came to */
    size_t n_whole;        /* of them, as they were, in the set that is printed */
    bool printed;
    uint64_t left;         /* milliseconds until it ends; 0: it doesn't */
};

/* One rule of a change, or (has_rule false) a restriction as such. */
struct inspected_change {
    uint64_t order;
    enum live_verb verb;
    pid_t pid;
    bool has_rule;
    uint32_t rule;
};

static struct {
    struct inspected_rule *rules;
    size_t n_rules, rule_room;
    struct inspected_change *changes;
    size_t n_changes, change_room;
    struct ip_boxes permits, denies; /* tags: of rules */
    struct slice *start_denies;      /* which no change permits */
    size_t n_start_denies, start_deny_room;
    struct unix_rule *unix_permits, *unix_denies;
    size_t n_unix_permits, unix_permit_room, n_unix_denies, unix_deny_room;
    pid_t asks[LIVE_SCOPES_MAX]; /* whose changes count, the sandbox's (0) first, the nearest process's last */
    size_t n_asks;
    bool open;       /* all that isn't denied is permitted */
    bool restricted; /* or was until a restriction came */
    bool lost;       /* where the process comes from isn't known */
} inspected;

static uint32_t inspected_add_rule(struct slice text, struct slice at, uint64_t left)
{
    if (inspected.n_rules == inspected.rule_room)
        inspected.rules = grow(inspected.rules, &inspected.rule_room, sizeof *inspected.rules);
    inspected.rules[inspected.n_rules] = (struct inspected_rule){.text = text, .at = at, .left = left};
    return (uint32_t)inspected.n_rules++;
}

/* What inspected_add_prefix adds to. */
struct inspected_to {
    struct ip_boxes *boxes;
    const struct rule *rule;
    uint32_t tag;
};

static void inspected_add_prefix(struct ip_prefix prefix, void *argument)
{
    static const struct port_range all = {0, UINT16_MAX};
    const struct inspected_to *to = argument;
    const struct rule *rule = to->rule;

    for (unsigned p = 0; p < PROTOCOLS; p++)
        for (size_t i = 0; rule->protocols & 1u << p && i < (rule->n_ports ? rule->n_ports : 1); i++) {
            struct ip_box box = {prefix, rule->n_ports ? rule->ports[i] : all, (uint8_t)p, true, to->tag};

            ip_boxes_add(to->boxes, &box);
            inspected.rules[to->tag].n_boxes++;
        }
}

/* All boxes of a rule, those of its name's addresses as well. */
static void inspected_add_boxes(struct ip_boxes *boxes, uint32_t tag, bool denies)
{
    static struct rule rule;
    struct inspected_to to = {boxes, &rule, tag};
    struct inspected_rule *said = &inspected.rules[tag];
    struct ip_addr addr;

    said->n_boxes = 0;
    if (rule_parse(said->text, denies ? LIST_DENY : LIST_ALLOW, &rule) != NULL)
        die("cannot understand the rule '%.*s'", (int)said->text.len, said->text.p);
    rule_each_prefix(&rule, inspected_add_prefix, &to);
    for (struct slice at = said->at; rule.target == TARGET_NAME && at.len > 0;)
        if (ip_addr_parse(slice_split(&at, ' '), &addr) == 0)
            inspected_add_prefix(ip_prefix_of(ip_addr_canonical(addr)), &to);
}

/* Is it a unix rule? Then it is read. */
static bool inspected_read_unix(uint32_t tag, struct unix_rule *rule)
{
    struct slice target = inspected.rules[tag].text, at = inspected.rules[tag].at;

    if (!rule_cut_unix(&target))
        return false;
    if (unix_rule_parse(target, rule) != NULL)
        die("cannot understand the rule 'unix://%.*s'", (int)target.len, target.p);
    slice_split(&at, ' ');
    slice_split(&at, ' ');
    if (at.len > 0)
        rule->text = strndup(at.p, at.len);
    rule->tag = tag;
    return true;
}

static void inspected_permit_unix(struct unix_rule rule)
{
    if (inspected.n_unix_permits == inspected.unix_permit_room)
        inspected.unix_permits = grow(inspected.unix_permits, &inspected.unix_permit_room, sizeof rule);
    inspected.unix_permits[inspected.n_unix_permits++] = rule;
}

static void inspected_deny_unix(struct unix_rule rule)
{
    if (inspected.n_unix_denies == inspected.unix_deny_room)
        inspected.unix_denies = grow(inspected.unix_denies, &inspected.unix_deny_room, sizeof rule);
    inspected.unix_denies[inspected.n_unix_denies++] = rule;
}

/* allow and deny, a rule of it. */
static void inspected_apply_rule(const struct inspected_change *c)
{
    struct ip_boxes said = {.p = NULL};
    struct unix_rule rule;

    if (inspected_read_unix(c->rule, &rule)) {
        for (size_t i = inspected.n_unix_denies; i-- > 0 && c->verb == LIVE_ALLOW;)
            if (unix_rule_is_within(&inspected.unix_denies[i], &rule))
                inspected.unix_denies[i] = inspected.unix_denies[--inspected.n_unix_denies];
        (c->verb == LIVE_ALLOW ? inspected_permit_unix : inspected_deny_unix)(rule);
        return;
    }
    inspected_add_boxes(&said, c->rule, c->verb == LIVE_DENY);
    if (c->verb == LIVE_ALLOW)
        ip_boxes_take_out(&inspected.denies, &said);
    for (size_t i = 0; i < said.n; i++)
        ip_boxes_add(c->verb == LIVE_ALLOW ? &inspected.permits : &inspected.denies, &said.p[i]);
    free(said.p);
}

/* restrict: the rules changes[first..end) of one. */
static void inspected_restrict(size_t first, size_t end)
{
    struct ip_boxes said = {.p = NULL};
    struct unix_rule *before = inspected.unix_permits;
    size_t n = inspected.n_unix_permits;

    inspected.unix_permits = NULL;
    inspected.n_unix_permits = inspected.unix_permit_room = 0;
    for (size_t i = first; i < end; i++) {
        struct unix_rule rule;

        if (!inspected.changes[i].has_rule)
            continue;
        if (!inspected_read_unix(inspected.changes[i].rule, &rule)) {
            inspected_add_boxes(&said, inspected.changes[i].rule, false);
            continue;
        }
        for (size_t b = 0; b < n; b++)
            if (unix_rule_is_within(&before[b], &rule))
                inspected_permit_unix(before[b]);
            else if (unix_rule_is_within(&rule, &before[b]))
                inspected_permit_unix(rule);
    }
    ip_boxes_keep(&inspected.permits, &said);
    inspected.restricted = true;
    free(said.p);
    free(before);
}

/* One change after the other, of one process or (0) the sandbox; pid -1: of all processes what denies. They are in
 * their order. */
static void inspected_apply(pid_t pid)
{
    for (size_t i = 0, end; i < inspected.n_changes; i = end) {
        const struct inspected_change *c = &inspected.changes[i];

        for (end = i + 1; end < inspected.n_changes && inspected.changes[end].order == c->order;)
            end++;
        if (pid < 0 ? c->pid == 0 || c->verb == LIVE_ALLOW : c->pid != pid)
            continue;
        if (c->verb == LIVE_RESTRICT)
            inspected_restrict(i, end);
        for (size_t r = i; r < end && c->verb != LIVE_RESTRICT; r++)
            inspected_apply_rule(&inspected.changes[r]);
    }
}

/* "live ORDER VERB PID LEFT SPEC": a rule of a change, or a restriction as such. */
static void inspected_read_live(struct slice value, struct slice at)
{
    struct inspected_change c = {.verb = LIVE_VERBS, .has_rule = true};
    uint64_t order = 0, pid = 0, left = 0;

    parse_uint(slice_split(&value, ' '), UINT64_MAX, &order);
    struct slice verb = slice_split(&value, ' ');
    for (unsigned v = 0; v < LIVE_VERBS; v++)
        if (slice_is(verb, live_verbs[v]))
            c.verb = (enum live_verb)v;
    parse_uint(slice_split(&value, ' '), INT32_MAX, &pid);
    if (parse_uint(slice_split(&value, ' '), UINT64_MAX, &left) < 0 || c.verb == LIVE_VERBS || value.len == 0)
        die("cannot understand what the sandbox says of its changes");
    c.order = order;
    c.pid = (pid_t)pid;
    c.has_rule = !slice_is(value, "-");
    c.rule = inspected_add_rule(value, at, left);
    if (inspected.n_changes == inspected.change_room)
        inspected.changes = grow(inspected.changes, &inspected.change_room, sizeof c);
    inspected.changes[inspected.n_changes++] = c;
}

/* "option NAME [VALUE]", with which it was started: a rule is noted, anything else printed as it is. */
static void inspected_read_option(struct slice value, struct slice at)
{
    struct slice name = slice_split(&value, ' '), target = value;
    struct unix_rule rule;

    if (slice_is(name, "net-deny") && !rule_cut_unix(&target)) {
        if (inspected.n_start_denies == inspected.start_deny_room)
            inspected.start_denies = grow(inspected.start_denies, &inspected.start_deny_room, sizeof value);
        inspected.start_denies[inspected.n_start_denies++] = value;
        return;
    }
    if (!slice_is(name, "net-allow")) {
        printf("%.*s%s%.*s\n", (int)name.len, name.p, value.len ? " " : "", (int)value.len, value.p ? value.p : "");
        return;
    }
    uint32_t tag = inspected_add_rule(value, at, 0);
    if (inspected_read_unix(tag, &rule)) {
        unix_rule_find(&rule);
        inspected_permit_unix(rule);
    } else {
        inspected_add_boxes(&inspected.permits, tag, false);
    }
}

static int inspected_compare(const void *a, const void *b)
{
    const struct inspected_change *left = a, *right = b;

    return left->order < right->order ? -1 : left->order > right->order;
}

/* All that the sandbox says. */
static void inspected_read(struct slice fields)
{
    struct control_field field, next;
    uint64_t pid;

    while (control_next(&fields, &field)) {
        struct slice rest = fields, at = {NULL, 0};

        if (control_next(&rest, &next) && slice_is(next.name, "at")) {
            at = next.value;
            fields = rest;
        }
        if (slice_is(field.name, "option"))
            inspected_read_option(field.value, at);
        else if (slice_is(field.name, "live"))
            inspected_read_live(field.value, at);
        else if (slice_is(field.name, "open"))
            inspected.open = true;
        else if (slice_is(field.name, "lost"))
            inspected.lost = true;
        else if (slice_is(field.name, "asks") && inspected.n_asks < LIVE_SCOPES_MAX &&
                 parse_uint(field.value, INT32_MAX, &pid) == 0)
            inspected.asks[inspected.n_asks++] = (pid_t)pid;
    }
    qsort(inspected.changes, inspected.n_changes, sizeof *inspected.changes, inspected_compare);
    if (inspected.open)
        inspected_add_boxes(&inspected.permits, inspected_add_rule(slice_of("any://*"), (struct slice){NULL, 0}, 0),
                            false);
}

/* "# ADDRESSES, for another 10 s", where there is anything of that to say. */
static void inspected_print_note(const struct inspected_rule *rule, bool addresses)
{
    bool at = addresses && rule->at.len > 0;

    if (at || rule->left > 0)
        printf(" # ");
    if (at)
        printf("%.*s", (int)rule->at.len, rule->at.p);
    if (rule->left > 0)
        printf("%sfor another %llu s", at ? ", " : "", (unsigned long long)(rule->left + 999) / 1000);
    printf("\n");
}

/* A box as a rule. */
static void inspected_print_box(const char *option, const struct ip_box *box)
{
    char addr[IP_TEXT_MAX], len[8] = "", ports[16] = "";
    bool full = box->prefix.len == (box->prefix.addr.version == 4 ? 32 : 128);
    bool all = box->ports.first == 0 && box->ports.last == UINT16_MAX;
    bool brackets = box->prefix.addr.version == 6 && !all;

    ip_addr_format(addr, sizeof addr, box->prefix.addr);
    if (!full)
        snprintf(len, sizeof len, "/%u", box->prefix.len);
    if (!all && box->ports.first == box->ports.last)
        snprintf(ports, sizeof ports, ":%u", box->ports.first);
    else if (!all)
        snprintf(ports, sizeof ports, ":%u-%u", box->ports.first > 0 ? box->ports.first : 1, box->ports.last);
    printf("%s %s%s%s%s%s%s", option, scheme_of((enum protocol)box->kind), brackets ? "[" : "", addr, len,
           brackets ? "]" : "", ports);
    inspected_print_note(&inspected.rules[box->tag], false);
}

/* A set as rules: as they were said where all of a rule is left. */
static void inspected_print_boxes(const char *option, const struct ip_boxes *set)
{
    for (size_t i = 0; i < set->n; i++)
        inspected.rules[set->p[i].tag].n_whole += set->p[i].whole;
    for (size_t i = 0; i < set->n; i++) {
        struct inspected_rule *rule = &inspected.rules[set->p[i].tag];

        if (rule->n_whole < rule->n_boxes) {
            inspected_print_box(option, &set->p[i]);
        } else if (!rule->printed) {
            printf("%s %.*s", option, (int)rule->text.len, rule->text.p);
            inspected_print_note(rule, true);
            rule->printed = true;
        }
    }
}

static void inspected_print_unix(const char *option, const struct unix_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct inspected_rule *rule = &inspected.rules[rules[i].tag];

        printf("%s %.*s", option, (int)rule->text.len, rule->text.p);
        inspected_print_note(rule, false);
    }
}

/* Drop the denied boxes that no permitted one has anything in common with, nor an IPv6 address that embeds IPv4. */
static void inspected_drop_idle(void)
{
    struct ip_boxes *denies = &inspected.denies, left = {.failed = denies->failed};
    struct ip_box common;

    for (size_t d = 0; d < denies->n; d++) {
        bool counts = false;

        for (size_t p = 0; p < inspected.permits.n && !counts; p++)
            counts = inspected.permits.p[p].prefix.addr.version > denies->p[d].prefix.addr.version ||
                     ip_box_common(&inspected.permits.p[p], &denies->p[d], &common);
        if (counts)
            ip_boxes_add(&left, &denies->p[d]);
    }
    free(denies->p);
    *denies = left;
}

/* Rules for IP. A denying rule alone would permit the rest: where nothing is permitted nothing is said. */
static void inspected_print_ip(void)
{
    inspected_drop_idle();
    bool denies = inspected.n_start_denies + inspected.denies.n > 0;
    if (inspected.permits.n == 0)
        return;
    if (!inspected.open || inspected.restricted || inspected.n_unix_permits > 0 || !denies)
        inspected_print_boxes("net-allow", &inspected.permits);
    for (size_t i = 0; i < inspected.n_start_denies; i++)
        printf("net-deny %.*s\n", (int)inspected.start_denies[i].len, inspected.start_denies[i].p);
    inspected_print_boxes("net-deny", &inspected.denies);
}

/* What processes have of their own, as comments. */
static void inspected_print_processes(void)
{
    for (size_t i = 0; i < inspected.n_changes; i++) {
        const struct inspected_change *c = &inspected.changes[i];
        const struct inspected_rule *rule = &inspected.rules[c->rule];

        if (c->pid == 0)
            continue;
        printf("# process %d and its descendants: %s %.*s", c->pid, live_verbs[c->verb],
               c->has_rule ? (int)rule->text.len : 0, rule->text.p);
        inspected_print_note(rule, true);
    }
}

/* inspect NAME [--pid PID]: what is permitted now, to the sandbox or one of its processes. */
static int inspect_command(char **operands)
{
    struct growing request = client_verb("policy");
    struct status status;

    if (operands[0] == NULL || operands[1] != NULL)
        die("inspect: needs a sandbox's name; sandlock inspect NAME would be right");
    if (asked.pid != NULL)
        growing_add(&request, "pid %s\n", asked.pid);
    growing_append(&request, slice_of("\n"));
    status_read(client_ask(client_connect(operands[0]), operands[0], &request), &status);
    printf("# sandbox %.*s, %s %.*s: %.*s permitted, %.*s denied\n# %.*s\n", (int)status.name.len, status.name.p,
           asked.pid ? "process" : "pid", asked.pid ? (int)strlen(asked.pid) : (int)status.command_pid.len,
           asked.pid ? asked.pid : status.command_pid.p, (int)status.permitted.len, status.permitted.p,
           (int)status.denied.len, status.denied.p, (int)status.command.len, status.command.p);
    inspected_read(status.fields);
    for (size_t i = 0; i < inspected.n_asks; i++)
        inspected_apply(inspected.asks[i]);
    if (inspected.lost) {
        printf("# where it comes from isn't known: what any process is denied, it is denied, too\n");
        inspected_apply(-1);
    }
    inspected_print_ip();
    inspected_print_unix("net-allow", inspected.unix_permits, inspected.n_unix_permits);
    inspected_print_unix("net-deny", inspected.unix_denies, inspected.n_unix_denies);
    if (asked.pid == NULL)
        inspected_print_processes();
    if (inspected.permits.failed || inspected.denies.failed)
        die("out of memory");
    return 0;
}

static const struct {
    const char *name;
    int (*run)(char **operands);
} client_commands[] = {
    {"ps", ps_command},           {"allow", allow_command}, {"deny", deny_command}, {"restrict", restrict_command},
    {"inspect", inspect_command}, {"log", log_command},     {"kill", kill_command},
};

/* What is closed of stdin, stdout and stderr must not become a descriptor of ours. */
static void main_open_stdio(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
            open("/", O_PATH | O_CLOEXEC);
}

/* As the first process our arguments are run's; where there are none at all a policy file has them. */
static int main_options_of_init(int argc, char **argv)
{
    const char *path = getenv("SANDLOCK_POLICY");

    if (path != NULL || argc <= 1)
        set_policy(path != NULL ? path : INIT_POLICY);
    return options_parse(argc, argv, 1);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    main_open_stdio();
    here.powers_off = init_of_machine();
    if (here.powers_off)
        atexit(init_power_off);
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
        usage(STDOUT_FILENO);
        return 0;
    }
    if (strcmp(command, "--version") == 0) {
        printf("sandlock %s\n", SANDLOCK_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(client_commands); i++)
        if (strcmp(command, client_commands[i].name) == 0)
            return client_commands[i].run(client_options(argv + 2));
    bool run = strcmp(command, "run") == 0, explain = strcmp(command, "explain") == 0;
    bool check = strcmp(command, "check") == 0, learns = strcmp(command, "learn") == 0;
    bool init = getpid() == 1 && !run && !explain && !check && !learns;
    if (argc <= 1 && !init) {
        usage(STDERR_FILENO);
        return EXIT_OURS;
    }
    if (!run && !explain && !check && !learns && !init)
        die("'%s': unknown command; sandlock --help lists those that are known", command);
    policy.undecided = learns ? UNDECIDED_LEARNED : UNDECIDED_REFUSED;
    int rest = init ? main_options_of_init(argc, argv) : options_parse(argc, argv, 2);
    if (learns != (settings.output != NULL))
        die(learns ? "learn: no file; -o FILE would be right" : "-o '%s': for learn only", settings.output);
    policy_open_http();
    if (!check)
        policy_resolve();
    policy_finish();
    if (run || learns || init)
        return run_command(argv[rest] != NULL ? argv + rest : settings.command);
    if (explain)
        return explain_command(argv + rest);
    if (argv[rest] != NULL)
        die("check '%s': takes no argument; sandlock check alone would be right", argv[rest]);
    return check_command();
}

/* types.h - types of a policy and its settings */
#ifndef POLICY_TYPES_H
#define POLICY_TYPES_H

#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/caps.h"
#include "../sys/filerules.h"
#include "../sys/ipset.h"
#include "../sys/kernel.h"
#include "../sys/log.h"
#include "../sys/resolvconf.h"
#include "../sys/resolve.h"

#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>

#define SANDLOCK_VERSION "0.1"

enum {
    EXIT_TIMEOUT = 124,
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
    PORT_RANGES_MAX = 256,   /* in one rule */
    HTTP_PORTS_MAX = 32,     /* ranges of them, of each kind */
    KEEP_FDS_MAX = 64,
    DENIED_CALLS_MAX = 64,
    ENV_MAX = 256,
    COMMAND_WORDS_MAX = 256, /* in a policy file */
    ASK_SECONDS = 60,        /* where --ask-timeout doesn't say how long an answer may take */
};

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOLS };

static const char *const protocol_names[PROTOCOLS] = {"tcp", "udp", "icmp"};

/* What a rule for this protocol begins with. */
static const char *scheme_of(enum protocol protocol)
{
    static const char *const schemes[PROTOCOLS] = {"", "udp://", "icmp://"};

    return schemes[protocol];
}

enum rule_list { LIST_ALLOW, LIST_DENY, LIST_BIND, LIST_BIND_DENY, LIST_HTTP, LIST_HTTP_DENY, LISTS };

static const char *list_options[LISTS] = {
    "--net-allow", "--net-deny", "--net-allow-bind", "--net-deny-bind", "--http-allow", "--http-deny",
};

enum verdict { VERDICT_ALLOW, VERDICT_DENY, VERDICT_REDIRECT /* allowed, to the proxy */, VERDICT_ASK };

enum { RULE_NONE = -1, RULE_ASKED = -2, RULE_LEARNED = -3 };

struct decision {
    enum verdict verdict;
    int error;    /* what a refused call returns */
    int64_t rule; /* that decided: an index of policy.texts, or RULE_NONE: none did; RULE_ASKED: an answer to a
                   * question; RULE_LEARNED: none yet, learn will write one; RULE_LIVE and more (live.h) */
};

/* The entries of one set while rules are read; ipset_build makes the set of them. */
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
    struct slice loose_path; /* its loosest reading (urlpath_loosen), too */
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
    bool names_ranges;          /* does a rule use the words public, private or metadata? */
    bool open[PROTOCOLS];       /* may sockets of this protocol exist inside? */
    bool traps_sends;
    enum { UNDECIDED_REFUSED, UNDECIDED_ASKED, UNDECIDED_LEARNED } undecided; /* what is done where no rule decides */
    int deny_errno; /* 0: ECONNREFUSED */
};

static struct policy policy;

static bool policy_has_http(void)
{
    return policy.n_http_rules > 0 || policy.any[LIST_HTTP]; /* the latter alone: by an empty @FILE */
}

/* The capabilities that the supervisor keeps in force: to look into processes of other users, to signal them, and to
 * act with their credentials. The command's own stay permitted, to be taken for a call on its behalf; they are in force
 * all the time only where there is no CAP_SYS_PTRACE (own_confine). */
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
    bool no_getfd;        /* there is no pidfd_getfd(2): sockets are made by us and handed in (pintable.h) */
    bool unprivileged;    /* we have no CAP_SYS_PTRACE */
    bool unscoped;        /* Landlock has no scope for signals: the filter traps them */
    bool unowned;         /* it has none that holds those of descriptors: nobody may own one */
    bool landlocked;      /* it has rules for TCP (ABI 4) */
    bool restricts_files; /* -r or -w was given: all other files are closed */
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

#endif

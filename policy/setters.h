/* setters.h - what each option sets (options.h lists them) */
#ifndef POLICY_SETTERS_H
#define POLICY_SETTERS_H

#include "types.h"
#include "rules.h"
#include "ruleset.h"
#include "../sys/base.h"
#include "../sys/caps.h"
#include "../sys/controlsock.h"
#include "../sys/filerules.h"
#include "../sys/kernel.h"
#include "../sys/landlock.h"
#include "../sys/proxychannel.h"
#include "../sys/resolvconf.h"
#include "../sys/syscalls.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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
        "ENETDOWN, EADDRNOTAVAIL, ECONNRESET, ECONNABORTED or EHOSTDOWN would be right", value);
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
        die("--ask '%s': not an open stream socket above 2; one end of a socketpair(2), like fd:3, would be right",
            value);
    if (value[strspn(value, " ")] == 0)
        die("--ask '%s': no command; one that reads questions and writes answers, or fd:N, would be right", value);
    settings.ask = value;
    if (policy.undecided == UNDECIDED_LEARNED)
        die("--ask '%s': learn asks nobody; run would be right", value);
    policy.undecided = UNDECIDED_ASKED;
}

static void set_output(const char *value)
{
    if (strcmp(value, "-") == 0)
        die("-o '-': stdout is the command's own; a file would be right");
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

#endif

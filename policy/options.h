/* options.h - the options of all commands: one table */
#ifndef POLICY_OPTIONS_H
#define POLICY_OPTIONS_H

#include "types.h"
#include "ruleset.h"
#include "setters.h"
#include "../sys/base.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static void set_policy(const char *path);

/* What an option is about, and so what `inspect` prints of one that a sandbox was started with. */
enum option_kind {
    OF_RULES,  /* rules: each is printed by itself */
    OF_POLICY, /* what the command may do: the option is printed */
    OF_RUN,    /* how it is run: nothing is */
};

static const struct option {
    const char *name;
    const char *argument; /* NULL: takes none */
    void (*set)(const char *value);
    bool *flag; /* or what it switches on */
    enum option_kind kind;
    const char *help;
} options[] = {
    {"--net-allow", "RULE", set_allow, NULL, OF_RULES,
     "permit a destination: [tcp://|udp://|icmp://|any://]TARGET[:PORTS], or @FILE"},
    {"--net-deny", "RULE", set_deny, NULL, OF_RULES,
     "refuse a destination; wins over --net-allow. Alone: all others are permitted"},
    {"--net-allow-bind", "PORTS", set_allow_bind, NULL, OF_RULES,
     "permit to listen: [tcp://|udp://][ADDRESS:]PORTS, or @FILE"},
    {"--net-deny-bind", "PORTS", set_deny_bind, NULL, OF_RULES, "refuse it; wins over --net-allow-bind"},
    {"--http-allow", "RULE", set_http_allow, NULL, OF_RULES,
     "permit requests and their destination: 'METHOD HOST[/PATH]', where * stands for any, or @FILE"},
    {"--http-deny", "RULE", set_http_deny, NULL, OF_RULES, "refuse requests; wins over --http-allow"},
    {"--http-port", "PORTS", set_http_port, NULL, OF_POLICY, "the ports where HTTP rules see requests (80)"},
    {"--tls-port", "PORTS", set_tls_port, NULL, OF_POLICY, "the ports where they see names of TLS connections (443)"},
    {"--http-tls-host-only", NULL, NULL, &policy.http_host_only, OF_POLICY,
     "on TLS ports the host of a rule decides alone"},
    {"--port-remap", NULL, NULL, &settings.port_remap, OF_POLICY,
     "give the command another port where one that it asks for is taken; inside it has that number"},
    {"--resolver", "SERVER", set_resolver, NULL, OF_POLICY,
     "ask this nameserver, IP[:port], not those of /etc/resolv.conf"},
    {"--hosts", "FILE", set_hosts, NULL, OF_POLICY, "look names up here first, not in /etc/hosts"},
    {"--no-private", NULL, NULL, &policy.no_private, OF_POLICY, "drop private addresses that DNS gives for a name"},
    {"--no-hosts", NULL, NULL, &settings.no_hosts, OF_POLICY, "don't show the names' addresses in /etc/hosts inside"},
    {"--deny-errno", "NAME", set_deny_errno, NULL, OF_POLICY, "what a refused destination answers (ECONNREFUSED)"},
    {"--allow-steering", NULL, NULL, &settings.allow_steering, OF_POLICY,
     "permit options that choose the interface or a foreign source (SO_BINDTODEVICE, IP_FREEBIND ...)"},
    {"--allow-syscall", "GROUP", set_allow_syscall, NULL, OF_POLICY,
     "permit calls that are refused otherwise: trace, mount, namespaces ..."},
    {"--deny-syscall", "NAME", set_deny_syscall, NULL, OF_POLICY, "refuse a system call (EPERM)"},
    {"--keep-cap", "NAME", set_keep_cap, NULL, OF_POLICY, "keep a capability that root has beyond the ordinary ones"},
    {"-r", "PATH", set_read, NULL, OF_POLICY,
     "let files be read and executed beneath PATH, and nowhere else (Landlock)"},
    {"-w", "PATH", set_write, NULL, OF_POLICY, "let files be read, written and made beneath PATH"},
    {"--fs-deny", "PATH", set_fs_deny, NULL, OF_POLICY, "no access beneath PATH"},
    {"--policy", "FILE", set_policy, NULL, OF_RUN,
     "options from a file: one a line, without the dashes; # begins a comment"},
    {"--ask", "CMD", set_ask, NULL, OF_POLICY,
     "ask this command, or fd:N, what becomes of a destination that no rule decides"},
    {"--ask-timeout", "TIME", set_ask_timeout, NULL, OF_POLICY, "refuse what isn't answered by then (60s)"},
    {"-o", "FILE", set_output, NULL, OF_RUN, "where learn writes the policy"},
    {"--log", "FILE", set_log, NULL, OF_RUN, "write each denial as a line of JSON to a file, to - (stderr) or to fd:N"},
    {"--log-allowed", NULL, NULL, &settings.log_allowed, OF_RUN, "write what is permitted there, too"},
    {"--chroot", "DIR", set_chroot, NULL, OF_POLICY, "make this the command's root directory (root only)"},
    {"--hosts-mount", NULL, NULL, &settings.hosts_mount, OF_POLICY,
     "show names by a mount of the command's own (root only; no cost on opens)"},
    {"--cwd", "DIR", set_cwd, NULL, OF_RUN, "run the command in this directory"},
    {"--env", "NAME[=VALUE]", set_env, NULL, OF_RUN, "set a variable for the command, or keep it with --clean-env"},
    {"--clean-env", NULL, NULL, &settings.clean_env, OF_RUN, "no variables but those of --env"},
    {"--name", "NAME", set_name, NULL, OF_RUN,
     "the running command's name for allow, deny, restrict, inspect, log and kill"},
    {"--live", NULL, NULL, &settings.live, OF_RUN,
     "let live rules open all kinds of destinations; each send costs more then"},
    {"--control", "DIR", set_control, NULL, OF_RUN,
     "where control sockets are (/run/sandlock or $XDG_RUNTIME_DIR/sandlock)"},
    {"--timeout", "TIME", set_timeout, NULL, OF_RUN,
     "end the command after 10s, 5m, 2h: TERM, 2 s later KILL; exit 124"},
    {"--wait-all", NULL, NULL, &settings.wait_all, OF_RUN,
     "wait for what the command leaves behind instead of killing it"},
    {"--keep-fd", "N", set_keep_fd, NULL, OF_RUN, "hand descriptor N down; all others above 2 are closed"},
    {"--no-getfd", NULL, NULL, &settings.no_getfd, OF_POLICY,
     "do without pidfd_getfd(2), as where a container refuses it"},
    {"--strict", NULL, NULL, &settings.strict, OF_POLICY,
     "refuse to run where the kernel lacks a protection (see check)"},
    {"-q", NULL, NULL, &settings.quiet, OF_RUN, "no summary, no warnings"},
    {"-v", NULL, NULL, &settings.verbose, OF_RUN, "write each denial to stderr, with the rule that would allow it"},
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
                "       sandlock restrict NAME [RULE...]              let it reach these at most; without any, none\n"
                "           --pid PID: one of its processes and its descendants; --for 10m: so long, then as before.\n"
                "           The next call sees all of a change. Connections and connected UDP sockets that are there\n"
                "           are not cut, nor is a connect that a non-blocking socket has begun.\n"
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
    settings.given = grow(settings.given, settings.n_given, &settings.given_room, sizeof *settings.given);
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

#endif

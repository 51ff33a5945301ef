/* sandlock - run a command that reaches only the network addresses it was given.
 *
 * Here are main and the start of the command. serve/ has what happens to a call that the filter traps: loop.h receives
 * its notification, pending.h has it carried out, and keeps it where it must wait. dispatch.h finds its function
 * (connect(2)'s is in connect.h), which reads the arguments by parse.h, judges them by decide.h and makes the call.
 * reply.h answers. policy/ has the rules, and what is reported. sys/ has the mechanism, which knows nothing of
 * rules. */
#define INIT_POLICY "/etc/sandlock.policy" /* of a first process without arguments */

#include "serve/cmsg.h"
#include "serve/decide.h"
#include "serve/dial.h"
#include "serve/loop.h"
#include "policy/ask.h"
#include "policy/build.h"
#include "policy/call.h"
#include "policy/check.h"
#include "policy/client.h"
#include "policy/control.h"
#include "policy/events.h"
#include "policy/files.h"
#include "policy/hostsfile.h"
#include "policy/httprules.h"
#include "policy/inspect.h"
#include "policy/learnfile.h"
#include "policy/live.h"
#include "policy/options.h"
#include "policy/own.h"
#include "policy/portremap.h"
#include "policy/rules.h"
#include "policy/seen.h"
#include "policy/tell.h"
#include "policy/traps.h"
#include "policy/types.h"
#include "sys/addr.h"
#include "sys/base.h"
#include "sys/bpf.h"
#include "sys/caps.h"
#include "sys/childpath.h"
#include "sys/closer.h"
#include "sys/features.h"
#include "sys/init.h"
#include "sys/kernel.h"
#include "sys/landlock.h"
#include "sys/landlockscope.h"
#include "sys/lineage.h"
#include "sys/message.h"
#include "sys/mounts.h"
#include "sys/notify.h"
#include "sys/pin.h"
#include "sys/special.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_STACK = 65536 }; /* bytes, of the command's process before it is executed */

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

/* ---- main ---- */

/* What is wrong with this as stdin, stdout or stderr; NULL: nothing. */
static const char *stdio_reaches(int fd)
{
    struct socket_kind kind;
    union address peer;
    socklen_t len = sizeof peer;
    struct stat status;
    char path[40], link[PATH_MAX];

    if (fstat(fd, &status) < 0)
        return NULL;
    if (settings.chroot != NULL && S_ISDIR(status.st_mode))
        return "a directory, which leads out of --chroot";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if ((status.st_mode & S_IFMT) == 0 && /* a file without a type: the kernel's own; unknown may be a ring */
        (childpath_readlink(path, link) < 0 || strcmp(link, "anon_inode:[io_uring]") == 0))
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

        here.closer.lingers = here.closer.lingers || closer_lingers(fd);
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
        here.closer.lingers = here.closer.lingers || closer_lingers(fd);
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

/* What serving takes, while nothing has been started yet. */
static void main_open_loop(const sigset_t *signals)
{
    here.epoll = epoll_create1(EPOLL_CLOEXEC);
    here.signals = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    here.spare = fcntl(here.epoll, F_DUPFD_CLOEXEC, 0);
    if (here.epoll < 0 || here.signals < 0 || here.spare < 0 || message_init(&batch) < 0 ||
        (settings.no_getfd && pintable_open(&made_sockets) < 0))
        die("cannot prepare to serve: %s", strerror(errno));
}

static void main_prepare_loop(void)
{
    unix_target.file = unix_target.held = -1;
    unix_own.pins = &here.pins;
    unix_own.closer = &here.closer;
    if (policy.traps_sends) {
        closer_start(&here.closer); /* when it is needed the command may have taken all processes */
        here.home = sys_open(".", O_PATH | O_DIRECTORY);
    }
    if (watch(EPOLL_CTL_ADD, here.listener, EPOLLIN, EVENT_LISTENER) < 0 ||
        watch(EPOLL_CTL_ADD, here.signals, EPOLLIN, EVENT_SIGNALS) < 0)
        die("cannot prepare to serve: %s", strerror(errno));
    if (here.proxy.channel >= 0)
        proxy_watch_channel(false, EPOLL_CTL_ADD);
    if (here.lookups.channel >= 0)
        watch(EPOLL_CTL_ADD, here.lookups.channel, EPOLLIN, EVENT_LOOKUPS);
    if (asker.socket >= 0)
        ask_watch(EPOLLIN, EPOLL_CTL_ADD);
    if (settings.name != NULL)
        server_watch();
    notify_stay_near(here.listener);
    own_raise_limit();
    own_stay_small();
    signal(SIGPIPE, SIG_IGN);
}

/* Rules that only deny leave the rest open: one without a scheme leaves UDP, which is easily overlooked. Said once. */
static void main_warn_of_udp(void)
{
    if (policy.any[LIST_ALLOW] || settings.quiet || policy.sets[LIST_DENY][PROTOCOL_UDP][0].n_nodes > 0 ||
        policy.sets[LIST_DENY][PROTOCOL_UDP][1].n_nodes > 0)
        return;
    for (size_t i = 0; i < policy.n_texts; i++) {
        struct slice text = policy.texts[i].text;

        if (policy.texts[i].list == LIST_DENY && memmem(text.p, text.len, "://", 3) == NULL) {
            say("--net-deny '%.*s' denies TCP alone, UDP stays open: any://%.*s would deny both", (int)text.len, text.p,
                (int)text.len, text.p);
            return;
        }
    }
}

/* What serving has to know of this kernel, and of our own rights. */
static void main_take_features(const struct features *features)
{
    here.killable = features->killable;
    here.proc = features->proc;
    here.pins.by_thread = features->threads;
    settings.no_getfd = settings.no_getfd || !features->getfd;
    here.pins.table = settings.no_getfd ? &made_sockets : NULL;
    settings.unscoped = features->landlock < LANDLOCK_ABI_SCOPE;
    settings.unowned =
        settings.unscoped || !(landlock_scope_is_mended(features->major, features->minor, features->patch) ||
                               landlock_scope_holds(features->landlock));
    settings.landlocked = features->landlock >= LANDLOCK_ABI_NET;
    settings.unprivileged = !caps_has(CAP_SYS_PTRACE);
}

static int run_command(char **argv)
{
    static const int caught[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH,
                                 SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD};
    static struct bpf_program filter;
    struct features features = features_ask(settings.strict);
    struct confinement c = {.argv = argv, .filter = &filter, .ruleset = -1, .parent = getpid()};
    sigset_t signals;

    if (settings.chroot != NULL && geteuid() != 0)
        die("--chroot '%s': only root can change the root directory; without it would be right", settings.chroot);
    if (argv[0] == NULL)
        die("run: no command; sandlock run [OPTION...] -- CMD [ARG...] would be right");
    features_demand(&features);
    main_warn_of_udp();
    main_check_stdio();
    main_close_on_exec();
    server_start(argv);
    calls_init();
    main_take_features(&features);
    if (settings.port_remap)
        remap_prepare();
    c.ruleset = files_prepare(features.landlock);
    c.hosts_mount = hosts_prepare();
    main_prepare_environment();
    http_prepare();
    lookups_prepare();
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
    ask_prepare(&c.mask);
    int output = learn_open();
    main_open_loop(&signals);
    here.command = confine_start(&c);
    if (here.command < 0)
        return -here.command;
    here.listener = c.listener;
    if (settings.name != NULL) /* policies of single processes take a name */
        live.lineage.root = lineage_now(here.command);
    main_prepare_loop();
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
    const struct special_range *range = policy.names_ranges ? special_find(to.addr) : NULL;
    struct event event = {.operation = "explain"};

    event_of_destination(&event, &to, decision, false);
    bool asked = policy.undecided == UNDECIDED_ASKED && is_undecided(&to, decision);
    printf("%s %s", asked ? "asked" : decision.verdict == VERDICT_DENY ? "denied" : "allowed", event.subject);
    if (range != NULL)
        printf(" (%.*s, %.*s; %.*s)", (int)range->name.len, range->name.p, (int)range->prefix.len, range->prefix.p,
               (int)range->source.len, range->source.p);
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

/* ---- which command it is ---- */

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

/* What was printed has arrived, or a line says that it hasn't, as for a full disk. */
static void main_close_stdout(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    say("cannot write: %s", strerror(errno));
    _exit(EXIT_OURS);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    main_open_stdio();
    atexit(main_close_stdout);
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

/* outside - hold the victims, run one attack, and say what arrived
 *
 * usage: outside [-q] [-w] [-u UID] [-d] [-i] [-k HOW] [-n] [-t] [-T] [-s KIND] [--] CMD [ARG...]
 *   -q       print only the first word, the rest goes to stderr
 *   -w       CMD is to win: a race has all its time, and the first arrival ends it
 *   -u UID   run CMD as this user and group, without others
 *   -d       nothing is permitted: 127.0.0.1 is a victim as well
 *   -i       leave sockets open for CMD (attack.h)
 *   -k HOW   end CMD, not what it started, after half a second; that they end together is right. HOW: a signal's name
 *            (KILL, TERM, SEGV ...), or OOM: it finds no memory any more (where there is a memory cgroup, exit 3)
 *   -n       in a network namespace of its own, where IPv6 forms of 127.0.0.2 are local
 *   -p       share UDP ports that the kernel picked, as CMD's user (attack.h)
 *   -t       take each port that CMD asks for (attack.h, struct taking)
 *   -T       take an abstract unix name whenever it is free (attack.h)
 *   -s KIND  stdin is a socket: udp, unix (datagram), stream (an unconnected unix one); not to start (exit 125) is
 *            right
 * Its line is the attack's own, unless something reached a victim. Exit 0 held, 1 escaped, 2 neither. */
#include "victims.h"

/* Somebody of the attacker's own uid, outside: with a word in memory and a socket that reaches the victim. */
static pid_t bystander_start(void)
{
    static volatile uint64_t word = 1;
    char text[32];
    struct sockaddr_in to = at4(VICTIM, PORT);
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (connect(s, (struct sockaddr *)&to, sizeof to) < 0)
        broken("the bystander can't reach the victim: %s", strerror(errno));
    int *ready = shared_memory(sizeof *ready);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (options.as_user && (setgroups(0, NULL) < 0 || setgid(options.uid) < 0 || setuid(options.uid) < 0))
            _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_DUMPABLE, 1);
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        __atomic_store_n(ready, 1, __ATOMIC_SEQ_CST);
        for (;;)
            pause();
    }
    while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) == 0 && waitpid(pid, NULL, WNOHANG) == 0)
        usleep(1000);
    snprintf(text, sizeof text, "%d", pid);
    setenv("ATTACK_BYSTANDER", text, 1);
    snprintf(text, sizeof text, "%d", s);
    setenv("ATTACK_BYSTANDER_FD", text, 1);
    snprintf(text, sizeof text, "%lu", (unsigned long)(uintptr_t)&word);
    setenv("ATTACK_BYSTANDER_WORD", text, 1);
    return pid;
}

static void copy_self_setuid(void)
{
    static char bytes[1 << 16];
    char path[128];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    snprintf(path, sizeof path, "%s/setuid", dir);
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;)
        if (write(to, bytes, (size_t)n) != n)
            broken("cannot write %s", path);
    close(from);
    if (fchmod(to, 04755) < 0)
        broken("cannot change %s: %s", path, strerror(errno));
    close(to);
}

static void dir_make(void)
{
    const char *tmp = getenv("TMPDIR");

    if (tmp == NULL || strlen(tmp) > TMP_MAX_LEN) /* unix addresses are short */
        tmp = access("/tmp", W_OK) == 0 ? "/tmp" : ".";
    snprintf(dir, sizeof dir, "%s/attack.XXXXXX", tmp);
    if (mkdtemp(dir) == NULL || chmod(dir, 0777) < 0)
        broken("no directory of our own: %s", strerror(errno));
    setenv("ATTACK_DIR", dir, 1);
    if (geteuid() == 0)
        copy_self_setuid();
}

static void dir_remove(void)
{
    static const char *const names[] = {"victim.stream", "victim.dgram", "own.stream", "own.dgram", "setuid", "link",
                                        "node", "taking"};
    char path[128];

    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
        rmdir(path);
    }
    rmdir(dir);
}

/* Put a fresh descriptor at a fixed number, across exec. */
static void place(int fd, int at)
{
    if (fd < 0 || dup2(fd, at) < 0)
        _exit(126);
    if (fd != at)
        close(fd);
}

/* The victim's end of a connection is a victim of its own. Returns the other end. */
static int connection_make(void)
{
    struct sockaddr_in a = at4(VICTIM, 0);
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&a, &len) < 0 || connect(s, (struct sockaddr *)&a, len) < 0)
        broken("no connection to leave open: %s", strerror(errno));
    int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    close(listener);
    victims[n_victims++] = (struct victim){other, false, false, true, "an open connection"};
    return s;
}

static void leak_sockets(int connection)
{
    place(connection, LEAKED_TCP);
    place(socket(AF_INET, SOCK_DGRAM, 0), LEAKED_UDP);
    place(socket(AF_UNIX, SOCK_DGRAM, 0), LEAKED_UNIX);
}

static pid_t command_start(char **argv, int output)
{
    int connection = options.leak ? connection_make() : -1;
    pid_t pid = fork();

    if (pid != 0) {
        close(connection);
        return pid;
    }
    setpgid(0, 0);
    place(dup(output), STDOUT_FILENO);
    if (options.leak)
        leak_sockets(connection);
    if (options.stdin_kind && strcmp(options.stdin_kind, "udp") == 0)
        place(socket(AF_INET, SOCK_DGRAM, 0), STDIN_FILENO);
    else if (options.stdin_kind)
        place(socket(AF_UNIX, strcmp(options.stdin_kind, "unix") == 0 ? SOCK_DGRAM : SOCK_STREAM, 0), STDIN_FILENO);
    if (options.as_user && (setgroups(0, NULL) < 0 || setgid(options.uid) < 0 || setuid(options.uid) < 0))
        _exit(126);
    execvp(argv[0], argv);
    _exit(127);
}

static void victims_serve(void)
{
    pthread_mutex_lock(&victims_lock);
    for (size_t i = 0; i < n_victims; i++)
        victim_serve(&victims[i]);
    pthread_mutex_unlock(&victims_lock);
}

/* ---- -k: the end of CMD ---- */

static const struct {
    const char *name;
    int sig;
} ends[] = {{"KILL", SIGKILL}, {"SEGV", SIGSEGV}, {"ABRT", SIGABRT}, {"BUS", SIGBUS}, {"ILL", SIGILL}, {"FPE", SIGFPE},
            {"SYS", SIGSYS}, {"TRAP", SIGTRAP}, {"TERM", SIGTERM}, {"OOM", SIGKILL}};

static size_t end_find(const char *name)
{
    size_t i = 0;

    while (i < COUNT(ends) && strcmp(ends[i].name, name) != 0)
        i++;
    if (i == COUNT(ends))
        broken("-k %s: no such end", name);
    return i;
}

static bool write_file(const char *dir_of, const char *name, const char *text)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", dir_of, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return written;
}

static char starving[80]; /* the cgroup of those who find no memory */

/* Let a process find no memory any more (memory.limit_in_bytes of cgroups(7), version 1). Under version 2 who needs
 * nothing new, as a supervisor that serves, lives on. */
static void starve(pid_t pid)
{
    static const char parent[] = "/sys/fs/cgroup/memory";
    char number[16];

    snprintf(number, sizeof number, "%d", pid);
    snprintf(starving, sizeof starving, "%s/sandlock-attack-%d", parent, getpid());
    if (mkdir(starving, 0755) == 0 && write_file(starving, "memory.limit_in_bytes", "0") &&
        write_file(starving, "cgroup.procs", number))
        return;
    rmdir(starving);
    fputs("there is no memory cgroup\n", stderr);
    kill(-pid, SIGKILL);
    dir_remove();
    _exit(3);
}

static void end_command(pid_t pid)
{
    size_t i = end_find(options.end);

    if (strcmp(options.end, "OOM") == 0)
        starve(pid);
    else
        kill(pid, ends[i].sig);
}

/* Did the command end by it? A supervisor that ends by SIGTERM tells of its own command. */
static bool ended_by(int status)
{
    int sig = ends[end_find(options.end)].sig;

    return (WIFSIGNALED(status) && WTERMSIG(status) == sig) || (WIFEXITED(status) && WEXITSTATUS(status) == 128 + sig);
}

/* Serve the victims until the command's output ends; its first line goes to `line`. */
static void watch(pid_t pid, int output, char *line, size_t room)
{
    struct pollfd polled[VICTIMS_MAX + 1];
    double began = now();
    size_t used = 0;
    bool ended = false, killed = false;

    while (!ended && now() - began < PATIENCE && !has_seen_enough()) {
        for (size_t i = 0; i < n_victims; i++)
            polled[i] = (struct pollfd){victims[i].fd, POLLIN, 0};
        polled[n_victims] = (struct pollfd){output, POLLIN, 0};
        poll(polled, n_victims + 1, options.takes ? 1 : 100);
        victims_serve();
        if (options.end && !killed && now() - began > 0.5) {
            end_command(pid);
            killed = true;
        }
        if (polled[n_victims].revents == 0)
            continue;
        ssize_t n = read(output, line + used, room - used - 1);
        used += n > 0 ? (size_t)n : 0;
        ended = n <= 0 || (options.wins && memchr(line, '\n', used) != NULL); /* what it started may hang */
    }
    victims_serve();
    line[used] = 0;
    line[strcspn(line, "\n")] = 0;
    if (!ended && arrivals == 0)
        snprintf(line, room, "broken: no end within %d seconds", PATIENCE);
}

/* The last word, as a line and an exit status. */
static int judge(const char *line, int status)
{
    static char text[16384];
    int result = 2;

    if (escapes.used)
        snprintf(text, sizeof text, "ESCAPED: %s (%s)", escapes.text, line[0] ? line : "cut short");
    else if (line[0] != 0)
        snprintf(text, sizeof text, "%s", line);
    else if (options.stdin_kind && WIFEXITED(status) && WEXITSTATUS(status) == NOT_STARTED)
        snprintf(text, sizeof text, "held: it was not started");
    else if (options.end && ended_by(status))
        snprintf(text, sizeof text, "held: it ended with its supervisor");
    else
        snprintf(text, sizeof text, "broken: it ended without a word, status 0x%x", (unsigned)status);
    if (strncmp(text, "held:", 5) == 0)
        result = 0;
    else if (strncmp(text, "ESCAPED:", 8) == 0)
        result = 1;
    if (options.quiet) {
        fprintf(stderr, "%s\n", text);
        text[strcspn(text, " ")] = 0;
    }
    puts(text);
    return result;
}

static char **options_read(int argc, char **argv)
{
    int c;

    options.uid = geteuid();
    while ((c = getopt(argc, argv, "+qwu:dik:nptTs:")) != -1)
        switch (c) {
        case 'q': options.quiet = true; break;
        case 'w': options.wins = true; break;
        case 'u': options.uid = (uid_t)atoi(optarg); break;
        case 'd': options.deny_all = true; break;
        case 'i': options.leak = true; break;
        case 'k': options.end = optarg; break;
        case 'n': options.names = true; break;
        case 'p': options.shares = true; break;
        case 't': options.takes = true; break;
        case 'T': options.takes_name = true; break;
        case 's': options.stdin_kind = optarg; break;
        default: exit(2);
        }
    if (optind == argc)
        broken("no command");
    if (options.end)
        end_find(options.end);
    options.as_user = options.uid != geteuid();
    return argv + optind;
}

int main(int argc, char **argv)
{
    static char line[4096];
    int output[2], status = 0;

    if (argc == 2 && strcmp(argv[1], "--euid") == 0)
        return geteuid() == 0 ? 0 : EPERM; /* row 35: the set-user-id copy of this program */
    char **command = options_read(argc, argv);
    if (options.wins)
        setenv("ATTACK_SECONDS", "30", 1);
    syscall(__NR_close_range, 3u, ~0u, 0u); /* what we were handed is not part of the test */
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    dir_make();
    victims_open();
    pid_t bystander = bystander_start();
    if (options.shares)
        shared_ports_open();
    if (options.takes)
        taker_start();
    if (options.takes_name)
        name_taker_start();
    if (pipe2(output, O_CLOEXEC) < 0)
        broken("no pipe: %s", strerror(errno));
    pid_t pid = command_start(command, output[1]);
    close(output[1]);
    watch(pid, output[0], line, sizeof line);
    if (has_seen_enough() || strncmp(line, "broken: no end", 14) == 0)
        kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    kill(-pid, SIGKILL); /* what a killed supervisor left behind: nothing of it arrives at the next one's victims */
    while (waitpid(-pid, NULL, 0) > 0)
        continue;
    if (options.end && !ended_by(status))
        escape("it went on, or ended otherwise: status 0x%x", (unsigned)status);
    if (starving[0])
        rmdir(starving);
    if (waitpid(bystander, NULL, WNOHANG) != 0)
        escape("the bystander was killed");
    kill(bystander, SIGKILL);
    dir_remove();
    return judge(line, status);
}

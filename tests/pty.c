/* pty - run a command on a terminal of its own and talk to it, step by step: tests/terminal.test.
 *
 * Prints only what `line` and `rest` ask for. Its exit status is the command's, 128+n for a signal; 99 when a text
 * doesn't come in time, or the command doesn't end, with all that was on the terminal on stderr. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
    WRONG_USE = 2,
    NOT_SEEN = 99,
    SCREEN_MAX = 1 << 20,
    PATIENCE_MS = 30000, /* for each step; a machine may be busy */
};

static const char usage_text[] =
    "usage: pty STEP... -- CMD...        run CMD on a new terminal, its controlling one, and take the steps\n"
    "       pty talk                     print each line of stdin, and each INT, QUIT, HUP, WINCH and CONT that comes\n"
    "       pty async                    have the kernel tell of input by a signal, and wait for some\n"
    "       pty storm COUNT SECONDS      COUNT processes that fork into sessions of their own again and again; those\n"
    "                                    that are left after so long print \"late\"\n"
    "STEP   expect TEXT   wait until TEXT comes, after what was expected before\n"
    "       type TEXT     ^C is Ctrl-C, ^[ escape, ^M return\n"
    "       line          print what follows on the line of the text expected last, when it is complete\n"
    "       size COLUMNS  the terminal becomes so wide\n"
    "       hangup        the terminal goes away\n"
    "       rest          print all that follows, until CMD ends\n";

static char screen[SCREEN_MAX + 1];
static size_t filled, looked; /* of screen: how much there is, and behind what was expected last */
static int terminal = -1;
static pid_t command;

__attribute__((noreturn)) static void usage(void)
{
    fputs(usage_text, stderr);
    exit(WRONG_USE);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

__attribute__((noreturn)) static void give_up(const char *what, const char *text)
{
    fprintf(stderr, "pty: %s %s; on the terminal was:\n%s\n", what, text, screen);
    kill(-command, SIGKILL);
    kill(command, SIGKILL);
    exit(NOT_SEEN);
}

/* More of what the command prints, without the terminal's carriage returns. false: nothing more comes. */
static bool read_some(uint64_t deadline, const char *what, const char *text)
{
    char bytes[4096];
    struct pollfd poll_terminal = {.fd = terminal, .events = POLLIN};
    uint64_t now = now_ms();

    if (now >= deadline || poll(&poll_terminal, 1, (int)(deadline - now)) == 0)
        give_up(what, text);
    ssize_t n = read(terminal, bytes, sizeof bytes);
    if (n <= 0)
        return false; /* EIO: nobody has the other end open */
    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] != '\r' && bytes[i] != 0 && filled < SCREEN_MAX)
            screen[filled++] = bytes[i];
    screen[filled] = 0;
    return true;
}

static void step_expect(const char *text)
{
    uint64_t deadline = now_ms() + PATIENCE_MS;
    const char *found;

    while ((found = strstr(screen + looked, text)) == NULL)
        if (!read_some(deadline, "not seen:", text))
            give_up("ended before:", text);
    looked = (size_t)(found - screen) + strlen(text);
}

static void step_type(const char *text)
{
    for (; *text != 0; text++) {
        char byte = *text;

        if (byte == '^' && text[1] != 0)
            byte = *++text & 0x1f;
        if (write(terminal, &byte, 1) < 0)
            give_up("cannot type:", text);
    }
}

static void step_line(void)
{
    uint64_t deadline = now_ms() + PATIENCE_MS;
    const char *end;

    while ((end = strchr(screen + looked, '\n')) == NULL && read_some(deadline, "no end of the line", ""))
        continue;
    size_t len = end ? (size_t)(end - screen) - looked : filled - looked;
    printf("%.*s\n", (int)len, screen + looked);
    looked += len;
}

static void step_rest(void)
{
    while (read_some(now_ms() + PATIENCE_MS, "it didn't end", ""))
        continue;
    fputs(screen + looked, stdout);
    looked = filled;
}

static void step_size(const char *columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)atoi(columns)};

    ioctl(terminal, TIOCSWINSZ, &size);
}

static void step_hangup(void)
{
    close(terminal);
    terminal = -1;
}

/* One step, of one or two words. The next one. */
static char **step(char **words)
{
    static const struct {
        const char *name;
        void (*with)(const char *text);
        void (*without)(void);
    } steps[] = {
        {"expect", step_expect, NULL}, {"type", step_type, NULL}, {"size", step_size, NULL},
        {"line", NULL, step_line},     {"rest", NULL, step_rest}, {"hangup", NULL, step_hangup},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strcmp(words[0], steps[i].name) == 0) {
            if (steps[i].without != NULL) {
                steps[i].without();
                return words + 1;
            }
            steps[i].with(words[1]);
            return words + 2;
        }
    usage();
}

/* Start the command as leader of a session that has the terminal. */
static void start(char **argv)
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0) {
        perror("pty: no terminal");
        exit(WRONG_USE);
    }
    step_size("80");
    int inner = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    command = fork();
    if (command != 0) {
        close(inner);
        return;
    }
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    setsid();
    ioctl(inner, TIOCSCTTY, 0);
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        dup2(inner, fd);
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* The command's exit status. What it still prints is read, so that it doesn't wait for us. */
static int finish(void)
{
    uint64_t deadline = now_ms() + PATIENCE_MS;
    int status;

    while (waitpid(command, &status, WNOHANG) == 0) {
        struct pollfd poll_terminal = {.fd = terminal, .events = POLLIN};

        if (now_ms() >= deadline)
            give_up("it didn't end", "");
        if (poll(&poll_terminal, 1, 20) > 0 && !read_some(deadline, "it didn't end", ""))
            poll(NULL, 0, 20);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void print_signal(int number)
{
    const char *line = number == SIGINT     ? "INT\n"
                       : number == SIGQUIT  ? "QUIT\n"
                       : number == SIGHUP   ? "HUP\n"
                       : number == SIGWINCH ? "WINCH\n"
                                            : "CONT\n";
    if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        _exit(WRONG_USE);
}

static int talk(void)
{
    struct sigaction action = {.sa_handler = print_signal, .sa_flags = SA_RESTART};
    static const int told[] = {SIGINT, SIGQUIT, SIGHUP, SIGWINCH, SIGCONT};
    char bytes[4096];

    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        sigaction(told[i], &action, NULL);
    puts("ready");
    fflush(stdout);
    for (;;) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

        if (n == 0 || (n < 0 && errno != EINTR))
            return n < 0;
        if (n > 0 && (write(STDOUT_FILENO, "got ", 4) < 0 || write(STDOUT_FILENO, bytes, (size_t)n) < 0))
            return WRONG_USE;
    }
}

/* Ask for a signal when there is something to read: the kernel sends it to the terminal's foreground group. */
static int async(void)
{
    int own = open("/dev/tty", O_RDWR), on = 1;
    char byte;

    signal(SIGIO, SIG_IGN);
    fcntl(own, F_SETFL, O_RDWR | O_ASYNC);
    ioctl(own, FIOASYNC, &on);
    puts("ready");
    fflush(stdout);
    return read(own, &byte, 1) != 1;
}

/* Each of count processes forks and ends, in a session of its own, so that none is there for long. */
static int storm(int count, int seconds)
{
    uint64_t end = now_ms() + (uint64_t)seconds * 1000;

    for (int i = 0; i < count; i++)
        if (fork() == 0)
            for (;;) {
                setsid();
                if (now_ms() >= end)
                    _exit(write(STDOUT_FILENO, "late\n", 5) < 0);
                if (fork() > 0)
                    _exit(0);
                usleep(100000); /* 2000 forks a second: the machine has others to serve */
            }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "talk") == 0)
        return talk();
    if (argc == 2 && strcmp(argv[1], "async") == 0)
        return async();
    if (argc == 4 && strcmp(argv[1], "storm") == 0)
        return storm(atoi(argv[2]), atoi(argv[3]));
    int mark = 1;
    while (mark < argc && strcmp(argv[mark], "--") != 0)
        mark++;
    if (mark + 1 >= argc)
        usage();
    argv[mark] = NULL;
    start(argv + mark + 1);
    for (char **next = argv + 1; *next != NULL;)
        next = step(next);
    return finish();
}

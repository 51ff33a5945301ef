/* child - what tests/run.test has sandlock start, or starts sandlock by: signals that are counted, odd descriptors */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRONG_USE = 2 };

static const char usage_text[] =
    "usage: child signals               print each of HUP INT QUIT USR1 USR2 TERM that comes, until stdin ends\n"
    "       child stubborn              ignore TERM and never end\n"
    "       child default CMD...        run CMD with no signal ignored, as a shell's background commands have some\n"
    "       child socket KIND CMD...    run CMD with a new udp, tcp, unix-dgram, unix socket or an io_uring as stdin\n"
    "       child closed CMD...         run CMD with stdin, stdout and stderr closed\n";

static const struct {
    int number;
    const char *line;
} forwarded[] = {{SIGHUP, "HUP\n"},   {SIGINT, "INT\n"},   {SIGQUIT, "QUIT\n"},
                 {SIGUSR1, "USR1\n"}, {SIGUSR2, "USR2\n"}, {SIGTERM, "TERM\n"}};

#define FORWARDED (sizeof forwarded / sizeof forwarded[0])

static void print_signal(int number)
{
    for (size_t i = 0; i < FORWARDED; i++)
        if (forwarded[i].number == number && write(STDOUT_FILENO, forwarded[i].line, strlen(forwarded[i].line)) < 0)
            _exit(WRONG_USE);
}

static int print_signals(void)
{
    struct sigaction action = {.sa_handler = print_signal};
    char byte;

    for (size_t i = 0; i < FORWARDED; i++)
        sigaction(forwarded[i].number, &action, NULL);
    puts("ready");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR)
        errno = 0;
    return 0;
}

__attribute__((noreturn)) static void be_stubborn(void)
{
    signal(SIGTERM, SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

static int run(char **command)
{
    execvp(command[0], command);
    perror(command[0]);
    return WRONG_USE;
}

static int run_with_socket(const char *kind, char **command)
{
    int family = strncmp(kind, "unix", 4) == 0 ? AF_UNIX : AF_INET;
    int type = strcmp(kind, "tcp") == 0 || strcmp(kind, "unix") == 0 ? SOCK_STREAM : SOCK_DGRAM;
    char parameters[120] = {0}; /* struct io_uring_params */
    int fd = strcmp(kind, "io_uring") == 0 ? (int)syscall(__NR_io_uring_setup, 4, parameters) : socket(family, type, 0);

    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        return WRONG_USE;
    close(fd);
    return run(command);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "signals") == 0)
        return print_signals();
    if (strcmp(what, "stubborn") == 0)
        be_stubborn();
    if (strcmp(what, "default") == 0 && argc > 2) {
        for (size_t i = 0; i < FORWARDED; i++)
            signal(forwarded[i].number, SIG_DFL);
        return run(argv + 2);
    }
    if (strcmp(what, "socket") == 0 && argc > 3)
        return run_with_socket(argv[2], argv + 3);
    if (strcmp(what, "closed") == 0 && argc > 2) {
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        return run(argv + 2);
    }
    fputs(usage_text, stderr);
    return WRONG_USE;
}

/* others.h - do others notice, while an attack goes on, that the supervisor has much to do? */
#ifndef ATTACK_OTHERS_H
#define ATTACK_OTHERS_H

#include "attack.h"

enum { STALLED = 30, FEWER = 10, EMULATED_FACTOR = 3 };

/* So many, or fewer where the machine is emulated: it takes the seconds that the kernel itself takes for each. */
static unsigned many(unsigned count)
{
    return getenv("EMULATED") ? count / FEWER : count;
}

/* The attack itself hangs: that is the worst stall, and this its line. */
static void stalled(int sig)
{
    static const char text[] = "ESCAPED: everything stands still\n";

    (void)sig;
    if (write(STDOUT_FILENO, text, sizeof text - 1) > 0)
        _exit(1);
}

static int other; /* another process, which connects once for each byte and answers with errno */

/* It is there before the attack, which may take all processes that there can be: a container's limit is no escape. */
static void start_other(void)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    int ends[2], error;
    char byte;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        broken("no socketpair: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        broken("no process: %s", strerror(errno));
    other = ends[pid == 0];
    close(ends[pid != 0]);
    while (pid == 0 && read(other, &byte, 1) == 1) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        error = connect(s, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
        close(s);
        if (write(other, &error, sizeof error) < 0)
            break;
    }
    if (pid == 0)
        _exit(0);
}

/* The seconds that the supervisor has worked so far (proc(5), stat); those that have passed without /proc. */
static double supervisor_worked(void)
{
    char path[64], text[1024];
    unsigned long user, system;

    snprintf(path, sizeof path, "/proc/%d/stat", getppid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    const char *fields = strrchr(text, ')'); /* a name may hold anything */
    if (fields == NULL ||
        sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return now();
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Does another process still get its connection, before the supervisor has worked for that many seconds? */
static void others_wait(const char *meanwhile, double patience)
{
    double began = supervisor_worked();
    int error = ECHILD;

    patience *= getenv("EMULATED") ? EMULATED_FACTOR : 1;
    alarm(STALLED);
    if (write(other, "", 1) < 0 || read(other, &error, sizeof error) < 0)
        broken("the other process is gone: %s", strerror(errno));
    alarm(0);
    double worked = supervisor_worked() - began;
    if (worked > patience)
        escape("%s: another process waited for %.1f s of work", meanwhile, worked);
    else if (error != 0)
        escape("%s: another process got: %s", meanwhile, strerror(error));
}

#endif

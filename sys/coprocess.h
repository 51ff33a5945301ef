/* coprocess.h - a command beside us whose stdin and stdout are a socket to us (clone(2), socketpair(2), execve(2)) */
#ifndef COPROCESS_H
#define COPROCESS_H

#include "kernel.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { COPROCESS_STEP_MS = 10 };

struct coprocess {
    int socket; /* our end, owned; < 0: there is none */
    pid_t pid;  /* 0: none */
};

/* As fork(2): 0 in the new process, its number in us, or -errno. It doesn't outlive us, and no wait(2) for just any
 * child sees its end. It has our other descriptors, too. */
static pid_t coprocess_fork(struct coprocess *coprocess)
{
    pid_t parent = getpid();
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pid_t pid = sys_fork(0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(ends[1], STDIN_FILENO) < 0 || dup2(ends[1], STDOUT_FILENO) < 0)
            _exit(1);
        return 0;
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return pid;
    }
    *coprocess = (struct coprocess){ends[0], pid};
    return pid;
}

/* The new process's part in coprocess_start: start the command, and end with it. It stands between since execve(2)
 * makes an ordinary child of who calls it. Why the command can't be started goes to `errors`. */
__attribute__((noreturn)) static void coprocess_keep(char *const argv[], const sigset_t *mask, int errors)
{
    pid_t keeper = getpid(), command = fork();
    int status, error = errno;

    if (command == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, mask, NULL);
        sys_close_range(STDERR_FILENO + 1, (unsigned)errors - 1, 0);
        sys_close_range((unsigned)errors + 1, ~0u, 0);
        if (getppid() == keeper)
            execvp(argv[0], argv);
        error = errno;
    }
    if (command <= 0) {
        status = write(errors, &error, sizeof error) != sizeof error;
        _exit(status);
    }
    sys_close_range(0, ~0u, 0);
    while (waitpid(command, &status, 0) < 0 && errno == EINTR)
        continue;
    _exit(0);
}

/* Start a command, found by PATH, with that signal mask. 0 or -errno: execvp(3)'s. */
static int coprocess_start(struct coprocess *coprocess, char *const argv[], const sigset_t *mask)
{
    int ends[2], error = 0;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = coprocess_fork(coprocess);
    if (pid == 0)
        coprocess_keep(argv, mask, ends[1]);
    close(ends[1]);
    if (pid > 0 && read(ends[0], &error, sizeof error) < 0) /* it ends when the command is executed */
        error = errno;
    close(ends[0]);
    return pid < 0 ? pid : -error;
}

/* Tell the command by its socket's end that it is over, and end it when it is still there after so long. */
static void coprocess_end(struct coprocess *coprocess, unsigned patience_ms)
{
    if (coprocess->socket >= 0)
        close(coprocess->socket);
    coprocess->socket = -1;
    if (coprocess->pid == 0)
        return;
    for (unsigned waited = 0; waitpid(coprocess->pid, NULL, __WALL | WNOHANG) == 0; waited += COPROCESS_STEP_MS) {
        if (waited >= patience_ms)
            kill(coprocess->pid, SIGKILL);
        usleep(COPROCESS_STEP_MS * 1000);
    }
    coprocess->pid = 0;
}

#endif

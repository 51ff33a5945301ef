/* stall_waits.h - calls of stall that wait: thousands of connects, signals, callers that leave or are stopped */
#ifndef STALL_WAITS_H
#define STALL_WAITS_H

#include "stall_base.h"

static void *wait_in_connect(void *to)
{
    int s = connected((int)(intptr_t)to);

    (void)s;
    pause();
    return NULL;
}

/* Threads that wait. SIGUSR1 is for one of them alone: neither for the process's first nor for the others. */
static void crowd(unsigned threads, void *(*wait_in)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t usr1;

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_create(&thread, &attributes, wait_in, argument);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(&thread, &attributes, wait_in, argument) != 0)
            break;
}

static void wait_in_connects(void)
{
    crowd(100, wait_in_connect, (void *)(intptr_t)HOLE);
    pause();
}

/* N processes with a hundred threads each. */
static void connects(void)
{
    pid_t waiting[PROCESSES_MAX];

    for (unsigned i = 0; i < number; i++)
        waiting[i] = start(wait_in_connects);
    sleep(1);
    others_go_on();
    for (unsigned i = 0; i < number; i += 2)
        end(waiting[i]);
    others_go_on();
    for (unsigned i = 1; i < number; i += 2)
        end(waiting[i]);
    others_go_on();
}

static void nothing(int sig)
{
    (void)sig;
}

/* The same while signals come for the processes. */
static pid_t signalled[PROCESSES_MAX];

static void send_signals(void)
{
    for (;;) {
        for (unsigned i = 0; i < number; i++)
            kill(signalled[i], SIGUSR1);
        usleep(2000);
    }
}

static void signals(void)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};

    sigaction(SIGUSR1, &action, NULL);
    for (unsigned i = 0; i < number; i++)
        signalled[i] = start(wait_in_connects);
    sleep(1);
    pid_t sender = start(send_signals);
    others_go_on();
    end(sender);
    for (unsigned i = 0; i < number; i++)
        end(signalled[i]);
}

/* It executes something else, or ends, while its threads' calls wait. */
static void leave_by_exec(void)
{
    crowd(100, wait_in_connect, (void *)(intptr_t)HOLE);
    usleep(100000);
    execlp("true", "true", NULL);
}

static void leave_by_exit(void)
{
    crowd(100, wait_in_connect, (void *)(intptr_t)HOLE);
    usleep(100000);
    _exit(0);
}

static void leaving(void)
{
    for (unsigned i = 0; i < number; i++) {
        pid_t a = start(leave_by_exec), b = start(leave_by_exit);

        others_go_on();
        waitpid(a, NULL, 0);
        waitpid(b, NULL, 0);
    }
}

/* Stopped while its calls wait, and never continued. */
static void stopped(void)
{
    pid_t pid = start(wait_in_connects);

    usleep(300000);
    kill(pid, SIGSTOP);
    usleep(100000);
    others_go_on();
    end(pid);
}

static struct sockaddr_un full = {.sun_family = AF_UNIX, .sun_path = "full.socket"};

static void *wait_in_unix_connect(void *unused)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    connect(s, (struct sockaddr *)&full, sizeof full);
    pause();
    return unused;
}

static void wait_in_unix_connects(void)
{
    crowd(100, wait_in_unix_connect, NULL);
    pause();
}

static void unix_connects(void)
{
    pid_t waiting[PROCESSES_MAX];
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    unlink(full.sun_path);
    if (bind(s, (struct sockaddr *)&full, sizeof full) < 0 || listen(s, 0) < 0)
        wrong("cannot listen: %s", strerror(errno));
    for (unsigned i = 0; i < number; i++)
        waiting[i] = start(wait_in_unix_connects);
    sleep(1);
    others_go_on();
    for (unsigned i = 0; i < number; i++)
        end(waiting[i]);
    others_go_on();
}

#endif

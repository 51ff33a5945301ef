/* stall_base.h - what each part of stall uses: its ports, processes, and another process whose calls must go on */
#ifndef STALL_BASE_H
#define STALL_BASE_H

#define _GNU_SOURCE
#include "wrong.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ports: one that answers, one that never accepts and is full, one that takes connections and never reads. */
enum { ANSWERS = 7601, HOLE = 7602, DEAF = 7603, TAKEN = 7604 /* outside */ };
enum { PATIENCE = 90, CALLS = 20, STACK = 32768, BYTES = 1 << 20, FOR_EVER = 1000000, PROCESSES_MAX = 1000,
       SECRET_CALL = 447, WRONG_USE = 2 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char bytes[BYTES];
static unsigned number; /* N */

static void held_up(int sig)
{
    static const char text[] = "the others wait for ever\n";

    (void)sig;
    _exit(write(STDOUT_FILENO, text, sizeof text - 1) > 0 ? 1 : WRONG_USE);
}

static struct sockaddr_in port(int number_of)
{
    return (struct sockaddr_in){AF_INET, htons((uint16_t)number_of), {htonl(INADDR_LOOPBACK)}, {0}};
}

static int connected(int to)
{
    struct sockaddr_in a = port(to);
    int s = socket(AF_INET, SOCK_STREAM, 0);

    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) == 0)
        return s;
    int error = errno;
    close(s);
    errno = error;
    return -1;
}

static int listener(int at, int backlog)
{
    struct sockaddr_in a = port(at);
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, backlog) < 0)
        wrong("cannot listen: %s", strerror(errno));
    return s;
}

static pid_t start(void (*run)(void))
{
    pid_t pid = fork();

    if (pid < 0)
        wrong("no process: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- the other process ---- */

static int answers;

static void answer(void)
{
    for (;;) {
        int c = accept(answers, NULL, NULL);
        char byte;

        if (recv(c, &byte, 1, 0) == 1)
            send(c, &byte, 1, MSG_NOSIGNAL);
        close(c);
    }
}

/* Each of these is answered, and rightly. A refused destination too. */
static void make_calls(void)
{
    for (int i = 0; i < CALLS; i++) {
        struct sockaddr_in refused = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0xc0000201)}};
        struct iovec payload = {"x", 1};
        struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
        int pair[2], s = connected(ANSWERS);
        char byte = 0;

        if (s < 0)
            wrong("another's connect: %s", strerror(errno));
        if (sendmsg(s, &m, 0) != 1 || recv(s, &byte, 1, 0) != 1 || byte != 'x')
            wrong("another's send: %s", strerror(errno));
        close(s);
        s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&refused, sizeof refused) == 0 || errno != ECONNREFUSED)
            wrong("another's refused connect: %s", strerror(errno));
        close(s);
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 || sendmsg(pair[0], &m, 0) != 1)
            wrong("another's datagram: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
    }
}

static void others_go_on(void)
{
    int status;

    alarm(PATIENCE);
    pid_t other = start(make_calls);
    if (waitpid(other, &status, 0) != other || status != 0)
        _exit(1);
    alarm(0);
}

#endif

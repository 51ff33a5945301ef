/* lossy - does everything happen once where signals repeat held calls? For tests/older.test
 *
 * usage: lossy datagrams | vectors | connects | stream [restart]
 * An alarm comes every 200 us; `restart`: with SA_RESTART, so that the program sees none of it. Otherwise EINTR is
 * answered by the same call again, as programs do. Everything stays on 127.0.0.1, between sockets of this program.
 * Prints "once", or what happened instead; exits 0, or 2 where the scene can't be set. */
#define _GNU_SOURCE
#include "native_names.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BROKEN = 2,
    ALARM_US = 200,
    DATAGRAMS = 2000,
    VECTORS = 200,
    IN_VECTOR = 8,
    CONNECTS = 300,
    STREAM_BYTES = 4 << 20,
    PIECE = 256 << 10,
    BUFFER = 32 << 10, /* less than a piece: sends wait for the other end */
};

static bool restarts;
static uint16_t seen[DATAGRAMS]; /* how often each number came */
static unsigned interruptions;

__attribute__((noreturn)) static void broken(const char *what)
{
    perror(what);
    exit(BROKEN);
}

__attribute__((noreturn)) static void wrong(const char *what, const char *detail)
{
    printf("%s: %s\n", what, detail);
    exit(0);
}

static void interrupt(int number)
{
    (void)number;
    interruptions++;
}

static void alarms(bool on)
{
    struct itimerval every = {{0, on ? ALARM_US : 0}, {0, on ? ALARM_US : 0}};
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = restarts ? SA_RESTART : 0};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

/* A call failed: is it to be made again? */
static void again(const char *what)
{
    if (errno != EINTR || restarts)
        wrong(what, errno_name(errno));
}

/* A socket at a port of the kernel's choice, and its address. */
static int local_socket(int type, struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &len) < 0 || (type == SOCK_STREAM && listen(fd, 16) < 0))
        broken("a socket to receive");
    return fd;
}

/* Take what has come. */
static void receive(int fd)
{
    uint32_t number;

    while (recv(fd, &number, sizeof number, MSG_DONTWAIT) == sizeof number)
        if (number < DATAGRAMS)
            seen[number]++;
}

static void expect_once(uint32_t n)
{
    char text[64];

    for (uint32_t i = 0; i < n; i++)
        if (seen[i] != 1) {
            snprintf(text, sizeof text, "%u came %u times", i, seen[i]);
            wrong("datagram", text);
        }
}

static void datagrams(void)
{
    struct sockaddr_in to;
    int receiver = local_socket(SOCK_DGRAM, &to), sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    alarms(true);
    for (uint32_t i = 0; i < DATAGRAMS; i++) {
        while (sendto(sender, &i, sizeof i, 0, (struct sockaddr *)&to, sizeof to) < 0)
            again("sendto");
        receive(receiver);
    }
    alarms(false);
    receive(receiver);
    expect_once(DATAGRAMS);
}

static void vectors(void)
{
    struct sockaddr_in to;
    int receiver = local_socket(SOCK_DGRAM, &to), sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint32_t numbers[IN_VECTOR];
    struct iovec parts[IN_VECTOR];
    struct mmsghdr messages[IN_VECTOR];

    alarms(true);
    for (uint32_t first = 0; first < VECTORS * IN_VECTOR; first += IN_VECTOR) {
        for (uint32_t i = 0; i < IN_VECTOR; i++) {
            numbers[i] = first + i;
            parts[i] = (struct iovec){&numbers[i], sizeof numbers[i]};
            messages[i] = (struct mmsghdr){.msg_hdr = {
                .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i], .msg_iovlen = 1}};
        }
        for (long sent = 0; sent < IN_VECTOR;) { /* musl's sendmmsg is a loop of sendmsg */
            long n = syscall(SYS_sendmmsg, sender, messages + sent, IN_VECTOR - sent, 0);

            if (n < 0)
                again("sendmmsg");
            else
                sent += n;
        }
        receive(receiver);
    }
    alarms(false);
    receive(receiver);
    expect_once(VECTORS * IN_VECTOR);
}

static void connects(void)
{
    struct sockaddr_in to;
    int listener = local_socket(SOCK_STREAM, &to);

    alarms(true);
    for (int i = 0; i < CONNECTS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;
        bool first = true;

        while (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
            if (errno == EISCONN && !first) /* connect(2): it went on after EINTR */
                break;
            if (errno != EALREADY || first)
                again("connect");
            first = false;
        }
        while ((accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
            again("accept");
        close(accepted);
        close(fd);
    }
    alarms(false);
}

/* The other end: every byte as it was sent, and no more. It is slow, so that sends wait. */
static int stream_ended(int fd)
{
    static unsigned char bytes[1 << 16];
    uint32_t at = 0;
    bool same = true;

    for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0; usleep(300))
        for (ssize_t i = 0; i < n; i++, at++)
            same = same && bytes[i] == (unsigned char)(at * 2654435761u >> 24);
    return same && at == STREAM_BYTES ? 0 : 1;
}

static void stream(void)
{
    static unsigned char bytes[STREAM_BYTES];
    struct sockaddr_in to;
    int listener = local_socket(SOCK_STREAM, &to), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
    int room = BUFFER;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) < 0)
        broken("setsockopt");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        broken("connect");
    pid_t pid = fork();
    if (pid == 0) {
        int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        close(fd);
        _exit(accepted < 0 ? BROKEN : stream_ended(accepted));
    }
    for (uint32_t at = 0; at < STREAM_BYTES; at++)
        bytes[at] = (unsigned char)(at * 2654435761u >> 24);
    alarms(true);
    for (size_t sent = 0; sent < STREAM_BYTES;) {
        struct iovec part = {bytes + sent, STREAM_BYTES - sent < PIECE ? STREAM_BYTES - sent : PIECE};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);

        if (n < 0)
            again("sendmsg");
        else
            sent += (size_t)n;
    }
    alarms(false);
    close(fd);
    if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
        broken("the other end");
    if (WEXITSTATUS(status) != 0)
        wrong("stream", "other bytes arrived than were sent");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } kinds[] = {{"datagrams", datagrams}, {"vectors", vectors}, {"connects", connects}, {"stream", stream}};

    restarts = argc == 3 && strcmp(argv[2], "restart") == 0;
    for (size_t i = 0; (argc == 2 || restarts) && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, argv[1]) == 0) {
            kinds[i].run();
            if (interruptions == 0)
                wrong("alarms", "none came");
            puts("once");
            return 0;
        }
    fputs("usage: lossy datagrams | vectors | connects | stream [restart]\n", stderr);
    return BROKEN;
}

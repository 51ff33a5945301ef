/* steady - one kind of call, again and again, for tests/steady.test: steady KIND COUNT, to port 1 of 127.0.0.1, or of
 * the unspecified address, which means it, to the other end of a pair, by a process with threads, or to an abstract
 * name of its own
 *
 * A stream's connect is refused there; anything else is taken. Exit status 1 when a call answers otherwise. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in to = {.sin_family = AF_INET};
static char payload[] = "payload";
static struct iovec part = {payload, sizeof payload};
static struct msghdr header = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1};
static struct mmsghdr headers[2];

static bool call_connect(int fd)
{
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
}

/* A non-blocking one says first that it has begun. */
static bool call_refused(int fd)
{
    return connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && (errno == ECONNREFUSED || errno == EINPROGRESS);
}

static bool call_sendto(int fd)
{
    return sendto(fd, payload, sizeof payload, 0, (struct sockaddr *)&to, sizeof to) == sizeof payload;
}

static bool call_sendmsg(int fd)
{
    return sendmsg(fd, &header, 0) == sizeof payload;
}

static void *wait_for_ever(void *unused)
{
    pause();
    return unused;
}

static bool call_sendmsg_paired(int fd)
{
    static int pair[2];
    struct msghdr to_peer = {.msg_iov = &part, .msg_iovlen = 1};
    char got[sizeof payload];
    pthread_t thread;

    (void)fd;
    if (pair[1] == 0 && (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
                         pthread_create(&thread, NULL, wait_for_ever, NULL) != 0))
        return false;
    return sendmsg(pair[0], &to_peer, 0) == sizeof payload && read(pair[1], got, sizeof got) == sizeof payload;
}

/* To a listener of its own, at an abstract name that nobody had before. */
static bool call_connect_abstract(int fd)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof name;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    bool done = bind(server, (struct sockaddr *)&name, sizeof name.sun_family) == 0 && listen(server, 1) == 0 &&
                getsockname(server, (struct sockaddr *)&name, &len) == 0 &&
                connect(client, (struct sockaddr *)&name, len) == 0;

    (void)fd;
    close(client);
    close(server);
    return done;
}

/* Past libc: musl's is a loop of sendmsg. */
static bool call_sendmmsg(int fd)
{
    return syscall(SYS_sendmmsg, fd, headers, 2, 0) == 2;
}

static const struct {
    const char *name;
    int type;
    bool (*call)(int fd);
    in_addr_t address;
} kinds[] = {
    {"udp-connect", SOCK_DGRAM, call_connect, INADDR_LOOPBACK},
    {"udp-connect-unspecified", SOCK_DGRAM, call_connect, INADDR_ANY},
    {"sendto", SOCK_DGRAM, call_sendto, INADDR_LOOPBACK},
    {"sendmsg", SOCK_DGRAM, call_sendmsg, INADDR_LOOPBACK},
    {"abstract-connect", SOCK_DGRAM, call_connect_abstract, INADDR_LOOPBACK},
    {"sendmsg-paired", SOCK_DGRAM, call_sendmsg_paired, INADDR_LOOPBACK},
    {"sendmmsg", SOCK_DGRAM, call_sendmmsg, INADDR_LOOPBACK},
    {"tcp-connect", SOCK_STREAM, call_refused, INADDR_LOOPBACK},
    {"tcp-connect-nonblocking", SOCK_STREAM | SOCK_NONBLOCK, call_refused, INADDR_LOOPBACK},
};

int main(int argc, char **argv)
{
    to.sin_port = htons(1);
    headers[0].msg_hdr = headers[1].msg_hdr = header;
    for (size_t i = 0; argc == 3 && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(argv[1], kinds[i].name) != 0)
            continue;
        to.sin_addr.s_addr = htonl(kinds[i].address);
        int fd = socket(AF_INET, kinds[i].type, 0);
        for (int n = 0; n < atoi(argv[2]); n++)
            if (!kinds[i].call(fd)) {
                perror(argv[1]);
                return 1;
            }
        return 0;
    }
    fprintf(stderr, "usage: steady KIND COUNT\n");
    return 2;
}

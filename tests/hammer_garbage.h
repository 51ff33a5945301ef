/* hammer_garbage.h - hammer's hostile processes: calls with arguments that may be anything, from many threads */
#ifndef HAMMER_GARBAGE_H
#define HAMMER_GARBAGE_H

#define _GNU_SOURCE
#include "wrong.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 7501, NOBODY_PORT = 7502, PROCESSES = 4, AREA = 1 << 20, FDS = 48, PAYLOAD = 100, WRONG_USE = 2,
       STACK = 65536, THREADS_MAX = 256 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t *area;     /* behind it is nothing */
static int fds[FDS];
static pthread_t threads[THREADS_MAX];

static uint64_t random_state; /* of the process; the threads race for it, which is random too */

static uint64_t any(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 11 ^ random_state << 29;
}

static uint64_t below(uint64_t n)
{
    return any() % n;
}

/* A pointer to what may be anything, or may not be there. */
static uint64_t any_pointer(void)
{
    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return any();
    case 2:
        return (uintptr_t)area + AREA - below(256); /* ends soon */
    case 3:
        return UINT64_MAX - below(4096);
    case 4:
        return 1ull << below(64);
    case 5:
        return (uintptr_t)&area & ~4095ull;
    default:
        return (uintptr_t)area + (below(AREA - 4096) & ~7ull);
    }
}

static uint64_t any_length(void)
{
    static const uint64_t lengths[] = {0, 1, 2, 16, 24, 28, 110, 128, 129, 4096, 65507, 65536, 1 << 20, 0x7fffffff,
                                       0x80000000, 0xffffffff, 0x100000010, UINT64_MAX, UINT64_MAX / 2};

    return below(3) ? below(64) : lengths[below(COUNT(lengths))];
}

static int any_fd(void)
{
    return below(30) ? fds[below(FDS)] : (int)any();
}

static int any_flags(void)
{
    return below(4) ? MSG_DONTWAIT | MSG_NOSIGNAL : (int)any();
}

/* An address that the rules permit, one that they don't, or bytes. */
static uint64_t any_address(uint64_t *len)
{
    struct sockaddr_in *v4 = (void *)(area + (below(AREA - 4096) & ~7ull));
    struct sockaddr_in6 *v6 = (void *)v4;
    static const uint32_t hosts[] = {INADDR_LOOPBACK, 0, 0x0a000001, 0x7f000009, 0xe0000001, 0xffffffff};

    *len = below(4) ? sizeof *v6 : any_length();
    if (below(4) == 0)
        return any_pointer();
    switch (below(4)) {
    case 0:
        memset(v6, 0, sizeof *v6);
        v6->sin6_addr.s6_addr[15] = (uint8_t)below(2);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)(8000 + below(64)));
        break;
    case 1:
        v4->sin_family = AF_UNIX;
        snprintf((char *)v4 + 2, 16, "%csock%u", below(2) ? 'x' : 0, (unsigned)below(8));
        break;
    default:
        *v4 = (struct sockaddr_in){below(8) ? AF_INET : AF_UNSPEC, htons((uint16_t)(8000 + below(64))),
                                   {htonl(hosts[below(COUNT(hosts))])}, {0}};
    }
    return (uintptr_t)v4;
}

/* struct msghdr as the kernel has it. */
struct header {
    uint64_t name, namelen, iov, iovlen, control, controllen, flags;
};

static void any_header(struct header *h)
{
    uint64_t control = (uintptr_t)area + (below(AREA - 4096) & ~7ull);
    static const int levels[] = {SOL_SOCKET, SOL_IP, SOL_IPV6, 17, 282};

    h->name = any_address(&h->namelen);
    h->iov = any_pointer();
    h->iovlen = below(3) ? below(4) : any_length();
    uint64_t *vector = (void *)(uintptr_t)h->iov;
    bool writable = h->iov >= (uintptr_t)area && h->iov < (uintptr_t)area + AREA - 64;
    for (size_t i = 0; writable && i < 8; i += 2) {
        vector[i] = any_pointer();
        vector[i + 1] = any_length();
    }
    h->control = below(3) ? control : any_pointer();
    h->controllen = below(3) ? 24 + 8 * below(8) : any_length();
    for (uint64_t at = 0; at < 96; at += 24) {
        uint64_t *c = (void *)(uintptr_t)(control + at);

        c[0] = below(4) ? 20 : any_length();
        c[1] = (uint64_t)levels[below(COUNT(levels))] | below(70) << 32;
        c[2] = any();
    }
}

static long any_open(void)
{
    static const char *const paths[] = {"/etc/hosts", "hosts", "/dev/null", "/proc/self/root/etc/hosts",
                                        "./nothing/hosts", "/proc/self/fd/3", ""};
    int flags = (int)any() & (O_CLOEXEC | O_DIRECTORY | O_PATH | O_NOFOLLOW | O_NOATIME) & (int)any();
    uint64_t path = below(3) ? (uintptr_t)paths[below(COUNT(paths))] : any_pointer();
    struct {
        uint64_t flags, mode, resolve;
    } how = {(uint64_t)flags | O_NONBLOCK, below(2) ? 0 : any(), below(64)};

    if (below(3) == 0)
        return syscall(__NR_openat2, below(2) ? AT_FDCWD : any_fd(), path, below(4) ? (uintptr_t)&how : any_pointer(),
                       below(4) ? sizeof how : any_length());
    return syscall(__NR_openat, below(2) ? AT_FDCWD : any_fd(), path, flags | O_NONBLOCK, 0);
}

/* One call. What it opened is closed again, so that the table stays as mixed as it was. */
static void any_call(void)
{
    struct header *h = (void *)(area + (below(AREA - 65536) & ~7ull));
    uint64_t len, address = any_address(&len);
    long made = -1;

    switch (below(12)) {
    case 0:
        syscall(__NR_connect, any_fd(), address, len);
        break;
    case 1:
        syscall(__NR_bind, any_fd(), address, len);
        break;
    case 2:
        syscall(__NR_listen, any_fd(), any());
        break;
    case 3:
    case 4:
        syscall(__NR_sendto, any_fd(), any_pointer(), any_length(), any_flags(), address, len);
        break;
    case 5:
    case 6:
        any_header(h);
        syscall(__NR_sendmsg, any_fd(), below(8) ? (uintptr_t)h : any_pointer(), any_flags());
        break;
    case 7:
        for (unsigned i = 0; i < 4; i++)
            any_header((struct header *)(void *)((uint8_t *)h + 64 * i));
        syscall(__NR_sendmmsg, any_fd(), below(8) ? (uintptr_t)h : any_pointer(), below(2) ? below(5) : any(),
                any_flags());
        break;
    case 8:
        made = syscall(__NR_socket, below(2) ? AF_INET : below(64), below(2) ? below(16) : any(),
                       below(2) ? 0 : below(300));
        break;
    case 9:
        syscall(__NR_setsockopt, any_fd(), below(2) ? below(64) : any(), below(2) ? below(128) : any(), any_pointer(),
                any_length());
        break;
    case 10:
        syscall(__NR_prlimit64, below(2) ? any() : (uint64_t)getppid(), below(20), any_pointer(), NULL);
        break;
    case 11:
        made = any_open();
        break;
    }
    if (made > 2)
        close((int)made);
}

static void nothing(int sig)
{
    (void)sig;
}

static void *hammer(void *unused)
{
    (void)unused;
    for (;;) {
        for (unsigned i = 0; i < 64; i++)
            any_call();
        uint64_t *word = (void *)(area + (below(AREA - 8) & ~7ull));
        *word = any();
    }
    return NULL;
}

/* A descriptor of some kind. */
static int some_fd(unsigned kind)
{
    int pair[2] = {-1, -1};

    switch (kind % 16) {
    case 0:
        return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    case 1:
        return socket(AF_INET, SOCK_STREAM, 0);
    case 2:
        return socket(AF_INET, SOCK_DGRAM, 0);
    case 3:
        return socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    case 4:
        return socket(AF_INET6, SOCK_DGRAM, 0);
    case 5:
        return socket(AF_UNIX, SOCK_STREAM, 0);
    case 6:
        return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    case 7:
        return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    case 8:
        return socket(AF_NETLINK, SOCK_DGRAM, 0);
    case 9:
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair);
        return pair[0];
    case 10:
        socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
        return pair[0];
    case 11:
        pipe(pair);
        return pair[1];
    case 12:
        return epoll_create1(0);
    case 13:
        return open("/", O_PATH);
    case 14:
        return eventfd(0, 0);
    default:
        return open("/dev/null", O_RDWR);
    }
}

/* Its threads hammer; now and then it interrupts one, or puts another descriptor in the place of one. */
__attribute__((noreturn)) static void be_hostile(unsigned n)
{
    struct sigaction action = {.sa_handler = nothing};
    struct timeval wait = {0, 20000};
    pthread_attr_t attributes;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    random_state = (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    area = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(area + AREA, 4096, PROT_NONE) < 0)
        _exit(WRONG_USE);
    for (unsigned i = 0; i < FDS; i++) {
        fds[i] = some_fd(i);
        setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (unsigned i = 0; i < n; i++)
        if (pthread_create(&threads[i], &attributes, hammer, NULL) != 0)
            _exit(WRONG_USE);
    for (;;) {
        usleep(2000);
        pthread_kill(threads[below(n)], SIGUSR1);
        int fd = some_fd((unsigned)any());
        dup2(fd, fds[below(FDS)]);
        close(fd);
    }
}

#endif

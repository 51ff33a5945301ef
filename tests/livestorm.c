/* livestorm - connects inside a sandbox while its policy is changed from outside, and whether each saw what it had to
 *
 * usage: livestorm load FILE PORT THREADS          inside: connect to 127.0.0.1:PORT, note when and with what result,
 *                                                  until FILE says that it is enough
 *        livestorm toggle FILE SOCKET RULE COUNT   outside: COUNT changes, allow and deny in turn, each answered; then
 *                                                  hold every connect against them: "N changes, all connects agree"
 *        livestorm flood SOCKET COUNT CHANGE...    outside: COUNT changes over one connection, those given in turn, as
 *                                                  fast as they are answered: "N changes, all made"
 *        livestorm pace SOCKET RATE SECONDS CHANGE...   the same, RATE a second: "N changes, all made"
 *        livestorm hole                            outside: listen at 127.0.0.1 with a full backlog, so that a connect
 *                                                  waits, and print the port; a line on stdin makes room
 *        livestorm say SOCKET                      outside: stdin to the socket, what it answers to stdout
 * A CHANGE is "VERB RULE", or "VERB" alone. A refused connect must get EACCES (--deny-errno): nobody is at PORT. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTS_MAX = 1 << 18, CHANGES_MAX = 1 << 14, THREADS_MAX = 16, PAUSE_US = 500 };

/* Times are nanoseconds. */
struct noted {
    uint64_t begin, end;
    int result; /* errno */
};

/* FILE, in the memory of both. */
struct shared {
    atomic_uint n, threads;
    atomic_bool enough;
    struct noted connects[CONNECTS_MAX];
};

static struct shared *shared;
static uint16_t port;

static void fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void share(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0 || ftruncate(fd, sizeof *shared) < 0)
        fail(path);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        fail("mmap");
}

static void *load(void *argument)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    (void)argument;
    atomic_fetch_add(&shared->threads, 1);
    while (!atomic_load(&shared->enough)) {
        int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct noted it = {.begin = now()};

        it.result = connect(s, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
        it.end = now();
        close(s);
        unsigned at = atomic_fetch_add(&shared->n, 1);
        if (at >= CONNECTS_MAX)
            break;
        shared->connects[at] = it;
    }
    return NULL;
}

static int inside(int threads)
{
    pthread_t ids[THREADS_MAX];

    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, load, NULL);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return 0;
}

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    if (connect(s, (struct sockaddr *)&to, sizeof to) < 0)
        fail(path);
    return s;
}

/* Make one change. Is its answer that it was made? */
static bool change(int s, const char *text)
{
    char request[512], answer[512];
    const char *rule = strchr(text, ' ');
    int n = snprintf(request, sizeof request, "sandlock 1 %.*s\n%s%s%s\n",
                     rule ? (int)(rule - text) : (int)strlen(text), text, rule ? "rule" : "", rule ? rule : "",
                     rule ? "\n" : "");
    size_t got = 0;

    if (send(s, request, (size_t)n, MSG_NOSIGNAL) != n)
        fail("send");
    while (got < 2 || memcmp(answer + got - 2, "\n\n", 2) != 0) {
        ssize_t r = recv(s, answer + got, sizeof answer - 1 - got, 0);

        if (r <= 0)
            fail("no answer");
        got += (size_t)r;
    }
    answer[got] = 0;
    if (strncmp(answer, "sandlock 1 ok\n", 14) == 0)
        return true;
    printf("%s", answer);
    return false;
}

/* When each state was asked for and answered; state i holds from somewhere in between until somewhere between those of
 * i + 1. Even ones refuse. */
static struct {
    uint64_t asked, answered;
} states[CHANGES_MAX + 1];

/* Could this connect have had this result? */
static bool agrees(const struct noted *it, size_t n)
{
    for (size_t i = 0; i <= n; i++) {
        bool was = it->end >= states[i].asked && (i == n || it->begin <= states[i + 1].answered);

        if (was && (it->result == EACCES) == (i % 2 == 0))
            return true;
    }
    return false;
}

static int toggle(const char *path, const char *rule, size_t count)
{
    int s = connect_to(path);
    char text[2][256];
    size_t wrong = 0, refused = 0, permitted = 0;

    snprintf(text[0], sizeof text[0], "allow %s", rule);
    snprintf(text[1], sizeof text[1], "deny %s", rule);
    while (atomic_load(&shared->threads) == 0)
        usleep(PAUSE_US);
    for (size_t i = 0; i < count && i < CHANGES_MAX; i++) {
        states[i + 1].asked = now();
        if (!change(s, text[i % 2]))
            return 1;
        states[i + 1].answered = now();
        unsigned seen = atomic_load(&shared->n); /* a few connects in each state */
        for (int waits = 0; atomic_load(&shared->n) < seen + 3 && waits < 2000; waits++)
            usleep(PAUSE_US);
    }
    atomic_store(&shared->enough, true);
    usleep(100000);
    size_t n = atomic_load(&shared->n) < CONNECTS_MAX ? atomic_load(&shared->n) : CONNECTS_MAX;
    for (size_t i = 0; i < n; i++) {
        if (shared->connects[i].end == 0)
            continue;
        refused += shared->connects[i].result == EACCES;
        permitted += shared->connects[i].result == ECONNREFUSED;
        wrong += !agrees(&shared->connects[i], count);
    }
    if (wrong > 0 || refused < count / 2 || permitted < count / 2) {
        printf("%zu of %zu connects disagree; %zu were refused, %zu permitted\n", wrong, n, refused, permitted);
        return 1;
    }
    printf("%zu changes, all connects agree\n", count);
    return 0;
}

/* Changes in turn, `rate` a second (0: as they are answered). */
static int flood(const char *path, size_t count, uint64_t rate, char **changes, size_t n)
{
    int s = connect_to(path);
    uint64_t start = now();

    for (size_t i = 0; i < count; i++) {
        uint64_t due = start + (rate ? i * 1000000000 / rate : 0), at = now();

        if (due > at)
            usleep((useconds_t)((due - at) / 1000));
        if (!change(s, changes[i % n]))
            return 1;
    }
    printf("%zu changes, all made\n", count);
    return 0;
}

static int hole(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), first = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&at, len) < 0 || getsockname(listener, (struct sockaddr *)&at, &len) < 0 ||
        listen(listener, 0) < 0 || connect(first, (struct sockaddr *)&at, len) < 0)
        fail("hole");
    printf("%u\n", ntohs(at.sin_port));
    fflush(stdout);
    while (getchar() == '\n') {
        listen(listener, 8);
        close(accept(listener, NULL, NULL));
    }
    return 0;
}

/* Whatever stdin says; the answers until the other side closes, or half a second after the last. */
static int say(const char *path)
{
    static char bytes[65536];
    int s = connect_to(path);
    ssize_t n;

    while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
        if (send(s, bytes, (size_t)n, MSG_NOSIGNAL) != n)
            break; /* it has heard enough */
    shutdown(s, SHUT_WR);
    while ((n = recv(s, bytes, sizeof bytes, 0)) > 0)
        fwrite(bytes, 1, (size_t)n, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (strcmp(mode, "load") == 0 && argc == 5) {
        share(argv[2]);
        port = (uint16_t)atoi(argv[3]);
        return inside(atoi(argv[4]) < THREADS_MAX ? atoi(argv[4]) : THREADS_MAX);
    }
    if (strcmp(mode, "toggle") == 0 && argc == 6) {
        share(argv[2]);
        return toggle(argv[3], argv[4], (size_t)atol(argv[5]));
    }
    if (strcmp(mode, "flood") == 0 && argc > 4)
        return flood(argv[2], (size_t)atol(argv[3]), 0, argv + 4, (size_t)argc - 4);
    if (strcmp(mode, "pace") == 0 && argc > 5)
        return flood(argv[2], (size_t)(atol(argv[3]) * atol(argv[4])), (uint64_t)atol(argv[3]), argv + 5,
                     (size_t)argc - 5);
    if (strcmp(mode, "hole") == 0)
        return hole();
    if (strcmp(mode, "say") == 0 && argc == 3)
        return say(argv[2]);
    fputs("usage: livestorm load | toggle | flood | pace | hole | say ...: see its first lines\n", stderr);
    return 2;
}

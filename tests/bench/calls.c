/* calls - time one kind of call on loopback sockets, and be its other end
 *
 *     calls [-n CALLS] [-s BYTES] [-T THREADS] [-b BATCH] [-q PERCENT] KIND PORT    nanoseconds per call
 *     calls serve [PORT]             the peer: print its three ports, of which PORT is the first, and stay
 *     calls hold N PORT COMMAND...   N threads block in connect while COMMAND runs
 *
 * One thread: the calls are timed in batches and the percentile (median) of the batches' means is printed; sockets are
 * made and closed between batches, untimed. More threads: the wall time of all, over all calls. A call that answers
 * anything but what its kind should ends the run. */
#include "measure.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BATCH_MAX = 256,
    THREADS_MAX = 10240,
    PEERS_MAX = 4096,
    BYTES_MAX = 65536,
    MESSAGES = 64,         /* in one sendmmsg */
    UNSENT_MAX = 16 * 1024 /* a stream with more on the way rests before the next batch */
};

/* The thread's sockets and what its calls point to. */
struct scene {
    int fds[BATCH_MAX]; /* FRESH kinds use one a call, the others the first alone */
    struct sockaddr_in to;
    struct iovec piece;
    struct msghdr message;
    struct mmsghdr messages[MESSAGES];
};

static char payload[BYTES_MAX];
static size_t bytes = 64; /* of a payload */

static int call_connect(struct scene *s, int fd)
{
    return connect(fd, (struct sockaddr *)&s->to, sizeof s->to);
}

static int call_sendto(struct scene *s, int fd)
{
    return (int)sendto(fd, payload, bytes, 0, (struct sockaddr *)&s->to, sizeof s->to);
}

static int call_sendmsg(struct scene *s, int fd)
{
    return (int)sendmsg(fd, &s->message, 0);
}

/* Past libc: musl's sendmmsg is a loop of sendmsg. */
static int call_sendmmsg(struct scene *s, int fd)
{
    return (int)syscall(SYS_sendmmsg, fd, s->messages, MESSAGES, 0);
}

static int call_send(struct scene *s, int fd)
{
    return (int)send(fd, s->piece.iov_base, s->piece.iov_len, 0);
}

static int call_write(struct scene *s, int fd)
{
    return (int)write(fd, s->piece.iov_base, s->piece.iov_len);
}

/* No socket's call: of a file that isn't /etc/hosts. */
static int call_open(struct scene *s, int fd)
{
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)s;
    (void)fd;
    return file < 0 ? -1 : close(file);
}

enum sockets { ONE, CONNECTED, FRESH };

enum { BYTES = -2 }; /* as a result: that many as were asked for */

static const struct kind {
    const char *name;
    int type;
    enum sockets sockets; /* made once; made and connected once; made anew for every call */
    int (*call)(struct scene *s, int fd);
    int result, error; /* what every call must answer */
} kinds[] = {
    {"udp-connect", SOCK_DGRAM, ONE, call_connect, 0, 0},
    {"udp-sendto", SOCK_DGRAM, ONE, call_sendto, BYTES, 0},
    {"udp-sendmsg", SOCK_DGRAM, ONE, call_sendmsg, BYTES, 0},
    {"udp-send", SOCK_DGRAM, CONNECTED, call_send, BYTES, 0},
    {"sendmmsg-64", SOCK_DGRAM, ONE, call_sendmmsg, MESSAGES, 0},
    {"tcp-connect", SOCK_STREAM, FRESH, call_connect, 0, 0},
    {"tcp-connect-nonblocking", SOCK_STREAM | SOCK_NONBLOCK, FRESH, call_connect, -1, EINPROGRESS},
    {"tcp-refused", SOCK_STREAM, FRESH, call_connect, -1, ECONNREFUSED},
    {"tcp-send", SOCK_STREAM, CONNECTED, call_send, BYTES, 0},
    {"tcp-write", SOCK_STREAM, CONNECTED, call_write, BYTES, 0},
    {"tcp-sendmsg", SOCK_STREAM, CONNECTED, call_sendmsg, BYTES, 0},
    {"open", SOCK_STREAM, ONE, call_open, 0, 0},
};

static const struct kind *kind;
static size_t calls = 4000, threads = 1, batch = 16;
static unsigned percent = 50;
static in_port_t port;

static void scene_set(struct scene *s)
{
    memset(s, 0, sizeof *s);
    s->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    s->piece = (struct iovec){payload, bytes};
    s->message = (struct msghdr){.msg_iov = &s->piece, .msg_iovlen = 1};
    if (kind->sockets != CONNECTED) {
        s->message.msg_name = &s->to;
        s->message.msg_namelen = sizeof s->to;
    }
    for (size_t i = 0; i < MESSAGES; i++)
        s->messages[i].msg_hdr = s->message;
}

static int scene_socket(void)
{
    int fd = socket(AF_INET, kind->type | SOCK_CLOEXEC, 0);

    NEED(fd >= 0, "socket");
    return fd;
}

static void scene_open(struct scene *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->fds[i] = scene_socket();
    if (kind->sockets == CONNECTED)
        NEED(connect(s->fds[0], (struct sockaddr *)&s->to, sizeof s->to) == 0, "connect");
}

static void scene_close(struct scene *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(s->fds[i]);
}

/* Let the peer catch up, untimed: no call shall meet a full buffer or a full queue of connections. */
static void scene_rest(struct scene *s, size_t done)
{
    int unsent = 0;

    if (kind->sockets == FRESH && kind->error != ECONNREFUSED && done / batch % 4 == 0)
        usleep(4000);
    while (kind->sockets == CONNECTED && kind->type == SOCK_STREAM) {
        NEED(ioctl(s->fds[0], SIOCOUTQ, &unsent) == 0, "SIOCOUTQ");
        if (unsent < UNSENT_MAX)
            break;
        usleep(500);
    }
}

static void call_once(struct scene *s, size_t i)
{
    int result = kind->call(s, s->fds[kind->sockets == FRESH ? i : 0]);

    if (result != (kind->result == BYTES ? (int)bytes : kind->result) || (result < 0 && errno != kind->error))
        measure_die(kind->name);
}

/* One thread's share: `total` calls. Each batch's nanoseconds per call go to `times`, if it is given. */
static void calls_make(size_t total, double *times)
{
    static _Thread_local struct scene scene;
    size_t open = kind->sockets == FRESH ? batch : 1;

    scene_set(&scene);
    scene_open(&scene, open);
    for (size_t done = 0; done < total; done += batch) {
        double start = times ? measure_now() : 0;

        for (size_t i = 0; i < batch; i++)
            call_once(&scene, i);
        if (times)
            *times++ = (measure_now() - start) / (double)batch;
        if (kind->sockets == FRESH) {
            scene_close(&scene, open);
            scene_open(&scene, open);
        }
        scene_rest(&scene, done);
    }
    scene_close(&scene, open);
}

static void *thread_run(void *share)
{
    calls_make(*(size_t *)share, NULL);
    return NULL;
}

static void threads_start(pthread_t *ids, void *(*run)(void *), void *argument)
{
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, (size_t)PTHREAD_STACK_MIN + 32 * 1024);
    for (size_t i = 0; i < threads; i++) {
        errno = pthread_create(&ids[i], &small, run, argument);
        NEED(errno == 0, "pthread_create");
    }
}

static double measure_calls(void)
{
    static pthread_t ids[THREADS_MAX];

    if (threads == 1) {
        size_t n = (calls + batch - 1) / batch;
        double *times = calloc(n, sizeof *times);

        NEED(times != NULL, "calloc");
        calls_make(calls, times);
        measure_sort(times, n);
        return measure_percentile(times, n, percent);
    }
    size_t share = calls / threads;
    double start = measure_now();
    threads_start(ids, thread_run, &share);
    for (size_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return (measure_now() - start) / (double)(share * threads);
}

/* A bound socket of ours on loopback; its port in *out. */
static int serve_bind(int type, in_port_t want, in_port_t *out)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = want, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    NEED(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "bind");
    NEED(getsockname(fd, (struct sockaddr *)&at, &len) == 0, "getsockname");
    *out = at.sin_port;
    return fd;
}

/* A listener whose queue is full: the kernel drops every further SYN, as a black hole on the way would. */
static in_port_t serve_hole(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = serve_bind(SOCK_STREAM, 0, &at.sin_port);

    NEED(listen(listener, 0) == 0, "listen");
    for (int i = 0; i < 4; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        NEED(connect(fd, (struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS, "connect");
    }
    return at.sin_port;
}

/* Read and drop what has come; false when the stream has ended. Our close then resets it, and no TIME_WAIT stays. */
static bool serve_drain(int fd)
{
    static char sink[1 << 20];
    static const struct linger none = {1, 0};

    for (;;) {
        ssize_t n = recv(fd, sink, sizeof sink, MSG_TRUNC | MSG_DONTWAIT);

        if (n > 0)
            continue;
        if (n < 0 && errno == EAGAIN) /* what was read is acknowledged now, not in 40 ms */
            return setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int)) == 0;
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        close(fd);
        return false;
    }
}

/* The peer looks around every millisecond instead of waiting in accept or recv: it is never woken by the call that is
 * timed, whose cost would then be the wake-up's. Datagrams stay unread; the full buffer drops them. */
static int serve(uint16_t first)
{
    static int peers[PEERS_MAX];
    in_port_t tcp, refused, same;
    size_t n = 0;

    int listener = serve_bind(SOCK_STREAM | SOCK_NONBLOCK, htons(first), &tcp);
    int sink = serve_bind(SOCK_DGRAM, tcp, &same);
    serve_bind(SOCK_STREAM, 0, &refused);
    setsockopt(sink, SOL_SOCKET, SO_RCVBUF, &(int){2048}, sizeof(int));
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &(int){1 << 22}, sizeof(int));
    NEED(listen(listener, 4096) == 0, "listen");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    printf("%d %d %d\n", ntohs(tcp), ntohs(refused), ntohs(serve_hole()));
    fflush(stdout);
    for (;; usleep(1000)) {
        for (int fd; n < PEERS_MAX && (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
            peers[n++] = fd;
        for (size_t i = n; i-- > 0;)
            if (!serve_drain(peers[i]))
                peers[i] = peers[--n];
    }
}

static void *hold_connect(void *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        connect(fd, to, sizeof(struct sockaddr_in));
    return NULL;
}

/* N threads block in connect to a port that doesn't answer while a command runs; its status is ours. */
static int hold(char **argv)
{
    static pthread_t ids[THREADS_MAX];
    static struct sockaddr_in to = {.sin_family = AF_INET};
    int status;

    threads = (size_t)atoi(argv[0]);
    to.sin_port = htons((in_port_t)atoi(argv[1]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    errno = EINVAL;
    NEED(threads <= THREADS_MAX, "threads");
    pid_t holder = fork();
    if (holder == 0) {
        threads_start(ids, hold_connect, &to);
        pause();
    }
    usleep(threads > 0 ? 500000 + (useconds_t)threads * 2000 : 0); /* all are in their calls by then */
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        measure_die(argv[2]);
    }
    NEED(holder > 0 && child > 0 && waitpid(child, &status, 0) == child, "hold");
    kill(holder, SIGKILL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve(argc > 2 ? (uint16_t)atoi(argv[2]) : 0);
    if (argc > 4 && strcmp(argv[1], "hold") == 0)
        return hold(argv + 2);
    for (int option; (option = getopt(argc, argv, "n:s:T:b:q:")) != -1;)
        switch (option) {
        case 'n':
            calls = (size_t)atoi(optarg);
            break;
        case 's':
            bytes = (size_t)atoi(optarg);
            break;
        case 'T':
            threads = (size_t)atoi(optarg);
            break;
        case 'b':
            batch = (size_t)atoi(optarg);
            break;
        case 'q':
            percent = (unsigned)atoi(optarg);
            break;
        default:
            return 2;
        }
    for (size_t i = 0; i < COUNT(kinds) && argc - optind == 2; i++)
        if (strcmp(kinds[i].name, argv[optind]) == 0)
            kind = &kinds[i];
    errno = EINVAL;
    NEED(kind != NULL && batch > 0 && batch <= BATCH_MAX && threads > 0 && threads <= THREADS_MAX, "usage");
    NEED(calls >= threads && percent <= 100 && bytes > 0 && bytes <= BYTES_MAX, "usage");
    port = htons((in_port_t)atoi(argv[optind + 1]));
    printf("%.1f\n", measure_calls());
    return 0;
}

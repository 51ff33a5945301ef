/* remap - reach a stranger by a port that was the sandbox's own under another number, --port-remap (threats row 52)
 *
 * usage: remap stale | connected | corked | pending | shared | race
 *   outside -t has somebody take each port that is asked for in ATTACK_DIR/taking as soon as that can be. PORT is
 *   permitted and taken, so that a bind to it gets another port; where it fails instead, there is no sandbox, and that
 *   other port is used itself. */
#include "attack.h"

#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

enum { SOCKETS = 12, ENOUGH = 1, PATIENCE = 25, WAIT_MS = 10000, SWEPT_MS = 1500, RETRANSMIT_MS = 3500 };

static struct taking *taking;
static bool alone; /* without a sandbox */

static int open_socket(int type)
{
    int s = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    if (s < 0)
        broken("no socket: %s", strerror(errno));
    return s;
}

/* The kernel's own number of a socket's port: TCP's are there when they listen. */
static unsigned real_port(int s, int type)
{
    char line[512];
    struct stat status;
    unsigned found = 0;
    FILE *table = fopen(type == SOCK_STREAM ? "/proc/net/tcp" : "/proc/net/udp", "re");

    fstat(s, &status);
    while (table != NULL && fgets(line, sizeof line, table) != NULL) {
        unsigned port;
        unsigned long inode;
        if (sscanf(line, "%*s %*[0-9A-F]:%x %*s %*s %*s %*s %*s %*s %*s %lu", &port, &inode) == 2 &&
            inode == status.st_ino)
            found = port;
    }
    if (table != NULL)
        fclose(table);
    return found;
}

/* A socket of our own that has asked for PORT. */
static int own_socket(int type, bool reuse)
{
    struct sockaddr_in at = at4(PERMITTED, PORT);
    int s = open_socket(type), on = reuse;

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    alone = bind(s, (struct sockaddr *)&at, sizeof at) < 0;
    int error = errno;
    at.sin_port = 0;
    if (alone && bind(s, (struct sockaddr *)&at, sizeof at) < 0)
        broken("cannot bind: %s, %s", strerror(error), strerror(errno));
    return s;
}

/* Where that is reached. */
static struct sockaddr_in own_address(unsigned real)
{
    return at4(PERMITTED, alone ? (int)real : PORT);
}

/* Let somebody take the port, for which there is so much time. */
static bool taken(int type, unsigned real, int ms)
{
    int kind = type == SOCK_DGRAM;
    double end = now() + ms / 1000.0;

    __atomic_store_n(&taking->wanted[kind], real, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&taking->taken[kind], __ATOMIC_SEQ_CST) != real)
        if (now() > end)
            return false;
    return true;
}

static void must_be_taken(int type, unsigned real)
{
    if (!taken(type, real, WAIT_MS))
        broken("nobody can take port %u, which is free", real);
}

static void connect_to(const char *what, struct sockaddr_in to)
{
    int s = open_socket(SOCK_STREAM);

    if (tried(what, connect(s, (struct sockaddr *)&to, sizeof to)) == 0)
        tried(what, send(s, what, strlen(what), MSG_NOSIGNAL));
    close(s);
}

static void send_to(const char *what, struct sockaddr_in to)
{
    struct iovec payload = {(void *)(uintptr_t)what, strlen(what)};
    struct mmsghdr m = {.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &payload}};
    int s = open_socket(SOCK_DGRAM);

    m.msg_hdr.msg_iovlen = 1;
    tried(what, sendto(s, what, strlen(what), 0, (struct sockaddr *)&to, sizeof to));
    tried(what, sendmsg(s, &m.msg_hdr, 0));
    tried(what, syscall(__NR_sendmmsg, s, &m, 1, 0));
    close(s);
}

static void closed(void)
{
    int s = own_socket(SOCK_STREAM, false), u = own_socket(SOCK_DGRAM, false);

    listen(s, 5);
    unsigned tcp = real_port(s, SOCK_STREAM), udp = real_port(u, SOCK_DGRAM);
    connect_to("its own", own_address(tcp));
    send_to("its own", own_address(udp));
    close(s);
    close(u);
    must_be_taken(SOCK_STREAM, tcp);
    must_be_taken(SOCK_DGRAM, udp);
    connect_to("TCP after the close", own_address(tcp));
    connect_to("TCP by the real port", at4(PERMITTED, (int)tcp));
    send_to("UDP after the close", own_address(udp));
    send_to("UDP by the real port", at4(PERMITTED, (int)udp));
}

/* A UDP socket that stays connected when the other is closed. */
static void connected(void)
{
    int u = own_socket(SOCK_DGRAM, false), client = open_socket(SOCK_DGRAM);
    unsigned real = real_port(u, SOCK_DGRAM);
    struct sockaddr_in to = own_address(real);

    tried("connect", connect(client, (struct sockaddr *)&to, sizeof to));
    close(u);
    answer("taken: %d", taken(SOCK_DGRAM, real, SWEPT_MS));
    for (int i = 0; i < 3; i++)
        tried("send", send(client, "connected", 9, MSG_NOSIGNAL));
    close(client);
    must_be_taken(SOCK_DGRAM, real);
}

/* A datagram that is begun while the port is our own, and sent when it isn't. */
static void corked(void)
{
    int u = own_socket(SOCK_DGRAM, false), unconnected = open_socket(SOCK_DGRAM), client = open_socket(SOCK_DGRAM);
    int on = 1, off = 0;
    unsigned real = real_port(u, SOCK_DGRAM);
    struct sockaddr_in to = own_address(real);
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    setsockopt(unconnected, IPPROTO_UDP, UDP_CORK, &on, sizeof on);
    tried("corked", sendto(unconnected, "corked", 6, 0, (struct sockaddr *)&to, sizeof to));
    tried("more", sendto(unconnected, "more", 4, MSG_MORE, (struct sockaddr *)&to, sizeof to));
    tried("connect", connect(client, (struct sockaddr *)&to, sizeof to));
    tried("begun", send(client, "begun", 5, MSG_MORE));
    tried("disconnect", connect(client, &none, sizeof none));
    close(u);
    must_be_taken(SOCK_DGRAM, real);
    setsockopt(unconnected, IPPROTO_UDP, UDP_CORK, &off, sizeof off);
    setsockopt(client, IPPROTO_UDP, UDP_CORK, &off, sizeof off);
    tried("the end", sendto(unconnected, "", 0, 0, (struct sockaddr *)&to, sizeof to));
}

/* Connections that have no answer yet: the queue is full, and the kernel tries again after 1 and 3 seconds. */
static void fill_queue(int s, struct sockaddr_in to, int sockets[SOCKETS])
{
    listen(s, 0);
    for (int i = 0; i < SOCKETS; i++) {
        sockets[i] = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
        connect(sockets[i], (struct sockaddr *)&to, sizeof to);
    }
}

static void send_all(const char *what, const int sockets[SOCKETS], int ms)
{
    for (double end = now() + ms / 1000.0; now() < end; usleep(100000))
        for (int i = 0; i < SOCKETS; i++)
            send(sockets[i], what, strlen(what), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void pending(void)
{
    int s = own_socket(SOCK_STREAM, false), sockets[SOCKETS];

    listen(s, 0);
    unsigned real = real_port(s, SOCK_STREAM);
    fill_queue(s, own_address(real), sockets);
    close(s);
    answer("taken: %d", taken(SOCK_STREAM, real, 0));
    send_all("pending", sockets, RETRANSMIT_MS);
}

/* Somebody binds the port beside us, by SO_REUSEADDR: without listening we are in nobody's way, and the last of several
 * UDP sockets gets all. */
static void shared(void)
{
    int s = own_socket(SOCK_STREAM, true), u = own_socket(SOCK_DGRAM, true), sockets[SOCKETS], on = 1;
    int client = open_socket(SOCK_DGRAM);
    unsigned udp = real_port(u, SOCK_DGRAM);
    struct sockaddr_in to = own_address(udp);

    taking->reuse = true;
    listen(s, 0);
    unsigned tcp = real_port(s, SOCK_STREAM);
    fill_queue(s, own_address(tcp), sockets);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    shutdown(s, SHUT_RD);
    tried("connect", connect(client, (struct sockaddr *)&to, sizeof to));
    setsockopt(u, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    answer("taken: %d %d", taken(SOCK_STREAM, tcp, 500), taken(SOCK_DGRAM, udp, 500));
    tried("send", send(client, "connected", 9, MSG_NOSIGNAL));
    send_to("UDP beside us", own_address(udp));
    connect_to("TCP beside us", own_address(tcp));
    send_all("pending", sockets, RETRANSMIT_MS);
    for (int i = 0; i < SOCKETS; i++)
        close(sockets[i]);
    close(client);
    answer("taken later: %d %d", taken(SOCK_STREAM, tcp, WAIT_MS), taken(SOCK_DGRAM, udp, WAIT_MS));
    send_to("UDP beside us", own_address(udp));
    connect_to("TCP beside us", own_address(tcp));
    close(s);
    close(u);
}

/* The port changes hands between the look at it and the call. */
static struct sockaddr_in raced[2];
static bool stop;

static void *use_ports(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        int s = open_socket(SOCK_STREAM | SOCK_NONBLOCK), u = open_socket(SOCK_DGRAM);
        struct sockaddr_in to[2] = {raced[0], raced[1]};

        if (connect(s, (struct sockaddr *)&to[0], sizeof to[0]) == 0 || errno == EINPROGRESS)
            send(s, "raced", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
        sendto(u, "raced", 5, MSG_DONTWAIT, (struct sockaddr *)&to[1], sizeof to[1]);
        close(s);
        close(u);
    }
    return NULL;
}

static void race(void)
{
    const char *seconds = getenv("ATTACK_SECONDS");
    double end = now() + (seconds ? atof(seconds) : 3);
    unsigned rounds = 0, changed = 0;
    pthread_t thread;

    raced[0] = raced[1] = own_address(0);
    if (pthread_create(&thread, NULL, use_ports, NULL) != 0)
        broken("no thread");
    for (; now() < end || (changed < ENOUGH && now() < end + PATIENCE); rounds++) {
        int s = own_socket(SOCK_STREAM, rounds % 2), u = own_socket(SOCK_DGRAM, rounds % 2);

        listen(s, 5);
        unsigned tcp = real_port(s, SOCK_STREAM), udp = real_port(u, SOCK_DGRAM);
        raced[0] = own_address(tcp);
        raced[1] = own_address(udp);
        __atomic_store_n(&taking->wanted[0], tcp, __ATOMIC_SEQ_CST);
        __atomic_store_n(&taking->wanted[1], udp, __ATOMIC_SEQ_CST);
        for (volatile unsigned i = 0; i < rounds * 7919 % 20000; i++)
            continue;
        if (rounds % 4 >= 2)
            shutdown(s, SHUT_RDWR);
        else
            close(s);
        close(u);
        for (unsigned waited = 0; waited < 20 && taking->taken[0] != tcp; waited++) /* others may be slow today */
            usleep(1000);
        changed += taking->taken[0] == tcp;
        if (rounds % 4 >= 2)
            close(s);
    }
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    answer("%u rounds, %u ports taken", rounds, changed);
    if (changed < ENOUGH)
        broken("only %u ports were taken", changed);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } attacks[] = {{"stale", closed},   {"connected", connected}, {"corked", corked},
                   {"pending", pending}, {"shared", shared},       {"race", race}};
    int fd = open(in_dir("taking"), O_RDWR | O_CLOEXEC);

    taking = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *taking, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (argc < 2 || taking == MAP_FAILED)
        broken("usage: outside -t remap WHAT");
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < COUNT(attacks); i++)
        if (strcmp(argv[1], attacks[i].name) == 0)
            attacks[i].run();
    permitted_works();
    return attack_done();
}

/* victims.h - what an attack must not reach: sockets that note each arrival, and takers of the ports it lets go */
#ifndef ATTACK_VICTIMS_H
#define ATTACK_VICTIMS_H

#include "attack.h"

#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { TMP_MAX_LEN = 54, NOT_STARTED = 125, VICTIMS_MAX = 24, BACKLOG = 4096, PATIENCE = 60, ENOUGH = 200,
       SHARED_PORTS = 300 };

static struct victim {
    int fd;
    bool stream, permitted, connection; /* connection: the other end of LEAKED_TCP */
    char name[64];
} victims[VICTIMS_MAX];

static size_t n_victims;
static char dir[80];
static unsigned arrivals;

static struct options {
    uid_t uid;
    bool quiet, wins, as_user, deny_all, leak, names, shares, takes, takes_name;
    const char *stdin_kind, *end;
} options;

/* Listen at one address. Another run may still hold it: that one ends. */
static void victim_add(const char *name, const void *address, socklen_t len, int type, bool permitted)
{
    int family = ((const struct sockaddr *)address)->sa_family, one = 1, wait = 0;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return; /* no such family here: nothing can arrive by it */
    if (family != AF_UNIX && type == SOCK_STREAM) /* for UDP it would let two runs share the address */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    while (bind(fd, address, len) < 0) {
        if (errno == EADDRNOTAVAIL && !options.names) { /* no IPv6 on this machine */
            close(fd);
            return;
        }
        if ((errno != EADDRINUSE && errno != EADDRNOTAVAIL) || ++wait > PATIENCE * 10)
            broken("cannot bind %s: %s", name, strerror(errno));
        usleep(100000);
    }
    if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
        broken("cannot listen at %s: %s", name, strerror(errno));
    struct victim *v = &victims[n_victims++];
    *v = (struct victim){fd, type == SOCK_STREAM, permitted, false, ""};
    snprintf(v->name, sizeof v->name, "%s", name);
}

static void victim_add_ip(const char *text, int port, bool permitted)
{
    bool v6 = strchr(text, ':') != NULL;
    struct sockaddr_in6 six = {0};
    struct sockaddr_in four = {0};
    char name[64];

    if (v6)
        six = at6(text, port);
    else
        four = at4(text, port);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        snprintf(name, sizeof name, "%s %s port %d", type == SOCK_STREAM ? "tcp" : "udp", text, port);
        if (v6)
            victim_add(name, &six, sizeof six, type, permitted);
        else
            victim_add(name, &four, sizeof four, type, permitted);
    }
}

static void victim_add_unix(const char *name, int type)
{
    struct sockaddr_un a;
    socklen_t len = at_unix(&a, name);

    victim_add(name, &a, len, type, false);
    if (name[0] != '@')
        chmod(name, 0777);
}

/* A permitted listener whose queue is full: connecting to it takes for ever. */
static void deaf_add(void)
{
    struct sockaddr_in a = at4(PERMITTED, DEAF_PORT);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 2) < 0)
        broken("cannot listen at port %d: %s", DEAF_PORT, strerror(errno));
}

/* A network of our own, in which IPv6 addresses that carry 127.0.0.2 are local (threats row 5). */
static void namespace_enter(void)
{
    static const char *const embedded[] = {"64:ff9b::7f00:2", "2002:7f00:2::1", "2001::80ff:fffd", "::127.0.0.2"};
    struct ifreq lo = {.ifr_name = "lo"};
    struct {
        struct in6_addr address;
        uint32_t prefix;
        int index;
    } local = {.prefix = 128, .index = 1};

    if (unshare(CLONE_NEWNET) < 0)
        broken("no network namespace: %s", strerror(errno));
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), s6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(s, SIOCSIFFLAGS, &lo) < 0)
        broken("cannot bring lo up: %s", strerror(errno));
    for (size_t i = 0; i < COUNT(embedded); i++) {
        inet_pton(AF_INET6, embedded[i], &local.address);
        if (ioctl(s6, SIOCSIFADDR, &local) < 0 && errno != EEXIST)
            broken("cannot add %s: %s", embedded[i], strerror(errno));
        victim_add_ip(embedded[i], PORT, false);
    }
    close(s);
    close(s6);
}

static void victims_open(void)
{
    char path[128];

    if (options.names)
        namespace_enter();
    victim_add_ip(PERMITTED, PORT, !options.deny_all);
    victim_add_ip(PERMITTED, OTHER_PORT, false);
    victim_add_ip(VICTIM, PORT, false);
    victim_add_ip(VICTIM6, PORT, false);
    deaf_add();
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        snprintf(path, sizeof path, "@%s.%s", VICTIM_UNIX, type == SOCK_STREAM ? "stream" : "dgram");
        victim_add_unix(path, type);
        snprintf(path, sizeof path, "%s/victim.%s", dir, type == SOCK_STREAM ? "stream" : "dgram");
        victim_add_unix(path, type);
    }
}

/* Is what arrived all that has to be known? */
static bool has_seen_enough(void)
{
    return arrivals >= ENOUGH || (options.wins && arrivals > 0);
}

static void arrived(const struct victim *v, const char *text, ssize_t len)
{
    char line[160];

    if (v->permitted)
        return;
    arrivals++;
    for (ssize_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            len = i;
    snprintf(line, sizeof line, "%s got \"%.*s\"", v->name, (int)(len > 0 ? len : 0), text);
    if (strstr(escapes.text, line) == NULL)
        escape("%s", line);
}

/* A permitted connection is kept for a while, then reset: so it neither fails under the attack nor lingers after it. */
static void permitted_keep(int s)
{
    static const struct linger reset = {1, 0};
    static int kept[64];
    static size_t next;

    setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (kept[next] > 0)
        close(kept[next]);
    kept[next] = s;
    next = (next + 1) % COUNT(kept);
}

/* Take what has arrived at one victim. */
static void victim_serve(struct victim *v)
{
    char text[64];

    for (;;) {
        ssize_t n;

        if (!v->stream) {
            n = v->fd < 0 ? -1 : recv(v->fd, text, sizeof text, 0);
            if (n == 0 && v->connection) {
                close(v->fd);
                v->fd = -1;
            }
            if (n < 0 || v->fd < 0)
                return;
        } else {
            int s = accept4(v->fd, NULL, NULL, SOCK_CLOEXEC);
            struct pollfd said = {s, POLLIN, 0};

            if (s < 0)
                return;
            if (v->permitted) {
                permitted_keep(s);
                continue;
            }
            n = !has_seen_enough() && poll(&said, 1, 50) > 0 ? recv(s, text, sizeof text, MSG_DONTWAIT) : 0;
            close(s);
        }
        arrived(v, text, n);
    }
}

/* -p: have ports that others of the attacker's user may share. They are the kernel's choice, by a socket that doesn't
 * share yet. */
static void shared_ports_open(void)
{
    static char ports[SHARED_PORTS * sizeof " 65535"];
    uint16_t port;
    size_t used = 0;
    int one = 1;

    for (int i = 0; i < SHARED_PORTS; i++) {
        struct sockaddr_in6 any = {.sin6_family = AF_INET6};
        socklen_t len = sizeof any;
        int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0) { /* no IPv6: all zero is 0.0.0.0 just as well */
            any.sin6_family = AF_INET;
            fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        }
        if (fchown(fd, options.uid, (gid_t)-1) < 0 || bind(fd, (struct sockaddr *)&any, len) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0 ||
            getsockname(fd, (struct sockaddr *)&any, &len) < 0)
            broken("no port to share: %s", strerror(errno));
        port = ntohs(any.sin6_port);
        used += (size_t)snprintf(ports + used, sizeof ports - used, " %u", port);
    }
    setenv("ATTACK_SHARED", ports, 1);
}

/* ---- -t: whoever takes a port that has become free ---- */

static pthread_mutex_t victims_lock = PTHREAD_MUTEX_INITIALIZER;
static struct taking *taking;

/* Take a port of this kind: what arrives there from now on arrives at a victim. */
static void take(int kind, unsigned port, struct victim *v)
{
    struct sockaddr_in at = at4(PERMITTED, (int)port);
    int fd = socket(AF_INET, (kind ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

    if (taking->reuse)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || (kind == 0 && listen(fd, BACKLOG) < 0)) {
        close(fd);
        return;
    }
    __atomic_store_n(&taking->taken[kind], port, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&victims_lock);
    if (v->fd >= 0) {
        victim_serve(v);
        close(v->fd);
    }
    v->fd = fd;
    pthread_mutex_unlock(&victims_lock);
}

static void *take_ports(void *first)
{
    for (;;)
        for (int kind = 0; kind < 2; kind++) {
            unsigned wanted = __atomic_load_n(&taking->wanted[kind], __ATOMIC_SEQ_CST);

            if (wanted != 0 && wanted != taking->taken[kind])
                take(kind, wanted, (struct victim *)first + kind);
            else
                usleep(10);
        }
    return NULL;
}

/* -T: have the name whenever nobody else does, for a moment. Whoever connects then meant another. */
static void *take_name(void *context)
{
    const struct victim *v = context;
    struct sockaddr_un at;
    socklen_t len = at_unix(&at, TAKEN_UNIX);

    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        while (bind(fd, (struct sockaddr *)&at, len) < 0)
            continue;
        listen(fd, BACKLOG);
        usleep(200);
        int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (s >= 0) {
            pthread_mutex_lock(&victims_lock);
            arrived(v, "a connection", 12);
            pthread_mutex_unlock(&victims_lock);
            close(s);
        }
        close(fd);
        usleep(200);
    }
    return NULL;
}

static void name_taker_start(void)
{
    static struct victim stranger = {-1, true, false, false, "a stranger who took the name"};
    pthread_t thread;

    if (pthread_create(&thread, NULL, take_name, &stranger) != 0)
        broken("cannot take names: %s", strerror(errno));
}

static void taker_start(void)
{
    struct victim *first = &victims[n_victims];
    char path[128];
    pthread_t thread;

    snprintf(path, sizeof path, "%s/taking", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || fchmod(fd, 0666) < 0 || ftruncate(fd, sizeof *taking) < 0)
        broken("cannot make %s: %s", path, strerror(errno));
    taking = mmap(NULL, sizeof *taking, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int kind = 0; kind < 2; kind++)
        victims[n_victims++] = (struct victim){-1, kind == 0, false, false, "a stranger who took the port"};
    if (taking == MAP_FAILED || pthread_create(&thread, NULL, take_ports, first) != 0)
        broken("cannot take ports: %s", strerror(errno));
}

#endif

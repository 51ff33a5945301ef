/* share - come to share a UDP port that somebody outside has, without a rule for it (threats row 54)
 *
 * usage: share, under outside -p. The kernel's choice is narrowed to that port where it can be (Linux 6.3), else tried
 * until it falls on one of those outside. A spoilt attempt ends with the socket. */
#include "attack.h"

#include <pthread.h>

enum { OPT_IP_BIND_ADDRESS_NO_PORT = 24, OPT_IP_LOCAL_PORT_RANGE = 51, TRIES_NARROWED = 5, TRIES = 400 };

static const struct option {
    const char *name;
    int option;
} reuses[] = {{"SO_REUSEADDR", SO_REUSEADDR}, {"SO_REUSEPORT", SO_REUSEPORT}};

static bool taken[65536]; /* outside */
static uint32_t only;     /* a port of these, as the only one of a range; another one each time */
static int reuse, family;

static int on = 1;

static uint16_t port_of(int s)
{
    struct sockaddr_in6 name = {0};
    socklen_t len = sizeof name;

    getsockname(s, (struct sockaddr *)&name, &len);
    return ntohs(name.sin6_port); /* sin_port is there, too */
}

static int bind_to(int s, int port)
{
    struct sockaddr_in four = at4("0.0.0.0", port);
    struct sockaddr_in6 six = at6("::", port);

    return family == AF_INET ? bind(s, (struct sockaddr *)&four, sizeof four)
                             : bind(s, (struct sockaddr *)&six, sizeof six);
}

static void by_bind(int s)
{
    bind_to(s, 0);
}

static void by_connect(int s)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    struct sockaddr_in6 mapped = at6("::ffff:" PERMITTED, PORT);

    if (family == AF_INET)
        connect(s, (struct sockaddr *)&to, sizeof to);
    else
        connect(s, (struct sockaddr *)&mapped, sizeof mapped);
}

static void by_sendto(int s)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    struct sockaddr_in6 mapped = at6("::ffff:" PERMITTED, PORT);

    if (family == AF_INET)
        sendto(s, "share", 5, 0, (struct sockaddr *)&to, sizeof to);
    else
        sendto(s, "share", 5, 0, (struct sockaddr *)&mapped, sizeof mapped);
}

static void by_write(int s) /* it has nowhere to send to, but a port then */
{
    if (write(s, "share", 5) >= 0)
        broken("a write without a destination was sent");
}

static void by_later_port(int s)
{
    setsockopt(s, IPPROTO_IP, OPT_IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    bind_to(s, 0);
    by_write(s);
}

static void by_disconnect(int s)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    uint32_t any = 0;

    setsockopt(s, IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE, &any, sizeof any);
    bind_to(s, 0);
    setsockopt(s, IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE, &only, sizeof only);
    connect(s, &none, sizeof none); /* a port that wasn't asked for is given up */
    by_write(s);
}

static void by_refused_bind(int s)
{
    struct sockaddr_in elsewhere = at4("192.0.2.1", 7410);

    bind(s, (struct sockaddr *)&elsewhere, sizeof elsewhere);
    by_write(s);
}

static int raced = -1;

static void *set_again(void *context)
{
    (void)context;
    for (;;) {
        int s = __atomic_load_n(&raced, __ATOMIC_SEQ_CST);

        if (s >= 0)
            setsockopt(s, SOL_SOCKET, reuses[reuse].option, &on, sizeof on);
    }
    return NULL;
}

static void by_race(int s)
{
    __atomic_store_n(&raced, s, __ATOMIC_SEQ_CST);
    bind_to(s, 0);
    __atomic_store_n(&raced, -1, __ATOMIC_SEQ_CST);
}

static void attempt(const char *name, void (*take)(int s))
{
    bool narrowed = true, shared = false;
    unsigned port = only & 0xffff;

    do
        port = (port + 1) & 0xffff;
    while (!taken[port]);
    only = port << 16 | port;
    for (int i = 0; !shared && i < (narrowed ? TRIES_NARROWED : TRIES); i++) {
        int s = socket(family, SOCK_DGRAM, 0);

        if (s < 0)
            broken("no UDP socket: %s", strerror(errno));
        setsockopt(s, SOL_SOCKET, reuses[reuse].option, &on, sizeof on);
        narrowed = setsockopt(s, IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE, &only, sizeof only) == 0;
        take(s);
        shared = taken[port_of(s)];
        close(s);
    }
    if (shared)
        escape("%s of %s with %s", name, family == AF_INET ? "IPv4" : "IPv6", reuses[reuse].name);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*take)(int s);
    } ways[] = {
        {"bind", by_bind},           {"connect", by_connect},       {"sendto", by_sendto},
        {"write", by_write},         {"a later port", by_later_port}, {"disconnect", by_disconnect},
        {"refused bind", by_refused_bind}, {"race", by_race},
    };
    pthread_t thread;
    bool known = false;

    for (char *at = getenv("ATTACK_SHARED"); at != NULL && *at != 0;) {
        unsigned port = (unsigned)strtoul(at, &at, 10) & 0xffff;

        taken[port] = true;
        known = true;
    }
    if (!known)
        broken("nobody outside shares a port");
    if (pthread_create(&thread, NULL, set_again, NULL) != 0)
        broken("no thread: %s", strerror(errno));
    for (size_t i = 0; i < COUNT(ways); i++)
        for (reuse = 0; reuse < (int)COUNT(reuses); reuse++) {
            family = AF_INET;
            attempt(ways[i].name, ways[i].take);
            family = AF_INET6;
            if (access("/proc/net/if_inet6", F_OK) == 0)
                attempt(ways[i].name, ways[i].take);
        }
    answer("no port was shared");
    return attack_done();
}

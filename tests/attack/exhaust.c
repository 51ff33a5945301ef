/* exhaust - make the supervisor run out of something, or wait (threats rows 22, 23, 48)
 *
 * usage: exhaust shapes | pending | crowd | stall | secret. The others must not notice: to a connect to the permitted
 * destination, from a process of its own, the supervisor may come after PATIENCE seconds of its own work. How long that
 * takes on a busy machine is not said; what it would wait for here lasts for STALLED seconds and more. */
#include "attack.h"
#include "others.h"

#include <pthread.h>
#include <sched.h>

enum { PATIENCE = 5, LINGERS = 40, SUPERVISOR_KIB = 64 * 1024, HOLDERS = 8, HOLDER_THREADS = 200, CROWD = 3000,
       STACK = 32768, SECRET_CALL = 447 };

static void others_go_on(const char *meanwhile)
{
    others_wait(meanwhile, PATIENCE);
    answer("%s: the others go on", meanwhile);
}

/* The most memory that the supervisor ever had, in KiB; 0 without /proc. */
static long supervisor_peak(void)
{
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/status", getppid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    const char *line = strstr(text, "VmHWM:");
    return line ? strtol(line + 6, NULL, 10) : 0;
}

static void supervisor_stays_small(void)
{
    long peak = supervisor_peak();

    if (peak > SUPERVISOR_KIB)
        escape("the supervisor grew to %ld KiB", peak);
    else
        answer("the supervisor's peak is %ld KiB", peak);
}

static char *large; /* 64 MiB that are there once touched */

enum { LARGE = 64 << 20, VECTOR = 1024 };

static void payloads(int s)
{
    static struct iovec vector[VECTOR + 1];
    struct sockaddr_in to = at4(PERMITTED, PORT);
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = vector};
    static const size_t lens[] = {LARGE, 0x7fffffff, 0xffffffff, SIZE_MAX / 2, SIZE_MAX};

    for (size_t i = 0; i < COUNT(vector); i++)
        vector[i] = (struct iovec){large, LARGE};
    for (size_t i = 0; i < COUNT(lens); i++)
        syscall(__NR_sendto, s, large, lens[i], MSG_DONTWAIT | MSG_NOSIGNAL, &to, sizeof to);
    static const uint64_t counts[] = {1, VECTOR, VECTOR + 1, 0x7fffffff, 0xffffffff, UINT64_MAX / 16, UINT64_MAX};
    for (size_t i = 0; i < COUNT(counts); i++) {
        memcpy((char *)&m + offsetof(struct msghdr, msg_iov) + sizeof m.msg_iov, &counts[i], sizeof counts[i]);
        syscall(__NR_sendmsg, s, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void lengths(int s)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    static const uint32_t lens[] = {0, 1, 2, 129, 0x7fffffff, 0x80000000, 0xffffffff};

    for (size_t i = 0; i < COUNT(lens); i++) {
        syscall(__NR_connect, s, &to, lens[i]);
        syscall(__NR_sendto, s, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, &to, lens[i]);
        syscall(__NR_bind, s, &to, lens[i]);
        syscall(__NR_setsockopt, s, IPPROTO_IPV6, 57 /* IPV6_RTHDR */, large, lens[i]);
        syscall(__NR_setsockopt, s, IPPROTO_IP, MCAST_JOIN_GROUP, large, lens[i]);
    }
}

/* A flood of small control messages, well formed and not. */
static void controls(int s)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    struct iovec payload = {"x", 1};
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &payload, .msg_iovlen = 1,
                       .msg_control = large};
    static const size_t lens[] = {1, 15, 17, 4096, 20480, 1 << 20, LARGE, 0x7fffffff, 0xffffffff};
    static const size_t claims[] = {CMSG_LEN(4), CMSG_LEN(0), 0, 1, 15, 0xffffffff};

    for (size_t c = 0; c < COUNT(claims); c++) {
        size_t step = claims[c] < 16 || claims[c] > 64 ? 24 : (claims[c] + 7) & ~(size_t)7;

        for (size_t at = 0; at + 24 < 1 << 20; at += step) {
            struct cmsghdr h = {.cmsg_len = (socklen_t)claims[c], .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
            memcpy(large + at, &h, sizeof h);
            large[at + sizeof h] = 64;
        }
        for (size_t i = 0; i < COUNT(lens); i++) {
            uint64_t len = lens[i];
            memcpy((char *)&m + offsetof(struct msghdr, msg_control) + sizeof m.msg_control, &len, sizeof len);
            syscall(__NR_sendmsg, s, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
    memset(large, 0, 1 << 20);
}

static void vectors_of_messages(int s)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    struct iovec payload = {large, 60000};
    struct mmsghdr *m = (struct mmsghdr *)(large + LARGE / 2);
    static const unsigned counts[] = {1024, 1025, 0x7fffffff, 0xffffffff};

    for (size_t i = 0; i < 1025; i++) {
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &payload}};
        m[i].msg_hdr.msg_iovlen = 1;
    }
    for (size_t i = 0; i < COUNT(counts); i++)
        syscall(__NR_sendmmsg, s, m, counts[i], MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void shapes(void)
{
    static const int kinds[][2] = {{AF_INET, SOCK_DGRAM}, {AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_DGRAM},
                                   {AF_INET6, SOCK_STREAM},
                                   {AF_UNIX, SOCK_STREAM}, {AF_UNIX, SOCK_DGRAM}, {AF_NETLINK, SOCK_DGRAM}};

    large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (large == MAP_FAILED)
        broken("no memory: %s", strerror(errno));
    for (size_t i = 0; i < COUNT(kinds); i++) {
        int s = socket(kinds[i][0], kinds[i][1] | SOCK_NONBLOCK, 0);

        payloads(s);
        lengths(s);
        controls(s);
        vectors_of_messages(s);
        close(s);
    }
    others_go_on("shapes");
    supervisor_stays_small();
}

static void *wait_for_deaf(void *unused)
{
    struct sockaddr_in to = at4(PERMITTED, DEAF_PORT);

    while (connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to) == 0)
        ; /* its queue takes a few */
    pause();
    return unused;
}

/* A process of many threads, each waiting in a connect. */
static pid_t hold(unsigned threads)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pid_t pid = fork();

    if (pid < 0)
        broken("no process: %s", strerror(errno));
    if (pid > 0)
        return pid;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (unsigned i = 0; i < threads && pthread_create(&thread, &attributes, wait_for_deaf, NULL) == 0; i++)
        ; /* as many as there can be */
    wait_for_deaf(NULL);
    _exit(0);
}

static void pending(void)
{
    pid_t holders[HOLDERS];

    for (size_t i = 0; i < HOLDERS; i++)
        holders[i] = hold(many(HOLDER_THREADS));
    for (int i = 0; i < 5; i++) {
        usleep(300000);
        others_go_on("many wait");
    }
    supervisor_stays_small();
    for (size_t i = 0; i < HOLDERS; i++)
        kill(holders[i], SIGKILL);
    for (size_t i = 0; i < HOLDERS; i++)
        waitpid(holders[i], NULL, 0);
    others_go_on("they were killed");
}

/* One process of very many threads: what is asked of each of its siblings for each of them takes its time. */
static void crowd(void)
{
    pid_t holder = hold(many(CROWD));

    sleep(1);
    for (int i = 0; i < 3; i++)
        others_go_on("a crowd waits");
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
}

/* A full unix datagram queue: the sender would wait for its reader. */
static void full_datagram_queue(void)
{
    int pair[2];
    pid_t pid = fork();

    if (pid == 0) {
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
            _exit(0);
        struct iovec payload = {"x", 1};
        struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
        for (;;)
            syscall(__NR_sendmsg, pair[0], &m, 0);
    }
    usleep(500000);
    others_go_on("a full datagram queue");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* The sender of a stream that nobody reads is killed: with SO_LINGER, who closes last waits. */
static void lingering_close(void)
{
    static char bytes[1 << 16];
    struct sockaddr_in to = at4(PERMITTED, DEAF_PORT);
    struct linger linger = {1, LINGERS};
    pid_t pid = fork();

    if (pid == 0) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        struct iovec payload = {bytes, sizeof bytes};
        struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};

        setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        connect(s, (struct sockaddr *)&to, sizeof to);
        for (;;)
            syscall(__NR_sendmsg, s, &m, MSG_NOSIGNAL);
    }
    usleep(500000);
    others_go_on("a send nobody reads");
    kill(pid, SIGKILL);
    usleep(100000);
    others_go_on("its sender was killed");
    waitpid(pid, NULL, 0);
}

static void *send_message(void *socket)
{
    static char bytes[4096];
    struct iovec payload = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};

    while (syscall(__NR_sendmsg, *(int *)socket, &m, MSG_NOSIGNAL) > 0)
        ;
    return NULL;
}

/* A unix socket is closed while it sends, and in its own queue lies a descriptor: the last one of a stream that nobody
 * reads, and that lingers. Who closes the unix socket last closes that, too. */
static void queued_close(void)
{
    static char bytes[1 << 16];
    struct sockaddr_in to = at4(PERMITTED, DEAF_PORT);
    struct linger linger = {1, LINGERS};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec payload = {bytes, 1};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof control.room};
    int s = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    pthread_t sender;

    setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (connect(s, (struct sockaddr *)&to, sizeof to) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        broken("no sockets: %s", strerror(errno));
    while (send(s, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    memcpy(CMSG_DATA(&control.header), &s, sizeof s);
    if (sendmsg(pair[0], &m, 0) != 1 || pthread_create(&sender, NULL, send_message, &pair[1]) != 0)
        broken("cannot send a descriptor: %s", strerror(errno));
    usleep(300000);
    close(s);
    close(pair[1]);
    close(pair[0]);
    usleep(100000);
    others_go_on("a closed queue with a descriptor");
}

/* A caller that is stopped while its call is pending. */
static void stopped_caller(void)
{
    pid_t pid = hold(4);

    usleep(300000);
    kill(pid, SIGSTOP);
    usleep(100000);
    others_go_on("a stopped caller");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void stall(void)
{
    queued_close(); /* first: the deaf one still takes two connections */
    lingering_close();
    full_datagram_queue();
    stopped_caller();
}

/* Addresses, headers and vectors in memory that only their process can read. */
static void secret(void)
{
    int fd = (int)syscall(SECRET_CALL, 0);
    struct secret {
        struct sockaddr_in to;
        struct mmsghdr message;
        struct iovec payload;
        char text[32];
    } *p;
    struct sockaddr_in victim = at4(VICTIM, PORT);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0) {
        tried("memfd_secret", fd);
        return;
    }
    if (ftruncate(fd, 4096) < 0 || (p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        broken("no secret memory: %s", strerror(errno));
    p->to = victim;
    memcpy(p->text, "secret", 6);
    p->payload = (struct iovec){p->text, 6};
    p->message = (struct mmsghdr){.msg_hdr = {.msg_name = &p->to, .msg_namelen = sizeof p->to, .msg_iov = &p->payload}};
    p->message.msg_hdr.msg_iovlen = 1;
    tried("connect", connect(tcp, (struct sockaddr *)&p->to, sizeof p->to));
    tried("sendto", sendto(udp, "secret", 6, 0, (struct sockaddr *)&p->to, sizeof p->to));
    tried("sendmsg", syscall(__NR_sendmsg, udp, &p->message, 0));
    tried("sendmmsg", syscall(__NR_sendmmsg, udp, &p->message, 1, 0));
    struct msghdr name = p->message.msg_hdr;
    tried("a secret name", syscall(__NR_sendmsg, udp, &name, 0));
    name.msg_name = &victim;
    tried("a secret vector", syscall(__NR_sendmsg, udp, &name, 0));
    permitted_works();
}

int main(int argc, char **argv)
{
    signal(SIGALRM, stalled);
    start_other();
    if (argc == 2 && strcmp(argv[1], "shapes") == 0)
        shapes();
    else if (argc == 2 && strcmp(argv[1], "pending") == 0)
        pending();
    else if (argc == 2 && strcmp(argv[1], "crowd") == 0)
        crowd();
    else if (argc == 2 && strcmp(argv[1], "stall") == 0)
        stall();
    else if (argc == 2 && strcmp(argv[1], "secret") == 0)
        secret();
    else
        broken("usage: exhaust shapes | pending | crowd | stall | secret");
    return attack_done();
}

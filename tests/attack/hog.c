/* hog - have the supervisor work for long on single calls (threats row 23)
 *
 * usage: hog groups | links | opens | threads | descriptors | requests | ports | udp-ports | receivers | told | joins |
 * leaves | queue. Many processes make a call each that takes the kernel milliseconds and more, or one has the
 * supervisor close what takes long. The others must not notice: to one of their connects the supervisor may come after
 * PATIENCE seconds of its own work. */
#include "attack.h"
#include "others.h"

#include <grp.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { GROUPS = 65536, LINKS = 38, LINK_BYTES = 4000, REQUESTS = 200000, DESCRIPTORS = 20000, PORTS = 30000,
       THREADS = 20000, RECEIVERS = 10000, CROWDED_PORT = 7410, LOOKS = 20, MORE_LOOKS = 80, LOOK_US = 100000,
       LISTENERS = 30, BACKLOG = 4096, SYN_SENT = 1 << 2 };
static const double PATIENCE = 0.4;

/* Each of so many processes does this again and again, or once and stays. */
static void each(unsigned processes, void (*prepare)(unsigned index), void (*step)(void))
{
    for (unsigned i = 0; i < many(processes); i++) {
        pid_t pid = fork();

        if (pid < 0)
            broken("no process: %s", strerror(errno));
        if (pid > 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prepare(i);
        while (step != NULL)
            step();
        pause();
        _exit(0);
    }
}

static void nothing(unsigned index)
{
    (void)index;
}

static void raise_descriptors(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void connect_to(const char *path)
{
    struct sockaddr_un to;
    socklen_t len = at_unix(&to, path);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    connect(s, (struct sockaddr *)&to, len);
    close(s);
}

/* As many groups as there can be, which the kernel tells of together with all else. */
static void take_groups(unsigned index)
{
    static gid_t groups[GROUPS];

    for (size_t i = 0; i < GROUPS; i++)
        groups[i] = (gid_t)(4000000000 + i);
    if (setgroups(GROUPS, groups) < 0 && index == 0)
        answer("setgroups: %s", strerror(errno));
}

static void connect_to_nobody(void)
{
    connect_to("@sandlock-attack.nobody");
}

/* A path of as many links as there may be, each as long as it may be. */
static char directory[200];

static void make_links(void)
{
    static char text[LINK_BYTES + 32];
    char name[16];
    size_t len = 0;

    snprintf(directory, sizeof directory, "%s", in_dir("hog.XXXXXX"));
    if (mkdtemp(directory) == NULL || chdir(directory) < 0 || mkdir("d", 0700) < 0)
        broken("no directory: %s", strerror(errno));
    for (int i = 0; i < LINKS; i++) {
        for (len = 0; len < LINK_BYTES; len += 5)
            memcpy(text + len, "d/../", 5);
        snprintf(text + len, 32, i == 0 ? "nobody" : "l%d", i - 1);
        snprintf(name, sizeof name, "l%d", i);
        if (symlink(text, name) < 0)
            broken("no link: %s", strerror(errno));
    }
}

static void remove_links(void)
{
    char name[16];

    unlink("d/hosts");
    for (int i = 0; i < LINKS; i++) {
        snprintf(name, sizeof name, "l%d", i);
        unlink(name);
    }
    if (rmdir("d") < 0 || rmdir(directory) < 0)
        answer("%s is left: %s", directory, strerror(errno));
}

static void follow_links(void)
{
    connect_to("l37");
}

/* The same, by a name that the supervisor looks at where it shows an /etc/hosts of its own. */
static void open_by_links(void)
{
    int fd = open("d/hosts", O_RDONLY);

    if (fd >= 0)
        close(fd);
}

static pid_t crowd;

/* A process of as many threads as there can be, all of which the kernel adds up where it tells of the process. */
static void start_crowd(void)
{
    pthread_attr_t small;
    pthread_t thread;
    int ready[2];
    char byte;

    if (pipe(ready) < 0 || (crowd = fork()) < 0)
        broken("no process: %s", strerror(errno));
    if (crowd > 0) {
        if (read(ready[0], &byte, 1) != 1)
            broken("no threads");
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    for (unsigned i = 0; i < many(THREADS) && pthread_create(&thread, &small, wait_for_ever, NULL) == 0; i++)
        continue;
    if (write(ready[1], "", 1) == 1)
        pause();
    _exit(0);
}

static void schedule_crowd(void)
{
    cpu_set_t first;

    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(crowd, sizeof first, &first);
}

static void fill_descriptors(unsigned index)
{
    (void)index;
    raise_descriptors();
    while (dup(STDIN_FILENO) >= 0)
        ;
}

static int netlink;

static void *take_answers(void *unused)
{
    static char bytes[65536];

    while (recv(netlink, bytes, sizeof bytes, 0) > 0)
        ;
    return unused;
}

/* A thread: what a process with threads sends by netlink is sent for it. */
static void open_netlink(unsigned index)
{
    int large = 1 << 20;
    pthread_t thread;

    (void)index;
    netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    setsockopt(netlink, SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
    setsockopt(netlink, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    pthread_create(&thread, NULL, take_answers, NULL);
}

/* Thousands of requests in one, each for a look at every TCP socket there is. */
static void send_requests(void)
{
    static char bytes[REQUESTS];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } one = {{sizeof one, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
             {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = SYN_SENT}};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    for (size_t at = 0; at + sizeof one <= sizeof bytes; at += sizeof one)
        memcpy(bytes + at, &one, sizeof one);
    if (sendto(netlink, bytes, sizeof bytes, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        usleep(1000); /* it is refused */
}

/* A port of the kernel's choice. Whether there was one. */
static bool take_port(int type, bool keep)
{
    struct sockaddr_in any = at4(PERMITTED, 0);
    int s = socket(AF_INET, type, 0);
    bool taken = s >= 0 && bind(s, (struct sockaddr *)&any, sizeof any) == 0;

    if (!keep)
        close(s);
    return taken;
}

static void take_ports(unsigned index)
{
    (void)index;
    raise_descriptors();
    while (take_port(SOCK_STREAM, true))
        ;
}

static void look_for_port(void)
{
    take_port(SOCK_STREAM, false);
}

static void take_udp_ports(unsigned index)
{
    (void)index;
    raise_descriptors();
    while (take_port(SOCK_DGRAM, true))
        ;
}

/* From a socket that has no port yet. */
static void connect_udp(void)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    connect(s, (struct sockaddr *)&to, sizeof to);
    close(s);
}

/* Sockets that share a port: the kernel looks at each for every datagram. */
static void make_receivers(void)
{
    struct sockaddr_in at = at4(PERMITTED, CROWDED_PORT);
    int on = 1;

    raise_descriptors();
    for (unsigned i = 0; i < many(RECEIVERS); i++) {
        int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (s < 0)
            return; /* as many as there may be */
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(s, (struct sockaddr *)&at, sizeof at) < 0)
            broken("no receiver: %s", strerror(errno));
    }
}

static int sender;

static void open_sender(unsigned index)
{
    (void)index;
    sender = socket(AF_INET, SOCK_DGRAM, 0);
}

static void send_to_receivers(void)
{
    struct sockaddr_in to = at4(PERMITTED, CROWDED_PORT);
    struct mmsghdr messages[64] = {0};

    for (size_t i = 0; i < COUNT(messages); i++)
        messages[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to};
    syscall(SYS_sendmmsg, sender, messages, COUNT(messages), 0); /* musl's own makes single sends of it */
}

static int pair[2];

static void make_pair(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        broken("no pair: %s", strerror(errno));
}

/* Whatever arrives at this end is told to as many as there can be. */
static void watch_pair(unsigned index)
{
    struct epoll_event readable = {.events = EPOLLIN};
    int watcher;

    (void)index;
    raise_descriptors();
    while ((watcher = epoll_create1(0)) >= 0)
        epoll_ctl(watcher, EPOLL_CTL_ADD, pair[0], &readable);
}

static void drain_pair(void)
{
    static char bytes[4096];

    if (recv(pair[0], bytes, sizeof bytes, 0) <= 0)
        _exit(0);
}

/* A process with threads: what it sends is sent for it. */
static void add_thread(unsigned index)
{
    pthread_t thread;

    (void)index;
    pthread_create(&thread, NULL, wait_for_ever, NULL);
}

static void send_to_pair(void)
{
    struct iovec part = {"", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    sendmsg(pair[1], &message, 0);
}

static unsigned *next_group; /* shared by all */
static int member;

static void open_member(unsigned index)
{
    (void)index;
    member = socket(AF_INET6, SOCK_DGRAM, 0);
}

/* Join the next one of IPv6's groups, each of which the kernel looks for among all that there are. */
static int join_next(void)
{
    struct ipv6_mreq group = {.ipv6mr_multiaddr.s6_addr = {0xff, 5}, .ipv6mr_interface = 1};
    uint32_t number = __atomic_add_fetch(next_group, 1, __ATOMIC_RELAXED);

    memcpy(group.ipv6mr_multiaddr.s6_addr + 12, &number, sizeof number);
    return setsockopt(member, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group);
}

static void keep_joining(void)
{
    if (join_next() < 0)
        open_member(0); /* it has as many as a socket may have */
}

static void *send_many(void *socket_of)
{
    struct sockaddr_in6 to = at6("::ffff:" PERMITTED, DEAF_PORT);
    static struct mmsghdr messages[1024];

    for (size_t i = 0; i < COUNT(messages); i++)
        messages[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to};
    syscall(SYS_sendmmsg, *(int *)socket_of, messages, COUNT(messages), 0);
    return NULL;
}

/* The supervisor has the last descriptor of a socket that has joined as many as it may: closing it leaves them all. */
static void leave_many(unsigned sockets)
{
    int members[8];
    pthread_t sends;

    for (unsigned i = 0; i < sockets; i++) {
        open_member(i);
        while (join_next() == 0)
            ;
        members[i] = member;
    }
    answer("%u groups, then %s", *next_group - sockets, strerror(errno));
    for (unsigned i = 0; i < sockets; i++) {
        pthread_create(&sends, NULL, send_many, &members[i]);
        usleep(1000);
        close(members[i]);
        for (int looks = 0; looks < LOOKS; looks++)
            others_wait("leaves", PATIENCE);
        pthread_join(sends, NULL);
    }
}

/* A listener, connected to by as many as it may have waiting. */
static int make_listener(void)
{
    struct sockaddr_in at = at4(PERMITTED, 0);
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&at, len) < 0 || listen(listener, BACKLOG) < 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) < 0)
        broken("no listener: %s", strerror(errno));
    for (unsigned i = 0; i < many(BACKLOG); i++) {
        int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        connect(s, (struct sockaddr *)&at, sizeof at);
        close(s);
    }
    return listener;
}

/* Pass these on, and close them. */
static void pass_on(int by, const int *fds, unsigned n)
{
    struct {
        struct cmsghdr header;
        int rights[LISTENERS];
    } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {"", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};

    message.msg_controllen = control.header.cmsg_len = (socklen_t)CMSG_LEN(n * sizeof *fds);
    memcpy(control.rights, fds, n * sizeof *fds);
    if (sendmsg(by, &message, 0) < 0)
        broken("nothing is passed on: %s", strerror(errno));
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

static void *wait_to_send(void *unused)
{
    static char bytes[4 << 20];
    struct iovec part = {bytes, sizeof bytes};

    sendmsg(pair[0], &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1}, MSG_NOSIGNAL);
    return unused;
}

/* The supervisor has the last descriptor of a unix socket, for a send that waits: closing it closes all that was passed
 * on to it, and a listener ends what waits there, one by one. */
static void close_queue(void)
{
    int listeners[LISTENERS];
    pthread_t waiting;

    make_pair();
    for (unsigned i = 0; i < LISTENERS; i++)
        listeners[i] = make_listener();
    pass_on(pair[1], listeners, LISTENERS);
    pthread_create(&waiting, NULL, wait_to_send, NULL);
    usleep(LOOK_US);
    close(pair[0]);
    close(pair[1]);
    for (int i = 0; i < LOOKS; i++)
        others_wait("queue", PATIENCE);
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    int looks = LOOKS;

    signal(SIGALRM, stalled);
    start_other();
    next_group = shared_memory(sizeof *next_group);
    if (strcmp(what, "groups") == 0) {
        each(40, take_groups, connect_to_nobody);
    } else if (strcmp(what, "links") == 0) {
        make_links();
        each(200, nothing, follow_links);
    } else if (strcmp(what, "opens") == 0) {
        make_links();
        if (symlink("../l37", "d/hosts") < 0)
            broken("no link: %s", strerror(errno));
        each(200, nothing, open_by_links);
    } else if (strcmp(what, "threads") == 0) {
        start_crowd();
        each(200, nothing, schedule_crowd);
    } else if (strcmp(what, "descriptors") == 0) {
        tried("an unconnected socket", socket(AF_INET, SOCK_STREAM, 0));
        each(20, fill_descriptors, NULL);
        looks = MORE_LOOKS; /* it is looked for them now and then */
    } else if (strcmp(what, "requests") == 0) {
        each(20, open_netlink, send_requests);
    } else if (strcmp(what, "ports") == 0) {
        each(2, take_ports, NULL);
        sleep(5);
        each(80, nothing, look_for_port);
    } else if (strcmp(what, "udp-ports") == 0) {
        each(2, take_udp_ports, NULL);
        sleep(5);
        each(600, nothing, connect_udp);
    } else if (strcmp(what, "receivers") == 0) {
        make_receivers();
        each(200, open_sender, send_to_receivers);
    } else if (strcmp(what, "told") == 0) {
        make_pair();
        each(2, watch_pair, drain_pair);
        sleep(2);
        each(200, add_thread, send_to_pair);
    } else if (strcmp(what, "joins") == 0) {
        each(800, open_member, keep_joining);
        sleep(10);
    } else if (strcmp(what, "leaves") == 0) {
        leave_many(8);
    } else if (strcmp(what, "queue") == 0) {
        close_queue();
    } else {
        broken("usage: hog WHAT");
    }
    usleep(500000);
    for (int i = 0; i < looks && escapes.used == 0; i++) {
        others_wait(what, PATIENCE);
        usleep(LOOK_US);
    }
    answer("%s: the others go on", what);
    if (directory[0] != 0)
        remove_links();
    return attack_done();
}

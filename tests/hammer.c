/* hammer - garbage for every trapped call, from many threads, while a well-behaved process checks each reply
 *
 * usage: hammer SECONDS THREADS: prints "ready" and waits for a line on stdin, hammers, ends what it started, prints
 * "held" or what was wrong, and waits for stdin's end. Meant to run inside, where 127.0.0.0/8 and all ports are
 * permitted. The well-behaved one has 127.0.0.2 to itself. */
#include "hammer_garbage.h"

static struct sockaddr_in at(const char *host, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, host, &a.sin_addr);
    return a;
}

/* Answers what comes to 127.0.0.2, by TCP and by UDP. */
static pid_t start_echo(int type)
{
    struct sockaddr_in own = at("127.0.0.2", PORT), from;
    char bytes[PAYLOAD];
    int one = 1, s = socket(AF_INET, type, 0);

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&own, sizeof own) < 0 || (type == SOCK_STREAM && listen(s, 128) < 0)) {
        printf("cannot listen at 127.0.0.2: %s\n", strerror(errno));
        exit(WRONG_USE);
    }
    pid_t pid = fork();
    if (pid != 0) {
        close(s);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        socklen_t len = sizeof from;
        int c = type == SOCK_STREAM ? accept(s, NULL, NULL) : s;
        ssize_t n = type == SOCK_STREAM ? recv(c, bytes, sizeof bytes, MSG_WAITALL)
                                        : recvfrom(c, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len);

        if (n > 0)
            sendto(c, bytes, (size_t)n, 0, type == SOCK_STREAM ? NULL : (struct sockaddr *)&from, len);
        if (c != s)
            close(c);
    }
}

/* This call must give that: a value, or -errno. */
static void expect(const char *what, long result, long expected)
{
    long got = result < 0 ? -errno : result;

    if (got != expected)
        wrong("%s: %ld (%s), not %ld", what, got, got < 0 ? strerror((int)-got) : "done", expected);
}

static void expect_echo(const char *what, int s, const char *sent)
{
    char got[PAYLOAD];

    expect(what, recv(s, got, sizeof got, MSG_WAITALL), PAYLOAD);
    if (memcmp(got, sent, PAYLOAD) != 0)
        wrong("%s: other bytes", what);
}

static void round_of_tcp(const char *bytes)
{
    struct sockaddr_in peer = at("127.0.0.2", PORT), nobody = at("127.0.0.2", NOBODY_PORT);
    struct sockaddr_in denied = at("192.0.2.1", 80);
    struct iovec payload = {(char *)(uintptr_t)bytes, PAYLOAD};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
    int s = socket(AF_INET, SOCK_STREAM, 0);

    expect("a refused connect", connect(s, (struct sockaddr *)&denied, sizeof denied), -ECONNREFUSED);
    expect("a connect to nobody", connect(s, (struct sockaddr *)&nobody, sizeof nobody), -ECONNREFUSED);
    expect("a connect", connect(s, (struct sockaddr *)&peer, sizeof peer), 0);
    expect("a second connect", connect(s, (struct sockaddr *)&peer, sizeof peer), -EISCONN);
    expect("a sendmsg", sendmsg(s, &m, 0), PAYLOAD);
    expect_echo("a TCP answer", s, bytes);
    expect("a listen on it", listen(s, 1), -EINVAL);
    close(s);
}

static void round_of_udp(const char *bytes)
{
    struct sockaddr_in peer = at("127.0.0.2", PORT);
    struct iovec payload = {(char *)(uintptr_t)bytes, PAYLOAD};
    struct mmsghdr m[3];
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    memset(m, 0, sizeof m);
    for (size_t i = 0; i < COUNT(m); i++)
        m[i].msg_hdr = (struct msghdr){.msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &payload,
                                       .msg_iovlen = 1};
    expect("a sendto", sendto(s, bytes, PAYLOAD, 0, (struct sockaddr *)&peer, sizeof peer), PAYLOAD);
    expect_echo("a UDP answer", s, bytes);
    expect("a sendmmsg", sendmmsg(s, m, COUNT(m), 0), COUNT(m));
    for (size_t i = 0; i < COUNT(m); i++) {
        expect("a message's length", m[i].msg_len, PAYLOAD);
        expect_echo("a UDP answer", s, bytes);
    }
    close(s);
}

/* A socket goes through a unix socket and works. */
static void round_of_rights(void)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    int pair[2], ends[2], got = -1;
    char byte = 'x';
    struct iovec payload = {&byte, 1};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0)
        wrong("no pair: %s", strerror(errno));
    memset(control, 0, sizeof control);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &ends[1], sizeof(int));
    expect("a descriptor's sendmsg", sendmsg(pair[0], &m, 0), 1);
    expect("its recvmsg", recvmsg(pair[1], &m, 0), 1);
    memcpy(&got, CMSG_DATA(c), sizeof got);
    expect("a write to it", write(got, &byte, 1), 1);
    expect("a read of the other end", read(ends[0], &byte, 1), 1);
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(ends[i]);
    }
    close(got);
}

static void round_of_errors(void)
{
    struct sockaddr_in peer = at("127.0.0.2", PORT);
    int s = socket(AF_INET, SOCK_STREAM, 0), file = open("/etc/hosts", O_RDONLY);

    expect("a connect of no socket", connect(STDIN_FILENO, (struct sockaddr *)&peer, sizeof peer), -ENOTSOCK);
    expect("a connect of nothing", connect(-1, (struct sockaddr *)&peer, sizeof peer), -EBADF);
    expect("a connect to nowhere in memory", syscall(__NR_connect, s, 8, sizeof peer), -EFAULT);
    expect("a connect with a long address", syscall(__NR_connect, s, &peer, 129), -EINVAL);
    expect("a source route", setsockopt(s, SOL_IP, IP_OPTIONS, &peer, 8), -EPERM);
    expect("a raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_UDP), -EPERM);
    if (file < 0)
        wrong("/etc/hosts: %s", strerror(errno));
    expect("a file that isn't there", open("/nowhere/hosts", O_RDONLY), -ENOENT);
    close(file);
    close(s);
}

/* Rounds until told to stop. */
static volatile sig_atomic_t stopped;

static void stop(int sig)
{
    (void)sig;
    stopped = 1;
}

__attribute__((noreturn)) static void behave(void)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};
    unsigned rounds = 0;
    char bytes[PAYLOAD];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigaction(SIGTERM, &action, NULL);
    for (; !stopped; rounds++) {
        memset(bytes, 'a' + (int)(rounds % 26), sizeof bytes);
        round_of_tcp(bytes);
        round_of_udp(bytes);
        round_of_rights();
        round_of_errors();
    }
    _exit(rounds > 0 ? 0 : 1);
}

/* Start again what the garbage ended. */
static void hammer_for(unsigned seconds, unsigned n)
{
    time_t end = time(NULL) + (time_t)seconds;
    pid_t hostile[PROCESSES] = {0};
    int status;

    while (time(NULL) < end) {
        for (size_t i = 0; i < PROCESSES; i++)
            if (hostile[i] == 0 || waitpid(hostile[i], &status, WNOHANG) == hostile[i]) {
                hostile[i] = fork();
                if (hostile[i] == 0)
                    be_hostile(n);
            }
        usleep(50000);
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        kill(hostile[i], SIGKILL);
        waitpid(hostile[i], &status, 0);
    }
}

int main(int argc, char **argv)
{
    unsigned seconds = argc == 3 ? (unsigned)atoi(argv[1]) : 0, n = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
    char line[16];
    int status = 1;

    if (seconds == 0 || n < PROCESSES || n / PROCESSES > THREADS_MAX) {
        fputs("usage: hammer SECONDS THREADS\n", stderr);
        return WRONG_USE;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    pid_t tcp = start_echo(SOCK_STREAM), udp = start_echo(SOCK_DGRAM);
    puts("ready");
    if (fgets(line, sizeof line, stdin) == NULL)
        return WRONG_USE;
    pid_t good = fork();
    if (good == 0)
        behave();
    hammer_for(seconds, n / PROCESSES);
    kill(good, SIGTERM);
    waitpid(good, &status, 0);
    kill(tcp, SIGKILL);
    kill(udp, SIGKILL);
    puts(status == 0 ? "held" : "not held");
    while (fgets(line, sizeof line, stdin) != NULL)
        ;
    return status != 0;
}

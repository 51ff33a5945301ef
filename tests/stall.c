/* stall - one process makes calls that would hold up whoever does them, or never lets go; another one's calls go on
 *
 * usage: stall WHAT [N]; meant to run inside, where 127.0.0.1 and its ports are permitted. Prints "the others go on" or
 * what another process got instead; nothing is said of how fast. A supervisor that waits is seen by its never going on:
 * after PATIENCE seconds that is said.
 *        stall as UID PROCESSES CMD...: run CMD as this user, who may have so many processes. */
#define _GNU_SOURCE
#include "wrong.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ports: one that answers, one that never accepts and is full, one that takes connections and never reads. */
enum { ANSWERS = 7601, HOLE = 7602, DEAF = 7603 };
enum { PATIENCE = 90, CALLS = 20, STACK = 32768, BYTES = 1 << 20, FOR_EVER = 1000000, PROCESSES_MAX = 1000,
       SECRET_CALL = 447, WRONG_USE = 2 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char bytes[BYTES];
static unsigned number; /* N */

static void held_up(int sig)
{
    static const char text[] = "the others wait for ever\n";

    (void)sig;
    _exit(write(STDOUT_FILENO, text, sizeof text - 1) > 0 ? 1 : WRONG_USE);
}

static struct sockaddr_in port(int number_of)
{
    return (struct sockaddr_in){AF_INET, htons((uint16_t)number_of), {htonl(INADDR_LOOPBACK)}, {0}};
}

static int connected(int to)
{
    struct sockaddr_in a = port(to);
    int s = socket(AF_INET, SOCK_STREAM, 0);

    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) == 0)
        return s;
    int error = errno;
    close(s);
    errno = error;
    return -1;
}

static int listener(int at, int backlog)
{
    struct sockaddr_in a = port(at);
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, backlog) < 0)
        wrong("cannot listen: %s", strerror(errno));
    return s;
}

static pid_t start(void (*run)(void))
{
    pid_t pid = fork();

    if (pid < 0)
        wrong("no process: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- the other process ---- */

static int answers;

static void answer(void)
{
    for (;;) {
        int c = accept(answers, NULL, NULL);
        char byte;

        if (recv(c, &byte, 1, 0) == 1)
            send(c, &byte, 1, MSG_NOSIGNAL);
        close(c);
    }
}

/* Each of these is answered, and rightly. A refused destination too. */
static void make_calls(void)
{
    for (int i = 0; i < CALLS; i++) {
        struct sockaddr_in refused = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0xc0000201)}};
        struct iovec payload = {"x", 1};
        struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
        int pair[2], s = connected(ANSWERS);
        char byte = 0;

        if (s < 0)
            wrong("another's connect: %s", strerror(errno));
        if (sendmsg(s, &m, 0) != 1 || recv(s, &byte, 1, 0) != 1 || byte != 'x')
            wrong("another's send: %s", strerror(errno));
        close(s);
        s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&refused, sizeof refused) == 0 || errno != ECONNREFUSED)
            wrong("another's refused connect: %s", strerror(errno));
        close(s);
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 || sendmsg(pair[0], &m, 0) != 1)
            wrong("another's datagram: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
    }
}

static void others_go_on(void)
{
    int status;

    alarm(PATIENCE);
    pid_t other = start(make_calls);
    if (waitpid(other, &status, 0) != other || status != 0)
        _exit(1);
    alarm(0);
}

/* ---- what holds up ---- */

static void *wait_in_connect(void *to)
{
    int s = connected((int)(intptr_t)to);

    (void)s;
    pause();
    return NULL;
}

/* Threads that wait. SIGUSR1 is for one of them alone: neither for the process's first nor for the others. */
static void crowd(unsigned threads, void *(*wait_in)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t usr1;

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_create(&thread, &attributes, wait_in, argument);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(&thread, &attributes, wait_in, argument) != 0)
            break;
}

static void wait_in_connects(void)
{
    crowd(100, wait_in_connect, (void *)(intptr_t)HOLE);
    pause();
}

/* N processes with a hundred threads each. */
static void connects(void)
{
    pid_t waiting[PROCESSES_MAX];

    for (unsigned i = 0; i < number; i++)
        waiting[i] = start(wait_in_connects);
    sleep(1);
    others_go_on();
    for (unsigned i = 0; i < number; i += 2)
        end(waiting[i]);
    others_go_on();
    for (unsigned i = 1; i < number; i += 2)
        end(waiting[i]);
    others_go_on();
}

static void nothing(int sig)
{
    (void)sig;
}

/* The same while signals come for the processes. */
static pid_t signalled[PROCESSES_MAX];

static void send_signals(void)
{
    for (;;) {
        for (unsigned i = 0; i < number; i++)
            kill(signalled[i], SIGUSR1);
        usleep(2000);
    }
}

static void signals(void)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};

    sigaction(SIGUSR1, &action, NULL);
    for (unsigned i = 0; i < number; i++)
        signalled[i] = start(wait_in_connects);
    sleep(1);
    pid_t sender = start(send_signals);
    others_go_on();
    end(sender);
    for (unsigned i = 0; i < number; i++)
        end(signalled[i]);
}

/* It executes something else, or ends, while its threads' calls wait. */
static void leave_by_exec(void)
{
    crowd(100, wait_in_connect, (void *)(intptr_t)HOLE);
    usleep(100000);
    execlp("true", "true", NULL);
}

static void leave_by_exit(void)
{
    crowd(100, wait_in_connect, (void *)(intptr_t)HOLE);
    usleep(100000);
    _exit(0);
}

static void leaving(void)
{
    for (unsigned i = 0; i < number; i++) {
        pid_t a = start(leave_by_exec), b = start(leave_by_exit);

        others_go_on();
        waitpid(a, NULL, 0);
        waitpid(b, NULL, 0);
    }
}

/* Stopped while its calls wait, and never continued. */
static void stopped(void)
{
    pid_t pid = start(wait_in_connects);

    usleep(300000);
    kill(pid, SIGSTOP);
    usleep(100000);
    others_go_on();
    end(pid);
}

static struct sockaddr_un full = {.sun_family = AF_UNIX, .sun_path = "full.socket"};

static void *wait_in_unix_connect(void *unused)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    connect(s, (struct sockaddr *)&full, sizeof full);
    pause();
    return unused;
}

static void wait_in_unix_connects(void)
{
    crowd(100, wait_in_unix_connect, NULL);
    pause();
}

static void unix_connects(void)
{
    pid_t waiting[PROCESSES_MAX];
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    unlink(full.sun_path);
    if (bind(s, (struct sockaddr *)&full, sizeof full) < 0 || listen(s, 0) < 0)
        wrong("cannot listen: %s", strerror(errno));
    for (unsigned i = 0; i < number; i++)
        waiting[i] = start(wait_in_unix_connects);
    sleep(1);
    others_go_on();
    for (unsigned i = 0; i < number; i++)
        end(waiting[i]);
    others_go_on();
}

/* Sends to one that never reads, by the call that is done on behalf. */
static void send_to_deaf(void)
{
    struct iovec payload = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
    struct linger linger = {1, FOR_EVER};
    int s = connected(DEAF);

    setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    for (;;)
        if (sendmsg(s, &m, MSG_NOSIGNAL) < 0)
            _exit(1);
}

static void sends(void)
{
    pid_t sender = start(send_to_deaf);

    usleep(200000);
    others_go_on();
    end(sender);
}

/* A connect and a send with a time limit of their own, N seconds. */
static void timed(void)
{
    struct timeval limit = {(time_t)number, 0};
    struct iovec payload = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
    struct sockaddr_in to = port(HOLE);
    int s = socket(AF_INET, SOCK_STREAM, 0), deaf = connected(DEAF);

    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(deaf, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    puts("ready");
    fflush(stdout);
    if (connect(s, (struct sockaddr *)&to, sizeof to) == 0 || errno != EINPROGRESS)
        wrong("connect: %s", strerror(errno));
    while (sendmsg(deaf, &m, MSG_NOSIGNAL) > 0) /* in part, too */
        ;
    if (errno != EAGAIN)
        wrong("sendmsg: %s", strerror(errno));
}

static void do_nothing(void)
{
    for (;;)
        pause();
}

/* The sender is killed: the last reference to what lingers is in somebody else's hands. N times. At the limit of
 * processes another takes the place of the killed one, and there is none for a helper. */
static void lingering(void)
{
    for (unsigned i = 0; i < number; i++) {
        pid_t sender = start(send_to_deaf);

        usleep(50000);
        end(sender);
        sender = start(do_nothing);
        usleep(50000);
        end(sender);
    }
    others_go_on();
}

static void send_to_self(void)
{
    struct iovec payload = {"x", 1};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
        _exit(1);
    for (;;)
        sendmsg(pair[0], &m, 0);
}

static void datagrams(void)
{
    pid_t sender = start(send_to_self);

    usleep(200000);
    others_go_on();
    end(sender);
}

/* A reader keeps up with a sender that asks for as much as one call can take, without waiting. */
static int keeping_up[2];

static void read_all(void)
{
    for (;;)
        if (recv(keeping_up[0], bytes, sizeof bytes, 0) <= 0)
            _exit(0);
}

static void send_all(void)
{
    static struct iovec vector[1024];
    static struct mmsghdr m[64];

    for (size_t i = 0; i < COUNT(vector); i++)
        vector[i] = (struct iovec){bytes, sizeof bytes};
    for (size_t i = 0; i < COUNT(m); i++)
        m[i].msg_hdr = (struct msghdr){.msg_iov = vector, .msg_iovlen = COUNT(vector)};
    for (;;)
        sendmmsg(keeping_up[1], m, COUNT(m), MSG_DONTWAIT);
}

static void fast_reader(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, keeping_up) < 0)
        wrong("no pair: %s", strerror(errno));
    pid_t reader = start(read_all), sender = start(send_all);
    others_go_on();
    end(sender);
    end(reader);
}

/* Memory of which nothing, or not all, can be read: the kernel's EFAULT. */
static void expect_fault(const char *what, void *memory)
{
    static struct iovec payload = {bytes, 1};
    struct msghdr named = {.msg_name = memory, .msg_namelen = 16, .msg_iov = &payload, .msg_iovlen = 1};
    struct msghdr vector = {.msg_iov = memory, .msg_iovlen = 2};
    int s = socket(AF_INET, SOCK_STREAM, 0), pair[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
        wrong("no pair: %s", strerror(errno));
    if (connect(s, memory, 16) == 0 || errno != EFAULT)
        wrong("%s: a connect: %s", what, strerror(errno));
    if (sendmsg(pair[0], &named, MSG_DONTWAIT) >= 0 || errno != EFAULT)
        wrong("%s: a name: %s", what, strerror(errno));
    if (sendmsg(pair[0], &vector, MSG_DONTWAIT) >= 0 || errno != EFAULT)
        wrong("%s: a vector: %s", what, strerror(errno));
    if (syscall(__NR_sendmsg, pair[0], memory, MSG_DONTWAIT) >= 0 || errno != EFAULT)
        wrong("%s: a header: %s", what, strerror(errno));
    close(s);
    close(pair[0]);
    close(pair[1]);
}

static void memory(void)
{
    char *none = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *part = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = memfd_create("short", 0), secret = (int)syscall(SECRET_CALL, 0);
    char *beyond = mmap(NULL, 8192, PROT_READ, MAP_SHARED, file, 0);

    munmap(part + 4096, 4096);
    expect_fault("no memory", none);
    expect_fault("the end of memory", part + 4096 - 8);
    expect_fault("beyond a file's end", beyond);
    if (secret >= 0 && ftruncate(secret, 4096) == 0)
        expect_fault("secret memory", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, secret, 0));
    if (syscall(__NR_userfaultfd, 0) >= 0 || errno != EPERM)
        wrong("userfaultfd: %s", strerror(errno));
    others_go_on();
}

/* An open that waits for a writer, of a file whose name makes it be looked at first. */
static void open_fifo(void)
{
    open("fifo/hosts", O_RDONLY);
}

static void fifo(void)
{
    pid_t pid[10];

    mkdir("fifo", 0700);
    if (mkfifo("fifo/hosts", 0600) < 0 && errno != EEXIST)
        wrong("no FIFO: %s", strerror(errno));
    for (size_t i = 0; i < COUNT(pid); i++)
        pid[i] = start(open_fifo);
    usleep(200000);
    others_go_on();
    for (size_t i = 0; i < COUNT(pid); i++)
        end(pid[i]);
}

/* Denials that nobody reads: each to another address, so that each is told. */
static void denials(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0x0a000000 + i)}};
        int s = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(s, (struct sockaddr *)&to, sizeof to) == 0 || errno != ECONNREFUSED)
            wrong("a refused connect: %s", strerror(errno));
        close(s);
    }
    others_go_on();
}

/* Passes a file on: that its supervisor closes it must not be what is waited for at the end (--wait-all). */
static void rights(void)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec payload = {"x", 1};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int pair[2], file = open("/", O_RDONLY);
    pthread_t thread;

    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &file, sizeof file);
    pthread_create(&thread, NULL, wait_in_connect, (void *)(intptr_t)HOLE); /* so it isn't the kernel that sends */
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 || sendmsg(pair[0], &m, 0) != 1)
        wrong("a descriptor's sendmsg: %s", strerror(errno));
    others_go_on();
}

/* More calls wait than there are descriptors for: the next ones are told so, until those end. */
static void short_of_descriptors(void)
{
    pid_t waiting = start(wait_in_connects);
    int s = -1;

    usleep(500000);
    for (int i = 0; i < CALLS; i++) {
        s = connected(ANSWERS);
        if (s < 0 && errno != ENOBUFS)
            wrong("short of descriptors: a connect: %s", strerror(errno));
        if (s >= 0)
            close(s);
    }
    end(waiting);
    for (int i = 0; i < PATIENCE * 10 && (s = connected(ANSWERS)) < 0; i++)
        usleep(100000);
    close(s);
    others_go_on();
}

/* Forks, executions and calls as fast as they go. */
static void fork_away(void)
{
    enum { AT_ONCE = 4 };
    unsigned running = 0;

    for (unsigned i = 0;; i++) {
        pid_t pid = fork();

        if (pid == 0 && i % 2 == 0)
            execlp("true", "true", NULL);
        if (pid == 0)
            _exit(connected(HOLE - 1000) >= 0); /* where nobody is */
        running += pid > 0;
        while (running > 0 && waitpid(-1, NULL, running < AT_ONCE ? WNOHANG : 0) > 0)
            running--;
    }
}

/* They go on when this ends: that sandlock ends them is for somebody else to see. */
static void storm(void)
{
    enum { WORKERS = 32 };
    int status = -1;

    for (int i = 0; i < WORKERS; i++)
        if (fork() == 0) {
            fork_away();
            _exit(0);
        }
    sleep(number);
    for (int tries = 0; status != 0 && tries < PATIENCE * 10; tries++) { /* one more may be, now and then */
        pid_t other = fork();

        if (other == 0) {
            make_calls();
            _exit(0);
        }
        if (other < 0)
            usleep(100000);
        else
            waitpid(other, &status, 0);
    }
    if (status != 0)
        wrong("no other process comes through");
}

/* So many thousand calls, once warm. Between, and at the end, somebody outside has time to look. */
static void flat(void)
{
    char line[16];

    others_go_on();
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        wrong("nobody said go");
    for (unsigned i = 0; i < number * 1000; i++) {
        struct sockaddr_in to = port(ANSWERS - 1000 + (int)(i % 1000));
        int s = socket(AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);

        if (connect(s, (struct sockaddr *)&to, sizeof to) == 0 ? i % 2 : i % 2 == 0 || errno != ECONNREFUSED)
            wrong("call %u: %s", i, strerror(errno));
        close(s);
    }
    puts("done");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) != NULL)
        wrong("something said go again");
}

static int run_as(char **argv)
{
    struct rlimit processes = {(rlim_t)atoi(argv[1]), (rlim_t)atoi(argv[1])};
    uid_t uid = (uid_t)atoi(argv[0]);

    if (setrlimit(RLIMIT_NPROC, &processes) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
        wrong("cannot become %u: %s", uid, strerror(errno));
    execvp(argv[2], argv + 2);
    wrong("cannot run %s: %s", argv[2], strerror(errno));
}

/* ---- */

static const struct {
    const char *name;
    void (*run)(void);
} all[] = {
    {"connects", connects}, {"signals", signals},     {"leaving", leaving},     {"stopped", stopped},
    {"unix", unix_connects}, {"sends", sends},        {"lingering", lingering}, {"datagrams", datagrams},
    {"fast", fast_reader},  {"memory", memory},       {"fifo", fifo},           {"denials", denials},
    {"rights", rights},     {"short", short_of_descriptors}, {"storm", storm}, {"flat", flat},
    {"timed", timed},
};

int main(int argc, char **argv)
{
    if (argc > 4 && strcmp(argv[1], "as") == 0)
        return run_as(argv + 2);
    int hole = listener(HOLE, 0);
    number = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    signal(SIGALRM, held_up);
    answers = listener(ANSWERS, 512);
    listener(DEAF, 4096);
    for (int i = 0; i < 3; i++) { /* what it takes until it is full */
        struct sockaddr_in to = port(HOLE);

        connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (struct sockaddr *)&to, sizeof to);
    }
    pid_t answering = start(answer);
    for (size_t i = 0; argc > 1 && number <= PROCESSES_MAX && i < COUNT(all); i++)
        if (strcmp(argv[1], all[i].name) == 0) {
            all[i].run();
            end(answering);
            close(hole);
            puts("the others go on");
            return 0;
        }
    fputs("usage: stall WHAT [N]\n", stderr);
    return WRONG_USE;
}

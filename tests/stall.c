/* stall - one process makes calls that would hold up whoever does them, or never lets go; another one's calls go on
 *
 * usage: stall WHAT [N]; meant to run inside, where 127.0.0.1 and its ports are permitted. Prints "the others go on" or
 * what another process got instead; nothing is said of how fast. A supervisor that waits is seen by its never going on:
 * after PATIENCE seconds that is said.
 *        stall as UID PROCESSES CMD...: run CMD as this user, who may have so many processes. */
#include "stall_base.h"
#include "stall_waits.h"

static int linger_time = FOR_EVER; /* in seconds, for those who send */

/* Sends to one that never reads, by the call that is done on behalf. */
static void send_to_deaf(void)
{
    struct iovec payload = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &payload, .msg_iovlen = 1};
    struct linger linger = {1, linger_time};
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

/* The same, by a time that the kernel takes for a very long one. */
static void negative(void)
{
    linger_time = -1;
    lingering();
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

/* Denials that nobody reads, N hundred: each to another address, so that each is told. */
static void denials(void)
{
    for (unsigned i = 0; i < number * 100; i++) {
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

/* A port that somebody outside has is bound again and again, and it is told where that is (--port-remap). N
 * hundred times. */
static void moves(void)
{
    for (unsigned i = 0; i < number * 100; i++) {
        struct sockaddr_in at = port(TAKEN);
        int s = socket(AF_INET, SOCK_STREAM, 0);

        if (bind(s, (struct sockaddr *)&at, sizeof at) < 0)
            wrong("a bind: %s", strerror(errno));
        close(s);
    }
    others_go_on();
}

static struct sockaddr_un line_end = {.sun_family = AF_UNIX, .sun_path = "\0sandlock-stall-line"};
static int line_ready[2];

/* The rest of a line of processes, each the parent of the next; the last one listens. They share their memory: a copy
 * takes the kernel the longer the further down it is made. */
static int line_goes_on(void *left)
{
    intptr_t after = (intptr_t)left - 1;
    char *stack = malloc(STACK);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (after > 0 && (stack == NULL || clone(line_goes_on, stack + STACK, CLONE_VM | SIGCHLD, (void *)after) < 0))
        wrong("no process: %s", strerror(errno));
    if (after > 0)
        do_nothing();
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(s, (struct sockaddr *)&line_end, sizeof line_end) < 0 || listen(s, CALLS) < 0 ||
        write(line_ready[1], "", 1) != 1)
        wrong("the last one can't listen: %s", strerror(errno));
    do_nothing();
    return 0;
}

static void line_begins(void)
{
    line_goes_on((void *)(intptr_t)(number * 100));
}

static void connect_to_line(void)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    if (connect(s, (struct sockaddr *)&line_end, sizeof line_end) < 0)
        wrong("a connect to the last one: %s", strerror(errno));
}

/* Who has an abstract name is looked for among all processes, and whose descendants these are. */
static void line(void)
{
    char byte;

    if (pipe(line_ready) < 0)
        wrong("no pipe: %s", strerror(errno));
    pid_t first = start(line_begins), caller;
    alarm(PATIENCE);
    if (read(line_ready[0], &byte, 1) != 1)
        wrong("there is no line");
    caller = start(connect_to_line);
    others_go_on();
    alarm(PATIENCE);
    waitpid(caller, NULL, 0);
    alarm(0);
    end(first);
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
    {"timed", timed},       {"negative", negative},   {"line", line},
    {"moves", moves},
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

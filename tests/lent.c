/* lent - whose rights, names and flags a call has that is made for a command: what tests/lent.test asks, a row each
 *
 * Prints "ok", the value, or the errno's name, and exits 0 whatever the answer; 2 when the command line is wrong or the
 * scene can't be set. The usage text says what there is. */
#define _GNU_SOURCE
#include "native_names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BROKEN = 2, TEXT_MAX = 64, PATIENCE = 20 /* seconds */, UP_LEVELS = 64 };

static const char usage_text[] =
    "usage: lent as UID CMD...               run CMD as this user and group, without others\n"
    "       lent traceless CMD...            run CMD without CAP_SYS_PTRACE, as root in a container is\n"
    "       lent unreaped CMD...             run CMD by a parent that ignores SIGCHLD\n"
    "       lent holding KIND ADDRESS CMD... bind, listen, say nothing; run CMD meanwhile\n"
    "       lent deaf PORT CMD...            listen at 127.0.0.1 with a queue that is full; run CMD meanwhile\n"
    "       lent heard KIND ADDRESS CMD...   run CMD, which sends here; print \"uid UID\" of its credentials,\n"
    "                                        of a stream also who connected it\n"
    "       lent tell KIND ADDRESS           send there: a datagram by sendto, else by sendmsg with two threads\n"
    "       lent listener PATH               listen, with two threads; connect there, print \"uid UID\" of that end\n"
    "       lent undumpable PORT             connect to 127.0.0.1 as a process that has no core dumps\n"
    "       lent nonblock PORT               another thread sets O_NONBLOCK while connect waits; an alarm ends it\n"
    "       lent autobound PATH              a datagram from a socket that the kernel binds is answered\n"
    "       lent seqpacket ADDRESS           listen with a seqpacket socket, connect to the same name with a stream\n"
    "       lent directory                   connect on a directory's descriptor\n"
    "       lent split                       try to get a descriptor table of its own, by two calls\n"
    "       lent thread                      another thread connects to a listener of the first\n"
    "       lent memory                      open the parent's memory\n"
    "       lent domain                      connect in a Landlock domain of its own without any TCP\n"
    "       lent leave FILE                  open FILE of the root directory outside a chroot, by another chroot\n"
    "KIND     stream or dgram; ADDRESS a path, or @NAME, where each further @ is a zero byte\n";

__attribute__((noreturn)) static void broken(const char *what)
{
    perror(what);
    exit(BROKEN);
}

/* The exit of a call that failed. */
__attribute__((noreturn)) static void failed(void)
{
    puts(errno_name(errno));
    exit(0);
}

static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < 0 || value > UINT16_MAX) {
        fputs(usage_text, stderr);
        exit(BROKEN);
    }
    return (int)value;
}

static int kind_of(const char *name)
{
    return strcmp(name, "dgram") == 0 ? SOCK_DGRAM : SOCK_STREAM;
}

static int socket_new(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        broken("socket");
    return fd;
}

/* A path, or an abstract name in which '@' is a zero byte. */
static socklen_t unix_address(struct sockaddr_un *address, const char *name)
{
    size_t len = strlen(name);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len >= sizeof address->sun_path)
        exit(BROKEN);
    for (size_t i = 0; i < len; i++)
        address->sun_path[i] = name[0] == '@' && name[i] == '@' ? '\0' : name[i];
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] != '@'));
}

static struct sockaddr_in local_port(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)number(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket bound to the name, open for every user; one that connections come to listens. */
static int unix_bound(int type, const char *name)
{
    struct sockaddr_un address;
    socklen_t len = unix_address(&address, name);
    int fd = socket_new(AF_UNIX, type);

    if (bind(fd, (struct sockaddr *)&address, len) < 0)
        broken(name);
    if (name[0] != '@')
        chmod(name, 0777);
    if (type != SOCK_DGRAM && listen(fd, 8) < 0)
        broken(name);
    return fd;
}

static int run(char **command)
{
    execvp(command[0], command);
    broken(command[0]);
}

static pid_t start(char **command)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(run(command));
    return pid;
}

/* Its exit status. */
static int ended(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) < 0)
        broken("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
}

static void *sleeps(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void second_thread(void *(*begin)(void *), void *argument)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, begin, argument) != 0)
        broken("pthread_create");
}

static int as_user(char **words)
{
    uid_t uid = (uid_t)number(words[0]);

    if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
        broken("setuid");
    return run(words + 1);
}

static int traceless(char **words)
{
    if (prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0) < 0)
        broken("the bounding set");
    return run(words);
}

static int unreaped(char **words)
{
    signal(SIGCHLD, SIG_IGN);
    return run(words);
}

static int holding(char **words)
{
    unix_bound(kind_of(words[0]), words[1]);
    return ended(start(words + 2));
}

static int deaf(char **words)
{
    struct sockaddr_in address = local_port(words[0]);
    int fd = socket_new(AF_INET, SOCK_STREAM), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 0) < 0 ||
        connect(socket_new(AF_INET, SOCK_STREAM), (struct sockaddr *)&address, sizeof address) < 0)
        broken("a full queue");
    return ended(start(words + 1));
}

static int heard(char **words)
{
    int type = kind_of(words[0]), fd = unix_bound(type, words[1]), one = 1;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
    char text[TEXT_MAX];
    struct iovec iov = {text, sizeof text};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct timeval patience = {PATIENCE, 0};
    struct ucred credentials;

    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof one) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        broken("setsockopt");
    pid_t pid = start(words + 2);
    int from = type == SOCK_DGRAM ? fd : accept(fd, NULL, NULL);
    if (from < 0 || recvmsg(from, &message, 0) < 0 || message.msg_controllen < CMSG_LEN(sizeof credentials))
        broken("nothing was heard");
    memcpy(&credentials, CMSG_DATA((struct cmsghdr *)control), sizeof credentials);
    int status = ended(pid);
    printf("uid %u\n", credentials.uid);
    if (from != fd) {
        socklen_t len = sizeof credentials;

        if (getsockopt(from, SOL_SOCKET, SO_PEERCRED, &credentials, &len) < 0)
            broken("SO_PEERCRED");
        printf("connected by uid %u\n", credentials.uid);
    }
    return status;
}

static int tell(char **words)
{
    struct sockaddr_un address;
    socklen_t len = unix_address(&address, words[1]);
    int type = kind_of(words[0]), fd = socket_new(AF_UNIX, type);
    char text[] = "text";
    struct iovec iov = {text, sizeof text};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (type == SOCK_DGRAM) {
        if (sendto(fd, text, sizeof text, 0, (struct sockaddr *)&address, len) < 0)
            failed();
    } else {
        second_thread(sleeps, NULL);
        if (connect(fd, (struct sockaddr *)&address, len) < 0 || sendmsg(fd, &message, 0) < 0)
            failed();
    }
    puts("ok");
    return 0;
}

static int listener(char **words)
{
    struct sockaddr_un address;
    socklen_t len = unix_address(&address, words[0]);
    struct ucred credentials;
    socklen_t credentials_len = sizeof credentials;

    second_thread(sleeps, NULL);
    unix_bound(SOCK_STREAM, words[0]);
    int fd = socket_new(AF_UNIX, SOCK_STREAM);
    if (connect(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_len) < 0)
        failed();
    printf("uid %u\n", credentials.uid);
    return 0;
}

static int undumpable(char **words)
{
    struct sockaddr_in address = local_port(words[0]);
    int fd = socket_new(AF_INET, SOCK_STREAM);

    prctl(PR_SET_DUMPABLE, 0); /* whether it is refused or not */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        failed();
    puts("ok");
    return 0;
}

static void *set_nonblock(void *at)
{
    int fd = *(int *)at;

    usleep(200000); /* connect waits by now: else it would be found non-blocking and answer EINPROGRESS */
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        broken("F_SETFL");
    alarm(1);
    return NULL;
}

static void nothing(int number_of_signal)
{
    (void)number_of_signal;
}

static int nonblock(char **words)
{
    struct sockaddr_in address = local_port(words[0]);
    struct sigaction action = {.sa_handler = nothing};
    static int fd;

    fd = socket_new(AF_INET, SOCK_STREAM);
    sigaction(SIGALRM, &action, NULL);
    second_thread(set_nonblock, &fd);
    const char *answer = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno_name(errno) : "ok";
    printf("%s, %s\n", answer, fcntl(fd, F_GETFL) & O_NONBLOCK ? "O_NONBLOCK" : "blocking");
    return 0;
}

static int autobound(char **words)
{
    struct sockaddr_un address, from;
    socklen_t len = unix_address(&address, words[0]), from_len = sizeof from;
    int receiver = unix_bound(SOCK_DGRAM, words[0]), sender = socket_new(AF_UNIX, SOCK_DGRAM), one = 1;
    char text[TEXT_MAX];

    if (setsockopt(sender, SOL_SOCKET, SO_PASSCRED, &one, sizeof one) < 0 ||
        sendto(sender, "one", 3, 0, (struct sockaddr *)&address, len) != 3 ||
        recvfrom(receiver, text, sizeof text, 0, (struct sockaddr *)&from, &from_len) != 3)
        broken("the first datagram");
    if (sendto(receiver, "two", 3, 0, (struct sockaddr *)&from, from_len) < 0)
        failed();
    puts(recv(sender, text, sizeof text, 0) == 3 && memcmp(text, "two", 3) == 0 ? "ok" : "another text");
    return 0;
}

static int seqpacket(char **words)
{
    struct sockaddr_un address;
    socklen_t len = unix_address(&address, words[0]);

    unix_bound(SOCK_SEQPACKET, words[0]);
    if (connect(socket_new(AF_UNIX, SOCK_SEQPACKET), (struct sockaddr *)&address, len) < 0)
        broken("the socket of our own");
    if (connect(socket_new(AF_UNIX, SOCK_STREAM), (struct sockaddr *)&address, len) < 0)
        failed();
    puts("ok");
    return 0;
}

static int directory(char **words)
{
    struct sockaddr_in address = local_port("9");
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)words;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        failed();
    puts("ok");
    return 0;
}

static const char *answer_of(long result)
{
    return result < 0 ? errno_name(errno) : "ok";
}

static int split(char **words)
{
    (void)words;
    printf("unshare: %s\n", answer_of(unshare(CLONE_FILES)));
    printf("close_range: %s\n", answer_of(syscall(SYS_close_range, 100, ~0u, CLOSE_RANGE_UNSHARE)));
    return 0;
}

/* By a descriptor that is made after the thread: in the table that both have. */
static void *connect_to(void *address)
{
    int fd = socket_new(AF_INET, SOCK_STREAM);

    puts(answer_of(connect(fd, (struct sockaddr *)address, sizeof(struct sockaddr_in))));
    return NULL;
}

static int thread(char **words)
{
    struct sockaddr_in address = local_port("0");
    socklen_t len = sizeof address;
    int fd = socket_new(AF_INET, SOCK_STREAM);
    pthread_t other;

    (void)words;
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 8) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
        pthread_create(&other, NULL, connect_to, &address) != 0 || pthread_join(other, NULL) != 0)
        broken("a thread and a listener");
    return 0;
}

static int memory(char **words)
{
    char path[64];

    (void)words;
    snprintf(path, sizeof path, "/proc/%d/mem", getppid());
    puts(answer_of(open(path, O_RDWR | O_CLOEXEC)));
    return 0;
}

/* landlock(7), from ABI 4. */
static int domain(char **words)
{
    uint64_t handled[2] = {0, 1 << 1}; /* LANDLOCK_ACCESS_NET_CONNECT_TCP */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connecting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)words;
    if (bind(listening, (struct sockaddr *)&address, len) < 0 || listen(listening, 8) < 0 ||
        getsockname(listening, (struct sockaddr *)&address, &len) < 0)
        broken("a listener");
    int ruleset = (int)syscall(444, handled, sizeof handled, 0); /* landlock_create_ruleset, landlock_restrict_self */
    if (ruleset < 0)
        failed();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(446, ruleset, 0) < 0)
        broken("a domain");
    puts(answer_of(connect(connecting, (struct sockaddr *)&address, len)));
    return 0;
}

/* chroot(2): a process that holds a directory outside its root can walk up from it. */
static int leave(char **words)
{
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if ((mkdir("inner", 0755) < 0 && errno != EEXIST) || here < 0)
        broken("a directory of our own");
    if (chroot("inner") < 0 || fchdir(here) < 0)
        failed();
    for (int i = 0; i < UP_LEVELS; i++)
        if (chdir("..") < 0)
            failed();
    if (chroot(".") < 0 || open(words[0], O_RDONLY | O_CLOEXEC) < 0)
        failed();
    puts("ok");
    return 0;
}

static const struct command {
    const char *name;
    int words;     /* after the name */
    bool runs_one; /* and a command after them */
    int (*run)(char **words);
} commands[] = {
    {"as", 1, true, as_user},           {"unreaped", 0, true, unreaped},      {"holding", 2, true, holding},
    {"deaf", 1, true, deaf},            {"heard", 2, true, heard},            {"tell", 2, false, tell},
    {"listener", 1, false, listener},   {"undumpable", 1, false, undumpable}, {"nonblock", 1, false, nonblock},
    {"autobound", 1, false, autobound}, {"seqpacket", 1, false, seqpacket},   {"directory", 0, false, directory},
    {"split", 0, false, split},         {"thread", 0, false, thread},         {"memory", 0, false, memory},
    {"leave", 1, false, leave},         {"domain", 0, false, domain},         {"traceless", 0, true, traceless},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
        const struct command *command = &commands[i];

        if (strcmp(command->name, argv[1]) == 0 &&
            (command->runs_one ? argc > command->words + 2 : argc == command->words + 2))
            return command->run(argv + 2);
    }
    fputs(usage_text, stderr);
    return BROKEN;
}

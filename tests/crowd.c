/* crowd - calls of a hostile or busy program that somebody has to be asked about: tests/ask.test */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRONG_USE = 2, CROWD_MAX = 4096, THREAD_STACK = 32768 };

static const char usage_text[] =
    "usage: crowd sink 0 ADDRESS PORT       take connections, however many at once, and close them\n"
    "       crowd connect N ADDRESS PORT    N threads connect at once; how many got what\n"
    "       crowd alarm FLAGS ADDRESS PORT MS\n"
    "                                       connect under an alarm each MS, whose handler has `restart` or `none`\n"
    "       crowd alarm stop ADDRESS PORT 0 the same with `restart`, and alarms by others; the handler stops\n"
    "       crowd kill N ADDRESS PORT       N processes that connect are killed while they wait; the last one isn't\n"
    "       crowd many ADDRESS... PORT      one sendmmsg to all of them; how many were sent, then the error\n"
    "       crowd swap CALL GOOD BAD PORT   connect, sendto or bind to GOOD; meanwhile the memory changes to BAD\n";

static struct sockaddr_in target;
static int results[CROWD_MAX]; /* errno, 0: success */

static struct sockaddr_in address_of(const char *text, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

    if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
        fputs(usage_text, stderr);
        exit(WRONG_USE);
    }
    return address;
}

static int connect_once(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 ? errno : 0;

    close(fd);
    return result;
}

__attribute__((noreturn)) static void sink(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&target, sizeof target) < 0 || listen(fd, CROWD_MAX) < 0) {
        perror("sink");
        exit(WRONG_USE);
    }
    for (;;)
        close(accept(fd, NULL, NULL));
}

static void print_result(int error)
{
    puts(error == 0 ? "ok" : strerror(error));
}

static void *connect_one(void *place)
{
    *(int *)place = connect_once(&target);
    return NULL;
}

static int connect_all(int n)
{
    static pthread_t threads[CROWD_MAX];
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], &attributes, connect_one, &results[i]) != 0)
            return 1;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < n; i++) {
        int same = 0, first = 1;

        for (int k = 0; k < n; k++) {
            same += results[k] == results[i];
            first = first && (k >= i || results[k] != results[i]);
        }
        if (first)
            printf("%d %s\n", same, results[i] == 0 ? "ok" : strerror(results[i]));
    }
    return 0;
}

static volatile sig_atomic_t alarms;

static void count(int number)
{
    (void)number;
    alarms++;
}

static void count_and_stop(int number)
{
    count(number);
    raise(SIGSTOP);
}

static void connect_under_alarms(const char *flags, int ms)
{
    bool stops = strcmp(flags, "stop") == 0;
    struct sigaction action = {.sa_handler = stops ? count_and_stop : count,
                               .sa_flags = strcmp(flags, "none") == 0 ? 0 : SA_RESTART};
    struct itimerval each = {{0, ms * 1000}, {0, ms * 1000}}, none = {{0, 0}, {0, 0}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &each, NULL);
    int result = connect_once(&target);
    setitimer(ITIMER_REAL, &none, NULL);
    printf("%s after alarms: %s\n", result == 0 ? "ok" : strerror(result), alarms > 1 ? "many" : "few");
}

static void kill_while_held(int n)
{
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(connect_once(&target));
        usleep(200000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    print_result(connect_once(&target));
}

static void send_many(int n, char **words)
{
    struct mmsghdr messages[16];
    struct sockaddr_in to[16];
    struct iovec iov = {(char *)(uintptr_t)"text", 4};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    for (int i = 0; i < n && i < 16; i++) {
        to[i] = address_of(words[i], words[n]);
        messages[i] = (struct mmsghdr){
            .msg_hdr = {.msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &iov, .msg_iovlen = 1}};
    }
    int sent = (int)syscall(SYS_sendmmsg, fd, messages, n, 0); /* musl's is a loop of sendmsg */
    if (sent < 0)
        print_result(errno);
    else
        printf("%d\n", sent);
}

static struct sockaddr_in swapped, bad;

/* The other thread: once the call waits, the memory that it was made with says something else. */
static void *swap(void *nothing)
{
    (void)nothing;
    usleep(300000);
    memcpy((void *)&swapped, &bad, sizeof bad);
    return NULL;
}

static void call_while_swapped(const char *call)
{
    pthread_t thread;
    int stream = strcmp(call, "sendto") != 0, fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0), result;
    struct sockaddr_in name;
    socklen_t len = sizeof name;

    swapped = target;
    pthread_create(&thread, NULL, swap, NULL);
    if (strcmp(call, "connect") == 0)
        result = connect(fd, (struct sockaddr *)&swapped, sizeof swapped);
    else if (strcmp(call, "bind") == 0)
        result = bind(fd, (struct sockaddr *)&swapped, sizeof swapped);
    else
        result = (int)sendto(fd, "text", 4, 0, (struct sockaddr *)&swapped, sizeof swapped);
    int error = result < 0 ? errno : 0;
    pthread_join(thread, NULL);
    print_result(error);
    if (error == 0 && stream && (strcmp(call, "bind") == 0 ? getsockname(fd, (struct sockaddr *)&name, &len)
                                                           : getpeername(fd, (struct sockaddr *)&name, &len)) == 0)
        puts(inet_ntoa(name.sin_addr));
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "many") == 0 && argc > 3) {
        send_many(argc - 3, argv + 2);
        return 0;
    }
    if (strcmp(what, "swap") == 0 && argc == 6) {
        target = address_of(argv[3], argv[5]);
        bad = address_of(argv[4], argv[5]);
        call_while_swapped(argv[2]);
        return 0;
    }
    if (strcmp(what, "alarm") == 0 && argc == 6) {
        target = address_of(argv[3], argv[4]);
        connect_under_alarms(argv[2], atoi(argv[5]));
        return 0;
    }
    if (argc != 5) {
        fputs(usage_text, stderr);
        return WRONG_USE;
    }
    target = address_of(argv[3], argv[4]);
    if (strcmp(what, "sink") == 0)
        sink();
    if (strcmp(what, "connect") == 0)
        return connect_all(atoi(argv[2]));
    if (strcmp(what, "kill") == 0)
        kill_while_held(atoi(argv[2]));
    return 0;
}

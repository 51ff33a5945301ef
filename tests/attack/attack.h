/* attack.h - what the attacks share: where the victims are, and one line about what happened
 *
 * An attack runs under outside (outside.c), which holds the victims and has the last word: what arrives at a victim is
 * an escape whatever the attack itself believes. The attack prints one line, "ESCAPED: ..." or "held: ...". */
#ifndef ATTACK_H
#define ATTACK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define UNUSED __attribute__((unused)) /* not every attack needs every helper */

/* The policy names 127.0.0.1:PORT (and DEAF_PORT, which accepts nobody). What reaches another of these escaped. */
#define PERMITTED "127.0.0.1"
#define VICTIM "127.0.0.2"
#define VICTIM6 "::1"
#define VICTIM_UNIX "sandlock-attack" /* abstract, stream and datagram; in $ATTACK_DIR victim.stream and victim.dgram */
#define TAKEN_UNIX "@sandlock-attack.taken" /* under outside -T a victim has it whenever it is free */
enum { PORT = 7401, OTHER_PORT = 7402, DEAF_PORT = 7403 };

/* What outside -i leaves open: an unconnected UDP socket, a TCP one connected to a victim, a unix datagram one. */
enum { LEAKED_UDP = 10, LEAKED_TCP = 11, LEAKED_UNIX = 12 };

/* $ATTACK_DIR/taking, under outside -t: what somebody outside takes at PERMITTED as soon as it is free. TCP, UDP. */
struct taking {
    unsigned wanted[2], taken[2];
    bool reuse; /* with SO_REUSEADDR */
};

/* $ATTACK_SHARED, under outside -p: UDP ports that somebody outside has, with SO_REUSEADDR and SO_REUSEPORT, so that
 * others may have them, too. */

struct report {
    char text[3000];
    size_t used;
};

static UNUSED struct report escapes, answers;

__attribute__((format(printf, 2, 0))) static void report_add(struct report *to, const char *format, va_list args)
{
    size_t room = sizeof to->text - to->used;
    int n = snprintf(to->text + to->used, room, "%s", to->used ? ", " : "");

    n += vsnprintf(to->text + to->used + n, room > (size_t)n ? room - (size_t)n : 0, format, args);
    to->used = to->used + (size_t)n < sizeof to->text ? to->used + (size_t)n : sizeof to->text - 1;
}

/* Something that must not happen did. */
__attribute__((format(printf, 1, 2))) static UNUSED void escape(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report_add(&escapes, format, args);
    va_end(args);
}

/* What the kernel or the sandbox answered. */
__attribute__((format(printf, 1, 2))) static UNUSED void answer(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report_add(&answers, format, args);
    va_end(args);
}

/* A call towards a victim. Its result alone proves nothing: whether something arrived is for outside to say. */
static UNUSED long tried(const char *what, long result)
{
    if (result < 0)
        answer("%s: %s", what, strerror(errno));
    else
        answer("%s: %ld", what, result);
    return result;
}

/* A call that must not succeed. */
static UNUSED long forbidden(const char *what, long result)
{
    if (result < 0)
        answer("%s: %s", what, strerror(errno));
    else
        escape("%s", what);
    return result;
}

/* A call that can't succeed with these arguments, but whose error shows whether the kernel ever looked at them. */
static UNUSED void forbidden_to_ask(const char *what, long result)
{
    if (result < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS || errno == EOPNOTSUPP))
        answer("%s: %s", what, strerror(errno));
    else
        escape("%s: %s", what, result < 0 ? strerror(errno) : "done");
}

/* The attack could not be carried out as it was meant: neither held nor escaped. */
__attribute__((format(printf, 1, 2), noreturn)) static UNUSED void broken(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("broken: ", stdout);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    _exit(2);
}

/* The attack's line and main's result. */
static UNUSED int attack_done(void)
{
    if (escapes.used)
        printf("ESCAPED: %s\n", escapes.text);
    else
        printf("held: %s\n", answers.used ? answers.text : "nothing was answered");
    fflush(stdout);
    return escapes.used > 0;
}

static UNUSED struct sockaddr_in at4(const char *text, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
        broken("%s is no IPv4 address", text);
    return a;
}

static UNUSED struct sockaddr_in6 at6(const char *text, int port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET6, text, &a.sin6_addr) != 1)
        broken("%s is no IPv6 address", text);
    return a;
}

/* A unix address: a path, or an abstract name after '@'. Its length is the result. */
static UNUSED socklen_t at_unix(struct sockaddr_un *a, const char *name)
{
    size_t len = strlen(name);

    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len >= sizeof a->sun_path)
        broken("%s is too long a name", name);
    memcpy(a->sun_path, name, len);
    if (name[0] == '@')
        a->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] != '@'));
}

/* $ATTACK_DIR/name. The calling thread's until its next call. */
static UNUSED const char *in_dir(const char *name)
{
    static __thread char path[200];
    const char *dir = getenv("ATTACK_DIR");

    snprintf(path, sizeof path, "%s/%s", dir ? dir : ".", name);
    return path;
}

static UNUSED double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Memory that a fork shares. */
static UNUSED void *shared_memory(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        broken("no memory: %s", strerror(errno));
    return p;
}

/* The life of a thread that is only there. */
static UNUSED void *wait_for_ever(void *unused)
{
    pause();
    return unused;
}

/* Run one attempt in a process of its own, because it may be killed for it. It returns a call's result with errno. */
static UNUSED void forbidden_in_child(const char *what, long (*attempt)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        errno = 0;
        _exit(attempt() < 0 ? (errno ? errno : 255) : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        broken("cannot fork: %s", strerror(errno));
    if (WIFSIGNALED(status))
        answer("%s: killed by %s", what, strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 0)
        escape("%s", what);
    else
        answer("%s: %s", what, strerror(WEXITSTATUS(status)));
}

/* Does the permitted destination still work? An attack that found everything refused would prove nothing. */
static UNUSED void permitted_works(void)
{
    struct sockaddr_in to = at4(PERMITTED, PORT);
    int s = socket(AF_INET, SOCK_STREAM, 0);

    if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to) < 0)
        broken("the permitted destination answers: %s", strerror(errno));
    close(s);
}

#endif

/* lineage - a process that is restricted by itself, and what it may start to get away from that (threats row 39)
 *
 * usage: lineage DIR [reaper]    the policy permits 127.0.0.1:9, where nobody listens, and refuses with EACCES
 * A child writes its number to DIR/pid and waits for DIR/go: then it is restricted to nothing. reaper: their parent
 * becomes a subreaper first, so that orphans come to it and look like its own. */
#include "attack.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

enum { PORT_NOBODY = 9, ORPHAN_PATIENCE = 200 };

static int results[2]; /* a pipe: lines of what was tried and its errno */

/* How a connect ends. */
static int try_connect(void)
{
    struct sockaddr_in to = at4(PERMITTED, PORT_NOBODY);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(s, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;

    close(s);
    return result;
}

static void tell(const char *what)
{
    dprintf(results[1], "%s %d\n", what, try_connect());
}

static void *in_thread(void *what)
{
    tell(what);
    return NULL;
}

/* Wait until the parent is another one. */
static void become_orphan(pid_t parent)
{
    for (int i = 0; getppid() == parent && i < ORPHAN_PATIENCE; i++)
        usleep(10000);
}

/* A child of a child, which ends; `deep` times. */
static void orphan(const char *what, int deep)
{
    pid_t child = fork();

    if (child == 0) {
        pid_t self = getpid();

        if (fork() > 0)
            _exit(0);
        become_orphan(self);
        if (deep > 1)
            orphan(what, deep - 1);
        else
            tell(what);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void child(const char *what)
{
    pid_t pid = fork();

    if (pid == 0) {
        tell(what);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

/* One that is its maker's sister from the beginning. */
static void sister(void)
{
    long pid = syscall(__NR_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0) {
        tell("CLONE_PARENT");
        _exit(0);
    }
    if (pid < 0)
        dprintf(results[1], "CLONE_PARENT %d\n", EACCES); /* it isn't there */
}

static void executed(const char *self)
{
    pid_t pid = fork();
    char fd[16];

    snprintf(fd, sizeof fd, "%d", results[1]);
    if (pid == 0) {
        execl(self, self, "try", fd, (char *)NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}

/* The restricted one's life. */
static void restricted(const char *self)
{
    pthread_t thread;

    tell("itself");
    if (pthread_create(&thread, NULL, in_thread, (void *)(uintptr_t)"thread") == 0)
        pthread_join(thread, NULL);
    child("child");
    executed(self);
    orphan("orphan", 1);
    orphan("orphan-of-orphans", 3);
    sister();
    if (fork() == 0) { /* one that was never seen, and outlives all of them */
        pid_t parent = getppid();

        setsid();
        become_orphan(parent);
        tell("survivor");
        _exit(0);
    }
    _exit(0);
}

static void note(const char *name, pid_t pid)
{
    char path[300], text[32];
    int n = snprintf(text, sizeof text, "%d\n", pid);

    snprintf(path, sizeof path, "%s.new", in_dir(name));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, (size_t)n) != n || rename(path, in_dir(name)) < 0)
        broken("cannot write %s: %s", path, strerror(errno));
    close(fd);
}

int main(int argc, char **argv)
{
    char name[64];
    int error;

    if (argc == 3 && strcmp(argv[1], "try") == 0) {
        results[1] = atoi(argv[2]);
        tell("exec");
        return 0;
    }
    if (argc < 2 || pipe(results) < 0)
        broken("usage: lineage DIR [reaper]");
    setenv("ATTACK_DIR", argv[1], 1);
    if (argc > 2 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        broken("cannot be a subreaper: %s", strerror(errno));
    if (fork() == 0) {
        note("pid", getpid());
        while (access(in_dir("go"), F_OK) < 0)
            usleep(10000);
        restricted("/proc/self/exe");
    }
    if (fork() == 0) { /* another branch of the family */
        while (access(in_dir("go"), F_OK) < 0)
            usleep(10000);
        tell("brother");
        _exit(0);
    }
    close(results[1]);
    results[1] = -1;
    FILE *lines = fdopen(results[0], "r");
    while (lines != NULL && fscanf(lines, "%63s %d", name, &error) == 2) {
        bool free_one = strcmp(name, "brother") == 0;

        if (free_one && argc == 2 && error != ECONNREFUSED)
            broken("the unrestricted brother got: %s", strerror(error));
        if (!free_one && error != EACCES)
            escape("%s: %s", name, strerror(error));
        if (error == EACCES || free_one)
            answer("%s: %s", name, strerror(error));
    }
    return attack_done();
}

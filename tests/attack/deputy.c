/* deputy - unix sockets outside, by every name that leads to them (threats rows 17, 18)
 *
 * usage: deputy [taken]. Whoever listens there does with our words what we may not do ourselves, and can hand us a
 * socket. taken: an abstract name of our own becomes a stranger's (outside -T) while we connect to it. */
#include "attack.h"

#include <pthread.h>
#include <sys/stat.h>

static void to_name(const char *how, const char *name, int type)
{
    struct sockaddr_un to;
    socklen_t len = at_unix(&to, name);
    int s = socket(AF_UNIX, type, 0);

    if (s < 0) {
        answer("%s: socket: %s", how, strerror(errno));
        return;
    }
    if (type == SOCK_DGRAM)
        tried(how, sendto(s, how, strlen(how), MSG_DONTWAIT, (struct sockaddr *)&to, len));
    if (tried(how, connect(s, (struct sockaddr *)&to, len)) == 0)
        tried(how, write(s, how, strlen(how)));
    close(s);
}

/* The two victims, stream and datagram, by names made of this format. */
static void to_both(const char *how, const char *format)
{
    char name[100];

    snprintf(name, sizeof name, format, "stream");
    to_name(how, name, SOCK_STREAM);
    snprintf(name, sizeof name, format, "dgram");
    to_name(how, name, SOCK_DGRAM);
}

static void through_descriptors(void)
{
    char name[128];
    int dir = open(in_dir("."), O_PATH | O_DIRECTORY);
    int stream = open(in_dir("victim.stream"), O_PATH);

    snprintf(name, sizeof name, "/proc/self/fd/%d/victim.%%s", dir);
    to_both("through a directory's descriptor", name);
    snprintf(name, sizeof name, "/proc/self/fd/%d", stream);
    to_name("through its own descriptor", name, SOCK_STREAM);
    snprintf(name, sizeof name, "/dev/fd/%d/victim.%%s", dir);
    to_both("through /dev/fd", name);
}

/* Every process, and every thread, has its own names for the root and its directory. */
static void through_proc(void)
{
    static const char *const roots[] = {"/proc/self/../self", "/proc/thread-self", "/proc/self/task/../../thread-self",
                                        "/proc/%d", "/proc/self/task/%d", "/proc/%d/task/../cwd/../../../../proc/%1$d"};
    char name[200], root[60];

    for (size_t i = 0; i < COUNT(roots); i++) {
        snprintf(root, sizeof root, roots[i], getpid());
        snprintf(name, sizeof name, "%s/root/%.40s/victim.%%s", root, in_dir("."));
        to_both("through its root", name);
        snprintf(name, sizeof name, "%s/cwd/victim.%%s", root);
        to_both("through its directory", name);
    }
}

/* Root stands outside a root of its own. */
static void from_outside_the_root(void)
{
    int dir = open(in_dir("."), O_PATH | O_DIRECTORY);

    if (mkdir(in_dir("node"), 0777) < 0 || chroot(in_dir("node")) < 0 || fchdir(dir) < 0) {
        answer("chroot: %s", strerror(errno));
        return;
    }
    to_both("from outside the root", "victim.%s");
    to_both("upwards from outside the root", "../../../../victim.%s");
}

static void *connect_to_own(void *unused)
{
    struct sockaddr_un at;
    socklen_t len = at_unix(&at, TAKEN_UNIX);

    for (;;) {
        int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

        connect(s, (struct sockaddr *)&at, len);
        close(s);
    }
    return unused;
}

/* The name is ours again and again, and given up at any moment of a connect. */
static void taken(void)
{
    const char *seconds = getenv("ATTACK_SECONDS");
    double end = now() + (seconds ? atof(seconds) : 3);
    struct sockaddr_un at;
    socklen_t len = at_unix(&at, TAKEN_UNIX);
    unsigned rounds = 0;
    pthread_t thread;

    if (pthread_create(&thread, NULL, connect_to_own, NULL) != 0)
        broken("no thread: %s", strerror(errno));
    while (now() < end) {
        int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (bind(s, (struct sockaddr *)&at, len) == 0 && listen(s, 100) == 0) {
            usleep(rounds++ % 300);
        }
        close(s);
    }
    answer("%u rounds", rounds);
}

int main(int argc, char **argv)
{
    char name[100];

    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "taken") == 0) {
        taken();
        return attack_done();
    }
    to_both("abstract", "@" VICTIM_UNIX ".%s");
    snprintf(name, sizeof name, "%s.%%s", in_dir("victim"));
    to_both("by path", name);
    char link_name[100], victim[100];
    snprintf(link_name, sizeof link_name, "%s", in_dir("link"));
    snprintf(victim, sizeof victim, "%s", in_dir("victim.stream"));
    if (symlink(victim, link_name) == 0)
        to_name("by a link", link_name, SOCK_STREAM);
    unlink(link_name);
    if (link(victim, link_name) == 0)
        to_name("by a hard link", link_name, SOCK_STREAM);
    unlink(link_name);
    through_descriptors();
    if (chdir(in_dir(".")) < 0)
        broken("chdir: %s", strerror(errno));
    to_both("relative", "victim.%s");
    to_both("relative, winding", "./../.././../../../../../../../../proc/self/cwd/victim.%s");
    through_proc();
    permitted_works();
    from_outside_the_root();
    return attack_done();
}

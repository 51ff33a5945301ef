/* peers - processes of the same user outside: the supervisor and a bystander (threats rows 19, 20, 43)
 *
 * usage: peers memory | descriptors | signals | limits | schedule | terminal | gone [PID]. gone: the supervisor is kept
 * busy until it, or PID, our parent, ends (outside -k), then whatever it gated is tried. */
#include "attack.h"

#include <linux/kcmp.h>
#include <pty.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

enum { PIDFD_GETFD_TRIES = 64, PATIENCE = 10, VT_SELECTION = 0x541C /* TIOCLINUX */ };

static pid_t bystander, supervisor;

static unsigned long from_environment(const char *name)
{
    const char *text = getenv(name);

    if (text == NULL)
        broken("%s is not set: run me under outside", name);
    return strtoul(text, NULL, 10);
}

static const char *label(const char *what, pid_t pid)
{
    static char text[80];

    snprintf(text, sizeof text, "%s %s", what, pid == bystander ? "bystander" : "supervisor");
    return text;
}

static void memory_of(pid_t pid, void *word)
{
    uint64_t value = 2;
    struct iovec local = {&value, sizeof value}, remote = {word, sizeof value};
    char path[64];
    int pidfd = (int)syscall(__NR_pidfd_open, pid, 0);

    forbidden_to_ask(label("read", pid), process_vm_readv(pid, &local, 1, &remote, 1, 0));
    forbidden_to_ask(label("write", pid), process_vm_writev(pid, &local, 1, &remote, 1, 0));
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    forbidden(label("open /proc/PID/mem of", pid), open(path, O_RDWR | O_CLOEXEC));
    forbidden(label("open /proc/PID/mem for reading of", pid), open(path, O_RDONLY | O_CLOEXEC));
    forbidden_to_ask(label("process_madvise", pid), syscall(__NR_process_madvise, pidfd, &remote, 1, MADV_COLD, 0));
    forbidden_to_ask(label("kcmp", pid), syscall(__NR_kcmp, getpid(), pid, KCMP_FILE, 0, 0));
    forbidden_to_ask(label("move_pages", pid), syscall(__NR_move_pages, pid, 0, NULL, NULL, NULL, 0));
    if (forbidden(label("attach to", pid), ptrace(PTRACE_SEIZE, pid, NULL, NULL)) == 0)
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    close(pidfd);
}

static void memory(void)
{
    memory_of(bystander, (void *)from_environment("ATTACK_BYSTANDER_WORD"));
    memory_of(supervisor, (void *)0x400000);
}

static void descriptors(void)
{
    int pidfd = (int)syscall(__NR_pidfd_open, bystander, 0), got = 0;
    int s = (int)tried("pidfd_getfd", syscall(__NR_pidfd_getfd, pidfd, from_environment("ATTACK_BYSTANDER_FD"), 0));

    if (s >= 0)
        tried("write to it", write(s, "taken", 5));
    pidfd = (int)syscall(__NR_pidfd_open, supervisor, 0);
    for (int fd = 0; fd < PIDFD_GETFD_TRIES; fd++)
        got += syscall(__NR_pidfd_getfd, pidfd, fd, 0) >= 0;
    if (got > 0)
        escape("%d descriptors of the supervisor", got);
    got = 0;
    for (int fd = 0; fd < PIDFD_GETFD_TRIES; fd++) { /* those that are files can be opened by name */
        char path[64], to[64];

        snprintf(path, sizeof path, "/proc/%d/fd/%d", supervisor, fd);
        got += readlink(path, to, sizeof to) >= 0;
    }
    if (got > 0)
        escape("%d descriptors of the supervisor by name", got);
}

/* A descriptor's owner is sent a signal of our choice when there is something to read. */
static void by_descriptor_owner(pid_t pid, int sig)
{
    int pair[2];

    if (pipe(pair) < 0)
        broken("no pipe: %s", strerror(errno));
    fcntl(pair[0], F_SETSIG, sig);
    tried(label("F_SETOWN", pid), fcntl(pair[0], F_SETOWN, pid));
    fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    if (write(pair[1], "x", 1) < 0)
        broken("no write: %s", strerror(errno));
    usleep(100000);
}

/* SIGURG does no harm where it arrives. The last one is a SIGKILL: outside looks whether the bystander lives. */
static void signals(void)
{
    const pid_t pids[] = {bystander, supervisor};

    for (size_t i = 0; i < COUNT(pids); i++) {
        siginfo_t info = {.si_signo = SIGURG, .si_code = SI_QUEUE};
        int pidfd = (int)syscall(__NR_pidfd_open, pids[i], 0);

        forbidden(label("kill", pids[i]), kill(pids[i], SIGURG));
        forbidden(label("tkill", pids[i]), syscall(__NR_tkill, pids[i], SIGURG));
        forbidden(label("tgkill", pids[i]), syscall(__NR_tgkill, pids[i], pids[i], SIGURG));
        forbidden(label("rt_sigqueueinfo", pids[i]), syscall(__NR_rt_sigqueueinfo, pids[i], SIGURG, &info));
        forbidden(label("rt_tgsigqueueinfo", pids[i]), syscall(__NR_rt_tgsigqueueinfo, pids[i], pids[i], SIGURG,
                                                               &info));
        forbidden(label("pidfd_send_signal", pids[i]), syscall(__NR_pidfd_send_signal, pidfd, SIGURG, NULL, 0));
        close(pidfd);
    }
    by_descriptor_owner(bystander, SIGKILL);
    tried("SIGKILL", kill(bystander, SIGKILL));
}

/* The same limits again: taken or refused, nothing changes. */
static void limits(void)
{
    static const int kinds[] = {RLIMIT_CPU, RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_FSIZE};
    const pid_t pids[] = {bystander, supervisor};

    for (size_t i = 0; i < COUNT(pids); i++)
        for (size_t k = 0; k < COUNT(kinds); k++) {
            uint64_t limit[2] = {1 << 20, UINT64_MAX};

            if (syscall(__NR_prlimit64, pids[i], kinds[k], NULL, limit) < 0)
                syscall(__NR_prlimit64, 0, kinds[k], NULL, limit);
            forbidden(label("set a limit of the", pids[i]), syscall(__NR_prlimit64, pids[i], kinds[k], limit, NULL));
            forbidden(label("set a limit, with garbage, of the", pids[i]),
                      syscall(__NR_prlimit64, (uint64_t)(uint32_t)pids[i] | 0x7700000000, kinds[k], limit, NULL));
        }
    permitted_works();
}

/* Where, when and with what priority another process runs: the same again, or the mildest change. */
static void schedule(void)
{
    const pid_t pids[] = {bystander, supervisor};

    for (size_t i = 0; i < COUNT(pids); i++) {
        struct sched_param parameters = {0};
        uint64_t cpus[16] = {0}, attributes[7] = {sizeof attributes};

        long len = syscall(__NR_sched_getaffinity, pids[i], sizeof cpus, cpus);
        forbidden(label("sched_setaffinity", pids[i]), syscall(__NR_sched_setaffinity, pids[i], len > 0 ? len : 8,
                                                               cpus));
        forbidden(label("sched_setscheduler", pids[i]), syscall(__NR_sched_setscheduler, pids[i], SCHED_OTHER,
                                                                &parameters));
        forbidden(label("sched_setparam", pids[i]), syscall(__NR_sched_setparam, pids[i], &parameters));
        forbidden(label("sched_setattr", pids[i]), syscall(__NR_sched_setattr, pids[i], attributes, 0));
        forbidden(label("setpriority", pids[i]), syscall(__NR_setpriority, 0, pids[i], 1));
        forbidden(label("ioprio_set", pids[i]), syscall(__NR_ioprio_set, 1, pids[i], 2 << 13 | 7));
    }
}

static int controlling_terminal(void)
{
    int master, slave;

    setsid();
    if (openpty(&master, &slave, NULL, NULL, NULL) < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
        return -1;
    return slave;
}

static long type_into_terminal(void)
{
    return syscall(__NR_ioctl, controlling_terminal(), (uint64_t)TIOCSTI, "x");
}

static long type_with_garbage(void)
{
    return syscall(__NR_ioctl, controlling_terminal(), (uint64_t)TIOCSTI | 0x1100000000, "x");
}

static void terminal(void)
{
    char selection[16] = {2};

    forbidden_in_child("TIOCSTI", type_into_terminal);
    forbidden_in_child("TIOCSTI with garbage", type_with_garbage);
    forbidden_to_ask("UI_DEV_CREATE", ioctl(STDOUT_FILENO, 0x5501));
    /* Only a virtual console knows it; elsewhere ENOTTY shows that it was asked. */
    forbidden_to_ask("TIOCLINUX", ioctl(STDOUT_FILENO, VT_SELECTION, selection));
}

static void gone(void)
{
    struct sockaddr_in to = at4(VICTIM, PORT), permitted = at4(PERMITTED, PORT);
    static char text[60000];
    double began = now();

    while (getppid() == supervisor && now() - began < PATIENCE) {
        int s = socket(AF_INET, SOCK_DGRAM, 0);

        /* Ever longer ones: it needs pages that it didn't have before. */
        sendto(s, text, (size_t)((now() - began) / PATIENCE * sizeof text), 0, (struct sockaddr *)&permitted,
               sizeof permitted);
        close(s);
        usleep(1000);
    }
    if (getppid() == supervisor)
        broken("the supervisor is still there");
    for (int i = 0; i < 10; i++) {
        int mptcp = (int)forbidden("MPTCP", socket(AF_INET, SOCK_STREAM, 262));
        int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = (int)tried("socket", socket(AF_INET, SOCK_DGRAM, 0));

        tried("connect", connect(tcp, (struct sockaddr *)&to, sizeof to));
        tried("sendto", sendto(udp, "gone", 4, 0, (struct sockaddr *)&to, sizeof to));
        tried("connect-udp", connect(udp, (struct sockaddr *)&to, sizeof to));
        tried("send", send(udp, "gone", 4, 0));
        close(tcp);
        close(udp);
        close(mptcp);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"memory", memory}, {"descriptors", descriptors}, {"signals", signals}, {"limits", limits},
               {"schedule", schedule},
               {"terminal", terminal}, {"gone", gone}};

    supervisor = argc == 3 ? atoi(argv[2]) : getppid();
    bystander = (pid_t)from_environment("ATTACK_BYSTANDER");
    for (size_t i = 0; argc >= 2 && i < COUNT(all); i++)
        if (strcmp(argv[1], all[i].name) == 0) {
            all[i].run();
            return attack_done();
        }
    broken("usage: peers memory | descriptors | signals | limits | schedule | terminal | gone [PID]");
}

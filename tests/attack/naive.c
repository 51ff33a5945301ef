/* naive - a supervisor that does what sandlock must not: it checks a call, then lets the kernel carry it out
 *
 * usage: naive CMD [ARG...]. 127.0.0.2 is refused wherever it is seen and calls on sockets that aren't IP are let go.
 * The races win against it: that shows that they would win against sandlock if it continued a call. */
#include "attack.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#define TRAP(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)

static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    TRAP(__NR_connect), TRAP(__NR_sendto), TRAP(__NR_sendmsg), TRAP(__NR_sendmmsg),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void child_read(pid_t tid, uint64_t address, void *to, size_t len)
{
    struct iovec local = {to, len}, remote = {(void *)(uintptr_t)address, len};

    memset(to, 0, len);
    if (process_vm_readv(tid, &local, 1, &remote, 1, 0) < 0)
        memset(to, 0, len);
}

/* Does the call, as it looks now, go to the victim? AF_UNSPEC is no address to an IPv6 socket. */
static bool to_victim(const struct seccomp_notif *n, int domain)
{
    struct sockaddr_in a;
    uint64_t address = n->data.nr == __NR_connect ? n->data.args[1] : n->data.args[4];
    struct msghdr m;

    if (n->data.nr == __NR_sendmsg || n->data.nr == __NR_sendmmsg) {
        child_read((pid_t)n->pid, n->data.args[1], &m, sizeof m);
        address = (uint64_t)(uintptr_t)m.msg_name;
    }
    child_read((pid_t)n->pid, address, &a, sizeof a);
    if (domain == AF_INET6 && a.sin_family == AF_UNSPEC)
        return false;
    return a.sin_addr.s_addr == at4(VICTIM, PORT).sin_addr.s_addr || strstr(((char *)&a) + 3, VICTIM_UNIX) != NULL ||
           strstr(((char *)&a) + 2, "victim") != NULL;
}

/* The socket's domain; 0: none. */
static int domain_of(const struct seccomp_notif *n)
{
    int pidfd = (int)syscall(__NR_pidfd_open, n->pid, 0200 /* PIDFD_THREAD */), domain = 0;
    socklen_t len = sizeof domain;

    if (pidfd < 0)
        pidfd = (int)syscall(__NR_pidfd_open, n->pid, 0);
    int pin = (int)syscall(__NR_pidfd_getfd, pidfd, n->data.args[0], 0);
    getsockopt(pin, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    close(pidfd);
    if (pin >= 0)
        close(pin);
    return domain;
}

static void serve(int listener)
{
    for (;;) {
        struct seccomp_notif n = {0};
        struct seccomp_notif_resp r = {0};

        if (syscall(__NR_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
            continue;
        r.id = n.id;
        int domain = domain_of(&n);
        if ((domain == AF_INET || domain == AF_INET6) && to_victim(&n, domain))
            r.error = -ECONNREFUSED;
        else
            r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        syscall(__NR_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
    }
}

int main(int argc, char **argv)
{
    struct sock_fprog program = {COUNT(filter), filter};
    int status;

    (void)argc;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int *listener = shared_memory(sizeof *listener);
    pid_t child = fork();
    if (child == 0) {
        int fd = (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
        __atomic_store_n(listener, fd < 0 ? -1 : fd, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(listener, __ATOMIC_SEQ_CST) == fd)
            usleep(1000); /* until the parent has it */
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (__atomic_load_n(listener, __ATOMIC_SEQ_CST) == 0)
        usleep(1000);
    int pidfd = (int)syscall(__NR_pidfd_open, child, 0);
    int fd = (int)syscall(__NR_pidfd_getfd, pidfd, *listener, 0);
    if (fd < 0)
        broken("no listener: %s", strerror(errno));
    __atomic_store_n(listener, -2, __ATOMIC_SEQ_CST);
    pid_t server = fork();
    if (server == 0)
        serve(fd);
    waitpid(child, &status, 0);
    kill(server, SIGKILL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

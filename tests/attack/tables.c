/* tables - a thread whose descriptors aren't its leader's (threats row 6)
 *
 * usage: tables. In the leader's table a number is a connected unix socket, in the thread's it is a UDP or a TCP
 * socket: a supervisor that looks into the wrong table lets the call go. */
#include "attack.h"

#include <pthread.h>
#include <sched.h>

enum { SLOT = 60, UNSHARE_TABLE = 2 /* CLOSE_RANGE_UNSHARE */ };

static char stack[1 << 18] __attribute__((aligned(16)));
static int thread_word; /* the kernel clears it when the raw thread is gone */

/* Use the number as only this thread sees it. */
static void use(const char *how)
{
    struct sockaddr_in to = at4(VICTIM, PORT);
    struct iovec payload = {(void *)(uintptr_t)how, strlen(how)};
    struct mmsghdr m = {.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &payload}};
    int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);

    m.msg_hdr.msg_iovlen = 1;
    dup2(udp, SLOT);
    for (int i = 0; i < 10; i++) {
        syscall(__NR_sendto, SLOT, how, strlen(how), MSG_DONTWAIT, &to, sizeof to);
        syscall(__NR_sendmsg, SLOT, &m.msg_hdr, MSG_DONTWAIT);
        syscall(__NR_sendmmsg, SLOT, &m, 1, MSG_DONTWAIT);
    }
    dup2(tcp, SLOT);
    if (tried(how, connect(SLOT, (struct sockaddr *)&to, sizeof to)) == 0)
        tried(how, send(SLOT, how, strlen(how), MSG_NOSIGNAL));
    close(udp);
    close(tcp);
}

static void *by_unshare(void *unused)
{
    if (tried("unshare", unshare(CLONE_FILES)) == 0)
        use("unshare");
    if (tried("unshare with garbage", syscall(__NR_unshare, 0x1234567800000000 | CLONE_FILES)) == 0)
        use("unshare");
    return unused;
}

static void *by_close_range(void *unused)
{
    if (tried("close_range", syscall(__NR_close_range, 1000u, ~0u, UNSHARE_TABLE)) == 0)
        use("close_range");
    return unused;
}

/* It has no libc of its own (the leader waits, and nobody else runs). */
static int raw_thread(void *how)
{
    use(how);
    syscall(__NR_exit, 0);
    return 0;
}

static void by_clone(const char *how, unsigned long flags)
{
    static const unsigned long thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS | CLONE_SYSVSEM |
                                        CLONE_CHILD_CLEARTID;
    double end = now() + 5;

    thread_word = 1;
    if (tried(how, clone(raw_thread, stack + sizeof stack, (int)(thread | flags), (void *)(uintptr_t)how, NULL, NULL,
                         &thread_word)) < 0)
        return;
    while (__atomic_load_n(&thread_word, __ATOMIC_SEQ_CST) && now() < end)
        usleep(1000);
}

/* A process that shares the table, and then leaves it while the other stays. */
static void by_process(void)
{
    thread_word = 1;
    pid_t pid = clone(raw_thread, stack + sizeof stack, CLONE_FILES | CLONE_VM | SIGCHLD, "shared table");

    if (tried("clone with a shared table", pid) >= 0)
        waitpid(pid, NULL, 0);
}

/* The leader ends: the thread is then the only one of its process, with a table that no leader has. */
static void *by_orphan(void *unused)
{
    usleep(100000);
    if (tried("orphan unshare", unshare(CLONE_FILES)) == 0)
        use("orphan");
    use("orphan");
    exit(attack_done());
    return unused;
}

int main(void)
{
    pthread_t thread;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || dup2(pair[0], SLOT) != SLOT)
        broken("no pair: %s", strerror(errno));
    pthread_create(&thread, NULL, by_unshare, NULL);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, by_close_range, NULL);
    pthread_join(thread, NULL);
    by_clone("a thread with a table of its own", 0);
    by_process();
    permitted_works();
    dup2(pair[0], SLOT);
    pthread_create(&thread, NULL, by_orphan, NULL);
    pthread_exit(NULL);
}

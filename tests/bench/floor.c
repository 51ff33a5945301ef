/* floor - a bare supervisor, the least that does a call on behalf safely: sandlock is held against it
 *
 *     floor COMMAND [ARG...]
 *
 * For each connect, sendto, sendmsg and sendmmsg: wait, receive, read the memory, pin the socket, ask its domain and
 * type, check that the notification is valid, call, reply, close (seccomp_unotify(2)). For each open: read the path and
 * let the kernel go on. No policy, no limits, nothing pending: a call that blocks holds up all others. IPv4 and IPv6
 * sockets; of sendmsg, no control messages. It shares sys/kernel.h's bare wrappers with sandlock and nothing above, so
 * that what gets slower there shows. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "../../sys/kernel.h"
#include "measure.h"

#include <linux/filter.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { NAME_BYTES = 128, PAYLOAD_BYTES = 65536, MESSAGES_MAX = 64, PIECES_MAX = 8, PIDFD_SLOTS = 256 };

static int listener;

/* What one call's arguments are copied to. */
static struct sockaddr_storage names[MESSAGES_MAX];
static struct iovec pieces[MESSAGES_MAX][PIECES_MAX];
static struct kernel_mmsghdr messages[MESSAGES_MAX];
static char payload[MESSAGES_MAX * 4096 > PAYLOAD_BYTES ? MESSAGES_MAX * 4096 : PAYLOAD_BYTES];

/* pidfds are kept, descriptors never (dup2). */
static int pin(pid_t tid, int fd)
{
    static struct {
        pid_t tid;
        int pidfd;
    } slots[PIDFD_SLOTS], *slot;

    slot = &slots[(unsigned)tid % PIDFD_SLOTS];
    if (tid != slot->tid) {
        if (slot->tid != 0)
            close(slot->pidfd);
        slot->pidfd = sys_pidfd_open(tid, KERNEL_PIDFD_THREAD);
        slot->tid = tid;
    }
    return sys_pidfd_getfd(slot->pidfd, fd);
}

static bool read_pieces(pid_t tid, const struct iovec *local, size_t locals, const struct iovec *remote, size_t remotes)
{
    size_t want = 0;

    for (size_t i = 0; i < remotes; i++)
        want += remote[i].iov_len;
    return sys_process_vm_readv(tid, local, locals, remote, remotes) == (ssize_t)want;
}

/* The address, and with it the payload when its place is known. */
static bool read_direct(const struct seccomp_notif *call, uint64_t name, size_t namelen, uint64_t text, size_t len)
{
    struct iovec local[2] = {{names, namelen}, {payload, len}};
    struct iovec remote[2] = {{(void *)(uintptr_t)name, namelen}, {(void *)(uintptr_t)text, len}};

    if (namelen > NAME_BYTES || len > sizeof payload)
        return false;
    return read_pieces((pid_t)call->pid, local, len ? 2 : 1, remote, len ? 2 : 1);
}

/* n message headers, then all their addresses and vectors, then all their payloads: three reads, whatever n. Leaves
 * headers that point to our copies. */
static bool read_messages(pid_t tid, uint64_t at, size_t n, size_t stride)
{
    static struct iovec local[2 * MESSAGES_MAX], remote[PIECES_MAX * MESSAGES_MAX];
    struct iovec whole = {messages, n * stride}, from = {(void *)(uintptr_t)at, n * stride};
    size_t parts = 0, room = 0;

    if (n > MESSAGES_MAX || !read_pieces(tid, &whole, 1, &from, 1))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct kernel_msghdr *m = &messages[i].header;

        if (m->namelen < 0 || m->namelen > NAME_BYTES || m->iovlen > PIECES_MAX)
            return false;
        remote[parts] = (struct iovec){(void *)(uintptr_t)m->name, (size_t)m->namelen};
        local[parts++] = (struct iovec){&names[i], (size_t)m->namelen};
        remote[parts] = (struct iovec){(void *)(uintptr_t)m->iov, m->iovlen * sizeof(struct iovec)};
        local[parts++] = (struct iovec){pieces[i], m->iovlen * sizeof(struct iovec)};
        m->name = m->namelen > 0 ? (uintptr_t)&names[i] : 0;
        m->control = m->controllen = 0;
    }
    if (!read_pieces(tid, local, parts, remote, parts))
        return false;
    parts = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < messages[i].header.iovlen; j++) {
            if (pieces[i][j].iov_len > sizeof payload - room)
                return false;
            remote[parts++] = pieces[i][j];
            pieces[i][j].iov_base = payload + room;
            room += pieces[i][j].iov_len;
        }
        messages[i].header.iov = (uintptr_t)pieces[i];
    }
    whole = (struct iovec){payload, room};
    return read_pieces(tid, &whole, 1, remote, parts);
}

/* msg_len of the first n messages, back to the child in one call. */
static void write_lengths(pid_t tid, uint64_t at, size_t n)
{
    static struct iovec local[MESSAGES_MAX], remote[MESSAGES_MAX];

    for (size_t i = 0; i < n; i++) {
        uint64_t to = at + i * sizeof messages[0] + offsetof(struct kernel_mmsghdr, sent);

        local[i] = (struct iovec){&messages[i].sent, sizeof messages[i].sent};
        remote[i] = (struct iovec){(void *)(uintptr_t)to, sizeof messages[i].sent};
    }
    NEED(syscall(__NR_process_vm_writev, tid, local, n, remote, n, 0UL) > 0, "process_vm_writev");
}

static bool copy_arguments(const struct seccomp_notif *call)
{
    const __u64 *args = call->data.args;

    switch (call->data.nr) {
    case __NR_connect:
        return read_direct(call, args[1], args[2], 0, 0);
    case __NR_sendto:
        return read_direct(call, args[4], args[5], args[1], args[2]);
    case __NR_sendmsg:
        return read_messages((pid_t)call->pid, args[1], 1, sizeof messages[0].header);
    default:
        return read_messages((pid_t)call->pid, args[1], args[2], sizeof messages[0]);
    }
}

static long make_call(const struct seccomp_notif *call, int fd)
{
    const __u64 *args = call->data.args;

    switch (call->data.nr) {
    case __NR_connect:
        return syscall(__NR_connect, fd, names, args[2]);
    case __NR_sendto:
        return syscall(__NR_sendto, fd, payload, args[2], args[3], names, args[5]);
    case __NR_sendmsg:
        return syscall(__NR_sendmsg, fd, &messages[0].header, args[2]);
    default:
        return syscall(__NR_sendmmsg, fd, messages, args[2], args[3]);
    }
}

#ifdef __NR_open
enum { OLD_OPEN = __NR_open };
#else
enum { OLD_OPEN = -1 };
#endif

static bool is_open(int number)
{
    return number == __NR_openat || number == OLD_OPEN;
}

/* The path of an open, as far as its page goes. */
static void read_path(const struct seccomp_notif *call)
{
    uint64_t at = call->data.args[call->data.nr == __NR_openat];
    size_t len = 4096 - at % 4096;
    struct iovec local = {payload, len}, remote = {(void *)(uintptr_t)at, len};

    read_pieces((pid_t)call->pid, &local, 1, &remote, 1);
}

/* One notification, from receive to reply. */
static void serve_one(void)
{
    struct seccomp_notif call = {0};
    int domain, type;
    socklen_t len = sizeof(int);

    if (sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, (uintptr_t)&call) < 0)
        return;
    struct seccomp_notif_resp reply = {.id = call.id, .error = -EFAULT};
    if (is_open(call.data.nr)) {
        read_path(&call);
        reply = (struct seccomp_notif_resp){.id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, (uintptr_t)&reply);
        return;
    }
    bool copied = copy_arguments(&call);
    int fd = pin((pid_t)call.pid, (int)call.data.args[0]);
    if (fd < 0)
        reply.error = fd;
    if (fd >= 0 && copied && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && (domain == AF_INET || domain == AF_INET6) &&
        sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, (uintptr_t)&call.id) == 0) {
        reply.val = make_call(&call, fd);
        reply.error = reply.val < 0 ? -errno : 0;
        if (reply.val > 0 && call.data.nr == __NR_sendmmsg)
            write_lengths((pid_t)call.pid, call.data.args[1], (size_t)reply.val);
        if (reply.val < 0)
            reply.val = 0;
    }
    sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, (uintptr_t)&reply);
    if (fd >= 0)
        close(fd);
}

/* The child's side: the filter, its listener's number to the parent, the command. */
static void confine(int parent, char **argv)
{
    char taken;

    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)OLD_OPEN, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_connect, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendto, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendmsg, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendmmsg, 0, 5),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])), /* sendto: only with an address */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(filter), filter};

    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    int fd = sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    NEED(fd >= 0 && write(parent, &fd, sizeof fd) == sizeof fd, "listener");
    NEED(read(parent, &taken, 1) == 1, "listener"); /* exec closes it */
    execvp(argv[0], argv);
    measure_die(argv[0]);
}

int main(int argc, char **argv)
{
    int ready[2], number, status;

    NEED(argc > 1 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ready) == 0, "usage: floor COMMAND");
    pid_t child = fork();
    if (child == 0)
        confine(ready[1], argv + 1);
    int pidfd = sys_pidfd_open(child, 0);
    NEED(pidfd >= 0 && read(ready[0], &number, sizeof number) == sizeof number, "listener");
    listener = sys_pidfd_getfd(pidfd, number);
    NEED(listener >= 0 && write(ready[0], "", 1) == 1, "pidfd_getfd");
    sys_ioctl(listener, KERNEL_NOTIF_SET_FLAGS, KERNEL_NOTIF_SYNC_WAKE_UP); /* without it, slower */
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ended = {.events = EPOLLIN, .data.fd = pidfd};
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &ended) == 0, "epoll_ctl");
    for (;;) {
        if (epoll_wait(epoll, &event, 1, -1) < 1)
            continue;
        if (event.data.fd == pidfd)
            break;
        serve_one();
    }
    NEED(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

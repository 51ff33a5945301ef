/* fuzzer of sys/unixdiag.h: whatever comes as answers, what is found lies within them. */
#define _GNU_SOURCE
#include <sys/socket.h>

ssize_t fuzz_send(int fd, const void *bytes, size_t len, int flags);
ssize_t fuzz_recv(int fd, void *to, size_t room, int flags);
int fuzz_socket(int domain, int type, int protocol);

#define socket fuzz_socket
#define send fuzz_send
#define recv fuzz_recv
#include "../../sys/unixdiag.h"
#undef socket
#undef send
#undef recv

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is answers, each behind its length in two bytes. */
static struct cursor fuzz_answers;
static const char *fuzz_room; /* where the last one was put */
static size_t fuzz_len, fuzz_found;

int fuzz_socket(int domain, int type, int protocol)
{
    assert(domain == AF_NETLINK && type == (SOCK_DGRAM | SOCK_CLOEXEC) && protocol == NETLINK_SOCK_DIAG);
    return dup(STDERR_FILENO);
}

ssize_t fuzz_send(int fd, const void *bytes, size_t len, int flags)
{
    const struct nlmsghdr *request = bytes;

    assert(fd > STDERR_FILENO && flags == 0 && request->nlmsg_len == len);
    return (ssize_t)len;
}

ssize_t fuzz_recv(int fd, void *to, size_t room, int flags)
{
    assert(fd > STDERR_FILENO && flags == 0);
    const uint8_t *head = cursor_take(&fuzz_answers, 2);
    size_t len = head ? (size_t)(head[0] << 8 | head[1]) : 0, left = fuzz_answers.len - fuzz_answers.pos;

    if (head == NULL) {
        errno = EAGAIN;
        return -1;
    }
    len = len < left ? len : left;
    fuzz_len = len < room ? len : room;
    memset(to, 0xff, room);
    memcpy(to, cursor_take(&fuzz_answers, len), fuzz_len);
    fuzz_room = to;
    return (ssize_t)fuzz_len;
}

static void fuzz_socket_found(const struct unixdiag_socket *s, void *found)
{
    size_t *n = found;

    ++*n;
    assert(*n <= fuzz_answers.len / sizeof(struct nlmsghdr));
    if (s->name != NULL)
        assert(s->name >= fuzz_room && s->name + s->name_len <= fuzz_room + fuzz_len);
}

static void fuzz_look_for(const uint8_t *data, size_t size, const struct unixdiag_key *key)
{
    fuzz_answers = (struct cursor){.p = data, .len = size};
    fuzz_found = 0;
    assert(unixdiag_each(key, fuzz_socket_found, &fuzz_found) <= 0 || fuzz_found <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct unixdiag_key name = {.name = "\0name", .len = 5}, inode = {.device = 0x800001, .inode = 77};

    fuzz_look_for(data, size, NULL);
    size_t all = fuzz_found;
    fuzz_look_for(data, size, &name);
    assert(fuzz_found <= all);
    fuzz_look_for(data, size, &inode);
    assert(fuzz_found <= all);
    return 0;
}

#include "replay.h"

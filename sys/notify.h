/* notify.h - seccomp user notifications and the waiting child's memory (seccomp_unotify(2), process_vm_readv(2)) */
#ifndef NOTIFY_H
#define NOTIFY_H

#include "kernel.h"
#include "procfs.h"

/* The kernel writes as many bytes as its own structures have; newer kernels may have larger ones. */
enum { NOTIFY_BYTES = 256 };

union notify_buffer {
    struct seccomp_notif request;
    struct seccomp_notif_resp response;
    uint8_t room[NOTIFY_BYTES];
};

/* 0, or -errno; -E2BIG when this kernel's structures outgrew ours. */
static int notify_check_sizes(void)
{
    struct seccomp_notif_sizes sizes;
    int result = sys_seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes);

    if (result < 0)
        return result;
    return sizes.seccomp_notif > NOTIFY_BYTES || sizes.seccomp_notif_resp > NOTIFY_BYTES ? -E2BIG : 0;
}

/* Take the next notification; blocks when there is none. 0 or -errno (-ENOENT: its thread is gone already). */
static int notify_receive(int listener, union notify_buffer *buffer)
{
    memset(buffer, 0, sizeof *buffer); /* the kernel refuses anything else */
    return sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, (uintptr_t)buffer);
}

/* Does the thread that made this call still wait for it? Proof that its id was not somebody else's when we used it. */
static bool notify_valid(int listener, uint64_t id)
{
    return sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, (uintptr_t)&id) == 0;
}

/* Let the call return `value`, or fail when it is negative (-errno). 0 or -errno (-ENOENT: nobody waits any more). */
static int notify_return(int listener, uint64_t id, int64_t value)
{
    union notify_buffer buffer = {.response = {.id = id}};

    if (value < 0)
        buffer.response.error = (int32_t)value;
    else
        buffer.response.val = value;
    return sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, (uintptr_t)&buffer);
}

/* Let the kernel carry the call out itself. It reads the arguments' memory again. 0 or -errno. */
static int notify_continue(int listener, uint64_t id)
{
    union notify_buffer buffer = {.response = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE}};

    return sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, (uintptr_t)&buffer);
}

/* Give the child a descriptor of our file, with fd_flags (O_CLOEXEC). Its number there, or -errno. The call isn't
 * answered by that. */
static int notify_add_fd(int listener, uint64_t id, int fd, uint32_t fd_flags)
{
    struct seccomp_notif_addfd add = {.id = id, .srcfd = (uint32_t)fd, .newfd_flags = fd_flags};

    return sys_ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, (uintptr_t)&add);
}

/* Ask for wake-ups on the same core, where the kernel can (6.6). 0 or -errno. */
static int notify_stay_near(int listener)
{
    return sys_ioctl(listener, KERNEL_NOTIF_SET_FLAGS, KERNEL_NOTIF_SYNC_WAKE_UP);
}

/* The same bytes by /proc/TID/mem, where process_vm_readv(2) and process_vm_writev(2) are refused. Bytes copied or
 * -errno. */
static ssize_t child_copy_by_proc(pid_t tid, const struct iovec *local, size_t locals, const struct iovec *remote,
                                  size_t remotes, bool writes)
{
    char path[40];
    size_t piece = 0, used = 0, total = 0; /* of local: which, how far into it */

    snprintf(path, sizeof path, "%s/%d/mem", procfs, tid);
    int fd CLOSE_FD = sys_open(path, writes ? O_WRONLY : O_RDONLY);
    if (fd < 0)
        return sys_result_for_other(fd);
    for (size_t i = 0; i < remotes; i++)
        for (size_t done = 0; done < remote[i].iov_len && piece < locals;) {
            size_t left = remote[i].iov_len - done, room = local[piece].iov_len - used, len = left < room ? left : room;
            char *ours = (char *)local[piece].iov_base + used;
            off_t theirs = (off_t)((uintptr_t)remote[i].iov_base + done);
            ssize_t n = writes ? pwrite(fd, ours, len, theirs) : pread(fd, ours, len, theirs);

            if (n <= 0)
                return total > 0 ? (ssize_t)total : -EFAULT;
            done += (size_t)n;
            used += (size_t)n;
            total += (size_t)n;
            if (used == local[piece].iov_len) {
                piece++;
                used = 0;
            }
        }
    return (ssize_t)total;
}

/* process_vm_readv(2), or what stands in for it. Bytes read (fewer when the rest can't be) or -errno. */
static ssize_t child_readv(pid_t tid, const struct iovec *local, size_t locals, const struct iovec *remote,
                           size_t remotes)
{
    ssize_t n = sys_process_vm_readv(tid, local, locals, remote, remotes);

    return n == -EPERM || n == -ENOSYS ? child_copy_by_proc(tid, local, locals, remote, remotes, false) : n;
}

/* process_vm_writev(2), or what stands in for it. Bytes written or -errno. */
static ssize_t child_writev(pid_t tid, const struct iovec *local, size_t locals, const struct iovec *remote,
                            size_t remotes)
{
    ssize_t n = sys_process_vm_writev(tid, local, locals, remote, remotes);

    return n == -EPERM || n == -ENOSYS ? child_copy_by_proc(tid, local, locals, remote, remotes, true) : n;
}

/* Copy len bytes at a child's address. 0; -EFAULT when any of them can't be read; other -errno. */
static int child_read(pid_t tid, uint64_t address, void *to, size_t len)
{
    struct iovec local = {to, len}, remote = {(void *)(uintptr_t)address, len};

    if (len == 0)
        return 0;
    ssize_t n = child_readv(tid, &local, 1, &remote, 1);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -EFAULT;
}

/* Copy text up to its NUL, page by page, as what follows it may be unmapped. Its length; -ENAMETOOLONG when it
 * doesn't end within `room`; -EFAULT, other -errno. */
static ssize_t child_read_text(pid_t tid, uint64_t address, char *to, size_t room)
{
    enum { PAGE = 4096 };
    size_t used = 0;

    while (used < room) {
        size_t piece = PAGE - (address + used) % PAGE;

        piece = piece < room - used ? piece : room - used;
        int result = child_read(tid, address + used, to + used, piece);
        if (result < 0)
            return result;
        const char *end = memchr(to + used, 0, piece);
        if (end != NULL)
            return end - to;
        used += piece;
    }
    return -ENAMETOOLONG;
}

/* Gather up to `room` bytes from the child's vector, starting `skip` bytes into it. Returns how many were copied: less
 * than asked only where the child's memory ends, and -EFAULT when not one byte could be read. */
static ssize_t child_gather(pid_t tid, const struct iovec *vector, size_t count, size_t skip, void *to, size_t room)
{
    size_t done = 0;

    while (count > 0 && skip >= vector->iov_len) {
        skip -= vector->iov_len;
        vector++;
        count--;
    }
    while (count > 0 && done < room) {
        struct iovec remote[64];
        size_t pieces = 0, want = 0;

        for (; pieces < ARRAY_LEN(remote) && pieces < count && done + want < room; pieces++) {
            size_t len = vector[pieces].iov_len - skip;

            if (len > room - done - want)
                len = room - done - want;
            remote[pieces] = (struct iovec){(void *)((uintptr_t)vector[pieces].iov_base + skip), len};
            want += len;
            skip = 0;
        }
        struct iovec local = {(char *)to + done, want};
        ssize_t n = want == 0 ? 0 : child_readv(tid, &local, 1, remote, pieces);
        if (n < 0)
            return done > 0 ? (ssize_t)done : n;
        done += (size_t)n;
        if ((size_t)n < want)
            return done > 0 ? (ssize_t)done : -EFAULT;
        vector += pieces;
        count -= pieces;
    }
    return (ssize_t)done;
}

#endif

/* controlsock.h - the sockets of running sandboxes in one directory, and who may connect to them (unix(7), flock(2))
 *
 * The directory is the user's own and closed to all others. Whoever changes what is in it holds a lock on it, so that
 * nobody takes a name that has just been taken. */
#ifndef CONTROLSOCK_H
#define CONTROLSOCK_H

#include "addr.h"
#include "kernel.h"
#include "process.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

enum { CONTROLSOCK_NAME_MAX = 64, CONTROLSOCK_BACKLOG = 64, CONTROLSOCK_TRIES = 100, CONTROLSOCK_TRY_US = 20000 };

/* Letters, digits, '.', '_' and '-', of which the first is none of the last two or a dot. */
static bool controlsock_name_valid(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return len > 0 && len <= CONTROLSOCK_NAME_MAX && name[len] == 0 && name[0] != '.' && name[0] != '-';
}

/* Open the directory; make it where `make` says so and it isn't there. A descriptor, or -errno: -ENOTDIR; -EPERM: it is
 * another user's, or others may write or look there. */
static int controlsock_open_directory(const char *path, bool make)
{
    struct stat status;

    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 077) == 0)
        return fd;
    close(fd);
    return -EPERM;
}

/* The address of NAME in the directory `path`. 0, or -ENAMETOOLONG. */
static int controlsock_address(const char *path, const char *name, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", path, name);
    return n < 0 || (size_t)n >= sizeof address->sun_path ? -ENAMETOOLONG : 0;
}

/* Hold the lock on the directory. 0, or -EAGAIN: somebody else does, who may never let it go. */
static int controlsock_lock(int directory)
{
    for (int tries = 0; flock(directory, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (tries == CONTROLSOCK_TRIES)
            return -EAGAIN;
        usleep(CONTROLSOCK_TRY_US);
    }
    return 0;
}

/* Connect to NAME; where the backlog is full, or later a buffer, it waits for 3 s. A descriptor, or -errno: -ENOENT,
 * -EAGAIN, or -ECONNREFUSED where nobody holds it any more. */
static int controlsock_connect(const char *path, const char *name)
{
    static const struct timeval patience = {.tv_sec = 3};
    struct sockaddr_un address;
    int result = controlsock_address(path, name, &address);
    int fd = result < 0 ? result : sys_result(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    result = sys_result(connect(fd, (struct sockaddr *)&address, sizeof address));
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

/* Remove NAME where nobody holds it any more. */
static void controlsock_remove_stale(int directory, const char *path, const char *name)
{
    if (controlsock_lock(directory) < 0)
        return;
    int fd = controlsock_connect(path, name);
    if (fd == -ECONNREFUSED)
        unlinkat(directory, name, 0);
    else if (fd >= 0)
        close(fd);
    flock(directory, LOCK_UN);
}

/* Listen as NAME. A descriptor, non-blocking, or -errno: -EADDRINUSE: somebody holds that name. */
static int controlsock_listen(int directory, const char *path, const char *name)
{
    struct sockaddr_un address;
    int result = controlsock_address(path, name, &address);
    int fd = result < 0 ? result : sys_result(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (fd < 0)
        return fd;
    controlsock_remove_stale(directory, path, name);
    result = controlsock_lock(directory);
    if (result == 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
                        chmod(address.sun_path, 0700) < 0 || listen(fd, CONTROLSOCK_BACKLOG) < 0))
        result = -errno;
    flock(directory, LOCK_UN);
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

/* Remove NAME, if it still is the socket that these numbers tell. */
static void controlsock_remove(int directory, const char *name, dev_t device, ino_t inode)
{
    struct stat status;

    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_dev == device &&
        status.st_ino == inode)
        unlinkat(directory, name, 0);
}

/* Take the next connection, of root or of user `uid`. A descriptor, non-blocking, or -errno: -EAGAIN; -EPERM: it was
 * another user's. */
static int controlsock_accept(int listener, uid_t uid)
{
    int fd = sys_result(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (fd < 0)
        return fd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == uid || peer.uid == 0))
        return fd;
    close(fd);
    return -EPERM;
}

/* Who listens as NAME: its process, or -errno: -EPERM: another user, that isn't root either; -EBADMSG: it has ended, so
 * that its number may be another's, or what is there now is another name's socket. */
static pid_t controlsock_holder(int fd, uid_t uid, const char *name)
{
    union address bound = {.local.sun_family = AF_UNIX}; /* larger than any path: there is a NUL behind it */
    struct ucred peer;
    int pidfd CLOSE_FD = -1;
    socklen_t len = sizeof peer, pidfd_len = sizeof pidfd, bound_len = sizeof bound;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || getpeername(fd, &bound.any, &bound_len) < 0)
        return -errno;
    if (peer.uid != uid && peer.uid != 0)
        return -EPERM;
    const char *slash = strrchr(bound.local.sun_path, '/');
    bool ended = getsockopt(fd, SOL_SOCKET, KERNEL_SO_PEERPIDFD, &pidfd, &pidfd_len) < 0
                     ? errno != ENOPROTOOPT : sys_pidfd_send_signal(pidfd, 0) == -ESRCH;
    return ended || slash == NULL || strcmp(slash + 1, name) != 0 ? -EBADMSG : peer.pid;
}

#endif

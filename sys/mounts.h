/* mounts.h - one file shown in the place of another, in a mount namespace of one's own (mount_namespaces(7)) */
#ifndef MOUNTS_H
#define MOUNTS_H

#include "kernel.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Newer than some C library's headers: include/uapi/linux/mount.h. */
enum {
    MOUNTS_FSCONFIG_CREATE = 6,
    MOUNTS_CLONE = 1,             /* OPEN_TREE_CLONE */
    MOUNTS_FROM_FD = 4,           /* MOVE_MOUNT_F_EMPTY_PATH */
    MOUNTS_ONTO_FD = 0x40,        /* MOVE_MOUNT_T_EMPTY_PATH */
    MOUNTS_NOEXEC_NODEV_NOSUID = 8 | 4 | 2, /* MOUNT_ATTR_* */
};

/* A file system in memory that nobody else sees, with one read-only file of this text: a descriptor for the file's own
 * mount, to be given to mounts_cover, or -errno (-EPERM without CAP_SYS_ADMIN). *writes: one to change the text by. */
static int mounts_make_file(const char *text, size_t len, int *writes)
{
    int context CLOSE_FD = sys_result(syscall(__NR_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */));
    if (context < 0)
        return context;
    if (syscall(__NR_fsconfig, context, MOUNTS_FSCONFIG_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    int mount CLOSE_FD =
        sys_result(syscall(__NR_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, MOUNTS_NOEXEC_NODEV_NOSUID));
    if (mount < 0)
        return mount;
    int file CLOSE_FD = sys_result(openat(mount, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
    if (file < 0 || fchmod(file, 0444) < 0)
        return file < 0 ? file : -errno;
    if (write(file, text, len) != (ssize_t)len)
        return -EIO;
    int result = sys_result(syscall(__NR_open_tree, mount, "file", MOUNTS_CLONE | O_CLOEXEC));
    if (result >= 0) {
        *writes = file;
        file = -1;
    }
    return result;
}

/* Leave for a mount namespace of the calling process's own, into which later mounts outside still come. 0 or -errno. */
static int mounts_leave(void)
{
    if (unshare(CLONE_NEWNS) < 0)
        return -errno;
    return sys_result(mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL));
}

/* Show a mount in the place of `path`, as it is seen with `root` (NULL: ours) for a root directory. The caller has
 * left for its own namespace. 0 or -errno. */
static int mounts_cover(int mount, const char *root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int start CLOSE_FD = sys_open(root ? root : "/", O_PATH | O_DIRECTORY);
    if (start < 0)
        return start;
    int target CLOSE_FD = sys_openat2(start, path, &how);
    if (target < 0)
        return target;
    return sys_result(syscall(__NR_move_mount, mount, "", target, "", MOUNTS_FROM_FD | MOUNTS_ONTO_FD));
}

#endif

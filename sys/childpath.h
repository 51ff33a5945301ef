/* childpath.h - a path as another process would walk it, from its root or directory (path_resolution(7)) */
#ifndef CHILDPATH_H
#define CHILDPATH_H

#include "kernel.h"
#include "path.h"
#include "procfs.h"

#include <limits.h>
#include <sys/stat.h>

/* A walk that is ready: sys_openat2(start, path, &how). start is owned. */
struct childpath {
    int start;
    char path[2 * PATH_MAX];
    struct open_how how;
};

/* Where a link of /proc leads, terminated. 0 or -errno. */
static int childpath_readlink(const char *link, char to[PATH_MAX])
{
    ssize_t n = readlink(link, to, PATH_MAX - 1);

    if (n < 0)
        return -errno;
    to[n] = 0;
    return 0;
}

static bool childpath_has_our_root(pid_t tid)
{
    char link[40];
    struct stat root, ours;

    snprintf(link, sizeof link, "%s/%d/root", procfs, tid);
    return stat(link, &root) == 0 && stat("/", &ours) == 0 && root.st_dev == ours.st_dev && root.st_ino == ours.st_ino;
}

/* What is its own in the names of /proc and /dev becomes a name that we can use, too. Whether that was so. */
static bool childpath_rename(struct childpath *walk, pid_t tid, pid_t leader, const char *path)
{
    static const struct {
        const char *prefix, *instead;
        bool thread;
    } own[] = {
        {"/proc/self/", "/proc/%d/", false},
        {"/dev/fd/", "/proc/%d/fd/", false},
        {"/proc/thread-self/", "/proc/%d/", true}, /* a thread's number works there as well */
    };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strncmp(path, own[i].prefix, strlen(own[i].prefix)) == 0) {
            int n = snprintf(walk->path, sizeof walk->path, own[i].instead, own[i].thread ? tid : leader);
            snprintf(walk->path + n, sizeof walk->path - (size_t)n, "%s", path + strlen(own[i].prefix));
            return true;
        }
    snprintf(walk->path, sizeof walk->path, "%s", path);
    return false;
}

/* Where such a name goes on behind the one link that is the process's own, cwd or fd/N: at a slash, which becomes its
 * end. What is to follow. NULL: nothing does. */
static char *childpath_cut(char *path)
{
    char *link = strchr(path + strlen("/proc/"), '/') + 1, *end = strchr(link, '/');

    if (end != NULL && strncmp(link, "fd/", 3) == 0)
        end = strchr(end + 1, '/');
    if (end == NULL)
        return NULL;
    *end++ = 0;
    return end + strspn(end, "/");
}

/* With a root of its own, a relative path is one from that root: the directory's name less the root's. 0 or -errno. */
static int childpath_from_root(struct childpath *walk, pid_t tid, const char *directory, const char *path)
{
    char link[40], root[PATH_MAX], from[PATH_MAX] = "";

    snprintf(link, sizeof link, "%s/%d/root", procfs, tid);
    walk->how.resolve |= RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    walk->start = sys_open(link, O_PATH | O_DIRECTORY);
    if (walk->start < 0)
        return walk->start;
    if (path[0] != '/') {
        if (childpath_readlink(link, root) < 0 || childpath_readlink(directory, from) < 0)
            return -EACCES;
        size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (!path_is_beneath(from, root))
            return -EACCES; /* it stands outside its own root */
        memmove(from, from + len, strlen(from + len) + 1);
    }
    snprintf(walk->path, sizeof walk->path, "%s/%s", from, path);
    return 0;
}

/* Make a walk ready for thread `tid` of process `leader`; directory: AT_FDCWD, or a descriptor of its. Links of
 * /proc that would lead through our own descriptors, or another process's, are not followed (-ELOOP). 0 or -errno;
 * walk->start is to be closed when >= 0. */
static int childpath_begin(struct childpath *walk, pid_t tid, pid_t leader, int directory, const char *path)
{
    char link[48];

    walk->start = -1;
    walk->how = (struct open_how){.flags = O_PATH | O_CLOEXEC};
    if (directory == AT_FDCWD)
        snprintf(link, sizeof link, "%s/%d/cwd", procfs, tid);
    else
        snprintf(link, sizeof link, "%s/%d/fd/%d", procfs, tid, directory);
    if (!childpath_has_our_root(tid))
        return childpath_from_root(walk, tid, link, path);
    bool own = childpath_rename(walk, tid, leader, path);
    const char *rest = own ? childpath_cut(walk->path) : NULL;
    if (!own || rest != NULL)
        walk->how.resolve |= RESOLVE_NO_MAGICLINKS;
    walk->start = sys_open(rest != NULL ? walk->path : path[0] == '/' ? "/" : link, O_PATH | O_DIRECTORY);
    if (rest != NULL && rest[0] != 0)
        memmove(walk->path, rest, strlen(rest) + 1);
    else if (rest != NULL)
        snprintf(walk->path, sizeof walk->path, ".");
    return walk->start < 0 ? walk->start : 0;
}

#endif

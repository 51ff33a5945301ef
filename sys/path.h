/* path.h - paths as text: without symbolic links, one beneath another, as /proc writes them (realpath(3), proc(5)) */
#ifndef PATH_H
#define PATH_H

#include "base.h"

#include <limits.h>

/* Is `path` the directory `of` or beneath it? Both are canonical. */
static bool path_is_beneath(const char *path, const char *of)
{
    size_t len = strcmp(of, "/") == 0 ? 0 : strlen(of);

    return strncmp(path, of, len) == 0 && (path[len] == '/' || path[len] == 0);
}

/* Is every part of a path a name, none "." or ".." or empty? */
static bool path_is_plain(const char *path)
{
    for (const char *at = path; (at = strchr(at, '/')) != NULL;) {
        size_t len = strcspn(++at, "/");

        if (len == 0 || (len <= 2 && strncmp(at, "..", len) == 0))
            return false;
    }
    return true;
}

/* An absolute path without symbolic links; of what doesn't exist yet, those of the directory it will be in. To be
 * freed; NULL when memory is out. */
static char *path_canonical(const char *path)
{
    char whole[PATH_MAX], parent[PATH_MAX];
    char *result = NULL;
    const char *name = strrchr(path, '/');

    if (realpath(path, whole) != NULL)
        return strdup(whole);
    snprintf(parent, sizeof parent, "%.*s", (int)(name - path), path);
    if (realpath(parent[0] ? parent : "/", whole) == NULL)
        return strdup(path);
    return asprintf(&result, "%s%s", strcmp(whole, "/") == 0 ? "" : whole, name) < 0 ? NULL : result;
}

/* Octal escapes, as in /proc/self/mounts, become what they stand for, in place. The length that is left. */
static size_t path_unescape(char *text, size_t len)
{
    size_t to = 0;

    for (size_t i = 0; i < len; i++)
        if (text[i] == '\\' && i + 3 < len) {
            text[to++] = (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
            i += 3;
        } else {
            text[to++] = text[i];
        }
    return to;
}

#endif

/* filerules.h - rights beneath paths, and places beneath those that are taken out, as Landlock rules (landlock(7)) */
#ifndef FILERULES_H
#define FILERULES_H

#include "landlock.h"
#include "path.h"

#include <dirent.h>
#include <sys/stat.h>

enum { FILE_RULES_MAX = 512 };

/* Rights that are given beneath a path, or taken away there. */
struct file_rule {
    const char *path; /* canonical; not owned */
    uint64_t gives, takes;
};

struct file_rules {
    struct file_rule rules[FILE_RULES_MAX];
    size_t n;
};

/* The rights that are taken away at this path, or (inside) somewhere beneath it, from a rule whose path has
 * `length`: the longest path decides, and of two the one that takes all. */
static uint64_t file_rules_taken(const struct file_rules *rules, const char *path, bool inside, size_t length)
{
    uint64_t taken = 0;

    for (size_t i = 0; i < rules->n; i++) {
        const struct file_rule *rule = &rules->rules[i];
        bool decides = strlen(rule->path) + (rule->takes == UINT64_MAX) > length;

        if (decides && (inside ? path_is_beneath(rule->path, path) : path_is_beneath(path, rule->path)))
            taken |= rule->takes;
    }
    return taken;
}

/* Permit rights beneath `path` in a Landlock ruleset, but where rules take them away from one of `length`: a ruleset
 * can only permit, so what lies beside such a place is permitted entry by entry. What can't be opened can't be used
 * either. 0 or -errno. */
static int file_rules_permit(const struct file_rules *rules, int ruleset, const char *path, uint64_t rights,
                             size_t length)
{
    struct stat status;

    rights &= ~file_rules_taken(rules, path, false, length);
    if (rights == 0)
        return 0;
    int fd CLOSE_FD = sys_open(path, O_PATH | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &status) < 0 || S_ISLNK(status.st_mode))
        return 0;
    uint64_t beside = S_ISDIR(status.st_mode) ? rights & file_rules_taken(rules, path, true, length) : 0;
    int result = landlock_permit(ruleset, fd, S_ISDIR(status.st_mode), rights & ~beside);
    DIR *directory = result < 0 || beside == 0 ? NULL : opendir(path);
    if (directory == NULL)
        return result;
    for (struct dirent *entry; result == 0 && (entry = readdir(directory)) != NULL;) {
        char name[PATH_MAX];

        if (entry->d_type != DT_LNK && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            snprintf(name, sizeof name, "%s/%s", strcmp(path, "/") == 0 ? "" : path, entry->d_name) < (int)sizeof name)
            result = file_rules_permit(rules, ruleset, name, beside, length);
    }
    closedir(directory);
    return result;
}

#endif

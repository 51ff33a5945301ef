/* match.h - what the rules say of a destination */
#ifndef POLICY_MATCH_H
#define POLICY_MATCH_H

#include "types.h"
#include "rules.h"
#include "../sys/addr.h"
#include "../sys/ipset.h"
#include "../sys/log.h"
#include "../sys/path.h"
#include "../sys/unixtarget.h"

static int64_t policy_find(enum rule_list list, enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    return ipset_find(&policy.sets[list][protocol][addr.version == 6], addr, port);
}

/* The deny rule that covers a destination, also by an IPv4 address that its IPv6 address embeds; -1: none. */
static int64_t policy_find_denied(enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    int64_t rule = policy_find(LIST_DENY, protocol, addr, port);
    struct ip_addr inner;

    for (unsigned i = 0; rule < 0 && policy.any[LIST_DENY] && ip_addr_embedded(addr, i, &inner); i++)
        rule = policy_find(LIST_DENY, protocol, inner, port);
    return rule;
}

/* Does a rule cover a name, with `text` for the rule's own path or name? */
static bool unix_rule_covers_as(const struct unix_rule *rule, const char *text, const char *name, size_t name_len)
{
    if (text == NULL)
        return rule->kind == UNIX_ANY;
    size_t len = strlen(text);

    switch (rule->kind) {
    case UNIX_ANY:
        return true;
    case UNIX_ABSTRACT:
        return name[0] == '@' && name_len == len + 1 && memcmp(name + 1, text, len) == 0;
    case UNIX_PATH:
        return strcmp(name, text) == 0;
    case UNIX_BELOW:
        len = strcmp(text, "/") == 0 ? 0 : len;
        return strncmp(name, text, len) == 0 && name[len] == '/';
    }
    return false;
}

static bool unix_rule_covers(const struct unix_rule *rule, const struct unix_target *target)
{
    return unix_rule_covers_as(rule, rule->text, target->name, target->name_len);
}

/* Does a rule cover, letter by letter, the path that the socket was bound by? Symbolic links on it aren't followed:
 * they may be the command's own by now. */
static bool unix_rule_covers_bound(const struct unix_rule *rule, const struct unix_target *target)
{
    const char *bound = target->bound;

    return bound[0] != 0 && path_is_plain(bound) &&
           (unix_rule_covers_as(rule, rule->text, bound, strlen(bound)) ||
            unix_rule_covers_as(rule, rule->written, bound, strlen(bound)));
}

/* Is this the very file that the rule's path was at start? */
static bool unix_rule_has_file(const struct unix_rule *rule, const struct unix_target *target)
{
    return rule->kind == UNIX_PATH && rule->inode != 0 && rule->inode == target->inode &&
           rule->device == target->device;
}

/* Does an allow rule cover the target: by the name that it has now, and by the path that it was bound by, since
 * whoever may write the directory can link or rename it; or by the very file that the rule's path was at start. */
static bool unix_rule_allows(const struct unix_rule *rule, const struct unix_target *target)
{
    bool by_path = rule->kind == UNIX_PATH || rule->kind == UNIX_BELOW;

    return unix_rule_covers(rule, target) &&
           (!by_path || unix_rule_has_file(rule, target) || unix_rule_covers_bound(rule, target));
}

static bool unix_rule_denies(const struct unix_rule *rule, const struct unix_target *target)
{
    return unix_rule_covers(rule, target) || unix_rule_has_file(rule, target) || unix_rule_covers_bound(rule, target) ||
           unix_rule_covers_as(rule, rule->text, target->leads, strlen(target->leads));
}

/* Our own control socket, and the directories where such sockets are, without symbolic links; NULL: there is none. */
static struct {
    dev_t device;
    ino_t inode; /* 0: there is none */
    char *directories[2];
} control_place;

/* Is this a sandbox's control socket, ours above all? By any name that it has. */
static bool unix_target_controls(const struct unix_target *target)
{
    bool controls = control_place.inode != 0 && target->file >= 0 && target->inode == control_place.inode &&
                    target->device == control_place.device;

    for (size_t i = 0; i < ARRAY_LEN(control_place.directories); i++)
        if (control_place.directories[i] != NULL)
            controls = controls || path_is_beneath(target->name, control_place.directories[i]) ||
                       path_is_beneath(target->bound, control_place.directories[i]) ||
                       path_is_beneath(target->leads, control_place.directories[i]);
    return controls;
}

/* Does a -w PATH cover a socket, by the path that it has now and by the one that it was bound by? Whoever may write to
 * files there may also talk to who listens there. */
static bool files_grant_unix(const struct unix_target *target)
{
    const struct file_rules *files = &settings.file_rules;

    if (target->name[0] != '/' || target->bound[0] == 0 || !path_is_plain(target->bound))
        return false;
    for (size_t i = 0; i < files->n; i++) {
        const char *path = files->rules[i].path;
        size_t len = strlen(path);

        if (files->rules[i].gives == UINT64_MAX && path_is_beneath(target->name, path) &&
            path_is_beneath(target->bound, path) && file_rules_taken(files, target->name, false, len) == 0 &&
            file_rules_taken(files, target->bound, false, len) == 0)
            return true;
    }
    return false;
}

#endif

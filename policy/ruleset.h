/* ruleset.h - the rules of a policy, as they are read */
#ifndef POLICY_RULESET_H
#define POLICY_RULESET_H

#include "types.h"
#include "rules.h"
#include "../sys/base.h"
#include "../sys/growing.h"
#include "../sys/hosts.h"
#include "../sys/ipset.h"
#include "../sys/log.h"
#include "../sys/resolve.h"

#include <fcntl.h>
#include <unistd.h>

/* An array with room for another element behind its n. */
static void *grow(void *old, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return old;
    *room = *room ? *room * 2 : 16;
    void *grown = reallocarray(old, *room, size);
    if (grown == NULL)
        die("cannot hold the rules: out of memory");
    return grown;
}

static void entry_add(struct entry_list *to, const struct ipset_entry *entry)
{
    to->entries = grow(to->entries, to->n, &to->room, sizeof *to->entries);
    to->entries[to->n++] = *entry;
}

/* What policy_add_box adds to. */
struct policy_rule {
    enum rule_list list;
    uint32_t tag;
};

static void policy_add_box(const struct rule_box *box, void *argument)
{
    const struct policy_rule *of = argument;
    struct entry_list *to = &policy.building[of->list][box->protocol][box->prefix.addr.version == 6];

    entry_add(to, &(struct ipset_entry){box->prefix, box->ports, of->tag});
}

static void policy_add_prefix(enum rule_list list, const struct rule *rule, struct ip_prefix prefix, uint32_t tag)
{
    rule_each_box_of(rule, prefix, policy_add_box, &(struct policy_rule){list, tag});
}

/* Note a rule as it is written. Its tag. */
static uint32_t policy_add_text(enum rule_list list, struct slice text)
{
    policy.texts = grow(policy.texts, policy.n_texts, &policy.text_room, sizeof *policy.texts);
    policy.texts[policy.n_texts] = (struct rule_text){text, list};
    return (uint32_t)policy.n_texts++;
}

static void policy_add_name(struct slice name, uint32_t tag)
{
    uint32_t at = 0;

    while (at < policy.n_names && !hosts_name_equal(policy.names[at].name, name))
        at++;
    if (at == policy.n_names) {
        policy.names = grow(policy.names, policy.n_names, &policy.name_room, sizeof *policy.names);
        policy.names[policy.n_names++] = (struct resolve_name){.name = name};
    }
    policy.named = grow(policy.named, policy.n_named, &policy.named_room, sizeof *policy.named);
    policy.named[policy.n_named++] = (struct named_rule){tag, at, say_where};
}

/* unix://TARGET. NULL, or what is wrong with it. */
static rule_error policy_add_unix(enum rule_list list, struct slice target, uint32_t tag)
{
    struct unix_rule rule = {.list = list, .tag = tag};
    rule_error error = unix_rule_parse(target, &rule);

    if (error == NULL)
        error = unix_rule_find(&rule);
    if (error != NULL)
        return error;
    policy.unix_rules = grow(policy.unix_rules, policy.n_unix_rules, &policy.unix_room, sizeof *policy.unix_rules);
    policy.unix_rules[policy.n_unix_rules++] = rule;
    return NULL;
}

static void policy_add_http(enum rule_list list, struct slice text)
{
    struct http_rule rule = {.list = list, .tag = (uint32_t)policy.n_texts};
    rule_error error = http_parse_rule(text, &rule);

    if (error != NULL)
        die("%s '%.*s': %s", list_options[list], (int)text.len, text.p, error);
    policy_add_text(list, text);
    policy.http_rules = grow(policy.http_rules, policy.n_http_rules, &policy.http_room, sizeof *policy.http_rules);
    policy.http_rules[policy.n_http_rules++] = rule;
    policy.any[list] = true;
    if (list == LIST_HTTP && rule.kind == HOST_NAME)
        policy_add_name(rule.host, rule.tag);
}

static void policy_add(enum rule_list list, struct slice text)
{
    static struct rule rule; /* too large for a stack, and used by one caller at a time */
    bool binds = list == LIST_BIND || list == LIST_BIND_DENY;
    struct slice target = text;
    bool local = !binds && rule_cut_unix(&target);
    rule_error error;

    if (list == LIST_HTTP || list == LIST_HTTP_DENY) {
        policy_add_http(list, text);
        return;
    }
    if (local)
        error = policy_add_unix(list, target, (uint32_t)policy.n_texts);
    else
        error = binds ? rule_parse_bind(text, &rule) : rule_parse(text, list, &rule);
    if (error != NULL)
        die("%s '%.*s': %s", list_options[list], (int)text.len, text.p, error);
    uint32_t tag = policy_add_text(list, text);
    if (local) { /* says nothing of IP */
        policy.any[list] = policy.any[list] || list == LIST_ALLOW;
        return;
    }
    policy.any[list] = true;
    policy.names_ranges = policy.names_ranges || rule.target == TARGET_WORD;
    rule_each_box(&rule, policy_add_box, &(struct policy_rule){list, tag});
    if (rule.target == TARGET_NAME)
        policy_add_name(rule.name, tag);
}

/* The text of a file of options or rules, with a NUL behind it; it lives to exit, since options point into it. */
static struct slice read_whole(const char *option, const char *mark, const char *path)
{
    int fd CLOSE_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct growing text = {.p = NULL};

    if (fd < 0)
        die("%s '%s%s': cannot open: %s; a readable file would be right", option, mark, path, strerror(errno));
    int result = growing_read(&text, fd, SIZE_MAX);
    if (result == -ENOMEM || (result == 0 && !growing_reserve(&text, 1)))
        die("%s '%s%s': too large: out of memory", option, mark, path);
    if (result < 0)
        die("%s '%s%s': cannot read: %s; a readable file would be right", option, mark, path, strerror(-result));
    text.p[text.len] = 0;
    return growing_slice(&text);
}

/* @FILE: one rule a line, # begins a comment. */
static void policy_add_file(enum rule_list list, const char *path)
{
    struct slice rest = read_whole(list_options[list], "@", path);

    for (unsigned number = 1; rest.p != NULL; number++) {
        struct slice line = slice_split(&rest, '\n');

        say_place(path, number);
        line = slice_trim(slice_split(&line, '#'));
        if (line.len > 0)
            policy_add(list, line);
    }
    say_place(NULL, 0);
    policy.any[list] = true; /* an empty allow file allows nothing; it doesn't lift the restriction */
}

#endif

/* change.h - live policy: changing it */
#ifndef POLICY_CHANGE_H
#define POLICY_CHANGE_H

#include "types.h"
#include "rules.h"
#include "call.h"
#include "inside.h"
#include "live.h"
#include "setters.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/clock.h"
#include "../sys/lineage.h"
#include "../sys/liveset.h"

#include <limits.h>

/* A change while it is read: nothing of it counts before all of it is understood. */
static struct live_change {
    enum live_verb verb;
    pid_t pid;         /* 0: the sandbox */
    uint64_t duration; /* in milliseconds; 0: for ever */
    char *texts[LIVE_SPECS_MAX]; /* of its rules, as live_rule has them; owned until they are a rule's */
    size_t n_specs;
    struct liveset_rule boxes[LIVE_BOXES_MAX]; /* tag: of specs */
    struct unix_rule unix_rules[LIVE_UNIX_MAX];
    size_t n_boxes, n_unix;
    const char *shut; /* what would have to be open, and isn't */
} change;

static void change_add_box(const struct rule_box *box, void *unused)
{
    bool whole = box->ports.first == 0 && box->ports.last == UINT16_MAX;

    (void)unused;
    if (change.n_boxes < LIVE_BOXES_MAX)
        change.boxes[change.n_boxes] = (struct liveset_rule){
            .prefix = box->prefix, .ports = box->ports, .kind = (uint8_t)box->protocol,
            .tag = (uint32_t)change.n_specs, .any_port = whole || change.verb != LIVE_DENY};
    change.n_boxes++; /* past the end: too many, which is said later */
}

/* The addresses of a rule's name, with spaces between. */
static rule_error change_add_addresses(struct slice at, const struct rule *rule)
{
    if (at.len == 0)
        return "a host name without its addresses";
    while (at.p != NULL) {
        struct ip_addr addr;

        if (ip_addr_parse(slice_split(&at, ' '), &addr) < 0)
            return "a host name with something that is no address";
        rule_each_box_of(rule, ip_prefix_of(ip_addr_canonical(addr)), change_add_box, NULL);
    }
    return NULL;
}

static void unix_rule_free(struct unix_rule *rule)
{
    free(rule->text);
    free(rule->written);
}

/* A unix socket: "DEVICE INODE PATH" says what its path was for whoever asks. */
static rule_error change_add_unix(struct slice target, struct slice at)
{
    struct unix_rule rule = {.tag = (uint32_t)change.n_specs};
    uint64_t device = 0, inode = 0;
    rule_error error = unix_rule_parse(target, &rule);

    if (error == NULL && change.n_unix == LIVE_UNIX_MAX)
        error = "too many unix sockets in one change";
    if (error == NULL && at.len > 0) {
        if (parse_uint(slice_split(&at, ' '), UINT64_MAX, &device) < 0 ||
            parse_uint(slice_split(&at, ' '), UINT64_MAX, &inode) < 0 || at.len == 0)
            error = "a socket that isn't described by its device, inode and path";
        rule.written = rule.text;
        rule.text = strndup(at.p, at.len);
        rule.device = (dev_t)device;
        rule.inode = (ino_t)inode;
    }
    if (error == NULL && rule.text == NULL && rule.kind != UNIX_ANY)
        error = "out of memory";
    if (error != NULL)
        unix_rule_free(&rule);
    else
        change.unix_rules[change.n_unix++] = rule;
    return error;
}

/* What an allowing rule needs of the filter, which can't be changed any more. */
static void change_need(const struct rule *rule)
{
    if (change.verb != LIVE_ALLOW)
        return;
    if (rule->protocols & 1u << PROTOCOL_UDP && !policy.open[PROTOCOL_UDP])
        change.shut = "UDP sockets";
    else if (rule->protocols & 1u << PROTOCOL_ICMP && !policy.open[PROTOCOL_ICMP])
        change.shut = "ICMP sockets";
}

/* One SPEC; at: the addresses of its name, or its socket's device, inode and path. NULL, or what is wrong with it. */
static rule_error change_add_spec(struct slice spec, struct slice at)
{
    static struct rule rule;
    struct slice target = spec;
    bool local = rule_cut_unix(&target);
    rule_error error;

    if (change.n_specs == LIVE_SPECS_MAX)
        return "one too many in one change";
    char *text = calloc(1, spec.len + at.len + 2);
    if (text == NULL)
        return "out of memory";
    memcpy(text, spec.p, spec.len);
    if (at.len > 0)
        memcpy(text + spec.len + 1, at.p, at.len);
    if (local)
        error = change_add_unix(target, at);
    else
        error = rule_parse(spec, change.verb == LIVE_DENY ? LIST_DENY : LIST_ALLOW, &rule);
    if (error == NULL && !local) {
        change_need(&rule);
        rule_each_box(&rule, change_add_box, NULL);
        if (rule.target == TARGET_NAME)
            error = change_add_addresses(at, &rule);
    }
    change.texts[change.n_specs++] = text;
    return error == NULL && change.n_boxes > LIVE_BOXES_MAX ? "too many addresses and ports in one change" : error;
}

/* Forget what was read. */
static void change_drop(void)
{
    while (change.n_unix > 0)
        unix_rule_free(&change.unix_rules[--change.n_unix]);
    while (change.n_specs > 0)
        free(change.texts[--change.n_specs]);
    change.n_boxes = 0;
}

/* What was said of a rule beside its text. */
static const char *live_rule_at(const struct live_rule *rule)
{
    return rule->text + strlen(rule->text) + 1;
}

static bool live_rule_is_named(const struct live_rule *rule)
{
    return live_rule_at(rule)[0] != 0 && strncmp(rule->text, "unix://", 7) != 0;
}

/* One of a scope's rules or restrictions is gone. A process without any is one as all others. */
static void live_scope_lost_one(size_t scope)
{
    if (--live.scopes[scope].n == 0 && live.scopes[scope].process.pid > 0) {
        live.scopes[scope].process.pid = 0;
        live.n_processes--;
    }
}

/* Take a rule's place away; with its last one it ends. */
static void live_leave(uint32_t tag)
{
    struct live_rule *rule = &live.rules[tag];

    if (--rule->places > 0)
        return;
    live.names_changed = live.names_changed || live_rule_is_named(rule);
    free(rule->text);
    live_scope_lost_one(live_scope_of(rule->owner));
    rule->owner = live.free_rule;
    live.free_rule = tag + 1;
}

static void live_remove_box(uint32_t place)
{
    uint32_t tag = live.set.rules[place].tag;

    liveset_remove(&live.set, place);
    live_leave(tag);
}

static void live_remove_unix(size_t i)
{
    uint32_t tag = live.unix_rules[i].rule.tag;

    unix_rule_free(&live.unix_rules[i].rule);
    live.unix_rules[i] = live.unix_rules[--live.n_unix];
    live_leave(tag);
}

/* Remove all rules of an owner, or (owner UINT32_MAX) all that have ended by `now`. */
static void live_remove_all(uint32_t owner, uint64_t now)
{
    for (uint32_t place = 0; place < live.set.used; place++) {
        const struct liveset_rule *box = &live.set.rules[place];

        if (box->order > 0 && (owner == UINT32_MAX ? live.rules[box->tag].ends != 0 && live.rules[box->tag].ends <= now
                                                   : box->owner == owner))
            live_remove_box(place);
    }
    for (size_t i = live.n_unix; i-- > 0;) {
        const struct live_rule *rule = &live.rules[live.unix_rules[i].rule.tag];

        if (owner == UINT32_MAX ? rule->ends != 0 && rule->ends <= now : live.unix_rules[i].owner == owner)
            live_remove_unix(i);
    }
}

/* Does `ends` come before a change that never does, or later, has ended? Then that takes its place for good. */
static bool live_outlasts(uint64_t newer, uint64_t ends)
{
    return newer == 0 || (ends != 0 && ends <= newer);
}

/* Is a box of the change within what a restriction names, or what was permitted since for good? */
static bool live_box_is_within(size_t scope, size_t restriction, const struct liveset_rule *box)
{
    int64_t place = liveset_find(&live.set, live_restriction_owner(scope, restriction), box->kind, box->prefix,
                                 box->ports);

    if (place >= 0)
        return true;
    place = liveset_find(&live.set, live_owner(scope), box->kind, box->prefix, box->ports);
    const struct live_rule *rule = place < 0 ? NULL : &live.rules[live.set.rules[place].tag];
    return rule != NULL && rule->verb == LIVE_ALLOW && rule->ends == 0 &&
           rule->order > live.scopes[scope].restrictions[restriction].order;
}

static bool live_unix_is_within(uint32_t owner, const struct unix_rule *inner)
{
    for (size_t i = 0; i < live.n_unix; i++)
        if (live.unix_rules[i].owner == owner && unix_rule_is_within(inner, &live.unix_rules[i].rule))
            return true;
    return false;
}

/* Does the change, a restriction, narrow more than an older one does? Then that one is of no use any more. */
static bool live_restricts_more(size_t scope, size_t restriction, uint64_t ends)
{
    const struct live_restriction *older = &live.scopes[scope].restrictions[restriction];
    bool within = older->order > 0 && live_outlasts(ends, older->ends);

    for (size_t i = 0; within && i < change.n_boxes; i++)
        within = live_box_is_within(scope, restriction, &change.boxes[i]);
    for (size_t i = 0; within && i < change.n_unix; i++)
        within = live_unix_is_within(live_restriction_owner(scope, restriction), &change.unix_rules[i]);
    return within;
}

static void live_remove_restriction(size_t scope, size_t restriction)
{
    live.scopes[scope].restrictions[restriction].order = 0;
    live_remove_all(live_restriction_owner(scope, restriction), 0);
    live_scope_lost_one(scope);
}

/* Put the change, a restriction, among its scope's others; those that it narrows further are of no use any more. Whose
 * its rules are, or -ENOSPC. */
static int64_t live_add_restriction(size_t scope, uint64_t ends)
{
    struct live_restriction *restrictions = live.scopes[scope].restrictions;
    size_t place = LIVE_RESTRICTIONS_MAX;

    for (size_t i = LIVE_RESTRICTIONS_MAX; i-- > 0;)
        if (restrictions[i].order == 0 || live_restricts_more(scope, i, ends))
            place = i;
    if (place == LIVE_RESTRICTIONS_MAX)
        return -ENOSPC;
    live.scopes[scope].n++;
    for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++)
        if (live_restricts_more(scope, i, ends))
            live_remove_restriction(scope, i);
    if (change.n_specs == 0 && ends == 0)
        live_remove_all(live_owner(scope), 0); /* nothing that was said before counts */
    restrictions[place] = (struct live_restriction){live.order, ends};
    return live_restriction_owner(scope, place);
}

/* Does a scope deny nothing, and is its process gone? Then nobody misses it; else it counts for descendants that are
 * lost, for ever. */
static bool live_scope_is_over(size_t scope)
{
    struct lineage_id process = live.scopes[scope].process;
    bool over = !lineage_same(lineage_now(process.pid), process);

    for (size_t i = 0; over && i < LIVE_RESTRICTIONS_MAX; i++)
        over = live.scopes[scope].restrictions[i].order == 0;
    for (size_t i = 0; over && i < live.n_rules; i++)
        over = live.rules[i].places == 0 || live.rules[i].owner != live_owner(scope) ||
               live.rules[i].verb == LIVE_ALLOW;
    return over;
}

/* The scope of the change's process, which is made where it has none. -ESRCH: it is no process of the sandbox;
 * -ENOSPC: too many have one. */
static int live_scope(void)
{
    int place = -ENOSPC;

    if (change.pid == 0)
        return 0;
    struct lineage_id id = lineage_of_thread(&live.lineage, change.pid);
    if (id.pid == 0 || !is_inside(id.pid, PROCESS_DEPTH_MAX))
        return -ESRCH;
    for (int s = LIVE_SCOPES_MAX - 1; s > 0; s--) {
        if (lineage_same(live.scopes[s].process, id))
            return s;
        if (live.scopes[s].process.pid == 0)
            place = s;
    }
    for (int s = 1; place < 0 && s < LIVE_SCOPES_MAX; s++)
        if (live_scope_is_over((size_t)s)) {
            live_remove_all(live_owner((size_t)s), 0);
            place = s;
        }
    if (place > 0) {
        live.scopes[place].process = id;
        live.n_processes++;
    }
    return place;
}

/* A place for a rule that has been said; there is one for each box and each unix socket. */
static uint32_t live_add_rule(char *text, uint32_t owner, uint64_t ends)
{
    uint32_t tag = live.free_rule > 0 ? live.free_rule - 1 : live.n_rules++;

    if (live.free_rule > 0)
        live.free_rule = live.rules[tag].owner;
    live.rules[tag] = (struct live_rule){
        .text = text, .order = live.order, .ends = ends, .owner = owner, .verb = change.verb};
    live.scopes[live_scope_of(owner)].n++;
    live.names_changed = live.names_changed || live_rule_is_named(&live.rules[tag]);
    return tag;
}

/* Add a box; what it says again, older ones needn't say any more, one of the same rule among them. */
static void live_add_box(const struct liveset_rule *box, uint64_t ends)
{
    live.rules[box->tag].places++;
    for (int64_t place = liveset_like(&live.set, box, -1), next; place >= 0; place = next) {
        next = liveset_like(&live.set, box, place);
        if (live_outlasts(ends, live.rules[live.set.rules[place].tag].ends))
            live_remove_box((uint32_t)place);
    }
    liveset_add(&live.set, box);
}

static void live_add_unix(const struct unix_rule *rule, uint32_t owner, uint64_t ends)
{
    for (size_t i = live.n_unix; i-- > 0;)
        if (live.unix_rules[i].owner == owner && unix_rule_is_within(&live.unix_rules[i].rule, rule) &&
            live_outlasts(ends, live.rules[live.unix_rules[i].rule.tag].ends))
            live_remove_unix(i);
    live.rules[rule->tag].places++;
    live.unix_rules[live.n_unix].rule = *rule;
    live.unix_rules[live.n_unix++].owner = owner;
}

/* Carry out the change that was read: all of it, or nothing. NULL, or why it can't be. */
static const char *change_apply(void)
{
    uint64_t ends = change.duration ? clock_ms() + change.duration : 0;

    if (change.pid > 0 && (!here.proc || settings.allowed_groups & 1u << GROUP_NAMESPACES))
        return "processes can't be told apart there: it has no /proc, or may make namespaces";
    if (live.set.n + change.n_boxes > LIVESET_MAX || live.n_unix + change.n_unix > LIVE_UNIX_MAX)
        return "there are too many live rules already; `restrict` to what is needed would be right";
    int scope = live_scope();
    if (scope == -ESRCH)
        return "no process of that sandbox has this number; that of `sandlock ps` or one below it has";
    if (scope < 0)
        return "too many processes have a policy of their own already; --for 10m would let them end";
    live.order++;
    int64_t owner = change.verb == LIVE_RESTRICT ? live_add_restriction((size_t)scope, ends)
                                                 : live_owner((size_t)scope);
    if (owner < 0)
        return "restricted too often, each time to something else; to nothing, and then `allow`, would be right";
    for (size_t i = 0, box = 0, local = 0; i < change.n_specs; i++) {
        uint32_t tag = live_add_rule(change.texts[i], (uint32_t)owner, ends);

        change.texts[i] = NULL;
        for (; box < change.n_boxes && change.boxes[box].tag == i; box++) {
            struct liveset_rule at = change.boxes[box];

            at.tag = tag;
            at.owner = (uint32_t)owner;
            at.order = live.order;
            live_add_box(&at, ends);
        }
        for (; local < change.n_unix && change.unix_rules[local].tag == i; local++) {
            change.unix_rules[local].tag = tag;
            live_add_unix(&change.unix_rules[local], (uint32_t)owner, ends);
        }
    }
    change.n_unix = 0; /* their texts are live.unix_rules' now */
    if (ends != 0 && (live.next_end == 0 || ends < live.next_end))
        live.next_end = ends;
    return NULL;
}

/* When the first of what is left ends. */
static uint64_t live_first_end(void)
{
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < live.n_rules; i++)
        if (live.rules[i].places > 0 && live.rules[i].ends != 0 && live.rules[i].ends < first)
            first = live.rules[i].ends;
    for (size_t s = 0; s < LIVE_SCOPES_MAX; s++)
        for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++) {
            const struct live_restriction *restriction = &live.scopes[s].restrictions[i];

            if (restriction->order > 0 && restriction->ends != 0 && restriction->ends < first)
                first = restriction->ends;
        }
    return first == UINT64_MAX ? 0 : first;
}

/* End what has ended. How many milliseconds until the next does; -1: nothing will. */
static int live_expire(void)
{
    uint64_t now = live.next_end == 0 ? 0 : clock_ms();

    if (live.next_end != 0 && live.next_end <= now) {
        live.order++;
        for (size_t s = 0; s < LIVE_SCOPES_MAX; s++)
            for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++) {
                const struct live_restriction *restriction = &live.scopes[s].restrictions[i];

                if (restriction->order > 0 && restriction->ends != 0 && restriction->ends <= now)
                    live_remove_restriction(s, i);
            }
        live_remove_all(UINT32_MAX, now);
        live.next_end = live_first_end();
    }
    uint64_t left = live.next_end > now ? live.next_end - now : 0;
    return live.next_end == 0 ? -1 : left < INT32_MAX ? (int)left : INT32_MAX;
}

#endif

/* inspect.h - inspect: a sandbox's policy as it is now, as a policy file */
#ifndef POLICY_INSPECT_H
#define POLICY_INSPECT_H

#include "types.h"
#include "rules.h"
#include "ruleset.h"
#include "call.h"
#include "live.h"
#include "client.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/control.h"
#include "../sys/growing.h"
#include "../sys/ipbox.h"
#include "../sys/log.h"

#include <limits.h>
#include <netinet/in.h>

/* A rule as it was said, at the start or by a change. */
struct inspected_rule {
    struct slice text, at; /* at: the addresses of its name, or its socket */
    size_t n_boxes;        /* that it came to */
    size_t n_whole;        /* of them, as they were, in the set that is printed */
    bool printed;
    uint64_t left;         /* milliseconds until it ends; 0: it doesn't */
};

/* One rule of a change, or (has_rule false) a restriction as such. */
struct inspected_change {
    uint64_t order;
    enum live_verb verb;
    pid_t pid;
    bool has_rule;
    uint32_t rule;
};

struct inspected_unix {
    struct unix_rule *rules;
    size_t n, room;
};

static struct {
    struct inspected_rule *rules;
    size_t n_rules, rule_room;
    struct inspected_change *changes;
    size_t n_changes, change_room;
    struct ip_boxes permits, denies; /* tags: of rules */
    struct slice *start_denies;      /* which no change permits */
    size_t n_start_denies, start_deny_room;
    struct inspected_unix unix_permits, unix_denies;
    pid_t asks[LIVE_SCOPES_MAX]; /* whose changes count, the sandbox's (0) first, the nearest process's last */
    size_t n_asks;
    bool open;       /* all that isn't denied is permitted */
    bool restricted; /* or was until a restriction came */
    bool lost;       /* where the process comes from isn't known */
} inspected;

static uint32_t inspected_add_rule(struct slice text, struct slice at, uint64_t left)
{
    inspected.rules = grow(inspected.rules, inspected.n_rules, &inspected.rule_room, sizeof *inspected.rules);
    inspected.rules[inspected.n_rules] = (struct inspected_rule){.text = text, .at = at, .left = left};
    return (uint32_t)inspected.n_rules++;
}

/* What inspected_add_box adds to. */
struct inspected_to {
    struct ip_boxes *boxes;
    uint32_t tag;
};

static void inspected_add_box(const struct rule_box *said, void *argument)
{
    const struct inspected_to *to = argument;
    struct ip_box box = {said->prefix, said->ports, (uint8_t)said->protocol, true, to->tag};

    ip_boxes_add(to->boxes, &box);
    inspected.rules[to->tag].n_boxes++;
}

/* All boxes of a rule, those of its name's addresses as well. */
static void inspected_add_boxes(struct ip_boxes *boxes, uint32_t tag, bool denies)
{
    static struct rule rule;
    struct inspected_to to = {boxes, tag};
    struct inspected_rule *said = &inspected.rules[tag];
    struct ip_addr addr;

    said->n_boxes = 0;
    if (rule_parse(said->text, denies ? LIST_DENY : LIST_ALLOW, &rule) != NULL)
        die("cannot understand the rule '%.*s'", (int)said->text.len, said->text.p);
    rule_each_box(&rule, inspected_add_box, &to);
    for (struct slice at = said->at; rule.target == TARGET_NAME && at.len > 0;)
        if (ip_addr_parse(slice_split(&at, ' '), &addr) == 0)
            rule_each_box_of(&rule, ip_prefix_of(ip_addr_canonical(addr)), inspected_add_box, &to);
}

/* Is it a unix rule? Then it is read. */
static bool inspected_read_unix(uint32_t tag, struct unix_rule *rule)
{
    struct slice target = inspected.rules[tag].text, at = inspected.rules[tag].at;

    if (!rule_cut_unix(&target))
        return false;
    if (unix_rule_parse(target, rule) != NULL)
        die("cannot understand the rule 'unix://%.*s'", (int)target.len, target.p);
    slice_split(&at, ' ');
    slice_split(&at, ' ');
    if (at.len > 0)
        rule->text = strndup(at.p, at.len);
    rule->tag = tag;
    return true;
}

static void inspected_add_unix(struct inspected_unix *to, struct unix_rule rule)
{
    to->rules = grow(to->rules, to->n, &to->room, sizeof *to->rules);
    to->rules[to->n++] = rule;
}

/* allow and deny, a rule of it. */
static void inspected_apply_rule(const struct inspected_change *c)
{
    struct inspected_unix *denies = &inspected.unix_denies;
    struct ip_boxes said = {.p = NULL};
    struct unix_rule rule;

    if (inspected_read_unix(c->rule, &rule)) {
        for (size_t i = denies->n; i-- > 0 && c->verb == LIVE_ALLOW;)
            if (unix_rule_is_within(&denies->rules[i], &rule))
                denies->rules[i] = denies->rules[--denies->n];
        inspected_add_unix(c->verb == LIVE_ALLOW ? &inspected.unix_permits : denies, rule);
        return;
    }
    inspected_add_boxes(&said, c->rule, c->verb == LIVE_DENY);
    if (c->verb == LIVE_ALLOW)
        ip_boxes_take_out(&inspected.denies, &said);
    for (size_t i = 0; i < said.n; i++)
        ip_boxes_add(c->verb == LIVE_ALLOW ? &inspected.permits : &inspected.denies, &said.p[i]);
    free(said.p);
}

/* restrict: the rules changes[first..end) of one. */
static void inspected_restrict(size_t first, size_t end)
{
    struct ip_boxes said = {.p = NULL};
    struct inspected_unix before = inspected.unix_permits;

    inspected.unix_permits = (struct inspected_unix){NULL, 0, 0};
    for (size_t i = first; i < end; i++) {
        struct unix_rule rule;

        if (!inspected.changes[i].has_rule)
            continue;
        if (!inspected_read_unix(inspected.changes[i].rule, &rule)) {
            inspected_add_boxes(&said, inspected.changes[i].rule, false);
            continue;
        }
        for (size_t b = 0; b < before.n; b++)
            if (unix_rule_is_within(&before.rules[b], &rule))
                inspected_add_unix(&inspected.unix_permits, before.rules[b]);
            else if (unix_rule_is_within(&rule, &before.rules[b]))
                inspected_add_unix(&inspected.unix_permits, rule);
    }
    ip_boxes_keep(&inspected.permits, &said);
    inspected.restricted = true;
    free(said.p);
    free(before.rules);
}

/* One change after the other, of one process or (0) the sandbox; pid -1: of all processes what denies. They are in
 * their order. */
static void inspected_apply(pid_t pid)
{
    for (size_t i = 0, end; i < inspected.n_changes; i = end) {
        const struct inspected_change *c = &inspected.changes[i];

        for (end = i + 1; end < inspected.n_changes && inspected.changes[end].order == c->order;)
            end++;
        if (pid < 0 ? c->pid == 0 || c->verb == LIVE_ALLOW : c->pid != pid)
            continue;
        if (c->verb == LIVE_RESTRICT)
            inspected_restrict(i, end);
        for (size_t r = i; r < end && c->verb != LIVE_RESTRICT; r++)
            inspected_apply_rule(&inspected.changes[r]);
    }
}

/* "live ORDER VERB PID LEFT SPEC": a rule of a change, or a restriction as such. */
static void inspected_read_live(struct slice value, struct slice at)
{
    struct inspected_change c = {.verb = LIVE_VERBS, .has_rule = true};
    uint64_t order = 0, pid = 0, left = 0;

    parse_uint(slice_split(&value, ' '), UINT64_MAX, &order);
    struct slice verb = slice_split(&value, ' ');
    for (unsigned v = 0; v < LIVE_VERBS; v++)
        if (slice_is(verb, live_verbs[v]))
            c.verb = (enum live_verb)v;
    parse_uint(slice_split(&value, ' '), INT32_MAX, &pid);
    if (parse_uint(slice_split(&value, ' '), UINT64_MAX, &left) < 0 || c.verb == LIVE_VERBS || value.len == 0)
        die("cannot understand what the sandbox says of its changes");
    c.order = order;
    c.pid = (pid_t)pid;
    c.has_rule = !slice_is(value, "-");
    c.rule = inspected_add_rule(value, at, left);
    inspected.changes = grow(inspected.changes, inspected.n_changes, &inspected.change_room, sizeof c);
    inspected.changes[inspected.n_changes++] = c;
}

/* "option NAME [VALUE]", with which it was started: a rule is noted, anything else printed as it is. */
static void inspected_read_option(struct slice value, struct slice at)
{
    struct slice name = slice_split(&value, ' '), target = value;
    struct unix_rule rule;

    if (slice_is(name, "net-deny") && !rule_cut_unix(&target)) {
        inspected.start_denies =
            grow(inspected.start_denies, inspected.n_start_denies, &inspected.start_deny_room, sizeof value);
        inspected.start_denies[inspected.n_start_denies++] = value;
        return;
    }
    if (!slice_is(name, "net-allow")) {
        printf("%.*s%s%.*s\n", (int)name.len, name.p, value.len ? " " : "", (int)value.len, value.p ? value.p : "");
        return;
    }
    uint32_t tag = inspected_add_rule(value, at, 0);
    if (inspected_read_unix(tag, &rule)) {
        unix_rule_find(&rule);
        inspected_add_unix(&inspected.unix_permits, rule);
    } else {
        inspected_add_boxes(&inspected.permits, tag, false);
    }
}

static int inspected_compare(const void *a, const void *b)
{
    const struct inspected_change *left = a, *right = b;

    return left->order < right->order ? -1 : left->order > right->order;
}

/* All that the sandbox says. */
static void inspected_read(struct slice fields)
{
    struct control_field field, next;
    uint64_t pid;

    while (control_next(&fields, &field)) {
        struct slice rest = fields, at = {NULL, 0};

        if (control_next(&rest, &next) && slice_is(next.name, "at")) {
            at = next.value;
            fields = rest;
        }
        if (slice_is(field.name, "option"))
            inspected_read_option(field.value, at);
        else if (slice_is(field.name, "live"))
            inspected_read_live(field.value, at);
        else if (slice_is(field.name, "open"))
            inspected.open = true;
        else if (slice_is(field.name, "lost"))
            inspected.lost = true;
        else if (slice_is(field.name, "asks") && inspected.n_asks < LIVE_SCOPES_MAX &&
                 parse_uint(field.value, INT32_MAX, &pid) == 0)
            inspected.asks[inspected.n_asks++] = (pid_t)pid;
    }
    qsort(inspected.changes, inspected.n_changes, sizeof *inspected.changes, inspected_compare);
    if (inspected.open)
        inspected_add_boxes(&inspected.permits, inspected_add_rule(slice_of("any://*"), (struct slice){NULL, 0}, 0),
                            false);
}

/* "# ADDRESSES, for another 10 s", where there is anything of that to say. */
static void inspected_print_note(const struct inspected_rule *rule, bool addresses)
{
    bool at = addresses && rule->at.len > 0;

    if (at || rule->left > 0)
        printf(" # ");
    if (at)
        printf("%.*s", (int)rule->at.len, rule->at.p);
    if (rule->left > 0)
        printf("%sfor another %llu s", at ? ", " : "", (unsigned long long)(rule->left + 999) / 1000);
    printf("\n");
}

/* A box as a rule. */
static void inspected_print_box(const char *option, const struct ip_box *box)
{
    char addr[IP_TEXT_MAX], len[8] = "", ports[16] = "";
    bool full = box->prefix.len == (box->prefix.addr.version == 4 ? 32 : 128);
    bool all = box->ports.first == 0 && box->ports.last == UINT16_MAX;
    bool brackets = box->prefix.addr.version == 6 && !all;

    ip_addr_format(addr, sizeof addr, box->prefix.addr);
    if (!full)
        snprintf(len, sizeof len, "/%u", box->prefix.len);
    if (!all && box->ports.first == box->ports.last)
        snprintf(ports, sizeof ports, ":%u", box->ports.first);
    else if (!all)
        snprintf(ports, sizeof ports, ":%u-%u", box->ports.first > 0 ? box->ports.first : 1u, box->ports.last);
    printf("%s %s%s%s%s%s%s", option, scheme_of((enum protocol)box->kind), brackets ? "[" : "", addr, len,
           brackets ? "]" : "", ports);
    inspected_print_note(&inspected.rules[box->tag], false);
}

/* A set as rules: as they were said where all of a rule is left. */
static void inspected_print_boxes(const char *option, const struct ip_boxes *set)
{
    for (size_t i = 0; i < set->n; i++)
        inspected.rules[set->p[i].tag].n_whole += set->p[i].whole;
    for (size_t i = 0; i < set->n; i++) {
        struct inspected_rule *rule = &inspected.rules[set->p[i].tag];

        if (rule->n_whole < rule->n_boxes) {
            inspected_print_box(option, &set->p[i]);
        } else if (!rule->printed) {
            printf("%s %.*s", option, (int)rule->text.len, rule->text.p);
            inspected_print_note(rule, true);
            rule->printed = true;
        }
    }
}

static void inspected_print_unix(const char *option, const struct inspected_unix *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct inspected_rule *rule = &inspected.rules[set->rules[i].tag];

        printf("%s %.*s", option, (int)rule->text.len, rule->text.p);
        inspected_print_note(rule, false);
    }
}

/* Drop the denied boxes that no permitted one has anything in common with, nor an IPv6 address that embeds IPv4. */
static void inspected_drop_idle(void)
{
    struct ip_boxes *denies = &inspected.denies, left = {.failed = denies->failed};
    struct ip_box common;

    for (size_t d = 0; d < denies->n; d++) {
        bool counts = false;

        for (size_t p = 0; p < inspected.permits.n && !counts; p++)
            counts = inspected.permits.p[p].prefix.addr.version > denies->p[d].prefix.addr.version ||
                     ip_box_common(&inspected.permits.p[p], &denies->p[d], &common);
        if (counts)
            ip_boxes_add(&left, &denies->p[d]);
    }
    free(denies->p);
    *denies = left;
}

/* Rules for IP. A denying rule alone would permit the rest: where nothing is permitted nothing is said. */
static void inspected_print_ip(void)
{
    inspected_drop_idle();
    bool denies = inspected.n_start_denies + inspected.denies.n > 0;
    if (inspected.permits.n == 0)
        return;
    if (!inspected.open || inspected.restricted || inspected.unix_permits.n > 0 || !denies)
        inspected_print_boxes("net-allow", &inspected.permits);
    for (size_t i = 0; i < inspected.n_start_denies; i++)
        printf("net-deny %.*s\n", (int)inspected.start_denies[i].len, inspected.start_denies[i].p);
    inspected_print_boxes("net-deny", &inspected.denies);
}

/* What processes have of their own, as comments. */
static void inspected_print_processes(void)
{
    for (size_t i = 0; i < inspected.n_changes; i++) {
        const struct inspected_change *c = &inspected.changes[i];
        const struct inspected_rule *rule = &inspected.rules[c->rule];

        if (c->pid == 0)
            continue;
        printf("# process %d and its descendants: %s %.*s", c->pid, live_verbs[c->verb],
               c->has_rule ? (int)rule->text.len : 0, rule->text.p);
        inspected_print_note(rule, true);
    }
}

/* inspect NAME [--pid PID]: what is permitted now, to the sandbox or one of its processes. */
static int inspect_command(char **operands)
{
    struct growing request = client_verb("policy");
    struct status status;

    if (operands[0] == NULL || operands[1] != NULL)
        die("inspect: needs a sandbox's name; sandlock inspect NAME would be right");
    if (client_given.pid != NULL)
        growing_add(&request, "pid %s\n", client_given.pid);
    growing_append(&request, slice_of("\n"));
    status_read(client_ask(client_connect(operands[0]), operands[0], &request), &status);
    struct slice pid = client_given.pid ? slice_of(client_given.pid) : status.command_pid;
    printf("# sandbox %.*s, %s %.*s: %.*s permitted, %.*s denied\n# %.*s\n", (int)status.name.len, status.name.p,
           client_given.pid ? "process" : "pid", (int)pid.len, pid.p, (int)status.permitted.len, status.permitted.p,
           (int)status.denied.len, status.denied.p, (int)status.command.len, status.command.p);
    inspected_read(status.fields);
    for (size_t i = 0; i < inspected.n_asks; i++)
        inspected_apply(inspected.asks[i]);
    if (inspected.lost) {
        printf("# where it comes from isn't known: what any process is denied, it is denied, too\n");
        inspected_apply(-1);
    }
    inspected_print_ip();
    inspected_print_unix("net-allow", &inspected.unix_permits);
    inspected_print_unix("net-deny", &inspected.unix_denies);
    if (client_given.pid == NULL)
        inspected_print_processes();
    if (inspected.permits.failed || inspected.denies.failed)
        die("out of memory");
    return 0;
}

#endif

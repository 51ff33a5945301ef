/* build.h - the policy once all rules are read: names get their addresses, sets are built */
#ifndef POLICY_BUILD_H
#define POLICY_BUILD_H

#include "types.h"
#include "rules.h"
#include "ruleset.h"
#include "httprules.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/growing.h"
#include "../sys/hosts.h"
#include "../sys/ipset.h"
#include "../sys/log.h"
#include "../sys/resolvconf.h"
#include "../sys/resolve.h"
#include "../sys/special.h"

#include <limits.h>

/* Is this, or an address that it carries, one that --no-private drops? */
static bool addr_is_private(struct ip_addr addr)
{
    struct ip_addr inner;

    if (special_is(WORD_PRIVATE, addr))
        return true;
    for (unsigned i = 0; ip_addr_embedded(addr, i, &inner); i++)
        if (special_is(WORD_PRIVATE, inner))
            return true;
    return false;
}

/* Drop a name's private addresses, where DNS gave them. Whether any address is left. */
static bool name_drop_private(struct resolve_name *name)
{
    size_t left = 0;

    for (size_t f = 0; f < RESOLVE_FAMILIES; f++) {
        struct query *family = &name->families[f];
        size_t kept = 0;

        for (size_t i = 0; i < family->n; i++)
            if (name->from_hosts || !addr_is_private(family->addrs[i]))
                family->addrs[kept++] = family->addrs[i];
        family->n = kept;
        left += kept;
    }
    return left > 0;
}

/* Tell which addresses a name got, people and programs. */
static void name_tell(const struct resolve_name *name)
{
    struct text line = {.len = 0}, json = {.len = 0};
    char text[DNS_NAME_MAX + 1], addr[IP_TEXT_MAX];
    const struct ip_addr *own;

    snprintf(text, sizeof text, "%.*s", (int)name->name.len, name->name.p);
    log_begin(&json);
    text_add(&json, ",\"operation\":\"resolve\",\"name\":");
    text_add_json(&json, text);
    for (size_t i = 0; (own = resolve_address(name, i)) != NULL && text_has_room(&json, sizeof addr); i++) {
        ip_addr_format(addr, sizeof addr, *own);
        text_add(&line, " %s", addr);
        text_add(&json, "%s\"%s\"", i == 0 ? ",\"addresses\":[" : ",", addr);
    }
    text_add(&json, "],\"from\":\"%s\"}\n", name->from_hosts ? "hosts" : "dns");
    log_write(&log_to, &json);
    if (settings.verbose)
        say("%s is%s%s", text, line.bytes, name->from_hosts ? " (not from DNS)" : "");
}

/* The field of the control protocol that says which addresses a rule's name has. */
static void name_add_at(struct growing *to, const struct resolve_name *name)
{
    char text[IP_TEXT_MAX];
    const struct ip_addr *addr;

    growing_append(to, slice_of("at"));
    for (size_t i = 0; (addr = resolve_address(name, i)) != NULL; i++) {
        ip_addr_format(text, sizeof text, *addr);
        growing_add(to, " %s", text);
    }
    growing_append(to, slice_of("\n"));
}

/* One of policy.names has no address that could be used: where the first rule with it stands, and why. */
static void name_say_error(size_t which, const char *error)
{
    const struct named_rule *named = policy.named;

    while (named->name != which)
        named++;
    say_place(named->place.file, named->place.line);
    say("cannot resolve '%.*s': %s", (int)policy.names[which].name.len, policy.names[which].name.p, error);
    say_place(NULL, 0);
}

static struct growing hosts_known; /* the hosts file that names are looked up in first; lives to exit */

/* Look up all names that rules use, at once, and give the rules their addresses. All that fail are said before we
 * end. */
static void policy_resolve(void)
{
    static struct rule rule;
    const struct ip_addr *addr;
    bool failed = false;

    if (policy.n_names == 0 && !policy.http_any_host && policy.undecided == UNDECIDED_REFUSED)
        return;
    if (policy.resolvconf.n_servers == 0) {
        resolvconf_init(&policy.resolvconf);
        resolvconf_read(&policy.resolvconf, "/etc/resolv.conf");
    }
    int result = hosts_load(&hosts_known, NULL, policy.hosts ? policy.hosts : "/etc/hosts");
    if (result < 0 && policy.hosts != NULL)
        die("--hosts '%s': cannot read: %s; a readable hosts file would be right", policy.hosts, strerror(-result));
    result = resolve_all(&policy.resolvconf, growing_slice(&hosts_known), policy.names, policy.n_names);
    if (result < 0)
        die("cannot look up names: %s", strerror(-result));
    for (size_t i = 0; i < policy.n_names; i++) {
        struct resolve_name *name = &policy.names[i];
        char error[RESOLVE_ERROR_MAX] = "it has private addresses only, and --no-private is given";

        if (name->status != RESOLVE_FOUND)
            resolve_error_format(&policy.resolvconf, name, error);
        if (name->status != RESOLVE_FOUND || (policy.no_private && !name_drop_private(name))) {
            name_say_error(i, error);
            failed = true;
        } else {
            name_tell(name);
        }
    }
    if (failed)
        exit(EXIT_OURS);
    for (size_t i = 0; i < policy.n_named; i++) {
        const struct rule_text *text = &policy.texts[policy.named[i].tag];
        const struct resolve_name *name = &policy.names[policy.named[i].name];

        if (text->list == LIST_HTTP)
            http_rule_opens(policy.named[i].tag, &rule);
        else
            rule_parse(text->text, text->list, &rule);
        for (size_t a = 0; (addr = resolve_address(name, a)) != NULL; a++)
            policy_add_prefix(LIST_ALLOW, &rule, ip_prefix_of(*addr), policy.named[i].tag);
    }
}

/* What may not be bound may not be taken by the address that means all, either: 0.0.0.0 for IPv4, :: for both. */
static void policy_deny_wildcards(enum protocol protocol)
{
    struct entry_list *v4 = &policy.building[LIST_BIND_DENY][protocol][0];
    struct entry_list *v6 = &policy.building[LIST_BIND_DENY][protocol][1];

    for (size_t i = 0, n4 = v4->n, n6 = v6->n; i < n4 + n6; i++) {
        struct ipset_entry entry = i < n4 ? v4->entries[i] : v6->entries[i - n4];

        entry.prefix = (struct ip_prefix){{0, 0, 6}, 128};
        entry_add(v6, &entry);
        entry.prefix = (struct ip_prefix){{0, 0, 4}, 32};
        if (i < n4)
            entry_add(v4, &entry);
    }
}

/* After the last rule: build the sets, and what may exist under them. */
static void policy_finish(void)
{
    policy_deny_wildcards(PROTOCOL_TCP);
    policy_deny_wildcards(PROTOCOL_UDP);
    for (unsigned list = 0; list < LISTS; list++)
        for (unsigned p = 0; p < PROTOCOLS; p++)
            for (unsigned v = 0; v < 2; v++) {
                struct entry_list *from = &policy.building[list][p][v];

                if ((list == LIST_ALLOW || list == LIST_BIND) && from->n > 0)
                    policy.open[p] = true;
                if (ipset_build(&policy.sets[list][p][v], from->entries, from->n) < 0)
                    die("cannot hold the rules: out of memory");
                free(from->entries);
                *from = (struct entry_list){NULL, 0, 0};
            }
    if (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY])
        for (unsigned p = 0; p < PROTOCOLS; p++)
            policy.open[p] = true;
    if (policy.undecided != UNDECIDED_REFUSED) {
        policy.any[LIST_ALLOW] = true; /* what none of them names is not permitted, not yet */
        for (unsigned p = 0; p < PROTOCOLS; p++)
            policy.open[p] = true;
    }
    for (unsigned p = 0; p < PROTOCOLS; p++)
        policy.open[p] = policy.open[p] || settings.live; /* what a rule may open later must exist now */
    policy.traps_sends = policy.open[PROTOCOL_UDP] || policy.open[PROTOCOL_ICMP] || policy.n_unix_rules > 0;
}

#endif

/* httprules.h - HTTP rules: the destinations that they open, and what the policy becomes once names are resolved */
#ifndef POLICY_HTTPRULES_H
#define POLICY_HTTPRULES_H

#include "types.h"
#include "rules.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/growing.h"
#include "../sys/hosts.h"
#include "../sys/ipset.h"
#include "../sys/log.h"
#include "../sys/proxychannel.h"
#include "../sys/resolvconf.h"
#include "../sys/resolve.h"

#include <limits.h>

/* Does this rule speak of TLS connections, of which only the name can be known? */
static bool http_rule_covers_tls(const struct http_rule *rule)
{
    return rule->path.len == 0 || policy.http_host_only;
}

/* The ports that the HTTP rule with this tag opens, as an ordinary rule has them. */
static void http_rule_opens(uint32_t tag, struct rule *opens)
{
    const struct http_rule *rule = policy.http_rules;

    while (rule->tag != tag)
        rule++;
    opens->protocols = 1 << PROTOCOL_TCP;
    opens->n_ports = 0;
    for (unsigned p = PROXY_HTTP; p <= (http_rule_covers_tls(rule) ? PROXY_TLS : PROXY_HTTP); p++)
        for (size_t i = 0; i < policy.http_ports[p].n; i++)
            opens->ports[opens->n_ports++] = policy.http_ports[p].ranges[i];
}

/* Does a request on this port have to pass the HTTP rules? Then *protocol is how they are read. */
static bool http_governs(uint16_t port, enum proxy_protocol *protocol)
{
    for (unsigned p = PROXY_HTTP; p <= PROXY_TLS; p++)
        for (size_t i = 0; i < policy.http_ports[p].n; i++)
            if (port >= policy.http_ports[p].ranges[i].first && port <= policy.http_ports[p].ranges[i].last) {
                *protocol = (enum proxy_protocol)p;
                return policy.n_http_rules > 0 || policy.any[LIST_HTTP];
            }
    return false;
}

/* A rule that says more than TLS shows is an error, unless the user has said what is to become of it there. */
static void http_check_tls(const struct http_rule *rule)
{
    const struct rule_text *text = &policy.texts[rule->tag];
    unsigned port = policy.http_ports[PROXY_TLS].ranges[0].first;

    if (rule->path.len > 0 && !policy.http_host_only &&
        (policy.http_ports[PROXY_TLS].given || !policy.http_ports[PROXY_HTTP].given))
        die("%s '%.*s': on TLS ports (%u) no path can be known; the host alone, --http-tls-host-only to have the host "
            "alone decide there, or --http-port without --tls-port to have this rule for HTTP alone would be right",
            list_options[rule->list], (int)text->text.len, text->text.p, port);
    if (!slice_is(rule->method, "*") && http_rule_covers_tls(rule) && !settings.quiet)
        say("%s '%.*s': on TLS ports (%u) no method can be known: the host alone decides there",
            list_options[rule->list], (int)text->text.len, text->text.p, port);
}

/* After the last option: what HTTP rules open by themselves. Names are opened when they are resolved. */
static void policy_open_http(void)
{
    static const uint16_t usual[] = {[PROXY_HTTP] = 80, [PROXY_TLS] = 443};
    static struct rule opens;
    enum proxy_protocol protocol;

    for (unsigned p = PROXY_HTTP; p <= PROXY_TLS; p++)
        if (!policy.http_ports[p].given)
            policy.http_ports[p] = (struct http_ports){.ranges = {{usual[p], usual[p]}}, .n = 1};
    for (size_t i = 0; i < policy.http_ports[PROXY_TLS].n && policy.n_http_rules > 0; i++)
        for (unsigned port = policy.http_ports[PROXY_TLS].ranges[i].first;
             port <= policy.http_ports[PROXY_TLS].ranges[i].last; port++)
            if (http_governs((uint16_t)port, &protocol) && protocol == PROXY_HTTP)
                die("--tls-port %u: --http-port has it, too; different ports would be right", port);
    for (size_t i = 0; i < policy.n_http_rules; i++) {
        const struct http_rule *rule = &policy.http_rules[i];

        http_check_tls(rule);
        if (rule->list == LIST_HTTP_DENY)
            continue;
        http_rule_opens(rule->tag, &opens);
        if (rule->kind == HOST_ADDRESS)
            policy_add_prefix(LIST_ALLOW, &opens, ip_prefix_of(rule->addr), rule->tag);
        if (rule->kind == HOST_ANY || rule->kind == HOST_BELOW) {
            policy.http_any_host = true;
            policy_add_prefix(LIST_ALLOW, &opens, (struct ip_prefix){{0, 0, 4}, 0}, rule->tag);
            policy_add_prefix(LIST_ALLOW, &opens, (struct ip_prefix){{0, 0, 6}, 0}, rule->tag);
        }
    }
    policy.any[LIST_ALLOW] = policy.any[LIST_ALLOW] || policy.any[LIST_HTTP];
    /* Where rules only deny, any other host is as if a rule named it. */
    policy.http_any_host = policy.http_any_host || (policy.any[LIST_HTTP_DENY] && !policy.any[LIST_HTTP]);
}

static struct growing hosts_known; /* the hosts file that names are looked up in first; lives to exit */

/* Look up all names that rules use, at once, and give the rules their addresses. All that fail are said before we
 * end. */
static void policy_resolve(void)
{
    static struct rule rule;
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
        for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
            for (size_t a = 0; a < name->families[f].n; a++) {
                struct ip_addr addr = name->families[f].addrs[a];

                policy_add_prefix(LIST_ALLOW, &rule, ip_prefix_of(addr), policy.named[i].tag);
            }
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

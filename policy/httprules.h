/* httprules.h - HTTP rules: the destinations that they open */
#ifndef POLICY_HTTPRULES_H
#define POLICY_HTTPRULES_H

#include "types.h"
#include "rules.h"
#include "ruleset.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/log.h"
#include "../sys/proxychannel.h"

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
                return policy_has_http();
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

#endif

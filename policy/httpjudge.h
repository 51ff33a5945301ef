/* httpjudge.h - HTTP: what a request may do, and the process that asks it: the proxy */
#ifndef POLICY_HTTPJUDGE_H
#define POLICY_HTTPJUDGE_H

#include "types.h"
#include "httprules.h"
#include "own.h"
#include "rules.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/helper.h"
#include "../sys/hosts.h"
#include "../sys/kernel.h"
#include "../sys/proxy.h"
#include "../sys/proxychannel.h"
#include "../sys/proxyconn.h"
#include "../sys/resolve.h"
#include "../sys/tls.h"
#include "../sys/urlpath.h"

#include <sys/epoll.h>

/* Where a request's host leads, on a connection to a given destination. */
enum http_way {
    WAY_NONE,     /* it isn't that destination's name, nor one that a wildcard could cover */
    WAY_ORIGINAL, /* to the destination: it is its address or a name that has it */
    WAY_NAME,     /* to an address of the host, if a wildcard covers it */
};

/* Why a request was refused: what a report's result says. */
enum http_reason { REASON_RULES, REASON_FOREIGN, REASON_MALFORMED, REASON_NAMELESS };

/* Which of the policy's names this is; NULL: none. */
static const struct resolve_name *http_name_find(struct slice host)
{
    for (size_t i = 0; i < policy.n_names; i++)
        if (hosts_name_equal(policy.names[i].name, host))
            return &policy.names[i];
    return NULL;
}

/* The address that a host is, kept in *room; NULL: it is a name. */
static const struct ip_addr *http_literal(struct slice host, struct ip_addr *room)
{
    if (ip_addr_parse(host, room) < 0)
        return NULL;
    *room = ip_addr_canonical(*room);
    return room;
}

static enum http_way http_way(struct slice host, const struct ip_addr *literal, struct ip_addr addr)
{
    if (literal != NULL)
        return ip_addr_equal(*literal, addr) ? WAY_ORIGINAL : WAY_NONE;
    const struct resolve_name *name = http_name_find(host);
    bool has = name != NULL && resolve_has(name, addr);
    return has ? WAY_ORIGINAL : policy.http_any_host ? WAY_NAME : WAY_NONE;
}

static bool http_rule_has_host(const struct http_rule *rule, struct slice host, const struct ip_addr *literal)
{
    size_t dot = host.len - rule->host.len - 1;

    switch (rule->kind) {
    case HOST_ANY:
        return true;
    case HOST_ADDRESS:
        return literal != NULL && ip_addr_equal(rule->addr, *literal);
    case HOST_NAME:
        return literal == NULL && hosts_name_equal(rule->host, host);
    case HOST_BELOW:
        return literal == NULL && host.len > rule->host.len + 1 && host.p[dot] == '.' &&
               hosts_name_equal((struct slice){host.p + dot + 1, rule->host.len}, rule->host);
    }
    return false;
}

/* A path and its loosest reading: what is permitted is so in both, what is denied is so in either, and with a slash at
 * its end. */
static bool http_rule_has_path(const struct http_rule *rule, struct slice path, struct slice loose)
{
    if (rule->path.len == 0)
        return true;
    bool strictly = urlpath_matches(rule->path, path), loosely = urlpath_matches(rule->loose_path, loose);
    if (rule->list == LIST_HTTP)
        return strictly && loosely;
    loose.len -= loose.len > 1 && loose.p[loose.len - 1] == '/';
    return strictly || loosely || urlpath_matches(rule->loose_path, loose);
}

/* Methods are told apart by case, but what is denied is so in any. */
static bool http_rule_has_request(const struct http_rule *rule, struct slice method, struct slice path,
                                  struct slice loose)
{
    bool any = slice_is(rule->method, "*"), denies = rule->list == LIST_HTTP_DENY;
    bool same = rule->method.len == method.len && (denies ? strncasecmp(rule->method.p, method.p, method.len)
                                                          : memcmp(rule->method.p, method.p, method.len)) == 0;

    return (any || same) && http_rule_has_path(rule, path, loose);
}

/* What the HTTP rules say of a request, or (tls) of a connection of which only the host is known. */
static struct decision http_decide(struct slice method, struct slice host, struct slice path, bool tls,
                                   struct ip_addr addr, enum http_way *way)
{
    static char loose[HTTP_HEAD_MAX + 16];
    struct slice loosely = {loose, urlpath_loosen(path, false, loose)};
    struct decision decision = {VERDICT_DENY, 0, -1};
    struct ip_addr parsed;
    const struct ip_addr *literal = http_literal(host, &parsed);

    *way = http_way(host, literal, addr);
    for (size_t i = 0; i < policy.n_http_rules; i++) {
        const struct http_rule *rule = &policy.http_rules[i];
        bool denies = rule->list == LIST_HTTP_DENY, exact = rule->kind == HOST_NAME || rule->kind == HOST_ADDRESS;

        if (!http_rule_has_host(rule, host, literal) || !(tls || http_rule_has_request(rule, method, path, loosely)))
            continue;
        if (denies)
            return (struct decision){VERDICT_DENY, 0, rule->tag};
        if (decision.rule < 0 && !(tls && !http_rule_covers_tls(rule)) &&
            (*way == WAY_ORIGINAL || (*way == WAY_NAME && !exact)))
            decision = (struct decision){VERDICT_ALLOW, 0, rule->tag};
    }
    if (!policy.any[LIST_HTTP] && *way != WAY_NONE)
        decision.verdict = VERDICT_ALLOW;
    return decision;
}

static void http_copy(char *to, size_t room, struct slice text)
{
    size_t n = text.len < room ? text.len : room - 1;

    if (n > 0)
        memcpy(to, text.p, n);
    to[n] = 0;
}

/* The rule that would allow a request, as an option. Somebody may have a shell read it: it has a * for each ' of the
 * request's. */
static void http_format_rule(char *to, size_t room, const struct proxy_message *m)
{
    if (m->protocol == PROXY_TLS)
        snprintf(to, room, "--http-allow '* %s'", m->host);
    else
        snprintf(to, room, "--http-allow '%s %s%s'", m->method, m->host, m->path);
    for (char *at = strchr(to, '\'') + 1; (at = strchr(at, '\'')) != NULL && at[1] != 0; at++)
        *at = '*';
}

/* A line for who is refused. */
static void http_format_refusal(char *to, size_t room, const struct proxy_message *m)
{
    char rule[PROXY_TEXT_MAX / 2], at[IP_ENDPOINT_MAX];

    http_format_rule(rule, sizeof rule, m);
    ip_endpoint_format(at, sizeof at, m->addr, m->port);
    switch ((enum http_reason)m->result) {
    case REASON_MALFORMED:
    case REASON_NAMELESS:
        snprintf(to, room, "sandlock: malformed request");
        return;
    case REASON_FOREIGN:
        snprintf(to, room, "sandlock: denied: %s is no name of %s here; %s", m->host, at, rule);
        return;
    case REASON_RULES:
        break;
    }
    if (m->rule >= 0)
        snprintf(to, room, "sandlock: denied by %s '%.*s'", list_options[policy.texts[m->rule].list],
                 (int)policy.texts[m->rule].text.len, policy.texts[m->rule].text.p);
    else
        snprintf(to, room, "sandlock: denied: allow it with %s", rule);
}

/* Where a host leads that some rule permits requests to; WAY_NONE: none does. */
static enum http_way http_may_reach(struct slice host, struct ip_addr addr)
{
    struct ip_addr parsed;
    const struct ip_addr *literal = http_literal(host, &parsed);
    enum http_way way = http_way(host, literal, addr);
    if (!policy.any[LIST_HTTP])
        return way;
    for (size_t i = 0; i < policy.n_http_rules; i++)
        if (policy.http_rules[i].list == LIST_HTTP && http_rule_has_host(&policy.http_rules[i], host, literal) &&
            (way == WAY_ORIGINAL || policy.http_rules[i].kind == HOST_ANY || policy.http_rules[i].kind == HOST_BELOW))
            return way;
    return WAY_NONE;
}

/* The proxy's question: may this go? */
static void http_judge(const struct proxy_conn *c, const struct proxy_question *q, struct proxy_answer *answer)
{
    struct proxy_message report = {.kind = PROXY_REPORT, .protocol = c->protocol, .addr = c->addr, .port = c->port,
                                   .process = c->process, .rule = -1, .denied = true};
    bool known = q->kind == PROXY_REQUEST || q->kind == PROXY_HELLO;
    enum http_way way = WAY_NONE;

    http_copy(report.method, sizeof report.method, q->method);
    http_copy(report.host, sizeof report.host, q->host);
    http_copy(report.path, sizeof report.path, q->path);
    if (known) {
        struct decision decision = http_decide(q->method, q->host, q->path, q->kind == PROXY_HELLO, c->addr, &way);

        report.rule = decision.rule;
        report.denied = decision.verdict == VERDICT_DENY || (q->port != 0 && q->port != c->port);
    }
    report.result = q->kind == PROXY_MALFORMED ? REASON_MALFORMED : q->kind == PROXY_NAMELESS ? REASON_NAMELESS
                    : way == WAY_NONE && report.rule < 0 ? REASON_FOREIGN : REASON_RULES;
    answer->what = report.denied ? PROXY_REFUSED : way == WAY_ORIGINAL ? PROXY_PASSES : PROXY_LOOKS_UP;
    answer->alert = report.result == REASON_RULES ? TLS_ACCESS_DENIED : TLS_UNRECOGNIZED_NAME;
    http_format_refusal(answer->text, sizeof answer->text, &report);
    if (report.denied || settings.log_allowed)
        proxy_send(proxy.channel, &report, NULL, 0, 0);
}

/* All that the proxy calls: it opens nothing, connects nowhere, and sees no process. */
static const enum syscall_number proxy_calls[] = {
    NR_brk, NR_clock_gettime, NR_close, NR_epoll_ctl, NR_epoll_pwait, NR_epoll_wait, NR_exit_group, NR_fcntl,
    NR_madvise, NR_mmap, NR_mremap, NR_munmap, NR_pipe2, NR_recvfrom, NR_recvmsg, NR_restart_syscall, NR_sendmsg,
    NR_sendto, NR_shutdown, NR_splice,
};

static void http_proxy_run(void)
{
    struct epoll_event event = {.events = EPOLLIN};

    own_raise_limit();
    sys_schedule_as_batch(); /* a fifth more bytes a second: it isn't woken for every segment that arrives */
    proxy.channel = HELPER_CHANNEL;
    proxy.judge = http_judge;
    proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (proxy.epoll < 0 || epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, proxy.channel, &event) < 0 ||
        helper_confine(proxy_calls, ARRAY_LEN(proxy_calls)) < 0)
        return;
    proxy_run();
}

#endif

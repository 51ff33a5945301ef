/* tell.h - what there is to tell of a decision */
#ifndef POLICY_TELL_H
#define POLICY_TELL_H

#include "types.h"
#include "call.h"
#include "events.h"
#include "httpjudge.h"
#include "learn.h"
#include "live.h"
#include "rules.h"
#include "traps.h"
#include "../sys/addr.h"
#include "../sys/proxychannel.h"

static void event_name_rule(struct event *event, int64_t rule)
{
    if (rule == RULE_ASKED)
        snprintf(event->rule, sizeof event->rule, "--ask");
    if (rule < 0)
        return;
    if (rule == RULE_CONTROL) {
        snprintf(event->rule, sizeof event->rule, "a sandbox is controlled from outside only");
        return;
    }
    if (rule >= RULE_LIVE) {
        const struct live_rule *said = rule == RULE_RESTRICTION ? NULL : &live.rules[rule - RULE_LIVE];

        snprintf(event->rule, sizeof event->rule, "live %s %s", live_verbs[said ? said->verb : LIVE_RESTRICT],
                 said ? said->text : "");
        return;
    }
    const struct rule_text *text = &policy.texts[rule];
    const char *quote = text->list == LIST_HTTP || text->list == LIST_HTTP_DENY ? "'" : "";
    snprintf(event->rule, sizeof event->rule, "%s %s%.*s%s", list_options[text->list], quote, (int)text->text.len,
             text->text.p, quote);
}

/* What there is to say of a destination, a bind or a listen. */
static void event_of_destination(struct event *event, const struct destination *to, struct decision decision,
                                 bool binds)
{
    char endpoint[IP_ENDPOINT_MAX];
    bool undecided = decision.verdict == VERDICT_DENY && decision.rule < 0;

    event->verdict = decision.verdict;
    event_name_rule(event, decision.rule);
    if (to->kind == DESTINATION_UNIX) {
        snprintf(event->protocol, sizeof event->protocol, "unix");
        snprintf(event->address, sizeof event->address, "%.*s", EVENT_NAME, unix_target.name);
        snprintf(event->subject, sizeof event->subject, "unix %.*s", EVENT_NAME, unix_target.name);
        /* The name may be the command's choice, and the option one that somebody has a shell read. It is whole. */
        const char *quote = strpbrk(event->address, " \t\n$`\"\\;&|<>()*?[]{}~#!'") != NULL ? "'" : "";
        if (undecided && strchr(event->address, '\'') == NULL && strlen(event->address) == unix_target.name_len)
            snprintf(event->allow, sizeof event->allow, "--net-allow %sunix://%.*s%s", quote, EVENT_NAME,
                     event->address, quote);
        return;
    }
    if (to->kind != DESTINATION_IP) {
        snprintf(event->protocol, sizeof event->protocol, "other");
        snprintf(event->subject, sizeof event->subject, "a socket of another kind");
        return;
    }
    const char *name = to->protocol < PROTOCOLS ? protocol_names[to->protocol] : "other";
    snprintf(event->protocol, sizeof event->protocol, "%s", name);
    ip_addr_format(event->address, sizeof event->address, to->addr);
    event->port = to->port;
    ip_endpoint_format(endpoint, sizeof endpoint, to->addr, to->port);
    snprintf(event->subject, sizeof event->subject, "%s %s", event->protocol, endpoint);
    undecided = undecided && to->protocol < PROTOCOLS;
    if (to->steered && !settings.allow_steering)
        snprintf(event->allow, sizeof event->allow, "--allow-steering");
    else if (undecided && binds && to->any_port)
        snprintf(event->allow, sizeof event->allow, "--net-allow-bind '%s*'", scheme_of(to->protocol));
    else if (undecided && binds)
        snprintf(event->allow, sizeof event->allow, "--net-allow-bind %s%u", scheme_of(to->protocol), to->port);
    else if (undecided && (to->port > 0 || to->any_port || to->protocol == PROTOCOL_ICMP)) /* no rule is for port 0 */
        snprintf(event->allow, sizeof event->allow, "--net-allow %s%s", scheme_of(to->protocol), endpoint);
}

/* How many destinations, binds and listens were permitted and refused, and what else was refused. */
static uint64_t n_permitted, n_denied;

static void tell_destination(const struct request *r, const struct destination *to, struct decision decision)
{
    struct event event = {.operation = call_names[r->call]};

    if (to->kind == DESTINATION_NONE || (to->kind == DESTINATION_UNIX && decision.error == ECONNREFUSED))
        return; /* there is nobody to be refused */
    *(decision.verdict == VERDICT_ALLOW ? &n_permitted : &n_denied) += 1;
    if (decision.verdict == VERDICT_ALLOW && !settings.log_allowed)
        return;
    event_of_destination(&event, to, decision, takes_port(r->call));
    event_tell(&event, r->tid);
    if (policy.undecided == UNDECIDED_LEARNED && decision.verdict == VERDICT_DENY && decision.rule == RULE_NONE)
        learn_refused(r, event.subject, event.allow);
}

/* Something that isn't a destination was refused. */
static void tell_refused(const struct request *r, const char *subject, const char *allow)
{
    struct event event = {.operation = call_names[r->call], .verdict = VERDICT_DENY};

    n_denied++;
    snprintf(event.protocol, sizeof event.protocol, "%s", subject);
    snprintf(event.subject, sizeof event.subject, "%s", subject);
    snprintf(event.allow, sizeof event.allow, "%s", allow);
    event_tell(&event, r->tid);
    if (policy.undecided == UNDECIDED_LEARNED)
        learn_refused(r, subject, allow);
}

/* What the proxy refused, or let pass. */
static void proxy_report(const struct proxy_message *m)
{
    struct event event = {.operation = m->protocol == PROXY_TLS ? "tls" : "http", .port = m->port,
                          .verdict = m->denied ? VERDICT_DENY : VERDICT_ALLOW};
    char at[IP_ENDPOINT_MAX];

    ip_endpoint_format(at, sizeof at, m->addr, m->port);
    ip_addr_format(event.address, sizeof event.address, m->addr);
    snprintf(event.protocol, sizeof event.protocol, "%s", event.operation);
    memcpy(event.method, m->method, sizeof event.method);
    memcpy(event.host, m->host, sizeof event.host);
    memcpy(event.path, m->path, sizeof event.path);
    if (m->rule >= 0 && (uint64_t)m->rule < policy.n_texts)
        event_name_rule(&event, m->rule);
    switch ((enum http_reason)m->result) {
    case REASON_MALFORMED:
        snprintf(event.subject, sizeof event.subject, "to %s, which is malformed", at);
        break;
    case REASON_NAMELESS:
        snprintf(event.subject, sizeof event.subject, "to %s, which names no server", at);
        break;
    case REASON_FOREIGN:
        snprintf(event.subject, sizeof event.subject, "%s%s%.50s%.40s, which isn't %s", m->method,
                 m->method[0] ? " " : "", m->host, m->path, at);
        break;
    case REASON_RULES:
        snprintf(event.subject, sizeof event.subject, "%s%s%.70s%.80s", m->method, m->method[0] ? " " : "", m->host,
                 m->path);
        if (m->denied && m->rule < 0)
            http_format_rule(event.allow, sizeof event.allow, m);
        break;
    }
    event_tell(&event, m->process.pid);
}

#endif

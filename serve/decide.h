/* decide.h - the verdict on a connection, a datagram, a bind or a multicast group */
#ifndef SERVE_DECIDE_H
#define SERVE_DECIDE_H

#include "../policy/ask.h"
#include "../policy/call.h"
#include "../policy/events.h"
#include "../policy/httprules.h"
#include "../policy/learn.h"
#include "../policy/live.h"
#include "../policy/match.h"
#include "../policy/tell.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/ipset.h"
#include "../sys/proxychannel.h"
#include "../sys/unixtarget.h"

/* A unix socket: one that the sandbox bound itself is permitted, any other takes a rule; control sockets never are. */
static struct decision decide_unix(const struct unix_target *target)
{
    struct decision decision = {VERDICT_DENY, EACCES, -1};

    if (unix_target_controls(target)) {
        decision.rule = RULE_CONTROL;
        return decision;
    }
    for (size_t i = 0; i < policy.n_unix_rules; i++)
        if (policy.unix_rules[i].list == LIST_DENY && unix_rule_denies(&policy.unix_rules[i], target)) {
            decision.rule = policy.unix_rules[i].tag;
            return decision;
        }
    switch (live_says(&(struct live_question){.target = target}, &decision.rule)) {
    case SAYS_ALLOW:
        decision.verdict = VERDICT_ALLOW;
        return decision;
    case SAYS_DENY:
        if (decision.rule == RULE_RESTRICTION && target->holder == HELD_BY_NOBODY)
            decision.error = ECONNREFUSED;
        if (decision.rule != RULE_RESTRICTION || target->holder != HELD_INSIDE)
            return decision;
        decision.rule = -1; /* a restriction is about what is outside */
        break;
    case SAYS_NOTHING:
        break;
    }
    if (target->holder == HELD_INSIDE)
        decision.verdict = VERDICT_ALLOW;
    for (size_t i = 0; i < policy.n_unix_rules && decision.verdict == VERDICT_DENY; i++)
        if (policy.unix_rules[i].list == LIST_ALLOW && unix_rule_allows(&policy.unix_rules[i], target)) {
            decision.verdict = VERDICT_ALLOW;
            decision.rule = policy.unix_rules[i].tag;
        }
    if (decision.verdict == VERDICT_DENY && files_grant_unix(target))
        decision.verdict = VERDICT_ALLOW;
    if (decision.verdict == VERDICT_DENY && target->holder == HELD_BY_NOBODY)
        decision.error = ECONNREFUSED; /* as anybody would be */
    return decision;
}

/* The verdict on a connection or a datagram to `to`. */
static struct decision decide(const struct destination *to)
{
    struct decision decision = {VERDICT_DENY, policy.deny_errno ? policy.deny_errno : ECONNREFUSED, -1};

    switch (to->kind) {
    case DESTINATION_NONE:
        return (struct decision){VERDICT_ALLOW, 0, -1};
    case DESTINATION_UNIX:
        return decide_unix(&unix_target);
    case DESTINATION_OTHER:
        decision.error = EACCES;
        return decision;
    case DESTINATION_IP:
        break;
    }
    if (to->steered && !settings.allow_steering) {
        decision.error = EPERM;
        return decision;
    }
    decision.rule = policy_find_denied(to->protocol, to->addr, to->port);
    if (decision.rule >= 0)
        return decision;
    struct live_question q = {.protocol = to->protocol, .addr = to->addr, .port = to->port, .any_port = to->any_port};
    enum says says = live_says(&q, &decision.rule);
    if (says == SAYS_DENY)
        return decision;
    if (says == SAYS_NOTHING && policy.any[LIST_ALLOW])
        decision.rule = policy_find(LIST_ALLOW, to->protocol, to->addr, to->port);
    enum proxy_protocol protocol;
    if (decision.rule >= 0 || (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY]))
        decision.verdict = to->protocol == PROTOCOL_TCP && http_governs(to->port, &protocol) ? VERDICT_REDIRECT
                                                                                            : VERDICT_ALLOW;
    return decision;
}

/* The verdict on joining a multicast group: it has no port, so a rule for any port of that address permits it. */
static struct decision decide_group(const struct destination *to)
{
    struct decision decision = decide(to);
    bool denied = policy_find_denied(to->protocol, to->addr, 0) >= 0 || decision.rule >= RULE_LIVE;
    if (decision.verdict == VERDICT_DENY && !denied && to->protocol < PROTOCOLS &&
        ipset_covers(&policy.sets[LIST_ALLOW][to->protocol][to->addr.version == 6], to->addr))
        decision.verdict = VERDICT_ALLOW;
    decision.error = decision.verdict == VERDICT_ALLOW ? 0 : EPERM;
    return decision;
}

/* The verdict on taking a local port: by bind, or by listen, for which the kernel picks a port where none is bound. */
static struct decision decide_bind(const struct destination *to, bool listens)
{
    struct decision decision = {VERDICT_DENY, EACCES, -1};

    if (to->kind == DESTINATION_NONE)
        return (struct decision){VERDICT_ALLOW, 0, -1};
    if (to->kind != DESTINATION_IP)
        return decision;
    if (to->steered && !settings.allow_steering)
        return decision;
    decision.rule = policy_find(LIST_BIND_DENY, to->protocol, to->addr, to->port);
    if (decision.rule >= 0)
        return decision;
    decision.rule = policy_find(LIST_BIND, to->protocol, to->addr, to->port);
    if (decision.rule >= 0 && to->dual && policy_find(LIST_BIND, to->protocol, (struct ip_addr){0, 0, 4}, to->port) < 0)
        decision.rule = -1; /* a dual-stack bind of :: takes the IPv4 port as well */
    if (decision.rule >= 0 || (to->port == 0 && !listens))
        decision.verdict = VERDICT_ALLOW;
    return decision;
}

/* Was it refused only because no rule names it? Nothing is asked where nobody listens there anyway, or where another
 * option (--allow-steering) is what would permit it. */
static bool is_undecided(const struct destination *to, struct decision decision)
{
    if (decision.verdict != VERDICT_DENY || decision.rule != RULE_NONE)
        return false;
    if (to->kind == DESTINATION_UNIX) /* only a name that fits into a question, whole */
        return unix_target.holder != HELD_BY_NOBODY && unix_target.name_len <= EVENT_NAME &&
               strlen(unix_target.name) == unix_target.name_len;
    return to->kind == DESTINATION_IP && to->protocol < PROTOCOLS && !(to->steered && !settings.allow_steering);
}

/* Decide what no rule decides: refuse it, learn it (learn), or ask (--ask). VERDICT_ASK: r->asked says about what. */
static struct decision settle(struct request *r, const struct destination *to, struct decision decision)
{
    if (policy.undecided == UNDECIDED_REFUSED || !is_undecided(to, decision))
        return decision;
    if (policy.undecided == UNDECIDED_LEARNED) {
        learn_destination(r, to, is_send(r->call));
        return (struct decision){VERDICT_ALLOW, 0, RULE_LEARNED};
    }
    struct subject subject = subject_of(to, takes_port(r->call));
    const struct remembered *known = remembered_find(&subject);
    enum answer answer = r->answer != ANSWER_NONE && subject_same(&r->asked, &subject) ? r->answer : ANSWER_NONE;
    if (known->subject.kind != 0)
        answer = known->allowed ? ANSWER_ALLOW : ANSWER_DENY;
    decision.rule = RULE_ASKED;
    decision.verdict = answer == ANSWER_NONE ? VERDICT_ASK : answer == ANSWER_ALLOW ? VERDICT_ALLOW : VERDICT_DENY;
    if (decision.verdict == VERDICT_ASK) {
        r->asked = subject;
        r->answer = ANSWER_NONE;
        r->to = *to;
        r->refusal = decision.error;
    }
    return decision;
}

/* The final verdict on r's destination: that of the rules, or of whoever was asked. It is reported. */
static struct decision judge(struct request *r, struct decision decision)
{
    decision = settle(r, &r->to, decision);
    r->judged = live.order;
    if (decision.verdict != VERDICT_ASK)
        tell_destination(r, &r->to, decision);
    return decision;
}

#endif

/* live.h - live policy: what was changed while the command runs, and what that says of a call */
#ifndef POLICY_LIVE_H
#define POLICY_LIVE_H

#include "types.h"
#include "rules.h"
#include "call.h"
#include "match.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/lineage.h"
#include "../sys/liveset.h"
#include "../sys/log.h"
#include "../sys/unixtarget.h"

#include <limits.h>

enum {
    LIVE_SPECS_MAX = 8192,       /* of one change */
    LIVE_BOXES_MAX = 16384,      /* prefixes with ports that they come to */
    LIVE_UNIX_MAX = 256,
    LIVE_SCOPES_MAX = 256,       /* the sandbox's and those of processes */
    LIVE_RESTRICTIONS_MAX = 16,  /* of one scope that narrow it differently */
    LIVE_RULES_MAX = LIVESET_MAX + LIVE_UNIX_MAX, /* each has a place of its own at least */
    LIVE_TIME_MAX = 400 * 86400, /* seconds */
};

/* A decision's rule: a live one, or a restriction that leaves the destination out. */
#define RULE_LIVE ((int64_t)1 << 32)
#define RULE_RESTRICTION (RULE_LIVE + LIVE_RULES_MAX)
#define RULE_CONTROL (RULE_RESTRICTION + 1) /* no rule reaches a sandbox's control socket */

enum live_verb { LIVE_ALLOW, LIVE_DENY, LIVE_RESTRICT, LIVE_VERBS };

static const char *const live_verbs[LIVE_VERBS] = {"allow", "deny", "restrict"};

/* One SPEC of a change. It ends when nothing of it is left: newer changes take the place of what they repeat. */
struct live_rule {
    char *text;        /* as it was said; behind its NUL the addresses that its name had, or its socket; owned */
    uint64_t order;    /* of the change: later ones go before earlier ones */
    uint64_t ends;     /* on the clock of clock_ms; 0: never */
    uint32_t owner;    /* a scope's, or a restriction's */
    uint32_t places;   /* how many it has in live.set and live.unix_rules; 0: a free rule */
    enum live_verb verb;
};

/* A restriction's rules have an owner of their own. */
struct live_restriction {
    uint64_t order; /* 0: a free place */
    uint64_t ends;
};

/* Whose changes: the first is the sandbox's, and of no process; others are a process's and its descendants'. */
struct live_scope {
    struct lineage_id process; /* pid 0: a free place */
    struct live_restriction restrictions[LIVE_RESTRICTIONS_MAX];
    size_t n; /* rules, its restrictions' too, and restrictions */
};

static struct live {
    struct liveset set;
    struct live_rule rules[LIVE_RULES_MAX];
    struct {
        struct unix_rule rule; /* tag: of live.rules; text is owned */
        uint32_t owner;
    } unix_rules[LIVE_UNIX_MAX];
    size_t n_unix;
    struct live_scope scopes[LIVE_SCOPES_MAX];
    size_t n_processes;     /* scopes in use but the first */
    uint32_t free_rule, n_rules; /* the first free one of the list + 1, by owner; how many were ever used */
    uint64_t order;         /* of the last change, or the end of some; 0: there was none */
    uint64_t next_end;      /* the first of all ends; 0: none */
    bool names_changed;     /* what /etc/hosts shows inside is to be composed anew */
    struct lineage lineage;
} live;

/* Whose changes count for the call that is looked at: scopes, the nearest first; the sandbox's is the last. */
static struct {
    uint16_t scopes[LIVE_SCOPES_MAX];
    size_t n;
    bool lost; /* where the process comes from isn't known */
} in_force;

static uint32_t live_owner(size_t scope)
{
    return (uint32_t)(scope * (LIVE_RESTRICTIONS_MAX + 1));
}

static uint32_t live_restriction_owner(size_t scope, size_t restriction)
{
    return (uint32_t)(live_owner(scope) + 1 + restriction);
}

static size_t live_scope_of(uint32_t owner)
{
    return owner / (LIVE_RESTRICTIONS_MAX + 1);
}

/* Find out whose changes count for this process; pid 0: it isn't known. */
static void live_find_scopes(struct lineage_id process)
{
    static struct lineage_id line[LINEAGE_DEPTH];
    bool whole = true;

    in_force.n = 0;
    size_t n = live.n_processes > 0 ? lineage_read(&live.lineage, process, line, &whole) : 0;
    for (size_t i = 0; i < n; i++)
        for (size_t s = 1; s < LIVE_SCOPES_MAX; s++)
            if (lineage_same(live.scopes[s].process, line[i]))
                in_force.scopes[in_force.n++] = (uint16_t)s;
    in_force.scopes[in_force.n++] = 0;
    in_force.lost = !whole;
}

/* The same for the process of this thread, which makes a call. */
static void live_find_scopes_of(pid_t tid)
{
    live_find_scopes(live.n_processes > 0 ? lineage_of_thread(&live.lineage, tid) : (struct lineage_id){0, 0});
}

/* What a rule or a change may say of a destination. */
enum says { SAYS_NOTHING, SAYS_ALLOW, SAYS_DENY };

/* Where a call leads, as the live policy is asked. */
struct live_question {
    enum protocol protocol;
    struct ip_addr addr;
    uint16_t port;
    bool any_port;                    /* a rule for any of its ports will do */
    const struct unix_target *target; /* not NULL: a unix socket instead */
};

/* The newest rule of an owner that speaks of it; -1: none. */
static int64_t live_find(uint32_t owner, const struct live_question *q)
{
    int64_t best = -1;

    if (q->target == NULL) {
        struct port_range port = {q->port, q->port};
        int64_t place = q->any_port ? liveset_find_any_port(&live.set, owner, (uint8_t)q->protocol, q->addr)
                                    : liveset_find(&live.set, owner, (uint8_t)q->protocol, ip_prefix_of(q->addr), port);

        return place < 0 ? place : (int64_t)live.set.rules[place].tag;
    }
    for (size_t i = 0; i < live.n_unix; i++) {
        const struct unix_rule *rule = &live.unix_rules[i].rule;
        bool denies = live.rules[rule->tag].verb == LIVE_DENY;

        if (live.unix_rules[i].owner == owner && (best < 0 || live.rules[rule->tag].order > live.rules[best].order) &&
            (denies ? unix_rule_denies(rule, q->target) : unix_rule_allows(rule, q->target)))
            best = rule->tag;
    }
    return best;
}

/* What a scope's newest change that speaks of it says; *rule: which it was. A restriction speaks of all that its rules
 * don't name. */
static enum says live_scope_says(size_t scope, const struct live_question *q, int64_t *rule)
{
    int64_t newest = live_find(live_owner(scope), q);
    uint64_t order = newest < 0 ? 0 : live.rules[newest].order;

    for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++)
        if (live.scopes[scope].restrictions[i].order > order && live_find(live_restriction_owner(scope, i), q) < 0) {
            *rule = RULE_RESTRICTION;
            return SAYS_DENY;
        }
    if (newest < 0)
        return SAYS_NOTHING;
    *rule = RULE_LIVE + newest;
    return live.rules[newest].verb == LIVE_DENY ? SAYS_DENY : SAYS_ALLOW;
}

/* The same, where a denied IPv4 address is also denied within an IPv6 address that embeds it. */
static enum says live_scope_says_of_all(size_t scope, const struct live_question *q, int64_t *rule)
{
    struct live_question inner = *q;
    enum says says = live_scope_says(scope, q, rule);

    for (unsigned i = 0; q->target == NULL && says != SAYS_DENY && ip_addr_embedded(q->addr, i, &inner.addr); i++) {
        int64_t within = live_find(live_owner(scope), &inner);

        if (within >= 0 && live.rules[within].verb == LIVE_DENY) {
            *rule = RULE_LIVE + within;
            return SAYS_DENY;
        }
    }
    return says;
}

/* What the live policy says; *rule: by which rule, where it says something. A process whose ancestors aren't known
 * falls under all that any process is denied. */
static enum says live_says(const struct live_question *q, int64_t *rule)
{
    enum says says = SAYS_NOTHING;
    int64_t by = -1;

    if (live.order == 0) /* nothing was changed, and whose call it is wasn't asked */
        return says;
    for (size_t s = 1; in_force.lost && s < LIVE_SCOPES_MAX && says != SAYS_DENY; s++)
        says = live.scopes[s].process.pid > 0 ? live_scope_says_of_all(s, q, &by) : SAYS_NOTHING;
    if (says != SAYS_DENY)
        says = SAYS_NOTHING;
    for (size_t i = 0; i < in_force.n && says == SAYS_NOTHING; i++)
        says = live_scope_says_of_all(in_force.scopes[i], q, &by);
    if (says != SAYS_NOTHING)
        *rule = by;
    return says;
}

#endif

/* fuzzer of the rule grammar, policy files and what a policy decides: every text is taken or refused with one line that
 * says why, what is taken has one meaning, and the sets that are built decide as a look at each rule would (fuzz.h) */
#include "fuzz.h"

/* A policy of these lines, one option each, or why it isn't one. */
static bool fuzz_load(const uint8_t *data, size_t size)
{
    fuzz_set_file("input", data, size);
    fuzz_said_len = 0;
    if (setjmp(fuzz_end) != 0)
        return false;
    set_policy("input");
    policy_finish();
    return true;
}

static bool fuzz_same_prefix(struct ip_prefix a, struct ip_prefix b)
{
    return a.addr.hi == b.addr.hi && a.addr.lo == b.addr.lo && a.addr.version == b.addr.version && a.len == b.len;
}

/* What must hold of a rule that was taken. */
static void fuzz_rule(struct slice text, enum rule_list list, struct rule *rule)
{
    bool binds = list == LIST_BIND || list == LIST_BIND_DENY;
    rule_error error = binds ? rule_parse_bind(text, rule) : rule_parse(text, list, rule);

    assert(error == NULL);
    assert(rule->protocols != 0 && rule->protocols < 1u << PROTOCOLS && rule->n_ports <= PORT_RANGES_MAX);
    for (size_t i = 0; i < rule->n_ports; i++)
        assert(rule->ports[i].first <= rule->ports[i].last && (binds || rule->ports[i].first > 0));
    assert(rule->n_ports == 0 || !(rule->protocols & 1u << PROTOCOL_ICMP));
    switch (rule->target) {
    case TARGET_ANY:
        break;
    case TARGET_PREFIX:
        assert(fuzz_same_prefix(rule->prefix, ip_prefix_canonical(rule->prefix)));
        assert(rule->prefix.len <= (rule->prefix.addr.version == 4 ? 32 : 128));
        break;
    case TARGET_WORD:
        assert(!binds && rule->word < SPECIAL_WORDS);
        break;
    case TARGET_NAME:
        assert(list == LIST_ALLOW && dns_name_valid(rule->name));
        assert(rule->name.p >= text.p && rule->name.p + rule->name.len <= text.p + text.len);
        break;
    }
}

/* Does one rule speak of this destination? */
static bool fuzz_covers(const struct rule *rule, enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    bool port_fits = rule->n_ports == 0;

    for (size_t i = 0; i < rule->n_ports; i++)
        port_fits = port_fits || (port >= rule->ports[i].first && port <= rule->ports[i].last);
    return port_fits && rule->protocols & 1u << protocol &&
           (rule->target == TARGET_ANY ||
            (rule->target == TARGET_PREFIX && ip_prefix_holds(rule->prefix, ip_prefix_of(addr))) ||
            (rule->target == TARGET_WORD && special_is(rule->word, addr)));
}

enum { RULES_MAX = 64 };

/* The policy's rules, read again. */
static struct rule fuzz_rules[RULES_MAX];
static enum rule_list fuzz_lists[RULES_MAX];
static size_t fuzz_n_rules;

/* false: more than that. */
static bool fuzz_read_rules(void)
{
    fuzz_n_rules = 0;
    for (size_t i = 0; i < policy.n_texts; i++) {
        struct slice text = policy.texts[i].text;

        if (text.len >= 7 && memcmp(text.p, "unix://", 7) == 0)
            continue;
        if (fuzz_n_rules == RULES_MAX)
            return false;
        fuzz_lists[fuzz_n_rules] = policy.texts[i].list;
        fuzz_rule(text, policy.texts[i].list, &fuzz_rules[fuzz_n_rules++]);
    }
    return true;
}

/* Is it covered by a rule of this list? By a look at each. */
static bool fuzz_listed(enum rule_list list, enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    for (size_t i = 0; i < fuzz_n_rules; i++)
        if (fuzz_lists[i] == list && fuzz_covers(&fuzz_rules[i], protocol, addr, port))
            return true;
    return false;
}

static bool fuzz_denied(enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    struct ip_addr inner;
    bool denied = fuzz_listed(LIST_DENY, protocol, addr, port);

    for (unsigned i = 0; !denied && ip_addr_embedded(addr, i, &inner); i++)
        denied = fuzz_listed(LIST_DENY, protocol, inner, port);
    return denied;
}

/* The verdict on one destination is what the rules say, each looked at. */
static void fuzz_decide(enum protocol protocol, struct ip_addr addr, uint16_t port)
{
    struct destination to = {
        .kind = DESTINATION_IP, .protocol = protocol, .addr = addr, .port = protocol == PROTOCOL_ICMP ? 0 : port};
    bool allowed = policy.any[LIST_ALLOW] ? fuzz_listed(LIST_ALLOW, protocol, addr, to.port) : policy.any[LIST_DENY];
    bool expected = allowed && !fuzz_denied(protocol, addr, to.port);
    struct decision decision = decide(&to);

    assert((decision.verdict == VERDICT_ALLOW) == expected);
    assert(expected || decision.error == (policy.deny_errno ? policy.deny_errno : ECONNREFUSED));
    assert(decision.rule < (int64_t)policy.n_texts);
    expected = !fuzz_listed(LIST_BIND_DENY, protocol, addr, to.port) &&
               (fuzz_listed(LIST_BIND, protocol, addr, to.port) || to.port == 0);
    assert((decide_bind(&to, false).verdict == VERDICT_ALLOW) == expected);
}

/* The ends of a rule's prefix and ports, and what lies just beyond. */
static void fuzz_decide_around(const struct rule *rule)
{
    static const struct ip_prefix loopback = {{0, INADDR_LOOPBACK, 4}, 32};
    struct ip_prefix prefix = rule->target == TARGET_PREFIX ? rule->prefix : loopback;
    struct ip_addr first = prefix.addr, last = first;
    bool v4 = first.version == 4;
    uint16_t from = rule->n_ports ? rule->ports[0].first : 443, to = rule->n_ports ? rule->ports[0].last : 443;

    last.hi |= v4 || prefix.len >= 64 ? 0 : UINT64_MAX >> prefix.len;
    last.lo |= v4 ? (prefix.len == 32 ? 0 : UINT32_MAX >> prefix.len)
                  : prefix.len <= 64 ? UINT64_MAX : prefix.len == 128 ? 0 : UINT64_MAX >> (prefix.len - 64);
    struct ip_addr addrs[] = {first, last, {first.hi, first.lo - 1, 6}, {last.hi, last.lo + 1, 6},
                              {0, (first.lo - 1) & UINT32_MAX, 4}, {0, (last.lo + 1) & UINT32_MAX, 4},
                              {0x64ff9bULL << 32, first.lo & UINT32_MAX, 6}};
    uint16_t ports[] = {from, to, (uint16_t)(from - 1), (uint16_t)(to + 1), 0};

    for (unsigned p = 0; p < PROTOCOLS; p++)
        for (size_t a = 0; a < ARRAY_LEN(addrs); a++)
            for (size_t i = 0; i < ARRAY_LEN(ports); i++)
                fuzz_decide((enum protocol)p, ip_addr_canonical(addrs[a]), ports[i]);
}

static void fuzz_policy(void)
{
    enum { RULES_LOOKED_AT = 4 };

    for (size_t i = 0; fuzz_read_rules() && i < fuzz_n_rules && i < RULES_LOOKED_AT; i++)
        fuzz_decide_around(&fuzz_rules[i]);
    for (size_t i = 0; i < policy.n_unix_rules; i++) {
        static struct unix_target target;

        target = (struct unix_target){.holder = HELD_OUTSIDE};

        assert(policy.unix_rules[i].kind == UNIX_ANY || policy.unix_rules[i].text != NULL);
        if (policy.unix_rules[i].kind == UNIX_PATH)
            snprintf(target.name, sizeof target.name, "%s", policy.unix_rules[i].text);
        if (policy.unix_rules[i].kind == UNIX_ABSTRACT)
            snprintf(target.name, sizeof target.name, "@%s", policy.unix_rules[i].text);
        target.name_len = strlen(target.name);
        if (target.name[0] != 0 && policy.unix_rules[i].list == LIST_ALLOW && !policy.any[LIST_DENY])
            decide_unix(&target);
    }
}

/* One text alone, its end flush with that of its memory. */
static void fuzz_text(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    static struct rule rule;

    memcpy(copy, data, size);
    for (unsigned list = 0; list < LISTS; list++) {
        bool binds = list == LIST_BIND || list == LIST_BIND_DENY;
        struct slice text = {copy, size};
        rule_error error = binds ? rule_parse_bind(text, &rule) : rule_parse(text, (enum rule_list)list, &rule);

        if (error == NULL)
            fuzz_rule(text, (enum rule_list)list, &rule);
    }
    free(copy);
}

/* A file of rules by itself: rules may have any bytes, NUL too. */
static void fuzz_rule_file(const uint8_t *data, size_t size)
{
    fuzz_set_file("input", data, size);
    fuzz_said_len = 0;
    if (setjmp(fuzz_end) != 0)
        return;
    policy_add_file(LIST_ALLOW, "input");
    policy_finish();
    assert(policy.any[LIST_ALLOW]);
}

/* As if the program had just been started. */
static void fuzz_restart(void)
{
    static struct policy first_policy;
    static struct settings first_settings;
    static bool started;

    if (!started) {
        first_policy = policy;
        first_settings = settings;
        started = true;
    }
    fuzz_free_kept();
    policy = first_policy;
    settings = first_settings;
    log_to.fd = -1;
    say_place(NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_restart();
    fuzz_text(data, size);
    if (fuzz_load(data, size))
        fuzz_policy();
    fuzz_restart();
    fuzz_rule_file(data, size);
    fuzz_restart();
    return 0;
}

#include "replay.h"

/* unit test of sandlock.c's rules: what they mean, what is wrong with those that mean nothing, what a policy decides */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

int sandlock_main(int argc, char **argv);
#define main sandlock_main
#include "../../sandlock.c"
#undef main

enum { DESCRIPTION_MAX = 512, CASE_RULES = 6, CASE_DESTINATIONS = 10, ERROR_STATUS = 125 };

/* A parsed rule as "protocols target ports": every field of it. */
static void describe(const struct rule *rule, char to[DESCRIPTION_MAX])
{
    char *at = to, *end = to + DESCRIPTION_MAX;

    for (unsigned p = 0; p < PROTOCOLS; p++)
        if (rule->protocols & 1u << p)
            at += snprintf(at, (size_t)(end - at), "%s%s", at == to ? "" : "+", protocol_names[p]);
    *at++ = ' ';
    switch (rule->target) {
    case TARGET_ANY:
        at += snprintf(at, (size_t)(end - at), "any");
        break;
    case TARGET_WORD:
        at += snprintf(at, (size_t)(end - at), "word %s", special_words[rule->word]);
        break;
    case TARGET_NAME:
        at += snprintf(at, (size_t)(end - at), "name %.*s", (int)rule->name.len, rule->name.p);
        break;
    case TARGET_PREFIX:
        at += ip_addr_format(at, (size_t)(end - at), rule->prefix.addr);
        at += snprintf(at, (size_t)(end - at), "/%u", rule->prefix.len);
        break;
    }
    at += snprintf(at, (size_t)(end - at), "%s", rule->n_ports ? "" : " all");
    for (size_t i = 0; i < rule->n_ports; i++) {
        at += snprintf(at, (size_t)(end - at), "%c%u", i ? ',' : ' ', rule->ports[i].first);
        if (rule->ports[i].last != rule->ports[i].first)
            at += snprintf(at, (size_t)(end - at), "-%u", rule->ports[i].last);
    }
}

static const struct {
    enum rule_list list;
    const char *text, *meaning;
} meanings[] = {
    {LIST_ALLOW, "example.com:443", "tcp name example.com 443"},
    {LIST_ALLOW, "example.com", "tcp name example.com all"},
    {LIST_ALLOW, "example.com:*", "tcp name example.com all"},
    {LIST_ALLOW, "github.com:22,80,443", "tcp name github.com 22,80,443"},
    {LIST_ALLOW, "github.com: 22 , 80", "tcp name github.com 22,80"},
    {LIST_ALLOW, "tcp://example.com:443", "tcp name example.com 443"},
    {LIST_ALLOW, "EXAMPLE.com.:443", "tcp name EXAMPLE.com. 443"},
    {LIST_ALLOW, "_x.a-b.xn--nxasmq6b", "tcp name _x.a-b.xn--nxasmq6b all"},
    {LIST_ALLOW, "localhost:80", "tcp name localhost 80"},
    {LIST_ALLOW, "1e100.net", "tcp name 1e100.net all"},
    {LIST_ALLOW, ":8080", "tcp any 8080"},
    {LIST_ALLOW, "*:8080", "tcp any 8080"},
    {LIST_ALLOW, ":*", "tcp any all"},
    {LIST_ALLOW, "*:*", "tcp any all"},
    {LIST_ALLOW, "*", "tcp any all"},
    {LIST_ALLOW, ":*,*", "tcp any all"},
    {LIST_ALLOW, "10.0.0.0/8:80", "tcp 10.0.0.0/8 80"},
    {LIST_ALLOW, "10.1.2.3/8", "tcp 10.0.0.0/8 all"},
    {LIST_ALLOW, "1.2.3.4", "tcp 1.2.3.4/32 all"},
    {LIST_ALLOW, "::1", "tcp ::1/128 all"},
    {LIST_ALLOW, "::1:443", "tcp ::1:443/128 all"}, /* an address, as in the seed: the port needs brackets */
    {LIST_ALLOW, "[::1]:443", "tcp ::1/128 443"},
    {LIST_ALLOW, "[::1]", "tcp ::1/128 all"},
    {LIST_ALLOW, "[fc00::/7]:443", "tcp fc00::/7 443"},
    {LIST_ALLOW, "fc00::/7", "tcp fc00::/7 all"},
    {LIST_ALLOW, "::ffff:10.0.0.0/104", "tcp 10.0.0.0/8 all"},
    {LIST_ALLOW, "[::ffff:10.0.0.1]:80", "tcp 10.0.0.1/32 80"},
    {LIST_ALLOW, "udp://1.1.1.1:53", "udp 1.1.1.1/32 53"},
    {LIST_ALLOW, "udp://*:*", "udp any all"},
    {LIST_ALLOW, "udp://:53", "udp any 53"},
    {LIST_ALLOW, "icmp://github.com", "icmp name github.com all"},
    {LIST_ALLOW, "icmp://*", "icmp any all"},
    {LIST_ALLOW, "icmp://::1", "icmp ::1/128 all"},
    {LIST_ALLOW, "icmp://10.0.0.0/8", "icmp 10.0.0.0/8 all"},
    {LIST_ALLOW, "any://10.0.0.1", "tcp+udp+icmp 10.0.0.1/32 all"},
    {LIST_ALLOW, "any://10.0.0.1:53", "tcp+udp 10.0.0.1/32 53"},
    {LIST_ALLOW, "any://10.0.0.1:*", "tcp+udp+icmp 10.0.0.1/32 all"},
    {LIST_ALLOW, "any://*", "tcp+udp+icmp any all"},
    {LIST_ALLOW, "public", "tcp word public all"},
    {LIST_ALLOW, "public:443", "tcp word public 443"},
    {LIST_ALLOW, "udp://public", "udp word public all"},
    {LIST_ALLOW, "any://private:80,443", "tcp+udp word private 80,443"},
    {LIST_ALLOW, "icmp://metadata", "icmp word metadata all"},
    {LIST_ALLOW, "public.:443", "tcp name public. 443"},
    {LIST_ALLOW, "Public", "tcp name Public all"},
    {LIST_ALLOW, "public.example.com", "tcp name public.example.com all"},
    {LIST_ALLOW, ":8000-8010", "tcp any 8000-8010"},
    {LIST_ALLOW, ":1-65535,80", "tcp any 1-65535,80"},
    {LIST_ALLOW, ":80-80", "tcp any 80"},
    {LIST_ALLOW, ":65535", "tcp any 65535"},
    {LIST_ALLOW, " 10.0.0.1:80 ", "tcp 10.0.0.1/32 80"},
    {LIST_DENY, "10.0.0.0/8", "tcp 10.0.0.0/8 all"},
    {LIST_DENY, "169.254.169.254", "tcp 169.254.169.254/32 all"},
    {LIST_DENY, "10.0.0.0/8:443", "tcp 10.0.0.0/8 443"},
    {LIST_DENY, ":25", "tcp any 25"},
    {LIST_DENY, "udp://192.168.0.0/16:53", "udp 192.168.0.0/16 53"},
    {LIST_DENY, "[::1]:443", "tcp ::1/128 443"},
    {LIST_DENY, "::1", "tcp ::1/128 all"},
    {LIST_DENY, "private", "tcp word private all"},
    {LIST_DENY, "any://metadata", "tcp+udp+icmp word metadata all"},
    {LIST_DENY, "fc00::/7", "tcp fc00::/7 all"},
    {LIST_DENY, "*", "tcp any all"},
    {LIST_DENY, "udp://*", "udp any all"},
    {LIST_DENY, "any://10.0.0.0/8", "tcp+udp+icmp 10.0.0.0/8 all"},
};

static void test_meanings(void)
{
    static struct rule rule;

    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        char meaning[DESCRIPTION_MAX] = "an error";
        struct slice text = {unit_flush(meanings[i].text, strlen(meanings[i].text)), strlen(meanings[i].text)};

        memset(&rule, 0xff, sizeof rule);
        if (rule_parse(text, meanings[i].list, &rule) == NULL)
            describe(&rule, meaning);
        if (strcmp(meaning, meanings[i].meaning) != 0)
            printf("'%s' means '%s', not '%s':\n", meanings[i].text, meaning, meanings[i].meaning);
        unit_expect(strcmp(meaning, meanings[i].meaning) == 0, meanings[i].text, __FILE__, __LINE__);
    }
}

/* Each error names what is wrong; the phrases are the seed's where it had them. */
static const struct {
    enum rule_list list;
    const char *text, *phrase;
} errors[] = {
    {LIST_ALLOW, "example.com:80,*", "cannot mix"},
    {LIST_ALLOW, "example.com:*,80", "cannot mix"},
    {LIST_ALLOW, "example.com:0", "port 0"},
    {LIST_ALLOW, "example.com:80,0", "port 0"},
    {LIST_ALLOW, ":0-80", "port 0"},
    {LIST_ALLOW, "example.com:", "invalid port"},
    {LIST_ALLOW, "[::1]:", "invalid port"},
    {LIST_ALLOW, ":", "invalid port"},
    {LIST_ALLOW, ":80,", "invalid port"},
    {LIST_ALLOW, ":,80", "invalid port"},
    {LIST_ALLOW, ":65536", "invalid port"},
    {LIST_ALLOW, ":18446744073709551617", "invalid port"},
    {LIST_ALLOW, ":-1", "invalid port"},
    {LIST_ALLOW, ":+80", "invalid port"},
    {LIST_ALLOW, ":0x50", "invalid port"},
    {LIST_ALLOW, ":http", "invalid port"},
    {LIST_ALLOW, ":80-", "invalid port"},
    {LIST_ALLOW, ":80-70", "invalid port"},
    {LIST_ALLOW, ":80-90-100", "invalid port"},
    {LIST_ALLOW, ":*-80", "invalid port"},
    {LIST_ALLOW, "", "empty"},
    {LIST_ALLOW, "  ", "empty"},
    {LIST_ALLOW, "tcp://", "needs a host/IP or `*`"},
    {LIST_ALLOW, "any://", "needs a host/IP or `*`"},
    {LIST_ALLOW, "icmp://", "needs a host/IP or `*`"},
    {LIST_ALLOW, "icmp://github.com:80", "icmp rule takes no port"},
    {LIST_ALLOW, "icmp://10.0.0.1:*", "icmp rule takes no port"},
    {LIST_ALLOW, "icmp://[::1]:7", "icmp rule takes no port"},
    {LIST_ALLOW, "sctp://host:1234", "unknown scheme"},
    {LIST_ALLOW, "icmp-raw://*", "unknown scheme"},
    {LIST_ALLOW, "TCP://host", "unknown scheme"},
    {LIST_ALLOW, "://host", "unknown scheme"},
    {LIST_ALLOW, "10.0.0.0/33", "valid IP address"},
    {LIST_ALLOW, "fc00::/129", "valid IP address"},
    {LIST_ALLOW, "[fc00::/129]:80", "IPv6 address"},
    {LIST_ALLOW, "[10.0.0.1]:80", "brackets"},
    {LIST_ALLOW, "[example.com]:80", "IPv6 address"},
    {LIST_ALLOW, "[::1", "bracket"},
    {LIST_ALLOW, "[::1]80", "bracket"},
    {LIST_ALLOW, "10.0.0.256", "valid IP address"},
    {LIST_ALLOW, "10.0.0", "valid IP address"},
    {LIST_ALLOW, "010.0.0.1", "valid IP address"},
    {LIST_ALLOW, "10.0.0.1/8/8", "valid IP address"},
    {LIST_ALLOW, "example.com/24", "valid IP address"},
    {LIST_ALLOW, "exa mple.com", "valid IP address"},
    {LIST_ALLOW, "-a.example.com", "valid IP address"},
    {LIST_ALLOW, "a..example.com", "valid IP address"},
    {LIST_ALLOW, ".", "valid IP address"},
    {LIST_ALLOW, "*.example.com", "valid IP address"},
    {LIST_ALLOW, "fe80::1%eth0", "valid IP address"},
    {LIST_DENY, "", "empty"},
    {LIST_DENY, "udp://", "needs a host/IP or `*`"},
    {LIST_DENY, "icmp://", "needs a host/IP or `*`"},
    {LIST_DENY, "evil.com", "IP address or CIDR"},
    {LIST_DENY, "evil.com:443", "IP address or CIDR"},
    {LIST_DENY, "10.0.0.0/33", "IP address or CIDR"},
    {LIST_DENY, "public.", "IP address or CIDR"},
    {LIST_DENY, "public/8", "IP address or CIDR"},
    {LIST_ALLOW, "[public]:80", "IPv6 address"},
    {LIST_DENY, ":0", "port 0"},
};

static void test_errors(void)
{
    static struct rule rule;

    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct slice text = {unit_flush(errors[i].text, strlen(errors[i].text)), strlen(errors[i].text)};
        rule_error error = rule_parse(text, errors[i].list, &rule);

        if (error == NULL || strstr(error, errors[i].phrase) == NULL)
            printf("'%s' gives '%s', not '%s':\n", errors[i].text, error ? error : "a rule", errors[i].phrase);
        unit_expect(error != NULL && strstr(error, errors[i].phrase) != NULL, errors[i].text, __FILE__, __LINE__);
    }
    unit_expect(rule_parse((struct slice){"a\0b", 3}, LIST_ALLOW, &rule) != NULL, "NUL in a name", __FILE__, __LINE__);
}

/* A name of 253 characters in labels of 63 is one; a character more in either is not. */
static void test_name_lengths(void)
{
    char name[300];
    static struct rule rule;

    memset(name, 'a', sizeof name);
    for (size_t dot = 63; dot < sizeof name; dot += 64)
        name[dot] = '.';
    EXPECT(rule_parse((struct slice){name, 253}, LIST_ALLOW, &rule) == NULL && rule.target == TARGET_NAME);
    EXPECT(rule_parse((struct slice){name, 254}, LIST_ALLOW, &rule) != NULL);
    EXPECT(rule_parse((struct slice){name, 63}, LIST_ALLOW, &rule) == NULL);
    name[63] = 'a';
    EXPECT(rule_parse((struct slice){name, 64}, LIST_ALLOW, &rule) != NULL);
}

static void test_many_ports(void)
{
    char text[PORT_RANGES_MAX * 4] = "";
    static struct rule rule;

    for (size_t i = 0; i < PORT_RANGES_MAX; i++)
        strcat(text, i ? ",9" : ":9");
    EXPECT(rule_parse(slice_of(text), LIST_ALLOW, &rule) == NULL && rule.n_ports == PORT_RANGES_MAX);
    strcat(text, ",9");
    rule_error error = rule_parse(slice_of(text), LIST_ALLOW, &rule);
    EXPECT(error != NULL && strstr(error, "256") != NULL);
}

/* ---- policies ---- */

static void policy_reset(void)
{
    policy = (struct policy){.deny_errno = ECONNREFUSED};
}

/* The decision on a destination that is written as a rule: udp://10.0.0.1:53. */
static struct decision decide_text(const char *text)
{
    static struct rule rule;
    struct destination to = {.kind = DESTINATION_IP};

    if (rule_parse(slice_of(text), LIST_ALLOW, &rule) != NULL || rule.target != TARGET_PREFIX)
        abort();
    while (!(rule.protocols & 1u << to.protocol))
        to.protocol++;
    to.addr = rule.prefix.addr;
    to.port = rule.n_ports ? rule.ports[0].first : 0;
    return decide(&to);
}

/* Rules, + to allow and - to deny; then what they permit and what they refuse. */
static const struct policy_case {
    const char *rules[CASE_RULES];
    const char *permitted[CASE_DESTINATIONS], *refused[CASE_DESTINATIONS];
} policy_cases[] = {
    {{NULL}, {NULL}, {"10.0.0.1:80", "127.0.0.1:80", "[::1]:80", "udp://10.0.0.1:53", "icmp://10.0.0.1"}},
    {{"+1.2.3.4"}, {"1.2.3.4:1", "1.2.3.4:65535"}, {"1.2.3.5:1", "1.2.3.3:1", "udp://1.2.3.4:1", "icmp://1.2.3.4"}},
    {{"+10.0.0.0/8:80"},
     {"10.3.7.9:80", "10.0.0.0:80", "10.255.255.255:80"},
     {"10.3.7.9:81", "11.0.0.1:80", "9.255.255.255:80"}},
    {{"+fc00::/7"}, {"[fd00::1]:80", "[fc00::]:1"}, {"[2001:db8::1]:80", "[fe00::]:80", "[fbff::]:80"}},
    {{"+0.0.0.0/0"}, {"8.8.8.8:1", "0.0.0.1:1"}, {"[::1]:1", "[64:ff9b::8.8.8.8]:1"}},
    {{"+::/0"}, {"[2001:db8::1]:1"}, {"8.8.8.8:1", "[::ffff:8.8.8.8]:1"}},
    {{"+*"}, {"8.8.8.8:1", "[2001:db8::1]:1"}, {"udp://8.8.8.8:1", "icmp://8.8.8.8"}},
    {{"+:8080"}, {"8.8.8.8:8080", "[2001:db8::1]:8080"}, {"8.8.8.8:80", "udp://8.8.8.8:8080"}},
    {{"+10.0.0.1:443", "+udp://:53"},
     {"10.0.0.1:443", "udp://10.0.0.1:53", "udp://[::1]:53"},
     {"10.0.0.1:53", "udp://10.0.0.1:443", "icmp://10.0.0.1"}},
    {{"+icmp://*"}, {"icmp://10.0.0.1", "icmp://[::1]"}, {"10.0.0.1:1", "udp://10.0.0.1:1"}},
    {{"+icmp://10.0.0.1"}, {"icmp://10.0.0.1"}, {"icmp://10.0.0.2", "icmp://::1"}},
    {{"+any://10.0.0.1"}, {"10.0.0.1:1", "udp://10.0.0.1:1", "icmp://10.0.0.1"}, {"10.0.0.2:1", "icmp://10.0.0.2"}},
    {{"+any://10.0.0.1:53"}, {"10.0.0.1:53", "udp://10.0.0.1:53"}, {"icmp://10.0.0.1", "10.0.0.1:54"}},
    {{"+:8000-8010,9000"},
     {"10.0.0.1:8000", "10.0.0.1:8005", "10.0.0.1:8010", "10.0.0.1:9000"},
     {"10.0.0.1:7999", "10.0.0.1:8011", "10.0.0.1:8999", "10.0.0.1:9001"}},
    {{"+10.0.0.0/8:80", "+10.0.0.1:443", "+10.0.0.0/16:22"}, /* not the longest prefix: each that covers it */
     {"10.0.0.1:80", "10.0.0.1:443", "10.0.0.1:22", "10.0.0.2:22", "10.1.0.1:80"},
     {"10.0.0.2:443", "10.1.0.1:22"}},
    {{"+::ffff:10.0.0.1"}, {"10.0.0.1:80", "[::ffff:10.0.0.1]:80"}, {"10.0.0.2:80", "[::10.0.0.1]:80"}},
    {{"+10.0.0.1"}, {"[::ffff:10.0.0.1]:80"}, {"[64:ff9b::10.0.0.1]:80", "[2002:a00:1::]:80", "[::10.0.0.1]:80"}},

    /* Deny rules alone: everything else is permitted, in all protocols. */
    {{"-10.0.0.0/8"},
     {"11.0.0.1:443", "udp://10.0.0.1:443", "icmp://10.0.0.1", "udp://8.8.8.8:53", "[::1]:80"},
     {"10.0.0.1:443", "10.255.255.255:1", "[::ffff:10.0.0.1]:443"}},
    {{"-:25"}, {"8.8.8.8:80", "udp://8.8.8.8:25"}, {"8.8.8.8:25", "[2001:db8::1]:25"}},
    {{"-udp://192.168.0.0/16:53"}, {"192.168.0.1:53", "udp://192.168.0.1:54"}, {"udp://192.168.0.1:53"}},
    {{"-any://169.254.169.254"},
     {"169.254.169.253:80"},
     {"169.254.169.254:80", "udp://169.254.169.254:80", "icmp://169.254.169.254"}},
    {{"-any://*"}, {NULL}, {"10.0.0.1:80", "udp://10.0.0.1:53", "icmp://10.0.0.1", "[::1]:80", "icmp://::1"}},
    {{"-10.0.0.0/8"}, /* also inside an IPv6 address */
     {"[64:ff9b::11.0.0.1]:80", "[2001:db8::10.0.0.1]:80", "[::1]:80"},
     {"[64:ff9b::10.0.0.1]:80", "[2002:a00:1::1]:80", "[2001:0:a00:1::]:80", "[2001::f5ff:fffe]:80", "[::10.0.0.1]:80",
      "[64:ff9b:1::10.0.0.1]:80", "[2001:db8::5efe:10.0.0.1]:80"}},

    /* Both: allow minus deny. */
    {{"+10.0.0.0/8", "-10.1.0.0/16"},
     {"10.0.0.1:80", "10.2.0.0:80"},
     {"10.1.0.0:80", "10.1.255.255:80", "11.0.0.1:80"}},
    {{"+10.1.2.3", "-10.0.0.0/8"}, {NULL}, {"10.1.2.3:80", "11.0.0.1:80", "udp://11.0.0.1:80"}},
    {{"-:25", "+*"}, {"10.0.0.1:24"}, {"10.0.0.1:25", "udp://10.0.0.1:24"}},
    {{"+any://*", "-10.0.0.1:80"}, {"10.0.0.1:81", "udp://10.0.0.1:80", "icmp://10.0.0.1"}, {"10.0.0.1:80"}},
    /* Words. */
    {{"+public:443"},
     {"8.8.8.8:443", "[2606:4700::1]:443", "[64:ff9b::808:808]:443", "192.0.0.9:443", "[::ffff:8.8.8.8]:443"},
     {"8.8.8.8:80", "udp://8.8.8.8:443", "10.0.0.1:443", "169.254.169.254:443", "[::ffff:10.0.0.1]:443",
      "[64:ff9b::10.0.0.1]:443", "[2002:a00:1::1]:443", "[2001:0:808:808::f5ff:fffe]:443", "224.0.0.1:443",
      "168.63.129.16:443"}},
    {{"+udp://public"}, {"udp://8.8.8.8:53"}, {"8.8.8.8:53", "udp://10.0.0.1:53", "udp://224.0.0.251:5353"}},
    {{"+public", "+10.1.0.0/16"}, {"10.1.2.3:80", "8.8.8.8:80"}, {"10.2.0.1:80"}},
    {{"-private"},
     {"8.8.8.8:80", "168.63.129.16:80", "udp://10.0.0.1:53", "224.0.0.1:80"},
     {"10.0.0.1:80", "127.0.0.1:80", "[::1]:80", "[fd00::1]:80", "[fe80::1]:80", "[64:ff9b::192.168.0.1]:80",
      "[2002:7f00:1::]:80", "[::ffff:100.64.0.1]:80"}},
    {{"-any://metadata"},
     {"169.254.169.253:80", "8.8.8.8:80", "[fd00::1]:80"},
     {"169.254.169.254:80", "udp://169.254.169.254:80", "icmp://169.254.169.254", "[fd00:ec2::254]:80",
      "168.63.129.16:80", "100.100.100.200:80", "[64:ff9b::a9fe:a9fe]:80", "192.0.0.192:80"}},
    {{"+private:80", "-metadata"}, {"10.0.0.1:80"}, {"169.254.169.254:80", "8.8.8.8:80", "[64:ff9b::10.0.0.1]:80"}},
    {{"+[64:ff9b::/96]:80", "-10.0.0.0/8"}, {"[64:ff9b::11.0.0.1]:80"}, {"[64:ff9b::10.0.0.1]:80", "10.0.0.1:80"}},
};

static void expect_verdict(const char *destination, enum verdict verdict, const char *rule)
{
    struct decision decision = decide_text(destination);

    if (decision.verdict != verdict)
        printf("under %s: %s:\n", rule ? rule : "no rules", verdict == VERDICT_ALLOW ? "refused" : "permitted");
    unit_expect(decision.verdict == verdict, destination, __FILE__, __LINE__);
}

static void test_policies(void)
{
    for (size_t i = 0; i < ARRAY_LEN(policy_cases); i++) {
        const struct policy_case *c = &policy_cases[i];

        policy_reset();
        for (size_t k = 0; k < CASE_RULES && c->rules[k] != NULL; k++)
            (c->rules[k][0] == '+' ? set_allow : set_deny)(c->rules[k] + 1);
        policy_finish();
        for (size_t k = 0; k < CASE_DESTINATIONS && c->permitted[k] != NULL; k++)
            expect_verdict(c->permitted[k], VERDICT_ALLOW, c->rules[0]);
        for (size_t k = 0; k < CASE_DESTINATIONS && c->refused[k] != NULL; k++)
            expect_verdict(c->refused[k], VERDICT_DENY, c->rules[0]);
    }
}

/* A decision names its rule by the text that the user wrote. */
static bool decided_by(const char *destination, const char *rule)
{
    struct decision decision = decide_text(destination);

    return rule == NULL ? decision.rule < 0 : decision.rule >= 0 && slice_is(policy.texts[decision.rule].text, rule);
}

static void test_deciding_rule(void)
{
    policy_reset();
    set_allow("10.0.0.0/8:80");
    set_allow("10.0.0.0/8:443");
    set_deny("10.1.0.0/16");
    policy_finish();
    EXPECT(decided_by("10.0.0.1:80", "10.0.0.0/8:80"));
    EXPECT(decided_by("10.0.0.1:443", "10.0.0.0/8:443"));
    EXPECT(decided_by("10.1.0.1:443", "10.1.0.0/16"));
    EXPECT(decided_by("10.0.0.1:22", NULL));
    EXPECT(decide_text("10.1.0.1:443").error == ECONNREFUSED);
}

/* Which sockets may exist, and whether sends are looked at. */
static void test_what_is_open(void)
{
    static const struct {
        const char *rule;
        bool tcp, udp, icmp;
    } rows[] = {
        {"+10.0.0.1", true, false, false}, {"+udp://10.0.0.1", false, true, false}, {"+icmp://*", false, false, true},
        {"+any://*", true, true, true},    {"+any://*:53", true, true, false},      {"-10.0.0.1", true, true, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_reset();
        (rows[i].rule[0] == '+' ? set_allow : set_deny)(rows[i].rule + 1);
        policy_finish();
        bool right = policy.open[PROTOCOL_TCP] == rows[i].tcp && policy.open[PROTOCOL_UDP] == rows[i].udp &&
                     policy.open[PROTOCOL_ICMP] == rows[i].icmp && policy.traps_sends == (rows[i].udp || rows[i].icmp);
        unit_expect(right, rows[i].rule, __FILE__, __LINE__);
    }
}

/* Rules from a file with this content, as --net-allow @FILE reads them. */
static void allow_file(const char *content)
{
    char path[64];
    int fd CLOSE_FD = memfd_create("rules", MFD_CLOEXEC);

    if (fd < 0 || write(fd, content, strlen(content)) < 0)
        abort();
    snprintf(path, sizeof path, "@/proc/self/fd/%d", fd);
    policy_reset();
    set_allow(path);
    policy_finish();
}

static void test_files(void)
{
    allow_file("# both\n10.0.0.1:80 # the first\r\n\n \t\n  udp://10.0.0.2:53\n#10.0.0.3\n10.0.0.4");
    EXPECT(policy.n_texts == 3);
    EXPECT(decide_text("10.0.0.1:80").verdict == VERDICT_ALLOW);
    EXPECT(decide_text("udp://10.0.0.2:53").verdict == VERDICT_ALLOW);
    EXPECT(decide_text("10.0.0.3:80").verdict == VERDICT_DENY);
    EXPECT(decide_text("10.0.0.4:80").verdict == VERDICT_ALLOW);
    EXPECT(decided_by("10.0.0.1:80", "10.0.0.1:80"));
    allow_file("# nothing\n"); /* an allowlist that is empty permits nothing, also beside deny rules */
    EXPECT(decide_text("10.0.0.1:80").verdict == VERDICT_DENY);
    allow_file("");
    set_deny("10.0.0.1");
    policy_finish();
    EXPECT(decide_text("10.0.0.2:80").verdict == VERDICT_DENY);
}

/* A wrong rule ends the program before anything is started: 125, and one line with the option, the text, the error. */
static void test_dying(void (*set)(const char *), const char *option, const char *value, const char *text,
                       const char *what)
{
    char line[MESSAGE_MAX + 1] = "";
    int status, ends[2];

    if (pipe(ends) < 0)
        abort();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        policy_reset();
        set(value);
        _exit(0);
    }
    close(ends[1]);
    for (size_t used = 0; used < MESSAGE_MAX;) {
        ssize_t n = read(ends[0], line + used, MESSAGE_MAX - used);

        if (n <= 0)
            break;
        used += (size_t)n;
    }
    close(ends[0]);
    EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == ERROR_STATUS);
    EXPECT(strncmp(line, "sandlock: ", 10) == 0 && strstr(line, option) && strstr(line, text) && strstr(line, what));
    EXPECT(strchr(line, '\n') != NULL && strchr(line, '\n')[1] == 0);
}

int main(void)
{
    test_meanings();
    test_errors();
    test_name_lengths();
    test_many_ports();
    test_policies();
    test_deciding_rule();
    test_what_is_open();
    test_files();
    test_dying(set_allow, "--net-allow", "10.0.0.1:0", "'10.0.0.1:0'", "port 0");
    test_dying(set_deny, "--net-deny", "evil.com", "'evil.com'", "10.0.0.0/8:443 would be right");
    test_dying(set_deny, "--net-deny", "a\033[2Jb\n", "'a?[2Jb?'", "IP address or CIDR");
    test_dying(set_allow, "--net-allow", "@/nonexistent", "'@/nonexistent'", "No such file");
    return unit_done();
}

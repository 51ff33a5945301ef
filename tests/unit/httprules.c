/* unit test of sandlock.c's HTTP rules: what they mean, which requests they let pass, what they open */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

int sandlock_main(int argc, char **argv);
#define main sandlock_main
#include "../../sandlock.c"
#undef main

/* A policy of these rules, "-" before those that deny; a.test and b.test have 10.0.0.1 where rules name them, and so
 * has the --net-allow'ed n.test. */
static void begin(const char *const *rules)
{
    static const struct ip_addr addr = {0, 0x0a000001, 4};

    memset(&policy, 0, sizeof policy);
    settings.quiet = true;
    set_http_port("80,8080");
    set_allow("n.test:80");
    for (; *rules != NULL; rules++)
        if (**rules == '-')
            set_http_deny(*rules + 1);
        else
            set_http_allow(*rules);
    policy_open_http();
    for (size_t i = 0; i < policy.n_names; i++)
        query_add_addr(&policy.names[i].families[RESOLVE_V4], addr);
}

/* What becomes of a request to 10.0.0.1 under the policy: '+' it goes there, '*' to an address of the host, '-'. */
static char of(const char *method, const char *host, const char *target)
{
    static const struct ip_addr addr = {0, 0x0a000001, 4};
    char path[256];
    int64_t len = urlpath_normalize(slice_of(target), path, sizeof path);
    enum http_way way;

    if (len < 0)
        return '!';
    struct decision decision = http_decide(slice_of(method), slice_of(host), (struct slice){path, (size_t)len}, false,
                                           addr, &way);
    return decision.verdict == VERDICT_DENY ? '-' : way == WAY_ORIGINAL ? '+' : '*';
}

/* And of a TLS connection by that name. */
static char of_tls(const char *name)
{
    static const struct ip_addr addr = {0, 0x0a000001, 4};
    enum http_way way;
    struct decision decision = http_decide((struct slice){NULL, 0}, slice_of(name), (struct slice){NULL, 0}, true, addr,
                                           &way);

    return decision.verdict == VERDICT_DENY ? '-' : way == WAY_ORIGINAL ? '+' : '*';
}

#define RULES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_requests(void)
{
    begin(RULES("GET a.test/x/*", "* b.test", "PUT 10.0.0.1/up", "POST *.wild.test/p"));
    EXPECT(of("GET", "a.test", "/x/y") == '+' && of("GET", "A.TEST", "/x/") == '+');
    EXPECT(of("GET", "a.test", "/x") == '-' && of("GET", "a.test", "/y/../x/z") == '+');
    EXPECT(of("GET", "a.test", "/x/../y") == '-' && of("GET", "a.test", "/X/y") == '-');
    EXPECT(of("POST", "a.test", "/x/y") == '-' && of("get", "a.test", "/x/y") == '-');
    EXPECT(of("DELETE", "b.test", "/") == '+' && of("x", "b.test", "//") == '+');
    EXPECT(of("PUT", "10.0.0.1", "/up") == '+' && of("PUT", "10.0.0.2", "/up") == '-');
    EXPECT(of("PUT", "::ffff:10.0.0.1", "/up") == '+');
    EXPECT(of("PUT", "a.test", "/up") == '-' && of("GET", "n.test", "/") == '-');
    EXPECT(of("POST", "x.wild.test", "/p") == '*' && of("POST", "x.y.wild.test", "/p") == '*');
    EXPECT(of("POST", "wild.test", "/p") == '-' && of("POST", "evilwild.test", "/p") == '-');
    EXPECT(of("POST", ".wild.test", "/p") == '-' && of("POST", "x.wild.test.evil", "/p") == '-');
    EXPECT(of("POST", "x.wild.test", "/q") == '-');
}

static void test_denied(void)
{
    begin(RULES("* *", "-DELETE *", "-* a.test/s*", "-GET 10.0.0.1"));
    EXPECT(of("GET", "a.test", "/") == '*' && of("GET", "a.test", "/s") == '-' && of("GET", "a.test", "/%73") == '-');
    EXPECT(of("DELETE", "b.test", "/") == '-' && of("delete", "b.test", "/") == '-');
    EXPECT(of("GET", "10.0.0.1", "/") == '-');
    EXPECT(of("POST", "10.0.0.1", "/") == '+' && of("POST", "10.0.0.2", "/") == '-');
    EXPECT(of("GET", "n.test", "/") == '+');
    EXPECT(of("GET", "a.test", "/%2fs") == '-' && of("GET", "a.test", "/%5Cs") == '-');
    EXPECT(of("GET", "a.test", "/x%2fs") == '*');
    /* What a server could take for what is denied is so, too; what it could take for another isn't permitted. */
    begin(RULES("* a.test", "-* a.test/s", "-* a.test/x:y", "-* a.test/d/", "-* a.test/p;q"));
    static const char *const alike[] = {"/s/", "/s%2f", "/s/.", "/s;v=1", "/s\xa0", "/s%20", "/x%3Ay", "/p", "/d/"};
    for (size_t i = 0; i < ARRAY_LEN(alike); i++)
        EXPECT(of("GET", "a.test", alike[i]) == '-');
    EXPECT(of("GET", "a.test", "/s/t") == '+' && of("GET", "a.test", "/d") == '+' && of("GET", "a.test", "/st") == '+');
    begin(RULES("* a.test/f/*/g", "* a.test/m;*/n", "* a.test/a%2Fb"));
    EXPECT(of("GET", "a.test", "/f/x/g") == '+' && of("GET", "a.test", "/f/x%2fy/g") == '+');
    EXPECT(of("GET", "a.test", "/f/%2f/g") == '-' && of("GET", "a.test", "/h%2fi/../f/x/g") == '!');
    EXPECT(of("GET", "a.test", "/m;v/n") == '+' && of("GET", "a.test", "/a%2fb") == '+');
    EXPECT(of("GET", "a.test", "/a/b") == '-');
    /* Alone they leave the rest to what other rules open. */
    begin(RULES("-* a.test"));
    EXPECT(of("GET", "n.test", "/") == '+' && of("GET", "a.test", "/") == '-' && of("GET", "c.test", "/") == '*');
    EXPECT(policy.any[LIST_ALLOW] && !policy.any[LIST_HTTP]);
}

static void test_tls(void)
{
    begin(RULES("GET a.test", "* b.test/x", "* *.wild.test", "-* bad.wild.test/y", "-GET worse.wild.test"));
    EXPECT(of_tls("a.test") == '+' && of_tls("b.test") == '-' && of_tls("x.wild.test") == '*');
    EXPECT(of_tls("bad.wild.test") == '-' && of_tls("worse.wild.test") == '-'); /* in doubt */
    EXPECT(of_tls("10.0.0.1") == '-' && of_tls("c.test") == '-');
    policy.http_host_only = true;
    EXPECT(of_tls("b.test") == '+');
}

/* The ports that a rule opens. */
static void test_opened(void)
{
    static struct rule opens;
    enum proxy_protocol protocol;

    begin(RULES("GET a.test/x", "* b.test", "* 10.0.0.9"));
    http_rule_opens(1, &opens);
    EXPECT(opens.n_ports == 2 && opens.ports[0].first == 80 && opens.ports[1].first == 8080);
    http_rule_opens(2, &opens);
    EXPECT(opens.n_ports == 3 && opens.ports[2].first == 443);
    EXPECT(http_governs(8080, &protocol) && protocol == PROXY_HTTP && !http_governs(81, &protocol));
    EXPECT(http_governs(443, &protocol) && protocol == PROXY_TLS);
    policy_finish();
    struct destination to = {.kind = DESTINATION_IP, .protocol = PROTOCOL_TCP, .addr = {0, 0x0a000009, 4}, .port = 80};
    EXPECT(decide(&to).verdict == VERDICT_REDIRECT);
    to.port = 81;
    EXPECT(decide(&to).verdict == VERDICT_DENY);
    to.port = 443;
    to.addr.lo++;
    EXPECT(decide(&to).verdict == VERDICT_DENY);
    /* An empty file of rules permits nothing, and still governs. */
    memset(&policy, 0, sizeof policy);
    policy.any[LIST_HTTP] = true;
    policy_open_http();
    EXPECT(http_governs(80, &protocol) && of("GET", "10.0.0.1", "/") == '-');
}

int main(void)
{
    test_requests();
    test_denied();
    test_tls();
    test_opened();
    return unit_done();
}

/* unit test of sys/resolve.h, sys/query.h and sys/resolvconf.h: names against servers on loopback (nameservers.h) */
#include "unit.h"

#include "nameservers.h"

#include "../../sys/resolve.h"

static struct resolvconf config;

/* Ask these roles, in this order; -1 ends them. */
static void use(unsigned timeout_ms, const int *roles)
{
    char text[32];

    resolvconf_init(&config);
    config.timeout_ms = timeout_ms;
    for (; *roles >= 0; roles++) {
        snprintf(text, sizeof text, "127.0.0.1:%u", ports[*roles]);
        if (resolvconf_add_server(&config, slice_of(text)) < 0)
            abort();
    }
    memset(seen, 0, sizeof *seen);
}

#define USE(timeout_ms, ...) use(timeout_ms, (const int[]){__VA_ARGS__, -1})

static struct resolve_name name;

static enum resolve_status resolve_in(const char *text, const char *hosts)
{
    name = (struct resolve_name){.name = slice_of(text)};
    EXPECT(resolve_all(&config, slice_of(hosts), &name, 1) == 0);
    return name.status;
}

static enum resolve_status resolve(const char *text)
{
    return resolve_in(text, "");
}

/* Addresses of the last name, as text: IPv4, then IPv6. */
static bool has(const char *expected)
{
    char text[2 * QUERY_ADDRS_MAX * IP_TEXT_MAX] = "";
    size_t used = 0;

    for (size_t family = 0; family < RESOLVE_FAMILIES; family++)
        for (size_t i = 0; i < name.families[family].n; i++) {
            used += (size_t)snprintf(text + used, sizeof text - used, used ? " " : "");
            used += ip_addr_format(text + used, sizeof text - used, name.families[family].addrs[i]);
        }
    if (strcmp(text, expected) != 0)
        printf("%.*s has: %s\n", (int)name.name.len, name.name.p, text);
    return strcmp(text, expected) == 0;
}

/* Is this the reason, with each ~ROLE~ number as that role's server? */
static bool because(const char *before, int role, const char *after)
{
    char text[RESOLVE_ERROR_MAX], expected[RESOLVE_ERROR_MAX];

    resolve_error_format(&config, &name, text);
    snprintf(expected, sizeof expected, "%s127.0.0.1:%u%s", before, ports[role], after);
    if (strcmp(text, expected) != 0)
        printf("said: %s\nexpected: %s\n", text, expected);
    return strcmp(text, expected) == 0;
}

static const char both[] = "192.0.2.1 2001:db8::1";

static void test_plain(void)
{
    USE(PATIENT_MS, GOOD);
    EXPECT(resolve("good.test") == RESOLVE_FOUND && has(both) && !name.from_hosts);
    EXPECT(name.families[RESOLVE_V4].ttl == 300 && name.families[RESOLVE_V4].server == 0);
    EXPECT(seen->queries[GOOD] == 2 && seen->edns == 0);
    EXPECT(resolve("GOOD.test.") == RESOLVE_FOUND && has(both));
    EXPECT(resolve("v4only.test") == RESOLVE_FOUND && has("192.0.2.1"));
    EXPECT(name.families[RESOLVE_V6].status == QUERY_NO_ADDRESS && name.families[RESOLVE_V6].ttl == 60);
    EXPECT(resolve("case.test") == RESOLVE_FOUND && has(both));
    EXPECT(resolve("nx.test") == RESOLVE_NXDOMAIN && because("NXDOMAIN from ", GOOD, ""));
    EXPECT(resolve("none.test") == RESOLVE_NO_ADDRESS && because("no address from ", GOOD, ""));
    EXPECT(resolve("chain.test") == RESOLVE_FOUND && has("192.0.2.10 2001:db8::a"));
    EXPECT(resolve("half.test") == RESOLVE_FOUND && has("192.0.2.1"));
}

static void test_local(void)
{
    static const char hosts[] = "10.1.1.1 good.test other\n# 10.6.6.6 good.test\n::ffff:10.1.1.2 Good.test\n";

    USE(PATIENT_MS, GOOD);
    EXPECT(resolve_in("good.test.", hosts) == RESOLVE_FOUND && has("10.1.1.1 10.1.1.2") && name.from_hosts);
    EXPECT(resolve("localhost") == RESOLVE_FOUND && has("127.0.0.1 ::1") && name.from_hosts);
    EXPECT(resolve("a.LocalHost.") == RESOLVE_FOUND && has("127.0.0.1 ::1"));
    EXPECT(resolve_in("localhost", "127.0.0.5 localhost\n") == RESOLVE_FOUND && has("127.0.0.5"));
    EXPECT(seen->queries[GOOD] == 0); /* nobody was asked */
    EXPECT(resolve("mylocalhost") == RESOLVE_FOUND && seen->queries[GOOD] == 2);
    EXPECT(resolve("localhost.test") == RESOLVE_FOUND && seen->queries[GOOD] == 4);

    resolvconf_init(&config);
    EXPECT(resolve("localhost") == RESOLVE_FOUND);
    EXPECT(resolve("good.test") == RESOLVE_NO_SERVER);
    EXPECT(resolve("good..test") == RESOLVE_NOT_A_NAME && resolve("") == RESOLVE_NOT_A_NAME);
    EXPECT(resolve("10.0.0.1") == RESOLVE_NOT_A_NAME);
}

static void test_forged(void)
{
    static const char *const names[] = {"forgeid.test", "forgename.test", "forgetype.test", "forgesource.test",
                                        "forgequery.test", "extra.test"};
    USE(PATIENT_MS, GOOD, SILENT);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        EXPECT(resolve(names[i]) == RESOLVE_FOUND && has(both));
}

/* Each query has an id and a source port of its own choice. Sixteen bits each: among 40 some ids may be the same, but
 * not many, and they don't count up. */
static void test_random(void)
{
    unsigned same = 0, follows = 0;

    USE(PATIENT_MS, GOOD);
    for (unsigned i = 0; i < 20; i++)
        resolve("good.test");
    EXPECT(seen->n == 40);
    for (unsigned i = 0; i < seen->n; i++)
        for (unsigned j = 0; j < i; j++) {
            same += seen->ids[i] == seen->ids[j] || seen->ports[i] == seen->ports[j];
            follows += seen->ids[i] == seen->ids[j] + 1 || ntohs(seen->ports[i]) == ntohs(seen->ports[j]) + 1;
        }
    EXPECT(same < 10 && follows < 10);
}

static void test_tcp(void)
{
    USE(PATIENT_MS, GOOD);
    EXPECT(resolve("sixty.test") == RESOLVE_FOUND && name.families[RESOLVE_V4].n == 60);
    EXPECT(name.families[RESOLVE_V6].n == 60 && seen->tcp[GOOD] == 2);
    EXPECT(name.families[RESOLVE_V4].addrs[59].lo == 0xc000023c);
    EXPECT(resolve("dribble.test") == RESOLVE_FOUND && name.families[RESOLVE_V4].n == 60);
    EXPECT(resolve("hundred.test") == RESOLVE_FOUND && name.families[RESOLVE_V4].n == QUERY_ADDRS_MAX);
    EXPECT(resolve("hangup.test") == RESOLVE_FAILED && because("Connection reset by peer from ", GOOD, ""));
    EXPECT(resolve("cutagain.test") == RESOLVE_FAILED && because("a malformed answer from ", GOOD, ""));
}

static void test_edns(void)
{
    USE(PATIENT_MS, GOOD);
    config.edns0 = true;
    EXPECT(resolve("sixty.test") == RESOLVE_FOUND && name.families[RESOLVE_V4].n == 60);
    EXPECT(seen->edns == 3 && seen->tcp[GOOD] == 1); /* 60 IPv4 addresses fit 1232 bytes, 60 IPv6 ones don't */
    USE(PATIENT_MS, OLD);
    config.edns0 = true;
    EXPECT(resolve("good.test") == RESOLVE_FOUND && has(both));
    EXPECT(seen->edns == 2 && seen->queries[OLD] == 4);
}

static void test_bad_answers(void)
{
    USE(PATIENT_MS, GOOD);
    EXPECT(resolve("liar.test") == RESOLVE_FAILED && because("a malformed answer from ", GOOD, ""));
    EXPECT(resolve("lame.test") == RESOLVE_FAILED && because("no recursion from ", GOOD, ""));
    EXPECT(resolve("loop.test") == RESOLVE_FAILED && because("a CNAME loop from ", GOOD, ""));
    USE(PATIENT_MS, FAILING);
    EXPECT(resolve("good.test") == RESOLVE_FAILED && because("SERVFAIL from ", FAILING, ""));
    EXPECT(seen->queries[FAILING] == 4); /* two rounds of two families, not one right after the other */
    EXPECT(name.families[RESOLVE_V4].waited_ms >= QUERY_PAUSE_MS);
    USE(PATIENT_MS, REFUSING);
    EXPECT(resolve("good.test") == RESOLVE_FAILED && because("REFUSED from ", REFUSING, ""));
    USE(PATIENT_MS, CLOSED);
    EXPECT(resolve("good.test") == RESOLVE_FAILED && because("Connection refused from ", CLOSED, ""));
}

/* A server that is down, or says that it can't, costs no answer. */
static void test_next_server(void)
{
    USE(PATIENT_MS, CLOSED, FAILING, REFUSING, GOOD);
    EXPECT(resolve("good.test") == RESOLVE_FOUND && has(both) && name.families[RESOLVE_V4].server == 3);
    EXPECT(seen->queries[FAILING] == 2 && seen->queries[REFUSING] == 2);
    EXPECT(resolve("nx.test") == RESOLVE_NXDOMAIN && because("NXDOMAIN from ", GOOD, ""));
    USE(HASTY_MS, SILENT, DELAYING);
    config.timeout_ms = 10 * DELAY_MS;
    EXPECT(resolve("good.test") == RESOLVE_FOUND && has(both) && name.families[RESOLVE_V6].server == 1);
    USE(10 * DELAY_MS, GOOD);
    EXPECT(resolve("drop.test") == RESOLVE_FOUND && has(both) && seen->queries[GOOD] == 4); /* the second try */

    char rest[128];
    USE(HASTY_MS, FAILING, SILENT, CLOSED);
    config.attempts = 1;
    EXPECT(resolve("good.test") == RESOLVE_FAILED);
    name.families[RESOLVE_V4].waited_ms = 10400;
    snprintf(rest, sizeof rest, "; no answer from 127.0.0.1:%u within 10 s; Connection refused from 127.0.0.1:%u",
             ports[SILENT], ports[CLOSED]);
    EXPECT(because("SERVFAIL from ", FAILING, rest));

    USE(HASTY_MS, SILENT, SILENT);
    config.attempts = 1;
    EXPECT(resolve("good.test") == RESOLVE_FAILED && name.families[RESOLVE_V4].waited_ms >= 2 * HASTY_MS);
    name.families[RESOLVE_V4].waited_ms = 200;
    snprintf(rest, sizeof rest, ", 127.0.0.1:%u within 200 ms", ports[SILENT]);
    EXPECT(because("no answer from ", SILENT, rest));
}

static void test_rotate(void)
{
    USE(PATIENT_MS, GOOD, OLD);
    EXPECT(resolve("good.test") == RESOLVE_FOUND && seen->queries[GOOD] == 2);
    config.rotate = true;
    EXPECT(resolve("good.test") == RESOLVE_FOUND && seen->queries[GOOD] == 3 && seen->queries[OLD] == 1);
}

static void test_search(void)
{
    USE(PATIENT_MS, GOOD);
    config.search[0] = text_name("nx.test");
    config.search[1] = text_name("test");
    config.n_search = 2;
    EXPECT(resolve("inner") == RESOLVE_NXDOMAIN && seen->queries[GOOD] == 6); /* with both, then as it is */
    EXPECT(resolve("good") == RESOLVE_FOUND && name.families[RESOLVE_V4].name.len == 14); /* good.nx.test */
    unsigned before = seen->queries[GOOD];
    EXPECT(resolve("good.") == RESOLVE_FOUND && seen->queries[GOOD] == before + 2);
    EXPECT(resolve("good.sub") == RESOLVE_FOUND && name.families[RESOLVE_V4].name.len == 10); /* enough dots: itself */
    config.ndots = 2;
    EXPECT(resolve("good.sub") == RESOLVE_FOUND && name.families[RESOLVE_V4].name.len == 18);
    before = seen->queries[GOOD];
    EXPECT(resolve("nx.sub") == RESOLVE_NXDOMAIN && seen->queries[GOOD] == before + 6);
    EXPECT(resolve("none.sub") == RESOLVE_NO_ADDRESS && because("no address from ", GOOD, ""));
    config.search[0].len = 255; /* together no name: passed over */
    memset(config.search[0].wire, 1, 255);
    EXPECT(resolve("good.sub") == RESOLVE_FOUND && name.families[RESOLVE_V4].name.len == 15);
}

/* 200 names at a server that takes 50 ms: asked all at once, as far as the limit on what is under way goes. */
static void test_many(void)
{
    enum { NAMES = 200 };
    static struct resolve_name names[NAMES];
    static char texts[NAMES][32];
    unsigned found = 0;

    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(texts[i], sizeof texts[i], "host%u.test", i);
        names[i] = (struct resolve_name){.name = slice_of(texts[i])};
    }
    snprintf(texts[77], sizeof texts[77], "nx.seven.test");
    names[77].name = slice_of(texts[77]);
    USE(PATIENT_MS, DELAYING);
    uint64_t start = clock_ms();
    EXPECT(resolve_all(&config, slice_of("10.1.1.1 host9.test"), names, NAMES) == 0);
    int64_t took = (int64_t)(clock_ms() - start);
    for (unsigned i = 0; i < NAMES; i++)
        found += names[i].status == RESOLVE_FOUND && names[i].families[RESOLVE_V6].n == (i != 9);
    EXPECT(found == NAMES - 1 && names[77].status == RESOLVE_NXDOMAIN && names[9].from_hosts);
    EXPECT(seen->queries[DELAYING] == 2 * (NAMES - 1));
    EXPECT(seen->most_waiting > QUERY_SLOTS_MAX / 2 && seen->most_waiting <= QUERY_SLOTS_MAX);
    EXPECT((2 * NAMES + QUERY_SLOTS_MAX - 1) / QUERY_SLOTS_MAX < 4); /* waves, each as long as one answer takes */
    EXPECT(took < 2 * NAMES * DELAY_MS / 5); /* 20 s one by one; about 160 ms on an idle machine */
    if (getenv("VERBOSE"))
        printf("200 names at %u ms: %lld ms, %u waiting at once\n", DELAY_MS, (long long)took, seen->most_waiting);

    /* With descriptors for a dozen sockets it takes longer, and gets there. */
    struct rlimit old, few = {16, 16};
    getrlimit(RLIMIT_NOFILE, &old);
    few.rlim_max = old.rlim_max;
    for (unsigned i = 0; i < 30; i++)
        names[i] = (struct resolve_name){.name = slice_of(texts[i])};
    setrlimit(RLIMIT_NOFILE, &few);
    EXPECT(resolve_all(&config, slice_of(""), names, 30) == 0);
    setrlimit(RLIMIT_NOFILE, &old);
    found = 0;
    for (unsigned i = 0; i < 30; i++)
        found += names[i].status == RESOLVE_FOUND && names[i].families[RESOLVE_V4].n == 1;
    EXPECT(found == 30);

    /* More than there are slots for, where each ends at once. */
    USE(PATIENT_MS, CLOSED);
    config.servers[0].addr = (struct ip_addr){0xfe80ULL << 48, 1, 6}; /* link-local without an interface: EINVAL */
    for (unsigned i = 0; i < NAMES; i++)
        names[i] = (struct resolve_name){.name = slice_of(texts[i])};
    EXPECT(resolve_all(&config, slice_of(""), names, NAMES) == 0);
    found = 0;
    for (unsigned i = 0; i < NAMES; i++)
        found += names[i].status == RESOLVE_FAILED;
    EXPECT(found == NAMES);
}

static bool server(const char *text, const char *expected)
{
    struct resolvconf conf;
    char got[IP_ENDPOINT_MAX];

    resolvconf_init(&conf);
    if (resolvconf_add_server(&conf, (struct slice){unit_flush(text, strlen(text)), strlen(text)}) < 0)
        return expected == NULL;
    ip_endpoint_format(got, sizeof got, conf.servers[0].addr, conf.servers[0].port);
    return expected != NULL && strcmp(got, expected) == 0;
}

static void test_config(void)
{
    struct resolvconf conf;
    static const char text[] = "# nameserver 10.9.9.9\n; x\nnameserver 10.0.0.1\nnameserver\t::1 \nnameserver x\n"
                               " nameserver fe80::1%lo\ndomain gone.test\nsearch a.test  b.test. bad..test c.test\n"
                               "options ndots:3 timeout:99 attempts:0 rotate edns0 ndots:x debug ndots: timeout";

    EXPECT(server("10.0.0.1", "10.0.0.1:53") && server("10.0.0.1:5353", "10.0.0.1:5353"));
    EXPECT(server("::1", "[::1]:53") && server("[::1]", "[::1]:53") && server("[::1]:54", "[::1]:54"));
    EXPECT(server("::ffff:10.0.0.1", "10.0.0.1:53"));
    EXPECT(server("", NULL) && server("x", NULL) && server("10.0.0.1:", NULL) && server("10.0.0.1:0", NULL));
    EXPECT(server("10.0.0.1:65536", NULL) && server("[::1", NULL) && server("[::1]x", NULL) && server("[::1]:", NULL));
    EXPECT(server("fe80::1%", NULL) && server("fe80::1%nosuchinterface0", NULL));

    resolvconf_init(&conf);
    EXPECT(conf.ndots == 1 && conf.timeout_ms == 5000 && conf.attempts == 2 && !conf.rotate && !conf.edns0);
    resolvconf_parse(&conf, (struct slice){unit_flush(text, sizeof text - 1), sizeof text - 1});
    EXPECT(conf.n_servers == 3 && conf.servers[0].addr.lo == 0x0a000001 && conf.servers[1].addr.version == 6);
    EXPECT(conf.servers[2].scope == 1 && conf.servers[2].port == 53);
    EXPECT(conf.n_search == 3 && conf.search[0].len == 8 && conf.search[2].wire[1] == 'c');
    EXPECT(conf.ndots == 3 && conf.timeout_ms == 30000 && conf.attempts == 1 && conf.rotate && conf.edns0);
    for (size_t i = 0; i < 2 * RESOLVCONF_SERVERS_MAX; i++)
        resolvconf_parse(&conf, slice_of("nameserver 10.0.0.1"));
    EXPECT(conf.n_servers == RESOLVCONF_SERVERS_MAX && resolvconf_add_server(&conf, slice_of("::1")) == -ENOSPC);
    EXPECT(resolvconf_read(&conf, "/nonexistent/resolv.conf") == -ENOENT);
}

int main(void)
{
    test_config();
    servers_start();
    test_plain();
    test_local();
    test_forged();
    test_random();
    test_tcp();
    test_edns();
    test_bad_answers();
    test_next_server();
    test_rotate();
    test_search();
    test_many();
    kill(server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
    return unit_done();
}

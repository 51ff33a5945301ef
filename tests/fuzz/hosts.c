/* fuzzer of sys/hosts.h and sys/resolvconf.h: words lie within their lines, a composed file has nothing to add to
 * itself, a configuration stays within its limits. */
#include "../../sys/hosts.h"
#include "../../sys/resolvconf.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_lines(struct slice text)
{
    const char *end = text.p + text.len;
    struct hosts_line line;
    struct slice word;

    while (hosts_next(&text, &line)) {
        assert(line.addr.version == 4 || line.addr.version == 6);
        while ((word = hosts_word(&line.names)).len > 0) {
            assert(word.p + word.len <= end);
            for (size_t i = 0; i < word.len; i++)
                assert(!hosts_is_space(word.p[i]) && word.p[i] != '#');
            assert(hosts_name_equal(word, word) || slice_is(word, "."));
        }
    }
}

static void fuzz_compose(struct slice text)
{
    struct growing once = {0}, twice = {0};

    hosts_compose_base(&once, text);
    hosts_compose_base(&twice, growing_slice(&once));
    assert(!once.failed && once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
    assert(hosts_has_loopback(growing_slice(&once), slice_of("localhost"), 4));
    assert(hosts_has_loopback(growing_slice(&once), slice_of("localhost"), 6));
    hosts_compose_machine(&twice, text, slice_of("box"));
    fuzz_lines(growing_slice(&twice));
    free(once.p);
    free(twice.p);
}

static void fuzz_config(struct slice text)
{
    struct resolvconf config;

    resolvconf_init(&config);
    resolvconf_parse(&config, text);
    resolvconf_add_server(&config, text);
    assert(config.n_servers <= RESOLVCONF_SERVERS_MAX && config.n_search <= RESOLVCONF_SEARCH_MAX);
    assert(config.ndots <= RESOLVCONF_NDOTS_MAX);
    assert(config.attempts >= 1 && config.attempts <= RESOLVCONF_ATTEMPTS_MAX);
    assert(config.timeout_ms >= 1000 && config.timeout_ms <= RESOLVCONF_TIMEOUT_MAX * 1000);
    for (size_t i = 0; i < config.n_search; i++)
        assert(config.search[i].len > 1 && config.search[i].wire[config.search[i].len - 1] == 0);
    for (size_t i = 0; i < config.n_servers; i++)
        assert(config.servers[i].port != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};

    fuzz_lines(text);
    fuzz_compose(text);
    fuzz_config(text);
    return 0;
}

#include "replay.h"

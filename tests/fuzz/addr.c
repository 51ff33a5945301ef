/* fuzzer of sys/addr.h: the texts that libc's inet_pton takes, and no others, mean what it says they mean; what is
 * written is read again as the same; a prefix holds its own ends and nothing beyond. */
#include "../../sys/addr.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fuzz_same(struct ip_addr a, struct ip_addr b)
{
    return a.version == b.version && a.hi == b.hi && a.lo == b.lo;
}

/* As inet_pton(3) reads it; musl's takes less and more: its own tests know that, so glibc's is the judge. */
static void fuzz_against_libc(struct slice text, int status, struct ip_addr addr)
{
#ifdef __GLIBC__
    char copy[64];
    struct in_addr v4;
    struct in6_addr v6;

    if (text.len >= sizeof copy || (text.len > 0 && memchr(text.p, 0, text.len) != NULL))
        return;
    memcpy(copy, text.p, text.len);
    copy[text.len] = 0;
    bool is4 = inet_pton(AF_INET, copy, &v4) == 1, is6 = inet_pton(AF_INET6, copy, &v6) == 1;
    assert((status == 0) == (is4 || is6));
    if (is4)
        assert(fuzz_same(addr, ip_addr_from_v4(v4)));
    if (is6)
        assert(addr.version == 6 && fuzz_same(ip_addr_canonical(addr), ip_addr_from_v6(&v6)));
#else
    (void)text;
    (void)status;
    (void)addr;
#endif
}

static void fuzz_addr(struct ip_addr addr)
{
    char text[IP_TEXT_MAX], endpoint[IP_ENDPOINT_MAX], cut[8];
    struct sockaddr_storage storage;
    struct ip_addr again, inner;
    uint16_t port = 0;

    size_t len = ip_addr_format(text, sizeof text, addr);
    assert(len == strlen(text) && len < IP_TEXT_MAX);
    int status = ip_addr_parse((struct slice){text, len}, &again);
    assert(status == 0 && fuzz_same(addr, again));
    assert(ip_endpoint_format(endpoint, sizeof endpoint, addr, 65535) < IP_ENDPOINT_MAX);
    assert(ip_addr_format(cut, sizeof cut, addr) < sizeof cut);
    sa_family_t family = addr.version == 4 ? AF_INET : AF_INET6;
    ip_addr_to_sockaddr(addr, 443, family, &storage);
    status = ip_addr_from_sockaddr(&storage, &again, &port);
    assert(status == 0 && port == 443 && fuzz_same(again, ip_addr_canonical(addr)));
    for (unsigned i = 0; ip_addr_embedded(addr, i, &inner); i++)
        assert(i < 16 && inner.version == 4 && inner.hi == 0 && inner.lo <= UINT32_MAX);
}

static void fuzz_prefix(struct ip_prefix prefix)
{
    struct ip_prefix canonical = ip_prefix_canonical(prefix), again = ip_prefix_canonical(canonical);
    struct ip_addr last = canonical.addr, beyond;
    unsigned full = canonical.addr.version == 4 ? 32 : 128;

    assert(canonical.len <= full && again.len == canonical.len && fuzz_same(again.addr, canonical.addr));
    assert(ip_prefix_holds(canonical, ip_prefix_of(canonical.addr)));
    if (full == 32) {
        last.lo |= canonical.len == 32 ? 0 : UINT32_MAX >> canonical.len;
    } else {
        last.hi |= canonical.len >= 64 ? 0 : UINT64_MAX >> canonical.len;
        last.lo |= canonical.len <= 64 ? UINT64_MAX : canonical.len == 128 ? 0 : UINT64_MAX >> (canonical.len - 64);
    }
    assert(ip_prefix_holds(canonical, ip_prefix_of(last)));
    beyond = last;
    beyond.lo = full == 32 ? (last.lo + 1) & UINT32_MAX : last.lo + 1;
    beyond.hi += full == 128 && beyond.lo == 0;
    if (canonical.len > 0 && !(beyond.hi == 0 && beyond.lo == 0))
        assert(!ip_prefix_holds(canonical, ip_prefix_of(beyond)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* its end is where the text's is */
    struct slice text = {copy, size};
    struct ip_prefix prefix;
    struct ip_addr addr = {0, 0, 0};

    memcpy(copy, data, size);
    int status = ip_addr_parse(text, &addr);
    fuzz_against_libc(text, status, addr);
    if (status == 0)
        fuzz_addr(addr);
    if (ip_prefix_parse(text, &prefix) == 0)
        fuzz_prefix(prefix);
    free(copy);
    if (size >= 16) {
        struct in6_addr v6;

        memcpy(&v6, data, sizeof v6);
        fuzz_addr(ip_addr_from_v6(&v6));
    }
    return 0;
}

#include "replay.h"

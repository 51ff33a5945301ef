/* fuzzer of sys/http.h and sys/urlpath.h: what is read lies within the bytes, no part of a head is read otherwise than
 * the whole, nobody finds a second end of a body, a normal form is its own. */
#include "../../sys/http.h"
#include "../../sys/urlpath.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static size_t count(struct slice text, const char *what)
{
    size_t n = 0, len = strlen(what);

    for (size_t i = 0; i + len <= text.len; i++)
        n += strncasecmp(text.p + i, what, len) == 0;
    return n;
}

static void fuzz_path(struct slice target)
{
    char once[1024], twice[1024];
    const char *query = memchr(target.p, '?', target.len);
    struct slice path = {target.p, query ? (size_t)(query - target.p) : target.len};
    int64_t len = urlpath_normalize(path, once, sizeof once);

    if (len < 0)
        return;
    struct slice normal = {once, (size_t)len};
    assert(len > 0 && once[0] == '/' && urlpath_normalize(normal, twice, sizeof twice) == len);
    assert(memcmp(once, twice, (size_t)len) == 0 && urlpath_matches(normal, normal));
    assert(memmem(once, normal.len, "//", 2) == NULL && memmem(once, normal.len, "/../", 4) == NULL);
    assert(memmem(once, normal.len, "/./", 3) == NULL && memchr(once, '\\', normal.len) == NULL);
    size_t loose = urlpath_loosen(normal, false, twice);
    assert(loose > 0 && loose <= normal.len && twice[0] == '/' && memmem(twice, loose, "//", 2) == NULL);
    assert(memmem(twice, loose, "/../", 4) == NULL && memchr(twice, ';', loose) == NULL);
}

static void fuzz_request(struct slice text)
{
    struct http_request r, part;
    int64_t len = http_parse_request(text, &r);

    for (size_t n = 0; n < text.len; n += 1 + text.len / 64) {
        int64_t early = http_parse_request((struct slice){text.p, n}, &part);
        assert(early == 0 || early == len);
    }
    fuzz_path(text);
    if (len <= 0)
        return;
    struct slice head = {text.p, (size_t)len};
    assert((size_t)len <= text.len && memcmp(text.p + len - 4, "\r\n\r\n", 4) == 0);
    assert(within(r.method, head) && within(r.target, head) && within(r.host, head) && r.host.len <= HTTP_HOST_MAX);
    assert(memchr(head.p, 0, head.len) == NULL && count(head, "\nhost:") == r.fields.has_host);
    assert(count(head, "\ncontent-length:") + count(head, "\ntransfer-encoding:") <= 1);
    assert((r.body == HTTP_BODY_CHUNKED) == (count(head, "\ntransfer-encoding:") == 1));
    assert(count(head, "\nupgrade:") == r.fields.upgrades && count(head, "\n ") == 0 && count(head, "\n\t") == 0);
    for (size_t i = 0; i < head.len; i++)
        assert((head.p[i] == '\n') == (i > 0 && head.p[i - 1] == '\r'));
    fuzz_path(r.target);
}

static void fuzz_response(struct slice text)
{
    struct http_response r, part;
    int64_t len = http_parse_response(text, false, &r);

    for (size_t n = 0; n < text.len; n += 1 + text.len / 64) {
        int64_t early = http_parse_response((struct slice){text.p, n}, false, &part);
        assert(early == 0 || early == len);
    }
    assert(len <= (int64_t)text.len && (len <= 0 || (r.status >= 100 && r.status <= 999)));
    assert(len <= 0 || r.body != HTTP_BODY_LENGTH || r.fields.length > 0);
}

/* In two pieces it is the same body as in one. */
static void fuzz_chunks(struct slice text, bool lenient)
{
    struct http_chunks whole = {.lenient = lenient}, cut = {.lenient = lenient};
    size_t at = text.len ? (unsigned char)text.p[0] % (text.len + 1) : 0;
    int64_t taken = http_chunks_take(&whole, text);
    int64_t first = http_chunks_take(&cut, (struct slice){text.p, at});

    assert(taken <= (int64_t)text.len);
    if (first < 0 || cut.state == CHUNK_DONE) {
        assert(taken == first);
        return;
    }
    assert(first == (int64_t)at);
    int64_t second = http_chunks_take(&cut, (struct slice){text.p + at, text.len - at});
    assert(second < 0 ? taken < 0 : taken == first + second && cut.state == whole.state && cut.left == whole.left);
    if (!lenient && taken > 0 && whole.state == CHUNK_DONE)
        assert(taken >= 5 && memcmp(text.p + taken - 4, "\r\n\r\n", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};

    fuzz_request(text);
    fuzz_response(text);
    fuzz_chunks(text, false);
    fuzz_chunks(text, true);
    return 0;
}

#include "replay.h"

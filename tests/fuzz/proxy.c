/* fuzzer of sys/proxy.h: whatever client and server send, and however it is cut, what reaches the server is a row of
 * permitted requests, read as strictly as they were judged; behind the answer to an upgrade, anything
 *
 * An input is pieces: a byte for who sends and what (client, server; bytes, the end), one for the length, the bytes.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/proxy.c -o fuzz-proxy && ./fuzz-proxy tests/fuzz/corpus/proxy
 *   cc -DREPLAY tests/fuzz/proxy.c -o replay-proxy && ./replay-proxy tests/fuzz/corpus/proxy/(all of them) */
#include "../../sys/proxy.h"

#include <assert.h>
#include <signal.h>

enum { SEEN_MAX = 1 << 20, STEPS_MAX = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char seen[SEEN_MAX]; /* by the server */
static size_t seen_len;
static bool tunnel;

static bool fuzz_permits(struct slice method, struct slice host, struct slice path)
{
    return (slice_is(method, "GET") || slice_is(method, "POST")) && http_word_is(host, "a") && path.len >= 3 &&
           memcmp(path.p, "/ok", 3) == 0;
}

static void fuzz_judge(const struct proxy_conn *conn, const struct proxy_question *q, struct proxy_answer *answer)
{
    assert(conn->request == REQUEST_HEAD || conn->request == REQUEST_BODY);
    if (q->kind == PROXY_REQUEST && fuzz_permits(q->method, q->host, q->path))
        answer->what = PROXY_PASSES;
}

/* Every request in what the server has seen was permitted. */
static void fuzz_check(void)
{
    struct slice rest = {seen, seen_len};

    while (rest.len > 0) {
        struct http_request r;
        struct http_chunks chunks = {.lenient = false};
        char path[HTTP_HEAD_MAX + 16];
        int64_t n = http_parse_request(rest, &r);

        assert(n >= 0);
        if (n == 0)
            return; /* the connection was lost within it */
        const char *query = memchr(r.target.p, '?', r.target.len);
        struct slice target = {r.target.p, query != NULL ? (size_t)(query - r.target.p) : r.target.len};
        int64_t len = urlpath_normalize(target, path, sizeof path);
        assert(len > 0 && fuzz_permits(r.method, r.host, (struct slice){path, (size_t)len}));
        rest = (struct slice){rest.p + n, rest.len - (size_t)n};
        if (r.fields.upgrades && tunnel)
            return;
        if (r.body == HTTP_BODY_LENGTH)
            n = rest.len < r.fields.length ? (int64_t)rest.len : (int64_t)r.fields.length;
        else
            n = r.body == HTTP_BODY_CHUNKED ? http_chunks_take(&chunks, rest) : 0;
        assert(n >= 0);
        rest = (struct slice){rest.p + n, rest.len - (size_t)n};
    }
}

/* Let the proxy do what it can, and take what it has sent. */
static void fuzz_run(int client, int server)
{
    static char waste[65536];

    for (int steps = 0; steps < STEPS_MAX && (proxy.conns[0] != NULL || proxy.queue != NULL); steps++) {
        struct proxy_conn *c = proxy.conns[0];

        c->client.readable = c->client.writable = true;
        c->server.readable = c->server.writable = c->server.fd >= 0;
        proxy.queue = NULL;
        c->queued = false;
        proxy_step(c);
        tunnel = tunnel || (proxy.conns[0] != NULL && c->request == REQUEST_TUNNEL);
        ssize_t n = recv(server, seen + seen_len, SEEN_MAX - seen_len, MSG_DONTWAIT);
        seen_len += n > 0 ? (size_t)n : 0;
        if (recv(client, waste, sizeof waste, MSG_DONTWAIT) <= 0 && n <= 0 && proxy.queue == NULL)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct proxy_message begin = {.kind = PROXY_CONNECTION, .addr = {0, INADDR_LOOPBACK, 4}, .port = 80};
    struct cursor input = {.p = data, .len = size < SEEN_MAX / 2 ? size : 0};
    int client[2], server[2], ends[2];

    signal(SIGPIPE, SIG_IGN);
    proxy.judge = fuzz_judge;
    proxy.channel = -1;
    if (proxy.epoll <= 0)
        proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, client) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, server) < 0)
        abort();
    ends[0] = client[1];
    ends[1] = server[1];
    seen_len = 0;
    tunnel = false;
    proxy_accept(&begin, ends);
    while (input.pos < input.len) {
        const uint8_t *how = cursor_take(&input, 2);
        const uint8_t *bytes = how != NULL ? cursor_take(&input, how[1]) : NULL;

        if (bytes == NULL)
            break;
        if (how[0] & 2)
            shutdown(how[0] & 1 ? server[0] : client[0], SHUT_WR);
        else if (send(how[0] & 1 ? server[0] : client[0], bytes, how[1], MSG_NOSIGNAL) < 0)
            continue;
        fuzz_run(client[0], server[0]);
    }
    fuzz_check();
    if (proxy.conns[0] != NULL)
        proxy_close(proxy.conns[0]);
    proxy.queue = NULL;
    close(client[0]);
    close(server[0]);
    return 0;
}

#include "replay.h"

/* fuzzer of sys/proxy.h: whatever client and servers send, and however it is cut, a server gets only what was permitted
 *
 * HTTP: a row of permitted requests for that server, read as strictly as they were judged; behind the answer to an
 * upgrade, anything. TLS: a permitted ClientHello; behind a HelloRetryRequest another one; behind any other answer,
 * anything. Then the client gets what its server sent, and perhaps an alert.
 *
 * An input is pieces: a byte for who sends and what (bit 0: the server, else the client; bit 1: the end, else bytes; in
 * the first piece bit 2: TLS, else HTTP), one for the length, the bytes. */
#include "../../sys/proxy.h"

#include <assert.h>
#include <signal.h>

enum { SEEN_MAX = 1 << 20, STEPS_MAX = 1000, BY_SERVER = 1, ENDS = 2, OF_TLS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes that went one way. */
struct seen {
    char bytes[SEEN_MAX];
    size_t len;
};

static struct seen to_server, by_server, to_client; /* of the server that is connected now, but to_client */
static int client, server;                          /* our ends */
static const char *server_host;                     /* whose server it is */
static bool tunnel, tls;

static const char here[] = "a", elsewhere[] = "b", nowhere[] = "c"; /* the original destination; looked up; not found */

/* Where a host that is permitted leads. */
static const char *fuzz_host(struct slice host)
{
    return http_word_is(host, here) ? here : http_word_is(host, elsewhere) ? elsewhere
           : http_word_is(host, nowhere) ? nowhere : NULL;
}

static bool fuzz_permits(struct slice method, struct slice path)
{
    return (slice_is(method, "GET") || slice_is(method, "POST")) && path.len >= 3 && memcmp(path.p, "/ok", 3) == 0;
}

static void fuzz_judge(const struct proxy_conn *conn, const struct proxy_question *q, struct proxy_answer *answer)
{
    const char *host = fuzz_host(q->host);

    assert(conn->request == REQUEST_HEAD || conn->request == REQUEST_BODY);
    answer->alert = TLS_ACCESS_DENIED;
    if (host != NULL && (q->kind == PROXY_HELLO || (q->kind == PROXY_REQUEST && fuzz_permits(q->method, q->path))))
        answer->what = host == here ? PROXY_PASSES : PROXY_LOOKS_UP;
}

/* Every request that the server got was permitted, for this server. */
static void fuzz_check_http(void)
{
    struct slice rest = {to_server.bytes, to_server.len};

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
        assert(len > 0 && fuzz_permits(r.method, (struct slice){path, (size_t)len}));
        assert(fuzz_host(r.host) == server_host);
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

/* The length of the ClientHello that these bytes begin with, which was permitted for this server. */
static size_t fuzz_check_hello(const char *bytes, size_t len, bool second)
{
    struct tls_hello hello;
    int result = tls_parse_hello((const uint8_t *)bytes, len, second, &hello);

    assert(result == 1 && hello.name_len > 0);
    assert(fuzz_host((struct slice){hello.name, hello.name_len}) == server_host);
    return hello.size;
}

/* The server got permitted ClientHellos, and more only where it has answered; the client got what the server sent, and
 * perhaps an alert at the end. */
static void fuzz_check_tls(void)
{
    int retry = tls_is_retry((const uint8_t *)by_server.bytes, by_server.len);
    size_t first = to_server.len > 0 ? fuzz_check_hello(to_server.bytes, to_server.len, false) : 0;
    size_t same = 0;

    if (to_server.len > first)
        assert(retry >= 0);
    if (to_server.len > first && retry == 1)
        fuzz_check_hello(to_server.bytes + first, to_server.len - first, true);
    while (first > 0 && same < to_client.len && same < by_server.len && to_client.bytes[same] == by_server.bytes[same])
        same++;
    if (same < to_client.len) {
        assert(to_client.len >= TLS_ALERT_LEN && to_client.len - TLS_ALERT_LEN <= same);
        assert(memcmp(to_client.bytes + to_client.len - TLS_ALERT_LEN, "\25\3\3\0\2\2", 6) == 0);
    }
}

static void fuzz_check(void)
{
    if (tls)
        fuzz_check_tls();
    else
        fuzz_check_http();
}

/* Take what has come. Whether anything has. */
static bool fuzz_take(int fd, struct seen *seen)
{
    ssize_t n = recv(fd, seen->bytes + seen->len, SEEN_MAX - seen->len, MSG_DONTWAIT);

    seen->len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* A new server of this host; the proxy's end of the connection to it. */
static int fuzz_connect(const char *host)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    server = ends[0];
    server_host = host;
    to_server.len = by_server.len = 0;
    tunnel = false;
    return ends[1];
}

/* Do what the proxy asks the supervisor for: another server. Whether it did ask. */
static bool fuzz_dial(int channel)
{
    struct proxy_message message;
    int fds[2], fd = -1;

    if (proxy_receive(channel, &message, fds) != 1)
        return false;
    assert(message.kind == PROXY_DIAL);
    const char *host = fuzz_host(slice_of(message.host));
    assert(host != NULL);
    while (fuzz_take(server, &to_server)) /* what came before the proxy left it */
        continue;
    fuzz_check();
    if (host != nowhere) {
        close(server);
        fd = fuzz_connect(host);
    }
    message.kind = PROXY_DIALLED;
    message.result = -EHOSTUNREACH;
    proxy_dialled(&message, fd);
    return true;
}

/* Let the proxy do what it can, and take what it has sent. */
static void fuzz_run(int channel)
{
    for (int steps = 0; steps < STEPS_MAX && (proxy.conns[0] != NULL || proxy.queue != NULL); steps++) {
        struct proxy_conn *c = proxy.conns[0];

        c->client.readable = c->client.writable = true;
        c->server.readable = c->server.writable = c->server.fd >= 0;
        proxy.queue = NULL;
        c->queued = false;
        proxy_step(c);
        tunnel = tunnel || (proxy.conns[0] != NULL && c->request == REQUEST_TUNNEL);
        bool more = fuzz_take(server, &to_server);
        more = fuzz_take(client, &to_client) || more;
        more = fuzz_dial(channel) || more;
        if (!more && proxy.queue == NULL)
            break;
    }
}

/* One piece of the input is sent. */
static void fuzz_send(uint8_t how, const uint8_t *bytes, size_t len)
{
    int fd = how & BY_SERVER ? server : client;

    if (how & ENDS)
        shutdown(fd, SHUT_WR);
    else if (send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len && fd == server) {
        memcpy(by_server.bytes + by_server.len, bytes, len);
        by_server.len += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int channel[2];
    struct proxy_message begin = {.kind = PROXY_CONNECTION, .addr = {0, INADDR_LOOPBACK, 4}, .port = 80};
    struct cursor input = {.p = data, .len = size < SEEN_MAX / 2 ? size : 0};
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    proxy.judge = fuzz_judge;
    if (proxy.epoll <= 0) {
        proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, channel) < 0)
            abort();
    }
    proxy.channel = channel[1];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    tls = input.len > 0 && data[0] & OF_TLS;
    begin.protocol = tls ? PROXY_TLS : PROXY_HTTP;
    client = ends[0];
    ends[0] = ends[1];
    ends[1] = fuzz_connect(here);
    to_client.len = 0;
    proxy_accept(&begin, ends);
    while (input.pos < input.len) {
        const uint8_t *how = cursor_take(&input, 2);
        const uint8_t *bytes = how != NULL ? cursor_take(&input, how[1]) : NULL;

        if (bytes == NULL)
            break;
        fuzz_send(how[0], bytes, how[1]);
        fuzz_run(channel[0]);
    }
    fuzz_check();
    if (proxy.conns[0] != NULL)
        proxy_close(proxy.conns[0]);
    proxy.queue = NULL;
    close(client);
    close(server);
    return 0;
}

#include "replay.h"

/* unit test of sys/http.h: which requests are read, as what, and which are refused; where responses and chunks end
 *
 * The malformed requests are those of uNetworking's h1spec, of llhttp's tests, of RFC 9112's own warnings, and what
 * smugglers use. */
#include "unit.h"

#include "../../sys/http.h"

static int64_t parse(const char *text, size_t len, struct http_request *request)
{
    return http_parse_request((struct slice){unit_flush(text, len), len}, request);
}

/* What the whole of `text` is read as: its length, or -EBADMSG; and that no part of it is read otherwise. */
static int64_t reads(const char *text)
{
    struct http_request request;
    size_t len = strlen(text);
    int64_t whole = parse(text, len, &request);

    for (size_t i = 0; i < len; i++) {
        int64_t part = parse(text, i, &request);

        if (part != 0 && (part != whole || (whole > 0 && (int64_t)i < whole)))
            return -EDOM;
    }
    return whole;
}

#define HOST "Host: a.example\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST

static void test_wanted(void)
{
    static const char *const more[] = {
        "", "G", "GET ", "GET /hello", "GET /hello ", "GET /hello HTTP", "GET /hello HTTP/1.1",
        "GET /hello HTTP/1.1\r", "GET /hello HTTP/1.1\r\n", "GET /hello HTTP/1.1\r\nHos",
        "GET /hello HTTP/1.1\r\nHost:", "GET /hello HTTP/1.1\r\nHost: ", "GET /hello HTTP/1.1\r\nHost: localhost",
        "GET /hello HTTP/1.1\r\nHost: localhost\r", "GET /hello HTTP/1.1\r\nHost: localhost\r\n",
        "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r",
    };
    static const char *const good[] = {
        GET "\r\n", GET "Expect: 100-continue\r\n\r\n", "GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n",
        GET "X-Empty-Header: \r\n\r\n", GET "X: \x80\xff\t \"\r\n\r\n", GET "Content-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "transfer-encoding:CHUNKED\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "M-SEARCH / HTTP/1.1\r\n" HOST "\r\n",
        GET "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        EXPECT(reads(more[i]) == 0);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        EXPECT(reads(good[i]) == (int64_t)strlen(good[i]));
}

static const char *const malformed[] = {
    /* h1spec */
    "GET / \r\n\r\n", GET "X-Invalid[]: test\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    GET "Host: example.org\r\n\r\n", GET "Content-Length: -123456789123456789123456789\r\n\r\n",
    GET "Content-Length: -1234\r\n\r\n", GET "Content-Length: abc\r\n\r\n", GET "X-Bad-Control-Char: test\x07\r\n\r\n",
    "GET / HTTP/9.9\r\n" HOST "\r\n", "Extra lineGET / HTTP/1.1\r\n" HOST "\r\n", GET "\rSome-Header: Test\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "content-LengtH: 5\r\nTransFer-Encoding: chunked\r\n\r\n",
    /* the request line */
    "GET  / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1 \r\n" HOST "\r\n", " GET / HTTP/1.1\r\n" HOST "\r\n",
    "GET\t/ HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\n" HOST "\r\n", "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
    "GET / http/1.1\r\n" HOST "\r\n", "GET / HTTP/1.2\r\n" HOST "\r\n", "GET / HTTP/2.0\r\n" HOST "\r\n",
    "GET / HTTP/01.1\r\n" HOST "\r\n", "GET / HTTP/1.1.1\r\n" HOST "\r\n", "GET /\r\n", "GET\r\n", "\r\n", "\n",
    "GE\x01T / HTTP/1.1\r\n" HOST "\r\n", "G(T / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\r" HOST "\r\n",
    "GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n" HOST "\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET http://a.example/ HTTP/1.1\r\n" HOST "\r\n", "CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n",
    "CONNECT / HTTP/1.1\r\n" HOST "\r\n", "connect / HTTP/1.1\r\n" HOST "\r\n",
    "GET * HTTP/1.1\r\n" HOST "\r\n", "GET a HTTP/1.1\r\n" HOST "\r\n", "GET /#x HTTP/1.1\r\n" HOST "\r\n",
    "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", "GET /a\tb HTTP/1.1\r\n" HOST "\r\n", "\x16\x03\x01\x02",
    /* fields */
    GET "X : y\r\n\r\n", GET "X\t: y\r\n\r\n", GET " X: y\r\n\r\n", GET "X: y\r\n folded\r\n\r\n",
    GET "X: y\r\n\tfolded\r\n\r\n", GET ": y\r\n\r\n", GET "X\r\n\r\n", GET "X: y\n\r\n", GET "X: y\r\n\n",
    GET "X: y\rZ: w\r\n\r\n", GET "X: \x0b\r\n\r\n", GET "X\xe9: y\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n",
    /* what llhttp's tests have besides */
    "GET / ICE/1.0\r\n" HOST "\r\n", "GET / IHTTP/1.0\r\n" HOST "\r\n", "PUT / RTSP/1.0\r\n" HOST "\r\n",
    "GET / HTTP/5.6\r\n", "GET /a b/ HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\rX: 1\r\n",
    GET "name\r\n : v\r\n\r\n", GET "Content\rLength: 3\r\n\r\n", GET "Content-Length: 3\r\n\rabc\r\n",
    GET "Fo@: x\r\n\r\n",
    GET "x:x\nTransfer-Encoding: chunked\r\n\r\n", GET "x:\rTransfer-Encoding: chunked\r\n\r\n",
    GET "X: a\x0c" "b\r\n\r\n", GET "Content-Length: 4 2\r\n\r\n", GET "Content-Length: 1000000000000000000000\r\n\r\n",
    GET "Content-Length: 1\r\nTransfer-Encoding: identity\r\n\r\n", GET "Transfer-Encoding: pigeons\r\n\r\n",
    GET "Transfer-Encoding: chunked, deflate\r\n\r\n", GET "Transfer-Encoding: chunkedchunked\r\n\r\n",
    GET "Transfer-Encoding: chunked\r\n  abc\r\n\r\n", GET "X: y\r\n Content-Length: 38\r\n\r\n",
    GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: deflate\r\n\r\n",
    /* where the body ends */
    GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", GET "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    GET "Content-Length: 5, 5\r\n\r\n", GET "Content-Length: +5\r\n\r\n", GET "Content-Length: 0x5\r\n\r\n",
    GET "Content-Length: 5 5\r\n\r\n", GET "Content-Length:\r\n\r\n", GET "Content-Length: 5;\r\n\r\n",
    GET "Content-Length: 9223372036854775808\r\n\r\n", GET "Content-Length: 18446744073709551621\r\n\r\n",
    GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    GET "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    GET "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    GET "Transfer-Encoding: gzip, chunked\r\n\r\n", GET "Transfer-Encoding: chunked, chunked\r\n\r\n",
    GET "Transfer-Encoding: identity\r\n\r\n", GET "Transfer-Encoding: xchunked\r\n\r\n",
    GET "Transfer-Encoding: \"chunked\"\r\n\r\n", GET "Transfer-Encoding: chunked;x\r\n\r\n",
    GET "Transfer-Encoding:\r\n\r\n", GET "Transfer-Encoding: ,chunked\r\n\r\n",
    GET "Transfer-Encoding : chunked\r\n\r\n", GET "Transfer-Encoding: \x0b" "chunked\r\n\r\n",
    "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
    GET "Content_Length: 5\r\n\r\n", GET "Content-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n",
    GET "Connection: close, Content-Length\r\nContent-Length: 5\r\n\r\n", GET "Connection: transfer-encoding\r\n\r\n",
    GET "Connection: host\r\n\r\n",
    /* hosts */
    "GET / HTTP/1.1\r\n\r\n", GET HOST "\r\n", GET "Host:\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "GET / HTTP/1.1\r\nHost: [a]\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [10.0.0.1]\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]80\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: .\r\n\r\n", "GET / HTTP/1.1\r\nHost: a..\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", "GET / HTTP/1.1\r\nHost: .a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: b\xc3\xbc.a\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1%25lo]\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", "GET / HTTP/1.1\r\nHost: *\r\n\r\n",
    /* upgrades */
    GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
    GET "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", GET "Upgrade: h2c\r\n\r\n", GET "HTTP2-Settings: AAA\r\n\r\n",
    GET "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", GET "Upgrade: websocket\r\n\r\n",
    GET "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n\r\n",
    GET "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    GET "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n",
};

static void test_malformed(void)
{
    static const char nul[] = GET "X: a\0b\r\n\r\n", nul_path[] = "GET /\0 HTTP/1.1\r\n" HOST "\r\n";
    struct http_request request;

    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        bool refused = reads(malformed[i]) == -EBADMSG;

        if (!refused)
            printf("read: %s\n", malformed[i]);
        EXPECT(refused);
    }
    EXPECT(parse(nul, sizeof nul - 1, &request) == -EBADMSG);
    EXPECT(parse(nul_path, sizeof nul_path - 1, &request) == -EBADMSG);
}

static void test_request(void)
{
    struct http_request r;
    const char *text = "POST /a?b HTTP/1.1\r\nHost: A.example.:8080\r\nConnection: x, Close\r\n"
                       "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\nnext";

    EXPECT(parse(text, strlen(text), &r) == (int64_t)strlen(text) - 4);
    EXPECT(slice_is(r.method, "POST") && slice_is(r.target, "/a?b") && slice_is(r.host, "A.example") && r.port == 8080);
    EXPECT(r.body == HTTP_BODY_LENGTH && r.fields.length == 12 && !http_persists(&r.fields));
    text = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    EXPECT(parse(text, strlen(text), &r) > 0 && r.host.len == 0 && http_persists(&r.fields));
    text = "GET / HTTP/1.0\r\n\r\n";
    EXPECT(parse(text, strlen(text), &r) > 0 && !http_persists(&r.fields) && r.body == HTTP_BODY_NONE);
    text = "PUT / HTTP/1.1\r\nHost: [2001:db8::1]:81\r\nTransfer-Encoding: Chunked\r\n\r\n";
    EXPECT(parse(text, strlen(text), &r) > 0 && slice_is(r.host, "2001:db8::1") && r.port == 81);
    EXPECT(r.body == HTTP_BODY_CHUNKED && http_persists(&r.fields) && !r.fields.upgrades);
    text = GET "Upgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n";
    EXPECT(parse(text, strlen(text), &r) > 0 && r.fields.upgrades);
}

/* The body that a response's head announces; -1: it is none, -2: more is needed. */
static int body_of(const char *text, bool head)
{
    struct http_response response;
    size_t len = strlen(text);
    int64_t n = http_parse_response((struct slice){unit_flush(text, len), len}, head, &response);

    return n < 0 ? -1 : n == 0 ? -2 : (int)response.body;
}

static void test_response(void)
{
    EXPECT(body_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false) == HTTP_BODY_LENGTH);
    EXPECT(body_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true) == HTTP_BODY_NONE);
    EXPECT(body_of("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false) == HTTP_BODY_NONE);
    EXPECT(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false) == HTTP_BODY_CHUNKED);
    EXPECT(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", false) == HTTP_BODY_UNTIL_CLOSE);
    EXPECT(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", false) ==
           HTTP_BODY_UNTIL_CLOSE);
    EXPECT(body_of("HTTP/1.0 200 OK\r\nServer: x\r\n\r\n", false) == HTTP_BODY_UNTIL_CLOSE);
    EXPECT(body_of("HTTP/1.0 200 OK\nContent-Length: 5\n\n", false) == HTTP_BODY_LENGTH);
    EXPECT(body_of("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false) == HTTP_BODY_NONE);
    EXPECT(body_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false) == HTTP_BODY_NONE);
    EXPECT(body_of("HTTP/1.1 100 Continue\r\n\r\n", false) == HTTP_BODY_NONE);
    EXPECT(body_of("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false) == HTTP_BODY_NONE);
    EXPECT(body_of("HTTP/1.1 200 OK\r\nno field at all\r\n folded\r\nContent-Length: 1\r\n\r\n", false) ==
           HTTP_BODY_LENGTH);
    EXPECT(body_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", false) == -2);
    EXPECT(body_of("HTTP/1.1 20\r\n\r\n", false) == -1);
    EXPECT(body_of("HTTP/2.0 200 OK\r\n\r\n", false) == -1);
    EXPECT(body_of("SSH-2.0-OpenSSH\r\n", false) == -1);
}

/* How many bytes of `text` are the body, read `step` at a time; -1: malformed, -2: it isn't over. */
static int64_t chunks(const char *text, size_t step, bool lenient)
{
    struct http_chunks c = {.lenient = lenient};
    size_t len = strlen(text), at = 0;

    while (at < len && c.state != CHUNK_DONE) {
        size_t n = len - at < step ? len - at : step;
        int64_t taken = http_chunks_take(&c, (struct slice){unit_flush(text + at, n), n});

        if (taken < 0)
            return -1;
        at += (size_t)taken;
    }
    return c.state == CHUNK_DONE ? (int64_t)at : -2;
}

static void test_chunks(void)
{
    static const char *const bad[] = {
        "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello\r\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n", "+5\r\nhello\r\n", "-5\r\n", " 5\r\nhello\r\n", "5 \r\nhello\r\n", "5;a=b\r\nhello\r\n",
        "\r\n", "g\r\n", "10000000000000005\r\n", "5\rhello", "0\r\nX: y\n\r\n", "0\r\n X: y\r\n\r\n",
        "0\r\n\n", "0\r\nX: \x01\r\n\r\n", "5\r\nhello\r\n;\r\n",
        "0\r\nGET / HTTP/1.1\r\n\r\n", "0\r\nX\r\n\r\n", "0\r\n: y\r\n\r\n", "0\r\nX : y\r\n\r\n",
        "00000000000000005\r\nhello\r\n",
    };

    for (size_t step = 1; step < 8; step++) {
        EXPECT(chunks("5\r\nhello\r\n0\r\n\r\nnext", step, false) == 15);
        EXPECT(chunks("00A\r\n0123456789\r\n1\r\nx\r\n0\r\nX: y\r\nZ:\r\n\r\n", step, false) == 38);
        EXPECT(chunks("5;a=\"b\"\nhello\r\n0\n\nnext", step, true) == 18);
    }
    EXPECT(chunks("5\r\nhello\r\n0\r\n", 99, false) == -2);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool refused = chunks(bad[i], 99, false) == -1;

        if (!refused)
            printf("read: %s\n", bad[i]);
        EXPECT(refused);
    }
}

int main(void)
{
    test_wanted();
    test_malformed();
    test_request();
    test_response();
    test_chunks();
    return unit_done();
}

/* smuggle.c - rows 28-32: requests that a proxy reads as one thing and a server as another, or not at all
 *
 *   smuggle serve http|tls ADDRESS PORT FILE   the victim: what arrives there of "/secret" or "evil" (tls: anything)
 *                                              is an escape, and is noted in FILE
 *   smuggle http|tls ADDRESS PORT [NAME]       each attack, or one, on a connection of its own
 *
 * The policy permits 'GET ADDRESS/ok*' and 'POST ADDRESS/ok*', and no name over TLS but a.test. */
#include "attack.h"

#include <poll.h>

#define HOST "Host: %s\r\n"
#define SECRET "GET /secret HTTP/1.1\r\n" HOST "\r\n"

/* %s is the victim's address. */
static const struct {
    const char *name, *bytes;
} http_attacks[] = {
    {"host", "GET /ok HTTP/1.1\r\nHost: evil\r\n\r\n"},
    {"two hosts", "GET /ok HTTP/1.1\r\n" HOST "Host: evil\r\n\r\n"},
    {"two hosts, reversed", "GET /ok HTTP/1.1\r\nHost: evil\r\n" HOST "\r\n"},
    {"user in host", "GET /ok HTTP/1.1\r\nHost: %s@evil\r\n\r\n"},
    {"list of hosts", "GET /ok HTTP/1.1\r\nHost: %s, evil\r\n\r\n"},
    {"host behind a space", "GET /ok HTTP/1.1\r\nHost : evil\r\n" HOST "\r\n"},
    {"host in a folded line", "GET /ok HTTP/1.1\r\n" HOST " evil\r\n\r\n"},
    {"host with another port", "GET /ok/secret HTTP/1.1\r\nHost: %s:1\r\n\r\n"},
    {"host with two ports", "GET /ok/secret HTTP/1.1\r\nHost: %s:7481:evil\r\n\r\n"},
    {"host with a path", "GET /ok HTTP/1.1\r\nHost: %s/evil\r\n\r\n"},
    {"absolute form of its own host", "GET http://%s/secret HTTP/1.1\r\n" HOST "\r\n"},
    {"absolute form without scheme", "GET //evil/ok HTTP/1.1\r\n" HOST "\r\n"},
    {"absolute form", "GET http://evil/ok HTTP/1.1\r\n" HOST "\r\n"},
    {"keep-alive", "GET /ok HTTP/1.1\r\n" HOST "\r\n" SECRET},
    {"behind a body", "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi" SECRET},
    {"behind chunks", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" SECRET},
    {"behind 100-continue", "POST /ok HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi" SECRET},
    {"behind HEAD with a body", "HEAD /ok HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi" SECRET},
    {"length and chunks",
     "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SECRET},
    {"chunks and length",
     "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n40\r\n" SECRET},
    {"two lengths", "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70\r\nContent-Length: 0\r\n\r\n" SECRET},
    {"list of lengths", "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70, 0\r\n\r\n" SECRET},
    {"length with a sign", "POST /ok HTTP/1.1\r\n" HOST "Content-Length: +70\r\n\r\n" SECRET},
    {"hidden chunks",
     "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SECRET},
    {"other chunks", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n" SECRET},
    {"chunks behind a comma", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: ,chunked\r\n\r\n" SECRET},
    {"chunks in quotes", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n" SECRET},
    {"chunks behind a tab",
     "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70\r\nTransfer-Encoding:\tchunked\r\n\r\n" SECRET},
    {"chunks behind a control character",
     "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70\r\nTransfer-Encoding:\x0b" "chunked\r\n\r\n" SECRET},
    {"chunks in a folded line",
     "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" SECRET},
    {"chunks in a field's line",
     "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 70\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n" SECRET},
    {"chunks twice", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n" SECRET},
    {"chunks of 1.0", "POST /ok HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" SECRET},
    {"chunk size 0x", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x46\r\n" SECRET},
    {"chunk extension", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n46;a\n" SECRET},
    {"chunk's bare LF", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n46\n" SECRET},
    {"chunk that wraps", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n10000000000000046\r\n" SECRET},
    {"chunk without its end", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nhi" SECRET},
    {"trailer that is a request",
     "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nGET /secret HTTP/1.1\r\n" HOST "\r\n"},
    {"chunk of many digits",
     "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n00000000000000046\r\n" SECRET},
    {"length as CGI has it", "POST /ok HTTP/1.1\r\n" HOST "Content_Length: 0\r\nContent-Length: 70\r\n\r\n" SECRET},
    {"chunk extension with a request",
     "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2;\n\nGET /secret\r\nhi\r\n0\r\n\r\n"},
    {"chunk of negative size", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n" SECRET},
    {"chunk behind a space", "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n 46\r\n" SECRET},
    {"trailer that is folded",
     "POST /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n GET /secret\r\n\r\n"},
    {"bare LF", "GET /ok HTTP/1.1\n" HOST "\n" SECRET},
    {"bare LF in a field", "GET /ok HTTP/1.1\r\n" HOST "X: y\nGET /secret HTTP/1.1\r\n\r\n"},
    {"bare CR", "GET /ok HTTP/1.1\r\n" HOST "X: y\rGET /secret HTTP/1.1\r\n\r\n"},
    {"folded line", "GET /ok HTTP/1.1\r\n" HOST "X: y\r\n /secret\r\n\r\n"},
    {"folded host", "GET /ok HTTP/1.1\r\nX: y\r\n Host: evil\r\n" HOST "\r\n"},
    {"CONNECT", "CONNECT %s:80 HTTP/1.1\r\n" HOST "\r\n" SECRET},
    {"h2c",
     "GET /ok HTTP/1.1\r\n" HOST
     "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n" SECRET},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n/secret"},
    {"upgrade", "GET /ok HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" SECRET},
    {"other upgrade", "GET /ok HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: x\r\n\r\n" SECRET},
    {"HTTP/0.9", "GET /secret\r\n"},
    {"two spaces", "GET /ok HTTP/1.1 /secret HTTP/1.1\r\n" HOST "\r\n"},
    {"dots", "GET /ok/../secret HTTP/1.1\r\n" HOST "\r\n"},
    {"escaped dots", "GET /ok/%%2e%%2E/secret HTTP/1.1\r\n" HOST "\r\n"},
    {"escaped slash", "GET /ok/..%%2fsecret HTTP/1.1\r\n" HOST "\r\n"},
    {"backslash", "GET /ok\\..\\secret HTTP/1.1\r\n" HOST "\r\n"},
    {"dots with parameters", "GET /ok/..;/secret HTTP/1.1\r\n" HOST "\r\n"},
    {"dots behind an escaped slash", "GET /secret%%2fx/../ok HTTP/1.1\r\n" HOST "\r\n"},
    {"dots behind an escaped backslash", "GET /secret%%5cx/../ok HTTP/1.1\r\n" HOST "\r\n"},
    {"dots escaped twice", "GET /ok/%%252e%%252E/secret HTTP/1.1\r\n" HOST "\r\n"},
    {"slash escaped twice", "GET /ok/..%%252fsecret HTTP/1.1\r\n" HOST "\r\n"},
    {"overlong dots", "GET /ok/%%c0%%ae%%c0%%ae/secret HTTP/1.1\r\n" HOST "\r\n"},
    {"overlong slash", "GET /ok/..%%e0%%80%%afsecret HTTP/1.1\r\n" HOST "\r\n"},
    {"escape of another kind", "GET /ok/%%u002e%%u002e/secret HTTP/1.1\r\n" HOST "\r\n"},
    {"doubled slash", "GET //secret HTTP/1.1\r\n" HOST "\r\n"},
    {"escaped letter", "GET /%%73ecret HTTP/1.1\r\n" HOST "\r\n"},
    {"NUL escaped twice", "GET /ok%%2500/secret HTTP/1.1\r\n" HOST "\r\n"},
    {"NUL", "GET /secret%%00/ok HTTP/1.1\r\n" HOST "\r\n"},
    {"method", "DELETE /ok/secret HTTP/1.1\r\n" HOST "\r\n"},
};

/* A ClientHello up to its extensions; they follow. */
#define HELLO(len, body, extensions) "\x16\x03\x01" len "\x01\x00" body "\x03\x03" \
    "0123456789abcdef0123456789abcdef" "\x00" "\x00\x02\x13\x01" "\x01\x00" extensions

static const struct {
    const char *name;
    size_t len;
    const char *bytes;
} tls_attacks[] = {
    {"no name", 52 + 4, HELLO("\x00\x33", "\x00\x2f", "\x00\x04" "\x00\x17\x00\x00")},
    {"another name", 52 + 13, HELLO("\x00\x3c", "\x00\x38", "\x00\x0d" "\x00\x00\x00\x09\x00\x07\x00\x00\x04" "evil")},
    {"no name, but ECH", 52 + 6, HELLO("\x00\x35", "\x00\x31", "\x00\x06" "\xfe\x0d\x00\x02\x00\x00")},
    {"no TLS", 18, "GET / HTTP/1.0\r\n\r\n"},
    {"SSLv2", 8, "\x80\x2e\x01\x00\x02\x00\x15\x00"},
    {"application data", 7, "\x17\x03\x03\x00\x02hi"},
};

static int victim_address(const char *address, const char *port, struct sockaddr_in *to)
{
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    return inet_pton(AF_INET, address, &to->sin_addr) == 1 ? 0 : -1;
}

/* One connection of the victim's. */
static void serve_one(int fd, bool tls, const char *file)
{
    char bytes[16384];
    size_t len = 0, answered = 0;

    for (ssize_t n; (n = read(fd, bytes + len, sizeof bytes - len)) > 0;) {
        len += (size_t)n;
        if (tls || memmem(bytes, len, "ecret", 5) || memmem(bytes, len, "evil", 4)) {
            int note = open(file, O_WRONLY | O_CREAT | O_APPEND, 0666);

            dprintf(note, "%.*s\n", (int)len, bytes);
            if (write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nESCAPED", 45) < 0)
                return;
            return;
        }
        for (const char *end; (end = memmem(bytes + answered, len - answered, "\n\r\n", 3)) != NULL;) {
            answered = (size_t)(end + 3 - bytes);
            if (write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40) < 0)
                return;
        }
    }
}

static int serve(bool tls, const char *address, const char *port, const char *file)
{
    struct sockaddr_in at;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    signal(SIGCHLD, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (victim_address(address, port, &at) < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(listener, 64) < 0)
        return 1;
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fork() == 0) {
            serve_one(fd, tls, file);
            _exit(0);
        }
        close(fd);
    }
}

/* Did these bytes get anything from the victim that they should not? */
static bool attack(const struct sockaddr_in *to, const char *bytes, size_t len)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char got[4096];
    size_t used = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 || write(fd, bytes, len) != (ssize_t)len) {
        close(fd);
        return false;
    }
    while (used < sizeof got && poll(&wait, 1, 300) == 1) {
        ssize_t n = read(fd, got + used, sizeof got - used);

        if (n <= 0)
            break;
        used += (size_t)n;
    }
    close(fd);
    return memmem(got, used, "ESCAPED", 7) != NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to;
    bool tls = argc > 1 && strcmp(argv[1], "tls") == 0;

    if (argc == 6 && strcmp(argv[1], "serve") == 0)
        return serve(strcmp(argv[2], "tls") == 0, argv[3], argv[4], argv[5]);
    if (argc < 4 || victim_address(argv[2], argv[3], &to) < 0)
        return 2;
    for (size_t i = 0; i < (tls ? COUNT(tls_attacks) : COUNT(http_attacks)); i++) {
        const char *name = tls ? tls_attacks[i].name : http_attacks[i].name;
        char bytes[2048];
        int len = (int)(tls ? tls_attacks[i].len : 0);

        if (argc > 4 && strcmp(argv[4], name) != 0)
            continue;
        if (tls)
            memcpy(bytes, tls_attacks[i].bytes, (size_t)len);
        else
            len = snprintf(bytes, sizeof bytes, http_attacks[i].bytes, argv[2], argv[2], argv[2]);
        if (attack(&to, bytes, (size_t)len))
            printf("ESCAPED: %s\n", name);
        else
            printf("held: %s\n", name);
    }
    return 0;
}

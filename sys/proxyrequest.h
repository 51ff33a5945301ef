/* proxyrequest.h - the proxy's requests and ClientHellos: read, judged, and sent on or refused (RFC 9112, RFC 8446) */
#ifndef PROXYREQUEST_H
#define PROXYREQUEST_H

#include "http.h"
#include "proxychannel.h"
#include "proxyconn.h"
#include "relay.h"
#include "tls.h"
#include "urlpath.h"

/* From now on all passes, both ways. */
static void proxy_begin_tunnel(struct proxy_conn *c)
{
    c->whole = false;
    c->request = REQUEST_TUNNEL;
    c->response = RESPONSE_BODY;
    c->up.body = c->down.body = HTTP_BODY_UNTIL_CLOSE;
    c->up.relay.passes = c->down.relay.passes = RELAY_ALL;
}

/* The request goes on to its server. */
static void proxy_send_request(struct proxy_conn *c)
{
    if (c->retried) { /* a server asks for a second ClientHello once */
        proxy_begin_tunnel(c);
        return;
    }
    c->whole = false;
    c->request = REQUEST_BODY;
    c->response = RESPONSE_HEAD;
}

/* Is the server that is connected the one for this request? Else it is asked for. */
static void proxy_dial(struct proxy_conn *c, bool looks_up, struct slice host)
{
    struct proxy_message message = {.kind = PROXY_DIAL, .serial = c->serial, .protocol = c->protocol, .addr = c->addr,
                                    .port = c->port, .process = c->process};

    if (c->server.fd >= 0 && (looks_up ? c->named != NULL && http_word_is(host, c->named) : c->named == NULL)) {
        proxy_send_request(c);
        return;
    }
    proxy_close_end(&c->server);
    if (c->retried) { /* a second ClientHello names the host of the first (RFC 8446, 4.1.2) */
        relay_drop(&c->down.relay);
        proxy_answer_alert(c, TLS_ILLEGAL_PARAMETER);
        return;
    }
    snprintf(message.host, sizeof message.host, "%.*s", (int)host.len, host.p);
    free(c->wanted);
    c->wanted = strdup(message.host);
    c->looks_up = looks_up;
    c->request = REQUEST_DIAL;
    int result = c->wanted == NULL ? -ENOMEM : proxy_send(proxy.channel, &message, NULL, 0, 0);
    if (result < 0)
        proxy_answer_unreached(c, -result);
}

/* The server for a request has come, or can't be had. */
static void proxy_dialled(const struct proxy_message *message, int fd)
{
    struct proxy_conn *c = proxy_find(message->serial);

    if (c == NULL || c->request != REQUEST_DIAL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    proxy_queue(c);
    if (fd < 0) {
        proxy_answer_unreached(c, -message->result);
        return;
    }
    proxy_watch(c, &c->server, fd);
    c->down.relay.eof = false;
    free(c->named);
    c->named = c->looks_up ? c->wanted : NULL;
    if (!c->looks_up)
        free(c->wanted);
    c->wanted = NULL;
    c->answered = c->retried = false;
    proxy_send_request(c);
}

/* A whole head is there: what becomes of the request. */
static void proxy_judge_request(struct proxy_conn *c, const struct http_request *r, size_t head)
{
    static char path[HTTP_HEAD_MAX + 16];
    struct proxy_question question = {PROXY_REQUEST, r->method, r->host, {"/", 1}, r->port};
    struct proxy_answer answer = {.what = PROXY_REFUSED};
    char literal[IP_TEXT_MAX];
    const char *query = memchr(r->target.p, '?', r->target.len);
    struct slice target = {r->target.p, query != NULL ? (size_t)(query - r->target.p) : r->target.len};

    if (target.p[0] == '/') {
        int64_t len = urlpath_normalize(target, path, sizeof path);
        question.path = (struct slice){path, len < 0 ? 0 : (size_t)len};
    }
    if (question.host.len == 0) { /* HTTP/1.0 knows none */
        ip_addr_format(literal, sizeof literal, c->addr);
        question.host = slice_of(literal);
    }
    /* What stands behind it already would be a tunnel's, before there is one. */
    bool early = r->fields.upgrades && relay_held(&c->up.relay).len > head;
    if (question.path.len == 0 || early)
        question.kind = PROXY_MALFORMED;
    c->head = slice_is(r->method, "HEAD");
    c->upgrades = r->fields.upgrades;
    c->closes = !http_persists(&r->fields);
    proxy.judge(c, &question, &answer);
    if (answer.what == PROXY_REFUSED) {
        c->closes = c->closes || question.kind == PROXY_MALFORMED || r->body != HTTP_BODY_NONE || r->fields.upgrades;
        relay_take(&c->up.relay, head);
        proxy_answer_status(c, question.kind == PROXY_MALFORMED ? "400 Bad Request" : "403 Forbidden", answer.text);
        return;
    }
    c->up.relay.passes = head + (r->body == HTTP_BODY_LENGTH ? r->fields.length : 0);
    c->up.body = r->body;
    c->up.chunks = (struct http_chunks){.lenient = false};
    proxy_dial(c, answer.what == PROXY_LOOKS_UP, question.host);
}

/* What came is no request. */
static void proxy_refuse_malformed(struct proxy_conn *c)
{
    struct proxy_question question = {.kind = PROXY_MALFORMED};
    struct proxy_answer answer = {.what = PROXY_REFUSED};

    proxy.judge(c, &question, &answer);
    c->closes = true;
    c->head = false;
    if (c->protocol == PROXY_TLS)
        proxy_answer_alert(c, TLS_DECODE_ERROR);
    else
        proxy_answer_status(c, "400 Bad Request", answer.text);
}

static void proxy_judge_hello(struct proxy_conn *c, const struct tls_hello *hello)
{
    struct proxy_question question = {.kind = hello->name_len > 0 ? PROXY_HELLO : PROXY_NAMELESS,
                                      .host = {hello->name, hello->name_len}};
    struct proxy_answer answer = {.what = PROXY_REFUSED};

    proxy.judge(c, &question, &answer);
    if (answer.what == PROXY_REFUSED) {
        proxy_close_end(&c->server);
        relay_drop(&c->down.relay);
        proxy_answer_alert(c, answer.alert);
        return;
    }
    c->up.relay.passes = hello->size;
    c->up.body = HTTP_BODY_LENGTH;
    proxy_dial(c, answer.what == PROXY_LOOKS_UP, question.host);
}

/* Look at what has come of a head or a ClientHello. Whether it was one, or never can be. */
static bool proxy_try_head(struct proxy_conn *c)
{
    struct slice held = relay_held(&c->up.relay);
    struct http_request request;
    struct tls_hello hello;
    int64_t n = c->protocol == PROXY_TLS ? tls_parse_hello((const uint8_t *)held.p, held.len, c->retried, &hello)
                                         : http_parse_request(held, &request);
    size_t most = c->protocol == PROXY_TLS ? TLS_BYTES_MAX : HTTP_HEAD_MAX;

    if (n < 0 || (n == 0 ? held.len : (size_t)n) > most - (n == 0))
        proxy_refuse_malformed(c);
    else if (n > 0 && c->protocol == PROXY_TLS)
        proxy_judge_hello(c, &hello);
    else if (n > 0)
        proxy_judge_request(c, &request, (size_t)n);
    return c->request != REQUEST_HEAD;
}

/* Read the next head. Whether there was progress. */
static bool proxy_read_head(struct proxy_conn *c)
{
    if (c->server.fd >= 0 && c->server.ended && relay_held(&c->up.relay).len == 0) {
        proxy_linger(c); /* it closed an idle connection */
        return true;
    }
    for (;;) {
        if (relay_held(&c->up.relay).len > 0 && proxy_try_head(c))
            return true;
        ssize_t n = relay_fill_buffer(&c->up.relay, &c->client);
        if (n == -EAGAIN)
            return false;
        if (n <= 0) {
            proxy_linger(c); /* it went, between requests or within one */
            return true;
        }
    }
}

#endif

/* proxyconn.h - the proxy's connections: what it knows of each, how one begins and ends, and answers of its own */
#ifndef PROXYCONN_H
#define PROXYCONN_H

#include "base.h"
#include "clock.h"
#include "http.h"
#include "limits.h"
#include "proxychannel.h"
#include "relay.h"
#include "tls.h"

#include <sys/epoll.h>

enum {
    PROXY_EVENTS = 64,
    PROXY_LINGER_MS = 2000, /* for the client to take a refusal, before the connection is closed */
    PROXY_TEXT_MAX = 1024,
    PROXY_SERVER_SIDE = 1 << 30, /* in what epoll tells, beside a serial */
};

/* A body, or whatever flows in one direction. */
struct proxy_flow {
    struct relay relay;
    enum http_body body;
    struct http_chunks chunks;
};

struct proxy_conn {
    uint64_t serial; /* its place in proxy.conns, and a number in the high half */
    struct relay_end client, server;
    struct proxy_flow up, down;
    enum {
        REQUEST_HEAD,  /* is awaited, or a ClientHello */
        REQUEST_DIAL,  /* was permitted, and waits for its server */
        REQUEST_BODY,  /* is on its way */
        REQUEST_SENT,
        REQUEST_TUNNEL, /* no requests any more: all passes, both ways */
        REQUEST_LINGER, /* the end: what the client still sends is thrown away */
    } request;
    enum { RESPONSE_NONE, RESPONSE_HEAD, RESPONSE_INTERIM, RESPONSE_BODY, RESPONSE_DONE } response;
    enum proxy_protocol protocol;
    struct ip_addr addr; /* the original destination */
    uint16_t port;
    struct lineage_id process; /* that connected */
    bool closes;   /* behind this response */
    bool head;     /* the request's method is HEAD: */
    bool upgrades; /* the request asks for a tunnel */
    bool broken;   /* the client has reset it, or it can't be watched */
    bool queued;   /* in proxy.queue */
    bool answered; /* has a response come from this server? */
    bool whole;    /* the last request passed to its end: nothing of it is still to come */
    bool retried;  /* this server has asked for a second ClientHello */
    bool looks_up; /* what is dialled is an address of `wanted`, not the original destination */
    char *named;   /* the name that the server was dialled by, owned; NULL: it is the original destination */
    char *wanted;  /* the name that it is being dialled by, owned */
    uint64_t deadline; /* of REQUEST_LINGER, in ms */
    struct proxy_conn *next; /* in proxy.queue */
};

/* A request or a ClientHello to be judged. The slices live until the answer. */
struct proxy_question {
    enum { PROXY_MALFORMED, PROXY_REQUEST, PROXY_NAMELESS, PROXY_HELLO } kind;
    struct slice method, host, path; /* host: a name or an address in any case; path: in normal form */
    uint16_t port;                   /* that the request names; 0: none */
};

struct proxy_answer {
    enum { PROXY_REFUSED, PROXY_PASSES, PROXY_LOOKS_UP } what; /* to the original destination, to an address of host */
    char text[PROXY_TEXT_MAX];                                 /* why it is refused, a line for a person */
    enum tls_alert alert;
};

static struct proxy {
    int channel, epoll;
    void (*judge)(const struct proxy_conn *conn, const struct proxy_question *question, struct proxy_answer *answer);
    struct proxy_conn *conns[PROXY_CONNS_MAX];
    struct proxy_conn *queue; /* those that have something to do */
    size_t n_conns, n_lingering;
    uint32_t serials;
} proxy;

/* ---- how they begin and end ---- */

static void proxy_queue(struct proxy_conn *c)
{
    if (c->queued)
        return;
    c->queued = true;
    c->next = proxy.queue;
    proxy.queue = c;
}

/* NULL: it is gone. */
static struct proxy_conn *proxy_find(uint64_t serial)
{
    size_t slot = (uint32_t)serial;
    struct proxy_conn *c = slot < PROXY_CONNS_MAX ? proxy.conns[slot] : NULL;

    return c != NULL && c->serial == serial ? c : NULL;
}

/* Have edges of one end's readiness told. The tag is the serial and the side: a socket that we have closed is watched
 * as long as anybody else has it open (epoll(7)), and then its connection may be gone. */
static void proxy_ask(struct proxy_conn *c, struct relay_end *end, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (end->fills ? EPOLLOUT : 0u),
                                .data.u64 = c->serial | (end == &c->server ? PROXY_SERVER_SIDE : 0u)};

    if (epoll_ctl(proxy.epoll, operation, end->fd, &event) < 0)
        c->broken = true;
}

/* Begin to watch one end. Most take all that is sent at once, so that only those that don't are watched for room. */
static void proxy_watch(struct proxy_conn *c, struct relay_end *end, int fd)
{
    *end = (struct relay_end){.fd = fd, .readable = end == &c->client, .writable = true};
    proxy_ask(c, end, EPOLL_CTL_ADD);
}

static void proxy_watch_room(struct proxy_conn *c, struct relay_end *end)
{
    if (end->fd < 0 || end->writable || end->fills)
        return;
    end->fills = true;
    proxy_ask(c, end, EPOLL_CTL_MOD);
}

static void proxy_close_end(struct relay_end *end)
{
    if (end->fd >= 0)
        close(end->fd);
    *end = (struct relay_end){.fd = -1};
}

static void proxy_close(struct proxy_conn *c)
{
    proxy.conns[(uint32_t)c->serial] = NULL;
    proxy.n_conns--;
    proxy.n_lingering -= c->request == REQUEST_LINGER;
    proxy_close_end(&c->client);
    proxy_close_end(&c->server);
    relay_drop(&c->up.relay);
    relay_drop(&c->down.relay);
    free(c->named);
    free(c->wanted);
    free(c);
}

/* A connection was handed over. */
static void proxy_accept(const struct proxy_message *message, const int fds[2])
{
    size_t slot = 0;

    while (slot < PROXY_CONNS_MAX && proxy.conns[slot] != NULL)
        slot++;
    struct proxy_conn *c = slot < PROXY_CONNS_MAX && fds[0] >= 0 ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        for (int i = 0; i < 2; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        return;
    }
    proxy.conns[slot] = c;
    proxy.n_conns++;
    *c = (struct proxy_conn){.serial = (uint64_t)++proxy.serials << 32 | slot, .protocol = message->protocol,
                             .addr = message->addr, .port = message->port, .process = message->process,
                             .server = {.fd = -1}};
    proxy_watch(c, &c->client, fds[0]);
    if (fds[1] >= 0)
        proxy_watch(c, &c->server, fds[1]);
    proxy_queue(c);
}

/* No more for this client: what it still sends is read, so that it can read what it was sent (RFC 9112, 9.6). Where
 * nothing is on its way, as far as is known, the connection is closed at once. */
static void proxy_linger(struct proxy_conn *c)
{
    bool quiet = c->whole && !c->client.readable && relay_held(&c->up.relay).len == 0;

    proxy_close_end(&c->server);
    relay_drop(&c->up.relay);
    relay_drop(&c->down.relay);
    if (!quiet)
        shutdown(c->client.fd, SHUT_WR);
    c->request = REQUEST_LINGER;
    c->response = RESPONSE_NONE;
    c->deadline = quiet ? 0 : clock_ms() + PROXY_LINGER_MS;
    proxy.n_lingering++;
}

/* ---- answers of our own ---- */

/* Put bytes of ours on their way to the client, as the response, or before the end. */
static void proxy_answer(struct proxy_conn *c, const void *bytes, size_t len)
{
    if (!relay_get_buffer(&c->down.relay) || len > RELAY_BUFFER - c->down.relay.buffer->end) {
        proxy_linger(c);
        return;
    }
    memcpy(c->down.relay.buffer->bytes + c->down.relay.buffer->end, bytes, len);
    c->down.relay.buffer->end += len;
    c->down.relay.passes = len;
    c->down.body = HTTP_BODY_NONE;
    c->whole = false;
    c->request = REQUEST_SENT;
    c->response = RESPONSE_BODY;
}

/* An HTTP response with one line of text. */
static void proxy_answer_status(struct proxy_conn *c, const char *status, const char *text)
{
    char bytes[2 * PROXY_TEXT_MAX];
    int n = snprintf(bytes, sizeof bytes,
                     "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s%s",
                     status, strlen(text) + 1, c->closes ? "close" : "keep-alive", c->head ? "" : text,
                     c->head ? "" : "\n");

    proxy_answer(c, bytes, (size_t)n < sizeof bytes ? (size_t)n : sizeof bytes - 1);
}

static void proxy_answer_alert(struct proxy_conn *c, enum tls_alert alert)
{
    uint8_t bytes[TLS_ALERT_LEN];

    tls_write_alert(bytes, alert);
    c->closes = true;
    proxy_answer(c, bytes, sizeof bytes);
}

/* There is no server for this request. */
static void proxy_answer_unreached(struct proxy_conn *c, int error)
{
    char text[PROXY_TEXT_MAX], to[IP_ENDPOINT_MAX];

    ip_endpoint_format(to, sizeof to, c->addr, c->port);
    snprintf(text, sizeof text, "sandlock: cannot reach %s: %s", c->wanted ? c->wanted : to, strerror(error));
    c->closes = true;
    if (c->protocol == PROXY_TLS)
        proxy_answer_alert(c, TLS_INTERNAL_ERROR);
    else
        proxy_answer_status(c, "502 Bad Gateway", text);
}

#endif

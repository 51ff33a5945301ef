/* proxy.h - a transparent proxy for HTTP/1 and TLS: every request and ClientHello is asked about, the rest is relayed
 *
 * It has one descriptor to begin with: a channel (unix(7), SOCK_SEQPACKET) by which it is handed connections, the
 * client's end and, where it is there already, the server's. It never connects, and asks for a server by its name. What
 * may pass is not for it to say, but for a function of its caller's. One loop; nothing in it waits. */
#ifndef PROXY_H
#define PROXY_H

#include "http.h"
#include "proxychannel.h"
#include "proxyconn.h"
#include "proxyrequest.h"
#include "relay.h"
#include "tls.h"

/* ---- bodies ---- */

/* Move a body, for a turn. RELAY_PASSED: all of it went; else as relay_move; -EBADMSG: its chunks are malformed. */
static int proxy_flow(struct proxy_flow *flow, struct relay_end *from, struct relay_end *to)
{
    for (int round = 0; round < RELAY_ROUNDS; round++) {
        int result = relay_move(&flow->relay, from, to);
        struct slice held = relay_held(&flow->relay);

        if (result == RELAY_ENDED)
            return flow->body == HTTP_BODY_UNTIL_CLOSE ? RELAY_ENDED : -ECONNRESET;
        if (result != RELAY_PASSED || flow->body != HTTP_BODY_CHUNKED || flow->chunks.state == CHUNK_DONE)
            return result;
        if (held.len > 0) {
            int64_t n = http_chunks_take(&flow->chunks, held);
            if (n < 0)
                return -EBADMSG;
            flow->relay.passes = (uint64_t)n;
        } else if (flow->chunks.state == CHUNK_DATA) {
            flow->relay.passes = flow->chunks.left;
            http_chunks_skip(&flow->chunks, flow->chunks.left);
        } else {
            ssize_t n = relay_fill_buffer(&flow->relay, from);
            if (n <= 0)
                return n == -EAGAIN ? RELAY_WAITS : n == 0 ? -ECONNRESET : (int)n;
        }
    }
    return RELAY_GOES_ON;
}

/* The head of a response is there: how it goes on. */
static void proxy_begin_response(struct proxy_conn *c, const struct http_response *r, size_t head)
{
    bool tunnel = r->status == 101;

    if (tunnel && !(c->upgrades && r->fields.upgrades)) {
        proxy_linger(c); /* nobody asked for it, or it says nothing of a websocket */
        return;
    }
    c->answered = true;
    c->down.relay.passes = head + (r->body == HTTP_BODY_LENGTH ? r->fields.length : 0);
    c->down.body = r->body;
    c->down.chunks = (struct http_chunks){.lenient = true};
    c->response = r->status < 200 && !tunnel ? RESPONSE_INTERIM : RESPONSE_BODY;
    if (c->response == RESPONSE_BODY)
        c->closes = c->closes || !http_persists(&r->fields) || r->body == HTTP_BODY_UNTIL_CLOSE;
    if (r->body == HTTP_BODY_UNTIL_CLOSE)
        c->down.relay.passes = RELAY_ALL;
    if (tunnel)
        proxy_begin_tunnel(c);
}

/* The server ended the connection, or broke it, before it answered. */
static void proxy_lose_server(struct proxy_conn *c, int error)
{
    if (error == 0 || c->answered || c->response != RESPONSE_HEAD || relay_held(&c->down.relay).len > 0) {
        proxy_linger(c);
        return;
    }
    proxy_close_end(&c->server);
    relay_drop(&c->up.relay);
    proxy_answer_unreached(c, error);
}

/* Read the head of a response. Whether there was progress. */
static bool proxy_read_response(struct proxy_conn *c)
{
    for (;;) {
        struct slice held = relay_held(&c->down.relay);
        struct http_response response;
        int64_t n = held.len == 0 ? 0 : http_parse_response(held, c->head, &response);

        if (n > 0) {
            proxy_begin_response(c, &response, (size_t)n);
            return true;
        }
        ssize_t more = n < 0 ? n : relay_fill_buffer(&c->down.relay, &c->server);
        if (more == -EAGAIN)
            return false;
        if (more <= 0) {
            if (more == -EBADMSG || more == -ENOBUFS)
                relay_drop(&c->down.relay);
            proxy_lose_server(c, (int)-more);
            return true;
        }
    }
}

/* Read how a server answers a ClientHello. Behind a second one, which is judged as the first was, and behind any other
 * answer, all passes: from there on TLS is encrypted. Whether there was progress. */
static bool proxy_read_server_hello(struct proxy_conn *c)
{
    while (c->request == REQUEST_SENT) {
        struct slice held = relay_held(&c->down.relay);
        int retry = tls_is_retry((const uint8_t *)held.p, held.len);

        if (retry >= 0) {
            proxy_begin_tunnel(c);
            c->retried = retry;
            if (c->retried)
                c->request = REQUEST_HEAD;
            return true;
        }
        ssize_t more = relay_fill_buffer(&c->down.relay, &c->server);
        if (more == -EAGAIN)
            return false;
        if (more <= 0) {
            proxy_lose_server(c, (int)-more);
            return true;
        }
    }
    return false;
}

/* Both have come to their end: the next request, or none. */
static void proxy_next(struct proxy_conn *c)
{
    if (c->closes || (c->server.fd < 0 && c->protocol == PROXY_TLS)) {
        proxy_linger(c);
        return;
    }
    c->request = REQUEST_HEAD;
    c->response = RESPONSE_NONE;
    if (c->down.relay.buffer != NULL) /* a response that nobody asked for */
        proxy_linger(c);
}

/* Move a request's body, or what a tunnel carries, for a turn. Whether there was progress; *goes_on: more is to be done
 * at once. */
static bool proxy_step_body(struct proxy_conn *c, bool *goes_on)
{
    int result = proxy_flow(&c->up, &c->client, &c->server);

    *goes_on = *goes_on || result == RELAY_GOES_ON;
    if (result == RELAY_ENDED) {
        shutdown(c->server.fd, SHUT_WR);
        c->up.relay.passes = 0;
    } else if (result == RELAY_PASSED && c->request == REQUEST_BODY) {
        c->whole = true;
        c->request = REQUEST_SENT;
    } else if (result == -EBADMSG && c->response == RESPONSE_HEAD && c->down.relay.buffer == NULL) {
        proxy_close_end(&c->server);
        proxy_refuse_malformed(c);
    } else if (result == -EBADMSG || c->up.relay.eof) { /* what the client sends is no body, or ends before it does */
        proxy_linger(c);
    } else if (result < 0) { /* the server takes no more, but may have answered */
        c->closes = true;
        c->up.relay.passes = 0;
        relay_drop(&c->up.relay);
        c->up.body = HTTP_BODY_NONE;
        c->request = REQUEST_SENT;
    } else {
        return false;
    }
    return true;
}

/* Throw away what comes from a client that is to go. */
static void proxy_waste(struct proxy_conn *c)
{
    char waste[4096];

    while (c->client.readable) {
        ssize_t n = recv(c->client.fd, waste, sizeof waste, 0);
        c->client.readable = n > 0;
        c->up.relay.eof = n == 0 || (n < 0 && errno != EAGAIN);
    }
}

/* Do what can be done for the request, for a turn. Whether there was progress; *goes_on as above. */
static bool proxy_step_up(struct proxy_conn *c, bool *goes_on)
{
    switch (c->request) {
    case REQUEST_HEAD:
        return proxy_read_head(c);
    case REQUEST_TUNNEL:
        return c->up.relay.passes > 0 && proxy_step_body(c, goes_on); /* else it has ended */
    case REQUEST_BODY:
        return proxy_step_body(c, goes_on);
    case REQUEST_LINGER:
        proxy_waste(c);
        break;
    case REQUEST_DIAL:
    case REQUEST_SENT:
        break;
    }
    return false;
}

static bool proxy_step_down(struct proxy_conn *c, bool *goes_on)
{
    int result;

    switch (c->response) {
    case RESPONSE_HEAD:
        return c->protocol == PROXY_TLS ? proxy_read_server_hello(c) : proxy_read_response(c);
    case RESPONSE_INTERIM:
    case RESPONSE_BODY:
        result = proxy_flow(&c->down, &c->server, &c->client);
        *goes_on = *goes_on || result == RELAY_GOES_ON;
        if (result == RELAY_WAITS || result == RELAY_GOES_ON)
            return false;
        if (result < 0) {
            proxy_linger(c);
            return true;
        }
        c->response = c->response == RESPONSE_INTERIM ? RESPONSE_HEAD : RESPONSE_DONE;
        if (c->request == REQUEST_TUNNEL)
            shutdown(c->client.fd, SHUT_WR);
        return true;
    case RESPONSE_DONE:
        if (c->request == REQUEST_SENT || (c->request == REQUEST_BODY && c->closes))
            proxy_next(c);
        else if (c->request == REQUEST_TUNNEL && c->up.relay.eof && c->up.relay.passes == 0)
            proxy_linger(c);
        else
            return false;
        return true;
    case RESPONSE_NONE:
        break;
    }
    return false;
}

/* Do what can be done for a connection. */
static void proxy_step(struct proxy_conn *c)
{
    bool goes_on = false, progress = true;

    for (int round = 0; progress && round < RELAY_ROUNDS; round++) {
        progress = proxy_step_up(c, &goes_on);
        progress = proxy_step_down(c, &goes_on) || progress;
    }
    if (c->broken || (c->request == REQUEST_LINGER && (c->up.relay.eof || clock_ms() >= c->deadline))) {
        proxy_close(c);
        return;
    }
    proxy_watch_room(c, &c->client);
    proxy_watch_room(c, &c->server);
    if (progress || goes_on)
        proxy_queue(c);
}

/* ---- the loop ---- */

/* Take what came over the channel. false: nobody is there any more. */
static bool proxy_take_messages(void)
{
    for (int taken = 0; taken < PROXY_EVENTS; taken++) {
        struct proxy_message message;
        int fds[2], result = proxy_receive(proxy.channel, &message, fds);

        if (result == 0)
            return false;
        if (result == -EAGAIN)
            return true;
        if (result < 0)
            continue;
        if (message.kind == PROXY_CONNECTION)
            proxy_accept(&message, fds);
        else if (message.kind == PROXY_DIALLED)
            proxy_dialled(&message, fds[0]);
    }
    return true;
}

static void proxy_note_event(const struct epoll_event *event)
{
    struct proxy_conn *c = proxy_find(event->data.u64 & ~(uint64_t)PROXY_SERVER_SIDE);

    if (c == NULL)
        return;
    struct relay_end *end = event->data.u64 & PROXY_SERVER_SIDE ? &c->server : &c->client;
    end->readable = end->readable || event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    end->writable = end->writable || event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    end->ended = end->ended || event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    c->broken = c->broken || (end == &c->client && event->events & EPOLLERR);
    proxy_queue(c);
}

/* Those whose time to linger is over have their last turn. */
static void proxy_end_lingering(void)
{
    static uint64_t next;
    uint64_t now = clock_ms();

    if (now < next)
        return;
    next = now + PROXY_LINGER_MS / 4;
    for (size_t i = 0; i < PROXY_CONNS_MAX; i++)
        if (proxy.conns[i] != NULL && proxy.conns[i]->request == REQUEST_LINGER && now >= proxy.conns[i]->deadline)
            proxy_queue(proxy.conns[i]);
}

/* Serve until the other side of the channel is gone. proxy.channel and proxy.epoll are there, the one watched by the
 * other with a tag of 0. */
static void proxy_run(void)
{
    struct epoll_event events[PROXY_EVENTS];

    for (;;) {
        int wait = proxy.queue != NULL ? 0 : proxy.n_lingering > 0 ? PROXY_LINGER_MS / 4 : -1;
        int n = epoll_wait(proxy.epoll, events, PROXY_EVENTS, wait);

        for (int i = 0; i < n; i++)
            if (events[i].data.u64 != 0)
                proxy_note_event(&events[i]);
            else if (!proxy_take_messages())
                return;
        if (proxy.n_lingering > 0)
            proxy_end_lingering();
        struct proxy_conn *queue = proxy.queue;
        proxy.queue = NULL;
        while (queue != NULL) {
            struct proxy_conn *c = queue;

            queue = c->next;
            c->queued = false;
            proxy_step(c);
        }
    }
}

#endif

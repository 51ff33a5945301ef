/* query.h - DNS queries, many at once, over UDP and TCP (RFC 1035, 4.2; RFC 5452 against forged answers; RFC 7766) */
#ifndef QUERY_H
#define QUERY_H

#include "addr.h"
#include "base.h"
#include "clock.h"
#include "dns.h"
#include "resolvconf.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    QUERY_ADDRS_MAX = 64,  /* kept of one answer */
    QUERY_SLOTS_MAX = 144, /* queries under way at once, a socket each; dnsmasq refuses the 151st */
    QUERY_RETRY_MS = 10,   /* when there is no descriptor left for one more socket */
    QUERY_PAUSE_MS = 100,  /* before servers that all failed are asked again */
};

/* How a query ended, the more telling first. */
enum query_status {
    QUERY_OPEN,
    QUERY_FOUND,
    QUERY_NXDOMAIN,
    QUERY_FAILED,     /* no server gave a usable answer: see outcomes */
    QUERY_NO_ADDRESS, /* the name exists */
};

/* What a server did that can't be used. */
enum query_outcome {
    OUTCOME_NONE, /* it was not asked */
    OUTCOME_SILENT,
    OUTCOME_SERVFAIL,
    OUTCOME_REFUSED,
    OUTCOME_ERROR,     /* another code */
    OUTCOME_MALFORMED,
    OUTCOME_LAME,      /* neither an answer nor recursion */
    OUTCOME_LOOP,      /* CNAMEs without an end */
    OUTCOMES,
};

/* A question and what came of it. The caller sets name, type and next, and zeroes the rest. */
struct query {
    struct query *next; /* one of a list */
    struct dns_name name;
    enum dns_type type; /* DNS_A or DNS_AAAA */
    enum query_status status;
    size_t n;
    struct ip_addr addrs[QUERY_ADDRS_MAX]; /* canonical, distinct */
    uint32_t ttl;                          /* seconds; of a negative answer too, 0 if it has none */
    unsigned waited_ms;
    uint8_t server;                           /* the one that answered, an index into the configuration's */
    int16_t outcomes[RESOLVCONF_SERVERS_MAX]; /* each server's last failure: enum query_outcome, or -errno */
};

/* A query under way. */
struct query_slot {
    struct query *query; /* NULL: free */
    enum { SLOT_UDP, SLOT_TCP_CONNECT, SLOT_TCP, SLOT_PARKED } state;
    bool edns;
    uint16_t id;
    size_t first;            /* the server it began with */
    unsigned tries;          /* over all rounds */
    uint64_t begun, deadline; /* of clock_ms */
};

struct query_run {
    const struct resolvconf *config;
    struct query *waiting; /* a list */
    size_t begun, active, sockets; /* queries, queries, descriptors */
    size_t n_slots;
    struct query_slot slots[QUERY_SLOTS_MAX];
    struct pollfd polls[QUERY_SLOTS_MAX]; /* one for each slot; fd -1: no socket */
    uint8_t message[2 + DNS_MESSAGE_MAX];
};

/* Once each, and no more than there is room for. */
static void query_add_addr(struct query *query, struct ip_addr addr)
{
    for (size_t i = 0; i < query->n; i++)
        if (ip_addr_equal(query->addrs[i], addr))
            return;
    if (query->n < QUERY_ADDRS_MAX)
        query->addrs[query->n++] = addr;
}

/* ---- sending ---- */

static size_t query_server(const struct query_run *run, const struct query_slot *slot)
{
    return (slot->first + slot->tries) % run->config->n_servers;
}

static struct pollfd *query_poll(struct query_run *run, const struct query_slot *slot)
{
    return &run->polls[slot - run->slots];
}

static void query_close(struct query_run *run, const struct query_slot *slot)
{
    struct pollfd *at = query_poll(run, slot);

    if (at->fd < 0)
        return;
    close(at->fd);
    at->fd = -1;
    run->sockets--;
}

static void query_settle(struct query_run *run, struct query_slot *slot, enum query_status status)
{
    query_close(run, slot);
    slot->query->status = status;
    slot->query->server = (uint8_t)query_server(run, slot);
    slot->query->waited_ms = (unsigned)(clock_ms() - slot->begun);
    slot->query = NULL;
    run->active--;
}

/* A socket connected to the slot's server, so that the kernel drops what anyone else sends. Its port is the kernel's
 * random choice. The server's time begins. 0 or -errno. */
static int query_connect(struct query_run *run, struct query_slot *slot, int type, short events)
{
    const struct resolvconf_server *server = &run->config->servers[query_server(run, slot)];
    sa_family_t family = server->addr.version == 4 ? AF_INET : AF_INET6;
    struct sockaddr_storage to;
    socklen_t len = ip_addr_to_sockaddr(server->addr, server->port, family, &to);

    if (family == AF_INET6)
        memcpy((char *)&to + offsetof(struct sockaddr_in6, sin6_scope_id), &server->scope, sizeof server->scope);
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    *query_poll(run, slot) = (struct pollfd){.fd = fd, .events = events};
    run->sockets++;
    slot->deadline = clock_ms() + run->config->timeout_ms;
    return connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS ? -errno : 0;
}

/* Send the query with a new id, over TCP behind its length: it fits any new socket's buffer. 0 or -errno. */
static int query_send(struct query_run *run, struct query_slot *slot)
{
    uint8_t bytes[2 + DNS_QUERY_MAX];
    size_t before = slot->state == SLOT_UDP ? 2 : 0;

    if (getrandom(&slot->id, sizeof slot->id, 0) != sizeof slot->id)
        return -errno;
    size_t len = dns_write_query(bytes + 2, slot->id, &slot->query->name, slot->query->type, slot->edns);
    bytes[0] = (uint8_t)(len >> 8);
    bytes[1] = (uint8_t)len;
    return send(query_poll(run, slot)->fd, bytes + before, 2 + len - before, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Ask again, after a while. */
static void query_park(struct query_slot *slot, int ms)
{
    slot->state = SLOT_PARKED;
    slot->deadline = clock_ms() + (uint64_t)ms;
}

static size_t query_most_tries(const struct query_run *run)
{
    return run->config->attempts * run->config->n_servers;
}

/* Ask the slot's server, and those behind it where one can't be reached at all. Without a descriptor for one more
 * socket it waits for one that another query gives back. */
static void query_ask(struct query_run *run, struct query_slot *slot)
{
    for (; slot->tries < query_most_tries(run); slot->tries++) {
        slot->state = SLOT_UDP;
        int status = query_connect(run, slot, SOCK_DGRAM, POLLIN);
        if (status == 0)
            status = query_send(run, slot);
        if (status == 0)
            return;
        query_close(run, slot);
        if ((status == -EMFILE || status == -ENFILE || status == -ENOBUFS) && run->sockets > 0) {
            query_park(slot, QUERY_RETRY_MS);
            return;
        }
        slot->query->outcomes[query_server(run, slot)] = (int16_t)status;
    }
    query_settle(run, slot, QUERY_FAILED);
}

/* This server was of no use: on to the next. */
static void query_move_on(struct query_run *run, struct query_slot *slot, int outcome)
{
    slot->query->outcomes[query_server(run, slot)] = (int16_t)outcome;
    query_close(run, slot);
    slot->tries++;
    if (slot->tries % run->config->n_servers == 0 && slot->tries < query_most_tries(run) && outcome != OUTCOME_SILENT)
        query_park(slot, QUERY_PAUSE_MS);
    else
        query_ask(run, slot);
}

/* The answer was cut: ask the same server over TCP. */
static void query_go_tcp(struct query_run *run, struct query_slot *slot)
{
    query_close(run, slot);
    slot->state = SLOT_TCP_CONNECT;
    int status = query_connect(run, slot, SOCK_STREAM, POLLOUT);
    if (status < 0)
        query_move_on(run, slot, status);
}

/* ---- receiving ---- */

/* Is this the answer to the slot's query? An id alone is guessed too easily: the question must be ours (RFC 5452, 9.1).
 * But servers that can't read a query answer FORMERR without one. */
static bool query_matches(const struct query_slot *slot, const struct dns_reader *reader)
{
    const struct dns_question *question = &reader->question;

    if (reader->id != slot->id || (reader->flags & (DNS_RESPONSE | DNS_OPCODE)) != DNS_RESPONSE)
        return false;
    if (!reader->has_question)
        return dns_rcode(reader->flags) == DNS_FORMERR;
    return question->class == DNS_CLASS_IN && question->type == slot->query->type &&
           dns_name_equal(&question->name, &slot->query->name);
}

/* An answer without an error: addresses, or the news that there are none. */
static void query_take_addrs(struct query_run *run, struct query_slot *slot, const struct dns_reader *reader)
{
    uint8_t bytes[QUERY_ADDRS_MAX][16];
    struct query *query = slot->query;
    int n = dns_answer_addrs(reader, bytes, QUERY_ADDRS_MAX, &query->ttl);

    if (n < 0) {
        query_move_on(run, slot, n == -ELOOP ? OUTCOME_LOOP : n == -EPROTO ? OUTCOME_ERROR : OUTCOME_MALFORMED);
        return;
    }
    if (n == 0 && !(reader->flags & (DNS_AUTHORITATIVE | DNS_RECURSION_AVAILABLE))) {
        query_move_on(run, slot, OUTCOME_LAME);
        return;
    }
    for (int i = 0; i < n; i++) {
        struct in_addr v4;
        struct in6_addr v6;

        memcpy(&v4, bytes[i], sizeof v4);
        memcpy(&v6, bytes[i], sizeof v6);
        query_add_addr(query, query->type == DNS_A ? ip_addr_from_v4(v4) : ip_addr_from_v6(&v6));
    }
    query_settle(run, slot, n > 0 ? QUERY_FOUND : QUERY_NO_ADDRESS);
}

/* A message has come. Over UDP one that doesn't match may be anybody's, and the answer may still follow. */
static void query_take(struct query_run *run, struct query_slot *slot, const uint8_t *bytes, size_t len)
{
    struct dns_reader reader;
    bool udp = slot->state == SLOT_UDP;

    if (dns_read_start(&reader, bytes, len) < 0 || !query_matches(slot, &reader)) {
        if (!udp)
            query_move_on(run, slot, OUTCOME_MALFORMED);
        return;
    }
    unsigned rcode = dns_rcode(reader.flags);
    if (slot->edns && (rcode == DNS_FORMERR || rcode == DNS_NOTIMP)) {
        slot->edns = false; /* a server older than EDNS0 (RFC 6891, 7) */
        query_close(run, slot);
        query_ask(run, slot);
    } else if (reader.flags & DNS_TRUNCATED) {
        if (udp)
            query_go_tcp(run, slot);
        else
            query_move_on(run, slot, OUTCOME_MALFORMED);
    } else if (rcode == DNS_NOERROR) {
        query_take_addrs(run, slot, &reader);
    } else if (rcode == DNS_NXDOMAIN) {
        query_settle(run, slot, QUERY_NXDOMAIN);
    } else {
        query_move_on(run, slot, rcode == DNS_SERVFAIL  ? OUTCOME_SERVFAIL
                                 : rcode == DNS_REFUSED ? OUTCOME_REFUSED
                                                        : OUTCOME_ERROR);
    }
}

static void query_receive(struct query_run *run, struct query_slot *slot)
{
    ssize_t n = recv(query_poll(run, slot)->fd, run->message, DNS_MESSAGE_MAX, 0);

    if (n >= 0)
        query_take(run, slot, run->message, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        query_move_on(run, slot, -errno);
}

/* The TCP connection is there, or has failed. */
static void query_connected(struct query_run *run, struct query_slot *slot)
{
    int status = query_send(run, slot);

    slot->state = SLOT_TCP;
    query_poll(run, slot)->events = POLLIN | POLLRDHUP;
    if (status < 0)
        query_move_on(run, slot, status);
}

/* The answer stays in the socket until it is whole, so no part of it is kept here: SO_RCVLOWAT lets poll(2) sleep until
 * then. */
static void query_receive_tcp(struct query_run *run, struct query_slot *slot, short events)
{
    int fd = query_poll(run, slot)->fd;
    ssize_t n = recv(fd, run->message, sizeof run->message, MSG_PEEK);
    int need = n < 2 ? 2 : 2 + (run->message[0] << 8 | run->message[1]);

    if (n >= need) {
        query_take(run, slot, run->message + 2, (size_t)need - 2);
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        query_move_on(run, slot, -errno);
    } else if (events & (POLLRDHUP | POLLHUP | POLLERR)) {
        query_move_on(run, slot, -ECONNRESET); /* it ended too soon */
    } else {
        setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &need, sizeof need);
    }
}

/* ---- all of them ---- */

/* Begin as many of those that wait as there are free slots. */
static void query_start(struct query_run *run)
{
    for (size_t i = 0; i < run->n_slots; i++) {
        struct query_slot *slot = &run->slots[i];

        while (slot->query == NULL && run->waiting != NULL) { /* again where it ended at once */
            *slot = (struct query_slot){.query = run->waiting, .edns = run->config->edns0, .begun = clock_ms()};
            slot->first = run->config->rotate ? run->begun++ : 0;
            run->waiting = run->waiting->next;
            run->active++;
            query_ask(run, slot);
        }
    }
}

/* Milliseconds until the first deadline. */
static int query_patience(const struct query_run *run)
{
    uint64_t first = UINT64_MAX, now = clock_ms();

    for (size_t i = 0; i < run->n_slots; i++)
        if (run->slots[i].query != NULL && run->slots[i].deadline < first)
            first = run->slots[i].deadline;
    return first <= now ? 0 : (int)(first - now);
}

static void query_step(struct query_run *run, struct query_slot *slot, uint64_t now)
{
    short events = query_poll(run, slot)->revents;

    if (slot->query == NULL)
        return;
    if (events != 0)
        switch (slot->state) {
        case SLOT_UDP:
            query_receive(run, slot);
            break;
        case SLOT_TCP_CONNECT:
            query_connected(run, slot);
            break;
        case SLOT_TCP:
            query_receive_tcp(run, slot, events);
            break;
        case SLOT_PARKED: /* it has no socket */
            break;
        }
    if (slot->query == NULL || now < slot->deadline)
        return;
    if (slot->state == SLOT_PARKED)
        query_ask(run, slot);
    else
        query_move_on(run, slot, OUTCOME_SILENT); /* however much came that was no answer */
}

/* Ask all queries of a list, of servers of which there is at least one. Takes as long as the slowest answer; in
 * waves when the list is longer than QUERY_SLOTS_MAX or the limit on descriptors. 0, or -errno of poll(2). */
static int query_all(const struct resolvconf *config, struct query *list)
{
    struct query_run run = {.config = config, .waiting = list, .n_slots = QUERY_SLOTS_MAX};
    struct rlimit limit;
    int status = 0;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < run.n_slots)
        run.n_slots = limit.rlim_cur > 0 ? limit.rlim_cur : 1; /* poll(2) takes no more */
    for (size_t i = 0; i < QUERY_SLOTS_MAX; i++)
        run.polls[i].fd = -1;
    for (query_start(&run); run.active > 0 && status == 0; query_start(&run)) {
        int ready = poll(run.polls, run.n_slots, query_patience(&run));
        status = ready < 0 && errno != EINTR ? -errno : 0;
        uint64_t now = clock_ms();
        for (size_t i = 0; ready >= 0 && i < run.n_slots; i++)
            query_step(&run, &run.slots[i], now);
    }
    for (size_t i = 0; i < run.n_slots; i++)
        query_close(&run, &run.slots[i]);
    return status;
}

#endif

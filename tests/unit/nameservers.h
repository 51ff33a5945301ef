/* nameservers.h - nameservers on loopback that delay, drop, cut, forge, refuse and lie, in a process of their own. What
 * one does depends on the first label that it is asked for. */
#ifndef UNIT_NAMESERVERS_H
#define UNIT_NAMESERVERS_H

#include "unit.h"

#include "../../sys/addr.h"
#include "../../sys/base.h"
#include "../../sys/dns.h"
#include "../../sys/query.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/wait.h>

enum {
    DELAY_MS = 50,
    LATE_MAX = 512,   /* answers that a delaying server holds */
    SEEN_MAX = 1024,
    PATIENT_MS = 20000, /* where an answer comes: nothing waits this long */
    HASTY_MS = 100,     /* where none comes */
};

enum role { GOOD, DELAYING, SILENT, FAILING, REFUSING, OLD, CLOSED, ROLES };

/* What the servers saw, shared with them. */
struct seen {
    unsigned queries[ROLES], tcp[ROLES], edns, waiting, most_waiting, n;
    uint16_t ports[SEEN_MAX], ids[SEEN_MAX];
};

static struct seen *seen;
static int udp[ROLES], tcp[ROLES];
static uint16_t ports[ROLES];
static pid_t server_pid;

struct request {
    enum role role;
    struct dns_reader reader;
    char label[DNS_LABEL_MAX + 1];
    bool over_tcp, edns;
};

struct reply {
    struct dns_writer writer;
    uint8_t bytes[DNS_MESSAGE_MAX];
};

static struct dns_name text_name(const char *text)
{
    struct dns_name name;

    if (dns_name_parse(slice_of(text), &name) < 0)
        die("not a name: %s", text);
    return name;
}

static void reply_start(struct reply *reply, const struct request *request, unsigned flags)
{
    dns_write_start(&reply->writer, reply->bytes, sizeof reply->bytes, request->reader.id,
                    (uint16_t)(DNS_RESPONSE | DNS_RECURSION_DESIRED | DNS_RECURSION_AVAILABLE | flags),
                    &request->reader.question);
}

/* 192.0.2.LAST or 2001:db8::LAST of `owner`, as the question's type asks. */
static void reply_addr(struct reply *reply, const struct request *request, const struct dns_name *owner, unsigned last)
{
    uint16_t type = request->reader.question.type;
    struct dns_record record = {.name = *owner, .type = type, .class = DNS_CLASS_IN, .ttl = 300};

    if (type == DNS_A)
        memcpy(record.address, (uint8_t[]){192, 0, 2, (uint8_t)last}, 4);
    else
        memcpy(record.address, (uint8_t[16]){0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)last}, 16);
    dns_write_record(&reply->writer, &record);
}

static void reply_cname(struct reply *reply, const struct dns_name *owner, const struct dns_name *target)
{
    struct dns_record record = {.name = *owner, .type = DNS_CNAME, .class = DNS_CLASS_IN, .ttl = 300,
                                .target = *target};

    dns_write_record(&reply->writer, &record);
}

static void reply_soa(struct reply *reply)
{
    struct dns_record record = {.section = DNS_AUTHORITY, .name = text_name("test"), .type = DNS_SOA,
                                .class = DNS_CLASS_IN, .ttl = 900,
                                .soa = {text_name("ns.test"), text_name("admin.test"), 1, 2, 3, 4, 60}};

    dns_write_record(&reply->writer, &record);
}

static bool is(const struct request *request, const char *label)
{
    return strcmp(request->label, label) == 0;
}

/* n addresses; what doesn't fit into a UDP answer is left out and said to be. */
static void reply_many(struct reply *reply, const struct request *request, unsigned n)
{
    size_t room = request->over_tcp ? DNS_MESSAGE_MAX : request->edns ? DNS_EDNS_PAYLOAD : 512;

    reply_start(reply, request, 0);
    for (unsigned i = 1; i <= n; i++)
        reply_addr(reply, request, &request->reader.question.name, i);
    if (reply->writer.len > room)
        reply_start(reply, request, DNS_TRUNCATED);
}

static void reply_chain(struct reply *reply, const struct request *request, unsigned n, bool loop)
{
    struct dns_name owner = request->reader.question.name, target;
    char text[32];

    reply_start(reply, request, 0);
    for (unsigned i = 1; i <= n; i++) {
        snprintf(text, sizeof text, "link%u.test", i);
        target = loop && i == n ? request->reader.question.name : text_name(text);
        reply_cname(reply, &owner, &target);
        owner = target;
    }
    if (!loop)
        reply_addr(reply, request, &owner, 10);
}

/* Write the reply; false: none. */
static bool reply_make(struct reply *reply, const struct request *request)
{
    const struct dns_name *asked = &request->reader.question.name;
    struct dns_name other = text_name("other.test");
    bool v4 = request->reader.question.type == DNS_A;
    static bool dropped[2]; /* once for each family */

    reply_start(reply, request, 0);
    if (is(request, "nx") || is(request, "inner")) {
        reply_start(reply, request, DNS_NXDOMAIN);
        reply_soa(reply);
    } else if (is(request, "none") || (is(request, "v4only") && !v4)) {
        reply_soa(reply);
    } else if (is(request, "half") && !v4) {
        reply_start(reply, request, DNS_SERVFAIL);
    } else if (is(request, "sixty") || is(request, "dribble") || is(request, "hangup")) {
        reply_many(reply, request, 60);
    } else if (is(request, "hundred")) {
        reply_many(reply, request, 100);
    } else if (is(request, "cutagain")) {
        reply_start(reply, request, DNS_TRUNCATED);
    } else if (is(request, "chain")) {
        reply_chain(reply, request, 10, false);
    } else if (is(request, "loop")) {
        reply_chain(reply, request, 3, true);
    } else if (is(request, "extra")) {
        reply_cname(reply, &other, &other);
        reply_addr(reply, request, &other, 66);
        reply_addr(reply, request, asked, 1);
    } else if (is(request, "liar")) {
        reply->bytes[7] = 3;
    } else if (is(request, "lame")) {
        reply->bytes[3] = 0; /* neither recursion nor authority */
    } else if (is(request, "drop") && !dropped[v4]) {
        dropped[v4] = true;
        return false;
    } else {
        reply_addr(reply, request, asked, 1);
    }
    if (is(request, "case"))
        memcpy(reply->bytes + DNS_HEADER_LEN, "\4CaSe\4tEsT", 10);
    if (request->role == FAILING)
        reply_start(reply, request, DNS_SERVFAIL);
    if (request->role == REFUSING)
        reply_start(reply, request, DNS_REFUSED);
    if (request->role == OLD && request->edns)
        dns_write_start(&reply->writer, reply->bytes, 12, request->reader.id, DNS_RESPONSE | DNS_FORMERR, NULL);
    return request->role != SILENT;
}

/* Forged answers that come before the real one, with an address that must not be believed. */
static void forge(const struct request *request, int fd, const struct sockaddr_in *to)
{
    static struct reply reply;
    struct request forged = *request;
    int from = fd;

    if (is(request, "forgeid"))
        forged.reader.id ^= 1;
    else if (is(request, "forgename"))
        forged.reader.question.name = text_name("other.test");
    else if (is(request, "forgetype"))
        forged.reader.question.type ^= DNS_A ^ DNS_AAAA;
    else if (is(request, "forgesource"))
        from = udp[SILENT];
    else if (!is(request, "forgequery"))
        return;
    reply_start(&reply, &forged, 0);
    if (is(request, "forgequery"))
        reply.bytes[2] &= 0x7f;
    reply_addr(&reply, &forged, &forged.reader.question.name, 66);
    sendto(from, reply.bytes, reply.writer.len, 0, (const struct sockaddr *)to, sizeof *to);
    sendto(from, reply.bytes, 5, 0, (const struct sockaddr *)to, sizeof *to);
}

/* Read a query; false when it is none. */
static bool request_read(struct request *request, enum role role, const uint8_t *bytes, size_t len, bool over_tcp)
{
    struct dns_record record;

    *request = (struct request){.role = role, .over_tcp = over_tcp};
    if (dns_read_start(&request->reader, bytes, len) < 0 || !request->reader.has_question)
        return false;
    for (struct dns_reader rest = request->reader; dns_read_record(&rest, &record) > 0;)
        request->edns = record.type == DNS_OPT;
    const uint8_t *wire = request->reader.question.name.wire;
    for (size_t i = 0; i < wire[0]; i++)
        request->label[i] = (char)dns_lower(wire[i + 1]);
    seen->queries[role]++;
    seen->tcp[role] += over_tcp;
    seen->edns += request->edns;
    return true;
}

struct late {
    uint64_t due;
    struct sockaddr_in to;
    size_t len;
    uint8_t bytes[512];
};

static struct late late[LATE_MAX];
static size_t late_first, late_n;

static void late_send(void)
{
    for (; late_n > 0 && late[late_first].due <= clock_ms(); late_n--, seen->waiting--) {
        struct late *due = &late[late_first];

        sendto(udp[DELAYING], due->bytes, due->len, 0, (struct sockaddr *)&due->to, sizeof due->to);
        late_first = (late_first + 1) % LATE_MAX;
    }
}

static void serve_udp(enum role role)
{
    static struct reply reply;
    static uint8_t bytes[DNS_MESSAGE_MAX];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    struct request request;
    ssize_t n = recvfrom(udp[role], bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len);

    if (n < 0 || !request_read(&request, role, bytes, (size_t)n, false))
        return;
    if (seen->n < SEEN_MAX) {
        seen->ports[seen->n] = from.sin_port;
        seen->ids[seen->n++] = request.reader.id;
    }
    if (!reply_make(&reply, &request))
        return;
    if (role == DELAYING) {
        struct late *last = &late[(late_first + late_n++) % LATE_MAX];
        *last = (struct late){clock_ms() + DELAY_MS, from, reply.writer.len, {0}};
        memcpy(last->bytes, reply.bytes, reply.writer.len);
        seen->waiting++;
        seen->most_waiting = seen->waiting > seen->most_waiting ? seen->waiting : seen->most_waiting;
        return;
    }
    forge(&request, udp[role], &from);
    sendto(udp[role], reply.bytes, reply.writer.len, 0, (struct sockaddr *)&from, len);
}

static void serve_tcp(enum role role)
{
    static struct reply reply;
    uint8_t bytes[2 + DNS_QUERY_MAX];
    struct request request;
    int on = 1, fd CLOSE_FD = accept(tcp[role], NULL, NULL);
    ssize_t n = fd < 0 ? -1 : recv(fd, bytes, sizeof bytes, 0);

    if (n < 2 || !request_read(&request, role, bytes + 2, (size_t)n - 2, true) || !reply_make(&reply, &request))
        return;
    uint8_t head[] = {(uint8_t)(reply.writer.len >> 8), (uint8_t)reply.writer.len};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (is(&request, "dribble")) { /* byte by byte at first, so that both the length and the message come in pieces */
        for (size_t i = 0; i < 5; i++) {
            send(fd, i < 2 ? &head[i] : &reply.bytes[i - 2], 1, MSG_NOSIGNAL);
            usleep(2000);
        }
        send(fd, reply.bytes + 3, reply.writer.len - 3, MSG_NOSIGNAL);
        return;
    }
    send(fd, head, sizeof head, MSG_NOSIGNAL);
    send(fd, reply.bytes, is(&request, "hangup") ? 20 : reply.writer.len, MSG_NOSIGNAL);
}

static void serve(void)
{
    struct pollfd polls[2 * ROLES];

    for (;;) {
        for (size_t i = 0; i < ROLES; i++) {
            polls[2 * i] = (struct pollfd){.fd = udp[i], .events = POLLIN};
            polls[2 * i + 1] = (struct pollfd){.fd = tcp[i], .events = POLLIN};
        }
        poll(polls, ARRAY_LEN(polls), late_n > 0 ? 1 : -1);
        late_send();
        for (size_t i = 0; i < ROLES; i++) {
            if (polls[2 * i].revents)
                serve_udp((enum role)i);
            if (polls[2 * i + 1].revents)
                serve_tcp((enum role)i);
        }
    }
}

/* Sockets of one role, on 127.0.0.1 and one port; CLOSED has a port where nobody listens. */
static void listen_as(enum role role)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;

    do {
        addr.sin_port = 0;
        udp[role] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (bind(udp[role], (struct sockaddr *)&addr, sizeof addr) < 0 ||
            getsockname(udp[role], (struct sockaddr *)&addr, &len) < 0)
            die("no socket: %s", strerror(errno));
        tcp[role] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(tcp[role], (struct sockaddr *)&addr, sizeof addr) < 0) { /* taken there: another */
            close(udp[role]);
            close(tcp[role]);
            tcp[role] = -1;
        }
    } while (tcp[role] < 0);
    listen(tcp[role], 16);
    ports[role] = ntohs(addr.sin_port);
    if (role == CLOSED) {
        close(udp[role]);
        close(tcp[role]);
        udp[role] = tcp[role] = -1;
    }
}

static void servers_start(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        abort();
    for (size_t i = 0; i < ROLES; i++)
        listen_as((enum role)i);
    server_pid = fork();
    if (server_pid == 0) {
        alarm(100);
        serve();
    }
    for (size_t i = 0; i < ROLES; i++)
        if (udp[i] >= 0) {
            close(udp[i]);
            close(tcp[i]);
        }
}

#endif

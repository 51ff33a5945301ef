/* dnsrelay - stands between a resolver and a real nameserver, and does to UDP answers what bad networks and people do
 *
 *   dnsrelay LISTEN UPSTREAM pass         nothing
 *   dnsrelay LISTEN UPSTREAM delay MS     holds each for MS milliseconds
 *   dnsrelay LISTEN UPSTREAM drop N       loses the first N
 *   dnsrelay LISTEN UPSTREAM cut          leaves of each only the head and the question, and says so
 *   dnsrelay LISTEN UPSTREAM forge        sends forged ones ahead of each: wrong id, source, question; no answer at all
 *   dnsrelay LISTEN UPSTREAM garble       damages the counts
 *   dnsrelay LISTEN UPSTREAM silent       answers nothing
 *
 * LISTEN and UPSTREAM are IPv4 addresses; the port is 53. TCP goes through untouched. Prints "ready". */
#include "../sys/dns.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

enum { HELD_MAX = 512 };

enum mode { PASS, DELAY, DROP, CUT, FORGE, GARBLE, SILENT, MODES };

static const char *const modes[MODES] = {"pass", "delay", "drop", "cut", "forge", "garble", "silent"};

/* A query on its way, then its answer when it has come. */
struct held {
    int fd; /* to the server; -1: this slot is free */
    struct sockaddr_in client;
    int64_t due; /* 0: there is no answer yet */
    size_t len;
    uint8_t bytes[4096];
};

static struct held held[HELD_MAX];
static struct sockaddr_in upstream;
static int udp, tcp, elsewhere;
static enum mode mode;
static int64_t delay, drops;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct sockaddr_in at(const char *text)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(53)};

    if (inet_pton(AF_INET, text, &addr.sin_addr) != 1)
        die("not an IPv4 address: %s", text);
    return addr;
}

static int bound(int type, const struct sockaddr_in *addr)
{
    int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0))
        die("cannot listen: %s", strerror(errno));
    return fd;
}

static void send_to(int fd, const struct sockaddr_in *to, const uint8_t *bytes, size_t len)
{
    sendto(fd, bytes, len, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to);
}

/* Where the question ends, or 0. */
static size_t question_end(const uint8_t *bytes, size_t len)
{
    struct dns_reader reader;

    return dns_read_start(&reader, bytes, len) == 0 && reader.has_question ? reader.at.pos : 0;
}

/* An answer to `question`, head like another's: `owner` is 6.6.6.6 or 606:606:606:606::. Returns its length. */
static size_t forged(uint8_t *out, size_t room, const struct dns_reader *like, const struct dns_question *question,
                     uint16_t id, const struct dns_name *owner)
{
    struct dns_writer writer;
    struct dns_record record = {.name = *owner, .type = question->type, .class = DNS_CLASS_IN, .ttl = 3600,
                                .address = {6, 6, 6, 6, 6, 6, 6, 6}};

    dns_write_start(&writer, out, room, id, like->flags & (uint16_t)~DNS_RCODE, question);
    dns_write_record(&writer, &record);
    return writer.len;
}

static void forge(const struct held *answer)
{
    uint8_t out[1024];
    struct dns_reader real;
    struct dns_name other;
    struct dns_question question;

    if (dns_read_start(&real, answer->bytes, answer->len) < 0 || !real.has_question ||
        dns_name_parse(slice_of("other.test"), &other) < 0)
        return;
    const struct dns_name *owner = &real.question.name;
    for (unsigned i = 0; i < 8; i++) { /* some of all the ids that there are */
        uint16_t id = (uint16_t)(real.id ^ (1u << i));
        send_to(udp, &answer->client, out, forged(out, sizeof out, &real, &real.question, id, owner));
    }
    send_to(elsewhere, &answer->client, out, forged(out, sizeof out, &real, &real.question, real.id, owner));
    question = real.question;
    question.name = other;
    send_to(udp, &answer->client, out, forged(out, sizeof out, &real, &question, real.id, &other));
    question = real.question;
    question.type ^= DNS_A ^ DNS_AAAA;
    send_to(udp, &answer->client, out, forged(out, sizeof out, &real, &question, real.id, owner));
    send_to(udp, &answer->client, (const uint8_t *)"", 0);
    send_to(udp, &answer->client, answer->bytes, 7);
    size_t len = forged(out, sizeof out, &real, &real.question, real.id, owner);
    out[2] &= 0x7f; /* a query */
    send_to(udp, &answer->client, out, len);
}

/* Give the client its answer, or what this network makes of it. */
static void deliver(struct held *answer)
{
    size_t end = question_end(answer->bytes, answer->len);
    bool dropped = mode == SILENT || (mode == DROP && drops > 0);

    drops -= mode == DROP && drops > 0;
    if (mode == CUT && end > 0) {
        answer->bytes[2] |= DNS_TRUNCATED >> 8;
        memset(answer->bytes + 6, 0, 6);
        answer->len = end;
    }
    if (mode == GARBLE)
        answer->bytes[7] = (uint8_t)(answer->bytes[7] + 7);
    if (mode == FORGE)
        forge(answer);
    if (!dropped)
        send_to(udp, &answer->client, answer->bytes, answer->len);
    close(answer->fd);
    answer->fd = -1;
}

/* A query: on to the server, from a socket of its own. */
static void take_query(void)
{
    struct held *slot = held;
    socklen_t len = sizeof slot->client;

    while (slot < held + HELD_MAX && slot->fd >= 0)
        slot++;
    if (slot == held + HELD_MAX)
        die("more than %d queries at once", HELD_MAX);
    ssize_t n = recvfrom(udp, slot->bytes, sizeof slot->bytes, 0, (struct sockaddr *)&slot->client, &len);
    slot->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    slot->due = 0;
    if (n < 0 || slot->fd < 0)
        die("cannot take a query: %s", strerror(errno));
    send_to(slot->fd, &upstream, slot->bytes, (size_t)n);
}

static void take_answer(struct held *slot)
{
    ssize_t n = recv(slot->fd, slot->bytes, sizeof slot->bytes, MSG_DONTWAIT);

    if (n < DNS_HEADER_LEN)
        return;
    slot->len = (size_t)n;
    slot->due = now_ms() + delay;
}

/* One TCP connection from end to end, in a process of its own. */
static void serve_tcp(void)
{
    int client = accept(tcp, NULL, NULL), server = socket(AF_INET, SOCK_STREAM, 0);
    uint8_t bytes[4096];

    if (client >= 0 && fork() == 0) {
        if (connect(server, (struct sockaddr *)&upstream, sizeof upstream) < 0)
            _exit(1);
        struct pollfd ends[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        while (poll(ends, 2, 10000) > 0)
            for (unsigned i = 0; i < 2; i++) {
                if (!ends[i].revents)
                    continue;
                ssize_t n = recv(ends[i].fd, bytes, sizeof bytes, 0);
                if (n <= 0 || send(ends[!i].fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
                    _exit(0);
            }
        _exit(1);
    }
    close(client);
    close(server);
}

static void serve(void)
{
    struct pollfd polls[2 + HELD_MAX] = {{.fd = udp, .events = POLLIN}, {.fd = tcp, .events = POLLIN}};

    for (;;) {
        int patience = -1;

        for (size_t i = 0; i < HELD_MAX; i++) {
            if (held[i].fd >= 0 && held[i].due != 0 && held[i].due <= now_ms())
                deliver(&held[i]);
            polls[2 + i] = (struct pollfd){.fd = held[i].due == 0 ? held[i].fd : -1, .events = POLLIN};
            if (held[i].fd >= 0 && held[i].due != 0)
                patience = 1;
        }
        if (poll(polls, ARRAY_LEN(polls), patience) < 0)
            continue;
        for (size_t i = 0; i < HELD_MAX; i++)
            if (polls[2 + i].revents)
                take_answer(&held[i]);
        if (polls[0].revents)
            take_query();
        if (polls[1].revents)
            serve_tcp();
    }
}

int main(int argc, char **argv)
{
    uint64_t number = 0;

    for (mode = PASS; argc > 3 && mode < MODES && strcmp(argv[3], modes[mode]) != 0; mode++)
        ;
    if (argc < 4 || mode == MODES || (argc == 5 && parse_uint(slice_of(argv[4]), 60000, &number) < 0))
        die("usage: dnsrelay LISTEN UPSTREAM MODE [NUMBER]");
    delay = mode == DELAY ? (int64_t)number : 0;
    drops = mode == DROP ? (int64_t)number : 0;
    struct sockaddr_in here = at(argv[1]), other = here;
    upstream = at(argv[2]);
    udp = bound(SOCK_DGRAM, &here);
    tcp = bound(SOCK_STREAM, &here);
    signal(SIGCHLD, SIG_IGN);
    other.sin_port = 0;
    elsewhere = bound(SOCK_DGRAM, &other);
    for (size_t i = 0; i < HELD_MAX; i++)
        held[i].fd = -1;
    if (write(STDOUT_FILENO, "ready\n", 6) < 0)
        return 1;
    serve();
}

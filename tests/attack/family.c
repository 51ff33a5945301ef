/* family - the victim's address in every form that a socket takes (threats rows 4, 5, 49)
 *
 * usage: family alias | loopback | embedded | shapes | batches
 *
 * Each form goes through every call that carries an address. */
#include "attack.h"

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    char bytes[256];
};

/* One address, to be tried on sockets of one family, from one bound source. */
struct form {
    const char *name;
    int family;
    union address to;
    socklen_t len;
    union address source; /* AF_UNSPEC: not bound */
};

static const char *label(const char *form, const char *by)
{
    static char text[64];

    snprintf(text, sizeof text, "%s %s", form, by);
    return text;
}

static int open_socket(const struct form *f, int type)
{
    int s = socket(f->family, type | SOCK_CLOEXEC, 0);
    socklen_t len = f->family == AF_INET ? sizeof f->source.four : sizeof f->source.six;

    if (s < 0) {
        answer("%s: socket: %s", f->name, strerror(errno));
        return s;
    }
    if (f->source.any.sa_family != AF_UNSPEC && bind(s, &f->source.any, len) < 0)
        answer("%s: bind: %s", f->name, strerror(errno));
    return s;
}

static void by_connect(const struct form *f, int type)
{
    const char *text = label(f->name, type == SOCK_STREAM ? "connect" : "connect-udp");
    int s = open_socket(f, type);

    if (s < 0)
        return;
    if (tried(text, connect(s, &f->to.any, f->len)) == 0)
        tried(text, send(s, text, strlen(text), MSG_NOSIGNAL));
    close(s);
}

static void by_sendto(const struct form *f)
{
    const char *text = label(f->name, "sendto");
    int s = open_socket(f, SOCK_DGRAM);

    if (s < 0)
        return;
    tried(text, sendto(s, text, strlen(text), MSG_DONTWAIT, &f->to.any, f->len));
    close(s);
}

/* sendmsg and sendmmsg; control may be NULL. */
static void by_message(const struct form *f, const void *control, size_t control_len)
{
    const char *text = label(f->name, "sendmsg");
    struct iovec payload = {(void *)(uintptr_t)text, strlen(text)};
    union address to = f->to;
    struct mmsghdr m = {.msg_hdr = {.msg_name = &to, .msg_namelen = f->len, .msg_iov = &payload}};
    int s = open_socket(f, SOCK_DGRAM);

    if (s < 0)
        return;
    m.msg_hdr.msg_iovlen = 1;
    m.msg_hdr.msg_control = (void *)(uintptr_t)control;
    m.msg_hdr.msg_controllen = (socklen_t)control_len;
    tried(text, syscall(__NR_sendmsg, s, &m.msg_hdr, MSG_DONTWAIT));
    text = label(f->name, "sendmmsg");
    payload.iov_len = strlen(text);
    tried(text, syscall(__NR_sendmmsg, s, &m, 1, MSG_DONTWAIT));
    close(s);
}

static void by_all(const struct form *f)
{
    by_connect(f, SOCK_STREAM);
    by_connect(f, SOCK_DGRAM);
    by_sendto(f);
    by_message(f, NULL, 0);
}

static void form4(const char *name, int family, int sockaddr_family, const char *to, int port, const char *source)
{
    struct form f = {.name = name, .family = family, .len = sizeof f.to.four};

    f.to.four = at4(to, port);
    f.to.four.sin_family = (sa_family_t)sockaddr_family;
    if (source != NULL)
        f.source.four = at4(source, 0);
    by_all(&f);
}

static void form6(const char *name, const char *to, int port, const char *source)
{
    struct form f = {.name = name, .family = AF_INET6, .len = sizeof f.to.six};

    f.to.six = at6(to, port);
    if (source != NULL)
        f.source.six = at6(source, 0);
    by_all(&f);
}

/* "This host" with a source given beside the address, which is then where it goes. */
static void unspecified_with_pktinfo(void)
{
    struct form f = {.name = "0.0.0.0 and IP_PKTINFO", .family = AF_INET, .len = sizeof f.to.four};
    struct form f6 = {.name = ":: and IPV6_PKTINFO", .family = AF_INET6, .len = sizeof f.to.six};
    struct form mapped = {.name = "::ffff:0.0.0.0 and IP_PKTINFO", .family = AF_INET6, .len = sizeof f.to.six};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } c = {.header = {.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = IPPROTO_IP,
                      .cmsg_type = IP_PKTINFO}};
    struct in_pktinfo info = {.ipi_spec_dst = at4(VICTIM, 0).sin_addr};
    struct in6_pktinfo info6 = {.ipi6_addr = at6(VICTIM6, 0).sin6_addr};

    memcpy(CMSG_DATA(&c.header), &info, sizeof info);
    f.to.four = at4("0.0.0.0", PORT);
    by_message(&f, &c, CMSG_SPACE(sizeof info));
    mapped.to.six = at6("::ffff:0.0.0.0", PORT);
    by_message(&mapped, &c, CMSG_SPACE(sizeof info));
    c.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info6), .cmsg_level = IPPROTO_IPV6,
                                .cmsg_type = IPV6_PKTINFO};
    memcpy(CMSG_DATA(&c.header), &info6, sizeof info6);
    f6.to.six = at6("::", PORT);
    by_message(&f6, &c, CMSG_SPACE(sizeof info6));
}

/* A UDP socket that is connected to the permitted destination, and one that has been. */
static void past_connection(void)
{
    static const char again[] = "another address on a connected socket", after[] = "after a disconnect";
    struct sockaddr_in good = at4(PERMITTED, PORT), bad = at4(VICTIM, PORT);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct iovec payload = {(void *)(uintptr_t)again, sizeof again - 1};
    struct msghdr m = {.msg_name = &bad, .msg_namelen = sizeof bad, .msg_iov = &payload, .msg_iovlen = 1};
    int s = socket(AF_INET, SOCK_DGRAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);

    connect(s, (struct sockaddr *)&good, sizeof good);
    tried(again, sendto(s, again, sizeof again - 1, 0, (struct sockaddr *)&bad, sizeof bad));
    tried(again, sendmsg(s, &m, 0));
    tried("connect again", connect(s, (struct sockaddr *)&bad, sizeof bad));
    connect(s, &none, sizeof none);
    tried(after, sendto(s, after, sizeof after - 1, 0, (struct sockaddr *)&bad, sizeof bad));
    connect(t, (struct sockaddr *)&good, sizeof good);
    connect(t, &none, sizeof none);
    tried("tcp after a disconnect", connect(t, (struct sockaddr *)&bad, sizeof bad));
    close(s);
    close(t);
}

static void aliases(void)
{
    form4("v4", AF_INET, AF_INET, VICTIM, PORT, NULL);
    form4("v4 unspec", AF_INET, AF_UNSPEC, VICTIM, PORT, NULL);
    form4("v4 in v6", AF_INET6, AF_INET, VICTIM, PORT, NULL);
    form4("unspec in v6", AF_INET6, AF_UNSPEC, VICTIM, PORT, NULL);
    form4("bound 0.0.0.0", AF_INET, AF_INET, "0.0.0.0", PORT, VICTIM);
    form4("bound unspec 0.0.0.0", AF_INET, AF_UNSPEC, "0.0.0.0", PORT, VICTIM);
    form4("other port", AF_INET, AF_INET, PERMITTED, OTHER_PORT, NULL);
    form4("other port unspec", AF_INET, AF_UNSPEC, PERMITTED, OTHER_PORT, NULL);
    form4("other port 0.0.0.0", AF_INET, AF_INET, "0.0.0.0", OTHER_PORT, NULL);
    form4("other port in v6", AF_INET6, AF_INET, "0.0.0.0", OTHER_PORT, NULL);
    form6("mapped", "::ffff:" VICTIM, PORT, NULL);
    form6("bound mapped 0.0.0.0", "::ffff:0.0.0.0", PORT, "::ffff:" VICTIM);
    form6("other port mapped", "::ffff:" PERMITTED, OTHER_PORT, NULL);
    form6("other port mapped 0.0.0.0", "::ffff:0.0.0.0", OTHER_PORT, NULL);
    form6("other port bound mapped ::", "::", OTHER_PORT, "::ffff:" PERMITTED);
    form6("v6", VICTIM6, PORT, NULL);
    form6("::", "::", PORT, NULL);
    form6("bound ::", "::", PORT, VICTIM6);
    unspecified_with_pktinfo();
    past_connection();
}

/* The permitted one too: where nothing is permitted (outside -d) it is a victim. */
static void loopback(void)
{
    form4("v4", AF_INET, AF_INET, PERMITTED, PORT, NULL);
    form4("0.0.0.0", AF_INET, AF_INET, "0.0.0.0", PORT, NULL);
    form4("v4 unspec", AF_INET, AF_UNSPEC, "0.0.0.0", PORT, NULL);
    form4("v4 in v6", AF_INET6, AF_INET, "0.0.0.0", PORT, NULL);
    form6("mapped", "::ffff:" PERMITTED, PORT, NULL);
    form6("mapped 0.0.0.0", "::ffff:0.0.0.0", PORT, NULL);
    form6("bound mapped ::", "::", PORT, "::ffff:" PERMITTED);
}

static void embedded(void)
{
    form6("NAT64", "64:ff9b::7f00:2", PORT, NULL);
    form6("6to4", "2002:7f00:2::1", PORT, NULL);
    form6("Teredo", "2001::80ff:fffd", PORT, NULL);
    form6("IPv4-compatible", "::127.0.0.2", PORT, NULL);
}

/* The address of `form` at `where`, with this length, through every call. */
static void shape(const char *name, int family, const void *where, socklen_t len, uint64_t garbage)
{
    uint64_t namelen = len;
    struct iovec payload = {(void *)(uintptr_t)name, strlen(name)};
    struct mmsghdr m = {.msg_hdr = {.msg_name = (void *)(uintptr_t)where, .msg_namelen = len, .msg_iov = &payload}};
    int s = socket(family, SOCK_DGRAM, 0), t = socket(family, SOCK_STREAM, 0);
    uint64_t fd = (uint32_t)s | garbage, tcp = (uint32_t)t | garbage;

    m.msg_hdr.msg_iovlen = 1;
    tried(name, syscall(__NR_connect, tcp, where, namelen | garbage));
    tried(name, syscall(__NR_sendto, fd, name, strlen(name), garbage, where, namelen | garbage));
    tried(name, syscall(__NR_sendmsg, fd, &m, garbage));
    tried(name, syscall(__NR_sendmmsg, fd, &m, 1 | garbage, garbage));
    m.msg_hdr.msg_iovlen = 0; /* an empty datagram is one too */
    tried(name, syscall(__NR_sendto, fd, NULL, 0, garbage, where, namelen | garbage));
    tried(name, syscall(__NR_sendmsg, fd, &m, garbage));
    tried(name, syscall(__NR_sendmmsg, fd, &m, 1 | garbage, garbage));
    close(s);
    close(t);
}

static void shapes(void)
{
    static const uint64_t high = 0xdeadbeef00000000;
    static union address v4, v6;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *low_zero = mmap((void *)0x700000000, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                          -1, 0);

    v4.four = at4(VICTIM, PORT);
    v6.six = at6(VICTIM6, PORT);
    if (pages == MAP_FAILED || low_zero == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) < 0)
        broken("no memory: %s", strerror(errno));
    shape("plain", AF_INET, &v4, sizeof v4.four, 0);
    shape("garbage in high halves", AF_INET, &v4, sizeof v4.four, high);
    memcpy(pages + page - sizeof v4.four, &v4, sizeof v4.four);
    shape("flush with a page's end", AF_INET, pages + page - sizeof v4.four, sizeof v4.four, 0);
    memcpy(low_zero, &v4, sizeof v4.four);
    shape("a pointer with a zero low half", AF_INET, low_zero, sizeof v4.four, 0);
    shape("128 long", AF_INET, &v4, 128, 0);
    shape("over 128 long", AF_INET, &v4, 200, 0);
    shape("2 GiB long", AF_INET, &v4, 0x7fffffff, 0);
    shape("v6, 24 long", AF_INET6, &v6, 24, 0);
    shape("v6, 128 long", AF_INET6, &v6, 128, 0);
    shape("v6 over 128 long", AF_INET6, &v6, 250, 0);
    shape("v6, 16 long, IPv4 inside", AF_INET6, &v4, 16, 0);
}

/* One bad address among many good ones, at every place; then as the second part of a datagram, and as the first. */
static void batches(void)
{
    enum { MANY = 150 };
    static struct mmsghdr messages[MANY];
    struct sockaddr_in good = at4(PERMITTED, PORT), bad = at4(VICTIM, PORT);
    struct iovec payload = {"batch", 5};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    for (int place = 0; place < MANY; place++) {
        for (int i = 0; i < MANY; i++)
            messages[i].msg_hdr = (struct msghdr){.msg_name = i == place ? &bad : &good, .msg_namelen = sizeof good,
                                                  .msg_iov = &payload, .msg_iovlen = 1};
        syscall(__NR_sendmmsg, s, messages, MANY, MSG_DONTWAIT);
        syscall(__NR_sendmmsg, s, messages + place, MANY - place, MSG_DONTWAIT);
    }
    close(s);
    for (int first = 0; first < 2; first++) {
        s = socket(AF_INET, SOCK_DGRAM, 0);
        tried("begun", sendto(s, "begun", 5, MSG_MORE, (struct sockaddr *)(first ? &bad : &good), sizeof good));
        tried("gone on", sendto(s, "gone on", 7, MSG_MORE, (struct sockaddr *)(first ? &good : &bad), sizeof bad));
        tried("connect", connect(s, (struct sockaddr *)&bad, sizeof bad));
        tried("ended", send(s, "ended", 5, 0));
        close(s);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "alias") == 0)
        aliases();
    else if (argc == 2 && strcmp(argv[1], "loopback") == 0)
        loopback();
    else if (argc == 2 && strcmp(argv[1], "embedded") == 0)
        embedded();
    else if (argc == 2 && strcmp(argv[1], "shapes") == 0)
        shapes();
    else if (argc == 2 && strcmp(argv[1], "batches") == 0)
        batches();
    else
        broken("usage: family alias | loopback | embedded | shapes | batches");
    return attack_done();
}

/* fuzzer of what reads a call (parse) and judges it (decide), on real sockets: whatever lies in the caller's memory,
 * what would be passed on leads where it was judged to lead, as udp(7), ipv6(7) and the kernel's own sources read it,
 * and its control messages are on the list (fuzz.h)
 *
 * For connect and bind on UDP the kernel itself is asked: where the socket was led is what was judged. */
#include "fuzz.h"

#include <net/if.h>
#include <net/route.h>

enum { AREA = 8192, MESSAGES_MAX = 3 };

static const struct fuzz_socket {
    int domain, type, protocol;
    const char *bound; /* an IPv6 or mapped address; NULL: none */
} fuzz_sockets[] = {
    {AF_INET, SOCK_DGRAM, 0, NULL},
    {AF_INET, SOCK_DGRAM, 0, "::ffff:127.0.0.9"},
    {AF_INET6, SOCK_DGRAM, 0, NULL},
    {AF_INET6, SOCK_DGRAM, 0, "::1"},
    {AF_INET6, SOCK_DGRAM, 0, "::ffff:127.0.0.9"},
    {AF_INET, SOCK_STREAM, 0, NULL},
    {AF_INET6, SOCK_STREAM, 0, NULL},
    {AF_INET, SOCK_DGRAM, IPPROTO_ICMP, NULL},
    {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, NULL},
    {AF_UNIX, SOCK_STREAM, 0, NULL},
    {AF_UNIX, SOCK_DGRAM, 0, NULL},
    {AF_UNIX, SOCK_SEQPACKET, 0, NULL},
    {AF_NETLINK, SOCK_DGRAM, 0, NULL},
};

static int fuzz_fds[ARRAY_LEN(fuzz_sockets)];
static uint8_t *fuzz_area; /* the caller's memory; behind it is none */
static size_t fuzz_used;
static int fuzz_closing[2] = {-1, -1}; /* a pipe: what is left to the closer to close */

static void fuzz_bind(int fd, int domain, const char *bound)
{
    struct sockaddr_storage storage;
    struct ip_addr addr;

    if (bound == NULL || ip_addr_parse(slice_of(bound), &addr) < 0)
        return;
    addr = domain == AF_INET ? ip_addr_canonical(addr) : addr;
    socklen_t len = ip_addr_to_sockaddr(addr, 0, (sa_family_t)domain, &storage);
    if (bind(fd, (struct sockaddr *)&storage, len) < 0)
        perror("bind");
}

static int fuzz_socket(size_t which)
{
    const struct fuzz_socket *s = &fuzz_sockets[which];
    int fd = socket(s->domain, s->type | SOCK_CLOEXEC | SOCK_NONBLOCK, s->protocol);

    if (fd >= 0)
        fuzz_bind(fd, s->domain, s->bound);
    return fd;
}

/* A network where every address is near: connect reaches any, and nothing leaves it. */
static void fuzz_enter_network(void)
{
    struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    struct rtentry route = {.rt_dst.sa_family = AF_INET, .rt_genmask.sa_family = AF_INET, .rt_flags = RTF_UP};
    struct in6_rtmsg route6 = {.rtmsg_ifindex = 1, .rtmsg_metric = 1, .rtmsg_flags = RTF_UP};
    int ping = -1;

    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);
    route.rt_dev = up.ifr_name;
    ioctl(fd, SIOCSIFFLAGS, &up);
    ioctl(fd, SIOCADDRT, &route);
    ioctl(fd6, SIOCADDRT, &route6);
    close(fd);
    close(fd6);
    ping = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
    if ((ping < 0 || write(ping, "0 0", 3) < 0) && errno != EROFS) /* as a container's is */
        perror("ping_group_range");
    close(ping);
}

static void fuzz_start(void)
{
    static const char *const rules[] = {
        "any://127.0.0.0/8:1-32767", "any://10.0.0.0/8", "any://[::1]:1-32767", "any://2001:db8::/32",
        "any://0.0.0.0", "any://[::]", "any://fe80::/10", "any://ff02::/16",
    };

    if (fuzz_area != NULL)
        return;
    fuzz_enter_network();
    fuzz_area = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    message_init(&batch);
    unix_target.file = unix_target.held = -1;
    unix_own.pins = &here.pins;
    unix_own.closer = &here.closer;
    if (fuzz_area == MAP_FAILED || mprotect(fuzz_area + AREA, 4096, PROT_NONE) < 0 ||
        pipe2(fuzz_closing, O_CLOEXEC) < 0)
        abort();
    fcntl(fuzz_closing[0], F_SETFL, O_NONBLOCK);
    here.closer = (struct closer){.requests = fuzz_closing[0], .pipe = fuzz_closing[1], .closed = -1, .done = -1,
                                  .waiting = 1, .pid = getpid()};
    here.proc = true;
    here.pins.by_thread = pin_kernel_has_threads();
    pin_pidfd(&here.pins, getpid(), false);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        set_rule(LIST_ALLOW, rules[i]);
    set_rule(LIST_DENY, "any://127.6.6.6");
    set_rule(LIST_DENY, "udp://10.0.0.0/8:53"); /* 0.0.0.0 and :: are no destinations: loopback's rules are meant */
    set_rule(LIST_BIND, "udp://1024-32767");
    policy_finish();
    for (size_t i = 0; i < ARRAY_LEN(fuzz_sockets); i++)
        fuzz_fds[i] = fuzz_socket(i);
}

/* ---- the kernel's reading ---- */

enum fuzz_leads { LEADS_NOWHERE, LEADS_TO_PEER, LEADS_TO_IP };

/* Where the kernel would take this: udp_sendmsg, udpv6_sendmsg, ping_v4_sendmsg, ping_v6_sendmsg, tcp_v4_connect,
 * tcp_v6_connect, ip4_datagram_connect, ip6_datagram_connect. */
static enum fuzz_leads fuzz_kernel_reads(const struct request *r, const union address *a, size_t len,
                                         struct ip_addr *addr, uint16_t *port)
{
    bool send = is_send(r->call), udp = socket_is(r->kind, IPPROTO_UDP), v6 = r->kind.domain == AF_INET6;
    sa_family_t family = a->any.sa_family;

    if (send && (len == 0 || socket_is(r->kind, IPPROTO_TCP)))
        return LEADS_TO_PEER;
    if (len < sizeof family)
        return LEADS_NOWHERE;
    if (family == AF_UNSPEC && send && udp && v6)
        return LEADS_TO_PEER;
    bool as_v4 = family == AF_INET || (family == AF_UNSPEC && send && udp && !v6);
    if (as_v4 && len >= sizeof a->v4 && (!v6 || udp)) {
        *addr = ip_addr_from_v4(a->v4.sin_addr);
        *port = ntohs(a->v4.sin_port);
        return LEADS_TO_IP;
    }
    if (family == AF_INET6 && v6 && len >= 24 && !(send && kind_protocol(r->kind) == PROTOCOL_ICMP && len < 28)) {
        *addr = ip_addr_from_v6(&a->v6.sin6_addr);
        *port = ntohs(a->v6.sin6_port);
        return LEADS_TO_IP;
    }
    return LEADS_NOWHERE;
}

static bool fuzz_same(struct ip_addr a, struct ip_addr b)
{
    return a.version == b.version && a.hi == b.hi && a.lo == b.lo;
}

/* By the rules of fuzz_start. */
static bool fuzz_permitted(enum protocol protocol, struct ip_addr a, uint16_t port)
{
    bool low = protocol != PROTOCOL_ICMP && port >= 1 && port <= 32767;

    if (a.version == 6)
        return (a.hi == 0 && a.lo == 1 && low) || a.hi >> 32 == 0x20010db8 || a.hi >> 54 == 0xfe80 >> 6 ||
               a.hi >> 48 == 0xff02;
    if (a.lo == 0x7f060606 || (a.lo >> 24 == 10 && protocol == PROTOCOL_UDP && port == 53))
        return false;
    return (a.lo >> 24 == 127 && low) || a.lo >> 24 == 10;
}

/* What is about to be passed on leads where the kernel reads it to lead, and that is permitted. */
static void fuzz_leads_as_judged(const struct request *r, const union address *a, size_t len,
                                 const struct destination *to)
{
    struct ip_addr addr = {0, 0, 0};
    uint16_t port = 0;

    if (!socket_is_ip(r->kind))
        return;
    switch (fuzz_kernel_reads(r, a, len, &addr, &port)) {
    case LEADS_NOWHERE:
        break;
    case LEADS_TO_PEER:
        assert(to->kind == DESTINATION_NONE);
        break;
    case LEADS_TO_IP:
        assert(to->kind == DESTINATION_IP && fuzz_same(to->addr, addr));
        assert(to->port == (to->protocol == PROTOCOL_ICMP ? 0 : port) && to->protocol == kind_protocol(r->kind));
        assert(!ip_addr_is_unspecified(addr));
        assert(fuzz_permitted(to->protocol, to->addr, to->port));
        assert(!(addr.version == 6 && ip_addr_is_link_local(addr) && len >= 28 && a->v6.sin6_scope_id != 0));
        break;
    }
}

/* struct cmsghdr as the kernel has it; musl's has a shorter length. */
struct fuzz_control {
    uint64_t len;
    int32_t level, type;
};

static bool fuzz_control_listed(const struct fuzz_control *c, bool local)
{
    static const struct {
        int level, type;
    } ip[] = {
        {SOL_SOCKET, SCM_RIGHTS}, {SOL_SOCKET, SCM_CREDENTIALS}, {SOL_SOCKET, SO_TIMESTAMPING}, {SOL_SOCKET, 61},
        {SOL_IP, IP_TTL}, {SOL_IP, IP_TOS}, {SOL_IP, IP_PKTINFO}, {SOL_IPV6, IPV6_PKTINFO}, {SOL_IPV6, IPV6_HOPLIMIT},
        {SOL_IPV6, IPV6_TCLASS}, {SOL_IPV6, IPV6_DONTFRAG}, {17, 103}, {282, 1},
    };

    if (c->type == INT_MAX)
        return true; /* unknown to the kernel as well */
    for (size_t i = 0; i < ARRAY_LEN(ip); i++)
        if (c->level == ip[i].level && c->type == ip[i].type && !(local && i > 1 && c->level == SOL_SOCKET))
            return true;
    return false;
}

/* Is it a descriptor of ours that was made to be passed on? */
static bool fuzz_is_right(int fd)
{
    for (size_t i = 0; i < batch.n_rights; i++)
        if (batch.rights[i] == fd)
            return true;
    return false;
}

/* Walk control messages as for_each_cmsghdr and CMSG_OK do (include/linux/socket.h). */
static void fuzz_controls(const struct request *r, const struct kernel_msghdr *header)
{
    const uint8_t *p = (const uint8_t *)(uintptr_t)header->control;
    size_t size = header->controllen;
    bool local = r->kind.domain == AF_UNIX;

    for (size_t at = 0; at + sizeof(struct fuzz_control) <= size;) {
        const struct fuzz_control *c = (const void *)(p + at);
        const uint8_t *data = (const uint8_t *)(c + 1);
        int32_t value;

        if (c->len < sizeof *c || c->len > size - at)
            return; /* the kernel refuses the message */
        assert(fuzz_control_listed(c, local));
        if (c->level == SOL_IP && c->type == IP_PKTINFO && c->len >= sizeof *c + 12) {
            memcpy(&value, data, sizeof value);
            assert(value == 0);
        }
        if (c->level == SOL_IPV6 && c->type == IPV6_PKTINFO && c->len >= sizeof *c + 20) {
            memcpy(&value, data + 16, sizeof value);
            assert(value == 0);
        }
        bool rights = local && c->level == SOL_SOCKET && c->type == SCM_RIGHTS;
        for (size_t i = 0; rights && sizeof *c + 4 * i + 4 <= c->len; i++) {
            memcpy(&value, data + 4 * i, sizeof value);
            assert(fuzz_is_right(value));
        }
        at += (c->len + 7) & ~(uint64_t)7;
    }
}

/* ---- the caller's memory ---- */

/* A place for len bytes of the input: somewhere, flush with the end, or an address that may be anything. */
static uint64_t fuzz_place(struct fuzz_input *in, const void *bytes, size_t len)
{
    uint8_t how = fuzz_byte(in);

    if (how < 4)
        return fuzz_number(in, 8);
    if (how < 8)
        return 0;
    if (how < 40 && len <= AREA) {
        memcpy(fuzz_area + AREA - len, bytes, len);
        return (uintptr_t)(fuzz_area + AREA - len);
    }
    if (how < 48 && len > 0 && len < AREA) { /* and a little beyond the end */
        memcpy(fuzz_area + AREA - len + 1, bytes, len - 1);
        return (uintptr_t)(fuzz_area + AREA - len + 1);
    }
    fuzz_used = (fuzz_used + 7) & ~(size_t)7;
    if (fuzz_used + len > AREA)
        fuzz_used = 0;
    memcpy(fuzz_area + fuzz_used, bytes, len);
    fuzz_used += len;
    return (uintptr_t)(fuzz_area + fuzz_used - len);
}

/* An address and how long it is said to be. */
static size_t fuzz_address(struct fuzz_input *in, union address *a)
{
    static const uint8_t lens[] = {16, 28, 24, 110, 16, 28, 0, 1, 2, 8, 15, 17, 23, 27, 29, 3, 127, 128, 129};
    static const sa_family_t families[] = {AF_INET, AF_INET6, AF_UNSPEC, AF_UNIX};
    static const char *const addrs[] = {
        "127.0.0.1", "127.6.6.6", "10.0.0.1", "0.0.0.0", "::1", "::", "2001:db8::1", "fe80::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:127.6.6.6", "::ffff:0.0.0.0", "64:ff9b::7f06:606",
    };
    static const uint16_t ports[] = {80, 53, 0, 1, 1023, 1024, 32767, 32768};
    uint8_t how = fuzz_byte(in), which = fuzz_byte(in), what = fuzz_byte(in), port = fuzz_byte(in);
    sa_family_t family = what < 250 ? families[what % ARRAY_LEN(families)] : (sa_family_t)fuzz_number(in, 2);
    struct ip_addr addr;

    memset(a, 0, sizeof *a);
    if (family == AF_UNIX || which >= 240) { /* abstract: look-ups of paths are another matter, and slow */
        fuzz_bytes(in, a, sizeof *a);
        a->local.sun_path[0] = 0;
    } else {
        ip_addr_parse(slice_of(addrs[which % ARRAY_LEN(addrs)]), &addr);
        ip_addr_to_sockaddr(family == AF_INET6 ? addr : ip_addr_canonical(addr), ports[port % ARRAY_LEN(ports)],
                            family == AF_INET6 ? AF_INET6 : AF_INET, &a->storage);
    }
    if (family == AF_INET6 && port >= 200)
        a->v6.sin6_scope_id = 1;
    a->any.sa_family = family;
    return lens[how % ARRAY_LEN(lens)];
}

static size_t fuzz_control_part(struct fuzz_input *in, uint8_t *to, size_t room)
{
    static const int levels[] = {SOL_SOCKET, SOL_IP, SOL_IPV6, 17, 282};
    static const uint8_t types[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 36, 37, 50, 52, 54, 55, 57, 59, 61, 62, 67, 103};
    size_t at = 0;

    for (unsigned n = fuzz_byte(in) % 8; n > 0 && at + 64 < room; n--) {
        uint8_t what = fuzz_byte(in), type = fuzz_byte(in), data = fuzz_byte(in) % 40, lie = fuzz_byte(in);
        struct fuzz_control c = {sizeof c + data, levels[what % 5], types[type % sizeof types]};

        if (lie < 200) { /* as long as most of the kernel's are */
            data = c.type == IP_PKTINFO ? 12 : c.type == IPV6_PKTINFO ? 20 : c.type == 57 ? 24 : 4;
            c.len = sizeof c + data;
        }
        if (what >= 250)
            c.level = (int32_t)fuzz_number(in, 4);
        if (type >= 250)
            c.type = (int32_t)fuzz_number(in, 4);
        if (lie >= 240)
            c.len = lie >= 250 ? fuzz_number(in, 8) : c.len + lie - 245;
        memcpy(to + at, &c, sizeof c);
        fuzz_bytes(in, to + at + sizeof c, data);
        at += sizeof c + ((data + 7u) & ~7u);
    }
    return at;
}

static void fuzz_message(struct fuzz_input *in, struct kernel_mmsghdr *m)
{
    static uint8_t control[1024];
    struct iovec vectors[4];
    union address name;

    size_t len = fuzz_address(in, &name);
    *m = (struct kernel_mmsghdr){.header = {.namelen = (int32_t)len}};
    m->header.name = fuzz_place(in, &name, len < sizeof name ? len : sizeof name);
    m->header.iovlen = fuzz_byte(in) % 5;
    for (size_t i = 0; i < m->header.iovlen; i++) {
        len = fuzz_byte(in);
        vectors[i].iov_base = (void *)(uintptr_t)fuzz_place(in, "", len < 1 ? len : 1);
        vectors[i].iov_len = len < 250 ? len : fuzz_number(in, 8);
    }
    m->header.iov = fuzz_place(in, vectors, m->header.iovlen * sizeof vectors[0]);
    m->header.controllen = fuzz_control_part(in, control, sizeof control);
    m->header.control = fuzz_place(in, control, m->header.controllen);
    uint8_t lies = fuzz_byte(in);
    if (lies & 1)
        m->header.namelen = (int32_t)fuzz_number(in, 4);
    if (lies & 2)
        m->header.iovlen = fuzz_number(in, lies & 64 ? 8 : 2);
    if (lies & 4)
        m->header.controllen += fuzz_number(in, lies & 128 ? 8 : 1);
}

/* ---- calls ---- */

static void fuzz_send(struct request *r, struct fuzz_input *in)
{
    struct kernel_mmsghdr messages[MESSAGES_MAX];
    union address name;

    for (size_t i = 0; i < MESSAGES_MAX && r->call != CALL_SENDTO; i++)
        fuzz_message(in, &messages[i]);
    if (r->call == CALL_SENDTO) {
        size_t len = fuzz_address(in, &name);

        r->args[4] = fuzz_place(in, &name, len < sizeof name ? len : sizeof name);
        r->args[5] = fuzz_byte(in) < 250 ? len : fuzz_number(in, 8);
        r->args[1] = fuzz_place(in, "payload", 7);
        r->args[2] = fuzz_byte(in) < 250 ? 7 : fuzz_number(in, 8);
    } else {
        bool one = r->call == CALL_SENDMSG;

        r->args[1] = fuzz_place(in, messages, one ? sizeof messages[0].header : sizeof messages);
        r->args[2] = one ? 0 : fuzz_byte(in) < 240 ? MESSAGES_MAX : fuzz_number(in, 4);
    }
    struct message_source source = send_source(r);
    int64_t parsed = message_read(&batch, &source, r->kind.domain == AF_UNIX);
    int64_t n = parsed <= 0 ? parsed : decide_batch(r);
    assert(n <= (int64_t)batch.n || parsed <= 0);
    for (int64_t i = 0; i < n; i++) {
        const struct kernel_msghdr *header = &batch.messages[i].header;
        size_t sent = batch.parts[i][0].iov_len + batch.parts[i][1].iov_len;

        assert(header->namelen >= 0 && header->namelen <= ADDRESS_MAX && header->controllen <= MESSAGE_CONTROL_MAX);
        assert(sent == batch.lengths[i] || (is_stream(r->kind) && sent <= MESSAGE_PIECE_MAX));
        fuzz_leads_as_judged(r, &batch.names[i], (size_t)header->namelen, &batch_to[i]);
        fuzz_controls(r, header);
    }
    batch_release();
}

/* What the kernel says that a socket was led to. */
static void fuzz_ask(int (*ask)(int, struct sockaddr *, socklen_t *), int fd, const struct destination *to)
{
    union address got;
    socklen_t len = sizeof got;
    struct ip_addr addr;
    uint16_t port;

    if (ask(fd, &got.any, &len) < 0 || ip_addr_from_sockaddr(&got, &addr, &port) < 0)
        return;
    assert(to->kind == DESTINATION_IP && fuzz_same(addr, to->addr) && (port == to->port || to->port == 0));
}

static void fuzz_connect(struct request *r, struct fuzz_input *in)
{
    static const struct sockaddr none = {.sa_family = AF_UNSPEC};
    size_t len = fuzz_address(in, &r->address);

    r->args[1] = fuzz_place(in, &r->address, len < sizeof r->address ? len : sizeof r->address);
    r->args[2] = fuzz_byte(in) < 250 ? len : fuzz_number(in, 8);
    if (parse_address(r) < 0 || decide(&r->to).verdict == VERDICT_DENY)
        return;
    fuzz_leads_as_judged(r, &r->address, r->address_len, &r->to);
    if (!socket_is(r->kind, IPPROTO_UDP) || connect(r->pin, &r->address.any, r->address_len) < 0)
        return;
    fuzz_ask(getpeername, r->pin, &r->to);
    connect(r->pin, &none, sizeof none);
}

static void fuzz_bind_call(struct request *r, struct fuzz_input *in, size_t which)
{
    size_t len = fuzz_address(in, &r->address);
    int fd CLOSE_FD = -1;

    if (!socket_is_ip((struct socket_kind){.domain = fuzz_sockets[which].domain}))
        return;
    fd = socket(fuzz_sockets[which].domain, fuzz_sockets[which].type | SOCK_CLOEXEC, fuzz_sockets[which].protocol);
    r->pin = fd;
    r->args[1] = fuzz_place(in, &r->address, len < sizeof r->address ? len : sizeof r->address);
    r->args[2] = fuzz_byte(in) < 250 ? len : fuzz_number(in, 8);
    if (fd < 0 || parse_address(r) < 0 || decide_bind(&r->to, false).verdict == VERDICT_DENY)
        return;
    if (r->to.kind == DESTINATION_IP)
        assert(r->to.port == 0 || (r->to.port >= 1024 && r->to.port <= 32767));
    if (bind(fd, &r->address.any, r->address_len) == 0)
        fuzz_ask(getsockname, fd, &r->to);
}

/* The lowest descriptor that is free, once what was left to the closer is closed. */
static int fuzz_lowest_free(void)
{
    int fd;

    while (read(fuzz_closing[0], &fd, sizeof fd) == sizeof fd)
        close(fd);
    if (unix_target.file >= 0)
        close(unix_target.file);
    unix_target.file = -1;
    unix_target_let_go(&unix_target, &unix_own);
    fd = dup(fuzz_closing[0]);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum call calls_tried[] = {CALL_SENDTO,  CALL_SENDMSG, CALL_SENDMMSG,
                                            CALL_CONNECT, CALL_BIND,    CALL_SENDMSG};
    struct fuzz_input in = {data, size};

    fuzz_start();
    size_t which = fuzz_byte(&in) % ARRAY_LEN(fuzz_sockets);
    enum call call = calls_tried[fuzz_byte(&in) % ARRAY_LEN(calls_tried)];
    struct request r = {.tid = getpid(), .call = call, .pin = fuzz_fds[which]};
    int lowest = fuzz_lowest_free();
    fuzz_used = 0;
    if (r.pin < 0 || pin_kind(r.pin, &r.kind) < 0)
        return 0;
    if (r.call == CALL_CONNECT)
        fuzz_connect(&r, &in);
    else if (r.call == CALL_BIND)
        fuzz_bind_call(&r, &in, which);
    else
        fuzz_send(&r, &in);
    assert(fuzz_lowest_free() == lowest); /* no descriptor was left open */
    return 0;
}

#include "replay.h"

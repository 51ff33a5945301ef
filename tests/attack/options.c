/* options - socket options and control messages that send a packet elsewhere (threats rows 12, 13, 14, 41, 46)
 *
 * usage: options route | control | steer | groups. control also sends to port 7403 of ::1, which the policy then
 * permits. That the option was taken is the escape: where its packets go needs a second machine to be seen. */
#include "attack.h"

enum { /* those that libc or old headers lack, include/uapi/linux/in6.h */
    OPT_2292HOPOPTS = 3, OPT_2292DSTOPTS = 4, OPT_2292RTHDR = 5, OPT_2292PKTOPTIONS = 6, OPT_FLOWLABEL_MGR = 32,
    OPT_HOPOPTS = 54, OPT_RTHDRDSTOPTS = 55, OPT_RTHDR = 57, OPT_DSTOPTS = 59, OPT_IPV6_UNICAST_IF = 76,
    OPT_IPV6_TRANSPARENT = 75, OPT_IPV6_FREEBIND = 78,
    OPT_IP_UNICAST_IF = 50, OPT_SO_BINDTOIFINDEX = 62, OPT_JOIN_ANYCAST = 27,
};

/* RFC 8754: a segment routing header, by way of the victim. */
static struct {
    uint8_t next, len, type, left, last, flags;
    uint16_t tag;
    struct in6_addr segments[2];
} segments = {.len = 4, .type = 4, .left = 1, .last = 1};

/* RFC 791: loose source route by way of 127.0.0.2. */
static const uint8_t source_route[8] = {131, 7, 4, 127, 0, 0, 2, 0};

/* RFC 8200: an options header with nothing but padding. */
static const uint8_t padding[8] = {0, 0, 1, 4, 0, 0, 0, 0};

static const int mark = 7;

struct message_buffer {
    _Alignas(struct cmsghdr) char bytes[256];
    size_t len;
};

/* One more control message; `claimed` is its cmsg_len when that isn't the true one. */
static void add_control(struct message_buffer *b, int level, int type, const void *data, size_t len, size_t claimed)
{
    struct cmsghdr header = {.cmsg_len = (socklen_t)(claimed ? claimed : CMSG_LEN(len)), .cmsg_level = level,
                             .cmsg_type = type};

    memcpy(b->bytes + b->len, &header, sizeof header);
    if (len > 0)
        memcpy(b->bytes + b->len + CMSG_LEN(0), data, len);
    b->len += (header.cmsg_len + 7) & ~(size_t)7;
}

static void set(int family, int type, const char *name, int level, int option, const void *value, size_t len)
{
    static const uint64_t garbage = 0x5555555500000000;
    char text[96];
    int s = socket(family, type, 0);

    snprintf(text, sizeof text, "%s on %s%s", name, type == SOCK_STREAM ? "tcp" : "udp", family == AF_INET6 ? "6" : "");
    if (s < 0) {
        answer("%s: socket: %s", text, strerror(errno));
        return;
    }
    long result = setsockopt(s, level, option, value, (socklen_t)len);
    if (result < 0) /* the kernel looks at the low half only */
        result = syscall(__NR_setsockopt, (uint32_t)s | garbage, (uint32_t)level | garbage,
                         (uint32_t)option | garbage, value,
                         len | garbage);
    forbidden(text, result);
    close(s);
}

/* Without a connection, as every kind of socket that may take it. */
static void set_on_all(const char *name, int level, int option, const void *value, size_t len)
{
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        set(AF_INET6, type, name, level, option, value, len);
        if (level != IPPROTO_IPV6)
            set(AF_INET, type, name, level, option, value, len);
    }
}

static void route(void)
{
    static const struct {
        int type;
        const void *data;
        size_t len;
    } carried[] = {{OPT_RTHDR, &segments, sizeof segments}, {OPT_HOPOPTS, padding, sizeof padding}};

    for (size_t i = 0; i < COUNT(carried); i++) { /* options that carry control messages */
        struct message_buffer old = {.len = 0};
        struct {
            uint8_t request[32]; /* struct in6_flowlabel_req: to ::1, GET, EXCL, CREATE */
            struct message_buffer options;
        } label = {.request = {[15] = 1, [21] = 1, [22] = 1}};

        add_control(&old, IPPROTO_IPV6, carried[i].type, carried[i].data, carried[i].len, 0);
        add_control(&label.options, IPPROTO_IPV6, carried[i].type, carried[i].data, carried[i].len, 0);
        set_on_all("IPV6_2292PKTOPTIONS", IPPROTO_IPV6, OPT_2292PKTOPTIONS, old.bytes, old.len);
        set_on_all("IPV6_FLOWLABEL_MGR", IPPROTO_IPV6, OPT_FLOWLABEL_MGR, &label,
                   sizeof label.request + label.options.len);
    }
    set_on_all("IPV6_RTHDR", IPPROTO_IPV6, OPT_RTHDR, &segments, sizeof segments);
    set_on_all("IPV6_HOPOPTS", IPPROTO_IPV6, OPT_HOPOPTS, padding, sizeof padding);
    set_on_all("IPV6_DSTOPTS", IPPROTO_IPV6, OPT_DSTOPTS, padding, sizeof padding);
    set_on_all("IPV6_RTHDRDSTOPTS", IPPROTO_IPV6, OPT_RTHDRDSTOPTS, padding, sizeof padding);
    set_on_all("IPV6_XFRM_POLICY", IPPROTO_IPV6, IPV6_XFRM_POLICY, NULL, 0);
    set_on_all("IP_OPTIONS", IPPROTO_IP, IP_OPTIONS, source_route, sizeof source_route);
    set_on_all("IP_XFRM_POLICY", IPPROTO_IP, IP_XFRM_POLICY, NULL, 0);
}

/* A datagram to a permitted destination, with these control messages. */
static void send_with(const char *name, int family, const struct message_buffer *b)
{
    struct sockaddr_in four = at4(PERMITTED, PORT);
    struct sockaddr_in6 six = at6(VICTIM6, DEAF_PORT), mapped = at6("::ffff:" PERMITTED, PORT);
    void *const to[] = {family == AF_INET ? (void *)&four : (void *)&six, &mapped};
    struct iovec payload = {"control", 7};
    char text[64];

    for (int i = 0; i < (family == AF_INET ? 1 : 2); i++) {
        struct mmsghdr m = {.msg_hdr = {.msg_name = to[i], .msg_iov = &payload,
                                        .msg_control = (void *)(uintptr_t)b->bytes}};
        int s = socket(family, SOCK_DGRAM, 0);

        m.msg_hdr.msg_namelen = family == AF_INET ? sizeof four : sizeof six;
        m.msg_hdr.msg_iovlen = 1;
        m.msg_hdr.msg_controllen = (socklen_t)b->len;
        snprintf(text, sizeof text, "%s to %s", name,
                 family == AF_INET ? PERMITTED : i ? "::ffff:" PERMITTED : VICTIM6);
        forbidden(text, syscall(__NR_sendmsg, s, &m.msg_hdr, 0));
        forbidden(text, syscall(__NR_sendmmsg, s, &m, 1, 0));
        if (connect(s, to[i], m.msg_hdr.msg_namelen) == 0) { /* and without an address */
            m.msg_hdr.msg_name = NULL;
            m.msg_hdr.msg_namelen = 0;
            forbidden(text, syscall(__NR_sendmsg, s, &m.msg_hdr, 0));
        }
        close(s);
    }
}

/* What may be sent must still be, or a refusal of the others would prove nothing. */
static void control_works(void)
{
    struct message_buffer b = {.len = 0};
    struct sockaddr_in to = at4(PERMITTED, PORT);
    struct iovec payload = {"control", 7};
    int s = socket(AF_INET, SOCK_DGRAM, 0), ttl = 64;
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &payload, .msg_iovlen = 1,
                       .msg_control = &b.bytes};

    add_control(&b, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl, 0);
    m.msg_controllen = (socklen_t)b.len;
    if (sendmsg(s, &m, 0) < 0)
        broken("a datagram with IP_TTL: %s", strerror(errno));
    close(s);
}

static void control(void)
{
    static const struct {
        const char *name;
        int family, level, type;
        const void *data;
        size_t len;
    } one[] = {
        {"IP_RETOPTS", AF_INET, IPPROTO_IP, IP_RETOPTS, source_route, sizeof source_route},
        {"IPV6_RTHDR", AF_INET6, IPPROTO_IPV6, OPT_RTHDR, &segments, sizeof segments},
        {"IPV6_2292RTHDR", AF_INET6, IPPROTO_IPV6, OPT_2292RTHDR, &segments, sizeof segments},
        {"IPV6_HOPOPTS", AF_INET6, IPPROTO_IPV6, OPT_HOPOPTS, padding, sizeof padding},
        {"IPV6_2292HOPOPTS", AF_INET6, IPPROTO_IPV6, OPT_2292HOPOPTS, padding, sizeof padding},
        {"IPV6_DSTOPTS", AF_INET6, IPPROTO_IPV6, OPT_DSTOPTS, padding, sizeof padding},
        {"IPV6_2292DSTOPTS", AF_INET6, IPPROTO_IPV6, OPT_2292DSTOPTS, padding, sizeof padding},
        {"IPV6_RTHDRDSTOPTS", AF_INET6, IPPROTO_IPV6, OPT_RTHDRDSTOPTS, padding, sizeof padding},
        {"SO_MARK", AF_INET, SOL_SOCKET, SO_MARK, &mark, sizeof mark},
        {"SO_MARK in v6", AF_INET6, SOL_SOCKET, SO_MARK, &mark, sizeof mark},
    };
    control_works();
    for (size_t i = 0; i < COUNT(one); i++) {
        struct message_buffer b = {.len = 0};

        add_control(&b, one[i].level, one[i].type, one[i].data, one[i].len, 0);
        send_with(one[i].name, one[i].family, &b);
    }
    /* Behind one that the kernel skips whatever its length: what comes next depends on how that is rounded. */
    for (size_t odd = 1; odd <= 8; odd++) {
        struct message_buffer b = {.len = 0};

        add_control(&b, SOL_SOCKET, SCM_RIGHTS, NULL, 0, CMSG_LEN(0) + odd);
        add_control(&b, IPPROTO_IP, IP_RETOPTS, source_route, sizeof source_route, 0);
        send_with("IP_RETOPTS behind an odd one", AF_INET, &b);
    }
}

static void steer(void)
{
    static const struct {
        const char *name;
        int level, option;
    } numbered[] = {
        {"SO_BINDTOIFINDEX", SOL_SOCKET, OPT_SO_BINDTOIFINDEX},
        {"SO_MARK", SOL_SOCKET, SO_MARK},
        {"IP_MULTICAST_IF", IPPROTO_IP, IP_MULTICAST_IF},
        {"IPV6_MULTICAST_IF", IPPROTO_IPV6, IPV6_MULTICAST_IF},
        {"IP_FREEBIND", IPPROTO_IP, IP_FREEBIND},
        {"IPV6_FREEBIND", IPPROTO_IPV6, OPT_IPV6_FREEBIND},
        {"IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT},
        {"IPV6_TRANSPARENT", IPPROTO_IPV6, OPT_IPV6_TRANSPARENT},
    };
    int one = 1, lo = (int)htonl(1);
    struct ip_mreqn group = {.imr_ifindex = 1};
    struct in6_pktinfo sticky = {.ipi6_ifindex = 1};

    for (size_t i = 0; i < COUNT(numbered); i++)
        set_on_all(numbered[i].name, numbered[i].level, numbered[i].option, &one, sizeof one);
    set_on_all("SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
    set_on_all("IP_UNICAST_IF", IPPROTO_IP, OPT_IP_UNICAST_IF, &lo, sizeof lo);
    set_on_all("IPV6_UNICAST_IF", IPPROTO_IPV6, OPT_IPV6_UNICAST_IF, &lo, sizeof lo);
    set_on_all("IP_MULTICAST_IF by index", IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof group);
    set_on_all("IPV6_PKTINFO", IPPROTO_IPV6, IPV6_PKTINFO, &sticky, sizeof sticky);
}

static void groups(void)
{
    struct ip_mreqn member = {.imr_multiaddr = at4("239.255.77.77", 0).sin_addr, .imr_ifindex = 1};
    struct ip_mreq_source from = {.imr_multiaddr = member.imr_multiaddr, .imr_interface = at4(PERMITTED, 0).sin_addr,
                                  .imr_sourceaddr = at4(VICTIM, 0).sin_addr};
    struct ipv6_mreq member6 = {.ipv6mr_multiaddr = at6("ff02::7777", 0).sin6_addr, .ipv6mr_interface = 1};
    struct group_req any = {.gr_interface = 1}, any6 = {.gr_interface = 1};
    struct group_source_req source = {.gsr_interface = 1};
    struct sockaddr_in four = at4("239.255.77.77", 0), sender = at4(VICTIM, 0);
    struct sockaddr_in6 six = at6("ff02::7777", 0);

    memcpy(&any.gr_group, &four, sizeof four);
    memcpy(&any6.gr_group, &six, sizeof six);
    memcpy(&source.gsr_group, &four, sizeof four);
    memcpy(&source.gsr_source, &sender, sizeof sender);
    set_on_all("IP_ADD_MEMBERSHIP", IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof member);
    set_on_all("IP_ADD_SOURCE_MEMBERSHIP", IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &from, sizeof from);
    set_on_all("MCAST_JOIN_GROUP", IPPROTO_IP, MCAST_JOIN_GROUP, &any, sizeof any);
    set_on_all("MCAST_JOIN_SOURCE_GROUP", IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &source, sizeof source);
    set_on_all("IPV6_JOIN_GROUP", IPPROTO_IPV6, IPV6_JOIN_GROUP, &member6, sizeof member6);
    set_on_all("MCAST_JOIN_GROUP v6", IPPROTO_IPV6, MCAST_JOIN_GROUP, &any6, sizeof any6);
    member6.ipv6mr_multiaddr = at6("fd00::7777", 0).sin6_addr; /* on no link of ours, as the kernel says when asked */
    int s = socket(AF_INET6, SOCK_STREAM, 0);
    forbidden_to_ask("IPV6_JOIN_ANYCAST", setsockopt(s, IPPROTO_IPV6, OPT_JOIN_ANYCAST, &member6, sizeof member6));
    close(s);
}

int main(int argc, char **argv)
{
    segments.segments[0] = at6("fd00::1", 0).sin6_addr;
    segments.segments[1] = at6(VICTIM6, 0).sin6_addr;
    if (argc == 2 && strcmp(argv[1], "route") == 0)
        route();
    else if (argc == 2 && strcmp(argv[1], "control") == 0)
        control();
    else if (argc == 2 && strcmp(argv[1], "steer") == 0)
        steer();
    else if (argc == 2 && strcmp(argv[1], "groups") == 0)
        groups();
    else
        broken("usage: options route | control | steer | groups");
    return attack_done();
}

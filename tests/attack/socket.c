/* socket - sockets that the policy doesn't know (threats rows 10, 11, 38)
 *
 * usage: socket kinds | udp | pair. kinds: none of the table may exist; udp: nor one of UDP or ICMP, under a policy
 * without such rules; pair: what the ends of a datagram pair reach. */
#include "attack.h"

enum { ANY_FAMILY_LAST = 46, PACKET_OLD = 10 /* SOCK_PACKET */, HIGH = 1 };

static const struct kind {
    const char *name;
    int family, type, protocol;
} kinds[] = {
    {"MPTCP", AF_INET, SOCK_STREAM, 262},
    {"MPTCP v6", AF_INET6, SOCK_STREAM, 262},
    {"SCTP", AF_INET, SOCK_STREAM, IPPROTO_SCTP},
    {"SCTP seqpacket", AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP},
    {"SCTP v6", AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP},
    {"seqpacket", AF_INET, SOCK_SEQPACKET, 0},
    {"UDP-Lite", AF_INET, SOCK_DGRAM, 136},
    {"UDP-Lite v6", AF_INET6, SOCK_DGRAM, 136},
    {"DCCP", AF_INET, 6, 33},
    {"SMC over TCP", AF_INET, SOCK_STREAM, 256},
    {"SMC v6 over TCP", AF_INET6, SOCK_STREAM, 256},
    {"L2TP", AF_INET, SOCK_DGRAM, 115},
    {"IPPROTO_IP raw", AF_INET, SOCK_RAW, 0},
    {"raw UDP", AF_INET, SOCK_RAW, IPPROTO_UDP},
    {"raw TCP", AF_INET, SOCK_RAW, IPPROTO_TCP},
    {"raw ICMP", AF_INET, SOCK_RAW, IPPROTO_ICMP},
    {"raw", AF_INET, SOCK_RAW, IPPROTO_RAW},
    {"raw v6", AF_INET6, SOCK_RAW, IPPROTO_RAW},
    {"raw UDP v6", AF_INET6, SOCK_RAW, IPPROTO_UDP},
    {"raw ICMP v6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
    {"raw, non-blocking", AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_UDP},
    {"reliably delivered messages", AF_INET, SOCK_RDM, 0},
    {"AF_INET SOCK_PACKET", AF_INET, PACKET_OLD, 0x0300 /* ETH_P_ALL */},
    {"AF_INET SOCK_PACKET, close-on-exec", AF_INET, PACKET_OLD | SOCK_CLOEXEC, 0x0300},
    {"packet raw", AF_PACKET, SOCK_RAW, 0x0300},
    {"packet datagram", AF_PACKET, SOCK_DGRAM, 0x0300},
    {"packet raw, protocol 0", AF_PACKET, SOCK_RAW, 0},
    {"XDP", 44, SOCK_RAW, 0},
    {"vsock stream", AF_VSOCK, SOCK_STREAM, 0},
    {"vsock datagram", AF_VSOCK, SOCK_DGRAM, 0},
    {"TIPC", AF_TIPC, SOCK_RDM, 0},
    {"RDS", AF_RDS, SOCK_SEQPACKET, 0},
    {"ALG", AF_ALG, SOCK_SEQPACKET, 0},
    {"KCM", AF_KCM, SOCK_DGRAM, 0},
    {"key", AF_KEY, SOCK_RAW, 2},
    {"SMC", 43, SOCK_STREAM, 0},
    {"SMC v6", 43, SOCK_STREAM, 1},
    {"Bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
    {"Bluetooth L2CAP", AF_BLUETOOTH, SOCK_SEQPACKET, 0},
    {"CAN", AF_CAN, SOCK_RAW, 1},
    {"PPPoX", AF_PPPOX, SOCK_STREAM, 0},
    {"LLC", AF_LLC, SOCK_DGRAM, 0},
    {"phonet", AF_PHONET, SOCK_DGRAM, 0},
    {"IEEE 802.15.4", AF_IEEE802154, SOCK_DGRAM, 0},
    {"QIPCRTR", 42, SOCK_DGRAM, 0},
    {"NFC", AF_NFC, SOCK_SEQPACKET, 0},
    {"MCTP", 45, SOCK_DGRAM, 0},
    {"netlink XFRM", AF_NETLINK, SOCK_RAW, 6},
    {"netlink AUDIT", AF_NETLINK, SOCK_RAW, 9},
    {"netlink NETFILTER", AF_NETLINK, SOCK_RAW, 12},
    {"netlink CONNECTOR", AF_NETLINK, SOCK_DGRAM, 11},
    {"netlink CRYPTO", AF_NETLINK, SOCK_RAW, 21},
    {"netlink GENERIC", AF_NETLINK, SOCK_RAW, 16},
    {"netlink RDMA", AF_NETLINK, SOCK_RAW, 20},
    {"netlink ISCSI", AF_NETLINK, SOCK_RAW, 8},
    {"netlink SELINUX", AF_NETLINK, SOCK_RAW, 7},
    {"netlink FIB_LOOKUP", AF_NETLINK, SOCK_RAW, 10},
};

static const struct kind datagram_kinds[] = {
    {"UDP", AF_INET, SOCK_DGRAM, 0},
    {"UDP by number", AF_INET, SOCK_DGRAM, IPPROTO_UDP},
    {"UDP v6", AF_INET6, SOCK_DGRAM, 0},
    {"UDP v6, close-on-exec", AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP},
    {"UDP, non-blocking", AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0},
    {"ICMP", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
    {"ICMP v6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
};

/* Also with garbage in the high halves, which the kernel doesn't look at. */
static void try_kinds(const struct kind *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (unsigned high = 0; high <= HIGH; high++) {
            uint64_t garbage = (uint64_t)high << 32;
            long s = syscall(__NR_socket, (uint32_t)table[i].family | garbage, (uint32_t)table[i].type | garbage,
                             (uint32_t)table[i].protocol | garbage);
            int domain = 0;
            socklen_t len = sizeof domain;

            /* A stand-in of another family reaches nothing by itself. */
            if (s >= 0 && getsockopt((int)s, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX)
                answer("%s: a unix socket instead", table[i].name);
            else
                forbidden(table[i].name, s);
            if (s >= 0)
                close((int)s);
        }
}

/* Families that the table doesn't name, and pairs outside AF_UNIX. */
static void try_families(void)
{
    for (int family = 0; family <= ANY_FAMILY_LAST; family++) {
        char name[32];
        int pair[2];

        if (family == AF_UNIX)
            continue;
        snprintf(name, sizeof name, "pair of family %d", family);
        for (int type = SOCK_STREAM; type <= PACKET_OLD; type++) {
            int result = socketpair(family, type, 0, pair);

            if (result == 0)
                escape("%s type %d", name, type);
            snprintf(name, sizeof name, "family %d", family);
            if (family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
                continue; /* the table has them */
            int s = socket(family, type, 0);
            if (s >= 0)
                escape("%s type %d", name, type);
        }
    }
    answer("no other family");
}

/* A named unix datagram socket outside, from a socket that may exist or from one end of a pair. */
static void from_unix(const char *how, int s)
{
    const char *const names[] = {"@" VICTIM_UNIX ".dgram", in_dir("victim.dgram")};

    for (size_t i = 0; i < COUNT(names) && s >= 0; i++) {
        struct sockaddr_un to;
        socklen_t len = at_unix(&to, names[i]);
        struct iovec payload = {(void *)(uintptr_t)how, strlen(how)};
        struct mmsghdr m = {.msg_hdr = {.msg_name = &to, .msg_namelen = len, .msg_iov = &payload}};

        m.msg_hdr.msg_iovlen = 1;
        tried(how, sendto(s, how, strlen(how), MSG_DONTWAIT, (struct sockaddr *)&to, len));
        tried(how, syscall(__NR_sendmsg, s, &m.msg_hdr, MSG_DONTWAIT));
        tried(how, syscall(__NR_sendmmsg, s, &m, 1, MSG_DONTWAIT));
        if (tried(how, connect(s, (struct sockaddr *)&to, len)) == 0)
            tried(how, write(s, how, strlen(how)));
    }
}

static void try_pairs(void)
{
    static const struct kind types[] = {
        {"datagram pair", AF_UNIX, SOCK_DGRAM, 0},
        {"datagram pair, flags", AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0},
        {"raw pair", AF_UNIX, SOCK_RAW, 0},
        {"raw pair, protocol 1", AF_UNIX, SOCK_RAW, 1},
    };
    for (size_t i = 0; i < COUNT(types); i++) {
        int pair[2] = {-1, -1};

        if (socketpair(types[i].family, types[i].type, types[i].protocol, pair) < 0)
            answer("%s: %s", types[i].name, strerror(errno));
        from_unix(types[i].name, pair[0]);
        int s = socket(types[i].family, types[i].type, types[i].protocol);
        if (s < 0)
            answer("a socket like a %s: %s", types[i].name, strerror(errno));
        from_unix("unix socket", s);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "kinds") == 0) {
        try_kinds(kinds, COUNT(kinds));
        try_families();
    } else if (argc == 2 && strcmp(argv[1], "udp") == 0)
        try_kinds(datagram_kinds, COUNT(datagram_kinds));
    else if (argc == 2 && strcmp(argv[1], "pair") == 0)
        try_pairs();
    else
        broken("usage: socket kinds | udp | pair");
    return attack_done();
}

/* probe_words.h - probe's words: numbers and their names, addresses, and the sockets that they mean */
#ifndef PROBE_WORDS_H
#define PROBE_WORDS_H

#define _GNU_SOURCE
#include "native_names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { USAGE_STATUS = 2, TEXT_MAX = 65536, COUNT_MAX = 64 };

static const char usage_text[] =
    "usage: probe socket FAMILY TYPE PROTOCOL           ok\n"
    "       probe socketpair FAMILY TYPE PROTOCOL       ok\n"
    "       probe connect SOCKET ADDRESS                ok\n"
    "       probe sendto SOCKET ADDRESS TEXT [FLAGS]    bytes sent by an unconnected socket\n"
    "       probe sendmsg SOCKET ADDRESS TEXT [FLAGS [LEVEL TYPE HEX]]    the same, with a control message\n"
    "       probe sendmmsg SOCKET ADDRESS TEXT COUNT [FLAGS]              messages sent\n"
    "       probe send SOCKET ADDRESS TEXT [FLAGS]      connect, then send; bytes sent\n"
    "       probe ask SOCKET ADDRESS TEXT               connect, send, print the first answer (5 s: ETIMEDOUT)\n"
    "       probe bind SOCKET ADDRESS                   ok\n"
    "       probe listen SOCKET [ADDRESS]               ok; without ADDRESS the socket is not bound first\n"
    "       probe port SOCKET ADDRESS                   bind, then print the port that getsockname gives\n"
    "       probe serve SOCKET ADDRESS [COUNT]          bind, print \"ready PORT\", answer COUNT peers (1)\n"
    "       probe hold SOCKET ADDRESS CMD [ARG...]      bind, not listen, and become CMD with the socket open\n"
    "       probe setsockopt SOCKET LEVEL OPTION [NUMBER|hex:HEX]    ok; the value is an int, 1 unless given\n"
    "       probe getsockopt SOCKET LEVEL OPTION        the int\n"
    "       probe ioctl SOCKET REQUEST [NUMBER]         ok or the value; NUMBER, else a zeroed 256 byte buffer\n"
    "       probe syscall NR [ARG...]                   the value; ARG is a number or a \"text\" (its address)\n"
    "SOCKET   tcp tcp6 udp udp6 icmp icmp6 unix unix-dgram unix-seqpacket netlink, or FAMILY:TYPE:PROTOCOL\n"
    "ADDRESS  IP PORT; PATH or @NAME for unix; hex:HEX, the raw sockaddr\n"
    "         tcp and udp take the family from the address: an IPv6 one means tcp6, udp6\n"
    "FAMILY, TYPE, PROTOCOL, LEVEL, OPTION, FLAGS, REQUEST are numbers (0x too) or names: inet stream IPPROTO_IP\n";

#define NAME(n) {n, #n}
static const struct name_of constants[] = {
    {AF_UNSPEC, "unspec"}, {AF_INET, "inet"}, {AF_INET6, "inet6"}, {AF_UNIX, "unix"}, {AF_NETLINK, "netlink"},
    {AF_PACKET, "packet"}, {40, "vsock"}, {44, "xdp"}, {38, "alg"}, {SOCK_STREAM, "stream"}, {SOCK_DGRAM, "dgram"},
    {SOCK_RAW, "raw"}, {SOCK_SEQPACKET, "seqpacket"}, {SOCK_DCCP, "dccp"}, {SOCK_PACKET, "sock_packet"},
    {IPPROTO_TCP, "tcp"}, {IPPROTO_UDP, "udp"}, {IPPROTO_ICMP, "icmp"}, {IPPROTO_ICMPV6, "icmp6"},
    {IPPROTO_SCTP, "sctp"}, {136, "udplite"}, {262, "mptcp"}, {256, "smc"},
    NAME(SOL_SOCKET), NAME(IPPROTO_IP), NAME(IPPROTO_IPV6), NAME(IPPROTO_TCP), NAME(IPPROTO_UDP), NAME(IPPROTO_ICMPV6),
    NAME(SO_BINDTODEVICE), NAME(SO_MARK), NAME(SO_PRIORITY), NAME(SO_REUSEADDR), NAME(SO_REUSEPORT), NAME(SO_KEEPALIVE),
    NAME(SO_BROADCAST), NAME(SO_SNDBUF), NAME(SO_RCVBUF), NAME(SO_ERROR), NAME(SO_TYPE), NAME(SO_DOMAIN),
    NAME(SO_PROTOCOL), {60, "SO_ZEROCOPY"}, {62, "SO_BINDTOIFINDEX"}, {26, "SO_ATTACH_FILTER"},
    NAME(IP_OPTIONS), NAME(IP_TTL), NAME(IP_TOS), NAME(IP_UNICAST_IF), NAME(IP_MULTICAST_IF), NAME(IP_ADD_MEMBERSHIP),
    NAME(IP_PKTINFO), NAME(IP_RETOPTS), NAME(IP_TRANSPARENT), NAME(IP_FREEBIND), NAME(MCAST_JOIN_GROUP),
    NAME(IPV6_V6ONLY), NAME(IPV6_RTHDR), NAME(IPV6_HOPOPTS), NAME(IPV6_DSTOPTS), NAME(IPV6_RTHDRDSTOPTS),
    NAME(IPV6_PKTINFO), NAME(IPV6_UNICAST_IF), NAME(IPV6_MULTICAST_IF), NAME(IPV6_JOIN_GROUP), NAME(IPV6_UNICAST_HOPS),
    {32, "IPV6_FLOWLABEL_MGR"}, {1, "IPV6_ADDRFORM"}, {5, "IPV6_2292RTHDR"}, {6, "IPV6_2292PKTOPTIONS"},
    {3, "IPV6_2292HOPOPTS"}, {4, "IPV6_2292DSTOPTS"}, {22, "TCP_REPAIR_QUEUE"}, {19, "TCP_REPAIR"},
    {30, "TCP_FASTOPEN_CONNECT"}, {23, "TCP_FASTOPEN"}, {31, "TCP_ULP"}, NAME(TCP_NODELAY), {103, "UDP_SEGMENT"},
    NAME(MSG_OOB), NAME(MSG_PEEK), NAME(MSG_DONTROUTE), NAME(MSG_DONTWAIT), NAME(MSG_NOSIGNAL), NAME(MSG_MORE),
    NAME(MSG_CONFIRM), NAME(MSG_EOR), {0x4000000, "MSG_ZEROCOPY"}, {0x20000000, "MSG_FASTOPEN"},
    NAME(SCM_RIGHTS), NAME(SCM_CREDENTIALS), NAME(FIONREAD), NAME(FIONBIO), NAME(TIOCSTI), {0x541c, "TIOCLINUX"},
    {0x8912, "SIOCGIFCONF"}, {0x8913, "SIOCGIFFLAGS"}, {0x8914, "SIOCSIFFLAGS"}, {0x8915, "SIOCGIFADDR"},
    {0x8916, "SIOCSIFADDR"}, {0x890b, "SIOCADDRT"}, {0x890c, "SIOCDELRT"}, {0x8955, "SIOCSARP"},
};
#undef NAME

/* What SOCKET says. The "6" kinds are also what tcp, udp and icmp become for an IPv6 address. */
static const struct kind {
    const char *name;
    int family, type, protocol;
} kinds[] = {
    {"tcp", AF_INET, SOCK_STREAM, IPPROTO_TCP},     {"tcp6", AF_INET6, SOCK_STREAM, IPPROTO_TCP},
    {"udp", AF_INET, SOCK_DGRAM, IPPROTO_UDP},      {"udp6", AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
    {"icmp", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},    {"icmp6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
    {"unix", AF_UNIX, SOCK_STREAM, 0},              {"unix-dgram", AF_UNIX, SOCK_DGRAM, 0},
    {"unix-seqpacket", AF_UNIX, SOCK_SEQPACKET, 0}, {"netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
};

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* The words after the command, taken from the front; a missing one ends the program with the usage. */
static char **words;

__attribute__((noreturn)) static void usage(const char *why)
{
    fprintf(stderr, "probe: %s\n%s", why, usage_text);
    exit(USAGE_STATUS);
}

static char *word(const char *what)
{
    if (*words == NULL)
        usage(what);
    return *words++;
}

static long number_of(const char *text)
{
    char *end;

    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (strcmp(constants[i].name, text) == 0)
            return constants[i].value;
    long value = (long)strtoul(text, &end, 0);
    if (*text == '\0' || *end != '\0')
        usage(text);
    return value;
}

static int number(const char *what)
{
    return (int)number_of(word(what));
}

static int number_or(int otherwise)
{
    return *words == NULL ? otherwise : number("a number");
}

/* Hexadecimal digits to bytes; how many. */
static size_t hex_bytes(const char *hex, unsigned char *out, size_t max)
{
    size_t n = strlen(hex) / 2;

    if (strlen(hex) % 2 != 0 || n > max)
        usage("an even number of hexadecimal digits");
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'}, *end;
        out[i] = (unsigned char)strtoul(pair, &end, 16);
        if (*end != '\0')
            usage(hex);
    }
    return n;
}

/* The exit of a call that failed, and the only other way out but done() and usage(). */
__attribute__((noreturn)) static void failed(void)
{
    puts(errno_name(errno));
    exit(0);
}

__attribute__((noreturn)) static void done(long result, bool is_value)
{
    if (result < 0)
        failed();
    if (is_value)
        printf("%ld\n", result);
    else
        puts("ok");
    exit(0);
}

static struct kind kind_named(char *name)
{
    struct kind kind = {name, 0, 0, 0};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i];
    char *family = strtok(name, ":"), *type = strtok(NULL, ":"), *protocol = strtok(NULL, ":");
    if (family == NULL || type == NULL || protocol == NULL)
        usage("what kind of socket?");
    kind.family = (int)number_of(family);
    kind.type = (int)number_of(type);
    kind.protocol = (int)number_of(protocol);
    return kind;
}

static struct address unix_address(const char *path)
{
    struct address address = {.len = 0};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (len >= sizeof un.sun_path)
        usage("a shorter path");
    memcpy(un.sun_path, path, len);
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '@' ? 0 : 1));
    memcpy(&address.storage, &un, sizeof un);
    return address;
}

/* An IP address and its port, two words; %SCOPE is a number. The family is the text's, whatever the socket is. */
static struct address ip_address(char *text)
{
    struct address address = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.storage;
    in_port_t port = htons((uint16_t)number("a port"));
    char *scope = strchr(text, '%');

    if (scope != NULL)
        *scope++ = '\0';
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = port;
        return address;
    }
    if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
        usage("an IP address");
    in6->sin6_family = AF_INET6;
    in6->sin6_port = port;
    in6->sin6_scope_id = scope == NULL ? 0 : (uint32_t)number_of(scope);
    address.len = sizeof *in6;
    return address;
}

static struct address take_address(struct kind kind)
{
    struct address address = {.len = 0};
    char *text = word("an address");

    if (strncmp(text, "hex:", 4) == 0) {
        address.len = (socklen_t)hex_bytes(text + 4, (unsigned char *)&address.storage, sizeof address.storage);
        return address;
    }
    return kind.family == AF_UNIX ? unix_address(text) : ip_address(text);
}

/* The socket, of the address's family when the kind is one of tcp, udp, icmp. */
static int open_socket(struct kind kind, const struct address *address)
{
    bool six = address != NULL && address->storage.ss_family == AF_INET6;

    for (size_t i = 0; six && i + 1 < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].family == AF_INET && strcmp(kinds[i].name, kind.name) == 0) {
            kind = kinds[i + 1];
            break;
        }
    int fd = socket(kind.family, kind.type, kind.protocol);
    if (fd < 0)
        failed();
    return fd;
}

/* SOCKET ADDRESS: most commands begin so. */
static int take_socket(struct address *address)
{
    struct kind kind = kind_named(word("a socket"));

    *address = take_address(kind);
    return open_socket(kind, address);
}

static void connect_or_fail(int fd, const struct address *address)
{
    if (connect(fd, (const struct sockaddr *)&address->storage, address->len) < 0)
        failed();
}

static void bind_or_fail(int fd, const struct address *address)
{
    int one = 1;

    if (address->storage.ss_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
        failed();
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) < 0)
        failed();
}

#endif

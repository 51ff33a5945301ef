/* probe - one socket call made by hand, for the .test files: prints "ok", the value, or the errno's name.
 *
 * Exit status 0 whatever the call answers, 2 when the command line is wrong. The usage text says what there is. */
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

static void do_socket(void)
{
    int family = number("a family"), type = number("a type"), protocol = number("a protocol");

    done(socket(family, type, protocol), false);
}

static void do_socketpair(void)
{
    int family = number("a family"), type = number("a type"), protocol = number("a protocol"), ends[2];

    done(socketpair(family, type, protocol, ends), false);
}

static void do_connect(void)
{
    struct address address;
    int fd = take_socket(&address);

    connect_or_fail(fd, &address);
    done(0, false);
}

static void do_sendto(void)
{
    struct address address;
    int fd = take_socket(&address);
    const char *text = word("a text");

    done(sendto(fd, text, strlen(text), number_or(0), (struct sockaddr *)&address.storage, address.len), true);
}

static void do_send(void)
{
    struct address address;
    int fd = take_socket(&address);
    const char *text = word("a text");

    connect_or_fail(fd, &address);
    done(send(fd, text, strlen(text), number_or(0)), true);
}

static void do_sendmsg(void)
{
    struct address address;
    int fd = take_socket(&address);
    char *text = word("a text");
    _Alignas(struct cmsghdr) unsigned char control[1024] = {0};
    struct iovec iov = {text, strlen(text)};
    struct msghdr message = {
        .msg_name = &address.storage, .msg_namelen = address.len, .msg_iov = &iov, .msg_iovlen = 1};
    int flags = number_or(0);

    if (*words != NULL) {
        struct cmsghdr *head = (struct cmsghdr *)control;
        head->cmsg_level = number("a level");
        head->cmsg_type = number("a type");
        size_t n = hex_bytes(word("the control data"), CMSG_DATA(head), sizeof control - CMSG_LEN(0));
        head->cmsg_len = (socklen_t)CMSG_LEN(n);
        message.msg_control = control;
        message.msg_controllen = (socklen_t)CMSG_SPACE(n);
    }
    done(sendmsg(fd, &message, flags), true);
}

static void do_sendmmsg(void)
{
    struct address address;
    int fd = take_socket(&address);
    char *text = word("a text");
    int count = number("a count");
    struct iovec iov = {text, strlen(text)};
    struct mmsghdr vector[COUNT_MAX];

    if (count < 0 || count > COUNT_MAX)
        usage("at most 64 messages");
    for (int i = 0; i < count; i++)
        vector[i] = (struct mmsghdr){.msg_hdr = {
            .msg_name = &address.storage, .msg_namelen = address.len, .msg_iov = &iov, .msg_iovlen = 1}};
    done(syscall(SYS_sendmmsg, fd, vector, count, number_or(0)), true); /* musl's sendmmsg is a loop of sendmsg */
}

static void do_ask(void)
{
    struct address address;
    int fd = take_socket(&address);
    const char *text = word("a text");
    static char answer[TEXT_MAX];
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    connect_or_fail(fd, &address);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        failed();
    if (poll(&ready, 1, 5000) == 0) {
        errno = ETIMEDOUT;
        failed();
    }
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < 0)
        failed();
    printf("%.*s\n", (int)n, answer);
}

static void do_bind(void)
{
    struct address address;
    int fd = take_socket(&address);

    bind_or_fail(fd, &address);
    done(0, false);
}

static void do_listen(void)
{
    struct kind kind = kind_named(word("a socket"));
    int fd;

    if (*words == NULL) {
        fd = open_socket(kind, NULL);
    } else {
        struct address address = take_address(kind);
        fd = open_socket(kind, &address);
        bind_or_fail(fd, &address);
    }
    done(listen(fd, 16), false);
}

/* The port a bound IP socket has, in host order; 0 for others. */
static int bound_port(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        failed();
    if (name.ss_family != AF_INET && name.ss_family != AF_INET6)
        return 0;
    return ntohs(((struct sockaddr_in *)&name)->sin_port); /* sin6_port stands at the same place */
}

static void do_port(void)
{
    struct address address;
    int fd = take_socket(&address);

    bind_or_fail(fd, &address);
    done(bound_port(fd), true);
}

/* One peer's first piece goes back to it: a connection's, or a datagram. */
static void answer_one(int fd, bool stream)
{
    static char text[TEXT_MAX];
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int from = stream ? accept(fd, NULL, NULL) : fd;

    if (from < 0)
        failed();
    ssize_t n = recvfrom(from, text, sizeof text, 0, (struct sockaddr *)&peer, &len);
    if (n >= 0 && (stream ? send(from, text, (size_t)n, MSG_NOSIGNAL)
                          : sendto(from, text, (size_t)n, 0, (struct sockaddr *)&peer, len)) < 0)
        failed();
    if (stream)
        close(from);
}

static void do_serve(void)
{
    struct address address;
    int fd = take_socket(&address), type = 0;
    socklen_t len = sizeof type;

    bind_or_fail(fd, &address);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || (type != SOCK_DGRAM && listen(fd, 128) < 0))
        failed();
    printf("ready %d\n", bound_port(fd));
    fflush(stdout);
    for (int left = number_or(1); left > 0; left--)
        answer_one(fd, type != SOCK_DGRAM);
}

static void do_hold(void)
{
    struct address address;
    int fd = take_socket(&address), one = 1;

    if (address.storage.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&address.storage, address.len) < 0)
        failed();
    execvp(*words, words);
    failed();
}

static void do_setsockopt(void)
{
    int fd = open_socket(kind_named(word("a socket")), NULL);
    int level = number("a level"), option = number("an option"), value = 1;
    unsigned char bytes[1024];
    size_t len = sizeof value;
    char *text = *words;

    if (text != NULL && strncmp(text, "hex:", 4) == 0) {
        len = hex_bytes(text + 4, bytes, sizeof bytes);
    } else {
        value = number_or(1);
        memcpy(bytes, &value, sizeof value);
    }
    done(setsockopt(fd, level, option, bytes, (socklen_t)len), false);
}

static void do_getsockopt(void)
{
    int fd = open_socket(kind_named(word("a socket")), NULL);
    int level = number("a level"), option = number("an option"), value = 0;
    socklen_t len = sizeof value;

    if (getsockopt(fd, level, option, &value, &len) < 0)
        failed();
    done(value, true);
}

static void do_ioctl(void)
{
    int fd = open_socket(kind_named(word("a socket")), NULL);
    unsigned long request = (unsigned long)number_of(word("a request"));
    static char buffer[256];
    long argument = *words == NULL ? (long)(intptr_t)buffer : number_of(word("a number"));
    long result = syscall(SYS_ioctl, fd, request, argument);

    done(result, result != 0);
}

static void do_syscall(void)
{
    long nr = number_of(word("a number")), argument[6] = {0};

    for (int i = 0; i < 6 && *words != NULL; i++) {
        char *text = word("an argument"), *end;
        argument[i] = (long)strtoul(text, &end, 0);
        if (*text == '\0' || *end != '\0')
            argument[i] = (long)(intptr_t)text;
    }
    done(syscall(nr, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]), true);
}

static const struct command {
    const char *name;
    void (*run)(void);
} commands[] = {
    {"socket", do_socket},         {"socketpair", do_socketpair}, {"connect", do_connect}, {"sendto", do_sendto},
    {"sendmsg", do_sendmsg},       {"sendmmsg", do_sendmmsg},     {"send", do_send},       {"ask", do_ask},
    {"bind", do_bind},             {"listen", do_listen},         {"port", do_port},       {"serve", do_serve},
    {"hold", do_hold},
    {"setsockopt", do_setsockopt}, {"getsockopt", do_getsockopt}, {"ioctl", do_ioctl},     {"syscall", do_syscall},
};

int main(int argc, char **argv)
{
    if (argc < 2)
        usage("what call?");
    words = argv + 2;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, argv[1]) == 0) {
            commands[i].run();
            return 0;
        }
    usage(argv[1]);
}

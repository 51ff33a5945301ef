/* unit test of the filter: what each kind of policy answers to a call, on both machines' numbers */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

#include "simulator.h"

/* An answer, as one letter in the table below. */
static uint32_t answer(char letter)
{
    switch (letter) {
    case 'a':
        return SECCOMP_RET_ALLOW;
    case 'n':
        return SECCOMP_RET_USER_NOTIF;
    case 'p':
        return SECCOMP_RET_ERRNO | EPERM;
    case 's':
        return SECCOMP_RET_ERRNO | ENOSYS;
    case 'o':
        return SECCOMP_RET_ERRNO | EOPNOTSUPP;
    case 'k':
        return SECCOMP_RET_KILL_PROCESS;
    }
    abort();
}

#define HIGH 0xdeadbeef00000000 /* what a caller may leave in the upper half of an int argument */
#define FAR 0x7f0000000000      /* a pointer whose low 32 bits are zero */

enum { CLOEXEC = 02000000, NONBLOCK = 04000, FASTOPEN = 0x20000000 };

#define NUMBER(x86_64, aarch64) {x86_64, aarch64}

/* Call and arguments; the answers without rules, with a TCP, a UDP, an ICMP rule, with a deny rule alone. Families,
 * protocols and options are the kernel's bare numbers, so that a wrong constant in sandlock.c shows. */
static const struct {
    const char *what;
    int numbers[MACHINES];
    uint64_t args[6];
    const char *answers;
} cases[] = {
    {"read", NUMBER(0, 63), {0}, "aaaaa"},
    {"close", NUMBER(3, 57), {0}, "aaaaa"},
    {"recvfrom", NUMBER(45, 207), {3, 1, 1, 0, FAR, FAR}, "aaaaa"},
    {"accept", NUMBER(43, 202), {0}, "aaaaa"},
    {"execve", NUMBER(59, 221), {0}, "aaaaa"},
    {"-1, as a tracer leaves it", NUMBER(-1, -1), {0}, "sssss"},

    {"connect", NUMBER(42, 203), {3, FAR, 16}, "nnnnn"},
    {"connect without an address", NUMBER(42, 203), {0, 0, 0}, "nnnnn"},
    {"bind", NUMBER(49, 200), {3, FAR, 16}, "nnnnn"},
    {"listen", NUMBER(50, 201), {3, 5}, "nnnnn"},

    {"sendto without an address", NUMBER(44, 206), {3, FAR, 9, 0, 0, 0}, "aaaaa"},
    {"its length alone is no address", NUMBER(44, 206), {3, FAR, 9, 0, 0, 16}, "aaaaa"},
    {"sendto with an address", NUMBER(44, 206), {3, FAR, 9, 0, 0x7f0012345678, 16}, "aannn"},
    {"an address at 4 GiB", NUMBER(44, 206), {3, FAR, 9, 0, FAR, 16}, "aannn"},
    {"an address below 4 GiB", NUMBER(44, 206), {3, FAR, 9, 0, 0x12345678, 16}, "aannn"},
    {"an address without a length", NUMBER(44, 206), {3, FAR, 9, 0, FAR, 0}, "aannn"},
    {"sendto MSG_FASTOPEN", NUMBER(44, 206), {3, FAR, 9, FASTOPEN, FAR, 16}, "ooooo"},
    {"MSG_FASTOPEN without an address", NUMBER(44, 206), {3, FAR, 9, FASTOPEN, 0, 0}, "ooooo"},
    {"MSG_FASTOPEN among other flags", NUMBER(44, 206), {3, FAR, 9, HIGH | FASTOPEN | 0x4040, FAR, 16}, "ooooo"},
    {"sendto MSG_NOSIGNAL and garbage", NUMBER(44, 206), {3, FAR, 9, HIGH | 0x4000, 0, 0}, "aaaaa"},
    {"the bit above an int", NUMBER(44, 206), {3, FAR, 9, (uint64_t)FASTOPEN << 32, 0, 0}, "aaaaa"},
    {"sendmsg", NUMBER(46, 211), {3, FAR, 0}, "aannn"},
    {"sendmsg MSG_FASTOPEN", NUMBER(46, 211), {3, FAR, HIGH | FASTOPEN}, "ooooo"},
    {"sendmmsg", NUMBER(307, 269), {3, FAR, 1, 0}, "aannn"},
    {"sendmmsg MSG_FASTOPEN", NUMBER(307, 269), {3, FAR, 1, HIGH | FASTOPEN}, "ooooo"},
    {"sendmmsg's count is no flag", NUMBER(307, 269), {3, FAR, FASTOPEN, 0}, "aannn"},

    {"TCP", NUMBER(41, 198), {2, 1, 0}, "aaaaa"},
    {"TCP by number", NUMBER(41, 198), {2, 1, 6}, "aaaaa"},
    {"TCP over IPv6", NUMBER(41, 198), {10, 1, 6}, "aaaaa"},
    {"TCP, close-on-exec", NUMBER(41, 198), {10, 1 | CLOEXEC, 0}, "aaaaa"},
    {"TCP, both flags and garbage", NUMBER(41, 198), {HIGH | 2, HIGH | 1 | CLOEXEC | NONBLOCK, HIGH | 6}, "aaaaa"},
    {"MPTCP", NUMBER(41, 198), {2, 1, 262}, "nnnnn"},
    {"MPTCP, non-blocking", NUMBER(41, 198), {10, 1 | NONBLOCK, 262}, "nnnnn"},
    {"SCTP", NUMBER(41, 198), {2, 1, 132}, "nnnnn"},
    {"SCTP, seqpacket", NUMBER(41, 198), {2, 5, 132}, "nnnnn"},
    {"SMC over IP", NUMBER(41, 198), {2, 1, 256}, "nnnnn"},
    {"a stream of UDP", NUMBER(41, 198), {2, 1, 17}, "nnnnn"},
    {"an unknown type bit", NUMBER(41, 198), {2, 1 | 0x10, 0}, "nnnnn"},
    {"an unknown flag", NUMBER(41, 198), {2, 1 | 0x100000, 0}, "nnnnn"},
    {"type 0", NUMBER(41, 198), {2, 0, 0}, "nnnnn"},
    {"UDP", NUMBER(41, 198), {2, 2, 0}, "nnana"},
    {"UDP by number", NUMBER(41, 198), {2, 2 | CLOEXEC | NONBLOCK, 17}, "nnana"},
    {"UDP over IPv6", NUMBER(41, 198), {10, HIGH | 2 | CLOEXEC, HIGH | 17}, "nnana"},
    {"UDP-Lite", NUMBER(41, 198), {2, 2, 136}, "nnnnn"},
    {"L2TP", NUMBER(41, 198), {2, 2, 115}, "nnnnn"},
    {"DCCP", NUMBER(41, 198), {2, 6, 33}, "nnnnn"},
    {"ping", NUMBER(41, 198), {2, 2, 1}, "nnnaa"},
    {"ping over IPv6", NUMBER(41, 198), {10, 2 | CLOEXEC, 58}, "nnnaa"},
    {"ICMPv6 over IPv4", NUMBER(41, 198), {2, 2, 58}, "nnnnn"},
    {"ICMP over IPv6", NUMBER(41, 198), {10, 2, 1}, "nnnnn"},
    {"raw", NUMBER(41, 198), {2, 3, 255}, "nnnnn"},
    {"raw ICMP", NUMBER(41, 198), {2, 3 | CLOEXEC, 1}, "nnnnn"},
    {"raw, protocol 0", NUMBER(41, 198), {10, 3, 0}, "nnnnn"},
    {"SOCK_PACKET", NUMBER(41, 198), {2, 10, 0x300}, "nnnnn"},
    {"RDM", NUMBER(41, 198), {2, 4, 0}, "nnnnn"},
    {"unix stream", NUMBER(41, 198), {1, 1 | CLOEXEC, 0}, "aaaaa"},
    {"unix stream, protocol 1", NUMBER(41, 198), {1, 1, 1}, "aaaaa"},
    {"unix stream, protocol 2", NUMBER(41, 198), {1, 1, 2}, "nnnnn"},
    {"unix seqpacket", NUMBER(41, 198), {1, 5, 0}, "aaaaa"},
    {"unix datagram", NUMBER(41, 198), {1, 2 | CLOEXEC, 0}, "nnaaa"},
    {"unix raw is a datagram socket", NUMBER(41, 198), {1, 3 | NONBLOCK, 0}, "nnaaa"},
    {"unix, other type", NUMBER(41, 198), {1, 4, 0}, "nnnnn"},
    {"netlink route", NUMBER(41, 198), {16, 3 | CLOEXEC, 0}, "aaaaa"},
    {"netlink route, datagram", NUMBER(41, 198), {16, 2, 0}, "aaaaa"},
    {"netlink sock_diag", NUMBER(41, 198), {16, 3, 4}, "aaaaa"},
    {"netlink kobject_uevent", NUMBER(41, 198), {16, 3, 15}, "aaaaa"},
    {"netlink xfrm", NUMBER(41, 198), {16, 3, 6}, "nnnnn"},
    {"netlink audit", NUMBER(41, 198), {16, 3, 9}, "nnnnn"},
    {"netlink netfilter", NUMBER(41, 198), {16, 3, 12}, "nnnnn"},
    {"netlink generic", NUMBER(41, 198), {16, 3, 16}, "nnnnn"},
    {"AF_UNSPEC", NUMBER(41, 198), {0, 1, 0}, "nnnnn"},
    {"AF_AX25", NUMBER(41, 198), {3, 1, 0}, "nnnnn"},
    {"AF_X25", NUMBER(41, 198), {9, 5, 0}, "nnnnn"},
    {"AF_KEY", NUMBER(41, 198), {15, 3, 2}, "nnnnn"},
    {"AF_PACKET", NUMBER(41, 198), {17, 3, 0x300}, "nnnnn"},
    {"AF_RDS", NUMBER(41, 198), {21, 5, 0}, "nnnnn"},
    {"AF_PPPOX", NUMBER(41, 198), {24, 1, 0}, "nnnnn"},
    {"AF_CAN", NUMBER(41, 198), {29, 3, 1}, "nnnnn"},
    {"AF_TIPC", NUMBER(41, 198), {30, 1, 0}, "nnnnn"},
    {"AF_BLUETOOTH", NUMBER(41, 198), {31, 3, 1}, "nnnnn"},
    {"AF_ALG", NUMBER(41, 198), {38, 5, 0}, "nnnnn"},
    {"AF_VSOCK", NUMBER(41, 198), {40, 1, 0}, "nnnnn"},
    {"AF_KCM", NUMBER(41, 198), {41, 2, 0}, "nnnnn"},
    {"AF_QIPCRTR", NUMBER(41, 198), {42, 2, 0}, "nnnnn"},
    {"AF_SMC", NUMBER(41, 198), {43, 1, 0}, "nnnnn"},
    {"AF_XDP", NUMBER(41, 198), {44, 3, 0}, "nnnnn"},
    {"AF_MCTP", NUMBER(41, 198), {45, 2, 0}, "nnnnn"},
    {"a negative family", NUMBER(41, 198), {UINT64_MAX, 1, 0}, "nnnnn"},

    {"pair of unix streams", NUMBER(53, 199), {1, 1 | CLOEXEC, 0, FAR}, "aaaaa"},
    {"pair of unix seqpackets", NUMBER(53, 199), {1, 5, 0, FAR}, "aaaaa"},
    {"pair of unix datagrams", NUMBER(53, 199), {1, 2, 0, FAR}, "nnaaa"},
    {"pair of unix raws", NUMBER(53, 199), {1, 3 | CLOEXEC, 0, FAR}, "nnaaa"},
    {"pair of TCP sockets", NUMBER(53, 199), {2, 1, 0, FAR}, "nnnnn"},
    {"pair of TIPC sockets", NUMBER(53, 199), {30, 1, 0, FAR}, "nnnnn"},

    {"IPV6_2292PKTOPTIONS", NUMBER(54, 208), {3, 41, 6}, "nnnnn"},
    {"IPV6_2292HOPOPTS", NUMBER(54, 208), {3, 41, 3}, "nnnnn"},
    {"IPV6_2292DSTOPTS", NUMBER(54, 208), {3, 41, 4}, "nnnnn"},
    {"IPV6_2292RTHDR", NUMBER(54, 208), {3, 41, 5}, "nnnnn"},
    {"IPV6_FLOWLABEL_MGR", NUMBER(54, 208), {3, 41, 32}, "nnnnn"},
    {"IPV6_XFRM_POLICY", NUMBER(54, 208), {3, 41, 35}, "nnnnn"},
    {"IPV6_HOPOPTS", NUMBER(54, 208), {3, 41, 54}, "nnnnn"},
    {"IPV6_RTHDRDSTOPTS", NUMBER(54, 208), {3, 41, 55}, "nnnnn"},
    {"IPV6_RTHDR", NUMBER(54, 208), {3, 41, 57}, "nnnnn"},
    {"IPV6_RTHDR with garbage", NUMBER(54, 208), {3, HIGH | 41, HIGH | 57}, "nnnnn"},
    {"IPV6_DSTOPTS", NUMBER(54, 208), {3, 41, 59}, "nnnnn"},
    {"IP_OPTIONS", NUMBER(54, 208), {3, HIGH | 0, 4}, "nnnnn"},
    {"IP_XFRM_POLICY", NUMBER(54, 208), {3, 0, 17}, "nnnnn"},
    {"TCP_REPAIR", NUMBER(54, 208), {3, 6, 19}, "nnnnn"},
    {"SO_ZEROCOPY", NUMBER(54, 208), {3, 1, 60}, "aaooo"},
    {"SO_MARK", NUMBER(54, 208), {3, 1, 36}, "nnnnn"},
    {"TCP_FASTOPEN_CONNECT", NUMBER(54, 208), {3, 6, 30}, "ooooo"},
    {"SO_BINDTODEVICE", NUMBER(54, 208), {3, HIGH | 1, HIGH | 25}, "nnnnn"},
    {"SO_BINDTOIFINDEX", NUMBER(54, 208), {3, 1, 62}, "nnnnn"},
    {"IP_UNICAST_IF", NUMBER(54, 208), {3, 0, 50}, "nnnnn"},
    {"IP_MULTICAST_IF", NUMBER(54, 208), {3, 0, 32}, "nnnnn"},
    {"IPV6_UNICAST_IF", NUMBER(54, 208), {3, 41, 76}, "nnnnn"},
    {"IPV6_MULTICAST_IF", NUMBER(54, 208), {3, 41, 17}, "nnnnn"},
    {"IPV6_PKTINFO", NUMBER(54, 208), {3, 41, 50}, "nnnnn"},
    {"IPV6_RECVPKTINFO", NUMBER(54, 208), {3, 41, 49}, "aaaaa"},
    {"IP_PKTINFO", NUMBER(54, 208), {3, 0, 8}, "aaaaa"},
    {"IP_ADD_MEMBERSHIP", NUMBER(54, 208), {3, 0, 35}, "nnnnn"},
    {"IP_ADD_SOURCE_MEMBERSHIP", NUMBER(54, 208), {3, 0, 39}, "nnnnn"},
    {"MCAST_JOIN_GROUP", NUMBER(54, 208), {3, 0, 42}, "nnnnn"},
    {"MCAST_JOIN_SOURCE_GROUP", NUMBER(54, 208), {3, 0, 46}, "nnnnn"},
    {"IPV6_JOIN_GROUP", NUMBER(54, 208), {3, HIGH | 41, HIGH | 20}, "nnnnn"},
    {"MCAST_JOIN_GROUP, IPv6", NUMBER(54, 208), {3, 41, 42}, "nnnnn"},
    {"MCAST_JOIN_SOURCE_GROUP, IPv6", NUMBER(54, 208), {3, 41, 46}, "nnnnn"},
    {"IP_MSFILTER", NUMBER(54, 208), {3, 0, 41}, "nnnnn"},
    {"MCAST_MSFILTER", NUMBER(54, 208), {3, 0, 48}, "nnnnn"},
    {"MCAST_MSFILTER, IPv6", NUMBER(54, 208), {3, 41, 48}, "nnnnn"},
    {"IPV6_JOIN_ANYCAST", NUMBER(54, 208), {3, 41, 27}, "nnnnn"},
    {"IP_DROP_MEMBERSHIP", NUMBER(54, 208), {3, 0, 36}, "aaaaa"},
    {"IPV6_V6ONLY", NUMBER(54, 208), {3, 41, 26}, "aaaaa"},
    {"IPV6_RECVRTHDR", NUMBER(54, 208), {3, 41, 56}, "aaaaa"},
    {"IP_TOS", NUMBER(54, 208), {3, 0, 1}, "aaaaa"},
    {"TCP_NODELAY", NUMBER(54, 208), {3, 6, 1}, "aaaaa"},
    {"SO_REUSEADDR", NUMBER(54, 208), {3, 1, 2}, "aanan"},
    {"SO_REUSEPORT", NUMBER(54, 208), {3, HIGH | 1, HIGH | 15}, "aanan"},
    {"to ask for SO_REUSEADDR", NUMBER(55, 209), {3, 1, 2}, "aanan"},
    {"to ask for SO_REUSEPORT", NUMBER(55, 209), {3, 1, 15}, "aanan"},
    {"to ask for SO_ERROR", NUMBER(55, 209), {3, 1, 4}, "aaaaa"},
    {"the number of IPV6_RTHDR elsewhere", NUMBER(54, 208), {3, 1, 57}, "aaaaa"},

    {"io_uring_setup", NUMBER(425, 425), {8, FAR}, "sssss"},
    {"io_uring_enter", NUMBER(426, 426), {0}, "sssss"},
    {"io_uring_register", NUMBER(427, 427), {0}, "sssss"},
    {"userfaultfd", NUMBER(323, 282), {0}, "ppppp"},
    {"USERFAULTFD_IOC_NEW", NUMBER(16, 29), {3, HIGH | 0xaa00, 0}, "ppppp"},
    {"FIONBIO", NUMBER(16, 29), {3, 0x5421, FAR}, "aaaaa"},
    {"clone3", NUMBER(435, 435), {FAR, 88}, "sssss"},
    {"fork", NUMBER(56, 220), {17}, "aaaaa"},
    {"vfork", NUMBER(56, 220), {0x4111}, "aaaaa"},
    {"a thread", NUMBER(56, 220), {0x3d0f00}, "aaaaa"},
    {"a process sharing descriptors", NUMBER(56, 220), {0x400 | 17}, "ppppp"},
    {"the same with garbage", NUMBER(56, 220), {HIGH | 0x400 | 17}, "ppppp"},
    {"unshare the working directory", NUMBER(272, 97), {0x200}, "aaaaa"},
    {"close_range", NUMBER(436, 436), {3, UINT64_MAX, 0}, "aaaaa"},
    {"close_range, close-on-exec", NUMBER(436, 436), {3, UINT64_MAX, 4}, "aaaaa"},
};

/* What splits a descriptor table: refused only where the kernel can't read a thread's own. The first letter is the
 * answer where it can. */
static const struct {
    const char *what;
    int numbers[MACHINES];
    uint64_t args[6];
    const char *answers;
} splits[] = {
    {"a thread without CLONE_FILES", NUMBER(56, 220), {HIGH | 0x10900}, "ap"},
    {"a thread", NUMBER(56, 220), {0x3d0f00}, "aa"},
    {"fork", NUMBER(56, 220), {17}, "aa"},
    {"a process sharing descriptors", NUMBER(56, 220), {0x400 | 17}, "pp"},
    {"unshare the table", NUMBER(272, 97), {HIGH | 0x400}, "ap"},
    {"unshare both", NUMBER(272, 97), {0x600}, "ap"},
    {"unshare the working directory", NUMBER(272, 97), {0x200}, "aa"},
    {"close_range of an own table", NUMBER(436, 436), {3, UINT64_MAX, HIGH | 2}, "ap"},
    {"with close-on-exec", NUMBER(436, 436), {3, UINT64_MAX, 6}, "ap"},
    {"close_range", NUMBER(436, 436), {3, UINT64_MAX, 4}, "aa"},
};

static struct seccomp_data call_on(enum machine machine, const int numbers[MACHINES], const uint64_t args[6])
{
    struct seccomp_data data = {.nr = numbers[machine], .arch = arches[machine]};

    memcpy(data.args, args, sizeof data.args);
    return data;
}

/* One promise of a filter; says which filter when it does not hold. */
static void expect_answer(const struct bpf_program *program, const struct seccomp_data *data, char letter,
                          const char *what, enum kind kind)
{
    bool holds = run(program, data) == answer(letter);

    if (!holds)
        printf("under %s, arch %x, call %d, expected '%c':\n", kind_names[kind], data->arch, data->nr, letter);
    unit_expect(holds, what, __FILE__, __LINE__);
}

static void test_cases(enum kind kind, enum machine machine)
{
    struct bpf_program program;

    use_policy(kind);
    EXPECT(traps_assemble(&program, machine, false) == 0);
    EXPECT(acceptable(&program));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct seccomp_data data = call_on(machine, cases[i].numbers, cases[i].args);

        expect_answer(&program, &data, cases[i].answers[kind], cases[i].what, kind);
    }
}

static void test_splits(enum machine machine)
{
    struct bpf_program program;

    use_policy(KIND_TCP);
    for (unsigned leaders_table = 0; leaders_table < 2; leaders_table++) {
        EXPECT(traps_assemble(&program, machine, leaders_table) == 0);
        EXPECT(acceptable(&program));
        for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
            struct seccomp_data data = call_on(machine, splits[i].numbers, splits[i].args);

            expect_answer(&program, &data, splits[i].answers[leaders_table], splits[i].what, KIND_TCP);
        }
    }
}

/* Opens that could read /etc/hosts are looked at where a policy has names, those as pam_loginuid's where /proc is
 * closed to root, and only those. */
static const struct {
    const char *what;
    int numbers[MACHINES];
    uint64_t args[6];
    const char *answers; /* without names, with one, with /proc closed */
} opens[] = {
    {"open to read", NUMBER(2, -1), {FAR, 0}, "ana"},
    {"open to read, close-on-exec", NUMBER(2, -1), {FAR, HIGH | CLOEXEC}, "ana"},
    {"open to write", NUMBER(2, -1), {FAR, 1}, "aaa"},
    {"openat to read", NUMBER(257, 56), {HIGH, FAR, 0}, "ana"},
    {"openat to read, flags and garbage", NUMBER(257, 56), {HIGH, FAR, HIGH | CLOEXEC | NONBLOCK}, "ana"},
    {"openat to write", NUMBER(257, 56), {HIGH, FAR, 1}, "aaa"},
    {"openat to read and write", NUMBER(257, 56), {HIGH, FAR, 2}, "aaa"},
    {"openat to read and write, no link", NUMBER(257, 56), {HIGH, FAR, HIGH | CLOEXEC | O_NOFOLLOW | O_RDWR}, "aan"},
    {"openat to create, no link", NUMBER(257, 56), {HIGH, FAR, O_NOFOLLOW | O_RDWR | O_CREAT}, "aaa"},
    {"open to read and write, no link", NUMBER(2, -1), {FAR, O_NOFOLLOW | O_RDWR}, "aan"},
    {"openat to create", NUMBER(257, 56), {HIGH, FAR, 0100}, "aaa"},
    {"openat O_PATH", NUMBER(257, 56), {HIGH, FAR, 010000000}, "aaa"},
    {"openat2", NUMBER(437, 437), {HIGH, FAR, FAR, 24}, "ana"},
};

static void test_opens(enum machine machine)
{
    struct bpf_program program;

    for (unsigned column = 0; column < 3; column++) {
        use_policy(KIND_TCP);
        policy.n_names = column == 1;
        settings.closes_knobs = column == 2;
        EXPECT(traps_assemble(&program, machine, false) == 0);
        EXPECT(acceptable(&program));
        for (size_t i = 0; i < ARRAY_LEN(opens); i++) {
            struct seccomp_data data = call_on(machine, opens[i].numbers, opens[i].args);

            if (opens[i].numbers[machine] >= 0)
                expect_answer(&program, &data, opens[i].answers[column], opens[i].what, KIND_TCP);
        }
    }
    settings.closes_knobs = false;
}

/* With --allow-steering a program chooses its interface; what chooses the way stays refused. */
static void test_steering(enum machine machine)
{
    static const struct {
        const char *what;
        uint64_t level, option;
        char answer;
    } rows[] = {
        {"SO_BINDTODEVICE", 1, 25, 'a'},    {"SO_BINDTOIFINDEX", 1, 62, 'a'},   {"IP_UNICAST_IF", 0, 50, 'a'},
        {"IP_MULTICAST_IF", 0, 32, 'a'},    {"IPV6_UNICAST_IF", 41, 76, 'a'},   {"IPV6_MULTICAST_IF", 41, 17, 'a'},
        {"IPV6_PKTINFO", 41, 50, 'a'},      {"IPV6_RTHDR", 41, 57, 'n'},        {"SO_MARK", 1, 36, 'n'},
        {"IP_OPTIONS", 0, 4, 'n'},
    };
    static const int setsockopt_numbers[MACHINES] = NUMBER(54, 208);
    struct bpf_program program;

    use_policy(KIND_UDP);
    settings.allow_steering = true;
    EXPECT(traps_assemble(&program, machine, false) == 0);
    settings.allow_steering = false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t args[6] = {3, rows[i].level, rows[i].option};
        struct seccomp_data data = call_on(machine, setsockopt_numbers, args);

        expect_answer(&program, &data, rows[i].answer, rows[i].what, KIND_UDP);
    }
}

/* Where Landlock doesn't hold signals back, nobody is sent one by a descriptor. */
static void test_unscoped(enum machine machine)
{
    static const int fcntl_numbers[MACHINES] = NUMBER(72, 25), ioctl_numbers[MACHINES] = NUMBER(16, 29);
    static const struct {
        const char *what;
        const int *numbers;
        uint64_t request, value;
        char answer;
    } rows[] = {
        {"F_SETOWN", fcntl_numbers, 8, 1, 'p'},         {"F_SETOWN_EX", fcntl_numbers, 15, FAR, 'p'},
        {"FIOSETOWN", ioctl_numbers, 0x8901, FAR, 'p'}, {"SIOCSPGRP", ioctl_numbers, 0x8902, FAR, 'p'},
        {"O_ASYNC", fcntl_numbers, 4, 020002, 'p'},     {"O_NONBLOCK", fcntl_numbers, 4, 04002, 'a'},
        {"FIOASYNC", ioctl_numbers, 0x5452, FAR, 'p'},  {"FIONBIO", ioctl_numbers, 0x5421, FAR, 'a'},
    };
    struct bpf_program program;

    use_policy(KIND_TCP);
    settings.unowned = true;
    EXPECT(traps_assemble(&program, machine, false) == 0);
    settings.unowned = false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t args[6] = {3, rows[i].request, rows[i].value};
        struct seccomp_data data = call_on(machine, rows[i].numbers, args);

        expect_answer(&program, &data, rows[i].answer, rows[i].what, KIND_TCP);
    }
}

/* Where Landlock has rules for TCP, the command's own rulesets are looked at. */
static void test_landlocked(enum machine machine)
{
    static const int numbers[MACHINES] = NUMBER(444, 444);
    struct bpf_program program;

    for (int landlocked = 0; landlocked <= 1; landlocked++) {
        uint64_t args[6] = {FAR, 24, 0};
        struct seccomp_data data = call_on(machine, numbers, args);

        use_policy(KIND_TCP);
        settings.landlocked = landlocked;
        EXPECT(traps_assemble(&program, machine, false) == 0);
        expect_answer(&program, &data, landlocked ? 'n' : 'a', "landlock_create_ruleset", KIND_TCP);
    }
    settings.landlocked = false;
}

/* Every other ABI's calls end the process, whatever they are; a number that is none of ours but -1 does too. */
static void test_foreign(enum kind kind, enum machine machine)
{
    static const uint32_t foreign[] = {
        0x40000003 /* i386 */, 0x40000028 /* arm */, 0x28 /* arm, big endian */, 0xb7 /* aarch64 without its marks */,
        0x3e, 0x8000003e, 0xc00000f3 /* riscv64 */, 0, UINT32_MAX,
    };
    static const int foreign_calls[] = {
        0, 3, 11, 42, 54, 102 /* i386's socketcall */, 203, 362, 425, -1, BPF_X32_BIT | 42,
    };
    struct bpf_program program;

    use_policy(kind);
    EXPECT(traps_assemble(&program, machine, false) == 0);
    for (size_t k = 0; k < ARRAY_LEN(foreign_calls); k++) {
        for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
            struct seccomp_data data = {.nr = foreign_calls[k], .arch = foreign[i]};

            expect_answer(&program, &data, 'k', "a foreign ABI", kind);
        }
        struct seccomp_data data = {.nr = foreign_calls[k], .arch = arches[1 - machine]};
        expect_answer(&program, &data, 'k', "the other machine", kind);
    }
    for (int number = 0; number < 600; number++) {
        struct seccomp_data data = {.nr = BPF_X32_BIT | number, .arch = arches[machine]};

        expect_answer(&program, &data, 'k', "an x32 call", kind);
    }
    struct seccomp_data data = {.nr = INT32_MIN, .arch = arches[machine]};
    expect_answer(&program, &data, 'k', "a negative number", kind);
    data.nr = -2;
    expect_answer(&program, &data, 'k', "a negative number", kind);
    data.nr = BPF_X32_BIT - 1;
    expect_answer(&program, &data, 'a', "an unknown number", kind);
}

int main(void)
{
    for (unsigned machine = 0; machine < MACHINES; machine++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            test_cases((enum kind)kind, (enum machine)machine);
            test_foreign((enum kind)kind, (enum machine)machine);
        }
        test_splits((enum machine)machine);
        test_opens((enum machine)machine);
        test_steering((enum machine)machine);
        test_unscoped((enum machine)machine);
        test_landlocked((enum machine)machine);
    }
    return unit_done();
}

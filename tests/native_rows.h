/* native_rows.h - the list of the rows with a story of their own */
#ifndef NATIVE_ROWS_H
#define NATIVE_ROWS_H

#include "native_connect.h"
#include "native_dgram.h"
#include "native_share.h"
#include "native_stream.h"
#include "native_unix.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/resource.h>

/* ---- what is refused on purpose, so that the list of limits names it ---- */

static void option_zerocopy(void)
{
    int one = 1;

    out_result(RAW(SYS_setsockopt, kind_open(&tcp4), SOL_SOCKET, 60, &one, sizeof one));
}

static void large_datagram(void)
{
    static const char bytes[600000];
    int ends[2], room = 1 << 20;

    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    MUST(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room)); /* up to net.core.wmem_max */
    struct iovec vector = {(void *)bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    out_result(RAW(SYS_sendmsg, ends[0], &message, 0));
}

static void flag_fastopen(void)
{
    struct fixture f = fresh(&tcp4);

    step_sendto(f.fd, payload, PAYLOAD_LEN, 0x20000000, f.to);
}

/* ---- what isn't there natively either ---- */

/* Calls of socket or socketpair that no policy has a say in: all of IP's that make nothing for a user, and what is no
 * family, type or protocol at all. */
static void odd_sockets(long number)
{
    static const int families[] = {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, 1000, -1},
                     types[] = {0, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, 11, 75},
                     protocols[] = {0, AF_UNIX, IPPROTO_TCP, IPPROTO_UDP, 300, -1};

    for (size_t f = 0; f < COUNT(families); f++)
        for (size_t t = 0; t < COUNT(types); t++)
            for (size_t p = 0; p < COUNT(protocols); p++) {
                bool ip = families[f] == AF_INET || families[f] == AF_INET6;
                bool roots = ip && types[t] == SOCK_RAW && protocols[p] > 0; /* outside */
                bool datagram = types[t] == SOCK_DGRAM || (types[t] == SOCK_RAW && !ip); /* not under every policy */
                bool sctp = types[t] == SOCK_SEQPACKET && ip; /* where there is its module */
                int ends[2] = {-1, -1};

                if (roots || datagram || sctp)
                    continue;
                long result = RAW(number, families[f], types[t], protocols[p], ends);
                out_result(result < 0 ? result : 0);
                if (result >= 0) {
                    close(number == SYS_socket ? (int)result : ends[0]);
                    close(ends[1]);
                }
            }
}

static void kinds_of_socket(void)
{
    odd_sockets(SYS_socket);
}

static void kinds_of_pair(void)
{
    odd_sockets(SYS_socketpair);
}

static void processes_of_nobody(void)
{
    static const int pids[] = {INT_MAX, -1, INT_MIN};
    struct sched_param parameters = {0};
    uint64_t cpus = 1, attributes[7] = {sizeof attributes}, limit[2] = {1, 1};

    for (size_t i = 0; i < COUNT(pids); i++) {
        out_result(RAW(SYS_sched_setaffinity, pids[i], sizeof cpus, &cpus));
        out_result(RAW(SYS_sched_setscheduler, pids[i], SCHED_OTHER, &parameters));
        out_result(RAW(SYS_sched_setparam, pids[i], &parameters));
        out_result(RAW(SYS_sched_setattr, pids[i], attributes, 0));
        out_result(RAW(SYS_setpriority, PRIO_PROCESS, pids[i], 1));
        out_result(RAW(SYS_ioprio_set, 1, pids[i], 2 << 13 | 7));
        out_result(RAW(SYS_prlimit64, pids[i], RLIMIT_CORE, limit, NULL));
    }
    out_result(RAW(SYS_setpriority, 7, 0, 1));
    out_result(RAW(SYS_ioprio_set, 7, 0, 2 << 13 | 7));
}

/* Options that are refused, on what has none such. */
static void options_elsewhere(void)
{
    static const int options[][2] = {
        {IPPROTO_IP, IP_OPTIONS},       {IPPROTO_IP, IP_MULTICAST_IF},         {IPPROTO_IP, IP_FREEBIND},
        {IPPROTO_IPV6, IPV6_RTHDR},     {IPPROTO_IPV6, IPV6_MULTICAST_IF},     {IPPROTO_IPV6, IPV6_PKTINFO},
        {SOL_SOCKET, SO_BINDTODEVICE},  {SOL_SOCKET, SO_MARK},                 {IPPROTO_TCP, TCP_REPAIR},
    };
    int one = 1, file = open("/dev/null", O_RDWR | O_CLOEXEC), unix_one = kind_open(&unix_stream);
    int inet = kind_open(&tcp4), route = kind_open(&netlink);

    MUST(file);
    for (size_t i = 0; i < COUNT(options); i++) {
        bool ours = options[i][0] == SOL_SOCKET || options[i][0] == IPPROTO_TCP;

        out_result(RAW(SYS_setsockopt, -1, options[i][0], options[i][1], &one, sizeof one));
        out_result(RAW(SYS_setsockopt, file, options[i][0], options[i][1], &one, sizeof one));
        if (options[i][0] == IPPROTO_IPV6)
            out_result(RAW(SYS_setsockopt, inet, options[i][0], options[i][1], &one, sizeof one));
        if (ours)
            continue;
        out_result(RAW(SYS_setsockopt, unix_one, options[i][0], options[i][1], &one, sizeof one));
        out_result(RAW(SYS_setsockopt, route, options[i][0], options[i][1], &one, sizeof one));
    }
}

/* No interface, no address, no foreign source: what is so already. */
static void options_back(const struct kind *kind)
{
    enum { UNICAST_IF4 = 50, UNICAST_IF6 = 76, FREEBIND6 = 78 };
    static const int options[][2] = {
        {IPPROTO_IP, IP_MULTICAST_IF},     {IPPROTO_IP, UNICAST_IF4},     {IPPROTO_IP, IP_FREEBIND},
        {IPPROTO_IPV6, IPV6_MULTICAST_IF}, {IPPROTO_IPV6, UNICAST_IF6},   {IPPROTO_IPV6, FREEBIND6},
        {IPPROTO_IPV6, IPV6_PKTINFO},
    };
    static const int lengths[] = {0, 1, 4, 8, 12, 20, -1};
    static const char nothing[20];
    int fd = kind_open(kind);

    for (size_t i = 0; i < COUNT(options); i++)
        for (size_t l = 0; l < COUNT(lengths); l++)
            if (lengths[l] >= 0 || options[i][0] != IPPROTO_IPV6)
                out_result(RAW(SYS_setsockopt, fd, options[i][0], options[i][1], nothing, lengths[l]));
}

static void options_back_tcp4(void)
{
    options_back(&tcp4);
}

static void options_back_tcp6(void)
{
    options_back(&tcp6);
}

static void options_back_udp4(void)
{
    options_back(&udp4);
}

static void options_back_udp6(void)
{
    options_back(&udp6);
}

/* The rows. `datagram`: left out where only TCP sockets exist. */
static const struct single_row {
    const char *group, *name;
    void (*run)(void);
    bool datagram;
} single_rows[] = {
    {"connect", "refused-then-other", connect_refused_then_other, false},
    {"connect", "refused-many", connect_refused_many, false},
    {"connect", "nonblocking", connect_nonblocking, false},
    {"connect", "nonblocking-error-first", connect_nonblocking_error_first, false},
    {"connect", "nonblocking-refused", connect_nonblocking_refused, false},
    {"connect", "nonblocking-refused-error-first", connect_nonblocking_refused_error_first, false},
    {"connect", "made-blocking", connect_made_blocking, false},
    {"connect", "times-out", connect_times_out, false},
    {"connect", "shut-while-connecting", connect_shut_while_connecting, false},
    {"connect", "undone-while-connecting", connect_undone_while_connecting, false},
    {"connect", "to-itself", connect_to_itself, false},
    {"connect", "on-duplicate", connect_on_duplicate, false},
    {"connect", "in-child", connect_in_child, false},
    {"connect", "in-vfork-child", connect_in_vfork_child, false},
    {"connect", "ports", connect_ports, false},
    {"connect", "bound-keeps-port", connect_bound_keeps_port, false},
    {"connect", "late-port", connect_late_port, false},
    {"connect", "scope", connect_scope, false},
    {"connect", "flow-information", connect_flow_information, false},
    {"connect", "padding", connect_zero_padding, false},
    {"connect", "address-form", connect_address_form, false},
    {"lengths", "connect-tcp4", sweep_connect_tcp4, false},
    {"lengths", "connect-tcp6", sweep_connect_tcp6, false},
    {"lengths", "connect-mapped", sweep_connect_mapped, false},
    {"lengths", "connect-unix", sweep_connect_unix, false},
    {"lengths", "bind-tcp4", sweep_bind_tcp4, false},
    {"lengths", "bind-tcp6", sweep_bind_tcp6, false},
    {"lengths", "connect-udp4", sweep_connect_udp4, true},
    {"lengths", "connect-udp6", sweep_connect_udp6, true},
    {"lengths", "sendto-udp4", sweep_sendto_udp4, true},
    {"lengths", "sendto-udp6", sweep_sendto_udp6, true},
    {"lengths", "sendmsg-udp4", sweep_sendmsg_udp4, true},
    {"lengths", "sendmsg-udp6", sweep_sendmsg_udp6, true},
    {"lengths", "sendto-unix", sweep_sendto_unix, true},
    {"lengths", "sendto-tcp", sweep_sendto_tcp, false},
    {"bind", "port-81", bind_port_81, false},
    {"bind", "twice", bind_twice, false},
    {"bind", "not-local", bind_not_local, false},
    {"bind", "taken", bind_taken_plain, false},
    {"bind", "taken-reuse-address", bind_taken_reuse_address, false},
    {"bind", "taken-listening", bind_taken_listening, false},
    {"bind", "taken-reuse-port", bind_taken_reuse_port, false},
    {"bind", "both-families", bind_both_families, false},
    {"bind", "after-listen", bind_pointer_after_listen, false},
    {"bind", "unix-mode", bind_unix_mode, false},
    {"bind", "unix-relative", bind_unix_relative, false},
    {"listen", "accept", listen_and_accept, false},
    {"stream", "urgent", stream_urgent, false},
    {"stream", "ends-at-once", stream_ends_at_once_tcp, false},
    {"stream", "ends-at-once-unix", stream_ends_at_once_unix, false},
    {"stream", "more", stream_more, false},
    {"stream", "much-tcp", stream_much_tcp, false},
    {"stream", "much-tcp-sendmsg", stream_much_tcp_sendmsg, false},
    {"stream", "much-unix", stream_much_unix, false},
    {"stream", "much-unix-sendmsg", stream_much_unix_sendmsg, false},
    {"stream", "times-out-tcp", stream_times_out_tcp, false},
    {"stream", "times-out-unix", stream_times_out_unix, false},
    {"stream", "partial", stream_partial, false},
    {"stream", "zerocopy-flag", stream_zerocopy_flag, false},
    {"sigpipe", "details", stream_signal_details, false},
    {"sigpipe", "blocked", stream_signal_blocked, false},
    {"sigpipe", "kills", stream_signal_kills, false},
    {"dgram", "times-out-unix", dgram_times_out_unix, true},
    {"dgram", "sizes-udp4", dgram_sizes_udp4, true},
    {"dgram", "sizes-udp6", dgram_sizes_udp6, true},
    {"dgram", "oversized-unix", dgram_oversized_unix, true},
    {"dgram", "large-unix", dgram_large_unix, true},
    {"dgram", "more", dgram_more, true},
    {"dgram", "more-address", dgram_more_address, true},
    {"dgram", "cork", dgram_cork, true},
    {"share", "options-udp4", share_options_udp4, true},
    {"share", "options-udp6", share_options_udp6, true},
    {"share", "options-tcp4", share_options_tcp4, false},
    {"share", "options-unix", share_options_unix, false},
    {"share", "options-stay", share_options_stay, true},
    {"share", "port-by-address", share_port_by_address, true},
    {"share", "port-by-port", share_port_by_port, true},
    {"share", "port-by-one", share_port_by_one, true},
    {"share", "port-by-both", share_port_by_both, true},
    {"share", "no-port", share_no_port, true},
    {"dgram", "segment-option", dgram_segment_option, true},
    {"dgram", "refused-then-sent", dgram_refused_then_sent, true},
    {"dgram", "refused-between", dgram_refused_between, true},
    {"dgram", "connected-sends-elsewhere", dgram_connected_sends_elsewhere, true},
    {"dgram", "disconnect-keeps-bound", dgram_disconnect_keeps_bound, true},
    {"dgram", "same-port", dgram_same_port, true},
    {"dgram", "broadcast-option", dgram_broadcast_option, true},
    {"dgram", "ttl-seen", dgram_ttl_seen, true},
    {"dgram", "hoplimit-seen", dgram_hoplimit_seen, true},
    {"dgram", "icmp4", dgram_icmp4, true},
    {"dgram", "icmp6", dgram_icmp6, true},
    {"rights", "stream", rights_stream, false},
    {"rights", "seqpacket", rights_seqpacket, false},
    {"rights", "dgram", rights_dgram, true},
    {"rights", "dgram-named", rights_dgram_named, true},
    {"rights", "kinds-stream", rights_kinds_stream, false},
    {"rights", "kinds-dgram", rights_kinds_dgram, true},
    {"credentials", "stream", credentials_stream, false},
    {"credentials", "seqpacket", credentials_seqpacket, false},
    {"credentials", "dgram", credentials_dgram, true},
    {"credentials", "dgram-named", credentials_dgram_named, true},
    {"credentials", "connected", credentials_connected, false},
    {"credentials", "lied-stream", credentials_lied_stream, false},
    {"credentials", "lied-dgram", credentials_lied_dgram, true},
    {"credentials", "of-peer", credentials_of_peer, false},
    {"credentials", "name", credentials_name, false},
    {"unix", "sender-name", unix_sender_name, true},
    {"unix", "record-end", unix_record_end, false},
    {"unix", "wrong-type", unix_wrong_type, false},
    {"unix", "wrong-type-dgram", unix_wrong_type_dgram, true},
    {"unix", "backlog", unix_backlog, false},
    {"unix", "no-permission", unix_no_permission, false},
    {"unix", "symbolic-link", unix_symbolic_link, false},
    {"unix", "changed-directory", unix_changed_directory, false},
    {"netlink", "dump-unbound", netlink_dump_unbound, false},
    {"netlink", "dump-bound", netlink_dump_bound, false},
    {"netlink", "second", netlink_second, false},
    {"netlink", "connected", netlink_connected, false},
    {"missing", "kinds-of-socket", kinds_of_socket, false},
    {"missing", "kinds-of-pair", kinds_of_pair, false},
    {"missing", "processes-of-nobody", processes_of_nobody, false},
    {"options", "elsewhere", options_elsewhere, false},
    {"options", "back-tcp4", options_back_tcp4, false},
    {"options", "back-tcp6", options_back_tcp6, false},
    {"options", "back-udp4", options_back_udp4, true},
    {"options", "back-udp6", options_back_udp6, true},
    {"limits", "zerocopy-option", option_zerocopy, false},
    {"limits", "fastopen-flag", flag_fastopen, false},
    {"limits", "large-datagram", large_datagram, true},
};

#endif

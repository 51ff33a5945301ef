/* look.h - what is sent is looked at, for --ask and learn: DNS queries, and while learning each write(2) */
#ifndef SERVE_LOOK_H
#define SERVE_LOOK_H

#include "decide.h"
#include "parse.h"
#include "../policy/call.h"
#include "../policy/learn.h"
#include "../policy/seen.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/childpath.h"
#include "../sys/dns.h"
#include "../sys/kernel.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/procfs.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { LOOK_BYTES_MAX = 512 }; /* bytes of a write that are looked at: a DNS query is no longer */

/* Look at the first bytes of what is sent on an IP socket: a DNS query? to: where, or DESTINATION_NONE: to its peer. */
static void look_at_send(const struct request *r, const struct destination *to, const uint8_t *bytes, size_t len)
{
    struct destination peer = *to;
    struct dns_question question;
    char name[DNS_NAME_MAX + 1];
    bool learns = policy.undecided == UNDECIDED_LEARNED;

    if (learns && r->kind.domain == AF_UNIX && r->kind.type == SOCK_DGRAM)
        learned_datagrams = true;
    if (!socket_is_ip(r->kind) || kind_protocol(r->kind) == PROTOCOLS)
        return;
    if (to->kind != DESTINATION_IP) {
        peer = (struct destination){.kind = DESTINATION_IP, .protocol = kind_protocol(r->kind)};
        if (ip_addr_of_peer(r->pin, &peer.addr, &peer.port) < 0)
            return;
        if (learns && peer.protocol != PROTOCOL_TCP && is_undecided(&peer, decide(&peer)))
            learn_destination(r, &peer, true);
    }
    if (peer.port != DNS_PORT || peer.protocol == PROTOCOL_ICMP)
        return;
    if (peer.protocol == PROTOCOL_TCP && len > 2 && (size_t)(bytes[0] << 8 | bytes[1]) == len - 2) {
        bytes += 2;
        len -= 2;
    }
    if (dns_read_query(bytes, len, &question) < 0)
        return;
    bool addresses = (question.type == DNS_A || question.type == DNS_AAAA) && dns_name_text(&question.name, name);
    size_t seen = addresses ? seen_add(name, learns ? learned_command_of(r->tid) : 0) : SEEN_NAMES_MAX;
    if (learns && is_undecided(&peer, decide(&peer)))
        learn_question(r, &peer, question.type, seen);
}

/* write and writev, while learning: looked at where they send on an IP socket. The kernel carries them out: they reach
 * the socket's peer only, whatever the caller does meanwhile. */
static struct outcome call_write(struct request *r)
{
    static const struct destination to_peer = {.kind = DESTINATION_NONE};
    struct iovec vector[16];
    size_t n = r->args[2] < ARRAY_LEN(vector) ? (size_t)r->args[2] : ARRAY_LEN(vector);
    uint8_t bytes[LOOK_BYTES_MAX];
    char path[40], link[PATH_MAX];

    snprintf(path, sizeof path, "%s/%d/fd/%d", procfs, r->tid, (int)r->args[0]);
    if (childpath_readlink(path, link) < 0 || strncmp(link, "socket:", 7) != 0 || parse_socket(r) < 0)
        return (struct outcome){CONTINUE, 0};
    if (r->number == number_on(NR_write, MACHINE_OURS)) {
        vector[0] = (struct iovec){(void *)(uintptr_t)r->args[1], r->args[2]};
        n = 1;
    } else if (child_read(r->tid, r->args[1], vector, n * sizeof *vector) < 0) {
        n = 0;
    }
    ssize_t got = child_gather(r->tid, vector, n, 0, bytes, sizeof bytes);
    look_at_send(r, &to_peer, bytes, got < 0 ? 0 : (size_t)got);
    return (struct outcome){CONTINUE, 0};
}

#endif

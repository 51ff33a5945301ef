/* learn.h - learning: what no rule decides is permitted, and noted */
#ifndef POLICY_LEARN_H
#define POLICY_LEARN_H

#include "types.h"
#include "call.h"
#include "events.h"
#include "traps.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/cookieset.h"
#include "../sys/dns.h"
#include "../sys/limits.h"
#include "../sys/pin.h"
#include "../sys/process.h"
#include "../sys/tally.h"

#include <sys/socket.h>

/* What /etc/hosts answers as well, and what are only hints. */
enum { DNS_TYPE_PTR = 12, DNS_TYPE_SVCB = 64, DNS_TYPE_HTTPS = 65 };

/* What the command did. */
static struct learned {
    enum learned_kind { LEARNED_REACH, LEARNED_BIND, LEARNED_UNIX, LEARNED_REFUSED } kind;
    enum protocol protocol;
    struct ip_addr addr;
    uint16_t port;
    bool any_port;          /* it is another one each time */
    bool sent;              /* of UDP: not connected only */
    bool asks;              /* a nameserver: it was asked; */
    bool asks_beyond;       /* also for what /etc/hosts can't tell, or by who doesn't read it */
    char *text;             /* a unix socket's name, what was refused; owned, lives to exit */
    const char *allow;      /* the option that would permit it */
    uint64_t commands[LEARNED_COMMANDS / 64];
    size_t hint;            /* the name that its process looked up last, + 1; 0: none */
} learned[LEARNED_MAX];

static uint16_t learned_index[2 * LEARNED_MAX]; /* by hash: 1 + the place in learned; 0: free */
static size_t n_learned, learned_lost;
static char learned_commands[LEARNED_COMMANDS][PROCESS_NAME_MAX]; /* the last one stands for all others */
static size_t n_learned_commands;
static bool learned_datagrams;              /* unix datagram sockets are used */
static bool learned_ports[PROTOCOLS][65536]; /* that the kernel chose for the command's own sockets */
static struct cookieset learned_ephemeral; /* sockets with such a port, */
static struct cookieset learned_servers;   /* and with one of their own choice */

/* What is known of a process, by its number modulo their count. */
static struct learned_process {
    pid_t leader;
    bool reads_hosts;
    size_t name; /* the last one that it looked up, + 1; 0: none */
} learned_processes[LEARNED_PROCESSES];

static struct learned_process *learned_process_of(pid_t tid)
{
    struct process_status status = {.leader = tid};

    process_status_read(tid, &status);
    struct learned_process *process = &learned_processes[(unsigned)status.leader % LEARNED_PROCESSES];
    if (process->leader != status.leader)
        *process = (struct learned_process){.leader = status.leader};
    return process;
}

static uint16_t learned_command_of(pid_t tid)
{
    char name[PROCESS_NAME_MAX];
    size_t at = 0;

    process_name(tid, name);
    while (at < n_learned_commands && strcmp(learned_commands[at], name) != 0)
        at++;
    if (at < n_learned_commands)
        return (uint16_t)at;
    snprintf(learned_commands[at], sizeof learned_commands[at], "%s", at == LEARNED_COMMANDS - 1 ? "others" : name);
    n_learned_commands += n_learned_commands < LEARNED_COMMANDS - 1;
    return (uint16_t)at;
}

static bool learned_same(const struct learned *a, const struct learned *b)
{
    return a->kind == b->kind && a->protocol == b->protocol && ip_addr_equal(a->addr, b->addr) && a->port == b->port &&
           a->any_port == b->any_port && strcmp(a->text ? a->text : "", b->text ? b->text : "") == 0;
}

/* Note what thread tid did, if it is new; the note. NULL: there is no room. */
static struct learned *learn(pid_t tid, const struct learned *what)
{
    uint16_t command = learned_command_of(tid);
    uint64_t hash = what->addr.hi ^ what->addr.lo << 20 ^ (uint64_t)what->port << 8 ^ what->kind << 4 ^ what->protocol;
    size_t at = (tally_hash(hash * 0x9e3779b97f4a7c15, what->text ? what->text : "") >> 32) % ARRAY_LEN(learned_index);

    while (learned_index[at] != 0 && !learned_same(&learned[learned_index[at] - 1], what))
        at = (at + 1) % ARRAY_LEN(learned_index);
    if (learned_index[at] == 0 && n_learned == LEARNED_MAX) {
        learned_lost++;
        return NULL;
    }
    struct learned *note = &learned[learned_index[at] == 0 ? n_learned : learned_index[at] - 1u];
    if (learned_index[at] == 0) {
        *note = *what;
        note->text = what->text ? strdup(what->text) : NULL;
        learned_index[at] = (uint16_t)++n_learned;
    }
    note->commands[command / 64] |= 1ull << command % 64;
    return note;
}

/* A destination, a port or a unix socket that no rule decides. sent: more than a connection was made. */
static void learn_destination(const struct request *r, const struct destination *to, bool sent)
{
    bool binds = takes_port(r->call);
    struct learned what = {.kind = binds ? LEARNED_BIND : LEARNED_REACH, .protocol = to->protocol, .addr = to->addr,
                           .port = to->port, .text = unix_target.name};

    if (to->kind == DESTINATION_UNIX) {
        learn(r->tid, &(struct learned){.kind = LEARNED_UNIX, .text = unix_target.name});
        return;
    }
    what.text = NULL;
    if (binds)
        what.any_port = to->port == 0 || cookieset_has(&learned_ephemeral, pin_cookie(r->pin));
    else
        what.any_port = r->call == CALL_SETSOCKOPT || /* joining a group */
                        (ip_addr_is_loopback(to->addr) && learned_ports[to->protocol][to->port]) ||
                        (to->protocol == PROTOCOL_UDP && to->port >= 1024 &&
                         cookieset_has(&learned_servers, pin_cookie(r->pin))); /* a client's */
    what.port = what.any_port ? 0 : to->port;
    if (what.port == 0 && !what.any_port && to->protocol != PROTOCOL_ICMP)
        return; /* which leads nowhere */
    struct learned *note = learn(r->tid, &what);
    if (note != NULL && note->hint == 0)
        note->hint = learned_process_of(r->tid)->name;
    if (note != NULL && sent)
        note->sent = true;
}

/* A bind or listen was done: what the kernel chose will be another port next time. */
static void learn_bound(const struct request *r)
{
    bool ephemeral = r->to.port == 0;
    struct ip_addr addr;
    uint16_t port = 0;

    if (ephemeral && policy.undecided != UNDECIDED_LEARNED && socket_is(r->kind, IPPROTO_TCP))
        cookieset_add(&learned_ephemeral, pin_cookie(r->pin)); /* for what is said where it can't listen then */
    if (policy.undecided != UNDECIDED_LEARNED || r->to.kind != DESTINATION_IP || r->to.protocol >= PROTOCOLS ||
        ip_addr_of_socket(r->pin, &addr, &port) < 0)
        return;
    cookieset_add(ephemeral ? &learned_ephemeral : &learned_servers, pin_cookie(r->pin));
    if (ephemeral)
        learned_ports[r->to.protocol][port] = true;
}

static void learn_refused(const struct request *r, const char *subject, const char *allow)
{
    char text[EVENT_TEXT + 32];

    snprintf(text, sizeof text, "%s %s", call_names[r->call], subject);
    struct learned *note = learn(r->tid, &(struct learned){.kind = LEARNED_REFUSED, .text = text});
    if (note != NULL && note->allow == NULL && allow[0] != 0)
        note->allow = strdup(allow);
}

/* A question to a nameserver. */
static void learn_question(const struct request *r, const struct destination *to, uint16_t type, size_t name)
{
    struct learned_process *process = learned_process_of(r->tid);
    bool beyond = type != DNS_A && type != DNS_AAAA && type != DNS_TYPE_PTR && type != DNS_TYPE_SVCB &&
                  type != DNS_TYPE_HTTPS;

    if (name < SEEN_NAMES_MAX)
        process->name = name + 1;
    struct learned *note = learn(r->tid, &(struct learned){.kind = LEARNED_REACH, .protocol = to->protocol,
                                                           .addr = to->addr, .port = to->port});
    if (note == NULL)
        return;
    note->sent = note->asks = true;
    note->asks_beyond = note->asks_beyond || beyond || !process->reads_hosts;
}

#endif

/* seen.h - names that the command looks up: --ask tells them, learn writes them down */
#ifndef POLICY_SEEN_H
#define POLICY_SEEN_H

#include "types.h"
#include "call.h"
#include "build.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/dns.h"
#include "../sys/growing.h"
#include "../sys/helper.h"
#include "../sys/hosts.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"
#include "../sys/lookups.h"
#include "../sys/resolve.h"

#include <sys/socket.h>

static struct seen_name {
    char text[DNS_NAME_MAX + 1];
    uint16_t command; /* whose it was, an index of learned_commands */
} seen_names[SEEN_NAMES_MAX];

/* The addresses that the names have, by a look-up of our own. */
static struct seen_addr {
    struct ip_addr addr;
    size_t name;
} seen_addrs[SEEN_ADDRS_MAX];

static size_t n_seen, n_seen_sent, n_seen_answered, n_seen_addrs;

/* Have the names that are new looked up; what the helper doesn't take now waits. */
static void seen_send(void)
{
    while (here.lookups.channel >= 0 && n_seen_sent < n_seen) {
        struct lookup lookup = {.tag = (uint64_t)n_seen_sent << 32 | UINT32_MAX};

        snprintf(lookup.name, sizeof lookup.name, "%.*s.", DNS_NAME_MAX - 1, seen_names[n_seen_sent].text);
        if (send(here.lookups.channel, &lookup, sizeof lookup, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return;
        n_seen_sent++;
    }
}

/* The index of a name; SEEN_NAMES_MAX: there is no room for it. */
static size_t seen_add(const char *text, uint16_t command)
{
    size_t at = 0;

    while (at < n_seen && strcmp(seen_names[at].text, text) != 0)
        at++;
    if (at == n_seen && n_seen < SEEN_NAMES_MAX) {
        snprintf(seen_names[n_seen].text, sizeof seen_names[0].text, "%s", text);
        seen_names[n_seen++].command = command;
        seen_send();
    }
    return at;
}

/* A name's addresses have come, from who reads bytes of the network: which name it is, is checked. */
static void seen_take(const struct lookup *lookup)
{
    size_t name = lookup->tag >> 32;

    n_seen_answered++;
    for (size_t i = 0; name < n_seen && i < lookup->n && i < LOOKUP_ADDRS && n_seen_addrs < SEEN_ADDRS_MAX; i++)
        seen_addrs[n_seen_addrs++] = (struct seen_addr){lookup->addrs[i], name};
}

/* Is a name being looked up still? */
static bool seen_waits(void)
{
    return here.lookups.channel >= 0 && n_seen_answered < n_seen;
}

/* The next name from *at on that has this address; SEEN_NAMES_MAX: there is none. */
static size_t seen_find(struct ip_addr addr, size_t *at)
{
    while (*at < n_seen_addrs)
        if (ip_addr_equal(seen_addrs[(*at)++].addr, addr))
            return seen_addrs[*at - 1].name;
    return SEEN_NAMES_MAX;
}

/* The hosts file's name for an address that isn't this machine's own; empty: none. */
static struct slice hosts_name_of(struct ip_addr addr)
{
    struct slice file = growing_slice(&hosts_known), name;
    struct hosts_line line;

    while (!ip_addr_is_loopback(addr) && hosts_next(&file, &line))
        if (ip_addr_equal(ip_addr_canonical(line.addr), addr) && (name = hosts_word(&line.names)).len > 0 &&
            dns_name_valid(name))
            return name;
    return (struct slice){NULL, 0};
}

/* A name by which an address is known here: the policy's, one that was looked up, the hosts file's. Empty: none. */
static struct slice name_of(struct ip_addr addr)
{
    size_t at = 0;

    for (size_t i = 0; i < policy.n_names; i++)
        if (resolve_has(&policy.names[i], addr))
            return policy.names[i].name;
    size_t seen = seen_find(addr, &at);
    return seen < SEEN_NAMES_MAX ? slice_of(seen_names[seen].text) : hosts_name_of(addr);
}

/* All that a look-up takes. */
static const enum syscall_number lookups_calls[] = {
    NR_brk, NR_clock_gettime, NR_clone, NR_close, NR_connect, NR_exit_group, NR_getrandom, NR_madvise, NR_mmap,
    NR_mremap, NR_munmap, NR_poll, NR_ppoll, NR_recvfrom, NR_recvmsg, NR_restart_syscall, NR_rt_sigprocmask,
    NR_sendto, NR_setsockopt, NR_socket,
};

static void lookups_run(void)
{
    if (helper_confine(lookups_calls, ARRAY_LEN(lookups_calls)) == 0)
        lookups_serve(HELPER_CHANNEL, &policy.resolvconf, growing_slice(&hosts_known));
}

/* Where names are looked up while the command runs: the proxy's, or its own. */
static void lookups_prepare(void)
{
    if (!policy.http_any_host && policy.undecided == UNDECIDED_REFUSED)
        return;
    int result = helper_start(&here.lookups, lookups_run);
    if (result < 0)
        die("cannot start a process that looks up names: %s", strerror(-result));
}

#endif

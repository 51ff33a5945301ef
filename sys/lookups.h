/* lookups.h - names looked up while others go on: a helper (helper.h) with a process for each, by resolve.h */
#ifndef LOOKUPS_H
#define LOOKUPS_H

#include "helper.h"
#include "resolve.h"

enum { LOOKUP_ADDRS = 16 };

/* A question, and its answer. */
struct lookup {
    uint64_t tag; /* the asker's */
    char name[DNS_NAME_MAX + 1];
    bool from_hosts;
    size_t n; /* 0: there is no address */
    struct ip_addr addrs[LOOKUP_ADDRS];
};

/* Look one name up, and send the answer. */
static void lookup_run(int channel, struct lookup *lookup, const struct resolvconf *config, struct slice hosts)
{
    static struct resolve_name name;

    lookup->name[sizeof lookup->name - 1] = 0;
    name.name = slice_of(lookup->name);
    lookup->n = 0;
    if (resolve_all(config, hosts, &name, 1) == 0 && name.status == RESOLVE_FOUND)
        for (size_t i = 0; i < QUERY_ADDRS_MAX; i++) /* of both families, in turn */
            for (size_t f = 0; f < RESOLVE_FAMILIES; f++)
                if (i < name.families[f].n && lookup->n < LOOKUP_ADDRS)
                    lookup->addrs[lookup->n++] = name.families[f].addrs[i];
    lookup->from_hosts = name.from_hosts;
    if (send(channel, lookup, sizeof *lookup, MSG_NOSIGNAL) < 0)
        return; /* nobody waits any more */
}

/* The helper's life: a process for each question, so that none waits for another's servers. */
static void lookups_serve(int channel, const struct resolvconf *config, struct slice hosts)
{
    static struct lookup lookup;

    while (recv(channel, &lookup, sizeof lookup, 0) == sizeof lookup) {
        pid_t pid = sys_fork(SIGCHLD);

        if (pid > 0)
            continue;
        lookup_run(channel, &lookup, config, hosts);
        if (pid == 0)
            _exit(0);
    }
}

#endif

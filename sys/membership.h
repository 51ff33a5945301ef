/* membership.h - the group that a multicast membership option names (ip(7), ipv6(7), RFC 3678) */
#ifndef MEMBERSHIP_H
#define MEMBERSHIP_H

#include "addr.h"

/* The group in the value of a setsockopt(2); other bytes do not matter. 0; -EINVAL: it is short, or names none. */
static int membership_group(int level, int option, const uint8_t *value, size_t len, struct ip_addr *group)
{
    struct ipv6_mreq v6;
    struct ip_mreq v4;
    uint16_t port;

    if (option == MCAST_JOIN_GROUP || option == MCAST_JOIN_SOURCE_GROUP) { /* group_req begins group_source_req */
        size_t whole = option == MCAST_JOIN_GROUP ? sizeof(struct group_req) : sizeof(struct group_source_req);

        return len < whole ? -EINVAL
                           : ip_addr_from_sockaddr(value + offsetof(struct group_req, gr_group), group, &port);
    }
    if (level == SOL_IPV6) {
        if (len < sizeof v6)
            return -EINVAL;
        memcpy(&v6, value, sizeof v6);
        *group = ip_addr_from_v6(&v6.ipv6mr_multiaddr);
        return 0;
    }
    if (len < sizeof v4)
        return -EINVAL;
    memcpy(&v4, value, sizeof v4);
    *group = ip_addr_from_v4(v4.imr_multiaddr);
    return 0;
}

#endif

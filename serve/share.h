/* share.h - SO_REUSEADDR and SO_REUSEPORT of UDP sockets: in force only while they have a port (socket(7))
 *
 * A socket without a port is given one by the first send on it, write(2) too, which isn't trapped. With one of these
 * options the kernel may pick one that somebody outside has and shares: what is sent there then comes to the command.
 * So until it has a port what the program set is kept in options that mean nothing on UDP. */
#ifndef SERVE_SHARE_H
#define SERVE_SHARE_H

#include "../policy/call.h"
#include "../sys/addr.h"
#include "../sys/kernel.h"
#include "../sys/pin.h"

#include <netinet/in.h>
#include <sys/socket.h>

static const int share_options[] = {SO_REUSEADDR, SO_REUSEPORT};

/* The option that says what the program has set. */
static int share_kept(int option)
{
    return option == SO_REUSEADDR ? SO_OOBINLINE : SO_NOFCS;
}

/* Which of the options are in force, or (kept) were set by the program: a bit for each. */
static unsigned share_set_on(int pin, bool kept)
{
    unsigned set = 0;

    for (unsigned i = 0; i < ARRAY_LEN(share_options); i++)
        if (sys_socket_option(pin, SOL_SOCKET, kept ? share_kept(share_options[i]) : share_options[i]) > 0)
            set |= 1u << i;
    return set;
}

/* Put these in force, or out of it. */
static void share_put(int pin, unsigned set, bool on)
{
    for (unsigned i = 0; i < ARRAY_LEN(share_options); i++)
        if (set >> i & 1)
            pin_set_option(pin, share_options[i], on);
}

static bool share_has_port(int pin)
{
    struct ip_addr addr;
    uint16_t port = 0;

    ip_addr_of_socket(pin, &addr, &port);
    return port != 0;
}

#endif

/* portremap.h - --port-remap: which ports have another number outside is noted, and told */
#ifndef POLICY_PORTREMAP_H
#define POLICY_PORTREMAP_H

#include "types.h"
#include "call.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/inetdiag.h"
#include "../sys/log.h"
#include "../sys/pin.h"
#include "../sys/process.h"
#include "../sys/remap.h"

#include <sys/stat.h>

static struct remap remap;

/* Tell that a port has another number outside. */
static void remap_tell(const struct request *r, uint16_t real)
{
    char endpoint[IP_ENDPOINT_MAX], name[PROCESS_NAME_MAX];
    struct text line = {.len = 0};

    ip_endpoint_format(endpoint, sizeof endpoint, r->to.addr, r->to.port);
    if (settings.verbose)
        log_say("%s %s is taken: outside it is port %u", protocol_names[r->to.protocol], endpoint, real);
    process_name(r->tid, name);
    log_begin(&line);
    text_add(&line, ",\"pid\":%d,\"command\":", r->tid);
    text_add_json(&line, name);
    ip_addr_format(endpoint, sizeof endpoint, r->to.addr);
    text_add(&line, ",\"operation\":\"remap\",\"protocol\":\"%s\",\"address\":\"%s\",\"port\":%u,\"real\":%u}\n",
             protocol_names[r->to.protocol], endpoint, r->to.port, real);
    log_write(&log_to, &line);
}

/* Remember a socket that has a port from now on; asked: 0 where the kernel was to pick one. */
static void remap_note(const struct request *r, uint16_t asked)
{
    struct process_status status = {.leader = r->tid};
    struct remap_port port = {.protocol = r->kind.protocol, .fd = (int)r->args[0], .dual = r->to.dual};
    struct stat file;

    if (ip_addr_of_socket(r->pin, &port.addr, &port.real) < 0 || fstat(r->pin, &file) < 0)
        return;
    process_status_read(r->tid, &status); /* a thread may end before its process does */
    port.cookie = pin_cookie(r->pin);
    port.inode = file.st_ino;
    port.pid = status.leader;
    port.asked = asked ? asked : port.real;
    remap_add(&remap, &port);
    if (port.asked != port.real && r->call == CALL_BIND)
        remap_tell(r, port.real);
}

/* --port-remap: the kernel has to say whose a port is. */
static void remap_prepare(void)
{
    int tcp = inetdiag_check(IPPROTO_TCP);
    int udp = policy.open[PROTOCOL_UDP] ? inetdiag_check(IPPROTO_UDP) : 0;

    if (tcp < 0 || udp < 0)
        die("--port-remap: this kernel doesn't tell whose a port is: %s; CONFIG_INET_%s_DIAG (module %s_diag) would be "
            "right", strerror(tcp < 0 ? -tcp : -udp), tcp < 0 ? "TCP" : "UDP", tcp < 0 ? "tcp" : "udp");
    remap.pins = &here.pins;
    remap.closer = &here.closer;
}

#endif

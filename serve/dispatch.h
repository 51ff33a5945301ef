/* dispatch.h - what runs each trapped call */
#ifndef SERVE_DISPATCH_H
#define SERVE_DISPATCH_H

#include "bind.h"
#include "connect.h"
#include "continue.h"
#include "look.h"
#include "names.h"
#include "open.h"
#include "process.h"
#include "send.h"
#include "socket.h"
#include "sockopt.h"
#include "../policy/call.h"
#include "../policy/live.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/unixtarget.h"

static struct outcome call_dispatch(struct request *r)
{
    switch (r->call) {
    case CALL_CONNECT:
        return call_connect(r);
    case CALL_BIND:
        return call_bind(r);
    case CALL_LISTEN:
        return call_listen(r);
    case CALL_SENDTO:
    case CALL_SENDMSG:
    case CALL_SENDMMSG:
        return call_send(r);
    case CALL_SOCKET:
        return call_socket(r);
    case CALL_SETSOCKOPT:
        return call_setsockopt(r);
    case CALL_GETSOCKOPT:
        return call_getsockopt(r);
    case CALL_GETSOCKNAME:
    case CALL_GETPEERNAME:
        return call_name(r);
    case CALL_OPEN:
        return call_open(r);
    case CALL_WRITE:
        return call_write(r);
    case CALL_PRLIMIT:
    case CALL_SCHEDULE:
    case CALL_SIGNAL:
        return call_on_others(r);
    case CALL_REAPER:
        return call_reaper(r);
    case CALL_RULESET:
        return call_ruleset(r);
    case CALL_NONE:
        break;
    }
    return outcome_reply(-ENOSYS);
}

/* Run a call. The unix socket that it named isn't held any more when it is answered. */
static struct outcome call_run(struct request *r)
{
    if (live.order > 0)
        live_find_scopes_of(r->tid);
    if (r->pin == -EACCES) /* it waited to learn what its socket is, and hasn't begun */
        r->was_pending = false;
    struct outcome outcome = call_dispatch(r);
    if (settings.no_getfd && r->pin == -EACCES && outcome.what == REPLY && outcome.value == -EACCES)
        outcome = call_on_stranger(r);
    unix_target_let_go(&unix_target, &unix_own);
    return outcome;
}

#endif

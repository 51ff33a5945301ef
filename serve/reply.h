/* reply.h - the only sender of answers (seccomp_unotify(2)) */
#ifndef SERVE_REPLY_H
#define SERVE_REPLY_H

#include "made.h"
#include "send.h"
#include "../policy/call.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/kernel.h"
#include "../sys/lostreply.h"
#include "../sys/notify.h"
#include "../sys/pin.h"

#include <signal.h>

static struct lost_replies lost_replies;

/* How many arguments a call has, by which its repetition is recognised: the registers behind them hold leftovers. */
static size_t lost_arguments(enum call call)
{
    switch (call) {
    case CALL_LISTEN:
    case CALL_REAPER:
        return 2;
    case CALL_CONNECT:
    case CALL_BIND:
    case CALL_SENDMSG:
    case CALL_SOCKET:
    case CALL_SCHEDULE:
    case CALL_SIGNAL:
    case CALL_GETSOCKNAME:
    case CALL_GETPEERNAME:
    case CALL_WRITE:
    case CALL_RULESET:
        return 3;
    case CALL_SENDMMSG:
    case CALL_OPEN:
    case CALL_PRLIMIT:
        return 4;
    case CALL_SETSOCKOPT:
    case CALL_GETSOCKOPT:
        return 5;
    case CALL_SENDTO:
    case CALL_NONE:
        break;
    }
    return 6;
}

/* Send a signal to exactly the thread that made this call. */
static void signal_thread(const struct request *r, int sig)
{
    int pidfd = here.pins.by_thread ? pin_pidfd(&here.pins, r->tid, false) : -1;

    if (pidfd >= 0)
        sys_pidfd_send_signal(pidfd, sig);
    else
        sys_tkill(r->tid, sig);
}

static void reply(struct request *r, struct outcome outcome)
{
    int result = 0;

    if (settings.no_getfd)
        made_let_go(r, outcome);
    release(r->pin, r->kind); /* before the answer: the caller's next close(2) is to be the last one */
    r->pin = -1;
    if (r->broken_pipe && here.killable)
        signal_thread(r, SIGPIPE);
    switch (outcome.what) {
    case REPLY:
        result = notify_return(here.listener, r->id, outcome.value);
        break;
    case CONTINUE:
        result = notify_continue(here.listener, r->id);
        break;
    case PEND:
    case HOLD:
    case VANISHED:
        break;
    }
    if (result == -ENOENT && !here.killable && outcome.what == REPLY)
        lost_reply_keep(&lost_replies, r->tid, r->number, r->args, outcome.value);
    if (outcome.what == VANISHED && !here.killable && (r->sent_bytes > 0 || r->sent_messages > 0))
        lost_reply_keep(&lost_replies, r->tid, r->number, r->args, send_end(r, 0).value);
    if (r->broken_pipe && !here.killable)
        signal_thread(r, SIGPIPE);
}

#endif

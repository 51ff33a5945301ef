/* loop.h - the loop: notifications, signals, exits, --timeout, and whatever else epoll(7) tells of */
#ifndef SERVE_LOOP_H
#define SERVE_LOOP_H

#include "asked.h"
#include "dial.h"
#include "made.h"
#include "pending.h"
#include "reply.h"
#include "servers.h"
#include "../policy/answers.h"
#include "../policy/ask.h"
#include "../policy/call.h"
#include "../policy/change.h"
#include "../policy/control.h"
#include "../policy/hostsfile.h"
#include "../policy/live.h"
#include "../policy/portremap.h"
#include "../policy/traps.h"
#include "../policy/types.h"
#include "../sys/base.h"
#include "../sys/clock.h"
#include "../sys/closer.h"
#include "../sys/coprocess.h"
#include "../sys/descendants.h"
#include "../sys/helper.h"
#include "../sys/limits.h"
#include "../sys/lostreply.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/pintable.h"
#include "../sys/process.h"
#include "../sys/remap.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KILL_AFTER_SECONDS = 2 }; /* from --timeout's SIGTERM to SIGKILL */

static void serve_notification(void)
{
    static union notify_buffer buffer;
    struct request r = {.pin = -1};
    int64_t value;

    if (notify_receive(here.listener, &buffer) < 0)
        return; /* the caller is gone already */
    const struct seccomp_notif *notification = &buffer.request;
    r.id = notification->id;
    r.tid = (pid_t)notification->pid;
    r.number = notification->data.nr;
    r.call = r.number >= 0 && r.number < CALLS_MAX ? (enum call)call_of_number[r.number] : CALL_NONE;
    memcpy(r.args, notification->data.args, sizeof r.args);
    if (!here.killable)
        pending_end_of(r.tid);
    if (!here.killable &&
        lost_reply_take(&lost_replies, r.tid, r.number, r.args, lost_arguments(r.call), &value)) {
        reply(&r, outcome_reply(value));
        return;
    }
    pending_run(&r);
}

/* Signal the command; after its end (--wait-all) what it left running. */
static void signal_command(int sig)
{
    if (here.command > 0)
        kill(here.command, sig);
    else
        descendants_signal(sig);
}

/* Pass a signal that we got on to the command, if a process outside sent it. What the kernel sent (Ctrl-C on a
 * terminal, say) went to the whole process group already; what a process inside sent is not passed on. */
static void serve_signal(const struct signalfd_siginfo *info)
{
    struct process_status status;

    if (info->ssi_signo == SIGHUP && info->ssi_code > 0 && getsid(0) == getpid()) {
        signal_command(SIGHUP); /* the terminal is gone: the kernel signals the session's leader only */
        signal_command(SIGCONT);
        return;
    }
    if (info->ssi_code > 0 || process_descends((pid_t)info->ssi_pid, getpid()))
        return;
    if (info->ssi_signo == SIGCONT && process_status_read(here.command, &status) == 0 && status.state != 'T')
        return; /* the whole group got it */
    signal_command((int)info->ssi_signo);
}

/* The command was stopped, by Ctrl-Z or by itself. On a terminal we stop, too, for the shell that waits for us (unless
 * there is a time limit, which must go on counting). When the shell continues us in the foreground, a command with a
 * process group of its own (a shell) gets the terminal back. false: we didn't stop. */
static bool serve_stop(void)
{
    static const struct timespec no_wait;
    sigset_t resumed;
    int terminal = STDIN_FILENO;

    while (terminal <= STDERR_FILENO && tcgetpgrp(terminal) < 0)
        terminal++;
    if (terminal > STDERR_FILENO || getsid(here.command) != getsid(0) || settings.timeout > 0)
        return false;
    pid_t group = getpgid(here.command);
    bool had_terminal = tcgetpgrp(terminal) == group;
    raise(SIGSTOP);
    if (had_terminal && tcgetpgrp(terminal) == getpgrp())
        tcsetpgrp(terminal, group);
    sigemptyset(&resumed);
    sigaddset(&resumed, SIGCONT);
    sigtimedwait(&resumed, NULL, &no_wait); /* the SIGCONT that continued us isn't passed on as well */
    return true;
}

/* Reap exits and stops, a bounded number, so that a storm of them doesn't hold up calls. Puts the command's exit status
 * into *status. Returns whether children are left, and perhaps more to reap. */
static enum children { CHILDREN_NONE, CHILDREN_LEFT, CHILDREN_MORE } serve_children(int *status)
{
    bool still_stopped = false; /* we were continued, but the command was not */

    for (int taken = 0; taken < CHILDREN_AT_ONCE; taken++) {
        int how;
        pid_t pid = waitpid(-1, &how, WNOHANG | WUNTRACED | WCONTINUED);

        if (pid <= 0) {
            if (still_stopped)
                signal_command(SIGCONT);
            return pid == 0 || errno != ECHILD ? CHILDREN_LEFT : CHILDREN_NONE;
        }
        if (pid != here.command)
            continue;
        still_stopped = WIFSTOPPED(how) && serve_stop();
        if (WIFSTOPPED(how) || WIFCONTINUED(how))
            continue;
        *status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
        here.command = 0; /* its number may be reused from now on */
    }
    return CHILDREN_MORE;
}

/* --timeout: SIGTERM, then SIGKILL; behind the loop all that is left is ended, however it forks. The milliseconds until
 * the next step; -1: there is none. */
static int serve_time(uint64_t *deadline, bool *expired)
{
    if (*deadline == 0)
        return -1;
    uint64_t now = clock_ms();
    if (now < *deadline)
        return (int)(*deadline - now);
    signal_command(*expired ? SIGKILL : SIGTERM);
    signal_command(SIGCONT);
    settings.wait_all = settings.wait_all && !*expired;
    *deadline = *expired ? 0 : now + KILL_AFTER_SECONDS * 1000;
    *expired = true;
    return 0;
}

static void serve_event(const struct epoll_event *event)
{
    struct signalfd_siginfo info;
    uint64_t tag = event->data.u64;

    if (tag < EVENT_CLIENT) {
        if (pending[tag].order < n_pending)
            pending_retry(&pending[tag], true);
    } else if (tag < EVENT_DIAL) {
        client_event(&server.clients[tag - EVENT_CLIENT]);
    } else if (tag < EVENT_LISTENER) {
        dial_event(&dials[tag - EVENT_DIAL]);
    } else if (tag == EVENT_LISTENER) {
        if (event->events & EPOLLIN)
            serve_notification();
        else
            unwatch(here.listener); /* no process with the filter is left */
    } else if (tag == EVENT_CONTROL) {
        clients_accept();
    } else if (tag == EVENT_SIGNALS) {
        while (read(here.signals, &info, sizeof info) == sizeof info)
            if (info.ssi_signo != SIGCHLD)
                serve_signal(&info);
    } else if (tag == EVENT_ASKER) {
        serve_asker(event->events);
    } else if (tag == EVENT_PROXY) {
        proxy_serve(event->events);
    } else if (tag == EVENT_LOOKUPS) {
        serve_lookup();
    } else if (tag >= EVENT_MADE) {
        made_event((int)(tag - EVENT_MADE));
    }
}

/* Handle control requests and live rules that end. How long the loop may wait then, at most `wait` ms; -1: for ever. */
static int serve_control(int wait)
{
    clients_turn();
    if (server.kills) {
        server.kills = settings.wait_all = false;
        signal_command(SIGKILL);
    }
    int end = live_expire();
    if (live.names_changed)
        hosts_show_live();
    wait = end >= 0 && (wait < 0 || end < wait) ? end : wait;
    return server.n_waiting > 0 ? 0 : wait;
}

/* Look at what waits, and (sweeps) at sockets that we hold and helpers that have ended, when it is time. */
static void serve_tick(bool sweeps)
{
    static uint64_t next_tick, next_sweep;

    if (sweeps && clock_ms() >= next_sweep) {
        pintable_sweep(&made_sockets, &here.closer);
        remap_sweep(&remap);
        next_sweep = clock_ms() + (finder.beside != 0 ? TICK_MS : SWEEP_MS);
    }
    if (n_pending > 0 && clock_ms() >= next_tick) {
        pending_tick_some();
        next_tick = clock_ms() + TICK_MS;
    }
}

/* The command has ended: so do those who wait, our helpers, and what is left of its processes. */
static void serve_end(void)
{
    while (n_pending > 0)
        pending_end(&pending[pending_order[0]], (struct outcome){VANISHED, 0});
    learn_wait();
    closer_end(&here.closer);
    helper_end(&here.proxy);
    helper_end(&here.lookups);
    coprocess_end(&ask_helper, ASK_PATIENCE_MS);
    pin_forget(&here.pins); /* looking through /proc takes descriptors */
    if (descendants_end(here.command) < 0)
        say("there is no /proc: what the command left behind forks faster than it is found, and isn't all ended");
}

/* Serve until the command has ended (--wait-all: until all have). Its exit status, or 124. */
static int serve(void)
{
    uint64_t deadline = settings.timeout ? clock_ms() + settings.timeout * 1000ull : 0;
    bool expired = false;
    int status = -1;
    enum children children = CHILDREN_LEFT;

    while (status < 0 || (settings.wait_all && children != CHILDREN_NONE)) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int wait = serve_time(&deadline, &expired);
        bool sweeps = made_sockets.n + remap.n_kept > 0 || finder.beside != 0 || finder.pid != 0;

        if (children == CHILDREN_MORE || n_yielding > 0)
            wait = 0;
        else if (n_pending > 0 && (wait < 0 || wait > TICK_MS))
            wait = TICK_MS;
        else if (sweeps && (wait < 0 || wait > SWEEP_MS))
            wait = finder.beside != 0 ? TICK_MS : SWEEP_MS;
        if (settings.name != NULL)
            wait = serve_control(wait);
        int n = epoll_wait(here.epoll, events, EVENTS_AT_ONCE, wait);
        bool ended = children == CHILDREN_MORE;
        for (int i = 0; i < n; i++) {
            ended = ended || events[i].data.u64 == EVENT_SIGNALS;
            serve_event(&events[i]);
        }
        pending_go_on();
        if (ended)
            children = serve_children(&status);
        if (children == CHILDREN_NONE && status < 0)
            status = EXIT_OURS; /* can't happen: the command is our child */
        ask_send();
        serve_tick(sweeps);
    }
    serve_end();
    return expired ? EXIT_TIMEOUT : status;
}

#endif

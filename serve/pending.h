/* pending.h - calls that wait: each is kept here and tried again, so that the supervisor itself never waits */
#ifndef SERVE_PENDING_H
#define SERVE_PENDING_H

#include "decide.h"
#include "dispatch.h"
#include "reply.h"
#include "send.h"
#include "../policy/ask.h"
#include "../policy/call.h"
#include "../policy/live.h"
#include "../policy/traps.h"
#include "../sys/asker.h"
#include "../sys/clock.h"
#include "../sys/kernel.h"
#include "../sys/limits.h"
#include "../sys/notify.h"
#include "../sys/pin.h"
#include "../sys/process.h"

#include <sys/epoll.h>
#include <sys/socket.h>

static struct pending {
    struct request request;
    uint64_t cookie;  /* of a connecting IP socket, to find others that wait for the same connection */
    uint16_t order;   /* its place in pending_order */
    bool by_tick;     /* epoll says nothing useful about its socket: it is tried again on the tick, ever more rarely */
    uint64_t again;   /* when, on the clock of clock_ms */
    uint64_t patience; /* between tries, in milliseconds */
} pending[PENDING_MAX];

static uint16_t pending_order[PENDING_MAX]; /* indices of pending: those in use first */
static size_t n_pending, n_pending_used; /* how many are in use now, and were at most so far */
static size_t n_yielding;                /* how many could go on, but let others have their turn */
static size_t n_joined;                  /* how many wait for a connection that another call began */
static size_t pending_turn;              /* where in pending_order the next tick goes on */

static void pending_watch(struct pending *p, uint32_t events, int operation)
{
    if (watch(operation, p->request.pin, events, EVENT_PENDING + (uint64_t)(p - pending)) < 0)
        p->by_tick = true;
}

/* Must a call be polled, since epoll doesn't say when its socket is ready for it? */
static bool pending_needs_polling(const struct request *r)
{
    return r->later || (r->kind.domain == AF_UNIX && (r->kind.type == SOCK_DGRAM || r->call == CALL_CONNECT));
}

/* The entry that pending_keep uses next. The caller has seen to it that there is one. */
static struct pending *pending_free(void)
{
    if (n_pending == n_pending_used)
        pending_order[n_pending] = (uint16_t)n_pending_used++;
    return &pending[pending_order[n_pending]];
}

/* Keep a request, whose pin is the entry's from now on. */
static struct pending *pending_keep(const struct request *r)
{
    struct pending *p = pending_free();

    *p = (struct pending){.request = *r, .order = (uint16_t)n_pending++};
    n_joined += r->joined;
    n_yielding += r->yields;
    return p;
}

/* Keep a call that couldn't be completed at its first try. */
static void pending_add(struct request *r)
{
    if (n_pending == PENDING_MAX) {
        reply(r, outcome_reply(-ENOBUFS));
        return;
    }
    struct pending *p = pending_keep(r);
    uint64_t timeout = pin_send_timeout(r->pin);
    p->request.was_pending = true;
    p->request.deadline = timeout ? clock_ms() + timeout : 0;
    p->cookie = r->call == CALL_CONNECT && r->kind.domain != AF_UNIX ? pin_cookie(r->pin) : 0;
    p->by_tick = pending_needs_polling(r);
    if (!p->by_tick)
        pending_watch(p, r->yields ? 0 : EPOLLOUT | EPOLLONESHOT, EPOLL_CTL_ADD);
}

static void pending_remove(struct pending *p)
{
    uint16_t last = pending_order[--n_pending];

    n_joined -= p->request.joined;
    n_yielding -= p->request.yields;
    pending_order[p->order] = last;
    pending_order[n_pending] = (uint16_t)(p - pending);
    pending[last].order = p->order;
    p->order = (uint16_t)n_pending;
}

/* Remove an entry. Its pin leaves epoll first: the child's own descriptor keeps the file, and so the watch, alive. */
static void pending_take(struct pending *p)
{
    struct asker_question *q = asker_find(&asker, p->request.question);

    if (q != NULL)
        asker_leave(&asker, q);
    unwatch(p->request.pin);
    pending_remove(p);
}

/* Remove an entry, and answer its call. */
static void pending_end(struct pending *p, struct outcome outcome)
{
    pending_take(p);
    reply(&p->request, outcome);
}

/* A connection was established, has failed or was given up: answer all calls that joined it, as the kernel would. */
static void pending_end_joined(uint64_t cookie, int result)
{
    for (size_t i = n_pending; i-- > 0;) {
        struct pending *p = &pending[pending_order[i]];

        if (p->cookie == cookie)
            pending_end(p, outcome_reply(result));
    }
}

/* Hold a call until the question about it is answered. false: the answer is there already, or nobody will give one. */
static bool pending_hold(struct request *r)
{
    struct pending *place = n_pending < PENDING_MAX ? pending_free() : NULL;
    bool answered = false;
    struct asker_question *q = place ? ask_about(r, (uint32_t)(place - pending) + 1, &answered) : NULL;

    if (q != NULL && !answered) {
        r->question = q->id;
        pending_keep(r);
        return true;
    }
    r->answer = q != NULL ? (enum answer)q->answer : ANSWER_DENY;
    if (q != NULL)
        asker_close(&asker, q);
    return false;
}

/* Run a call, for the first time or after its question was answered; then reply, or keep it. */
static void pending_run(struct request *r)
{
    struct outcome outcome = call_run(r);

    for (unsigned tries = 0; outcome.what == HOLD; tries++) {
        if (tries == ASKS_MAX) /* its destination is another one each time */
            outcome = send_end(r, -r->refusal);
        else if (pending_hold(r))
            return;
        else
            outcome = call_run(r);
    }
    if (outcome.what == PEND) {
        pending_add(r);
        return;
    }
    if (r->call == CALL_CONNECT && n_pending > 0 && r->address.any.sa_family == AF_UNSPEC && outcome.what == REPLY &&
        outcome.value == 0 && socket_is_ip(r->kind))
        pending_end_joined(pin_cookie(r->pin), -EPIPE);
    reply(r, outcome);
}

/* The question about a held call is answered. If a signal has interrupted the call, its repetition gets the answer. */
static void pending_answer(struct pending *p, enum answer answer)
{
    struct asker_question *q = asker_find(&asker, p->request.question);
    struct request r;

    if (q != NULL && !notify_valid(here.listener, p->request.id)) {
        q->answer = (int)answer;
        pending_end(p, (struct outcome){VANISHED, 0});
        return;
    }
    if (q != NULL)
        asker_close(&asker, q);
    p->request.question = 0;
    pending_take(p);
    r = p->request;
    r.answer = answer;
    pending_run(&r);
}

/* Answer all held calls, or those about one subject. */
static void pending_answer_all(const struct subject *subject, enum answer answer)
{
    for (size_t i = n_pending; i-- > 0;) {
        struct pending *p = i < n_pending ? &pending[pending_order[i]] : NULL;

        if (p != NULL && p->request.question != 0 &&
            (subject == NULL || subject_same(&p->request.asked, subject)))
            pending_answer(p, answer);
    }
}

/* Try a call again; `told`: because epoll says that its socket is ready. If that changes nothing (a socket that was
 * shut down before it connects is always "ready"), it is tried on the tick from then on. */
static void pending_retry(struct pending *p, bool told)
{
    struct request *r = &p->request;
    size_t before = r->sent_bytes + r->sent_messages;
    uint64_t cookie = p->cookie;

    n_yielding -= r->yields;
    n_joined -= r->joined;
    r->yields = false;
    struct outcome outcome = call_run(r);
    n_yielding += r->yields;
    n_joined += r->joined;
    if (outcome.what == PEND && r->yields)
        return;
    if (outcome.what == HOLD) { /* its next message, or a change of the policy, has to be asked about */
        pending_take(p);
        struct request held = p->request;
        pending_run(&held);
        return;
    }
    if (outcome.what == PEND) {
        bool moved = r->sent_bytes + r->sent_messages != before;
        if (moved)
            p->again = p->patience = 0;
        p->by_tick = pending_needs_polling(r) || (!moved && (p->by_tick || told));
        if (!p->by_tick)
            pending_watch(p, EPOLLOUT | EPOLLONESHOT, EPOLL_CTL_MOD);
        return;
    }
    pending_end(p, outcome);
    if (cookie != 0 && n_joined > 0 && outcome.what == REPLY)
        pending_end_joined(cookie, outcome.value == 0 ? 0 : -ECONNABORTED);
}

/* Those that let others have their turn go on. */
static void pending_go_on(void)
{
    for (size_t i = n_pending; i-- > 0 && n_yielding > 0;)
        if (i < n_pending && pending[pending_order[i]].request.yields)
            pending_retry(&pending[pending_order[i]], false);
}

/* Has a signal come that interrupts a waiting call (signal(7))? 0: no; else the errno to end the call with. ERESTARTSYS
 * the kernel turns into EINTR or a restart, but only in the thread that it chose for the signal; any other thread would
 * see the number 512 itself. */
static int pending_interruption(const struct pending *p)
{
    const struct request *r = &p->request;
    int restart = r->deadline ? EINTR : KERNEL_ERESTARTSYS;
    struct process_status thread, leader;

    if (process_status_read(r->tid, &thread) < 0)
        return 0;
    if (thread.pending & ~thread.blocked)
        return restart;
    uint64_t shared = thread.shared_pending & ~thread.blocked;
    if (shared != 0) {
        if (r->tid == thread.leader)
            return restart;
        if (process_status_read(thread.leader, &leader) == 0 && (shared & ~leader.blocked) != 0 && leader.state != 'Z')
            return 0; /* the leader's */
        return process_others_block(thread.leader, r->tid, shared) ? restart : EINTR; /* in doubt a public errno */
    }
    if (thread.threads > 1 && process_is_stopped(thread.leader, r->tid))
        return restart;
    return 0;
}

/* The policy has changed while a call waited for an answer: if the rules decide it now, nobody needs to be asked. */
static void pending_judge_held(struct pending *p)
{
    struct request *r = &p->request;

    r->judged = live.order;
    if (r->to.kind != DESTINATION_IP || takes_port(r->call))
        return;
    live_find_scopes_of(r->tid);
    if (is_undecided(&r->to, decide(&r->to)))
        return;
    pending_take(p);
    struct request held = *r;
    held.question = 0;
    pending_run(&held);
}

/* Check on one waiting call: drop it when its caller is gone, end it when a signal came or its time is up. */
static void pending_tick(struct pending *p, uint64_t now)
{
    struct request *r = &p->request;

    if (!notify_valid(here.listener, r->id)) {
        pending_end(p, (struct outcome){VANISHED, 0});
        return;
    }
    int interruption = here.proc && here.killable ? pending_interruption(p) : 0; /* older kernels end it themselves */
    if (interruption != 0) {
        pending_end(p, send_end(r, -interruption));
        return;
    }
    struct asker_question *q = asker_find(&asker, r->question);
    if (q != NULL) {
        if (now >= q->deadline)
            pending_answer(p, ANSWER_DENY);
        else if (r->judged != live.order)
            pending_judge_held(p);
        return;
    }
    if (r->judged != live.order && p->cookie != 0) {
        pending_retry(p, false);
        return;
    }
    if (r->deadline != 0 && now >= r->deadline) {
        bool local = r->kind.domain == AF_UNIX;
        int64_t error = r->call != CALL_CONNECT || local ? -EAGAIN : r->joined ? -EALREADY : -EINPROGRESS;

        pending_end(p, send_end(r, error));
        return;
    }
    if (p->by_tick && now >= p->again) {
        uint64_t most = r->later ? LATER_MAX : PATIENCE_MAX;

        p->patience = p->patience < most ? 2 * p->patience + TICK_MS : most;
        p->again = now + p->patience;
        pending_retry(p, false);
    }
}

static void pending_tick_some(void)
{
    uint64_t now = clock_ms();
    size_t looks = n_pending < TICK_ENTRIES ? n_pending : TICK_ENTRIES;

    while (looks-- > 0 && n_pending > 0 && clock_ms() <= now + TICK_BUDGET_MS) {
        pending_turn = pending_turn == 0 || pending_turn > n_pending ? n_pending : pending_turn;
        pending_tick(&pending[pending_order[--pending_turn]], now);
    }
}

/* A thread makes one call at a time: a new one means that its last one was interrupted. */
static void pending_end_of(pid_t tid)
{
    for (size_t i = n_pending; i-- > 0;)
        if (pending[pending_order[i]].request.tid == tid) {
            pending_end(&pending[pending_order[i]], (struct outcome){VANISHED, 0});
            return;
        }
}

#endif

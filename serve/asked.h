/* asked.h - --ask: questions are sent to the helper, its answers are read */
#ifndef SERVE_ASKED_H
#define SERVE_ASKED_H

#include "pending.h"
#include "../policy/ask.h"
#include "../policy/call.h"
#include "../policy/seen.h"
#include "../sys/asker.h"
#include "../sys/base.h"
#include "../sys/log.h"

#include <sys/epoll.h>
#include <unistd.h>

/* The helper has ended: what waits for an answer is refused. */
static void ask_fail(void)
{
    ask_watch(0, EPOLL_CTL_DEL);
    close(asker.socket);
    asker.socket = ask_helper.socket = -1;
    log_say("nobody answers for --ask any more: what no rule decides is refused");
    pending_answer_all(NULL, ANSWER_DENY);
}

/* Send the questions that wait, as far as the socket takes them. */
static void ask_send(void)
{
    struct asker_question *q;
    int result = asker.socket < 0 ? 0 : asker_flush(&asker);

    while (result == 1 && (q = asker_next(&asker)) != NULL && !ask_waits(q)) {
        struct text more = {.len = 0};
        const struct destination *to = q->holder ? &pending[q->holder - 1].request.to : NULL;
        struct slice name = to && to->kind == DESTINATION_IP ? name_of(to->addr) : (struct slice){NULL, 0};

        if (name.len > 0)
            text_add(&more, ",\"name\":\"%.*s\"", (int)name.len, name.p);
        text_add(&more, "}");
        more.bytes[more.len] = 0;
        asker_send(&asker, q, more.bytes);
        result = asker_flush(&asker);
        if (result == 0)
            ask_watch(EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    if (result < 0)
        ask_fail();
}

/* Act on an answer. A word that isn't known refuses. */
static void ask_take(struct asker_question *q, struct slice word)
{
    unsigned answer = ANSWER_ALLOW;

    while (answer < ANSWERS && !slice_is(word, answer_words[answer]))
        answer++;
    bool allow = answer == ANSWER_ALLOW || answer == ANSWER_ALWAYS;
    bool lasts = answer == ANSWER_ALWAYS || answer == ANSWER_NEVER;
    struct asking about;
    memcpy(&about, q->about, sizeof about);
    lasts = lasts && remember(&about.subject, allow);
    if (q->holder != 0)
        pending_answer(&pending[q->holder - 1], allow ? ANSWER_ALLOW : ANSWER_DENY);
    else
        q->answer = allow ? ANSWER_ALLOW : ANSWER_DENY;
    if (lasts)
        pending_answer_all(&about.subject, allow ? ANSWER_ALLOW : ANSWER_DENY);
}

static void serve_asker(uint32_t events)
{
    struct asker_question *q;
    struct slice word;

    if (events & EPOLLOUT) {
        ask_watch(EPOLLIN, EPOLL_CTL_MOD);
        ask_send();
    }
    int result = asker.socket < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ? -EAGAIN : asker_receive(&asker);
    while ((q = asker_answer(&asker, &word)) != NULL)
        ask_take(q, word);
    if (result < 0 && result != -EAGAIN && asker.socket >= 0)
        ask_fail();
}

#endif

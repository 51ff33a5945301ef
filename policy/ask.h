/* ask.h - --ask: what no rule decides is asked about, where there is somebody to be asked */
#ifndef POLICY_ASK_H
#define POLICY_ASK_H

#include "types.h"
#include "call.h"
#include "events.h"
#include "seen.h"
#include "tell.h"
#include "traps.h"
#include "../sys/asker.h"
#include "../sys/base.h"
#include "../sys/clock.h"
#include "../sys/coprocess.h"
#include "../sys/limits.h"
#include "../sys/log.h"
#include "../sys/process.h"

#include <signal.h>
#include <sys/epoll.h>

enum {
    ASK_WORDS_MAX = 64,     /* of --ask's command */
    ASK_PATIENCE_MS = 1000, /* for it to end by itself */
    SEEN_WAIT_MS = 1000,    /* of a question, for the name of an address */
};

/* Whose question it is: an answer that comes while a signal is handled is the repetition's. */
struct asking {
    uint64_t tid;
    struct subject subject;
};

static const char *const answer_words[ANSWERS] = {"", "allow", "deny", "always", "never"};

static struct asker asker;
static struct coprocess ask_helper = {-1, 0};

/* Answers for the rest of the run, by hash; kind 0 is a free place. */
static struct remembered {
    struct subject subject;
    bool allowed;
} remembered[2 * REMEMBERED_MAX];
static size_t n_remembered;

static struct subject subject_of(const struct destination *to, bool binds)
{
    struct subject subject;

    memset(&subject, 0, sizeof subject); /* padding, too: it is compared whole */
    subject.kind = to->kind;
    subject.binds = binds;
    if (to->kind == DESTINATION_UNIX) {
        subject.device = unix_target.file < 0 ? 0 : unix_target.device;
        subject.inode = unix_target.file < 0 ? 0 : unix_target.inode;
        snprintf(subject.name, sizeof subject.name, "%.*s", UNIXDIAG_NAME_MAX, unix_target.name);
    } else {
        subject.protocol = to->protocol;
        subject.hi = to->addr.hi;
        subject.lo = to->addr.lo;
        subject.version = to->addr.version;
        subject.port = to->port;
    }
    return subject;
}

static bool subject_same(const struct subject *a, const struct subject *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The place of what is remembered of a subject, or of what would be. */
static struct remembered *remembered_find(const struct subject *subject)
{
    const uint8_t *bytes = (const void *)subject;
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

    for (size_t i = 0; i < sizeof *subject; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    for (size_t at = hash % ARRAY_LEN(remembered);; at = (at + 1) % ARRAY_LEN(remembered))
        if (remembered[at].subject.kind == 0 || subject_same(&remembered[at].subject, subject))
            return &remembered[at];
}

/* false: there is no room left. */
static bool remember(const struct subject *subject, bool allowed)
{
    struct remembered *place = remembered_find(subject);

    if (place->subject.kind == 0 && n_remembered == REMEMBERED_MAX)
        return false;
    n_remembered += place->subject.kind == 0;
    *place = (struct remembered){*subject, allowed};
    return true;
}

/* The question about a held call, as a line of JSON that is still open. Empty: there would be too much to say. */
static void ask_compose(struct asker_question *q, const struct request *r)
{
    struct text line = {.len = 0};
    struct event event = {.operation = call_names[r->call]};
    struct process_status status = {.leader = r->tid};
    char name[PROCESS_NAME_MAX];

    process_name(r->tid, name);
    process_status_read(r->tid, &status);
    event_of_destination(&event, &r->to, (struct decision){VERDICT_DENY, 0, RULE_NONE}, takes_port(r->call));
    text_add(&line, "{\"id\":%llu,\"operation\":\"%s\",\"protocol\":\"%s\",\"address\":", (unsigned long long)q->id,
             event.operation, event.protocol);
    text_add_json(&line, event.address);
    if (r->to.kind == DESTINATION_IP)
        text_add(&line, ",\"port\":%u", event.port);
    text_add(&line, ",\"pid\":%d,\"command\":", status.leader);
    text_add_json(&line, name);
    text_add(&line, ",\"allow\":");
    text_add_json(&line, event.allow);
    q->len = line.full ? 0 : line.len;
    memcpy(q->line, line.bytes, q->len);
}

/* How long an answer may take, in milliseconds. */
static uint64_t ask_patience(void)
{
    return 1000ull * (settings.ask_timeout ? settings.ask_timeout : ASK_SECONDS);
}

/* Ask about a held call, whom `holder` stands for. NULL: there is nobody to be asked, or it was asked too often. *now:
 * it has been answered already, while a signal was handled. */
static struct asker_question *ask_about(struct request *r, uint32_t holder, bool *now)
{
    struct asking about = {(uint64_t)r->tid, r->asked};
    uint8_t bytes[ASKER_ABOUT_MAX] = {0};
    uint64_t time = clock_ms();

    _Static_assert(sizeof about <= sizeof bytes, "what is asked about fits");
    memcpy(bytes, &about, sizeof about);
    struct asker_question *q = r->asks++ < ASKS_MAX ? asker_take_up(&asker, bytes, holder, time) : NULL;
    *now = q != NULL && q->answer != 0;
    if (q != NULL || r->asks > ASKS_MAX)
        return q;
    q = asker_open(&asker, bytes, holder, time, time + ask_patience());
    if (q != NULL)
        ask_compose(q, r);
    if (q != NULL && q->len == 0) {
        asker_close(&asker, q);
        q = NULL;
    }
    return q;
}

/* Have epoll tell what there is to do for the questions. */
static void ask_watch(uint32_t events, int operation)
{
    watch(operation, asker.socket, events, EVENT_ASKER);
}

/* Is the name of what is asked about perhaps being looked up still? */
static bool ask_waits(const struct asker_question *q)
{
    return seen_waits() && clock_ms() + ask_patience() < q->deadline + SEEN_WAIT_MS;
}

/* --ask: start who is to be asked, or take the descriptor. */
static void ask_prepare(const sigset_t *mask)
{
    char *words[ASK_WORDS_MAX + 1] = {NULL}, *copy, *rest;
    uint64_t fd = 0;

    asker.socket = -1;
    if (settings.ask == NULL)
        return;
    if (strncmp(settings.ask, "fd:", 3) == 0) {
        parse_uint(slice_of(settings.ask + 3), INT32_MAX, &fd);
        asker.socket = (int)fd;
        for (size_t i = 0; i < settings.n_keep_fds; i++)
            if (settings.keep_fds[i] == asker.socket)
                die("--ask '%s': kept for the command, too, which could then answer; another one would be right",
                    settings.ask);
        return;
    }
    copy = rest = strdup(settings.ask);
    for (size_t n = 0; rest != NULL && n < ASK_WORDS_MAX;) {
        char *word = strsep(&rest, " ");

        if (word[0] != 0)
            words[n++] = word;
    }
    if (rest != NULL || copy == NULL)
        die("--ask '%s': more than %d words; a script would be right", settings.ask, ASK_WORDS_MAX);
    int result = coprocess_start(&ask_helper, words, mask);
    if (result < 0)
        die("--ask '%s': cannot be started: %s; a command that reads questions and writes answers would be right",
            settings.ask, strerror(-result));
    free(copy);
    asker.socket = ask_helper.socket;
}

#endif

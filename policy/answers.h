/* answers.h - control: the answers of a running sandbox to requests (sys/control.h) */
#ifndef POLICY_ANSWERS_H
#define POLICY_ANSWERS_H

#include "types.h"
#include "build.h"
#include "call.h"
#include "change.h"
#include "events.h"
#include "hostsfile.h"
#include "inside.h"
#include "live.h"
#include "options.h"
#include "portremap.h"
#include "tell.h"
#include "../sys/base.h"
#include "../sys/clock.h"
#include "../sys/control.h"
#include "../sys/growing.h"
#include "../sys/limits.h"
#include "../sys/log.h"
#include "../sys/remap.h"

#include <time.h>

/* All requests:
 *
 * request    its fields                             answer's fields
 * status     -                                      name, pid (ours), command-pid, started (seconds of the epoch),
 *                                                   permitted, denied, argument (several), port (several: PROTOCOL,
 *                                                   the number inside, the real one)
 * resolver   -                                      resolver (several), hosts, no-private: how it looks names up
 * policy     pid                                    as status; asks (several: whose changes count, a pid or 0); lost;
 *                                                   open: all that isn't denied is permitted; option (several: a
 *                                                   line of a policy file, at: the addresses of its name); live
 *                                                   (several: ORDER VERB PID LEFT SPEC, as asks; milliseconds, 0: for
 *                                                   ever; - no SPEC)
 * allow,     pid, for (milliseconds), rule          note (several): what else there is to know
 * deny,      (several), each may have an `at` next
 * restrict
 * log        follow                                 event (several: lines of JSON); follow: no end
 * kill       -                                      the connection closes when the sandbox has ended */

struct client {
    int fd; /* owned; < 0: a free place */
    struct growing in, out;
    size_t scanned;   /* of `in`, without finding a message's end */
    size_t sent;      /* of `out` */
    uint64_t active;  /* when it last said something, on the clock of clock_ms */
    bool waits;       /* its next request, if it is there, for its turn */
    bool writes;      /* it is watched for room to send, not for requests */
    bool ended;       /* it won't say any more */
    bool closes;      /* once `out` is sent */
    bool lists;       /* a policy, of which the rest is to come: */
    size_t next_text, next_name;
    bool follows;     /* the log: */
    size_t next_line;
};

static struct {
    int listener, directory;
    time_t started;
    char **arguments;
    struct client clients[CLIENTS_MAX];
    size_t n_waiting;
    bool kills; /* all is to end */
} server; /* there is one where settings.name is */

/* A field whose value may hold anything: what no message can hold becomes another character. */
static void client_add_text(struct client *c, const char *field, struct slice text)
{
    size_t start = c->out.len;

    growing_add(&c->out, "%s %.*s\n", field, (int)text.len, text.p);
    for (size_t i = start; i + 1 < c->out.len; i++)
        if ((unsigned char)c->out.p[i] < 0x20 || c->out.p[i] == 0x7f)
            c->out.p[i] = c->out.p[i] == '\t' ? ' ' : '?';
}

/* Answers: NULL, or what is wrong, where whatever they added is taken back. */
static const char *answer_status(struct client *c, struct slice fields)
{
    (void)fields;
    client_add_text(c, "name", slice_of(settings.name));
    growing_add(&c->out, "pid %d\ncommand-pid %d\nstarted %lld\npermitted %llu\ndenied %llu\n", getpid(), here.command,
                (long long)server.started, (unsigned long long)n_permitted, (unsigned long long)n_denied);
    for (char **argument = server.arguments; *argument != NULL; argument++)
        if (**argument != 0)
            client_add_text(c, "argument", slice_of(*argument));
    for (const struct remap_port *port = NULL; (port = remap_next(&remap, port)) != NULL;)
        growing_add(&c->out, "port %s %u %u\n", port->protocol == IPPROTO_TCP ? "tcp" : "udp", port->asked, port->real);
    return NULL;
}

static const char *answer_resolver(struct client *c, struct slice fields)
{
    (void)fields;
    for (size_t i = 0; i < settings.n_given; i++)
        if (settings.given[i].option->set == set_resolver)
            client_add_text(c, "resolver", slice_of(settings.given[i].value));
    if (policy.hosts != NULL)
        client_add_text(c, "hosts", slice_of(policy.hosts));
    if (policy.no_private)
        growing_add(&c->out, "no-private\n");
    return NULL;
}

/* A rule from the start, and the addresses of its name. Names' rules are in the order of the rules. */
static void list_text(struct client *c)
{
    const struct rule_text *text = &policy.texts[c->next_text];
    char option[40];

    snprintf(option, sizeof option, "option %s", list_options[text->list] + 2);
    client_add_text(c, option, text->text);
    if (c->next_name < policy.n_named && policy.named[c->next_name].tag == c->next_text)
        name_add_at(&c->out, &policy.names[policy.named[c->next_name++].name]);
    c->next_text++;
}

static void list_live(struct client *c, uint64_t order, enum live_verb verb, size_t scope, uint64_t ends,
                      const char *text)
{
    uint64_t now = ends == 0 ? 0 : clock_ms();

    growing_add(&c->out, "live %llu %s %d %llu %s\n", (unsigned long long)order, live_verbs[verb],
                live.scopes[scope].process.pid, (unsigned long long)(ends > now ? ends - now : ends != 0), text);
}

/* The next part of a policy: the rules from the start are as they were, so that it doesn't matter when each is listed;
 * what has changed since is listed at once. */
static void list_more(struct client *c)
{
    while (c->next_text < policy.n_texts && c->out.len < LIST_AT_ONCE)
        list_text(c);
    c->lists = c->next_text < policy.n_texts;
    if (c->lists)
        return;
    for (size_t i = 0; i < live.n_rules; i++)
        if (live.rules[i].places > 0) {
            list_live(c, live.rules[i].order, live.rules[i].verb, live_scope_of(live.rules[i].owner),
                      live.rules[i].ends, live.rules[i].text);
            if (live_rule_at(&live.rules[i])[0] != 0)
                growing_add(&c->out, "at %s\n", live_rule_at(&live.rules[i]));
        }
    for (size_t s = 0; s < LIVE_SCOPES_MAX; s++)
        for (size_t i = 0; i < LIVE_RESTRICTIONS_MAX; i++)
            if (live.scopes[s].restrictions[i].order > 0)
                list_live(c, live.scopes[s].restrictions[i].order, LIVE_RESTRICT, s,
                          live.scopes[s].restrictions[i].ends, "-");
    growing_append(&c->out, slice_of("\n"));
}

/* Whose changes count for a process, the sandbox's first. */
static const char *list_asks(struct client *c, struct slice fields)
{
    struct control_field field;
    uint64_t pid;

    if (!control_next(&fields, &field)) {
        growing_append(&c->out, slice_of("asks 0\n"));
        return NULL;
    }
    if (!slice_is(field.name, "pid") || parse_uint(field.value, INT32_MAX, &pid) < 0 ||
        !is_inside((pid_t)pid, PROCESS_DEPTH_MAX))
        return "no process of that sandbox has this number";
    live_find_scopes_of((pid_t)pid);
    for (size_t i = in_force.n; i-- > 0;)
        growing_add(&c->out, "asks %d\n", live.scopes[in_force.scopes[i]].process.pid);
    if (in_force.lost)
        growing_append(&c->out, slice_of("lost\n"));
    return NULL;
}

static const char *answer_policy(struct client *c, struct slice fields)
{
    const char *error = list_asks(c, fields);

    if (error != NULL)
        return error;
    answer_status(c, fields);
    if (!policy.any[LIST_ALLOW] && policy.any[LIST_DENY])
        growing_append(&c->out, slice_of("open\n"));
    for (size_t i = 0; i < settings.n_given; i++)
        if (settings.given[i].option->kind == OF_POLICY) {
            char name[40];

            snprintf(name, sizeof name, "option %s",
                     settings.given[i].option->name + strspn(settings.given[i].option->name, "-"));
            client_add_text(c, name, slice_of(settings.given[i].value ? settings.given[i].value : ""));
        }
    c->lists = true;
    c->next_text = c->next_name = 0;
    return NULL;
}

/* A change that was made is told where denials are. */
static void change_tell(const char *first)
{
    struct text line = {.len = 0};
    char spec[EVENT_TEXT];

    log_begin(&line);
    text_add(&line, ",\"operation\":\"%s\",\"process\":", live_verbs[change.verb]);
    if (change.pid > 0)
        text_add(&line, "%d", change.pid);
    else
        text_add(&line, "null");
    text_add(&line, ",\"rules\":%zu,\"first\":", change.n_specs);
    snprintf(spec, sizeof spec, "%s", first);
    text_add_json(&line, spec);
    text_add(&line, ",\"seconds\":%llu}\n", (unsigned long long)(change.duration / 1000));
    log_tell(&line);
}

/* Read a change's fields. NULL, or what is wrong with *what. */
static const char *change_read(struct slice fields, struct slice *what)
{
    struct control_field field, next;
    const char *error = NULL;
    uint64_t number;

    change.pid = 0;
    change.duration = 0;
    change.shut = NULL;
    while (error == NULL && control_next(&fields, &field)) {
        struct slice rest = fields, at = {NULL, 0};

        *what = field.value;
        if (slice_is(field.name, "rule")) {
            if (control_next(&rest, &next) && slice_is(next.name, "at")) {
                at = next.value;
                fields = rest;
            }
            error = change_add_spec(field.value, at);
        } else if (slice_is(field.name, "pid")) {
            error = parse_uint(field.value, INT32_MAX, &number) < 0 || number == 0 ? "no process" : NULL;
            change.pid = error ? 0 : (pid_t)number;
        } else if (slice_is(field.name, "for")) {
            error = parse_uint(field.value, LIVE_TIME_MAX * 1000ull, &change.duration) < 0 ? "no duration" : NULL;
        } else {
            *what = field.name;
            error = "no field of a change";
        }
    }
    if (error == NULL && change.n_specs == 0 && change.verb != LIVE_RESTRICT) {
        *what = slice_of(live_verbs[change.verb]);
        error = "needs a rule";
    }
    return error;
}

static const char *answer_change(struct client *c, struct slice fields, enum live_verb verb)
{
    static char message[MESSAGE_MAX];
    struct slice what = {NULL, 0};
    char first[EVENT_TEXT] = "";

    change.verb = verb;
    const char *error = change_read(fields, &what);
    bool local = change.n_unix > 0;
    if (change.n_specs > 0)
        snprintf(first, sizeof first, "%s", change.texts[0]);
    if (error != NULL)
        snprintf(message, sizeof message, "'%.*s': %s", (int)what.len, what.p ? what.p : "", error);
    else if (change.shut != NULL)
        snprintf(message, sizeof message, "%s don't exist in that sandbox: run --live, or with a rule for them, has "
                 "them", change.shut);
    if (error == NULL && change.shut == NULL)
        error = change_apply();
    else
        error = message;
    if (error == NULL) {
        change_tell(first);
        if (live.names_changed && !hosts_show_live())
            growing_add(&c->out, "note names aren't shown in its /etc/hosts: run --live shows those of live rules\n");
        if (verb == LIVE_ALLOW && local && !policy.traps_sends)
            growing_add(&c->out, "note unix datagram sockets don't exist in it: run --live has them\n");
    }
    change_drop();
    return error;
}

static const char *answer_allow(struct client *c, struct slice fields)
{
    return answer_change(c, fields, LIVE_ALLOW);
}

static const char *answer_deny(struct client *c, struct slice fields)
{
    return answer_change(c, fields, LIVE_DENY);
}

static const char *answer_restrict(struct client *c, struct slice fields)
{
    return answer_change(c, fields, LIVE_RESTRICT);
}

/* The lines that are kept and weren't sent yet. */
static void list_lines(struct client *c)
{
    if (n_kept_lines > LOG_KEPT && c->next_line < n_kept_lines - LOG_KEPT)
        c->next_line = n_kept_lines - LOG_KEPT;
    for (; c->next_line < n_kept_lines; c->next_line++) {
        const struct text *line = &kept_lines[c->next_line % LOG_KEPT];

        growing_append(&c->out, (struct slice){line->bytes, line->len});
    }
}

static const char *answer_log(struct client *c, struct slice fields)
{
    struct control_field field;

    c->next_line = 0;
    c->follows = control_next(&fields, &field) && slice_is(field.name, "follow");
    list_lines(c);
    return NULL;
}

static const char *answer_kill(struct client *c, struct slice fields)
{
    (void)c;
    (void)fields;
    server.kills = true;
    return NULL;
}

static const struct {
    const char *verb;
    const char *(*answer)(struct client *c, struct slice fields);
} answers[] = {
    {"status", answer_status}, {"resolver", answer_resolver}, {"policy", answer_policy},     {"allow", answer_allow},
    {"deny", answer_deny},     {"restrict", answer_restrict}, {"log", answer_log},           {"kill", answer_kill},
};

/* Answer a whole message. */
static void client_answer(struct client *c, struct slice bytes)
{
    struct control_message message;
    size_t before = c->out.len;
    int result = control_parse(bytes, &message);
    const char *error = result == -EPROTONOSUPPORT ? "another version of the protocol" : "no message of the protocol";

    c->closes = c->closes || result < 0;
    growing_add(&c->out, "sandlock %d ok\n", CONTROL_VERSION);
    if (result == 0)
        error = "no request that is known";
    for (size_t i = 0; result == 0 && i < ARRAY_LEN(answers); i++)
        if (slice_is(message.verb, answers[i].verb)) {
            error = answers[i].answer(c, message.fields);
            break;
        }
    if (error != NULL) {
        c->out.len = before;
        growing_add(&c->out, "sandlock %d error %s\n", CONTROL_VERSION, error);
    }
    if (!c->lists && !c->follows)
        growing_append(&c->out, slice_of("\n"));
}

#endif

/* events.h - how what was decided is written, for people and for programs */
#ifndef POLICY_EVENTS_H
#define POLICY_EVENTS_H

#include "types.h"
#include "rules.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/http.h"
#include "../sys/limits.h"
#include "../sys/log.h"
#include "../sys/process.h"
#include "../sys/proxychannel.h"
#include "../sys/tally.h"

#include <limits.h>

enum { EVENT_TEXT = TALLY_TEXT, EVENT_NAME = 160, SUMMARY_MAX = 20 };

/* One decision, as it is told. Strings are empty where there is nothing to say. */
struct event {
    const char *operation;        /* connect, sendto, socket ... */
    char subject[EVENT_TEXT];     /* tcp 10.0.0.1:443 */
    char protocol[64], address[EVENT_TEXT];
    unsigned port;
    char method[HTTP_METHOD_MAX + 1], host[HTTP_HOST_MAX + 1], path[PROXY_PATH_MAX]; /* of a request */
    enum verdict verdict;
    char rule[EVENT_TEXT];        /* the one that decided, as an option */
    char allow[EVENT_TEXT];       /* what would permit it, as an option */
};

/* What was denied and what was permitted, told apart. */
static struct tally seen_denied, seen_allowed;

/* The last lines of the log, for who asks a running sandbox for them, and who gets all that are to come. */
static struct text kept_lines[LOG_KEPT];
static size_t n_kept_lines; /* in all */
static struct log_file followers[CLIENTS_MAX];
static size_t n_followers;

/* Write a line to the log, and to all who follow it. */
static void log_tell(struct text *line)
{
    struct text *kept = &kept_lines[n_kept_lines % LOG_KEPT];

    log_write(&log_to, line);
    if (settings.name == NULL)
        return;
    *kept = (struct text){.len = 0};
    text_add(kept, "event %.*s", (int)line->len, line->bytes);
    n_kept_lines += !kept->full;
    for (size_t i = 0; i < n_followers && !kept->full; i++)
        log_write(&followers[i], kept);
}

static void follower_remove(int fd)
{
    for (size_t i = n_followers; i-- > 0;)
        if (followers[i].fd == fd)
            followers[i] = followers[--n_followers];
}

static void event_tell_json(const struct event *event, pid_t pid, const char *name, uint64_t count)
{
    struct text line = {.len = 0};

    log_begin(&line);
    text_add(&line, ",\"pid\":%d,\"command\":", pid);
    text_add_json(&line, name);
    text_add(&line, ",\"operation\":\"%s\",\"protocol\":\"%s\"", event->operation, event->protocol);
    if (event->address[0] != 0) {
        text_add(&line, ",\"address\":");
        text_add_json(&line, event->address);
        text_add(&line, ",\"port\":%u", event->port);
    }
    const struct {
        const char *name, *value;
    } of_request[] = {{"method", event->method}, {"host", event->host}, {"path", event->path}};
    for (size_t i = 0; i < ARRAY_LEN(of_request); i++)
        if (of_request[i].value[0] != 0) {
            text_add(&line, ",\"%s\":", of_request[i].name);
            text_add_json(&line, of_request[i].value);
        }
    text_add(&line, ",\"verdict\":\"%s\",\"rule\":", event->verdict == VERDICT_DENY ? "denied" : "allowed");
    if (event->rule[0] != 0)
        text_add_json(&line, event->rule);
    else
        text_add(&line, "null");
    if (event->verdict == VERDICT_DENY && event->allow[0] != 0) {
        text_add(&line, ",\"allow\":");
        text_add_json(&line, event->allow);
    }
    text_add(&line, ",\"count\":%llu", (unsigned long long)count);
    if (log_to.lost > 0)
        text_add(&line, ",\"lost\":%llu", (unsigned long long)log_to.lost);
    text_add(&line, "}\n");
    log_tell(&line);
}

static void event_tell_text(const struct event *event, pid_t pid, const char *name, uint64_t count)
{
    struct text line = {.len = 0};

    text_add(&line, "denied %s %s by %s[%d]", event->operation, event->subject, name, pid);
    if (count > 1)
        text_add(&line, ", %llu times by now", (unsigned long long)count);
    if (event->allow[0] != 0)
        text_add(&line, ": allow it with %s", event->allow);
    else if (event->rule[0] != 0)
        text_add(&line, ": refused by %s", event->rule);
    else
        text_add(&line, ": no rule allows it");
    log_say("%.*s", (int)line.len, line.bytes);
}

static void event_tell(const struct event *event, pid_t tid)
{
    struct process_status status = {.leader = tid};
    char name[PROCESS_NAME_MAX];
    bool refused = event->verdict == VERDICT_DENY;

    if (!refused && !settings.log_allowed)
        return;
    struct tally *seen = refused ? &seen_denied : &seen_allowed;
    uint64_t count = tally_count(seen, event->operation, event->subject, event->allow);
    if (!tally_is_told(count) || (!(refused && settings.verbose) && log_to.fd < 0 && settings.name == NULL))
        return;
    process_name(tid, name);
    process_status_read(tid, &status);
    event_tell_json(event, status.leader, name, count);
    if (refused && settings.verbose)
        event_tell_text(event, status.leader, name, count);
}

/* What was denied, most of it once: at the end, for who sits at a terminal or asked by -v. */
static void events_summarize(void)
{
    if (settings.quiet)
        return;
    if (log_to.lost > 0)
        say("the log lost %llu lines: its reader was too slow", (unsigned long long)log_to.lost);
    if (!settings.verbose && !isatty(STDERR_FILENO))
        return;
    for (size_t i = 0; i < seen_denied.n && i < SUMMARY_MAX; i++) {
        const struct tally_entry *entry = &seen_denied.entries[i];

        if (i == 0)
            say("denied in all:");
        say("  %s, %llu time%s%s%s", entry->subject, (unsigned long long)entry->count, entry->count == 1 ? "" : "s",
            entry->advice[0] ? ": " : "", entry->advice);
    }
    if (seen_denied.n > SUMMARY_MAX)
        say("  and %llu more", (unsigned long long)(seen_denied.n - SUMMARY_MAX + seen_denied.left_out));
}

#endif

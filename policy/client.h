/* client.h - commands for running sandboxes: ps, allow, deny, restrict, log, kill */
#ifndef POLICY_CLIENT_H
#define POLICY_CLIENT_H

#include "types.h"
#include "rules.h"
#include "build.h"
#include "options.h"
#include "call.h"
#include "live.h"
#include "change.h"
#include "../sys/base.h"
#include "../sys/control.h"
#include "../sys/controlsock.h"
#include "../sys/growing.h"
#include "../sys/log.h"
#include "../sys/process.h"

#include <limits.h>
#include <netinet/in.h>

/* Their options. */
static struct {
    const char *pid, *duration; /* as they were given; NULL: not */
    bool json, follow;
} client_given;

/* Take the options out of argv, wherever they stand. What is left, its operands. */
static char **client_options(char **argv)
{
    int n = 0;

    for (int i = 0; argv[i] != NULL; i++) {
        const char *equals = strchr(argv[i], '=');
        struct slice name = {argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i])};
        const char **value = slice_is(name, "--pid") ? &client_given.pid
                             : slice_is(name, "--for") ? &client_given.duration
                             : slice_is(name, "--control") ? &settings.control : NULL;

        if (strcmp(argv[i], "--") == 0) {
            while (argv[++i] != NULL)
                argv[n++] = argv[i];
            break;
        } else if (value != NULL) {
            *value = equals ? equals + 1 : argv[i + 1];
            i += equals == NULL;
            if (*value == NULL)
                die("%.*s: needs a value", (int)name.len, name.p);
        } else if (strcmp(argv[i], "--json") == 0) {
            client_given.json = true;
        } else if (strcmp(argv[i], "-f") == 0) {
            client_given.follow = true;
        } else if (argv[i][0] == '-' && argv[i][1] != 0) {
            die("%s: no option of this command; sandlock --help says more", argv[i]);
        } else {
            argv[n++] = argv[i];
        }
    }
    argv[n] = NULL;
    return argv;
}

/* Where control sockets are. */
static const char *client_directory(void)
{
    const char *path = control_directory();

    if (path == NULL)
        die("XDG_RUNTIME_DIR isn't set; --control DIR, as the sandbox has it, would be right");
    return path;
}

/* Is it a process inside of a sandbox that listens there, in the place of a supervisor? It can't hide that one of its
 * ancestors is called so; who has ended hides who they were, which no supervisor that answers has. */
static bool client_is_deceived(pid_t holder)
{
    uint64_t started;
    char name[PROCESS_NAME_MAX] = "";

    for (int depth = 0; holder > 1 && depth < PROCESS_SCAN_MAX && strcmp(name, "sandlock") != 0; depth++) {
        pid_t parent = process_parent(holder, &started);

        if (kill(holder, 0) < 0 && errno == ESRCH)
            return true;
        holder = parent;
        if (holder > 0)
            process_name(holder, name);
    }
    return strcmp(name, "sandlock") == 0;
}

/* Connect to a sandbox. A descriptor, or -errno. */
static int client_try(const char *name)
{
    static const struct timeval patience = {.tv_sec = 10};
    int fd = controlsock_connect(client_directory(), name);

    if (fd < 0)
        return fd;
    pid_t holder = controlsock_holder(fd, geteuid(), name);
    if (holder >= 0 && client_is_deceived(holder))
        holder = -EBADMSG;
    if (holder < 0) {
        close(fd);
        return holder;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static int client_connect(const char *name)
{
    int fd = controlsock_name_valid(name) ? client_try(name) : -ENOENT;

    if (fd == -ENOENT || fd == -ECONNREFUSED)
        die("no sandbox '%s' runs; sandlock ps lists those that do, in %s", name, client_directory());
    if (fd == -EBADMSG)
        die("'%s': a process inside of a sandbox took its name; killing that sandbox would be right", name);
    if (fd < 0)
        die("cannot ask '%s' in %s: %s", name, client_directory(), strerror(-fd));
    return fd;
}

/* Send a request. 0 or -errno. */
static int client_try_request(int fd, const struct growing *request)
{
    for (size_t sent = 0; sent < request->len;) {
        ssize_t n = send(fd, request->p + sent, request->len - sent, MSG_NOSIGNAL);

        if (n < 0)
            return -errno;
        sent += (size_t)n;
    }
    return 0;
}

static void client_request(int fd, const struct growing *request)
{
    int result = client_try_request(fd, request);

    if (result < 0)
        die("cannot ask: %s", result == -EAGAIN ? "it doesn't answer" : strerror(-result));
}

/* Read an answer whole. 0; -EAGAIN: none came; other -errno. The bytes are *room's. */
static int client_read_answer(int fd, struct growing *room, struct control_message *answer)
{
    size_t len = 0, scanned = 0;

    while (len == 0) {
        if (!growing_reserve(room, 65536))
            return -ENOMEM;
        ssize_t n = recv(fd, room->p + room->len, room->room - room->len, 0);
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        room->len += (size_t)n;
        len = control_length(growing_slice(room), scanned);
        scanned = room->len;
    }
    return control_parse((struct slice){room->p, len}, answer);
}

/* Ask one thing, and die where the answer is an error. The fields of the answer, which live to exit. */
static struct slice client_ask(int fd, const char *name, const struct growing *request)
{
    struct growing room = {.p = NULL};
    struct control_message answer;

    client_request(fd, request);
    int result = client_read_answer(fd, &room, &answer);
    if (result < 0)
        die("'%s' doesn't answer: %s", name, strerror(-result));
    if (!slice_is(answer.verb, "ok"))
        die("%.*s", (int)answer.text.len, answer.text.p);
    return answer.fields;
}

static struct growing client_verb(const char *verb)
{
    struct growing request = {.p = NULL};

    growing_add(&request, "sandlock %d %s\n", CONTROL_VERSION, verb);
    return request;
}

/* Look names up as the sandbox does. */
static void client_take_resolver(int fd, const char *name)
{
    struct growing request = client_verb("resolver");
    struct control_field field;

    growing_append(&request, slice_of("\n"));
    for (struct slice fields = client_ask(fd, name, &request); control_next(&fields, &field);) {
        char *value = strndup(field.value.p ? field.value.p : "", field.value.len); /* lives to exit */

        if (value == NULL)
            die("out of memory");
        if (slice_is(field.name, "resolver"))
            set_resolver(value);
        else if (slice_is(field.name, "hosts"))
            set_hosts(value);
        else if (slice_is(field.name, "no-private"))
            policy.no_private = true;
    }
}

/* The addresses of a rule's name, or what a unix rule's path is now; next_*: where the rule's are. */
static void client_add_at(struct growing *request, size_t rule, size_t *next_named, size_t *next_unix)
{
    if (*next_unix < policy.n_unix_rules && policy.unix_rules[*next_unix].tag == rule) {
        const struct unix_rule *found = &policy.unix_rules[(*next_unix)++];

        if (found->kind == UNIX_PATH || found->kind == UNIX_BELOW)
            growing_add(request, "at %llu %llu %s\n", (unsigned long long)found->device,
                        (unsigned long long)found->inode, found->text);
    }
    if (*next_named < policy.n_named && policy.named[*next_named].tag == rule)
        name_add_at(request, &policy.names[policy.named[(*next_named)++].name]);
}

/* allow, deny, restrict NAME SPEC...: names are looked up here, so that the sandbox never waits. */
static int change_command(enum live_verb verb, char **operands)
{
    struct growing request = client_verb(live_verbs[verb]);
    enum rule_list list = verb == LIVE_DENY ? LIST_DENY : LIST_ALLOW;
    struct control_field field;
    unsigned seconds = client_given.duration ? parse_duration("--for", client_given.duration, LIVE_TIME_MAX) : 0;
    uint64_t pid;

    if (operands[0] == NULL || (operands[1] == NULL && verb != LIVE_RESTRICT))
        die("%s: needs a sandbox's name and a rule; sandlock %s NAME 10.0.0.1:443 would be right", live_verbs[verb],
            live_verbs[verb]);
    list_options[list] = live_verbs[verb]; /* what errors begin with */
    for (char **spec = operands + 1; *spec != NULL; spec++)
        set_rule(list, *spec);
    if (client_given.pid != NULL && (parse_uint(slice_of(client_given.pid), INT32_MAX, &pid) < 0 || pid == 0))
        die("--pid '%s': not a process; a number that ps shows would be right", client_given.pid);
    int fd = client_connect(operands[0]);
    if (policy.n_names > 0)
        client_take_resolver(fd, operands[0]);
    policy_resolve();
    if (client_given.pid != NULL)
        growing_add(&request, "pid %llu\n", (unsigned long long)pid);
    if (seconds > 0)
        growing_add(&request, "for %llu\n", seconds * 1000ull);
    for (size_t i = 0, named = 0, local = 0; i < policy.n_texts; i++) {
        size_t start = request.len;

        growing_add(&request, "rule %.*s\n", (int)policy.texts[i].text.len, policy.texts[i].text.p);
        for (size_t at = start; at + 1 < request.len; at++)
            request.p[at] = request.p[at] == '\t' ? ' ' : request.p[at];
        client_add_at(&request, i, &named, &local);
    }
    growing_append(&request, slice_of("\n"));
    if (request.failed || request.len > CONTROL_REQUEST_MAX)
        die("%s: too many rules at once", live_verbs[verb]);
    for (struct slice notes = client_ask(fd, operands[0], &request); control_next(&notes, &field);)
        say("%.*s", (int)field.value.len, field.value.p ? field.value.p : "");
    return 0;
}

static int allow_command(char **operands)
{
    return change_command(LIVE_ALLOW, operands);
}

static int deny_command(char **operands)
{
    return change_command(LIVE_DENY, operands);
}

static int restrict_command(char **operands)
{
    return change_command(LIVE_RESTRICT, operands);
}

/* kill NAME: returns when it has ended. */
static int kill_command(char **operands)
{
    static const struct timeval forever;
    struct growing request = client_verb("kill");
    char rest[64];

    if (operands[0] == NULL || operands[1] != NULL)
        die("kill: needs a sandbox's name; sandlock kill NAME would be right");
    growing_append(&request, slice_of("\n"));
    int fd = client_connect(operands[0]);
    client_ask(fd, operands[0], &request);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    while (recv(fd, rest, sizeof rest, 0) > 0)
        ;
    return 0;
}

/* log NAME: its last lines; with -f those to come as well, until it ends. */
static int log_command(char **operands)
{
    static const struct timeval forever;
    struct growing request = client_verb("log");
    struct growing room = {.p = NULL};

    if (operands[0] == NULL || operands[1] != NULL)
        die("log: needs a sandbox's name; sandlock log NAME -f would be right");
    growing_append(&request, slice_of(client_given.follow ? "follow\n\n" : "\n"));
    int fd = client_connect(operands[0]);
    client_request(fd, &request);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    for (;;) {
        struct slice rest = growing_slice(&room);
        const char *end = rest.len > 0 ? memrchr(rest.p, '\n', rest.len) : NULL;
        size_t whole = end ? (size_t)(end + 1 - rest.p) : 0;

        for (rest.len = whole; rest.len > 0;) {
            struct slice line = slice_split(&rest, '\n');
            struct slice word = slice_split(&line, ' ');

            if (slice_is(word, "event") && (printf("%.*s\n", (int)line.len, line.p) < 0 || fflush(stdout) != 0))
                return EXIT_OURS;
            if (word.len == 0 && rest.p != NULL)
                return 0;
        }
        memmove(room.p, room.p + whole, room.len - whole);
        room.len -= whole;
        ssize_t n = growing_reserve(&room, 65536) ? recv(fd, room.p + room.len, room.room - room.len, 0) : -1;
        if (n <= 0)
            return 0;
        room.len += (size_t)n;
    }
}

/* What a sandbox says of itself. */
struct status {
    struct slice name, pid, command_pid, permitted, denied;
    uint64_t started;
    struct growing command; /* its arguments, with spaces between */
    struct slice fields;
};

static void status_read(struct slice fields, struct status *status)
{
    struct control_field field;

    *status = (struct status){.fields = fields};
    while (control_next(&fields, &field)) {
        struct slice *const to = slice_is(field.name, "name") ? &status->name
                                 : slice_is(field.name, "pid") ? &status->pid
                                 : slice_is(field.name, "command-pid") ? &status->command_pid
                                 : slice_is(field.name, "permitted") ? &status->permitted
                                 : slice_is(field.name, "denied") ? &status->denied : NULL;

        if (to != NULL)
            *to = field.value;
        else if (slice_is(field.name, "started"))
            parse_uint(field.value, UINT32_MAX, &status->started);
        else if (slice_is(field.name, "argument"))
            growing_add(&status->command, "%s%.*s", status->command.len ? " " : "", (int)field.value.len,
                        field.value.p);
    }
}

/* Ports that have another number inside. */
static void ps_print_ports(const struct status *status)
{
    struct control_field field;
    bool first = true;

    for (struct slice fields = status->fields; control_next(&fields, &field);) {
        if (!slice_is(field.name, "port"))
            continue;
        struct slice protocol = slice_split(&field.value, ' '), asked_port = slice_split(&field.value, ' ');
        const char *format = client_given.json ? "%s{\"protocol\":\"%.*s\",\"port\":%.*s,\"real\":%.*s}"
                                        : "%s    port %.*s %.*s is %.*s outside\n";
        printf(format, !client_given.json ? "" : first ? "" : ",", (int)protocol.len, protocol.p, (int)asked_port.len,
               asked_port.p, (int)field.value.len, field.value.p);
        first = false;
    }
}

static void ps_print_json(const struct status *status, bool first)
{
    struct text line = {.len = 0};
    char text[256];

    snprintf(text, sizeof text, "%.*s", (int)status->name.len, status->name.p);
    text_add(&line, "%s{\"name\":", first ? "" : ",\n");
    text_add_json(&line, text);
    text_add(&line,
             ",\"supervisor\":%.*s,\"pid\":%.*s,\"started\":%llu,\"permitted\":%.*s,\"denied\":%.*s,\"command\":",
             (int)status->pid.len, status->pid.p, (int)status->command_pid.len, status->command_pid.p,
             (unsigned long long)status->started, (int)status->permitted.len, status->permitted.p,
             (int)status->denied.len, status->denied.p);
    snprintf(text, sizeof text, "%.*s", (int)status->command.len, status->command.p ? status->command.p : "");
    text_add_json(&line, text);
    printf("%s,\"ports\":[", line.bytes);
    ps_print_ports(status);
    printf("]}");
}

static void ps_print(const struct status *status)
{
    uint64_t now = (uint64_t)time(NULL), seconds = now > status->started ? now - status->started : 0;
    char age[32];

    snprintf(age, sizeof age, "%llu:%02llu:%02llu", (unsigned long long)seconds / 3600,
             (unsigned long long)seconds / 60 % 60, (unsigned long long)seconds % 60);
    printf("%-16.*s %7.*s %9s %9.*s %9.*s  %.*s\n", (int)status->name.len, status->name.p,
           (int)status->command_pid.len, status->command_pid.p, age, (int)status->permitted.len, status->permitted.p,
           (int)status->denied.len, status->denied.p, (int)status->command.len,
           status->command.p ? status->command.p : "");
    ps_print_ports(status);
}

/* One sandbox's line, where it answers. Whether it did. */
static bool ps_one(int directory, const char *name, bool first)
{
    struct growing request = client_verb("status"), room = {.p = NULL};
    struct control_message answer;
    struct status status;
    int fd CLOSE_FD = client_try(name);

    if (fd == -ECONNREFUSED)
        controlsock_remove_stale(directory, client_directory(), name);
    growing_append(&request, slice_of("\n"));
    bool answers_us = fd >= 0 && client_try_request(fd, &request) == 0 &&
                      client_read_answer(fd, &room, &answer) == 0 && slice_is(answer.verb, "ok");
    if (answers_us) {
        status_read(answer.fields, &status);
        if (client_given.json)
            ps_print_json(&status, first);
        else
            ps_print(&status);
    }
    free(request.p);
    free(room.p);
    return answers_us;
}

/* ps [--json]: the sandboxes that run, by name. */
static int ps_command(char **operands)
{
    struct dirent **entries;
    int directory CLOSE_FD = controlsock_open_directory(client_directory(), false);
    bool first = true;

    if (operands[0] != NULL)
        die("ps '%s': takes no name; sandlock ps alone would be right", operands[0]);
    if (directory < 0 && directory != -ENOENT)
        die("cannot look into %s: %s", client_directory(), strerror(-directory));
    int n = directory < 0 ? 0 : scandir(client_directory(), &entries, NULL, alphasort);
    printf(client_given.json ? "[" : "NAME                 PID      TIME PERMITTED    DENIED  COMMAND\n");
    for (int i = 0; i < n; i++)
        if (controlsock_name_valid(entries[i]->d_name))
            first = !ps_one(directory, entries[i]->d_name, first) && first;
    printf(client_given.json ? "]\n" : "");
    return 0;
}

#endif

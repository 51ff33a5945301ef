/* learnfile.h - learning: the policy that would have sufficed, as a file for --policy */
#ifndef POLICY_LEARNFILE_H
#define POLICY_LEARNFILE_H

#include "types.h"
#include "learn.h"
#include "rules.h"
#include "ruleset.h"
#include "seen.h"
#include "../sys/addr.h"
#include "../sys/base.h"
#include "../sys/dns.h"
#include "../sys/growing.h"
#include "../sys/process.h"
#include "../sys/resolvconf.h"
#include "../sys/special.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <unistd.h>

enum { LEARN_COLUMN = 56 }; /* where comments begin */

/* One rule's target with one range of ports; lines are made of those that are alike. */
struct learned_piece {
    enum piece_kind { PIECE_NAME, PIECE_ADDRESS, PIECE_UNIX, PIECE_BIND } kind;
    enum protocol protocol;
    char *target; /* owned; empty: every address */
    uint32_t first, last; /* ports; all of them where it begins with 0 */
    uint64_t commands[LEARNED_COMMANDS / 64];
};

static struct learned_piece *learned_pieces;
static size_t n_pieces, piece_room;

static void piece_add(enum piece_kind kind, const struct learned *note, const char *target)
{
    learned_pieces = grow(learned_pieces, n_pieces, &piece_room, sizeof *learned_pieces);
    struct learned_piece *piece = &learned_pieces[n_pieces++];
    *piece = (struct learned_piece){.kind = kind, .protocol = note->protocol, .target = strdup(target),
                                    .first = note->any_port ? 0 : note->port,
                                    .last = note->any_port ? UINT16_MAX : note->port};
    if (piece->target == NULL)
        die("cannot write the policy: out of memory");
    memcpy(piece->commands, note->commands, sizeof piece->commands);
}

/* A name's text as a rule has it: the words of ranges are other names' only with the root's dot. */
static void piece_add_name(const struct learned *note, const char *name)
{
    char text[DNS_NAME_MAX + 2];

    snprintf(text, sizeof text, "%.*s%s", DNS_NAME_MAX, name,
             special_word_of(slice_of(name)) < SPECIAL_WORDS ? "." : "");
    piece_add(PIECE_NAME, note, text);
}

/* The search list may have made this name of a shorter one, which then is what the command looks up again. */
static void piece_add_short(const struct learned *note, const char *name)
{
    char domain[DNS_NAME_MAX + 1], text[DNS_NAME_MAX + 1];
    size_t len = strlen(name);

    for (size_t i = 0; i < policy.resolvconf.n_search; i++) {
        size_t end = dns_name_text(&policy.resolvconf.search[i], domain) ? strlen(domain) : 0;

        if (end == 0 || len <= end + 1 || name[len - end - 1] != '.' || strcmp(name + len - end, domain) != 0)
            continue;
        snprintf(text, sizeof text, "%.*s", (int)(len - end - 1), name);
        if (rule_is_name(slice_of(text)))
            piece_add_name(note, text);
    }
}

/* Has any of a name's addresses been reached? */
static bool seen_reached[SEEN_NAMES_MAX];

static void seen_mark_reached(void)
{
    for (size_t i = 0; i < n_seen_addrs; i++)
        for (size_t k = 0; k < n_learned; k++)
            if (learned[k].kind == LEARNED_REACH && ip_addr_equal(learned[k].addr, seen_addrs[i].addr))
                seen_reached[seen_addrs[i].name] = true;
}

/* A destination, by the names that it has and that were looked up, or by its address. */
static void pieces_of_destination(const struct learned *note)
{
    char addr[IP_TEXT_MAX];
    size_t at = 0, name;
    bool named = false;

    while ((name = seen_find(note->addr, &at)) < SEEN_NAMES_MAX) {
        piece_add_name(note, seen_names[name].text);
        piece_add_short(note, seen_names[name].text);
        named = true;
    }
    struct slice known = named ? (struct slice){NULL, 0} : hosts_name_of(note->addr);
    if (known.len > 0) {
        char text[DNS_NAME_MAX + 1];

        snprintf(text, sizeof text, "%.*s", (int)known.len, known.p);
        piece_add_name(note, text);
        named = true;
    }
    if (named)
        return;
    ip_addr_format(addr, sizeof addr, note->addr);
    piece_add(PIECE_ADDRESS, note, addr);
    if (note->hint > 0 && !seen_reached[note->hint - 1]) /* its servers gave another address than ours */
        piece_add_name(note, seen_names[note->hint - 1].text);
}

/* Was something else done at this address, or has it a name that was looked up? Then a UDP connect without a send is
 * how libc learns by which of its own addresses it is reached. */
static bool learned_elsewhere(const struct learned *note)
{
    size_t at = 0;

    for (size_t i = 0; i < n_learned; i++)
        if (&learned[i] != note && learned[i].kind == LEARNED_REACH && ip_addr_equal(learned[i].addr, note->addr) &&
            (learned[i].protocol != PROTOCOL_UDP || learned[i].sent))
            return true;
    return seen_find(note->addr, &at) < SEEN_NAMES_MAX || hosts_name_of(note->addr).len > 0;
}

/* Can a policy file have this value: no line breaks, no comment, nothing that would be cut off? */
static bool line_can_have(const char *value)
{
    size_t len = strlen(value);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f || (value[i] == '#' && i > 0 && value[i - 1] == ' '))
            return false;
    return len > 0 && value[len - 1] != ' ';
}

static bool learned_is_rule(const struct learned *note)
{
    switch (note->kind) {
    case LEARNED_REACH:
        return !(note->asks && !note->asks_beyond) &&
               (note->protocol != PROTOCOL_UDP || note->sent || !learned_elsewhere(note));
    case LEARNED_BIND:
        return true;
    case LEARNED_UNIX:
        return line_can_have(note->text);
    case LEARNED_REFUSED:
        break;
    }
    return false;
}

static void pieces_of(const struct learned *note)
{
    char text[IP_TEXT_MAX] = "";

    switch (note->kind) {
    case LEARNED_REACH:
        pieces_of_destination(note);
        break;
    case LEARNED_BIND:
        if (!ip_addr_is_unspecified(note->addr))
            ip_addr_format(text, sizeof text, note->addr);
        piece_add(PIECE_BIND, note, text);
        break;
    case LEARNED_UNIX:
        piece_add(PIECE_UNIX, note, note->text);
        break;
    case LEARNED_REFUSED:
        break;
    }
}

static int piece_order(const void *a, const void *b)
{
    const struct learned_piece *x = a, *y = b;
    int order = (int)x->kind - (int)y->kind;

    order = order ? order : (int)x->protocol - (int)y->protocol;
    order = order ? order : strcmp(x->target, y->target);
    return order ? order : (int)x->first - (int)y->first;
}

static bool piece_alike(const struct learned_piece *a, const struct learned_piece *b)
{
    return a->kind == b->kind && a->protocol == b->protocol && strcmp(a->target, b->target) == 0;
}

__attribute__((format(printf, 2, 3))) static void append(struct growing *to, const char *format, ...)
{
    static char text[2 * PATH_MAX];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (int i = 0; i < n && i < (int)sizeof text; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\n') || text[i] == 0x7f)
            text[i] = '?'; /* what names have of it */
    growing_append(to, (struct slice){text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1});
}

static int name_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* " (curl, git)", or behind a line's end as its comment. */
static void append_commands(struct growing *to, const uint64_t commands[LEARNED_COMMANDS / 64], const char *before,
                            const char *after)
{
    static char names[LEARNED_COMMANDS][PROCESS_NAME_MAX];
    size_t n = 0;

    for (size_t i = 0; i < LEARNED_COMMANDS; i++)
        if (commands[i / 64] & 1ull << i % 64) {
            memcpy(names[n], learned_commands[i], sizeof names[n]);
            for (char *c = names[n++]; *c != 0; c++)
                *c = *c == '\n' ? '?' : *c;
        }
    qsort(names, n, sizeof names[0], name_order);
    for (size_t i = 0; i < n; i++)
        append(to, "%s%s", i == 0 ? before : ", ", names[i]);
    append(to, "%s", after);
}

/* The ports of pieces that are alike and sorted, as a rule has them; their number of ranges. Where they would be too
 * many for one, and where one is all, the text is empty. */
static size_t piece_ports(const struct learned_piece *piece, size_t n, char *to, size_t room)
{
    size_t len = 0, ranges = 0;

    to[0] = 0;
    for (size_t i = 0; i < n;) {
        uint32_t first = piece[i].first, last = piece[i].last;

        if (first == 0 || ranges == PORT_RANGES_MAX) {
            to[0] = 0;
            return 0;
        }
        while (++i < n && piece[i].first <= last + 1)
            last = piece[i].last > last ? piece[i].last : last;
        len += (size_t)snprintf(to + len, room - len, first == last ? "%s%u" : "%s%u-%u", ranges++ ? "," : "", first,
                                last);
    }
    return ranges;
}

/* The line of pieces that are alike. */
static void append_rule(struct growing *to, const struct learned_piece *piece, size_t n)
{
    static char ports[PORT_RANGES_MAX * sizeof "65535-65535,"];
    uint64_t commands[LEARNED_COMMANDS / 64] = {0};
    bool six = strchr(piece->target, ':') != NULL, binds = piece->kind == PIECE_BIND;
    size_t begin = to->len, ranges = piece_ports(piece, n, ports, sizeof ports);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_LEN(commands); k++)
            commands[k] |= piece[i].commands[k];
    if (binds && ranges == 0)
        strcpy(ports, "*");
    if (piece->kind == PIECE_UNIX)
        append(to, "net-allow unix://%s", piece->target);
    else
        append(to, "net-allow%s %s%s%s%s%s%s", binds ? "-bind" : "", scheme_of(piece->protocol),
               six && ports[0] ? "[" : "", piece->target, six && ports[0] ? "]" : "",
               ports[0] && piece->target[0] ? ":" : "", piece->protocol == PROTOCOL_ICMP ? "" : ports);
    while (to->len - begin < LEARN_COLUMN && !to->failed)
        append(to, " ");
    append_commands(to, commands, " # ", "\n");
}

/* What a nameserver was asked, though /etc/hosts will tell it. */
static void append_questions(struct growing *to)
{
    char endpoint[IP_ENDPOINT_MAX];

    for (size_t i = 0; i < n_learned; i++)
        if (learned[i].kind == LEARNED_REACH && learned[i].asks && !learned[i].asks_beyond) {
            ip_endpoint_format(endpoint, sizeof endpoint, learned[i].addr, learned[i].port);
            append(to, "# not needed, since /etc/hosts shows the names above: net-allow %s%s",
                   scheme_of(learned[i].protocol), endpoint);
            append_commands(to, learned[i].commands, " (", ")\n");
        }
    for (size_t i = 0; i < n_seen; i++)
        if (!seen_reached[i])
            append(to, "# looked up, but not contacted: %s (%s)\n", seen_names[i].text,
                   learned_commands[seen_names[i].command]);
}

/* What no policy permits, or no line can say. */
static void append_refused(struct growing *to)
{
    for (size_t i = 0; i < n_learned; i++) {
        const struct learned *note = &learned[i];

        if (note->kind == LEARNED_UNIX && !learned_is_rule(note)) {
            append(to, "# a unix socket whose name no line can have: ");
            for (const char *c = note->text; *c != 0; c++)
                append(to, "%c", *c == '\n' ? '?' : *c);
            append_commands(to, note->commands, " (", ")\n");
        } else if (note->kind == LEARNED_REFUSED) {
            append(to, "# refused: %s%s%s", note->text, note->allow ? ", which would take " : "",
                   note->allow ? note->allow : "");
            append_commands(to, note->commands, " (", ")\n");
        }
    }
    if (learned_lost > 0)
        append(to, "# %zu things more were done than could be noted\n", learned_lost);
}

/* How names were looked up, where that was said. */
static void append_resolver(struct growing *to)
{
    char endpoint[IP_ENDPOINT_MAX];

    for (size_t i = 0; settings.resolver_given && i < policy.resolvconf.n_servers; i++) {
        const struct resolvconf_server *asked = &policy.resolvconf.servers[i];

        ip_endpoint_format(endpoint, sizeof endpoint, asked->addr, asked->port == DNS_PORT ? 0 : asked->port);
        append(to, "resolver %s\n", endpoint);
    }
    if (policy.hosts != NULL && line_can_have(policy.hosts))
        append(to, "hosts %s\n", policy.hosts);
}

/* The whole file. */
static void learn_compose(struct growing *to)
{
    bool opens = false;
    size_t n;

    seen_mark_reached();
    for (size_t i = 0; i < n_learned; i++)
        if (learned_is_rule(&learned[i])) {
            opens = opens || learned[i].kind == LEARNED_UNIX || learned[i].protocol != PROTOCOL_TCP;
            pieces_of(&learned[i]);
        }
    if (n_pieces > 0)
        qsort(learned_pieces, n_pieces, sizeof *learned_pieces, piece_order);
    append_resolver(to);
    for (size_t i = 0; i < n_pieces; i += n) {
        for (n = 1; i + n < n_pieces && piece_alike(&learned_pieces[i], &learned_pieces[i + n]); n++)
            continue;
        append_rule(to, &learned_pieces[i], n);
    }
    if (learned_datagrams && !opens)
        append(to, "net-allow unix://@datagrams # unix datagram sockets, which exist under such a rule\n");
    append_questions(to);
    append_refused(to);
}

/* learn's file; what can't be written is told before anything runs. -1: there is none. */
static int learn_open(void)
{
    if (settings.output == NULL)
        return -1;
    int fd = open(settings.output, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        die("-o '%s': cannot open: %s; a file that can be written would be right", settings.output, strerror(errno));
    return fd;
}

/* learn's end: write the file. Its descriptor is open since the start. 0, or our own error's status. */
static int learn_write(int fd)
{
    struct growing text = {.p = NULL};
    size_t rules = 0, done = 0;
    ssize_t n = 0;

    append(&text, "# Learned by sandlock " SANDLOCK_VERSION
                  ": sandlock run --policy THIS_FILE -- CMD permits what it did then.\n");
    learn_compose(&text);
    for (size_t i = 0; i < text.len; i++)
        rules += text.p[i] == '\n' && i + 1 < text.len && text.p[i + 1] != '#';
    ftruncate(fd, 0); /* what can't be cut is no file */
    for (; done < text.len && n >= 0 && !text.failed; done += n > 0 ? (size_t)n : 0)
        n = write(fd, text.p + done, text.len - done);
    if (n < 0 || text.failed) {
        say("-o '%s': cannot write: %s", settings.output, text.failed ? "out of memory" : strerror(errno));
        return EXIT_OURS;
    }
    if (!settings.quiet)
        say("%zu rule%s in %s: run --policy %s permits what the command did", rules, rules == 1 ? "" : "s",
            settings.output, settings.output);
    return 0;
}

#endif

/* asker.h - questions for another process, a line each, and its answers, "ID WORD" lines in any order (unix(7))
 *
 * Nobody waits: a question is sent when the socket takes it, an answer is taken when it has come. Only a question that
 * was sent whole can be answered. */
#ifndef ASKER_H
#define ASKER_H

#include "kernel.h"
#include "limits.h"

enum {
    ASKER_QUESTION_MAX = 2560, /* a question's line */
    ASKER_ABOUT_MAX = 176,
    ASKER_ANSWER_MAX = 4096,   /* of answers, taken at once; no line is as long */
    ASKER_NONSENSE_MAX = 1000, /* lines that answer nothing, until nobody listens any more */
};

struct asker_question {
    uint64_t id;       /* counts from 1; 0: free */
    /* The caller's own: */
    uint64_t deadline;
    uint32_t holder;   /* who waits for it; 0: nobody now */
    int answer;        /* that came while nobody waited; 0: none */
    uint8_t about[ASKER_ABOUT_MAX]; /* who asks what; bytes that say nothing are zero */
    char line[ASKER_QUESTION_MAX];  /* without the newline */
    size_t len;
};

/* All zero, but the socket: nobody to be asked. */
struct asker {
    int socket; /* a stream; < 0: there is none, or it has failed */
    struct asker_question open[ASKER_OPEN_MAX]; /* by id modulo their number */
    uint64_t last, sent; /* the highest id given, and up to where they were sent */
    size_t n_left;       /* questions that nobody waits for now */
    char out[ASKER_QUESTION_MAX + 1];
    size_t out_len, out_at; /* a line that is being sent, and how far */
    char in[ASKER_ANSWER_MAX];
    size_t in_len, in_at;
    unsigned nonsense;
};

static struct asker_question *asker_find(struct asker *a, uint64_t id)
{
    struct asker_question *q = &a->open[id % ASKER_OPEN_MAX];

    return id != 0 && q->id == id ? q : NULL;
}

/* It is answered, or nobody will want to know. */
static void asker_close(struct asker *a, struct asker_question *q)
{
    a->n_left -= q->holder == 0;
    q->id = 0;
}

/* A question that was left earlier by who asks about the same now; NULL: there is none. */
static struct asker_question *asker_take_up(struct asker *a, const uint8_t about[ASKER_ABOUT_MAX], uint32_t holder,
                                            uint64_t now)
{
    for (size_t i = 0; a->n_left > 0 && i < ASKER_OPEN_MAX; i++) {
        struct asker_question *q = &a->open[i];

        if (q->id != 0 && q->holder == 0 && q->deadline > now && memcmp(q->about, about, sizeof q->about) == 0) {
            q->holder = holder;
            a->n_left--;
            return q;
        }
    }
    return NULL;
}

/* A new question, whose line the caller writes; NULL: there is nobody to be asked, or too many are open. */
static struct asker_question *asker_open(struct asker *a, const uint8_t about[ASKER_ABOUT_MAX], uint32_t holder,
                                         uint64_t now, uint64_t deadline)
{
    struct asker_question *q = &a->open[(a->last + 1) % ASKER_OPEN_MAX];

    if (q->id != 0 && q->holder == 0 && q->deadline <= now)
        asker_close(a, q);
    if (a->socket < 0 || q->id != 0)
        return NULL;
    q->id = ++a->last;
    q->deadline = deadline;
    q->holder = holder;
    q->answer = 0;
    memcpy(q->about, about, sizeof q->about);
    q->len = 0;
    return q;
}

/* Who asked doesn't wait any more, but may come back with the same. What wasn't sent is withdrawn. */
static void asker_leave(struct asker *a, struct asker_question *q)
{
    q->holder = 0;
    a->n_left++;
    if (q->id > a->sent)
        asker_close(a, q);
}

/* The next question to be sent; NULL: there is none, or another is on its way still. */
static struct asker_question *asker_next(struct asker *a)
{
    while (a->sent < a->last && asker_find(a, a->sent + 1) == NULL)
        a->sent++;
    return a->out_len == a->out_at && a->sent < a->last ? asker_find(a, a->sent + 1) : NULL;
}

/* Begin to send it, with `more` behind its line. Text that doesn't fit leaves it out, to run into its deadline. */
static void asker_send(struct asker *a, const struct asker_question *q, const char *more)
{
    int n = snprintf(a->out, sizeof a->out, "%.*s%s\n", (int)q->len, q->line, more);

    a->sent = q->id;
    a->out_at = 0;
    a->out_len = n > 0 && (size_t)n < sizeof a->out ? (size_t)n : 0;
}

/* Go on sending. 1: all is sent; 0: the socket takes no more now; -errno: nobody listens any more. */
static int asker_flush(struct asker *a)
{
    while (a->out_at < a->out_len) {
        ssize_t n = send(a->socket, a->out + a->out_at, a->out_len - a->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        a->out_at += (size_t)n;
    }
    return 1;
}

/* Take what has come, once there is no line left of what came before. 0; -EAGAIN: nothing; -EPIPE: nobody answers any
 * more, or only nonsense; other -errno. */
static int asker_receive(struct asker *a)
{
    memmove(a->in, a->in + a->in_at, a->in_len - a->in_at);
    a->in_len -= a->in_at;
    a->in_at = 0;
    if (a->in_len == sizeof a->in || a->nonsense > ASKER_NONSENSE_MAX)
        return -EPIPE;
    ssize_t n = recv(a->socket, a->in + a->in_len, sizeof a->in - a->in_len, MSG_DONTWAIT);
    if (n > 0)
        a->in_len += (size_t)n;
    return n > 0 ? 0 : n == 0 ? -EPIPE : -errno;
}

/* The next answer of what has come to a question that is open, with its word; NULL: there is none. */
static struct asker_question *asker_answer(struct asker *a, struct slice *word)
{
    struct slice rest = {a->in + a->in_at, a->in_len - a->in_at};

    while (rest.len > 0 && memchr(rest.p, '\n', rest.len) != NULL) {
        struct slice line = slice_split(&rest, '\n');
        struct slice number = slice_split(&line, ' ');
        uint64_t id = 0;

        a->in_at = a->in_len - rest.len;
        *word = slice_trim(line);
        struct asker_question *q = parse_uint(number, UINT64_MAX, &id) == 0 && id <= a->sent ? asker_find(a, id) : NULL;
        if (q != NULL && !(id == a->sent && a->out_at < a->out_len)) {
            a->nonsense = 0;
            return q;
        }
        a->nonsense++;
    }
    return NULL;
}

#endif

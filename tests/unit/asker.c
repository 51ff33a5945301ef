/* unit test of sys/asker.h: which answers count, and that nothing waits */
#include "unit.h"

#include "../../sys/asker.h"

static struct asker a;
static int other; /* the far end */

static void begin(void)
{
    int ends[2];

    if (a.socket > 0) {
        close(a.socket);
        close(other);
    }
    memset(&a, 0, sizeof a);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        abort();
    a.socket = ends[0];
    other = ends[1];
}

static void about(uint8_t to[ASKER_ABOUT_MAX], uint8_t what)
{
    memset(to, 0, ASKER_ABOUT_MAX);
    to[0] = what;
}

static struct asker_question *open_one(uint8_t what, uint32_t holder)
{
    uint8_t bytes[ASKER_ABOUT_MAX];

    about(bytes, what);
    struct asker_question *q = asker_open(&a, bytes, holder, 100, 200);
    if (q != NULL) {
        q->len = 1;
        q->line[0] = (char)what;
    }
    return q;
}

/* Send all that can be sent. How many questions. */
static int send_all(void)
{
    struct asker_question *q;
    int n = 0;

    while (asker_flush(&a) == 1 && (q = asker_next(&a)) != NULL) {
        asker_send(&a, q, "!");
        n++;
    }
    return n;
}

static void answer(const char *text)
{
    if (write(other, text, strlen(text)) < 0)
        abort();
}

/* The id that the next answer is to, its word in `word`; 0: none. */
static char word[64];

static uint64_t answered(void)
{
    struct slice said;
    struct asker_question *q = asker_answer(&a, &said);

    if (q == NULL && asker_receive(&a) == 0)
        q = asker_answer(&a, &said);
    if (q == NULL)
        return 0;
    snprintf(word, sizeof word, "%.*s", (int)said.len, said.p);
    uint64_t id = q->id;
    asker_close(&a, q);
    return id;
}

static void test_order(void)
{
    char got[64] = "";

    begin();
    EXPECT(open_one('a', 1) != NULL && open_one('b', 2) != NULL && open_one('c', 3) != NULL);
    EXPECT(send_all() == 3);
    EXPECT(read(other, got, sizeof got - 1) == 9 && strcmp(got, "a!\nb!\nc!\n") == 0);
    answer("3 allow\n1 de");
    EXPECT(answered() == 3 && strcmp(word, "allow") == 0);
    EXPECT(answered() == 0);
    answer("ny\r\n2 never again\n");
    EXPECT(answered() == 1 && strcmp(word, "deny") == 0);
    EXPECT(answered() == 2 && strcmp(word, "never again") == 0);
    EXPECT(answered() == 0);
}

static void test_what_counts(void)
{
    begin();
    open_one('a', 1);
    answer("1 allow\n");
    EXPECT(answered() == 0); /* it isn't sent */
    EXPECT(send_all() == 1);
    answer("2 allow\n2049 allow\n0 allow\n-1 allow\n 1 allow\n1\tallow\n01x allow\nallow\n\n"
           "18446744073709551617 allow\n");
    EXPECT(answered() == 0);
    answer("1\n");
    EXPECT(answered() == 1 && word[0] == 0); /* no word: the caller refuses */
    answer("1 allow\n");
    EXPECT(answered() == 0); /* not again */
}

static void test_withdrawn(void)
{
    char got[64] = "";

    begin();
    open_one('a', 1);
    asker_leave(&a, open_one('b', 2));
    open_one('c', 3);
    EXPECT(send_all() == 2 && read(other, got, sizeof got - 1) == 6 && strcmp(got, "a!\nc!\n") == 0);
    answer("2 allow\n3 allow\n");
    EXPECT(answered() == 3);
}

static void test_taken_up(void)
{
    uint8_t bytes[ASKER_ABOUT_MAX];
    struct asker_question *q;

    begin();
    q = open_one('a', 1);
    send_all();
    about(bytes, 'a');
    EXPECT(asker_take_up(&a, bytes, 7, 100) == NULL); /* somebody waits for it */
    asker_leave(&a, q);
    EXPECT(asker_take_up(&a, bytes, 7, 200) == NULL); /* too late */
    bytes[ASKER_ABOUT_MAX - 1] = 1;
    EXPECT(asker_take_up(&a, bytes, 7, 100) == NULL); /* about something else */
    about(bytes, 'a');
    EXPECT(asker_take_up(&a, bytes, 7, 100) == q && q->holder == 7);
    EXPECT(asker_take_up(&a, bytes, 8, 100) == NULL && a.n_left == 0);
}

static void test_bounds(void)
{
    static char line[ASKER_ANSWER_MAX + 1];
    uint8_t bytes[ASKER_ABOUT_MAX];
    int n = 0;

    begin();
    while (open_one('x', 1) != NULL)
        n++;
    EXPECT(n == ASKER_OPEN_MAX);
    for (int sent = 0; sent < n;) { /* the socket takes some at a time */
        sent += send_all();
        if (read(other, line, sizeof line) <= 0)
            abort();
    }
    answer("1 allow\n");
    EXPECT(answered() == 1 && open_one('y', 1) != NULL && open_one('y', 1) == NULL);
    asker_leave(&a, asker_find(&a, 2)); /* a place is free again when its time is up */
    about(bytes, 'z');
    EXPECT(asker_open(&a, bytes, 1, 199, 300) == NULL && asker_open(&a, bytes, 1, 200, 300) != NULL);

    begin();
    open_one('a', 1);
    send_all();
    memset(line, '1', sizeof line);
    answer(line);
    EXPECT(answered() == 0 && asker_receive(&a) == -EPIPE); /* a line that long is none */

    begin();
    open_one('a', 1);
    send_all();
    for (int i = 0; i <= ASKER_NONSENSE_MAX; i++) {
        answer("no\n");
        EXPECT(answered() == 0);
    }
    EXPECT(asker_receive(&a) == -EPIPE);
}

static void test_ends(void)
{
    begin();
    open_one('a', 1);
    EXPECT(asker_receive(&a) == -EAGAIN);
    shutdown(other, SHUT_WR);
    EXPECT(asker_receive(&a) == -EPIPE);
    close(other);
    asker_send(&a, asker_next(&a), "");
    EXPECT(asker_flush(&a) == -EPIPE);
    close(a.socket);
    a.socket = -1;
    EXPECT(open_one('b', 1) == NULL);
}

int main(void)
{
    test_order();
    test_what_counts();
    test_withdrawn();
    test_taken_up();
    test_bounds();
    test_ends();
    return unit_done();
}

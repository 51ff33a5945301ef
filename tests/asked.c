/* asked - the other side of --ask in tests/ask.test: reads questions, keeps them in a file, answers in several ways */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRONG_USE = 2, HELD_MAX = 4096, ASKED_WINDOW = 2048 };

static const char usage_text[] =
    "usage: asked FILE MODE [ARG...]    questions go to FILE\n"
    "MODE   each WORD...      answer the first question with the first word ...; all further ones with the last\n"
    "       by TEXT WORD ELSE answer WORD to questions that have TEXT in them, ELSE to others\n"
    "       slow MS WORD      answer each after so long\n"
    "       when PATH WORD    answer when there is a file PATH, and all that came by then\n"
    "       after WORD        answer the first when who asks was sent an ALRM and has stopped of it\n"
    "       batch N           when N have come, answer them, last one first: even ids allow, odd ones deny\n"
    "       dead              end at the first question\n"
    "       gone              end at once\n"
    "       mute              answer nothing\n"
    "       lie               answer allow to what wasn't asked, and nonsense; then deny\n"
    "       flood             write nonsense for ever\n"
    "       endless           write a line that doesn't end\n";

static char line[8192];

/* What stands behind `name`; "" where that isn't there. */
static const char *behind(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at == NULL ? "" : at + strlen(name);
}

static unsigned long long id_of(const char *question)
{
    return strtoull(behind(question, "\"id\":"), NULL, 10);
}

static void answer(unsigned long long id, const char *word)
{
    printf("%llu %s\n", id, word);
    fflush(stdout);
}

static FILE *kept;

/* The next question, in `line`. false: there are no more. */
static bool question(void)
{
    size_t len = 0;

    for (; len + 1 < sizeof line; len++)
        if (read(STDIN_FILENO, line + len, 1) != 1) /* what isn't asked for stays where `when` finds it */
            return false;
        else if (line[len] == '\n')
            break;
    line[len] = 0;
    fprintf(kept, "%s\n", line);
    fflush(kept);
    return true;
}

static void each(char **words)
{
    while (question()) {
        answer(id_of(line), words[0]);
        if (words[1] != NULL)
            words++;
    }
}

static void by(const char *text, const char *word, const char *otherwise)
{
    while (question())
        answer(id_of(line), strstr(line, text) ? word : otherwise);
}

static void slow(int ms, const char *word)
{
    while (question()) {
        usleep((useconds_t)ms * 1000);
        answer(id_of(line), word);
    }
}

static void when(const char *path, const char *word)
{
    while (question()) {
        while (access(path, F_OK) < 0)
            usleep(20000);
        answer(id_of(line), word);
    }
}

static bool has_stopped(pid_t pid)
{
    char path[64], text[512] = "";

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    if (status == NULL)
        return true; /* it has ended */
    size_t len = fread(text, 1, sizeof text - 1, status);
    fclose(status);
    return len == 0 || *behind(text, "State:\t") == 'T';
}

static void after(char **words)
{
    if (question()) {
        pid_t pid = atoi(behind(line, "\"pid\":"));

        kill(pid, SIGALRM);
        while (!has_stopped(pid))
            usleep(100);
        answer(id_of(line), words[0]);
    }
    each(words);
}

static void batch(int n)
{
    static unsigned long long held[HELD_MAX];

    for (int i = 0; i < n && i < HELD_MAX && question(); i++)
        held[i] = id_of(line);
    for (int i = n; i-- > 0;)
        answer(held[i], held[i] % 2 == 0 ? "allow" : "deny");
    while (question())
        continue;
}

static void lie(void)
{
    for (int id = 1; id <= 64; id++)
        answer((unsigned long long)id, "allow"); /* before anything is asked */
    while (question()) {
        unsigned long long id = id_of(line);

        printf("%llu always\n%llu allow\n-%llu allow\n+%llu allow\n0x%llx allow\n 1 allow\nallow\n\n \n%llu\n"
               "\1\2\3 allow\n99999999999999999999999999 allow\n0 allow\n",
               id + 1, id + ASKED_WINDOW, id, id, id, id + 2ULL * ASKED_WINDOW);
        fflush(stdout);
        usleep(300000);
        answer(id, "deny");
        answer(id, "allow");
        answer(id + 1, "allow");
    }
}

static void flood(void)
{
    for (;;)
        if (printf("nonsense without an end\n") < 0)
            return;
}

static void endless(void)
{
    while (putchar('9') != EOF)
        continue;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "";

    signal(SIGPIPE, SIG_DFL);
    kept = argc > 1 ? fopen(argv[1], "we") : NULL;
    if (kept != NULL && strcmp(mode, "each") == 0 && argc > 3)
        each(argv + 3);
    else if (kept != NULL && strcmp(mode, "by") == 0 && argc == 6)
        by(argv[3], argv[4], argv[5]);
    else if (kept != NULL && strcmp(mode, "slow") == 0 && argc == 5)
        slow(atoi(argv[3]), argv[4]);
    else if (kept != NULL && strcmp(mode, "when") == 0 && argc == 5)
        when(argv[3], argv[4]);
    else if (kept != NULL && strcmp(mode, "after") == 0 && argc == 4)
        after(argv + 3);
    else if (kept != NULL && strcmp(mode, "batch") == 0 && argc == 4)
        batch(atoi(argv[3]));
    else if (kept != NULL && strcmp(mode, "dead") == 0)
        return question() ? 0 : 1;
    else if (kept != NULL && strcmp(mode, "gone") == 0)
        return 0;
    else if (kept != NULL && strcmp(mode, "mute") == 0)
        while (question())
            continue;
    else if (kept != NULL && strcmp(mode, "lie") == 0)
        lie();
    else if (kept != NULL && strcmp(mode, "flood") == 0)
        flood();
    else if (kept != NULL && strcmp(mode, "endless") == 0)
        endless();
    else {
        fputs(usage_text, stderr);
        return WRONG_USE;
    }
    return 0;
}

/* pairs - run commands in turn, round after round, and compare what they print: medians, ratios and their spread
 *
 *     pairs [-n ROUNDS] [-c CPU] [-l LABEL] [-u UNIT] [-t | -p | -k KEY] [-q] [-g FORMULA[<=GOAL]]... NAME=COMMAND...
 *
 * Each command prints one number; -k: the one after KEY in its output; -t: its time from spawn to exit is taken, in
 * microseconds; -p: the processor time of all it waited for. One row a command, one a formula: median, 10th to 90th
 * percentile, goal, met or not. A formula is a sum of names over another: "sandlock/native+floor-bare" is
 * sandlock / (native + floor - bare); it is worked out within each round, so that a machine that slows down slows both
 * sides. Commands are split at spaces; nothing is quoted. -q: formulas' rows alone. */
#include "measure.h"

#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMMANDS_MAX = 8, FORMULAS_MAX = 16, WORDS_MAX = 160, ROUNDS_MAX = 10000, OUTPUT_MAX = 16384 };

extern char **environ;

struct command {
    const char *name;
    char *words[WORDS_MAX];
    double *values; /* one a round */
};

static struct command commands[COMMANDS_MAX];
static const char *formulas[FORMULAS_MAX];
static size_t n_commands, n_formulas, rounds = 15;
static const char *label = "", *unit = "ns", *key = "";
static bool timed, processor_time, quiet;

/* NAME=COMMAND, cut up in place. */
static void command_parse(char *text)
{
    struct command *command = &commands[n_commands++];
    size_t n = 0;
    char *equals = strchr(text, '=');

    errno = EINVAL;
    NEED(equals != NULL, text);
    *equals = 0;
    command->name = text;
    for (char *word = strtok(equals + 1, " "); word != NULL; word = strtok(NULL, " ")) {
        NEED(n < WORDS_MAX - 1, "too many words");
        command->words[n++] = word;
    }
    NEED(n > 0, text);
    command->values = calloc(rounds, sizeof *command->values);
    NEED(command->values != NULL, "calloc");
}

/* Start it; its output goes to the pipe's end, or nowhere when its time is what counts. */
static pid_t command_start(const struct command *command, int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (timed)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    else
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    errno = posix_spawnp(&pid, command->words[0], &actions, NULL, command->words, environ);
    NEED(errno == 0, command->words[0]);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* The number in the output, or after the key in it. */
static double output_number(const char *text, const char *name)
{
    const char *at = strstr(text, key);
    char *end;

    errno = ENOMSG;
    NEED(at != NULL, name);
    double value = strtod(at + strlen(key), &end);
    errno = ENOMSG;
    NEED(end != at + strlen(key), name);
    return value;
}

/* Run it once: the number it printed, or how long it took. */
static double command_run(const struct command *command)
{
    static char text[OUTPUT_MAX];
    struct rusage usage;
    int out[2], status;
    size_t used = 0;

    NEED(pipe2(out, O_CLOEXEC) == 0, "pipe");
    double start = measure_now();
    pid_t pid = command_start(command, out[1]);
    close(out[1]);
    for (ssize_t n = 1; n > 0 && used < sizeof text - 1; used += (size_t)n) {
        n = timed ? 0 : read(out[0], text + used, sizeof text - 1 - used);
        NEED(n >= 0, "read");
    }
    NEED(wait4(pid, &status, 0, &usage) == pid, "wait4");
    double took = measure_now() - start;
    close(out[0]);
    text[used] = 0;
    errno = ECHILD;
    NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0, command->name);
    if (processor_time)
        return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return timed ? took / 1000 : output_number(text, command->name);
}

/* A sum of names, of one round; *text is moved to what follows it. */
static double formula_sum(const char **text, size_t round)
{
    double sum = 0, sign = 1;

    while (**text != 0 && **text != '/' && **text != '<') {
        size_t len = strcspn(*text, "+-/<"), i = 0;

        while (i < n_commands && (strlen(commands[i].name) != len || strncmp(commands[i].name, *text, len) != 0))
            i++;
        errno = EINVAL;
        NEED(i < n_commands, *text);
        sum += sign * commands[i].values[round];
        *text += len;
        if (**text == '+' || **text == '-')
            sign = *(*text)++ == '-' ? -1 : 1;
    }
    return sum;
}

static double formula_value(const char *text, size_t round)
{
    double value = formula_sum(&text, round);

    if (*text != '/')
        return value;
    text++;
    return value / formula_sum(&text, round);
}

static void row_print(const char *what, double *values, int digits, const char *goal)
{
    char spread[64];

    measure_sort(values, rounds);
    double median = measure_percentile(values, rounds, 50);
    snprintf(spread, sizeof spread, "%.*f - %.*f", digits, measure_percentile(values, rounds, 10), digits,
             measure_percentile(values, rounds, 90));
    printf("| %-34s | %-34s | %9.*f | %19s | %6s | %-7s |\n", label, what, digits, median, spread, goal ? goal : "",
           goal == NULL ? "" : median <= strtod(goal, NULL) ? "met" : "not met");
}

static void rows_print(void)
{
    double *values = calloc(rounds, sizeof *values);

    NEED(values != NULL, "calloc");
    for (size_t f = 0; f < n_formulas; f++) { /* before sorting parts a round's values */
        char what[64];
        const char *goal = strstr(formulas[f], "<=");
        bool ratio = strchr(formulas[f], '/') != NULL;

        for (size_t i = 0; i < rounds; i++)
            values[i] = formula_value(formulas[f], i);
        snprintf(what, sizeof what, "%.*s%s%s", (int)strcspn(formulas[f], "<"), formulas[f], ratio ? "" : ", ",
                 ratio ? "" : unit);
        row_print(what, values, ratio ? 3 : 0, goal ? goal + 2 : NULL);
    }
    for (size_t i = 0; i < n_commands && !quiet; i++) {
        char what[64];

        snprintf(what, sizeof what, "%s, %s", commands[i].name, unit);
        row_print(what, commands[i].values, 0, NULL);
    }
    free(values);
}

/* -c: this process and all it starts stay on one CPU. */
static void pin_to(const char *cpu)
{
    cpu_set_t set;

    if (!isdigit((unsigned char)*cpu))
        return; /* "-": left to the scheduler */
    CPU_ZERO(&set);
    CPU_SET((unsigned)atoi(cpu), &set);
    NEED(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

int main(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "n:c:l:u:g:k:tpq")) != -1;)
        switch (option) {
        case 'n':
            rounds = (size_t)atoi(optarg);
            break;
        case 'c':
            pin_to(optarg);
            break;
        case 'l':
            label = optarg;
            break;
        case 'u':
            unit = optarg;
            break;
        case 'g':
            NEED(n_formulas < FORMULAS_MAX, "too many formulas");
            formulas[n_formulas++] = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        case 't':
            timed = true;
            unit = "us";
            break;
        case 'p':
            timed = processor_time = true;
            unit = "CPU us";
            break;
        case 'q':
            quiet = true;
            break;
        default:
            return 2;
        }
    errno = EINVAL;
    NEED(rounds > 0 && rounds <= ROUNDS_MAX && optind < argc && argc - optind <= COMMANDS_MAX, "usage");
    for (int i = optind; i < argc; i++)
        command_parse(argv[i]);
    for (size_t i = 0; i < n_commands; i++)
        command_run(&commands[i]); /* once unmeasured: caches, page faults, a peer's first connection */
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < n_commands; i++) {
            size_t turn = round % 2 ? n_commands - 1 - i : i; /* a b, b a: what drifts falls on both alike */

            commands[turn].values[round] = command_run(&commands[turn]);
        }
    rows_print();
    return 0;
}

/* signals - calls that wait, and what happens to them meanwhile: signals, stops, forks, ends. One line a row, the same
 * inside and outside: signals.test compares them (signal(7), connect(2), send(2), socket(7)).
 *
 * usage: signals [PATTERN [EXCEPT...]]    (glob(7)): only the rows whose names match, but for these
 *
 * A row is a process of its own. All of them start together and are told in order. What waits is mostly a connect to a
 * listener whose queue is full: no answer comes until somebody accepts, and then within a second or three. */
#include "signals_send.h"
#include "signals_storm.h"

#include <fnmatch.h>

static const struct row {
    const char *name;
    void (*run)(void);
    bool heavy; /* not together with others */
} rows[] = {
    {"connect/interrupted", connect_interrupted, false},
    {"connect/restarted", connect_restarted, false},
    {"connect/limited-interrupted", connect_limited_interrupted, false},
    {"connect/limited", connect_limited, false},
    {"connect/uninterested", connect_uninterested, false},
    {"connect/nested", connect_nested, false},
    {"connect/jumped-out", connect_jumped_out, false},
    {"connect/ended-by-signal", connect_ended_by_signal, false},
    {"connect/by-two", connect_by_two, false},
    {"connect/many", connect_many, false},
    {"connect/closed-meanwhile", connect_closed_meanwhile, false},
    {"connect/shut-meanwhile", connect_shut_meanwhile, false},
    {"connect/undone-meanwhile", connect_undone_meanwhile, false},
    {"connect/told", connect_told, false},
    {"connect/ends", connect_ends, false},
    {"connect/ends-unix", connect_ends_unix, false},
    {"meanwhile/fork", fork_meanwhile, false},
    {"meanwhile/exit", exit_meanwhile, false},
    {"meanwhile/exec", exec_meanwhile, false},
    {"thread/signalled", thread_signalled, false},
    {"stop/stop", stopped_by_stop, false},
    {"stop/stop-threads", stopped_by_stop_threads, false},
    {"stop/tstp", stopped_by_tstp, false},
    {"stop/tstp-threads", stopped_by_tstp_threads, false},
    {"send/interrupted-tcp", send_interrupted_tcp, false},
    {"send/interrupted-tcp-restart", send_interrupted_tcp_restart, false},
    {"send/interrupted-unix", send_interrupted_unix, false},
    {"send/stopped", send_stopped, false},
    {"send/fault-tcp", send_fault_tcp, false},
    {"send/fault-unix", send_fault_unix, false},
    {"send/abandoned-tcp", send_abandoned_tcp, false},
    {"send/abandoned-unix", send_abandoned_unix, false},
    {"send/abandoned-quiet", send_abandoned_quiet, false},
    {"send/datagram-waits", datagram_waits, false},
    {"sigpipe/kinds", pipe_signals, false},
    {"sigpipe/thread", pipe_signals_thread, false},
    {"send/many", send_many, false},
    {"send/100m-tcp", send_100m_tcp, true},
    {"send/100m-unix", send_100m_unix, true},
    {"storm/interrupts", storm_interrupts, false},
    {"storm/restarts", storm_restarts, false},
    {"storm/leader-blocks", storm_leader_blocks, false},
    {"storm/leader-waits", storm_leader_waits, false},
};

/* Each running row's process and line. */
static struct {
    pid_t pid;
    struct row_line *line;
} running[COUNT(rows)];

static void row_start(size_t i)
{
    line = running[i].line = mmap(NULL, sizeof *line, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line == MAP_FAILED || (running[i].pid = fork()) < 0) {
        perror("signals");
        exit(1);
    }
    if (running[i].pid > 0)
        return;
    struct timespec limit = {ROW_SECONDS, 0};
    pid_t pid = fork(); /* the alarm is the row's own: someone else watches the time */
    if (pid == 0) {
        rows[i].run();
        _exit(0);
    }
    sigset_t child;
    int status = 0;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    if (waitpid(pid, &status, WNOHANG) == 0 && sigtimedwait(&child, NULL, &limit) < 0)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        out(" killed by signal %d", WTERMSIG(status));
    _exit(0);
}

static void row_end(size_t i)
{
    waitpid(running[i].pid, NULL, 0);
    printf("%s:%.*s\n", rows[i].name, (int)running[i].line->len, running[i].line->text);
}

/* Is this row one of those that are asked for? */
static bool is_wanted(const struct row *row, char **patterns)
{
    if (patterns[0] == NULL)
        return true;
    for (char **except = patterns + 1; *except != NULL; except++)
        if (fnmatch(*except, row->name, 0) == 0)
            return false;
    return fnmatch(patterns[0], row->name, 0) == 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--exit-8") == 0)
        return 8;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!rows[i].heavy && is_wanted(&rows[i], argv + 1))
            row_start(i);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].heavy && is_wanted(&rows[i], argv + 1))
            row_start(i);
        if (running[i].pid > 0)
            row_end(i);
    }
    return 0;
}

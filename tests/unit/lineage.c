/* unit test of sys/lineage.h: lines of descendants that live, and what is lost when a parent ends */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

#include "../../sys/lineage.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { DEEP = 5, PATIENCE = 500 };

static struct lineage lineage;
static struct lineage_id line[LINEAGE_DEPTH];

/* Processes that wait, each the child of the one before; their numbers go to `told`. */
static void family(int deep, int told)
{
    for (pid_t child = 0; deep > 0 && child == 0; deep--) {
        pid_t self = getpid();

        if (write(told, &self, sizeof self) != sizeof self)
            _exit(1);
        child = deep > 1 ? fork() : 1;
    }
    for (;;)
        pause();
}

static void family_start(int deep, pid_t pids[])
{
    int told[2];

    if (pipe(told) < 0)
        abort();
    if (fork() == 0)
        family(deep, told[1]);
    for (int i = 0; i < deep; i++)
        if (read(told[0], &pids[i], sizeof *pids) != sizeof *pids)
            abort();
    close(told[0]);
    close(told[1]);
}

static void family_end(const pid_t pids[], int deep)
{
    for (int i = 0; i < deep; i++)
        kill(pids[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

/* Begin anew: all that descend from this process are whole. */
static void root_at(pid_t pid)
{
    lineage = (struct lineage){.root = lineage_now(pid)};
}

/* The line of a process; how long it is, with *whole. */
static size_t read_line(pid_t pid, bool *whole)
{
    return lineage_read(&lineage, lineage_of_thread(&lineage, pid), line, whole);
}

static void test_line(void)
{
    pid_t pids[DEEP];
    bool whole;

    family_start(DEEP, pids);
    root_at(pids[0]);
    EXPECT(read_line(pids[DEEP - 1], &whole) == DEEP && whole);
    for (int i = 0; i < DEEP; i++)
        EXPECT(line[i].pid == pids[DEEP - 1 - i]);
    EXPECT(read_line(pids[0], &whole) == 1 && whole);
    EXPECT(read_line(getpid(), &whole) >= 1 && !whole);
    EXPECT(lineage_read(&lineage, (struct lineage_id){0, 0}, line, &whole) == 0 && !whole);
    family_end(pids, DEEP);
}

/* The parent of one of three ends: the youngest comes to this process, which says nothing of where it came from. */
static void lose_parent(bool seen)
{
    pid_t pids[3];
    uint64_t started;
    bool whole;

    family_start(3, pids);
    root_at(pids[0]);
    struct lineage_id youngest = lineage_now(pids[2]);
    if (seen)
        EXPECT(read_line(pids[2], &whole) == 3 && whole);
    kill(pids[1], SIGKILL);
    for (int i = 0; i < PATIENCE && process_parent(pids[2], &started) != getpid(); i++)
        usleep(10000);
    EXPECT(process_parent(pids[2], &started) == getpid());
    size_t n = lineage_read(&lineage, youngest, line, &whole);
    EXPECT(seen ? n == 3 && whole && line[1].pid == pids[1] : n == 1 && !whole);
    family_end(pids, 3);
}

static void test_reapers(void)
{
    pid_t pids[3];
    bool whole;

    family_start(3, pids);
    root_at(pids[0]);
    lineage_add_reaper(&lineage, lineage_now(pids[1]));
    lineage_add_reaper(&lineage, lineage_now(pids[1]));
    EXPECT(lineage.n_reapers == 1);
    EXPECT(read_line(pids[2], &whole) == 1 && !whole);
    EXPECT(read_line(pids[1], &whole) == 2 && whole);
    for (int i = 1; i <= LINEAGE_REAPERS; i++)
        lineage_add_reaper(&lineage, (struct lineage_id){i, 1});
    root_at(pids[0]);
    lineage.n_reapers = LINEAGE_REAPERS + 1; /* more than are known: nobody's parent says anything */
    EXPECT(read_line(pids[1], &whole) == 1 && !whole);
    family_end(pids, 3);
}

static void *in_thread(void *argument)
{
    pid_t *process = argument;

    *process = lineage_of_thread(&lineage, (pid_t)syscall(SYS_gettid)).pid;
    return NULL;
}

static void test_threads(void)
{
    pthread_t thread;
    pid_t process = 0;

    root_at(getpid());
    if (pthread_create(&thread, NULL, in_thread, &process) == 0)
        pthread_join(thread, NULL);
    EXPECT(process == getpid());
    EXPECT(lineage_of_thread(&lineage, 4194304 /* PID_MAX_LIMIT */).pid == 0);
}

/* A number is a process together with its start. */
static void test_same(void)
{
    EXPECT(lineage_same((struct lineage_id){5, 7}, (struct lineage_id){5, 7}));
    EXPECT(!lineage_same((struct lineage_id){5, 7}, (struct lineage_id){5, 8}));
    EXPECT(!lineage_same((struct lineage_id){0, 0}, (struct lineage_id){0, 0}));
}

int main(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    test_line();
    lose_parent(false);
    lose_parent(true);
    test_reapers();
    test_threads();
    test_same();
    return unit_done();
}

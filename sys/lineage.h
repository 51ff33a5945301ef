/* lineage.h - whose descendant a thread is, as far as that can be known (proc(5), PR_SET_CHILD_SUBREAPER(2const))
 *
 * A process's parent is what /proc says, until the parent ends: then it is the nearest subreaper, and where the process
 * came from is lost. So a link to a subreaper says nothing. Links that were seen while they held are remembered: a
 * process's first parent stays what it was. Nobody may be born with another's parent (CLONE_PARENT), and who becomes a
 * subreaper has to be told here before it is one. A number is a process together with its start; it would take a round
 * through all numbers within a clock tick to have two of them mean the same. */
#ifndef LINEAGE_H
#define LINEAGE_H

#include "limits.h"
#include "process.h"

enum { LINEAGE_REAPERS = 64, LINEAGE_DEPTH = 1024 };

/* pid 0: nobody. */
struct lineage_id {
    pid_t pid;
    uint64_t started; /* in ticks since boot */
};

struct lineage_link {
    struct lineage_id self, up; /* up: the parent; of a thread that is no leader, its leader */
};

/* Everything zero but root: nothing is known. */
struct lineage {
    struct lineage_id root;                    /* where all begin: our own child */
    struct lineage_link links[LINEAGE_LINKS];  /* by number; the last seen of several in one place */
    struct lineage_link threads[LINEAGE_LINKS];
    struct lineage_id reapers[LINEAGE_REAPERS];
    size_t n_reapers;                          /* more than that: nothing is known any more */
};

static bool lineage_same(struct lineage_id a, struct lineage_id b)
{
    return a.pid == b.pid && a.started == b.started && a.pid > 0;
}

/* A process or thread as it is now; pid 0 when it is gone. */
static struct lineage_id lineage_now(pid_t pid)
{
    struct lineage_id id = {pid, 0};

    return process_parent(pid, &id.started) > 0 && id.started > 0 ? id : (struct lineage_id){0, 0};
}

/* The process of a thread; pid 0 when it is gone. */
static struct lineage_id lineage_of_thread(struct lineage *l, pid_t tid)
{
    struct lineage_id thread = lineage_now(tid);
    struct lineage_link *link = &l->threads[(unsigned)tid % LINEAGE_LINKS];
    struct process_status status;

    if (lineage_same(link->self, thread))
        return link->up;
    if (thread.pid == 0 || process_status_read(tid, &status) < 0)
        return (struct lineage_id){0, 0};
    *link = (struct lineage_link){thread, lineage_now(status.leader)};
    return link->up;
}

/* This process is about to become a subreaper. */
static void lineage_add_reaper(struct lineage *l, struct lineage_id reaper)
{
    for (size_t i = 0; i < l->n_reapers && i < LINEAGE_REAPERS; i++)
        if (lineage_same(l->reapers[i], reaper))
            return;
    if (l->n_reapers < LINEAGE_REAPERS)
        l->reapers[l->n_reapers] = reaper;
    if (l->n_reapers <= LINEAGE_REAPERS)
        l->n_reapers++;
}

static bool lineage_is_reaper(const struct lineage *l, struct lineage_id id)
{
    bool is = l->n_reapers > LINEAGE_REAPERS || id.pid == getpid();

    for (size_t i = 0; !is && i < l->n_reapers; i++)
        is = lineage_same(l->reapers[i], id);
    return is;
}

/* The process that this one was forked by; pid 0 when that isn't known. */
static struct lineage_id lineage_parent(struct lineage *l, struct lineage_id id)
{
    struct lineage_link *link = &l->links[(unsigned)id.pid % LINEAGE_LINKS];
    uint64_t started = 0, again = 0;

    if (lineage_same(link->self, id))
        return link->up;
    pid_t pid = process_parent(id.pid, &started);
    struct lineage_id parent = lineage_now(pid);
    if (parent.pid == 0 || started != id.started || lineage_is_reaper(l, parent))
        return (struct lineage_id){0, 0};
    if (process_parent(id.pid, &again) != pid || again != started) /* else it was the parent when it was looked at */
        return (struct lineage_id){0, 0};
    *link = (struct lineage_link){id, parent};
    return parent;
}

/* The line of a process's ancestors, itself first, up to the root. How many; *whole: the root was reached, so that
 * there are no others. 0 for nobody. */
static size_t lineage_read(struct lineage *l, struct lineage_id id, struct lineage_id line[LINEAGE_DEPTH], bool *whole)
{
    size_t n = 0;

    for (*whole = false; id.pid != 0 && n < LINEAGE_DEPTH && !*whole; n++) {
        line[n] = id;
        *whole = lineage_same(id, l->root);
        if (!*whole)
            id = lineage_parent(l, id);
    }
    return n;
}

#endif

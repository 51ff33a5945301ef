/* lostreply.h - replies that kernels without SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV lose (seccomp_unotify(2)): they
 * repeat a call when a signal comes between its receipt and its reply. What it did is kept for the repetition. */
#ifndef LOSTREPLY_H
#define LOSTREPLY_H

#include "limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* By thread number modulo their count; all zero at first. */
struct lost_replies {
    struct lost_reply {
        pid_t tid; /* 0: empty */
        int number;
        uint64_t args[6];
        int64_t value;
    } slots[LOST_REPLIES_MAX];
};

/* Keep what call `number` of thread tid did. */
static void lost_reply_keep(struct lost_replies *lost, pid_t tid, int number, const uint64_t args[6], int64_t value)
{
    struct lost_reply *slot = &lost->slots[(unsigned)tid % LOST_REPLIES_MAX];

    *slot = (struct lost_reply){.tid = tid, .number = number, .value = value};
    memcpy(slot->args, args, sizeof slot->args);
}

/* Is this the repetition of a kept call, by its first n arguments? Then *value is what that did. Another call of the
 * same thread means that nobody waits for it any more. */
static bool lost_reply_take(struct lost_replies *lost, pid_t tid, int number, const uint64_t args[6], size_t n,
                            int64_t *value)
{
    struct lost_reply *slot = &lost->slots[(unsigned)tid % LOST_REPLIES_MAX];

    if (slot->tid != tid)
        return false;
    slot->tid = 0;
    *value = slot->value;
    return slot->number == number && memcmp(slot->args, args, n * sizeof *args) == 0;
}

#endif

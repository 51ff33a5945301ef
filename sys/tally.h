/* tally.h - counts how often each of many things was seen, a bounded number of them, in the order of their first time
 * (found by their hash: FNV-1a of 64 bits) */
#ifndef TALLY_H
#define TALLY_H

#include "base.h"
#include "limits.h"

enum { TALLY_TEXT = 192 };

/* All zero at first. */
struct tally {
    struct tally_entry {
        uint64_t hash, count;
        char subject[TALLY_TEXT], advice[TALLY_TEXT];
    } entries[TALLY_MAX];
    size_t n;
    uint16_t index[4 * TALLY_MAX]; /* by hash: 1 + the place in entries; 0: free */
    uint64_t left_out;             /* what came when there was no room left */
};

static uint64_t tally_hash(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}

/* Count what `kind` and `subject` name together; the advice is that of its first time. Texts are cut to TALLY_TEXT. How
 * often it was seen by now; 0 when there is no room for it. */
static uint64_t tally_count(struct tally *tally, const char *kind, const char *subject, const char *advice)
{
    uint64_t hash = tally_hash(tally_hash(0xcbf29ce484222325, kind), subject);
    size_t at = hash % ARRAY_LEN(tally->index);

    while (tally->index[at] != 0 && tally->entries[tally->index[at] - 1].hash != hash)
        at = (at + 1) % ARRAY_LEN(tally->index);
    if (tally->index[at] == 0) {
        if (tally->n == TALLY_MAX) {
            tally->left_out++;
            return 0;
        }
        struct tally_entry *entry = &tally->entries[tally->n++];
        entry->hash = hash;
        snprintf(entry->subject, sizeof entry->subject, "%s", subject);
        snprintf(entry->advice, sizeof entry->advice, "%s", advice);
        tally->index[at] = (uint16_t)tally->n;
    }
    return ++tally->entries[tally->index[at] - 1].count;
}

/* Is this count worth a line: 1, 10, 100, 1000 ...? What comes again for hours is a handful of lines then. */
static bool tally_is_told(uint64_t count)
{
    while (count > 0 && count % 10 == 0)
        count /= 10;
    return count == 1;
}

#endif

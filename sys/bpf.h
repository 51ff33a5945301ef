/* bpf.h - an assembler for seccomp filters (seccomp(2), Linux Documentation/userspace-api/seccomp_filter.rst) */
#ifndef BPF_H
#define BPF_H

#include "kernel.h"

#include <linux/filter.h>
#include <sys/prctl.h>

/* A filter is a table of rows: "when this call's arguments look like this, return that". The first row of a call
 * that matches decides; a call without a matching row gets what the table's user says. int arguments are compared on
 * their low 32 bits, as the kernel itself reads them; pointers on both halves. */
enum __attribute__((packed)) bpf_test {
    BPF_ALWAYS,  /* ends the list of conditions */
    BPF_EQUAL,   /* (low 32 bits & mask) == value */
    BPF_UNLIKE,  /* (low 32 bits & mask) != value */
    BPF_ANY_BIT, /* (low 32 bits & mask) != 0 */
    BPF_NONZERO, /* any of the 64 bits */
};

enum {
    BPF_CONDITIONS = 3,
    BPF_INSTRUCTIONS = 2048,
    BPF_ROWS = 256,
    BPF_SEGMENTS = 2 * BPF_ROWS + 3,
    BPF_NUMBERS = 512, /* above every call's number */
    BPF_RESULTS = 16,
    BPF_X32_BIT = 0x40000000,
};

struct bpf_condition {
    enum bpf_test test;
    uint8_t argument; /* 0..5 */
    uint32_t mask, value;
};

/* Do a call's arguments meet all conditions? What the program computes, in C. */
static bool bpf_matches(const struct bpf_condition conditions[BPF_CONDITIONS], const uint64_t args[6])
{
    for (size_t i = 0; i < BPF_CONDITIONS; i++) {
        const struct bpf_condition *c = &conditions[i];
        uint32_t low = (uint32_t)args[c->argument];

        switch (c->test) {
        case BPF_ALWAYS:
            return true;
        case BPF_EQUAL:
            if ((low & c->mask) != c->value)
                return false;
            break;
        case BPF_UNLIKE:
            if ((low & c->mask) == c->value)
                return false;
            break;
        case BPF_ANY_BIT:
            if ((low & c->mask) == 0)
                return false;
            break;
        case BPF_NONZERO:
            if (args[c->argument] == 0)
                return false;
            break;
        }
    }
    return true;
}

struct bpf_row {
    int number;      /* the call's; negative rows are skipped */
    uint32_t result; /* SECCOMP_RET_*, with its data */
    struct bpf_condition conditions[BPF_CONDITIONS];
};

struct bpf_program {
    struct sock_filter code[BPF_INSTRUCTIONS];
    unsigned len;
    uint32_t otherwise; /* what calls without a matching row get */
    bool overflow; /* sticky: the program is unusable */
};

static void bpf_emit(struct bpf_program *program, uint16_t code, unsigned jump_true, unsigned jump_false, uint32_t k)
{
    if (program->len == BPF_INSTRUCTIONS || jump_true > UINT8_MAX || jump_false > UINT8_MAX) {
        program->overflow = true;
        return;
    }
    program->code[program->len++] = (struct sock_filter){code, (uint8_t)jump_true, (uint8_t)jump_false, k};
}

static void bpf_load(struct bpf_program *program, size_t offset)
{
    bpf_emit(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void bpf_return(struct bpf_program *program, uint32_t result)
{
    bpf_emit(program, BPF_RET | BPF_K, 0, 0, result);
}

static void bpf_emit_argument(struct bpf_program *program, const struct bpf_condition *c)
{
    bpf_load(program, offsetof(struct seccomp_data, args) + 8 * (size_t)c->argument); /* little endian: the low half */
    if (c->test != BPF_ANY_BIT && c->test != BPF_NONZERO && c->mask != UINT32_MAX)
        bpf_emit(program, BPF_ALU | BPF_AND | BPF_K, 0, 0, c->mask);
}

/* Falls through when the condition holds. Returns the place of the jump that is taken when it doesn't; how far, is
 * filled in by bpf_end_condition. loaded: the argument, masked, is at hand. */
static unsigned bpf_begin_condition(struct bpf_program *program, const struct bpf_condition *c, bool loaded)
{
    if (!loaded)
        bpf_emit_argument(program, c);
    switch (c->test) {
    case BPF_ALWAYS:
        break;
    case BPF_EQUAL:
    case BPF_UNLIKE:
        bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, c->value);
        break;
    case BPF_ANY_BIT:
        bpf_emit(program, BPF_JMP | BPF_JSET | BPF_K, 0, 0, c->mask);
        break;
    case BPF_NONZERO:
        bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0);
        bpf_load(program, offsetof(struct seccomp_data, args) + 8 * (size_t)c->argument + 4);
        bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0);
        break;
    }
    return program->len - 1;
}

static void bpf_end_condition(struct bpf_program *program, const struct bpf_condition *c, unsigned jump)
{
    unsigned length = program->len - jump - 1;

    program->overflow = program->overflow || length > UINT8_MAX;
    if (c->test == BPF_UNLIKE || c->test == BPF_NONZERO)
        program->code[jump].jt = (uint8_t)length;
    else
        program->code[jump].jf = (uint8_t)length;
}

static bool bpf_same_condition(const struct bpf_condition *a, const struct bpf_condition *b)
{
    return a->test == b->test && a->argument == b->argument && a->mask == b->mask && a->value == b->value;
}

/* Is nothing left to test of this row from `depth` on? */
static bool bpf_decided(const struct bpf_row *row, size_t depth)
{
    return depth == BPF_CONDITIONS || row->conditions[depth].test == BPF_ALWAYS;
}

/* n rows of one call, whose conditions before `depth` hold. A condition that neighbours share is tested once, and an
 * argument that is at hand is not loaded again: the kernel compiles every instruction at start. */
static void bpf_emit_rows(struct bpf_program *program, const struct bpf_row *const *rows, size_t n, size_t depth)
{
    const struct bpf_condition *at_hand = NULL; /* what was loaded, when every way here leaves it so */

    for (size_t i = 0, end = 0; i < n; i = end) {
        if (bpf_decided(rows[i], depth)) {
            bpf_return(program, rows[i]->result);
            return;
        }
        const struct bpf_condition *c = &rows[i]->conditions[depth];
        while (end < n && bpf_same_condition(c, &rows[end]->conditions[depth]))
            end++;
        bool equal = c->test == BPF_EQUAL, lone = bpf_decided(rows[i], depth + 1);
        bool loaded = equal && at_hand && at_hand->argument == c->argument && at_hand->mask == c->mask;
        unsigned jump = bpf_begin_condition(program, c, loaded);
        bpf_emit_rows(program, &rows[i], end - i, depth + 1);
        bpf_end_condition(program, c, jump);
        at_hand = equal && lone ? c : NULL;
    }
    if (depth == 0)
        bpf_return(program, program->otherwise);
}

/* Sort n rows by number, those of one number in their order, without the negative ones: how many are left. */
static size_t bpf_sort(const struct bpf_row *sorted[BPF_ROWS], const struct bpf_row *rows, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = kept;

        if (rows[i].number < 0)
            continue;
        for (; at > 0 && sorted[at - 1]->number > rows[i].number; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &rows[i];
        kept++;
    }
    return kept;
}

/* The call numbers from `first` to the next segment's get one answer, or are one call, whose rows look at arguments. */
struct bpf_segment {
    uint32_t first, result;
    uint16_t row, n_rows; /* of those that are sorted; none: `result` */
};

static void bpf_add_segment(struct bpf_segment *segments, size_t *n, struct bpf_segment segment)
{
    bool goes_on = *n > 0 && segment.n_rows == 0 && segments[*n - 1].n_rows == 0 &&
                   segments[*n - 1].result == segment.result;

    if (!goes_on)
        segments[(*n)++] = segment;
}

/* All 2^32 numbers: x32's, where there is one, kill; -1, which a tracer leaves behind, stays ENOSYS. How many. */
static size_t bpf_divide(struct bpf_segment segments[BPF_SEGMENTS], const struct bpf_row *const *sorted, size_t n_rows,
                         uint32_t otherwise)
{
    uint32_t next = 0;
    size_t n = 0;

    for (size_t i = 0, end = 0; i < n_rows; i = end) {
        uint32_t number = (uint32_t)sorted[i]->number;
        while (end < n_rows && sorted[end]->number == sorted[i]->number)
            end++;
        if (number > next)
            bpf_add_segment(segments, &n, (struct bpf_segment){next, otherwise, 0, 0});
        uint16_t looking = bpf_decided(sorted[i], 0) ? 0 : (uint16_t)(end - i);
        bpf_add_segment(segments, &n, (struct bpf_segment){number, sorted[i]->result, (uint16_t)i, looking});
        next = number + 1;
    }
    bpf_add_segment(segments, &n, (struct bpf_segment){next, otherwise, 0, 0});
    bpf_add_segment(segments, &n, (struct bpf_segment){BPF_X32_BIT, SECCOMP_RET_KILL_PROCESS, 0, 0});
    bpf_add_segment(segments, &n, (struct bpf_segment){UINT32_MAX, SECCOMP_RET_ERRNO | ENOSYS, 0, 0});
    return n;
}

/* Where segments[first..last) are divided best: by the call numbers on either side, since the kernel runs a new filter
 * once for each that it knows. */
static size_t bpf_middle(const struct bpf_segment *segments, size_t first, size_t last)
{
    uint32_t from = segments[first].first, to = segments[last].first < BPF_NUMBERS ? segments[last].first : BPF_NUMBERS;
    size_t middle = first + 1;

    while (middle + 1 < last && (uint64_t)segments[middle].first + segments[middle + 1].first <= from + to)
        middle++;
    return middle;
}

/* A binary search for the number. Jumps over a large part are JA, which has 32 bits. */
static void bpf_emit_search(struct bpf_program *program, const struct bpf_row *const *sorted,
                            const struct bpf_segment *segments, size_t first, size_t last)
{
    const struct bpf_segment *lone = &segments[first];

    if (last - first == 1) {
        if (lone->n_rows > 0)
            bpf_emit_rows(program, &sorted[lone->row], lone->n_rows, 0);
        else
            bpf_return(program, lone->result);
        return;
    }
    size_t middle = bpf_middle(segments, first, last);
    unsigned jump = program->len;
    bpf_emit(program, BPF_JMP | BPF_JGE | BPF_K, 0, 0, segments[middle].first);
    bpf_emit_search(program, sorted, segments, first, middle);
    unsigned length = program->len - jump - 1;
    if (length <= UINT8_MAX && !program->overflow) {
        program->code[jump].jt = (uint8_t)length;
    } else if (!program->overflow) {
        bpf_return(program, 0); /* room for one more */
        memmove(&program->code[jump + 2], &program->code[jump + 1], length * sizeof program->code[0]);
        program->code[jump].jf = 1;
        program->code[jump + 1] = (struct sock_filter){BPF_JMP | BPF_JA, 0, 0, length};
    }
    bpf_emit_search(program, sorted, segments, middle, last);
}

/* A program that is written again from its end, with one return for all jumps in reach. */
struct bpf_rewriting {
    struct sock_filter code[BPF_INSTRUCTIONS]; /* code[start..] is there */
    unsigned start;
    uint16_t place[BPF_INSTRUCTIONS]; /* of each instruction of the old program, in code */
    struct {
        uint32_t result;
        unsigned place;
    } returns[BPF_RESULTS]; /* the nearest of each kind */
    unsigned n_returns;
};

/* Where a jump of the next instruction to old instruction `target` leads. A return that is far, or isn't there yet, is
 * written now: 0 when there is no room to remember it. */
static unsigned bpf_place(struct bpf_rewriting *new, const struct bpf_program *old, unsigned target)
{
    const struct sock_filter *instruction = &old->code[target];
    unsigned i = 0;

    if (instruction->code != (BPF_RET | BPF_K))
        return new->place[target];
    while (i < new->n_returns && new->returns[i].result != instruction->k)
        i++;
    if (i == BPF_RESULTS || new->start < 4)
        return 0;
    if (i == new->n_returns || new->returns[i].place - new->start > UINT8_MAX - 2) { /* two may be written before it */
        new->code[--new->start] = *instruction;
        new->returns[i].result = instruction->k;
        new->returns[i].place = new->start;
        new->n_returns += i == new->n_returns;
    }
    return new->returns[i].place;
}

/* Leave out returns that another one can stand in for: a third of the program, and the kernel compiles all of it at
 * start. Nothing changes where a jump would get too long. */
static void bpf_share_returns(struct bpf_program *program)
{
    static struct bpf_rewriting new;

    new.start = BPF_INSTRUCTIONS;
    new.n_returns = 0;
    for (unsigned i = program->len; i-- > 0;) {
        struct sock_filter instruction = program->code[i];
        bool jumps = BPF_CLASS(instruction.code) == BPF_JMP, always = instruction.code == (BPF_JMP | BPF_JA);

        if (instruction.code == (BPF_RET | BPF_K))
            continue;
        unsigned yes = bpf_place(&new, program, i + 1 + (always ? instruction.k : instruction.jt));
        unsigned no = always ? yes : bpf_place(&new, program, i + 1 + instruction.jf);
        if (yes == 0 || no == 0)
            return;
        yes -= new.start;
        no -= new.start;
        if ((jumps && !always && (yes > UINT8_MAX || no > UINT8_MAX)) || (!jumps && yes != 0))
            return;
        if (always)
            instruction.k = yes;
        else if (jumps)
            instruction = (struct sock_filter){instruction.code, (uint8_t)yes, (uint8_t)no, instruction.k};
        new.place[i] = (uint16_t)--new.start;
        new.code[new.start] = instruction;
    }
    program->len = BPF_INSTRUCTIONS - new.start;
    memcpy(program->code, &new.code[new.start], program->len * sizeof new.code[0]);
}

/* Assemble the filter of one machine from n rows. Calls without a row that matches get `otherwise`; another ABI's kill
 * the process. 0, or -E2BIG when it does not fit. */
static int bpf_assemble(struct bpf_program *program, enum machine machine, const struct bpf_row *rows, size_t n,
                        uint32_t otherwise)
{
    static const struct bpf_row *sorted[BPF_ROWS];
    static struct bpf_segment segments[BPF_SEGMENTS + 1];
    uint32_t arch = machine == MACHINE_X86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;

    if (n > BPF_ROWS)
        return -E2BIG;
    size_t n_segments = bpf_divide(segments, sorted, bpf_sort(sorted, rows, n), otherwise);

    segments[n_segments].first = UINT32_MAX; /* behind them */
    program->len = 0;
    program->otherwise = otherwise;
    program->overflow = false;
    bpf_load(program, offsetof(struct seccomp_data, arch));
    bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, arch);
    bpf_return(program, SECCOMP_RET_KILL_PROCESS);
    bpf_load(program, offsetof(struct seccomp_data, nr));
    bpf_emit_search(program, sorted, segments, 0, n_segments);
    if (program->overflow)
        return -E2BIG;
    bpf_share_returns(program);
    return 0;
}

/* From here on this thread may make these calls alone: any other fails with EPERM. 0 or -errno. */
static int bpf_permit_only(const enum syscall_number *calls, size_t n)
{
    static struct bpf_program program;
    struct bpf_row rows[BPF_ROWS];

    for (size_t i = 0; i < n; i++)
        rows[i] = (struct bpf_row){number_on(calls[i], MACHINE_OURS), SECCOMP_RET_ALLOW, {{0}}};
    int result = bpf_assemble(&program, MACHINE_OURS, rows, n, SECCOMP_RET_ERRNO | EPERM);
    if (result < 0)
        return result;
    struct sock_fprog filter = {(unsigned short)program.len, program.code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);
}

#endif

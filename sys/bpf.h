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
    BPF_RUN = 8,
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

/* rows[first..last), whose conditions before `depth` hold. A condition that neighbours share is tested once, and an
 * argument that is at hand is not loaded again: the kernel compiles every instruction at start. */
static void bpf_emit_rows(struct bpf_program *program, const struct bpf_row *rows, size_t first, size_t last,
                          size_t depth)
{
    const struct bpf_condition *at_hand = NULL; /* what was loaded, when every way here leaves it so */

    for (size_t end = first; first < last; first = end) {
        if (bpf_decided(&rows[first], depth)) {
            bpf_return(program, rows[first].result);
            return;
        }
        const struct bpf_condition *c = &rows[first].conditions[depth];
        while (end < last && bpf_same_condition(c, &rows[end].conditions[depth]))
            end++;
        bool equal = c->test == BPF_EQUAL, lone = bpf_decided(&rows[first], depth + 1);
        bool loaded = equal && at_hand && at_hand->argument == c->argument && at_hand->mask == c->mask;
        unsigned jump = bpf_begin_condition(program, c, loaded);
        bpf_emit_rows(program, rows, first, end, depth + 1);
        bpf_end_condition(program, c, jump);
        at_hand = equal && lone ? c : NULL;
    }
}

/* Do these rows answer the same, whatever the arguments? */
static bool bpf_alike(const struct bpf_row *rows, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++)
        if (!bpf_decided(&rows[i], 0) || rows[i].result != rows[first].result)
            return false;
    return true;
}

/* rows[first..last) are sorted by number. A binary search over the numbers: the kernel runs a new filter once for every
 * call number it knows, so its cost counts at start. Jumps over a large subtree are JA, which has 32 bits. */
static void bpf_emit_search(struct bpf_program *program, const struct bpf_row *rows, size_t first, size_t last)
{
    size_t middle = first + (last - first) / 2;

    if (last - first <= BPF_RUN && bpf_alike(rows, first, last)) {
        for (size_t i = first; i < last; i++)
            bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(last - i), 0, (uint32_t)rows[i].number);
        bpf_return(program, program->otherwise);
        bpf_return(program, rows[first].result);
        return;
    }
    while (middle > first && rows[middle].number == rows[middle - 1].number)
        middle--;
    if (middle == first) /* the lower half is one number: try the upper end of that number instead */
        while (middle < last && rows[middle].number == rows[first].number)
            middle++;
    if (middle == last) {
        bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, (uint32_t)rows[first].number);
        bpf_return(program, program->otherwise);
        bpf_emit_rows(program, rows, first, last, 0);
        if (rows[last - 1].conditions[0].test != BPF_ALWAYS)
            bpf_return(program, program->otherwise);
        return;
    }
    unsigned jump = program->len;
    bpf_emit(program, BPF_JMP | BPF_JGE | BPF_K, 0, 0, (uint32_t)rows[middle].number);
    bpf_emit_search(program, rows, first, middle);
    unsigned length = program->len - jump - 1;
    if (length <= UINT8_MAX && !program->overflow) {
        program->code[jump].jt = (uint8_t)length;
    } else if (!program->overflow) {
        bpf_return(program, 0); /* room for one more */
        memmove(&program->code[jump + 2], &program->code[jump + 1], length * sizeof program->code[0]);
        program->code[jump].jf = 1;
        program->code[jump + 1] = (struct sock_filter){BPF_JMP | BPF_JA, 0, 0, length};
    }
    bpf_emit_search(program, rows, middle, last);
}

/* Copy n rows by number, those of one number in their order, without the negative ones: how many are left. */
static size_t bpf_sort(struct bpf_row sorted[BPF_ROWS], const struct bpf_row *rows, size_t n)
{
    uint16_t order[BPF_ROWS]; /* rows are too large to be moved about */
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = kept;

        if (rows[i].number < 0)
            continue;
        for (; at > 0 && rows[order[at - 1]].number > rows[i].number; at--)
            order[at] = order[at - 1];
        order[at] = (uint16_t)i;
        kept++;
    }
    for (size_t i = 0; i < kept; i++)
        sorted[i] = rows[order[i]];
    return kept;
}

/* A program that is written again from its end, with one return for all jumps in reach. */
struct bpf_rewriting {
    struct sock_filter code[BPF_INSTRUCTIONS]; /* code[start..] is there */
    unsigned start;
    unsigned place[BPF_INSTRUCTIONS]; /* of each instruction of the old program, in code */
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
        new.place[i] = --new.start;
        new.code[new.start] = instruction;
    }
    program->len = BPF_INSTRUCTIONS - new.start;
    memcpy(program->code, &new.code[new.start], program->len * sizeof new.code[0]);
}

/* Assemble the filter of one machine from n rows. Calls without a row that matches get `otherwise`.
 * Another ABI's calls kill the process; -1, which a tracer leaves behind, stays ENOSYS. 0, or -E2BIG when it does not
 * fit. */
static int bpf_assemble(struct bpf_program *program, enum machine machine, const struct bpf_row *rows, size_t n,
                        uint32_t otherwise)
{
    static struct bpf_row sorted[BPF_ROWS];
    uint32_t arch = machine == MACHINE_X86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;

    if (n > BPF_ROWS)
        return -E2BIG;
    size_t kept = bpf_sort(sorted, rows, n);

    program->len = 0;
    program->otherwise = otherwise;
    program->overflow = false;
    bpf_load(program, offsetof(struct seccomp_data, arch));
    bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, arch);
    bpf_return(program, SECCOMP_RET_KILL_PROCESS);
    bpf_load(program, offsetof(struct seccomp_data, nr));
    bpf_emit(program, BPF_JMP | BPF_JGE | BPF_K, 0, 3, BPF_X32_BIT); /* x32, where there is one; nothing elsewhere */
    bpf_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, UINT32_MAX);
    bpf_return(program, SECCOMP_RET_KILL_PROCESS);
    bpf_return(program, SECCOMP_RET_ERRNO | ENOSYS);
    if (kept > 0)
        bpf_emit_search(program, sorted, 0, kept);
    else
        bpf_return(program, otherwise);
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

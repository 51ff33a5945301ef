/* unit test of sys/bpf.h: a program answers as its rows read, too large a table is refused; and kernel.h's numbers */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "unit.h"

#include "simulator.h"

/* Every call that the table of traps names, but for open, which aarch64 lacks; a test holds the list against it. */
#define CALLS(X)                                                                                                       \
    X(accept4) X(acct) X(add_key) X(bind) X(bpf) X(brk) X(capget) X(capset) X(clock_gettime) X(clock_nanosleep)        \
    X(clone) X(clone3) X(close) X(close_range) X(connect) X(delete_module) X(epoll_ctl) X(epoll_pwait) X(exit)         \
    X(exit_group) X(faccessat) X(faccessat2) X(fanotify_init) X(fchdir) X(fcntl) X(finit_module) X(fsconfig)           \
    X(fsmount) X(fsopen) X(fspick) X(fstat) X(fstatfs) X(ftruncate) X(futex) X(getdents64) X(getegid) X(geteuid)       \
    X(getgid) X(getpeername) X(getpgid) X(getpid) X(getppid) X(getrandom) X(getrusage) X(getsid) X(getsockname)        \
    X(getsockopt) X(gettid) X(getuid) X(init_module) X(io_uring_enter) X(io_uring_register) X(io_uring_setup)          \
    X(ioctl) X(ioprio_set) X(kcmp) X(kexec_file_load) X(kexec_load) X(keyctl) X(kill) X(landlock_create_ruleset)       \
    X(landlock_restrict_self) X(listen) X(lseek) X(madvise) X(memfd_create) X(migrate_pages) X(mknodat) X(mmap)        \
    X(mount) X(mount_setattr) X(move_mount) X(move_pages) X(mprotect) X(mremap) X(munmap) X(nanosleep) X(newfstatat)   \
    X(open_by_handle_at) X(open_tree) X(open_tree_attr) X(openat) X(openat2) X(perf_event_open) X(personality)         \
    X(pidfd_getfd) X(pidfd_open) X(pidfd_send_signal) X(pipe2) X(pivot_root) X(ppoll) X(prctl) X(pread64)              \
    X(prlimit64) X(process_madvise) X(process_vm_readv) X(process_vm_writev) X(ptrace) X(pwrite64) X(pwritev2)         \
    X(quotactl) X(quotactl_fd) X(read) X(readlinkat) X(readv) X(reboot) X(recvfrom) X(recvmsg) X(request_key)          \
    X(restart_syscall) X(rt_sigaction) X(rt_sigprocmask) X(rt_sigqueueinfo) X(rt_sigreturn) X(rt_sigtimedwait)         \
    X(rt_tgsigqueueinfo) X(sched_setaffinity) X(sched_setattr) X(sched_setparam) X(sched_setscheduler) X(sendmmsg)     \
    X(sendmsg) X(sendto) X(setgroups) X(setitimer) X(setns) X(setpriority) X(setresgid) X(setresuid) X(setsockopt)     \
    X(shutdown) X(socket) X(socketpair) X(splice) X(swapoff) X(swapon) X(sync) X(tgkill) X(tkill) X(umask)             \
    X(umount2) X(unlinkat) X(unshare) X(userfaultfd) X(wait4) X(write) X(writev)

/* Those that aarch64 doesn't have. */
#define OLD_CALLS(X)                                                                                                   \
    X(access) X(epoll_wait) X(ioperm) X(iopl) X(mknod) X(open) X(poll) X(readlink) X(stat)

/* Newer than some headers. */
#ifndef __NR_quotactl_fd
#define __NR_quotactl_fd 443
#endif
#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif

enum {
#define X(name) NATIVE_##name = __NR_##name,
    CALLS(X)
#if defined(__x86_64__)
    OLD_CALLS(X)
#undef X
#else
#undef X
#define X(name) NATIVE_##name = -1,
    OLD_CALLS(X)
#undef X
#endif
};

/* aarch64's numbers are the generic ones (its asm/unistd.h); a system header may define them anew. */
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_NEW_STAT
#include <asm-generic/unistd.h>

enum {
#define X(name) GENERIC_##name = __NR_##name,
    CALLS(X)
#undef X
#define X(name) GENERIC_##name = -1,
    OLD_CALLS(X)
#undef X
};

enum { INPUTS = 40000, TABLES = 400, TABLE_ROWS = 40, TABLE_INPUTS = 200 };

static void test_numbers(void)
{
#define X(name)                                                                                                        \
    EXPECT(number_on(NR_##name, MACHINE_OURS) == NATIVE_##name);                                                       \
    EXPECT(number_on(NR_##name, MACHINE_AARCH64) == GENERIC_##name);
    CALLS(X)
    OLD_CALLS(X)
#undef X
}

/* No row's call escaped the test above. */
static void test_calls_are_listed(void)
{
    const enum syscall_number listed[] = {
#define X(name) NR_##name,
        CALLS(X) OLD_CALLS(X)
#undef X
    };

    for (size_t i = 0; i < ARRAY_LEN(traps); i++) {
        bool found = false;

        for (size_t k = 0; k < ARRAY_LEN(listed); k++)
            found = found || (number_on(traps[i].number, MACHINE_X86_64) == number_on(listed[k], MACHINE_X86_64) &&
                              number_on(traps[i].number, MACHINE_AARCH64) == number_on(listed[k], MACHINE_AARCH64));
        EXPECT(found);
    }
}

static bool condition_holds(const struct bpf_condition *c, const struct seccomp_data *data)
{
    uint32_t low = (uint32_t)data->args[c->argument];

    switch (c->test) {
    case BPF_ALWAYS:
        return true;
    case BPF_EQUAL:
        return (low & c->mask) == c->value;
    case BPF_UNLIKE:
        return (low & c->mask) != c->value;
    case BPF_ANY_BIT:
        return (low & c->mask) != 0;
    case BPF_NONZERO:
        return data->args[c->argument] != 0;
    }
    abort();
}

/* The first row that matches, or n. bpf_matches must think so too. */
static size_t first_match(const struct bpf_row *rows, size_t n, const struct seccomp_data *data, size_t *wrong)
{
    uint64_t args[6];

    memcpy(args, data->args, sizeof args);
    for (size_t i = 0; i < n; i++) {
        bool matches = true;

        for (size_t k = 0; k < BPF_CONDITIONS; k++)
            matches = matches && condition_holds(&rows[i].conditions[k], data);
        *wrong += matches != bpf_matches(rows[i].conditions, args);
        if (matches && rows[i].number == data->nr)
            return i;
    }
    return n;
}

/* An argument list that a row's conditions hold for, in half of all cases with a bit or two flipped. */
static struct seccomp_data near_row(const struct bpf_row *row, uint32_t arch)
{
    struct seccomp_data data = {.nr = row->number, .arch = arch};

    for (size_t i = 0; i < 6; i++)
        data.args[i] = unit_any() % 4 ? unit_any() << 32 | unit_any() % 64 : unit_any() % 2 ? 0 : unit_any();
    for (size_t k = 0; k < BPF_CONDITIONS; k++) {
        const struct bpf_condition *c = &row->conditions[k];

        if (c->test == BPF_EQUAL)
            data.args[c->argument] = unit_any() << 32 | c->value | ((uint32_t)unit_any() & ~c->mask);
        else if (c->test == BPF_ANY_BIT)
            data.args[c->argument] |= c->mask;
    }
    for (uint64_t flips = unit_any() % 4; flips-- > 1;)
        data.args[unit_any() % 6] ^= 1ULL << unit_any() % 64;
    if (unit_any() % 16 == 0)
        data.nr += (int)(unit_any() % 3) - 1;
    return data;
}

static size_t wrong_answers(const struct bpf_program *program, const struct bpf_row *rows, size_t n, uint32_t arch,
                            unsigned inputs, unsigned *hits)
{
    size_t wrong = 0;

    for (unsigned i = 0; i < inputs; i++) {
        struct seccomp_data data = near_row(&rows[unit_any() % n], arch);
        size_t row = first_match(rows, n, &data, &wrong);

        hits[row]++;
        if (data.nr >= 0)
            wrong += run(program, &data) != (row < n ? rows[row].result : SECCOMP_RET_ALLOW);
    }
    return wrong;
}

/* The program is the table of traps, and each row of it decides something. */
static void test_as_the_table(enum kind kind, enum machine machine, bool leaders_table)
{
    unsigned hits[ARRAY_LEN(traps) + 1] = {0};
    struct bpf_row rows[ARRAY_LEN(traps)];
    struct bpf_program program;
    size_t n = 0, idle = 0;

    use_policy(kind);
    for (size_t i = 0; i < ARRAY_LEN(traps); i++) {
        if (!trap_applies(&traps[i], leaders_table) || number_on(traps[i].number, machine) < 0)
            continue;
        rows[n] = (struct bpf_row){.number = number_on(traps[i].number, machine), .result = traps[i].result};
        memcpy(rows[n].conditions, traps[i].conditions, sizeof rows[n].conditions);
        n++;
    }
    EXPECT(traps_assemble(&program, machine, leaders_table) == 0);
    EXPECT(acceptable(&program));
    EXPECT(wrong_answers(&program, rows, n, arches[machine], INPUTS, hits) == 0);
    for (size_t i = 0; i < n; i++)
        idle += hits[i] == 0;
    EXPECT(idle == 0);
}

/* One with any of this many results. */
static struct bpf_row any_row(unsigned results)
{
    static const uint32_t masks[] = {UINT32_MAX, ~1u, 0xff, 0x80000000, ~0x80800u, 1};
    struct bpf_row row = {.number = (int)(unit_any() % 14) - 2,
                          .result = (uint32_t)(SECCOMP_RET_ERRNO | unit_any() % results)};
    size_t n = unit_any() % (BPF_CONDITIONS + 1);

    for (size_t k = 0; k < n; k++) {
        uint32_t mask = masks[unit_any() % ARRAY_LEN(masks)];

        row.conditions[k] = (struct bpf_condition){(enum bpf_test)(BPF_EQUAL + unit_any() % 4),
                                                   (uint8_t)(unit_any() % 6), mask,
                                                   (uint32_t)(unit_any() % 2 ? unit_any() : unit_any() % 4) & mask};
    }
    return row;
}

/* Any table assembles to what it says. */
static void test_any_table(void)
{
    size_t wrong = 0, refused = 0;

    for (unsigned table = 0; table < TABLES; table++) {
        struct bpf_row rows[TABLE_ROWS], sorted[TABLE_ROWS];
        unsigned hits[TABLE_ROWS + 1] = {0};
        struct bpf_program program;
        size_t n = 1 + unit_any() % TABLE_ROWS;

        for (size_t i = 0; i < n; i++)
            sorted[i] = rows[i] = any_row(table % 2 == 0 ? 4 : 4096);
        refused += bpf_assemble(&program, MACHINE_X86_64, sorted, n, SECCOMP_RET_ALLOW) != 0 || !acceptable(&program);
        wrong += wrong_answers(&program, rows, n, arches[MACHINE_X86_64], TABLE_INPUTS, hits);
    }
    EXPECT(refused == 0);
    EXPECT(wrong == 0);
}

/* Where a jump reaches all of a program, it has one return for each result: the two here, and three others. */
static void test_shared_returns(void)
{
    struct bpf_row rows[60];
    struct bpf_program program;
    size_t returns = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        rows[i] = (struct bpf_row){2 * (int)i, SECCOMP_RET_ERRNO | (uint32_t)(1 + i % 2), {{BPF_ALWAYS, 0, 0, 0}}};
    EXPECT(bpf_assemble(&program, MACHINE_X86_64, rows, ARRAY_LEN(rows), SECCOMP_RET_ALLOW) == 0);
    for (unsigned i = 0; i < program.len; i++)
        returns += program.code[i].code == (BPF_RET | BPF_K);
    EXPECT(returns == 5);
}

/* Neighbours with one answer are told apart from the rest, not from each other: below, they, above, x32 and -1. */
static void test_neighbours(void)
{
    struct bpf_row rows[30];
    struct bpf_program program;
    size_t comparisons = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        rows[i] = (struct bpf_row){(int)(39 - i), SECCOMP_RET_ERRNO | EPERM, {{BPF_ALWAYS, 0, 0, 0}}};
    EXPECT(bpf_assemble(&program, MACHINE_X86_64, rows, ARRAY_LEN(rows), SECCOMP_RET_ALLOW) == 0);
    for (unsigned i = 0; i < program.len; i++)
        comparisons += program.code[i].code == (BPF_JMP | BPF_JGE | BPF_K);
    EXPECT(comparisons == 4);
}

/* A table that is too large is refused, never cut short. */
static void test_overflow(void)
{
    static struct bpf_row rows[BPF_INSTRUCTIONS];
    struct bpf_program program;
    size_t fits = 0;

    for (size_t n = 1; n <= BPF_INSTRUCTIONS; n++) {
        for (size_t i = 0; i < n; i++)
            rows[i] = (struct bpf_row){(int)i, SECCOMP_RET_KILL_PROCESS, {{BPF_EQUAL, 0, UINT32_MAX, 1}}};
        if (bpf_assemble(&program, MACHINE_AARCH64, rows, n, SECCOMP_RET_ALLOW) < 0)
            break;
        fits = n;
        if (!acceptable(&program) || program.len > BPF_INSTRUCTIONS)
            break;
    }
    EXPECT(fits > 50 && fits < BPF_INSTRUCTIONS / 4);
    EXPECT(bpf_assemble(&program, MACHINE_AARCH64, rows, BPF_INSTRUCTIONS, SECCOMP_RET_ALLOW) == -E2BIG);
    EXPECT(bpf_assemble(&program, MACHINE_AARCH64, rows, 0, SECCOMP_RET_ALLOW) == 0);
    EXPECT(acceptable(&program));
}

int main(void)
{
    test_numbers();
    test_calls_are_listed();
    for (unsigned kind = 0; kind < KINDS; kind++) {
        test_as_the_table((enum kind)kind, MACHINE_X86_64, kind % 2);
        test_as_the_table((enum kind)kind, MACHINE_AARCH64, kind % 2 == 0);
    }
    test_any_table();
    test_shared_returns();
    test_neighbours();
    test_overflow();
    return unit_done();
}

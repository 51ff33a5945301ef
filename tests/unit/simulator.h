/* simulator.h - sandlock.c's filters run by an interpreter: the kinds of policy, what the kernel takes, the answer */
#ifndef SIMULATOR_H
#define SIMULATOR_H

int sandlock_main(int argc, char **argv);
#define main sandlock_main
#include "../../sandlock.c"
#undef main

enum { MACHINES = 2 };

static const uint32_t arches[MACHINES] = {0xc000003e, 0xc00000b7}; /* AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64 */

/* The kinds of policy that design.md's table tells apart. */
enum kind { KIND_NONE, KIND_TCP, KIND_UDP, KIND_ICMP, KIND_DENY, KINDS };

static const char *const kind_names[KINDS] = {"no rules", "a TCP rule", "a UDP rule", "an ICMP rule", "a deny rule"};

static void use_policy(enum kind kind)
{
    policy = (struct policy){.deny_errno = ECONNREFUSED};
    switch (kind) {
    case KIND_NONE:
        break;
    case KIND_TCP:
        set_allow("10.0.0.1:443");
        break;
    case KIND_UDP:
        set_allow("udp://10.0.0.1:53");
        break;
    case KIND_ICMP:
        set_allow("icmp://10.0.0.1");
        break;
    case KIND_DENY:
    case KINDS:
        set_deny("10.0.0.1:443");
        break;
    }
    policy_finish();
}

static uint32_t word(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t value;

    memcpy(&value, (const char *)data + offset, sizeof value);
    return value;
}

/* What the kernel asks of a filter before it takes it (seccomp_check_filter, bpf_check_classic), for the instructions
 * that the assembler knows: loads inside the data, jumps inside the program, a return at the end. */
static bool acceptable(const struct bpf_program *program)
{
    for (unsigned at = 0; at < program->len; at++) {
        const struct sock_filter *step = &program->code[at];

        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (step->k % 4 != 0 || step->k >= sizeof(struct seccomp_data))
                return false;
            break;
        case BPF_JMP | BPF_JA:
            if (step->k >= program->len - at - 1)
                return false;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_K:
            if (at + 1u + step->jt >= program->len || at + 1u + step->jf >= program->len)
                return false;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
        case BPF_RET | BPF_K:
            break;
        default:
            return false;
        }
    }
    return program->len > 0 && program->len <= 4096 && program->code[program->len - 1].code == (BPF_RET | BPF_K);
}

/* Run an acceptable program. It ends: every jump goes forward. */
static uint32_t run(const struct bpf_program *program, const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (unsigned at = 0;; at++) {
        const struct sock_filter *step = &program->code[at];

        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = word(data, step->k);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= step->k;
            break;
        case BPF_JMP | BPF_JA:
            at += step->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == step->k ? step->jt : step->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= step->k ? step->jt : step->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            at += a & step->k ? step->jt : step->jf;
            break;
        default: /* BPF_RET | BPF_K */
            return step->k;
        }
    }
}

#endif

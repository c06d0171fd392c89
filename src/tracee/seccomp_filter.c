/*
 * seccomp_filter: an interpreter for the classic BPF programs of seccomp: whether an injected system call would kill
 * the target. Input: programs read from a traced thread.
 */
#include "seccomp_filter.h"

#include "leakhunt/base.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

struct machine {
	uint32_t a;
	uint32_t x;
	uint32_t memory[BPF_MEMWORDS];
};

static bool load_seccomp_filter(struct machine *machine, const struct sock_filter *step,
				const struct seccomp_data *data)
{
	uint32_t value;
	switch (BPF_MODE(step->code)) {
	case BPF_ABS:
		if (step->k > sizeof(*data) - sizeof(value))
			return false;
		memcpy(&value, (const char *)data + step->k, sizeof(value));
		break;
	case BPF_MEM:
		if (step->k >= BPF_MEMWORDS)
			return false;
		value = machine->memory[step->k];
		break;
	case BPF_IMM:
		value = step->k;
		break;
	case BPF_LEN:
		value = sizeof(*data);
		break;
	default:
		return false;
	}
	*(BPF_CLASS(step->code) == BPF_LD ? &machine->a : &machine->x) = value;
	return true;
}

static bool calculate_value(struct machine *machine, const struct sock_filter *step)
{
	uint32_t operand = BPF_SRC(step->code) == BPF_X ? machine->x : step->k;
	switch (BPF_OP(step->code)) {
	case BPF_ADD:
		machine->a += operand;
		return true;
	case BPF_SUB:
		machine->a -= operand;
		return true;
	case BPF_MUL:
		machine->a *= operand;
		return true;
	case BPF_DIV:
		machine->a = operand ? machine->a / operand : 0;
		return true;
	case BPF_AND:
		machine->a &= operand;
		return true;
	case BPF_OR:
		machine->a |= operand;
		return true;
	case BPF_XOR:
		machine->a ^= operand;
		return true;
	case BPF_LSH:
		machine->a = operand < 32 ? machine->a << operand : 0;
		return true;
	case BPF_RSH:
		machine->a = operand < 32 ? machine->a >> operand : 0;
		return true;
	case BPF_NEG:
		machine->a = -machine->a;
		return true;
	default:
		return false;
	}
}

/* How many instructions to skip; false for an unknown jump. */
static bool jump_in_filter(const struct machine *machine, const struct sock_filter *step, size_t *ret_skip)
{
	uint32_t operand = BPF_SRC(step->code) == BPF_X ? machine->x : step->k;
	bool is_taken;
	switch (BPF_OP(step->code)) {
	case BPF_JA:
		*ret_skip = step->k;
		return true;
	case BPF_JEQ:
		is_taken = machine->a == operand;
		break;
	case BPF_JGT:
		is_taken = machine->a > operand;
		break;
	case BPF_JGE:
		is_taken = machine->a >= operand;
		break;
	case BPF_JSET:
		is_taken = machine->a & operand;
		break;
	default:
		return false;
	}
	*ret_skip = is_taken ? step->jt : step->jf;
	return true;
}

/* Everything but jumps and returns. */
static bool run_step(struct machine *machine, const struct sock_filter *step, const struct seccomp_data *data)
{
	switch (BPF_CLASS(step->code)) {
	case BPF_LD:
	case BPF_LDX:
		return load_seccomp_filter(machine, step, data);
	case BPF_ST:
	case BPF_STX:
		if (step->k >= BPF_MEMWORDS)
			return false;
		machine->memory[step->k] = BPF_CLASS(step->code) == BPF_ST ? machine->a : machine->x;
		return true;
	case BPF_ALU:
		return calculate_value(machine, step);
	case BPF_MISC:
		if (BPF_MISCOP(step->code) == BPF_TAX)
			machine->x = machine->a;
		else
			machine->a = machine->x;
		return true;
	default:
		return false;
	}
}

bool lh_seccomp_run(const struct sock_filter *program, size_t length, const struct lh_filtered_call *call,
		    uint32_t *ret_action)
{
	struct seccomp_data data = {.nr = call->number, .arch = AUDIT_ARCH_X86_64};
	struct machine machine = {0};
	for (size_t i = 0; i < LH_ARRAY_COUNT(call->arguments); i++)
		data.args[i] = call->arguments[i];
	/* Jumps only go forward, so every program ends (kernel/seccomp.c). */
	for (size_t at = 0; at < length; at++) {
		const struct sock_filter *step = &program[at];
		if (BPF_CLASS(step->code) == BPF_RET) {
			*ret_action = BPF_RVAL(step->code) == BPF_A ? machine.a : step->k;
			return true;
		}
		if (BPF_CLASS(step->code) == BPF_JMP) {
			size_t skip;
			if (!jump_in_filter(&machine, step, &skip) || skip >= length - at)
				return false;
			at += skip;
		} else if (!run_step(&machine, step, &data)) {
			return false;
		}
	}
	return false;
}

static bool is_deadly(uint32_t action)
{
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ERRNO:
		return false;
	default: /* kill, trap (SIGSYS), trace and user notification: another process decides */
		return true;
	}
}

enum lh_seccomp_answer lh_seccomp_ask(pid_t tid, const struct lh_filtered_call *call)
{
	for (unsigned long index = 0;; index++) {
		long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, NULL);
		if (length < 0)
			/* EINVAL: seccomp is not in filter mode */
			return errno == ENOENT || errno == EINVAL ? LH_SECCOMP_ALLOWS : LH_SECCOMP_HIDDEN;
		LH_CLEANUP(lh_cleanup_free) struct sock_filter *program = calloc((size_t)length, sizeof(*program));
		if (!program || ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, program) != length)
			return LH_SECCOMP_HIDDEN;
		uint32_t action;
		if (!lh_seccomp_run(program, (size_t)length, call, &action) || is_deadly(action))
			return LH_SECCOMP_KILLS;
	}
}

bool lh_seccomp_kills(pid_t tid, const struct lh_filtered_call *call)
{
	return lh_seccomp_ask(tid, call) != LH_SECCOMP_ALLOWS;
}

/*
 * bpf_code: instructions of the BPF machine, one function each. Pure.
 */
#include "bpf_code.h"

static void emit_instruction(struct lh_bpf_code *code, struct bpf_insn instruction)
{
	if (code->count == LH_BPF_CODE_MAX)
		code->is_too_long = true;
	else
		code->instructions[code->count++] = instruction;
}

void lh_bpf_label(struct lh_bpf_code *code, unsigned label)
{
	code->labels[label] = code->count;
}

static struct bpf_insn make_instruction(unsigned opcode, unsigned to, unsigned from, int offset, int32_t number)
{
	return (struct bpf_insn){
		.code = (uint8_t)opcode,
		.dst_reg = to & 15,
		.src_reg = from & 15,
		.off = (int16_t)offset,
		.imm = number,
	};
}

void lh_bpf_move(struct lh_bpf_code *code, unsigned to, unsigned from)
{
	emit_instruction(code, make_instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0));
}

void lh_bpf_move_number(struct lh_bpf_code *code, unsigned to, int32_t number)
{
	emit_instruction(code, make_instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, number));
}

void lh_bpf_load(struct lh_bpf_code *code, unsigned to, unsigned base, int offset)
{
	emit_instruction(code, make_instruction(BPF_LDX | BPF_MEM | BPF_DW, to, base, offset, 0));
}

void lh_bpf_store(struct lh_bpf_code *code, unsigned base, int offset, unsigned from)
{
	emit_instruction(code, make_instruction(BPF_STX | BPF_MEM | BPF_DW, base, from, offset, 0));
}

void lh_bpf_store_number(struct lh_bpf_code *code, unsigned base, int offset, int32_t number)
{
	emit_instruction(code, make_instruction(BPF_ST | BPF_MEM | BPF_DW, base, 0, offset, number));
}

void lh_bpf_compute(struct lh_bpf_code *code, unsigned operation, unsigned to, unsigned from)
{
	emit_instruction(code, make_instruction(BPF_ALU64 | operation | BPF_X, to, from, 0, 0));
}

void lh_bpf_compute_number(struct lh_bpf_code *code, unsigned operation, unsigned to, int32_t number)
{
	emit_instruction(code, make_instruction(BPF_ALU64 | operation | BPF_K, to, 0, 0, number));
}

void lh_bpf_atomic_add(struct lh_bpf_code *code, unsigned base, int offset, unsigned from)
{
	emit_instruction(code, make_instruction(BPF_STX | BPF_ATOMIC | BPF_DW, base, from, offset, BPF_ADD));
}

void lh_bpf_atomic_fetch_add(struct lh_bpf_code *code, unsigned base, int offset, unsigned from)
{
	emit_instruction(code,
			 make_instruction(BPF_STX | BPF_ATOMIC | BPF_DW, base, from, offset, BPF_ADD | BPF_FETCH));
}

static void emit_jump(struct lh_bpf_code *code, struct bpf_insn instruction, unsigned label)
{
	if (code->count < LH_BPF_CODE_MAX)
		code->targets[code->count] = (uint8_t)(label + 1);
	emit_instruction(code, instruction);
}

void lh_bpf_jump(struct lh_bpf_code *code, unsigned label)
{
	emit_jump(code, make_instruction(BPF_JMP | BPF_JA, 0, 0, 0, 0), label);
}

void lh_bpf_jump_if(struct lh_bpf_code *code, unsigned condition, unsigned left, unsigned right, unsigned label)
{
	emit_jump(code, make_instruction(BPF_JMP | condition | BPF_X, left, right, 0, 0), label);
}

void lh_bpf_jump_if_number(struct lh_bpf_code *code, unsigned condition, unsigned left, int32_t number, unsigned label)
{
	emit_jump(code, make_instruction(BPF_JMP | condition | BPF_K, left, 0, 0, number), label);
}

void lh_bpf_call(struct lh_bpf_code *code, int32_t helper)
{
	emit_instruction(code, make_instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper));
}

void lh_bpf_return(struct lh_bpf_code *code, int32_t number)
{
	lh_bpf_move_number(code, BPF_REG_0, number);
	emit_instruction(code, make_instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

/* A 64-bit immediate takes two instructions. */
static void load_map_reference(struct lh_bpf_code *code, unsigned to, unsigned kind, int map_fd, int32_t offset)
{
	emit_instruction(code, make_instruction(BPF_LD | BPF_IMM | BPF_DW, to, kind, 0, map_fd));
	emit_instruction(code, make_instruction(0, 0, 0, 0, offset));
}

void lh_bpf_load_map(struct lh_bpf_code *code, unsigned to, int map_fd)
{
	load_map_reference(code, to, BPF_PSEUDO_MAP_FD, map_fd, 0);
}

void lh_bpf_load_map_value(struct lh_bpf_code *code, unsigned to, int map_fd, int32_t offset)
{
	load_map_reference(code, to, BPF_PSEUDO_MAP_VALUE, map_fd, offset);
}

struct lh_error *lh_bpf_finish(struct lh_bpf_code *code)
{
	if (code->is_too_long)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "a BPF program is too long");
	for (size_t i = 0; i < code->count; i++) {
		if (code->targets[i])
			code->instructions[i].off = (int16_t)(code->labels[code->targets[i] - 1] - i - 1);
	}
	return NULL;
}

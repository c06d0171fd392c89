/*
 * probe_point: decodes the first instructions of a function. Input: bytes of the target's code. Only instructions of
 * a short list are passed; anything else ends the search. (Intel SDM volume 2, appendix A.)
 */
#include "probe_point.h"

#include <string.h>

enum {
	RDI = 7,
	RSP = 4,
	NO_REGISTER = 16,
};

struct instruction {
	size_t bytes;
	unsigned written; /* general registers, as bits */
	bool is_emulated;
	bool is_test_rdi; /* test %rdi,%rdi */
	bool is_je;
};

/* How an opcode uses its ModRM byte. */
enum operand_form {
	FORM_UNKNOWN,
	FORM_WRITES_RM,
	FORM_WRITES_REG,
	FORM_READS,
};

static enum operand_form form_of_opcode(uint8_t opcode)
{
	/* add, or, adc, sbb, and, sub, xor: 00 to 03 of each row of 8; cmp only reads. */
	if (opcode < 0x40 && (opcode & 7) < 4)
		return (opcode & 0x38) == 0x38 ? FORM_READS : (opcode & 2) ? FORM_WRITES_REG : FORM_WRITES_RM;
	switch (opcode) {
	case 0x84: /* test */
	case 0x85:
		return FORM_READS;
	case 0x88: /* mov */
	case 0x89:
		return FORM_WRITES_RM;
	case 0x8a:
	case 0x8b:
	case 0x8d: /* lea */
		return FORM_WRITES_REG;
	default:
		return FORM_UNKNOWN;
	}
}

/* Opcodes with an immediate: its bytes, or 0 when the opcode is none of them. */
static size_t immediate_of_opcode(uint8_t opcode, unsigned extension, enum operand_form *ret)
{
	bool is_compare = extension == 7;
	switch (opcode) {
	case 0x80: /* add .. cmp, imm8 */
	case 0x83:
		*ret = is_compare ? FORM_READS : FORM_WRITES_RM;
		return 1;
	case 0x81:
		*ret = is_compare ? FORM_READS : FORM_WRITES_RM;
		return 4;
	case 0xc1: /* shifts */
		*ret = FORM_WRITES_RM;
		return 1;
	case 0xf6: /* test imm8 */
		*ret = extension < 2 ? FORM_READS : FORM_UNKNOWN;
		return 1;
	case 0xf7:
		*ret = extension < 2 ? FORM_READS : FORM_UNKNOWN;
		return 4;
	default:
		return 0;
	}
}

/* Bytes of ModRM, SIB and displacement; sets the bits of rex-extended reg and rm (NO_REGISTER: memory). */
static size_t measure_modrm(struct lh_cursor cursor, uint8_t rex, unsigned *ret_reg, unsigned *ret_rm)
{
	size_t before = lh_cursor_left(&cursor);
	uint8_t modrm = lh_cursor_u8(&cursor);
	unsigned mode = modrm >> 6, low = modrm & 7;
	*ret_reg = (modrm >> 3 & 7) | (rex & 4 ? 8 : 0);
	*ret_rm = mode == 3 ? (low | (rex & 1 ? 8 : 0)) : NO_REGISTER;
	if (mode != 3 && low == 4) {
		uint8_t sib = lh_cursor_u8(&cursor);
		if (mode == 0 && (sib & 7) == 5)
			(void)lh_cursor_take(&cursor, 4);
	}
	if (mode == 1)
		(void)lh_cursor_take(&cursor, 1);
	else if (mode == 2 || (mode == 0 && low == 5))
		(void)lh_cursor_take(&cursor, 4);
	return cursor.failed ? 0 : before - lh_cursor_left(&cursor);
}

static bool decode_with_modrm(struct lh_cursor *cursor, uint8_t opcode, uint8_t rex, struct instruction *ret)
{
	unsigned reg, rm;
	enum operand_form form = form_of_opcode(opcode);
	size_t bytes = measure_modrm(*cursor, rex, &reg, &rm);
	size_t immediate = form == FORM_UNKNOWN ? immediate_of_opcode(opcode, reg & 7, &form) : 0;
	if (!bytes || form == FORM_UNKNOWN)
		return false;
	(void)lh_cursor_take(cursor, bytes + immediate);
	if (form == FORM_WRITES_REG)
		ret->written = 1u << reg;
	else if (form == FORM_WRITES_RM)
		ret->written = 1u << rm;
	/* 48 85 ff */
	ret->is_test_rdi = opcode == 0x85 && rex == 0x48 && reg == RDI && rm == RDI;
	return true;
}

/* Instructions of two bytes 0f xx. */
static bool decode_two_byte_opcode(struct lh_cursor *cursor, uint8_t rex, struct instruction *ret)
{
	unsigned reg, rm;
	uint8_t opcode = lh_cursor_u8(cursor);
	if ((opcode & 0xf0) == 0x80) { /* jcc rel32 */
		(void)lh_cursor_take(cursor, 4);
		ret->is_emulated = true;
		ret->is_je = opcode == 0x84;
		return true;
	}
	size_t bytes = measure_modrm(*cursor, rex, &reg, &rm);
	if (!bytes)
		return false;
	(void)lh_cursor_take(cursor, bytes);
	if (opcode == 0xb6 || opcode == 0xb7) /* movzx */
		ret->written = 1u << reg;
	else if ((opcode & 0xf0) == 0x90) /* setcc */
		ret->written = 1u << rm;
	else if (opcode != 0x1f) /* nop of several bytes */
		return false;
	return true;
}

/* What the kernel emulates, without a prefix but 41 of push. */
static bool decode_emulated(struct lh_cursor *cursor, uint8_t opcode, uint8_t rex, struct instruction *ret)
{
	bool is_push = (opcode & 0xf8) == 0x50 && (rex == 0 || rex == 0x41);
	bool is_short_jump = ((opcode & 0xf0) == 0x70 || opcode == 0xeb) && !rex;
	bool is_near_jump = (opcode == 0xe8 || opcode == 0xe9) && !rex;
	bool is_nop = opcode == 0x90 && !rex;
	if (!is_push && !is_short_jump && !is_near_jump && !is_nop)
		return false;
	if (is_short_jump || is_near_jump)
		(void)lh_cursor_take(cursor, is_short_jump ? 1 : 4);
	ret->is_emulated = true;
	ret->is_je = opcode == 0x74;
	return true;
}

/* and .. cmp of rax with an immediate: x5 (4 bytes); mov of an immediate to a register (4 bytes). */
static bool decode_immediate_only(struct lh_cursor *cursor, uint8_t opcode, uint8_t rex, struct instruction *ret)
{
	if (opcode < 0x40 && (opcode & 7) == 5)
		ret->written = 1u << 0;
	else if ((opcode & 0xf8) == 0xb8 && !(rex & 8))
		ret->written = 1u << ((opcode & 7) | (rex & 1 ? 8 : 0));
	else
		return false;
	(void)lh_cursor_take(cursor, 4);
	return true;
}

static bool decode_instruction(const uint8_t *code, size_t bytes, struct instruction *ret)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	struct lh_cursor cursor = lh_cursor_over(code, bytes);
	*ret = (struct instruction){0};
	if (bytes >= sizeof(endbr64) && memcmp(code, endbr64, sizeof(endbr64)) == 0) {
		ret->bytes = sizeof(endbr64);
		return true;
	}
	uint8_t rex = 0, opcode = lh_cursor_u8(&cursor);
	bool has_segment = opcode == 0x64;
	if (has_segment)
		opcode = lh_cursor_u8(&cursor);
	if ((opcode & 0xf0) == 0x40) {
		rex = opcode;
		opcode = lh_cursor_u8(&cursor);
	}
	bool is_known = opcode == 0x0f ? decode_two_byte_opcode(&cursor, rex, ret)
				       : decode_emulated(&cursor, opcode, rex, ret) ||
						 decode_with_modrm(&cursor, opcode, rex, ret) ||
						 decode_immediate_only(&cursor, opcode, rex, ret);
	/* The kernel does not emulate what has a prefix. */
	if (ret->is_emulated && (has_segment || (opcode == 0x0f && rex)))
		return false;
	ret->bytes = bytes - lh_cursor_left(&cursor);
	return is_known && !cursor.failed;
}

/* Past "test %rdi,%rdi, je" only calls with a pointer go on. */
static size_t pass_null_test(const uint8_t *code, size_t bytes, const struct instruction *test)
{
	struct instruction jump, next;
	if (!test->is_test_rdi || !decode_instruction(code + test->bytes, bytes - test->bytes, &jump) || !jump.is_je)
		return 0;
	size_t at = test->bytes + jump.bytes;
	return decode_instruction(code + at, bytes - at, &next) && next.is_emulated ? at : 0;
}

bool lh_probe_point_find(const uint8_t *code, size_t bytes, unsigned arguments, bool may_skip_null,
			 struct lh_probe_point *ret)
{
	struct instruction instruction;
	if (!decode_instruction(code, bytes, &instruction))
		return false;
	for (size_t at = 0; at < bytes && decode_instruction(code + at, bytes - at, &instruction);
	     at += instruction.bytes) {
		size_t passed = may_skip_null ? pass_null_test(code + at, bytes - at, &instruction) : 0;
		if (instruction.is_emulated || passed) {
			*ret = (struct lh_probe_point){at + passed, true, passed != 0};
			return true;
		}
		if (instruction.written & (arguments | 1u << RSP))
			break;
	}
	*ret = (struct lh_probe_point){0, false, false};
	return true;
}

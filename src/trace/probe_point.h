/*
 * probe_point: where in a function a breakpoint of the kernel is cheap. Private to src/trace and its tests.
 */
#ifndef LEAKHUNT_TRACE_PROBE_POINT_H
#define LEAKHUNT_TRACE_PROBE_POINT_H

#include "leakhunt/base.h"

/* Registers that carry arguments, as bits by their number in an instruction. */
enum lh_argument_register {
	LH_REGISTER_RDX = 1 << 2,
	LH_REGISTER_RSI = 1 << 6,
	LH_REGISTER_RDI = 1 << 7,
};

/* Bytes of a function that are enough to decide. */
enum { LH_PROBE_CODE_BYTES = 64 };

struct lh_probe_point {
	uint64_t offset;  /* of the instruction from the function's beginning */
	bool is_emulated; /* false: the kernel single-steps it (20 times the cost); offset 0 then */
	bool skips_null;  /* calls with rdi == 0 do not reach it */
};

/*
 * Finds the first instruction of a function that Linux emulates (arch/x86/kernel/uprobes.c: push, jcc, jmp, call, nop)
 * and that every call reaches, with rsp as on entry and with the registers of `arguments` unchanged.
 * `may_skip_null`: "test rdi,rdi, je" may be passed. Where there is none behind instructions that are known here, the
 * point is the function's first instruction, single-stepped; false when that is not known either.
 */
bool lh_probe_point_find(const uint8_t *code, size_t bytes, unsigned arguments, bool may_skip_null,
			 struct lh_probe_point *ret);

#endif

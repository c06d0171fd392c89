/*
 * bpf_code: writes programs for the kernel's BPF machine (Documentation/bpf/standardization/instruction-set.rst).
 * Private to src/trace.
 */
#ifndef LEAKHUNT_TRACE_BPF_CODE_H
#define LEAKHUNT_TRACE_BPF_CODE_H

#include "leakhunt/base.h"

#include <linux/bpf.h>

enum { LH_BPF_CODE_MAX = 512, LH_BPF_LABELS_MAX = 32 };

/* A program under construction. Zero-initialized is empty. */
struct lh_bpf_code {
	struct bpf_insn instructions[LH_BPF_CODE_MAX];
	size_t count;
	size_t labels[LH_BPF_LABELS_MAX]; /* the instruction that a label stands before */
	uint8_t targets[LH_BPF_CODE_MAX]; /* 1 + the label that a jump leads to; 0: none */
	bool is_too_long;
};

void lh_bpf_label(struct lh_bpf_code *code, unsigned label);
void lh_bpf_move(struct lh_bpf_code *code, unsigned to, unsigned from);
void lh_bpf_move_number(struct lh_bpf_code *code, unsigned to, int32_t number);
void lh_bpf_load(struct lh_bpf_code *code, unsigned to, unsigned base, int offset);    /* 8 bytes */
void lh_bpf_store(struct lh_bpf_code *code, unsigned base, int offset, unsigned from); /* 8 bytes */
void lh_bpf_store_number(struct lh_bpf_code *code, unsigned base, int offset, int32_t number);
/* `operation`: BPF_ADD, BPF_SUB, BPF_MUL, BPF_AND, BPF_LSH, BPF_RSH */
void lh_bpf_compute(struct lh_bpf_code *code, unsigned operation, unsigned to, unsigned from);
void lh_bpf_compute_number(struct lh_bpf_code *code, unsigned operation, unsigned to, int32_t number);
/* Adds to 8 bytes of memory, atomically; the second leaves the old value in `from`. */
void lh_bpf_atomic_add(struct lh_bpf_code *code, unsigned base, int offset, unsigned from);
void lh_bpf_atomic_fetch_add(struct lh_bpf_code *code, unsigned base, int offset, unsigned from);
void lh_bpf_jump(struct lh_bpf_code *code, unsigned label);
/* `condition`: BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JSGE ... */
void lh_bpf_jump_if(struct lh_bpf_code *code, unsigned condition, unsigned left, unsigned right, unsigned label);
void lh_bpf_jump_if_number(struct lh_bpf_code *code, unsigned condition, unsigned left, int32_t number, unsigned label);
void lh_bpf_call(struct lh_bpf_code *code, int32_t helper);
void lh_bpf_return(struct lh_bpf_code *code, int32_t number);
void lh_bpf_load_map(struct lh_bpf_code *code, unsigned to, int map_fd);
void lh_bpf_load_map_value(struct lh_bpf_code *code, unsigned to, int map_fd, int32_t offset);

/* Sets the jumps. LH_ERROR_UNSUPPORTED: the program is too long. */
struct lh_error *lh_bpf_finish(struct lh_bpf_code *code) LH_NODISCARD;

#endif

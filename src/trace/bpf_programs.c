/*
 * bpf_programs: the two programs. Registers: r6 the context (struct pt_regs), r7 the processor's slot, r8 the cookie
 * or a size, r9 a record. Callee-saved r6 to r9 survive helpers (bpf-helpers(7)).
 */
#include "bpf_programs.h"

#include <asm/ptrace.h>
#include <stddef.h>

#define REGISTER_OFFSET(name) ((int)offsetof(struct pt_regs, name))
#define SAMPLE_OFFSET(name)   ((int)offsetof(struct lh_trace_sample_record, name))
#define RECORD_OFFSET(name)   ((int)offsetof(struct lh_trace_record, name))
#define SLOT_OFFSET(name)     ((int)offsetof(struct lh_trace_slot, name))
#define CALL_OFFSET(name)     ((int)offsetof(struct sampled_call, name))

_Static_assert(sizeof(struct lh_trace_slot) == 64, "a slot is one cache line");
_Static_assert(LH_TRACE_REGISTERS == sizeof(struct pt_regs) / 8, "all of pt_regs");

/* A sampled call that has not returned yet; value of the map `calls`. */
struct sampled_call {
	uint64_t id;
	uint64_t stack_pointer;
	uint64_t kind;
	uint64_t address_place; /* posix_memalign: where it puts the address */
};

enum { PAGE_BYTES = LH_PAGE_BYTES }; /* as a signed operand of an instruction */

/* Places below the frame pointer. */
enum {
	THREAD_KEY = -8,
	ADDRESS_KEY = -16,
	SIZE = -24,
	COOKIE = -32,
	ID = -40,
	NEW_ID = -48,
	CALL = -80, /* struct sampled_call */
};

enum label {
	AT_RETURN,
	KIND_CALLOC,
	KIND_SECOND,
	KIND_POSIX_MEMALIGN,
	HAS_OLD_BLOCK,
	HAS_SIZE,
	NOT_NESTED,
	IGNORE,
	STACK_ENDS,
	LOSE_SAMPLE,
	DISCARD,
	IS_PLAIN_RETURN,
	HAS_ADDRESS,
	NO_BIRTH,
	IS_NEW,
	DONE,
	LOSE_DEATH,
};

/* r7 = &control->slots[this processor]. Changes r0. */
static void find_slot(struct lh_bpf_code *code, int control)
{
	lh_bpf_call(code, BPF_FUNC_get_smp_processor_id);
	lh_bpf_compute_number(code, BPF_AND, BPF_REG_0, LH_TRACE_SLOTS - 1);
	lh_bpf_compute_number(code, BPF_LSH, BPF_REG_0, 6);
	lh_bpf_load_map_value(code, BPF_REG_7, control, (int)offsetof(struct lh_trace_control, slots));
	lh_bpf_compute(code, BPF_ADD, BPF_REG_7, BPF_REG_0);
}

static void count_one(struct lh_bpf_code *code, int offset)
{
	lh_bpf_move_number(code, BPF_REG_1, 1);
	lh_bpf_atomic_add(code, BPF_REG_7, offset, BPF_REG_1);
}

/* Counts the cost of the hit; leaves the cookie on the stack and in r8. */
static void count_cost(struct lh_bpf_code *code)
{
	lh_bpf_move(code, BPF_REG_1, BPF_REG_6);
	lh_bpf_call(code, BPF_FUNC_get_attach_cookie);
	lh_bpf_move(code, BPF_REG_8, BPF_REG_0);
	lh_bpf_compute_number(code, BPF_RSH, BPF_REG_0, 8);
	lh_bpf_atomic_add(code, BPF_REG_7, SLOT_OFFSET(cost_ns), BPF_REG_0);
	lh_bpf_compute_number(code, BPF_AND, BPF_REG_8, 255);
	lh_bpf_store(code, BPF_REG_10, COOKIE, BPF_REG_8);
}

/* r8 = the requested size, by the kind in r8. */
static void read_size(struct lh_bpf_code *code)
{
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_8, LH_CALL_CALLOC, KIND_CALLOC);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_8, LH_CALL_SECOND, KIND_SECOND);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_8, LH_CALL_POSIX_MEMALIGN, KIND_POSIX_MEMALIGN);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_8, LH_CALL_REALLOC_BY_MALLOC, HAS_OLD_BLOCK);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_6, REGISTER_OFFSET(rdi));
	lh_bpf_jump(code, HAS_SIZE);
	lh_bpf_label(code, KIND_CALLOC);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_6, REGISTER_OFFSET(rdi));
	lh_bpf_load(code, BPF_REG_1, BPF_REG_6, REGISTER_OFFSET(rsi));
	lh_bpf_compute(code, BPF_MUL, BPF_REG_8, BPF_REG_1);
	lh_bpf_jump(code, HAS_SIZE);
	/* realloc(NULL, size) goes on to malloc, where it is counted. */
	lh_bpf_label(code, HAS_OLD_BLOCK);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_6, REGISTER_OFFSET(rdi));
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_1, 0, IGNORE);
	lh_bpf_label(code, KIND_SECOND);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_6, REGISTER_OFFSET(rsi));
	lh_bpf_jump(code, HAS_SIZE);
	lh_bpf_label(code, KIND_POSIX_MEMALIGN);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_6, REGISTER_OFFSET(rdx));
	lh_bpf_label(code, HAS_SIZE);
}

/* Goes on only when the counter of bytes runs out with this allocation; draws the next distance. */
static void choose_sample(struct lh_bpf_code *code, int control)
{
	/* A size that no allocator grants would upset the counter. */
	lh_bpf_move(code, BPF_REG_1, BPF_REG_8);
	lh_bpf_compute_number(code, BPF_RSH, BPF_REG_1, 47);
	lh_bpf_jump_if_number(code, BPF_JNE, BPF_REG_1, 0, IGNORE);
	lh_bpf_atomic_add(code, BPF_REG_7, SLOT_OFFSET(allocated_bytes), BPF_REG_8);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_7, SLOT_OFFSET(left_bytes));
	lh_bpf_compute(code, BPF_SUB, BPF_REG_1, BPF_REG_8);
	lh_bpf_store(code, BPF_REG_7, SLOT_OFFSET(left_bytes), BPF_REG_1);
	lh_bpf_jump_if_number(code, BPF_JSGE, BPF_REG_1, 0, IGNORE);
	lh_bpf_store(code, BPF_REG_10, SIZE, BPF_REG_8);
	lh_bpf_call(code, BPF_FUNC_get_prandom_u32);
	lh_bpf_compute_number(code, BPF_AND, BPF_REG_0, LH_TRACE_INTERVALS - 1);
	lh_bpf_compute_number(code, BPF_LSH, BPF_REG_0, 3);
	lh_bpf_load_map_value(code, BPF_REG_1, control, (int)offsetof(struct lh_trace_control, intervals));
	lh_bpf_compute(code, BPF_ADD, BPF_REG_1, BPF_REG_0);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_1, 0);
	lh_bpf_load_map_value(code, BPF_REG_2, control, 0);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_2, (int)offsetof(struct lh_trace_control, mean_bytes));
	lh_bpf_compute(code, BPF_MUL, BPF_REG_1, BPF_REG_8);
	lh_bpf_compute_number(code, BPF_RSH, BPF_REG_1, LH_TRACE_INTERVAL_SHIFT);
	lh_bpf_store(code, BPF_REG_7, SLOT_OFFSET(left_bytes), BPF_REG_1);
}

/* An allocator's function that a sampled one calls allocates nothing of its own. The stack grows downward. */
static void pass_nested_calls(struct lh_bpf_code *code, int calls)
{
	lh_bpf_call(code, BPF_FUNC_get_current_pid_tgid);
	lh_bpf_store(code, BPF_REG_10, THREAD_KEY, BPF_REG_0);
	lh_bpf_load_map(code, BPF_REG_1, calls);
	lh_bpf_move(code, BPF_REG_2, BPF_REG_10);
	lh_bpf_compute_number(code, BPF_ADD, BPF_REG_2, THREAD_KEY);
	lh_bpf_call(code, BPF_FUNC_map_lookup_elem);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_0, 0, NOT_NESTED);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_0, CALL_OFFSET(stack_pointer));
	lh_bpf_load(code, BPF_REG_2, BPF_REG_6, REGISTER_OFFSET(rsp));
	lh_bpf_jump_if(code, BPF_JGE, BPF_REG_1, BPF_REG_2, IGNORE);
	lh_bpf_label(code, NOT_NESTED);
}

/* r9 = room in the ring. The upper half of the ring is left to births and deaths. */
static void reserve_sample(struct lh_bpf_code *code, int ring)
{
	lh_bpf_load_map(code, BPF_REG_1, ring);
	lh_bpf_move_number(code, BPF_REG_2, BPF_RB_AVAIL_DATA);
	lh_bpf_call(code, BPF_FUNC_ringbuf_query);
	lh_bpf_jump_if_number(code, BPF_JGT, BPF_REG_0, LH_TRACE_RING_BYTES / 2, LOSE_SAMPLE);
	lh_bpf_load_map(code, BPF_REG_1, ring);
	lh_bpf_move_number(code, BPF_REG_2, sizeof(struct lh_trace_sample_record));
	lh_bpf_move_number(code, BPF_REG_3, 0);
	lh_bpf_call(code, BPF_FUNC_ringbuf_reserve);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_0, 0, LOSE_SAMPLE);
	lh_bpf_move(code, BPF_REG_9, BPF_REG_0);
}

/* Head and registers of the record in r9; r8: R. */
static void fill_sample(struct lh_bpf_code *code, int control)
{
	lh_bpf_store(code, BPF_REG_9, SAMPLE_OFFSET(mean_bytes), BPF_REG_8);
	lh_bpf_store_number(code, BPF_REG_9, SAMPLE_OFFSET(head.kind), LH_RECORD_SAMPLE);
	lh_bpf_store_number(code, BPF_REG_9, SAMPLE_OFFSET(head.addr), 0);
	lh_bpf_store_number(code, BPF_REG_9, SAMPLE_OFFSET(stack_bytes), 0);
	lh_bpf_load_map_value(code, BPF_REG_2, control, 0);
	lh_bpf_move_number(code, BPF_REG_1, 1);
	lh_bpf_atomic_fetch_add(code, BPF_REG_2, (int)offsetof(struct lh_trace_control, next_id), BPF_REG_1);
	lh_bpf_store(code, BPF_REG_9, SAMPLE_OFFSET(head.id), BPF_REG_1);
	lh_bpf_store(code, BPF_REG_10, CALL + CALL_OFFSET(id), BPF_REG_1);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_10, SIZE);
	lh_bpf_store(code, BPF_REG_9, SAMPLE_OFFSET(size_bytes), BPF_REG_1);
	lh_bpf_call(code, BPF_FUNC_ktime_get_ns);
	lh_bpf_store(code, BPF_REG_9, SAMPLE_OFFSET(head.time_ns), BPF_REG_0);
	for (int i = 0; i < LH_TRACE_REGISTERS; i++) {
		lh_bpf_load(code, BPF_REG_1, BPF_REG_6, i * 8);
		lh_bpf_store(code, BPF_REG_9, SAMPLE_OFFSET(registers) + i * 8, BPF_REG_1);
	}
}

/* Page by page, since a read that meets the stack's end fails as a whole. r8 = bytes to the end of rsp's page. */
static void copy_stack(struct lh_bpf_code *code)
{
	lh_bpf_load(code, BPF_REG_3, BPF_REG_6, REGISTER_OFFSET(rsp));
	lh_bpf_move(code, BPF_REG_1, BPF_REG_3);
	lh_bpf_compute_number(code, BPF_AND, BPF_REG_1, PAGE_BYTES - 1);
	lh_bpf_move_number(code, BPF_REG_8, PAGE_BYTES);
	lh_bpf_compute(code, BPF_SUB, BPF_REG_8, BPF_REG_1);
	lh_bpf_move(code, BPF_REG_1, BPF_REG_9);
	lh_bpf_compute_number(code, BPF_ADD, BPF_REG_1, SAMPLE_OFFSET(stack));
	lh_bpf_move(code, BPF_REG_2, BPF_REG_8);
	lh_bpf_call(code, BPF_FUNC_probe_read_user);
	lh_bpf_jump_if_number(code, BPF_JNE, BPF_REG_0, 0, STACK_ENDS);
	lh_bpf_store(code, BPF_REG_9, SAMPLE_OFFSET(stack_bytes), BPF_REG_8);
	for (int page = 0; page < LH_TRACE_STACK_PAGES; page++) {
		lh_bpf_move(code, BPF_REG_1, BPF_REG_9);
		lh_bpf_compute_number(code, BPF_ADD, BPF_REG_1, SAMPLE_OFFSET(stack) + page * PAGE_BYTES);
		lh_bpf_compute(code, BPF_ADD, BPF_REG_1, BPF_REG_8);
		lh_bpf_move_number(code, BPF_REG_2, PAGE_BYTES);
		lh_bpf_load(code, BPF_REG_3, BPF_REG_6, REGISTER_OFFSET(rsp));
		lh_bpf_compute(code, BPF_ADD, BPF_REG_3, BPF_REG_8);
		lh_bpf_compute_number(code, BPF_ADD, BPF_REG_3, page * PAGE_BYTES);
		lh_bpf_call(code, BPF_FUNC_probe_read_user);
		lh_bpf_jump_if_number(code, BPF_JNE, BPF_REG_0, 0, STACK_ENDS);
		lh_bpf_move(code, BPF_REG_1, BPF_REG_8);
		lh_bpf_compute_number(code, BPF_ADD, BPF_REG_1, (page + 1) * PAGE_BYTES);
		lh_bpf_store(code, BPF_REG_9, SAMPLE_OFFSET(stack_bytes), BPF_REG_1);
	}
	lh_bpf_label(code, STACK_ENDS);
}

static void pass_map_and_key(struct lh_bpf_code *code, int map, int key)
{
	lh_bpf_load_map(code, BPF_REG_1, map);
	lh_bpf_move(code, BPF_REG_2, BPF_REG_10);
	lh_bpf_compute_number(code, BPF_ADD, BPF_REG_2, key);
}

static void update_map(struct lh_bpf_code *code, int map, int key, int value)
{
	pass_map_and_key(code, map, key);
	lh_bpf_move(code, BPF_REG_3, BPF_REG_10);
	lh_bpf_compute_number(code, BPF_ADD, BPF_REG_3, value);
	lh_bpf_move_number(code, BPF_REG_4, BPF_ANY);
	lh_bpf_call(code, BPF_FUNC_map_update_elem);
}

/* Remembers the call until it returns; its record stays in r9. */
static void note_call(struct lh_bpf_code *code, int calls)
{
	lh_bpf_load(code, BPF_REG_1, BPF_REG_6, REGISTER_OFFSET(rsp));
	lh_bpf_store(code, BPF_REG_10, CALL + CALL_OFFSET(stack_pointer), BPF_REG_1);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_10, COOKIE);
	lh_bpf_store(code, BPF_REG_10, CALL + CALL_OFFSET(kind), BPF_REG_1);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_6, REGISTER_OFFSET(rdi));
	lh_bpf_store(code, BPF_REG_10, CALL + CALL_OFFSET(address_place), BPF_REG_1);
	update_map(code, calls, THREAD_KEY, CALL);
	lh_bpf_jump_if_number(code, BPF_JNE, BPF_REG_0, 0, DISCARD);
}

static void end_record(struct lh_bpf_code *code, int32_t helper)
{
	lh_bpf_move(code, BPF_REG_1, BPF_REG_9);
	lh_bpf_move_number(code, BPF_REG_2, 0);
	lh_bpf_call(code, helper);
}

/* A birth or a death in the ring: id and address from the stack. Jumps to `full` when there is no room. */
static void write_record(struct lh_bpf_code *code, int ring, enum lh_trace_record_kind kind, enum label full)
{
	lh_bpf_load_map(code, BPF_REG_1, ring);
	lh_bpf_move_number(code, BPF_REG_2, sizeof(struct lh_trace_record));
	lh_bpf_move_number(code, BPF_REG_3, 0);
	lh_bpf_call(code, BPF_FUNC_ringbuf_reserve);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_0, 0, full);
	lh_bpf_move(code, BPF_REG_9, BPF_REG_0);
	lh_bpf_store_number(code, BPF_REG_9, RECORD_OFFSET(kind), kind);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_10, ID);
	lh_bpf_store(code, BPF_REG_9, RECORD_OFFSET(id), BPF_REG_1);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_10, ADDRESS_KEY);
	lh_bpf_store(code, BPF_REG_9, RECORD_OFFSET(addr), BPF_REG_1);
	lh_bpf_call(code, BPF_FUNC_ktime_get_ns);
	lh_bpf_store(code, BPF_REG_9, RECORD_OFFSET(time_ns), BPF_REG_0);
	end_record(code, BPF_FUNC_ringbuf_submit);
}

/* Takes the noted call of this thread out of the map: id, and the address of the block in r8. */
static void take_call(struct lh_bpf_code *code, int calls)
{
	lh_bpf_call(code, BPF_FUNC_get_current_pid_tgid);
	lh_bpf_store(code, BPF_REG_10, THREAD_KEY, BPF_REG_0);
	pass_map_and_key(code, calls, THREAD_KEY);
	lh_bpf_call(code, BPF_FUNC_map_lookup_elem);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_0, 0, DONE);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_0, CALL_OFFSET(id));
	lh_bpf_store(code, BPF_REG_10, NEW_ID, BPF_REG_1);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_0, CALL_OFFSET(kind));
	lh_bpf_load(code, BPF_REG_9, BPF_REG_0, CALL_OFFSET(address_place));
	pass_map_and_key(code, calls, THREAD_KEY);
	lh_bpf_call(code, BPF_FUNC_map_delete_elem);
	lh_bpf_jump_if_number(code, BPF_JNE, BPF_REG_8, LH_CALL_POSIX_MEMALIGN, IS_PLAIN_RETURN);
	/* int: the upper half of rax is anything */
	lh_bpf_load(code, BPF_REG_1, BPF_REG_6, REGISTER_OFFSET(rax));
	lh_bpf_compute_number(code, BPF_LSH, BPF_REG_1, 32);
	lh_bpf_jump_if_number(code, BPF_JNE, BPF_REG_1, 0, DONE);
	lh_bpf_move(code, BPF_REG_1, BPF_REG_10);
	lh_bpf_compute_number(code, BPF_ADD, BPF_REG_1, ADDRESS_KEY);
	lh_bpf_move_number(code, BPF_REG_2, 8);
	lh_bpf_move(code, BPF_REG_3, BPF_REG_9);
	lh_bpf_call(code, BPF_FUNC_probe_read_user);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_10, ADDRESS_KEY);
	lh_bpf_jump(code, HAS_ADDRESS);
	lh_bpf_label(code, IS_PLAIN_RETURN);
	lh_bpf_load(code, BPF_REG_8, BPF_REG_6, REGISTER_OFFSET(rax));
	lh_bpf_label(code, HAS_ADDRESS);
}

/* The address belongs to a sample that is alive: it was freed where no probe is. */
static void write_unseen_death(struct lh_bpf_code *code, const struct lh_trace_maps *maps)
{
	pass_map_and_key(code, maps->live, ADDRESS_KEY);
	lh_bpf_call(code, BPF_FUNC_map_lookup_elem);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_0, 0, IS_NEW);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_0, 0);
	lh_bpf_store(code, BPF_REG_10, ID, BPF_REG_1);
	write_record(code, maps->ring, LH_RECORD_UNSEEN_DEATH, NO_BIRTH);
	lh_bpf_label(code, IS_NEW);
	lh_bpf_load(code, BPF_REG_1, BPF_REG_10, NEW_ID);
	lh_bpf_store(code, BPF_REG_10, ID, BPF_REG_1);
}

static void write_return(struct lh_bpf_code *code, const struct lh_trace_maps *maps)
{
	lh_bpf_label(code, AT_RETURN);
	lh_bpf_store_number(code, BPF_REG_10, ADDRESS_KEY, 0);
	take_call(code, maps->calls);
	lh_bpf_jump_if_number(code, BPF_JEQ, BPF_REG_8, 0, DONE);
	lh_bpf_store(code, BPF_REG_10, ADDRESS_KEY, BPF_REG_8);
	write_unseen_death(code, maps);
	update_map(code, maps->live, ADDRESS_KEY, ID);
	lh_bpf_jump_if_number(code, BPF_JNE, BPF_REG_0, 0, NO_BIRTH);
	write_record(code, maps->ring, LH_RECORD_BIRTH, NO_BIRTH);
	lh_bpf_label(code, DONE);
	lh_bpf_return(code, 0);
	lh_bpf_label(code, NO_BIRTH);
	pass_map_and_key(code, maps->live, ADDRESS_KEY);
	lh_bpf_call(code, BPF_FUNC_map_delete_elem);
	find_slot(code, maps->control);
	count_one(code, SLOT_OFFSET(lost_sample_count));
	lh_bpf_return(code, 0);
}

/*
 * A session (Linux 6.13) runs this at the entry, where 1 means that the return is of no interest, and at the return.
 * At the entry the instruction pointer is the probed address.
 */
struct lh_error *lh_bpf_write_allocation(const struct lh_trace_maps *maps, struct lh_bpf_code *ret)
{
	lh_bpf_move(ret, BPF_REG_6, BPF_REG_1);
	lh_bpf_call(ret, BPF_FUNC_get_func_ip);
	lh_bpf_load(ret, BPF_REG_1, BPF_REG_6, REGISTER_OFFSET(rip));
	lh_bpf_jump_if(ret, BPF_JNE, BPF_REG_0, BPF_REG_1, AT_RETURN);
	find_slot(ret, maps->control);
	count_cost(ret);
	read_size(ret);
	count_one(ret, SLOT_OFFSET(allocation_count));
	choose_sample(ret, maps->control);
	pass_nested_calls(ret, maps->calls);
	reserve_sample(ret, maps->ring);
	fill_sample(ret, maps->control);
	copy_stack(ret);
	note_call(ret, maps->calls);
	end_record(ret, BPF_FUNC_ringbuf_submit);
	count_one(ret, SLOT_OFFSET(sample_count));
	lh_bpf_return(ret, 0);
	lh_bpf_label(ret, DISCARD);
	end_record(ret, BPF_FUNC_ringbuf_discard);
	lh_bpf_label(ret, LOSE_SAMPLE);
	count_one(ret, SLOT_OFFSET(lost_sample_count));
	lh_bpf_label(ret, IGNORE);
	lh_bpf_return(ret, 1);
	write_return(ret, maps);
	return lh_bpf_finish(ret);
}

struct lh_error *lh_bpf_write_free(const struct lh_trace_maps *maps, struct lh_bpf_code *ret)
{
	lh_bpf_move(ret, BPF_REG_6, BPF_REG_1);
	find_slot(ret, maps->control);
	count_cost(ret);
	lh_bpf_load(ret, BPF_REG_1, BPF_REG_6, REGISTER_OFFSET(rdi));
	lh_bpf_jump_if_number(ret, BPF_JEQ, BPF_REG_1, 0, DONE);
	lh_bpf_store(ret, BPF_REG_10, ADDRESS_KEY, BPF_REG_1);
	count_one(ret, SLOT_OFFSET(free_count));
	pass_map_and_key(ret, maps->live, ADDRESS_KEY);
	lh_bpf_call(ret, BPF_FUNC_map_lookup_elem);
	lh_bpf_jump_if_number(ret, BPF_JEQ, BPF_REG_0, 0, DONE);
	lh_bpf_load(ret, BPF_REG_1, BPF_REG_0, 0);
	lh_bpf_store(ret, BPF_REG_10, ID, BPF_REG_1);
	pass_map_and_key(ret, maps->live, ADDRESS_KEY);
	lh_bpf_call(ret, BPF_FUNC_map_delete_elem);
	write_record(ret, maps->ring, LH_RECORD_DEATH, LOSE_DEATH);
	lh_bpf_label(ret, DONE);
	lh_bpf_return(ret, 0);
	lh_bpf_label(ret, LOSE_DEATH);
	count_one(ret, SLOT_OFFSET(lost_death_count));
	lh_bpf_return(ret, 0);
	return lh_bpf_finish(ret);
}

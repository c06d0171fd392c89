/*
 * vdso_slot: the zero padding behind the vDSO's ELF image, divided into slots: the only place of a target
 * that leakhunt writes to. The kernel maps it executable into every process, and no program owns a byte of it.
 * A written page is private to the process and stays until exec. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_VDSO_SLOT_H
#define LEAKHUNT_TRACEE_VDSO_SLOT_H

#include "leakhunt/tracee.h"
#include "slot_code.h"

struct lh_vdso_slots;

/*
 * Finds the padding, and keeps every other leakhunt from injecting into this process until closed.
 * LH_ERROR_UNSUPPORTED, with the reason: no vDSO, too little padding, or another leakhunt at work. `regions` are not
 * kept.
 */
struct lh_error *lh_vdso_slots_open(const struct lh_process *process, const struct lh_region_list *regions,
				    struct lh_vdso_slots **ret) LH_NODISCARD;
void lh_vdso_slots_close(struct lh_vdso_slots *slots); /* NULL is legal */
void lh_cleanup_vdso_slots(struct lh_vdso_slots **slots);

const struct lh_process *lh_vdso_slots_process(const struct lh_vdso_slots *slots);

/* Whether `addr` lies in the slots: a thread with its rip there is on its way back from a killed leakhunt. */
bool lh_vdso_slots_hold(const struct lh_vdso_slots *slots, uint64_t addr);

/*
 * The address of an empty slot. `freeze` NULL: threads may run. Else all threads are stopped, and slots that a killed
 * leakhunt left are cleared if no thread can return into them. LH_ERROR_UNSUPPORTED when none is free.
 */
struct lh_error *lh_vdso_slots_find_free(const struct lh_vdso_slots *slots, const struct lh_freeze *freeze,
					 uint64_t *ret_addr) LH_NODISCARD;

/* `tid` is a stopped thread of the target, for kernels where only its tracer may write (proc_mem.force_override). */
struct lh_error *lh_vdso_slot_write(const struct lh_vdso_slots *slots, pid_t tid, uint64_t addr,
				    const uint8_t bytes[LH_SLOT_BYTES]) LH_NODISCARD;

/* ---------------------------------------------------------------- the parts, for tests */

/* Where the padding begins in an image of the vDSO: a multiple of 16. `length`, when there is none or no ELF64. */
size_t lh_vdso_padding_start(const uint8_t *image, size_t length);

/* A thread of a process that stands still. */
struct lh_slot_user {
	pid_t inner_tid;
	uint64_t rsp; /* resolved, as in a record */
	uint64_t rip;
};

/*
 * Whether no thread can use the slot that a killed leakhunt left at `addr`. A signal's handler may have interrupted its
 * thread in `back`, and returns there: so the thread must be gone, be where it was before, or have blocked all signals
 * with a handler, then and now. Age proves nothing.
 */
bool lh_slot_is_over(const struct lh_slot_record *record, uint64_t addr, const struct lh_slot_user *users, size_t count,
		     uint64_t caught);

#endif

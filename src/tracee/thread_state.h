/*
 * thread_state: a thread's registers as a core's notes want them. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_THREAD_STATE_H
#define LEAKHUNT_TRACEE_THREAD_STATE_H

#include "leakhunt/tracee.h"

#include <sys/user.h>

/*
 * Reads the registers of a thread in a ptrace stop. *ret_is_gone: it was killed meanwhile, and *ret is not set.
 * LH_ERROR_UNSUPPORTED when it runs 32-bit code.
 */
struct lh_error *lh_thread_state_capture(pid_t tid, int signal, struct lh_thread_state *ret,
					 bool *ret_is_gone) LH_NODISCARD;
/* Replaces the general registers, for a thread whose own were changed after it stopped. */
void lh_thread_state_set_registers(struct lh_thread_state *state, const struct user_regs_struct *registers);

#endif

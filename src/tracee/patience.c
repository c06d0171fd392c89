/*
 * patience: whether to go on waiting for a thread. Those who wait do not know of Ctrl-C.
 */
#include "leakhunt/tracee.h"

static _Thread_local lh_interrupt_check *interrupt_check;

void lh_patience_heed(lh_interrupt_check *is_interrupted)
{
	interrupt_check = is_interrupted;
}

struct lh_error *lh_patience_check(void)
{
	if (!interrupt_check || !interrupt_check())
		return NULL;
	return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted: nothing was written");
}

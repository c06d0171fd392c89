/*
 * unwind: call stacks from copies of registers and stack memory, by the call frame information in the files of
 * modules. Needs no frame pointers and no debug files. Part of symbols.
 */
#ifndef LEAKHUNT_UNWIND_H
#define LEAKHUNT_UNWIND_H

#include "leakhunt/image.h"

#include <sys/user.h>

/* A thread at one instant. */
struct lh_stack_copy {
	struct user_regs_struct registers;
	const uint8_t *bytes; /* memory from registers.rsp upward */
	size_t byte_count;
};

struct lh_unwinder;

/* Opens the modules of `image`, as lh_symbols_open does. Keeps no pointer to the image. */
struct lh_error *lh_unwinder_create(const struct lh_image *image, struct lh_unwinder **ret) LH_NODISCARD;
void lh_unwinder_destroy(struct lh_unwinder *unwinder); /* NULL is legal */

/*
 * Writes at most `most` code addresses, innermost first: the instruction pointer, then the last byte of each call.
 * Returns their number. *ret_is_complete: the outermost frame was reached.
 */
size_t lh_unwinder_walk(struct lh_unwinder *unwinder, const struct lh_stack_copy *copy, uint64_t *ret, size_t most,
			bool *ret_is_complete);

#endif

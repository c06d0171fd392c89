/*
 * child_refusal: whether a target may be forked. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_CHILD_REFUSAL_H
#define LEAKHUNT_DUMP_CHILD_REFUSAL_H

#include "leakhunt/dump.h"

/*
 * LH_ERROR_UNSUPPORTED, with the reason, where a copy-on-write child might harm the target. `regions` are
 * of smaps.
 */
struct lh_error *lh_child_refuse(const struct lh_process *process, const struct lh_dump_options *options,
				 const struct lh_region_list *regions) LH_NODISCARD;

#endif

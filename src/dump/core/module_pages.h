/*
 * module_pages: read-only memory of modules that a core includes, so that names can be found without the files. Private
 * to dump.
 */
#ifndef LEAKHUNT_DUMP_MODULE_PAGES_H
#define LEAKHUNT_DUMP_MODULE_PAGES_H

#include "capture.h"

/* Pages of one mapping, [start, end); their bytes lie in the buffer from `offset` on. */
struct lh_module_piece {
	uint64_t start;
	uint64_t end;
	size_t offset;
	const struct lh_region *region; /* of the plan */
};

struct lh_module_pages {
	LH_VEC(struct lh_module_piece) pieces; /* ascending, disjoint, none within an extent of the plan */
	struct lh_buffer bytes;
};

/* Reads files only, never the process. Modules whose files cannot be read yield nothing. */
struct lh_error *lh_module_pages_collect(const struct lh_process *process, const struct lh_plan *plan,
					 struct lh_module_pages *ret) LH_NODISCARD;
void lh_module_pages_deinit(struct lh_module_pages *pages);

#endif

/*
 * file_pages: private mappings of files under write protection. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_FILE_PAGES_H
#define LEAKHUNT_DUMP_FILE_PAGES_H

#include "dump/plan/context.h"

/*
 * Called after a take, before its pages are copied. Adds the pages of tracked extents that are the target's own, no
 * longer the file's. `own` is normalized.
 */
struct lh_error *lh_file_pages_note(struct lh_pagemap *pagemap, const struct lh_plan *plan,
				    struct lh_ranges *own) LH_NODISCARD;

/*
 * Corrects the last find: own pages that are the file's again become LH_PAGES_WRITTEN, and marks that count as swapped
 * are removed.
 */
struct lh_error *lh_file_pages_correct(struct lh_pagemap *pagemap, const struct lh_ranges *own,
				       struct lh_plan *plan) LH_NODISCARD;

#endif

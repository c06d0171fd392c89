/*
 * huge_pages: memory of hugetlbfs under write protection. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_HUGE_PAGES_H
#define LEAKHUNT_DUMP_HUGE_PAGES_H

#include "dump/plan/context.h"

/*
 * Corrects the last find: unwritten pages that may have been given back meanwhile become LH_PAGES_WRITTEN. Reads a few
 * bytes of each huge page.
 */
struct lh_error *lh_huge_pages_correct(const struct lh_process *process, struct lh_plan *plan) LH_NODISCARD;

#endif

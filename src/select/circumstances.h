/*
 * circumstances: gathers the facts that evidence weighs. Private to select.
 */
#ifndef LEAKHUNT_SELECT_CIRCUMSTANCES_H
#define LEAKHUNT_SELECT_CIRCUMSTANCES_H

#include "evidence.h"
#include "selector.h"

/* Age of the process at the first sample; LH_NEVER_S if the samples do not tell. */
double lh_process_age_s(const struct lh_selector *selector);

/* For a region or a family, without counters: the facts about the process that concern this memory. */
void lh_circumstances_of_region(const struct lh_selector *selector, enum lh_region_kind kind, bool is_shared,
				const struct lh_steps *used, const struct lh_steps *mapped, struct lh_series series,
				struct lh_circumstances *ret);

/* For the whole process, without counters. `series`: its bytes, per moment. */
struct lh_error *lh_circumstances_gather(const struct lh_selector *selector, struct lh_series series,
					 struct lh_circumstances *ret) LH_NODISCARD;

#endif

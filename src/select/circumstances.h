/*
 * circumstances: gathers the facts that evidence weighs. Private to select.
 */
#ifndef LEAKHUNT_SELECT_CIRCUMSTANCES_H
#define LEAKHUNT_SELECT_CIRCUMSTANCES_H

#include "evidence.h"
#include "selector.h"

enum { LH_COLLECTOR_COUNT = 4 };

/* Of each collector's heap the bytes at each moment; NULL: there is no such heap. Zero-initialized: there is none. */
struct lh_collected_heaps {
	uint64_t *bytes[LH_COLLECTOR_COUNT];
};

struct lh_error *lh_collected_heaps_read(const struct lh_tracks *tracks, struct lh_collected_heaps *ret) LH_NODISCARD;
void lh_collected_heaps_deinit(struct lh_collected_heaps *heaps);

/* Age of the process at the first sample; LH_NEVER_S if the samples do not tell. */
double lh_process_age_s(const struct lh_selector *selector);

/* For a region or a family, without counters: the facts about the process that concern this memory. Borrows `heaps`. */
void lh_circumstances_of_region(const struct lh_selector *selector, const struct lh_collected_heaps *heaps,
				enum lh_region_kind kind, bool is_shared, const struct lh_steps *used,
				const struct lh_steps *mapped, struct lh_series series, struct lh_circumstances *ret);

/* For the whole process, without counters. `series`: its bytes, per moment. Borrows `heaps`. */
void lh_circumstances_gather(const struct lh_selector *selector, const struct lh_collected_heaps *heaps,
			     struct lh_series series, struct lh_circumstances *ret);

#endif

/*
 * hunt_alike: what a person would call one growth, and what it may be mistaken for. Input: a judged selection, why it
 * stays. Output: sums over regions of the suspect's kind and cause, and a caveat.
 */
#include "hunt.h"

#include <stdio.h>
#include <string.h>

static bool is_alike_growth(const struct lh_growth *growth, const struct lh_growth *suspect)
{
	bool is_same_cause = !growth->cause.word || !suspect->cause.word
				     ? growth->cause.word == suspect->cause.word
				     : strcmp(growth->cause.word, suspect->cause.word) == 0;
	return growth == suspect || (growth->is_suspect && growth->kind == suspect->kind &&
				     growth->measure == suspect->measure && is_same_cause);
}

static void add_to_alike(const struct lh_growth *growth, struct lh_hunt_alike *alike)
{
	alike->region_count += growth->region_count;
	alike->growth_bytes += growth->growth_bytes;
	alike->rate_bytes_per_hour += growth->rate_bytes_per_hour;
	alike->rate_low_bytes_per_hour += growth->rate_low_bytes_per_hour;
	alike->rate_high_bytes_per_hour += growth->rate_high_bytes_per_hour;
}

const struct lh_growth *lh_hunt_main_growth(const struct lh_hunt *hunt)
{
	const struct lh_growth *total = &hunt->selection.total;
	if (!hunt->suspect)
		return total;
	bool is_open = hunt->suspect->verdict == LH_VERDICT_UNDECIDED;
	bool is_whole = is_open || total->rate_low_bytes_per_hour > 0;
	return lh_verdict_is_rising(total->verdict) && is_whole ? total : hunt->suspect;
}

bool lh_hunt_is_firm_leak(const struct lh_hunt *hunt)
{
	if (!hunt->has_selection || !hunt->is_firm)
		return false;
	if (hunt->held != LH_HOLDING_COUNT) {
		const struct lh_holding_growth *held = &hunt->selection.holdings[hunt->held];
		return held->verdict == LH_VERDICT_LEAK && held->rate_low_per_hour > 0;
	}
	return lh_hunt_main_growth(hunt)->verdict == LH_VERDICT_LEAK && hunt->whole.rate_low_bytes_per_hour > 0;
}

void lh_hunt_add_alike(struct lh_hunt *hunt)
{
	struct lh_hunt_alike *alike = &hunt->alike;
	*alike = (struct lh_hunt_alike){0};
	if (!hunt->suspect)
		add_to_alike(&hunt->selection.total, alike);
	for (size_t i = 0; hunt->suspect && i < hunt->selection.growths.count; i++) {
		const struct lh_growth *growth = &hunt->selection.growths.items[i];
		if (!is_alike_growth(growth, hunt->suspect))
			continue;
		alike->count++;
		add_to_alike(growth, alike);
	}
	hunt->whole = lh_selection_memory_growth(&hunt->selection);
	hunt->is_sum = hunt->whole.rate_bytes_per_hour > 0;
	if (!hunt->is_sum)
		hunt->whole =
			(struct lh_memory_growth){alike->growth_bytes, alike->rate_bytes_per_hour,
						  alike->rate_low_bytes_per_hour, alike->rate_high_bytes_per_hour};
}

/* ---------------------------------------------------------------- the caveat */

/* Lost blocks, and what the kernel lists as not given back, are no cache. */
static bool may_be_cache(const struct lh_hunt *hunt)
{
	const struct lh_hunt_reach *reach = &hunt->reach;
	int64_t grown = (int64_t)(hunt->heaps[LH_HUNT_AFTER].used_bytes - hunt->heaps[LH_HUNT_BEFORE].used_bytes);
	if (!hunt->suspect || !lh_verdict_is_rising(lh_hunt_main_growth(hunt)->verdict))
		return false;
	if (reach->is_known && reach->lost_growth_bytes > 0 && reach->lost_growth_bytes * 2 >= grown)
		return false;
	return hunt->why == LH_HUNT_WHY_IN_USE || hunt->why == LH_HUNT_WHY_REFERENCED ||
	       hunt->why == LH_HUNT_WHY_COLLECTOR;
}

void lh_hunt_caution(struct lh_hunt *hunt)
{
	const struct lh_evidence_row *age = &hunt->selection.evidence[LH_EVIDENCE_AGE];
	char span[LH_FORMAT_MAX], chance[LH_FORMAT_MAX], pid[24] = "PID";
	hunt->caveat[0] = '\0';
	if (!may_be_cache(hunt))
		return;
	if (hunt->pid)
		snprintf(pid, sizeof(pid), "%d", (int)hunt->pid);
	snprintf(hunt->caveat, sizeof(hunt->caveat),
		 "a cache that still fills looks the same (chance of a leak: %s, after %s%s%s). What would tell: the "
		 "limit set for it; continued growth in `leakhunt watch %s`; growth with work that should not need "
		 "memory (`leakhunt watch --counter`)",
		 lh_format_chance(lh_hunt_main_growth(hunt)->probability, chance),
		 lh_format_duration(hunt->selection.span_ns, span), age->is_known ? "; " : "",
		 age->is_known ? age->text : "", pid);
}

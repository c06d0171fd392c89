/*
 * holding: judges what a process holds beside its mappings: bytes like those of a mapping, counts by the same rules.
 * Input: series of tracks. Output: a verdict and a reason with numbers.
 */
#include "holding.h"

#include "verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Verdicts are made for bytes, where less than LH_GROWTH_MIN_BYTES is noise; here, 4 descriptors or threads are noise,
 * too.
 */
static const double COUNT_UNIT = (double)LH_GROWTH_MIN_BYTES / 4;

/*
 * Page tables take 8 bytes per page of 4 KiB, and at least a page per 2 MiB: up to this share, their growth is
 * explained by mapped memory.
 */
enum { OWN_SHARE = 8 };

const char *lh_holding_text(enum lh_holding holding)
{
	static const char *const texts[LH_HOLDING_COUNT] = {
		[LH_HOLDING_MAPPINGS] = "mappings",
		[LH_HOLDING_THREADS] = "threads",
		[LH_HOLDING_DESCRIPTORS] = "descriptors",
		[LH_HOLDING_SOCKETS] = "sockets",
		[LH_HOLDING_PIPES] = "pipes",
		[LH_HOLDING_HELD_FILES] = "files in memory, held open",
		[LH_HOLDING_HELD_FILE_BYTES] = "files in memory, held open and not mapped",
		[LH_HOLDING_SHM_BYTES] = "System V segments that nobody has attached",
		[LH_HOLDING_PAGE_TABLE_BYTES] = "page tables",
		[LH_HOLDING_CGROUP_KERNEL_BYTES] = "kernel memory of its cgroup",
		[LH_HOLDING_CGROUP_SOCKET_BYTES] = "socket buffers of its cgroup",
		[LH_HOLDING_CGROUP_SHARED_BYTES] = "shared memory and tmpfs of its cgroup",
	};
	return holding < LH_HOLDING_COUNT ? texts[holding] : "?";
}

static double unit_of(enum lh_holding holding)
{
	return lh_holding_is_memory(holding) ? 1 : COUNT_UNIT;
}

static struct lh_error *value_spread(const struct lh_tracks *tracks, enum lh_holding holding, double *values,
				     struct lh_holding_growth *ret)
{
	size_t count = tracks->moments.count;
	LH_TRY(lh_vec_reserve(&ret->series, count));
	ret->series.count = count;
	lh_steps_spread(&tracks->holdings[holding], count, ret->series.items);
	for (size_t i = 0; i < count; i++)
		values[i] = (double)ret->series.items[i] * unit_of(holding);
	return NULL;
}

/* A verdict's words are about bytes: replaces them for counts. */
static void explain_count(const struct lh_judgement *judgement, struct lh_holding_growth *ret)
{
	uint64_t low = UINT64_MAX, high = 0;
	for (size_t i = 0; i < ret->series.count; i++) {
		low = lh_min_u64(low, ret->series.items[i]);
		high = lh_max_u64(high, ret->series.items[i]);
	}
	char first[LH_FORMAT_MAX], last[LH_FORMAT_MAX];
	if (lh_verdict_is_rising(judgement->verdict))
		snprintf(ret->reason, sizeof(ret->reason), "rises, from %s to %s so far",
			 lh_format_count(ret->first, first), lh_format_count(ret->last, last));
	else
		snprintf(ret->reason, sizeof(ret->reason), "between %s and %s", lh_format_count(low, first),
			 lh_format_count(high, last));
}

struct lh_error *lh_holding_judge(const struct lh_tracks *tracks, enum lh_holding holding, const double *seconds,
				  double *values, struct lh_holding_growth *ret)
{
	const struct lh_steps *steps = &tracks->holdings[holding];
	struct lh_judgement judgement = {.verdict = LH_VERDICT_STEADY};
	ret->is_known = tracks->knows_holding[holding];
	ret->first = lh_steps_first(steps);
	ret->last = lh_steps_last(steps);
	ret->growth = (int64_t)ret->last - (int64_t)ret->first;
	ret->verdict = LH_VERDICT_STEADY;
	if (!steps->items.count || (steps->items.count == 1 && !steps->items.items[0].moment))
		return NULL;
	LH_TRY(value_spread(tracks, holding, values, ret));
	LH_TRY(lh_judge((struct lh_series){seconds, values, tracks->moments.count}, NULL, &judgement));
	ret->verdict = judgement.verdict;
	ret->probability = judgement.probability;
	ret->watch_more_ns = judgement.watch_more_ns;
	ret->rate_per_hour = judgement.slope * 3600 / unit_of(holding);
	ret->rate_low_per_hour = judgement.slope_low * 3600 / unit_of(holding);
	ret->rate_high_per_hour = judgement.slope_high * 3600 / unit_of(holding);
	if (lh_holding_is_memory(holding))
		memcpy(ret->reason, judgement.reason, sizeof(ret->reason));
	else
		explain_count(&judgement, ret);
	return NULL;
}

enum lh_holding lh_holding_leak(const struct lh_selection *selection)
{
	enum lh_holding most = LH_HOLDING_COUNT;
	for (int i = LH_HOLDING_HELD_FILE_BYTES; i <= LH_HOLDING_PAGE_TABLE_BYTES; i++) {
		const struct lh_holding_growth *growth = &selection->holdings[i];
		if (lh_verdict_is_rising(growth->verdict) &&
		    (most == LH_HOLDING_COUNT || growth->growth > selection->holdings[most].growth))
			most = (enum lh_holding)i;
	}
	return most;
}

/* The part of this holding's growth that already appears as growth of mappings or of other holdings. */
static int64_t explained_growth(const struct lh_selection *selection, enum lh_holding holding)
{
	const struct lh_holding_growth *all = selection->holdings;
	int64_t memory = selection->total.growth_bytes > 0 ? selection->total.growth_bytes : 0;
	int64_t own = memory / OWN_SHARE;
	switch (holding) {
	case LH_HOLDING_PAGE_TABLE_BYTES:
		return own;
	case LH_HOLDING_CGROUP_KERNEL_BYTES:
		return own + all[LH_HOLDING_PAGE_TABLE_BYTES].growth;
	case LH_HOLDING_CGROUP_SHARED_BYTES:
		return memory + all[LH_HOLDING_HELD_FILE_BYTES].growth + all[LH_HOLDING_SHM_BYTES].growth;
	default:
		return -1;
	}
}

bool lh_holding_is_suspect(const struct lh_selection *selection, enum lh_holding holding)
{
	const struct lh_holding_growth *growth = &selection->holdings[holding];
	bool may_leak = lh_verdict_is_rising(growth->verdict) ||
			(growth->verdict == LH_VERDICT_UNDECIDED && lh_holding_is_memory(holding) &&
			 growth->growth >= (int64_t)LH_GROWTH_MIN_BYTES);
	return may_leak && growth->growth > explained_growth(selection, holding);
}

enum lh_holding lh_selection_held_leak(const struct lh_selection *selection)
{
	static const enum lh_holding order[] = {
		LH_HOLDING_HELD_FILE_BYTES,     LH_HOLDING_SHM_BYTES,           LH_HOLDING_PAGE_TABLE_BYTES,
		LH_HOLDING_CGROUP_SHARED_BYTES, LH_HOLDING_CGROUP_SOCKET_BYTES, LH_HOLDING_CGROUP_KERNEL_BYTES,
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(order); i++) {
		bool is_rising = lh_verdict_is_rising(selection->holdings[order[i]].verdict);
		if (is_rising && selection->holdings[order[i]].is_suspect)
			return order[i];
	}
	return LH_HOLDING_COUNT;
}

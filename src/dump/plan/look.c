/*
 * look: splits ranges into pieces. A crew takes batches of pieces. The results are joined in the order of the ranges.
 */
#include "look.h"
#include "plan.h"

#include <stdlib.h>

/* A batch: as much, or as many, as is worth one access to the shared counter. */
#define BATCH_BYTES (64 * LH_MIB)
enum { BATCH_PIECES = 1024, RUNS_AHEAD = 4096, RUNS_KEPT = 65536 };

struct piece {
	struct lh_range range;
	uint16_t looker; /* whose runs [first, first + count) are this piece's */
	size_t first;
	size_t count;
};

struct batch {
	size_t first;
	size_t count;
};

struct looker {
	struct lh_pagemap *pagemap;
	struct lh_page_runs runs;
	struct lh_page_runs found; /* in some pieces */
	struct lh_error *error;
};

struct lh_look {
	lh_page_finder *find;
	struct lh_crew *crew;
	LH_VEC(struct piece) pieces;
	LH_VEC(struct batch) batches;
	LH_VEC(size_t) firsts; /* per range: its first piece; last, the number of pieces */
	size_t looker_count;
	struct looker lookers[LH_CREW_MEMBERS_MAX]; /* one a member */
};

/* ---------------------------------------------------------------- looking */

/* Gives each of the adjoining pieces its part of the runs that were found in all of them. */
static struct lh_error *share_out(struct looker *looker, size_t member, struct piece *pieces, size_t count)
{
	const struct lh_page_runs *found = &looker->found;
	size_t next = 0;
	for (size_t i = 0; i < count; i++) {
		struct lh_range range = pieces[i].range;
		pieces[i].looker = (uint16_t)member;
		pieces[i].first = looker->runs.runs.count;
		for (; next < found->runs.count && found->runs.items[next].range.start < range.end; next++) {
			struct lh_page_run run = found->runs.items[next];
			run.range.start = lh_max_u64(run.range.start, range.start);
			run.range.end = lh_min_u64(run.range.end, range.end);
			LH_TRY(lh_vec_push(&looker->runs.runs, run));
			if (found->runs.items[next].range.end > range.end)
				break; /* goes on in the next piece */
		}
		pieces[i].count = looker->runs.runs.count - pieces[i].first;
	}
	return NULL;
}

/* Adjoining pieces are looked at in one call. */
static struct lh_error *look_at_pieces(struct lh_look *look, size_t member, struct piece *pieces, size_t count)
{
	struct looker *looker = &look->lookers[member];
	for (size_t first = 0, end; first < count; first = end) {
		for (end = first + 1; end < count && pieces[end].range.start == pieces[end - 1].range.end;)
			end++;
		looker->found.runs.count = 0;
		struct lh_range range = {pieces[first].range.start, pieces[end - 1].range.end};
		LH_TRY(look->find(looker->pagemap, range, &looker->found));
		LH_TRY(share_out(looker, member, pieces + first, end - first));
	}
	return NULL;
}

static void look_at_batch(void *context, size_t member, size_t number)
{
	struct lh_look *look = context;
	const struct batch *batch = &look->batches.items[number];
	if (!look->lookers[member].error)
		look->lookers[member].error =
			look_at_pieces(look, member, look->pieces.items + batch->first, batch->count);
}

/* ---------------------------------------------------------------- cutting */

static struct lh_error *cut_runs(struct lh_look *look, struct lh_range range)
{
	for (uint64_t at = range.start; at < range.end;) {
		uint64_t end = at + lh_min_u64(range.end - at, BATCH_BYTES);
		LH_TRY(lh_vec_push(&look->pieces, (struct piece){.range = {at, end}}));
		at = end;
	}
	return NULL;
}

static struct lh_error *gather_batches(struct lh_look *look)
{
	uint64_t bytes = 0;
	look->batches.count = 0;
	for (size_t i = 0; i < look->pieces.count; i++) {
		uint64_t piece_bytes = lh_range_bytes(look->pieces.items[i].range);
		struct batch *last = look->batches.count ? &look->batches.items[look->batches.count - 1] : NULL;
		if (last && bytes + piece_bytes <= BATCH_BYTES && last->count < BATCH_PIECES) {
			last->count++;
			bytes += piece_bytes;
			continue;
		}
		LH_TRY(lh_vec_push(&look->batches, (struct batch){i, 1}));
		bytes = piece_bytes;
	}
	return NULL;
}

/* A long list of once is not kept. */
static struct lh_error *forget_runs(struct looker *looker)
{
	looker->runs.runs.count = 0;
	if (looker->runs.runs.capacity > RUNS_KEPT)
		lh_vec_deinit(&looker->runs.runs);
	return lh_vec_reserve(&looker->runs.runs, RUNS_AHEAD);
}

static struct lh_error *begin_look(struct lh_look *look, const struct lh_range *ranges, size_t count)
{
	look->pieces.count = look->firsts.count = 0;
	for (size_t i = 0; i < count; i++) {
		LH_TRY(lh_vec_push(&look->firsts, look->pieces.count));
		LH_TRY(cut_runs(look, ranges[i]));
	}
	LH_TRY(lh_vec_push(&look->firsts, look->pieces.count));
	for (size_t i = 0; i < look->looker_count; i++)
		LH_TRY(forget_runs(&look->lookers[i]));
	return gather_batches(look);
}

/* ---------------------------------------------------------------- the whole */

static struct lh_error *first_error(struct lh_look *look)
{
	struct lh_error *error = NULL;
	for (size_t i = 0; i < look->looker_count; i++) {
		if (error)
			lh_error_destroy(look->lookers[i].error);
		else
			error = look->lookers[i].error;
		look->lookers[i].error = NULL;
	}
	return error;
}

struct lh_error *lh_look_at(struct lh_look *look, const struct lh_range *ranges, size_t count)
{
	LH_TRY(begin_look(look, ranges, count));
	lh_crew_run(look->crew, look_at_batch, look, look->batches.count);
	return first_error(look);
}

void lh_look_note_taken(struct lh_look *look, const struct lh_ranges *taken)
{
	for (size_t i = 0; i < look->looker_count; i++)
		lh_pagemap_note_taken(look->lookers[i].pagemap, taken->items.items, taken->items.count);
}

/* A run that continues in the next piece of the same range. */
static bool extends_last(const struct lh_page_runs *runs, size_t count_before, const struct lh_page_run *run)
{
	const struct lh_page_run *last = runs->runs.count ? &runs->runs.items[runs->runs.count - 1] : NULL;
	return runs->runs.count > count_before && last->range.end == run->range.start && last->state == run->state;
}

struct lh_error *lh_look_append(const struct lh_look *look, size_t index, struct lh_page_runs *ret)
{
	size_t count_before = ret->runs.count;
	for (size_t i = look->firsts.items[index]; i < look->firsts.items[index + 1]; i++) {
		const struct piece *piece = &look->pieces.items[i];
		const struct lh_page_run *runs = look->lookers[piece->looker].runs.runs.items;
		for (size_t j = piece->first; j < piece->first + piece->count; j++) {
			if (extends_last(ret, count_before, &runs[j]))
				ret->runs.items[ret->runs.count - 1].range.end = runs[j].range.end;
			else
				LH_TRY(lh_vec_push(&ret->runs, runs[j]));
		}
	}
	return NULL;
}

static struct lh_error *add_looker(struct lh_look *look, const struct lh_process *process)
{
	struct looker *looker = &look->lookers[look->looker_count++];
	LH_TRY(lh_vec_reserve(&looker->runs.runs, RUNS_AHEAD));
	return lh_pagemap_open(process, &looker->pagemap);
}

struct lh_error *lh_look_create(const struct lh_process *process, struct lh_crew *crew, lh_page_finder *find,
				struct lh_look **ret)
{
	struct lh_look *look = calloc(1, sizeof(*look));
	struct lh_error *error = NULL;
	if (!look)
		return lh_error_no_memory();
	look->find = find;
	look->crew = crew;
	while (!error && look->looker_count < lh_crew_size(crew))
		error = add_looker(look, process);
	if (error) {
		lh_look_destroy(look);
		return error;
	}
	*ret = look;
	return NULL;
}

void lh_look_destroy(struct lh_look *look)
{
	if (!look)
		return;
	for (size_t i = 0; i < look->looker_count; i++) {
		lh_pagemap_close(look->lookers[i].pagemap);
		lh_vec_deinit(&look->lookers[i].runs.runs);
		lh_vec_deinit(&look->lookers[i].found.runs);
		lh_error_destroy(look->lookers[i].error);
	}
	lh_vec_deinit(&look->pieces);
	lh_vec_deinit(&look->batches);
	lh_vec_deinit(&look->firsts);
	free(look);
}

/*
 * heap_totals: sums over blocks and arenas, and what they mean. Input: a heap. Output: totals, a histogram of sizes,
 * findings. Invariant: used + cached + free + bytes in no block == mapped, for each arena.
 */
#include "sink.h"

#include <stdlib.h>
#include <string.h>

static void add_arena(struct lh_heap_totals *totals, const struct lh_heap_arena *arena)
{
	uint64_t in_blocks = 0;
	for (size_t state = 0; state < LH_CHUNK_STATES; state++) {
		totals->counts[state] += arena->counts[state];
		totals->bytes[state] += arena->bytes[state];
		in_blocks += arena->bytes[state];
	}
	uint64_t mapped = 0;
	for (size_t i = 0; i < arena->range_count; i++)
		mapped += lh_range_bytes(arena->ranges[i]);
	totals->mapped_bytes += mapped;
	totals->resident_bytes += arena->resident_bytes;
	totals->used_resident_bytes += arena->used_resident_bytes;
	totals->free_page_bytes += arena->free_page_bytes;
	totals->free_resident_bytes += arena->free_resident_bytes;
	totals->returnable_bytes += arena->returnable_bytes;
	totals->overhead_bytes += mapped > in_blocks ? mapped - in_blocks : 0;
	totals->arena_count++;
}

struct lh_heap_totals lh_heap_arena_total(const struct lh_heap_arena *arena)
{
	struct lh_heap_totals totals = {0};
	add_arena(&totals, arena);
	return totals;
}

struct lh_heap_totals lh_heap_total(const struct lh_heap *heap, const char *allocator)
{
	struct lh_heap_totals totals = {0};
	for (size_t i = 0; i < heap->arenas.count; i++) {
		if (!allocator || strcmp(heap->arenas.items[i].allocator, allocator) == 0)
			add_arena(&totals, &heap->arenas.items[i]);
	}
	return totals;
}

/* ---------------------------------------------------------------- sizes */

static size_t size_row(uint64_t bytes)
{
	enum { FIRST_BITS = 4 };
	if (bytes <= 1 << FIRST_BITS)
		return 0;
	size_t row = 64 - FIRST_BITS - (size_t)__builtin_clzll(bytes - 1);
	return lh_min_u64(row, LH_HEAP_SIZE_ROWS - 1);
}

void lh_heap_sizes(const struct lh_heap *heap, struct lh_heap_size_row ret[LH_HEAP_SIZE_ROWS])
{
	memset(ret, 0, LH_HEAP_SIZE_ROWS * sizeof(*ret));
	for (size_t i = 0; i < LH_HEAP_SIZE_ROWS; i++)
		ret[i].size_max_bytes = i + 1 < LH_HEAP_SIZE_ROWS ? UINT64_C(16) << i : UINT64_MAX;
	for (size_t i = 0; i < heap->chunks.count; i++) {
		const struct lh_stored_chunk *chunk = &heap->chunks.items[i];
		struct lh_heap_size_row *row = &ret[size_row(chunk->size_bytes)];
		row->counts[chunk->state]++;
		row->bytes[chunk->state] += chunk->size_bytes;
	}
}

/* ---------------------------------------------------------------- findings */

/* Less than this part of the resident memory is not mentioned. */
enum { FINDING_PART = 20 };

/* More arenas than this have one reason: threads that allocated at the same time. */
enum { ARENAS_MANY = 8 };

void lh_heap_findings_deinit(struct lh_heap_findings *findings)
{
	lh_vec_deinit(&findings->items);
}

static struct lh_error *add_finding(struct lh_heap_findings *findings, struct lh_heap_finding finding)
{
	if (!finding.bytes || finding.bytes < findings->resident_bytes / FINDING_PART)
		return NULL;
	return lh_vec_push(&findings->items, finding);
}

/* In threads' arenas: resident free memory that a trim does not give back. */
static void measure_thread_arenas(const struct lh_heap *heap, const char *allocator, struct lh_heap_finding *ret)
{
	for (size_t i = 0; i < heap->arenas.count; i++) {
		const struct lh_heap_arena *arena = &heap->arenas.items[i];
		if (strcmp(arena->allocator, allocator) != 0 || strcmp(arena->role, "thread") != 0)
			continue;
		ret->arena_count++;
		ret->bytes +=
			arena->free_resident_bytes - lh_min_u64(arena->free_resident_bytes, arena->returnable_bytes);
	}
}

static struct lh_error *judge_allocator(const struct lh_heap *heap, const char *name, struct lh_heap_findings *ret)
{
	struct lh_heap_totals totals = lh_heap_total(heap, name);
	struct lh_heap_finding arenas = {.kind = LH_HEAP_ARENAS, .allocator = name};
	measure_thread_arenas(heap, name, &arenas);
	uint64_t used = lh_min_u64(totals.used_resident_bytes, totals.resident_bytes);
	uint64_t cached = lh_min_u64(totals.bytes[LH_CHUNK_CACHED], totals.resident_bytes - used);
	uint64_t rest = totals.resident_bytes - used - cached;
	uint64_t returnable = lh_min_u64(totals.returnable_bytes, rest);
	/* Free blocks too small to contain a page, and pages that are absent. */
	uint64_t away = totals.free_page_bytes - totals.free_resident_bytes;
	uint64_t free_here = totals.bytes[LH_CHUNK_FREE] - lh_min_u64(totals.bytes[LH_CHUNK_FREE], away);
	uint64_t pinned = lh_min_u64(free_here, rest) - lh_min_u64(lh_min_u64(free_here, rest), returnable);
	if (arenas.arena_count < ARENAS_MANY)
		arenas.bytes = 0;
	arenas.bytes = lh_min_u64(arenas.bytes, pinned);
	LH_TRY(add_finding(ret, (struct lh_heap_finding){LH_HEAP_LIVE, name, used, 0}));
	LH_TRY(add_finding(ret, (struct lh_heap_finding){LH_HEAP_RETURNABLE, name, returnable, 0}));
	LH_TRY(add_finding(ret, (struct lh_heap_finding){LH_HEAP_FRAGMENTED, name, pinned - arenas.bytes, 0}));
	LH_TRY(add_finding(ret, (struct lh_heap_finding){LH_HEAP_CACHED, name, cached, 0}));
	return add_finding(ret, arenas);
}

static int compare_findings(const void *a, const void *b)
{
	const struct lh_heap_finding *left = a, *right = b;
	return -lh_compare_u64(left->bytes, right->bytes);
}

struct lh_error *lh_heap_judge(const struct lh_heap *heap, struct lh_heap_findings *ret)
{
	struct lh_heap_findings findings LH_CLEANUP(lh_heap_findings_deinit) = {
		.resident_bytes = lh_heap_total(heap, NULL).resident_bytes};
	for (size_t i = 0; i < heap->allocators.count; i++) {
		if (!heap->allocators.items[i].is_refused)
			LH_TRY(judge_allocator(heap, heap->allocators.items[i].name, &findings));
	}
	lh_vec_sort(&findings.items, compare_findings);
	*ret = findings;
	findings = (struct lh_heap_findings){0};
	return NULL;
}

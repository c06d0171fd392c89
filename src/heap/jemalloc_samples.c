/*
 * jemalloc_samples: what jemalloc's own profiler (option prof) has sampled. Input: extents. Output: call stacks with
 * their blocks. A sampled block has an extent of its own, whose descriptor says when it was allocated, how many bytes
 * were requested, and which counters count it (edata.h, e_prof_info_s). A thread has counters per stack
 * (prof_structs.h, prof_tctx_s); all of one stack point to the same backtrace (prof_gctx_s), which contains a pointer
 * to itself. Layouts of 5.3.
 */
#include "jemalloc.h"
#include "sink.h"

#include <stdlib.h>

/* Words of e_prof_info_s. Blocks that are not sampled have 0 or 1 in place of counters. */
enum {
	PROF_INFO_OFFSET = 64,
	PROF_TIME_WORD = 0,
	PROF_REQUEST_WORD,
	PROF_COUNTERS_WORD,
	PROF_INFO_WORDS,
	NOT_SAMPLED = 1
};

/* Words of prof_tctx_s. Estimates are kept per class as blocks are sampled (prof_data.c, prof_unbias_map_init). */
enum {
	COUNTERS_COUNT_WORD = 4,
	COUNTERS_COUNT_ESTIMATE_WORD,
	COUNTERS_BYTES_WORD,
	COUNTERS_BYTES_ESTIMATE_WORD,
	COUNTERS_STACK_WORD = 12,
};

/* The estimated count is a multiple of 1 / 8 (SC_LG_TINY_MIN). */
enum { COUNT_ESTIMATE_UNITS = 8 };

/* Words of prof_gctx_s: a tree of counters; the backtrace {pointer to its frames, their number}; the frames. */
enum { STACK_TREE_WORD = 2, STACK_POINTER_WORD = 13, STACK_LENGTH_WORD, STACK_WORDS, STACK_FRAMES_MAX = 1024 };

void lh_sample_search_deinit(struct lh_sample_search *search)
{
	lh_vec_deinit(&search->counters);
	lh_hash_table_deinit(&search->counters_numbers);
	lh_hash_table_deinit(&search->stack_numbers);
}

/* jemalloc allocates its counters and stacks from its own heap. */
static bool read_profile_words(struct lh_sample_search *search, uint64_t addr, uint64_t *ret, size_t count)
{
	const struct lh_owner_range *owner = lh_owners_find(search->tour->owners, addr);
	return addr % 8 == 0 && owner && owner->kind == LH_REGION_JEMALLOC &&
	       lh_heap_words(search->tour, addr, ret, count);
}

/* The backtrace points to the words after itself, and the tree's root is counters of the same stack. */
static bool read_stack_head(struct lh_sample_search *search, uint64_t addr, uint64_t words[STACK_WORDS])
{
	uint64_t root[LH_SAMPLE_COUNTERS_WORDS];
	if (!read_profile_words(search, addr, words, STACK_WORDS) ||
	    words[STACK_POINTER_WORD] != addr + (uint64_t)STACK_WORDS * 8)
		return false;
	uint32_t length = words[STACK_LENGTH_WORD] & UINT32_MAX;
	return length && length <= STACK_FRAMES_MAX &&
	       read_profile_words(search, words[STACK_TREE_WORD], root, LH_SAMPLE_COUNTERS_WORDS) &&
	       root[COUNTERS_STACK_WORD] == addr;
}

/* *ret_found: false, and nothing added, if there is no stack at `addr`. Frames are return addresses. */
static struct lh_error *find_stack(struct lh_sample_search *search, uint64_t addr, bool *ret_found, uint32_t *ret)
{
	struct lh_allocation_samples *samples = &search->tour->sink->heap->samples;
	uint64_t head[STACK_WORDS], frames[STACK_FRAMES_MAX];
	*ret_found = lh_hash_table_find(&search->stack_numbers, addr, ret);
	if (*ret_found || !read_stack_head(search, addr, head))
		return NULL;
	struct lh_sampled_stack stack = {
		.first_frame = samples->frames.count,
		.frame_count = head[STACK_LENGTH_WORD] & UINT32_MAX,
		.oldest_ns = UINT64_MAX,
		.is_consistent = true,
	};
	if (!lh_heap_words(search->tour, head[STACK_POINTER_WORD], frames, stack.frame_count))
		return NULL;
	for (size_t i = 0; i < stack.frame_count; i++)
		LH_TRY(lh_vec_push(&samples->frames, frames[i] ? frames[i] - 1 : 0));
	*ret = (uint32_t)samples->stacks.count;
	*ret_found = true;
	LH_TRY(lh_hash_table_put(&search->stack_numbers, addr, *ret));
	return lh_vec_push(&samples->stacks, stack);
}

/* *ret: NULL if there are no counters at `addr`. */
static struct lh_error *find_counters(struct lh_sample_search *search, uint64_t addr, struct lh_sample_counters **ret)
{
	struct lh_sample_counters counters = {0};
	uint32_t number;
	bool is_found;
	*ret = NULL;
	if (lh_hash_table_find(&search->counters_numbers, addr, &number)) {
		*ret = &search->counters.items[number];
		return NULL;
	}
	if (!read_profile_words(search, addr, counters.words, LH_SAMPLE_COUNTERS_WORDS))
		return NULL;
	LH_TRY(find_stack(search, counters.words[COUNTERS_STACK_WORD], &is_found, &counters.stack));
	if (!is_found)
		return NULL;
	LH_TRY(lh_hash_table_put(&search->counters_numbers, addr, (uint32_t)search->counters.count));
	LH_TRY(lh_vec_push(&search->counters, counters));
	*ret = &search->counters.items[search->counters.count - 1];
	return NULL;
}

struct lh_error *lh_jemalloc_take_sample(struct lh_sample_search *search, const struct lh_jemalloc_extent *extent,
					 uint64_t usable_bytes, uint64_t *ret_requested_bytes)
{
	struct lh_allocation_samples *samples = &search->tour->sink->heap->samples;
	uint64_t info[PROF_INFO_WORDS];
	struct lh_sample_counters *counters;
	*ret_requested_bytes = 0;
	if (!lh_heap_words(search->tour, extent->edata_addr + PROF_INFO_OFFSET, info, PROF_INFO_WORDS) ||
	    info[PROF_COUNTERS_WORD] <= NOT_SAMPLED)
		return NULL;
	LH_TRY(find_counters(search, info[PROF_COUNTERS_WORD], &counters));
	if (!counters || !info[PROF_REQUEST_WORD] || info[PROF_REQUEST_WORD] > usable_bytes) {
		samples->rejected_count++;
		return NULL;
	}
	struct lh_sampled_stack *stack = &samples->stacks.items[counters->stack];
	counters->found_count++;
	counters->found_bytes += usable_bytes;
	stack->sample_count++;
	stack->sample_bytes += usable_bytes;
	stack->requested_bytes += info[PROF_REQUEST_WORD];
	stack->oldest_ns = lh_min_u64(stack->oldest_ns, info[PROF_TIME_WORD]);
	stack->newest_ns = lh_max_u64(stack->newest_ns, info[PROF_TIME_WORD]);
	*ret_requested_bytes = info[PROF_REQUEST_WORD];
	return NULL;
}

static int compare_estimates(const void *a, const void *b)
{
	const struct lh_sampled_stack *left = a, *right = b;
	int order = (left->estimated_bytes < right->estimated_bytes) - (left->estimated_bytes > right->estimated_bytes);
	return order ? order : lh_compare_u64(left->first_frame, right->first_frame);
}

void lh_jemalloc_end_samples(struct lh_sample_search *search)
{
	struct lh_allocation_samples *samples = &search->tour->sink->heap->samples;
	size_t kept = 0;
	for (size_t i = 0; i < search->counters.count; i++) {
		const struct lh_sample_counters *counters = &search->counters.items[i];
		struct lh_sampled_stack *stack = &samples->stacks.items[counters->stack];
		stack->estimated_count += (double)counters->words[COUNTERS_COUNT_ESTIMATE_WORD] / COUNT_ESTIMATE_UNITS;
		stack->estimated_bytes += (double)counters->words[COUNTERS_BYTES_ESTIMATE_WORD];
		stack->is_consistent &= counters->found_count == counters->words[COUNTERS_COUNT_WORD] &&
					counters->found_bytes == counters->words[COUNTERS_BYTES_WORD];
	}
	for (size_t i = 0; i < samples->stacks.count; i++) {
		if (samples->stacks.items[i].sample_count)
			samples->stacks.items[kept++] = samples->stacks.items[i];
	}
	samples->stacks.count = kept;
	lh_vec_sort(&samples->stacks, compare_estimates);
	for (size_t i = 0; i < kept; i++) {
		samples->sample_count += samples->stacks.items[i].sample_count;
		samples->newest_ns = lh_max_u64(samples->newest_ns, samples->stacks.items[i].newest_ns);
	}
	samples->allocator = samples->sample_count ? lh_walk_jemalloc.name : NULL;
}

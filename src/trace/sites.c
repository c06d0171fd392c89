/*
 * sites: a block's sample, its birth and its death come as records of their own; here they meet. Pure.
 */
#include "sites.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void lh_sites_deinit(struct lh_sites *sites)
{
	lh_vec_deinit(&sites->blocks);
	lh_vec_deinit(&sites->sites);
	lh_vec_deinit(&sites->frames);
	lh_hash_table_deinit(&sites->by_stack);
}

/* ---------------------------------------------------------------- stacks */

static bool is_stack(const struct lh_sites *sites, uint32_t index, const uint64_t *frames, size_t count)
{
	const struct lh_stack_site *site = &sites->sites.items[index];
	return site->frame_count == count &&
	       memcmp(sites->frames.items + site->first_frame, frames, count * sizeof(*frames)) == 0;
}

/* *ret: index of the site, + 1. */
static struct lh_error *find_site(struct lh_sites *sites, const uint64_t *frames, size_t count, bool is_complete,
				  uint32_t *ret)
{
	uint32_t index;
	uint64_t key = XXH3_64bits(frames, count * sizeof(*frames));
	for (; lh_hash_table_find(&sites->by_stack, key, &index); key = lh_hash_table_next_key(key)) {
		if (is_stack(sites, index, frames, count)) {
			*ret = index + 1;
			return NULL;
		}
	}
	index = (uint32_t)sites->sites.count;
	LH_TRY(lh_vec_reserve(&sites->frames, count));
	LH_TRY(lh_vec_reserve(&sites->sites, 1));
	LH_TRY(lh_hash_table_put(&sites->by_stack, key, index));
	sites->sites.items[sites->sites.count++] = (struct lh_stack_site){sites->frames.count, count, is_complete, 0};
	memcpy(sites->frames.items + sites->frames.count, frames, count * sizeof(*frames));
	sites->frames.count += count;
	*ret = index + 1;
	return NULL;
}

/* ---------------------------------------------------------------- blocks */

static struct lh_sampled_block *find_block_by_id(const struct lh_sites *sites, uint64_t id)
{
	if (!sites->first_id || id < sites->first_id || id - sites->first_id >= sites->blocks.count)
		return NULL;
	struct lh_sampled_block *block = &sites->blocks.items[id - sites->first_id];
	return block->site ? block : NULL;
}

/* Samples of several processors may come a little out of order. */
static struct lh_error *make_room_for_id(struct lh_sites *sites, uint64_t id)
{
	enum { DISORDER_MAX = 1024 };
	if (!sites->first_id)
		sites->first_id = id > DISORDER_MAX ? id - DISORDER_MAX : 1;
	if (id < sites->first_id || id - sites->first_id < sites->blocks.count)
		return NULL;
	size_t extra = id - sites->first_id + 1 - sites->blocks.count;
	LH_TRY(lh_vec_reserve(&sites->blocks, extra));
	memset(sites->blocks.items + sites->blocks.count, 0, extra * sizeof(*sites->blocks.items));
	sites->blocks.count += extra;
	return NULL;
}

struct lh_error *lh_sites_add_sample(struct lh_sites *sites, uint64_t id, const struct lh_life *life,
				     const uint64_t *frames, size_t frame_count, bool is_complete)
{
	LH_TRY(make_room_for_id(sites, id));
	if (id < sites->first_id)
		return NULL;
	struct lh_sampled_block *block = &sites->blocks.items[id - sites->first_id];
	block->life = *life;
	block->life.birth_ns = block->life.death_ns = 0;
	return find_site(sites, frames, frame_count, is_complete, &block->site);
}

void lh_sites_add_birth(struct lh_sites *sites, uint64_t id, uint64_t time_ns)
{
	struct lh_sampled_block *block = find_block_by_id(sites, id);
	if (block)
		block->life.birth_ns = time_ns;
}

void lh_sites_add_death(struct lh_sites *sites, uint64_t id, uint64_t time_ns, bool is_unseen)
{
	struct lh_sampled_block *block = find_block_by_id(sites, id);
	if (!block || !block->life.birth_ns)
		return;
	block->life.death_ns = lh_max_u64(time_ns, block->life.birth_ns + 1);
	block->has_unseen_death = is_unseen;
	sites->unseen_death_count += is_unseen;
}

/* ---------------------------------------------------------------- judging */

static int compare_blocks_by_site(const void *left, const void *right)
{
	const struct lh_sampled_block *a = left, *b = right;
	return lh_compare_u64(a->site, b->site);
}

static int compare_judged_sites(const void *left, const void *right)
{
	const struct lh_site_estimate *a = &((const struct lh_trace_site *)left)->estimate;
	const struct lh_site_estimate *b = &((const struct lh_trace_site *)right)->estimate;
	bool a_leaks = a->verdict == LH_SITE_LEAKING, b_leaks = b->verdict == LH_SITE_LEAKING;
	double a_key = a_leaks ? a->leak_bytes_per_s : a->live_bytes;
	double b_key = b_leaks ? b->leak_bytes_per_s : b->live_bytes;
	if (a_leaks != b_leaks)
		return b_leaks - a_leaks;
	if (a->verdict == LH_SITE_RATE_ONLY) {
		a_key = a->allocated_bytes;
		b_key = b->allocated_bytes;
	}
	return (a_key < b_key) - (a_key > b_key);
}

/*
 * The allocator, what wraps it, and who calls these: stacks that begin with the same calls allocate the same things,
 * and what is known of the lives of one holds for the others. A stack with few samples knows little of its own.
 */
enum { SIBLING_FRAMES = 4 };

static uint64_t hash_innermost_calls(const struct lh_sites *sites, const struct lh_stack_site *site)
{
	return XXH3_64bits(sites->frames.items + site->first_frame,
			   lh_min_u64(site->frame_count, SIBLING_FRAMES) * sizeof(*sites->frames.items));
}

/* Raises each stack's longest_life_ns to the longest of its siblings. */
static struct lh_error *share_longest_lives(struct lh_sites *sites)
{
	struct lh_hash_table longest LH_CLEANUP(lh_hash_table_deinit) = {0}; /* index of a site */
	for (size_t i = 0; i < sites->blocks.count; i++) {
		const struct lh_sampled_block *block = &sites->blocks.items[i];
		if (!block->site || !block->life.death_ns)
			continue;
		struct lh_stack_site *site = &sites->sites.items[block->site - 1];
		site->longest_life_ns = lh_max_u64(site->longest_life_ns, block->life.death_ns - block->life.birth_ns);
	}
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < sites->sites.count; i++) {
			struct lh_stack_site *site = &sites->sites.items[i];
			uint32_t other = 0;
			uint64_t key = hash_innermost_calls(sites, site);
			if (!lh_hash_table_find(&longest, key, &other)) {
				LH_TRY(lh_hash_table_put(&longest, key, (uint32_t)i));
				continue;
			}
			struct lh_stack_site *first = &sites->sites.items[other];
			first->longest_life_ns = lh_max_u64(first->longest_life_ns, site->longest_life_ns);
			site->longest_life_ns = first->longest_life_ns;
		}
	}
	return NULL;
}

/* Blocks of one stack: those that were born in time. */
static struct lh_error *judge_stack(struct lh_sites *sites, size_t first, size_t end, const struct lh_site_facts *at,
				    const struct lh_trace_growth *growth, struct lh_trace *ret)
{
	const struct lh_stack_site *stack = &sites->sites.items[sites->blocks.items[first].site - 1];
	struct lh_trace_site site = {stack->first_frame, stack->frame_count, stack->is_complete, {0}};
	LH_CLEANUP(lh_cleanup_free) struct lh_life *lives = calloc(end - first, sizeof(*lives));
	struct lh_site_facts facts = *at;
	size_t count = 0;
	facts.sibling_life_ns = stack->longest_life_ns;
	if (!lives)
		return lh_error_no_memory();
	for (size_t i = first; i < end; i++) {
		const struct lh_sampled_block *block = &sites->blocks.items[i];
		if (block->life.birth_ns < at->start_ns || block->life.birth_ns >= at->end_ns)
			continue;
		facts.has_unseen_deaths |= block->has_unseen_death;
		lives[count] = block->life;
		if (lives[count].death_ns > at->end_ns)
			lives[count].death_ns = 0;
		count++;
	}
	if (!count)
		return NULL;
	LH_TRY(lh_site_estimate_make(lives, count, &facts, &site.estimate));
	lh_site_estimate_check_growth(&site.estimate, at->end_ns - at->start_ns, growth);
	ret->sample_count += count;
	ret->incomplete_count += site.is_complete ? 0 : count;
	return lh_vec_push(&ret->sites, site);
}

struct lh_error *lh_sites_judge(struct lh_sites *sites, const struct lh_site_facts *at,
				const struct lh_trace_growth *growth, struct lh_trace *ret)
{
	LH_TRY(share_longest_lives(sites));
	lh_vec_sort(&sites->blocks, compare_blocks_by_site);
	for (size_t first = 0, end; first < sites->blocks.count; first = end) {
		for (end = first;
		     end < sites->blocks.count && sites->blocks.items[end].site == sites->blocks.items[first].site;
		     end++)
			;
		if (sites->blocks.items[first].site)
			LH_TRY(judge_stack(sites, first, end, at, growth, ret));
	}
	lh_vec_sort(&ret->sites, compare_judged_sites);
	ret->unseen_death_count = sites->unseen_death_count;
	ret->frames.items = sites->frames.items;
	ret->frames.count = sites->frames.count;
	ret->frames.capacity = sites->frames.capacity;
	sites->frames.items = NULL;
	sites->frames.count = sites->frames.capacity = 0;
	return NULL;
}

void lh_sites_keep_rates(struct lh_trace *trace)
{
	double factor = trace->probed_ns ? (double)trace->duration_ns / (double)trace->probed_ns : 0;
	for (size_t i = 0; i < trace->sites.count; i++) {
		struct lh_site_estimate *estimate = &trace->sites.items[i].estimate;
		*estimate = (struct lh_site_estimate){
			.verdict = LH_SITE_RATE_ONLY,
			.sample_count = estimate->sample_count,
			.death_sample_count = estimate->death_sample_count,
			.median_life_ns = estimate->median_life_ns,
			.longest_life_ns = estimate->longest_life_ns,
			.allocated_bytes = estimate->allocated_bytes * factor,
			.allocated_count = estimate->allocated_count * factor,
		};
	}
	lh_vec_sort(&trace->sites, compare_judged_sites);
}

void lh_trace_deinit(struct lh_trace *trace)
{
	lh_vec_deinit(&trace->frames);
	lh_vec_deinit(&trace->sites);
}

bool lh_trace_is_complete(const struct lh_trace *trace)
{
	if (trace->method != LH_TRACE_EXACT)
		return false;
	bool has_time = trace->end == LH_TRACE_TIME_OVER ||
			(trace->end == LH_TRACE_INTERRUPTED && trace->duration_ns >= LH_TRACE_TIME_MIN_NS);
	return has_time && !trace->lost_death_count && !trace->lost_sample_count && !trace->unseen_death_count &&
	       lh_trace_sees_most(trace);
}

size_t lh_trace_common_frames(const struct lh_trace *trace, const uint64_t **ret_innermost)
{
	const struct lh_trace_site *first = trace->sites.items;
	size_t common = 0;
	for (size_t i = 0; i < trace->sites.count && trace->sites.items[i].estimate.verdict == LH_SITE_LEAKING; i++) {
		const struct lh_trace_site *site = &trace->sites.items[i];
		const uint64_t *first_end = trace->frames.items + first->first_frame + first->frame_count;
		const uint64_t *end = trace->frames.items + site->first_frame + site->frame_count;
		size_t most = i ? common : site->frame_count, same = 0;
		while (same < most && same < site->frame_count &&
		       first_end[-1 - (ptrdiff_t)same] == end[-1 - (ptrdiff_t)same])
			same++;
		common = same;
	}
	*ret_innermost = common ? trace->frames.items + first->first_frame + first->frame_count - common : NULL;
	return common;
}

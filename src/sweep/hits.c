/*
 * hits: a range filter over all words, then a bitmap of what the addresses hash to, then the table; for
 * patterns a bitmap of low halves, then each pattern. Input: an image, a set of addresses and patterns.
 * Output: each word that holds one of them, in order. A word that straddles two blocks isn't aligned, so
 * there is none.
 */
#include "leakhunt/hash_table.h"
#include "leakhunt/sweep.h"

#include <stdlib.h>
#include <string.h>

/* The largest offset of a pattern that asks for a word's own address. */
enum { OWN_ADDRESS_REACH = 256 };

enum { BITMAP_BITS = 1 << 18, LOW_BITS = 1 << 16, STRIPE_BYTES = 4 << 20 };

struct lh_hit_set {
	struct lh_word_ranges ranges;
	struct lh_hash_table numbers; /* of targets */
	uint8_t bitmap[BITMAP_BITS / 8];
	size_t target_count;
	const struct lh_word_pattern *patterns;
	size_t pattern_count;
	bool has_own_address;
	bool has_unbounded;               /* a pattern leaves the high half open */
	uint64_t bounded_most;            /* no larger word fits another pattern of low halves */
	uint8_t low_bitmap[LOW_BITS / 8]; /* of the low 16 bits of words that may fit a pattern */
};

static uint64_t bitmap_hash(uint64_t target)
{
	return target * UINT64_C(0x9e3779b97f4a7c15) >> 24;
}

static bool is_in_bitmap(const struct lh_hit_set *set, uint64_t target)
{
	size_t bit = bitmap_hash(target) % BITMAP_BITS;
	return set->bitmap[bit / 8] >> bit % 8 & 1;
}

static struct lh_error *add_target(struct lh_hit_set *set, uint64_t target, size_t number)
{
	size_t bit = bitmap_hash(target) % BITMAP_BITS;
	set->bitmap[bit / 8] |= (uint8_t)(1 << bit % 8);
	return lh_hash_table_put(&set->numbers, target, (uint32_t)number);
}

static struct lh_error *set_ranges(struct lh_hit_set *set, const uint64_t *targets, size_t count)
{
	LH_CLEANUP(lh_cleanup_free) struct lh_range *sorted = calloc(count + 1, sizeof(*sorted));
	if (!sorted)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		sorted[i] = (struct lh_range){targets[i], targets[i] + 1};
	qsort(sorted, count, sizeof(*sorted), lh_compare_range_starts);
	set->ranges = lh_word_ranges_over(sorted, count);
	return NULL;
}

struct lh_error *lh_hit_set_create(const uint64_t *targets, size_t count, struct lh_hit_set **ret)
{
	LH_CLEANUP(lh_cleanup_hit_set) struct lh_hit_set *set = calloc(1, sizeof(*set));
	if (!set)
		return lh_error_no_memory();
	LH_TRY(lh_hash_table_reserve(&set->numbers, count));
	set->target_count = count;
	LH_TRY(set_ranges(set, targets, count));
	for (size_t i = 0; i < count; i++)
		LH_TRY(add_target(set, targets[i], i));
	*ret = set;
	set = NULL;
	return NULL;
}

void lh_hit_set_add_patterns(struct lh_hit_set *set, const struct lh_word_pattern *patterns, size_t count)
{
	set->patterns = patterns;
	set->pattern_count = count;
	for (size_t i = 0; i < count; i++) {
		set->has_own_address |= patterns[i].is_own_address;
		if (!patterns[i].is_own_address && patterns[i].high_max == UINT32_MAX)
			set->has_unbounded = true;
		else if (!patterns[i].is_own_address)
			set->bounded_most =
				lh_max_u64(set->bounded_most, (uint64_t)patterns[i].high_max << 32 | UINT32_MAX);
		for (uint64_t low = patterns[i].first; !patterns[i].is_own_address && low <= patterns[i].last; low++)
			set->low_bitmap[low % LOW_BITS / 8] |= (uint8_t)(1 << low % 8);
	}
}

void lh_hit_set_destroy(struct lh_hit_set *set)
{
	if (!set)
		return;
	lh_hash_table_deinit(&set->numbers);
	free(set);
}

void lh_cleanup_hit_set(struct lh_hit_set **set)
{
	lh_hit_set_destroy(*set);
}

size_t lh_hit_set_find(const struct lh_hit_set *set, uint64_t addr)
{
	uint32_t number;
	return is_in_bitmap(set, addr) && lh_hash_table_find(&set->numbers, addr, &number) ? number : SIZE_MAX;
}

/* ---------------------------------------------------------------- the walk */

/* A hit in a stripe. */
struct found {
	uint64_t addr;
	size_t target;
};

struct hit_total {
	const struct lh_hit_walk *walk;
	lh_word_filter *filter;
};

struct hit_part {
	const struct hit_total *total;
	LH_VEC(struct found) hits; /* ascending */
};

static struct lh_error *create_hits_part(void *context, void **ret)
{
	struct hit_part *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->total = context;
	*ret = part;
	return NULL;
}

static void destroy_hits_part(void *context)
{
	struct hit_part *part = context;
	lh_vec_deinit(&part->hits);
	free(part);
}

static bool fits_pattern(const struct lh_word_pattern *pattern, uint64_t word, uint64_t addr)
{
	uint32_t low = (uint32_t)word;
	if (pattern->is_own_address)
		return word - addr == (uint64_t)(int64_t)pattern->offset;
	return pattern->first <= low && low <= pattern->last && word >> 32 <= pattern->high_max;
}

static struct lh_error *take_patterned(struct hit_part *part, uint64_t word, uint64_t addr)
{
	const struct lh_hit_set *set = part->total->walk->set;
	for (size_t i = 0; i < set->pattern_count; i++) {
		if (fits_pattern(&set->patterns[i], word, addr))
			return lh_hit_set_find(set, word) == SIZE_MAX
				       ? lh_vec_push(&part->hits, (struct found){addr, set->target_count + i})
				       : NULL;
	}
	return NULL;
}

static bool may_fit_pattern(const struct lh_hit_set *set, uint64_t word, uint64_t addr)
{
	size_t low = word % LOW_BITS;
	return set->low_bitmap[low / 8] >> low % 8 & 1 ||
	       (set->has_own_address && word - addr + OWN_ADDRESS_REACH <= UINT64_C(2) * OWN_ADDRESS_REACH);
}

static struct lh_error *take_hit_word(struct hit_part *part, const struct lh_block *block, size_t at)
{
	uint64_t word;
	memcpy(&word, block->data + at, sizeof(word));
	size_t target = lh_hit_set_find(part->total->walk->set, word);
	return target == SIZE_MAX ? NULL : lh_vec_push(&part->hits, (struct found){block->addr + at, target});
}

/* No larger word in the block is a hit, unless it fits a pattern with any high half. Words of text are larger. */
static uint64_t largest_hit(const struct lh_hit_set *set, const struct lh_block *block)
{
	const struct lh_word_ranges *ranges = &set->ranges;
	uint64_t own_most,
		most = lh_max_u64(ranges->low_start + ranges->low_bytes, ranges->high_start + ranges->high_bytes);
	if (__builtin_add_overflow(block->addr, block->bytes + OWN_ADDRESS_REACH, &own_most))
		own_most = UINT64_MAX;
	return lh_max_u64(lh_max_u64(most, own_most), set->bounded_most);
}

/* Both, in the order of addresses. */
static struct lh_error *scan_block_for_patterns(struct hit_part *part, const struct lh_block *block, size_t at)
{
	const struct lh_hit_set *set = part->total->walk->set;
	const uint64_t largest = largest_hit(set, block);
	for (; at < block->bytes && block->bytes - at >= 8; at += 8) {
		uint64_t word;
		memcpy(&word, block->data + at, sizeof(word));
		if (word > largest && !set->has_unbounded)
			continue;
		if (word - set->ranges.low_start < set->ranges.low_bytes ||
		    word - set->ranges.high_start < set->ranges.high_bytes)
			LH_TRY(take_hit_word(part, block, at));
		if (may_fit_pattern(set, word, block->addr + at))
			LH_TRY(take_patterned(part, word, block->addr + at));
	}
	return NULL;
}

static struct lh_error *scan_block(struct hit_part *part, const struct lh_block *block)
{
	size_t at = (size_t)(-block->addr & 7);
	if (part->total->walk->set->pattern_count)
		return scan_block_for_patterns(part, block, at);
	struct lh_word_walk walk = {.filter = part->total->filter,
				    .ranges = &part->total->walk->set->ranges,
				    .data = block->data + at,
				    .word_count = at < block->bytes ? (block->bytes - at) / 8 : 0};
	for (size_t offset; lh_word_walk_next(&walk, &offset);)
		LH_TRY(take_hit_word(part, block, at + offset));
	return NULL;
}

static struct lh_error *scan_hits(void *context, const struct lh_stripe *stripe)
{
	struct hit_part *part = context;
	part->hits.count = 0;
	for (size_t i = 0; i < stripe->block_count; i++)
		LH_TRY(scan_block(part, &stripe->blocks[i]));
	return NULL;
}

static struct lh_error *merge_hits(void *context, void *part_context, const struct lh_stripe *stripe)
{
	const struct hit_total *total = context;
	const struct hit_part *part = part_context;
	const struct lh_block *block = stripe->blocks;
	for (size_t i = 0; i < part->hits.count; i++) {
		const struct found *found = &part->hits.items[i];
		while (found->addr - block->addr >= block->bytes)
			block++;
		LH_TRY(total->walk->visit(total->walk->context, &(struct lh_hit){found->addr, found->target, block}));
	}
	return NULL;
}

struct lh_error *lh_hits_walk(const struct lh_hit_walk *walk)
{
	const struct lh_kernel *kernel;
	LH_TRY(lh_kernel_select(&kernel));
	struct hit_total total = {.walk = walk, .filter = lh_word_filter_for(kernel)};
	struct lh_striping striping = {
		.image = walk->image,
		.walk_flags = walk->walk_flags,
		.stripe_bytes = STRIPE_BYTES,
		.threads = walk->threads,
		.progress = walk->progress,
		.progress_context = walk->progress_context,
	};
	struct lh_stripe_work work = {
		.context = &total,
		.create_part = create_hits_part,
		.destroy_part = destroy_hits_part,
		.scan = scan_hits,
		.merge = merge_hits,
	};
	return lh_walk_stripes(&striping, &work);
}

bool lh_hit_word(struct lh_image *image, const struct lh_hit *hit, uint64_t addr, uint64_t *ret)
{
	const struct lh_block *block = hit->block;
	uint64_t start = block->addr - block->bytes_before;
	size_t bytes = block->bytes_before + block->bytes + block->bytes_after;
	if (addr >= start && addr - start < bytes && bytes - (addr - start) >= 8) {
		memcpy(ret, block->data - block->bytes_before + (addr - start), 8);
		return true;
	}
	return lh_image_read(image, addr, ret, 8) == 8;
}

/*
 * memory: growing vectors, the string pool, and checked arithmetic. Nothing here
 * aborts: a failed allocation is an error for the caller.
 */
#include "leakhunt/base.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void *lh_vec_grown(void *items, size_t *capacity, size_t count, size_t extra, size_t item_bytes)
{
	size_t needed;
	if (__builtin_add_overflow(count, extra, &needed))
		return NULL;
	if (items && needed <= *capacity)
		return items;
	size_t wanted = *capacity < 8 ? 8 : *capacity;
	while (wanted < needed) {
		if (__builtin_add_overflow(wanted, wanted / 2, &wanted))
			return NULL;
	}
	size_t bytes;
	if (__builtin_mul_overflow(wanted, item_bytes, &bytes))
		return NULL;
	void *grown = realloc(items, bytes);
	if (grown)
		*capacity = wanted;
	return grown;
}

enum { POOL_BLOCK_BYTES = 16384 };

/* The place of `bytes` more, in the last block or in a new one; NULL without memory. */
static char *pool_reserve(struct lh_strings_pool *pool, size_t bytes)
{
	if (pool->blocks.count && pool->block_bytes - pool->used_bytes >= bytes)
		return pool->blocks.items[pool->blocks.count - 1] + pool->used_bytes;
	size_t block_bytes = bytes > POOL_BLOCK_BYTES ? bytes : POOL_BLOCK_BYTES;
	char *block = malloc(block_bytes);
	struct lh_error *error = block ? lh_vec_push(&pool->blocks, block) : lh_error_no_memory();
	if (error) {
		lh_error_destroy(error);
		free(block);
		return NULL;
	}
	pool->used_bytes = 0;
	pool->block_bytes = block_bytes;
	return block;
}

struct lh_error *lh_strings_pool_add(struct lh_strings_pool *pool, const char *text, size_t length, const char **ret)
{
	if (pool->last && strlen(pool->last) == length && memcmp(pool->last, text, length) == 0) {
		*ret = pool->last;
		return NULL;
	}
	if (length == SIZE_MAX)
		return lh_error_no_memory();
	char *copy = pool_reserve(pool, length + 1);
	if (!copy)
		return lh_error_no_memory();
	memcpy(copy, text, length);
	copy[length] = '\0';
	pool->used_bytes += length + 1;
	pool->last = copy;
	*ret = copy;
	return NULL;
}

void lh_strings_pool_deinit(struct lh_strings_pool *pool)
{
	for (size_t i = 0; i < pool->blocks.count; i++)
		free(pool->blocks.items[i]);
	lh_vec_deinit(&pool->blocks);
	*pool = (struct lh_strings_pool){0};
}

bool lh_add_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;
	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

bool lh_mul_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;
	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * LH_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t lh_clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t lh_clock_thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t lh_clock_process_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t lh_clock_boottime_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

uint64_t lh_clock_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int lh_compare_range_starts(const void *a, const void *b)
{
	const struct lh_range *left = a, *right = b;
	return lh_compare_u64(left->start, right->start);
}

int lh_compare_words(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;
	return lh_compare_u64(*left, *right);
}

size_t lh_range_join_all(struct lh_range *ranges, size_t count, uint64_t gap_bytes)
{
	size_t kept = 0;
	if (count)
		qsort(ranges, count, sizeof(*ranges), lh_compare_range_starts);
	for (size_t i = 0; i < count; i++) {
		if (kept && ranges[i].start <= ranges[kept - 1].end + gap_bytes)
			ranges[kept - 1].end = lh_max_u64(ranges[kept - 1].end, ranges[i].end);
		else
			ranges[kept++] = ranges[i];
	}
	return kept;
}

/*
 * heap_use: bytes in use by the allocators of a live process, for its samples. Input: a running process. Output: two
 * sums, or nothing if they would be unreliable.
 */
#include "leakhunt/heap.h"
#include "leakhunt/limits.h"

#define READ_MAX_BYTES (512 * LH_MIB)

static struct lh_error *walk_process(const struct lh_process *process, struct lh_heap **ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_TRY(lh_image_open_process(process, &image));
	lh_image_ask_owners(image);
	return lh_heap_walk(image, ret);
}

/* Blocks torn while the process ran are in no sum: then the sum is unreliable. */
static bool follows_all_allocators(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(heap, &count);
	for (size_t i = 0; i < count; i++) {
		if (allocators[i].is_refused || allocators[i].is_partial)
			return false;
	}
	return count > 0;
}

bool lh_heap_read_use(const struct lh_process *process, struct lh_heap_use *ret)
{
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	struct lh_memory_status status = {0};
	size_t count;
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_memory_status_read(process, &status);
	if (error || status.anonymous_bytes > READ_MAX_BYTES)
		return false;
	error = walk_process(process, &heap);
	if (error || !follows_all_allocators(heap))
		return false;
	const struct lh_heap_arena *arenas = lh_heap_arenas(heap, &count);
	*ret = (struct lh_heap_use){0};
	for (size_t i = 0; i < count; i++) {
		if (arenas[i].is_typed)
			continue;
		ret->in_use_bytes += arenas[i].used_resident_bytes;
		ret->heap_bytes += arenas[i].resident_bytes;
	}
	return ret->heap_bytes > 0;
}

/*
 * Tests of walkers on the seeds of fuzz_heap: heaps of real processes, with what the process itself said of its blocks
 * when the seed was made: heap_truth's list, PHP's memory_get_usage, Go's runtime.MemStats.
 */
#include "../../fuzz/heap_seed_image.h"
#include "unit.h"

#include <stdio.h>

static const struct seed_truth {
	const char *file;
	const char *allocator;
	uint64_t used_count, used_bytes;   /* what the process said; 0: it did not say */
	uint64_t later_count, later_bytes; /* at most, allocated since: the stream that PHP then reads from, two timers,
					     libc's own blocks */
} truths[] = {
	{"go.bin", "Go", 2723, 456240, 2, 88},
	{"zend.bin", "zend_mm", 0, 2630760, 0, 8192},
	{"mimalloc3.bin", "mimalloc", 315, 0, 5, 0},
	{"mimalloc36.bin", "mimalloc", 68, 0, 9, 0},
	{"jemalloc531.bin", "jemalloc", 68, 0, 6, 0},
	{"scudo.bin", "Scudo", 219, 0, 5, 0},
	{"rpmalloc.bin", "rpmalloc", 69, 0, 5, 0},
	/* Three more lie in the program's own page, which the seed does not have. */
	{"musl-old.bin", "musl", 61, 0, 0, 0},
};

/* But stacks of goroutines. */
static uint64_t count_used(const struct lh_heap *heap, const char *allocator, uint64_t *ret_bytes)
{
	size_t arena_count;
	uint64_t used_count = 0;
	const struct lh_heap_arena *arenas = lh_heap_arenas(heap, &arena_count);
	*ret_bytes = 0;
	for (size_t i = 0; i < arena_count; i++) {
		if (strcmp(arenas[i].allocator, allocator) != 0 || !strcmp(arenas[i].role, "stacks"))
			continue;
		used_count += arenas[i].counts[LH_CHUNK_USED];
		*ret_bytes += arenas[i].bytes[LH_CHUNK_USED];
	}
	return used_count;
}

static void expect_truth(const struct seed_truth *truth, const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(heap, &count);
	uint64_t used_bytes, used_count = count_used(heap, truth->allocator, &used_bytes);
	if (truth->used_count)
		assert_in_range(used_count, truth->used_count, truth->used_count + truth->later_count);
	if (truth->used_bytes)
		assert_in_range(used_bytes, truth->used_bytes, truth->used_bytes + truth->later_bytes);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(allocators[i].name, truth->allocator) != 0)
			continue;
		assert_true(allocators[i].checks.checked > 2);
		if (allocators[i].checks.failed)
			fail_msg("%s: %s", truth->file, allocators[i].checks.first_failure);
		assert_false(allocators[i].is_refused);
		return;
	}
	fail_msg("%s: no %s found", truth->file, truth->allocator);
}

static void walk_seed(const struct seed_truth *truth)
{
	static struct seed_layout layout;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	struct lh_buffer seed LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *root = getenv("LEAKHUNT_ROOT");
	char path[4096];
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/heap/%s", root ? root : ".", truth->file);
	assert_success(lh_file_read(path, SEED_BYTES_MAX, &seed));
	const uint8_t *bytes = (const uint8_t *)seed.data;
	if (!parse_seed_layout(bytes, seed.length, &layout) || !layout.held_count) {
		fail_msg("%s is no seed", truth->file);
		return;
	}
	LH_CLEANUP(lh_cleanup_free) uint64_t *memory = calloc(layout.held_count, LH_PAGE_BYTES);
	assert_non_null(memory);
	fill_seed_memory(&layout, bytes, seed.length, memory);
	assert_success(make_seed_image(&layout, memory, &image));
	assert_success(lh_heap_walk(image, &heap));
	expect_truth(truth, heap);
}

static void test_walks_find_what_the_process_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(truths); i++)
		walk_seed(&truths[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks_find_what_the_process_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

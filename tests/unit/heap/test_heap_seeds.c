/*
 * Tests of walkers on the seeds of fuzz_heap: heaps of real processes, with what the process itself said of its blocks
 * when the seed was made: heap_truth's list, PHP's memory_get_usage, Go's runtime.MemStats.
 */
#include "../../fuzz/heap_seed_image.h"
#include "leakhunt/allocation_samples.h"
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

/* `*ret_memory` must outlive the image. */
static void load_seed(const char *file, struct seed_layout *layout, uint64_t **ret_memory, struct lh_image **ret)
{
	struct lh_buffer seed LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *root = getenv("LEAKHUNT_ROOT");
	char path[4096];
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/heap/%s", root ? root : ".", file);
	assert_success(lh_file_read(path, SEED_BYTES_MAX, &seed));
	const uint8_t *bytes = (const uint8_t *)seed.data;
	if (!parse_seed_layout(bytes, seed.length, layout) || !layout->held_count) {
		fail_msg("%s is no seed", file);
		return;
	}
	*ret_memory = calloc(layout->held_count, LH_PAGE_BYTES);
	assert_non_null(*ret_memory);
	fill_seed_memory(layout, bytes, seed.length, *ret_memory);
	assert_success(make_seed_image(layout, *ret_memory, ret));
}

static void walk_seed(const struct seed_truth *truth)
{
	static struct seed_layout layout;
	LH_CLEANUP(lh_cleanup_free) uint64_t *memory = NULL;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	load_seed(truth->file, &layout, &memory, &image);
	assert_success(lh_heap_walk(image, &heap));
	expect_truth(truth, heap);
}

static void test_walks_find_what_the_process_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(truths); i++)
		walk_seed(&truths[i]);
}

/* ---------------------------------------------------------------- samples of jemalloc */

/* What the profile said that the process wrote, with prof_unbias:false. */
enum { PROFILE_STACKS = 13, PROFILE_BLOCKS = 22, PROFILE_BYTES = 468064 };

/* Changes the pointers of up to `most` backtraces to their own frames; returns how many. */
static size_t break_backtraces(uint64_t *memory, size_t word_count, size_t most)
{
	size_t broken = 0;
	for (size_t i = 0; i + 1 < word_count && broken < most; i++) {
		uint64_t own_offset = (i * 8 + 16) % LH_PAGE_BYTES;
		bool is_backtrace = memory[i] >> 40 == 0x7f && memory[i] % LH_PAGE_BYTES == own_offset &&
				    memory[i + 1] && memory[i + 1] <= 64;
		memory[i] += is_backtrace ? 8 : 0;
		broken += is_backtrace;
	}
	return broken;
}

static void walk_profiled(size_t broken_most, struct lh_allocation_samples *ret, uint64_t *ret_bytes)
{
	static struct seed_layout layout;
	LH_CLEANUP(lh_cleanup_free) uint64_t *memory = NULL;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	load_seed("jemalloc-prof.bin", &layout, &memory, &image);
	if (broken_most)
		assert_true(break_backtraces(memory, layout.held_count * SEED_PAGE_WORDS, broken_most) > 0);
	assert_success(lh_heap_walk(image, &heap));
	*ret = *lh_heap_allocation_samples(heap);
	*ret_bytes = 0;
	for (size_t i = 0; i < ret->stacks.count; i++) {
		assert_true(ret->stacks.items[i].is_consistent);
		*ret_bytes += ret->stacks.items[i].sample_bytes;
	}
	expect_truth(&(struct seed_truth){.file = "jemalloc-prof.bin", .allocator = "jemalloc"}, heap);
	/* They belong to the heap. */
	ret->frames.items = NULL;
	ret->stacks.items = NULL;
}

static void test_samples_are_those_of_the_profile(void **state)
{
	(void)state;
	struct lh_allocation_samples samples;
	uint64_t bytes;
	walk_profiled(0, &samples, &bytes);
	assert_string_equal(samples.allocator, "jemalloc");
	assert_int_equal(samples.stacks.count, PROFILE_STACKS);
	assert_int_equal(samples.sample_count, PROFILE_BLOCKS);
	assert_int_equal(samples.rejected_count, 0);
	assert_int_equal(bytes, PROFILE_BYTES);
}

static void test_blocks_without_a_valid_stack_are_no_samples(void **state)
{
	(void)state;
	struct lh_allocation_samples samples;
	uint64_t bytes;
	walk_profiled(1, &samples, &bytes);
	assert_in_range(samples.sample_count, 1, PROFILE_BLOCKS - 1);
	assert_int_equal(samples.sample_count + samples.rejected_count, PROFILE_BLOCKS);
	assert_true(bytes < PROFILE_BYTES);
	walk_profiled(SIZE_MAX, &samples, &bytes);
	assert_int_equal(samples.sample_count, 0);
	assert_int_equal(samples.rejected_count, PROFILE_BLOCKS);
	assert_null(samples.allocator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks_find_what_the_process_said),
		cmocka_unit_test(test_samples_are_those_of_the_profile),
		cmocka_unit_test(test_blocks_without_a_valid_stack_are_no_samples),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

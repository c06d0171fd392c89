/*
 * heap: every block of glibc's malloc, in a stopped copy of this very program. Truth: what it allocated before it
 * forked. Children damage their heaps: walks must end, say so, and keep what can be kept.
 */
#include "leakhunt/heap.h"
#include "leakhunt/process.h"
#include "unit.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_GLIBC_MALLOC false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_GLIBC_MALLOC false
#endif
#endif
#ifndef HAS_GLIBC_MALLOC
#define HAS_GLIBC_MALLOC true
#endif

enum { BLOCKS = 3000, FEW = 400 };

static void *blocks[BLOCKS];
static size_t sizes[BLOCKS];
static bool is_live[BLOCKS];

static size_t choose_bytes(unsigned i)
{
	return i % 100 == 99 ? 200000 + i * 16 : i % 10 == 9 ? 1000 + i * 7 : 1 + i * 13 % 300;
}

static void allocate_blocks(void)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		blocks[i] = i % 50 == 49 ? memalign(256, choose_bytes(i)) : malloc(choose_bytes(i));
		assert_non_null(blocks[i]);
		memset(blocks[i], 0x5a, choose_bytes(i));
		sizes[i] = malloc_usable_size(blocks[i]);
		is_live[i] = true;
	}
	for (unsigned i = 0; i < BLOCKS; i += 3) {
		free(blocks[i]);
		is_live[i] = false;
	}
}

/* What a child does to its heap; NULL: nothing. */
typedef void damage(void);

/* A copy of this process that stands still, after what it did. */
static pid_t start_copy(damage *act)
{
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (act)
			act();
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	char byte;
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end_copy(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct walked {
	struct lh_process *process;
	struct lh_image *image;
	struct lh_heap *heap;
};

/* Reads a copy, and ends it. */
static void walk_process(pid_t pid, struct walked *ret)
{
	assert_success(lh_process_open(pid, &ret->process));
	assert_success(lh_image_open_process(ret->process, &ret->image));
	assert_success(lh_heap_walk(ret->image, &ret->heap));
	end_copy(pid);
}

static void walk_copy(damage *act, struct walked *ret)
{
	walk_process(start_copy(act), ret);
}

static void walked_deinit(struct walked *walked)
{
	lh_heap_destroy(walked->heap);
	lh_image_close(walked->image);
	lh_process_close(walked->process);
}

static const struct lh_heap_allocator *glibc_of(const struct walked *walked)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(walked->heap, &count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(allocators[i].name, "glibc") == 0)
			return &allocators[i];
	}
	fail_msg("glibc was not found");
	return NULL;
}

/* Whether a block begins there that is in use, with its usable size. */
static bool is_found(const struct walked *walked, unsigned i)
{
	size_t index;
	if (!lh_heap_find_chunk(walked->heap, (uintptr_t)blocks[i], &index))
		return false;
	struct lh_heap_chunk chunk = lh_heap_chunk_at(walked->heap, index);
	return chunk.addr == (uintptr_t)blocks[i] && chunk.state == LH_CHUNK_USED && chunk.size_bytes == sizes[i];
}

static unsigned count_found(const struct walked *walked)
{
	unsigned found = 0;
	for (unsigned i = 0; i < BLOCKS; i++)
		found += is_live[i] && is_found(walked, i);
	return found;
}

static unsigned count_live(void)
{
	unsigned live = 0;
	for (unsigned i = 0; i < BLOCKS; i++)
		live += is_live[i];
	return live;
}

/* ---------------------------------------------------------------- an intact heap */

static void free_some_more(void)
{
	for (unsigned i = 1; i < BLOCKS; i += 6)
		free(blocks[i]);
}

/* Whether only the copy has freed it. */
static bool is_freed_by_copy(unsigned i)
{
	return i % 6 == 1;
}

static void test_every_live_block_is_found_and_no_freed_one(void **state)
{
	(void)state;
	struct walked walked LH_CLEANUP(walked_deinit) = {0};
	walk_copy(free_some_more, &walked);
	const struct lh_heap_allocator *glibc = glibc_of(&walked);
	assert_string_equal(glibc->checks.first_failure, "");
	assert_int_equal(glibc->checks.failed, 0);
	assert_false(glibc->is_refused);
	assert_false(glibc->is_partial);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (is_live[i])
			assert_int_equal(is_found(&walked, i), !is_freed_by_copy(i));
	}
}

static void test_blocks_are_disjoint_and_add_up(void **state)
{
	(void)state;
	struct walked walked LH_CLEANUP(walked_deinit) = {0};
	walk_copy(NULL, &walked);
	uint64_t end = 0, bytes[LH_CHUNK_STATES] = {0};
	for (size_t i = 0; i < lh_heap_chunk_count(walked.heap); i++) {
		struct lh_heap_chunk chunk = lh_heap_chunk_at(walked.heap, i);
		assert_true(chunk.addr >= end);
		end = chunk.addr + chunk.size_bytes;
		bytes[chunk.state] += chunk.size_bytes;
		assert_true(lh_heap_covers(walked.heap, chunk.addr));
	}
	struct lh_heap_totals totals = lh_heap_total(walked.heap, NULL);
	for (size_t i = 0; i < LH_CHUNK_STATES; i++)
		assert_int_equal(totals.bytes[i], bytes[i]);
	assert_int_equal(totals.bytes[0] + totals.bytes[1] + totals.bytes[2] + totals.overhead_bytes,
			 totals.mapped_bytes);
	assert_true(totals.counts[LH_CHUNK_CACHED]);
	assert_true(totals.resident_bytes <= totals.mapped_bytes);
}

/* What malloc_trim really gives back of the copy is what was predicted. */
static void trim_heap(void)
{
	malloc_trim(0);
}

static void test_a_trimmed_heap_has_nothing_left_to_return(void **state)
{
	(void)state;
	struct walked before LH_CLEANUP(walked_deinit) = {0};
	struct walked after LH_CLEANUP(walked_deinit) = {0};
	/* Both before anything is read: that allocates, too. */
	pid_t plain = start_copy(NULL), trimmed = start_copy(trim_heap);
	walk_process(plain, &before);
	walk_process(trimmed, &after);
	struct lh_heap_totals first = lh_heap_total(before.heap, NULL), second = lh_heap_total(after.heap, NULL);
	assert_true(first.returnable_bytes);
	assert_int_equal(second.returnable_bytes, 0);
	assert_int_equal(first.resident_bytes - second.resident_bytes, first.returnable_bytes);
}

/* ---------------------------------------------------------------- an arena's full heap */

enum { HEAP_BYTES = 64 << 20, FILLER_BYTES = 100000 };

static size_t left_bytes;
static unsigned *filler_count; /* shared with copies; 0: not as wanted */

/* Where the chunk behind a block begins. */
static uintptr_t end_of_block(void *block)
{
	return (uintptr_t)block + malloc_usable_size(block) - 8;
}

/* Fills its arena's first heap but for left_bytes, and one block in a second one. */
static void *fill_heap(void *unused)
{
	void *block = malloc(FILLER_BYTES);
	uintptr_t heap_end = ((uintptr_t)block | (HEAP_BYTES - 1)) + 1;
	unsigned count = 1;
	for (; heap_end - end_of_block(block) > 3 * FILLER_BYTES / 2; count++)
		block = malloc(FILLER_BYTES);
	block = malloc(heap_end - end_of_block(block) - left_bytes - 8);
	void *first_of_next = malloc(FILLER_BYTES);
	if (heap_end - end_of_block(block) == left_bytes &&
	    (uintptr_t)block / HEAP_BYTES != (uintptr_t)first_of_next / HEAP_BYTES)
		*filler_count = count + 2;
	return unused;
}

static void fill_heap_of_thread(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, fill_heap, NULL) || pthread_join(thread, NULL))
		_exit(1);
}

static uint64_t count_in_threads_arenas(const struct walked *walked)
{
	size_t count;
	const struct lh_heap_arena *arenas = lh_heap_arenas(walked->heap, &count);
	uint64_t used_count = 0;
	for (size_t i = 0; i < count; i++)
		used_count += strcmp(arenas[i].role, "thread") ? 0 : arenas[i].counts[LH_CHUNK_USED];
	return used_count;
}

/* Where too little is left for a block, malloc writes a mark of 16 or 32 bytes, or a free chunk (malloc.c, sysmalloc).
 */
static void test_a_full_heap_ends_in_no_block(void **state)
{
	(void)state;
	filler_count = mmap(NULL, sizeof(*filler_count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(filler_count, MAP_FAILED);
	for (left_bytes = 32; left_bytes <= 96; left_bytes += 16) {
		struct walked walked LH_CLEANUP(walked_deinit) = {0};
		*filler_count = 0;
		walk_copy(fill_heap_of_thread, &walked);
		assert_true(*filler_count);
		assert_int_equal(count_in_threads_arenas(&walked), *filler_count);
		assert_int_equal(glibc_of(&walked)->checks.failed, 0);
	}
	munmap(filler_count, sizeof(*filler_count));
}

/* ---------------------------------------------------------------- damaged heaps */

/* A live block in the middle that is followed by others. */
static uint64_t *header_of_victim(void)
{
	return (uint64_t *)blocks[BLOCKS / 2 + 1] - 1;
}

static void write_size_zero(void)
{
	*header_of_victim() = 1;
}

static void write_size_huge(void)
{
	*header_of_victim() = UINT64_MAX / 2 & ~(uint64_t)14;
}

static void write_size_odd(void)
{
	*header_of_victim() |= 8;
}

static void write_size_too_large(void)
{
	*header_of_victim() += 4096 * 16;
}

/* free() wrote the link of a cached block into its first word. */
static void loop_all_links(void)
{
	for (unsigned i = 0; i < FEW; i += 3) {
		uint64_t *words = blocks[i];
		if (sizes[i] > 1000)
			continue;
		words[0] = (uintptr_t)words ^ (uintptr_t)words >> 12;
		words[1] = words[0];
	}
}

static void fill_with_ones(void)
{
	memset((char *)blocks[FEW] - 16, 0xff, 65536);
}

static void assert_survives(damage *act, unsigned found_min)
{
	struct walked walked LH_CLEANUP(walked_deinit) = {0};
	walk_copy(act, &walked);
	const struct lh_heap_allocator *glibc = glibc_of(&walked);
	assert_true(glibc->checks.failed);
	assert_true(glibc->is_partial);
	assert_true(glibc->is_refused ? !glibc->chunk_count : count_found(&walked) >= found_min);
}

static void test_a_damaged_heap_gives_a_part_and_says_so(void **state)
{
	(void)state;
	unsigned most = count_live() - 200;
	assert_survives(write_size_zero, most);
	assert_survives(write_size_huge, most);
	assert_survives(write_size_odd, most);
	assert_survives(write_size_too_large, most);
	assert_survives(fill_with_ones, 0);
	assert_survives(loop_all_links, 0);
}

int main(void)
{
	if (!HAS_GLIBC_MALLOC) {
		print_message("skipped: the sanitizer has a malloc of its own\n");
		return 0;
	}
	allocate_blocks();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_live_block_is_found_and_no_freed_one),
		cmocka_unit_test(test_blocks_are_disjoint_and_add_up),
		cmocka_unit_test(test_a_trimmed_heap_has_nothing_left_to_return),
		cmocka_unit_test(test_a_full_heap_ends_in_no_block),
		cmocka_unit_test(test_a_damaged_heap_gives_a_part_and_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_chunks: which chunk of malloc holds an address: in heaps that are made by hand as glibc's
 * malloc.c documents them, in this process's own heap as malloc_usable_size(3) tells it, and in memory that
 * only looks like a heap.
 */
#include "core_builder.h"

#include "leakhunt/heap.h"

#include <malloc.h>

enum { HEAP = 0x555500000000, HEAP_BYTES = 64 * 1024 };

struct heap {
	uint64_t words[HEAP_BYTES / 8];
	size_t at; /* of the next chunk's header, in words */
	struct lh_segment segment;
	struct lh_block block;
	struct lh_image *image;
	struct lh_chunk_walk walk;
};

static struct heap *make_heap(void)
{
	struct heap *heap = calloc(1, sizeof(*heap));
	assert_non_null(heap);
	assert_success(lh_image_open_bytes(heap->words, sizeof(heap->words), HEAP, &heap->image));
	heap->segment = (struct lh_segment){.start = HEAP, .end = HEAP + HEAP_BYTES};
	heap->block = (struct lh_block){
		.addr = HEAP, .data = (const uint8_t *)heap->words, .bytes = HEAP_BYTES, .segment = &heap->segment};
	heap->walk.image = heap->image;
	return heap;
}

static void free_heap(struct heap *heap)
{
	lh_image_close(heap->image);
	free(heap);
}

/* Appends a chunk; returns the address that malloc would have. */
static uint64_t add_chunk(struct heap *heap, uint64_t bytes, bool is_used)
{
	uint64_t addr = HEAP + heap->at * 8 + 16;
	heap->words[heap->at + 1] = bytes | (heap->words[heap->at + 1] & 1);
	heap->at += bytes / 8;
	if (heap->at < HEAP_BYTES / 8) {
		heap->words[heap->at] = is_used ? 0x4141414141414141 : bytes;
		heap->words[heap->at + 1] = is_used;
	}
	return addr;
}

/* The rest is "top". */
static void end_heap(struct heap *heap)
{
	heap->words[heap->at + 1] |= HEAP_BYTES - heap->at * 8;
}

static void begin_heap(struct heap *heap)
{
	heap->words[1] = 1;
	add_chunk(heap, 0x290, true);
}

static void assert_chunk(struct heap *heap, uint64_t addr, uint64_t memory_addr, uint64_t bytes, bool is_used)
{
	struct lh_chunk chunk;
	assert_true(lh_chunk_walk_to(&heap->walk, &heap->block, addr, &chunk));
	assert_int_equal(chunk.memory_addr, memory_addr);
	assert_int_equal(chunk.size_bytes, bytes);
	assert_int_equal(chunk.is_used, is_used);
}

static void chunks_used_and_free(void **state)
{
	(void)state;
	struct heap *heap = make_heap();
	begin_heap(heap);
	uint64_t first = add_chunk(heap, 48, true), second = add_chunk(heap, 0x1dc0, true);
	uint64_t freed = add_chunk(heap, 0x500, false), last = add_chunk(heap, 32, true);
	for (int i = 0; i < 10; i++)
		add_chunk(heap, 64, true);
	uint64_t top = HEAP + heap->at * 8 + 16;
	end_heap(heap);
	assert_chunk(heap, first, first, 48, true);
	assert_chunk(heap, first + 24, first, 48, true);
	assert_chunk(heap, second + 8, second, 0x1dc0, true);
	assert_chunk(heap, freed + 0x100, freed, 0x500, false);
	assert_chunk(heap, last + 8, last, 32, true);
	assert_chunk(heap, top + 8, top, HEAP + HEAP_BYTES - top + 16, false);
	free_heap(heap);
}

/* A chain that breaks: the next one is found, and nothing between them is taken for a chunk. */
static void a_broken_chain_is_taken_up_again(void **state)
{
	(void)state;
	struct heap *heap = make_heap();
	begin_heap(heap);
	uint64_t before = 0;
	for (int i = 0; i < 8; i++)
		before = add_chunk(heap, 96, true);
	heap->words[heap->at + 1] = 0x123456789abcdef1; /* overwritten by somebody */
	uint64_t lost = HEAP + heap->at * 8 + 16;
	heap->at += 0x400;
	heap->words[heap->at + 1] = 1;
	uint64_t after = 0;
	for (int i = 0; i < 10; i++)
		after = add_chunk(heap, 128, true);
	end_heap(heap);
	struct lh_chunk chunk;
	assert_chunk(heap, before, before, 96, true);
	assert_false(lh_chunk_walk_to(&heap->walk, &heap->block, lost + 64, &chunk));
	assert_chunk(heap, after + 8, after, 128, true);
	free_heap(heap);
}

static void mapped_chunks_begin_pages(void **state)
{
	(void)state;
	struct heap *heap = make_heap();
	heap->words[1] = 0x8000 | 2;
	heap->words[0x8000 / 8 + 1] = 0x8000 | 2;
	assert_chunk(heap, HEAP + 0x100, HEAP + 16, 0x8000, true);
	assert_chunk(heap, HEAP + 0x9000, HEAP + 0x8010, 0x8000, true);
	free_heap(heap);
}

/* Numbers, pointers, random bytes: no chunk, and nothing outside of the memory is read. */
static void other_memory_has_no_chunks(void **state)
{
	(void)state;
	uint64_t random = 7;
	for (int kind = 0; kind < 3; kind++) {
		struct heap *heap = make_heap();
		for (size_t i = 0; i < HEAP_BYTES / 8; i++)
			heap->words[i] = kind == 0 ? unit_random(&random) : kind == 1 ? HEAP + i * 8 : i;
		for (uint64_t addr = HEAP; addr < HEAP + HEAP_BYTES; addr += 8) {
			struct lh_chunk chunk;
			assert_false(lh_chunk_walk_to(&heap->walk, &heap->block, addr, &chunk));
		}
		free_heap(heap);
	}
}

/* Headers of every value: the walk ends, and a chunk that it tells holds the address. */
static void hostile_headers_do_no_harm(void **state)
{
	(void)state;
	uint64_t random = 99;
	static const uint64_t sizes[] = {0,       1, 16,    17, 33, 48, 0x21, 0x31, UINT64_MAX, UINT64_MAX - 14,
					 0x10001, 2, 0x1002};
	struct heap *heap = make_heap();
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < HEAP_BYTES / 8; i++)
			heap->words[i] = sizes[unit_random(&random) >> 32 & 15 ? (unit_random(&random) >> 33) % 13 : 5];
		heap->walk = (struct lh_chunk_walk){.image = heap->image};
		for (uint64_t addr = HEAP; addr < HEAP + HEAP_BYTES; addr += 8 + (unit_random(&random) >> 60) * 8) {
			struct lh_chunk chunk;
			if (!lh_chunk_walk_to(&heap->walk, &heap->block, addr, &chunk))
				continue;
			assert_true(chunk.memory_addr <= addr && addr < chunk.memory_addr - 16 + chunk.size_bytes);
			assert_true(chunk.size_bytes >= 32 && chunk.size_bytes % 16 == 0);
		}
	}
	free_heap(heap);
}

enum { BLOCKS = 2000 };

/* The address sanitizer has a malloc of its own, and forbids to look between blocks. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_GLIBC_MALLOC false
#elif defined(__has_feature)
#define HAS_GLIBC_MALLOC (!__has_feature(address_sanitizer))
#else
#define HAS_GLIBC_MALLOC true
#endif

static int compare_pointers(const void *a, const void *b)
{
	uint64_t left = (uint64_t) * (void *const *)a, right = (uint64_t) * (void *const *)b;
	return lh_compare_u64(left, right);
}

/* Blocks of this process that malloc itself gave: each is found where it is, with its size, and used. */
static void chunks_of_a_real_heap(void **state)
{
	(void)state;
	static void *blocks[BLOCKS];
	uint64_t random = 3;
	if (!HAS_GLIBC_MALLOC)
		skip();
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(24 + (unit_random(&random) >> 32) % 3000);
		assert_non_null(blocks[i]);
	}
	qsort(blocks, BLOCKS, sizeof(*blocks), compare_pointers);
	uint64_t start = lh_align_down((uint64_t)blocks[0], 4096);
	uint64_t end = lh_align_down((uint64_t)blocks[BLOCKS - 1], 4096);
	struct lh_image *image;
	assert_success(lh_image_open_bytes(blocks[0], 16, (uint64_t)blocks[0], &image));
	struct lh_segment segment = {.start = start, .end = end + 4096};
	struct lh_block block = {
		.addr = start, .data = (const uint8_t *)start, .bytes = end - start, .segment = &segment};
	struct lh_chunk_walk walk = {.image = image};
	size_t found = 0, asked = 0;
	for (size_t i = 0; i < BLOCKS && (uint64_t)blocks[i] < end; i++) {
		struct lh_chunk chunk;
		asked++;
		if (!lh_chunk_walk_to(&walk, &block, (uint64_t)blocks[i] + 8, &chunk))
			continue;
		found++;
		assert_int_equal(chunk.memory_addr, (uint64_t)blocks[i]);
		assert_int_equal(chunk.size_bytes, malloc_usable_size(blocks[i]) + 8);
		assert_true(chunk.is_used);
	}
	assert_true(found + 1 >= asked); /* the first may begin before its page */
	lh_image_close(image);
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_used_and_free),       cmocka_unit_test(a_broken_chain_is_taken_up_again),
		cmocka_unit_test(mapped_chunks_begin_pages),  cmocka_unit_test(other_memory_has_no_chunks),
		cmocka_unit_test(hostile_headers_do_no_harm), cmocka_unit_test(chunks_of_a_real_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * fuzz_heap: any memory of a process with an allocator (heap_seed.h): who owns it, and which blocks it has. Nothing may
 * be read outside, hang, or leak, and blocks ascend, are disjoint, and add up. The seeds are heaps of real processes;
 * the mutator changes words where they are: pointers to other places, counts, bits.
 */
#include "heap_seed_image.h"
#include "leakhunt/allocation_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

/* ---------------------------------------------------------------- what must hold */

static void look_at_blocks(const struct lh_heap *heap)
{
	uint64_t end = 0, counts[LH_CHUNK_STATES] = {0};
	size_t arena_count, count = lh_heap_chunk_count(heap), found;
	lh_heap_arenas(heap, &arena_count);
	for (size_t i = 0; i < count; i++) {
		struct lh_heap_chunk chunk = lh_heap_chunk_at(heap, i);
		expect(chunk.state < LH_CHUNK_STATES && chunk.arena < arena_count);
		expect(!i || chunk.addr >= end);
		expect(!chunk.size_bytes || (lh_heap_find_chunk(heap, chunk.addr, &found) && found == i));
		expect(chunk.requested_bytes <= chunk.size_bytes);
		end = chunk.addr + chunk.size_bytes;
		expect(end >= chunk.addr);
		counts[chunk.state]++;
	}
	struct lh_heap_totals totals = lh_heap_total(heap, NULL);
	for (size_t i = 0; i < LH_CHUNK_STATES; i++)
		expect(totals.counts[i] == counts[i]);
}

static void look_at_arenas(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_arena *arenas = lh_heap_arenas(heap, &count);
	for (size_t i = 0; i < count; i++) {
		expect(arenas[i].allocator && arenas[i].role);
		expect(arenas[i].free_resident_bytes <= arenas[i].free_page_bytes);
		for (size_t j = 0; j < arenas[i].range_count; j++)
			expect(arenas[i].ranges[j].start < arenas[i].ranges[j].end);
	}
}

static void look_at_samples(const struct lh_heap *heap)
{
	const struct lh_allocation_samples *samples = lh_heap_allocation_samples(heap);
	uint64_t sample_count = 0;
	for (size_t i = 0; i < samples->stacks.count; i++) {
		const struct lh_sampled_stack *stack = &samples->stacks.items[i];
		expect(stack->sample_count && stack->requested_bytes <= stack->sample_bytes);
		expect(stack->first_frame + stack->frame_count <= samples->frames.count);
		expect(stack->oldest_ns <= stack->newest_ns);
		sample_count += stack->sample_count;
	}
	expect(sample_count == samples->sample_count && (sample_count != 0) == (samples->allocator != NULL));
}

static struct lh_error *look(struct lh_image *image)
{
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	struct lh_heap_findings findings LH_CLEANUP(lh_heap_findings_deinit) = {0};
	struct lh_heap_size_row rows[LH_HEAP_SIZE_ROWS];
	LH_TRY(lh_heap_walk(image, &heap));
	look_at_blocks(heap);
	look_at_arenas(heap);
	look_at_samples(heap);
	lh_heap_sizes(heap, rows);
	return lh_heap_judge(heap, &findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seed_layout layout;
	struct lh_image *image = NULL;
	if (!parse_seed_layout(data, size, &layout))
		return 0;
	uint64_t *memory = calloc(layout.held_count, LH_PAGE_BYTES);
	if (!memory)
		return 0;
	fill_seed_memory(&layout, data, size, memory);
	struct lh_error *error = make_seed_image(&layout, memory, &image);
	if (!error)
		error = look(image);
	lh_error_destroy(error);
	lh_image_close(image);
	free(memory);
	return 0;
}

/* ---------------------------------------------------------------- mutations */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t change_word(uint64_t word, uint64_t other, uint64_t *state)
{
	static const uint64_t limits[] = {0,          1,         2,          UINT8_MAX, UINT16_MAX, INT32_MAX,
					  UINT32_MAX, INT64_MAX, UINT64_MAX, 1 << 12,   1 << 20,    UINT64_C(1) << 47};
	uint64_t random = next_random(state);
	switch (random % 6) {
	case 0:
	case 1:
		return other;
	case 2:
		return word ^ UINT64_C(1) << (random >> 8) % 64;
	case 3:
		return word + ((random >> 8) % 128 - 64) * 8;
	case 4:
		return (word & ~UINT64_C(0xffffffff)) | (other & UINT32_MAX);
	default:
		return limits[(random >> 8) % LH_ARRAY_COUNT(limits)];
	}
}

/* libFuzzer's own mutations would move all words behind the change, and leave no heap. Of a region, small parts only.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static struct seed_layout layout;
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	(void)max_size;
	if (!parse_seed_layout(data, size, &layout) || size - layout.words_at < 16)
		return size;
	size_t count = (size - layout.words_at) / 8, changes = 1 + next_random(&state) % 16;
	for (size_t i = 0; i < changes; i++) {
		uint8_t *at = data + layout.words_at + next_random(&state) % count * 8;
		uint64_t word, other;
		memcpy(&word, at, sizeof(word));
		memcpy(&other, data + layout.words_at + next_random(&state) % count * 8, sizeof(other));
		word = change_word(word, other, &state);
		memcpy(at, &word, sizeof(word));
	}
	if (layout.region_count && next_random(&state) % 16 == 0) {
		size_t region = next_random(&state) % layout.region_count;
		data[sizeof(uint32_t) + region * sizeof(struct seed_region) + 12 + next_random(&state) % 3] =
			(uint8_t)next_random(&state);
	}
	return size;
}

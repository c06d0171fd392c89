/*
 * google_tcmalloc_samples: the allocations that Google's tcmalloc samples by itself, one per 2 MiB by default. Input:
 * spans. Output: call stacks with their blocks. A sampled block has a span of its own, whose descriptor points to a
 * record (logging.h, StackTrace): requested and allocated bytes, weight, time, the span's start, and the stack with its
 * depth. The order of its fields differs; each is found by what holds for it in all records.
 */
#include "google_tcmalloc.h"
#include "sink.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { RECORD_WORDS = 112, START_WORDS = 104, DEPTH_MAX = 64, AGREE_PERCENT = 85, NO_WORD = UINT8_MAX };
enum { FIELDS_BEHIND = 4 };

/* Seconds since 1970 that a sample may have: 2001 to 2128. */
#define SECONDS_MIN UINT64_C(1000000000)
#define SECONDS_MAX UINT64_C(5000000000)
enum { TICKS_PER_NS = 4 }; /* absl::Time: seconds, and ticks of 1/4 ns in 32 bits */
#define TICKS_MAX UINT32_C(4000000000)

#define WEIGHT_MAX     (UINT64_C(1) << 44)
#define WEIGHT_TYPICAL 16384.0

struct sample_record {
	const struct lh_gspan *span;
	uint64_t words[RECORD_WORDS];
};

struct record_layout {
	uint8_t pointer_word; /* in the descriptor */
	uint8_t start_word, depth_word, allocated_word, requested_word, weight_word;
	uint16_t time_offset; /* bytes; UINT16_MAX: none */
};

struct record_search {
	struct lh_gwalk *walk;
	struct record_layout layout;
	LH_VEC(struct sample_record) records;
	struct lh_hash_table stack_numbers; /* by hash of the frames */
};

static void deinit_record_search(struct record_search *search)
{
	lh_vec_deinit(&search->records);
	lh_hash_table_deinit(&search->stack_numbers);
}

/* ---------------------------------------------------------------- records */

static bool may_be_sampled(const struct lh_gwalk *walk, const struct lh_gspan *span)
{
	return !span->size_class || lh_gspan_objects(walk, span) == 1;
}

/* A record at the end of mapped memory may be shorter: the rest is zero. */
static bool read_record(struct lh_gwalk *walk, uint64_t addr, uint64_t words[RECORD_WORDS])
{
	memset(words, 0, sizeof(uint64_t) * RECORD_WORDS);
	return lh_gmap_is_metadata(walk->tour->memory, addr) && !lh_gwalk_span_at(walk, addr) &&
	       (lh_heap_words(walk->tour, addr, words, RECORD_WORDS) ||
		lh_heap_words(walk->tour, addr, words, RECORD_WORDS / 2));
}

static bool has_start(const struct lh_gwalk *walk, const struct sample_record *record)
{
	for (size_t i = 0; i < START_WORDS; i++) {
		if (record->words[i] == lh_gspan_start(walk, record->span))
			return true;
	}
	return false;
}

static struct lh_error *collect_records(struct record_search *search, uint8_t pointer_word)
{
	struct lh_gwalk *walk = search->walk;
	search->records.count = 0;
	for (size_t i = 0; i < walk->spans.count; i++) {
		struct sample_record record = {.span = &walk->spans.items[i]};
		uint64_t descriptor[LH_GSPAN_WORDS];
		if (may_be_sampled(walk, record.span) &&
		    lh_heap_words(walk->tour, record.span->addr, descriptor, LH_GSPAN_WORDS) &&
		    read_record(walk, descriptor[pointer_word], record.words) && has_start(walk, &record))
			LH_TRY(lh_vec_push(&search->records, record));
	}
	return NULL;
}

static struct lh_error *find_records(struct record_search *search)
{
	size_t best = 0;
	for (unsigned word = 0; word < LH_GSPAN_WORDS; word++) {
		LH_TRY(collect_records(search, (uint8_t)word));
		if (search->records.count > best) {
			best = search->records.count;
			search->layout.pointer_word = (uint8_t)word;
		}
	}
	return collect_records(search, search->layout.pointer_word);
}

/* ---------------------------------------------------------------- fields */

/* Dumps need not contain modules' code: what lies in a module and is no variable counts. */
static bool is_code(const struct lh_gwalk *walk, uint64_t addr)
{
	const struct lh_heap_memory *memory = walk->tour->memory;
	size_t index = lh_heap_region_index(memory, addr);
	if (index < memory->list->regions.count && memory->ranges[index].start <= addr)
		return memory->list->regions.items[index].protection & LH_PROT_EXEC;
	return walk->tour->image && lh_module_list_find(lh_image_modules(walk->tour->image), addr);
}

static bool is_start(const struct record_search *search, const struct sample_record *record, size_t word)
{
	return record->words[word] == lh_gspan_start(search->walk, record->span);
}

/* The innermost frame is in code. Frame pointers may have led the allocator astray after it. */
static bool is_depth(const struct record_search *search, const struct sample_record *record, size_t word)
{
	uint64_t depth = record->words[word];
	return depth && depth <= DEPTH_MAX && word + depth < RECORD_WORDS &&
	       is_code(search->walk, record->words[word + 1]);
}

/* The size of a class, or of the span. */
static bool is_allocated_size(const struct record_search *search, const struct sample_record *record, size_t word)
{
	const struct lh_gwalk *walk = search->walk;
	uint64_t bytes = record->words[word], span_bytes = lh_gspan_bytes(walk, record->span);
	if (bytes == span_bytes)
		return true;
	for (uint32_t i = 1; bytes && bytes < span_bytes && i < walk->class_count; i++) {
		if (walk->class_bytes[i] == bytes)
			return true;
	}
	return false;
}

/* Beside the allocated bytes, and at most these. The alignment is another such word, and smaller. */
static bool is_requested_size(const struct record_search *search, const struct sample_record *record, size_t word)
{
	enum { DISTANCE = 4 };
	size_t allocated = search->layout.allocated_word;
	return word != allocated && word + DISTANCE >= allocated && word <= allocated + DISTANCE &&
	       record->words[word] <= record->words[allocated];
}

/* rep_hi_ {u32, u32} and rep_lo_ u32: aligned to 4 bytes. */
static bool read_time(const struct sample_record *record, size_t offset, uint64_t *ret_ns)
{
	uint64_t seconds;
	uint32_t ticks;
	const uint8_t *bytes = (const uint8_t *)record->words;
	memcpy(&seconds, bytes + offset, sizeof(seconds));
	memcpy(&ticks, bytes + offset + sizeof(seconds), sizeof(ticks));
	*ret_ns = seconds * LH_NS_PER_S + ticks / TICKS_PER_NS;
	return seconds >= SECONDS_MIN && seconds < SECONDS_MAX && ticks < TICKS_MAX;
}

static void find_time(struct record_search *search)
{
	search->layout.time_offset = UINT16_MAX;
	for (size_t offset = 0; offset < (size_t)(START_WORDS - 2) * 8; offset += 4) {
		size_t hits = 0;
		uint64_t ns;
		for (size_t i = 0; i < search->records.count; i++)
			hits += read_time(&search->records.items[i], offset, &ns);
		if (hits * 100 >= search->records.count * AGREE_PERCENT) {
			search->layout.time_offset = (uint16_t)offset;
			return;
		}
	}
}

/* Bytes of allocations that a sample stands for: at least its own. Addresses, times and sizes are none. */
static bool is_weight(const struct record_search *search, const struct sample_record *record, size_t word)
{
	uint64_t value = record->words[word];
	bool is_time = search->layout.time_offset != UINT16_MAX && word >= search->layout.time_offset / 8U &&
		       word <= (search->layout.time_offset + 11U) / 8;
	/* Fields are before the stack, or before 2024 behind it. What follows belongs to another record. */
	size_t depth = search->layout.depth_word, behind = depth + 1 + DEPTH_MAX;
	bool is_field = word < depth || (word >= behind && word < behind + FIELDS_BEHIND);
	return is_field && !is_time && value >= record->words[search->layout.requested_word] && value < WEIGHT_MAX &&
	       !is_code(search->walk, value);
}

/* Whether a word that is no other field is a weight. */
static bool is_other_weight(const struct record_search *search, const struct sample_record *record, size_t word)
{
	const struct record_layout *layout = &search->layout;
	bool is_known = word == layout->start_word || word == layout->allocated_word ||
			word == layout->requested_word || word == layout->depth_word;
	bool is_seconds = record->words[word] >= SECONDS_MIN && record->words[word] < SECONDS_MAX;
	return !is_known && !is_seconds && is_weight(search, record, word);
}

typedef bool field_test(const struct record_search *search, const struct sample_record *record, size_t word);

/* The word for which the test holds in most records; of several the one with the largest mean, above `mean_min`. */
static uint8_t find_record_word(const struct record_search *search, field_test *holds, double mean_min)
{
	uint8_t best = NO_WORD;
	size_t best_hits = 0, count = search->records.count;
	double best_sum = mean_min * (double)count;
	for (size_t word = 0; word < START_WORDS; word++) {
		size_t hits = 0;
		double sum = 0;
		for (size_t i = 0; i < count; i++) {
			hits += holds(search, &search->records.items[i], word);
			sum += (double)search->records.items[i].words[word];
		}
		if (hits * 100 >= count * AGREE_PERCENT && sum > mean_min * (double)count &&
		    (hits > best_hits || (hits == best_hits && sum > best_sum))) {
			best = (uint8_t)word;
			best_sum = sum;
			best_hits = hits;
		}
	}
	return best;
}

static bool find_record_layout(struct record_search *search)
{
	struct record_layout *layout = &search->layout;
	layout->start_word = find_record_word(search, is_start, -1);
	layout->depth_word = find_record_word(search, is_depth, -1);
	layout->allocated_word = find_record_word(search, is_allocated_size, -1);
	if (layout->start_word == NO_WORD || layout->depth_word == NO_WORD || layout->allocated_word == NO_WORD)
		return false;
	layout->requested_word = find_record_word(search, is_requested_size, -1);
	find_time(search);
	if (layout->requested_word == NO_WORD)
		return false;
	layout->weight_word = find_record_word(search, is_other_weight, WEIGHT_TYPICAL);
	return layout->weight_word != NO_WORD;
}

/* ---------------------------------------------------------------- stacks */

/* Frames are return addresses. */
static bool has_frames(const struct lh_allocation_samples *samples, const struct lh_sampled_stack *stack,
		       const uint64_t *frames, size_t count)
{
	for (size_t i = 0; stack->frame_count == count && i < count; i++) {
		if (samples->frames.items[stack->first_frame + i] != frames[i] - 1)
			return false;
	}
	return stack->frame_count == count;
}

static struct lh_error *find_sampled_stack(struct record_search *search, const uint64_t *frames, size_t count,
					   struct lh_sampled_stack **ret)
{
	struct lh_allocation_samples *samples = &search->walk->tour->sink->heap->samples;
	uint64_t key = XXH3_64bits(frames, count * sizeof(*frames));
	uint32_t number;
	for (; lh_hash_table_find(&search->stack_numbers, key, &number); key = lh_hash_table_next_key(key)) {
		*ret = &samples->stacks.items[number];
		if (has_frames(samples, *ret, frames, count))
			return NULL;
	}
	struct lh_sampled_stack stack = {
		.first_frame = samples->frames.count,
		.frame_count = count,
		.oldest_ns = UINT64_MAX,
		.is_consistent = true,
	};
	for (size_t i = 0; i < count; i++)
		LH_TRY(lh_vec_push(&samples->frames, frames[i] - 1));
	LH_TRY(lh_hash_table_put(&search->stack_numbers, key, (uint32_t)samples->stacks.count));
	LH_TRY(lh_vec_push(&samples->stacks, stack));
	*ret = &samples->stacks.items[samples->stacks.count - 1];
	return NULL;
}

/* As its profiles estimate: weight / (requested + 1) blocks (stack_trace_table.cc). */
static void count_record(const struct record_layout *layout, const struct sample_record *record,
			 struct lh_sampled_stack *ret)
{
	uint64_t allocated = record->words[layout->allocated_word], ns = 0;
	double count = (double)record->words[layout->weight_word] / ((double)record->words[layout->requested_word] + 1);
	ret->sample_count++;
	ret->sample_bytes += allocated;
	ret->requested_bytes += record->words[layout->requested_word];
	ret->estimated_count += count;
	ret->estimated_bytes += count * (double)allocated;
	if (layout->time_offset != UINT16_MAX)
		read_time(record, layout->time_offset, &ns);
	ret->oldest_ns = lh_min_u64(ret->oldest_ns, ns);
	ret->newest_ns = lh_max_u64(ret->newest_ns, ns);
}

/* Frames need not be in code: generated code may be gone, and gdb calls functions from the stack. */
static bool is_whole_record(const struct record_search *search, const struct sample_record *record)
{
	const struct record_layout *layout = &search->layout;
	uint64_t depth = record->words[layout->depth_word];
	return is_start(search, record, layout->start_word) && depth <= DEPTH_MAX &&
	       layout->depth_word + depth < RECORD_WORDS && is_allocated_size(search, record, layout->allocated_word) &&
	       record->words[layout->requested_word] <= record->words[layout->allocated_word] &&
	       is_weight(search, record, layout->weight_word);
}

static int compare_sampled_stacks(const void *a, const void *b)
{
	const struct lh_sampled_stack *left = a, *right = b;
	int order = (left->estimated_bytes < right->estimated_bytes) - (left->estimated_bytes > right->estimated_bytes);
	return order ? order : lh_compare_u64(left->first_frame, right->first_frame);
}

struct lh_error *lh_gwalk_take_samples(struct lh_gwalk *walk)
{
	struct record_search search LH_CLEANUP(deinit_record_search) = {.walk = walk};
	struct lh_allocation_samples *samples = &walk->tour->sink->heap->samples;
	LH_TRY(find_records(&search));
	if (samples->sample_count || !search.records.count || !find_record_layout(&search))
		return NULL;
	for (size_t i = 0; i < search.records.count; i++) {
		const struct sample_record *record = &search.records.items[i];
		struct lh_sampled_stack *stack;
		if (!lh_heap_check(walk->tour, is_whole_record(&search, record), record->span->addr,
				   "sampled allocation: its fields do not hold together")) {
			samples->rejected_count++;
			continue;
		}
		LH_TRY(find_sampled_stack(&search, &record->words[search.layout.depth_word + 1],
					  record->words[search.layout.depth_word], &stack));
		count_record(&search.layout, record, stack);
		samples->sample_count++;
		samples->newest_ns = lh_max_u64(samples->newest_ns, stack->newest_ns);
	}
	lh_vec_sort(&samples->stacks, compare_sampled_stacks);
	samples->has_wall_clock = true;
	samples->allocator = samples->sample_count ? LH_GOOGLE_TCMALLOC : NULL;
	return NULL;
}

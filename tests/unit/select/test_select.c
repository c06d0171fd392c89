/*
 * test_select: following regions through synthetic smaps texts: growth at either end, split, merge,
 * arenas, families, torn samples; ranking; and samples that cannot be judged.
 */
#include "unit.h"

#include "leakhunt/select.h"

#include <inttypes.h>
#include <stdio.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

/* One sample's smaps text, as it grows line by line. */
struct text {
	struct lh_buffer buffer;
};

static void put_mapping(struct text *text, uint64_t start, uint64_t end, const char *rest, uint64_t private_bytes)
{
	lh_buffer_printf(&text->buffer,
			 "%08" PRIx64 "-%08" PRIx64 " %s\nSize: %" PRIu64 " kB\nRss: %" PRIu64 " kB\nPss: %" PRIu64
			 " kB\nShared_Clean: 0 kB\nShared_Dirty: 0 kB\nPrivate_Clean: 0 kB\n"
			 "Private_Dirty: %" PRIu64 " kB\nSwap: 0 kB\n",
			 start, end, rest, (end - start) / KIB, private_bytes / KIB, private_bytes / KIB,
			 private_bytes / KIB);
}

static const char ANON[] = "rw-p 00000000 00:00 0 ";
static const char GUARD[] = "---p 00000000 00:00 0 ";
static const char HEAP[] = "rw-p 00000000 00:00 0 [heap]";

/* What every process has: a mapping that stays as it is. */
static void put_ballast(struct text *text)
{
	put_mapping(text, 0x400000, 0x500000, "rw-p 00100000 08:01 4711 /bin/true", 64 * KIB);
}

static void add_sample(struct lh_samples *samples, struct text *text, uint64_t time_ns)
{
	struct lh_sample sample = {.time_ns = time_ns, .pid = 42};
	assert_success(lh_regions_parse(text->buffer.data, text->buffer.length, "text", &sample.list));
	assert_int_equal(sample.list.skipped_lines, 0);
	assert_int_equal(sample.list.dropped_regions, 0);
	assert_success(lh_vec_push(&samples->items, sample));
	lh_buffer_deinit(&text->buffer);
}

typedef void put_sample(struct text *text, size_t i);

static void select_made(put_sample *put, size_t count, struct lh_selection *ret)
{
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	for (size_t i = 0; i < count; i++) {
		struct text text = {0};
		put(&text, i);
		add_sample(&samples, &text, 1000 * LH_NS_PER_S + i * 2 * LH_NS_PER_S);
	}
	assert_success(lh_select(&samples, ret));
	assert_int_equal(ret->sample_count, count);
	assert_int_equal(ret->span_ns, (count - 1) * 2 * LH_NS_PER_S);
	assert_int_equal(ret->pid, 42);
}

/* Each row's series sums up to the total's: nothing is counted twice, nothing lost. */
static void assert_sums_up(const struct lh_selection *selection)
{
	for (size_t i = 0; i < selection->moments_s.count; i++) {
		uint64_t sum = 0;
		for (size_t row = 0; row < selection->growths.count; row++) {
			const struct lh_growth *growth = &selection->growths.items[row];
			sum += growth->series.count ? growth->series.items[i] : growth->private_first_bytes;
		}
		assert_int_equal(sum, selection->total.series.items[i]);
	}
}

static const struct lh_growth *first_row(const struct lh_selection *selection)
{
	assert_sums_up(selection);
	assert_true(selection->growths.count > 0);
	return &selection->growths.items[0];
}

/* ---------------------------------------------------------------- identity */

static void put_upward(struct text *text, size_t i)
{
	put_ballast(text);
	put_mapping(text, 0x1000000, 0x1000000 + (i + 1) * MIB, HEAP, (i + 1) * MIB);
	put_mapping(text, 0x7f0000000000, 0x7f0000100000, ANON, 512 * KIB);
}

static void test_growth_at_the_upper_end(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_upward, 10, &selection);
	const struct lh_growth *row = first_row(&selection);
	assert_int_equal(selection.growths.count, 3);
	assert_int_equal(row->kind, LH_REGION_HEAP);
	assert_string_equal(row->name, "[heap]");
	assert_int_equal(row->start, 0x1000000);
	assert_int_equal(row->end, 0x1000000 + 10 * MIB);
	assert_int_equal(row->growth_bytes, 9 * MIB);
	assert_int_equal(row->private_first_bytes, MIB);
	assert_int_equal(row->verdict, LH_VERDICT_LEAK);
	assert_true(row->rate_bytes_per_hour == 1800.0 * MIB);
	assert_true(row->is_suspect);
	assert_int_equal(selection.total.verdict, LH_VERDICT_LEAK);
	assert_int_equal(selection.total.growth_bytes, 9 * MIB);
	for (size_t i = 1; i < selection.growths.count; i++) {
		assert_int_equal(selection.growths.items[i].verdict, LH_VERDICT_STEADY);
		assert_false(selection.growths.items[i].is_suspect);
	}
}

static void put_downward(struct text *text, size_t i)
{
	put_ballast(text);
	put_mapping(text, 0x7f0010000000 - (i + 1) * 4 * MIB, 0x7f0010000000, ANON, (i + 1) * 4 * MIB);
}

static void test_growth_at_the_lower_end(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_downward, 12, &selection);
	const struct lh_growth *row = first_row(&selection);
	assert_int_equal(selection.growths.count, 2);
	assert_int_equal(row->start, 0x7f0010000000 - 48 * MIB);
	assert_int_equal(row->growth_bytes, 44 * MIB);
	assert_int_equal(row->verdict, LH_VERDICT_LEAK);
}

/* A mapping in the middle of which a page loses its protection: three pieces from sample 4 on. */
static void put_splitting(struct text *text, size_t i)
{
	uint64_t start = 0x7f0000000000, end = start + 16 * MIB, middle = start + 8 * MIB;
	put_ballast(text);
	if (i < 4) {
		put_mapping(text, start, end, ANON, (i + 1) * MIB);
		return;
	}
	put_mapping(text, start, middle, ANON, (i + 1) * MIB / 2);
	put_mapping(text, middle, middle + 4 * KIB, "r--p 00000000 00:00 0 ", 0);
	put_mapping(text, middle + 4 * KIB, end, ANON, (i + 1) * MIB / 2);
}

static void test_split_keeps_its_history(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_splitting, 10, &selection);
	const struct lh_growth *row = first_row(&selection);
	assert_int_equal(row->growth_bytes, 9 * MIB);
	/* Will be full within as long a watch. */
	assert_int_equal(row->verdict, LH_VERDICT_UNDECIDED);
	assert_true(row->is_suspect);
	assert_int_equal(row->region_count, 3);
	assert_int_equal(row->ranges.count, 3);
	assert_int_equal(row->ranges.items[0].end, row->ranges.items[1].start);
	assert_int_equal(row->start, 0x7f0000000000);
	assert_int_equal(row->end, 0x7f0000000000 + 16 * MIB);
}

/* Two mappings that grow towards each other, and are one from sample 5 on. */
static void put_merging(struct text *text, size_t i)
{
	uint64_t low = 0x7f0000000000, high = low + 16 * MIB;
	uint64_t grown = (i + 1) * MIB;
	put_ballast(text);
	if (i >= 5) {
		put_mapping(text, low, high, ANON, 2 * grown);
		return;
	}
	put_mapping(text, low, low + grown, ANON, grown);
	put_mapping(text, high - grown, high, ANON, grown);
}

static void test_merge_sums_the_histories(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_merging, 12, &selection);
	const struct lh_growth *row = first_row(&selection);
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(row->series.items[i], 2 * (i + 1) * MIB);
	assert_int_equal(row->region_count, 1);
	assert_int_equal(row->verdict, LH_VERDICT_LEAK);
}

/* A new file at the addresses of another, and a shared mapping in the place of a private one. */
static void put_replaced(struct text *text, size_t i)
{
	put_ballast(text);
	put_mapping(text, 0x10000000, 0x10400000, i < 5 ? "r--p 00000000 08:01 10 /old" : "r--p 00000000 08:01 11 /new",
		    i < 5 ? MIB : 3 * MIB);
	put_mapping(text, 0x20000000, 0x20400000, i < 5 ? ANON : "rw-s 00000000 00:01 9 /dev/zero (deleted)", MIB);
}

static void test_other_backing_is_other_memory(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_replaced, 20, &selection);
	assert_sums_up(&selection);
	assert_int_equal(selection.growths.count, 5);
	const struct lh_growth *row = first_row(&selection);
	assert_string_equal(row->name, "/new");
	assert_int_equal(row->private_first_bytes, 0);
	assert_int_equal(row->verdict, LH_VERDICT_STEP);
	assert_int_equal(selection.growths.items[4].private_last_bytes, 0);
}

/* brk gives memory back: the mapping gets shorter. */
static void put_shrinking(struct text *text, size_t i)
{
	put_ballast(text);
	put_mapping(text, 0x1000000, 0x1000000 + (20 - i) * MIB, HEAP, (20 - i) * MIB);
}

static void test_brk_that_shrinks(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_shrinking, 10, &selection);
	assert_int_equal(selection.growths.count, 2);
	assert_int_equal(selection.growths.items[1].verdict, LH_VERDICT_SHRINKING);
	assert_int_equal(selection.growths.items[1].growth_bytes, -9 * (int64_t)MIB);
	assert_int_equal(selection.total.verdict, LH_VERDICT_SHRINKING);
}

/* Only sample 4 lacks the mapping, as when it moved in the text while that was read. */
static void put_torn(struct text *text, size_t i)
{
	put_ballast(text);
	if (i != 4)
		put_mapping(text, 0x1000000, 0x1000000 + (i + 1) * MIB, HEAP, (i + 1) * MIB);
}

static void test_a_mapping_missing_once_is_the_same(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_torn, 10, &selection);
	assert_int_equal(selection.growths.count, 2);
	assert_int_equal(first_row(&selection)->growth_bytes, 9 * MIB);
}

/* ---------------------------------------------------------------- arenas and families */

#define ARENA_BYTES (64 * (uint64_t)MIB)

/* A non-main arena that leaks 16 MiB a sample: its heap grows into its guard; then come more heaps. */
static void put_arena(struct text *text, size_t i)
{
	uint64_t base = 0x7f4000000000, leaked = (i + 1) * 16 * MIB;
	put_ballast(text);
	/* A gap between the heaps, so that the kernel has them in two mappings. */
	for (uint64_t heap = 0; leaked; heap++) {
		uint64_t start = base + heap * 2 * ARENA_BYTES;
		uint64_t used = lh_min_u64(leaked, ARENA_BYTES);
		put_mapping(text, start, start + used, ANON, used);
		if (used < ARENA_BYTES)
			put_mapping(text, start + used, start + ARENA_BYTES, GUARD, 0);
		leaked -= used;
	}
}

static void test_an_arena_that_fills_heap_after_heap(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_arena, 12, &selection);
	const struct lh_growth *row = first_row(&selection);
	assert_int_equal(row->growth_bytes, 11 * 16 * MIB);
	assert_int_equal(row->verdict, LH_VERDICT_LEAK);
	assert_int_equal(row->region_count, 3);
	assert_int_equal(row->ranges.count, 3);
	assert_int_equal(row->start, 0x7f4000000000);
}

/* Three threads more a sample, each with an 8 MiB stack below its guard, of which 12 KiB are in use. */
static void put_threads(struct text *text, size_t i)
{
	put_ballast(text);
	put_mapping(text, 0x1000000, 0x1100000, HEAP, MIB);
	for (uint64_t thread = 0; thread < 10 + 3 * i; thread++) {
		uint64_t guard = 0x7f0000000000 + thread * (8 * MIB + 4 * KIB);
		put_mapping(text, guard, guard + 4 * KIB, GUARD, 0);
		put_mapping(text, guard + 4 * KIB, guard + 4 * KIB + 8 * MIB, ANON, 12 * KIB);
	}
}

static void test_a_family_of_thread_stacks(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_threads, 10, &selection);
	const struct lh_growth *row = first_row(&selection);
	assert_int_equal(selection.growths.count, 3);
	assert_int_equal(row->region_count, 10 + 27);
	assert_int_equal(row->ranges.count, 10 + 27);
	assert_int_equal(row->private_first_bytes, 10 * 12 * KIB);
	assert_int_equal(row->growth_bytes, 27 * 12 * KIB);
	assert_int_equal(row->verdict, LH_VERDICT_LEAK);
}

/* Equal mappings that stay, of which one fills up; not at 64 MiB boundaries, where heaps of arenas lie. */
static void put_pools(struct text *text, size_t i)
{
	put_ballast(text);
	for (uint64_t brief = 0; brief < i % 3; brief++) {
		uint64_t start = 0x7e0000100000 + brief * 128 * MIB;
		put_mapping(text, start, start + 64 * MIB, ANON, 64 * KIB);
	}
	for (uint64_t pool = 0; pool < 8; pool++) {
		uint64_t start = 0x7f0000100000 + pool * 128 * MIB;
		put_mapping(text, start, start + 64 * MIB, ANON, pool == 5 ? (i + 1) * 2 * MIB : 4 * MIB);
	}
}

static void test_one_of_many_alike_that_grows_stands_out(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_pools, 11, &selection);
	const struct lh_growth *row = first_row(&selection);
	assert_int_equal(row->region_count, 1);
	assert_int_equal(row->start, 0x7f0000100000 + 5 * 128 * (uint64_t)MIB);
	assert_int_equal(row->verdict, LH_VERDICT_LEAK);
}

/* A buffer of another size for each request, never unmapped, none next to another. */
static void put_assorted(struct text *text, size_t i)
{
	put_ballast(text);
	for (uint64_t buffer = 0; buffer <= i; buffer++) {
		uint64_t start = 0x7f0000000000 + buffer * 16 * MIB;
		uint64_t bytes = (300 + 4 * (buffer * 7 % 11)) * KIB;
		put_mapping(text, start, start + bytes, ANON, bytes);
	}
}

static void test_a_family_of_assorted_sizes(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_assorted, 12, &selection);
	const struct lh_growth *row = first_row(&selection);
	assert_true(row->region_count >= 11);
	assert_int_equal(row->verdict, LH_VERDICT_LEAK);
}

/* So many that anything quadratic in them would take minutes. */
static void put_many(struct text *text, size_t i)
{
	for (uint64_t at = 0; at < 20000; at++) {
		uint64_t start = 0x7f0000000000 + at * 64 * KIB;
		put_mapping(text, start, start + 16 * KIB, at % 2 ? ANON : "r--p 00000000 00:00 0 ", 4 * KIB);
	}
	put_mapping(text, 0x7f8000000000, 0x7f8000000000 + (i + 1) * MIB, ANON, (i + 1) * MIB);
}

static void test_many_mappings(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_many, 6, &selection);
	assert_int_equal(first_row(&selection)->start, 0x7f8000000000);
	assert_int_equal(selection.total.region_count, 20001);
}

/* ---------------------------------------------------------------- ranking */

static void put_cache_and_leak(struct text *text, size_t i)
{
	uint64_t cache = lh_min_u64(i, 4) * 50 * MIB;
	put_ballast(text);
	put_mapping(text, 0x10000000, 0x10000000 + 256 * MIB, ANON, 4 * KIB + cache);
	put_mapping(text, 0x30000000, 0x30000000 + 64 * MIB, ANON, (i + 1) * MIB);
}

static void test_a_leak_ranks_above_a_bigger_plateau(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_cache_and_leak, 12, &selection);
	assert_int_equal(first_row(&selection)->start, 0x30000000);
	assert_int_equal(first_row(&selection)->verdict, LH_VERDICT_LEAK);
	assert_int_equal(selection.growths.items[1].verdict, LH_VERDICT_PLATEAU);
}

static void put_one_jump(struct text *text, size_t i)
{
	put_ballast(text);
	put_mapping(text, 0x1000000, 0x1000000 + MIB, HEAP, (i ? 924 : 764) * KIB);
	put_mapping(text, 0x7f0000000000, 0x7f0000100000, ANON, 900 * KIB);
}

/* What rose once does not go up and down, also where the rise is small beside the rest of the process. */
static void test_the_sum_does_not_contradict_its_only_row(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_one_jump, 15, &selection);
	assert_int_equal(first_row(&selection)->verdict, LH_VERDICT_STEP);
	assert_int_equal(selection.total.verdict, LH_VERDICT_STEADY);
	assert_null(strstr(selection.total.reason, "up and down"));
	assert_non_null(strstr(selection.total.reason, "moves by no more than 160 KiB"));
}

/* A heap that grows by 1 MiB a sample beside one that goes up and down by 210 MiB, without a period. */
static void put_leak_beside_garbage(struct text *text, size_t i)
{
	put_ballast(text);
	put_mapping(text, 0x1000000, 0x9000000, HEAP, (i + 1) * MIB);
	put_mapping(text, 0x7f0000000000, 0x7f0010000000, ANON, (40 + (i + 3) * (i + 3) * 7919 % 211) * MIB);
}

/* The same heap, while another mapping shrinks as fast. */
static void put_memory_that_moves(struct text *text, size_t i)
{
	put_leak_beside_garbage(text, i);
	put_mapping(text, 0x7f0020000000, 0x7f0028000000, ANON, (100 - i) * MIB);
}

static void test_a_leak_under_the_ups_and_downs_of_others(void **state)
{
	(void)state;
	struct lh_selection leaking LH_CLEANUP(lh_selection_deinit) = {0};
	struct lh_selection moving LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_leak_beside_garbage, 68, &leaking);
	assert_int_equal(first_row(&leaking)->kind, LH_REGION_HEAP);
	assert_int_equal(leaking.total.verdict, LH_VERDICT_LEAK);
	assert_non_null(strstr(leaking.total.reason, "one part (heap at 0x1000000) leaks"));
	select_made(put_memory_that_moves, 68, &moving);
	assert_int_equal(first_row(&moving)->verdict, LH_VERDICT_LEAK);
	assert_int_not_equal(moving.total.verdict, LH_VERDICT_LEAK);
}

/* Pages that were swapped out are still the process's. */
static void put_swapped(struct text *text, size_t i)
{
	lh_buffer_printf(&text->buffer,
			 "10000000-20000000 %s\nSize: 262144 kB\nRss: %zu kB\nPrivate_Dirty: %zu kB\nSwap: %zu kB\n",
			 ANON, 8000 - 500 * i, 8000 - 500 * i, 500 * i);
}

static void test_swapping_out_is_no_change(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_swapped, 10, &selection);
	assert_int_equal(first_row(&selection)->growth_bytes, 0);
	assert_int_equal(selection.total.verdict, LH_VERDICT_STEADY);
}

/* ---------------------------------------------------------------- what is named first */

/* A mapping that fills, and will be full soon: undecided. */
static void put_filling(struct text *text, size_t i, size_t leaked_bytes)
{
	put_ballast(text);
	put_mapping(text, 0x1000000, 0x1000000 + (i + 1) * leaked_bytes, HEAP, (i + 1) * leaked_bytes);
	put_mapping(text, 0x7f0000000000, 0x7f0000000000 + 16 * MIB, ANON, (i + 1) * MIB);
}

static void put_filling_and_little(struct text *text, size_t i)
{
	put_filling(text, i, 12 * KIB);
}

static void put_filling_and_much(struct text *text, size_t i)
{
	put_filling(text, i, 512 * KIB);
}

static void test_what_explains_the_growth_is_named_first(void **state)
{
	(void)state;
	struct lh_selection little LH_CLEANUP(lh_selection_deinit) = {0};
	struct lh_selection much LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_filling_and_little, 10, &little);
	const struct lh_growth *suspect = lh_selection_suspect(&little);
	assert_int_equal(suspect->verdict, LH_VERDICT_UNDECIDED);
	assert_int_equal(suspect->growth_bytes, 9 * MIB);
	assert_int_equal(little.growths.items[1].verdict, LH_VERDICT_LEAK);
	assert_true(little.growths.items[1].is_suspect);
	select_made(put_filling_and_much, 10, &much);
	suspect = lh_selection_suspect(&much);
	assert_int_equal(suspect->kind, LH_REGION_HEAP);
	assert_int_equal(suspect->verdict, LH_VERDICT_LEAK);
}

/* The process grows evenly, by memory that grows for a third of the time each. */
static void put_one_after_another(struct text *text, size_t i)
{
	const char *const kinds[] = {HEAP, ANON, "rwxp 00000000 00:00 0 "};
	put_ballast(text);
	for (size_t k = 0; k < LH_ARRAY_COUNT(kinds); k++) {
		size_t grown = i > k * 10 ? i - k * 10 : 0;
		uint64_t start = 0x10000000 + k * 0x10000000;
		put_mapping(text, start, start + 64 * MIB, kinds[k], (1 + (grown < 10 ? grown : 10)) * MIB);
	}
}

static void test_all_that_explains_the_growth_is_suspect(void **state)
{
	(void)state;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	select_made(put_one_after_another, 31, &selection);
	assert_int_equal(selection.total.verdict, LH_VERDICT_LEAK);
	size_t suspects = 0;
	for (size_t i = 0; i < selection.growths.count; i++)
		suspects += selection.growths.items[i].is_suspect;
	assert_int_equal(suspects, 3);
	assert_true(lh_verdict_is_rising(lh_selection_suspect(&selection)->verdict));
}

/* ---------------------------------------------------------------- samples that cannot be judged */

/* `times` in seconds; 0-terminated after `count`. */
static void make_samples(const uint64_t *seconds, const pid_t *pids, size_t count, struct lh_samples *ret)
{
	for (size_t i = 0; i < count; i++) {
		struct text text = {0};
		put_upward(&text, seconds[i]);
		add_sample(ret, &text, seconds[i] * LH_NS_PER_S);
		ret->items.items[i].pid = pids ? pids[i] : 0;
	}
}

static void test_too_few_samples(void **state)
{
	(void)state;
	static const uint64_t seconds[] = {1, 2, 3};
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	for (size_t count = 0; count < 2; count++) {
		struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
		make_samples(seconds, NULL, count, &samples);
		assert_failure(lh_select(&samples, &selection), LH_ERROR_USAGE);
	}
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	make_samples(seconds, NULL, 2, &samples);
	assert_success(lh_select(&samples, &selection));
	assert_int_equal(first_row(&selection)->verdict, LH_VERDICT_UNDECIDED);
	assert_int_equal(first_row(&selection)->growth_bytes, MIB);
	assert_true(first_row(&selection)->watch_more_ns >= 4 * LH_NS_PER_S);
	assert_true(first_row(&selection)->is_suspect);
}

static void test_samples_out_of_order(void **state)
{
	(void)state;
	static const uint64_t seconds[] = {6, 2, 9, 1, 5, 4, 3, 8, 7};
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	make_samples(seconds, NULL, LH_ARRAY_COUNT(seconds), &samples);
	assert_success(lh_select(&samples, &selection));
	assert_int_equal(selection.span_ns, 8 * LH_NS_PER_S);
	assert_int_equal(first_row(&selection)->growth_bytes, 8 * MIB);
	assert_int_equal(first_row(&selection)->verdict, LH_VERDICT_GROWING);
}

static void test_samples_that_do_not_go_together(void **state)
{
	(void)state;
	static const uint64_t equal_times[] = {1, 5, 5};
	static const uint64_t seconds[] = {1, 2, 3};
	static const pid_t pids[] = {7, 0, 8};
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	struct lh_samples equal LH_CLEANUP(lh_samples_deinit) = {0};
	make_samples(equal_times, NULL, 3, &equal);
	assert_failure(lh_select(&equal, &selection), LH_ERROR_USAGE);
	struct lh_samples others LH_CLEANUP(lh_samples_deinit) = {0};
	make_samples(seconds, pids, 3, &others);
	assert_failure(lh_select(&others, &selection), LH_ERROR_USAGE);
	others.items.items[2].pid = 7;
	others.items.items[2].list.has_usage = false;
	assert_failure(lh_select(&others, &selection), LH_ERROR_USAGE);
	others.items.items[2].list.has_usage = true;
	assert_success(lh_select(&others, &selection));
	assert_int_equal(selection.pid, 7);
}

static void test_absurd_usage_does_not_overflow(void **state)
{
	(void)state;
	static const uint64_t seconds[] = {1, 2, 3, 4, 5, 6};
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	make_samples(seconds, NULL, LH_ARRAY_COUNT(seconds), &samples);
	for (size_t i = 1; i < samples.items.count; i += 2) {
		struct lh_region_list *list = &samples.items.items[i].list;
		for (size_t j = 0; j < list->regions.count; j++)
			list->regions.items[j].usage.private_dirty_bytes = UINT64_MAX - j;
	}
	assert_success(lh_select(&samples, &selection));
	assert_int_equal(selection.total.private_last_bytes, INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_sum_does_not_contradict_its_only_row),
		cmocka_unit_test(test_growth_at_the_upper_end),
		cmocka_unit_test(test_growth_at_the_lower_end),
		cmocka_unit_test(test_split_keeps_its_history),
		cmocka_unit_test(test_what_explains_the_growth_is_named_first),
		cmocka_unit_test(test_all_that_explains_the_growth_is_suspect),
		cmocka_unit_test(test_merge_sums_the_histories),
		cmocka_unit_test(test_other_backing_is_other_memory),
		cmocka_unit_test(test_brk_that_shrinks),
		cmocka_unit_test(test_a_mapping_missing_once_is_the_same),
		cmocka_unit_test(test_an_arena_that_fills_heap_after_heap),
		cmocka_unit_test(test_a_family_of_thread_stacks),
		cmocka_unit_test(test_one_of_many_alike_that_grows_stands_out),
		cmocka_unit_test(test_a_family_of_assorted_sizes),
		cmocka_unit_test(test_many_mappings),
		cmocka_unit_test(test_a_leak_ranks_above_a_bigger_plateau),
		cmocka_unit_test(test_a_leak_under_the_ups_and_downs_of_others),
		cmocka_unit_test(test_swapping_out_is_no_change),
		cmocka_unit_test(test_too_few_samples),
		cmocka_unit_test(test_samples_out_of_order),
		cmocka_unit_test(test_samples_that_do_not_go_together),
		cmocka_unit_test(test_absurd_usage_does_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

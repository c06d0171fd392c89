/*
 * What every byte is: classify against a byte-by-byte reading of its rules, on every kind of memory and at
 * every cut; the map; and the equation of the whole: the classes and the rest add up to the bytes scanned.
 */
#include "unit.h"

#include "image/view.h"
#include "scan/classify.h"
#include "scan/map.h"
#include "scan/recognize/recognize.h"

#include <stdio.h>
#include <unistd.h>

#define BASE ((uint64_t)0x7f0000000000)

enum { LENGTH = 64 * 1024 };

static uint8_t memory[LENGTH];

static struct lh_classifier make_classifier(uint64_t mapped_start, uint64_t mapped_end)
{
	struct lh_classifier classifier = {0};
	assert_success(lh_kernel_select(&classifier.kernel));
	classifier.filter = lh_word_filter_for(classifier.kernel);
	assert_success(lh_vec_push(&classifier.mapped, (struct lh_range){mapped_start, mapped_end}));
	classifier.ranges = lh_word_ranges_over(classifier.mapped.items, classifier.mapped.count);
	return classifier;
}

static struct lh_block block_over(size_t length)
{
	return (struct lh_block){.addr = BASE, .file_offset = LH_NO_OFFSET, .data = memory, .bytes = length};
}

static void fill_random(size_t start, size_t end, uint64_t *random)
{
	for (size_t i = start; i < end; i++)
		memory[i] = (uint8_t)unit_random(random);
}

/* ---------------------------------------------------------------- the rules, read byte by byte */

static bool is_text_byte(uint8_t byte)
{
	return (byte >= 0x20 && byte <= 0x7e) || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool in_text_run(size_t at, size_t length)
{
	size_t start = at, end = at;
	if (!is_text_byte(memory[at]))
		return false;
	while (start && is_text_byte(memory[start - 1]))
		start--;
	while (end < length && is_text_byte(memory[end]))
		end++;
	return end - start >= 8;
}

static bool whole_word(size_t at, size_t start, size_t end, uint64_t *ret)
{
	size_t word = at - at % 8;
	if (word < start || word + 8 > end)
		return false;
	memcpy(ret, memory + word, sizeof(*ret));
	return true;
}

static void classify_slowly(size_t start, size_t end, size_t length, struct lh_range mapped,
			    uint64_t sums[LH_REST_COUNT])
{
	for (size_t at = start; at < end; at++) {
		uint64_t word = 0;
		bool is_whole = whole_word(at, start, end, &word);
		if (is_whole && !word)
			sums[LH_REST_ZERO]++;
		else if (in_text_run(at, length))
			sums[LH_REST_TEXT]++;
		else if (is_whole && word >= mapped.start && word < mapped.end)
			sums[LH_REST_POINTERS]++;
		else
			sums[LH_REST_OTHER]++;
	}
}

/* Texts of all lengths, pointers, zeros and small numbers: nothing that random bytes look like. */
static void fill_mixed(uint64_t *random)
{
	memset(memory, 0, sizeof(memory));
	for (size_t at = 0; at < LENGTH - 64;) {
		size_t length = 1 + unit_random(random) % 40;
		uint64_t pointer = BASE + unit_random(random) % (2 * LENGTH);
		switch (unit_random(random) % 4) {
		case 0:
			for (size_t i = 0; i < length; i++)
				memory[at + i] = (uint8_t)('a' + unit_random(random) % 26);
			break;
		case 1:
			at += 8 - at % 8;
			memcpy(memory + at, &pointer, sizeof(pointer));
			length = 8;
			break;
		case 2:
			memory[at] = (uint8_t)unit_random(random);
			break;
		default:
			break;
		}
		at += length;
	}
}

static void test_rules_at_every_cut(void **state)
{
	(void)state;
	uint64_t random = 3;
	struct lh_range mapped = {BASE, BASE + LENGTH};
	struct lh_classifier classifier = make_classifier(mapped.start, mapped.end);
	for (unsigned round = 0; round < 20; round++) {
		fill_mixed(&random);
		for (unsigned cut = 0; cut < 50; cut++) {
			size_t length = 1 + unit_random(&random) % LENGTH;
			size_t start = unit_random(&random) % length;
			size_t end = start + unit_random(&random) % (lh_min_u64(length - start, 3000) + 1);
			struct lh_block block = block_over(length);
			uint64_t sums[LH_REST_COUNT] = {0}, expected[LH_REST_COUNT] = {0};
			lh_classify(&classifier, &block, start, end, sums);
			classify_slowly(start, end, length, mapped, expected);
			for (unsigned rest = 0; rest < LH_REST_COUNT; rest++) {
				if (sums[rest] != expected[rest])
					fail_msg("[%zu, %zu) of %zu: %lu %s, %lu expected", start, end, length,
						 sums[rest], lh_map_class_name(LH_MAP_REST + rest), expected[rest]);
			}
		}
	}
	lh_classifier_deinit(&classifier);
}

/* ---------------------------------------------------------------- high entropy */

static uint64_t random_share(struct lh_classifier *classifier, size_t length)
{
	struct lh_block block = block_over(length);
	uint64_t sums[LH_REST_COUNT] = {0};
	lh_classify(classifier, &block, 0, length, sums);
	return sums[LH_REST_RANDOM] * 100 / length;
}

static void test_random_bytes_are_high_entropy(void **state)
{
	(void)state;
	uint64_t random = 9;
	struct lh_classifier classifier = make_classifier(1, 2);
	fill_random(0, LENGTH, &random);
	assert_true(random_share(&classifier, LENGTH) >= 99);
	/* A piece of 128 bytes and more is enough, wherever it lies. */
	unsigned found = 0;
	for (size_t start = 0; start < LENGTH - 256; start += 256) {
		struct lh_block block = block_over(LENGTH);
		uint64_t sums[LH_REST_COUNT] = {0};
		lh_classify(&classifier, &block, start + 64, start + 64 + 128 + start / 256 % 64, sums);
		found += sums[LH_REST_RANDOM] > 0;
	}
	assert_true(found >= 250); /* of 255 */
	lh_classifier_deinit(&classifier);
}

static void load_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	memset(memory, 0, sizeof(memory));
	assert_true(fread(memory, 1, sizeof(memory), file) > 1000);
	fclose(file);
}

/* Machine code, tables and text of real files are not random. */
static void test_real_files_are_not(void **state)
{
	(void)state;
	static const char *const paths[] = {"/bin/sh", "/proc/self/exe", "/etc/services", "/usr/bin/env"};
	struct lh_classifier classifier = make_classifier(1, 2);
	for (size_t i = 0; i < LH_ARRAY_COUNT(paths); i++) {
		if (access(paths[i], R_OK))
			continue;
		load_file(paths[i]);
		uint64_t share = random_share(&classifier, LENGTH);
		if (share > 2)
			fail_msg("%s: %lu %% high entropy", paths[i], share);
	}
	lh_classifier_deinit(&classifier);
}

/* ---------------------------------------------------------------- the map */

static void test_map_does_not_depend_on_cuts(void **state)
{
	(void)state;
	uint64_t random = 5;
	struct lh_map whole = {0}, joined = {0};
	uint64_t addr = BASE, sum = 0;
	for (unsigned stripe = 0; stripe < 3000; stripe++) {
		struct lh_map part = {0};
		for (unsigned i = 0; i < 4; i++) {
			unsigned class = unit_random(&random) % LH_MAP_CLASSES;
			assert_success(lh_map_add(&whole, addr, class, 100 + i));
			assert_success(lh_map_add(&part, addr, class, 100 + i));
			sum += 100 + i;
			addr += LH_MAP_CELL_BYTES_MIN;
		}
		assert_success(lh_map_join(&joined, &part));
		lh_map_deinit(&part);
		addr += unit_random(&random) % 10 ? 0 : (uint64_t)1 << 30;
	}
	assert_true(whole.cells.count <= LH_MAP_CELLS_MAX);
	assert_int_equal(whole.cell_bytes, joined.cell_bytes);
	assert_int_equal(whole.cells.count, joined.cells.count);
	assert_memory_equal(whole.cells.items, joined.cells.items, whole.cells.count * sizeof(*whole.cells.items));
	for (size_t i = 0; i < whole.cells.count; i++) {
		for (size_t class = 0; class < LH_MAP_CLASSES; class ++)
			sum -= whole.cells.items[i].bytes[class];
	}
	assert_int_equal(sum, 0);
	lh_map_deinit(&whole);
	lh_map_deinit(&joined);
}

/* ---------------------------------------------------------------- the whole */

static void assert_adds_up(const struct lh_summary *summary, uint64_t scanned_bytes)
{
	uint64_t sum = 0, mapped = 0;
	for (size_t i = 0; i < summary->classes.count; i++)
		sum += summary->classes.items[i].bytes;
	for (size_t i = 0; i < LH_REST_COUNT; i++)
		sum += summary->rest_bytes[i];
	for (size_t i = 0; i < summary->map.cells.count; i++) {
		for (size_t class = 0; class < LH_MAP_CLASSES; class ++)
			mapped += summary->map.cells.items[i].bytes[class];
	}
	assert_int_equal(summary->scanned_bytes, scanned_bytes);
	assert_int_equal(sum, scanned_bytes);
	assert_int_equal(mapped, scanned_bytes);
}

/* Random bytes, zeros, and matches over every border of a stripe and of a page. */
static uint8_t *make_borders(size_t length)
{
	static const char text[] = "{\"see\": \"http://user:password@www.example.org/a/b\", \"x\": [1, 2, 3]} and more";
	uint8_t *bytes = calloc(1, length);
	assert_non_null(bytes);
	uint64_t random = 11;
	for (size_t at = 0; at + sizeof(text) < length; at += 512 + unit_random(&random) % 4096) {
		memcpy(bytes + at, text, sizeof(text) - 1);
		if (unit_random(&random) % 2)
			at += 8192;
		for (size_t i = at + 128; i < at + 400 && i < length; i++)
			bytes[i] = (uint8_t)unit_random(&random);
	}
	for (size_t border = 1 << 20; border + 64 < length; border += 1 << 20)
		memcpy(bytes + border - 30, text, sizeof(text) - 1);
	return bytes;
}

static void test_everything_adds_up(void **state)
{
	(void)state;
	static const size_t lengths[] = {0, 1, 7, 4096, 100001, (9 << 20) + 12345};
	uint8_t *bytes = make_borders(lengths[5]);
	for (size_t i = 0; i < LH_ARRAY_COUNT(lengths); i++) {
		for (unsigned threads = 1; threads <= 3; threads += 2) {
			LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
			assert_success(lh_image_open_bytes(bytes, lengths[i], BASE, &image));
			struct lh_summary_options options = {.run.min_chars = 4, .top = 5, .threads = threads};
			struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
			assert_success(lh_summarize(image, &options, &summary));
			assert_adds_up(&summary, lengths[i]);
		}
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_at_every_cut), cmocka_unit_test(test_random_bytes_are_high_entropy),
		cmocka_unit_test(test_real_files_are_not), cmocka_unit_test(test_map_does_not_depend_on_cuts),
		cmocka_unit_test(test_everything_adds_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

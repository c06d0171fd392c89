/*
 * test_text_count: counting of equal texts and of templates, exact while they fit; what is known when they
 * don't; and the summary's totals over an image of bytes: zero pages, printable bytes, secrets.
 */
#include "unit.h"

#include "image/view.h"
#include "leakhunt/scan.h"
#include "scan/text/distinct.h"
#include "scan/text/template.h"
#include "scan/text/text_candidates.h"
#include "scan/text/text_count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

static void cleanup_table(struct lh_text_count **table)
{
	lh_text_count_destroy(*table);
}

static void add(struct lh_text_count *table, const char *text, uint64_t addr)
{
	struct lh_run run = {
		.addr = addr,
		.bytes = (const uint8_t *)text,
		.bytes_length = strlen(text),
		.chars = strlen(text),
	};
	lh_text_count_run(table, &run, lh_text_hash(&run), false);
}

static void test_exact_while_they_fit(void **state)
{
	(void)state;
	LH_CLEANUP(cleanup_table) struct lh_text_count *table = NULL;
	assert_success(lh_text_count_create(LH_TEXT_LIMITS, &table));
	char text[32];
	for (unsigned i = 0; i < 30000; i++) {
		snprintf(text, sizeof(text), "number %u", i % 1000);
		add(table, text, i);
		if (i % 1000 == 7)
			add(table, "a longer text that is seen thirty times", 100000 + i);
	}
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(table, 5, 2, &summary));
	assert_int_equal(summary.distinct_count, 1001);
	assert_int_equal(summary.uncounted_runs, 0);
	assert_int_equal(summary.repeated.count, 5);
	assert_string_equal(summary.repeated.items[0].text, "a longer text that is seen thirty times");
	assert_int_equal(summary.repeated.items[0].count, 30);
	assert_int_equal(summary.repeated.items[0].bytes, 30 * 39);
	assert_int_equal(summary.repeated.items[0].chars, 39);
	assert_int_equal(summary.repeated.items[0].example_addr, 100007);
	assert_string_equal(summary.repeated.items[1].text, "number 100");
}

static void test_what_is_seen_once_is_not_repeated(void **state)
{
	(void)state;
	LH_CLEANUP(cleanup_table) struct lh_text_count *table = NULL;
	assert_success(lh_text_count_create(LH_TEXT_LIMITS, &table));
	add(table, "this one is much longer, but there is only one of it", 1);
	add(table, "twice", 2);
	add(table, "twice", 3);
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(table, 10, 2, &summary));
	assert_int_equal(summary.repeated.count, 1);
	assert_string_equal(summary.repeated.items[0].text, "twice");
}

/* Few strings fit, many are different: the heavy ones survive, and every run is accounted for. */
static void test_heavy_ones_survive_a_full_table(void **state)
{
	(void)state;
	LH_CLEANUP(cleanup_table) struct lh_text_count *table = NULL;
	struct lh_text_limits limits = {64, 64 * LH_EXAMPLE_MAX, 64};
	assert_success(lh_text_count_create(limits, &table));
	char text[32];
	enum { ROUNDS = 20000 };
	for (unsigned i = 0; i < ROUNDS; i++) {
		snprintf(text, sizeof(text), "rare %u", i);
		add(table, text, i);
		if (i % 4 == 0)
			add(table, "heavy", i);
		if (i % 16 == 0)
			add(table, "medium", i);
	}
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(table, 10, 2, &summary));
	assert_int_equal(summary.repeated.count, 2);
	assert_string_equal(summary.repeated.items[0].text, "heavy");
	assert_string_equal(summary.repeated.items[1].text, "medium");
	uint64_t counted = summary.repeated.items[0].count + summary.repeated.items[1].count;
	uint64_t total = ROUNDS + ROUNDS / 4 + ROUNDS / 16;
	assert_in_range(summary.uncounted_runs, total - counted - limits.texts, total - counted);
	assert_in_range(summary.repeated.items[0].count, ROUNDS / 4 - limits.texts, ROUNDS / 4);
	/* The stated error holds: what is counted and what may be missing are together at least the truth. */
	for (size_t i = 0; i < 2; i++) {
		const struct lh_repeated *row = &summary.repeated.items[i];
		uint64_t truth = (uint64_t)ROUNDS / (i ? 16 : 4) * row->chars;
		assert_in_range(truth, row->bytes, row->bytes + row->missed_bytes);
	}
}

static void test_texts_that_fill_their_room(void **state)
{
	(void)state;
	LH_CLEANUP(cleanup_table) struct lh_text_count *table = NULL;
	assert_success(lh_text_count_create((struct lh_text_limits){1000, 3 * LH_EXAMPLE_MAX, 64}, &table));
	char text[400];
	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text + 390, 10, "%u", i);
		add(table, text, i);
		add(table, "kept all the time", i);
	}
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(table, 1000, 2, &summary));
	assert_string_equal(summary.repeated.items[0].text, "kept all the time");
	assert_int_equal(summary.repeated.items[0].count, 100);
	assert_true(summary.uncounted_runs > 90);
}

static void test_wide_and_secret_texts(void **state)
{
	(void)state;
	LH_CLEANUP(cleanup_table) struct lh_text_count *table = NULL;
	assert_success(lh_text_count_create(LH_TEXT_LIMITS, &table));
	static const uint8_t little[] = {'a', 0, 'b', 0, 'c', 0}, big[] = {0, 0, 0, 'd', 0, 0, 0, 'e'};
	for (unsigned i = 0; i < 2; i++) {
		struct lh_run little_run = {.bytes = little, .bytes_length = 6, .chars = 3};
		struct lh_run big_run = {.bytes = big, .bytes_length = 8, .chars = 2};
		lh_text_count_run(table, &little_run, lh_text_hash(&little_run), i);
		lh_text_count_run(table, &big_run, lh_text_hash(&big_run), false);
	}
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(table, 10, 2, &summary));
	assert_string_equal(summary.repeated.items[0].text, "de");
	assert_int_equal(summary.repeated.items[0].chars, 2);
	assert_false(summary.repeated.items[0].is_secret);
	assert_string_equal(summary.repeated.items[1].text, "");
	assert_int_equal(summary.repeated.items[1].chars, 3);
	assert_true(summary.repeated.items[1].is_secret);
}

/* ---------------------------------------------------------------- templates */

static void add_all(struct lh_text_count *table, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		add(table, texts[i], i * 1000);
	lh_text_count_templates(table);
}

/* The only row of the templates of `texts`. */
static void assert_template(const char *const *texts, size_t count, const char *expected)
{
	LH_CLEANUP(cleanup_table) struct lh_text_count *table = NULL;
	assert_success(lh_text_count_create((struct lh_text_limits){64, 64 * LH_EXAMPLE_MAX, 64}, &table));
	add_all(table, texts, count);
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(table, 10, 2, &summary));
	assert_int_equal(summary.templates.count, 1);
	assert_string_equal(summary.templates.items[0].text, expected);
	assert_int_equal(summary.templates.items[0].count, count);
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += strlen(texts[i]);
	assert_int_equal(summary.templates.items[0].bytes, bytes);
	assert_int_equal(summary.templates.items[0].examples[0].addr, 0);
	assert_string_equal(summary.templates.items[0].examples[0].text, texts[0]);
}

#define ASSERT_TEMPLATE(expected, ...)                                     \
	do {                                                               \
		static const char *const texts_[] = {__VA_ARGS__};         \
		assert_template(texts_, LH_ARRAY_COUNT(texts_), expected); \
	} while (0)

static void test_each_kind_of_value(void **state)
{
	(void)state;
	ASSERT_TEMPLATE("GET /api/v2/session/<n>", "GET /api/v2/session/1", "GET /api/v2/session/77",
			"GET /api/v2/session/12345678901");
	ASSERT_TEMPLATE("user<n>@mail.example", "user1@mail.example", "user22@mail.example");
	ASSERT_TEMPLATE("id=<uuid>;", "id=6f1f8c1e-58a4-4f0c-9b1d-2f6c3a1b9d77;",
			"id=00000000-0000-4000-8000-000000000001;");
	ASSERT_TEMPLATE("at <addr> in main", "at 0x7fbc9e37b000 in main", "at 0x55 in main");
	ASSERT_TEMPLATE("commit <hex> signed", "commit 9f59ee3a0257c0de signed",
			"commit 448ebac087742b2d9f59ee3a signed");
	ASSERT_TEMPLATE("[<date>] started", "[2024-05-01T10:00:00Z] started",
			"[2026-11-23 15:01:59.123456+02:00] started");
	ASSERT_TEMPLATE("[<date>] GET", "[10/Oct/2000:13:55:36 -0700] GET", "[23/Nov/2026:15:00:00 +0000] GET");
	ASSERT_TEMPLATE("from <ip>:<n> open", "from 10.0.0.1:443 open", "from 192.168.17.254:51234 open");
	ASSERT_TEMPLATE("Bearer <token>!", "Bearer dGhpcyBpcyBhIHRva2VuIG9m01==!",
			"Bearer Zm9yIHRoZSB0ZXN0cyBvZiB4Nz9!");
}

/* What is the same in all of them is shown as it is. */
static void test_only_differences_are_replaced(void **state)
{
	(void)state;
	ASSERT_TEMPLATE("shard 7 of 16: <n> keys, 2024-05-01", "shard 7 of 16: 81 keys, 2024-05-01",
			"shard 7 of 16: 99923 keys, 2024-05-01");
	ASSERT_TEMPLATE("all equal 42", "all equal 42", "all equal 42", "all equal 42");
}

static void test_different_words_are_different_templates(void **state)
{
	(void)state;
	LH_CLEANUP(cleanup_table) struct lh_text_count *table = NULL;
	assert_success(lh_text_count_create((struct lh_text_limits){64, 64 * LH_EXAMPLE_MAX, 64}, &table));
	static const char *const texts[] = {"session 1 open", "session 2 open", "session 3 shut", "session 4 shut",
					    "session 5 wait", "short 1",        "short 2"};
	add_all(table, texts, LH_ARRAY_COUNT(texts));
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(table, 10, 2, &summary));
	assert_int_equal(summary.templates.count, 2);
	assert_string_equal(summary.templates.items[0].text, "session <n> open");
	assert_string_equal(summary.templates.items[1].text, "session <n> shut");
	assert_int_equal(summary.template_texts, 5);
}

/* Counting parts and adding them up is counting all. */
static void test_merging_parts(void **state)
{
	(void)state;
	LH_CLEANUP(cleanup_table) struct lh_text_count *whole = NULL, *sum = NULL, *part = NULL;
	struct lh_text_limits limits = {1000, 1000 * LH_EXAMPLE_MAX, 100};
	assert_success(lh_text_count_create(limits, &whole));
	assert_success(lh_text_count_create(limits, &sum));
	assert_success(lh_text_count_create((struct lh_text_limits){1000, 0, 100}, &part));
	static char texts[600][40];
	for (unsigned i = 0; i < LH_ARRAY_COUNT(texts); i++) {
		snprintf(texts[i], sizeof(texts[i]), "row %u of table %u in %s", i % 97, i / 300,
			 i % 3 ? "use" : "order");
		add(whole, texts[i], i);
		add(part, texts[i], i);
		if (i % 100 == 99) {
			lh_text_count_templates(part);
			lh_text_count_merge(sum, part);
			lh_text_count_clear(part);
		}
	}
	lh_text_count_templates(whole);
	struct lh_summary a LH_CLEANUP(lh_summary_deinit) = {0}, b LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_text_count_finish(whole, 1000, 2, &a));
	assert_success(lh_text_count_finish(sum, 1000, 2, &b));
	assert_int_equal(a.distinct_count, b.distinct_count);
	assert_int_equal(a.repeated.count, b.repeated.count);
	for (size_t i = 0; i < a.repeated.count; i++)
		assert_string_equal(a.repeated.items[i].text, b.repeated.items[i].text);
	assert_int_equal(a.templates.count, 2);
	assert_int_equal(b.templates.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(a.templates.items[i].text, b.templates.items[i].text);
		assert_int_equal(a.templates.items[i].count, b.templates.items[i].count);
		assert_int_equal(a.templates.items[i].bytes, b.templates.items[i].bytes);
	}
	assert_string_equal(a.templates.items[0].text, "row <n> of table <n> in use");
}

/* ---------------------------------------------------------------- the summary */

enum { IMAGE_BYTES = 11 * 1024 * 1024 + 5000, PAGE_BYTES = 4096 };

static struct lh_error *summarize(const uint8_t *bytes, size_t length, enum lh_encoding encoding, size_t min_chars,
				  struct lh_summary *ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_TRY(lh_image_open_bytes(bytes, length, 0x10000, &image));
	struct lh_summary_options options = {.run = {min_chars, encoding}, .top = 50};
	struct lh_error *error = lh_summarize(image, &options, ret);
	/* Symbols belong to the image, which is closed here. */
	lh_symbols_close(ret->symbols);
	ret->symbols = NULL;
	return error;
}

static void test_zero_pages_and_printable_bytes(void **state)
{
	(void)state;
	uint8_t *bytes LH_CLEANUP(lh_cleanup_free) = calloc(1, IMAGE_BYTES);
	/* A text over the end of a slice of 1 MiB, one that ends at a zero page, one at the very end. */
	size_t slice_end = (1 << 20) - 0x10000;
	memcpy(bytes + slice_end - 5, "over the edge", 13);
	memcpy(bytes + 200 * PAGE_BYTES - 11, "to the page", 11);
	memcpy(bytes + IMAGE_BYTES - 10, "at the end", 10);
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(summarize(bytes, IMAGE_BYTES, LH_ENCODING_ASCII, 4, &summary));
	assert_int_equal(summary.scanned_bytes, IMAGE_BYTES);
	assert_int_equal(summary.run_count, 3);
	assert_int_equal(summary.printable_bytes, 13 + 11 + 10);
	uint64_t pages = 0;
	for (size_t at = 0; at < IMAGE_BYTES; at += PAGE_BYTES) {
		size_t length = lh_min_u64(PAGE_BYTES, IMAGE_BYTES - at);
		bool is_zero = true;
		for (size_t i = 0; i < length; i++)
			is_zero &= !bytes[at + i];
		pages += is_zero ? length : 0;
	}
	assert_int_equal(summary.zero_bytes, pages);
}

/* The last character of a page is completed by the zeros of the next, which is skipped otherwise. */
static void test_wide_text_that_ends_in_a_zero_page(void **state)
{
	(void)state;
	uint8_t *bytes LH_CLEANUP(lh_cleanup_free) = calloc(3, PAGE_BYTES);
	bytes[0] = 1;
	for (size_t i = 0; i < 4; i++)
		bytes[PAGE_BYTES - 7 + 2 * i] = 'w';
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(summarize(bytes, (size_t)3 * PAGE_BYTES, LH_ENCODING_UTF16_LE, 4, &summary));
	assert_int_equal(summary.run_count, 1);
	assert_int_equal(summary.printable_bytes, 8);
	assert_int_equal(summary.zero_bytes, 2 * PAGE_BYTES);
}

/* As soon as there is a result. */
static bool stop_at_once(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)total_bytes;
	*(uint64_t *)context = done_bytes;
	return !done_bytes;
}

static void test_interrupted_gives_the_result_so_far(void **state)
{
	(void)state;
	uint8_t *bytes LH_CLEANUP(lh_cleanup_free) = malloc(IMAGE_BYTES);
	memset(bytes, 'z', IMAGE_BYTES);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_bytes(bytes, IMAGE_BYTES, 0x10000, &image));
	uint64_t done_bytes = 0;
	struct lh_summary_options options = {
		.run = {4, LH_ENCODING_ASCII}, .threads = 1, .progress = stop_at_once, .progress_context = &done_bytes};
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	assert_success(lh_summarize(image, &options, &summary));
	assert_true(summary.is_interrupted);
	assert_int_equal(summary.scanned_bytes, done_bytes);
	assert_in_range(summary.scanned_bytes, 1, IMAGE_BYTES - 1);
	assert_int_equal(summary.printable_bytes, done_bytes);
}

static void test_about_how_many_are_different(void **state)
{
	(void)state;
	for (uint64_t count = 1; count <= 1000000; count *= 10) {
		struct lh_distinct distinct = {{0}}, half = {{0}};
		for (uint64_t i = 0; i < 3 * count; i++) {
			uint64_t value = i % count;
			lh_distinct_add(i % 2 ? &distinct : &half, XXH3_64bits(&value, sizeof(value)));
		}
		lh_distinct_merge(&distinct, &half);
		double found = (double)lh_distinct_estimate(&distinct);
		assert_true(fabs(found - (double)count) <= 0.03 * (double)count); /* 4 standard errors */
	}
}

static void cleanup_filter(struct lh_hash_filter **filter)
{
	lh_hash_filter_destroy(*filter);
}

static void test_filter_has_what_it_was_made_of(void **state)
{
	(void)state;
	enum { COUNT = 8192 };
	uint64_t hashes[COUNT];
	for (uint64_t i = 0; i < COUNT; i++)
		hashes[i] = i ? XXH3_64bits(&i, sizeof(i)) : 0;
	LH_CLEANUP(cleanup_filter) struct lh_hash_filter *filter = NULL;
	assert_success(lh_hash_filter_create(hashes, COUNT, &filter));
	for (uint64_t i = 0; i < COUNT; i++)
		assert_true(lh_hash_filter_has(filter, hashes[i]));
	for (uint64_t i = COUNT; i < 100 * COUNT; i++)
		assert_false(lh_hash_filter_has(filter, XXH3_64bits(&i, sizeof(i))));
}

/* What is told before a template is read must not contradict it. */
static void test_texts_of_a_template_have_one_frame(void **state)
{
	(void)state;
	static const char *const pieces[] = {"4711",
					     "0x7f00",
					     "deadbeef01",
					     "10.0.0.1",
					     "2024-05-01T10:00:00Z",
					     " ",
					     "-",
					     "abc",
					     "=",
					     "x==",
					     "a/b_",
					     "12:30:01",
					     "QWxhZGRpbjpvcGVuIHNlc2FtZTEyMzQ1Ng==",
					     "+0200",
					     "6f1f8c1e-58a4-4f0c-9b1d-2f6c3a1b9d77",
					     "a b c d",
					     "99",
					     "Zf3kQ9xLm2Rt8vBn4"};
	enum { TEXTS = 200000, SLOTS = 1 << 19 };
	struct {
		uint64_t hash, frame;
	} *seen = calloc(SLOTS, sizeof(*seen));
	assert_non_null(seen);
	unsigned equal = 0, seed = 1;
	for (unsigned i = 0; i < TEXTS; i++) {
		char text[LH_EXAMPLE_MAX * 2] = "";
		size_t length = 0;
		for (unsigned k = 0; k < 1 + i % 5; k++) {
			seed = seed * 1103515245 + 12345;
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s",
						   pieces[(seed >> 16) % LH_ARRAY_COUNT(pieces)]);
		}
		assert_true(length < sizeof(text));
		struct lh_template template;
		struct lh_template_start start = lh_template_begin((const uint8_t *)text, length);
		lh_template_read((const uint8_t *)text, length, start, &template);
		if (lh_template_is_plain(start, length)) {
			assert_int_equal(template.value_count, 0);
			assert_int_equal(template.hash, XXH3_64bits(text, length));
			continue;
		}
		uint64_t frame = lh_template_frame((const uint8_t *)text, length, start);
		size_t at = template.hash % SLOTS;
		while (seen[at].hash && seen[at].hash != template.hash)
			at = (at + 1) % SLOTS;
		if (seen[at].hash) {
			assert_int_equal(seen[at].frame, frame);
			equal++;
		}
		seen[at].hash = template.hash;
		seen[at].frame = frame;
	}
	assert_true(equal > TEXTS / 10);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_while_they_fit),
		cmocka_unit_test(test_about_how_many_are_different),
		cmocka_unit_test(test_filter_has_what_it_was_made_of),
		cmocka_unit_test(test_texts_of_a_template_have_one_frame),
		cmocka_unit_test(test_what_is_seen_once_is_not_repeated),
		cmocka_unit_test(test_heavy_ones_survive_a_full_table),
		cmocka_unit_test(test_texts_that_fill_their_room),
		cmocka_unit_test(test_wide_and_secret_texts),
		cmocka_unit_test(test_each_kind_of_value),
		cmocka_unit_test(test_only_differences_are_replaced),
		cmocka_unit_test(test_different_words_are_different_templates),
		cmocka_unit_test(test_merging_parts),
		cmocka_unit_test(test_zero_pages_and_printable_bytes),
		cmocka_unit_test(test_wide_text_that_ends_in_a_zero_page),
		cmocka_unit_test(test_interrupted_gives_the_result_so_far),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The receipt of a dump: bytes lost are named by reason, once each, and JSON says the same. */
#include "unit.h"

#include "leakhunt/report.h"

#include <jansson.h>

static void fill_receipt(struct lh_receipt *receipt)
{
	const struct lh_gap gaps[] = {
		{{0x1000, 0x3000}, LH_GAP_SWAPPED},
		{{0x5000, 0x6000}, LH_GAP_UNREADABLE},
		{{0x8000, 0x9000}, LH_GAP_SWAPPED},
	};
	*receipt = (struct lh_receipt){
		.pid = 4711,
		.command = "a\x1b[2Jb",
		.mode = LH_DUMP_STOP,
		.mode_reason = "asked for",
		.path = "dump.bin",
		.pause_ns = 1500000,
		.thread_count = 3,
		.copied_bytes = 10 * LH_MIB,
		.gap_bytes = 0x4000,
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(gaps); i++)
		assert_success(lh_vec_push(&receipt->gaps.items, gaps[i]));
}

static size_t count_of(const char *text, const char *word)
{
	size_t count = 0;
	for (const char *at = text; (at = strstr(at, word)); at++)
		count++;
	return count;
}

static void test_text_names_each_reason_once(void **state)
{
	(void)state;
	struct lh_receipt receipt LH_CLEANUP(lh_receipt_deinit);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	fill_receipt(&receipt);
	lh_report_receipt_text(&receipt, (struct lh_style){0}, &text);
	assert_success(lh_buffer_status(&text));
	assert_int_equal(count_of(text.data, "swapped"), 1);
	assert_non_null(strstr(text.data, "12.0 KiB swapped"));
	assert_non_null(strstr(text.data, "4.00 KiB unreadable"));
	assert_non_null(strstr(text.data, "1.50 ms"));
	assert_non_null(strstr(text.data, "mode stop"));
	assert_null(strchr(text.data, '\x1b'));
}

static void test_json_lists_the_gaps(void **state)
{
	(void)state;
	struct lh_receipt receipt LH_CLEANUP(lh_receipt_deinit);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	fill_receipt(&receipt);
	assert_success(lh_receipt_encode(&receipt, &text));
	json_t *object = json_loads(text.data, 0, NULL);
	assert_non_null(object);
	assert_false(json_boolean_value(json_object_get(object, "complete")));
	const json_t *gaps = json_object_get(object, "gaps");
	assert_int_equal(json_array_size(gaps), 3);
	for (size_t i = 0; i < 3; i++) {
		const char *reason = json_string_value(json_object_get(json_array_get(gaps, i), "reason"));
		assert_int_equal(lh_gap_reason_parse(reason), receipt.gaps.items.items[i].reason);
	}
	json_decref(object);
}

static void test_reasons_have_distinct_names(void **state)
{
	(void)state;
	for (int i = 0; i < LH_GAP_REASON_COUNT; i++) {
		const char *name = lh_gap_reason_name((enum lh_gap_reason)i);
		assert_int_equal(lh_gap_reason_parse(name), i);
	}
	assert_int_equal(lh_gap_reason_parse("of a later version"), LH_GAP_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_names_each_reason_once),
		cmocka_unit_test(test_json_lists_the_gaps),
		cmocka_unit_test(test_reasons_have_distinct_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* maps: rows of a text of smaps, their sums by kind, and columns that fit a terminal. Truth: the text's own numbers. */
#include "unit.h"

#include "leakhunt/json.h"
#include "leakhunt/report.h"

static const char smaps[] = "55d000000000-55d000100000 r-xp 00000000 08:01 5 /usr/bin/server\n"
			    "Rss:                 100 kB\nPss:                  50 kB\nPrivate_Clean:        20 kB\n"
			    "55d000200000-55d000300000 rw-p 00000000 00:00 0 [heap]\n"
			    "Rss:                 400 kB\nPss:                 400 kB\nPrivate_Dirty:       400 kB\n"
			    "Anonymous:           400 kB\nSwap:                 64 kB\n"
			    "7f0000000000-7f0000010000 rw-p 00000000 00:00 0 \n"
			    "Rss:                   8 kB\nPss:                   8 kB\nPrivate_Dirty:         8 kB\n"
			    "Anonymous:             8 kB\n"
			    "7f0000100000-7f0000180000 rw-p 00000000 00:00 0 \n"
			    "Rss:                  16 kB\nPss:                  16 kB\nPrivate_Dirty:        16 kB\n"
			    "Anonymous:            16 kB\n";

static void report_text(unsigned width, bool is_by_kind, enum lh_maps_sort sort, struct lh_buffer *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	assert_success(lh_regions_parse(smaps, strlen(smaps), "test", &list));
	assert_int_equal(list.regions.count, 4);
	struct lh_maps_report report = {
		.command = "", .list = &list, .kinds = UINT32_MAX, .sort = sort, .is_by_kind = is_by_kind};
	lh_report_maps_text(&report, (struct lh_style){.width = width}, ret);
	assert_success(lh_buffer_status(ret));
}

/* In characters: an ellipsis takes three bytes. */
static size_t longest_line(const char *text)
{
	size_t longest = 0, length = 0;
	for (; *text; text++) {
		length = *text == '\n' ? 0 : length + ((*text & 0xc0) != 0x80);
		longest = lh_max_u64(longest, length);
	}
	return longest;
}

static void test_every_width(void **state)
{
	(void)state;
	for (int is_by_kind = 0; is_by_kind < 2; is_by_kind++) {
		for (unsigned width = 76; width < 160; width++) {
			struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
			report_text(width, is_by_kind, LH_SORT_ADDRESS, &text);
			assert_true(longest_line(text.data) <= width);
			assert_non_null(strstr(text.data, "USS"));
		}
	}
}

/* The figures that matter least go first, and all are there without a terminal. */
static void test_omitted_columns(void **state)
{
	(void)state;
	static const char *const titles[] = {"LOCKED", "ANON", "SWAP", "PSS", "VSS", "PERM"};
	size_t shown_before = 0;
	for (unsigned width = 76; width < 160; width++) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		size_t shown = LH_ARRAY_COUNT(titles);
		report_text(width, false, LH_SORT_ADDRESS, &text);
		while (shown && !strstr(text.data, titles[LH_ARRAY_COUNT(titles) - shown]))
			shown--;
		for (size_t i = LH_ARRAY_COUNT(titles) - shown; i < LH_ARRAY_COUNT(titles); i++)
			assert_non_null(strstr(text.data, titles[i]));
		assert_true(shown >= shown_before);
		shown_before = shown;
	}
	assert_int_equal(shown_before, LH_ARRAY_COUNT(titles));
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	report_text(0, false, LH_SORT_ADDRESS, &text);
	for (size_t i = 0; i < LH_ARRAY_COUNT(titles); i++)
		assert_non_null(strstr(text.data, titles[i]));
}

static void test_sums_by_kind(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	report_text(0, true, LH_SORT_USS, &text);
	const char *heap = strstr(text.data, "\nheap "), *anon = strstr(text.data, "\nanon ");
	const char *total = strstr(text.data, "\ntotal ");
	assert_true(heap && anon && total);
	assert_true(heap < anon && anon < total);
	assert_non_null(strstr(anon, "24.0 KiB")); /* 8 + 16 */
	assert_true(strstr(anon, " 2\n") < total);
	assert_non_null(strstr(total, "524 KiB")); /* Rss: 100 + 400 + 8 + 16 */
	assert_non_null(strstr(total, "444 KiB")); /* private: 20 + 400 + 8 + 16 */
}

static void test_order(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	report_text(0, false, LH_SORT_USS, &text);
	assert_true(strstr(text.data, "[heap]") < strstr(text.data, "0x7f0000100000"));
	assert_true(strstr(text.data, "0x7f0000100000") < strstr(text.data, "0x7f0000000000"));
}

static void test_json(void **state)
{
	(void)state;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	assert_success(lh_regions_parse(smaps, strlen(smaps), "test", &list));
	struct lh_maps_report report = {.command = "", .list = &list, .kinds = 1u << LH_REGION_HEAP};
	lh_report_maps_json(&report, &text);
	assert_success(lh_buffer_status(&text));
	json_t *root = json_loadb(text.data, text.length, 0, NULL);
	assert_non_null(root);
	json_t *regions = json_object_get(root, "regions");
	assert_int_equal(json_array_size(regions), 1);
	json_t *heap = json_array_get(regions, 0);
	assert_string_equal(json_string_value(json_object_get(heap, "start")), "0x55d000200000");
	assert_int_equal(json_integer_value(json_object_get(heap, "swap_bytes")), 64 * 1024);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_width),  cmocka_unit_test(test_omitted_columns),
		cmocka_unit_test(test_sums_by_kind), cmocka_unit_test(test_order),
		cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_companions: which types are named together, by their numbers alone. */
#include "leakhunt/scan.h"
#include "unit.h"

static void test_own_type_leads_its_parts(void **state)
{
	/* A list of one item, its text and two numbers for each object, and a dict that holds all of them. */
	struct lh_companion_row rows[] = {
		{.count = 78600, .bytes = 6288000},  {.count = 78612, .bytes = 5030400},
		{.count = 157199, .bytes = 5030368}, {.count = 78600, .bytes = 3772800, .is_own = true},
		{.count = 0, .bytes = 2621440},
	};
	struct lh_companions found;
	(void)state;
	assert_true(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
	assert_int_equal(found.lead, 3);
	assert_int_equal(found.count, 3);
	assert_int_equal(found.rows[0], 0);
	assert_int_equal(found.times[0], 1);
	assert_int_equal(found.rows[2], 2);
	assert_int_equal(found.times[2], 2);
	assert_int_equal(found.bytes, 6288000 + 5030400 + 5030368 + 3772800);

	assert_true(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
	assert_int_equal(found.lead, 4);
	assert_int_equal(found.count, 0);
	assert_int_equal(found.bytes, 2621440);
	assert_false(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
}

static void test_own_type_of_other_number_does_not_lead(void **state)
{
	struct lh_companion_row rows[] = {
		{.count = 10000, .bytes = 1000000},
		{.count = 7000, .bytes = 400000, .is_own = true},
		{.count = 7060, .bytes = 20000},
		{.count = 35000, .bytes = 10000}, /* five times: not tried */
	};
	struct lh_companions found;
	(void)state;
	assert_true(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
	assert_int_equal(found.lead, 0);
	assert_int_equal(found.count, 0);
	assert_true(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
	assert_int_equal(found.lead, 1);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.rows[0], 2);
}

static void test_few_objects_are_alike_by_chance(void **state)
{
	struct lh_companion_row rows[] = {
		{.count = 15, .bytes = 1000},
		{.count = 15, .bytes = 900, .is_own = true},
	};
	struct lh_companions found;
	(void)state;
	assert_true(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
	assert_int_equal(found.lead, 0);
	assert_int_equal(found.count, 0);
}

static void test_no_rows(void **state)
{
	struct lh_companions found;
	(void)state;
	assert_false(lh_companions_find(NULL, 0, LH_GROWN_ALIKE, &found));
}

static void test_more_companions_than_fit_stay(void **state)
{
	struct lh_companion_row rows[LH_COMPANIONS_MAX + 3];
	struct lh_companions found;
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(rows); i++)
		rows[i] = (struct lh_companion_row){.count = 100, .bytes = 1000 - i};
	assert_true(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
	assert_int_equal(found.lead, 0);
	assert_int_equal(found.count, LH_COMPANIONS_MAX);
	assert_true(lh_companions_find(rows, LH_ARRAY_COUNT(rows), LH_GROWN_ALIKE, &found));
	assert_int_equal(found.lead, LH_COMPANIONS_MAX + 1);
	assert_int_equal(found.count, 1);
}

static void test_texts_that_grew_as_often(void **state)
{
	struct lh_diff_row templates[] = {
		{.name = "Host: <n>.shop.example", .before_count = 10, .after_count = 397},
		{.name = "GET /<n>", .before_count = 1253, .after_count = 1612},
		{.name = "GET /shorter", .before_count = 0, .after_count = 359},
	};
	struct lh_diff_row texts[] = {
		{.name = "OK", .before_count = 0, .after_count = 387},
		{.name = "a text twice", .before_count = 0, .after_count = 100},
		{.name = "less of this", .before_count = 100, .after_count = 0},
	};
	struct lh_diff diff = {0};
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(templates); i++)
		assert_null(lh_vec_push(&diff.kinds[LH_DIFF_TEMPLATES].rows, templates[i]));
	for (size_t i = 0; i < LH_ARRAY_COUNT(texts); i++)
		assert_null(lh_vec_push(&diff.kinds[LH_DIFF_TEXTS].rows, texts[i]));
	assert_string_equal(lh_diff_find_text_alike(&diff, 359)->name, "GET /<n>");
	assert_string_equal(lh_diff_find_text_alike(&diff, 386)->name, "Host: <n>.shop.example");
	assert_string_equal(lh_diff_find_text_alike(&diff, 100)->name, "a text twice");
	assert_null(lh_diff_find_text_alike(&diff, 300));
	assert_null(lh_diff_find_text_alike(&diff, 0));
	lh_diff_deinit(&diff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_type_leads_its_parts),
		cmocka_unit_test(test_own_type_of_other_number_does_not_lead),
		cmocka_unit_test(test_few_objects_are_alike_by_chance),
		cmocka_unit_test(test_no_rows),
		cmocka_unit_test(test_more_companions_than_fit_stay),
		cmocka_unit_test(test_texts_that_grew_as_often),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

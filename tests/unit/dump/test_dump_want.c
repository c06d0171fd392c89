/* want: which words are understood, and what they ask for. */
#include "leakhunt/dump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static uint32_t bit(enum lh_region_kind kind)
{
	return UINT32_C(1) << kind;
}

static struct lh_want parsed(const char *text)
{
	struct lh_want want = {0};
	assert_null(lh_want_parse(text, &want));
	assert_string_equal(want.text, text);
	return want;
}

static void heap_is_what_malloc_takes(void **state)
{
	(void)state;
	struct lh_want want = parsed("heap");
	assert_int_equal(want.kind, LH_WANT_KINDS);
	assert_int_equal(want.kinds, LH_HEAP_KINDS);
	assert_true(want.kinds & bit(LH_REGION_ARENA) && want.kinds & bit(LH_REGION_JEMALLOC));
	assert_false(want.kinds & bit(LH_REGION_ANON));
}

static void anon_is_heap_and_other_anonymous_memory_but_no_stack(void **state)
{
	(void)state;
	uint32_t kinds = parsed("anon").kinds;
	assert_int_equal(kinds & parsed("heap").kinds, parsed("heap").kinds);
	assert_true(kinds & bit(LH_REGION_ANON));
	assert_int_equal(kinds & parsed("stacks").kinds, 0);
	assert_int_equal(kinds & parsed("data").kinds, 0);
}

static void every_kind_is_a_word(void **state)
{
	(void)state;
	for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++) {
		const char *name = lh_region_kind_name((enum lh_region_kind)kind);
		uint32_t kinds = parsed(name).kinds;
		assert_true(kinds & bit((enum lh_region_kind)kind));
	}
}

static void ranges_and_names(void **state)
{
	(void)state;
	struct lh_want range = parsed("0x7f0000001000-0x7f0000003000");
	assert_int_equal(range.kind, LH_WANT_RANGE);
	assert_int_equal(range.range.start, 0x7f0000001000);
	assert_int_equal(range.range.end, 0x7f0000003000);
	struct lh_want name = parsed("name:*lib ssl*");
	assert_int_equal(name.kind, LH_WANT_NAME);
	assert_string_equal(name.glob, "*lib ssl*");
	assert_int_equal(parsed("all").kind, LH_WANT_ALL);
}

static void wrong_words_are_usage_errors_that_name_them(void **state)
{
	(void)state;
	static const char *const words[] = {"", "heep", "HEAP", "0x", "0x5-0x5", "0x9-0x5", "name:", "heap ", "-"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
		struct lh_want want = {.text = "untouched"};
		struct lh_error *error = lh_want_parse(words[i], &want);
		assert_non_null(error);
		assert_int_equal(lh_error_code(error), LH_ERROR_USAGE);
		assert_non_null(strstr(lh_error_message(error), words[i]));
		assert_string_equal(want.text, "untouched");
		lh_error_destroy(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap_is_what_malloc_takes),
		cmocka_unit_test(anon_is_heap_and_other_anonymous_memory_but_no_stack),
		cmocka_unit_test(every_kind_is_a_word),
		cmocka_unit_test(ranges_and_names),
		cmocka_unit_test(wrong_words_are_usage_errors_that_name_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The words of a command line: spellings of one option, typed values, and what errors name. */
#include "unit.h"

#include "cli/command.h"

static struct lh_error *run_nothing(const struct lh_arguments *arguments, int *ret_status)
{
	(void)arguments;
	(void)ret_status;
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "samples", .letter = 'c', .argument = "N", .summary = "how many", .old_letter = 'n'},
	{.name = "interval", .letter = 'i', .argument = "TIME", .summary = "how long"},
	{.name = "region", .argument = "WHAT", .summary = "which", .is_repeatable = true},
	{.name = "json", .letter = 'j', .summary = "as JSON"},
	{0},
};

static const struct lh_command command = {
	.name = "test",
	.summary = "does nothing",
	.operands = "PID",
	.operands_min = 1,
	.operands_max = 2,
	.options = options,
	.run = run_nothing,
};

/* The words, ended by NULL, as main hands them to a command. */
static struct lh_error *parse_words(const char *const *words, struct lh_arguments **ret)
{
	char *argv[16] = {(char *)(uintptr_t) "test"};
	int argc = 1;
	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	return lh_arguments_parse(&command, argc, argv, ret);
}

static void test_spellings_are_the_same(void **state)
{
	(void)state;
	static const char *const spellings[][4] = {
		{"--samples", "5", "1", NULL}, {"--samples=5", "1", NULL}, {"-c5", "1", NULL},
		{"-c", "5", "1", NULL},        {"1", "-c5", NULL},         {"-n5", "1", NULL},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(spellings); i++) {
		LH_CLEANUP(lh_cleanup_arguments) struct lh_arguments *arguments = NULL;
		uint64_t samples = 10;
		assert_success(parse_words(spellings[i], &arguments));
		assert_success(lh_arguments_u64(arguments, "samples", 1, 100, &samples));
		assert_int_equal(samples, 5);
		assert_int_equal(lh_arguments_operand_count(arguments), 1);
		assert_string_equal(lh_arguments_operand(arguments, 0), "1");
		assert_false(lh_arguments_has(arguments, "json"));
	}
}

static void test_repeated_options(void **state)
{
	(void)state;
	static const char *const words[] = {"--region", "heap", "1", "--region=anon", "-j", NULL};
	LH_CLEANUP(lh_cleanup_arguments) struct lh_arguments *arguments = NULL;
	assert_success(parse_words(words, &arguments));
	assert_int_equal(lh_arguments_value_count(arguments, "region"), 2);
	assert_string_equal(lh_arguments_value_at(arguments, "region", 0), "heap");
	assert_string_equal(lh_arguments_value_at(arguments, "region", 1), "anon");
	assert_null(lh_arguments_value_at(arguments, "region", 2));
	assert_true(lh_arguments_has(arguments, "json"));
}

static void test_two_dashes_end_options(void **state)
{
	(void)state;
	static const char *const words[] = {"--", "-j", "--samples", NULL};
	LH_CLEANUP(lh_cleanup_arguments) struct lh_arguments *arguments = NULL;
	assert_success(parse_words(words, &arguments));
	assert_int_equal(lh_arguments_operand_count(arguments), 2);
	assert_string_equal(lh_arguments_operand(arguments, 0), "-j");
	assert_false(lh_arguments_has(arguments, "json"));
}

static void test_errors_name_the_word(void **state)
{
	(void)state;
	static const struct {
		const char *words[5];
		const char *named;
	} cases[] = {
		{{"1", "--sampels", "5", NULL}, "--sampels"},
		{{"1", "-q", NULL}, "-q"},
		{{"1", "--samples", NULL}, "samples"},
		{{"1", "--json=yes", NULL}, "json"},
		{{"1", "2", "3", NULL}, "3"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct lh_arguments *arguments = NULL;
		struct lh_error *error = parse_words(cases[i].words, &arguments);
		assert_non_null(error);
		assert_int_equal(lh_error_code(error), LH_ERROR_USAGE);
		assert_non_null(strstr(lh_error_message(error), cases[i].named));
		assert_null(arguments);
		lh_error_destroy(error);
	}
	static const char *const none[] = {NULL};
	struct lh_arguments *arguments = NULL;
	assert_failure(parse_words(none, &arguments), LH_ERROR_USAGE);
}

static void test_numbers_have_bounds(void **state)
{
	(void)state;
	static const char *const bad[] = {"0", "101", "-1", "5x", "", "18446744073709551616"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++) {
		const char *const words[] = {"1", "--samples", bad[i], NULL};
		LH_CLEANUP(lh_cleanup_arguments) struct lh_arguments *arguments = NULL;
		uint64_t samples = 10;
		struct lh_error *error = parse_words(words, &arguments);
		if (!error)
			error = lh_arguments_u64(arguments, "samples", 1, 100, &samples);
		assert_non_null(error);
		assert_int_equal(lh_error_code(error), LH_ERROR_USAGE);
		assert_int_equal(samples, 10);
		lh_error_destroy(error);
	}
}

static void test_nearest_name(void **state)
{
	(void)state;
	static const char *const names[] = {"dump", "maps", "select", "strings"};
	assert_string_equal(lh_nearest("selcet", names, 4), "select");
	assert_string_equal(lh_nearest("map", names, 4), "maps");
	assert_null(lh_nearest("frobnicate", names, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings_are_the_same), cmocka_unit_test(test_repeated_options),
		cmocka_unit_test(test_two_dashes_end_options), cmocka_unit_test(test_errors_name_the_word),
		cmocka_unit_test(test_numbers_have_bounds),    cmocka_unit_test(test_nearest_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

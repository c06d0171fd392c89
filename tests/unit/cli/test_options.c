/* The options of all commands agree: one letter has one meaning, and what all commands share is spelled alike. */
#include "unit.h"

#include "cli/command.h"

#include <ctype.h>

/* GNU strings' -t is older than leakhunt's. */
static bool is_exception(const struct lh_command *command, char letter)
{
	return letter == 't' && !strcmp(command->name, "strings");
}

static const struct lh_option *find_option(const struct lh_command *command, const char *name)
{
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		if (!strcmp(option->name, name))
			return option;
	}
	return NULL;
}

static void test_one_letter_one_meaning(void **state)
{
	(void)state;
	const char *meanings[128] = {['h'] = "help"};
	for (size_t i = 0; lh_commands[i]; i++) {
		for (const struct lh_option *option = lh_commands[i]->options; option && option->name; option++) {
			const char **meaning = &meanings[option->letter & 127];
			if (!option->letter || is_exception(lh_commands[i], option->letter))
				continue;
			assert_true(isalnum((unsigned char)option->letter));
			if (*meaning && strcmp(*meaning, option->name) != 0)
				fail_msg("-%c of %s is --%s, elsewhere --%s", option->letter, lh_commands[i]->name,
					 option->name, *meaning);
			*meaning = option->name;
		}
	}
	assert_string_equal(meanings['j'], "json");
	assert_string_equal(meanings['m'], "mode");
	assert_string_equal(meanings['n'], "bytes");
	assert_string_equal(meanings['s'], "sort");
}

/* An option that one command gives a letter has it in all of them. */
static void test_one_name_one_letter(void **state)
{
	(void)state;
	for (size_t i = 0; lh_commands[i]; i++) {
		for (const struct lh_option *option = lh_commands[i]->options; option && option->name; option++) {
			for (size_t j = 0; j < i; j++) {
				const struct lh_option *other = find_option(lh_commands[j], option->name);
				if (other && other->letter != option->letter)
					fail_msg("--%s has another letter in %s than in %s", option->name,
						 lh_commands[i]->name, lh_commands[j]->name);
			}
		}
	}
}

static void test_every_result_has_json(void **state)
{
	(void)state;
	size_t count = 0;
	for (size_t i = 0; lh_commands[i]; i++) {
		if (lh_commands[i]->is_hidden || !strcmp(lh_commands[i]->name, "help"))
			continue;
		const struct lh_option *json = find_option(lh_commands[i], "json");
		if (!json)
			fail_msg("%s has no --json", lh_commands[i]->name);
		assert_int_equal(json->letter, 'j');
		assert_non_null(strstr(lh_commands[i]->summary, " "));
		count++;
	}
	assert_true(count >= 10);
}

/* Old spellings are no options of their own, so that help tells of them in one place. */
static void test_old_spellings(void **state)
{
	(void)state;
	for (size_t i = 0; lh_commands[i]; i++) {
		assert_null(find_option(lh_commands[i], "most"));
		for (const struct lh_option *option = lh_commands[i]->options; option && option->name; option++) {
			struct lh_buffer help = {0};
			char spelling[64];
			if (!option->old_name)
				continue;
			assert_null(find_option(lh_commands[i], option->old_name));
			lh_help_command(lh_commands[i], 100, &help);
			assert_success(lh_buffer_status(&help));
			snprintf(spelling, sizeof(spelling), "--%s", option->old_name);
			assert_non_null(strstr(help.data, spelling));
			lh_buffer_deinit(&help);
		}
	}
}

/* A summary begins in lower case and is no sentence; a default stands at its end, and in one form. */
static void test_summaries(void **state)
{
	(void)state;
	for (size_t i = 0; lh_commands[i]; i++) {
		for (const struct lh_option *option = lh_commands[i]->options; option && option->name; option++) {
			const char *summary = option->summary;
			const char *value = strstr(summary, "(default");
			size_t length = strlen(summary);
			if (isupper((unsigned char)summary[0]) && islower((unsigned char)summary[1]))
				fail_msg("%s --%s: %s", lh_commands[i]->name, option->name, summary);
			if (!length || summary[length - 1] == '.' || strstr(summary, "when not given"))
				fail_msg("%s --%s: %s", lh_commands[i]->name, option->name, summary);
			if (value && strncmp(value, "(default: ", 10) != 0 &&
			    strncmp(value, "(default FILE: ", 15) != 0)
				fail_msg("%s --%s: %s", lh_commands[i]->name, option->name, summary);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_letter_one_meaning),
		cmocka_unit_test(test_one_name_one_letter),
		cmocka_unit_test(test_every_result_has_json),
		cmocka_unit_test(test_old_spellings),
		cmocka_unit_test(test_summaries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

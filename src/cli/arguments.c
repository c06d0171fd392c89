/*
 * arguments: reads the words of a command by its option rows. Options may stand before and after
 * operands; names are exact, and a typo is answered with the nearest name.
 */
#include "command.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct given {
	const struct lh_option *option;
	const char *value; /* NULL for a flag; points into argv or at text after '=' in it */
};

struct lh_arguments {
	const struct lh_command *command;
	bool wants_help;
	LH_VEC(struct given) given;
	LH_VEC(const char *) operands;
};

static const struct lh_option help_option = {.name = "help", .letter = 'h'};

/* Levenshtein distance, cut off at `limit` + 1. Words longer than 31 bytes are never near. */
static size_t edit_distance(const char *a, const char *b, size_t limit)
{
	enum { WORD_MAX = 32 };
	size_t a_length = strlen(a), b_length = strlen(b);
	if (a_length >= WORD_MAX || b_length >= WORD_MAX)
		return limit + 1;
	size_t row[WORD_MAX];
	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			size_t best = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			row[j] = best < replaced ? best : replaced;
		}
	}
	return row[b_length];
}

const char *lh_nearest(const char *word, const char *const *candidates, size_t count)
{
	const char *nearest = NULL;
	size_t nearest_distance = strlen(word) <= 3 ? 1 : 2;
	if (strlen(word) < 2)
		return NULL; /* any one-letter word is near any other */
	for (size_t i = 0; i < count; i++) {
		size_t distance = edit_distance(word, candidates[i], nearest_distance);
		if (distance <= nearest_distance && (!nearest || distance < nearest_distance)) {
			nearest = candidates[i];
			nearest_distance = distance;
		}
	}
	return nearest;
}

static struct lh_error *unknown_option(const struct lh_command *command, const char *name, size_t name_length)
{
	struct lh_error *error = lh_error_create(LH_ERROR_USAGE, "unknown option '--%.*s'", (int)name_length, name);
	LH_VEC(const char *) names = {0};
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		struct lh_error *full = lh_vec_push(&names, option->name);
		lh_error_destroy(full);
	}
	LH_CLEANUP(lh_cleanup_free) char *word = strndup(name, name_length);
	const char *nearest = word ? lh_nearest(word, names.items, names.count) : NULL;
	lh_vec_deinit(&names);
	if (nearest)
		return lh_error_hint(error, "did you mean --%s?", nearest);
	return lh_error_hint(error, "`leakhunt %s --help` lists the options", command->name);
}

static bool is_word(const char *word, const char *text, size_t length)
{
	return strlen(word) == length && strncmp(word, text, length) == 0;
}

static const struct lh_option *find_long(const struct lh_command *command, const char *name, size_t length)
{
	if (is_word(help_option.name, name, length))
		return &help_option;
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		if (is_word(option->name, name, length) ||
		    (option->old_name && is_word(option->old_name, name, length)))
			return option;
	}
	return NULL;
}

static const struct lh_option *find_letter(const struct lh_command *command, char letter)
{
	if (letter == help_option.letter)
		return &help_option;
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		if (option->letter == letter)
			return option;
	}
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		if (option->old_letter == letter)
			return option;
	}
	return NULL;
}

static const struct given *find_given(const struct lh_arguments *arguments, const char *name, size_t i)
{
	for (size_t k = 0; k < arguments->given.count; k++) {
		if (strcmp(arguments->given.items[k].option->name, name) == 0 && i-- == 0)
			return &arguments->given.items[k];
	}
	return NULL;
}

static bool is_one_of_words(const char *value, const char *words)
{
	for (const char *word = words; *word; word += strspn(word, " ")) {
		size_t word_length = strcspn(word, " ");
		if (is_word(value, word, word_length))
			return true;
		word += word_length;
	}
	return false;
}

static struct lh_error *unknown_word(const struct lh_option *option, const char *value)
{
	const char *names[32];
	size_t count = 0;
	struct lh_error *error = lh_error_create(LH_ERROR_USAGE, "option --%s does not take '%s'", option->name, value);
	LH_CLEANUP(lh_cleanup_free) char *words = strdup(option->words);
	char *rest = words;
	for (char *word; count < LH_ARRAY_COUNT(names) && (word = strsep(&rest, " "));)
		names[count++] = word;
	const char *nearest = lh_nearest(value, names, count);
	if (nearest)
		return lh_error_hint(error, "did you mean %s? It takes one of: %s", nearest, option->words);
	return lh_error_hint(error, "it takes one of: %s", option->words);
}

static struct lh_error *record_option(struct lh_arguments *arguments, const struct lh_option *option, const char *value)
{
	if (option == &help_option) {
		arguments->wants_help = true;
		return NULL;
	}
	if (!option->is_repeatable && option->argument && find_given(arguments, option->name, 0))
		return lh_error_create(LH_ERROR_USAGE, "option --%s is given twice", option->name);
	/* An open list (one that ends in "...") only feeds the shell completion. */
	bool is_closed = value && option->words && !strstr(option->words, "...");
	if (is_closed && !is_one_of_words(value, option->words))
		return unknown_word(option, value);
	return lh_vec_push(&arguments->given, (struct given){option, value});
}

static struct lh_error *missing_value(const struct lh_option *option)
{
	return lh_error_create(LH_ERROR_USAGE, "option --%s needs a value: --%s %s", option->name, option->name,
			       option->argument);
}

/* "--name", "--name=value" or "--name value"; `next` is the following word or NULL. */
static struct lh_error *parse_long(struct lh_arguments *arguments, const char *word, const char *next,
				   bool *ret_used_next)
{
	const char *name = word + 2;
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct lh_option *option = find_long(arguments->command, name, length);
	if (!option)
		return unknown_option(arguments->command, name, length);
	if (!option->argument) {
		if (equals)
			return lh_error_create(LH_ERROR_USAGE, "option --%s takes no value", option->name);
		return record_option(arguments, option, NULL);
	}
	if (equals)
		return record_option(arguments, option, equals + 1);
	if (!next)
		return missing_value(option);
	*ret_used_next = true;
	return record_option(arguments, option, next);
}

/* "-n5", "-n 5", or several flags in one word. */
static struct lh_error *parse_letters(struct lh_arguments *arguments, const char *word, const char *next,
				      bool *ret_used_next)
{
	for (const char *letter = word + 1; *letter; letter++) {
		const struct lh_option *option = find_letter(arguments->command, *letter);
		if (!option)
			return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "unknown option '-%c'", *letter),
					     "`leakhunt %s --help` lists the options", arguments->command->name);
		if (!option->argument) {
			LH_TRY(record_option(arguments, option, NULL));
			continue;
		}
		if (letter[1])
			return record_option(arguments, option, letter + 1);
		if (!next)
			return missing_value(option);
		*ret_used_next = true;
		return record_option(arguments, option, next);
	}
	return NULL;
}

static struct lh_error *parse_words(struct lh_arguments *arguments, int argc, char **argv)
{
	bool options_ended = false;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		bool used_next = false;
		/* No option is a digit: "-1" is a wrong operand. */
		if (options_ended || word[0] != '-' || !word[1] || isdigit((unsigned char)word[1]))
			LH_TRY(lh_vec_push(&arguments->operands, word));
		else if (strcmp(word, "--") == 0)
			options_ended = true;
		else if (word[1] == '-')
			LH_TRY(parse_long(arguments, word, next, &used_next));
		else
			LH_TRY(parse_letters(arguments, word, next, &used_next));
		i += used_next;
	}
	return NULL;
}

static struct lh_error *check_operands(const struct lh_arguments *arguments)
{
	const struct lh_command *command = arguments->command;
	size_t count = arguments->operands.count;
	for (size_t i = 0; i < count; i++) {
		if (!*arguments->operands.items[i])
			return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "an operand is empty"),
					     "a shell variable that is not set?");
	}
	if (count >= command->operands_min && count <= command->operands_max)
		return NULL;
	if (count < command->operands_min)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "missing operand: %s", command->operands),
				     "usage: leakhunt %s %s [OPTION]...", command->name, command->operands);
	return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "one operand too many: '%s'",
					     arguments->operands.items[command->operands_max]),
			     "usage: leakhunt %s %s%s[OPTION]...", command->name, command->operands,
			     *command->operands ? " " : "");
}

struct lh_error *lh_arguments_parse(const struct lh_command *command, int argc, char **argv, struct lh_arguments **ret)
{
	LH_CLEANUP(lh_cleanup_arguments) struct lh_arguments *arguments = calloc(1, sizeof(*arguments));
	if (!arguments)
		return lh_error_no_memory();
	arguments->command = command;
	LH_TRY(parse_words(arguments, argc, argv));
	if (!arguments->wants_help)
		LH_TRY(check_operands(arguments));
	*ret = arguments;
	arguments = NULL;
	return NULL;
}

void lh_arguments_destroy(struct lh_arguments *arguments)
{
	if (!arguments)
		return;
	lh_vec_deinit(&arguments->given);
	lh_vec_deinit(&arguments->operands);
	free(arguments);
}

void lh_cleanup_arguments(struct lh_arguments **arguments)
{
	lh_arguments_destroy(*arguments);
}

bool lh_arguments_wants_help(const struct lh_arguments *arguments)
{
	return arguments->wants_help;
}

bool lh_arguments_has(const struct lh_arguments *arguments, const char *option)
{
	return find_given(arguments, option, 0) != NULL;
}

const char *lh_arguments_value_at(const struct lh_arguments *arguments, const char *option, size_t i)
{
	const struct given *given = find_given(arguments, option, i);
	return given ? given->value : NULL;
}

const char *lh_arguments_value(const struct lh_arguments *arguments, const char *option)
{
	size_t count = lh_arguments_value_count(arguments, option);
	return count ? lh_arguments_value_at(arguments, option, count - 1) : NULL;
}

size_t lh_arguments_value_count(const struct lh_arguments *arguments, const char *option)
{
	size_t count = 0;
	while (find_given(arguments, option, count))
		count++;
	return count;
}

size_t lh_arguments_operand_count(const struct lh_arguments *arguments)
{
	return arguments->operands.count;
}

const char *lh_arguments_operand(const struct lh_arguments *arguments, size_t i)
{
	return i < arguments->operands.count ? arguments->operands.items[i] : NULL;
}

/* Says which option the bad value was given to, keeping the hint. Takes `error`. */
static struct lh_error *name_option(struct lh_error *error, const char *option)
{
	struct lh_error *named =
		lh_error_create(lh_error_code(error), "option --%s: %s", option, lh_error_message(error));
	if (lh_error_hint_text(error))
		named = lh_error_hint(named, "%s", lh_error_hint_text(error));
	lh_error_destroy(error);
	return named;
}

struct lh_error *lh_arguments_u64(const struct lh_arguments *arguments, const char *option, uint64_t min, uint64_t max,
				  uint64_t *ret)
{
	const char *text = lh_arguments_value(arguments, option);
	if (!text)
		return NULL;
	uint64_t value = 0;
	struct lh_error *error = lh_parse_u64(text, &value);
	if (error)
		return name_option(error, option);
	if (value < min || value > max)
		return lh_error_create(LH_ERROR_USAGE, "option --%s: %s is not between %" PRIu64 " and %" PRIu64,
				       option, text, min, max);
	*ret = value;
	return NULL;
}

struct lh_error *lh_arguments_duration(const struct lh_arguments *arguments, const char *option, uint64_t *ret_ns)
{
	const char *text = lh_arguments_value(arguments, option);
	if (!text)
		return NULL;
	struct lh_error *error = lh_parse_duration(text, ret_ns);
	return error ? name_option(error, option) : NULL;
}

/*
 * secret_command: passwords in options of commands: "mysql -psecret", "curl -u user:secret", in a shell command line,
 * in an argument vector (strings that follow each other in memory), and in a JSON array. Walks over the words after the
 * name of the command, never past the end of the line.
 */
#include "secret_forms.h"

#include <string.h>

enum { WORDS_MAX = 64, WORD_MAX = 1024, BYTES_MAX = 4096, PLAIN_WORDS_MAX = 6, NAME_REST_MAX = 16 };

struct words {
	const struct lh_candidate *candidate;
	size_t at;
	bool is_vector; /* only zero bytes separate the words */
};

/* [start, end), without surrounding quotes. */
struct command_word {
	size_t start;
	size_t end;
};

static uint8_t byte_at(const struct words *words, size_t at)
{
	return at < words->candidate->bytes_after && at < BYTES_MAX ? words->candidate->anchor[at] : 0;
}

/* The end of a word that begins with a quote, or without one; in a vector blanks belong to the word. */
static size_t word_end(const struct words *words, size_t start, uint8_t quote)
{
	size_t at = start;
	for (uint8_t byte; (byte = byte_at(words, at)) >= ' ' || byte == '\t'; at++) {
		bool is_end =
			quote ? byte == quote || byte == '\\' : byte == ' ' || byte == '\t' || strchr("\"'|;&)`", byte);
		if (!words->is_vector && is_end)
			break;
		if (at - start == WORD_MAX)
			break;
	}
	*words->candidate->examined += at - start;
	return at;
}

/* Blanks, and in JSON quotes and commas, separate words; the last quote opens the next word. */
static bool next_command_word(struct words *words, struct command_word *ret)
{
	uint8_t quote = 0, byte;
	size_t at = words->at;
	if (words->is_vector) {
		at++;
	} else {
		while ((byte = byte_at(words, at)) && strchr(" \t\"',[\\", byte)) {
			bool goes_on = byte == '\\' && byte_at(words, at + 1) == '\n';
			quote = strchr("\"'", byte) ? byte : byte == '\\' && !goes_on ? quote : 0;
			at += 1 + goes_on;
		}
	}
	*ret = (struct command_word){at, word_end(words, at, quote)};
	words->at = ret->end + (quote && byte_at(words, ret->end) == quote);
	return ret->end > ret->start || (quote && words->at > ret->end);
}

/* "-p": the value is attached, "-pvalue", never another word; "u ": "-uvalue" or "-u value", also "-su value". */
static bool take_short_option(struct words *words, struct command_word word, struct command_word *ret)
{
	const char *letters = words->candidate->form->option;
	size_t length = word.end - word.start;
	uint8_t next = byte_at(words, word.end), last = length ? byte_at(words, word.end - 1) : 0;
	if (length < 2 || byte_at(words, word.start + 1) == '-')
		return false;
	if (length > 2 && strchr(letters, byte_at(words, word.start + 1))) {
		*ret = (struct command_word){word.start + 2, word.end};
		return true;
	}
	bool is_last = strchr(letters, last) &&
		       lh_span_after(words->candidate, word.start + 1, length - 1, LH_BYTES_ALPHA) == length - 1;
	bool is_attached = (next == '"' || next == '\'') && words->at == word.end; /* -p"value" */
	return is_last && (is_attached || strchr(letters, ' ')) && next_command_word(words, ret);
}

/* "--user value", "--user=value". */
static bool take_long_option(struct words *words, struct command_word word, struct command_word *ret)
{
	const char *suffix = words->candidate->form->option_name;
	size_t name = word.start + 2 +
		      lh_span_after(words->candidate, word.start + 2, WORD_MAX, LH_BYTES_LOWER | LH_BYTE_DASH);
	size_t length = suffix ? strlen(suffix) : 0;
	if (!suffix || byte_at(words, word.start + 1) != '-' || name < word.start + 2 + length ||
	    !lh_after_equals(words->candidate, name - length, suffix))
		return false;
	if (name == word.end)
		return next_command_word(words, ret);
	*ret = (struct command_word){name + 1, word.end};
	return byte_at(words, name) == '=';
}

/* Cuts the value down to the secret in it. */
static bool cut_value(const struct words *words, struct command_word *value)
{
	const struct lh_candidate *candidate = words->candidate;
	char delimiter = candidate->form->delimiter;
	if (delimiter) {
		const uint8_t *found = memchr(candidate->anchor + value->start, delimiter, value->end - value->start);
		value->start = found ? (size_t)(found - candidate->anchor) + 1 : value->end;
	}
	return value->end > value->start &&
	       !lh_is_placeholder(candidate->anchor + value->start, value->end - value->start);
}

/* The name of a command begins a word: "/usr/bin/curl", "sudo curl", "[\"curl\"". It may go on: mysqldump. */
static bool begin_words(const struct lh_candidate *candidate, struct words *ret)
{
	size_t name = candidate->pattern_bytes +
		      lh_span_after(candidate, candidate->pattern_bytes, NAME_REST_MAX, LH_BYTES_LOWER | LH_BYTE_DASH);
	bool is_part = lh_before_is(candidate, 1, LH_BYTES_WORD | LH_BYTE_DASH | LH_BYTE_DOT | LH_BYTE_PLUS);
	*ret = (struct words){candidate, name, name < candidate->bytes_after && !candidate->anchor[name]};
	bool is_markup = lh_after_equals(candidate, name, "\\-"); /* "mysql\-password" of roff */
	return !is_part && !is_markup && name < candidate->bytes_after && strchr(" \t\"'\\", candidate->anchor[name]);
}

/* If there are several values, everything from the first to the last: a match is one piece. */
bool lh_rule_command(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct words words;
	struct command_word word, value;
	size_t start = 0, end = 0;
	if (!begin_words(candidate, &words))
		return false;
	unsigned plain_words = 0;
	for (unsigned i = 0; i < WORDS_MAX && plain_words < PLAIN_WORDS_MAX && next_command_word(&words, &word); i++) {
		bool is_option = byte_at(&words, word.start) == '-';
		plain_words = is_option ? 0 : plain_words + 1;
		if (is_option && (take_short_option(&words, word, &value) || take_long_option(&words, word, &value)) &&
		    cut_value(&words, &value)) {
			start = start ? start : value.start;
			end = value.end;
		}
	}
	*ret = (struct lh_match){.skipped = start, .length = end - start, .kind = candidate->form->kind};
	return start;
}

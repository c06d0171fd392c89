/*
 * suppressions: leaks to hide, in LeakSanitizer's format. Input: a text. Output: whether a name matches. As in
 * LeakSanitizer's templates, a pattern matches anywhere unless ^ or $ anchors it.
 */
#include "graph.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lh_suppressions_deinit(struct lh_suppressions *suppressions)
{
	lh_vec_deinit(&suppressions->patterns);
	lh_strings_pool_deinit(&suppressions->strings);
}

/* "^a*b$" becomes "a*b", "a" becomes "*a*"; other characters special to fnmatch(3) are quoted. */
static struct lh_error *add_suppression(struct lh_suppressions *suppressions, const char *text, size_t length)
{
	struct lh_buffer glob LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *kept;
	bool is_from_start = length && text[0] == '^', is_to_end = length && text[length - 1] == '$';
	lh_buffer_puts(&glob, is_from_start ? "" : "*");
	for (size_t i = is_from_start; i < length - is_to_end; i++) {
		if (strchr("?[]\\", text[i]))
			lh_buffer_puts(&glob, "\\");
		lh_buffer_append(&glob, &text[i], 1);
	}
	lh_buffer_puts(&glob, is_to_end ? "" : "*");
	LH_TRY(lh_buffer_status(&glob));
	LH_TRY(lh_strings_pool_add(&suppressions->strings, glob.data, glob.length, &kept));
	return lh_vec_push(&suppressions->patterns, kept);
}

static struct lh_error *parse_suppression(struct lh_suppressions *suppressions, const char *line, size_t length,
					  size_t number)
{
	static const char prefix[] = "leak:";
	while (length && (line[length - 1] == '\r' || line[length - 1] == ' ' || line[length - 1] == '\t'))
		length--;
	while (length && (*line == ' ' || *line == '\t')) {
		line++;
		length--;
	}
	if (!length || *line == '#')
		return NULL;
	if (length <= strlen(prefix) || memcmp(line, prefix, strlen(prefix)) != 0)
		return lh_error_hint(
			lh_error_create(LH_ERROR_USAGE, "cannot parse line %zu of the suppressions", number),
			"write \"leak:PATTERN\", as in LeakSanitizer");
	return add_suppression(suppressions, line + strlen(prefix), length - strlen(prefix));
}

struct lh_error *lh_suppressions_parse(const char *text, size_t length, struct lh_suppressions *ret)
{
	size_t number = 1;
	for (size_t start = 0; start < length; number++) {
		const char *end = memchr(text + start, '\n', length - start);
		size_t line = end ? (size_t)(end - text) - start : length - start;
		LH_TRY(parse_suppression(ret, text + start, line, number));
		start += line + 1;
	}
	return NULL;
}

bool lh_suppressions_match(const struct lh_suppressions *suppressions, const char *name)
{
	for (size_t i = 0; i < suppressions->patterns.count; i++) {
		if (fnmatch(suppressions->patterns.items[i], name, 0) == 0)
			return true;
	}
	return false;
}

/*
 * strings_around: keeps the last few lines until a matching line prints them or they are too old.
 */
#include "strings_around.h"

#include <stdlib.h>

struct lh_error *lh_lines_around_init(struct lh_lines_around *lines, size_t around)
{
	*lines = (struct lh_lines_around){.around = around};
	lines->kept = calloc(around + 1, sizeof(*lines->kept));
	return lines->kept ? NULL : lh_error_no_memory();
}

void lh_lines_around_deinit(struct lh_lines_around *lines)
{
	for (size_t i = 0; lines->kept && i < lines->around; i++)
		lh_buffer_deinit(&lines->kept[i]);
	free(lines->kept);
}

static void keep_around(struct lh_lines_around *lines, const char *line, size_t length)
{
	if (lines->kept_count == lines->around) {
		lines->has_skipped = true;
		if (!lines->around)
			return;
		lines->kept_first = (lines->kept_first + 1) % lines->around;
		lines->kept_count--;
	}
	struct lh_buffer *place = &lines->kept[(lines->kept_first + lines->kept_count++) % lines->around];
	place->length = 0;
	lh_buffer_append(place, line, length);
}

static void print_kept(struct lh_lines_around *lines, struct lh_buffer *ret)
{
	for (size_t i = 0; i < lines->kept_count; i++) {
		const struct lh_buffer *line = &lines->kept[(lines->kept_first + i) % lines->around];
		lh_buffer_append(ret, line->data, line->length);
		ret->failed |= line->failed;
	}
	lines->kept_count = 0;
}

void lh_lines_around_add(struct lh_lines_around *lines, const char *line, size_t length, bool matches,
			 struct lh_buffer *ret)
{
	if (!matches && !lines->after_left) {
		keep_around(lines, line, length);
		return;
	}
	if (matches) {
		if (lines->has_printed && lines->has_skipped)
			lh_buffer_puts(ret, "--\n");
		print_kept(lines, ret);
		lines->has_printed = true;
		lines->has_skipped = false;
	}
	lines->after_left = matches ? lines->around : lines->after_left - 1;
	lh_buffer_append(ret, line, length);
}

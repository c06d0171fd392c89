/*
 * strings_around: selects matching lines and their neighbors, as grep -C does. Private to strings_list.
 */
#ifndef LEAKHUNT_CLI_STRINGS_AROUND_H
#define LEAKHUNT_CLI_STRINGS_AROUND_H

#include "leakhunt/base.h"

struct lh_lines_around {
	size_t around;          /* lines before and after each matching line */
	struct lh_buffer *kept; /* ring of the last lines that were not printed */
	size_t kept_first;
	size_t kept_count;
	size_t after_left; /* lines still to print after a match */
	bool has_printed;
	bool has_skipped; /* since the last line printed */
};

struct lh_error *lh_lines_around_init(struct lh_lines_around *lines, size_t around) LH_NODISCARD;
void lh_lines_around_deinit(struct lh_lines_around *lines);
/* `line` ends in a newline. Appends to *ret what can be printed now; groups are separated by "--". */
void lh_lines_around_add(struct lh_lines_around *lines, const char *line, size_t length, bool matches,
			 struct lh_buffer *ret);

#endif

/*
 * lines: reads a file line by line, however long it is. A failed read is an error, not the end.
 */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>

struct lh_error *lh_lines_open(const char *path, struct lh_lines *ret)
{
	*ret = (struct lh_lines){.path = path, .stream = fopen(path, "re")};
	return ret->stream ? NULL : lh_error_from_errno(errno, "cannot open %s", path);
}

void lh_lines_close(struct lh_lines *lines)
{
	if (lines->stream)
		fclose(lines->stream);
	free(lines->text);
	*lines = (struct lh_lines){0};
}

struct lh_error *lh_lines_next(struct lh_lines *lines, bool *ret_is_end)
{
	errno = 0;
	ssize_t length = getline(&lines->text, &lines->capacity, lines->stream);
	*ret_is_end = length < 0;
	if (length < 0)
		return ferror(lines->stream) || errno == ENOMEM
			       ? lh_error_from_errno(errno, "cannot read %s", lines->path)
			       : NULL;
	lines->length = (size_t)length - (length && lines->text[length - 1] == '\n');
	return NULL;
}

/*
 * lines: a file read line by line. Private to watch.
 */
#ifndef LEAKHUNT_WATCH_LINES_H
#define LEAKHUNT_WATCH_LINES_H

#include "leakhunt/base.h"

#include <stdio.h>

/* Zero-initialized is closed. */
struct lh_lines {
	const char *path; /* must outlive it */
	FILE *stream;
	char *text; /* the latest line, without its newline, until the next is read */
	size_t length;
	size_t capacity;
};

struct lh_error *lh_lines_open(const char *path, struct lh_lines *ret) LH_NODISCARD;
void lh_lines_close(struct lh_lines *lines);

/* Reads the next line; *ret_is_end: there is none. The last line needs no newline. */
struct lh_error *lh_lines_next(struct lh_lines *lines, bool *ret_is_end) LH_NODISCARD;

#endif

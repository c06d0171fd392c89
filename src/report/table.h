/*
 * table: aligned columns for people. Cells are escaped text; widths count columns, not bytes. Private to report.
 */
#ifndef LEAKHUNT_REPORT_TABLE_H
#define LEAKHUNT_REPORT_TABLE_H

#include "leakhunt/report.h"

enum lh_column_kind {
	LH_COLUMN_LEFT,
	LH_COLUMN_RIGHT,
	LH_COLUMN_SPARE, /* right-aligned; omitted, the last one first, if the terminal is too narrow for all columns */
	LH_COLUMN_NAME, /* left-aligned; becomes the last column, and is cut, if the terminal is too narrow for the rest
			 */
	LH_COLUMN_BELOW, /* last column: on lines of its own below the row, indented, wrapped at the terminal's width */
	LH_COLUMN_REST,  /* last column, left: cut to the terminal's width with an ellipsis; as BELOW if too narrow */
};

struct lh_column {
	const char *title;
	enum lh_column_kind kind;
};

enum lh_row_style { LH_ROW_PLAIN, LH_ROW_BOLD, LH_ROW_RED, LH_ROW_YELLOW, LH_ROW_GREEN, LH_ROW_DIM };

/* Cells are filled left to right, row after row. lh_table_render reports a failed allocation. */
struct lh_table {
	const struct lh_column *columns;
	size_t column_count;
	LH_VEC(char *) cells;
	LH_VEC(enum lh_row_style) row_styles;
	bool failed;
};

void lh_table_init(struct lh_table *table, const struct lh_column *columns, size_t column_count);
void lh_table_row(struct lh_table *table, enum lh_row_style style); /* begins a row */
void lh_table_cell(struct lh_table *table, const char *format, ...) LH_PRINTF(2, 3);
void lh_table_cell_escaped(struct lh_table *table, const char *bytes); /* bytes of a target */
void lh_table_cell_bytes(struct lh_table *table, uint64_t bytes);      /* lh_format_bytes; "-" when 0 */
/*
 * Writes the title line and the rows; a failure marks `ret` failed. Trailing blanks are removed. If the terminal is too
 * narrow for the columns, each row becomes "TITLE cell  TITLE cell", wrapped.
 */
void lh_table_render(const struct lh_table *table, struct lh_style style, struct lh_buffer *ret);
void lh_table_deinit(struct lh_table *table);

#endif

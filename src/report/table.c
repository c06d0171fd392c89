/*
 * table: aligned columns for people. Input: escaped cells. Output: lines of text; the last column is cut to the
 * terminal's width, or text is wrapped. Widths count terminal columns: wide characters take two.
 */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP_WIDTH = 2, REST_WIDTH_MIN = 12, BELOW_INDENT = 4, PAIR_INDENT = 2 };

#define OMITTED SIZE_MAX /* width of a column that is not shown */

static const char ellipsis[] = "\xe2\x80\xa6"; /* U+2026 */

static const char *const style_codes[] = {
	[LH_ROW_PLAIN] = "",          [LH_ROW_BOLD] = "\033[1m",   [LH_ROW_RED] = "\033[31m",
	[LH_ROW_YELLOW] = "\033[33m", [LH_ROW_GREEN] = "\033[32m", [LH_ROW_DIM] = "\033[2m",
};

void lh_table_init(struct lh_table *table, const struct lh_column *columns, size_t column_count)
{
	*table = (struct lh_table){.columns = columns, .column_count = column_count};
}

static void fail_table(struct lh_table *table, struct lh_error *error)
{
	table->failed |= error != NULL;
	lh_error_destroy(error);
}

/* Takes ownership of `text`; drops a cell that is too many for its row. */
static void push_cell(struct lh_table *table, char *text)
{
	bool has_room = table->cells.count < table->row_styles.count * table->column_count;
	struct lh_error *error = !text ? lh_error_no_memory() : has_room ? lh_vec_push(&table->cells, text) : NULL;
	if (error || !has_room)
		free(text);
	fail_table(table, error);
}

static void fill_row(struct lh_table *table)
{
	while (!table->failed && table->cells.count < table->row_styles.count * table->column_count)
		push_cell(table, strdup(""));
}

void lh_table_row(struct lh_table *table, enum lh_row_style style)
{
	fill_row(table);
	if (!table->failed)
		fail_table(table, lh_vec_push(&table->row_styles, style));
}

void lh_table_cell(struct lh_table *table, const char *format, ...)
{
	if (table->failed)
		return;
	char *text = NULL;
	va_list list;
	va_start(list, format);
	int length = vasprintf(&text, format, list);
	va_end(list);
	push_cell(table, length < 0 ? NULL : text);
}

void lh_table_cell_escaped(struct lh_table *table, const char *bytes)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_escape(&text, bytes, strlen(bytes));
	fail_table(table, lh_buffer_status(&text));
	lh_table_cell(table, "%s", text.data ? text.data : "");
}

void lh_table_cell_bytes(struct lh_table *table, uint64_t bytes)
{
	char text[LH_FORMAT_MAX];
	lh_table_cell(table, "%s", bytes ? lh_format_bytes(bytes, text) : "-");
}

/* Terminal columns of a character: Unicode Standard Annex 11, W and F take two; combining ones none. */
static size_t character_columns(uint32_t character)
{
	static const struct {
		uint32_t first, last;
		size_t columns;
	} ranges[] = {
		{0x0300, 0x036f, 0},   {0x1100, 0x115f, 2},   {0x200b, 0x200f, 0},   {0x2e80, 0x303e, 2},
		{0x3041, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},
		{0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2},
		{0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(ranges) && character >= ranges[i].first; i++) {
		if (character <= ranges[i].last)
			return ranges[i].columns;
	}
	return 1;
}

/* The bytes of the longest prefix of `text` that fits into `columns`; *ret_columns is its width. */
static size_t fitting_bytes(const char *text, size_t columns, size_t *ret_columns)
{
	size_t length = strlen(text), at = 0, used = 0;
	while (at < length) {
		uint32_t character = 0;
		size_t bytes = lh_utf8_decode((const uint8_t *)text + at, length - at, &character);
		size_t wanted = bytes ? character_columns(character) : 1;
		if (used + wanted > columns)
			break;
		used += wanted;
		at += bytes ? bytes : 1;
	}
	*ret_columns = used;
	return at;
}

static size_t text_columns(const char *text)
{
	size_t columns;
	fitting_bytes(text, SIZE_MAX, &columns);
	return columns;
}

static const char *table_cell_at(const struct lh_table *table, size_t row, size_t column)
{
	size_t index = row * table->column_count + column;
	return index < table->cells.count ? table->cells.items[index] : "";
}

static size_t column_width(const struct lh_table *table, size_t column)
{
	size_t width = text_columns(table->columns[column].title);
	for (size_t row = 0; row < table->row_styles.count; row++)
		width = lh_max_u64(width, text_columns(table_cell_at(table, row, column)));
	return width;
}

/* Columns of a row including gaps. Omitted columns count as 0, the last one as at least `rest`. */
static size_t column_room(size_t width)
{
	return width == OMITTED ? 0 : width + GAP_WIDTH;
}

static size_t table_width(const struct lh_table *table, const size_t *widths, size_t rest)
{
	size_t used = 0;
	for (size_t i = 0; i + 1 < table->column_count; i++)
		used += column_room(widths[i]);
	return used + rest;
}

/* The first `shown` columns with the gaps between them. */
static size_t line_width(const size_t *widths, size_t shown)
{
	size_t used = 0;
	for (size_t i = 0; i < shown; i++)
		used += column_room(widths[i]);
	return used > GAP_WIDTH ? used - GAP_WIDTH : used;
}

static void omit_spare_columns(const struct lh_table *table, size_t *widths, struct lh_style style)
{
	size_t last = table->column_count - 1, natural = widths[last];
	if (table->columns[last].kind == LH_COLUMN_REST)
		widths[last] = lh_min_u64(natural, REST_WIDTH_MIN);
	for (size_t i = last + 1; i-- > 0 && style.width && line_width(widths, last + 1) > style.width;) {
		if (table->columns[i].kind == LH_COLUMN_SPARE)
			widths[i] = OMITTED;
	}
	if (table->columns[last].kind == LH_COLUMN_REST)
		widths[last] = natural;
}

/* What is left for the last column; 0: unlimited. */
static size_t rest_width(const struct lh_table *table, const size_t *widths, struct lh_style style)
{
	size_t used = table_width(table, widths, 0);
	return style.width > used ? style.width - used : 0;
}

/*
 * How many columns to show: all, unless the terminal has no room for the last one and there is a LH_COLUMN_NAME, which
 * then becomes the last one.
 */
static size_t shown_columns(const struct lh_table *table, size_t *widths, struct lh_style style)
{
	size_t used = 0, name = table->column_count, used_before_name = 0;
	for (size_t i = 0; i + 1 < table->column_count; i++) {
		if (table->columns[i].kind == LH_COLUMN_NAME) {
			name = i;
			used_before_name = used;
		}
		used += column_room(widths[i]);
	}
	if (!style.width || name == table->column_count || used + REST_WIDTH_MIN <= style.width)
		return table->column_count;
	size_t left = style.width > used_before_name ? style.width - used_before_name : 0;
	widths[name] = left > REST_WIDTH_MIN ? left : REST_WIDTH_MIN;
	return name + 1;
}

static void append_blanks(struct lh_buffer *buffer, size_t count)
{
	lh_buffer_printf(buffer, "%*s", (int)count, "");
}

static void append_rest(struct lh_buffer *line, const char *text, size_t width)
{
	if (!width || text_columns(text) <= width) {
		lh_buffer_puts(line, text);
		return;
	}
	size_t columns;
	lh_buffer_append(line, text, fitting_bytes(text, width - 1, &columns));
	lh_buffer_puts(line, ellipsis);
}

static void append_cell(struct lh_buffer *line, enum lh_column_kind kind, const char *text, size_t width)
{
	size_t count = text_columns(text);
	size_t blanks = width > count ? width - count : 0;
	if (kind == LH_COLUMN_REST || kind == LH_COLUMN_NAME) {
		append_rest(line, text, width);
		append_blanks(line, kind == LH_COLUMN_NAME ? blanks : 0);
		return;
	}
	if (kind == LH_COLUMN_RIGHT || kind == LH_COLUMN_SPARE)
		append_blanks(line, blanks);
	lh_buffer_puts(line, text);
	if (kind == LH_COLUMN_LEFT)
		append_blanks(line, blanks);
}

/* `row` is row_styles.count for the title line. */
static void append_table_line(const struct lh_table *table, size_t row, const size_t *widths, size_t shown,
			      struct lh_buffer *line)
{
	bool is_title = row == table->row_styles.count;
	for (size_t i = 0; i < shown; i++) {
		if (widths[i] == OMITTED)
			continue;
		const char *text = is_title ? table->columns[i].title : table_cell_at(table, row, i);
		append_blanks(line, i ? GAP_WIDTH : 0);
		append_cell(line, table->columns[i].kind, text, widths[i]);
	}
	while (line->length && line->data[line->length - 1] == ' ')
		line->data[--line->length] = '\0';
}

static void render_line(const struct lh_table *table, size_t row, const size_t *widths, size_t shown,
			struct lh_style style, struct lh_buffer *ret)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	enum lh_row_style row_style = row < table->row_styles.count ? table->row_styles.items[row] : LH_ROW_BOLD;
	bool is_styled = style.color && row_style != LH_ROW_PLAIN;
	append_table_line(table, row, widths, shown, &line);
	if (is_styled)
		lh_buffer_puts(ret, style_codes[row_style]);
	lh_buffer_append(ret, line.data, line.length);
	lh_buffer_puts(ret, is_styled ? "\033[0m\n" : "\n");
	ret->failed |= line.failed;
}

/* Pieces of text on lines of at most `width` columns; 0: one line. */
struct wrapping {
	struct lh_buffer *ret;
	size_t width, indent;
	size_t column; /* 0 at a line's begin */
};

static void place_piece(struct wrapping *wrapping, size_t gap, size_t columns)
{
	if (wrapping->width && wrapping->column && wrapping->column + gap + columns > wrapping->width) {
		lh_buffer_puts(wrapping->ret, "\n");
		wrapping->column = 0;
	}
	size_t blanks = wrapping->column ? gap : wrapping->indent;
	append_blanks(wrapping->ret, blanks);
	wrapping->column += blanks;
}

/* A piece wider than a line is broken. */
static void wrap_piece(struct wrapping *wrapping, size_t gap, const char *piece)
{
	size_t bytes, columns;
	do {
		place_piece(wrapping, gap, text_columns(piece));
		size_t room = wrapping->width > wrapping->column ? wrapping->width - wrapping->column : SIZE_MAX;
		bytes = fitting_bytes(piece, room, &columns);
		lh_buffer_append(wrapping->ret, piece, bytes);
		wrapping->column += columns;
		piece += bytes;
	} while (bytes && *piece);
}

static void wrap_end(struct wrapping *wrapping)
{
	lh_buffer_puts(wrapping->ret, wrapping->column ? "\n" : "");
}

/* A cell's text, wrapped below its row. */
static void render_below(const char *text, struct lh_style style, struct lh_buffer *ret)
{
	struct wrapping wrapping = {.ret = ret, .width = style.width, .indent = BELOW_INDENT};
	LH_CLEANUP(lh_cleanup_free) char *words = strdup(text);
	ret->failed |= !words;
	for (char *rest = words, *word; (word = strsep(&rest, " "));)
		if (*word)
			wrap_piece(&wrapping, 1, word);
	wrap_end(&wrapping);
}

/* "SIZE 10 MiB  USS 8.00 MiB"; the last column's text below. */
static void render_pairs(const struct lh_table *table, size_t row, struct lh_style style, struct lh_buffer *ret)
{
	struct wrapping wrapping = {.ret = ret, .width = style.width};
	size_t last = table->column_count - 1;
	enum lh_column_kind kind = table->columns[last].kind;
	bool is_below = kind == LH_COLUMN_BELOW || kind == LH_COLUMN_REST;
	const char *code = style.color ? style_codes[table->row_styles.items[row]] : "";
	lh_buffer_puts(ret, code);
	for (size_t i = 0; i < last + !is_below; i++) {
		LH_CLEANUP(lh_cleanup_free) char *pair = NULL;
		const char *cell = table_cell_at(table, row, i);
		if (*cell && asprintf(&pair, "%s %s", table->columns[i].title, cell) < 0)
			pair = NULL;
		ret->failed |= *cell && !pair;
		if (pair)
			wrap_piece(&wrapping, GAP_WIDTH, pair + (*table->columns[i].title ? 0 : 1));
		wrapping.indent = PAIR_INDENT;
	}
	wrap_end(&wrapping);
	if (is_below)
		render_below(table_cell_at(table, row, last), style, ret);
	lh_buffer_puts(ret, *code ? "\033[0m" : "");
}

/* Whether the last column is on lines of its own: it does not fit, and what is left is too narrow to cut it to. */
static bool has_last_below(const struct lh_table *table, const size_t *widths, struct lh_style style)
{
	size_t last = table->column_count - 1, used = table_width(table, widths, 0);
	if (table->columns[last].kind != LH_COLUMN_REST)
		return table->columns[last].kind == LH_COLUMN_BELOW;
	return style.width && used + lh_min_u64(widths[last], REST_WIDTH_MIN) > style.width;
}

static void render_columns(const struct lh_table *table, size_t *widths, size_t shown, bool is_below,
			   struct lh_style style, struct lh_buffer *ret)
{
	size_t last = table->column_count - 1;
	if (table->columns[last].kind == LH_COLUMN_REST)
		widths[last] = rest_width(table, widths, style);
	render_line(table, table->row_styles.count, widths, shown, style, ret);
	for (size_t row = 0; row < table->row_styles.count; row++) {
		render_line(table, row, widths, shown, style, ret);
		if (is_below)
			render_below(table_cell_at(table, row, last), style, ret);
	}
}

void lh_table_render(const struct lh_table *table, struct lh_style style, struct lh_buffer *ret)
{
	LH_CLEANUP(lh_cleanup_free) size_t *widths = calloc(table->column_count, sizeof(*widths));
	if (!widths || table->failed) {
		ret->failed = true;
		return;
	}
	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = column_width(table, i);
	omit_spare_columns(table, widths, style);
	size_t shown = shown_columns(table, widths, style);
	bool is_below = shown == table->column_count && has_last_below(table, widths, style);
	shown -= is_below;
	bool is_cut = shown == table->column_count && table->columns[shown - 1].kind == LH_COLUMN_REST;
	if (!style.width || is_cut || line_width(widths, shown) <= style.width) {
		render_columns(table, widths, shown, is_below, style, ret);
		return;
	}
	for (size_t row = 0; row < table->row_styles.count; row++)
		render_pairs(table, row, style, ret);
}

void lh_table_deinit(struct lh_table *table)
{
	for (size_t i = 0; i < table->cells.count; i++)
		free(table->cells.items[i]);
	lh_vec_deinit(&table->cells);
	lh_vec_deinit(&table->row_styles);
}

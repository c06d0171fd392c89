/*
 * report_strings_map: the strip map: one letter per unit of addresses, for the class that most of its bytes belong to;
 * and the cells as JSON.
 */
#include "report_strings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STRIP_COLUMNS = 64, STRIP_ROWS_MAX = 24, STRIP_ROWS_MIN = 4, STRIP_GAP_MAX = 8, NOTHING = LH_MAP_CLASSES };

/* One letter. */
struct strip_unit {
	uint64_t start;
	uint64_t bytes[LH_MAP_CLASSES];
};

struct strip_row {
	uint64_t start;
	uint64_t bytes; /* scanned bytes of the unit */
	size_t units;
	unsigned classes[STRIP_COLUMNS]; /* NOTHING: not scanned */
};

struct strip {
	uint64_t unit_bytes;
	LH_VEC(struct strip_row) rows;
	size_t left_out; /* rows omitted because there are too many */
	uint64_t left_out_bytes;
	char letters[LH_MAP_CLASSES + 1];
};

static unsigned largest_class(const uint64_t bytes[LH_MAP_CLASSES])
{
	unsigned largest = 0;
	for (unsigned class = 1; class < LH_MAP_CLASSES; class ++) {
		if (bytes[class] > bytes[largest])
			largest = class;
	}
	return bytes[largest] ? largest : NOTHING;
}

static uint64_t sum_of(const uint64_t bytes[LH_MAP_CLASSES])
{
	uint64_t sum = 0;
	for (unsigned class = 0; class < LH_MAP_CLASSES; class ++)
		sum += bytes[class];
	return sum;
}

/* ---------------------------------------------------------------- rows */

/* Appends the unit to its row, with blanks for unscanned memory, or begins a new row. */
static struct lh_error *add_unit(struct strip *strip, const struct strip_unit *unit)
{
	struct strip_row *row = strip->rows.count ? &strip->rows.items[strip->rows.count - 1] : NULL;
	uint64_t at = row ? (unit->start - row->start) / strip->unit_bytes : 0;
	if (!row || at >= STRIP_COLUMNS || at - row->units > STRIP_GAP_MAX) {
		LH_TRY(lh_vec_push(&strip->rows, (struct strip_row){.start = unit->start}));
		row = &strip->rows.items[strip->rows.count - 1];
		at = 0;
	}
	while (row->units < at)
		row->classes[row->units++] = NOTHING;
	row->classes[row->units++] = largest_class(unit->bytes);
	row->bytes += sum_of(unit->bytes);
	return NULL;
}

static struct lh_error *fill_rows(const struct lh_map *map, struct strip *strip)
{
	struct strip_unit unit = {0};
	strip->rows.count = 0;
	for (size_t i = 0; i < map->cells.count; i++) {
		const struct lh_map_cell *cell = &map->cells.items[i];
		uint64_t start = lh_align_down(cell->start, strip->unit_bytes);
		if (i && start != unit.start)
			LH_TRY(add_unit(strip, &unit));
		if (!i || start != unit.start)
			unit = (struct strip_unit){.start = start};
		for (unsigned class = 0; class < LH_MAP_CLASSES; class ++)
			unit.bytes[class] += cell->bytes[class];
	}
	return map->cells.count ? add_unit(strip, &unit) : NULL;
}

static int compare_sizes(const void *a, const void *b)
{
	const struct strip_row *left = a, *right = b;
	int order = lh_compare_u64(right->bytes, left->bytes);
	return order ? order : lh_compare_u64(left->start, right->start);
}

static int compare_places(const void *a, const void *b)
{
	const struct strip_row *left = a, *right = b;
	return lh_compare_u64(left->start, right->start);
}

static void keep_largest_rows(struct strip *strip)
{
	struct strip_row *rows = strip->rows.items;
	if (strip->rows.count <= STRIP_ROWS_MAX)
		return;
	qsort(rows, strip->rows.count, sizeof(*rows), compare_sizes);
	for (; strip->rows.count > STRIP_ROWS_MAX; strip->left_out++)
		strip->left_out_bytes += rows[--strip->rows.count].bytes;
	qsort(rows, strip->rows.count, sizeof(*rows), compare_places);
}

/*
 * A letter covers as few bytes as the number of rows allows. Memory in small pieces far apart (V8) needs too many rows
 * at any scale: then the largest pieces are shown, at the scale that would show all bytes in a few rows if they were
 * one piece.
 */
static struct lh_error *make_rows(const struct lh_map *map, struct strip *strip)
{
	uint64_t scanned_bytes = 0;
	for (size_t i = 0; i < map->cells.count; i++)
		scanned_bytes += sum_of(map->cells.items[i].bytes);
	strip->unit_bytes = map->cell_bytes;
	LH_TRY(fill_rows(map, strip));
	while (strip->rows.count > STRIP_ROWS_MAX &&
	       strip->unit_bytes < scanned_bytes / STRIP_COLUMNS / STRIP_ROWS_MIN) {
		strip->unit_bytes *= 2;
		LH_TRY(fill_rows(map, strip));
	}
	keep_largest_rows(strip);
	return NULL;
}

/* Capitals for recognized contents, in the order of the table; signs for the rest. */
static void choose_letters(struct strip *strip)
{
	static const char rest[LH_REST_COUNT] = {'.', '^', 't', '#', '-'};
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrsuvwxyz0123456789";
	bool is_used[LH_MAP_CLASSES + 1] = {0};
	for (size_t i = 0; i < strip->rows.count; i++) {
		for (size_t k = 0; k < strip->rows.items[i].units; k++)
			is_used[strip->rows.items[i].classes[k]] = true;
	}
	size_t next = 0;
	for (unsigned class = 0; class < LH_MAP_REST; class ++)
		strip->letters[class] = (char)(is_used[class] ? letters[next++ % (sizeof(letters) - 1)] : '\0');
	for (unsigned class = LH_MAP_REST; class < LH_MAP_CLASSES; class ++)
		strip->letters[class] = (char)(is_used[class] ? rest[class - LH_MAP_REST] : '\0');
	strip->letters[NOTHING] = ' ';
}

/* ---------------------------------------------------------------- text */

static const char *color_of(unsigned class)
{
	static const char *const recognized[] = {"31", "32", "33", "34", "35", "36"};
	static const char *const rest[LH_REST_COUNT] = {"2", "36", "37", "95", "2"};
	return class >= LH_MAP_REST ? rest[class - LH_MAP_REST] : recognized[class % LH_ARRAY_COUNT(recognized)];
}

static void write_letter(const struct strip *strip, unsigned class, struct lh_style style, struct lh_buffer *ret)
{
	char letter[2] = {strip->letters[class], '\0'};
	if (class == NOTHING)
		lh_buffer_puts(ret, letter);
	else
		lh_write_styled(style, color_of(class), letter, ret);
}

/* The first segment that overlaps [start, end), preferably a requested one. */
static const struct lh_segment *first_segment(const struct lh_image *image, uint64_t start, uint64_t end)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count), *first = NULL;
	for (size_t i = 0; i < count && segments[i].start < end; i++) {
		if (segments[i].end <= start)
			continue;
		if (!segments[i].is_context)
			return &segments[i];
		first = first ? first : &segments[i];
	}
	return first;
}

static void write_region(const struct lh_image *image, uint64_t start, uint64_t end, struct lh_buffer *ret)
{
	const struct lh_segment *segment = first_segment(image, start, end);
	if (!segment)
		return;
	lh_buffer_printf(ret, "  %s ", lh_region_kind_name(segment->kind));
	lh_buffer_escape(ret, segment->name, strlen(segment->name));
}

static void write_map_row(const struct lh_image *image, const struct strip *strip, const struct strip_row *row,
			  struct lh_style style, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "%#14" PRIx64 "  ", row->start);
	for (size_t i = 0; i < STRIP_COLUMNS; i++)
		write_letter(strip, i < row->units ? row->classes[i] : (unsigned)NOTHING, style, ret);
	if (lh_image_has_addresses(image))
		write_region(image, row->start, row->start + strip->unit_bytes, ret);
	while (!ret->failed && ret->length && ret->data[ret->length - 1] == ' ')
		ret->data[--ret->length] = '\0';
	lh_buffer_puts(ret, "\n");
}

static void write_legend(const struct strip *strip, struct lh_style style, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "a letter is %s, by what most of it is:", lh_format_bytes(strip->unit_bytes, bytes));
	bool is_first = true;
	for (unsigned class = 0; class < LH_MAP_CLASSES; class ++) {
		if (!strip->letters[class])
			continue;
		lh_buffer_puts(ret, is_first ? " " : ", ");
		is_first = false;
		write_letter(strip, class, style, ret);
		lh_buffer_printf(ret, " %s", lh_map_class_title(class));
	}
	lh_buffer_puts(ret, "\n");
}

static void write_map(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_map *map = &report->summary->map;
	if (!map->cells.count)
		return;
	struct strip strip = {0};
	struct lh_error *error = make_rows(map, &strip);
	choose_letters(&strip);
	lh_write_heading(style, "Where it lies", ret);
	for (size_t i = 0; i < strip.rows.count; i++)
		write_map_row(report->image, &strip, &strip.rows.items[i], style, ret);
	char bytes[LH_FORMAT_MAX];
	if (strip.left_out)
		lh_buffer_printf(ret, "and %s in %zu more places: --json has the whole map\n",
				 lh_format_bytes(strip.left_out_bytes, bytes), strip.left_out);
	write_legend(&strip, style, ret);
	lh_vec_deinit(&strip.rows);
	ret->failed |= error != NULL;
	lh_error_destroy(error);
}

/* ---------------------------------------------------------------- JSON */

static json_t *cell_json(const struct lh_map_cell *cell)
{
	json_t *classes = json_object();
	for (unsigned class = 0; class < LH_MAP_CLASSES; class ++) {
		if (cell->bytes[class])
			json_object_set_new(classes, lh_map_class_name(class), lh_json_u64(cell->bytes[class]));
	}
	return json_pack("{s:o, s:o}", "addr", lh_json_address(cell->start), "bytes", classes);
}

static json_t *map_json(const struct lh_strings_report *report)
{
	const struct lh_map *map = &report->summary->map;
	json_t *cells = json_array();
	for (size_t i = 0; i < map->cells.count; i++)
		json_array_append_new(cells, cell_json(&map->cells.items[i]));
	return json_pack("{s:o, s:o}", "cell_bytes", lh_json_u64(map->cell_bytes), "cells", cells);
}

const struct lh_strings_block lh_strings_map = {
	.write_text = write_map,
	.json_key = "map",
	.make_json = map_json,
};

/*
 * report_maps: regions as a table with their sum, or as JSON. Input: regions, and which to show in what order. Output:
 * text. If all regions are shown, the sum of PSS is that of smaps_rollup.
 */
#include "table.h"
#include "usage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *word;
	enum lh_maps_sort sort;
} sort_words[] = {
	{"address", LH_SORT_ADDRESS}, {"vss", LH_SORT_VSS}, {"rss", LH_SORT_RSS},
	{"pss", LH_SORT_PSS},         {"uss", LH_SORT_USS}, {"swap", LH_SORT_SWAP},
};

bool lh_maps_sort_parse(const char *word, enum lh_maps_sort *ret)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(sort_words); i++) {
		if (strcmp(sort_words[i].word, word) != 0)
			continue;
		*ret = sort_words[i].sort;
		return true;
	}
	return false;
}

/* A region to show, with its sort key: most first, then by address. */
struct row {
	const struct lh_region *region;
	uint64_t rank;
};

struct rows {
	LH_VEC(struct row) items;
	struct lh_usage usage; /* of the rows */
	uint64_t vss_bytes;
};

static void map_rows_deinit(struct rows *rows)
{
	lh_vec_deinit(&rows->items);
}

static uint64_t kind_rank_of(const struct lh_region *region, enum lh_maps_sort sort)
{
	switch (sort) {
	case LH_SORT_ADDRESS:
		return 0;
	case LH_SORT_VSS:
		return region->end - region->start;
	case LH_SORT_RSS:
		return region->usage.rss_bytes;
	case LH_SORT_PSS:
		return region->usage.pss_bytes;
	case LH_SORT_USS:
		return lh_usage_uss(&region->usage);
	case LH_SORT_SWAP:
		return region->usage.swap_bytes;
	}
	return 0;
}

static int compare_map_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return x->region->start < y->region->start ? -1 : x->region->start > y->region->start;
}

static struct lh_error *collect_map_rows(const struct lh_maps_report *report, struct rows *ret)
{
	for (size_t i = 0; i < report->list->regions.count; i++) {
		const struct lh_region *region = &report->list->regions.items[i];
		if (!(report->kinds >> region->kind & 1))
			continue;
		struct row row = {.region = region, .rank = kind_rank_of(region, report->sort)};
		LH_TRY(lh_vec_push(&ret->items, row));
		lh_usage_add(&ret->usage, &region->usage);
		ret->vss_bytes += region->end - region->start;
	}
	lh_vec_sort(&ret->items, compare_map_rows);
	return NULL;
}

/* False, with `output` marked failed, if memory ran out. */
static bool has_rows(const struct lh_maps_report *report, struct rows *ret, struct lh_buffer *output)
{
	struct lh_error *error = collect_map_rows(report, ret);
	output->failed |= error != NULL;
	lh_error_destroy(error);
	return !error;
}

static void format_map_permissions(const struct lh_region *region, char ret[5])
{
	ret[0] = region->protection & LH_PROT_READ ? 'r' : '-';
	ret[1] = region->protection & LH_PROT_WRITE ? 'w' : '-';
	ret[2] = region->protection & LH_PROT_EXEC ? 'x' : '-';
	ret[3] = region->is_shared ? 's' : 'p';
	ret[4] = '\0';
}

/* ---------------------------------------------------------------- text */

static const struct lh_column columns[] = {
	{"ADDRESS", LH_COLUMN_LEFT}, {"PERM", LH_COLUMN_SPARE},   {"KIND", LH_COLUMN_LEFT}, {"VSS", LH_COLUMN_SPARE},
	{"RSS", LH_COLUMN_RIGHT},    {"PSS", LH_COLUMN_SPARE},    {"USS", LH_COLUMN_RIGHT}, {"SWAP", LH_COLUMN_SPARE},
	{"ANON", LH_COLUMN_SPARE},   {"LOCKED", LH_COLUMN_SPARE}, {"NAME", LH_COLUMN_REST},
};

static void add_region_figures(struct lh_table *table, uint64_t vss_bytes, const struct lh_usage *usage)
{
	lh_table_cell_bytes(table, vss_bytes);
	lh_table_cell_bytes(table, usage->rss_bytes);
	lh_table_cell_bytes(table, usage->pss_bytes);
	lh_table_cell_bytes(table, lh_usage_uss(usage));
	lh_table_cell_bytes(table, usage->swap_bytes);
	lh_table_cell_bytes(table, usage->anonymous_bytes);
	lh_table_cell_bytes(table, usage->locked_bytes);
}

static void add_region_row(struct lh_table *table, const struct lh_region *region)
{
	struct lh_buffer label LH_CLEANUP(lh_buffer_deinit) = {0};
	char permissions[5];
	format_map_permissions(region, permissions);
	lh_region_label(region, &label);
	lh_table_row(table, region->kind == LH_REGION_GUARD ? LH_ROW_DIM : LH_ROW_PLAIN);
	lh_table_cell(table, "0x%" PRIx64 "-0x%" PRIx64, region->start, region->end);
	lh_table_cell(table, "%s", permissions);
	lh_table_cell(table, "%s", lh_region_kind_name(region->kind));
	add_region_figures(table, region->end - region->start, &region->usage);
	lh_table_cell(table, "%s", label.data ? label.data : "");
	table->failed |= label.failed;
}

static void add_total(struct lh_table *table, const char *title, uint64_t vss_bytes, const struct lh_usage *usage,
		      size_t count)
{
	lh_table_row(table, LH_ROW_BOLD);
	lh_table_cell(table, "%s", title);
	lh_table_cell(table, "%s", "");
	lh_table_cell(table, "%s", "");
	add_region_figures(table, vss_bytes, usage);
	lh_table_cell(table, "%zu mapping%s", count, count == 1 ? "" : "s");
}

/* The sum over all mappings of one kind. */
struct kind_sum {
	enum lh_region_kind kind;
	uint64_t vss_bytes;
	struct lh_usage usage;
	size_t count;
	uint64_t rank;
};

static int compare_kinds(const void *a, const void *b)
{
	const struct kind_sum *x = a, *y = b;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return x->vss_bytes > y->vss_bytes ? -1 : x->vss_bytes < y->vss_bytes;
}

/* Most first; kinds without a mapping have a count of 0. */
static void sum_kinds(const struct rows *rows, enum lh_maps_sort sort, struct kind_sum sums[LH_REGION_KIND_COUNT])
{
	memset(sums, 0, LH_REGION_KIND_COUNT * sizeof(*sums));
	for (size_t kind = 0; kind < LH_REGION_KIND_COUNT; kind++)
		sums[kind].kind = (enum lh_region_kind)kind;
	for (size_t i = 0; i < rows->items.count; i++) {
		const struct lh_region *region = rows->items.items[i].region;
		struct kind_sum *sum = &sums[region->kind];
		sum->count++;
		sum->vss_bytes += region->end - region->start;
		sum->rank += kind_rank_of(region, sort == LH_SORT_ADDRESS ? LH_SORT_USS : sort);
		lh_usage_add(&sum->usage, &region->usage);
	}
	qsort(sums, LH_REGION_KIND_COUNT, sizeof(*sums), compare_kinds);
}

static void add_kinds(struct lh_table *table, const struct rows *rows, enum lh_maps_sort sort)
{
	struct kind_sum sums[LH_REGION_KIND_COUNT];
	sum_kinds(rows, sort, sums);
	for (size_t i = 0; i < LH_ARRAY_COUNT(sums); i++) {
		if (!sums[i].count)
			continue;
		lh_table_row(table, LH_ROW_PLAIN);
		lh_table_cell(table, "%s", lh_region_kind_name(sums[i].kind));
		add_region_figures(table, sums[i].vss_bytes, &sums[i].usage);
		lh_table_cell(table, "%zu", sums[i].count);
	}
}

static void report_kinds(const struct lh_maps_report *report, const struct rows *rows, struct lh_style style,
			 struct lh_buffer *ret)
{
	static const struct lh_column kind_columns[] = {
		{"KIND", LH_COLUMN_LEFT},  {"VSS", LH_COLUMN_RIGHT},    {"RSS", LH_COLUMN_RIGHT},
		{"PSS", LH_COLUMN_RIGHT},  {"USS", LH_COLUMN_RIGHT},    {"SWAP", LH_COLUMN_RIGHT},
		{"ANON", LH_COLUMN_SPARE}, {"LOCKED", LH_COLUMN_SPARE}, {"MAPPINGS", LH_COLUMN_RIGHT},
	};
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, kind_columns, LH_ARRAY_COUNT(kind_columns));
	add_kinds(&table, rows, report->sort);
	lh_table_row(&table, LH_ROW_BOLD);
	lh_table_cell(&table, "total");
	add_region_figures(&table, rows->vss_bytes, &rows->usage);
	lh_table_cell(&table, "%zu", rows->items.count);
	lh_table_render(&table, style, ret);
}

void lh_report_maps_text(const struct lh_maps_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct rows rows LH_CLEANUP(map_rows_deinit) = {0};
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	if (!has_rows(report, &rows, ret))
		return;
	if (report->is_by_kind) {
		report_kinds(report, &rows, style, ret);
		return;
	}
	for (size_t i = 0; i < rows.items.count; i++)
		add_region_row(&table, rows.items.items[i].region);
	struct lh_usage usage;
	uint64_t vss_bytes;
	lh_regions_total(report->list, &usage, &vss_bytes);
	bool is_whole = rows.items.count == report->list->regions.count;
	if (!is_whole)
		add_total(&table, "total", rows.vss_bytes, &rows.usage, rows.items.count);
	add_total(&table, is_whole ? "total" : "whole process", vss_bytes, &usage, report->list->regions.count);
	lh_table_render(&table, style, ret);
}

/* ---------------------------------------------------------------- JSON */

static json_t *region_json(const struct lh_region *region, bool has_usage)
{
	char permissions[5];
	format_map_permissions(region, permissions);
	json_t *object =
		json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:b}", "start", lh_json_address(region->start),
			  "end", lh_json_address(region->end), "permissions", permissions, "kind",
			  lh_region_kind_name(region->kind), "name", lh_json_string(region->name), "file_offset_bytes",
			  lh_json_u64(region->file_offset), "inode", lh_json_u64(region->inode), "vss_bytes",
			  lh_json_u64(region->end - region->start), "deleted", region->is_deleted);
	if (!object)
		return NULL;
	bool is_complete = !has_usage || lh_usage_to_json(&region->usage, object);
	if (region->kind == LH_REGION_THREAD_STACK)
		is_complete &= !json_object_set_new(object, "tid", json_integer(region->tid)) &&
			       !json_object_set_new(object, "thread_name", lh_json_string(region->thread_name));
	if (is_complete)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *regions_json(const struct rows *rows, bool has_usage)
{
	json_t *array = json_array();
	for (size_t i = 0; i < rows->items.count; i++) {
		if (json_array_append_new(array, region_json(rows->items.items[i].region, has_usage)) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *total_json(uint64_t vss_bytes, const struct lh_usage *usage, size_t count, bool has_usage)
{
	json_t *object = json_pack("{s:I, s:o}", "mappings", (json_int_t)count, "vss_bytes", lh_json_u64(vss_bytes));
	if (!object || !has_usage || lh_usage_to_json(usage, object))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *region_kinds_json(const struct rows *rows, enum lh_maps_sort sort, bool has_usage)
{
	struct kind_sum sums[LH_REGION_KIND_COUNT];
	json_t *array = json_array();
	sum_kinds(rows, sort, sums);
	for (size_t i = 0; i < LH_ARRAY_COUNT(sums); i++) {
		if (!sums[i].count)
			continue;
		json_t *object = total_json(sums[i].vss_bytes, &sums[i].usage, sums[i].count, has_usage);
		if (json_object_set_new(object, "kind", json_string(lh_region_kind_name(sums[i].kind))) ||
		    json_array_append(array, object)) {
			json_decref(array);
			array = NULL;
		}
		json_decref(object);
	}
	return array;
}

void lh_report_maps_json(const struct lh_maps_report *report, struct lh_buffer *ret)
{
	struct rows rows LH_CLEANUP(map_rows_deinit) = {0};
	const struct lh_region_list *list = report->list;
	struct lh_usage usage;
	uint64_t vss_bytes;
	if (!has_rows(report, &rows, ret))
		return;
	lh_regions_total(list, &usage, &vss_bytes);
	bool is_whole = rows.items.count == list->regions.count;
	json_t *object = json_pack(
		"{s:s, s:o, s:o, s:b, s:I, s:I, s:b, s:o, s:o, s:o, s:o}", "schema", "leakhunt/maps/1", "pid",
		report->pid ? json_integer(report->pid) : json_null(), "command", lh_json_string(report->command),
		"complete", !list->skipped_lines && !list->dropped_regions, "skipped_lines",
		(json_int_t)list->skipped_lines, "dropped_regions", (json_int_t)list->dropped_regions, "has_usage",
		list->has_usage, "total",
		total_json(rows.vss_bytes, is_whole ? &usage : &rows.usage, rows.items.count, list->has_usage),
		"whole_process", total_json(vss_bytes, &usage, list->regions.count, list->has_usage), "kinds",
		region_kinds_json(&rows, report->sort, list->has_usage), "regions",
		regions_json(&rows, list->has_usage));
	lh_report_append_json(object, ret);
}

/*
 * report_heap: allocators, arenas, sizes and findings of a heap as text or JSON. Input: what heap found. Output: text.
 * Sentences say what would help; heap has decided what is true.
 */
#include "report_samples.h"
#include "table.h"
#include "usage.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- arenas */

static const struct lh_column arena_columns[] = {
	{"ALLOCATOR", LH_COLUMN_LEFT}, {"ARENA", LH_COLUMN_LEFT},   {"RESIDENT", LH_COLUMN_RIGHT},
	{"LIVE", LH_COLUMN_RIGHT},     {"BLOCKS", LH_COLUMN_RIGHT}, {"CACHED", LH_COLUMN_RIGHT},
	{"FREE", LH_COLUMN_RIGHT},     {"PAGES", LH_COLUMN_SPARE},  {"OVERHEAD", LH_COLUMN_SPARE},
	{"TRIM", LH_COLUMN_SPARE},
};

static void add_figures(struct lh_table *table, const struct lh_heap_totals *totals)
{
	char count[LH_FORMAT_MAX];
	lh_table_cell_bytes(table, totals->resident_bytes);
	lh_table_cell_bytes(table, totals->bytes[LH_CHUNK_USED]);
	lh_table_cell(table, "%s", lh_format_count(totals->counts[LH_CHUNK_USED], count));
	lh_table_cell_bytes(table, totals->bytes[LH_CHUNK_CACHED]);
	lh_table_cell_bytes(table, totals->bytes[LH_CHUNK_FREE]);
	lh_table_cell_bytes(table, totals->free_resident_bytes);
	lh_table_cell_bytes(table, totals->overhead_bytes);
	lh_table_cell_bytes(table, totals->returnable_bytes);
}

static void add_arena_row(struct lh_table *table, const struct lh_heap_arena *arena)
{
	struct lh_heap_totals totals = lh_heap_arena_total(arena);
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell(table, "%s", arena->allocator);
	if (arena->addr)
		lh_table_cell(table, "%s%s0x%" PRIx64, arena->role, *arena->role ? " " : "", arena->addr);
	else
		lh_table_cell(table, "%s", arena->role);
	add_figures(table, &totals);
}

static void add_sum_row(struct lh_table *table, const char *allocator, const char *arena,
			const struct lh_heap_totals *totals)
{
	lh_table_row(table, LH_ROW_BOLD);
	lh_table_cell(table, "%s", allocator);
	lh_table_cell(table, "%s", arena);
	add_figures(table, totals);
}

/* Arenas with most resident memory get a row each, all others one row together. */
static void add_arena_rows(struct lh_table *table, const struct lh_heap_report *report)
{
	size_t count;
	const struct lh_heap_arena *arenas = lh_heap_arenas(report->heap, &count);
	size_t hidden = 0;
	for (size_t i = 0; i < count; i++) {
		size_t larger = 0;
		for (size_t j = 0; j < count && larger < report->top; j++)
			larger += arenas[j].resident_bytes > arenas[i].resident_bytes ||
				  (j < i && arenas[j].resident_bytes == arenas[i].resident_bytes);
		if (larger < report->top)
			add_arena_row(table, &arenas[i]);
		else
			hidden++;
	}
	char rest[48] = "";
	if (hidden)
		snprintf(rest, sizeof(rest), "%zu arenas, %zu not shown", count, hidden);
	struct lh_heap_totals totals = lh_heap_total(report->heap, NULL);
	add_sum_row(table, "total", rest, &totals);
}

static void put_arenas(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, arena_columns, LH_ARRAY_COUNT(arena_columns));
	add_arena_rows(&table, report);
	lh_table_render(&table, style, ret);
}

/* ---------------------------------------------------------------- findings */

/* How a program, or a person with gdb, makes an allocator give pages back. */
static const char *trim_advice(const char *allocator)
{
	static const struct {
		const char *allocator, *advice;
	} rows[] = {
		{"glibc", "malloc_trim(0) gives it back"},
		{"jemalloc", "it goes back as it decays (dirty_decay_ms), or at once by arena.N.purge"},
		{"mimalloc", "mi_collect(true) gives it back"},
		{"tcmalloc", "MallocExtension::ReleaseFreeMemory gives it back"},
		{"Google tcmalloc", "MallocExtension::ReleaseMemoryToSystem gives it back"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(rows); i++) {
		if (strcmp(rows[i].allocator, allocator) == 0)
			return rows[i].advice;
	}
	return "the allocator can give it back";
}

static void put_finding_text(const struct lh_heap_finding *finding, struct lh_buffer *ret)
{
	bool is_glibc = strcmp(finding->allocator, "glibc") == 0;
	switch (finding->kind) {
	case LH_HEAP_LIVE:
		lh_buffer_puts(ret,
			       "is in use: blocks that the program has not freed. Compare two heaps to see whether it "
			       "grows");
		break;
	case LH_HEAP_RETURNABLE:
		lh_buffer_printf(ret, "is free, in whole pages: %s", trim_advice(finding->allocator));
		break;
	case LH_HEAP_FRAGMENTED:
		lh_buffer_puts(ret, "is free, but pinned: blocks in use lie on the same pages (fragmentation). Later "
				    "requests of these sizes reuse it");
		break;
	case LH_HEAP_CACHED:
		lh_buffer_printf(ret, "is freed, and kept by threads for their next requests%s",
				 is_glibc ? " (GLIBC_TUNABLES=glibc.malloc.tcache_count=0 keeps none)" : "");
		break;
	case LH_HEAP_ARENAS:
		lh_buffer_printf(ret,
				 "is free in %zu threads' arenas, out of reach of malloc_trim: MALLOC_ARENA_MAX=2 "
				 "makes threads share arenas",
				 finding->arena_count);
		break;
	}
}

static void put_findings(const struct lh_heap_report *report, struct lh_buffer *ret)
{
	const struct lh_heap_findings *findings = report->findings;
	for (size_t i = 0; i < findings->items.count; i++) {
		const struct lh_heap_finding *finding = &findings->items.items[i];
		char bytes[LH_FORMAT_MAX];
		lh_buffer_printf(ret, "%s %s (%.0f %% of resident, %s) ",
				 i ? "        " : "verdict:", lh_format_bytes(finding->bytes, bytes),
				 100.0 * (double)finding->bytes / (double)findings->resident_bytes, finding->allocator);
		put_finding_text(finding, ret);
		lh_buffer_puts(ret, "\n");
	}
}

/* ---------------------------------------------------------------- groups */

static const struct lh_column group_columns[] = {
	{"OWNED", LH_COLUMN_RIGHT}, {"RESIDENT", LH_COLUMN_RIGHT}, {"BYTES", LH_COLUMN_RIGHT},
	{"SHARE", LH_COLUMN_RIGHT}, {"BLOCKS", LH_COLUMN_RIGHT},   {"EACH", LH_COLUMN_RIGHT},
	{"BY", LH_COLUMN_LEFT},     {"EXAMPLE", LH_COLUMN_LEFT},   {"WHAT", LH_COLUMN_REST},
};

static void add_group_row(struct lh_table *table, const struct lh_heap_group *group, uint64_t total_bytes)
{
	char count[LH_FORMAT_MAX];
	struct lh_buffer what LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell_bytes(table, group->owned_bytes);
	lh_table_cell_bytes(table, group->owned_resident_bytes);
	lh_table_cell_bytes(table, group->bytes);
	lh_table_cell(table, "%.1f %%", total_bytes ? 100.0 * (double)group->bytes / (double)total_bytes : 0);
	lh_table_cell(table, "%s", lh_format_count(group->count, count));
	lh_table_cell_bytes(table, group->bytes / group->count);
	lh_table_cell(table, "%s", lh_group_basis_name(group->basis));
	lh_table_cell(table, "0x%" PRIx64, group->example_addr);
	lh_buffer_printf(&what, "%s%s%s%s%s", group->kind, *group->kind ? " " : "", group->name,
			 *group->detail ? ", " : "", group->detail);
	lh_table_cell_escaped(table, what.data ? what.data : "");
	table->failed |= what.failed;
}

static void put_groups(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_heap_groups *groups = report->groups;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, group_columns, LH_ARRAY_COUNT(group_columns));
	for (size_t i = 0; i < groups->rows.count && i < report->top; i++)
		add_group_row(&table, &groups->rows.items[i], groups->bytes);
	lh_table_render(&table, style, ret);
	if (groups->rows.count > report->top)
		lh_buffer_printf(ret, "%zu more groups: --top N\n", groups->rows.count - report->top);
}

/* ---------------------------------------------------------------- what pins free memory */

/* The next group after `last`, by descending pinned bytes; NULL after the last one. */
static const struct lh_heap_group *next_pinning(const struct lh_heap_groups *groups, const struct lh_heap_group *last)
{
	const struct lh_heap_group *best = NULL;
	for (size_t i = 0; i < groups->rows.count; i++) {
		const struct lh_heap_group *group = &groups->rows.items[i];
		bool is_behind = !last || group->pinned_bytes < last->pinned_bytes ||
				 (group->pinned_bytes == last->pinned_bytes && group > last);
		if (is_behind && (!best || group->pinned_bytes > best->pinned_bytes))
			best = group;
	}
	return best;
}

/* Groups that keep at least a tenth of the pinned memory. */
static void put_pins(const struct lh_heap_report *report, struct lh_buffer *ret)
{
	enum { PINS_MAX = 3, PART = 10, RESIDENT_PART = 20 };
	const struct lh_heap_group *group = NULL;
	uint64_t pinned_bytes = 0;
	char bytes[LH_FORMAT_MAX];
	for (size_t i = 0; i < report->groups->rows.count; i++)
		pinned_bytes += report->groups->rows.items[i].pinned_bytes;
	if (pinned_bytes < lh_heap_total(report->heap, NULL).resident_bytes / RESIDENT_PART)
		return;
	lh_buffer_printf(ret, "pinned:  %s are free on pages with blocks in use", lh_format_bytes(pinned_bytes, bytes));
	for (size_t i = 0; i < PINS_MAX && (group = next_pinning(report->groups, group)); i++) {
		if (group->pinned_bytes < pinned_bytes / PART)
			break;
		lh_buffer_printf(ret, "%s%s by ", i ? ", " : ": ", lh_format_bytes(group->pinned_bytes, bytes));
		lh_buffer_printf(ret, "%s%s", group->kind, *group->kind ? " " : "");
		lh_buffer_escape(ret, group->name, strlen(group->name));
	}
	lh_buffer_puts(ret, "\n");
}

/* ---------------------------------------------------------------- sizes */

static const struct lh_column size_columns[] = {
	{"SIZE UP TO", LH_COLUMN_RIGHT}, {"LIVE", LH_COLUMN_RIGHT},   {"BLOCKS", LH_COLUMN_RIGHT},
	{"CACHED", LH_COLUMN_RIGHT},     {"BLOCKS", LH_COLUMN_RIGHT}, {"FREE", LH_COLUMN_RIGHT},
	{"BLOCKS", LH_COLUMN_RIGHT},
};

static bool is_empty_row(const struct lh_heap_size_row *row)
{
	return !row->counts[LH_CHUNK_USED] && !row->counts[LH_CHUNK_CACHED] && !row->counts[LH_CHUNK_FREE];
}

static void put_sizes(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_heap_size_row rows[LH_HEAP_SIZE_ROWS];
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	char text[LH_FORMAT_MAX];
	lh_heap_sizes(report->heap, rows);
	lh_table_init(&table, size_columns, LH_ARRAY_COUNT(size_columns));
	for (size_t i = 0; i < LH_HEAP_SIZE_ROWS; i++) {
		if (is_empty_row(&rows[i]))
			continue;
		lh_table_row(&table, LH_ROW_PLAIN);
		if (rows[i].size_max_bytes == UINT64_MAX)
			lh_table_cell(&table, "larger");
		else
			lh_table_cell_bytes(&table, rows[i].size_max_bytes);
		for (size_t state = 0; state < LH_CHUNK_STATES; state++) {
			lh_table_cell_bytes(&table, rows[i].bytes[state]);
			lh_table_cell(&table, "%s", lh_format_count(rows[i].counts[state], text));
		}
	}
	lh_table_render(&table, style, ret);
}

/* ---------------------------------------------------------------- how sure it is */

static void put_allocator(const struct lh_heap_allocator *allocator, struct lh_buffer *ret)
{
	char checked[LH_FORMAT_MAX], failed[LH_FORMAT_MAX], lost[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%s: %s structures checked, %s failed", allocator->name,
			 lh_format_count(allocator->checks.checked, checked),
			 lh_format_count(allocator->checks.failed, failed));
	if (allocator->checks.failed)
		lh_buffer_printf(ret, " (first at %s)", allocator->checks.first_failure);
	if (allocator->is_refused)
		lh_buffer_puts(ret, ": refused, its blocks are not shown");
	else if (allocator->is_partial)
		lh_buffer_printf(ret, "; partial: %s could not be followed",
				 lh_format_bytes(allocator->lost_bytes, lost));
	if (*allocator->note)
		lh_buffer_printf(ret, "; %s", allocator->note);
	lh_buffer_puts(ret, "\n");
}

void lh_report_heap_source(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char pause[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
	if (!receipt)
		return;
	lh_buffer_printf(ret, "read from a copy of one instant (mode %s): threads stood still for %s, %s copied\n",
			 lh_dump_mode_name(receipt->mode), lh_format_duration(receipt->pause_ns, pause),
			 lh_format_bytes(receipt->copied_bytes, bytes));
}

void lh_report_heap_text(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(report->heap, &count);
	if (!count) {
		lh_buffer_puts(ret, "no allocator that leakhunt can walk was found\n");
		lh_report_heap_source(report->receipt, ret);
		return;
	}
	put_arenas(report, style, ret);
	lh_buffer_puts(ret, "\n");
	put_findings(report, ret);
	put_pins(report, ret);
	lh_buffer_puts(ret, "\n");
	put_groups(report, style, ret);
	lh_buffer_puts(ret, "\n");
	lh_report_samples_text(report, style, ret);
	put_sizes(report, style, ret);
	lh_buffer_puts(ret, "\n");
	for (size_t i = 0; i < count; i++)
		put_allocator(&allocators[i], ret);
	lh_report_heap_source(report->receipt, ret);
}

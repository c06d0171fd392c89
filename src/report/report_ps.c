/*
 * report_ps: the table of processes as text or JSON. Input: processes, most USS first. Output: rows, and how many
 * processes could not be read.
 */
#include "table.h"
#include "usage.h"

#include <stdlib.h>
#include <string.h>

static const struct lh_column columns[] = {
	{"PID", LH_COLUMN_RIGHT}, {"USER", LH_COLUMN_LEFT},  {"USS", LH_COLUMN_RIGHT},    {"PSS", LH_COLUMN_RIGHT},
	{"RSS", LH_COLUMN_RIGHT}, {"SWAP", LH_COLUMN_RIGHT}, {"COMMAND", LH_COLUMN_REST},
};

static int compare_bytes(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

static int compare_pss(const void *a, const void *b)
{
	const struct lh_process_usage *x = a, *y = b;
	return compare_bytes(x->usage.pss_bytes, y->usage.pss_bytes);
}

static int compare_rss(const void *a, const void *b)
{
	const struct lh_process_usage *x = a, *y = b;
	return compare_bytes(x->usage.rss_bytes, y->usage.rss_bytes);
}

static int compare_swap(const void *a, const void *b)
{
	const struct lh_process_usage *x = a, *y = b;
	return compare_bytes(x->usage.swap_bytes, y->usage.swap_bytes);
}

static int compare_pids(const void *a, const void *b)
{
	const struct lh_process_usage *x = a, *y = b;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void lh_ps_sort(struct lh_process_table *table, const char *word)
{
	static const struct {
		const char *word;
		int (*compare)(const void *a, const void *b);
	} orders[] = {{"pss", compare_pss}, {"rss", compare_rss}, {"swap", compare_swap}, {"pid", compare_pids}};
	for (size_t i = 0; word && i < LH_ARRAY_COUNT(orders); i++) {
		if (strcmp(orders[i].word, word) == 0)
			lh_vec_sort(&table->processes, orders[i].compare);
	}
}

static size_t shown_count(const struct lh_ps_report *report)
{
	size_t count = report->table->processes.count;
	if (report->is_total_only)
		return 0;
	return report->most && report->most < count ? report->most : count;
}

static void sum_all(const struct lh_process_table *table, struct lh_usage *ret)
{
	for (size_t i = 0; i < table->processes.count; i++)
		lh_usage_add(ret, &table->processes.items[i].usage);
}

static void add_process_row(struct lh_table *text, const struct lh_process_usage *process)
{
	lh_table_row(text, LH_ROW_PLAIN);
	lh_table_cell(text, "%ld", (long)process->pid);
	lh_table_cell_escaped(text, process->user);
	lh_table_cell_bytes(text, lh_usage_uss(&process->usage));
	lh_table_cell_bytes(text, process->usage.pss_bytes);
	lh_table_cell_bytes(text, process->usage.rss_bytes);
	lh_table_cell_bytes(text, process->usage.swap_bytes);
	lh_table_cell_escaped(text, process->command);
}

/* "25 processes (10 shown), USS 1.1 GiB, PSS 1.2 GiB, swap 0 B; 1 could not be read; 2 ended meanwhile" */
static void append_closing(const struct lh_process_table *table, size_t shown, struct lh_buffer *ret)
{
	char uss[LH_FORMAT_MAX], pss[LH_FORMAT_MAX], swap[LH_FORMAT_MAX];
	struct lh_usage sum = {0};
	sum_all(table, &sum);
	lh_buffer_printf(ret, "%zu process%s", table->processes.count, table->processes.count == 1 ? "" : "es");
	if (shown < table->processes.count)
		lh_buffer_printf(ret, " (%zu shown)", shown);
	lh_buffer_printf(ret, ", USS %s, PSS %s, swap %s", lh_format_bytes(lh_usage_uss(&sum), uss),
			 lh_format_bytes(sum.pss_bytes, pss), lh_format_bytes(sum.swap_bytes, swap));
	if (table->unread.count)
		lh_buffer_printf(ret, "; %zu could not be read", table->unread.count);
	if (table->vanished_count)
		lh_buffer_printf(ret, "; %zu ended meanwhile", table->vanished_count);
	lh_buffer_puts(ret, "\n");
}

/* "not read: 1 (root): Permission denied" */
static void append_unread(const struct lh_process_table *table, struct lh_buffer *ret)
{
	enum { LISTED_MAX = 4 };
	size_t listed = lh_min_u64(table->unread.count, LISTED_MAX);
	for (size_t i = 0; i < listed; i++) {
		const struct lh_process_usage *process = &table->unread.items[i];
		lh_buffer_printf(ret, "not read: process %ld", (long)process->pid);
		lh_buffer_puts(ret, *process->user ? " of user " : "");
		lh_buffer_escape(ret, process->user, strlen(process->user));
		lh_buffer_printf(ret, ": %s\n", process->unread);
	}
	if (listed < table->unread.count)
		lh_buffer_printf(ret, "not read: %zu more\n", table->unread.count - listed);
}

void lh_report_ps_text(const struct lh_ps_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_table text LH_CLEANUP(lh_table_deinit);
	size_t shown = shown_count(report);
	lh_table_init(&text, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < shown; i++)
		add_process_row(&text, &report->table->processes.items[i]);
	if (!report->is_total_only)
		lh_table_render(&text, style, ret);
	append_closing(report->table, report->is_total_only ? report->table->processes.count : shown, ret);
	append_unread(report->table, ret);
}

static json_t *process_json(const struct lh_process_usage *process)
{
	json_t *object = json_pack("{s:I, s:I, s:o, s:o, s:o}", "pid", (json_int_t)process->pid, "uid",
				   (json_int_t)process->uid, "user", lh_json_string(process->user), "command",
				   lh_json_string(process->command), "cgroup", lh_json_string(process->cgroup));
	if (!object || lh_usage_to_json(&process->usage, object))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *processes_json(const struct lh_process_table *table, size_t shown)
{
	json_t *array = json_array();
	for (size_t i = 0; i < shown; i++) {
		if (json_array_append_new(array, process_json(&table->processes.items[i])) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *unread_json(const struct lh_process_table *table)
{
	json_t *array = json_array();
	for (size_t i = 0; i < table->unread.count; i++) {
		const struct lh_process_usage *process = &table->unread.items[i];
		json_t *row = json_pack("{s:I, s:o, s:o, s:s}", "pid", (json_int_t)process->pid, "user",
					lh_json_string(process->user), "command", lh_json_string(process->command),
					"reason", process->unread);
		if (json_array_append_new(array, row) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *sum_json(const struct lh_process_table *table)
{
	struct lh_usage sum = {0};
	json_t *object = json_pack("{s:I}", "processes", (json_int_t)table->processes.count);
	sum_all(table, &sum);
	if (!object || lh_usage_to_json(&sum, object))
		return object;
	json_decref(object);
	return NULL;
}

void lh_report_ps_json(const struct lh_ps_report *report, struct lh_buffer *ret)
{
	const struct lh_process_table *table = report->table;
	json_t *object = json_pack("{s:s, s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "schema", "leakhunt/ps/1", "complete",
				   !table->unread.count, "unreadable", (json_int_t)table->unread.count, "vanished",
				   (json_int_t)table->vanished_count, "without_memory", (json_int_t)table->kernel_count,
				   "total", sum_json(table), "processes", processes_json(table, shown_count(report)),
				   "not_read", unread_json(table));
	lh_report_append_json(object, ret);
}

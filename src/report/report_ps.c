/*
 * report_ps: the table of processes as text or JSON. Input: processes, most USS first. Output: rows, and
 * how many processes are missing from them.
 */
#include "table.h"
#include "usage.h"

static const struct lh_column columns[] = {
	{"PID", LH_COLUMN_RIGHT}, {"USER", LH_COLUMN_LEFT},  {"USS", LH_COLUMN_RIGHT},    {"PSS", LH_COLUMN_RIGHT},
	{"RSS", LH_COLUMN_RIGHT}, {"SWAP", LH_COLUMN_RIGHT}, {"COMMAND", LH_COLUMN_REST},
};

static size_t shown_count(const struct lh_process_table *table, size_t most)
{
	return most && most < table->processes.count ? most : table->processes.count;
}

static void sum_all(const struct lh_process_table *table, struct lh_usage *ret)
{
	for (size_t i = 0; i < table->processes.count; i++)
		lh_usage_add(ret, &table->processes.items[i].usage);
}

static void add_process(struct lh_table *text, const struct lh_process_usage *process)
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

/* "25 processes (10 shown), PSS 1.2 GiB, swap 0 B; 1 could not be read; 2 ended meanwhile" */
static void append_closing(const struct lh_process_table *table, size_t shown, struct lh_buffer *ret)
{
	char pss[LH_FORMAT_MAX], swap[LH_FORMAT_MAX];
	struct lh_usage sum = {0};
	sum_all(table, &sum);
	lh_buffer_printf(ret, "%zu process%s", table->processes.count, table->processes.count == 1 ? "" : "es");
	if (shown < table->processes.count)
		lh_buffer_printf(ret, " (%zu shown)", shown);
	lh_buffer_printf(ret, ", PSS %s, swap %s", lh_format_bytes(sum.pss_bytes, pss),
			 lh_format_bytes(sum.swap_bytes, swap));
	if (table->unreadable_count)
		lh_buffer_printf(ret, "; %zu could not be read", table->unreadable_count);
	if (table->vanished_count)
		lh_buffer_printf(ret, "; %zu ended meanwhile", table->vanished_count);
	lh_buffer_puts(ret, "\n");
}

void lh_report_ps_text(const struct lh_process_table *table, size_t most, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_table text LH_CLEANUP(lh_table_deinit);
	size_t shown = shown_count(table, most);
	lh_table_init(&text, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < shown; i++)
		add_process(&text, &table->processes.items[i]);
	lh_table_render(&text, style, ret);
	append_closing(table, shown, ret);
}

static json_t *process_json(const struct lh_process_usage *process)
{
	json_t *object =
		json_pack("{s:I, s:I, s:o, s:o}", "pid", (json_int_t)process->pid, "uid", (json_int_t)process->uid,
			  "user", lh_json_string(process->user), "command", lh_json_string(process->command));
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

void lh_report_ps_json(const struct lh_process_table *table, size_t most, struct lh_buffer *ret)
{
	json_t *object =
		json_pack("{s:s, s:b, s:I, s:I, s:I, s:o, s:o}", "schema", "leakhunt/ps/1", "complete",
			  !table->unreadable_count, "unreadable", (json_int_t)table->unreadable_count, "vanished",
			  (json_int_t)table->vanished_count, "without_memory", (json_int_t)table->kernel_count, "total",
			  sum_json(table), "processes", processes_json(table, shown_count(table, most)));
	lh_report_append_json(object, ret);
}

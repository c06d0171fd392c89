/*
 * report_leaks: lost blocks as text. Input: groups of a graph. Output: a summary, one sentence per large group, a
 * table, and doubts.
 */
#include "table.h"
#include "usage.h"

#include <inttypes.h>
#include <string.h>

enum { SENTENCES_MAX = 5 };

static const struct lh_column leak_columns[] = {
	{"STATUS", LH_COLUMN_LEFT}, {"BLOCKS", LH_COLUMN_RIGHT}, {"EACH", LH_COLUMN_RIGHT},
	{"OWNED", LH_COLUMN_RIGHT}, {"OWNS", LH_COLUMN_RIGHT},   {"CONFIRMED", LH_COLUMN_RIGHT},
	{"BY", LH_COLUMN_LEFT},     {"EXAMPLE", LH_COLUMN_LEFT}, {"WHAT", LH_COLUMN_REST},
};

static const struct lh_heap_group *row_of(const struct lh_leaks_report *report, const struct lh_leak_group *group)
{
	return &report->leaks->rows.rows.items[group->row];
}

static void put_leak_name(const struct lh_heap_group *row, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "%s%s", row->kind, *row->kind ? " " : "");
	lh_buffer_escape(ret, row->name, strlen(row->name));
	lh_buffer_puts(ret, *row->detail ? ", " : "");
	lh_buffer_escape(ret, row->detail, strlen(row->detail));
}

static void add_leak_row(const struct lh_leaks_report *report, const struct lh_leak_group *group,
			 struct lh_table *table)
{
	char count[LH_FORMAT_MAX];
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	const struct lh_heap_group *row = row_of(report, group);
	bool is_lost = group->status != LH_LEAK_POSSIBLE && !group->is_suppressed;
	lh_table_row(table, is_lost ? LH_ROW_PLAIN : LH_ROW_DIM);
	lh_table_cell(table, "%s", group->is_suppressed ? "suppressed" : lh_leak_status_name(group->status));
	lh_table_cell(table, "%s", lh_format_count(group->count, count));
	lh_table_cell_bytes(table, group->size_bytes);
	lh_table_cell_bytes(table, group->owned_bytes);
	if (group->owned_count > group->count)
		lh_table_cell(table, "%s", lh_format_count(group->owned_count - group->count, count));
	else
		lh_table_cell(table, "-");
	if (report->is_confirmed)
		lh_table_cell(table, "%s", lh_format_count(group->confirmed_count, count));
	else
		lh_table_cell(table, "-");
	lh_table_cell(table, "%s", lh_group_basis_name(row->basis));
	lh_table_cell(table, "0x%" PRIx64, group->example_addr);
	put_leak_name(row, &name);
	lh_table_cell(table, "%s", name.data ? name.data : "");
}

static void put_leak_table(const struct lh_leaks_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_table table LH_CLEANUP(lh_table_deinit) = {0};
	char count[LH_FORMAT_MAX];
	size_t shown = lh_min_u64(report->top, report->leaks->groups.count);
	if (!shown)
		return;
	lh_buffer_puts(ret, "\n");
	lh_table_init(&table, leak_columns, LH_ARRAY_COUNT(leak_columns));
	for (size_t i = 0; i < shown; i++)
		add_leak_row(report, &report->leaks->groups.items[i], &table);
	lh_table_render(&table, style, ret);
	if (shown < report->leaks->groups.count)
		lh_buffer_printf(ret, "%s more groups: --top N shows them\n",
				 lh_format_count(report->leaks->groups.count - shown, count));
}

/* ---------------------------------------------------------------- sentences */

static const char *holder_clause(enum lh_leak_status status, bool is_one)
{
	if (status == LH_LEAK_CYCLE)
		return is_one ? "is held only by a circle of lost blocks" : "are held only by circles of lost blocks";
	return is_one ? "is held by nothing" : "are held by nothing";
}

/* "1 block of 64 B with text", "1,204 OpenSSL SSL". */
static void put_alike_blocks(uint64_t count, uint64_t size_bytes, enum lh_group_basis basis, const char *name,
			     struct lh_buffer *ret)
{
	char text[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%s ", lh_format_count(count, text));
	if (basis == LH_GROUP_TYPE) {
		lh_buffer_puts(ret, name);
		return;
	}
	lh_buffer_printf(ret, "block%s of %s", count == 1 ? "" : "s", lh_format_bytes(size_bytes, text));
	if (basis != LH_GROUP_SIZE)
		lh_buffer_printf(ret, "%s%s", basis == LH_GROUP_POINTER ? " with a pointer to " : " with ", name);
}

static void put_leak_sentence(const struct lh_leaks_report *report, const struct lh_leak_group *group,
			      struct lh_buffer *ret)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	const struct lh_heap_group *row = row_of(report, group);
	char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX], owned[LH_FORMAT_MAX], confirmed[LH_FORMAT_MAX];
	/* If the group owns fewer blocks than are held, other groups own and mention the rest. */
	uint64_t owned_others = group->owned_count - group->count;
	uint64_t held_count = group->held_count <= owned_others ? group->held_count : 0;
	uint64_t all = group->count + held_count, others = owned_others - held_count;
	put_leak_name(row, &name);
	put_alike_blocks(all, group->size_bytes, row->basis, name.data ? name.data : "", ret);
	lh_format_bytes(group->owned_bytes, bytes);
	if (others)
		lh_buffer_printf(ret, " (%s with the %s block%s that only %s)", bytes, lh_format_count(others, owned),
				 others == 1 ? "" : "s", all == 1 ? "it holds" : "they hold");
	else
		lh_buffer_printf(ret, " (%s)", bytes);
	lh_buffer_printf(ret, " %s", holder_clause(group->status, all == 1));
	if (held_count)
		lh_buffer_printf(ret, ", %s of them only by another lost block", lh_format_count(held_count, count));
	if (report->is_confirmed)
		lh_buffer_printf(ret, "; %s of them lost and unchanged in both dumps",
				 lh_format_count(group->confirmed_count, confirmed));
	lh_buffer_printf(ret, ". LeakSanitizer: %s; valgrind: %s.\n", lh_leak_status_lsan(group->status),
			 lh_leak_status_valgrind(group->status));
}

static void put_leak_sentences(const struct lh_leaks_report *report, struct lh_buffer *ret)
{
	size_t shown = 0;
	for (size_t i = 0; i < report->leaks->groups.count && shown < SENTENCES_MAX; i++) {
		const struct lh_leak_group *group = &report->leaks->groups.items[i];
		if (group->is_suppressed || group->status == LH_LEAK_POSSIBLE || group->status == LH_LEAK_HELD)
			break;
		put_leak_sentence(report, group, ret);
		shown++;
	}
	if (shown) {
		const struct lh_leak_group *first = &report->leaks->groups.items[0];
		lh_buffer_printf(ret, "evidence: leakhunt explain 0x%" PRIx64 " ", first->example_addr);
		if (report->receipt)
			lh_buffer_printf(ret, "%d\n", (int)report->receipt->pid);
		else
			lh_buffer_printf(ret, "%s\n", lh_image_path(report->image));
	}
}

static bool has_doubts(const struct lh_leaks_report *report)
{
	size_t count;
	(void)lh_graph_doubts(report->graph, &count);
	return count > 0;
}

/* There are doubts, but no block that they could concern. */
static bool has_idle_doubts(const struct lh_leaks_report *report)
{
	const struct lh_leaks *leaks = report->leaks;
	return has_doubts(report) && !leaks->count && !leaks->possible_count && !leaks->suppressed_count;
}

/* "nothing is known to be lost: each of 17 blocks in use can be reached (why that may not be all)" */
static void put_doubtful_verdict(const struct lh_leaks_report *report, uint64_t used, struct lh_buffer *ret)
{
	size_t count;
	const char *const *doubts = lh_graph_doubts(report->graph, &count);
	char blocks[LH_FORMAT_MAX];
	lh_buffer_puts(ret, "nothing is known to be lost: ");
	if (used)
		lh_buffer_printf(ret, "each of %s block%s in use can be reached", lh_format_count(used, blocks),
				 used == 1 ? "" : "s");
	else
		lh_buffer_puts(ret, "no block of a malloc is in use");
	for (size_t i = 0; i < count; i++) {
		lh_buffer_puts(ret, i ? "; " : " (");
		lh_buffer_escape(ret, doubts[i], strlen(doubts[i]));
	}
	lh_buffer_puts(ret, ")\n");
}

/* Runtimes that keep many values in a block of malloc: all of them stay reachable with the block. NULL: none. */
static const char *packing_runtime(const struct lh_image *image)
{
	static const struct {
		const char *prefix;
		const char *name;
	} runtimes[] = {{"perl", "perl"}, {"libperl", "perl"}, {"ruby", "Ruby"}, {"libruby", "Ruby"}};
	const struct lh_module_list *list = lh_image_modules(image);
	for (size_t i = 0; i < list->modules.count; i++) {
		const char *name = lh_image_module_name(image, &list->modules.items[i]);
		for (size_t j = 0; j < LH_ARRAY_COUNT(runtimes); j++) {
			if (strncmp(name, runtimes[j].prefix, strlen(runtimes[j].prefix)) == 0)
				return runtimes[j].name;
		}
	}
	return NULL;
}

static void put_nothing_lost(const struct lh_leaks_report *report, uint64_t used, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	const char *packing = packing_runtime(report->image);
	bool is_whole = !report->leaks->possible_count && !report->leaks->suppressed_count;
	lh_buffer_printf(ret, "%s: each of %s blocks in use %s", packing ? "no block is lost" : "nothing is lost",
			 lh_format_count(used, count),
			 is_whole ? "can be reached" : "is reachable, possible or suppressed");
	if (packing)
		lh_buffer_printf(ret, "; this does not tell of values of %s, which keeps many in one block", packing);
	lh_buffer_puts(ret, "\n");
}

static void put_leak_verdict(const struct lh_leaks_report *report, struct lh_buffer *ret)
{
	const struct lh_leaks *leaks = report->leaks;
	struct lh_graph_totals totals = lh_graph_totals(report->graph);
	char count[LH_FORMAT_MAX], owned[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
	uint64_t used = 0;
	for (int status = 0; status < LH_LEAK_STATUSES; status++)
		used += totals.counts[status];
	if (leaks->count)
		lh_buffer_printf(ret, "lost: %s block%s that nothing points to; with all that only %s %s block%s, %s\n",
				 lh_format_count(leaks->count, count), leaks->count == 1 ? "" : "s",
				 leaks->count == 1 ? "it holds" : "they hold",
				 lh_format_count(leaks->owned_count, owned), leaks->owned_count == 1 ? "" : "s",
				 lh_format_bytes(leaks->owned_bytes, bytes));
	else if (has_idle_doubts(report))
		put_doubtful_verdict(report, used, ret);
	else if (has_doubts(report) && leaks->possible_count)
		lh_buffer_printf(ret, "lost or not is unknown for %s of %s blocks in use; the others can be reached\n",
				 lh_format_count(leaks->possible_count, owned), lh_format_count(used, count));
	else
		put_nothing_lost(report, used, ret);
	if (report->is_confirmed && leaks->count)
		lh_buffer_printf(ret, "confirmed: %s of them were lost in the first dump, too, with the same bytes\n",
				 lh_format_count(leaks->confirmed_count, count));
	if (leaks->possible_count)
		lh_buffer_printf(ret, "possible: %s block%s, %s: no plain pointer leads to %s\n",
				 lh_format_count(leaks->possible_count, count), leaks->possible_count == 1 ? "" : "s",
				 lh_format_bytes(leaks->possible_bytes, bytes),
				 leaks->possible_count == 1 ? "it" : "them");
	if (leaks->suppressed_count)
		lh_buffer_printf(ret, "suppressed: %s block%s, %s\n", lh_format_count(leaks->suppressed_count, count),
				 leaks->suppressed_count == 1 ? "" : "s",
				 lh_format_bytes(leaks->suppressed_bytes, bytes));
}

static void put_doubts(const struct lh_leaks_report *report, struct lh_buffer *ret)
{
	size_t count;
	const char *const *doubts = lh_graph_doubts(report->graph, &count);
	for (size_t i = 0; i < count && !has_idle_doubts(report); i++) {
		lh_buffer_puts(ret, i ? "  and: " : "nothing is called lost: ");
		lh_buffer_escape(ret, doubts[i], strlen(doubts[i]));
		lh_buffer_puts(ret, "\n");
	}
}

/* ---------------------------------------------------------------- holders */

/* "12 SSL of 7.6 KiB in an array"; if no elements of one size were found, only the amount. */
static void put_held_elements(const struct lh_holder *holder, struct lh_buffer *ret)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	char count[LH_FORMAT_MAX];
	if (!holder->element_count) {
		lh_buffer_printf(ret, "%s block%s", lh_format_count(holder->retained_count, count),
				 holder->retained_count == 1 ? "" : "s");
		return;
	}
	lh_buffer_escape(&name, holder->element_name, strlen(holder->element_name));
	put_alike_blocks(holder->element_count, holder->element_bytes, holder->element_basis,
			 name.data ? name.data : "", ret);
	if (holder->shape != LH_HOLDER_BLOCK)
		lh_buffer_printf(ret, " in %s %s", holder->shape == LH_HOLDER_ARRAY ? "an" : "a",
				 lh_holder_shape_name(holder->shape));
}

static void put_holder(const struct lh_leaks_report *report, const struct lh_holder *holder, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
	lh_buffer_puts(ret, "  ");
	lh_buffer_escape(ret, holder->root, strlen(holder->root));
	lh_buffer_puts(ret, holder->is_shared ? " and other roots hold " : " holds ");
	put_held_elements(holder, ret);
	if (holder->addr)
		lh_buffer_printf(ret, " (0x%" PRIx64 ")", holder->addr);
	lh_buffer_printf(ret, ": %s with all that only %s", lh_format_bytes(holder->retained_bytes, bytes),
			 holder->is_shared ? "they retain" : "it retains");
	if (report->is_confirmed)
		lh_buffer_printf(ret, "; +%s, +%s", lh_format_count(holder->grown_count, count),
				 lh_format_bytes(holder->grown_bytes, bytes));
	lh_buffer_puts(ret, "\n");
}

/* Caches of libc and OpenSSL are shown only if they grow. */
static void put_holders(const struct lh_leaks_report *report, struct lh_buffer *ret)
{
	bool has_title = false;
	for (size_t i = 0; i < report->holders->items.count; i++) {
		const struct lh_holder *holder = &report->holders->items.items[i];
		if (report->is_confirmed ? !holder->grown_bytes : holder->is_library)
			continue;
		if (!has_title)
			lh_buffer_printf(ret, "\n%s\n",
					 report->is_confirmed ? "can be reached, and grew between the dumps:"
							      : "most of what can be reached:");
		has_title = true;
		put_holder(report, holder, ret);
	}
}

void lh_report_leaks_text(const struct lh_leaks_report *report, struct lh_style style, struct lh_buffer *ret)
{
	char pause[LH_FORMAT_MAX];
	put_doubts(report, ret);
	put_leak_verdict(report, ret);
	put_leak_sentences(report, ret);
	put_leak_table(report, style, ret);
	put_holders(report, ret);
	if (report->receipt)
		lh_buffer_printf(ret, "\nreceipt: copied in mode %s, stopped for %s\n",
				 lh_dump_mode_name(report->receipt->mode),
				 lh_format_duration(report->receipt->pause_ns, pause));
}

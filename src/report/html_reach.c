/*
 * html_reach: blocks that nothing points to any more, and who holds what grew, as tables. Input: what a hunt found of
 * both dumps. Where reachability is not known, the page says why.
 */
#include "html.h"
#include "shell_word.h"

#include <inttypes.h>

enum { REACH_ROWS_MAX = 40, REACH_NAME_MAX = 120 };

static void put_number_cell(uint64_t value, const char *text, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "<td data-v=\"%" PRIu64 "\">%s</td>", value, text);
}

/* The command that shows the same of both dumps. */
static void put_leaks_command(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	struct lh_buffer command LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!hunt->keeps_dumps || !hunt->dump_paths[LH_HUNT_BEFORE] || !hunt->dump_paths[LH_HUNT_AFTER])
		return;
	lh_buffer_puts(&command, "leakhunt leaks ");
	lh_shell_word(&command, hunt->dump_paths[LH_HUNT_BEFORE]);
	lh_buffer_puts(&command, " ");
	lh_shell_word(&command, hunt->dump_paths[LH_HUNT_AFTER]);
	if (command.data)
		lh_html_command(ret, command.data);
	ret->failed |= command.failed;
}

/* What blocks are: a type, what is in them, or their size alone. */
static void put_block_name(enum lh_group_basis basis, const char *kind, const char *name, const char *detail,
			   struct lh_buffer *ret)
{
	if (basis != LH_GROUP_TYPE)
		lh_buffer_puts(ret, basis == LH_GROUP_POINTER ? "blocks with a pointer to " : "blocks of ");
	if (*kind) {
		lh_buffer_puts(ret, "<span class=\"mut\">");
		lh_html_text_cut(ret, kind, REACH_NAME_MAX);
		lh_buffer_puts(ret, "</span> ");
	}
	lh_buffer_puts(ret, "<bdi>");
	lh_html_text_cut(ret, name, REACH_NAME_MAX);
	lh_buffer_puts(ret, "</bdi>");
	if (!*detail)
		return;
	lh_buffer_puts(ret, " (");
	lh_html_text_cut(ret, detail, REACH_NAME_MAX);
	lh_buffer_puts(ret, ")");
}

/* ---------------------------------------------------------------- lost */

static bool is_lost_group(const struct lh_leak_group *group)
{
	return group->status == LH_LEAK_LOST || group->status == LH_LEAK_CYCLE;
}

static void put_lost_row(const struct lh_hunt *hunt, const struct lh_leak_group *group, struct lh_buffer *ret)
{
	const struct lh_heap_group *what = &hunt->reach.leaks.rows.rows.items[group->row];
	char number[LH_HTML_NUMBER_MAX];
	lh_buffer_puts(ret, "<tr><th scope=\"row\">");
	put_block_name(what->basis, what->kind, what->name, what->detail, ret);
	if (group->status == LH_LEAK_CYCLE)
		lh_buffer_puts(ret, ", in circles");
	lh_buffer_puts(ret, "</th>");
	put_number_cell(group->count, lh_html_count(group->count, number), ret);
	put_number_cell(group->owned_bytes, lh_html_bytes(group->owned_bytes, number), ret);
	put_number_cell(group->confirmed_count, lh_html_count(group->confirmed_count, number), ret);
	put_number_cell(group->size_bytes, lh_html_bytes(group->size_bytes, number), ret);
	lh_buffer_printf(ret, "<td class=\"l\"><code>0x%" PRIx64 "</code></td></tr>\n", group->example_addr);
}

static void put_lost_table(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_leaks *leaks = &hunt->reach.leaks;
	size_t shown = 0;
	lh_html_begin_table(ret, "lost-t", "Lost blocks", " class=\"sort\" data-most=\"15\"");
	lh_html_column(ret, "What", false, "");
	lh_html_column(ret, "Blocks", true, "");
	lh_html_column(ret, "With what they own", true, "");
	lh_html_column(ret, "Confirmed", true, "");
	lh_html_column(ret, "Each", true, "");
	lh_buffer_puts(ret, "<th scope=\"col\" class=\"l\">Example</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < leaks->groups.count && shown < REACH_ROWS_MAX; i++) {
		if (!is_lost_group(&leaks->groups.items[i]))
			continue;
		put_lost_row(hunt, &leaks->groups.items[i], ret);
		shown++;
	}
	lh_html_end_table(ret);
}

static void put_lost_lead(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_leaks *leaks = &hunt->reach.leaks;
	char count[LH_HTML_NUMBER_MAX], bytes[LH_HTML_NUMBER_MAX], confirmed[LH_HTML_NUMBER_MAX];
	lh_buffer_puts(ret, "<p class=\"lead\">");
	if (!hunt->reach.is_known) {
		lh_buffer_puts(ret, "Lost or still held is not known: ");
		lh_html_text(ret, hunt->reach.doubt);
		lh_buffer_puts(ret, ".</p>");
		return;
	}
	if (!leaks->count) {
		lh_buffer_puts(ret, "No block of an allocator is lost: each can be reached.</p>");
		return;
	}
	lh_buffer_printf(
		ret,
		"Nothing points to %s block%s of dump B; with all that only they hold, %s. Of them, %s were lost "
		"in dump A, too, with the same bytes.</p>",
		lh_html_count(leaks->count, count), leaks->count == 1 ? "" : "s",
		lh_html_bytes(leaks->owned_bytes, bytes), lh_html_count(leaks->confirmed_count, confirmed));
}

static bool has_lost_section(const struct lh_hunt *hunt)
{
	return hunt->reach.is_known || *hunt->reach.doubt;
}

static void write_lost(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_html_begin_section(ret, "lost", "Lost");
	put_lost_lead(hunt, ret);
	if (hunt->reach.leaks.count) {
		put_lost_table(hunt, ret);
		put_leaks_command(hunt, ret);
	}
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_lost = {
	.id = "lost", .title = "Lost", .has = has_lost_section, .write = write_lost};

/* ---------------------------------------------------------------- holders */

static bool has_holders(const struct lh_hunt *hunt)
{
	return hunt->reach.holders.items.count && hunt->reach.holders.items.items[0].grown_bytes;
}

static void put_elements(const struct lh_holder *holder, struct lh_buffer *ret)
{
	char count[LH_HTML_NUMBER_MAX];
	if (!holder->element_count) {
		lh_buffer_printf(ret, "%s blocks", lh_html_count(holder->retained_count, count));
		return;
	}
	lh_buffer_printf(ret, "%s ", lh_html_count(holder->element_count, count));
	if (holder->element_basis == LH_GROUP_SIZE)
		lh_buffer_printf(ret, "blocks of %s", lh_html_bytes(holder->element_bytes, count));
	else
		put_block_name(holder->element_basis, "", holder->element_name, "", ret);
}

static void put_holder_row(const struct lh_holder *holder, struct lh_buffer *ret)
{
	char number[LH_HTML_NUMBER_MAX];
	lh_buffer_puts(ret, "<tr><th scope=\"row\"><bdi>");
	lh_html_text_cut(ret, holder->root, REACH_NAME_MAX);
	lh_buffer_printf(ret, "</bdi>%s</th>", holder->is_shared ? " and other roots" : "");
	put_number_cell(holder->grown_bytes, lh_html_signed_bytes((int64_t)holder->grown_bytes, number), ret);
	put_number_cell(holder->grown_count, lh_html_signed_count((int64_t)holder->grown_count, number), ret);
	put_number_cell(holder->retained_bytes, lh_html_bytes(holder->retained_bytes, number), ret);
	lh_buffer_puts(ret, "<td class=\"l\">");
	put_elements(holder, ret);
	lh_buffer_printf(ret, "</td><td class=\"l\">%s</td><td class=\"l\">",
			 holder->shape == LH_HOLDER_BLOCK ? "" : lh_holder_shape_name(holder->shape));
	if (holder->addr)
		lh_buffer_printf(ret, "<code>0x%" PRIx64 "</code>", holder->addr);
	lh_buffer_puts(ret, "</td></tr>\n");
}

/* Holders of little do not explain much: say how much grew. */
static void put_holders_lead(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	int64_t grown = (int64_t)(hunt->heaps[LH_HUNT_AFTER].used_bytes - hunt->heaps[LH_HUNT_BEFORE].used_bytes);
	char bytes[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(
		ret,
		"<p class=\"lead\">Without this variable or frame, what it retains could not be reached. Blocks in "
		"use grew by %s in all.</p>",
		lh_html_signed_bytes(grown, bytes));
}

static void write_holders(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_holder_list *list = &hunt->reach.holders;
	lh_html_begin_section(ret, "holders", "Holders");
	put_holders_lead(hunt, ret);
	lh_html_begin_table(ret, "hold-t", "Holders of what grew", " class=\"sort\" data-most=\"15\"");
	lh_html_column(ret, "Holder", false, "");
	lh_html_column(ret, "Grew", true, "");
	lh_html_column(ret, "Elements", true, "");
	lh_html_column(ret, "Retains", true, "");
	lh_html_column(ret, "Holds", false, "");
	lh_html_column(ret, "As", false, "");
	lh_buffer_puts(ret, "<th scope=\"col\" class=\"l\">At</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < list->items.count; i++) {
		if (list->items.items[i].grown_bytes)
			put_holder_row(&list->items.items[i], ret);
	}
	lh_html_end_table(ret);
	put_leaks_command(hunt, ret);
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_holders = {
	.id = "holders", .title = "Holders", .has = has_holders, .write = write_holders};

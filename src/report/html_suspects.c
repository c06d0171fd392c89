/*
 * html_suspects: the claims of a hunt as cards: what the growth is, its numbers, the evidence, and the commands that
 * show it; and large regions that do not grow. Input: a hunt.
 */
#include "html.h"
#include "shell_word.h"

#include <inttypes.h>

/* How many innocent regions are listed, and from which size on. */
enum { CLEARED_MAX = 6 };
#define CLEARED_BYTES_MIN (256 * LH_KIB)

static void put_pair(const char *name, const char *value, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "<dt>%s</dt><dd>%s</dd>", name, value);
}

static void put_row_numbers(const struct lh_hunt_row *row, struct lh_buffer *ret)
{
	char before[LH_HTML_NUMBER_MAX], after[LH_HTML_NUMBER_MAX], more[LH_HTML_NUMBER_MAX], each[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(ret, "<dt>Count</dt><dd>%s before, %s after: %s</dd>",
			 lh_html_count(row->before_count, before), lh_html_count(row->after_count, after),
			 lh_html_signed_count(row->count, more));
	put_pair("Their own blocks", lh_html_signed_bytes(row->bytes, more), ret);
	if (row->count > 0 && row->bytes > 0)
		put_pair("Each", lh_html_bytes((uint64_t)(row->bytes / row->count), each), ret);
}

static void put_heap_numbers(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_hunt_heap *before = &hunt->heaps[LH_HUNT_BEFORE], *after = &hunt->heaps[LH_HUNT_AFTER];
	char used[LH_HTML_NUMBER_MAX], freed[LH_HTML_NUMBER_MAX];
	if (!before->is_known || !after->is_known)
		return;
	lh_buffer_printf(ret, "<dt>Blocks in use</dt><dd>%s</dd><dt>Freed blocks</dt><dd>%s</dd>",
			 lh_html_signed_bytes((int64_t)(after->used_bytes - before->used_bytes), used),
			 lh_html_signed_bytes((int64_t)(after->free_bytes - before->free_bytes), freed));
}

/* ---------------------------------------------------------------- the main claim */

static void put_claim(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char count[LH_HTML_NUMBER_MAX], bytes[LH_HTML_NUMBER_MAX];
	const struct lh_hunt_row *row = &hunt->rows[0];
	lh_buffer_printf(ret, "<p class=\"claim\"><b>%s ", lh_html_signed_count(row->count, count));
	if (*row->family)
		lh_buffer_printf(ret, "%s ", row->family);
	lh_html_row_name(ret, row);
	lh_buffer_printf(ret, "</b> in %s more", lh_html_bytes((uint64_t)(row->bytes > 0 ? row->bytes : 0), bytes));
	if (hunt->owned_bytes > row->bytes)
		lh_buffer_printf(ret, ", <b>%s</b> with what grew along with them",
				 lh_html_signed_bytes(hunt->owned_bytes, bytes));
	lh_buffer_puts(ret, ".</p>");
}

static void put_evidence(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char count[LH_HTML_NUMBER_MAX], bytes[LH_HTML_NUMBER_MAX];
	lh_buffer_puts(ret, "<h4>Evidence</h4><ul class=\"ev\">");
	for (int i = 0; i < LH_HUNT_QUESTIONS; i++) {
		lh_buffer_puts(ret, "<li>");
		lh_html_sentence(ret, hunt->confidences[i].reason);
		lh_buffer_puts(ret, "</li>");
	}
	for (size_t i = 1; i < hunt->row_count; i++) {
		const struct lh_hunt_row *row = &hunt->rows[i];
		lh_buffer_printf(ret, "<li>Along with it: %s ", lh_html_signed_count(row->count, count));
		lh_html_row_name(ret, row);
		lh_buffer_printf(ret, ", %s</li>", lh_html_signed_bytes(row->bytes, bytes));
	}
	if (hunt->has_cause) {
		lh_buffer_puts(ret, "<li>");
		lh_html_sentence(ret, hunt->cause.text);
		lh_buffer_puts(ret, "</li>");
	}
	lh_buffer_puts(ret, "</ul>");
}

static void put_file_command(const char *words, const char *path, const char *second, struct lh_buffer *ret)
{
	struct lh_buffer command LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_printf(&command, "leakhunt %s ", words);
	lh_shell_word(&command, path);
	if (second) {
		lh_buffer_puts(&command, " ");
		lh_shell_word(&command, second);
	}
	if (command.data)
		lh_html_command(ret, command.data);
	ret->failed |= command.failed;
}

static void put_commands(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const char *before = hunt->dump_paths[LH_HUNT_BEFORE], *after = hunt->dump_paths[LH_HUNT_AFTER];
	if (!hunt->keeps_dumps || !before || !after)
		return;
	lh_buffer_puts(ret, "<h4>See for yourself</h4>");
	put_file_command("strings", before, after, ret);
	put_file_command("heap", after, NULL, ret);
	if (hunt->rows[0].addr) {
		char words[64];
		snprintf(words, sizeof(words), "explain 0x%" PRIx64, hunt->rows[0].addr);
		put_file_command(words, after, NULL, ret);
	}
}

static void put_main_card(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "<article class=\"card first\"><h3 class=\"acc\">1. What grew most</h3>");
	put_claim(hunt, ret);
	lh_buffer_puts(ret, "<div class=\"cg\"><div><h4>Numbers</h4><dl class=\"kv\">");
	put_row_numbers(&hunt->rows[0], ret);
	put_heap_numbers(hunt, ret);
	lh_buffer_puts(ret, "</dl></div><div>");
	put_evidence(hunt, ret);
	lh_buffer_puts(ret, "</div></div>");
	put_commands(hunt, ret);
	lh_buffer_puts(ret, "</article>\n");
}

/* ---------------------------------------------------------------- cleared */

static bool is_cleared(const struct lh_growth *growth)
{
	return !growth->is_suspect && !lh_verdict_may_grow(growth->verdict) &&
	       growth->private_last_bytes >= CLEARED_BYTES_MIN;
}

/* The largest one below `below_bytes`, or the next in order. */
static const struct lh_growth *next_cleared(const struct lh_hunt *hunt, const struct lh_growth *last)
{
	const struct lh_growth *best = NULL;
	for (size_t i = 0; i < hunt->selection.growths.count; i++) {
		const struct lh_growth *growth = &hunt->selection.growths.items[i];
		bool is_behind = !last || growth->private_last_bytes < last->private_last_bytes ||
				 (growth->private_last_bytes == last->private_last_bytes && growth > last);
		if (is_cleared(growth) && is_behind && (!best || growth->private_last_bytes > best->private_last_bytes))
			best = growth;
	}
	return best;
}

static void put_cleared(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX];
	const struct lh_growth *growth = next_cleared(hunt, NULL);
	if (!growth)
		return;
	lh_buffer_puts(ret, "<article class=\"card\"><h3>Looked at, and cleared</h3><ul class=\"plain\">");
	for (size_t i = 0; growth && i < CLEARED_MAX; i++, growth = next_cleared(hunt, growth)) {
		lh_buffer_printf(ret, "<li><b>%s", lh_region_kind_name(growth->kind));
		if (*growth->name || *growth->thread_name) {
			lh_buffer_puts(ret, " ");
			lh_html_text_cut(ret, *growth->thread_name ? growth->thread_name : growth->name, 120);
		}
		lh_buffer_printf(ret, "</b>, %s: ", lh_html_bytes(growth->private_last_bytes, bytes));
		lh_html_text(ret, *growth->reason ? growth->reason : lh_verdict_name(growth->verdict));
		lh_buffer_puts(ret, "</li>");
	}
	lh_buffer_puts(ret, "</ul></article>\n");
}

static bool has_main_card(const struct lh_hunt *hunt)
{
	return hunt->is_comparison && hunt->row_count > 0;
}

static bool has_suspects(const struct lh_hunt *hunt)
{
	return has_main_card(hunt) || next_cleared(hunt, NULL);
}

static void write_suspects(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_html_begin_section(ret, "suspects", "Suspects");
	if (has_main_card(hunt))
		put_main_card(hunt, ret);
	put_cleared(hunt, ret);
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_suspects = {
	.id = "suspects", .title = "Suspects", .has = has_suspects, .write = write_suspects};

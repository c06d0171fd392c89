/*
 * report_html: the answers of a hunt as one page. Input: a hunt. Output: a self-contained HTML page: only its own style
 * and script, by their hashes, are allowed. It is complete without the script. Sections without data are omitted.
 */
#include "html.h"
#include "leakhunt/report.h"
#include "report_assets.h"

/* In the order of the page. */
static const struct lh_html_section *const sections[] = {
	&lh_html_time,    &lh_html_fills,         &lh_html_grew, &lh_html_suspects, &lh_html_lost,
	&lh_html_holders, &lh_html_fragmentation, &lh_html_map,  &lh_html_texts,    &lh_html_receipts,
};

static void put_title(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_html_attribute(ret, hunt->command[0] ? hunt->command : "a process");
	if (hunt->pid)
		lh_buffer_printf(ret, " (%d)", (int)hunt->pid);
	lh_buffer_puts(ret, " – leakhunt");
}

static void put_page_head(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_buffer_printf(ret,
			 "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
			 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '%s'; "
			 "style-src '%s'; base-uri 'none'; form-action 'none'\">\n",
			 lh_report_assets.script_hash, lh_report_assets.style_hash);
	lh_buffer_puts(ret, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
			    "<meta name=\"referrer\" content=\"no-referrer\">\n"
			    "<meta name=\"robots\" content=\"noindex\">\n"
			    "<meta name=\"color-scheme\" content=\"light dark\">\n"
			    "<meta name=\"generator\" content=\"leakhunt\">\n<title>");
	put_title(hunt, ret);
	lh_buffer_puts(ret, "</title>\n<style>");
	lh_buffer_append(ret, lh_report_assets.style, lh_report_assets.style_bytes);
	lh_buffer_puts(ret, "</style>\n</head>\n");
}

static void put_navigation(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "<nav aria-label=\"Sections\"><ol>");
	for (size_t i = 0; i < LH_ARRAY_COUNT(sections); i++) {
		if (sections[i]->has(hunt))
			lh_buffer_printf(ret, "<li><a href=\"#%s\">%s</a></li>", sections[i]->id, sections[i]->title);
	}
	lh_buffer_puts(ret, "</ol></nav>\n");
}

static void put_page_foot(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char date[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(
		ret,
		"<footer>Made by leakhunt on %s. %s It loads nothing from the network.</footer>\n"
		"</main>\n<p class=\"vh\" id=\"live\" aria-live=\"polite\"></p>\n<script>",
		lh_html_date(hunt->time_ns, date),
		hunt->is_redacted
			? "Texts of the process, and names of its threads and files, are replaced by hashes of "
			  "the same length with a key that nobody has."
			: "This file holds texts from the memory of a process; secrets of known form are masked, "
			  "others may not be.");
	lh_buffer_append(ret, lh_report_assets.script, lh_report_assets.script_bytes);
	lh_buffer_puts(ret, "</script>\n</body>\n</html>\n");
}

void lh_report_hunt_html(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	put_page_head(hunt, ret);
	lh_buffer_puts(ret,
		       "<body>\n<a class=\"skip\" href=\"#details\">Skip to the details</a>\n<main class=\"page\">\n");
	lh_html_answer(hunt, ret);
	put_navigation(hunt, ret);
	lh_buffer_puts(ret, "<div id=\"details\">\n");
	for (size_t i = 0; i < LH_ARRAY_COUNT(sections); i++) {
		if (sections[i]->has(hunt))
			sections[i]->write(hunt, ret);
	}
	lh_buffer_puts(ret, "</div>\n");
	put_page_foot(hunt, ret);
}

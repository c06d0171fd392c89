/*
 * html: escaping, numbers and small parts of report.html. Input: raw bytes and figures. Output: HTML from which no byte
 * of a target can break out.
 */
#include "html.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---------------------------------------------------------------- texts */

static const char *entity_of(uint32_t character)
{
	switch (character) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

/* Writes a byte that is not UTF-8, or a character that could change how the line reads, as its code. */
static void put_code(struct lh_buffer *ret, bool is_character, uint32_t value, bool is_marked)
{
	if (is_marked)
		lh_buffer_printf(ret,
				 is_character ? "<span class=\"esc\">U+%04" PRIX32 "</span>"
					      : "<span class=\"esc\">\\x%02" PRIx32 "</span>",
				 value);
	else
		lh_buffer_printf(ret, is_character ? "\\u%04" PRIX32 : "\\x%02" PRIx32, value);
}

static void put_html_bytes(struct lh_buffer *ret, const char *raw, size_t length, bool is_marked)
{
	const uint8_t *at = (const uint8_t *)raw;
	while (length) {
		uint32_t character = 0;
		size_t count = lh_utf8_decode(at, length, &character);
		const char *entity = count ? entity_of(character) : NULL;
		if (entity)
			lh_buffer_puts(ret, entity);
		else if (!count)
			put_code(ret, false, *at, is_marked);
		else if (lh_character_is_harmful(character))
			put_code(ret, true, character, is_marked);
		else
			lh_buffer_append(ret, at, count);
		at += count ? count : 1;
		length -= count ? count : 1;
	}
}

void lh_html_text(struct lh_buffer *ret, const char *raw)
{
	put_html_bytes(ret, raw, strlen(raw), true);
}

void lh_html_sentence(struct lh_buffer *ret, const char *raw)
{
	size_t length = strlen(raw);
	if (!length)
		return;
	bool is_small = *raw >= 'a' && *raw <= 'z';
	if (is_small)
		lh_buffer_printf(ret, "%c", *raw - 'a' + 'A');
	put_html_bytes(ret, raw + is_small, length - is_small, true);
	if (!strchr(".?!", raw[length - 1]))
		lh_buffer_puts(ret, ".");
}

void lh_html_attribute(struct lh_buffer *ret, const char *raw)
{
	put_html_bytes(ret, raw, strlen(raw), false);
}

void lh_html_text_cut(struct lh_buffer *ret, const char *raw, size_t bytes_max)
{
	size_t length = strlen(raw);
	if (length <= bytes_max) {
		put_html_bytes(ret, raw, length, true);
		return;
	}
	for (length = bytes_max; length && ((unsigned char)raw[length] & 0xc0) == 0x80; length--)
		;
	put_html_bytes(ret, raw, length, true);
	lh_buffer_puts(ret, "…");
}

void lh_html_quote(struct lh_buffer *ret, const char *raw)
{
	enum { QUOTED_MAX = 160 };
	lh_buffer_puts(ret, "<bdi class=\"mono\">");
	lh_html_text_cut(ret, raw, QUOTED_MAX);
	lh_buffer_puts(ret, "</bdi>");
}

/* ---------------------------------------------------------------- numbers */

/* With no-break spaces and typographic signs. Input: digits, units and signs only, never bytes of a target. */
static const char *print_number(const char *plain, char *ret)
{
	size_t used = 0;
	for (const char *at = plain; *at && used + sizeof("\u2212") < LH_HTML_NUMBER_MAX; at++) {
		const char *glyph = *at == ' '                   ? "\u00a0"
				    : *at == '-'                 ? "\u2212"
				    : *at == 'u' && at[1] == 's' ? "\u00b5"
								 : NULL;
		size_t length = glyph ? strlen(glyph) : 1;
		memcpy(ret + used, glyph ? glyph : at, length);
		used += length;
	}
	ret[used] = '\0';
	return ret;
}

const char *lh_html_bytes(uint64_t bytes, char ret[LH_HTML_NUMBER_MAX])
{
	char plain[LH_FORMAT_MAX];
	return print_number(lh_format_bytes(bytes, plain), ret);
}

const char *lh_html_signed_bytes(int64_t bytes, char ret[LH_HTML_NUMBER_MAX])
{
	char plain[LH_FORMAT_MAX];
	return print_number(lh_format_signed_bytes(bytes, plain), ret);
}

const char *lh_html_duration(uint64_t ns, char ret[LH_HTML_NUMBER_MAX])
{
	char plain[LH_FORMAT_MAX];
	return print_number(lh_format_duration(ns, plain), ret);
}

const char *lh_html_count(uint64_t count, char ret[LH_HTML_NUMBER_MAX])
{
	char plain[LH_FORMAT_MAX];
	return print_number(lh_format_count(count, plain), ret);
}

const char *lh_html_signed_count(int64_t count, char ret[LH_HTML_NUMBER_MAX])
{
	char digits[LH_FORMAT_MAX], plain[LH_FORMAT_MAX + 2];
	lh_format_count(count < 0 ? -(uint64_t)count : (uint64_t)count, digits);
	snprintf(plain, sizeof(plain), "%s%s", count < 0 ? "-" : count > 0 ? "+" : "", digits);
	return print_number(plain, ret);
}

const char *lh_html_percent(double percent, char ret[LH_HTML_NUMBER_MAX])
{
	char plain[LH_FORMAT_MAX];
	snprintf(plain, sizeof(plain), percent > 0 && percent < 9.95 ? "%.1f %%" : "%.0f %%", percent);
	return print_number(plain, ret);
}

static bool split_time(uint64_t time_ns, struct tm *ret)
{
	time_t seconds = (time_t)(time_ns / LH_NS_PER_S);
	return gmtime_r(&seconds, ret) != NULL;
}

const char *lh_html_clock(uint64_t time_ns, char ret[LH_HTML_NUMBER_MAX])
{
	struct tm parts;
	if (!split_time(time_ns, &parts) || !strftime(ret, LH_HTML_NUMBER_MAX, "%H:%M:%S", &parts))
		ret[0] = '\0';
	return ret;
}

const char *lh_html_date(uint64_t time_ns, char ret[LH_HTML_NUMBER_MAX])
{
	struct tm parts;
	if (!split_time(time_ns, &parts) || !strftime(ret, LH_HTML_NUMBER_MAX, "%-d %B %Y, %H:%M:%S UTC", &parts))
		ret[0] = '\0';
	return ret;
}

/* ---------------------------------------------------------------- parts of the page */

void lh_html_begin_section(struct lh_buffer *ret, const char *id, const char *title)
{
	lh_buffer_printf(ret, "<section id=\"%s\" aria-labelledby=\"h-%s\"><h2 id=\"h-%s\">%s</h2>", id, id, id, title);
}

void lh_html_command(struct lh_buffer *ret, const char *command)
{
	lh_buffer_puts(ret, "<div class=\"cmd\"><pre tabindex=\"0\" role=\"group\" aria-label=\"Command\">");
	lh_html_text(ret, command);
	lh_buffer_puts(ret, "</pre></div>");
}

void lh_html_begin_table(struct lh_buffer *ret, const char *id, const char *caption, const char *attributes)
{
	lh_buffer_printf(ret,
			 "<div class=\"tw\" tabindex=\"0\" role=\"region\" aria-label=\"%s, table\"><table id=\"%s\"%s>"
			 "<caption class=\"vh\">%s</caption><thead><tr>",
			 caption, id, attributes, caption);
}

void lh_html_end_table(struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "</tbody></table></div>");
}

void lh_html_column(struct lh_buffer *ret, const char *name, bool is_number, const char *attributes)
{
	lh_buffer_printf(ret, "<th scope=\"col\"%s%s><button type=\"button\">%s</button></th>",
			 is_number ? " data-num" : " class=\"l\"", attributes, name);
}

/* ---------------------------------------------------------------- of a hunt */

uint64_t lh_hunt_observed_ns(const struct lh_hunt *hunt)
{
	return hunt->has_selection && hunt->selection.start_ns ? hunt->selection.start_ns + hunt->selection.span_ns
							       : hunt->time_ns;
}

const char *lh_hunt_pause_excess(const struct lh_hunt *hunt, char ret[64])
{
	char allowed[LH_FORMAT_MAX];
	uint64_t longest_ns =
		lh_max_u64(hunt->receipts[LH_HUNT_BEFORE].pause_ns, hunt->receipts[LH_HUNT_AFTER].pause_ns);
	ret[0] = '\0';
	if (hunt->max_pause_ns && longest_ns > hunt->max_pause_ns)
		snprintf(ret, 64, ", longer than the %s of --max-pause",
			 lh_format_duration(hunt->max_pause_ns, allowed));
	return ret;
}

double lh_hunt_dump_moment(const struct lh_hunt *hunt, enum lh_hunt_side side)
{
	if (!hunt->has_receipt[side] || !hunt->has_selection || hunt->receipts[side].time_ns < hunt->selection.start_ns)
		return -1;
	return (double)(hunt->receipts[side].time_ns - hunt->selection.start_ns) / (double)LH_NS_PER_S;
}

void lh_html_row_name(struct lh_buffer *ret, const struct lh_hunt_row *row)
{
	char number[LH_HTML_NUMBER_MAX];
	switch (row->kind) {
	case LH_HUNT_ROW_OBJECTS:
		lh_buffer_puts(ret, "<bdi>");
		lh_html_text_cut(ret, row->name, 120);
		lh_buffer_puts(ret, "</bdi>");
		if (*row->detail) {
			lh_buffer_puts(ret, " (");
			lh_html_text(ret, row->detail);
			lh_buffer_puts(ret, ")");
		}
		break;
	case LH_HUNT_ROW_CONTENT:
		lh_html_text(ret, row->name);
		break;
	case LH_HUNT_ROW_TEXTS:
		lh_buffer_puts(ret, "texts like ");
		lh_html_quote(ret, row->name);
		break;
	case LH_HUNT_ROW_BLOCKS:
		lh_buffer_printf(ret, "blocks of %s&nbsp;bytes", lh_html_count(row->each_bytes, number));
		break;
	}
}

/*
 * html: what the sections of report.html share: escaping, numbers as the page shows them, commands, bars. Private to
 * report. The page has no inline style: sizes are attributes of SVG.
 */
#ifndef LEAKHUNT_REPORT_HTML_H
#define LEAKHUNT_REPORT_HTML_H

#include "leakhunt/hunt.h"

/* ---------------------------------------------------------------- texts */

/*
 * Bytes of a target, of a file name, or of leakhunt's own sentences that quote them, as content of an element: `& < > "
 * '` are entities; harmful characters (lh_buffer_escape) and bytes that are not UTF-8 show as a marked code.
 */
void lh_html_text(struct lh_buffer *ret, const char *raw);
/* The same as a sentence: begins with a capital letter, ends with a full stop. */
void lh_html_sentence(struct lh_buffer *ret, const char *raw);
/* Like lh_html_text, cut off after `bytes_max` bytes at a character's border. */
void lh_html_text_cut(struct lh_buffer *ret, const char *raw, size_t bytes_max);
/* The same in <bdi class="mono">: the direction of the text cannot affect its surroundings. */
void lh_html_quote(struct lh_buffer *ret, const char *raw);
/* For the value of an attribute, or for <title>: codes are plain, "\u202E", "\xff". */
void lh_html_attribute(struct lh_buffer *ret, const char *raw);

/* ---------------------------------------------------------------- numbers */

enum { LH_HTML_NUMBER_MAX = 2 * LH_FORMAT_MAX };

/* Like lh_format_..., with no-break spaces, the minus sign U+2212, and the micro sign. */
const char *lh_html_bytes(uint64_t bytes, char ret[LH_HTML_NUMBER_MAX]);
const char *lh_html_signed_bytes(int64_t bytes, char ret[LH_HTML_NUMBER_MAX]);
const char *lh_html_duration(uint64_t ns, char ret[LH_HTML_NUMBER_MAX]);
const char *lh_html_count(uint64_t count, char ret[LH_HTML_NUMBER_MAX]);
const char *lh_html_signed_count(int64_t count, char ret[LH_HTML_NUMBER_MAX]);
/* "98 %", "0.4 %" */
const char *lh_html_percent(double percent, char ret[LH_HTML_NUMBER_MAX]);
/* "12:56:30" and "29 November 2026, 12:56:59 UTC" */
const char *lh_html_clock(uint64_t time_ns, char ret[LH_HTML_NUMBER_MAX]);
const char *lh_html_date(uint64_t time_ns, char ret[LH_HTML_NUMBER_MAX]);

/* ---------------------------------------------------------------- parts of the page */

/* <section> with its heading; close it with "</section>\n". */
void lh_html_begin_section(struct lh_buffer *ret, const char *id, const char *title);
/* A box with a command to copy; `command` is raw. */
void lh_html_command(struct lh_buffer *ret, const char *command);
/* A scrolling box with a table; `sorted`: class, id and the number of rows shown first, as attributes. */
void lh_html_begin_table(struct lh_buffer *ret, const char *id, const char *caption, const char *attributes);
void lh_html_end_table(struct lh_buffer *ret);
/* A head cell that sorts. */
void lh_html_column(struct lh_buffer *ret, const char *name, bool is_number, const char *attributes);

/* CLOCK_REALTIME of the last sample; without samples, of the conclusion. */
uint64_t lh_hunt_observed_ns(const struct lh_hunt *hunt);
/* ", longer than the 10.0 ms of --max-pause"; "" if no pause was longer. */
const char *lh_hunt_pause_excess(const struct lh_hunt *hunt, char ret[64]);
/* Seconds from the first sample to the dump; negative if unknown. */
double lh_hunt_dump_moment(const struct lh_hunt *hunt, enum lh_hunt_side side);
/* "SSL (server, TLS 1.3)": without the count; escaped. */
void lh_html_row_name(struct lh_buffer *ret, const struct lh_hunt_row *row);

/* ---------------------------------------------------------------- sections */

/* A part of the page. To add one, write a file with this struct and put it into the list of report_html.c. */
struct lh_html_section {
	const char *id;
	const char *title; /* in the list at the top */
	bool (*has)(const struct lh_hunt *hunt);
	void (*write)(const struct lh_hunt *hunt, struct lh_buffer *ret);
};

extern const struct lh_html_section lh_html_time, lh_html_fills, lh_html_grew, lh_html_suspects, lh_html_lost,
	lh_html_holders, lh_html_fragmentation, lh_html_map, lh_html_texts, lh_html_receipts;

/* The head of the page: sentence, confidence, figures, what to do next. */
void lh_html_answer(const struct lh_hunt *hunt, struct lh_buffer *ret);

#endif

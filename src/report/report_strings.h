/*
 * report_strings: what the blocks of the summary of `strings` share. Private to report.
 *
 * To add a block: write src/report/report_strings_<what>.c with a const struct lh_strings_block, declare it below, and
 * put it into the list in report_strings.c at its place on the screen. A block states what was counted, never what it
 * means, and knows no class, symbol or library by name.
 */
#ifndef LEAKHUNT_REPORT_STRINGS_H
#define LEAKHUNT_REPORT_STRINGS_H

#include "leakhunt/json.h"
#include "leakhunt/report.h"
#include "table.h"

/* A part of the sentence at the top. */
struct lh_clause {
	double percent; /* share of nonzero bytes; larger clauses come first */
	struct lh_buffer text;
};

struct lh_clauses {
	struct lh_clause items[12];
	size_t count;
};

/* Where to write a clause; an empty clause is dropped. All blocks together write fewer clauses than fit. */
struct lh_buffer *lh_clause_add(struct lh_clauses *clauses, double percent);

/* Every function pointer may be NULL. */
struct lh_strings_block {
	/* Adds clauses to the sentence at the top; none if nothing stands out. */
	void (*conclude)(const struct lh_summary *summary, struct lh_clauses *ret);
	/* Writes what is missing or uncertain: whole lines, below the head. */
	void (*warn)(const struct lh_strings_report *report, struct lh_buffer *ret);
	/* Writes the block as text, with its heading; nothing if there is nothing to show. */
	void (*write_text)(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret);
	/* The key of its value in the JSON object; report.h documents the schema. */
	const char *json_key;
	json_t *(*make_json)(const struct lh_strings_report *report);
};

extern const struct lh_strings_block lh_strings_classes, lh_strings_rest, lh_strings_map, lh_strings_examples,
	lh_strings_templates, lh_strings_repeated, lh_strings_symbols, lh_strings_problems, lh_strings_objects;

/* From this share of nonzero bytes on, something is worth mentioning, or makes up most of them. */
#define LH_NOTABLE_PERCENT 0.5
#define LH_MOST_PERCENT    40.0

/* Whether the sentence at the top mentions objects. */
bool lh_objects_are_notable(const struct lh_summary *summary);

double lh_percent(uint64_t part, uint64_t whole);
uint64_t lh_nonzero_bytes(const struct lh_summary *summary);
/* `code`: the parameters of an SGR sequence; "1" is bold. */
void lh_write_styled(struct lh_style style, const char *code, const char *text, struct lh_buffer *ret);
/* One line, or nothing. */
void lh_write_match_loss(const struct lh_summary *summary, struct lh_buffer *ret);
/* What fills memory, in one table, and what is remarkable. */
void lh_write_ranking(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret);
/* ", with as many list and str, 2 times as many int"; nothing if there are none. `names`, raw, by row. */
void lh_write_companions(const struct lh_companions *found, const char *const *names, struct lh_buffer *ret);
void lh_write_heading(struct lh_style style, const char *text, struct lh_buffer *ret);

#endif

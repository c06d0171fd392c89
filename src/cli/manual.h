/*
 * manual: what the man pages say beyond --help. A section's text is paragraphs, separated by blank lines. A paragraph
 * that begins with two blanks is printed verbatim. One that begins with "* TERM" and a newline explains TERM.
 */
#ifndef LEAKHUNT_CLI_MANUAL_H
#define LEAKHUNT_CLI_MANUAL_H

struct lh_manual_section {
	const char *heading; /* "MODES" */
	const char *text;
};

/* The last row of each has a NULL heading. */
extern const struct lh_manual_section lh_manual_dump[];
extern const struct lh_manual_section lh_manual_hunt[];
extern const struct lh_manual_section lh_manual_select[];
extern const struct lh_manual_section lh_manual_watch[];
extern const struct lh_manual_section lh_manual_strings[];
extern const struct lh_manual_section lh_manual_heap[];
extern const struct lh_manual_section lh_manual_leaks[];
extern const struct lh_manual_section lh_manual_trace[];
extern const struct lh_manual_section lh_manual_common[]; /* in leakhunt(1) only */
extern const struct lh_manual_section lh_manual_shared[]; /* on every page */

#endif

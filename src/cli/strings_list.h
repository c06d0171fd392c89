/*
 * strings_list: the options of `leakhunt strings`, and its --list. Private to cmd_strings.
 */
#ifndef LEAKHUNT_CLI_STRINGS_LIST_H
#define LEAKHUNT_CLI_STRINGS_LIST_H

#include "command.h"

/* The parsed command line. */
struct lh_strings_request {
	const char *operand;
	bool is_process;
	struct lh_run_options run;
	unsigned walk_flags;
	uint64_t top;
	uint64_t threads; /* 0: one per CPU */
	const char *sysroot;
	const struct lh_arguments *arguments; /* for options that may be given several times */
	bool is_grep;                         /* print the neighbors of strings that match run.mark */
	uint64_t around;                      /* how many of them */
	char radix;                           /* 'o', 'd', 'x'; 0: no column of addresses */
	bool is_list;
	bool is_raw;
	bool is_json;
	bool is_short; /* one table in place of all blocks */
	bool shows_secrets;
};

/* Writes all strings. A closed pipe ends it without an error. */
struct lh_error *lh_strings_list(const struct lh_strings_request *request, struct lh_image *image,
				 int *ret_status) LH_NODISCARD;

/* The exit code: LH_EXIT_PARTIAL if there are gaps or anything else is missing. */
int lh_strings_status(const struct lh_image *image, bool is_partial);

#endif

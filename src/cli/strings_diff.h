/*
 * strings_diff: `leakhunt strings A B` and `strings B --against A`. Private to cli.
 */
#ifndef LEAKHUNT_CLI_STRINGS_DIFF_H
#define LEAKHUNT_CLI_STRINGS_DIFF_H

#include "command.h"

/* Whether the command line names two memories. */
bool lh_strings_diff_is_wanted(const struct lh_arguments *arguments);

/* Scans both with `options` (except the progress callback), and prints what the later one has more. */
struct lh_error *lh_strings_diff_run(const struct lh_arguments *arguments, const struct lh_summary_options *options,
				     int *ret_status) LH_NODISCARD;

#endif

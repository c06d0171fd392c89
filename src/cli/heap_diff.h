/*
 * heap_diff: what the heap of a process holds more at a later moment. Private to cli.
 */
#ifndef LEAKHUNT_CLI_HEAP_DIFF_H
#define LEAKHUNT_CLI_HEAP_DIFF_H

#include "command.h"
#include "leakhunt/dump.h"

/* Whether the command line of `leakhunt heap` names two moments. */
bool lh_heap_diff_is_wanted(const struct lh_arguments *arguments);

/* Compares two dumps, or two copies of a process, and prints at most `top` groups. */
struct lh_error *lh_heap_diff_run(const struct lh_arguments *arguments, enum lh_dump_mode mode, uint64_t top,
				  int *ret_status) LH_NODISCARD;

/* LH_EXIT_PARTIAL if there is no allocator, or a part of one is missing. */
int lh_heap_status(const struct lh_heap *heap);

#endif

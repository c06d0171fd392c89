/*
 * sampling_options: how commands take samples: --max-stall, --counter, warnings. Private to cli.
 */
#ifndef LEAKHUNT_CLI_SAMPLING_OPTIONS_H
#define LEAKHUNT_CLI_SAMPLING_OPTIONS_H

#include "command.h"
#include "leakhunt/watch.h"

#define LH_MAX_STALL_SUMMARY "hold up mmap calls of the process for at most TIME (default: 5ms)"

/* *ret keeps its default when the option was not given. */
struct lh_error *lh_sampling_max_stall(const struct lh_arguments *arguments, uint64_t *ret) LH_NODISCARD;

/* With warnings on stderr, Ctrl-C, and owners by allocators' structures. `counter_command` may be NULL. */
struct lh_sampling_options lh_sampling_options_make(const char *counter_command, uint64_t max_stall_ns);

/* Warns that `count` somethings were lost, if any, and makes the result partial. */
void lh_warn_of_losses(bool *is_partial, const char *what, size_t count, const char *losses);

/* Warns, and makes the result partial. Takes `error`. */
void lh_go_on_without(bool *is_partial, struct lh_error *error, const char *consequence);

#endif

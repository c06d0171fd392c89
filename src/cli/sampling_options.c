/*
 * sampling_options: how commands take samples: options from the command line, the user's counter, warnings.
 */
#include "sampling_options.h"

#include "leakhunt/heap.h"
#include "user_command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A counter that hangs must not block sampling for good. */
#define COUNTER_LIMIT_NS (5 * LH_NS_PER_S)

struct lh_error *lh_sampling_max_stall(const struct lh_arguments *arguments, uint64_t *ret)
{
	uint64_t max_stall_ns = *ret;
	LH_TRY(lh_arguments_duration(arguments, "max-stall", &max_stall_ns));
	if (max_stall_ns < LH_NS_PER_MS / 10)
		return lh_error_create(LH_ERROR_USAGE, "option --max-stall: must be at least 100us");
	*ret = max_stall_ns;
	return NULL;
}

void lh_warn_of_losses(bool *is_partial, const char *what, size_t count, const char *losses)
{
	if (!count)
		return;
	lh_warn("%s: %zu %s, and are left out", what, count, losses);
	*is_partial = true;
}

void lh_go_on_without(bool *is_partial, struct lh_error *error, const char *consequence)
{
	lh_warn("%s; %s", lh_error_message(error), consequence);
	lh_error_destroy(error);
	*is_partial = true;
}

/* The first word that the user's command prints, as a number; false when it is none. */
static bool read_counter(const char *command, double *ret)
{
	char line[256], *end;
	if (!lh_user_command_read(command, COUNTER_LIMIT_NS, line, sizeof(line)))
		return false;
	errno = 0;
	double value = strtod(line, &end);
	if (end == line || errno || !isfinite(value) || !strchr(" \t", *end))
		return false;
	*ret = value;
	return true;
}

static void warn_of_sampling(const char *text)
{
	lh_warn("%s", text);
}

struct lh_sampling_options lh_sampling_options_make(const char *counter_command, uint64_t max_stall_ns)
{
	return (struct lh_sampling_options){
		.max_stall_ns = max_stall_ns,
		.find_owners = lh_heap_find_owners,
		.read_use = lh_heap_read_use,
		.counter_command = counter_command,
		.read_counter = read_counter,
		.is_interrupted = lh_interrupt_requested,
		.warn = warn_of_sampling,
	};
}

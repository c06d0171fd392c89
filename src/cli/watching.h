/*
 * watching: the loops of `leakhunt watch`. Private to cli.
 */
#ifndef LEAKHUNT_CLI_WATCHING_H
#define LEAKHUNT_CLI_WATCHING_H

#include "leakhunt/report.h"

struct lh_watch_settings {
	uint64_t interval_ns; /* 0: adaptive */
	uint64_t for_ns;      /* 0: without end */
	uint64_t most;
	uint64_t save_max_bytes;
	uint64_t max_stall_ns;
	bool is_json;             /* print only the result at the end, as JSON */
	const char *save_path;    /* NULL: no record */
	const char *metrics_path; /* NULL: no metrics */
	const char *on_leak;      /* NULL: nothing is run */
	double least_probability; /* of a leak, at which on_leak runs */
	const char *counter;      /* NULL: no count of work */
};

/* Both run until Ctrl-C, settings->for_ns, or the end of the process. *ret_is_partial: something was lost. */
struct lh_error *lh_watch_process(const struct lh_process *process, const struct lh_watch_settings *settings,
				  bool *ret_is_partial) LH_NODISCARD;
struct lh_error *lh_watch_all(const struct lh_watch_settings *settings, bool *ret_is_partial) LH_NODISCARD;

/* ---------------------------------------------------------------- what both do */

/* How long to wait until the next look: longer while nothing changes, at most 1 % of the time is spent on looking. */
struct lh_pace {
	uint64_t fixed_ns; /* 0: adaptive */
	uint64_t wait_ns;
	size_t quiet_looks;
};
void lh_pace_begin(struct lh_pace *pace, uint64_t fixed_ns);
void lh_pace_update(struct lh_pace *pace, bool has_moved, uint64_t cost_ns);

/* Whether the user asks to stop, nobody reads the output, or the time is over. */
bool lh_watch_is_over(uint64_t end_ns);

/*
 * Waits in slices while the process lives (NULL: any) and nobody asks to stop. Calls `redraw` with `context` when the
 * terminal's size has changed; NULL: nothing is drawn.
 */
struct lh_error *lh_pace_wait(const struct lh_pace *pace, const struct lh_process *process, uint64_t end_ns,
			      struct lh_error *(*redraw)(void *), void *context) LH_NODISCARD;

/*
 * Replaces the file atomically; `path` NULL: no file. Warns of the first of several failures; the caller keeps
 * *has_failed between calls.
 */
void lh_metrics_update(const char *path, const struct lh_watched *watched, size_t count, bool *has_failed,
		       bool *is_partial);

/* Runs the user's command for a leaking process; a failure is a warning. */
void lh_leak_command_run(const char *command, pid_t pid, bool *is_partial);

#endif

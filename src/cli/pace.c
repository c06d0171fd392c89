/*
 * pace: what the loops of `leakhunt watch` share: how often they look, the metrics file, and the command for a leak.
 */
#include "sampling_options.h"
#include "screen.h"
#include "watching.h"

#include "command.h"
#include "user_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { QUIET_LOOKS = 5, COST_SHARE = 100 };

#define WAIT_MIN_NS LH_NS_PER_S
#define WAIT_MAX_NS (60 * LH_NS_PER_S)

void lh_pace_begin(struct lh_pace *pace, uint64_t fixed_ns)
{
	*pace = (struct lh_pace){.fixed_ns = fixed_ns, .wait_ns = fixed_ns ? fixed_ns : WAIT_MIN_NS};
}

/* Looking takes at most a hundredth of the time. */
void lh_pace_update(struct lh_pace *pace, bool has_moved, uint64_t cost_ns)
{
	if (pace->fixed_ns)
		return;
	pace->quiet_looks = has_moved ? 0 : pace->quiet_looks + 1;
	if (has_moved)
		pace->wait_ns = lh_max_u64(pace->wait_ns / 2, WAIT_MIN_NS);
	else if (pace->quiet_looks % QUIET_LOOKS == 0)
		pace->wait_ns = lh_min_u64(pace->wait_ns * 2, WAIT_MAX_NS);
	pace->wait_ns = lh_max_u64(pace->wait_ns, cost_ns * COST_SHARE);
}

bool lh_watch_is_over(uint64_t end_ns)
{
	return lh_interrupt_requested() || lh_screen_quit_requested() || lh_output_is_closed() ||
	       lh_clock_monotonic_ns() >= end_ns;
}

struct lh_error *lh_pace_wait(const struct lh_pace *pace, const struct lh_process *process, uint64_t end_ns,
			      struct lh_error *(*redraw)(void *), void *context)
{
	uint64_t deadline_ns = lh_min_u64(lh_clock_monotonic_ns() + pace->wait_ns, end_ns);
	while (!lh_watch_is_over(deadline_ns)) {
		if (lh_screen_is_on())
			lh_screen_wait(deadline_ns);
		else
			lh_sleep_slice(deadline_ns);
		if (process)
			LH_TRY(lh_process_check(process));
		if (redraw && lh_screen_take_resize())
			LH_TRY(redraw(context));
	}
	return NULL;
}

static struct lh_error *write_metrics(const char *path, const struct lh_watched *watched, size_t count)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_CLEANUP(lh_cleanup_outfile) struct lh_outfile *file = NULL;
	lh_report_metrics(watched, count, &text);
	LH_TRY(lh_buffer_status(&text));
	LH_TRY(lh_outfile_create(path, true, &file));
	/* node_exporter runs as a user of its own. */
	if (fchmod(lh_outfile_fd(file), 0644) < 0)
		return lh_error_from_errno(errno, "cannot make %s readable", path);
	LH_TRY(lh_fd_write_all(lh_outfile_fd(file), path, text.data, text.length));
	return lh_outfile_commit(file);
}

void lh_metrics_update(const char *path, const struct lh_watched *watched, size_t count, bool *has_failed,
		       bool *is_partial)
{
	struct lh_error *error = path ? write_metrics(path, watched, count) : NULL;
	if (error && !*has_failed)
		lh_go_on_without(is_partial, error, "the old metrics stay until a write succeeds");
	else
		lh_error_destroy(error);
	*has_failed = error != NULL;
}

void lh_leak_command_run(const char *command, pid_t pid, bool *is_partial)
{
	char text[32];
	int status = 0;
	snprintf(text, sizeof(text), "%d", (int)pid);
	if (setenv("LEAKHUNT_PID", text, 1) < 0)
		return;
	struct lh_error *error = lh_user_command_run(command, &status);
	if (error) {
		lh_go_on_without(is_partial, error, "the --on-leak command was not run");
		return;
	}
	if (status == 0)
		return;
	*is_partial = true;
	if (WIFEXITED(status))
		lh_warn("--on-leak: `%s` ended with status %d", command, WEXITSTATUS(status));
	else
		lh_warn("--on-leak: `%s` was killed by signal %d", command, WTERMSIG(status));
}

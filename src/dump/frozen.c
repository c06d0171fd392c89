/*
 * frozen: dumps of targets that a cgroup freezer holds: docker pause, systemctl freeze. Input: the freezer. Output: the
 * mode that still works, or why none does. Waits for nothing.
 */
#include "frozen.h"

#include <stdio.h>
#include <stdlib.h>

struct lh_error *lh_frozen_refuse_stop(const struct lh_process *process, const struct lh_freezer *freezer)
{
	if (!freezer->is_frozen || !freezer->is_v1)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED, "process %d (%s) is frozen by cgroup %s",
					     (int)lh_process_pid(process), lh_process_command(process),
					     freezer->folder),
			     "thaw it, or copy it with --mode live");
}

struct lh_error *lh_frozen_refuse_injection(const struct lh_freezer *freezer)
{
	if (!freezer->is_frozen)
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "cgroup %s froze it: it can run no calls for leakhunt",
			       freezer->folder);
}

struct lh_error *lh_frozen_choose_mode(struct dump_job *job)
{
	char reason[LH_MODE_REASON_MAX];
	if (!job->freezer.is_frozen || job->mode == LH_DUMP_LIVE)
		return NULL;
	LH_TRY(lh_frozen_refuse_stop(job->process, &job->freezer));
	if (job->mode == LH_DUMP_STOP)
		return NULL;
	snprintf(reason, sizeof(reason), "frozen by cgroup %.400s: it stands still already", job->freezer.folder);
	lh_job_notify(job, "%s; it is copied in mode stop", reason);
	lh_job_explain_mode(job, LH_DUMP_STOP, reason);
	return NULL;
}

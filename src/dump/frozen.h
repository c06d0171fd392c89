/*
 * frozen: dumps of targets that a cgroup freezer holds. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_FROZEN_H
#define LEAKHUNT_DUMP_FROZEN_H

#include "dump_job.h"

/* Why its threads cannot be stopped; NULL where they can: in a v2 cgroup, a frozen thread still reaches ptrace stops.
 */
struct lh_error *lh_frozen_refuse_stop(const struct lh_process *process, const struct lh_freezer *freezer) LH_NODISCARD;

/* Why it can run nothing for us; NULL: it can. */
struct lh_error *lh_frozen_refuse_injection(const struct lh_freezer *freezer) LH_NODISCARD;

/* Modes that need the target to run become mode stop, and say so; LH_ERROR_UNSUPPORTED where that fails, too. */
struct lh_error *lh_frozen_choose_mode(struct dump_job *job) LH_NODISCARD;

#endif

/*
 * dump_job: what a dump in progress knows, shared by the order of things (dump.c) and the snapshot's
 * own loop (snapshot.c). Private to dump.
 */
#ifndef LEAKHUNT_DUMP_DUMP_JOB_H
#define LEAKHUNT_DUMP_DUMP_JOB_H

#include "dump/copy/copy.h"
#include "dump/core/process_facts.h"
#include "dump/plan/context.h"
#include "leakhunt/limits.h"

struct dump_job {
	const struct lh_process *process;
	const struct lh_dump_options *options;
	enum lh_dump_mode mode; /* asked for, until it turns out not to be possible */
	uint64_t started_ns;
	struct lh_outfile *file;
	struct lh_outfile *index; /* raw format only */
	int turn_fd;              /* /proc/PID, locked: no other leakhunt copies it meanwhile; else -1 */
	int spool_fd;             /* compressed: a file without a name beside `file`, which is written first; else -1 */
	struct lh_process_facts facts;
	struct lh_freezer freezer;
	struct lh_task_list tasks;
	struct lh_thread_states threads;
	struct lh_plan plan;
	struct lh_layout layout;
	struct lh_layout held;
	struct lh_copy copy;
	struct lh_receipt receipt;

	/* Of a snapshot. */
	bool may_fork;           /* that it may have a child was found out before it was tracked */
	struct lh_layout places; /* where pages lie in the file, final or not */
	struct lh_ranges taken;  /* pages that were copied at some time: normalized */
	struct lh_page_log log;  /* its later passes, while the target runs */
};

void lh_job_deinit(struct dump_job *job);

/* What comes first: reads facts and threads, plans, checks leakhunt's own memory. Touches nothing. */
struct lh_error *lh_job_look(struct dump_job *job) LH_NODISCARD;

/* Name of the index beside a raw dump: the caller's to free; NULL without memory. */
char *lh_job_index_path(const struct lh_dump_options *options);

/* Why a dump is of the mode that it is. */
const char *lh_mode_reason(enum lh_dump_mode mode);

/*
 * Plans by what is known of the threads, and lays the plan out in the file. `maps`: the text of the mappings, NULL: as
 * they are now. `without_pages`: extents only, and no layout.
 */
struct lh_error *lh_job_plan(struct dump_job *job, const struct lh_buffer *maps, bool without_pages) LH_NODISCARD;

/* Lays the planned pages out in the file. */
struct lh_error *lh_job_lay_out(struct dump_job *job) LH_NODISCARD;

/* Threads anew, as far as they can be seen without stopping them. */
struct lh_error *lh_job_glance(struct dump_job *job) LH_NODISCARD;

/* LH_ERROR_CHANGED when the process called exec; that it has ended is no error. */
struct lh_error *lh_job_check_not_changed(const struct dump_job *job) LH_NODISCARD;

/* Copies with all threads frozen. */
struct lh_error *lh_job_copy_stopped(struct dump_job *job) LH_NODISCARD;

/*
 * Copies a child that the frozen target is made to fork. Where that can't be done safely, job->mode
 * becomes LH_DUMP_STOP, and the receipt says why.
 */
struct lh_error *lh_job_copy_by_child(struct dump_job *job) LH_NODISCARD;

/* The same; where it can't be done, *ret_refusal says why, and nothing has changed. */
struct lh_error *lh_job_try_child(struct dump_job *job, struct lh_error **ret_refusal) LH_NODISCARD;

/* The pause to be expected in a mode, by what the plan holds. */
uint64_t lh_job_expected_pause_ns(const struct dump_job *job, enum lh_dump_mode mode);

/* The longest pause that is accepted in the end, by --max-pause and --on-slow. */
uint64_t lh_job_longest_pause_ns(const struct lh_dump_options *options);

/*
 * Before a snapshot that cannot be becomes a stop in another mode: says the expected pause, and compares it with
 * --max-pause as --on-slow wants it. LH_ERROR_UNSUPPORTED: it is too long. *ret_goes_live: mode live was asked for
 * then.
 */
struct lh_error *lh_job_judge_instead(struct dump_job *job, enum lh_dump_mode mode, const char *why,
				      bool *ret_goes_live) LH_NODISCARD;

/* Copies without stopping anything. */
struct lh_error *lh_job_copy_live(struct dump_job *job) LH_NODISCARD;

/* Adds what one stop has cost to the receipt. */
void lh_job_charge(struct dump_job *job, struct lh_freeze_cost cost);

/* The mode it became, and why. */
void lh_job_explain_mode(struct dump_job *job, enum lh_dump_mode mode, const char *reason);

/* Says one line for people. */
void lh_job_notify(const struct dump_job *job, const char *format, ...) LH_PRINTF(2, 3);

/*
 * Copies while the target runs, freezes it for what was written meanwhile, and sets plan, layout,
 * threads, gaps, and the receipt's costs. job->mode is what it became: LH_DUMP_STOP where writes can't
 * be tracked, or as --on-slow says; the receipt says why.
 */
struct lh_error *lh_snapshot_copy(struct dump_job *job) LH_NODISCARD;

/*
 * With --swapped: reads the plan's swapped pages, gives them places behind all others, and counts
 * them as present. A page that is found in memory before it was read may have changed since the
 * instant of a snapshot: it becomes a gap. job->layout must be made anew from job->places when
 * that has pieces.
 */
struct lh_error *lh_swapped_copy(struct dump_job *job) LH_NODISCARD;

/* When all is written: takes out of the file what was copied, but is not part of the snapshot. */
struct lh_error *lh_snapshot_clean_file(const struct dump_job *job, int fd) LH_NODISCARD;

/* So many times the allowed pause is taken without being asked for. */
#define LH_SLOW_FACTOR_MAX 10

#endif

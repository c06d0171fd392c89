/*
 * sampling: takes samples of a live process, one after the other, and keeps them. Private to cli.
 */
#ifndef LEAKHUNT_CLI_SAMPLING_H
#define LEAKHUNT_CLI_SAMPLING_H

#include "command.h"
#include "record_log.h"

/* --max-stall, for all commands that take samples. */
#define LH_MAX_STALL_NS      (5 * LH_NS_PER_MS)
#define LH_MAX_STALL_SUMMARY "hold up the mmap of the process for that long at most (default 5ms)"

/* *ret keeps its default when the option was not given. */
struct lh_error *lh_sampling_max_stall(const struct lh_arguments *arguments, uint64_t *ret) LH_NODISCARD;

struct lh_sampling {
	const struct lh_process *process;
	const char *counter_command;  /* NULL: nothing is counted */
	struct lh_selector *selector; /* has all samples so far */
	struct lh_record_log *log;    /* NULL: none */
	struct lh_outfile *record;    /* NULL: not saved, or given up */
	struct lh_record_writer *writer;
	uint64_t clock_offset_ns; /* what to add to the monotonic clock for the calendar's */
	bool is_partial;          /* something was lost, and warned of */
	bool has_warned_of_counter;
	size_t sample_count;
	uint64_t first_bytes; /* used, in the first sample and the latest */
	uint64_t latest_bytes;
	struct lh_regions_pace pace;
	struct lh_holdings_reader *holdings;
	struct lh_sampling_receipt receipt;
	uint64_t ceilings_ns; /* when they were last read, of the monotonic clock; 0: never */
	bool is_last;         /* the next sample is the last one: ceilings are read in any case */
};

/*
 * `process` and `counter_command` must outlive it. `max_stall_ns`: of struct lh_regions_pace. Nothing is
 * read of the process yet.
 */
struct lh_error *lh_sampling_begin(const struct lh_process *process, const char *counter_command, uint64_t max_stall_ns,
				   struct lh_sampling *ret) LH_NODISCARD;
void lh_sampling_deinit(struct lh_sampling *sampling);

/* Keeps samples in a record from now on; it appears under its name with lh_sampling_commit. */
struct lh_error *lh_sampling_save(struct lh_sampling *sampling, const char *path, bool replace) LH_NODISCARD;
/* Returns whether there is a record under its name now. */
bool lh_sampling_commit(struct lh_sampling *sampling);

/* One sample more. LH_ERROR_NO_PROCESS, LH_ERROR_CHANGED when the process ended or called exec. */
struct lh_error *lh_sampling_take(struct lh_sampling *sampling) LH_NODISCARD;

/* Warns that `count` somethings were lost, if any, and makes the result partial. */
void lh_warn_of_losses(bool *is_partial, const char *what, size_t count, const char *losses);

/* Warns, and makes the result partial. Takes `error`. */
void lh_go_on_without(bool *is_partial, struct lh_error *error, const char *consequence);

/* Until `deadline_ns` of the monotonic clock or a request to stop, a quarter of a second at most. */
void lh_sleep_slice(uint64_t deadline_ns);

#endif

/*
 * watch: takes samples of a live process, one after the other, and keeps them in records. It only reads: it never stops
 * the process. It reports losses through callbacks, and continues.
 */
#ifndef LEAKHUNT_WATCH_H
#define LEAKHUNT_WATCH_H

#include "leakhunt/holdings.h"
#include "leakhunt/owner.h"
#include "leakhunt/regions.h"
#include "leakhunt/select.h"

/* ---------------------------------------------------------------- limits */

/*
 * What a process can run into. All must be of the same moment; the list's kinds tell the Java heap, owners know V8's.
 * What cannot be read is LH_NO_LIMIT.
 */
struct lh_ceilings lh_ceilings_read(const struct lh_process *process, const struct lh_holdings *holdings,
				    const struct lh_region_list *list, const struct lh_owners *owners);

/* ---------------------------------------------------------------- records on disk */

/* What was lost of a record. */
struct lh_record_losses {
	char command[16];         /* comm of the process, raw bytes; "" when unknown */
	size_t skipped_lines;     /* could not be parsed, or are cut off */
	size_t unordered_samples; /* older than their predecessor, in a record too long to be sorted */
	size_t lost_regions;      /* of samples that could be read */
};

/* Whether a file begins like a record; false if it cannot be read, or can be read only once. */
bool lh_record_file_detect(const char *path);

/*
 * Judges a record of any length. Of more than some thousand samples, evenly chosen ones are judged. LH_ERROR_FORMAT if
 * it is not a record.
 */
struct lh_error *lh_record_file_select(const char *path, struct lh_selection *ret,
				       struct lh_record_losses *ret_losses) LH_NODISCARD;

/* A record that grows under its final name and stays below a size. Heap-allocated. */
struct lh_record_log;

/*
 * Opens `path` to append samples of the process. Continues a record of the same process; a record of another process,
 * or another file, is LH_ERROR_EXISTS. After each append the file holds whole lines, even if leakhunt is killed: a torn
 * line at the end is cut off when the record is opened again. When the file would exceed `max_bytes`, every second
 * sample is dropped, in a file that replaces it atomically.
 */
struct lh_error *lh_record_log_open(const char *path, const struct lh_process *process, uint64_t max_bytes,
				    struct lh_record_log **ret) LH_NODISCARD;

/* ---------------------------------------------------------------- sampling */

/* Default of --max-stall. */
#define LH_MAX_STALL_NS (5 * LH_NS_PER_MS)

/*
 * The name of the only region of a sample whose mappings could not be read: its figures are the sums of
 * /proc/PID/status.
 */
#define LH_SUM_REGION_NAME "[sum]"

struct lh_sampling_options {
	bool takes_sums;       /* if mappings cannot be read, sample one region, LH_SUM_REGION_NAME; false: fail */
	uint64_t max_stall_ns; /* of struct lh_regions_pace */
	lh_owner_finder *find_owners; /* NULL: kinds are what /proc calls the mappings */
	lh_heap_use_reader *read_use; /* at the first sample, then less and less often, and at the last; NULL: never */
	const char *counter_command;  /* NULL: no count of work. Must outlive the sampling, as must all that follows. */
	/* Runs the command; false if it prints no number. */
	bool (*read_counter)(const char *command, double *ret);
	bool (*is_interrupted)(void);   /* whether waits end early; may be NULL */
	void (*warn)(const char *text); /* one line for people, raw bytes in it; may be NULL */
};

/* Samples of one process. In place; lh_sampling_deinit ends it. */
struct lh_sampling {
	const struct lh_process *process;
	struct lh_sampling_options options;
	struct lh_selector *selector; /* has all samples so far */
	struct lh_record_log *log;    /* NULL: none */
	struct lh_outfile *record;    /* NULL: not saved, or given up */
	struct lh_record_writer *writer;
	uint64_t clock_offset_ns; /* difference between calendar time and the monotonic clock */
	bool is_partial;          /* something was lost; lh_sampling_options.warn was told */
	bool has_warned_of_counter;
	size_t sample_count;
	uint64_t first_bytes; /* used memory, in the first sample and in the latest */
	uint64_t latest_bytes;
	struct lh_regions_pace pace;
	struct lh_holdings_reader *holdings;
	struct lh_sampling_receipt receipt;
	uint64_t ceilings_ns; /* when they were last read, in monotonic time; 0: never */
	bool is_last;         /* the next sample is the last: ceilings are read in any case */
};

/* `process` must outlive it. Reads nothing of the process yet. */
struct lh_error *lh_sampling_begin(const struct lh_process *process, const struct lh_sampling_options *options,
				   struct lh_sampling *ret) LH_NODISCARD;
void lh_sampling_deinit(struct lh_sampling *sampling);

/* Keeps samples in a record from now on; it gets its name with lh_sampling_commit. */
struct lh_error *lh_sampling_save(struct lh_sampling *sampling, const char *path, bool replace) LH_NODISCARD;
/* Returns whether the record has its name now. */
bool lh_sampling_commit(struct lh_sampling *sampling);

/* Takes one sample. LH_ERROR_NO_PROCESS, LH_ERROR_CHANGED if the process ended or called exec. */
struct lh_error *lh_sampling_take(struct lh_sampling *sampling) LH_NODISCARD;

/*
 * Waits until `deadline_ns` of the monotonic clock, until options.is_interrupted, or until the process ends, with the
 * error of lh_sampling_take. Calls `tick` with `context` several times a second unless it is NULL.
 */
struct lh_error *lh_sampling_wait(const struct lh_sampling *sampling, uint64_t deadline_ns, void (*tick)(void *context),
				  void *context) LH_NODISCARD;

/* Sleeps until `deadline_ns` of the monotonic clock or a signal, at most a quarter of a second. */
void lh_sleep_slice(uint64_t deadline_ns);

#endif

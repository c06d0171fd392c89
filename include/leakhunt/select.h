/*
 * select: which regions grow, how fast, and whether that is a leak. Pure: samples in, ranked
 * growths with reasons out. It opens no file and asks no clock, so that a recorded text and a live
 * process give the same answer.
 */
#ifndef LEAKHUNT_SELECT_H
#define LEAKHUNT_SELECT_H

#include "leakhunt/proc.h"

/* One look at a process. Owns its regions. */
struct lh_sample {
	uint64_t time_ns; /* CLOCK_REALTIME */
	pid_t pid;        /* 0 when unknown: a saved text */
	struct lh_region_list list;
};

void lh_sample_deinit(struct lh_sample *sample);

struct lh_samples {
	LH_VEC(struct lh_sample) items;
	char *command;        /* of a record's header: comm, raw bytes; owned, NULL when unknown */
	size_t skipped_lines; /* of a record: not understood, or cut off */
};

void lh_samples_deinit(struct lh_samples *samples);

enum lh_verdict {
	LH_VERDICT_LEAK,     /* rises throughout, no sign of an end */
	LH_VERDICT_PLATEAU,  /* rose, then stayed */
	LH_VERDICT_STEP,     /* one jump, nothing since */
	LH_VERDICT_SAWTOOTH, /* up and down; the floor does not rise */
	LH_VERDICT_STEADY,   /* no growth beyond noise */
	LH_VERDICT_SHRINKING,
	LH_VERDICT_UNDECIDED, /* too few samples to say */
	LH_VERDICT_COUNT,
};

/* "leak", "plateau", "step", "sawtooth", "steady", "shrinking", "undecided". */
const char *lh_verdict_name(enum lh_verdict verdict);

/*
 * One region's history. A region is followed through growth at either end, splits and merges: its
 * identity is the set of addresses it covers, not its first one.
 */
struct lh_growth {
	uint64_t start;                 /* in the last sample that had it: of its first mapping */
	uint64_t end;                   /* of its last mapping; what lies between two of them need not be its own */
	LH_VEC(struct lh_range) ranges; /* its mappings in that sample, ascending, disjoint */
	enum lh_region_kind kind;
	const char *name;             /* belongs to the selection */
	const char *thread_name;      /* "" unless a thread stack */
	size_t region_count;          /* mappings in that sample: 1, or more for a family of alike ones */
	uint64_t private_first_bytes; /* USS + swap in the first sample; 0 when it appeared later */
	uint64_t private_last_bytes;  /* USS + swap in the last sample; 0 when it is gone */
	int64_t growth_bytes;         /* last - first */
	double rate_bytes_per_hour;   /* Theil-Sen slope of USS + swap (Sen 1968) */
	enum lh_verdict verdict;
	uint64_t watch_more_ns;  /* LH_VERDICT_UNDECIDED: how much longer to watch; else 0 */
	char reason[200];        /* in words, with the numbers it rests on */
	LH_VEC(uint64_t) series; /* USS + swap per sample, 0 where it did not exist */
};

struct lh_selection {
	/* Leaks and undecided risers first, then the others; within each, by growth_bytes, most first. */
	LH_VEC(struct lh_growth) growths;
	struct lh_growth total; /* the whole process; its kind and ranges mean nothing */
	size_t sample_count;
	uint64_t span_ns; /* from first to last sample */
	pid_t pid;        /* 0 when unknown */
	struct lh_strings_pool strings;
};

/* Growth below this is never called a leak: page-level noise of stacks, libraries and the kernel. */
#define LH_GROWTH_MIN_BYTES (64 * LH_KIB)

/* Worth a dump: called a leak, or undecided and grown by at least LH_GROWTH_MIN_BYTES. */
bool lh_growth_is_suspect(const struct lh_growth *growth);

/*
 * LH_ERROR_USAGE with fewer than 2 samples, samples of different pids (0 goes with any), two samples
 * of one time, or one without usage. Samples may be out of order: they are judged by time.
 */
struct lh_error *lh_select(const struct lh_samples *samples, struct lh_selection *ret) LH_NODISCARD;
void lh_selection_deinit(struct lh_selection *selection);

/* ---------------------------------------------------------------- records */

/*
 * A record is JSON lines: the first is {"leakhunt_record":1,"pid":N,...}, each other one a sample
 * {"time_ns":N,"regions":[...]} (format in README, "Files"). Appends one line, with its newline.
 */
struct lh_error *lh_record_encode_header(pid_t pid, const char *command, struct lh_buffer *ret) LH_NODISCARD;
struct lh_error *lh_record_encode_sample(const struct lh_sample *sample, struct lh_buffer *ret) LH_NODISCARD;

/* Whether a text begins like a record (else try lh_regions_parse). */
bool lh_record_detect(const char *text, size_t length);

/*
 * Appends its samples. A bad or cut-off line is skipped and counted. LH_ERROR_FORMAT when the first
 * line is not a record's, or is of a newer format; `what` names it in errors.
 */
struct lh_error *lh_record_decode(const char *text, size_t length, const char *what,
				  struct lh_samples *ret) LH_NODISCARD;

#endif

/*
 * select: which regions grow, how fast, and whether that is a leak. Pure: samples in, ranked growths with reasons out.
 * It opens no file and reads no clock, so that a recorded text and a live process give the same answer.
 */
#ifndef LEAKHUNT_SELECT_H
#define LEAKHUNT_SELECT_H

#include "leakhunt/holdings.h"
#include "leakhunt/modules.h"
#include "leakhunt/owner.h"
#include "leakhunt/process.h"
#include "leakhunt/regions.h"

/* A limit that a process can reach, and how far away it is. */
enum lh_ceiling {
	LH_CEILING_CGROUP_MEMORY,
	LH_CEILING_MACHINE_MEMORY,   /* available memory and free swap */
	LH_CEILING_ADDRESS_SPACE,    /* RLIMIT_AS */
	LH_CEILING_ADDRESS_SPACE_32, /* the addresses of a 32-bit process */
	LH_CEILING_MAPPINGS,         /* vm.max_map_count */
	LH_CEILING_CGROUP_TASKS,     /* pids.max */
	LH_CEILING_MACHINE_TASKS,    /* kernel.threads-max, kernel.pid_max */
	LH_CEILING_DESCRIPTORS,      /* RLIMIT_NOFILE */
	LH_CEILING_JAVA_HEAP,        /* -Xmx: what the Java virtual machine has reserved for its heap */
	LH_CEILING_V8_HEAP,          /* --max-old-space-size: the old generation of V8's fullest heap */
	LH_CEILING_COUNT,
};

/* "cgroup_memory", ..., "descriptors": keys of records and of JSON. */
const char *lh_ceiling_name(enum lh_ceiling ceiling);
/* "machine memory", "mappings (vm.max_map_count)": for people. */
const char *lh_ceiling_text(enum lh_ceiling ceiling);
/* Whether it is in bytes; otherwise it is a count. */
bool lh_ceiling_is_memory(enum lh_ceiling ceiling);

struct lh_ceilings {
	uint64_t left[LH_CEILING_COUNT]; /* bytes or a count; LH_NO_LIMIT: no such limit, or unknown */
};

/* What sampling has cost so far. */
struct lh_sampling_receipt {
	uint64_t reading_count;
	uint64_t bounded_count;   /* readings in short calls instead of smaps */
	uint64_t reading_ns;      /* all readings together */
	uint64_t reading_max_ns;  /* the longest reading */
	uint64_t longest_call_ns; /* the longest single call, during which the process's mmap_lock may have been held */
};

/* One sample of a process. Owns its regions. */
struct lh_sample {
	bool has_use; /* not in every sample: a walk reads the whole heap */
	struct lh_heap_use use;
	bool has_holdings;
	bool has_ceilings;
	bool has_receipt;
	struct lh_holdings holdings;
	struct lh_ceilings ceilings;
	struct lh_sampling_receipt receipt;
	uint64_t time_ns;     /* CLOCK_REALTIME */
	uint64_t uptime_ns;   /* CLOCK_BOOTTIME, which cannot be set; 0 if unknown */
	pid_t pid;            /* 0 when unknown: a saved text */
	uint64_t start_ticks; /* of struct lh_process_identity: detects a reused pid; 0 if unknown */
	bool has_counter;
	double counter; /* the user's count of work: requests, sessions */
	struct lh_region_list list;
};

void lh_sample_deinit(struct lh_sample *sample);

/* The sum over all its mappings; saturates at UINT64_MAX. */
uint64_t lh_sample_used_bytes(const struct lh_sample *sample);

struct lh_samples {
	LH_VEC(struct lh_sample) items;
	char *command;        /* from a record's header: comm, raw bytes; owned; NULL if unknown */
	size_t skipped_lines; /* of a record: lines that could not be parsed, or are cut off */
};

void lh_samples_deinit(struct lh_samples *samples);

enum lh_verdict {
	LH_VERDICT_LEAK,     /* grows without bound, as far as the curve tells */
	LH_VERDICT_GROWING,  /* rises throughout, with too few samples to tell a leak from a warm-up */
	LH_VERDICT_PLATEAU,  /* rose, then stayed */
	LH_VERDICT_STEP,     /* one jump, no trend since */
	LH_VERDICT_SAWTOOTH, /* up and down; the floor does not rise */
	LH_VERDICT_STEADY,   /* no growth beyond noise */
	LH_VERDICT_SHRINKING,
	LH_VERDICT_UNDECIDED, /* too little evidence */
	LH_VERDICT_COUNT,
};

/* "leak", "growing", "plateau", "step", "sawtooth", "steady", "shrinking", "undecided". */
const char *lh_verdict_name(enum lh_verdict verdict);

/* What a verdict is based on. The sum of all weights is the logarithm of the odds of a leak. */
enum lh_evidence {
	LH_EVIDENCE_CURVE,      /* of memory over time */
	LH_EVIDENCE_AGE,        /* sampling began with the process: growth may be its warm-up */
	LH_EVIDENCE_FIXED_SIZE, /* a mapping of constant size is being filled, and will be full soon */
	LH_EVIDENCE_IN_USE,     /* bytes in use by the allocator in two samples */
	LH_EVIDENCE_COLLECTOR,  /* a garbage-collected heap: growth within its range, collections observed */
	LH_EVIDENCE_WORK,       /* growth follows the user's counter */
	LH_EVIDENCE_COUNT,
};

/* "curve", "age", "fixed-size", "in-use", "collector", "work". */
const char *lh_evidence_name(enum lh_evidence evidence);

struct lh_evidence_row {
	bool is_known;
	double weight;  /* above 0: for a leak */
	char text[120]; /* the evidence, with its numbers; "" if not known */
};

/* What a verdict judges. */
enum lh_measure {
	LH_MEASURE_USED,   /* lh_region_used_bytes */
	LH_MEASURE_MAPPED, /* address space: mapped memory grows, used memory does not */
};

/* The origin of a growth's memory. */
struct lh_cause {
	const char *word; /* "brk-heap", "thread-stacks": for programs; NULL: lh_selection_find_causes was not called */
	char text[200];   /* one sentence for people; names in it are raw bytes */
};

/*
 * One region's history. A region is followed through growth at either end, splits, merges and moves: it is identified
 * by the set of addresses that it covers, not by the first one.
 */
struct lh_growth {
	uint64_t start;                 /* of its first mapping, in the last sample that had it */
	uint64_t end;                   /* of its last mapping; memory between its mappings may not belong to it */
	LH_VEC(struct lh_range) ranges; /* its mappings in that sample, ascending, disjoint */
	enum lh_region_kind kind;
	const char *name;             /* belongs to the selection */
	const char *thread_name;      /* "" unless a thread stack */
	size_t region_count;          /* mappings in that sample: 1, or more for a family of similar ones */
	size_t ended_stack_count;     /* of these, stacks of threads that have ended */
	size_t guarded_count;         /* of these, anonymous ones with a guard right below, as stacks have */
	size_t text_count;            /* of these, code: how often a library was loaded */
	bool is_deleted;              /* the files of all of them were deleted */
	uint64_t private_first_bytes; /* lh_region_used_bytes in the first sample; 0 if it appeared later */
	uint64_t private_last_bytes;  /* in the last sample; 0 if it is gone */
	int64_t growth_bytes;         /* last - first */
	uint64_t mapped_first_bytes;
	uint64_t mapped_last_bytes;
	int64_t huge_growth_bytes;      /* growth in huge pages, from the first to the last sample that had it */
	enum lh_measure measure;        /* what all of the following refers to */
	double rate_bytes_per_hour;     /* Theil-Sen slope (Theil 1950, Sen 1968) */
	double rate_low_bytes_per_hour; /* its 95 % confidence interval (Sen 1968) */
	double rate_high_bytes_per_hour;
	double probability; /* that growth continues without bound, 0 to 1, calibrated on histories with known truth */
	/* Steady growth at less than this rate would not show. */
	double resolution_bytes_per_hour;
	double growth_start_s;  /* when growth began, since the first sample; LH_NEVER_S: never */
	double plateau_start_s; /* LH_VERDICT_PLATEAU, LH_VERDICT_STEP: when growth ended; else LH_NEVER_S */
	double bytes_per_count; /* growth per unit of work (struct lh_sample: counter); 0: unknown */
	enum lh_verdict verdict;
	/*
	 * Worth a dump: leak, growing, or undecided with a growth of at least LH_GROWTH_MIN_BYTES. If the process
	 * grows, and these explain too little of it, also those of the others that grew most, by as much at least.
	 */
	bool is_suspect;
	struct lh_cause cause;
	uint64_t watch_more_ns;  /* undecided or growing: how much longer to sample; else 0 */
	char reason[200];        /* one sentence with its numbers */
	LH_VEC(uint64_t) series; /* of the measure, one value per moment; empty if it never changed */
};

/* One thing that a process holds beside its mappings, and its history. */
struct lh_holding_growth {
	bool is_known;
	uint64_t first, last; /* bytes, or a count: lh_holding_is_memory */
	int64_t growth;
	double rate_per_hour; /* Theil-Sen slope, with its 95 % confidence interval */
	double rate_low_per_hour;
	double rate_high_per_hour;
	double probability; /* as of struct lh_growth */
	enum lh_verdict verdict;
	bool is_suspect;        /* a leak, or memory that may become one, beyond what growing mappings explain */
	uint64_t watch_more_ns; /* as of struct lh_growth */
	char reason[200];
	LH_VEC(uint64_t) series; /* one value per moment; empty if it never changed */
};

/* The address space as a whole. */
struct lh_mapped_growth {
	enum lh_verdict verdict;
	double rate_bytes_per_hour;
	double rate_low_bytes_per_hour;
	double rate_high_bytes_per_hour;
};

struct lh_selection {
	struct lh_holding_growth holdings[LH_HOLDING_COUNT];
	char held_name[LH_HELD_NAME_BYTES]; /* of the last sample that has one; raw bytes */
	struct lh_mapped_growth mapped;
	bool has_ceilings; /* of the latest sample that has them; likewise the receipt */
	bool has_receipt;
	struct lh_ceilings ceilings;
	struct lh_sampling_receipt receipt;
	/* Leaks and rising undecided regions first, then the others; within each, by growth_bytes, most first. */
	LH_VEC(struct lh_growth) growths;
	/* What to dump: the first leak that is a notable part of all growth, else the first suspect; growths.count:
	 * nothing */
	size_t suspect;
	struct lh_growth total;                             /* the whole process; its kind and ranges have no meaning */
	struct lh_evidence_row evidence[LH_EVIDENCE_COUNT]; /* of the total's verdict */
	LH_VEC(double)
	moments_s; /* times of the series' values, since the first sample; a long history is thinned out */
	size_t sample_count;
	uint64_t span_ns;  /* from first to last sample */
	uint64_t start_ns; /* CLOCK_REALTIME of the first sample */
	pid_t pid;         /* 0 when unknown */
	struct lh_strings_pool strings;
};

/* "descriptors", "page tables": for people. */
const char *lh_holding_text(enum lh_holding holding);

/* Leak or growing. */
bool lh_verdict_is_rising(enum lh_verdict verdict);
/* Leak, growing or undecided. */
bool lh_verdict_may_grow(enum lh_verdict verdict);

/* Whether the process leaks with at least this probability: the condition for an alarm. */
bool lh_selection_leaks(const struct lh_selection *selection, double probability);

/* What to dump first: struct lh_selection, suspect. NULL: nothing. */
const struct lh_growth *lh_selection_suspect(const struct lh_selection *selection);

/* What leaks beside the mappings, the process's own memory before its cgroup's; LH_HOLDING_COUNT: nothing. */
enum lh_holding lh_selection_held_leak(const struct lh_selection *selection);

/*
 * A selection in progress: takes samples one by one, and keeps only what changed, so that days of samples fit in
 * memory. Heap-allocated.
 */
struct lh_selector;

struct lh_error *lh_selector_create(struct lh_selector **ret) LH_NODISCARD;
void lh_selector_destroy(struct lh_selector *selector); /* NULL is legal */

/*
 * The caller keeps the sample. LH_ERROR_USAGE, with nothing changed, if it has no usage, belongs to another process
 * than earlier samples (unknown matches any), or is not later than they are. If uptime is known it gives the time, so
 * that setting the clock has no effect.
 */
struct lh_error *lh_selector_add(struct lh_selector *selector, const struct lh_sample *sample) LH_NODISCARD;

/* Judges what was added so far; more can be added later. LH_ERROR_USAGE with fewer than 2 samples. */
struct lh_error *lh_selector_judge(struct lh_selector *selector, struct lh_selection *ret) LH_NODISCARD;

/* Adds and judges all samples. They may be out of order: their times count. Errors: those of the selector. */
struct lh_error *lh_select(const struct lh_samples *samples, struct lh_selection *ret) LH_NODISCARD;
void lh_selection_deinit(struct lh_selection *selection);

/* ---------------------------------------------------------------- where it comes from */

/* What is known about the program beside its mappings. */
struct lh_runtime_facts {
	enum lh_allocator allocator;
	bool has_python;
	bool has_v8;
	bool has_jvm;
	bool has_go;
	bool has_owners; /* kinds come from allocators' structures: anonymous memory then has no known owner */
};

/* Gathers what the names and addresses of all mappings tell, also of those that did not change. */
void lh_runtime_facts_gather(const struct lh_selection *selection, struct lh_runtime_facts *ret);

/* Sets the cause of each growth. */
void lh_selection_find_causes(struct lh_selection *selection, const struct lh_runtime_facts *facts);

/* ---------------------------------------------------------------- when it ends */

/* The first limit that growth reaches if it continues. Times count from the last sample. */
struct lh_forecast {
	enum lh_ceiling ceiling;
	uint64_t left; /* bytes, or a count: lh_ceiling_is_memory */
	double seconds;
	double earliest_s; /* at the upper end of the rate's confidence interval */
	double latest_s;   /* at its lower end; INFINITY: perhaps never */
};

/* Growth of the process's memory, in its mappings and beside them. */
struct lh_memory_growth {
	int64_t growth_bytes;
	double rate_bytes_per_hour;
	double rate_low_bytes_per_hour; /* sums of 95 % intervals, which are wider than the interval of the sum */
	double rate_high_bytes_per_hour;
};

/* What forecasts assume: growth of the whole process if it leaks, else of its parts that leak. All 0: none does. */
struct lh_memory_growth lh_selection_memory_growth(const struct lh_selection *selection);

/* False if nothing is a leak, or no limit is known for what leaks. */
bool lh_forecast_end(const struct lh_selection *selection, struct lh_forecast *ret);

/* ---------------------------------------------------------------- did the fix help */

enum lh_change {
	LH_CHANGE_STOPPED, /* grew before; growth that could still be hidden is small compared to that */
	LH_CHANGE_SLOWER,
	LH_CHANGE_NONE, /* no difference beyond chance */
	LH_CHANGE_FASTER,
	LH_CHANGE_NO_GROWTH, /* neither before nor after */
};

/* "stopped", "slower", "no change", "faster", "no growth". */
const char *lh_change_name(enum lh_change change);

/* The private memory of one service during two runs, before and after a fix. */
struct lh_comparison {
	enum lh_change change;
	double confidence; /* that the rates differ: 0.5 to 1 */
	double before_bytes_per_hour;
	double after_bytes_per_hour;
	double difference_low_bytes_per_hour; /* after - before, 95 % */
	double difference_high_bytes_per_hour;
	double resolution_bytes_per_hour; /* growth after the fix at less than this rate would not show */
	uint64_t watch_more_ns;           /* until the resolution is a tenth of the growth before; 0: it is */
	char reason[200];
};

/* LH_ERROR_USAGE if one of them has too few samples for a rate. */
struct lh_error *lh_compare(const struct lh_selection *before, const struct lh_selection *after,
			    struct lh_comparison *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- records */

/*
 * A record is JSON lines: first {"leakhunt_record":2,"pid":N,...}, then one line per sample, with all regions or only
 * the changed ones (format: leakhunt-select(1), RECORDS). Each call appends one line, with its newline.
 */
struct lh_error *lh_record_encode_header(const struct lh_process_identity *identity, const char *command,
					 struct lh_buffer *ret) LH_NODISCARD;

/* Encodes samples relative to the previous one. One writer per record. Heap-allocated. */
struct lh_record_writer;
struct lh_error *lh_record_writer_create(struct lh_record_writer **ret) LH_NODISCARD;
void lh_record_writer_destroy(struct lh_record_writer *writer); /* NULL is legal */
struct lh_error *lh_record_encode_sample(struct lh_record_writer *writer, const struct lh_sample *sample,
					 struct lh_buffer *ret) LH_NODISCARD;

/* Whether a text begins like a record (otherwise try lh_regions_parse). */
bool lh_record_detect(const char *text, size_t length);

struct lh_record_facts {
	char *command;        /* of the first header: comm, raw bytes; NULL when unknown */
	size_t skipped_lines; /* lines that could not be parsed, are cut off, or depend on such a line */
};

/*
 * Reads a record line by line: `line` without its newline. *ret: the sample that the line completes, or NULL; it
 * belongs to the reader and is valid until the next line. LH_ERROR_FORMAT if the first line is not a record's, or is of
 * a newer format; `what`, which must outlive the reader, names the record in errors.
 */
struct lh_record_reader;
struct lh_error *lh_record_reader_create(const char *what, struct lh_record_reader **ret) LH_NODISCARD;
void lh_record_reader_destroy(struct lh_record_reader *reader); /* NULL is legal */
struct lh_error *lh_record_reader_take(struct lh_record_reader *reader, const char *line, size_t length,
				       const struct lh_sample **ret) LH_NODISCARD;
const struct lh_record_facts *lh_record_reader_facts(const struct lh_record_reader *reader);

/* Appends all samples of a text. Errors: those of the reader. */
struct lh_error *lh_record_decode(const char *text, size_t length, const char *what,
				  struct lh_samples *ret) LH_NODISCARD;

#endif

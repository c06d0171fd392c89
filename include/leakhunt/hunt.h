/*
 * hunt: one question, one answer: what grows in a process, what it is, why it stays, what to do next.
 */
#ifndef LEAKHUNT_HUNT_H
#define LEAKHUNT_HUNT_H

#include "leakhunt/dump.h"
#include "leakhunt/graph.h"
#include "leakhunt/heap.h"
#include "leakhunt/holdings.h"
#include "leakhunt/modules.h"
#include "leakhunt/scan.h"
#include "leakhunt/watch.h"

/* ---------------------------------------------------------------- what is known of a program */

/* Whose malloc a live process calls. Opens and reads its files; what cannot be read stays unknown. */
enum lh_allocator lh_allocator_of(const struct lh_process *process);

/* From the names in the selection. What is known of the allocator takes precedence. */
struct lh_runtime_facts lh_runtime_facts_make(const struct lh_selection *selection, enum lh_allocator allocator);

/* ---------------------------------------------------------------- counterparts */

/* A function that allocates something, and the function that frees it. */
struct lh_counterpart {
	const char *family;  /* of objects (struct lh_object_count: kind); "": a cause's word (struct lh_cause) */
	const char *object;  /* fnmatch(3) pattern of the object's name, or of the word */
	const char *acquire; /* a frequent mistake; one clause, lower case; "" */
	const char *release; /* "SSL_free()" */
	const char *advice;  /* what is often overlooked; one clause, lower case; "" */
	const char *source;  /* where this is documented: "SSL_new(3)" */
};

/* ---------------------------------------------------------------- the hunt */

enum lh_hunt_step {
	LH_HUNT_WATCH,       /* sample until the verdict is firm */
	LH_HUNT_DUMP_BEFORE, /* dump what grows */
	LH_HUNT_GROW,        /* wait for growth worth comparing */
	LH_HUNT_DUMP_AFTER,
	LH_HUNT_COMPARE, /* contents and objects of both dumps */
	LH_HUNT_STEP_COUNT,
};

/* "watch", "dump before", "wait for growth", "dump after", "compare". */
const char *lh_hunt_step_name(enum lh_hunt_step step);

enum lh_hunt_outcome {
	LH_HUNT_NOT_REACHED, /* offline, or an earlier step made it pointless: see reason */
	LH_HUNT_DONE,
	LH_HUNT_CUT_SHORT, /* by Ctrl-C or --for: there is a result, but from less data */
	LH_HUNT_FAILED,
};

/* "skipped", "done", "cut short", "failed". */
const char *lh_hunt_outcome_name(enum lh_hunt_outcome outcome);

struct lh_hunt_step_result {
	enum lh_hunt_outcome outcome;
	uint64_t elapsed_ns;
	char reason[256]; /* raw bytes; "" when done */
};

/* One row: something that grew, or, with a single dump, something that there is much of. */
enum lh_hunt_row_kind {
	LH_HUNT_ROW_OBJECTS,
	LH_HUNT_ROW_CONTENT, /* a recognized class */
	LH_HUNT_ROW_TEXTS,   /* of one template */
	LH_HUNT_ROW_BLOCKS,  /* of one size, whatever they contain */
};

struct lh_hunt_row {
	enum lh_hunt_row_kind kind;
	const char *family; /* as of struct lh_diff_row; the allocator for blocks */
	const char *name;
	const char *detail;
	bool is_own;
	bool is_counted; /* its bytes are in struct lh_hunt: owned_bytes, too */
	int64_t count;   /* growth; with a single dump: number */
	int64_t bytes;   /* likewise, in blocks of the allocator, touched or not */
	uint64_t before_count;
	uint64_t after_count;
	uint64_t each_bytes; /* of blocks; else 0 */
	uint64_t addr;       /* an example; 0: none */
};

enum { LH_HUNT_ROWS_MAX = 4 };

/* Why memory stays, as far as the evidence shows. */
enum lh_hunt_why {
	LH_HUNT_WHY_UNKNOWN,
	LH_HUNT_WHY_NO_GROWTH,
	LH_HUNT_WHY_NOT_RELEASED, /* the kind of growth proves it: not joined, closed or unmapped */
	LH_HUNT_WHY_IN_USE,       /* most of the growth is blocks that were not freed */
	LH_HUNT_WHY_FREED,        /* the program freed the blocks, and the allocator keeps them */
	LH_HUNT_WHY_REFERENCED,   /* CPython and PHP free unreferenced values: there are references, or cycles */
	LH_HUNT_WHY_COLLECTOR,    /* the runtime's collector decides; reachability is unknown */
	LH_HUNT_WHY_RUNNING,      /* stacks of threads that have not ended */
};

/* "unknown", "no-growth", "not-released", "in-use", "freed", "referenced", "collector", "running". */
const char *lh_hunt_why_name(enum lh_hunt_why why);

/* What the allocators of a dump say of themselves. */
struct lh_hunt_heap {
	bool is_known;
	uint64_t used_count;
	uint64_t used_bytes;
	uint64_t free_bytes; /* in free or cached blocks */
	struct lh_heap_totals totals;
	uint32_t kinds;      /* of the memory that was walked: bits 1 << enum lh_region_kind */
	char allocators[64]; /* "glibc, pymalloc" */
	bool is_partial;     /* an allocator could not be walked completely, or was refused */
};

/* ---------------------------------------------------------------- what fills memory */

/* One type of memory of an owner. Strings belong to the hunt; raw bytes. */
struct lh_hunt_fill {
	const char *family; /* of objects: "OpenSSL", "C++"; else "" */
	const char *prefix; /* a literal that goes before the name: "blocks of "; NULL: none */
	const char *name;
	const char *detail;
	uint64_t count;       /* blocks or mappings; 0: not counted */
	uint64_t bytes;       /* resident */
	int64_t growth_bytes; /* since the first dump; of memory that was not dumped, since that time by the samples */
	uint64_t addr;        /* an example; 0: none */
};

/* An owner of memory. The bytes of all owners add up to the private memory, those of its fills to the owner's bytes. */
struct lh_hunt_owner {
	char name[80];
	const char *note; /* a literal */
	uint64_t bytes;
	int64_t growth_bytes;
	LH_VEC(struct lh_hunt_fill) fills; /* most bytes first */
};

struct lh_hunt_owners {
	LH_VEC(struct lh_hunt_owner) items; /* most bytes first; none of 0 bytes */
	uint64_t bytes;
};

/* ---------------------------------------------------------------- how sure it is */

enum lh_hunt_question { LH_HUNT_DOES_IT_GROW, LH_HUNT_WHAT_GROWS, LH_HUNT_WHY_IT_STAYS, LH_HUNT_QUESTIONS };

/* "that it grows", "what grows", "why it stays". */
const char *lh_hunt_question_name(enum lh_hunt_question question);

enum { LH_HUNT_LEVEL_MAX = 4 };

struct lh_hunt_confidence {
	unsigned level;   /* 0: not answered; 1: a guess; 2: possible; 3: likely; 4: certain */
	char reason[256]; /* the evidence for it; raw bytes */
};

/* "not known", "a guess", "possible", "likely", "certain". */
const char *lh_hunt_level_name(unsigned level);

/* Whether pointers lead to what grew between two dumps. */
struct lh_hunt_reach {
	bool is_known;            /* false: there are no two dumps, or the graph has doubts */
	uint64_t lost_count;      /* blocks of the later dump that nothing points to; one per circle */
	uint64_t confirmed_count; /* of lost_count: lost in the earlier dump, too, with the same bytes */
	uint64_t lost_bytes;      /* including everything that only they hold */
	int64_t lost_growth_bytes;
	/* The holder of most of the new blocks; "": nobody holds many of them. */
	char holder[128];             /* "g_sessions in proxy" */
	char shape[16];               /* lh_holder_shape_name */
	uint64_t holder_growth_count; /* elements */
	uint64_t holder_growth_bytes;
	uint64_t new_count; /* reachable blocks that did not exist before */
	uint64_t new_bytes;
	char root[128];                /* from where most of them, in bytes, can be reached; "" */
	uint64_t root_bytes;           /* of new_bytes, those that can; perhaps more */
	char doubt[320];               /* why it is not known; "" */
	struct lh_leaks leaks;         /* lost blocks of the later dump, in groups; none when it is not known */
	struct lh_holder_list holders; /* most grown first; likewise */
};

/* The suspect together with all growths of its kind and cause that may leak: three arenas are one answer. */
struct lh_hunt_alike {
	size_t count; /* growths; 0: there is no suspect, and figures are those of the whole process */
	size_t region_count;
	int64_t growth_bytes;
	double rate_bytes_per_hour; /* sums; the interval, summed too, is wider than the sum's own */
	double rate_low_bytes_per_hour;
	double rate_high_bytes_per_hour;
};

enum lh_hunt_side { LH_HUNT_BEFORE, LH_HUNT_AFTER, LH_HUNT_SIDES };

struct lh_hunt {
	pid_t pid;        /* 0: unknown */
	char command[16]; /* raw bytes; "" */
	char host[65];    /* "" offline; likewise the kernel, "Linux 6.18.1 x86_64" */
	char kernel[160];
	uint64_t time_ns; /* CLOCK_REALTIME of the conclusion */
	/* Paths; NULL: none. Owned. */
	char *folder;
	char *record_path;
	char *dump_paths[LH_HUNT_SIDES];
	char *report_path; /* of report.html, once it is written */
	struct lh_hunt_step_result steps[LH_HUNT_STEP_COUNT];
	bool has_selection;
	bool is_firm; /* enough consecutive samples agreed on a verdict while leakhunt waited for that */
	struct lh_selection selection;
	struct lh_runtime_facts facts;
	bool has_receipt[LH_HUNT_SIDES];
	struct lh_receipt receipts[LH_HUNT_SIDES];
	uint64_t max_pause_ns; /* that was allowed for each dump; 0: not known */
	uint64_t elapsed_ns;   /* from the first sample to the last dump */
	uint64_t disk_bytes;   /* lh_hunt_measure_disk */
	bool keeps_dumps;
	bool is_redacted; /* lh_report_redact_hunt */
	/* Opened and summarized dumps. NULL: missing, or not opened. */
	struct lh_image *images[LH_HUNT_SIDES];
	struct lh_summary summaries[LH_HUNT_SIDES];
	struct lh_hunt_heap heaps[LH_HUNT_SIDES];
	struct lh_heap_groups groups[LH_HUNT_SIDES]; /* of the blocks in use */
	struct lh_hunt_reach reach;
	bool has_diff;
	struct lh_diff diff;
	/* The answers. */
	const struct lh_growth *suspect; /* of the selection; NULL: none */
	struct lh_hunt_alike alike;
	bool is_sum;                   /* the process or parts of it leak: `whole` is the sum; else that of `alike` */
	struct lh_memory_growth whole; /* what grows in all, as the forecast assumes */
	enum lh_holding held;          /* leaking memory beside the mappings; LH_HOLDING_COUNT: none */
	bool has_cause;
	struct lh_cause cause; /* of the suspect */
	bool has_forecast;
	struct lh_forecast forecast;
	bool is_comparison;                        /* rows say what grew; false: what there is most of */
	struct lh_hunt_row rows[LH_HUNT_ROWS_MAX]; /* the main one first */
	size_t row_count;
	int64_t zero_bytes;     /* growth of zero pages between the dumps, beside that */
	int64_t compared_bytes; /* growth between the dumps, excluding zero pages */
	double explained;       /* share of compared_bytes in objects, else in texts and contents: 0 to 1 */
	int64_t owned_bytes;    /* main row with the objects of its family that grew with it; 0: its own bytes */
	enum lh_hunt_why why;
	struct lh_hunt_confidence confidences[LH_HUNT_QUESTIONS];
	struct lh_hunt_owners owners;             /* none without samples */
	const struct lh_counterpart *counterpart; /* NULL: unknown */
	char caveat[400];                         /* what else may look like this, and how to tell; "": nothing */
	char advice[320];                         /* what to do next, one sentence, raw bytes */
	char advice_source[64];                   /* where it is documented; "" */
};

void lh_hunt_deinit(struct lh_hunt *hunt);

/*
 * Whose verdict is the answer: that of the whole process if it leaks or there is no suspect, else the suspect's.
 */
const struct lh_growth *lh_hunt_main_growth(const struct lh_hunt *hunt);

/*
 * Whether the growth of the answer may be called a leak without reservation: it is judged a leak, the verdict is firm,
 * and the interval of its rate is above 0.
 */
bool lh_hunt_is_firm_leak(const struct lh_hunt *hunt);

/* Whether only the sums of the process's memory are known because its mappings could not be read. */
bool lh_hunt_has_sums_only(const struct lh_hunt *hunt);

/* Sets disk_bytes to the size of all current files in its folder; 0 offline. */
void lh_hunt_measure_disk(struct lh_hunt *hunt);

/* Whether all steps that its answers need were done. */
bool lh_hunt_is_complete(const struct lh_hunt *hunt);

struct lh_hunt_options {
	uint64_t for_ns;      /* limit for both waits together */
	uint64_t interval_ns; /* between samples */
	uint64_t max_pause_ns;
	struct lh_sampling_options sampling;
	const char *folder; /* to be created; NULL: COMMAND.PID.TIME in the current one */
	bool keeps_dumps;
	/* For dumps and scans; false asks to stop. May be NULL. */
	lh_progress *progress;
	/* Shows what the hunt waits for, several times a second. May be NULL. */
	void (*show_wait)(void *context, const char *text);
	/* A step begins. May be NULL. */
	void (*show_step)(void *context, enum lh_hunt_step step, const char *text);
	lh_notice *notice;
	void *context; /* of all four */
};

/*
 * Runs the steps that touch the process, up to the second dump. Creates the folder, mode 0700, and the record in it.
 * Notes an impossible step, and goes on with the next one that makes sense without it. Errors: the folder cannot be
 * created, the process cannot be sampled twice, no memory. *ret must be zero.
 */
struct lh_error *lh_hunt_observe(const struct lh_process *process, const struct lh_hunt_options *options,
				 struct lh_hunt *ret) LH_NODISCARD;

/*
 * The dumps that a hunt left in the folder of its record; NULL where there is none. Paths are the caller's. Errors: no
 * memory.
 */
struct lh_error *lh_hunt_find_dumps(const char *record_path, char *ret_paths[LH_HUNT_SIDES]) LH_NODISCARD;

/* Loads saved dumps and a record instead of observing a process; NULL: not given. *ret must be zero. */
struct lh_error *lh_hunt_load(const char *before_path, const char *after_path, const char *record_path,
			      struct lh_hunt *ret) LH_NODISCARD;

/*
 * Opens and compares the dumps, and draws the conclusions. Opens only the dumps' files and those of their modules, so
 * leakhunt may be confined before. Errors: no memory.
 */
struct lh_error *lh_hunt_conclude(struct lh_hunt *hunt, const struct lh_hunt_options *options) LH_NODISCARD;

#endif

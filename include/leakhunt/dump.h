/*
 * dump: plans what to copy, freezes the process, copies its memory, and writes an ELF core.
 * Whatever happens to leakhunt, the target goes on.
 */
#ifndef LEAKHUNT_DUMP_H
#define LEAKHUNT_DUMP_H

#include "leakhunt/gap.h"
#include "leakhunt/modules.h"
#include "leakhunt/owner.h"
#include "leakhunt/pages.h"
#include "leakhunt/regions.h"
#include "leakhunt/select.h"
#include "leakhunt/tracee.h"

/* ---------------------------------------------------------------- what to dump */

/*
 * Parses WHAT: "heap" (everything an allocator owns: LH_HEAP_KINDS), "anon" (all private anonymous memory except
 * stacks, data and bss), "stacks", "private" (both of these: what can leak), "data" (DATA and BSS), "all" (every
 * region, whatever its protection), the name of a region kind, "0xA-0xB", "name:GLOB" (fnmatch on name or thread name).
 * All except ranges also apply to mappings that appear during the dump. LH_ERROR_USAGE names the word; the hint lists
 * the choices.
 */
enum lh_want_kind { LH_WANT_KINDS, LH_WANT_ALL, LH_WANT_RANGE, LH_WANT_NAME };

struct lh_want {
	enum lh_want_kind kind;
	uint32_t kinds; /* LH_WANT_KINDS: bits 1 << enum lh_region_kind; of private memory when more than one */
	struct lh_range range;
	/*
	 * LH_WANT_RANGE: also covers mappings of the same kind that adjoin an overlapping one: the mapping may grow and
	 * be split.
	 */
	bool is_whole_mapping;
	const char *glob; /* LH_WANT_NAME: points into the text that was parsed */
	const char *text; /* the word itself */
};

struct lh_error *lh_want_parse(const char *text, struct lh_want *ret) LH_NODISCARD;

/* The words that lh_want_parse accepts, besides ranges, "name:GLOB" and the region kinds. */
const char *const *lh_want_words(size_t *ret_count);

/*
 * Finds the mappings that the wants name: `*ret` is ascending, disjoint, and owned by the caller. LH_ERROR_USAGE if a
 * want matches nothing. `find_owners` as in lh_dump_options.
 */
struct lh_error *lh_want_find(const struct lh_process *process, const struct lh_want *wants, size_t count,
			      lh_owner_finder *find_owners, struct lh_range **ret, size_t *ret_count) LH_NODISCARD;

/* Wants, and the texts that some of them point into. Zero-initialized is empty. */
struct lh_want_list {
	LH_VEC(struct lh_want) items;
	struct lh_strings_pool strings;
};

void lh_want_list_deinit(struct lh_want_list *list);

/*
 * Appends what grows (is_suspect) and is still in `list`. Memory of an allocator becomes "heap", since allocators keep
 * mapping. Families, anonymous memory, huge pages and thread stacks become their kind, since growth goes on in new
 * mappings. Any other mapping becomes its range, wherever it grows.
 */
struct lh_error *lh_want_list_add_suspects(const struct lh_selection *selection, const struct lh_region_list *list,
					   struct lh_want_list *wants) LH_NODISCARD;

/*
 * Appends "shared" and "memfd" if the process maps such memory, since it can hold the only pointer to a private block.
 * Not if more than 4 GiB of it is mapped.
 */
struct lh_error *lh_want_list_add_shared(const struct lh_region_list *list, struct lh_want_list *wants) LH_NODISCARD;

/* ---------------------------------------------------------------- the plan */

/* A piece of one region that is to be copied. Page-aligned. */
struct lh_extent {
	uint64_t start;
	uint64_t end;
	const struct lh_region *region; /* belongs to the plan */
	bool is_context;
	bool is_absent_zero;  /* absent pages read as zeros; otherwise they are the file's, or unknown */
	bool is_device;       /* never read */
	bool is_inaccessible; /* mapped without PROT_READ: read through /proc/PID/mem, never tracked */
	bool is_tracked;      /* writes to it can be tracked */
	size_t first_run;     /* its runs: plan->pages.runs.items[first_run, first_run + run_count) */
	size_t run_count;
	uint64_t present_bytes;
	uint64_t swapped_bytes;
};

struct lh_plan {
	struct lh_region_list list; /* the mappings as they were when planned, with the kinds of their owners */
	struct lh_owners owners;
	struct lh_module_list modules;
	LH_VEC(struct lh_extent) extents; /* ascending, disjoint; none crosses a mapping's border */
	struct lh_page_runs pages;        /* present and swapped pages of the extents, in their order */
	uint64_t wanted_bytes;            /* present bytes that were requested */
	uint64_t context_bytes;           /* present bytes of context */
	uint64_t swapped_bytes;           /* would have to be swapped in: omitted, listed as gaps */
};

/* ---------------------------------------------------------------- the dump */

enum lh_dump_mode {
	LH_DUMP_SNAPSHOT, /* copied while the target runs; stopped only for the pages written meanwhile */
	LH_DUMP_STOP,     /* all threads frozen while copying */
	LH_DUMP_LIVE,     /* never stopped: pages may be of different moments */
	LH_DUMP_CHILD,    /* stopped while it forks; the copy-on-write child, which never runs, is copied */
};

/* What a snapshot does if the pause would exceed max_pause_ns. */
enum lh_dump_slow {
	LH_DUMP_SLOW_STOP,    /* accept any pause */
	LH_DUMP_SLOW_LIVE,    /* continue in mode live */
	LH_DUMP_SLOW_FAIL,    /* fail */
	LH_DUMP_SLOW_CHILD,   /* copy a copy-on-write child; if that is impossible, LH_DUMP_SLOW_BOUNDED */
	LH_DUMP_SLOW_BOUNDED, /* accept a pause of up to LH_SLOW_FACTOR_MAX times max_pause_ns; fail beyond */
};

const char *lh_dump_mode_name(enum lh_dump_mode mode);

/* How a snapshot learns which pages are written while it copies. */
enum lh_dump_tracker {
	LH_TRACKER_AUTO, /* the best that works */
	LH_TRACKER_UFFD, /* write protection by a userfaultfd (Linux 6.7), which the target must create */
	LH_TRACKER_SOFT, /* soft-dirty bits: slower, and each pass except the first stops the target, too */
};

/* What this kernel supports, tested on leakhunt itself: a target may still refuse. */
struct lh_tracker_support {
	bool has_write_protection; /* userfaultfd in async mode: Linux 6.7 */
	bool has_soft_dirty;       /* CONFIG_MEM_SOFT_DIRTY */
};
struct lh_tracker_support lh_dump_tracker_support(void);

enum lh_dump_format {
	LH_DUMP_CORE, /* ELF core */
	LH_DUMP_RAW,  /* plain bytes, and a JSON index beside it */
};

/* One line for people, before the event that it warns of. `text` is valid during the call only. */
typedef void lh_notice(void *context, const char *text);

struct lh_dump_options {
	enum lh_dump_mode mode;
	enum lh_dump_format format;
	const char *path; /* output file */
	bool force;       /* replace an existing file */
	bool compress;    /* zstd, in frames that can be read independently (format.h) */
	const struct lh_want *wants;
	size_t want_count;
	lh_owner_finder *find_owners; /* NULL: owners are unknown, and "heap" means what /proc calls so */
	bool bare;
	bool swapped;          /* read swapped pages, too, last; this swaps them back into the target's memory */
	bool no_inject;        /* the target must not run code for leakhunt: a snapshot becomes a stop */
	uint64_t max_pause_ns; /* snapshot: limit of the pause */
	enum lh_dump_slow on_slow;
	enum lh_dump_tracker tracker;
	lh_progress *progress; /* may be NULL */
	/* Whether to end without a result. Called while waiting, in the thread that called lh_dump. May be NULL. */
	bool (*is_interrupted)(void);
	lh_notice *notice;      /* may be NULL */
	void *progress_context; /* of both */
};

struct lh_dump_gaps {
	LH_VEC(struct lh_gap) items; /* ascending, disjoint, neighbors of one reason merged */
};

/* One pass of a snapshot over the pages written since the previous pass. */
struct lh_dump_pass {
	uint64_t bytes;
	uint64_t elapsed_ns;
};

#define LH_MODE_REASON_MAX 512

/* Where a snapshot's pause went. */
struct lh_pause_parts {
	uint64_t stop_ns;   /* to stop all threads and read their registers */
	uint64_t plan_ns;   /* to read the mappings, and to plan again if they changed */
	uint64_t look_ns;   /* to find the pages that were written */
	uint64_t copy_ns;   /* to copy them to memory */
	uint64_t resume_ns; /* to resume the threads */
};

/* The receipt: what a dump cost the target, and what it contains. */
struct lh_receipt {
	pid_t pid;
	char command[16];
	enum lh_dump_mode mode;               /* the mode actually used */
	char mode_reason[LH_MODE_REASON_MAX]; /* why that mode */
	uint64_t time_ns;                     /* CLOCK_REALTIME of the instant of the stop */
	uint64_t pause_ns;                    /* the longest stop of any thread; 0: never stopped */
	LH_VEC(struct lh_dump_pass) passes;   /* snapshot: while the target ran */
	uint64_t final_bytes;                 /* snapshot: copied during the pause, to memory */
	uint64_t held_bytes;                  /* snapshot: leakhunt's memory for final_bytes */
	size_t given_up_count;       /* snapshot: stops given up, since more was written than --max-pause allows */
	struct lh_pause_parts parts; /* snapshot: all 0 otherwise */
	const char *injected;        /* calls that the target ran for leakhunt, and their outcome; a literal, or NULL */
	size_t seam_count; /* upper bound: borders left in the target between mappings that would have merged */
	uint64_t elapsed_ns;
	size_t thread_count;
	size_t mended_count;   /* system calls saved from a spurious EINTR */
	uint64_t copied_bytes; /* wanted + context */
	uint64_t context_bytes;
	uint64_t swapped_in_bytes; /* part of copied_bytes that was read from swap, last */
	uint64_t gap_bytes;
	struct lh_dump_gaps gaps;
	uint64_t left_out_bytes[LH_REGION_KIND_COUNT]; /* resident and not requested; text is not counted */
	uint64_t file_bytes;                           /* apparent size of the file */
	uint64_t unpacked_bytes;                       /* of a compressed file: its uncompressed size; else 0 */
	uint64_t compress_ns;                          /* after everything else, while the target runs */
	uint64_t disk_bytes;                           /* blocks in use; in the capture note: before the headers */
	int64_t resident_delta_bytes;                  /* the target's RSS after minus before: pages made resident */
	const char *path;                              /* as given */
};

/* Bytes copied per second, over the whole time except compression. */
uint64_t lh_receipt_rate(const struct lh_receipt *receipt);

void lh_receipt_deinit(struct lh_receipt *receipt);

/* Appends the receipt as one JSON object, as the capture note and `dump --json` have it. */
struct lh_error *lh_receipt_encode(const struct lh_receipt *receipt, struct lh_buffer *ret) LH_NODISCARD;

/*
 * Dumps. Checks the output file, its folder and free space before it touches the target. After an error nothing is left
 * on disk, and the target runs. LH_ERROR_CHANGED if the target called exec meanwhile. All modes except live wait up to
 * 60 s for another leakhunt that copies the same process, and tell `notice` so.
 */
struct lh_error *lh_dump(const struct lh_process *process, const struct lh_dump_options *options,
			 struct lh_receipt *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- a dry run */

/* Whether a mode would work for this process, as far as can be known without stopping it. */
struct lh_mode_check {
	enum lh_dump_mode mode;
	bool works;
	uint64_t pause_ns;               /* expected if the mode works; 0: none */
	char reason[LH_MODE_REASON_MAX]; /* why the mode does not work, or a remark; "" */
};

/* What a dump would do. */
struct lh_preview {
	pid_t pid;
	char command[16];
	const char *path; /* as given */
	struct lh_plan plan;
	size_t thread_count;
	enum lh_dump_mode mode;               /* the mode that would be used */
	char mode_reason[LH_MODE_REASON_MAX]; /* why that mode */
	LH_VEC(struct lh_mode_check) modes;   /* all, the most desirable first */
	uint64_t pause_ns;                    /* expected; 0: none */
	uint64_t disk_bytes;                  /* upper bound */
	uint64_t disk_free_bytes;
	uint64_t gap_bytes; /* what would be missing: swapped pages, device memory */
};

/*
 * Plans like lh_dump and stops before it touches the target or the disk. Returns the error that lh_dump would return.
 */
struct lh_error *lh_dump_preview(const struct lh_process *process, const struct lh_dump_options *options,
				 struct lh_preview *ret) LH_NODISCARD;
void lh_preview_deinit(struct lh_preview *preview);

#endif

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
 * Parses WHAT: "heap" (whatever an allocator owns: LH_HEAP_KINDS), "anon" (all private anonymous
 * memory but stacks, data and bss), "stacks", "private" (both of these: what can leak), "data" (DATA and BSS), "all"
 * (every region, whatever its protection), a region kind by its name, "0xA-0xB", "name:GLOB" (fnmatch on name or thread
 * name). All but ranges are intentions: they hold for mappings that come while a dump is made.
 * LH_ERROR_USAGE names the word; the hint lists what there is.
 */
enum lh_want_kind { LH_WANT_KINDS, LH_WANT_ALL, LH_WANT_RANGE, LH_WANT_NAME };

struct lh_want {
	enum lh_want_kind kind;
	uint32_t kinds; /* LH_WANT_KINDS: bits 1 << enum lh_region_kind; of private memory when more than one */
	struct lh_range range;
	/* LH_WANT_RANGE: whatever mapping of the same kind overlaps or adjoins what does: it may grow, and be split. */
	bool is_whole_mapping;
	const char *glob; /* LH_WANT_NAME: points into the text that was parsed */
	const char *text; /* the word itself */
};

struct lh_error *lh_want_parse(const char *text, struct lh_want *ret) LH_NODISCARD;

/* The words that lh_want_parse takes beside ranges, "name:GLOB" and the region kinds. */
const char *const *lh_want_words(size_t *ret_count);

/*
 * Where the mappings are that the wants name: `*ret` is ascending, disjoint, and the caller's to free. LH_ERROR_USAGE
 * when a want matches nothing. `find_owners` as in lh_dump_options.
 */
struct lh_error *lh_want_find(const struct lh_process *process, const struct lh_want *wants, size_t count,
			      lh_owner_finder *find_owners, struct lh_range **ret, size_t *ret_count) LH_NODISCARD;

/* Wants, and the texts that some of them point to. Zero-initialized is empty. */
struct lh_want_list {
	LH_VEC(struct lh_want) items;
	struct lh_strings_pool strings;
};

void lh_want_list_deinit(struct lh_want_list *list);

/*
 * Appends what grows (is_suspect) and is still in `list`: what an allocator owns as "heap", since allocators
 * map on; a family by its kind, since new members come; a single mapping by its place, however it grows.
 */
struct lh_error *lh_want_list_add_suspects(const struct lh_selection *selection, const struct lh_region_list *list,
					   struct lh_want_list *wants) LH_NODISCARD;

/*
 * Appends "shared" and "memfd" where the process has mapped such memory: it can hold the only pointer to a private
 * block. Not when more than 4 GiB of it is mapped.
 */
struct lh_error *lh_want_list_add_shared(const struct lh_region_list *list, struct lh_want_list *wants) LH_NODISCARD;

/* ---------------------------------------------------------------- the plan */

/* A piece of one region that is to be copied. Page-aligned. */
struct lh_extent {
	uint64_t start;
	uint64_t end;
	const struct lh_region *region; /* belongs to the plan */
	bool is_context;
	bool is_absent_zero;  /* pages that are not there read as zero; else they are the file's, or unknown */
	bool is_device;       /* never read */
	bool is_inaccessible; /* mapped without PROT_READ: read by force, and never tracked */
	bool is_tracked;      /* writes to it are seen, if anybody tracks them */
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
	uint64_t wanted_bytes;            /* present bytes that were asked for */
	uint64_t context_bytes;           /* present bytes taken along */
	uint64_t swapped_bytes;           /* would have to be swapped in: left out, as gaps */
};

/* ---------------------------------------------------------------- the dump */

enum lh_dump_mode {
	LH_DUMP_SNAPSHOT, /* copied while it runs, and frozen only for what was written meanwhile */
	LH_DUMP_STOP,     /* all threads frozen while copying */
	LH_DUMP_LIVE,     /* never stopped: pages may be of different moments */
	LH_DUMP_CHILD,    /* frozen while it forks; a copy-on-write child is copied that never runs */
};

/* What a snapshot does when the pause would be longer than allowed. */
enum lh_dump_slow {
	LH_DUMP_SLOW_STOP,    /* pauses longer */
	LH_DUMP_SLOW_LIVE,    /* goes on as in mode live */
	LH_DUMP_SLOW_FAIL,    /* gives up */
	LH_DUMP_SLOW_CHILD,   /* copies a copy-on-write child; where there can be none, as LH_DUMP_SLOW_BOUNDED */
	LH_DUMP_SLOW_BOUNDED, /* pauses longer, up to LH_SLOW_FACTOR_MAX times what is allowed; gives up beyond */
};

const char *lh_dump_mode_name(enum lh_dump_mode mode);

/* How a snapshot knows what is written while it copies. */
enum lh_dump_tracker {
	LH_TRACKER_AUTO, /* the best that works */
	LH_TRACKER_UFFD, /* write protection by a userfaultfd (Linux >= 6.7), which the target must make */
	LH_TRACKER_SOFT, /* soft-dirty bits: slower, and each pass but the first stops the target, too */
};

/* What this kernel has, tried on leakhunt itself: a target may still refuse. */
struct lh_tracker_support {
	bool has_write_protection; /* userfaultfd in async mode: Linux 6.7 */
	bool has_soft_dirty;       /* CONFIG_MEM_SOFT_DIRTY */
};
struct lh_tracker_support lh_dump_tracker_support(void);

enum lh_dump_format {
	LH_DUMP_CORE, /* ELF core */
	LH_DUMP_RAW,  /* plain bytes, and a JSON index beside it */
};

/* One line for people, said before what it warns of happens; `text` is gone after the call. */
typedef void lh_notice(void *context, const char *text);

struct lh_dump_options {
	enum lh_dump_mode mode;
	enum lh_dump_format format;
	const char *path; /* output file */
	bool force;       /* replace an existing file */
	bool compress;    /* zstd, in frames that can be read one without the other (format.h) */
	const struct lh_want *wants;
	size_t want_count;
	lh_owner_finder
		*find_owners; /* NULL: which allocator owns what is not known, and "heap" is what /proc calls so */
	bool bare;
	bool swapped;          /* read swapped pages, too: last, and they come back into the target's memory */
	bool no_inject;        /* the target must not run anything for us: a snapshot becomes a stop */
	uint64_t max_pause_ns; /* snapshot: what the last step should not exceed */
	enum lh_dump_slow on_slow;
	enum lh_dump_tracker tracker;
	lh_progress *progress; /* may be NULL */
	/* Whether to end before there is a result; asked by waits, in the thread that called lh_dump. May be NULL. */
	bool (*is_interrupted)(void);
	lh_notice *notice;      /* may be NULL */
	void *progress_context; /* of both */
};

struct lh_dump_gaps {
	LH_VEC(struct lh_gap) items; /* ascending, disjoint, neighbors of one reason merged */
};

/* One round of a snapshot over the pages written since the round before. */
struct lh_dump_pass {
	uint64_t bytes;
	uint64_t elapsed_ns;
};

#define LH_MODE_REASON_MAX 512

/* Where a snapshot's pause went. */
struct lh_pause_parts {
	uint64_t stop_ns;   /* stopping all threads and reading their registers */
	uint64_t plan_ns;   /* reading the mappings, and planning anew if they changed */
	uint64_t look_ns;   /* finding the pages that were written */
	uint64_t copy_ns;   /* copying them to memory */
	uint64_t resume_ns; /* letting the threads go */
};

/* The receipt: what a dump cost the target, and what it holds. */
struct lh_receipt {
	pid_t pid;
	char command[16];
	enum lh_dump_mode mode;               /* the one it became */
	char mode_reason[LH_MODE_REASON_MAX]; /* why that mode */
	uint64_t time_ns;                     /* CLOCK_REALTIME, of the frozen instant */
	uint64_t pause_ns;                    /* longest time that any thread stood still; 0 when never stopped */
	LH_VEC(struct lh_dump_pass) passes;   /* snapshot: while the target ran */
	uint64_t final_bytes;                 /* snapshot: copied in the pause, into memory */
	uint64_t held_bytes;                  /* snapshot: memory of leakhunt for that */
	size_t given_up_count;       /* snapshot: stops that found more written than fits --max-pause: let go at once */
	struct lh_pause_parts parts; /* snapshot: all 0 otherwise */
	const char *injected;        /* calls that the target ran for us, and what became of them; a literal, or NULL */
	size_t seam_count;           /* borders left in the target between mappings that would have merged: at most */
	uint64_t elapsed_ns;
	size_t thread_count;
	size_t mended_count;   /* system calls saved from a spurious EINTR */
	uint64_t copied_bytes; /* wanted + context */
	uint64_t context_bytes;
	uint64_t swapped_in_bytes; /* of the copied: read from swap, after all else */
	uint64_t gap_bytes;
	struct lh_dump_gaps gaps;
	uint64_t left_out_bytes[LH_REGION_KIND_COUNT]; /* resident, and not asked for; text is not counted */
	uint64_t file_bytes;                           /* apparent size of the file */
	uint64_t unpacked_bytes;                       /* of a compressed one, what is in it; else 0 */
	uint64_t compress_ns;                          /* after all else, while the target runs on */
	uint64_t disk_bytes;                           /* blocks in use; in the capture note: before the headers */
	int64_t resident_delta_bytes;                  /* the target's RSS after minus before: pages made resident */
	const char *path;                              /* as given */
};

/* Bytes copied a second, over all of it but compressing. */
uint64_t lh_receipt_rate(const struct lh_receipt *receipt);

void lh_receipt_deinit(struct lh_receipt *receipt);

/* Appends the receipt as one JSON object, as the capture note and `dump --json` have it. */
struct lh_error *lh_receipt_encode(const struct lh_receipt *receipt, struct lh_buffer *ret) LH_NODISCARD;

/*
 * Dumps. Checks the output file, its folder and the free space before it touches the target. On an
 * error nothing is left on disk, and the target runs. LH_ERROR_CHANGED when it called exec midway. In all modes but
 * live it waits up to 60 s for another leakhunt that copies the same process, and says so by `notice`.
 */
struct lh_error *lh_dump(const struct lh_process *process, const struct lh_dump_options *options,
			 struct lh_receipt *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- a dry run */

/* Whether a mode would work for this process, as far as can be said without stopping it. */
struct lh_mode_check {
	enum lh_dump_mode mode;
	bool works;
	uint64_t pause_ns;               /* to be expected when it works; 0: none */
	char reason[LH_MODE_REASON_MAX]; /* why not, or what else there is to say; "" */
};

/* What a dump would do. */
struct lh_preview {
	pid_t pid;
	char command[16];
	const char *path; /* as given */
	struct lh_plan plan;
	size_t thread_count;
	enum lh_dump_mode mode;               /* the one it would become */
	char mode_reason[LH_MODE_REASON_MAX]; /* why that mode */
	LH_VEC(struct lh_mode_check) modes;   /* all, the most desirable first */
	uint64_t pause_ns;                    /* to be expected; 0: none */
	uint64_t disk_bytes;                  /* needed, at most */
	uint64_t disk_free_bytes;
	uint64_t gap_bytes; /* what would be missing: swapped pages, device memory */
};

/*
 * Plans as lh_dump does and stops before it touches anything: neither the target nor the disk. Fails
 * with the error that lh_dump would have failed with.
 */
struct lh_error *lh_dump_preview(const struct lh_process *process, const struct lh_dump_options *options,
				 struct lh_preview *ret) LH_NODISCARD;
void lh_preview_deinit(struct lh_preview *preview);

#endif

/*
 * scan: what memory contains: printable runs, repeated strings, recognized content, and a census of pointers into
 * modules. Reads through image only; every byte it sees is hostile.
 */
#ifndef LEAKHUNT_SCAN_H
#define LEAKHUNT_SCAN_H

#include "leakhunt/modules.h"
#include "leakhunt/objects.h"
#include "leakhunt/sweep.h"

/* ---------------------------------------------------------------- encodings and runs */

bool lh_encoding_parse(const char *letter, enum lh_encoding *ret);

/*
 * A maximal run of printable characters, of at least the minimum length. Printable means what GNU strings prints:
 * 0x20..0x7e and tab (binutils 2.40, strings.c STRING_ISGRAPHIC); with LATIN also >= 0x80. `bytes` are the raw bytes,
 * in the encoding of the memory, valid during the call only.
 */
struct lh_run {
	uint64_t addr;        /* target address (or file offset, if there are no addresses) */
	uint64_t file_offset; /* LH_NO_OFFSET when live */
	const uint8_t *bytes;
	size_t bytes_length;
	size_t chars; /* in units of the encoding's width: bytes in UTF-8 */
};

/* Runs of one block, in order, at least one: the spans count from block->data. Valid during the call only. */
struct lh_run_batch {
	const struct lh_block *block;
	const struct lh_span *spans;
	size_t count;
	size_t width;        /* bytes of a character */
	const bool *matches; /* one per span: whether it matches lh_run_options.mark; NULL without a mark */
};

static inline struct lh_run lh_run_of(const struct lh_run_batch *batch, size_t i)
{
	const struct lh_block *block = batch->block;
	struct lh_span span = batch->spans[i];
	return (struct lh_run){
		.addr = block->addr + span.start,
		.file_offset = block->file_offset == LH_NO_OFFSET ? LH_NO_OFFSET : block->file_offset + span.start,
		.bytes = block->data + span.start,
		.bytes_length = span.end - span.start,
		.chars = (span.end - span.start) / batch->width,
	};
}

/* A regular expression for texts (pcre2pattern(3)). Thread-safe. LH_ERROR_USAGE if it is invalid. */
struct lh_text_filter;
struct lh_error *lh_text_filter_create(const char *pattern, struct lh_text_filter **ret) LH_NODISCARD;
void lh_cleanup_text_filter(struct lh_text_filter **filter);

/* Texts whose matching took too many steps: they count as not matching, although they may match. */
struct lh_match_loss {
	uint64_t count;
	uint64_t first_addr; /* their lowest address; undefined if there are none */
};
/* The loss since the last call. No thread may be matching. NULL is legal: no loss. */
struct lh_match_loss lh_text_filter_take_loss(const struct lh_text_filter *filter);

struct lh_run_options {
	size_t min_chars; /* >= 1 */
	enum lh_encoding encoding;
	const struct lh_text_filter *match; /* only runs that match; NULL: all */
	/* All runs are reported; those that match are marked in lh_run_batch.matches. NULL: none is. */
	const struct lh_text_filter *mark;
};

/*
 * Receives the runs. Each thread adds the runs of a stretch of memory to its own part. Then the caller's thread writes
 * and empties the parts in the order of addresses.
 */
struct lh_list_output {
	void *context;
	struct lh_error *(*create_part)(void *context, void **ret);
	void (*destroy_part)(void *part);
	/* The batch's memory stays valid until the part is written. */
	struct lh_error *(*add)(void *part, const struct lh_run_batch *batch);
	struct lh_error *(*write)(void *context, void *part);
};

struct lh_list_options {
	struct lh_run_options run;
	unsigned walk_flags;   /* enum lh_walk_flags */
	unsigned threads;      /* 0: one for each processor */
	bool shows_secrets;    /* false: secrets are masked, character by character */
	lh_progress *progress; /* may be NULL */
	void *progress_context;
};

/*
 * All runs of an image in address order, the same for any number of threads. In a raw file these are the strings that
 * GNU strings finds (tested with binutils 2.40), also next to the holes of a sparse file. LH_ERROR_INTERRUPTED if
 * progress said stop: everything up to there was written.
 */
struct lh_error *lh_list_runs(struct lh_image *image, const struct lh_list_options *options,
			      const struct lh_list_output *output) LH_NODISCARD;

/* ---------------------------------------------------------------- recognized content */

/* At most this many bytes are kept of an example or of a row's text. */
#define LH_EXAMPLE_MAX        160
#define LH_EXAMPLES_PER_CLASS 5
#define LH_TEMPLATE_EXAMPLES  3

struct lh_example {
	uint64_t addr;
	char text[LH_EXAMPLE_MAX]; /* raw bytes of the target, NUL-terminated: escape before output */
};

/* Matches of a class that are of one kind: "ClientHello", "TLS 1.2 or 1.3, application data". */
#define LH_KINDS_MAX 24

struct lh_kind_count {
	const char *name; /* a literal */
	uint64_t count;
	uint64_t bytes;
};

/* All matches of one recognizer. */
struct lh_class_count {
	const char *name;  /* "tls-record", "x509", ... a literal */
	const char *title; /* for people: "TLS records", "X.509 certificates" */
	uint64_t count;
	uint64_t bytes;     /* of the matches, without those that belong to a more specific class */
	uint64_t unchecked; /* candidates dropped unchecked, in memory made to waste time; 0 otherwise */
	bool is_secret;     /* examples have addresses, and texts that are masked unless shows_secrets */
	struct lh_example examples[LH_EXAMPLES_PER_CLASS]; /* of different texts, the first seen */
	size_t example_count;
	struct lh_kind_count kinds[LH_KINDS_MAX]; /* in the recognizer's order; count and bytes sum up to the class's */
	size_t kind_count;                        /* 0: the class has no kinds */
};

/*
 * Finds secrets in individual texts, without a pass over memory: those whose anchors lie in `within`. The ranges are
 * offsets, in no order, and may overlap; they belong to the finder and are valid until the next call. At most UINT_MAX
 * bytes. One thread at a time. Bytes made to take more than linear time, over all searches together, are given up:
 * everything after that point is one found range, and the search ends.
 */
struct lh_secret_finder;

struct lh_error *lh_secret_finder_create(struct lh_secret_finder **ret) LH_NODISCARD;
/* The same for a name that somebody else owns: if it contains a secret, *name becomes a masked copy in `pool`. */
struct lh_error *lh_secret_finder_mask_name(struct lh_secret_finder *finder, struct lh_strings_pool *pool,
					    const char **name) LH_NODISCARD;
void lh_cleanup_secret_finder(struct lh_secret_finder **finder);

/* ---------------------------------------------------------------- what every byte is */

/* Bytes that no recognizer claims; scan/classify.c says how they are classified. */
enum lh_rest {
	LH_REST_ZERO,
	LH_REST_POINTERS,
	LH_REST_TEXT,
	LH_REST_RANDOM, /* high entropy: compressed, encrypted, or keys */
	LH_REST_OTHER,
	LH_REST_COUNT,
};

/* Classes of a map: recognizers by their row in the table, then the rest from LH_MAP_REST on. */
#define LH_MAP_REST    64
#define LH_MAP_CLASSES (LH_MAP_REST + LH_REST_COUNT)

struct lh_map_cell {
	uint64_t start; /* a multiple of cell_bytes; only the scanned part of the cell is counted */
	uint64_t bytes[LH_MAP_CLASSES];
};

struct lh_map {
	uint64_t cell_bytes;              /* a power of two, the same for all cells; 0: there are none */
	LH_VEC(struct lh_map_cell) cells; /* ascending; at most 2048 */
};

/* "x509" and "X.509 certificates", "zero" and "zeros"; NULL: no such class. */
const char *lh_map_class_name(unsigned class);
const char *lh_map_class_title(unsigned class);

/* ---------------------------------------------------------------- the summary */

struct lh_repeated {
	char *text;     /* raw bytes, owned, NUL-terminated; cut at LH_EXAMPLE_MAX - 1 bytes */
	uint64_t chars; /* of the whole string */
	uint64_t count;
	uint64_t bytes;        /* count * length in memory */
	uint64_t missed_bytes; /* upper bound of bytes missed; 0 if nothing was evicted */
	uint64_t example_addr;
	bool is_secret; /* part of a secret class: masked */
};

/* Texts that differ only in their values: numbers, hexadecimal digits, UUIDs, dates, addresses, tokens. */
struct lh_template_count {
	uint64_t hash; /* the same for every text of this template, in any memory */
	char *text; /* with "<n>", "<hex>" ... where the texts differ; otherwise raw bytes; owned, cut off like examples
		     */
	uint64_t count;
	uint64_t bytes;                                   /* of all of them */
	uint64_t missed_bytes;                            /* upper bound of bytes missed; 0 if nothing was evicted */
	struct lh_example examples[LH_TEMPLATE_EXAMPLES]; /* different texts, the first seen */
	size_t example_count;
};

/* Words that point into a module, summed over the census. */
struct lh_module_count {
	const struct lh_module *module;
	const char *name; /* as in the rows */
	uint64_t count;
};

struct lh_summary_options {
	struct lh_run_options run;
	unsigned walk_flags; /* enum lh_walk_flags */
	size_t top;          /* rows of texts, of templates and of symbols to keep */
	bool keeps_single;   /* also keep texts and templates that occur once, after the repeated ones */
	unsigned threads;    /* 0: one per CPU; the result is the same for any number */
	const char *root;    /* for symbols; NULL: the image's own */
	bool shows_secrets;  /* false: secret texts and examples are masked */
	/*
	 * In runtimes' heaps, count texts only where objects in use hold them: collectors leave copies behind. Not for
	 * a live process, whose collector runs on.
	 */
	bool wants_live_texts;
	lh_progress *progress; /* may be NULL */
	void *progress_context;
};

struct lh_summary {
	uint64_t scanned_bytes;
	uint64_t printable_bytes;           /* in runs of at least min_chars */
	uint64_t zero_bytes;                /* in pages of zeros only */
	uint64_t rest_bytes[LH_REST_COUNT]; /* all classes together with these == scanned_bytes */
	struct lh_map map;
	uint64_t run_count;
	uint64_t distinct_count; /* different strings: an estimate if sampled, else an upper bound */
	uint64_t uncounted_runs; /* runs that `repeated` does not count individually */
	/*
	 * Only texts and templates found in a sample were counted, these exactly: a text with less than 16 of 131,072
	 * of the scanned bytes can be missing (scan/text/text_candidates.h).
	 */
	bool is_sampled;
	LH_VEC(struct lh_repeated) repeated;        /* by bytes, most first */
	uint64_t template_texts;                    /* texts for which a template was computed */
	uint64_t template_bytes;                    /* their bytes */
	LH_VEC(struct lh_template_count) templates; /* by bytes, most first */
	LH_VEC(struct lh_class_count) classes; /* classes with matches or unchecked candidates; by bytes, most first */
	struct lh_census census;
	LH_VEC(struct lh_module_count) modules; /* most words first */
	struct lh_objects objects;              /* empty if interrupted */
	struct lh_symbols *symbols;             /* owned: rows of census and objects point into it */
	struct lh_match_loss match_loss;        /* texts that lh_run_options.match gave up on: counted nowhere */
	bool is_interrupted;                    /* progress said stop: the figures cover what was seen until then */
};

struct lh_error *lh_summarize(struct lh_image *image, const struct lh_summary_options *options,
			      struct lh_summary *ret) LH_NODISCARD;
void lh_summary_deinit(struct lh_summary *summary);

/* ---------------------------------------------------------------- two summaries */

enum lh_diff_kind {
	LH_DIFF_OBJECTS,
	LH_DIFF_CLASSES,
	LH_DIFF_TEMPLATES,
	LH_DIFF_TEXTS,
	LH_DIFF_SYMBOLS, /* words that point to a symbol, 8 bytes each */
	LH_DIFF_KIND_COUNT,
};

/* Something with one name in both or in one of two summaries. Raw bytes of the target: escape before output. */
struct lh_diff_row {
	const char *family; /* for objects: struct lh_object_count, kind; else "" */
	bool is_own;        /* likewise */
	bool is_young;      /* the growth is objects that a runtime has not collected yet: may be garbage */
	const char *name;   /* belongs to one of the summaries */
	const char *detail; /* detail of objects, "young" only if is_young; the module of symbols; else "" */
	uint64_t before_count;
	uint64_t after_count;
	uint64_t before_bytes;
	uint64_t after_bytes;
	uint64_t after_addr; /* an example; 0 if the row is only in the first summary */
};

struct lh_diff_rows {
	LH_VEC(struct lh_diff_row) rows; /* all rows that differ; by growth in bytes, then in count, most first */
};

/* What the second summary has more than the first. Both must outlive it. */
struct lh_diff {
	struct lh_diff_rows kinds[LH_DIFF_KIND_COUNT];
};

/*
 * Compares by name, so addresses do not matter. Texts in secrets are left out. Summaries keep only the most frequent
 * texts, templates and symbols: a text that one of them did not keep counts as 0 there.
 */
struct lh_error *lh_diff_summaries(const struct lh_summary *before, const struct lh_summary *after,
				   struct lh_diff *ret) LH_NODISCARD;
void lh_diff_deinit(struct lh_diff *diff);

/* ---------------------------------------------------------------- types that go together */

/* A type of objects: how many there are, or how many more. */
struct lh_companion_row {
	uint64_t count;
	uint64_t bytes;
	bool is_own;  /* struct lh_object_count */
	bool is_said; /* in a result already; set by lh_companions_find */
};

enum { LH_COMPANIONS_MAX = 8, LH_COMPANION_TIMES_MAX = 4 };

/* One type, and types with as many objects, or up to LH_COMPANION_TIMES_MAX times as many: likely its parts. */
struct lh_companions {
	size_t lead; /* index of a row */
	size_t rows[LH_COMPANIONS_MAX];
	uint32_t times[LH_COMPANIONS_MAX]; /* objects per object of `lead` */
	size_t count;
	uint64_t bytes; /* of all, `lead` included */
};

/*
 * Among rows that are not said, takes the one with most bytes, or one of the program's own types that goes with it.
 * Numbers are alike within `tolerance` (0.01: 1 %). False: all rows are said.
 */
bool lh_companions_find(struct lh_companion_row *rows, size_t count, double tolerance, struct lh_companions *ret);

/* Numbers that grew between two summaries are alike within this share. */
#define LH_GROWN_ALIKE 0.01

/*
 * The template, else the repeated text, whose number grew by about `count`, the one with most bytes: likely what the
 * objects were made for. NULL: none; few objects are alike by chance.
 */
const struct lh_diff_row *lh_diff_find_text_alike(const struct lh_diff *diff, uint64_t count);

#endif

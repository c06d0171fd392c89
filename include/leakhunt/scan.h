/*
 * scan: what memory contains. Printable runs, repeated strings, recognized content, and a census of
 * pointers into modules. Reads through image only; every byte it sees is hostile.
 */
#ifndef LEAKHUNT_SCAN_H
#define LEAKHUNT_SCAN_H

#include "leakhunt/objects.h"
#include "leakhunt/sweep.h"

/* ---------------------------------------------------------------- encodings and runs */

bool lh_encoding_parse(const char *letter, enum lh_encoding *ret);

/*
 * A maximal run of printable characters, at least the minimum long. Printable is what GNU strings
 * prints: 0x20..0x7e and tab (binutils 2.40, strings.c STRING_ISGRAPHIC); with LATIN also >= 0x80.
 * `bytes` are the raw bytes, in the encoding of the memory, valid during the call only.
 */
struct lh_run {
	uint64_t addr;        /* target address (or file offset, where there is none) */
	uint64_t file_offset; /* LH_NO_OFFSET when live */
	const uint8_t *bytes;
	size_t bytes_length;
	size_t chars; /* of the encoding's width: in UTF-8 these are bytes */
};

typedef struct lh_error *lh_run_visitor(void *context, const struct lh_run *run);

/* Runs of one block, in order, at least one: the spans count from block->data. Valid during the call only. */
struct lh_run_batch {
	const struct lh_block *block;
	const struct lh_span *spans;
	size_t count;
	size_t width;        /* bytes of a character */
	const bool *matches; /* one for each span: it matches lh_run_options.mark; NULL without that */
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

typedef struct lh_error *lh_run_batch_visitor(void *context, const struct lh_run_batch *batch);

/* A regular expression for texts (pcre2pattern(3)); threads may share it. LH_ERROR_USAGE when it is none. */
struct lh_text_filter;
struct lh_error *lh_text_filter_create(const char *pattern, struct lh_text_filter **ret) LH_NODISCARD;
void lh_text_filter_destroy(struct lh_text_filter *filter);
void lh_cleanup_text_filter(struct lh_text_filter **filter);

/* Texts that took more steps than one text may: whether they match is not known, and they count as if they did not. */
struct lh_match_loss {
	uint64_t count;
	uint64_t first_addr; /* the lowest address of one; undefined when there is none */
};
/* The loss since the last call. No matching may be under way. NULL is legal: no loss. */
struct lh_match_loss lh_text_filter_take_loss(const struct lh_text_filter *filter);

struct lh_run_options {
	size_t min_chars; /* >= 1 */
	enum lh_encoding encoding;
	const struct lh_text_filter *match; /* only runs that match; NULL: all */
	/* All runs, but those that match are marked in lh_run_batch.matches; NULL: none is. */
	const struct lh_text_filter *mark;
};

/*
 * Finds runs in blocks that are fed in address order; a run may span any number of continued
 * blocks. Finish ends the last run. Memory: the longest run that spans blocks.
 */
struct lh_run_finder;
struct lh_error *lh_run_finder_create(const struct lh_run_options *options, lh_run_visitor *visit, void *context,
				      struct lh_run_finder **ret) LH_NODISCARD;
/* The same, but runs are visited many at a time. */
struct lh_error *lh_run_finder_create_batched(const struct lh_run_options *options, lh_run_batch_visitor *visit,
					      void *context, struct lh_run_finder **ret) LH_NODISCARD;
struct lh_error *lh_run_finder_feed(struct lh_run_finder *finder, const struct lh_block *block) LH_NODISCARD;
struct lh_error *lh_run_finder_finish(struct lh_run_finder *finder) LH_NODISCARD;
/* Goes on where `from`, of the same options, has got to, which has nothing pending then; `finder` must be finished. */
void lh_run_finder_take_over(struct lh_run_finder *finder, struct lh_run_finder *from);
/*
 * From now on the bytes of runs that lie in several blocks stay where they are until they are dropped, as those
 * of a block do while it is there.
 */
void lh_run_finder_keep_copies(struct lh_run_finder *finder);
void lh_run_finder_drop_copies(struct lh_run_finder *finder);
void lh_run_finder_destroy(struct lh_run_finder *finder);

/*
 * What becomes of the runs. Each thread adds the runs of a stretch of memory to a part of its own; then
 * the parts are written and emptied, on the caller's thread, in the order of addresses.
 */
struct lh_list_output {
	void *context;
	struct lh_error *(*create_part)(void *context, void **ret);
	void (*destroy_part)(void *part);
	/* What the batch shows stays where it is till the part is written. */
	struct lh_error *(*add)(void *part, const struct lh_run_batch *batch);
	struct lh_error *(*write)(void *context, void *part);
};

struct lh_list_options {
	struct lh_run_options run;
	unsigned walk_flags; /* enum lh_walk_flags */
	unsigned threads;    /* 0: one for each processor */
	bool shows_secrets;  /* else they are masked, with as many characters */
	bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* false: stop; may be NULL */
	void *progress_context;
};

/*
 * All runs of an image in address order, the same for any number of threads. In a raw file these are the
 * strings that GNU strings finds (tested with binutils 2.40), also next to the holes of a sparse file.
 * LH_ERROR_INTERRUPTED when progress said stop: what was written till then is complete.
 */
struct lh_error *lh_list_runs(struct lh_image *image, const struct lh_list_options *options,
			      const struct lh_list_output *output) LH_NODISCARD;

/* ---------------------------------------------------------------- recognized content */

/* An example or a row's text: at most this many bytes are kept of any match. */
#define LH_EXAMPLE_MAX        160
#define LH_EXAMPLES_PER_CLASS 5
#define LH_TEMPLATE_EXAMPLES  3
/* Shorter texts have no template: chance makes too many of them. */
#define LH_TEMPLATE_CHARS_MIN 8

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
	uint64_t bytes;     /* of the matches, without those that a more specific class keeps */
	uint64_t unchecked; /* candidates given up on unchecked: memory made to waste time; 0 in all else */
	bool is_secret;     /* counted; its examples have addresses, and texts that are masked unless asked for */
	struct lh_example examples[LH_EXAMPLES_PER_CLASS]; /* of distinct texts, the first seen */
	size_t example_count;
	struct lh_kind_count kinds[LH_KINDS_MAX]; /* in the recognizer's order; count and bytes sum up to the class's */
	size_t kind_count;                        /* 0: not told apart */
};

/* What a validator found around a candidate. */
struct lh_match {
	size_t before;      /* bytes of the match before the anchor */
	size_t skipped;     /* bytes between the anchor and a match that begins after it; then `before` is 0 */
	size_t length;      /* bytes of the whole match */
	size_t shown_bytes; /* where the text itself is shown: so much of it; 0: all */
	unsigned kind;      /* index into the recognizer's kinds */
};

/*
 * The place where a pattern of a recognizer hit: anchor[-bytes_before, bytes_after) may be read.
 * `anchor` is the first byte that the pattern matched. An earlier match of the same recognizer is
 * never in reach: bytes_before begins after it.
 */
struct lh_candidate {
	const uint8_t *anchor;
	size_t bytes_before;
	size_t bytes_after;
	uint64_t addr;                     /* of anchor */
	unsigned pattern;                  /* which of the recognizer's patterns */
	const struct lh_secret_form *form; /* which of the recognizer's forms; NULL: it has none */
	size_t pattern_bytes;              /* that it matched, from the anchor on */
	bool follows_match;                /* a match of the same recognizer ends at the anchor */
	size_t *examined; /* validators add the bytes they looked at in loops: the pass bounds their sum */
};

/*
 * Which patterns a pass searches together: mixed, all rows' take 8 times as long to compile and are no faster
 * (measured with vectorscan 5.4.9). All after the binary ones are text: a pass searches only runs of at least 8
 * printable characters or line breaks for them. (lh_secret_finder_find mixes those of the few rows that are secret, and
 * searches all bytes: a validator must not rely on the run.) Patterns without a literal of three
 * bytes cost more than all others together, at each place where a part of them is: their rows find them by themselves.
 */
enum lh_pattern_set {
	LH_PATTERNS_OWN, /* the row's `find` */
	LH_PATTERNS_BINARY,
	LH_PATTERNS_WORDS,    /* text */
	LH_PATTERNS_OWN_TEXT, /* text: the row's `find` */
	LH_PATTERN_SET_COUNT,
};

#define LH_OWN_PATTERNS_MAX 2
#define LH_FIND_LINES       64 /* of 64 bytes, at most so many at once */

struct lh_kernel;
struct lh_secret_form;

/* A row of the recognizer table. Each lives in a file of its own: scan/recognize_*.c. */
struct lh_recognizer {
	const char *name;
	const char *title;
	bool is_secret;
	enum lh_pattern_set set;
	/* Fixed-length regular expressions (vectorscan syntax, byte mode, DOTALL), NULL-terminated. */
	const char *const *patterns;
	const struct lh_secret_form *forms; /* or these, each with its pattern: scan/recognizers/secret_forms.c */
	/*
	 * Of LH_PATTERNS_OWN and _OWN_TEXT: finds where the patterns match. Bit i of ret_anchors[pattern][k]: at
	 * data + 64 k + i. A line more than line_count can be read; what is not there of it, is 1 in each byte.
	 * Patterns do not match at the same place.
	 */
	void (*find)(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
		     uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES]);
	bool finds_rest; /* where its last match ended is an anchor, too, which `find` need not know */
	/* Whether a candidate is a true match. Must not read outside of the candidate's bounds. */
	bool (*validate)(const struct lh_candidate *candidate, struct lh_match *ret);
	/* The kinds that matches are told apart by, NULL-terminated, at most LH_KINDS_MAX; NULL: none. */
	const char *const *kinds;
	/*
	 * What to show of a match: the subject of a certificate, the SNI; "" shows nothing. It must not show
	 * what can hold a secret but as text, which is masked: the memory's own, which NULL stands for, or this one.
	 * Line breaks become blanks after that.
	 */
	void (*describe)(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX]);
};

extern const struct lh_recognizer *const lh_recognizers[]; /* NULL-terminated, most specific first */

/*
 * Feeds blocks to all recognizers in one pass, in address order. Every byte belongs to at most one
 * class: where matches overlap, the more specific class (the earlier row) keeps the bytes, and the
 * other counts with what is left of it; a match of which nothing is left does not count. So an e-mail
 * address in a URL is nothing, while a URL in a JSON text is a URL, and the JSON text is counted too,
 * with the bytes around it. A match is at most LH_BLOCK_OVERLAP long, and found as a whole wherever
 * blocks are cut. Results are the same for any size of blocks.
 */
struct lh_recognizer_pass;
/* Examples show secrets as they are when `shows_secrets`. */
struct lh_error *lh_recognizer_pass_create(bool shows_secrets, struct lh_recognizer_pass **ret) LH_NODISCARD;
struct lh_error *lh_recognizer_pass_feed(struct lh_recognizer_pass *pass, const struct lh_block *block) LH_NODISCARD;
/* Counts what still waits for more bytes. What is fed after it is taken as new memory. */
struct lh_error *lh_recognizer_pass_settle(struct lh_recognizer_pass *pass) LH_NODISCARD;
/* One entry a recognizer, in the order of the table, of what is settled; belongs to the pass. */
const struct lh_class_count *lh_recognizer_pass_classes(const struct lh_recognizer_pass *pass, size_t *ret_count);

/* Bytes that one class keeps: `row` is its index in the table. */
struct lh_owned {
	struct lh_range range;
	unsigned row;
};
/* What is settled since the last reset, ascending and disjoint, within its `inside`; none before the first one. */
const struct lh_owned *lh_recognizer_pass_owned(const struct lh_recognizer_pass *pass, size_t *ret_count);
/*
 * Where secrets lie in what was fed, the last block included: ascending, disjoint, belongs to the pass
 * and moves with the next feed. These bytes must not be shown: lh_mask_secrets. None when the pass
 * was made to show them.
 */
const struct lh_range *lh_recognizer_pass_secrets(const struct lh_recognizer_pass *pass, size_t *ret_count);
/*
 * For threads: each feeds a clone, which shares the patterns of `pass` and must not outlive it. Reset
 * forgets all that was fed; from then on matches count only when they begin in `inside`, and their bytes
 * as far as they lie in it. Merge adds what the part has found, in address order.
 */
struct lh_error *lh_recognizer_pass_clone(const struct lh_recognizer_pass *pass,
					  struct lh_recognizer_pass **ret) LH_NODISCARD;
void lh_recognizer_pass_reset(struct lh_recognizer_pass *pass, struct lh_range inside);
struct lh_error *lh_recognizer_pass_merge(struct lh_recognizer_pass *pass,
					  struct lh_recognizer_pass *part) LH_NODISCARD;
void lh_recognizer_pass_destroy(struct lh_recognizer_pass *pass);
void lh_cleanup_recognizer_pass(struct lh_recognizer_pass **pass);
/*
 * Overwrites with '*' what lies in `secrets` (ascending, disjoint) of bytes that were copied from `addr` on;
 * true when that is anything.
 */
bool lh_mask_secrets(const struct lh_range *secrets, size_t count, uint64_t addr, char *bytes, size_t length);

/*
 * Finds secrets in bytes that stand for themselves, without a pass over memory: those whose anchors lie in `within`.
 * The ranges are offsets, in no order, and may overlap; they belong to the finder and stay till the next call. At
 * most UINT_MAX bytes. A clone is for another thread; it shares the patterns, and must not outlive the original.
 * Bytes made to take more than linear time, in all searches of them together, are given up: all from there on is then
 * a found range, and nothing more is.
 */
struct lh_secret_finder;

struct lh_secret_search {
	const void *bytes;
	size_t length;
	uint64_t addr;
	/* Zero for the first search of these bytes. */
	size_t examined;
	bool is_given_up;
};

struct lh_error *lh_secret_finder_create(struct lh_secret_finder **ret) LH_NODISCARD;
struct lh_error *lh_secret_finder_clone(const struct lh_secret_finder *finder,
					struct lh_secret_finder **ret) LH_NODISCARD;
struct lh_error *lh_secret_finder_find(struct lh_secret_finder *finder, struct lh_secret_search *search,
				       struct lh_span within, const struct lh_range **ret,
				       size_t *ret_count) LH_NODISCARD;
/* Overwrites them with '*'; all of the text when it can't be searched. */
void lh_secret_finder_mask(struct lh_secret_finder *finder, char *text, size_t length);
/* The same of a name that belongs to another: *name becomes a copy in `pool` when there is a secret in it. */
struct lh_error *lh_secret_finder_mask_name(struct lh_secret_finder *finder, struct lh_strings_pool *pool,
					    const char **name) LH_NODISCARD;
void lh_secret_finder_destroy(struct lh_secret_finder *finder);
void lh_cleanup_secret_finder(struct lh_secret_finder **finder);

/* ---------------------------------------------------------------- what every byte is */

/* Bytes that no recognizer claims; scan/classify.c says how they are told apart. */
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
	uint64_t start; /* a multiple of cell_bytes; only what was scanned of the cell is counted */
	uint64_t bytes[LH_MAP_CLASSES];
};

struct lh_map {
	uint64_t cell_bytes;              /* a power of two, the same for all; 0: there is no cell */
	LH_VEC(struct lh_map_cell) cells; /* ascending; at most 2048 */
};

/* "x509" and "X.509 certificates", "zero" and "zeros"; NULL: there is no such class. */
const char *lh_map_class_name(unsigned class);
const char *lh_map_class_title(unsigned class);

/* ---------------------------------------------------------------- the summary */

struct lh_repeated {
	char *text;     /* raw bytes, owned, NUL-terminated; cut at LH_EXAMPLE_MAX - 1 bytes */
	uint64_t chars; /* of the whole string */
	uint64_t count;
	uint64_t bytes;        /* count * length in memory */
	uint64_t missed_bytes; /* at most so many more; 0 while all different texts fitted */
	uint64_t example_addr;
	bool is_secret; /* lies in a secret class: masked */
};

/* Texts that differ only in their values: numbers, hexadecimal digits, UUIDs, dates, addresses, tokens. */
struct lh_template_count {
	char *text;     /* with "<n>", "<hex>" ... where they differ; raw bytes otherwise, owned, cut like examples */
	uint64_t count; /* two or more */
	uint64_t bytes; /* of all of them */
	uint64_t missed_bytes; /* at most so many more; 0 while all different templates fitted */
	struct lh_example examples[LH_TEMPLATE_EXAMPLES]; /* different texts, the first ones seen */
	size_t example_count;
};

/* Words that point into a module, by the census' rows. */
struct lh_module_count {
	const struct lh_module *module;
	const char *name; /* as in the rows */
	uint64_t count;
};

struct lh_summary_options {
	struct lh_run_options run;
	unsigned walk_flags; /* enum lh_walk_flags */
	size_t top;          /* rows of repeated strings, of templates and of symbols to keep */
	unsigned threads;    /* 0: one for each processor; the result is the same for any number */
	const char *root;    /* for symbols; NULL: the image's own */
	bool shows_secrets;  /* else texts and examples that are secret are masked */
	bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* false: stop; may be NULL */
	void *progress_context;
};

struct lh_summary {
	uint64_t scanned_bytes;
	uint64_t printable_bytes;           /* in runs of at least min_chars */
	uint64_t zero_bytes;                /* in pages that are all zero */
	uint64_t rest_bytes[LH_REST_COUNT]; /* the bytes of all classes + these == scanned_bytes */
	struct lh_map map;
	uint64_t run_count;
	uint64_t distinct_count;                    /* different strings, as far as counted */
	uint64_t uncounted_runs;                    /* runs not in `repeated` because the table was full */
	LH_VEC(struct lh_repeated) repeated;        /* by bytes, most first */
	uint64_t template_texts;                    /* texts that a template was looked for in */
	uint64_t template_bytes;                    /* their bytes */
	LH_VEC(struct lh_template_count) templates; /* by bytes, most first */
	LH_VEC(struct lh_class_count) classes;      /* with something found or unchecked; by bytes, most first */
	struct lh_census census;
	LH_VEC(struct lh_module_count) modules; /* most words first */
	struct lh_objects objects;              /* none when interrupted */
	struct lh_symbols *symbols;             /* owned: rows of census and objects point into it */
	struct lh_match_loss match_loss;        /* texts that lh_run_options.match gave up on: not counted anywhere */
	bool is_interrupted;                    /* progress said stop: the figures are of what was seen till then */
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
	LH_DIFF_SYMBOLS, /* words that point to them, of 8 bytes */
	LH_DIFF_KIND_COUNT,
};

/* What is in both, or in one of two summaries under the same name. Raw bytes of the target: escape before output. */
struct lh_diff_row {
	const char *name;   /* belongs to one of the summaries */
	const char *detail; /* of objects; the module of symbols; else "" */
	uint64_t before_count;
	uint64_t after_count;
	uint64_t before_bytes;
	uint64_t after_bytes;
	uint64_t after_addr; /* an example; 0 when it is only before */
};

struct lh_diff_rows {
	LH_VEC(struct lh_diff_row) rows; /* all that differ; by growth in bytes, then in count, most first */
};

/* What the second one has more than the first. Both must outlive it. */
struct lh_diff {
	struct lh_diff_rows kinds[LH_DIFF_KIND_COUNT];
};

/*
 * Compares by name, so that it does not matter where things lie. Texts that lie in secrets are left out.
 * Summaries keep the most frequent texts, templates and symbols only: what was below that in one of them counts as 0.
 */
struct lh_error *lh_diff_summaries(const struct lh_summary *before, const struct lh_summary *after,
				   struct lh_diff *ret) LH_NODISCARD;
void lh_diff_deinit(struct lh_diff *diff);

#endif

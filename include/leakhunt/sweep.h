/*
 * sweep: visits all bytes or words of an image fast, on all CPUs. Input: an image. Output: what its visitors compute
 * from slices, stripes and words. An image is always cut at the same places, so that a result is the same for any
 * number of threads.
 */
#ifndef LEAKHUNT_SWEEP_H
#define LEAKHUNT_SWEEP_H

#include "leakhunt/image.h"

/* As the letters of GNU strings -e; and u. */
enum lh_encoding {
	LH_ENCODING_ASCII,    /* s: 7-bit bytes */
	LH_ENCODING_LATIN,    /* S: 8-bit bytes */
	LH_ENCODING_UTF16_BE, /* b */
	LH_ENCODING_UTF16_LE, /* l */
	LH_ENCODING_UTF32_BE, /* B */
	LH_ENCODING_UTF32_LE, /* L */
	LH_ENCODING_UTF8,     /* u: ASCII, and valid sequences (RFC 3629) of visible characters */
};

/* Positions [start, end) in a piece of memory. */
struct lh_span {
	size_t start;
	size_t end;
};

/* ---------------------------------------------------------------- kernels */

/*
 * The innermost loops of the run finder, in one version per instruction set. kernel.c lists them best first and chooses
 * one; runs.c joins their results across block borders. A kernel examines one piece of memory and keeps no state; every
 * kernel gives the same results as "scalar".
 */

struct lh_kernel {
	const char *name;
	bool (*is_supported)(void);
	/* Length in bytes of the printable characters at the beginning of data; a multiple of the encoding's width. */
	size_t (*prefix)(const uint8_t *data, size_t length, enum lh_encoding encoding);
	/*
	 * Finds runs of at least `min_chars` (>= 1) characters that begin at or after cursor->end and end before an
	 * unprintable character in the piece. Returns how many it wrote, in order, at most `capacity` (>= 1);
	 * cursor->end is where to continue. Fewer than `capacity` means that everything was seen: then *cursor is the
	 * last run, of any length, even 0, after which less than one character is left.
	 */
	size_t (*runs)(const uint8_t *data, size_t length, enum lh_encoding encoding, size_t min_chars,
		       struct lh_span *cursor, struct lh_span *ret, size_t capacity);
	/* Whether all bytes are zero. */
	bool (*is_zero)(const uint8_t *data, size_t length);
	/*
	 * Bit i of ret[k] says whether byte 64 k + i is in low..high; or whether it is text: printable ASCII, tab, LF
	 * or CR.
	 */
	void (*range_masks)(const uint8_t *data, size_t line_count, uint8_t low, uint8_t high, uint64_t *ret);
	void (*text_masks)(const uint8_t *data, size_t line_count, uint64_t *ret);
	/* The same of printable ASCII and tabs, and of bytes from 0x80 on. */
	void (*character_masks)(const uint8_t *data, size_t line_count, uint64_t *ret_ascii, uint64_t *ret_high);
};

/* Bytes covered by one mask. */
#define LH_LINE_BYTES ((size_t)64)

/* The best kernel that this machine supports, or the one that lh_settings names. LH_ERROR_USAGE: that one cannot run.
 */
struct lh_error *lh_kernel_select(const struct lh_kernel **ret) LH_NODISCARD;

/* The encoding to ask a kernel for: kernels do not know UTF-8, whose runs lie within those of 8-bit bytes. */
static inline enum lh_encoding lh_kernel_encoding(enum lh_encoding encoding)
{
	return encoding == LH_ENCODING_UTF8 ? LH_ENCODING_LATIN : encoding;
}

/* Bytes of a character: 1, 2 or 4; for UTF-8 the minimum. */
static inline size_t lh_encoding_width(enum lh_encoding encoding)
{
	switch (encoding) {
	case LH_ENCODING_ASCII:
	case LH_ENCODING_LATIN:
	case LH_ENCODING_UTF8:
		return 1;
	case LH_ENCODING_UTF16_BE:
	case LH_ENCODING_UTF16_LE:
		return 2;
	default:
		return 4;
	}
}

/*
 * Whether GNU strings prints the character at `at` (binutils 2.40, strings.c, STRING_ISGRAPHIC in the C locale): wider
 * characters only up to 0x7e.
 */
bool lh_char_is_printable(const uint8_t *at, enum lh_encoding encoding);

/* ---------------------------------------------------------------- words in address ranges */

/*
 * Tells which of up to 64 words lie in one of two address ranges: the first test when memory is searched for pointers.
 */

enum { LH_FILTER_WORDS = 64 };

/*
 * Two ranges, since pointers come in clusters: the program and its heap at low addresses, libraries and mappings at
 * high ones.
 */
struct lh_word_ranges {
	uint64_t low_start;
	uint64_t low_bytes;
	uint64_t high_start;
	uint64_t high_bytes;
};

/* Bit i: whether word i of the `count` (at most LH_FILTER_WORDS) little-endian words at `data` lies in a range. */
typedef uint64_t lh_word_filter(const uint8_t *data, size_t count, const struct lh_word_ranges *ranges);

/* The filter for the instruction set of `kernel`. */
lh_word_filter *lh_word_filter_for(const struct lh_kernel *kernel);

/*
 * Iterates over those of the `word_count` words at `data` that lie in a range, in ascending order. Zero the other
 * members first.
 */
struct lh_word_walk {
	lh_word_filter *filter;
	const struct lh_word_ranges *ranges;
	const uint8_t *data;
	size_t word_count;
	size_t filtered_count;
	uint64_t hits; /* of the current 64 words */
	size_t hits_at;
};

/* Sets the offset of the next such word from `data`, in bytes; false after the last one. */
static inline bool lh_word_walk_next(struct lh_word_walk *walk, size_t *ret_offset)
{
	while (!walk->hits) {
		size_t count = lh_min_u64(LH_FILTER_WORDS, walk->word_count - walk->filtered_count);
		if (!count)
			return false;
		walk->hits_at = walk->filtered_count;
		walk->hits = walk->filter(walk->data + walk->hits_at * sizeof(uint64_t), count, walk->ranges);
		walk->filtered_count += count;
	}
	*ret_offset = (walk->hits_at + (size_t)__builtin_ctzll(walk->hits)) * sizeof(uint64_t);
	walk->hits &= walk->hits - 1;
	return true;
}

/* Two ranges that cover ascending, disjoint ones: split at the widest gap. */
struct lh_word_ranges lh_word_ranges_over(const struct lh_range *sorted, size_t count);

/* ---------------------------------------------------------------- slices */

/*
 * Blocks cut into slices that fit a cache.
 */

/* Bytes [start, end) of a block, as a block of its own with readable surroundings. */
struct lh_block lh_block_part(const struct lh_block *block, size_t start, size_t end, bool is_continued);

/*
 * Visits the slices of a block in order; is_continued is set as between blocks. A slice ends at a multiple of
 * LH_SLICE_BYTES, so that slices do not depend on the blocks.
 */
struct lh_error *lh_visit_slices(const struct lh_block *block, lh_block_visitor *visit, void *context) LH_NODISCARD;

/* ---------------------------------------------------------------- stripes, on all CPUs */

/*
 * Cuts an image into stripes that several threads examine, and merges their results in the order of addresses. An image
 * is always cut at the same places, so that a result that is a function of its stripes is the same for any number of
 * threads.
 */

/*
 * Adjoining bytes: blocks in ascending order, about stripe_bytes in all. The first block's is_continued says whether
 * the previous stripe ended right before it. `goes_on`: the last block was cut, so the next stripe begins right after
 * it.
 */
struct lh_stripe {
	const struct lh_block *blocks;
	size_t block_count;
	uint64_t bytes;
	bool goes_on;
};

/* The work on stripes. A part holds what was found in one stripe; after its merge it is used for another one. */
struct lh_stripe_work {
	void *context;
	struct lh_error *(*create_part)(void *context, void **ret);
	void (*destroy_part)(void *part);
	/* On any thread, several parts at a time. The bytes of the stripe stay valid until its merge. */
	struct lh_error *(*scan)(void *part, const struct lh_stripe *stripe);
	/* On the caller's thread, one after the other, in the order of stripes. */
	struct lh_error *(*merge)(void *context, void *part, const struct lh_stripe *stripe);
};

struct lh_striping {
	struct lh_image *image;
	unsigned walk_flags;
	size_t stripe_bytes;   /* a multiple of a page: stripes end at multiples of it */
	bool fills_holes;      /* in a raw file: a few zeros at both ends of a hole represent all of it */
	unsigned threads;      /* 0: one per CPU that this process may run on */
	lh_progress *progress; /* may be NULL */
	void *progress_context;
};

/* LH_ERROR_INTERRUPTED if progress said stop: everything up to there was merged. Else the first error of the work. */
struct lh_error *lh_walk_stripes(const struct lh_striping *striping, const struct lh_stripe_work *work) LH_NODISCARD;

/* ---------------------------------------------------------------- words that hold one of a set of addresses */

/*
 * Finds the aligned words of an image that hold one of a set of addresses: the places that point to the tables and
 * types by which objects are recognized.
 */

struct lh_hit {
	uint64_t addr;                /* of the word */
	size_t target;                /* index of the address that it holds */
	const struct lh_block *block; /* the block that contains it */
};

typedef struct lh_error *lh_hit_visitor(void *context, const struct lh_hit *hit);

/* Words recognized by their value. */
struct lh_word_pattern {
	bool is_own_address; /* the word holds its own address + `offset`; false: its low half is in [first, last] */
	int32_t offset;      /* -256 to 256 */
	uint32_t first;      /* the low 16 bits must not be 0: words of zeros must be skipped fast */
	uint32_t last;
	uint32_t high_max; /* the high half is at most this */
};

/* A set of addresses and patterns. */
struct lh_hit_set;
/* `targets` must be distinct; their order gives the indexes of hits. */
struct lh_error *lh_hit_set_create(const uint64_t *targets, size_t count, struct lh_hit_set **ret) LH_NODISCARD;
/*
 * Adds patterns, which must outlive the set; a word that matches pattern i has the number of targets + i as its index.
 * Addresses are tried before patterns; the first matching pattern counts.
 */
void lh_hit_set_add_patterns(struct lh_hit_set *set, const struct lh_word_pattern *patterns, size_t count);
void lh_hit_set_destroy(struct lh_hit_set *set);
void lh_cleanup_hit_set(struct lh_hit_set **set);
/* The index of the address; SIZE_MAX if it is not in the set. */
size_t lh_hit_set_find(const struct lh_hit_set *set, uint64_t addr);

struct lh_hit_walk {
	struct lh_image *image;
	unsigned walk_flags;
	unsigned threads; /* 0: one per CPU */
	const struct lh_hit_set *set;
	lh_hit_visitor *visit; /* in ascending order of addresses, on the caller's thread */
	void *context;
	lh_progress *progress; /* may be NULL */
	void *progress_context;
};

/* Reads the word at `addr`, which lies near the hit; false if it cannot be read. */
bool lh_hit_word(struct lh_image *image, const struct lh_hit *hit, uint64_t addr, uint64_t *ret);

/* LH_ERROR_INTERRUPTED if progress said stop. */
struct lh_error *lh_hits_walk(const struct lh_hit_walk *walk) LH_NODISCARD;

#endif

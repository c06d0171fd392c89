/*
 * sweep: visits all bytes or words of an image fast, on all CPUs. Input: an image; output: what its visitors make of
 * slices, stripes and words. Where an image is cut depends on the image alone, so that a result is the same for any
 * number of threads.
 */
#ifndef LEAKHUNT_SWEEP_H
#define LEAKHUNT_SWEEP_H

#include "leakhunt/image.h"

/* As GNU strings -e: one letter each; and u. */
enum lh_encoding {
	LH_ENCODING_ASCII,    /* s: 7-bit bytes */
	LH_ENCODING_LATIN,    /* S: 8-bit bytes */
	LH_ENCODING_UTF16_BE, /* b */
	LH_ENCODING_UTF16_LE, /* l */
	LH_ENCODING_UTF32_BE, /* B */
	LH_ENCODING_UTF32_LE, /* L */
	LH_ENCODING_UTF8,     /* u: ASCII, and valid sequences (RFC 3629) of characters that are seen */
};

/* Positions [start, end) in a piece of memory. */
struct lh_span {
	size_t start;
	size_t end;
};

/* ---------------------------------------------------------------- kernels */

/*
 * The innermost loops of the run finder, in one version for each instruction set. kernel.c
 * lists them best first and picks one; runs.c stitches their results over block borders. A kernel
 * looks at one piece of memory and keeps nothing; every kernel gives the same answers as "scalar".
 *
 */

struct lh_kernel {
	const char *name;
	bool (*is_supported)(void);
	/* Bytes of the printable characters that data begins with; a multiple of the encoding's width. */
	size_t (*prefix)(const uint8_t *data, size_t length, enum lh_encoding encoding);
	/*
	 * Runs of at least `min_chars` (>= 1) characters that begin at or after cursor->end and are ended
	 * by an unprintable character in the piece. Returns how many it wrote, in order, at most `capacity`
	 * (>= 1); cursor->end is where to go on. Fewer than `capacity` mean that all was seen: then
	 * *cursor is the run, of any length, even 0, at whose end less than a character was left.
	 */
	size_t (*runs)(const uint8_t *data, size_t length, enum lh_encoding encoding, size_t min_chars,
		       struct lh_span *cursor, struct lh_span *ret, size_t capacity);
	/* Whether all bytes are zero. */
	bool (*is_zero)(const uint8_t *data, size_t length);
	/* Bit i of ret[k]: the byte 64 k + i is low..high; or is text: printable ASCII, tab, LF or CR. */
	void (*range_masks)(const uint8_t *data, size_t line_count, uint8_t low, uint8_t high, uint64_t *ret);
	void (*text_masks)(const uint8_t *data, size_t line_count, uint64_t *ret);
};

/* Bytes that a mask is of. */
#define LH_LINE_BYTES ((size_t)64)

/* The best kernel that this machine supports, or the one that lh_settings names. LH_ERROR_USAGE: that one cannot run.
 */
struct lh_error *lh_kernel_select(const struct lh_kernel **ret) LH_NODISCARD;

/* What a kernel is asked for: it knows nothing of UTF-8, whose runs lie within those of 8-bit bytes. */
static inline enum lh_encoding lh_kernel_encoding(enum lh_encoding encoding)
{
	return encoding == LH_ENCODING_UTF8 ? LH_ENCODING_LATIN : encoding;
}

/* Bytes of a character: 1, 2 or 4; of UTF-8 the least. */
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
 * Whether GNU strings prints the character at `at` (binutils 2.40, strings.c, STRING_ISGRAPHIC in the
 * C locale): of wider ones only those up to 0x7e.
 */
bool lh_char_is_printable(const uint8_t *at, enum lh_encoding encoding);

/* ---------------------------------------------------------------- words in address ranges */

/*
 * Which of up to 64 words lie in one of two address ranges: the test before all others when
 * memory is searched for pointers.
 */

enum { LH_FILTER_WORDS = 64 };

/* Two ranges, for pointers come in clusters: the program and its heap low, libraries and mappings high. */
struct lh_word_ranges {
	uint64_t low_start;
	uint64_t low_bytes;
	uint64_t high_start;
	uint64_t high_bytes;
};

/* Bit i: word i of the `count` (at most LH_FILTER_WORDS) little-endian words at `data` lies in a range. */
typedef uint64_t lh_word_filter(const uint8_t *data, size_t count, const struct lh_word_ranges *ranges);

/* The one for the instruction set of `kernel`. */
lh_word_filter *lh_word_filter_for(const struct lh_kernel *kernel);

/* A walk over those of `word_count` words at `data` that lie in a range, in ascending order. The others are 0 at first.
 */
struct lh_word_walk {
	lh_word_filter *filter;
	const struct lh_word_ranges *ranges;
	const uint8_t *data;
	size_t word_count;
	size_t filtered_count;
	uint64_t hits; /* of the latest 64 words */
	size_t hits_at;
};

/* Where the next one lies behind `data`, in bytes; false behind the last one. */
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

/* Ranges over ascending, disjoint ones: split at the widest gap. */
struct lh_word_ranges lh_word_ranges_over(const struct lh_range *sorted, size_t count);

/* ---------------------------------------------------------------- slices */

/*
 * Blocks cut into slices that fit a cache.
 */

/* Bytes [start, end) of a block, as a block of its own that may look at what is around it. */
struct lh_block lh_block_part(const struct lh_block *block, size_t start, size_t end, bool is_continued);

/*
 * Visits the slices of a block in order; is_continued is set as between blocks. A slice ends at a
 * multiple of LH_SLICE_BYTES, so that it is the same whatever the blocks were.
 */
struct lh_error *lh_visit_slices(const struct lh_block *block, lh_block_visitor *visit, void *context) LH_NODISCARD;

/* ---------------------------------------------------------------- stripes, on all CPUs */

/*
 * An image cut into stripes that several threads look at, and whose results are merged in the
 * order of addresses. Where an image is cut depends on the image alone, so that a result that is a
 * function of its stripes is the same for any number of threads.
 */

/*
 * Bytes that lie together: blocks in ascending order, about stripe_bytes in all. The first block's
 * is_continued says whether the stripe before ended right before it; `goes_on` whether its last block
 * was cut, so that the next stripe begins right after it.
 */
struct lh_stripe {
	const struct lh_block *blocks;
	size_t block_count;
	uint64_t bytes;
	bool goes_on;
};

/* What is done with stripes. A part holds what was found in one stripe; after its merge it serves another. */
struct lh_stripe_work {
	void *context;
	struct lh_error *(*create_part)(void *context, void **ret);
	void (*destroy_part)(void *part);
	/* On any thread, several parts at a time. The bytes of the stripe stay till its merge. */
	struct lh_error *(*scan)(void *part, const struct lh_stripe *stripe);
	/* On the caller's thread, one after the other, in the order of stripes. */
	struct lh_error *(*merge)(void *context, void *part, const struct lh_stripe *stripe);
};

struct lh_striping {
	struct lh_image *image;
	unsigned walk_flags;
	size_t stripe_bytes;   /* a multiple of a page: stripes end at addresses that are multiples of it */
	bool fills_holes;      /* of a raw file: a few zeros at both ends of a hole stand for all of it */
	unsigned threads;      /* 0: one for each processor this process may run on */
	lh_progress *progress; /* may be NULL */
	void *progress_context;
};

/*
 * LH_ERROR_INTERRUPTED when progress said stop: what was merged till then is complete. Else the first
 * error of the work.
 */
struct lh_error *lh_walk_stripes(const struct lh_striping *striping, const struct lh_stripe_work *work) LH_NODISCARD;

/* ---------------------------------------------------------------- words that hold one of a set of addresses */

/*
 * Finds the aligned words of an image that hold one of a set of addresses: the places that point to
 * the tables and types by which objects are told.
 */

struct lh_hit {
	uint64_t addr;                /* of the word */
	size_t target;                /* index of the address that it holds */
	const struct lh_block *block; /* in which it lies */
};

typedef struct lh_error *lh_hit_visitor(void *context, const struct lh_hit *hit);

/* Words told by their value. */
struct lh_word_pattern {
	bool is_own_address; /* the word holds its own address + `offset`; else its low half is in [first, last] */
	int32_t offset;      /* -256 to 256 */
	uint32_t first;      /* low 16 bits not 0: words of zeros must be passed over fast */
	uint32_t last;
	uint32_t high_max; /* the high half is at most this */
};

/* A set of addresses, and of patterns. */
struct lh_hit_set;
/* `targets` must be distinct; their order gives the indexes of hits. */
struct lh_error *lh_hit_set_create(const uint64_t *targets, size_t count, struct lh_hit_set **ret) LH_NODISCARD;
/*
 * Adds patterns, which must outlive the set; the index of a word that fits pattern i is the number of targets + i.
 * Addresses come before patterns, and of several patterns that fit a word the first counts.
 */
void lh_hit_set_add_patterns(struct lh_hit_set *set, const struct lh_word_pattern *patterns, size_t count);
void lh_hit_set_destroy(struct lh_hit_set *set);
void lh_cleanup_hit_set(struct lh_hit_set **set);
/* The index of the address; SIZE_MAX when it is not in the set. */
size_t lh_hit_set_find(const struct lh_hit_set *set, uint64_t addr);

struct lh_hit_walk {
	struct lh_image *image;
	unsigned walk_flags;
	unsigned threads; /* 0: one for each processor */
	const struct lh_hit_set *set;
	lh_hit_visitor *visit; /* in ascending order of addresses, on the caller's thread */
	void *context;
	lh_progress *progress; /* may be NULL */
	void *progress_context;
};

/* The word at `addr`, which lies near the hit; false when it can't be read. */
bool lh_hit_word(struct lh_image *image, const struct lh_hit *hit, uint64_t addr, uint64_t *ret);

/* LH_ERROR_INTERRUPTED when progress said stop. */
struct lh_error *lh_hits_walk(const struct lh_hit_walk *walk) LH_NODISCARD;

#endif

/*
 * kernel: the innermost loops of the run finder, in one version for each instruction set. kernel.c
 * lists them best first and picks one; runs.c stitches their results over block borders. A kernel
 * looks at one piece of memory and keeps nothing; every kernel gives the same answers as "scalar".
 * Private to scan.
 */
#ifndef LEAKHUNT_SCAN_KERNEL_H
#define LEAKHUNT_SCAN_KERNEL_H

#include "leakhunt/scan.h"

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

/* Best first, "scalar" last; NULL-terminated. */
extern const struct lh_kernel *const lh_kernels[];
extern const struct lh_kernel lh_kernel_scalar, lh_kernel_sse2, lh_kernel_avx2, lh_kernel_avx512, lh_kernel_neon;

/* The best one that this machine supports, or the one that LEAKHUNT_KERNEL names: else LH_ERROR_USAGE. */
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

#endif

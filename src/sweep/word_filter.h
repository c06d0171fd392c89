/*
 * word_filter: which of up to 64 words lie in one of two address ranges: the test before all others when
 * memory is searched for pointers. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_WORD_FILTER_H
#define LEAKHUNT_SCAN_WORD_FILTER_H

#include "kernel.h"

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

/* Ranges over ascending, disjoint ones: split at the widest gap. */
struct lh_word_ranges lh_word_ranges_over(const struct lh_range *sorted, size_t count);

#endif

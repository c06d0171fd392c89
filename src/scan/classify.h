/*
 * classify: classifies the bytes that no recognizer claims: a pure function of the bytes and of where memory is mapped.
 * Private to scan.
 */
#ifndef LEAKHUNT_SCAN_CLASSIFY_H
#define LEAKHUNT_SCAN_CLASSIFY_H

#include "leakhunt/sweep.h"

#include "leakhunt/scan.h"

/* Bytes are classified in windows of this size, at multiples of it. */
enum { LH_CLASSIFY_WINDOW = 256 };

struct lh_classifier {
	const struct lh_kernel *kernel;
	lh_word_filter *filter;
	struct lh_word_ranges ranges;
	LH_VEC(struct lh_range) mapped; /* ascending, disjoint; empty if the image has no addresses */
};

struct lh_error *lh_classifier_init(struct lh_classifier *classifier, const struct lh_image *image) LH_NODISCARD;
void lh_classifier_deinit(struct lh_classifier *classifier);

/*
 * Adds the bytes [start, end) of a block (offsets from its data) to the sums per class. Text runs may extend beyond
 * them, as far as the block is readable. The sums grow by end - start.
 */
void lh_classify(const struct lh_classifier *classifier, const struct lh_block *block, size_t start, size_t end,
		 uint64_t sums[LH_REST_COUNT]);

#endif

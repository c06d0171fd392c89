/*
 * list_mask: secrets in memory that is listed are overwritten, in a copy, with as many '*'. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_LIST_MASK_H
#define LEAKHUNT_SCAN_LIST_MASK_H

#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"

/* Zero-initialized, it masks nothing. */
struct lh_list_mask {
	struct lh_secret_finder *finder;
	enum lh_encoding encoding;
	size_t min_chars;
	const struct lh_kernel *kernel;
	LH_VEC(uint8_t *) copies; /* of the stripe's blocks in which secrets lie */
	LH_VEC(uint8_t) narrow;   /* what wide characters would be as narrow ones */
};

struct lh_error *lh_list_mask_init(struct lh_list_mask *mask, const struct lh_run_options *options) LH_NODISCARD;
void lh_list_mask_deinit(struct lh_list_mask *mask);
/* A new stripe: what was copied is gone. */
void lh_list_mask_begin(struct lh_list_mask *mask);
/* When a run of the block holds a secret, its data becomes that of a copy, which stays till the next stripe. */
struct lh_error *lh_list_mask_block(struct lh_list_mask *mask, struct lh_block *block) LH_NODISCARD;

#endif

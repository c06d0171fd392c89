/*
 * secret_finder: secrets in individual texts. Private to scan and its tests.
 */
#ifndef LEAKHUNT_SCAN_SECRET_FINDER_H
#define LEAKHUNT_SCAN_SECRET_FINDER_H

#include "leakhunt/scan.h"

struct lh_secret_search {
	const void *bytes;
	size_t length;
	uint64_t addr;
	/* Zero for the first search of these bytes. */
	size_t examined;
	bool is_given_up;
};

struct lh_error *lh_secret_finder_find(struct lh_secret_finder *finder, struct lh_secret_search *search,
				       struct lh_span within, const struct lh_range **ret,
				       size_t *ret_count) LH_NODISCARD;
/* Overwrites secrets with '*'; the whole text if it cannot be searched. */
void lh_secret_finder_mask(struct lh_secret_finder *finder, char *text, size_t length);

void lh_secret_finder_destroy(struct lh_secret_finder *finder);

#endif

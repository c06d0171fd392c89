/*
 * text_candidates: the texts and templates that a sample of memory says are worth counting, where there are too many
 * different ones to count all. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_TEXT_CANDIDATES_H
#define LEAKHUNT_SCAN_TEXT_CANDIDATES_H

#include "leakhunt/scan.h"

/* Texts from this length on are always counted, and not sampled: there are few of them. */
#define LH_LONG_TEXT_BYTES ((size_t)4096)

struct lh_hash_filter;

struct lh_text_candidates {
	struct lh_hash_filter *texts;     /* by lh_text_hash */
	struct lh_hash_filter *templates; /* by lh_template.hash */
	struct lh_hash_filter *frames;    /* of these templates, by lh_template_frame */
};

/*
 * Reads the texts at some 131,072 points of the image. *ret stays NULL where all texts shall be counted: there are few,
 * or too many of the `top` rows are so rare that the sample may miss them, or the image cannot be read twice.
 * A text or template of B bytes in T scanned ones is missing with a probability of about (1 + m) e^-m, m = 131,072 B /
 * T.
 */
struct lh_error *lh_text_candidates_find(struct lh_image *image, const struct lh_summary_options *options,
					 struct lh_text_candidates **ret) LH_NODISCARD;
void lh_text_candidates_destroy(struct lh_text_candidates *candidates);

bool lh_hash_filter_has(const struct lh_hash_filter *filter, uint64_t hash);
/* Loads what lh_hash_filter_has reads first. */
void lh_hash_filter_prefetch(const struct lh_hash_filter *filter, uint64_t hash);
struct lh_error *lh_hash_filter_create(const uint64_t *hashes, size_t count, struct lh_hash_filter **ret) LH_NODISCARD;
void lh_hash_filter_destroy(struct lh_hash_filter *filter);

#endif

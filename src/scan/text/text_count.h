/*
 * text_count: how often each text and each template occurs, in bounded memory. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_TEXT_COUNT_H
#define LEAKHUNT_SCAN_TEXT_COUNT_H

#include "leakhunt/scan.h"

struct lh_text_limits {
	uint32_t texts;      /* different ones that are kept at a time, >= 2 */
	uint32_t text_bytes; /* for copies of them, >= LH_EXAMPLE_MAX; 0: texts stay where they are */
	uint32_t templates;  /* >= 2 */
};

/* Together about 100 MiB, taken as they are filled. */
#define LH_TEXT_LIMITS ((struct lh_text_limits){512 * 1024, 38 * 1024 * 1024, 16 * 1024})

struct lh_text_candidates;

struct lh_text_count;
/* What lh_text_count_run tells texts by. */
uint64_t lh_text_hash(const struct lh_run *run);
struct lh_error *lh_text_count_create(struct lh_text_limits limits, struct lh_text_count **ret) LH_NODISCARD;
void lh_text_count_destroy(struct lh_text_count *count);
/*
 * From now on counts only candidates, and long texts: the others are known by their number alone. `candidates` must
 * outlive it. Templates are then counted with their texts. NULL: all.
 */
void lh_text_count_narrow(struct lh_text_count *count, const struct lh_text_candidates *candidates);
void lh_text_count_clear(struct lh_text_count *count);
/* Every run counted is in a text's count or in uncounted_runs. `hash`: lh_text_hash of the run. */
void lh_text_count_run(struct lh_text_count *count, const struct lh_run *run, uint64_t hash, bool is_secret);
/* Loads what lh_text_count_run will need; for the runs of a batch, before the first is counted. */
void lh_text_count_prefetch(const struct lh_text_count *count, uint64_t hash);
/* Looks for the template of a run that is no secret; it is counted by lh_text_count_run. */
void lh_text_count_template(struct lh_text_count *count, const struct lh_run *run);
/* Looks for the templates of all texts counted so far; once. Their bytes must still be there. */
void lh_text_count_templates(struct lh_text_count *count);
/* Adds the counts of what comes after it. */
void lh_text_count_merge(struct lh_text_count *count, const struct lh_text_count *part);
/* Fills the summary's share: texts, templates, `top` rows of each that were seen `count_min` times or more. */
struct lh_error *lh_text_count_finish(const struct lh_text_count *count, size_t top, uint64_t count_min,
				      struct lh_summary *ret) LH_NODISCARD;

/* Shorter texts have no template: chance makes too many of them. */
#define LH_TEMPLATE_CHARS_MIN 8

#endif

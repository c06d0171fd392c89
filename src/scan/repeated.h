/*
 * repeated: counts equal strings in bounded memory. Exact while the different strings fit; then
 * those that repeated least are dropped, and it is known how many runs are no longer counted.
 * Private to scan.
 */
#ifndef LEAKHUNT_SCAN_REPEATED_H
#define LEAKHUNT_SCAN_REPEATED_H

#include "leakhunt/scan.h"

struct lh_repeated_limits {
	uint32_t strings;    /* different ones that are kept at a time, >= 2 */
	uint32_t text_bytes; /* for their texts, >= LH_EXAMPLE_MAX */
};

/* Together 64 MiB, taken as they are filled. */
#define LH_REPEATED_LIMITS ((struct lh_repeated_limits){512 * 1024, 38 * 1024 * 1024})

struct lh_repeated_table;
struct lh_error *lh_repeated_table_create(struct lh_repeated_limits limits,
					  struct lh_repeated_table **ret) LH_NODISCARD;
/* `width`: bytes of a character. */
void lh_repeated_table_add(struct lh_repeated_table *table, const struct lh_run *run, size_t width, bool is_secret);
/*
 * Fills run_count's share of the summary: repeated (the `top` by bytes of those seen twice or more),
 * distinct_count and uncounted_runs. Every run added is in a string's count or in uncounted_runs. Once.
 */
struct lh_error *lh_repeated_table_finish(struct lh_repeated_table *table, size_t top,
					  struct lh_summary *ret) LH_NODISCARD;
void lh_repeated_table_destroy(struct lh_repeated_table *table);

#endif

/*
 * recognise_secrets: where secrets lie in bytes that stand for themselves: a text that was put together, a
 * stretch of memory that is to be listed. Runs the rows of the table that are secret, and nothing else, in one
 * search: that takes as long as looking where text is, and for those that are text only there, would take alone;
 * where hostile bytes would take more than linear time, it gives up and takes the rest for a secret.
 */
#include "recognise_patterns.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMINED_PER_BYTE = 16, EXAMINED_FREE = 4 << 20 };

struct lh_secret_finder {
	struct lh_pattern_set_compiled set;
	hs_scratch_t *scratch;
	bool is_clone; /* the compiled set is another's */
	LH_VEC(struct lh_range) found;
};

struct search {
	struct lh_secret_finder *finder;
	const uint8_t *bytes;
	uint64_t addr;
	size_t length;
	struct lh_span within; /* where anchors are wanted */
	size_t examined;
	struct lh_error *error;
};

static struct lh_error *add(struct search *search, size_t start, size_t end)
{
	return lh_vec_push(&search->finder->found, (struct lh_range){start, end});
}

static int on_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	(void)from;
	(void)flags;
	struct search *search = context;
	const struct lh_pattern *pattern = &search->finder->set.patterns[id];
	size_t anchor = search->within.start + (size_t)to - pattern->bytes;
	if (anchor >= search->within.end)
		return 0;
	struct lh_candidate candidate = {
		.anchor = search->bytes + anchor,
		.bytes_before = lh_min_u64(anchor, LH_LOOK_BACK),
		.bytes_after = lh_min_u64(search->length - anchor, LH_BLOCK_OVERLAP),
		.addr = search->addr + anchor,
		.pattern = pattern->number,
		.pattern_bytes = pattern->bytes,
		.examined = &search->examined,
	};
	struct lh_match match;
	search->examined++;
	if (lh_recognisers[pattern->row]->validate(&candidate, &match)) {
		size_t start = anchor - match.before + match.skipped;
		search->error = add(search, start, start + match.length);
	}
	if (!search->error && search->examined > EXAMINED_FREE + EXAMINED_PER_BYTE * search->length)
		search->error = add(search, anchor, search->length);
	else if (!search->error)
		return 0;
	return 1;
}

static struct lh_error *run(struct search *search)
{
	const struct lh_pattern_set_compiled *set = &search->finder->set;
	size_t scan_end = lh_min_u64(search->within.end + set->longest_bytes - 1, search->length);
	hs_error_t status = hs_scan(set->database, (const char *)search->bytes + search->within.start,
				    (unsigned)(scan_end - search->within.start), 0, search->finder->scratch, on_hit,
				    search);
	if (search->error || status == HS_SUCCESS || status == HS_SCAN_TERMINATED)
		return search->error;
	return lh_error_create(LH_ERROR_SYSTEM, "hs_scan failed with code %d", status);
}

struct lh_error *lh_secret_finder_find(struct lh_secret_finder *finder, const void *bytes, size_t length,
				       struct lh_span within, uint64_t addr, const struct lh_range **ret,
				       size_t *ret_count)
{
	finder->found.count = 0;
	if (length > UINT_MAX)
		return lh_error_create(LH_ERROR_USAGE, "%zu bytes at once are too many to find secrets in", length);
	struct search search = {.finder = finder, .bytes = bytes, .addr = addr, .length = length, .within = within};
	if (within.start < within.end)
		LH_TRY(run(&search));
	*ret = finder->found.items;
	*ret_count = finder->found.count;
	return NULL;
}

void lh_secret_finder_mask(struct lh_secret_finder *finder, char *text, size_t length)
{
	const struct lh_range *found = NULL;
	size_t count = 0;
	struct lh_error *error =
		lh_secret_finder_find(finder, text, length, (struct lh_span){0, length}, 0, &found, &count);
	if (error)
		memset(text, '*', length);
	for (size_t i = 0; !error && i < count; i++)
		memset(text + found[i].start, '*', found[i].end - found[i].start);
	lh_error_destroy(error);
}

/* ---------------------------------------------------------------- life */

struct lh_error *lh_secret_finder_create(struct lh_secret_finder **ret)
{
	LH_CLEANUP(lh_cleanup_secret_finder) struct lh_secret_finder *finder = calloc(1, sizeof(*finder));
	if (!finder)
		return lh_error_no_memory();
	LH_TRY(lh_patterns_compile_secrets(&finder->set, &finder->scratch));
	*ret = finder;
	finder = NULL;
	return NULL;
}

struct lh_error *lh_secret_finder_clone(const struct lh_secret_finder *finder, struct lh_secret_finder **ret)
{
	LH_CLEANUP(lh_cleanup_secret_finder) struct lh_secret_finder *clone = calloc(1, sizeof(*clone));
	if (!clone)
		return lh_error_no_memory();
	clone->is_clone = true;
	clone->set = finder->set;
	if (hs_clone_scratch(finder->scratch, &clone->scratch) != HS_SUCCESS)
		return lh_error_no_memory();
	*ret = clone;
	clone = NULL;
	return NULL;
}

void lh_secret_finder_destroy(struct lh_secret_finder *finder)
{
	if (!finder)
		return;
	lh_vec_deinit(&finder->found);
	hs_free_scratch(finder->scratch);
	if (!finder->is_clone)
		hs_free_database(finder->set.database);
	free(finder);
}

void lh_cleanup_secret_finder(struct lh_secret_finder **finder)
{
	lh_secret_finder_destroy(*finder);
}

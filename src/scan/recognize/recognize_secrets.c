/*
 * recognize_secrets: finds secrets in individual texts, such as composed ones or a stretch of memory to be listed. Runs
 * only the secret rows of the table, in one search over all bytes except zero pages: to find text windows first would
 * take longer. If hostile bytes would take more than linear time, it gives up and treats the rest as a secret.
 */
#include "recognize_patterns.h"
#include "secret_finder.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMINED_PER_BYTE = 16, EXAMINED_FREE = 4 << 20 };

struct lh_secret_finder {
	const struct lh_kernel *kernel;
	const struct lh_pattern_set_compiled *set;
	const struct lh_pattern_set_compiled *own_set; /* of rows that find their patterns themselves */
	hs_scratch_t *scratch;
	LH_VEC(struct lh_range) found;
};

struct run {
	struct lh_secret_finder *finder;
	struct lh_secret_search *search;
	struct lh_span within; /* where anchors count in this call, without zero pages */
	struct lh_error *error;
};

static struct lh_error *add_secrets(struct run *run, size_t start, size_t end)
{
	return lh_vec_push(&run->finder->found, (struct lh_range){start, end});
}

static struct lh_error *look_secrets(struct run *run, const struct lh_pattern *pattern, size_t anchor)
{
	struct lh_secret_search *search = run->search;
	struct lh_candidate candidate = {
		.anchor = (const uint8_t *)search->bytes + anchor,
		.bytes_before = lh_min_u64(anchor, LH_LOOK_BACK),
		.bytes_after = lh_min_u64(search->length - anchor, LH_BLOCK_OVERLAP),
		.addr = search->addr + anchor,
		.pattern = pattern->number,
		.form = pattern->form,
		.pattern_bytes = pattern->bytes,
		.examined = &search->examined,
	};
	struct lh_match match;
	search->examined++;
	if (lh_recognizers[pattern->row]->validate(&candidate, &match)) {
		size_t start = anchor - match.before + match.skipped;
		LH_TRY(add_secrets(run, start, start + match.length));
	}
	search->is_given_up = search->examined > EXAMINED_FREE + EXAMINED_PER_BYTE * search->length;
	return search->is_given_up ? add_secrets(run, anchor, search->length) : NULL;
}

static int take_secret_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	(void)from;
	(void)flags;
	struct run *run = context;
	const struct lh_pattern *pattern = &run->finder->set->patterns[id];
	size_t anchor = run->within.start + (size_t)to - pattern->bytes;
	if (anchor < run->within.end)
		run->error = look_secrets(run, pattern, anchor);
	return run->error || run->search->is_given_up;
}

/* For a row with one pattern, in at most LH_FIND_LINES lines. */
static struct lh_error *look_at_lines(struct run *run, const struct lh_pattern *pattern, const uint8_t *bytes,
				      struct lh_span lines)
{
	uint64_t anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES];
	size_t line_count = (lines.end - lines.start + LH_LINE_BYTES - 1) / LH_LINE_BYTES;
	lh_recognizers[pattern->row]->find(run->finder->kernel, bytes, line_count, anchors);
	for (size_t k = 0; k < line_count; k++) {
		for (uint64_t rest = anchors[0][k]; rest && !run->search->is_given_up; rest &= rest - 1) {
			size_t anchor = lines.start + k * LH_LINE_BYTES + (size_t)__builtin_ctzll(rest);
			if (anchor < lines.end && pattern->bytes <= run->search->length - anchor)
				LH_TRY(look_secrets(run, pattern, anchor));
		}
	}
	return NULL;
}

static struct lh_error *find_own(struct run *run)
{
	const struct lh_pattern_set_compiled *set = run->finder->own_set;
	const struct lh_secret_search *search = run->search;
	uint8_t padded[LH_FIND_BYTES];
	for (size_t at = run->within.start; at < run->within.end; at += LH_FIND_LINES * LH_LINE_BYTES) {
		struct lh_span lines = {at, lh_min_u64(run->within.end, at + LH_FIND_LINES * LH_LINE_BYTES)};
		const uint8_t *bytes =
			lh_find_lines((const uint8_t *)search->bytes + at, lines.end - at, search->length - at, padded);
		for (unsigned i = 0; i < set->pattern_count && !search->is_given_up; i++)
			LH_TRY(look_at_lines(run, &set->patterns[i], bytes, lines));
	}
	return NULL;
}

static struct lh_error *scan_within(struct run *run)
{
	const struct lh_pattern_set_compiled *set = run->finder->set;
	size_t start = run->within.start;
	size_t end = lh_min_u64(run->within.end + set->longest_bytes - 1, run->search->length);
	hs_error_t status = hs_scan(set->database, (const char *)run->search->bytes + start, (unsigned)(end - start), 0,
				    run->finder->scratch, take_secret_hit, run);
	if (run->error)
		return run->error;
	if (status == HS_SUCCESS || status == HS_SCAN_TERMINATED)
		return run->search->is_given_up ? NULL : find_own(run);
	return lh_error_create(LH_ERROR_SYSTEM, "hs_scan failed with code %d", status);
}

/* The end of the bytes that are all zero, or all nonzero, like those at `at`. */
static size_t like_bytes_end(const struct run *run, size_t at, size_t end, bool *ret_is_zero)
{
	const struct lh_kernel *kernel = run->finder->kernel;
	const uint8_t *bytes = run->search->bytes;
	*ret_is_zero = kernel->is_zero(bytes + at, lh_min_u64(LH_PAGE_BYTES, end - at));
	do
		at += lh_min_u64(LH_PAGE_BYTES, end - at);
	while (at < end && kernel->is_zero(bytes + at, lh_min_u64(LH_PAGE_BYTES, end - at)) == *ret_is_zero);
	return at;
}

/* No pattern begins with a zero byte. */
static struct lh_error *scan_secrets(struct run *run)
{
	size_t end = run->within.end;
	for (size_t at = run->within.start; at < end && !run->search->is_given_up; at = run->within.end) {
		bool is_zero;
		run->within = (struct lh_span){at, like_bytes_end(run, at, end, &is_zero)};
		if (!is_zero)
			LH_TRY(scan_within(run));
	}
	return NULL;
}

struct lh_error *lh_secret_finder_find(struct lh_secret_finder *finder, struct lh_secret_search *search,
				       struct lh_span within, const struct lh_range **ret, size_t *ret_count)
{
	struct run run = {.finder = finder, .search = search, .within = within};
	finder->found.count = 0;
	if (search->length > UINT_MAX)
		return lh_error_create(LH_ERROR_USAGE, "%zu bytes at once are too many to find secrets in",
				       search->length);
	if (within.start < within.end && !search->is_given_up)
		LH_TRY(scan_secrets(&run));
	*ret = finder->found.items;
	*ret_count = finder->found.count;
	return NULL;
}

void lh_secret_finder_mask(struct lh_secret_finder *finder, char *text, size_t length)
{
	const struct lh_range *found = NULL;
	size_t count = 0;
	struct lh_secret_search search = {.bytes = text, .length = length};
	struct lh_error *error = lh_secret_finder_find(finder, &search, (struct lh_span){0, length}, &found, &count);
	if (error)
		memset(text, '*', length);
	for (size_t i = 0; !error && i < count; i++)
		memset(text + found[i].start, '*', found[i].end - found[i].start);
	lh_error_destroy(error);
}

struct lh_error *lh_secret_finder_mask_name(struct lh_secret_finder *finder, struct lh_strings_pool *pool,
					    const char **name)
{
	if (!*name)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) char *copy = strdup(*name);
	if (!copy)
		return lh_error_no_memory();
	lh_secret_finder_mask(finder, copy, strlen(copy));
	return strcmp(copy, *name) == 0 ? NULL : lh_strings_pool_add(pool, copy, strlen(copy), name);
}

/* ---------------------------------------------------------------- life */

struct lh_error *lh_secret_finder_create(struct lh_secret_finder **ret)
{
	LH_CLEANUP(lh_cleanup_secret_finder) struct lh_secret_finder *finder = calloc(1, sizeof(*finder));
	if (!finder)
		return lh_error_no_memory();
	LH_TRY(lh_kernel_select(&finder->kernel));
	LH_TRY(lh_patterns_get(LH_PATTERNS_SECRET, &finder->scratch, &finder->set));
	LH_TRY(lh_patterns_get(LH_PATTERNS_SECRET_OWN, &finder->scratch, &finder->own_set));
	*ret = finder;
	finder = NULL;
	return NULL;
}

void lh_secret_finder_destroy(struct lh_secret_finder *finder)
{
	if (!finder)
		return;
	lh_vec_deinit(&finder->found);
	hs_free_scratch(finder->scratch);
	free(finder);
}

void lh_cleanup_secret_finder(struct lh_secret_finder **finder)
{
	lh_secret_finder_destroy(*finder);
}

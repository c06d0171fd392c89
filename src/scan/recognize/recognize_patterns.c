/*
 * recognize_patterns: compiles the patterns of the table's rows with vectorscan. They are of fixed length,
 * so that a hit's end says where it begins.
 */
#include "recognize_patterns.h"
#include "recognizer.h"
#include "scan/recognizers/secret_forms.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct lh_error *compile_error(hs_compile_error_t *error)
{
	struct lh_error *ret =
		lh_error_create(LH_ERROR_SYSTEM, "patterns of recognizers do not compile: %s", error->message);
	hs_free_compile_error(error);
	return ret;
}

/* Patterns are of fixed length: the anchor is then the end of the hit minus that length. */
static struct lh_error *pattern_length(const char *expression, size_t *ret)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *error = NULL;
	if (hs_expression_info(expression, HS_FLAG_DOTALL, &info, &error) != HS_SUCCESS)
		return compile_error(error);
	bool is_fixed = info->min_width == info->max_width && info->min_width > 0;
	*ret = info->min_width;
	free(info);
	return is_fixed ? NULL
			: lh_error_create(LH_ERROR_SYSTEM, "pattern of a recognizer has no fixed length: %s",
					  expression);
}

/* NULL behind the last one. */
static const char *row_pattern(unsigned row, unsigned number)
{
	const struct lh_recognizer *recognizer = lh_recognizers[row];
	return recognizer->forms ? recognizer->forms[number].pattern : recognizer->patterns[number];
}

static struct lh_error *add_pattern(unsigned row, unsigned number, struct lh_pattern_set_compiled *set,
				    const char **expressions)
{
	const struct lh_secret_form *forms = lh_recognizers[row]->forms;
	const char *expression = row_pattern(row, number);
	if (set->pattern_count == LH_PATTERNS_MAX)
		return lh_error_create(LH_ERROR_SYSTEM, "more than %d patterns", LH_PATTERNS_MAX);
	struct lh_pattern *pattern = &set->patterns[set->pattern_count];
	*pattern = (struct lh_pattern){.row = row, .number = number, .form = forms ? forms + number : NULL};
	LH_TRY(pattern_length(expression, &pattern->bytes));
	set->longest_bytes = lh_max_u64(set->longest_bytes, pattern->bytes);
	expressions[set->pattern_count++] = expression;
	return NULL;
}

static struct lh_error *compile_set(const char *const *expressions, struct lh_pattern_set_compiled *ret)
{
	unsigned flags[LH_PATTERNS_MAX];
	unsigned ids[LH_PATTERNS_MAX];
	for (unsigned i = 0; i < ret->pattern_count; i++) {
		flags[i] = HS_FLAG_DOTALL;
		ids[i] = i;
	}
	hs_compile_error_t *error = NULL;
	if (hs_compile_multi(expressions, flags, ids, ret->pattern_count, HS_MODE_BLOCK, NULL, &ret->database,
			     &error) != HS_SUCCESS)
		return compile_error(error);
	return NULL;
}

static bool is_row_of(const struct lh_recognizer *recognizer, unsigned set)
{
	if (set < LH_PATTERN_SET_COUNT)
		return recognizer->set == (enum lh_pattern_set)set;
	return recognizer->is_secret && !recognizer->find == (set == LH_PATTERNS_SECRET);
}

static struct lh_error *make_pattern_set(unsigned set, struct lh_pattern_set_compiled *ret)
{
	const char *expressions[LH_PATTERNS_MAX];
	*ret = (struct lh_pattern_set_compiled){0};
	for (unsigned row = 0; lh_recognizers[row]; row++) {
		for (unsigned i = 0; is_row_of(lh_recognizers[row], set) && row_pattern(row, i); i++)
			LH_TRY(add_pattern(row, i, ret, expressions));
	}
	bool is_own = set == LH_PATTERNS_OWN || set == LH_PATTERNS_OWN_TEXT || set == LH_PATTERNS_SECRET_OWN;
	return is_own ? NULL : compile_set(expressions, ret);
}

struct lh_error *lh_patterns_get(unsigned set, hs_scratch_t **scratch, const struct lh_pattern_set_compiled **ret)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct lh_pattern_set_compiled sets[LH_PATTERNS_ALL_COUNT];
	static bool is_made[LH_PATTERNS_ALL_COUNT];
	pthread_mutex_lock(&lock);
	struct lh_error *error = is_made[set] ? NULL : make_pattern_set(set, &sets[set]);
	is_made[set] = !error;
	pthread_mutex_unlock(&lock);
	LH_TRY(error);
	*ret = &sets[set];
	bool needs_room = sets[set].database && hs_alloc_scratch(sets[set].database, scratch) != HS_SUCCESS;
	return needs_room ? lh_error_no_memory() : NULL;
}

const uint8_t *lh_find_lines(const uint8_t *data, size_t bytes, size_t bytes_there, uint8_t padded[LH_FIND_BYTES])
{
	size_t wanted = lh_align_up(bytes, LH_LINE_BYTES) + LH_LINE_BYTES;
	if (bytes_there >= wanted)
		return data;
	memset(padded, 1, wanted);
	return memcpy(padded, data, bytes_there);
}

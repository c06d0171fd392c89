/*
 * compile_patterns: compiles the patterns of the table's rows with vectorscan. Patterns have a fixed length, so the end
 * of a hit tells where it begins. Compiling takes 0.05 s per set, so it is done when leakhunt is built:
 * scripts/store_patterns.c stores the result.
 */
#include "recognize_patterns.h"
#include "scan/recognizers/secret_forms.h"

#include <stdlib.h>

static struct lh_error *compile_error(hs_compile_error_t *error)
{
	struct lh_error *ret =
		lh_error_create(LH_ERROR_SYSTEM, "patterns of recognizers do not compile: %s", error->message);
	hs_free_compile_error(error);
	return ret;
}

/* The fixed length of a pattern: the anchor is the end of a hit minus that length. */
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

/* NULL after the last one. */
static const char *row_pattern(unsigned row, unsigned number)
{
	const struct lh_recognizer *recognizer = lh_recognizers[row];
	return recognizer->forms ? recognizer->forms[number].pattern : recognizer->patterns[number];
}

static struct lh_error *add_pattern(unsigned row, unsigned number, struct lh_pattern_set_compiled *set)
{
	const struct lh_secret_form *forms = lh_recognizers[row]->forms;
	if (set->pattern_count == LH_PATTERNS_MAX)
		return lh_error_create(LH_ERROR_SYSTEM, "more than %d patterns", LH_PATTERNS_MAX);
	set->patterns[set->pattern_count++] =
		(struct lh_pattern){.row = row, .number = number, .form = forms ? forms + number : NULL};
	return NULL;
}

static bool is_row_of(const struct lh_recognizer *recognizer, unsigned set)
{
	if (set < LH_PATTERN_SET_COUNT)
		return recognizer->set == (enum lh_pattern_set)set;
	return recognizer->is_secret && !recognizer->find == (set == LH_PATTERNS_SECRET);
}

struct lh_error *lh_patterns_list(unsigned set, struct lh_pattern_set_compiled *ret)
{
	*ret = (struct lh_pattern_set_compiled){0};
	for (unsigned row = 0; lh_recognizers[row]; row++) {
		for (unsigned i = 0; is_row_of(lh_recognizers[row], set) && row_pattern(row, i); i++)
			LH_TRY(add_pattern(row, i, ret));
	}
	return NULL;
}

static struct lh_error *compile_set(const hs_platform_info_t *platform, struct lh_pattern_set_compiled *set)
{
	const char *expressions[LH_PATTERNS_MAX];
	unsigned flags[LH_PATTERNS_MAX];
	unsigned ids[LH_PATTERNS_MAX];
	for (unsigned i = 0; i < set->pattern_count; i++) {
		expressions[i] = row_pattern(set->patterns[i].row, set->patterns[i].number);
		flags[i] = HS_FLAG_DOTALL;
		ids[i] = i;
	}
	hs_compile_error_t *error = NULL;
	if (hs_compile_multi(expressions, flags, ids, set->pattern_count, HS_MODE_BLOCK, platform, &set->database,
			     &error) != HS_SUCCESS)
		return compile_error(error);
	return NULL;
}

struct lh_error *lh_patterns_compile(unsigned set, const hs_platform_info_t *platform,
				     struct lh_pattern_set_compiled *ret)
{
	LH_TRY(lh_patterns_list(set, ret));
	for (unsigned i = 0; i < ret->pattern_count; i++) {
		struct lh_pattern *pattern = &ret->patterns[i];
		LH_TRY(pattern_length(row_pattern(pattern->row, pattern->number), &pattern->bytes));
	}
	bool is_own = set == LH_PATTERNS_OWN || set == LH_PATTERNS_OWN_TEXT || set == LH_PATTERNS_SECRET_OWN;
	return is_own ? NULL : compile_set(platform, ret);
}

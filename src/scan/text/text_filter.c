/*
 * text_filter: PCRE2 with its JIT compiler. Texts are taken as UTF-8 where they are, and as bytes where they
 * are not. The pattern is the user's, the texts are hostile: the steps for one text are limited. A text that takes
 * more does not match, and is counted.
 */
#include "text_filter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { STEPS_MAX = 1000000, MESSAGE_BYTES = 256 };

/* Shared by all matchers of a filter. */
struct given_up {
	atomic_uint_least64_t count;
	atomic_uint_least64_t first_addr; /* the lowest; UINT64_MAX: none */
};

struct lh_text_filter {
	pcre2_code *code;
	struct given_up *given_up;
};

struct lh_text_matcher {
	const struct lh_text_filter *filter;
	pcre2_match_data *data;
	pcre2_match_context *context;
	LH_VEC(uint8_t) narrow; /* the low bytes of a text of wide characters */
};

struct lh_error *lh_text_filter_create(const char *pattern, struct lh_text_filter **ret)
{
	int code;
	PCRE2_SIZE offset;
	pcre2_code *compiled =
		pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
			      PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
	if (!compiled) {
		char message[MESSAGE_BYTES];
		pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof(message));
		return lh_error_create(LH_ERROR_USAGE, "'%s' is not a regular expression: at character %zu: %s",
				       pattern, (size_t)offset + 1, message);
	}
	/* Without the compiler, where it is not allowed to make code, matching is only slower. */
	(void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
	struct lh_text_filter *filter = calloc(1, sizeof(*filter));
	struct given_up *given_up = malloc(sizeof(*given_up));
	if (!filter || !given_up) {
		free(filter);
		free(given_up);
		pcre2_code_free(compiled);
		return lh_error_no_memory();
	}
	atomic_init(&given_up->count, 0);
	atomic_init(&given_up->first_addr, UINT64_MAX);
	filter->code = compiled;
	filter->given_up = given_up;
	*ret = filter;
	return NULL;
}

void lh_text_filter_destroy(struct lh_text_filter *filter)
{
	if (!filter)
		return;
	pcre2_code_free(filter->code);
	free(filter->given_up);
	free(filter);
}

void lh_cleanup_text_filter(struct lh_text_filter **filter)
{
	lh_text_filter_destroy(*filter);
}

struct lh_error *lh_text_matcher_create(const struct lh_text_filter *filter, struct lh_text_matcher **ret)
{
	struct lh_text_matcher *matcher = calloc(1, sizeof(*matcher));
	if (!matcher)
		return lh_error_no_memory();
	matcher->filter = filter;
	matcher->data = pcre2_match_data_create(1, NULL);
	matcher->context = pcre2_match_context_create(NULL);
	if (!matcher->data || !matcher->context) {
		lh_text_matcher_destroy(matcher);
		return lh_error_no_memory();
	}
	pcre2_set_match_limit(matcher->context, STEPS_MAX);
	*ret = matcher;
	return NULL;
}

void lh_text_matcher_destroy(struct lh_text_matcher *matcher)
{
	if (!matcher)
		return;
	pcre2_match_data_free(matcher->data);
	pcre2_match_context_free(matcher->context);
	lh_vec_deinit(&matcher->narrow);
	free(matcher);
}

static struct lh_error *narrow_bytes(struct lh_text_matcher *matcher, const struct lh_run *run, const uint8_t **ret)
{
	size_t width = run->bytes_length / run->chars;
	*ret = run->bytes;
	if (width == 1)
		return NULL;
	const uint8_t *low = run->bytes[0] ? run->bytes : run->bytes + width - 1;
	LH_TRY(lh_vec_reserve(&matcher->narrow, run->chars));
	for (size_t i = 0; i < run->chars; i++)
		matcher->narrow.items[i] = low[i * width];
	*ret = matcher->narrow.items;
	return NULL;
}

static void give_up(struct given_up *given_up, uint64_t addr)
{
	uint64_t first_addr = atomic_load(&given_up->first_addr);
	atomic_fetch_add(&given_up->count, 1);
	while (addr < first_addr && !atomic_compare_exchange_weak(&given_up->first_addr, &first_addr, addr))
		;
}

struct lh_match_loss lh_text_filter_take_loss(const struct lh_text_filter *filter)
{
	if (!filter)
		return (struct lh_match_loss){0};
	return (struct lh_match_loss){
		.count = atomic_exchange(&filter->given_up->count, 0),
		.first_addr = atomic_exchange(&filter->given_up->first_addr, UINT64_MAX),
	};
}

struct lh_error *lh_text_matches(struct lh_text_matcher *matcher, const struct lh_run *run, bool *ret)
{
	const uint8_t *text;
	LH_TRY(narrow_bytes(matcher, run, &text));
	int result = pcre2_match(matcher->filter->code, text, run->chars, 0, 0, matcher->data, matcher->context);
	*ret = result >= 0;
	if (result == PCRE2_ERROR_NOMEMORY)
		return lh_error_no_memory();
	if (result < 0 && result != PCRE2_ERROR_NOMATCH)
		give_up(matcher->filter->given_up, run->addr);
	return NULL;
}

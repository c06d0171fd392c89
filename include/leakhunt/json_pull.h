/*
 * json_pull: reads JSON from left to right without a tree, for large numbers of texts. Part of base. Input: hostile
 * bytes, which the caller keeps. Each function takes one item off the front. After the first byte that is not JSON (RFC
 * 8259), `failed` is set and nothing more is taken. Nesting is limited.
 *
 * 	for (bool is_first = true; lh_json_pull_member(pull, &is_first, &key);)
 * 		...take the value, or skip it...
 */
#ifndef LEAKHUNT_JSON_PULL_H
#define LEAKHUNT_JSON_PULL_H

#include "leakhunt/base.h"

#include <string.h>

struct lh_json_pull {
	const char *at;
	const char *end;
	bool failed;
};

/* The text between the quotes of a string, with its escapes. */
struct lh_json_span {
	const char *text;
	size_t length;
};

static inline bool lh_json_span_is(struct lh_json_span span, const char *text)
{
	return strlen(text) == span.length && memcmp(span.text, text, span.length) == 0;
}

/* If the next value is of another type, it is skipped, and the result is false. */
bool lh_json_pull_object(struct lh_json_pull *pull);
bool lh_json_pull_array(struct lh_json_pull *pull);
bool lh_json_pull_string(struct lh_json_pull *pull, struct lh_json_span *ret);
bool lh_json_pull_u64(struct lh_json_pull *pull, uint64_t *ret);     /* an integer of 0 to INT64_MAX */
bool lh_json_pull_address(struct lh_json_pull *pull, uint64_t *ret); /* "0x..." */
bool lh_json_pull_double(struct lh_json_pull *pull, double *ret);    /* any number */
bool lh_json_pull_bool(struct lh_json_pull *pull, bool *ret);
void lh_json_pull_skip(struct lh_json_pull *pull);

/* Takes the next item inside the object or array; false, with its end taken, if there is none. */
bool lh_json_pull_member(struct lh_json_pull *pull, bool *is_first, struct lh_json_span *ret_key);
bool lh_json_pull_item(struct lh_json_pull *pull, bool *is_first);

/* Whether everything was taken and was valid JSON. */
bool lh_json_pull_is_done(struct lh_json_pull *pull);

/* Appends the bytes that a span stands for, as lh_json_text wrote them, to *ret; false if they are not UTF-8. */
bool lh_json_span_text(struct lh_json_span span, struct lh_buffer *ret);

#endif

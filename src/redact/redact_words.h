/*
 * redact_words: what of a piece of memory stays, and what becomes a hash. Private to redact.
 */
#ifndef LEAKHUNT_REDACT_REDACT_WORDS_H
#define LEAKHUNT_REDACT_REDACT_WORDS_H

#include "leakhunt/heap.h"
#include "leakhunt/objects.h"
#include "leakhunt/redact.h"
#include "leakhunt/sweep.h"

struct lh_redactor {
	struct lh_image *image;
	const struct lh_heap *heap;
	uint8_t key[LH_REDACT_KEY_BYTES];
	struct lh_heap_groups groups;   /* whose types have names */
	LH_VEC(const char *) names;     /* of types and modules, sorted; they stay */
	LH_VEC(struct lh_range) mapped; /* ascending, disjoint */
	LH_VEC(uint64_t) flags;         /* addresses of words that stay, ascending */
	LH_VEC(uint64_t) states;        /* addresses of words of which the lowest byte stays, ascending */
	LH_VEC(uint8_t) kept;           /* room for the words of a piece */
	struct lh_redaction counts;
};

struct lh_error *lh_redactor_init(struct lh_redactor *redactor, struct lh_image *image,
				  const struct lh_heap *heap) LH_NODISCARD;
void lh_redactor_deinit(struct lh_redactor *redactor);
/* Whether it is a name that stays. */
bool lh_redactor_keeps_name(const struct lh_redactor *redactor, const char *text, size_t length);
/* Whether a word stays that is in no text: a pointer or a small number. */
bool lh_redactor_keeps_word(const struct lh_redactor *redactor, uint64_t word);
/* The memory at `addr`, a multiple of 8, in place. */
struct lh_error *lh_redact_memory(struct lh_redactor *redactor, uint64_t addr, uint8_t *bytes,
				  size_t length) LH_NODISCARD;

#endif

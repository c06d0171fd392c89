/*
 * want: turns one WHAT word of the command line into a test on mappings. Pure: no process is asked.
 */
#include "leakhunt/dump.h"

#include <string.h>

#define KIND(name) (UINT32_C(1) << LH_REGION_##name)

#define ANON_KINDS  (LH_HEAP_KINDS | KIND(ANON) | KIND(HUGETLB))
#define STACK_KINDS (KIND(MAIN_STACK) | KIND(THREAD_STACK))

static const struct want_word {
	const char *word;
	enum lh_want_kind kind;
	uint32_t kinds;
} want_words[] = {
	{"heap", LH_WANT_KINDS, LH_HEAP_KINDS},          {"anon", LH_WANT_KINDS, ANON_KINDS},
	{"stacks", LH_WANT_KINDS, STACK_KINDS},          {"private", LH_WANT_KINDS, ANON_KINDS | STACK_KINDS},
	{"data", LH_WANT_KINDS, KIND(DATA) | KIND(BSS)}, {"all", LH_WANT_ALL, 0},
};

const char *const *lh_want_words(size_t *ret_count)
{
	static const char *const words[] = {"heap", "anon", "stacks", "private", "data", "all", "suspects"};
	*ret_count = LH_ARRAY_COUNT(words);
	return words;
}

static bool parse_word(const char *text, struct lh_want *want)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(want_words); i++) {
		if (strcmp(text, want_words[i].word) == 0) {
			want->kind = want_words[i].kind;
			want->kinds = want_words[i].kinds;
			return true;
		}
	}
	enum lh_region_kind kind;
	if (!lh_region_kind_parse(text, &kind))
		return false;
	want->kind = LH_WANT_KINDS;
	want->kinds = UINT32_C(1) << kind;
	return true;
}

struct lh_error *lh_want_parse(const char *text, struct lh_want *ret)
{
	static const char name_prefix[] = "name:";
	struct lh_want want = {.text = text};
	if (strncmp(text, name_prefix, strlen(name_prefix)) == 0) {
		want.kind = LH_WANT_NAME;
		want.glob = text + strlen(name_prefix);
		if (!*want.glob)
			return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "region '%s' lacks a pattern", text),
					     "write name:GLOB, for instance 'name:*libssl*'");
	} else if (strchr("0123456789", text[0]) && text[0]) {
		want.kind = LH_WANT_RANGE;
		LH_TRY(lh_parse_range(text, &want.range));
	} else if (!parse_word(text, &want)) {
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "unknown region '%s'", text),
				     "regions are heap, anon, stacks, private, data, all, suspects, 0xSTART-0xEND, "
				     "or a kind that `leakhunt maps` shows");
	}
	*ret = want;
	return NULL;
}

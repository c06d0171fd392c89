/*
 * region_option: parses the words of --region, for dump and strings.
 */
#include "region_option.h"

#include "command.h"

struct lh_error *lh_parse_region_word(const char *word, struct lh_want *ret)
{
	struct lh_error *error = lh_want_parse(word, ret);
	if (!error)
		return NULL;
	size_t count;
	const char *const *candidates = lh_want_words(&count);
	const char *nearest = lh_nearest(word, candidates, count);
	return nearest ? lh_error_hint(error, "did you mean '%s'?", nearest) : error;
}

/*
 * recognize_des_hash: password hashes of crypt(5)'s descrypt, as htpasswd -d and old shadow files have them: a line
 * "name:hash", where the hash is 13 characters of ./0-9A-Za-z without any mark, and may be followed by ':' and more
 * fields. Secret: counted, masked. 64 bits lie in the last 11 characters, six in each, so the last one's lower two
 * bits are zero (crypt(5), "descrypt"). What is not told apart from a word by its letters is left out: one hash in
 * 500.
 */
#include "secret_forms.h"

#include <string.h>

enum { HASH_BYTES = 13, NAME_MAX_BYTES = 32, CHANGES_MIN = 2 };

#define HASH_CLASSES (LH_BYTES_ALNUM | LH_BYTE_DOT | LH_BYTE_SLASH)
#define NAME_CLASSES (LH_BYTES_WORD | LH_BYTE_DOT | LH_BYTE_DASH)

static const char *const patterns[] = {":.{12}[./0-9A-Za-z][^./0-9A-Za-z]", NULL};

/* Examines 14 bytes after a colon; those of the last line may be in the following line, which is readable. */
static void find_des_hash(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
			  uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	uint64_t colons[LH_FIND_LINES];
	kernel->range_masks(data, line_count, ':', ':', colons);
	for (size_t k = 0; k < line_count; k++) {
		ret_anchors[0][k] = 0;
		for (uint64_t rest = colons[k]; rest; rest &= rest - 1) {
			const uint8_t *hash = data + k * LH_LINE_BYTES + __builtin_ctzll(rest) + 1;
			if (lh_byte_is(hash[HASH_BYTES - 1], HASH_CLASSES) &&
			    !lh_byte_is(hash[HASH_BYTES], HASH_CLASSES))
				ret_anchors[0][k] |= rest & -rest;
		}
	}
}

/* How often letters of one case, of the other case, and other characters alternate; 0: there is only one case. */
static unsigned class_changes(const uint8_t *hash)
{
	unsigned changes = 0, seen = 0, last = 0;
	for (size_t i = 0; i < HASH_BYTES; i++) {
		unsigned kind = lh_byte_is(hash[i], LH_BYTES_LOWER) ? 0 : lh_byte_is(hash[i], LH_BYTES_UPPER) ? 1 : 2;
		changes += i && kind != last;
		seen |= 1u << kind;
		last = kind;
	}
	return (seen & 3) == 3 ? changes : 0;
}

bool lh_rule_des_hash(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t end = 1 + HASH_BYTES;
	size_t name = lh_span_before(candidate, NAME_MAX_BYTES, NAME_CLASSES);
	bool ends_field = !lh_after_is(candidate, end, LH_BYTES_LINE) || candidate->anchor[end] == ':';
	if (!name || !ends_field || lh_before_is(candidate, name + 1, LH_BYTES_LINE) ||
	    lh_span_after(candidate, 1, HASH_BYTES + 1, HASH_CLASSES) != HASH_BYTES ||
	    !strchr(".26AEIMQUYcgkosw", candidate->anchor[HASH_BYTES]) ||
	    class_changes(candidate->anchor + 1) < CHANGES_MIN)
		return false;
	*ret = (struct lh_match){.skipped = 1, .length = HASH_BYTES};
	return true;
}

const struct lh_recognizer lh_recognize_des_hash = {
	.name = "des-hash",
	.title = "password hashes of DES crypt",
	.is_secret = true,
	.set = LH_PATTERNS_OWN_TEXT,
	.patterns = patterns,
	.forms = lh_des_hash_forms,
	.find = find_des_hash,
	.validate = lh_secret_form_validate,
};

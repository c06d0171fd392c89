/*
 * recognize_email: e-mail addresses as people use them, a subset of RFC 5321 section 4.1.2: a
 * dot-atom of at most 64 characters, '@', and a host name of at least two labels that ends in a
 * plausible top-level domain in one case; 9 characters at least, since shorter ones come by chance. Quoted local parts
 * and address literals are left out.
 */
#include "scan/recognize/recognize.h"

enum { LOCAL_MAX = 64, ADDRESS_MIN = 9, DOMAIN_MAX = 253, DOMAIN_AT = 2 };

#define LOCAL_CLASSES (LH_BYTES_WORD | LH_BYTE_DOT | LH_BYTE_DASH | LH_BYTE_PLUS | LH_BYTE_PERCENT)

static const char *const patterns[] = {"[a-zA-Z0-9_+-]@[a-zA-Z0-9]", NULL};

static void find_email(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
		       uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	uint64_t signs[LH_FIND_LINES + 1];
	kernel->range_masks(data, line_count + 1, '@', '@', signs);
	for (size_t k = 0; k < line_count; k++) {
		const uint8_t *line = data + k * LH_LINE_BYTES;
		ret_anchors[0][k] = 0;
		for (uint64_t rest = lh_mask_ahead(&signs[k], 1); rest; rest &= rest - 1) {
			const uint8_t *anchor = line + __builtin_ctzll(rest);
			if (lh_byte_is(anchor[0], LH_BYTES_WORD | LH_BYTE_PLUS | LH_BYTE_DASH) &&
			    lh_byte_is(anchor[2], LH_BYTES_ALNUM))
				ret_anchors[0][k] |= rest & -rest;
		}
	}
}

/* The host name at the anchor's domain, without dots and dashes that end the sentence; 0: none. */
static size_t domain_bytes(const struct lh_candidate *candidate)
{
	size_t length = lh_span_after(candidate, DOMAIN_AT, DOMAIN_MAX + 1, LH_BYTES_HOST);
	while (length && lh_byte_is(candidate->anchor[DOMAIN_AT + length - 1], LH_BYTE_DOT | LH_BYTE_DASH))
		length--;
	const uint8_t *domain = candidate->anchor + DOMAIN_AT;
	if (lh_host_labels(domain, length) < 2 || lh_after_is(candidate, DOMAIN_AT + length, LH_BYTES_WORD))
		return 0;
	size_t label = length;
	while (label && domain[label - 1] != '.')
		label--;
	bool is_one_case =
		lh_span_after(candidate, DOMAIN_AT + label, length - label, LH_BYTES_LOWER) == length - label ||
		lh_span_after(candidate, DOMAIN_AT + label, length - label, LH_BYTES_UPPER) == length - label;
	return is_one_case && lh_tld_is_plausible(domain + label, length - label) ? length : 0;
}

static bool validate_email(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t before = lh_span_before(candidate, LOCAL_MAX, LOCAL_CLASSES);
	if (before == LOCAL_MAX)
		return false;
	while (before && lh_before_is(candidate, before, LH_BYTE_DOT | LH_BYTE_DASH | LH_BYTE_PERCENT))
		before--;
	size_t domain = domain_bytes(candidate);
	if (!domain || before + DOMAIN_AT + domain < ADDRESS_MIN)
		return false;
	*ret = (struct lh_match){.before = before, .length = before + DOMAIN_AT + domain};
	return true;
}

const struct lh_recognizer lh_recognize_email = {
	.name = "email",
	.title = "e-mail addresses",
	.set = LH_PATTERNS_OWN_TEXT,
	.patterns = patterns,
	.find = find_email,
	.validate = validate_email,
};

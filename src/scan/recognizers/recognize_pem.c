/*
 * recognize_pem: PEM texts, RFC 7468: "-----BEGIN label-----", base64 lines (with the headers of
 * RFC 1421 before them), "-----END label-----". Line breaks may be escaped as in JSON strings ("\n").
 * Private keys belong to the row of secrets; their reader is here, too.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

#define BEGIN  "-----BEGIN "
#define END    "-----END "
#define DASHES "-----"

enum { LABEL_MAX = 64 };

static const char *const patterns[] = {"-----BEGIN ", NULL};

static bool label_is_private(const uint8_t *label, size_t bytes)
{
	static const char words[] = "PRIVATE KEY";
	for (size_t at = 0; at + sizeof(words) - 1 <= bytes; at++) {
		if (memcmp(label + at, words, sizeof(words) - 1) == 0)
			return true;
	}
	return false;
}

/* The END line at `offset` repeats the label. */
static bool end_line_matches(const struct lh_candidate *candidate, size_t offset, const struct lh_pem *pem)
{
	size_t label = offset + strlen(END);
	size_t dashes = label + pem->label_bytes;
	return lh_after_equals(candidate, offset, END) && lh_after_equals(candidate, dashes, DASHES) &&
	       memcmp(candidate->anchor + label, pem->label, pem->label_bytes) == 0;
}

/* The label after `keyword`, and the dashes after it; ret->length is that of the whole line. */
static bool read_line(const struct lh_candidate *candidate, const char *keyword, struct lh_pem *ret)
{
	size_t label = strlen(keyword);
	size_t label_bytes = lh_span_after(candidate, label, LABEL_MAX, LH_BYTES_UPPER | LH_BYTE_DIGIT | LH_BYTE_BLANK);
	if (!label_bytes || !lh_after_equals(candidate, label + label_bytes, DASHES))
		return false;
	*ret = (struct lh_pem){
		.label = candidate->anchor + label,
		.label_bytes = label_bytes,
		.length = label + label_bytes + strlen(DASHES),
		.is_private_key = label_is_private(candidate->anchor + label, label_bytes),
	};
	return true;
}

bool lh_pem_read_end(const struct lh_candidate *candidate, struct lh_pem *ret)
{
	return read_line(candidate, END, ret);
}

bool lh_pem_read(const struct lh_candidate *candidate, struct lh_pem *ret)
{
	struct lh_pem found;
	if (!read_line(candidate, BEGIN, &found))
		return false;
	size_t body = found.length;
	/*
	 * base64, line breaks (plain or as
	 * , \r), padding, and the contents of RFC 1421 headers: "DEK-Info: AES-128-CBC,".
	 */
	size_t end = body;
	while (lh_after_is(candidate, end, LH_BYTES_TEXT) && !lh_after_equals(candidate, end, DASHES))
		end++;
	*candidate->examined += end - body;
	found.body_bytes = end - body;
	found.is_complete = end_line_matches(candidate, end, &found);
	found.length = found.is_complete ? end + strlen(END) + found.label_bytes + strlen(DASHES) : end;
	*ret = found;
	return true;
}

static bool validate_recognize_pem(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_pem pem;
	if (!lh_pem_read(candidate, &pem) || pem.is_private_key || !pem.is_complete || pem.body_bytes < 4)
		return false;
	*ret = (struct lh_match){.length = pem.length};
	return true;
}

static void describe_pem(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	(void)match;
	struct lh_pem pem;
	ret[0] = '\0';
	if (lh_pem_read(candidate, &pem))
		lh_example_copy(pem.label, pem.label_bytes, ret);
}

const struct lh_recognizer lh_recognize_pem = {
	.name = "pem",
	.title = "PEM texts",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate_recognize_pem,
	.describe = describe_pem,
};

/*
 * recognize_private_key: private keys, as PEM (RFC 7468; also cut off after at least 64 characters, and
 * with its first line gone: malloc overwrites the first 16 bytes of a freed chunk) and DER: RSAPrivateKey (RFC 8017
 * A.1.2) and DSA's, PrivateKeyInfo (RFC 5208 section 5), ECPrivateKey (RFC 5915 section 3). Secret: counted, and never
 * shown.
 */
#include "secret_forms.h"

#include <string.h>

enum {
	DER_INTEGER = 0x02,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_SEQUENCE = 0x30,
	RSA_INTEGERS = 9,
	DSA_INTEGERS = 6,
	EC_KEY_BYTES_MIN = 20,
	EC_KEY_BYTES_MAX = 66, /* P-521 */
	CUT_BODY_MIN = 64,
	CUT_BODY_MAX = 16384, /* RSA with 16,384 bits: 12,900 characters */
};

/* The integers of PKCS#1 and DSA keys after the version: non-empty, positive, up to the end. */
static bool is_integers(struct lh_cursor content)
{
	unsigned count = 0;
	struct lh_cursor integer;
	while (lh_der_take(&content, DER_INTEGER, &integer)) {
		bool is_negative = lh_cursor_left(&integer) == 0 || *integer.at & 0x80;
		if (is_negative)
			return false;
		count++;
	}
	return lh_cursor_left(&content) == 0 && (count == RSA_INTEGERS - 1 || count == DSA_INTEGERS - 1);
}

static bool is_private_key_info(struct lh_cursor content)
{
	struct lh_cursor algorithm;
	struct lh_cursor oid;
	struct lh_cursor key;
	return lh_der_take(&content, DER_SEQUENCE, &algorithm) && lh_der_take(&algorithm, DER_OID, &oid) &&
	       lh_cursor_left(&oid) >= 3 && lh_der_take(&content, DER_OCTET_STRING, &key) && lh_cursor_left(&key) >= 16;
}

static bool is_ec_private_key(struct lh_cursor content)
{
	struct lh_cursor key;
	struct lh_cursor parameters;
	struct lh_cursor oid;
	return lh_der_take(&content, DER_OCTET_STRING, &key) && lh_cursor_left(&key) >= EC_KEY_BYTES_MIN &&
	       lh_cursor_left(&key) <= EC_KEY_BYTES_MAX && lh_der_take(&content, 0xa0, &parameters) &&
	       lh_der_take(&parameters, DER_OID, &oid) && lh_cursor_left(&oid) >= 3;
}

bool lh_rule_key_der(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_cursor content;
	struct lh_cursor version;
	if (!lh_der_take(&cursor, DER_SEQUENCE, &content) || !lh_der_take(&content, DER_INTEGER, &version) ||
	    lh_cursor_left(&version) != 1)
		return false;
	bool is_key = *version.at == 0 && (is_integers(content) || is_private_key_info(content));
	if (!is_key && !(*version.at == 1 && (is_ec_private_key(content) || is_private_key_info(content))))
		return false;
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor)};
	return true;
}

bool lh_rule_key_pem(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_pem pem;
	if (!lh_pem_read(candidate, &pem) || !pem.is_private_key)
		return false;
	size_t head = pem.is_complete ? 0 : pem.length - pem.body_bytes;
	/* Cut off: as far as it can belong to the key. Line breaks may be escaped. */
	size_t cut = pem.is_complete ? 0
				     : lh_span_after(candidate, head, pem.body_bytes,
						     LH_BYTES_BASE64 | LH_BYTE_BREAK | LH_BYTE_TEXT_REST);
	if (!pem.is_complete && cut < CUT_BODY_MIN)
		return false;
	*ret = (struct lh_match){.length = pem.is_complete ? pem.length : head + cut};
	return true;
}

static const unsigned body_bytes = LH_BYTES_BASE64 | LH_BYTE_BREAK | LH_BYTE_TEXT_REST;

/* "-----END RSA PRIVATE KEY-----" without its beginning: goes back over what can belong to the key. */
bool lh_rule_key_end(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_pem pem;
	size_t before = lh_span_before(candidate, LH_LOOK_BACK, body_bytes | LH_BYTE_URL_REST);
	if (before < CUT_BODY_MIN || !lh_pem_read_end(candidate, &pem) || !pem.is_private_key)
		return false;
	*ret = (struct lh_match){.before = before, .length = before + pem.length};
	return true;
}

/* The first line of the body, without the line before it. */
bool lh_rule_key_body(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t length = lh_span_after(candidate, 0, CUT_BODY_MAX, body_bytes);
	if (length < CUT_BODY_MIN)
		return false;
	*ret = (struct lh_match){.length = length};
	return true;
}

/* The same for keys so long that their lengths differ: "MII", three characters of lengths, the pattern. */
bool lh_rule_key_body_long(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { HEAD_BYTES = 5 };
	static const char head[] = "MII";
	bool is_head = candidate->bytes_before >= HEAD_BYTES &&
		       memcmp(candidate->anchor - HEAD_BYTES, head, strlen(head)) == 0 &&
		       lh_before_is(candidate, 1, LH_BYTES_BASE64) && lh_before_is(candidate, 2, LH_BYTES_BASE64);
	if (!is_head || !lh_rule_key_body(candidate, ret))
		return false;
	*ret = (struct lh_match){.before = HEAD_BYTES, .length = HEAD_BYTES + ret->length};
	return true;
}

/* "Private-Lines: 1", and that many lines of base64 (PuTTY 0.79, appendix C); if cut off, as many as there are. */
bool lh_rule_key_lines(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { DIGITS_MAX = 4 };
	size_t at = candidate->pattern_bytes;
	size_t digits = lh_span_after(candidate, at, DIGITS_MAX, LH_BYTE_DIGIT);
	size_t body = at + digits;
	size_t length = lh_span_after(candidate, body, CUT_BODY_MAX, body_bytes | LH_BYTE_URL_REST), end;
	if (lh_find_after(candidate, body, body + length, "Private-MAC", &end) ||
	    lh_find_after(candidate, body, body + length, "Private", &end))
		length = end - body;
	if (!digits || length < EC_KEY_BYTES_MIN)
		return false;
	*ret = (struct lh_match){.skipped = body, .length = length};
	return true;
}

const struct lh_recognizer lh_recognize_private_key = {
	.name = "private-key",
	.title = "private keys",
	.is_secret = true,
	.set = LH_PATTERNS_BINARY,
	.forms = lh_private_key_forms,
	.validate = lh_secret_form_validate,
};

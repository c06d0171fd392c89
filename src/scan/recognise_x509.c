/*
 * recognise_x509: whole certificates in DER, RFC 5280 section 4.1: SEQUENCE { TBSCertificate,
 * AlgorithmIdentifier, BIT STRING } that ends exactly at the outer length. Shown by subject and issuer.
 */
#include "recognise.h"

static const char *const patterns[] = {"\\x30\\x82..\\x30[\\x81\\x82]", NULL};

static bool take_certificate(struct lh_cursor *cursor, struct lh_certificate *ret)
{
	struct lh_cursor outer;
	struct lh_cursor algorithm;
	struct lh_cursor signature;
	return lh_der_take(cursor, 0x30, &outer) && lh_der_take_tbs(&outer, ret) &&
	       lh_der_take(&outer, 0x30, &algorithm) && lh_der_take(&outer, 0x03, &signature) &&
	       lh_cursor_left(&outer) == 0;
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_certificate certificate;
	if (!take_certificate(&cursor, &certificate))
		return false;
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor)};
	return true;
}

static void describe(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	struct lh_cursor cursor = lh_cursor_over(candidate->anchor, match->length);
	struct lh_certificate certificate;
	ret[0] = '\0';
	if (take_certificate(&cursor, &certificate))
		lh_certificate_describe(&certificate, ret);
}

const struct lh_recogniser lh_recognise_x509 = {
	.name = "x509",
	.title = "X.509 certificates",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate,
	.describe = describe,
};

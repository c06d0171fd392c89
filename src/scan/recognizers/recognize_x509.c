/*
 * recognize_x509: whole certificates in DER, RFC 5280 section 4.1: SEQUENCE { TBSCertificate,
 * AlgorithmIdentifier, BIT STRING } that ends exactly at the outer length. Shown by subject, issuer and last day.
 */
#include "scan/recognize/recognize.h"

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

static bool validate_x509(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return lh_certificate_match(candidate, take_certificate, ret);
}

static void describe_x509(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	lh_certificate_describe(candidate, match, take_certificate, ret);
}

const struct lh_recognizer lh_recognize_x509 = {
	.name = "x509",
	.title = "X.509 certificates",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_x509,
	.describe = describe_x509,
};

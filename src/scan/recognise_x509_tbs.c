/*
 * recognise_x509_tbs: the part of a certificate that is signed (TBSCertificate, RFC 5280 section
 * 4.1) without the rest of it: what OpenSSL keeps of a parsed certificate (X509.cert_info.enc,
 * measured with 1.1.1 to 3.3). Inside a whole certificate the x509 row keeps the bytes.
 */
#include "recognise.h"

/* With a version (v2, v3), and without (v1: the serial number comes first). */
static const char *const patterns[] = {
	"\\x30\\x82..\\xa0\\x03\\x02\\x01[\\x01\\x02]\\x02",
	"\\x30\\x81.\\xa0\\x03\\x02\\x01[\\x01\\x02]\\x02",
	"\\x30\\x82..\\x02[\\x01-\\x15]",
	NULL,
};

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_certificate certificate;
	if (!lh_der_take_tbs(&cursor, &certificate))
		return false;
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor)};
	return true;
}

static void describe(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	struct lh_cursor cursor = lh_cursor_over(candidate->anchor, match->length);
	struct lh_certificate certificate;
	ret[0] = '\0';
	if (lh_der_take_tbs(&cursor, &certificate))
		lh_certificate_describe(&certificate, ret);
}

const struct lh_recogniser lh_recognise_x509_tbs = {
	.name = "x509-tbs",
	.title = "X.509 certificates, signed part only",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate,
	.describe = describe,
};

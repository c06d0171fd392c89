/*
 * recognize_x509_tbs: the part of a certificate that is signed (TBSCertificate, RFC 5280 section
 * 4.1) without the rest of it: what OpenSSL keeps of a parsed certificate (X509.cert_info.enc,
 * measured with 1.1.1 to 3.3). Inside a whole certificate the x509 row keeps the bytes.
 */
#include "scan/recognize/recognize.h"

/* With a version (v2, v3), and without (v1: the serial number comes first). */
static const char *const patterns[] = {
	"\\x30\\x82..\\xa0\\x03\\x02\\x01[\\x01\\x02]\\x02",
	"\\x30\\x81.\\xa0\\x03\\x02\\x01[\\x01\\x02]\\x02",
	"\\x30\\x82..\\x02[\\x01-\\x15]",
	NULL,
};

static bool validate_x509_tbs(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return lh_certificate_match(candidate, lh_der_take_tbs, ret);
}

static void describe_x509_tbs(const struct lh_candidate *candidate, const struct lh_match *match,
			      char ret[LH_EXAMPLE_MAX])
{
	lh_certificate_describe(candidate, match, lh_der_take_tbs, ret);
}

const struct lh_recognizer lh_recognize_x509_tbs = {
	.name = "x509-tbs",
	.title = "X.509 certificates (TBS only)",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_x509_tbs,
	.describe = describe_x509_tbs,
};

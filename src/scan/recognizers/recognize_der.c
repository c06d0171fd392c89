/*
 * recognize_der: DER (X.690) as far as certificates and keys need it: elements with definite,
 * minimal lengths, and the structure of a TBSCertificate (RFC 5280 section 4.1). Names are shown
 * through libcrypto once the structure holds.
 */
#include "scan/recognize/recognize.h"

#include <openssl/bio.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum {
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OID = 0x06,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_VERSION = 0xa0,
	SHORT_TIME_BYTES = 13,
	SERIAL_BYTES_MAX = 21, /* RFC 5280 section 4.1.2.2: 20 octets, and a sign */
};

/* X.690 section 10.1: lengths take the fewest octets. */
static bool take_length(struct lh_cursor *cursor, size_t *ret)
{
	uint8_t first = lh_cursor_u8(cursor);
	if (first == 0x81)
		*ret = lh_cursor_u8(cursor);
	else if (first == 0x82)
		*ret = lh_cursor_be16(cursor);
	else
		*ret = first;
	size_t least = first == 0x81 ? 0x80 : first == 0x82 ? 0x100 : 0;
	return !cursor->failed && (first < 0x80 || first == 0x81 || first == 0x82) && *ret >= least;
}

bool lh_der_take(struct lh_cursor *cursor, uint8_t tag, struct lh_cursor *ret_content)
{
	size_t length;
	if (lh_cursor_u8(cursor) != tag || !take_length(cursor, &length))
		return false;
	const uint8_t *content = lh_cursor_take(cursor, length);
	if (!content)
		return false;
	*ret_content = lh_cursor_over(content, length);
	return true;
}

static bool take_algorithm(struct lh_cursor *cursor)
{
	struct lh_cursor algorithm;
	struct lh_cursor oid;
	return lh_der_take(cursor, DER_SEQUENCE, &algorithm) && lh_der_take(&algorithm, DER_OID, &oid) &&
	       lh_cursor_left(&oid) >= 3;
}

static bool take_time(struct lh_cursor *cursor, struct lh_cursor *ret)
{
	bool is_utc = lh_cursor_left(cursor) && *cursor->at == DER_UTC_TIME;
	struct lh_cursor content;
	if (!lh_der_take(cursor, is_utc ? DER_UTC_TIME : DER_GENERALIZED_TIME, &content))
		return false;
	size_t digits = is_utc ? 12 : 14;
	if (lh_cursor_left(&content) != digits + 1 || content.at[digits] != 'Z')
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (!lh_byte_is(content.at[i], LH_BYTE_DIGIT))
			return false;
	}
	*ret = content;
	return true;
}

static bool take_validity(struct lh_cursor *cursor, struct lh_certificate *ret)
{
	struct lh_cursor validity;
	struct lh_cursor start;
	struct lh_cursor end;
	if (!lh_der_take(cursor, DER_SEQUENCE, &validity) || !take_time(&validity, &start) ||
	    !take_time(&validity, &end) || lh_cursor_left(&validity))
		return false;
	ret->not_after = end.at;
	ret->not_after_bytes = lh_cursor_left(&end);
	return true;
}

static bool take_public_key(struct lh_cursor *cursor)
{
	struct lh_cursor key;
	struct lh_cursor bits;
	return lh_der_take(cursor, DER_SEQUENCE, &key) && take_algorithm(&key) &&
	       lh_der_take(&key, DER_BIT_STRING, &bits) && lh_cursor_left(&key) == 0;
}

static bool take_version_and_serial(struct lh_cursor *cursor)
{
	struct lh_cursor version;
	struct lh_cursor serial;
	if (lh_cursor_left(cursor) && *cursor->at == DER_VERSION &&
	    (!lh_der_take(cursor, DER_VERSION, &version) || lh_cursor_left(&version) != 3 || version.at[2] > 2))
		return false;
	return lh_der_take(cursor, DER_INTEGER, &serial) && lh_cursor_left(&serial) >= 1 &&
	       lh_cursor_left(&serial) <= SERIAL_BYTES_MAX;
}

/* A Name; `*ret` is the whole element. */
static bool take_name(struct lh_cursor *cursor, const uint8_t **ret, size_t *ret_bytes)
{
	const uint8_t *start = cursor->at;
	struct lh_cursor name;
	if (!lh_der_take(cursor, DER_SEQUENCE, &name))
		return false;
	*ret = start;
	*ret_bytes = (size_t)(cursor->at - start);
	return true;
}

bool lh_der_take_tbs(struct lh_cursor *cursor, struct lh_certificate *ret)
{
	struct lh_cursor tbs;
	struct lh_certificate found;
	if (!lh_der_take(cursor, DER_SEQUENCE, &tbs) || !take_version_and_serial(&tbs) || !take_algorithm(&tbs) ||
	    !take_name(&tbs, &found.issuer, &found.issuer_bytes) || !take_validity(&tbs, &found) ||
	    !take_name(&tbs, &found.subject, &found.subject_bytes) || !take_public_key(&tbs))
		return false;
	*ret = found;
	return true;
}

/* Appends the Name as RFC 2253 text; nothing if libcrypto does not accept it. */
static void print_name(BIO *text, const uint8_t *name, size_t bytes)
{
	X509_NAME *decoded = d2i_X509_NAME(NULL, &name, (long)bytes);
	if (decoded)
		(void)X509_NAME_print_ex(text, decoded, 0,
					 (XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) | ASN1_STRFLGS_UTF8_CONVERT);
	X509_NAME_free(decoded);
}

/* "241231235959Z" or "20241231235959Z"; RFC 5280 section 4.1.2.5.1: two digits from 50 on are of 19.. */
static void print_day(BIO *text, const struct lh_certificate *certificate)
{
	const char *digits = (const char *)certificate->not_after;
	bool is_short = certificate->not_after_bytes == SHORT_TIME_BYTES;
	const char *century = !is_short ? "" : digits[0] < '5' ? "20" : "19";
	int year = is_short ? 2 : 4;
	(void)BIO_printf(text, ", until %s%.*s-%.2s-%.2s", century, year, digits, digits + year, digits + year + 2);
}

bool lh_certificate_match(const struct lh_candidate *candidate, lh_certificate_reader *take, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_certificate certificate;
	if (!take(&cursor, &certificate))
		return false;
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor)};
	return true;
}

void lh_certificate_describe(const struct lh_candidate *candidate, const struct lh_match *match,
			     lh_certificate_reader *take, char ret[LH_EXAMPLE_MAX])
{
	struct lh_cursor cursor = lh_cursor_over(candidate->anchor, match->length);
	struct lh_certificate certificate;
	ret[0] = '\0';
	BIO *text = take(&cursor, &certificate) ? BIO_new(BIO_s_mem()) : NULL;
	if (!text)
		return;
	print_name(text, certificate.subject, certificate.subject_bytes);
	(void)BIO_puts(text, ", issuer ");
	print_name(text, certificate.issuer, certificate.issuer_bytes);
	print_day(text, &certificate);
	char *bytes;
	long length = BIO_get_mem_data(text, &bytes);
	lh_example_copy((const uint8_t *)bytes, length > 0 ? (size_t)length : 0, ret);
	BIO_free(text);
}

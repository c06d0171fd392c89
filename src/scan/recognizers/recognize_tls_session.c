/*
 * recognize_tls_session: secrets of TLS sessions: OpenSSL's SSL_SESSION in memory (ssl/ssl_local.h of 1.1.1 to 3.3:
 * version, length of the master key, early secret, master key of 256 bytes, session id), the same as ASN.1
 * (ssl/ssl_asn1.c) and PEM, lines of NSS key logs (SSLKEYLOGFILE), and output of s_client. A match is the part that
 * contains the key. Secret: counted, and masked.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum {
	DER_INTEGER = 0x02,
	DER_OCTET_STRING = 0x04,
	DER_SEQUENCE = 0x30,
	MASTER_KEY_BYTES = 48, /* RFC 5246 section 8.1; with TLS 1.3 a resumption secret of 32 or 48 */
	RESUMPTION_BYTES = 32,
	KEY_LENGTH_AT = 8,
	EARLY_SECRET_AT = 16,
	MASTER_KEY_AT = 80,
	MASTER_KEY_ROOM = 256,
	SESSION_ID_AT = MASTER_KEY_AT + MASTER_KEY_ROOM,
	SESSION_ID_MAX = 32,
	STRUCT_BYTES = SESSION_ID_AT + 8 + SESSION_ID_MAX,
	RANDOM_HEX = 64,
	SECRET_HEX_MIN = 64,
	SECRET_HEX_MAX = 128,
};

enum { PATTERN_STRUCT = 3, PATTERN_PEM, PATTERN_PRINTED, PATTERN_LOGGED = PATTERN_PRINTED + 2 };

enum { KIND_OBJECT, KIND_ENCODED, KIND_TEXT };

static const char *const kinds[] = {
	[KIND_OBJECT] = "OpenSSL SSL_SESSION",
	[KIND_ENCODED] = "encoded sessions",
	[KIND_TEXT] = "printed or logged",
	NULL,
};

static const char *const patterns[] = {
	/* SEQUENCE { INTEGER 1, INTEGER 0x03xx, OCTET STRING of 2 bytes ... */
	"\\x30[\\x40-\\x7f]\\x02\\x01\\x01\\x02\\x02\\x03[\\x00-\\x04]\\x04\\x02",
	"\\x30\\x81.\\x02\\x01\\x01\\x02\\x02\\x03[\\x00-\\x04]\\x04\\x02",
	"\\x30\\x82..\\x02\\x01\\x01\\x02\\x02\\x03[\\x00-\\x04]\\x04\\x02",
	/*
	 * The validator checks the key's length: in the pattern it would make compiling by vectorscan half as long
	 * again.
	 */
	[PATTERN_STRUCT] = "[\\x01-\\x04]\\x03\\x00\\x00",
	[PATTERN_PEM] = "-----BEGIN SSL SESSION PARAMETERS-----",
	[PATTERN_PRINTED] = "Master-Key: ",
	"Resumption PSK: ",
	[PATTERN_LOGGED] = "CLIENT_RANDOM ",
	"_TRAFFIC_SECRET ",
	"_TRAFFIC_SECRET_0 ",
	"EXPORTER_SECRET ",
	NULL,
};

/* version, cipher, session id, master key: what i2d_SSL_SESSION writes first. */
static bool validate_der(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_cursor content;
	struct lh_cursor field;
	if (!lh_der_take(&cursor, DER_SEQUENCE, &content) || !lh_der_take(&content, DER_INTEGER, &field) ||
	    !lh_der_take(&content, DER_INTEGER, &field) || !lh_der_take(&content, DER_OCTET_STRING, &field) ||
	    !lh_der_take(&content, DER_OCTET_STRING, &field) || lh_cursor_left(&field) > SESSION_ID_MAX ||
	    !lh_der_take(&content, DER_OCTET_STRING, &field) || lh_cursor_left(&field) < RESUMPTION_BYTES)
		return false;
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor), .kind = KIND_ENCODED};
	return true;
}

static size_t zeros_at(const uint8_t *bytes, size_t length)
{
	size_t zeros = 0;
	for (size_t i = 0; i < length; i++)
		zeros += !bytes[i];
	return zeros;
}

/* A key is random: among 32 bytes, more than 4 zeros come by chance once in 10^8. */
static bool validate_struct(const struct lh_candidate *candidate, struct lh_match *ret)
{
	const uint8_t *bytes = candidate->anchor;
	if (candidate->addr % 8 || candidate->bytes_after < STRUCT_BYTES)
		return false;
	struct lh_cursor key_length = lh_cursor_over(bytes + KEY_LENGTH_AT, 8);
	size_t key = lh_cursor_le64(&key_length);
	if (key != RESUMPTION_BYTES && key != MASTER_KEY_BYTES)
		return false;
	size_t rest = MASTER_KEY_ROOM - key;
	*candidate->examined += STRUCT_BYTES;
	struct lh_cursor id = lh_cursor_over(bytes + SESSION_ID_AT, 8);
	size_t id_bytes = lh_cursor_le64(&id);
	size_t id_rest = SESSION_ID_MAX - lh_min_u64(id_bytes, SESSION_ID_MAX);
	if (zeros_at(bytes + MASTER_KEY_AT, key) > 4 || zeros_at(bytes + MASTER_KEY_AT + key, rest) != rest ||
	    id_bytes > SESSION_ID_MAX || zeros_at(bytes + STRUCT_BYTES - id_rest, id_rest) != id_rest)
		return false;
	*ret = (struct lh_match){.length = STRUCT_BYTES, .kind = KIND_OBJECT};
	return true;
}

static bool validate_pem(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_pem pem;
	if (!lh_pem_read(candidate, &pem))
		return false;
	*ret = (struct lh_match){.length = pem.length, .kind = KIND_ENCODED};
	return true;
}

/* "CLIENT_RANDOM <64 digits> <secret>"; "Master-Key: <secret>". */
static bool validate_text(const struct lh_candidate *candidate, struct lh_match *ret)
{
	static const char *const labels[] = {"Master-Key: ",     "Resumption PSK: ",   "CLIENT_RANDOM ",
					     "_TRAFFIC_SECRET ", "_TRAFFIC_SECRET_0 ", "EXPORTER_SECRET "};
	size_t at = strlen(labels[candidate->pattern - PATTERN_PRINTED]);
	if (candidate->pattern >= PATTERN_LOGGED) {
		if (lh_span_after(candidate, at, RANDOM_HEX + 1, LH_BYTES_HEX) != RANDOM_HEX ||
		    !lh_after_is(candidate, at + RANDOM_HEX, LH_BYTE_BLANK))
			return false;
		at += RANDOM_HEX + 1;
	}
	size_t secret = lh_span_after(candidate, at, SECRET_HEX_MAX, LH_BYTES_HEX);
	if (secret < SECRET_HEX_MIN || secret % 2)
		return false;
	*ret = (struct lh_match){.length = at + secret, .kind = KIND_TEXT};
	return true;
}

static bool validate_tls_session(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (candidate->pattern < PATTERN_STRUCT)
		return validate_der(candidate, ret);
	if (candidate->pattern == PATTERN_STRUCT)
		return validate_struct(candidate, ret);
	return candidate->pattern == PATTERN_PEM ? validate_pem(candidate, ret) : validate_text(candidate, ret);
}

const struct lh_recognizer lh_recognize_tls_session = {
	.name = "tls-session",
	.title = "TLS session secrets",
	.is_secret = true,
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_tls_session,
	.kinds = kinds,
};

/*
 * recognize_tls_record: TLS records without a readable handshake, RFC 5246 section 6.2.1 and RFC
 * 8446 section 5.1: type, legacy version 03 01..03, length. A header alone is no proof (74 in 268 MB
 * of random bytes), so one of these must come with it: a second record right after it, a body that
 * is fixed by the RFC (alert, change cipher spec), or its place: offset 3 of a glibc chunk that holds
 * one record of the greatest length, where OpenSSL 1.1.1 to 3.3 keep their read and write buffers.
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>

enum {
	BUFFER_OFFSET = 3,      /* of the header in OpenSSL's buffers: aligns the payload to 8 */
	CHUNK_HEADER_BYTES = 8, /* glibc malloc.c: mchunk_size lies 8 bytes before user memory */
	CHUNK_FLAGS = 7,
	CHUNK_BYTES_MIN = 0x4010, /* 2^14 bytes of plaintext and a header */
	CHUNK_BYTES_MAX = 0x4900, /* LH_TLS_RECORD_MAX and a header, rounded */
	ENCRYPTED_MIN = 17,       /* RFC 8446 section 5.2: a tag of 16 bytes, and a type */
};

static const char *const patterns[] = {"[\\x14-\\x18]\\x03[\\x01-\\x03][\\x00-\\x48]", NULL};

#define KINDS(type) type ", TLS 1.0", type ", TLS 1.1", type ", TLS 1.2 or 1.3"

enum { VERSIONS = 3 };

/* By type, from LH_TLS_CHANGE_CIPHER_SPEC on, and by version. */
static const char *const kinds[] = {
	KINDS("change cipher spec"), KINDS("alert"),     KINDS("handshake, encrypted"),
	KINDS("application data"),   KINDS("heartbeat"), NULL,
};

static bool is_record_header(uint8_t type, uint8_t major, uint8_t minor, size_t body_bytes)
{
	if (type < LH_TLS_CHANGE_CIPHER_SPEC || type > LH_TLS_HEARTBEAT || major != 3 || minor < 1 || minor > 3)
		return false;
	size_t least = type >= LH_TLS_APPLICATION_DATA ? ENCRYPTED_MIN /* RFC 6520: padding of 16 bytes at least */
		       : type == LH_TLS_HANDSHAKE      ? 4
		       : type == LH_TLS_ALERT          ? 2
						       : 1;
	return body_bytes >= least && body_bytes <= LH_TLS_RECORD_MAX &&
	       (type != LH_TLS_CHANGE_CIPHER_SPEC || body_bytes == 1) && (type != LH_TLS_ALERT || body_bytes <= 256);
}

bool lh_tls_take_record(struct lh_cursor *cursor, struct lh_tls_record *ret)
{
	uint8_t type = lh_cursor_u8(cursor);
	uint8_t major = lh_cursor_u8(cursor);
	uint8_t minor = lh_cursor_u8(cursor);
	size_t length = lh_cursor_be16(cursor);
	if (cursor->failed || !is_record_header(type, major, minor, length))
		return false;
	const uint8_t *body = lh_cursor_take(cursor, length);
	if (!body)
		return false;
	*ret = (struct lh_tls_record){
		.type = type,
		.minor = minor,
		.body = lh_cursor_over(body, length),
		.length = LH_TLS_HEADER_BYTES + length,
	};
	return true;
}

/* RFC 8446 section 6 and appendix B.2: the descriptions in use since SSL 3. */
static bool is_alert_description(uint8_t description)
{
	static const uint8_t known[] = {0,  10, 20, 21, 22, 30, 40, 41,  42,  43,  44,  45,  46,  47,  48,  49,  50,
					51, 60, 70, 71, 80, 86, 90, 100, 109, 110, 111, 112, 113, 114, 115, 116, 120};
	for (size_t i = 0; i < LH_ARRAY_COUNT(known); i++) {
		if (known[i] == description)
			return true;
	}
	return false;
}

/* "15 03 03 00 02 01 00", "14 03 03 00 01 01" */
static bool has_fixed_body(const struct lh_tls_record *record)
{
	const uint8_t *body = record->body.at;
	size_t bytes = lh_cursor_left(&record->body);
	if (record->type == LH_TLS_CHANGE_CIPHER_SPEC)
		return body[0] == 1;
	return record->type == LH_TLS_ALERT && bytes == 2 && (body[0] == 1 || body[0] == 2) &&
	       is_alert_description(body[1]);
}

/* RFC 8446 section 5.1: change cipher spec and alerts in plain have fixed bodies; all else may be encrypted. */
static bool body_is_possible(const struct lh_tls_record *record)
{
	bool is_short = lh_cursor_left(&record->body) < ENCRYPTED_MIN;
	return has_fixed_body(record) || (record->type != LH_TLS_CHANGE_CIPHER_SPEC && !is_short);
}

static bool is_record_followed(struct lh_cursor cursor, const struct lh_tls_record *record)
{
	struct lh_tls_record next;
	/* The ClientHello may say 03 01 where the rest says 03 03 (RFC 8446 appendix D). */
	return lh_tls_take_record(&cursor, &next) && body_is_possible(&next) &&
	       (next.minor == record->minor || record->minor == 1);
}

static bool is_in_record_buffer(const struct lh_candidate *candidate, const struct lh_tls_record *record)
{
	if ((candidate->addr - BUFFER_OFFSET) % 16 || candidate->bytes_before < BUFFER_OFFSET + CHUNK_HEADER_BYTES)
		return false;
	struct lh_cursor header =
		lh_cursor_over(candidate->anchor - BUFFER_OFFSET - CHUNK_HEADER_BYTES, CHUNK_HEADER_BYTES);
	uint64_t size = lh_cursor_le64(&header) & ~(uint64_t)CHUNK_FLAGS;
	return size >= CHUNK_BYTES_MIN && size <= CHUNK_BYTES_MAX && size % 16 == 0 &&
	       record->length + BUFFER_OFFSET <= size - CHUNK_HEADER_BYTES;
}

static bool validate_tls_record(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_tls_record record;
	if (!lh_tls_take_record(&cursor, &record) || !body_is_possible(&record))
		return false;
	if (!candidate->follows_match && !has_fixed_body(&record) && !is_record_followed(cursor, &record) &&
	    !is_in_record_buffer(candidate, &record))
		return false;
	*ret = (struct lh_match){
		.length = record.length,
		.kind = (record.type - LH_TLS_CHANGE_CIPHER_SPEC) * VERSIONS + record.minor - 1,
	};
	return true;
}

static void describe_tls_record(const struct lh_candidate *candidate, const struct lh_match *match,
				char ret[LH_EXAMPLE_MAX])
{
	(void)candidate;
	(void)snprintf(ret, LH_EXAMPLE_MAX, "%s, %zu bytes", kinds[match->kind], match->length);
}

const struct lh_recognizer lh_recognize_tls_record = {
	.name = "tls-record",
	.title = "TLS records",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_tls_record,
	.kinds = kinds,
	.describe = describe_tls_record,
};

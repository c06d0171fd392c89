/*
 * recognize_tls_handshake: TLS records whose handshake messages can be read: RFC 5246 section 7.4,
 * RFC 8446 section 4. The first message must be valid in itself (ClientHello and ServerHello to the
 * last extension, Certificate to the first certificate, ...); more may follow in the same record.
 * A ClientHello or ServerHello with extensions is also known without its record. Shown by message, and a
 * ClientHello by server name (RFC 6066 section 3), ALPN (RFC 7301) and number of ciphers.
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>
#include <string.h>

enum {
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	NEW_SESSION_TICKET = 4,
	ENCRYPTED_EXTENSIONS = 8,
	CERTIFICATE = 11,
	SERVER_KEY_EXCHANGE = 12,
	CERTIFICATE_REQUEST = 13,
	SERVER_HELLO_DONE = 14,
	CERTIFICATE_VERIFY = 15,
	CLIENT_KEY_EXCHANGE = 16,
	CERTIFICATE_STATUS = 22,
	HEADER_BYTES = 4,
	NAME_SHOWN_MAX = 48, /* three fields must fit into an example */
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_PROTOCOLS = 16,
	EXTENSION_SUPPORTED_VERSIONS = 43,
	RANDOM_BYTES = 32,
	SESSION_ID_MAX = 32,
};

enum { PATTERN_RECORD, PATTERN_HELLO };

/* A record; a ClientHello or ServerHello by itself, of less than 4 KiB. */
static const char *const patterns[] = {
	[PATTERN_RECORD] = "\\x16\\x03[\\x01-\\x03][\\x00-\\x48].[\\x01\\x02\\x04\\x08\\x0b-\\x10\\x16]",
	"[\\x01\\x02]\\x00[\\x00-\\x0f].\\x03[\\x01-\\x03]",
	NULL,
};

static bool is_handshake_record(const uint8_t *bytes)
{
	uint8_t type = bytes[5];
	return bytes[0] == 0x16 && bytes[3] <= 0x48 &&
	       ((type >= CERTIFICATE && type <= CLIENT_KEY_EXCHANGE) || type == CLIENT_HELLO || type == SERVER_HELLO ||
		type == NEW_SESSION_TICKET || type == ENCRYPTED_EXTENSIONS || type == CERTIFICATE_STATUS);
}

static bool is_hello(const uint8_t *bytes)
{
	return (bytes[0] == CLIENT_HELLO || bytes[0] == SERVER_HELLO) && bytes[1] == 0 && bytes[2] <= 0x0f;
}

/* Versions 3.1 to 3.3 stand at offset 1 of a record and at offset 4 of a message. */
static void find_tls_handshake(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
			       uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	enum { VERSION_IN_RECORD = 1, VERSION_IN_HELLO = HEADER_BYTES };
	uint64_t majors[LH_FIND_LINES + 1], minors[LH_FIND_LINES + 1];
	kernel->range_masks(data, line_count + 1, 3, 3, majors);
	kernel->range_masks(data, line_count + 1, 1, 3, minors);
	for (size_t k = 0; k < line_count; k++) {
		const uint8_t *line = data + k * LH_LINE_BYTES;
		ret_anchors[0][k] = ret_anchors[PATTERN_HELLO][k] = 0;
		uint64_t records =
			lh_mask_ahead(&majors[k], VERSION_IN_RECORD) & lh_mask_ahead(&minors[k], VERSION_IN_RECORD + 1);
		for (; records; records &= records - 1)
			ret_anchors[PATTERN_RECORD][k] |=
				is_handshake_record(line + __builtin_ctzll(records)) ? records & -records : 0;
		uint64_t hellos =
			lh_mask_ahead(&majors[k], VERSION_IN_HELLO) & lh_mask_ahead(&minors[k], VERSION_IN_HELLO + 1);
		for (; hellos; hellos &= hellos - 1)
			ret_anchors[PATTERN_HELLO][k] |=
				is_hello(line + __builtin_ctzll(hellos)) ? hellos & -hellos : 0;
	}
}

struct hello {
	const uint8_t *server_name;
	size_t server_name_bytes;
	const uint8_t *protocols; /* names of RFC 7301 with their lengths */
	size_t protocols_bytes;
	size_t cipher_count;
	bool is_tls13;
	bool has_extensions;
};

static bool skip_tls_handshake(struct lh_cursor *cursor, size_t bytes)
{
	return lh_cursor_take(cursor, bytes) != NULL || bytes == 0;
}

/* ServerNameList: u16 length, then type 0, u16 length, name. */
static void read_server_name(struct lh_cursor data, struct hello *ret)
{
	(void)lh_cursor_be16(&data);
	uint8_t type = lh_cursor_u8(&data);
	size_t bytes = lh_cursor_be16(&data);
	const uint8_t *name = lh_cursor_take(&data, bytes);
	if (name && type == 0 && bytes && bytes < LH_EXAMPLE_MAX) {
		ret->server_name = name;
		ret->server_name_bytes = bytes;
	}
}

/* Extensions end exactly at the end of the message; there may be none at all (TLS 1.0 to 1.2). */
static bool take_extensions(struct lh_cursor *body, struct hello *ret)
{
	if (lh_cursor_left(body) == 0)
		return true;
	if (lh_cursor_be16(body) != lh_cursor_left(body))
		return false;
	while (lh_cursor_left(body)) {
		uint16_t type = lh_cursor_be16(body);
		size_t bytes = lh_cursor_be16(body);
		const uint8_t *data = lh_cursor_take(body, bytes);
		if (body->failed || !data)
			return false;
		if (type == EXTENSION_SERVER_NAME)
			read_server_name(lh_cursor_over(data, bytes), ret);
		if (type == EXTENSION_PROTOCOLS && bytes > 2) {
			ret->protocols = data + 2;
			ret->protocols_bytes = bytes - 2;
		}
		ret->has_extensions = true;
		ret->is_tls13 |= type == EXTENSION_SUPPORTED_VERSIONS;
	}
	return !body->failed;
}

static bool take_hello_head(struct lh_cursor *body)
{
	uint8_t major = lh_cursor_u8(body);
	uint8_t minor = lh_cursor_u8(body);
	(void)lh_cursor_take(body, RANDOM_BYTES);
	size_t session_id_bytes = lh_cursor_u8(body);
	return major == 3 && minor >= 1 && minor <= 3 && session_id_bytes <= SESSION_ID_MAX &&
	       skip_tls_handshake(body, session_id_bytes) && !body->failed;
}

static bool read_client_hello(struct lh_cursor body, struct hello *ret)
{
	if (!take_hello_head(&body))
		return false;
	size_t cipher_bytes = lh_cursor_be16(&body);
	if (cipher_bytes < 2 || cipher_bytes % 2 || !skip_tls_handshake(&body, cipher_bytes))
		return false;
	ret->cipher_count = cipher_bytes / 2;
	size_t compression_bytes = lh_cursor_u8(&body);
	return compression_bytes >= 1 && skip_tls_handshake(&body, compression_bytes) && take_extensions(&body, ret);
}

static bool read_server_hello(struct lh_cursor body, struct hello *ret)
{
	if (!take_hello_head(&body))
		return false;
	uint16_t cipher = lh_cursor_be16(&body);
	uint8_t compression = lh_cursor_u8(&body);
	return !body.failed && cipher && compression <= 1 && take_extensions(&body, ret);
}

/* RFC 5246 section 7.4.2: u24 length of the list, u24 length of the first, its DER. RFC 8446 puts a context before. */
static bool is_certificate_message(struct lh_cursor body, size_t message_bytes)
{
	size_t list = lh_cursor_be24(&body);
	size_t first = lh_cursor_be24(&body);
	return list + 3 == message_bytes && first + 3 <= list && lh_cursor_u8(&body) == 0x30 &&
	       (lh_cursor_u8(&body) & 0xfe) == 0x82;
}

/* RFC 5246 section 7.4.3, RFC 8422 section 5.4: a named curve, or a prime p of Diffie-Hellman. */
static bool is_server_key_exchange(struct lh_cursor body)
{
	if (lh_cursor_left(&body) < 64)
		return false;
	uint8_t first = body.at[0];
	return (first == 3 && body.at[1] == 0) || first <= 4;
}

/* RFC 5077 section 3.3: u32 lifetime, u16 length of the ticket up to the end. */
static bool is_session_ticket(struct lh_cursor body)
{
	(void)lh_cursor_be32(&body);
	size_t bytes = lh_cursor_be16(&body);
	return !body.failed && bytes >= 16 && bytes == lh_cursor_left(&body);
}

/* u16 algorithm, u16 length up to the end. */
static bool is_certificate_verify(struct lh_cursor body)
{
	uint16_t algorithm = lh_cursor_be16(&body);
	size_t bytes = lh_cursor_be16(&body);
	return !body.failed && algorithm && bytes >= 32 && bytes == lh_cursor_left(&body);
}

/* RFC 8422 section 5.7: u8 length of a point; RFC 5246 section 7.4.7: u16 length. Up to the end. */
static bool is_client_key_exchange(struct lh_cursor body)
{
	size_t left = lh_cursor_left(&body);
	if (left < 33)
		return false;
	return body.at[0] == left - 1 || (size_t)(body.at[0] << 8 | body.at[1]) == left - 2;
}

/* RFC 8446 section 4.3.1 is never in plain; RFC 5246 section 7.4.4: types, algorithms, names. */
static bool is_certificate_request(struct lh_cursor body)
{
	size_t types = lh_cursor_u8(&body);
	if (types < 1 || types > 16 || !skip_tls_handshake(&body, types))
		return false;
	size_t algorithms = lh_cursor_be16(&body);
	if (algorithms % 2 || !skip_tls_handshake(&body, algorithms))
		return false;
	size_t names = lh_cursor_be16(&body);
	return !body.failed && names == lh_cursor_left(&body);
}

/* RFC 6066 section 8: type 1 (OCSP), u24 length up to the end. */
static bool is_certificate_status(struct lh_cursor body)
{
	uint8_t type = lh_cursor_u8(&body);
	size_t bytes = lh_cursor_be24(&body);
	return !body.failed && type == 1 && bytes == lh_cursor_left(&body);
}

/* `body` is the part of a message of `bytes` in this record; only a Certificate may continue in the next record. */
static bool message_is_valid(uint8_t type, struct lh_cursor body, size_t bytes, struct hello *ret)
{
	if (lh_cursor_left(&body) != bytes && type != CERTIFICATE)
		return false;
	switch (type) {
	case CLIENT_HELLO:
		return read_client_hello(body, ret);
	case SERVER_HELLO:
		return read_server_hello(body, ret);
	case NEW_SESSION_TICKET:
		return is_session_ticket(body);
	case CERTIFICATE:
		return is_certificate_message(body, bytes);
	case SERVER_KEY_EXCHANGE:
		return is_server_key_exchange(body);
	case CERTIFICATE_REQUEST:
		return is_certificate_request(body);
	case SERVER_HELLO_DONE:
		return bytes == 0;
	case CERTIFICATE_VERIFY:
		return is_certificate_verify(body);
	case CLIENT_KEY_EXCHANGE:
		return is_client_key_exchange(body);
	case CERTIFICATE_STATUS:
		return is_certificate_status(body);
	default:
		return false;
	}
}

static const char *const kinds[] = {
	"ClientHello",
	"ServerHello",
	"NewSessionTicket",
	"Certificate",
	"ServerKeyExchange",
	"CertificateRequest",
	"ServerHelloDone",
	"CertificateVerify",
	"ClientKeyExchange",
	"CertificateStatus",
	NULL,
};

static unsigned handshake_kind_of(uint8_t type)
{
	static const uint8_t types[] = {
		CLIENT_HELLO,        SERVER_HELLO,      NEW_SESSION_TICKET, CERTIFICATE,         SERVER_KEY_EXCHANGE,
		CERTIFICATE_REQUEST, SERVER_HELLO_DONE, CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, CERTIFICATE_STATUS};
	unsigned kind = 0;
	while (kind + 1 < LH_ARRAY_COUNT(types) && types[kind] != type)
		kind++;
	return kind;
}

/* "ALPN h2 http/1.1": RFC 7301 section 3.1: names with a length byte before each. Returns what it wrote. */
static int write_protocols(const struct hello *hello, char ret[LH_EXAMPLE_MAX], int at)
{
	struct lh_cursor list = lh_cursor_over(hello->protocols, lh_min_u64(hello->protocols_bytes, NAME_SHOWN_MAX));
	int start = at;
	at += snprintf(ret + at, LH_EXAMPLE_MAX - (size_t)at, ", ALPN");
	while (lh_cursor_left(&list)) {
		size_t bytes = lh_cursor_u8(&list);
		const uint8_t *name = lh_cursor_take(&list, bytes);
		if (!name)
			break;
		at += snprintf(ret + at, LH_EXAMPLE_MAX - (size_t)at, " %.*s", (int)bytes, name);
	}
	return at - start;
}

static bool take_message(struct lh_cursor *record, uint8_t *ret_type, struct hello *ret)
{
	uint8_t type = lh_cursor_u8(record);
	size_t bytes = lh_cursor_be24(record);
	size_t here = lh_min_u64(bytes, lh_cursor_left(record));
	const uint8_t *body = lh_cursor_take(record, here);
	*ret_type = type;
	return !record->failed && body && message_is_valid(type, lh_cursor_over(body, here), bytes, ret);
}

/* A record whose messages can all be read. */
static bool validate_record(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_tls_record record;
	if (!lh_tls_take_record(&cursor, &record) || record.type != LH_TLS_HANDSHAKE)
		return false;
	struct hello hello = {0};
	uint8_t first = lh_cursor_left(&record.body) ? *record.body.at : 0;
	uint8_t type;
	do {
		if (!take_message(&record.body, &type, &hello))
			return false;
	} while (lh_cursor_left(&record.body));
	*candidate->examined += record.length;
	*ret = (struct lh_match){.length = record.length, .kind = handshake_kind_of(first)};
	return true;
}

/* A message without its record, as in the buffer in which a library composes it. */
static bool validate_bare(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct hello hello = {0};
	uint8_t type;
	if (lh_cursor_left(&cursor) < HEADER_BYTES)
		return false;
	struct lh_cursor length = lh_cursor_over(candidate->anchor + 1, HEADER_BYTES - 1);
	size_t bytes = HEADER_BYTES + lh_cursor_be24(&length);
	if (bytes > candidate->bytes_after || !take_message(&cursor, &type, &hello) || !hello.has_extensions)
		return false;
	*ret = (struct lh_match){.length = bytes, .kind = handshake_kind_of(type)};
	return true;
}

static bool validate_tls_handshake(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return candidate->pattern == PATTERN_RECORD ? validate_record(candidate, ret) : validate_bare(candidate, ret);
}

static void describe_tls_handshake(const struct lh_candidate *candidate, const struct lh_match *match,
				   char ret[LH_EXAMPLE_MAX])
{
	struct lh_cursor cursor = lh_cursor_over(candidate->anchor, match->length);
	struct lh_tls_record record = {.body = cursor};
	struct hello hello = {0};
	uint8_t type;
	ret[0] = '\0';
	if ((candidate->pattern == PATTERN_RECORD && !lh_tls_take_record(&cursor, &record)) ||
	    !take_message(&record.body, &type, &hello))
		return;
	int length = snprintf(ret, LH_EXAMPLE_MAX, "%s%s", kinds[match->kind], hello.is_tls13 ? ", TLS 1.3" : "");
	if (hello.server_name)
		length += snprintf(ret + length, LH_EXAMPLE_MAX - (size_t)length, ", server name %.*s",
				   (int)lh_min_u64(hello.server_name_bytes, NAME_SHOWN_MAX), hello.server_name);
	if (hello.protocols_bytes)
		length += write_protocols(&hello, ret, length);
	if (hello.cipher_count)
		(void)snprintf(ret + length, LH_EXAMPLE_MAX - (size_t)length, ", %zu ciphers", hello.cipher_count);
}

const struct lh_recognizer lh_recognize_tls_handshake = {
	.name = "tls-handshake",
	.title = "TLS handshake messages",
	.set = LH_PATTERNS_OWN,
	.patterns = patterns,
	.find = find_tls_handshake,
	.validate = validate_tls_handshake,
	.kinds = kinds,
	.describe = describe_tls_handshake,
};

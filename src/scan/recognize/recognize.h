/*
 * recognize: what the recognizers share: classes of bytes, bounded walks around a candidate, DER, names in
 * certificates; and the parts of the pass: where text is, and which row keeps which bytes. Private to scan. All bytes
 * are hostile; nothing reads outside of a candidate's bounds.
 */
#ifndef LEAKHUNT_SCAN_RECOGNIZE_H
#define LEAKHUNT_SCAN_RECOGNIZE_H

#include "leakhunt/sweep.h"
#include "recognizer.h"

#include "leakhunt/scan.h"

/* How far a validator may look back. Matches begin at most this far before their anchor. */
#define LH_LOOK_BACK ((size_t)4096)

/* Anchors of text recognizers lie in a run of at least this many printable characters or line breaks. */
#define LH_TEXT_RUN_MIN 8

/* At most 64: the pass keeps sets of rows in a word. */
#define LH_RECOGNIZERS_MAX LH_MAP_REST

/* ---------------------------------------------------------------- classes of bytes */

/* Disjoint classes; a set of them is their sum. */
enum lh_byte_class {
	LH_BYTE_DIGIT = 1 << 0,
	LH_BYTE_HEX_LOWER = 1 << 1, /* a-f */
	LH_BYTE_LOWER = 1 << 2,     /* g-z */
	LH_BYTE_HEX_UPPER = 1 << 3,
	LH_BYTE_UPPER = 1 << 4,
	LH_BYTE_PLUS = 1 << 5,
	LH_BYTE_SLASH = 1 << 6,
	LH_BYTE_DASH = 1 << 7,
	LH_BYTE_UNDERSCORE = 1 << 8,
	LH_BYTE_DOT = 1 << 9,
	LH_BYTE_PERCENT = 1 << 10,
	LH_BYTE_URL_REST = 1 << 11,  /* ~:?#[]@!$&'()*,;= : what else RFC 3986 allows in a URI */
	LH_BYTE_TEXT_REST = 1 << 12, /* "<>\^`{|} */
	LH_BYTE_BLANK = 1 << 13,     /* space, tab */
	LH_BYTE_BREAK = 1 << 14,     /* CR, LF */

	LH_BYTES_HEX = LH_BYTE_DIGIT | LH_BYTE_HEX_LOWER | LH_BYTE_HEX_UPPER,
	LH_BYTES_LOWER = LH_BYTE_HEX_LOWER | LH_BYTE_LOWER,
	LH_BYTES_UPPER = LH_BYTE_HEX_UPPER | LH_BYTE_UPPER,
	LH_BYTES_ALPHA = LH_BYTES_LOWER | LH_BYTES_UPPER,
	LH_BYTES_ALNUM = LH_BYTES_ALPHA | LH_BYTE_DIGIT,
	LH_BYTES_WORD = LH_BYTES_ALNUM | LH_BYTE_UNDERSCORE,
	LH_BYTES_HOST = LH_BYTES_ALNUM | LH_BYTE_DASH | LH_BYTE_DOT,
	LH_BYTES_BASE64 = LH_BYTES_ALNUM | LH_BYTE_PLUS | LH_BYTE_SLASH,
	LH_BYTES_TOKEN = LH_BYTES_BASE64 | LH_BYTE_DASH | LH_BYTE_UNDERSCORE | LH_BYTE_DOT,
	LH_BYTES_URL =
		LH_BYTES_BASE64 | LH_BYTE_DASH | LH_BYTE_UNDERSCORE | LH_BYTE_DOT | LH_BYTE_PERCENT | LH_BYTE_URL_REST,
	LH_BYTES_LINE = LH_BYTES_URL | LH_BYTE_TEXT_REST | LH_BYTE_BLANK, /* 0x20..0x7e and tab */
	LH_BYTES_TEXT = LH_BYTES_LINE | LH_BYTE_BREAK,
};

extern const uint16_t lh_byte_classes[256];

static inline bool lh_byte_is(uint8_t byte, unsigned classes)
{
	return lh_byte_classes[byte] & classes;
}

/* ---------------------------------------------------------------- around a candidate */

/* Number of consecutive bytes of `classes` from anchor + offset on, or before the anchor; at most `max`. */
size_t lh_span_after(const struct lh_candidate *candidate, size_t offset, size_t max, unsigned classes);
size_t lh_span_before(const struct lh_candidate *candidate, size_t max, unsigned classes);

/* Whether the byte at anchor + offset is readable and of `classes`. */
bool lh_after_is(const struct lh_candidate *candidate, size_t offset, unsigned classes);
/* Whether the byte `distance` (>= 1) before the anchor is readable and of `classes`. */
bool lh_before_is(const struct lh_candidate *candidate, size_t distance, unsigned classes);
/* Whether the bytes at anchor + offset are readable and equal `text`. */
bool lh_after_equals(const struct lh_candidate *candidate, size_t offset, const char *text);
/* Offset from the anchor of `text` in [offset, end), offset <= bytes_after; false if it is not there. */
bool lh_find_after(const struct lh_candidate *candidate, size_t offset, size_t end, const char *text, size_t *ret);
/* Number of bytes from anchor + offset on, before anchor + end <= bytes_after, that are none of `stops`. */
size_t lh_span_until(const struct lh_candidate *candidate, size_t offset, size_t end, const char *stops);
/* How a value is assigned to a name. */
struct lh_assignment {
	bool is_colon;   /* by a colon after an unquoted name: it may be prose */
	bool is_spaced;  /* blanks precede the value */
	bool is_element; /* the value is the text of an XML element */
};

/*
 * Whether a value is assigned to the name that ends at anchor + *offset: name=, name =, name:, name :=, name =>; after
 * a closing quote "name": and "name" :, or two line breaks, as in multipart forms; in XML <name>, name="name" value=
 * and <key>name</key><string>. Moves *offset to the value, or to the quote before it.
 */
bool lh_is_assigned(const struct lh_candidate *candidate, size_t *offset, struct lh_assignment *ret);
/*
 * Length of the value at anchor + *offset. If a quote opens it (*offset is then moved over the quote) or precedes the
 * anchor: up to the closing quote; else as far as bytes are of `classes` or characters in UTF-8. Quotes may be escaped
 * any number of times, as in JSON within a JSON string.
 */
size_t lh_value_bytes(const struct lh_candidate *candidate, size_t *offset, unsigned classes, size_t max);
/* The same for the text of an XML element, up to its closing tag; 0: no closing tag. */
size_t lh_element_bytes(const struct lh_candidate *candidate, size_t *offset, size_t max);
/* Whether bytes are base64 of a user, a colon and a password in printable characters (RFC 7617). */
bool lh_is_basic(const uint8_t *value, size_t length);
/* Whether the value is a placeholder ("%s", "${KEY}", "<password>") or already masked. */
bool lh_is_placeholder(const uint8_t *value, size_t length);
/* A cursor over the bytes from the anchor on. */
struct lh_cursor lh_candidate_cursor(const struct lh_candidate *candidate);

/* Copies bytes as a terminated text, cut off to fit; consecutive white space and line breaks become one blank. */
void lh_example_copy(const uint8_t *bytes, size_t length, char ret[LH_EXAMPLE_MAX]);

/* ---------------------------------------------------------------- names on the Internet */

/*
 * Whether a last label can be a top-level domain: two letters (all of ISO 3166 is delegated), a common generic one
 * (IANA root zone), or one reserved for private use (RFC 6761, RFC 6762, RFC 8375).
 */
bool lh_tld_is_plausible(const uint8_t *label, size_t length);
/* Labels of RFC 1123 between dots: 1 to 63 letters, digits, dashes within. Returns their number, or 0. */
size_t lh_host_labels(const uint8_t *name, size_t length);

/* ---------------------------------------------------------------- DER (X.690) */

/* Takes one element with this tag and a definite, minimal length; false for anything else. */
bool lh_der_take(struct lh_cursor *cursor, uint8_t tag, struct lh_cursor *ret_content);

/* The parts of a TBSCertificate (RFC 5280 section 4.1); slices of the candidate. */
struct lh_certificate {
	const uint8_t *issuer;
	size_t issuer_bytes;
	const uint8_t *subject;
	size_t subject_bytes;
	const uint8_t *not_after; /* UTCTime or GeneralizedTime: digits and 'Z' */
	size_t not_after_bytes;
};

/* Takes a certificate, or the signed part of one, if all its mandatory fields are well-formed. */
typedef bool lh_certificate_reader(struct lh_cursor *cursor, struct lh_certificate *ret);

lh_certificate_reader lh_der_take_tbs;
/* The match is what `take` takes at the anchor. */
bool lh_certificate_match(const struct lh_candidate *candidate, lh_certificate_reader *take, struct lh_match *ret);
/* "CN=host, issuer CN=authority, until 2031-12-24". */
void lh_certificate_describe(const struct lh_candidate *candidate, const struct lh_match *match,
			     lh_certificate_reader *take, char ret[LH_EXAMPLE_MAX]);

/* ---------------------------------------------------------------- PEM (RFC 7468) */

struct lh_pem {
	const uint8_t *label; /* "CERTIFICATE" */
	size_t label_bytes;
	size_t length;       /* from the dashes on */
	bool is_private_key; /* the label ends in "PRIVATE KEY" */
	bool is_complete;    /* an END line with the same label was there */
	size_t body_bytes;   /* between the two lines */
};

/* Reads what follows "-----BEGIN " at the anchor. */
bool lh_pem_read(const struct lh_candidate *candidate, struct lh_pem *ret);
/* Reads an END line, "-----END label-----", at the anchor: label, length of the line, is_private_key. */
bool lh_pem_read_end(const struct lh_candidate *candidate, struct lh_pem *ret);

/* ---------------------------------------------------------------- TLS records (RFC 5246 section 6.2, RFC 8446
 * section 5.1) */

enum {
	LH_TLS_CHANGE_CIPHER_SPEC = 20,
	LH_TLS_ALERT = 21,
	LH_TLS_HANDSHAKE = 22,
	LH_TLS_APPLICATION_DATA = 23,
	LH_TLS_HEARTBEAT = 24, /* RFC 6520 */
	LH_TLS_HEADER_BYTES = 5,
	LH_TLS_RECORD_MAX = 18432, /* 2^14 + 2048 */
};

struct lh_tls_record {
	uint8_t type;
	uint8_t minor; /* 1: TLS 1.0, 3: TLS 1.2 and 1.3 */
	struct lh_cursor body;
	size_t length; /* with the header */
};

/* Takes one record with a valid header; its whole body must be readable. */
bool lh_tls_take_record(struct lh_cursor *cursor, struct lh_tls_record *ret);

/* ---------------------------------------------------------------- deflate (RFC 1951) */

enum lh_inflate_format { LH_INFLATE_ZLIB, LH_INFLATE_GZIP };

/* Kinds of the rows whose content zlib decodes. */
enum { LH_INFLATED_WHOLE, LH_INFLATED_PART };
extern const char *const lh_inflated_kinds[];

/*
 * Whether a stream at the anchor decodes to at least 64 bytes: to its end with the right checksum, or as far as
 * possible.
 */
bool lh_inflate_match(const struct lh_candidate *candidate, enum lh_inflate_format format, struct lh_match *ret);

/* ---------------------------------------------------------------- frames of blocks (zstd, LZ4) */

struct lh_frame {
	/* Takes one block; false: there is none. *ret_is_cut: the block continues where nothing can be read. */
	bool (*take_block)(struct lh_cursor *cursor, const struct lh_frame *frame, bool *ret_is_last, bool *ret_is_cut);
	size_t block_bytes_max;
	size_t block_checksum_bytes; /* after each block except an end mark */
	size_t checksum_bytes;       /* after the last block */
};

extern const char *const lh_frame_kinds[];

/* The frame at the anchor; its blocks begin at the cursor. */
bool lh_frame_match(const struct lh_candidate *candidate, struct lh_cursor *cursor, const struct lh_frame *frame,
		    struct lh_match *ret);
void lh_frame_describe(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX]);

/* ---------------------------------------------------------------- where text is */

/* For lh_recognizer.find: bit i is bit i + distance (1..63) of two consecutive masks. */
static inline uint64_t lh_mask_ahead(const uint64_t masks[2], unsigned distance)
{
	return masks[0] >> distance | masks[1] << (64 - distance);
}

/* Bit i: whether byte i, of at most 64, is of LH_BYTES_TEXT. */
uint64_t lh_text_mask(const struct lh_kernel *kernel, const uint8_t *bytes, size_t length);

/*
 * Walks a piece and finds the windows with runs of at least LH_TEXT_RUN_MIN text bytes: patterns of text recognizers
 * are searched only there. `bytes_before` readable bytes precede `data`.
 */
struct lh_text_windows {
	const struct lh_kernel *kernel;
	const uint8_t *data;
	size_t bytes;
	size_t at;
	uint64_t carry[3]; /* printable, pairs and quadruples in the 64 bytes before `at` */
	uint64_t masks[32];
	size_t mask_count;
	size_t next_mask; /* of the line at `at`; mask_count: not computed yet */
};

void lh_text_windows_init(struct lh_text_windows *windows, const struct lh_kernel *kernel, const uint8_t *data,
			  size_t bytes, size_t bytes_before);
/* The next window [start, end) of offsets, ascending and disjoint; false after the last one. */
bool lh_text_windows_next(struct lh_text_windows *windows, size_t *ret_start, size_t *ret_end);

/* ---------------------------------------------------------------- who keeps which bytes */

/* A match that is not settled yet. */
struct lh_claim {
	uint64_t start;
	uint64_t end;
	uint64_t owned_bytes;
	uint64_t inside_bytes; /* the part of it in lh_claims.inside */
	unsigned kind;
	bool touches_secret;
	bool is_excerpt;            /* the example's text is an excerpt of the match, from its start on */
	uint64_t hash;              /* of its bytes, if it has an example */
	struct lh_example *example; /* owned; NULL: none */
};

/* Called once per claim, in the order of their ends: the row keeps claim->owned_bytes. */
typedef void lh_claim_done(void *context, unsigned row, const struct lh_claim *claim);

/* Called with the bytes that a row keeps, in ascending order. */
typedef struct lh_error *lh_claim_owned(void *context, unsigned row, uint64_t start, uint64_t end);

/* Claims of one row are disjoint and come in ascending order. */
struct lh_claims {
	struct {
		LH_VEC(struct lh_claim) claims;
		size_t first;
	} rows[LH_RECOGNIZERS_MAX];
	uint64_t next_event[LH_RECOGNIZERS_MAX]; /* the start of the first claim, or its end once begun */
	unsigned row_count;
	uint64_t waiting; /* rows that have a claim */
	uint64_t begun;   /* rows whose first claim has begun */
	uint64_t secrets; /* rows that are secret */
	struct lh_range inside;
	uint64_t at;
	lh_claim_done *done;
	lh_claim_owned *owned; /* may be NULL */
	void *context;
	LH_VEC(struct lh_example *) spare; /* examples of claims that are settled, to be used again */
};

/* An example for a claim, all zero. */
struct lh_error *lh_claims_example(struct lh_claims *claims, struct lh_example **ret) LH_NODISCARD;

/* `inside` is all of memory till somebody sets it. */
void lh_claims_init(struct lh_claims *claims, unsigned row_count, uint64_t secrets, lh_claim_done *done, void *context);
/* Takes over claim->example when it succeeds. */
struct lh_error *lh_claims_add(struct lh_claims *claims, unsigned row, const struct lh_claim *claim) LH_NODISCARD;
/* Settles everything before `horizon`: no claim that starts before it may come any more. */
struct lh_error *lh_claims_settle(struct lh_claims *claims, uint64_t horizon) LH_NODISCARD;
void lh_claims_deinit(struct lh_claims *claims);

/* ---------------------------------------------------------------- the rows */

extern const struct lh_recognizer lh_recognize_private_key;
extern const struct lh_recognizer lh_recognize_tls_session;
extern const struct lh_recognizer lh_recognize_url_password;
extern const struct lh_recognizer lh_recognize_credential;
extern const struct lh_recognizer lh_recognize_token;
extern const struct lh_recognizer lh_recognize_password;
extern const struct lh_recognizer lh_recognize_login;
extern const struct lh_recognizer lh_recognize_x509;
extern const struct lh_recognizer lh_recognize_x509_tbs;
extern const struct lh_recognizer lh_recognize_pem;
extern const struct lh_recognizer lh_recognize_tls_ticket;
extern const struct lh_recognizer lh_recognize_tls_handshake;
extern const struct lh_recognizer lh_recognize_tls_record;
extern const struct lh_recognizer lh_recognize_http2;
extern const struct lh_recognizer lh_recognize_png;
extern const struct lh_recognizer lh_recognize_jpeg;
extern const struct lh_recognizer lh_recognize_gzip;
extern const struct lh_recognizer lh_recognize_zlib;
extern const struct lh_recognizer lh_recognize_zstd;
extern const struct lh_recognizer lh_recognize_lz4;
extern const struct lh_recognizer lh_recognize_elf;
extern const struct lh_recognizer lh_recognize_sqlite;
extern const struct lh_recognizer lh_recognize_resp;
extern const struct lh_recognizer lh_recognize_utf16;
extern const struct lh_recognizer lh_recognize_uuid;
extern const struct lh_recognizer lh_recognize_url;
extern const struct lh_recognizer lh_recognize_des_hash;
extern const struct lh_recognizer lh_recognize_email;
extern const struct lh_recognizer lh_recognize_hostname;
extern const struct lh_recognizer lh_recognize_base64;
extern const struct lh_recognizer lh_recognize_cjk;
extern const struct lh_recognizer lh_recognize_sql;
extern const struct lh_recognizer lh_recognize_http1;
extern const struct lh_recognizer lh_recognize_json;
extern const struct lh_recognizer lh_recognize_log_line;

#endif

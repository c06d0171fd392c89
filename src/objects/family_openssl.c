/*
 * family_openssl: types of OpenSSL 1.1.1 to 3.5, by the tables that their objects point to and by what stands
 * around the pointer. No size and no version is asked for: fields are recognized by what they hold.
 *
 * Sources: ssl/ssl_local.h and ssl/ssl_local.h of 3.2 (struct ssl_st, ssl_ctx_st, ssl_session_st),
 * crypto/bio/bio_local.h, crypto/evp/evp_local.h, include/crypto/x509.h, include/crypto/evp.h.
 */
#include "families.h"
#include "openssl_tables.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum {
	RWSTATE_MAX = 8, /* SSL_RETRY_VERIFY */
	MASTER_KEY_MAX = 256,
};

struct openssl_rule {
	const char *name; /* of the type */
	/* Patterns (fnmatch) of the accessor functions of the tables, NULL-terminated; NULL: tables that bear a string.
	 */
	const char *const *accessors;
	/* Whether the word belongs to an object of this type; fills `ret` with what is special to it, or "". */
	bool (*is_object)(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX]);
	bool has_buffers; /* of records */
};

static uint32_t low_half(uint64_t word)
{
	return (uint32_t)word;
}

/* Where the pointer lies in its chunk; SIZE_MAX when that is not known. */
static uint64_t place_in_chunk(const struct lh_object_view *view)
{
	return view->has_chunk ? view->hit->addr - view->chunk.memory_addr : UINT64_MAX;
}

/* Objects of other allocators have no chunk: then only what is around the pointer counts. */
static bool is_placed_below(const struct lh_object_view *view, uint64_t limit)
{
	return !view->has_chunk || place_in_chunk(view) < limit;
}

/* ---------------------------------------------------------------- SSL */

/*
 * {BIO *rbio, *wbio, *bbio; int rwstate; int (*handshake_func)(SSL *); int server; ...}: the same in all
 * versions. The side is asked of `server`: a server of TLS 1.3 has the client's table (1.1.1, 3.0).
 */
static bool is_connection_state(const struct lh_object_view *view, int64_t offset, const char **ret_side)
{
	uint64_t words[6];
	for (int64_t i = 0; i < 6; i++) {
		if (!lh_object_word(view, offset + i * 8, &words[i]))
			return false;
	}
	for (int i = 0; i < 3; i++) {
		if (words[i] && !lh_object_is_pointer(words[i]))
			return false;
	}
	if (!low_half(words[3]) || low_half(words[3]) > RWSTATE_MAX || low_half(words[5]) > 1 ||
	    (words[4] && !lh_symbols_is_code(view->symbols, words[4])))
		return false;
	*ret_side = !words[4] ? "no side yet" : low_half(words[5]) ? "server" : "client";
	return true;
}

/*
 * Where the pointer to the method lies in the object, and from there the version and the state: up to 3.1,
 * in 3.2, and with user_ssl before them.
 */
static const struct {
	uint64_t method;
	int64_t version;
	int64_t state;
} connection_layouts[] = {{8, -8, 8}, {24, 40, 48}, {24, 48, 56}};

static bool is_ssl(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX])
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(connection_layouts); i++) {
		uint64_t version;
		const char *side;
		/* A buffer may still hold what lay there before it: an object is a chunk of its own. */
		if ((view->has_chunk && place_in_chunk(view) != connection_layouts[i].method) ||
		    !lh_object_word(view, connection_layouts[i].version, &version) ||
		    !lh_tls_protocol_name(low_half(version)) ||
		    !is_connection_state(view, connection_layouts[i].state, &side))
			continue;
		snprintf(ret, LH_OBJECT_DETAIL_MAX, "%s, %s", side, lh_tls_protocol_name(low_half(version)));
		return true;
	}
	return false;
}

/* {[OSSL_LIB_CTX *libctx;] method; cipher_list, cipher_list_by_id, tls13_ciphersuites, cert_store, sessions; ...} */
static bool is_ssl_ctx(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX])
{
	for (int64_t i = 1; i <= 5; i++) {
		uint64_t word;
		if (!lh_object_word(view, i * 8, &word) || !lh_object_is_pointer(word))
			return false;
	}
	snprintf(ret, LH_OBJECT_DETAIL_MAX, "%s()", view->target->name);
	return is_placed_below(view, 16);
}

/* {int ssl_version; size_t master_key_length; ... const SSL_CIPHER *cipher; ...}; the cipher names itself. */
static bool is_session(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX])
{
	uint64_t version, key_bytes;
	int64_t start = -(int64_t)place_in_chunk(view);
	if (!view->has_chunk || !lh_object_word(view, start, &version) ||
	    !lh_object_word(view, start + 8, &key_bytes) || !lh_tls_protocol_name(low_half(version)) || !key_bytes ||
	    key_bytes > MASTER_KEY_MAX)
		return false;
	snprintf(ret, LH_OBJECT_DETAIL_MAX, "%s, %.32s", lh_tls_protocol_name(low_half(version)), view->target->name);
	return true;
}

/* The beginning of an object that may own buffers, as words. */
struct owner_words {
	uint64_t words[1024];
	size_t count;
};

static void read_owner(const struct lh_image *image, uint64_t addr, uint64_t bytes, struct owner_words *ret)
{
	ret->count = lh_image_read(image, addr, ret->words, lh_min_u64(bytes, sizeof(ret->words))) / 8;
}

static bool find_chunk_at(const struct lh_heap *heap, uint64_t addr, struct lh_chunk *ret)
{
	enum { SIZE_MAX_BYTES = 1 << 18 };
	return lh_object_is_pointer(addr) && lh_object_find_chunk(heap, addr, ret) && ret->memory_addr == addr &&
	       ret->size_bytes <= SIZE_MAX_BYTES;
}

/*
 * {unsigned char *buf; size_t default_len, len, offset, left; ...} (ssl/record/record.h, from 3.2 on
 * ssl/record/methods/recmethod_local.h), for what is read and for what is written: `buf` is as long as `len` says.
 */
static bool find_record_buffer(const struct lh_heap *heap, const uint64_t *words, struct lh_chunk *ret)
{
	enum { ADDR, DEFAULT, LENGTH, OFFSET, LEFT, LENGTH_MIN = 512, LENGTH_MAX = 1 << 17 };
	if (words[LENGTH] < LENGTH_MIN || words[LENGTH] > LENGTH_MAX || words[DEFAULT] > LENGTH_MAX ||
	    words[OFFSET] > words[LENGTH] || words[LEFT] > words[LENGTH] - words[OFFSET] ||
	    !find_chunk_at(heap, words[ADDR], ret))
		return false;
	/* malloc.c, request2size; up to 16 bytes that are too few for a chunk stay in it. */
	uint64_t least = lh_align_up(words[LENGTH] + 8, 16);
	return ret->size_bytes >= least && ret->size_bytes <= least + 16;
}

/* {libctx, propq, int isdtls, version, role, direction, ...} (recmethod_local.h of 3.2 to 3.5). */
static bool is_record_layer(const struct owner_words *owner)
{
	enum { DTLS_VERSION = 2, ROLE_DIRECTION = 3, WORDS_MIN = 64 };
	return owner->count >= WORDS_MIN && low_half(owner->words[DTLS_VERSION]) <= 1 &&
	       lh_tls_protocol_name((uint32_t)(owner->words[DTLS_VERSION] >> 32)) &&
	       !(owner->words[ROLE_DIRECTION] & ~(uint64_t)0x100000001);
}

/* ---------------------------------------------------------------- libcrypto */

/* The table is the first thing in the object, or the second behind a library context. */
static bool is_headed_by_table(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX])
{
	snprintf(ret, LH_OBJECT_DETAIL_MAX, "%s()", view->target->name);
	return view->has_chunk && place_in_chunk(view) < 16;
}

static bool begins_with_table(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX])
{
	return is_headed_by_table(view, ret) && place_in_chunk(view) == 0;
}

/*
 * {version; ASN1_INTEGER serialNumber {int length, type; data; flags}; X509_ALGOR signature {algorithm@32}; ...
 * X509_ALGOR sig_alg ...}: both algorithms are the same, and the serial is an integer (V_ASN1_INTEGER, or negative).
 */
static bool is_certificate(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX])
{
	enum { ALGORITHM = 32, TYPE_INTEGER = 2, TYPE_NEGATIVE = 0x102, SIGNATURE_MAX = 192 };
	uint64_t serial;
	if (!view->has_chunk || place_in_chunk(view) != ALGORITHM || !lh_object_word(view, -24, &serial) ||
	    (serial >> 32 != TYPE_INTEGER && serial >> 32 != TYPE_NEGATIVE))
		return false;
	for (int64_t at = 8; at <= SIGNATURE_MAX; at += 8) {
		uint64_t word;
		if (!lh_object_word(view, at, &word))
			return false;
		if (word == view->target->addr) {
			snprintf(ret, LH_OBJECT_DETAIL_MAX, "%.48s", view->target->name);
			return true;
		}
	}
	return false;
}

/* {int type; int save_type; ... const EVP_PKEY_ASN1_METHOD *ameth ...}: the table begins with the same type. */
static bool is_key(const struct lh_object_view *view, char ret[LH_OBJECT_DETAIL_MAX])
{
	enum { TYPE_MAX = 5000 }; /* numbers of objects (obj_mac.h) */
	uint64_t type, table_type;
	if (!view->has_chunk || place_in_chunk(view) > 16 || !place_in_chunk(view) ||
	    !lh_object_word(view, -(int64_t)place_in_chunk(view), &type) ||
	    lh_image_read(view->image, view->target->addr, &table_type, 8) != 8 || !low_half(type) ||
	    low_half(type) > TYPE_MAX || low_half(type) != low_half(table_type))
		return false;
	snprintf(ret, LH_OBJECT_DETAIL_MAX, "%.48s", view->target->name);
	return true;
}

/* ---------------------------------------------------------------- the table */

#define PATTERNS(...)             \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

/* A method of TLS is known by its accessor, or as nearly the same table as one. */
#define METHODS PATTERNS("TLS*_method", "DTLS*_method", "SSLv*_method")
#define DIGESTS PATTERNS("EVP_md*", "EVP_sha*", "EVP_blake*", "EVP_ripemd*", "EVP_sm3", "EVP_whirlpool")

static const struct openssl_rule openssl_rules[] = {
	{"SSL", METHODS, is_ssl, true},
	{"SSL_CTX", METHODS, is_ssl_ctx, false},
	{"BIO", PATTERNS("BIO_s_*", "BIO_f_*"), is_headed_by_table, false},
	{"EVP_MD_CTX", DIGESTS, begins_with_table, false},
	{"EVP_CIPHER_CTX", PATTERNS("EVP_*"), begins_with_table, false},
	{"RSA", PATTERNS("RSA_PKCS1_OpenSSL"), is_headed_by_table, false},
	{"DSA", PATTERNS("DSA_OpenSSL"), is_headed_by_table, false},
	{"EC_KEY", PATTERNS("EC_KEY_OpenSSL"), is_headed_by_table, false},
	{"SSL_SESSION", NULL, is_session, false},
	{"X509", NULL, is_certificate, false},
	{"EVP_PKEY", NULL, is_key, false},
	{.name = NULL},
};

static bool fits_accessor(const struct openssl_rule *rule, const char *accessor)
{
	for (size_t i = 0; rule->accessors && rule->accessors[i]; i++) {
		if (fnmatch(rule->accessors[i], accessor, 0) == 0)
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- the family */

enum { ROLE_ACCESSOR, ROLE_STRING };

static bool is_accessor_table(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	bool is_similar;
	ret->role = ROLE_ACCESSOR;
	ret->name = lh_symbols_accessor(symbols, ret->addr, &is_similar);
	ret->name = ret->name ? ret->name : lh_openssl_method_name(symbols, ret->addr);
	for (const struct openssl_rule *rule = openssl_rules; ret->name && rule->name; rule++) {
		if (fits_accessor(rule, ret->name))
			return true;
	}
	return false;
}

static bool is_string_table(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	ret->role = ROLE_STRING;
	ret->name = lh_symbols_string_name(symbols, ret->addr);
	ret->name = ret->name ? ret->name : lh_openssl_constant_name(symbols, ret->addr);
	return ret->name != NULL;
}

static struct lh_error *count_owned(struct lh_object_sink *sink, const char *name, const struct lh_chunk *chunk)
{
	struct lh_object_claim claim = {
		.name = name,
		.addr = chunk->memory_addr,
		.bytes = chunk->size_bytes,
		.is_freed = !chunk->is_used,
		.detail = "of SSL",
	};
	return lh_object_sink_add(sink, &claim);
}

static struct lh_error *count_record_buffers(struct lh_object_sink *sink, const struct lh_heap *heap,
					     const struct owner_words *owner)
{
	enum { BUFFER_WORDS = 5 };
	struct lh_chunk buffer;
	for (size_t i = 0; i + BUFFER_WORDS <= owner->count; i++) {
		if (find_record_buffer(heap, owner->words + i, &buffer))
			LH_TRY(count_owned(sink, "record buffer", &buffer));
	}
	return NULL;
}

/* Buffers are the connection's up to 3.1, and from 3.2 on those of two record layers that it points to. */
static struct lh_error *count_records(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	struct owner_words connection, layer;
	struct lh_chunk chunk;
	read_owner(view->image, view->chunk.memory_addr, view->chunk.size_bytes - 8, &connection);
	LH_TRY(count_record_buffers(sink, view->heap, &connection));
	for (size_t i = 0; i < connection.count; i++) {
		if (!find_chunk_at(view->heap, connection.words[i], &chunk) || !chunk.is_used)
			continue;
		read_owner(view->image, chunk.memory_addr, chunk.size_bytes - 8, &layer);
		if (!is_record_layer(&layer))
			continue;
		LH_TRY(count_owned(sink, "record layer", &chunk));
		LH_TRY(count_record_buffers(sink, view->heap, &layer));
	}
	return NULL;
}

static struct lh_error *take_openssl(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	for (const struct openssl_rule *rule = openssl_rules; rule->name; rule++) {
		uint64_t addr = view->has_chunk ? view->chunk.memory_addr : view->hit->addr;
		struct lh_object_claim claim = lh_object_claim_of(view, rule->name, addr);
		bool fits =
			view->target->role == ROLE_STRING ? !rule->accessors : fits_accessor(rule, view->target->name);
		if (!fits || !rule->is_object(view, claim.detail))
			continue;
		LH_TRY(lh_object_sink_add(sink, &claim));
		return view->has_chunk && view->chunk.is_used && rule->has_buffers ? count_records(sink, view) : NULL;
	}
	return NULL;
}

const struct lh_object_family lh_family_openssl = {
	.kind = "OpenSSL",
	.is_table = is_accessor_table,
	.take = take_openssl,
};

const struct lh_object_family lh_family_openssl_named = {
	.kind = "OpenSSL",
	.yields_to_classes = true,
	.is_table = is_string_table,
	.take = take_openssl,
};

/*
 * family_mbedtls: connections of Mbed TLS and their sessions, contexts of keys and of ciphers. Input: words that point
 * to a table of the library, told by its contents; a walk finds configurations, which point to a profile of
 * certificates, and connections are what begins with a pointer to one.
 *
 * Mbed TLS 2.16 to 3.6. x509_crt.h: mbedtls_x509_crt_profile is {uint32_t allowed_mds, allowed_pks, allowed_curves,
 * rsa_min_bitlen}. ssl.h: mbedtls_ssl_config begins with versions, then {uint8_t endpoint, transport ...};
 * mbedtls_ssl_context is {conf; int state ...; session_in, session_out, session, session_negotiate; handshake;
 * transform_in, transform_out, transform, transform_negotiate, [transform_application, with TLS 1.3;] p_timer;
 * f_set_timer; f_get_timer; in_buf, in_ctr, in_hdr, [in_cid,] in_len, in_iv ...; out_buf, out_ctr ...}.
 * pk_wrap.h: mbedtls_pk_info_t {type; name@8; get_bitlen@16; can_do@24 ...}; pk.h: mbedtls_pk_context {pk_info;
 * pk_ctx}. cipher.h: mbedtls_cipher_info_t {type, mode, key_bitlen; name@16 ...}, or {name; bits ...} since 3.2;
 * mbedtls_cipher_context_t {cipher_info; int key_bitlen; operation; [add_padding; get_padding;] ... cipher_ctx ...}.
 *
 * Self-check: both buffers of a connection are divided as a record's head is; a context of a key or cipher has a block.
 */
#include "block_shares.h"
#include "families.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum role { ROLE_KEY, ROLE_CIPHER, ROLE_CONFIGURATION };

enum { NAME_MAX_BYTES = 32 };

/* ---------------------------------------------------------------- tables */

static bool is_key_table(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	enum { NAME = 8, LENGTH_FUNCTION = 16, CAN_DO = 24, TYPE_MAX = 8 };
	static const char *const names[] = {"RSA", "EC", "EC_DH", "ECDSA", "RSA-alt", "Opaque"};
	uint64_t type, name, code;
	if (!lh_symbols_read_number(symbols, ret->addr, &type) || !(uint32_t)type || (uint32_t)type > TYPE_MAX ||
	    !lh_symbols_read_pointer(symbols, ret->addr + LENGTH_FUNCTION, &code) ||
	    !lh_symbols_is_code(symbols, code) || !lh_symbols_read_pointer(symbols, ret->addr + CAN_DO, &code) ||
	    !lh_symbols_is_code(symbols, code) || !lh_symbols_read_pointer(symbols, ret->addr + NAME, &name))
		return false;
	ret->name = lh_symbols_read_name(symbols, name, NAME_MAX_BYTES);
	for (size_t i = 0; ret->name && i < LH_ARRAY_COUNT(names); i++) {
		if (strcmp(ret->name, names[i]) == 0)
			return true;
	}
	return false;
}

static bool is_cipher_table(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	static const char *const names[] = {"AES-*", "ARIA-*",     "CAMELLIA-*", "CHACHA20*",
					    "DES-*", "BLOWFISH-*", "ARC4-*"};
	enum { NAME = 16 };
	for (uint64_t at = 0; at <= NAME; at += NAME) {
		uint64_t name;
		if (!lh_symbols_read_pointer(symbols, ret->addr + at, &name))
			continue;
		ret->name = lh_symbols_read_name(symbols, name, NAME_MAX_BYTES);
		for (size_t i = 0; ret->name && i < LH_ARRAY_COUNT(names); i++) {
			if (fnmatch(names[i], ret->name, 0) == 0)
				return true;
		}
	}
	return false;
}

static bool is_mbedtls_table(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	ret->role = ROLE_KEY;
	if (is_key_table(symbols, ret))
		return true;
	ret->role = ROLE_CIPHER;
	return is_cipher_table(symbols, ret);
}

/* ---------------------------------------------------------------- configurations */

/* mbedtls_x509_crt_profile_default and _next allow keys of all kinds; others are told by their names. */
static bool is_certificate_profile(struct lh_symbols *symbols, uint64_t addr)
{
	enum { ALL_KEYS = 0xfffffff, DIGESTS_MAX = 1 << 16, BITS_UNIT = 512, BITS_MAX = 16384 };
	uint64_t digests, curves;
	struct lh_symbol symbol;
	if (!lh_symbols_read_number(symbols, addr, &digests) || !(uint32_t)digests ||
	    (uint32_t)digests >= DIGESTS_MAX || !lh_symbols_read_number(symbols, addr + 8, &curves) ||
	    curves >> 32 > BITS_MAX || curves >> 32 & (BITS_UNIT - 1))
		return false;
	if (digests >> 32 == ALL_KEYS && curves >> 32)
		return true;
	return lh_symbols_find(symbols, addr, &symbol) && !symbol.offset &&
	       strncmp(symbol.name, "mbedtls_x509_crt_profile_", strlen("mbedtls_x509_crt_profile_")) == 0;
}

/* Where in a configuration the profile lies depends on how the library was built. */
static struct lh_error *add_configurations(const struct lh_family_setup *setup, uint64_t place)
{
	enum { CONFIGURATION_MAX = 512 };
	for (uint64_t before = 8; before <= CONFIGURATION_MAX; before += 8) {
		struct lh_family_target target = {place - before, ROLE_CONFIGURATION, ""};
		LH_TRY(lh_family_add_target(setup, &target));
	}
	return NULL;
}

static struct lh_error *take_profile_place(void *context, const struct lh_object_view *view)
{
	return add_configurations(context, view->hit->addr);
}

static struct lh_error *find_static_configurations(void *context, const struct lh_module_data *data)
{
	const struct lh_family_setup *setup = context;
	for (size_t i = 0; i < data->count; i++) {
		if (data->words[i] >= LH_PAGE_BYTES && data->words[i] % 4 == 0 &&
		    is_certificate_profile(setup->symbols, data->words[i]))
			LH_TRY(add_configurations(setup, data->addr + 8 * i));
	}
	return NULL;
}

static struct lh_error *find_configurations(const struct lh_family_setup *setup)
{
	struct lh_family_setup own = *setup;
	LH_TRY(lh_family_visit_module_data(setup, find_static_configurations, &own));
	for (size_t i = 0; i < setup->census->rows.count && i < LH_FAMILY_CENSUS_MAX; i++) {
		uint64_t addr = setup->census->rows.items[i].target_addr;
		if (addr % 4 || !(addr & UINT16_MAX) || lh_symbols_is_code(setup->symbols, addr) ||
		    !is_certificate_profile(setup->symbols, addr))
			continue;
		struct lh_word_pattern low = {
			.first = (uint32_t)addr, .last = (uint32_t)addr, .high_max = (uint32_t)(addr >> 32)};
		LH_TRY(lh_family_walk(setup, &low, 1, take_profile_place));
	}
	return NULL;
}

/* ---------------------------------------------------------------- connections */

enum { WORDS_MAX = 80, WORDS_BEFORE_BUFFER = 13 };

/* {buffer; counter; head; [connection ID;] length; initialization vector ...}, of TLS or of DTLS (ssl_msg.c). */
static bool is_divided(const uint64_t *words)
{
	enum { COUNTER = 8, LENGTH = 3, LENGTH_BYTES = 2 };
	uint64_t buffer = words[0], counter = words[1], head = words[2];
	bool is_stream = counter == buffer && head == buffer + COUNTER;
	bool is_datagram = head == buffer && counter == buffer + LENGTH;
	uint64_t length = is_stream ? head + LENGTH : counter + COUNTER;
	return lh_object_is_pointer(buffer) && (is_stream || is_datagram) && words[3] == length &&
	       (words[4] == length + LENGTH_BYTES || (words[4] == length && words[5] == length + LENGTH_BYTES));
}

static size_t find_divided(const uint64_t *words, size_t first)
{
	enum { DIVIDED_WORDS = 6 };
	for (size_t i = first; i + DIVIDED_WORDS <= WORDS_MAX; i++) {
		if (is_divided(words + i))
			return i;
	}
	return 0;
}

/* {session_in, session_out, session, session_negotiate}; NULL while keys change. */
static const uint64_t *find_tls_sessions(const uint64_t *words, size_t buffer)
{
	for (size_t later = 0; later <= 1; later++) {
		const uint64_t *sessions = words + buffer - WORDS_BEFORE_BUFFER + !later, *transforms = sessions + 5;
		if (sessions[0] == sessions[2] && sessions[1] == sessions[2] && !sessions[3] == !sessions[4] &&
		    transforms[0] == transforms[2] && transforms[1] == transforms[2] && (sessions[2] || sessions[3]))
			return sessions;
	}
	return NULL;
}

static struct lh_error *take_tls_sessions(struct lh_object_sink *sink, const struct lh_object_view *view,
					  const uint64_t *sessions)
{
	for (size_t i = 2; sessions && i <= 3; i++) {
		struct lh_object_claim claim = {.name = "mbedtls_ssl_session", .addr = sessions[i]};
		if (!lh_object_is_pointer(sessions[i]))
			continue;
		claim.bytes = lh_block_bytes_of(view, sessions[i]);
		LH_TRY(lh_object_sink_add(sink, &claim));
	}
	return NULL;
}

/* Versions of 2.x are {3, minor, 3, minor}; of 3.x two of 32 bits. */
static const char *mbedtls_side(const struct lh_object_view *view)
{
	uint8_t head[16];
	if (lh_image_read(view->image, view->target->addr, head, sizeof(head)) != sizeof(head))
		return "";
	return head[2] == 3 ? (head[4] ? "server" : "client") : (head[8] ? "server" : "client");
}

static struct lh_error *take_tls_connection(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	enum { STATE_MAX = 64, STATE = 1, FIRST = 16 };
	uint64_t addr = view->hit->addr, words[WORDS_MAX] = {0};
	if (lh_image_read(view->image, addr, words, sizeof(words)) < sizeof(words) / 2 ||
	    (uint32_t)words[STATE] > STATE_MAX)
		return NULL;
	size_t in = find_divided(words, FIRST), out = in ? find_divided(words, in + 1) : 0;
	if (!out)
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "mbedtls_ssl_context", addr);
	claim.bytes += lh_object_chunk_bytes(view, words[in]) + lh_object_chunk_bytes(view, words[out]);
	snprintf(claim.detail, sizeof(claim.detail), "%s", mbedtls_side(view));
	LH_TRY(lh_object_sink_add(sink, &claim));
	return claim.is_freed ? NULL : take_tls_sessions(sink, view, find_tls_sessions(words, in));
}

/* ---------------------------------------------------------------- keys and ciphers */

/* A block in use begins there; where blocks are not known, any pointer will do. */
static bool is_context_block(const struct lh_object_view *view, uint64_t addr)
{
	struct lh_chunk chunk;
	if (!lh_object_is_pointer(addr))
		return false;
	return !view->heap ||
	       (lh_object_find_chunk(view->heap, addr, &chunk) && chunk.is_used && chunk.memory_addr == addr);
}

static bool is_code_or_null(const struct lh_object_view *view, uint64_t word)
{
	return !word || lh_symbols_is_code(view->symbols, word);
}

static bool is_cipher_state(const struct lh_object_view *view, uint64_t *ret_block)
{
	enum { STATE = 8, PADDING = 16, BLOCK_FIRST = 64, BLOCK_LAST = 88, BITS_MAX = 512 };
	uint64_t word, addr = view->hit->addr;
	if (!lh_object_read(view, addr + STATE, &word) || (uint32_t)word > BITS_MAX || word % 8 ||
	    (int32_t)(word >> 32) < -1 || (int32_t)(word >> 32) > 1 || !lh_object_read(view, addr + PADDING, &word) ||
	    !is_code_or_null(view, word) || !lh_object_read(view, addr + PADDING + 8, &word) ||
	    !is_code_or_null(view, word))
		return false;
	for (uint64_t at = BLOCK_FIRST; at <= BLOCK_LAST; at += 8) {
		if (lh_object_read(view, addr + at, ret_block) && is_context_block(view, *ret_block))
			return true;
	}
	return false;
}

static struct lh_error *take_crypto_context(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	bool is_key = view->target->role == ROLE_KEY;
	uint64_t block;
	if (!(is_key ? lh_object_word(view, 8, &block) && is_context_block(view, block)
		     : is_cipher_state(view, &block)))
		return NULL;
	struct lh_object_claim claim = {.name = is_key ? "mbedtls_pk_context" : "mbedtls_cipher_context_t",
					.addr = view->hit->addr};
	snprintf(claim.detail, sizeof(claim.detail), "%s", view->target->name);
	claim.is_freed = view->has_chunk && !view->chunk.is_used;
	claim.bytes = lh_object_chunk_bytes(view, block) + lh_block_bytes_of(view, claim.addr);
	return lh_object_sink_add(sink, &claim);
}

static struct lh_error *take_mbedtls(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	return view->target->role == ROLE_CONFIGURATION ? take_tls_connection(sink, view)
							: take_crypto_context(sink, view);
}

const struct lh_object_family lh_family_mbedtls = {
	.kind = "mbedTLS",
	.is_table = is_mbedtls_table,
	.prepare = find_configurations,
	.take = take_mbedtls,
};

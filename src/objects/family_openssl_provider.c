/*
 * family_openssl_provider: contexts and keys of OpenSSL 3 whose algorithms come from providers. Their methods are not
 * tables of the library but objects in the heap, EVP_MD, EVP_CIPHER and EVP_KEYMGMT; these are found first, by the
 * functions of a provider that they hold, which the census has met; contexts and keys point to them.
 *
 * OpenSSL 3.0 to 3.5, include/crypto/evp.h, crypto/evp/evp_local.h: each method has {int name_id; char *type_name;
 * const char *description; OSSL_PROVIDER *prov; refcnt; [lock, before 3.2;] functions ...}, an EVP_KEYMGMT from its
 * start or, in 3.5, behind {int id, name_id, legacy_alg}, an EVP_MD and an EVP_CIPHER behind what is there of 1.1.1:
 * {type, pkey_type; md_size ... block_size@72} and {nid, block_size; key_len, iv_len; ...}. EVP_MD_CTX is {reqdigest,
 * digest ...}, EVP_CIPHER_CTX {cipher; engine; int encrypt, buf_len ...}, EVP_PKEY {type, save_type; ameth; ...;
 * keymgmt, keydata; dirty_cnt; operation_cache; dirty_cnt_copy; {bits, security_bits, size}}.
 *
 * Self-check: a method has a name, a provider, references and four functions in a row of one library; a context
 * begins with it and has the small numbers that it should; a key knows its bits.
 */
#include "families.h"
#include "leakhunt/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORDS_BEFORE = 40, /* of a function, among which its method's name may lie */
	WORDS_AFTER = 8,
	WINDOW_WORDS = WORDS_BEFORE + WORDS_AFTER,
	NAME_MAX_BYTES = 48,
	REFERENCES_MAX = 1 << 24,
	IDS_MAX = 1 << 20,
	FUNCTIONS_MIN = 3,
	KEY_DATA_WORDS = 32,
	METHODS_MAX = 4096,
	/* What lies before the name. */
	NAME_OF_KEYMGMT = 8,
	NAME_OF_NUMBERED_KEYMGMT = 16, /* 3.5 */
	NAME_OF_DIGEST = 96,
	NAME_OF_CIPHER = 104,
};

enum { ROLE_DIGEST, ROLE_CIPHER, ROLE_KEYMGMT };

struct method_search {
	const struct lh_family_setup *setup;
	LH_VEC(uint64_t) found; /* addresses of methods, each once */
};

static void method_search_deinit(struct method_search *search)
{
	lh_vec_deinit(&search->found);
}

static bool is_function(const struct method_search *search, uint64_t word)
{
	return word && lh_symbols_is_code(search->setup->symbols, word);
}

/* {type_name, description, prov, refcnt, [lock,] functions}, from words[i] on. */
static bool is_method_part(const struct method_search *search, const uint64_t *words, size_t i)
{
	if (i + 4 + FUNCTIONS_MIN > WINDOW_WORDS || !words[i] || !lh_object_is_pointer(words[i + 2]) ||
	    !(uint32_t)words[i + 3] || (uint32_t)words[i + 3] > REFERENCES_MAX || is_function(search, words[i + 2]))
		return false;
	size_t first = is_function(search, words[i + 4]) ? i + 4 : i + 5;
	if (first == i + 5 && !lh_object_is_pointer(words[i + 4]))
		return false;
	size_t functions = 0;
	for (size_t at = first; at < WINDOW_WORDS && is_function(search, words[at]); at++)
		functions++;
	return functions >= FUNCTIONS_MIN;
}

static bool read_provider_at(const struct method_search *search, uint64_t addr, void *ret, size_t bytes)
{
	return lh_image_read(search->setup->image, addr, ret, bytes) == bytes;
}

/* {int type, pkey_type; int md_size; ...; 5 functions of 1.1.1, which are not there; int block_size ...} */
static bool is_digest(const struct method_search *search, uint64_t addr)
{
	enum { DIGEST_MAX = 128, BLOCK_MAX = 256 };
	uint64_t words[10];
	if (!read_provider_at(search, addr, words, sizeof(words)) || words[4] || words[5] || words[6])
		return false;
	uint32_t digest = (uint32_t)words[1], block = (uint32_t)words[9];
	return digest <= DIGEST_MAX && block && block <= BLOCK_MAX;
}

/* {int nid, block_size; int key_len, iv_len; ulong flags; int origin; 3 functions of 1.1.1 ...} */
static bool is_cipher(const struct method_search *search, uint64_t addr)
{
	enum { BLOCK_MAX = 32, KEY_MAX = 512, VECTOR_MAX = 32 };
	uint64_t words[7];
	if (!read_provider_at(search, addr, words, sizeof(words)) || words[4] || words[5] || words[6])
		return false;
	uint32_t block = (uint32_t)(words[0] >> 32), key = (uint32_t)words[1], vector = (uint32_t)(words[1] >> 32);
	return block && block <= BLOCK_MAX && key <= KEY_MAX && vector <= VECTOR_MAX;
}

/* {int id, name_id; int legacy_alg; ...} */
static bool is_numbered_keymgmt(const struct method_search *search, uint64_t addr)
{
	uint32_t numbers[4];
	return read_provider_at(search, addr, numbers, sizeof(numbers)) && numbers[0] <= IDS_MAX && numbers[1] &&
	       numbers[1] <= IDS_MAX;
}

/* Whether malloc's size in front of it lets a method of `least` bytes begin at `addr`. */
static bool may_be_chunk(const struct method_search *search, uint64_t addr, uint64_t least)
{
	enum { FLAGS = 7, METHOD_MAX = 0x300 };
	uint64_t size;
	return read_provider_at(search, addr - 8, &size, sizeof(size)) && (size & ~(uint64_t)FLAGS) >= least &&
	       size < METHOD_MAX && !(size & 8);
}

/* Which method it is whose name lies at `name`; false when none of them fits. */
static bool find_start(const struct method_search *search, uint64_t name, struct lh_family_target *ret)
{
	enum { KEYMGMT_LEAST = 0x60, OTHERS_LEAST = 0xa0 };
	uint64_t ids;
	if (!read_provider_at(search, name - 8, &ids, sizeof(ids)) || (uint32_t)ids > IDS_MAX || ids >> 32 > IDS_MAX)
		return false;
	const struct {
		uint64_t before;
		uint64_t least;
		bool (*fits)(const struct method_search *search, uint64_t addr);
		unsigned role;
	} layouts[] = {
		{NAME_OF_CIPHER, OTHERS_LEAST, is_cipher, ROLE_CIPHER},
		{NAME_OF_DIGEST, OTHERS_LEAST, is_digest, ROLE_DIGEST},
		{NAME_OF_KEYMGMT, KEYMGMT_LEAST, NULL, ROLE_KEYMGMT},
		{NAME_OF_NUMBERED_KEYMGMT, KEYMGMT_LEAST, is_numbered_keymgmt, ROLE_KEYMGMT},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(layouts); i++) {
		ret->addr = name - layouts[i].before;
		ret->role = layouts[i].role;
		if (ret->addr % 16 == 0 && may_be_chunk(search, ret->addr, layouts[i].least) &&
		    (!layouts[i].fits || layouts[i].fits(search, ret->addr)))
			return true;
	}
	return false;
}

static bool is_known_method(const struct method_search *search, uint64_t addr)
{
	for (size_t i = 0; i < search->found.count; i++) {
		if (search->found.items[i] == addr)
			return true;
	}
	return false;
}

/* The method that holds the function at `addr`, if one does. */
static struct lh_error *look_around(struct method_search *search, uint64_t addr)
{
	uint64_t words[WINDOW_WORDS] = {0}, start = addr - (uint64_t)WORDS_BEFORE * 8;
	if (!read_provider_at(search, start, words, sizeof(words)))
		return NULL;
	for (size_t i = WORDS_BEFORE; i-- > 0;) {
		struct lh_family_target target;
		if (!is_method_part(search, words, i) || !find_start(search, start + i * 8, &target) ||
		    is_known_method(search, target.addr))
			continue;
		target.name = lh_symbols_read_name(search->setup->symbols, words[i], NAME_MAX_BYTES);
		if (!target.name)
			continue;
		LH_TRY(lh_vec_push(&search->found, target.addr));
		return lh_family_add_target(search->setup, &target);
	}
	return NULL;
}

/* Each method has at least one function that no other one has; its first place in memory is in the census. */
static struct lh_error *prepare_methods(const struct lh_family_setup *setup)
{
	struct method_search search LH_CLEANUP(method_search_deinit) = {.setup = setup};
	const struct lh_census *census = setup->census;
	for (size_t i = 0; i < census->rows.count && i < LH_FAMILY_CENSUS_MAX; i++) {
		const struct lh_census_row *row = &census->rows.items[i];
		if (search.found.count < METHODS_MAX && is_function(&search, row->target_addr))
			LH_TRY(look_around(&search, row->example_addr));
	}
	return NULL;
}

/* ---------------------------------------------------------------- contexts and keys */

static bool has_room(const struct lh_object_view *view, uint64_t addr, uint64_t bytes)
{
	return lh_object_may_begin_at(view, addr) && (!view->has_chunk || view->chunk.size_bytes >= bytes);
}

/* {reqdigest; digest; engine; ulong flags; ...}: both digests are the same, or the second is not there yet. */
static bool is_digest_context(const struct lh_object_view *view)
{
	enum { FLAGS_MAX = 0xffff, CONTEXT_BYTES = 0x48 };
	uint64_t digest, engine, flags;
	return has_room(view, view->hit->addr, CONTEXT_BYTES) && lh_object_word(view, 8, &digest) &&
	       (!digest || digest == view->target->addr) && lh_object_word(view, 16, &engine) &&
	       lh_object_is_pointer_or_null(engine) && lh_object_word(view, 24, &flags) && flags <= FLAGS_MAX;
}

/* {cipher; engine; int encrypt, buf_len; ...} */
static bool is_cipher_context(const struct lh_object_view *view)
{
	enum { BUFFERED_MAX = 32, CONTEXT_BYTES = 0xb0 };
	uint64_t engine, numbers;
	return has_room(view, view->hit->addr, CONTEXT_BYTES) && lh_object_word(view, 8, &engine) &&
	       lh_object_is_pointer_or_null(engine) && lh_object_word(view, 16, &numbers) && (uint32_t)numbers <= 1 &&
	       numbers >> 32 <= BUFFERED_MAX;
}

/* ... {keymgmt; keydata; dirty_cnt; operation_cache; dirty_cnt_copy; {int bits, security_bits, size}} */
static bool is_provided_key(const struct lh_object_view *view, uint64_t addr)
{
	enum { PLACE_MIN = 64, PLACE_MAX = 160, TYPE_MAX = 5000, COUNTS_MAX = 1 << 20, BITS_MAX = 1 << 20 };
	uint64_t method, data, dirty, cache, dirty_copy, numbers;
	uint32_t type;
	uint64_t place = view->hit->addr - addr;
	if (place < PLACE_MIN || place > PLACE_MAX || !lh_object_read_int(view, addr, &type) ||
	    (type != UINT32_MAX && type > TYPE_MAX) || !lh_object_read(view, addr + 8, &method) || method ||
	    !lh_object_word(view, 8, &data) || !lh_object_is_pointer(data))
		return false;
	return lh_object_word(view, 16, &dirty) && dirty <= COUNTS_MAX && lh_object_word(view, 24, &cache) &&
	       lh_object_is_pointer_or_null(cache) && lh_object_word(view, 32, &dirty_copy) &&
	       dirty_copy <= COUNTS_MAX && lh_object_word(view, 40, &numbers) && (uint32_t)numbers <= BITS_MAX &&
	       numbers >> 32 <= BITS_MAX;
}

/*
 * What a key's data owns beside itself: a block that it points to, at the start and further in. ML-KEM keeps {t, m} of
 * a public key, {t, m, s} of a private one in one block (3.5, crypto/ml_kem.h).
 */
static uint64_t owned_by_key_data(const struct lh_object_view *view, const uint64_t *words, size_t count)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t block = lh_object_is_pointer(words[i]) ? lh_object_chunk_bytes(view, words[i]) : 0;
		bool has_inner = false;
		for (size_t j = 0; j < count; j++)
			has_inner = has_inner || (words[j] > words[i] && words[j] - words[i] < block);
		bytes += has_inner ? block : 0;
	}
	return bytes;
}

/* Of the key's data, and of what that owns. */
static uint64_t key_data_bytes(const struct lh_object_view *view)
{
	uint64_t data, words[KEY_DATA_WORDS];
	if (!lh_object_word(view, 8, &data))
		return 0;
	uint64_t bytes = lh_object_chunk_bytes(view, data);
	size_t count = lh_image_read(view->image, data, words, lh_min_u64(bytes, sizeof(words))) / 8;
	return bytes + owned_by_key_data(view, words, count);
}

static struct lh_error *take_provided(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	static const char *const names[] = {
		[ROLE_DIGEST] = "EVP_MD_CTX",
		[ROLE_CIPHER] = "EVP_CIPHER_CTX",
		[ROLE_KEYMGMT] = "EVP_PKEY",
	};
	unsigned role = view->target->role;
	bool is_key = role == ROLE_KEYMGMT;
	uint64_t addr = is_key && view->has_chunk ? view->chunk.memory_addr : view->hit->addr;
	bool is_object = is_key                ? view->has_chunk && is_provided_key(view, addr)
			 : role == ROLE_CIPHER ? is_cipher_context(view)
					       : is_digest_context(view);
	if (!is_object)
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, names[role], addr);
	claim.bytes += is_key ? key_data_bytes(view) : 0;
	snprintf(claim.detail, sizeof(claim.detail), "%s", view->target->name);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_openssl_provider = {
	.kind = "OpenSSL",
	.prepare = prepare_methods,
	.take = take_provided,
};

/*
 * family_nss: sockets, keys, contexts and certificates of NSS, and descriptors of NSPR. Input: words that point to the
 * functions of an I/O layer or of a token, both told by their contents; the number that arenas of NSS bear. A walk
 * finds the slots of tokens: keys and contexts point to one.
 *
 * NSPR 4, prio.h: PRIOMethods is {int file_type; 31 functions}; PRFileDesc {methods; secret@8; lower@16; higher@24;
 * dtor@32; int identity@40}. A descriptor that was closed has no methods.
 * NSS 3.40 to 3.110. sslimpl.h: sslSocket is {PRFileDesc *fd; ops@8 ...}, where ops are 12 functions, accept@8 may be
 * NULL. pkcs11f.h: CK_FUNCTION_LIST is {uint8_t major, minor; functions@8 ...}. secmodti.h: PK11SlotInfo is
 * {functionList; module@8 ...}; PK11SymKey {type; objectID@8; slot@16 ... owner@40 ... sessionOwner@80; refCount@84
 * ...}, 0 references in the slot's list of free ones; PK11Context {operation; key@8; objectID@16; slot@24; session@32;
 * sessionLock@40 ...}, without objectID before 3.86. secmodt.h: SECMODModule has functionList@48. secport.c:
 * PORTArenaPool is {first {next, base, limit, avail}; current@32; int size@40; mask@48; uint32_t magic@56 =
 * 0xB8AC9BDF}. cert.h, keythi.h: what is made of such an arena begins with its address: CERTCertificate {arena;
 * subjectName@8; issuerName@16 ...}, SECKEYPublicKey and SECKEYPrivateKey {arena; int keyType@8; pkcs11Slot@16;
 * pkcs11ID@24 ...}.
 */
#include "families.h"

#include <stdio.h>
#include <string.h>

enum nss_role { ROLE_LAYER, ROLE_TOKEN, ROLE_SLOT };

static const struct lh_word_pattern arena_magic[] = {
	{.first = 0xb8ac9bdf, .last = 0xb8ac9bdf, .high_max = UINT32_MAX},
};

/* ---------------------------------------------------------------- tables */

static bool has_code_words(struct lh_symbols *symbols, uint64_t addr, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t code;
		if (!lh_symbols_read_pointer(symbols, addr + 8 * i, &code) || !lh_symbols_is_code(symbols, code))
			return false;
	}
	return true;
}

static bool is_nss_table(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	enum { LAYER_FUNCTIONS = 24, TOKEN_FUNCTIONS = 60, TYPE_MAX = 6, MAJOR_MIN = 2, MAJOR_MAX = 3, MINOR_MAX = 64 };
	uint64_t head;
	ret->name = "";
	if (!lh_symbols_read_number(symbols, ret->addr, &head) || !head || (uint32_t)head > UINT16_MAX)
		return false;
	ret->role = ROLE_TOKEN;
	if ((head & 0xff) >= MAJOR_MIN && (head & 0xff) <= MAJOR_MAX && (head >> 8 & 0xff) <= MINOR_MAX &&
	    has_code_words(symbols, ret->addr + 8, TOKEN_FUNCTIONS))
		return true;
	ret->role = ROLE_LAYER;
	return (uint32_t)head <= TYPE_MAX && has_code_words(symbols, ret->addr + 8, LAYER_FUNCTIONS);
}

/* ---------------------------------------------------------------- slots */

static bool is_slot(struct lh_image *image, uint64_t functions, uint64_t module)
{
	enum { MODULE_FUNCTIONS = 48 };
	uint64_t word;
	return lh_object_is_pointer(module) &&
	       lh_image_read(image, module + MODULE_FUNCTIONS, &word, sizeof(word)) == sizeof(word) &&
	       word == functions;
}

static struct lh_error *take_slot_place(void *context, const struct lh_object_view *view)
{
	struct lh_family_target target = {view->hit->addr, ROLE_SLOT, ""};
	uint64_t functions, module;
	if (!lh_object_word(view, 0, &functions) || !lh_object_word(view, 8, &module) ||
	    !is_slot(view->image, functions, module))
		return NULL;
	return lh_family_add_target(context, &target);
}

static struct lh_error *find_slots(const struct lh_family_setup *setup)
{
	for (size_t i = 0; i < setup->census->rows.count && i < LH_FAMILY_CENSUS_MAX; i++) {
		struct lh_family_target target = {.addr = setup->census->rows.items[i].target_addr};
		if (target.addr % 8 || !(target.addr & UINT16_MAX) || lh_symbols_is_code(setup->symbols, target.addr) ||
		    !is_nss_table(setup->symbols, &target) || target.role != ROLE_TOKEN)
			continue;
		struct lh_word_pattern functions = {.first = (uint32_t)target.addr,
						    .last = (uint32_t)target.addr,
						    .high_max = (uint32_t)(target.addr >> 32)};
		LH_TRY(lh_family_walk(setup, &functions, 1, take_slot_place));
	}
	return NULL;
}

/* ---------------------------------------------------------------- descriptors */

/* Which descriptor a socket names changes when layers are pushed. */
static bool is_tls_socket(const struct lh_object_view *view, uint64_t secret)
{
	enum { ACCEPT = 1, BEHIND_ACCEPT = 2, OPERATIONS = 12 };
	uint64_t words[2];
	return lh_object_is_pointer(secret) &&
	       lh_image_read(view->image, secret, words, sizeof(words)) == sizeof(words) &&
	       lh_object_is_pointer_or_null(words[0]) && has_code_words(view->symbols, words[1], ACCEPT) &&
	       has_code_words(view->symbols, words[1] + UINT64_C(8) * BEHIND_ACCEPT, OPERATIONS - BEHIND_ACCEPT);
}

static struct lh_error *take_nspr_descriptor(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	enum { SECRET = 8, DESTRUCTOR = 32, IDENTITY = 40, IDENTITY_MAX = 4096 };
	static const char *const types[] = {"", "file", "TCP", "UDP", "layer", "", "pipe"};
	uint64_t addr = view->hit->addr, secret, code, type;
	uint32_t identity;
	if (!lh_object_may_begin_at(view, addr) || !lh_object_read(view, addr + SECRET, &secret) ||
	    !lh_object_is_pointer(secret) || !lh_object_read(view, addr + DESTRUCTOR, &code) ||
	    (code && !lh_symbols_is_code(view->symbols, code)) ||
	    !lh_object_read_int(view, addr + IDENTITY, &identity) || identity > IDENTITY_MAX ||
	    !lh_symbols_read_number(view->symbols, view->target->addr, &type) ||
	    (uint32_t)type >= LH_ARRAY_COUNT(types))
		return NULL;
	bool is_tls = is_tls_socket(view, secret);
	struct lh_object_claim claim = lh_object_claim_of(view, is_tls ? "SSL socket" : "PRFileDesc", addr);
	claim.bytes += lh_object_chunk_bytes(view, secret);
	snprintf(claim.detail, sizeof(claim.detail), "%s", is_tls ? "" : types[(uint32_t)type]);
	return lh_object_sink_add(sink, &claim);
}

/* ---------------------------------------------------------------- what a token does */

static bool is_symmetric_key(const struct lh_object_view *view, uint64_t addr)
{
	enum { NEXT = 32, OWNER = 40, SESSION_OWNER = 80, REFERENCES = 84, REFERENCES_MAX = 1 << 24 };
	uint64_t type, next;
	uint32_t owner, session_owner, references;
	return lh_object_may_begin_at(view, addr) && lh_object_read(view, addr, &type) && type <= UINT32_MAX &&
	       lh_object_read(view, addr + NEXT, &next) && lh_object_is_pointer_or_null(next) &&
	       lh_object_read_int(view, addr + OWNER, &owner) && owner <= 1 &&
	       lh_object_read_int(view, addr + SESSION_OWNER, &session_owner) && session_owner <= 1 &&
	       lh_object_read_int(view, addr + REFERENCES, &references) && references && references <= REFERENCES_MAX;
}

/* An operation is the attribute that allows it: CKA_ENCRYPT 0x104 to CKA_DERIVE 0x10c, or one of NSS's own. */
static bool is_token_context(const struct lh_object_view *view, uint64_t addr, uint64_t slot_offset)
{
	enum { OPERATION_FIRST = 0x104, OPERATION_LAST = 0x10c, KEY = 8, LOCK = 16 };
	static const uint64_t vendor = UINT64_C(1) << 31;
	uint64_t operation, key, lock;
	return lh_object_may_begin_at(view, addr) && lh_object_read(view, addr, &operation) &&
	       ((operation >= OPERATION_FIRST && operation <= OPERATION_LAST) ||
		(operation >= vendor && operation <= UINT32_MAX)) &&
	       lh_object_read(view, addr + KEY, &key) && lh_object_is_pointer_or_null(key) &&
	       lh_object_read(view, addr + slot_offset + LOCK, &lock) && lh_object_is_pointer(lock);
}

static struct lh_error *take_slot_user(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	enum { KEY_SLOT = 16, CONTEXT_SLOT = 24 };
	uint64_t at = view->hit->addr;
	struct lh_object_claim claim;
	if (is_token_context(view, at - CONTEXT_SLOT, CONTEXT_SLOT))
		claim = lh_object_claim_of(view, "PK11Context", at - CONTEXT_SLOT);
	else if (is_token_context(view, at - KEY_SLOT, KEY_SLOT))
		claim = lh_object_claim_of(view, "PK11Context", at - KEY_SLOT);
	else if (is_symmetric_key(view, at - KEY_SLOT))
		claim = lh_object_claim_of(view, "PK11SymKey", at - KEY_SLOT);
	else
		return NULL;
	return lh_object_sink_add(sink, &claim);
}

/* ---------------------------------------------------------------- what has an arena */

/* The first block of an arena: {next, base, limit, avail}. */
static bool find_first_object(const struct lh_object_view *view, uint64_t arena, struct lh_range *ret)
{
	uint64_t first, block[4], owner;
	if (!lh_object_read(view, arena, &first) || !lh_object_is_pointer(first) ||
	    lh_image_read(view->image, first, block, sizeof(block)) != sizeof(block) || block[1] < first ||
	    block[2] < block[1] || block[3] < block[1] || block[3] > block[2] || block[1] % 8 ||
	    lh_image_read(view->image, block[1], &owner, sizeof(owner)) != sizeof(owner) || owner != arena)
		return false;
	*ret = (struct lh_range){block[1], block[2]};
	return true;
}

static bool is_distinguished_name(const struct lh_object_view *view, uint64_t addr)
{
	enum { TEXT_BYTES = 64 };
	char text[TEXT_BYTES] = {0};
	return addr >= LH_PAGE_BYTES && lh_image_read(view->image, addr, text, sizeof(text) - 1) > 1 &&
	       strchr(text, '=') != NULL;
}

/* A public key goes on with numbers in its arena: {[arena;] {type; data; length} ...}. */
static const char *name_of_first(const struct lh_object_view *view, struct lh_range block)
{
	enum { WORDS = 8, TYPE = 1, SLOT = 2, OBJECT = 3, PUBLIC_FIRST = 4, PUBLIC_LAST = 6, TYPE_MAX = 32 };
	uint64_t words[WORDS];
	if (lh_image_read(view->image, block.start, words, sizeof(words)) != sizeof(words))
		return NULL;
	if (is_distinguished_name(view, words[1]) && is_distinguished_name(view, words[2]))
		return "CERTCertificate";
	if (!words[TYPE] || words[TYPE] > TYPE_MAX || words[OBJECT] > UINT32_MAX ||
	    !lh_object_is_pointer_or_null(words[SLOT]))
		return NULL;
	for (size_t i = PUBLIC_FIRST; i <= PUBLIC_LAST; i++) {
		if (words[i] == words[0] || (words[i] > block.start && words[i] < block.end))
			return "SECKEYPublicKey";
	}
	return words[SLOT] && (uint32_t)words[PUBLIC_FIRST] <= 1 ? "SECKEYPrivateKey" : NULL;
}

/* All blocks of the arena. */
static uint64_t arena_bytes(const struct lh_object_view *view, uint64_t arena)
{
	enum { BLOCKS_MAX = 4096 };
	uint64_t bytes = lh_object_chunk_bytes(view, arena), at = arena;
	for (size_t i = 0; i < BLOCKS_MAX; i++) {
		if (lh_image_read(view->image, at, &at, sizeof(at)) != sizeof(at) || !lh_object_is_pointer(at))
			break;
		bytes += lh_object_chunk_bytes(view, at);
	}
	return bytes;
}

static struct lh_error *take_arena(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	enum { MAGIC = 56 };
	uint64_t arena = view->hit->addr - MAGIC;
	struct lh_range block;
	if (!lh_object_may_begin_at(view, arena) || (view->has_chunk && !view->chunk.is_used) ||
	    !find_first_object(view, arena, &block))
		return NULL;
	const char *name = name_of_first(view, block);
	struct lh_object_claim claim = {.name = name, .addr = block.start, .bytes = arena_bytes(view, arena)};
	return name ? lh_object_sink_add(sink, &claim) : NULL;
}

static struct lh_error *take_of_nss(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t functions, module;
	if (!view->target)
		return take_arena(sink, view);
	if (view->target->role == ROLE_LAYER)
		return take_nspr_descriptor(sink, view);
	if (view->target->role == ROLE_SLOT)
		return take_slot_user(sink, view);
	if (!lh_object_word(view, 0, &functions) || !lh_object_word(view, 8, &module) ||
	    !is_slot(view->image, functions, module) || !lh_object_may_begin_at(view, view->hit->addr))
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "PK11SlotInfo", view->hit->addr);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_nss = {
	.kind = "NSS",
	.patterns = arena_magic,
	.pattern_count = LH_ARRAY_COUNT(arena_magic),
	.is_table = is_nss_table,
	.prepare = find_slots,
	.take = take_of_nss,
};

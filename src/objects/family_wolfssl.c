/*
 * family_wolfssl: contexts, connections and sessions of wolfSSL. Input: words that point to the library's function that
 * receives, which contexts hold; words that point to a small buffer in front of them, which connections have.
 *
 * wolfSSL 4 to 5.7, wolfssl/internal.h: WOLFSSL_METHOD is {uint8_t major, minor; side; downgrade}, a block of its own.
 * WOLFSSL_CTX begins with its method, WOLFSSL with its context. bufferStatic is {uint8_t staticBuffer[5], aligned to
 * 16; buffer@8; uint32_t length@16, idx, bufferSize@24 ...}: buffer is staticBuffer between records, and a connection
 * has two such, one behind the other. WOLFSSL_SESSION of 5.x begins with {int type, 3 of one in the heap; int row, -1;
 * references ...}: has_session_head.
 *
 * Self-check: a method has a version of TLS or DTLS and a side. Sessions are looked for only where there are contexts.
 */
#include "families.h"

#include <stdio.h>
#include <string.h>

enum {
	BUFFER_STATIC = 32, /* bytes of a bufferStatic */
	BUFFER_SIZE = 16,   /* from `buffer` on */
	STATIC_BYTES = 5,
	SIDE_SERVER = 0,
	SIDE_CLIENT = 1,
	SIDE_NEITHER = 3,
};

static const struct lh_word_pattern points_to_static_buffer[] = {
	{.is_own_address = true, .offset = -8},
};

/* EmbedReceive, and what receives datagrams, unless the program set others. */
static struct lh_error *prepare_receivers(const struct lh_family_setup *setup)
{
	for (size_t i = 0; i < setup->census->rows.count && i < LH_FAMILY_CENSUS_MAX; i++) {
		struct lh_family_target target = {.addr = setup->census->rows.items[i].target_addr, .name = ""};
		struct lh_symbol symbol;
		if (lh_symbols_is_code(setup->symbols, target.addr) &&
		    lh_symbols_find(setup->symbols, target.addr, &symbol) && !symbol.offset &&
		    (strcmp(symbol.name, "EmbedReceive") == 0 || strcmp(symbol.name, "EmbedReceiveFrom") == 0))
			LH_TRY(lh_family_add_target(setup, &target));
	}
	return NULL;
}

/* {3, 0 to 4}: SSL 3.0 to TLS 1.3; {254, 255, 253 or 252}: DTLS. */
static bool read_method(const struct lh_object_view *view, uint64_t addr, uint8_t *ret_side)
{
	enum { MAJOR_TLS = 3, MINOR_MAX = 4, MAJOR_DTLS = 254, MINOR_DTLS = 252 };
	uint8_t method[4];
	if (!lh_object_is_pointer(addr) || lh_image_read(view->image, addr, method, sizeof(method)) != sizeof(method) ||
	    method[3] > 1)
		return false;
	*ret_side = method[2];
	bool is_version = (method[0] == MAJOR_TLS && method[1] <= MINOR_MAX) ||
			  (method[0] == MAJOR_DTLS && method[1] >= MINOR_DTLS);
	return is_version && (*ret_side <= SIDE_CLIENT || *ret_side == SIDE_NEITHER);
}

static void say_side(struct lh_object_claim *claim, uint8_t side)
{
	snprintf(claim->detail, sizeof(claim->detail), "%s",
		 side == SIDE_SERVER   ? "server"
		 : side == SIDE_CLIENT ? "client"
				       : "");
}

static struct lh_error *take_wolfssl_context(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t method, send;
	uint8_t side;
	if (!view->has_chunk || !lh_object_read(view, view->chunk.memory_addr, &method) ||
	    !read_method(view, method, &side) || !lh_object_word(view, 8, &send) ||
	    !lh_symbols_is_code(view->symbols, send))
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "WOLFSSL_CTX", view->chunk.memory_addr);
	claim.bytes += lh_object_chunk_bytes(view, method);
	say_side(&claim, side);
	return lh_object_sink_add(sink, &claim);
}

static bool is_static_buffer(const struct lh_object_view *view, uint64_t addr)
{
	uint64_t buffer;
	uint32_t bytes;
	return lh_object_read(view, addr, &buffer) && buffer == addr - 8 &&
	       lh_object_read_int(view, addr + BUFFER_SIZE, &bytes) && bytes == STATIC_BYTES;
}

/* A connection counts where its first buffer that is static is. */
static struct lh_error *take_wolfssl(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t context, method;
	uint8_t side;
	if (!view->has_chunk || view->hit->addr % 16 != 8 || !is_static_buffer(view, view->hit->addr) ||
	    is_static_buffer(view, view->hit->addr - BUFFER_STATIC) ||
	    !lh_object_read(view, view->chunk.memory_addr, &context) || !lh_object_is_pointer(context) ||
	    lh_image_read(view->image, context, &method, sizeof(method)) != sizeof(method) ||
	    !read_method(view, method, &side))
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "WOLFSSL", view->chunk.memory_addr);
	say_side(&claim, side);
	return lh_object_sink_add(sink, &claim);
}

static struct lh_error *take_of_wolfssl(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	return view->target ? take_wolfssl_context(sink, view) : take_wolfssl(sink, view);
}

/* ---------------------------------------------------------------- sessions */

static bool are_zero(const int32_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (words[i])
			return false;
	}
	return true;
}

/*
 * {3; -1; references; [a mutex that nobody holds;] another ID of 32 bytes; bits, 1 of them when there is one}. Before
 * atomics were used, the mutex came first.
 */
static bool has_session_head(const int32_t *words)
{
	enum { TYPE_HEAP = 3, NO_ROW = -1, REFERENCES_MAX = 1 << 20, MUTEX_WORDS = 10, ID_WORDS = 8, BITS_MAX = 3 };
	const int32_t *behind = words + 3;
	bool has_mutex = are_zero(behind, MUTEX_WORDS + 1);
	bool has_id = behind[ID_WORDS] >= 0 && behind[ID_WORDS] <= BITS_MAX &&
		      (behind[ID_WORDS] & 1 || are_zero(behind, ID_WORDS));
	int32_t references = words[2];
	if (!references && are_zero(words + 2, MUTEX_WORDS))
		references = words[2 + MUTEX_WORDS];
	else if (!has_mutex && !has_id)
		return false;
	return words[0] == TYPE_HEAP && words[1] == NO_ROW && references > 0 && references <= REFERENCES_MAX;
}

static bool is_wolfssl_session(const struct lh_family_end *end, const struct lh_chunk *chunk)
{
	enum { WORDS = 14, SESSION_BYTES_MIN = 256 };
	int32_t words[WORDS];
	return chunk->is_used && chunk->size_bytes >= SESSION_BYTES_MIN &&
	       lh_image_read(end->image, chunk->memory_addr, words, sizeof(words)) == sizeof(words) &&
	       has_session_head(words);
}

static struct lh_error *find_wolfssl_sessions(const struct lh_family_end *end)
{
	size_t count = end->heap ? lh_heap_chunk_count(end->heap) : 0;
	if (!lh_object_sink_count(end->sink, "wolfSSL", "WOLFSSL_CTX"))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		struct lh_chunk chunk = lh_object_chunk_at(end->heap, i);
		if (!is_wolfssl_session(end, &chunk))
			continue;
		struct lh_object_claim claim = {
			.name = "WOLFSSL_SESSION", .addr = chunk.memory_addr, .bytes = chunk.size_bytes};
		LH_TRY(lh_object_sink_add(end->sink, &claim));
	}
	return NULL;
}

const struct lh_object_family lh_family_wolfssl = {
	.kind = "wolfSSL",
	.patterns = points_to_static_buffer,
	.pattern_count = LH_ARRAY_COUNT(points_to_static_buffer),
	.prepare = prepare_receivers,
	.take = take_of_wolfssl,
	.finish = find_wolfssl_sessions,
};

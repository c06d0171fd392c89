/*
 * family_zlib: states of zlib's deflate and inflate, with the windows and tables that they own. Input: words that
 * point to the static tree descriptions of deflate, and words that hold a mode of inflate.
 *
 * zlib 1.2.5 to 1.3.1, deflate.h (struct internal_state: {z_streamp strm; int status; Bytef *pending_buf; ulg
 * pending_buf_size; ... int wrap ...; uInt w_size, w_bits, w_mask; Bytef *window; ulg window_size; Posf *prev, *head;
 * uInt ins_h, hash_size ...; ct_data dyn_ltree[573], dyn_dtree[61], bl_tree[39]; struct tree_desc_s l_desc, d_desc,
 * bl_desc}), trees.c (static_l_desc: {tree, extra bits, 257, 286, 15}); inflate.h (struct inflate_state: {z_streamp
 * strm; mode; last, wrap, havedict, flags; dmax; check, total; head; wbits, wsize, whave, wnext; window; ...
 * lencode@104, distcode@112; lenbits, distbits ...}; modes from 16180 on since 1.2.11).
 *
 * Self-check: sizes are the powers of two that the bits say, and pointers to trees lead to the state itself. The
 * stream that the state belongs to need not live: what is lost with a stack frame is just that.
 */
#include "families.h"

#include <stdio.h>

/* ---------------------------------------------------------------- deflate */

enum { STATIC_LITERALS = 257, LENGTH_CODES = 286, BITS_MAX = 15 };

/* static_l_desc {const ct_data *static_tree; const intf *extra_bits; int extra_base, elems, max_length} */
static bool is_literal_description(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	uint64_t tree, extra, numbers, length;
	if (!lh_symbols_read_number(symbols, ret->addr + 16, &numbers) ||
	    numbers != ((uint64_t)LENGTH_CODES << 32 | STATIC_LITERALS) ||
	    !lh_symbols_read_number(symbols, ret->addr + 24, &length) || (uint32_t)length != BITS_MAX)
		return false;
	return lh_symbols_read_pointer(symbols, ret->addr, &tree) && tree &&
	       lh_symbols_read_pointer(symbols, ret->addr + 8, &extra) && extra;
}

enum {
	LITERAL_TREE_BYTES = 573 * 4,
	ALL_TREES_BYTES = (573 + 61 + 39) * 4,
	STATUS = 8,
	PENDING_BUFFER = 16,
	PENDING_BYTES = 24,
	SIZES_FIRST = 64, /* where w_size may lie */
	SIZES_LAST = 96,
	TREE_LEAST = 176, /* bytes before dyn_ltree: 212 in 1.2.13 */
	TREE_MOST = 248,
	WINDOW_BITS_MIN = 8,
	WINDOW_BITS_MAX = 15,
	HASH_BITS_MIN = 8,
	HASH_BITS_MAX = 16,
};

/* zlib's deflate.h: INIT_STATE, GZIP_STATE, EXTRA_STATE, NAME_STATE, COMMENT_STATE, HCRC_STATE, BUSY, FINISH. */
static bool is_status(uint32_t status)
{
	static const uint16_t known[] = {42, 57, 69, 73, 91, 103, 113, 666};
	for (size_t i = 0; i < LH_ARRAY_COUNT(known); i++) {
		if (status == known[i])
			return true;
	}
	return false;
}

/* {w_size, w_bits, w_mask}: 2^bits, bits, 2^bits - 1. Returns the address behind them; 0 when they are not there. */
static uint64_t find_window_sizes(const struct lh_object_view *view, uint64_t state, uint32_t *ret_size)
{
	for (uint64_t at = state + SIZES_FIRST; at <= state + SIZES_LAST; at += 4) {
		uint32_t size, bits, mask;
		if (!lh_object_read_int(view, at, &size) || !lh_object_read_int(view, at + 4, &bits) ||
		    !lh_object_read_int(view, at + 8, &mask))
			return 0;
		if (bits >= WINDOW_BITS_MIN && bits <= WINDOW_BITS_MAX && size == UINT32_C(1) << bits &&
		    mask == size - 1) {
			*ret_size = size;
			return lh_align_up(at + 12, 8);
		}
	}
	return 0;
}

/* {window, window_size, prev, head; ins_h, hash_size, hash_bits, hash_mask} behind them; what all of them take. */
static bool add_window_bytes(const struct lh_object_view *view, uint64_t at, uint32_t size, uint64_t *bytes)
{
	uint64_t window, window_bytes, previous, head;
	uint32_t hash_size, hash_bits;
	if (!lh_object_read(view, at, &window) || !lh_object_read(view, at + 8, &window_bytes) ||
	    !lh_object_read(view, at + 16, &previous) || !lh_object_read(view, at + 24, &head) ||
	    !lh_object_read_int(view, at + 36, &hash_size) || !lh_object_read_int(view, at + 40, &hash_bits) ||
	    window_bytes != 2 * (uint64_t)size || !lh_object_is_pointer(window) || !lh_object_is_pointer(previous) ||
	    !lh_object_is_pointer(head) || hash_bits < HASH_BITS_MIN || hash_bits > HASH_BITS_MAX ||
	    hash_size != UINT32_C(1) << hash_bits)
		return false;
	*bytes += lh_object_buffer_bytes(view, window, window_bytes) +
		  lh_object_buffer_bytes(view, previous, 2 * (uint64_t)size) +
		  lh_object_buffer_bytes(view, head, 2 * (uint64_t)hash_size);
	return true;
}

static bool check_deflate(const struct lh_object_view *view, uint64_t state, struct lh_object_claim *ret)
{
	uint64_t stream, pending, pending_bytes;
	uint32_t status, size = 0;
	if (!lh_object_may_begin_at(view, state) || !lh_object_read(view, state, &stream) ||
	    !lh_object_is_pointer(stream) || !lh_object_read_int(view, state + STATUS, &status) || !is_status(status) ||
	    !lh_object_read(view, state + PENDING_BUFFER, &pending) || !lh_object_is_pointer(pending) ||
	    !lh_object_read(view, state + PENDING_BYTES, &pending_bytes))
		return false;
	uint64_t behind = find_window_sizes(view, state, &size);
	*ret = lh_object_claim_of(view, "deflate state", state);
	if (!view->has_chunk)
		ret->bytes = view->hit->addr - state;
	if (!behind || !add_window_bytes(view, behind, size, &ret->bytes))
		return false;
	ret->bytes += lh_object_buffer_bytes(view, pending, pending_bytes);
	snprintf(ret->detail, sizeof(ret->detail), "window %u KiB", size / 1024);
	return true;
}

/* l_desc {ct_data *dyn_tree; int max_code; description}: the word before the last leads into the state. */
static struct lh_error *take_deflate(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	struct lh_object_claim claim;
	uint64_t tree, other_tree;
	if (!lh_object_word(view, -16, &tree) || tree >= view->hit->addr || view->hit->addr - tree < ALL_TREES_BYTES ||
	    view->hit->addr - tree > ALL_TREES_BYTES + 64 || !lh_object_word(view, 8, &other_tree) ||
	    other_tree != tree + LITERAL_TREE_BYTES)
		return NULL;
	for (uint64_t before = TREE_LEAST; before <= TREE_MOST; before += 4) {
		if ((tree - before) % 8 == 0 && check_deflate(view, tree - before, &claim))
			return lh_object_sink_add(sink, &claim);
	}
	return NULL;
}

/* ---------------------------------------------------------------- inflate */

enum {
	MODE_FIRST = 16180, /* HEAD */
	MODE_LAST = 16211,  /* SYNC */
	MODE = 8,
	WINDOW_BITS = 56,
	WINDOW_SIZE = 60,
	WINDOW_HAVE = 64,
	WINDOW_NEXT = 68,
	WINDOW = 72,
	LENGTH_CODE = 104,
	DISTANCE_CODE = 112,
	STATE_BYTES = 7152, /* of 1.2.13; earlier ones have up to 16 less */
};

/* Tables of codes lie in the state, or are zlib's own for fixed codes. */
static bool is_code_table(const struct lh_object_view *view, uint64_t state, uint64_t table)
{
	const char *name;
	return (table > state && table < state + STATE_BYTES) || lh_symbols_module(view->symbols, table, &name);
}

static bool has_code_tables(const struct lh_object_view *view, uint64_t state)
{
	uint64_t length_code, distance_code;
	return lh_object_read(view, state + LENGTH_CODE, &length_code) &&
	       lh_object_read(view, state + DISTANCE_CODE, &distance_code) && is_code_table(view, state, length_code) &&
	       is_code_table(view, state, distance_code);
}

static bool check_window(const struct lh_object_view *view, uint64_t state, uint64_t *ret_addr, uint32_t *ret_size)
{
	uint32_t bits, size, have, next;
	if (!lh_object_read_int(view, state + WINDOW_BITS, &bits) ||
	    !lh_object_read_int(view, state + WINDOW_SIZE, &size) ||
	    !lh_object_read_int(view, state + WINDOW_HAVE, &have) ||
	    !lh_object_read_int(view, state + WINDOW_NEXT, &next) || !lh_object_read(view, state + WINDOW, ret_addr))
		return false;
	*ret_size = size;
	bool is_bits = !bits || (bits >= WINDOW_BITS_MIN && bits <= WINDOW_BITS_MAX);
	if (!is_bits)
		return false;
	bool is_size = size ? bits && size == UINT32_C(1) << bits : !have && !next;
	return is_size && have <= size && next <= size && lh_object_is_pointer_or_null(*ret_addr) &&
	       (*ret_addr || !size);
}

static struct lh_error *take_inflate(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t state = view->hit->addr - MODE, stream, window;
	uint32_t size;
	if (state % 16 || !lh_object_may_begin_at(view, state) || !lh_object_read(view, state, &stream) ||
	    !lh_object_is_pointer(stream) || !check_window(view, state, &window, &size) ||
	    !has_code_tables(view, state))
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "inflate state", state);
	if (!view->has_chunk)
		claim.bytes = lh_align_up(STATE_BYTES, 16);
	/* inflateInit sets only the bits of the window; inflate allocates the window when it first needs one. */
	claim.bytes += lh_object_buffer_bytes(view, window, size);
	return lh_object_sink_add(sink, &claim);
}

/* ---------------------------------------------------------------- the family */

static struct lh_error *take_zlib(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	return view->target ? take_deflate(sink, view) : take_inflate(sink, view);
}

/* `last`, beside the mode, is 0 or 1. */
static const struct lh_word_pattern inflate_modes[] = {{.first = MODE_FIRST, .last = MODE_LAST, .high_max = 1}};

const struct lh_object_family lh_family_zlib = {
	.kind = "zlib",
	.patterns = inflate_modes,
	.pattern_count = LH_ARRAY_COUNT(inflate_modes),
	.is_table = is_literal_description,
	.take = take_zlib,
};

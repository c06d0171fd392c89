/*
 * family_pcre2: compiled patterns of PCRE2, by the number in their head.
 *
 * PCRE2 10.00 to 10.44, src/pcre2_intmodedep.h, pcre2_real_code: {memctl {malloc, free, data}; tables@24;
 * executable_jit@32; start_bitmap[32]@40; blocksize@72; uint32_t magic_number@80 0x50435245; compile_options ...}.
 *
 * Self-check: the functions of memctl are code, and blocksize is what was asked of malloc.
 */
#include "families.h"

enum { FREE = 8, TABLES = 24, BLOCK_SIZE = 72, MAGIC = 80, BLOCK_MIN = 128, BLOCK_MAX = 1 << 26, SLACK = 40 };

static const struct lh_word_pattern magic_number[] = {
	{.first = 0x50435245, .last = 0x50435245, .high_max = UINT32_MAX},
};

static bool is_compiled_at(const struct lh_object_view *view, uint64_t addr)
{
	uint64_t word;
	return lh_object_read(view, addr, &word) && lh_symbols_is_code(view->symbols, word);
}

static struct lh_error *take_pattern(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t addr = view->hit->addr - MAGIC, tables, bytes;
	if (addr % 16 || !lh_object_may_begin_at(view, addr) || !is_compiled_at(view, addr) ||
	    !is_compiled_at(view, addr + FREE) || !lh_object_read(view, addr + TABLES, &tables) || !tables ||
	    !lh_object_read(view, addr + BLOCK_SIZE, &bytes) || bytes < BLOCK_MIN || bytes > BLOCK_MAX ||
	    (view->has_chunk && (view->chunk.size_bytes < bytes || view->chunk.size_bytes - bytes > SLACK)))
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "pcre2_code", addr);
	if (!view->has_chunk)
		claim.bytes = lh_align_up(bytes, 16);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_pcre2 = {
	.kind = "PCRE2",
	.patterns = magic_number,
	.pattern_count = LH_ARRAY_COUNT(magic_number),
	.take = take_pattern,
};

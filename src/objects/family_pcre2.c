/*
 * family_pcre2: compiled patterns of PCRE2, by the number in their head.
 *
 * PCRE2 10.00 to 10.46, src/pcre2_intmodedep.h, pcre2_real_code: {memctl {malloc, free, data}; tables@24;
 * executable_jit@32; start_bitmap[32]@40; blocksize@72; [code_start@80, from 10.45 on;] uint32_t magic_number
 * 0x50435245; compile_options ...}.
 *
 * Self-check: the functions of memctl are code, blocksize is what was asked of malloc, and the code starts within it.
 */
#include "families.h"

enum {
	FREE = 8,
	TABLES = 24,
	BLOCK_SIZE = 72,
	MAGIC = 80,
	CODE_START = 80,
	MAGIC_BEHIND_START = 88,
	BLOCK_MIN = 128,
	BLOCK_MAX = 1 << 26,
	SLACK = 40
};

static const struct lh_word_pattern magic_number[] = {
	{.first = 0x50435245, .last = 0x50435245, .high_max = UINT32_MAX},
};

static bool is_compiled_at(const struct lh_object_view *view, uint64_t addr)
{
	uint64_t word;
	return lh_object_read(view, addr, &word) && lh_symbols_is_code(view->symbols, word);
}

/* An object begins at a multiple of 16, so the magic number's place tells the layout. */
static uint64_t pattern_start(const struct lh_object_view *view)
{
	uint64_t start = view->hit->addr - MAGIC_BEHIND_START, code, bytes;
	if (view->hit->addr % 16 == MAGIC % 16)
		return view->hit->addr - MAGIC;
	bool is_start = lh_object_read(view, start + CODE_START, &code) &&
			lh_object_read(view, start + BLOCK_SIZE, &bytes) && code > MAGIC_BEHIND_START && code < bytes;
	return is_start ? start : 0;
}

static struct lh_error *take_pattern(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t addr = pattern_start(view), tables, bytes;
	if (!addr || addr % 16 || !lh_object_may_begin_at(view, addr) || !is_compiled_at(view, addr) ||
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

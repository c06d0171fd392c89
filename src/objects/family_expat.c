/*
 * family_expat: parsers of Expat, by the three functions with which they allocate. Input: words that point to a
 * function called realloc.
 *
 * Expat 2.0 to 2.7, lib/xmlparse.c, struct XML_ParserStruct: {m_userData; m_handlerArg; char *m_buffer@16; m_mem
 * {malloc_fcn@24, realloc_fcn@32, free_fcn@40}; m_bufferPtr@48, m_bufferEnd, m_bufferLim@64; ...; m_dataBuf,
 * m_dataBufEnd ...}.
 *
 * Self-check: all three are code, pointers into the buffer are in order, and the buffer for data has 1024 characters.
 */
#include "families.h"

#include <fnmatch.h>

enum {
	BUFFER = 16,
	MALLOC = 24,
	REALLOC = 32,
	FREE = 40,
	BUFFER_END = 56,
	BUFFER_LIMIT = 64,
	DATA_FIRST = 72,
	DATA_LAST = 128,
	DATA_CHARACTERS = 1024,
	SLACK = 48,
	SIZE_BEFORE = 8, /* since 2.7.2, and where that was ported back, each allocation begins with its size */
};

/* realloc itself, or one that the program gave: pyexpat's PyObject_Realloc. */
static struct lh_error *prepare_functions(const struct lh_family_setup *setup)
{
	for (size_t i = 0; i < setup->census->rows.count && i < LH_FAMILY_CENSUS_MAX; i++) {
		struct lh_family_target target = {.addr = setup->census->rows.items[i].target_addr, .name = ""};
		struct lh_symbol symbol;
		if (lh_symbols_is_code(setup->symbols, target.addr) &&
		    lh_symbols_find(setup->symbols, target.addr, &symbol) && !symbol.offset &&
		    fnmatch("*[Rr]ealloc", symbol.name, 0) == 0)
			LH_TRY(lh_family_add_target(setup, &target));
	}
	return NULL;
}

static bool is_code_at(const struct lh_object_view *view, uint64_t addr)
{
	uint64_t word;
	return lh_object_read(view, addr, &word) && lh_symbols_is_code(view->symbols, word);
}

/* The parser's own chunk, or behind the size that it was asked for. */
static bool may_begin_parser(const struct lh_object_view *view, uint64_t parser)
{
	uint64_t size;
	return lh_object_may_begin_at(view, parser) ||
	       (lh_object_may_begin_at(view, parser - SIZE_BEFORE) &&
		lh_object_read(view, parser - SIZE_BEFORE, &size) && size < view->chunk.size_bytes &&
		view->chunk.size_bytes - size <= SLACK);
}

/* {m_dataBuf, m_dataBufEnd} of narrow or wide characters; the bytes, or 0. */
static uint64_t find_data_buffer(const struct lh_object_view *view, uint64_t parser, uint64_t *ret_addr)
{
	for (uint64_t at = parser + DATA_FIRST; at <= parser + DATA_LAST; at += 8) {
		uint64_t end;
		if (!lh_object_read(view, at, ret_addr) || !lh_object_read(view, at + 8, &end))
			return 0;
		uint64_t bytes = end - *ret_addr;
		if (lh_object_is_pointer(*ret_addr) &&
		    (bytes == DATA_CHARACTERS || bytes == UINT64_C(2) * DATA_CHARACTERS ||
		     bytes == UINT64_C(4) * DATA_CHARACTERS))
			return bytes;
	}
	return 0;
}

static struct lh_error *take_parser(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t parser = view->hit->addr - REALLOC, buffer, end, limit, data;
	if (!may_begin_parser(view, parser) || !is_code_at(view, parser + MALLOC) || !is_code_at(view, parser + FREE) ||
	    !lh_object_read(view, parser + BUFFER, &buffer) || !lh_object_read(view, parser + BUFFER_END, &end) ||
	    !lh_object_read(view, parser + BUFFER_LIMIT, &limit) || end > limit ||
	    !lh_object_is_pointer_or_null(buffer) || (buffer && (end && end < buffer)))
		return NULL;
	uint64_t data_bytes = find_data_buffer(view, parser, &data);
	if (!data_bytes)
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "XML_Parser", parser);
	claim.bytes += lh_object_buffer_bytes(view, data, data_bytes);
	if (buffer && limit > buffer)
		claim.bytes += lh_object_buffer_bytes(view, buffer, limit - buffer);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_expat = {
	.kind = "expat",
	.prepare = prepare_functions,
	.take = take_parser,
};

/*
 * families: the list of libraries whose objects are recognized, and what their rules share: reads around a word, chunk
 * sizes, and the data of modules.
 */
#include "families.h"

#include <stdlib.h>

enum { DATA_PIECE_WORDS = 8192, OVERHEAD = 16 };

#define ADDRESS_MIN LH_PAGE_BYTES
#define ADDRESS_MAX (UINT64_C(1) << 47)
/* For all modules together; large programs have a few MiB of data. */
#define MODULE_DATA_MAX (64 * LH_MIB)

const struct lh_object_family *const lh_object_families[] = {
	&lh_family_openssl,
	&lh_family_openssl_provider,
	&lh_family_zlib,
	&lh_family_glib,
	&lh_family_libxml2,
	&lh_family_sqlite,
	&lh_family_curl,
	&lh_family_expat,
	&lh_family_pcre2,
	&lh_family_gnutls,
	&lh_family_gvariant,
	&lh_family_iconv,
	&lh_family_mbedtls,
	&lh_family_nss,
	&lh_family_wolfssl,
	&lh_family_redis,
	&lh_family_sds,
	&lh_family_postgresql,
	&lh_family_openssl_named,
	&lh_family_cxx,
	NULL,
};

/* ---------------------------------------------------------------- reading */

bool lh_object_read(const struct lh_object_view *view, uint64_t addr, uint64_t *ret)
{
	return lh_hit_word(view->image, view->hit, addr, ret);
}

bool lh_object_read_int(const struct lh_object_view *view, uint64_t addr, uint32_t *ret)
{
	uint64_t word;
	if (!lh_object_read(view, lh_align_down(addr, 8), &word))
		return false;
	*ret = (uint32_t)(addr % 8 ? word >> 32 : word);
	return true;
}

bool lh_object_word(const struct lh_object_view *view, int64_t offset, uint64_t *ret)
{
	return lh_object_read(view, view->hit->addr + (uint64_t)offset, ret);
}

bool lh_object_is_pointer(uint64_t word)
{
	return word >= ADDRESS_MIN && word < ADDRESS_MAX && word % 8 == 0;
}

bool lh_object_is_pointer_or_null(uint64_t word)
{
	return !word || lh_object_is_pointer(word);
}

bool lh_object_may_begin_at(const struct lh_object_view *view, uint64_t addr)
{
	return !view->has_chunk || view->chunk.memory_addr == addr;
}

/* glibc keeps 8 bytes before a block, 16 before one with a mapping of its own; other allocators keep nothing there. */
struct lh_chunk lh_object_chunk_at(const struct lh_heap *heap, size_t index)
{
	size_t count;
	const struct lh_heap_chunk chunk = lh_heap_chunk_at(heap, index);
	enum lh_region_kind kind = lh_heap_arenas(heap, &count)[chunk.arena].kind;
	bool is_mapped = kind == LH_REGION_MMAP_CHUNK, is_glibc = kind == LH_REGION_HEAP || kind == LH_REGION_ARENA;
	return (struct lh_chunk){
		.memory_addr = chunk.addr,
		.size_bytes = chunk.size_bytes + (is_mapped  ? OVERHEAD
						  : is_glibc ? OVERHEAD / 2
							     : 0),
		.is_used = chunk.state == LH_CHUNK_USED,
	};
}

bool lh_object_find_chunk(const struct lh_heap *heap, uint64_t addr, struct lh_chunk *ret)
{
	size_t index;
	if (!heap || !lh_heap_find_chunk(heap, addr, &index))
		return false;
	*ret = lh_object_chunk_at(heap, index);
	return true;
}

uint64_t lh_object_buffer_bytes(const struct lh_object_view *view, uint64_t addr, uint64_t least)
{
	uint64_t rounded;
	struct lh_chunk chunk;
	if (!addr || !lh_object_is_pointer(addr) || !lh_add_u64(least, OVERHEAD - 1, &rounded))
		return 0;
	bool is_chunk = lh_object_find_chunk(view->heap, addr, &chunk) && chunk.memory_addr == addr &&
			chunk.size_bytes >= least;
	return is_chunk ? chunk.size_bytes : lh_align_down(rounded, OVERHEAD);
}

uint64_t lh_object_chunk_bytes(const struct lh_object_view *view, uint64_t addr)
{
	enum { CHUNK_MAX = 1 << 24 };
	struct lh_chunk chunk;
	bool is_chunk = lh_object_find_chunk(view->heap, addr, &chunk) && chunk.memory_addr == addr &&
			chunk.size_bytes <= CHUNK_MAX;
	return is_chunk ? chunk.size_bytes : 0;
}

struct lh_object_claim lh_object_claim_of(const struct lh_object_view *view, const char *name, uint64_t addr)
{
	struct lh_object_claim claim = {.name = name, .addr = addr};
	if (view->has_chunk) {
		claim.has_block = true;
		claim.bytes = view->chunk.size_bytes;
		claim.is_freed = !view->chunk.is_used;
	}
	return claim;
}

/* ---------------------------------------------------------------- modules */

static bool is_module_data(const struct lh_segment *segment)
{
	return segment->kind == LH_REGION_DATA || segment->kind == LH_REGION_BSS || segment->kind == LH_REGION_RODATA;
}

static struct lh_error *visit_data(const struct lh_family_setup *setup, struct lh_range range, uint64_t *words,
				   lh_module_data_visitor *visit, void *context)
{
	for (uint64_t at = lh_align_up(range.start, 8); at < range.end;) {
		size_t wanted = (size_t)lh_min_u64(range.end - at, UINT64_C(8) * DATA_PIECE_WORDS);
		size_t got = lh_image_read(setup->image, at, words, wanted);
		if (got >= 8)
			LH_TRY(visit(context, &(struct lh_module_data){at, words, got / 8}));
		/* An absent page ends a read: continue after it. */
		at = got == wanted ? at + wanted : lh_align_down(at + got, LH_PAGE_BYTES) + LH_PAGE_BYTES;
	}
	return NULL;
}

/* The part of the segment that lies in a module; a bss may be merged with the next mapping. */
static struct lh_range part_in_module(const struct lh_family_setup *setup, const struct lh_segment *segment)
{
	const char *name;
	const struct lh_module *module = lh_symbols_module(setup->symbols, segment->start, &name);
	if (!module)
		return (struct lh_range){0, 0};
	return (struct lh_range){segment->start, lh_min_u64(segment->end, module->end)};
}

struct lh_error *lh_family_visit_module_data(const struct lh_family_setup *setup, lh_module_data_visitor *visit,
					     void *context)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(setup->image, &count);
	LH_CLEANUP(lh_cleanup_free) uint64_t *words = calloc(DATA_PIECE_WORDS, sizeof(*words));
	uint64_t left = MODULE_DATA_MAX;
	if (!words)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++) {
		struct lh_range range = part_in_module(setup, &segments[i]);
		if (range.start >= range.end ||
		    !(segments[i].protection & LH_PROT_WRITE || is_module_data(&segments[i])))
			continue;
		range.end = range.start + lh_min_u64(lh_range_bytes(range), left);
		left -= lh_range_bytes(range);
		LH_TRY(visit_data(setup, range, words, visit, context));
	}
	return NULL;
}

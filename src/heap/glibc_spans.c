/*
 * glibc_spans: every chunk of glibc's malloc. Input: arenas and their heaps. Output: blocks with their state. A chunk
 * is free iff the next chunk's P bit is clear; then the next one's prev_size is its size. At an invalid header the next
 * chain of headers is searched, and the memory between is lost.
 */
#include "glibc.h"

#include <stdlib.h>

enum { CHAIN_MIN = 6 /* headers in a row that are taken for a chain */ };

/* What malloc_trim gives back of free chunks (mtrim): whole pages after the words that lists need. */
enum { TRIM_KEPT_BYTES = 48, TOP_KEPT_BYTES = 33 };

/* Memory with chunks of one arena, from `start` on. */
struct span {
	struct lh_glibc *glibc;
	struct lh_glibc_arena *arena;
	uint64_t start;
	uint64_t end;
	/* Free chunks that become adjacent when fastbins are emptied. */
	uint64_t run_start, run_end;
};

struct header {
	uint64_t previous_bytes;
	uint64_t bytes;
	unsigned flags;
};

static bool read_span_header(const struct span *span, uint64_t addr, struct header *ret)
{
	uint64_t words[2];
	if (addr > span->end - LH_GLIBC_HEADER_BYTES || !lh_heap_words(span->glibc->tour, addr, words, 2))
		return false;
	*ret = (struct header){words[0], words[1] & ~(uint64_t)LH_GLIBC_FLAGS, (unsigned)words[1] & LH_GLIBC_FLAGS};
	return true;
}

/* Whether a chunk can begin at `addr`, which must be in the span. */
static bool is_chunk(const struct span *span, uint64_t addr, const struct header *header)
{
	bool has_flags = !(header->flags & LH_GLIBC_MAPPED) &&
			 (!(header->flags & LH_GLIBC_OTHER_ARENA) || !span->arena->is_main);
	return has_flags && header->bytes % LH_GLIBC_ALIGNMENT == 0 && header->bytes >= LH_GLIBC_CHUNK_MIN &&
	       header->bytes <= span->end - addr;
}

/* The first of two has P clear if the chunk before it is free; the second has size 0 at the end of a heap. */
static bool is_fencepost(const struct header *header)
{
	bool is_second = !header->bytes && header->flags & LH_GLIBC_PREVIOUS_USED;
	return (header->bytes == LH_GLIBC_FENCEPOST || is_second) && !(header->flags & LH_GLIBC_MAPPED);
}

/* What is left of a heap that had 48 bytes for the next block, as one fencepost and its end (malloc.c, sysmalloc). */
static bool is_long_fencepost(const struct span *span, uint64_t addr, const struct header *header)
{
	struct header end;
	return header->bytes == LH_GLIBC_LONG_FENCEPOST &&
	       addr + LH_GLIBC_LONG_FENCEPOST + LH_GLIBC_FENCEPOST == span->end &&
	       read_span_header(span, addr + header->bytes, &end) && !end.bytes && is_fencepost(&end) &&
	       end.previous_bytes == header->bytes;
}

/* ---------------------------------------------------------------- what a trim gives back */

static void end_run(struct span *span)
{
	uint64_t start = span->run_start, bytes = span->run_end - start;
	span->run_start = span->run_end = 0;
	if (bytes < LH_PAGE_BYTES - 1 + TRIM_KEPT_BYTES)
		return;
	uint64_t from = lh_align_up(start + TRIM_KEPT_BYTES, LH_PAGE_BYTES);
	uint64_t left = start + bytes > from ? start + bytes - from : 0;
	span->arena->returnable_bytes +=
		lh_heap_resident_bytes(span->glibc->tour, from, from + lh_align_down(left, LH_PAGE_BYTES));
}

static void extend_run(struct span *span, uint64_t addr, uint64_t bytes)
{
	if (span->run_end != addr) {
		end_run(span);
		span->run_start = addr;
	}
	span->run_end = addr + bytes;
}

/* Only the main arena's top is given back, with the free chunks before it (systrim). */
static void end_with_top(struct span *span, uint64_t addr, uint64_t bytes)
{
	uint64_t end = addr + bytes;
	if (!span->arena->is_main) {
		end_run(span);
		return;
	}
	uint64_t start = span->run_end == addr ? span->run_start : addr;
	if (span->run_end != addr)
		end_run(span);
	span->run_start = span->run_end = 0;
	if (end - start <= TOP_KEPT_BYTES)
		return;
	uint64_t given = lh_align_down(end - start - TOP_KEPT_BYTES, LH_PAGE_BYTES);
	span->arena->returnable_bytes += lh_heap_resident_bytes(span->glibc->tour, end - given, end);
}

/* ---------------------------------------------------------------- walking */

static struct lh_error *add_span_block(struct span *span, uint64_t addr, uint64_t bytes, enum lh_chunk_state state)
{
	struct lh_heap_chunk chunk = {
		.addr = addr + LH_GLIBC_HEADER_BYTES,
		.size_bytes = bytes - 8,
		.arena = span->arena->index,
		.state = (uint8_t)state,
	};
	span->arena->walked_bytes += bytes;
	if (state == LH_CHUNK_USED && lh_glibc_may_be_tcache(bytes))
		LH_TRY(lh_vec_push(&span->glibc->candidates, chunk.addr));
	return lh_heap_add_chunk(span->glibc->tour, &chunk);
}

/* Whether a chain of headers follows from `addr` on: CHAIN_MIN, or up to the span's end. */
static bool begins_chain(const struct span *span, uint64_t addr)
{
	struct header header, next;
	if (!read_span_header(span, addr, &header) || !is_chunk(span, addr, &header))
		return false;
	for (int i = 1; i < CHAIN_MIN; i++) {
		addr += header.bytes;
		if (addr == span->end)
			return i > 1;
		if (!read_span_header(span, addr, &next) || (!is_chunk(span, addr, &next) && !is_fencepost(&next)))
			return false;
		if (!(next.flags & LH_GLIBC_PREVIOUS_USED) && next.previous_bytes != header.bytes)
			return false;
		if (is_fencepost(&next))
			return i > 1;
		header = next;
	}
	return true;
}

/* The next chain at or after `addr`; the span's end if there is none. Skips absent pages. */
static uint64_t find_chain(const struct span *span, uint64_t addr)
{
	while (addr < span->end) {
		uint64_t word;
		if (addr == span->arena->top_addr || begins_chain(span, addr))
			return addr;
		bool is_there = lh_heap_words(span->glibc->tour, addr, &word, 1);
		uint64_t next_page = lh_align_down(addr, LH_PAGE_BYTES) + LH_PAGE_BYTES;
		addr = is_there ? addr + LH_GLIBC_ALIGNMENT : lh_heap_next_resident(span->glibc->tour, next_page);
	}
	return span->end;
}

/* Two fenceposts end a heap, or precede memory that other code got from brk. */
static uint64_t skip_fenceposts(const struct span *span, uint64_t addr)
{
	struct header header = {0};
	while (read_span_header(span, addr, &header) && is_fencepost(&header))
		addr += LH_GLIBC_FENCEPOST;
	return addr >= span->end - LH_GLIBC_HEADER_BYTES ? span->end : find_chain(span, addr);
}

static uint64_t resume_behind(struct span *span, uint64_t addr, const char *what)
{
	lh_heap_check(span->glibc->tour, false, addr, what);
	end_run(span);
	uint64_t next = find_chain(span, addr + LH_GLIBC_ALIGNMENT);
	lh_heap_lose(span->glibc->tour, next - addr);
	return next;
}

/* The state of the chunk before `next`; the sizes must agree if it is free. */
static bool read_state(const struct span *span, uint64_t addr, uint64_t bytes, enum lh_chunk_state *ret)
{
	struct header next;
	if (addr + bytes >= span->end - LH_GLIBC_HEADER_BYTES || !read_span_header(span, addr + bytes, &next)) {
		*ret = LH_CHUNK_USED;
		return addr + bytes == span->end;
	}
	bool is_used = next.flags & LH_GLIBC_PREVIOUS_USED;
	*ret = is_used ? LH_CHUNK_USED : LH_CHUNK_FREE;
	if (is_used && lh_glibc_is_fast(span->glibc, addr))
		*ret = LH_CHUNK_CACHED;
	return is_used || next.previous_bytes == bytes;
}

static struct lh_error *walk_chunk(struct span *span, uint64_t addr, const struct header *header, uint64_t *ret_next)
{
	struct lh_heap_tour *tour = span->glibc->tour;
	bool is_top = addr == span->arena->top_addr || (!span->arena->top_addr && addr + header->bytes == span->end);
	enum lh_chunk_state state;
	if (is_top) {
		end_with_top(span, addr, header->bytes);
		*ret_next = span->end;
		return add_span_block(span, addr, header->bytes, LH_CHUNK_FREE);
	}
	if (!read_state(span, addr, header->bytes, &state)) {
		*ret_next = resume_behind(span, addr, "chunk: its size and the next one's prev_size differ");
		return NULL;
	}
	lh_heap_check(tour, true, addr, "");
	span->arena->free_count += state == LH_CHUNK_FREE;
	if (state != LH_CHUNK_USED)
		extend_run(span, addr, header->bytes);
	*ret_next = addr + header->bytes;
	return add_span_block(span, addr, header->bytes, state);
}

static struct lh_error *walk_span(struct span *span)
{
	uint64_t addr = span->start;
	while (addr < span->end) {
		struct header header;
		uint64_t next;
		if (!read_span_header(span, addr, &header)) {
			next = span->end - addr < LH_GLIBC_HEADER_BYTES + 1
				       ? span->end
				       : resume_behind(span, addr, "chunk: cannot be read");
		} else if (is_fencepost(&header)) {
			end_run(span);
			next = skip_fenceposts(span, addr);
		} else if (is_long_fencepost(span, addr, &header)) {
			end_run(span);
			next = span->end;
		} else if (is_chunk(span, addr, &header)) {
			LH_TRY(walk_chunk(span, addr, &header, &next));
		} else {
			next = resume_behind(span, addr, "chunk: no size that a chunk can have");
		}
		addr = next;
	}
	end_run(span);
	return NULL;
}

/* ---------------------------------------------------------------- heaps */

static struct lh_error *begin_arena(struct lh_glibc *glibc, struct lh_glibc_arena *arena)
{
	return lh_heap_add_arena(glibc->tour,
				 &(struct lh_heap_arena){
					 .allocator = "glibc",
					 .role = arena->is_main ? "main" : "thread",
					 .kind = arena->is_main ? LH_REGION_HEAP : LH_REGION_ARENA,
					 .addr = arena->addr,
				 },
				 &arena->index);
}

static struct lh_error *walk_range(struct lh_glibc *glibc, struct lh_glibc_arena *arena, struct lh_range memory,
				   uint64_t first_chunk)
{
	LH_TRY(lh_heap_add_range(glibc->tour, arena->index, memory.start, memory.end));
	if (first_chunk >= memory.end || memory.end - first_chunk < LH_GLIBC_CHUNK_MIN)
		return NULL;
	struct span span = {.glibc = glibc, .arena = arena, .start = first_chunk, .end = memory.end};
	return walk_span(&span);
}

/* The end of the top chunk if it is after `start`; else `start`. */
static uint64_t find_top_end(struct lh_glibc *glibc, const struct lh_glibc_arena *arena, uint64_t start)
{
	uint64_t words[2], end;
	if (arena->top_addr < start || !lh_heap_words(glibc->tour, arena->top_addr, words, 2) ||
	    !lh_add_u64(arena->top_addr, words[1] & ~(uint64_t)LH_GLIBC_FLAGS, &end))
		return start;
	return end;
}

/*
 * From sbrk_base to top; if brk is blocked, the mappings that malloc took instead, each from its start. Without mp_,
 * each range that was claimed as a heap.
 */
static struct lh_error *walk_main_heap(struct lh_glibc *glibc, struct lh_glibc_arena *arena)
{
	const struct lh_owners *owners = glibc->tour->owners;
	uint64_t base = lh_align_up(glibc->parameters.sbrk_base, LH_GLIBC_ALIGNMENT), done_until = 0;
	for (size_t i = 0; i < owners->items.count; i++) {
		struct lh_range range = owners->items.items[i].range;
		if (owners->items.items[i].kind != LH_REGION_HEAP || range.start < done_until)
			continue;
		bool is_at_base = base >= range.start && base < range.end;
		bool has_top = arena->top_addr >= range.start && arena->top_addr < range.end;
		if (has_top)
			range.end = lh_min_u64(range.end, find_top_end(glibc, arena, range.start));
		LH_TRY(walk_range(glibc, arena, range, is_at_base ? base : range.start));
		done_until = range.end;
	}
	if (!done_until && base && find_top_end(glibc, arena, base) > base) {
		struct lh_range range = {base, find_top_end(glibc, arena, base)};
		return walk_range(glibc, arena, range, base);
	}
	return NULL;
}

/* The first heap begins with the arena itself, the others with heap_info alone. */
static struct lh_error *walk_thread_heap(struct lh_glibc *glibc, const struct lh_glibc_heap *heap)
{
	struct lh_glibc_arena *arena = lh_glibc_arena_at(glibc, heap->arena_addr);
	if (!arena) {
		lh_heap_lose(glibc->tour, heap->used_bytes);
		return NULL;
	}
	uint64_t info_bytes = heap->arena_addr % (64 * LH_MIB);
	uint64_t first = heap->previous_addr ? heap->addr + lh_align_up(info_bytes, LH_GLIBC_ALIGNMENT)
					     : lh_glibc_first_chunk(glibc, heap);
	return walk_range(glibc, arena, (struct lh_range){heap->addr, heap->addr + heap->used_bytes}, first);
}

/* A claimed heap whose arena is unknown because the dump lacks the data of modules. */
static struct lh_error *add_unknown_main(struct lh_glibc *glibc)
{
	const struct lh_owners *owners = glibc->tour->owners;
	for (size_t i = 0; i < glibc->arenas.count; i++) {
		if (glibc->arenas.items[i].is_main)
			return NULL;
	}
	for (size_t i = 0; i < owners->items.count; i++) {
		if (owners->items.items[i].kind == LH_REGION_HEAP)
			return lh_vec_push(&glibc->arenas, (struct lh_glibc_arena){.is_main = true});
	}
	return NULL;
}

struct lh_error *lh_glibc_walk_heaps(struct lh_glibc *glibc)
{
	bool is_main_walked = false;
	LH_TRY(add_unknown_main(glibc));
	for (size_t i = 0; i < glibc->arenas.count; i++) {
		struct lh_glibc_arena *arena = &glibc->arenas.items[i];
		LH_TRY(begin_arena(glibc, arena));
		if (arena->is_main && !is_main_walked) {
			is_main_walked = true;
			LH_TRY(walk_main_heap(glibc, arena));
		}
	}
	for (size_t i = 0; i < glibc->heaps.items.count; i++)
		LH_TRY(walk_thread_heap(glibc, &glibc->heaps.items.items[i]));
	for (size_t i = 0; i < glibc->arenas.count; i++)
		lh_heap_set_returnable(glibc->tour, glibc->arenas.items[i].index,
				       glibc->arenas.items[i].returnable_bytes);
	return NULL;
}

/* ---------------------------------------------------------------- mapped chunks */

/*
 * memalign moves a chunk up by 2^k - 16 bytes, and stores the distance in prev_size. The rest of the mapping remains.
 */
static uint64_t find_moved_header(struct lh_glibc *glibc, uint64_t addr, uint64_t total_bytes, bool is_new)
{
	for (uint64_t step = LH_GLIBC_CHUNK_MIN; step < total_bytes; step *= 2) {
		uint64_t words[2], offset = step - LH_GLIBC_HEADER_BYTES;
		if (!lh_heap_words(glibc->tour, addr + offset, words, 2))
			continue;
		uint64_t moved = is_new ? words[0] & ~UINT64_C(1) : words[0];
		uint64_t bytes = (words[1] & ~(uint64_t)LH_GLIBC_FLAGS) + (is_new ? 16 : 0);
		if (moved == offset && (words[1] & LH_GLIBC_FLAGS) == LH_GLIBC_MAPPED && bytes == total_bytes - offset)
			return addr + offset;
	}
	return addr;
}

static struct lh_error *add_mapped(struct lh_glibc *glibc, uint32_t arena, uint64_t addr, uint64_t total_bytes)
{
	uint64_t words[2];
	if (!lh_heap_words(glibc->tour, addr, words, 2))
		return NULL;
	bool is_new = (words[1] & ~(uint64_t)LH_GLIBC_FLAGS) != total_bytes;
	uint64_t header = find_moved_header(glibc, addr, total_bytes, is_new);
	/* From 2.43 on the last word is not usable, as if a chunk followed (memsize() in malloc/malloc.c). */
	uint64_t around_bytes = LH_GLIBC_HEADER_BYTES + (is_new ? sizeof(uint64_t) : 0);
	LH_TRY(lh_heap_add_range(glibc->tour, arena, addr, addr + total_bytes));
	return lh_heap_add_chunk(glibc->tour, &(struct lh_heap_chunk){
						      .addr = header + LH_GLIBC_HEADER_BYTES,
						      .size_bytes = addr + total_bytes - header - around_bytes,
						      .arena = arena,
						      .state = LH_CHUNK_USED,
					      });
}

static struct lh_error *walk_mapped_range(struct lh_glibc *glibc, uint32_t arena, struct lh_range range,
					  struct lh_glibc_parameters *ret)
{
	for (uint64_t addr = range.start, bytes = 0; addr < range.end; addr += bytes) {
		uint64_t words[2];
		if (!lh_heap_words(glibc->tour, addr, words, 2) ||
		    !lh_glibc_parse_mapped(words, range.end - addr, &bytes)) {
			lh_heap_lose(glibc->tour, range.end - addr);
			break;
		}
		ret->mapped_count++;
		ret->mapped_bytes += bytes;
		LH_TRY(add_mapped(glibc, arena, addr, bytes));
	}
	return NULL;
}

/* Unclaimed chunks: deep in mappings that the kernel has merged with unrelated memory. */
struct stray_chunks {
	LH_VEC(struct lh_range) items;
	uint64_t bytes;
};

static void deinit_stray_chunks(struct stray_chunks *strays)
{
	lh_vec_deinit(&strays->items);
}

/* Page starts of a mapping that no allocator owns. */
static struct lh_error *search_strays(struct lh_glibc *glibc, const struct lh_region *region, struct stray_chunks *ret)
{
	const struct lh_owners *owners = glibc->tour->owners;
	uint64_t addr = lh_heap_next_resident(glibc->tour, region->start);
	while (addr < region->end) {
		size_t next_owner = lh_owners_index(owners, addr);
		struct lh_range owned = {region->end, region->end};
		if (next_owner < owners->items.count)
			owned = owners->items.items[next_owner].range;
		uint64_t words[2], bytes = LH_PAGE_BYTES, end = lh_min_u64(region->end, owned.start);
		if (addr >= owned.start) {
			bytes = owned.end - addr;
		} else if (lh_heap_words(glibc->tour, addr, words, 2) &&
			   lh_glibc_parse_mapped(words, end - addr, &bytes)) {
			LH_TRY(lh_vec_push(&ret->items, ((struct lh_range){addr, addr + bytes})));
			ret->bytes += bytes;
		}
		addr = lh_heap_next_resident(glibc->tour, addr + bytes);
	}
	return NULL;
}

/* Any words at a page start can look like a header: strays count only if all sums agree with them. */
static struct lh_error *walk_strays(struct lh_glibc *glibc, uint32_t arena, struct lh_glibc_parameters *found)
{
	const struct lh_heap_memory *memory = glibc->tour->memory;
	struct stray_chunks strays LH_CLEANUP(deinit_stray_chunks) = {0};
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (lh_heap_has(memory, i, LH_HEAP_PLAIN))
			LH_TRY(search_strays(glibc, &memory->list->regions.items[i], &strays));
	}
	if (found->mapped_count + strays.items.count != glibc->parameters.mapped_count ||
	    found->mapped_bytes + strays.bytes != glibc->parameters.mapped_bytes)
		return NULL;
	found->mapped_count += strays.items.count;
	for (size_t i = 0; i < strays.items.count; i++)
		LH_TRY(add_mapped(glibc, arena, strays.items.items[i].start, lh_range_bytes(strays.items.items[i])));
	return NULL;
}

struct lh_error *lh_glibc_walk_mapped(struct lh_glibc *glibc)
{
	const struct lh_owners *owners = glibc->tour->owners;
	struct lh_glibc_parameters found = {0};
	struct lh_heap_arena mapped = {.allocator = "glibc", .role = "mmapped", .kind = LH_REGION_MMAP_CHUNK};
	uint32_t arena = UINT32_MAX;
	for (size_t i = 0; i < owners->items.count; i++) {
		if (owners->items.items[i].kind != LH_REGION_MMAP_CHUNK)
			continue;
		if (arena == UINT32_MAX)
			LH_TRY(lh_heap_add_arena(glibc->tour, &mapped, &arena));
		LH_TRY(walk_mapped_range(glibc, arena, owners->items.items[i].range, &found));
	}
	if (!glibc->parameters.is_known)
		return NULL;
	if (found.mapped_count < glibc->parameters.mapped_count) {
		if (arena == UINT32_MAX)
			LH_TRY(lh_heap_add_arena(glibc->tour, &mapped, &arena));
		LH_TRY(walk_strays(glibc, arena, &found));
	}
	if (!lh_heap_check(glibc->tour, found.mapped_count == glibc->parameters.mapped_count,
			   glibc->arenas.items[0].addr, "mp_: n_mmaps is not the number of mapped chunks found") &&
	    glibc->parameters.mapped_bytes > found.mapped_bytes)
		lh_heap_lose(glibc->tour, glibc->parameters.mapped_bytes - found.mapped_bytes);
	return NULL;
}

/* ---------------------------------------------------------------- all of it */

/* The memory that the arena got from the system must equal what was walked, except for the words around it. */
static void check_system_bytes(struct lh_glibc *glibc)
{
	for (size_t i = 0; i < glibc->arenas.count; i++) {
		const struct lh_glibc_arena *arena = &glibc->arenas.items[i];
		if (arena->bins_addr && arena->walked_bytes)
			lh_heap_check(glibc->tour, arena->walked_bytes <= arena->system_bytes, arena->addr,
				      "arena: more chunks than system_mem");
	}
}

static struct lh_error *walk_glibc(struct lh_heap_tour *tour)
{
	struct lh_glibc glibc LH_CLEANUP(lh_glibc_deinit) = {.tour = tour};
	LH_TRY(lh_glibc_find_state(&glibc));
	LH_TRY(lh_glibc_read_fastbins(&glibc));
	LH_TRY(lh_glibc_walk_heaps(&glibc));
	LH_TRY(lh_glibc_walk_mapped(&glibc));
	LH_TRY(lh_glibc_mark_tcaches(&glibc));
	lh_glibc_check_bins(&glibc);
	check_system_bytes(&glibc);
	return NULL;
}

const struct lh_allocator_walker lh_walk_glibc_chunks = {
	.name = "glibc",
	.claim = lh_glibc_claim_chunks,
	.kinds = UINT32_C(1) << LH_REGION_HEAP | UINT32_C(1) << LH_REGION_ARENA | UINT32_C(1) << LH_REGION_MMAP_CHUNK,
	.walks_unclaimed = true,
	.walk = walk_glibc,
};

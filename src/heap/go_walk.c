/*
 * go_walk: spans of Go's heap (runtime/mheap.go, Go 1.18 to 1.24). Input: claimed arenas, and data of modules. Output:
 * an arena for the heap and one for stacks, with one block per object. The list of spans, mheap_.allspans, is found as
 * the slice whose members are all valid spans. In a span that the collector has marked but not swept, marked objects
 * are in use.
 */
#include "walker.h"

#include <stdlib.h>
#include <string.h>

#define GO_PAGE_BYTES  UINT64_C(8192)
#define GO_HEAP_START  UINT64_C(0xc000000000)
#define GO_HEAP_END    UINT64_C(0x100c000000000)
#define DATA_BYTES_MAX (64 * LH_MIB)

enum {
	SPANS_MAX = 1 << 26,
	SPAN_WORDS = 20,
	SPANS_TRIED = 32, /* members of a slice that decide whether it is the list of spans */
	SPAN_PAGES_MAX = 1 << 26,
	BITS_BYTES_MAX = 256, /* per span: 8 or more pages hold at most 1024 objects */
	TYPE_CLASSES = 256,
};
enum go_span_state { SPAN_DEAD, SPAN_IN_USE, SPAN_MANUAL };

/*
 * Offsets in mspan. Fields after sweepgen have constant distances from it: count +8, class +10, state +11, elemsize
 * +16.
 */
struct span_layout {
	const char *versions;
	unsigned free_index, count, count_bits;
	unsigned alloc_bits, mark_bits, sweep_generation;
};
static const struct span_layout span_layouts[] = {
	{"1.22 to 1.24", 48, 50, 16, 64, 72, 88},
	{"1.18 to 1.20", 48, 56, 64, 72, 80, 88},
	{"1.21", 48, 56, 64, 72, 80, 96},
};

struct go_span {
	uint64_t start, page_count;
	uint64_t free_index, count;
	uint64_t alloc_bits, mark_bits;
	uint32_t sweep_generation;
	uint64_t used_count; /* as stored in the span */
	uint8_t class;       /* size class << 1 | no pointers */
	uint8_t state;
	uint64_t object_bytes;
};

struct go_heap {
	struct lh_heap_tour *tour;
	const struct span_layout *layout;
	uint64_t spans_addr, span_count;
	uint32_t sweep_generation;
	uint32_t heap_arena, stack_arena;
	uint32_t stack_type, free_type;
	uint32_t types[TYPE_CLASSES];  /* by class; UINT32_MAX: not created yet */
	LH_VEC(struct lh_range) spans; /* in use, of either kind */
};

/* ---------------------------------------------------------------- spans */

static uint64_t load_field(const uint8_t *bytes, unsigned offset, unsigned bits)
{
	uint64_t word = lh_load_u64(bytes, offset);
	return bits == 64 ? word : word & ((UINT64_C(1) << bits) - 1);
}

static bool read_go_span(struct lh_heap_tour *tour, const struct span_layout *layout, uint64_t addr,
			 struct go_span *ret)
{
	const uint8_t *bytes = addr % 8 ? NULL : lh_heap_bytes(tour, addr, SPAN_WORDS * sizeof(uint64_t));
	if (!bytes)
		return false;
	unsigned tail = layout->sweep_generation;
	*ret = (struct go_span){
		.start = lh_load_u64(bytes, 24),
		.page_count = lh_load_u64(bytes, 32),
		.free_index = load_field(bytes, layout->free_index, layout->count_bits),
		.count = load_field(bytes, layout->count, layout->count_bits),
		.alloc_bits = lh_load_u64(bytes, layout->alloc_bits),
		.mark_bits = lh_load_u64(bytes, layout->mark_bits),
		.sweep_generation = (uint32_t)load_field(bytes, tail, 32),
		.used_count = load_field(bytes, tail + 8, 16),
		.class = bytes[tail + 10],
		.state = bytes[tail + 11],
		.object_bytes = lh_load_u64(bytes, tail + 16),
	};
	return true;
}

/* Dead spans keep old fields, or none. */
static bool is_span(const struct go_span *span)
{
	if (span->state == SPAN_DEAD)
		return span->page_count <= SPAN_PAGES_MAX && span->start % GO_PAGE_BYTES == 0;
	bool has_place = span->state <= SPAN_MANUAL && span->start % GO_PAGE_BYTES == 0 && span->page_count &&
			 span->page_count <= SPAN_PAGES_MAX && span->start >= GO_HEAP_START &&
			 span->start < GO_HEAP_END;
	if (!has_place || span->state == SPAN_MANUAL)
		return has_place;
	return span->object_bytes >= 8 && span->count && span->count <= span->page_count * (GO_PAGE_BYTES / 8) &&
	       span->object_bytes <= span->page_count * GO_PAGE_BYTES / span->count &&
	       span->free_index <= span->count && span->used_count <= span->count;
}

/* Whether the first members are valid spans, and one is in use. */
static bool are_spans(struct lh_heap_tour *tour, const struct span_layout *layout, const uint64_t *members,
		      size_t count)
{
	bool has_used = false;
	for (size_t i = 0; i < count; i++) {
		struct go_span span = {0};
		if (!read_go_span(tour, layout, members[i], &span) || !is_span(&span))
			return false;
		has_used |= span.state == SPAN_IN_USE;
	}
	return has_used;
}

/*
 * Takes it as the list if it is one and longer than earlier ones. The word before the slice is the sweep's generation,
 * which is even.
 */
static void try_span_list(struct go_heap *heap, const uint64_t *words)
{
	uint64_t members[SPANS_TRIED];
	size_t count = lh_min_u64(words[2], SPANS_TRIED);
	uint32_t generation = (uint32_t)words[0];
	if (!words[2] || words[2] > words[3] || words[3] > SPANS_MAX || words[1] % 8 || words[1] < LH_PAGE_BYTES ||
	    words[1] >> 47 || generation % 2 || words[2] <= heap->span_count ||
	    !lh_heap_words(heap->tour, words[1], members, count))
		return;
	for (size_t i = 0; i < LH_ARRAY_COUNT(span_layouts); i++) {
		if (!are_spans(heap->tour, &span_layouts[i], members, count))
			continue;
		heap->layout = &span_layouts[i];
		heap->spans_addr = words[1];
		heap->span_count = words[2];
		heap->sweep_generation = generation;
		return;
	}
}

static void search_spans_in(struct go_heap *heap, struct lh_range range)
{
	enum { WORDS = 512, SLICE = 4 };
	static const size_t step = (WORDS - SLICE + 1) * sizeof(uint64_t);
	for (uint64_t addr = range.start; addr < range.end; addr += step) {
		uint64_t words[WORDS];
		size_t count = lh_min_u64(WORDS, (range.end - addr) / sizeof(uint64_t));
		if (!lh_heap_words(heap->tour, addr, words, count)) {
			/* A page is absent: read word by word; absent words are 0. */
			for (size_t i = 0; i < count; i++) {
				if (!lh_heap_words(heap->tour, addr + i * sizeof(uint64_t), &words[i], 1))
					words[i] = 0;
			}
		}
		for (size_t i = 0; i + SLICE <= count; i++)
			try_span_list(heap, &words[i]);
	}
}

/* Searches data, bss, and a bss mapping after it. */
static void find_span_list(struct go_heap *heap)
{
	const struct lh_region_list *list = heap->tour->memory->list;
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		bool is_data = region->kind == LH_REGION_DATA || region->kind == LH_REGION_BSS;
		if (is_data && region->protection & LH_PROT_WRITE && region->end - region->start <= DATA_BYTES_MAX)
			search_spans_in(heap, (struct lh_range){region->start, region->end});
	}
}

/* ---------------------------------------------------------------- objects */

static struct lh_error *add_go_type(struct go_heap *heap, const char *name, bool is_own, uint32_t *ret)
{
	return lh_heap_add_type(
		heap->tour, &(struct lh_heap_type){.kind = "Go", .name = name, .detail = "", .is_own = is_own}, ret);
}

static struct lh_error *find_span_type(struct go_heap *heap, const struct go_span *span, uint32_t *ret)
{
	uint32_t *type = &heap->types[span->class];
	char name[64], size[LH_FORMAT_MAX];
	if (*type == UINT32_MAX) {
		const char *pointers = span->class & 1 ? "without pointers" : "with pointers";
		if (span->class >> 1)
			snprintf(name, sizeof(name), "objects of %s %s", lh_format_bytes(span->object_bytes, size),
				 pointers);
		else
			snprintf(name, sizeof(name), "large objects %s", pointers);
		LH_TRY(add_go_type(heap, name, true, type));
	}
	*ret = *type;
	return NULL;
}

/* Sweeping is still to come: unmarked objects are garbage. */
static bool is_unswept(const struct go_heap *heap, const struct go_span *span)
{
	uint32_t behind = heap->sweep_generation - span->sweep_generation;
	return behind == 2 || behind == 1 || behind == UINT32_MAX;
}

static bool is_allocated(const struct go_span *span, const uint8_t *bits, bool is_marked_only, uint64_t index)
{
	return (!is_marked_only && index < span->free_index) || (bits[index / 8] >> index % 8 & 1);
}

static struct lh_error *add_span_objects(struct go_heap *heap, const struct go_span *span, const uint8_t *bits)
{
	uint32_t type;
	bool is_marked_only = is_unswept(heap, span);
	uint64_t used_count = 0;
	LH_TRY(find_span_type(heap, span, &type));
	for (uint64_t i = 0; i < span->count; i++) {
		bool is_used = is_allocated(span, bits, is_marked_only, i);
		struct lh_heap_chunk chunk = {
			.addr = span->start + i * span->object_bytes,
			.size_bytes = span->object_bytes,
			.arena = heap->heap_arena,
			.state = is_used ? LH_CHUNK_USED : LH_CHUNK_FREE,
		};
		used_count += is_used;
		LH_TRY(lh_heap_add_object(heap->tour, &chunk, type));
	}
	if (!is_marked_only)
		lh_heap_check(heap->tour, used_count == span->used_count, span->start,
			      "span: allocCount is not the number of its objects");
	return NULL;
}

static struct lh_error *walk_objects(struct go_heap *heap, const struct go_span *span)
{
	uint8_t bits[BITS_BYTES_MAX];
	uint64_t addr = is_unswept(heap, span) ? span->mark_bits : span->alloc_bits;
	size_t length = (span->count + 7) / 8;
	const uint8_t *bytes = length <= sizeof(bits) ? lh_heap_bytes(heap->tour, addr, length) : NULL;
	lh_heap_check(heap->tour, bytes, span->start, "span: its bits are not there");
	if (!bytes) {
		lh_heap_lose(heap->tour, span->page_count * GO_PAGE_BYTES);
		return NULL;
	}
	memcpy(bits, bytes, length);
	return add_span_objects(heap, span, bits);
}

static bool lies_in_heap(const struct go_heap *heap, const struct go_span *span)
{
	const struct lh_owners *owners = heap->tour->owners;
	const struct lh_owner_range *owner = lh_owners_find(owners, span->start);
	return owner && owner->kind == LH_REGION_GO;
}

static struct lh_error *walk_go_span(struct go_heap *heap, uint64_t addr)
{
	struct go_span span = {0};
	if (!lh_heap_check(heap->tour, read_go_span(heap->tour, heap->layout, addr, &span), addr,
			   "span: cannot be read") ||
	    !lh_heap_check(heap->tour, is_span(&span), addr, "span: fields disagree") || span.state == SPAN_DEAD)
		return NULL;
	if (!lh_heap_check(heap->tour, lies_in_heap(heap, &span), addr, "span: outside of the heap"))
		return NULL;
	struct lh_range range = {span.start, span.start + span.page_count * GO_PAGE_BYTES};
	LH_TRY(lh_vec_push(&heap->spans, range));
	if (span.state == SPAN_IN_USE) {
		LH_TRY(lh_heap_add_range(heap->tour, heap->heap_arena, range.start, range.end));
		return walk_objects(heap, &span);
	}
	LH_TRY(lh_heap_add_range(heap->tour, heap->stack_arena, range.start, range.end));
	return lh_heap_add_object(heap->tour,
				  &(struct lh_heap_chunk){.addr = range.start,
							  .size_bytes = lh_range_bytes(range),
							  .arena = heap->stack_arena,
							  .state = LH_CHUNK_USED},
				  heap->stack_type);
}

static struct lh_error *walk_go_spans(struct go_heap *heap)
{
	for (uint64_t i = 0; i < heap->span_count; i++) {
		uint64_t addr;
		if (!lh_heap_words(heap->tour, heap->spans_addr + i * sizeof(addr), &addr, 1)) {
			lh_heap_lose(heap->tour, 0);
			continue;
		}
		LH_TRY(walk_go_span(heap, addr));
	}
	return NULL;
}

/* ---------------------------------------------------------------- free pages */

static struct lh_error *add_free_gap(struct go_heap *heap, uint64_t start, uint64_t end, uint64_t *returnable_bytes)
{
	if (start >= end)
		return NULL;
	*returnable_bytes += lh_heap_resident_bytes(heap->tour, start, end);
	LH_TRY(lh_heap_add_range(heap->tour, heap->heap_arena, start, end));
	return lh_heap_add_object(
		heap->tour,
		&(struct lh_heap_chunk){
			.addr = start, .size_bytes = end - start, .arena = heap->heap_arena, .state = LH_CHUNK_FREE},
		heap->free_type);
}

/* Pages in no span: debug.FreeOSMemory gives back those that are resident. */
static struct lh_error *walk_free_pages(struct go_heap *heap)
{
	const struct lh_owners *owners = heap->tour->owners;
	uint64_t returnable_bytes = 0;
	size_t at = 0;
	lh_vec_sort(&heap->spans, lh_compare_range_starts);
	for (size_t i = 0; i < owners->items.count; i++) {
		struct lh_range owned = owners->items.items[i].range;
		if (owners->items.items[i].kind != LH_REGION_GO)
			continue;
		uint64_t done = owned.start;
		for (; at < heap->spans.count && heap->spans.items[at].start < owned.end; at++) {
			LH_TRY(add_free_gap(heap, done, heap->spans.items[at].start, &returnable_bytes));
			done = lh_max_u64(done, heap->spans.items[at].end);
		}
		LH_TRY(add_free_gap(heap, done, owned.end, &returnable_bytes));
	}
	lh_heap_set_returnable(heap->tour, heap->heap_arena, returnable_bytes);
	return NULL;
}

/* ---------------------------------------------------------------- all of it */

static struct lh_error *begin_go_heap(struct go_heap *heap)
{
	struct lh_heap_arena arena = {
		.allocator = "Go", .role = "", .kind = LH_REGION_GO, .is_typed = true, .addr = heap->spans_addr};
	memset(heap->types, 0xff, sizeof(heap->types));
	LH_TRY(lh_heap_add_arena(heap->tour, &arena, &heap->heap_arena));
	arena.role = "stacks";
	arena.addr = 0;
	LH_TRY(lh_heap_add_arena(heap->tour, &arena, &heap->stack_arena));
	LH_TRY(add_go_type(heap, "stacks of goroutines", false, &heap->stack_type));
	return add_go_type(heap, "free pages", false, &heap->free_type);
}

static void deinit_go_heap(struct go_heap *heap)
{
	lh_vec_deinit(&heap->spans);
}

static struct lh_error *walk_go(struct lh_heap_tour *tour)
{
	struct go_heap heap LH_CLEANUP(deinit_go_heap) = {.tour = tour};
	find_span_list(&heap);
	lh_heap_check(tour, heap.layout, GO_HEAP_START, "no list of spans in the data of a module");
	if (!heap.layout) {
		lh_heap_lose(tour, lh_heap_owned_bytes(tour->owners, LH_REGION_GO));
		return NULL;
	}
	lh_heap_note(tour, "spans as of Go %s", heap.layout->versions);
	LH_TRY(begin_go_heap(&heap));
	LH_TRY(walk_go_spans(&heap));
	return walk_free_pages(&heap);
}

const struct lh_allocator_walker lh_walk_go = {
	.name = "Go", .claim = lh_go_claim, .kinds = UINT32_C(1) << LH_REGION_GO, .walk = walk_go};

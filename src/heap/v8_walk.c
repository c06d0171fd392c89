/*
 * v8_walk: objects of V8's heap, page by page. Input: claimed pages. Output: one arena per isolate, and for each object
 * a block of its type, garbage that was not swept yet included. If an object's size is unknown, or no object begins,
 * the walk continues where several objects follow one another.
 */
#include "v8.h"

#include <stdlib.h>
#include <string.h>

enum { UNDECIDED = 1 << 30, CHAIN = 4, ISOLATES_MAX = 256, LABS_MAX = 64, HEAD_WORDS = 3 };

/* Around the heap in its isolate, where its allocation areas are described. */
#define ISOLATE_BEFORE_BYTES (128 * LH_KIB)
#define ISOLATE_AFTER_BYTES  (64 * LH_KIB)
/* Before the half of the young generation that is filled, up to V8 9. */
#define SPACE_BEFORE_BYTES 512

struct v8_isolate {
	uint64_t heap;
	uint32_t arena;
	struct lh_range labs[LABS_MAX]; /* not filled yet */
	size_t lab_count;
	uint64_t young_space; /* whose waiting pages are known */
};

struct v8_walk {
	struct lh_v8_heap heap;
	struct v8_isolate isolates[ISOLATES_MAX];
	size_t isolate_count;
	struct lh_hash_table waiting; /* young pages without objects, by address */
};

struct v8_object {
	uint64_t bytes; /* 0: no object begins here; UINT64_MAX: size unknown */
	bool is_filler;
	bool is_buffer;
	bool is_map;
	uint32_t type;
};

static void destroy_walk(struct v8_walk **walk)
{
	if (!*walk)
		return;
	if ((*walk)->heap.names)
		lh_v8_names_deinit((*walk)->heap.names);
	free((*walk)->heap.names);
	lh_hash_table_deinit(&(*walk)->heap.numbers);
	lh_hash_table_deinit(&(*walk)->heap.leanings);
	lh_hash_table_deinit(&(*walk)->waiting);
	lh_vec_deinit(&(*walk)->heap.maps);
	free(*walk);
}

/* ---------------------------------------------------------------- objects */

static uint64_t string_bytes(const struct lh_v8_names *names, uint32_t type, const uint64_t *head)
{
	uint64_t length = head[1] >> 32;
	return 16 + ((type & names->encoding_mask) == names->one_byte ? length : 2 * length);
}

/* Sizes that the map does not state. */
static uint64_t shape_bytes(const struct lh_v8_heap *heap, const struct lh_v8_map *map, const uint64_t *head)
{
	enum { PROPERTIES_MASK = 1023, DESCRIPTORS_HEAD = 24 };
	uint64_t number = head[1] >> 32;
	bool is_number = lh_v8_is_smi(head[1]);
	switch (map->shape) {
	case LH_V8_FIXED:
		return map->bytes;
	case LH_V8_STRING:
		return string_bytes(heap->names, map->type, head);
	case LH_V8_ARRAY:
		return is_number ? 16 + 8 * number : UINT64_MAX;
	case LH_V8_WEAK_LIST:
		return is_number ? 24 + 8 * number : UINT64_MAX;
	case LH_V8_BYTES:
		return is_number ? 16 + number : UINT64_MAX;
	case LH_V8_FREE_SPACE:
		return is_number ? number : UINT64_MAX;
	case LH_V8_FREE_WORDS:
		return is_number ? 8 * number : UINT64_MAX;
	case LH_V8_PROPERTIES:
		return is_number ? 16 + 8 * (number & PROPERTIES_MASK) : UINT64_MAX;
	case LH_V8_DESCRIPTORS:
		return DESCRIPTORS_HEAD + (head[1] & UINT16_MAX) * 24;
	default:
		return UINT64_MAX;
	}
}

static struct lh_error *begins_object(struct lh_v8_heap *heap, uint64_t addr, const struct lh_v8_page *page, bool *ret)
{
	const struct lh_v8_map *map = NULL;
	uint64_t word;
	if (addr < page->area_end && lh_v8_read_words(heap, addr, &word, 1))
		LH_TRY(lh_v8_find_map(heap, word, &map));
	*ret = map || addr == page->area_end;
	return NULL;
}

/* Decides by where an object begins behind this one; if that is at both places, or at none, as for most of the type. */
static struct lh_error *decide_shape(struct lh_v8_heap *heap, uint64_t addr, const struct lh_v8_page *page,
				     uint64_t length, struct lh_v8_map *map)
{
	uint32_t leaning = UNDECIDED;
	bool is_array, is_free;
	LH_TRY(begins_object(heap, addr + 16 + 8 * length, page, &is_array));
	LH_TRY(begins_object(heap, addr + 8 * length, page, &is_free));
	is_free &= length > 1;
	lh_hash_table_find(&heap->leanings, map->type, &leaning);
	if (is_array != is_free) {
		leaning += is_free ? 1 : -1U;
		LH_TRY(lh_hash_table_put(&heap->leanings, map->type, leaning));
	} else {
		is_free = leaning > UNDECIDED;
	}
	map->shape = is_free ? LH_V8_FREE_WORDS : LH_V8_ARRAY;
	map->is_filler = is_free;
	return NULL;
}

/* Notes the word that states an object's length, also a mistaken one: of a string without its hash. */
static struct lh_error *note_v8_length(struct lh_v8_heap *heap, const struct lh_v8_map *map, uint64_t addr)
{
	if (map->shape == LH_V8_STRING)
		return lh_heap_note_structure(heap->tour, addr + 12, 4);
	return map->shape == LH_V8_FIXED || map->shape == LH_V8_UNKNOWN
		       ? NULL
		       : lh_heap_note_structure(heap->tour, addr + 8, 8);
}

static struct lh_error *read_v8_object(struct lh_v8_heap *heap, uint64_t addr, const struct lh_v8_page *page,
				       struct v8_object *ret)
{
	uint64_t head[HEAD_WORDS] = {0}, most = page->area_end - addr;
	const struct lh_v8_map *found;
	*ret = (struct v8_object){0};
	if (!lh_v8_read_words(heap, addr, head, lh_min_u64(HEAD_WORDS, most / 8)))
		return NULL;
	LH_TRY(lh_v8_find_map(heap, head[0], &found));
	if (!found)
		return NULL;
	struct lh_v8_map map = *found;
	LH_TRY(note_v8_length(heap, &map, addr));
	if (map.shape == LH_V8_UNNAMED)
		LH_TRY(decide_shape(heap, addr, page, head[1] >> 32, &map));
	uint64_t bytes = shape_bytes(heap, &map, head);
	*ret = (struct v8_object){.bytes = UINT64_MAX,
				  .is_filler = map.is_filler,
				  .is_buffer = map.is_buffer,
				  .is_map = map.type == heap->names->map_type,
				  .type = map.types[!!(page->flags & LH_V8_TO_PAGE)]};
	if (bytes != UINT64_MAX)
		ret->bytes = lh_align_up(bytes, 8) <= most ? lh_align_up(bytes, 8) : 0;
	return NULL;
}

/* Whether several objects follow one another from `addr` on. */
static struct lh_error *is_chain(struct lh_v8_heap *heap, uint64_t addr, const struct lh_v8_page *page, bool *ret)
{
	*ret = false;
	for (size_t i = 0; i < CHAIN && addr < page->area_end; i++) {
		struct v8_object object;
		LH_TRY(read_v8_object(heap, addr, page, &object));
		if (!object.bytes)
			return NULL;
		if (object.bytes == UINT64_MAX)
			break;
		addr += object.bytes;
	}
	*ret = true;
	return NULL;
}

/* The next place from which objects follow one another; the area's end if there is none. */
static struct lh_error *find_next(struct lh_v8_heap *heap, uint64_t addr, const struct lh_v8_page *page, uint64_t *ret)
{
	for (addr += 8; addr < page->area_end; addr += 8) {
		uint64_t word;
		const struct lh_v8_map *map;
		bool is_found = false;
		if (!lh_v8_read_words(heap, addr, &word, 1))
			break;
		LH_TRY(lh_v8_find_map(heap, word, &map));
		if (map)
			LH_TRY(is_chain(heap, addr, page, &is_found));
		if (is_found) {
			*ret = addr;
			return NULL;
		}
	}
	*ret = page->area_end;
	return NULL;
}

/* ---------------------------------------------------------------- pages */

static struct lh_error *give_free(struct v8_walk *walk, uint32_t arena, uint64_t start, uint64_t end)
{
	struct lh_heap_chunk chunk = {.addr = start, .size_bytes = end - start, .arena = arena, .state = LH_CHUNK_FREE};
	return start < end ? lh_heap_add_chunk(walk->heap.tour, &chunk) : NULL;
}

/* Notes all of a map, and the size of a buffer. */
static struct lh_error *note_v8_fields(struct v8_walk *walk, uint64_t addr, const struct v8_object *object)
{
	const struct lh_v8_names *names = walk->heap.names;
	if (object->is_map)
		return lh_heap_note_structure(walk->heap.tour, addr, object->bytes);
	if (object->is_buffer && names->buffer_bytes >= 0)
		return lh_heap_note_structure(walk->heap.tour, addr + (uint64_t)names->buffer_bytes, 8);
	return NULL;
}

/* An ArrayBuffer's memory outside of the heap is its own. */
static void own_store(struct v8_walk *walk, uint64_t addr, uint32_t type)
{
	const struct lh_v8_names *names = walk->heap.names;
	uint64_t bytes, store;
	if (names->buffer_bytes >= 0 && names->buffer_store >= 0 &&
	    lh_v8_read_words(&walk->heap, addr + (uint64_t)names->buffer_bytes, &bytes, 1) &&
	    lh_v8_read_words(&walk->heap, addr + (uint64_t)names->buffer_store, &store, 1) && store &&
	    bytes < UINT64_C(1) << 40)
		lh_heap_own(walk->heap.tour, type, bytes);
}

static struct lh_error *give_v8_object(struct v8_walk *walk, uint32_t arena, uint64_t addr,
				       const struct v8_object *object)
{
	struct lh_heap_chunk chunk = {
		.addr = addr, .size_bytes = object->bytes, .arena = arena, .state = LH_CHUNK_USED};
	lh_heap_check(walk->heap.tour, true, addr, "");
	LH_TRY(note_v8_fields(walk, addr, object));
	if (object->is_filler)
		return give_free(walk, arena, addr, addr + object->bytes);
	if (object->is_buffer)
		own_store(walk, addr, object->type);
	return lh_heap_add_object(walk->heap.tour, &chunk, object->type);
}

static const struct lh_range *find_lab(const struct v8_isolate *isolate, uint64_t addr, uint64_t end)
{
	for (size_t i = 0; i < isolate->lab_count; i++) {
		if (isolate->labs[i].start >= addr && isolate->labs[i].start < end)
			return &isolate->labs[i];
	}
	return NULL;
}

static bool is_lab(const uint64_t *words, const struct lh_owners *owners)
{
	if (words[0] > words[1] || words[1] > words[2] || words[0] == words[2] || words[0] % 8 || words[1] % 8 ||
	    words[2] % 8 || (words[2] - 1) / LH_V8_PAGE_ALIGNMENT != words[0] / LH_V8_PAGE_ALIGNMENT)
		return false;
	const struct lh_owner_range *owner = lh_owners_find(owners, words[0]);
	return owner && owner->kind == LH_REGION_V8;
}

/* {start, top, limit} of the areas for the next allocations (src/heap/linear-allocation-area.h). */
static void find_labs(struct v8_walk *walk, struct v8_isolate *isolate, uint64_t addr, uint64_t end)
{
	uint64_t words[LH_PAGE_BYTES / 8 + 2];
	for (addr = lh_align_down(addr, LH_PAGE_BYTES); addr < end; addr += LH_PAGE_BYTES) {
		size_t count = LH_ARRAY_COUNT(words);
		if (!lh_v8_read_words(&walk->heap, addr, words, count) &&
		    !lh_v8_read_words(&walk->heap, addr, words, count -= 2))
			continue;
		for (size_t i = 0; i + 2 < count && isolate->lab_count < LABS_MAX; i++) {
			if (is_lab(words + i, walk->heap.tour->owners))
				isolate->labs[isolate->lab_count++] = (struct lh_range){words[i + 1], words[i + 2]};
		}
	}
}

/* After the area's end: allocated bytes, wasted bytes, the fill level, and the owner. */
static void read_fill_level(struct v8_walk *walk, struct lh_v8_page *page)
{
	uint64_t words[LH_V8_HEADER_WORDS];
	if (page->mark || !lh_v8_read_words(&walk->heap, page->addr, words, LH_V8_HEADER_WORDS))
		return;
	for (size_t area = 0; area + 5 < LH_V8_HEADER_WORDS; area++) {
		if (words[area] != page->area)
			continue;
		page->mark = words[area + 4];
		page->owner = words[area + 5];
	}
}

/* How far a page is filled: for young pages, which are not put in order before the next collection. */
static struct lh_error *find_filled_end(struct v8_walk *walk, struct v8_isolate *isolate, struct lh_v8_page *page,
					uint64_t *ret)
{
	uint32_t unused;
	bool is_large = page->bytes != LH_V8_PAGE_ALIGNMENT;
	*ret = page->area;
	if (page->flags & LH_V8_FROM_PAGE && !(page->flags & LH_V8_TO_PAGE))
		return NULL;
	*ret = page->area_end;
	if (!(page->flags & LH_V8_TO_PAGE) || is_large)
		return NULL;
	read_fill_level(walk, page);
	if (page->owner != isolate->young_space) {
		isolate->young_space = page->owner;
		find_labs(walk, isolate, page->owner - lh_min_u64(page->owner, SPACE_BEFORE_BYTES), page->owner);
		LH_TRY(lh_v8_find_waiting(&walk->heap, page->owner, &walk->waiting));
	}
	const struct lh_range *lab = find_lab(isolate, page->area, page->area_end);
	if (lh_hash_table_find(&walk->waiting, page->addr, &unused))
		*ret = page->area;
	else if (lab)
		*ret = lab->start;
	else if (page->mark % 8 == 0 && page->mark <= page->bytes && page->addr + page->mark >= page->area)
		*ret = lh_min_u64(page->addr + page->mark, page->area_end);
	return NULL;
}

/* What follows the filled part is free, also where a filler reaches into it. */
static struct lh_error *walk_v8_page(struct v8_walk *walk, struct v8_isolate *isolate, struct lh_v8_page *page)
{
	uint64_t filled_end, addr, next;
	LH_TRY(find_filled_end(walk, isolate, page, &filled_end));
	LH_TRY(lh_heap_add_range(walk->heap.tour, isolate->arena, page->addr, page->addr + page->bytes));
	LH_TRY(lh_heap_note_structure(walk->heap.tour, page->addr, LH_V8_HEADER_WORDS * sizeof(uint64_t)));
	for (addr = page->area; addr < filled_end; addr = next) {
		const struct lh_range *lab = find_lab(isolate, addr, addr + 1);
		struct v8_object object = {0};
		if (lab) {
			next = lh_min_u64(lh_max_u64(lab->end, addr + 8), filled_end);
			LH_TRY(give_free(walk, isolate->arena, addr, next));
			continue;
		}
		LH_TRY(read_v8_object(&walk->heap, addr, page, &object));
		next = addr + object.bytes;
		if (!object.bytes || object.bytes == UINT64_MAX) {
			LH_TRY(find_next(&walk->heap, addr, page, &next));
			next = lh_min_u64(next, filled_end);
		}
		if (!object.bytes) {
			lh_heap_check(walk->heap.tour, false, addr, "object: no map");
			LH_TRY(give_free(walk, isolate->arena, addr, next));
			continue;
		}
		object.bytes = next - addr;
		LH_TRY(give_v8_object(walk, isolate->arena, addr, &object));
	}
	return give_free(walk, isolate->arena, addr, page->area_end);
}

/* ---------------------------------------------------------------- isolates */

/* NULL in *ret if there are too many. */
static struct lh_error *find_isolate(struct v8_walk *walk, uint64_t heap, struct v8_isolate **ret)
{
	for (size_t i = 0; i < walk->isolate_count; i++) {
		*ret = &walk->isolates[i];
		if ((*ret)->heap == heap)
			return NULL;
	}
	*ret = NULL;
	if (walk->isolate_count == ISOLATES_MAX)
		return NULL;
	struct v8_isolate *isolate = &walk->isolates[walk->isolate_count];
	struct lh_heap_arena arena = {.allocator = "V8",
				      .role = heap ? "isolate" : "shared",
				      .kind = LH_REGION_V8,
				      .is_typed = true,
				      .addr = heap};
	isolate->heap = heap;
	LH_TRY(lh_heap_add_arena(walk->heap.tour, &arena, &isolate->arena));
	if (heap)
		find_labs(walk, isolate, heap - lh_min_u64(heap, ISOLATE_BEFORE_BYTES), heap + ISOLATE_AFTER_BYTES);
	walk->isolate_count++;
	*ret = isolate;
	return NULL;
}

/* Pages adjoin in a range, and large ones span several places where one could begin. */
static struct lh_error *walk_v8_range(struct v8_walk *walk, struct lh_range range)
{
	uint64_t addr = lh_align_up(range.start, LH_V8_PAGE_ALIGNMENT);
	while (addr < range.end) {
		uint64_t words[6];
		struct lh_v8_page page;
		struct v8_isolate *isolate = NULL;
		if (lh_v8_read_words(&walk->heap, addr, words, LH_ARRAY_COUNT(words)) &&
		    lh_v8_page_parse(walk->heap.tour->memory, addr, words, &page))
			LH_TRY(find_isolate(walk, page.heap, &isolate));
		if (!isolate) {
			addr += LH_V8_PAGE_ALIGNMENT;
			continue;
		}
		LH_TRY(walk_v8_page(walk, isolate, &page));
		addr = lh_align_up(addr + page.bytes, LH_V8_PAGE_ALIGNMENT);
	}
	return NULL;
}

static struct lh_error *walk_v8(struct lh_heap_tour *tour)
{
	LH_CLEANUP(destroy_walk) struct v8_walk *walk = calloc(1, sizeof(*walk));
	bool has_names;
	if (!walk || !(walk->heap.names = calloc(1, sizeof(*walk->heap.names))))
		return lh_error_no_memory();
	walk->heap.tour = tour;
	LH_TRY(lh_v8_names_read(tour, walk->heap.names, &has_names));
	if (!has_names) {
		lh_heap_note(tour, "the program does not say what V8's numbers mean (v8dbg_*)");
		lh_heap_lose(tour, 0);
		return NULL;
	}
	for (size_t i = 0; i < tour->owners->items.count; i++) {
		if (tour->owners->items.items[i].kind == LH_REGION_V8)
			LH_TRY(walk_v8_range(walk, tour->owners->items.items[i].range));
	}
	lh_heap_note(tour, "blocks include garbage that it has not collected yet");
	return NULL;
}

const struct lh_allocator_walker lh_walk_v8 = {
	.name = "V8",
	.claim = lh_v8_claim,
	.kinds = UINT32_C(1) << LH_REGION_V8,
	.walk = walk_v8,
};

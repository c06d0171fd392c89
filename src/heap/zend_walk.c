/*
 * zend_walk: blocks of PHP's zend_mm (Zend/zend_alloc.c, PHP 7.0 to 8.4). Input: claimed chunks. Output: an arena a
 * heap, and a block for each element of a bin, run of pages, and huge block, with its type where the value's own fields
 * agree (Zend/zend_types.h). What is in use adds up to heap->size, which memory_get_usage() returns.
 */
#include "walker.h"

#include <stdlib.h>
#include <string.h>

#define ZEND_CHUNK_BYTES (2 * LH_MIB)

enum {
	ZEND_HEAP_OFFSET = 64,
	ZEND_PAGES = 512,
	ZEND_BINS = 30,
	HEAP_WORDS_READ = 128,
	CHUNKS_MAX = 1 << 20,
	HUGE_MAX = 1 << 20,
	SIZE_WORD = 2,
	LISTS_WORD = 4,
	FREE_BITS_WORDS = ZEND_PAGES / 64,
};

#define INFO_LARGE UINT32_C(0x40000000)
#define INFO_SMALL UINT32_C(0x80000000)

static const struct {
	uint16_t bytes, elements, pages;
} bins[ZEND_BINS] = {
	{8, 512, 1},   {16, 256, 1}, {24, 170, 1},  {32, 128, 1}, {40, 102, 1}, {48, 85, 1},
	{56, 73, 1},   {64, 64, 1},  {80, 51, 1},   {96, 42, 1},  {112, 36, 1}, {128, 32, 1},
	{160, 25, 1},  {192, 21, 1}, {224, 18, 1},  {256, 16, 1}, {320, 64, 5}, {384, 32, 3},
	{448, 9, 1},   {512, 8, 1},  {640, 32, 5},  {768, 16, 3}, {896, 9, 2},  {1024, 8, 2},
	{1280, 16, 5}, {1536, 8, 3}, {1792, 16, 7}, {2048, 8, 4}, {2560, 8, 5}, {3072, 4, 3},
};

/* What is read of zend_mm_heap. */
struct zend_heap {
	uint64_t addr;
	uint64_t size_bytes; /* in use, by its own count */
	uint64_t free_lists[ZEND_BINS];
	uint64_t huge_addr;
	uint64_t map_offset; /* in each chunk: u32 map[512], a word for each page */
	uint32_t arena;
	uint64_t used_bytes; /* as walked */
	uint64_t returnable_bytes;
};

/* A class of objects, by its zend_class_entry. */
struct zend_class {
	uint64_t addr;
	uint32_t type;
};

struct zend_walk {
	struct lh_heap_tour *tour;
	struct zend_heap heap;
	LH_VEC(uint64_t) free;   /* elements on free lists, ascending */
	LH_VEC(uint64_t) tables; /* where the elements of arrays begin, ascending */
	LH_VEC(uint64_t) chunks;
	LH_VEC(struct zend_class) classes;
	bool is_typing; /* the second pass over the chunks: the first one finds tables */
	uint32_t string_type, array_type, table_type, free_type, large_type, bin_types[ZEND_BINS];
};

static void deinit_zend_walk(struct zend_walk *walk)
{
	lh_vec_deinit(&walk->free);
	lh_vec_deinit(&walk->tables);
	lh_vec_deinit(&walk->chunks);
	lh_vec_deinit(&walk->classes);
}

/* ---------------------------------------------------------------- the heap */

/* real_size and real_peak stand behind the 30 lists; what is in use cannot be more. */
static bool has_lists_at(const uint64_t *words, size_t first)
{
	uint64_t real_bytes = words[first + ZEND_BINS], peak_bytes = words[first + ZEND_BINS + 1];
	return real_bytes % LH_PAGE_BYTES == 0 && peak_bytes % LH_PAGE_BYTES == 0 && words[SIZE_WORD] <= real_bytes &&
	       real_bytes <= peak_bytes;
}

/*
 * Behind the heap each chunk has a bit for each page in use, and the map. Its first word is that of the page that all
 * this lies in. 0: not found.
 */
static uint64_t find_map_offset(const uint64_t *words, size_t from)
{
	for (size_t i = from + FREE_BITS_WORDS; i < HEAP_WORDS_READ; i++) {
		if ((uint32_t)words[i] == (INFO_LARGE | 1) && words[i - FREE_BITS_WORDS] & 1)
			return ZEND_HEAP_OFFSET + i * sizeof(uint64_t);
	}
	return 0;
}

/* {custom, storage, size, peak, since 8.4 a key, free lists, real size, ... huge blocks, first chunk}. */
static bool read_zend_heap(struct lh_heap_tour *tour, uint64_t addr, struct zend_heap *ret)
{
	uint64_t words[HEAP_WORDS_READ] = {0};
	if (!lh_heap_words(tour, addr, words, HEAP_WORDS_READ))
		return false;
	size_t lists = has_lists_at(words, LISTS_WORD) ? LISTS_WORD : LISTS_WORD + 1, main_chunk = lists + ZEND_BINS;
	while (main_chunk < HEAP_WORDS_READ && words[main_chunk] != addr - ZEND_HEAP_OFFSET)
		main_chunk++;
	if (main_chunk == HEAP_WORDS_READ || !has_lists_at(words, lists))
		return false;
	*ret = (struct zend_heap){
		.addr = addr,
		.size_bytes = words[SIZE_WORD],
		.huge_addr = words[main_chunk - 1],
		.map_offset = find_map_offset(words, main_chunk),
	};
	memcpy(ret->free_lists, &words[lists], sizeof(ret->free_lists));
	return ret->map_offset;
}

/* A ring, from the chunk that the heap lies in. */
static struct lh_error *list_zend_chunks(struct zend_walk *walk)
{
	uint64_t first = walk->heap.addr - ZEND_HEAP_OFFSET, at = first, words[3] = {0};
	walk->chunks.count = 0;
	do {
		bool is_chunk = at % ZEND_CHUNK_BYTES == 0 && lh_heap_words(walk->tour, at, words, 3) &&
				words[0] == walk->heap.addr;
		if (!lh_heap_check(walk->tour, is_chunk, at, "chunk: is not of its heap")) {
			lh_heap_lose(walk->tour, 0);
			break;
		}
		LH_TRY(lh_vec_push(&walk->chunks, at));
		at = words[1];
	} while (at != first && walk->chunks.count < CHUNKS_MAX);
	lh_vec_sort(&walk->chunks, lh_compare_words);
	return NULL;
}

static struct lh_error *list_free_elements(struct zend_walk *walk)
{
	walk->free.count = 0;
	for (size_t bin = 0; bin < ZEND_BINS; bin++) {
		struct lh_list_guard guard = {0};
		for (uint64_t at = walk->heap.free_lists[bin], next = 0; at; at = next) {
			bool is_listed =
				at % 8 == 0 && !lh_list_returns(&guard, at) && lh_heap_words(walk->tour, at, &next, 1);
			if (!lh_heap_check(walk->tour, is_listed, at, "free list: leads nowhere"))
				break;
			LH_TRY(lh_vec_push(&walk->free, at));
		}
	}
	lh_vec_sort(&walk->free, lh_compare_words);
	return NULL;
}

static bool is_listed_addr(const uint64_t *items, size_t count, uint64_t addr)
{
	size_t at = lh_count_before(items, count, item, *item < addr);
	return at < count && items[at] == addr;
}

/* ---------------------------------------------------------------- values */

enum zend_type { ZEND_STRING = 6, ZEND_ARRAY = 7, ZEND_OBJECT = 8 };

/*
 * zend_refcounted_h {u32 refcount, u32 type, flags, and from bit 10 on the place among the collector's possible roots,
 * which strings have none of}.
 */
static bool is_value_head(uint64_t word, enum zend_type type)
{
	uint32_t count = (uint32_t)word, info = (uint32_t)(word >> 32);
	return count && count < UINT32_C(1) << 28 && (info & 15) == (uint32_t)type &&
	       (type != ZEND_STRING || info < UINT32_C(1) << 10);
}

/* {head, hash, length, characters, NUL}. */
static bool is_zend_string(struct zend_walk *walk, uint64_t addr, uint64_t bytes, const uint64_t *words)
{
	enum { STRING_HEAD = 24 };
	if (!is_value_head(words[0], ZEND_STRING) || bytes <= STRING_HEAD || words[2] >= bytes - STRING_HEAD)
		return false;
	const uint8_t *end = lh_heap_bytes(walk->tour, addr + STRING_HEAD + words[2], 1);
	return end && !*end;
}

/* {head, flags | mask << 32, data, used | elements << 32, size | cursor << 32, next index, destructor}. */
static bool is_zend_array(const uint64_t *words, uint64_t bytes)
{
	uint32_t used = (uint32_t)words[3], elements = (uint32_t)(words[3] >> 32), size = (uint32_t)words[4];
	return bytes == 56 && is_value_head(words[0], ZEND_ARRAY) && elements <= used && used <= size && size >= 2 &&
	       !(size & (size - 1)) && words[2] && words[2] % 8 == 0;
}

/* The hash part, of -mask numbers of 4 bytes, stands before the data. */
static uint64_t table_addr(const uint64_t *words)
{
	uint32_t hash_count = -(uint32_t)(words[1] >> 32);
	return words[2] - (uint64_t)hash_count * sizeof(uint32_t);
}

static bool is_class_name(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		uint8_t byte = (uint8_t)name[i];
		bool is_name = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
			       (byte >= 'a' && byte <= 'z') || byte == '_' || byte == '\\' || byte >= 0x80;
		/* An anonymous class has a NUL and its place behind its name. */
		if (!is_name && byte != '@')
			return !byte && i;
	}
	return length;
}

/* zend_class_entry {u8 type: 1 internal, 2 of the program; name; ...}. */
static bool read_php_class(struct zend_walk *walk, uint64_t addr, char name[128], bool *ret_is_own)
{
	uint64_t words[2] = {0}, head[3] = {0};
	if (addr % 8 || addr < LH_PAGE_BYTES || !lh_heap_words(walk->tour, addr, words, 2) ||
	    ((uint8_t)words[0] != 1 && (uint8_t)words[0] != 2) || words[1] % 8 ||
	    !lh_heap_words(walk->tour, words[1], head, 3) || ((head[0] >> 32) & 15) != ZEND_STRING || !head[2] ||
	    head[2] >= 128)
		return false;
	const uint8_t *text = lh_heap_bytes(walk->tour, words[1] + 24, head[2] + 1);
	if (!text || text[head[2]])
		return false;
	memcpy(name, text, head[2] + 1);
	*ret_is_own = (uint8_t)words[0] == 2;
	return is_class_name(name, head[2]);
}

static struct lh_error *add_zend_type(struct zend_walk *walk, const char *name, bool is_own, uint32_t *ret)
{
	return lh_heap_add_type(
		walk->tour, &(struct lh_heap_type){.kind = "PHP", .name = name, .detail = "", .is_own = is_own}, ret);
}

/* Head and length of a string. */
static struct lh_error *note_zend_string(struct zend_walk *walk, uint64_t addr)
{
	enum { LENGTH_OFFSET = 16 };
	LH_TRY(lh_heap_note_structure(walk->tour, addr, sizeof(uint64_t)));
	return lh_heap_note_structure(walk->tour, addr + LENGTH_OFFSET, sizeof(uint64_t));
}

/* UINT32_MAX in *ret: it is no class. */
static struct lh_error *find_php_class(struct zend_walk *walk, uint64_t addr, uint32_t *ret)
{
	size_t at = lh_vec_count_before(&walk->classes, item, item->addr < addr);
	if (at < walk->classes.count && walk->classes.items[at].addr == addr) {
		*ret = walk->classes.items[at].type;
		return NULL;
	}
	char name[128];
	bool is_own;
	*ret = UINT32_MAX;
	uint64_t words[2];
	if (!read_php_class(walk, addr, name, &is_own) || !lh_heap_words(walk->tour, addr, words, 2))
		return NULL;
	LH_TRY(lh_heap_note_structure(walk->tour, addr, sizeof(uint64_t)));
	LH_TRY(note_zend_string(walk, words[1]));
	LH_TRY(add_zend_type(walk, name, is_own, ret));
	LH_TRY(lh_vec_push(&walk->classes, ((struct zend_class){addr, *ret})));
	struct zend_class *items = walk->classes.items;
	memmove(&items[at + 1], &items[at], (walk->classes.count - 1 - at) * sizeof(*items));
	items[at] = (struct zend_class){addr, *ret};
	return NULL;
}

/* zend_object {head, handle, class, handlers, properties, table}. */
static struct lh_error *find_value_type(struct zend_walk *walk, uint64_t addr, uint64_t bytes, uint32_t *ret)
{
	uint64_t words[7] = {0};
	if (!lh_heap_words(walk->tour, addr, words, lh_min_u64(bytes / 8, 7)))
		return NULL;
	if (is_zend_array(words, bytes)) {
		enum { ARRAY_WORDS = 5 };
		*ret = walk->array_type;
		return walk->is_typing ? lh_heap_note_structure(walk->tour, addr, ARRAY_WORDS * sizeof(uint64_t))
				       : lh_vec_push(&walk->tables, table_addr(words));
	}
	if (!walk->is_typing)
		return NULL;
	if (is_listed_addr(walk->tables.items, walk->tables.count, addr)) {
		*ret = walk->table_type;
	} else if (is_zend_string(walk, addr, bytes, words)) {
		*ret = walk->string_type;
		return note_zend_string(walk, addr);
	} else if (is_value_head(words[0], ZEND_OBJECT) && bytes >= 40 && words[3] && words[3] % 8 == 0) {
		uint32_t class;
		LH_TRY(find_php_class(walk, words[2], &class));
		*ret = class == UINT32_MAX ? *ret : class;
		return lh_heap_note_structure(walk->tour, addr, sizeof(uint64_t));
	}
	return NULL;
}

/* ---------------------------------------------------------------- blocks */

static struct lh_error *add_zend_block(struct zend_walk *walk, uint64_t addr, uint64_t bytes, bool is_used,
				       uint32_t type)
{
	if (is_used)
		LH_TRY(find_value_type(walk, addr, bytes, &type));
	if (!walk->is_typing)
		return NULL;
	walk->heap.used_bytes += is_used ? bytes : 0;
	return lh_heap_add_object(walk->tour,
				  &(struct lh_heap_chunk){.addr = addr,
							  .size_bytes = bytes,
							  .arena = walk->heap.arena,
							  .state = is_used ? LH_CHUNK_USED : LH_CHUNK_FREE},
				  type);
}

static struct lh_error *walk_bin(struct zend_walk *walk, uint64_t addr, unsigned bin)
{
	for (size_t i = 0; i < bins[bin].elements; i++, addr += bins[bin].bytes) {
		bool is_free = is_listed_addr(walk->free.items, walk->free.count, addr);
		LH_TRY(add_zend_block(walk, addr, bins[bin].bytes, !is_free, walk->bin_types[bin]));
	}
	return NULL;
}

/* One run of pages; *ret_pages: its length, 0 when the map makes no sense there. */
static struct lh_error *walk_pages(struct zend_walk *walk, uint64_t chunk, const uint32_t *map, size_t page,
				   size_t *ret_pages)
{
	uint64_t addr = chunk + page * LH_PAGE_BYTES;
	uint32_t info = map[page];
	size_t pages = 1, left = ZEND_PAGES - page;
	*ret_pages = 0;
	if (!info) {
		while (pages < left && !map[page + pages])
			pages++;
		*ret_pages = pages;
		return add_zend_block(walk, addr, pages * LH_PAGE_BYTES, false, walk->free_type);
	}
	if ((info & (INFO_SMALL | INFO_LARGE)) == INFO_LARGE && (info & 1023) && (info & 1023) <= left) {
		*ret_pages = info & 1023;
		return add_zend_block(walk, addr, *ret_pages * LH_PAGE_BYTES, true, walk->large_type);
	}
	unsigned bin = info & 31;
	if ((info & (INFO_SMALL | INFO_LARGE)) != INFO_SMALL || bin >= ZEND_BINS || bins[bin].pages > left)
		return NULL;
	*ret_pages = bins[bin].pages;
	return walk_bin(walk, addr, bin);
}

static struct lh_error *walk_zend_chunk(struct zend_walk *walk, uint64_t chunk)
{
	uint32_t map[ZEND_PAGES];
	uint64_t words[4], used_pages[FREE_BITS_WORDS], used_before = walk->heap.used_bytes;
	size_t free_pages = 0;
	const uint8_t *bytes = lh_heap_bytes(walk->tour, chunk + walk->heap.map_offset - sizeof(used_pages),
					     sizeof(used_pages) + sizeof(map));
	if (!bytes) {
		if (walk->is_typing)
			lh_heap_lose(walk->tour, ZEND_CHUNK_BYTES);
		return NULL;
	}
	memcpy(used_pages, bytes, sizeof(used_pages));
	memcpy(map, bytes + sizeof(used_pages), sizeof(map));
	/* zend_mm_free_pages() clears the entry of a run's first page alone. */
	for (size_t page = 0; page < ZEND_PAGES; page++)
		map[page] = used_pages[page / 64] >> page % 64 & 1 ? map[page] : 0;
	if (walk->is_typing)
		LH_TRY(lh_heap_add_range(walk->tour, walk->heap.arena, chunk, chunk + ZEND_CHUNK_BYTES));
	LH_TRY(lh_heap_note_structure(walk->tour, chunk, LH_PAGE_BYTES)); /* its heap, its map */
	for (size_t page = 1, pages; page < ZEND_PAGES; page += pages) {
		LH_TRY(walk_pages(walk, chunk, map, page, &pages));
		free_pages += map[page] ? 0 : pages;
		if (pages)
			continue;
		if (walk->is_typing) {
			lh_heap_check(walk->tour, false, chunk + page * LH_PAGE_BYTES,
				      "page: its entry makes no sense");
			lh_heap_lose(walk->tour, LH_PAGE_BYTES);
		}
		pages = 1;
	}
	if (walk->is_typing && lh_heap_words(walk->tour, chunk, words, 4))
		lh_heap_check(walk->tour, free_pages == (uint32_t)words[3], chunk,
			      "chunk: free pages differ from its map");
	/* zend_mm_gc() unmaps chunks without a used element, but for the first one, which has the heap. */
	if (walk->is_typing && walk->heap.used_bytes == used_before && chunk != walk->heap.addr - ZEND_HEAP_OFFSET)
		walk->heap.returnable_bytes += lh_heap_resident_bytes(walk->tour, chunk, chunk + ZEND_CHUNK_BYTES);
	return NULL;
}

/* {address, size, next}, which are blocks of the heap themselves. */
static struct lh_error *walk_huge_blocks(struct zend_walk *walk)
{
	struct lh_list_guard guard = {0};
	uint64_t words[3] = {0};
	for (uint64_t at = walk->heap.huge_addr; at; at = words[2]) {
		bool is_block = !lh_list_returns(&guard, at) && lh_heap_words(walk->tour, at, words, 3) &&
				words[0] % ZEND_CHUNK_BYTES == 0 && words[1] && words[1] % LH_PAGE_BYTES == 0 &&
				lh_heap_is_private(walk->tour->memory, words[0], words[1]);
		if (!is_block) {
			if (walk->is_typing)
				lh_heap_check(walk->tour, false, at, "huge block: is not mapped");
			return NULL;
		}
		if (walk->is_typing) {
			lh_heap_check(walk->tour, true, at, "");
			LH_TRY(lh_heap_add_range(walk->tour, walk->heap.arena, words[0], words[0] + words[1]));
		}
		LH_TRY(add_zend_block(walk, words[0], words[1], true, walk->large_type));
	}
	return NULL;
}

static struct lh_error *walk_all_blocks(struct zend_walk *walk)
{
	for (size_t i = 0; i < walk->chunks.count; i++)
		LH_TRY(walk_zend_chunk(walk, walk->chunks.items[i]));
	return walk_huge_blocks(walk);
}

/* ---------------------------------------------------------------- all of it */

static struct lh_error *walk_zend_heap(struct zend_walk *walk, uint64_t addr)
{
	struct lh_heap_arena arena = {
		.allocator = "zend_mm", .role = "", .kind = LH_REGION_ZEND, .is_typed = true, .addr = addr};
	if (!lh_heap_check(walk->tour, read_zend_heap(walk->tour, addr, &walk->heap), addr,
			   "heap: does not name its first chunk")) {
		lh_heap_lose(walk->tour, ZEND_CHUNK_BYTES);
		return NULL;
	}
	LH_TRY(lh_heap_add_arena(walk->tour, &arena, &walk->heap.arena));
	LH_TRY(list_zend_chunks(walk));
	LH_TRY(list_free_elements(walk));
	walk->tables.count = 0;
	walk->is_typing = false;
	LH_TRY(walk_all_blocks(walk));
	lh_vec_sort(&walk->tables, lh_compare_words);
	walk->is_typing = true;
	LH_TRY(walk_all_blocks(walk));
	lh_heap_check(walk->tour, walk->heap.used_bytes == walk->heap.size_bytes, addr,
		      "heap: size is not the sum of what is in use");
	lh_heap_set_returnable(walk->tour, walk->heap.arena, walk->heap.returnable_bytes);
	return NULL;
}

static struct lh_error *add_common_types(struct zend_walk *walk)
{
	LH_TRY(add_zend_type(walk, "string", false, &walk->string_type));
	LH_TRY(add_zend_type(walk, "array", false, &walk->array_type));
	LH_TRY(add_zend_type(walk, "elements of an array", false, &walk->table_type));
	LH_TRY(add_zend_type(walk, "free", false, &walk->free_type));
	LH_TRY(add_zend_type(walk, "large blocks", false, &walk->large_type));
	for (size_t i = 0; i < ZEND_BINS; i++) {
		char name[64], size[LH_FORMAT_MAX];
		snprintf(name, sizeof(name), "blocks of %s", lh_format_bytes(bins[i].bytes, size));
		LH_TRY(add_zend_type(walk, name, false, &walk->bin_types[i]));
	}
	return NULL;
}

/* A heap lies in its first chunk. Threads of a ZTS build have one each. */
static struct lh_error *walk_zend(struct lh_heap_tour *tour)
{
	struct zend_walk walk LH_CLEANUP(deinit_zend_walk) = {.tour = tour};
	const struct lh_owners *owners = tour->owners;
	LH_TRY(add_common_types(&walk));
	for (size_t i = 0; i < owners->items.count; i++) {
		struct lh_range range = owners->items.items[i].range;
		if (owners->items.items[i].kind != LH_REGION_ZEND)
			continue;
		for (uint64_t chunk = lh_align_up(range.start, ZEND_CHUNK_BYTES); chunk < range.end;
		     chunk += ZEND_CHUNK_BYTES) {
			uint64_t heap;
			if (lh_heap_words(tour, chunk, &heap, 1) && heap == chunk + ZEND_HEAP_OFFSET)
				LH_TRY(walk_zend_heap(&walk, heap));
		}
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_zend = {
	.name = "zend_mm", .claim = lh_zend_claim, .kinds = UINT32_C(1) << LH_REGION_ZEND, .walk = walk_zend};

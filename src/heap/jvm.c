/*
 * jvm: the heap of HotSpot's Java virtual machine. Input: memory. Output: claims. libjvm's data points to an object
 * that describes the heap: {table of functions, ..., start, size in words} (gc/shared/collectedHeap.hpp). Without that
 * object: the heap is committed in steps of at least 1 MiB, and each of its regions begins with an object: {mark word,
 * class, ...} (oops/markWord.hpp). This is tried only if libjvm is mapped, and succeeds only if most places agree.
 */
#include "hotspot.h"

#include <stdlib.h>
#include <string.h>

#define STEP_BYTES LH_MIB
/* What mmap returns unless asked for more (Documentation/arch/x86/x86_64/5level-paging.rst). */
#define ADDRESSES_END (UINT64_C(1) << 47)

enum { PEEKS_MAX = 16384, PEEK_ALIGNMENT = 16, HASH_END_BIT = 39, GOOD_MIN = 2 };

/* An unlocked object: lock bits 01, age in bits 3 to 6, identity hash in bits 8 to 38, or neither. */
static bool is_object(const struct lh_peek *peek)
{
	uint64_t mark = peek->words[0];
	return (mark & 7) == 1 && !(mark >> HASH_END_BIT) && peek->words[1] & UINT32_MAX;
}

static bool is_of_libjvm(const struct lh_region *region)
{
	const char *slash = strrchr(region->name, '/');
	return slash && !strcmp(slash, "/libjvm.so");
}

static bool has_libjvm(const struct lh_heap_memory *memory)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (!lh_heap_has(memory, i, LH_HEAP_PRIVATE) && is_of_libjvm(&memory->list->regions.items[i]))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- what describes the heap */

/* Data of libjvm: mapped from its file, followed by what the file does not contain. */
static bool is_data_of_libjvm(const struct lh_heap_memory *memory, size_t index)
{
	const struct lh_region *region = &memory->list->regions.items[index];
	bool is_behind = index && is_of_libjvm(&region[-1]) && region[-1].end == region->start && !*region->name;
	return region->protection & LH_PROT_WRITE && (is_of_libjvm(region) || is_behind);
}

/* Whether malloc may have returned this address. */
static bool may_be_heap_object(const struct lh_heap_memory *memory, uint64_t word)
{
	if (word % PEEK_ALIGNMENT || word < LH_PAGE_BYTES)
		return false;
	size_t index = lh_heap_region_index(memory, word);
	return index < memory->list->regions.count && memory->list->regions.items[index].start <= word &&
	       lh_heap_has(memory, index, LH_HEAP_PLAIN);
}

static struct lh_error *add_pointers(const struct lh_heap_memory *memory, const struct lh_region *region,
				     struct lh_peeks *ret)
{
	uint64_t words[LH_PAGE_BYTES / sizeof(uint64_t)];
	for (uint64_t addr = region->start; addr < region->end; addr += LH_PAGE_BYTES) {
		if (!lh_heap_read_words(memory, addr, words, LH_ARRAY_COUNT(words)))
			continue;
		for (size_t i = 0; i < LH_ARRAY_COUNT(words) && ret->items.count < PEEKS_MAX; i++) {
			if (may_be_heap_object(memory, words[i]))
				LH_TRY(lh_vec_push(&ret->items, (struct lh_peek){.addr = words[i]}));
		}
	}
	return NULL;
}

static int compare_peek_addrs(const void *a, const void *b)
{
	return lh_compare_u64(((const struct lh_peek *)a)->addr, ((const struct lh_peek *)b)->addr);
}

static void drop_equal_peeks(struct lh_peeks *peeks)
{
	size_t kept = 0;
	if (peeks->items.count)
		qsort(peeks->items.items, peeks->items.count, sizeof(struct lh_peek), compare_peek_addrs);
	for (size_t i = 0; i < peeks->items.count; i++) {
		if (!kept || peeks->items.items[kept - 1].addr != peeks->items.items[i].addr)
			peeks->items.items[kept++] = peeks->items.items[i];
	}
	peeks->items.count = kept;
}

/*
 * A heap begins where a mapping begins that no other allocator owns, and part of it is writable. A pointer is no number
 * of words: they would exceed the address space.
 */
static bool is_reserved(const struct lh_heap_memory *memory, const struct lh_owners *others, uint64_t start,
			uint64_t words, struct lh_range *ret)
{
	size_t index = lh_heap_region_index(memory, start);
	if (!start || start % LH_PAGE_BYTES || words % LH_PAGE_BYTES || words < STEP_BYTES / 8 ||
	    words > ADDRESSES_END / 8 || index == memory->list->regions.count ||
	    memory->list->regions.items[index].start != start || !lh_heap_has(memory, index, LH_HEAP_PLAIN) ||
	    lh_owners_find(others, start))
		return false;
	*ret = (struct lh_range){start, start + words * 8};
	return ret->end <= ADDRESSES_END;
}

static bool describes_heap(const struct lh_heap_memory *memory, const struct lh_owners *others,
			   const struct lh_peek *peek, struct lh_range *ret)
{
	size_t table = lh_heap_region_index(memory, peek->words[0]);
	if (!peek->is_read || table == memory->list->regions.count ||
	    memory->list->regions.items[table].start > peek->words[0] ||
	    !is_of_libjvm(&memory->list->regions.items[table]))
		return false;
	for (size_t i = 1; i + 1 < LH_PEEK_WORDS; i++) {
		if (is_reserved(memory, others, peek->words[i], peek->words[i + 1], ret))
			return true;
	}
	return false;
}

static struct lh_error *find_described(const struct lh_heap_memory *memory, const struct lh_owners *others,
				       struct lh_range *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	*ret = (struct lh_range){0};
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (is_data_of_libjvm(memory, i))
			LH_TRY(add_pointers(memory, &memory->list->regions.items[i], &peeks));
	}
	drop_equal_peeks(&peeks);
	if (peeks.items.count)
		LH_TRY(memory->peek(memory->context, peeks.items.items, peeks.items.count));
	for (size_t i = 0; i < peeks.items.count; i++) {
		if (describes_heap(memory, others, &peeks.items.items[i], ret))
			return NULL;
	}
	*ret = (struct lh_range){0};
	return NULL;
}

/* ---------------------------------------------------------------- where nothing describes it */

/* *next: the first peek at or after the region's start. */
static bool is_java_heap(const struct lh_region *region, const struct lh_peeks *peeks, size_t *next)
{
	size_t good = 0, filled = 0;
	while (*next < peeks->items.count && peeks->items.items[*next].addr < region->start)
		++*next;
	for (; *next < peeks->items.count && peeks->items.items[*next].addr < region->end; ++*next) {
		const struct lh_peek *peek = &peeks->items.items[*next];
		filled += peek->is_read && (peek->words[0] || peek->words[1]);
		good += peek->is_read && is_object(peek);
	}
	return good >= GOOD_MIN && good * 2 >= filled;
}

struct lh_error *lh_jvm_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	size_t next = 0;
	struct lh_range described;
	if (!has_libjvm(memory))
		return NULL;
	LH_TRY(find_described(memory, ret, &described));
	if (described.end)
		return lh_heap_claim(memory, described.start, described.end, LH_REGION_JVM, ret);
	LH_TRY(lh_heap_peek_aligned(memory, LH_HEAP_PLAIN, STEP_BYTES, STEP_BYTES, PEEKS_MAX, &peeks));
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		if (lh_heap_has(memory, i, LH_HEAP_PLAIN) && is_java_heap(region, &peeks, &next))
			LH_TRY(lh_heap_claim(memory, region->start, region->end, LH_REGION_JVM, ret));
	}
	return NULL;
}

/*
 * jvm: the heap of HotSpot's Java virtual machine. Input: memory. Output: claims. Its heap is committed in steps of 1
 * MiB and more, and where a region of it begins there is an object: {mark word, class, ...} (oops/markWord.hpp). Only
 * looked for where libjvm is mapped, and only taken when most of the places agree.
 */
#include "walker.h"

#include <string.h>

#define STEP_BYTES LH_MIB

enum { PEEKS_MAX = 16384, HASH_END_BIT = 39, GOOD_MIN = 2 };

/* An unlocked object: lock bits 01, age in bits 3 to 6, identity hash in bits 8 to 38, or nothing of that. */
static bool is_object(const struct lh_peek *peek)
{
	uint64_t mark = peek->words[0];
	return (mark & 7) == 1 && !(mark >> HASH_END_BIT) && peek->words[1] & UINT32_MAX;
}

static bool has_libjvm(const struct lh_heap_memory *memory)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const char *slash = strrchr(memory->list->regions.items[i].name, '/');
		if (slash && !strcmp(slash, "/libjvm.so"))
			return true;
	}
	return false;
}

/* *next: the first peek at or behind the region's start. */
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

static struct lh_error *claim_jvm(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	size_t next = 0;
	if (!has_libjvm(memory))
		return NULL;
	LH_TRY(lh_heap_peek_aligned(memory, LH_HEAP_PLAIN, STEP_BYTES, STEP_BYTES, PEEKS_MAX, &peeks));
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		if (lh_heap_has(memory, i, LH_HEAP_PLAIN) && is_java_heap(region, &peeks, &next))
			LH_TRY(lh_heap_claim(memory, region->start, region->end, LH_REGION_JVM, ret));
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_jvm = {.name = "HotSpot", .claim = claim_jvm};

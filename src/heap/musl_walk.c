/*
 * musl_walk: all blocks of musl's mallocng. Input: areas of metadata. Output: blocks with the sizes that were asked
 * for. A meta {previous, next, group, free mask, freed mask, bits} describes a group of up to 32 slots; a used slot has
 * a header before its pointer: index and size code at -3, distance from the group in units of 16 at -2
 * (meta.h, 1.2.1+).
 */
#include "musl.h"

#include <stdlib.h>
#include <string.h>

enum { UNIT = 16, SLOT_TAIL = 4, SLOTS_MAX = 32, CLASSES = 48, HEADER_BYTES = 8 };

/* The last word of a meta, from bit 0. */
enum { LAST_SLOT_MASK = 31, CLASS_SHIFT = 6, CLASS_MASK = 63 };

/* Size codes: less than 5 bytes unused; 5: a number at the slot's end; 6: the slot holds a group; 7: it is moved up. */
enum { CODE_STORED = 5, CODE_GROUP = 6, CODE_MOVED = 7 };

/* Slot sizes in units (malloc.c, size_classes). */
static const uint16_t class_units[CLASSES] = {
	1,   2,   3,   4,    5,    6,    7,    8,    9,    10,   12,   15,   18,   20,   25,   31,
	36,  42,  50,  63,   72,   84,   102,  127,  146,  170,  204,  255,  292,  340,  409,  511,
	584, 682, 818, 1023, 1169, 1364, 1637, 2047, 2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191,
};

struct musl_group {
	uint64_t meta;
	uint64_t addr;
	uint64_t stride;
	uint32_t free_mask; /* never given out, or freed */
	uint32_t slot_count;
	uint64_t mapped_bytes; /* 0: it lies in a slot of another group, or in a module's padding */
};

struct musl_walk {
	struct lh_heap_tour *tour;
	uint32_t arena;
};

static bool parse_group(const uint64_t *meta, uint64_t meta_addr, struct musl_group *ret)
{
	uint64_t bits = meta[4], size_class = bits >> CLASS_SHIFT & CLASS_MASK;
	*ret = (struct musl_group){
		.meta = meta_addr,
		.addr = meta[2],
		.free_mask = (uint32_t)(meta[3] | meta[3] >> 32),
		.slot_count = (bits & LAST_SLOT_MASK) + 1,
		.mapped_bytes = (bits >> LH_MUSL_MAP_LENGTH_BIT) * LH_PAGE_BYTES,
	};
	if (ret->slot_count == 1 && ret->mapped_bytes)
		ret->stride = ret->mapped_bytes - UNIT;
	else if (size_class < CLASSES)
		ret->stride = (uint64_t)class_units[size_class] * UNIT;
	return ret->stride && meta[2] % UNIT == 0 && meta[2] >> 47 == 0 && ret->mapped_bytes >> 47 == 0;
}

/* ---------------------------------------------------------------- slots */

struct slot {
	uint64_t addr; /* what malloc returned */
	uint64_t end;  /* of what can be used */
	uint64_t unused_bytes;
	uint32_t code;
	uint32_t index;
	uint64_t distance; /* from the group's first slot */
};

static bool read_header(struct lh_heap_tour *tour, uint64_t addr, struct slot *ret)
{
	const uint8_t *header = lh_heap_bytes(tour, addr - HEADER_BYTES, HEADER_BYTES);
	uint16_t units;
	uint32_t far_units;
	if (!header)
		return false;
	memcpy(&far_units, header, sizeof(far_units));
	memcpy(&units, header + 6, sizeof(units));
	ret->addr = addr;
	ret->index = header[5] & LAST_SLOT_MASK;
	ret->code = header[5] >> 5;
	ret->distance = (uint64_t)(header[4] ? far_units : units) * UNIT;
	return true;
}

/* A slot's header may say that the block begins further up in it. */
static bool read_slot(struct lh_heap_tour *tour, const struct musl_group *group, uint32_t index, struct slot *ret)
{
	uint64_t first = group->addr + UNIT, start = first + index * group->stride;
	ret->end = start + group->stride - SLOT_TAIL;
	if (!read_header(tour, start, ret))
		return false;
	if (ret->code == CODE_MOVED &&
	    (start + ret->distance >= ret->end || !read_header(tour, start + ret->distance, ret)))
		return false;
	if (ret->index != index || ret->code == CODE_MOVED || first + ret->distance != ret->addr)
		return false;
	ret->unused_bytes = ret->code;
	if (ret->code != CODE_STORED)
		return true;
	const uint8_t *stored = lh_heap_bytes(tour, ret->end - SLOT_TAIL, SLOT_TAIL);
	uint32_t unused = 0;
	if (stored)
		memcpy(&unused, stored, sizeof(unused));
	ret->unused_bytes = unused;
	return stored && unused >= CODE_STORED && unused <= ret->end - ret->addr;
}

static struct lh_error *add_free_slot(struct musl_walk *walk, const struct musl_group *group, uint32_t index)
{
	struct lh_heap_chunk chunk = {
		.addr = group->addr + UNIT + index * group->stride,
		.size_bytes = group->stride - SLOT_TAIL,
		.arena = walk->arena,
		.state = LH_CHUNK_FREE,
	};
	return lh_heap_add_chunk(walk->tour, &chunk);
}

static struct lh_error *add_used_slot(struct musl_walk *walk, const struct musl_group *group, uint32_t index)
{
	struct slot slot;
	bool holds = read_slot(walk->tour, group, index, &slot);
	lh_heap_check(walk->tour, holds, group->addr, "slot: its header does not fit");
	if (!holds) {
		lh_heap_lose(walk->tour, group->stride);
		return NULL;
	}
	if (slot.code == CODE_GROUP)
		return NULL;
	struct lh_heap_chunk chunk = {
		.addr = slot.addr,
		.size_bytes = slot.end - slot.addr,
		.requested_bytes = slot.end - slot.addr - slot.unused_bytes,
		.arena = walk->arena,
		.state = LH_CHUNK_USED,
	};
	return lh_heap_add_chunk(walk->tour, &chunk);
}

static struct lh_error *walk_group(struct musl_walk *walk, const struct musl_group *group)
{
	uint64_t back, bytes = group->mapped_bytes ? group->mapped_bytes : UNIT + group->slot_count * group->stride;
	bool is_read = lh_heap_words(walk->tour, group->addr, &back, 1);
	if (!lh_heap_check(walk->tour, is_read && back == group->meta, group->meta, "group does not name its meta")) {
		lh_heap_lose(walk->tour, bytes);
		return NULL;
	}
	if (group->mapped_bytes)
		LH_TRY(lh_heap_add_range(walk->tour, walk->arena, group->addr, group->addr + bytes));
	for (uint32_t i = 0; i < group->slot_count; i++) {
		bool is_free = group->free_mask >> i & 1;
		LH_TRY(is_free ? add_free_slot(walk, group, i) : add_used_slot(walk, group, i));
	}
	return NULL;
}

static struct lh_error *walk_area(void *context, uint64_t area, const uint64_t *words, size_t meta_count)
{
	struct musl_walk *walk = context;
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, area, area + LH_PAGE_BYTES));
	for (size_t i = 0; i < meta_count; i++) {
		const uint64_t *meta = words + LH_MUSL_AREA_WORDS + i * LH_MUSL_META_WORDS;
		struct musl_group group;
		if (!meta[2])
			continue;
		uint64_t addr = area + (LH_MUSL_AREA_WORDS + i * LH_MUSL_META_WORDS) * 8;
		if (lh_heap_check(walk->tour, parse_group(meta, addr, &group), addr, "meta: impossible group"))
			LH_TRY(walk_group(walk, &group));
	}
	return NULL;
}

static struct lh_error *walk_musl(struct lh_heap_tour *tour)
{
	struct musl_walk walk = {.tour = tour};
	struct lh_heap_arena arena = {.allocator = "musl", .role = "", .kind = LH_REGION_MUSL};
	for (size_t i = 0; i < tour->owners->items.count; i++) {
		const struct lh_owner_range *owner = &tour->owners->items.items[i];
		arena.mapped_bytes += owner->kind == LH_REGION_MUSL ? lh_range_bytes(owner->range) : 0;
	}
	bool is_old = lh_musl_has_chunks(tour);
	arena.role = is_old ? "oldmalloc" : "";
	LH_TRY(lh_heap_add_arena(tour, &arena, &walk.arena));
	if (is_old)
		return lh_musl_walk_chunks(tour, walk.arena);
	return lh_musl_visit_areas(tour->memory, walk_area, &walk);
}

const struct lh_allocator_walker lh_walk_musl = {
	.name = "musl",
	.claim = lh_musl_claim,
	.kinds = UINT32_C(1) << LH_REGION_MUSL,
	.walk = walk_musl,
};

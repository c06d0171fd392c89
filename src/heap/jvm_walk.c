/*
 * jvm_walk: objects of a Java heap, one after another. Input: spaces that objects fill without gaps, and the parts that
 * threads have reserved for allocation (TLABs). Output: an arena, and for each object a block of its class, uncollected
 * garbage included. Each object must have a class; otherwise the check of its stretch fails.
 */
#include "hotspot.h"

#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 1 << 17, OBJECT_ALIGNMENT = 8, HEAD_BYTES = 24 };

struct java_walk {
	struct lh_hotspot *jvm;
	uint32_t arena;
	uint64_t used_bytes;
};

/* ---------------------------------------------------------------- threads */

static struct lh_error *add_tlab(struct lh_hotspot *jvm, uint64_t thread)
{
	uint64_t tlab = thread + jvm->fields[LH_JVM_TLAB];
	struct lh_range range;
	if (!lh_heap_words(jvm->tour, tlab + jvm->fields[LH_JVM_TLAB_TOP], &range.start, 1) ||
	    !lh_heap_words(jvm->tour, tlab + jvm->fields[LH_JVM_TLAB_END], &range.end, 1) ||
	    range.start < jvm->reserved.start || range.start > range.end || range.end > jvm->reserved.end)
		return NULL;
	return lh_vec_push(&jvm->tlabs, range);
}

/*
 * After the end of a TLAB, space is reserved for the CPU's prefetches, at least for a header
 * (ThreadLocalAllocBuffer::end_reserve).
 */
static uint64_t read_reserve(struct lh_hotspot *jvm)
{
	enum { HEADER_WORDS = 2, RESERVE_MAX = 4096 };
	uint32_t words = 0;
	const uint8_t *bytes = NULL;
	if (jvm->has[LH_JVM_TLAB_RESERVE])
		bytes = lh_heap_bytes(jvm->tour, jvm->fields[LH_JVM_TLAB_RESERVE], sizeof(words));
	if (bytes)
		memcpy(&words, bytes, sizeof(words));
	bool is_more = words > HEADER_WORDS && words <= RESERVE_MAX;
	return UINT64_C(8) * (is_more ? words : HEADER_WORDS);
}

static struct lh_error *find_tlabs(struct lh_hotspot *jvm)
{
	uint64_t list, items, thread;
	for (int field = LH_JVM_THREADS; field <= LH_JVM_TLAB_END; field++) {
		if (!jvm->has[field])
			return NULL;
	}
	const uint8_t *bytes = NULL;
	uint32_t count = 0;
	if (lh_heap_words(jvm->tour, jvm->fields[LH_JVM_THREADS], &list, 1))
		bytes = lh_heap_bytes(jvm->tour, list + jvm->fields[LH_JVM_THREAD_COUNT], sizeof(count));
	if (!bytes)
		return NULL;
	memcpy(&count, bytes, sizeof(count));
	if (!lh_heap_words(jvm->tour, list + jvm->fields[LH_JVM_THREAD_ITEMS], &items, 1))
		return NULL;
	for (uint32_t i = 0; i < count && i < THREADS_MAX; i++) {
		if (lh_heap_words(jvm->tour, items + i * UINT64_C(8), &thread, 1))
			LH_TRY(add_tlab(jvm, thread));
	}
	uint64_t reserve = read_reserve(jvm);
	for (size_t i = 0; i < jvm->tlabs.count; i++)
		jvm->tlabs.items[i].end += reserve;
	if (jvm->tlabs.count)
		qsort(jvm->tlabs.items, jvm->tlabs.count, sizeof(*jvm->tlabs.items), lh_compare_range_starts);
	return NULL;
}

/* The first one with free space at or after `addr`. */
static size_t find_tlab(const struct lh_hotspot *jvm, uint64_t addr)
{
	return lh_vec_count_before(&jvm->tlabs, item, item->start < addr);
}

/* ---------------------------------------------------------------- objects */

/* 0 if the object would be larger than `most`. */
static uint64_t size_object(const struct lh_hotspot *jvm, const struct lh_hotspot_class *class, const uint8_t *object,
			    uint64_t addr, uint64_t most)
{
	uint64_t bytes = class->layout & ~UINT32_C(7);
	if (class->layout >> 31) {
		uint32_t length;
		memcpy(&length, object + lh_hotspot_length_offset(jvm), sizeof(length));
		bytes = (class->layout >> 16 & 0xff) + ((uint64_t)length << (class->layout & 0xff));
	} else if (class->is_mirror) {
		uint32_t words = 0;
		const uint8_t *size = lh_heap_bytes(jvm->tour, addr + jvm->mirror_size_offset, sizeof(words));
		if (size)
			memcpy(&words, size, sizeof(words));
		bytes = words * UINT64_C(8);
	}
	bytes = lh_align_up(bytes, OBJECT_ALIGNMENT);
	return bytes >= 2 * sizeof(uint64_t) && bytes <= most ? bytes : 0;
}

struct java_object {
	uint64_t bytes;
	uint32_t type;
};

/* What tells the length of an object: its class word, and its length. */
static struct lh_error *note_head(struct lh_hotspot *jvm, const struct lh_hotspot_class *class, uint64_t addr)
{
	uint64_t start = jvm->fields[jvm->is_narrow ? LH_JVM_CLASS_NARROW : LH_JVM_CLASS_WIDE];
	uint64_t end = start + (jvm->is_narrow ? sizeof(uint32_t) : sizeof(uint64_t));
	if (class->layout >> 31)
		end = lh_hotspot_length_offset(jvm) + sizeof(uint32_t);
	if (class->is_mirror)
		LH_TRY(lh_heap_note_structure(jvm->tour, addr + jvm->mirror_size_offset, sizeof(uint32_t)));
	return lh_heap_note_structure(jvm->tour, addr + start, end - start);
}

/* ret->bytes is 0 if there is no object. */
static struct lh_error *read_object(struct lh_hotspot *jvm, uint64_t addr, const struct lh_hotspot_space *space,
				    struct java_object *ret)
{
	uint64_t limit = space->is_humongous ? jvm->reserved.end : space->top;
	uint8_t head[HEAD_BYTES] = {0};
	const uint8_t *bytes = lh_heap_bytes(jvm->tour, addr, lh_min_u64(HEAD_BYTES, limit - addr));
	const struct lh_hotspot_class *class;
	*ret = (struct java_object){0};
	if (!bytes)
		return NULL;
	memcpy(head, bytes, lh_min_u64(HEAD_BYTES, limit - addr));
	LH_TRY(lh_hotspot_find_class(jvm, head, &class));
	if (!class)
		return NULL;
	*ret = (struct java_object){size_object(jvm, class, head, addr, limit - addr), class->types[space->is_young]};
	return note_head(jvm, class, addr);
}

static struct lh_error *give_object(struct java_walk *walk, uint64_t addr, const struct java_object *object)
{
	struct lh_heap_chunk chunk = {
		.addr = addr, .size_bytes = object->bytes, .arena = walk->arena, .state = LH_CHUNK_USED};
	walk->used_bytes += object->bytes;
	lh_heap_check(walk->jvm->tour, true, addr, "");
	return lh_heap_add_object(walk->jvm->tour, &chunk, object->type);
}

/* The TLAB at `addr`, which its thread may be writing at this instant. */
static const struct lh_range *tlab_that_begins(const struct lh_hotspot *jvm, uint64_t addr, bool is_object)
{
	size_t index = find_tlab(jvm, addr);
	const struct lh_range *tlab = index < jvm->tlabs.count ? &jvm->tlabs.items[index] : NULL;
	enum { TORN_MAX = 1 << 20 };
	bool is_here = tlab && (tlab->start == addr || (!is_object && tlab->start - addr <= TORN_MAX));
	return is_here ? tlab : NULL;
}

/* Space without objects. */
static struct lh_error *give_rest(struct java_walk *walk, uint64_t start, uint64_t end)
{
	struct lh_heap_chunk chunk = {
		.addr = start, .size_bytes = end - start, .arena = walk->arena, .state = LH_CHUNK_FREE};
	return start < end ? lh_heap_add_chunk(walk->jvm->tour, &chunk) : NULL;
}

static struct lh_error *walk_space(void *context, const struct lh_hotspot_space *space)
{
	struct java_walk *walk = context;
	struct lh_hotspot *jvm = walk->jvm;
	LH_TRY(lh_heap_add_range(jvm->tour, walk->arena, space->bottom, space->end));
	LH_TRY(give_rest(walk, space->top, space->end));
	if (space->goes_on)
		return NULL;
	for (uint64_t addr = space->bottom; addr < space->top;) {
		struct java_object object;
		const struct lh_range *tlab = tlab_that_begins(jvm, addr, true);
		if (!tlab) {
			LH_TRY(read_object(jvm, addr, space, &object));
			tlab = object.bytes ? NULL : tlab_that_begins(jvm, addr, false);
		}
		if (tlab) {
			uint64_t end = lh_max_u64(tlab->end, addr + OBJECT_ALIGNMENT);
			LH_TRY(give_rest(walk, addr, lh_min_u64(end, space->top)));
			addr = end;
			continue;
		}
		if (!object.bytes) {
			lh_heap_check(jvm->tour, false, addr, "object: no class");
			lh_heap_lose(jvm->tour, space->top - addr);
			return NULL;
		}
		LH_TRY(give_object(walk, addr, &object));
		addr += object.bytes;
	}
	return NULL;
}

/* ---------------------------------------------------------------- the whole */

static bool read_narrow(struct lh_hotspot *jvm)
{
	const uint8_t *bytes;
	jvm->is_narrow = jvm->has[LH_JVM_NARROW_BASE] && jvm->has[LH_JVM_NARROW_SHIFT] && jvm->has[LH_JVM_CLASS_NARROW];
	if (!jvm->is_narrow || !lh_heap_words(jvm->tour, jvm->fields[LH_JVM_NARROW_BASE], &jvm->narrow_base, 1) ||
	    !(bytes = lh_heap_bytes(jvm->tour, jvm->fields[LH_JVM_NARROW_SHIFT], sizeof(uint32_t))))
		return false;
	memcpy(&jvm->narrow_shift, bytes, sizeof(jvm->narrow_shift));
	/* Without compressed class pointers both are 0. */
	jvm->is_narrow = jvm->narrow_base || jvm->narrow_shift;
	return jvm->narrow_shift < 16;
}

static bool read_heap_bounds(struct lh_hotspot *jvm)
{
	uint64_t heap, words, reserved, bytes, mirror = 0;
	if (!lh_heap_words(jvm->tour, jvm->fields[LH_JVM_HEAP], &heap, 1))
		return false;
	reserved = heap + jvm->fields[LH_JVM_RESERVED];
	const uint8_t *offset = lh_heap_bytes(jvm->tour, jvm->fields[LH_JVM_MIRROR_SIZE], sizeof(uint32_t));
	if (offset)
		memcpy(&mirror, offset, sizeof(uint32_t));
	jvm->mirror_size_offset = mirror;
	return mirror && mirror < 4096 &&
	       lh_heap_words(jvm->tour, reserved + jvm->fields[LH_JVM_REGION_START], &jvm->reserved.start, 1) &&
	       lh_heap_words(jvm->tour, reserved + jvm->fields[LH_JVM_REGION_WORDS], &words, 1) &&
	       words < UINT64_C(1) << 48 && (bytes = words * 8) > 0 &&
	       lh_add_u64(jvm->reserved.start, bytes, &jvm->reserved.end);
}

/* Numbers of HotSpot that the walk reads: pointers tell themselves. */
static struct lh_error *note_numbers(struct lh_hotspot *jvm)
{
	static const enum lh_hotspot_field words[] = {LH_JVM_NARROW_BASE, LH_JVM_NARROW_SHIFT, LH_JVM_MIRROR_SIZE,
						      LH_JVM_TLAB_RESERVE};
	uint64_t heap, list;
	for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
		uint64_t bytes = words[i] == LH_JVM_NARROW_BASE ? sizeof(uint64_t) : sizeof(uint32_t);
		if (jvm->has[words[i]])
			LH_TRY(lh_heap_note_structure(jvm->tour, jvm->fields[words[i]], bytes));
	}
	if (jvm->has[LH_JVM_THREADS] && jvm->has[LH_JVM_THREAD_COUNT] &&
	    lh_heap_words(jvm->tour, jvm->fields[LH_JVM_THREADS], &list, 1))
		LH_TRY(lh_heap_note_structure(jvm->tour, list + jvm->fields[LH_JVM_THREAD_COUNT], sizeof(uint32_t)));
	if (!lh_heap_words(jvm->tour, jvm->fields[LH_JVM_HEAP], &heap, 1))
		return NULL;
	uint64_t reserved = heap + jvm->fields[LH_JVM_RESERVED];
	LH_TRY(lh_heap_note_structure(jvm->tour, reserved + jvm->fields[LH_JVM_REGION_START], sizeof(uint64_t)));
	return lh_heap_note_structure(jvm->tour, reserved + jvm->fields[LH_JVM_REGION_WORDS], sizeof(uint64_t));
}

static struct lh_error *walk_java_heap(struct lh_hotspot *jvm)
{
	struct java_walk walk = {.jvm = jvm};
	const char *collector;
	bool has_fields;
	LH_TRY(lh_hotspot_read_fields(jvm, &has_fields));
	if (!has_fields || !read_narrow(jvm) || !read_heap_bounds(jvm)) {
		lh_heap_note(jvm->tour, "libjvm's own description of its structures is not there");
		lh_heap_lose(jvm->tour, 0);
		return NULL;
	}
	struct lh_heap_arena arena = {.allocator = "HotSpot",
				      .role = "",
				      .kind = LH_REGION_JVM,
				      .is_typed = true,
				      .mapped_bytes = jvm->reserved.end - jvm->reserved.start};
	LH_TRY(lh_heap_add_arena(jvm->tour, &arena, &walk.arena));
	LH_TRY(note_numbers(jvm));
	LH_TRY(find_tlabs(jvm));
	LH_TRY(lh_hotspot_visit_spaces(jvm, walk_space, &walk, &collector));
	if (collector)
		lh_heap_note(jvm->tour, "collector %s; blocks include garbage that it has not collected yet",
			     collector);
	else
		lh_heap_note(jvm->tour, "its collector is neither G1, Serial nor Parallel");
	return NULL;
}

static struct lh_error *walk_jvm(struct lh_heap_tour *tour)
{
	struct lh_hotspot jvm LH_CLEANUP(lh_hotspot_deinit) = {.tour = tour};
	return walk_java_heap(&jvm);
}

const struct lh_allocator_walker lh_walk_jvm = {
	.name = "HotSpot",
	.claim = lh_jvm_claim,
	.kinds = UINT32_C(1) << LH_REGION_JVM,
	.walk = walk_jvm,
};

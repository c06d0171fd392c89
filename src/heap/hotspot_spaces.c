/*
 * hotspot_spaces: where objects of a Java heap are. Input: HotSpot's structures. Output: the regions of G1, or the
 * spaces of the Serial and the Parallel collector, with their fill level.
 */
#include "hotspot.h"

#include <string.h>

enum { REGIONS_MAX = 1 << 18 };

static bool read_pointer_at(struct lh_hotspot *jvm, uint64_t addr, uint64_t *ret)
{
	return lh_heap_words(jvm->tour, addr, ret, 1);
}

static bool read_vm_field(struct lh_hotspot *jvm, uint64_t object, enum lh_hotspot_field field, uint64_t *ret)
{
	return jvm->has[field] &&
	       read_pointer_at(jvm, jvm->is_static[field] ? jvm->fields[field] : object + jvm->fields[field], ret);
}

static bool is_space(const struct lh_hotspot *jvm, const struct lh_hotspot_space *space)
{
	return space->bottom >= jvm->reserved.start && space->bottom <= space->top && space->top <= space->end &&
	       space->end <= jvm->reserved.end && space->bottom % 8 == 0 && space->top % 8 == 0;
}

/* ---------------------------------------------------------------- G1 */

/* In HeapRegionType, tags of regions that continue a humongous object are odd (gc/g1/heapRegionType.hpp). */
static bool read_g1_region(struct lh_hotspot *jvm, uint64_t region, struct lh_hotspot_space *ret)
{
	*ret = (struct lh_hotspot_space){0};
	const uint8_t *bytes =
		lh_heap_bytes(jvm->tour, region + jvm->fields[LH_JVM_G1_TYPE] + jvm->fields[LH_JVM_G1_TAG], 4);
	uint32_t tag;
	if (!bytes)
		return false;
	memcpy(&tag, bytes, sizeof(tag));
	ret->is_young = tag & jvm->young_mask && !(tag & 1);
	ret->is_humongous = tag & jvm->humongous_mask;
	ret->goes_on = ret->is_humongous && tag & 1;
	return read_vm_field(jvm, region, LH_JVM_G1_BOTTOM, &ret->bottom) &&
	       read_vm_field(jvm, region, LH_JVM_G1_TOP, &ret->top) &&
	       read_vm_field(jvm, region, LH_JVM_G1_END, &ret->end) && is_space(jvm, ret);
}

static bool read_g1_table(struct lh_hotspot *jvm, uint64_t heap, uint64_t *ret_items, uint64_t *ret_count)
{
	uint64_t table = heap + jvm->fields[LH_JVM_G1_MANAGER] + jvm->fields[LH_JVM_G1_TABLE], first;
	struct lh_hotspot_space space;
	for (int field = LH_JVM_G1_MANAGER; field <= LH_JVM_G1_TAG; field++) {
		if (!jvm->has[field])
			return false;
	}
	return jvm->young_mask && jvm->humongous_mask && read_vm_field(jvm, table, LH_JVM_G1_ITEMS, ret_items) &&
	       read_vm_field(jvm, table, LH_JVM_G1_COUNT, ret_count) && *ret_count && *ret_count <= REGIONS_MAX &&
	       read_pointer_at(jvm, *ret_items, &first) && read_g1_region(jvm, first, &space) &&
	       space.bottom == jvm->reserved.start;
}

static struct lh_error *visit_g1(struct lh_hotspot *jvm, uint64_t items, uint64_t count,
				 lh_hotspot_space_visitor *visit, void *context)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t region, tag_offset = jvm->fields[LH_JVM_G1_TYPE] + jvm->fields[LH_JVM_G1_TAG];
		struct lh_hotspot_space space;
		/* Regions that were never committed have no structure. */
		if (!read_pointer_at(jvm, items + i * 8, &region) || !region)
			continue;
		LH_TRY(lh_heap_note_structure(jvm->tour, region + tag_offset, sizeof(uint32_t)));
		if (lh_heap_check(jvm->tour, read_g1_region(jvm, region, &space), region, "region: not in the heap"))
			LH_TRY(visit(context, &space));
	}
	return NULL;
}

/* ---------------------------------------------------------------- Serial and Parallel */

struct space_path {
	enum lh_hotspot_field generation, space;
	bool is_young;
};

struct space_fields {
	enum lh_hotspot_field bottom, top, end;
};

static bool read_space(struct lh_hotspot *jvm, uint64_t heap, const struct space_path *path,
		       const struct space_fields *fields, struct lh_hotspot_space *ret)
{
	uint64_t generation, space;
	*ret = (struct lh_hotspot_space){.is_young = path->is_young};
	return read_vm_field(jvm, heap, path->generation, &generation) &&
	       read_vm_field(jvm, generation, path->space, &space) &&
	       read_vm_field(jvm, space, fields->bottom, &ret->bottom) &&
	       read_vm_field(jvm, space, fields->top, &ret->top) && read_vm_field(jvm, space, fields->end, &ret->end) &&
	       is_space(jvm, ret);
}

enum { SPACES = 4 };

static struct lh_error *visit_space_paths(struct lh_hotspot *jvm, uint64_t heap, const struct space_path *paths,
					  const struct space_fields *fields, lh_hotspot_space_visitor *visit,
					  void *context)
{
	for (size_t i = 0; i < SPACES; i++) {
		struct lh_hotspot_space space;
		if (lh_heap_check(jvm->tour, read_space(jvm, heap, &paths[i], fields, &space), heap,
				  "space: not in the heap"))
			LH_TRY(visit(context, &space));
	}
	return NULL;
}

struct lh_error *lh_hotspot_visit_spaces(struct lh_hotspot *jvm, lh_hotspot_space_visitor *visit, void *context,
					 const char **ret_collector)
{
	static const struct space_path serial[SPACES] = {
		{LH_JVM_SERIAL_YOUNG, LH_JVM_SERIAL_EDEN, true},
		{LH_JVM_SERIAL_YOUNG, LH_JVM_SERIAL_FROM, false},
		{LH_JVM_SERIAL_YOUNG, LH_JVM_SERIAL_TO, false},
		{LH_JVM_SERIAL_OLD, LH_JVM_SERIAL_TENURED, false},
	};
	static const struct space_path parallel[SPACES] = {
		{LH_JVM_PARALLEL_YOUNG, LH_JVM_PARALLEL_EDEN, true},
		{LH_JVM_PARALLEL_YOUNG, LH_JVM_PARALLEL_FROM, false},
		{LH_JVM_PARALLEL_YOUNG, LH_JVM_PARALLEL_TO, false},
		{LH_JVM_PARALLEL_OLD, LH_JVM_PARALLEL_TENURED, false},
	};
	static const struct space_fields contiguous = {LH_JVM_SPACE_BOTTOM, LH_JVM_SPACE_TOP, LH_JVM_SPACE_END};
	static const struct space_fields mutable = {LH_JVM_MUTABLE_BOTTOM, LH_JVM_MUTABLE_TOP, LH_JVM_MUTABLE_END};
	uint64_t heap, items, count;
	struct lh_hotspot_space space;
	*ret_collector = NULL;
	if (!read_vm_field(jvm, 0, LH_JVM_HEAP, &heap))
		return NULL;
	if (read_g1_table(jvm, heap, &items, &count)) {
		*ret_collector = "G1";
		return visit_g1(jvm, items, count, visit, context);
	}
	if (read_space(jvm, heap, &serial[3], &contiguous, &space)) {
		*ret_collector = "Serial";
		return visit_space_paths(jvm, heap, serial, &contiguous, visit, context);
	}
	if (read_space(jvm, heap, &parallel[3], &mutable, &space)) {
		*ret_collector = "Parallel";
		return visit_space_paths(jvm, heap, parallel, &mutable, visit, context);
	}
	return NULL;
}

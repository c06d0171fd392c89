/*
 * trace_memory: how much of a process's memory a trace of its malloc cannot see. Input: mappings with usage, and kinds
 * by their owners. Pure.
 */
#include "leakhunt/owner.h"
#include "leakhunt/trace.h"

static uint32_t bit_of(enum lh_region_kind kind)
{
	return UINT32_C(1) << kind;
}

/* Memory that functions of this malloc hand out. Small programs of any allocator have a [heap], too. */
static uint32_t kinds_of_malloc(enum lh_allocator allocator)
{
	static const enum lh_region_kind own_kinds[LH_ALLOCATOR_COUNT] = {
		[LH_ALLOCATOR_MUSL] = LH_REGION_MUSL,         [LH_ALLOCATOR_JEMALLOC] = LH_REGION_JEMALLOC,
		[LH_ALLOCATOR_TCMALLOC] = LH_REGION_TCMALLOC, [LH_ALLOCATOR_MIMALLOC] = LH_REGION_MIMALLOC,
		[LH_ALLOCATOR_RPMALLOC] = LH_REGION_RPMALLOC,
	};
	uint32_t glibc = bit_of(LH_REGION_HEAP) | bit_of(LH_REGION_ARENA) | bit_of(LH_REGION_MMAP_CHUNK);
	return allocator == LH_ALLOCATOR_GLIBC ? glibc : bit_of(own_kinds[allocator]) | bit_of(LH_REGION_HEAP);
}

void lh_trace_memory_weigh(const struct lh_region_list *list, struct lh_trace_memory *ret)
{
	*ret = (struct lh_trace_memory){0};
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (!lh_region_kind_is_heap(region->kind) && region->kind != LH_REGION_ANON)
			continue;
		uint64_t bytes = region->usage.anonymous_bytes + region->usage.swap_bytes;
		ret->kind_bytes[region->kind] += bytes;
		ret->total_bytes += bytes;
	}
}

enum lh_region_kind lh_trace_memory_unseen_kind(const struct lh_trace_memory *memory, enum lh_allocator allocator)
{
	uint32_t seen = kinds_of_malloc(allocator);
	size_t most = LH_REGION_KIND_COUNT;
	for (size_t i = 0; i < LH_REGION_KIND_COUNT; i++) {
		if (!(seen >> i & 1) && memory->kind_bytes[i] &&
		    (most == LH_REGION_KIND_COUNT || memory->kind_bytes[i] > memory->kind_bytes[most]))
			most = i;
	}
	return (enum lh_region_kind)most;
}

double lh_trace_memory_unseen_part(const struct lh_trace_memory *memory, enum lh_allocator allocator)
{
	uint32_t seen = kinds_of_malloc(allocator);
	uint64_t bytes = 0;
	for (size_t i = 0; i < LH_REGION_KIND_COUNT; i++)
		bytes += seen >> i & 1 ? 0 : memory->kind_bytes[i];
	return memory->total_bytes ? (double)bytes / (double)memory->total_bytes : 0;
}

bool lh_trace_sees_most(const struct lh_trace *trace)
{
	return lh_trace_memory_unseen_part(&trace->memory, trace->allocator) <= 0.5;
}

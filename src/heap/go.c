/*
 * go: arenas of Go's heap. Input: memory. Output: claims. A program with Go's runtime has a mark in its data segment
 * (debug/buildinfo), or libgo, the runtime of gccgo. The runtime reserves arenas of 64 MiB from 0x00c000000000 on
 * (runtime/malloc.go, mallocinit), where mmap never places memory on its own.
 */
#include "walker.h"

#include <string.h>

#define ARENA_BYTES (64 * LH_MIB)
#define HEAP_START  UINT64_C(0xc000000000)
#define HEAP_END    UINT64_C(0x100c000000000)

enum { SEARCHED_BYTES = 64 * 1024, MAGIC_ALIGNMENT = 16 };

static const char magic[] = "\xff Go buildinf:";

static bool has_magic(const struct lh_heap_memory *memory, const struct lh_region *region)
{
	uint8_t page[LH_PAGE_BYTES];
	uint64_t end = lh_min_u64(region->end, region->start + SEARCHED_BYTES);
	for (uint64_t addr = region->start; addr < end; addr += LH_PAGE_BYTES) {
		size_t got = memory->read(memory->context, addr, page, sizeof(page));
		for (size_t i = 0; i + sizeof(magic) - 1 <= got; i += MAGIC_ALIGNMENT) {
			if (!memcmp(page + i, magic, sizeof(magic) - 1))
				return true;
		}
	}
	return false;
}

static bool is_of_libgo(const struct lh_region *region)
{
	static const char name[] = "libgo.so.";
	const char *slash = strrchr(region->name, '/');
	return slash && !strncmp(slash + 1, name, sizeof(name) - 1);
}

static bool is_go_program(const struct lh_heap_memory *memory)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		bool is_data = region->kind == LH_REGION_DATA || region->kind == LH_REGION_RODATA;
		if (is_data && region->protection & LH_PROT_READ && (is_of_libgo(region) || has_magic(memory, region)))
			return true;
	}
	return false;
}

/* Whether the first arena exists at the address where the runtime puts it. */
static bool has_first_arena(const struct lh_heap_memory *memory)
{
	size_t index = lh_heap_region_index(memory, HEAP_START);
	return index < memory->list->regions.count && memory->list->regions.items[index].start <= HEAP_START;
}

struct lh_error *lh_go_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	if (!has_first_arena(memory) || !is_go_program(memory))
		return NULL;
	uint64_t end = HEAP_START;
	for (size_t i = lh_heap_region_index(memory, HEAP_START); i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		if (region->start >= HEAP_END || region->start > lh_align_up(end, ARENA_BYTES))
			break;
		end = region->end;
		LH_TRY(lh_heap_claim(memory, lh_max_u64(region->start, HEAP_START), end, LH_REGION_GO, ret));
	}
	return NULL;
}

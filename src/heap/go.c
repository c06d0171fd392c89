/*
 * go: arenas of Go's heap. Input: memory. Output: claims. A program with Go's runtime has two marks in its data, at any
 * distance from the data's start: the build information (debug/buildinfo), and the runtime's moduledata. gccgo's
 * runtime is libgo. The runtime reserves arenas of 64 MiB from 0x00c000000000 on (runtime/malloc.go, mallocinit), where
 * mmap never places memory on its own.
 */
#include "walker.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES     (64 * LH_MIB)
#define HEAP_START      UINT64_C(0xc000000000)
#define HEAP_END        UINT64_C(0x100c000000000)
#define SEARCHED_BYTES  (64 * LH_MIB) /* of a mapping */
#define TABLE_BYTES_MAX (4 * LH_GIB)

enum { BLOCK_BYTES = 64 * 1024, MAGIC_ALIGNMENT = 16, MODULE_BYTES = 128 };

static const char magic[] = "\xff Go buildinf:";

/*
 * Whether the bytes begin the moduledata of Go 1.16 or later (runtime/symtab.go): a pointer to the table of functions,
 * then the slices funcnametab, cutab, filetab, pctab and pclntable. The linker lays them out in this order, one behind
 * the other, each as long as its capacity. The elements of cutab have 4 bytes.
 */
static bool is_moduledata(const uint8_t bytes[MODULE_BYTES])
{
	enum { WORD = 8, SLICE = 3 * WORD, SLICES = 5, CUTAB = 1 };
	uint64_t start = lh_load_u64(bytes, 0), done = start + 1;
	if (!start || start >> 47)
		return false;
	for (unsigned i = 0; i < SLICES; i++) {
		const uint8_t *slice = bytes + WORD + (size_t)i * SLICE;
		uint64_t addr = lh_load_u64(slice, 0), length = lh_load_u64(slice, WORD);
		if (addr < done || addr - start > TABLE_BYTES_MAX || !length || length > TABLE_BYTES_MAX ||
		    lh_load_u64(slice, (size_t)2 * WORD) != length)
			return false;
		done = addr + length * (i == CUTAB ? 4 : 1);
	}
	return true;
}

static bool has_mark(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i + MAGIC_ALIGNMENT <= count; i += sizeof(uint64_t)) {
		bool is_magic = i % MAGIC_ALIGNMENT == 0 && !memcmp(bytes + i, magic, sizeof(magic) - 1);
		if (is_magic || (i + MODULE_BYTES <= count && is_moduledata(bytes + i)))
			return true;
	}
	return false;
}

/* Searches a run of readable pages: blocks overlap by MODULE_BYTES. */
static bool is_mark_in_run(const struct lh_heap_memory *memory, struct lh_range run, uint8_t *block)
{
	static const size_t step = BLOCK_BYTES - MODULE_BYTES;
	for (uint64_t addr = run.start; addr < run.end; addr += step) {
		size_t wanted = lh_min_u64(BLOCK_BYTES, run.end - addr);
		if (has_mark(block, memory->read(memory->context, addr, block, wanted)))
			return true;
	}
	return false;
}

/* *ret: whether the present pages at the start of a mapping hold a mark. */
static struct lh_error *find_mark(const struct lh_heap_memory *memory, const struct lh_region *region, bool *ret)
{
	struct lh_page_runs present LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free) uint8_t *block = malloc(BLOCK_BYTES);
	struct lh_range searched = {region->start, lh_min_u64(region->end, region->start + SEARCHED_BYTES)};
	if (!block)
		return lh_error_no_memory();
	LH_TRY(memory->find_present(memory->context, searched, &present));
	for (size_t i = 0; i < present.runs.count && !*ret; i++)
		*ret = is_mark_in_run(memory, present.runs.items[i].range, block);
	return NULL;
}

static bool is_of_libgo(const struct lh_region *region)
{
	static const char name[] = "libgo.so.";
	const char *slash = strrchr(region->name, '/');
	return slash && !strncmp(slash + 1, name, sizeof(name) - 1);
}

/* Marks lie in writable data. Read-only data of a program that reads build information may contain their bytes. */
static struct lh_error *find_go_program(const struct lh_heap_memory *memory, bool *ret)
{
	for (size_t i = 0; i < memory->list->regions.count && !*ret; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		bool is_data = region->kind == LH_REGION_DATA || region->kind == LH_REGION_RODATA;
		*ret = is_data && is_of_libgo(region);
		if (!*ret && region->kind == LH_REGION_DATA && lh_heap_has(memory, i, LH_HEAP_DATA))
			LH_TRY(find_mark(memory, region, ret));
	}
	return NULL;
}

/* Whether the first arena exists at the address where the runtime puts it. */
static bool has_first_arena(const struct lh_heap_memory *memory)
{
	size_t index = lh_heap_region_index(memory, HEAP_START);
	return index < memory->list->regions.count && memory->list->regions.items[index].start <= HEAP_START;
}

struct lh_error *lh_go_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	bool is_go = false;
	if (has_first_arena(memory))
		LH_TRY(find_go_program(memory, &is_go));
	if (!is_go)
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

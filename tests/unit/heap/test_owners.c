/*
 * owners: what allocators claim, told by structures that this program writes into memory of its own, in mappings that
 * merge, split and lie beside others'. Truth: what was written.
 */
#include "leakhunt/heap.h"
#include "leakhunt/process.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE     ((size_t)4096)
#define HEAP_MAX ((size_t)64 << 20)
#define WORDS    (PAGE / sizeof(uint64_t))
#define MAPPED   2
#define IN_USE   1

struct found {
	struct lh_region_list list;
	struct lh_owners owners;
};

static void found_deinit(struct found *found)
{
	lh_region_list_deinit(&found->list);
	lh_owners_deinit(&found->owners);
}

static void find_owners(enum lh_region_detail detail, struct found *ret)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	found_deinit(ret);
	assert_success(lh_process_open(getpid(), &process));
	assert_success(lh_regions_read(process, detail, &ret->list));
	assert_success(lh_heap_find_owners(process, &ret->list, &ret->owners));
	assert_int_equal(ret->owners.overlap_bytes, 0);
	for (size_t i = 1; i < ret->owners.items.count; i++)
		assert_true(ret->owners.items.items[i - 1].range.end <= ret->owners.items.items[i].range.start);
	lh_regions_take_owners(&ret->list, &ret->owners);
}

/* LH_REGION_KIND_COUNT: nobody's. */
static enum lh_region_kind owner_at(const struct found *found, const void *place)
{
	const struct lh_owner_range *owner = lh_owners_find(&found->owners, (uintptr_t)place);
	return owner ? owner->kind : LH_REGION_KIND_COUNT;
}

static enum lh_region_kind kind_of(const struct found *found, const void *place)
{
	const struct lh_region *region = lh_regions_find(&found->list, (uintptr_t)place);
	assert_non_null(region);
	return region->kind;
}

/* Memory of its own between guards, so that nothing merges with it. */
static char *map_fenced(size_t bytes)
{
	char *base = mmap(NULL, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(base != MAP_FAILED);
	assert_int_equal(mprotect(base + PAGE, bytes, PROT_READ | PROT_WRITE), 0);
	madvise(base + PAGE, bytes, MADV_NOHUGEPAGE);
	return base + PAGE;
}

static void unmap_fenced(char *memory, size_t bytes)
{
	munmap(memory - PAGE, bytes + 2 * PAGE);
}

static void put_words(char *at, uint64_t first, uint64_t second)
{
	((uint64_t *)at)[0] = first;
	((uint64_t *)at)[1] = second;
}

/* AddressSanitizer reserves terabytes: of so many places only some are looked at. */
static void skip_in_vast_address_spaces(void)
{
#if defined(__SANITIZE_ADDRESS__)
	skip_because("AddressSanitizer reserves terabytes of addresses");
#endif
}

/* ---------------------------------------------------------------- mapped chunks */

/* glibc <= 2.42: prev_size 0, size of the mapping; >= 2.43: 16 less, bit 0 of prev_size for huge pages. */
static void test_chunks_of_both_layouts(void **state)
{
	(void)state;
	enum { CHUNKS = 700 };
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *old = map_fenced((CHUNKS * 2 + 5) * PAGE), *new = map_fenced(CHUNKS * 2 * PAGE);
	char *untouched = map_fenced(64 * PAGE), *single = map_fenced(64 * PAGE);
	for (size_t i = 0; i < CHUNKS; i++) {
		put_words(old + i * 2 * PAGE, 0, 2 * PAGE | MAPPED);
		put_words(new + i * 2 * PAGE, i % 2, (2 * PAGE - 16) | MAPPED);
	}
	put_words(old + CHUNKS * 2 * PAGE, 0, 5 * PAGE | MAPPED);
	put_words(single, 0, 64 * PAGE | MAPPED);
	for (int detail = LH_REGIONS_MAPS; detail <= LH_REGIONS_SMAPS; detail++) {
		find_owners((enum lh_region_detail)detail, &found);
		assert_int_equal(kind_of(&found, old), LH_REGION_MMAP_CHUNK);
		assert_int_equal(kind_of(&found, new), LH_REGION_MMAP_CHUNK);
		assert_int_equal(kind_of(&found, single), LH_REGION_MMAP_CHUNK);
		assert_int_equal(kind_of(&found, untouched), LH_REGION_ANON);
		assert_int_equal(kind_of(&found, untouched - 1), LH_REGION_GUARD);
	}
	/* Looking at it has not made a page of it present. */
	unsigned char is_present[64];
	assert_int_equal(mincore(untouched, sizeof(is_present) * PAGE, is_present), 0);
	for (size_t i = 0; i < sizeof(is_present); i++)
		assert_int_equal(is_present[i], 0);
	unmap_fenced(old, (CHUNKS * 2 + 5) * PAGE);
	unmap_fenced(new, CHUNKS * 2 * PAGE);
	unmap_fenced(untouched, 64 * PAGE);
	unmap_fenced(single, 64 * PAGE);
}

/* Chunks, then what is none, in one mapping: each keeps what is its. */
static void test_a_chain_ends_before_other_memory(void **state)
{
	(void)state;
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *memory = map_fenced(96 * PAGE);
	put_words(memory, 0, 40 * PAGE | MAPPED);
	put_words(memory + 40 * PAGE, 0, 24 * PAGE | MAPPED);
	memset(memory + 64 * PAGE, 'x', 32 * PAGE);
	find_owners(LH_REGIONS_MAPS, &found);
	assert_int_equal(owner_at(&found, memory), LH_REGION_MMAP_CHUNK);
	assert_int_equal(owner_at(&found, memory + 64 * PAGE - 1), LH_REGION_MMAP_CHUNK);
	assert_int_equal(owner_at(&found, memory + 64 * PAGE), LH_REGION_KIND_COUNT);
	assert_int_equal(kind_of(&found, memory), LH_REGION_MMAP_CHUNK);
	unmap_fenced(memory, 96 * PAGE);
}

/* More mappings of one size than are all looked at: one in eight is a chunk, and each of these is found. */
static void test_chunks_among_many_alike(void **state)
{
	(void)state;
	enum { MAPPINGS = 4000, CHUNK_EACH = 8 };
	const size_t bytes = 40 * PAGE;
	struct found found LH_CLEANUP(found_deinit) = {0};
	char **memory = calloc(MAPPINGS, sizeof(*memory));
	assert_non_null(memory);
	for (size_t i = 0; i < MAPPINGS; i++) {
		memory[i] = map_fenced(bytes);
		put_words(memory[i], 0, i % CHUNK_EACH ? 1 : bytes | MAPPED);
	}
	find_owners(LH_REGIONS_MAPS, &found);
	for (size_t i = 0; i < MAPPINGS; i++) {
		enum lh_region_kind expected = i % CHUNK_EACH ? LH_REGION_KIND_COUNT : LH_REGION_MMAP_CHUNK;
		assert_int_equal(owner_at(&found, memory[i]), expected);
		unmap_fenced(memory[i], bytes);
	}
	free(memory);
}

/* ---------------------------------------------------------------- CPython's arenas */

#define POOL  ((size_t)16384) /* CPython 3.10 and later */
#define ARENA ((size_t)1 << 20)

/* Objects/obmalloc.c, pool_header: blocks of 48 bytes, one of them used. */
static void put_pools(char *arena, size_t count, uint32_t arena_index)
{
	enum { BLOCK = 48, CLASS = BLOCK / 16 - 1, HEADER = 48 };
	for (size_t i = 0; i < count; i++) {
		char *pool = (char *)lh_align_up((uintptr_t)arena, POOL) + i * POOL;
		const uint64_t words[] = {
			1, 0, 0, 0, arena_index | (uint64_t)CLASS << 32, (HEADER + BLOCK) | (POOL - BLOCK) << 32,
		};
		memcpy(pool, words, sizeof(words));
	}
}

/* Memory whose first place for a pool lies where no probe looks: these go by quarters of an arena. */
static char *map_off_probes(size_t bytes)
{
	char *memory = map_fenced(bytes + ARENA / 2);
	char *start = (char *)lh_align_up((uintptr_t)memory, ARENA / 4) + POOL + PAGE;
	assert_int_equal(mprotect(memory, (size_t)(start - memory), PROT_NONE), 0);
	return start;
}

/* Two pools in use, at the beginning of a mapping and behind a chunk of glibc's. */
static void test_an_arena_that_has_just_begun(void **state)
{
	(void)state;
	skip_in_vast_address_spaces();
	const size_t chunk = 40 * PAGE;
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *full = map_fenced(2 * ARENA), *first = map_off_probes(ARENA + chunk);
	char *behind = map_off_probes(chunk + ARENA);
	put_pools(full, ARENA / POOL - 1, 7);
	put_pools(first, 2, 8);
	put_words(first + ARENA, 0, chunk | MAPPED);
	put_words(behind, 0, chunk | MAPPED);
	put_pools(behind + chunk, 2, 9);
	find_owners(LH_REGIONS_SMAPS, &found);
	assert_int_equal(owner_at(&found, full + ARENA / 2), LH_REGION_PYMALLOC);
	assert_int_equal(owner_at(&found, first), LH_REGION_PYMALLOC);
	assert_int_equal(owner_at(&found, first + ARENA - 1), LH_REGION_PYMALLOC);
	assert_int_equal(owner_at(&found, behind), LH_REGION_MMAP_CHUNK);
	assert_int_equal(owner_at(&found, behind + chunk), LH_REGION_PYMALLOC);
	assert_int_equal(owner_at(&found, behind + chunk + ARENA - 1), LH_REGION_PYMALLOC);
	unmap_fenced(full, 2 * ARENA);
	munmap(first, ARENA + chunk);
	munmap(behind, chunk + ARENA);
}

/* ---------------------------------------------------------------- mapped chunks above a stack */

/* A stack of which the top is used, and chunks right above it in the same mapping. */
static void test_chunks_above_a_stack(void **state)
{
	(void)state;
	const size_t stack = 2048 * PAGE, chunks = 128 * PAGE;
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *memory = map_fenced(stack + chunks);
	memset(memory + stack - 5 * PAGE, 's', 5 * PAGE);
	put_words(memory + stack, 0, 64 * PAGE | MAPPED);
	put_words(memory + stack + 64 * PAGE, 0, 64 * PAGE | MAPPED);
	find_owners(LH_REGIONS_MAPS, &found);
	assert_int_equal(owner_at(&found, memory + stack - 1), LH_REGION_KIND_COUNT);
	assert_int_equal(owner_at(&found, memory + stack), LH_REGION_MMAP_CHUNK);
	assert_int_equal(owner_at(&found, memory + stack + chunks - 1), LH_REGION_MMAP_CHUNK);
	unmap_fenced(memory, stack + chunks);
}

static void test_headers_that_are_none(void **state)
{
	(void)state;
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *memory[5];
	for (size_t i = 0; i < LH_ARRAY_COUNT(memory); i++)
		memory[i] = map_fenced(64 * PAGE);
	put_words(memory[0], 0, 65 * PAGE | MAPPED);          /* longer than the mapping */
	put_words(memory[1], 8, 64 * PAGE | MAPPED);          /* prev_size */
	put_words(memory[2], 0, 64 * PAGE | MAPPED | IN_USE); /* the chunk before would be in use */
	put_words(memory[3], 0, (64 * PAGE - 32) | MAPPED);   /* no multiple of the page */
	put_words(memory[4], 16, (64 * PAGE - 16) | MAPPED);  /* prev_size is more than its lowest bit */
	find_owners(LH_REGIONS_MAPS, &found);
	for (size_t i = 0; i < LH_ARRAY_COUNT(memory); i++) {
		assert_int_equal(owner_at(&found, memory[i]), LH_REGION_KIND_COUNT);
		unmap_fenced(memory[i], 64 * PAGE);
	}
}

/* ---------------------------------------------------------------- arenas */

static char *map_heaps(size_t count, char **ret_reserve)
{
	*ret_reserve =
		mmap(NULL, (count + 1) * HEAP_MAX, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(*ret_reserve != MAP_FAILED);
	return (char *)lh_align_up((uintptr_t)*ret_reserve, HEAP_MAX);
}

static void put_heap_info(char *heap, const char *arena, const char *before, size_t bytes, size_t writable_bytes)
{
	uint64_t *info = (uint64_t *)heap;
	assert_int_equal(mprotect(heap, writable_bytes, PROT_READ | PROT_WRITE), 0);
	info[0] = (uintptr_t)arena;
	info[1] = (uintptr_t)before;
	info[2] = bytes;
	info[3] = writable_bytes;
}

/* A full heap and the next one behind it in one mapping, with no guard between; the second one in pieces. */
static void test_arenas_in_merged_and_split_mappings(void **state)
{
	(void)state;
	skip_in_vast_address_spaces();
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *reserve, *heap = map_heaps(3, &reserve), *next = heap + HEAP_MAX, *other = next + HEAP_MAX;
	put_heap_info(heap, heap + 48, NULL, HEAP_MAX, HEAP_MAX);
	put_heap_info(next, heap + 48, heap, 20 * PAGE, 32 * PAGE);
	assert_int_equal(mprotect(other, 32 * PAGE, PROT_READ | PROT_WRITE), 0);
	*(uint64_t *)other = 42;
	madvise(next + 8 * PAGE, 4 * PAGE, MADV_DONTFORK);
	find_owners(LH_REGIONS_SMAPS, &found);
	assert_int_equal(owner_at(&found, heap), LH_REGION_ARENA);
	assert_int_equal(owner_at(&found, next + 32 * PAGE - 1), LH_REGION_ARENA);
	assert_int_equal(owner_at(&found, next + 32 * PAGE), LH_REGION_KIND_COUNT);
	assert_int_equal(owner_at(&found, other), LH_REGION_KIND_COUNT);
	assert_int_equal(kind_of(&found, heap), LH_REGION_ARENA);
	assert_int_equal(kind_of(&found, next + 8 * PAGE), LH_REGION_ARENA);
	assert_int_equal(kind_of(&found, next + 31 * PAGE), LH_REGION_ARENA);
	assert_int_equal(kind_of(&found, next + 32 * PAGE), LH_REGION_GUARD);
	assert_int_equal(kind_of(&found, other), LH_REGION_ANON);
	munmap(reserve, 4 * HEAP_MAX);
}

/* heap_info alone is no proof: the arena's first heap must say the same. */
static void test_a_heap_of_no_arena(void **state)
{
	(void)state;
	skip_in_vast_address_spaces();
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *reserve, *heap = map_heaps(3, &reserve), *liar = heap + HEAP_MAX, *orphan = liar + HEAP_MAX;
	put_heap_info(heap, heap + 48, NULL, 8 * PAGE, 8 * PAGE);
	put_heap_info(liar, heap + 32, heap, 8 * PAGE, 8 * PAGE);
	put_heap_info(orphan, orphan + 48, heap, 8 * PAGE, 8 * PAGE);
	find_owners(LH_REGIONS_MAPS, &found);
	assert_int_equal(owner_at(&found, heap), LH_REGION_ARENA);
	assert_int_equal(owner_at(&found, liar), LH_REGION_KIND_COUNT);
	assert_int_equal(owner_at(&found, orphan), LH_REGION_KIND_COUNT);
	munmap(reserve, 4 * HEAP_MAX);
}

/* ---------------------------------------------------------------- this program's own malloc */

static void test_own_malloc(void **state)
{
	(void)state;
	struct found found LH_CLEANUP(found_deinit) = {0};
	char *small = malloc(100), *big = malloc(3000 * PAGE), *bigger = malloc(40 * LH_MIB);
	memset(big, 1, 3000 * PAGE);
	memset(bigger, 1, PAGE);
	find_owners(LH_REGIONS_MAPS, &found);
	if (kind_of(&found, small) == LH_REGION_HEAP) { /* a sanitizer has its own malloc */
		assert_int_equal(owner_at(&found, small), LH_REGION_HEAP);
		assert_int_equal(owner_at(&found, big), LH_REGION_MMAP_CHUNK);
		assert_int_equal(owner_at(&found, bigger + 40 * LH_MIB - 1), LH_REGION_MMAP_CHUNK);
	}
	free(small);
	free(big);
	free(bigger);
}

/* ---------------------------------------------------------------- a Java heap */

static char *map_file(int fd, int protection)
{
	char *memory = mmap(NULL, PAGE, protection, MAP_PRIVATE, fd, 0);
	assert_true(memory != MAP_FAILED);
	return memory;
}

/* An object of libjvm describes the heap: {table of functions, ..., start, size in words}. */
static void put_description(char *at, const char *table, const char *start, uint64_t words)
{
	put_words(at, (uintptr_t)table, 1);
	put_words(at + 16, (uintptr_t)start, words);
}

/* Objects before the one of the heap have the start of a mapping, too, but a pointer behind it. */
static void test_a_java_heap_among_objects_alike(void **state)
{
	(void)state;
	enum { HEAP_PAGES = 1024 };
	struct found found LH_CLEANUP(found_deinit) = {0};
	char folder[] = "/tmp/test_owners.XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/libjvm.so", folder);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	char *table = map_file(fd, PROT_READ), *data = map_file(fd, PROT_READ | PROT_WRITE);
	char *other = map_fenced(PAGE), *heap = map_fenced(HEAP_PAGES * PAGE), *objects = map_fenced(PAGE);
	put_words(data, (uintptr_t)objects, (uintptr_t)objects + 256);
	put_description(objects, table, other, (uintptr_t)objects);
	put_description(objects + 256, table, heap, HEAP_PAGES * WORDS);
	assert_int_equal(mprotect(heap + HEAP_PAGES / 2 * PAGE, HEAP_PAGES / 2 * PAGE, PROT_NONE), 0);
	find_owners(LH_REGIONS_MAPS, &found);
	assert_int_equal(owner_at(&found, heap), LH_REGION_JVM);
	assert_int_equal(owner_at(&found, heap + HEAP_PAGES / 2 * PAGE - 1), LH_REGION_JVM);
	assert_int_equal(owner_at(&found, heap + HEAP_PAGES * PAGE), LH_REGION_KIND_COUNT);
	assert_int_equal(owner_at(&found, other), LH_REGION_KIND_COUNT);
	unmap_fenced(other, PAGE);
	unmap_fenced(heap, HEAP_PAGES * PAGE);
	unmap_fenced(objects, PAGE);
	munmap(table, PAGE);
	munmap(data, PAGE);
	close(fd);
	unlink(path);
	rmdir(folder);
}

/* ---------------------------------------------------------------- Go */

#define GO_HEAP       ((char *)0xc000000000)
#define GO_HEAP_BYTES ((size_t)4 << 20)

static uint64_t program_data[1 << 17] = {1}; /* initialized: it lies in .data, not in .bss */

/* The first words of Go's moduledata: the table of functions, and five slices in it, one behind the other. */
static void put_moduledata(uint64_t *at, uint64_t spare_capacity)
{
	static const uint64_t lengths[] = {3000, 500, 700, 9000, 40000}, element_bytes[] = {1, 4, 1, 1, 1};
	uint64_t next = 0x120b6c0;
	*at++ = 0x120b680;
	for (size_t i = 0; i < LH_ARRAY_COUNT(lengths); i++) {
		*at++ = next;
		*at++ = lengths[i];
		*at++ = lengths[i] + (i == 3 ? spare_capacity : 0);
		next += lengths[i] * element_bytes[i];
	}
}

static enum lh_region_kind owner_of_go_heap(void)
{
	struct found found LH_CLEANUP(found_deinit) = {0};
	find_owners(LH_REGIONS_MAPS, &found);
	memset(program_data + 1, 0, sizeof(program_data) - sizeof(*program_data));
	return owner_at(&found, GO_HEAP);
}

/* Programs that the C linker links have the marks behind all of .data. */
static void test_go_marks_anywhere_in_the_data(void **state)
{
	(void)state;
	skip_in_vast_address_spaces();
	static const char magic[] = "\xff Go buildinf:";
	size_t last = LH_ARRAY_COUNT(program_data) - 16;
	void *heap = mmap(GO_HEAP, GO_HEAP_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(heap, GO_HEAP);
	assert_int_equal(owner_of_go_heap(), LH_REGION_KIND_COUNT);
	for (size_t at = 8000; at < 8200; at++) {
		put_moduledata(program_data + at, 0);
		assert_int_equal(owner_of_go_heap(), LH_REGION_GO);
	}
	put_moduledata(program_data + last, 0);
	assert_int_equal(owner_of_go_heap(), LH_REGION_GO);
	put_moduledata(program_data + last, 8);
	assert_int_equal(owner_of_go_heap(), LH_REGION_KIND_COUNT);
	memcpy(program_data + last + (uintptr_t)(program_data + last) / 8 % 2, magic, sizeof(magic) - 1);
	assert_int_equal(owner_of_go_heap(), LH_REGION_GO);
	munmap(heap, GO_HEAP_BYTES);
}

/* ---------------------------------------------------------------- settling */

static void push_claim(struct lh_owners *owners, uint64_t start, uint64_t end, enum lh_region_kind kind)
{
	assert_success(lh_vec_push(&owners->items, ((struct lh_owner_range){{start, end}, kind})));
}

static void test_the_first_claim_keeps_what_two_claim(void **state)
{
	(void)state;
	struct lh_owners owners LH_CLEANUP(lh_owners_deinit) = {0};
	push_claim(&owners, 0x5000, 0x7000, LH_REGION_ARENA);
	push_claim(&owners, 0x1000, 0x3000, LH_REGION_ARENA);
	push_claim(&owners, 0x3000, 0x4000, LH_REGION_ARENA);
	push_claim(&owners, 0x2000, 0x9000, LH_REGION_JEMALLOC);
	assert_success(lh_owners_settle(&owners));
	assert_int_equal(owners.overlap_bytes, 0x4000);
	static const struct lh_owner_range expected[] = {
		{{0x1000, 0x4000}, LH_REGION_ARENA},
		{{0x4000, 0x5000}, LH_REGION_JEMALLOC},
		{{0x5000, 0x7000}, LH_REGION_ARENA},
		{{0x7000, 0x9000}, LH_REGION_JEMALLOC},
	};
	assert_int_equal(owners.items.count, LH_ARRAY_COUNT(expected));
	for (size_t i = 0; i < LH_ARRAY_COUNT(expected); i++) {
		assert_int_equal(owners.items.items[i].range.start, expected[i].range.start);
		assert_int_equal(owners.items.items[i].range.end, expected[i].range.end);
		assert_int_equal(owners.items.items[i].kind, expected[i].kind);
	}
	assert_null(lh_owners_find(&owners, 0xfff));
	assert_int_equal(lh_owners_find(&owners, 0x4000)->kind, LH_REGION_JEMALLOC);
	assert_null(lh_owners_find(&owners, 0x9000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_of_both_layouts),
		cmocka_unit_test(test_a_chain_ends_before_other_memory),
		cmocka_unit_test(test_chunks_above_a_stack),
		cmocka_unit_test(test_headers_that_are_none),
		cmocka_unit_test(test_arenas_in_merged_and_split_mappings),
		cmocka_unit_test(test_a_heap_of_no_arena),
		cmocka_unit_test(test_own_malloc),
		cmocka_unit_test(test_a_java_heap_among_objects_alike),
		cmocka_unit_test(test_go_marks_anywhere_in_the_data),
		cmocka_unit_test(test_the_first_claim_keeps_what_two_claim),
		/* Last: AddressSanitizer keeps pages of what the lists took, and the search for chunks has a bound. */
		cmocka_unit_test(test_an_arena_that_has_just_begun),
		cmocka_unit_test(test_chunks_among_many_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

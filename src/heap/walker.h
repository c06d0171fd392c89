/*
 * walker: what an allocator is to heap, and the memory it is looked for in. Private to heap.
 *
 * An allocator claims address ranges by its own structures, and only after a check that random bytes would fail: a back
 * pointer, a sum, a chain. Reads cost the target page-table walks: a claim looks at few pages.
 */
#ifndef LEAKHUNT_HEAP_WALKER_H
#define LEAKHUNT_HEAP_WALKER_H

#include "leakhunt/heap.h"

enum { LH_PAGE_BYTES = 4096 };

/* Memory of a live process or of an image. Absent and swapped pages are unreadable. */
struct lh_heap_memory {
	const struct lh_region_list *list; /* the mappings, ascending */
	const void *context;
	lh_memory_reader *read;
	struct lh_error *(*peek)(const void *context, struct lh_peek *peeks, size_t count);
	/* Appends what is present of `range`, which is page-aligned. */
	struct lh_error *(*find_present)(const void *context, struct lh_range range, struct lh_page_runs *ret);
};

struct lh_peeks {
	LH_VEC(struct lh_peek) items;
};

void lh_peeks_deinit(struct lh_peeks *peeks);

/* Reads `count` words at `addr`; false unless all are there. */
bool lh_heap_read_words(const struct lh_heap_memory *memory, uint64_t addr, uint64_t *ret, size_t count);

/* Private anonymous memory that can be read and written; never a device, nor the main stack. */
bool lh_region_is_plain(const struct lh_region *region);

/* Whether [addr, addr + bytes) is private anonymous memory, of whatever protection and number of mappings. */
bool lh_heap_is_private(const struct lh_heap_memory *memory, uint64_t addr, uint64_t bytes);

/* Private anonymous memory that can be read, such as pages of code: wider than plain. */
bool lh_region_is_readable(const struct lh_region *region);

typedef bool lh_region_test(const struct lh_region *region);

/*
 * Appends a peek for each multiple of `alignment` in the regions that pass the test; when these are more than `max`,
 * about `max` of them, evenly spread.
 */
struct lh_error *lh_heap_peek_aligned(const struct lh_heap_memory *memory, lh_region_test *test, uint64_t alignment,
				      size_t max, struct lh_peeks *ret) LH_NODISCARD;

/*
 * Claims what of [start, end) is private anonymous memory with any access, whatever pieces it is mapped in. Borders are
 * rounded out to pages. Claims may touch and, of one kind, overlap.
 */
struct lh_error *lh_heap_claim(const struct lh_heap_memory *memory, uint64_t start, uint64_t end,
			       enum lh_region_kind kind, struct lh_owners *ret) LH_NODISCARD;

/* The index of the region that holds `addr`, or else of the next one behind it; regions.count when there is none. */
size_t lh_heap_region_index(const struct lh_heap_memory *memory, uint64_t addr);

struct lh_allocator_walker {
	const char *name;
	/*
	 * Appends what the allocator owns. `ret` holds the claims of the walkers before it, settled: they
	 * win where both claim, and a walker with a weak check need not look there.
	 */
	struct lh_error *(*claim)(const struct lh_heap_memory *memory, struct lh_owners *ret);
};

extern const struct lh_allocator_walker lh_walk_glibc_arenas;
extern const struct lh_allocator_walker lh_walk_glibc_chunks; /* mmapped ones, and the main heap */
extern const struct lh_allocator_walker lh_walk_jemalloc;
extern const struct lh_allocator_walker lh_walk_pymalloc;

extern const struct lh_allocator_walker lh_walk_tcmalloc;
extern const struct lh_allocator_walker lh_walk_mimalloc;
extern const struct lh_allocator_walker lh_walk_v8;

#endif

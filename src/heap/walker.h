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
	const uint8_t *access;             /* of each: enum lh_heap_access bits */
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

/* What a mapping is to walkers. The main stack, files, devices and huge pages of hugetlbfs are none of it. */
enum lh_heap_access {
	LH_HEAP_PRIVATE = 1,  /* private anonymous memory, of whatever protection */
	LH_HEAP_READABLE = 2, /* private, and can be read: such as pages of code */
	LH_HEAP_PLAIN = 4,    /* private, and can be read and written, but not executed */
};

static inline bool lh_heap_has(const struct lh_heap_memory *memory, size_t region, enum lh_heap_access access)
{
	return memory->access[region] & access;
}

/* Fills access[regions.count]. */
void lh_heap_find_access(const struct lh_region_list *list, uint8_t *access);

/* Whether [addr, addr + bytes) is private anonymous memory, of whatever protection and number of mappings. */
bool lh_heap_is_private(const struct lh_heap_memory *memory, uint64_t addr, uint64_t bytes);

/*
 * Appends a peek for each multiple of `alignment` in regions with that access of at least `region_bytes_min`; when
 * these are more than `max`, about `max` of them, evenly spread.
 */
struct lh_error *lh_heap_peek_aligned(const struct lh_heap_memory *memory, enum lh_heap_access access,
				      uint64_t region_bytes_min, uint64_t alignment, size_t max,
				      struct lh_peeks *ret) LH_NODISCARD;

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
extern const struct lh_allocator_walker lh_walk_zend;
extern const struct lh_allocator_walker lh_walk_musl;
extern const struct lh_allocator_walker lh_walk_go;
extern const struct lh_allocator_walker lh_walk_jvm;

#endif

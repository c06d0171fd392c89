/*
 * walker: the interface of an allocator to heap, and the memory in which it is searched. Private to heap.
 *
 * An allocator claims address ranges by its own structures, and only after a check that random bytes would fail: a back
 * pointer, a sum, a chain. Reads cost the target page-table walks: a claim examines few pages.
 */
#ifndef LEAKHUNT_HEAP_WALKER_H
#define LEAKHUNT_HEAP_WALKER_H

#include "leakhunt/heap.h"

struct lh_peeks {
	LH_VEC(struct lh_peek) items;
};

void lh_peeks_deinit(struct lh_peeks *peeks);

/* Memory of a live process or of an image. Absent and swapped pages are unreadable. */
struct lh_heap_memory {
	const struct lh_region_list *list; /* the mappings, ascending */
	bool has_all_mappings;             /* false of an image: it leaves out what is unreadable or absent */
	const struct lh_range *ranges;     /* of each mapping: for loops over all of them */
	const uint8_t *access;             /* of each mapping: enum lh_heap_access bits */
	struct lh_peeks *known;            /* what lh_heap_peek has read, ascending */
	const void *context;
	lh_memory_reader *read;
	struct lh_error *(*peek)(const void *context, struct lh_peek *peeks, size_t count);
	/* Appends the present parts of `range`, which must be page-aligned. */
	struct lh_error *(*find_present)(const void *context, struct lh_range range, struct lh_page_runs *ret);
};

/* Reads `count` words at `addr`; false unless all are readable. */
bool lh_heap_read_words(const struct lh_heap_memory *memory, uint64_t addr, uint64_t *ret, size_t count);

/* What a mapping is to walkers. The main stack, files, devices and hugetlbfs pages have no bits. */
enum lh_heap_access {
	LH_HEAP_PRIVATE = 1,  /* private anonymous memory of any protection */
	LH_HEAP_READABLE = 2, /* private and readable: also pages of code */
	LH_HEAP_PLAIN = 4,    /* private, readable and writable, but not executable */
	LH_HEAP_BRK = 8,      /* private, and grown by brk(2) */
	LH_HEAP_TOUCHED = 16, /* private; at least one page may be in memory */
	LH_HEAP_OF_FILE = 32, /* a private mapping of a file */
	LH_HEAP_DATA = 64,    /* writable variables of a module: its data or its bss */
};

static inline bool lh_heap_has(const struct lh_heap_memory *memory, size_t region, enum lh_heap_access access)
{
	return memory->access[region] & access;
}

/* What walkers need of all mappings, separate from the list: for 60,000 mappings the list takes 14 MB, this 1 MB. */
struct lh_heap_places {
	struct lh_range *ranges;
	uint8_t *access;
	struct lh_peeks known;
};

/* Fills what memory->ranges, access and known point to from memory->list. `ret` must outlive `memory`. */
struct lh_error *lh_heap_places_init(struct lh_heap_memory *memory, struct lh_heap_places *ret) LH_NODISCARD;
void lh_heap_places_deinit(struct lh_heap_places *places);

/* Whether [addr, addr + bytes) is private anonymous memory of any protection, in any number of mappings. */
bool lh_heap_is_private(const struct lh_heap_memory *memory, uint64_t addr, uint64_t bytes);

/* Whether that can be: of an image, always. */
bool lh_heap_may_be_private(const struct lh_heap_memory *memory, uint64_t addr, uint64_t bytes);

/*
 * Appends an unread peek for each multiple of `alignment` in regions with that access and at least `region_bytes_min`;
 * if there are more than `max`, at most `max` of them, evenly spread: multiples of a larger power of two, so that
 * walkers look at the same places.
 */
struct lh_error *lh_heap_list_aligned(const struct lh_heap_memory *memory, enum lh_heap_access access,
				      uint64_t region_bytes_min, uint64_t alignment, size_t max,
				      struct lh_peeks *ret) LH_NODISCARD;

/* Keeps those peeks from which on so many bytes may be private: an allocator maps them all, even if it uses few. */
void lh_heap_keep_reserved(const struct lh_heap_memory *memory, uint64_t bytes, struct lh_peeks *peeks);

/* Reads peeks, which are ascending: each address once, however many walkers ask for it. */
struct lh_error *lh_heap_peek(const struct lh_heap_memory *memory, struct lh_peeks *peeks) LH_NODISCARD;

/* lh_heap_list_aligned and lh_heap_peek in one. */
struct lh_error *lh_heap_peek_aligned(const struct lh_heap_memory *memory, enum lh_heap_access access,
				      uint64_t region_bytes_min, uint64_t alignment, size_t max,
				      struct lh_peeks *ret) LH_NODISCARD;

/*
 * Claims those parts of [start, end) that are private anonymous memory with any access, in any pieces. Borders are
 * rounded out to pages. Claims may touch and, if of one kind, overlap.
 */
struct lh_error *lh_heap_claim(const struct lh_heap_memory *memory, uint64_t start, uint64_t end,
			       enum lh_region_kind kind, struct lh_owners *ret) LH_NODISCARD;

/* How much is owned by that kind. */
uint64_t lh_heap_owned_bytes(const struct lh_owners *owners, enum lh_region_kind kind);

/* The index of the region that contains `addr`, else of the next region after it; regions.count if there is none. */
size_t lh_heap_region_index(const struct lh_heap_memory *memory, uint64_t addr);

/*
 * Detects a list that leads back into itself (Brent's algorithm), before it is followed four times. Zero-initialized;
 * call it for each address of the list.
 */
struct lh_list_guard {
	uint64_t kept_addr; /* of the latest step whose number is a power of two */
	uint64_t steps;
};

static inline bool lh_list_returns(struct lh_list_guard *guard, uint64_t addr)
{
	if (guard->steps && addr == guard->kept_addr)
		return true;
	if (!(guard->steps & (guard->steps - 1)))
		guard->kept_addr = addr;
	guard->steps++;
	return false;
}

/* ---------------------------------------------------------------- walking */

/*
 * The state of one allocator's walk, which collects its findings. In a live process each read through `memory` is a
 * system call: lh_heap_bytes has a cache.
 */
struct lh_heap_sink;

struct lh_heap_tour {
	const struct lh_heap_memory *memory;
	const struct lh_image *image;
	const struct lh_owners *owners; /* settled claims of all walkers */
	struct lh_heap_sink *sink;
};

/*
 * Bytes at `addr`, up to 64 KiB; NULL unless all are readable. Valid until the next call: copy what you keep. Zero-copy
 * for dumps. A walk that reads or adds far more than the process has is in a circle: from then on nothing is readable,
 * and blocks are dropped.
 */
const uint8_t *lh_heap_bytes(struct lh_heap_tour *tour, uint64_t addr, size_t bytes);
/* Words at `addr` through the same cache; false unless all are readable. */
bool lh_heap_words(struct lh_heap_tour *tour, uint64_t addr, uint64_t *ret, size_t count);

/*
 * Begins an arena; chunks refer to it by index. `arena`: allocator, role, kind, addr, mapped_bytes, returnable_bytes.
 */
struct lh_error *lh_heap_add_arena(struct lh_heap_tour *tour, const struct lh_heap_arena *arena,
				   uint32_t *ret) LH_NODISCARD;
/*
 * Adds memory to the arena, in any order: for lh_heap_covers, and resident bytes. It must not belong to another
 * allocator.
 */
struct lh_error *lh_heap_add_range(struct lh_heap_tour *tour, uint32_t arena, uint64_t start,
				   uint64_t end) LH_NODISCARD;
/* Adds a block. Any order is correct; ascending order is faster. */
struct lh_error *lh_heap_add_chunk(struct lh_heap_tour *tour, const struct lh_heap_chunk *chunk) LH_NODISCARD;
/*
 * Marks a block as cached, whatever state it was added with: in any order, also before it is added. An address where no
 * block begins is a failed check.
 */
struct lh_error *lh_heap_mark_cached(struct lh_heap_tour *tour, uint64_t addr) LH_NODISCARD;
/*
 * Adds a type of the runtime: a class, an instance type. Copies the texts of `type`, and counts nothing. Types with one
 * name are merged later.
 */
struct lh_error *lh_heap_add_type(struct lh_heap_tour *tour, const struct lh_heap_type *type,
				  uint32_t *ret) LH_NODISCARD;
/* Adds a block in use with its type. All blocks of a typed arena must be added so, ascending within each range. */
struct lh_error *lh_heap_add_object(struct lh_heap_tour *tour, const struct lh_heap_chunk *chunk,
				    uint32_t type) LH_NODISCARD;
/* Adds words to lh_heap_structures; does nothing if these were not requested. */
struct lh_error *lh_heap_note_structure(struct lh_heap_tour *tour, uint64_t addr, uint64_t bytes) LH_NODISCARD;
/* Adds memory to lh_heap_padded_ranges; in any order. */
struct lh_error *lh_heap_note_padded(struct lh_heap_tour *tour, struct lh_range range) LH_NODISCARD;
/* Adds bytes outside of the heap that an object of that type alone owns. */
void lh_heap_own(struct lh_heap_tour *tour, uint32_t type, uint64_t bytes);
/* Sets what a purge of this arena would give back, if that is known only at the end of the walk. */
void lh_heap_set_returnable(struct lh_heap_tour *tour, uint32_t arena, uint64_t bytes);

/* The first resident address at or behind `addr`; UINT64_MAX when there is none. */
uint64_t lh_heap_next_resident(struct lh_heap_tour *tour, uint64_t addr);
/* How much of [start, end) is resident. Ascending calls are fast. */
uint64_t lh_heap_resident_bytes(struct lh_heap_tour *tour, uint64_t start, uint64_t end);

/* Counts a check, and returns `holds`. `what`, a literal, says what does not hold at `addr`: "pool: count and free list
 * differ". */
bool lh_heap_check(struct lh_heap_tour *tour, bool holds, uint64_t addr, const char *what);
/* Memory of the allocator that could not be followed: torn, not in the dump. The result is partial. */
void lh_heap_lose(struct lh_heap_tour *tour, uint64_t bytes);
void lh_heap_note(struct lh_heap_tour *tour, const char *format, ...) LH_PRINTF(2, 3);

struct lh_allocator_walker {
	const char *name;
	/*
	 * Appends what the allocator owns. `ret` holds the claims of the walkers before it, settled: they
	 * win where both claim, and a walker with a weak check need not look there.
	 */
	struct lh_error *(*claim)(const struct lh_heap_memory *memory, struct lh_owners *ret);
	/*
	 * Visits every block of the allocator, of any state; NULL: the allocator is only claimed. Called once, after
	 * all claims, when one of `kinds` (bits 1 << enum lh_region_kind) owns something. Sizes, counts and links are
	 * bounded by what is mapped, and checked. A structure that does not check out is counted and passed over.
	 */
	uint32_t kinds;
	bool walks_unclaimed; /* called in any case: it looks for itself */
	struct lh_error *(*walk)(struct lh_heap_tour *tour);
};

extern const struct lh_allocator_walker lh_walk_glibc_arenas;
extern const struct lh_allocator_walker lh_walk_glibc_chunks; /* mmapped ones, and the main heap */
extern const struct lh_allocator_walker lh_walk_jemalloc;
extern const struct lh_allocator_walker lh_walk_pymalloc;

extern const struct lh_allocator_walker lh_walk_tcmalloc;
extern const struct lh_allocator_walker lh_walk_google_tcmalloc;
extern const struct lh_allocator_walker lh_walk_mimalloc;
extern const struct lh_allocator_walker lh_walk_scudo;
extern const struct lh_allocator_walker lh_walk_rpmalloc;
extern const struct lh_allocator_walker lh_walk_v8;
extern const struct lh_allocator_walker lh_walk_zend;
struct lh_error *lh_zend_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD; /* its claim */
extern const struct lh_allocator_walker lh_walk_musl;
extern const struct lh_allocator_walker lh_walk_go;
struct lh_error *lh_go_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD; /* its claim */
extern const struct lh_allocator_walker lh_walk_jvm;

/* lh_heap_find_owners in any image. What it does not hold cannot be found: a dump of stacks has no heap. */
struct lh_error *lh_heap_find_owners_in_image(const struct lh_image *image, struct lh_owners *ret) LH_NODISCARD;

#endif

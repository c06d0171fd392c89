/*
 * owner: which allocator or runtime each private byte belongs to, and how to ask again. heap computes it from the
 * allocators' own structures. Modules below heap (dump, select, watch) take owners through this contract and never
 * include heap; cli and hunt pass the finder to them.
 */
#ifndef LEAKHUNT_OWNER_H
#define LEAKHUNT_OWNER_H

#include "leakhunt/regions.h"

/* Memory that malloc or a runtime hands out, whatever its name in /proc: the meaning of `--region heap`. */
#define LH_HEAP_KINDS                                                                                                \
	(UINT32_C(1) << LH_REGION_HEAP | UINT32_C(1) << LH_REGION_ARENA | UINT32_C(1) << LH_REGION_MMAP_CHUNK |      \
	 UINT32_C(1) << LH_REGION_JEMALLOC | UINT32_C(1) << LH_REGION_TCMALLOC | UINT32_C(1) << LH_REGION_MIMALLOC | \
	 UINT32_C(1) << LH_REGION_MUSL | UINT32_C(1) << LH_REGION_PYMALLOC | UINT32_C(1) << LH_REGION_V8 |           \
	 UINT32_C(1) << LH_REGION_GO | UINT32_C(1) << LH_REGION_JVM | UINT32_C(1) << LH_REGION_ZEND |                \
	 UINT32_C(1) << LH_REGION_SCUDO | UINT32_C(1) << LH_REGION_RPMALLOC |                                        \
	 UINT32_C(1) << LH_REGION_GOOGLE_TCMALLOC)

static inline bool lh_region_kind_is_heap(enum lh_region_kind kind)
{
	return LH_HEAP_KINDS >> kind & 1;
}

/* Page-aligned, non-empty. May begin or end inside a mapping, and may span several adjoining ones. */
struct lh_owner_range {
	struct lh_range range;
	enum lh_region_kind kind; /* one of LH_HEAP_KINDS */
};

/* Zero-initialized is empty. */
struct lh_owners {
	LH_VEC(struct lh_owner_range) items; /* ascending, disjoint; neighbors of one kind merged */
	uint64_t overlap_bytes;              /* claimed by two allocators: 0 unless a finder has a bug */
	bool has_v8_limit;
	uint64_t v8_left_bytes; /* if it has one: what V8's heap limit leaves to the fullest heap of the process */
};

void lh_owners_deinit(struct lh_owners *owners);

/* The index of the first range that ends after `addr`; items.count if there is none. */
size_t lh_owners_index(const struct lh_owners *owners, uint64_t addr);

/* The range that holds `addr`, or NULL. */
const struct lh_owner_range *lh_owners_find(const struct lh_owners *owners, uint64_t addr);

/* The owner of most of `range`; false unless it owns more than half of `used_bytes`. */
bool lh_owners_main_kind(const struct lh_owners *owners, struct lh_range range, uint64_t used_bytes,
			 enum lh_region_kind *ret);

/*
 * Finds the current owners of a live process's memory. `list`: its current mappings. Reads only present pages, stops
 * nobody, takes milliseconds. What cannot be read has no owner; that is not an error.
 */
typedef struct lh_error *lh_owner_finder(const struct lh_process *process, const struct lh_region_list *list,
					 struct lh_owners *ret);

/*
 * What allocators say of themselves, by walking their blocks. Heaps of runtimes with a collector are left out, since
 * their garbage counts as in use until it is collected.
 */
struct lh_heap_use {
	uint64_t in_use_bytes; /* resident bytes of blocks that were handed out and not freed */
	uint64_t heap_bytes;   /* resident bytes of the memory that they own */
};

/*
 * Asks the allocators of a live process. Reads all of their memory that is present, stops nobody. False: unknown,
 * because no allocator was found, one could not be walked while the process ran, or more than half a GiB would have to
 * be read.
 */
typedef bool lh_heap_use_reader(const struct lh_process *process, struct lh_heap_use *ret);

/*
 * Gives each mapping of private memory the kind of its main owner, if that owns more than half of what is mapped there.
 * Other mappings keep their kind.
 */
void lh_regions_take_owners(struct lh_region_list *list, const struct lh_owners *owners);

/* Sorts, merges, and makes disjoint: if two ranges claim the same bytes, the one pushed first keeps them. */
struct lh_error *lh_owners_settle(struct lh_owners *owners) LH_NODISCARD;

#endif

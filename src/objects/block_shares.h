/*
 * block_shares: which objects the bytes of a block count for, each byte once. The one rule for `strings`, `heap` and
 * `leaks`: an object in the head of a block is what the block is, and has all its bytes; behind their own header,
 * allocators of programs put it there. Objects further behind divide their block, which a program's pool has. Private
 * to src/objects.
 */
#ifndef LEAKHUNT_OBJECTS_BLOCK_SHARES_H
#define LEAKHUNT_OBJECTS_BLOCK_SHARES_H

#include "family.h"

/* The bytes of a block that an object of that type has; at most what the type is known to need. */
struct lh_block_share {
	uint32_t type; /* the caller's number */
	uint32_t bytes;
};

struct lh_block_shares {
	struct lh_image *image;
	const struct lh_heap *heap; /* NULL: no block is known */
	uint64_t *counted;          /* a bit for each block whose bytes an object has */
	LH_VEC(struct lh_block_share) items;
	size_t block;  /* that is being divided */
	uint64_t addr; /* the latest object in it */
	uint64_t end;  /* of what was written there */
};

/* `image` and `heap` must outlive it. */
struct lh_error *lh_block_shares_init(struct lh_image *image, const struct lh_heap *heap,
				      struct lh_block_shares *ret) LH_NODISCARD;
void lh_block_shares_deinit(struct lh_block_shares *shares);

/* Whether an object at `addr` is what the block is that begins at `block_addr`. */
bool lh_block_begins_with(uint64_t block_addr, uint64_t addr);
/* The size of the chunk that the object at `addr` begins, perhaps behind a header of the program's; 0 if none. */
uint64_t lh_block_bytes_of(const struct lh_object_view *view, uint64_t addr);
/* Counts the block with that index for an object: false if another one has its bytes. */
bool lh_block_shares_take(struct lh_block_shares *shares, size_t block);
/*
 * An object behind the head of a block; objects of one block come in ascending order. The first one has the bytes
 * before it, too, each the bytes up to the next one, the last one those up to the end, without pages of zeros. Blocks
 * that have been taken, or whose objects a runtime knows, are not divided.
 */
struct lh_error *lh_block_shares_divide(struct lh_block_shares *shares, size_t block, uint64_t addr,
					uint32_t type) LH_NODISCARD;

#endif

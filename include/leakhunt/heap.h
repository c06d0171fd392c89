/*
 * heap: allocators, found in memory by their own structures. Input: a live process or an image. Output: which ranges
 * each allocator owns. It stops nobody, and reads only pages that are present.
 */
#ifndef LEAKHUNT_HEAP_H
#define LEAKHUNT_HEAP_H

#include "leakhunt/image.h"
#include "leakhunt/owner.h"

/* An lh_owner_finder: all allocators that leakhunt knows. */
struct lh_error *lh_heap_find_owners(const struct lh_process *process, const struct lh_region_list *list,
				     struct lh_owners *ret) LH_NODISCARD;

/* The same in any image. What it does not hold cannot be found: a dump of stacks has no heap. */
struct lh_error *lh_heap_find_owners_in_image(const struct lh_image *image, struct lh_owners *ret) LH_NODISCARD;

#endif

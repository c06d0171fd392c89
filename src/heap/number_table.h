/*
 * number_table: a number for each address that was met: what a walker knows of a class, which many objects name.
 * Private to heap.
 */
#ifndef LEAKHUNT_HEAP_NUMBER_TABLE_H
#define LEAKHUNT_HEAP_NUMBER_TABLE_H

#include "leakhunt/base.h"

struct lh_number_slot {
	uint64_t key; /* 0: free */
	uint32_t number;
};

/* Zero-initialized is empty. */
struct lh_number_table {
	struct lh_number_slot *slots;
	size_t slot_count; /* a power of two, or 0 */
	size_t used;
};

void lh_number_table_deinit(struct lh_number_table *table);
/* False when `key`, which is not 0, has no number yet. */
bool lh_number_table_get(const struct lh_number_table *table, uint64_t key, uint32_t *ret);
/* `key` must have none. */
struct lh_error *lh_number_table_add(struct lh_number_table *table, uint64_t key, uint32_t number) LH_NODISCARD;

#endif

/*
 * hash_table: maps 64-bit keys to 32-bit numbers, such as addresses to positions in a vector. Open addressing with
 * linear probing, at most half full, Fibonacci hashing (Knuth, TAOCP volume 3, 6.4).
 *
 * Keys are exact. If keys are hashes, which can be equal, items try lh_hash_table_next_key in turn:
 *
 * 	for (key = hash; lh_hash_table_find(&table, key, &number); key = lh_hash_table_next_key(key))
 * 		if (items[number] is the wanted one)
 * 			return number;
 * 	lh_hash_table_put(&table, key, new_number);
 */
#ifndef LEAKHUNT_HASH_TABLE_H
#define LEAKHUNT_HASH_TABLE_H

#include "leakhunt/base.h"

struct lh_hash_slot {
	uint64_t key;
	uint32_t number;
	uint32_t is_used;
};

/* Zero-initialized is empty. Owns `slots`. Only hash_table.c writes the members. */
struct lh_hash_table {
	struct lh_hash_slot *slots;
	size_t slot_count; /* a power of two, or 0 */
	size_t count;      /* keys; at most slot_count / 2 */
	unsigned shift;    /* 64 - log2(slot_count) */
};

void lh_hash_table_deinit(struct lh_hash_table *table);

/* Makes room for `count` keys in total, so that putting them neither fails nor moves slots. */
struct lh_error *lh_hash_table_reserve(struct lh_hash_table *table, size_t count) LH_NODISCARD;

/* Sets the number of a key, replacing an earlier one. LH_ERROR_NO_MEMORY leaves the table unchanged. */
struct lh_error *lh_hash_table_put(struct lh_hash_table *table, uint64_t key, uint32_t number) LH_NODISCARD;

/* Removes all keys, and keeps the memory. */
void lh_hash_table_clear(struct lh_hash_table *table);

/* The slot of the key, or the free slot where it belongs. The table must have slots. */
static inline struct lh_hash_slot *lh_hash_table_slot(const struct lh_hash_table *table, uint64_t key)
{
	size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> table->shift);
	while (table->slots[at].is_used && table->slots[at].key != key)
		at = (at + 1) & (table->slot_count - 1);
	return &table->slots[at];
}

/* False, with *ret untouched, if the key is not in the table. */
static inline bool lh_hash_table_find(const struct lh_hash_table *table, uint64_t key, uint32_t *ret)
{
	if (!table->count)
		return false;
	const struct lh_hash_slot *slot = lh_hash_table_slot(table, key);
	if (slot->is_used)
		*ret = slot->number;
	return slot->is_used;
}

/* The key to try after `key` if another item has that one. Every key comes once before the first returns. */
static inline uint64_t lh_hash_table_next_key(uint64_t key)
{
	return key * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

#endif

/*
 * hash_table: what grows and empties a table of numbers by keys. Looking up is inline in the header.
 */
#include "leakhunt/hash_table.h"

#include <stdlib.h>

enum { FIRST_SLOTS_LOG2 = 6 };

void lh_hash_table_deinit(struct lh_hash_table *table)
{
	free(table->slots);
	*table = (struct lh_hash_table){0};
}

static struct lh_error *rehash_table(struct lh_hash_table *table, unsigned slots_log2)
{
	struct lh_hash_table larger = {
		.slot_count = (size_t)1 << slots_log2,
		.count = table->count,
		.shift = 64 - slots_log2,
	};
	larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
	if (!larger.slots)
		return lh_error_no_memory();
	for (size_t i = 0; i < table->slot_count; i++) {
		if (table->slots[i].is_used)
			*lh_hash_table_slot(&larger, table->slots[i].key) = table->slots[i];
	}
	free(table->slots);
	*table = larger;
	return NULL;
}

struct lh_error *lh_hash_table_reserve(struct lh_hash_table *table, size_t count)
{
	unsigned slots_log2 = table->slot_count ? 64 - table->shift : FIRST_SLOTS_LOG2;
	if (count > UINT32_MAX)
		return lh_error_no_memory();
	while ((size_t)1 << slots_log2 < count * 2)
		slots_log2++;
	return table->slot_count == (size_t)1 << slots_log2 ? NULL : rehash_table(table, slots_log2);
}

struct lh_error *lh_hash_table_put(struct lh_hash_table *table, uint64_t key, uint32_t number)
{
	LH_TRY(lh_hash_table_reserve(table, table->count + 1));
	struct lh_hash_slot *slot = lh_hash_table_slot(table, key);
	table->count += !slot->is_used;
	*slot = (struct lh_hash_slot){key, number, true};
	return NULL;
}

void lh_hash_table_clear(struct lh_hash_table *table)
{
	if (table->count)
		memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
	table->count = 0;
}

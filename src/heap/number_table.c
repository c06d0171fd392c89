/*
 * number_table: a hash table from addresses to small numbers. Input: keys in any order. Output: their numbers.
 */
#include "number_table.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 1024 };

void lh_number_table_deinit(struct lh_number_table *table)
{
	free(table->slots);
	*table = (struct lh_number_table){0};
}

/* The key's slot, or the free one where it belongs. */
static struct lh_number_slot *find_number_slot(const struct lh_number_table *table, uint64_t key)
{
	size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (table->slot_count - 1);
	while (table->slots[at].key && table->slots[at].key != key)
		at = (at + 1) & (table->slot_count - 1);
	return &table->slots[at];
}

bool lh_number_table_get(const struct lh_number_table *table, uint64_t key, uint32_t *ret)
{
	if (!table->slot_count)
		return false;
	const struct lh_number_slot *slot = find_number_slot(table, key);
	*ret = slot->number;
	return slot->key;
}

static struct lh_error *grow_number_table(struct lh_number_table *table)
{
	struct lh_number_table larger = {.slot_count = table->slot_count ? table->slot_count * 2 : FIRST_SLOTS};
	larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
	if (!larger.slots)
		return lh_error_no_memory();
	for (size_t i = 0; i < table->slot_count; i++) {
		if (table->slots[i].key)
			*find_number_slot(&larger, table->slots[i].key) = table->slots[i];
	}
	larger.used = table->used;
	free(table->slots);
	*table = larger;
	return NULL;
}

struct lh_error *lh_number_table_add(struct lh_number_table *table, uint64_t key, uint32_t number)
{
	if ((table->used + 1) * 2 > table->slot_count)
		LH_TRY(grow_number_table(table));
	*find_number_slot(table, key) = (struct lh_number_slot){key, number};
	table->used++;
	return NULL;
}

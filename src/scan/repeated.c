/*
 * repeated: a hash table of strings, as they come from the run finder, to their counts.
 *
 * `entries` are in the order of their first sight, and so are their texts in `texts`; `slots` finds
 * them by hash (open addressing, at most half full). Equal hash (XXH3, 64 bits) and length are taken
 * for equal strings: a collision of hostile bytes can mix two counts up, nothing else.
 *
 * sum of entries' counts + uncounted_runs == runs added
 */
#include "repeated.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct entry {
	uint64_t hash;
	uint64_t count;
	uint64_t addr; /* of the first one seen */
	uint64_t length;
	uint32_t text_at;
	uint8_t text_length;
	uint8_t width;
	bool is_secret;
};

struct lh_repeated_table {
	struct lh_repeated_limits limits;
	struct entry *entries;
	uint32_t entry_count;
	char *texts;
	uint32_t text_bytes;
	uint32_t *slots; /* index of an entry + 1, or 0 */
	uint32_t slot_mask;
	uint64_t uncounted_runs;
	uint64_t dropped_strings;
};

_Static_assert(LH_EXAMPLE_MAX - 1 <= UINT8_MAX, "text_length holds a kept text's length");

struct lh_error *lh_repeated_table_create(struct lh_repeated_limits limits, struct lh_repeated_table **ret)
{
	struct lh_repeated_table *table = calloc(1, sizeof(*table));
	if (!table)
		return lh_error_no_memory();
	uint32_t slot_count = 2;
	while (slot_count < 2 * limits.strings)
		slot_count *= 2;
	table->limits = limits;
	table->slot_mask = slot_count - 1;
	table->entries = malloc(limits.strings * sizeof(*table->entries));
	table->texts = malloc(limits.text_bytes);
	table->slots = calloc(slot_count, sizeof(*table->slots));
	if (!table->entries || !table->texts || !table->slots) {
		lh_repeated_table_destroy(table);
		return lh_error_no_memory();
	}
	*ret = table;
	return NULL;
}

void lh_repeated_table_destroy(struct lh_repeated_table *table)
{
	if (!table)
		return;
	free(table->entries);
	free(table->texts);
	free(table->slots);
	free(table);
}

/* The slot that holds the string, or the empty one where it belongs. */
static uint32_t *find_slot(const struct lh_repeated_table *table, uint64_t hash, uint64_t length)
{
	for (uint32_t at = (uint32_t)hash & table->slot_mask;; at = (at + 1) & table->slot_mask) {
		uint32_t *slot = &table->slots[at];
		if (!*slot)
			return slot;
		const struct entry *entry = &table->entries[*slot - 1];
		if (entry->hash == hash && entry->length == length)
			return slot;
	}
}

/* ---------------------------------------------------------------- making room */

/* log2 of the bytes that repetition accounts for; 0 for a string seen once. */
static unsigned repetition_class(const struct entry *entry)
{
	uint64_t repeated_bytes;
	if (!lh_mul_u64(entry->count - 1, entry->length, &repeated_bytes))
		return 64;
	return repeated_bytes ? 64 - (unsigned)__builtin_clzll(repeated_bytes) : 0;
}

/* The class up to which at least half of the entries fall. */
static unsigned dropping_class(const struct lh_repeated_table *table)
{
	uint32_t histogram[65] = {0};
	for (uint32_t i = 0; i < table->entry_count; i++)
		histogram[repetition_class(&table->entries[i])]++;
	uint32_t below = 0;
	for (unsigned class = 0; class < 64; class ++) {
		below += histogram[class];
		if (below >= table->entry_count - below)
			return class;
	}
	return 64;
}

static void keep_entry(struct lh_repeated_table *table, struct entry entry)
{
	memmove(table->texts + table->text_bytes, table->texts + entry.text_at, entry.text_length);
	entry.text_at = table->text_bytes;
	table->text_bytes += entry.text_length;
	table->entries[table->entry_count++] = entry;
	*find_slot(table, entry.hash, entry.length) = table->entry_count;
}

/* Drops at least half of the entries: the ones whose repetition makes up the fewest bytes. */
static void drop_least_repeated(struct lh_repeated_table *table)
{
	unsigned most_class = dropping_class(table);
	uint32_t count = table->entry_count;
	table->entry_count = 0;
	table->text_bytes = 0;
	memset(table->slots, 0, ((size_t)table->slot_mask + 1) * sizeof(*table->slots));
	for (uint32_t i = 0; i < count; i++) {
		struct entry entry = table->entries[i];
		if (repetition_class(&entry) > most_class) {
			keep_entry(table, entry);
		} else {
			table->uncounted_runs += entry.count;
			table->dropped_strings++;
		}
	}
}

/* ---------------------------------------------------------------- adding */

static uint8_t keep_text(struct lh_repeated_table *table, const struct lh_run *run, size_t width)
{
	size_t length = lh_min_u64(run->chars, LH_EXAMPLE_MAX - 1);
	char *text = table->texts + table->text_bytes;
	if (width == 1) {
		memcpy(text, run->bytes, length);
	} else {
		/* A printable character of 2 or 4 bytes has one that is not zero, first or last. */
		size_t low_at = run->bytes[0] ? 0 : width - 1;
		for (size_t i = 0; i < length; i++)
			text[i] = (char)run->bytes[i * width + low_at];
	}
	table->text_bytes += (uint32_t)length;
	return (uint8_t)length;
}

static void insert(struct lh_repeated_table *table, uint32_t *slot, uint64_t hash, const struct lh_run *run,
		   size_t width, bool is_secret)
{
	while (table->entry_count == table->limits.strings ||
	       table->limits.text_bytes - table->text_bytes < LH_EXAMPLE_MAX) {
		drop_least_repeated(table);
		slot = find_slot(table, hash, run->bytes_length);
	}
	struct entry *entry = &table->entries[table->entry_count++];
	*entry = (struct entry){
		.hash = hash,
		.count = 1,
		.addr = run->addr,
		.length = run->bytes_length,
		.text_at = table->text_bytes,
		.width = (uint8_t)width,
		.is_secret = is_secret,
	};
	entry->text_length = keep_text(table, run, width);
	*slot = table->entry_count;
}

void lh_repeated_table_add(struct lh_repeated_table *table, const struct lh_run *run, size_t width, bool is_secret)
{
	uint64_t hash = XXH3_64bits(run->bytes, run->bytes_length);
	uint32_t *slot = find_slot(table, hash, run->bytes_length);
	if (!*slot) {
		insert(table, slot, hash, run, width, is_secret);
		return;
	}
	struct entry *entry = &table->entries[*slot - 1];
	entry->count++;
	entry->is_secret |= is_secret;
}

/* ---------------------------------------------------------------- ranking */

static uint64_t entry_bytes(const struct entry *entry)
{
	return entry->count * entry->length; /* at most the bytes scanned */
}

/* Repeated ones first, by bytes; equal ones by address, so that the order is always the same. */
static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if ((x->count > 1) != (y->count > 1))
		return x->count > 1 ? -1 : 1;
	if (entry_bytes(x) != entry_bytes(y))
		return entry_bytes(x) > entry_bytes(y) ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static struct lh_error *push_repeated(const struct lh_repeated_table *table, const struct entry *entry,
				      struct lh_summary *ret)
{
	LH_TRY(lh_vec_reserve(&ret->repeated, 1));
	char *text = strndup(table->texts + entry->text_at, entry->is_secret ? 0 : entry->text_length);
	if (!text)
		return lh_error_no_memory();
	ret->repeated.items[ret->repeated.count++] = (struct lh_repeated){
		.text = text,
		.chars = entry->length / entry->width,
		.count = entry->count,
		.bytes = entry_bytes(entry),
		.example_addr = entry->addr,
		.is_secret = entry->is_secret,
	};
	return NULL;
}

struct lh_error *lh_repeated_table_finish(struct lh_repeated_table *table, size_t top, struct lh_summary *ret)
{
	ret->uncounted_runs = table->uncounted_runs;
	ret->distinct_count = table->entry_count + table->dropped_strings;
	qsort(table->entries, table->entry_count, sizeof(*table->entries), compare_entries);
	for (uint32_t i = 0; i < table->entry_count && i < top && table->entries[i].count > 1; i++)
		LH_TRY(push_repeated(table, &table->entries[i], ret));
	return NULL;
}

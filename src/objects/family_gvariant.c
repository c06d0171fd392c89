/*
 * family_gvariant: instances of GLib's GVariant, by their type. Input: words that point into the library's table of
 * basic types; its other types, found by the hash table that a variable of the library points to.
 *
 * GLib 2.40 to 2.84, glib/gvarianttypeinfo.c: GVariantTypeInfo is {gsize fixed_size; guchar alignment,
 * container_class}, g_variant_type_info_basic_table has one for each letter from 'b' to 'y'. ContainerInfo is {info;
 * gchar *type_string@16; gint ref_count@24}, of class 'a' (arrays) or 'r' (tuples); g_variant_type_info_table has them
 * by type_string. glib/ghash.c: GHashTable is {size; mod@8; guint mask@12; gint nnodes@16 ...; keys@32; uint32_t
 * *hashes@40; values@48}. glib/gvariant-core.c: struct _GVariant is {type_info; gsize size@8; {GBytes *bytes; data} or
 * {GVariant
 * **children; gsize n_children}@16; [two offsets, since 2.74.4;] gint state; ref_count; gsize depth}.
 *
 * Self-check: state, references and what holds the value agree.
 */
#include "families.h"

#include <stdio.h>

enum { INFO_BYTES = 16, LETTERS = 24, DETAIL_MAX = 40 };

struct basic_type {
	uint8_t fixed_size;
	uint8_t alignment;
};

/* From 'b' to 'y'; letters that are no types, and types without a fixed size, have zeros. */
static const struct basic_type basic_types[LETTERS] = {
	['b' - 'b'] = {1, 0}, ['d' - 'b'] = {8, 7}, ['h' - 'b'] = {4, 3}, ['i' - 'b'] = {4, 3},
	['n' - 'b'] = {2, 1}, ['q' - 'b'] = {2, 1}, ['t' - 'b'] = {8, 7}, ['u' - 'b'] = {4, 3},
	['v' - 'b'] = {0, 7}, ['x' - 'b'] = {8, 7}, ['y' - 'b'] = {1, 0},
};

/* ---------------------------------------------------------------- types */

static bool is_basic_type(struct lh_symbols *symbols, uint64_t addr, size_t letter)
{
	uint64_t fixed_size, rest;
	return lh_symbols_read_number(symbols, addr, &fixed_size) && fixed_size == basic_types[letter].fixed_size &&
	       lh_symbols_read_number(symbols, addr + 8, &rest) && (uint16_t)rest == basic_types[letter].alignment;
}

static bool is_basic_table(struct lh_symbols *symbols, uint64_t table)
{
	for (size_t i = 0; i < LETTERS; i++) {
		if (!is_basic_type(symbols, table + i * INFO_BYTES, i))
			return false;
	}
	return true;
}

static bool is_basic_info(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	static const char *const names[LETTERS] = {"b", "",  "d", "",  "", "g", "h", "i", "",  "", "",  "",
						   "n", "o", "",  "q", "", "s", "t", "u", "v", "", "x", "y"};
	for (size_t i = 0; i < LETTERS; i++) {
		if (*names[i] && is_basic_type(symbols, ret->addr, i) &&
		    is_basic_table(symbols, ret->addr - i * INFO_BYTES)) {
			ret->name = names[i];
			return true;
		}
	}
	return false;
}

struct type_table {
	const struct lh_family_setup *setup;
	bool is_found;
};

static bool read_words(const struct type_table *table, uint64_t addr, uint64_t *ret, size_t count)
{
	return lh_object_is_pointer(addr) && lh_image_read(table->setup->image, addr, ret, 8 * count) == 8 * count;
}

/* NULL when what lies there is no type of a container whose name lies at `text`. */
static const char *container_name(const struct type_table *table, uint64_t info, uint64_t text)
{
	enum { CLASS = 8, NAME_MAX_BYTES = 200, INFO_WORDS = 3 };
	uint64_t words[INFO_WORDS];
	if (!read_words(table, info, words, INFO_WORDS) || words[2] != text)
		return NULL;
	uint8_t class = (uint8_t)(words[1] >> CLASS);
	return class == 'a' || class == 'r' ? lh_symbols_read_name(table->setup->symbols, text, NAME_MAX_BYTES) : NULL;
}

struct hash_slots {
	uint64_t keys, hashes, values, count;
};

static bool read_hash_table(const struct type_table *table, uint64_t addr, struct hash_slots *ret)
{
	enum { MASK = 1, NODES = 2, KEYS = 4, HASHES = 5, VALUES = 6, WORDS = 7, SLOTS_MAX = 1 << 16 };
	uint64_t words[WORDS];
	if (!read_words(table, addr, words, WORDS))
		return false;
	*ret = (struct hash_slots){words[KEYS], words[HASHES], words[VALUES], (words[MASK] >> 32) + 1};
	uint32_t nodes = (uint32_t)words[NODES];
	return ret->count <= SLOTS_MAX && !(ret->count & (ret->count - 1)) && nodes && nodes <= ret->count &&
	       lh_object_is_pointer(ret->keys) && lh_object_is_pointer(ret->hashes) &&
	       lh_object_is_pointer(ret->values);
}

/* Slots that are not in use hold what was there before; 0 is an unused hash, 1 that of a removed one. */
static bool is_slot_used(const struct type_table *table, const struct hash_slots *slots, uint64_t index)
{
	uint32_t hash;
	return lh_image_read(table->setup->image, slots->hashes + 4 * index, &hash, 4) == 4 && hash > 1;
}

/* All values are types that the keys name, or it is another table. */
static struct lh_error *add_containers(struct type_table *table, const struct hash_slots *slots)
{
	for (uint64_t i = 0; i < slots->count; i++) {
		uint64_t key, info;
		if (!is_slot_used(table, slots, i))
			continue;
		if (!read_words(table, slots->keys + 8 * i, &key, 1) ||
		    !read_words(table, slots->values + 8 * i, &info, 1))
			return NULL;
		struct lh_family_target target = {.addr = info, .name = container_name(table, info, key)};
		if (!target.name)
			return NULL;
		table->is_found = true;
		LH_TRY(lh_family_add_target(table->setup, &target));
	}
	return NULL;
}

static struct lh_error *find_type_table(void *context, const struct lh_module_data *data)
{
	struct type_table *table = context;
	for (size_t i = 0; i < data->count && !table->is_found; i++) {
		struct hash_slots slots;
		if (lh_object_is_pointer(data->words[i]) && read_hash_table(table, data->words[i], &slots))
			LH_TRY(add_containers(table, &slots));
	}
	return NULL;
}

/* Only where something points to a basic type. */
static struct lh_error *prepare_containers(const struct lh_family_setup *setup)
{
	struct type_table table = {.setup = setup};
	for (size_t i = 0; i < setup->census->rows.count && i < LH_FAMILY_CENSUS_MAX; i++) {
		struct lh_family_target target = {.addr = setup->census->rows.items[i].target_addr};
		if (target.addr % 8 == 0 && is_basic_info(setup->symbols, &target))
			return lh_family_visit_module_data(setup, find_type_table, &table);
	}
	return NULL;
}

/* ---------------------------------------------------------------- instances */

enum { SIZE = 1, HOLDER = 2, CONTENT = 3, STATE_OLD = 4, STATE = 6, VARIANT_WORDS = 8, OWN_BLOCK_MAX = 256 };

/* {state, references; depth} at that word. */
static bool is_variant(const uint64_t *words, size_t state_word)
{
	enum { SERIALIZED = 2, STATE_MAX = 15, REFERENCES_MAX = 1 << 28, DEPTH_MAX = 1024, CHILDREN_MAX = 1 << 28 };
	uint64_t state = (uint32_t)words[state_word], references = words[state_word] >> 32;
	if (state > STATE_MAX || !references || references > REFERENCES_MAX || words[state_word + 1] > DEPTH_MAX)
		return false;
	if (!(state & SERIALIZED))
		return words[CONTENT] <= CHILDREN_MAX && lh_object_is_pointer_or_null(words[HOLDER]) &&
		       !words[CONTENT] == !words[HOLDER];
	return words[SIZE] <= LH_GIB && lh_object_is_pointer_or_null(words[HOLDER]) &&
	       (words[CONTENT] >= LH_PAGE_BYTES || !words[SIZE]) && (words[HOLDER] || words[CONTENT]);
}

static struct lh_error *take_variant(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t words[VARIANT_WORDS];
	if (lh_image_read(view->image, view->hit->addr, words, sizeof(words)) != sizeof(words) ||
	    (!is_variant(words, STATE) && !is_variant(words, STATE_OLD)))
		return NULL;
	struct lh_object_claim claim = {.name = "GVariant", .addr = view->hit->addr, .bytes = sizeof(words)};
	/* Small values lie behind an instance since 2.84; before 2.76 GLib cut larger blocks into instances. */
	if (view->has_chunk && view->chunk.memory_addr == claim.addr && view->chunk.size_bytes <= OWN_BLOCK_MAX)
		claim.bytes = view->chunk.size_bytes;
	claim.is_freed = view->has_chunk && !view->chunk.is_used;
	snprintf(claim.detail, sizeof(claim.detail), "%.*s", DETAIL_MAX, view->target->name);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_gvariant = {
	.kind = "GLib",
	.is_table = is_basic_info,
	.prepare = prepare_containers,
	.take = take_variant,
};

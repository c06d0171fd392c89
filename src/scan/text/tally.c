/*
 * tally: a hash table with open addressing, at most half full, whose rows lie in the order of their first
 * sight, and so do the copies of their texts. Not lh_hash_table, whose slots have 16 bytes: a tally of 512 Ki texts has
 * 1 Mi slots for each thread, 4 MiB instead of 16.
 *
 * Pruning drops the rows whose repetition makes up the fewest bytes, at least half of all. A thing that was
 * dropped each time had each time at most the bytes of the largest row dropped: their sum bounds what it
 * has lost. Rows that were there before the first pruning are exact.
 */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

/* A printable character of 2 or 4 bytes has one that is not zero, first or last. */
size_t lh_narrow_text(const uint8_t *text, size_t chars, size_t width, char *ret)
{
	size_t length = lh_min_u64(chars, LH_EXAMPLE_MAX - 1);
	/* A cut does not go through a character of UTF-8. */
	for (unsigned i = 0; i < 3 && width == 1 && length && length < chars && (text[length] & 0xc0) == 0x80; i++)
		length--;
	const uint8_t *low = width == 1 || text[0] ? text : text + width - 1;
	if (width == 1)
		memcpy(ret, text, length);
	for (size_t i = 0; width > 1 && i < length; i++)
		ret[i] = (char)low[i * width];
	return length;
}

struct lh_error *lh_tally_create(struct lh_tally_limits limits, struct lh_tally **ret)
{
	struct lh_tally *tally = calloc(1, sizeof(*tally));
	if (!tally)
		return lh_error_no_memory();
	uint32_t slot_count = 2;
	while (slot_count < 2 * limits.rows)
		slot_count *= 2;
	tally->limits = limits;
	tally->slot_mask = slot_count - 1;
	tally->rows = malloc(limits.rows * sizeof(*tally->rows));
	tally->texts = malloc(lh_max_u64(limits.text_bytes, 1));
	tally->payloads = malloc(lh_max_u64((size_t)limits.rows * limits.payload_bytes, 1));
	tally->slots = calloc(slot_count, sizeof(*tally->slots));
	if (!tally->rows || !tally->texts || !tally->payloads || !tally->slots) {
		lh_tally_destroy(tally);
		return lh_error_no_memory();
	}
	*ret = tally;
	return NULL;
}

void lh_tally_destroy(struct lh_tally *tally)
{
	if (!tally)
		return;
	free(tally->rows);
	free(tally->texts);
	free(tally->payloads);
	free(tally->slots);
	free(tally);
}

/* Few rows in a large table: only their slots are cleared. */
void lh_tally_clear(struct lh_tally *tally)
{
	if (tally->row_count > tally->slot_mask / 16)
		memset(tally->slots, 0, ((size_t)tally->slot_mask + 1) * sizeof(*tally->slots));
	for (uint32_t i = 0; i < tally->row_count && tally->row_count <= tally->slot_mask / 16; i++) {
		uint32_t at = (uint32_t)tally->rows[i].hash & tally->slot_mask;
		for (; tally->slots[at]; at = (at + 1) & tally->slot_mask)
			tally->slots[at] = 0;
	}
	tally->row_count = tally->text_bytes = 0;
	tally->dropped_rows = tally->dropped_count = tally->missed_bytes = 0;
}

void *lh_tally_payload(const struct lh_tally *tally, const struct lh_tally_row *row)
{
	return tally->payloads + (size_t)(row - tally->rows) * tally->limits.payload_bytes;
}

/* The slot of the row, or the empty one where it belongs. */
static uint32_t *find_tally_slot(const struct lh_tally *tally, uint64_t hash, uint64_t length)
{
	for (uint32_t at = (uint32_t)hash & tally->slot_mask;; at = (at + 1) & tally->slot_mask) {
		uint32_t *slot = &tally->slots[at];
		if (!*slot)
			return slot;
		const struct lh_tally_row *row = &tally->rows[*slot - 1];
		if (row->hash == hash && row->length == length)
			return slot;
	}
}

/* ---------------------------------------------------------------- pruning */

/* log2 of the bytes that repetition accounts for; 0 for what was seen once. */
static unsigned repetition_class(const struct lh_tally_row *row)
{
	uint64_t repeated_bytes = row->bytes - row->bytes / row->count;
	return row->count > 1 && repeated_bytes ? 64 - (unsigned)__builtin_clzll(repeated_bytes) : 0;
}

/* The class up to which at least half of the rows fall. */
static unsigned dropping_class(const struct lh_tally *tally)
{
	uint32_t histogram[65] = {0};
	for (uint32_t i = 0; i < tally->row_count; i++)
		histogram[repetition_class(&tally->rows[i])]++;
	uint32_t below = 0;
	for (unsigned class = 0; class < 64; class ++) {
		below += histogram[class];
		if (below >= tally->row_count - below)
			return class;
	}
	return 64;
}

static void keep_row(struct lh_tally *tally, uint32_t from)
{
	uint32_t to = tally->row_count++;
	struct lh_tally_row row = tally->rows[from];
	if (tally->limits.text_bytes) {
		memmove(tally->texts + tally->text_bytes, row.text, row.text_length);
		row.text = (const uint8_t *)tally->texts + tally->text_bytes;
		tally->text_bytes += row.text_length;
	}
	tally->rows[to] = row;
	size_t payload_bytes = tally->limits.payload_bytes;
	memmove(tally->payloads + to * payload_bytes, tally->payloads + from * payload_bytes, payload_bytes);
	*find_tally_slot(tally, row.hash, row.length) = to + 1;
}

static void prune_texts(struct lh_tally *tally)
{
	unsigned most_class = dropping_class(tally);
	uint32_t count = tally->row_count;
	uint64_t largest_bytes = 0;
	tally->row_count = tally->text_bytes = 0;
	memset(tally->slots, 0, ((size_t)tally->slot_mask + 1) * sizeof(*tally->slots));
	for (uint32_t i = 0; i < count; i++) {
		const struct lh_tally_row *row = &tally->rows[i];
		if (repetition_class(row) > most_class) {
			keep_row(tally, i);
			continue;
		}
		largest_bytes = lh_max_u64(largest_bytes, row->bytes);
		tally->dropped_count += row->count;
		tally->dropped_rows++;
	}
	tally->missed_bytes += largest_bytes;
}

/* ---------------------------------------------------------------- adding */

static bool is_full(const struct lh_tally *tally)
{
	const struct lh_tally_limits *limits = &tally->limits;
	return tally->row_count == limits->rows ||
	       (limits->text_bytes && limits->text_bytes - tally->text_bytes < LH_EXAMPLE_MAX);
}

static struct lh_tally_row *insert_text(struct lh_tally *tally, uint32_t *slot, const struct lh_tally_row *item)
{
	if (is_full(tally)) {
		prune_texts(tally);
		slot = find_tally_slot(tally, item->hash, item->length);
	}
	struct lh_tally_row *row = &tally->rows[tally->row_count++];
	*slot = tally->row_count;
	*row = *item;
	row->missed_bytes = tally->missed_bytes;
	memset(lh_tally_payload(tally, row), 0, tally->limits.payload_bytes);
	if (!tally->limits.text_bytes)
		return row;
	char *copy = tally->texts + tally->text_bytes;
	row->text_length = (uint32_t)lh_narrow_text(item->text, item->text_length, item->width, copy);
	row->text = (const uint8_t *)copy;
	row->width = 1;
	tally->text_bytes += row->text_length;
	return row;
}

struct lh_tally_row *lh_tally_add(struct lh_tally *tally, const struct lh_tally_row *item)
{
	uint32_t *slot = find_tally_slot(tally, item->hash, item->length);
	if (!*slot)
		return insert_text(tally, slot, item);
	struct lh_tally_row *row = &tally->rows[*slot - 1];
	row->count += item->count;
	row->bytes += item->bytes;
	row->is_secret |= item->is_secret;
	return row;
}

/* Any row can have been dropped from the part. */
void lh_tally_add_losses(struct lh_tally *tally, const struct lh_tally *part)
{
	tally->dropped_rows += part->dropped_rows;
	tally->dropped_count += part->dropped_count;
	tally->missed_bytes += part->missed_bytes;
	for (uint32_t i = 0; part->missed_bytes && i < tally->row_count; i++)
		tally->rows[i].missed_bytes += part->missed_bytes;
}

/* ---------------------------------------------------------------- ranking */

static int compare_tally_rows(const void *a, const void *b)
{
	const struct lh_tally_row *x = *(const struct lh_tally_row *const *)a;
	const struct lh_tally_row *y = *(const struct lh_tally_row *const *)b;
	if ((x->count > 1) != (y->count > 1))
		return x->count > 1 ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

struct lh_error *lh_tally_rank(const struct lh_tally *tally, size_t top, uint64_t count_min,
			       const struct lh_tally_row ***ret, size_t *ret_count)
{
	const struct lh_tally_row **rows = malloc((tally->row_count + (size_t)1) * sizeof(*rows));
	if (!rows)
		return lh_error_no_memory();
	size_t count = 0;
	for (uint32_t i = 0; i < tally->row_count; i++) {
		if (tally->rows[i].count >= count_min)
			rows[count++] = &tally->rows[i];
	}
	qsort(rows, count, sizeof(const struct lh_tally_row *), compare_tally_rows);
	*ret = rows;
	*ret_count = lh_min_u64(count, top);
	return NULL;
}

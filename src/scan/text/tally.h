/*
 * tally: counts things by hash in bounded memory. Exact while the different things fit; then those that
 * repeat least are dropped, and it is known how much any of the others can have lost by that: a
 * Misra-Gries summary (Misra and Gries, "Finding repeated elements", 1982) pruned in bulk (Anderson et
 * al., "A High-Performance Algorithm for Identifying Frequent Items in Data Streams", 2017), which keeps
 * true counts instead of lowering them, and measures its error. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_TALLY_H
#define LEAKHUNT_SCAN_TALLY_H

#include "leakhunt/scan.h"

struct lh_tally_limits {
	uint32_t rows;          /* >= 2 */
	uint32_t text_bytes;    /* for copies of texts, >= LH_EXAMPLE_MAX; 0: texts are borrowed */
	uint32_t payload_bytes; /* what the caller keeps with each row */
};

/* Equal hash (64 bits) and length are taken for equal things: a collision mixes two counts up, nothing else. */
struct lh_tally_row {
	uint64_t hash;
	uint64_t length; /* of one of them, in bytes; 0 where they differ */
	uint64_t chars;  /* the same, in characters */
	uint64_t count;
	uint64_t bytes;
	uint64_t addr;         /* of the first one */
	uint64_t missed_bytes; /* upper bound of bytes dropped before the text was kept for good */
	const uint8_t *text;   /* of the first one: copied up to LH_EXAMPLE_MAX - 1 bytes, or borrowed */
	uint32_t text_length;  /* in characters of `width` bytes */
	uint8_t width;         /* of a borrowed text; copies have the low byte of each character */
	bool is_secret;
};

struct lh_tally {
	struct lh_tally_limits limits;
	struct lh_tally_row *rows; /* in the order of their first sight */
	uint32_t row_count;
	uint8_t *payloads;
	char *texts;
	uint32_t text_bytes;
	uint32_t *slots; /* index of a row + 1, or 0 */
	uint32_t slot_mask;
	uint64_t dropped_rows;
	uint64_t dropped_count; /* sum of rows' counts + dropped_count == what was added */
	uint64_t missed_bytes;  /* what a thing that has no row can have lost */
};

/* Copies up to LH_EXAMPLE_MAX - 1 characters, of wide ones the low bytes; returns how many. */
size_t lh_narrow_text(const uint8_t *text, size_t chars, size_t width, char *ret);

struct lh_error *lh_tally_create(struct lh_tally_limits limits, struct lh_tally **ret) LH_NODISCARD;
void lh_tally_destroy(struct lh_tally *tally);
/* Forgets all rows and losses. */
void lh_tally_clear(struct lh_tally *tally);
/*
 * Adds item->count and ->bytes to the row of its hash and length, which holds till the next call. A new row takes
 * the item over, and its payload is zero.
 */
struct lh_tally_row *lh_tally_add(struct lh_tally *tally, const struct lh_tally_row *item);
void *lh_tally_payload(const struct lh_tally *tally, const struct lh_tally_row *row);
/* After all rows of `part` were added one by one: takes over what it has lost. */
void lh_tally_add_losses(struct lh_tally *tally, const struct lh_tally *part);

/*
 * The first `top` of the rows seen `count_min` times or more: what is seen twice before what is not, most bytes first,
 * equal ones by address. The array is the caller's; the rows are the tally's.
 */
struct lh_error *lh_tally_rank(const struct lh_tally *tally, size_t top, uint64_t count_min,
			       const struct lh_tally_row ***ret, size_t *ret_count) LH_NODISCARD;

#endif

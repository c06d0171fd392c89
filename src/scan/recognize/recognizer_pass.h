/*
 * recognizer_pass: all recognizers over blocks of memory, in one pass. Private to scan and its tests.
 */
#ifndef LEAKHUNT_SCAN_RECOGNIZER_PASS_H
#define LEAKHUNT_SCAN_RECOGNIZER_PASS_H

#include "leakhunt/scan.h"

/*
 * Feeds blocks to all recognizers in one pass, in address order. Every byte belongs to at most one class: where matches
 * overlap, the more specific class (the earlier row) keeps the bytes, and the other counts with its remaining bytes; a
 * match without remaining bytes does not count. So an e-mail address in a URL does not count, while a URL in a JSON
 * text counts as a URL, and the JSON text counts, too, with the bytes around it. A match is at most LH_BLOCK_OVERLAP
 * long, and is found as a whole wherever blocks are cut. Results are the same for any size of blocks.
 */
struct lh_recognizer_pass;
/* Examples show secrets unmasked if `shows_secrets`. */
struct lh_error *lh_recognizer_pass_create(bool shows_secrets, struct lh_recognizer_pass **ret) LH_NODISCARD;
struct lh_error *lh_recognizer_pass_feed(struct lh_recognizer_pass *pass, const struct lh_block *block) LH_NODISCARD;
/* Counts what still waits for more bytes. Bytes fed later are unrelated memory. */
struct lh_error *lh_recognizer_pass_settle(struct lh_recognizer_pass *pass) LH_NODISCARD;
/* One entry per recognizer, in the order of the table, of settled matches; belongs to the pass. */
const struct lh_class_count *lh_recognizer_pass_classes(const struct lh_recognizer_pass *pass, size_t *ret_count);

/* Bytes that one class keeps: `row` is its index in the table. */
struct lh_owned {
	struct lh_range range;
	unsigned row;
};
/* The settled bytes since the last reset, ascending and disjoint, within its `inside`; none before the first reset. */
const struct lh_owned *lh_recognizer_pass_owned(const struct lh_recognizer_pass *pass, size_t *ret_count);
/*
 * Where secrets lie in the fed bytes, the last block included: ascending, disjoint; belongs to the pass and moves with
 * the next feed. These bytes must not be shown: lh_mask_secrets. None if the pass was created to show them.
 */
const struct lh_range *lh_recognizer_pass_secrets(const struct lh_recognizer_pass *pass, size_t *ret_count);
/*
 * For threads: each feeds its own pass. Reset forgets everything fed. From then on only matches that begin in `inside`
 * count, with the bytes that lie in it. Merge adds what the part has found, in address order.
 */
void lh_recognizer_pass_reset(struct lh_recognizer_pass *pass, struct lh_range inside);
struct lh_error *lh_recognizer_pass_merge(struct lh_recognizer_pass *pass,
					  struct lh_recognizer_pass *part) LH_NODISCARD;
void lh_recognizer_pass_destroy(struct lh_recognizer_pass *pass);
void lh_cleanup_recognizer_pass(struct lh_recognizer_pass **pass);
/*
 * Overwrites with '*' those of the bytes copied from `addr` on that lie in `secrets` (ascending, disjoint); true if
 * there are any.
 */
bool lh_mask_secrets(const struct lh_range *secrets, size_t count, uint64_t addr, char *bytes, size_t length);

#endif

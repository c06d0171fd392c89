/*
 * recognize_frame: compressed frames of consecutive blocks with a checksum at the end, as in zstd and LZ4. Input: a
 * cursor after the frame's header, and a function that takes one block. Output: the match, at most 64 KiB long: the
 * beginning of a larger frame.
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>

enum { KIND_WHOLE, KIND_PART };

const char *const lh_frame_kinds[] = {[KIND_WHOLE] = "whole", [KIND_PART] = "a beginning", NULL};

bool lh_frame_match(const struct lh_candidate *candidate, struct lh_cursor *cursor, const struct lh_frame *frame,
		    struct lh_match *ret)
{
	bool is_last = false;
	bool is_cut = false;
	while (!is_last && !is_cut) {
		*candidate->examined += 1;
		if (!frame->take_block(cursor, frame, &is_last, &is_cut))
			return false;
	}
	is_cut = is_cut || !lh_cursor_take(cursor, frame->checksum_bytes);
	*ret = (struct lh_match){
		.length = is_cut ? candidate->bytes_after : (size_t)(cursor->at - candidate->anchor),
		.kind = is_cut ? KIND_PART : KIND_WHOLE,
	};
	return true;
}

void lh_frame_describe(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	(void)candidate;
	(void)snprintf(ret, LH_EXAMPLE_MAX, "%zu bytes, %s", match->length, lh_frame_kinds[match->kind]);
}

/*
 * raw_writer: the JSON index beside a raw dump: the address of each byte.
 */
#include "capture.h"

static json_t *describe_piece(const struct lh_piece *piece)
{
	json_t *object = json_object();
	int status = lh_describe_extent(object, piece->extent, piece->start, piece->start + piece->file_bytes);
	status |= json_object_set_new(object, "offset", lh_json_u64(piece->file_offset));
	if (!status)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *describe_pieces(const struct lh_layout *held)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < held->pieces.count; i++) {
		if (!held->pieces.items[i].file_bytes)
			continue;
		if (json_array_append_new(list, describe_piece(&held->pieces.items[i])) == 0)
			continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

struct lh_error *lh_raw_index_write(const struct lh_capture *capture, int fd, const char *what)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	json_t *index =
		json_pack("{s:i, s:o, s:o, s:o, s:o}", "leakhunt_raw", LH_RAW_INDEX_FORMAT, "extents",
			  describe_pieces(capture->held), "modules", lh_describe_modules(&capture->plan->modules),
			  "gaps", lh_describe_gaps(&capture->receipt->gaps), "capture", lh_describe_capture(capture));
	LH_TRY(lh_json_append(index, false, &text));
	return lh_fd_write_all(fd, what, text.data, text.length);
}

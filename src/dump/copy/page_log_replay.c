/*
 * page_log_replay: reads the log in large pieces, and passes the pages to the copy's writer at their places in the
 * dump. Never runs in the pause.
 */
#include "page_log_replay.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE_BYTES LH_MIB

struct log_reader {
	const struct lh_page_log *log;
	uint8_t *piece;
	uint64_t offset; /* of what comes behind the piece */
	size_t at;       /* in the piece */
	size_t bytes;    /* of the piece */
};

static struct lh_error *read_log_piece(struct log_reader *reader)
{
	size_t wanted = lh_min_u64(PIECE_BYTES, reader->log->used_bytes - reader->offset);
	reader->at = reader->bytes = 0;
	while (reader->bytes < wanted) {
		ssize_t count = pread(reader->log->fd, reader->piece + reader->bytes, wanted - reader->bytes,
				      (off_t)(reader->offset + reader->bytes));
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return lh_error_from_errno(count ? errno : EIO, "cannot read back what was copied last");
		reader->bytes += (size_t)count;
	}
	reader->offset += wanted;
	return NULL;
}

static struct lh_error *put_in_place(struct log_reader *reader, struct lh_range range, struct lh_copy *copy)
{
	while (range.start < range.end) {
		if (reader->at == reader->bytes)
			LH_TRY(read_log_piece(reader));
		uint64_t bytes = lh_min_u64(lh_range_bytes(range), reader->bytes - reader->at);
		LH_TRY(lh_copy_from_memory(copy, (struct lh_range){range.start, range.start + bytes},
					   reader->piece + reader->at));
		reader->at += bytes;
		range.start += bytes;
	}
	return NULL;
}

static struct lh_error *empty_log(struct lh_page_log *log)
{
	log->ranges.count = 0;
	log->used_bytes = 0;
	if (ftruncate(log->fd, 0) < 0)
		return lh_error_from_errno(errno, "cannot empty a temporary file");
	return NULL;
}

struct lh_error *lh_page_log_replay(struct lh_page_log *log, struct lh_copy *copy)
{
	if (!log->ranges.count)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) void *piece = malloc(PIECE_BYTES);
	struct log_reader reader = {.log = log, .piece = piece};
	if (!piece)
		return lh_error_no_memory();
	LH_TRY(lh_write_behind_drain(copy->writer));
	for (size_t i = 0; i < log->ranges.count; i++)
		LH_TRY(put_in_place(&reader, log->ranges.items[i], copy));
	return empty_log(log);
}

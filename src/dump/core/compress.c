/*
 * compress: the last step of a compressed dump. Input: the complete spool, with its holes. Output: frames of 1 MiB of
 * content each, in order, and the seek table. Two threads compress; one of them writes in order. The target runs again.
 */
#include "compress.h"

#include "leakhunt/format.h"
#include "leakhunt/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { THREAD_COUNT = 2, FRAMES_AT_ONCE = 3, LEVEL = 3 };

struct frame_size {
	uint32_t packed_bytes;
	uint32_t content_bytes;
};

/* A frame at work. */
struct frame {
	uint64_t number;
	ZSTD_CCtx *context;
	uint8_t *content;
	uint8_t *packed;
	size_t packed_room;
	size_t packed_bytes;
};

struct compression {
	int spool_fd;
	int out_fd;
	const char *what;
	struct lh_copy *copy;
	uint64_t content_bytes;
	uint64_t frame_count;
	uint64_t out_bytes;
	struct frame_size *sizes;
	struct frame frames[FRAMES_AT_ONCE];
};

bool lh_compress_gives_back(int spool_fd)
{
	return fallocate(spool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)LH_PAGE_BYTES) == 0;
}

static size_t content_bytes_of(const struct compression *compression, uint64_t frame)
{
	return lh_min_u64(LH_FRAME_BYTES, compression->content_bytes - frame * LH_FRAME_BYTES);
}

/* ---------------------------------------------------------------- one frame */

static struct lh_error *read_content(const struct compression *compression, uint64_t frame, uint8_t *ret)
{
	size_t bytes = content_bytes_of(compression, frame);
	for (size_t done = 0; done < bytes;) {
		ssize_t count =
			pread(compression->spool_fd, ret + done, bytes - done, (off_t)(frame * LH_FRAME_BYTES + done));
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return lh_error_from_errno(count ? errno : EIO, "cannot read back what %s is made of",
						   compression->what);
		done += (size_t)count;
	}
	return NULL;
}

static struct lh_error *pack_frame(void *context, size_t place)
{
	struct compression *compression = context;
	struct frame *frame = &compression->frames[place];
	LH_TRY(read_content(compression, frame->number, frame->content));
	frame->packed_bytes = ZSTD_compress2(frame->context, frame->packed, frame->packed_room, frame->content,
					     content_bytes_of(compression, frame->number));
	return ZSTD_isError(frame->packed_bytes)
		       ? lh_error_create(LH_ERROR_SYSTEM, "cannot compress %s: %s", compression->what,
					 ZSTD_getErrorName(frame->packed_bytes))
		       : NULL;
}

static struct lh_error *write_frame(void *context, size_t place)
{
	struct compression *compression = context;
	const struct frame *frame = &compression->frames[place];
	size_t content_bytes = content_bytes_of(compression, frame->number);
	LH_TRY(lh_fd_pwrite_all(compression->out_fd, compression->what, frame->packed, frame->packed_bytes,
				compression->out_bytes));
	compression->out_bytes += frame->packed_bytes;
	compression->sizes[frame->number] = (struct frame_size){(uint32_t)frame->packed_bytes, (uint32_t)content_bytes};
	(void)fallocate(compression->spool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(frame->number * LH_FRAME_BYTES), (off_t)content_bytes);
	atomic_fetch_add_explicit(&compression->copy->done_bytes, content_bytes, memory_order_relaxed);
	return NULL;
}

/* ---------------------------------------------------------------- all frames */

static struct lh_error *submit_frames(void *context, struct lh_pipeline *pipeline)
{
	struct compression *compression = context;
	for (uint64_t number = 0; number < compression->frame_count; number++) {
		if (atomic_load(&compression->copy->is_cancelled))
			return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted: nothing was written");
		compression->frames[lh_pipeline_place(pipeline)].number = number;
		LH_TRY(lh_pipeline_submit(pipeline));
	}
	return NULL;
}

static struct lh_error *init_frame(struct frame *frame)
{
	frame->packed_room = ZSTD_compressBound(LH_FRAME_BYTES);
	frame->context = ZSTD_createCCtx();
	frame->content = malloc(LH_FRAME_BYTES);
	frame->packed = malloc(frame->packed_room);
	if (!frame->context || !frame->content || !frame->packed)
		return lh_error_no_memory();
	ZSTD_CCtx_setParameter(frame->context, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(frame->context, ZSTD_c_checksumFlag, 1);
	return NULL;
}

static void deinit_compression(struct compression *compression)
{
	for (size_t i = 0; i < FRAMES_AT_ONCE; i++) {
		ZSTD_freeCCtx(compression->frames[i].context);
		free(compression->frames[i].content);
		free(compression->frames[i].packed);
	}
	free(compression->sizes);
}

/* ---------------------------------------------------------------- the seek table */

static void append_le32(struct lh_buffer *ret, uint32_t value)
{
	const uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
	lh_buffer_append(ret, bytes, sizeof(bytes));
}

static struct lh_error *write_table(const struct compression *compression)
{
	struct lh_buffer table LH_CLEANUP(lh_buffer_deinit) = {0};
	uint32_t frame_count = (uint32_t)compression->frame_count;
	append_le32(&table, LH_SEEK_SKIPPABLE_MAGIC);
	append_le32(&table, frame_count * (uint32_t)sizeof(struct frame_size) + LH_SEEK_FOOTER_BYTES);
	for (uint32_t i = 0; i < frame_count; i++) {
		append_le32(&table, compression->sizes[i].packed_bytes);
		append_le32(&table, compression->sizes[i].content_bytes);
	}
	append_le32(&table, frame_count);
	lh_buffer_append(&table, "", 1); /* descriptor: no checksums besides those of the frames */
	append_le32(&table, LH_SEEK_MAGIC);
	LH_TRY(lh_buffer_status(&table));
	return lh_fd_pwrite_all(compression->out_fd, compression->what, table.data, table.length,
				compression->out_bytes);
}

/* ---------------------------------------------------------------- all of it */

/* The table counts its own bytes in 32 bits. */
static struct lh_error *measure_compress(struct compression *compression)
{
	struct stat status;
	if (fstat(compression->spool_fd, &status) < 0)
		return lh_error_from_errno(errno, "cannot measure what %s is made of", compression->what);
	compression->content_bytes = (uint64_t)status.st_size;
	compression->frame_count = (compression->content_bytes + LH_FRAME_BYTES - 1) / LH_FRAME_BYTES;
	if (compression->frame_count > UINT32_MAX / sizeof(struct frame_size) / 2)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "%s would be too large to be compressed",
				       compression->what);
	return NULL;
}

struct lh_error *lh_compress(int spool_fd, int out_fd, const char *what, struct lh_copy *copy)
{
	LH_CLEANUP(deinit_compression)
	struct compression compression = {.spool_fd = spool_fd, .out_fd = out_fd, .what = what, .copy = copy};
	struct lh_pipeline_work work = {
		.context = &compression, .produce = submit_frames, .work = pack_frame, .finish = write_frame};
	LH_TRY(measure_compress(&compression));
	compression.sizes = calloc(compression.frame_count + 1, sizeof(*compression.sizes));
	if (!compression.sizes)
		return lh_error_no_memory();
	for (size_t i = 0; i < FRAMES_AT_ONCE; i++)
		LH_TRY(init_frame(&compression.frames[i]));
	LH_TRY(lh_pipeline_run(&work, THREAD_COUNT, FRAMES_AT_ONCE));
	return write_table(&compression);
}

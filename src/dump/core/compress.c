/*
 * compress: the last step of a compressed dump. Input: the spool, complete, its holes included; output:
 * frames of 1 MiB of content each, in order, and the seek table. Two threads compress; each waits for
 * its turn to write, so that frames lie one behind the other. The pause is long over.
 */
#include "compress.h"

#include "leakhunt/format.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { WORKER_COUNT = 2, LEVEL = 3 };

struct frame_size {
	uint32_t packed_bytes;
	uint32_t content_bytes;
};

struct compression {
	int spool_fd;
	int out_fd;
	const char *what;
	struct lh_copy *copy;
	uint64_t content_bytes;
	uint64_t frame_count;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Under the mutex. */
	uint64_t next_frame;  /* to be compressed */
	uint64_t write_frame; /* to be written */
	uint64_t out_bytes;
	struct frame_size *sizes;
	struct lh_error *error; /* the first */
};

struct worker {
	struct compression *compression;
	ZSTD_CCtx *context;
	uint8_t *content;
	uint8_t *packed;
	size_t packed_room;
	pthread_t thread;
	bool is_running;
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

static struct lh_error *pack_frame(const struct worker *worker, uint64_t frame, size_t *ret_bytes)
{
	const struct compression *compression = worker->compression;
	LH_TRY(read_content(compression, frame, worker->content));
	size_t bytes = ZSTD_compress2(worker->context, worker->packed, worker->packed_room, worker->content,
				      content_bytes_of(compression, frame));
	if (ZSTD_isError(bytes))
		return lh_error_create(LH_ERROR_SYSTEM, "cannot compress %s: %s", compression->what,
				       ZSTD_getErrorName(bytes));
	*ret_bytes = bytes;
	return NULL;
}

static struct lh_error *write_frame(struct compression *compression, uint64_t frame, const uint8_t *packed,
				    size_t bytes)
{
	size_t content_bytes = content_bytes_of(compression, frame);
	LH_TRY(lh_fd_pwrite_all(compression->out_fd, compression->what, packed, bytes, compression->out_bytes));
	compression->out_bytes += bytes;
	compression->sizes[frame] = (struct frame_size){(uint32_t)bytes, (uint32_t)content_bytes};
	(void)fallocate(compression->spool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(frame * LH_FRAME_BYTES), (off_t)content_bytes);
	atomic_fetch_add_explicit(&compression->copy->done_bytes, content_bytes, memory_order_relaxed);
	return NULL;
}

/* ---------------------------------------------------------------- the workers */

static void fail_compress(struct compression *compression, struct lh_error *error)
{
	if (compression->error)
		lh_error_destroy(error);
	else
		compression->error = error;
	pthread_cond_broadcast(&compression->changed);
}

/* Waits for the frame's turn, with the mutex held, and writes it without. */
static void write_in_turn(struct worker *worker, uint64_t frame, size_t bytes)
{
	struct compression *compression = worker->compression;
	while (!compression->error && compression->write_frame != frame)
		pthread_cond_wait(&compression->changed, &compression->mutex);
	if (compression->error)
		return;
	pthread_mutex_unlock(&compression->mutex);
	struct lh_error *error = write_frame(compression, frame, worker->packed, bytes);
	pthread_mutex_lock(&compression->mutex);
	compression->write_frame++;
	if (error)
		fail_compress(compression, error);
	pthread_cond_broadcast(&compression->changed);
}

static void *compress_frames(void *argument)
{
	struct worker *worker = argument;
	struct compression *compression = worker->compression;
	pthread_mutex_lock(&compression->mutex);
	while (!compression->error && compression->next_frame < compression->frame_count) {
		uint64_t frame = compression->next_frame++;
		size_t bytes = 0;
		pthread_mutex_unlock(&compression->mutex);
		struct lh_error *error = pack_frame(worker, frame, &bytes);
		bool is_cancelled = atomic_load(&compression->copy->is_cancelled);
		pthread_mutex_lock(&compression->mutex);
		if (!error && is_cancelled)
			error = lh_error_create(LH_ERROR_INTERRUPTED, "interrupted: nothing was written");
		if (error)
			fail_compress(compression, error);
		else
			write_in_turn(worker, frame, bytes);
	}
	pthread_mutex_unlock(&compression->mutex);
	return NULL;
}

static struct lh_error *start_worker(struct compression *compression, struct worker *worker)
{
	worker->compression = compression;
	worker->packed_room = ZSTD_compressBound(LH_FRAME_BYTES);
	worker->context = ZSTD_createCCtx();
	worker->content = malloc(LH_FRAME_BYTES);
	worker->packed = malloc(worker->packed_room);
	if (!worker->context || !worker->content || !worker->packed)
		return lh_error_no_memory();
	ZSTD_CCtx_setParameter(worker->context, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(worker->context, ZSTD_c_checksumFlag, 1);
	int status = pthread_create(&worker->thread, NULL, compress_frames, worker);
	if (status)
		return lh_error_from_errno(status, "cannot start a thread to compress %s", compression->what);
	worker->is_running = true;
	return NULL;
}

static void end_worker(struct worker *worker)
{
	if (worker->is_running)
		pthread_join(worker->thread, NULL);
	ZSTD_freeCCtx(worker->context);
	free(worker->content);
	free(worker->packed);
}

static struct lh_error *run_workers(struct compression *compression)
{
	struct worker workers[WORKER_COUNT] = {0};
	for (size_t i = 0; i < WORKER_COUNT; i++) {
		struct lh_error *error = start_worker(compression, &workers[i]);
		if (error) {
			pthread_mutex_lock(&compression->mutex);
			fail_compress(compression, error);
			pthread_mutex_unlock(&compression->mutex);
			break;
		}
	}
	for (size_t i = 0; i < WORKER_COUNT; i++)
		end_worker(&workers[i]);
	return compression->error;
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
	lh_buffer_append(&table, "", 1); /* descriptor: no checksums beside those of the frames */
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
	struct compression compression = {.spool_fd = spool_fd, .out_fd = out_fd, .what = what, .copy = copy};
	LH_TRY(measure_compress(&compression));
	compression.sizes = calloc(compression.frame_count + 1, sizeof(*compression.sizes));
	if (!compression.sizes)
		return lh_error_no_memory();
	pthread_mutex_init(&compression.mutex, NULL);
	pthread_cond_init(&compression.changed, NULL);
	struct lh_error *error = run_workers(&compression);
	if (!error)
		error = write_table(&compression);
	pthread_cond_destroy(&compression.changed);
	pthread_mutex_destroy(&compression.mutex);
	free(compression.sizes);
	return error;
}

/*
 * unpack: a whole zstd file into an unnamed temporary file, for files without random access: one huge frame, as
 * systemd-coredump and `zstd core` write. Input: a hostile file. Output: a sparse file of its content. Memory is
 * bounded (zstd's default window limit of 128 MiB), and so is disk: it stops before the disk is full.
 */
#include "compressed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zstd.h>

#define DISK_RESERVE_BYTES (64 * LH_MIB)
#define CONTENT_MAX        ((uint64_t)1 << 44)

enum { HOLE_BYTES = 4096, CHECK_PERIOD_BYTES = 16 << 20 };

struct unpacking {
	int from_fd;
	int to_fd;
	const char *what;
	const char *folder;
	ZSTD_DStream *stream;
	uint8_t *packed; /* ZSTD_DStreamInSize() */
	uint8_t *content;
	uint64_t content_bytes;
	uint64_t written_bytes; /* without holes */
	uint64_t checked_at;
};

static void unpacking_deinit(struct unpacking *unpacking)
{
	lh_cleanup_close(&unpacking->to_fd);
	ZSTD_freeDStream(unpacking->stream);
	free(unpacking->packed);
	free(unpacking->content);
}

static struct lh_error *check_space(struct unpacking *unpacking)
{
	struct statvfs status;
	if (unpacking->content_bytes > CONTENT_MAX)
		return lh_error_create(LH_ERROR_FORMAT, "%s would be larger than 16 TiB unpacked", unpacking->what);
	if (unpacking->written_bytes < unpacking->checked_at)
		return NULL;
	unpacking->checked_at = unpacking->written_bytes + CHECK_PERIOD_BYTES;
	if (fstatvfs(unpacking->to_fd, &status) < 0 ||
	    (uint64_t)status.f_bavail * status.f_frsize >= DISK_RESERVE_BYTES + CHECK_PERIOD_BYTES)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_NO_SPACE, "unpacking %s would fill the disk of %s",
					     unpacking->what, unpacking->folder),
			     "name a folder on a larger one: TMPDIR=/path leakhunt ...");
}

static bool is_zero_block(const uint8_t *bytes, size_t length)
{
	return !bytes[0] && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* Blocks of zeros become holes, as they were in the core. */
static struct lh_error *write_content(struct unpacking *unpacking, size_t length)
{
	size_t here;
	for (size_t at = 0; at < length; at += here) {
		uint64_t offset = unpacking->content_bytes + at;
		here = lh_min_u64(length - at, HOLE_BYTES - offset % HOLE_BYTES);
		if (is_zero_block(unpacking->content + at, here))
			continue;
		LH_TRY(lh_fd_pwrite_all(unpacking->to_fd, unpacking->folder, unpacking->content + at, here, offset));
		unpacking->written_bytes += here;
	}
	unpacking->content_bytes += length;
	return check_space(unpacking);
}

static struct lh_error *damaged_file_error(const struct unpacking *unpacking, const char *what)
{
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s is damaged: %s", unpacking->what, what),
			     "if it was copied, compare its size with the original; `zstd -t` tests it");
}

/* *ret_is_open: a frame has begun and not ended. */
static struct lh_error *unpack_some(struct unpacking *unpacking, size_t packed_bytes, bool *ret_is_open)
{
	ZSTD_inBuffer input = {unpacking->packed, packed_bytes, 0};
	bool is_full = true; /* more may come without more input */
	while (input.pos < input.size || is_full) {
		ZSTD_outBuffer output = {unpacking->content, ZSTD_DStreamOutSize(), 0};
		size_t taken_before = input.pos;
		size_t status = ZSTD_decompressStream(unpacking->stream, &output, &input);
		if (ZSTD_isError(status))
			return damaged_file_error(unpacking, ZSTD_getErrorName(status));
		LH_TRY(write_content(unpacking, output.pos));
		is_full = output.pos == output.size;
		/* After a frame's end, a call without input only says that it would take another frame. */
		if (input.pos > taken_before || output.pos)
			*ret_is_open = status != 0;
	}
	return NULL;
}

static struct lh_error *unpack_all(struct unpacking *unpacking)
{
	bool is_open = false;
	uint64_t offset = 0;
	for (;;) {
		ssize_t count = pread(unpacking->from_fd, unpacking->packed, ZSTD_DStreamInSize(), (off_t)offset);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return lh_error_from_errno(errno, "cannot read %s", unpacking->what);
		if (!count)
			return is_open ? damaged_file_error(unpacking, "it ends within a frame") : NULL;
		offset += (uint64_t)count;
		LH_TRY(unpack_some(unpacking, (size_t)count, &is_open));
	}
}

struct lh_error *lh_zstd_unpack(int fd, const char *what, int *ret_fd, uint64_t *ret_bytes)
{
	struct unpacking unpacking LH_CLEANUP(unpacking_deinit) = {
		.from_fd = fd, .to_fd = -1, .what = what, .folder = lh_settings()->temporary_folder};
	unpacking.stream = ZSTD_createDStream();
	unpacking.packed = malloc(ZSTD_DStreamInSize());
	unpacking.content = malloc(ZSTD_DStreamOutSize());
	if (!unpacking.stream || !unpacking.packed || !unpacking.content)
		return lh_error_no_memory();
	LH_TRY(lh_unnamed_file(unpacking.folder, &unpacking.to_fd));
	LH_TRY(unpack_all(&unpacking));
	if (ftruncate(unpacking.to_fd, (off_t)unpacking.content_bytes) < 0)
		return lh_error_from_errno(errno, "cannot size a temporary file in %s", unpacking.folder);
	*ret_bytes = unpacking.content_bytes;
	*ret_fd = unpacking.to_fd;
	unpacking.to_fd = -1;
	return NULL;
}

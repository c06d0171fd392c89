/*
 * fuzz_zstd: hostile bytes as a compressed file, with and without a seek table: whatever is read lies within
 * what was promised, and both ways of reading agree.
 */
#include "image/compressed.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

enum { READ_MAX = 1 << 20 };

/* All of it, in pieces that cross frames; false at the first that can't be read. */
static bool read_frames(struct lh_frames *frames, uint8_t *ret, size_t bytes)
{
	enum { PIECE = 1000 };
	for (size_t at = 0; at < bytes; at += PIECE) {
		struct lh_error *error = lh_frames_read(frames, at, ret + at, lh_min_u64(PIECE, bytes - at));
		lh_error_destroy(error);
		if (error)
			return false;
	}
	return true;
}

static void compare(struct lh_frames *frames, int unpacked_fd, uint64_t unpacked_bytes)
{
	static uint8_t by_frames[READ_MAX], at_once[READ_MAX];
	uint64_t total = lh_frames_bytes(frames);
	size_t bytes = lh_min_u64(total, READ_MAX);
	bool is_read = read_frames(frames, by_frames, bytes);
	struct lh_error *error = lh_frames_read(frames, total, at_once, 1);
	expect(error != NULL);
	lh_error_destroy(error);
	if (!is_read || unpacked_fd < 0)
		return;
	expect(total <= READ_MAX ? unpacked_bytes == total : true);
	expect(pread(unpacked_fd, at_once, bytes, 0) == (ssize_t)bytes);
	expect(memcmp(by_frames, at_once, bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LH_CLEANUP(lh_cleanup_close) int fd = memfd_create("fuzz", MFD_CLOEXEC);
	LH_CLEANUP(lh_cleanup_close) int unpacked_fd = -1;
	struct lh_frames *frames = NULL;
	uint64_t unpacked_bytes = 0;
	(void)lh_zstd_is(data, size);
	expect(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	lh_error_destroy(lh_zstd_unpack(fd, "fuzz", &unpacked_fd, &unpacked_bytes));
	lh_error_destroy(lh_frames_open(&fd, "fuzz", size, &frames));
	if (frames)
		compare(frames, unpacked_fd, unpacked_bytes);
	lh_frames_close(frames);
	return 0;
}

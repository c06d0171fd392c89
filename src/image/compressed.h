/*
 * compressed: files that are compressed with zstd. leakhunt reads a file with a seek table at random, frame by frame,
 * and unpacks any other into a temporary file. Private to image.
 */
#ifndef LEAKHUNT_IMAGE_COMPRESSED_H
#define LEAKHUNT_IMAGE_COMPRESSED_H

#include "leakhunt/base.h"

/* The bytes of a compressed file, decompressed on demand. Several threads may read. */
struct lh_frames;

/* Whether a file that starts with `bytes` is compressed with zstd (RFC 8878, 3.1.1 and 3.1.2). */
bool lh_zstd_is(const uint8_t *bytes, size_t length);

/*
 * Takes ownership of `*fd` (then -1) if the file ends in a matching seek table and its frames are small enough to cache
 * (16 MiB); else *ret is NULL and nothing has changed.
 */
struct lh_error *lh_frames_open(int *fd, const char *what, uint64_t file_bytes, struct lh_frames **ret) LH_NODISCARD;
void lh_frames_close(struct lh_frames *frames); /* NULL is legal */

/* The decompressed length of all frames. */
uint64_t lh_frames_bytes(const struct lh_frames *frames);

/* How many frames were decoded so far, failed ones included. */
uint64_t lh_frames_decode_count(const struct lh_frames *frames);

/*
 * Copies `bytes` at `offset`, which must lie within. LH_ERROR_FORMAT when a frame is damaged, or differs from the seek
 * table. A damaged frame is decoded once. Caches at most 32 MiB.
 */
struct lh_error *lh_frames_read(struct lh_frames *frames, uint64_t offset, void *ret, size_t bytes) LH_NODISCARD;

/*
 * Decompresses a whole file into an unnamed one in TMPDIR (else /tmp), zeros as holes; the fd is the caller's.
 * LH_ERROR_FORMAT when it is damaged or truncated, LH_ERROR_NO_SPACE before the disk is full.
 */
struct lh_error *lh_zstd_unpack(int fd, const char *what, int *ret_fd, uint64_t *ret_bytes) LH_NODISCARD;

#endif

/*
 * compressed: files that are compressed with zstd. One with a seek table is read at random, frame by
 * frame; any other is unpacked into a temporary file. Private to image.
 */
#ifndef LEAKHUNT_IMAGE_COMPRESSED_H
#define LEAKHUNT_IMAGE_COMPRESSED_H

#include "leakhunt/base.h"

/* The bytes of a compressed file, decompressed as they are asked for. Safe to read from several threads. */
struct lh_frames;

/* Whether a file that starts with `bytes` is compressed with zstd (RFC 8878, 3.1.1 and 3.1.2). */
bool lh_zstd_is(const uint8_t *bytes, size_t length);

/*
 * Takes `*fd` over (it is -1 then) if the file ends in a seek table that fits it, and its frames are small
 * enough to be kept by the handful (LH_FRAME_BYTES_MAX); else *ret is NULL and nothing has happened.
 */
struct lh_error *lh_frames_open(int *fd, const char *what, uint64_t file_bytes, struct lh_frames **ret) LH_NODISCARD;
void lh_frames_close(struct lh_frames *frames); /* NULL is legal */

/* As long as all frames are together, decompressed. */
uint64_t lh_frames_bytes(const struct lh_frames *frames);

/* How many frames were decoded so far, those that failed included. */
uint64_t lh_frames_decode_count(const struct lh_frames *frames);

/*
 * Copies `bytes` at `offset`, which must lie within. LH_ERROR_FORMAT when a frame is damaged, or not
 * what the seek table says. A damaged frame is decoded once.
 * Memory: at most 32 MiB for what was read last.
 */
struct lh_error *lh_frames_read(struct lh_frames *frames, uint64_t offset, void *ret, size_t bytes) LH_NODISCARD;

/*
 * Decompresses a whole file into one without a name in TMPDIR (else /tmp), zeros as holes; the fd is
 * the caller's. LH_ERROR_FORMAT when it is damaged or ends too early, LH_ERROR_NO_SPACE before that
 * disk is full.
 */
struct lh_error *lh_zstd_unpack(int fd, const char *what, int *ret_fd, uint64_t *ret_bytes) LH_NODISCARD;

#endif

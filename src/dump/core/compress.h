/*
 * compress: turns a finished spool into a zstd file of independent frames (format.h). Private to dump.
 */
#ifndef LEAKHUNT_DUMP_COMPRESS_H
#define LEAKHUNT_DUMP_COMPRESS_H

#include "dump/copy/copy.h"

/*
 * Compresses all of `spool_fd` into the empty `out_fd` on two threads, and returns the spool's disk space as it goes.
 * Counts in copy->done_bytes; LH_ERROR_INTERRUPTED when copy->is_cancelled. `what` names the output in errors. Takes
 * about 8 MiB of memory.
 */
struct lh_error *lh_compress(int spool_fd, int out_fd, const char *what, struct lh_copy *copy) LH_NODISCARD;

/* Whether the spool's file system can return disk space (fallocate(2), FALLOC_FL_PUNCH_HOLE). */
bool lh_compress_gives_back(int spool_fd);

/*
 * `dump --compress` writes zstd frames of LH_FRAME_BYTES of content each (the last has the rest), which
 * can be read one without the other, and at the end the seek table of the Zstandard Seekable Format
 * 0.1.0 (zstd, contrib/seekable_format/zstd_seekable_compression_format.md): a skippable frame of
 * entries {u32 packed bytes, u32 content bytes [, u32 checksum]} and a footer {u32 frames,
 * u8 descriptor, u32 magic}, little-endian. `zstd -d` skips it.
 */
#define LH_FRAME_BYTES ((size_t)1024 * 1024)

#endif

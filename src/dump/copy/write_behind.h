/*
 * write_behind: a thread that writes what another has copied, over a bounded ring of buffers, so
 * that copying (while a target stands still) does not wait for the disk as long as there is room.
 * The first write that fails ends it: all calls say so from then on, why only to the one who asks first.
 * Private to dump. One producer.
 */
#ifndef LEAKHUNT_DUMP_WRITE_BEHIND_H
#define LEAKHUNT_DUMP_WRITE_BEHIND_H

#include "leakhunt/base.h"

struct lh_write_behind;

/* Of memory; and some for lists of pieces. */
#define LH_WRITE_BEHIND_BYTES (16 * LH_MIB)

/* The dump, and the log of a snapshot's later passes (page_log.h). */
enum lh_write_file { LH_WRITE_DUMP, LH_WRITE_LOG, LH_WRITE_FILE_COUNT };

/*
 * Starts the thread; its buffers (LH_WRITE_BEHIND_BYTES) are touched already. The descriptors stay the caller's; that
 * of the log may be -1. `what` names the dump in errors.
 */
struct lh_error *lh_write_behind_create(const int fds[LH_WRITE_FILE_COUNT], const char *what,
					struct lh_write_behind **ret) LH_NODISCARD;

/* Room to copy into: at least a page, *ret_bytes long. Waits for the writer when all buffers are full. */
struct lh_error *lh_write_behind_room(struct lh_write_behind *writer, uint8_t **ret, size_t *ret_bytes) LH_NODISCARD;

/* The first `bytes` of the room, whole pages, are to be written to `file` at `file_offset`. */
void lh_write_behind_put(struct lh_write_behind *writer, enum lh_write_file file, uint64_t file_offset, size_t bytes);

/* Whether a write has failed, without waiting for any. */
struct lh_error *lh_write_behind_check(struct lh_write_behind *writer) LH_NODISCARD;

/* Waits until all that was put is written, so that it can be read. */
struct lh_error *lh_write_behind_drain(struct lh_write_behind *writer) LH_NODISCARD;

/* Waits until all is written. Nothing may be put afterwards. */
struct lh_error *lh_write_behind_finish(struct lh_write_behind *writer) LH_NODISCARD;
void lh_write_behind_destroy(struct lh_write_behind *writer); /* what was not written yet is dropped; NULL is legal */
void lh_cleanup_write_behind(struct lh_write_behind **writer);

#endif

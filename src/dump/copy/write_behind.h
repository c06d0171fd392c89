/*
 * write_behind: a thread that writes what another has copied, over a bounded ring of buffers, so that copying during a
 * pause does not wait for the disk while the ring has room. The first failed write ends it: every later call fails, and
 * only the first failed call says why. Private to dump. One producer.
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
 * Starts the thread. Its buffers (LH_WRITE_BEHIND_BYTES) are resident already. The descriptors stay the caller's; the
 * log's may be -1. `what` names the dump in errors.
 */
struct lh_error *lh_write_behind_create(const int fds[LH_WRITE_FILE_COUNT], const char *what,
					struct lh_write_behind **ret) LH_NODISCARD;

/* Room to copy into: at least a page, *ret_bytes long. Waits for the writer when all buffers are full. */
struct lh_error *lh_write_behind_room(struct lh_write_behind *writer, uint8_t **ret, size_t *ret_bytes) LH_NODISCARD;

/* Queues the first `bytes` of the room, whole pages, for `file` at `file_offset`. */
void lh_write_behind_put(struct lh_write_behind *writer, enum lh_write_file file, uint64_t file_offset, size_t bytes);

/* Whether a write has failed. Does not wait. */
struct lh_error *lh_write_behind_check(struct lh_write_behind *writer) LH_NODISCARD;

/* Waits until everything queued is written and can be read. */
struct lh_error *lh_write_behind_drain(struct lh_write_behind *writer) LH_NODISCARD;

/* Waits until everything is written. Nothing may be queued afterwards. */
struct lh_error *lh_write_behind_finish(struct lh_write_behind *writer) LH_NODISCARD;
void lh_write_behind_destroy(struct lh_write_behind *writer); /* what was not written yet is dropped; NULL is legal */
void lh_cleanup_write_behind(struct lh_write_behind **writer);

#endif

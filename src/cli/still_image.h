/*
 * still_image: a copy of a live process at one instant, for commands that follow its structures. Private to cli.
 */
#ifndef LEAKHUNT_CLI_STILL_IMAGE_H
#define LEAKHUNT_CLI_STILL_IMAGE_H

#include "leakhunt/dump.h"
#include "leakhunt/image.h"

/*
 * Opens an operand "PID|FILE" as an image whose bytes do not change: a file as it is; of a process, a dump that is made
 * in TMPDIR (else /tmp) and has no name any more. *ret_receipt: of that dump; pid 0 for a file. `mode`: of a
 * process. Afterwards leakhunt is confined.
 */
struct lh_error *lh_snapshot_open(const char *operand, enum lh_dump_mode mode, struct lh_image **ret,
				  struct lh_receipt *ret_receipt) LH_NODISCARD;

/* Opens dumps. Images that were opened belong to the caller, also after an error. Afterwards leakhunt is confined. */
struct lh_error *lh_snapshots_open_saved(const char *const *paths, size_t count, struct lh_image **ret) LH_NODISCARD;

/* As lh_snapshot_open, of `count` moments of a process. `wait` is called between them, and may return an error. */
typedef struct lh_error *lh_snapshot_wait(const void *context);
struct lh_error *lh_snapshots_make(const char *operand, enum lh_dump_mode mode, size_t count, lh_snapshot_wait *wait,
				   const void *context, struct lh_image **ret,
				   struct lh_receipt *ret_receipts) LH_NODISCARD;
/* An lh_snapshot_wait: `wait_ns` points to a uint64_t. Says meanwhile how long it takes. */
struct lh_error *lh_snapshot_wait_time(const void *wait_ns) LH_NODISCARD;

#endif

/*
 * still_image: a copy of a live process at one instant, for commands that follow pointers. Private to cli.
 */
#ifndef LEAKHUNT_CLI_STILL_IMAGE_H
#define LEAKHUNT_CLI_STILL_IMAGE_H

#include "command.h"
#include "leakhunt/dump.h"
#include "leakhunt/image.h"

/*
 * Opens an operand "PID|FILE" as an image whose bytes do not change: a file directly; a process as a dump in TMPDIR
 * (default: /tmp) that has no name any more. *ret_receipt: of that dump; pid 0 for a file. `mode`: how a process is
 * copied. Afterwards leakhunt is confined.
 */
struct lh_error *lh_snapshot_open(const char *operand, enum lh_dump_mode mode, struct lh_image **ret,
				  struct lh_receipt *ret_receipt) LH_NODISCARD;

/*
 * Like lh_snapshot_open, for the operands "PID|FILE [FILE]": one or two moments. Two moments are two dumps, or a
 * process that is copied again after the duration of `option`. ret[1] is the later one; ret[0] stays NULL if there is
 * only one. The caller owns what was opened, also after an error.
 */
struct lh_error *lh_moments_open(const struct lh_arguments *arguments, const char *option, enum lh_dump_mode mode,
				 struct lh_image *ret[2], struct lh_receipt ret_receipts[2]) LH_NODISCARD;

/* Warns if only one of two cores was redacted, or both were with different keys: then equal texts differ. */
void lh_warn_of_redaction(const struct lh_image *before, const struct lh_image *after);

#endif

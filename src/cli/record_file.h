/*
 * record_file: records of samples, read from disk. Private to cli.
 */
#ifndef LEAKHUNT_CLI_RECORD_FILE_H
#define LEAKHUNT_CLI_RECORD_FILE_H

#include "leakhunt/select.h"

/* What a record holds beside samples that could be judged. */
struct lh_record_losses {
	char command[16];         /* comm of the process, raw bytes; "" when unknown */
	size_t skipped_lines;     /* not understood, or cut off */
	size_t unordered_samples; /* older than the one before them, in a record too long to be sorted */
	size_t lost_regions;      /* of samples that were read */
};

/* Whether a file begins as a record does; false also when it can't be read, or only once. */
bool lh_record_file_detect(const char *path);

/*
 * Judges a record of any length: one of more than some thousand samples by a part of them, evenly
 * chosen. LH_ERROR_FORMAT when it is no record.
 */
struct lh_error *lh_record_file_select(const char *path, struct lh_selection *ret,
				       struct lh_record_losses *ret_losses) LH_NODISCARD;

#endif

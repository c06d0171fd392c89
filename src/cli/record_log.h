/*
 * record_log: a record that grows under its final name, and stays below a size. Private to cli.
 */
#ifndef LEAKHUNT_CLI_RECORD_LOG_H
#define LEAKHUNT_CLI_RECORD_LOG_H

#include "leakhunt/select.h"

struct lh_record_log;

/*
 * Opens `path` to append samples of the process. A record of the same process goes on; one of another,
 * or another file, is LH_ERROR_EXISTS. After each append the file holds whole lines, also when leakhunt
 * is killed: what is torn at its end is cut off when it is opened again. When it would exceed
 * `max_bytes`, every second sample is dropped, in a file that replaces it at once.
 */
struct lh_error *lh_record_log_open(const char *path, const struct lh_process *process, uint64_t max_bytes,
				    struct lh_record_log **ret) LH_NODISCARD;
struct lh_error *lh_record_log_append(struct lh_record_log *log, const struct lh_sample *sample) LH_NODISCARD;
void lh_record_log_close(struct lh_record_log *log); /* NULL is legal */

#endif

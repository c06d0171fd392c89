/*
 * record_log: writes the record of a sampling. Private to watch.
 */
#ifndef LEAKHUNT_WATCH_RECORD_LOG_H
#define LEAKHUNT_WATCH_RECORD_LOG_H

#include "leakhunt/watch.h"

struct lh_error *lh_record_log_append(struct lh_record_log *log, const struct lh_sample *sample) LH_NODISCARD;
void lh_record_log_close(struct lh_record_log *log); /* NULL is legal */

#endif

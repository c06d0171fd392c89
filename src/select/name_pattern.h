/*
 * name_pattern: the common pattern of names that differ only in numbers. Private to select.
 */
#ifndef LEAKHUNT_SELECT_NAME_PATTERN_H
#define LEAKHUNT_SELECT_NAME_PATTERN_H

#include "leakhunt/base.h"

/* "/tmp/plug-17-3.so" is "/tmp/plug-<n>-<n>.so": each run of digits becomes "<n>". Appends to *ret. */
void lh_name_pattern(const char *name, struct lh_buffer *ret);

/* The common pattern of files with made-up names: "/tmp/plugAx7Qz.so" is "/tmp/<name>.so". Appends to *ret. */
void lh_name_folder_pattern(const char *name, struct lh_buffer *ret);

/* "worker-17" and "worker-" are "worker": numbers at the end may be cut off. Appends to *ret, which is empty. */
void lh_thread_name_pattern(const char *name, struct lh_buffer *ret);

#endif

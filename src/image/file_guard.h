/*
 * file_guard: keeps a mapped file that is truncated meanwhile from killing leakhunt. Private to image.
 */
#ifndef LEAKHUNT_IMAGE_FILE_GUARD_H
#define LEAKHUNT_IMAGE_FILE_GUARD_H

#include "leakhunt/base.h"

/*
 * From now on, pages of the mapping beyond the file's end read as zeros. Returns the guard's number; -1 when too many
 * mappings are guarded: this one is not.
 */
int lh_file_guard_add(void *mapping, size_t bytes);
/* Bytes that were read beyond the end, in whole pages. */
uint64_t lh_file_guard_lost_bytes(int guard);
/* Before the mapping goes. -1 is legal. */
void lh_file_guard_remove(int guard);

#endif

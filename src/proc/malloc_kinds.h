/*
 * malloc_kinds: which mappings glibc's malloc made, told by the headers it keeps in them. Private to proc.
 */
#ifndef LEAKHUNT_PROC_MALLOC_KINDS_H
#define LEAKHUNT_PROC_MALLOC_KINDS_H

#include "regions.h"

/* Confirms or denies arenas that the text suggests, and finds those that it could not tell. */
struct lh_error *lh_set_arena_kinds(const struct lh_process *process, struct lh_region_list *list) LH_NODISCARD;

/* Turns ANON regions that are mmapped chunks from end to end into MMAP_CHUNK. */
struct lh_error *lh_set_mmap_chunk_kinds(const struct lh_process *process, struct lh_region_list *list) LH_NODISCARD;

#endif

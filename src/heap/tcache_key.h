/*
 * tcache_key: the number by which glibc's malloc marks chunks that lie in a thread's cache: they look used.
 */
#ifndef LEAKHUNT_HEAP_TCACHE_KEY_H
#define LEAKHUNT_HEAP_TCACHE_KEY_H

#include "leakhunt/image.h"

/* 0 when there is none, or it can't be told. Since glibc 2.34 it is one random number for the whole process. */
uint64_t lh_tcache_key_find(const struct lh_image *image);

#endif

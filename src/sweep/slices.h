/*
 * slices: how long a slice is. Private to sweep and its tests.
 */
#ifndef LEAKHUNT_SWEEP_SLICES_H
#define LEAKHUNT_SWEEP_SLICES_H

#include "leakhunt/sweep.h"

/* Bytes of a slice: several passes read it after each other. A multiple of a page. */
#define LH_SLICE_BYTES ((size_t)256 * 1024)

#endif

/*
 * kernels: the list of kernels, from which kernel.c picks one. Private to sweep and its tests.
 */
#ifndef LEAKHUNT_SWEEP_KERNELS_H
#define LEAKHUNT_SWEEP_KERNELS_H

#include "leakhunt/sweep.h"

/* Best first, "scalar" last; NULL-terminated. */
extern const struct lh_kernel *const lh_kernels[];
extern const struct lh_kernel lh_kernel_scalar, lh_kernel_sse2, lh_kernel_avx2, lh_kernel_avx512, lh_kernel_neon;

#endif

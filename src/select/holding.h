/*
 * holding: judges what a process holds beside its mappings. Private to select.
 */
#ifndef LEAKHUNT_SELECT_HOLDING_H
#define LEAKHUNT_SELECT_HOLDING_H

#include "identity.h"

/* `seconds`: of the moments; `values`: scratch of the same length. *ret must be zero. */
struct lh_error *lh_holding_judge(const struct lh_tracks *tracks, enum lh_holding holding, const double *seconds,
				  double *values, struct lh_holding_growth *ret) LH_NODISCARD;

/* The process's own memory that leaks most; LH_HOLDING_COUNT: none leaks. */
enum lh_holding lh_holding_leak(const struct lh_selection *selection);

/* Computes struct lh_holding_growth's is_suspect, once all growths are judged. */
bool lh_holding_is_suspect(const struct lh_selection *selection, enum lh_holding holding);

#endif

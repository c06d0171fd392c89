/*
 * holding: judges what a process holds beside its mappings. Private to select.
 */
#ifndef LEAKHUNT_SELECT_HOLDING_H
#define LEAKHUNT_SELECT_HOLDING_H

#include "identity.h"

/* `seconds`: of the moments; `values`: scratch of as many. *ret is zero before. */
struct lh_error *lh_holding_judge(const struct lh_tracks *tracks, enum lh_holding holding, const double *seconds,
				  double *values, struct lh_holding_growth *ret) LH_NODISCARD;

/* Of memory that is the process's own, the one that leaks most; LH_HOLDING_COUNT: none does. */
enum lh_holding lh_holding_leak(const struct lh_selection *selection);

/* What struct lh_holding_growth's is_suspect says; all growths are judged. */
bool lh_holding_is_suspect(const struct lh_selection *selection, enum lh_holding holding);

#endif

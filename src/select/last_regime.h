/*
 * last_regime: where the current behavior of a series began. Private to select.
 */
#ifndef LEAKHUNT_SELECT_LAST_REGIME_H
#define LEAKHUNT_SELECT_LAST_REGIME_H

#include "trend.h"

/*
 * *ret: the sample from which on a series moves far less than before, at a higher level, as after a warm-up; the part
 * from there on should be judged alone. 0: there is no such break, or too little follows it.
 */
struct lh_error *lh_last_regime_find(struct lh_series series, size_t *ret) LH_NODISCARD;

#endif

/*
 * last_regime: where what a series does now began. Private to select.
 */
#ifndef LEAKHUNT_SELECT_LAST_REGIME_H
#define LEAKHUNT_SELECT_LAST_REGIME_H

#include "trend.h"

/*
 * *ret: the sample from which on a series moves far less than before, on a higher level, as after a warm-up; what
 * comes then is to be judged by itself. 0: there is no such break, or too little comes after it.
 */
struct lh_error *lh_last_regime_find(struct lh_series series, size_t *ret) LH_NODISCARD;

#endif

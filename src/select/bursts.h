/*
 * bursts: short peaks that hide what a series does otherwise. Private to select.
 */
#ifndef LEAKHUNT_SELECT_BURSTS_H
#define LEAKHUNT_SELECT_BURSTS_H

#include "trend.h"

/*
 * Copies the values to `ret` (series.count numbers), with the peaks of a few bursts cut down to what lies around them,
 * when these make more than half of the range. Returns the height cut off in bytes; 0: nothing was cut.
 */
double lh_bursts_cut(struct lh_series series, double *ret);

#endif

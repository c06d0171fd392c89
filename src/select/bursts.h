/*
 * bursts: short peaks that hide the rest of a series. Private to select.
 */
#ifndef LEAKHUNT_SELECT_BURSTS_H
#define LEAKHUNT_SELECT_BURSTS_H

#include "trend.h"

/*
 * Copies the values to `ret` (series.count numbers). If a few bursts make up more than half of the range, their peaks
 * are cut down to their surroundings. Returns the height that was cut off, in bytes; 0: nothing was cut.
 */
double lh_bursts_cut(struct lh_series series, double *ret);

#endif

/*
 * growth_weights: what the statistics of growth_model weigh. Private to select.
 */
#ifndef LEAKHUNT_SELECT_GROWTH_WEIGHTS_H
#define LEAKHUNT_SELECT_GROWTH_WEIGHTS_H

#include "growth_model.h"

/* Sets contributions and probability from the values. */
void lh_growth_odds_weigh(struct lh_growth_odds *odds);

#endif

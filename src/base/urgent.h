/*
 * urgent: what a crew asks of it. Private to base.
 */
#ifndef LEAKHUNT_BASE_URGENT_H
#define LEAKHUNT_BASE_URGENT_H

#include <stdbool.h>

/* Whether the calling thread is a real-time thread. */
bool lh_is_urgent(void);

#endif

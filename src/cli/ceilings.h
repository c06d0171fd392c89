/*
 * ceilings: what a live process can run into as it grows. Private to cli.
 */
#ifndef LEAKHUNT_CLI_CEILINGS_H
#define LEAKHUNT_CLI_CEILINGS_H

#include "leakhunt/select.h"

/* `holdings`: of the same moment. What can't be read is LH_NO_LIMIT. */
struct lh_ceilings lh_ceilings_read(const struct lh_process *process, const struct lh_holdings *holdings);

#endif

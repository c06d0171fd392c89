/*
 * confine: the parts of a confinement. Private to src/confine.
 */
#ifndef LEAKHUNT_CONFINE_CONFINE_H
#define LEAKHUNT_CONFINE_CONFINE_H

#include "leakhunt/confine.h"

/* Whether this one is effective. */
bool lh_capabilities_have(int capability);

/* Gives up all capabilities except those of the mask (1 << CAP_*), and every way to regain others. */
void lh_capabilities_drop(uint64_t kept);

/* Once, before there are threads. Without an opener, lh_confined_open_below opens what its caller may. */
void lh_file_opener_start(void);

/* Needs no_new_privs or CAP_SYS_ADMIN. */
int lh_landlock_abi(void);
void lh_landlock_apply(const struct lh_confine_options *options);

/* Needs no_new_privs. `has_landlock`: paths are checked there. */
bool lh_syscall_filter_is_supported(void);
void lh_syscall_filter_apply(const struct lh_confine_options *options, bool has_landlock);

#endif

/*
 * confine: the order in which leakhunt gives up privileges. Input: what it still has to open. Each step needs
 * privileges that a later one removes: securebits and bounding set need CAP_SETPCAP, and Landlock's rules need whatever
 * opens their paths.
 */
#include "confine.h"

#include <jansson.h>
#include <linux/capability.h>
#include <sys/prctl.h>

struct lh_confine_support lh_confine_support(void)
{
#ifdef LEAKHUNT_UNCONFINED
	return (struct lh_confine_support){.is_off = true};
#else
	return (struct lh_confine_support){
		.landlock_abi = lh_landlock_abi(),
		.has_seccomp = lh_syscall_filter_is_supported(),
	};
#endif
}

static uint64_t kept_capabilities(const struct lh_confine_options *options)
{
	uint64_t kept = options->keeps_reading_power ? UINT64_C(1) << CAP_DAC_READ_SEARCH : 0;
	/* Landlock limits where. Root may write in folders of other users only with this capability. */
	return options->write_folder ? kept | UINT64_C(1) << CAP_DAC_OVERRIDE : kept;
}

void lh_confine(const struct lh_confine_options *options)
{
	if (lh_confine_support().is_off)
		return;
	/* jansson reads /dev/urandom when it makes the first object. */
	json_object_seed(0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	lh_landlock_apply(options);
	if (options->keeps_reading_power && lh_capabilities_have(CAP_DAC_READ_SEARCH))
		lh_file_opener_start();
	lh_capabilities_drop(kept_capabilities(options));
	lh_syscall_filter_apply(options, lh_landlock_abi() > 0);
}

void lh_confine_settle(void)
{
	if (!lh_confine_support().is_off)
		lh_capabilities_drop(0);
}

/*
 * kernel: the list of kernels and the choice among them.
 */
#include "kernels.h"
#include "leakhunt/sweep.h"

#include <string.h>

const struct lh_kernel *const lh_kernels[] = {
#ifdef __x86_64__
	&lh_kernel_avx512, &lh_kernel_avx2,
	&lh_kernel_sse2,
#endif
#ifdef __aarch64__
	&lh_kernel_neon,
#endif
	&lh_kernel_scalar, NULL,
};

static struct lh_error *unusable_error(const char *name)
{
	struct lh_buffer names LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *problem = "is not the name of a kernel";
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		if (strcmp((*kernel)->name, name) == 0)
			problem = "is a kernel that this processor cannot run";
		if ((*kernel)->is_supported())
			lh_buffer_printf(&names, "%s%s", names.length ? ", " : "", (*kernel)->name);
	}
	LH_TRY(lh_buffer_status(&names));
	return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "LEAKHUNT_KERNEL: '%s' %s", name, problem),
			     "unset it, or choose one of: %s", names.data);
}

struct lh_error *lh_kernel_select(const struct lh_kernel **ret)
{
	const char *forced = lh_settings()->kernel;
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		if ((*kernel)->is_supported() && (!forced || strcmp(forced, (*kernel)->name) == 0)) {
			*ret = *kernel;
			return NULL;
		}
	}
	return unusable_error(forced ? forced : "");
}

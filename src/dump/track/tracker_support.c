/*
 * tracker_support: which ways of tracking writes this kernel has, tried on leakhunt itself. Output: one word each.
 * Touches no target.
 */
#include "leakhunt/dump.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.7; the distribution's linux/userfaultfd.h is older. */
#define FEATURE_WP_UNPOPULATED (UINT64_C(1) << 13)
#define FEATURE_WP_ASYNC       (UINT64_C(1) << 15)

static bool has_write_protection(void)
{
	LH_CLEANUP(lh_cleanup_close) int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED};
	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0;
}

static bool has_soft_dirty(void)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	struct lh_soft_dirty *soft = NULL;
	struct lh_error *error = lh_process_open(getpid(), &process);
	if (!error)
		error = lh_soft_dirty_open(process, &soft);
	if (!error)
		lh_soft_dirty_close(soft);
	bool has = !error;
	lh_error_destroy(error);
	return has;
}

struct lh_tracker_support lh_dump_tracker_support(void)
{
	return (struct lh_tracker_support){has_write_protection(), has_soft_dirty()};
}

/*
 * cgroup_paths: where in the file system a process's cgroup lies. Private to proc.
 */
#ifndef LEAKHUNT_PROC_CGROUP_PATHS_H
#define LEAKHUNT_PROC_CGROUP_PATHS_H

#include "leakhunt/base.h"

#include <limits.h>

struct lh_cgroup_texts {
	const char *root;      /* prefix of all mount points */
	const char *cgroup;    /* /proc/PID/cgroup */
	const char *mountinfo; /* /proc/self/mountinfo */
};

struct lh_cgroup_place {
	bool is_v1;
	char folder[PATH_MAX]; /* of the process's cgroup, without a slash at its end */
	char cgroup[PATH_MAX]; /* the same cgroup, as /proc/PID/cgroup names it; "" for the root */
	size_t mount_bytes;    /* length of the part of `folder` that is the mount point */
};

/*
 * The cgroup that controls `controller` ("memory", "pids"): in its v1 hierarchy if it has one, else in v2 (cgroups(7)).
 * False when the hierarchy is not mounted, or the cgroup is outside of the mount.
 */
bool lh_cgroup_find(const struct lh_cgroup_texts *texts, const char *controller, struct lh_cgroup_place *ret);

/* The cgroup in the v2 hierarchy, whatever other hierarchies exist. */
bool lh_cgroup_find_v2(const struct lh_cgroup_texts *texts, struct lh_cgroup_place *ret);

#endif

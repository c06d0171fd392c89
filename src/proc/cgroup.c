/*
 * cgroup: the limits of a process's cgroups and of all their ancestors. Input: the lines of /proc/PID/cgroup, and
 * mountinfo to find where the hierarchies are mounted. Output: for each limit the cgroup with the least left. Both
 * versions, also mixed (each controller is in one of them). Cgroup files are read, never written.
 */
#include "cgroup_paths.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* v1 shows "no limit" as the largest whole number of pages (mm/page_counter.c), about 8 EiB. */
#define LIMIT_V1_MAX (UINT64_C(1) << 62)

/* The files of one limit. */
struct limit_files {
	const char *limit;
	const char *used;
	bool is_memory; /* memory.stat says how much of it is reclaimable */
};

uint64_t lh_limit_left(const struct lh_limit *limit)
{
	if (limit->limit == LH_NO_LIMIT)
		return LH_NO_LIMIT;
	uint64_t held = limit->used - lh_min_u64(limit->used, limit->reclaimable_bytes);
	return limit->limit - lh_min_u64(limit->limit, held);
}

/* ---------------------------------------------------------------- one cgroup */

static bool read_text(const char *folder, const char *name, char *ret, size_t ret_bytes)
{
	LH_CLEANUP(lh_cleanup_close) int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && lh_proc_read_small(fd, name, ret, ret_bytes) > 0;
}

static bool read_number(const char *folder, const char *name, uint64_t *ret)
{
	char text[64];
	if (!read_text(folder, name, text, sizeof(text)))
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, "max") == 0) {
		*ret = LH_NO_LIMIT;
		return true;
	}
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if (end == text || *end || errno || text[0] == '-')
		return false;
	*ret = value >= LIMIT_V1_MAX ? LH_NO_LIMIT : value;
	return true;
}

/* The number of the line "<key> <number>" of a memory.stat; 0 when there is none. */
static uint64_t read_stat_key(const char *stat, const char *key)
{
	size_t key_bytes = strlen(key);
	for (const char *line = stat; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_bytes) == 0 && line[key_bytes] == ' ')
			return strtoull(line + key_bytes + 1, NULL, 10);
	}
	return 0;
}

/* v1 counts without descendants, except in lines "total_"; v2 always with them. */
static uint64_t reclaimable_bytes(const char *folder, bool is_v1)
{
	char stat[8192];
	if (!read_text(folder, "memory.stat", stat, sizeof(stat)))
		return 0;
	uint64_t sum;
	if (!lh_add_u64(read_stat_key(stat, is_v1 ? "total_inactive_file" : "inactive_file"),
			read_stat_key(stat, is_v1 ? "total_active_file" : "active_file"), &sum))
		return 0;
	return sum;
}

/* A v1 cgroup may exclude its descendants; since Linux 5.11 none can. */
static bool binds_descendants(const char *folder, bool is_v1)
{
	uint64_t uses_hierarchy = 1;
	return !is_v1 || !read_number(folder, "memory.use_hierarchy", &uses_hierarchy) || uses_hierarchy;
}

static bool read_limit(const char *folder, const struct limit_files *files, bool is_v1, struct lh_limit *ret)
{
	struct lh_limit limit = {.cgroup = ""};
	if (!read_number(folder, files->limit, &limit.limit))
		return false;
	if (!read_number(folder, files->used, &limit.used) || limit.used == LH_NO_LIMIT)
		limit.used = 0;
	if (files->is_memory)
		limit.reclaimable_bytes = lh_min_u64(reclaimable_bytes(folder, is_v1), limit.used);
	*ret = limit;
	return true;
}

/* ---------------------------------------------------------------- it and its ancestors */

/* Keeps the tighter limit; `is_first`: there is none yet. */
static struct lh_error *take_tighter(const struct lh_limit *limit, const char *cgroup, bool is_first,
				     struct lh_strings_pool *strings, struct lh_limit *tightest)
{
	if (!is_first && lh_limit_left(limit) >= lh_limit_left(tightest))
		return NULL;
	*tightest = *limit;
	return lh_strings_pool_add(strings, cgroup, strlen(cgroup), &tightest->cgroup);
}

static void cut_last_name(char *path)
{
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
}

/* `place` is the process's cgroup; its path shrinks name by name up to the mount point. */
static struct lh_error *find_tightest(const struct lh_cgroup_place *place, const struct limit_files *files,
				      struct lh_strings_pool *strings, struct lh_limit *ret)
{
	char folder[PATH_MAX], cgroup[PATH_MAX];
	bool is_first = true;
	snprintf(folder, sizeof(folder), "%s", place->folder);
	snprintf(cgroup, sizeof(cgroup), "%s", place->cgroup);
	for (bool is_own = true;; is_own = false) {
		struct lh_limit limit;
		bool binds = is_own || !files->is_memory || binds_descendants(folder, place->is_v1);
		if (binds && read_limit(folder, files, place->is_v1, &limit)) {
			LH_TRY(take_tighter(&limit, cgroup[0] ? cgroup : "/", is_first, strings, ret));
			is_first = false;
		}
		if (strlen(folder) <= place->mount_bytes)
			return NULL;
		cut_last_name(folder);
		cut_last_name(cgroup);
	}
}

struct limit_row {
	const char *controller;
	struct limit_files v1; /* limit NULL: that version has no such limit */
	struct limit_files v2;
	struct lh_limit *limit;
};

static struct lh_error *read_row(const struct lh_cgroup_texts *texts, const struct limit_row *row,
				 struct lh_strings_pool *strings)
{
	struct lh_cgroup_place place;
	if (!lh_cgroup_find(texts, row->controller, &place))
		return NULL;
	const struct limit_files *files = place.is_v1 ? &row->v1 : &row->v2;
	return files->limit ? find_tightest(&place, files, strings, row->limit) : NULL;
}

struct lh_error *lh_cgroup_read_at(const char *root, const char *cgroup_text, const char *mountinfo_text,
				   struct lh_cgroup_limits *ret)
{
	const struct lh_limit none = {.limit = LH_NO_LIMIT, .cgroup = ""};
	const struct lh_cgroup_texts texts = {root, cgroup_text, mountinfo_text};
	struct lh_cgroup_limits limits = {
		.memory = none, .memory_throttle = none, .swap = none, .memory_and_swap = none, .tasks = none};
	const struct limit_row rows[] = {
		{"memory",
		 {"memory.limit_in_bytes", "memory.usage_in_bytes", true},
		 {"memory.max", "memory.current", true},
		 &limits.memory},
		{"memory", {0}, {"memory.high", "memory.current", true}, &limits.memory_throttle},
		{"memory", {0}, {"memory.swap.max", "memory.swap.current", false}, &limits.swap},
		{"memory",
		 {"memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes", true},
		 {0},
		 &limits.memory_and_swap},
		{"pids", {"pids.max", "pids.current", false}, {"pids.max", "pids.current", false}, &limits.tasks},
	};
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < LH_ARRAY_COUNT(rows); i++)
		error = read_row(&texts, &rows[i], &limits.strings);
	if (error)
		lh_cgroup_limits_deinit(&limits);
	else
		*ret = limits;
	return error;
}

void lh_cgroup_limits_deinit(struct lh_cgroup_limits *limits)
{
	lh_strings_pool_deinit(&limits->strings);
	*limits = (struct lh_cgroup_limits){0};
}

/* ---------------------------------------------------------------- of a process */

#define MOUNTINFO_MAX (16 * LH_MIB)

/* A kernel without cgroups has no such file: no limits. */
static struct lh_error *read_limits(const struct lh_buffer *cgroup, struct lh_cgroup_limits *ret)
{
	struct lh_buffer mountinfo LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_file_read("/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo));
	return lh_cgroup_read_at("", cgroup->data ? cgroup->data : "", mountinfo.data ? mountinfo.data : "", ret);
}

struct lh_error *lh_cgroup_read(const struct lh_process *process, struct lh_cgroup_limits *ret)
{
	struct lh_buffer cgroup LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error = lh_process_read_file(process, "cgroup", &cgroup);
	if (error && lh_error_code(error) == LH_ERROR_UNSUPPORTED)
		lh_error_destroy(error);
	else if (error)
		return error;
	return read_limits(&cgroup, ret);
}

struct lh_error *lh_cgroup_read_own(struct lh_cgroup_limits *ret)
{
	struct lh_buffer cgroup LH_CLEANUP(lh_buffer_deinit) = {0};
	if (access("/proc/self/cgroup", F_OK) == 0)
		LH_TRY(lh_file_read("/proc/self/cgroup", LH_MIB, &cgroup));
	return read_limits(&cgroup, ret);
}

/* The root's figures are the machine's: not reported. */
bool lh_cgroup_memory_folder(const struct lh_process *process, char *ret, size_t ret_bytes, bool *ret_is_v1)
{
	struct lh_buffer cgroup LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer mountinfo LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *no_cgroup = lh_process_read_file(process, "cgroup", &cgroup);
	LH_CLEANUP(lh_cleanup_error)
	struct lh_error *no_mounts = lh_file_read("/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo);
	struct lh_cgroup_place place;
	if (no_cgroup || no_mounts || !cgroup.data || !mountinfo.data)
		return false;
	const struct lh_cgroup_texts texts = {"", cgroup.data, mountinfo.data};
	uint64_t used;
	if (!lh_cgroup_find(&texts, "memory", &place) || (place.is_v1 && strlen(place.folder) <= place.mount_bytes) ||
	    !read_number(place.folder, place.is_v1 ? "memory.usage_in_bytes" : "memory.current", &used))
		return false;
	*ret_is_v1 = place.is_v1;
	return (size_t)snprintf(ret, ret_bytes, "%s", place.folder) < ret_bytes;
}

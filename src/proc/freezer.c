/*
 * freezer: whether a cgroup freezer holds a process. Input: the lines of /proc/PID/cgroup, and mountinfo to find where
 * the hierarchies are mounted. Output: the frozen cgroup. Files are read, never written.
 */
#include "cgroup_paths.h"
#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTINFO_TEXT_MAX (16 * LH_MIB)

/* Whether the file has the line, without its newline. */
static bool file_has_line(const char *folder, const char *name, const char *line)
{
	char path[PATH_MAX], text[512];
	int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (length < 0 || (size_t)length >= sizeof(path) || lh_proc_read_small(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	char *rest = text;
	for (char *found; (found = strsep(&rest, "\n"));) {
		if (strcmp(found, line) == 0)
			return true;
	}
	return false;
}

/*
 * Of the cgroup itself, or of an ancestor. A cgroup that is still freezing counts: some of its threads may be stopped
 * already.
 */
static bool is_frozen(const struct lh_cgroup_place *place)
{
	if (place->is_v1)
		return file_has_line(place->folder, "freezer.state", "FROZEN") ||
		       file_has_line(place->folder, "freezer.state", "FREEZING");
	return file_has_line(place->folder, "cgroup.events", "frozen 1") ||
	       file_has_line(place->folder, "cgroup.freeze", "1");
}

static bool was_frozen_here(const char *folder, bool is_v1)
{
	return is_v1 ? file_has_line(folder, "freezer.self_freezing", "1")
		     : file_has_line(folder, "cgroup.freeze", "1");
}

/* Goes up to the nearest cgroup that was itself frozen; the process's own when none is visible. */
static void name_frozen(const struct lh_cgroup_place *place, struct lh_freezer *ret)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof(folder), "%s", place->folder);
	while (strlen(folder) > place->mount_bytes && !was_frozen_here(folder, place->is_v1))
		*strrchr(folder, '/') = '\0';
	bool is_found = strlen(folder) > place->mount_bytes;
	snprintf(ret->folder, sizeof(ret->folder), "%s", is_found ? folder : place->folder);
}

void lh_freezer_read_at(const char *root, const char *cgroup_text, const char *mountinfo_text, struct lh_freezer *ret)
{
	const struct lh_cgroup_texts texts = {root, cgroup_text, mountinfo_text};
	struct lh_cgroup_place place;
	*ret = (struct lh_freezer){.folder = ""};
	bool holds = lh_cgroup_find(&texts, "freezer", &place) && is_frozen(&place);
	if (!holds)
		holds = lh_cgroup_find_v2(&texts, &place) && is_frozen(&place);
	if (!holds)
		return;
	ret->is_frozen = true;
	ret->is_v1 = place.is_v1;
	name_frozen(&place, ret);
}

void lh_freezer_read(const struct lh_process *process, struct lh_freezer *ret)
{
	struct lh_buffer cgroup LH_CLEANUP(lh_buffer_deinit) = {0}, mountinfo LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error = lh_process_read_file(process, "cgroup", &cgroup);
	if (!error)
		error = lh_file_read("/proc/self/mountinfo", MOUNTINFO_TEXT_MAX, &mountinfo);
	*ret = (struct lh_freezer){.folder = ""};
	if (!error && cgroup.data && mountinfo.data)
		lh_freezer_read_at("", cgroup.data, mountinfo.data, ret);
	lh_error_destroy(error);
}

/*
 * cgroup_paths: from the lines of /proc/PID/cgroup and mountinfo to a folder. In a container a hierarchy may be mounted
 * from the container's cgroup on, which is then the mount's root (mountinfo's fourth field). Paths outside of the
 * mounts are not followed.
 */
#include "cgroup_paths.h"

#include <stdio.h>
#include <string.h>

/* A stretch of a text. */
struct span {
	const char *at;
	size_t bytes;
};

static bool span_is(struct span span, const char *word)
{
	return span.at && span.bytes == strlen(word) && memcmp(span.at, word, span.bytes) == 0;
}

/* The next part up to `separator` or the end. *text moves behind it; NULL after the last part. */
static bool next_span(struct span *text, char separator, struct span *ret)
{
	if (!text->at)
		return false;
	const char *end = memchr(text->at, separator, text->bytes);
	*ret = (struct span){text->at, end ? (size_t)(end - text->at) : text->bytes};
	*text = end ? (struct span){end + 1, text->bytes - ret->bytes - 1} : (struct span){NULL, 0};
	return true;
}

static bool list_holds(struct span list, const char *word)
{
	struct span item;
	while (next_span(&list, ',', &item)) {
		if (span_is(item, word))
			return true;
	}
	return false;
}

/* mountinfo writes blank, tab, newline and backslash as \ooo (proc_pid_mountinfo(5)). */
static bool unescape_path(struct span from, char *ret, size_t ret_bytes)
{
	size_t length = 0;
	for (size_t i = 0; i < from.bytes; i++) {
		unsigned char byte = (unsigned char)from.at[i];
		unsigned value;
		if (byte == '\\' && i + 3 < from.bytes && sscanf(from.at + i + 1, "%3o", &value) == 1) {
			byte = (unsigned char)value;
			i += 3;
		}
		if (length + 1 >= ret_bytes || !byte)
			return false;
		ret[length++] = (char)byte;
	}
	ret[length] = '\0';
	return true;
}

/* ---------------------------------------------------------------- /proc/PID/cgroup */

/* "4:memory:/docker/12ab", "0::/user.slice": the path in the controller's hierarchy; NULL: in v2's. */
static bool find_cgroup(const char *text, const char *controller, bool *ret_is_v1, struct span *ret)
{
	struct span rest = {text, strlen(text)}, line, number, controllers;
	bool has_v2 = false;
	while (next_span(&rest, '\n', &line)) {
		if (!next_span(&line, ':', &number) || !next_span(&line, ':', &controllers) || !line.at ||
		    line.at[0] != '/')
			continue;
		if (controller && list_holds(controllers, controller)) {
			*ret = line;
			*ret_is_v1 = true;
			return true;
		}
		if (span_is(number, "0") && !controllers.bytes) {
			*ret = line;
			has_v2 = true;
		}
	}
	*ret_is_v1 = false;
	return has_v2;
}

/* ---------------------------------------------------------------- mountinfo */

struct mount_line {
	struct span root;
	struct span point;
	struct span type;
	struct span super_options;
};

/* "34 24 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory" */
static bool parse_mount(struct span line, struct mount_line *ret)
{
	struct span skipped;
	for (int i = 0; i < 3; i++) {
		if (!next_span(&line, ' ', &skipped))
			return false;
	}
	if (!next_span(&line, ' ', &ret->root) || !next_span(&line, ' ', &ret->point))
		return false;
	do {
		if (!next_span(&line, ' ', &skipped))
			return false;
	} while (!span_is(skipped, "-"));
	return next_span(&line, ' ', &ret->type) && next_span(&line, ' ', &skipped) &&
	       next_span(&line, ' ', &ret->super_options);
}

static bool mount_has(const struct mount_line *mount, bool is_v1, const char *controller)
{
	if (!is_v1)
		return span_is(mount->type, "cgroup2");
	return controller && span_is(mount->type, "cgroup") && list_holds(mount->super_options, controller);
}

/* "/..": a cgroup outside of leakhunt's namespace, or a removed one. */
static bool leads_out(const char *path)
{
	return strstr(path, "/..") || strstr(path, " (deleted)");
}

/* What of `cgroup` lies below the mount's root; NULL when it does not. */
static const char *below_root(const char *cgroup, const char *root)
{
	size_t bytes = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(cgroup, root, bytes) != 0 || (cgroup[bytes] && cgroup[bytes] != '/'))
		return NULL;
	return strcmp(cgroup + bytes, "/") == 0 ? "" : cgroup + bytes;
}

static bool set_place(const struct lh_cgroup_texts *texts, const struct mount_line *mount, struct lh_cgroup_place *ret)
{
	char mount_root[PATH_MAX], point[PATH_MAX];
	if (!unescape_path(mount->root, mount_root, sizeof(mount_root)) ||
	    !unescape_path(mount->point, point, sizeof(point)))
		return false;
	const char *below = below_root(ret->cgroup, mount_root);
	if (!below)
		return false;
	int length = snprintf(ret->folder, sizeof(ret->folder), "%s%s%s", texts->root, point, below);
	ret->mount_bytes = strlen(texts->root) + strlen(point);
	return length > 0 && (size_t)length < sizeof(ret->folder);
}

static bool find_place(const struct lh_cgroup_texts *texts, const char *controller, struct lh_cgroup_place *ret)
{
	struct span path, rest = {texts->mountinfo, strlen(texts->mountinfo)}, line;
	struct mount_line mount;
	if (!find_cgroup(texts->cgroup, controller, &ret->is_v1, &path) || path.bytes >= sizeof(ret->cgroup))
		return false;
	memcpy(ret->cgroup, path.at, path.bytes);
	ret->cgroup[path.bytes] = '\0';
	if (leads_out(ret->cgroup))
		return false;
	while (next_span(&rest, '\n', &line)) {
		if (parse_mount(line, &mount) && mount_has(&mount, ret->is_v1, controller) &&
		    set_place(texts, &mount, ret))
			return true;
	}
	return false;
}

bool lh_cgroup_find(const struct lh_cgroup_texts *texts, const char *controller, struct lh_cgroup_place *ret)
{
	return find_place(texts, controller, ret);
}

bool lh_cgroup_find_v2(const struct lh_cgroup_texts *texts, struct lh_cgroup_place *ret)
{
	return find_place(texts, NULL, ret);
}

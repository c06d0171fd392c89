/*
 * hunt_folder: the folder for all files of a hunt, COMMAND.PID.TIME. The command's name is the target's: bytes outside
 * of a safe set become '_'.
 */
#include "hunt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_MAX = 1000 };

static const char plain_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+";

static void put_plain(const char *text, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, *text && *text != '-' ? "" : "_");
	for (; *text; text++)
		lh_buffer_append(ret, strchr(plain_bytes, *text) ? text : "_", 1);
}

/* "tlsproxy.4711.20261129T180000Z" */
static void put_folder_name(const struct lh_process *process, struct lh_buffer *ret)
{
	char date[32];
	time_t now = time(NULL);
	struct tm parts;
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &parts));
	put_plain(lh_process_command(process), ret);
	lh_buffer_printf(ret, ".%d.%s", (int)lh_process_pid(process), date);
}

static struct lh_error *make_folder(const char *path)
{
	if (mkdir(path, 0700) == 0)
		return NULL;
	return lh_error_hint(lh_error_from_errno(errno, "cannot create the folder %s", path),
			     "name another one with -o, in a folder that can be written to");
}

struct lh_error *lh_hunt_folder_create(const struct lh_process *process, const char *path, char **ret)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	if (path)
		lh_buffer_puts(&name, path);
	else
		put_folder_name(process, &name);
	LH_TRY(lh_buffer_status(&name));
	size_t length = name.length;
	struct lh_error *error = make_folder(name.data);
	/* Two hunts of one process in a second. */
	for (int number = 2; !path && error && lh_error_code(error) == LH_ERROR_EXISTS && number < NAMES_MAX;
	     number++) {
		lh_error_destroy(error);
		name.length = length;
		lh_buffer_printf(&name, ".%d", number);
		LH_TRY(lh_buffer_status(&name));
		error = make_folder(name.data);
	}
	LH_TRY(error);
	*ret = strdup(name.data);
	return *ret ? NULL : lh_error_no_memory();
}

struct lh_error *lh_hunt_path(const char *folder, const char *name, char **ret)
{
	char *path = NULL;
	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return lh_error_no_memory();
	free(*ret);
	*ret = path;
	return NULL;
}

struct lh_error *lh_hunt_find_dumps(const char *record_path, char *ret_paths[LH_HUNT_SIDES])
{
	static const char *const names[LH_HUNT_SIDES] = {"before.core", "after.core"};
	const char *slash = strrchr(record_path, '/');
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		char *path = NULL;
		if (asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - record_path) : 0, record_path, names[side]) < 0)
			return lh_error_no_memory();
		if (access(path, R_OK) == 0) {
			ret_paths[side] = path;
			continue;
		}
		free(path);
		ret_paths[side] = NULL;
	}
	return NULL;
}

static uint64_t file_disk_bytes(const char *path)
{
	struct stat status;
	return path && stat(path, &status) == 0 ? (uint64_t)status.st_blocks * LH_STAT_BLOCK_BYTES : 0;
}

void lh_hunt_measure_disk(struct lh_hunt *hunt)
{
	static const char *const names[] = {"record.jsonl", "before.core", "after.core", "report.html", "report.json"};
	hunt->disk_bytes = 0;
	for (size_t i = 0; hunt->folder && i < LH_ARRAY_COUNT(names); i++) {
		LH_CLEANUP(lh_cleanup_free) char *path = NULL;
		lh_error_destroy(lh_hunt_path(hunt->folder, names[i], &path));
		hunt->disk_bytes += file_disk_bytes(path);
	}
}

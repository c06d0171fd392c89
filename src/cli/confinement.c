/*
 * confinement: gives up the rights that a command no longer needs. Input: what the command still has to open, and the
 * user's environment. Hostile bytes are parsed only after this.
 */
#include "confinement.h"

#include "leakhunt/confine.h"
#include "leakhunt/format.h"
#include "leakhunt/image.h"
#include "leakhunt/process.h"
#include "leakhunt/symbols.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void lh_confinement_deinit(struct lh_confinement *confinement)
{
	for (size_t i = 0; i < confinement->read_paths.count; i++)
		free(confinement->read_paths.items[i]);
	lh_vec_deinit(&confinement->read_paths);
	free(confinement->write_folder);
	free(confinement->cache_folder);
}

struct lh_error *lh_confinement_add_path(struct lh_confinement *confinement, const char *path)
{
	char *copy = strdup(path);
	if (!copy)
		return lh_error_no_memory();
	struct lh_error *error = lh_vec_push(&confinement->read_paths, copy);
	if (error)
		free(copy);
	confinement->keeps_reading_power = true;
	return error;
}

static struct lh_error *replace_text(char **text, char *copy)
{
	if (!copy)
		return lh_error_no_memory();
	free(*text);
	*text = copy;
	return NULL;
}

struct lh_error *lh_confinement_add_image(struct lh_confinement *confinement, const char *path)
{
	struct lh_buffer index LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_printf(&index, "%s" LH_RAW_INDEX_SUFFIX, path);
	LH_TRY(lh_buffer_status(&index));
	LH_TRY(lh_confinement_add_path(confinement, path));
	LH_TRY(lh_confinement_add_path(confinement, index.data));
	if (lh_image_file_is_compressed(path))
		return replace_text(&confinement->write_folder, strdup(lh_settings()->temporary_folder));
	return NULL;
}

struct lh_error *lh_confinement_add_output(struct lh_confinement *confinement, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	return replace_text(&confinement->write_folder, folder);
}

struct lh_error *lh_confinement_add_process(struct lh_confinement *confinement, const struct lh_process *process)
{
	char folder[64];
	return lh_confinement_add_path(confinement, lh_process_folder(process, folder, sizeof(folder)));
}

/* Where libdebuginfod keeps files (debuginfod_find_debuginfo(3), "CACHE"); created if missing. */
static struct lh_error *find_cache_folder(char **ret)
{
	struct lh_buffer folder LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *own = getenv("DEBUGINFOD_CACHE_PATH"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (own && *own)
		lh_buffer_puts(&folder, own);
	else if (cache && *cache)
		lh_buffer_printf(&folder, "%s/debuginfod_client", cache);
	else
		lh_buffer_printf(&folder, "%s/.cache/debuginfod_client", home ? home : "");
	LH_TRY(lh_buffer_status(&folder));
	for (char *slash = strchr(folder.data + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(folder.data, 0700);
		*slash = '/';
	}
	(void)mkdir(folder.data, 0700);
	return replace_text(ret, strdup(folder.data));
}

struct lh_error *lh_confinement_add_symbols(struct lh_confinement *confinement, const char *root)
{
	LH_TRY(lh_confinement_add_path(confinement, *root ? root : "/"));
	if (!lh_settings()->has_debug_servers)
		return NULL;
	/* Debuginfod needs libraries, certificates, and the resolver's files. */
	LH_TRY(lh_confinement_add_path(confinement, "/"));
	return find_cache_folder(&confinement->cache_folder);
}

void lh_confinement_apply(const struct lh_confinement *confinement)
{
	struct lh_confine_options options = {
		.read_paths = (const char *const *)confinement->read_paths.items,
		.read_count = confinement->read_paths.count,
		.write_folder = confinement->write_folder,
		.cache_folder = confinement->cache_folder,
		.keeps_reading_power = confinement->keeps_reading_power,
	};
	lh_symbols_open_files_by(lh_confined_open_below);
	lh_confine(&options);
}

void lh_confinement_describe(struct lh_buffer *ret)
{
	struct lh_confine_support support = lh_confine_support();
	lh_buffer_printf(ret, "own core dumps: %s\n", lh_self_is_undumpable() ? "never written" : "possible");
	if (support.is_off) {
		lh_buffer_puts(ret, "confinement: off in this build (sanitizer or coverage)\n");
		return;
	}
	lh_buffer_puts(ret, "capabilities: dropped before files are parsed\n");
	if (support.landlock_abi)
		lh_buffer_printf(ret, "Landlock: ABI %d (files%s%s)\n", support.landlock_abi,
				 support.landlock_abi >= 4 ? ", network" : "",
				 support.landlock_abi >= 6 ? ", signals" : "");
	else
		lh_buffer_puts(ret, "Landlock: not in this kernel\n");
	lh_buffer_printf(ret, "seccomp: %s\n", support.has_seccomp ? "filters system calls" : "not in this kernel");
}

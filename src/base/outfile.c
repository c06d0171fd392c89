/*
 * outfile: output files that get their name only when they are complete. Until then they have none
 * at all (O_TMPFILE), so that nothing is left of them whatever happens; on file systems without
 * that (NFS, FUSE, overlayfs of old) they are called ".NAME.PID.tmp", and go unless we are killed.
 */
#include "leakhunt/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* linux/fs.h has them, but that header clashes with sys/mount.h on some libcs. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

struct lh_outfile {
	int fd;
	char *path;
	char *temporary;
	bool has_temporary; /* a file of that name is there: ours, or, once exchanged, the one that was replaced */
	bool is_unnamed;    /* it has no name at all as yet */
	bool replace;
};

static struct lh_error *exists_error(const char *path)
{
	return lh_error_hint(lh_error_create(LH_ERROR_EXISTS, "%s exists and is not overwritten", path),
			     "give another name with -o, or --force to replace it");
}

static struct lh_error *refuse_existing(const char *path, bool replace)
{
	struct stat status;
	if (lstat(path, &status) < 0)
		return NULL;
	if (S_ISDIR(status.st_mode))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "%s is a directory", path), "name a file in it");
	if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
		return lh_error_create(LH_ERROR_USAGE, "%s is not a regular file, and is not replaced", path);
	return replace ? NULL : exists_error(path);
}

static char *temporary_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	int folder_length = slash ? (int)(slash - path) + 1 : 0;
	char *name = NULL;
	if (asprintf(&name, "%.*s.%s.%ld.tmp", folder_length, path, path + folder_length, (long)getpid()) < 0)
		return NULL;
	return name;
}

static struct lh_error *refuse_path(const char *path, bool replace)
{
	size_t length = strlen(path);
	if (!length || path[length - 1] == '/')
		return lh_error_create(LH_ERROR_USAGE, "'%s' is not a file name", path);
	return refuse_existing(path, replace);
}

static struct lh_error *creation_error(const char *path)
{
	return lh_error_hint(lh_error_from_errno(errno, "cannot create %s", path),
			     "name a folder that can be written to with -o");
}

/* The folder that `path` names a file in: "a/b" -> "a/.", "b" -> ".". */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = NULL;
	if (asprintf(&folder, "%.*s.", slash ? (int)(slash - path) + 1 : 0, path) < 0)
		return NULL;
	return folder;
}

struct lh_error *lh_outfile_check(const char *path, bool replace, uint64_t *ret_free_bytes)
{
	struct statvfs status;
	LH_TRY(refuse_path(path, replace));
	LH_CLEANUP(lh_cleanup_free) char *folder = folder_of(path);
	if (!folder)
		return lh_error_no_memory();
	if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0 || statvfs(folder, &status) < 0)
		return creation_error(path);
	*ret_free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
	return NULL;
}

/*
 * Opens a file without a name in `folder`; -1 where the file system has none of these (EOPNOTSUPP, on old
 * kernels EISDIR) or where it could not be given a name later.
 */
static int open_unnamed(const char *folder)
{
	LH_CLEANUP(lh_cleanup_close) int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char link[sizeof("/dev/fd/") + 3 * sizeof(int)];
	snprintf(link, sizeof(link), "/dev/fd/%d", fd);
	if (fd < 0 || access(link, F_OK) < 0)
		return -1;
	int opened = fd;
	fd = -1;
	return opened;
}

static struct lh_error *open_output(struct lh_outfile *file, bool shows_early)
{
	LH_CLEANUP(lh_cleanup_free) char *folder = folder_of(file->path);
	if (!folder)
		return lh_error_no_memory();
	file->fd = shows_early ? -1 : open_unnamed(folder);
	file->is_unnamed = file->fd >= 0;
	if (file->is_unnamed)
		return NULL;
	file->fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	file->has_temporary = file->fd >= 0;
	return file->fd < 0 ? creation_error(file->path) : NULL;
}

struct lh_error *lh_unnamed_file(const char *folder, int *ret_fd)
{
	LH_CLEANUP(lh_cleanup_free) char *name = NULL;
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	if (fd < 0) {
		if (asprintf(&name, "%s/.leakhunt.XXXXXX", folder) < 0) {
			name = NULL;
			return lh_error_no_memory();
		}
		fd = mkostemp(name, O_CLOEXEC);
	}
	if (fd < 0)
		return lh_error_from_errno(errno, "cannot make a temporary file in %s", folder);
	if (name)
		unlink(name);
	*ret_fd = fd;
	return NULL;
}

struct lh_error *lh_outfile_spool(const struct lh_outfile *file, int *ret_fd)
{
	LH_CLEANUP(lh_cleanup_free) char *folder = folder_of(file->path);
	return folder ? lh_unnamed_file(folder, ret_fd) : lh_error_no_memory();
}

static struct lh_error *create_outfile(const char *path, bool replace, bool shows_early, struct lh_outfile **ret)
{
	LH_TRY(refuse_path(path, replace));
	LH_CLEANUP(lh_cleanup_outfile) struct lh_outfile *file = calloc(1, sizeof(*file));
	if (!file)
		return lh_error_no_memory();
	file->fd = -1;
	file->replace = replace;
	file->path = strdup(path);
	LH_CLEANUP(lh_cleanup_free) char *temporary = temporary_name(path);
	if (!file->path || !temporary)
		return lh_error_no_memory();
	file->temporary = temporary;
	temporary = NULL;
	LH_TRY(open_output(file, shows_early));
	*ret = file;
	file = NULL;
	return NULL;
}

struct lh_error *lh_outfile_create(const char *path, bool replace, struct lh_outfile **ret)
{
	return create_outfile(path, replace, false, ret);
}

struct lh_error *lh_outfile_create_early(const char *path, bool replace, struct lh_outfile **ret)
{
	return create_outfile(path, replace, true, ret);
}

int lh_outfile_fd(const struct lh_outfile *file)
{
	return file->fd;
}

const char *lh_outfile_path(const struct lh_outfile *file)
{
	return file->path;
}

struct lh_error *lh_outfile_free_bytes(const struct lh_outfile *file, uint64_t *ret)
{
	struct statvfs status;
	if (fstatvfs(file->fd, &status) < 0)
		return lh_error_from_errno(errno, "cannot determine the free space at %s", file->path);
	*ret = (uint64_t)status.f_bavail * status.f_frsize;
	return NULL;
}

/* Some file systems (NFS, FUSE) lack RENAME_NOREPLACE; link(2) refuses an existing name, too. */
static int rename_without_replacing(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (link(from, to) < 0)
		return -1;
	return unlink(from);
}

/* linkat(2): by its descriptor's place in /dev/fd, since AT_EMPTY_PATH needs a capability before Linux 6.10. */
static int give_name(int fd, const char *path)
{
	char link[sizeof("/dev/fd/") + 3 * sizeof(int)];
	snprintf(link, sizeof(link), "/dev/fd/%d", fd);
	return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static struct lh_error *commit_error(const struct lh_outfile *file)
{
	if (errno == EEXIST)
		return exists_error(file->path);
	return lh_error_from_errno(errno, "cannot name the finished file %s", file->path);
}

/* A file without a name can't take another one's place in one step (linkat never replaces). */
static struct lh_error *name_temporarily(struct lh_outfile *file)
{
	if (!file->is_unnamed)
		return NULL;
	if (give_name(file->fd, file->temporary) < 0)
		return commit_error(file);
	file->is_unnamed = false;
	file->has_temporary = true;
	return NULL;
}

/*
 * Not synced to the disk before it is named: fdatasync of 1 GiB takes 0.7 s after 2.1 s of writing (virtual
 * disk, ext4), and what a power failure would lose is a dump of a process that it kills, too.
 */
struct lh_error *lh_outfile_commit(struct lh_outfile *file)
{
	int status;
	if (file->is_unnamed && !file->replace) {
		status = give_name(file->fd, file->path);
	} else {
		LH_TRY(name_temporarily(file));
		status = file->replace ? rename(file->temporary, file->path)
				       : rename_without_replacing(file->temporary, file->path);
	}
	if (status < 0)
		return commit_error(file);
	file->is_unnamed = file->has_temporary = false;
	return NULL;
}

/*
 * Puts it in the place of an existing file, which takes the temporary name. False when there is none, or
 * the file system can't exchange two names: then nothing has changed.
 */
static struct lh_error *exchange_names(struct lh_outfile *file, bool *ret_is_exchanged)
{
	*ret_is_exchanged = false;
	if (!file->replace || access(file->path, F_OK) < 0)
		return NULL;
	LH_TRY(name_temporarily(file));
	*ret_is_exchanged = renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_EXCHANGE) == 0;
	return NULL;
}

static void undo_commit(struct lh_outfile *file, bool is_exchanged)
{
	if (is_exchanged)
		(void)renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_EXCHANGE);
	else
		unlink(file->path);
}

struct lh_error *lh_outfile_commit_both(struct lh_outfile *first, struct lh_outfile *second)
{
	bool is_exchanged;
	LH_TRY(exchange_names(first, &is_exchanged));
	if (!is_exchanged)
		LH_TRY(lh_outfile_commit(first));
	struct lh_error *error = lh_outfile_commit(second);
	if (error)
		undo_commit(first, is_exchanged);
	return error;
}

void lh_outfile_destroy(struct lh_outfile *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		close(file->fd);
	if (file->has_temporary)
		unlink(file->temporary);
	free(file->temporary);
	free(file->path);
	free(file);
}

void lh_cleanup_outfile(struct lh_outfile **file)
{
	lh_outfile_destroy(*file);
}

/*
 * file: reading whole files, and output files that get their name only when they are complete.
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

/* linux/fs.h has it, but that header clashes with sys/mount.h on some libcs. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

struct lh_error *lh_fd_read_all(int fd, const char *what, uint64_t max_bytes, struct lh_buffer *ret)
{
	enum { PIECE_BYTES = 65536 };
	for (;;) {
		if (ret->length > max_bytes)
			return lh_error_create(LH_ERROR_FORMAT, "%s is larger than %llu bytes", what,
					       (unsigned long long)max_bytes);
		char *grown = lh_vec_grown(ret->data, &ret->capacity, ret->length, PIECE_BYTES + 1, 1);
		if (!grown)
			return lh_error_no_memory();
		ret->data = grown;
		/* seq_file gives at most a page more than what is buffered: offer all the room there is. */
		ssize_t count = read(fd, ret->data + ret->length, ret->capacity - ret->length - 1);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return lh_error_from_errno(errno, "cannot read %s", what);
		ret->length += (size_t)count;
		ret->data[ret->length] = '\0';
		if (!count)
			return NULL;
	}
}

/*
 * A named pipe that nobody writes to would block open(2) for good, and a device may never end. O_NONBLOCK
 * opens such a pipe at once, and it reads as empty.
 */
static struct lh_error *open_for_reading(const char *path, int *ret_fd)
{
	LH_CLEANUP(lh_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0)
		return lh_error_from_errno(errno, "cannot open %s", path);
	if (S_ISDIR(status.st_mode))
		return lh_error_create(LH_ERROR_FORMAT, "%s is a folder, not a file", path);
	if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode))
		return lh_error_create(LH_ERROR_FORMAT, "%s is a device, not a file", path);
	if (fcntl(fd, F_SETFL, 0) < 0)
		return lh_error_from_errno(errno, "cannot open %s", path);
	*ret_fd = fd;
	fd = -1;
	return NULL;
}

struct lh_error *lh_file_read(const char *path, uint64_t max_bytes, struct lh_buffer *ret)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	LH_TRY(open_for_reading(path, &fd));
	return lh_fd_read_all(fd, path, max_bytes, ret);
}

struct lh_error *lh_fd_write_all(int fd, const char *what, const void *bytes, size_t length)
{
	const char *at = bytes;
	while (length) {
		ssize_t count = write(fd, at, length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return lh_error_from_errno(errno, "cannot write %s", what);
		at += count;
		length -= (size_t)count;
	}
	return NULL;
}

struct lh_error *lh_fd_pwrite_all(int fd, const char *what, const void *bytes, size_t length, uint64_t offset)
{
	const char *at = bytes;
	while (length) {
		ssize_t count = pwrite(fd, at, length, (off_t)offset);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return lh_error_from_errno(errno, "cannot write %s", what);
		at += count;
		offset += (uint64_t)count;
		length -= (size_t)count;
	}
	return NULL;
}

struct lh_outfile {
	int fd;
	char *path;
	char *temporary; /* NULL once it has its name */
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

struct lh_error *lh_outfile_create(const char *path, bool replace, struct lh_outfile **ret)
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
	file->fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file->fd < 0)
		return creation_error(path);
	file->temporary = temporary;
	temporary = NULL;
	*ret = file;
	file = NULL;
	return NULL;
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
		return lh_error_from_errno(errno, "cannot ask the free space at %s", file->path);
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

struct lh_error *lh_outfile_commit(struct lh_outfile *file)
{
	int status = file->replace ? rename(file->temporary, file->path)
				   : rename_without_replacing(file->temporary, file->path);
	if (status < 0 && errno == EEXIST)
		return exists_error(file->path);
	if (status < 0)
		return lh_error_from_errno(errno, "cannot name the finished file %s", file->path);
	free(file->temporary);
	file->temporary = NULL;
	return NULL;
}

void lh_outfile_destroy(struct lh_outfile *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		close(file->fd);
	if (file->temporary)
		unlink(file->temporary);
	free(file->temporary);
	free(file->path);
	free(file);
}

void lh_cleanup_outfile(struct lh_outfile **file)
{
	lh_outfile_destroy(*file);
}

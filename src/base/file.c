/*
 * file: reading whole files, and writing all of a buffer.
 */
#include "leakhunt/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int lh_open_below(int root_fd, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)flags, .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
		return fd;
	return openat(root_fd, path + strspn(path, "/"), flags);
}

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
	size_t length_before = ret->length;
	struct stat status;
	LH_TRY(open_for_reading(path, &fd));
	LH_TRY(lh_fd_read_all(fd, path, max_bytes, ret));
	if (ret->length == length_before && fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode))
		return lh_error_create(LH_ERROR_FORMAT, "%s is a pipe that nobody writes to", path);
	return NULL;
}

/*
 * A page of a mapped file that has been cut off: write(2) says EFAULT, where a look of our own is a SIGBUS, which
 * whoever mapped the file may deal with (src/image/file_guard.c). Pipes take as much as a page at once, which lies in
 * two. Once for each place.
 */
static bool is_mended_by_a_look(const char *at, size_t length, const char **last)
{
	if (*last == at)
		return false;
	*last = at;
	(void)*(const volatile char *)at;
	(void)*(const volatile char *)(at + lh_min_u64(length, LH_PAGE_BYTES) - 1);
	return true;
}

static struct lh_error *writing_error(int number, const char *what)
{
	struct lh_error *error = lh_error_from_errno(number, "cannot write %s", what);
	return number == EFBIG ? lh_error_hint(error, "lift the limit on a file's size (ulimit -f unlimited), or write "
						      "to a file system that takes larger ones")
			       : error;
}

struct lh_error *lh_fd_write_all(int fd, const char *what, const void *bytes, size_t length)
{
	const char *at = bytes, *last_looked_at = NULL;
	while (length) {
		ssize_t count = write(fd, at, length);
		if (count < 0 &&
		    (errno == EINTR || (errno == EFAULT && is_mended_by_a_look(at, length, &last_looked_at))))
			continue;
		if (count < 0)
			return writing_error(errno, what);
		at += count;
		length -= (size_t)count;
	}
	return NULL;
}

/* 0, or what went wrong. */
static int pwrite_all(int fd, const char *bytes, size_t length, uint64_t offset)
{
	while (length) {
		ssize_t count = pwrite(fd, bytes, length, (off_t)offset);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno;
		bytes += count;
		offset += (uint64_t)count;
		length -= (size_t)count;
	}
	return 0;
}

struct lh_error *lh_fd_pwrite_all(int fd, const char *what, const void *bytes, size_t length, uint64_t offset)
{
	int number = pwrite_all(fd, bytes, length, offset);
	return number ? writing_error(number, what) : NULL;
}

int lh_fd_open_direct(int fd)
{
	char link[sizeof("/dev/fd/") + 3 * sizeof(int)];
	snprintf(link, sizeof(link), "/dev/fd/%d", fd);
	return open(link, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

struct lh_error *lh_fd_pwrite_direct(int fd, const char *what, const void *bytes, size_t length, uint64_t offset,
				     bool *ret_is_refused)
{
	int number = pwrite_all(fd, bytes, length, offset);
	*ret_is_refused = number == EINVAL;
	return number && number != EINVAL ? writing_error(number, what) : NULL;
}

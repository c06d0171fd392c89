/*
 * open: from a path or a byte array to an image. Maps the file read-only and private (or takes a compressed
 * one by its frames), and lets what
 * is in it decide what it is. It opens regular files only, and never writes.
 *
 * The mapping is as long as the file was when it was opened. What is cut off meanwhile reads as zeros, and
 * is a loss (file_guard.c).
 */
#include "file_guard.h"
#include "leakhunt/fault_point.h"
#include "leakhunt/format.h"
#include "view.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* An index lists at most about 100,000 extents of a few hundred bytes each. */
#define INDEX_MAX_BYTES (64 * LH_MIB)

static const char *file_type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

static struct lh_error *check_is_regular(const char *path, const struct stat *status)
{
	if (S_ISREG(status->st_mode))
		return NULL;
	struct lh_error *error =
		lh_error_create(LH_ERROR_FORMAT, "%s is %s, not a regular file", path, file_type_name(status->st_mode));
	return S_ISDIR(status->st_mode) ? lh_error_hint(error, "name a file in it")
					: lh_error_hint(error, "save its bytes to a file first");
}

/* Files of procfs report 0 bytes, whatever they contain. */
static struct lh_error *check_has_size(const char *path, int fd, const struct stat *status)
{
	struct statfs system;
	if (status->st_size || fstatfs(fd, &system) != 0 ||
	    (system.f_type != PROC_SUPER_MAGIC && system.f_type != SYSFS_MAGIC))
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "the kernel generates %s when it is read", path),
			     "save its bytes to a file first; of a process, name the PID");
}

/* Checks the kind of file before opening it: opening a device can have side effects. */
static struct lh_error *open_regular(struct lh_image *image)
{
	const char *path = image->path;
	struct stat status;
	if (stat(path, &status) != 0)
		return lh_error_from_errno(errno, "cannot open %s", path);
	LH_TRY(check_is_regular(path, &status));
	image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (image->fd < 0 || fstat(image->fd, &status) != 0)
		return lh_error_from_errno(errno, "cannot open %s", path);
	LH_TRY(check_is_regular(path, &status));
	LH_TRY(check_has_size(path, image->fd, &status));
	image->file_bytes = (uint64_t)status.st_size;
	return NULL;
}

/* By its seek table; else unpacked, and the temporary file replaces it. */
static struct lh_error *open_compressed(struct lh_image *image)
{
	LH_TRY(lh_frames_open(&image->fd, image->path, image->file_bytes, &image->frames));
	if (image->frames) {
		image->file_bytes = lh_frames_bytes(image->frames);
		return NULL;
	}
	int fd = -1;
	LH_TRY(lh_zstd_unpack(image->fd, image->path, &fd, &image->file_bytes));
	image->unpacked_bytes = image->file_bytes;
	close(image->fd);
	image->fd = fd;
	return NULL;
}

static bool is_compressed(int fd)
{
	uint8_t magic[4];
	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && lh_zstd_is(magic, sizeof(magic));
}

bool lh_image_file_is_compressed(const char *path)
{
	struct stat status;
	if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
		return false;
	LH_CLEANUP(lh_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd >= 0 && is_compressed(fd);
}

static struct lh_error *map_file(struct lh_image *image)
{
	if (!image->file_bytes)
		return NULL;
	void *bytes = mmap(NULL, image->file_bytes, PROT_READ, MAP_PRIVATE, image->fd, 0);
	if (bytes == MAP_FAILED)
		return lh_error_from_errno(errno, "cannot map %s", image->path);
	(void)madvise(bytes, image->file_bytes, MADV_SEQUENTIAL);
	(void)madvise(bytes, image->file_bytes, MADV_DONTDUMP);
	image->bytes = bytes;
	image->mapping = bytes;
	image->guard = lh_file_guard_add(bytes, image->file_bytes);
	return NULL;
}

/* One segment of all bytes, at `base`. */
static struct lh_error *add_plain_segment(struct lh_image *image, uint64_t base)
{
	uint64_t end;
	if (!image->file_bytes)
		return NULL;
	if (!lh_add_u64(base, image->file_bytes, &end))
		return lh_error_create(LH_ERROR_USAGE, "%s does not fit into the address space at 0x%lx", image->path,
				       (unsigned long)base);
	return lh_vec_push(&image->segments, (struct lh_segment){
						     .start = base,
						     .end = end,
						     .file_bytes = image->file_bytes,
						     .protection = LH_PROT_READ,
						     .kind = LH_REGION_FILE,
						     .name = "",
						     .thread_name = "",
					     });
}

static struct lh_error *read_index(const char *path, struct lh_buffer *ret, bool *ret_exists)
{
	LH_CLEANUP(lh_cleanup_free) char *index_path = NULL;
	if (asprintf(&index_path, "%s" LH_RAW_INDEX_SUFFIX, path) < 0) {
		index_path = NULL;
		return lh_error_no_memory();
	}
	struct stat status;
	if (stat(index_path, &status) != 0 || !S_ISREG(status.st_mode))
		return NULL;
	*ret_exists = true;
	return lh_file_read(index_path, INDEX_MAX_BYTES, ret);
}

static struct lh_error *parse_raw(struct lh_image *image, uint64_t base)
{
	struct lh_buffer index LH_CLEANUP(lh_buffer_deinit) = {0};
	bool is_index = false;
	if (image->fd >= 0 || image->frames)
		LH_TRY(read_index(image->path, &index, &is_index));
	if (is_index)
		LH_TRY(lh_raw_index_parse(image, index.data ? index.data : "", index.length, &is_index));
	if (is_index)
		return NULL;
	image->has_addresses = base != 0;
	return add_plain_segment(image, base);
}

struct lh_error *lh_image_parse(struct lh_image *image, const struct lh_image_options *options)
{
	if (options && options->raw)
		return add_plain_segment(image, 0);
	uint8_t start[EI_NIDENT + 2];
	if (lh_image_file_read(image, 0, start, sizeof(start)) && lh_core_is(start, sizeof(start)))
		return lh_core_parse(image);
	return parse_raw(image, options ? options->raw_base : 0);
}

struct lh_error *lh_image_open_file(const char *path, const struct lh_image_options *options, struct lh_image **ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_TRY(lh_image_create(LH_IMAGE_RAW, path, &image));
	LH_TRY(open_regular(image));
	if (!(options && options->raw) && is_compressed(image->fd))
		LH_TRY(open_compressed(image));
	if (!image->frames)
		LH_TRY(map_file(image));
	lh_fault_point("analysis-parsing");
	LH_TRY(lh_image_parse(image, options));
	*ret = image;
	image = NULL;
	return NULL;
}

struct lh_error *lh_image_open_descriptor(int fd, const char *name, struct lh_image **ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	struct stat status;
	LH_TRY(lh_image_create(LH_IMAGE_RAW, name, &image));
	image->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (image->fd < 0 || fstat(image->fd, &status) != 0)
		return lh_error_from_errno(errno, "cannot read %s", name);
	LH_TRY(check_is_regular(name, &status));
	image->file_bytes = (uint64_t)status.st_size;
	LH_TRY(map_file(image));
	LH_TRY(lh_image_parse(image, NULL));
	*ret = image;
	image = NULL;
	return NULL;
}

struct lh_error *lh_image_open_bytes(const void *bytes, size_t length, uint64_t base, struct lh_image **ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_TRY(lh_image_create(LH_IMAGE_BYTES, "bytes", &image));
	image->bytes = bytes;
	image->file_bytes = length;
	image->has_addresses = true;
	LH_TRY(add_plain_segment(image, base));
	*ret = image;
	image = NULL;
	return NULL;
}

/*
 * descriptors: the open files of a process by kind, and the memory of files that exist in memory only: memfds, and
 * deleted files of tmpfs. Input: the folder fd/. Opens files only by O_PATH, which has no effect on them. Omits
 * descriptors that are closed meanwhile.
 */
#include "descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

struct held_file {
	uint64_t device;
	uint64_t inode;
	uint64_t bytes;
};

struct descriptor_count {
	const struct lh_process *process;
	int folder_fd; /* of fd/; the stream's */
	struct lh_memory_devices *devices;
	uint64_t stride; /* each sampled descriptor stands for this many */
	uint64_t all, sockets, pipes;
	LH_VEC(struct held_file) files;
	char held_name[LH_HELD_NAME_BYTES];
};

static void descriptor_count_deinit(struct descriptor_count *count)
{
	lh_vec_deinit(&count->files);
}

/* ---------------------------------------------------------------- files in memory */

static bool ask_for_memory(int folder_fd, const char *name)
{
	struct statfs system;
	LH_CLEANUP(lh_cleanup_close) int fd = openat(folder_fd, name, O_PATH | O_CLOEXEC);
	return fd >= 0 && fstatfs(fd, &system) == 0 &&
	       (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC || system.f_type == HUGETLBFS_MAGIC);
}

static bool is_in_memory(struct descriptor_count *count, const char *name, uint64_t device)
{
	struct lh_memory_devices *devices = count->devices;
	for (size_t i = 0; i < devices->count; i++) {
		if (devices->items[i].device == device)
			return devices->items[i].is_memory;
	}
	bool is_memory = ask_for_memory(count->folder_fd, name);
	if (devices->count < LH_ARRAY_COUNT(devices->items)) {
		devices->items[devices->count].device = device;
		devices->items[devices->count++].is_memory = is_memory;
	}
	return is_memory;
}

/* "/memfd:clip (deleted)" */
static void note_name(struct descriptor_count *count, const char *descriptor)
{
	static const char deleted[] = " (deleted)";
	char name[sizeof(count->held_name) + sizeof(deleted)];
	ssize_t length = readlinkat(count->folder_fd, descriptor, name, sizeof(name) - 1);
	if (length <= 0)
		return;
	name[length] = '\0';
	char *end = strstr(name, deleted);
	if (end)
		*end = '\0';
	snprintf(count->held_name, sizeof(count->held_name), "%.*s", (int)sizeof(count->held_name) - 1, name);
}

/* A file with a name in a folder is not this process's alone. */
static struct lh_error *take_file(struct descriptor_count *count, const char *name, const struct stat *status)
{
	if (status->st_nlink || major(status->st_dev) || !is_in_memory(count, name, status->st_dev))
		return NULL;
	if (!count->files.count)
		note_name(count, name);
	return lh_vec_push(&count->files,
			   ((struct held_file){.device = status->st_dev,
					       .inode = status->st_ino,
					       .bytes = (uint64_t)status->st_blocks * LH_STAT_BLOCK_BYTES}));
}

/* ---------------------------------------------------------------- all descriptors */

static struct lh_error *take_descriptor(struct descriptor_count *count, const char *name)
{
	struct stat status;
	if (fstatat(count->folder_fd, name, &status, 0) < 0)
		return NULL;
	count->sockets += S_ISSOCK(status.st_mode);
	count->pipes += S_ISFIFO(status.st_mode);
	return S_ISREG(status.st_mode) ? take_file(count, name, &status) : NULL;
}

/* Since Linux 6.2 the folder's size is the number of descriptors; before that, look at all of them. */
static uint64_t find_stride(int folder_fd)
{
	struct stat status;
	uint64_t known = fstat(folder_fd, &status) == 0 ? (uint64_t)status.st_size : 0;
	return known / LH_DESCRIPTORS_SEEN_MAX + 1;
}

static struct lh_error *take_descriptors(struct descriptor_count *count)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	LH_TRY(lh_process_open_file(count->process, "fd", O_RDONLY | O_DIRECTORY, &fd));
	LH_CLEANUP(lh_cleanup_dir) DIR *folder = fdopendir(fd);
	if (!folder)
		return lh_error_no_memory();
	count->folder_fd = fd;
	fd = -1;
	count->stride = find_stride(count->folder_fd);
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (entry->d_name[0] == '.')
			continue;
		if (count->all++ % count->stride == 0)
			LH_TRY(take_descriptor(count, entry->d_name));
	}
	return NULL;
}

/* ---------------------------------------------------------------- what is mapped is counted there */

static int compare_held_files(const void *a, const void *b)
{
	const struct held_file *left = a, *right = b;
	int order = lh_compare_u64(left->device, right->device);
	return order ? order : lh_compare_u64(left->inode, right->inode);
}

/* dup(2) and fork(2) give one file many descriptors. */
static void keep_one_each(struct descriptor_count *count)
{
	size_t kept = 0;
	lh_vec_sort(&count->files, compare_held_files);
	for (size_t i = 0; i < count->files.count; i++) {
		if (!kept || compare_held_files(&count->files.items[kept - 1], &count->files.items[i]) != 0)
			count->files.items[kept++] = count->files.items[i];
	}
	count->files.count = kept;
}

static void take_off_mapped(struct descriptor_count *count, const struct lh_region_list *list)
{
	for (size_t i = 0; count->files.count && i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		struct held_file key = {.device = makedev(region->device_major, region->device_minor),
					.inode = region->inode};
		if (!region->inode || !region->is_shared)
			continue;
		struct held_file *file =
			bsearch(&key, count->files.items, count->files.count, sizeof(key), compare_held_files);
		if (file)
			file->bytes -= lh_min_u64(file->bytes, region->usage.rss_bytes);
	}
}

void lh_descriptors_count(const struct lh_process *process, const struct lh_region_list *list,
			  struct lh_memory_devices *devices, struct lh_holdings *ret)
{
	struct descriptor_count count LH_CLEANUP(descriptor_count_deinit) = {.process = process, .devices = devices};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = take_descriptors(&count);
	uint64_t bytes = 0;
	if (error)
		return;
	keep_one_each(&count);
	take_off_mapped(&count, list);
	for (size_t i = 0; i < count.files.count; i++)
		bytes += count.files.items[i].bytes;
	ret->values[LH_HOLDING_DESCRIPTORS] = count.all;
	ret->values[LH_HOLDING_SOCKETS] = count.sockets * count.stride;
	ret->values[LH_HOLDING_PIPES] = count.pipes * count.stride;
	ret->values[LH_HOLDING_HELD_FILES] = count.files.count * count.stride;
	ret->values[LH_HOLDING_HELD_FILE_BYTES] = bytes * count.stride;
	memcpy(ret->held_name, count.held_name, sizeof(ret->held_name));
}

/*
 * holdings: what a process holds besides its mappings: descriptors, threads, files in memory, unattached System V
 * segments, page tables, and kernel memory of its cgroup. Input: small files of /proc and of the cgroup. What cannot be
 * read is unknown; nothing here fails.
 */
#include "descriptors.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lh_holdings_reader {
	const struct lh_process *process;
	struct lh_memory_devices devices;
	char cgroup_folder[PATH_MAX]; /* "": none */
	bool is_cgroup_v1;
	bool shares_ipc; /* segments of /proc/sysvipc are those that the process sees */
};

static const char *const holding_names[LH_HOLDING_COUNT] = {
	[LH_HOLDING_MAPPINGS] = "mappings",
	[LH_HOLDING_THREADS] = "threads",
	[LH_HOLDING_DESCRIPTORS] = "descriptors",
	[LH_HOLDING_SOCKETS] = "sockets",
	[LH_HOLDING_PIPES] = "pipes",
	[LH_HOLDING_HELD_FILES] = "held_files",
	[LH_HOLDING_HELD_FILE_BYTES] = "held_file_bytes",
	[LH_HOLDING_SHM_BYTES] = "shm_bytes",
	[LH_HOLDING_PAGE_TABLE_BYTES] = "page_table_bytes",
	[LH_HOLDING_CGROUP_KERNEL_BYTES] = "cgroup_kernel_bytes",
	[LH_HOLDING_CGROUP_SOCKET_BYTES] = "cgroup_socket_bytes",
	[LH_HOLDING_CGROUP_SHARED_BYTES] = "cgroup_shared_bytes",
};

const char *lh_holding_name(enum lh_holding holding)
{
	return holding < LH_HOLDING_COUNT ? holding_names[holding] : "?";
}

bool lh_holding_parse(const char *name, size_t length, enum lh_holding *ret)
{
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++) {
		if (strlen(holding_names[i]) != length || memcmp(holding_names[i], name, length) != 0)
			continue;
		*ret = (enum lh_holding)i;
		return true;
	}
	return false;
}

bool lh_holding_is_memory(enum lh_holding holding)
{
	return holding >= LH_HOLDING_HELD_FILE_BYTES;
}

/* Equal links mean equal namespaces (namespaces(7)). */
static bool is_same_namespace(const struct lh_process *process, const char *name)
{
	char own[64] = "", other[64] = "", path[64];
	snprintf(path, sizeof(path), "ns/%s", name);
	ssize_t other_bytes = readlinkat(process->folder_fd, path, other, sizeof(other) - 1);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	ssize_t own_bytes = readlink(path, own, sizeof(own) - 1);
	return own_bytes > 0 && own_bytes == other_bytes && !memcmp(own, other, (size_t)own_bytes);
}

struct lh_error *lh_holdings_reader_create(const struct lh_process *process, struct lh_holdings_reader **ret)
{
	struct lh_holdings_reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return lh_error_no_memory();
	reader->process = process;
	reader->shares_ipc = is_same_namespace(process, "ipc");
	if (!lh_cgroup_memory_folder(process, reader->cgroup_folder, sizeof(reader->cgroup_folder),
				     &reader->is_cgroup_v1))
		reader->cgroup_folder[0] = '\0';
	*ret = reader;
	return NULL;
}

void lh_holdings_reader_destroy(struct lh_holdings_reader *reader)
{
	free(reader);
}

/* ---------------------------------------------------------------- System V shared memory */

/* Columns of ipc/shm.c, sysvipc_shm_proc_show. */
struct shm_row {
	uint64_t maker_pid, attached_count, resident_bytes, swapped_bytes;
};

static bool parse_shm_row(const char *line, struct shm_row *ret)
{
	enum { MAKER = 4, ATTACHED = 6, RESIDENT = 14, SWAPPED = 15, COLUMNS };
	uint64_t columns[COLUMNS];
	const char *at = line;
	for (size_t i = 0; i < COLUMNS; i++) {
		char *end;
		columns[i] = strtoull(at, &end, 10);
		if (end == at)
			return false;
		at = end;
	}
	*ret = (struct shm_row){columns[MAKER], columns[ATTACHED], columns[RESIDENT], columns[SWAPPED]};
	return true;
}

static void count_unattached(const struct lh_holdings_reader *reader, struct lh_holdings *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	uint64_t bytes = 0;
	if (!reader->shares_ipc)
		return;
	error = lh_file_read("/proc/sysvipc/shm", 64 * LH_MIB, &text);
	if (error || !text.data)
		return;
	for (const char *line = strchr(text.data, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
		struct shm_row row;
		if (parse_shm_row(line + 1, &row) && !row.attached_count &&
		    row.maker_pid == (uint64_t)lh_process_pid(reader->process))
			bytes += row.resident_bytes + row.swapped_bytes;
	}
	ret->values[LH_HOLDING_SHM_BYTES] = bytes;
}

/* ---------------------------------------------------------------- the cgroup */

/* The number of the line "<key> <number>"; LH_HOLDING_UNKNOWN when there is none. */
static uint64_t stat_value(const char *stat, const char *key)
{
	size_t key_bytes = strlen(key);
	for (const char *line = stat; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_bytes) == 0 && line[key_bytes] == ' ')
			return strtoull(line + key_bytes + 1, NULL, 10);
	}
	return LH_HOLDING_UNKNOWN;
}

/* Before Linux 5.18 memory.stat has the parts of kernel memory, not their sum. */
static uint64_t kernel_bytes(const char *stat)
{
	static const char *const parts[] = {"slab", "kernel_stack", "pagetables", "percpu"};
	uint64_t sum = stat_value(stat, "kernel");
	if (sum != LH_HOLDING_UNKNOWN)
		return sum;
	for (size_t i = 0; i < LH_ARRAY_COUNT(parts); i++) {
		uint64_t part = stat_value(stat, parts[i]);
		if (part != LH_HOLDING_UNKNOWN)
			sum = sum == LH_HOLDING_UNKNOWN ? part : sum + part;
	}
	return sum;
}

static bool read_cgroup_file(const struct lh_holdings_reader *reader, const char *name, char *ret, size_t ret_bytes)
{
	LH_CLEANUP(lh_cleanup_close) int fd = open(reader->cgroup_folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && lh_proc_read_small(fd, name, ret, ret_bytes) > 0;
}

static uint64_t cgroup_number(const struct lh_holdings_reader *reader, const char *name)
{
	char text[64];
	return read_cgroup_file(reader, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : LH_HOLDING_UNKNOWN;
}

static pid_t parent_of(pid_t pid)
{
	char name[32], status[4096];
	uint64_t parent = 0;
	snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
	if (lh_proc_read_small(AT_FDCWD, name, status, sizeof(status)) <= 0 ||
	    !lh_proc_status_number(status, "PPid", 0, 10, &parent))
		return 0;
	return (pid_t)parent;
}

/* A master, a worker, or a fellow worker of a master that is not init. */
static bool is_relative(pid_t process, pid_t other)
{
	pid_t parent = parent_of(process), other_parent = parent_of(other);
	return other == process || other == parent || other_parent == process || (parent > 1 && other_parent == parent);
}

/* Growth of strangers in the cgroup would look like growth of this process. Stops at the first stranger. */
static bool has_strangers(const struct lh_holdings_reader *reader)
{
	char text[4096], *rest = NULL;
	pid_t other;
	if (!read_cgroup_file(reader, "cgroup.procs", text, sizeof(text)))
		return false;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		/* Processes outside of this namespace have pid 0. */
		if (!lh_proc_pid_parse(line, &other) || !is_relative(lh_process_pid(reader->process), other))
			return true;
	}
	return false;
}

static void read_cgroup(const struct lh_holdings_reader *reader, struct lh_holdings *ret)
{
	char stat[16384];
	if (!reader->cgroup_folder[0] || has_strangers(reader) ||
	    !read_cgroup_file(reader, "memory.stat", stat, sizeof(stat)))
		return;
	ret->values[LH_HOLDING_CGROUP_SHARED_BYTES] = stat_value(stat, "shmem");
	if (reader->is_cgroup_v1) {
		ret->values[LH_HOLDING_CGROUP_KERNEL_BYTES] = cgroup_number(reader, "memory.kmem.usage_in_bytes");
		ret->values[LH_HOLDING_CGROUP_SOCKET_BYTES] = cgroup_number(reader, "memory.kmem.tcp.usage_in_bytes");
	} else {
		ret->values[LH_HOLDING_CGROUP_KERNEL_BYTES] = kernel_bytes(stat);
		ret->values[LH_HOLDING_CGROUP_SOCKET_BYTES] = stat_value(stat, "sock");
	}
}

/* ---------------------------------------------------------------- all of it */

void lh_holdings_read(struct lh_holdings_reader *reader, const struct lh_region_list *list, struct lh_holdings *ret)
{
	struct lh_memory_status status = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_memory_status_read(reader->process, &status);
	*ret = (struct lh_holdings){0};
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++)
		ret->values[i] = LH_HOLDING_UNKNOWN;
	ret->values[LH_HOLDING_MAPPINGS] = list->regions.count;
	if (!error) {
		ret->values[LH_HOLDING_THREADS] = status.thread_count;
		ret->values[LH_HOLDING_PAGE_TABLE_BYTES] = status.page_table_bytes;
	}
	lh_descriptors_count(reader->process, list, &reader->devices, ret);
	count_unattached(reader, ret);
	read_cgroup(reader, ret);
}

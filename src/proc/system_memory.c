/*
 * system_memory: what memory the machine has left, how the kernel promises it, and what a process
 * holds. Input: /proc/meminfo, vm.overcommit_memory, /proc/PID/status.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MEMINFO_BYTES = 8192 };

struct kib_row {
	const char *key;
	uint64_t *value;
};

/* Lines "<key>: <number> kB"; 0 for what is missing. */
static void read_rows(const char *text, const struct kib_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t kib;
		if (!lh_proc_status_number(text, rows[i].key, 0, 10, &kib) || !lh_mul_u64(kib, LH_KIB, rows[i].value))
			*rows[i].value = 0;
	}
}

void lh_system_memory_parse(const char *meminfo, struct lh_system_memory *ret)
{
	const struct kib_row rows[] = {
		{"MemTotal", &ret->total_bytes},           {"MemAvailable", &ret->available_bytes},
		{"SwapTotal", &ret->swap_total_bytes},     {"SwapFree", &ret->swap_free_bytes},
		{"CommitLimit", &ret->commit_limit_bytes}, {"Committed_AS", &ret->committed_bytes},
	};
	read_rows(meminfo, rows, LH_ARRAY_COUNT(rows));
}

struct lh_error *lh_system_memory_read(struct lh_system_memory *ret)
{
	char text[MEMINFO_BYTES];
	struct lh_system_memory memory = {0};
	ssize_t bytes = lh_proc_read_small(AT_FDCWD, "/proc/meminfo", text, sizeof(text));
	/* With subset=pid, /proc has no such file (proc(5)): then what is left is not known. */
	if (bytes < 0 && bytes != -ENOENT)
		return lh_error_from_errno((int)-bytes, "cannot read /proc/meminfo");
	if (bytes > 0)
		lh_system_memory_parse(text, &memory);
	if (lh_proc_read_small(AT_FDCWD, "/proc/sys/vm/overcommit_memory", text, sizeof(text)) > 0)
		memory.overcommit_mode = (unsigned)strtoul(text, NULL, 10);
	*ret = memory;
	return NULL;
}

struct lh_error *lh_memory_status_read(const struct lh_process *process, struct lh_memory_status *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_memory_status status = {0};
	LH_TRY(lh_process_read_file(process, "status", &text));
	const struct kib_row rows[] = {{"VmSize", &status.mapped_bytes},
				       {"RssAnon", &status.anonymous_bytes},
				       {"VmPTE", &status.page_table_bytes},
				       {"VmSwap", &status.swapped_bytes}};
	if (text.data) {
		read_rows(text.data, rows, LH_ARRAY_COUNT(rows));
		if (!lh_proc_status_number(text.data, "Threads", 0, 10, &status.thread_count))
			status.thread_count = 0;
	}
	*ret = status;
	return NULL;
}

static uint64_t soft_limit(const struct lh_process *process, __rlimit_resource_t resource)
{
	struct rlimit limit;
	if (prlimit(process->identity.pid, resource, NULL, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return LH_NO_LIMIT;
	return limit.rlim_cur;
}

uint64_t lh_address_space_limit(const struct lh_process *process)
{
	return soft_limit(process, RLIMIT_AS);
}

uint64_t lh_descriptor_limit(const struct lh_process *process)
{
	return soft_limit(process, RLIMIT_NOFILE);
}

static uint64_t read_sysctl(const char *path)
{
	char text[64];
	uint64_t value;
	if (lh_proc_read_small(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return LH_NO_LIMIT;
	value = strtoull(text, NULL, 10);
	return value ? value : LH_NO_LIMIT;
}

uint64_t lh_mapping_limit(void)
{
	return read_sysctl("/proc/sys/vm/max_map_count");
}

/* "0.20 0.18 0.12 1/80 11206": tasks that exist stand behind the slash (proc_loadavg(5)). */
uint64_t lh_machine_tasks_left(void)
{
	char text[128];
	uint64_t limit =
		lh_min_u64(read_sysctl("/proc/sys/kernel/threads-max"), read_sysctl("/proc/sys/kernel/pid_max"));
	if (lh_proc_read_small(AT_FDCWD, "/proc/loadavg", text, sizeof(text)) <= 0)
		return LH_NO_LIMIT;
	const char *slash = strchr(text, '/');
	uint64_t count = slash ? strtoull(slash + 1, NULL, 10) : 0;
	return count && limit != LH_NO_LIMIT ? limit - lh_min_u64(limit, count) : LH_NO_LIMIT;
}

/* On a 64-bit kernel all 4 GiB but the last page are a 32-bit process's (arch/x86/include/asm/page_64_types.h). */
uint64_t lh_address_space_end(const struct lh_process *process)
{
	char head[5 + 1];
	static const char elf_32[] = "\177ELF\1";
	bool is_32 = lh_proc_read_small(process->folder_fd, "exe", head, sizeof(head)) == 5 && !memcmp(head, elf_32, 5);
	return is_32 ? 4 * LH_GIB : LH_NO_LIMIT;
}

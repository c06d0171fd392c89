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
	if (text.data)
		read_rows(text.data, rows, LH_ARRAY_COUNT(rows));
	*ret = status;
	return NULL;
}

uint64_t lh_address_space_limit(const struct lh_process *process)
{
	struct rlimit limit;
	if (prlimit(process->identity.pid, RLIMIT_AS, NULL, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return LH_NO_LIMIT;
	return limit.rlim_cur;
}

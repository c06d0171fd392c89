/*
 * process_facts: reads the small texts about a process that a core's notes hold. Parses leniently: what is missing
 * stays empty.
 */
#include "process_facts.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_or_empty(const struct lh_process *process, const char *name, struct lh_buffer *ret)
{
	lh_error_destroy(lh_process_read_file(process, name, ret));
	if (!ret->data)
		lh_buffer_puts(ret, "");
}

/* "1234 (a) b) S 1 1234 1234 0": after the last ')', state, parent, group, session (proc_pid_stat(5)). */
static void parse_stat(const char *text, struct lh_process_facts *facts)
{
	const char *after_name = strrchr(text, ')');
	char state;
	int parent, group, session;
	if (!after_name || sscanf(after_name, ") %c %d %d %d", &state, &parent, &group, &session) != 4)
		return;
	facts->state = state;
	facts->parent = parent;
	facts->group = group;
	facts->session = session;
}

/* "Uid:\t1000\t1000\t1000\t1000\n" */
static uint64_t parse_number(const char *text, const char *label)
{
	const char *line = strstr(text, label);
	return line ? strtoull(line + strlen(label), NULL, 10) : 0;
}

void lh_process_facts_read(const struct lh_process *process, struct lh_process_facts *ret)
{
	struct lh_buffer stat LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer status LH_CLEANUP(lh_buffer_deinit) = {0};
	*ret = (struct lh_process_facts){.state = '?'};
	read_or_empty(process, "auxv", &ret->auxv);
	read_or_empty(process, "cmdline", &ret->arguments);
	read_or_empty(process, "stat", &stat);
	read_or_empty(process, "status", &status);
	if (stat.data)
		parse_stat(stat.data, ret);
	if (status.data) {
		ret->uid = (unsigned)parse_number(status.data, "\nUid:");
		ret->gid = (unsigned)parse_number(status.data, "\nGid:");
		ret->tracer = (pid_t)parse_number(status.data, "\nTracerPid:");
		ret->has_seccomp_filter = parse_number(status.data, "\nSeccomp:") == SECCOMP_MODE_FILTER;
	}
}

void lh_process_facts_deinit(struct lh_process_facts *facts)
{
	lh_buffer_deinit(&facts->auxv);
	lh_buffer_deinit(&facts->arguments);
}

struct lh_error *lh_process_check_class(const struct lh_process *process)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	lh_error_destroy(lh_process_open_file(process, "exe", O_RDONLY | O_CLOEXEC, &fd));
	unsigned char ident[EI_NIDENT];
	if (fd < 0 || read(fd, ident, sizeof(ident)) != sizeof(ident) || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return NULL; /* its registers will tell, later */
	if (ident[EI_CLASS] == ELFCLASS64 && ident[EI_DATA] == ELFDATA2LSB)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED, "process %d (%s) is a 32-bit program",
					     (int)lh_process_pid(process), lh_process_command(process)),
			     "leakhunt dumps 64-bit processes only; gcore can dump this one");
}

uint64_t lh_process_resident_bytes(const struct lh_process *process)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	read_or_empty(process, "statm", &text);
	uint64_t pages;
	if (!text.data || sscanf(text.data, "%*u %" SCNu64, &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t lh_process_pinned_bytes(const struct lh_process *process)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	read_or_empty(process, "status", &text);
	return text.data ? parse_number(text.data, "\nVmPin:") * LH_KIB : 0;
}

/* fs/userfaultfd.c, new_userfaultfd; proc_pid_fd(5). */
static bool is_userfault(int folder_fd, const char *descriptor)
{
	static const char expected[] = "anon_inode:[userfaultfd]";
	char target[sizeof(expected)];
	return readlinkat(folder_fd, descriptor, target, sizeof(target)) == sizeof(expected) - 1 &&
	       memcmp(target, expected, sizeof(expected) - 1) == 0;
}

bool lh_process_has_userfault(const struct lh_process *process)
{
	int fd = -1;
	lh_error_destroy(lh_process_open_file(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, &fd));
	LH_CLEANUP(lh_cleanup_dir) DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder)
		lh_cleanup_close(&fd);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		if (is_userfault(dirfd(folder), entry->d_name))
			return true;
	}
	return false;
}

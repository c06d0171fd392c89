/*
 * proc_text: the small texts of /proc/PID: stat and status. Input: text of the kernel, with names that
 * the target chose (comm may hold spaces, parentheses and newlines). Output: numbers. Never allocates.
 */
#include "process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STAT_FIRST_FIELD = 3, /* the first one after "(comm) " */
	STAT_LAST_FIELD = 28,
};

/* include/linux/sched.h, since 2.6.27 */
static const uint64_t PF_EXITING = 0x00000004;
static const uint64_t PF_KTHREAD = 0x00200000;

bool lh_proc_is_gone(ssize_t count)
{
	return count == -ENOENT || count == -ESRCH;
}

ssize_t lh_proc_read_small(int folder_fd, const char *name, char *ret, size_t ret_bytes)
{
	LH_CLEANUP(lh_cleanup_close) int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t length = 0;
	while (length + 1 < ret_bytes) {
		ssize_t count = read(fd, ret + length, ret_bytes - 1 - length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (!count)
			break;
		length += (size_t)count;
	}
	ret[length] = '\0';
	return (ssize_t)length;
}

/* Numbers of the fields from STAT_FIRST_FIELD on; the state's letter reads as 0. */
static bool stat_numbers(const char *at, uint64_t ret[STAT_LAST_FIELD + 1])
{
	for (int field = STAT_FIRST_FIELD; field <= STAT_LAST_FIELD; field++) {
		while (*at == ' ')
			at++;
		if (!*at)
			return false;
		ret[field] = strtoull(at, NULL, 10);
		at += strcspn(at, " ");
	}
	return true;
}

bool lh_proc_stat_parse(const char *text, struct lh_proc_stat *ret)
{
	/* "1234 (a) (b)) S 1 ...": the last parenthesis ends the name. */
	const char *open = strchr(text, '(');
	const char *close = strrchr(text, ')');
	uint64_t numbers[STAT_LAST_FIELD + 1] = {0};
	if (!open || !close || close < open || close[1] != ' ' || !stat_numbers(close + 1, numbers))
		return false;
	size_t name_bytes = lh_min_u64((uint64_t)(close - open - 1), LH_COMMAND_BYTES - 1);
	*ret = (struct lh_proc_stat){
		.state = close[2],
		.flags = numbers[9],
		.thread_count = numbers[20],
		.start_ticks = numbers[22],
		.start_code = numbers[26],
		.start_stack = numbers[28],
	};
	memcpy(ret->command, open + 1, name_bytes);
	return true;
}

bool lh_proc_stat_is_dead(const struct lh_proc_stat *stat)
{
	return stat->state == 'Z' || stat->state == 'X' || stat->state == 'x' || stat->flags & PF_EXITING;
}

bool lh_proc_stat_is_kernel_thread(const struct lh_proc_stat *stat)
{
	return stat->flags & PF_KTHREAD;
}

/* The text after "\n<key>:" (or at the very start), or NULL. */
static const char *status_line(const char *status, const char *key)
{
	size_t key_bytes = strlen(key);
	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, key_bytes) && line[key_bytes] == ':')
			return line + key_bytes + 1;
	}
	return NULL;
}

bool lh_proc_status_number(const char *status, const char *key, unsigned index, int base, uint64_t *ret)
{
	const char *at = status_line(status, key);
	if (!at)
		return false;
	for (unsigned field = 0;; field++) {
		at += strspn(at, " \t");
		if (!isxdigit((unsigned char)*at))
			return false;
		char *end;
		uint64_t value = strtoull(at, &end, base);
		if (end == at)
			return false;
		if (field == index) {
			*ret = value;
			return true;
		}
		at = end;
	}
}

bool lh_proc_pid_parse(const char *name, pid_t *ret)
{
	uint64_t value = 0;
	const char *at = name;
	for (; isdigit((unsigned char)*at) && value <= INT_MAX; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	if (*at || at == name || !value || value > INT_MAX)
		return false;
	*ret = (pid_t)value;
	return true;
}

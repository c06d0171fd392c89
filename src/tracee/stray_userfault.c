/*
 * stray_userfault: finds and closes what a killed leakhunt left in the target. Input: its descriptors, as
 * /proc tells of them. It closes nothing that a program could have a use for.
 */
#include "stray_userfault.h"

#include "borrow_thread.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define USERFAULT_LINK "anon_inode:[userfaultfd]"
/* O_CLOEXEC | O_NONBLOCK, and O_RDWR before Linux 6.1; nothing waits, no feature was agreed on (fs/userfaultfd.c). */
#define STRAY_FLAGS         "\nflags:\t02004000\n"
#define STRAY_FLAGS_WRITING "\nflags:\t02004002\n"
#define STRAY_PENDING       "\npending:\t0\ntotal:\t0\nAPI:\taa:0:"

static const struct timespec twice_apart = {.tv_nsec = 100000000};

/* One that vanishes meanwhile is none. */
static bool is_stray(const struct lh_process *process, int folder_fd, const char *name)
{
	char link[sizeof(USERFAULT_LINK)], path[NAME_MAX + 16];
	if (readlinkat(folder_fd, name, link, sizeof(link)) != sizeof(link) - 1 ||
	    memcmp(link, USERFAULT_LINK, sizeof(link) - 1) != 0)
		return false;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	snprintf(path, sizeof(path), "fdinfo/%s", name);
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_process_read_file(process, path, &text);
	return !error && text.length && (strstr(text.data, STRAY_FLAGS) || strstr(text.data, STRAY_FLAGS_WRITING)) &&
	       strstr(text.data, STRAY_PENDING);
}

static struct lh_error *find_once(const struct lh_process *process, struct lh_descriptors *ret)
{
	int folder_fd;
	LH_TRY(lh_process_open_file(process, "fd", O_RDONLY | O_DIRECTORY, &folder_fd));
	LH_CLEANUP(lh_cleanup_dir) DIR *folder = fdopendir(folder_fd);
	if (!folder) {
		close(folder_fd);
		return lh_error_no_memory();
	}
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (entry->d_name[0] != '.' && is_stray(process, folder_fd, entry->d_name))
			LH_TRY(lh_vec_push(&ret->numbers, (int)strtol(entry->d_name, NULL, 10)));
	}
	return NULL;
}

static bool holds(const struct lh_descriptors *descriptors, int number)
{
	for (size_t i = 0; i < descriptors->numbers.count; i++) {
		if (descriptors->numbers.items[i] == number)
			return true;
	}
	return false;
}

struct lh_error *lh_stray_userfaults_find(const struct lh_process *process, struct lh_descriptors *ret)
{
	struct lh_descriptors before = {0}, now = {0};
	struct lh_error *error = find_once(process, &before);
	if (!error && before.numbers.count) {
		nanosleep(&twice_apart, NULL);
		error = find_once(process, &now);
	}
	for (size_t i = 0; !error && i < now.numbers.count; i++) {
		if (holds(&before, now.numbers.items[i]))
			error = lh_vec_push(&ret->numbers, now.numbers.items[i]);
	}
	lh_vec_deinit(&before.numbers);
	lh_vec_deinit(&now.numbers);
	return error;
}

/* ---------------------------------------------------------------- closing */

/* What is closed, and in what. */
struct closing {
	const struct lh_process *process;
	const struct lh_descriptors *strays;
	size_t closed_count;
};

/* All threads stand still: what is found again now is not given away before it is closed. */
static struct lh_error *close_all(struct lh_remote *remote, void *context)
{
	struct closing *closing = context;
	struct lh_descriptors still = {0};
	struct lh_error *error = find_once(closing->process, &still);
	for (size_t i = 0; !error && i < closing->strays->numbers.count; i++) {
		int number = closing->strays->numbers.items[i];
		int64_t result;
		if (!holds(&still, number))
			continue;
		error = lh_remote_call(remote, SYS_close, (uint64_t[6]){(uint64_t)number}, &result);
		closing->closed_count += !error && result == 0;
	}
	lh_vec_deinit(&still.numbers);
	return error;
}

static struct lh_error *close_stopped(struct closing *closing, struct lh_freeze_cost *cost)
{
	static const long calls[] = {SYS_close, SYS_rt_sigreturn, 0};
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_thread_states states LH_CLEANUP(lh_thread_states_deinit) = {0};
	struct lh_remote_code code;
	struct lh_freeze *freeze = NULL;
	LH_TRY(lh_regions_read(closing->process, LH_REGIONS_MAPS, &regions));
	LH_TRY(lh_remote_find_code(closing->process, &regions, &code));
	LH_TRY(lh_freeze_begin(closing->process, &states, &freeze));
	struct lh_error *error =
		lh_borrow_frozen_thread(closing->process, freeze, &regions, &code, calls, close_all, closing);
	lh_freeze_cost_add(cost, lh_freeze_end(freeze));
	return error;
}

struct lh_error *lh_stray_userfaults_close(const struct lh_process *process, struct lh_freeze_cost *cost,
					   size_t *ret_count)
{
	struct lh_descriptors strays = {0};
	struct closing closing = {.process = process, .strays = &strays};
	struct lh_error *error = lh_stray_userfaults_find(process, &strays);
	if (!error && strays.numbers.count)
		error = close_stopped(&closing, cost);
	lh_vec_deinit(&strays.numbers);
	LH_TRY(error);
	*ret_count = closing.closed_count;
	return NULL;
}

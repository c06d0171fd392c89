/*
 * test_proc_live: processes, pages, threads and modules, on this very process and on children of it. What
 * is expected comes from the kernel's calls and files, never from the code under test.
 */
#include "unit.h"

#include "leakhunt/modules.h"
#include "leakhunt/pages.h"
#include "leakhunt/process.h"
#include "leakhunt/process_memory.h"
#include "leakhunt/process_table.h"
#include "leakhunt/regions.h"
#include "leakhunt/tasks.h"
#include "proc/modules.h"
#include "proc/regions.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

static struct lh_process *open_self(void)
{
	struct lh_process *process = NULL;
	assert_success(lh_process_open(getpid(), &process));
	return process;
}

static size_t read_self(const void *context, uint64_t addr, void *ret, size_t bytes)
{
	return lh_process_read(context, addr, ret, bytes);
}

/* A child that waits until its end of the pipe closes. */
struct child {
	pid_t pid;
	int pipe_fd;
};

static struct child start_child(void)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		char byte;
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) < 0);
	}
	close(ends[0]);
	return (struct child){.pid = pid, .pipe_fd = ends[1]};
}

/* Lets it end, and leaves it a zombie. */
static void end_child(struct child *child)
{
	siginfo_t info;
	close(child->pipe_fd);
	assert_int_equal(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), 0);
}

static void test_open(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	char name[16];
	prctl(PR_GET_NAME, name);
	assert_int_equal(lh_process_pid(process), getpid());
	assert_string_equal(lh_process_command(process), name);
	assert_int_equal(lh_process_identity(process).pid, getpid());
	assert_true(lh_process_identity(process).start_ticks > 0);
	assert_success(lh_process_check(process));
	struct lh_process *none = NULL;
	assert_failure(lh_process_open(0, &none), LH_ERROR_USAGE);
	assert_failure(lh_process_open(-5, &none), LH_ERROR_USAGE);
	assert_failure(lh_process_open(0x7fffffff, &none), LH_ERROR_NO_PROCESS);
	char program[8];
	if (access("/proc/2", F_OK) == 0 && readlink("/proc/2/exe", program, sizeof(program)) < 0)
		assert_failure(lh_process_open(2, &none), LH_ERROR_UNSUPPORTED); /* kthreadd; not in other namespaces */
	assert_null(none);
}

static void test_zombie_and_end(void **state)
{
	(void)state;
	struct child child = start_child();
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	struct lh_process *none = NULL;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_usage usage;
	assert_success(lh_process_open(child.pid, &process));
	assert_success(lh_regions_read(process, LH_REGIONS_SMAPS, &list));
	assert_true(list.regions.count > 5);
	end_child(&child);
	for (int is_reaped = 0; is_reaped < 2; is_reaped++) {
		assert_failure(lh_process_open(child.pid, &none), LH_ERROR_NO_PROCESS);
		assert_failure(lh_process_check(process), LH_ERROR_NO_PROCESS);
		assert_failure(lh_regions_read(process, LH_REGIONS_SMAPS, &list), LH_ERROR_NO_PROCESS);
		assert_failure(lh_regions_read(process, LH_REGIONS_MAPS, &list), LH_ERROR_NO_PROCESS);
		assert_failure(lh_rollup_read(process, &usage), LH_ERROR_NO_PROCESS);
		waitpid(child.pid, NULL, 0);
	}
}

static void test_exec_is_noticed(void **state)
{
	(void)state;
	int go[2], done[2];
	char byte = 0;
	assert_int_equal(pipe(go) | pipe2(done, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		dup2(go[0], 0);
		close(go[1]);
		if (read(0, &byte, 1) == 1)
			execl("/bin/cat", "cat", (char *)NULL);
		_exit(1);
	}
	close(done[1]);
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	assert_success(lh_process_open(pid, &process));
	assert_success(lh_process_check(process));
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(done[0], &byte, 1), 0); /* closed by exec */
	assert_failure(lh_process_check(process), LH_ERROR_CHANGED);
	close(go[1]);
	waitpid(pid, NULL, 0);
	close(go[0]);
	close(done[0]);
}

struct thread {
	pthread_t handle;
	pid_t tid;
	const char *name;
	bool spins;
	atomic_bool is_ready;
	atomic_bool is_over;
	int wait_fd;
};

static void *run_thread(void *context)
{
	struct thread *thread = context;
	char byte;
	prctl(PR_SET_NAME, thread->name);
	thread->tid = (pid_t)syscall(SYS_gettid);
	atomic_store(&thread->is_ready, true);
	while (thread->spins && !atomic_load(&thread->is_over))
		continue;
	return thread->spins || read(thread->wait_fd, &byte, 1) == 0 ? NULL : context;
}

static void start_thread(struct thread *thread)
{
	assert_int_equal(pthread_create(&thread->handle, NULL, run_thread, thread), 0);
	while (!atomic_load(&thread->is_ready))
		sched_yield();
}

static const struct lh_region *find_stack(const struct lh_region_list *list, pid_t tid)
{
	for (size_t i = 0; i < list->regions.count; i++)
		if (list->regions.items[i].kind == LH_REGION_THREAD_STACK && list->regions.items[i].tid == tid)
			return &list->regions.items[i];
	return NULL;
}

static void assert_is_stack_of(const struct lh_region_list *list, const struct thread *thread)
{
	pthread_attr_t attributes;
	void *lowest;
	size_t bytes;
	const struct lh_region *region = find_stack(list, thread->tid);
	assert_non_null(region);
	assert_string_equal(region->thread_name, thread->name);
	assert_int_equal(pthread_getattr_np(thread->handle, &attributes), 0);
	assert_int_equal(pthread_attr_getstack(&attributes, &lowest, &bytes), 0);
	assert_true(region->start <= (uintptr_t)lowest && (uintptr_t)lowest + bytes <= region->end);
	pthread_attr_destroy(&attributes);
}

/* Waits until it sleeps in read(2). */
static struct lh_task await_read(const struct lh_process *process, pid_t tid)
{
	for (;;) {
		struct lh_task_list tasks LH_CLEANUP(lh_task_list_deinit) = {0};
		assert_success(lh_tasks_read(process, &tasks));
		for (size_t i = 0; i < tasks.tasks.count; i++) {
			const struct lh_task *task = &tasks.tasks.items[i];
			if (task->tid == tid && task->system_call == SYS_read)
				return *task;
		}
	}
}

static void test_thread_stacks(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	struct thread sleeper = {.name = "sleeper \x1b)", .wait_fd = ends[0]};
	struct thread spinner = {.name = "spinner", .spins = true};
	start_thread(&sleeper);
	start_thread(&spinner);
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_task_list tasks = {0};
	assert_success(lh_tasks_read(process, &tasks));
	assert_int_equal(tasks.tasks.count, 3);
	lh_task_list_deinit(&tasks);
	struct lh_task asleep = await_read(process, sleeper.tid);
	assert_int_equal(asleep.arguments[0], ends[0]);
	assert_int_equal(asleep.arguments[2], 1);
	assert_success(lh_regions_read(process, LH_REGIONS_SMAPS, &list));
	assert_is_stack_of(&list, &sleeper);
	assert_is_stack_of(&list, &spinner);
	assert_null(find_stack(&list, getpid()));
	/* A thread's id is no process's. */
	struct lh_process *none = NULL;
	assert_failure(lh_process_open(sleeper.tid, &none), LH_ERROR_NO_PROCESS);
	atomic_store(&spinner.is_over, true);
	close(ends[1]);
	pthread_join(sleeper.handle, NULL);
	pthread_join(spinner.handle, NULL);
	close(ends[0]);
}

static enum lh_region_kind kind_at(const struct lh_region_list *list, const void *place)
{
	const struct lh_region *region = lh_regions_find(list, (uintptr_t)place);
	assert_non_null(region);
	return region->kind;
}

/* Memory of its own between guards, so that nothing merges with it. */
static uint64_t *map_between_guards(size_t bytes)
{
	char *base = mmap(NULL, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(base != MAP_FAILED);
	assert_int_equal(mprotect(base + PAGE, bytes, PROT_READ | PROT_WRITE), 0);
	return (uint64_t *)(base + PAGE);
}

static void test_pagemap(void **state)
{
	(void)state;
	enum { PAGES = 3000 };
	char *memory = (char *)map_between_guards(PAGES * PAGE);
	size_t expected_pages = 0, expected_runs = 0;
	madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < PAGES; i++) {
		if (i % 7 && i % 11 != 3)
			continue;
		memory[i * PAGE] = 1;
		expected_pages++;
		expected_runs += !i || ((i - 1) % 7 && (i - 1) % 11 != 3);
	}
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	struct lh_page_runs runs = {0};
	struct lh_range range = {(uintptr_t)memory, (uintptr_t)memory + PAGES * PAGE};
	assert_success(lh_pagemap_open(process, &pagemap));
	assert_success(lh_pagemap_runs(pagemap, range, &runs));
	assert_int_equal(runs.runs.count, expected_runs);
	size_t pages = 0;
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_page_run run = runs.runs.items[i];
		assert_int_equal(run.state, LH_PAGES_PRESENT);
		assert_true(run.range.start >= range.start && run.range.end <= range.end);
		for (uint64_t at = run.range.start; at < run.range.end; at += PAGE, pages++)
			assert_int_equal(*(char *)(uintptr_t)at, 1);
	}
	assert_int_equal(pages, expected_pages);
	range.start++;
	assert_failure(lh_pagemap_runs(pagemap, range, &runs), LH_ERROR_USAGE);
	lh_page_runs_deinit(&runs);
	munmap(memory - PAGE, (PAGES + 2) * PAGE);
}

/* Of three pages the first is written, the second only read (the kernel's page of zeros), the third is left alone. */
static char *map_thirds(size_t pages)
{
	char *start =
		mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(start, MAP_FAILED);
	assert_int_equal(madvise(start, pages * PAGE, MADV_NOHUGEPAGE), 0);
	for (size_t i = 0; i < pages; i++) {
		if (i % 3 == 0)
			*(volatile uint64_t *)(void *)(start + i * PAGE) = i + 1;
		else if (i % 3 == 1)
			(void)*(volatile char *)(start + i * PAGE);
	}
	return start;
}

static void check_peeks(const struct lh_process *process, const char *start, size_t pages, size_t step)
{
	struct lh_peek *peeks = calloc(pages, sizeof(*peeks));
	size_t count = 0;
	assert_non_null(peeks);
	for (size_t i = 0; i < pages; i += step)
		peeks[count++] = (struct lh_peek){.addr = (uintptr_t)start + i * PAGE};
	assert_success(lh_process_peek(process, peeks, count));
	for (size_t i = 0; i < count; i++) {
		size_t page = i * step;
		assert_int_equal(peeks[i].is_read, page % 3 != 2);
		assert_int_equal(peeks[i].is_present, page % 3 != 2);
		assert_int_equal(peeks[i].words[0], page % 3 == 0 ? page + 1 : 0);
	}
	free(peeks);
}

/* Peeks side by side are looked up in the pagemap, and those far apart by move_pages(2). */
static void test_peeks_touch_nothing(void **state)
{
	(void)state;
	enum { PAGES = 6000 };
	static const size_t steps[] = {1, 2, 10, 11, 40};
	static unsigned char resident[PAGES];
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	char *start = map_thirds(PAGES);
	for (size_t i = 0; i < LH_ARRAY_COUNT(steps); i++)
		check_peeks(process, start, PAGES, steps[i]);
	assert_int_equal(mincore(start, (size_t)PAGES * PAGE, resident), 0);
	for (size_t i = 2; i < PAGES; i += 3)
		assert_int_equal(resident[i] & 1, 0);
	assert_int_equal(munmap(start, (size_t)PAGES * PAGE), 0);
}

/* Up to the first page that is absent, from any offset, and nothing where the first one is. */
static void test_present_read_stops_at_absent(void **state)
{
	(void)state;
	enum { OFFSET = 100, PAGES = 12 };
	static char bytes[PAGES * PAGE];
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	assert_success(lh_pagemap_open(process, &pagemap));
	struct lh_present_reader reader = {process, pagemap};
	char *start = map_thirds(PAGES);
	uint64_t addr = (uintptr_t)start;
	assert_int_equal(lh_present_read(&reader, addr, bytes, sizeof(bytes)), 2 * PAGE);
	assert_int_equal(lh_load_u64((const uint8_t *)bytes, 0), 1);
	assert_int_equal(lh_present_read(&reader, addr + OFFSET, bytes, sizeof(bytes)), 2 * PAGE - OFFSET);
	assert_int_equal(lh_present_read(&reader, addr + OFFSET, bytes, 8), 8);
	assert_int_equal(lh_present_read(&reader, addr + 2 * PAGE, bytes, 8), 0);
	assert_int_equal(lh_present_read(&reader, addr + 3 * PAGE, bytes, 8), 8);
	assert_int_equal(lh_load_u64((const uint8_t *)bytes, 0), 4);
	assert_int_equal(lh_present_read(&reader, addr + 4 * PAGE - 4, bytes, PAGE + 8), PAGE + 4);
	assert_int_equal(lh_present_read(&reader, UINT64_MAX - 4, bytes, 8), 0);
	assert_int_equal(munmap(start, (size_t)PAGES * PAGE), 0);
}

static void test_read_stops_at_a_hole(void **state)
{
	(void)state;
	char *memory = (char *)map_between_guards(3 * PAGE);
	char copy[3 * PAGE];
	for (size_t i = 0; i < sizeof(copy); i++)
		memory[i] = (char)(i * 31);
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	assert_int_equal(lh_process_read(process, (uintptr_t)memory, copy, sizeof(copy)), sizeof(copy));
	assert_memory_equal(copy, memory, sizeof(copy));
	assert_int_equal(lh_process_read(process, (uintptr_t)memory + 2 * PAGE + 100, copy, sizeof(copy)), PAGE - 100);
	assert_memory_equal(copy, memory + 2 * PAGE + 100, PAGE - 100);
	assert_int_equal(lh_process_read(process, (uintptr_t)memory - PAGE, copy, sizeof(copy)), 0);
	assert_int_equal(lh_process_read(process, 0, copy, 1), 0);
	munmap(memory - PAGE, 5 * PAGE);
}

/* cat, which shares no page with this process, after it has passed on a byte: it waits for the next one. */
static struct child start_cat(void)
{
	int to[2], from[2];
	char byte;
	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		execl("/bin/cat", "cat", (char *)NULL);
		_exit(1);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(write(to[1], "x", 1), 1);
	assert_int_equal(read(from[0], &byte, 1), 1);
	close(from[0]);
	return (struct child){.pid = pid, .pipe_fd = to[1]};
}

static void test_rollup(void **state)
{
	(void)state;
	struct child child = start_cat();
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_usage rollup, total;
	uint64_t vss_bytes;
	assert_success(lh_process_open(child.pid, &process));
	assert_success(lh_regions_read(process, LH_REGIONS_SMAPS, &list));
	assert_success(lh_rollup_read(process, &rollup));
	lh_regions_total(&list, &total, &vss_bytes);
	assert_true(total.rss_bytes > 0);
	assert_int_equal(total.private_dirty_bytes, rollup.private_dirty_bytes);
	assert_int_equal(total.anonymous_bytes, rollup.anonymous_bytes);
	assert_int_equal(total.swap_bytes, rollup.swap_bytes);
	end_child(&child);
	waitpid(child.pid, NULL, 0);
}

/* Whoever starts or ends changes the PSS of libraries: a total between two equal rollups counts. */
static void test_total_pss_is_the_rollups(void **state)
{
	enum { TRIES = 1000 };
	(void)state;
	struct child child = start_cat();
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	struct lh_usage before, after, total;
	uint64_t vss_bytes;
	assert_success(lh_process_open(child.pid, &process));
	bool is_same = false;
	for (int i = 0; i < TRIES && !is_same; i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		assert_success(lh_rollup_read(process, &before));
		assert_success(lh_regions_read(process, LH_REGIONS_SMAPS, &list));
		lh_regions_take_exact_pss(process, &list);
		lh_regions_total(&list, &total, &vss_bytes);
		assert_success(lh_rollup_read(process, &after));
		is_same = before.pss_bytes == after.pss_bytes && total.pss_bytes == after.pss_bytes;
	}
	assert_true(is_same);
	end_child(&child);
	waitpid(child.pid, NULL, 0);
}

/* ---------------------------------------------------------------- modules */

struct loader_view {
	const struct lh_module_list *list;
	size_t checked;
};

static const struct lh_module *find_module(const struct lh_module_list *list, uint64_t addr)
{
	for (size_t i = 0; i < list->modules.count; i++)
		if (list->modules.items[i].start <= addr && addr < list->modules.items[i].end)
			return &list->modules.items[i];
	return NULL;
}

static void assert_build_id(const struct lh_module *module, const uint8_t *note, size_t bytes)
{
	for (size_t at = 0; at + sizeof(ElfW(Nhdr)) < bytes;) {
		const ElfW(Nhdr) *header = (const ElfW(Nhdr) *)(const void *)(note + at);
		const uint8_t *name = note + at + sizeof(*header);
		const uint8_t *descriptor = name + lh_align_up(header->n_namesz, 4);
		if (header->n_type == NT_GNU_BUILD_ID && !memcmp(name, "GNU", 4)) {
			assert_int_equal(module->build_id_bytes, header->n_descsz);
			assert_memory_equal(module->build_id, descriptor, header->n_descsz);
		}
		at = (size_t)(descriptor - note) + lh_align_up(header->n_descsz, 4);
	}
}

/* The dynamic loader's own list is the truth. */
static int check_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	struct loader_view *view = context;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type != PT_LOAD && segment->p_type != PT_NOTE)
			continue;
		const struct lh_module *module = find_module(view->list, start);
		assert_non_null(module);
		assert_true(module->has_bias);
		assert_true(module->bias == info->dlpi_addr);
		if (segment->p_type == PT_LOAD)
			assert_true(start + segment->p_memsz <= module->end);
		else if (segment->p_align != 8)
			assert_build_id(module, (const uint8_t *)(uintptr_t)start, segment->p_memsz);
	}
	view->checked++;
	return 0;
}

static void test_modules(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_module_list modules LH_CLEANUP(lh_module_list_deinit) = {0};
	assert_success(lh_regions_read(process, LH_REGIONS_MAPS, &regions));
	assert_success(lh_modules_find(&regions, read_self, process, &modules));
	struct loader_view view = {.list = &modules};
	dl_iterate_phdr(check_loaded, &view);
	assert_int_equal(view.checked, modules.modules.count);
	assert_true(view.checked >= 4);
	for (size_t i = 1; i < modules.modules.count; i++)
		assert_true(modules.modules.items[i - 1].end <= modules.modules.items[i].start);
}

/* So that there is one. */
static char bss_of_this_program[16 * PAGE];

/* A bss of whole pages, whose end is free; by the loader's own view. */
static int find_bss(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	struct lh_range *found = context;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + segment->p_vaddr;
		struct lh_range bss = {lh_align_up(start + segment->p_filesz, PAGE),
				       lh_align_up(start + segment->p_memsz, PAGE)};
		void *behind = (void *)(uintptr_t)bss.end;
		if (segment->p_type != PT_LOAD || bss.end <= bss.start)
			continue;
		if (mmap(behind, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != behind)
			continue;
		munmap(behind, PAGE);
		*found = bss;
	}
	return 0;
}

/* Memory that comes to lie right behind a bss merges with it: what most of the mapping is gives it its kind. */
static void test_memory_behind_a_bss(void **state)
{
	(void)state;
	struct lh_range bss = {0};
	memset(bss_of_this_program, 1, sizeof(bss_of_this_program));
	dl_iterate_phdr(find_bss, &bss);
	size_t bss_bytes = lh_range_bytes(bss);
	assert_true(bss_bytes >= PAGE);
	for (int is_larger = 0; is_larger <= 1; is_larger++) {
		size_t bytes = is_larger ? bss_bytes + PAGE : bss_bytes;
		void *behind = mmap((void *)(uintptr_t)bss.end, bytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (behind == MAP_FAILED)
			skip_because("the addresses behind .bss are taken");
		memset(behind, 1, bytes);
		LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		struct lh_module_list modules LH_CLEANUP(lh_module_list_deinit) = {0};
		assert_success(lh_regions_read(process, LH_REGIONS_SMAPS, &list));
		assert_int_equal(kind_at(&list, behind), is_larger ? LH_REGION_ANON : LH_REGION_BSS);
		assert_success(lh_modules_find(&list, read_self, process, &modules));
		const struct lh_module *module = find_module(&modules, bss.start);
		assert_non_null(module);
		assert_int_equal(module->end, bss.end);
		munmap(behind, bytes);
	}
}

struct bytes {
	uint64_t start;
	const uint8_t *data;
	size_t length;
};

static size_t read_bytes(const void *context, uint64_t addr, void *ret, size_t bytes)
{
	const struct bytes *image = context;
	if (addr < image->start || addr - image->start >= image->length)
		return 0;
	size_t count = lh_min_u64(bytes, image->length - (addr - image->start));
	memcpy(ret, image->data + (addr - image->start), count);
	return count;
}

/* The front of this program, with bytes flipped: never a crash, and nothing is changed when it says no. */
static void test_probe_survives_corruption(void **state)
{
	(void)state;
	uint8_t image[PAGE], damaged[PAGE];
	int fd = open("/proc/self/exe", O_RDONLY);
	assert_int_equal(read(fd, image, sizeof(image)), sizeof(image));
	close(fd);
	struct bytes source = {.start = 0x10000, .data = damaged, .length = sizeof(damaged)};
	uint64_t random = 1;
	size_t refused = 0, accepted = 0;
	for (int round = 0; round < 20000; round++) {
		memcpy(damaged, image, sizeof(image));
		for (int i = 0; i < 3; i++)
			damaged[unit_random(&random) % 0x400] = (uint8_t)unit_random(&random);
		source.length = unit_random(&random) % 4 ? sizeof(damaged) : unit_random(&random) % 0x400;
		struct lh_module module = {.start = 0x10000, .path = "x"}, before = module;
		if (lh_module_probe(&module, read_bytes, &source)) {
			assert_true(module.build_id_bytes <= LH_BUILD_ID_MAX);
			accepted++;
			continue;
		}
		assert_memory_equal(&module, &before, sizeof(module));
		refused++;
	}
	assert_true(refused > 100 && accepted > 100);
}

static void test_process_table(void **state)
{
	(void)state;
	struct lh_process_table table = {0};
	assert_success(lh_process_table_read(&table));
	const struct lh_process_usage *self = NULL;
	for (size_t i = 0; i < table.processes.count; i++) {
		const struct lh_process_usage *process = &table.processes.items[i];
		if (process->pid == getpid())
			self = process;
		if (i)
			assert_true(lh_usage_uss(&process->usage) <= lh_usage_uss(&process[-1].usage));
	}
	assert_non_null(self);
	assert_int_equal(self->uid, geteuid());
	assert_true(self->usage.rss_bytes > 0);
	assert_non_null(strstr(self->command, "test_proc_live"));
	assert_true(*self->user);
	lh_process_table_deinit(&table);
}

/* ---------------------------------------------------------------- in short calls */

enum { KINDS_MIB = 12 };

/* Anonymous, with holes; read but never written; of a file, a page of it written; shared; a huge page perhaps. */
static uint8_t *map_all_kinds(void)
{
	uint8_t *at = mmap(NULL, KINDS_MIB << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *file = tmpfile();
	assert_true(at != MAP_FAILED && file && ftruncate(fileno(file), 1 << 20) == 0);
	const int both = PROT_READ | PROT_WRITE, fixed = MAP_FIXED, anonymous = MAP_ANONYMOUS | MAP_FIXED;
	assert_true(mmap(at, 1 << 20, both, MAP_PRIVATE | anonymous, -1, 0) == at);
	assert_true(mmap(at + (2 << 20), 1 << 20, both, MAP_PRIVATE | anonymous, -1, 0) != MAP_FAILED);
	assert_true(mmap(at + (4 << 20), 1 << 20, both, MAP_PRIVATE | fixed, fileno(file), 0) != MAP_FAILED);
	assert_true(mmap(at + (6 << 20), 1 << 20, both, MAP_SHARED | anonymous, -1, 0) != MAP_FAILED);
	assert_true(mmap(at + (8 << 20), 4 << 20, both, MAP_PRIVATE | anonymous, -1, 0) != MAP_FAILED);
	madvise(at + (8 << 20), 4 << 20, MADV_HUGEPAGE);
	for (size_t page = 0; page < 100; page++) {
		at[page * 2 * PAGE] = 1;
		((volatile uint8_t *)at)[(2 << 20) + page * PAGE];
		at[(6 << 20) + page * PAGE] = 1;
	}
	((volatile uint8_t *)at)[(4 << 20) + 50 * PAGE];
	at[(4 << 20) + 3 * PAGE] = 1;
	memset(at + (8 << 20), 1, 4 << 20);
	fclose(file);
	return at;
}

/* What both ways say of the mappings from `start` on, of which there are `count`. */
static void assert_same_usage(const struct lh_region_list *smaps, const struct lh_region_list *counted, uint64_t start,
			      uint64_t end)
{
	for (uint64_t at = start; at < end;) {
		const struct lh_region *a = lh_regions_find(smaps, at), *b = lh_regions_find(counted, at);
		assert_non_null(a);
		assert_non_null(b);
		assert_true(a->start == b->start && a->end == b->end && a->kind == b->kind);
		assert_int_equal(a->usage.rss_bytes, b->usage.rss_bytes);
		assert_int_equal(a->usage.anonymous_bytes, b->usage.anonymous_bytes);
		assert_int_equal(a->usage.anon_huge_bytes, b->usage.anon_huge_bytes);
		assert_int_equal(a->usage.swap_bytes, b->usage.swap_bytes);
		if (a->is_shared)
			assert_int_equal(lh_usage_uss(&a->usage), lh_usage_uss(&b->usage));
		at = a->end;
	}
}

static void test_bounded_reading_says_the_same(void **state)
{
	(void)state;
	uint8_t *at = map_all_kinds();
	uint64_t start = (uint64_t)(uintptr_t)at, end = start + (KINDS_MIB << 20);
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	struct lh_region_list smaps LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_region_list counted LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_regions_pace pace = {.max_stall_ns = 1};
	assert_success(lh_regions_read(process, LH_REGIONS_SMAPS, &smaps));
	assert_success(lh_regions_read_bounded(process, &pace, &counted));
	assert_int_equal(pace.read_count, 1);
	assert_int_equal(pace.bounded_count, 1);
	assert_true(counted.has_usage);
	assert_int_equal(lh_regions_find(&counted, start)->usage.anonymous_bytes, 100 * PAGE);
	assert_int_equal(lh_regions_find(&counted, start + (2 << 20))->usage.rss_bytes, 0);
	assert_int_equal(lh_regions_find(&counted, start + (4 << 20))->usage.anonymous_bytes, PAGE);
	assert_same_usage(&smaps, &counted, start, end);
	munmap(at, KINDS_MIB << 20);
}

/* A reading that would not take long is of smaps, and so is one after memory was given back. */
static void test_bounded_only_where_needed(void **state)
{
	(void)state;
	enum { BIG_MIB = 256 };
	uint64_t big_ns = 7 * LH_NS_PER_MS / 10; /* smaps of 256 MiB: 1.5 ms at least */
	uint8_t *big = mmap(NULL, BIG_MIB << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(big != MAP_FAILED);
	madvise(big, BIG_MIB << 20, MADV_NOHUGEPAGE);
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	struct lh_regions_pace pace = {.max_stall_ns = 100 * LH_NS_PER_MS};
	for (size_t i = 0; i < 3; i++) {
		struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
		assert_success(lh_regions_read_bounded(process, &pace, &list));
		assert_int_equal(pace.bounded_count, i == 2);
		if (i == 0)
			pace.max_stall_ns = big_ns;
		if (i == 1)
			memset(big, 1, BIG_MIB << 20);
	}
	munmap(big, BIG_MIB << 20);
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	assert_success(lh_regions_read_bounded(process, &pace, &list));
	lh_region_list_deinit(&list);
	pace.max_stall_ns = 0;
	assert_success(lh_regions_read_bounded(process, &pace, &list));
	assert_true(pace.read_count == 5 && pace.bounded_count <= 2);
}

/* PAGEMAP_SCAN came with Linux 6.7. */
static bool has_scan(void)
{
	struct utsname kernel;
	int major = 0, minor = 0;
	assert_int_equal(uname(&kernel), 0);
	assert_int_equal(sscanf(kernel.release, "%d.%d", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 7);
}

/*
 * Thousands of mappings, three pages each, neighbors of which the kernel joins in its answers: not by smaps, though
 * none would hold the lock for long. Each has other pages touched; each 100th is shared. Pages without access stand on
 * both sides, so that no memory that is mapped meanwhile becomes part of the first or the last.
 */
static void test_many_mappings_are_counted_together(void **state)
{
	(void)state;
	enum { MANY = 5000, PAGES = 3, BYTES = PAGES * PAGE };
	size_t all_bytes = (size_t)MANY * BYTES;
	uint8_t *fence = mmap(NULL, all_bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *all = fence + PAGE;
	assert_true(fence != MAP_FAILED && mprotect(all, all_bytes, PROT_READ | PROT_WRITE) == 0);
	for (size_t i = 0; i < MANY; i++) {
		uint8_t *at = all + i * BYTES;
		int shared = i % 100 == 99 ? MAP_SHARED : MAP_PRIVATE;
		if (shared == MAP_SHARED)
			assert_true(mmap(at, BYTES, PROT_READ | PROT_WRITE, shared | MAP_ANONYMOUS | MAP_FIXED, -1,
					 0) == at);
		for (size_t page = 0; page < PAGES; page++) {
			if (i >> page & 1)
				at[page * PAGE] = 1;
		}
		assert_int_equal(mprotect(at, BYTES, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE), 0);
	}
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = open_self();
	struct lh_region_list smaps LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_region_list counted LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_regions_pace pace = {.max_stall_ns = LH_NS_PER_S};
	assert_success(lh_regions_read(process, LH_REGIONS_SMAPS, &smaps));
	assert_success(lh_regions_read_bounded(process, &pace, &counted));
	assert_int_equal(pace.bounded_count, has_scan());
	assert_same_usage(&smaps, &counted, (uint64_t)(uintptr_t)all, (uint64_t)(uintptr_t)all + all_bytes);
	munmap(fence, all_bytes + 2 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_zombie_and_end),
		cmocka_unit_test(test_exec_is_noticed),
		cmocka_unit_test(test_thread_stacks),
		cmocka_unit_test(test_pagemap),
		cmocka_unit_test(test_peeks_touch_nothing),
		cmocka_unit_test(test_present_read_stops_at_absent),
		cmocka_unit_test(test_read_stops_at_a_hole),
		cmocka_unit_test(test_rollup),
		cmocka_unit_test(test_total_pss_is_the_rollups),
		cmocka_unit_test(test_bounded_reading_says_the_same),
		cmocka_unit_test(test_bounded_only_where_needed),
		cmocka_unit_test(test_many_mappings_are_counted_together),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_memory_behind_a_bss),
		cmocka_unit_test(test_probe_survives_corruption),
		cmocka_unit_test(test_process_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

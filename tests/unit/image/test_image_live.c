/*
 * test_image_live: a live child process as an image, and the core that gcore makes of it: both must
 * show the bytes that the child really has, and the live view must not make its memory resident.
 */
#include "unit.h"

#include "image/view.h"
#include "leakhunt/image.h"
#include "leakhunt/process.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PATTERN_BYTES = 9 << 20, UNTOUCHED_BYTES = 64 << 20 };

/* The child is as sanitized as this test: gcore would write terabytes of its shadow memory. */
#if defined(__SANITIZE_ADDRESS__)
enum { IS_SHADOWED = 1 };
#elif defined(__has_feature)
enum { IS_SHADOWED = __has_feature(address_sanitizer) };
#else
enum { IS_SHADOWED = 0 };
#endif

/* Made before the fork: the child has the same at the same addresses. */
static uint8_t *pattern;   /* PATTERN_BYTES, all present, then a page without access */
static uint8_t *untouched; /* UNTOUCHED_BYTES, of which only the page in the middle is present */
static pid_t child;
static struct lh_process *process;

static void *wait_in_thread(void *ready_fd)
{
	prctl(PR_SET_NAME, "worker");
	if (write(*(int *)ready_fd, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void run_child(int ready_fd)
{
	pthread_t thread;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "image child");
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	/* The kernel writes the number of the CPU into a thread's control block (rseq(2)): keep to one. */
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	pattern[0]++; /* so that it differs from the parent's */
	untouched[UNTOUCHED_BYTES / 2] = 'u';
	if (pthread_create(&thread, NULL, wait_in_thread, &ready_fd) != 0)
		_exit(1);
	for (;;)
		pause();
}

static uint8_t *map(size_t bytes, int protection)
{
	void *mapped = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return mapped == MAP_FAILED ? NULL : mapped;
}

static int start_child(void **state)
{
	(void)state;
	int ready[2];
	char byte;
	uint64_t random = 3;
	pattern = map(PATTERN_BYTES + PAGE, PROT_READ | PROT_WRITE);
	untouched = map(UNTOUCHED_BYTES, PROT_READ | PROT_WRITE);
	if (!pattern || !untouched || pipe(ready) != 0)
		return -1;
	madvise(untouched, UNTOUCHED_BYTES, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < PATTERN_BYTES; i += 8)
		*(uint64_t *)(void *)(pattern + i) = unit_random(&random);
	mprotect(pattern + PATTERN_BYTES, PAGE, PROT_NONE);
	child = fork();
	if (child == 0)
		run_child(ready[1]);
	pattern[0]++;
	close(ready[1]);
	bool is_ready = read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	struct lh_error *error = is_ready ? lh_process_open(child, &process) : NULL;
	lh_error_destroy(error);
	return is_ready && !error ? 0 : -1;
}

static int end_child(void **state)
{
	(void)state;
	lh_process_close(process);
	kill(child, SIGKILL);
	return waitpid(child, NULL, 0) == child ? 0 : -1;
}

static uint64_t address_of(const uint8_t *place)
{
	return (uint64_t)(uintptr_t)place;
}

static long resident_kib(void)
{
	char name[64];
	long pages = 0, resident = 0;
	snprintf(name, sizeof(name), "/proc/%d/statm", (int)child);
	FILE *file = fopen(name, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
	fclose(file);
	return resident * PAGE / 1024;
}

/* ---------------------------------------------------------------- live */

static void live_bytes_are_the_childs(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_process(process, &image));
	assert_int_equal(lh_image_pid(image), child);
	uint8_t *copy = malloc(PATTERN_BYTES + PAGE);
	assert_non_null(copy);
	assert_int_equal(lh_image_read(image, address_of(pattern), copy, PATTERN_BYTES + PAGE), PATTERN_BYTES);
	assert_memory_equal(copy, pattern, PATTERN_BYTES);
	assert_int_equal(lh_image_read(image, address_of(pattern) + 12345, copy, 100), 100);
	assert_memory_equal(copy, pattern + 12345, 100);
	free(copy);
	size_t bytes;
	assert_null(lh_image_view(image, address_of(pattern), &bytes));
	const struct lh_segment *segment = lh_image_find(image, address_of(pattern));
	assert_non_null(segment);
	assert_false(segment->is_context);
	assert_null(lh_image_find(image, address_of(pattern) + PATTERN_BYTES));
}

static void untouched_memory_stays_untouched(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_process(process, &image));
	long before = resident_kib();
	uint8_t bytes[2 * PAGE];
	uint64_t middle = address_of(untouched) + UNTOUCHED_BYTES / 2;
	assert_int_equal(lh_image_read(image, address_of(untouched), bytes, sizeof(bytes)), 0);
	assert_int_equal(lh_image_read(image, middle, bytes, sizeof(bytes)), PAGE);
	assert_int_equal(bytes[0], 'u');
	assert_true(lh_image_walk_bytes(image, 0) < UNTOUCHED_BYTES);
	assert_int_equal(resident_kib(), before);
}

static void threads_and_modules_are_known(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_process(process, &image));
	size_t count, workers = 0;
	const struct lh_image_thread *threads = lh_image_threads(image, &count);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++)
		workers += strcmp(threads[i].name, "worker") == 0;
	assert_int_equal(workers, 1);
	const struct lh_module_list *modules = lh_image_modules(image);
	bool has_libc = false;
	for (size_t i = 0; i < modules->modules.count; i++)
		has_libc |= strstr(modules->modules.items[i].path, "/libc.so.6") && modules->modules.items[i].has_bias;
	assert_true(has_libc);
	char root[64];
	snprintf(root, sizeof(root), "/proc/%d/root", (int)child);
	assert_string_equal(lh_image_root(image), root);
}

/* ---------------------------------------------------------------- walking */

struct walk_check {
	uint64_t pattern_bytes;
	uint64_t total_bytes;
	uint64_t untouched_bytes;
	uint64_t last_end;
};

/* Part of the pattern? Then it must equal ours, at the bytes before and after the block, too. */
static struct lh_error *check_block(void *context, const struct lh_block *block)
{
	struct walk_check *check = context;
	uint64_t start = address_of(pattern), end = start + PATTERN_BYTES;
	assert_true(block->addr >= check->last_end);
	assert_int_equal(block->is_continued, check->last_end == block->addr && check->total_bytes > 0);
	assert_true(block->bytes <= 4 << 20);
	assert_true(block->bytes_before <= LH_BLOCK_OVERLAP && block->bytes_after <= LH_BLOCK_OVERLAP);
	check->last_end = block->addr + block->bytes;
	check->total_bytes += block->bytes;
	uint64_t from = lh_max_u64(block->addr - block->bytes_before, start);
	uint64_t until = lh_min_u64(block->addr + block->bytes + block->bytes_after, end);
	if (from < until)
		assert_memory_equal(block->data + (int64_t)(from - block->addr), pattern + (from - start),
				    until - from);
	uint64_t own_from = lh_max_u64(block->addr, start), own_until = lh_min_u64(check->last_end, end);
	check->pattern_bytes += own_from < own_until ? own_until - own_from : 0;
	uint64_t middle = address_of(untouched) + UNTOUCHED_BYTES / 2;
	if (block->addr >= address_of(untouched) && block->addr < address_of(untouched) + UNTOUCHED_BYTES) {
		assert_true(block->addr == middle || block->addr + block->bytes > address_of(pattern));
		check->untouched_bytes += block->bytes;
	}
	return NULL;
}

static void a_live_walk_visits_each_present_byte_once(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_process(process, &image));
	long before = resident_kib();
	struct walk_check check = {0};
	assert_success(lh_image_walk(image, 0, check_block, &check));
	assert_int_equal(check.pattern_bytes, PATTERN_BYTES);
	assert_true(check.untouched_bytes >= PAGE);
	assert_int_equal(check.total_bytes, lh_image_walk_bytes(image, 0));
	assert_int_equal(resident_kib(), before);
	size_t gaps;
	lh_image_gaps(image, &gaps);
	assert_int_equal(gaps, 0);
}

static void context_is_walked_on_request(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_process(process, &image));
	struct walk_check check = {0};
	uint64_t wanted = lh_image_walk_bytes(image, 0);
	assert_success(lh_image_walk(image, LH_WALK_CONTEXT, check_block, &check));
	assert_true(check.total_bytes > wanted);
	assert_int_equal(check.total_bytes, lh_image_walk_bytes(image, LH_WALK_CONTEXT));
}

/* ---------------------------------------------------------------- gcore */

/*
 * Every byte that the core has of anonymous memory equals the waiting child's. (While gdb is attached,
 * it counts up the semaphores of libc's and ld.so's SystemTap probes, which lie in their data.)
 */
static void compare_segment(const struct lh_image *core, const struct lh_image *live, const struct lh_segment *segment,
			    uint64_t *ret_compared)
{
	static uint8_t from_core[1 << 16], from_live[1 << 16];
	for (uint64_t at = segment->start; at < segment->start + segment->file_bytes; at += sizeof(from_core)) {
		size_t got = lh_image_read(core, at, from_core, sizeof(from_core));
		size_t live_got = lh_image_read(live, at, from_live, sizeof(from_live));
		size_t both = lh_min_u64(got, live_got);
		assert_memory_equal(from_core, from_live, both);
		*ret_compared += both;
	}
}

static const struct lh_module *module_named(const struct lh_image *image, const char *part)
{
	const struct lh_module_list *list = lh_image_modules(image);
	for (size_t i = 0; i < list->modules.count; i++) {
		if (strstr(list->modules.items[i].path, part))
			return &list->modules.items[i];
	}
	return NULL;
}

static void compare_modules(const struct lh_image *core, const struct lh_image *live)
{
	static const char *const names[] = {"/libc.so.6", "/ld-linux", "/test_image_live", "[vdso]"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(names); i++) {
		const struct lh_module *a = module_named(core, names[i]), *b = module_named(live, names[i]);
		assert_non_null(a);
		assert_non_null(b);
		assert_int_equal(a->start, b->start);
		assert_int_equal(a->bias, b->bias);
		assert_int_equal(a->build_id_bytes, b->build_id_bytes);
		assert_memory_equal(a->build_id, b->build_id, a->build_id_bytes);
	}
}

static void compare_kinds(const struct lh_image *core, const struct lh_image *live)
{
	static const enum lh_region_kind kinds[] = {LH_REGION_HEAP, LH_REGION_MAIN_STACK, LH_REGION_DATA,
						    LH_REGION_BSS};
	size_t count, compared[LH_REGION_KIND_COUNT] = {0};
	const struct lh_segment *segments = lh_image_segments(live, &count);
	for (size_t i = 0; i < count; i++) {
		const struct lh_segment *other = lh_image_find(core, segments[i].start);
		for (size_t j = 0; other && j < LH_ARRAY_COUNT(kinds); j++) {
			if (segments[i].kind != kinds[j])
				continue;
			assert_string_equal(lh_region_kind_name(other->kind), lh_region_kind_name(kinds[j]));
			compared[kinds[j]]++;
		}
	}
	for (size_t j = 0; j < LH_ARRAY_COUNT(kinds); j++)
		assert_true(compared[kinds[j]] > 0);
}

static void a_core_of_gcore_equals_the_live_process(void **state)
{
	(void)state;
	char prefix[] = "/tmp/leakhunt-gcore-XXXXXX", command[128], path[64];
	int fd = mkstemp(prefix);
	assert_true(fd >= 0);
	close(fd);
	unlink(prefix);
	snprintf(command, sizeof(command), "gcore -o %s %d >/dev/null 2>&1", prefix, (int)child);
	snprintf(path, sizeof(path), "%s.%d", prefix, (int)child);
	if (IS_SHADOWED || system("command -v gcore >/dev/null") != 0)
		skip_because("needs gcore, and no sanitizer");
	assert_int_equal(system(command), 0);

	LH_CLEANUP(lh_cleanup_image) struct lh_image *core = NULL;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *live = NULL;
	struct lh_error *error = lh_image_open_file(path, NULL, &core);
	unlink(path);
	assert_success(error);
	assert_success(lh_image_open_process(process, &live));
	assert_int_equal(lh_image_source(core), LH_IMAGE_CORE);
	assert_int_equal(lh_image_pid(core), child);

	size_t count;
	uint64_t compared = 0;
	const struct lh_segment *segments = lh_image_segments(core, &count);
	for (size_t i = 0; i < count; i++) {
		if ((segments[i].protection & LH_PROT_WRITE) && segments[i].kind != LH_REGION_DATA)
			compare_segment(core, live, &segments[i], &compared);
	}
	assert_true(compared > PATTERN_BYTES);
	const struct lh_image_thread *threads = lh_image_threads(core, &count);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++) {
		const struct lh_segment *stack = lh_image_find(core, threads[i].stack_pointer);
		assert_non_null(stack);
		assert_int_equal(stack->kind, threads[i].tid == child ? LH_REGION_MAIN_STACK : LH_REGION_THREAD_STACK);
	}
	compare_modules(core, live);
	compare_kinds(core, live);
}

/* ---------------------------------------------------------------- its end */

static struct lh_error *kill_child(void *context, const struct lh_block *block)
{
	(void)block;
	bool *is_killed = context;
	siginfo_t info;
	if (!*is_killed) {
		kill(child, SIGKILL);
		assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	}
	*is_killed = true;
	return NULL;
}

/* Must be the last test: it ends the child. */
static void a_process_that_ends_midway_is_an_error(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	bool is_killed = false;
	assert_success(lh_image_open_process(process, &image));
	assert_failure(lh_image_walk(image, 0, kill_child, &is_killed), LH_ERROR_NO_PROCESS);
	assert_true(is_killed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(live_bytes_are_the_childs),
		cmocka_unit_test(untouched_memory_stays_untouched),
		cmocka_unit_test(threads_and_modules_are_known),
		cmocka_unit_test(a_live_walk_visits_each_present_byte_once),
		cmocka_unit_test(context_is_walked_on_request),
		cmocka_unit_test(a_core_of_gcore_equals_the_live_process),
		cmocka_unit_test(a_process_that_ends_midway_is_an_error),
	};
	return cmocka_run_group_tests(tests, start_child, end_child);
}

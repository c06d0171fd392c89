/*
 * test_dirty_trackers: what each back end says a child of ours has written, against what it was told to write.
 * One that this kernel can't have is passed over, and that it says so is checked by a look of our own.
 */
#include "unit.h"

#include "dump/track/dirty_tracker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 64, OTHER_PAGES = 8, HUGE_PAGES = 2, PAGES_OF_HUGE = 512 };
/* Pages that one page table holds, on x86_64. */
enum { TABLES = 5, PAGES_OF_TABLE = 512, TABLE_PAGES = TABLES * PAGES_OF_TABLE };

#define HUGE_BYTES (PAGES_OF_HUGE * LH_PAGE_BYTES)

enum action {
	WRITE,   /* a page of the arena */
	DISCARD, /* gives it back */
	DISCARD_HUGE,
	EXCHANGE, /* the first two tables of the arena, by mremap */
	READ,
	PROTECT, /* the arena is for reading only */
	MAP,     /* the other arena, and writes all of it */
	FORK,    /* a process that shares all pages, and waits */
};

struct order {
	enum action action;
	size_t page;
};

/* A child that does what it is told, and the tracker that watches it. */
struct fixture {
	pid_t pid;
	int order_fd;
	int done_fd;
	uint8_t *arena;
	size_t page_count; /* of the arena */
	uint8_t *other;    /* not mapped before MAP */
	struct lh_process *process;
	struct lh_dirty_cost cost;
	struct lh_dirty_tracker *tracker;
	struct lh_plan plan;
	struct lh_page_runs runs;
};

static void move_pages_of_table(uint8_t *from, uint8_t *to)
{
	const size_t bytes = PAGES_OF_TABLE * LH_PAGE_BYTES;
	if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		_exit(1);
}

static void exchange_tables(uint8_t *arena)
{
	const size_t bytes = PAGES_OF_TABLE * LH_PAGE_BYTES;
	uint8_t *meanwhile = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	move_pages_of_table(arena, meanwhile);
	move_pages_of_table(arena + bytes, arena);
	move_pages_of_table(meanwhile, arena + bytes);
}

static void obey(const struct fixture *fixture, const struct order *order)
{
	volatile uint8_t *page = fixture->arena + order->page * LH_PAGE_BYTES;
	switch (order->action) {
	case WRITE:
		++*page;
		break;
	case DISCARD:
		madvise((void *)(uintptr_t)page, LH_PAGE_BYTES, MADV_DONTNEED);
		break;
	case DISCARD_HUGE:
		madvise((void *)(uintptr_t)page, HUGE_BYTES, MADV_DONTNEED);
		break;
	case EXCHANGE:
		exchange_tables(fixture->arena);
		break;
	case READ:
		(void)*page;
		break;
	case PROTECT:
		mprotect(fixture->arena, fixture->page_count * LH_PAGE_BYTES, PROT_READ);
		break;
	case MAP:
		(void)mmap(fixture->other, OTHER_PAGES * LH_PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		memset(fixture->other, 1, OTHER_PAGES * LH_PAGE_BYTES);
		break;
	case FORK:
		if (!fork()) {
			for (;;)
				pause();
		}
		break;
	}
}

static _Noreturn void run_child(const struct fixture *fixture, int order_fd, int done_fd)
{
	struct order order;
	while (read(order_fd, &order, sizeof(order)) == (ssize_t)sizeof(order)) {
		obey(fixture, &order);
		if (write(done_fd, "", 1) != 1)
			break;
	}
	kill(0, SIGKILL);
	_exit(1);
}

static void tell(const struct fixture *fixture, enum action action, size_t page)
{
	struct order order = {.action = action, .page = page};
	char byte;
	assert_int_equal(write(fixture->order_fd, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(fixture->done_fd, &byte, 1), 1);
}

/* ---------------------------------------------------------------- arenas */

typedef void map_arena(struct fixture *fixture);

static void *map_private(size_t bytes, int flags, int fd)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static void map_anonymous(struct fixture *fixture)
{
	size_t bytes = (PAGES + 1 + OTHER_PAGES) * LH_PAGE_BYTES;
	fixture->page_count = PAGES;
	fixture->arena = map_private(bytes, MAP_ANONYMOUS, -1);
	assert_non_null(fixture->arena);
	madvise(fixture->arena, bytes, MADV_NOHUGEPAGE);
	/* A hole of one page, so that the other arena never merges with this one. */
	fixture->other = fixture->arena + (PAGES + 1) * LH_PAGE_BYTES;
	munmap(fixture->arena + PAGES * LH_PAGE_BYTES, bytes - PAGES * LH_PAGE_BYTES);
}

static void map_tables(struct fixture *fixture)
{
	const size_t table_bytes = PAGES_OF_TABLE * LH_PAGE_BYTES;
	fixture->page_count = TABLE_PAGES;
	uint8_t *memory = map_private((TABLES + 1) * table_bytes, MAP_ANONYMOUS, -1);
	assert_non_null(memory);
	fixture->arena = memory + (-(uintptr_t)memory & (table_bytes - 1));
	munmap(memory, (size_t)(fixture->arena - memory));
	munmap(fixture->arena + TABLES * table_bytes, table_bytes - (size_t)(fixture->arena - memory));
	madvise(fixture->arena, TABLE_PAGES * LH_PAGE_BYTES, MADV_NOHUGEPAGE);
}

static void map_file(struct fixture *fixture)
{
	int fd = memfd_create("arena", MFD_CLOEXEC);
	fixture->page_count = PAGES;
	assert_int_equal(ftruncate(fd, PAGES * LH_PAGE_BYTES), 0);
	fixture->arena = map_private(PAGES * LH_PAGE_BYTES, 0, fd);
	close(fd);
}

/* None where no huge pages are reserved. */
static void map_huge(struct fixture *fixture)
{
	fixture->page_count = (size_t)HUGE_PAGES * PAGES_OF_HUGE;
	fixture->arena = map_private(HUGE_PAGES * HUGE_BYTES, MAP_ANONYMOUS | MAP_HUGETLB, -1);
}

static void start_child(struct fixture *fixture)
{
	int orders[2], done[2];
	assert_int_equal(pipe(orders), 0);
	assert_int_equal(pipe(done), 0);
	fixture->pid = fork();
	assert_true(fixture->pid >= 0);
	if (!fixture->pid) {
		setpgid(0, 0);
		close(orders[1]);
		run_child(fixture, orders[0], done[1]);
	}
	close(orders[0]);
	close(done[1]);
	fixture->order_fd = orders[1];
	fixture->done_fd = done[0];
	for (size_t i = 0; i < fixture->page_count; i++)
		tell(fixture, WRITE, i);
}

static void plan_anew(struct fixture *fixture)
{
	const struct lh_want wants[] = {
		{.kind = LH_WANT_RANGE,
		 .range = {(uintptr_t)fixture->arena, (uintptr_t)fixture->arena + fixture->page_count * LH_PAGE_BYTES}},
		{.kind = LH_WANT_RANGE,
		 .range = {(uintptr_t)fixture->other, (uintptr_t)fixture->other + OTHER_PAGES * LH_PAGE_BYTES}},
	};
	struct lh_plan_request request = {.wants = wants, .want_count = 2, .bare = true};
	lh_plan_deinit(&fixture->plan);
	struct lh_error *error = lh_plan_create(fixture->process, &request, &fixture->plan);
	if (error) { /* nothing is mapped at the other place yet */
		lh_error_destroy(error);
		request.want_count = 1;
		assert_success(lh_plan_create(fixture->process, &request, &fixture->plan));
	}
	assert_success(fixture->tracker->kind->cover(fixture->tracker, &fixture->plan));
}

static void take(struct fixture *fixture)
{
	fixture->runs.runs.count = 0;
	assert_success(fixture->tracker->kind->take(fixture->tracker, &fixture->plan, &fixture->runs));
}

static bool is_in_runs(const struct lh_page_runs *runs, enum lh_page_state state, const uint8_t *page)
{
	for (size_t i = 0; i < runs->runs.count; i++) {
		const struct lh_page_run *run = &runs->runs.items[i];
		if (run->state == state && run->range.start <= (uintptr_t)page && (uintptr_t)page < run->range.end)
			return true;
	}
	return false;
}

static size_t count_pages(const struct lh_page_runs *runs, enum lh_page_state state)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < runs->runs.count; i++)
		bytes += runs->runs.items[i].state == state ? lh_range_bytes(runs->runs.items[i].range) : 0;
	return bytes / LH_PAGE_BYTES;
}

static void assert_taken(const struct fixture *fixture, const size_t *pages, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_true(is_in_runs(&fixture->runs, LH_PAGES_WRITTEN, fixture->arena + pages[i] * LH_PAGE_BYTES));
	assert_int_equal(count_pages(&fixture->runs, LH_PAGES_WRITTEN), count);
}

/* ---------------------------------------------------------------- what a kernel has */

static bool keeps_soft_dirty_bits(void)
{
	uint64_t entry = 0;
	static volatile char bytes[3 * LH_PAGE_BYTES];
	volatile char *page = bytes + LH_PAGE_BYTES;
	int clear_fd = open("/proc/self/clear_refs", O_WRONLY), pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	assert_true(clear_fd >= 0 && pagemap_fd >= 0);
	assert_int_equal(write(clear_fd, "4", 1), 1);
	*page = 1;
	assert_int_equal(pread(pagemap_fd, &entry, 8, (off_t)((uintptr_t)page / LH_PAGE_BYTES * 8)), 8);
	close(clear_fd);
	close(pagemap_fd);
	return entry >> 55 & 1;
}

static void start_tracker(struct fixture *fixture, const struct lh_dirty_kind *kind)
{
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	assert_success(lh_process_open(fixture->pid, &fixture->process));
	assert_success(lh_regions_read(fixture->process, LH_REGIONS_MAPS, &regions));
	const struct lh_dirty_target target = {fixture->process, &regions, &fixture->cost, NULL};
	struct lh_error *error = lh_dirty_start_kind(kind, &target, &fixture->tracker);
	if (kind == &lh_dirty_soft)
		assert_int_equal(!error, keeps_soft_dirty_bits());
	if (error) {
		assert_int_equal(lh_error_code(error), LH_ERROR_UNSUPPORTED);
		lh_error_destroy(error);
		fixture->tracker = NULL;
	}
}

static void end(struct fixture *fixture)
{
	lh_dirty_stop(fixture->tracker);
	lh_vec_deinit(&fixture->runs.runs);
	lh_plan_deinit(&fixture->plan);
	lh_process_close(fixture->process);
	close(fixture->order_fd);
	close(fixture->done_fd);
	assert_int_equal(waitpid(fixture->pid, NULL, 0), fixture->pid);
	munmap(fixture->arena, fixture->page_count * LH_PAGE_BYTES);
	free(fixture);
}

/* NULL: not on this kernel. All pages are taken once, if they can be tracked. */
static struct fixture *begin_in(map_arena *map, bool is_for_reading, const struct lh_dirty_kind *kind)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	map(fixture);
	if (!fixture->arena) {
		free(fixture);
		return NULL;
	}
	start_child(fixture);
	if (is_for_reading)
		tell(fixture, PROTECT, 0);
	start_tracker(fixture, kind);
	if (!fixture->tracker) {
		end(fixture);
		return NULL;
	}
	plan_anew(fixture);
	take(fixture);
	return fixture;
}

static struct fixture *begin(void **state)
{
	struct fixture *fixture = begin_in(map_anonymous, false, *state);
	if (fixture)
		assert_int_equal(count_pages(&fixture->runs, LH_PAGES_WRITTEN), PAGES);
	return fixture;
}

/* ---------------------------------------------------------------- the tests */

static void test_written_pages(void **state)
{
	struct fixture *fixture = begin(state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	const size_t first[] = {0, 3, 4, 63}, second[] = {3, 40};
	for (size_t i = 0; i < LH_ARRAY_COUNT(first); i++)
		tell(fixture, WRITE, first[i]);
	tell(fixture, READ, 10);
	take(fixture);
	assert_taken(fixture, first, LH_ARRAY_COUNT(first));
	take(fixture);
	assert_taken(fixture, NULL, 0);
	for (size_t i = 0; i < LH_ARRAY_COUNT(second); i++)
		tell(fixture, WRITE, second[i]);
	assert_success(fixture->tracker->kind->find(fixture->tracker, &fixture->plan));
	assert_int_equal(count_pages(&fixture->plan.pages, LH_PAGES_WRITTEN), 2);
	assert_int_equal(count_pages(&fixture->plan.pages, LH_PAGES_PRESENT), PAGES - 2);
	take(fixture);
	assert_taken(fixture, second, LH_ARRAY_COUNT(second));
	end(fixture);
}

static void test_guess(void **state)
{
	struct fixture *fixture = begin(state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	const struct lh_dirty_kind *kind = fixture->tracker->kind;
	const size_t written[] = {7, 9};
	tell(fixture, WRITE, 7);
	tell(fixture, WRITE, 9);
	for (int i = 0; kind->guess && i < 2; i++) {
		uint64_t bytes;
		assert_success(kind->guess(fixture->tracker, &fixture->plan, &bytes));
		assert_int_equal(bytes, 2 * LH_PAGE_BYTES);
	}
	take(fixture);
	assert_taken(fixture, written, 2);
	assert_true(!kind->guess || fixture->cost.stops.pause_ns > 0);
	end(fixture);
}

static void test_pages_that_become_zeros(void **state)
{
	struct fixture *fixture = begin(state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	const size_t zeros[] = {5};
	tell(fixture, DISCARD, 5);
	tell(fixture, READ, 5);
	tell(fixture, DISCARD, 6);
	assert_success(fixture->tracker->kind->find(fixture->tracker, &fixture->plan));
	assert_true(is_in_runs(&fixture->plan.pages, LH_PAGES_WRITTEN, fixture->arena + 5 * LH_PAGE_BYTES));
	assert_false(is_in_runs(&fixture->plan.pages, LH_PAGES_PRESENT, fixture->arena + 6 * LH_PAGE_BYTES));
	take(fixture);
	assert_taken(fixture, zeros, 1);
	end(fixture);
}

static bool is_found(struct fixture *fixture, enum lh_page_state state, size_t page)
{
	return is_in_runs(&fixture->plan.pages, state, fixture->arena + page * LH_PAGE_BYTES);
}

static void find(struct fixture *fixture)
{
	assert_success(fixture->tracker->kind->find(fixture->tracker, &fixture->plan));
}

enum page_truth { ABSENT, TAKEN, TOUCHED };

static void assert_found(struct fixture *fixture, const enum page_truth *truth)
{
	for (size_t i = 0; i < TABLE_PAGES; i++) {
		assert_int_equal(is_found(fixture, LH_PAGES_WRITTEN, i), truth[i] == TOUCHED);
		assert_int_equal(is_found(fixture, LH_PAGES_PRESENT, i), truth[i] == TAKEN);
	}
}

static void act_at_random(struct fixture *fixture, enum page_truth *truth)
{
	size_t page = (size_t)rand() % TABLE_PAGES;
	enum action action = rand() % 100 == 0 ? DISCARD_HUGE : (enum action[]){WRITE, DISCARD, READ}[rand() % 3];
	if (action == DISCARD_HUGE)
		page = page / PAGES_OF_HUGE * PAGES_OF_HUGE;
	tell(fixture, action, page);
	for (size_t i = 0; i < (action == DISCARD_HUGE ? (size_t)PAGES_OF_HUGE : 1); i++) {
		if (action == WRITE || (action == READ && truth[page + i] == ABSENT))
			truth[page + i] = TOUCHED;
		else if (action != READ)
			truth[page + i] = ABSENT;
	}
}

/* Few changes and many; holes of a page, and of a page table, which Linux 6.14 frees (CONFIG_PT_RECLAIM). */
static void test_many_page_tables(void **state)
{
	struct fixture *fixture = begin_in(map_tables, false, *state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	enum page_truth truth[TABLE_PAGES];
	for (size_t i = 0; i < TABLE_PAGES; i++)
		truth[i] = TAKEN;
	tell(fixture, DISCARD_HUGE, PAGES_OF_TABLE);
	for (size_t i = 0; i < PAGES_OF_HUGE; i++)
		truth[PAGES_OF_TABLE + i] = ABSENT;
	find(fixture);
	assert_found(fixture, truth);
	srand(1);
	for (size_t count = 1; count < 4000; count *= 2) {
		for (size_t i = 0; i < count; i++)
			act_at_random(fixture, truth);
		find(fixture);
		assert_found(fixture, truth);
		take(fixture);
		for (size_t i = 0; i < TABLE_PAGES; i++)
			truth[i] = truth[i] == TOUCHED ? TAKEN : truth[i];
	}
	end(fixture);
}

/* The mappings look as before, and nothing was written. Before Linux 6.13 moved pages stay protected. */
static void test_exchanged_pages(void **state)
{
	struct fixture *fixture = begin_in(map_tables, false, *state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	tell(fixture, EXCHANGE, 0);
	find(fixture);
	for (size_t i = 0; i < 2 * PAGES_OF_TABLE; i++)
		assert_true(is_found(fixture, LH_PAGES_WRITTEN, i));
	end(fixture);
}

static void test_pages_that_become_the_files(void **state)
{
	struct fixture *fixture = begin_in(map_file, true, *state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	assert_int_equal(count_pages(&fixture->runs, LH_PAGES_WRITTEN), PAGES);
	tell(fixture, DISCARD, 5);
	take(fixture);
	tell(fixture, READ, 5);
	tell(fixture, DISCARD, 40);
	find(fixture);
	assert_true(is_found(fixture, LH_PAGES_WRITTEN, 5));
	assert_false(is_found(fixture, LH_PAGES_PRESENT, 40));
	assert_int_equal(count_pages(&fixture->plan.pages, LH_PAGES_PRESENT), PAGES - 2);
	end(fixture);
}

/* What a fork may take beside its parent's: a private mapping's reservation is not handed down. */
enum { HUGE_PAGES_WANTED = 2 * HUGE_PAGES };

/* Adds to those that the kernel keeps; without the right to, nothing happens. */
static void reserve_huge_pages(int more)
{
	int count;
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", "r+");
	if (!file)
		return;
	if (fscanf(file, "%d", &count) == 1 && fseek(file, 0, SEEK_SET) == 0)
		fprintf(file, "%d", count + more);
	fclose(file);
}

static int keep_huge_pages(void **state)
{
	(void)state;
	reserve_huge_pages(HUGE_PAGES_WANTED);
	return 0;
}

static int let_huge_pages_go(void **state)
{
	(void)state;
	reserve_huge_pages(-HUGE_PAGES_WANTED);
	return 0;
}

/* Linux 5.18 on gives them back. Where they are not tracked, all count as written. */
static void test_huge_pages_that_become_zeros(void **state)
{
	struct fixture *fixture = begin_in(map_huge, false, *state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	bool are_tracked = fixture->runs.runs.count > 0;
	tell(fixture, DISCARD_HUGE, PAGES_OF_HUGE);
	tell(fixture, READ, PAGES_OF_HUGE);
	find(fixture);
	assert_int_equal(count_pages(&fixture->plan.pages, LH_PAGES_WRITTEN), (are_tracked ? 1 : 2) * PAGES_OF_HUGE);
	assert_true(is_found(fixture, LH_PAGES_WRITTEN, PAGES_OF_HUGE));
	assert_true(is_found(fixture, LH_PAGES_WRITTEN, 2 * PAGES_OF_HUGE - 1));
	end(fixture);
}

static void test_new_mapping(void **state)
{
	struct fixture *fixture = begin(state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	tell(fixture, MAP, 0);
	take(fixture); /* of the old plan, which knows nothing of it; what it clears is cleared there, too */
	assert_taken(fixture, NULL, 0);
	plan_anew(fixture);
	take(fixture);
	for (size_t i = 0; i < OTHER_PAGES; i++)
		assert_true(is_in_runs(&fixture->runs, LH_PAGES_WRITTEN, fixture->other + i * LH_PAGE_BYTES));
	assert_int_equal(count_pages(&fixture->runs, LH_PAGES_WRITTEN), OTHER_PAGES);
	take(fixture);
	assert_taken(fixture, NULL, 0);
	/* Mapped anew at the same place, with the same size: its pages are others. */
	tell(fixture, MAP, 0);
	plan_anew(fixture);
	assert_success(fixture->tracker->kind->find(fixture->tracker, &fixture->plan));
	assert_int_equal(count_pages(&fixture->plan.pages, LH_PAGES_WRITTEN), OTHER_PAGES);
	end(fixture);
}

static void test_pages_shared_with_a_forked_child(void **state)
{
	struct fixture *fixture = begin(state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	const size_t written[] = {20};
	tell(fixture, FORK, 0);
	tell(fixture, WRITE, 20);
	take(fixture);
	if (geteuid() == 0) /* others see no frames, and must take all pages that are shared */
		assert_taken(fixture, written, 1);
	assert_true(is_in_runs(&fixture->runs, LH_PAGES_WRITTEN, fixture->arena + 20 * LH_PAGE_BYTES));
	end(fixture);
}

static void test_somebody_else_clears(void **state)
{
	struct fixture *fixture = begin(state);
	if (!fixture)
		skip_because("this kernel has no tracker of the kind");
	const struct lh_dirty_kind *kind = fixture->tracker->kind;
	uint64_t bytes;
	char path[64];
	tell(fixture, WRITE, 30);
	assert_success(kind->guess(fixture->tracker, &fixture->plan, &bytes));
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)fixture->pid);
	int fd = open(path, O_WRONLY);
	assert_int_equal(write(fd, "4", 1), 1);
	close(fd);
	assert_failure(kind->find(fixture->tracker, &fixture->plan), LH_ERROR_CHANGED);
	assert_failure(kind->take(fixture->tracker, &fixture->plan, &fixture->runs), LH_ERROR_CHANGED);
	end(fixture);
}

/* clang-format off */
#define FOR_EACH_KIND_WITH(function, setup, teardown) \
	{#function " (uffd)", function, setup, teardown, (void *)(uintptr_t)&lh_dirty_uffd}, \
	{#function " (soft-dirty)", function, setup, teardown, (void *)(uintptr_t)&lh_dirty_soft}
/* clang-format on */
#define FOR_EACH_KIND(function) FOR_EACH_KIND_WITH(function, NULL, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_EACH_KIND(test_written_pages),
		FOR_EACH_KIND(test_guess),
		FOR_EACH_KIND(test_pages_that_become_zeros),
		FOR_EACH_KIND(test_many_page_tables),
		FOR_EACH_KIND(test_exchanged_pages),
		FOR_EACH_KIND(test_pages_that_become_the_files),
		FOR_EACH_KIND_WITH(test_huge_pages_that_become_zeros, keep_huge_pages, let_huge_pages_go),
		FOR_EACH_KIND(test_new_mapping),
		FOR_EACH_KIND(test_pages_shared_with_a_forked_child),
		{"test_somebody_else_clears (soft-dirty)", test_somebody_else_clears, NULL, NULL,
		 (void *)(uintptr_t)&lh_dirty_soft},
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * plan: made from a text of the mappings, it is of that text. A snapshot tells by that text whether its plan still
 * holds: a mapping that came and went while the plan was made must not be in it, nor one that went and came be missing.
 */
#include "unit.h"

#include "dump/plan/plan.h"
#include "leakhunt/process.h"

#include <sys/mman.h>
#include <unistd.h>

struct fixture {
	struct lh_process *process;
	struct lh_buffer maps; /* a text in which `page` is mapped */
	void *page;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){0};
	/* Between two borders, so that no neighbor merges with it. */
	fixture.page = mmap(NULL, 3 * LH_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(fixture.page, MAP_FAILED);
	fixture.page = (char *)fixture.page + LH_PAGE_BYTES;
	assert_int_equal(mprotect(fixture.page, LH_PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
	*(volatile char *)fixture.page = 1;
	assert_success(lh_process_open(getpid(), &fixture.process));
	assert_success(lh_process_read_file(fixture.process, "maps", &fixture.maps));
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	lh_process_close(fixture->process);
	lh_buffer_deinit(&fixture->maps);
	munmap((char *)fixture->page - LH_PAGE_BYTES, 3 * LH_PAGE_BYTES);
	return 0;
}

static bool is_planned(const struct fixture *fixture, const struct lh_buffer *maps)
{
	const struct lh_want want = {.kind = LH_WANT_KINDS, .kinds = UINT32_C(1) << LH_REGION_ANON};
	const struct lh_plan_request request = {
		.wants = &want, .want_count = 1, .maps = maps, .bare = true, .without_pages = true};
	struct lh_plan plan LH_CLEANUP(lh_plan_deinit) = {0};
	assert_success(lh_plan_create(fixture->process, &request, &plan));
	for (size_t i = 0; i < plan.extents.count; i++) {
		if (plan.extents.items[i].start == (uintptr_t)fixture->page)
			return true;
	}
	return false;
}

static void test_of_its_text(void **state)
{
	struct fixture *fixture = *state;
	assert_true(is_planned(fixture, NULL));
	assert_true(is_planned(fixture, &fixture->maps));
	munmap(fixture->page, LH_PAGE_BYTES);
	assert_false(is_planned(fixture, NULL));
	assert_true(is_planned(fixture, &fixture->maps));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_of_its_text, set_up, tear_down)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

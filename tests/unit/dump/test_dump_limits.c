/*
 * test_dump_limits: what a dump needs compared with what is available: each limit slightly too low and slightly too
 * high.
 */
#include "unit.h"

#include "dump/limits.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNLIMITED                                  \
	{                                          \
		.limit = LH_NO_LIMIT, .cgroup = "" \
	}

static const struct lh_cgroup_limits no_limits = {
	.memory = UNLIMITED,
	.memory_throttle = UNLIMITED,
	.swap = UNLIMITED,
	.memory_and_swap = UNLIMITED,
	.tasks = UNLIMITED,
};

static const struct lh_child_need need = {
	.written_bytes = 900 * LH_MIB, .page_table_bytes = 2 * LH_MIB, .committed_bytes = 3 * LH_GIB};

/* The refusal's text must hold `reason`. */
static void assert_refused(const struct lh_cgroup_limits *cgroup, const struct lh_system_memory *memory,
			   const char *reason)
{
	struct lh_error *error = lh_limits_judge_child(&need, cgroup, memory);
	assert_non_null(error);
	assert_int_equal(lh_error_code(error), LH_ERROR_UNSUPPORTED);
	if (!strstr(lh_error_message(error), reason))
		fail_msg("'%s' is not said in: %s", reason, lh_error_message(error));
	lh_error_destroy(error);
}

static void test_child_in_a_cgroup(void **state)
{
	(void)state;
	const struct lh_system_memory roomy = {.available_bytes = 8 * LH_GIB};
	assert_success(lh_limits_judge_child(&need, &no_limits, &roomy));
	struct lh_cgroup_limits cgroup = no_limits;
	struct lh_limit *const limits[] = {&cgroup.memory, &cgroup.memory_throttle, &cgroup.memory_and_swap};
	for (size_t i = 0; i < LH_ARRAY_COUNT(limits); i++) {
		*limits[i] = (struct lh_limit){.limit = 2000 * LH_MIB,
					       .used = 1198 * LH_MIB,
					       .reclaimable_bytes = 100 * LH_MIB,
					       .cgroup = "/pod"};
		assert_success(lh_limits_judge_child(&need, &cgroup, &roomy));
		limits[i]->reclaimable_bytes -= 1;
		assert_refused(&cgroup, &roomy, "the target's cgroup /pod has only");
		cgroup = no_limits;
	}
	cgroup.tasks = (struct lh_limit){.limit = 10, .used = 9, .cgroup = "/few"};
	assert_success(lh_limits_judge_child(&need, &cgroup, &roomy));
	cgroup.tasks.used = 10;
	assert_refused(&cgroup, &roomy, "/few allows no more tasks (pids.max 10)");
}

static void test_child_on_the_machine(void **state)
{
	(void)state;
	struct lh_system_memory memory = {.available_bytes = 902 * LH_MIB};
	assert_success(lh_limits_judge_child(&need, &no_limits, &memory));
	memory.available_bytes--;
	assert_refused(&no_limits, &memory, "the machine has only");
	memory = (struct lh_system_memory){.available_bytes = LH_GIB,
					   .commit_limit_bytes = 5 * LH_GIB,
					   .committed_bytes = 2 * LH_GIB,
					   .overcommit_mode = 2};
	assert_success(lh_limits_judge_child(&need, &no_limits, &memory));
	memory.committed_bytes++;
	assert_refused(&no_limits, &memory, "vm.overcommit_memory is 2");
	memory.committed_bytes = 6 * LH_GIB;
	assert_refused(&no_limits, &memory, "0 B are left");
	memory.overcommit_mode = 0;
	assert_success(lh_limits_judge_child(&need, &no_limits, &memory));
}

static void test_final_set(void **state)
{
	(void)state;
	struct lh_system_memory memory = {.available_bytes = LH_GIB};
	struct lh_cgroup_limits own = {.memory = {.limit = LH_NO_LIMIT}};
	assert_success(lh_limits_judge_final(LH_GIB, &own, &memory));
	assert_failure(lh_limits_judge_final(LH_GIB + 1, &own, &memory), LH_ERROR_NO_MEMORY);
	own.memory = (struct lh_limit){
		.limit = 512 * LH_MIB, .used = 300 * LH_MIB, .reclaimable_bytes = 200 * LH_MIB, .cgroup = "/own"};
	assert_success(lh_limits_judge_final(412 * LH_MIB, &own, &memory));
	assert_failure(lh_limits_judge_final(412 * LH_MIB + 1, &own, &memory), LH_ERROR_NO_MEMORY);
	memory.available_bytes = 0;
	assert_success(lh_limits_judge_final(412 * LH_MIB, &own, &memory));
}

/* Against what the kernel says of this process after it has taken memory of a known size. */
static void test_need_of_a_process(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	struct lh_child_need before, after;
	assert_success(lh_process_open(getpid(), &process));
	for (int i = 0; i < 2; i++) {
		struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
		assert_success(lh_regions_read(process, LH_REGIONS_MAPS, &regions));
		assert_success(lh_limits_child_need(process, &regions, i ? &after : &before));
		if (!i) {
			void *memory =
				mmap(NULL, 64 * LH_MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			assert_true(memory != MAP_FAILED);
			memset(memory, 1, 32 * LH_MIB);
		}
	}
	assert_in_range(after.written_bytes - before.written_bytes, 31 * LH_MIB, 40 * LH_MIB);
	assert_in_range(after.committed_bytes - before.committed_bytes, 64 * LH_MIB, 72 * LH_MIB);
	assert_true(before.page_table_bytes > 0);
}

static void test_disk(void **state)
{
	(void)state;
	assert_success(lh_limits_check_disk("x", 100, 100));
	assert_failure(lh_limits_check_disk("x", 101, 100), LH_ERROR_NO_SPACE);
	struct lh_plan plan = {.wanted_bytes = 5 * LH_GIB, .context_bytes = LH_GIB, .swapped_bytes = LH_GIB};
	struct lh_dump_options options = {0};
	uint64_t bytes = lh_limits_disk_bytes(&plan, &options, 1000);
	assert_in_range(bytes, 6 * LH_GIB + 1000 * (uint64_t)LH_XSTATE_MAX, 6 * LH_GIB + 32 * LH_MIB);
	options.swapped = true;
	assert_int_equal(lh_limits_disk_bytes(&plan, &options, 1000), bytes + LH_GIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_in_a_cgroup),
		cmocka_unit_test(test_child_on_the_machine),
		cmocka_unit_test(test_final_set),
		cmocka_unit_test(test_need_of_a_process),
		cmocka_unit_test(test_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

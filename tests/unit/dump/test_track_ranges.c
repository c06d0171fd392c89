/*
 * test_track_ranges: which ranges are registered for which mappings, and which borders count as seams.
 */
#include "unit.h"

#include "dump/track/track_ranges.h"

#include <stdlib.h>

struct fixture {
	struct lh_region_list list;
	struct lh_ranges wanted;
	struct lh_track_runs runs;
};

static void find(struct fixture *fixture, const char *maps, uint64_t wanted_start, uint64_t wanted_end)
{
	*fixture = (struct fixture){0};
	assert_success(lh_regions_parse(maps, strlen(maps), "maps", &fixture->list));
	struct lh_range wanted = {wanted_start, wanted_end};
	assert_success(lh_vec_push(&fixture->wanted.items, wanted));
	assert_success(lh_track_runs_find(&fixture->list, &fixture->wanted, &fixture->runs));
}

static void end(struct fixture *fixture)
{
	lh_region_list_deinit(&fixture->list);
	lh_ranges_deinit(&fixture->wanted);
	lh_track_runs_deinit(&fixture->runs);
}

static void assert_run(const struct fixture *fixture, size_t index, uint64_t start, uint64_t range_end,
		       bool is_anonymous)
{
	assert_true(index < fixture->runs.items.count);
	const struct lh_track_run *run = &fixture->runs.items.items[index];
	assert_int_equal(run->range.start, start);
	assert_int_equal(run->range.end, range_end);
	assert_int_equal(run->is_anonymous, is_anonymous);
}

/* Whatever their protection, wanted or not, with the holes between them. */
static void all_anonymous_mappings_lie_in_one_range_from_gap_to_gap(void **state)
{
	(void)state;
	struct fixture fixture;
	find(&fixture,
	     "10000-20000 r-xp 00000000 fe:00 7 /bin/x\n"
	     "30000-40000 rw-p 00000000 00:00 0\n"
	     "40000-50000 ---p 00000000 00:00 0\n"
	     "60000-70000 -w-p 00000000 00:00 0\n"
	     "90000-a0000 rw-s 00000000 00:01 9 /memfd:y (deleted)\n",
	     0x30000, 0x31000);
	assert_int_equal(fixture.runs.items.count, 1);
	assert_run(&fixture, 0, 0x20000, 0x90000, true);
	end(&fixture);
}

static void the_last_page_of_the_heap_is_left_out(void **state)
{
	(void)state;
	struct fixture fixture;
	find(&fixture,
	     "10000-20000 rw-p 00000000 fe:00 7 /bin/x\n"
	     "20000-21000 rw-p 00000000 00:00 0\n"
	     "30000-40000 rw-p 00000000 00:00 0 [heap]\n"
	     "70000-80000 rw-p 00000000 00:00 0\n"
	     "80000-90000 r--p 00000000 fe:00 8 /lib/y\n",
	     0x30000, 0x31000);
	assert_int_equal(fixture.runs.items.count, 2);
	assert_run(&fixture, 0, 0x20000, 0x3f000, true);
	assert_run(&fixture, 1, 0x40000, 0x80000, true);
	end(&fixture);
}

static void a_heap_of_one_page_gives_no_empty_range(void **state)
{
	(void)state;
	struct fixture fixture;
	find(&fixture,
	     "10000-20000 rw-p 00000000 fe:00 7 /bin/x\n"
	     "20000-21000 rw-p 00000000 00:00 0 [heap]\n",
	     0x20000, 0x21000);
	assert_int_equal(fixture.runs.items.count, 0);
	end(&fixture);
}

static void files_are_registered_where_wanted_only(void **state)
{
	(void)state;
	static const char maps[] = "10000-20000 r-xp 00000000 fe:00 7 /bin/x\n"
				   "20000-30000 rw-p 00010000 fe:00 7 /bin/x\n"
				   "40000-50000 rw-p 00000000 fe:00 8 /lib/y\n"
				   "50000-60000 rw-s 00000000 fe:00 8 /lib/y\n"
				   "70000-80000 rw-p 00000000 00:05 3 /dev/mem\n"
				   "80000-82000 r-xp 00000000 00:00 0 [vdso]\n";
	struct fixture fixture;
	find(&fixture, maps, 0x20000, 0x30000);
	assert_int_equal(fixture.runs.items.count, 1);
	assert_run(&fixture, 0, 0x10000, 0x40000, false);
	end(&fixture);
	find(&fixture, maps, 0x50000, 0x90000);
	assert_int_equal(fixture.runs.items.count, 0);
	end(&fixture);
}

/* Ranges of hugetlbfs that are not aligned to its pages are refused by the kernel. */
static void huge_mappings_are_registered_exactly(void **state)
{
	(void)state;
	struct fixture fixture;
	find(&fixture,
	     "200000-400000 rw-p 00000000 00:10 5 /anon_hugepage (deleted)\n"
	     "400000-600000 rw-p 00000000 00:10 6 /anon_hugepage (deleted)\n",
	     0, 0x600000);
	assert_int_equal(fixture.runs.items.count, 2);
	assert_run(&fixture, 0, 0x200000, 0x400000, false);
	assert_run(&fixture, 1, 0x400000, 0x600000, false);
	end(&fixture);
}

static void halves_end_where_mappings_do(void **state)
{
	(void)state;
	struct fixture fixture;
	struct lh_range halves[2], quarters[2];
	find(&fixture,
	     "10000-20000 rw-p 00000000 00:00 0\n"
	     "30000-40000 r--p 00000000 00:00 0\n"
	     "40000-50000 rw-p 00000000 00:00 0\n",
	     0, 0);
	assert_true(lh_track_range_halve(&fixture.list, (struct lh_range){0x10000, 0x60000}, halves));
	assert_int_equal(halves[0].start, 0x10000);
	assert_int_equal(halves[0].end, 0x30000);
	assert_int_equal(halves[1].start, 0x20000);
	assert_int_equal(halves[1].end, 0x60000);
	assert_false(lh_track_range_halve(&fixture.list, halves[0], quarters));
	assert_true(lh_track_range_halve(&fixture.list, halves[1], quarters));
	assert_int_equal(quarters[1].start, 0x40000);
	end(&fixture);
}

/* Registered from 0x20000 on, while the file's mapping before it grew to 0x28000. */
static void a_cut_stranger_is_seen(void **state)
{
	(void)state;
	struct fixture fixture;
	struct lh_range part;
	const struct lh_track_run run = {.range = {0x20000, 0x60000}, .is_anonymous = true};
	find(&fixture,
	     "10000-20000 rw-s 00000000 00:01 9 /memfd:y (deleted)\n"
	     "20000-28000 rw-s 00010000 00:01 9 /memfd:y (deleted)\n"
	     "30000-40000 rw-p 00000000 00:00 0\n",
	     0, 0);
	assert_true(lh_track_run_cuts(&fixture.list, &run, &part));
	assert_int_equal(part.start, 0x20000);
	assert_int_equal(part.end, 0x28000);
	end(&fixture);
	find(&fixture,
	     "10000-20000 rw-s 00000000 00:01 9 /memfd:y (deleted)\n"
	     "20000-28000 rw-p 00000000 00:00 0\n",
	     0, 0);
	assert_false(lh_track_run_cuts(&fixture.list, &run, &part));
	end(&fixture);
}

static void seams_are_borders_between_alike_mappings(void **state)
{
	(void)state;
	struct fixture fixture;
	struct lh_ranges places = {0}, seams = {0};
	const struct lh_range place = {0x10000, 0x70000};
	find(&fixture,
	     "10000-20000 rw-p 00000000 00:00 0\n"
	     "20000-30000 rw-p 00000000 00:00 0\n"
	     "30000-40000 r--p 00000000 00:00 0\n"
	     "50000-60000 r--p 00000000 00:00 0\n"
	     "80000-90000 rw-p 00000000 00:00 0\n"
	     "90000-a0000 rw-p 00000000 00:00 0\n",
	     0, 0);
	assert_success(lh_vec_push(&places.items, place));
	assert_success(lh_track_seams_find(&fixture.list, &places, &seams));
	assert_int_equal(seams.items.count, 1);
	assert_int_equal(seams.items.items[0].start, 0x20000);
	lh_ranges_deinit(&places);
	lh_ranges_deinit(&seams);
	end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_anonymous_mappings_lie_in_one_range_from_gap_to_gap),
		cmocka_unit_test(the_last_page_of_the_heap_is_left_out),
		cmocka_unit_test(a_heap_of_one_page_gives_no_empty_range),
		cmocka_unit_test(files_are_registered_where_wanted_only),
		cmocka_unit_test(huge_mappings_are_registered_exactly),
		cmocka_unit_test(halves_end_where_mappings_do),
		cmocka_unit_test(a_cut_stranger_is_seen),
		cmocka_unit_test(seams_are_borders_between_alike_mappings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

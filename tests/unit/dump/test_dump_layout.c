/* layout and gaps: where pages lie in the file, and what is left of them when some were lost. */
#include "dump/plan/gaps.h"
#include "dump/plan/layout.h"
#include "dump/plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum { PAGE = 4096, BASE = 4096 };

static struct lh_region region;

static void add_run(struct lh_plan *plan, struct lh_extent *extent, uint64_t first_page, uint64_t page_count,
		    enum lh_page_state page_state)
{
	struct lh_range range = {extent->start + first_page * PAGE, extent->start + (first_page + page_count) * PAGE};
	assert_null(lh_vec_push(&plan->pages.runs, (struct lh_page_run){range, page_state}));
	extent->run_count++;
}

static struct lh_extent extent_at(uint64_t start, uint64_t page_count, bool is_absent_zero)
{
	return (struct lh_extent){
		.start = start, .end = start + page_count * PAGE, .region = &region, .is_absent_zero = is_absent_zero};
}

static void assert_piece(const struct lh_layout *layout, size_t i, uint64_t start, uint64_t end, uint64_t file_bytes,
			 uint64_t file_offset)
{
	assert_true(i < layout->pieces.count);
	const struct lh_piece *piece = &layout->pieces.items[i];
	assert_int_equal(piece->start, start);
	assert_int_equal(piece->end, end);
	assert_int_equal(piece->file_bytes, file_bytes);
	assert_int_equal(piece->file_offset, file_offset);
}

static void short_absences_are_holes_and_long_ones_take_no_place(void **state)
{
	(void)state;
	struct lh_plan plan = {0};
	struct lh_layout layout = {0};
	struct lh_extent extent = extent_at(0x100000, 1024, true);
	add_run(&plan, &extent, 2, 1, LH_PAGES_PRESENT);   /* behind 2 absent pages */
	add_run(&plan, &extent, 10, 2, LH_PAGES_PRESENT);  /* a hole of 7 pages */
	add_run(&plan, &extent, 800, 1, LH_PAGES_PRESENT); /* more than 1 MiB later */
	assert_null(lh_vec_push(&plan.extents, extent));
	assert_null(lh_layout_create(&plan, BASE, &layout));
	assert_int_equal(layout.pieces.count, 2);
	assert_piece(&layout, 0, 0x100000, 0x100000 + 800 * PAGE, 12 * PAGE, BASE);
	assert_piece(&layout, 1, 0x100000 + 800 * PAGE, 0x100000 + 1024 * PAGE, PAGE, BASE + 12 * PAGE);
	assert_int_equal(layout.end_offset, BASE + 13 * PAGE);
	lh_layout_deinit(&layout);
	lh_plan_deinit(&plan);
}

static void absent_file_pages_are_never_holes(void **state)
{
	(void)state;
	struct lh_plan plan = {0};
	struct lh_layout layout = {0};
	struct lh_extent extent = extent_at(0x100000, 8, false);
	add_run(&plan, &extent, 1, 2, LH_PAGES_PRESENT);
	add_run(&plan, &extent, 5, 1, LH_PAGES_PRESENT);
	assert_null(lh_vec_push(&plan.extents, extent));
	assert_null(lh_layout_create(&plan, BASE, &layout));
	assert_int_equal(layout.pieces.count, 3);
	assert_piece(&layout, 0, 0x100000, 0x100000 + PAGE, 0, BASE);
	assert_piece(&layout, 1, 0x100000 + PAGE, 0x100000 + 5 * PAGE, 2 * PAGE, BASE);
	assert_piece(&layout, 2, 0x100000 + 5 * PAGE, 0x100000 + 8 * PAGE, PAGE, BASE + 2 * PAGE);
	lh_layout_deinit(&layout);
	lh_plan_deinit(&plan);
}

static void every_present_page_has_its_own_place(void **state)
{
	(void)state;
	struct lh_plan plan = {0};
	struct lh_layout layout = {0};
	srand(7);
	uint64_t start = 0x10000;
	for (size_t i = 0; i < 50; i++) {
		struct lh_extent extent = extent_at(start, 2000, i % 2);
		extent.first_run = plan.pages.runs.count;
		for (uint64_t page = (uint64_t)rand() % 300; page < 1990; page += 2 + (uint64_t)rand() % 500)
			add_run(&plan, &extent, page, 1 + page % 2, LH_PAGES_PRESENT);
		assert_null(lh_vec_push(&plan.extents, extent));
		start += 2000 * PAGE + (i % 3) * PAGE;
	}
	assert_null(lh_layout_create(&plan, BASE, &layout));
	uint64_t next_free_offset = BASE;
	for (size_t i = 0; i < plan.pages.runs.count; i++) {
		struct lh_range run = plan.pages.runs.items[i].range;
		const struct lh_piece *piece = lh_layout_find(&layout, run.start);
		assert_non_null(piece);
		assert_true(run.end <= piece->start + piece->file_bytes);
		uint64_t offset = piece->file_offset + (run.start - piece->start);
		assert_true(offset >= next_free_offset);
		assert_int_equal(offset % PAGE, 0);
		next_free_offset = offset + (run.end - run.start);
	}
	assert_int_equal(layout.end_offset, next_free_offset);
	lh_layout_deinit(&layout);
	lh_plan_deinit(&plan);
}

static void gaps_split_pieces(void **state)
{
	(void)state;
	struct lh_plan plan = {0};
	struct lh_layout layout = {0}, held = {0};
	struct lh_dump_gaps gaps = {0};
	struct lh_extent extent = extent_at(0x100000, 10, true);
	add_run(&plan, &extent, 0, 3, LH_PAGES_PRESENT);
	add_run(&plan, &extent, 3, 1, LH_PAGES_SWAPPED);
	add_run(&plan, &extent, 4, 4, LH_PAGES_PRESENT);
	assert_null(lh_vec_push(&plan.extents, extent));
	assert_null(lh_layout_create(&plan, BASE, &layout));
	assert_null(lh_gaps_add(&gaps, 0x100000 + 9 * PAGE, 0x100000 + 10 * PAGE, LH_GAP_UNREADABLE));
	assert_null(lh_gaps_add(&gaps, 0x100000, 0x100000 + PAGE, LH_GAP_UNREADABLE));
	assert_null(lh_gaps_of_plan(&plan, &gaps));
	lh_gaps_normalize(&gaps);
	assert_int_equal(gaps.items.count, 3);
	assert_int_equal(gaps.items.items[1].reason, LH_GAP_SWAPPED);
	assert_int_equal(lh_gaps_bytes(&gaps), 3 * PAGE);
	assert_null(lh_layout_without_gaps(&layout, &gaps, &held));
	assert_int_equal(held.pieces.count, 2);
	assert_piece(&held, 0, 0x100000 + PAGE, 0x100000 + 3 * PAGE, 2 * PAGE, BASE + PAGE);
	assert_piece(&held, 1, 0x100000 + 4 * PAGE, 0x100000 + 9 * PAGE, 4 * PAGE, BASE + 4 * PAGE);
	lh_vec_deinit(&gaps.items);
	lh_layout_deinit(&held);
	lh_layout_deinit(&layout);
	lh_plan_deinit(&plan);
}

static void gaps_of_one_reason_merge_in_any_order(void **state)
{
	(void)state;
	struct lh_dump_gaps gaps = {0};
	enum lh_gap_reason other = LH_GAP_OTHER;
	for (uint64_t page = 10; page-- > 0;)
		assert_null(lh_gaps_add(&gaps, page * PAGE, (page + 1) * PAGE, page == 4 ? other : LH_GAP_UNREADABLE));
	lh_gaps_normalize(&gaps);
	assert_int_equal(gaps.items.count, 3);
	assert_int_equal(gaps.items.items[0].range.end, 4 * PAGE);
	assert_int_equal(gaps.items.items[2].range.start, 5 * PAGE);
	lh_vec_deinit(&gaps.items);
}

/* Pages keep the places they once got; new ones lie behind all others, the last layout is made of both. */
static void places_grow_and_never_move(void **state)
{
	(void)state;
	struct lh_plan plan = {0}, later = {0};
	struct lh_layout layout = {0}, places = {0}, placed = {0};
	struct lh_extent extent = extent_at(0x100000, 1024, true), grown = extent;
	add_run(&plan, &extent, 2, 2, LH_PAGES_PRESENT);
	add_run(&plan, &extent, 6, 1, LH_PAGES_PRESENT);
	assert_null(lh_vec_push(&plan.extents, extent));
	assert_null(lh_layout_create(&plan, BASE, &layout));
	assert_null(lh_places_create(&layout, &places));
	assert_int_equal(places.end_offset, BASE + 7 * PAGE);
	/* Page 2 is gone; 5 lay in a hole; 6 and 7 overlap what is known; 900 is new; 901 is not there. */
	add_run(&later, &grown, 3, 1, LH_PAGES_WRITTEN);
	add_run(&later, &grown, 5, 3, LH_PAGES_WRITTEN);
	add_run(&later, &grown, 900, 1, LH_PAGES_PRESENT);
	add_run(&later, &grown, 901, 1, LH_PAGES_SWAPPED);
	assert_null(lh_vec_push(&later.extents, grown));
	assert_null(lh_places_add(&places, &later.pages));
	assert_null(lh_places_add(&places, &later.pages));
	assert_int_equal(places.end_offset, BASE + 9 * PAGE);
	assert_int_equal(lh_layout_find(&places, 0x100000 + 7 * PAGE)->file_offset, BASE + 7 * PAGE);
	assert_null(lh_layout_find(&places, 0x100000 + 901 * PAGE));
	assert_null(lh_layout_create_placed(&later, &places, &placed));
	assert_int_equal(placed.end_offset, BASE + 9 * PAGE);
	for (uint64_t page = 3; page < 8; page++) {
		const struct lh_piece *piece = lh_layout_find(&placed, 0x100000 + page * PAGE);
		assert_int_equal(piece->file_offset + (0x100000 + page * PAGE - piece->start), BASE + page * PAGE);
	}
	const struct lh_piece *last = lh_layout_find(&placed, 0x100000 + 900 * PAGE);
	assert_int_equal(last->file_offset + (0x100000 + 900 * PAGE - last->start), BASE + 8 * PAGE);
	assert_int_equal(last->end, 0x100000 + 1024 * PAGE);
	lh_layout_deinit(&placed);
	lh_layout_deinit(&places);
	lh_layout_deinit(&layout);
	lh_plan_deinit(&later);
	lh_plan_deinit(&plan);
}

static void a_page_without_a_place_is_an_error(void **state)
{
	(void)state;
	struct lh_plan plan = {0};
	struct lh_layout places = {.end_offset = BASE}, placed = {0};
	struct lh_extent extent = extent_at(0x100000, 4, true);
	add_run(&plan, &extent, 0, 1, LH_PAGES_PRESENT);
	assert_null(lh_vec_push(&plan.extents, extent));
	struct lh_error *error = lh_layout_create_placed(&plan, &places, &placed);
	assert_non_null(error);
	lh_error_destroy(error);
	lh_plan_deinit(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_absences_are_holes_and_long_ones_take_no_place),
		cmocka_unit_test(absent_file_pages_are_never_holes),
		cmocka_unit_test(every_present_page_has_its_own_place),
		cmocka_unit_test(gaps_split_pieces),
		cmocka_unit_test(places_grow_and_never_move),
		cmocka_unit_test(a_page_without_a_place_is_an_error),
		cmocka_unit_test(gaps_of_one_reason_merge_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * heap_diff: walks two moments of one process, and prints what the later one holds more. Input: the command line of
 * `leakhunt heap`. Output: report's text or JSON.
 */
#include "heap_diff.h"

#include "still_image.h"

/* Index 0: before, 1: after. */
struct heap_moments {
	struct lh_image *images[2];
	struct lh_receipt receipts[2]; /* pid 0: the image is a file */
	struct lh_heap *heaps[2];
	struct lh_symbols *symbols[2];
	struct lh_heap_growth growth;
};

static void heap_moments_deinit(struct heap_moments *moments)
{
	lh_heap_growth_deinit(&moments->growth);
	for (size_t i = 0; i < 2; i++) {
		lh_symbols_close(moments->symbols[i]);
		lh_heap_destroy(moments->heaps[i]);
		lh_cleanup_image(&moments->images[i]);
		lh_receipt_deinit(&moments->receipts[i]);
	}
}

int lh_heap_status(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(heap, &count);
	for (size_t i = 0; i < count; i++) {
		if (allocators[i].is_partial || allocators[i].is_refused)
			return LH_EXIT_PARTIAL;
	}
	return count ? LH_EXIT_COMPLETE : LH_EXIT_PARTIAL;
}

bool lh_heap_diff_is_wanted(const struct lh_arguments *arguments)
{
	return lh_arguments_operand_count(arguments) == 2 || lh_arguments_has(arguments, "every");
}

static struct lh_error *compare_heap_moments(struct heap_moments *moments)
{
	struct lh_heap_moment sides[2];
	for (size_t i = 0; i < 2; i++) {
		LH_TRY(lh_heap_walk(moments->images[i], &moments->heaps[i]));
		LH_TRY(lh_symbols_open(moments->images[i], NULL, &moments->symbols[i]));
		sides[i] = (struct lh_heap_moment){moments->images[i], moments->symbols[i], moments->heaps[i]};
	}
	return lh_heap_compare_groups(&sides[0], &sides[1], &moments->growth);
}

static struct lh_error *print_heap_growth(const struct heap_moments *moments, uint64_t top, bool is_json)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_heap_growth_report report = {
		.before_image = moments->images[0],
		.after_image = moments->images[1],
		.before = moments->heaps[0],
		.after = moments->heaps[1],
		.growth = &moments->growth,
		.receipts = {moments->receipts[0].pid ? &moments->receipts[0] : NULL,
			     moments->receipts[1].pid ? &moments->receipts[1] : NULL},
		.top = top,
	};
	if (is_json)
		lh_report_heap_growth_json(&report, &text);
	else
		lh_report_heap_growth_text(&report, lh_terminal_style(), &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_print(&text);
}

struct lh_error *lh_heap_diff_run(const struct lh_arguments *arguments, enum lh_dump_mode mode, uint64_t top,
				  int *ret_status)
{
	struct heap_moments moments LH_CLEANUP(heap_moments_deinit) = {0};
	if (lh_arguments_has(arguments, "list"))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--list prints the blocks of one moment"),
				     "leave out --list, or the second moment");
	LH_TRY(lh_moments_open(arguments, "every", mode, moments.images, moments.receipts));
	LH_TRY(compare_heap_moments(&moments));
	bool is_whole = lh_heap_status(moments.heaps[0]) == LH_EXIT_COMPLETE &&
			lh_heap_status(moments.heaps[1]) == LH_EXIT_COMPLETE;
	*ret_status = is_whole ? LH_EXIT_COMPLETE : LH_EXIT_PARTIAL;
	return print_heap_growth(&moments, top, lh_arguments_has(arguments, "json"));
}

/*
 * cmd_leaks: `leakhunt leaks PID|DUMP [DUMP]`: copies the process, prints the blocks that nothing points to any more.
 */
#include "command.h"
#include "leakhunt/graph.h"
#include "manual.h"
#include "still_image.h"

#include <inttypes.h>
#include <string.h>

enum { HOLDERS_MOST = 8 };
enum { TOP_DEFAULT = 20, TOP_MOST = 1000000 };

/* The process at one moment. */
struct moment {
	struct lh_image *image;
	struct lh_heap *heap;
	struct lh_graph *graph;
	struct lh_receipt receipt; /* pid 0: the image is a file */
};

struct leaks_answer {
	struct moment before; /* image NULL: there is only one moment */
	struct moment now;
	struct lh_symbols *symbols;
	struct lh_suppressions suppressions;
	struct lh_leaks leaks;
	struct lh_holder_list holders;
};

static void moment_deinit(struct moment *moment)
{
	lh_receipt_deinit(&moment->receipt);
	lh_graph_destroy(moment->graph);
	lh_heap_destroy(moment->heap);
	lh_cleanup_image(&moment->image);
}

static void leaks_answer_deinit(struct leaks_answer *answer)
{
	lh_holder_list_deinit(&answer->holders);
	lh_leaks_deinit(&answer->leaks);
	lh_suppressions_deinit(&answer->suppressions);
	lh_symbols_close(answer->symbols);
	moment_deinit(&answer->now);
	moment_deinit(&answer->before);
}

static struct lh_error *read_suppressions(const struct lh_arguments *arguments, struct lh_suppressions *ret)
{
	for (size_t i = 0; i < lh_arguments_value_count(arguments, "suppressions"); i++) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		LH_TRY(lh_file_read(lh_arguments_value_at(arguments, "suppressions", i), LH_MIB, &text));
		LH_TRY(lh_suppressions_parse(text.data ? text.data : "", text.length, ret));
	}
	return NULL;
}

static struct lh_error *mark_moment(struct moment *moment)
{
	LH_TRY(lh_heap_walk(moment->image, &moment->heap));
	return lh_graph_create(moment->image, moment->heap, &moment->graph);
}

static struct lh_error *open_moments(const struct lh_arguments *arguments, struct leaks_answer *answer)
{
	struct lh_image *images[2] = {NULL, NULL};
	struct lh_receipt receipts[2] = {0};
	struct lh_error *error = lh_moments_open(arguments, "confirm", LH_DUMP_SNAPSHOT, images, receipts);
	answer->before = (struct moment){.image = images[0], .receipt = receipts[0]};
	answer->now = (struct moment){.image = images[1], .receipt = receipts[1]};
	return error;
}

static int status_of_leaks(const struct leaks_answer *answer)
{
	size_t doubts;
	(void)lh_graph_doubts(answer->now.graph, &doubts);
	if (answer->leaks.count)
		return LH_EXIT_LOST;
	return doubts ? LH_EXIT_PARTIAL : LH_EXIT_COMPLETE;
}

static struct lh_error *find_leaks(struct leaks_answer *answer)
{
	if (answer->before.image)
		LH_TRY(mark_moment(&answer->before));
	LH_TRY(mark_moment(&answer->now));
	if (answer->before.image)
		LH_TRY(lh_graph_confirm(answer->before.graph, answer->now.graph));
	LH_TRY(lh_symbols_open(answer->now.image, NULL, &answer->symbols));
	return lh_leaks_find(answer->now.image, answer->symbols, answer->now.heap, answer->now.graph,
			     &answer->suppressions, &answer->leaks);
}

static struct lh_error *print_leaks(const struct lh_leaks_report *report, bool is_json)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (is_json)
		lh_report_leaks_json(report, &text);
	else
		lh_report_leaks_text(report, lh_terminal_style(), &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_print(&text);
}

/* One line per lost block, printed in pieces: there can be millions. */
static struct lh_error *list_lost_blocks(const struct moment *moment)
{
	enum { PIECE_BLOCKS = 4096 };
	size_t count = lh_heap_chunk_count(moment->heap);
	for (size_t start = 0; start < count && !lh_output_is_closed() && !lh_interrupt_requested();
	     start += PIECE_BLOCKS) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		for (size_t i = start; i < lh_min_u64(count, start + PIECE_BLOCKS); i++) {
			enum lh_leak_status status = lh_graph_status(moment->graph, i);
			struct lh_heap_chunk chunk = lh_heap_chunk_at(moment->heap, i);
			if (status != LH_LEAK_REACHABLE)
				lh_buffer_printf(&text, "0x%" PRIx64 " %" PRIu64 " %s\n", chunk.addr, chunk.size_bytes,
						 lh_leak_status_name(status));
		}
		LH_TRY(lh_buffer_status(&text));
		if (text.length)
			LH_TRY(lh_print(&text));
	}
	return NULL;
}

static struct lh_error *run_leaks(const struct lh_arguments *arguments, int *ret_status)
{
	struct leaks_answer answer LH_CLEANUP(leaks_answer_deinit) = {0};
	uint64_t top = TOP_DEFAULT;
	bool is_list = lh_arguments_has(arguments, "list");
	LH_TRY(lh_arguments_u64(arguments, "top", 1, TOP_MOST, &top));
	LH_TRY(read_suppressions(arguments, &answer.suppressions));
	LH_TRY(open_moments(arguments, &answer));
	LH_TRY(find_leaks(&answer));
	*ret_status = status_of_leaks(&answer);
	if (is_list)
		return list_lost_blocks(&answer.now);
	LH_TRY(lh_graph_find_holders(answer.now.image, answer.symbols, answer.now.graph, answer.before.graph,
				     HOLDERS_MOST, &answer.holders));
	struct lh_leaks_report report = {
		.image = answer.now.image,
		.heap = answer.now.heap,
		.graph = answer.now.graph,
		.leaks = &answer.leaks,
		.holders = &answer.holders,
		.receipt = answer.now.receipt.pid ? &answer.now.receipt : NULL,
		.is_confirmed = answer.before.image,
		.top = top,
	};
	return print_leaks(&report, lh_arguments_has(arguments, "json"));
}

static const struct lh_option options[] = {
	{.name = "confirm",
	 .argument = "TIME",
	 .summary = "copy the process twice, TIME apart, and show which blocks are lost and unchanged in both"},
	{.name = "suppressions",
	 .argument = "FILE",
	 .summary = "hide the types that FILE names, in LeakSanitizer's format (leak:PATTERN)",
	 .is_repeatable = true,
	 .completion = LH_COMPLETE_FILE},
	{.name = "top", .argument = "N", .summary = "show at most N groups (default: 20)"},
	{.name = "list", .letter = 'l', .summary = "print one line per block instead: address, usable bytes, status"},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/leaks/1"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt leaks 1234", "which blocks of process 1234 nothing points to any more"},
	{"leakhunt leaks --confirm 5m 1234", "the same, and which blocks stay lost and unchanged for 5 minutes"},
	{"leakhunt leaks before.bin after.bin", "blocks that are lost in both dumps"},
	{.command = NULL},
};

const struct lh_command lh_cmd_leaks = {
	.name = "leaks",
	.summary = "find lost blocks: blocks that nothing points to any more",
	.operands = "PID|FILE [FILE]",
	.operands_min = 1,
	.operands_max = 2,
	.operand_completion = LH_COMPLETE_PID_OR_FILE,
	.manual = lh_manual_leaks,
	.description =
		"Marks every block of the heap that the program can still reach: from registers, stacks, thread-local "
		"storage, data of the program and its libraries, and other writable memory, through pointers to the "
		"beginning or into the middle of blocks. What is left is lost: the program has no pointer to it, so "
		"it can neither use nor free it. Groups say what the blocks are, and how much only they hold.\n\n"
		"Below the groups are the holders of reachable blocks: arrays, lists, trees and hash tables with many "
		"blocks. Given two dumps, leakhunt shows the holders that grew, and by how much.\n\n"
		"leakhunt copies a running process at one instant, as `leakhunt dump` does, and stops it for "
		"milliseconds. With two dumps, or --confirm, a block is confirmed when it is lost in both, with the "
		"same bytes.\n\n"
		"When memory is missing or torn, or a runtime hides its pointers, blocks are possible instead of "
		"lost, and leakhunt says why.\n\n"
		"Exit status 3: blocks are lost; 0: none is; 1: unknown, since memory is missing.",
	.options = options,
	.examples = examples,
	.run = run_leaks,
};

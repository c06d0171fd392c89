/*
 * cmd_heap: `leakhunt heap PID|DUMP`: a copy of the process in, heap's answer out.
 */
#include "command.h"
#include "heap_diff.h"
#include "leakhunt/graph.h"
#include "leakhunt/heap.h"
#include "manual.h"
#include "still_image.h"

#include <inttypes.h>
#include <string.h>

/* In larger heaps OWNED is computed on request only: it takes as long as everything else together. */
enum { TOP_DEFAULT = 20, TOP_MOST = 10000, OWNED_BLOCKS_MAX = 1 << 20 };

static struct lh_error *parse_mode(const struct lh_arguments *arguments, enum lh_dump_mode *ret)
{
	const char *word = lh_arguments_value(arguments, "mode");
	for (int mode = LH_DUMP_SNAPSHOT; word && mode <= LH_DUMP_CHILD; mode++) {
		if (strcmp(word, lh_dump_mode_name((enum lh_dump_mode)mode)) == 0)
			*ret = (enum lh_dump_mode)mode;
	}
	return NULL;
}

static struct lh_error *print_heap(const struct lh_heap_report *report, bool is_json)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (is_json)
		lh_report_heap_json(report, &text);
	else
		lh_report_heap_text(report, lh_terminal_style(), &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_print(&text);
}

/* One line per block, printed in pieces: there can be millions. */
static struct lh_error *list_blocks(const struct lh_heap *heap)
{
	enum { PIECE_BLOCKS = 4096 };
	size_t arena_count, count = lh_heap_chunk_count(heap);
	const struct lh_heap_arena *arenas = lh_heap_arenas(heap, &arena_count);
	for (size_t start = 0; start < count && !lh_output_is_closed() && !lh_interrupt_requested();
	     start += PIECE_BLOCKS) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		for (size_t i = start; i < lh_min_u64(count, start + PIECE_BLOCKS); i++) {
			struct lh_heap_chunk chunk = lh_heap_chunk_at(heap, i);
			lh_buffer_printf(&text, "0x%" PRIx64 " %" PRIu64 " %s %s\n", chunk.addr, chunk.size_bytes,
					 lh_chunk_state_name((enum lh_chunk_state)chunk.state),
					 arenas[chunk.arena].allocator);
		}
		LH_TRY(lh_buffer_status(&text));
		LH_TRY(lh_print(&text));
	}
	return NULL;
}

/* The answer, and what printing it needs. */
struct heap_answer {
	struct lh_image *image;
	struct lh_heap *heap;
	struct lh_symbols *symbols;
	struct lh_heap_findings findings;
	struct lh_heap_groups groups;
	struct lh_receipt receipt; /* pid 0: the image is a file */
};

static void heap_answer_deinit(struct heap_answer *answer)
{
	lh_receipt_deinit(&answer->receipt);
	lh_heap_groups_deinit(&answer->groups);
	lh_heap_findings_deinit(&answer->findings);
	lh_symbols_close(answer->symbols);
	lh_heap_destroy(answer->heap);
	lh_cleanup_image(&answer->image);
}

static struct lh_error *find_answer(struct heap_answer *answer, bool has_owned, size_t top)
{
	LH_TRY(lh_heap_judge(answer->heap, &answer->findings));
	LH_TRY(lh_symbols_open(answer->image, NULL, &answer->symbols));
	if (has_owned || lh_heap_chunk_count(answer->heap) <= OWNED_BLOCKS_MAX)
		return lh_graph_group_blocks(answer->image, answer->symbols, answer->heap, top, &answer->groups);
	return lh_heap_group_blocks(answer->image, answer->symbols, answer->heap, &(struct lh_objects_options){0},
				    &answer->groups);
}

static uint64_t monotonic_of_stop(const struct lh_receipt *receipt)
{
	uint64_t since_ns = lh_clock_realtime_ns() - receipt->time_ns;
	return receipt->pid ? lh_clock_monotonic_ns() - since_ns : 0;
}

static struct lh_error *run_heap(const struct lh_arguments *arguments, int *ret_status)
{
	struct heap_answer answer LH_CLEANUP(heap_answer_deinit) = {0};
	enum lh_dump_mode mode = LH_DUMP_SNAPSHOT;
	uint64_t top = TOP_DEFAULT;
	LH_TRY(parse_mode(arguments, &mode));
	LH_TRY(lh_arguments_u64(arguments, "top", 1, TOP_MOST, &top));
	if (lh_heap_diff_is_wanted(arguments))
		return lh_heap_diff_run(arguments, mode, top, ret_status);
	LH_TRY(lh_snapshot_open(lh_arguments_operand(arguments, 0), mode, &answer.image, &answer.receipt));
	LH_TRY(lh_heap_walk(answer.image, &answer.heap));
	*ret_status = lh_heap_status(answer.heap);
	if (lh_arguments_has(arguments, "list"))
		return list_blocks(answer.heap);
	LH_TRY(find_answer(&answer, lh_arguments_has(arguments, "owned"), top));
	struct lh_heap_report report = {
		.image = answer.image,
		.heap = answer.heap,
		.findings = &answer.findings,
		.groups = &answer.groups,
		.receipt = answer.receipt.pid ? &answer.receipt : NULL,
		.symbols = answer.symbols,
		.monotonic_ns = monotonic_of_stop(&answer.receipt),
		.realtime_ns = answer.receipt.pid ? answer.receipt.time_ns : 0,
		.top = top,
	};
	return print_heap(&report, lh_arguments_has(arguments, "json"));
}

static const struct lh_option options[] = {
	{.name = "mode",
	 .letter = 'm',
	 .argument = "MODE",
	 .summary = "copy a process in this mode of `leakhunt dump` (default: snapshot)",
	 .words = "snapshot stop child live"},
	{.name = "every",
	 .argument = "TIME",
	 .summary = "copy the process again after TIME, and show what grew, as with two dumps"},
	{.name = "top", .argument = "N", .summary = "show at most N arenas and N groups (default: 20)"},
	{.name = "owned", .summary = "compute OWNED also in heaps of more than a million blocks, which takes seconds"},
	{.name = "list",
	 .letter = 'l',
	 .summary = "print one line per block instead: address, usable bytes, state, allocator"},
	{.name = "json",
	 .letter = 'j',
	 .summary = "print JSON instead of text, schema leakhunt/heap/1; of two dumps leakhunt/heap-diff/1"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt heap 1234", "what the allocators of process 1234 hold, and what they would give back"},
	{"leakhunt heap --list dump.bin | grep -c ' cached '", "how many blocks lie in caches"},
	{"leakhunt heap --every 5m 1234", "which groups of blocks grow within 5 minutes, and how many are new"},
	{"leakhunt heap monday.bin tuesday.bin", "the same between two dumps of one process"},
	{"leakhunt heap dump.bin --json", "what the allocators in a dump hold, for scripts"},
	{.command = NULL},
};

const struct lh_command lh_cmd_heap = {
	.name = "heap",
	.summary = "show which memory of the allocators is live, cached, free or returnable",
	.operands = "PID|FILE [FILE]",
	.operands_min = 1,
	.operands_max = 2,
	.operand_completion = LH_COMPLETE_PID_OR_FILE,
	.manual = lh_manual_heap,
	.description =
		"Walks the heap of each allocator block by block: glibc's malloc, CPython's pymalloc, and others. A "
		"block is live (not freed), cached (freed, and kept by a thread for the next request of that size), "
		"or free. Each live block is in one group: by the object at its beginning (C++, Python, OpenSSL and "
		"other libraries, also stripped), else by the first pointer to something with a name, by its text, or "
		"by its size. The verdict says what resident memory is made of, and how much a trim would give "
		"back.\n\n"
		"leakhunt copies a running process at one instant, as `leakhunt dump` does, and stops it for "
		"milliseconds. The copy is an unnamed file in TMPDIR (default: /tmp) as large as the process's "
		"private memory.\n\n"
		"Given two dumps, or a process and --every, leakhunt shows the groups that grew. For each it counts "
		"new blocks, and blocks that were there before, with the same or with other bytes.\n\n"
		"Exit status 1: a part of a heap could not be walked, and is listed.",
	.options = options,
	.examples = examples,
	.run = run_heap,
};

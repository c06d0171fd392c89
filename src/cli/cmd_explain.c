/*
 * cmd_explain: `leakhunt explain ADDR PID|DUMP`: one address in, what lies there out.
 */
#include "command.h"
#include "leakhunt/graph.h"
#include "still_image.h"

enum { CONTENT_BYTES = 256 };

struct explanation {
	struct lh_image *image;
	struct lh_heap *heap;
	struct lh_symbols *symbols;
	struct lh_heap_groups groups;
	struct lh_graph *graph;
	struct lh_block_holding holding;
	uint8_t content[CONTENT_BYTES];
};

static void explanation_deinit(struct explanation *explanation)
{
	lh_block_holding_deinit(&explanation->holding);
	lh_graph_destroy(explanation->graph);
	lh_heap_groups_deinit(&explanation->groups);
	lh_symbols_close(explanation->symbols);
	lh_heap_destroy(explanation->heap);
	lh_cleanup_image(&explanation->image);
}

/* Finds who holds the block, and what it retains. */
static struct lh_error *find_holding(struct explanation *explanation, size_t chunk, struct lh_explain_report *report)
{
	LH_TRY(lh_graph_create(explanation->image, explanation->heap, &explanation->graph));
	LH_TRY(lh_graph_explain_block(explanation->graph, explanation->symbols, chunk, &explanation->holding));
	report->graph = explanation->graph;
	report->chunk_index = chunk;
	report->holding = &explanation->holding;
	return NULL;
}

static struct lh_error *find_block(struct explanation *explanation, struct lh_explain_report *report)
{
	size_t index;
	if (!lh_heap_find_chunk(explanation->heap, report->addr, &index))
		return NULL;
	report->has_chunk = true;
	report->chunk = lh_heap_chunk_at(explanation->heap, index);
	if (report->chunk.state != LH_CHUNK_USED)
		return NULL;
	LH_TRY(lh_heap_group_block(explanation->image, explanation->symbols, explanation->heap, index,
				   &explanation->groups));
	report->group = explanation->groups.rows.count ? &explanation->groups.rows.items[0] : NULL;
	return find_holding(explanation, index, report);
}

static void read_block_content(struct explanation *explanation, struct lh_explain_report *report)
{
	uint64_t most = report->has_chunk ? report->chunk.size_bytes : CONTENT_BYTES;
	report->content_addr = report->has_chunk ? report->chunk.addr : lh_align_down(report->addr, 16);
	report->content = explanation->content;
	report->content_bytes = lh_image_read(explanation->image, report->content_addr, explanation->content,
					      lh_min_u64(most, CONTENT_BYTES));
}

static struct lh_error *print_explained_address(const struct lh_explain_report *report, bool is_json)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (is_json)
		lh_report_explain_json(report, &text);
	else
		lh_report_explain_text(report, &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_print(&text);
}

static struct lh_error *run_explain(const struct lh_arguments *arguments, int *ret_status)
{
	struct explanation explanation LH_CLEANUP(explanation_deinit) = {0};
	struct lh_receipt receipt LH_CLEANUP(lh_receipt_deinit) = {0};
	struct lh_explain_report report = {.shows_text = lh_arguments_has(arguments, "show-secrets")};
	struct lh_symbol symbol;
	LH_TRY(lh_parse_address(lh_arguments_operand(arguments, 0), &report.addr));
	LH_TRY(lh_snapshot_open(lh_arguments_operand(arguments, 1), LH_DUMP_SNAPSHOT, &explanation.image, &receipt));
	LH_TRY(lh_heap_walk(explanation.image, &explanation.heap));
	LH_TRY(lh_symbols_open(explanation.image, NULL, &explanation.symbols));
	report.image = explanation.image;
	report.heap = explanation.heap;
	report.segment = lh_image_find(explanation.image, report.addr);
	if (lh_symbols_find(explanation.symbols, report.addr, &symbol))
		report.symbol = symbol.name;
	LH_TRY(find_block(&explanation, &report));
	read_block_content(&explanation, &report);
	*ret_status = report.segment ? LH_EXIT_COMPLETE : LH_EXIT_PARTIAL;
	return print_explained_address(&report, lh_arguments_has(arguments, "json"));
}

static const struct lh_option options[] = {
	{.name = "show-secrets",
	 .summary = "also print the contents, as hexadecimal and text: they may hold passwords"},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/explain/1"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt explain 0x55d5c8a0 dump.bin", "what lies at that address: mapping, allocator, block, type"},
	{"leakhunt explain --show-secrets 0x55d5c8a0 1234", "the same in a running process, with the contents"},
	{.command = NULL},
};

const struct lh_command lh_cmd_explain = {
	.name = "explain",
	.summary = "show what lies at an address: mapping, allocator, block, state, type",
	.operands = "ADDR PID|FILE",
	.operands_min = 2,
	.operands_max = 2,
	.operand_completion = LH_COMPLETE_PID_OR_FILE,
	.description =
		"ADDR is hexadecimal, with or without 0x, as in /proc/PID/maps and gdb; it may point into the middle "
		"of a block. leakhunt finds the mapping, and the allocator's block that holds the address: where it "
		"begins, its size and state, the arena, and what the block is, as in `leakhunt heap`. A block in use "
		"is reachable or lost, as in `leakhunt leaks`. For a reachable block leakhunt prints a path of "
		"pointers from a root to it, and what it retains: the memory that would be free if the block were "
		"freed.\n\n"
		"leakhunt prints contents only with --show-secrets. It copies a running process at one instant, as "
		"`leakhunt heap` does.\n\n"
		"Exit status 1: nothing is mapped at ADDR, or the dump does not hold it.",
	.options = options,
	.examples = examples,
	.run = run_explain,
};

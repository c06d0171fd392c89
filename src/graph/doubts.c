/*
 * doubts: reasons to call no block lost. Input: an image, its heap, its capture. Output: sentences. If memory is
 * missing, or a runtime hides its pointers, a block without a visible pointer may still be in use.
 */
#include "graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DUMP_COMMAND_MAX = 32 };

static struct lh_error *note_doubt(struct lh_graph *graph, const char *format, ...) LH_PRINTF(2, 3);
static struct lh_error *note_doubt(struct lh_graph *graph, const char *format, ...)
{
	char text[320];
	const char *kept;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	LH_TRY(lh_strings_pool_add(&graph->strings, text, strlen(text), &kept));
	return lh_vec_push(&graph->doubts, kept);
}

/* ---------------------------------------------------------------- the image */

static struct lh_error *doubt_moment(struct lh_graph *graph)
{
	const char *mode = lh_image_capture(graph->image)->mode;
	if (lh_image_source(graph->image) == LH_IMAGE_PROCESS)
		return note_doubt(graph, "the process runs on while it is read: its memory is of many moments");
	if (mode && strcmp(mode, "live") == 0)
		return note_doubt(graph, "the dump was made in mode live: its pages are of different moments");
	return NULL;
}

static struct lh_error *doubt_loss(struct lh_graph *graph)
{
	struct lh_loss loss = lh_image_loss(graph->image);
	char bytes[LH_FORMAT_MAX];
	if (!loss.bytes)
		return NULL;
	return note_doubt(graph, "%s of memory are missing (%s): pointers may lie there",
			  lh_format_bytes(loss.bytes, bytes), lh_gap_reason_name(loss.reason));
}

/* "leakhunt dump 4711" */
static const char *dump_command(const struct lh_graph *graph, char ret[DUMP_COMMAND_MAX])
{
	pid_t pid = lh_image_pid(graph->image);
	if (pid)
		snprintf(ret, DUMP_COMMAND_MAX, "leakhunt dump %d", (int)pid);
	else
		snprintf(ret, DUMP_COMMAND_MAX, "leakhunt dump PID");
	return ret;
}

/* Memory of the process that the dump was not asked to contain. */
static struct lh_error *doubt_left_out(struct lh_graph *graph)
{
	char command[DUMP_COMMAND_MAX];
	const struct lh_image_capture *capture = lh_image_capture(graph->image);
	char bytes[LH_FORMAT_MAX];
	uint64_t left_out = 0;
	uint64_t shared = capture->left_out_bytes[LH_REGION_SHARED] + capture->left_out_bytes[LH_REGION_MEMFD];
	for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++) {
		bool may_point = kind == LH_REGION_ANON || kind == LH_REGION_DATA || kind == LH_REGION_BSS ||
				 lh_region_kind_is_heap((enum lh_region_kind)kind);
		left_out += may_point ? capture->left_out_bytes[kind] : 0;
	}
	if (left_out)
		LH_TRY(note_doubt(
			graph,
			"the dump leaves out %s of data and anonymous memory: use `%s --region private --region data`",
			lh_format_bytes(left_out, bytes), dump_command(graph, command)));
	if (!shared)
		return NULL;
	return note_doubt(graph, "the dump leaves out %s of shared memory: add --region shared --region memfd to `%s`",
			  lh_format_bytes(shared, bytes), dump_command(graph, command));
}

static struct lh_error *doubt_threads(struct lh_graph *graph)
{
	size_t count, without = 0;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	for (size_t i = 0; i < count; i++)
		without += !threads[i].registers;
	if (!count)
		return note_doubt(graph, "the dump has no threads: their registers and stacks are not known");
	return without ? note_doubt(graph, "the registers of %zu of %zu threads are not known", without, count) : NULL;
}

/* ---------------------------------------------------------------- the heap */

static struct lh_error *doubt_allocators(struct lh_graph *graph)
{
	size_t count;
	char bytes[LH_FORMAT_MAX];
	const struct lh_heap_allocator *allocators = lh_heap_allocators(graph->heap, &count);
	for (size_t i = 0; i < count; i++) {
		const struct lh_heap_allocator *allocator = &allocators[i];
		if (allocator->is_refused)
			LH_TRY(note_doubt(graph, "the heap of %s cannot be followed (%s)", allocator->name,
					  allocator->checks.first_failure));
		else if (allocator->lost_bytes)
			LH_TRY(note_doubt(graph, "%s of the heap of %s are missing or damaged (%s)",
					  lh_format_bytes(allocator->lost_bytes, bytes), allocator->name,
					  allocator->checks.first_failure));
	}
	return NULL;
}

static struct lh_error *doubt_runtimes(struct lh_graph *graph)
{
	static const struct {
		enum lh_region_kind kind;
		const char *what;
	} runtimes[] = {
		{LH_REGION_V8, "V8 packs its pointers"},
		{LH_REGION_GO, "Go's collector has its own rules"},
		{LH_REGION_JVM, "the JVM packs its pointers"},
	};
	size_t count;
	const struct lh_segment *segments = lh_image_segments(graph->image, &count);
	for (size_t i = 0; i < LH_ARRAY_COUNT(runtimes); i++) {
		bool is_there = false;
		for (size_t j = 0; j < count; j++)
			is_there |= segments[j].kind == runtimes[i].kind;
		if (is_there)
			LH_TRY(note_doubt(graph, "%s: a pointer to a block may not show", runtimes[i].what));
	}
	return NULL;
}

struct lh_error *lh_graph_find_doubts(struct lh_graph *graph)
{
	LH_TRY(doubt_moment(graph));
	LH_TRY(doubt_loss(graph));
	LH_TRY(doubt_left_out(graph));
	LH_TRY(doubt_threads(graph));
	LH_TRY(doubt_allocators(graph));
	return doubt_runtimes(graph);
}

/*
 * trace_frames: names of code addresses.
 */
#include "trace_frames.h"

#include <inttypes.h>
#include <string.h>

struct lh_named_frame lh_trace_name_frame(const struct lh_trace_report *report, uint64_t addr)
{
	struct lh_symbol symbol;
	if (!lh_symbols_find(report->symbols, addr, &symbol))
		return (struct lh_named_frame){.addr = addr, .offset = addr};
	bool has_name = symbol.origin == LH_SYMBOL_TABLE;
	return (struct lh_named_frame){
		.addr = addr,
		.module = symbol.module_name,
		.name = has_name ? symbol.name : NULL,
		.offset = has_name ? symbol.offset : addr - symbol.module->start,
	};
}

/* C++'s operators new only pass on their caller's request. */
static bool is_operator(const struct lh_named_frame *frame)
{
	return frame->name && strncmp(frame->name, "operator new", strlen("operator new")) == 0;
}

size_t lh_trace_first_caller(const struct lh_trace_report *report, const struct lh_trace_site *site)
{
	const uint64_t *frames = lh_trace_frames_of(report->trace, site);
	size_t i = 1;
	while (i < site->frame_count) {
		struct lh_named_frame frame = lh_trace_name_frame(report, frames[i]);
		if (!is_operator(&frame))
			break;
		i++;
	}
	return i;
}

void lh_trace_put_frame(const struct lh_named_frame *frame, struct lh_buffer *ret)
{
	if (frame->name) {
		lh_buffer_escape(ret, frame->name, strlen(frame->name));
		return;
	}
	if (frame->module)
		lh_buffer_escape(ret, frame->module, strlen(frame->module));
	lh_buffer_printf(ret, "%s0x%" PRIx64, frame->module ? "+" : "", frame->offset);
}

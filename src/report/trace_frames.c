/*
 * trace_frames: names of code addresses.
 */
#include "trace_frames.h"

#include <inttypes.h>
#include <string.h>

struct lh_named_frame lh_trace_name_frame(struct lh_symbols *symbols, uint64_t addr)
{
	struct lh_symbol symbol;
	if (!lh_symbols_find(symbols, addr, &symbol))
		return (struct lh_named_frame){.addr = addr, .offset = addr};
	bool has_name = symbol.origin == LH_SYMBOL_TABLE;
	return (struct lh_named_frame){
		.addr = addr,
		.module = symbol.module_name,
		.name = has_name ? symbol.name : NULL,
		.offset = has_name ? symbol.offset : addr - symbol.module->start,
	};
}

bool lh_frame_is_operator(const struct lh_named_frame *frame)
{
	return frame->name && strncmp(frame->name, "operator new", strlen("operator new")) == 0;
}

size_t lh_trace_first_caller(const struct lh_trace_report *report, const struct lh_trace_site *site)
{
	const uint64_t *frames = lh_trace_frames_of(report->trace, site);
	size_t i = 1;
	while (i < site->frame_count) {
		struct lh_named_frame frame = lh_trace_name_frame(report->symbols, frames[i]);
		if (!lh_frame_is_operator(&frame))
			break;
		i++;
	}
	return lh_min_u64(i, site->frame_count);
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

void lh_trace_put_callers(struct lh_symbols *symbols, const uint64_t *frames, size_t count, struct lh_buffer *ret)
{
	for (size_t i = 0; i < count; i++) {
		struct lh_named_frame frame = lh_trace_name_frame(symbols, frames[i]);
		lh_buffer_puts(ret, i ? " < " : "");
		lh_trace_put_frame(&frame, ret);
	}
}

static json_t *text_or_null(const char *text)
{
	return text ? lh_json_string(text) : json_null();
}

json_t *lh_frames_json(struct lh_symbols *symbols, const uint64_t *frames, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < count; i++) {
		struct lh_named_frame frame = lh_trace_name_frame(symbols, frames[i]);
		json_t *item = json_pack("{s:o, s:o, s:o, s:o}", "addr", lh_json_address(frame.addr), "module",
					 text_or_null(frame.module), "name", text_or_null(frame.name), "offset",
					 lh_json_u64(frame.offset));
		if (json_array_append_new(array, item)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/*
 * trace_frames: the frames of a traced or sampled stack by name. Private to report.
 */
#ifndef LEAKHUNT_REPORT_TRACE_FRAMES_H
#define LEAKHUNT_REPORT_TRACE_FRAMES_H

#include "leakhunt/json.h"
#include "leakhunt/report.h"
#include "leakhunt/symbols.h"

struct lh_named_frame {
	uint64_t addr;
	const char *module; /* NULL: the address is in no module */
	const char *name;   /* NULL: unknown function */
	uint64_t offset;    /* in the function, or in the module */
};

struct lh_named_frame lh_trace_name_frame(struct lh_symbols *symbols, uint64_t addr);
/* C++'s operators new only pass on their caller's request. */
bool lh_frame_is_operator(const struct lh_named_frame *frame);
/* [FRAME] as in leakhunt/trace/1. */
json_t *lh_frames_json(struct lh_symbols *symbols, const uint64_t *frames, size_t count);
/* The first frame outside the allocator's functions; frame_count if there is none. */
size_t lh_trace_first_caller(const struct lh_trace_report *report, const struct lh_trace_site *site);
/* "CRYPTO_zalloc < SSL_new < main"; escaped. */
void lh_trace_put_callers(struct lh_symbols *symbols, const uint64_t *frames, size_t count, struct lh_buffer *ret);
/* "SSL_new", or "libssl.so.3+0x1234"; escaped. */
void lh_trace_put_frame(const struct lh_named_frame *frame, struct lh_buffer *ret);

static inline const uint64_t *lh_trace_frames_of(const struct lh_trace *trace, const struct lh_trace_site *site)
{
	return trace->frames.items + site->first_frame;
}

#endif

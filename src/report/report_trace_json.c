/*
 * report_trace_json: call stacks as JSON, schema in report.h, and as folded lines.
 */
#include "trace_frames.h"
#include "usage.h"

#include <inttypes.h>
#include <string.h>

static json_t *trace_site_json(const struct lh_trace_report *report, const struct lh_trace_site *site)
{
	const struct lh_site_estimate *estimate = &site->estimate;
	return json_pack(
		"{s:s, s:b, s:o, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:o}", "verdict",
		lh_site_verdict_name(estimate->verdict), "complete", (int)site->is_complete, "samples",
		lh_json_u64(estimate->sample_count), "allocated_bytes", estimate->allocated_bytes, "allocated_blocks",
		estimate->allocated_count, "live_bytes", estimate->live_bytes, "live_blocks", estimate->live_count,
		"live_samples", lh_json_u64(estimate->live_sample_count), "freed_samples",
		lh_json_u64(estimate->death_sample_count), "survivors", lh_json_u64(estimate->survivor_count),
		"min_age_ns", lh_json_u64(estimate->min_age_ns), "median_life_ns",
		lh_json_u64(estimate->median_life_ns), "longest_life_ns", lh_json_u64(estimate->longest_life_ns),
		"oldest_live_ns", lh_json_u64(estimate->oldest_live_ns), "leak_bytes_per_s", estimate->leak_bytes_per_s,
		"leak_low_bytes_per_s", estimate->leak_low, "leak_high_bytes_per_s", estimate->leak_high, "frames",
		lh_frames_json(report->symbols, lh_trace_frames_of(report->trace, site), site->frame_count));
}

static json_t *trace_sites_json(const struct lh_trace_report *report)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < lh_min_u64(report->top, report->trace->sites.count); i++) {
		json_t *item = trace_site_json(report, &report->trace->sites.items[i]);
		if (json_array_append_new(array, item)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *unseen_memory_json(const struct lh_trace *trace)
{
	json_t *array = json_array();
	for (struct lh_trace_memory left = trace->memory; array;) {
		enum lh_region_kind kind = lh_trace_memory_unseen_kind(&left, trace->allocator);
		if (kind == LH_REGION_KIND_COUNT)
			break;
		json_t *item = json_pack("{s:s, s:o}", "kind", lh_region_kind_name(kind), "bytes",
					 lh_json_u64(left.kind_bytes[kind]));
		left.kind_bytes[kind] = 0;
		if (json_array_append_new(array, item)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static const char *name_trace_end(enum lh_trace_end end)
{
	static const char *const names[] = {
		[LH_TRACE_TIME_OVER] = "time",       [LH_TRACE_INTERRUPTED] = "interrupted",
		[LH_TRACE_OVER_BUDGET] = "budget",   [LH_TRACE_PROCESS_ENDED] = "ended",
		[LH_TRACE_MANY_SAMPLES] = "samples",
	};
	return names[end];
}

void lh_report_trace_json(const struct lh_trace_report *report, struct lh_buffer *ret)
{
	const struct lh_trace *trace = report->trace;
	const uint64_t *common;
	size_t common_count = lh_trace_common_frames(trace, &common);
	json_t *value = json_pack(
		"{s:s, s:i, s:o, s:b, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:o, "
		"s:o, s:o, s:f, s:o, s:s, s:o}",
		"schema", "leakhunt/trace/1", "pid", (int)report->pid, "command", lh_json_string(report->command),
		"complete", lh_trace_is_complete(trace), "allocator", lh_allocator_name(trace->allocator), "end",
		name_trace_end(trace->end), "duration_ns", lh_json_u64(trace->duration_ns), "allocations",
		lh_json_u64(trace->allocation_count), "allocated_bytes", lh_json_u64(trace->allocated_bytes), "frees",
		lh_json_u64(trace->free_count), "samples", lh_json_u64(trace->sample_count), "incomplete_stacks",
		lh_json_u64(trace->incomplete_count), "lost_samples", lh_json_u64(trace->lost_sample_count),
		"lost_deaths", lh_json_u64(trace->lost_death_count), "unseen_deaths",
		lh_json_u64(trace->unseen_death_count), "mean_bytes", lh_json_u64(trace->mean_bytes), "target_cost",
		trace->target_cost, "own_cost", trace->own_cost, "budget", trace->budget, "common",
		lh_frames_json(report->symbols, common, common_count), "sites", trace_sites_json(report), "grown_bytes",
		trace->grown_bytes == INT64_MAX ? json_null() : json_integer(trace->grown_bytes), "unseen_part",
		lh_trace_memory_unseen_part(&trace->memory, trace->allocator), "unseen", unseen_memory_json(trace),
		"method", lh_trace_method_name(trace->method), "probed_ns", lh_json_u64(trace->probed_ns));
	lh_report_append_json(value, ret);
}

/* ---------------------------------------------------------------- folded */

static double weigh_folded_site(const struct lh_site_estimate *estimate, enum lh_folded_weight weight)
{
	switch (weight) {
	case LH_FOLDED_LEAK:
		return estimate->verdict == LH_SITE_LEAKING ? 3600 * estimate->leak_bytes_per_s : 0;
	case LH_FOLDED_LIVE:
		return estimate->live_bytes;
	default:
		return estimate->allocated_bytes;
	}
}

/* ";" separates frames: names must not contain one. */
static void put_folded_frame(const struct lh_trace_report *report, uint64_t addr, struct lh_buffer *ret)
{
	struct lh_named_frame frame = lh_trace_name_frame(report->symbols, addr);
	size_t before = ret->length;
	lh_trace_put_frame(&frame, ret);
	for (size_t i = before; !ret->failed && i < ret->length; i++)
		ret->data[i] = (char)(ret->data[i] == ';' ? ':' : ret->data[i]);
}

void lh_report_trace_folded(const struct lh_trace_report *report, enum lh_folded_weight weight, struct lh_buffer *ret)
{
	for (size_t i = 0; i < report->trace->sites.count; i++) {
		const struct lh_trace_site *site = &report->trace->sites.items[i];
		const uint64_t *frames = lh_trace_frames_of(report->trace, site);
		uint64_t bytes = (uint64_t)weigh_folded_site(&site->estimate, weight);
		for (size_t frame = site->frame_count; bytes && frame > 0; frame--) {
			put_folded_frame(report, frames[frame - 1], ret);
			lh_buffer_puts(ret, frame > 1 ? ";" : "");
		}
		if (bytes && site->frame_count)
			lh_buffer_printf(ret, " %" PRIu64 "\n", bytes);
	}
}

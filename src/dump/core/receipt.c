/*
 * receipt: what a dump cost its target and what it holds, as JSON for --json, the core's note and the raw index.
 */
#include "capture.h"

#include <stdlib.h>

void lh_receipt_deinit(struct lh_receipt *receipt)
{
	lh_vec_deinit(&receipt->gaps.items);
	lh_vec_deinit(&receipt->passes);
	*receipt = (struct lh_receipt){0};
}

const char *lh_dump_mode_name(enum lh_dump_mode mode)
{
	switch (mode) {
	case LH_DUMP_SNAPSHOT:
		return "snapshot";
	case LH_DUMP_STOP:
		return "stop";
	case LH_DUMP_LIVE:
		return "live";
	case LH_DUMP_CHILD:
		return "child";
	}
	return "unknown";
}

static json_t *describe_passes(const struct lh_receipt *receipt)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < receipt->passes.count; i++) {
		const struct lh_dump_pass *pass = &receipt->passes.items[i];
		json_t *object = json_pack("{s:o, s:o}", "bytes", lh_json_u64(pass->bytes), "elapsed_ns",
					   lh_json_u64(pass->elapsed_ns));
		if (json_array_append_new(list, object)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

uint64_t lh_receipt_rate(const struct lh_receipt *receipt)
{
	uint64_t busy_ns = receipt->elapsed_ns - lh_min_u64(receipt->elapsed_ns, receipt->compress_ns);
	return busy_ns ? (uint64_t)((double)receipt->copied_bytes * (double)LH_NS_PER_S / (double)busy_ns) : 0;
}

static json_t *describe_parts(const struct lh_pause_parts *parts)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "stop_ns", lh_json_u64(parts->stop_ns), "plan_ns",
			 lh_json_u64(parts->plan_ns), "look_ns", lh_json_u64(parts->look_ns), "copy_ns",
			 lh_json_u64(parts->copy_ns), "resume_ns", lh_json_u64(parts->resume_ns));
}

static json_t *describe_left_out(const struct lh_receipt *receipt)
{
	json_t *object = json_object();
	for (int kind = 0; object && kind < LH_REGION_KIND_COUNT; kind++) {
		if (!receipt->left_out_bytes[kind])
			continue;
		if (json_object_set_new(object, lh_region_kind_name((enum lh_region_kind)kind),
					lh_json_u64(receipt->left_out_bytes[kind]))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

json_t *lh_describe_receipt(const struct lh_receipt *receipt)
{
	json_t *object = json_pack("{s:i, s:o, s:o, s:s, s:s, s:b}", "pid", (int)receipt->pid, "command",
				   lh_json_string(receipt->command), "path", lh_json_string(receipt->path), "mode",
				   lh_dump_mode_name(receipt->mode), "mode_reason", receipt->mode_reason, "complete",
				   (int)!receipt->gaps.items.count);
	const struct {
		const char *key;
		json_t *value;
	} numbers[] = {
		{"time_ns", lh_json_u64(receipt->time_ns)},
		{"pause_ns", lh_json_u64(receipt->pause_ns)},
		{"pause_parts", describe_parts(&receipt->parts)},
		{"elapsed_ns", lh_json_u64(receipt->elapsed_ns)},
		{"rate_bytes_per_s", lh_json_u64(lh_receipt_rate(receipt))},
		{"threads", lh_json_u64(receipt->thread_count)},
		{"passes", describe_passes(receipt)},
		{"final_bytes", lh_json_u64(receipt->final_bytes)},
		{"held_bytes", lh_json_u64(receipt->held_bytes)},
		{"stops_given_up", lh_json_u64(receipt->given_up_count)},
		{"injected", receipt->injected ? json_string(receipt->injected) : json_null()},
		{"seams_left", lh_json_u64(receipt->seam_count)},
		{"mended_calls", lh_json_u64(receipt->mended_count)},
		{"copied_bytes", lh_json_u64(receipt->copied_bytes)},
		{"context_bytes", lh_json_u64(receipt->context_bytes)},
		{"swapped_in_bytes", lh_json_u64(receipt->swapped_in_bytes)},
		{"gap_bytes", lh_json_u64(receipt->gap_bytes)},
		{"file_bytes", lh_json_u64(receipt->file_bytes)},
		{"unpacked_bytes", lh_json_u64(receipt->unpacked_bytes)},
		{"compress_ns", lh_json_u64(receipt->compress_ns)},
		{"disk_bytes", lh_json_u64(receipt->disk_bytes)},
		{"resident_delta_bytes", json_integer(receipt->resident_delta_bytes)},
		{"gaps", lh_describe_gaps(&receipt->gaps)},
		{"left_out_bytes", describe_left_out(receipt)},
	};
	int status = 0;
	for (size_t i = 0; i < LH_ARRAY_COUNT(numbers); i++)
		status |= json_object_set_new(object, numbers[i].key, numbers[i].value);
	if (!status)
		return object;
	json_decref(object);
	return NULL;
}

struct lh_error *lh_receipt_encode(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	return lh_json_append(lh_describe_receipt(receipt), false, ret);
}

static json_t *describe_wants(const struct lh_dump_options *options)
{
	json_t *wanted = json_array();
	for (size_t i = 0; wanted && i < options->want_count; i++)
		json_array_append_new(wanted, lh_json_string(options->wants[i].text));
	return wanted;
}

json_t *lh_describe_capture(const struct lh_capture *capture)
{
	return json_pack("{s:i, s:i, s:o, s:o, s:b, s:o, s:o}", "format", LH_NOTE_FORMAT, "pid",
			 (int)lh_process_pid(capture->process), "command",
			 lh_json_string(lh_process_command(capture->process)), "time_ns",
			 lh_json_u64(capture->receipt->time_ns), "bare", (int)capture->options->bare, "wanted",
			 describe_wants(capture->options), "receipt", lh_describe_receipt(capture->receipt));
}

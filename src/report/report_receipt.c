/*
 * report_receipt: a dump's receipt as text: what was written, what it cost the target, what is missing. It computes
 * only sums.
 */
#include "leakhunt/report.h"
#include "usage.h"

#include <string.h>

static void put_field(struct lh_buffer *ret, const char *label, const char *text)
{
	lh_buffer_printf(ret, "  %-10s%s\n", label, text);
}

static void put_file(const struct lh_receipt *receipt, struct lh_style style, struct lh_buffer *ret)
{
	char copied[LH_FORMAT_MAX], disk[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%s", style.color ? "\033[1m" : "");
	lh_buffer_escape(ret, receipt->path, strlen(receipt->path));
	lh_buffer_printf(ret, "%s: %s of process %d (", style.color ? "\033[0m" : "",
			 lh_format_bytes(receipt->copied_bytes, copied), (int)receipt->pid);
	lh_buffer_escape(ret, receipt->command, strlen(receipt->command));
	lh_buffer_printf(ret, "), %s on disk\n", lh_format_bytes(receipt->disk_bytes, disk));
}

static void put_memory(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char wanted[LH_FORMAT_MAX], context[LH_FORMAT_MAX], swapped[LH_FORMAT_MAX];
	uint64_t wanted_bytes = receipt->copied_bytes - lh_min_u64(receipt->copied_bytes, receipt->context_bytes);
	lh_buffer_printf(ret, "  %-10s%s asked for, %s of context", "memory", lh_format_bytes(wanted_bytes, wanted),
			 lh_format_bytes(receipt->context_bytes, context));
	if (receipt->swapped_in_bytes)
		lh_buffer_printf(ret, "; %s of it were swapped", lh_format_bytes(receipt->swapped_in_bytes, swapped));
	lh_buffer_puts(ret, "\n");
}

static void put_pause(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char pause[LH_FORMAT_MAX];
	if (receipt->mode == LH_DUMP_LIVE) {
		put_field(ret, "pause",
			  receipt->pause_ns
				  ? "one thread, for a millisecond (mode live): pages may be of different moments"
				  : "none (mode live): pages may be of different moments");
		return;
	}
	lh_buffer_printf(ret, "  %-10s%s (mode %s), %zu thread%s", "pause",
			 lh_format_duration(receipt->pause_ns, pause), lh_dump_mode_name(receipt->mode),
			 receipt->thread_count, receipt->thread_count == 1 ? "" : "s");
	if (receipt->given_up_count)
		lh_buffer_printf(ret, "; %zu more stop%s given up: too much was left to copy", receipt->given_up_count,
				 receipt->given_up_count == 1 ? "" : "s");
	lh_buffer_puts(ret, "\n");
}

static void put_passes(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX];
	if (!receipt->passes.count)
		return;
	lh_buffer_printf(ret, "  %-10s", "copied");
	for (size_t i = 0; i < receipt->passes.count; i++)
		lh_buffer_printf(ret, "%s%s", i ? ", " : "", lh_format_bytes(receipt->passes.items[i].bytes, bytes));
	lh_buffer_printf(ret, " while it ran, %s %s\n", lh_format_bytes(receipt->final_bytes, bytes),
			 receipt->mode == LH_DUMP_LIVE ? "at last" : "in the pause");
}

/* Why another mode than the requested one was used, or a remark on it. */
static void put_reason(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "  %-10s%s: ", "mode", lh_dump_mode_name(receipt->mode));
	lh_buffer_escape(ret, receipt->mode_reason, strlen(receipt->mode_reason));
	lh_buffer_puts(ret, "\n");
}

static void put_target(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char delta[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "  %-10sresident memory %s", "target",
			 lh_format_signed_bytes(receipt->resident_delta_bytes, delta));
	if (receipt->mended_count)
		lh_buffer_printf(ret, ", %zu interrupted system call%s mended", receipt->mended_count,
				 receipt->mended_count == 1 ? "" : "s");
	if (receipt->injected)
		lh_buffer_printf(ret, ", it ran for leakhunt: %s", receipt->injected);
	if (receipt->seam_count)
		lh_buffer_printf(ret, ", %zu border%s left between mappings that would have merged",
				 receipt->seam_count, receipt->seam_count == 1 ? "" : "s");
	lh_buffer_puts(ret, "\n");
}

static void put_time(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char elapsed[LH_FORMAT_MAX], rate[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "  %-10s%s, %s/s\n", "time", lh_format_duration(receipt->elapsed_ns, elapsed),
			 lh_format_bytes(lh_receipt_rate(receipt), rate));
}

static void put_compression(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char unpacked[LH_FORMAT_MAX], elapsed[LH_FORMAT_MAX];
	if (receipt->unpacked_bytes)
		lh_buffer_printf(ret, "  %-10sfrom %s, in %s after the pause\n", "packed",
				 lh_format_bytes(receipt->unpacked_bytes, unpacked),
				 lh_format_duration(receipt->compress_ns, elapsed));
}

static bool is_first_of_reason(const struct lh_receipt *receipt, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (receipt->gaps.items.items[i].reason == receipt->gaps.items.items[index].reason)
			return false;
	}
	return true;
}

static uint64_t bytes_of_reason(const struct lh_receipt *receipt, enum lh_gap_reason reason)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < receipt->gaps.items.count; i++) {
		const struct lh_gap *gap = &receipt->gaps.items.items[i];
		if (gap->reason == reason)
			sum += lh_range_bytes(gap->range);
	}
	return sum;
}

static void put_gaps(const struct lh_receipt *receipt, struct lh_style style, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX];
	if (!receipt->gaps.items.count)
		return;
	lh_buffer_printf(ret, "  %s%-10s%s in %zu gap%s:", style.color ? "\033[33m" : "", "missing",
			 lh_format_bytes(receipt->gap_bytes, bytes), receipt->gaps.items.count,
			 receipt->gaps.items.count == 1 ? "" : "s");
	const char *separator = " ";
	for (size_t i = 0; i < receipt->gaps.items.count; i++) {
		enum lh_gap_reason reason = receipt->gaps.items.items[i].reason;
		if (!is_first_of_reason(receipt, i))
			continue;
		lh_buffer_printf(ret, "%s%s %s", separator, lh_format_bytes(bytes_of_reason(receipt, reason), bytes),
				 lh_gap_reason_name(reason));
		separator = ", ";
	}
	lh_buffer_printf(ret, "%s\n", style.color ? "\033[0m" : "");
}

static void put_left_out(const struct lh_receipt *receipt, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX];
	const char *separator = "";
	for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++) {
		if (!receipt->left_out_bytes[kind])
			continue;
		if (!*separator)
			lh_buffer_printf(ret, "  %-10s", "left out");
		lh_buffer_printf(ret, "%s%s %s", separator, lh_format_bytes(receipt->left_out_bytes[kind], bytes),
				 lh_region_kind_name((enum lh_region_kind)kind));
		separator = ", ";
	}
	if (*separator)
		lh_buffer_puts(ret, "; --region all takes everything\n");
}

void lh_report_receipt_text(const struct lh_receipt *receipt, struct lh_style style, struct lh_buffer *ret)
{
	put_file(receipt, style, ret);
	put_memory(receipt, ret);
	put_left_out(receipt, ret);
	put_pause(receipt, ret);
	put_passes(receipt, ret);
	put_reason(receipt, ret);
	put_target(receipt, ret);
	put_compression(receipt, ret);
	put_time(receipt, ret);
	put_gaps(receipt, style, ret);
}

json_t *lh_report_receipt_json(const struct lh_receipt *receipt)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error = receipt ? lh_receipt_encode(receipt, &text) : NULL;
	json_t *value = NULL;
	if (receipt && !error)
		value = lh_json_parse(text.data, text.length, &error);
	lh_error_destroy(error);
	return receipt ? value : json_null();
}

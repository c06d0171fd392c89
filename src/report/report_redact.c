/*
 * report_redact: what `leakhunt redact` kept and replaced, as text or JSON.
 */
#include "usage.h"

#include <string.h>

static void write_redact_share(struct lh_buffer *ret, uint64_t bytes, uint64_t whole, const char *what)
{
	char text[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "  %10s  %5.1f %%  %s\n", lh_format_bytes(bytes, text),
			 whole ? 100.0 * (double)bytes / (double)whole : 0.0, what);
}

void lh_report_redact_text(const struct lh_redaction *redaction, const char *path, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX], after[LH_FORMAT_MAX];
	uint64_t whole = redaction->memory_bytes;
	lh_buffer_puts(ret, "wrote ");
	lh_buffer_escape(ret, path, strlen(path));
	lh_buffer_puts(ret, ", which keeps:\n");
	write_redact_share(ret, redaction->module_bytes, whole, "read-only memory of programs and libraries");
	write_redact_share(ret, redaction->zero_bytes, whole, "zeros");
	write_redact_share(ret, redaction->pointer_bytes, whole, "pointers");
	write_redact_share(ret, redaction->number_bytes, whole, "small numbers, sizes and counts");
	write_redact_share(ret, redaction->name_bytes, whole, "names of types and modules");
	lh_buffer_puts(ret, "and replaces:\n");
	write_redact_share(ret, redaction->replaced_bytes, whole, "texts and all other values");
	if (redaction->is_same_heap)
		lh_buffer_printf(ret, "heap: the same %s blocks as before\n",
				 lh_format_count(redaction->blocks_before, count));
	else
		lh_buffer_printf(ret,
				 "heap: NOT the same: %s blocks before, %s after; redact replaced what the allocator "
				 "needs\n",
				 lh_format_count(redaction->blocks_before, count),
				 lh_format_count(redaction->blocks_after, after));
}

void lh_report_redact_json(const struct lh_redaction *redaction, const char *path, struct lh_buffer *ret)
{
	json_t *json = json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "schema", "leakhunt/redact/1",
		"path", lh_json_string(path), "memory_bytes", lh_json_u64(redaction->memory_bytes), "module_bytes",
		lh_json_u64(redaction->module_bytes), "zero_bytes", lh_json_u64(redaction->zero_bytes), "pointer_bytes",
		lh_json_u64(redaction->pointer_bytes), "number_bytes", lh_json_u64(redaction->number_bytes),
		"name_bytes", lh_json_u64(redaction->name_bytes), "replaced_bytes",
		lh_json_u64(redaction->replaced_bytes), "notes", lh_json_u64(redaction->note_count), "blocks_before",
		lh_json_u64(redaction->blocks_before), "blocks_after", lh_json_u64(redaction->blocks_after),
		"same_heap", (int)redaction->is_same_heap);
	lh_report_append_json(json, ret);
}

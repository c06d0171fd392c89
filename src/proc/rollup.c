/*
 * rollup: the sum that the kernel makes of all mappings, whose PSS is exact where a sum of rounded PSS is not.
 */
#include "regions.h"

#include <string.h>

/* The fields of the sum are named as those of a mapping; fs/proc/task_mmu.c, show_smaps_rollup. */
static void parse_rollup(const char *text, size_t length, struct lh_usage *ret)
{
	const char *end = text + length;
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end;
		struct lh_field_guess guess = {0};
		lh_usage_field_parse(text, (size_t)(line_end - text), &guess, ret);
		text = newline ? newline + 1 : end;
	}
}

struct lh_error *lh_rollup_read(const struct lh_process *process, struct lh_usage *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_usage usage = {0};
	LH_TRY(lh_process_read_file(process, "smaps_rollup", &text));
	if (!text.length)
		return lh_process_ended_error(process);
	parse_rollup(text.data, text.length, &usage);
	*ret = usage;
	return NULL;
}

void lh_regions_take_exact_pss(const struct lh_process *process, struct lh_region_list *list)
{
	struct lh_usage rollup = {0}, sum = {0};
	uint64_t vss_bytes;
	struct lh_error *error = lh_rollup_read(process, &rollup);
	if (error) {
		lh_error_destroy(error);
		return;
	}
	lh_regions_total(list, &sum, &vss_bytes);
	bool is_same = rollup.rss_bytes == sum.rss_bytes && rollup.pss_bytes >= sum.pss_bytes &&
		       rollup.pss_bytes - sum.pss_bytes <= list->regions.count * LH_KIB;
	if (is_same)
		list->exact_pss_bytes = rollup.pss_bytes;
}

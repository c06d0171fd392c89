/*
 * companions: types of objects whose numbers are alike, or whose numbers grew alike: parts of one thing, most likely.
 * Pure. Input: rows of types. Output: which of them to name first, and what goes with it.
 */
#include "leakhunt/scan.h"

#include <string.h>

/* Fewer objects than this are alike by chance; a shorter text says nothing. */
enum { COUNT_MIN = 16, TEXT_LENGTH_MIN = 8 };

/* How many of the part there are for each of the whole; 0: no whole number, within the tolerance. */
static uint32_t find_multiple(uint64_t whole_count, uint64_t part_count, double tolerance)
{
	if (whole_count < COUNT_MIN)
		return 0;
	double times = (double)part_count / (double)whole_count;
	for (uint32_t k = 1; k <= LH_COMPANION_TIMES_MAX; k++) {
		if (times >= k * (1 - tolerance) && times <= k * (1 + tolerance))
			return k;
	}
	return 0;
}

static size_t find_largest(const struct lh_companion_row *rows, size_t count)
{
	size_t largest = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		if (!rows[i].is_said && (largest == SIZE_MAX || rows[i].bytes > rows[largest].bytes))
			largest = i;
	}
	return largest;
}

/* The program's own type that the largest type may be a part of; else the largest type. */
static size_t find_lead(const struct lh_companion_row *rows, size_t count, double tolerance)
{
	size_t largest = find_largest(rows, count), lead = largest;
	if (largest == SIZE_MAX || rows[largest].is_own)
		return largest;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].is_own && !rows[i].is_said &&
		    find_multiple(rows[i].count, rows[largest].count, tolerance) &&
		    (lead == largest || rows[i].bytes > rows[lead].bytes))
			lead = i;
	}
	return lead;
}

bool lh_companions_find(struct lh_companion_row *rows, size_t count, double tolerance, struct lh_companions *ret)
{
	size_t lead = find_lead(rows, count, tolerance);
	if (lead == SIZE_MAX)
		return false;
	*ret = (struct lh_companions){.lead = lead, .bytes = rows[lead].bytes};
	rows[lead].is_said = true;
	for (size_t i = 0; i < count && ret->count < LH_COMPANIONS_MAX; i++) {
		uint32_t times = rows[i].is_said ? 0 : find_multiple(rows[lead].count, rows[i].count, tolerance);
		if (!times)
			continue;
		rows[i].is_said = true;
		ret->rows[ret->count] = i;
		ret->times[ret->count++] = times;
		ret->bytes += rows[i].bytes;
	}
	return true;
}

static const struct lh_diff_row *find_alike(const struct lh_diff_rows *rows, uint64_t count)
{
	for (size_t i = 0; i < rows->rows.count; i++) {
		const struct lh_diff_row *row = &rows->rows.items[i];
		if (row->after_count > row->before_count && strlen(row->name) >= TEXT_LENGTH_MIN &&
		    find_multiple(count, row->after_count - row->before_count, LH_GROWN_ALIKE) == 1)
			return row;
	}
	return NULL;
}

const struct lh_diff_row *lh_diff_find_text_alike(const struct lh_diff *diff, uint64_t count)
{
	const struct lh_diff_row *found = find_alike(&diff->kinds[LH_DIFF_TEMPLATES], count);
	return found ? found : find_alike(&diff->kinds[LH_DIFF_TEXTS], count);
}

/*
 * chart: draws a series over time as columns of characters, for a terminal. Input: moments and values, a width and a
 * height. Output: text lines with an axis. Values are not smoothed.
 */
#include "leakhunt/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EIGHTHS = 8, AXIS_COLUMNS = 12 };

/* The value at the end of each column's share of time; NAN before the first. */
static void sample_columns(const struct lh_selection *selection, const uint64_t *series, size_t columns, double *ret)
{
	const double *moments = selection->moments_s.items;
	size_t count = selection->moments_s.count, next = 0;
	double span = moments[count - 1], latest = (double)series[0];
	for (size_t column = 0; column < columns; column++) {
		double until = span * (double)(column + 1) / (double)columns;
		while (next < count && moments[next] <= until * (1 + 1e-12))
			latest = (double)series[next++];
		ret[column] = latest;
	}
}

static void put_block(struct lh_buffer *ret, int eighths, bool is_plain)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const plain[] = {" ", "_", "_", ".", ":", ":", "|", "#", "#"};
	int level = eighths < 0 ? 0 : eighths > EIGHTHS ? EIGHTHS : eighths;
	lh_buffer_puts(ret, (is_plain ? plain : blocks)[level]);
}

static void put_chart_row(const double *values, size_t columns, double low, double step, size_t row, bool is_plain,
			  struct lh_buffer *ret)
{
	for (size_t column = 0; column < columns; column++) {
		double filled = (values[column] - low) / step - (double)row;
		put_block(ret, (int)lround(filled * EIGHTHS), is_plain);
	}
}

/* The lowest value is drawn one eighth above the floor, so that it does not look like no memory. */
struct lh_error *lh_report_chart(const struct lh_selection *selection, const uint64_t *series,
				 struct lh_chart_size size, struct lh_buffer *ret)
{
	size_t columns = size.width > AXIS_COLUMNS ? size.width - AXIS_COLUMNS : 1;
	size_t rows = size.height ? size.height : 1;
	LH_CLEANUP(lh_cleanup_free) double *values = calloc(columns, sizeof(*values));
	if (!values)
		return lh_error_no_memory();
	sample_columns(selection, series, columns, values);
	double low = values[0], high = values[0];
	for (size_t i = 0; i < columns; i++) {
		low = fmin(low, values[i]);
		high = fmax(high, values[i]);
	}
	double step = fmax((high - low) / ((double)rows - 1.0 / EIGHTHS), 1.0 / 1024);
	for (size_t row = rows; row-- > 0;) {
		char label[LH_FORMAT_MAX];
		double at = row + 1 == rows ? high : low + step * (double)row;
		lh_buffer_printf(ret, "%*s ", AXIS_COLUMNS - 2, lh_format_bytes((uint64_t)at, label));
		put_chart_row(values, columns, low - step / EIGHTHS, step, row, size.is_plain, ret);
		lh_buffer_puts(ret, "\n");
	}
	return lh_buffer_status(ret);
}

/* "           5m 12s ago          2m 36s ago               now"; the middle label only if there is room. */
void lh_report_chart_axis(const struct lh_selection *selection, struct lh_chart_size size, struct lh_buffer *ret)
{
	enum { WITH_MIDDLE = 48 };
	size_t columns = size.width > AXIS_COLUMNS ? size.width - AXIS_COLUMNS : 1;
	char left[LH_FORMAT_MAX], middle[LH_FORMAT_MAX];
	lh_format_duration(selection->span_ns, left);
	lh_format_duration(selection->span_ns / 2, middle);
	lh_buffer_printf(ret, "%*s", AXIS_COLUMNS - 1, "");
	int half = (int)(columns / 2);
	if (columns >= WITH_MIDDLE)
		lh_buffer_printf(ret, "%s ago%*s%s ago%*s\n", left, half - (int)strlen(left) - 4, "", middle,
				 (int)columns - half - (int)strlen(middle) - 4, "now");
	else
		lh_buffer_printf(ret, "%s ago%*s\n", left, (int)columns - (int)strlen(left) - 4, "now");
}

/*
 * html_time: the curves of report.html: private memory over time with its trend, the limit that it approaches, and
 * growing memory beside the mappings. Input: a selection. Output: SVG that works without the script; the script lets
 * the reader read single samples.
 */
#include "html.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLOT_TOP = 24, PLOT_HEIGHT = 232, PLOT_BOTTOM = PLOT_TOP + PLOT_HEIGHT, DOTS_MAX = 240, TICKS_MAX = 5 };

/* Of the width: labels stand left of the curve. */
#define PLOT_LEFT  12.0
#define PLOT_RIGHT 98.5

/* The values at the borders of a plot. */
struct plot {
	double first_s, last_s;
	double low, high;
	bool is_count;
};

/* ---------------------------------------------------------------- scales */

/* The smallest of 1, 2, 5, 10 ... times a power of `base` that is at least `least`. */
static double round_step(double least, double base)
{
	static const double steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500};
	double unit = 1;
	while (unit * 500 < least)
		unit *= base;
	for (size_t i = 0; i < LH_ARRAY_COUNT(steps); i++) {
		if (unit * steps[i] >= least)
			return unit * steps[i];
	}
	return unit * base;
}

static double value_step(const struct plot *plot)
{
	return fmax(1, round_step((plot->high - plot->low) / 4, plot->is_count ? 1000 : 1024));
}

/* Chooses round limits around the values; the scale begins at zero unless that flattens the curve. */
static void choose_scale(struct plot *plot, const double *values, size_t count)
{
	plot->low = plot->high = count ? values[0] : 0;
	for (size_t i = 0; i < count; i++) {
		plot->low = fmin(plot->low, values[i]);
		plot->high = fmax(plot->high, values[i]);
	}
	if (plot->low < 0.6 * plot->high || plot->high - plot->low < 0.02 * plot->high)
		plot->low = 0;
	double step = value_step(plot);
	plot->low = floor(plot->low / step) * step;
	plot->high = fmax(ceil(plot->high * 1.02 / step) * step, plot->low + step);
}

static double percent_x(const struct plot *plot, double seconds)
{
	double span = fmax(plot->last_s - plot->first_s, 1e-9);
	return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * fmin(fmax((seconds - plot->first_s) / span, 0), 1);
}

static double part_y(const struct plot *plot, double value)
{
	return 1 - fmin(fmax((value - plot->low) / (plot->high - plot->low), 0), 1);
}

static double pixel_y(const struct plot *plot, double value)
{
	return PLOT_TOP + PLOT_HEIGHT * part_y(plot, value);
}

static const char *format_plot_value(const struct plot *plot, double value, char ret[LH_HTML_NUMBER_MAX])
{
	return plot->is_count ? lh_html_count((uint64_t)fmax(value, 0), ret)
			      : lh_html_bytes((uint64_t)fmax(value, 0), ret);
}

static void put_value_axis(const struct plot *plot, struct lh_buffer *ret)
{
	char label[LH_HTML_NUMBER_MAX];
	double step = value_step(plot);
	int count = (int)lround((plot->high - plot->low) / step);
	for (int i = 0; i <= count; i++) {
		double value = plot->low + i * step;
		double y = pixel_y(plot, value);
		lh_buffer_printf(ret,
				 "<line class=\"%s\" x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"0\" "
				 "y=\"%.1f\">%s</text>",
				 !i ? "axis" : "grid", y, y, y - 5, format_plot_value(plot, value, label));
	}
}

/* "0 s", "2.5 s", "4 min", "8 h", "3 d": steps are whole numbers of these, or tenths of seconds. */
static const char *format_tick(double seconds, char ret[LH_HTML_NUMBER_MAX])
{
	static const struct {
		double seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(units); i++) {
		if (seconds < 2 * units[i].seconds || fmod(seconds, units[i].seconds) > 1e-6)
			continue;
		snprintf(ret, LH_HTML_NUMBER_MAX, "%.0f\u00a0%s", seconds / units[i].seconds, units[i].unit);
		return ret;
	}
	snprintf(ret, LH_HTML_NUMBER_MAX, "%.4g\u00a0s", seconds);
	return ret;
}

static void put_time_axis(const struct plot *plot, struct lh_buffer *ret)
{
	static const double steps[] = {0.1, 0.2, 0.5, 1,    2,    5,    10,    15,    30,    60,    120,
				       300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 604800};
	double span = plot->last_s - plot->first_s, step = steps[LH_ARRAY_COUNT(steps) - 1];
	char label[LH_HTML_NUMBER_MAX];
	for (size_t i = LH_ARRAY_COUNT(steps); i-- > 0 && span / steps[i] <= TICKS_MAX;)
		step = steps[i];
	for (int i = 0; i <= TICKS_MAX && i * step <= span; i++) {
		double at = i * step;
		double x = percent_x(plot, plot->first_s + at);
		lh_buffer_printf(ret, "<text x=\"%.2f%%\" y=\"%d\" text-anchor=\"%s\">%s</text>", x, PLOT_BOTTOM + 20,
				 x > 94 ? "end" : "middle", format_tick(at, label));
	}
}

/* ---------------------------------------------------------------- curves */

static void begin_curves(struct lh_buffer *ret)
{
	lh_buffer_printf(ret,
			 "<svg x=\"0\" y=\"%d\" width=\"100%%\" height=\"%d\" viewBox=\"0 0 1000 1000\" "
			 "preserveAspectRatio=\"none\">",
			 PLOT_TOP, PLOT_HEIGHT);
}

static void put_point(const struct plot *plot, double seconds, double value, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, " %.2f,%.2f", 10 * percent_x(plot, seconds), 1000 * part_y(plot, value));
}

static void put_curve(const struct plot *plot, const double *moments, const double *values, size_t count,
		      struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "<polyline class=\"ln\" points=\"");
	for (size_t i = 0; i < count; i++)
		put_point(plot, moments[i], values[i], ret);
	lh_buffer_puts(ret, "\"/>");
}

/* Through the middle of the samples, with the slopes of the selection. */
static void put_trend_band(const struct plot *plot, const struct lh_growth *growth, double middle_value,
			   struct lh_buffer *ret)
{
	double middle_s = (plot->first_s + plot->last_s) / 2, half_s = (plot->last_s - plot->first_s) / 2;
	double rise = growth->rate_bytes_per_hour / 3600 * half_s;
	double low = growth->rate_low_bytes_per_hour / 3600 * half_s,
	       high = growth->rate_high_bytes_per_hour / 3600 * half_s;
	lh_buffer_puts(ret, "<polygon class=\"band\" points=\"");
	put_point(plot, plot->first_s, middle_value - low, ret);
	put_point(plot, middle_s, middle_value, ret);
	put_point(plot, plot->last_s, middle_value + high, ret);
	put_point(plot, plot->last_s, middle_value + low, ret);
	put_point(plot, middle_s, middle_value, ret);
	put_point(plot, plot->first_s, middle_value - high, ret);
	lh_buffer_puts(ret, "\"/><polyline class=\"tr\" points=\"");
	put_point(plot, plot->first_s, middle_value - rise, ret);
	put_point(plot, plot->last_s, middle_value + rise, ret);
	lh_buffer_puts(ret, "\"/>");
}

static void put_dots(const struct plot *plot, const double *moments, const double *values, size_t count,
		     struct lh_buffer *ret)
{
	char seconds[LH_HTML_NUMBER_MAX], value[LH_HTML_NUMBER_MAX];
	size_t step = (count + DOTS_MAX - 1) / DOTS_MAX;
	lh_buffer_printf(ret, "<line class=\"cross\" y1=\"%d\" y2=\"%d\"/>", PLOT_TOP, PLOT_BOTTOM);
	for (size_t i = 0; i < count; i += step ? step : 1) {
		double x = percent_x(plot, moments[i]);
		lh_buffer_printf(ret,
				 "<circle class=\"dot\" cx=\"%.2f%%\" cy=\"%.1f\" r=\"2.5\" data-cx=\"%.2f%%\" "
				 "data-t=\"%s: %s\"/>",
				 x, pixel_y(plot, values[i]), x,
				 lh_html_duration((uint64_t)fmax((moments[i] - plot->first_s) * 1e9, 0), seconds),
				 format_plot_value(plot, values[i], value));
	}
}

static void put_mark(const struct plot *plot, double seconds, const char *name, struct lh_buffer *ret)
{
	double x = percent_x(plot, seconds);
	bool is_right = x > 70;
	if (seconds < plot->first_s)
		return;
	lh_buffer_printf(ret,
			 "<line class=\"mk\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"10\" y2=\"%d\"/><text class=\"t1\" "
			 "x=\"%.2f%%\" dx=\"%d\" y=\"19\" text-anchor=\"%s\">%s</text>",
			 x, x, PLOT_BOTTOM, x, is_right ? -5 : 5, is_right ? "end" : "start", name);
}

/* ---------------------------------------------------------------- a series */

struct series {
	const char *title;
	const char *id;
	bool is_count;
	const struct lh_growth *trend; /* NULL: none */
};

static int compare_values(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

/* The trend's value in the middle of the time: the median of what each sample implies for that moment. */
static double middle_of_trend(const struct plot *plot, const struct lh_growth *trend, const double *moments,
			      const double *values, size_t count)
{
	LH_CLEANUP(lh_cleanup_free) double *there = calloc(count ? count : 1, sizeof(*there));
	double middle_s = (plot->first_s + plot->last_s) / 2;
	if (!there || !count)
		return 0;
	for (size_t i = 0; i < count; i++)
		there[i] = values[i] + trend->rate_bytes_per_hour / 3600 * (middle_s - moments[i]);
	qsort(there, count, sizeof(*there), compare_values);
	return there[count / 2];
}

static void put_figure(const struct lh_hunt *hunt, const struct series *series, const double *moments,
		       const double *values, size_t count, struct lh_buffer *ret)
{
	struct plot plot = {.first_s = moments[0], .last_s = moments[count - 1], .is_count = series->is_count};
	char first[LH_HTML_NUMBER_MAX], last[LH_HTML_NUMBER_MAX], span[LH_HTML_NUMBER_MAX];
	choose_scale(&plot, values, count);
	lh_buffer_printf(
		ret,
		"<figure><figcaption><b>%s.</b> Dots are samples%s.</figcaption><svg width=\"100%%\" "
		"height=\"286\" role=\"img\" tabindex=\"0\" data-read=\"%s-read\" aria-label=\"%s over %s: %zu "
		"samples from %s to %s\">",
		series->title, series->trend ? "; dotted is the trend, shaded its 95&nbsp;% interval" : "", series->id,
		series->title, lh_html_duration((uint64_t)((plot.last_s - plot.first_s) * 1e9), span), count,
		format_plot_value(&plot, values[0], first), format_plot_value(&plot, values[count - 1], last));
	put_value_axis(&plot, ret);
	put_time_axis(&plot, ret);
	begin_curves(ret);
	if (series->trend)
		put_trend_band(&plot, series->trend, middle_of_trend(&plot, series->trend, moments, values, count),
			       ret);
	put_curve(&plot, moments, values, count, ret);
	lh_buffer_puts(ret, "</svg>");
	put_mark(&plot, lh_hunt_dump_moment(hunt, LH_HUNT_BEFORE), "dump A", ret);
	put_mark(&plot, lh_hunt_dump_moment(hunt, LH_HUNT_AFTER), "dump B", ret);
	put_dots(&plot, moments, values, count, ret);
	lh_buffer_printf(
		ret,
		"</svg><p class=\"read jsonly\" id=\"%s-read\" aria-live=\"polite\">Point at the curve, or use "
		"the arrow keys, to read a sample.</p></figure>\n",
		series->id);
}

/* `series_bytes` without items: the value never changed. */
static void put_series_figure(const struct lh_hunt *hunt, const struct series *series, const uint64_t *items,
			      size_t item_count, uint64_t constant, struct lh_buffer *ret)
{
	size_t count = hunt->selection.moments_s.count;
	LH_CLEANUP(lh_cleanup_free) double *values = calloc(count ? count : 1, sizeof(*values));
	ret->failed |= !values;
	if (!values || !count)
		return;
	for (size_t i = 0; i < count; i++)
		values[i] = (double)(i < item_count ? items[i] : item_count ? items[item_count - 1] : constant);
	put_figure(hunt, series, hunt->selection.moments_s.items, values, count, ret);
}

/* ---------------------------------------------------------------- the limit */

/* From now to the moment of the limit, at the rate and at both ends of its interval. */
static void put_forecast_curves(const struct plot *plot, double now, double limit, const struct lh_forecast *forecast,
				struct lh_buffer *ret)
{
	double latest_s = isfinite(forecast->latest_s) ? forecast->latest_s : plot->last_s;
	begin_curves(ret);
	lh_buffer_puts(ret, "<polygon class=\"band\" points=\"");
	put_point(plot, 0, now, ret);
	put_point(plot, forecast->earliest_s, limit, ret);
	put_point(plot, fmin(latest_s, plot->last_s), isfinite(forecast->latest_s) ? limit : now, ret);
	lh_buffer_puts(ret, "\"/><polyline class=\"ln\" points=\"");
	put_point(plot, 0, now, ret);
	put_point(plot, forecast->seconds, limit, ret);
	lh_buffer_puts(ret, "\"/></svg>");
}

static void put_forecast_figure(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_forecast *forecast = &hunt->forecast;
	char left[LH_HTML_NUMBER_MAX], away[LH_HTML_NUMBER_MAX];
	double now = (double)hunt->selection.total.private_last_bytes, limit = now + (double)forecast->left;
	double ends[] = {0, limit * 1.05};
	struct plot plot = {.first_s = 0, .last_s = forecast->seconds * 1.15};
	choose_scale(&plot, ends, 2);
	plot.low = 0;
	lh_html_duration((uint64_t)(forecast->seconds * 1e9), left);
	lh_html_bytes(forecast->left, away);
	lh_buffer_printf(
		ret,
		"<figure><figcaption><b>If it goes on.</b> From now to the end of %s.</figcaption><svg "
		"width=\"100%%\" height=\"286\" role=\"img\" aria-label=\"At this rate the end of %s, %s away, is "
		"reached in %s\">",
		lh_ceiling_text(forecast->ceiling), lh_ceiling_text(forecast->ceiling), away, left);
	put_value_axis(&plot, ret);
	put_time_axis(&plot, ret);
	put_forecast_curves(&plot, now, limit, forecast, ret);
	double x = percent_x(&plot, forecast->seconds), y = pixel_y(&plot, limit);
	lh_buffer_printf(
		ret,
		"<line class=\"lim\" x1=\"%.0f%%\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/><circle class=\"dot\" "
		"cx=\"%.2f%%\" cy=\"%.1f\" r=\"4\"/><text class=\"ta\" x=\"%.2f%%\" dx=\"-10\" y=\"%.1f\" "
		"text-anchor=\"end\">%s</text></svg></figure>\n",
		PLOT_LEFT + 12, y, y, x, y, x, y - 8, left);
}

/* ---------------------------------------------------------------- the section */

static bool has_time(const struct lh_hunt *hunt)
{
	return hunt->has_selection && hunt->selection.moments_s.count > 1;
}

static void write_time(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_growth *total = &hunt->selection.total;
	bool has_limit = hunt->has_forecast && lh_ceiling_is_memory(hunt->forecast.ceiling);
	bool has_trend = lh_verdict_is_rising(total->verdict) && total->measure == LH_MEASURE_USED;
	struct series series = {.title = "Private memory", .id = "time", .trend = has_trend ? total : NULL};
	/* A total judged by its address space shows the curve of that. */
	if (total->measure == LH_MEASURE_MAPPED)
		series.title = "Address space";
	lh_html_begin_section(ret, "time", "Over time");
	lh_buffer_puts(ret, "<p class=\"lead\">");
	lh_html_sentence(ret, total->reason);
	lh_buffer_puts(ret, "</p>\n");
	lh_buffer_puts(ret, has_limit ? "<div class=\"two\">" : "<div>");
	put_series_figure(hunt, &series, total->series.items, total->series.count,
			  total->measure == LH_MEASURE_MAPPED ? total->mapped_last_bytes : total->private_last_bytes,
			  ret);
	if (has_limit)
		put_forecast_figure(hunt, ret);
	lh_buffer_puts(ret, "</div>\n");
	if (hunt->held != LH_HOLDING_COUNT) {
		const struct lh_holding_growth *held = &hunt->selection.holdings[hunt->held];
		struct series beside = {.title = lh_holding_text(hunt->held),
					.id = "held",
					.is_count = !lh_holding_is_memory(hunt->held)};
		put_series_figure(hunt, &beside, held->series.items, held->series.count, held->last, ret);
	}
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_time = {.id = "time", .title = "Over time", .has = has_time, .write = write_time};

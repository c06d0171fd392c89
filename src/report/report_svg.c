/*
 * report_svg: a selection as a picture: used bytes over time, of the process and of what grows, with the trend line and
 * the verdict. Plain SVG 1.1 without scripts or links. Names are escaped twice: as for a terminal, and as XML.
 */
#include "leakhunt/report.h"

#include <math.h>
#include <string.h>

enum {
	WIDTH = 900,
	PANEL_HEIGHT = 170,
	PLOT_TOP = 40,
	PLOT_HEIGHT = 90,
	PLOT_LEFT = 90,
	PLOT_WIDTH = 780,
	PANELS_MAX = 12
};

static void put_xml(struct lh_buffer *ret, const char *raw)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_escape(&text, raw, strlen(raw));
	ret->failed |= text.failed;
	for (size_t i = 0; i < text.length; i++) {
		const char *entity = text.data[i] == '<'   ? "&lt;"
				     : text.data[i] == '>' ? "&gt;"
				     : text.data[i] == '&' ? "&amp;"
							   : NULL;
		if (entity)
			lh_buffer_puts(ret, entity);
		else
			lh_buffer_append(ret, &text.data[i], 1);
	}
}

/* The values at the borders of a panel. */
struct scale {
	double span_s;
	double top_bytes;
};

static struct scale scale_of(const struct lh_selection *selection, const struct lh_growth *growth)
{
	struct scale scale = {.span_s = 1e-9, .top_bytes = 1};
	for (size_t i = 0; i < growth->series.count; i++)
		scale.top_bytes = fmax(scale.top_bytes, (double)growth->series.items[i]);
	for (size_t i = 0; i < selection->moments_s.count; i++)
		scale.span_s = fmax(scale.span_s, selection->moments_s.items[i]);
	return scale;
}

static double x_of(const struct scale *scale, double seconds)
{
	return PLOT_LEFT + PLOT_WIDTH * seconds / scale->span_s;
}

static double y_of(const struct scale *scale, double bytes)
{
	double part = fmin(fmax(bytes / scale->top_bytes, 0), 1);
	return PLOT_TOP + PLOT_HEIGHT * (1 - part);
}

static void put_series(const struct lh_selection *selection, const struct lh_growth *growth, const struct scale *scale,
		       struct lh_buffer *ret)
{
	size_t count = lh_min_u64(growth->series.count, selection->moments_s.count);
	lh_buffer_puts(ret, "<polyline class=\"used\" points=\"");
	for (size_t i = 0; i < count; i++)
		lh_buffer_printf(ret, "%s%.1f,%.1f", i ? " " : "", x_of(scale, selection->moments_s.items[i]),
				 y_of(scale, (double)growth->series.items[i]));
	lh_buffer_puts(ret, "\"/>\n");
}

/* Through the last value, with the slope of the trend; no line if the rise has ended. */
static void put_trend(const struct lh_growth *growth, const struct scale *scale, struct lh_buffer *ret)
{
	if (!growth->series.count || growth->plateau_start_s >= 0)
		return;
	double last = (double)growth->series.items[growth->series.count - 1];
	double first = last - growth->rate_bytes_per_hour * scale->span_s / 3600;
	lh_buffer_printf(ret, "<line class=\"trend\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
			 x_of(scale, 0), y_of(scale, first), x_of(scale, scale->span_s), y_of(scale, last));
}

static void put_panel(const struct lh_selection *selection, const struct lh_growth *growth, const char *title,
		      size_t place, struct lh_buffer *ret)
{
	struct scale scale = scale_of(selection, growth);
	char top[LH_FORMAT_MAX], span[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "<g transform=\"translate(0,%zu)\">\n<text x=\"10\" y=\"16\" class=\"title\">",
			 place * PANEL_HEIGHT);
	put_xml(ret, title);
	lh_buffer_printf(ret, ": %s</text>\n<text x=\"10\" y=\"32\">", lh_verdict_name(growth->verdict));
	put_xml(ret, growth->reason);
	lh_buffer_printf(ret, "</text>\n<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
			 PLOT_LEFT, PLOT_TOP, PLOT_WIDTH, PLOT_HEIGHT);
	lh_buffer_printf(ret, "<text x=\"10\" y=\"%d\">%s</text><text x=\"10\" y=\"%d\">0 B</text>", PLOT_TOP + 10,
			 lh_format_bytes((uint64_t)scale.top_bytes, top), PLOT_TOP + PLOT_HEIGHT);
	lh_buffer_printf(ret, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", PLOT_LEFT + PLOT_WIDTH,
			 PLOT_TOP + PLOT_HEIGHT + 14, lh_format_duration((uint64_t)(scale.span_s * 1e9), span));
	put_series(selection, growth, &scale, ret);
	put_trend(growth, &scale, ret);
	lh_buffer_puts(ret, "</g>\n");
}

static void put_svg_region(const struct lh_selection *selection, const struct lh_growth *growth, size_t place,
			   struct lh_buffer *ret)
{
	struct lh_buffer title LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_printf(&title, "%s 0x%llx %s", lh_region_kind_name(growth->kind), (unsigned long long)growth->start,
			 growth->thread_name[0] ? growth->thread_name : growth->name);
	put_panel(selection, growth, title.data ? title.data : "", place, ret);
}

void lh_report_select_svg(const struct lh_select_report *report, struct lh_buffer *ret)
{
	const struct lh_selection *selection = report->selection;
	struct lh_buffer panels LH_CLEANUP(lh_buffer_deinit) = {0};
	size_t place = 1;
	put_panel(selection, &selection->total, report->command[0] ? report->command : "process", 0, &panels);
	for (size_t i = 0; i < selection->growths.count && place < PANELS_MAX; i++) {
		if (selection->growths.items[i].series.count)
			put_svg_region(selection, &selection->growths.items[i], place++, &panels);
	}
	lh_buffer_printf(ret,
			 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
			 "width=\"%d\" height=\"%zu\" font-family=\"sans-serif\" font-size=\"12\">\n",
			 WIDTH, place * PANEL_HEIGHT);
	lh_buffer_puts(ret, "<style>.title{font-weight:bold}.used{fill:none;stroke:#1f5fa8;stroke-width:1.5}"
			    ".trend{stroke:#c0392b;stroke-dasharray:5 4}.frame{fill:none;stroke:#bbb}</style>\n"
			    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
	lh_buffer_append(ret, panels.data ? panels.data : "", panels.length);
	lh_buffer_puts(ret, "</svg>\n");
	ret->failed |= panels.failed;
}

/*
 * report_metrics: selections as OpenMetrics text, which readers of Prometheus' text format also accept: for
 * node_exporter's textfile collector. Gauges only. Source: OpenMetrics 1.0, "Text format".
 */
#include "leakhunt/report.h"

#include <inttypes.h>
#include <string.h>

/* Escapes backslash, quote and newline; other unprintable bytes appear as \xNN, escaped again. */
static void put_label_value(struct lh_buffer *ret, const char *bytes)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_escape(&text, bytes, strlen(bytes));
	ret->failed |= text.failed;
	for (const char *at = text.data ? text.data : ""; *at; at++) {
		if (*at == '"' || *at == '\\')
			lh_buffer_puts(ret, "\\");
		lh_buffer_append(ret, at, 1);
	}
}

static void put_process(struct lh_buffer *ret, const struct lh_watched *watched)
{
	lh_buffer_printf(ret, "{pid=\"%d\",command=\"", (int)watched->pid);
	put_label_value(ret, watched->command);
	lh_buffer_puts(ret, "\"");
}

static void put_family(struct lh_buffer *ret, const char *name, const char *unit, const char *help)
{
	lh_buffer_printf(ret, "# TYPE %s gauge\n", name);
	if (unit)
		lh_buffer_printf(ret, "# UNIT %s %s\n", name, unit);
	lh_buffer_printf(ret, "# HELP %s %s\n", name, help);
}

static void put_metric_sizes(struct lh_buffer *ret, const struct lh_watched *watched, size_t count)
{
	put_family(ret, "leakhunt_private_bytes", "bytes", "Private memory of the process, resident or swapped out.");
	for (size_t i = 0; i < count; i++) {
		lh_buffer_puts(ret, "leakhunt_private_bytes");
		put_process(ret, &watched[i]);
		lh_buffer_printf(ret, "} %" PRIu64 "\n", watched[i].selection->total.private_last_bytes);
	}
}

/* Per second, not per hour: OpenMetrics requires base units. */
static void put_rates(struct lh_buffer *ret, const struct lh_watched *watched, size_t count)
{
	static const char *const bounds[] = {"low", "middle", "high"};
	put_family(ret, "leakhunt_growth_bytes_per_second", NULL,
		   "Theil-Sen slope of private memory with its 95 % interval.");
	for (size_t i = 0; i < count; i++) {
		const struct lh_growth *total = &watched[i].selection->total;
		const double rates[] = {total->rate_low_bytes_per_hour, total->rate_bytes_per_hour,
					total->rate_high_bytes_per_hour};
		for (size_t bound = 0; bound < LH_ARRAY_COUNT(bounds); bound++) {
			lh_buffer_puts(ret, "leakhunt_growth_bytes_per_second");
			put_process(ret, &watched[i]);
			lh_buffer_printf(ret, ",bound=\"%s\"} %.9g\n", bounds[bound], rates[bound] / 3600);
		}
	}
}

static void put_verdicts(struct lh_buffer *ret, const struct lh_watched *watched, size_t count)
{
	put_family(ret, "leakhunt_verdict", NULL, "1 for the current verdict on the growth of private memory.");
	for (size_t i = 0; i < count; i++) {
		for (int verdict = 0; verdict < LH_VERDICT_COUNT; verdict++) {
			lh_buffer_puts(ret, "leakhunt_verdict");
			put_process(ret, &watched[i]);
			lh_buffer_printf(ret, ",verdict=\"%s\"} %d\n", lh_verdict_name((enum lh_verdict)verdict),
					 watched[i].selection->total.verdict == (enum lh_verdict)verdict);
		}
	}
}

static void put_probabilities(struct lh_buffer *ret, const struct lh_watched *watched, size_t count)
{
	put_family(ret, "leakhunt_leak_probability", NULL,
		   "Probability that private memory keeps growing without bound, 0 to 1.");
	for (size_t i = 0; i < count; i++) {
		lh_buffer_puts(ret, "leakhunt_leak_probability");
		put_process(ret, &watched[i]);
		lh_buffer_printf(ret, "} %.4f\n", watched[i].selection->total.probability);
	}
}

static void put_regions(struct lh_buffer *ret, const struct lh_watched *watched, size_t count)
{
	put_family(ret, "leakhunt_suspect_region_bytes", "bytes", "Private memory of regions that are worth a dump.");
	for (size_t i = 0; i < count; i++) {
		const struct lh_selection *selection = watched[i].selection;
		for (size_t j = 0; j < selection->growths.count; j++) {
			const struct lh_growth *growth = &selection->growths.items[j];
			if (!growth->is_suspect)
				continue;
			lh_buffer_puts(ret, "leakhunt_suspect_region_bytes");
			put_process(ret, &watched[i]);
			lh_buffer_printf(ret, ",kind=\"%s\",start=\"0x%" PRIx64 "\",name=\"",
					 lh_region_kind_name(growth->kind), growth->start);
			put_label_value(ret, growth->name);
			lh_buffer_printf(ret, "\"} %" PRIu64 "\n", growth->private_last_bytes);
		}
	}
}

/* Absent for a process that approaches no limit, so that an alert on a small value cannot fire. */
static void put_limits(struct lh_buffer *ret, const struct lh_watched *watched, size_t count)
{
	put_family(ret, "leakhunt_limit_seconds", "seconds",
		   "Time until the process reaches the nearest limit at the current rate.");
	for (size_t i = 0; i < count; i++) {
		if (!watched[i].has_forecast)
			continue;
		lh_buffer_puts(ret, "leakhunt_limit_seconds");
		put_process(ret, &watched[i]);
		lh_buffer_printf(ret, ",limit=\"%s\"} %.9g\n", lh_ceiling_name(watched[i].forecast.ceiling),
				 watched[i].forecast.seconds);
	}
}

/* `is_memory`: holdings in bytes; false: counts. */
static void put_holdings(struct lh_buffer *ret, const struct lh_watched *watched, size_t count, bool is_memory)
{
	const char *name = is_memory ? "leakhunt_held_bytes" : "leakhunt_held";
	put_family(ret, name, is_memory ? "bytes" : NULL,
		   is_memory ? "Memory of the process or its cgroup outside of mappings."
			     : "Other things that the process holds: mappings, threads, descriptors.");
	for (size_t i = 0; i < count; i++) {
		for (int holding = 0; holding < LH_HOLDING_COUNT; holding++) {
			const struct lh_holding_growth *growth = &watched[i].selection->holdings[holding];
			if (!growth->is_known || lh_holding_is_memory((enum lh_holding)holding) != is_memory)
				continue;
			lh_buffer_puts(ret, name);
			put_process(ret, &watched[i]);
			lh_buffer_printf(ret, ",what=\"%s\"} %" PRIu64 "\n", lh_holding_name((enum lh_holding)holding),
					 growth->last);
		}
	}
}

static void put_samples(struct lh_buffer *ret, const struct lh_watched *watched, size_t count)
{
	put_family(ret, "leakhunt_samples", NULL, "Samples that the verdict is based on.");
	for (size_t i = 0; i < count; i++) {
		lh_buffer_puts(ret, "leakhunt_samples");
		put_process(ret, &watched[i]);
		lh_buffer_printf(ret, "} %zu\n", watched[i].selection->sample_count);
	}
}

void lh_report_metrics(const struct lh_watched *watched, size_t count, struct lh_buffer *ret)
{
	put_metric_sizes(ret, watched, count);
	put_rates(ret, watched, count);
	put_verdicts(ret, watched, count);
	put_probabilities(ret, watched, count);
	put_regions(ret, watched, count);
	put_limits(ret, watched, count);
	put_holdings(ret, watched, count, true);
	put_holdings(ret, watched, count, false);
	put_samples(ret, watched, count);
	lh_buffer_puts(ret, "# EOF\n");
}

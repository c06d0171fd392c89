/*
 * The first sentence of a trace without a leak: call stacks that were traced for too short a time are distinguished
 * from judged ones.
 */
#include "leakhunt/report.h"
#include "unit.h"

#include <string.h>

static void add_site(struct lh_trace *trace, enum lh_site_verdict verdict, double live_bytes)
{
	const struct lh_trace_site site = {
		.estimate = {.verdict = verdict, .live_bytes = live_bytes, .live_sample_count = live_bytes > 0},
	};
	assert_success(lh_vec_push(&trace->sites, site));
}

static void put_text(const struct lh_trace *trace, struct lh_buffer *ret)
{
	const struct lh_trace_report report = {.trace = trace, .pid = 1, .command = "made-up", .top = 0};
	lh_buffer_deinit(ret);
	lh_report_trace_text(&report, (struct lh_style){.width = 200}, ret);
}

static void test_too_short_is_said(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_trace trace = {.allocator = LH_ALLOCATOR_GLIBC, .duration_ns = 3 * LH_NS_PER_S + 1};
	add_site(&trace, LH_SITE_FREES, 4096);
	add_site(&trace, LH_SITE_NOT_YET, 0);
	put_text(&trace, &text);
	assert_non_null(strstr(text.data, "\nno leak found in 3.00 s\n"));
	add_site(&trace, LH_SITE_NOT_YET, 2048);
	put_text(&trace, &text);
	assert_non_null(strstr(text.data, "; too short for 1 call stack with 2.00 KiB not yet freed (--for 16s)\n"));
	add_site(&trace, LH_SITE_NOT_YET, 1024);
	put_text(&trace, &text);
	assert_non_null(strstr(text.data, "; too short for 2 call stacks with 3.00 KiB not yet freed (--for 16s)\n"));
	lh_trace_deinit(&trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_short_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

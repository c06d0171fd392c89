/*
 * A redacted hunt: no text of the target is in any of its reports, and what is no text of it still is.
 */
#include "unit.h"

#include "leakhunt/hunt.h"
#include "leakhunt/redact.h"
#include "leakhunt/report.h"

#include <string.h>

static const uint8_t key[LH_REDACT_KEY_BYTES] = "a key of a test";

/* Each is in a field of its own. */
static const char *const secrets[] = {"row-text-of-anna", "row-detail-of-anna", "template-of-anna", "value-of-anna",
				      "thread-of-anna",   "file-of-anna",       "host-of-anna",     "lost-of-anna",
				      "fill-of-anna",     "worker-of-anna",     "held-of-anna"};

static void add_growth_named(struct lh_hunt *hunt, const char *name, const char *thread_name, const char *cause)
{
	struct lh_growth growth = {.name = name,
				   .thread_name = thread_name,
				   .kind = LH_REGION_THREAD_STACK,
				   .region_count = 1,
				   .verdict = LH_VERDICT_LEAK,
				   .is_suspect = true,
				   .private_last_bytes = 4096,
				   .growth_bytes = 4096,
				   .cause = {.word = "file-mapped-again"}};
	snprintf(growth.cause.text, sizeof(growth.cause.text), "%s", cause);
	assert_success(lh_vec_push(&hunt->selection.growths, growth));
}

static void fill_mappings(struct lh_hunt *hunt)
{
	hunt->has_selection = true;
	hunt->selection.total.name = hunt->selection.total.thread_name = "";
	snprintf(hunt->selection.held_name, sizeof(hunt->selection.held_name), "held-of-anna");
	add_growth_named(hunt, "/home/file-of-anna", "", "the file file-of-anna is mapped again and again");
	add_growth_named(hunt, "", "thread-of-anna", "stacks");
	add_growth_named(hunt, "/usr/lib/libkept.so.1", "", "a library");
	hunt->suspect = &hunt->selection.growths.items[0];
	hunt->has_cause = true;
	hunt->cause = hunt->suspect->cause;
	struct lh_hunt_owner owner = {.name = "Stacks", .note = "", .bytes = 8192};
	assert_success(
		lh_vec_push(&owner.fills,
			    ((struct lh_hunt_fill){
				    .family = "", .name = "thread-of-anna", .detail = "thread-stack", .bytes = 4096})));
	assert_success(lh_vec_push(
		&owner.fills,
		((struct lh_hunt_fill){
			.family = "Python", .name = "KeptClass", .detail = "fill-of-anna", .bytes = 4096})));
	assert_success(lh_vec_push(&hunt->owners.items, owner));
	hunt->owners.bytes = 8192;
}

static void fill_contents(struct lh_hunt *hunt)
{
	hunt->is_comparison = hunt->has_diff = true;
	hunt->rows[0] = (struct lh_hunt_row){.kind = LH_HUNT_ROW_OBJECTS,
					     .family = "C++",
					     .name = "KeptClass",
					     .detail = "row-detail-of-anna",
					     .count = 2};
	hunt->rows[1] = (struct lh_hunt_row){
		.kind = LH_HUNT_ROW_TEXTS, .family = "", .name = "row-text-of-anna", .detail = "", .count = 2};
	hunt->row_count = 2;
	struct lh_diff_row row = {
		.family = "", .name = "template-of-anna", .detail = "", .after_count = 9, .after_bytes = 90};
	assert_success(lh_vec_push(&hunt->diff.kinds[LH_DIFF_TEMPLATES].rows, row));
	row.name = "template-of-anna";
	assert_success(lh_vec_push(&hunt->diff.kinds[LH_DIFF_TEXTS].rows, row));
	row = (struct lh_diff_row){.family = "C++", .name = "KeptClass", .detail = "value-of-anna", .after_count = 9};
	assert_success(lh_vec_push(&hunt->diff.kinds[LH_DIFF_OBJECTS].rows, row));
}

static void fill_reach(struct lh_hunt *hunt)
{
	struct lh_hunt_reach *reach = &hunt->reach;
	reach->is_known = true;
	snprintf(reach->holder, sizeof(reach->holder), "stack of thread 7 (worker-of-anna)");
	reach->leaks.count = 1;
	assert_success(
		lh_vec_push(&reach->leaks.rows.rows,
			    ((struct lh_heap_group){.kind = "", .name = "KeptClass", .detail = "lost-of-anna"})));
	assert_success(lh_vec_push(&reach->leaks.groups, ((struct lh_leak_group){.status = LH_LEAK_LOST, .count = 1})));
	assert_success(
		lh_vec_push(&reach->holders.items, ((struct lh_holder){.root = "stack of thread 7 (worker-of-anna)",
								       .name = "",
								       .element_name = "KeptClass",
								       .grown_bytes = 4096})));
}

/* All reports of a hunt, one after the other. */
static void write_reports(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_report_hunt_html(hunt, ret);
	lh_report_hunt_json(hunt, ret);
	lh_report_hunt_text(hunt, (struct lh_style){0}, ret);
	assert_success(lh_buffer_status(ret));
}

static void test_no_text_of_the_target_is_left(void **state)
{
	(void)state;
	struct lh_hunt hunt LH_CLEANUP(lh_hunt_deinit) = {.held = LH_HOLDING_COUNT, .why = LH_HUNT_WHY_IN_USE};
	struct lh_buffer plain LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer redacted LH_CLEANUP(lh_buffer_deinit) = {0};
	snprintf(hunt.host, sizeof(hunt.host), "host-of-anna");
	fill_mappings(&hunt);
	fill_contents(&hunt);
	fill_reach(&hunt);
	write_reports(&hunt, &plain);
	assert_success(lh_report_redact_hunt(&hunt, key));
	write_reports(&hunt, &redacted);
	size_t shown = 0;
	for (size_t i = 0; i < LH_ARRAY_COUNT(secrets); i++) {
		shown += strstr(plain.data, secrets[i]) != NULL;
		if (strstr(redacted.data, secrets[i]))
			fail_msg("%s is left", secrets[i]);
	}
	/* Names that no report shows prove nothing. */
	assert_true(shown >= LH_ARRAY_COUNT(secrets) - 1);
	assert_null(strstr(redacted.data, "-anna"));
	assert_non_null(strstr(redacted.data, "KeptClass"));
	assert_non_null(strstr(redacted.data, "stack of thread 7"));
	/* Equal texts stay equal, of the same length. */
	const char *template = hunt.diff.kinds[LH_DIFF_TEMPLATES].rows.items[0].name;
	assert_string_equal(template, hunt.diff.kinds[LH_DIFF_TEXTS].rows.items[0].name);
	assert_int_equal(strlen(template), strlen("template-of-anna"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_text_of_the_target_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

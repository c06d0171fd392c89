/*
 * test_hunt_answers: what a hunt says from made-up samples: sums over regions that grow alike, the caveat, what to do,
 * steps that were impossible, and what the files take up.
 */
#include "unit.h"

#include "hunt/hunt.h"
#include "leakhunt/limits.h"
#include "leakhunt/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROWTHS = 4 };

struct made_up {
	struct lh_hunt hunt;
	struct lh_buffer text;
};

static struct lh_growth growth_of(enum lh_region_kind kind, const char *cause, double rate)
{
	return (struct lh_growth){.kind = kind,
				  .name = "",
				  .thread_name = "",
				  .region_count = 1,
				  .growth_bytes = (int64_t)rate / 100,
				  .rate_bytes_per_hour = rate,
				  .rate_low_bytes_per_hour = rate / 2,
				  .rate_high_bytes_per_hour = rate * 2,
				  .probability = 0.97,
				  .verdict = LH_VERDICT_LEAK,
				  .is_suspect = true,
				  .cause = {.word = cause, .text = "a cause"}};
}

static void made_up_init(struct made_up *made_up)
{
	memset(made_up, 0, sizeof(*made_up));
	struct lh_hunt *hunt = &made_up->hunt;
	hunt->pid = 4711;
	memcpy(hunt->command, "proxy", 6);
	hunt->has_selection = true;
	hunt->is_firm = true;
	hunt->held = LH_HOLDING_COUNT;
	hunt->selection.span_ns = 30 * LH_NS_PER_S;
	hunt->selection.total = growth_of(LH_REGION_ANON, NULL, 9000000);
}

static void add_to_selection(struct made_up *made_up, struct lh_growth growth)
{
	assert_success(lh_vec_reserve(&made_up->hunt.selection.growths, GROWTHS));
	assert_success(lh_vec_push(&made_up->hunt.selection.growths, growth));
	made_up->hunt.suspect = made_up->hunt.selection.growths.items;
	made_up->hunt.has_cause = true;
	made_up->hunt.cause = made_up->hunt.suspect->cause;
}

static void made_up_deinit(struct made_up *made_up)
{
	lh_buffer_deinit(&made_up->text);
	lh_hunt_deinit(&made_up->hunt);
}

static const char *text_of(struct made_up *made_up)
{
	lh_report_hunt_text(&made_up->hunt, (struct lh_style){0}, &made_up->text);
	assert_success(lh_buffer_status(&made_up->text));
	return made_up->text.data;
}

static void assert_says(struct made_up *made_up, const char *words)
{
	const char *text = text_of(made_up);
	if (!strstr(text, words))
		fail_msg("'%s' is not in:\n%s", words, text);
}

/* ---------------------------------------------------------------- the headline */

static void test_three_arenas_are_one_answer(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	for (int i = 0; i < 3; i++)
		add_to_selection(&made_up, growth_of(LH_REGION_ARENA, "thread-arenas", 1024.0 * 1024));
	add_to_selection(&made_up, growth_of(LH_REGION_ANON, "anonymous", 4096));
	lh_hunt_add_alike(&made_up.hunt);
	assert_int_equal(made_up.hunt.alike.count, 3);
	assert_int_equal(made_up.hunt.alike.region_count, 3);
	assert_true(made_up.hunt.alike.rate_bytes_per_hour == 3.0 * 1024 * 1024);
	assert_true(made_up.hunt.alike.rate_low_bytes_per_hour == 1.5 * 1024 * 1024);
	assert_says(&made_up, "% of that in arena x3: a cause\n");
}

/* The sum of all, what is found of it, and the forecast, which is of the sum. */
static void test_head_and_forecast_are_of_the_process(void **state)
{
	(void)state;
	const double mib = 1024.0 * 1024;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_to_selection(&made_up, growth_of(LH_REGION_HEAP, "brk-heap", 600 * mib));
	add_to_selection(&made_up, growth_of(LH_REGION_PYMALLOC, "python-pools", 400 * mib));
	made_up.hunt.selection.growths.items[1].verdict = LH_VERDICT_UNDECIDED;
	made_up.hunt.selection.total = growth_of(LH_REGION_ANON, NULL, 1000 * mib);
	made_up.hunt.selection.has_ceilings = true;
	for (int i = 0; i < LH_CEILING_COUNT; i++)
		made_up.hunt.selection.ceilings.left[i] = LH_NO_LIMIT;
	made_up.hunt.selection.ceilings.left[LH_CEILING_MACHINE_MEMORY] = (uint64_t)(5000 * mib);
	lh_hunt_add_alike(&made_up.hunt);
	struct lh_forecast forecast;
	assert_true(lh_forecast_end(&made_up.hunt.selection, &forecast));
	assert_true(made_up.hunt.whole.rate_bytes_per_hour == 1000 * mib);
	assert_float_equal(forecast.seconds, 5 * 3600.0, 1);
	assert_says(&made_up, "proxy (pid 4711): leaks +1000 MiB/h\n");
	assert_says(&made_up, "the process (leak");
	assert_says(&made_up, "60 % of that in heap: a cause");
	/* Other memory shrinks: the part grows by more than the sum. */
	made_up.hunt.selection.total = growth_of(LH_REGION_ANON, NULL, 500 * mib);
	lh_hunt_add_alike(&made_up.hunt);
	lh_buffer_deinit(&made_up.text);
	assert_says(&made_up, "leaks +500 MiB/h\n");
	assert_says(&made_up, "more than that, while other memory shrinks, in heap: a cause");
	/* The sum is not decided: what leaks for sure is the growth, also of the forecast. */
	made_up.hunt.selection.total.verdict = LH_VERDICT_SAWTOOTH;
	made_up.hunt.selection.total.rate_bytes_per_hour = 5 * mib;
	lh_hunt_add_alike(&made_up.hunt);
	assert_true(lh_forecast_end(&made_up.hunt.selection, &forecast));
	assert_float_equal(forecast.seconds * made_up.hunt.whole.rate_bytes_per_hour / 3600, 5000 * mib, mib);
	lh_buffer_deinit(&made_up.text);
	assert_says(&made_up, "leaks +600 MiB/h\n");
	assert_says(&made_up, "all regions that leak (leak");
	assert_says(&made_up, "100 % of that in heap: a cause");
}

static void test_what_is_not_firm_is_no_leak(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_to_selection(&made_up, growth_of(LH_REGION_HEAP, "brk-heap", 9000000));
	lh_hunt_add_alike(&made_up.hunt);
	assert_says(&made_up, "proxy (pid 4711): leaks +8.58 MiB/h\n");
	made_up.hunt.is_firm = false;
	lh_hunt_weigh(&made_up.hunt);
	assert_true(made_up.hunt.confidences[LH_HUNT_DOES_IT_GROW].level <= 2);
	lh_buffer_deinit(&made_up.text);
	assert_says(&made_up, "proxy (pid 4711): may grow +8.58 MiB/h (95 %: +4.29 MiB to +17.2 MiB)\n");
	assert_says(&made_up, "the process (leak, not firm, chance");
	assert_null(strstr(made_up.text.data, "leaks"));
	/* Its interval contains no growth at all. */
	made_up.hunt.is_firm = true;
	made_up.hunt.selection.total.rate_low_bytes_per_hour = 0;
	made_up.hunt.selection.growths.items[0].rate_low_bytes_per_hour = 0;
	lh_hunt_add_alike(&made_up.hunt);
	lh_buffer_deinit(&made_up.text);
	assert_says(&made_up, "proxy (pid 4711): may grow +8.58 MiB/h (95 %: 0 B to +17.2 MiB)\n");
	assert_null(strstr(made_up.text.data, "leaks"));
}

static void test_other_causes_do_not_add_up(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_to_selection(&made_up, growth_of(LH_REGION_ANON, "ended-threads", 1024.0 * 1024));
	add_to_selection(&made_up, growth_of(LH_REGION_ANON, "anonymous", 1024.0 * 1024));
	struct lh_growth quiet = growth_of(LH_REGION_ANON, "ended-threads", 1024.0 * 1024);
	quiet.is_suspect = false;
	add_to_selection(&made_up, quiet);
	lh_hunt_add_alike(&made_up.hunt);
	assert_int_equal(made_up.hunt.alike.count, 1);
	assert_says(&made_up, "% of that in anon: a cause");
}

static void test_without_a_suspect_the_process_counts(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	lh_hunt_add_alike(&made_up.hunt);
	assert_int_equal(made_up.hunt.alike.count, 0);
	assert_true(made_up.hunt.alike.rate_bytes_per_hour == 9000000);
}

/* The process leaks; of its parts, none is decided. */
static void test_a_decided_process_is_the_answer(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	struct lh_growth open = growth_of(LH_REGION_HEAP, "brk-heap", 1024.0 * 1024);
	open.verdict = LH_VERDICT_UNDECIDED;
	add_to_selection(&made_up, open);
	lh_hunt_add_alike(&made_up.hunt);
	assert_ptr_equal(lh_hunt_main_growth(&made_up.hunt), &made_up.hunt.selection.total);
	assert_says(&made_up, "proxy (pid 4711): leaks");
	assert_says(&made_up, "of that in heap (undecided by itself): a cause");
	made_up.hunt.selection.total.verdict = LH_VERDICT_UNDECIDED;
	assert_ptr_equal(lh_hunt_main_growth(&made_up.hunt), made_up.hunt.suspect);
	lh_buffer_deinit(&made_up.text);
	assert_says(&made_up, "proxy (pid 4711): may grow");
}

/* ---------------------------------------------------------------- why it stays */

static void test_who_holds_what_is_not_lost(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_to_selection(&made_up, growth_of(LH_REGION_HEAP, "brk-heap", 9000000));
	made_up.hunt.why = LH_HUNT_WHY_IN_USE;
	made_up.hunt.is_comparison = true;
	for (int side = 0; side < LH_HUNT_SIDES; side++)
		made_up.hunt.heaps[side].is_known = true;
	made_up.hunt.heaps[LH_HUNT_AFTER].used_bytes = 4000;
	made_up.hunt.reach = (struct lh_hunt_reach){.is_known = true,
						    .new_count = 40,
						    .new_bytes = 4000,
						    .root_bytes = 3000,
						    .root = "global db in broker"};
	assert_says(&made_up,
		    "none of it lost: all still reachable, 75 % of 40 new blocks from global db in broker; no "
		    "single block holds most of it\n");
	assert_null(strstr(made_up.text.data, "is not known"));
	/* A holder of some of it is named as that. */
	made_up.hunt.reach.lost_growth_bytes = 1024;
	memcpy(made_up.hunt.reach.holder, "global g_list", 14);
	memcpy(made_up.hunt.reach.shape, "list", 5);
	made_up.hunt.reach.holder_growth_bytes = 1024;
	lh_buffer_deinit(&made_up.text);
	assert_says(&made_up, "1.00 KiB of it lost, the rest still reachable");
	assert_says(&made_up, "; the largest holder is global g_list (list, +1.00 KiB)");
	/* Without marks, nothing is known. */
	made_up.hunt.reach.is_known = false;
	lh_buffer_deinit(&made_up.text);
	assert_says(&made_up, "whether it is lost or still held is not known");
}

/* ---------------------------------------------------------------- the caveat */

static void test_a_cache_that_fills_is_not_excluded(void **state)
{
	(void)state;
	static const struct {
		enum lh_hunt_why why;
		bool has_caveat;
	} rows[] = {{LH_HUNT_WHY_IN_USE, true},        {LH_HUNT_WHY_REFERENCED, true}, {LH_HUNT_WHY_COLLECTOR, true},
		    {LH_HUNT_WHY_NOT_RELEASED, false}, {LH_HUNT_WHY_RUNNING, false},   {LH_HUNT_WHY_FREED, false},
		    {LH_HUNT_WHY_NO_GROWTH, false},    {LH_HUNT_WHY_UNKNOWN, false}};
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_to_selection(&made_up, growth_of(LH_REGION_HEAP, "brk-heap", 1024.0 * 1024));
	made_up.hunt.selection.evidence[LH_EVIDENCE_AGE] =
		(struct lh_evidence_row){.is_known = true, .text = "the process had run for 2d before"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(rows); i++) {
		made_up.hunt.why = rows[i].why;
		lh_hunt_caution(&made_up.hunt);
		assert_int_equal(*made_up.hunt.caveat != '\0', rows[i].has_caveat);
	}
	made_up.hunt.why = LH_HUNT_WHY_IN_USE;
	lh_hunt_caution(&made_up.hunt);
	assert_says(&made_up,
		    "a cache that still fills looks the same (chance of a leak: 97 %, after 30.0 s; the process "
		    "had run for 2d before)");
	assert_says(&made_up, "leakhunt watch 4711");
	/* Of lost blocks nobody makes use. */
	made_up.hunt.reach = (struct lh_hunt_reach){.is_known = true, .lost_growth_bytes = 600};
	made_up.hunt.heaps[LH_HUNT_AFTER].used_bytes = 1000;
	lh_hunt_caution(&made_up.hunt);
	assert_string_equal(made_up.hunt.caveat, "");
	/* They are less than half: what is held may be a cache. */
	made_up.hunt.reach.lost_growth_bytes = 400;
	lh_hunt_caution(&made_up.hunt);
	assert_string_not_equal(made_up.hunt.caveat, "");
}

/* ---------------------------------------------------------------- what to do */

/* A row's names as an object of that type has them: the pattern of GLib stands for all. */
static void test_each_counterpart_is_found_and_said(void **state)
{
	(void)state;
	size_t count;
	const struct lh_counterpart *all = lh_counterparts(&count);
	assert_true(count >= 30);
	for (size_t i = 0; i < count; i++) {
		struct made_up made_up LH_CLEANUP(made_up_deinit);
		made_up_init(&made_up);
		add_to_selection(&made_up, growth_of(LH_REGION_HEAP, "brk-heap", 1024.0 * 1024));
		const char *name = strcmp(all[i].object, "*") == 0 ? "GtkLabel" : all[i].object;
		made_up.hunt.counterpart = *all[i].family ? lh_counterpart_of_object(all[i].family, name)
							  : lh_counterpart_of_cause(all[i].object);
		assert_ptr_equal(made_up.hunt.counterpart, &all[i]);
		assert_true(*all[i].acquire && *all[i].source && strstr(all[i].release, ")"));
		lh_hunt_advise(&made_up.hunt);
		assert_non_null(strstr(made_up.hunt.advice, all[i].acquire));
		assert_non_null(strstr(made_up.hunt.advice, all[i].release));
		assert_string_equal(made_up.hunt.advice_source, all[i].source);
		/* Nothing is cut. */
		assert_true(!*all[i].advice || strstr(made_up.hunt.advice, all[i].advice));
	}
	assert_null(lh_counterpart_of_object("OpenSSL", "no such type"));
	assert_null(lh_counterpart_of_object("", "SSL"));
	assert_null(lh_counterpart_of_cause(""));
}

static void add_grown(struct made_up *made_up, const char *name, uint64_t count, uint64_t bytes)
{
	struct lh_diff_row row = {
		.family = "libxml2", .name = name, .detail = "", .after_count = count, .after_bytes = bytes};
	assert_success(lh_vec_push(&made_up->hunt.diff.kinds[LH_DIFF_OBJECTS].rows, row));
}

static void explain_grown(struct made_up *made_up)
{
	static const struct lh_size_table sizes[LH_HUNT_SIDES];
	made_up->hunt.has_diff = made_up->hunt.is_comparison = true;
	lh_hunt_explain(&made_up->hunt, sizes);
}

/* Of large documents there are far fewer than of their nodes. */
static void test_nodes_of_documents_are_a_part_of_them(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_grown(&made_up, "xmlNode", 90000, 9000000);
	add_grown(&made_up, "xmlAttr", 20000, 2000000);
	add_grown(&made_up, "xmlDoc", 30, 5000);
	explain_grown(&made_up);
	assert_string_equal(made_up.hunt.rows[0].name, "xmlDoc");
	assert_string_equal(made_up.hunt.counterpart->release, "xmlFreeDoc()");
	assert_int_equal(made_up.hunt.owned_bytes, 11005000);
	assert_false(made_up.hunt.rows[0].is_counted);
	assert_true(made_up.hunt.rows[1].is_counted && made_up.hunt.rows[2].is_counted);
	assert_says(&made_up, "+8.58 MiB, counted in the first row");
}

static void test_more_than_the_pages_that_grew(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_grown(&made_up, "Session", 100, 11000000);
	explain_grown(&made_up);
	made_up.hunt.compared_bytes = 12000000;
	assert_null(strstr(text_of(&made_up), "never written"));
	made_up.hunt.compared_bytes = 10000000;
	assert_says(&made_up, "; the rest of their bytes is in pages never written, or there before)");
}

static void test_unlinked_nodes_need_their_own_free(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	add_grown(&made_up, "xmlNode", 9000, 900000);
	add_grown(&made_up, "unlinked xmlNode", 300, 30000);
	add_grown(&made_up, "xmlDoc", 1, 160);
	explain_grown(&made_up);
	assert_string_equal(made_up.hunt.counterpart->release, "xmlFreeNode()");
}

static void test_advice_of_runtimes_names_the_process(void **state)
{
	(void)state;
	static const struct {
		const char *cause;
		enum lh_hunt_why why;
		const char *words;
	} rows[] = {
		{"jvm-heap", LH_HUNT_WHY_COLLECTOR, "jcmd 4711 GC.class_histogram"},
		{"v8-heap", LH_HUNT_WHY_COLLECTOR, "kill -USR1 4711"},
		{"go-heap", LH_HUNT_WHY_COLLECTOR, "/debug/pprof/heap"},
		{"python-pools", LH_HUNT_WHY_REFERENCED, "tracemalloc"},
		{"brk-heap", LH_HUNT_WHY_REFERENCED, "tracemalloc"}, /* of CPython with malloc */
		{"thread-stacks", LH_HUNT_WHY_RUNNING, "gdb -p 4711"},
		{"brk-heap", LH_HUNT_WHY_IN_USE, "leakhunt trace 4711"},
		{"brk-heap", LH_HUNT_WHY_FREED, "MALLOC_ARENA_MAX"},
		{"brk-heap", LH_HUNT_WHY_NO_GROWTH, "leakhunt watch 4711 --save week.jsonl"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(rows); i++) {
		struct made_up made_up LH_CLEANUP(made_up_deinit);
		made_up_init(&made_up);
		add_to_selection(&made_up, growth_of(LH_REGION_HEAP, rows[i].cause, 1024.0 * 1024));
		made_up.hunt.why = rows[i].why;
		lh_hunt_advise(&made_up.hunt);
		if (!strstr(made_up.hunt.advice, rows[i].words))
			fail_msg("'%s' is not in: %s", rows[i].words, made_up.hunt.advice);
		assert_null(strchr(made_up.hunt.advice, '%'));
	}
}

/* ---------------------------------------------------------------- steps */

static void test_steps_that_were_impossible_are_said(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	for (int step = 0; step < LH_HUNT_STEP_COUNT; step++)
		lh_hunt_step_note(&made_up.hunt, (enum lh_hunt_step)step, LH_HUNT_DONE, "%s", "");
	assert_true(lh_hunt_is_complete(&made_up.hunt));
	struct lh_error *error =
		lh_error_hint(lh_error_create(LH_ERROR_PERMISSION, "it may not be stopped"), "be root");
	lh_hunt_step_fail(&made_up.hunt, LH_HUNT_DUMP_BEFORE, error);
	for (int step = LH_HUNT_GROW; step < LH_HUNT_STEP_COUNT; step++)
		lh_hunt_step_note(&made_up.hunt, (enum lh_hunt_step)step, LH_HUNT_NOT_REACHED,
				  "there is no first dump");
	assert_false(lh_hunt_is_complete(&made_up.hunt));
	assert_says(&made_up, "dump before (failed): it may not be stopped; be root");
	assert_says(&made_up, "wait for growth (skipped): there is no first dump");
	assert_null(strstr(made_up.text.data, "dump after"));
	/* Without growth, no dump is missing. */
	for (int step = LH_HUNT_DUMP_BEFORE; step < LH_HUNT_STEP_COUNT; step++)
		lh_hunt_step_note(&made_up.hunt, (enum lh_hunt_step)step, LH_HUNT_NOT_REACHED, "nothing grows");
	made_up.hunt.why = LH_HUNT_WHY_NO_GROWTH;
	assert_true(lh_hunt_is_complete(&made_up.hunt));
	/* Ctrl-C is no failure. */
	lh_hunt_step_fail(&made_up.hunt, LH_HUNT_WATCH, lh_error_create(LH_ERROR_INTERRUPTED, "interrupted"));
	assert_int_equal(made_up.hunt.steps[LH_HUNT_WATCH].outcome, LH_HUNT_CUT_SHORT);
}

static void test_nothing_but_a_missing_record(void **state)
{
	(void)state;
	struct lh_hunt hunt LH_CLEANUP(lh_hunt_deinit) = {0};
	assert_success(lh_hunt_load(NULL, NULL, NULL, &hunt));
	assert_success(lh_hunt_conclude(&hunt, &(struct lh_hunt_options){0}));
	assert_int_equal(hunt.why, LH_HUNT_WHY_UNKNOWN);
	assert_int_equal(hunt.confidences[LH_HUNT_DOES_IT_GROW].level, 0);
	assert_false(lh_hunt_is_complete(&hunt));
	lh_hunt_measure_disk(&hunt);
	assert_int_equal(hunt.disk_bytes, 0);
}

/* ---------------------------------------------------------------- the receipt */

static void write_bytes(const char *folder, const char *name, size_t bytes)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	for (size_t i = 0; i < bytes; i++)
		assert_int_not_equal(fputc('x', file), EOF);
	assert_int_equal(fclose(file), 0);
}

static void test_the_receipt_counts_what_is_on_disk(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	char folder[] = "/tmp/leakhunt-unit.XXXXXX", path[128];
	struct stat status;
	assert_non_null(mkdtemp(folder));
	made_up_init(&made_up);
	made_up.hunt.folder = strdup(folder);
	write_bytes(folder, "record.jsonl", 70000);
	write_bytes(folder, "report.json", 100);
	snprintf(path, sizeof(path), "%s/record.jsonl", folder);
	assert_int_equal(stat(path, &status), 0);
	uint64_t bytes = (uint64_t)status.st_blocks * 512;
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/report.json", folder);
	assert_int_equal(stat(path, &status), 0);
	lh_hunt_measure_disk(&made_up.hunt);
	assert_int_equal(made_up.hunt.disk_bytes, (uint64_t)status.st_blocks * 512);
	write_bytes(folder, "record.jsonl", 70000);
	lh_hunt_measure_disk(&made_up.hunt);
	assert_int_equal(made_up.hunt.disk_bytes, bytes + (uint64_t)status.st_blocks * 512);
	assert_null(strstr(text_of(&made_up), " 0 B on disk"));
	assert_says(&made_up, "never stopped; 0 samples");
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/record.jsonl", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_a_longer_pause_is_said(void **state)
{
	(void)state;
	struct made_up made_up LH_CLEANUP(made_up_deinit);
	made_up_init(&made_up);
	made_up.hunt.folder = strdup("a folder");
	made_up.hunt.has_receipt[LH_HUNT_AFTER] = true;
	made_up.hunt.receipts[LH_HUNT_AFTER].pause_ns = 25 * LH_NS_PER_MS;
	made_up.hunt.max_pause_ns = 25 * LH_NS_PER_MS;
	assert_says(&made_up, "stopped 1 time, 25.0 ms at most; ");
	lh_buffer_deinit(&made_up.text);
	made_up.hunt.max_pause_ns = 10 * LH_NS_PER_MS;
	assert_says(&made_up, "stopped 1 time, 25.0 ms at most, longer than the 10.0 ms of --max-pause; ");
}

/* ---------------------------------------------------------------- saved files */

static void test_dumps_beside_a_record_are_found(void **state)
{
	(void)state;
	char folder[] = "/tmp/leakhunt-unit.XXXXXX", record[64], after[64];
	char *paths[LH_HUNT_SIDES];
	assert_non_null(mkdtemp(folder));
	write_bytes(folder, "after.core", 1);
	snprintf(record, sizeof(record), "%s/record.jsonl", folder);
	snprintf(after, sizeof(after), "%s/after.core", folder);
	assert_success(lh_hunt_find_dumps(record, paths));
	assert_null(paths[LH_HUNT_BEFORE]);
	assert_string_equal(paths[LH_HUNT_AFTER], after);
	free(paths[LH_HUNT_AFTER]);
	assert_int_equal(unlink(after), 0);
	assert_success(lh_hunt_find_dumps(record, paths));
	assert_null(paths[LH_HUNT_AFTER]);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_arenas_are_one_answer),
		cmocka_unit_test(test_other_causes_do_not_add_up),
		cmocka_unit_test(test_without_a_suspect_the_process_counts),
		cmocka_unit_test(test_a_cache_that_fills_is_not_excluded),
		cmocka_unit_test(test_each_counterpart_is_found_and_said),
		cmocka_unit_test(test_nodes_of_documents_are_a_part_of_them),
		cmocka_unit_test(test_more_than_the_pages_that_grew),
		cmocka_unit_test(test_unlinked_nodes_need_their_own_free),
		cmocka_unit_test(test_advice_of_runtimes_names_the_process),
		cmocka_unit_test(test_steps_that_were_impossible_are_said),
		cmocka_unit_test(test_nothing_but_a_missing_record),
		cmocka_unit_test(test_the_receipt_counts_what_is_on_disk),
		cmocka_unit_test(test_a_longer_pause_is_said),
		cmocka_unit_test(test_dumps_beside_a_record_are_found),
		cmocka_unit_test(test_a_decided_process_is_the_answer),
		cmocka_unit_test(test_head_and_forecast_are_of_the_process),
		cmocka_unit_test(test_what_is_not_firm_is_no_leak),
		cmocka_unit_test(test_who_holds_what_is_not_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

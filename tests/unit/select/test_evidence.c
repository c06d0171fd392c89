/*
 * test_evidence: what is known beside the curve changes a verdict as it should, is named in the reason, and survives a
 * record. Curves are straight lines, so that nothing but the evidence differs.
 */
#include "unit.h"

#include "select/verdict.h"

#include <math.h>

#define KIB 1024.0

enum { COUNT = 40 };

static double line_seconds[COUNT], line_bytes[COUNT];

/* 100 KiB a second, under noise that is small enough for a leak and large enough for doubt. */
static struct lh_series make_line(size_t count)
{
	uint64_t seed = 3;
	for (size_t i = 0; i < count; i++) {
		line_seconds[i] = (double)i;
		line_bytes[i] =
			4096 *
			floor((10000 * KIB + 100 * KIB * (double)i + 0.6 * KIB * (double)(unit_random(&seed) % 1000)) /
			      4096);
	}
	return (struct lh_series){line_seconds, line_bytes, count};
}

static struct lh_judgement judge_line(size_t count, const struct lh_circumstances *about)
{
	struct lh_judgement judgement;
	assert_success(lh_judge(make_line(count), about, &judgement));
	return judgement;
}

static void test_age(void **state)
{
	(void)state;
	struct lh_circumstances young = {.age_s = 0.5}, old = {.age_s = 86400};
	struct lh_judgement of_young = judge_line(COUNT, &young), of_old = judge_line(COUNT, &old);
	assert_int_equal(of_old.verdict, LH_VERDICT_LEAK);
	assert_true(of_young.probability < of_old.probability);
	assert_true(of_young.evidence[LH_EVIDENCE_AGE].weight < 0);
	assert_non_null(strstr(of_young.evidence[LH_EVIDENCE_AGE].text, "warm-up"));
	/* The weights are all that the probability is made of. */
	double logit = 0;
	for (int i = 0; i < LH_EVIDENCE_COUNT; i++)
		logit += of_young.evidence[i].weight;
	assert_true(fabs(1 / (1 + exp(-logit)) - of_young.probability) < 1e-9);
}

static void test_few_samples(void **state)
{
	(void)state;
	struct lh_circumstances old = {.age_s = 86400};
	for (size_t i = 0; i < COUNT; i++) {
		line_seconds[i] = (double)i;
		line_bytes[i] = 1e8 + 409600 * (double)i;
	}
	struct lh_judgement judgement;
	double before = 0;
	for (size_t count = 10; count <= COUNT; count += 10) {
		assert_success(lh_judge((struct lh_series){line_seconds, line_bytes, count}, &old, &judgement));
		assert_true(judgement.probability > before);
		assert_int_equal(judgement.verdict, LH_VERDICT_LEAK);
		assert_true(judgement.probability <= lh_evidence_most(count) + 1e-9);
		before = judgement.probability;
	}
	assert_success(lh_judge((struct lh_series){line_seconds, line_bytes, 10}, &old, &judgement));
	assert_true(judgement.probability <= 0.76);
}

static void test_use(void **state)
{
	(void)state;
	struct lh_circumstances about = {.age_s = 86400,
					 .has_use = true,
					 .all_growth = 4000 * KIB,
					 .heap_growth = 4000 * KIB,
					 .used_growth = 3900 * KIB};
	struct lh_judgement used = judge_line(COUNT, &about);
	assert_int_equal(used.verdict, LH_VERDICT_LEAK);
	about.used_growth = 80 * KIB;
	struct lh_judgement unused = judge_line(COUNT, &about);
	assert_int_equal(unused.verdict, LH_VERDICT_UNDECIDED);
	assert_non_null(strstr(unused.reason, "fragmentation"));
	/* Growth that the allocators do not own is not judged by them. */
	about.heap_growth = 100 * KIB;
	assert_int_equal(judge_line(COUNT, &about).verdict, LH_VERDICT_LEAK);
}

static void test_fixed_size(void **state)
{
	(void)state;
	struct lh_circumstances about = {.age_s = 86400, .fixed_share = 0.95, .full_s = 20};
	struct lh_judgement filling = judge_line(COUNT, &about);
	assert_int_equal(filling.verdict, LH_VERDICT_UNDECIDED);
	assert_true(filling.probability <= 0.5);
	assert_non_null(strstr(filling.reason, "fixed size"));
	about.full_s = 3600;
	assert_int_equal(judge_line(COUNT, &about).verdict, LH_VERDICT_LEAK);
}

/* The probability that a straight line is a leak where `heap` is a collector's, beside it. */
static double judge_collected(const uint64_t *heap)
{
	struct lh_circumstances about = {
		.age_s = 86400, .collector = "V8's heap", .collector_range = 2, .collected = heap};
	return judge_line(COUNT, &about).probability;
}

static void test_collector(void **state)
{
	(void)state;
	uint64_t slow[COUNT], fast[COUNT], sawtooth[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		slow[i] = 1024 * (8000 + 4000 * i / COUNT);
		fast[i] = 1024 * (2000 + 10000 * i / COUNT);
		sawtooth[i] = i % 10 == 9 ? fast[i] - UINT64_C(2000) * 1024 : fast[i];
	}
	double unseen = judge_collected(slow), grown = judge_collected(fast), seen = judge_collected(sawtooth);
	assert_true(unseen < grown);
	assert_true(unseen < 0.85);
	assert_true(grown < seen);
}

static void test_work(void **state)
{
	(void)state;
	double even[COUNT], uneven[COUNT], values[COUNT], seconds[COUNT];
	struct lh_judgement judgement;
	/* Requests come in waves, and each leaks 1 KiB. */
	for (size_t i = 0; i < COUNT; i++) {
		seconds[i] = (double)i;
		even[i] = 100 * (double)i;
		uneven[i] = i ? uneven[i - 1] + 20 + 160 * (double)(i / 5 % 2) : 0;
		values[i] = 4096 * floor((10000 * KIB + KIB * uneven[i]) / 4096);
	}
	struct lh_series series = {seconds, values, COUNT};
	struct lh_circumstances about = {.age_s = 86400, .counters = uneven};
	assert_success(lh_judge(series, &about, &judgement));
	assert_true(judgement.evidence[LH_EVIDENCE_WORK].weight > 1);
	about.counters = even;
	assert_success(lh_judge(series, &about, &judgement));
	assert_true(judgement.evidence[LH_EVIDENCE_WORK].weight == 0);
	/* The same waves, and a growth that knows nothing of them. */
	about.counters = uneven;
	assert_success(lh_judge(make_line(COUNT), &about, &judgement));
	assert_true(judgement.evidence[LH_EVIDENCE_WORK].weight < 0.5);
}

static void test_resolution(void **state)
{
	(void)state;
	struct lh_judgement judgement;
	make_line(COUNT);
	for (size_t i = 0; i < COUNT; i++)
		line_bytes[i] = 1e8;
	assert_success(lh_judge((struct lh_series){line_seconds, line_bytes, COUNT}, NULL, &judgement));
	assert_int_equal(judgement.verdict, LH_VERDICT_STEADY);
	assert_true(fabs(judgement.resolution - (double)LH_GROWTH_MIN_BYTES / (COUNT - 1)) < 1);
	for (int i = 0; i < LH_EVIDENCE_COUNT; i++)
		assert_string_not_equal(lh_evidence_name((enum lh_evidence)i), "unknown");
}

/* ---------------------------------------------------------------- from samples */

/* A process of one mapping, at boot + 100 s when its clock says so. */
static void add_mapping(struct lh_sample *sample, uint64_t size_bytes, uint64_t used_bytes)
{
	struct lh_region region = {
		.start = 0x10000000,
		.end = 0x10000000 + size_bytes,
		.protection = LH_PROT_READ | LH_PROT_WRITE,
		.kind = LH_REGION_ANON,
		.name = "",
		.thread_name = "",
		.usage = {.rss_bytes = used_bytes, .anonymous_bytes = used_bytes, .private_dirty_bytes = used_bytes},
	};
	sample->list.has_usage = true;
	assert_success(lh_vec_push(&sample->list.regions, region));
}

/* Writes samples to a record, reads them back, and judges them. */
static void judge_samples(bool is_fixed, uint64_t start_ticks, struct lh_selection *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	struct lh_record_writer *writer;
	struct lh_process_identity identity = {.pid = 7, .start_ticks = start_ticks};
	assert_success(lh_record_writer_create(&writer));
	assert_success(lh_record_encode_header(&identity, "program", &text));
	for (uint64_t i = 0; i < COUNT; i++) {
		struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {
			.pid = 7,
			.start_ticks = start_ticks,
			.time_ns = (1000 + i) * LH_NS_PER_S,
			.uptime_ns = (100 + i) * LH_NS_PER_S,
			.has_use = i == 0 || i == COUNT - 1,
			.use = {.in_use_bytes = LH_MIB, .heap_bytes = LH_MIB + i * 96 * LH_KIB},
		};
		uint64_t used = LH_MIB + i * 96 * LH_KIB;
		add_mapping(&sample, is_fixed ? 6 * LH_MIB : lh_align_up(used, LH_MIB), used);
		assert_success(lh_record_encode_sample(writer, &sample, &text));
	}
	lh_record_writer_destroy(writer);
	assert_success(lh_record_decode(text.data, text.length, "record", &samples));
	assert_int_equal(samples.items.count, COUNT);
	assert_true(samples.items.items[0].has_use && !samples.items.items[1].has_use);
	assert_int_equal(samples.items.items[COUNT - 1].use.heap_bytes, LH_MIB + (COUNT - 1) * 96 * LH_KIB);
	assert_success(lh_select(&samples, ret));
}

static void test_samples(void **state)
{
	(void)state;
	struct lh_selection grown LH_CLEANUP(lh_selection_deinit) = {0};
	struct lh_selection fixed LH_CLEANUP(lh_selection_deinit) = {0};
	/* Started 98 s after boot, 2 s before the first sample. */
	judge_samples(false, 9800, &grown);
	assert_true(grown.evidence[LH_EVIDENCE_AGE].is_known);
	assert_non_null(strstr(grown.evidence[LH_EVIDENCE_AGE].text, "2.00 s"));
	assert_true(grown.evidence[LH_EVIDENCE_IN_USE].is_known);
	assert_true(grown.evidence[LH_EVIDENCE_IN_USE].weight < 0);
	assert_false(grown.evidence[LH_EVIDENCE_FIXED_SIZE].is_known);
	assert_int_equal(grown.total.verdict, LH_VERDICT_UNDECIDED);
	judge_samples(true, 9800, &fixed);
	assert_true(fixed.evidence[LH_EVIDENCE_FIXED_SIZE].is_known);
	assert_true(fixed.total.probability <= 0.5);
	assert_false(lh_selection_leaks(&fixed, 0.95));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_age),        cmocka_unit_test(test_few_samples), cmocka_unit_test(test_use),
		cmocka_unit_test(test_fixed_size), cmocka_unit_test(test_collector),   cmocka_unit_test(test_work),
		cmocka_unit_test(test_resolution), cmocka_unit_test(test_samples),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

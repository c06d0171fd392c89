/*
 * test_select_records: records of real processes (tests/records), judged anew. What each program does is known
 * from how it was made to run, and told below; the table of confusions is printed.
 */
#include "unit.h"

#include "leakhunt/select.h"

#include <stdio.h>

/* Whether memory is lost for good, and the very verdict where the program leaves no doubt of it. */
struct expectation {
	const char *name;
	bool is_leak;
	enum lh_verdict verdict; /* LH_VERDICT_COUNT: any that is not a leak */
	const char *cause;       /* of what grows most, if anything does; NULL: any */
};

static const struct expectation expectations[] = {
	/* A service under an even load; an update of keys that are all there; sizes of values at random. */
	{"nginx-load", false, LH_VERDICT_STEADY, NULL},
	{"redis-steady", false, LH_VERDICT_COUNT, NULL},
	{"python-churn", false, LH_VERDICT_COUNT, NULL},
	/* One connection, queries that sort in memory: shared buffers are touched one by one, 128 MiB at most. */
	{"postgres-backend", false, LH_VERDICT_COUNT, "shared-memory"},
	/* maxmemory 48mb, reached after half of the watch; -Xmx64m, reached too. */
	{"redis-maxmemory", false, LH_VERDICT_PLATEAU, "malloc-pages"},
	{"java-gc", false, LH_VERDICT_PLATEAU, "jvm-heap"},
	/* samples/fragmentation: 28 steps of 60 grow the heap by holes that nothing fits into; then they are filled. */
	{"fragmentation", false, LH_VERDICT_PLATEAU, "brk-heap"},
	/* A list that is thrown away each 60,000 objects. */
	{"node-gc", false, LH_VERDICT_SAWTOOTH, "v8-heap"},
	/* Keys that are never deleted; objects, buffers, threads that are kept. */
	{"redis-filling", true, LH_VERDICT_LEAK, "malloc-pages"},
	{"python-leak", true, LH_VERDICT_LEAK, "python-pools"},
	{"python-threads", true, LH_VERDICT_LEAK, "thread-stacks"},
	{"node-leak", true, LH_VERDICT_LEAK, "v8-heap"},
	{"node-buffers", true, LH_VERDICT_LEAK, "big-allocations"},
	{"java-direct-leak", true, LH_VERDICT_LEAK, "big-allocations"},
};

static void judge(const char *name, struct lh_selection *ret)
{
	const char *root = getenv("LEAKHUNT_ROOT");
	char path[4096];
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	snprintf(path, sizeof(path), "%s/tests/records/%s.jsonl", root ? root : ".", name);
	assert_success(lh_file_read(path, LH_MIB, &text));
	assert_success(lh_record_decode(text.data, text.length, path, &samples));
	assert_int_equal(samples.skipped_lines, 0);
	assert_true(samples.items.count >= 20);
	assert_success(lh_select(&samples, ret));
}

static const char *cause_of(struct lh_selection *selection)
{
	struct lh_runtime_facts facts;
	lh_runtime_facts_gather(selection, &facts);
	lh_selection_find_causes(selection, &facts);
	return selection->growths.items[0].cause.word;
}

static bool is_right(const struct expectation *expected, enum lh_verdict verdict)
{
	if (expected->verdict == LH_VERDICT_COUNT)
		return verdict != LH_VERDICT_LEAK;
	return verdict == expected->verdict;
}

static void test_records(void **state)
{
	(void)state;
	size_t right_count = 0, matrix[2][LH_VERDICT_COUNT] = {{0}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(expectations); i++) {
		const struct expectation *expected = &expectations[i];
		struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
		judge(expected->name, &selection);
		enum lh_verdict verdict = selection.total.verdict;
		const char *cause = cause_of(&selection);
		printf("%-18s %-10s %-18s %s\n", expected->name, lh_verdict_name(verdict), cause,
		       selection.total.reason);
		matrix[expected->is_leak][verdict]++;
		right_count += is_right(expected, verdict);
		if (expected->cause)
			assert_string_equal(cause, expected->cause);
		if (!expected->is_leak)
			assert_int_not_equal(verdict, LH_VERDICT_LEAK);
	}
	printf("%-10s", "");
	for (size_t verdict = 0; verdict < LH_VERDICT_COUNT; verdict++)
		printf(" %9s", lh_verdict_name(verdict));
	for (size_t is_leak = 0; is_leak < 2; is_leak++) {
		printf("\n%-10s", is_leak ? "leaks" : "no leak");
		for (size_t verdict = 0; verdict < LH_VERDICT_COUNT; verdict++)
			printf(" %9zu", matrix[is_leak][verdict]);
	}
	printf("\n%zu of %zu right\n", right_count, LH_ARRAY_COUNT(expectations));
	assert_true(right_count * 100 >= LH_ARRAY_COUNT(expectations) * 95);
}

/* ---------------------------------------------------------------- causes */

static void test_causes(void **state)
{
	(void)state;
	static const struct {
		struct lh_growth growth;
		struct lh_runtime_facts facts;
		const char *word;
	} cases[] = {
		{{.kind = LH_REGION_HEAP}, {0}, "brk-heap"},
		{{.kind = LH_REGION_ARENA}, {0}, "arena"},
		{{.kind = LH_REGION_MMAP_CHUNK}, {0}, "big-allocations"},
		{{.kind = LH_REGION_THREAD_STACK, .region_count = 9}, {0}, "thread-stacks"},
		{{.kind = LH_REGION_THREAD_STACK, .region_count = 1}, {0}, "thread-stack"},
		{{.kind = LH_REGION_MEMFD, .name = "/memfd:x"}, {0}, "shared-memory"},
		{{.kind = LH_REGION_FILE, .region_count = 3, .name = "/a/b"}, {0}, "file-mapped-again"},
		{{.kind = LH_REGION_FILE, .region_count = 1, .name = "/a/b"}, {0}, "file"},
		{{.kind = LH_REGION_ANON}, {0}, "anonymous-mmap"},
		{{.kind = LH_REGION_ANON}, {.allocator = LH_ALLOCATOR_MUSL}, "malloc-pages"},
		{{.kind = LH_REGION_ANON}, {.has_jvm = true}, "jvm-heap"},
		{{.kind = LH_REGION_ANON}, {.has_python = true}, "anonymous-mmap"},
		{{.kind = LH_REGION_JEMALLOC}, {0}, "malloc-pages"},
		{{.kind = LH_REGION_PYMALLOC}, {0}, "python-pools"},
		{{.kind = LH_REGION_V8}, {0}, "v8-heap"},
		{{.kind = LH_REGION_GO}, {0}, "go-heap"},
		{{.kind = LH_REGION_JVM}, {0}, "jvm-heap"},
		{{.kind = LH_REGION_ZEND}, {0}, "zend-mm"},
		{{.kind = LH_REGION_ANON, .name = "[anon:pool]"}, {.has_v8 = true}, "named-mmap"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct lh_growth growth = cases[i].growth;
		growth.name = growth.name ? growth.name : "";
		growth.thread_name = "";
		struct lh_selection selection = {.growths = {.items = &growth, .count = 1}};
		lh_selection_find_causes(&selection, &cases[i].facts);
		assert_string_equal(growth.cause.word, cases[i].word);
		assert_true(strlen(growth.cause.text) > 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_causes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_record: samples to JSON lines and back, with every field and with names of any bytes; lines
 * that are cut off, corrupt, or of something else.
 */
#include "unit.h"

#include "leakhunt/json.h"
#include "leakhunt/select.h"
#include "select/record.h"

#include <stdio.h>

/* Every byte that can be in a name: all but NUL. */
static void make_weird_name(char ret[256])
{
	for (int i = 1; i < 256; i++)
		ret[i - 1] = (char)i;
	ret[255] = '\0';
}

/* Random numbers in each field of a usage, whatever fields there are. */
static void make_usage(struct lh_usage *ret, uint64_t *seed)
{
	uint64_t words[sizeof(struct lh_usage) / sizeof(uint64_t)];
	for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++)
		words[i] = unit_random(seed) >> (1 + unit_random(seed) % 60);
	memcpy(ret, words, sizeof(*ret));
}

static void push_region(struct lh_sample *sample, struct lh_region region, const char *name, const char *thread_name)
{
	struct lh_region_list *list = &sample->list;
	assert_success(lh_strings_pool_add(&list->strings, name, strlen(name), &region.name));
	assert_success(lh_strings_pool_add(&list->strings, thread_name, strlen(thread_name), &region.thread_name));
	assert_success(lh_vec_push(&list->regions, region));
}

static void make_sample(uint64_t seed_number, struct lh_sample *ret)
{
	uint64_t seed = seed_number + 1;
	char weird[256];
	make_weird_name(weird);
	*ret = (struct lh_sample){.time_ns = 1764000000123456789u + seed_number, .pid = 4711};
	ret->list.has_usage = true;
	for (uint64_t i = 0; i < LH_REGION_KIND_COUNT; i++) {
		struct lh_region region = {
			.start = 0x7fffffff00000000 + i * 0x100000,
			.end = 0x7fffffff00000000 + i * 0x100000 + 0x1000,
			.kind = (enum lh_region_kind)i,
			.protection = (uint8_t)(i % 8),
			.is_shared = i % 3 == 0,
			.is_deleted = i % 4 == 1,
			.is_hugetlb = i % 5 == 1,
			.is_dontdump = i % 6 == 1,
			.is_io = i % 7 == 1,
			.tid = i % 2 ? (pid_t)i : 0,
		};
		if (i % 2) {
			region.inode = UINT64_MAX - i;
			region.file_offset = UINT64_MAX - 4096 * i;
			region.device_major = UINT32_MAX - (uint32_t)i;
			region.device_minor = (uint32_t)i;
		}
		make_usage(&region.usage, &seed);
		push_region(ret, region, i % 2 ? weird : "", i % 4 == 3 ? weird + 200 : "");
	}
}

static void assert_same_region(const struct lh_region *a, const struct lh_region *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->thread_name, b->thread_name);
	assert_memory_equal(&a->usage, &b->usage, sizeof(a->usage));
	assert_true(a->start == b->start && a->end == b->end && a->file_offset == b->file_offset);
	assert_true(a->inode == b->inode && a->device_major == b->device_major && a->device_minor == b->device_minor);
	assert_true(a->protection == b->protection && a->is_shared == b->is_shared && a->kind == b->kind);
	assert_true(a->is_deleted == b->is_deleted && a->is_hugetlb == b->is_hugetlb && a->is_io == b->is_io);
	assert_true(a->is_dontdump == b->is_dontdump && a->tid == b->tid);
}

static void make_record(size_t count, struct lh_buffer *ret)
{
	const struct lh_process_identity identity = {.pid = 4711, .start_ticks = 99};
	LH_CLEANUP(lh_cleanup_record_writer) struct lh_record_writer *writer = NULL;
	assert_success(lh_record_writer_create(&writer));
	assert_success(lh_record_encode_header(&identity, "we\"ird\n\xff", ret));
	for (size_t i = 0; i < count; i++) {
		struct lh_sample sample LH_CLEANUP(lh_sample_deinit);
		make_sample(i, &sample);
		assert_success(lh_record_encode_sample(writer, &sample, ret));
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	make_record(5, &text);
	assert_true(lh_record_detect(text.data, text.length));
	assert_success(lh_record_decode(text.data, text.length, "text", &samples));
	assert_int_equal(samples.items.count, 5);
	assert_int_equal(samples.skipped_lines, 0);
	assert_string_equal(samples.command, "we\"ird\n\xff");
	for (size_t i = 0; i < 5; i++) {
		struct lh_sample expected LH_CLEANUP(lh_sample_deinit);
		const struct lh_sample *got = &samples.items.items[i];
		make_sample(i, &expected);
		assert_int_equal(got->time_ns, expected.time_ns);
		assert_int_equal(got->pid, 4711);
		assert_true(got->list.has_usage);
		assert_int_equal(got->list.regions.count, expected.list.regions.count);
		for (size_t j = 0; j < got->list.regions.count; j++)
			assert_same_region(&got->list.regions.items[j], &expected.list.regions.items[j]);
	}
}

/* One line a sample, all of it ASCII or UTF-8 without control characters. */
static void test_lines_are_clean(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	make_record(3, &text);
	size_t newlines = 0;
	for (size_t i = 0; i < text.length; i++) {
		uint8_t byte = (uint8_t)text.data[i];
		newlines += byte == '\n';
		assert_true(byte == '\n' || (byte >= 0x20 && byte != 0x7f));
	}
	assert_int_equal(newlines, 4);
}

/* At every length a record loses at most the line that was cut. */
static void test_cut_off_anywhere(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	make_record(2, &text);
	size_t header = (size_t)(strchr(text.data, '\n') - text.data) + 1;
	size_t lines = 0;
	for (size_t length = header; length <= text.length; length += 1 + length % 97) {
		struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
		LH_CLEANUP(lh_cleanup_free) char *copy = malloc(length); /* so that a sanitizer sees a read past it */
		assert_non_null(copy);
		memcpy(copy, text.data, length);
		assert_success(lh_record_decode(copy, length, "text", &samples));
		lines = 0;
		for (size_t i = 0; i + 1 < length; i++)
			lines += text.data[i] == '\n' && i + 1 < length;
		assert_int_equal(samples.items.count + samples.skipped_lines, lines);
		assert_true(samples.skipped_lines <= 1);
	}
	assert_true(lines >= 1);
}

static void decode_text(const char *lines, struct lh_samples *ret)
{
	assert_success(lh_record_decode(lines, strlen(lines), "text", ret));
}

static void test_bad_lines_are_skipped_and_counted(void **state)
{
	(void)state;
	static const char good[] =
		"{\"time_ns\":5,\"regions\":[{\"start\":\"0x1000\",\"end\":\"0x2000\",\"perms\":\"rw-p\","
		"\"kind\":\"anon\",\"private_dirty_bytes\":4096}]}";
	static const char *const bad[] = {
		"",
		"garbage \x01\xff",
		"[]",
		"42",
		"{}",
		"{\"time_ns\":-1,\"regions\":[]}",
		"{\"time_ns\":1,\"regions\":{}}",
		"{\"time_ns\":1,\"regions\":[]}",
		"{\"time_ns\":1,\"regions\":[1,null,{}]}",
		"{\"time_ns\":1,\"time_ns\":2,\"regions\":[]}",
		"{\"time_ns\":1,\"regions\":[{\"start\":\"0x2000\",\"end\":\"0x1000\",\"perms\":\"rw-p\",\"kind\":"
		"\"anon\"}]}",
		"{\"time_ns\":1,\"regions\":[{\"start\":\"0x1\",\"end\":\"0x2\",\"perms\":\"rwxpp\",\"kind\":\"anon\"}]"
		"}",
		"{\"time_ns\":1,\"regions\":[{\"start\":\"0x1\",\"end\":\"0x2\",\"perms\":\"rw-p\",\"kind\":"
		"\"nonsense\"}]}",
		"{\"time_ns\":1,\"regions\":[{\"start\":\"0x1\",\"end\":\"0x2\",\"perms\":\"rw-p\",\"kind\":\"anon\","
		"\"swap_bytes\":\"4\"}]}",
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
		lh_buffer_printf(&text, "{\"leakhunt_record\":1,\"pid\":7}\n%s\n%s\n%s\n", good, bad[i], good);
		decode_text(text.data, &samples);
		assert_int_equal(samples.items.count, 2);
		assert_int_equal(samples.skipped_lines, 1);
		assert_int_equal(samples.items.items[1].list.regions.items[0].usage.private_dirty_bytes, 4096);
		assert_null(samples.command);
	}
}

static void test_bad_regions_are_counted(void **state)
{
	(void)state;
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	decode_text("{\"leakhunt_record\":1,\"pid\":7}\n{\"time_ns\":1,\"regions\":["
		    "{\"start\":\"0x5000\",\"end\":\"0x6000\",\"perms\":\"rw-p\",\"kind\":\"anon\"},"
		    "{\"start\":\"0x5800\",\"end\":\"0x7000\",\"perms\":\"rw-p\",\"kind\":\"anon\"},"
		    "{\"start\":\"0x1000\",\"end\":\"0x2000\",\"perms\":\"rw-p\",\"kind\":\"anon\"},"
		    "{\"start\":\"0x8000\"},"
		    "{\"start\":\"0x8000\",\"end\":\"0x9000\",\"perms\":\"r--s\",\"kind\":\"shared\"}]}\n",
		    &samples);
	const struct lh_region_list *list = &samples.items.items[0].list;
	assert_int_equal(list->regions.count, 2);
	assert_int_equal(list->dropped_regions, 2);
	assert_int_equal(list->skipped_lines, 1);
	assert_true(list->regions.items[1].is_shared);
}

static void test_records_one_after_the_other(void **state)
{
	(void)state;
	static const char line[] =
		"{\"time_ns\":1,\"regions\":[{\"start\":\"0x1000\",\"end\":\"0x2000\",\"perms\":\"rw-p\","
		"\"kind\":\"anon\"}]}\n";
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	lh_buffer_printf(&text, "{\"leakhunt_record\":1,\"pid\":7}\n%s{\"leakhunt_record\":1,\"pid\":8}\n%s", line,
			 line);
	decode_text(text.data, &samples);
	assert_int_equal(samples.items.items[0].pid, 7);
	assert_int_equal(samples.items.items[1].pid, 8);
}

static void test_what_is_no_record(void **state)
{
	(void)state;
	static const char *const others[] = {"",
					     "\n",
					     "{}\n",
					     "{\"leakhunt_raw\":1}\n",
					     "{\"leakhunt_record\":",
					     "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/dbus-daemon\n"};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	for (size_t i = 0; i < LH_ARRAY_COUNT(others); i++) {
		assert_false(lh_record_detect(others[i], strlen(others[i])));
		assert_failure(lh_record_decode(others[i], strlen(others[i]), "text", &samples), LH_ERROR_FORMAT);
	}
	static const char newer[] = "{\"leakhunt_record\":3,\"pid\":7}\n";
	assert_true(lh_record_detect(newer, strlen(newer)));
	assert_failure(lh_record_decode(newer, strlen(newer), "text", &samples), LH_ERROR_FORMAT);
	assert_int_equal(samples.items.count, 0);
}

/* ---------------------------------------------------------------- changes */

static struct lh_region plain_region(uint64_t start, uint64_t bytes, uint64_t used_bytes)
{
	return (struct lh_region){
		.start = start,
		.end = start + bytes,
		.protection = LH_PROT_READ | LH_PROT_WRITE,
		.kind = LH_REGION_ANON,
		.name = "",
		.thread_name = "",
		.usage = {.anonymous_bytes = used_bytes},
	};
}

/* Sample i: one region that stays, one that grows, and one that comes and goes. */
static void make_small_sample(size_t i, struct lh_sample *ret)
{
	*ret = (struct lh_sample){.time_ns = i + 1, .uptime_ns = i + 5, .pid = 7, .list = {.has_usage = true}};
	assert_success(lh_vec_push(&ret->list.regions, plain_region(0x10000, 0x1000, 4096)));
	if (i % 3 == 1)
		assert_success(lh_vec_push(&ret->list.regions, plain_region(0x20000, 0x1000, 0)));
	assert_success(lh_vec_push(&ret->list.regions, plain_region(0x30000 - 0x100 * (i % 4), 0x8000, i)));
}

static void make_changes(size_t count, struct lh_buffer *ret)
{
	const struct lh_process_identity identity = {.pid = 7};
	LH_CLEANUP(lh_cleanup_record_writer) struct lh_record_writer *writer = NULL;
	assert_success(lh_record_writer_create(&writer));
	assert_success(lh_record_encode_header(&identity, "x", ret));
	for (size_t i = 0; i < count; i++) {
		struct lh_sample sample LH_CLEANUP(lh_sample_deinit);
		make_small_sample(i, &sample);
		assert_success(lh_record_encode_sample(writer, &sample, ret));
	}
}

static void assert_small_samples(const struct lh_samples *samples)
{
	for (size_t i = 0; i < samples->items.count; i++) {
		const struct lh_sample *got = &samples->items.items[i];
		struct lh_sample expected LH_CLEANUP(lh_sample_deinit);
		make_small_sample(got->time_ns - 1, &expected);
		assert_int_equal(got->uptime_ns, expected.uptime_ns);
		assert_int_equal(got->list.skipped_lines, 0);
		assert_int_equal(got->list.regions.count, expected.list.regions.count);
		for (size_t j = 0; j < got->list.regions.count; j++)
			assert_same_region(&got->list.regions.items[j], &expected.list.regions.items[j]);
	}
}

static void test_changes_give_back_whole_samples(void **state)
{
	(void)state;
	enum { COUNT = 600 };
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	make_changes(COUNT, &text);
	assert_success(lh_record_decode(text.data, text.length, "text", &samples));
	assert_int_equal(samples.items.count, COUNT);
	assert_int_equal(samples.skipped_lines, 0);
	assert_small_samples(&samples);
}

/* What rests on a line that is lost is left out, and no sample is wrong. */
static void test_a_lost_line_costs_no_more_than_up_to_the_next_whole_one(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	make_changes(600, &text);
	for (size_t lost = 1; lost < 600; lost += 83) {
		struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
		struct lh_buffer cut LH_CLEANUP(lh_buffer_deinit) = {0};
		const char *line = text.data;
		for (size_t i = 0; i < lost; i++)
			line = strchr(line, '\n') + 1;
		const char *next = strchr(line, '\n') + 1;
		lh_buffer_append(&cut, text.data, (size_t)(line - text.data));
		lh_buffer_append(&cut, next, text.length - (size_t)(next - text.data));
		assert_success(lh_record_decode(cut.data, cut.length, "text", &samples));
		assert_int_equal(samples.items.count + samples.skipped_lines, 599);
		assert_true(samples.skipped_lines < 256);
		assert_small_samples(&samples);
	}
}

/* What a sample lacked when it was taken is told with it; the one after it lacks nothing. */
static void test_a_torn_sample_is_read_as_one(void **state)
{
	(void)state;
	static const size_t lost[] = {0, 3, SIZE_MAX / 2, 0, 0};
	const struct lh_process_identity identity = {.pid = 7};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	LH_CLEANUP(lh_cleanup_record_writer) struct lh_record_writer *writer = NULL;
	assert_success(lh_record_writer_create(&writer));
	assert_success(lh_record_encode_header(&identity, "x", &text));
	for (size_t i = 0; i < LH_ARRAY_COUNT(lost); i++) {
		struct lh_sample sample LH_CLEANUP(lh_sample_deinit);
		make_small_sample(i, &sample);
		sample.list.skipped_lines = lost[i] / 3;
		sample.list.dropped_regions = lost[i] - lost[i] / 3;
		assert_success(lh_record_encode_sample(writer, &sample, &text));
	}
	decode_text(text.data, &samples);
	assert_int_equal(samples.items.count, LH_ARRAY_COUNT(lost));
	for (size_t i = 0; i < LH_ARRAY_COUNT(lost); i++) {
		const struct lh_region_list *list = &samples.items.items[i].list;
		assert_int_equal(list->skipped_lines + list->dropped_regions, lh_min_u64(lost[i], UINT32_MAX));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_lines_are_clean),
		cmocka_unit_test(test_cut_off_anywhere),
		cmocka_unit_test(test_bad_lines_are_skipped_and_counted),
		cmocka_unit_test(test_bad_regions_are_counted),
		cmocka_unit_test(test_records_one_after_the_other),
		cmocka_unit_test(test_what_is_no_record),
		cmocka_unit_test(test_changes_give_back_whole_samples),
		cmocka_unit_test(test_a_lost_line_costs_no_more_than_up_to_the_next_whole_one),
		cmocka_unit_test(test_a_torn_sample_is_read_as_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

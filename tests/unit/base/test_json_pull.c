/*
 * test_json_pull: JSON taken apart from left to right: values of each kind, and, of texts that were damaged at
 * random, that it takes what jansson takes.
 */
#include "unit.h"

#include "base/escaped.h"
#include "leakhunt/json.h"
#include "leakhunt/json_pull.h"

#include <stdio.h>

static struct lh_json_pull pull_of(const char *text)
{
	return (struct lh_json_pull){.at = text, .end = text + strlen(text)};
}

static void test_members_and_items(void **state)
{
	(void)state;
	struct lh_json_pull pull =
		pull_of(" {\"a\" : 7, \"b\":[\"0x1f\", true ,null,-1],\"c\":{\"d\":{}},\"e\":1.5e1 } \r\n");
	struct lh_json_span key;
	bool is_first = true, is_first_item = true, flag = false;
	uint64_t number = 0, addr = 0;
	double real = 0;
	assert_true(lh_json_pull_object(&pull));
	assert_true(lh_json_pull_member(&pull, &is_first, &key) && lh_json_span_is(key, "a"));
	assert_true(lh_json_pull_u64(&pull, &number));
	assert_int_equal(number, 7);
	assert_true(lh_json_pull_member(&pull, &is_first, &key) && lh_json_span_is(key, "b"));
	assert_true(lh_json_pull_array(&pull));
	assert_true(lh_json_pull_item(&pull, &is_first_item) && lh_json_pull_address(&pull, &addr));
	assert_int_equal(addr, 0x1f);
	assert_true(lh_json_pull_item(&pull, &is_first_item) && lh_json_pull_bool(&pull, &flag) && flag);
	/* Values of another type than asked for are passed over. */
	assert_true(lh_json_pull_item(&pull, &is_first_item) && !lh_json_pull_string(&pull, &key));
	assert_true(lh_json_pull_item(&pull, &is_first_item) && !lh_json_pull_u64(&pull, &number));
	assert_false(lh_json_pull_item(&pull, &is_first_item));
	assert_true(lh_json_pull_member(&pull, &is_first, &key) && lh_json_span_is(key, "c"));
	assert_false(lh_json_pull_array(&pull));
	assert_true(lh_json_pull_member(&pull, &is_first, &key) && lh_json_span_is(key, "e"));
	assert_true(lh_json_pull_double(&pull, &real) && real == 15);
	assert_false(lh_json_pull_member(&pull, &is_first, &key));
	assert_true(lh_json_pull_is_done(&pull));
}

static void test_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool is_good;
		uint64_t value;
	} cases[] = {
		{"0", true, 0},
		{"9223372036854775807", true, INT64_MAX},
		{"9223372036854775808", false, 0},
		{"99999999999999999999", false, 0},
		{"-1", false, 0},
		{"1.0", false, 0},
		{"\"1\"", false, 0},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct lh_json_pull pull = pull_of(cases[i].text);
		uint64_t value = 0;
		assert_int_equal(lh_json_pull_u64(&pull, &value), cases[i].is_good);
		assert_int_equal(value, cases[i].value);
		assert_true(lh_json_pull_is_done(&pull));
	}
}

static void test_addresses(void **state)
{
	(void)state;
	static const char *const bad[] = {"\"0x\"", "\"1f\"", "\"0x1g\"", "\"0x10000000000000000\"", "17", "\"0x1 \""};
	struct lh_json_pull pull = pull_of("\"0xffffffffffffffff\"");
	uint64_t addr = 0;
	assert_true(lh_json_pull_address(&pull, &addr));
	assert_true(addr == UINT64_MAX);
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++) {
		pull = pull_of(bad[i]);
		assert_false(lh_json_pull_address(&pull, &addr));
		assert_true(lh_json_pull_is_done(&pull));
	}
}

/* Whatever bytes lh_json_text writes come back. */
static void test_texts(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "plain", "new\nline", "back\\slash \"quoted\"", "\x01\x7f\xff\xc3\xa4"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(texts); i++) {
		struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		struct lh_json_span span;
		assert_success(lh_json_append(lh_json_string(texts[i]), true, &line));
		struct lh_json_pull pull = {.at = line.data, .end = line.data + line.length};
		assert_true(lh_json_pull_string(&pull, &span));
		assert_true(lh_json_span_text(span, &text));
		lh_buffer_append(&text, "", 0);
		assert_string_equal(text.data, texts[i]);
	}
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_json_pull pull = pull_of("\"\xff\"");
	struct lh_json_span span;
	assert_true(lh_json_pull_string(&pull, &span));
	assert_false(lh_json_span_text(span, &text));
}

static void test_nesting_ends_somewhere(void **state)
{
	(void)state;
	static char deep[1 << 20];
	memset(deep, '[', sizeof(deep));
	struct lh_json_pull pull = {.at = deep, .end = deep + sizeof(deep)};
	lh_json_pull_skip(&pull);
	assert_true(pull.failed);
}

/* ---------------------------------------------------------------- as jansson does */

static bool is_json(const char *text, size_t length)
{
	struct lh_json_pull pull = {.at = text, .end = text + length};
	lh_json_pull_skip(&pull);
	return lh_json_pull_is_done(&pull);
}

/* What jansson can't hold is JSON all the same: numbers beyond its types, a NUL in a key, half a surrogate pair. */
static bool is_limit_of_jansson(const json_error_t *error)
{
	return json_error_code(error) == json_error_numeric_overflow || strstr(error->text, "U+") ||
	       strstr(error->text, "\\u");
}

static void damage(char *text, size_t *length, uint64_t *seed)
{
	static const char bytes[] = "{}[]\",:\\ -+.eE0129truefalsn/bu\t\n\x01";
	for (uint64_t left = 1 + unit_random(seed) % 3; left; left--) {
		size_t at = unit_random(seed) % *length;
		char byte = bytes[unit_random(seed) % (sizeof(bytes) - 1)];
		if (unit_random(seed) % 3 == 0 && *length > 2) {
			memmove(text + at, text + at + 1, --*length - at);
		} else if (unit_random(seed) % 2) {
			memmove(text + at + 1, text + at, (*length)++ - at);
			text[at] = byte;
		} else {
			text[at] = byte;
		}
	}
}

static void test_takes_what_jansson_takes(void **state)
{
	(void)state;
	static const char good[] =
		"{\"n\":12,\"x\":[1.5e2,-0,0.1,\"a\\n\\u00e4\",true,false,null,{},[]],\"y\":{\"z\":[[3],\"\"]}}";
	uint64_t seed = 0x5eed;
	size_t taken = 0, refused = 0;
	for (size_t round = 0; round < 200000; round++) {
		char text[sizeof(good) + 8];
		size_t length = sizeof(good) - 1;
		json_error_t error;
		memcpy(text, good, length);
		damage(text, &length, &seed);
		json_t *value = json_loadb(text, length, JSON_DECODE_ANY, &error);
		bool is_taken = is_json(text, length);
		if (is_taken != (value != NULL) && (value || !is_limit_of_jansson(&error)))
			fail_msg("%.*s: %s", (int)length, text, value ? "refused" : error.text);
		taken += value != NULL;
		refused += !value;
		json_decref(value);
	}
	assert_true(taken > 10000 && refused > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members_and_items),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_nesting_ends_somewhere),
		cmocka_unit_test(test_takes_what_jansson_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

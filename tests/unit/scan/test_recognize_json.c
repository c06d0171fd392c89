/*
 * The JSON recognizer's grammar against jansson's, on mutated texts: what one takes as a whole, the
 * other takes. Left out is what jansson refuses beyond the grammar of RFC 8259: escapes of surrogates and of
 * NUL, and numbers that do not fit.
 */
#include "recognize_unit.h"

#include "scan/recognize/recognize.h"

#include <jansson.h>
#include <stdio.h>

static const char *const seeds[] = {
	"{\"name\":\"value\",\"n\":[1,-2.5e+3,0,true,false,null]}",
	"{ \"a\" : { \"b\" : { \"c\" : [ [ ], { } , \"\\\"\\\\\\/\\b\\f\\n\\r\\t\" ] } } }",
	"[\n\t\"gr\xc3\xbc\xc3\x9f\x65\", \"\xe6\x97\xa5\xe6\x9c\xac\", \"\xf0\x9f\x98\x80\",\r\n {\"k\": -0.0E-7}]",
	"{\"\":\"\",\"long key with blanks\":\"x\",\"deep\":[[[[[[[[\"deep\"]]]]]]]]}",
	"[{\"id\":1,\"tags\":[\"a\",\"b\"]},{\"id\":2,\"tags\":[]}]",
};

static bool ours_takes(const char *text, size_t length, size_t *ret_bytes)
{
	size_t examined = 0;
	struct lh_candidate candidate = {.anchor = (const uint8_t *)text, .bytes_after = length, .examined = &examined};
	struct lh_match match;
	if (!lh_recognize_json.validate(&candidate, &match))
		return false;
	*ret_bytes = match.length;
	return true;
}

enum verdict { TAKEN, REFUSED, BEYOND_GRAMMAR };

static enum verdict jansson_on(const char *text, size_t length)
{
	json_error_t error;
	json_t *value = json_loadb(text, length, 0, &error);
	enum verdict verdict = value ? TAKEN : REFUSED;
	if (!value && json_error_code(&error) == json_error_numeric_overflow)
		verdict = BEYOND_GRAMMAR;
	json_decref(value);
	return verdict;
}

static size_t mutate(char *text, size_t length, uint64_t *random)
{
	static const char bytes[] = "{}[]\",:\\ \n\t0123456789-+.eEtfnrulasx\x01\x7f\x80\xc3\xbc\xed\xa0\xff";
	size_t changes = unit_random(random) % 4;
	for (size_t i = 0; i < changes; i++) {
		size_t at = 1 + unit_random(random) % (length - 1);
		char byte = bytes[unit_random(random) % (sizeof(bytes) - 1)];
		switch (unit_random(random) % 3) {
		case 0:
			text[at] = byte;
			break;
		case 1:
			memmove(text + at, text + at + 1, length - at - 1);
			length--;
			break;
		default:
			memmove(text + at + 1, text + at, length - at);
			text[at] = byte;
			length++;
		}
	}
	return length;
}

static void test_agrees_with_jansson(void **state)
{
	(void)state;
	uint64_t random = 1;
	size_t taken = 0;
	size_t refused = 0;
	for (size_t i = 0; i < 200000; i++) {
		char text[256];
		const char *seed = seeds[unit_random(&random) % LH_ARRAY_COUNT(seeds)];
		unit_put(text, sizeof(text), seed);
		size_t length = mutate(text, strlen(seed), &random);
		if (memmem(text, length, "\\u", 2))
			continue;
		size_t bytes = 0;
		bool is_ours = ours_takes(text, length, &bytes);
		if (is_ours && jansson_on(text, bytes) == REFUSED)
			fail_msg("jansson refuses '%.*s'", (int)bytes, text);
		if (!is_ours && jansson_on(text, length) == TAKEN)
			fail_msg("only jansson takes '%.*s'", (int)length, text);
		taken += is_ours;
		refused += !is_ours;
	}
	assert_true(taken > 20000);
	assert_true(refused > 20000);
}

static void test_depth_and_length_are_bounded(void **state)
{
	(void)state;
	char text[512];
	for (size_t depth = 60; depth < 70; depth++) {
		memset(text, '[', depth);
		unit_put(text + depth, sizeof(text) - depth, "\"at the very bottom\"");
		size_t length = strlen(text);
		memset(text + length, ']', depth);
		size_t bytes;
		assert_int_equal(ours_takes(text, length + depth, &bytes), depth <= 64);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agrees_with_jansson),
		cmocka_unit_test(test_depth_and_length_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The table of forms of secrets: each row's example is masked, and its counterexample is not, in what is recognized and
 * in what is listed, in characters of 1, 2 and 4 bytes of either byte order, and wherever memory is cut.
 */
#include "recognize_unit.h"

#include "scan/recognizers/secret_forms.h"
#include "scan/text/list_mask.h"

#include <ctype.h>

enum { TEXT_MAX = 512, WIDTH_MAX = 4, MARGIN = 64, MEMORY_BYTES = 2 * MARGIN + TEXT_MAX * WIDTH_MAX };

/* Of an example between marks: the text itself, and what it looks like when it is listed. */
struct example {
	char text[TEXT_MAX];
	char masked[TEXT_MAX];
	size_t length;
};

static struct example split_example(const char *marked)
{
	struct example example = {0};
	bool is_secret = false;
	assert_true(strlen(marked) < TEXT_MAX);
	for (; *marked; marked++) {
		if (*marked == '\1' || *marked == '\2') {
			is_secret = *marked == '\1';
			continue;
		}
		bool is_character = (*marked >= ' ' && *marked <= '~') || *marked == '\t';
		example.text[example.length] = *marked;
		example.masked[example.length++] = (char)(is_secret && is_character ? '*' : *marked);
	}
	return example;
}

/* A failed row does not hide the next one. */
static size_t failed_count;

#define FAIL_ROW(...) (failed_count++, print_error(__VA_ARGS__))

typedef void check_row(const struct lh_recognizer *recognizer, const struct lh_secret_form *form);

static void check_rows(check_row *check)
{
	size_t count = 0;
	failed_count = 0;
	for (size_t row = 0; lh_recognizers[row]; row++) {
		const struct lh_secret_form *form = lh_recognizers[row]->forms;
		for (; form && form->pattern; form++, count += form->secret != NULL) {
			if (form->secret)
				check(lh_recognizers[row], form);
		}
	}
	assert_true(count > 80);
	assert_int_equal(failed_count, 0);
}

/* ---------------------------------------------------------------- recognized */

static void check_recognized(const struct lh_recognizer *recognizer, const struct lh_secret_form *form)
{
	char memory[MEMORY_BYTES] = {0};
	struct example example = split_example(form->secret);
	memcpy(memory + MARGIN, example.text, example.length);
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	size_t count;
	const struct lh_range *secrets = lh_recognizer_pass_secrets(pass, &count);
	(void)lh_mask_secrets(secrets, count, UNIT_BASE, memory, sizeof(memory));
	for (size_t i = 0; i < example.length; i++) {
		bool is_masked = memory[MARGIN + i] == '*', is_expected = example.masked[i] == '*';
		if (isprint((unsigned char)example.text[i]) && is_masked != is_expected) {
			FAIL_ROW("'%s': '%s', but '%s' expected\n", form->pattern, memory + MARGIN, example.masked);
			break;
		}
	}
	const struct lh_class_count *class = unit_class(pass, recognizer->name);
	if (class->count != 1 || (recognizer->kinds && class->kinds[form->kind].count != 1))
		FAIL_ROW("'%s': counted %lu times as %s\n", form->pattern, class->count, class->name);
	lh_recognizer_pass_destroy(pass);
}

static void check_not_recognized(const struct lh_recognizer *recognizer, const struct lh_secret_form *form)
{
	char memory[MEMORY_BYTES] = {0};
	(void)recognizer;
	assert_non_null(form->plain);
	unit_put(memory + MARGIN, TEXT_MAX, form->plain);
	struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
	size_t count;
	(void)lh_recognizer_pass_secrets(pass, &count);
	if (count)
		FAIL_ROW("'%s': a secret in '%s'\n", form->pattern, form->plain);
	lh_recognizer_pass_destroy(pass);
}

static void test_examples_are_recognized(void **state)
{
	(void)state;
	check_rows(check_recognized);
}

static void test_counterexamples_are_not(void **state)
{
	(void)state;
	check_rows(check_not_recognized);
}

/* ---------------------------------------------------------------- HTTP/2 */

/* Bytes of HTTP/2, and which of them are masked. */
struct hpack_case {
	const char *bytes;
	size_t length;
	size_t masked_start;
	size_t masked_end; /* = masked_start: none */
};

#define HPACK(bytes, start, end)                           \
	{                                                  \
		(bytes), sizeof(bytes) - 1, (start), (end) \
	}

static const struct hpack_case hpack_cases[] = {
	/* By libnghttp2 1.52: authorization "Basic ...", never indexed, and cookie, in one frame; all from the first
	   on. */
	HPACK("\x00\x00\x3f\x01\x05\x00\x00\x00\x03\x82\x87\x84\x41\x87\x1a\xe5\xf2\x3a\x6b\xa0\xbf\x53\x03\x2a"
	      "\x2f\x2a\x1f\x08\x9b\xba\x34\x18\x8a\x6c\xe5\xe6\x7f\xdc\x5b\x6b\x8f\xa5\x7d\xc9\x8b\x8d\xb9\x31"
	      "\xe9\xa0\x82\xc2\x9f\xdd\x90\x41\x60\x8e\x41\xa4\x81\x90\xc8\xd4\x8f\xb8\x56\x80\xe8\xc7\x23\x42",
	      9 + 20, 9 + 63),
	/* Without its frame, the value that begins with a scheme. */
	HPACK("\x82\x87\x84\x41\x87\x1a\xe5\xf2\x3a\x6b\xa0\xbf\x53\x03\x2a\x2f\x2a\x1f\x08\x9b\xba\x34\x18\x8a"
	      "\x6c\xe5\xe6\x7f\xdc\x5b\x6b\x8f\xa5\x7d\xc9\x8b\x8d\xb9\x31\xe9\xa0\x82\xc2\x9f\xdd\x90\x41\x60"
	      "\x8e\x41\xa4\x81\x90\xc8\xd4\x8f\xb8\x56\x80\xe8\xc7\x23\x42",
	      20, 47),
	HPACK("\x82\x1f\x08\x93\xba\x51\xd8\x5b\x14\xa7\x0c\x4f\xaf\x75\xb9\x56\x69\x70\xe5\xed\xa1\xf7\x9d\x1f"
	      "\x11\x11\x7b\x22\x7c\x7d\x3d\x7e\x7e\x5e\x5e\x60\x60\x7b\x7b\x7d\x7d\x7c\x7c",
	      4, 23),
	/* Authorization, and a cookie that no Huffman code makes shorter. */
	HPACK("\x00\x00\x2b\x01\x05\x00\x00\x00\x03\x82\x1f\x08\x93\xba\x51\xd8\x5b\x14\xa7\x0c\x4f\xaf\x75\xb9"
	      "\x56\x69\x70\xe5\xed\xa1\xf7\x9d\x1f\x11\x11\x7b\x22\x7c\x7d\x3d\x7e\x7e\x5e\x5e\x60\x60\x7b\x7b"
	      "\x7d\x7d\x7c\x7c",
	      9 + 4, 9 + 43),
	/* RFC 7541, section C.6.3: a response with set-cookie. */
	HPACK("\x00\x00\x4f\x01\x05\x00\x00\x00\x03\x88\xc1\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05"
	      "\x95\x04\x0b\x81\x66\xe0\x84\xa6\x2d\x1b\xff\xc0\x5a\x83\x9b\xd9\xab\x77\xad\x94\xe7\x82\x1d\xd7"
	      "\xf2\xe6\xc7\xb3\x35\xdf\xdf\xcd\x5b\x39\x60\xd5\xaf\x27\x08\x7f\x36\x72\xc1\xab\x27\x0f\xb5\x29"
	      "\x1f\x95\x87\x31\x60\x65\xc0\x03\xed\x4e\xe5\xb1\x06\x3d\x50\x07",
	      9 + 34, 9 + 79),
	/* The same as the body of DATA. */
	HPACK("\x00\x00\x4f\x00\x05\x00\x00\x00\x03\x88\xc1\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05"
	      "\x95\x04\x0b\x81\x66\xe0\x84\xa6\x2d\x1b\xff\xc0\x5a\x83\x9b\xd9\xab\x77\xad\x94\xe7\x82\x1d\xd7"
	      "\xf2\xe6\xc7\xb3\x35\xdf\xdf\xcd\x5b\x39\x60\xd5\xaf\x27\x08\x7f\x36\x72\xc1\xab\x27\x0f\xb5\x29"
	      "\x1f\x95\x87\x31\x60\x65\xc0\x03\xed\x4e\xe5\xb1\x06\x3d\x50\x07",
	      0, 0),
	/* A field that claims more bytes than there are. */
	HPACK("\x00\x00\x08\x01\x05\x00\x00\x00\x03\x82\x87\x60\xff\xff\xff\x7f\x41", 0, 0),
};

static void test_hpack_values_are_masked(void **state)
{
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(hpack_cases); i++) {
		const struct hpack_case *test = &hpack_cases[i];
		char memory[MEMORY_BYTES] = {0};
		memcpy(memory + MARGIN, test->bytes, test->length);
		struct lh_recognizer_pass *pass = unit_pass_over(memory, sizeof(memory), sizeof(memory));
		size_t count;
		const struct lh_range *secrets = lh_recognizer_pass_secrets(pass, &count);
		assert_int_equal(count, test->masked_end > test->masked_start);
		if (count) {
			assert_int_equal(secrets[0].start, UNIT_BASE + MARGIN + test->masked_start);
			assert_int_equal(secrets[0].end, UNIT_BASE + MARGIN + test->masked_end);
		}
		lh_recognizer_pass_destroy(pass);
	}
}

/* ---------------------------------------------------------------- listed */

static void put_wide(uint8_t *ret, const char *text, size_t length, size_t width, bool is_big)
{
	for (size_t i = 0; i < length; i++)
		ret[i * width + (is_big ? width - 1 : 0)] = (uint8_t)text[i];
}

static void check_masked(const char *pattern, const struct example *example, enum lh_encoding encoding, size_t shift)
{
	uint8_t memory[MEMORY_BYTES] = {0}, expected[MEMORY_BYTES] = {0};
	size_t width = lh_encoding_width(encoding);
	bool is_big = encoding == LH_ENCODING_UTF16_BE || encoding == LH_ENCODING_UTF32_BE;
	struct lh_run_options options = {.min_chars = 4, .encoding = encoding};
	struct lh_list_mask mask = {0};
	put_wide(memory + MARGIN + shift, example->text, example->length, width, is_big);
	put_wide(expected + MARGIN + shift, example->masked, example->length, width, is_big);
	assert_success(lh_list_mask_init(&mask, &options));
	struct lh_block block = {.addr = UNIT_BASE, .data = memory, .bytes = sizeof(memory)};
	assert_success(lh_list_mask_block(&mask, &block));
	if (memcmp(block.data, expected, sizeof(memory)) != 0)
		FAIL_ROW("'%s', encoding %d: not '%s'\n", pattern, encoding, example->masked);
	lh_list_mask_deinit(&mask);
}

static const enum lh_encoding encodings[] = {
	LH_ENCODING_ASCII,    LH_ENCODING_LATIN,    LH_ENCODING_UTF8,     LH_ENCODING_UTF16_LE,
	LH_ENCODING_UTF16_BE, LH_ENCODING_UTF32_LE, LH_ENCODING_UTF32_BE,
};

static void check_listed(const struct lh_recognizer *recognizer, const struct lh_secret_form *form)
{
	struct example secret = split_example(form->secret), plain = split_example(form->plain);
	(void)recognizer;
	for (size_t i = 0; i < LH_ARRAY_COUNT(encodings); i++) {
		for (size_t shift = 0; shift < lh_encoding_width(encodings[i]); shift++) {
			check_masked(form->pattern, &secret, encodings[i], shift);
			check_masked(form->pattern, &plain, encodings[i], shift);
		}
	}
}

static void test_examples_are_masked_in_lists(void **state)
{
	(void)state;
	check_rows(check_listed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples_are_recognized),
		cmocka_unit_test(test_counterexamples_are_not),
		cmocka_unit_test(test_hpack_values_are_masked),
		cmocka_unit_test(test_examples_are_masked_in_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

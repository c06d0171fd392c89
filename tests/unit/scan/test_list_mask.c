/*
 * Secrets in what is listed: the same bytes are masked wherever memory is cut, for any number of threads, and for
 * any length of runs; they are those that are masked when all of memory is searched at once, and then read byte by
 * byte. Rows that find their patterns by themselves, against PCRE2.
 */
#include "unit.h"

#include "scan/recognize/recognize.h"
#include "scan/recognize/secret_finder.h"

#include "image/view.h"
#include "scan/text/list_mask.h"
#include "scan/text/runs.h"
#include "sweep/kernels.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#define BASE ((uint64_t)0x7f0000000000)

enum { LENGTH = 1500 * 1000 };

/* ---------------------------------------------------------------- memory */

/* All that must not be seen has capital S on both sides. */
static const char *const short_secrets[] = {
	"redis://user:SfirstS@host:6379/0",          "Cookie: sid=SsecondS; a=b",
	"{\"db_password\": \"SthirdS\", \"id\": 1}", "jwt eyJhbGciOiJub25lIn0.eyJzdWIiOiJqb2UifQ.SfourthS",
	"$4\r\nAUTH\r\n$8\r\nSfifthSS\r\n",          "Authorization: Bearer SsixthS0123456789abcdef",
};

struct made {
	uint8_t *bytes;
	size_t length;
};

static void put(struct made *made, const void *bytes, size_t length)
{
	if (LENGTH - made->length < length)
		return;
	memcpy(made->bytes + made->length, bytes, length);
	made->length += length;
}

static void put_text(struct made *made, const char *text)
{
	put(made, text, strlen(text));
}

/* A PEM key with lines of `line` characters and `separator` between them. */
static void put_pem(struct made *made, size_t lines, size_t line, const char *separator)
{
	put_text(made, "-----BEGIN RSA PRIVATE KEY-----");
	for (size_t i = 0; i < lines; i++) {
		put_text(made, separator);
		for (size_t k = 0; k < line; k += 8)
			put_text(made, "SkeyS012");
	}
	put_text(made, separator);
	put_text(made, "-----END RSA PRIVATE KEY-----\n");
}

/* RSAPrivateKey (RFC 8017 A.1.2) whose integers are printable. */
static void put_der(struct made *made, size_t integer_bytes)
{
	size_t content = 3 + 8 * (4 + integer_bytes);
	uint8_t head[] = {0x30, 0x82, (uint8_t)(content >> 8), (uint8_t)content, 2, 1, 0};
	uint8_t integer[] = {2, 0x82, (uint8_t)(integer_bytes >> 8), (uint8_t)integer_bytes};
	put(made, head, sizeof(head));
	for (unsigned i = 0; i < 8; i++) {
		put(made, integer, sizeof(integer));
		for (size_t k = 0; k < integer_bytes; k++)
			put_text(made, "S");
	}
}

static void put_noise(struct made *made, uint64_t *random)
{
	size_t length = unit_random(random) % 9000;
	unsigned texture = unit_random(random) % 4;
	for (size_t i = 0; i < length; i++) {
		uint64_t number = unit_random(random);
		uint8_t byte = (uint8_t)(texture == 0   ? number
					 : texture == 1 ? 'a' + number % 26
					 : texture == 2 ? 0
							: (number % 90 ? 'a' + number % 26 : '\n'));
		put(made, &byte, 1);
	}
}

static void put_secret(struct made *made, uint64_t *random)
{
	uint64_t kind = unit_random(random) % 12;
	if (kind < LH_ARRAY_COUNT(short_secrets))
		put_text(made, short_secrets[kind]);
	else if (kind == 6)
		put_pem(made, 2 + unit_random(random) % 700, 64, "\n");
	else if (kind == 7)
		put_pem(made, 2 + unit_random(random) % 300, 64, "\\n");
	else if (kind == 8)
		put_pem(made, 1, 400, "\n");
	else
		put_der(made, 256 + unit_random(random) % 400);
}

static struct made make_memory(uint64_t seed)
{
	struct made made = {.bytes = malloc(LENGTH)};
	assert_non_null(made.bytes);
	while (made.length + 60000 < LENGTH) {
		put_noise(&made, &seed);
		if (unit_random(&seed) % 3 == 0)
			put_secret(&made, &seed);
	}
	return made;
}

/* ---------------------------------------------------------------- what is to be listed */

struct listed {
	LH_VEC(char) text;
};

static void add_line(struct listed *listed, uint64_t offset, const uint8_t *bytes, size_t length)
{
	char address[32];
	int digits = snprintf(address, sizeof(address), "%lx ", offset);
	assert_success(lh_vec_reserve(&listed->text, (size_t)digits + length + 1));
	memcpy(listed->text.items + listed->text.count, address, (size_t)digits);
	memcpy(listed->text.items + listed->text.count + digits, bytes, length);
	listed->text.count += (size_t)digits + length;
	listed->text.items[listed->text.count++] = '\n';
}

static bool is_listed(uint8_t byte)
{
	return (byte >= ' ' && byte <= '~') || byte == '\t';
}

/* All of memory is searched and masked, then read byte by byte. */
static struct listed list_slowly(const struct made *made, size_t min_chars)
{
	LH_CLEANUP(lh_cleanup_secret_finder) struct lh_secret_finder *finder = NULL;
	const struct lh_range *found;
	size_t count;
	struct listed listed = {0};
	uint8_t *masked = malloc(made->length);
	assert_non_null(masked);
	memcpy(masked, made->bytes, made->length);
	assert_success(lh_secret_finder_create(&finder));
	struct lh_secret_search search = {.bytes = made->bytes, .length = made->length, .addr = BASE};
	assert_success(lh_secret_finder_find(finder, &search, (struct lh_span){0, made->length}, &found, &count));
	assert_true(count > 20);
	for (size_t i = 0; i < count; i++) {
		for (uint64_t at = found[i].start; at < found[i].end; at++)
			masked[at] = is_listed(masked[at]) ? '*' : masked[at];
	}
	for (size_t at = 0; at < made->length; at++) {
		size_t end = at;
		while (end < made->length && is_listed(masked[end]))
			end++;
		if (end - at >= min_chars)
			add_line(&listed, at, masked + at, end - at);
		at = end;
	}
	free(masked);
	return listed;
}

static void assert_same(const struct listed *listed, const struct listed *expected, const char *what)
{
	if (listed->text.count != expected->text.count)
		fail_msg("%s: more or fewer lines than expected", what);
	if (expected->text.count && listed->text.items &&
	    memcmp(listed->text.items, expected->text.items, listed->text.count) != 0)
		fail_msg("%s: other lines than expected", what);
}

/* ---------------------------------------------------------------- blocks of any size */

struct base_and_list {
	struct listed listed;
	uint64_t base;
};

static struct lh_error *add_run(void *context, const struct lh_run *run)
{
	struct base_and_list *to = context;
	add_line(&to->listed, run->addr - to->base, run->bytes, run->bytes_length);
	return NULL;
}

static struct listed list_blocks(const struct made *made, size_t min_chars, size_t block_bytes)
{
	struct base_and_list to = {.base = BASE};
	struct lh_run_options options = {.min_chars = min_chars};
	struct lh_list_mask mask = {0};
	struct lh_run_finder *runs = NULL;
	assert_success(lh_list_mask_init(&mask, &options));
	assert_success(lh_run_finder_create(&options, add_run, &to, &runs));
	for (size_t at = 0; at < made->length; at += block_bytes) {
		size_t left = made->length - at;
		struct lh_block block = {
			.addr = BASE + at,
			.file_offset = LH_NO_OFFSET,
			.data = made->bytes + at,
			.bytes = lh_min_u64(left, block_bytes),
			.bytes_before = lh_min_u64(at, LH_BLOCK_OVERLAP),
			.is_continued = at > 0,
		};
		block.bytes_after = lh_min_u64(left - block.bytes, LH_BLOCK_OVERLAP);
		assert_success(lh_list_mask_block(&mask, &block));
		assert_success(lh_run_finder_feed(runs, &block));
		lh_list_mask_begin(&mask);
	}
	assert_success(lh_run_finder_finish(runs));
	lh_run_finder_destroy(runs);
	lh_list_mask_deinit(&mask);
	return to.listed;
}

static const size_t minima[] = {4, 63, 64, 100, 300, 3000};

static void test_blocks_of_any_size(void **state)
{
	(void)state;
	static const size_t sizes[] = {LENGTH, 700 * 1000, 64 * 1024, 10007};
	struct made made = make_memory(11);
	for (size_t n = 0; n < LH_ARRAY_COUNT(minima); n++) {
		struct listed expected = list_slowly(&made, minima[n]);
		for (size_t i = 0; i < LH_ARRAY_COUNT(sizes); i++) {
			char what[64];
			snprintf(what, sizeof(what), "n=%zu, blocks of %zu", minima[n], sizes[i]);
			struct listed listed = list_blocks(&made, minima[n], sizes[i]);
			assert_same(&listed, &expected, what);
			lh_vec_deinit(&listed.text);
		}
		lh_vec_deinit(&expected.text);
	}
	free(made.bytes);
}

/* What each run alone would not make too much, is too much together. */
static void test_runs_made_to_take_long_are_given_up(void **state)
{
	enum { RUN_BYTES = 8192, WORD_BYTES = 7 };
	(void)state;
	struct made made = {.bytes = malloc(LENGTH), .length = LENGTH};
	assert_non_null(made.bytes);
	for (size_t i = 0; i < LENGTH; i++)
		made.bytes[i] = (i + 1) % RUN_BYTES ? (uint8_t) "cookie:"[i % WORD_BYTES] : 0;
	struct listed expected = list_slowly(&made, 100);
	struct listed listed = list_blocks(&made, 100, LENGTH);
	assert_same(&listed, &expected, "runs that take long");
	lh_vec_deinit(&listed.text);
	lh_vec_deinit(&expected.text);
	free(made.bytes);
}

/* ---------------------------------------------------------------- any number of threads */

static struct lh_error *create_part(void *context, void **ret)
{
	struct base_and_list *part = calloc(1, sizeof(*part));
	assert_non_null(part);
	part->base = ((struct base_and_list *)context)->base;
	*ret = part;
	return NULL;
}

static void destroy_part(void *part)
{
	lh_vec_deinit(&((struct base_and_list *)part)->listed.text);
	free(part);
}

static struct lh_error *add_runs(void *part, const struct lh_run_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct lh_run run = lh_run_of(batch, i);
		assert_success(add_run(part, &run));
	}
	return NULL;
}

static struct lh_error *write_part(void *context, void *part_context)
{
	struct base_and_list *to = context, *part = part_context;
	if (part->listed.text.count) {
		assert_success(lh_vec_reserve(&to->listed.text, part->listed.text.count));
		memcpy(to->listed.text.items + to->listed.text.count, part->listed.text.items, part->listed.text.count);
		to->listed.text.count += part->listed.text.count;
	}
	part->listed.text.count = 0;
	return NULL;
}

static struct listed list_image(const struct made *made, size_t min_chars, uint64_t base, unsigned threads)
{
	struct base_and_list to = {.base = base};
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	struct lh_list_options options = {.run = {.min_chars = min_chars}, .threads = threads};
	struct lh_list_output output = {
		.context = &to,
		.create_part = create_part,
		.destroy_part = destroy_part,
		.add = add_runs,
		.write = write_part,
	};
	assert_success(lh_image_open_bytes(made->bytes, made->length, base, &image));
	assert_success(lh_list_runs(image, &options, &output));
	return to.listed;
}

/* A stripe ends at a multiple of its size: another base is another cut. */
static void test_threads_and_stripes(void **state)
{
	(void)state;
	static const uint64_t shifts[] = {0, 8 * 4096, 100 * 4096, 255 * 4096};
	struct made made = make_memory(12);
	for (size_t n = 0; n < LH_ARRAY_COUNT(minima); n++) {
		struct listed expected = list_slowly(&made, minima[n]);
		for (size_t i = 0; i < LH_ARRAY_COUNT(shifts); i++) {
			for (unsigned threads = 1; threads <= 4; threads++) {
				char what[64];
				snprintf(what, sizeof(what), "n=%zu, %u threads", minima[n], threads);
				struct listed listed = list_image(&made, minima[n], BASE + shifts[i], threads);
				assert_same(&listed, &expected, what);
				lh_vec_deinit(&listed.text);
			}
		}
		lh_vec_deinit(&expected.text);
	}
	free(made.bytes);
}

static void test_nothing_secret_is_seen(void **state)
{
	(void)state;
	static const char *const unseen[] = {"SfirstS", "SsecondS", "SthirdS", "SfourthS",
					     "SfifthS", "SsixthS",  "SkeyS",   "SSSSSSSS"};
	struct made made = make_memory(13);
	for (size_t n = 0; n < LH_ARRAY_COUNT(minima); n++) {
		struct listed listed = list_blocks(&made, minima[n], 100 * 1000);
		for (size_t i = 0; i < LH_ARRAY_COUNT(unseen); i++) {
			assert_non_null(memmem(made.bytes, made.length, unseen[i], strlen(unseen[i])));
			const char *seen = memmem(listed.text.items, listed.text.count, unseen[i], strlen(unseen[i]));
			if (seen)
				fail_msg("n=%zu: %.300s", minima[n], seen - 150);
		}
		lh_vec_deinit(&listed.text);
	}
	free(made.bytes);
}

/* ---------------------------------------------------------------- rows with a `find` */

enum { FOUND_LINES = 64, FOUND_BYTES = (FOUND_LINES + 1) * LH_LINE_BYTES };

/* Of the bytes that the patterns speak of; or texts of base64, of UTF-16 and of Chinese. */
static void fill_for_patterns(uint8_t *bytes, unsigned texture, uint64_t *random)
{
	static const uint8_t alphabet[] = {0,   1,   2,   3,   4,   5,    0x0e, 0x16, 0x17, 0x1f, 0x48, 0x49,
					   '{', '[', '"', '}', ' ', '\n', '-',  '9',  '@',  'a',  'Z',  '+',
					   '_', '/', '.', ':', 'c', 'o',  'd',  'e',  'n',  't',  'i'};
	for (size_t i = 0; i < FOUND_BYTES; i++) {
		uint64_t number = unit_random(random);
		bool is_gap = number >> 32 & 127 ? false : true;
		uint8_t word = (uint8_t)(number % 2 ? 'a' + number / 2 % 26 : '+' + number / 2 % 15);
		bytes[i] = texture == 0   ? alphabet[number % sizeof(alphabet)]
			   : texture == 1 ? alphabet[number % 5]
			   : is_gap       ? (uint8_t)number
			   : texture == 2 ? word
			   : texture == 3 ? (i % 2 ? 0 : word)
					  : (uint8_t)(i % 3 ? 0x80 + number % 64 : 0xe3 + number % 11);
	}
}

/* Where the pattern matches, one place after the other: vectorscan 5.4.9 misses some of the last in its input. */
static size_t match_slowly(const char *pattern, const uint8_t *bytes, uint64_t ret_anchors[LH_FIND_LINES])
{
	int error;
	PCRE2_SIZE error_at;
	size_t count = 0;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED | PCRE2_DOTALL,
					 &error, &error_at, NULL);
	assert_non_null(code);
	assert_int_equal(pcre2_jit_compile(code, PCRE2_JIT_COMPLETE), 0);
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
	for (size_t at = 0; at < FOUND_LINES * LH_LINE_BYTES; at++) {
		uint64_t matches = pcre2_jit_match(code, bytes, FOUND_BYTES, at, 0, data, NULL) > 0;
		ret_anchors[at / LH_LINE_BYTES] |= matches << at % LH_LINE_BYTES;
		count += matches;
	}
	pcre2_match_data_free(data);
	pcre2_code_free(code);
	return count;
}

static void check_kernels(const struct lh_recognizer *row, const uint8_t *bytes,
			  uint64_t expected[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		uint64_t anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES] = {{0}};
		if (!(*kernel)->is_supported())
			continue;
		row->find(*kernel, bytes, FOUND_LINES, anchors);
		for (size_t i = 0; i < LH_OWN_PATTERNS_MAX * LH_FIND_LINES; i++) {
			size_t pattern = i / LH_FIND_LINES, line = i % LH_FIND_LINES;
			if (anchors[pattern][line] != expected[pattern][line])
				fail_msg("%s, %s, pattern %zu, line %zu: %lx, but %lx expected", row->name,
					 (*kernel)->name, pattern, line, anchors[pattern][line],
					 expected[pattern][line]);
		}
	}
}

/* A row that begins again where its last match ended gives only the first place of a run of its characters. */
static void drop_inside_runs(const uint8_t *bytes, uint64_t anchors[LH_FIND_LINES])
{
	for (size_t at = 1; at < FOUND_LINES * LH_LINE_BYTES; at++) {
		if (lh_byte_is(bytes[at - 1], LH_BYTES_BASE64))
			anchors[at / LH_LINE_BYTES] &= ~(UINT64_C(1) << at % LH_LINE_BYTES);
	}
}

static void check_row(const struct lh_recognizer *row, uint64_t random)
{
	uint8_t bytes[FOUND_BYTES];
	size_t count = 0;
	for (unsigned round = 0; round < 150; round++) {
		uint64_t expected[LH_OWN_PATTERNS_MAX][LH_FIND_LINES] = {{0}};
		fill_for_patterns(bytes, round % 5, &random);
		/* The end of what can be read: see lh_recognizer.find. */
		size_t readable = round % 3 ? FOUND_BYTES : FOUND_BYTES - unit_random(&random) % 300;
		memset(bytes + readable, 1, FOUND_BYTES - readable);
		for (unsigned pattern = 0; row->patterns[pattern]; pattern++)
			count += match_slowly(row->patterns[pattern], bytes, expected[pattern]);
		if (row->finds_rest)
			drop_inside_runs(bytes, expected[0]);
		check_kernels(row, bytes, expected);
	}
	if (count < 20)
		fail_msg("%s: nothing was tried", row->name);
}

static void test_rows_find_what_their_patterns_say(void **state)
{
	(void)state;
	for (unsigned row = 0; lh_recognizers[row]; row++) {
		if (lh_recognizers[row]->find)
			check_row(lh_recognizers[row], row + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_of_any_size),
		cmocka_unit_test(test_runs_made_to_take_long_are_given_up),
		cmocka_unit_test(test_threads_and_stripes),
		cmocka_unit_test(test_nothing_secret_is_seen),
		cmocka_unit_test(test_rows_find_what_their_patterns_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

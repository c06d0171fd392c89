/*
 * fuzz_kernels: every kernel that this machine runs against the scalar one, and the run finder over
 * two blocks against one. Input: encoding, minimum, capacity, cut (1, 2, 1, 2 bytes), then the memory.
 */
#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "scan/text/runs.h"
#include "sweep/kernels.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

enum { HEADER_BYTES = 6, SPANS_MOST = 4096 };

struct question {
	const uint8_t *data;
	size_t length;
	enum lh_encoding encoding;
	size_t min_chars;
	size_t capacity;
	size_t cut;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static size_t all_runs(const struct lh_kernel *kernel, const struct question *question, size_t capacity,
		       struct lh_span *cursor, struct lh_span *ret)
{
	size_t total = 0;
	size_t count;
	do {
		require(total + capacity <= SPANS_MOST);
		count = kernel->runs(question->data, question->length, question->encoding, question->min_chars, cursor,
				     ret + total, capacity);
		total += count;
	} while (count == capacity);
	return total;
}

static void compare_kernel(const struct lh_kernel *kernel, const struct question *question)
{
	static struct lh_span expected[SPANS_MOST], found[SPANS_MOST];
	struct lh_span expected_cursor = {0, 0}, cursor = {0, 0};
	size_t expected_count = all_runs(&lh_kernel_scalar, question, SPANS_MOST, &expected_cursor, expected);
	size_t count = all_runs(kernel, question, question->capacity, &cursor, found);
	require(count == expected_count && memcmp(found, expected, count * sizeof(*found)) == 0);
	require(cursor.start == expected_cursor.start && cursor.end == expected_cursor.end);
	require(kernel->prefix(question->data, question->length, question->encoding) ==
		lh_kernel_scalar.prefix(question->data, question->length, question->encoding));
	require(kernel->is_zero(question->data, question->length) ==
		lh_kernel_scalar.is_zero(question->data, question->length));
}

/* Sum over all runs, in which every place and byte counts. */
static struct lh_error *add_run(void *context, const struct lh_run *run)
{
	uint64_t *sum = context;
	*sum = *sum * 31 + run->addr;
	for (size_t i = 0; i < run->bytes_length; i++)
		*sum = *sum * 31 + run->bytes[i];
	return NULL;
}

static uint64_t sum_of_runs(const struct question *question, size_t cut, bool is_brief)
{
	uint64_t sum = 0;
	struct lh_run_options options = {.min_chars = question->min_chars, .encoding = question->encoding};
	struct lh_run_finder *finder;
	require(!lh_run_finder_create(&options, add_run, &sum, &finder));
	struct lh_block first = {.data = question->data, .bytes = cut, .is_brief = is_brief};
	struct lh_block second = {
		.addr = cut,
		.file_offset = cut,
		.data = question->data + cut,
		.bytes = question->length - cut,
		.is_continued = true,
		.is_brief = is_brief,
	};
	require(!lh_run_finder_feed(finder, &first));
	require(!lh_run_finder_feed(finder, &second));
	require(!lh_run_finder_finish(finder));
	lh_run_finder_destroy(finder);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
	if (length < HEADER_BYTES || length - HEADER_BYTES >= SPANS_MOST / 2)
		return 0;
	struct question question = {
		.length = length - HEADER_BYTES,
		.encoding = (enum lh_encoding)(input[0] % 6),
		.min_chars = 1 + (input[1] | (size_t)input[2] << 8) % 600,
		.capacity = 1 + input[3] % 8,
	};
	question.cut = question.length ? (input[4] | (size_t)input[5] << 8) % (question.length + 1) : 0;
	/* A piece of its own, so that the sanitizer sees a read past its end. */
	uint8_t *data = malloc(question.length + 1);
	require(data);
	memcpy(data + 1, input + HEADER_BYTES, question.length);
	question.data = data + 1;
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++)
		if ((*kernel)->is_supported())
			compare_kernel(*kernel, &question);
	uint64_t sum = sum_of_runs(&question, 0, false);
	require(sum_of_runs(&question, question.cut, false) == sum);
	require(sum_of_runs(&question, question.cut, true) == sum);
	free(data);
	return 0;
}

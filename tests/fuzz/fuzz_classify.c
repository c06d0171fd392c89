/*
 * fuzz: classifies any bytes, at any cut: no read outside of the readable bytes around them, and the classes add up to
 * the given bytes.
 */
#include "scan/classify.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE ((uint64_t)0x7f0000000000)

static struct lh_classifier *the_classifier(void)
{
	static struct lh_classifier classifier;
	if (classifier.kernel)
		return &classifier;
	if (lh_kernel_select(&classifier.kernel) ||
	    lh_vec_push(&classifier.mapped, (struct lh_range){BASE, BASE + 65536}) ||
	    lh_vec_push(&classifier.mapped, (struct lh_range){0x400000, 0x500000}))
		abort();
	classifier.filter = lh_word_filter_for(classifier.kernel);
	classifier.ranges = lh_word_ranges_over(classifier.mapped.items, classifier.mapped.count);
	return &classifier;
}

/* The first bytes say where the block lies and what of it is asked about. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { HEAD = 4 };
	if (size < HEAD)
		return 0;
	size_t length = size - HEAD, before = data[1] < length ? data[1] : 0;
	struct lh_block block = {
		.addr = BASE + data[0],
		.file_offset = LH_NO_OFFSET,
		.data = data + HEAD + before,
		.bytes = length - before,
		.bytes_before = before,
	};
	size_t start = data[2] % (block.bytes + 1);
	size_t end = block.bytes - data[3] % (block.bytes - start + 1);
	uint64_t sums[LH_REST_COUNT] = {0}, sum = 0;
	lh_classify(the_classifier(), &block, start, end, sums);
	for (size_t i = 0; i < LH_REST_COUNT; i++)
		sum += sums[i];
	if (sum != end - start)
		abort();
	return 0;
}

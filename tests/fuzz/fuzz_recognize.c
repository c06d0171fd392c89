/*
 * fuzz: all recognizers on any bytes, fed whole and cut into blocks: no read outside of the bytes
 * (each copy ends where its allocation ends), the same counts both ways, and no byte counted twice.
 * The seeds certificate.*, *-key.* and tls*.bin were made for this purpose by openssl 3.0 (req -x509, ecparam
 * -genkey, genpkey, and the streams of an s_client with an s_server); the others are written by hand.
 */
#include "leakhunt/scan.h"
#include "scan/recognize/recognizer_pass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE ((uint64_t)0x7f0000000000)

/* Making a pass takes longer than an input: the passes live on, and counts are compared as sums. */
static struct lh_recognizer_pass *whole, *cut;

static struct lh_recognizer_pass *make_pass(void)
{
	struct lh_recognizer_pass *pass = NULL;
	if (lh_recognizer_pass_create(false, &pass))
		abort();
	return pass;
}

static void feed(struct lh_recognizer_pass *pass, const uint8_t *data, size_t size, size_t block_bytes)
{
	for (size_t at = 0; at < size; at += block_bytes) {
		size_t here = lh_min_u64(size - at, block_bytes);
		struct lh_block block = {
			.addr = BASE + at,
			.data = data + at,
			.bytes = here,
			.bytes_before = lh_min_u64(at, LH_BLOCK_OVERLAP),
			.bytes_after = lh_min_u64(size - at - here, LH_BLOCK_OVERLAP),
			.is_continued = at > 0,
		};
		if (lh_recognizer_pass_feed(pass, &block))
			abort();
	}
}

static uint64_t counted_bytes(struct lh_recognizer_pass *pass)
{
	size_t count;
	if (lh_recognizer_pass_settle(pass))
		abort();
	const struct lh_class_count *classes = lh_recognizer_pass_classes(pass, &count);
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += classes[i].bytes;
	return bytes;
}

static void require_same_counts(void)
{
	size_t count;
	const struct lh_class_count *x = lh_recognizer_pass_classes(whole, &count);
	const struct lh_class_count *y = lh_recognizer_pass_classes(cut, &count);
	for (size_t i = 0; i < count; i++) {
		if (x[i].count == y[i].count && x[i].bytes == y[i].bytes && x[i].unchecked == y[i].unchecked)
			continue;
		fprintf(stderr, "%s: cutting changes what is counted\n", x[i].name);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	whole = make_pass();
	cut = make_pass();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before = counted_bytes(whole);
	feed(whole, data, size, size + 1);
	feed(cut, data, size, size ? 1 + data[0] : 1);
	if (counted_bytes(whole) - before > size)
		abort();
	(void)counted_bytes(cut);
	require_same_counts();
	return 0;
}

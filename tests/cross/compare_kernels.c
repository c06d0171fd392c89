/*
 * compare_kernels: a SIMD kernel of another architecture against the scalar one, on random memory of several
 * textures. Stands alone (no test library is needed there), so that it runs under qemu-user:
 *   aarch64-linux-gnu-gcc -static ... compare_kernels.c kernel_scalar.c kernel_neon.c
 * Prints one line; exit 1 and the question when the answers differ.
 */
#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "sweep/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATA_BYTES = 3000, SPANS = 4096, ROUNDS = 400 };

static const struct lh_kernel *const kernels[] = {
#ifdef __aarch64__
	&lh_kernel_neon,
#endif
#ifdef __x86_64__
	&lh_kernel_sse2,
#endif
};

static const size_t minima[] = {1, 2, 3, 4, 5, 8, 16, 32, 33, 62, 63, 64, 65, 95, 100, 127, 500};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Random bytes; text with rare gaps; words of 2 and 4 byte characters; almost all zero. */
static void fill(uint8_t *data, uint64_t *state, unsigned texture)
{
	for (size_t i = 0; i < DATA_BYTES; i++) {
		uint64_t random = next_random(state);
		uint8_t letter = (uint8_t)(' ' + random % 95);
		bool is_gap = random >> 32 & 1 ? random % 211 == 0 : random % 37 == 0;
		data[i] = texture == 0                 ? (uint8_t)random
			  : texture == 1               ? (is_gap ? (uint8_t)(random >> 40) : letter)
			  : texture == 4               ? (random % 500 ? 0 : letter)
			  : is_gap                     ? 1
			  : i % (texture == 2 ? 2 : 4) ? 0
						       : letter;
	}
}

static size_t all_runs(const struct lh_kernel *kernel, const uint8_t *data, size_t length, enum lh_encoding encoding,
		       size_t min_chars, size_t capacity, struct lh_span *cursor, struct lh_span *ret)
{
	size_t total = 0, count;
	do {
		count = kernel->runs(data, length, encoding, min_chars, cursor, ret + total, capacity);
		total += count;
	} while (count == capacity && total + capacity <= SPANS);
	return total;
}

static bool is_same(const struct lh_kernel *kernel, const uint8_t *data, size_t length, enum lh_encoding encoding,
		    size_t min_chars, size_t capacity)
{
	static struct lh_span expected[SPANS], found[SPANS];
	struct lh_span expected_cursor = {0, 0}, cursor = {0, 0};
	size_t expected_count =
		all_runs(&lh_kernel_scalar, data, length, encoding, min_chars, SPANS, &expected_cursor, expected);
	size_t count = all_runs(kernel, data, length, encoding, min_chars, capacity, &cursor, found);
	return count == expected_count && memcmp(found, expected, count * sizeof(*found)) == 0 &&
	       cursor.start == expected_cursor.start && cursor.end == expected_cursor.end &&
	       kernel->prefix(data, length, encoding) == lh_kernel_scalar.prefix(data, length, encoding) &&
	       kernel->is_zero(data, length) == lh_kernel_scalar.is_zero(data, length);
}

int main(void)
{
	static uint8_t data[DATA_BYTES];
	uint64_t state = 88172645463325252u;
	uint64_t answers = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		fill(data, &state, round % 5);
		size_t start = next_random(&state) % 70, length = next_random(&state) % (DATA_BYTES - start);
		size_t min_chars = minima[next_random(&state) % LH_ARRAY_COUNT(minima)];
		size_t capacity = round % 2 ? 1 + next_random(&state) % 9 : SPANS / 4;
		for (unsigned i = 0; i < LH_ARRAY_COUNT(kernels); i++) {
			for (unsigned encoding = LH_ENCODING_ASCII; encoding <= LH_ENCODING_UTF32_LE;
			     encoding++, answers++) {
				if (is_same(kernels[i], data + start, length, (enum lh_encoding)encoding, min_chars,
					    capacity))
					continue;
				printf("%s differs: round %u, encoding %u, min_chars %zu, length %zu, capacity %zu\n",
				       kernels[i]->name, round, encoding, min_chars, length, capacity);
				return EXIT_FAILURE;
			}
		}
	}
	printf("%llu answers of %zu kernel%s are the scalar one's\n", (unsigned long long)answers,
	       LH_ARRAY_COUNT(kernels), LH_ARRAY_COUNT(kernels) == 1 ? "" : "s");
	return answers ? EXIT_SUCCESS : EXIT_FAILURE;
}

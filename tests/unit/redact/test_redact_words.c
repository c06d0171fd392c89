/*
 * test_redact_words: which words of memory stay, and that texts of any width, keys and numbers of any form do not.
 */
#include "unit.h"

#include "image/view.h"
#include "redact/keyed_bytes.h"
#include "redact/redact_words.h"

#include <string.h>

enum { BASE = 0x55d2c0a41000, WORDS = 512 };

struct memory {
	uint64_t words[WORDS];
	struct lh_image *image;
	struct lh_heap *heap;
	struct lh_redactor redactor;
};

static void memory_init(struct memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	assert_success(lh_image_open_bytes(memory->words, sizeof(memory->words), BASE, &memory->image));
	assert_success(lh_heap_walk(memory->image, &memory->heap));
	assert_success(lh_redactor_init(&memory->redactor, memory->image, memory->heap));
	memcpy(memory->redactor.key, "sixteen bytes...", LH_REDACT_KEY_BYTES);
}

static void memory_deinit(struct memory *memory)
{
	lh_redactor_deinit(&memory->redactor);
	lh_cleanup_heap(&memory->heap);
	lh_cleanup_image(&memory->image);
}

static uint64_t redact_word(struct memory *memory, uint64_t word)
{
	uint64_t words[3] = {0, word, 0};
	assert_success(lh_redact_memory(&memory->redactor, BASE, (uint8_t *)words, sizeof(words)));
	return words[1];
}

/* The vectors of the paper's authors (github.com/veorq/SipHash, vectors.h): key 0, 1, ... 15, message 0, 1, ... */
static void test_keyed_hash_is_siphash(void **state)
{
	(void)state;
	uint8_t key[LH_REDACT_KEY_BYTES], message[8];
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (unsigned i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(8 + i);
	assert_int_equal(lh_keyed_hash(key, message, 7, 0x0706050403020100), 0xa129ca6149be45e5);
}

static void test_pointers_and_small_numbers_stay(void **state)
{
	(void)state;
	struct memory memory LH_CLEANUP(memory_deinit);
	memory_init(&memory);
	const uint64_t kept[] = {0,
				 BASE,
				 BASE + 8 * WORDS,               /* an end */
				 (BASE + 64) ^ (BASE + 8) >> 12, /* PROTECT_PTR of the word at BASE + 8 */
				 (BASE + 8) >> 12,               /* that of NULL */
				 0x21,
				 0x616263,           /* three letters: it may be a size */
				 0x8000002,          /* a mapped chunk: pages and a flag */
				 0x0007000700010000, /* counts of a tcache */
				 0x0000000500000003,
				 UINT64_MAX};
	for (size_t i = 0; i < LH_ARRAY_COUNT(kept); i++)
		assert_int_equal(redact_word(&memory, kept[i]), kept[i]);
}

static void test_texts_and_values_do_not(void **state)
{
	(void)state;
	struct memory memory LH_CLEANUP(memory_deinit);
	memory_init(&memory);
	const uint64_t replaced[] = {0x6f77737361703a31,  /* "1:passwo" */
				     0x0000000064636261,  /* "abcd" */
				     0x0000006200000061,  /* "ab" of 4 bytes each */
				     0x0064006300620061,  /* "abcd" of 2 bytes each */
				     0x3ff0cccccccccccd,  /* a floating-point number */
				     0x9e3779b97f4a7c15,  /* a key */
				     BASE - 0x100000000}; /* an address of nothing */
	for (size_t i = 0; i < LH_ARRAY_COUNT(replaced); i++) {
		uint64_t after = redact_word(&memory, replaced[i]);
		assert_int_not_equal(after, replaced[i]);
		assert_int_equal(after, redact_word(&memory, replaced[i]));
		for (unsigned byte = 0; byte < 8; byte++) /* zeros stay, and nothing else becomes zero */
			assert_int_equal(!(after >> 8 * byte & 0xff), !(replaced[i] >> 8 * byte & 0xff));
	}
}

/* A text that fills its block to the end is followed by the next one's size, which looks like its last letter. */
static void test_text_becomes_letters_and_what_follows_stays(void **state)
{
	(void)state;
	struct memory memory LH_CLEANUP(memory_deinit);
	memory_init(&memory);
	struct {
		char text[24];
		uint64_t pointer;
		char again[24];
		uint64_t zero;
	} bytes = {"GET /login?password=hun", BASE + 8, "GET /login?password=hun", 0};
	assert_success(lh_redact_memory(&memory.redactor, BASE, (uint8_t *)&bytes, sizeof(bytes)));
	assert_int_equal(bytes.pointer, BASE + 8);
	assert_int_equal(strlen(bytes.text), 23);
	assert_int_equal(strspn(bytes.text, "abcdefghijklmnopqrstuvwxyz"), 23);
	assert_string_equal(bytes.text, bytes.again);
	assert_null(strstr(bytes.text, "login"));
	const struct lh_redaction *counts = &memory.redactor.counts;
	assert_int_equal(counts->replaced_bytes, 48);
	assert_int_equal(counts->pointer_bytes, 8);
	assert_int_equal(counts->zero_bytes, 8);
}

/* The last bytes of a value, and the first of the pointer behind it, look like a text that begins with a name. */
static void test_value_that_ends_like_a_short_name(void **state)
{
	(void)state;
	struct memory memory LH_CLEANUP(memory_deinit);
	memory_init(&memory);
	assert_success(lh_vec_push(&memory.redactor.names, "Orx"));
	uint64_t words[2], before;
	memcpy(&before, "J\0\0\0\x80Orx", sizeof(before));
	words[0] = before;
	words[1] = BASE + 'G';
	assert_success(lh_redact_memory(&memory.redactor, BASE, (uint8_t *)words, sizeof(words)));
	assert_int_not_equal(words[0], before);
	assert_int_equal(words[1], BASE + 'G');
}

static void test_other_key_other_bytes(void **state)
{
	(void)state;
	struct memory memory LH_CLEANUP(memory_deinit);
	memory_init(&memory);
	uint64_t before = redact_word(&memory, 0x6f77737361703a31);
	memory.redactor.key[3] ^= 1;
	assert_int_not_equal(before, redact_word(&memory, 0x6f77737361703a31));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keyed_hash_is_siphash),
		cmocka_unit_test(test_pointers_and_small_numbers_stay),
		cmocka_unit_test(test_texts_and_values_do_not),
		cmocka_unit_test(test_text_becomes_letters_and_what_follows_stays),
		cmocka_unit_test(test_value_that_ends_like_a_short_name),
		cmocka_unit_test(test_other_key_other_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

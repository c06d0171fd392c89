/*
 * The patterns of recognizers that were compiled when leakhunt was built: they are the ones of the table, they are
 * used, and where they can't be, compiling finds the same places. The bytes searched are those of this program's own
 * file.
 */
#include "unit.h"

#include "scan/recognize/recognize_patterns.h"

#include <xxhash.h>

struct hits {
	uint64_t count;
	uint64_t sum; /* of hashes of pattern and place: in any order */
};

static int add_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	(void)from;
	(void)flags;
	struct hits *hits = context;
	uint64_t key[2] = {id, to};
	hits->count++;
	hits->sum += XXH3_64bits(key, sizeof(key));
	return 0;
}

static struct hits hits_of(const struct lh_pattern_set_compiled *set, const char *bytes, size_t length)
{
	struct hits hits = {0};
	hs_scratch_t *scratch = NULL;
	assert_int_equal(hs_alloc_scratch(set->database, &scratch), HS_SUCCESS);
	assert_int_equal(hs_scan(set->database, bytes, (unsigned)length, 0, scratch, add_hit, &hits), HS_SUCCESS);
	hs_free_scratch(scratch);
	return hits;
}

static void test_what_is_stored_is_what_compiling_gives(void **state)
{
	(void)state;
	static const hs_platform_info_t any_processor = {.tune = HS_TUNE_FAMILY_GENERIC};
	for (unsigned set = 0; set < LH_PATTERNS_ALL_COUNT; set++) {
		const struct lh_stored_patterns *stored = &lh_stored_patterns[set];
		struct lh_pattern_set_compiled compiled;
		assert_success(lh_patterns_compile(set, &any_processor, &compiled));
		assert_int_equal(stored->pattern_count, compiled.pattern_count);
		for (unsigned i = 0; i < compiled.pattern_count; i++)
			assert_int_equal(stored->pattern_bytes[i], compiled.patterns[i].bytes);
		assert_int_equal(!stored->database, !compiled.database);
		if (!compiled.database)
			continue;
		char *bytes;
		size_t length;
		assert_int_equal(hs_serialize_database(compiled.database, &bytes, &length), HS_SUCCESS);
		assert_int_equal(stored->database_bytes, length);
		assert_memory_equal(stored->database, bytes, length);
		free(bytes);
		hs_free_database(compiled.database);
	}
}

static void test_stored_patterns_are_used(void **state)
{
	(void)state;
	for (unsigned set = 0; set < LH_PATTERNS_ALL_COUNT; set++) {
		hs_scratch_t *scratch = NULL;
		const struct lh_pattern_set_compiled *patterns;
		assert_success(lh_patterns_get(set, &scratch, &patterns));
		assert_true(patterns->is_stored);
		hs_free_scratch(scratch);
	}
}

/* A word of the database's head changed: another version, another processor, another length or checksum; or of its end.
 */
static void test_what_does_not_suit_is_compiled(void **state)
{
	(void)state;
	struct lh_buffer own LH_CLEANUP(lh_buffer_deinit) = {0};
	assert_success(lh_file_read("/proc/self/exe", LH_GIB, &own));
	const struct lh_stored_patterns *stored = &lh_stored_patterns[LH_PATTERNS_BINARY];
	struct lh_pattern_set_compiled used, compiled;
	assert_success(lh_patterns_make(LH_PATTERNS_BINARY, stored, &used));
	assert_true(used.is_stored);
	struct hits expected = hits_of(&used, own.data, own.length);
	assert_true(expected.count > 0);
	size_t words = stored->database_bytes / sizeof(uint32_t);
	size_t changed[] = {0, 1, 2, 3, 5, words / 2};
	for (size_t i = 0; i < LH_ARRAY_COUNT(changed); i++) {
		uint32_t *copy = malloc(stored->database_bytes);
		assert_non_null(copy);
		memcpy(copy, stored->database, stored->database_bytes);
		copy[changed[i]] ^= 0x01010101;
		struct lh_stored_patterns other = *stored;
		other.database = (const uint64_t *)copy;
		assert_success(lh_patterns_make(LH_PATTERNS_BINARY, &other, &compiled));
		assert_false(compiled.is_stored);
		assert_int_equal(compiled.longest_bytes, used.longest_bytes);
		struct hits hits = hits_of(&compiled, own.data, own.length);
		assert_int_equal(hits.count, expected.count);
		assert_int_equal(hits.sum, expected.sum);
		hs_free_database(compiled.database);
		free(copy);
	}
	hs_free_database(used.database);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_stored_is_what_compiling_gives),
		cmocka_unit_test(test_stored_patterns_are_used),
		cmocka_unit_test(test_what_does_not_suit_is_compiled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

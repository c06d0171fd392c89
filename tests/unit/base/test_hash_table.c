/* hash_table against a plain array, with keys that collide, and as an index of items whose hashes are equal. */
#include "unit.h"

#include "leakhunt/hash_table.h"

static void test_empty_table(void **state)
{
	(void)state;
	struct lh_hash_table table = {0};
	uint32_t number = 7;
	assert_false(lh_hash_table_find(&table, 0, &number));
	assert_false(lh_hash_table_find(&table, UINT64_MAX, &number));
	assert_int_equal(number, 7);
	lh_hash_table_clear(&table);
	lh_hash_table_deinit(&table);
}

static void test_edge_keys(void **state)
{
	(void)state;
	static const uint64_t keys[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63};
	struct lh_hash_table table = {0};
	uint32_t number;
	for (size_t i = 0; i < LH_ARRAY_COUNT(keys); i++)
		assert_success(lh_hash_table_put(&table, keys[i], (uint32_t)(UINT32_MAX - i)));
	for (size_t i = 0; i < LH_ARRAY_COUNT(keys); i++) {
		assert_true(lh_hash_table_find(&table, keys[i], &number));
		assert_int_equal(number, UINT32_MAX - i);
	}
	assert_success(lh_hash_table_put(&table, 0, 5));
	assert_true(lh_hash_table_find(&table, 0, &number));
	assert_int_equal(number, 5);
	assert_int_equal(table.count, LH_ARRAY_COUNT(keys));
	lh_hash_table_clear(&table);
	assert_false(lh_hash_table_find(&table, 0, &number));
	assert_int_equal(table.count, 0);
	lh_hash_table_deinit(&table);
}

/* Few different keys, so that many are put twice. */
static void test_random_keys(void **state)
{
	(void)state;
	enum { KEYS = 5000, STEPS = 40000 };
	struct lh_hash_table table = {0};
	uint64_t *keys = calloc(KEYS, sizeof(*keys)), random = 88172645463325252u;
	uint32_t *numbers = calloc(KEYS, sizeof(*numbers)), number; /* 0: not put */
	assert_non_null(keys);
	assert_non_null(numbers);
	for (size_t i = 0; i < KEYS; i++)
		keys[i] = i % 2 ? unit_random(&random) : 0x7f0000000000 + i * 64;
	for (uint32_t step = 1; step <= STEPS; step++) {
		size_t at = unit_random(&random) % (KEYS / 2);
		assert_success(lh_hash_table_put(&table, keys[at], step));
		numbers[at] = step;
	}
	size_t count = 0;
	for (size_t i = 0; i < KEYS; i++) {
		assert_int_equal(lh_hash_table_find(&table, keys[i], &number), numbers[i] != 0);
		if (numbers[i])
			assert_int_equal(number, numbers[i]);
		count += numbers[i] != 0;
	}
	assert_int_equal(table.count, count);
	assert_true(table.slot_count >= 2 * count);
	lh_hash_table_deinit(&table);
	free(keys);
	free(numbers);
}

/* The inverse of the multiplier makes keys that all belong into the first slot. */
static void test_colliding_keys(void **state)
{
	(void)state;
	uint64_t inverse = 1;
	uint32_t number;
	for (int i = 0; i < 6; i++)
		inverse *= 2 - UINT64_C(0x9e3779b97f4a7c15) * inverse;
	assert_true(inverse * UINT64_C(0x9e3779b97f4a7c15) == 1);
	struct lh_hash_table table = {0};
	for (uint32_t i = 0; i < 1000; i++)
		assert_success(lh_hash_table_put(&table, i * inverse, i));
	for (uint32_t i = 0; i < 1000; i++) {
		assert_true(lh_hash_table_find(&table, i * inverse, &number));
		assert_int_equal(number, i);
	}
	assert_false(lh_hash_table_find(&table, 1000 * inverse, &number));
	lh_hash_table_deinit(&table);
}

static void test_reserve_keeps_slots(void **state)
{
	(void)state;
	struct lh_hash_table table = {0};
	assert_success(lh_hash_table_reserve(&table, 1000));
	const struct lh_hash_slot *slots = table.slots;
	for (uint32_t i = 0; i < 1000; i++)
		assert_success(lh_hash_table_put(&table, i, i));
	assert_ptr_equal(table.slots, slots);
	assert_failure(lh_hash_table_reserve(&table, (size_t)UINT32_MAX + 1), LH_ERROR_NO_MEMORY);
	assert_int_equal(table.count, 1000);
	lh_hash_table_deinit(&table);
}

/* Items of one hash, each found by itself. */
static void test_equal_hashes(void **state)
{
	(void)state;
	struct lh_hash_table table = {0};
	for (uint32_t item = 0; item < 100; item++) {
		uint64_t key = item % 3;
		uint32_t number;
		while (lh_hash_table_find(&table, key, &number)) {
			assert_true(number < item && number % 3 == item % 3);
			key = lh_hash_table_next_key(key);
		}
		assert_success(lh_hash_table_put(&table, key, item));
	}
	assert_int_equal(table.count, 100);
	lh_hash_table_deinit(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_table),         cmocka_unit_test(test_edge_keys),
		cmocka_unit_test(test_random_keys),         cmocka_unit_test(test_colliding_keys),
		cmocka_unit_test(test_reserve_keeps_slots), cmocka_unit_test(test_equal_hashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

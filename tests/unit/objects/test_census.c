/*
 * test_census: pointers into modules are counted by the address they hold, exactly and within bounds.
 */
#include "core_builder.h"

#include "leakhunt/scan.h"

/* Two clusters of modules with a gap inside the second, as a program and its libraries have. */
#define MODULES                                                                                  \
	"[{\"start\":\"0x555500000000\",\"end\":\"0x555500010000\",\"path\":\"/none/program\"}," \
	"{\"start\":\"0x7f0000000000\",\"end\":\"0x7f0001000000\",\"path\":\"/none/a.so\"},"     \
	"{\"start\":\"0x7f0002000000\",\"end\":\"0x7f0002001000\",\"path\":\"/none/b.so\"}]"

static const struct lh_range modules[] = {
	{0x555500000000, 0x555500010000},
	{0x7f0000000000, 0x7f0001000000},
	{0x7f0002000000, 0x7f0002001000},
};

struct fixture {
	struct core_builder core;
	struct lh_image *image;
	struct lh_symbols *symbols;
	struct lh_census_pass *pass;
	struct lh_census census;
};

static void open_fixture(struct fixture *fixture, const char *module_json)
{
	*fixture = (struct fixture){0};
	core_begin(&fixture->core);
	core_add_json(&fixture->core, 3, module_json);
	core_end(&fixture->core);
	fixture->image = core_open(&fixture->core);
	assert_success(lh_symbols_open(fixture->image, "/", &fixture->symbols));
	assert_success(lh_census_pass_create(fixture->image, &fixture->pass));
}

static void close_fixture(struct fixture *fixture)
{
	lh_census_deinit(&fixture->census);
	lh_census_pass_destroy(fixture->pass);
	lh_symbols_close(fixture->symbols);
	lh_image_close(fixture->image);
	core_deinit(&fixture->core);
}

static void feed(struct fixture *fixture, uint64_t addr, const void *data, size_t bytes, size_t after)
{
	struct lh_block block = {.addr = addr, .data = data, .bytes = bytes, .bytes_after = after};
	assert_success(lh_census_pass_feed(fixture->pass, &block));
}

static void finish(struct fixture *fixture)
{
	assert_success(lh_census_pass_finish(fixture->pass, fixture->symbols, 100, &fixture->census));
}

static bool is_pointer(uint64_t word)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(modules); i++) {
		if (modules[i].start <= word && word < modules[i].end)
			return true;
	}
	return false;
}

/* Words at and around every border, and random ones; checked against the plain definition. */
static uint64_t some_word(uint64_t *random)
{
	uint64_t number = unit_random(random);
	const struct lh_range *module = &modules[number % LH_ARRAY_COUNT(modules)];
	switch ((number >> 8) % 8) {
	case 0:
		return module->start - 1 + (number >> 16) % 3;
	case 1:
		return module->end - 1 + (number >> 16) % 3;
	case 2:
		return module->start + (number >> 16) % 64 * 8;
	case 3:
		return module->end + (number >> 16) % 0x1000000;
	case 4:
		return (number >> 16) % 3;
	default:
		return number;
	}
}

enum { WORDS = 100003 };

static void counts_are_exact(void **state)
{
	(void)state;
	struct fixture fixture;
	uint64_t random = 42, pointers = 0;
	uint64_t *words = malloc(WORDS * sizeof(*words));
	assert_non_null(words);
	open_fixture(&fixture, MODULES);
	for (size_t i = 0; i < WORDS; i++) {
		words[i] = some_word(&random);
		pointers += is_pointer(words[i]);
	}
	feed(&fixture, 0x1000, words, WORDS * sizeof(*words), 0);
	finish(&fixture);
	assert_int_equal(fixture.census.word_count, WORDS);
	assert_int_equal(fixture.census.pointer_count, pointers);
	assert_int_equal(fixture.census.dropped_count, 0);
	uint64_t total = 0;
	for (size_t row = 0; row < fixture.census.rows.count; row++) {
		const struct lh_census_row *item = &fixture.census.rows.items[row];
		uint64_t count = 0;
		for (size_t i = 0; i < WORDS && row < 50; i++)
			count += words[i] == item->target_addr;
		if (row < 50)
			assert_int_equal(item->count, count);
		assert_true(!row || item[-1].count >= item->count);
		assert_int_equal(words[(item->example_addr - 0x1000) / 8], item->target_addr);
		total += item->count;
	}
	assert_int_equal(total, pointers);
	free(words);
	close_fixture(&fixture);
}

/* The smallest distance between neighbors, by the plain definition; the same when it is added up from parts. */
static void distances_are_between_neighbors(void **state)
{
	(void)state;
	enum { PLACES = 9 };
	static const uint64_t places[PLACES] = {5, 12, 19, 26, 33, 90, 97, 300, 302};
	uint64_t words[310] = {0};
	for (size_t i = 0; i < PLACES; i++)
		words[places[i]] = 0x7f0000000040;
	words[7] = 0x555500000000;
	for (size_t cut = 0; cut <= 310; cut += 31) {
		struct fixture fixture;
		struct lh_census_pass *part;
		open_fixture(&fixture, MODULES);
		assert_success(lh_census_pass_create(fixture.image, &part));
		feed(&fixture, 0x1000, words, cut * 8, 0);
		struct lh_block rest = {
			.addr = 0x1000 + cut * 8, .data = (uint8_t *)(words + cut), .bytes = (310 - cut) * 8};
		assert_success(lh_census_pass_feed(part, &rest));
		lh_census_pass_merge(fixture.pass, part);
		lh_census_pass_destroy(part);
		finish(&fixture);
		const struct lh_census_row *row = &fixture.census.rows.items[0];
		assert_int_equal(row->count, PLACES);
		assert_int_equal(row->example_addr, 0x1000 + 5 * 8);
		assert_int_equal(row->distance_bytes, 2 * 8);
		assert_int_equal(row->distance_count, 1);
		assert_int_equal(fixture.census.rows.items[1].distance_bytes, 0);
		close_fixture(&fixture);
	}
}

/* No more names are looked up than are wanted, but all rows are there. */
static void names_are_looked_up_as_far_as_wanted(void **state)
{
	(void)state;
	struct fixture fixture;
	uint64_t words[3] = {0x7f0000000000, 0x7f0000000008, 0x7f0000000010};
	open_fixture(&fixture, MODULES);
	feed(&fixture, 0, words, sizeof(words), 0);
	assert_success(lh_census_pass_finish(fixture.pass, fixture.symbols, 0, &fixture.census));
	assert_int_equal(fixture.census.rows.count, 3);
	assert_int_equal(fixture.census.named_count, 0);
	close_fixture(&fixture);
}

/* Aligned is what the address says, wherever the bytes lie here. */
static void alignment_is_that_of_the_address(void **state)
{
	(void)state;
	struct fixture fixture;
	uint8_t bytes[64] = {0};
	uint64_t pointer = 0x7f0000000010;
	memcpy(bytes + 5, &pointer, 8);  /* at 0x1008 */
	memcpy(bytes + 20, &pointer, 8); /* at 0x1017: not aligned */
	open_fixture(&fixture, MODULES);
	feed(&fixture, 0x1003, bytes, sizeof(bytes), 0);
	finish(&fixture);
	assert_int_equal(fixture.census.pointer_count, 1);
	assert_int_equal(fixture.census.word_count, 7);
	assert_int_equal(fixture.census.rows.items[0].example_addr, 0x1008);
	assert_string_equal(fixture.census.rows.items[0].symbol.module_name, "a.so");
	assert_string_equal(fixture.census.rows.items[0].symbol.name, "+0x10");
	close_fixture(&fixture);
}

/* Blocks that cut a word in two: it belongs to the first. */
static void a_word_across_blocks_counts_once(void **state)
{
	(void)state;
	struct fixture fixture;
	uint64_t words[4] = {0, 0x7f0002000000, 0x555500000000, 1};
	const uint8_t *bytes = (const uint8_t *)words;
	open_fixture(&fixture, MODULES);
	feed(&fixture, 0x2000, bytes, 12, 20);
	feed(&fixture, 0x200c, bytes + 12, 20, 0);
	feed(&fixture, 0x3000, bytes + 8, 7, 0);
	feed(&fixture, 0x3001, bytes + 8, 3, 0);
	finish(&fixture);
	assert_int_equal(fixture.census.word_count, 4);
	assert_int_equal(fixture.census.pointer_count, 2);
	close_fixture(&fixture);
}

static void a_full_table_drops_and_says_so(void **state)
{
	(void)state;
	struct fixture fixture;
	enum { DISTINCT = 900000 };
	uint64_t *words = malloc(DISTINCT * sizeof(*words));
	assert_non_null(words);
	for (uint64_t i = 0; i < DISTINCT; i++)
		words[i] = 0x7f0000000000 + i * 8;
	open_fixture(&fixture, MODULES);
	feed(&fixture, 0, words, DISTINCT * sizeof(*words), 0);
	feed(&fixture, 0, words, 16, 0); /* known ones are counted on */
	finish(&fixture);
	assert_int_equal(fixture.census.pointer_count, DISTINCT + 2);
	assert_true(fixture.census.rows.count < DISTINCT);
	assert_int_equal(fixture.census.rows.items[0].count, 2);
	assert_int_equal(fixture.census.rows.count + 2 + fixture.census.dropped_count, DISTINCT + 2);
	free(words);
	close_fixture(&fixture);
}

static void without_modules_nothing_is_a_pointer(void **state)
{
	(void)state;
	struct fixture fixture;
	uint64_t words[16] = {0};
	open_fixture(&fixture, "[]");
	feed(&fixture, 0, words, sizeof(words), 0);
	finish(&fixture);
	assert_int_equal(fixture.census.word_count, 16);
	assert_int_equal(fixture.census.pointer_count, 0);
	assert_int_equal(fixture.census.rows.count, 0);
	close_fixture(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_exact),
		cmocka_unit_test(distances_are_between_neighbors),
		cmocka_unit_test(names_are_looked_up_as_far_as_wanted),
		cmocka_unit_test(alignment_is_that_of_the_address),
		cmocka_unit_test(a_word_across_blocks_counts_once),
		cmocka_unit_test(a_full_table_drops_and_says_so),
		cmocka_unit_test(without_modules_nothing_is_a_pointer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

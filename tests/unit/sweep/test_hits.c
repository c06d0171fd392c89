/*
 * test_hits: each word that holds a target or fits a pattern is a hit, and no other: compared with the plain
 * definition, on words at every border, on texts, and on random words.
 */
#include "core_builder.h"

#include "leakhunt/sweep.h"

enum { WORDS = 1 << 16 };
static const uint64_t base_addr = 0x7f1234560000; /* above all targets */

static const uint64_t targets[] = {0x555500000010, 0x555500000ff8, 0x7f0000001000};

/* Bounded high halves first; with one more, a pattern leaves the high half open. */
static const struct lh_word_pattern patterns[] = {
	{.first = 0xb8ac9bdf, .last = 0xb8ac9bdf, .high_max = 0},
	{.first = 0x00010001, .last = 0x0001ffff, .high_max = 0x5123},
	{.is_own_address = true, .offset = -256},
	{.is_own_address = true, .offset = 8},
	{.first = 0x50435245, .last = 0x50435246, .high_max = UINT32_MAX},
};

struct hits {
	size_t patterns;
	uint64_t words[WORDS];
	size_t at;    /* no hit was expected and missed before it */
	size_t count; /* of hits so far */
};

/* The index of the target, or of the first pattern + the number of targets; SIZE_MAX: no hit. */
static size_t expected_target(const struct hits *hits, size_t at)
{
	uint64_t word = hits->words[at], addr = base_addr + at * 8;
	for (size_t i = 0; i < LH_ARRAY_COUNT(targets); i++) {
		if (word == targets[i])
			return i;
	}
	for (size_t i = 0; i < hits->patterns; i++) {
		const struct lh_word_pattern *pattern = &patterns[i];
		uint64_t low = word & UINT32_MAX;
		bool fits = pattern->is_own_address
				    ? word == addr + (uint64_t)(int64_t)pattern->offset
				    : low >= pattern->first && low <= pattern->last && word >> 32 <= pattern->high_max;
		if (fits)
			return LH_ARRAY_COUNT(targets) + i;
	}
	return SIZE_MAX;
}

static struct lh_error *check_hit(void *context, const struct lh_hit *hit)
{
	struct hits *hits = context;
	size_t at = (hit->addr - base_addr) / 8;
	for (; hits->at < at; hits->at++)
		assert_int_equal(expected_target(hits, hits->at), SIZE_MAX);
	assert_int_equal(hit->target, expected_target(hits, at));
	hits->at = at + 1;
	hits->count++;
	return NULL;
}

static uint64_t some_hit_word(uint64_t *random, uint64_t addr)
{
	uint64_t number = unit_random(random), near = (number >> 32) % 3 - 1;
	const struct lh_word_pattern *pattern = &patterns[(number >> 8) % LH_ARRAY_COUNT(patterns)];
	uint64_t high = (number >> 16) % 2 ? pattern->high_max + near : number >> 40;
	switch (number % 8) {
	case 0:
		return targets[(number >> 8) % LH_ARRAY_COUNT(targets)] + near;
	case 1:
		return addr + (uint64_t)(int64_t)pattern->offset + near;
	case 2:
		return high << 32 | (pattern->first + (uint32_t)near);
	case 3:
		return high << 32 | (pattern->last + (uint32_t)near);
	case 4:
		return 0x2020202020202020 | number; /* a text */
	default:
		return number >> number % 64;
	}
}

static void check_patterns(size_t count)
{
	struct core_builder core;
	struct lh_hit_set *set;
	struct hits *hits = calloc(1, sizeof(*hits));
	assert_non_null(hits);
	hits->patterns = count;
	uint64_t random = 5 + count;
	for (size_t i = 0; i < WORDS; i++)
		hits->words[i] = some_hit_word(&random, base_addr + i * 8);
	core_begin(&core);
	core_add_load(&core, base_addr, sizeof(hits->words), hits->words, sizeof(hits->words), PF_R | PF_W);
	core_end(&core);
	struct lh_image *image = core_open(&core);
	assert_success(lh_hit_set_create(targets, LH_ARRAY_COUNT(targets), &set));
	lh_hit_set_add_patterns(set, patterns, count);
	struct lh_hit_walk walk = {.image = image, .threads = 2, .set = set, .visit = check_hit, .context = hits};
	assert_success(lh_hits_walk(&walk));
	for (; hits->at < WORDS; hits->at++)
		assert_int_equal(expected_target(hits, hits->at), SIZE_MAX);
	assert_true(hits->count > WORDS / 50);
	lh_hit_set_destroy(set);
	lh_image_close(image);
	core_deinit(&core);
	free(hits);
}

static void hits_are_those_of_the_definition(void **state)
{
	(void)state;
	for (size_t count = 0; count <= LH_ARRAY_COUNT(patterns); count++)
		check_patterns(count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hits_are_those_of_the_definition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * unit: what every unit test includes: cmocka with its preamble, and assertions on lh_error.
 */
#ifndef LEAKHUNT_TESTS_UNIT_H
#define LEAKHUNT_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "leakhunt/base.h"

#include <stdlib.h>
#include <string.h>

/* Ends the test as skipped; scripts/check.sh prints the reason. */
#define skip_because(reason)                              \
	do {                                              \
		print_message("# because: " reason "\n"); \
		skip();                                   \
	} while (0)

/* The call succeeds; else its message is shown. */
#define assert_success(call)                                                             \
	do {                                                                             \
		struct lh_error *unit_error_ = (call);                                   \
		if (unit_error_)                                                         \
			fail_msg("unexpected error: %s", lh_error_message(unit_error_)); \
	} while (0)

/* The call fails with this code. */
#define assert_failure(call, expected_code)                                    \
	do {                                                                   \
		struct lh_error *unit_error_ = (call);                         \
		assert_non_null(unit_error_);                                  \
		assert_int_equal(lh_error_code(unit_error_), (expected_code)); \
		lh_error_destroy(unit_error_);                                 \
	} while (0)

/* Whether `make check-long` runs this: with more draws and longer inputs than `make check`, of the same kinds. */
static inline bool unit_is_long(void)
{
	const char *tier = getenv("LEAKHUNT_TIER");
	return tier && strcmp(tier, "short") != 0;
}

/* xorshift64*: the same numbers on every machine (Vigna 2016). Not zero at the start. */
static inline uint64_t unit_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

#endif

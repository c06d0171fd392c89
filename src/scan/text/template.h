/*
 * template: what texts have in common that differ only in numbers, hexadecimal digits, UUIDs, dates,
 * addresses and tokens. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_TEMPLATE_H
#define LEAKHUNT_SCAN_TEMPLATE_H

#include "leakhunt/scan.h"

enum {
	LH_TEMPLATE_SEEN_BYTES = 1024, /* a text is read so far; what comes after it does not count */
	LH_TEMPLATE_VALUES_MAX = 24,   /* values told apart; each later one counts as different */
};

enum lh_value_kind {
	LH_VALUE_NUMBER,
	LH_VALUE_HEX,
	LH_VALUE_UUID,
	LH_VALUE_DATE,
	LH_VALUE_ADDRESS, /* 0x... */
	LH_VALUE_IP,
	LH_VALUE_TOKEN, /* base64, or the like */
};

const char *lh_value_placeholder(enum lh_value_kind kind); /* "<n>", "<uuid>" ... */

struct lh_value {
	uint16_t start; /* offsets in the text */
	uint16_t end;
	enum lh_value_kind kind;
};

struct lh_template {
	uint64_t hash; /* of the text with its values replaced by their kinds */
	struct lh_value values[LH_TEMPLATE_VALUES_MAX];
	size_t value_count;
};

/* What one look for the first digit of a text says; both functions below begin with it. */
struct lh_template_start {
	size_t first_digit; /* its offset; the end of what is read of the text: there is none */
	size_t plain_bytes; /* from the text's start on, that are part of no value */
};

struct lh_template_start lh_template_begin(const uint8_t *text, size_t length);
/* Whether no value can be in the text, so that its template's hash is the text's own (XXH3). */
static inline bool lh_template_is_plain(struct lh_template_start start, size_t length)
{
	return start.plain_bytes == length;
}

/* Any bytes. Two texts have the same template when the hashes are equal. */
void lh_template_read(const uint8_t *text, size_t length, struct lh_template_start start, struct lh_template *ret);
/*
 * A hash of what is before the first value and behind the last one, of a text that is not plain: equal for texts of the
 * same template, and found without reading what is between. (But where one of them has a UUID without a digit.)
 */
uint64_t lh_template_frame(const uint8_t *text, size_t length, struct lh_template_start start);

#endif

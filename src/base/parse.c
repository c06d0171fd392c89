/*
 * parse: numbers, sizes, durations and address ranges as people type them. All of a text must be
 * consumed; the error names it.
 */
#include "leakhunt/base.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	double factor;
};

/* Unsigned digits in `base`, from the start of `text`; strtoull alone would take blanks and signs. */
static bool parse_digits(const char *text, int base, const char **ret_end, uint64_t *ret)
{
	if (!isxdigit((unsigned char)text[0]) || text[1] == 'x' || text[1] == 'X') /* a second 0x */
		return false;
	char *end = NULL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (errno || end == text)
		return false;
	*ret_end = end;
	*ret = value;
	return true;
}

struct lh_error *lh_parse_u64(const char *text, uint64_t *ret)
{
	bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *end = NULL;
	uint64_t value = 0;
	if (!parse_digits(is_hex ? text + 2 : text, is_hex ? 16 : 10, &end, &value) || *end)
		return lh_error_create(LH_ERROR_USAGE, "'%s' is not a whole number below 2^64", text);
	*ret = value;
	return NULL;
}

/* A decimal number, possibly with a fraction, and one of `units`. false: anything else. */
static bool parse_with_unit(const char *text, const struct unit *units, size_t unit_count, double *ret)
{
	size_t digits = strspn(text, "0123456789.");
	if (!digits || digits > 40)
		return false;
	char number[41];
	memcpy(number, text, digits);
	number[digits] = '\0';
	char *end = NULL;
	double value = strtod(number, &end);
	if (*end || !isdigit((unsigned char)number[0]))
		return false;
	for (size_t i = 0; i < unit_count; i++) {
		if (strcasecmp(text + digits, units[i].name) == 0) {
			*ret = value * units[i].factor;
			return *ret < 18446744073709549568.0; /* the largest double below 2^64 */
		}
	}
	return false;
}

struct lh_error *lh_parse_bytes(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{"", 1},         {"B", 1},       {"K", 0x1p10},   {"KB", 0x1p10},  {"KiB", 0x1p10},
		{"M", 0x1p20},   {"MB", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30},   {"GB", 0x1p30},
		{"GiB", 0x1p30}, {"T", 0x1p40},  {"TB", 0x1p40},  {"TiB", 0x1p40},
	};
	double bytes;
	if (!parse_with_unit(text, units, LH_ARRAY_COUNT(units), &bytes))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "'%s' is not a size", text),
				     "write bytes, or 64K, 10M, 1.5G (powers of 1024)");
	*ret = (uint64_t)bytes;
	return NULL;
}

struct lh_error *lh_parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{"", 1e9},   {"s", 1e9},    {"ms", 1e6},   {"us", 1e3},
		{"m", 60e9}, {"min", 60e9}, {"h", 3600e9}, {"d", 86400e9},
	};
	double ns;
	if (!parse_with_unit(text, units, LH_ARRAY_COUNT(units), &ns))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "'%s' is not a duration", text),
				     "write seconds, or 500ms, 2s, 10m, 1.5h, 3d");
	*ret_ns = (uint64_t)(ns + 0.5);
	return NULL;
}

static bool parse_hex_address(const char *text, const char **ret_end, uint64_t *ret)
{
	bool is_prefixed = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	return parse_digits(is_prefixed ? text + 2 : text, 16, ret_end, ret);
}

struct lh_error *lh_parse_address(const char *text, uint64_t *ret)
{
	const char *end = NULL;
	uint64_t addr = 0;
	if (!parse_hex_address(text, &end, &addr) || *end)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "'%s' is not an address", text),
				     "write it in hexadecimal, with or without 0x");
	*ret = addr;
	return NULL;
}

struct lh_error *lh_parse_range(const char *text, struct lh_range *ret)
{
	struct lh_range range = {0};
	const char *end = NULL;
	bool is_range = parse_hex_address(text, &end, &range.start) && *end == '-' &&
			parse_hex_address(end + 1, &end, &range.end) && !*end;
	if (!is_range)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "'%s' is not an address range", text),
				     "write 0xSTART-0xEND in hexadecimal, as `leakhunt maps` shows it");
	if (range.start >= range.end)
		return lh_error_create(LH_ERROR_USAGE, "range '%s' holds no byte: its end is not above its start",
				       text);
	*ret = range;
	return NULL;
}

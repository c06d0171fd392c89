/*
 * format: sizes, durations, counts and chances as people read them. Each writes at most LH_FORMAT_MAX bytes.
 */
#include "leakhunt/base.h"

#include <inttypes.h>
#include <stdio.h>

/* Three significant digits, as "9.99", "99.9", "999". */
static void format_number(double value, const char *unit, char *ret)
{
	int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	snprintf(ret, LH_FORMAT_MAX, "%.*f %s", decimals, value, unit);
}

const char *lh_format_bytes(uint64_t bytes, char ret[LH_FORMAT_MAX])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	if (bytes < 1024) {
		snprintf(ret, LH_FORMAT_MAX, "%" PRIu64 " B", bytes);
		return ret;
	}
	double value = (double)bytes / 1024;
	size_t unit = 0;
	while (value >= 1023.5 && unit + 1 < LH_ARRAY_COUNT(units)) {
		value /= 1024;
		unit++;
	}
	format_number(value, units[unit], ret);
	return ret;
}

const char *lh_format_signed_bytes(int64_t bytes, char ret[LH_FORMAT_MAX])
{
	char magnitude[LH_FORMAT_MAX];
	lh_format_bytes(bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes, magnitude);
	const char *sign = bytes < 0 ? "-" : bytes > 0 ? "+" : "";
	snprintf(ret, LH_FORMAT_MAX, "%s%.*s", sign, LH_FORMAT_MAX - 2, magnitude);
	return ret;
}

const char *lh_format_duration(uint64_t ns, char ret[LH_FORMAT_MAX])
{
	uint64_t minutes = ns / (60 * LH_NS_PER_S);
	if (ns < 1000)
		snprintf(ret, LH_FORMAT_MAX, "%" PRIu64 " ns", ns);
	else if (ns < LH_NS_PER_MS)
		format_number((double)ns / 1e3, "us", ret);
	else if (ns < LH_NS_PER_S)
		format_number((double)ns / 1e6, "ms", ret);
	else if (minutes < 2)
		format_number((double)ns / 1e9, "s", ret);
	else if (minutes < 60)
		snprintf(ret, LH_FORMAT_MAX, "%" PRIu64 "m %02" PRIu64 "s", minutes, ns / LH_NS_PER_S % 60);
	else if (minutes < UINT64_C(48) * 60)
		snprintf(ret, LH_FORMAT_MAX, "%" PRIu64 "h %02" PRIu64 "m", minutes / 60, minutes % 60);
	else
		snprintf(ret, LH_FORMAT_MAX, "%" PRIu64 "d %02" PRIu64 "h", minutes / 1440, minutes / 60 % 24);
	return ret;
}

const char *lh_format_count(uint64_t count, char ret[LH_FORMAT_MAX])
{
	char digits[LH_FORMAT_MAX];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, count);
	int out = 0;
	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			ret[out++] = ',';
		ret[out++] = digits[i];
	}
	ret[out] = '\0';
	return ret;
}

const char *lh_format_chance(double chance, char ret[LH_FORMAT_MAX])
{
	if (chance > 0.99)
		snprintf(ret, LH_FORMAT_MAX, "over 99 %%");
	else if (chance < 0.01)
		snprintf(ret, LH_FORMAT_MAX, "under 1 %%");
	else
		snprintf(ret, LH_FORMAT_MAX, "%d %%", (int)(100 * chance));
	return ret;
}

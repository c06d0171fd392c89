/*
 * smaps_fields: one "Key:   123 kB" line of smaps or smaps_rollup into a counter. Input: hostile text.
 * It runs some twenty times a mapping: the caller's guess says which row the key most likely is.
 */
#include "regions.h"

#include <string.h>

struct field {
	const char *key; /* with its colon */
	uint8_t key_bytes;
	uint8_t counter; /* index of the uint64_t within struct lh_usage */
};

#define FIELD(name, member)                                                     \
	{                                                                       \
		.key = name ":", .key_bytes = sizeof(name ":") - 1,             \
		.counter = offsetof(struct lh_usage, member) / sizeof(uint64_t) \
	}

/* Documentation/filesystems/proc.rst, "/proc/PID/smaps". */
static const struct field fields[] = {
	FIELD("Rss", rss_bytes),
	FIELD("Pss", pss_bytes),
	FIELD("Shared_Clean", shared_clean_bytes),
	FIELD("Shared_Dirty", shared_dirty_bytes),
	FIELD("Private_Clean", private_clean_bytes),
	FIELD("Private_Dirty", private_dirty_bytes),
	FIELD("Referenced", referenced_bytes),
	FIELD("Anonymous", anonymous_bytes),
	FIELD("KSM", ksm_bytes),
	FIELD("LazyFree", lazy_free_bytes),
	FIELD("AnonHugePages", anon_huge_bytes),
	FIELD("ShmemPmdMapped", shmem_huge_bytes),
	FIELD("FilePmdMapped", file_huge_bytes),
	FIELD("Shared_Hugetlb", shared_hugetlb_bytes),
	FIELD("Private_Hugetlb", private_hugetlb_bytes),
	FIELD("Swap", swap_bytes),
	FIELD("SwapPss", swap_pss_bytes),
	FIELD("Locked", locked_bytes),
};

enum { FIELD_UNKNOWN = LH_ARRAY_COUNT(fields) };

static size_t field_search(const char *line, size_t length)
{
	for (size_t i = 0; i < FIELD_UNKNOWN; i++)
		if (length > fields[i].key_bytes && !memcmp(line, fields[i].key, fields[i].key_bytes))
			return i;
	return FIELD_UNKNOWN;
}

/*
 * No key is longer than the 16 bytes of `head`, and the kernel pads shorter ones with blanks: equal
 * heads are equal keys.
 */
static size_t field_index(const char *line, size_t length, struct lh_field_guess *guess)
{
	uint64_t head[LH_ARRAY_COUNT(guess->head)];
	if (length < sizeof(head))
		return field_search(line, length);
	memcpy(head, line, sizeof(head));
	if (guess->is_set && head[0] == guess->head[0] && head[1] == guess->head[1])
		return guess->index;
	*guess = (struct lh_field_guess){
		.head = {head[0], head[1]}, .index = (uint8_t)field_search(line, length), .is_set = true};
	return guess->index;
}

/* "      123 kB" to bytes. */
static bool parse_kilobytes(const char *at, const char *end, uint64_t *ret)
{
	while (at < end && *at == ' ')
		at++;
	const char *digits = at;
	uint64_t value = 0;
	for (; at < end && (unsigned)(*at - '0') < 10; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	/* 16 digits of kB fit: 10^16 * 1024 < 2^64. */
	if (at == digits || at - digits > 16 || end - at != 3 || memcmp(at, " kB", 3) != 0)
		return false;
	*ret = value * 1024;
	return true;
}

enum lh_field_status lh_usage_field_parse(const char *line, size_t length, struct lh_field_guess *guess,
					  struct lh_usage *usage)
{
	size_t index = field_index(line, length, guess);
	if (index == FIELD_UNKNOWN)
		return memchr(line, ':', length) ? LH_FIELD_UNKNOWN : LH_FIELD_BAD;
	uint64_t bytes;
	if (!parse_kilobytes(line + fields[index].key_bytes, line + length, &bytes))
		return LH_FIELD_BAD;
	((uint64_t *)usage)[fields[index].counter] = bytes;
	return LH_FIELD_TAKEN;
}

/* The shape that every kernel since 2.6.14 gives its lines: a key padded to 16, a number padded to 8, " kB". */
enum { HEAD_BYTES = 16, NUMBER_BYTES = 8 };

/* Eight bytes of blanks and digits; false when there is something else among them. */
static bool parse_padded(const char *at, uint64_t *ret)
{
	uint64_t value = 0;
	*ret = 0;
	if (!memcmp(at, "       0", NUMBER_BYTES)) /* most of them */
		return true;
	size_t i = 0;
	while (i < NUMBER_BYTES && at[i] == ' ')
		i++;
	for (; i < NUMBER_BYTES && (unsigned)(at[i] - '0') < 10; i++)
		value = value * 10 + (uint64_t)(at[i] - '0');
	*ret = value * 1024;
	return i == NUMBER_BYTES && at[NUMBER_BYTES - 1] != ' ';
}

static bool take_expected(const char *line, const struct lh_field_guess *guess, struct lh_usage *usage)
{
	uint64_t bytes;
	if (!guess->is_set || memcmp(line, guess->head, HEAD_BYTES) != 0 ||
	    memcmp(line + HEAD_BYTES + NUMBER_BYTES, " kB\n", 4) != 0 || !parse_padded(line + HEAD_BYTES, &bytes))
		return false;
	/* KernelPageSize is no counter, but somebody wants to see it. */
	if (guess->index == FIELD_UNKNOWN)
		return line[0] != 'K';
	((uint64_t *)usage)[fields[guess->index].counter] = bytes;
	return true;
}

size_t lh_usage_expected_lines(const char *text, size_t length, const struct lh_field_guess *guesses,
			       size_t guess_count, struct lh_usage *usage)
{
	size_t count = 0;
	size_t most = lh_min_u64(length / LH_EXPECTED_LINE_BYTES, guess_count);
	while (count < most && take_expected(text + count * LH_EXPECTED_LINE_BYTES, &guesses[count], usage))
		count++;
	return count;
}

/*
 * recognize_patterns: the patterns of a search, as they were compiled when leakhunt was built. If the stored ones do
 * not suit this vectorscan or CPU, they are compiled at run time.
 */
#include "recognize_patterns.h"

#include <pthread.h>
#include <string.h>

/*
 * vectorscan checks its version, the CPU and a checksum. A database for any x86_64 is not slower than one for AVX2 or
 * AVX-512 (measured with 5.4.9: they differ only in the CPU's name).
 */
static bool load_database(const struct lh_stored_patterns *stored, hs_database_t **ret)
{
	if (!stored->database)
		return true;
	return hs_valid_platform() == HS_SUCCESS &&
	       hs_deserialize_database((const char *)stored->database, stored->database_bytes, ret) == HS_SUCCESS;
}

static bool load_patterns(const struct lh_stored_patterns *stored, struct lh_pattern_set_compiled *set)
{
	if (stored->pattern_count != set->pattern_count || !load_database(stored, &set->database))
		return false;
	for (unsigned i = 0; i < set->pattern_count; i++)
		set->patterns[i].bytes = stored->pattern_bytes[i];
	return set->is_stored = true;
}

struct lh_error *lh_patterns_make(unsigned set, const struct lh_stored_patterns *stored,
				  struct lh_pattern_set_compiled *ret)
{
	LH_TRY(lh_patterns_list(set, ret));
	if (!load_patterns(stored, ret))
		LH_TRY(lh_patterns_compile(set, NULL, ret));
	for (unsigned i = 0; i < ret->pattern_count; i++)
		ret->longest_bytes = lh_max_u64(ret->longest_bytes, ret->patterns[i].bytes);
	return NULL;
}

struct lh_error *lh_patterns_get(unsigned set, hs_scratch_t **scratch, const struct lh_pattern_set_compiled **ret)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct lh_pattern_set_compiled sets[LH_PATTERNS_ALL_COUNT];
	static bool is_made[LH_PATTERNS_ALL_COUNT];
	pthread_mutex_lock(&lock);
	struct lh_error *error = is_made[set] ? NULL : lh_patterns_make(set, &lh_stored_patterns[set], &sets[set]);
	is_made[set] = !error;
	pthread_mutex_unlock(&lock);
	LH_TRY(error);
	*ret = &sets[set];
	bool needs_room = sets[set].database && hs_alloc_scratch(sets[set].database, scratch) != HS_SUCCESS;
	return needs_room ? lh_error_no_memory() : NULL;
}

const uint8_t *lh_find_lines(const uint8_t *data, size_t bytes, size_t bytes_there, uint8_t padded[LH_FIND_BYTES])
{
	size_t wanted = lh_align_up(bytes, LH_LINE_BYTES) + LH_LINE_BYTES;
	if (bytes_there >= wanted)
		return data;
	memset(padded, 1, wanted);
	return memcpy(padded, data, bytes_there);
}

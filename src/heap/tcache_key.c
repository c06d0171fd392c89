/*
 * tcache_key: finds it in a cache of the brk heap: a chunk of the size of the cache's struct, whose lists begin with
 * chunks of the sizes that they are for. The second word of each is the key.
 *
 * glibc 2.30 to 2.41, malloc/malloc.c, tcache_perthread_struct: u16 counts[64], entries[64], chunk size 0x290; from
 * 2.42 on u16 num_slots[76], entries[76], 0x300. tcache_entry: {next, key}; lists are for chunk sizes 32 + 16 i.
 */
#include "leakhunt/heap.h"

#include <string.h>

enum {
	STRUCT_BYTES = 0x290,
	STRUCT_BYTES_242 = 0x300,
	BINS = 64,
	BINS_242 = 76,
	IN_USE = 1,
	FLAGS = 7,
	SEARCHED_BYTES = 64 * 1024,
	CHUNK_MIN = 32,
	ALIGNMENT = 16,
};

/* The key of the chunk at the head of a list; 0 unless the chunk has the list's size. */
static uint64_t head_key(const struct lh_image *image, uint64_t addr, uint64_t size_bytes)
{
	uint64_t words[3]; /* size, next, key */
	if (!addr || addr % ALIGNMENT || lh_image_read(image, addr - 8, words, sizeof(words)) != sizeof(words) ||
	    (words[0] & ~(uint64_t)FLAGS) != size_bytes)
		return 0;
	return words[2];
}

/* All lists that are not empty agree, and there is one at least. */
static uint64_t read_cache(const struct lh_image *image, const uint8_t *cache, size_t bins)
{
	uint64_t key = 0;
	for (size_t i = 0; i < bins; i++) {
		uint64_t entry;
		memcpy(&entry, cache + bins * 2 + i * 8, sizeof(entry));
		if (!entry)
			continue;
		uint64_t found = head_key(image, entry, CHUNK_MIN + i * ALIGNMENT);
		if (!found || (key && found != key))
			return 0;
		key = found;
	}
	return key;
}

static uint64_t search_heap(const struct lh_image *image, const struct lh_segment *segment)
{
	uint8_t bytes[STRUCT_BYTES_242];
	uint64_t end = segment->start + lh_min_u64(segment->end - segment->start, SEARCHED_BYTES);
	for (uint64_t at = segment->start; at + sizeof(bytes) < end; at += ALIGNMENT) {
		uint64_t size, key;
		if (lh_image_read(image, at + 8, &size, sizeof(size)) != sizeof(size))
			return 0;
		size &= ~(uint64_t)(FLAGS & ~IN_USE);
		bool is_old = size == (STRUCT_BYTES | IN_USE), is_new = size == (STRUCT_BYTES_242 | IN_USE);
		if ((!is_old && !is_new) || lh_image_read(image, at + ALIGNMENT, bytes, sizeof(bytes)) != sizeof(bytes))
			continue;
		key = read_cache(image, bytes, is_old ? BINS : BINS_242);
		if (key)
			return key;
	}
	return 0;
}

uint64_t lh_tcache_key_find(const struct lh_image *image)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count);
	for (size_t i = 0; i < count; i++) {
		uint64_t key = segments[i].kind == LH_REGION_HEAP ? search_heap(image, &segments[i]) : 0;
		if (key)
			return key;
	}
	return 0;
}

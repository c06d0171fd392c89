/*
 * heap_seed_image: an image of the memory that a seed (heap_seed.h) describes. Input: bytes, of whatever content.
 * Output: an image in memory that the caller allocates.
 */
#ifndef LEAKHUNT_TESTS_HEAP_SEED_IMAGE_H
#define LEAKHUNT_TESTS_HEAP_SEED_IMAGE_H

#include "heap_seed.h"
#include "image/view.h"
#include "leakhunt/heap.h"

#include <stdlib.h>
#include <string.h>

/* What the input begins with; false when it is no seed. */
struct seed_layout {
	uint32_t region_count;
	struct seed_region regions[SEED_REGIONS_MAX];
	uint32_t held_counts[SEED_REGIONS_MAX]; /* pages up to the last one that is more than zeros */
	size_t page_bits_at;                    /* in the input */
	size_t words_at;
	uint64_t held_count;
};

/* How many pages there are up to the last one whose bit is set. */
static inline uint32_t count_held_pages(const uint8_t *bits, uint32_t page_count)
{
	while (page_count && !(bits[(page_count - 1) / 8] >> (page_count - 1) % 8 & 1))
		page_count--;
	return page_count;
}

static inline bool parse_seed_page_bits(const uint8_t *data, size_t size, struct seed_layout *ret)
{
	ret->words_at = ret->page_bits_at;
	ret->held_count = 0;
	for (uint32_t i = 0; i < ret->region_count; i++) {
		uint32_t page_count = ret->regions[i].page_count, bytes = page_count / 8 + (page_count % 8 != 0);
		if (bytes > size - ret->words_at)
			return false;
		ret->held_counts[i] = count_held_pages(data + ret->words_at, page_count);
		ret->held_count += ret->held_counts[i];
		ret->words_at += bytes;
	}
	return ret->held_count && ret->held_count * LH_PAGE_BYTES <= SEED_BYTES_MAX;
}

static inline bool parse_seed_layout(const uint8_t *data, size_t size, struct seed_layout *ret)
{
	uint64_t end = 0;
	if (size < sizeof(ret->region_count))
		return false;
	memcpy(&ret->region_count, data, sizeof(ret->region_count));
	ret->page_bits_at = sizeof(ret->region_count) + ret->region_count * sizeof(struct seed_region);
	if (ret->region_count > SEED_REGIONS_MAX || ret->page_bits_at > size)
		return false;
	memcpy(ret->regions, data + sizeof(ret->region_count), ret->region_count * sizeof(struct seed_region));
	for (uint32_t i = 0; i < ret->region_count; i++) {
		const struct seed_region *region = &ret->regions[i];
		if (region->addr % LH_PAGE_BYTES || region->addr < end || region->addr >> 56 || !region->page_count ||
		    region->kind >= LH_REGION_KIND_COUNT || region->name >= SEED_NAMES)
			return false;
		end = region->addr + region->page_count * LH_PAGE_BYTES;
	}
	return parse_seed_page_bits(data, size, ret);
}

/* ---------------------------------------------------------------- the memory */

struct seed_words {
	const uint8_t *data;
	size_t size, at;
};

static inline uint64_t take_seed_word(struct seed_words *source)
{
	uint64_t word = 0;
	if (source->size - source->at < sizeof(word))
		return 0;
	memcpy(&word, source->data + source->at, sizeof(word));
	source->at += sizeof(word);
	return word;
}

static inline void fill_seed_page(struct seed_words *source, uint64_t *page)
{
	uint64_t bits[SEED_PAGE_WORDS / 64];
	for (size_t i = 0; i < LH_ARRAY_COUNT(bits); i++)
		bits[i] = take_seed_word(source);
	for (size_t i = 0; i < SEED_PAGE_WORDS; i++)
		page[i] = bits[i / 64] >> i % 64 & 1 ? take_seed_word(source) : 0;
}

static inline void fill_seed_memory(const struct seed_layout *layout, const uint8_t *data, size_t size,
				    uint64_t *memory)
{
	struct seed_words source = {data, size, layout->words_at};
	const uint8_t *bits = data + layout->page_bits_at;
	for (uint32_t i = 0; i < layout->region_count; i++) {
		for (uint32_t page = 0; page < layout->held_counts[i]; page++, memory += SEED_PAGE_WORDS) {
			if (bits[page / 8] >> page % 8 & 1)
				fill_seed_page(&source, memory);
		}
		bits += layout->regions[i].page_count / 8 + (layout->regions[i].page_count % 8 != 0);
	}
}

static inline struct lh_error *make_seed_image(const struct seed_layout *layout, const uint64_t *memory,
					       struct lh_image **ret)
{
	static const char *const names[SEED_NAMES] = {"", "[heap]", "/lib/module"};
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	uint64_t offset = 0;
	LH_TRY(lh_image_create(LH_IMAGE_BYTES, "seed", &image));
	image->bytes = (const uint8_t *)memory;
	image->file_bytes = layout->held_count * LH_PAGE_BYTES;
	image->has_addresses = true;
	for (uint32_t i = 0; i < layout->region_count; i++) {
		const struct seed_region *region = &layout->regions[i];
		uint64_t held_bytes = layout->held_counts[i] * LH_PAGE_BYTES;
		LH_TRY(lh_vec_push(&image->segments, ((struct lh_segment){
							     .start = region->addr,
							     .end = region->addr + region->page_count * LH_PAGE_BYTES,
							     .file_offset = offset,
							     .file_bytes = held_bytes,
							     .protection = region->protection,
							     .kind = (enum lh_region_kind)region->kind,
							     .name = names[region->name],
							     .thread_name = "",
						     })));
		offset += held_bytes;
	}
	*ret = image;
	image = NULL;
	return NULL;
}

#endif

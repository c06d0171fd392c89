/*
 * heap_seed: memory of a process with an allocator, as fuzz_heap takes it, and heap_seed.c writes it: a count of
 * regions, the regions, for each a bit a page (is it more than zeros?), then for each of these pages a bit a word, and
 * the words that are not zero. So a heap of some MiB is some KiB, and what is changed stays at its place.
 */
#ifndef LEAKHUNT_TESTS_HEAP_SEED_H
#define LEAKHUNT_TESTS_HEAP_SEED_H

#include <stdint.h>

enum { SEED_REGIONS_MAX = 256, SEED_PAGE_WORDS = 512, SEED_BYTES_MAX = 64 << 20 };

enum seed_name { SEED_NAME_NONE, SEED_NAME_HEAP, SEED_NAME_FILE, SEED_NAMES };

struct seed_region {
	uint64_t addr;
	uint32_t page_count; /* those behind the last one that is more than zeros are not in the file */
	uint8_t kind;        /* enum lh_region_kind */
	uint8_t protection;
	uint8_t name; /* enum seed_name */
	uint8_t unused;
};

#endif

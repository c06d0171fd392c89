/*
 * heap_seed DUMP OUT PAGES [MODULE...]: makes a seed for fuzz_heap of a dump: private anonymous memory but stacks, and
 * the variables of modules whose path holds one of the words; of each region the first PAGES, but all of rpmalloc's
 * spans, which are recognized whole. tests/README.md says how the seeds in corpus/heap were made.
 */
#include "heap_seed.h"
#include "leakhunt/image.h"

#include <stdlib.h>
#include <string.h>

struct seed {
	struct lh_image *image;
	uint64_t pages_max;
	LH_VEC(struct seed_region) regions;
	LH_VEC(uint8_t) page_bits;
	LH_VEC(uint64_t) words;
};

static bool is_named(const struct lh_segment *segment, char **modules)
{
	for (; *modules; modules++) {
		if (strstr(segment->name, *modules))
			return true;
	}
	return false;
}

/* A module's bss lies behind its data. */
static bool is_wanted(const struct lh_segment *segments, size_t at, char **modules)
{
	const struct lh_segment *segment = &segments[at];
	if (!(segment->protection & LH_PROT_WRITE) || segment->kind == LH_REGION_MAIN_STACK)
		return false;
	while (at && segments[at].kind == LH_REGION_BSS && segments[at - 1].end == segments[at].start)
		at--;
	if (segments[at].kind == LH_REGION_DATA)
		return is_named(&segments[at], modules);
	return segment->kind != LH_REGION_BSS && segment->name[0] != '/';
}

/* The words of a page that are not zero; none of a page that is lost. */
static struct lh_error *add_page(struct seed *seed, const struct seed_region *region, uint32_t page,
				 bool *ret_is_filled)
{
	uint64_t words[SEED_PAGE_WORDS] = {0}, bits[SEED_PAGE_WORDS / 64] = {0}, any = 0;
	bool is_kept = page < seed->pages_max || page + 2 >= region->page_count || region->kind == LH_REGION_RPMALLOC;
	if (!is_kept ||
	    lh_image_read(seed->image, region->addr + page * LH_PAGE_BYTES, words, sizeof(words)) != sizeof(words))
		memset(words, 0, sizeof(words));
	for (size_t i = 0; i < SEED_PAGE_WORDS; i++) {
		bits[i / 64] |= (uint64_t)(words[i] != 0) << i % 64;
		any |= words[i];
	}
	*ret_is_filled = any;
	for (size_t i = 0; any && i < LH_ARRAY_COUNT(bits); i++)
		LH_TRY(lh_vec_push(&seed->words, bits[i]));
	for (size_t i = 0; any && i < SEED_PAGE_WORDS; i++) {
		if (words[i])
			LH_TRY(lh_vec_push(&seed->words, words[i]));
	}
	return NULL;
}

static struct lh_error *add_pages(struct seed *seed, const struct seed_region *region)
{
	uint8_t bits = 0;
	for (uint32_t i = 0; i < region->page_count; i++) {
		bool is_filled;
		LH_TRY(add_page(seed, region, i, &is_filled));
		bits |= (uint8_t)(is_filled << i % 8);
		if (i % 8 == 7 || i + 1 == region->page_count) {
			LH_TRY(lh_vec_push(&seed->page_bits, bits));
			bits = 0;
		}
	}
	return NULL;
}

static struct lh_error *collect_regions(struct seed *seed, char **modules)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(seed->image, &count);
	for (size_t i = 0; i < count; i++) {
		const struct lh_segment *segment = &segments[i];
		bool is_heap = !strcmp(segment->name, "[heap]") || segment->kind == LH_REGION_HEAP;
		uint64_t page_count = (segment->end - segment->start) / LH_PAGE_BYTES;
		struct seed_region region = {
			.addr = segment->start,
			.page_count = (uint32_t)(segment->kind == LH_REGION_RPMALLOC
							 ? page_count
							 : lh_min_u64(page_count, seed->pages_max)),
			.kind = (uint8_t)segment->kind,
			.protection = segment->protection,
			.name = is_heap                   ? SEED_NAME_HEAP
				: segment->name[0] == '/' ? SEED_NAME_FILE
							  : SEED_NAME_NONE,
		};
		if (!is_wanted(segments, i, modules))
			continue;
		LH_TRY(lh_vec_push(&seed->regions, region));
		LH_TRY(add_pages(seed, &region));
	}
	return NULL;
}

static struct lh_error *write_seed(const struct seed *seed, const char *path)
{
	LH_CLEANUP(lh_cleanup_stream) FILE *file = fopen(path, "we");
	uint32_t count = (uint32_t)seed->regions.count;
	bool is_written = file && fwrite(&count, sizeof(count), 1, file) == 1 &&
			  fwrite(seed->regions.items, sizeof(*seed->regions.items), count, file) == count &&
			  fwrite(seed->page_bits.items, 1, seed->page_bits.count, file) == seed->page_bits.count &&
			  fwrite(seed->words.items, 8, seed->words.count, file) == seed->words.count;
	return is_written ? NULL : lh_error_create(LH_ERROR_SYSTEM, "cannot write %s", path);
}

static struct lh_error *make_seed(struct seed *seed, char **argv)
{
	seed->pages_max = strtoull(argv[3], NULL, 10);
	LH_TRY(lh_image_open_file(argv[1], NULL, &seed->image));
	LH_TRY(collect_regions(seed, argv + 4));
	return write_seed(seed, argv[2]);
}

int main(int argc, char **argv)
{
	struct seed seed = {0};
	if (argc < 4) {
		fprintf(stderr, "usage: heap_seed DUMP OUT PAGES [MODULE...]\n");
		return 2;
	}
	struct lh_error *error = make_seed(&seed, argv);
	if (error)
		fprintf(stderr, "heap_seed: %s\n", lh_error_message(error));
	else
		printf("%zu regions, %zu words\n", seed.regions.count, seed.words.count);
	int status = error ? 1 : 0;
	lh_error_destroy(error);
	lh_vec_deinit(&seed.regions);
	lh_vec_deinit(&seed.page_bits);
	lh_vec_deinit(&seed.words);
	lh_image_close(seed.image);
	return status;
}

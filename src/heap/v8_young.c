/*
 * v8_young: young pages that wait to be filled. Input: the space that owns a young page. Output: addresses of pages.
 *
 * A collection copies what lives from one half of the young generation to the other, writes the copies' addresses over
 * the maps, and swaps the halves. So pages hold what was on them two collections ago, until they are filled again, one
 * after the other. The space has a list of its pages in this order, and points to the page it fills (SemiSpace in
 * src/heap/new-spaces.h): those behind it wait. A page is named by its address, or from V8 13 on by its metadata.
 */
#include "v8.h"

enum {
	SPACE_WORDS = 40,
	PAGE_WORDS = 48,
	OWNER_FIRST = 8, /* where a page's owner is, at the earliest */
	OWNER_LAST = 10,
	METADATA_AREA = 9,
	WAITING_MAX = 1 << 16
};

struct young_space {
	struct lh_v8_heap *heap;
	uint64_t addr;
};

static bool read_owned_page(const struct young_space *space, uint64_t name, uint64_t ret[PAGE_WORDS])
{
	if (name < LH_PAGE_BYTES || name % 8 || !lh_v8_read_words(space->heap, name, ret, PAGE_WORDS))
		return false;
	for (size_t i = OWNER_FIRST; i <= OWNER_LAST; i++) {
		if (ret[i] == space->addr)
			return true;
	}
	return false;
}

/* Which word of a page names the next one: that one's following word names the page. 0: none. */
static size_t find_next_link(const struct young_space *space, uint64_t first)
{
	uint64_t page[PAGE_WORDS], next[PAGE_WORDS];
	if (!read_owned_page(space, first, page))
		return 0;
	for (size_t i = OWNER_LAST + 1; i + 1 < PAGE_WORDS; i++) {
		if (page[i] != first && !page[i + 1] && read_owned_page(space, page[i], next) && next[i + 1] == first)
			return i;
	}
	return 0;
}

/* The first page, which is named beside the last one, and the one that is filled; false if there are no such words. */
static bool find_list(const struct young_space *space, uint64_t *ret_first, uint64_t *ret_filled)
{
	uint64_t words[SPACE_WORDS], page[PAGE_WORDS];
	size_t pair = 0;
	if (!lh_v8_read_words(space->heap, space->addr, words, SPACE_WORDS))
		return false;
	while (pair + 1 < SPACE_WORDS &&
	       !(read_owned_page(space, words[pair], page) && read_owned_page(space, words[pair + 1], page)))
		pair++;
	for (size_t i = pair + 2; i < SPACE_WORDS; i++) {
		if (!read_owned_page(space, words[i], page))
			continue;
		*ret_first = words[pair];
		*ret_filled = words[i];
		return true;
	}
	return false;
}

struct lh_error *lh_v8_find_waiting(struct lh_v8_heap *heap, uint64_t owner, struct lh_hash_table *ret)
{
	struct young_space space = {heap, owner};
	uint64_t first, name, page[PAGE_WORDS];
	if (!find_list(&space, &first, &name))
		return NULL;
	size_t link = find_next_link(&space, first);
	if (!link || !read_owned_page(&space, name, page))
		return NULL;
	for (size_t i = 0; i < WAITING_MAX && page[link]; i++) {
		uint64_t before = name;
		name = page[link];
		if (!read_owned_page(&space, name, page) || page[link + 1] != before)
			break;
		uint64_t addr = name % LH_V8_PAGE_ALIGNMENT ? page[METADATA_AREA] : name;
		LH_TRY(lh_hash_table_put(ret, lh_align_down(addr, LH_V8_PAGE_ALIGNMENT), 0));
	}
	return NULL;
}

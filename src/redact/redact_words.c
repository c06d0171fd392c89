/*
 * redact_words: memory is judged by aligned words. A word stays when it is zero, an address of mapped memory, or holds
 * small numbers. Addresses come first: chance makes some of their bytes look like text. Small numbers come second, but
 * for those in a block of the heap that end a text there: behind a block's end lies the size of the next one, which
 * would look like the text's last letter. All else is replaced: texts as a whole, the rest word by word.
 */
#include "redact_words.h"
#include "keyed_bytes.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES = 8, TEXT_MIN = 4 };

enum word_kind { WORD_REPLACED, WORD_ZERO, WORD_POINTER, WORD_NUMBER, WORD_NAME };

/* ---------------------------------------------------------------- what is mapped, and names */

static int compare_kept_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_mapped(const void *a, const void *b)
{
	const struct lh_range *x = a, *y = b;
	return lh_compare_u64(x->start, y->start);
}

static void join_mapped(struct lh_redactor *redactor)
{
	struct lh_range *items = redactor->mapped.items;
	size_t kept = 0;
	lh_vec_sort(&redactor->mapped, compare_mapped);
	for (size_t i = 0; i < redactor->mapped.count; i++) {
		if (kept && items[i].start <= items[kept - 1].end)
			items[kept - 1].end = lh_max_u64(items[kept - 1].end, items[i].end);
		else
			items[kept++] = items[i];
	}
	redactor->mapped.count = kept;
}

static struct lh_error *find_mapped(struct lh_redactor *redactor)
{
	const struct lh_module_list *modules = lh_image_modules(redactor->image);
	size_t count;
	const struct lh_segment *segments = lh_image_segments(redactor->image, &count);
	for (size_t i = 0; i < count; i++)
		LH_TRY(lh_vec_push(&redactor->mapped, ((struct lh_range){segments[i].start, segments[i].end})));
	for (size_t i = 0; i < modules->modules.count; i++) {
		const struct lh_module *module = &modules->modules.items[i];
		LH_TRY(lh_vec_push(&redactor->mapped, ((struct lh_range){module->start, module->end})));
	}
	join_mapped(redactor);
	return NULL;
}

static struct lh_error *find_kept_names(struct lh_redactor *redactor)
{
	const struct lh_module_list *modules = lh_image_modules(redactor->image);
	size_t count;
	const struct lh_heap_type *types = lh_heap_types(redactor->heap, &count);
	for (size_t i = 0; i < modules->modules.count; i++)
		LH_TRY(lh_vec_push(&redactor->names, modules->modules.items[i].path));
	for (size_t i = 0; i < count; i++)
		LH_TRY(lh_vec_push(&redactor->names, types[i].name));
	lh_vec_sort(&redactor->names, compare_kept_names);
	return NULL;
}

struct lh_error *lh_redactor_init(struct lh_redactor *redactor, struct lh_image *image, const struct lh_heap *heap)
{
	redactor->image = image;
	redactor->heap = heap;
	LH_TRY(find_mapped(redactor));
	return find_kept_names(redactor);
}

void lh_redactor_deinit(struct lh_redactor *redactor)
{
	lh_vec_deinit(&redactor->names);
	lh_vec_deinit(&redactor->mapped);
	lh_vec_deinit(&redactor->kept);
}

bool lh_redactor_keeps_name(const struct lh_redactor *redactor, const char *text, size_t length)
{
	size_t at = lh_vec_count_before(&redactor->names, item, strncmp(*item, text, length) < 0);
	return at < redactor->names.count && strncmp(redactor->names.items[at], text, length) == 0 &&
	       !redactor->names.items[at][length];
}

/* The end of a mapping is an address, too: of what ends with it. */
static bool is_mapped_address(const struct lh_redactor *redactor, uint64_t word)
{
	size_t count = redactor->mapped.count;
	size_t at = lh_count_before(redactor->mapped.items, count, item, item->end < word);
	return at < count && redactor->mapped.items[at].start <= word;
}

/* ---------------------------------------------------------------- words */

static bool is_printable_byte(uint8_t byte)
{
	return (byte >= 0x20 && byte <= 0x7e) || byte == '\t';
}

static bool is_wide_letter(uint32_t half)
{
	return half >= 0x20 && half <= 0x7e;
}

/* Up to 3 bytes; multiples of a page with flags, as allocators note them; two halves of 2 bytes; four small quarters.
 */
static bool are_small_numbers(uint64_t word)
{
	uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32);
	if (word >> 24 == 0 || word == UINT64_MAX)
		return true;
	if ((word & 0xff8) == 0 && word >> 36 == 0) {
		bool is_text = is_printable_byte((uint8_t)(word >> 8)) && is_printable_byte((uint8_t)(word >> 16)) &&
			       is_printable_byte((uint8_t)(word >> 24));
		return !is_text;
	}
	if (low >> 16 == 0 && high >> 16 == 0)
		return !is_wide_letter(low) && !is_wide_letter(high);
	return !(word & UINT64_C(0xffe0ffe0ffe0ffe0));
}

bool lh_redactor_keeps_word(const struct lh_redactor *redactor, uint64_t word)
{
	return are_small_numbers(word) || is_mapped_address(redactor, word);
}

/* glibc 2.32 hides the links of its tcache and fastbins: malloc/malloc.c, PROTECT_PTR. */
static enum word_kind kind_of_word(const struct lh_redactor *redactor, uint64_t addr, uint64_t word)
{
	if (!word)
		return WORD_ZERO;
	if (word >> 24 && (is_mapped_address(redactor, word) || is_mapped_address(redactor, word ^ addr >> 12)))
		return WORD_POINTER;
	if (word == addr >> 12) /* the hidden link of the last block of a list */
		return WORD_POINTER;
	return are_small_numbers(word) ? WORD_NUMBER : WORD_REPLACED;
}

/* ---------------------------------------------------------------- texts */

static size_t text_end(const uint8_t *bytes, size_t at, size_t length)
{
	while (at < length && is_printable_byte(bytes[at]))
		at++;
	return at;
}

/*
 * Whether the small number at the end of a text is a part of it: both lie in the same block in use, or in none. At the
 * end of a free block glibc keeps its size.
 */
static bool belongs_to_text(const struct lh_redactor *redactor, uint64_t text_addr, uint64_t word_addr)
{
	size_t text_block, word_block;
	bool has_text_block = lh_heap_find_chunk(redactor->heap, text_addr, &text_block);
	bool has_word_block = lh_heap_find_chunk(redactor->heap, word_addr, &word_block);
	if (!has_text_block || !has_word_block)
		return !has_text_block && !has_word_block;
	return text_block == word_block && lh_heap_chunk_at(redactor->heap, text_block).state == LH_CHUNK_USED;
}

/* Marks the words of a text that stay, or are to be replaced with it. */
static void mark_text(struct lh_redactor *redactor, uint64_t addr, const uint8_t *bytes, struct lh_span text)
{
	uint8_t *kinds = redactor->kept.items;
	bool is_name = lh_redactor_keeps_name(redactor, (const char *)bytes + text.start, text.end - text.start);
	for (size_t word = text.start / WORD_BYTES; word * WORD_BYTES < text.end; word++) {
		if (is_name)
			kinds[word] = kinds[word] == WORD_REPLACED ? WORD_NAME : kinds[word];
		else if (kinds[word] == WORD_NUMBER && word * WORD_BYTES > text.start &&
			 belongs_to_text(redactor, addr + text.start, addr + word * WORD_BYTES))
			kinds[word] = WORD_REPLACED;
	}
}

/* Replaces what of [start, end) lies in words that do not stay. */
static void replace_text_part(struct lh_redactor *redactor, uint8_t *bytes, struct lh_span text)
{
	const uint8_t *kinds = redactor->kept.items;
	for (size_t at = text.start; at < text.end;) {
		size_t end = at;
		while (end < text.end && kinds[end / WORD_BYTES] == WORD_REPLACED)
			end++;
		if (end > at)
			lh_replace_text(redactor->key, bytes + at, end - at);
		at = end + (end < text.end);
	}
}

/* The next text of at least TEXT_MIN bytes at or behind `at`; {length, length}: there is none. */
static struct lh_span next_text(const uint8_t *bytes, size_t at, size_t length)
{
	while (at < length) {
		size_t end = text_end(bytes, at, length);
		if (end - at >= TEXT_MIN)
			return (struct lh_span){at, end};
		at = end + 1;
	}
	return (struct lh_span){length, length};
}

/* Word by word what lies in no text. */
static void replace_rest(struct lh_redactor *redactor, uint8_t *bytes, struct lh_span rest)
{
	const uint8_t *kinds = redactor->kept.items;
	for (size_t at = rest.start; at < rest.end;) {
		size_t end = lh_min_u64(rest.end, (at / WORD_BYTES + 1) * WORD_BYTES);
		if (kinds[at / WORD_BYTES] == WORD_REPLACED)
			lh_replace_bytes(redactor->key, bytes + at, end - at);
		at = end;
	}
}

static void count_words(struct lh_redactor *redactor, size_t words, size_t length)
{
	uint64_t *const counts[] = {
		[WORD_REPLACED] = &redactor->counts.replaced_bytes, [WORD_ZERO] = &redactor->counts.zero_bytes,
		[WORD_POINTER] = &redactor->counts.pointer_bytes,   [WORD_NUMBER] = &redactor->counts.number_bytes,
		[WORD_NAME] = &redactor->counts.name_bytes,
	};
	for (size_t i = 0; i < words; i++)
		*counts[redactor->kept.items[i]] += lh_min_u64(WORD_BYTES, length - i * WORD_BYTES);
}

struct lh_error *lh_redact_memory(struct lh_redactor *redactor, uint64_t addr, uint8_t *bytes, size_t length)
{
	size_t words = (length + WORD_BYTES - 1) / WORD_BYTES;
	redactor->kept.count = 0;
	LH_TRY(lh_vec_reserve(&redactor->kept, words));
	redactor->kept.count = words;
	for (size_t i = 0; i < words; i++)
		redactor->kept.items[i] = length - i * WORD_BYTES < WORD_BYTES
						  ? WORD_REPLACED
						  : (uint8_t)kind_of_word(redactor, addr + i * WORD_BYTES,
									  lh_load_u64(bytes, i * WORD_BYTES));
	struct lh_span text = next_text(bytes, 0, length);
	for (; text.start < length; text = next_text(bytes, text.end, length))
		mark_text(redactor, addr, bytes, text);
	count_words(redactor, words, length);
	text = next_text(bytes, 0, length);
	for (size_t rest = 0; rest < length;) {
		struct lh_span next = next_text(bytes, text.end, length); /* before the bytes change */
		replace_rest(redactor, bytes, (struct lh_span){rest, text.start});
		replace_text_part(redactor, bytes, text);
		rest = text.end;
		text = next;
	}
	return NULL;
}

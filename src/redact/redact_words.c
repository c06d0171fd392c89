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

enum { HALF_BYTES = 4 };

enum word_kind {
	WORD_REPLACED,
	WORD_ZERO,
	WORD_POINTER,
	WORD_NUMBER,
	WORD_NAME,
	WORD_STRUCTURE, /* of the allocator: never text */
	WORD_LOW,       /* its lower half is a small number and stays; the upper half is replaced */
	WORD_HIGH,      /* its upper half is structure and stays; the lower half is replaced */
	WORD_STATE,     /* its lowest byte stays */
	WORD_KINDS,
};

/* ---------------------------------------------------------------- what is mapped, and names */

static int compare_kept_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
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
	redactor->mapped.count = lh_range_join_all(redactor->mapped.items, redactor->mapped.count, 0);
	return NULL;
}

/* A block, and its row among the groups. */
struct typed_block {
	uint64_t addr;
	size_t row;
};

struct typed_blocks {
	LH_VEC(struct typed_block) items;
};

static void typed_blocks_deinit(struct typed_blocks *blocks)
{
	lh_vec_deinit(&blocks->items);
}

static struct lh_error *keep_typed_block(void *context, size_t index, const struct lh_heap_chunk *chunk, size_t row)
{
	struct typed_blocks *blocks = context;
	(void)index;
	return lh_vec_push(&blocks->items, ((struct typed_block){chunk->addr, row}));
}

static bool is_type_row(const struct lh_heap_group *row, const char *kind)
{
	return row->basis == LH_GROUP_TYPE && strcmp(row->kind, kind) == 0;
}

/* The state of a str says how wide its characters are; CPython never clears the 7 bytes behind it. */
static struct lh_error *find_str_states(struct lh_redactor *redactor, const struct typed_blocks *blocks)
{
	enum { STR_STATE = 32 };
	for (size_t i = 0; i < blocks->items.count; i++) {
		const struct lh_heap_group *row = &redactor->groups.rows.items[blocks->items.items[i].row];
		if (is_type_row(row, "Python") && strcmp(row->name, "str") == 0)
			LH_TRY(lh_vec_push(&redactor->states, blocks->items.items[i].addr + STR_STATE));
	}
	lh_vec_sort(&redactor->states, lh_compare_words);
	return NULL;
}

/* The table of a dict says in bytes of its second word how large it is, beside a version (3.11 on; before, a number).
 */
static struct lh_error *find_dict_sizes(struct lh_redactor *redactor, const struct typed_blocks *blocks)
{
	enum { DICT_KEYS = 16 + 32 /* behind the collector's head */, KEYS_SIZE = 8 };
	for (size_t i = 0; i < blocks->items.count; i++) {
		const struct typed_block *block = &blocks->items.items[i];
		const struct lh_heap_group *row = &redactor->groups.rows.items[block->row];
		uint64_t keys;
		if (is_type_row(row, "Python") && strcmp(row->name, "dict") == 0 &&
		    lh_image_read(redactor->image, block->addr + DICT_KEYS, &keys, sizeof(keys)) == sizeof(keys) &&
		    keys % WORD_BYTES == 0)
			LH_TRY(lh_vec_push(&redactor->flags, keys + KEYS_SIZE));
	}
	return NULL;
}

static bool read_image_word(const struct lh_redactor *redactor, uint64_t addr, uint64_t *ret)
{
	return lh_image_read(redactor->image, addr, ret, sizeof(*ret)) == sizeof(*ret);
}

/* Of CPython: where an object's class is, and a class's flags. */
enum { TYPE = 8, TYPE_FLAGS = 168 };

/* A class of CPython: the flags of its own class say that instances of that are classes. */
static bool is_python_class(const struct lh_redactor *redactor, uint64_t addr)
{
	const uint64_t type_subclass = UINT64_C(1) << 31;
	uint64_t metaclass, meta_flags, flags;
	return addr % WORD_BYTES == 0 && read_image_word(redactor, addr + TYPE, &metaclass) &&
	       read_image_word(redactor, metaclass + TYPE_FLAGS, &meta_flags) && meta_flags & type_subclass &&
	       read_image_word(redactor, addr + TYPE_FLAGS, &flags) && flags <= UINT32_MAX;
}

/*
 * The flags of a class of CPython say what its instances are: of those that some block is an instance of. Before an
 * object there may be the collector's head, and two words for its attributes and weak references (3.11 on).
 */
static struct lh_error *find_type_flags(struct lh_redactor *redactor)
{
	enum { HEAD = 16, HEADS_MAX = 32 };
	for (size_t i = 0; i < redactor->groups.rows.count; i++) {
		const struct lh_heap_group *row = &redactor->groups.rows.items[i];
		uint64_t type;
		for (uint64_t head = 0; head <= HEADS_MAX && is_type_row(row, "Python"); head += HEAD) {
			if (read_image_word(redactor, row->example_addr + head + TYPE, &type) &&
			    is_python_class(redactor, type))
				LH_TRY(lh_vec_push(&redactor->flags, type + TYPE_FLAGS));
		}
	}
	lh_vec_sort(&redactor->flags, lh_compare_words);
	return NULL;
}

/* Of classes that a program has made: their names lie among its data. */
static struct lh_error *find_class_names(struct lh_redactor *redactor)
{
	LH_CLEANUP(lh_cleanup_symbols) struct lh_symbols *symbols = NULL;
	struct typed_blocks blocks LH_CLEANUP(typed_blocks_deinit) = {0};
	LH_TRY(lh_symbols_open(redactor->image, NULL, &symbols));
	LH_TRY(lh_heap_group_chosen(redactor->image, symbols, redactor->heap, NULL, keep_typed_block, &blocks,
				    &redactor->groups));
	for (size_t i = 0; i < redactor->groups.rows.count; i++) {
		const struct lh_heap_group *row = &redactor->groups.rows.items[i];
		if (row->basis == LH_GROUP_TYPE)
			LH_TRY(lh_vec_push(&redactor->names, row->name));
		if (is_type_row(row, "OpenSSL") && *row->detail)
			LH_TRY(lh_vec_push(&redactor->names, row->detail));
	}
	LH_TRY(find_dict_sizes(redactor, &blocks));
	LH_TRY(find_type_flags(redactor));
	return find_str_states(redactor, &blocks);
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
	LH_TRY(find_class_names(redactor));
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
	lh_vec_deinit(&redactor->states);
	lh_vec_deinit(&redactor->flags);
	lh_heap_groups_deinit(&redactor->groups);
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

/* Shorter than what counts as a text: a class `Eq`, with anything behind its end. */
static bool begins_with_short_name(const struct lh_redactor *redactor, const uint8_t *bytes)
{
	size_t length = strnlen((const char *)bytes, HALF_BYTES);
	return length > 1 && length < HALF_BYTES && lh_redactor_keeps_name(redactor, (const char *)bytes, length);
}

/* Words of a piece of memory that the heap's walk rests on. */
static void mark_structures(struct lh_redactor *redactor, uint64_t addr, size_t words)
{
	size_t count, index;
	const struct lh_range *all = lh_heap_structures(redactor->heap, &count);
	uint64_t end = addr + words * WORD_BYTES;
	index = lh_count_before(all, count, item, item->end <= addr);
	for (; index < count && all[index].start < end; index++) {
		uint64_t half = lh_max_u64(all[index].start, addr);
		for (; half < lh_min_u64(all[index].end, end); half += HALF_BYTES) {
			uint8_t *kind = &redactor->kept.items[(half - addr) / WORD_BYTES];
			bool is_high = (half - addr) % WORD_BYTES;
			if (*kind == WORD_REPLACED)
				*kind = is_high ? WORD_HIGH : WORD_LOW;
			else if ((*kind == WORD_LOW && is_high) || *kind == WORD_NUMBER)
				*kind = WORD_STRUCTURE;
		}
	}
}

struct addresses {
	const uint64_t *items;
	size_t count;
};

/* Words at these addresses become `kind`, also small numbers: a text before them could take them for its end. */
static void mark_words(struct lh_redactor *redactor, struct lh_range piece, struct addresses addresses, uint8_t kind)
{
	size_t at = lh_count_before(addresses.items, addresses.count, item, *item < piece.start);
	for (; at < addresses.count && addresses.items[at] < piece.end; at++) {
		uint8_t *word = &redactor->kept.items[(addresses.items[at] - piece.start) / WORD_BYTES];
		if (*word == WORD_REPLACED || *word == WORD_NUMBER)
			*word = kind;
	}
}

static bool keeps_byte(const uint8_t *kinds, size_t at)
{
	uint8_t kind = kinds[at / WORD_BYTES];
	bool is_high = at % WORD_BYTES >= HALF_BYTES;
	if (kind == WORD_STATE)
		return at % WORD_BYTES == 0;
	return kind == WORD_HIGH ? is_high : kind == WORD_LOW ? !is_high : kind != WORD_REPLACED;
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

static bool is_foreign(uint8_t kind)
{
	return kind == WORD_POINTER || kind == WORD_STRUCTURE || kind == WORD_HIGH;
}

/* Without bytes of a pointer or a length before or behind it that happen to be printable. */
static struct lh_span clip_text(const uint8_t *kinds, struct lh_span text)
{
	size_t word = text.start / WORD_BYTES;
	if (is_foreign(kinds[word]) || kinds[word] == WORD_STATE)
		text.start = lh_min_u64(text.end, ++word * WORD_BYTES);
	for (; word * WORD_BYTES < text.end; word++) {
		if (is_foreign(kinds[word]))
			text.end = word * WORD_BYTES;
	}
	return text;
}

static void mark_name(uint8_t *kinds, struct lh_span name)
{
	for (size_t word = name.start / WORD_BYTES; word * WORD_BYTES < name.end; word++)
		kinds[word] = kinds[word] == WORD_REPLACED ? WORD_NAME : kinds[word];
}

/*
 * Marks the words of a text that stay, or are to be replaced with it. What is shorter than a text is no name: a value
 * may end like one before a pointer.
 */
static void mark_text(struct lh_redactor *redactor, uint64_t addr, const uint8_t *bytes, struct lh_span text)
{
	uint8_t *kinds = redactor->kept.items;
	struct lh_span name = clip_text(kinds, text);
	if (name.end >= name.start + TEXT_MIN &&
	    lh_redactor_keeps_name(redactor, (const char *)bytes + name.start, name.end - name.start)) {
		mark_name(kinds, name);
		return;
	}
	for (size_t word = text.start / WORD_BYTES; word * WORD_BYTES < text.end; word++) {
		bool is_number = kinds[word] == WORD_NUMBER || kinds[word] == WORD_LOW;
		if (is_number && word * WORD_BYTES > text.start &&
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
		while (end < text.end && !keeps_byte(kinds, end))
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
		uint8_t kind = kinds[at / WORD_BYTES];
		size_t unit = kind == WORD_STATE ? 1 : kind == WORD_LOW || kind == WORD_HIGH ? HALF_BYTES : WORD_BYTES;
		size_t end = lh_min_u64(rest.end, (at / unit + 1) * unit);
		if (!keeps_byte(kinds, at))
			lh_replace_bytes(redactor->key, bytes + at, end - at);
		at = end;
	}
}

static void count_words(struct lh_redactor *redactor, size_t words, size_t length)
{
	uint64_t *const counts[WORD_KINDS] = {
		[WORD_REPLACED] = &redactor->counts.replaced_bytes, [WORD_ZERO] = &redactor->counts.zero_bytes,
		[WORD_POINTER] = &redactor->counts.pointer_bytes,   [WORD_NUMBER] = &redactor->counts.number_bytes,
		[WORD_NAME] = &redactor->counts.name_bytes,         [WORD_STRUCTURE] = &redactor->counts.number_bytes,
	};
	for (size_t i = 0; i < words; i++) {
		uint8_t kind = redactor->kept.items[i];
		size_t kept = kind == WORD_STATE ? 1 : kind == WORD_LOW || kind == WORD_HIGH ? HALF_BYTES : 0;
		if (kept) {
			redactor->counts.number_bytes += kept;
			redactor->counts.replaced_bytes += WORD_BYTES - kept;
		} else {
			*counts[kind] += lh_min_u64(WORD_BYTES, length - i * WORD_BYTES);
		}
	}
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
	for (size_t i = 0; i < words; i++) {
		if (redactor->kept.items[i] == WORD_REPLACED && length - i * WORD_BYTES >= WORD_BYTES &&
		    begins_with_short_name(redactor, bytes + i * WORD_BYTES))
			redactor->kept.items[i] = WORD_LOW;
	}
	mark_structures(redactor, addr, words);
	struct lh_range piece = {addr, addr + words * WORD_BYTES};
	mark_words(redactor, piece, (struct addresses){redactor->states.items, redactor->states.count}, WORD_STATE);
	mark_words(redactor, piece, (struct addresses){redactor->flags.items, redactor->flags.count}, WORD_STRUCTURE);
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

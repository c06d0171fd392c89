/*
 * heap_groups: what the blocks of a heap are, each in one group. Input: a heap, and objects by type. Output: rows by
 * bytes. A block is told by the object that begins it, else by its first pointer into a module with a name, else by its
 * text, else by its size. Beside the heap's index it takes one bit a block.
 */
#include "block_shares.h"
#include "leakhunt/bits.h"
#include "leakhunt/hash_table.h"
#include "leakhunt/objects.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROWS_MAX = 1 << 14,
	POINTERS_MAX = 1 << 15, /* whose names are kept */
	HEAD_WORDS = 8,         /* of a block, in which a pointer is looked for */
	HEAD_BYTES = 64,        /* in which text is */
};

struct grouping {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_heap *heap;
	struct lh_heap_groups *groups;
	uint64_t *typed;                      /* a bit for each block */
	struct lh_hash_table row_numbers;     /* by a hash of what makes a row */
	struct lh_hash_table pointer_numbers; /* of pointer_names, by address of a module */
	LH_VEC(const char *) pointer_names;   /* NULL: the address has none that helps */
	LH_VEC(struct lh_range) modules;      /* ascending; heaps lie between them */
	size_t only;                          /* the one block that is asked for; SIZE_MAX: all */
	const uint64_t *chosen;               /* a bit for each block that is asked for; NULL: all */
	lh_heap_group_visitor *visit;
	void *visit_context;
	struct lh_error *error; /* of the visitor, which cannot return one */
};

const char *lh_group_basis_name(enum lh_group_basis basis)
{
	static const char *const names[] = {"type", "pointer", "content", "size"};
	return names[basis];
}

void lh_heap_groups_deinit(struct lh_heap_groups *groups)
{
	lh_vec_deinit(&groups->rows);
	lh_strings_pool_deinit(&groups->strings);
}

static void grouping_deinit(struct grouping *grouping)
{
	free(grouping->typed);
	lh_hash_table_deinit(&grouping->row_numbers);
	lh_hash_table_deinit(&grouping->pointer_numbers);
	lh_vec_deinit(&grouping->pointer_names);
	lh_vec_deinit(&grouping->modules);
	lh_error_destroy(grouping->error);
}

/* ---------------------------------------------------------------- rows */

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3u; /* FNV-1a */
	return (hash ^ 0xff) * 0x100000001b3u;
}

static bool is_group_row(const struct lh_heap_group *row, const struct lh_heap_group *wanted)
{
	return row->basis == wanted->basis && strcmp(row->name, wanted->name) == 0 &&
	       strcmp(row->kind, wanted->kind) == 0 && strcmp(row->detail, wanted->detail) == 0;
}

static struct lh_error *keep_text(struct lh_heap_groups *groups, const char **text)
{
	return lh_strings_pool_add(&groups->strings, *text, strlen(*text), text);
}

static struct lh_error *push_group_row(struct lh_heap_groups *groups, struct lh_heap_group row)
{
	LH_TRY(keep_text(groups, &row.kind));
	LH_TRY(keep_text(groups, &row.name));
	LH_TRY(keep_text(groups, &row.detail));
	return lh_vec_push(&groups->rows, row);
}

/* The row of that name; when there are too many, the first one, which is for all others. */
static struct lh_error *find_group_row(struct grouping *grouping, const struct lh_heap_group *wanted,
				       struct lh_heap_group **ret)
{
	struct lh_heap_groups *groups = grouping->groups;
	uint32_t number;
	uint64_t key = hash_text(
		hash_text(hash_text(0xcbf29ce484222325u + (uint64_t)wanted->basis, wanted->name), wanted->kind),
		wanted->detail);
	for (; lh_hash_table_find(&grouping->row_numbers, key, &number); key = lh_hash_table_next_key(key)) {
		*ret = &groups->rows.items[number];
		if (is_group_row(*ret, wanted))
			return NULL;
	}
	*ret = &groups->rows.items[0];
	if (groups->rows.count == ROWS_MAX)
		return NULL;
	LH_TRY(lh_hash_table_put(&grouping->row_numbers, key, (uint32_t)groups->rows.count));
	LH_TRY(push_group_row(groups, *wanted));
	*ret = &groups->rows.items[groups->rows.count - 1];
	return NULL;
}

/* As heap totals it: small blocks are taken for resident. */
static struct lh_error *add_resident_bytes(const struct grouping *grouping, const struct lh_heap_chunk *chunk,
					   uint64_t *sum_bytes)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	if (chunk->size_bytes < LH_PAGE_BYTES) {
		*sum_bytes += chunk->size_bytes;
		return NULL;
	}
	LH_TRY(lh_image_find_present(grouping->image, (struct lh_range){chunk->addr, chunk->addr + chunk->size_bytes},
				     &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		*sum_bytes += lh_range_bytes(runs.runs.items[i].range);
	return NULL;
}

static struct lh_error *count_group_block(struct grouping *grouping, const struct lh_heap_group *wanted, size_t index,
					  const struct lh_heap_chunk *chunk)
{
	struct lh_heap_group *row;
	LH_TRY(find_group_row(grouping, wanted, &row));
	if (!row->count++)
		row->example_addr = chunk->addr;
	row->bytes += chunk->size_bytes;
	if (grouping->visit)
		LH_TRY(grouping->visit(grouping->visit_context, index, chunk,
				       (size_t)(row - grouping->groups->rows.items)));
	grouping->groups->count++;
	grouping->groups->bytes += chunk->size_bytes;
	return add_resident_bytes(grouping, chunk, &row->resident_bytes);
}

/* ---------------------------------------------------------------- types */

/* The first object at the beginning of a block says what it is. */
static bool is_asked_for(const struct grouping *grouping, size_t index)
{
	if (grouping->chosen)
		return lh_bit(grouping->chosen, index);
	return grouping->only == SIZE_MAX || index == grouping->only;
}

static void take_found(void *context, const struct lh_found_object *object)
{
	struct grouping *grouping = context;
	size_t index;
	if (grouping->error || !lh_heap_find_chunk(grouping->heap, object->addr, &index) ||
	    !is_asked_for(grouping, index))
		return;
	struct lh_heap_chunk chunk = lh_heap_chunk_at(grouping->heap, index);
	const struct lh_heap_type *type;
	if (lh_heap_chunk_type(grouping->heap, index, &type) || chunk.state != LH_CHUNK_USED ||
	    !lh_block_begins_with(chunk.addr, object->addr) || lh_bit(grouping->typed, index))
		return;
	lh_bit_set(grouping->typed, index);
	struct lh_heap_group wanted = {
		.basis = LH_GROUP_TYPE, .kind = object->kind, .name = object->name, .detail = object->detail};
	grouping->error = count_group_block(grouping, &wanted, index, &chunk);
}

static struct lh_error *feed_census(void *context, const struct lh_block *block)
{
	return lh_census_pass_feed(context, block);
}

static void destroy_census_pass(struct lh_census_pass **pass)
{
	lh_census_pass_destroy(*pass);
}

static struct lh_error *group_by_type(struct grouping *grouping, const struct lh_objects_options *options)
{
	LH_CLEANUP(destroy_census_pass) struct lh_census_pass *pass = NULL;
	struct lh_census census LH_CLEANUP(lh_census_deinit) = {0};
	struct lh_objects objects LH_CLEANUP(lh_objects_deinit) = {0};
	struct lh_objects_options with_heap = *options;
	with_heap.heap = grouping->heap;
	with_heap.found = take_found;
	with_heap.found_context = grouping;
	LH_TRY(lh_census_pass_create(grouping->image, &pass));
	LH_TRY(lh_image_walk(grouping->image, options->walk_flags, feed_census, pass));
	LH_TRY(lh_census_pass_finish(pass, grouping->symbols, 0, &census));
	LH_TRY(lh_objects_find(grouping->image, grouping->symbols, &census, &with_heap, &objects));
	struct lh_error *error = grouping->error;
	grouping->error = NULL;
	return error;
}

/* ---------------------------------------------------------------- pointers */

/* Without memory for it a name is looked up again. */
static void keep_pointer_name(struct grouping *grouping, uint64_t addr, const char *name)
{
	uint32_t number = (uint32_t)grouping->pointer_names.count;
	if (number == POINTERS_MAX)
		return;
	struct lh_error *error = lh_vec_push(&grouping->pointer_names, name);
	if (!error)
		error = lh_hash_table_put(&grouping->pointer_numbers, addr, number);
	lh_error_destroy(error);
}

/* The name of what stands at an address of a module; NULL when only the place is known. */
static const char *name_pointer(struct grouping *grouping, uint64_t addr)
{
	uint32_t number;
	struct lh_symbol symbol;
	if (lh_hash_table_find(&grouping->pointer_numbers, addr, &number))
		return grouping->pointer_names.items[number];
	bool has_name = lh_symbols_find(grouping->symbols, addr, &symbol) && symbol.origin != LH_SYMBOL_SECTION &&
			!symbol.offset;
	keep_pointer_name(grouping, addr, has_name ? symbol.name : NULL);
	return has_name ? symbol.name : NULL;
}

static struct lh_error *list_module_ranges(struct grouping *grouping)
{
	const struct lh_module_list *list = lh_image_modules(grouping->image);
	for (size_t i = 0; i < list->modules.count; i++) {
		const struct lh_module *module = &list->modules.items[i];
		LH_TRY(lh_vec_push(&grouping->modules, ((struct lh_range){module->start, module->end})));
	}
	lh_vec_sort(&grouping->modules, lh_compare_range_starts);
	return NULL;
}

static bool is_in_module(const struct grouping *grouping, uint64_t addr)
{
	size_t low = lh_vec_count_before(&grouping->modules, item, item->start <= addr);
	return low && addr < grouping->modules.items[low - 1].end;
}

static bool describe_by_pointer(struct grouping *grouping, const uint64_t *words, size_t count, char *ret,
				size_t ret_bytes)
{
	for (size_t i = 0; i < count; i++) {
		if (words[i] < LH_PAGE_BYTES || words[i] >> 47 || !is_in_module(grouping, words[i]))
			continue;
		const char *name = name_pointer(grouping, words[i]);
		if (!name)
			continue;
		snprintf(ret, ret_bytes, "%s at +%zu", name, i * sizeof(uint64_t));
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- contents */

static bool begins_with(const uint8_t *bytes, size_t length, const char *text)
{
	return length >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static const char *name_text(const uint8_t *bytes, size_t length)
{
	static const char *const heads[][2] = {
		{"HTTP/", "HTTP"},  {"GET ", "HTTP"},   {"POST ", "HTTP"},     {"<", "XML or HTML"}, {"{\"", "JSON"},
		{"[{", "JSON"},     {"http://", "URL"}, {"https://", "URL"},   {"SELECT ", "SQL"},   {"INSERT ", "SQL"},
		{"UPDATE ", "SQL"}, {"/", "path"},      {"-----BEGIN", "PEM"}, {"#include", "C"},    {"#!", "script"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(heads); i++) {
		if (begins_with(bytes, length, heads[i][0]))
			return heads[i][1];
	}
	return "text";
}

/* Text up to its end, or zeros, as far as the head of the block shows. */
static const char *name_content(const uint8_t *bytes, size_t length)
{
	enum { TEXT_MIN = 6 };
	size_t end = 0, zeros = 0;
	while (end < length) {
		uint32_t rune;
		size_t step = lh_utf8_decode(bytes + end, length - end, &rune);
		bool is_printable =
			step && (rune >= 0x20 || rune == '\n' || rune == '\t' || rune == '\r') && rune != 0x7f;
		if (!is_printable)
			break;
		end += step;
	}
	while (zeros < length && !bytes[zeros])
		zeros++;
	if (length && zeros == length)
		return "zeros";
	bool is_ended = end >= length - lh_min_u64(length, 4) || !bytes[end];
	return end >= TEXT_MIN && is_ended ? name_text(bytes, length) : NULL;
}

/* ---------------------------------------------------------------- blocks without a type */

static struct lh_error *group_block(struct grouping *grouping, size_t index, const struct lh_heap_chunk *chunk)
{
	union {
		uint64_t words[HEAD_WORDS];
		uint8_t bytes[HEAD_BYTES];
	} head;
	char name[256], size[LH_FORMAT_MAX];
	size_t length =
		lh_image_read(grouping->image, chunk->addr, head.bytes, lh_min_u64(chunk->size_bytes, HEAD_BYTES));
	const char *content;
	if (describe_by_pointer(grouping, head.words, length / 8, name, sizeof(name))) {
		struct lh_heap_group wanted = {.basis = LH_GROUP_POINTER, .kind = "", .name = name, .detail = ""};
		return count_group_block(grouping, &wanted, index, chunk);
	}
	content = name_content(head.bytes, length);
	if (content) {
		struct lh_heap_group wanted = {.basis = LH_GROUP_CONTENT, .kind = "", .name = content, .detail = ""};
		return count_group_block(grouping, &wanted, index, chunk);
	}
	bool is_small = chunk->size_bytes <= 1024;
	uint64_t most = is_small ? chunk->size_bytes : UINT64_C(1) << (64 - __builtin_clzll(chunk->size_bytes - 1));
	snprintf(name, sizeof(name), "%s%s", is_small ? "" : "up to ", lh_format_bytes(most, size));
	struct lh_heap_group wanted = {.basis = LH_GROUP_SIZE, .kind = "", .name = name, .detail = ""};
	return count_group_block(grouping, &wanted, index, chunk);
}

/* A type that the runtime itself has told. */
static struct lh_error *group_runtime_object(struct grouping *grouping, size_t index, const struct lh_heap_chunk *chunk,
					     const struct lh_heap_type *type)
{
	static const struct lh_heap_type further = {.kind = "", .name = "further types", .detail = ""};
	type = type ? type : &further;
	struct lh_heap_group wanted = {
		.basis = LH_GROUP_TYPE, .kind = type->kind, .name = type->name, .detail = type->detail};
	return count_group_block(grouping, &wanted, index, chunk);
}

static struct lh_error *group_rest(struct grouping *grouping)
{
	const struct lh_heap_type *type;
	size_t count = lh_heap_chunk_count(grouping->heap);
	for (size_t i = 0; i < count; i++) {
		if (!is_asked_for(grouping, i))
			continue;
		struct lh_heap_chunk chunk = lh_heap_chunk_at(grouping->heap, i);
		if (chunk.state != LH_CHUNK_USED)
			continue;
		if (lh_heap_chunk_type(grouping->heap, i, &type))
			LH_TRY(group_runtime_object(grouping, i, &chunk, type));
		else if (!lh_bit(grouping->typed, i))
			LH_TRY(group_block(grouping, i, &chunk));
	}
	return NULL;
}

/* ---------------------------------------------------------------- the result */

static int compare_groups(const void *a, const void *b)
{
	const struct lh_heap_group *left = a, *right = b;
	int order = lh_compare_u64(right->bytes, left->bytes);
	return order ? order : lh_compare_u64(left->example_addr, right->example_addr);
}

static struct lh_error *begin_grouping(struct grouping *grouping)
{
	grouping->typed = lh_bits_create(lh_heap_chunk_count(grouping->heap));
	if (!grouping->typed)
		return lh_error_no_memory();
	LH_TRY(list_module_ranges(grouping));
	return push_group_row(
		grouping->groups,
		(struct lh_heap_group){.basis = LH_GROUP_SIZE, .kind = "", .name = "others", .detail = ""});
}

void lh_heap_groups_sort(struct lh_heap_groups *groups)
{
	lh_vec_sort(&groups->rows, compare_groups);
	while (groups->rows.count && !groups->rows.items[groups->rows.count - 1].count)
		groups->rows.count--;
}

static void end_grouping(struct lh_heap_groups *groups, struct lh_heap_groups *ret)
{
	lh_heap_groups_sort(groups);
	*ret = *groups;
	*groups = (struct lh_heap_groups){0};
}

struct lh_error *lh_heap_group_blocks(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				      const struct lh_objects_options *options, struct lh_heap_groups *ret)
{
	struct lh_heap_groups groups LH_CLEANUP(lh_heap_groups_deinit) = {0};
	struct grouping grouping LH_CLEANUP(grouping_deinit) = {
		.image = image, .symbols = symbols, .heap = heap, .groups = &groups, .only = SIZE_MAX};
	LH_TRY(begin_grouping(&grouping));
	LH_TRY(group_by_type(&grouping, options));
	LH_TRY(group_rest(&grouping));
	end_grouping(&groups, ret);
	return NULL;
}

struct lh_error *lh_heap_group_chosen(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				      const uint64_t *chosen, lh_heap_group_visitor *visit, void *context,
				      struct lh_heap_groups *ret)
{
	struct lh_heap_groups groups LH_CLEANUP(lh_heap_groups_deinit) = {0};
	struct grouping grouping LH_CLEANUP(grouping_deinit) = {.image = image,
								.symbols = symbols,
								.heap = heap,
								.groups = &groups,
								.only = SIZE_MAX,
								.chosen = chosen,
								.visit = visit,
								.visit_context = context};
	LH_TRY(begin_grouping(&grouping));
	LH_TRY(group_by_type(&grouping, &(struct lh_objects_options){0}));
	LH_TRY(group_rest(&grouping));
	*ret = groups;
	groups = (struct lh_heap_groups){0};
	return NULL;
}

struct lh_error *lh_heap_group_block(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				     size_t chunk_index, struct lh_heap_groups *ret)
{
	struct lh_heap_groups groups LH_CLEANUP(lh_heap_groups_deinit) = {0};
	struct grouping grouping LH_CLEANUP(grouping_deinit) = {
		.image = image, .symbols = symbols, .heap = heap, .groups = &groups, .only = chunk_index};
	struct lh_heap_chunk chunk = lh_heap_chunk_at(heap, chunk_index);
	const struct lh_heap_type *type;
	LH_TRY(begin_grouping(&grouping));
	if (!lh_heap_chunk_type(heap, chunk_index, &type))
		LH_TRY(group_by_type(&grouping, &(struct lh_objects_options){0}));
	else
		LH_TRY(group_runtime_object(&grouping, chunk_index, &chunk, type));
	if (!groups.count)
		LH_TRY(group_block(&grouping, chunk_index, &chunk));
	end_grouping(&groups, ret);
	return NULL;
}

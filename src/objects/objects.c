/*
 * objects: how many objects of which type memory holds. Input: the census, whose addresses say which
 * tables and types of modules are pointed to at all. Classes of Python lie in the heap themselves: one more
 * walk finds them, and another those with a metaclass. Then one walk looks at each word that points to a
 * type, and counts it where the words around it, and the allocator's chunk, say that an object is there.
 */
#include "heap/chunks.h"
#include "object_rules.h"
#include "python_object.h"
#include "sweep/hits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CENSUS_ROWS_MAX = 1 << 16, /* most frequent addresses that are looked at */
	TYPES_MAX = 1 << 18,       /* classes of Python, tables of C++ */
	LIBRARY_ROWS_MAX = 1 << 10,
	ARRAY_HEAD_MAX_BYTES = 16, /* of new T[], make_shared: the objects behind fill the chunk */
};

/* An address that objects point to, and by which they are told. */
struct object_type {
	uint64_t addr;
	enum lh_object_language language;
	const char *name; /* of the class; of the table, for languages of libraries */
	bool is_table_string;
	struct lh_python_type python;
	struct lh_object_count tally;
	uint64_t last_chunk; /* whose bytes were added last */
};

struct object_search {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_objects_options *options;
	LH_VEC(struct object_type) types;
	LH_VEC(struct lh_object_count) library; /* rows of rules: their details differ from object to object */
	struct lh_hit_set *set;                 /* of the types */
	struct lh_chunk_walk chunks;
	LH_VEC(struct object_type) found; /* classes, while the heap is searched for them */
	struct lh_strings_pool *strings;
	bool has_tagged_ints;
};

static void cleanup_search(struct object_search *search)
{
	lh_vec_deinit(&search->types);
	lh_vec_deinit(&search->library);
	lh_vec_deinit(&search->found);
	lh_hit_set_destroy(search->set);
}

/* ---------------------------------------------------------------- types that modules hold */

static bool fits_any_rule(const char *accessor)
{
	for (const struct lh_object_rule *rule = lh_object_rules; rule->name; rule++) {
		if (lh_object_rule_fits_accessor(rule, accessor))
			return true;
	}
	return false;
}

/* Fills `ret` when objects can be told by the address. */
static bool describe_table(struct lh_symbols *symbols, uint64_t addr, struct object_type *ret)
{
	struct lh_cxx_class class;
	bool is_similar;
	*ret = (struct object_type){.addr = addr};
	if (addr % 8 || lh_symbols_is_code(symbols, addr))
		return false;
	const char *accessor = lh_symbols_accessor(symbols, addr, &is_similar);
	if (accessor && fits_any_rule(accessor)) {
		ret->language = LH_OBJECT_LIBRARY;
		ret->name = accessor;
	} else if (lh_symbols_cxx_class(symbols, addr, &class)) {
		ret->language = LH_OBJECT_CXX;
		ret->name = class.name;
		return !class.is_base_part;
	} else if (lh_symbols_python_type(symbols, addr, &ret->python)) {
		ret->language = LH_OBJECT_PYTHON;
		ret->name = ret->python.name;
	} else {
		ret->language = LH_OBJECT_LIBRARY;
		ret->name = lh_symbols_string_name(symbols, addr);
		ret->is_table_string = true;
	}
	return ret->name != NULL;
}

static struct lh_error *find_static_types(struct object_search *search, const struct lh_census *census)
{
	for (size_t i = 0; i < census->rows.count && i < CENSUS_ROWS_MAX; i++) {
		struct object_type type;
		if (describe_table(search->symbols, census->rows.items[i].target_addr, &type))
			LH_TRY(lh_vec_push(&search->types, type));
	}
	return NULL;
}

/* ---------------------------------------------------------------- walking */

static struct lh_error *make_set(struct object_search *search, bool wants_metaclasses, size_t first)
{
	LH_VEC(uint64_t) addrs = {0};
	struct lh_error *error = NULL;
	for (size_t i = first; i < search->types.count && !error; i++) {
		const struct object_type *type = &search->types.items[i];
		if (!wants_metaclasses || (type->language == LH_OBJECT_PYTHON && type->python.is_metaclass))
			error = lh_vec_push(&addrs, type->addr);
	}
	lh_hit_set_destroy(search->set);
	search->set = NULL;
	if (!error)
		error = lh_hit_set_create(addrs.items, addrs.count, &search->set);
	lh_vec_deinit(&addrs);
	return error;
}

static struct lh_error *walk_hits(struct object_search *search, lh_hit_visitor *visit)
{
	struct lh_hit_walk walk = {
		.image = search->image,
		.walk_flags = search->options->walk_flags,
		.threads = search->options->threads,
		.set = search->set,
		.visit = visit,
		.context = search,
		.progress = search->options->progress,
		.progress_context = search->options->progress_context,
	};
	return lh_hits_walk(&walk);
}

bool lh_object_word(const struct lh_object_view *view, int64_t offset, uint64_t *ret)
{
	return lh_hit_word(view->image, view->hit, view->hit->addr + (uint64_t)offset, ret);
}

/* ---------------------------------------------------------------- Python */

static struct lh_python_view python_view(const struct object_search *search, const struct lh_hit *hit)
{
	return (struct lh_python_view){
		.image = search->image,
		.symbols = search->symbols,
		.types = search->set,
		.has_tagged_ints = search->has_tagged_ints,
		.hit = hit,
	};
}

/* A hit on a metaclass: its instance is a class. */
static struct lh_error *take_class(void *context, const struct lh_hit *hit)
{
	struct object_search *search = context;
	struct object_type type = {.addr = hit->addr - 8, .language = LH_OBJECT_PYTHON};
	struct lh_python_view view = python_view(search, hit);
	if (search->found.count + search->types.count >= TYPES_MAX || !lh_python_is_object(&view) ||
	    !lh_symbols_python_type(search->symbols, type.addr, &type.python))
		return NULL;
	type.name = type.python.name;
	return lh_vec_push(&search->found, type);
}

static int compare_types(const void *a, const void *b)
{
	const struct object_type *left = a, *right = b;
	return lh_compare_u64(left->addr, right->addr);
}

/* A class that memory shows twice is one. */
static void drop_repeated_types(struct object_search *search)
{
	size_t kept = 0;
	if (search->types.count)
		qsort(search->types.items, search->types.count, sizeof(*search->types.items), compare_types);
	for (size_t i = 0; i < search->types.count; i++) {
		if (!kept || search->types.items[kept - 1].addr != search->types.items[i].addr)
			search->types.items[kept++] = search->types.items[i];
	}
	search->types.count = kept;
}

/* The classes that are instances of the metaclasses from `first` on; of those there need not be any. */
static struct lh_error *find_classes(struct object_search *search, size_t first, size_t *ret_first)
{
	*ret_first = search->types.count;
	bool has_metaclass = false;
	for (size_t i = first; i < search->types.count; i++)
		has_metaclass |= search->types.items[i].python.is_metaclass;
	if (!has_metaclass)
		return NULL;
	LH_TRY(make_set(search, true, first));
	search->found.count = 0;
	LH_TRY(walk_hits(search, take_class));
	for (size_t i = 0; i < search->found.count; i++)
		LH_TRY(lh_vec_push(&search->types, search->found.items[i]));
	return NULL;
}

/* ---------------------------------------------------------------- counting */

static void add_object(struct lh_object_count *count, uint64_t addr, uint64_t bytes)
{
	if (!count->count++)
		count->example_addr = addr;
	count->bytes += bytes;
}

/* Its allocator is its own (obmalloc.c), and what was freed has no references: malloc's chunks say nothing. */
static void count_python(struct object_search *search, struct object_type *type, const struct lh_hit *hit)
{
	struct lh_python_view view = python_view(search, hit);
	uint64_t bytes;
	if (lh_python_is_object(&view) && lh_python_object_bytes(&view, &type->python, &bytes))
		add_object(&type->tally, hit->addr - 8, bytes);
}

/* The bytes of a chunk are those of the first object in it; the others lie in an array or in another object. */
static void count_cxx(struct object_type *type, const struct lh_hit *hit, const struct lh_chunk *chunk)
{
	if (chunk && !chunk->is_used) {
		type->tally.freed_count++;
		return;
	}
	bool is_first = chunk && hit->addr - chunk->memory_addr <= ARRAY_HEAD_MAX_BYTES &&
			type->last_chunk != chunk->memory_addr;
	add_object(&type->tally, hit->addr, is_first ? chunk->size_bytes : 0);
	if (is_first)
		type->last_chunk = chunk->memory_addr;
}

/* The row of that name and detail; NULL when there are too many. */
static struct lh_error *find_library_row(struct object_search *search, const char *name, const char *detail,
					 struct lh_object_count **ret)
{
	for (size_t i = 0; i < search->library.count; i++) {
		struct lh_object_count *row = &search->library.items[i];
		if (row->name == name && strcmp(row->detail, detail) == 0) {
			*ret = row;
			return NULL;
		}
	}
	struct lh_object_count row = {.name = name, .language = LH_OBJECT_LIBRARY};
	*ret = NULL;
	if (search->library.count >= LIBRARY_ROWS_MAX)
		return NULL;
	LH_TRY(lh_strings_pool_add(search->strings, detail, strlen(detail), &row.detail));
	LH_TRY(lh_vec_push(&search->library, row));
	*ret = &search->library.items[search->library.count - 1];
	return NULL;
}

/* A row's object, or one more that was freed; there may be no row for it. */
static void add_chunk(struct lh_object_count *row, const struct lh_chunk *chunk)
{
	if (row && chunk->is_used)
		add_object(row, chunk->memory_addr, chunk->size_bytes);
	else if (row)
		row->freed_count++;
}

static struct lh_error *count_record_buffers(struct object_search *search, const struct lh_object_view *view,
					     const char *owner)
{
	for (uint64_t offset = 0; offset < view->chunk.size_bytes - 8; offset += 8) {
		struct lh_chunk buffer;
		struct lh_object_count *row;
		char detail[LH_OBJECT_DETAIL_MAX];
		if (!lh_object_record_buffer(view, offset, &buffer))
			continue;
		snprintf(detail, sizeof(detail), "of %s", owner);
		LH_TRY(find_library_row(search, "record buffer", detail, &row));
		add_chunk(row, &buffer);
	}
	return NULL;
}

static struct lh_error *count_by_rule(struct object_search *search, const struct object_type *type,
				      const struct lh_hit *hit, const struct lh_chunk *chunk)
{
	struct lh_object_view view = {
		.image = search->image,
		.symbols = search->symbols,
		.hit = hit,
		.table_addr = type->addr,
		.table_name = type->name,
		.has_chunk = chunk != NULL,
	};
	if (chunk)
		view.chunk = *chunk;
	for (const struct lh_object_rule *rule = lh_object_rules; rule->name; rule++) {
		char detail[LH_OBJECT_DETAIL_MAX] = "";
		struct lh_object_count *row;
		bool fits = type->is_table_string ? !rule->accessors : lh_object_rule_fits_accessor(rule, type->name);
		if (!fits || !rule->is_object(&view, detail))
			continue;
		LH_TRY(find_library_row(search, rule->name, detail, &row));
		if (chunk)
			add_chunk(row, chunk);
		else if (row)
			add_object(row, hit->addr, 0);
		return chunk && chunk->is_used && rule->has_buffers ? count_record_buffers(search, &view, rule->name)
								    : NULL;
	}
	return NULL;
}

/* Frames that have returned leave pointers behind; what lives in a frame is no leak. */
static bool is_stack(const struct lh_segment *segment)
{
	return segment && (segment->kind == LH_REGION_MAIN_STACK || segment->kind == LH_REGION_THREAD_STACK);
}

static struct lh_error *take_object(void *context, const struct lh_hit *hit)
{
	struct object_search *search = context;
	struct object_type *type = &search->types.items[hit->target];
	if (is_stack(hit->block->segment))
		return NULL;
	if (type->language == LH_OBJECT_PYTHON) {
		count_python(search, type, hit);
		return NULL;
	}
	struct lh_chunk found;
	const struct lh_chunk *chunk = lh_chunk_walk_to(&search->chunks, hit->block, hit->addr, &found) ? &found : NULL;
	if (type->language == LH_OBJECT_LIBRARY)
		return count_by_rule(search, type, hit, chunk);
	count_cxx(type, hit, chunk);
	return NULL;
}

/* ---------------------------------------------------------------- the result */

static int compare_by_name(const void *a, const void *b)
{
	const struct lh_object_count *left = a, *right = b;
	int order = (int)left->language - (int)right->language;
	if (!order)
		order = strcmp(left->name, right->name);
	return order ? order : strcmp(left->detail, right->detail);
}

static int compare_by_bytes(const void *a, const void *b)
{
	const struct lh_object_count *left = a, *right = b;
	int order = lh_compare_u64(right->bytes, left->bytes);
	if (!order)
		order = lh_compare_u64(right->count, left->count);
	return order ? order : compare_by_name(a, b);
}

/* Types of one name are one row: two libraries may bring the same class. */
static void unite_rows(struct lh_objects *objects)
{
	size_t kept = 0;
	for (size_t i = 0; i < objects->rows.count; i++) {
		struct lh_object_count *row = &objects->rows.items[i];
		struct lh_object_count *last = kept ? &objects->rows.items[kept - 1] : NULL;
		if (!last || compare_by_name(last, row) != 0) {
			objects->rows.items[kept++] = *row;
			continue;
		}
		last->count += row->count;
		last->bytes += row->bytes;
		last->freed_count += row->freed_count;
	}
	objects->rows.count = kept;
}

static bool is_in_module(const struct object_search *search, uint64_t addr)
{
	const char *name;
	return lh_symbols_module(search->symbols, addr, &name) != NULL;
}

static struct lh_error *collect_rows(const struct object_search *search, struct lh_objects *ret)
{
	for (size_t i = 0; i < search->types.count; i++) {
		struct lh_object_count row = search->types.items[i].tally;
		row.name = search->types.items[i].name;
		row.language = search->types.items[i].language;
		row.detail = "";
		row.is_own = row.language == LH_OBJECT_PYTHON && !is_in_module(search, search->types.items[i].addr);
		if (row.count)
			LH_TRY(lh_vec_push(&ret->rows, row));
	}
	for (size_t i = 0; i < search->library.count; i++) {
		if (search->library.items[i].count)
			LH_TRY(lh_vec_push(&ret->rows, search->library.items[i]));
	}
	if (!ret->rows.count)
		return NULL;
	qsort(ret->rows.items, ret->rows.count, sizeof(*ret->rows.items), compare_by_name);
	unite_rows(ret);
	qsort(ret->rows.items, ret->rows.count, sizeof(*ret->rows.items), compare_by_bytes);
	return NULL;
}

static bool has_tagged_ints(const struct object_search *search)
{
	for (size_t i = 0; i < search->types.count; i++) {
		const struct object_type *type = &search->types.items[i];
		if (type->language == LH_OBJECT_PYTHON && strcmp(type->name, "str") == 0)
			return lh_python_has_tagged_ints(&type->python);
	}
	return false;
}

static struct lh_error *count_objects(struct object_search *search, const struct lh_census *census)
{
	size_t heap_types, more_types;
	LH_TRY(find_static_types(search, census));
	LH_TRY(find_classes(search, 0, &heap_types));
	if (heap_types < search->types.count)
		LH_TRY(find_classes(search, heap_types, &more_types));
	drop_repeated_types(search);
	search->has_tagged_ints = has_tagged_ints(search);
	if (!search->types.count)
		return NULL;
	LH_TRY(make_set(search, false, 0));
	return walk_hits(search, take_object);
}

struct lh_error *lh_objects_find(struct lh_image *image, struct lh_symbols *symbols, const struct lh_census *census,
				 const struct lh_objects_options *options, struct lh_objects *ret)
{
	struct lh_objects objects LH_CLEANUP(lh_objects_deinit) = {0};
	LH_CLEANUP(cleanup_search)
	struct object_search search = {
		.image = image,
		.symbols = symbols,
		.options = options,
		.chunks = {.image = image},
		.strings = &objects.strings,
	};
	LH_TRY(count_objects(&search, census));
	LH_TRY(collect_rows(&search, &objects));
	*ret = objects;
	objects = (struct lh_objects){0};
	return NULL;
}

void lh_objects_deinit(struct lh_objects *objects)
{
	lh_vec_deinit(&objects->rows);
	lh_strings_pool_deinit(&objects->strings);
}

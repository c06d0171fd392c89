/*
 * objects: how many objects of which type memory holds. Input: the census, whose addresses say which
 * tables and types of modules are pointed to at all. Classes of Python lie in the heap themselves: one more
 * walk finds them, and another those with a metaclass. Then one walk looks at each word that points to a
 * type, or that fits a pattern of a library's family, and counts it where the words around it, and the
 * allocator's chunk, say that an object is there.
 */
#include "leakhunt/objects.h"
#include "block_shares.h"
#include "cxx_storage.h"
#include "family.h"
#include "leakhunt/heap.h"
#include "leakhunt/sweep.h"
#include "python_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CENSUS_ROWS_MAX = 1 << 16, /* most frequent addresses that are looked at */
	TYPES_MAX = 1 << 18,       /* classes of Python, tables of C++ */
	LIBRARY_ROWS_MAX = 1 << 12,
	PATTERNS_MAX = 64,
};

/* An address that objects point to, and by which they are told: of a family, of C++ or of Python. */
struct object_type {
	struct lh_family_target target;
	const struct lh_object_family *family; /* NULL: a class, of Python or of C++ */
	bool is_python;
	struct lh_python_type python;
	struct lh_cxx_class cxx;
	struct lh_object_count tally;
	uint64_t block_bytes; /* the smallest block that such an object begins: it needs no more; 0: there is none */
};

/* A pattern of a family. */
struct family_pattern {
	const struct lh_object_family *family;
	size_t index;
};

struct object_search {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_objects_options *options;
	LH_VEC(struct object_type) types;
	LH_VEC(struct lh_object_count) library; /* rows of families: their details differ from object to object */
	struct lh_hit_set *set;                 /* of the types */
	struct lh_word_pattern patterns[PATTERNS_MAX];
	struct family_pattern pattern_owners[PATTERNS_MAX];
	size_t pattern_count;
	const struct lh_heap *heap;       /* NULL: raw bytes have none */
	struct lh_heap *own_heap;         /* walked here */
	LH_VEC(struct object_type) found; /* classes, while the heap is searched for them */
	struct lh_strings_pool *strings;
	bool has_tagged_ints;
	struct lh_pymalloc_pool pool; /* that held the latest object of Python */
	struct lh_cxx_storage *cxx_storage;
	struct lh_block_shares shares;
	struct lh_range destroyed; /* the latest destroyed object of C++, up to its virtual base */
};

/* What families hand their finds to. */
struct lh_object_sink {
	struct object_search *search;
	const struct lh_object_family *family;
};

static void cleanup_search(struct object_search *search)
{
	lh_vec_deinit(&search->types);
	lh_vec_deinit(&search->library);
	lh_vec_deinit(&search->found);
	lh_hit_set_destroy(search->set);
	lh_cxx_storage_destroy(search->cxx_storage);
	lh_block_shares_deinit(&search->shares);
	lh_heap_destroy(search->own_heap);
}

/* ---------------------------------------------------------------- types that modules hold */

static bool find_family(struct lh_symbols *symbols, bool yields, struct object_type *ret)
{
	for (size_t i = 0; lh_object_families[i]; i++) {
		const struct lh_object_family *family = lh_object_families[i];
		if (!family->is_table || family->yields_to_classes != yields ||
		    !family->is_table(symbols, &ret->target))
			continue;
		ret->family = family;
		return true;
	}
	return false;
}

/* Fills `ret` when objects can be told by the address. */
static bool describe_table(struct lh_symbols *symbols, uint64_t addr, struct object_type *ret)
{
	*ret = (struct object_type){.target = {.addr = addr, .name = ""}};
	if (addr % 8 || lh_symbols_is_code(symbols, addr))
		return false;
	if (find_family(symbols, false, ret))
		return true;
	if (lh_symbols_cxx_class(symbols, addr, &ret->cxx)) {
		ret->target.name = ret->cxx.name;
		return !ret->cxx.is_base_part;
	}
	if (lh_symbols_python_type(symbols, addr, &ret->python)) {
		ret->is_python = true;
		ret->target.name = ret->python.name;
		return true;
	}
	return find_family(symbols, true, ret);
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

/* ---------------------------------------------------------------- what families look for */

static struct lh_error *walk_hits_of(struct object_search *search, const struct lh_hit_set *set, lh_hit_visitor *visit,
				     void *context)
{
	struct lh_hit_walk walk = {
		.image = search->image,
		.walk_flags = search->options->walk_flags,
		.threads = search->options->threads,
		.set = set,
		.visit = visit,
		.context = context,
		.progress = search->options->progress,
		.progress_context = search->options->progress_context,
	};
	return lh_hits_walk(&walk);
}

struct lh_error *lh_family_add_target(const struct lh_family_setup *setup, const struct lh_family_target *target)
{
	struct object_search *search = setup->sink->search;
	struct object_type type = {.target = *target, .family = setup->sink->family};
	return search->types.count < TYPES_MAX ? lh_vec_push(&search->types, type) : NULL;
}

struct family_walk {
	struct lh_family_setup *setup;
	lh_family_visitor *visit;
};

static struct lh_error *take_place(void *context, const struct lh_hit *hit)
{
	const struct family_walk *walk = context;
	struct lh_object_view view = {.image = walk->setup->image, .symbols = walk->setup->symbols, .hit = hit};
	return walk->visit(walk->setup, &view);
}

struct lh_error *lh_family_walk(const struct lh_family_setup *setup, const struct lh_word_pattern *patterns,
				size_t count, lh_family_visitor *visit)
{
	struct lh_family_setup own = *setup;
	struct family_walk context = {&own, visit};
	LH_CLEANUP(lh_cleanup_hit_set) struct lh_hit_set *set = NULL;
	LH_TRY(lh_hit_set_create(NULL, 0, &set));
	lh_hit_set_add_patterns(set, patterns, count);
	return walk_hits_of(setup->sink->search, set, take_place, &context);
}

static void add_patterns(struct object_search *search, const struct lh_object_family *family)
{
	for (size_t i = 0; i < family->pattern_count && search->pattern_count < PATTERNS_MAX; i++) {
		search->pattern_owners[search->pattern_count] = (struct family_pattern){family, i};
		search->patterns[search->pattern_count++] = family->patterns[i];
	}
}

static struct lh_error *prepare_families(struct object_search *search, const struct lh_census *census)
{
	for (size_t i = 0; lh_object_families[i]; i++) {
		struct lh_object_sink sink = {search, lh_object_families[i]};
		struct lh_family_setup setup = {search->image, search->symbols, census, &sink};
		add_patterns(search, lh_object_families[i]);
		if (lh_object_families[i]->prepare)
			LH_TRY(lh_object_families[i]->prepare(&setup));
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
		if (!wants_metaclasses || (type->is_python && type->python.is_metaclass))
			error = lh_vec_push(&addrs, type->target.addr);
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
	return walk_hits_of(search, search->set, visit, search);
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
	struct object_type type = {.target.addr = hit->addr - 8, .is_python = true};
	struct lh_python_view view = python_view(search, hit);
	if (search->found.count + search->types.count >= TYPES_MAX || !lh_python_is_object(&view) ||
	    !lh_symbols_python_type(search->symbols, type.target.addr, &type.python))
		return NULL;
	type.target.name = type.python.name;
	return lh_vec_push(&search->found, type);
}

static int compare_types(const void *a, const void *b)
{
	const struct object_type *left = a, *right = b;
	return lh_compare_u64(left->target.addr, right->target.addr);
}

/* A class that memory shows twice is one. */
static void drop_repeated_types(struct object_search *search)
{
	size_t kept = 0;
	lh_vec_sort(&search->types, compare_types);
	for (size_t i = 0; i < search->types.count; i++) {
		if (!kept || search->types.items[kept - 1].target.addr != search->types.items[i].target.addr)
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

static void tell_found(const struct object_search *search, const char *kind, const char *name, const char *detail,
		       uint64_t addr)
{
	if (search->options->found)
		search->options->found(search->options->found_context,
				       &(struct lh_found_object){kind, name, detail, addr});
}

/* A block of pymalloc or malloc that was freed; outside of them, and without a walk, what has no references is none. */
static bool is_freed(const struct object_search *search, uint64_t addr)
{
	struct lh_chunk chunk;
	return lh_object_find_chunk(search->heap, addr, &chunk) && !chunk.is_used;
}

/*
 * An object of pymalloc begins its block, or lies behind {managed dict, weak references} and the collector's {next,
 * previous} (Include/internal/pycore_object.h), and ends in it. What a block does not use has words of earlier ones.
 */
static bool fits_its_block(struct object_search *search, uint64_t addr, uint64_t bytes)
{
	enum { BYTES_BEFORE_MAX = 32 };
	struct lh_pymalloc_pool *pool = &search->pool;
	bool is_same = addr >= pool->range.start && addr < pool->range.end;
	if (!is_same && !lh_pymalloc_find_pool(search->image, addr, pool)) {
		*pool = (struct lh_pymalloc_pool){0};
		return true;
	}
	uint64_t offset = (addr - pool->range.start) % pool->block_bytes;
	return pool->used_count && offset <= BYTES_BEFORE_MAX && offset + bytes <= pool->block_bytes;
}

/* As malloc rounds it: pymalloc's blocks are multiples of 16. */
static void add_storage(struct object_search *search, struct object_type *type, const struct lh_python_view *view)
{
	struct lh_python_storage storages[LH_PYTHON_STORAGES_MAX];
	size_t count = lh_python_find_storage(view, &type->python, storages);
	for (size_t i = 0; i < count; i++) {
		if (is_freed(search, storages[i].addr))
			continue;
		type->tally.bytes += lh_align_up(storages[i].bytes, 16);
		tell_found(search, "Python", type->target.name, storages[i].what, storages[i].addr);
	}
}

static void count_python(struct object_search *search, struct object_type *type, const struct lh_hit *hit)
{
	struct lh_python_view view = python_view(search, hit);
	uint64_t bytes;
	if (!lh_python_is_object(&view) || !lh_python_object_bytes(&view, &type->python, &bytes) ||
	    is_freed(search, hit->addr - 8) ||
	    !fits_its_block(search, hit->addr - 8, lh_python_own_bytes(&type->python, bytes)))
		return;
	add_object(&type->tally, hit->addr - 8, bytes);
	tell_found(search, "Python", type->target.name, "", hit->addr - 8);
	add_storage(search, type, &view);
}

/*
 * While an object with a virtual base is destroyed, its parts point to tables of their own, in which the destructors of
 * Y leave it: {X in Y, ..., base}. In an object of X, the table of the virtual base names X, too.
 */
static bool is_destroyed(struct object_search *search, const struct object_type *type, uint64_t addr)
{
	enum { OBJECT_BYTES_MAX = 1 << 20 };
	uint64_t distance, table;
	if (addr > search->destroyed.start && addr <= search->destroyed.end)
		return true;
	uint64_t slot = type->target.addr + (uint64_t)(int64_t)type->cxx.virtual_base_slot;
	if (!type->cxx.virtual_base_slot || !lh_symbols_read_number(search->symbols, slot, &distance) ||
	    distance > OBJECT_BYTES_MAX ||
	    lh_image_read(search->image, addr + distance, &table, sizeof(table)) != sizeof(table))
		return false;
	uint64_t type_info = lh_symbols_cxx_type_info(search->symbols, table);
	if (!type_info || type_info == type->cxx.type_info)
		return false;
	search->destroyed = (struct lh_range){addr, addr + distance};
	return true;
}

/* The bytes of the block with that index, if an object at `addr` begins it, and no other one has them. */
static uint64_t take_block_bytes(struct object_search *search, size_t index, const struct lh_chunk *chunk,
				 uint64_t addr)
{
	const struct lh_heap_type *type;
	bool is_taken = lh_block_begins_with(chunk->memory_addr, addr) &&
			!lh_heap_chunk_type(search->heap, index, &type) && lh_block_shares_take(&search->shares, index);
	return is_taken ? chunk->size_bytes : 0;
}

static struct lh_error *count_cxx_in_block(struct object_search *search, struct object_type *type, size_t index,
					   uint64_t addr)
{
	const struct lh_chunk chunk = lh_object_chunk_at(search->heap, index);
	if (!chunk.is_used) {
		type->tally.freed_count++;
		return NULL;
	}
	uint64_t bytes = take_block_bytes(search, index, &chunk, addr);
	if (bytes && (!type->block_bytes || bytes < type->block_bytes))
		type->block_bytes = bytes;
	add_object(&type->tally, addr, bytes);
	tell_found(search, "C++", type->target.name, "", addr);
	if (lh_block_begins_with(chunk.memory_addr, addr))
		return NULL;
	return lh_block_shares_divide(&search->shares, index, addr, (uint32_t)(type - search->types.items));
}

static struct lh_error *count_cxx(struct object_search *search, struct object_type *type, uint64_t addr)
{
	size_t index;
	if (is_destroyed(search, type, addr))
		return NULL;
	if (!search->heap || !lh_heap_find_chunk(search->heap, addr, &index)) {
		add_object(&type->tally, addr, 0);
		tell_found(search, "C++", type->target.name, "", addr);
		return NULL;
	}
	if (search->cxx_storage && lh_cxx_storage_is_past_elements(search->cxx_storage, index, addr))
		return NULL;
	return count_cxx_in_block(search, type, index, addr);
}

/* No object of a type is larger than the smallest block that one of them has for itself. */
static void add_block_shares(struct object_search *search)
{
	for (size_t i = 0; i < search->shares.items.count; i++) {
		const struct lh_block_share *share = &search->shares.items.items[i];
		struct object_type *type = &search->types.items[share->type];
		type->tally.bytes += type->block_bytes ? lh_min_u64(share->bytes, type->block_bytes) : share->bytes;
	}
}

/* The row of that kind, name and detail; NULL when there are too many. */
static struct lh_error *find_library_row(struct object_search *search, const char *kind,
					 const struct lh_object_claim *claim, struct lh_object_count **ret)
{
	for (size_t i = 0; i < search->library.count; i++) {
		struct lh_object_count *row = &search->library.items[i];
		bool is_named_so = row->name == claim->name || strcmp(row->name, claim->name) == 0;
		if (row->kind == kind && is_named_so && strcmp(row->detail, claim->detail) == 0) {
			*ret = row;
			return NULL;
		}
	}
	struct lh_object_count row = {.kind = kind, .name = claim->name};
	*ret = NULL;
	if (search->library.count >= LIBRARY_ROWS_MAX)
		return NULL;
	LH_TRY(lh_strings_pool_add(search->strings, claim->detail, strlen(claim->detail), &row.detail));
	LH_TRY(lh_vec_push(&search->library, row));
	*ret = &search->library.items[search->library.count - 1];
	return NULL;
}

/* Without the block around the object if another object has its bytes. */
static uint64_t count_claimed_bytes(struct object_search *search, const struct lh_object_claim *claim)
{
	size_t index;
	if (!search->heap || !lh_heap_find_chunk(search->heap, claim->addr, &index))
		return claim->bytes;
	const struct lh_chunk chunk = lh_object_chunk_at(search->heap, index);
	uint64_t block_bytes = (claim->count ? claim->count : 1) * chunk.size_bytes;
	bool has_block = (claim->has_block || lh_block_begins_with(chunk.memory_addr, claim->addr)) &&
			 claim->bytes >= block_bytes;
	return has_block && !lh_block_shares_take(&search->shares, index) ? claim->bytes - block_bytes : claim->bytes;
}

struct lh_error *lh_object_sink_add(struct lh_object_sink *sink, const struct lh_object_claim *claim)
{
	struct lh_object_count *row;
	LH_TRY(find_library_row(sink->search, sink->family->kind, claim, &row));
	if (row && claim->is_freed) {
		row->freed_count++;
	} else if (row) {
		add_object(row, claim->addr, count_claimed_bytes(sink->search, claim));
		row->count += claim->count ? claim->count - 1 : 0;
		tell_found(sink->search, row->kind, row->name, row->detail, claim->addr);
	}
	return NULL;
}

uint64_t lh_object_sink_count(const struct lh_object_sink *sink, const char *kind, const char *name)
{
	uint64_t count = 0;
	for (size_t i = 0; i < sink->search->library.count; i++) {
		const struct lh_object_count *row = &sink->search->library.items[i];
		if (strcmp(row->kind, kind) == 0 && strcmp(row->name, name) == 0)
			count += row->count;
	}
	return count;
}

/*
 * Frames that have returned leave pointers behind, also on stacks of ended threads; what lives in a frame is no leak.
 * The kernel merges stacks with other memory: what a block of an allocator holds is not on a stack.
 */
static bool is_on_stack(const struct object_search *search, const struct lh_hit *hit)
{
	const struct lh_segment *segment = hit->block->segment;
	struct lh_chunk chunk;
	return segment &&
	       (segment->kind == LH_REGION_MAIN_STACK || segment->kind == LH_REGION_THREAD_STACK ||
		segment->is_ended_stack) &&
	       !lh_object_find_chunk(search->heap, hit->addr, &chunk);
}

static struct lh_error *take_of_family(struct object_search *search, const struct lh_object_family *family,
				       struct lh_object_view *view)
{
	struct lh_object_sink sink = {search, family};
	view->image = search->image;
	view->symbols = search->symbols;
	view->heap = search->heap;
	view->has_chunk = lh_object_find_chunk(search->heap, view->hit->addr, &view->chunk);
	return family->take(&sink, view);
}

static struct lh_error *take_object(void *context, const struct lh_hit *hit)
{
	struct object_search *search = context;
	struct lh_object_view view = {.hit = hit};
	if (is_on_stack(search, hit))
		return NULL;
	if (hit->target >= search->types.count) {
		const struct family_pattern *owner = &search->pattern_owners[hit->target - search->types.count];
		view.pattern = owner->index;
		return take_of_family(search, owner->family, &view);
	}
	struct object_type *type = &search->types.items[hit->target];
	view.target = &type->target;
	if (type->family)
		return take_of_family(search, type->family, &view);
	if (type->is_python) {
		count_python(search, type, hit);
		return NULL;
	}
	return count_cxx(search, type, hit->addr);
}

/* ---------------------------------------------------------------- the result */

static int compare_by_name(const void *a, const void *b)
{
	const struct lh_object_count *left = a, *right = b;
	int order = strcmp(left->kind, right->kind);
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

static bool is_object_in_module(const struct object_search *search, uint64_t addr)
{
	const char *name;
	return lh_symbols_module(search->symbols, addr, &name) != NULL;
}

/* Objects that a runtime itself has told the types of. The heap may be gone before the rows. */
static struct lh_error *add_runtime_rows(const struct object_search *search, struct lh_objects *ret)
{
	size_t count = 0;
	const struct lh_heap_type *types = search->heap ? lh_heap_types(search->heap, &count) : NULL;
	for (size_t i = 0; i < count; i++) {
		struct lh_object_count row = {
			.kind = types[i].kind,
			.count = types[i].count,
			.bytes = types[i].bytes + types[i].owned_bytes,
			.is_own = types[i].is_own,
			.is_young = types[i].is_young,
			.example_addr = types[i].example_addr,
		};
		if (!row.count)
			continue;
		LH_TRY(lh_strings_pool_add(&ret->strings, types[i].name, strlen(types[i].name), &row.name));
		LH_TRY(lh_strings_pool_add(&ret->strings, types[i].detail, strlen(types[i].detail), &row.detail));
		LH_TRY(lh_vec_push(&ret->rows, row));
	}
	return NULL;
}

static struct lh_error *collect_object_rows(const struct object_search *search, struct lh_objects *ret)
{
	LH_TRY(add_runtime_rows(search, ret));
	for (size_t i = 0; i < search->types.count; i++) {
		const struct object_type *type = &search->types.items[i];
		struct lh_object_count row = type->tally;
		row.name = type->target.name;
		row.kind = type->is_python ? "Python" : "C++";
		row.detail = "";
		row.is_own = type->is_python && !is_object_in_module(search, type->target.addr);
		if (row.count)
			LH_TRY(lh_vec_push(&ret->rows, row));
	}
	for (size_t i = 0; i < search->library.count; i++) {
		if (search->library.items[i].count)
			LH_TRY(lh_vec_push(&ret->rows, search->library.items[i]));
	}
	if (!ret->rows.count)
		return NULL;
	lh_vec_sort(&ret->rows, compare_by_name);
	unite_rows(ret);
	lh_vec_sort(&ret->rows, compare_by_bytes);
	return NULL;
}

static bool has_tagged_ints(const struct object_search *search)
{
	for (size_t i = 0; i < search->types.count; i++) {
		const struct object_type *type = &search->types.items[i];
		if (type->is_python && strcmp(type->target.name, "str") == 0)
			return lh_python_has_tagged_ints(&type->python);
	}
	return false;
}

static struct lh_family_end family_end(const struct object_search *search)
{
	struct lh_family_end end = {
		.image = search->image,
		.symbols = search->symbols,
		.heap = search->heap,
		.options = search->options,
		.types = search->set,
		.cxx_storage = search->cxx_storage,
	};
	const struct lh_module *program = lh_image_program(search->image);
	for (size_t i = 0; i < search->types.count && !end.has_program_classes; i++) {
		const struct object_type *type = &search->types.items[i];
		if (type->family || type->is_python)
			continue;
		end.has_cxx_classes = true;
		end.has_program_classes =
			program && type->target.addr >= program->start && type->target.addr < program->end;
	}
	return end;
}

static struct lh_error *find_cxx_storage(struct object_search *search)
{
	struct lh_object_sink sink = {search, NULL};
	struct lh_family_end end = family_end(search);
	end.sink = &sink;
	return lh_cxx_storage_find(&end, &search->cxx_storage);
}

static struct lh_error *finish_families(struct object_search *search)
{
	struct lh_family_end end = family_end(search);
	for (size_t i = 0; lh_object_families[i]; i++) {
		struct lh_object_sink sink = {search, lh_object_families[i]};
		end.sink = &sink;
		if (lh_object_families[i]->finish)
			LH_TRY(lh_object_families[i]->finish(&end));
	}
	return NULL;
}

static struct lh_error *count_objects(struct object_search *search, const struct lh_census *census)
{
	size_t heap_types, more_types;
	LH_TRY(find_static_types(search, census));
	LH_TRY(prepare_families(search, census));
	LH_TRY(find_classes(search, 0, &heap_types));
	if (heap_types < search->types.count)
		LH_TRY(find_classes(search, heap_types, &more_types));
	drop_repeated_types(search);
	search->has_tagged_ints = has_tagged_ints(search);
	LH_TRY(make_set(search, false, 0));
	lh_hit_set_add_patterns(search->set, search->patterns, search->pattern_count);
	LH_TRY(find_cxx_storage(search));
	LH_TRY(walk_hits(search, take_object));
	add_block_shares(search);
	return finish_families(search);
}

static bool has_refused_any(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(heap, &count);
	for (size_t i = 0; i < count; i++) {
		if (allocators[i].is_refused)
			return true;
	}
	return false;
}

/* A process that runs on changes its heap while it is walked: another walk may do better. */
static struct lh_error *walk_own_heap(struct object_search *search)
{
	enum { WALKS_MAX = 3 };
	bool is_running = lh_image_source(search->image) == LH_IMAGE_PROCESS;
	if (search->heap || !lh_image_has_addresses(search->image))
		return NULL;
	for (int i = 0; i < (is_running ? WALKS_MAX : 1); i++) {
		lh_heap_destroy(search->own_heap);
		search->own_heap = NULL;
		LH_TRY(lh_heap_walk(search->image, &search->own_heap));
		if (!has_refused_any(search->own_heap))
			break;
	}
	search->heap = search->own_heap;
	return NULL;
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
		.heap = options->heap,
		.strings = &objects.strings,
	};
	LH_TRY(walk_own_heap(&search));
	LH_TRY(lh_block_shares_init(image, search.heap, &search.shares));
	LH_TRY(count_objects(&search, census));
	LH_TRY(collect_object_rows(&search, &objects));
	*ret = objects;
	objects = (struct lh_objects){0};
	return NULL;
}

void lh_objects_deinit(struct lh_objects *objects)
{
	lh_vec_deinit(&objects->rows);
	lh_strings_pool_deinit(&objects->strings);
}

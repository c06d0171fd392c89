/*
 * test_objects: objects in memory that is laid out by hand as the C++ ABI, CPython's object.h and OpenSSL's
 * structures say: those that are there are counted, and what only looks like one is not.
 */
#include "core_builder.h"

#include "leakhunt/scan.h"

#define MODULE ((uint64_t)0x7f0000000000)
#define HEAP   ((uint64_t)0x1750000) /* of a program that is not position-independent */

enum { MODULE_BYTES = 0x2000, HEAP_BYTES = 0x100000 };

/* A module whose file is not there, but whose data is in the core; and a heap. */
struct memory {
	uint64_t module[MODULE_BYTES / 8];
	uint64_t heap[HEAP_BYTES / 8];
	size_t at; /* of the next chunk's header, in words */
	struct core_builder core;
	struct lh_image *image;
	struct lh_symbols *symbols;
	struct lh_census_pass *pass;
	struct lh_census census;
	struct lh_objects objects;
};

static struct memory *make_memory(void)
{
	struct memory *memory = calloc(1, sizeof(*memory));
	assert_non_null(memory);
	memory->heap[1] = 1;
	return memory;
}

static void free_memory(struct memory *memory)
{
	lh_objects_deinit(&memory->objects);
	lh_census_deinit(&memory->census);
	lh_census_pass_destroy(memory->pass);
	lh_symbols_close(memory->symbols);
	lh_image_close(memory->image);
	core_deinit(&memory->core);
	free(memory);
}

static void put_text(uint64_t *words, uint64_t offset, const char *text)
{
	memcpy((char *)words + offset, text, strlen(text) + 1);
}

/* A chunk; the words of its memory. */
static uint64_t *add_chunk(struct memory *memory, uint64_t bytes, bool is_used)
{
	uint64_t *words = &memory->heap[memory->at + 2];
	memory->heap[memory->at + 1] |= bytes;
	memory->at += bytes / 8;
	memory->heap[memory->at] = is_used ? 0 : bytes;
	memory->heap[memory->at + 1] = is_used;
	return words;
}

static struct lh_error *feed(void *context, const struct lh_block *block)
{
	return lh_census_pass_feed(context, block);
}

static void find_objects(struct memory *memory)
{
	struct lh_objects_options options = {.threads = 1};
	memory->heap[memory->at + 1] |= HEAP_BYTES - memory->at * 8; /* top */
	core_begin(&memory->core);
	core_add_load(&memory->core, HEAP, HEAP_BYTES, memory->heap, HEAP_BYTES, PF_R | PF_W);
	core_add_load(&memory->core, MODULE, MODULE_BYTES, memory->module, MODULE_BYTES, PF_R | PF_W);
	core_add_json(&memory->core, 3,
		      "[{\"start\":\"0x7f0000000000\",\"end\":\"0x7f0000002000\",\"path\":\"/none/program\"}]");
	core_end(&memory->core);
	memory->image = core_open(&memory->core);
	assert_success(lh_symbols_open(memory->image, "/", &memory->symbols));
	assert_success(lh_census_pass_create(memory->image, &memory->pass));
	assert_success(lh_image_walk(memory->image, 0, feed, memory->pass));
	assert_success(lh_census_pass_finish(memory->pass, memory->symbols, 100, &memory->census));
	assert_success(lh_objects_find(memory->image, memory->symbols, &memory->census, &options, &memory->objects));
}

static const struct lh_object_count *find_row(const struct memory *memory, const char *name)
{
	for (size_t i = 0; i < memory->objects.rows.count; i++) {
		if (strcmp(memory->objects.rows.items[i].name, name) == 0)
			return &memory->objects.rows.items[i];
	}
	return NULL;
}

/* ---------------------------------------------------------------- C++ */

/* Offset to top, type_info {vtable, name}, and no function: at `offset` of the module. Returns what objects hold. */
static uint64_t add_class(struct memory *memory, uint64_t offset, int64_t to_top, const char *name)
{
	uint64_t *words = &memory->module[offset / 8];
	words[0] = (uint64_t)to_top;
	words[1] = MODULE + offset + 32;
	words[4] = MODULE + 0x1f00;
	words[5] = MODULE + offset + 48;
	put_text(memory->module, offset + 48, name);
	return MODULE + offset + 16;
}

static void classes_are_named_by_their_type_info(void **state)
{
	(void)state;
	struct memory *memory = make_memory();
	uint64_t order = add_class(memory, 0x100, 0, "N4shop5OrderE");
	uint64_t second = add_class(memory, 0x200, -16, "N4shop5OrderE");
	uint64_t list = add_class(memory, 0x300, 0, "*N4shop4ListIiEE");
	uint64_t no_class = add_class(memory, 0x400, 0, "no type");
	uint64_t upside_down = add_class(memory, 0x500, 16, "3Foo");
	for (int i = 0; i < 30; i++) {
		uint64_t *words = add_chunk(memory, 64, i % 3 != 0);
		words[0] = i % 3 == 1 ? list : order;
		words[2] = i % 3 == 1 ? upside_down : second;
		words[4] = no_class;
	}
	find_objects(memory);
	const struct lh_object_count *row = find_row(memory, "shop::Order");
	assert_int_equal(row->count, 10);
	assert_int_equal(row->freed_count, 10);
	assert_int_equal(row->bytes, 10 * 64);
	assert_string_equal(row->kind, "C++");
	assert_int_equal(find_row(memory, "shop::List<int>")->count, 10);
	assert_int_equal(memory->objects.rows.count, 2);
	free_memory(memory);
}

/* Blocks behind a header of the program's own allocator: the whole block is the object's, also its vector's. */
static void an_object_behind_a_header_has_its_block(void **state)
{
	(void)state;
	for (size_t header = 0; header <= 40; header += 8) {
		struct memory *memory = make_memory();
		uint64_t statement = add_class(memory, 0x100, 0, "9Statement");
		uint64_t member = add_class(memory, 0x200, 0, "6Member");
		for (int i = 0; i < 10; i++) {
			uint64_t *words = add_chunk(memory, 400, true);
			words[header / 8] = statement;
			words[header / 8 + 4] = member;
			words[header / 8 + 20] = statement;
		}
		find_objects(memory);
		assert_int_equal(find_row(memory, "Statement")->count, 20);
		assert_int_equal(find_row(memory, "Statement")->bytes, 10 * 400);
		assert_int_equal(find_row(memory, "Member")->count, 10);
		assert_int_equal(find_row(memory, "Member")->bytes, 0);
		free_memory(memory);
	}
}

/* {header of 64 bytes, Item, 104 bytes behind Field, 232 bytes behind Item up to the end}: 512 - 8 bytes of malloc. */
static void objects_of_a_pool_divide_its_block(void **state)
{
	(void)state;
	struct memory *memory = make_memory();
	uint64_t item = add_class(memory, 0x100, 0, "4Item");
	uint64_t field = add_class(memory, 0x200, 0, "5Field");
	for (int i = 0; i < 10; i++) {
		uint64_t *words = add_chunk(memory, 512, true);
		words[64 / 8] = item;
		words[168 / 8] = field;
		words[272 / 8] = item;
	}
	find_objects(memory);
	assert_int_equal(find_row(memory, "Item")->count, 20);
	assert_int_equal(find_row(memory, "Item")->bytes, 10 * (8 + 168 + (512 - 8 - 272)));
	assert_int_equal(find_row(memory, "Field")->count, 10);
	assert_int_equal(find_row(memory, "Field")->bytes, 10 * 104);
	free_memory(memory);
}

/* Where the size of a type is known, its objects in pools have no more; pages that nobody wrote to are nobody's. */
static void a_pool_has_more_than_its_objects(void **state)
{
	(void)state;
	struct memory *memory = make_memory();
	uint64_t item = add_class(memory, 0x100, 0, "4Item");
	uint64_t field = add_class(memory, 0x200, 0, "5Field");
	add_chunk(memory, 96, true)[0] = item;
	add_chunk(memory, 0x8000 - 96, true)[96 / 8] = item;
	uint64_t *pool = add_chunk(memory, 0x10000, true);
	pool[0x100 / 8] = field;
	pool[0x1100 / 8] = 1;
	find_objects(memory);
	assert_int_equal(find_row(memory, "Item")->count, 2);
	assert_int_equal(find_row(memory, "Item")->bytes, 2 * 96);
	assert_int_equal(find_row(memory, "Field")->bytes, 8 + 0x2000 - 16); /* the block begins 16 bytes into a page */
	free_memory(memory);
}

/* ---------------------------------------------------------------- CPython */

enum { TYPE_FLAGS = 168 / 8, TYPE_WORDS = 24 };

#define HAVE_GC       (UINT64_C(1) << 14)
#define TYPE_SUBCLASS (UINT64_C(1) << 31)

static void add_type(uint64_t *words, uint64_t metatype, uint64_t name, uint64_t basic, uint64_t item, uint64_t flags)
{
	const uint64_t head[] = {1, metatype, 0, name, basic, item};
	memcpy(words, head, sizeof(head));
	words[TYPE_FLAGS] = flags;
}

/* Instances: {references, type, items}. */
static void add_instance(struct memory *memory, uint64_t offset, uint64_t references, uint64_t type, uint64_t items)
{
	uint64_t *words = &memory->heap[offset / 8];
	words[0] = references;
	words[1] = type;
	words[2] = items;
}

static void add_python_types(struct memory *memory)
{
	put_text(memory->module, 0x1000, "type");
	put_text(memory->module, 0x1010, "tuple");
	put_text(memory->heap, 0x800, "Meta");
	put_text(memory->heap, 0x810, "S\xc3\xa9ssion");
	add_type(memory->module, MODULE, MODULE + 0x1000, 904, 40, HAVE_GC | TYPE_SUBCLASS);
	add_type(&memory->module[0x200 / 8], MODULE, MODULE + 0x1010, 24, 8, HAVE_GC);
	add_type(&memory->heap[0x100 / 8], MODULE, HEAP + 0x800, 904, 40, HAVE_GC | TYPE_SUBCLASS);
	add_type(&memory->heap[0x400 / 8], HEAP + 0x100, HEAP + 0x810, 48, 0, HAVE_GC);
}

static void python_objects_are_told_by_their_references(void **state)
{
	(void)state;
	struct memory *memory = make_memory();
	memory->at = 0xf000 / 8;
	add_python_types(memory);
	for (uint64_t i = 0; i < 20; i++)
		add_instance(memory, 0x1000 + i * 64, i % 2 ? 1 + i : 0, HEAP + 0x400, 7);
	add_instance(memory, 0x2000, UINT64_C(1) << 40, HEAP + 0x400, 7); /* a pointer: a freed block */
	add_instance(memory, 0x2048, 1, HEAP + 0x400, 7);                 /* not where objects lie */
	add_instance(memory, 0x2080, HEAP, HEAP + 0x400, 7);              /* a pointer, lower than that */
	add_instance(memory, 0x20c0, 1, MODULE + 0x200, HEAP_BYTES);      /* more items than there is room for */
	/* A tuple of one class: its number of items is no reference count. */
	add_instance(memory, 0x3000, 1, MODULE + 0x200, 1);
	memory->heap[0x3018 / 8] = HEAP + 0x400;
	find_objects(memory);
	const struct lh_object_count *row = find_row(memory, "S\xc3\xa9ssion");
	assert_int_equal(row->count, 10);
	assert_int_equal(row->bytes, 10 * (48 + 16));
	assert_string_equal(row->kind, "Python");
	assert_int_equal(find_row(memory, "Meta")->count, 1);
	assert_int_equal(find_row(memory, "type")->count, 3); /* itself, tuple, Meta: of a core all is scanned */
	assert_int_equal(find_row(memory, "tuple")->count, 1);
	assert_int_equal(find_row(memory, "tuple")->bytes, 48);
	free_memory(memory);
}

/* ---------------------------------------------------------------- limits */

static void memory_without_types_has_no_objects(void **state)
{
	(void)state;
	struct memory *memory = make_memory();
	for (size_t i = 0; i < MODULE_BYTES / 8; i++)
		memory->module[i] = MODULE + i * 8; /* every word points to itself */
	for (size_t i = 0; i < 200; i++)
		add_chunk(memory, 64, true)[0] = MODULE + i * 16;
	find_objects(memory);
	assert_int_equal(memory->objects.rows.count, 0);
	free_memory(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_are_named_by_their_type_info),
		cmocka_unit_test(an_object_behind_a_header_has_its_block),
		cmocka_unit_test(objects_of_a_pool_divide_its_block),
		cmocka_unit_test(a_pool_has_more_than_its_objects),
		cmocka_unit_test(python_objects_are_told_by_their_references),
		cmocka_unit_test(memory_without_types_has_no_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

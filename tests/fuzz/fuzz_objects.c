/*
 * fuzz_objects: any bytes as the memory of a process: a module that lies in memory (as the vdso does: its ELF
 * tables, accessors, relocations), types of C++ and CPython in it, and a heap that points to it. Input: two
 * bytes with the module's size in units of 16, the module, the heap. Names and objects are looked for; nothing may be
 * read outside, hang, or leak, and what is counted must be there. The seeds are made by hand: *-types.bin lay out the
 * structures that are documented in src/symbols; module.bin begins with a library that gcc 12 made of four lines.
 */
#include "image/view.h"
#include "leakhunt/scan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODULE_ADDR ((uint64_t)0x7f0000000000)
#define HEAP_ADDR   ((uint64_t)0x555500000000)

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static struct lh_error *add_segment(struct lh_image *image, uint64_t addr, uint64_t offset, uint64_t bytes,
				    bool is_context)
{
	if (!bytes)
		return NULL;
	return lh_vec_push(&image->segments, (struct lh_segment){
						     .start = addr,
						     .end = addr + bytes,
						     .file_offset = offset,
						     .file_bytes = bytes,
						     .is_context = is_context,
						     .name = "",
						     .thread_name = "",
					     });
}

static struct lh_error *make_image(const uint8_t *data, size_t size, size_t module_bytes, struct lh_image **ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	struct lh_module module = {.start = MODULE_ADDR, .end = MODULE_ADDR + module_bytes, .path = "[vdso]"};
	LH_TRY(lh_image_create(LH_IMAGE_BYTES, "fuzz", &image));
	image->bytes = data;
	image->file_bytes = size;
	image->has_addresses = true;
	LH_TRY(add_segment(image, HEAP_ADDR, module_bytes, size - module_bytes, false));
	LH_TRY(add_segment(image, MODULE_ADDR, 0, module_bytes, true));
	if (module_bytes)
		LH_TRY(lh_vec_push(&image->modules.modules, module));
	*ret = image;
	image = NULL;
	return NULL;
}

static void look_at_names(struct lh_symbols *symbols, const struct lh_census *census)
{
	for (size_t i = 0; i < census->named_count; i++)
		expect(census->rows.items[i].symbol.name && census->rows.items[i].symbol.module_name);
	for (size_t i = 0; i < census->rows.count && i < 100; i++) {
		struct lh_symbol symbol;
		expect(lh_symbols_find(symbols, census->rows.items[i].target_addr, &symbol));
	}
}

static void look_at_objects(const struct lh_objects *objects, uint64_t heap_bytes)
{
	uint64_t count = 0;
	for (size_t i = 0; i < objects->rows.count; i++) {
		const struct lh_object_count *row = &objects->rows.items[i];
		expect(row->count && *row->name && row->detail);
		expect(row->example_addr >= HEAP_ADDR && row->example_addr < HEAP_ADDR + heap_bytes);
		expect(!i || objects->rows.items[i - 1].bytes >= row->bytes);
		count += row->count;
	}
	expect(count <= heap_bytes / 8);
}

struct findings {
	struct lh_symbols *symbols;
	struct lh_census_pass *pass;
	struct lh_census census;
	struct lh_objects objects;
};

static void deinit_findings(struct findings *findings)
{
	lh_objects_deinit(&findings->objects);
	lh_census_deinit(&findings->census);
	lh_census_pass_destroy(findings->pass);
	lh_symbols_close(findings->symbols);
}

static struct lh_error *feed(void *context, const struct lh_block *block)
{
	return lh_census_pass_feed(context, block);
}

static struct lh_error *look(struct lh_image *image, uint64_t heap_bytes)
{
	LH_CLEANUP(deinit_findings) struct findings findings = {0};
	struct lh_objects_options options = {.threads = 1};
	LH_TRY(lh_symbols_open(image, "/nowhere", &findings.symbols));
	LH_TRY(lh_census_pass_create(image, &findings.pass));
	LH_TRY(lh_image_walk(image, 0, feed, findings.pass));
	LH_TRY(lh_census_pass_finish(findings.pass, findings.symbols, 100, &findings.census));
	look_at_names(findings.symbols, &findings.census);
	LH_TRY(lh_objects_find(image, findings.symbols, &findings.census, &options, &findings.objects));
	look_at_objects(&findings.objects, heap_bytes);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t module_bytes = lh_min_u64((data[0] | (size_t)data[1] << 8) * 16, size - 2);
	/* A copy ends where its allocation ends, and begins aligned. */
	uint8_t *copy = malloc(size - 2 + 1);
	struct lh_image *image = NULL;
	if (!copy)
		return 0;
	memcpy(copy, data + 2, size - 2);
	struct lh_error *error = make_image(copy, size - 2, module_bytes, &image);
	if (!error)
		error = look(image, size - 2 - module_bytes);
	lh_error_destroy(error);
	lh_image_close(image);
	free(copy);
	return 0;
}

/*
 * fuzz_symbols: any bytes as the ELF file of a module: its tables are made, and looked into at every
 * border. Input: one file. It must never read outside of it, hang, or leak.
 */
#include "symbols/module_table.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void look_at_symbols(struct lh_module_table *table)
{
	uint64_t end = 0;
	for (size_t i = 0; i < table->symbols.items.count; i++) {
		const struct lh_table_entry *entry = &table->symbols.items.items[i];
		expect(entry->start >= end && entry->start < entry->end);
		expect(lh_module_table_find_symbol(table, entry->end - 1) == entry);
		end = entry->end;
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		if (i < 100)
			lh_symbol_demangle(entry->name, &text);
	}
}

static void look_at_places(struct lh_module_table *table)
{
	for (size_t i = 0; i < table->accessors.items.count; i++)
		expect(lh_module_table_find_accessor(table, table->accessors.items.items[i].start) ==
		       &table->accessors.items.items[i]);
	for (size_t i = 0; i < table->sections.count && i < 1000; i++)
		expect(lh_module_table_find_section(table, table->sections.items[i].end - 1) != NULL);
}

static struct lh_error *make_tables(Elf *elf)
{
	struct lh_module_table table LH_CLEANUP(lh_module_table_deinit) = {0};
	const char *problem = NULL;
	LH_TRY(lh_module_table_read_identity(&table, elf, &problem));
	if (problem)
		return NULL;
	LH_TRY(lh_module_table_add(&table, elf));
	LH_TRY(lh_module_table_add_debug(&table, elf));
	LH_TRY(lh_module_table_finish(&table));
	look_at_symbols(&table);
	look_at_places(&table);
	return NULL;
}

/* libelf may write into the image: it gets a copy. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	elf_version(EV_CURRENT);
	char *copy = malloc(size + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	Elf *elf = elf_memory(copy, size);
	lh_error_destroy(make_tables(elf));
	elf_end(elf);
	free(copy);
	return 0;
}

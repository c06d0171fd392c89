/*
 * symbol_store: finds the opened module of an address, and keeps texts as long as the symbols live.
 */
#include "symbol_store.h"

/* Other mappings may lie in a hole between two segments of a module. */
static bool is_in_hole(const struct named_module *module, uint64_t addr)
{
	uint64_t file_addr = addr - module->bias;
	bool is_followed = false; /* by a segment */
	if (!module->module->has_bias)
		return false;
	for (size_t i = 0; i < module->table.loads.count; i++) {
		const struct lh_table_load *load = &module->table.loads.items[i];
		if (file_addr >= lh_align_down(load->start, LH_PAGE_BYTES) &&
		    file_addr < lh_align_up(load->end, LH_PAGE_BYTES))
			return false;
		is_followed |= load->start > file_addr;
	}
	return is_followed;
}

/* Modules are disjoint, except in hostile lists: then the last one that starts before `addr` counts. */
struct named_module *lh_symbol_store_find(struct lh_symbols *symbols, uint64_t addr)
{
	size_t low = lh_vec_count_before(&symbols->modules, item, item->module->start <= addr);
	struct named_module *module = low ? &symbols->modules.items[low - 1] : NULL;
	return module && addr < module->module->end && !is_in_hole(module, addr) ? module : NULL;
}

const char *lh_symbol_store_keep(struct lh_symbols *symbols, const struct lh_buffer *text)
{
	const char *kept = NULL;
	if (text->failed)
		return NULL;
	struct lh_error *error = lh_strings_pool_add(&symbols->strings, text->data, text->length, &kept);
	lh_error_destroy(error);
	return kept;
}

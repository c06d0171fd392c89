/*
 * root_names: names of roots for people: a variable of a module, a thread's stack, registers. Input: a root group.
 * Output: a name.
 */
#include "root_names.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_variable(struct lh_symbols *symbols, uint64_t addr, struct lh_buffer *ret, bool *ret_is_library)
{
	static const char *const libraries[] = {"libc.so*",   "libc-*.so*", "ld-linux*",     "ld-musl*",
						"libcrypto*", "libssl*",    "libpthread.so*"};
	struct lh_symbol symbol;
	if (!symbols || !lh_symbols_find(symbols, addr, &symbol)) {
		lh_buffer_printf(ret, "data at 0x%" PRIx64, addr);
		return;
	}
	lh_buffer_printf(ret, "%s%s", symbol.origin == LH_SYMBOL_SECTION ? "data at " : "global ", symbol.name);
	if (symbol.offset)
		lh_buffer_printf(ret, "+0x%" PRIx64, symbol.offset);
	lh_buffer_printf(ret, " in %s", symbol.module_name);
	for (size_t i = 0; i < LH_ARRAY_COUNT(libraries); i++)
		*ret_is_library |= fnmatch(libraries[i], symbol.module_name, 0) == 0;
}

static void put_thread(const struct lh_graph *graph, const char *what, uint32_t thread, struct lh_buffer *ret)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	if (thread >= count) {
		lh_buffer_printf(ret, "%s of a thread", what);
		return;
	}
	lh_buffer_printf(ret, "%s of thread %d", what, (int)threads[thread].tid);
	if (threads[thread].name[0])
		lh_buffer_printf(ret, " (%s)", threads[thread].name);
}

void lh_root_name(const struct lh_graph *graph, struct lh_symbols *symbols, uint64_t addr, uint32_t range,
		  struct lh_buffer *ret, bool *ret_is_library)
{
	*ret_is_library = false;
	if (range == UINT32_MAX) {
		lh_buffer_puts(ret, "a register");
		return;
	}
	const struct lh_root_range *root = &graph->roots.items[range];
	const struct lh_thread_locals *locals = lh_graph_find_thread_locals(graph, addr);
	if (locals)
		put_thread(graph, addr < locals->record_addr ? "thread-local variable" : "thread-specific data",
			   locals->thread, ret);
	else if (root->kind == LH_ROOT_MODULE)
		put_variable(symbols, addr, ret, ret_is_library);
	else if (root->kind == LH_ROOT_STACK)
		put_thread(graph, "stack", root->thread, ret);
	else
		lh_buffer_printf(ret, "memory at 0x%" PRIx64, addr);
}

/*
 * family_postgresql: memory contexts of PostgreSQL by their names. Input: words that point to a table of functions of
 * the program "postgres".
 *
 * PostgreSQL 13 to 17, src/include/nodes/memnodes.h, struct MemoryContextData: {NodeTag type; bool isReset,
 * allowInCritSection; Size mem_allocated@8; const MemoryContextMethods *methods@16; MemoryContext parent@24,
 * firstchild@32, prevchild@40, nextchild@48; const char *name@56, *ident@64 ...}. A table has 8 functions or more.
 * mem_allocated is what the context has from malloc, its children's not.
 *
 * Self-check: parent, children and neighbors name the context in their own links, and the name is a text of a module.
 * Contexts that wait in a list of free ones have no parent and no children.
 */
#include "families.h"

#include <stdio.h>
#include <string.h>

enum { ALLOCATED, METHODS, PARENT, FIRST_CHILD, PREVIOUS, NEXT, NAME, IDENT, WORDS }; /* the words behind the first */

enum { FUNCTIONS_MIN = 7, NAME_MAX_BYTES = 64, TAG_MAX = 4096, ALLOCATED_MIN = 64 };

struct memory_context {
	uint64_t addr;
	uint64_t words[WORDS];
};

static uint64_t field_addr(uint64_t context, size_t field)
{
	return context + (field + 1) * sizeof(uint64_t);
}

static bool is_of_postgres(struct lh_symbols *symbols, uint64_t addr)
{
	const char *name;
	const struct lh_module *module = lh_symbols_module(symbols, addr, &name);
	const char *slash = module && module->path ? strrchr(module->path, '/') : NULL;
	return slash && !strcmp(slash, "/postgres");
}

static bool is_methods_table(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	uint64_t function;
	if (!is_of_postgres(symbols, ret->addr))
		return false;
	for (size_t i = 0; i < FUNCTIONS_MIN; i++) {
		if (!lh_symbols_read_pointer(symbols, ret->addr + i * 8, &function) ||
		    !lh_symbols_is_code(symbols, function))
			return false;
	}
	return true;
}

/* NULL, or a context whose field holds that. */
static bool links_back(const struct lh_object_view *view, uint64_t other, size_t field, uint64_t expected)
{
	uint64_t word;
	return !other || (lh_object_is_pointer(other) && lh_object_read(view, field_addr(other, field), &word) &&
			  word == expected);
}

static bool is_linked(const struct lh_object_view *view, const struct memory_context *context)
{
	const uint64_t *words = context->words;
	uint64_t addr = context->addr, parent = words[PARENT];
	bool is_in_tree = parent || (words[FIRST_CHILD] && !words[PREVIOUS] && !words[NEXT]);
	return is_in_tree && (words[PREVIOUS] || links_back(view, parent, FIRST_CHILD, addr)) &&
	       links_back(view, words[FIRST_CHILD], PARENT, addr) &&
	       links_back(view, words[FIRST_CHILD], PREVIOUS, 0) && links_back(view, words[PREVIOUS], NEXT, addr) &&
	       links_back(view, words[NEXT], PREVIOUS, addr) && links_back(view, words[NEXT], PARENT, parent);
}

static bool read_context(const struct lh_object_view *view, struct memory_context *ret)
{
	uint32_t tag, flags;
	ret->addr = view->hit->addr - field_addr(0, METHODS);
	if (!lh_object_read_int(view, ret->addr, &tag) || !tag || tag > TAG_MAX ||
	    !lh_object_read_int(view, ret->addr + 4, &flags) || flags & 0xfefe)
		return false;
	for (size_t i = 0; i < WORDS; i++) {
		if (!lh_object_read(view, field_addr(ret->addr, i), &ret->words[i]))
			return false;
	}
	return ret->words[ALLOCATED] >= ALLOCATED_MIN && is_linked(view, ret);
}

/* As pg_backend_memory_contexts calls it: contexts of hash tables are named by what they are for. NULL: it is none. */
static const char *name_of_context(const struct lh_object_view *view, const struct memory_context *context)
{
	const char *module_name;
	if (!lh_symbols_module(view->symbols, context->words[NAME], &module_name))
		return NULL;
	const char *name = lh_symbols_read_name(view->symbols, context->words[NAME], NAME_MAX_BYTES);
	bool is_table = name && !strcmp(name, "dynahash") && context->words[IDENT];
	const char *ident =
		is_table ? lh_symbols_read_name(view->symbols, context->words[IDENT], NAME_MAX_BYTES) : NULL;
	return ident ? ident : name;
}

static struct lh_error *take_context(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	struct memory_context context;
	if (!read_context(view, &context))
		return NULL;
	const char *name = name_of_context(view, &context);
	if (!name)
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, name, context.addr);
	claim.bytes = context.words[ALLOCATED];
	snprintf(claim.detail, sizeof(claim.detail), "memory context");
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_postgresql = {
	.kind = "PostgreSQL",
	.yields_to_classes = true,
	.is_table = is_methods_table,
	.take = take_context,
};

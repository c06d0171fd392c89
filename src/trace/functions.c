/*
 * functions: from names in the allocator's file to places for probes. Input: an image, the file of its allocator
 * (hostile). Each place is chosen by the instruction that stands there.
 */
#include "functions.h"

#include "leakhunt/regions.h"
#include "leakhunt/symbols.h"
#include "probe_point.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of one hit, as measured on Linux 6.18 in a virtual machine, a sampling program's work included. */
enum {
	EMULATED_COST_NS = 750,
	STEPPED_COST_NS = 30000,
	SECOND_PROGRAM_COST_NS = 100, /* at a place that is probed anyway */
};

enum { NAME_MAX_BYTES = 48, FUNCTIONS_MAX = 64, BODY_MAX_BYTES = 4096 };

static const struct allocator_function {
	const char *name;
	enum lh_call_kind kind;
	unsigned arguments;
	bool frees_first; /* rdi is freed, too */
} known_functions[] = {
	{"malloc", LH_CALL_MALLOC, LH_REGISTER_RDI, false},
	{"calloc", LH_CALL_CALLOC, LH_REGISTER_RDI | LH_REGISTER_RSI, false},
	{"realloc", LH_CALL_SECOND, LH_REGISTER_RDI | LH_REGISTER_RSI, true},
	{"memalign", LH_CALL_SECOND, LH_REGISTER_RSI, false},
	{"aligned_alloc", LH_CALL_SECOND, LH_REGISTER_RSI, false},
	{"posix_memalign", LH_CALL_POSIX_MEMALIGN, LH_REGISTER_RDI | LH_REGISTER_RDX, false},
	{"valloc", LH_CALL_MALLOC, LH_REGISTER_RDI, false},
	{"pvalloc", LH_CALL_MALLOC, LH_REGISTER_RDI, false},
	{"free", LH_CALL_FREE, LH_REGISTER_RDI, false},
	{"cfree", LH_CALL_FREE, LH_REGISTER_RDI, false},
	/* jemalloc(3) */
	{"mallocx", LH_CALL_MALLOC, LH_REGISTER_RDI, false},
	{"rallocx", LH_CALL_SECOND, LH_REGISTER_RDI | LH_REGISTER_RSI, true},
	{"dallocx", LH_CALL_FREE, LH_REGISTER_RDI, false},
	{"sdallocx", LH_CALL_FREE, LH_REGISTER_RDI, false},
};

/* operator new and delete of allocators that have their own, mangled by the Itanium C++ ABI: 5.1.5.3. */
static const struct {
	const char *prefix;
	enum lh_call_kind kind;
} operators[] = {
	{"_Znwm", LH_CALL_MALLOC},
	{"_Znam", LH_CALL_MALLOC},
	{"_ZdlPv", LH_CALL_FREE},
	{"_ZdaPv", LH_CALL_FREE},
};

struct found_function {
	struct lh_range code;
	struct allocator_function function;
};

struct function_search {
	bool has_operators;
	struct found_function found[FUNCTIONS_MAX];
	size_t count;
};

void lh_allocator_probes_deinit(struct lh_allocator_probes *probes)
{
	lh_vec_deinit(&probes->allocations.items);
	lh_vec_deinit(&probes->frees.items);
	lh_vec_deinit(&probes->functions);
	if (probes->file > 0)
		close(probes->file);
}

bool lh_allocator_probes_hold(const struct lh_allocator_probes *probes, uint64_t addr)
{
	for (size_t i = 0; i < probes->functions.count; i++) {
		if (addr >= probes->functions.items[i].start && addr < probes->functions.items[i].end)
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- names */

static bool match_function(const struct function_search *search, const char *name, struct allocator_function *ret)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(known_functions); i++) {
		if (strcmp(name, known_functions[i].name) == 0) {
			*ret = known_functions[i];
			return true;
		}
	}
	for (size_t i = 0; search->has_operators && i < LH_ARRAY_COUNT(operators); i++) {
		if (strncmp(name, operators[i].prefix, strlen(operators[i].prefix)) == 0) {
			*ret = (struct allocator_function){operators[i].prefix, operators[i].kind, LH_REGISTER_RDI,
							   false};
			return true;
		}
	}
	return false;
}

/* Several names of one address are one function: tcmalloc's operator delete is free. */
static void take_function(void *context, const char *name, struct lh_range code)
{
	struct function_search *search = context;
	struct allocator_function function;
	if (!match_function(search, name, &function))
		return;
	for (size_t i = 0; i < search->count; i++) {
		if (search->found[i].code.start != code.start)
			continue;
		if (strcmp(function.name, "malloc") == 0 || strcmp(function.name, "free") == 0)
			search->found[i].function = function;
		return;
	}
	if (search->count < FUNCTIONS_MAX)
		search->found[search->count++] = (struct found_function){code, function};
}

static const struct found_function *find_function(const struct function_search *search, const char *name)
{
	for (size_t i = 0; i < search->count; i++) {
		if (strcmp(search->found[i].function.name, name) == 0)
			return &search->found[i];
	}
	return NULL;
}

/* ---------------------------------------------------------------- places */

/* From the file, as the kernel does: memory shows other breakpoints, and not all pages are present. */
static size_t read_code(int file, const struct lh_region *region, uint64_t addr, uint8_t *ret, size_t bytes)
{
	uint64_t offset = region->file_offset + (addr - region->start);
	ssize_t got = pread(file, ret, lh_min_u64(bytes, region->end - addr), (off_t)offset);
	return got > 0 ? (size_t)got : 0;
}

/* glibc's realloc(NULL, size) jumps to malloc (e9 rel32), which then counts it a second time. */
static bool jumps_to(int file, const struct lh_region *region, struct lh_range code, uint64_t target)
{
	uint8_t body[BODY_MAX_BYTES];
	size_t bytes = read_code(file, region, code.start, body, lh_min_u64(lh_range_bytes(code), sizeof(body)));
	for (size_t i = 0; i + 5 <= bytes; i++) {
		uint64_t next = code.start + i + 5;
		if (body[i] == 0xe9 && next + (uint64_t)(int64_t)(int32_t)lh_load_u32(body, i + 1) == target)
			return true;
	}
	return false;
}

static struct lh_error *refuse_function(const struct allocator_function *function, const char *why)
{
	return lh_error_create(LH_ERROR_UNSUPPORTED, "cannot set a probe in %s: %s", function->name, why);
}

/* `region`: the mapping of the function's code. */
static struct lh_error *add_probe(const struct lh_region *region, const struct found_function *found, bool is_by_malloc,
				  struct lh_allocator_probes *ret)
{
	uint8_t code[LH_PROBE_CODE_BYTES];
	struct lh_probe_point point;
	const struct allocator_function *function = &found->function;
	size_t bytes = read_code(ret->file, region, found->code.start, code, sizeof(code));
	bool is_free = function->kind == LH_CALL_FREE;
	if (!lh_probe_point_find(code, bytes, function->arguments, is_free, &point)) {
		/* Without its probe blocks are not seen; but all frees must be. */
		bool is_needed = is_free || function->frees_first || strcmp(function->name, "malloc") == 0;
		return is_needed ? refuse_function(function, "its first instruction is not known") : NULL;
	}
	uint64_t offset = region->file_offset + (found->code.start - region->start) + point.offset;
	uint64_t cost_ns = point.is_emulated ? EMULATED_COST_NS : STEPPED_COST_NS;
	enum lh_call_kind kind = is_by_malloc ? LH_CALL_REALLOC_BY_MALLOC : function->kind;
	struct lh_probe_list *list = is_free ? &ret->frees : &ret->allocations;
	LH_TRY(lh_vec_push(&list->items, (struct lh_probe){offset, LH_COOKIE(kind, cost_ns)}));
	if (function->frees_first)
		LH_TRY(lh_vec_push(&ret->frees.items,
				   (struct lh_probe){offset, LH_COOKIE(LH_CALL_FREE, SECOND_PROGRAM_COST_NS)}));
	return lh_vec_push(&ret->functions, found->code);
}

static struct lh_error *add_allocator_probes(const struct lh_process *process, const struct function_search *search,
					     struct lh_allocator_probes *ret)
{
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	const struct found_function *allocate = find_function(search, "malloc");
	const struct found_function *release = find_function(search, "free");
	if (!allocate || !release)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "no symbols of malloc and free in the process");
	LH_TRY(lh_regions_read(process, LH_REGIONS_MAPS, &regions));
	const struct lh_region *malloc_region = lh_regions_find(&regions, allocate->code.start);
	ret->file = malloc_region ? lh_process_open_mapped(process, malloc_region) : -1;
	if (ret->file < 0)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "cannot open the file that malloc was mapped from");
	for (size_t i = 0; i < search->count; i++) {
		const struct found_function *found = &search->found[i];
		const struct lh_region *region = lh_regions_find(&regions, found->code.start);
		if (!region || region->inode != malloc_region->inode)
			return refuse_function(&found->function, "it is in another file than malloc");
		bool is_by_malloc =
			found->function.frees_first && jumps_to(ret->file, region, found->code, allocate->code.start);
		LH_TRY(add_probe(region, found, is_by_malloc, ret));
	}
	return NULL;
}

static struct lh_error *check_allocator(enum lh_allocator allocator)
{
	switch (allocator) {
	case LH_ALLOCATOR_GLIBC:
	case LH_ALLOCATOR_JEMALLOC:
	case LH_ALLOCATOR_TCMALLOC:
		return NULL;
	default:
		return lh_error_create(LH_ERROR_UNSUPPORTED,
				       "the process calls the malloc of another allocator (%s) than glibc, jemalloc or "
				       "tcmalloc",
				       lh_allocator_name(allocator));
	}
}

struct lh_error *lh_allocator_probes_find(const struct lh_process *process, const struct lh_image *image,
					  struct lh_allocator_probes *ret)
{
	const struct lh_module *module;
	LH_CLEANUP(lh_cleanup_module_file) struct lh_module_file *file = NULL;
	struct function_search search = {.count = 0};
	LH_TRY(lh_allocator_find_module(image, lh_image_root(image), &ret->allocator, &module));
	LH_TRY(check_allocator(ret->allocator));
	search.has_operators = ret->allocator != LH_ALLOCATOR_GLIBC;
	LH_TRY(lh_module_file_open(image, module, &file));
	if (!file)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "the file of the allocator is missing");
	lh_module_file_visit_functions(file, take_function, &search);
	return add_allocator_probes(process, &search, ret);
}

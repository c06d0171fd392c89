/*
 * modules: the ELF files that a process has mapped, with their build ids.
 */
#ifndef LEAKHUNT_MODULES_H
#define LEAKHUNT_MODULES_H

#include "leakhunt/process_memory.h"
#include "leakhunt/regions.h"

#define LH_BUILD_ID_MAX 32 /* bytes; GNU ld writes 20, gold and lld 8 to 20 */

/* An ELF file mapped into the process. `path` belongs to the list. */
struct lh_module {
	uint64_t start; /* lowest address mapped from it */
	uint64_t end;   /* end of the highest mapping, with its bss */
	uint64_t bias;  /* address in memory minus address in the file; valid when has_bias */
	bool has_bias;
	bool is_deleted;  /* the file was replaced or removed since */
	const char *path; /* as the target sees it; "[vdso]" for the vdso */
	uint8_t build_id[LH_BUILD_ID_MAX];
	size_t build_id_bytes; /* 0: it has none, or it could not be read */
};

/* Zero-initialized is empty. Owns its strings. */
struct lh_module_list {
	LH_VEC(struct lh_module) modules; /* ascending start */
	struct lh_strings_pool strings;
};

void lh_module_list_deinit(struct lh_module_list *list);
/* The module around `addr`; NULL: there is none. It belongs to the list. */
const struct lh_module *lh_module_list_find(const struct lh_module_list *list, uint64_t addr);

/*
 * Finds the modules among `regions`: every file with an executable mapping or an ELF header, and the vdso. Reads their
 * headers through `read`. *ret keeps no pointer into `regions`.
 */
struct lh_error *lh_modules_find(const struct lh_region_list *regions, lh_memory_reader *read, const void *context,
				 struct lh_module_list *ret) LH_NODISCARD;

/* The allocator whose malloc a process calls. */
enum lh_allocator {
	LH_ALLOCATOR_UNKNOWN,
	LH_ALLOCATOR_GLIBC,
	LH_ALLOCATOR_MUSL,
	LH_ALLOCATOR_JEMALLOC,
	LH_ALLOCATOR_TCMALLOC,
	LH_ALLOCATOR_MIMALLOC,
	LH_ALLOCATOR_RPMALLOC,
	LH_ALLOCATOR_COUNT,
};

/* "unknown", "glibc", "musl", "jemalloc", "tcmalloc", "mimalloc", "rpmalloc". Static. */
const char *lh_allocator_name(enum lh_allocator allocator);

#endif

/*
 * context: the memory besides the requested regions that later analysis needs. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_CONTEXT_H
#define LEAKHUNT_DUMP_CONTEXT_H

#include "leakhunt/dump.h"
#include "plan.h"
#include "ranges.h"

/* Cost of stopping a thread, reading its registers, and releasing it (Linux 6.18: 10 to 20 us). */
#define LH_THREAD_STOP_NS ((uint64_t)20 * 1000)

/*
 * Appends page-aligned ranges, in any order and overlapping: writable data and bss of all modules,
 * each known stack pointer's stack from 128 bytes below it (the red zone: System V ABI x86-64,
 * 3.2.2) to the end of its mapping, the first page of each module (ELF header, program headers,
 * mostly the build-id note), the vdso, and what a debugger follows to find the modules: the dynamic
 * linker's list with its names and dynamic sections, and its early allocations.
 */
struct lh_error *lh_context_collect(const struct lh_process *process, const struct lh_region_list *list,
				    const struct lh_module_list *modules, const struct lh_plan_request *request,
				    struct lh_ranges *ret) LH_NODISCARD;

#endif

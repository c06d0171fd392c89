/*
 * modules: the probe of an ELF image in memory, with the extent that its program headers claim. Private
 * to proc.
 */
#ifndef LEAKHUNT_PROC_MODULES_H
#define LEAKHUNT_PROC_MODULES_H

#include "leakhunt/modules.h"
#include "leakhunt/process_memory.h"
#include "regions.h"

/* lh_module_probe, which also returns where the image ends in memory, bss included (0: invalid). */
bool lh_module_probe_span(struct lh_module *module, lh_memory_reader *read, const void *context, uint64_t *ret_end);

/*
 * Reads ELF header, program headers and build-id note of a module mapped at `module->start` through
 * `read`, and fills bias and build id. Hostile input: false, and nothing changed, unless it is a
 * well-formed 64-bit little-endian ELF image (gABI; build-id note: NT_GNU_BUILD_ID).
 */
bool lh_module_probe(struct lh_module *module, lh_memory_reader *read, const void *context);

#endif

/*
 * modules: the probe of an ELF image in memory, with the extent that its program headers claim. Private
 * to proc.
 */
#ifndef LEAKHUNT_PROC_MODULES_H
#define LEAKHUNT_PROC_MODULES_H

#include "regions.h"

/* lh_module_probe, which also says where the image ends in memory, bss included (0: makes no sense). */
bool lh_module_probe_span(struct lh_module *module, lh_memory_reader *read, const void *context, uint64_t *ret_end);

#endif

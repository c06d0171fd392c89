/*
 * runtime_facts: what is known of a program beside its mappings. Private to cli.
 */
#ifndef LEAKHUNT_CLI_RUNTIME_FACTS_H
#define LEAKHUNT_CLI_RUNTIME_FACTS_H

#include "leakhunt/select.h"

/* Whose malloc a live process calls; opens and reads its files. What can't be read stays unknown. */
enum lh_allocator lh_allocator_of(const struct lh_process *process);

/* From the names in the selection, and from what is known of the allocator, which goes before them. */
struct lh_runtime_facts lh_runtime_facts_make(const struct lh_selection *selection, enum lh_allocator allocator);

#endif

/*
 * runtime_facts: what is known of a program beside its mappings. Private to cli.
 */
#ifndef LEAKHUNT_CLI_RUNTIME_FACTS_H
#define LEAKHUNT_CLI_RUNTIME_FACTS_H

#include "leakhunt/select.h"

/* From the selection, and from the live process (NULL: there is none). What can't be read stays unknown. */
struct lh_runtime_facts lh_runtime_facts_read(const struct lh_selection *selection, const struct lh_process *process);

#endif

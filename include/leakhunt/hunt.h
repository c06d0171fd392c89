/*
 * hunt: one question, one answer: what grows in a process, what it is, why it stays, what to do next.
 */
#ifndef LEAKHUNT_HUNT_H
#define LEAKHUNT_HUNT_H

#include "leakhunt/dump.h"
#include "leakhunt/scan.h"
#include "leakhunt/watch.h"

/* ---------------------------------------------------------------- what is known of a program */

/* Whose malloc a live process calls; opens and reads its files. What can't be read stays unknown. */
enum lh_allocator lh_allocator_of(const struct lh_process *process);

/* From the names in the selection, and from what is known of the allocator, which goes before them. */
struct lh_runtime_facts lh_runtime_facts_make(const struct lh_selection *selection, enum lh_allocator allocator);

#endif

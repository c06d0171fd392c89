/*
 * root_names: names of roots for people. Private to graph.
 */
#ifndef LEAKHUNT_GRAPH_ROOT_NAMES_H
#define LEAKHUNT_GRAPH_ROOT_NAMES_H

#include "graph.h"

/* `range`: index among the roots; UINT32_MAX: a register. `symbols` may be NULL. */
void lh_root_name(const struct lh_graph *graph, struct lh_symbols *symbols, uint64_t addr, uint32_t range,
		  struct lh_buffer *ret, bool *ret_is_library);

#endif

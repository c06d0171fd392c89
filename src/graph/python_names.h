/*
 * python_names: what a program in Python calls a block: a variable of a module, or a local one of a function. Private
 * to graph.
 */
#ifndef LEAKHUNT_GRAPH_PYTHON_NAMES_H
#define LEAKHUNT_GRAPH_PYTHON_NAMES_H

#include "holders.h"

/*
 * "CACHE in Python module __main__", "local history of Python function serve": the nearest one that leads to the node
 * `number`. Appends nothing where there is none, as in a process without CPython.
 */
struct lh_error *lh_python_name(const struct lh_holders *holders, uint32_t number, struct lh_buffer *ret) LH_NODISCARD;

#endif

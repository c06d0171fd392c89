/*
 * end_words: which fields of blocks hold the end of another block, and not a pointer to the next one. Private to graph.
 */
#ifndef LEAKHUNT_GRAPH_END_WORDS_H
#define LEAKHUNT_GRAPH_END_WORDS_H

#include "graph.h"

#include "leakhunt/hash_table.h"

/* Words of one field whose neighboring words are those of an end pointer. */
struct lh_end_count {
	uint64_t ends;
	uint64_t elsewhere; /* words that lead neither into the block nor to its end */
};

/* Keyed by the size of the holder and the offset in it. Zero: empty. */
struct lh_end_fields {
	struct lh_hash_table numbers;
	LH_VEC(struct lh_end_count) counts;
};

/* Examines all reachable blocks. */
struct lh_error *lh_end_fields_find(const struct lh_graph *graph, struct lh_end_fields *ret) LH_NODISCARD;
void lh_end_fields_deinit(struct lh_end_fields *fields);
/* Whether words of the field are ends, and almost never lead elsewhere. */
bool lh_end_fields_has(const struct lh_end_fields *fields, uint64_t size_bytes, uint64_t offset);

#endif

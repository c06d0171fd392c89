/*
 * hits: finds the aligned words of an image that hold one of a set of addresses: the places that point to
 * the tables and types by which objects are told. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_HITS_H
#define LEAKHUNT_SCAN_HITS_H

#include "leakhunt/scan.h"

struct lh_hit {
	uint64_t addr;                /* of the word */
	size_t target;                /* index of the address that it holds */
	const struct lh_block *block; /* in which it lies */
};

typedef struct lh_error *lh_hit_visitor(void *context, const struct lh_hit *hit);

/* A set of addresses. */
struct lh_hit_set;
/* `targets` must be distinct; their order gives the indexes of hits. */
struct lh_error *lh_hit_set_create(const uint64_t *targets, size_t count, struct lh_hit_set **ret) LH_NODISCARD;
void lh_hit_set_destroy(struct lh_hit_set *set);
void lh_cleanup_hit_set(struct lh_hit_set **set);
/* The index of the address; SIZE_MAX when it is not in the set. */
size_t lh_hit_set_find(const struct lh_hit_set *set, uint64_t addr);

struct lh_hit_walk {
	struct lh_image *image;
	unsigned walk_flags;
	unsigned threads; /* 0: one for each processor */
	const struct lh_hit_set *set;
	lh_hit_visitor *visit; /* in ascending order of addresses, on the caller's thread */
	void *context;
	bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* false: stop; may be NULL */
	void *progress_context;
};

/* The word at `addr`, which lies near the hit; false when it can't be read. */
bool lh_hit_word(struct lh_image *image, const struct lh_hit *hit, uint64_t addr, uint64_t *ret);

/* LH_ERROR_INTERRUPTED when progress said stop. */
struct lh_error *lh_hits_walk(const struct lh_hit_walk *walk) LH_NODISCARD;

#endif

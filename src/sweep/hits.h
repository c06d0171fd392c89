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

/* How far from a word's own address the address may lie that a pattern asks for. */
#define LH_OWN_ADDRESS_REACH 256

/* Words told by their value. */
struct lh_word_pattern {
	bool is_own_address; /* the word holds its own address + `offset`; else its low half is in [first, last] */
	int32_t offset;      /* -LH_OWN_ADDRESS_REACH to LH_OWN_ADDRESS_REACH */
	uint32_t first;      /* low 16 bits not 0: words of zeros must be passed over fast */
	uint32_t last;
	uint32_t high_max; /* the high half is at most this */
};

/* A set of addresses, and of patterns. */
struct lh_hit_set;
/* `targets` must be distinct; their order gives the indexes of hits. */
struct lh_error *lh_hit_set_create(const uint64_t *targets, size_t count, struct lh_hit_set **ret) LH_NODISCARD;
/*
 * Adds patterns, which must outlive the set; the index of a word that fits pattern i is the number of targets + i.
 * Addresses come before patterns, and of several patterns that fit a word the first counts.
 */
void lh_hit_set_add_patterns(struct lh_hit_set *set, const struct lh_word_pattern *patterns, size_t count);
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

/*
 * sites: sampled blocks, grouped by call stack. Private to src/trace.
 */
#ifndef LEAKHUNT_TRACE_SITES_H
#define LEAKHUNT_TRACE_SITES_H

#include "estimate.h"
#include "leakhunt/hash_table.h"

enum { LH_SITE_FRAMES_MAX = 128 };

/* A sampled block. Its site is 0 until the sample came, its birth_ns until it has an address. */
struct lh_sampled_block {
	struct lh_life life;
	uint32_t site; /* index, + 1; 0: none */
	bool has_unseen_death;
};

struct lh_stack_site {
	size_t first_frame, frame_count;
	bool is_complete;
	uint64_t longest_life_ns; /* set by lh_sites_judge */
};

/* Zero-initialized is empty. */
struct lh_sites {
	LH_VEC(struct lh_sampled_block) blocks; /* by id - first_id */
	LH_VEC(struct lh_stack_site) sites;
	LH_VEC(uint64_t) frames;
	struct lh_hash_table by_stack; /* index of a site, by the hash of its frames */
	uint64_t first_id;             /* ids below it are of no interest; 0: not set yet */
	uint64_t unseen_death_count;
};

void lh_sites_deinit(struct lh_sites *sites);
struct lh_error *lh_sites_add_sample(struct lh_sites *sites, uint64_t id, const struct lh_life *life,
				     const uint64_t *frames, size_t frame_count, bool is_complete) LH_NODISCARD;
void lh_sites_add_birth(struct lh_sites *sites, uint64_t id, uint64_t time_ns);
void lh_sites_add_death(struct lh_sites *sites, uint64_t id, uint64_t time_ns, bool is_unseen);
/*
 * Estimates of all stacks, most important first. `at`: the time, and whether deaths were lost; its sibling_life_ns is
 * not read. Moves the frames to *ret.
 */
struct lh_error *lh_sites_judge(struct lh_sites *sites, const struct lh_site_facts *at,
				const struct lh_trace_growth *growth, struct lh_trace *ret) LH_NODISCARD;

/* Of a trace in bursts: rates projected on the whole time, and no verdicts. */
void lh_sites_keep_rates(struct lh_trace *trace);

#endif

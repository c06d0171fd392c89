/*
 * identity: which mappings of different samples are the same memory. Private to select.
 */
#ifndef LEAKHUNT_SELECT_IDENTITY_H
#define LEAKHUNT_SELECT_IDENTITY_H

#include "leakhunt/select.h"

/* Memory followed through all samples: one mapping, the pieces of a split one, or a whole family. */
struct lh_track {
	const struct lh_region *last; /* its largest mapping in its last sample; belongs to the samples */
	enum lh_region_kind kind;     /* the most telling one it ever had */
	const char *thread_name;
	uint64_t bytes;      /* mapped, in its last sample */
	size_t first_sample; /* index of the first sample that had it */
	size_t last_sample;
	size_t family; /* LH_TRACK_ALONE, or which row it is part of */
};

#define LH_TRACK_ALONE SIZE_MAX

/* A mapping in its track's last sample. */
struct lh_track_piece {
	size_t track;
	struct lh_range range;
};

struct lh_tracks {
	LH_VEC(struct lh_track) items;
	LH_VEC(struct lh_track_piece) pieces; /* ascending addresses within one last sample */
	uint64_t *series;                     /* items.count rows of sample_count: USS + swap, saturated at INT64_MAX */
	size_t sample_count;
	size_t family_count;
};

/* `samples` in order of time. O(n log n) in the number of mappings. */
struct lh_error *lh_tracks_create(const struct lh_sample *const *samples, size_t sample_count,
				  struct lh_tracks *ret) LH_NODISCARD;

/*
 * Puts tracks that are alike, and come or go one by one, into families: thread stacks, heaps of
 * arenas, mmapped chunks, anonymous mappings of one size. Sets `family` of their members.
 */
struct lh_error *lh_tracks_group(struct lh_tracks *tracks) LH_NODISCARD;

void lh_tracks_deinit(struct lh_tracks *tracks);

/* Sums of private bytes stay where int64_t can show their difference. */
static inline uint64_t lh_private_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return !lh_add_u64(a, b, &sum) || sum > INT64_MAX ? INT64_MAX : sum;
}

static inline const uint64_t *lh_track_series(const struct lh_tracks *tracks, size_t track)
{
	return tracks->series + track * tracks->sample_count;
}

#endif

/*
 * identity: which mappings of different samples are the same memory. Private to select.
 */
#ifndef LEAKHUNT_SELECT_IDENTITY_H
#define LEAKHUNT_SELECT_IDENTITY_H

#include "leakhunt/select.h"
#include "steps.h"

#define LH_TRACK_ALONE SIZE_MAX

/* Memory followed through all samples: one mapping, or the pieces of a split one. */
struct lh_track {
	size_t parent;            /* the track it was joined into; its own index while it is separate */
	enum lh_region_kind kind; /* the most specific kind it ever had */
	const char *name;         /* of its largest mapping in its last sample; belongs to the tracks */
	const char *thread_name;  /* likewise; "" unless a thread stack */
	const char *pattern;      /* pattern of the name (a bss: of its module's): lh_name_pattern */
	const char *group;        /* what names of one family share: the pattern, or only the folder */
	const char *thread_pattern;
	bool is_deleted;
	bool is_ended_stack; /* in its last sample: lh_region; likewise: */
	bool has_guard;      /* anonymous, and a small guard lies right below */
	uint8_t protection;
	bool is_shared;
	uint64_t first_sample; /* ordinal of the first sample that had it */
	uint64_t last_sample;
	LH_VEC(struct lh_range) ranges; /* its mappings in its last sample, in order */
	uint64_t largest_bytes;         /* the largest of them */
	uint64_t mapped_bytes;          /* in its last sample */
	uint64_t used_bytes;            /* likewise */
	uint64_t huge_bytes;            /* huge pages of anonymous memory, likewise */
	uint64_t first_used_bytes;      /* in its first sample */
	uint64_t first_mapped_bytes;
	uint64_t first_huge_bytes;
	struct lh_steps used;   /* lh_region_used_bytes, per moment */
	struct lh_steps mapped; /* bytes mapped, per moment */
	size_t family;          /* LH_TRACK_ALONE, or the row that it belongs to */
};

/* A mapping of one of the last two samples, with its backing. */
struct lh_track_piece {
	struct lh_range range;
	uint64_t inode;
	uint64_t file_offset;
	uint32_t device_major;
	uint32_t device_minor;
	bool is_shared;
	size_t track;
};

struct lh_track_pieces {
	LH_VEC(struct lh_track_piece) items; /* ascending, disjoint */
};

/* The time of a sample, and the user's counter at that time. */
struct lh_moment {
	uint64_t elapsed_ns; /* since the first sample */
	double counter;      /* NAN when there is none */
};

/* What the allocators said at one sample. */
struct lh_use_look {
	bool is_known;
	uint64_t sample; /* its ordinal */
	struct lh_heap_use use;
	uint64_t used_bytes; /* of the whole process then */
};

/* When there are more moments, every second one is dropped: this bounds memory and the time to judge. */
#define LH_MOMENTS_MAX 2049

struct lh_tracks {
	LH_VEC(struct lh_track) items;
	struct lh_track_pieces latest;    /* of the last sample */
	struct lh_track_pieces earlier;   /* and of the one before it */
	LH_VEC(struct lh_moment) moments; /* some of the samples', the first and the last among them */
	uint64_t sample_count;
	uint64_t stride; /* samples per moment */
	size_t family_count;
	struct lh_steps holdings[LH_HOLDING_COUNT]; /* per moment */
	bool knows_holding[LH_HOLDING_COUNT];       /* true once any sample had it */
	char held_name[LH_HELD_NAME_BYTES];
	struct lh_use_look first_use, last_use;
	bool has_ceilings; /* of the latest sample that has them; likewise the receipt */
	bool has_receipt;
	struct lh_ceilings ceilings;
	struct lh_sampling_receipt receipt;
	struct lh_strings_pool strings;
};

/* `elapsed_ns` must be greater than that of all earlier samples. Keeps nothing of the sample. O(n) in its mappings. */
struct lh_error *lh_tracks_add(struct lh_tracks *tracks, const struct lh_sample *sample,
			       uint64_t elapsed_ns) LH_NODISCARD;

/*
 * Groups similar tracks that come or go one by one into families: thread stacks, heaps of arenas, mmapped chunks,
 * anonymous mappings of one size. Sets their `family` again.
 */
struct lh_error *lh_tracks_group(struct lh_tracks *tracks) LH_NODISCARD;

void lh_tracks_deinit(struct lh_tracks *tracks);

/* Whether the track was not joined into another. */
static inline bool lh_track_is_root(const struct lh_tracks *tracks, size_t track)
{
	return tracks->items.items[track].parent == track;
}

/*
 * The bytes of one mapping that select follows: the process's own memory, resident or swapped out. Private memory
 * counts by its anonymous pages, also while a fork shares them, without lazily freed ones (MADV_FREE); cached pages of
 * a file never count. Shared memory and huge pages count by USS. `knows_anonymous`: the kernel reports anonymous pages;
 * otherwise private dirty pages stand in for them (Documentation/filesystems/proc.rst, smaps).
 */
uint64_t lh_region_used_bytes(const struct lh_region *region, bool knows_anonymous);

/* Whether the kernel reported anonymous pages for any mapping of the list. */
bool lh_regions_know_anonymous(const struct lh_region_list *list);

#endif

/*
 * identity: follows memory from sample to sample. A region is a set of addresses: mappings of
 * neighbouring samples that overlap and have the same backing are the same memory, so growth at
 * either end, a split and a merge keep their history. Input: samples in order of time. Output: one
 * track per connected set of mappings, with its private bytes per sample. Judges nothing.
 */
#include "identity.h"

#include <stdlib.h>

/* A mapping of a sample, and its union-find parent (Tarjan 1975: path halving). */
struct node {
	const struct lh_region *region;
	size_t sample;
	size_t parent;
};

struct node_list {
	LH_VEC(struct node) nodes;
	size_t *first_of_sample; /* sample_count + 1 entries */
};

static void node_list_deinit(struct node_list *list)
{
	lh_vec_deinit(&list->nodes);
	free(list->first_of_sample);
}

static size_t node_root(struct node *nodes, size_t at)
{
	while (nodes[at].parent != at) {
		nodes[at].parent = nodes[nodes[at].parent].parent;
		at = nodes[at].parent;
	}
	return at;
}

/* The earlier node becomes the root. */
static void node_join(struct node *nodes, size_t a, size_t b)
{
	size_t root_a = node_root(nodes, a);
	size_t root_b = node_root(nodes, b);
	if (root_a < root_b)
		nodes[root_b].parent = root_a;
	else
		nodes[root_a].parent = root_b;
}

/* Guards hold no memory, and reserved space would tie together what is only neighbours in it. */
static bool is_followed(const struct lh_region *region)
{
	return region->kind != LH_REGION_GUARD && region->start < region->end;
}

static struct lh_error *collect_nodes(const struct lh_sample *const *samples, size_t sample_count,
				      struct node_list *list)
{
	list->first_of_sample = calloc(sample_count + 1, sizeof(*list->first_of_sample));
	if (!list->first_of_sample)
		return lh_error_no_memory();
	for (size_t sample = 0; sample < sample_count; sample++) {
		const struct lh_region_list *regions = &samples[sample]->list;
		LH_TRY(lh_vec_reserve(&list->nodes, regions->regions.count + 1));
		list->first_of_sample[sample] = list->nodes.count;
		for (size_t i = 0; i < regions->regions.count; i++) {
			const struct lh_region *region = &regions->regions.items[i];
			if (!is_followed(region))
				continue;
			size_t at = list->nodes.count++;
			list->nodes.items[at] = (struct node){.region = region, .sample = sample, .parent = at};
		}
	}
	list->first_of_sample[sample_count] = list->nodes.count;
	return NULL;
}

/* Same device, inode and offset lineage; anonymous memory has inode 0 and no offset to compare. */
static bool is_same_backing(const struct lh_region *a, const struct lh_region *b)
{
	if (a->is_shared != b->is_shared || a->inode != b->inode || a->device_major != b->device_major ||
	    a->device_minor != b->device_minor)
		return false;
	return !a->inode || a->start - a->file_offset == b->start - b->file_offset;
}

/*
 * At least half of the smaller one: growth, split and merge leave the smaller one whole, while a new
 * mapping that happens to reuse a few freed pages of another is not that other.
 */
static bool is_same_memory(const struct lh_region *a, const struct lh_region *b)
{
	uint64_t start = lh_max_u64(a->start, b->start);
	uint64_t end = lh_min_u64(a->end, b->end);
	uint64_t smaller = lh_min_u64(a->end - a->start, b->end - b->start);
	return start < end && end - start >= smaller - smaller / 2 && is_same_backing(a, b);
}

/* Both are in address order and disjoint: of n + m mappings at most n + m pairs overlap. */
static void join_samples(struct node_list *list, size_t sample_a, size_t sample_b)
{
	struct node *nodes = list->nodes.items;
	size_t a = list->first_of_sample[sample_a], a_end = list->first_of_sample[sample_a + 1];
	size_t b = list->first_of_sample[sample_b], b_end = list->first_of_sample[sample_b + 1];
	while (a < a_end && b < b_end) {
		if (is_same_memory(nodes[a].region, nodes[b].region))
			node_join(nodes, a, b);
		if (nodes[a].region->end <= nodes[b].region->end)
			a++;
		else
			b++;
	}
}

/* A kernel text is read in pieces while the process runs on: a mapping may be missing in one sample. */
static void join_all_samples(struct node_list *list, size_t sample_count)
{
	for (size_t sample = 1; sample < sample_count; sample++) {
		join_samples(list, sample - 1, sample);
		if (sample >= 2)
			join_samples(list, sample - 2, sample);
	}
}

/* How much a kind tells: what proc could only call anonymous in one sample it may know in another. */
static unsigned kind_rank(enum lh_region_kind kind)
{
	return kind == LH_REGION_ANON ? 0 : 1;
}

static void track_add(struct lh_track *track, const struct node *node)
{
	const struct lh_region *region = node->region;
	uint64_t bytes = region->end - region->start;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the caller has just pushed the track. */
	bool is_newer = !track->last || node->sample > track->last_sample;
	if (!track->last) {
		*track = (struct lh_track){.kind = region->kind, .first_sample = node->sample};
		track->thread_name = region->thread_name;
		track->family = LH_TRACK_ALONE;
	}
	if (is_newer)
		track->bytes = 0;
	if (is_newer || bytes > track->last->end - track->last->start)
		track->last = region;
	track->last_sample = node->sample;
	track->bytes += bytes;
	if (kind_rank(region->kind) >= kind_rank(track->kind))
		track->kind = region->kind;
	if (region->thread_name[0])
		track->thread_name = region->thread_name;
}

/* Numbers the roots in order of address and time; `ret_track_of` holds a number per node. */
static struct lh_error *number_tracks(struct node_list *list, struct lh_tracks *tracks, size_t *ret_track_of)
{
	for (size_t i = 0; i < list->nodes.count; i++) {
		size_t root = node_root(list->nodes.items, i);
		if (root == i) {
			ret_track_of[i] = tracks->items.count;
			LH_TRY(lh_vec_push(&tracks->items, (struct lh_track){0}));
		} else {
			ret_track_of[i] = ret_track_of[root];
		}
		track_add(&tracks->items.items[ret_track_of[i]], &list->nodes.items[i]);
	}
	return NULL;
}

static struct lh_error *fill_tracks(const struct node_list *list, const size_t *track_of, struct lh_tracks *tracks)
{
	tracks->series = calloc((tracks->items.count + 1) * (tracks->sample_count + 1), sizeof(*tracks->series));
	if (!tracks->series)
		return lh_error_no_memory();
	for (size_t i = 0; i < list->nodes.count; i++) {
		const struct node *node = &list->nodes.items[i];
		uint64_t *value = &tracks->series[track_of[i] * tracks->sample_count + node->sample];
		*value = lh_private_sum(*value, lh_usage_private(&node->region->usage));
		if (node->sample != tracks->items.items[track_of[i]].last_sample)
			continue;
		struct lh_range range = {node->region->start, node->region->end};
		LH_TRY(lh_vec_push(&tracks->pieces, (struct lh_track_piece){track_of[i], range}));
	}
	return NULL;
}

struct lh_error *lh_tracks_create(const struct lh_sample *const *samples, size_t sample_count, struct lh_tracks *ret)
{
	struct node_list list LH_CLEANUP(node_list_deinit) = {0};
	LH_TRY(collect_nodes(samples, sample_count, &list));
	join_all_samples(&list, sample_count);
	LH_CLEANUP(lh_cleanup_free) size_t *track_of = calloc(list.nodes.count + 1, sizeof(*track_of));
	if (!track_of)
		return lh_error_no_memory();
	struct lh_tracks tracks LH_CLEANUP(lh_tracks_deinit) = {.sample_count = sample_count};
	LH_TRY(number_tracks(&list, &tracks, track_of));
	LH_TRY(fill_tracks(&list, track_of, &tracks));
	*ret = tracks;
	tracks = (struct lh_tracks){0};
	return NULL;
}

void lh_tracks_deinit(struct lh_tracks *tracks)
{
	lh_vec_deinit(&tracks->items);
	lh_vec_deinit(&tracks->pieces);
	free(tracks->series);
	tracks->series = NULL;
}

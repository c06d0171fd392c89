/*
 * identity: follows memory from sample to sample. A region is a set of addresses: mappings of neighboring samples that
 * overlap and have the same backing are the same memory, so growth at either end, splits and merges keep their history.
 * Input: samples in order of time, one by one; none is kept. Output: one track per connected set of mappings, with its
 * bytes over time. Judges nothing.
 */
#include "identity.h"

#include "name_pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* If more mappings than this came or went at once, they are not paired as moved: that would be guessing. */
enum { MOVED_MAX = 16 };

/* Smaller mappings are common: a match would be chance. */
#define MOVED_BYTES_MIN (256 * LH_KIB)

static const size_t NO_TRACK = SIZE_MAX;

/* A sample while it is added. */
struct adding {
	struct lh_tracks *tracks;
	const struct lh_sample *sample;
	struct lh_track_pieces pieces;
	bool knows_anonymous; /* the kernel distinguishes anonymous pages from those of files (since Linux 2.6.37) */
	uint64_t elapsed_ns;
	uint32_t moment;
};

static void adding_deinit(struct adding *adding)
{
	lh_vec_deinit(&adding->pieces.items);
}

static void track_deinit(struct lh_track *track)
{
	lh_vec_deinit(&track->ranges);
	lh_steps_deinit(&track->used);
	lh_steps_deinit(&track->mapped);
}

void lh_tracks_deinit(struct lh_tracks *tracks)
{
	for (size_t i = 0; i < tracks->items.count; i++)
		track_deinit(&tracks->items.items[i]);
	lh_vec_deinit(&tracks->items);
	lh_vec_deinit(&tracks->latest.items);
	lh_vec_deinit(&tracks->earlier.items);
	lh_vec_deinit(&tracks->moments);
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++)
		lh_steps_deinit(&tracks->holdings[i]);
	lh_strings_pool_deinit(&tracks->strings);
	*tracks = (struct lh_tracks){0};
}

/* ---------------------------------------------------------------- one track or two */

/* The track it is part of now (Tarjan 1975: path halving). */
static size_t root_of(struct lh_tracks *tracks, size_t at)
{
	struct lh_track *items = tracks->items.items;
	while (items[at].parent != at) {
		items[at].parent = items[items[at].parent].parent;
		at = items[at].parent;
	}
	return at;
}

/* The earlier track continues with the history of both. */
static struct lh_error *join_tracks(struct lh_tracks *tracks, size_t a, size_t b, size_t *ret)
{
	a = root_of(tracks, a);
	b = root_of(tracks, b);
	*ret = a < b ? a : b;
	if (a == b)
		return NULL;
	struct lh_track *kept = &tracks->items.items[*ret];
	struct lh_track *other = &tracks->items.items[a < b ? b : a];
	LH_TRY(lh_steps_add(&kept->used, &other->used));
	LH_TRY(lh_steps_add(&kept->mapped, &other->mapped));
	if (kept->first_sample == other->first_sample) {
		kept->first_used_bytes = lh_steps_sum(kept->first_used_bytes, other->first_used_bytes);
		kept->first_mapped_bytes = lh_steps_sum(kept->first_mapped_bytes, other->first_mapped_bytes);
		kept->first_huge_bytes = lh_steps_sum(kept->first_huge_bytes, other->first_huge_bytes);
	}
	kept->last_sample = lh_max_u64(kept->last_sample, other->last_sample);
	if (kept->kind == LH_REGION_ANON)
		kept->kind = other->kind;
	other->parent = *ret;
	track_deinit(other);
	other->ranges.items = NULL;
	other->used = other->mapped = (struct lh_steps){0};
	return NULL;
}

/* ---------------------------------------------------------------- the same memory */

/* Same device, inode and offset lineage; anonymous memory has inode 0 and no offset to compare. */
static bool is_same_backing(const struct lh_track_piece *a, const struct lh_track_piece *b)
{
	if (a->is_shared != b->is_shared || a->inode != b->inode || a->device_major != b->device_major ||
	    a->device_minor != b->device_minor)
		return false;
	return !a->inode || a->range.start - a->file_offset == b->range.start - b->file_offset;
}

/*
 * They overlap in at least half of the smaller one: growth, split and merge keep the smaller one whole, while a new
 * mapping that reuses a few freed pages of another one is new.
 */
static bool is_same_memory(const struct lh_track_piece *a, const struct lh_track_piece *b)
{
	uint64_t start = lh_max_u64(a->range.start, b->range.start);
	uint64_t end = lh_min_u64(a->range.end, b->range.end);
	uint64_t smaller = lh_min_u64(lh_range_bytes(a->range), lh_range_bytes(b->range));
	return start < end && end - start >= smaller - smaller / 2 && is_same_backing(a, b);
}

static struct lh_error *take_track(struct lh_tracks *tracks, struct lh_track_piece *piece, size_t track)
{
	if (piece->track == NO_TRACK) {
		piece->track = root_of(tracks, track);
		return NULL;
	}
	return join_tracks(tracks, piece->track, track, &piece->track);
}

/* Both are in address order and disjoint: of n + m mappings at most n + m pairs overlap. */
static struct lh_error *match_identity(struct adding *adding, const struct lh_track_pieces *before)
{
	size_t a = 0, b = 0;
	while (a < before->items.count && b < adding->pieces.items.count) {
		const struct lh_track_piece *old = &before->items.items[a];
		struct lh_track_piece *new = &adding->pieces.items.items[b];
		if (is_same_memory(old, new))
			LH_TRY(take_track(adding->tracks, new, old->track));
		if (old->range.end <= new->range.end)
			a++;
		else
			b++;
	}
	return NULL;
}

/* ---------------------------------------------------------------- moved mappings */

struct candidates {
	size_t items[MOVED_MAX]; /* indices of pieces */
	size_t count;            /* MOVED_MAX + 1: too many */
};

static void candidates_add(struct candidates *candidates, size_t piece)
{
	if (candidates->count < MOVED_MAX)
		candidates->items[candidates->count] = piece;
	if (candidates->count <= MOVED_MAX)
		candidates->count++;
}

static bool may_have_moved(const struct lh_track_piece *piece)
{
	return !piece->inode && !piece->is_shared && lh_range_bytes(piece->range) >= MOVED_BYTES_MIN;
}

/* Mappings of the last sample of which no part is in this one. */
static void find_gone(struct adding *adding, const uint8_t *is_seen, struct candidates *ret)
{
	const struct lh_track_pieces *latest = &adding->tracks->latest;
	for (size_t i = 0; i < latest->items.count; i++) {
		const struct lh_track_piece *piece = &latest->items.items[i];
		if (may_have_moved(piece) && !is_seen[root_of(adding->tracks, piece->track)])
			candidates_add(ret, i);
	}
}

static void find_come(const struct adding *adding, struct candidates *ret)
{
	for (size_t i = 0; i < adding->pieces.items.count; i++) {
		const struct lh_track_piece *piece = &adding->pieces.items.items[i];
		if (piece->track == NO_TRACK && may_have_moved(piece))
			candidates_add(ret, i);
	}
}

/* mremap(2) keeps the pages and may enlarge the mapping; shrinking does not move it. */
static bool fits_track(const struct lh_track_piece *gone, const struct lh_track_piece *come)
{
	return lh_range_bytes(come->range) >= lh_range_bytes(gone->range) &&
	       lh_range_bytes(come->range) <= 4 * lh_range_bytes(gone->range);
}

/* Pairs two mappings only if neither fits any other. */
static struct lh_error *match_moved(struct adding *adding, const struct candidates *gone, const struct candidates *come)
{
	struct lh_track_piece *latest = adding->tracks->latest.items.items;
	struct lh_track_piece *pieces = adding->pieces.items.items;
	for (size_t i = 0; i < gone->count; i++) {
		size_t fit_count = 0, rival_count = 0, fit = 0;
		for (size_t j = 0; j < come->count; j++) {
			if (fits_track(&latest[gone->items[i]], &pieces[come->items[j]])) {
				fit_count++;
				fit = come->items[j];
			}
		}
		for (size_t j = 0; fit_count == 1 && j < gone->count; j++)
			rival_count += fits_track(&latest[gone->items[j]], &pieces[fit]);
		if (fit_count == 1 && rival_count == 1)
			LH_TRY(take_track(adding->tracks, &pieces[fit], latest[gone->items[i]].track));
	}
	return NULL;
}

static struct lh_error *follow_moves(struct adding *adding)
{
	struct candidates gone = {0}, come = {0};
	find_come(adding, &come);
	if (!come.count || come.count > MOVED_MAX)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) uint8_t *is_seen = calloc(adding->tracks->items.count + 1, 1);
	if (!is_seen)
		return lh_error_no_memory();
	for (size_t i = 0; i < adding->pieces.items.count; i++) {
		if (adding->pieces.items.items[i].track != NO_TRACK)
			is_seen[adding->pieces.items.items[i].track] = 1;
	}
	find_gone(adding, is_seen, &gone);
	return gone.count <= MOVED_MAX ? match_moved(adding, &gone, &come) : NULL;
}

/* ---------------------------------------------------------------- one sample */

/* Guards contain no memory, and reserved space would join unrelated neighbors. */
static bool is_track_followed(const struct lh_region *region)
{
	return region->kind != LH_REGION_GUARD && region->start < region->end;
}

static struct lh_error *collect_pieces(struct adding *adding)
{
	const struct lh_region_list *list = &adding->sample->list;
	LH_TRY(lh_vec_reserve(&adding->pieces.items, list->regions.count + 1));
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (!is_track_followed(region))
			continue;
		adding->pieces.items.items[adding->pieces.items.count++] = (struct lh_track_piece){
			.range = {region->start, region->end},
			.inode = region->inode,
			.file_offset = region->file_offset,
			.device_major = region->device_major,
			.device_minor = region->device_minor,
			.is_shared = region->is_shared,
			.track = NO_TRACK,
		};
	}
	return NULL;
}

static struct lh_error *create_track(struct adding *adding, struct lh_track_piece *piece)
{
	struct lh_tracks *tracks = adding->tracks;
	struct lh_track track = {
		.parent = tracks->items.count,
		.name = "",
		.thread_name = "",
		.pattern = "",
		.group = "",
		.thread_pattern = "",
		.first_sample = tracks->sample_count,
		.last_sample = UINT64_MAX,
		.family = LH_TRACK_ALONE,
	};
	piece->track = track.parent;
	return lh_vec_push(&tracks->items, track);
}

/* Copies the string into the tracks' pool unless they have it, which is the usual case. */
static struct lh_error *keep_identity(struct lh_tracks *tracks, const char *text, const char **ret)
{
	if (strcmp(text, *ret) == 0)
		return NULL;
	return lh_strings_pool_add(&tracks->strings, text, strlen(text), ret);
}

static struct lh_error *keep_pattern(struct lh_tracks *tracks, const char *text,
				     void (*make)(const char *, struct lh_buffer *), const char **ret)
{
	struct lh_buffer pattern LH_CLEANUP(lh_buffer_deinit) = {0};
	make(text, &pattern);
	LH_TRY(lh_buffer_status(&pattern));
	return keep_identity(tracks, pattern.data ? pattern.data : "", ret);
}

/* A bss has no name: the mapping right before it has its module's. */
static const char *backing_name(const struct lh_region_list *list, size_t index)
{
	const struct lh_region *region = &list->regions.items[index];
	bool is_behind = region->kind == LH_REGION_BSS && index && region[-1].end == region->start;
	return is_behind ? region[-1].name : region->name;
}

/* Files that are deleted at once, and segments of shared memory, have made-up names. */
static bool has_made_up_name(const struct lh_region *region, const char *name)
{
	return name[0] == '/' && (region->is_deleted || !strncmp(name, "/dev/shm/", 9)) &&
	       strncmp(name, "/memfd:", 7) != 0 && strncmp(name, "/SYSV", 5) != 0;
}

static struct lh_error *name_track(struct lh_tracks *tracks, struct lh_track *track, const struct lh_region_list *list,
				   size_t index)
{
	const struct lh_region *region = &list->regions.items[index];
	const char *backing = backing_name(list, index);
	const struct lh_region *named = backing == region->name ? region : region - 1;
	bool is_known = strcmp(region->name, track->name) == 0 && named->is_deleted == track->is_deleted &&
			(track->group[0] || !backing[0]);
	if (is_known)
		return NULL;
	track->is_deleted = named->is_deleted;
	LH_TRY(keep_identity(tracks, region->name, &track->name));
	LH_TRY(keep_pattern(tracks, backing, lh_name_pattern, &track->pattern));
	if (has_made_up_name(named, backing))
		return keep_pattern(tracks, backing, lh_name_folder_pattern, &track->group);
	track->group = track->pattern;
	return NULL;
}

/* Guards of stacks are a few pages; larger ones are reserved space. */
static bool has_small_guard(const struct lh_region_list *list, size_t index)
{
	static const uint64_t GUARD_BYTES_MAX = LH_MIB;
	const struct lh_region *region = &list->regions.items[index];
	return region->kind == LH_REGION_ANON && region->protection == (LH_PROT_READ | LH_PROT_WRITE) && index &&
	       region[-1].kind == LH_REGION_GUARD && region[-1].end == region->start &&
	       region[-1].end - region[-1].start <= lh_min_u64(GUARD_BYTES_MAX, region->end - region->start);
}

static struct lh_error *name_thread(struct lh_tracks *tracks, struct lh_track *track, const char *name)
{
	if (!name[0] || strcmp(name, track->thread_name) == 0)
		return NULL;
	LH_TRY(keep_identity(tracks, name, &track->thread_name));
	return keep_pattern(tracks, name, lh_thread_name_pattern, &track->thread_pattern);
}

/* The largest mapping describes all pieces of a track. */
static struct lh_error *describe_identity(struct lh_tracks *tracks, struct lh_track *track,
					  const struct lh_region_list *list, size_t index)
{
	const struct lh_region *region = &list->regions.items[index];
	uint64_t bytes = region->end - region->start;
	if (bytes > track->largest_bytes) {
		track->largest_bytes = bytes;
		track->protection = region->protection;
		track->is_shared = region->is_shared;
		track->is_ended_stack = region->is_ended_stack;
		track->has_guard = has_small_guard(list, index);
		LH_TRY(name_track(tracks, track, list, index));
	}
	/* A mapping that was merely anonymous in one sample may get a kind in another. */
	if (region->kind != LH_REGION_ANON || track->last_sample == UINT64_MAX)
		track->kind = region->kind;
	return name_thread(tracks, track, region->thread_name);
}

static void begin_sample(struct lh_track *track)
{
	track->ranges.count = 0;
	track->largest_bytes = track->mapped_bytes = track->used_bytes = track->huge_bytes = 0;
}

static struct lh_error *count_region(struct adding *adding, size_t index, size_t at)
{
	const struct lh_region *region = &adding->sample->list.regions.items[index];
	struct lh_track *track = &adding->tracks->items.items[at];
	if (track->last_sample != adding->tracks->sample_count)
		begin_sample(track);
	LH_TRY(describe_identity(adding->tracks, track, &adding->sample->list, index));
	track->last_sample = adding->tracks->sample_count;
	track->mapped_bytes = lh_steps_sum(track->mapped_bytes, region->end - region->start);
	track->used_bytes = lh_steps_sum(track->used_bytes, lh_region_used_bytes(region, adding->knows_anonymous));
	track->huge_bytes = lh_steps_sum(track->huge_bytes, region->usage.anon_huge_bytes);
	return lh_vec_push(&track->ranges, ((struct lh_range){region->start, region->end}));
}

/* Pieces were collected from the regions in order. */
static struct lh_error *count_regions(struct adding *adding)
{
	const struct lh_region_list *list = &adding->sample->list;
	size_t next = 0;
	for (size_t i = 0; i < list->regions.count; i++) {
		if (!is_track_followed(&list->regions.items[i]))
			continue;
		struct lh_track_piece *piece = &adding->pieces.items.items[next++];
		if (piece->track == NO_TRACK)
			LH_TRY(create_track(adding, piece));
		piece->track = root_of(adding->tracks, piece->track);
		LH_TRY(count_region(adding, i, piece->track));
	}
	return NULL;
}

static struct lh_error *note_values(struct adding *adding, const struct lh_track_pieces *pieces)
{
	struct lh_tracks *tracks = adding->tracks;
	bool is_torn = adding->sample->list.skipped_lines || adding->sample->list.dropped_regions;
	for (size_t i = 0; i < pieces->items.count; i++) {
		struct lh_track *track = &tracks->items.items[root_of(tracks, pieces->items.items[i].track)];
		bool is_there = track->last_sample == tracks->sample_count;
		if (!is_there && is_torn)
			continue;
		LH_TRY(lh_steps_set(&track->used, adding->moment, is_there ? track->used_bytes : 0));
		LH_TRY(lh_steps_set(&track->mapped, adding->moment, is_there ? track->mapped_bytes : 0));
		if (track->first_sample == tracks->sample_count) {
			track->first_used_bytes = track->used_bytes;
			track->first_mapped_bytes = track->mapped_bytes;
			track->first_huge_bytes = track->huge_bytes;
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------- moments */

static void halve_moments(struct lh_tracks *tracks)
{
	for (size_t i = 0; i < tracks->items.count; i++) {
		lh_steps_halve(&tracks->items.items[i].used);
		lh_steps_halve(&tracks->items.items[i].mapped);
	}
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++)
		lh_steps_halve(&tracks->holdings[i]);
	size_t kept = (tracks->moments.count + 1) / 2;
	for (size_t i = 0; i < kept; i++)
		tracks->moments.items[i] = tracks->moments.items[2 * i];
	tracks->moments.count = kept;
	tracks->stride *= 2;
}

/*
 * Sample k belongs to moment ceil(k / stride): until the next multiple of the stride, the last moment is that of the
 * latest sample.
 */
static struct lh_error *date_track(struct adding *adding)
{
	struct lh_tracks *tracks = adding->tracks;
	if (!tracks->stride)
		tracks->stride = 1;
	bool is_full = tracks->moments.count == LH_MOMENTS_MAX;
	if (is_full && (tracks->sample_count - 1) % tracks->stride == 0)
		halve_moments(tracks);
	adding->moment = (uint32_t)((tracks->sample_count + tracks->stride - 1) / tracks->stride);
	struct lh_moment moment = {adding->elapsed_ns, adding->sample->has_counter ? adding->sample->counter : NAN};
	if (adding->moment == tracks->moments.count)
		return lh_vec_push(&tracks->moments, moment);
	tracks->moments.items[adding->moment] = moment;
	return NULL;
}

/* ---------------------------------------------------------------- beside the mappings */

/* Unknown values stay as they were. The number of mappings is always known. */
static struct lh_error *note_holdings(struct adding *adding)
{
	struct lh_tracks *tracks = adding->tracks;
	const struct lh_sample *sample = adding->sample;
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++) {
		uint64_t value = sample->has_holdings ? sample->holdings.values[i] : LH_HOLDING_UNKNOWN;
		value = i == LH_HOLDING_MAPPINGS ? sample->list.regions.count : value;
		if (value == LH_HOLDING_UNKNOWN)
			continue;
		/* If a series begins late, its first value also stands for the time before. */
		uint32_t moment = tracks->knows_holding[i] ? adding->moment : 0;
		LH_TRY(lh_steps_set(&tracks->holdings[i], moment, lh_min_u64(value, INT64_MAX)));
		tracks->knows_holding[i] = true;
	}
	return NULL;
}

static void note_use(struct lh_tracks *tracks, const struct lh_sample *sample)
{
	if (!sample->has_use)
		return;
	tracks->last_use = (struct lh_use_look){true, tracks->sample_count, sample->use, lh_sample_used_bytes(sample)};
	if (!tracks->first_use.is_known)
		tracks->first_use = tracks->last_use;
}

static void note_facts(struct lh_tracks *tracks, const struct lh_sample *sample)
{
	note_use(tracks, sample);
	if (sample->has_holdings && sample->holdings.held_name[0])
		memcpy(tracks->held_name, sample->holdings.held_name, sizeof(tracks->held_name));
	tracks->ceilings = sample->has_ceilings ? sample->ceilings : tracks->ceilings;
	tracks->receipt = sample->has_receipt ? sample->receipt : tracks->receipt;
	tracks->has_ceilings |= sample->has_ceilings;
	tracks->has_receipt |= sample->has_receipt;
}

static struct lh_error *add_identity(struct adding *adding)
{
	struct lh_tracks *tracks = adding->tracks;
	LH_TRY(date_track(adding));
	LH_TRY(collect_pieces(adding));
	LH_TRY(match_identity(adding, &tracks->latest));
	/* The kernel's text is read in pieces while the process runs: a mapping may be missing in one sample. */
	LH_TRY(match_identity(adding, &tracks->earlier));
	LH_TRY(follow_moves(adding));
	LH_TRY(count_regions(adding));
	LH_TRY(note_values(adding, &adding->pieces));
	LH_TRY(note_values(adding, &tracks->latest));
	LH_TRY(note_values(adding, &tracks->earlier));
	note_facts(tracks, adding->sample);
	return note_holdings(adding);
}

struct lh_error *lh_tracks_add(struct lh_tracks *tracks, const struct lh_sample *sample, uint64_t elapsed_ns)
{
	struct adding adding LH_CLEANUP(adding_deinit) = {
		.tracks = tracks,
		.sample = sample,
		.knows_anonymous = lh_regions_know_anonymous(&sample->list),
		.elapsed_ns = elapsed_ns,
	};
	LH_TRY(add_identity(&adding));
	struct lh_track_pieces oldest = tracks->earlier;
	tracks->earlier = tracks->latest;
	tracks->latest = adding.pieces;
	adding.pieces = oldest;
	tracks->sample_count++;
	return NULL;
}

/*
 * record_writer: writes samples as JSON lines, each with all regions or only the changed ones. Input: samples in order
 * of time. Output: text, which the caller writes to a file.
 */
#include "leakhunt/limits.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Interval of whole samples: the most that a damaged line costs a reader. */
enum { WHOLE_EVERY = 256 };

/* What earlier lines said of a region: its place, a digest of its identity, and its figures. */
struct written_region {
	uint64_t start;
	XXH128_hash_t digest;
	struct lh_usage usage;
};

struct written {
	LH_VEC(struct written_region) items; /* ascending starts */
};

struct lh_record_writer {
	struct written before;
	uint64_t count;
	bool was_torn; /* the previous sample was torn */
};

struct lh_error *lh_record_writer_create(struct lh_record_writer **ret)
{
	struct lh_record_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return lh_error_no_memory();
	*ret = writer;
	return NULL;
}

void lh_record_writer_destroy(struct lh_record_writer *writer)
{
	if (!writer)
		return;
	lh_vec_deinit(&writer->before.items);
	free(writer);
}

void lh_cleanup_record_writer(struct lh_record_writer **writer)
{
	lh_record_writer_destroy(*writer);
}

struct lh_error *lh_record_encode_header(const struct lh_process_identity *identity, const char *command,
					 struct lh_buffer *ret)
{
	json_t *header =
		json_pack("{s:i, s:i, s:o*, s:o*}", LH_RECORD_KEY, LH_RECORD_FORMAT, "pid", (int)identity->pid,
			  "start_ticks", lh_json_u64(identity->start_ticks), "command", lh_json_string(command));
	return lh_json_append(header, true, ret);
}

/* Field by field: padding is undefined. */
static XXH128_hash_t digest_of(const struct lh_region *region)
{
	const uint64_t fields[] = {
		region->start,
		region->end,
		region->file_offset,
		region->inode,
		region->device_major,
		region->device_minor,
		region->protection,
		region->is_shared,
		region->is_deleted,
		region->is_hugetlb,
		region->is_dontdump,
		region->is_io,
		(uint64_t)region->kind,
		(uint64_t)region->tid,
		strlen(region->name),
		XXH3_64bits(region->name, strlen(region->name)),
		strlen(region->thread_name),
		XXH3_64bits(region->thread_name, strlen(region->thread_name)),
	};
	return XXH3_128bits(fields, sizeof(fields));
}

/* Figures that change when other processes map the same files do not make a region changed. */
static bool has_same_figures(const struct lh_usage *before, struct lh_usage now)
{
	now.pss_bytes = before->pss_bytes;
	now.swap_pss_bytes = before->swap_pss_bytes;
	now.referenced_bytes = before->referenced_bytes;
	now.shared_clean_bytes = before->shared_clean_bytes;
	now.private_clean_bytes = before->private_clean_bytes;
	return memcmp(before, &now, sizeof(now)) == 0;
}

static struct lh_error *append_member(json_t *array, json_t *object)
{
	return json_array_append_new(array, object) ? lh_error_no_memory() : NULL;
}

/* `before`: the same mapping in earlier lines, or NULL. *ret: what the lines say of it now. */
static struct lh_error *add_change(const struct lh_region *region, const struct written_region *before, json_t *changed,
				   struct written_region *ret)
{
	*ret = (struct written_region){region->start, digest_of(region), region->usage};
	if (!before || !XXH128_isEqual(before->digest, ret->digest))
		return append_member(changed, lh_record_region_encode(region));
	if (!has_same_figures(&before->usage, region->usage))
		return append_member(changed, lh_record_figures_encode(region->start, &before->usage, &region->usage));
	ret->usage = before->usage;
	return NULL;
}

/* Both in order of address. */
static struct lh_error *compare_region(const struct written *before, const struct lh_region_list *list,
				       struct written *now, json_t *changed, json_t *gone)
{
	size_t next = 0;
	LH_TRY(lh_vec_reserve(&now->items, list->regions.count));
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		for (; next < before->items.count && before->items.items[next].start < region->start; next++)
			LH_TRY(append_member(gone, lh_json_address(before->items.items[next].start)));
		bool is_known = next < before->items.count && before->items.items[next].start == region->start;
		LH_TRY(add_change(region, is_known ? &before->items.items[next] : NULL, changed,
				  &now->items.items[now->items.count]));
		now->items.count++;
		next += is_known;
	}
	for (; next < before->items.count; next++)
		LH_TRY(append_member(gone, lh_json_address(before->items.items[next].start)));
	return NULL;
}

/* A torn sample does not say what it lacks, only that it lacks something. */
static uint64_t lost_count(const struct lh_sample *sample)
{
	return lh_min_u64(sample->list.skipped_lines + sample->list.dropped_regions, LH_RECORD_LOST_MAX);
}

static json_t *encode_holdings(const struct lh_holdings *holdings)
{
	json_t *object = json_object();
	for (size_t i = 0; object && i < LH_HOLDING_COUNT; i++) {
		if (holdings->values[i] != LH_HOLDING_UNKNOWN)
			json_object_set_new(object, lh_holding_name((enum lh_holding)i),
					    lh_json_u64(holdings->values[i]));
	}
	return object;
}

static json_t *encode_ceilings(const struct lh_ceilings *ceilings)
{
	json_t *object = json_object();
	for (size_t i = 0; object && i < LH_CEILING_COUNT; i++) {
		if (ceilings->left[i] != LH_NO_LIMIT)
			json_object_set_new(object, lh_ceiling_name((enum lh_ceiling)i),
					    lh_json_u64(ceilings->left[i]));
	}
	return object;
}

static json_t *encode_receipt(const struct lh_sampling_receipt *receipt)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "reading_count", lh_json_u64(receipt->reading_count),
			 "bounded_count", lh_json_u64(receipt->bounded_count), "reading_ns",
			 lh_json_u64(receipt->reading_ns), "reading_max_ns", lh_json_u64(receipt->reading_max_ns),
			 "longest_call_ns", lh_json_u64(receipt->longest_call_ns));
}

/* Ceilings change slowly and cost the reader bytes: they are written now and then, with the receipt. */
static void encode_facts(const struct lh_sample *sample, json_t *line)
{
	if (sample->has_use) {
		json_object_set_new(line, "in_use_bytes", lh_json_u64(sample->use.in_use_bytes));
		json_object_set_new(line, "heap_bytes", lh_json_u64(sample->use.heap_bytes));
	}
	if (sample->has_holdings)
		json_object_set_new(line, "holdings", encode_holdings(&sample->holdings));
	if (sample->has_holdings && sample->holdings.held_name[0])
		json_object_set_new(line, "held_name", lh_json_string(sample->holdings.held_name));
	if (sample->has_ceilings)
		json_object_set_new(line, "left", encode_ceilings(&sample->ceilings));
	if (sample->has_ceilings && sample->has_receipt)
		json_object_set_new(line, "receipt", encode_receipt(&sample->receipt));
}

static struct lh_error *encode_record(const struct lh_record_writer *writer, const struct lh_sample *sample,
				      bool is_whole, struct written *now, struct lh_buffer *ret)
{
	static const struct written nothing = {0};
	LH_CLEANUP(lh_cleanup_json) json_t *changed = json_array();
	LH_CLEANUP(lh_cleanup_json) json_t *gone = json_array();
	LH_TRY(compare_region(is_whole ? &nothing : &writer->before, &sample->list, now, changed, gone));
	json_t *line =
		json_pack("{s:o, s:o}", "n", lh_json_u64(writer->count), "time_ns", lh_json_u64(sample->time_ns));
	if (sample->uptime_ns)
		json_object_set_new(line, "uptime_ns", lh_json_u64(sample->uptime_ns));
	if (sample->has_counter)
		json_object_set_new(line, "counter", json_real(sample->counter));
	json_object_set(line, is_whole ? "regions" : "changed", changed);
	if (json_array_size(gone))
		json_object_set(line, "gone", gone);
	if (lost_count(sample))
		json_object_set_new(line, "lost", lh_json_u64(lost_count(sample)));
	encode_facts(sample, line);
	return lh_json_append(line, true, ret);
}

struct lh_error *lh_record_encode_sample(struct lh_record_writer *writer, const struct lh_sample *sample,
					 struct lh_buffer *ret)
{
	/* A torn sample depends on no other, and no other depends on it. */
	bool is_torn = lost_count(sample) > 0;
	bool is_whole = is_torn || writer->was_torn || writer->count % WHOLE_EVERY == 0;
	struct written now = {0};
	struct lh_error *error = encode_record(writer, sample, is_whole, &now, ret);
	if (error) {
		lh_vec_deinit(&now.items);
		return error;
	}
	lh_vec_deinit(&writer->before.items);
	writer->before = now;
	writer->was_torn = is_torn;
	writer->count++;
	return NULL;
}

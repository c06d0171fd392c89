/*
 * record_reader: reads samples from the lines of a record, of this or an earlier format. Input: lines, one by one, of
 * hostile text. Output: the sample that each line completes. Lines that cannot be parsed are skipped and counted; after
 * a lost or damaged line, samples resume with the next whole one.
 */
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lh_record_reader {
	const char *what;
	struct lh_record_facts facts;
	struct lh_record_line line; /* the latest */
	struct lh_sample sample;    /* as of the last line that was a sample */
	uint64_t expected;          /* number of the next one */
	uint64_t format;            /* of the latest header; 0: none yet */
	bool is_whole;              /* `sample` is complete: the next change can be applied to it */
};

struct lh_error *lh_record_reader_create(const char *what, struct lh_record_reader **ret)
{
	struct lh_record_reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return lh_error_no_memory();
	reader->what = what;
	*ret = reader;
	return NULL;
}

void lh_record_reader_destroy(struct lh_record_reader *reader)
{
	if (!reader)
		return;
	lh_sample_deinit(&reader->sample);
	lh_record_line_deinit(&reader->line);
	free(reader->facts.command);
	free(reader);
}

void lh_cleanup_record_reader(struct lh_record_reader **reader)
{
	lh_record_reader_destroy(*reader);
}

const struct lh_record_facts *lh_record_reader_facts(const struct lh_record_reader *reader)
{
	return &reader->facts;
}

/* ---------------------------------------------------------------- headers */

static struct lh_error *take_command(struct lh_record_reader *reader)
{
	struct lh_buffer command LH_CLEANUP(lh_buffer_deinit) = {0};
	if (reader->facts.command || !(reader->line.members & LH_LINE_COMMAND) ||
	    !lh_json_span_text(reader->line.command, &command))
		return NULL;
	lh_buffer_append(&command, "", 0);
	LH_TRY(lh_buffer_status(&command));
	reader->facts.command = command.data;
	command = (struct lh_buffer){0};
	return NULL;
}

static struct lh_error *take_record_header(struct lh_record_reader *reader, bool is_object)
{
	const struct lh_record_line *line = &reader->line;
	if (!is_object || !(line->members & LH_LINE_RECORD) || line->members & LH_LINE_BAD)
		return lh_error_create(LH_ERROR_FORMAT, "%s does not begin like a record of samples", reader->what);
	if (!line->format || line->format > LH_RECORD_FORMAT)
		return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s is a record of format %llu, not %d",
						     reader->what, (unsigned long long)line->format, LH_RECORD_FORMAT),
				     "read it with the leakhunt that wrote it, or a newer one");
	LH_TRY(take_command(reader));
	lh_sample_deinit(&reader->sample);
	reader->sample = (struct lh_sample){.pid = (pid_t)line->pid, .start_ticks = line->start_ticks};
	reader->format = line->format;
	reader->expected = 0;
	reader->is_whole = false;
	return NULL;
}

/* ---------------------------------------------------------------- whole samples */

static struct lh_error *decode_regions(const struct lh_record_line *line, struct lh_region_list *list)
{
	uint64_t end = 0;
	for (size_t i = 0; i < line->entries.count; i++) {
		struct lh_region region;
		bool is_region;
		LH_TRY(lh_record_region_decode(&line->entries.items[i], &list->strings, &region, &is_region));
		list->skipped_lines += !is_region;
		list->dropped_regions += is_region && region.start < end;
		if (!is_region || region.start < end)
			continue;
		end = region.end;
		LH_TRY(lh_vec_push(&list->regions, region));
	}
	return NULL;
}

/* *ret: whether it is a sample at all; if not, the reader is unchanged. */
static struct lh_error *take_whole(struct lh_record_reader *reader, bool *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {.has_usage = true};
	LH_TRY(decode_regions(&reader->line, &list));
	*ret = list.regions.count > 0;
	if (!*ret)
		return NULL;
	struct lh_region_list before = reader->sample.list;
	reader->sample.list = list;
	list = before;
	return NULL;
}

/* ---------------------------------------------------------------- changes */

/* Index of the first region that does not end at or before `addr`. */
static size_t find_record_place(const struct lh_region_list *list, uint64_t addr)
{
	return lh_vec_count_before(&list->regions, item, item->end <= addr);
}

static bool remove_start(struct lh_region_list *list, uint64_t start)
{
	size_t at = find_record_place(list, start);
	if (at == list->regions.count || list->regions.items[at].start != start)
		return false;
	struct lh_region *place = &list->regions.items[at];
	memmove(place, place + 1, (--list->regions.count - at) * sizeof(*place));
	return true;
}

/* Replaces the regions that it overlaps: usually its own earlier version. */
static struct lh_error *put_record_region(struct lh_region_list *list, const struct lh_region *region)
{
	size_t at = find_record_place(list, region->start), end = at;
	while (end < list->regions.count && list->regions.items[end].start < region->end)
		end++;
	LH_TRY(lh_vec_reserve(&list->regions, 1));
	struct lh_region *place = &list->regions.items[at];
	if (end != at + 1)
		memmove(place + 1, &list->regions.items[end], (list->regions.count - end) * sizeof(*place));
	list->regions.count += at + 1;
	list->regions.count -= end;
	*place = *region;
	return NULL;
}

/* The region that begins there, or NULL. */
static struct lh_region *region_at(struct lh_region_list *list, uint64_t start)
{
	size_t at = find_record_place(list, start);
	bool is_there = at < list->regions.count && list->regions.items[at].start == start;
	return is_there ? &list->regions.items[at] : NULL;
}

/* *ret: whether it is valid. */
static struct lh_error *take_change(struct lh_region_list *list, const struct lh_record_entry *entry, bool *ret)
{
	struct lh_region region;
	uint64_t start;
	*ret = false;
	if (!lh_record_entry_is_region(entry)) {
		struct lh_region *known = lh_record_entry_start(entry, &start) ? region_at(list, start) : NULL;
		*ret = known && lh_record_figures_decode(entry, &known->usage);
		return NULL;
	}
	LH_TRY(lh_record_region_decode(entry, &list->strings, &region, ret));
	return *ret ? put_record_region(list, &region) : NULL;
}

static struct lh_error *take_changes(struct lh_record_reader *reader)
{
	const struct lh_record_line *line = &reader->line;
	struct lh_region_list *list = &reader->sample.list;
	list->skipped_lines += line->bad_gone_count;
	for (size_t i = 0; i < line->gone.count; i++)
		list->skipped_lines += !remove_start(list, line->gone.items[i]);
	for (size_t i = 0; i < line->entries.count; i++) {
		bool is_good;
		LH_TRY(take_change(list, &line->entries.items[i], &is_good));
		list->skipped_lines += !is_good;
	}
	return NULL;
}

/* ---------------------------------------------------------------- lines */

static struct lh_error *take_facts_of_line(const struct lh_record_line *line, struct lh_sample *ret)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	ret->has_use = line->members & LH_LINE_IN_USE && line->members & LH_LINE_HEAP;
	ret->use = line->use;
	ret->has_holdings = line->members & LH_LINE_HOLDINGS;
	ret->has_ceilings = line->members & LH_LINE_LEFT;
	ret->has_receipt = line->members & LH_LINE_RECEIPT;
	ret->holdings = line->holdings;
	ret->ceilings = line->ceilings;
	ret->receipt = line->receipt;
	ret->holdings.held_name[0] = '\0';
	if (!(line->members & LH_LINE_HELD_NAME) || !lh_json_span_text(line->held_name, &name) || !name.data)
		return lh_buffer_status(&name);
	snprintf(ret->holdings.held_name, sizeof(ret->holdings.held_name), "%s", name.data);
	return NULL;
}

/* *ret: whether the reader now has the line's sample. */
static struct lh_error *take_record_sample(struct lh_record_reader *reader, bool *ret)
{
	const struct lh_record_line *line = &reader->line;
	uint64_t number = line->members & LH_LINE_NUMBER ? line->number : reader->expected;
	*ret = false;
	if (line->members & LH_LINE_BAD || !(line->members & LH_LINE_TIME))
		return NULL;
	if (line->members & LH_LINE_REGIONS) {
		LH_TRY(take_whole(reader, ret));
	} else if (line->members & LH_LINE_CHANGED && reader->is_whole && number == reader->expected) {
		LH_TRY(take_changes(reader));
		*ret = reader->sample.list.regions.count > 0;
	}
	if (!*ret)
		return NULL;
	reader->sample.list.skipped_lines += line->lost;
	reader->sample.time_ns = line->time_ns;
	reader->sample.uptime_ns = line->uptime_ns;
	reader->sample.has_counter = line->members & LH_LINE_COUNTER;
	reader->sample.counter = line->counter;
	LH_TRY(take_facts_of_line(line, &reader->sample));
	reader->expected = number + 1;
	return NULL;
}

struct lh_error *lh_record_reader_take(struct lh_record_reader *reader, const char *line, size_t length,
				       const struct lh_sample **ret)
{
	bool is_object, is_sample = false;
	*ret = NULL;
	LH_TRY(lh_record_line_parse(line, length, &reader->line, &is_object));
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a reader that was created. */
	if (!reader->format || (is_object && reader->line.members & LH_LINE_RECORD)) /* records may follow each other */
		return take_record_header(reader, is_object);
	if (is_object)
		LH_TRY(take_record_sample(reader, &is_sample));
	reader->is_whole = is_sample;
	reader->facts.skipped_lines += !is_sample;
	*ret = is_sample ? &reader->sample : NULL;
	return NULL;
}

bool lh_record_detect(const char *text, size_t length)
{
	struct lh_record_line line LH_CLEANUP(lh_record_line_deinit) = {0};
	const char *newline = memchr(text, '\n', length);
	bool is_object = false;
	lh_error_destroy(lh_record_line_parse(text, newline ? (size_t)(newline - text) : length, &line, &is_object));
	return is_object && line.members & LH_LINE_RECORD;
}

/* ---------------------------------------------------------------- all of a text */

static struct lh_error *copy_regions(const struct lh_region_list *list, struct lh_region_list *ret)
{
	LH_TRY(lh_vec_reserve(&ret->regions, list->regions.count));
	ret->has_usage = list->has_usage;
	ret->skipped_lines = list->skipped_lines;
	ret->dropped_regions = list->dropped_regions;
	for (size_t i = 0; i < list->regions.count; i++) {
		struct lh_region region = list->regions.items[i];
		LH_TRY(lh_strings_pool_add(&ret->strings, region.name, strlen(region.name), &region.name));
		LH_TRY(lh_strings_pool_add(&ret->strings, region.thread_name, strlen(region.thread_name),
					   &region.thread_name));
		ret->regions.items[ret->regions.count++] = region;
	}
	return NULL;
}

static struct lh_error *copy_sample(const struct lh_sample *sample, struct lh_samples *ret)
{
	struct lh_sample copy LH_CLEANUP(lh_sample_deinit) = *sample;
	copy.list = (struct lh_region_list){0};
	LH_TRY(copy_regions(&sample->list, &copy.list));
	LH_TRY(lh_vec_push(&ret->items, copy));
	copy.list = (struct lh_region_list){0};
	return NULL;
}

static struct lh_error *take_record_facts(struct lh_record_reader *reader, struct lh_samples *ret)
{
	ret->skipped_lines += reader->facts.skipped_lines;
	if (!ret->command) {
		ret->command = reader->facts.command;
		reader->facts.command = NULL;
	}
	return NULL;
}

struct lh_error *lh_record_decode(const char *text, size_t length, const char *what, struct lh_samples *ret)
{
	LH_CLEANUP(lh_cleanup_record_reader) struct lh_record_reader *reader = NULL;
	LH_TRY(lh_record_reader_create(what, &reader));
	const char *at = text, *end = text + length;
	do {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const struct lh_sample *sample;
		LH_TRY(lh_record_reader_take(reader, at, (size_t)((newline ? newline : end) - at), &sample));
		if (sample)
			LH_TRY(copy_sample(sample, ret));
		at = newline ? newline + 1 : end;
	} while (at < end);
	return take_record_facts(reader, ret);
}

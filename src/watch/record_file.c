/*
 * record_file: judges a record of samples. Reads a short record whole, so that its samples may be in any order. Reads a
 * long one line by line, and judges only as many samples as show the trend: a record of days takes no more memory, and
 * little more time, than one of an hour.
 */
#include "leakhunt/watch.h"

#include "lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WHOLE_MAX = 4096, JUDGED_MIN = 4096 };

#define WHOLE_BYTES_MAX (256 * LH_MIB)

/* How many lines, and how many bytes: a block at a time. */
static struct lh_error *measure_record_file(const char *path, uint64_t *ret_lines, uint64_t *ret_bytes)
{
	LH_CLEANUP(lh_cleanup_stream) FILE *stream = fopen(path, "re");
	char block[65536];
	size_t length;
	*ret_lines = *ret_bytes = 0;
	if (!stream)
		return lh_error_from_errno(errno, "cannot open %s", path);
	while ((length = fread(block, 1, sizeof(block), stream)) > 0) {
		*ret_bytes += length;
		for (const char *at = block, *end = block + length; (at = memchr(at, '\n', (size_t)(end - at))); at++)
			(*ret_lines)++;
	}
	return ferror(stream) ? lh_error_from_errno(errno, "cannot read %s", path) : NULL;
}

/* A pipe can be read only once: it is not measured first. */
static bool is_regular_record(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

bool lh_record_file_detect(const char *path)
{
	LH_CLEANUP(lh_cleanup_stream) FILE *stream = is_regular_record(path) ? fopen(path, "re") : NULL;
	char start[512];
	size_t length = stream ? fread(start, 1, sizeof(start), stream) : 0;
	return lh_record_detect(start, length);
}

/* ---------------------------------------------------------------- short records */

static struct lh_error *no_record(const char *path)
{
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s is not a record of samples", path),
			     "make one with `leakhunt select PID --save FILE`");
}

static struct lh_error *select_whole(const char *path, struct lh_selection *ret, struct lh_record_losses *losses)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	LH_TRY(lh_file_read(path, WHOLE_BYTES_MAX, &text));
	if (!lh_record_detect(text.data ? text.data : "", text.length))
		return no_record(path);
	LH_TRY(lh_record_decode(text.data, text.length, path, &samples));
	for (size_t i = 0; i < samples.items.count; i++)
		losses->lost_regions +=
			samples.items.items[i].list.skipped_lines + samples.items.items[i].list.dropped_regions;
	losses->skipped_lines = samples.skipped_lines;
	snprintf(losses->command, sizeof(losses->command), "%s", samples.command ? samples.command : "");
	return lh_select(&samples, ret);
}

/* ---------------------------------------------------------------- long records */

struct streaming {
	struct lh_lines lines;
	struct lh_record_reader *reader;
	struct lh_selector *selector;
	uint64_t stride; /* one of this many samples is judged, and the last one */
	uint64_t count;
	pid_t pid; /* of the first sample */
	uint64_t start_ticks;
	struct lh_record_losses *losses;
};

static void streaming_deinit(struct streaming *streaming)
{
	lh_lines_close(&streaming->lines);
	lh_record_reader_destroy(streaming->reader);
	lh_selector_destroy(streaming->selector);
}

static struct lh_error *take_record_file(struct streaming *streaming, const struct lh_sample *sample)
{
	streaming->losses->lost_regions += sample->list.skipped_lines + sample->list.dropped_regions;
	struct lh_error *error = lh_selector_add(streaming->selector, sample);
	bool is_first = !streaming->count;
	streaming->pid = is_first ? sample->pid : streaming->pid;
	streaming->start_ticks = is_first ? sample->start_ticks : streaming->start_ticks;
	bool is_same = sample->pid == streaming->pid && sample->start_ticks == streaming->start_ticks;
	if (!error || lh_error_code(error) != LH_ERROR_USAGE || is_first || !is_same)
		return error;
	streaming->losses->unordered_samples++;
	lh_error_destroy(error);
	return NULL;
}

static struct lh_error *stream_lines(struct streaming *streaming)
{
	struct lh_lines *lines = &streaming->lines;
	const struct lh_sample *sample = NULL;
	bool is_end = false;
	while (!is_end) {
		const struct lh_sample *next = NULL;
		LH_TRY(lh_lines_next(lines, &is_end));
		if (!is_end)
			LH_TRY(lh_record_reader_take(streaming->reader, lines->text, lines->length, &next));
		bool is_last = is_end && sample && (streaming->count - 1) % streaming->stride != 0;
		bool is_chosen = next && streaming->count % streaming->stride == 0;
		if (is_last || is_chosen)
			LH_TRY(take_record_file(streaming, is_last ? sample : next));
		streaming->count += next != NULL;
		sample = next ? next : sample;
	}
	return NULL;
}

static struct lh_error *select_stream(const char *path, uint64_t lines, struct lh_selection *ret,
				      struct lh_record_losses *losses)
{
	struct streaming streaming LH_CLEANUP(streaming_deinit) = {.losses = losses};
	streaming.stride = lh_max_u64(1, lines / JUDGED_MIN);
	LH_TRY(lh_lines_open(path, &streaming.lines));
	LH_TRY(lh_record_reader_create(path, &streaming.reader));
	LH_TRY(lh_selector_create(&streaming.selector));
	LH_TRY(stream_lines(&streaming));
	const struct lh_record_facts *facts = lh_record_reader_facts(streaming.reader);
	losses->skipped_lines = facts->skipped_lines;
	snprintf(losses->command, sizeof(losses->command), "%s", facts->command ? facts->command : "");
	LH_TRY(lh_selector_judge(streaming.selector, ret));
	ret->sample_count = streaming.count;
	return NULL;
}

struct lh_error *lh_record_file_select(const char *path, struct lh_selection *ret, struct lh_record_losses *ret_losses)
{
	uint64_t lines, bytes;
	*ret_losses = (struct lh_record_losses){0};
	if (!is_regular_record(path))
		return select_whole(path, ret, ret_losses);
	LH_TRY(measure_record_file(path, &lines, &bytes));
	if (lines <= WHOLE_MAX && bytes <= WHOLE_BYTES_MAX)
		return select_whole(path, ret, ret_losses);
	return select_stream(path, lines, ret, ret_losses);
}

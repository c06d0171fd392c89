/*
 * sampling: takes samples of a live process: smaps, and the user's counter, each with its time. Saves them and passes
 * them to select. Reads only: never stops the process. Warns once of a loss, and continues.
 */
#include "leakhunt/limits.h"
#include "leakhunt/watch.h"
#include "record_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Limits move slowly. */
#define CEILINGS_NS (10 * LH_NS_PER_S)

void lh_sampling_deinit(struct lh_sampling *sampling)
{
	lh_selector_destroy(sampling->selector);
	lh_record_log_close(sampling->log);
	lh_outfile_destroy(sampling->record);
	lh_record_writer_destroy(sampling->writer);
	lh_holdings_reader_destroy(sampling->holdings);
	*sampling = (struct lh_sampling){0};
}

struct lh_error *lh_sampling_begin(const struct lh_process *process, const struct lh_sampling_options *options,
				   struct lh_sampling *ret)
{
	*ret = (struct lh_sampling){
		.process = process,
		.options = *options,
		.pace = {.max_stall_ns = options->max_stall_ns},
		/* Based on one reading of the calendar, which may be set back meanwhile. */
		.clock_offset_ns = lh_clock_realtime_ns() - lh_clock_monotonic_ns(),
	};
	LH_TRY(lh_holdings_reader_create(process, &ret->holdings));
	return lh_selector_create(&ret->selector);
}

/* The result is partial from now on. */
LH_PRINTF(2, 3) static void warn_of_loss(struct lh_sampling *sampling, const char *format, ...)
{
	LH_CLEANUP(lh_cleanup_free) char *text = NULL;
	va_list list;
	sampling->is_partial = true;
	va_start(list, format);
	int length = vasprintf(&text, format, list);
	va_end(list);
	if (length < 0)
		text = NULL;
	else if (sampling->options.warn)
		sampling->options.warn(text);
}

/* Takes `error`. */
static void go_on_unsaved(struct lh_sampling *sampling, struct lh_error *error)
{
	warn_of_loss(sampling, "%s; the samples are not saved", lh_error_message(error));
	lh_error_destroy(error);
}

void lh_sleep_slice(uint64_t deadline_ns)
{
	uint64_t slice_end_ns = lh_min_u64(deadline_ns, lh_clock_monotonic_ns() + LH_NS_PER_S / 4);
	struct timespec until = {.tv_sec = (time_t)(slice_end_ns / LH_NS_PER_S),
				 .tv_nsec = (long)(slice_end_ns % LH_NS_PER_S)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static bool is_sampling_interrupted(const struct lh_sampling *sampling)
{
	return sampling->options.is_interrupted && sampling->options.is_interrupted();
}

/* In slices, so that the end of the process, and a Ctrl-C just before the call, are noticed soon. */
struct lh_error *lh_sampling_wait(const struct lh_sampling *sampling, uint64_t deadline_ns, void (*tick)(void *context),
				  void *context)
{
	while (!is_sampling_interrupted(sampling) && lh_clock_monotonic_ns() < deadline_ns) {
		if (tick)
			tick(context);
		lh_sleep_slice(deadline_ns);
		LH_TRY(lh_process_check(sampling->process));
	}
	return NULL;
}

/* ---------------------------------------------------------------- saving */

static struct lh_error *write_sample_line(struct lh_sampling *sampling, const struct lh_buffer *line)
{
	return lh_fd_write_all(lh_outfile_fd(sampling->record), lh_outfile_path(sampling->record), line->data,
			       line->length);
}

struct lh_error *lh_sampling_save(struct lh_sampling *sampling, const char *path, bool replace)
{
	struct lh_error *error = lh_outfile_create_early(path, replace, &sampling->record);
	if (error && lh_error_code(error) == LH_ERROR_EXISTS)
		return lh_error_hint(error, "give another name with --save, or --force to replace it");
	LH_TRY(error);
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_process_identity identity = lh_process_identity(sampling->process);
	LH_TRY(lh_record_writer_create(&sampling->writer));
	LH_TRY(lh_record_encode_header(&identity, lh_process_command(sampling->process), &line));
	return write_sample_line(sampling, &line);
}

static struct lh_error *try_save_sample(struct lh_sampling *sampling, const struct lh_sample *sample)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_record_encode_sample(sampling->writer, sample, &line));
	return write_sample_line(sampling, &line);
}

/* A full disk ends the record, not the watch. */
static void save_sample(struct lh_sampling *sampling, const struct lh_sample *sample)
{
	struct lh_error *error = sampling->record ? try_save_sample(sampling, sample)
				 : sampling->log  ? lh_record_log_append(sampling->log, sample)
						  : NULL;
	if (!error)
		return;
	go_on_unsaved(sampling, error);
	lh_outfile_destroy(sampling->record);
	lh_record_log_close(sampling->log);
	sampling->record = NULL;
	sampling->log = NULL;
}

bool lh_sampling_commit(struct lh_sampling *sampling)
{
	if (!sampling->record)
		return false;
	struct lh_error *error = lh_outfile_commit(sampling->record);
	if (error)
		go_on_unsaved(sampling, error);
	return !error;
}

/* ---------------------------------------------------------------- counting */

static void take_count(struct lh_sampling *sampling, struct lh_sample *ret)
{
	const char *command = sampling->options.counter_command;
	if (!command)
		return;
	ret->has_counter = sampling->options.read_counter(command, &ret->counter);
	if (ret->has_counter || sampling->has_warned_of_counter)
		return;
	warn_of_loss(sampling,
		     "--counter: `%s` did not print a number within 5 s; growth for each one counted is not known",
		     command);
	sampling->has_warned_of_counter = true;
}

/* ---------------------------------------------------------------- one sample */

/* Without owners, kinds stay as /proc shows them. */
static void ask_owners(const struct lh_sampling *sampling, struct lh_region_list *list, struct lh_owners *ret)
{
	lh_owner_finder *find = sampling->options.find_owners;
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = find ? find(sampling->process, list, ret) : NULL;
	if (!error)
		lh_regions_take_owners(list, ret);
}

/* status can be read by anyone, unless /proc is mounted with hidepid (proc(5)). */
static struct lh_error *read_sums(const struct lh_sampling *sampling, struct lh_region_list *ret)
{
	struct lh_memory_status status = {0};
	LH_TRY(lh_memory_status_read(sampling->process, &status));
	struct lh_region region = {
		.start = LH_PAGE_BYTES,
		.end = lh_align_up(LH_PAGE_BYTES + lh_max_u64(status.mapped_bytes, 1), LH_PAGE_BYTES),
		.protection = LH_PROT_READ | LH_PROT_WRITE,
		.kind = LH_REGION_ANON,
		.thread_name = "",
		.usage = {.rss_bytes = status.anonymous_bytes,
			  .pss_bytes = status.anonymous_bytes,
			  .private_dirty_bytes = status.anonymous_bytes,
			  .anonymous_bytes = status.anonymous_bytes,
			  .swap_bytes = status.swapped_bytes,
			  .swap_pss_bytes = status.swapped_bytes},
	};
	LH_TRY(lh_strings_pool_add(&ret->strings, LH_SUM_REGION_NAME, strlen(LH_SUM_REGION_NAME), &region.name));
	ret->has_usage = true;
	return lh_vec_push(&ret->regions, region);
}

static struct lh_error *read_mappings_or_sums(struct lh_sampling *sampling, struct lh_region_list *ret)
{
	struct lh_error *error = lh_regions_read_bounded(sampling->process, &sampling->pace, ret);
	if (!error || !sampling->options.takes_sums || lh_error_code(error) != LH_ERROR_PERMISSION)
		return error;
	struct lh_error *second = read_sums(sampling, ret);
	if (second) {
		lh_error_destroy(second);
		return error;
	}
	lh_error_destroy(error);
	return NULL;
}

static struct lh_error *read_sample_regions(struct lh_sampling *sampling, struct lh_sample *ret,
					    struct lh_owners *ret_owners)
{
	uint64_t started_ns = lh_clock_monotonic_ns();
	struct lh_error *error = read_mappings_or_sums(sampling, &ret->list);
	uint64_t reading_ns = lh_clock_monotonic_ns() - started_ns;
	/* A process that ends or calls exec during the reading yields a strange text: say what happened. */
	struct lh_error *change = lh_process_check(sampling->process);
	if (change) {
		lh_error_destroy(error);
		return change;
	}
	LH_TRY(error);
	ask_owners(sampling, &ret->list, ret_owners);
	ret->time_ns = started_ns + sampling->clock_offset_ns;
	sampling->receipt.reading_count = sampling->pace.read_count;
	sampling->receipt.bounded_count = sampling->pace.bounded_count;
	sampling->receipt.longest_call_ns = sampling->pace.hold_ns_max;
	sampling->receipt.reading_ns += reading_ns;
	sampling->receipt.reading_max_ns = lh_max_u64(sampling->receipt.reading_max_ns, reading_ns);
	ret->receipt = sampling->receipt;
	ret->has_receipt = true;
	return NULL;
}

/* What the process holds besides its mappings, and from time to time how much its limits leave. */
static void read_facts(struct lh_sampling *sampling, const struct lh_owners *owners, struct lh_sample *ret)
{
	uint64_t now_ns = lh_clock_monotonic_ns();
	bool is_due = sampling->is_last || !sampling->ceilings_ns || now_ns - sampling->ceilings_ns >= CEILINGS_NS;
	lh_holdings_read(sampling->holdings, &ret->list, &ret->holdings);
	ret->has_holdings = true;
	if (!is_due)
		return;
	ret->ceilings = lh_ceilings_read(sampling->process, &ret->holdings, &ret->list, owners);
	ret->has_ceilings = true;
	sampling->ceilings_ns = now_ns;
}

/* A walk reads the whole heap: of the first sample, those with a power of two from SECOND_LOOK on, and the last. */
static void read_use(const struct lh_sampling *sampling, struct lh_sample *ret)
{
	enum { SECOND_LOOK = 8 };
	size_t count = sampling->sample_count;
	bool is_due = !count || sampling->is_last || (count >= SECOND_LOOK && !(count & (count - 1)));
	if (is_due && sampling->options.read_use)
		ret->has_use = sampling->options.read_use(sampling->process, &ret->use);
}

struct lh_error *lh_sampling_take(struct lh_sampling *sampling)
{
	struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {
		.pid = lh_process_pid(sampling->process),
		.start_ticks = lh_process_identity(sampling->process).start_ticks,
		.uptime_ns = lh_clock_boottime_ns(),
	};
	struct lh_owners owners LH_CLEANUP(lh_owners_deinit) = {0};
	LH_TRY(read_sample_regions(sampling, &sample, &owners));
	read_facts(sampling, &owners, &sample);
	read_use(sampling, &sample);
	take_count(sampling, &sample);
	if (sample.list.dropped_regions)
		warn_of_loss(sampling, "smaps: %zu mappings changed while the kernel listed them, and are left out",
			     sample.list.dropped_regions);
	if (sample.list.skipped_lines)
		warn_of_loss(sampling, "smaps: %zu lines are cut off or of no known form, and are left out",
			     sample.list.skipped_lines);
	save_sample(sampling, &sample);
	sampling->latest_bytes = lh_sample_used_bytes(&sample);
	if (!sampling->sample_count++)
		sampling->first_bytes = sampling->latest_bytes;
	return lh_selector_add(sampling->selector, &sample);
}

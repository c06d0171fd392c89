/*
 * fuzz_record: reads any bytes as a record. What is read must be a list that everybody may rely on
 * (ascending, disjoint), must survive being written and read again, and must be judged without harm.
 */
#include "leakhunt/select.h"
#include "select/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_lists(const struct lh_samples *samples)
{
	for (size_t i = 0; i < samples->items.count; i++) {
		const struct lh_region_list *list = &samples->items.items[i].list;
		uint64_t end = 0;
		for (size_t j = 0; j < list->regions.count; j++) {
			require(list->regions.items[j].start >= end);
			require(list->regions.items[j].start < list->regions.items[j].end);
			end = list->regions.items[j].end;
		}
	}
}

static void write_record(const struct lh_samples *samples, struct lh_buffer *ret)
{
	static const struct lh_process_identity identity = {.pid = 1};
	LH_CLEANUP(lh_cleanup_record_writer) struct lh_record_writer *writer = NULL;
	require(!lh_record_writer_create(&writer));
	lh_error_destroy(lh_record_encode_header(&identity, "fuzz", ret));
	for (size_t i = 0; i < samples->items.count; i++)
		lh_error_destroy(lh_record_encode_sample(writer, &samples->items.items[i], ret));
	require(!ret->failed);
}

static void check_round_trip(const struct lh_samples *samples)
{
	struct lh_buffer first LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer second LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_samples again LH_CLEANUP(lh_samples_deinit) = {0};
	write_record(samples, &first);
	struct lh_error *error = lh_record_decode(first.data, first.length, "again", &again);
	require(!error && again.skipped_lines == 0 && again.items.count == samples->items.count);
	write_record(&again, &second);
	require(first.length == second.length && !__builtin_memcmp(first.data, second.data, first.length));
}

static void check_selection(const struct lh_samples *samples)
{
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_select(samples, &selection);
	for (size_t i = 0; !error && i < selection.growths.count; i++) {
		const struct lh_growth *growth = &selection.growths.items[i];
		require((!growth->series.count || growth->series.count == selection.moments_s.count) &&
			growth->ranges.count == growth->region_count);
		require(growth->region_count > 0 && growth->reason[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lh_samples samples LH_CLEANUP(lh_samples_deinit) = {0};
	lh_record_detect((const char *)data, size);
	lh_error_destroy(lh_record_decode((const char *)data, size, "input", &samples));
	check_lists(&samples);
	check_round_trip(&samples);
	check_selection(&samples);
	return 0;
}

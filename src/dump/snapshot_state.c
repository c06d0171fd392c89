/*
 * snapshot_state: the state of a snapshot in progress: its mappings, and the expected length of its final stop.
 */
#include "snapshot.h"

#include "limits.h"

#include <string.h>

#define PAUSE_MIN_NS (200 * (uint64_t)1000)

struct lh_error *lh_snapshot_read_maps(struct lh_snapshot *snapshot, struct lh_buffer *ret)
{
	uint64_t before_ns = lh_clock_monotonic_ns();
	LH_TRY(lh_process_read_file(snapshot->job->process, "maps", ret));
	snapshot->maps_ns = lh_clock_monotonic_ns() - before_ns;
	return NULL;
}

bool lh_snapshot_knows_maps(const struct lh_snapshot *snapshot, const struct lh_buffer *text)
{
	return snapshot->maps.length == text->length && text->length &&
	       memcmp(snapshot->maps.data, text->data, text->length) == 0;
}

uint64_t lh_snapshot_final_copy_ns(const struct lh_snapshot *snapshot)
{
	return snapshot->left_bytes / LH_PAGE_BYTES * snapshot->page_cost_ns;
}

uint64_t lh_snapshot_expected_ns(const struct lh_snapshot *snapshot)
{
	return PAUSE_MIN_NS + snapshot->job->tasks.tasks.count * LH_THREAD_STOP_NS + snapshot->maps_ns +
	       snapshot->scan_ns + snapshot->untracked_bytes / LH_PAGE_BYTES * snapshot->page_cost_ns +
	       lh_snapshot_final_copy_ns(snapshot);
}

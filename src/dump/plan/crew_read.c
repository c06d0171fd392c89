/*
 * crew_read: reads many ranges of a process in parallel, one part per crew member.
 */
#include "crew_read.h"
#include "leakhunt/process_memory.h"

/* Reading fewer bytes takes less time than waking a thread. */
#define PART_BYTES_MIN (128 * LH_KIB)

struct part {
	const struct lh_range *ranges;
	size_t count;
	uint8_t *ret;
	size_t bytes;
	size_t got_bytes;
};

struct reading {
	const struct lh_process *process;
	struct part parts[LH_CREW_MEMBERS_MAX];
	size_t part_count;
};

static void read_part(void *context, size_t member, size_t number)
{
	struct reading *reading = context;
	struct part *part = &reading->parts[number];
	(void)member;
	part->got_bytes = lh_process_read_ranges(reading->process, part->ranges, part->count, part->ret);
}

/* Neighbors in parts of about `part_bytes`. */
static void divide_runs(struct reading *reading, const struct lh_range *ranges, size_t count, uint64_t part_bytes,
			uint8_t *ret)
{
	size_t bytes = 0;
	struct part *part = NULL;
	for (size_t i = 0; i < count; i++) {
		bool is_full = !part || (part->bytes >= part_bytes && reading->part_count < LH_CREW_MEMBERS_MAX);
		if (is_full) {
			part = &reading->parts[reading->part_count++];
			*part = (struct part){.ranges = ranges + i, .ret = ret + bytes};
		}
		part->count++;
		part->bytes += lh_range_bytes(ranges[i]);
		bytes += lh_range_bytes(ranges[i]);
	}
}

size_t lh_crew_read_ranges(struct lh_crew *crew, const struct lh_process *process, const struct lh_range *ranges,
			   size_t count, void *ret)
{
	struct reading reading = {.process = process};
	uint64_t bytes = 0;
	size_t got_bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += lh_range_bytes(ranges[i]);
	divide_runs(&reading, ranges, count, lh_max_u64(bytes / lh_crew_size(crew) + 1, PART_BYTES_MIN), ret);
	lh_crew_run(crew, read_part, &reading, reading.part_count);
	for (size_t i = 0; i < reading.part_count; i++) {
		got_bytes += reading.parts[i].got_bytes;
		if (reading.parts[i].got_bytes < reading.parts[i].bytes)
			break;
	}
	return got_bytes;
}

/*
 * owner_search PID [TIMES]: reads a live process's mappings and finds their owners, some times, and prints the
 * mappings, and of the fastest time the CPU microseconds of reading and of finding. A benchmark of leakhunt's own code.
 */
#include "leakhunt/heap.h"
#include "leakhunt/process.h"

#include <inttypes.h>
#include <stdlib.h>

struct owner_costs {
	size_t mappings;
	uint64_t read_us, find_us;
};

static uint64_t spent_cpu_us(void)
{
	return lh_clock_process_cpu_ns() / 1000;
}

static struct lh_error *measure_once(const struct lh_process *process, struct owner_costs *costs)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_owners owners LH_CLEANUP(lh_owners_deinit) = {0};
	uint64_t started_us = spent_cpu_us();
	LH_TRY(lh_regions_read(process, LH_REGIONS_MAPS, &list));
	uint64_t read_us = spent_cpu_us();
	LH_TRY(lh_heap_find_owners(process, &list, &owners));
	costs->find_us = lh_min_u64(costs->find_us, spent_cpu_us() - read_us);
	costs->read_us = lh_min_u64(costs->read_us, read_us - started_us);
	costs->mappings = list.regions.count;
	return NULL;
}

static struct lh_error *measure_owners(pid_t pid, unsigned long times)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	struct owner_costs costs = {.read_us = UINT64_MAX, .find_us = UINT64_MAX};
	LH_TRY(lh_process_open(pid, &process));
	for (unsigned long i = 0; i < times; i++)
		LH_TRY(measure_once(process, &costs));
	printf("%zu %" PRIu64 " %" PRIu64 "\n", costs.mappings, costs.read_us, costs.find_us);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: owner_search PID [TIMES]\n");
		return 2;
	}
	struct lh_error *error =
		measure_owners((pid_t)strtol(argv[1], NULL, 10), argc > 2 ? strtoul(argv[2], NULL, 10) : 5);
	if (error)
		fprintf(stderr, "owner_search: %s\n", lh_error_message(error));
	int status = error ? 1 : 0;
	lh_error_destroy(error);
	return status;
}

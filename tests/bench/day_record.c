/*
 * day_record: writes the record of a service that was watched for 24 hours: the mappings of this very program,
 * a heap that leaks under noise, three arenas that are filled and emptied, the stack of a thread, and a buffer
 * that is mapped and unmapped. Usage: day_record SAMPLES FILE. It is written as leakhunt writes it.
 */
#include "leakhunt/select.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NS (86400 * LH_NS_PER_S)
#define STAGE  UINT64_C(0x10000000) /* below all that the kernel places */

enum { STACK = 4, BUFFER, ADDED_COUNT, BUFFER_EACH = 500 };

struct day {
	struct lh_sample sample;
	struct lh_record_writer *writer;
	struct lh_buffer line;
	uint64_t random;
	uint64_t count;
	int fd;
};

static void die_of(struct lh_error *error)
{
	if (!error)
		return;
	fprintf(stderr, "day_record: %s\n", lh_error_message(error));
	exit(2);
}

static uint64_t next_random(struct day *day)
{
	day->random ^= day->random << 13;
	day->random ^= day->random >> 7;
	day->random ^= day->random << 17;
	return day->random >> 16;
}

static void set_pages(struct lh_region *region, uint64_t pages)
{
	struct lh_usage *usage = &region->usage;
	usage->rss_bytes = usage->pss_bytes = usage->private_dirty_bytes = usage->referenced_bytes =
		usage->anonymous_bytes = pages * 4096;
}

static struct lh_region make_region(uint64_t i)
{
	static const enum lh_region_kind kinds[ADDED_COUNT] = {LH_REGION_HEAP,         LH_REGION_ARENA,
							       LH_REGION_ARENA,        LH_REGION_ARENA,
							       LH_REGION_THREAD_STACK, LH_REGION_MMAP_CHUNK};
	struct lh_region region = {
		.start = STAGE + i * 0x10000000,
		.end = STAGE + i * 0x10000000 + 0x8000000,
		.protection = LH_PROT_READ | LH_PROT_WRITE,
		.kind = kinds[i],
		.name = i ? "" : "[heap]",
		.thread_name = i == STACK ? "worker" : "",
	};
	set_pages(&region, 64);
	return region;
}

static void add_mappings(struct lh_region_list *list)
{
	struct lh_buffer smaps LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_region_list own LH_CLEANUP(lh_region_list_deinit) = {0};
	die_of(lh_file_read("/proc/self/smaps", LH_GIB, &smaps));
	die_of(lh_regions_parse(smaps.data, smaps.length, "smaps", &own));
	list->has_usage = true;
	for (uint64_t i = 0; i < ADDED_COUNT; i++)
		die_of(lh_vec_push(&list->regions, make_region(i)));
	for (size_t i = 0; i < own.regions.count; i++) {
		struct lh_region region = own.regions.items[i];
		die_of(lh_strings_pool_add(&list->strings, region.name, strlen(region.name), &region.name));
		if (region.start > STAGE + ADDED_COUNT * 0x10000000)
			die_of(lh_vec_push(&list->regions, region));
	}
}

/* The heap: a page each fourth second, under noise of 64 pages. */
static void move(struct day *day, uint64_t i)
{
	struct lh_region *regions = day->sample.list.regions.items;
	set_pages(&regions[0], 4096 + i / 4 + next_random(day) % 64);
	for (uint64_t arena = 1; arena < STACK; arena++)
		set_pages(&regions[arena], 1024 + i * 7 * arena % 4096 + next_random(day) % 32);
	set_pages(&regions[STACK], 4 + next_random(day) % 4);
	if (i % BUFFER_EACH == 0)
		regions[BUFFER].end = regions[BUFFER].start + 0x100000 + i / BUFFER_EACH % 8 * 0x100000;
}

static void write_line(struct day *day, const char *path)
{
	die_of(lh_buffer_status(&day->line));
	die_of(lh_fd_write_all(day->fd, path, day->line.data, day->line.length));
	day->line.length = 0;
}

static void write_day(struct day *day, const char *path)
{
	const struct lh_process_identity identity = {.pid = 4711, .start_ticks = 1};
	die_of(lh_record_encode_header(&identity, "service", &day->line));
	for (uint64_t i = 0; i < day->count; i++) {
		day->sample.time_ns = UINT64_C(1700000000) * LH_NS_PER_S + i * (DAY_NS / day->count);
		day->sample.uptime_ns = LH_NS_PER_S + i * (DAY_NS / day->count);
		move(day, i);
		die_of(lh_record_encode_sample(day->writer, &day->sample, &day->line));
		if (day->line.length > LH_MIB || i + 1 == day->count)
			write_line(day, path);
	}
}

int main(int argc, char **argv)
{
	struct day day = {.random = 0x9e3779b97f4a7c15, .fd = -1};
	if (argc != 3 || lh_parse_u64(argv[1], &day.count) || !day.count) {
		fprintf(stderr, "usage: day_record SAMPLES FILE\n");
		return 2;
	}
	day.fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (day.fd < 0) {
		perror(argv[2]);
		return 2;
	}
	add_mappings(&day.sample.list);
	die_of(lh_record_writer_create(&day.writer));
	write_day(&day, argv[2]);
	lh_record_writer_destroy(day.writer);
	lh_buffer_deinit(&day.line);
	lh_sample_deinit(&day.sample);
	return 0;
}

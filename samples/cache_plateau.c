/*
 * cache_plateau: a cache in the heap that fills up to --size and then replaces its oldest entry: growth that ends by
 * itself. Truth: "[heap]" grows until held_bytes reaches size_bytes, then stays; nothing is leaked.
 */
#include "sample.h"

static void **entries;
static uint64_t entry_count, newest;

static void begin(struct sample *sample)
{
	entry_count = sample->size_bytes / sample->block_bytes;
	entries = calloc(entry_count, sizeof(*entries));
	if (!entries)
		sample_die("cache_plateau: cannot allocate %" PRIu64 " entries", entry_count);
}

static void add_entry(struct sample *sample)
{
	void **entry = &entries[newest % entry_count];
	if (!*entry)
		sample->held_bytes += sample->block_bytes;
	free(*entry);
	*entry = malloc(sample->block_bytes);
	sample_fill(sample, *entry, sample->block_bytes, "cached", newest++);
	sample_note_address(sample, *entry);
}

static void step(struct sample *sample)
{
	for (uint64_t done = 0; done < sample->step_bytes; done += sample->block_bytes)
		add_entry(sample);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "cache_plateau",
				.condition = "plateau",
				.region_kind = "heap",
				.size_bytes = 2 << 20,
				.step_bytes = 128 << 10,
				.block_bytes = 1000,
				.begin = begin,
				.step = step};
	return sample_main(&sample, argc, argv);
}

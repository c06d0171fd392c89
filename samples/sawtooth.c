/*
 * sawtooth: batches: fills the heap step by step up to --size, then in one step frees all of it and
 * gives it back to the kernel (malloc_trim(3)). Truth: "[heap]" follows held_bytes up and down; the
 * floor doesn't rise; nothing is leaked.
 */
#include "sample.h"

#include <malloc.h>

static void **blocks;
static uint64_t block_count, used_count;

static void begin(struct sample *sample)
{
	block_count = (sample->size_bytes + sample->block_bytes - 1) / sample->block_bytes;
	blocks = calloc(block_count, sizeof(*blocks));
	if (!blocks)
		sample_die("sawtooth: cannot allocate %" PRIu64 " blocks", block_count);
}

static void give_back(struct sample *sample)
{
	while (used_count)
		free(blocks[--used_count]);
	malloc_trim(0);
	sample->held_bytes = 0;
}

static void fill(struct sample *sample)
{
	for (uint64_t done = 0; done < sample->step_bytes && used_count < block_count; done += sample->block_bytes) {
		void *block = malloc(sample->block_bytes);
		sample_fill(sample, block, sample->block_bytes, "batch", used_count);
		sample_note_address(sample, block);
		blocks[used_count++] = block;
		sample->held_bytes += sample->block_bytes;
	}
}

static void step(struct sample *sample)
{
	if (used_count == block_count)
		give_back(sample);
	else
		fill(sample);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "sawtooth",
				.condition = "sawtooth",
				.region_kind = "heap",
				.size_bytes = 2 << 20,
				.step_bytes = 512 << 10,
				.block_bytes = 1000,
				.begin = begin,
				.step = step};
	return sample_main(&sample, argc, argv);
}

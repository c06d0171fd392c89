/*
 * steady: a program that works but does not grow: it keeps a set of blocks in the heap, and each
 * step gives back and allocates them anew at the same size. Truth: nothing grows.
 */
#include "sample.h"

static void **blocks;
static uint64_t block_count;

static void renew(struct sample *sample, uint64_t i)
{
	free(blocks[i]);
	blocks[i] = malloc(sample->block_bytes);
	sample_fill(sample, blocks[i], sample->block_bytes, "working", i);
	sample_note_address(sample, blocks[i]);
}

static void step(struct sample *sample)
{
	for (uint64_t i = 0; i < block_count; i++)
		renew(sample, i);
}

static void begin(struct sample *sample)
{
	block_count = sample->size_bytes / sample->block_bytes;
	blocks = calloc(block_count, sizeof(*blocks));
	if (!blocks)
		sample_die("steady: cannot allocate %" PRIu64 " blocks", block_count);
	step(sample);
	sample->held_bytes = block_count * sample->block_bytes;
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "steady",
				.condition = "steady",
				.size_bytes = 1 << 20,
				.block_bytes = 1024,
				.begin = begin,
				.step = step};
	return sample_main(&sample, argc, argv);
}

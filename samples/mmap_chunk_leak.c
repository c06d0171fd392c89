/*
 * mmap_chunk_leak: loses large blocks, each in a mapping of its own (mallopt(3), M_MMAP_THRESHOLD; set, so that it
 * stays constant). Truth: anonymous mappings grow by the blocks, each rounded up to pages with malloc's 16 bytes before
 * it.
 */
#include "sample.h"

#include <malloc.h>

#define THRESHOLD_BYTES (128 << 10)

static void begin(struct sample *sample)
{
	if (sample->block_bytes < THRESHOLD_BYTES)
		sample_die("mmap_chunk_leak: --block-bytes must be at least %d", THRESHOLD_BYTES);
	if (!mallopt(M_MMAP_THRESHOLD, THRESHOLD_BYTES))
		sample_die("mmap_chunk_leak: cannot set M_MMAP_THRESHOLD");
}

static void step(struct sample *sample)
{
	sample_leak(sample, malloc(sample->block_bytes), sample->block_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "mmap_chunk_leak",
				.condition = "leak",
				.region_kind = "mmap-chunk",
				.step_bytes = 256 << 10,
				.block_bytes = 256 << 10,
				.begin = begin,
				.step = step};
	return sample_main(&sample, argc, argv);
}

/*
 * heap_leak: loses blocks of the brk heap: each step allocates --step-bytes in blocks of --block-bytes and keeps no
 * pointer to them. Truth: "[heap]" grows by the requested bytes plus malloc's 8 to 23 bytes per block.
 */
#include "sample.h"

static void step(struct sample *sample)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): this is the leak */
	for (uint64_t done = 0; done < sample->step_bytes; done += sample->block_bytes)
		sample_leak(sample, malloc(sample->block_bytes), sample->block_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "heap_leak",
				.condition = "leak",
				.region_kind = "heap",
				.step_bytes = 64 << 10,
				.block_bytes = 1000,
				.step = step};
	return sample_main(&sample, argc, argv);
}

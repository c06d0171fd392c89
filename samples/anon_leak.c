/*
 * anon_leak: maps anonymous memory each step, without malloc, and loses it. The kernel merges such
 * neighbors into one mapping. Truth: anonymous mappings grow by exactly what was mapped.
 */
#include "sample.h"

#include <sys/mman.h>

static void step(struct sample *sample)
{
	void *block = mmap(NULL, sample->step_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sample_leak(sample, block, sample->step_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {
		.name = "anon_leak", .condition = "leak", .region_kind = "anon", .step_bytes = 128 << 10, .step = step};
	return sample_main(&sample, argc, argv);
}
